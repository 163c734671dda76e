#include "sched/service.h"

#include <assert.h>
#include <string.h>

#define MEDIAN_STEP 32u /* a run moves the median by a 32nd ... */
#define TAIL_STEP   8u  /* ... and the 99th percentile by an 8th up, by a 99th of that down */
/* The first runs of a size move its median further: what it begins with is an estimate. */
#define EARLY_RUNS 8u
/* "Far" is also at least a quarter away: a machine without noise has its tail at its median. */
#define FAR_DIVISOR    4u
#define BUDGET_DIVISOR 4u  /* of the median: the most that a budget is above it */
#define FIRST_TAIL     8u  /* the tail of the first size, before more is known: an 8th of it */
#define FIRST_FACTOR   4   /* how far the first run of a size is believed, off what was predicted */
#define FADE           128 /* runs in which most of a seemingly slow size fades */
#define PAIR_EVERY     256u /* runs without a pair after which one is tried */
#define DOUBT_AFTER    16u  /* refusals without a run after which one is tried */
#define FLAT_OUT_FROM  90   /* per cent of the time that single runs would have taken */
#define GAINS_FROM     80
#define LONGEST_NS     (UINT64_C(1) << 50) /* 13 days */

/* ---- the grid: 1, then 2 and 3 times the powers of two ---- */

uint32_t tern_service_point_rows(uint32_t point)
{
    assert(point < TERN_SERVICE_POINTS);
    if (point == 0)
        return 1;
    return (point % 2 == 1 ? 2u : 3u) << ((point - 1) / 2);
}

/* The last point of at most so many rows. */
static uint32_t point_below(uint32_t rows)
{
    if (rows <= 1)
        return 0;
    if (rows >= TERN_SERVICE_ROWS_MAX)
        return TERN_SERVICE_POINTS - 1;
    uint32_t log2 = 31u - (uint32_t)__builtin_clz(rows);
    uint32_t point = 2 * log2 - 1 + ((rows >> (log2 - 1)) & 1u);
    assert(point < TERN_SERVICE_POINTS);
    return point;
}

static uint32_t point_nearest(uint32_t rows)
{
    uint32_t below = point_below(rows);
    if (below + 1 >= TERN_SERVICE_POINTS)
        return below;
    uint32_t low = tern_service_point_rows(below), high = tern_service_point_rows(below + 1);
    return rows - low > high - rows ? below + 1 : below;
}

/* ---- reading ---- */

enum quantile {
    P50,
    P99,
};

static double value_at(const struct tern_service *service, uint32_t point, enum quantile q)
{
    const struct tern_service_point *p = &service->points[point];
    return (double)(q == P50 ? p->p50_ns : p->p99_ns);
}

