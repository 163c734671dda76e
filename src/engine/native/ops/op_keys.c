#include "engine/native/ops/op_keys.h"

#include <math.h>
#include <string.h>
#include "base/hash.h"
#include "engine/native/ops/op_cells.h"

/* A number as a double; what is equal gets equal bytes. */
static double plain(double x)
{
    return isnan(x) ? (double)NAN : x == 0 ? 0 : x;
}

static bool is_nan(enum tern_dtype dtype, const void *cells, size_t i)
{
    if (dtype == TERN_DTYPE_FP32)
        return isnan(((const float *)cells)[i]);
    return dtype == TERN_DTYPE_FP64 && isnan(((const double *)cells)[i]);
}

static uint64_t hash_of(enum tern_dtype dtype, const void *cells, size_t i)
{
    int64_t whole;
    double real;

    if (dtype == TERN_DTYPE_BYTES)
        return tern_hash_bytes(((const struct tern_str *)cells)[i], 0);
    if (dtype == TERN_DTYPE_INT64) {
        whole = ((const int64_t *)cells)[i];
        return tern_hash_bytes(tern_str_make((const char *)&whole, sizeof(whole)), 0);
    }
    real = dtype == TERN_DTYPE_FP32 ? plain((double)((const float *)cells)[i])
                                    : plain(((const double *)cells)[i]);
    return tern_hash_bytes(tern_str_make((const char *)&real, sizeof(real)), 0);
}

static bool is_equal(enum tern_dtype dtype, const void *a, size_t i, const void *b, size_t k)
{
    if (dtype == TERN_DTYPE_BYTES)
        return tern_str_eq(((const struct tern_str *)a)[i], ((const struct tern_str *)b)[k]);
    if (dtype == TERN_DTYPE_INT64)
        return ((const int64_t *)a)[i] == ((const int64_t *)b)[k];
    if (is_nan(dtype, a, i) || is_nan(dtype, b, k))
        return is_nan(dtype, a, i) && is_nan(dtype, b, k);
    if (dtype == TERN_DTYPE_FP32)
        return ((const float *)a)[i] == ((const float *)b)[k];
    return ((const double *)a)[i] == ((const double *)b)[k];
}

/* The slot of a cell: its key's, or a free one. */
static uint32_t *slot_of(const struct tern_op_keys *keys, const void *cells, size_t i)
{
    uint32_t at = (uint32_t)hash_of(keys->dtype, cells, i) & keys->mask;

    while (keys->slots[at] != 0 &&
           !is_equal(keys->dtype, keys->cells, keys->slots[at] - 1, cells, i))
        at = (at + 1) & keys->mask;
    return &keys->slots[at];
}

static enum tern_code copy_cells(struct tern_arena *arena, enum tern_dtype dtype, const void *cells,
                                 size_t n, void *copy, struct tern_err *err)
{
    if (n > 0)
        memcpy(copy, cells, n * tern_op_cells_size(dtype));
    for (size_t i = 0; dtype == TERN_DTYPE_BYTES && i < n; i++) {
        struct tern_str *text = (struct tern_str *)copy + i;
        size_t length = text->n;
        *text = tern_arena_copy(arena, *text);
        if (text->p == NULL && length > 0)
            return tern_arena_fail(arena, err, "the keys");
    }
    return TERN_OK;
}

enum tern_code tern_op_keys_make(struct tern_arena *arena, enum tern_dtype dtype, const void *cells,
                                 size_t n, bool last_counts, bool finds_nan,
                                 struct tern_op_keys *ret_keys, struct tern_err *err)
{
    size_t size = 8;

    if (n > TERN_OP_KEYS_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "there are %zu keys, at most %u are taken",
                         n, TERN_OP_KEYS_MAX);
    while (size < 2 * n)
        size *= 2;
    void *copy = tern_arena_zalloc(arena, n + 1, tern_op_cells_size(dtype));
    struct tern_op_keys keys = {
        .dtype = dtype,
        .cells = copy,
        .n = (uint32_t)n,
        .mask = (uint32_t)size - 1,
        .slots = tern_arena_zalloc(arena, size, sizeof(uint32_t)),
        .finds_nan = finds_nan,
    };
    if (copy == NULL || keys.slots == NULL)
        return tern_arena_fail(arena, err, "the keys");
    TERN_TRY(copy_cells(arena, dtype, cells, n, copy, err));
    for (size_t i = 0; i < n; i++) {
        uint32_t *slot = slot_of(&keys, copy, i);
        if (*slot == 0 || last_counts)
            *slot = (uint32_t)i + 1;
    }
    *ret_keys = keys;
    return TERN_OK;
}

void tern_op_keys_points(const struct tern_op_keys *keys, struct tern_state *to)
{
    tern_state_cells(to, &keys->cells, keys->dtype, keys->n);
    tern_state_points(to, &keys->slots, ((size_t)keys->mask + 1) * sizeof(*keys->slots));
}

bool tern_op_keys_find(const struct tern_op_keys *keys, const void *cells, size_t i,
                       uint32_t *ret_number)
{
    if (!keys->finds_nan && is_nan(keys->dtype, cells, i))
        return false;
    uint32_t slot = *slot_of(keys, cells, i);
    *ret_number = slot - 1;
    return slot != 0;
}
