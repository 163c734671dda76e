/* One decimal number: JSON's grammar, the correctly rounded double, and the shortest decimal of a
 * float or double. Private to this folder.
 *
 * Reading: digits * 10^exp10 with a 128-bit power of ten, whose error is bounded; the rare result
 * that lies too near to the middle of two doubles is asked of strtod. Shortest printing follows
 * R. Giulietti, "The Schubfach way to render doubles" (2020). */
#ifndef TERN_SIMD_DECIMAL_H
#define TERN_SIMD_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/compiler.h"

struct tern_decimal {
    uint64_t digits; /* the first 19 significant digits */
    int64_t exp10;   /* value = digits * 10^exp10, if nothing was cut */
    bool negative;
    bool cut;          /* digits after the 19th were dropped */
    bool plain;        /* neither fraction nor exponent */
    const char *end;   /* just past the number; on failure where it went wrong */
    const char *fault; /* on failure: what was expected */
};

/* The general case of tern_decimal_scan, for more than 19 digits. `digits` is the first digit. */
void tern_decimal_recount(const char *digits, const char *end, struct tern_decimal *d) TERN_COLD;

TERN_INLINE bool tern_decimal_is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* Eight ASCII digits at p, little-endian load. */
TERN_INLINE bool tern_decimal_eight(const char *p, uint64_t *ret)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t v;
    memcpy(&v, p, 8);
    uint64_t low = v - 0x3030303030303030u;
    if (((low | (v + 0x4646464646464646u)) & 0x8080808080808080u) != 0)
        return false;
    low = low * 10 + (low >> 8); /* pairs, in every other byte */
    *ret = ((low & 0x000000ff000000ffu) * (100 + (1000000ull << 32)) +
            ((low >> 16) & 0x000000ff000000ffu) * (1 + (10000ull << 32))) >>
           32;
    return true;
#else
    (void)p;
    (void)ret;
    return false;
#endif
}

TERN_INLINE const char *tern_decimal_digits(const char *p, const char *end, uint64_t *value)
{
    uint64_t eight;
    while (end - p >= 8 && tern_decimal_eight(p, &eight)) {
        *value = *value * 100000000u + eight;
        p += 8;
    }
    while (p < end && tern_decimal_is_digit(*p))
        *value = *value * 10 + (uint64_t)(*p++ - '0');
    return p;
}

/* The exponent part after 'e': NULL when no digit follows. Saturates far outside any double. */
TERN_INLINE const char *tern_decimal_exponent(const char *p, const char *end, int64_t *ret)
{
    bool negative = p < end && *p == '-';
    int64_t value = 0;
    p += (p < end && (*p == '-' || *p == '+'));
    if (p >= end || !tern_decimal_is_digit(*p))
        return NULL;
    for (; p < end && tern_decimal_is_digit(*p); p++) {
        if (value < INT64_C(1000000000000000))
            value = value * 10 + (*p - '0');
    }
    *ret = negative ? -value : value;
    return p;
}

TERN_INLINE bool tern_decimal_fault(struct tern_decimal *d, const char *at, const char *expected)
{
    d->end = at;
    d->fault = expected;
    return false;
}

/* Reads the JSON number at p, which ends at the latest at `end`. False when there is none. */
TERN_INLINE bool tern_decimal_scan(const char *p, const char *end, struct tern_decimal *d)
{
    d->negative = p < end && *p == '-';
    p += d->negative;
    if (p >= end || !tern_decimal_is_digit(*p))
        return tern_decimal_fault(d, p, d->negative ? "a digit after '-'" : "a number");
    const char *first = p;
    uint64_t value = 0;
    int64_t fraction = 0;
    int64_t exponent = 0;

    p = tern_decimal_digits(p, end, &value);
    if (*first == '0' && p - first > 1)
        return tern_decimal_fault(d, first, "no leading zero");
    ptrdiff_t count = p - first;
    d->plain = true;
    if (p < end && *p == '.') {
        const char *from = ++p;
        p = tern_decimal_digits(p, end, &value);
        if (p == from)
            return tern_decimal_fault(d, p, "a digit after '.'");
        fraction = p - from;
        count += fraction;
        d->plain = false;
    }
    const char *last = p;
    if (p < end && (*p | 0x20) == 'e') {
        p = tern_decimal_exponent(p + 1, end, &exponent);
        if (p == NULL)
            return tern_decimal_fault(d, last + 1, "digits of an exponent");
        d->plain = false;
    }
    d->digits = value;
    d->exp10 = exponent - fraction;
    d->cut = false;
    d->end = p;
    if (TERN_UNLIKELY(count > 19))
        tern_decimal_recount(first, last, d);
    return true;
}

/* The double nearest to d, ties to even; infinity when it overflows. text is where d was read
 * from, through d->end: needed only in the rare cases that strtod must decide. */
double tern_decimal_to_double(const struct tern_decimal *d, const char *text);

/* The float nearest to d, rounded once. */
float tern_decimal_to_float(const struct tern_decimal *d, const char *text);

/* Answers the magnitude when d is an integer below 2^64; false when it has a fraction or is
 * larger. */
bool tern_decimal_to_u64(const struct tern_decimal *d, uint64_t *ret);

/* The shortest decimal digits * 10^exp10 that reads back as value; digits has no trailing zero.
 * value is finite and positive. */
struct tern_decimal_short {
    uint64_t digits;
    int exp10;
};
struct tern_decimal_short tern_decimal_shortest_f64(double value);
struct tern_decimal_short tern_decimal_shortest_f32(float value);

#endif
