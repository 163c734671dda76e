/* The infer operation: checks a decoded request against the model, step by step, and hands it to
 * the scheduler. Each step names what it checks; the error texts that Triton's own tests look for
 * are kept word for word (shared with every dialect). */
#include <string.h>
#include "base/num.h"
#include "core/inputs.h"
#include "gateway/classify.h"
#include "gateway/gateway_int.h"
#include "gateway/tracing.h"
#include "os/loop.h"
#include "registry/binding.h"
#include "registry/seen.h"

static struct tern_str model_name(const struct tern_call *call)
{
    return call->info->name;
}

/* ---- raw binary requests: the body is the one input ---- */

/* The only variable dimension takes what the body's size leaves for it. The batch gives way to
 * another one: it is one item then. */
static enum tern_code deduce_shape(const struct tern_model_info *info, size_t n_bytes,
                                   struct tern_shape *shape, struct tern_err *err)
{
    const struct tern_tensor_spec *spec = &info->inputs[0];
    size_t unit = tern_dtype_size(spec->dtype);
    int variable = -1;

    *shape = spec->shape;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] >= 0) {
            if (tern_num_mul(unit, (size_t)shape->dim[i], &unit))
                unit = 0;
        } else if (variable < 0) {
            variable = i;
        } else if (variable == 0 && info->max_batch_size > 0) {
            shape->dim[0] = 1;
            variable = i;
        } else {
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "The shape of the raw input '%.*s' can not be deduced because there "
                             "are more than one variable-sized dimension",
                             TERN_STR_ARG(spec->name));
        }
    }
    if (variable >= 0 && unit > 0)
        shape->dim[variable] = (int64_t)(n_bytes / unit);
    return TERN_OK;
}

/* A raw string is one element: its length goes in front of it. */
static enum tern_code wrap_string(const struct tern_model_info *info, struct tern_arena *arena,
                                  struct tern_str body, struct tern_tensor *tensor,
                                  struct tern_err *err)
{
    size_t count;

    tensor->shape = info->inputs[0].shape;
    if (info->max_batch_size > 0 && tensor->shape.rank > 0)
        tensor->shape.dim[0] = 1;
    if (!tern_shape_count(&tensor->shape, &count) || count != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "For BYTE datatype raw input '%.*s', the model must have input shape [1]",
                         TERN_STR_ARG(tensor->name));
    if (body.n > UINT32_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a string element has at most 4 GiB");
    unsigned char *p = tern_arena_alloc(arena, 8, body.n + 4);
    if (p == NULL)
        return tern_arena_fail(arena, err, "the raw input");
    for (unsigned i = 0; i < 4; i++)
        p[i] = (unsigned char)(body.n >> (8 * i));
    if (body.n > 0)
        memcpy(p + 4, body.p, body.n);
    tensor->data = p;
    tensor->n_bytes = body.n + 4;
    return TERN_OK;
}

static enum tern_code make_raw_input(struct tern_call *call, struct tern_err *err)
{
    const struct tern_model_info *info = call->info;
    struct tern_str body = call->request.raw_body;

    if (info->n_inputs != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Raw request must only have 1 input (found 1) to be deduced but got %u "
                         "inputs in '%.*s' model configuration",
                         info->n_inputs, TERN_STR_ARG(info->name));
    const struct tern_tensor_spec *spec = &info->inputs[0];
    struct tern_tensor *tensor = tern_arena_zalloc(call->arena, 1, sizeof(*tensor));
    if (tensor == NULL)
        return tern_arena_fail(call->arena, err, "the raw input");
    tensor->name = spec->name;
    tensor->dtype = spec->dtype;
    /* The bytes are the client's; nobody writes through this pointer. */
    memcpy(&tensor->data, &body.p, sizeof(body.p));
    tensor->n_bytes = body.n;
    if (spec->dtype == TERN_DTYPE_BYTES)
        TERN_TRY(wrap_string(info, call->arena, body, tensor, err));
    else
        TERN_TRY(deduce_shape(info, body.n, &tensor->shape, err));
    call->request.inputs = tensor;
    call->request.n_inputs = 1;
    call->request.binary_default = true;
    return TERN_OK;
}

/* ---- outputs ---- */

static enum tern_code match_output(const struct tern_call *call,
                                   const struct tern_requested_output *wanted, uint32_t *ret_spec,
                                   struct tern_err *err)
{
    const struct tern_tensor_spec *spec = tern_model_output(call->info, wanted->name);

