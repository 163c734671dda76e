/* The portable reader: a loop over nesting, a tight loop over each innermost row. */
#include <float.h>
#include <math.h>

#include "simd/decimal.h"
#include "simd/half.h"
#include "simd/numbers_int.h"
#include "simd/simd.h"

#define EXCERPT 40 /* bytes of the client's text that an error repeats */

/* Most bytes asked about are not: one comparison says so. */
TERN_INLINE bool is_space(char c)
{
    return (unsigned char)c <= ' ' && (c == ' ' || c == '\n' || c == '\t' || c == '\r');
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

/* The token at p, cut to EXCERPT, for messages. */
static struct tern_str excerpt(const char *p, const char *end)
{
    size_t n = 0;
    while (p + n < end && n < EXCERPT && (unsigned char)p[n] > ' ' && (unsigned char)p[n] < 0x7f &&
           (n == 0 || (p[n] != ',' && p[n] != ']')))
        n++;
    return tern_str_make(p, n);
}

static TERN_COLD enum tern_code fail_at(const struct tern_numbers_walk *w, const char *p,
                                        size_t index, const char *expected, struct tern_err *err)
{
    size_t at = (size_t)(p - w->begin);
    if (p >= w->end)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "element %zu, byte %zu: expected %s, got the end of the text", index, at,
                         expected);
    if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "element %zu, byte %zu: expected %s, got byte 0x%02x", index, at, expected,
                         (unsigned)(unsigned char)*p);
    struct tern_str got = excerpt(p, w->end);
    return tern_fail(err, TERN_INVALID_ARGUMENT, "element %zu, byte %zu: expected %s, got '%.*s'",
                     index, at, expected, TERN_STR_ARG(got));
}

/* The value at p is no JSON number: says so, and names the remedy for Python's NaN tokens. */
static TERN_COLD enum tern_code fail_value(const struct tern_numbers_walk *w, const char *p,
                                           size_t index, const char *expected, struct tern_err *err)
{
    struct tern_str token = excerpt(p, w->end);
    struct tern_str bare = tern_str_starts(token, TERN_STR("-")) ? tern_str_from(token, 1) : token;
    if (tern_str_starts(bare, TERN_STR("NaN")) || tern_str_starts(bare, TERN_STR("Infinity")) ||
        tern_str_starts(bare, TERN_STR("nan")) || tern_str_starts(bare, TERN_STR("inf")))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "element %zu, byte %zu: JSON has no %.*s: send binary data instead", index,
                         (size_t)(p - w->begin), TERN_STR_ARG(token));
    return fail_at(w, p, index, expected, err);
}

static TERN_COLD enum tern_code fail_range(const struct tern_numbers_walk *w, const char *p,
                                           size_t index, struct tern_err *err)
{
    struct tern_str token = excerpt(p, w->end);
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "element %zu, byte %zu: %.*s is out of range of %s, or not an integer where "
                     "one is needed",
                     index, (size_t)(p - w->begin), TERN_STR_ARG(token), tern_dtype_name(w->dtype));
}

struct integer_range {
    uint64_t above, below; /* the largest magnitude, positive and negative */
};

TERN_INLINE struct integer_range range_of(enum tern_dtype dtype)
{
    switch ((int)dtype) {
    case TERN_DTYPE_BOOL:
        return (struct integer_range){1, 0};
    case TERN_DTYPE_UINT8:
        return (struct integer_range){UINT8_MAX, 0};
    case TERN_DTYPE_UINT16:
        return (struct integer_range){UINT16_MAX, 0};
    case TERN_DTYPE_UINT32:
        return (struct integer_range){UINT32_MAX, 0};
    case TERN_DTYPE_UINT64:
        return (struct integer_range){UINT64_MAX, 0};
    case TERN_DTYPE_INT8:
        return (struct integer_range){INT8_MAX, UINT64_C(1) << 7};
    case TERN_DTYPE_INT16:
        return (struct integer_range){INT16_MAX, UINT64_C(1) << 15};
    case TERN_DTYPE_INT32:
        return (struct integer_range){INT32_MAX, UINT64_C(1) << 31};
    default:
        return (struct integer_range){INT64_MAX, UINT64_C(1) << 63};
    }
}

TERN_INLINE bool is_float(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_FP16 || dtype == TERN_DTYPE_BF16 || dtype == TERN_DTYPE_FP32 ||
           dtype == TERN_DTYPE_FP64;
}

