#include "explain/explain.h"

#include <math.h>
#include <string.h>
#include "base/clock.h"
#include "base/num.h"
#include "core/inputs.h"
#include "explain/background.h"
#include "explain/explain_int.h"

#define ROW_FEATURES_KERNEL_MAX 1024u /* that vary: the equations are their square */

/* ---- what is asked ---- */

static bool can(const struct tern_explain *job, enum tern_explain_method method)
{
    const struct tern_engine_explains *explains = job->task.explains;
    return explains != NULL && (explains->methods & TERN_EXPLAIN_BIT(method)) != 0;
}

static bool is_exact(enum tern_explain_method method)
{
    return method == TERN_EXPLAIN_TREE || method == TERN_EXPLAIN_TREE_INTERVENTIONAL ||
           method == TERN_EXPLAIN_LINEAR;
}

static bool needs_background(enum tern_explain_method method)
{
    return method != TERN_EXPLAIN_TREE && method != TERN_EXPLAIN_IMPORTANCE;
}

static bool brings_background(const struct tern_explain *job)
{
    return job->task.request->background != TERN_EXPLAIN_BACKGROUND_MODEL ||
           job->task.background_path != NULL;
}

/* The exact ones first; outputs that are named are no raw scores. */
static enum tern_explain_method choose(const struct tern_explain *job)
{
    if (job->task.n_outputs > 0)
        return TERN_EXPLAIN_KERNEL;
    if (can(job, TERN_EXPLAIN_TREE_INTERVENTIONAL) && brings_background(job) &&
        !job->task.request->interactions)
        return TERN_EXPLAIN_TREE_INTERVENTIONAL;
    if (can(job, TERN_EXPLAIN_TREE))
        return TERN_EXPLAIN_TREE;
    if (can(job, TERN_EXPLAIN_LINEAR))
        return TERN_EXPLAIN_LINEAR;
    return TERN_EXPLAIN_KERNEL;
}

static enum tern_code choose_method(struct tern_explain *job, struct tern_err *err)
{
    const struct tern_explain_task *task = &job->task;

    job->method = task->request->method;
    if (job->method == TERN_EXPLAIN_AUTO)
        job->method = choose(job);
    if (job->method == TERN_EXPLAIN_INTEGRATED_GRADIENTS)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "integrated gradients need an engine that gives gradients, and that of "
                         "model '%.*s' (%.*s) gives none: 'kernel' and 'permutation' need none",
                         TERN_STR_ARG(task->info->name), TERN_STR_ARG(task->info->backend));
    if (is_exact(job->method) && !can(job, job->method))
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "model '%.*s' (%.*s) cannot be explained by method '%s': 'kernel' and "
                         "'permutation' take any model",
                         TERN_STR_ARG(task->info->name), TERN_STR_ARG(task->info->backend),
                         tern_explain_method_name(job->method));
    if (is_exact(job->method) && task->n_outputs > 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "method '%s' explains the raw scores, not output '%.*s': name no outputs, "
                         "or use 'kernel'",
                         tern_explain_method_name(job->method),
                         TERN_STR_ARG(task->outputs[0].name));
    if (task->request->interactions &&
        (job->method != TERN_EXPLAIN_TREE || !task->explains->interactions))
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "interactions are told by method 'tree' alone, of models of trees");
    return TERN_OK;
}

static enum tern_code check_limit(const char *what, uint64_t got, uint64_t most,
                                  struct tern_err *err)
{
    if (got <= most)
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT, "an explanation takes at most %llu %s, got %llu",
                     (unsigned long long)most, what, (unsigned long long)got);
}

static enum tern_code check_cost(const struct tern_explain *job, struct tern_err *err)
{
    uint64_t cost = 0, most = job->task.limits.evaluations;

    if (job->method == TERN_EXPLAIN_IMPORTANCE)
        cost = explain_importance_cost(job);
    else if (!is_exact(job->method) &&
             __builtin_mul_overflow(explain_sets_cost(job), (uint64_t)job->x.n_rows, &cost))
        cost = UINT64_MAX;
    if (cost <= most)
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "%u rows of %u features against %u rows of background would ask the model "
                     "about %llu rows, at most %llu are allowed: lower nsamples, or the rows",
                     job->x.n_rows, job->x.n_features,
                     job->has_background ? job->background.n_rows : 0, (unsigned long long)cost,
                     (unsigned long long)most);
}

