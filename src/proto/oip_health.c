/* Health: KServe's JSON bodies. "No" is 503, as KServe and every load balancer read it; Triton's
 * clients only look at whether it is 200. A listener may be told to say no as Triton does. */
#include "proto/oip_int.h"

/* Whether all is said: Triton's "no" has no body. */
static bool say_status(const struct tern_call *call, struct tern_buf **ret_out)
{
    struct tern_exchange *x = call->x;
    bool bare = !call->yes && x->listener != NULL && x->listener->triton_status;

    *ret_out = tern_oip_begin_json(x, call->yes ? 200 : bare ? 400 : 503);
    if (bare)
        x->response_type = TERN_STR("");
    return bare;
}

enum tern_code tern_oip_encode_live(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out;

    if (say_status(call, &out))
        return TERN_OK;
    if (call->yes)
        TERN_BUF_ADD_LITERAL(out, "{\"live\":true}");
    else
        TERN_BUF_ADD_LITERAL(out, "{\"live\":false,\"error\":\"the server is not live\"}");
    return tern_buf_check(out, "the response", err);
}

enum tern_code tern_oip_encode_ready(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out;

    if (say_status(call, &out))
        return TERN_OK;
    if (call->yes)
        TERN_BUF_ADD_LITERAL(out, "{\"ready\":true}");
    else
        TERN_BUF_ADD_LITERAL(out, "{\"ready\":false,\"error\":\"the server is not ready\"}");
    return tern_buf_check(out, "the response", err);
}

enum tern_code tern_oip_encode_model_ready(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out;

    if (say_status(call, &out))
        return TERN_OK;
    TERN_BUF_ADD_LITERAL(out, "{\"name\":");
    tern_json_add_string(out, call->model);
    if (call->yes) {
        TERN_BUF_ADD_LITERAL(out, ",\"ready\":true}");
    } else {
        struct tern_str text =
            tern_arena_printf(call->arena, "model '%.*s' is not ready", TERN_STR_ARG(call->model));
        TERN_BUF_ADD_LITERAL(out, ",\"ready\":false,\"error\":");
        tern_json_add_string(out, text);
        tern_buf_add_char(out, '}');
    }
    return tern_buf_check(out, "the response", err);
}
