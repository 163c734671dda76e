/* ModelInfer, request side. The fields of the message are read where they lie: names and raw
 * tensors are slices of it. A first walk counts, so that every list is made once and at its size;
 * the second fills. Tensors are given their bytes at the end, because raw_input_contents may come
 * in any order with the inputs. */
#include "proto/oip_grpc_int.h"

#define ALIGNED_MIN 4096u /* bytes; engines copy what is shorter without loss */

struct decoder {
    struct tern_call *call;
    struct tern_infer_request *request;
    struct tern_arena *arena;
    struct tern_str version;
    struct tern_str *contents; /* one an input: its InferTensorContents; p == NULL: none */
    struct tern_str *raw;      /* raw_input_contents */
    uint32_t n_raw;
};

/* ---- parameters ---- */

/* InferParameter: bool_param = 1, int64_param = 2, string_param = 3, double_param = 4,
 * uint64_param = 5; one of them */
static enum tern_code read_value(struct tern_str message, struct tern_param *param, bool *ret_given,
                                 struct tern_err *err)
{
    struct tern_pb_field field;
    struct tern_pb pb;
    bool more;

    tern_pb_init(&pb, message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return TERN_OK;
        switch (field.number) {
        case 1:
            TERN_TRY(tern_pb_want(&field, TERN_PB_VARINT, "bool_param", err));
            param->kind = TERN_PARAM_BOOL;
            param->boolean = field.value != 0;
            break;
        case 2:
            TERN_TRY(tern_pb_want(&field, TERN_PB_VARINT, "int64_param", err));
            param->kind = TERN_PARAM_INT64;
            param->int64 = (int64_t)field.value;
            break;
        case 3:
            param->kind = TERN_PARAM_STRING;
            TERN_TRY(tern_pb_text(&field, "string_param", &param->string, err));
            break;
        case 4:
            TERN_TRY(tern_pb_want(&field, TERN_PB_FIXED64, "double_param", err));
            param->kind = TERN_PARAM_DOUBLE;
            memcpy(&param->real, &field.value, sizeof(param->real));
            break;
        case 5:
            TERN_TRY(tern_pb_want(&field, TERN_PB_VARINT, "uint64_param", err));
            param->kind = field.value > INT64_MAX ? TERN_PARAM_UINT64 : TERN_PARAM_INT64;
            param->uint64 = field.value;
            break;
        default:
            continue;
        }
        *ret_given = true;
    }
}

enum tern_code tern_oip_grpc_read_param(const struct tern_pb_field *entry, struct tern_param *ret,
                                        struct tern_err *err)
{
    struct tern_pb_field field;
    struct tern_pb pb;
    bool more, given = false;

    *ret = (struct tern_param){.kind = TERN_PARAM_BOOL};
    TERN_TRY(tern_pb_want(entry, TERN_PB_BYTES, "parameters", err));
    tern_pb_init(&pb, entry->bytes);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        if (field.number == 1)
            TERN_TRY(tern_pb_text(&field, "the key of a parameter", &ret->key, err));
        if (field.number == 2) {
            TERN_TRY(tern_pb_want(&field, TERN_PB_BYTES, "the value of a parameter", err));
            TERN_TRY(read_value(field.bytes, ret, &given, err));
        }
    }
    if (!given)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "parameter '%.*s' has no value, expected a boolean, a number or a string",
                         TERN_STR_ARG(ret->key));
    return TERN_OK;
}

/* ---- one input ---- */

