/* The model repository: index, load, unload. A body is optional everywhere. */
#include "proto/oip_int.h"
#include "wire/base64.h"

/* The body, where there is one. */
static enum tern_code read_body(struct tern_call *call,
                                enum tern_code (*read)(struct tern_call *call,
                                                       struct tern_json *json, struct tern_str key,
                                                       uint32_t *seen, struct tern_err *err),
                                struct tern_err *err)
{
    uint32_t seen;

    TERN_TRY(tern_oip_check_content_type(call->x, err));
    if (call->x->body.n == 0)
        return TERN_OK;
    return tern_oip_read_object(call, call->x->body, read, &seen, err);
}

static enum tern_code read_index_member(struct tern_call *call, struct tern_json *json,
                                        struct tern_str key, uint32_t *seen, struct tern_err *err)
{
    if (!tern_str_eq(key, TERN_STR("ready")))
        return tern_json_skip(json, err);
    TERN_TRY(tern_json_once(json, seen, 0, key, err));
    if (tern_json_peek(json) != TERN_JSON_BOOL)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Invalid value for 'ready': expected a boolean");
    return tern_json_bool(json, &call->ready_only, err);
}

enum tern_code tern_oip_decode_index(struct tern_call *call, struct tern_err *err)
{
    return read_body(call, read_index_member, err);
}

enum tern_code tern_oip_encode_index(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);

    tern_buf_add_char(out, '[');
    for (uint32_t i = 0; i < call->n_index; i++) {
        const struct tern_index_row *row = &call->index[i];
        tern_buf_add_str(out, i > 0 ? TERN_STR(",{\"name\":") : TERN_STR("{\"name\":"));
        tern_json_add_string(out, row->name);
        if (row->version != 0) {
            TERN_BUF_ADD_LITERAL(out, ",\"version\":\"");
            tern_buf_add_i64(out, row->version);
            tern_buf_add_char(out, '"');
        }
        TERN_BUF_ADD_LITERAL(out, ",\"state\":\"");
        tern_buf_add_str(out, tern_str_of(tern_model_state_name(row->state)));
        TERN_BUF_ADD_LITERAL(out, "\",\"reason\":");
        tern_json_add_string(out, row->reason);
        tern_buf_add_char(out, '}');
    }
    tern_buf_add_char(out, ']');
    return tern_buf_check(out, "the response", err);
}

/* "file:1/model.onnx": the bytes come as base64. */
static enum tern_code decode_file(struct tern_call *call, struct tern_param *param,
                                  struct tern_err *err)
{
    size_t n = 0;

    if (param->kind != TERN_PARAM_STRING)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "'%.*s': expected a string of base64",
                         TERN_STR_ARG(param->key));
    char *bytes = tern_arena_alloc(call->arena, 1, TERN_BASE64_ROOM(param->string.n) + 1);
    if (bytes == NULL)
        return tern_arena_fail(call->arena, err, "a file");
    if (!tern_base64_decode(param->string, bytes, &n))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "'%.*s': the value is not base64",
                         TERN_STR_ARG(param->key));
    param->string = tern_str_make(bytes, n);
    return TERN_OK;
}

static enum tern_code read_control_params(struct tern_call *call, struct tern_json *json,
                                          struct tern_err *err)
{
    struct tern_param param;
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(tern_oip_read_param(json, key, &param, err));
        if (tern_str_starts(key, TERN_STR("file:")))
            TERN_TRY(decode_file(call, &param, err));
        TERN_TRY(tern_params_add(call->arena, &call->params, &param, err));
        if (tern_str_eq(key, TERN_STR("unload_dependents")))
            TERN_TRY(tern_param_bool(&param, &call->unload_dependents, err));
    }
}

static enum tern_code read_control_member(struct tern_call *call, struct tern_json *json,
                                          struct tern_str key, uint32_t *seen, struct tern_err *err)
{
    if (!tern_str_eq(key, TERN_STR("parameters")))
        return tern_json_skip(json, err);
    TERN_TRY(tern_json_once(json, seen, 0, key, err));
    enum tern_code code = read_control_params(call, json, err);
    if (code != TERN_OK)
        tern_err_prefix(err, "Unable to parse 'parameters'");
    return code;
}

/* What "config" and "file:<path>" mean the operation knows. */
enum tern_code tern_oip_decode_control(struct tern_call *call, struct tern_err *err)
{
    return read_body(call, read_control_member, err);
}

/* KServe's answer; Triton's clients look at the status only. */
static enum tern_code encode_done(struct tern_call *call, struct tern_str what,
                                  struct tern_err *err)
{
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);

    TERN_BUF_ADD_LITERAL(out, "{\"name\":");
    tern_json_add_string(out, call->model);
    tern_buf_add_char(out, ',');
    tern_json_add_string(out, what);
    TERN_BUF_ADD_LITERAL(out, ":true}");
    return tern_buf_check(out, "the response", err);
}

enum tern_code tern_oip_encode_load(struct tern_call *call, struct tern_err *err)
{
    return encode_done(call, TERN_STR("load"), err);
}

enum tern_code tern_oip_encode_unload(struct tern_call *call, struct tern_err *err)
{
    return encode_done(call, TERN_STR("unload"), err);
}
