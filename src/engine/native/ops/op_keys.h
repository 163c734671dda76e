/* A table from keys (numbers or texts) to their number, made at load. */
#ifndef TERN_ENGINE_NATIVE_OP_KEYS_H
#define TERN_ENGINE_NATIVE_OP_KEYS_H

#include <stdbool.h>
#include "base/arena.h"
#include "core/tensor.h"
#include "engine/native/state.h"

struct tern_op_keys {
    enum tern_dtype dtype; /* INT64, FP32, FP64 or BYTES */
    const void *cells;     /* numbers, or tern_str; arena */
    uint32_t n;
    uint32_t mask;
    uint32_t *slots; /* number + 1; 0: free */
    bool finds_nan;  /* NaN is a key as any other; else it is never found */
};

#define TERN_OP_KEYS_MAX (1u << 24)

/* Copies n cells. Of equal keys the last one counts, or the first. */
enum tern_code tern_op_keys_make(struct tern_arena *arena, enum tern_dtype dtype, const void *cells,
                                 size_t n, bool last_counts, bool finds_nan,
                                 struct tern_op_keys *ret_keys, struct tern_err *err);
/* Whether cell i of `cells` is a key, and its number. */
bool tern_op_keys_find(const struct tern_op_keys *keys, const void *cells, size_t i,
                       uint32_t *ret_number);
/* For states that have keys. */
void tern_op_keys_points(const struct tern_op_keys *keys, struct tern_state *to);

#endif
