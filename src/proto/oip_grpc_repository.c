/* Over gRPC: a model's configuration; the repository's index, load and unload. The latter have two
 * layouts, Triton's (MLServer's too) and KServe's: which one is read follows the listener. */
#include "proto/oip_grpc_admin.h"

/* ModelConfigResponse: config = 1. The message was made when the model was loaded. */
enum tern_code tern_oip_grpc_encode_config(struct tern_call *call, struct tern_err *err)
{
    const struct tern_model_config_text *config =
        tern_model_config_now(call->info, call->decoupled);

    tern_pb_add_bytes(call->x->out, 1, config->pb);
    return tern_buf_check(call->x->out, "the response", err);
}

/* There is one repository, and it has no name. */
static enum tern_code read_repository_name(const struct tern_pb_field *field, struct tern_err *err)
{
    struct tern_str name;

    TERN_TRY(tern_pb_text(field, "repository_name", &name, err));
    if (name.n > 0)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "'repository_name' specification is not supported");
    return TERN_OK;
}

/* RepositoryIndexRequest: repository_name = 1, ready = 2 */
enum tern_code tern_oip_grpc_decode_index(struct tern_call *call, struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    tern_pb_init(&pb, call->message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return TERN_OK;
        if (field.number == 1)
            TERN_TRY(read_repository_name(&field, err));
        if (field.number == 2) {
            TERN_TRY(tern_pb_want(&field, TERN_PB_VARINT, "ready", err));
            call->ready_only = field.value != 0;
        }
    }
}

/* RepositoryIndexResponse: models = 1 {name = 1, version = 2, state = 3, reason = 4} */
enum tern_code tern_oip_grpc_encode_index(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = call->x->out;

    for (uint32_t i = 0; i < call->n_index; i++) {
        const struct tern_index_row *row = &call->index[i];
        size_t mark = tern_pb_open(out, 1);
        tern_pb_add_bytes(out, 1, row->name);
        if (row->version != 0)
            tern_oip_grpc_add_version(out, 2, row->version);
        tern_pb_add_bytes(out, 3, tern_str_of(tern_model_state_name(row->state)));
        tern_pb_add_bytes_unless_empty(out, 4, row->reason);
        tern_pb_close(out, mark);
    }
    return tern_buf_check(out, "the response", err);
}

/* ModelRepositoryParameter: bool = 1, int64 = 2, string = 3, bytes = 4 */
static enum tern_code read_value(struct tern_str message, struct tern_param *ret,
                                 struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more, any = false;

    tern_pb_init(&pb, message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        any |= field.number >= 1 && field.number <= 4;
        if (field.number == 1) {
            TERN_TRY(tern_pb_want(&field, TERN_PB_VARINT, "bool_param", err));
            ret->kind = TERN_PARAM_BOOL;
            ret->boolean = field.value != 0;
        } else if (field.number == 2) {
            TERN_TRY(tern_pb_want(&field, TERN_PB_VARINT, "int64_param", err));
            ret->kind = TERN_PARAM_INT64;
            ret->int64 = (int64_t)field.value;
        } else if (field.number == 3) {
            ret->kind = TERN_PARAM_STRING;
            TERN_TRY(tern_pb_text(&field, "string_param", &ret->string, err));
        } else if (field.number == 4) {
            TERN_TRY(tern_pb_want(&field, TERN_PB_BYTES, "bytes_param", err));
            ret->kind = TERN_PARAM_STRING;
            ret->string = field.bytes;
        }
    }
    if (!any)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "parameter '%.*s' has no value",
                         TERN_STR_ARG(ret->key));
    return TERN_OK;
}

static enum tern_code read_param(struct tern_call *call, const struct tern_pb_field *field,
                                 struct tern_err *err)
{
    struct tern_param param = {.kind = TERN_PARAM_BOOL};
    struct tern_str value;

    TERN_TRY(tern_pb_want(field, TERN_PB_BYTES, "parameters", err));
    TERN_TRY(tern_oip_grpc_read_entry(field->bytes, "parameters", &param.key, &value, err));
    TERN_TRY(read_value(value, &param, err));
    if (tern_str_eq(param.key, TERN_STR("unload_dependents")))
        TERN_TRY(tern_param_bool(&param, &call->unload_dependents, err));
    return tern_params_add(call->arena, &call->params, &param, err);
}

/* RepositoryModelLoadRequest, RepositoryModelUnloadRequest: repository_name = 1, model_name = 2,
 * parameters = 3 */
enum tern_code tern_oip_grpc_decode_load(struct tern_call *call, struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    tern_pb_init(&pb, call->message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return TERN_OK;
        if (field.number == 1)
            TERN_TRY(read_repository_name(&field, err));
        if (field.number == 2)
            TERN_TRY(tern_pb_text(&field, "model_name", &call->model, err));
        if (field.number == 3)
            TERN_TRY(read_param(call, &field, err));
    }
}

/* KServe's have model_name = 1 alone. */
enum tern_code tern_oip_grpc_decode_control(struct tern_call *call, struct tern_err *err)
{
    if (tern_oip_grpc_form(call) == TERN_GRPC_FORM_KSERVE)
        return tern_pb_find_text(call->message, 1, "model_name", &call->model, err);
    return tern_oip_grpc_decode_load(call, err);
}

/* Empty, but for KServe's: model_name = 1, isLoaded (or isUnloaded) = 2 */
enum tern_code tern_oip_grpc_encode_control(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = call->x->out;

    if (tern_oip_grpc_form(call) != TERN_GRPC_FORM_KSERVE)
        return TERN_OK;
    tern_pb_add_bytes(out, 1, call->model);
    tern_pb_add_varint(out, 2, 1);
    return tern_buf_check(out, "the response", err);
}
