#include "engine/native/convert.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Through the widest number of its kind: one loop out of each datatype and one into each, instead
 * of one for every pair. A block at a time, so that the middle stays in the nearest cache. */
#define BLOCK 256

#define TWO_TO_63 9223372036854775808.0

union middle {
    int64_t whole[BLOCK];
    uint64_t natural[BLOCK];
    double real[BLOCK];
};

enum kind { WHOLE, NATURAL, REAL, OTHER };

static enum kind kind_of(enum tern_dtype dtype)
{
    switch (dtype) {
    case TERN_DTYPE_BOOL:
    case TERN_DTYPE_UINT8:
    case TERN_DTYPE_UINT16:
    case TERN_DTYPE_UINT32:
    case TERN_DTYPE_UINT64:
        return NATURAL;
    case TERN_DTYPE_INT8:
    case TERN_DTYPE_INT16:
    case TERN_DTYPE_INT32:
    case TERN_DTYPE_INT64:
        return WHOLE;
    case TERN_DTYPE_FP32:
    case TERN_DTYPE_FP64:
        return REAL;
    case TERN_DTYPE_INVALID:
    case TERN_DTYPE_FP16:
    case TERN_DTYPE_BF16:
    case TERN_DTYPE_BYTES:
    default:
        return OTHER;
    }
}

bool tern_convert_has(enum tern_dtype from, enum tern_dtype to)
{
    return kind_of(from) != OTHER && kind_of(to) != OTHER;
}

/* X(datatype, type, member of the middle) */
#define NUMBERS(X)               \
    X(UINT8, uint8_t, natural)   \
    X(UINT16, uint16_t, natural) \
    X(UINT32, uint32_t, natural) \
    X(UINT64, uint64_t, natural) \
    X(INT8, int8_t, whole)       \
    X(INT16, int16_t, whole)     \
    X(INT32, int32_t, whole)     \
    X(INT64, int64_t, whole)     \
    X(FP32, float, real)         \
    X(FP64, double, real)

static void widen(enum tern_dtype from, const void *src, union middle *m, size_t n)
{
    if (from == TERN_DTYPE_BOOL)
        from = TERN_DTYPE_UINT8;
#define X(name, type, member)                      \
    if (from == TERN_DTYPE_##name) {               \
        for (size_t i = 0; i < n; i++)             \
            m->member[i] = ((const type *)src)[i]; \
        return;                                    \
    }
    /* NOLINTNEXTLINE(bugprone-signed-char-misuse): an INT8 is a number */
    NUMBERS(X)
#undef X
    memset(m, 0, sizeof(*m)); /* no number: see tern_convert_has */
}

static int64_t whole_of(double v)
{
    return v >= -TWO_TO_63 && v < TWO_TO_63 ? (int64_t)v : INT64_MIN;
}

/* Integers are the same bits in both members: two's complement wraps as C and numpy do. */
static void regard(enum kind from, enum kind to, union middle *m, size_t n)
{
    if (from == REAL && to != REAL) {
        for (size_t i = 0; i < n; i++)
            m->whole[i] = m->real[i] >= TWO_TO_63 && m->real[i] < 2 * TWO_TO_63
                              ? (int64_t)(uint64_t)m->real[i]
                              : whole_of(m->real[i]);
    } else if (from == WHOLE && to == REAL) {
        for (size_t i = 0; i < n; i++)
            m->real[i] = (double)m->whole[i];
    } else if (from == NATURAL && to == REAL) {
        for (size_t i = 0; i < n; i++)
            m->real[i] = (double)m->natural[i];
    }
}

static void narrow(const union middle *m, enum tern_dtype to, void *dst, size_t n)
{
#define X(name, type, member)                      \
    if (to == TERN_DTYPE_##name) {                 \
        for (size_t i = 0; i < n; i++)             \
            ((type *)dst)[i] = (type)m->member[i]; \
        return;                                    \
    }
    NUMBERS(X)
#undef X
}

/* Whether numbers are zero or not is decided before anything is rounded. */
static void narrow_bool(enum kind from, const union middle *m, uint8_t *dst, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = from == REAL ? m->real[i] != 0 : m->natural[i] != 0;
}

void tern_convert(enum tern_dtype from, const void *src, enum tern_dtype to, void *dst, size_t n)
{
    const char *in = src;
    char *out = dst;
    union middle m;

    for (size_t done = 0; done < n; done += BLOCK) {
        size_t some = n - done < BLOCK ? n - done : BLOCK;
        widen(from, in + done * tern_dtype_size(from), &m, some);
        if (to == TERN_DTYPE_BOOL) {
            narrow_bool(kind_of(from), &m, (uint8_t *)out + done, some);
            continue;
        }
        regard(kind_of(from), kind_of(to), &m, some);
        narrow(&m, to, out + done * tern_dtype_size(to), some);
    }
}