/* ---- the background ---- */

static enum tern_code take_background(struct tern_explain *job, const struct tern_tensor *tensors,
                                      uint32_t n, struct tern_err *err)
{
    const struct tern_model_info *info = job->task.info;
    uint32_t *specs = NULL;

    enum tern_code code = tern_inputs_match(info, tensors, n, job->arena, &specs, err);
    if (code == TERN_OK)
        code = tern_background_check(info, tensors, specs, n, err);
    if (code == TERN_OK)
        code = tern_grid_init(&job->background, info, tensors, specs, n, job->arena, err);
    if (code != TERN_OK) {
        tern_err_prefix(err, "the background");
        return code;
    }
    TERN_TRY(tern_grid_check_like(&job->background, &job->x, info, err));
    if (job->background.n_rows == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the background has no rows");
    TERN_TRY(check_limit("rows of background", job->background.n_rows, job->task.limits.background,
                         err));
    job->has_background = true;
    return check_cost(job, err);
}

static enum tern_code read_background(struct tern_explain *job, struct tern_err *err)
{
    struct tern_tensor *tensors = NULL;
    uint32_t n = 0;

    TERN_TRY(tern_background_read(job->task.background_path, job->task.info, job->arena, &tensors,
                                  &n, err));
    return take_background(job, tensors, n, err);
}

static enum tern_code find_background(struct tern_explain *job, struct tern_err *err)
{
    const struct tern_explain_request *request = job->task.request;

    if (!needs_background(job->method))
        return check_cost(job, err);
    if (request->background == TERN_EXPLAIN_BACKGROUND_GIVEN)
        return take_background(job, request->rows, request->n_rows, err);
    if (request->background == TERN_EXPLAIN_BACKGROUND_ZEROS) {
        TERN_TRY(tern_grid_zeros(&job->background, &job->x, job->arena, err));
        job->has_background = true;
        return check_cost(job, err);
    }
    if (job->task.background_path != NULL)
        return TERN_OK; /* it is read where waiting for a disk holds up nobody */
    return tern_fail(err, TERN_FAILED_PRECONDITION,
                     "method '%s' compares with a background: send rows as 'background', ask for "
                     "\"background\": \"zeros\", or put background.npy into the model's folder",
                     tern_explain_method_name(job->method));
}

/* ---- making ---- */

enum tern_code explain_numbers(struct tern_explain *job, double **ret, size_t a, size_t b, size_t c,
                               struct tern_err *err)
{
    size_t n;

    if (tern_num_mul(a, b, &n) || tern_num_mul(n, c, &n))
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "the explanation is too large");
    *ret = tern_arena_zalloc(job->arena, n > 0 ? n : 1, sizeof(double));
    return *ret != NULL ? TERN_OK : tern_arena_fail(job->arena, err, "the explanation");
}

/* What the file calls it, else its input and place: "features[2]". */
static enum tern_code name_features(struct tern_explain *job, struct tern_err *err)
{
    const struct tern_explain_task *task = &job->task;
    uint32_t n = job->x.n_features;
    struct tern_str *names = tern_arena_zalloc(job->arena, n, sizeof(*names));

    if (names == NULL)
        return tern_arena_fail(job->arena, err, "the names of the features");
    job->answer.features = names;
    if (task->info->feature_names != NULL && task->info->n_feature_names == n) {
        for (uint32_t i = 0; i < n; i++)
            names[i] = task->info->feature_names[i];
        return TERN_OK;
    }
    for (uint32_t i = 0; i < job->x.n_inputs; i++) {
        const struct tern_grid_input *input = &job->x.inputs[i];
        struct tern_str name = task->info->inputs[input->spec].name;
        for (uint32_t k = 0; k < input->n; k++) {
            struct tern_str *to = &names[input->first + k];
            *to = input->n == 1 ? name
                                : tern_arena_printf(job->arena, "%.*s[%u]", TERN_STR_ARG(name), k);
            if (to->p == NULL && name.n > 0)
                return tern_arena_fail(job->arena, err, "the names of the features");
        }
    }
    return TERN_OK;
}

