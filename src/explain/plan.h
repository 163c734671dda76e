/* Which coalitions of m features a method asks about. A coalition is a set of features that keep
 * the row's own values while all others take those of the background.
 *
 * For KernelSHAP (Lundberg, Lee 2017): all sets of the smallest and largest sizes as long as there
 * are samples for them, the rest drawn by chance in pairs of a set and its complement, each with
 * its share of the Shapley kernel (m - 1) / (C(m, s) s (m - s)). With 2^m - 2 samples those are all
 * sets, and the answer is exact. For permutations: the sets that grow along an order of the
 * features, and along the same order backwards. */
#ifndef TERN_EXPLAIN_PLAN_H
#define TERN_EXPLAIN_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"

struct tern_plan {
    uint32_t m;
    uint32_t words;   /* 64-bit words of a set */
    uint32_t n;       /* sets; neither the empty nor the whole one is among them */
    uint64_t *sets;   /* n x words; bit i of word i / 64: feature i is in */
    double *weights;  /* (kernel) they add up to 1 */
    uint32_t *orders; /* (permutations) n_orders x m */
    uint32_t n_orders;
};

/* How many sets a plan of nsamples (0: the usual, 2 m + 2048) has at most. m >= 2. */
uint64_t tern_plan_kernel_size(uint32_t m, uint64_t nsamples);
enum tern_code tern_plan_kernel(struct tern_plan *plan, uint32_t m, uint64_t nsamples,
                                uint64_t seed, struct tern_arena *arena, struct tern_err *err);
/* n_orders orders, each there and back: set i of order o is o * 2 (m - 1) + i. m >= 2. */
enum tern_code tern_plan_orders(struct tern_plan *plan, uint32_t m, uint32_t n_orders,
                                uint64_t seed, struct tern_arena *arena, struct tern_err *err);
/* The features that are not in set i, ascending; answers how many. */
uint32_t tern_plan_absent(const struct tern_plan *plan, uint32_t i, uint32_t *features);

#endif
