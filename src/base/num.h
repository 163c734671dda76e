/* Checked arithmetic for sizes that come from outside, and one strict reader of decimal digits.
 * Nothing here accepts signs, spaces, leading '+', or hexadecimal: what HTTP and shapes allow. */
#ifndef TERN_BASE_NUM_H
#define TERN_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/compiler.h"
#include "base/str.h"

/* True when the result does not fit; *ret is then unspecified. */
TERN_INLINE TERN_MUST_USE bool tern_num_mul(size_t a, size_t b, size_t *ret)
{
    return __builtin_mul_overflow(a, b, ret);
}

TERN_INLINE TERN_MUST_USE bool tern_num_add(size_t a, size_t b, size_t *ret)
{
    return __builtin_add_overflow(a, b, ret);
}

/* One to nineteen digits, nothing else, value <= max. False otherwise. */
TERN_MUST_USE bool tern_num_parse_u64(struct tern_str s, uint64_t max, uint64_t *ret);
/* An optional '-' and digits. */
TERN_MUST_USE bool tern_num_parse_i64(struct tern_str s, int64_t *ret);
/* A size with an optional suffix k, m, g (powers of 1024, also KiB, MiB, GiB). */
TERN_MUST_USE bool tern_num_parse_size(struct tern_str s, uint64_t *ret);
/* A time with an optional suffix ns, us, ms, s (default), m, h; answers nanoseconds. */
TERN_MUST_USE bool tern_num_parse_duration(struct tern_str s, uint64_t *ret_ns);
/* Writes v in decimal without a terminator; dst has room for 20. Answers the number of digits. */
size_t tern_num_format_u64(uint64_t v, char *dst);

#endif