    if (spec == NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "unexpected inference output '%.*s' for model '%.*s'",
                         TERN_STR_ARG(wanted->name), TERN_STR_ARG(model_name(call)));
    if (wanted->classification > 0)
        TERN_TRY(tern_classify_check(spec->dtype, err));
    *ret_spec = (uint32_t)(spec - call->info->outputs);
    return TERN_OK;
}

/* The outputs asked for, or all of them in the model's order, but for those that have to be named.
 */
static enum tern_code prepare_outputs(struct tern_call *call, uint32_t **ret_spec_of,
                                      struct tern_err *err)
{
    const struct tern_infer_request *request = &call->request;
    uint32_t n = request->n_outputs > 0 ? request->n_outputs : call->info->n_outputs;
    uint32_t kept = 0;
    struct tern_tensor *outputs =
        tern_arena_zalloc(call->arena, n, sizeof(*outputs) + sizeof(uint32_t));

    if (outputs == NULL)
        return tern_arena_fail(call->arena, err, "the outputs");
    uint32_t *spec_of = (uint32_t *)(outputs + n);
    for (uint32_t i = 0; i < n; i++) {
        spec_of[kept] = i;
        if (request->n_outputs > 0)
            TERN_TRY(match_output(call, &request->outputs[i], &spec_of[kept], err));
        else if (TERN_UNLIKELY(call->info->outputs[i].on_request))
            continue;
        outputs[kept].name = call->info->outputs[spec_of[kept]].name;
        kept++;
    }
    call->response.outputs = outputs;
    call->response.n_outputs = kept;
    *ret_spec_of = spec_of;
    return TERN_OK;
}

/* ---- the operation ---- */

/* The wish for the i-th output of the response, NULL when nothing was asked for. Decoupled models
 * answer with what they like. */
static const struct tern_requested_output *wish_for(const struct tern_call *call, uint32_t i)
{
    const struct tern_infer_request *request = &call->request;
    struct tern_str name = call->response.outputs[i].name;

    if (i < request->n_outputs && tern_str_eq(request->outputs[i].name, name))
        return &request->outputs[i];
    for (uint32_t at = 0; at < request->n_outputs; at++) {
        if (tern_str_eq(request->outputs[at].name, name))
            return &request->outputs[at];
    }
    return NULL;
}

static enum tern_code classify(struct tern_call *call, struct tern_tensor *output, uint32_t n,
                               struct tern_err *err)
{
    const struct tern_model_info *info = call->info;
    const struct tern_tensor_spec *spec = tern_model_output(info, output->name);
    const struct tern_labels *labels =
        spec == NULL ? NULL
                     : tern_binding_labels(call->pinned, tern_loop_index(call->x->loop),
                                           (uint32_t)(spec - info->outputs));

    return tern_classify(output, n, info->max_batch_size > 0, labels, call->arena, err);
}

enum tern_code gateway_finish_outputs(struct gateway_call *gc)
{
    struct tern_call *call = &gc->call;
    uint32_t n = call->request.n_outputs == 0 ? 0 : call->response.n_outputs;

    for (uint32_t i = 0; i < n; i++) {
        struct tern_tensor *output = &call->response.outputs[i];
        const struct tern_requested_output *wish = wish_for(call, i);
        output->region = wish == NULL ? NULL : wish->region;
        if (wish != NULL && wish->classification > 0)
            TERN_TRY(classify(call, output, wish->classification, &call->err));
    }
    return gc->shm.first == NULL ? TERN_OK : tern_infer_shm_end(call, &gc->shm, &call->err);
}

/* An ensemble's answer says which sequence it belongs to, as Triton's do. */
static enum tern_code name_sequence(struct tern_call *call)
{
    const struct tern_sequence *sequence = &call->request.sequence;
    const struct tern_param rows[] = {
        {.key = TERN_STR("sequence_id"),
         .kind = sequence->text.n > 0 ? TERN_PARAM_STRING : TERN_PARAM_INT64},
        {.key = TERN_STR("sequence_start"), .kind = TERN_PARAM_BOOL, .boolean = sequence->start},
        {.key = TERN_STR("sequence_end"), .kind = TERN_PARAM_BOOL, .boolean = sequence->end},
    };

    if (call->pinned->ensembling == NULL || (sequence->id == 0 && sequence->text.n == 0))
        return TERN_OK;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_param param = rows[i];
        if (param.kind == TERN_PARAM_STRING)
            param.string = sequence->text;
        else if (param.kind == TERN_PARAM_INT64)
            param.int64 = (int64_t)sequence->id;
        TERN_TRY(tern_params_add(call->arena, &call->response.params, &param, &call->err));
    }
    return TERN_OK;
}

