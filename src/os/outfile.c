#include "os/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum tern_code tern_outfile_open(const char *path, int *ret_fd, struct tern_err *err)
{
    char text[128];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

    if (fd < 0)
        return tern_fail(err, errno == ENOENT ? TERN_NOT_FOUND : TERN_INTERNAL, "%s: %s", path,
                         strerror_r(errno, text, sizeof(text)));
    *ret_fd = fd;
    return TERN_OK;
}

enum tern_code tern_outfile_write(int fd, uint64_t at, struct tern_str bytes, struct tern_err *err)
{
    char text[128];

    while (bytes.n > 0) {
        ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return tern_fail(err, TERN_INTERNAL, "cannot write a file: %s",
                             strerror_r(n < 0 ? errno : ENOSPC, text, sizeof(text)));
        at += (uint64_t)n;
        bytes = tern_str_from(bytes, (size_t)n);
    }
    return TERN_OK;
}

void tern_outfile_close(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

enum tern_code tern_outfile_allow_run(int fd, struct tern_err *err)
{
    char text[128];

    if (fchmod(fd, 0750) != 0)
        return tern_fail(err, TERN_INTERNAL, "a file cannot be made a program: %s",
                         strerror_r(errno, text, sizeof(text)));
    return TERN_OK;
}

enum tern_code tern_outfile_make_folder(const char *path, struct tern_err *err)
{
    char text[128];

    if (mkdir(path, 0750) != 0)
        return tern_fail(err, errno == EEXIST ? TERN_ALREADY_EXISTS : TERN_INTERNAL, "%s: %s", path,
                         strerror_r(errno, text, sizeof(text)));
    return TERN_OK;
}
