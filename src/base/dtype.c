#include "base/dtype.h"

#include <stdio.h>

struct dtype_row {
    struct tern_str name;
    const char *numpy;
    size_t size;
};

static const struct dtype_row dtype_rows[TERN_DTYPE_COUNT] = {
    [TERN_DTYPE_INVALID] = {{"INVALID", 7}, "", 0},
#define X(name, size, numpy) [TERN_DTYPE_##name] = {{#name, sizeof(#name) - 1}, numpy, size},
    TERN_DTYPES(X)
#undef X
};

static const struct dtype_row *row_of(enum tern_dtype dtype)
{
    unsigned i = (unsigned)dtype;
    return &dtype_rows[i < TERN_DTYPE_COUNT ? i : TERN_DTYPE_INVALID];
}

size_t tern_dtype_size(enum tern_dtype dtype)
{
    return row_of(dtype)->size;
}

const char *tern_dtype_name(enum tern_dtype dtype)
{
    return row_of(dtype)->name.p;
}

const char *tern_dtype_numpy(enum tern_dtype dtype)
{
    return row_of(dtype)->numpy;
}

enum tern_dtype tern_dtype_from_name(struct tern_str name)
{
    if (TERN_LIKELY(tern_str_eq(name, TERN_STR("FP32")))) /* what most models take */
        return TERN_DTYPE_FP32;
    for (unsigned i = 1; i < TERN_DTYPE_COUNT; i++) {
        if (tern_str_eq(name, dtype_rows[i].name))
            return (enum tern_dtype)i;
    }
    return TERN_DTYPE_INVALID;
}

enum tern_dtype tern_dtype_from_config_name(struct tern_str name)
{
    if (!tern_str_starts(name, TERN_STR("TYPE_")))
        return TERN_DTYPE_INVALID;
    struct tern_str rest = tern_str_from(name, 5);
    if (tern_str_eq(rest, TERN_STR("STRING")))
        return TERN_DTYPE_BYTES;
    return tern_str_eq(rest, TERN_STR("BYTES")) ? TERN_DTYPE_INVALID : tern_dtype_from_name(rest);
}

void tern_dtype_config_name(enum tern_dtype dtype, char dst[16])
{
    snprintf(dst, 16, "TYPE_%s", dtype == TERN_DTYPE_BYTES ? "STRING" : tern_dtype_name(dtype));
}
