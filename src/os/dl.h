/* The port to the dynamic linker: dlopen(3), dlsym(3). Thread-safe. */
#ifndef TERN_OS_DL_H
#define TERN_OS_DL_H

#include <stddef.h>
#include "base/err.h"

struct tern_dl;

/* A function of unknown type: the caller converts it to the one that it knows. */
typedef void (*tern_dl_fn)(void);

/* Loads a library with all its symbols resolved now and none of them visible to others. A name
 * without a slash is looked for where the system looks. NOT_FOUND with the linker's own words. */
enum tern_code tern_dl_open(const char *name, struct tern_dl **ret_dl, struct tern_err *err);
/* NOT_FOUND when the library has no such symbol. */
enum tern_code tern_dl_symbol(struct tern_dl *dl, const char *symbol, tern_dl_fn *ret_fn,
                              struct tern_err *err);
void tern_dl_close(struct tern_dl *dl);

/* The folder of the running program, without a slash at the end. */
enum tern_code tern_dl_exe_folder(char *dst, size_t cap, struct tern_err *err);

#endif
