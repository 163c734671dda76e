/* ModelStreamInfer: what one message of its answer is. Triton's (and any other's, for nobody else
 * defines one) says for each request either what it came to or what went wrong; MLServer's is the
 * plain answer, so an error ends the stream. */
#include "proto/oip_grpc_int.h"

enum { ERROR_MESSAGE = 1, INFER_RESPONSE = 2 };

static bool is_plain(const struct tern_call *call)
{
    return tern_oip_grpc_form(call) == TERN_GRPC_FORM_MLSERVER;
}

enum tern_code tern_oip_grpc_encode_stream(struct tern_call *call, struct tern_err *err)
{
    struct tern_exchange *x = call->x;

    if (is_plain(call))
        return tern_oip_grpc_encode_infer(call, err);
    size_t mark = tern_pb_open(x->out, INFER_RESPONSE);
    TERN_TRY(tern_oip_grpc_encode_infer(call, err));
    tern_pb_close_before(x->out, mark, tern_exchange_slices_size(x));
    return tern_buf_check(x->out, "the response", err);
}

/* The answer that is none carries the id: clients tell by it which request failed. Who sent
 * triton_grpc_error wants a status instead, and the end of the stream with it. */
enum tern_code tern_oip_grpc_encode_stream_error(struct tern_call *call,
                                                 const struct tern_err *error, struct tern_err *err)
{
    struct tern_buf *out = call->x->out;
    struct tern_str asked = tern_exchange_header(call->x, TERN_STR("triton_grpc_error"));

    if (is_plain(call) || tern_str_eq(asked, TERN_STR("true")))
        return error->code;
    tern_pb_add_bytes(out, ERROR_MESSAGE, tern_str_of(error->text));
    size_t mark = tern_pb_open(out, INFER_RESPONSE);
    tern_pb_add_bytes_unless_empty(out, 3, call->request.id);
    tern_pb_close(out, mark);
    return tern_buf_check(out, "the response", err);
}
