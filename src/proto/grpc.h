/* What all gRPC services share: how a message stands in a body, how a call ends, and which requests
 * are refused before any message is read. gRPC over HTTP/2 (doc/PROTOCOL-HTTP2.md of
 * github.com/grpc/grpc) and gRPC-Web (doc/PROTOCOL-WEB.md), binary and text, over either HTTP.
 *
 * A service is a dialect whose rows are made by TERN_GRPC_ROUTE. Its decode reads call->message,
 * its encode appends one message to call->x->out and sets x->slices when tensors follow: status,
 * type, prefix and trailers are the framing's. It must not call tern_exchange_body. */
#ifndef TERN_PROTO_GRPC_H
#define TERN_PROTO_GRPC_H

#include "core/proto.h"

extern const struct tern_framing tern_grpc_framing;

/* A unary method. */
#define TERN_GRPC_ROUTE(pattern_, op_, decode_, encode_, help_)                                  \
    {                                                                                            \
        .method = TERN_METHOD_POST, .pattern = (pattern_), .op = TERN_OP_##op_,                  \
        .decode = (decode_), .encode = (encode_), .help = (help_), .framing = &tern_grpc_framing \
    }

/* A method that streams, as TERN_STREAM_##stream_ says. */
#define TERN_GRPC_STREAM(pattern_, op_, stream_, decode_, encode_, help_)       \
    {                                                                           \
        .method = TERN_METHOD_POST, .pattern = (pattern_), .op = TERN_OP_##op_, \
        .decode = (decode_), .encode = (encode_), .help = (help_),              \
        .stream = TERN_STREAM_##stream_, .framing = &tern_grpc_framing          \
    }

/* What all services say of themselves in their struct tern_proto. */
// clang-format off
#define TERN_GRPC_PROTO                                                                          \
    .is_grpc = true, .claims = tern_grpc_claims, .no_route = TERN_UNIMPLEMENTED,                 \
    .encode_error = tern_grpc_encode_error
// clang-format on

/* Whether the content type is one of gRPC's: for tern_proto.claims. */
bool tern_grpc_claims(const struct tern_exchange *x);

/* For tern_proto.encode_error: the call ends without a message (HTTP 200, the status among the
 * headers). A request that cannot be answered so, because it is no gRPC at all or came over
 * HTTP/1.1, gets the HTTP status and the text. */
void tern_grpc_encode_error(struct tern_exchange *x, const struct tern_err *err);

/* For tern_proto.plan_body: the prefix tells how long the body of a unary call is. *ret_message:
 * the part of its message that is there. */
void tern_grpc_plan_body(const struct tern_exchange *x, struct tern_body_plan *plan,
                         struct tern_str *ret_message);

/* Moves the call's deadline to what `grpc-timeout` says, when that is earlier. INVALID_ARGUMENT for
 * a malformed one. */
enum tern_code tern_grpc_read_deadline(struct tern_call *call, struct tern_err *err);

#endif
