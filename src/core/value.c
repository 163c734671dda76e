#include "core/value.h"

#include <math.h>
#include <string.h>
#include "simd/half.h"

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
