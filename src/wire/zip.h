/* ZIP archives that lie in memory whole (PKWARE's APPNOTE.TXT 6.3.10, with Zip64), read by their
 * central directory: stored and deflated members, which is what Python's zipfile writes.
 *
 * Everything is checked before memory is taken: places and lengths lie within the file, no name
 * stands twice, a local header says what the directory says. Sizes are the directory's; a member
 * that unpacks to another size or checksum is refused, so that the limits hold whatever the packed
 * bytes are. Refused, too: encrypted members, other methods, archives of several disks. Errors
 * begin with "ZIP: "; INVALID_ARGUMENT: damaged, UNIMPLEMENTED: not read here, RESOURCE_EXHAUSTED:
 * over a limit. Pure functions. */
#ifndef TERN_WIRE_ZIP_H
#define TERN_WIRE_ZIP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct tern_zip_member {
    struct tern_str name;
    struct tern_str packed; /* a slice of the file */
    size_t size;            /* unpacked */
    uint32_t crc;           /* of what is unpacked */
    bool is_deflated;       /* else stored */
};

struct tern_zip {
    struct tern_zip_member *members; /* arena; names and bytes are the file's */
    uint32_t n_members;
    uint32_t *slots; /* arena: a table of names; number + 1, 0: free */
    uint32_t mask;
};

/* Of all members together; more than `ratio` bytes for each byte of the file is a bomb, once past
 * TERN_ZIP_RATIO_FLOOR bytes. */
struct tern_zip_limits {
    uint32_t members;
    uint32_t ratio;
    size_t bytes;
};

#define TERN_ZIP_RATIO_FLOOR ((size_t)64 << 20)
#define TERN_ZIP_PAD         64 /* readable bytes after a member that was unpacked */

/* Whether the bytes start as an archive with members does. */
bool tern_zip_is(struct tern_str head);
enum tern_code tern_zip_open(struct tern_str file, const struct tern_zip_limits *limits,
                             struct tern_arena *arena, struct tern_zip *ret_zip,
                             struct tern_err *err);
/* NULL: no member has this name. */
const struct tern_zip_member *tern_zip_find(const struct tern_zip *zip, struct tern_str name);
/* The member's bytes: the file's where it is stored, else the arena's. Of any alignment. */
enum tern_code tern_zip_read(const struct tern_zip_member *member, struct tern_arena *arena,
                             struct tern_str *ret_bytes, struct tern_err *err);

#endif
