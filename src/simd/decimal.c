#include "simd/decimal.h"

#include <stdlib.h>
#include "simd/numbers.h"
#include "simd/powers.h"

void tern_decimal_recount(const char *digits, const char *end, struct tern_decimal *d)
{
    /* Leading zeros do not count as digits; exp10 already has every fraction digit taken off, so
     * each digit that is not taken in gives one back. */
    uint64_t value = 0;
    int taken = 0;
    for (const char *p = digits; p < end; p++) {
        if (*p == '.')
            continue;
        if (taken == 19) {
            d->cut = d->cut || *p != '0';
            d->exp10++;
            continue;
        }
        value = value * 10 + (uint64_t)(*p - '0');
        taken += value != 0;
    }
    d->digits = value;
}

/* Digits beyond these cannot change the rounding of a double, except that they are not all zero
 * (the longest halfway case has 767). */
#define STRTOD_DIGITS 800

/* The number without its sign, rewritten as d.ddd...e<exp> of bounded length for strtod: text
 * carries no terminating zero. */
static TERN_COLD void rewrite(const struct tern_decimal *d, const char *text,
                              char copy[STRTOD_DIGITS + 32])
{
    int64_t exponent = d->exp10;
    size_t n = 0;
    size_t dropped = 0;
    bool rest = false;

    for (const char *p = text; p < d->end && (*p | 0x20) != 'e'; p++) {
        if (!tern_decimal_is_digit(*p) || (n == 0 && *p == '0'))
            continue;
        if (n < STRTOD_DIGITS) {
            copy[n++] = *p;
        } else {
            rest = rest || *p != '0';
            dropped++;
        }
    }
    if (n == 0)
        copy[n++] = '0';
    if (rest && copy[n - 1] == '0')
        copy[n - 1] = '1';
    /* digits * 10^exp10 was 19 digits long when more were cut; now it is n + dropped. */
    if (n + dropped > 19)
        exponent -= (int64_t)(n + dropped - 19);
    exponent += (int64_t)dropped;
    exponent = exponent > 100000 ? 100000 : exponent < -100000 ? -100000 : exponent;
    bool minus = exponent < 0;
    uint64_t e = (uint64_t)(minus ? -exponent : exponent);
    copy[n++] = 'e';
    copy[n++] = minus ? '-' : '+';
    for (uint64_t scale = 100000; scale != 0; scale /= 10)
        copy[n++] = (char)('0' + e / scale % 10);
    copy[n] = '\0';
}

