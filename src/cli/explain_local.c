/* `tern explain` with a model loaded in this process. */
#include "cli/explain.h"
#include "core/inputs.h"
#include "explain/background.h"
#include "explain/explain.h"
#include "registry/snapshot.h"
#include "sched/run.h"

#define MEMORY_MAX ((size_t)2 << 30)

static enum tern_code ask(void *arg, const struct tern_engine_run *run, struct tern_err *err)
{
    struct tern_model_version *version = arg;
    return tern_run_asked(version, version->instances[0], run, err);
}

static enum tern_code ask_exactly(void *arg, const struct tern_engine_explain *run,
                                  struct tern_err *err)
{
    const struct tern_engine_model *engine = &((const struct tern_model_version *)arg)->engine;
    return engine->ops->explain(engine, run, err);
}

static uint32_t rows_of_a_run(const struct tern_model_version *version)
{
    const struct tern_scheduling *scheduling = version->scheduling;

    if (version->info.max_batch_size > 0)
        return version->info.max_batch_size < INT32_MAX ? (uint32_t)version->info.max_batch_size
                                                        : INT32_MAX;
    return scheduling != NULL && scheduling->batching != TERN_BATCHING_NONE ? scheduling->max_rows
                                                                            : 1;
}

static enum tern_code read_request(const struct tern_explain_question *question,
                                   struct tern_explain_request *request, struct tern_err *err)
{
    const struct tern_explain_options *options = question->options;

    *request = (struct tern_explain_request){.interactions = options->interactions,
                                             .nsamples = options->nsamples,
                                             .seed = options->seed,
                                             .rows = question->background.rows,
                                             .n_rows = question->background.n};
    if (question->background.n > 0)
        request->background = TERN_EXPLAIN_BACKGROUND_GIVEN;
    else if (options->background.n > 0)
        request->background = TERN_EXPLAIN_BACKGROUND_ZEROS;
    if (!tern_explain_method_find(options->method, &request->method))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "there is no method '%.*s'",
                         TERN_STR_ARG(options->method));
    return TERN_OK;
}

enum tern_code tern_explain_ask_local(const struct tern_explain_question *question,
                                      struct tern_explain_answer *ret, struct tern_err *err)
{
    struct tern_model_version *version = question->model->version;
    const struct tern_v2_tensors *inputs = &question->rows->inputs;
    const struct tern_requested_output output = {.name = question->options->output_name};
    struct tern_explain_request request;
    struct tern_explain *job;
    uint32_t *specs = NULL;
    bool done = false;

    TERN_TRY(read_request(question, &request, err));
    TERN_TRY(
        tern_inputs_match(&version->info, inputs->rows, inputs->n, question->arena, &specs, err));
    TERN_TRY(tern_background_check(&version->info, inputs->rows, specs, inputs->n, err));
    const struct tern_explain_task task = {
        .info = &version->info,
        .explains = version->engine.ops->explain == NULL ? NULL : version->engine.explains,
        .inputs = inputs->rows,
        .input_spec = specs,
        .n_inputs = inputs->n,
        .outputs = &output,
        .n_outputs = output.name.n > 0,
        .rows_max = rows_of_a_run(version),
        .request = &request,
        .background_path = version->background_path,
        .limits = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX / 2, MEMORY_MAX},
    };
    const struct tern_explain_model model = {.infer = ask, .explain = ask_exactly, .arg = version};
    TERN_TRY(tern_explain_new(&task, question->arena, &job, err));
    while (!done)
        TERN_TRY(tern_explain_step(job, &model, UINT64_MAX, NULL, &done, err));
    *ret = *tern_explain_answer(job);
    return TERN_OK;
}
