#include "engine/onnx/onnx_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum tern_code tern_onnx_files_open(const char *path, struct tern_onnx_folder *ret_folder,
                                    struct tern_err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash - path) + 1; /* with the slash: "/" stays */

    if (!tern_str_copy_z(n == 0 ? TERN_STR("./") : tern_str_make(path, n), folder, sizeof(folder)))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the model's path is too long");
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return tern_fail(err, TERN_UNAVAILABLE, "the model's folder cannot be opened: %s",
                         strerror(errno));
    *ret_folder = (struct tern_onnx_folder){.fd = fd};
    return TERN_OK;
}

void tern_onnx_files_close(struct tern_onnx_folder *folder)
{
    if (folder->fd >= 0)
        close(folder->fd);
    folder->fd = -1;
}

/* Part by part, so that no symbolic link takes part anywhere on the way. The scan has already
 * refused "..", and empty parts. */
static int open_inside(int folder_fd, struct tern_str location)
{
    char name[NAME_MAX + 1];
    struct tern_str rest = location;
    struct tern_str part;
    int at = folder_fd;

    while (at >= 0 && tern_str_split(&rest, '/', &part)) {
        int flags = O_NOFOLLOW | O_CLOEXEC | O_RDONLY | O_NONBLOCK;
        if (rest.n > 0)
            flags |= O_DIRECTORY;
        errno = ENAMETOOLONG;
        int next = tern_str_copy_z(part, name, sizeof(name)) ? openat(at, name, flags) : -1;
        if (at != folder_fd) {
            int reason = errno;
            close(at);
            errno = reason;
        }
        at = next;
    }
    return at;
}

static enum tern_code check_file(struct tern_onnx_folder *folder,
                                 const struct tern_onnx_external *tensor, struct tern_err *err)
{
    struct stat st;
    int fd = open_inside(folder->fd, tensor->location);
    if (fd < 0)
        return tern_fail(
            err, errno == ENOENT ? TERN_NOT_FOUND : TERN_INVALID_ARGUMENT,
            "the data of tensor '%.*s' cannot be used: %s", TERN_STR_ARG(tensor->tensor),
            errno == ELOOP || errno == ENOTDIR ? "a symbolic link is on its way" : strerror(errno));
    int bad = fstat(fd, &st);
    close(fd);
    if (bad != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the data of tensor '%.*s' cannot be used: its file is not a regular one "
                         "with a single name (hard link)",
                         TERN_STR_ARG(tensor->tensor));
    folder->file = tensor->location;
    folder->file_size = (uint64_t)st.st_size;
    return TERN_OK;
}

enum tern_code tern_onnx_files_check(void *arg, const struct tern_onnx_external *tensor,
                                     struct tern_err *err)
{
    struct tern_onnx_folder *folder = arg;

    if (folder->fd < 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "tensor '%.*s' has its data in another file, and the model came without "
                         "its folder",
                         TERN_STR_ARG(tensor->tensor));
    if (!tern_str_eq(folder->file, tensor->location))
        TERN_TRY(check_file(folder, tensor, err));
    if (tensor->offset > folder->file_size || tensor->length > folder->file_size - tensor->offset)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the data of tensor '%.*s' reaches past the end of its file: %llu bytes "
                         "from byte %llu of %llu",
                         TERN_STR_ARG(tensor->tensor), (unsigned long long)tensor->length,
                         (unsigned long long)tensor->offset, (unsigned long long)folder->file_size);
    return TERN_OK;
}