static enum tern_code check_rows(const struct tern_explain *job, struct tern_err *err)
{
    const struct tern_explain_limits *limits = &job->task.limits;

    TERN_TRY(check_limit("rows", job->x.n_rows, limits->rows, err));
    TERN_TRY(check_limit("features", job->x.n_features, limits->features, err));
    if (job->x.n_rows == 0 || job->x.n_features == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "there are no rows to explain");
    if (job->method == TERN_EXPLAIN_IMPORTANCE && job->x.n_rows < 2)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "method 'importance' shuffles features among rows: it takes at least 2");
    if (job->method == TERN_EXPLAIN_KERNEL && job->x.n_features > ROW_FEATURES_KERNEL_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "method 'kernel' takes at most %u features, got %u: 'permutation' takes "
                         "more",
                         ROW_FEATURES_KERNEL_MAX, job->x.n_features);
    return check_limit("nsamples", job->task.request->nsamples, limits->evaluations, err);
}

static void fini(void *arg)
{
    struct tern_explain *job = arg;

    tern_mix_fini(&job->mix);
    tern_arena_fini(&job->scratch);
    tern_arena_fini(&job->plan_arena);
}

static enum explain_stage first_stage(const struct tern_explain *job)
{
    return is_exact(job->method) ? STAGE_EXACT : STAGE_PREDICT;
}

enum tern_code tern_explain_new(const struct tern_explain_task *task, struct tern_arena *arena,
                                struct tern_explain **ret_job, struct tern_err *err)
{
    struct tern_explain *job = tern_arena_zalloc(arena, 1, sizeof(*job));

    if (job == NULL)
        return tern_arena_fail(arena, err, "an explanation");
    job->task = *task;
    job->arena = arena;
    tern_arena_init(&job->scratch, 1u << 16, task->limits.memory);
    tern_arena_init(&job->plan_arena, 1u << 14, task->limits.memory);
    job->scratch.till = job->plan_arena.till = arena->till; /* the request's memory like the rest */
    TERN_TRY(tern_arena_on_reset(arena, fini, job, err));   /* it took nothing yet */
    TERN_TRY(tern_grid_init(&job->x, task->info, task->inputs, task->input_spec, task->n_inputs,
                            arena, err));
    TERN_TRY(choose_method(job, err));
    TERN_TRY(check_rows(job, err));
    job->answer.method = job->method;
    job->answer.n = job->method == TERN_EXPLAIN_IMPORTANCE ? 1 : job->x.n_rows;
    job->answer.n_features = job->x.n_features;
    TERN_TRY(name_features(job, err));
    TERN_TRY(find_background(job, err));
    if (!is_exact(job->method))
        TERN_TRY(explain_choose_outputs(job, err));
    TERN_TRY(tern_mix_init(&job->mix, &job->x, arena, err));
    job->stage = STAGE_BEGIN;
    *ret_job = job;
    return TERN_OK;
}

/* ---- going on ---- */

static void describe_row(struct tern_explain *job, uint64_t at, struct explain_ask *ret)
{
    ret->under = job->stage == STAGE_PREDICT ? &job->x : &job->background;
    ret->row = (uint32_t)at;
}

static void take_prediction(struct tern_explain *job, uint64_t at, const double *scores)
{
    uint32_t width = job->answer.n_outputs;
    memcpy(job->answer.predictions + at * width, scores, width * sizeof(*scores));
}

static void take_base(struct tern_explain *job, uint64_t at, const double *scores)
{
    uint32_t n = job->background.n_rows;

    for (uint32_t k = 0; k < job->answer.n_outputs; k++) {
        double *base = &job->answer.base[k];
        *base += scores[k];
        if (at + 1 == n)
            *base /= n;
    }
}

