/* How fast work comes: the rows of the last 64 arrivals over the time since the first of them.
 * A window by count follows a change within 64 arrivals at any rate, and forgets a burst when
 * nothing follows, because the time goes on. No clock, no lock: the owner guards it. */
#ifndef TERN_SCHED_ARRIVALS_H
#define TERN_SCHED_ARRIVALS_H

#include <stdint.h>

#define TERN_ARRIVALS_WINDOW 64u

struct tern_arrivals {
    uint64_t at_ns[TERN_ARRIVALS_WINDOW]; /* a ring */
    uint32_t rows[TERN_ARRIVALS_WINDOW];
    uint64_t sum; /* of rows */
    uint32_t next, n;
};

/* All zero is a window in which nothing came. now_ns does not go back. */
void tern_arrivals_add(struct tern_arrivals *arrivals, uint64_t now_ns, uint32_t rows);
/* Rows a second as of now; 0 before the second arrival. */
double tern_arrivals_rate(const struct tern_arrivals *arrivals, uint64_t now_ns);

#endif
