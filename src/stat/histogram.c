#include "stat/histogram.h"

#include <string.h>

void tern_histogram_init(struct tern_histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
    histogram->min = UINT64_MAX;
}

void tern_histogram_merge(struct tern_histogram *into, const struct tern_histogram *from)
{
    for (uint32_t i = 0; i < TERN_HISTOGRAM_SLOTS; i++)
        into->slot[i] += from->slot[i];
    into->count += from->count;
    into->sum += from->sum;
    into->min = from->min < into->min ? from->min : into->min;
    into->max = from->max > into->max ? from->max : into->max;
}

uint64_t tern_histogram_slot_low(uint32_t slot)
{
    if (slot < 2 * TERN_HISTOGRAM_SUB)
        return slot;
    uint32_t shift = slot / TERN_HISTOGRAM_SUB - 1;
    return (uint64_t)(slot % TERN_HISTOGRAM_SUB + TERN_HISTOGRAM_SUB) << shift;
}

uint64_t tern_histogram_slot_high(uint32_t slot)
{
    return tern_histogram_slot_low(slot + 1) - 1;
}

uint64_t tern_histogram_percentile(const struct tern_histogram *histogram, double percent)
{
    double exact = percent / 100.0 * (double)histogram->count;
    uint64_t rank = exact < 1.0 ? 1 : (uint64_t)exact;
    uint64_t seen = 0;

    if (histogram->count == 0)
        return 0;
    /* Round up, but not because 99.9 has no exact binary form. */
    if (exact - (double)rank > 1e-6 * exact)
        rank++;
    if (rank >= histogram->count)
        return histogram->max;
    for (uint32_t i = 0; i < TERN_HISTOGRAM_SLOTS; i++) {
        seen += histogram->slot[i];
        if (seen < rank)
            continue;
        uint64_t low = tern_histogram_slot_low(i);
        uint64_t middle = low + (tern_histogram_slot_high(i) - low) / 2;
        if (middle < histogram->min)
            return histogram->min;
        return middle > histogram->max ? histogram->max : middle;
    }
    return histogram->max;
}

double tern_histogram_mean(const struct tern_histogram *histogram)
{
    return histogram->count == 0 ? 0.0 : (double)histogram->sum / (double)histogram->count;
}