/* How far each row's values are from adding up. */
static enum tern_code finish(struct tern_explain *job, struct tern_err *err)
{
    struct tern_explain_answer *answer = &job->answer;
    uint32_t width = answer->n_outputs, m = answer->n_features;

    job->stage = STAGE_DONE;
    if (job->method == TERN_EXPLAIN_IMPORTANCE) {
        explain_end_importance(job);
        answer->predictions = answer->base = NULL; /* nothing adds up to them */
        return TERN_OK;
    }
    TERN_TRY(explain_numbers(job, &answer->additivity, answer->n, 1, 1, err));
    for (uint32_t row = 0; row < answer->n; row++) {
        for (uint32_t k = 0; k < width; k++) {
            size_t at = (size_t)row * width + k;
            double sum = answer->base[k];
            for (uint32_t f = 0; f < m; f++)
                sum += answer->values[at * m + f];
            answer->additivity[row] =
                fmax(answer->additivity[row], fabs(answer->predictions[at] - sum));
        }
    }
    return TERN_OK;
}

static enum tern_code begin(struct tern_explain *job, struct tern_err *err)
{
    if (needs_background(job->method) && !job->has_background)
        TERN_TRY(read_background(job, err));
    job->stage = first_stage(job);
    job->at = 0;
    job->n = job->x.n_rows;
    return job->stage == STAGE_EXACT ? explain_begin_exact(job, err) : TERN_OK;
}

/* A stage is over: what comes next. */
static enum tern_code next_stage(struct tern_explain *job, struct tern_err *err)
{
    bool done = true;

    switch (job->stage) {
    case STAGE_BEGIN:
        return begin(job, err);
    case STAGE_PREDICT:
        if (job->method == TERN_EXPLAIN_IMPORTANCE) {
            job->stage = STAGE_SHUFFLE;
            return explain_begin_importance(job, err);
        }
        job->stage = STAGE_BASE;
        job->at = 0;
        job->n = job->background.n_rows;
        return TERN_OK;
    case STAGE_BASE:
        job->stage = STAGE_SETS;
        return explain_begin_row(job, err);
    case STAGE_SETS:
        TERN_TRY(explain_end_row(job, &done, err));
        if (!done)
            return TERN_OK;
        if (++job->row < job->x.n_rows)
            return explain_begin_row(job, err);
        return finish(job, err);
    case STAGE_SHUFFLE:
    case STAGE_EXACT:
    case STAGE_DONE:
        break;
    }
    return finish(job, err);
}

static enum tern_code go_on(struct tern_explain *job, const struct tern_explain_model *model,
                            const atomic_bool *cancelled, struct tern_err *err)
{
    if (job->stage == STAGE_BEGIN || job->at == job->n)
        return next_stage(job, err);
    switch (job->stage) {
    case STAGE_PREDICT:
        return explain_ask(job, model, describe_row, take_prediction, cancelled, err);
    case STAGE_BASE:
        return explain_ask(job, model, describe_row, take_base, cancelled, err);
    case STAGE_SETS:
        return explain_ask(job, model, explain_describe_set, explain_take_set, cancelled, err);
    case STAGE_SHUFFLE:
        return explain_ask(job, model, explain_describe_shuffle, explain_take_shuffle, cancelled,
                           err);
    case STAGE_EXACT:
        return explain_exact(job, model, cancelled, err);
    case STAGE_BEGIN:
    case STAGE_DONE:
        break;
    }
    return TERN_OK;
}

enum tern_code tern_explain_step(struct tern_explain *job, const struct tern_explain_model *model,
                                 uint64_t until_ns, const atomic_bool *cancelled, bool *ret_done,
                                 struct tern_err *err)
{
    do {
        if (cancelled != NULL && atomic_load_explicit(cancelled, memory_order_acquire))
            return tern_fail(err, TERN_CANCELLED, "the client went away");
        TERN_TRY(go_on(job, model, cancelled, err));
    } while (job->stage != STAGE_DONE && tern_clock_mono_ns() < until_ns);
    *ret_done = job->stage == STAGE_DONE;
    return TERN_OK;
}

const struct tern_explain_answer *tern_explain_answer(const struct tern_explain *job)
{
    return &job->answer;
}