TERN_INLINE bool store_float(enum tern_dtype dtype, double value, char *out)
{
    uint16_t narrow;
    float single;
    switch ((int)dtype) {
    case TERN_DTYPE_FP64:
        memcpy(out, &value, sizeof(value));
        return value <= DBL_MAX && value >= -DBL_MAX;
    case TERN_DTYPE_FP32:
        single = (float)value;
        memcpy(out, &single, sizeof(single));
        return single <= FLT_MAX && single >= -FLT_MAX;
    case TERN_DTYPE_FP16:
        narrow = tern_half_from_f64(value);
        memcpy(out, &narrow, sizeof(narrow));
        return (narrow & 0x7c00u) != 0x7c00u;
    default:
        narrow = tern_half_bf16_from_f64(value);
        memcpy(out, &narrow, sizeof(narrow));
        return (narrow & 0x7f80u) != 0x7f80u;
    }
}

TERN_INLINE bool store_integer(enum tern_dtype dtype, const struct tern_decimal *d, char *out)
{
    struct integer_range range = range_of(dtype);
    uint64_t magnitude = d->digits;
    if (!(d->plain && !d->cut && d->exp10 == 0) && !tern_decimal_to_u64(d, &magnitude))
        return false;
    if (magnitude > (d->negative ? range.below : range.above))
        return false;
    uint64_t value = d->negative ? -magnitude : magnitude;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "integers are stored by their low bytes"
#endif
    switch ((int)dtype) {
    case TERN_DTYPE_BOOL:
    case TERN_DTYPE_UINT8:
    case TERN_DTYPE_INT8:
        memcpy(out, &value, 1);
        break;
    case TERN_DTYPE_UINT16:
    case TERN_DTYPE_INT16:
        memcpy(out, &value, 2);
        break;
    case TERN_DTYPE_UINT32:
    case TERN_DTYPE_INT32:
        memcpy(out, &value, 4);
        break;
    default:
        memcpy(out, &value, 8);
        break;
    }
    return true;
}

enum one { ONE_OK, ONE_GRAMMAR, ONE_RANGE };

/* A float that is missing, as answers write it. */
static TERN_COLD bool read_null(enum tern_dtype dtype, const char *p, const char *end, char *out,
                                struct tern_decimal *d)
{
    if ((size_t)(end - p) < 4 || memcmp(p, "null", 4) != 0)
        return false;
    d->end = p + 4;
    (void)store_float(dtype, (double)NAN, out); /* which is out of range, and meant to be */
    return true;
}

/* Reads the value at p into out; *d says where it ended or what was wrong. */
TERN_INLINE enum one read_one(enum tern_dtype dtype, const char *p, const char *end, char *out,
                              struct tern_decimal *d)
{
    if (dtype == TERN_DTYPE_BOOL && p < end && (*p == 't' || *p == 'f')) {
        size_t n = *p == 't' ? 4 : 5;
        if ((size_t)(end - p) < n || memcmp(p, *p == 't' ? "true" : "false", n) != 0) {
            d->end = p;
            d->fault = "true or false";
            return ONE_GRAMMAR;
        }
        *out = *p == 't';
        d->end = p + n;
        return ONE_OK;
    }
    if (TERN_UNLIKELY(!tern_decimal_scan(p, end, d)))
        return is_float(dtype) && read_null(dtype, p, end, out, d) ? ONE_OK : ONE_GRAMMAR;
    bool fits = is_float(dtype) ? store_float(dtype, tern_decimal_to_double(d, p), out)
                                : store_integer(dtype, d, out);
    return fits ? ONE_OK : ONE_RANGE;
}

static TERN_COLD enum tern_code fail_one(const struct tern_numbers_walk *w, const char *p,
                                         enum one what, const struct tern_decimal *d,
                                         struct tern_err *err)
{
    if (what == ONE_RANGE)
        return fail_range(w, p, w->count, err);
    if (d->end < p + 2)
        return fail_value(w, p, w->count, d->fault, err);
    return fail_at(w, d->end, w->count, d->fault, err);
}