static void on_done(struct tern_work *work)
{
    struct gateway_call *gc = TERN_CONTAINER_OF(work, struct gateway_call, work);
    struct tern_call *call = &gc->call;

    gc->submitted = false;
    call->queued_ns = work->queued_ns;
    call->started_ns = work->started_ns;
    call->finished_ns = work->finished_ns;
    call->released_ns = work->released_ns != 0 ? work->released_ns : work->finished_ns;
    gc->observation.run = tern_observer_share(work);
    gc->observation.cache_ns = work->cache_ns;
    gc->observation.from_cache = work->from_cache;
    gc->observation.cache_shared = work->cache_shared;
    enum tern_code code = work->code;
    if (code == TERN_OK && gc->sink == NULL) /* a sink's answers came before */
        code = gateway_finish_outputs(gc);
    if (code == TERN_OK)
        code = name_sequence(call);
    gateway_finish(gc, code);
}

/* A decoupled model answers as often as it likes: where there is room for that, or for one. */
static enum tern_code open_sink(struct gateway_call *gc, struct tern_err *err)
{
    const struct tern_route *route = gc->call.route;

    if (gc->part == NULL && !route->collects)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "%s doesn't support models with decoupled transaction policy",
                         route->unary == NULL ? "the request" : route->unary);
    TERN_TRY(gateway_sink_take(gc, err));
    gc->work.run.sink = &gc->sink->base;
    return TERN_OK;
}

enum tern_code gateway_run_infer(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    struct tern_call *call = &gc->call;
    struct tern_engine_run *run = &gc->work.run;
    uint32_t *input_spec = NULL, *output_spec = NULL;

    if (TERN_UNLIKELY(call->info->documents))
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "'%.*s' is a graph of documents and takes no tensors: ask it at "
                         "/graphs/%.*s",
                         TERN_STR_ARG(call->info->name), TERN_STR_ARG(call->info->name));
    TERN_TRY(gateway_take_params(gc, err));
    if (call->request.raw)
        TERN_TRY(make_raw_input(call, err));
    TERN_TRY(tern_inputs_match(call->info, call->request.inputs, call->request.n_inputs,
                               call->arena, &input_spec, err));
    TERN_TRY(tern_infer_shm_begin(gc->gateway->regions, call, &gc->shm, err));
    TERN_TRY(tern_inputs_check(call->info, call->request.inputs, input_spec, call->request.n_inputs,
                               err));
    TERN_TRY(prepare_outputs(call, &output_spec, err));
    for (uint32_t i = 0; i < call->request.n_outputs; i++)
        gc->work.off_loop |= call->info->outputs[output_spec[i]].on_request;
    tern_seen_to_engine(call->pinned->input_at, input_spec, call->request.n_inputs);
    tern_seen_to_engine(call->pinned->output_at, output_spec, call->response.n_outputs);
    gc->work.deadline_ns = gateway_deadline(gc);
    gc->work.has_own_deadline = call->request.deadline_ns != 0;
    if (gc->work.deadline_ns <= tern_loop_now_ns(call->x->loop))
        return tern_fail(err, TERN_DEADLINE_EXCEEDED,
                         "Request timeout expired: the deadline passed before the run");

    *run = (struct tern_engine_run){
        .params = &call->request.params,
        .inputs = call->request.inputs,
        .input_spec = input_spec,
        .n_inputs = call->request.n_inputs,
        .outputs = call->response.outputs,
        .output_spec = output_spec,
        .n_outputs = call->response.n_outputs,
        .arena = call->arena,
    };
    if (TERN_UNLIKELY(tern_binding_decouples(call->pinned, tern_loop_index(call->x->loop))))
        TERN_TRY(open_sink(gc, err));
    gc->work.version = call->pinned;
    gc->work.place = tern_tracing_place(call, &gc->observation);
    gc->work.units = tern_inputs_units(call->request.inputs, call->request.n_inputs);
    gc->work.rows = tern_inputs_rows(call->info, call->request.inputs, call->request.n_inputs);
    gc->work.priority = call->request.priority;
    gc->work.timeout_ns = call->request.timeout_ns;
    gc->work.sequence = &call->request.sequence;
    gc->work.loop = call->x->loop;
    gc->work.on_done = on_done;
    gc->work.err = &call->err;
    gc->submitted = true;
    *ret_pending = true; /* on_done may have come before this returns */
    tern_sched_submit(gc->gateway->settings.sched, &gc->work);
    return TERN_OK;
}
