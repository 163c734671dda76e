#include "cli/values.h"

#include <math.h>
#include "simd/half.h"
#include "simd/numbers.h"

bool tern_value_is_float(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_FP16 || dtype == TERN_DTYPE_BF16 || dtype == TERN_DTYPE_FP32 ||
           dtype == TERN_DTYPE_FP64;
}

bool tern_value_is_integer(enum tern_dtype dtype)
{
    return dtype >= TERN_DTYPE_UINT8 && dtype <= TERN_DTYPE_INT64;
}

size_t tern_value_rows(const struct tern_shape *shape)
{
    return shape->rank == 0 ? 1 : (size_t)shape->dim[0];
}

size_t tern_value_row_size(const struct tern_shape *shape)
{
    struct tern_shape row = {.rank = shape->rank > 0 ? shape->rank - 1 : 0};
    size_t count;

    for (int i = 0; i < row.rank; i++)
        row.dim[i] = shape->dim[i + 1];
    return tern_shape_count(&row, &count) && count > 0 ? count : 1;
}

struct tern_str tern_value_string(const struct tern_tensor *tensor, size_t i)
{
    struct tern_str s = {NULL, 0};
    size_t at = 0;

    for (size_t k = 0; k <= i; k++) {
        if (!tern_tensor_next_bytes(tensor, &at, &s))
            return tern_str_make(NULL, 0);
    }
    return s;
}

static void print_number(const struct tern_tensor *tensor, size_t i, struct tern_buf *out)
{
    size_t size = tern_dtype_size(tensor->dtype);
    _Alignas(8) char one[8];

    memcpy(one, (const char *)tensor->data + i * size, size);
    double v = tern_value_get(tensor, i);
    if (isnan(v) || isinf(v)) {
        tern_buf_printf(out, "%s", isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
        return;
    }
    if (!tern_buf_reserve(out, tern_numbers_write_bound(tensor->dtype, 1)))
        return;
    size_t n = tern_numbers_write(tensor->dtype, one, 1, out->p + out->n);
    if (n > 2 && memcmp(out->p + out->n + n - 2, ".0", 2) == 0)
        n -= 2;
    out->n += n;
}

void tern_value_print(const struct tern_tensor *tensor, size_t i, struct tern_buf *out)
{
    if (tensor->dtype != TERN_DTYPE_BYTES) {
        print_number(tensor, i, out);
        return;
    }
    struct tern_str s = tern_value_string(tensor, i);
    if (tern_str_is_utf8(s))
        tern_buf_add_str(out, s);
    else
        tern_buf_printf(out, "<%zu bytes>", s.n);
}
