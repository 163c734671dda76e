/* Asking the model about rows in the making, many at once. */
#include <math.h>
#include "base/clock.h"
#include "core/value.h"
#include "explain/explain_int.h"

#define FIRST_ROWS   16u
#define ROWS_MAX     4096u
#define ELEMENTS_MAX (1u << 20)           /* of the rows of one run */
#define SHORT_NS     (TERN_NS_PER_MS / 4) /* a run that takes less is followed by a larger one */
#define LONG_NS      (TERN_NS_PER_MS * 2) /* and one that takes more by a smaller one */

/* ---- outputs ---- */

static bool is_float(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_FP16 || dtype == TERN_DTYPE_BF16 || dtype == TERN_DTYPE_FP32 ||
           dtype == TERN_DTYPE_FP64;
}

static bool is_number(enum tern_dtype dtype)
{
    return dtype != TERN_DTYPE_BYTES && dtype != TERN_DTYPE_INVALID;
}

static enum tern_code choose_usual(struct tern_explain *job, struct tern_err *err)
{
    const struct tern_model_info *info = job->task.info;

    job->n_output_spec = 1;
    for (uint32_t i = 0; i < info->n_outputs; i++) {
        if (is_float(info->outputs[i].dtype)) {
            job->output_spec[0] = i;
            return TERN_OK;
        }
    }
    for (uint32_t i = 0; i < info->n_outputs; i++) {
        if (is_number(info->outputs[i].dtype)) {
            job->output_spec[0] = i;
            return TERN_OK;
        }
    }
    return tern_fail(err, TERN_UNIMPLEMENTED,
                     "model '%.*s' has no output of numbers that could be explained",
                     TERN_STR_ARG(info->name));
}

enum tern_code explain_choose_outputs(struct tern_explain *job, struct tern_err *err)
{
    const struct tern_explain_task *task = &job->task;
    const struct tern_model_info *info = task->info;

    job->output_spec = tern_arena_zalloc(job->arena, task->n_outputs + 1, sizeof(uint32_t));
    if (job->output_spec == NULL)
        return tern_arena_fail(job->arena, err, "the outputs to explain");
    if (task->n_outputs == 0)
        return choose_usual(job, err);
    for (uint32_t i = 0; i < task->n_outputs; i++) {
        struct tern_str name = task->outputs[i].name;
        const struct tern_tensor_spec *spec = tern_model_output(info, name);
        if (spec == NULL)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "unexpected output '%.*s' to explain: model '%.*s' has no such output",
                             TERN_STR_ARG(name), TERN_STR_ARG(info->name));
        if (!is_number(spec->dtype))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "output '%.*s' is BYTES: only numbers can be explained",
                             TERN_STR_ARG(name));
        job->output_spec[job->n_output_spec++] = (uint32_t)(spec - info->outputs);
    }
    return TERN_OK;
}

/* Scores of one row; 0: the answer has not the rows it should have. */
static size_t row_scores(const struct tern_tensor *tensor, bool is_batch, uint32_t rows)
{
    size_t n;

    if (!tern_shape_count(&tensor->shape, &n))
        return 0;
    if (!is_batch)
        return n;
    return rows > 0 && tensor->shape.rank > 0 && tensor->shape.dim[0] == rows ? n / rows : 0;
}

enum tern_code explain_name_score(struct tern_explain *job, struct tern_str output,
                                  const struct tern_labels *labels, size_t at, size_t n,
                                  uint32_t place, struct tern_err *err)
{
    struct tern_explain_answer *answer = &job->answer;
    bool is_known = labels != NULL && at < labels->n;
    struct tern_str label = is_known ? labels->rows[at] : tern_str_make(NULL, 0), name;

    if (is_known && answer->labels == NULL)
        answer->labels = tern_arena_zalloc(job->arena, answer->n_outputs, sizeof(*answer->labels));
    if (is_known && answer->labels == NULL)
        return tern_arena_fail(job->arena, err, "the names of the outputs");
    if (is_known)
        answer->labels[place] = label;
    if (n == 1 && !is_known)
        name = tern_arena_copy(job->arena, output);
    else if (is_known)
        name =
            tern_arena_printf(job->arena, "%.*s[%.*s]", TERN_STR_ARG(output), TERN_STR_ARG(label));
    else
        name = tern_arena_printf(job->arena, "%.*s[%zu]", TERN_STR_ARG(output), at);
    answer->outputs[place] = name;
    return name.p != NULL || output.n == 0
               ? TERN_OK
               : tern_arena_fail(job->arena, err, "the names of the outputs");
}

/* The first answer tells how many scores there are. */
static enum tern_code learn_outputs(struct tern_explain *job, const struct tern_tensor *outputs,
                                    uint32_t rows, struct tern_err *err)
{
    const struct tern_model_info *info = job->task.info;
    struct tern_explain_answer *answer = &job->answer;
    size_t total = 0;
    uint32_t at = 0;

    for (uint32_t i = 0; i < job->n_output_spec; i++)
        total += row_scores(&outputs[i], job->x.is_batch, rows);
    if (total == 0 || total > UINT32_MAX / 8)
        return tern_fail(err, TERN_FAILED_PRECONDITION, "there is nothing in the model's outputs");
    answer->n_outputs = (uint32_t)total;
    answer->outputs = tern_arena_zalloc(job->arena, total, sizeof(*answer->outputs));
    if (answer->outputs == NULL)
        return tern_arena_fail(job->arena, err, "the names of the outputs");
    for (uint32_t i = 0; i < job->n_output_spec; i++) {
        size_t n = row_scores(&outputs[i], job->x.is_batch, rows);
        const struct tern_labels *labels =
            info->labels == NULL ? NULL : &info->labels[job->output_spec[i]];
        for (size_t k = 0; k < n; k++)
            TERN_TRY(explain_name_score(job, outputs[i].name, labels, k, n, at++, err));
    }
    TERN_TRY(explain_numbers(job, &answer->predictions, job->x.n_rows, total, 1, err));
    TERN_TRY(explain_numbers(job, &answer->base, total, 1, 1, err));
    return explain_numbers(job, &answer->values, answer->n, total, answer->n_features, err);
}

