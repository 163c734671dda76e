/* Powers of ten with 128 significant bits, for reading and printing floating point numbers.
 * tern_powers[k - TERN_POWERS_MIN] is floor(10^k * 2^s), s such that the top bit is set; its binary
 * exponent is tern_powers_log2(k): 10^k lies in [2^e, 2^(e+1)). Made by scripts/gen-powers.py. */
#ifndef TERN_SIMD_POWERS_H
#define TERN_SIMD_POWERS_H

#include <stdint.h>
#include "base/compiler.h"

#define TERN_POWERS_MIN (-342)
#define TERN_POWERS_MAX 324

struct tern_power {
    uint64_t hi, lo;
};

extern const struct tern_power tern_powers[TERN_POWERS_MAX - TERN_POWERS_MIN + 1];

/* [0][i] + [1][i] is 10^-i with about 107 bits; each is the nearest double of what is left. */
#define TERN_POWERS_NEGATIVE_COUNT 24
extern const double tern_powers_negative[2][TERN_POWERS_NEGATIVE_COUNT];

/* floor(log2(10^k)), exact for |k| <= 1233: 1741647 / 2^19 is log2(10) from below. */
TERN_INLINE int tern_powers_log2(int k)
{
    return (k * 1741647) >> 19;
}

__extension__ typedef unsigned __int128 tern_u128;

#endif
