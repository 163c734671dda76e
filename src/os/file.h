/* The file port: whole files and folders, read-only. Everything that looks at the disk goes through
 * these functions, so that tests can make each of them fail (ld --wrap). Blocking: never on a loop.
 */
#ifndef TERN_OS_FILE_H
#define TERN_OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct tern_file_info {
    bool is_folder;
    bool is_regular;
    uint64_t size;
    uint64_t mtime_ns;
    uint64_t inode;
};

struct tern_file_names {
    struct tern_str *rows; /* arena, each followed by a zero; sorted by bytes; without . and .. */
    size_t n;
};

/* NOT_FOUND when nothing is there; PERMISSION_DENIED, INTERNAL otherwise. Follows symbolic links.
 */
enum tern_code tern_file_stat(const char *path, struct tern_file_info *ret_info,
                              struct tern_err *err);
/* At most `max` names, RESOURCE_EXHAUSTED beyond. */
enum tern_code tern_file_list(const char *folder, size_t max, struct tern_arena *arena,
                              struct tern_file_names *ret_names, struct tern_err *err);
/* The whole file in memory of tern_mem_alloc, with `pad` zero bytes after it; freed by the caller.
 * RESOURCE_EXHAUSTED when it is larger than max. */
enum tern_code tern_file_read(const char *path, size_t max, size_t pad, char **ret_bytes,
                              size_t *ret_n, struct tern_err *err);
/* The same of a pipe, a terminal or "/dev/stdin", until its end. */
enum tern_code tern_file_read_stream(const char *path, size_t max, size_t pad, char **ret_bytes,
                                     size_t *ret_n, struct tern_err *err);
/* The first bytes, at most cap; for looking at magic numbers. */
enum tern_code tern_file_head(const char *path, char *dst, size_t cap, size_t *ret_n,
                              struct tern_err *err);
/* The whole file, of any size, piece by piece. */
enum tern_code tern_file_feed(const char *path, void (*take)(void *arg, const void *p, size_t n),
                              void *arg, struct tern_err *err);
/* "<folder>/<name>" in the arena, zero-terminated; NULL when the arena is full. */
const char *tern_file_join(struct tern_arena *arena, const char *folder, struct tern_str name);
/* The last segment without trailing slashes: "a/b.onnx/" -> "b.onnx". */
struct tern_str tern_file_base_name(const char *path);

#endif
