/* The explain operation: a job (explain/explain.h) that goes on in slices of a few milliseconds. A
 * slice is a work of the scheduler like any other request's, so that predictions come in between
 * and a deadline, a client's leaving and an overload mean what they mean for those. Of one model
 * each loop has one slice on its way: however many explanations are asked for, predictions do not
 * wait for more. They take turns. */
#include "base/clock.h"
#include "core/inputs.h"
#include "explain/background.h"
#include "gateway/gateway_int.h"
#include "os/loop.h"
#include "sched/run.h"

#define SLICE_NS (2 * TERN_NS_PER_MS)

/* ---- what is asked ---- */

static enum tern_code take_background(struct tern_explain_request *explain,
                                      const struct tern_param *param, struct tern_err *err)
{
    bool is_text = param->kind == TERN_PARAM_STRING;

    if (explain->background == TERN_EXPLAIN_BACKGROUND_GIVEN)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the background is given twice: as rows and as a parameter");
    if (is_text && tern_str_eq(param->string, TERN_STR("zeros")))
        explain->background = TERN_EXPLAIN_BACKGROUND_ZEROS;
    else if (!is_text || !tern_str_eq(param->string, TERN_STR("model")))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "parameter 'background': expected \"model\" or \"zeros\"; rows stand "
                         "beside the inputs");
    return TERN_OK;
}

static enum tern_code take_method(struct tern_explain_request *explain,
                                  const struct tern_param *param, struct tern_err *err)
{
    struct tern_str name = TERN_STR("");

    if (param->kind == TERN_PARAM_STRING)
        name = param->string;
    if (tern_explain_method_find(name, &explain->method))
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "parameter 'method': expected auto, tree, tree_interventional, linear, "
                     "kernel, permutation, importance or integrated_gradients, got '%.*s'",
                     TERN_STR_ARG(name));
}

static enum tern_code take_param(struct tern_explain_request *explain,
                                 const struct tern_param *param, struct tern_err *err)
{
    if (tern_str_eq(param->key, TERN_STR("method")))
        return take_method(explain, param, err);
    if (tern_str_eq(param->key, TERN_STR("background")))
        return take_background(explain, param, err);
    if (tern_str_eq(param->key, TERN_STR("interactions")))
        return tern_param_bool(param, &explain->interactions, err);
    if (tern_str_eq(param->key, TERN_STR("nsamples")))
        return tern_param_u64(param, &explain->nsamples, err);
    if (tern_str_eq(param->key, TERN_STR("seed")))
        return tern_param_u64(param, &explain->seed, err);
    return TERN_OK;
}

/* What is no function of its inputs alone, or has no instance that could be asked. */
static enum tern_code check_model(const struct tern_call *call, struct tern_err *err)
{
    const struct tern_model_version *version = call->pinned;
    const char *what = NULL;

    if (call->info->documents)
        what = "is a graph of documents";
    else if (version->ensembling != NULL)
        what = "is an ensemble: ask its steps";
    else if (version->sequencing != NULL)
        what = "takes sequences of requests";
    else if (call->info->decoupled)
        what = "answers any number of times";
    if (what == NULL)
        return TERN_OK;
    return tern_fail(err, TERN_UNIMPLEMENTED, "model '%.*s' cannot be explained: it %s",
                     TERN_STR_ARG(call->info->name), what);
}

static enum tern_code check_form(const struct tern_infer_request *request, struct tern_err *err)
{
    bool has_region = false;

    for (uint32_t i = 0; i < request->n_inputs; i++)
        has_region = has_region || request->inputs[i].region != NULL;
    for (uint32_t i = 0; i < request->n_outputs; i++)
        has_region = has_region || request->outputs[i].region != NULL;
    if (request->raw || has_region)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "an explanation takes its rows in the message, named, and answers there");
    return TERN_OK;
}

/* Rows of one run: as many as the scheduler would put together. */
static uint32_t rows_of_a_run(const struct tern_model_version *version)
{
    const struct tern_scheduling *scheduling = version->scheduling;

    if (version->info.max_batch_size > 0)
        return version->info.max_batch_size < INT32_MAX ? (uint32_t)version->info.max_batch_size
                                                        : INT32_MAX;
    return scheduling != NULL && scheduling->batching != TERN_BATCHING_NONE ? scheduling->max_rows
                                                                            : 1;
}

static enum tern_code make_job(struct gateway_call *gc, uint32_t *input_spec, struct tern_err *err)
{
    struct tern_call *call = &gc->call;
    const struct tern_model_version *version = call->pinned;
    const struct tern_engine_model *engine = &version->engine;
    const struct tern_explain_task task = {
        .info = call->info,
        .explains = engine->ops->explain == NULL ? NULL : engine->explains,
        .inputs = call->request.inputs,
        .input_spec = input_spec,
        .n_inputs = call->request.n_inputs,
        .outputs = call->request.outputs,
        .n_outputs = call->request.n_outputs,
        .rows_max = rows_of_a_run(version),
        .request = &call->explain,
        .background_path = version->background_path,
        .params = &call->request.params,
        .limits = gc->gateway->settings.explain,
    };

    return tern_explain_new(&task, call->arena, &gc->explain, err);
}

/* ---- slices ---- */

/* On an executor: a run like any other of the instance, in the terms of the engine. */
static enum tern_code ask(void *arg, const struct tern_engine_run *run, struct tern_err *err)
{
    const struct tern_work *slice = arg;
    return tern_run_asked(slice->version, slice->instance, run, err);
}

static enum tern_code ask_exactly(void *arg, const struct tern_engine_explain *run,
                                  struct tern_err *err)
{
    const struct tern_engine_model *engine = &((const struct tern_work *)arg)->version->engine;
    return engine->ops->explain(engine, run, err);
}

