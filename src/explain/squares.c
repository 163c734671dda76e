#include "explain/squares.h"

#include <math.h>

#define FLOPS_AT_ONCE (1u << 20)
#define LEAST_PIVOT   1e-12 /* of the largest: smaller ones are what rounding left of nothing */

static bool has(const struct tern_plan *plan, uint32_t set, uint32_t feature)
{
    return plan->sets[(size_t)set * plan->words + feature / 64] >> (feature % 64) & 1;
}

enum tern_code tern_squares_init(struct tern_squares *squares, const struct tern_plan *plan,
                                 struct tern_arena *arena, struct tern_err *err)
{
    size_t m = plan->m - 1;

    *squares = (struct tern_squares){.plan = plan};
    squares->matrix = tern_arena_zalloc(arena, m * m, sizeof(double));
    return squares->matrix != NULL ? TERN_OK
                                   : tern_arena_fail(arena, err, "the equations of an explanation");
}

/* z = 1 for a feature of the set, less 1 when the last feature is in: all are -1, 0 or 1. Only
 * pairs that are not 0 are touched. */
static void add_set(struct tern_squares *squares, uint32_t set)
{
    const struct tern_plan *plan = squares->plan;
    uint32_t m = plan->m - 1;
    bool has_last = has(plan, set, m);
    double weight = plan->weights[set];

    for (uint32_t i = 0; i < m; i++) {
        if (has(plan, set, i) == has_last)
            continue; /* 1 - 1, or 0 - 0 */
        double *row = squares->matrix + (size_t)i * m;
        for (uint32_t j = 0; j <= i; j++)
            row[j] += has(plan, set, j) == has_last ? 0 : weight;
    }
}

/* In place; a row at a time. */
static enum tern_code factor(struct tern_squares *squares, struct tern_err *err)
{
    uint32_t m = squares->plan->m - 1;
    double largest = 0;

    for (uint32_t i = 0; i < m; i++) {
        double *row = squares->matrix + (size_t)i * m;
        for (uint32_t j = 0; j <= i; j++) {
            const double *other = squares->matrix + (size_t)j * m;
            double sum = row[j];
            for (uint32_t k = 0; k < j; k++)
                sum -= row[k] * other[k];
            if (j < i) {
                row[j] = sum / other[j];
                continue;
            }
            largest = fmax(largest, sum);
            if (!(sum > LEAST_PIVOT * largest))
                return tern_fail(err, TERN_FAILED_PRECONDITION,
                                 "%u coalitions are too few for %u features: ask for more nsamples",
                                 squares->plan->n, squares->plan->m);
            row[j] = sqrt(sum);
        }
    }
    squares->is_factored = true;
    return TERN_OK;
}

enum tern_code tern_squares_go_on(struct tern_squares *squares, struct tern_err *err)
{
    size_t m = squares->plan->m;
    size_t n = FLOPS_AT_ONCE / (m * m) + 1;

    if (squares->n_added == squares->plan->n)
        return factor(squares, err);
    for (size_t i = 0; i < n && squares->n_added < squares->plan->n; i++)
        add_set(squares, squares->n_added++);
    return TERN_OK;
}

void tern_squares_solve(const struct tern_squares *squares, const double *lifts, size_t stride,
                        double total, double *values)
{
    const struct tern_plan *plan = squares->plan;
    uint32_t m = plan->m - 1;
    double rest = total;

    for (uint32_t i = 0; i < m; i++)
        values[i] = 0;
    for (uint32_t set = 0; set < plan->n; set++) {
        bool has_last = has(plan, set, m);
        double y = plan->weights[set] * (lifts[set * stride] - (has_last ? total : 0));
        for (uint32_t i = 0; i < m; i++)
            values[i] += has(plan, set, i) == has_last ? 0 : has_last ? -y : y;
    }
    for (uint32_t i = 0; i < m; i++) {
        const double *row = squares->matrix + (size_t)i * m;
        for (uint32_t k = 0; k < i; k++)
            values[i] -= row[k] * values[k];
        values[i] /= row[i];
    }
    for (uint32_t i = m; i-- > 0;) {
        for (uint32_t k = i + 1; k < m; k++)
            values[i] -= squares->matrix[(size_t)k * m + i] * values[k];
        values[i] /= squares->matrix[(size_t)i * m + i];
        rest -= values[i];
    }
    values[m] = rest;
}
