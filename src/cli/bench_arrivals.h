/* When the requests of an open loop are due: at a constant rate, or as a Poisson process of that
 * rate (the gaps are independent and exponential: what many independent users make together). Each
 * thread has its own; n of them make the whole. The same seed makes the same moments. */
#ifndef TERN_CLI_BENCH_ARRIVALS_H
#define TERN_CLI_BENCH_ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

struct tern_bench_arrivals {
    uint64_t start_ns;
    double after_ns;    /* of the next one, from the start */
    double interval_ns; /* on average; 0: none ever */
    bool poisson;
    uint64_t random; /* state of the generator */
};

/* Share `index` of `n` of `rate` requests a second (> 0) from start_ns on. Constant: request i of
 * the whole belongs to share i mod n. */
void tern_bench_arrivals_init(struct tern_bench_arrivals *arrivals, uint64_t start_ns,
                              uint64_t rate, uint32_t index, uint32_t n);
/* Makes it a Poisson process, before the first one is taken. */
void tern_bench_arrivals_scatter(struct tern_bench_arrivals *arrivals, uint64_t seed);

/* The moment of the next one, on the clock of start_ns; pop goes on to the one after it. */
uint64_t tern_bench_arrivals_due(const struct tern_bench_arrivals *arrivals);
void tern_bench_arrivals_pop(struct tern_bench_arrivals *arrivals);

#endif