static enum tern_code run_slice(struct tern_work *work)
{
    struct gateway_call *gc = TERN_CONTAINER_OF(work, struct gateway_call, work);
    const struct tern_explain_model model = {.infer = ask, .explain = ask_exactly, .arg = work};

    return tern_explain_step(gc->explain, &model, tern_clock_mono_ns() + SLICE_NS, &work->cancelled,
                             &gc->explained, work->err);
}

static void end(struct gateway_call *gc, enum tern_code code)
{
    tern_list_remove(&gc->explains);
    gc->loop->n_explains--;
    if (code == TERN_OK)
        gc->call.explanation = tern_explain_answer(gc->explain);
    gateway_finish(gc, code);
}

static bool is_running(const struct gateway_loop *loop, const struct tern_model_version *version)
{
    for (struct tern_list *link = loop->explains.next; link != &loop->explains; link = link->next) {
        const struct gateway_call *gc = TERN_CONTAINER_OF(link, struct gateway_call, explains);
        if (gc->submitted && gc->call.pinned == version)
            return true;
    }
    return false;
}

static struct gateway_call *next_call(const struct gateway_loop *loop)
{
    for (struct tern_list *link = loop->explains.next; link != &loop->explains; link = link->next) {
        struct gateway_call *gc = TERN_CONTAINER_OF(link, struct gateway_call, explains);
        if (!gc->submitted && !is_running(loop, gc->call.pinned))
            return gc;
    }
    return NULL;
}

static void take_turns(struct gateway_loop *loop);

/* Between two slices nobody stopped it by its deadline. */
static enum tern_code check_time(struct gateway_call *gc)
{
    if (tern_clock_mono_ns() < gc->work.deadline_ns)
        return TERN_OK;
    return tern_fail(&gc->call.err, TERN_DEADLINE_EXCEEDED,
                     "Deadline Exceeded: the deadline passed before model '%.*s' was explained",
                     TERN_STR_ARG(gc->call.info->name));
}

static void on_slice(struct tern_work *work)
{
    struct gateway_call *gc = TERN_CONTAINER_OF(work, struct gateway_call, work);
    struct gateway_loop *loop = gc->loop;
    struct tern_call *call = &gc->call;
    enum tern_code code = work->code;

    gc->submitted = false;
    if (call->queued_ns == 0) {
        call->queued_ns = work->queued_ns;
        call->started_ns = work->started_ns;
    }
    call->finished_ns = call->released_ns = work->finished_ns;
    if (code == TERN_OK && work->is_unwanted && !gc->explained)
        code = tern_fail(&call->err, TERN_CANCELLED, "the client went away");
    if (code != TERN_OK || gc->explained) {
        end(gc, code);
    } else {
        tern_list_remove(&gc->explains);
        tern_list_append(&loop->explains, &gc->explains);
    }
    take_turns(loop);
}

static void take_turns(struct gateway_loop *loop)
{
    struct gateway_call *gc;

    /* A slice that is refused answers within submit, and comes here from there. */
    while ((gc = next_call(loop)) != NULL) {
        enum tern_code code = check_time(gc);
        if (code != TERN_OK) {
            end(gc, code);
            continue;
        }
        gc->submitted = true;
        tern_sched_submit(gc->gateway->settings.sched, &gc->work);
    }
}

void gateway_explain_cancel(struct gateway_call *gc)
{
    if (gc->submitted)
        tern_sched_cancel(gc->gateway->settings.sched, &gc->work);
    else
        end(gc, tern_fail(&gc->call.err, TERN_CANCELLED, "the client went away"));
}

/* ---- the operation ---- */

static void fill_work(struct gateway_call *gc, const uint32_t *input_spec)
{
    struct tern_call *call = &gc->call;
    struct tern_work *work = &gc->work;

    work->run = (struct tern_engine_run){
        .params = &call->request.params,
        .inputs = call->request.inputs,
        .input_spec = input_spec,
        .n_inputs = call->request.n_inputs,
        .arena = call->arena,
    };
    work->version = call->pinned;
    work->units = 1;
    work->rows = 1;
    work->priority = call->request.priority;
    work->loop = call->x->loop;
    work->task_run = run_slice;
    work->on_done = on_slice;
    work->err = &call->err;
}

enum tern_code gateway_run_explain(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    struct tern_call *call = &gc->call;
    struct tern_infer_request *request = &call->request;
    struct gateway_loop *loop = gc->loop;
    uint32_t *input_spec = NULL;

    TERN_TRY(check_model(call, err));
    TERN_TRY(check_form(request, err));
    TERN_TRY(gateway_take_params(gc, err));
    for (uint32_t i = 0; i < request->params.n; i++)
        TERN_TRY(take_param(&call->explain, &request->params.rows[i], err));
    TERN_TRY(tern_inputs_match(call->info, request->inputs, request->n_inputs, call->arena,
                               &input_spec, err));
    TERN_TRY(
        tern_background_check(call->info, request->inputs, input_spec, request->n_inputs, err));
    gc->work.deadline_ns = gateway_deadline(gc);
    gc->work.has_own_deadline = request->deadline_ns != 0;
    TERN_TRY(check_time(gc));
    if (loop->n_explains >= gc->gateway->settings.explains_max)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                         "%u explanations are on their way: no more are taken now",
                         loop->n_explains);
    TERN_TRY(make_job(gc, input_spec, err));
    fill_work(gc, input_spec);
    tern_list_append(&loop->explains, &gc->explains);
    loop->n_explains++;
    *ret_pending = true; /* it may be over before this returns */
    take_turns(loop);
    return TERN_OK;
}
