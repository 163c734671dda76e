/* What fuzz targets hold against what they made of their input: a condition that is false ends the
 * process. */
#ifndef TERN_TESTS_FUZZ_REQUIRE_H
#define TERN_TESTS_FUZZ_REQUIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include "core/tensor.h"

static inline void require(bool condition)
{
    if (!condition)
        abort();
}

/* The tensor has as many bytes as its shape and datatype say. */
static inline void require_size(const struct tern_tensor *tensor)
{
    size_t count;

    require(tern_shape_count(&tensor->shape, &count));
    if (tensor->dtype == TERN_DTYPE_BYTES)
        require(tern_tensor_check_bytes(tensor->name, tensor->data, tensor->n_bytes, count, NULL) ==
                TERN_OK);
    else
        require(tensor->n_bytes == count * tern_dtype_size(tensor->dtype));
}

/* All of them are there: a sanitizer sees each touched. */
static inline void require_bytes(const struct tern_tensor *tensor)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < tensor->n_bytes; i++)
        sum += ((const uint8_t *)tensor->data)[i];
    require(sum < UINT64_MAX);
}

#endif