/* All outputs of a row side by side, as doubles. */
static enum tern_code read_scores(struct tern_explain *job, const struct tern_tensor *outputs,
                                  uint32_t rows, struct tern_err *err)
{
    uint32_t width = job->answer.n_outputs, first = 0;

    job->scores =
        tern_arena_alloc(&job->scratch, sizeof(double), (size_t)rows * width * sizeof(double));
    if (job->scores == NULL)
        return tern_arena_fail(&job->scratch, err, "the model's answers");
    for (uint32_t i = 0; i < job->n_output_spec; i++) {
        size_t n = row_scores(&outputs[i], job->x.is_batch, rows);
        if (n > width - first)
            n = 0;
        for (uint32_t row = 0; row < rows; row++) {
            for (size_t k = 0; k < n; k++)
                job->scores[(size_t)row * width + first + k] =
                    tern_value_get(&outputs[i], row * n + k);
        }
        first += (uint32_t)n;
    }
    if (first != width)
        return tern_fail(err, TERN_FAILED_PRECONDITION,
                         "the model's answers change their shape from run to run: they cannot be "
                         "compared");
    for (size_t i = 0; i < (size_t)rows * width; i++) {
        if (!isfinite(job->scores[i]))
            return tern_fail(err, TERN_FAILED_PRECONDITION,
                             "the model answers %s where a part of a row's features is replaced: "
                             "that cannot be explained",
                             isnan(job->scores[i]) ? "NaN" : "infinity");
    }
    return TERN_OK;
}

/* ---- runs ---- */

static enum tern_code run(struct tern_explain *job, const struct tern_explain_model *model,
                          const atomic_bool *cancelled, struct tern_err *err)
{
    uint32_t n = job->n_output_spec;
    struct tern_tensor *outputs = tern_arena_zalloc(&job->scratch, n, sizeof(*outputs));
    uint32_t *spec = tern_arena_zalloc(&job->scratch, n, sizeof(*spec));

    if (outputs == NULL || spec == NULL)
        return tern_arena_fail(&job->scratch, err, "the model's answers");
    for (uint32_t i = 0; i < n; i++) {
        spec[i] = job->output_spec[i];
        outputs[i].name = job->task.info->outputs[spec[i]].name;
    }
    const struct tern_engine_run engine_run = {
        .params = job->task.params,
        .inputs = job->mix.tensors,
        .input_spec = job->mix.specs,
        .n_inputs = job->x.n_inputs,
        .outputs = outputs,
        .output_spec = spec,
        .n_outputs = n,
        .arena = &job->scratch,
        .cancelled = cancelled,
    };
    TERN_TRY(model->infer(model->arg, &engine_run, err));
    if (job->answer.n_outputs == 0)
        TERN_TRY(learn_outputs(job, outputs, job->mix.n, err));
    return read_scores(job, outputs, job->mix.n, err);
}

/* Rows of the next run: as many as take a millisecond or so, so that others need not wait. */
static uint32_t choose_rows(struct tern_explain *job)
{
    uint64_t rows = job->run_rows == 0 ? FIRST_ROWS : job->run_rows;
    uint64_t most = job->x.is_batch && job->task.rows_max > 0 ? job->task.rows_max : 1;
    uint64_t fit = ELEMENTS_MAX / (job->x.n_features + 1) + 1;

    rows = rows < most ? rows : most;
    rows = rows < fit ? rows : fit;
    rows = rows < ROWS_MAX ? rows : ROWS_MAX;
    job->run_rows = (uint32_t)rows;
    return (uint32_t)(rows < job->n - job->at ? rows : job->n - job->at);
}

static void adapt(struct tern_explain *job, uint64_t took_ns)
{
    if (took_ns < SHORT_NS)
        job->run_rows *= 2;
    else if (took_ns > LONG_NS && job->run_rows > 1)
        job->run_rows /= 2;
}

enum tern_code
explain_ask(struct tern_explain *job, const struct tern_explain_model *model,
            void (*describe)(struct tern_explain *job, uint64_t at, struct explain_ask *ret),
            void (*take)(struct tern_explain *job, uint64_t at, const double *scores),
            const atomic_bool *cancelled, struct tern_err *err)
{
    uint32_t rows = choose_rows(job);
    struct explain_ask ask;

    tern_arena_reset(&job->scratch);
    TERN_TRY(tern_mix_begin(&job->mix, rows, &job->scratch, err));
    for (uint32_t i = 0; i < rows; i++) {
        ask = (struct explain_ask){.n_features = 0};
        describe(job, job->at + i, &ask);
        if (ask.over == NULL)
            ask.over = ask.under;
        tern_mix_add(&job->mix, ask.under, ask.row, ask.over, ask.over_row, ask.features,
                     ask.n_features);
    }
    TERN_TRY(tern_mix_end(&job->mix, err));
    uint64_t start_ns = tern_clock_mono_ns();
    TERN_TRY(run(job, model, cancelled, err));
    adapt(job, tern_clock_mono_ns() - start_ns);
    job->answer.evaluations += rows;
    for (uint32_t i = 0; i < rows; i++)
        take(job, job->at + i, job->scores + (size_t)i * job->answer.n_outputs);
    job->at += rows;
    return TERN_OK;
}
