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

/* A library's functions as a table of pointers, for a library that is there only when it is
 * needed. */
struct tern_dl_entry {
    const char *symbol;
    size_t at; /* where its pointer lies in the table */
};

/* Opens the library and fills the table; closes it again when a symbol is missing. */
enum tern_code tern_dl_load(const char *name, const struct tern_dl_entry *entries, size_t n,
                            void *table, struct tern_dl **ret_dl, struct tern_err *err);

/* The folder of the running program, without a slash at the end. */
enum tern_code tern_dl_exe_folder(char *dst, size_t cap, struct tern_err *err);

#endif
