/* The infer operation: checks a decoded request against the model, step by step, and hands it to
 * the scheduler. Each step names what it checks; the error texts that Triton's own tests look for
 * are kept word for word (shared with every dialect). */
#include <inttypes.h>
#include <string.h>
#include "base/num.h"
#include "gateway/classify.h"
#include "gateway/gateway_int.h"
#include "os/loop.h"
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

/* ---- inputs ---- */

static void print_names(struct tern_buf *buf, const struct tern_tensor *tensors, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        tern_buf_printf(buf, "%s'%.*s'", i == 0 ? "" : ",", TERN_STR_ARG(tensors[i].name));
}

static enum tern_code fail_missing(const struct tern_call *call, const bool *given,
                                   struct tern_err *err)
{
    const struct tern_model_info *info = call->info;
    struct tern_buf got, missing;
    bool first = true;

    tern_buf_init(&got, 192);
    tern_buf_init(&missing, 192);
    print_names(&got, call->request.inputs, call->request.n_inputs);
    for (uint32_t i = 0; i < info->n_inputs; i++) {
        if (given[i] || info->inputs[i].optional)
            continue;
        tern_buf_printf(&missing, "%s'%.*s'", first ? "" : ",", TERN_STR_ARG(info->inputs[i].name));
        first = false;
    }
    enum tern_code code = tern_fail(
        err, TERN_INVALID_ARGUMENT,
        "expected %u inputs but got %u inputs for model '%.*s'. Got input(s) [%.*s], but missing "
        "required input(s) [%.*s]. Please provide all required input(s).",
        info->n_inputs, call->request.n_inputs, TERN_STR_ARG(info->name), (int)got.n,
        got.n > 0 ? got.p : "", (int)missing.n, missing.n > 0 ? missing.p : "");
    tern_buf_fini(&got);
    tern_buf_fini(&missing);
    return code;
}

/* Finds each input's specification; none twice, none unknown, none missing. */
static enum tern_code match_inputs(struct tern_call *call, uint32_t **ret_spec_of,
                                   struct tern_err *err)
{
    const struct tern_model_info *info = call->info;
    uint32_t n_required = 0, n_given = 0;
    /* One an input of the request, then one an input of the model, which may have more. */
    size_t size = (size_t)call->request.n_inputs * sizeof(uint32_t);
    uint32_t *spec_of = tern_arena_zalloc(call->arena, 1, size + info->n_inputs + 1);

    if (spec_of == NULL)
        return tern_arena_fail(call->arena, err, "the inputs");
    bool *given = (bool *)(spec_of + call->request.n_inputs);
    *ret_spec_of = spec_of;
    for (uint32_t i = 0; i < call->request.n_inputs; i++) {
        struct tern_str name = call->request.inputs[i].name;
        const struct tern_tensor_spec *spec = tern_model_input(info, name);
        if (spec == NULL)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "unexpected inference input '%.*s' for model '%.*s'",
                             TERN_STR_ARG(name), TERN_STR_ARG(info->name));
        uint32_t at = (uint32_t)(spec - info->inputs);
        if (given[at])
            return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' already exists in request",
                             TERN_STR_ARG(name));
        given[at] = true;
        spec_of[i] = at;
    }
    for (uint32_t i = 0; i < info->n_inputs; i++) {
        n_required += !info->inputs[i].optional;
        n_given += given[i] && !info->inputs[i].optional;
    }
    return n_given == n_required ? TERN_OK : fail_missing(call, given, err);
}

static enum tern_code check_size(const struct tern_call *call, const struct tern_tensor *input,
                                 struct tern_err *err)
{
    size_t want;

    if (input->dtype == TERN_DTYPE_BYTES) {
        if (!tern_shape_count(&input->shape, &want))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "input '%.*s' for model '%.*s': byte size overflow for input",
                             TERN_STR_ARG(input->name), TERN_STR_ARG(model_name(call)));
        return tern_tensor_check_bytes(input->name, input->data, input->n_bytes, want, err);
    }
    TERN_TRY(tern_shape_bytes(input->name, input->dtype, &input->shape, &want, err));
    if (want != input->n_bytes)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input byte size mismatch for input '%.*s' for model '%.*s'. Expected "
                         "%zu, got %zu",
                         TERN_STR_ARG(input->name), TERN_STR_ARG(model_name(call)), want,
                         input->n_bytes);
    return TERN_OK;
}

static enum tern_code check_input(const struct tern_call *call, const struct tern_tensor *input,
                                  const struct tern_tensor_spec *spec, struct tern_err *err)
{
    char want[160], got[160];

    if (input->dtype != spec->dtype)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "inference input '%.*s' data-type is '%s', but model '%.*s' expects '%s'",
                         TERN_STR_ARG(input->name), tern_dtype_name(input->dtype),
                         TERN_STR_ARG(model_name(call)), tern_dtype_name(spec->dtype));
    if (!tern_shape_fits(&spec->shape, &input->shape))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "unexpected shape for input '%.*s' for model '%.*s'. Expected %s, got %s",
                         TERN_STR_ARG(input->name), TERN_STR_ARG(model_name(call)),
                         tern_shape_print(&spec->shape, want, sizeof(want)),
                         tern_shape_print(&input->shape, got, sizeof(got)));
    return check_size(call, input, err);
}

