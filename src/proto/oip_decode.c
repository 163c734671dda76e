/* POST .../infer, request side. Members may come in any order; an input's "data" that comes before
 * its "shape" and "datatype" is passed over and read when the input is complete. */
#include <inttypes.h>
#include "base/num.h"
#include "proto/oip_int.h"
#include "simd/numbers.h"

struct decoder {
    struct tern_call *call;
    struct tern_infer_request *request;
    struct tern_arena *arena;
    struct tern_json json;
    struct tern_str binary; /* after the JSON, not yet taken by an input */
    uint32_t seen;          /* members of the request */
    bool explains;          /* it is one for an explanation */
    /* Outputs that say themselves whether they want to be binary, one bit each. */
    uint64_t explicit_binary[TERN_TENSORS_MAX / 64];
};

/* One member of "inputs" while it is read. */
struct input {
    struct tern_tensor *tensor;
    uint32_t seen;
    bool has_source;        /* "data" was read, or stands at `later` */
    bool is_binary;         /* it said binary_data_size */
    uint64_t binary_size;   /* of its part of the body */
    struct tern_json later; /* where an early "data" starts; p == NULL: none */
};

enum request_member {
    REQUEST_ID,
    REQUEST_PARAMETERS,
    REQUEST_INPUTS,
    REQUEST_OUTPUTS,
    REQUEST_BACKGROUND,
};
enum tensor_member { TENSOR_NAME, TENSOR_SHAPE, TENSOR_DATATYPE, TENSOR_DATA, TENSOR_PARAMETERS };

#define HAS(seen, member) (((seen) & (1u << (member))) != 0)

/* -- growing lists ------------------------------------------------------------------------ */

/* Room for one more row after n: capacities are 4, 8, 16, ... so it need not be stored. */
static enum tern_code grow(struct tern_arena *arena, void **rows, uint32_t n, size_t row_size,
                           const char *what, struct tern_err *err)
{
    if (n == TERN_TENSORS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the request has more than %d %s",
                         TERN_TENSORS_MAX, what);
    if (n != 0 && (n < 4 || (n & (n - 1)) != 0))
        return TERN_OK;
    void *grown = tern_arena_alloc(arena, 16, (n == 0 ? 4 : (size_t)n * 2) * row_size);
    if (grown == NULL)
        return tern_arena_fail(arena, err, what);
    if (n > 0)
        memcpy(grown, *rows, n * row_size);
    *rows = grown;
    return TERN_OK;
}

/* -- one input ---------------------------------------------------------------------------- */

static enum tern_code read_shape(struct tern_json *json, struct tern_shape *shape,
                                 struct tern_err *err)
{
    struct tern_json_number number;
    bool more;

    shape->rank = 0;
    TERN_TRY(tern_json_array(json, err));
    for (;;) {
        TERN_TRY(tern_json_item(json, &more, err));
        if (!more)
            return TERN_OK;
        enum tern_json_kind kind = tern_json_peek(json);
        if (kind == TERN_JSON_NUMBER)
            TERN_TRY(tern_json_number(json, &number, err));
        else if (kind == TERN_JSON_NONE)
            return tern_json_fail(json, err, "expected a dimension");
        if (kind != TERN_JSON_NUMBER || number.kind != TERN_JSON_INT64 || number.int64 < 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "Unable to parse 'shape': attempt to access JSON non-unsigned-integer "
                             "as unsigned-integer");
        if (shape->rank == TERN_RANK_MAX)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "Unable to parse 'shape': more than %d dimensions", TERN_RANK_MAX);
        shape->dim[shape->rank++] = number.int64;
    }
}

static enum tern_code read_datatype(struct tern_json *json, enum tern_dtype *ret,
                                    struct tern_err *err)
{
    struct tern_str name;

    TERN_TRY(tern_json_string(json, &name, err));
    return tern_oip_parse_datatype(name, ret, err);
}

static enum tern_code read_data(struct decoder *d, struct input *input, struct tern_err *err)
{
    struct tern_json *json = &d->json;
    bool ready = HAS(input->seen, TENSOR_SHAPE) && HAS(input->seen, TENSOR_DATATYPE);

