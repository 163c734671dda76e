#include "cli/tune_rank.h"

#include <assert.h>
#include <math.h>

#define LOOKS_MAX 16
#define RISE      1.3
#define FALL      1.5

/* ---- the greatest rate ---- */

void tern_tune_search_init(struct tern_tune_search *search, double guess, double step)
{
    *search = (struct tern_tune_search){.guess = guess < 1 ? 1 : guess, .step = step};
}

double tern_tune_search_next(const struct tern_tune_search *search)
{
    double next = search->guess;

    if (search->looks == LOOKS_MAX)
        return 0;
    if (search->floor > 0 && search->ceiling > 0)
        next = search->ceiling / search->floor <= search->step
                   ? 0
                   : sqrt(search->ceiling * search->floor);
    else if (search->floor > 0)
        next = search->floor * RISE;
    else if (search->ceiling > 0)
        next = search->ceiling / FALL;
    return next < 1 ? 0 : next;
}

void tern_tune_search_tell(struct tern_tune_search *search, double rate, bool kept)
{
    search->looks++;
    if (kept && rate > search->floor)
        search->floor = rate;
    if (!kept && (search->ceiling <= 0 || rate < search->ceiling))
        search->ceiling = rate;
}

/* ---- who goes on ---- */

uint32_t tern_tune_halve(const double *scores, bool *alive, uint32_t n, uint32_t always,
                         uint32_t keep)
{
    uint32_t left = 0;

    for (uint32_t i = 0; i < n; i++)
        left += alive[i] ? 1 : 0;
    while (left > keep) {
        uint32_t worst = n;
        for (uint32_t i = 0; i < n; i++) {
            if (alive[i] && i != always && (worst == n || scores[i] <= scores[worst]))
                worst = i;
        }
        if (worst == n)
            break;
        alive[worst] = false;
        left--;
    }
    return left;
}

void tern_tune_front(struct tern_tune_point *points, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        points[i].on_front = true;
        for (uint32_t j = 0; j < n && points[i].on_front; j++) {
            bool as_good = points[j].rate >= points[i].rate && points[j].p99_ns <= points[i].p99_ns;
            bool better = points[j].rate > points[i].rate || points[j].p99_ns < points[i].p99_ns;
            points[i].on_front = !as_good || (!better && j >= i);
        }
    }
}

/* ---- the verdict ---- */

static double median_of(const double *values, uint32_t n, double *ret_spread)
{
    double sorted[TERN_TUNE_REPEATS_MAX] = {0};

    assert(n > 0 && n <= TERN_TUNE_REPEATS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] > values[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = values[i];
    }
    double median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
    *ret_spread = median > 0 ? (sorted[n - 1] - sorted[0]) / median : 0;
    return median;
}

struct tern_tune_verdict tern_tune_judge(const double *base, const double *other, uint32_t n)
{
    struct tern_tune_verdict v;
    double base_spread, other_spread;

    v.base = median_of(base, n, &base_spread);
    v.other = median_of(other, n, &other_spread);
    v.spread = fmax(base_spread, other_spread);
    v.gain = v.base > 0 ? v.other / v.base - 1 : v.other > 0 ? INFINITY : 0;
    v.is_noise = v.gain <= fmax(v.spread, TERN_TUNE_NOISE);
    return v;
}
