#include "sched/arrivals.h"

void tern_arrivals_add(struct tern_arrivals *arrivals, uint64_t now_ns, uint32_t rows)
{
    uint32_t slot = arrivals->next;

    if (arrivals->n == TERN_ARRIVALS_WINDOW)
        arrivals->sum -= arrivals->rows[slot];
    else
        arrivals->n++;
    arrivals->at_ns[slot] = now_ns;
    arrivals->rows[slot] = rows;
    arrivals->sum += rows;
    arrivals->next = (slot + 1) % TERN_ARRIVALS_WINDOW;
}

double tern_arrivals_rate(const struct tern_arrivals *arrivals, uint64_t now_ns)
{
    if (arrivals->n < 2)
        return 0;
    /* The first one opens the window: what came is what came after it. */
    uint32_t first = (arrivals->next + TERN_ARRIVALS_WINDOW - arrivals->n) % TERN_ARRIVALS_WINDOW;
    uint64_t time_ns = now_ns > arrivals->at_ns[first] ? now_ns - arrivals->at_ns[first] : 1;
    return (double)(arrivals->sum - arrivals->rows[first]) * 1e9 / (double)time_ns;
}
