#define TERN_HIREDIS_LOADER
#include "store/hiredis.h"

#include <stddef.h>
#include <string.h>
#include "base/compiler.h"
#include "os/dl.h"

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define LIBRARY  "libhiredis.so." TEXT(HIREDIS_SONAME)

struct tern_hiredis tern_hiredis;
static struct tern_dl *library;

static const struct {
    const char *name;
    size_t at; /* of its pointer in struct tern_hiredis */
} functions[] = {
#define X(name) {#name, offsetof(struct tern_hiredis, p_##name)},
    TERN_HIREDIS_FUNCTIONS(X)
#undef X
};

static enum tern_code load(struct tern_err *err)
{
    struct tern_hiredis found;
    struct tern_dl *dl;
    tern_dl_fn fn;

    TERN_TRY(tern_dl_open(LIBRARY, &dl, err));
    for (size_t i = 0; i < TERN_COUNT_OF(functions); i++) {
        enum tern_code code = tern_dl_symbol(dl, functions[i].name, &fn, err);
        if (code != TERN_OK) {
            tern_dl_close(dl);
            return code;
        }
        memcpy((char *)&found + functions[i].at, &fn, sizeof(fn)); /* pointers to functions */
    }
    tern_hiredis = found;
    library = dl;
    return TERN_OK;
}

enum tern_code tern_hiredis_load(struct tern_err *err)
{
    struct tern_err why;

    if (library != NULL || load(&why) == TERN_OK)
        return TERN_OK;
    return tern_fail(err, TERN_UNAVAILABLE, "sharing answers through Redis needs hiredis (%s): %s",
                     LIBRARY, why.text);
}
