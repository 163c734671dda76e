#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#define READ_STEP   65536
#define PIECE_BYTES ((size_t)1 << 20)

/* The text names the file as the operator wrote it: these errors go to logs and to `tern check`. */
static enum tern_code fail_errno(struct tern_err *err, int number, const char *path)
{
    enum tern_code code = number == ENOENT || number == ENOTDIR ? TERN_NOT_FOUND
                          : number == EACCES || number == EPERM ? TERN_PERMISSION_DENIED
                          : number == EMFILE || number == ENFILE || number == ENOMEM
                              ? TERN_RESOURCE_EXHAUSTED
                              : TERN_INTERNAL;
    char text[128];
    return tern_fail(err, code, "%s: %s", path, strerror_r(number, text, sizeof(text)));
}

static void fill(struct tern_file_info *info, const struct stat *st)
{
    *info = (struct tern_file_info){
        .is_folder = S_ISDIR(st->st_mode),
        .is_regular = S_ISREG(st->st_mode),
        .size = (uint64_t)st->st_size,
        .mtime_ns = (uint64_t)st->st_mtim.tv_sec * TERN_NS_PER_S + (uint64_t)st->st_mtim.tv_nsec,
        .inode = st->st_ino,
    };
}

enum tern_code tern_file_stat(const char *path, struct tern_file_info *ret_info,
                              struct tern_err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return fail_errno(err, errno, path);
    fill(ret_info, &st);
    return TERN_OK;
}

static int compare_names(const void *a, const void *b)
{
    return tern_str_cmp(*(const struct tern_str *)a, *(const struct tern_str *)b);
}

static enum tern_code collect(DIR *dir, const char *folder, size_t max, struct tern_arena *arena,
                              struct tern_file_names *names, struct tern_err *err)
{
    size_t cap = 0;

    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL)
            return errno == 0 ? TERN_OK : fail_errno(err, errno, folder);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (names->n == max)
            return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "%s: more than %zu entries", folder,
                             max);
        if (names->n == cap) {
            cap = cap == 0 ? 64 : cap * 2;
            struct tern_str *rows = tern_arena_zalloc(arena, cap, sizeof(*rows));
            if (rows == NULL)
                return tern_arena_fail(arena, err, "a list of files");
            if (names->n > 0)
                memcpy(rows, names->rows, names->n * sizeof(*rows));
            names->rows = rows;
        }
        struct tern_str name = tern_arena_copy(arena, tern_str_of(entry->d_name));
        if (name.p == NULL)
            return tern_arena_fail(arena, err, "a file name");
        names->rows[names->n++] = name;
    }
}

enum tern_code tern_file_list(const char *folder, size_t max, struct tern_arena *arena,
                              struct tern_file_names *ret_names, struct tern_err *err)
{
    struct tern_file_names names = {0};
    DIR *dir = opendir(folder);

    if (dir == NULL)
        return fail_errno(err, errno, folder);
    enum tern_code code = collect(dir, folder, max, arena, &names, err);
    closedir(dir);
    TERN_TRY(code);
    if (names.n > 0)
        qsort(names.rows, names.n, sizeof(names.rows[0]), compare_names);
    *ret_names = names;
    return TERN_OK;
}

/* Reads until `want` bytes or the end of the file; *ret_n says how many came. */
static enum tern_code read_up_to(int fd, const char *path, char *dst, size_t want, size_t *ret_n,
                                 struct tern_err *err)
{
    size_t n = 0;

