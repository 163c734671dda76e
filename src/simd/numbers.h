/* Arrays of numbers as JSON text (RFC 8259), straight into and out of tensors: no tree, no copy.
 *
 * Meaning of a float: the nearest double, then one cast to the dtype, as peers built on numpy or
 * RapidJSON do; a value that overflows the dtype is an error, one that underflows becomes zero or
 * subnormal. (Two roundings differ from one for very few texts, such as 7.038531e-26.) Integers may
 * be written 1.0 or 1e2 when that is exactly an integer in range. strtod is the last resort for
 * halfway cases: the program must never call setlocale.
 *
 * Threads: all functions are pure. Nothing is allocated. */
#ifndef TERN_SIMD_NUMBERS_H
#define TERN_SIMD_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/dtype.h"
#include "base/err.h"
#include "base/str.h"

#define TERN_TEXT_PAD          64 /* readable bytes that must follow any text given to us */
#define TERN_NUMBERS_DEPTH_MAX 16

/* The nesting that was found; always rectangular. "[[1,2,3],[4,5,6]]" is rank 2, {2, 3}. */
struct tern_numbers_nest {
    int rank;
    int64_t dim[TERN_NUMBERS_DEPTH_MAX]; /* the first `rank` of them */
};

struct tern_numbers_result {
    size_t count; /* elements */
    size_t used;  /* bytes of text, through the closing ']' */
    struct tern_numbers_nest nest;
};

/* text.p[0] == '['. Reads an array, flat or nested, of numbers (for BOOL true and false, also 0 and
 * 1), row-major into out, which has room for cap elements of dtype. null among floats is a NaN, as
 * it is when floats are written. INVALID_ARGUMENT, with the position, what came and what was
 * expected, for: anything that is not JSON, NaN and Infinity, integers out of range or with a
 * fraction, ragged nesting, depth over TERN_NUMBERS_DEPTH_MAX, more than cap elements, strings,
 * objects or other null inside, no closing bracket. On failure the elements
 * of out are unspecified and *ret untouched. */
enum tern_code tern_numbers_read(enum tern_dtype dtype, struct tern_str text, void *out, size_t cap,
                                 struct tern_numbers_result *ret, struct tern_err *err);

/* An upper bound on the elements of the array at text.p[0]: for sizing `out` before reading. */
size_t tern_numbers_bound(struct tern_str text);

/* The length of the JSON value at text.p[0] (object, array, string or scalar), looking only at
 * quotes and at the balance of brackets, whose kinds are not told apart. 0 when it does not end
 * within text (a bare scalar may end with the text) or nests deeper than max_depth. */
size_t tern_numbers_skip(struct tern_str text, unsigned max_depth);

/* Writes `count` elements, which may lie at any address (tensors that came binary do), as
 * comma-separated decimal text without brackets; answers its length. out has room for
 * tern_numbers_write_bound(dtype, count) bytes, all of which may be scribbled on. Floats get the
 * fewest digits that read back as the same value of the dtype (FP16, BF16: the same float),
 * integral ones keep ".0"; plain notation from 1e-4 up to 1e16, else an exponent. NaN and
 * infinities have no JSON form: null. BOOL: true, false. */
size_t tern_numbers_write_bound(enum tern_dtype dtype, size_t count);
size_t tern_numbers_write(enum tern_dtype dtype, const void *in, size_t count, char *out);

/* One scalar, as in parameters: *ret_used bytes of text were the number. */
enum tern_code tern_numbers_read_double(struct tern_str text, double *ret, size_t *ret_used,
                                        struct tern_err *err);
/* The nearest float, rounded once. */
enum tern_code tern_numbers_read_float(struct tern_str text, float *ret, size_t *ret_used,
                                       struct tern_err *err);
size_t tern_numbers_write_double(double value, char out[32]);

/* Arrays of floats are rounded twice. Whether that may differ from the float nearest to a number
 * which rounded to value first: value is the middle of two floats, or subnormal as a float. */
TERN_INLINE bool tern_numbers_is_middle(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    if (TERN_UNLIKELY(bits << 1 < UINT64_C(0x7020000000000000))) /* |value| < 2^-126 */
        return bits << 1 != 0;
    return (bits & 0x1fffffffu) == 0x10000000u;
}

#endif
