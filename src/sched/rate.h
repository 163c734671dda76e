/* Nearly the median of the time that a unit of work takes (an element of input), in 1/1024 ns: each
 * run moves it by a 32nd towards itself. A mean would believe the runs during which the kernel had
 * given the processor to somebody else. What is asked of it is only whether a request of another
 * size is short enough to stay on its loop, or how the first run of a new shape is to be guessed;
 * sched/service.h is for batches. No lock: the owner guards it. */
#ifndef TERN_SCHED_RATE_H
#define TERN_SCHED_RATE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"
#include "base/compiler.h"

#define TERN_RATE_LONG_RUN_NS (10u * TERN_NS_PER_MS)

struct tern_rate {
    uint64_t per_unit_x1024;
    bool was_long; /* the last run took more than TERN_RATE_LONG_RUN_NS */
};

TERN_INLINE void tern_rate_init(struct tern_rate *rate, uint64_t took_ns, uint64_t units)
{
    *rate = (struct tern_rate){.per_unit_x1024 = took_ns * 1024 / (units > 0 ? units : 1)};
}

TERN_INLINE uint64_t tern_rate_predict_ns(const struct tern_rate *rate, uint64_t units)
{
    return rate->per_unit_x1024 / 1024 * units + rate->per_unit_x1024 % 1024 * units / 1024;
}

TERN_INLINE void tern_rate_learn(struct tern_rate *rate, uint64_t took_ns, uint64_t units)
{
    uint64_t now = took_ns * 1024 / (units > 0 ? units : 1);
    uint64_t step = rate->per_unit_x1024 / 32 + 1;
    bool is_long = took_ns > TERN_RATE_LONG_RUN_NS;

    /* One long run may be the kernel's doing; a second one is the model's, and believed at once. */
    if (is_long && rate->was_long && now > rate->per_unit_x1024)
        rate->per_unit_x1024 = now;
    else if (now > rate->per_unit_x1024)
        rate->per_unit_x1024 += step;
    else if (rate->per_unit_x1024 > step)
        rate->per_unit_x1024 -= step;
    rate->was_long = is_long;
}

/* A rate that sends work away would never be corrected: it fades, and some run tries again. */
TERN_INLINE void tern_rate_fade(struct tern_rate *rate)
{
    rate->per_unit_x1024 -= rate->per_unit_x1024 / 4096;
}

#endif
