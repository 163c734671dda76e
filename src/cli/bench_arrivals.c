#include "cli/bench_arrivals.h"

#include <math.h>
#include "base/clock.h"

/* SplitMix64 (Steele, Lea, Flood 2014): any state is a seed. */
static uint64_t random_u64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static double gap(struct tern_bench_arrivals *a)
{
    if (!a->poisson)
        return a->interval_ns;
    double unit = (double)(random_u64(&a->random) >> 11) * 0x1p-53; /* [0, 1) */
    return -log1p(-unit) * a->interval_ns;
}

void tern_bench_arrivals_init(struct tern_bench_arrivals *arrivals, uint64_t start_ns,
                              uint64_t rate, uint32_t index, uint32_t n)
{
    *arrivals = (struct tern_bench_arrivals){
        .start_ns = start_ns,
        .after_ns = (double)TERN_NS_PER_S * index / (double)rate,
        .interval_ns = (double)TERN_NS_PER_S * n / (double)rate,
    };
}

void tern_bench_arrivals_scatter(struct tern_bench_arrivals *arrivals, uint64_t seed)
{
    arrivals->poisson = true;
    arrivals->random = seed;
    arrivals->after_ns = gap(arrivals);
}

uint64_t tern_bench_arrivals_due(const struct tern_bench_arrivals *arrivals)
{
    return arrivals->start_ns + (uint64_t)arrivals->after_ns;
}

void tern_bench_arrivals_pop(struct tern_bench_arrivals *arrivals)
{
    arrivals->after_ns += gap(arrivals);
}