static double between(double low, double x, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* The line through two measured points; it is neither falling nor steeper than proportional when
 * the points are the two next to an end. */
static double on_line(const struct tern_service *service, uint32_t first, uint32_t second,
                      uint32_t rows, enum quantile q)
{
    double x1 = tern_service_point_rows(first), x2 = tern_service_point_rows(second);
    double y1 = value_at(service, first, q), y2 = value_at(service, second, q);
    double n = rows;

    double y = y1 + (y2 - y1) * (n - x1) / (x2 - x1);
    if (n > x2)
        return between(y2, y, y2 * n / x2);
    if (n < x1)
        return between(y1 * n / x1, y, y1);
    return y;
}

/* From the points in `known`, a bit each, at least one. */
static double predict(const struct tern_service *service, uint32_t known, uint32_t rows,
                      enum quantile q)
{
    uint32_t up_to = known & (uint32_t)((UINT64_C(2) << point_below(rows)) - 1);
    uint32_t after = known & ~up_to;
    uint32_t low, high;

    if ((known & (known - 1)) == 0) {
        uint32_t only = (uint32_t)__builtin_ctz(known);
        return value_at(service, only, q) * (1 + (double)rows / tern_service_point_rows(only)) / 2;
    }
    if (up_to == 0) {
        low = (uint32_t)__builtin_ctz(after);
        high = (uint32_t)__builtin_ctz(after & (after - 1));
    } else if (after == 0) {
        high = 31u - (uint32_t)__builtin_clz(up_to);
        low = 31u - (uint32_t)__builtin_clz(up_to & ~(1u << high));
    } else {
        low = 31u - (uint32_t)__builtin_clz(up_to);
        high = (uint32_t)__builtin_ctz(after);
    }
    return on_line(service, low, high, rows, q);
}

static uint64_t predict_ns(const struct tern_service *service, uint32_t rows, enum quantile q)
{
    double ns = predict(service, service->measured, rows > 0 ? rows : 1, q);
    return ns < 1 ? 1 : ns > (double)LONGEST_NS ? LONGEST_NS : (uint64_t)ns;
}

uint64_t tern_service_p50_ns(const struct tern_service *service, uint32_t rows)
{
    return predict_ns(service, rows, P50);
}

uint64_t tern_service_p99_ns(const struct tern_service *service, uint32_t rows)
{
    return predict_ns(service, rows, P99);
}

uint64_t tern_service_budget_ns(const struct tern_service *service, uint32_t rows)
{
    uint64_t p50_ns = tern_service_p50_ns(service, rows);
    uint64_t p99_ns = tern_service_p99_ns(service, rows);
    uint64_t margin_ns = p99_ns > p50_ns ? (p99_ns - p50_ns) / 2 : 0;
    uint64_t most_ns = p50_ns / BUDGET_DIVISOR;

    return p50_ns + (margin_ns < most_ns ? margin_ns : most_ns);
}

uint32_t tern_service_rows_within(const struct tern_service *service, uint64_t time_ns,
                                  uint32_t max)
{
    uint32_t fits = 0, beyond = max;

    if (max == 0 || tern_service_budget_ns(service, max) <= time_ns)
        return max;
    while (beyond - fits > 1) {
        uint32_t middle = fits + (beyond - fits) / 2;
        if (tern_service_budget_ns(service, middle) <= time_ns)
            fits = middle;
        else
            beyond = middle;
    }
    return fits;
}

double tern_service_capacity(const struct tern_service *service, uint32_t rows)
{
    return rows * 1e9 / (double)tern_service_p50_ns(service, rows);
}

void tern_service_line(const struct tern_service *service, uint32_t rows, double *ret_a_ns,
                       double *ret_b_ns)
{
    double one = (double)tern_service_p50_ns(service, 1);

    *ret_b_ns = rows < 2 ? 0 : ((double)tern_service_p50_ns(service, rows) - one) / (rows - 1);
    *ret_a_ns = one - *ret_b_ns > 0 ? one - *ret_b_ns : 0;
}

/* ---- learning ---- */

/* How far a run is from what is usual, as a factor; 1: it is usual. */
static float judge(const struct tern_service_point *point, uint64_t took_ns)
{
    uint64_t quarter = point->p50_ns / FAR_DIVISOR;
    uint64_t tail = point->p99_ns - point->p50_ns;
    uint64_t margin = tail > quarter ? tail : quarter;
    /* As far below as the tail is above, by factor: times are skewed. */
    double low = (double)point->p50_ns * (double)point->p50_ns / (double)(point->p50_ns + margin);

    if (took_ns <= point->p50_ns + margin && (double)took_ns >= low)
        return 1;
    return (float)((double)took_ns / (double)point->p50_ns);
}

static uint64_t scaled(uint64_t ns, double factor)
{
    double y = (double)ns * factor;
    return y < 1 ? 1 : y > (double)LONGEST_NS ? LONGEST_NS : (uint64_t)y;
}

static void scale_points(struct tern_service *service, uint32_t which, double factor)
{
    for (uint32_t left = service->measured & which; left != 0; left &= left - 1) {
        struct tern_service_point *p = &service->points[__builtin_ctz(left)];
        p->p50_ns = scaled(p->p50_ns, factor);
        p->p99_ns = scaled(p->p99_ns, factor);
    }
}

/* The second odd run in a row, both on one side: the milder of the two is believed. Of one size
 * when both were of that size, which may just have been measured badly at first; else of all. */
static void follow_change(struct tern_service *service, uint32_t at, uint64_t took_ns)
{
    float ratio = judge(&service->points[at], took_ns);
    float before = service->odd_ratio;

    if ((ratio > 1 && before > 1) || (ratio < 1 && before < 1)) {
        float milder = (ratio > 1) == (ratio < before) ? ratio : before;
        bool is_one_size = at == service->odd_point;
        scale_points(service, is_one_size ? 1u << at : UINT32_MAX, (double)milder);
        ratio = 1;
    }
    service->odd_ratio = ratio;
    service->odd_point = at;
}

static void nudge(struct tern_service_point *point, uint64_t took_ns)
{
    uint64_t step = point->p50_ns / (point->seen < EARLY_RUNS ? EARLY_RUNS : MEDIAN_STEP) + 1;
    uint64_t tail_step = point->p99_ns / TAIL_STEP + 1;
    uint64_t off = took_ns > point->p50_ns ? took_ns - point->p50_ns : point->p50_ns - took_ns;

    /* It does not step over what came: a machine without noise is known exactly. */
    step = step < off ? step : off;
    point->p50_ns = took_ns > point->p50_ns ? point->p50_ns + step : point->p50_ns - step;
    point->p50_ns = point->p50_ns > 0 ? point->p50_ns : 1;
    if (took_ns > point->p99_ns)
        point->p99_ns += tail_step < took_ns - point->p99_ns ? tail_step : took_ns - point->p99_ns;
    else
        point->p99_ns -= tail_step / 99;
    point->p99_ns = point->p99_ns > point->p50_ns ? point->p99_ns : point->p50_ns;
}

/* What was just measured is right; neighbours that contradict it follow. */
static void keep_monotone(struct tern_service *service, uint32_t at)
{
    const struct tern_service_point *here = &service->points[at];

    for (uint32_t left = service->measured; left != 0; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(left);
        struct tern_service_point *p = &service->points[i];
        if (i < at ? p->p50_ns > here->p50_ns : p->p50_ns < here->p50_ns)
            p->p50_ns = here->p50_ns;
        if (i < at ? p->p99_ns > here->p99_ns : p->p99_ns < here->p99_ns)
            p->p99_ns = here->p99_ns;
    }
}

/* Time saved by the best size of several rows, against one by one. */
static void judge_gains(struct tern_service *service)
{
    uint32_t pairs = service->measured & ~1u;
    double one = (double)tern_service_p50_ns(service, 1);
    double best = 1;

    for (; pairs != 0; pairs &= pairs - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(pairs);
        double share = (double)service->points[i].p50_ns / (one * tern_service_point_rows(i));
        best = share < best ? share : best;
    }
    bool knows_both = (service->measured & 1u) != 0 && (service->measured & ~1u) != 0;
    if (!knows_both || best * 100 <= GAINS_FROM)
        service->is_flat_out = false;
    else if (best * 100 > FLAT_OUT_FROM)
        service->is_flat_out = true;
}

/* What a run of so many rows says about the next measured size. */
static uint64_t as_if(const struct tern_service *service, uint32_t rows, uint32_t point,
                      uint64_t took_ns)
{
    uint32_t grid_rows = tern_service_point_rows(point);
    if (rows == grid_rows)
        return took_ns;
    return scaled(took_ns, (double)tern_service_p50_ns(service, grid_rows) /
                               (double)tern_service_p50_ns(service, rows));
}

/* Within a factor of the estimate: a first run that was disturbed does not do much harm. */
static void begin_point(struct tern_service *service, uint32_t at, uint64_t took_ns)
{
    uint32_t rows = tern_service_point_rows(at);
    double p50 = predict(service, service->measured, rows, P50);
    double p99 = predict(service, service->measured, rows, P99);
    double took = between(p50 / FIRST_FACTOR, (double)took_ns, p50 * FIRST_FACTOR);

    service->points[at] = (struct tern_service_point){.p50_ns = scaled(1, took),
                                                      .p99_ns = scaled(1, took * p99 / p50)};
    service->measured |= 1u << at;
}

/* A size that seems too slow is not tried, and would never be corrected: while smaller ones run, it
 * fades towards what they predict, and some run tries it again. */
static void fade_next(struct tern_service *service, uint32_t at)
{
    uint32_t larger = service->measured & ~(uint32_t)((UINT64_C(2) << at) - 1);
    if (larger == 0)
        return;
    uint32_t next = (uint32_t)__builtin_ctz(larger), rows = tern_service_point_rows(next);
    struct tern_service_point *p = &service->points[next];

    double p50 = predict(service, service->measured & ~larger, rows, P50);
    double p99 = predict(service, service->measured & ~larger, rows, P99);
    if ((double)p->p50_ns > p50)
        p->p50_ns -= (uint64_t)(((double)p->p50_ns - p50) / FADE);
    if ((double)p->p99_ns > p99)
        p->p99_ns -= (uint64_t)(((double)p->p99_ns - p99) / FADE);
    p->p99_ns = p->p99_ns > p->p50_ns ? p->p99_ns : p->p50_ns;
}

void tern_service_learn(struct tern_service *service, uint32_t rows, uint64_t took_ns)
{
    rows = rows > 0 ? rows : 1;
    took_ns = took_ns < 1 ? 1 : took_ns > LONGEST_NS ? LONGEST_NS : took_ns;
    uint32_t at = point_nearest(rows);
    struct tern_service_point *point = &service->points[at];
    uint64_t took = as_if(service, rows, at, took_ns);

    if ((service->measured >> at & 1u) == 0) {
        begin_point(service, at, took);
    } else {
        follow_change(service, at, took);
        nudge(point, took);
    }
    if (!service->is_flat_out)
        fade_next(service, at);
    point->seen += point->seen < UINT32_MAX ? 1u : 0;
    keep_monotone(service, at);
    service->n_refused = 0;
    service->n_since_pair = rows > 1 ? 0 : service->n_since_pair + 1;
    if (rows > 1)
        judge_gains(service);
}

bool tern_service_gains(const struct tern_service *service)
{
    return !service->is_flat_out || service->n_since_pair >= PAIR_EVERY;
}

void tern_service_refused(struct tern_service *service)
{
    service->n_refused += service->n_refused < UINT32_MAX ? 1u : 0;
}

bool tern_service_is_in_doubt(const struct tern_service *service)
{
    return service->n_refused >= DOUBT_AFTER;
}

void tern_service_init(struct tern_service *service, uint32_t rows, uint64_t took_ns)
{
    uint32_t at = point_nearest(rows);

    memset(service, 0, sizeof(*service));
    service->measured = 1u << at;
    service->odd_ratio = 1;
    if (rows > TERN_SERVICE_ROWS_MAX) /* larger ones are what the last point says, in proportion */
        took_ns = (uint64_t)((double)took_ns * TERN_SERVICE_ROWS_MAX / rows);
    took_ns = took_ns < 1 ? 1 : took_ns > LONGEST_NS ? LONGEST_NS : took_ns;
    service->points[at] = (struct tern_service_point){
        .p50_ns = took_ns, .p99_ns = took_ns + took_ns / FIRST_TAIL, .seen = 1};
}
