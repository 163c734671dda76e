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

/* X(dtype, C type): those whose values are read and stored as they are. */
#define PLAIN_TYPES(X)                             \
    X(UINT8, uint8_t, 0, UINT8_MAX)                \
    X(UINT16, uint16_t, 0, UINT16_MAX)             \
    X(UINT32, uint32_t, 0, UINT32_MAX)             \
    X(UINT64, uint64_t, 0, 18446744073709549568.0) \
    X(INT8, int8_t, INT8_MIN, INT8_MAX)            \
    X(INT16, int16_t, INT16_MIN, INT16_MAX)        \
    X(INT32, int32_t, INT32_MIN, INT32_MAX)        \
    X(INT64, int64_t, -9223372036854775808.0, 9223372036854774784.0)

double tern_value_get(const struct tern_tensor *tensor, size_t i)
{
    const char *at = (const char *)tensor->data + i * tern_dtype_size(tensor->dtype);
    uint16_t half;
    float single;
    double real;

    switch (tensor->dtype) {
#define X(name, type, min, max)              \
    case TERN_DTYPE_##name: {                \
        type value_;                         \
        memcpy(&value_, at, sizeof(value_)); \
        return (double)value_;               \
    }
        PLAIN_TYPES(X)
#undef X
    case TERN_DTYPE_BOOL:
        return *at != 0;
    case TERN_DTYPE_FP16:
        memcpy(&half, at, 2);
        return (double)tern_half_to_f32(half);
    case TERN_DTYPE_BF16:
        memcpy(&half, at, 2);
        return (double)tern_half_bf16_to_f32(half);
    case TERN_DTYPE_FP32:
        memcpy(&single, at, 4);
        return (double)single;
    case TERN_DTYPE_FP64:
        memcpy(&real, at, 8);
        return real;
    case TERN_DTYPE_BYTES:
    case TERN_DTYPE_INVALID:
    default:
        return NAN;
    }
}

/* A finite double beyond the range of a smaller float is refused rather than made infinite. */
static bool set_float(enum tern_dtype dtype, char *at, double v)
{
    float single = (float)v;
    uint16_t half = dtype == TERN_DTYPE_FP16 ? tern_half_from_f64(v) : tern_half_bf16_from_f64(v);
    float back = dtype == TERN_DTYPE_FP16 ? tern_half_to_f32(half) : tern_half_bf16_to_f32(half);

    if (dtype == TERN_DTYPE_FP64) {
        memcpy(at, &v, 8);
        return true;
    }
    if (dtype == TERN_DTYPE_FP32) {
        memcpy(at, &single, 4);
        return !isinf(single) || isinf(v);
    }
    memcpy(at, &half, 2);
    return !isinf(back) || isinf(v);
}

bool tern_value_set(enum tern_dtype dtype, void *data, size_t i, double v)
{
    char *at = (char *)data + i * tern_dtype_size(dtype);

    switch (dtype) {
#define X(name, type, min, max)                                           \
    case TERN_DTYPE_##name: {                                             \
        if (!(v >= (double)(min) && v <= (double)(max)) || v != trunc(v)) \
            return false;                                                 \
        type value_ = (type)v;                                            \
        memcpy(at, &value_, sizeof(value_));                              \
        return true;                                                      \
    }
        PLAIN_TYPES(X)
#undef X
    case TERN_DTYPE_BOOL:
        *at = v > 0;
        return v == 0 || v == 1;
    case TERN_DTYPE_FP16:
    case TERN_DTYPE_BF16:
    case TERN_DTYPE_FP32:
    case TERN_DTYPE_FP64:
        return set_float(dtype, at, v);
    case TERN_DTYPE_BYTES:
    case TERN_DTYPE_INVALID:
    default:
        return false;
    }
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