static enum tern_code add_dim(struct tern_shape *shape, uint64_t dim, struct tern_err *err)
{
    if (shape->rank == TERN_RANK_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Unable to parse 'shape': more than %d dimensions", TERN_RANK_MAX);
    if (dim > INT64_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Unable to parse 'shape': dimension %d is negative", shape->rank);
    shape->dim[shape->rank++] = (int64_t)dim;
    return TERN_OK;
}

/* Packed, as every implementation writes it, or one dimension a field. */
static enum tern_code read_shape(const struct tern_pb_field *field, struct tern_shape *shape,
                                 struct tern_err *err)
{
    uint64_t dim;
    size_t at = 0;

    if (field->wire == TERN_PB_VARINT)
        return add_dim(shape, field->value, err);
    TERN_TRY(tern_pb_want(field, TERN_PB_BYTES, "shape", err));
    while (tern_pb_packed_varint(field->bytes, &at, &dim))
        TERN_TRY(add_dim(shape, dim, err));
    if (at > field->bytes.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "malformed message: shape is cut off");
    return TERN_OK;
}

static enum tern_code read_contents(const struct tern_pb_field *field, struct tern_str *contents,
                                    struct tern_err *err)
{
    TERN_TRY(tern_pb_want(field, TERN_PB_BYTES, "contents", err));
    if (contents->p != NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "an input has more than one 'contents'");
    *contents = field->bytes;
    return TERN_OK;
}

/* ModelInferRequest.InferInputTensor: name = 1, datatype = 2, shape = 3, parameters = 4,
 * contents = 5 */
static enum tern_code read_input_field(struct decoder *d, struct tern_tensor *tensor,
                                       struct tern_str *contents, const struct tern_pb_field *field,
                                       struct tern_err *err)
{
    struct tern_param param;
    struct tern_str name;

    switch (field->number) {
    case 1:
        return tern_pb_text(field, "the name of an input", &tensor->name, err);
    case 2:
        TERN_TRY(tern_pb_text(field, "datatype", &name, err));
        return tern_oip_parse_datatype(name, &tensor->dtype, err);
    case 3:
        return read_shape(field, &tensor->shape, err);
    case 4:
        TERN_TRY(tern_oip_grpc_read_param(field, &param, err));
        return tern_oip_take_input_param(d->arena, tensor, &param, err);
    case 5:
        return read_contents(field, contents, err);
    default:
        return TERN_OK;
    }
}

static enum tern_code read_input(struct decoder *d, const struct tern_pb_field *input,
                                 struct tern_err *err)
{
    uint32_t index = d->request->n_inputs;
    struct tern_tensor *tensor = &d->request->inputs[index];
    struct tern_pb_field field;
    struct tern_pb pb;
    bool more;

    tern_pb_init(&pb, input->bytes);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        TERN_TRY(read_input_field(d, tensor, &d->contents[index], &field, err));
    }
    if (tensor->name.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "input %u has no 'name'", index);
    if (tensor->dtype == TERN_DTYPE_INVALID)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' has no 'datatype'",
                         TERN_STR_ARG(tensor->name));
    TERN_TRY(tern_oip_check_region("input", tensor->name, tensor->region, err));
    d->request->n_inputs++;
    return TERN_OK;
}

/* ---- one requested output ---- */

/* ModelInferRequest.InferRequestedOutputTensor: name = 1, parameters = 2 */
static enum tern_code read_output(struct decoder *d, const struct tern_pb_field *wanted,
                                  struct tern_err *err)
{
    struct tern_requested_output *output = &d->request->outputs[d->request->n_outputs];
    struct tern_param param;
    struct tern_pb_field field;
    struct tern_pb pb;
    bool more;

    tern_pb_init(&pb, wanted->bytes);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        if (field.number == 1)
            TERN_TRY(tern_pb_text(&field, "the name of an output", &output->name, err));
        if (field.number == 2) {
            TERN_TRY(tern_oip_grpc_read_param(&field, &param, err));
            TERN_TRY(tern_oip_take_output_param(d->arena, output, &param, err));
        }
    }
    TERN_TRY(tern_oip_check_output(d->request, output, err));
    d->request->n_outputs++;
    return TERN_OK;
}

/* ---- the bytes of the inputs ---- */

/* Raw contents stand for the inputs in their order, those in shared memory left out. */
static enum tern_code take_raw(struct decoder *d, struct tern_err *err)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < d->request->n_inputs; i++) {
        struct tern_tensor *tensor = &d->request->inputs[i];
        if (tensor->region != NULL)
            continue;
        if (d->contents[i].n > 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "contents field must not be specified when using raw_input_contents "
                             "for '%.*s' for model '%.*s'",
                             TERN_STR_ARG(tensor->name), TERN_STR_ARG(d->call->model));
        if (at < d->n_raw) {
            /* The tensor is read only; its type serves engines that write outputs through it. */
            tensor->data = (void *)(uintptr_t)d->raw[at].p;
            tensor->n_bytes = d->raw[at].n;
        }
        at++;
    }
    if (at != d->n_raw)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the request for model '%.*s' has %u raw_input_contents, expected one for "
                         "each of the %u inputs that are not in shared memory",
                         TERN_STR_ARG(d->call->model), d->n_raw, at);
    return TERN_OK;
}

static enum tern_code take_bytes(struct decoder *d, struct tern_err *err)
{
    struct tern_infer_request *request = d->request;

    request->binary_default = d->n_raw > 0;
    if (d->n_raw > 0)
        return take_raw(d, err);
    for (uint32_t i = 0; i < request->n_inputs; i++) {
        if (request->inputs[i].region == NULL)
            TERN_TRY(
                tern_oip_grpc_read_contents(d->arena, d->contents[i], &request->inputs[i], err));
    }
    return TERN_OK;
}

/* ---- the request ---- */

/* Room for n of each kind in one piece: inputs, outputs, raw contents. The + 1 is for requests with
 * none. */
