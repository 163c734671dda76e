/* Numbers as text: digit pairs for integers, shortest round-trip forms for floats. */
#include <string.h>

#include "simd/decimal.h"
#include "simd/half.h"
#include "simd/numbers_int.h"
#include "simd/simd.h"

/* Plain notation for 10^-4 <= |v| < 10^16, what readers of Python's output are used to. */
#define PLAIN_MIN (-4)
#define PLAIN_MAX 16
/* "-0.000" and 17 digits, or "-" 17 digits "." "e-324": never more than this with the comma. */
#define FLOAT_BYTES 32

static unsigned count_digits(uint64_t v)
{
    unsigned n = 1;
    for (; v >= 10000; v /= 10000)
        n += 4;
    return n + (v >= 10) + (v >= 100) + (v >= 1000);
}

/* The eight digits of v, below 10^8, as text; the first in the lowest byte. Halves, quarters and
 * eighths of the word are divided at once: by 10000, by 100 (10486 / 2^20), by 10 (103 / 2^10). */
static uint64_t eight_digits(uint64_t v)
{
    uint64_t high = v / 10000;
    uint64_t fours = high | (v - high * 10000) << 32;
    high = (fours * 10486 >> 20) & 0x0000007f0000007fu;
    uint64_t pairs = high | (fours - high * 100) << 16;
    high = (pairs * 103 >> 10) & 0x000f000f000f000fu;
    return (high | (pairs - high * 10) << 8) + 0x3030303030303030u;
}

static void put_eight(char *out, uint64_t text)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    text = __builtin_bswap64(text);
#endif
    memcpy(out, &text, sizeof(text));
}

/* Exactly n digits of v to out, which has room for eight bytes more. */
static void put_digits(char *out, uint64_t v, unsigned n)
{
    const uint64_t ten8 = 100000000;
    uint64_t rest[2] = {0};
    unsigned eights = n > 16 ? 2 : n > 8;
    for (unsigned i = eights; i > 0; i--) {
        rest[i - 1] = v % ten8;
        v /= ten8;
    }
    /* The head first: its surplus bytes are overwritten by what follows. */
    n -= 8 * eights;
    put_eight(out, eight_digits(v) >> (8 * (8 - n)));
    for (unsigned i = 0; i < eights; i++)
        put_eight(out + n + 8 * (size_t)i, eight_digits(rest[i]));
}

static char *put_u64(char *out, uint64_t v)
{
    unsigned n = count_digits(v);
    put_digits(out, v, n);
    return out + n;
}

static char *put_i64(char *out, int64_t v)
{
    uint64_t magnitude = v < 0 ? -(uint64_t)v : (uint64_t)v;
    *out = '-';
    return put_u64(out + (v < 0), magnitude);
}

static char *put_text(char *out, struct tern_str text)
{
    memcpy(out, text.p, text.n);
    return out + text.n;
}

/* d.ddde-7 */
static char *put_scientific(char *out, uint64_t digits, unsigned n, int point)
{
    put_digits(out + 1, digits, n);
    out[0] = out[1];
    out[1] = '.';
    out += n == 1 ? 1 : n + 1;
    *out++ = 'e';
    return put_i64(out, point - 1);
}

static char *put_decimal(char *out, struct tern_decimal_short d)
{
    unsigned n = count_digits(d.digits);
    int point = (int)n + d.exp10; /* value = 0.digits * 10^point */

    if (point <= PLAIN_MIN || point > PLAIN_MAX)
        return put_scientific(out, d.digits, n, point);
    if (point <= 0) {
        put_text(out, TERN_STR("0.0000"));
        out += 2 - point;
        put_digits(out, d.digits, n);
        return out + n;
    }
    if (d.exp10 >= 0) {
        put_digits(out, d.digits, n);
        memset(out + n, '0', (size_t)d.exp10);
        return put_text(out + point, TERN_STR(".0"));
    }
    /* Digits on both sides of the point: at most 17, so 10^16 is enough. */
    static const uint64_t powers[17] = {
        1,
        10,
        100,
        1000,
        10000,
        100000,
        1000000,
        10000000,
        100000000,
        1000000000,
        10000000000,
        100000000000,
        1000000000000,
        10000000000000,
        100000000000000,
        1000000000000000,
        10000000000000000,
    };
    uint64_t scale = powers[-d.exp10];
    put_digits(out, d.digits / scale, (unsigned)point);
    out[point] = '.';
    put_digits(out + point + 1, d.digits % scale, (unsigned)-d.exp10);
    return out + n + 1;
}

static char *put_special(char *out, bool is_zero, bool negative)
{
    if (!is_zero) {
        return put_text(out, TERN_STR("null"));
    }
    *out = '-';
    out += negative;
    return put_text(out, TERN_STR("0.0"));
}

static char *put_f64(char *out, double v)
{
    bool negative = __builtin_signbit(v) != 0;
    double magnitude = negative ? -v : v;
    if (!(magnitude > 0 && magnitude <= __DBL_MAX__))
        return put_special(out, v == 0, negative);
    *out = '-';
    return put_decimal(out + negative, tern_decimal_shortest_f64(magnitude));
}