    input->has_source = true;
    if (TERN_LIKELY(ready))
        return tern_oip_read_tensor(json, d->arena, input->tensor, err);
    if (tern_json_peek(json) != TERN_JSON_ARRAY)
        return tern_json_fail(json, err, "expected an array as 'data'");
    input->later = *json;
    struct tern_str rest = tern_str_make(json->p, (size_t)(json->end - json->p));
    size_t n = tern_numbers_skip(rest, (unsigned)(json->depth_max - json->depth));
    if (n == 0) /* the slow way says what is wrong */
        return tern_json_skip(json, err);
    json->p += n;
    return TERN_OK;
}

static enum tern_code take_input_param(struct decoder *d, struct input *input,
                                       const struct tern_param *param, struct tern_err *err)
{
    if (tern_str_eq(param->key, TERN_STR("binary_data_size"))) {
        input->is_binary = true;
        return tern_param_u64(param, &input->binary_size, err);
    }
    return tern_oip_take_input_param(d->arena, input->tensor, param, err);
}

static enum tern_code take_output_param(struct decoder *d, uint32_t index,
                                        const struct tern_param *param, struct tern_err *err)
{
    struct tern_requested_output *output = &d->request->outputs[index];

    if (tern_str_eq(param->key, TERN_STR("binary_data"))) {
        d->explicit_binary[index / 64] |= UINT64_C(1) << (index % 64);
        return tern_param_bool(param, &output->binary, err);
    }
    return tern_oip_take_output_param(d->arena, output, param, err);
}

/* The members of a tensor's "parameters"; input is NULL when it is an output, whose index counts.
 */
static enum tern_code read_tensor_params(struct decoder *d, struct input *input, uint32_t index,
                                         struct tern_err *err)
{
    struct tern_params params = {.n = 0};
    struct tern_param param;
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(&d->json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&d->json, &more, &key, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(tern_oip_read_param(&d->json, key, &param, err));
        TERN_TRY(tern_params_add(d->arena, &params, &param, err)); /* finds duplicates */
        TERN_TRY(input != NULL ? take_input_param(d, input, &param, err)
                               : take_output_param(d, index, &param, err));
    }
}

static int tensor_member(struct tern_str key)
{
    switch (key.n) {
    case 4:
        if (memcmp(key.p, "name", 4) == 0)
            return TENSOR_NAME;
        return memcmp(key.p, "data", 4) == 0 ? TENSOR_DATA : -1;
    case 5:
        return memcmp(key.p, "shape", 5) == 0 ? TENSOR_SHAPE : -1;
    case 8:
        return memcmp(key.p, "datatype", 8) == 0 ? TENSOR_DATATYPE : -1;
    case 10:
        return memcmp(key.p, "parameters", 10) == 0 ? TENSOR_PARAMETERS : -1;
    default:
        return -1;
    }
}

static enum tern_code read_input_member(struct decoder *d, struct input *input, struct tern_str key,
                                        struct tern_err *err)
{
    int member = tensor_member(key);

    if (member < 0)
        return tern_json_skip(&d->json, err);
    TERN_TRY(tern_json_once(&d->json, &input->seen, (unsigned)member, key, err));
    switch (member) {
    case TENSOR_NAME:
        return tern_json_string(&d->json, &input->tensor->name, err);
    case TENSOR_SHAPE:
        return read_shape(&d->json, &input->tensor->shape, err);
    case TENSOR_DATATYPE:
        return read_datatype(&d->json, &input->tensor->dtype, err);
    case TENSOR_DATA:
        return read_data(d, input, err);
    default:
        return read_tensor_params(d, input, 0, err);
    }
}

/* The input's part of the body, in place. */
static enum tern_code take_binary(struct decoder *d, const struct input *input,
                                  struct tern_err *err)
{
    struct tern_tensor *tensor = input->tensor;
    size_t count;