/* Reads numbers and commas; stops before anything but a number, or once past `stop`. */
TERN_INLINE enum tern_code read_row(enum tern_dtype dtype, struct tern_numbers_walk *w,
                                    const char *stop, struct tern_err *err)
{
    size_t size = tern_dtype_size(dtype);
    size_t before = w->count;
    const char *p = w->p;
    struct tern_decimal d;

    for (;;) {
        if (w->count == w->cap)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "byte %zu: more elements than the %zu that the shape says",
                             (size_t)(p - w->begin), w->cap);
        enum one what = read_one(dtype, p, w->end, w->out + w->count * size, &d);
        if (TERN_UNLIKELY(what != ONE_OK))
            return fail_one(w, p, what, &d, err);
        w->count++;
        w->expect = TERN_NUMBERS_NEXT;
        p = skip_space(d.end, w->end);
        if (p >= stop || *p != ',')
            break;
        w->expect = TERN_NUMBERS_VALUE;
        p = skip_space(p + 1, w->end);
        if (p >= stop || *p == '[')
            break;
    }
    w->elements[w->depth] += w->count - before;
    w->p = p;
    return TERN_OK;
}

static enum tern_code read_row_of(struct tern_numbers_walk *w, const char *stop,
                                  struct tern_err *err)
{
    switch (w->dtype) {
#define X(name, size, numpy) \
    case TERN_DTYPE_##name:  \
        return read_row(TERN_DTYPE_##name, w, stop, err);
        TERN_DTYPES(X)
#undef X
    case TERN_DTYPE_INVALID:
    default:
        return tern_fail(err, TERN_INTERNAL, "no number kernel for this dtype");
    }
}

const char *tern_numbers_walk_one(const struct tern_numbers_walk *w, const char *p, size_t index)
{
    struct tern_decimal d;
    char *out = w->out + index * tern_dtype_size(w->dtype);
    enum one what = ONE_GRAMMAR;
    switch (w->dtype) {
#define X(name, size, numpy)                                    \
    case TERN_DTYPE_##name:                                     \
        what = read_one(TERN_DTYPE_##name, p, w->end, out, &d); \
        break;
        TERN_DTYPES(X)
#undef X
    case TERN_DTYPE_INVALID:
    default:
        break;
    }
    return what == ONE_OK ? d.end : NULL;
}

static enum tern_code fail_ragged(const struct tern_numbers_walk *w, const char *expected,
                                  struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "element %zu, byte %zu: ragged nesting: expected %s", w->count,
                     (size_t)(w->p - w->begin), expected);
}

static enum tern_code open_array(struct tern_numbers_walk *w, struct tern_err *err)
{
    if (w->depth == TERN_NUMBERS_DEPTH_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "byte %zu: arrays nest deeper than %d",
                         (size_t)(w->p - w->begin), TERN_NUMBERS_DEPTH_MAX);
    if (w->rank != 0 && w->depth >= w->rank)
        return fail_ragged(w, "a number, as in the arrays before, got '['", err);
    w->elements[++w->depth] = 0;
    if (w->rank == 0)
        w->dim[w->depth] = -1; /* until the rank is known each level opens for the first time */
    w->expect = TERN_NUMBERS_FIRST;
    w->p++;
    return TERN_OK;
}

static enum tern_code close_array(struct tern_numbers_walk *w, struct tern_err *err)
{
    int d = w->depth;
    int64_t extent = (int64_t)w->elements[d];
    if (w->rank == 0)
        w->rank = d; /* an empty innermost array */
    if (w->dim[d] < 0)
        w->dim[d] = extent;
    if (w->dim[d] != extent || (extent == 0 && d != w->rank))
        return fail_ragged(w, "as many elements as in the arrays before", err);
    w->depth--;
    w->elements[w->depth]++;
    w->expect = TERN_NUMBERS_NEXT;
    w->p++;
    return TERN_OK;
}

/* What stands where a value is expected. */
static enum tern_code walk_value(struct tern_numbers_walk *w, const char *stop,
                                 struct tern_err *err)
{
    if (w->p < w->end && *w->p == '[')
        return open_array(w, err);
    if (w->p < w->end && *w->p == ']' && w->expect == TERN_NUMBERS_FIRST)
        return close_array(w, err);
    if (w->rank == 0)
        w->rank = w->depth;
    if (w->rank != w->depth)
        return w->p >= w->end || *w->p == '-' || tern_decimal_is_digit(*w->p)
                   ? fail_ragged(w, "'[', as in the arrays before", err)
                   : fail_value(w, w->p, w->count, "'['", err);
    return read_row_of(w, stop, err);
}

enum tern_code tern_numbers_walk(struct tern_numbers_walk *w, const char *stop,
                                 struct tern_err *err)
{
    for (;;) {
        w->p = skip_space(w->p, w->end);
        if (w->expect != TERN_NUMBERS_NEXT) {
            TERN_TRY(walk_value(w, stop, err));
        } else if (w->p < w->end && *w->p == ',') {
            w->expect = TERN_NUMBERS_VALUE;
            w->p++;
        } else if (w->p < w->end && *w->p == ']') {
            TERN_TRY(close_array(w, err));
        } else {
            return fail_at(w, w->p, w->count, "',' or ']'", err);
        }
        if (w->depth == 0 || (w->p >= stop && w->p < w->end))
            return TERN_OK;
    }
}

/* The walk, helped by a kernel where one can: not before the rank is known, nor for a short rest.
 */
static enum tern_code read_all(struct tern_numbers_walk *w, struct tern_err *err)
{
    bool has_kernel = tern_simd.numbers_advance != NULL && w->dtype != TERN_DTYPE_BOOL;
    do {
        const char *stop = w->rank == 0 && has_kernel ? w->p + 1 : w->end;
        if (has_kernel && w->rank != 0 && w->end - w->p >= TERN_NUMBERS_KERNEL_MIN) {
            if (tern_simd.numbers_advance(w))
                continue;
            stop = w->trouble;
        }
        TERN_TRY(tern_numbers_walk(w, stop, err));
    } while (w->depth != 0);
    return TERN_OK;
}

enum tern_code tern_numbers_read(enum tern_dtype dtype, struct tern_str text, void *out, size_t cap,
                                 struct tern_numbers_result *ret, struct tern_err *err)
{
    TERN_UNINITIALIZED struct tern_numbers_walk w;

