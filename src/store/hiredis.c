#define TERN_HIREDIS_LOADER
#include "store/hiredis.h"

#include <stddef.h>
#include "base/compiler.h"
#include "os/dl.h"

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define LIBRARY  "libhiredis.so." TEXT(HIREDIS_SONAME)

struct tern_hiredis tern_hiredis;
static struct tern_dl *library;

static const struct tern_dl_entry functions[] = {
#define X(name) {#name, offsetof(struct tern_hiredis, p_##name)},
    TERN_HIREDIS_FUNCTIONS(X)
#undef X
};

static enum tern_code load(struct tern_err *err)
{
    struct tern_hiredis found;

    TERN_TRY(tern_dl_load(LIBRARY, functions, TERN_COUNT_OF(functions), &found, &library, err));
    tern_hiredis = found;
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