    if (input->binary_size > d->binary.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input '%.*s': binary_data_size is %" PRIu64
                         ", but only %zu bytes of the body are left",
                         TERN_STR_ARG(tensor->name), input->binary_size, d->binary.n);
    size_t n = (size_t)input->binary_size;
    TERN_TRY(tern_oip_count_elements(tensor, &count, err));
    if (tensor->dtype == TERN_DTYPE_BYTES)
        TERN_TRY(tern_tensor_check_bytes(tensor->name, d->binary.p, n, count, err));
    else if (n != count * tern_dtype_size(tensor->dtype))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input byte size mismatch for input '%.*s' for model '%.*s'. Expected "
                         "%zu, got %zu",
                         TERN_STR_ARG(tensor->name), TERN_STR_ARG(d->call->model),
                         count * tern_dtype_size(tensor->dtype), n);
    /* The tensor is read only; its type serves engines that write outputs through it. */
    tensor->data = (void *)(uintptr_t)d->binary.p;
    tensor->n_bytes = n;
    d->binary.p += n;
    d->binary.n -= n;
    return TERN_OK;
}

static enum tern_code check_input(const struct decoder *d, const struct input *input,
                                  struct tern_err *err)
{
    const struct tern_infer_request *request = d->request;
    struct tern_str name = input->tensor->name;

    if (!HAS(input->seen, TENSOR_NAME) || name.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "input %u has no 'name'", request->n_inputs);
    if (!HAS(input->seen, TENSOR_SHAPE))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' has no 'shape'",
                         TERN_STR_ARG(name));
    if (!HAS(input->seen, TENSOR_DATATYPE))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' has no 'datatype'",
                         TERN_STR_ARG(name));
    const struct tern_region_ref *region = input->tensor->region;
    int sources = input->has_source + input->is_binary + (region != NULL);
    if (sources != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input '%.*s' must have exactly one of 'data' and the parameters "
                         "'binary_data_size' and 'shared_memory_region', got %s",
                         TERN_STR_ARG(name), sources == 0 ? "none" : "several");
    TERN_TRY(tern_oip_check_region("input", name, region, err));
    for (uint32_t i = 0; i < request->n_inputs; i++) {
        if (tern_str_eq(request->inputs[i].name, name))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' already exists in request",
                             TERN_STR_ARG(name));
    }
    return TERN_OK;
}

static enum tern_code read_input(struct decoder *d, struct tern_err *err)
{
    struct tern_infer_request *request = d->request;
    void *rows = request->inputs;
    struct tern_str key;
    bool more;

    TERN_TRY(grow(d->arena, &rows, request->n_inputs, sizeof(request->inputs[0]), "inputs", err));
    request->inputs = rows;
    struct input input = {.tensor = &request->inputs[request->n_inputs]};
    *input.tensor = (struct tern_tensor){.dtype = TERN_DTYPE_INVALID};
    TERN_TRY(tern_json_object(&d->json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&d->json, &more, &key, err));
        if (!more)
            break;
        TERN_TRY(read_input_member(d, &input, key, err));
    }
    TERN_TRY(check_input(d, &input, err));
    if (input.later.p != NULL)
        TERN_TRY(tern_oip_read_tensor(&input.later, d->arena, input.tensor, err));
    if (input.is_binary)
        TERN_TRY(take_binary(d, &input, err));
    request->n_inputs++;
    return TERN_OK;
}

/* -- one requested output ----------------------------------------------------------------- */

static enum tern_code read_output(struct decoder *d, struct tern_err *err)
{
    struct tern_infer_request *request = d->request;
    uint32_t index = request->n_outputs, seen = 0;
    void *rows = request->outputs;
    struct tern_str key;
    bool more;

