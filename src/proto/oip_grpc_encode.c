/* ModelInfer, response side. All but the tensors is written into the buffer the connection sends
 * from; raw tensors follow as slices of the memory the engine wrote, each behind the head of its
 * field. Small ones are cheaper to copy, as long as nothing but the buffer came before. */
#include "proto/oip_grpc_int.h"

#define COPY_MAX 1024u

/* InferParameter */
static void add_value(struct tern_buf *out, const struct tern_param *param)
{
    uint64_t bits;

    switch (param->kind) {
    case TERN_PARAM_BOOL:
        tern_pb_add_varint(out, 1, param->boolean);
        break;
    case TERN_PARAM_INT64:
        tern_pb_add_varint(out, 2, (uint64_t)param->int64);
        break;
    case TERN_PARAM_STRING:
        tern_pb_add_bytes(out, 3, param->string);
        break;
    case TERN_PARAM_DOUBLE:
        memcpy(&bits, &param->real, sizeof(bits));
        tern_pb_add_fixed64(out, 4, bits);
        break;
    case TERN_PARAM_UINT64:
        tern_pb_add_varint(out, 5, param->uint64);
        break;
    }
}

void tern_oip_grpc_add_param(struct tern_buf *out, uint32_t number, const struct tern_param *param)
{
    size_t entry = tern_pb_open(out, number);

    tern_pb_add_bytes(out, 1, param->key);
    size_t value = tern_pb_open(out, 2);
    add_value(out, param);
    tern_pb_close(out, value);
    tern_pb_close(out, entry);
}

void tern_oip_grpc_add_shape(struct tern_buf *out, uint32_t number, const struct tern_shape *shape)
{
    size_t list = tern_pb_open(out, number);

    for (int i = 0; i < shape->rank; i++)
        tern_pb_put_varint(out, (uint64_t)shape->dim[i]);
    tern_pb_close(out, list);
}

static void add_u64(struct tern_buf *out, const char *key, uint64_t value)
{
    struct tern_param param = {.key = tern_str_of(key), .kind = TERN_PARAM_INT64, .uint64 = value};

    tern_oip_grpc_add_param(out, 4, &param);
}

/* The place where the client finds it, as Triton says it: the size is what was written. */
static void add_region(struct tern_buf *out, const struct tern_tensor *tensor)
{
    struct tern_param name = {.key = TERN_STR("shared_memory_region"),
                              .kind = TERN_PARAM_STRING,
                              .string = tensor->region->name};

    tern_oip_grpc_add_param(out, 4, &name);
    if (tensor->region->offset > 0)
        add_u64(out, "shared_memory_offset", tensor->region->offset);
    add_u64(out, "shared_memory_byte_size", tensor->n_bytes);
}

/* ModelInferResponse.InferOutputTensor: name = 1, datatype = 2, shape = 3, parameters = 4,
 * contents = 5 */
static enum tern_code add_output(struct tern_buf *out, const struct tern_tensor *tensor, bool raw,
                                 struct tern_err *err)
{
    size_t output = tern_pb_open(out, 5);

    tern_pb_add_bytes(out, 1, tensor->name);
    tern_pb_add_bytes(out, 2, tern_str_of(tern_dtype_name(tensor->dtype)));
    tern_oip_grpc_add_shape(out, 3, &tensor->shape);
    if (tensor->region != NULL)
        add_region(out, tensor);
    else if (!raw)
        TERN_TRY(tern_oip_grpc_write_contents(out, 5, tensor, err));
    tern_pb_close(out, output);
    return TERN_OK;
}

/* Clients find an output's bytes by its place among the outputs, so one in shared memory has empty
 * ones. At most two slices each: the head of a field, and the tensor. */
static enum tern_code add_raw(struct tern_call *call, const struct tern_tensor *tensor,
                              struct tern_err *err)
{
    struct tern_exchange *x = call->x;
    size_t n = tensor->region != NULL ? 0 : tensor->n_bytes;

    if (x->n_slices == 0 && n < COPY_MAX) {
        tern_pb_add_bytes(x->out, 6, tern_str_make(tensor->data, n));
        return TERN_OK;
    }
    if (x->slices == NULL) {
        size_t size = 2 * (size_t)call->response.n_outputs * sizeof(x->slices[0]);
        x->slices = tern_arena_alloc(call->arena, _Alignof(struct tern_slice), size);
        if (x->slices == NULL)
            return tern_arena_fail(call->arena, err, "the response");
    }
    if (x->n_slices == 0) {
        tern_pb_add_head(x->out, 6, n);
    } else {
        char *head = tern_arena_alloc(call->arena, 1, TERN_PB_HEAD_MAX);
        if (head == NULL)
            return tern_arena_fail(call->arena, err, "the response");
        x->slices[x->n_slices++] = (struct tern_slice){head, tern_pb_write_head(head, 6, n)};
    }
    if (n > 0)
        x->slices[x->n_slices++] = (struct tern_slice){tensor->data, n};
    return TERN_OK;
}

/* All outputs are raw or none is. Triton's always are; KServe and MLServer answer a request with
 * typed contents with typed contents, as far as the datatypes have any. */
static bool is_raw(const struct tern_call *call)
{
    if (call->request.binary_default || tern_oip_grpc_form(call) == TERN_GRPC_FORM_TRITON)
        return true;
    for (uint32_t i = 0; i < call->response.n_outputs; i++) {
        if (!tern_oip_grpc_has_contents(call->response.outputs[i].dtype))
            return true;
    }
    return false;
}

/* ModelInferResponse: model_name = 1, model_version = 2, id = 3, parameters = 4, outputs = 5,
 * raw_output_contents = 6 */
enum tern_code tern_oip_grpc_encode_infer(struct tern_call *call, struct tern_err *err)
{
    const struct tern_infer_response *response = &call->response;
    struct tern_buf *out = call->x->out;
    bool raw = is_raw(call);

    tern_pb_add_bytes(out, 1, call->info->name);
    tern_oip_grpc_add_version(out, 2, call->info->version);
    tern_pb_add_bytes_unless_empty(out, 3, call->request.id);
    for (uint32_t i = 0; i < response->params.n; i++)
        tern_oip_grpc_add_param(out, 4, &response->params.rows[i]);
    for (uint32_t i = 0; i < response->n_outputs; i++)
        TERN_TRY(add_output(out, &response->outputs[i], raw, err));
    for (uint32_t i = 0; raw && i < response->n_outputs; i++)
        TERN_TRY(add_raw(call, &response->outputs[i], err));
    return tern_buf_check(out, "the response", err);
}
