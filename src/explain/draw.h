/* Numbers drawn by chance that are the same for the same seed, on every machine: SplitMix64
 * (Steele, Lea, Flood 2014). Not for secrets. */
#ifndef TERN_EXPLAIN_DRAW_H
#define TERN_EXPLAIN_DRAW_H

#include <stdint.h>

struct tern_draw {
    uint64_t state; /* the seed */
};

uint64_t tern_draw_next(struct tern_draw *draw);
/* Below n, each as likely as any other; n > 0. */
uint32_t tern_draw_below(struct tern_draw *draw, uint32_t n);
/* In [0, 1). */
double tern_draw_unit(struct tern_draw *draw);
/* Puts rows into an order by chance (Fisher, Yates). */
void tern_draw_shuffle(struct tern_draw *draw, uint32_t *rows, uint32_t n);

#endif
