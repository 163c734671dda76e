#include "proto/sse.h"

#include "wire/json.h"

static struct tern_buf *start(struct tern_exchange *x)
{
    x->status = 200;
    x->response_type = TERN_STR("text/event-stream; charset=utf-8");
    return tern_exchange_body(x);
}

static void begin(struct tern_call *call)
{
    struct tern_buf *out = start(call->x);

    TERN_BUF_ADD_LITERAL(out, "data: ");
}

static enum tern_code finish(struct tern_call *call, struct tern_err *err)
{
    TERN_BUF_ADD_LITERAL(call->x->out, "\n\n");
    return tern_buf_check(call->x->out, "the event", err);
}

static void end(struct tern_exchange *x, const struct tern_err *err, bool head_sent)
{
    if (!head_sent)
        start(x);
    if (err == NULL)
        return;
    TERN_BUF_ADD_LITERAL(x->out, "data: {\"error\":");
    tern_json_add_string(x->out, tern_str_of(err->text));
    TERN_BUF_ADD_LITERAL(x->out, "}\n\n");
}

const struct tern_framing tern_sse_framing = {
    .begin = begin,
    .finish = finish,
    .end = end,
};