char *tern_numbers_put_f32(char *out, float v)
{
    bool negative = __builtin_signbit(v) != 0;
    float magnitude = negative ? -v : v;
    if (!(magnitude > 0 && magnitude <= __FLT_MAX__))
        return put_special(out, v == 0, negative);
    *out = '-';
    return put_decimal(out + negative, tern_decimal_shortest_f32(magnitude));
}

static char *put_bool(char *out, uint8_t v)
{
    return put_text(out, v != 0 ? TERN_STR("true") : TERN_STR("false"));
}

size_t tern_numbers_write_bound(enum tern_dtype dtype, size_t count)
{
    static const uint8_t bytes[TERN_DTYPE_COUNT] = {
        [TERN_DTYPE_BOOL] = 6,           [TERN_DTYPE_UINT8] = 4,
        [TERN_DTYPE_INT8] = 5,           [TERN_DTYPE_UINT16] = 6,
        [TERN_DTYPE_INT16] = 7,          [TERN_DTYPE_UINT32] = 11,
        [TERN_DTYPE_INT32] = 12,         [TERN_DTYPE_UINT64] = 21,
        [TERN_DTYPE_INT64] = 21,         [TERN_DTYPE_FP16] = FLOAT_BYTES,
        [TERN_DTYPE_BF16] = FLOAT_BYTES, [TERN_DTYPE_FP32] = FLOAT_BYTES,
        [TERN_DTYPE_FP64] = FLOAT_BYTES,
    };
    size_t each = bytes[(unsigned)dtype < TERN_DTYPE_COUNT ? dtype : 0];
    /* The slack lets kernels store whole vectors. */
    return count > (SIZE_MAX - TERN_TEXT_PAD) / FLOAT_BYTES ? SIZE_MAX
                                                            : count * each + TERN_TEXT_PAD;
}

#define WRITE_LOOP(type, put)                                    \
    for (size_t i = 0; i < count; i++) {                         \
        type v;                                                  \
        memcpy(&v, (const char *)in + i * sizeof(v), sizeof(v)); \
        p = put;                                                 \
        *p++ = ',';                                              \
    }                                                            \
    break

/* A kernel takes as long for its first eight as this loop for four. */
#define KERNEL_COUNT_MIN 5

static char *write_f32(char *p, const void *in, size_t count)
{
    if (tern_simd.numbers_write_f32 != NULL && count >= KERNEL_COUNT_MIN)
        return tern_simd.numbers_write_f32(in, count, p);
    for (size_t i = 0; i < count; i++) {
        float v;
        memcpy(&v, (const char *)in + i * sizeof(v), sizeof(v));
        p = tern_numbers_put_f32(p, v);
        *p++ = ',';
    }
    return p;
}

/* By way of floats, a cache-sized piece at a time. */
static char *write_half(char *p, enum tern_dtype dtype, const void *in, size_t count)
{
    TERN_UNINITIALIZED uint16_t half[256];
    TERN_UNINITIALIZED float wide[TERN_COUNT_OF(half)];
    for (size_t i = 0; i < count; i += TERN_COUNT_OF(wide)) {
        size_t n = count - i < TERN_COUNT_OF(wide) ? count - i : TERN_COUNT_OF(wide);
        memcpy(half, (const char *)in + i * sizeof(half[0]), n * sizeof(half[0]));
        if (dtype == TERN_DTYPE_FP16)
            tern_half_to_f32_array(half, wide, n);
        else
            tern_half_bf16_to_f32_array(half, wide, n);
        p = write_f32(p, wide, n);
    }
    return p;
}

size_t tern_numbers_write(enum tern_dtype dtype, const void *in, size_t count, char *out)
{
    char *p = out;
    switch (dtype) {
    case TERN_DTYPE_BOOL:
        WRITE_LOOP(uint8_t, put_bool(p, v));
    case TERN_DTYPE_UINT8:
        WRITE_LOOP(uint8_t, put_u64(p, v));
    case TERN_DTYPE_UINT16:
        WRITE_LOOP(uint16_t, put_u64(p, v));
    case TERN_DTYPE_UINT32:
        WRITE_LOOP(uint32_t, put_u64(p, v));
    case TERN_DTYPE_UINT64:
        WRITE_LOOP(uint64_t, put_u64(p, v));
    case TERN_DTYPE_INT8:
        WRITE_LOOP(int8_t, put_i64(p, v));
    case TERN_DTYPE_INT16:
        WRITE_LOOP(int16_t, put_i64(p, v));
    case TERN_DTYPE_INT32:
        WRITE_LOOP(int32_t, put_i64(p, v));
    case TERN_DTYPE_INT64:
        WRITE_LOOP(int64_t, put_i64(p, v));
    case TERN_DTYPE_FP16:
    case TERN_DTYPE_BF16:
        p = write_half(p, dtype, in, count);
        break;
    case TERN_DTYPE_FP32:
        p = write_f32(p, in, count);
        break;
    case TERN_DTYPE_FP64:
        WRITE_LOOP(double, put_f64(p, v));
    case TERN_DTYPE_INVALID:
    case TERN_DTYPE_BYTES:
    default:
        break;
    }
    return p == out ? 0 : (size_t)(p - out) - 1;
}

size_t tern_numbers_write_double(double value, char out[32])
{
    return (size_t)(put_f64(out, value) - out);
}
