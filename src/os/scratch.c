#include "os/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"

#define PATH_ROOM  1024
#define FDS_AT_END 8 /* that nftw may hold open */

/* Nothing of the path is said: these errors may reach a client. */
static enum tern_code fail_errno(struct tern_err *err, const char *what)
{
    enum tern_code code = errno == EEXIST ? TERN_ALREADY_EXISTS
                          : errno == ENOSPC || errno == EDQUOT || errno == EMFILE
                              ? TERN_RESOURCE_EXHAUSTED
                              : TERN_INTERNAL;
    char text[128];

    return tern_fail(err, code, "%s: %s", what, strerror_r(errno, text, sizeof(text)));
}

bool tern_scratch_is_inside(struct tern_str name)
{
    struct tern_str rest = name, part;

    if (name.n == 0 || name.n > TERN_SCRATCH_NAME_MAX || name.p[name.n - 1] == '/' ||
        memchr(name.p, 0, name.n) != NULL || memchr(name.p, '\\', name.n) != NULL)
        return false;
    while (tern_str_split(&rest, '/', &part)) {
        if (part.n == 0 || part.n > 255 || tern_str_eq(part, TERN_STR(".")) ||
            tern_str_eq(part, TERN_STR("..")))
            return false;
    }
    return true;
}

enum tern_code tern_scratch_new(char **ret_path, struct tern_err *err)
{
    const char *top = getenv("TMPDIR");
    char path[PATH_ROOM];

    if (top == NULL || top[0] != '/' || strlen(top) > PATH_ROOM / 2)
        top = "/tmp";
    snprintf(path, sizeof(path), "%s/tern-XXXXXX", top);
    if (mkdtemp(path) == NULL)
        return fail_errno(err, "cannot make a temporary folder");
    *ret_path = tern_mem_strdup(tern_str_of(path));
    if (*ret_path != NULL)
        return TERN_OK;
    rmdir(path);
    return tern_mem_fail(err, "a temporary folder", strlen(path) + 1);
}

static enum tern_code make_folders(char *path, size_t from, struct tern_err *err)
{
    for (char *slash = strchr(path + from, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool ok = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!ok)
            return fail_errno(err, "cannot make a folder for a file");
    }
    return TERN_OK;
}

static enum tern_code write_all(int fd, struct tern_str bytes, struct tern_err *err)
{
    while (bytes.n > 0) {
        ssize_t wrote = write(fd, bytes.p, bytes.n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return fail_errno(err, "cannot write a file");
        bytes = tern_str_from(bytes, (size_t)wrote);
    }
    return TERN_OK;
}

enum tern_code tern_scratch_write(const char *folder, struct tern_str name, struct tern_str bytes,
                                  struct tern_err *err)
{
    char path[PATH_ROOM + TERN_SCRATCH_NAME_MAX + 2];

    if (!tern_scratch_is_inside(name))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "'%.*s' is no path of a file in a folder",
                         (int)(name.n > 100 ? 100 : name.n), name.n == 0 ? "" : name.p);
    snprintf(path, sizeof(path), "%.*s/%.*s", PATH_ROOM, folder, TERN_STR_ARG(name));
    TERN_TRY(make_folders(path, strlen(folder) + 1, err));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(err, "cannot write a file");
    enum tern_code code = write_all(fd, bytes, err);
    if (close(fd) != 0 && code == TERN_OK)
        code = fail_errno(err, "cannot write a file");
    return code;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    remove(path);
    return 0; /* what cannot be removed stays; the rest goes */
}

void tern_scratch_free(char *folder)
{
    if (folder == NULL)
        return;
    nftw(folder, remove_one, FDS_AT_END, FTW_DEPTH | FTW_PHYS);
    tern_mem_free(folder);
}