static enum tern_code make_lists(struct decoder *d, const uint32_t n[3], struct tern_err *err)
{
    struct lists {
        size_t inputs, outputs, contents;
    } const size = {.inputs = n[0] * sizeof(d->request->inputs[0]),
                    .outputs = n[1] * sizeof(d->request->outputs[0]),
                    .contents = ((size_t)n[0] + n[2] + 1) * sizeof(d->contents[0])};
    char *p = tern_arena_zalloc(d->arena, 1, size.inputs + size.outputs + size.contents);

    if (p == NULL)
        return tern_arena_fail(d->arena, err, "the request");
    d->request->inputs = (void *)p;
    d->request->outputs = (void *)(p + size.inputs);
    d->contents = (void *)(p + size.inputs + size.outputs);
    d->raw = d->contents + n[0];
    return TERN_OK;
}

/* How many there are of each. */
static enum tern_code count_fields(struct decoder *d, struct tern_err *err)
{
    static const char *const names[] = {"inputs", "outputs", "raw_input_contents"};
    uint32_t n[3] = {0};
    struct tern_pb_field field;
    struct tern_pb pb;
    bool more;

    tern_pb_init(&pb, d->call->message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return make_lists(d, n, err);
        if (field.number < 5 || field.number > 7)
            continue;
        uint32_t which = field.number - 5;
        TERN_TRY(tern_pb_want(&field, TERN_PB_BYTES, names[which], err));
        if (++n[which] > TERN_TENSORS_MAX)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "the request has more than %d %s",
                             TERN_TENSORS_MAX, names[which]);
    }
}

/* ModelInferRequest: model_name = 1, model_version = 2, id = 3, parameters = 4, inputs = 5,
 * outputs = 6, raw_input_contents = 7 */
static enum tern_code read_field(struct decoder *d, const struct tern_pb_field *field,
                                 struct tern_err *err)
{
    struct tern_param param;

    switch (field->number) {
    case 1:
        return tern_pb_text(field, "model_name", &d->call->model, err);
    case 2:
        return tern_pb_text(field, "model_version", &d->version, err);
    case 3:
        return tern_pb_text(field, "id", &d->request->id, err);
    case 4:
        TERN_TRY(tern_oip_grpc_read_param(field, &param, err));
        return tern_params_add(d->arena, &d->request->params, &param, err);
    case 5:
        return read_input(d, field, err);
    case 6:
        return read_output(d, field, err);
    case 7:
        d->raw[d->n_raw++] = field->bytes;
        return TERN_OK;
    default:
        return TERN_OK;
    }
}

/* Where the bytes begin of the first raw_input_contents that is large, which is cut off most of the
 * time, or else of the first one; NULL when nothing of one is there. */
static const char *find_raw(struct tern_str message)
{
    const char *first = NULL;
    struct tern_pb_field field;
    struct tern_pb pb;
    uint64_t tag, n;
    bool more = true;

    tern_pb_init(&pb, message);
    for (;;) {
        struct tern_str rest = tern_str_make(pb.p, (size_t)(pb.end - pb.p));
        size_t at = 0;
        if (!tern_pb_packed_varint(rest, &at, &tag))
            return first;
        if (tag == (7 << 3 | TERN_PB_BYTES)) {
            if (!tern_pb_packed_varint(rest, &at, &n))
                return first;
            if (n >= ALIGNED_MIN)
                return rest.p + at;
            first = first == NULL ? rest.p + at : first;
        }
        if (tern_pb_next(&pb, &field, &more, NULL) != TERN_OK)
            return first;
    }
}

void tern_oip_grpc_plan_body(const struct tern_exchange *x, struct tern_body_plan *plan)
{
    struct tern_str message;

    tern_grpc_plan_body(x, plan, &message);
    if (plan->size == SIZE_MAX || plan->size < ALIGNED_MIN || message.n == 0)
        return;
    const char *raw = find_raw(message);
    if (raw != NULL)
        plan->pivot = (size_t)(raw - plan->first.p);
}

enum tern_code tern_oip_grpc_decode_infer(struct tern_call *call, struct tern_err *err)
{
    struct decoder d = {.call = call, .request = &call->request, .arena = call->arena};
    struct tern_pb_field field;
    struct tern_pb pb;
    bool more;

    TERN_TRY(tern_grpc_read_deadline(call, err));
    TERN_TRY(count_fields(&d, err));
    tern_pb_init(&pb, call->message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        TERN_TRY(read_field(&d, &field, err));
    }
    TERN_TRY(tern_oip_grpc_read_version(d.version, call->model, &call->version, err));
    return take_bytes(&d, err);
}
