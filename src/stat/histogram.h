/* A histogram of times with a fixed size and about 0.4 % relative precision, in the manner of
 * HdrHistogram (Gil Tene): powers of two, each cut into TERN_HISTOGRAM_SUB equal slots, so that a
 * slot is never wider than 1/128 of its values. Recording is a shift, a count of leading zeros and
 * an increment. For the load generator and other measuring; the server's own latencies go into the
 * much smaller histograms of stat/metrics.h.
 *
 * Values are nanoseconds, but any unsigned number does. One thread at a time. */
#ifndef TERN_STAT_HISTOGRAM_H
#define TERN_STAT_HISTOGRAM_H

#include <stdint.h>
#include "base/compiler.h"

#define TERN_HISTOGRAM_SUB_BITS 7
#define TERN_HISTOGRAM_SUB      (1u << TERN_HISTOGRAM_SUB_BITS)
#define TERN_HISTOGRAM_MAX_BITS 42 /* values up to 2^42 ns, 73 minutes; larger count as that */
#define TERN_HISTOGRAM_SLOTS \
    ((TERN_HISTOGRAM_MAX_BITS - TERN_HISTOGRAM_SUB_BITS + 1) * TERN_HISTOGRAM_SUB)

struct tern_histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t min; /* exact; UINT64_MAX when empty */
    uint64_t max; /* exact */
    uint64_t slot[TERN_HISTOGRAM_SLOTS];
};

void tern_histogram_init(struct tern_histogram *histogram);

/* Slot of a value: below 128 the value itself; above, 128 slots an octave. */
TERN_INLINE uint32_t tern_histogram_slot(uint64_t value)
{
    const uint64_t top = ((uint64_t)1 << TERN_HISTOGRAM_MAX_BITS) - 1;
    uint64_t v = value < top ? value : top;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(v | TERN_HISTOGRAM_SUB);

    shift -= TERN_HISTOGRAM_SUB_BITS;
    return (shift << TERN_HISTOGRAM_SUB_BITS) + (uint32_t)(v >> shift);
}

TERN_INLINE void tern_histogram_record(struct tern_histogram *histogram, uint64_t value)
{
    histogram->slot[tern_histogram_slot(value)]++;
    histogram->count++;
    histogram->sum += value;
    histogram->min = value < histogram->min ? value : histogram->min;
    histogram->max = value > histogram->max ? value : histogram->max;
}

void tern_histogram_merge(struct tern_histogram *into, const struct tern_histogram *from);

/* The smallest and the largest value that falls into a slot. */
uint64_t tern_histogram_slot_low(uint32_t slot);
uint64_t tern_histogram_slot_high(uint32_t slot);

/* The value that `percent` (0..100) of the recorded values do not exceed, by nearest rank; the
 * middle of its slot, held within min and max. 0 when empty. */
uint64_t tern_histogram_percentile(const struct tern_histogram *histogram, double percent);
double tern_histogram_mean(const struct tern_histogram *histogram);

#endif