    TERN_TRY(grow(d->arena, &rows, index, sizeof(request->outputs[0]), "outputs", err));
    request->outputs = rows;
    struct tern_requested_output *output = &request->outputs[index];
    *output = (struct tern_requested_output){.binary = false};
    TERN_TRY(tern_json_object(&d->json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&d->json, &more, &key, err));
        if (!more)
            break;
        int member = tensor_member(key);
        if (member != TENSOR_NAME && member != TENSOR_PARAMETERS) {
            TERN_TRY(tern_json_skip(&d->json, err));
            continue;
        }
        TERN_TRY(tern_json_once(&d->json, &seen, (unsigned)member, key, err));
        TERN_TRY(member == TENSOR_NAME ? tern_json_string(&d->json, &output->name, err)
                                       : read_tensor_params(d, NULL, index, err));
    }
    TERN_TRY(tern_oip_check_output(request, output, err));
    request->n_outputs++;
    return TERN_OK;
}

/* -- the request -------------------------------------------------------------------------- */

/* What is about this dialect is taken; the gateway takes what is not, and the model sees all. */
static enum tern_code read_request_params(struct decoder *d, struct tern_err *err)
{
    struct tern_param param;
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(&d->json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&d->json, &more, &key, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(tern_oip_read_param(&d->json, key, &param, err));
        TERN_TRY(tern_params_add(d->arena, &d->request->params, &param, err));
        if (tern_str_eq(key, TERN_STR("binary_data_output")))
            TERN_TRY(tern_param_bool(&param, &d->request->binary_default, err));
    }
}

static enum tern_code read_list(struct decoder *d,
                                enum tern_code (*read)(struct decoder *d, struct tern_err *err),
                                struct tern_err *err)
{
    bool more;

    TERN_TRY(tern_json_array(&d->json, err));
    for (;;) {
        TERN_TRY(tern_json_item(&d->json, &more, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(read(d, err));
    }
}

/* (explanations) Tensors as the inputs are, which stand aside meanwhile. */
static enum tern_code read_background(struct decoder *d, struct tern_err *err)
{
    struct tern_explain_request *explain = &d->call->explain;
    struct tern_infer_request *request = d->request;
    struct tern_tensor *inputs = request->inputs;
    uint32_t n_inputs = request->n_inputs;

    request->inputs = NULL;
    request->n_inputs = 0;
    TERN_TRY(read_list(d, read_input, err));
    explain->background = TERN_EXPLAIN_BACKGROUND_GIVEN;
    explain->rows = request->inputs;
    explain->n_rows = request->n_inputs;
    request->inputs = inputs;
    request->n_inputs = n_inputs;
    for (uint32_t i = 0; i < explain->n_rows; i++) {
        if (explain->rows[i].region != NULL)
            return tern_fail(err, TERN_UNIMPLEMENTED, "the background stands in the message");
    }
    return TERN_OK;
}

static enum tern_code read_member(struct decoder *d, struct tern_str key, struct tern_err *err)
{
    if (TERN_UNLIKELY(d->explains) && tern_str_eq(key, TERN_STR("background"))) {
        TERN_TRY(tern_json_once(&d->json, &d->seen, REQUEST_BACKGROUND, key, err));
        return read_background(d, err);
    }
    if (tern_str_eq(key, TERN_STR("inputs"))) {
        TERN_TRY(tern_json_once(&d->json, &d->seen, REQUEST_INPUTS, key, err));
        return read_list(d, read_input, err);
    }
    if (tern_str_eq(key, TERN_STR("id"))) {
        TERN_TRY(tern_json_once(&d->json, &d->seen, REQUEST_ID, key, err));
        return tern_json_string(&d->json, &d->request->id, err);
    }
    if (tern_str_eq(key, TERN_STR("outputs"))) {
        TERN_TRY(tern_json_once(&d->json, &d->seen, REQUEST_OUTPUTS, key, err));
        return read_list(d, read_output, err);
    }
    if (tern_str_eq(key, TERN_STR("parameters"))) {
        TERN_TRY(tern_json_once(&d->json, &d->seen, REQUEST_PARAMETERS, key, err));
        return read_request_params(d, err);
    }
    return tern_json_skip(&d->json, err);
}

static enum tern_code finish(struct decoder *d, struct tern_err *err)
{
    struct tern_infer_request *request = d->request;

    if (!HAS(d->seen, REQUEST_INPUTS))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the request has no 'inputs'");
    if (d->binary.n > 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "%zu bytes of the body are left after the inputs: the sum of "
                         "binary_data_size must be all that follows the JSON",
                         d->binary.n);
    for (uint32_t i = 0; i < request->n_outputs; i++) {
        if ((d->explicit_binary[i / 64] >> (i % 64) & 1) == 0)
            request->outputs[i].binary =
                request->binary_default && request->outputs[i].region == NULL;
    }
    return TERN_OK;
}

/* Two lengths are two readings of one body: none of them is taken. */
static bool is_given_twice(const struct tern_exchange *x)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < x->n_headers; i++)
        n += tern_str_eq_nocase(x->headers[i].name, TERN_STR(TERN_OIP_LENGTH_HEADER));
    return n > 1;
}

