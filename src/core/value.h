/* Single numbers of tensors, whatever their datatype. */
#ifndef TERN_CORE_VALUE_H
#define TERN_CORE_VALUE_H

#include <stdbool.h>
#include "core/tensor.h"

/* Element i as a double. Integers beyond 2^53 lose digits; BYTES give NaN. */
double tern_value_get(const struct tern_tensor *tensor, size_t i);
/* False when dtype cannot hold v: a fraction in an integer, out of range, a string. Floats round.
 */
TERN_MUST_USE bool tern_value_set(enum tern_dtype dtype, void *data, size_t i, double v);

#endif
