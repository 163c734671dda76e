/* Shared by the files of gRPC's framing. */
#ifndef TERN_PROTO_GRPC_INT_H
#define TERN_PROTO_GRPC_INT_H

#include "proto/grpc.h"
#include "wire/encoding.h"

#define GRPC_ACCEPTED_ENCODINGS "identity, gzip, deflate"

enum grpc_form {
    GRPC_FORM_NONE,     /* no content type of gRPC's */
    GRPC_FORM_HTTP2,    /* application/grpc */
    GRPC_FORM_WEB,      /* application/grpc-web */
    GRPC_FORM_WEB_TEXT, /* application/grpc-web-text */
};

/* How a request speaks, by its content type. */
struct grpc_kind {
    enum grpc_form form;
    bool is_proto;               /* messages are protocol buffers */
    struct tern_str answer_type; /* static: the same type, without parameters */
};

struct grpc_kind grpc_kind_of(const struct tern_exchange *x);
/* identity, gzip or deflate; false for any other name. Empty is identity. */
bool grpc_encoding_from(struct tern_str name, enum tern_encoding *ret);

/* grpc_answer.c: the other three of tern_grpc_framing. */
void grpc_begin(struct tern_call *call);
enum tern_code grpc_finish(struct tern_call *call, struct tern_err *err);
void grpc_end(struct tern_exchange *x, const struct tern_err *err, bool head_sent);

#endif