/* How much of the body is JSON. *ret_given: the header was there. */
static enum tern_code json_length(const struct tern_exchange *x, uint64_t *ret, bool *ret_given,
                                  struct tern_err *err)
{
    struct tern_str value = tern_exchange_header(x, TERN_STR(TERN_OIP_LENGTH_HEADER));

    *ret_given = value.p != NULL;
    *ret = x->body.n;
    if (TERN_LIKELY(!*ret_given))
        return TERN_OK;
    if (is_given_twice(x))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "header " TERN_OIP_LENGTH_HEADER " is given more than once");
    if (!tern_num_parse_u64(value, UINT64_MAX, ret))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "header " TERN_OIP_LENGTH_HEADER
                         ": expected a number of bytes, got '%.*s'",
                         TERN_STR_ARG(value));
    if (*ret > x->body.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "header " TERN_OIP_LENGTH_HEADER " says %" PRIu64
                         " bytes of JSON, but the body has %zu",
                         *ret, x->body.n);
    return TERN_OK;
}

void tern_oip_plan_body(const struct tern_exchange *x, struct tern_body_plan *plan)
{
    struct tern_str value = tern_exchange_header(x, TERN_STR(TERN_OIP_LENGTH_HEADER));
    uint64_t n;

    if (tern_num_parse_u64(value, SIZE_MAX, &n))
        plan->pivot = (size_t)n;
}

static enum tern_code decode_json(struct decoder *d, struct tern_err *err)
{
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(&d->json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&d->json, &more, &key, err));
        if (!more)
            break;
        TERN_TRY(read_member(d, key, err));
    }
    TERN_TRY(tern_json_end(&d->json, err));
    return finish(d, err);
}

static enum tern_code decode(struct decoder *d, struct tern_err *err)
{
    struct tern_call *call = d->call;
    struct tern_exchange *x = call->x;
    uint64_t n_json;
    bool given;

    TERN_TRY(tern_oip_check_content_type(x, err));
    TERN_TRY(json_length(x, &n_json, &given, err));
    if (given && n_json == 0) {
        call->request.raw = true;
        call->request.raw_body = x->body;
        call->request.binary_default = true;
        return TERN_OK;
    }
    if (x->body.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the request has no body, expected JSON with 'inputs'");
    d->binary = tern_str_make(x->body.p + n_json, x->body.n - (size_t)n_json);
    tern_oip_json_init(&d->json, call, tern_str_make(x->body.p, (size_t)n_json));
    if (!given && tern_json_peek(&d->json) != TERN_JSON_OBJECT &&
        tern_str_eq_nocase(x->content_type, TERN_STR("application/octet-stream")))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "a binary body needs the header " TERN_OIP_LENGTH_HEADER);
    return decode_json(d, err);
}

enum tern_code tern_oip_decode_infer(struct tern_call *call, struct tern_err *err)
{
    struct decoder d = {.call = call, .request = &call->request, .arena = call->arena};

    if (TERN_UNLIKELY(call->info != NULL && call->info->documents)) {
        call->op = TERN_OP_GRAPH; /* which takes the message as it is */
        return TERN_OK;
    }
    return decode(&d, err);
}

enum tern_code tern_oip_decode_explain(struct tern_call *call, struct tern_err *err)
{
    struct decoder d = {
        .call = call, .request = &call->request, .arena = call->arena, .explains = true};

    return decode(&d, err);
}
