/* Over the port, so that tests can replace that. */
#include <string.h>
#include "os/dl.h"

enum tern_code tern_dl_load(const char *name, const struct tern_dl_entry *entries, size_t n,
                            void *table, struct tern_dl **ret_dl, struct tern_err *err)
{
    struct tern_dl *dl;
    tern_dl_fn fn;

    TERN_TRY(tern_dl_open(name, &dl, err));
    for (size_t i = 0; i < n; i++) {
        enum tern_code code = tern_dl_symbol(dl, entries[i].symbol, &fn, err);
        if (code != TERN_OK) {
            tern_dl_close(dl);
            return code;
        }
        memcpy((char *)table + entries[i].at, &fn,
               sizeof(fn)); /* pointers to functions are alike */
    }
    *ret_dl = dl;
    return TERN_OK;
}