    while (n < want) {
        ssize_t got = read(fd, dst + n, want - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(err, errno, path);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return TERN_OK;
}

static enum tern_code open_regular(const char *path, int *ret_fd, struct tern_file_info *ret_info,
                                   struct tern_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return fail_errno(err, errno, path);
    if (fstat(fd, &st) != 0) {
        enum tern_code code = fail_errno(err, errno, path);
        close(fd);
        return code;
    }
    fill(ret_info, &st);
    if (!ret_info->is_regular) {
        close(fd);
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%s: not a regular file", path);
    }
    *ret_fd = fd;
    return TERN_OK;
}

enum tern_code tern_file_read(const char *path, size_t max, size_t pad, char **ret_bytes,
                              size_t *ret_n, struct tern_err *err)
{
    struct tern_file_info info = {0};
    size_t n = 0;
    int fd = -1;

    TERN_TRY(open_regular(path, &fd, &info, err));
    if (info.size > max) {
        close(fd);
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "%s: %llu bytes, at most %zu are read", path,
                         (unsigned long long)info.size, max);
    }
    char *bytes = tern_mem_alloc((size_t)info.size + pad);
    if (bytes != NULL)
        tern_mem_large(bytes, (size_t)info.size);
    enum tern_code code = bytes == NULL ? tern_mem_fail(err, path, (size_t)info.size)
                                        : read_up_to(fd, path, bytes, (size_t)info.size, &n, err);
    close(fd);
    if (code != TERN_OK || bytes == NULL) {
        tern_mem_free(bytes);
        return code;
    }
    memset(bytes + n, 0, (size_t)info.size - n + pad);
    *ret_bytes = bytes;
    *ret_n = n;
    return TERN_OK;
}

static enum tern_code read_to_end(int fd, const char *name, size_t max, size_t pad,
                                  char **ret_bytes, size_t *ret_n, struct tern_err *err)
{
    struct tern_buf buf;
    enum tern_code code = TERN_OK;
    size_t got = 1;

    tern_buf_init(&buf, max + 1 + pad); /* one byte more than allowed tells that there is more */
    while (code == TERN_OK && got > 0) {
        size_t step = max + 1 - buf.n < READ_STEP ? max + 1 - buf.n : READ_STEP;
        if (buf.n > max)
            code = tern_fail(err, TERN_RESOURCE_EXHAUSTED, "%s: at most %zu bytes are read", name,
                             max);
        else if (!tern_buf_reserve(&buf, step + pad))
            code = tern_mem_fail(err, name, step);
        else
            code = read_up_to(fd, name, buf.p + buf.n, step, &got, err);
        buf.n += code == TERN_OK ? got : 0;
    }
    if (code != TERN_OK) {
        tern_buf_fini(&buf);
        return code;
    }
    memset(buf.p + buf.n, 0, pad);
    *ret_bytes = buf.p;
    *ret_n = buf.n;
    return TERN_OK;
}

enum tern_code tern_file_read_stream(const char *path, size_t max, size_t pad, char **ret_bytes,
                                     size_t *ret_n, struct tern_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail_errno(err, errno, path);
    enum tern_code code = read_to_end(fd, path, max, pad, ret_bytes, ret_n, err);
    close(fd);
    return code;
}

enum tern_code tern_file_feed(const char *path, void (*take)(void *arg, const void *p, size_t n),
                              void *arg, struct tern_err *err)
{
    struct tern_file_info info = {0};
    char *piece = tern_mem_alloc(PIECE_BYTES);
    enum tern_code code = piece == NULL ? tern_mem_fail(err, path, PIECE_BYTES) : TERN_OK;
    size_t n = PIECE_BYTES;
    int fd = -1;

    if (code == TERN_OK)
        code = open_regular(path, &fd, &info, err);
    while (code == TERN_OK && n == PIECE_BYTES) {
        code = read_up_to(fd, path, piece, PIECE_BYTES, &n, err);
        if (code == TERN_OK)
            take(arg, piece, n);
    }
    if (fd >= 0)
        close(fd);
    tern_mem_free(piece);
    return code;
}

enum tern_code tern_file_head(const char *path, char *dst, size_t cap, size_t *ret_n,
                              struct tern_err *err)
{
    struct tern_file_info info = {0};
    int fd = -1;

    TERN_TRY(open_regular(path, &fd, &info, err));
    enum tern_code code = read_up_to(fd, path, dst, cap, ret_n, err);
    close(fd);
    return code;
}

const char *tern_file_join(struct tern_arena *arena, const char *folder, struct tern_str name)
{
    size_t n = strlen(folder);
    const char *slash = n > 0 && folder[n - 1] == '/' ? "" : "/";
    return tern_arena_printf(arena, "%s%s%.*s", folder, slash, TERN_STR_ARG(name)).p;
}

struct tern_str tern_file_base_name(const char *path)
{
    size_t end = strlen(path);

    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    return tern_str_make(path + start, end - start);
}