    if (text.n == 0 || text.p[0] != '[')
        return tern_fail(err, TERN_INVALID_ARGUMENT, "byte 0: expected '[' before the numbers");
    if (tern_dtype_size(dtype) == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected a numeric datatype, got %s",
                         tern_dtype_name(dtype));
    w.dtype = dtype;
    w.expect = TERN_NUMBERS_VALUE;
    w.begin = w.p = text.p;
    w.end = text.p + text.n;
    w.out = out;
    w.count = 0;
    w.cap = cap;
    w.depth = w.rank = 0;
    w.elements[0] = 0;
    TERN_TRY(read_all(&w, err));

    ret->count = w.count;
    ret->used = (size_t)(w.p - w.begin);
    ret->nest.rank = w.rank;
    for (int d = 0; d < w.rank; d++)
        ret->nest.dim[d] = w.dim[d + 1];
    return TERN_OK;
}

static enum tern_code scan_one(struct tern_str text, struct tern_decimal *d, struct tern_err *err)
{
    struct tern_numbers_walk w = {
        .dtype = TERN_DTYPE_FP64, .begin = text.p, .p = text.p, .end = text.p + text.n};

    *d = (struct tern_decimal){.end = text.p, .fault = "a number"};
    if (text.n == 0 || !tern_decimal_scan(text.p, w.end, d))
        return fail_one(&w, text.p, ONE_GRAMMAR, d, err);
    return TERN_OK;
}

static TERN_COLD enum tern_code fail_scalar(struct tern_str text, enum tern_dtype dtype,
                                            struct tern_err *err)
{
    struct tern_numbers_walk w = {
        .dtype = dtype, .begin = text.p, .p = text.p, .end = text.p + text.n};
    return fail_range(&w, text.p, 0, err);
}

enum tern_code tern_numbers_read_double(struct tern_str text, double *ret, size_t *ret_used,
                                        struct tern_err *err)
{
    struct tern_decimal d;

    TERN_TRY(scan_one(text, &d, err));
    double value = tern_decimal_to_double(&d, text.p);
    if (isinf(value))
        return fail_scalar(text, TERN_DTYPE_FP64, err);
    *ret = value;
    *ret_used = (size_t)(d.end - text.p);
    return TERN_OK;
}

enum tern_code tern_numbers_read_float(struct tern_str text, float *ret, size_t *ret_used,
                                       struct tern_err *err)
{
    struct tern_decimal d;

    TERN_TRY(scan_one(text, &d, err));
    float value = tern_decimal_to_float(&d, text.p);
    if (isinf(value))
        return fail_scalar(text, TERN_DTYPE_FP32, err);
    *ret = value;
    *ret_used = (size_t)(d.end - text.p);
    return TERN_OK;
}
