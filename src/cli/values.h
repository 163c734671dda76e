/* Single values of tensors, for people: reading them from text, comparing and printing them. */
#ifndef TERN_CLI_VALUES_H
#define TERN_CLI_VALUES_H

#include <stdbool.h>
#include "base/buf.h"
#include "core/tensor.h"
#include "core/value.h"

/* The shortest text that means the value; strings as they are, or their length when not UTF-8. For
 * BYTES, which have no index, the cost grows with i. */
void tern_value_print(const struct tern_tensor *tensor, size_t i, struct tern_buf *out);
/* Element i of a BYTES tensor; empty past the end. */
struct tern_str tern_value_string(const struct tern_tensor *tensor, size_t i);

bool tern_value_is_float(enum tern_dtype dtype);
bool tern_value_is_integer(enum tern_dtype dtype); /* BOOL is none */

/* Elements of one row: everything but the first dimension, at least 1. */
size_t tern_value_row_size(const struct tern_shape *shape);
size_t tern_value_rows(const struct tern_shape *shape); /* dim[0]; 1 for a scalar */

#endif
