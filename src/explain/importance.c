/* Global importance: how far the model's answers move, on average over all rows, when a feature is
 * shuffled among them (Breiman 2001; without labels, as the change itself). */
#include <math.h>
#include "explain/draw.h"
#include "explain/explain_int.h"

#define USUAL_REPEATS 5

static uint64_t repeats(const struct tern_explain *job)
{
    uint64_t n = job->task.request->nsamples;
    return n == 0 ? USUAL_REPEATS : n;
}

uint64_t explain_importance_cost(const struct tern_explain *job)
{
    uint64_t cost;

    return __builtin_mul_overflow((uint64_t)job->x.n_features * job->x.n_rows, repeats(job), &cost)
               ? UINT64_MAX
               : cost;
}

enum tern_code explain_begin_importance(struct tern_explain *job, struct tern_err *err)
{
    uint32_t width = job->answer.n_outputs;

    job->at = 0;
    job->n = explain_importance_cost(job);
    job->shuffled = tern_arena_zalloc(job->arena, job->x.n_rows, sizeof(uint32_t));
    if (job->shuffled == NULL)
        return tern_arena_fail(job->arena, err, "the order of the rows");
    TERN_TRY(explain_numbers(job, &job->changes, width, 1, 1, err));
    return explain_numbers(job, &job->answer.deviations, 1, width, job->x.n_features, err);
}

void explain_describe_shuffle(struct tern_explain *job, uint64_t at, struct explain_ask *ret)
{
    uint32_t n = job->x.n_rows;
    uint64_t shuffle = at / n;

    if (job->shuffled_of != shuffle + 1) {
        struct tern_draw draw = {job->task.request->seed + shuffle * UINT64_C(0xd1342543de82ef95)};
        for (uint32_t i = 0; i < n; i++)
            job->shuffled[i] = i;
        tern_draw_shuffle(&draw, job->shuffled, n);
        job->shuffled_of = shuffle + 1;
        job->shuffled_feature = (uint32_t)(shuffle / repeats(job));
    }
    ret->under = ret->over = &job->x;
    ret->row = (uint32_t)(at % n);
    ret->over_row = job->shuffled[at % n];
    ret->features = &job->shuffled_feature;
    ret->n_features = 1;
}

void explain_take_shuffle(struct tern_explain *job, uint64_t at, const double *scores)
{
    const struct tern_explain_answer *answer = &job->answer;
    uint32_t width = answer->n_outputs, n = job->x.n_rows, row = (uint32_t)(at % n);
    uint64_t feature = at / n / repeats(job);

    for (uint32_t k = 0; k < width; k++) {
        size_t place = (size_t)k * answer->n_features + feature;
        job->changes[k] += fabs(scores[k] - answer->predictions[(size_t)row * width + k]) / n;
        if (row + 1 < n)
            continue;
        answer->values[place] += job->changes[k];
        answer->deviations[place] += job->changes[k] * job->changes[k];
        job->changes[k] = 0;
    }
}

void explain_end_importance(struct tern_explain *job)
{
    const struct tern_explain_answer *answer = &job->answer;
    double n = (double)repeats(job);

    for (size_t i = 0; i < (size_t)answer->n_outputs * answer->n_features; i++) {
        double mean = answer->values[i] / n;
        double variance = answer->deviations[i] / n - mean * mean;
        answer->values[i] = mean;
        answer->deviations[i] = variance > 0 ? sqrt(variance) : 0;
    }
}
