/* Health: KServe's JSON bodies. "No" is 503, as KServe and every load balancer read it; Triton's
 * clients only look at whether it is 200. */
#include "proto/oip_int.h"

enum tern_code tern_oip_encode_live(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = tern_oip_begin_json(call->x, call->yes ? 200 : 503);

    if (call->yes)
        TERN_BUF_ADD_LITERAL(out, "{\"live\":true}");
    else
        TERN_BUF_ADD_LITERAL(out, "{\"live\":false,\"error\":\"the server is not live\"}");
    return tern_buf_check(out, "the response", err);
}

enum tern_code tern_oip_encode_ready(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = tern_oip_begin_json(call->x, call->yes ? 200 : 503);

    if (call->yes)
        TERN_BUF_ADD_LITERAL(out, "{\"ready\":true}");
    else
        TERN_BUF_ADD_LITERAL(out, "{\"ready\":false,\"error\":\"the server is not ready\"}");
    return tern_buf_check(out, "the response", err);
}

enum tern_code tern_oip_encode_model_ready(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = tern_oip_begin_json(call->x, call->yes ? 200 : 503);

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
