/* POST .../infer, response side: JSON written straight into the buffer the connection sends from;
 * binary outputs follow it as slices of the memory the engine wrote. */
#include "proto/kserve_graph.h"
#include "proto/oip_int.h"

/* Outputs stand in the order requested; the name is compared in case an operation changed that. */
static bool is_binary(const struct tern_infer_request *request, uint32_t index,
                      struct tern_str name)
{
    const struct tern_requested_output *outputs = request->outputs;

    if (index < request->n_outputs && tern_str_eq(outputs[index].name, name))
        return outputs[index].binary;
    for (uint32_t i = 0; i < request->n_outputs; i++) {
        if (tern_str_eq(outputs[i].name, name))
            return outputs[i].binary;
    }
    return request->binary_default;
}

static void write_head(struct tern_buf *out, const struct tern_call *call)
{
    const struct tern_model_info *info = call->info;

    TERN_BUF_ADD_LITERAL(out, "{\"model_name\":");
    tern_json_add_string(out, info != NULL ? info->name : call->model);
    TERN_BUF_ADD_LITERAL(out, ",\"model_version\":\"");
    tern_buf_add_i64(out, info != NULL ? info->version : call->version);
    tern_buf_add_char(out, '"');
    if (call->request.id.n > 0) {
        TERN_BUF_ADD_LITERAL(out, ",\"id\":");
        tern_json_add_string(out, call->request.id);
    }
    if (call->response.params.n > 0) {
        TERN_BUF_ADD_LITERAL(out, ",\"parameters\":");
        tern_oip_write_params(out, &call->response.params);
    }
}

static enum tern_code write_output(struct tern_buf *out, const struct tern_tensor *tensor,
                                   bool binary, struct tern_err *err)
{
    TERN_BUF_ADD_LITERAL(out, "{\"name\":");
    tern_json_add_string(out, tensor->name);
    TERN_BUF_ADD_LITERAL(out, ",\"datatype\":\"");
    tern_buf_add_str(out, tern_str_of(tern_dtype_name(tensor->dtype)));
    TERN_BUF_ADD_LITERAL(out, "\",\"shape\":");
    tern_oip_write_shape(out, &tensor->shape);
    if (tensor->region != NULL) {
        /* The client said where it finds it. Nothing is repeated, as Triton does not: its C++
         * client takes every output with parameters for one whose bytes follow the JSON. */
        tern_buf_add_char(out, '}');
    } else if (binary) {
        TERN_BUF_ADD_LITERAL(out, ",\"parameters\":{\"binary_data_size\":");
        tern_buf_add_u64(out, tensor->n_bytes);
        TERN_BUF_ADD_LITERAL(out, "}}");
    } else {
        TERN_BUF_ADD_LITERAL(out, ",\"data\":");
        TERN_TRY(tern_oip_write_tensor(out, tensor, err));
        tern_buf_add_char(out, '}');
    }
    return TERN_OK;
}

/* Adds the tensor to the slices that follow the JSON. */
static enum tern_code add_slice(struct tern_call *call, const struct tern_tensor *tensor,
                                struct tern_err *err)
{
    struct tern_exchange *x = call->x;

    if (x->slices == NULL) {
        size_t size = call->response.n_outputs * sizeof(x->slices[0]);
        x->slices = tern_arena_alloc(call->arena, _Alignof(struct tern_slice), size);
        if (x->slices == NULL)
            return tern_arena_fail(call->arena, err, "the response");
    }
    x->slices[x->n_slices++] = (struct tern_slice){tensor->data, tensor->n_bytes};
    return TERN_OK;
}

/* The answer mixes JSON and bytes: say where the one ends. */
static enum tern_code finish_binary(struct tern_call *call, struct tern_err *err)
{
    size_t n = tern_exchange_body_str(call->x).n;
    struct tern_str digits = tern_arena_printf(call->arena, "%zu", n);

    if (digits.p == NULL)
        return tern_arena_fail(call->arena, err, "the response");
    call->x->response_type = TERN_STR("application/octet-stream");
    tern_exchange_add_header(call->x, TERN_STR(TERN_OIP_LENGTH_HEADER), digits);
    return TERN_OK;
}

enum tern_code tern_oip_encode_infer(struct tern_call *call, struct tern_err *err)
{
    const struct tern_infer_response *response = &call->response;

    if (TERN_UNLIKELY(call->op == TERN_OP_GRAPH))
        return tern_graph_encode(call, err);
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);
    write_head(out, call);
    TERN_BUF_ADD_LITERAL(out, ",\"outputs\":[");
    for (uint32_t i = 0; i < response->n_outputs; i++) {
        const struct tern_tensor *tensor = &response->outputs[i];
        bool binary = tensor->region == NULL && is_binary(&call->request, i, tensor->name);
        if (i > 0)
            tern_buf_add_char(out, ',');
        TERN_TRY(write_output(out, tensor, binary, err));
        if (binary)
            TERN_TRY(add_slice(call, tensor, err));
    }
    TERN_BUF_ADD_LITERAL(out, "]}");
    TERN_TRY(tern_buf_check(out, "the response", err));
    call->x->allow_compression = true;
    return call->x->n_slices > 0 ? finish_binary(call, err) : TERN_OK;
}
