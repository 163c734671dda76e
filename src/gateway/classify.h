/* The classification extension: of an output's values, the N best with their places and names. */
#ifndef TERN_GATEWAY_CLASSIFY_H
#define TERN_GATEWAY_CLASSIFY_H

#include "base/arena.h"
#include "core/model.h"

/* Whether an output of this type has classes: numbers do. INVALID_ARGUMENT in Triton's words. */
enum tern_code tern_classify_check(enum tern_dtype dtype, struct tern_err *err);
/* Puts strings "value:index" or "value:index:label" in the place of the tensor's values, the best
 * first: the n largest of each row, or as many as there are. `batched`: each index of the first
 * dimension is a row and the shape becomes [rows, n]; else all is one row and the shape is [n]. Of
 * equal values the one with the lower index wins; NaN comes last. labels: NULL or with n == 0 when
 * there are none. */
enum tern_code tern_classify(struct tern_tensor *tensor, uint32_t n, bool batched,
                             const struct tern_labels *labels, struct tern_arena *arena,
                             struct tern_err *err);

#endif
