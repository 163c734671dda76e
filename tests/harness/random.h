/* Random numbers for tests: seeded, the same on every machine. SplitMix64 (Steele, Lea, Flood:
 * "Fast splittable pseudorandom number generators", 2014). Any state is a seed. */
#ifndef TERN_TESTS_RANDOM_H
#define TERN_TESTS_RANDOM_H

#include <stdint.h>

static inline uint64_t random_u64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* In [0, 1). */
static inline double random_unit(uint64_t *state)
{
    return (double)(random_u64(state) >> 11) * 0x1p-53;
}

#endif