/* With max_batch_size, the first dimension of every input is the batch, and it is the same. */
static enum tern_code check_batch(const struct tern_call *call, struct tern_err *err)
{
    const struct tern_model_info *info = call->info;
    const struct tern_tensor *inputs = call->request.inputs;

    if (info->max_batch_size == 0 || call->request.n_inputs == 0)
        return TERN_OK;
    int64_t batch = inputs[0].shape.dim[0];
    if (batch < 1 || batch > info->max_batch_size)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "inference request batch-size must be between 1 and %" PRId64
                         " for '%.*s', got %" PRId64,
                         info->max_batch_size, TERN_STR_ARG(info->name), batch);
    for (uint32_t i = 1; i < call->request.n_inputs; i++) {
        if (inputs[i].shape.dim[0] != batch)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "input '%.*s' batch size does not match other inputs for '%.*s'",
                             TERN_STR_ARG(inputs[i].name), TERN_STR_ARG(info->name));
    }
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

/* The outputs asked for, or all of them in the model's order. */
static enum tern_code prepare_outputs(struct tern_call *call, uint32_t **ret_spec_of,
                                      struct tern_err *err)
{
    const struct tern_infer_request *request = &call->request;
    uint32_t n = request->n_outputs > 0 ? request->n_outputs : call->info->n_outputs;
    struct tern_tensor *outputs =
        tern_arena_zalloc(call->arena, n, sizeof(*outputs) + sizeof(uint32_t));

    if (outputs == NULL)
        return tern_arena_fail(call->arena, err, "the outputs");
    uint32_t *spec_of = (uint32_t *)(outputs + n);
    for (uint32_t i = 0; i < n; i++) {
        spec_of[i] = i;
        if (request->n_outputs > 0)
            TERN_TRY(match_output(call, &request->outputs[i], &spec_of[i], err));
        outputs[i].name = call->info->outputs[spec_of[i]].name;
    }
    call->response.outputs = outputs;
    call->response.n_outputs = n;
    *ret_spec_of = spec_of;
    return TERN_OK;
}

/* ---- the operation ---- */

/* How much work a request is, for the scheduler's prediction: elements of input. */
static uint64_t count_units(const struct tern_call *call)
{
    uint64_t units = 0;

    for (uint32_t i = 0; i < call->request.n_inputs; i++) {
        const struct tern_tensor *input = &call->request.inputs[i];
        size_t size = tern_dtype_size(input->dtype);
        units += input->n_bytes / (size > 0 ? size : 1);
    }
    return units > 0 ? units : 1;
}

static uint64_t count_rows(const struct tern_call *call)
{
    const struct tern_model_info *info = call->info;
    bool batched = info->n_inputs > 0 && info->inputs[0].shape.rank > 0 &&
                   (info->max_batch_size > 0 || info->inputs[0].shape.dim[0] < 0);
    return batched && call->request.n_inputs > 0 ? (uint64_t)call->request.inputs[0].shape.dim[0]
                                                 : 1;
}

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
        info->labels == NULL || spec == NULL ? NULL : &info->labels[spec - info->outputs];

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

static void on_done(struct tern_work *work)
{
    struct gateway_call *gc = TERN_CONTAINER_OF(work, struct gateway_call, work);
    struct tern_call *call = &gc->call;

    gc->submitted = false;
    call->queued_ns = work->queued_ns;
    call->started_ns = work->started_ns;
    call->finished_ns = work->finished_ns;
    gc->observation.cache_ns = work->cache_ns;
    gc->observation.from_cache = work->from_cache;
    gc->observation.cache_shared = work->cache_shared;
    bool is_whole = work->code == TERN_OK && gc->sink == NULL; /* a sink's answers came before */
    gateway_finish(gc, is_whole ? gateway_finish_outputs(gc) : work->code);
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

    TERN_TRY(gateway_take_params(gc, err));
    if (call->request.raw)
        TERN_TRY(make_raw_input(call, err));
    TERN_TRY(match_inputs(call, &input_spec, err));
    TERN_TRY(tern_infer_shm_begin(gc->gateway->regions, call, &gc->shm, err));
    for (uint32_t i = 0; i < call->request.n_inputs; i++)
        TERN_TRY(
            check_input(call, &call->request.inputs[i], &call->info->inputs[input_spec[i]], err));
    TERN_TRY(check_batch(call, err));
    TERN_TRY(prepare_outputs(call, &output_spec, err));
    tern_seen_to_engine(call->pinned->input_at, input_spec, call->request.n_inputs);
    tern_seen_to_engine(call->pinned->output_at, output_spec, call->response.n_outputs);
    gc->work.deadline_ns = gateway_deadline(gc);
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
    if (call->info->decoupled)
        TERN_TRY(open_sink(gc, err));
    gc->observation.rows = count_rows(call);
    gc->work.version = call->pinned;
    gc->work.units = count_units(call);
    gc->work.rows = (uint32_t)gc->observation.rows;
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
