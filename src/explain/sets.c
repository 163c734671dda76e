/* Shapley values from coalitions: KernelSHAP by least squares, permutations by differences. */
#include <string.h>
#include "explain/explain_int.h"

#define USUAL_ORDERS 10

/* ---- what to ask ---- */

static uint32_t orders(const struct tern_explain *job)
{
    uint64_t n = job->task.request->nsamples;
    return n == 0 ? USUAL_ORDERS : (uint32_t)n;
}

static uint64_t count_sets(const struct tern_explain *job, uint32_t m)
{
    if (m < 2)
        return 0;
    return job->method == TERN_EXPLAIN_KERNEL
               ? tern_plan_kernel_size(m, job->task.request->nsamples)
               : (uint64_t)orders(job) * 2 * (m - 1);
}

uint64_t explain_sets_cost(const struct tern_explain *job)
{
    uint64_t sets = count_sets(job, job->x.n_features), cost;

    return __builtin_mul_overflow(sets, (uint64_t)job->background.n_rows, &cost) ? UINT64_MAX
                                                                                 : cost;
}

static bool varies(const struct tern_explain *job, uint32_t feature)
{
    for (uint32_t b = 0; b < job->background.n_rows; b++) {
        if (!tern_grid_equal(&job->x, job->row, &job->background, b, feature))
            return true;
    }
    return false;
}

/* The same coalitions serve all rows in which as many features vary. */
static enum tern_code make_plan(struct tern_explain *job, uint32_t m, struct tern_err *err)
{
    const struct tern_explain_request *request = job->task.request;
    struct tern_arena *arena = &job->plan_arena;

    if (job->plan.m == m)
        return TERN_OK;
    tern_arena_reset(arena);
    job->plan.m = 0;
    struct tern_plan plan;
    if (job->method == TERN_EXPLAIN_KERNEL)
        TERN_TRY(tern_plan_kernel(&plan, m, request->nsamples, request->seed, arena, err));
    else
        TERN_TRY(tern_plan_orders(&plan, m, orders(job), request->seed, arena, err));
    job->lifts = tern_arena_zalloc(arena, plan.n, job->answer.n_outputs * sizeof(double));
    job->absent = tern_arena_zalloc(arena, m, sizeof(uint32_t));
    if (job->lifts == NULL || job->absent == NULL)
        return tern_arena_fail(arena, err, "the coalitions of an explanation");
    job->plan = plan;
    if (job->method == TERN_EXPLAIN_KERNEL)
        TERN_TRY(tern_squares_init(&job->squares, &job->plan, arena, err));
    return TERN_OK;
}

enum tern_code explain_begin_row(struct tern_explain *job, struct tern_err *err)
{
    if (job->varying == NULL)
        job->varying = tern_arena_zalloc(job->arena, job->x.n_features, sizeof(uint32_t));
    if (job->varying == NULL)
        return tern_arena_fail(job->arena, err, "the features of an explanation");
    job->n_varying = 0;
    for (uint32_t f = 0; f < job->x.n_features; f++) {
        job->varying[job->n_varying] = f;
        job->n_varying += varies(job, f);
    }
    job->at = job->n = job->absent_of = 0;
    if (job->n_varying < 2)
        return TERN_OK;
    TERN_TRY(make_plan(job, job->n_varying, err));
    memset(job->lifts, 0, (size_t)job->plan.n * job->answer.n_outputs * sizeof(double));
    job->n = (uint64_t)job->plan.n * job->background.n_rows;
    return TERN_OK;
}

void explain_describe_set(struct tern_explain *job, uint64_t at, struct explain_ask *ret)
{
    uint64_t set = at / job->background.n_rows;

    if (job->absent_of != set + 1) {
        job->n_absent = tern_plan_absent(&job->plan, (uint32_t)set, job->absent);
        for (uint32_t i = 0; i < job->n_absent; i++)
            job->absent[i] = job->varying[job->absent[i]];
        job->absent_of = set + 1;
    }
    ret->under = &job->x;
    ret->row = job->row;
    ret->over = &job->background;
    ret->over_row = (uint32_t)(at % job->background.n_rows);
    ret->features = job->absent;
    ret->n_features = job->n_absent;
}

void explain_take_set(struct tern_explain *job, uint64_t at, const double *scores)
{
    uint32_t width = job->answer.n_outputs;
    double *lift = job->lifts + at / job->background.n_rows * width;

    for (uint32_t k = 0; k < width; k++)
        lift[k] += scores[k];
}

/* ---- what it means ---- */

static double *values_of(const struct tern_explain *job, uint32_t output)
{
    const struct tern_explain_answer *answer = &job->answer;
    return answer->values + ((size_t)job->row * answer->n_outputs + output) * answer->n_features;
}

static double total_of(const struct tern_explain *job, uint32_t output)
{
    const struct tern_explain_answer *answer = &job->answer;
    return answer->predictions[(size_t)job->row * answer->n_outputs + output] -
           answer->base[output];
}

/* Each feature gets what it adds where it joins, on average over the orders. */
static void add_steps(const struct tern_explain *job, uint32_t output, double *values)
{
    const struct tern_plan *plan = &job->plan;
    uint32_t m = plan->m, width = job->answer.n_outputs;
    double share = 1.0 / (2.0 * plan->n_orders);

    for (uint32_t o = 0; o < 2 * plan->n_orders; o++) {
        const uint32_t *order = plan->orders + (size_t)(o / 2) * m;
        const double *lifts = job->lifts + (size_t)o * (m - 1) * width + output;
        double before = 0;
        for (uint32_t i = 0; i < m; i++) {
            double now = i + 1 < m ? lifts[(size_t)i * width] : total_of(job, output);
            values[order[o % 2 == 0 ? i : m - 1 - i]] += (now - before) * share;
            before = now;
        }
    }
}

static void explain_output(struct tern_explain *job, uint32_t output, double *values)
{
    uint32_t m = job->n_varying;
    double *to = values_of(job, output);

    if (m == 1)
        to[job->varying[0]] = total_of(job, output);
    if (m < 2)
        return;
    memset(values, 0, m * sizeof(*values));
    if (job->method == TERN_EXPLAIN_KERNEL)
        tern_squares_solve(&job->squares, job->lifts + output, job->answer.n_outputs,
                           total_of(job, output), values);
    else
        add_steps(job, output, values);
    for (uint32_t i = 0; i < m; i++)
        to[job->varying[i]] = values[i];
}

enum tern_code explain_end_row(struct tern_explain *job, bool *ret_done, struct tern_err *err)
{
    uint32_t width = job->answer.n_outputs;

    *ret_done = false;
    if (job->n_varying >= 2 && job->method == TERN_EXPLAIN_KERNEL && !job->squares.is_factored)
        return tern_squares_go_on(&job->squares, err);
    tern_arena_reset(&job->scratch);
    double *values = tern_arena_zalloc(&job->scratch, job->x.n_features, sizeof(*values));
    if (values == NULL)
        return tern_arena_fail(&job->scratch, err, "the values of an explanation");
    for (uint32_t i = 0; job->n_varying >= 2 && i < job->plan.n; i++) {
        for (uint32_t k = 0; k < width; k++) {
            double *lift = &job->lifts[(size_t)i * width + k];
            *lift = *lift / job->background.n_rows - job->answer.base[k];
        }
    }
    for (uint32_t k = 0; k < width; k++)
        explain_output(job, k, values);
    *ret_done = true;
    return TERN_OK;
}