/* In the "C" locale, since the program never calls setlocale. */
static TERN_COLD double ask_strtod(const struct tern_decimal *d, const char *text)
{
    char copy[STRTOD_DIGITS + 32];

    rewrite(d, text, copy);
    return strtod(copy, NULL);
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* digits * 10^exp10 as a normal double; false when the 128-bit product cannot decide.
 * With m = digits shifted to its top bit and t = the power's 128 bits (true value in [t, t+1)), the
 * upper 128 bits of m * t are below the true product by less than 2 units. The upper 53 of them are
 * the mantissa; the rest decides the rounding unless it lies in [half - 2, half]. */
static bool round_product(uint64_t digits, int exp10, double *ret)
{
    const struct tern_power *power = &tern_powers[exp10 - TERN_POWERS_MIN];
    int shift = __builtin_clzll(digits);
    uint64_t m = digits << shift;
    tern_u128 low = (tern_u128)m * power->lo;
    tern_u128 product = (tern_u128)m * power->hi + (uint64_t)(low >> 64);
    int exp2 = tern_powers_log2(exp10) + 63 - shift;

    if ((product >> 127) != 0)
        exp2++;
    else
        product <<= 1;
    uint64_t mantissa = (uint64_t)(product >> 75);
    tern_u128 rest = product & (((tern_u128)1 << 75) - 1);
    tern_u128 half = (tern_u128)1 << 74;
    if (rest + 4 >= half && rest <= half) /* 4 = 2 units after the shift by one */
        return false;
    mantissa += rest > half;
    /* A carry out of the mantissa only raises the exponent, as it should. */
    if (exp2 < -1022 || exp2 > 1023)
        return false;
    uint64_t bits = ((uint64_t)(exp2 + 1022) << 52) + mantissa;
    if ((bits >> 52) >= 2047)
        return false;
    *ret = double_of(bits);
    return true;
}

double tern_decimal_to_double(const struct tern_decimal *d, const char *text)
{
    static const double exact[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double value = 0;
    double above = 0;

    if (d->digits == 0)
        return d->negative ? -0.0 : 0.0;
    if (d->digits <= (UINT64_C(1) << 53) && d->exp10 >= -22 && d->exp10 <= 22 && !d->cut) {
        /* Both operands are exact, so the one rounding of the operation is the right one. */
        value = (double)d->digits;
        value = d->exp10 < 0 ? value / exact[-d->exp10] : value * exact[d->exp10];
        return d->negative ? -value : value;
    }
    bool sure = d->exp10 >= TERN_POWERS_MIN && d->exp10 <= TERN_POWERS_MAX &&
                round_product(d->digits, (int)d->exp10, &value);
    if (sure && d->cut) {
        /* The true value lies between digits and digits + 1. */
        sure = round_product(d->digits + 1, (int)d->exp10, &above) && above == value;
    }
    if (TERN_UNLIKELY(!sure))
        value = ask_strtod(d, text);
    return d->negative ? -value : value;
}

float tern_decimal_to_float(const struct tern_decimal *d, const char *text)
{
    double value = tern_decimal_to_double(d, text);
    char copy[STRTOD_DIGITS + 32];

    if (TERN_LIKELY(!tern_numbers_is_middle(value)))
        return (float)value;
    rewrite(d, text, copy);
    float size = strtof(copy, NULL);
    return d->negative ? -size : size;
}

bool tern_decimal_to_u64(const struct tern_decimal *d, uint64_t *ret)
{
    uint64_t value = d->digits;
    int64_t exponent = d->exp10;

    if (value == 0) {
        *ret = 0;
        return true;
    }
    if (d->cut || exponent > 19) {
        /* Twenty digits still fit when nothing but the 20th was cut: read it again. */
        if (!d->plain || exponent != 1 || !d->cut)
            return false;
        uint64_t last = (uint64_t)(d->end[-1] - '0');
        return !__builtin_mul_overflow(value, 10, ret) && !__builtin_add_overflow(*ret, last, ret);
    }
    for (; exponent < 0 && value % 10 == 0; exponent++)
        value /= 10;
    if (exponent < 0)
        return false;
    for (; exponent > 0; exponent--) {
        if (__builtin_mul_overflow(value, 10, &value))
            return false;
    }
    *ret = value;
    return true;
}

/* floor(g * c / 2^128) for a 128-bit g, with the lowest bit set when the rest is not (almost) zero:
 * g is above the true power by less than one unit, which leaves at most 1 in that rest. */
static uint64_t to_odd_f64(const struct tern_power *power, uint64_t c)
{
    uint64_t lo = power->lo + 1;
    uint64_t hi = power->hi + (lo == 0);
    uint64_t carry = (uint64_t)(((tern_u128)lo * c) >> 64);
    tern_u128 product = (tern_u128)hi * c + carry;
    return (uint64_t)(product >> 64) | ((uint64_t)product > 1);
}

static uint64_t to_odd_f32(uint64_t g, uint64_t c)
{
    tern_u128 product = (tern_u128)g * c;
    return (uint64_t)(product >> 64) | (((uint64_t)product >> 32) > 1);
}

/* Chooses in the rounding interval [lower, upper] around vb (all times 4, the outer two already
 * narrowed when the bounds themselves are excluded): the one-digit-shorter candidate if exactly one
 * lies inside, else the nearer of the two neighbours. exp10 rises when a digit was saved. */
static uint64_t choose(uint64_t lower, uint64_t vb, uint64_t upper, int *exp10)
{
    uint64_t s = vb / 4;
    if (s >= 10) {
        uint64_t tens = s / 10;
        bool below = lower <= 40 * tens;
        bool above = 40 * tens + 40 <= upper;
        if (below != above) {
            ++*exp10;
            return tens + above;
        }
    }
    bool below = lower <= 4 * s;
    bool above = 4 * s + 4 <= upper;
    if (below != above)
        return s + above;
    uint64_t middle = 4 * s + 2;
    return s + (vb > middle || (vb == middle && (s & 1) != 0));
}

static struct tern_decimal_short trim(uint64_t digits, int exp10)
{
    while (digits % 100 == 0) {
        digits /= 100;
        exp10 += 2;
    }
    if (digits % 10 == 0) {
        digits /= 10;
        exp10++;
    }
    return (struct tern_decimal_short){digits, exp10};
}

/* floor(log10(2^q)), or floor(log10(3/4 * 2^q)) when the lower neighbour is nearer. */
static int log10_of(int q, bool nearer_below)
{
    return (q * 1262611 - (nearer_below ? 524031 : 0)) >> 22;
}

struct tern_decimal_short tern_decimal_shortest_f64(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    int biased = (int)(bits >> 52) & 2047;
    uint64_t c = biased == 0 ? fraction : fraction | (UINT64_C(1) << 52);
    int q = (biased == 0 ? 1 : biased) - 1075;

    if (q <= 0 && q > -53 && (c & ((UINT64_C(1) << -q) - 1)) == 0)
        return trim(c >> -q, 0); /* a small integer: exact */
    bool even = (c & 1) == 0;
    bool nearer_below = fraction == 0 && biased > 1;
    int exp10 = log10_of(q, nearer_below);
    int shift = q + tern_powers_log2(-exp10) + 1;
    const struct tern_power *power = &tern_powers[-exp10 - TERN_POWERS_MIN];
    uint64_t lower = to_odd_f64(power, (4 * c - 2 + nearer_below) << shift) + !even;
    uint64_t middle = to_odd_f64(power, (4 * c) << shift);
    uint64_t upper = to_odd_f64(power, (4 * c + 2) << shift) - !even;
    uint64_t digits = choose(lower, middle, upper, &exp10);
    return trim(digits, exp10);
}

struct tern_decimal_short tern_decimal_shortest_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint32_t fraction = bits & 0x7fffffu;
    int biased = (int)(bits >> 23) & 255;
    uint64_t c = biased == 0 ? fraction : fraction | 0x800000u;
    int q = (biased == 0 ? 1 : biased) - 150;

    if (q <= 0 && q > -24 && (c & ((UINT64_C(1) << -q) - 1)) == 0)
        return trim(c >> -q, 0);
    bool even = (c & 1) == 0;
    bool nearer_below = fraction == 0 && biased > 1;
    int exp10 = log10_of(q, nearer_below);
    int shift = q + tern_powers_log2(-exp10) + 1;
    uint64_t g = tern_powers[-exp10 - TERN_POWERS_MIN].hi + 1;
    uint64_t lower = to_odd_f32(g, (4 * c - 2 + nearer_below) << shift) + !even;
    uint64_t middle = to_odd_f32(g, (4 * c) << shift);
    uint64_t upper = to_odd_f32(g, (4 * c + 2) << shift) - !even;
    uint64_t digits = choose(lower, middle, upper, &exp10);
    return trim(digits, exp10);
}
