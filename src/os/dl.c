#include "os/dl.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The handle of dlopen is already a pointer to something hidden: struct tern_dl is its name here,
 * never defined. */

static const char *linker_text(void)
{
    const char *text = dlerror();
    return text == NULL ? "unknown reason" : text;
}

enum tern_code tern_dl_open(const char *name, struct tern_dl **ret_dl, struct tern_err *err)
{
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return tern_fail(err, TERN_NOT_FOUND, "%s", linker_text());
    *ret_dl = handle;
    return TERN_OK;
}

enum tern_code tern_dl_symbol(struct tern_dl *dl, const char *symbol, tern_dl_fn *ret_fn,
                              struct tern_err *err)
{
    void *address = dlsym(dl, symbol);
    if (address == NULL)
        return tern_fail(err, TERN_NOT_FOUND, "%s", linker_text());
    /* POSIX wants this conversion to work; C has no cast for it. */
    _Static_assert(sizeof(address) == sizeof(*ret_fn), "code and data pointers differ in size");
    memcpy(ret_fn, &address, sizeof(address));
    return TERN_OK;
}

void tern_dl_close(struct tern_dl *dl)
{
    if (dl != NULL)
        dlclose(dl);
}

enum tern_code tern_dl_exe_folder(char *dst, size_t cap, struct tern_err *err)
{
    ssize_t n = readlink("/proc/self/exe", dst, cap);
    if (n < 0)
        return tern_fail(err, TERN_UNAVAILABLE, "/proc/self/exe: %s", strerror(errno));
    if ((size_t)n >= cap)
        return tern_fail(err, TERN_OUT_OF_RANGE, "the program's path has more than %zu bytes", cap);
    dst[n] = '\0';
    char *slash = strrchr(dst, '/');
    if (slash != NULL && slash != dst)
        *slash = '\0';
    return TERN_OK;
}
