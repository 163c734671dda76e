/* Methods that the engine itself knows: a few rows at a time. */
#include <math.h>
#include "base/clock.h"
#include "explain/explain_int.h"

#define SHORT_NS (TERN_NS_PER_MS / 4)
#define LONG_NS  (TERN_NS_PER_MS * 2)

/* Of the output whose classes are as many as the raw scores; a single score is the second class's
 * of two. */
static const struct tern_labels *find_labels(const struct tern_explain *job, uint32_t n)
{
    const struct tern_model_info *info = job->task.info;

    for (uint32_t i = 0; info->labels != NULL && i < info->n_outputs; i++) {
        if (info->labels[i].n == (n == 1 ? 2 : n))
            return &info->labels[i];
    }
    return NULL;
}

static enum tern_code name_scores(struct tern_explain *job, struct tern_err *err)
{
    struct tern_explain_answer *answer = &job->answer;
    uint32_t n = answer->n_outputs;
    const struct tern_labels *labels = find_labels(job, n);

    answer->outputs = tern_arena_zalloc(job->arena, n, sizeof(*answer->outputs));
    if (answer->outputs == NULL)
        return tern_arena_fail(job->arena, err, "the names of the outputs");
    for (uint32_t k = 0; k < n; k++)
        TERN_TRY(explain_name_score(job, TERN_STR("margin"), labels,
                                    n == 1 && labels != NULL ? 1 : k, n, k, err));
    return TERN_OK;
}

static enum tern_code list_background(struct tern_explain *job, struct tern_err *err)
{
    uint32_t n = job->background.n_inputs;

    job->background_rows = tern_arena_zalloc(job->arena, n, sizeof(*job->background_rows));
    if (job->background_rows == NULL)
        return tern_arena_fail(job->arena, err, "the background");
    for (uint32_t i = 0; i < n; i++)
        job->background_rows[i] = *job->background.inputs[i].tensor;
    return TERN_OK;
}

enum tern_code explain_begin_exact(struct tern_explain *job, struct tern_err *err)
{
    const struct tern_engine_explains *explains = job->task.explains;
    struct tern_explain_answer *answer = &job->answer;
    size_t m = answer->n_features, width = explains->n_outputs;

    if (explains->n_features != m || job->x.n_inputs != job->task.info->n_inputs)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "a row has %zu features, the model explains rows of %u", m,
                         explains->n_features);
    answer->is_margin = true;
    answer->n_outputs = explains->n_outputs;
    TERN_TRY(name_scores(job, err));
    TERN_TRY(explain_numbers(job, &answer->values, answer->n, width, m, err));
    TERN_TRY(explain_numbers(job, &answer->predictions, answer->n, width, 1, err));
    TERN_TRY(explain_numbers(job, &answer->base, width, 1, 1, err));
    if (job->task.request->interactions)
        TERN_TRY(explain_numbers(job, &answer->interactions, answer->n * width, m, m, err));
    if (job->has_background)
        TERN_TRY(list_background(job, err));
    job->at = 0;
    job->n = answer->n;
    job->run_rows = 1;
    return TERN_OK;
}

enum tern_code explain_exact(struct tern_explain *job, const struct tern_explain_model *model,
                             const atomic_bool *cancelled, struct tern_err *err)
{
    const struct tern_explain_answer *answer = &job->answer;
    size_t m = answer->n_features, width = answer->n_outputs, at = (size_t)job->at;
    uint64_t n = job->n - job->at < job->run_rows ? job->n - job->at : job->run_rows;
    const struct tern_engine_explain run = {
        .method = job->method,
        .rows = job->mix.tensors,
        .n_rows = (size_t)n,
        .background = job->background_rows,
        .n_background = job->has_background ? job->background.n_rows : 0,
        .values = answer->values + at * width * m,
        .interactions =
            answer->interactions == NULL ? NULL : answer->interactions + at * width * m * m,
        .base = answer->base,
        .raw = answer->predictions + at * width,
        .arena = &job->scratch,
        .cancelled = cancelled,
    };

    tern_arena_reset(&job->scratch);
    TERN_TRY(tern_mix_begin(&job->mix, (uint32_t)n, &job->scratch, err));
    for (uint32_t i = 0; i < n; i++)
        tern_mix_add(&job->mix, &job->x, (uint32_t)at + i, &job->x, (uint32_t)at + i, NULL, 0);
    TERN_TRY(tern_mix_end(&job->mix, err));
    uint64_t start_ns = tern_clock_mono_ns();
    TERN_TRY(model->explain(model->arg, &run, err));
    uint64_t took_ns = tern_clock_mono_ns() - start_ns;
    if (took_ns < SHORT_NS)
        job->run_rows *= 2;
    else if (took_ns > LONG_NS && job->run_rows > 1)
        job->run_rows /= 2;
    job->at += n;
    return TERN_OK;
}
