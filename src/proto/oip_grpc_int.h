/* What the files of the Open Inference Protocol over gRPC share. Each encode appends the fields of
 * its answer to call->x->out; prefix and trailers are the framing's (proto/grpc.h). */
#ifndef TERN_PROTO_OIP_GRPC_INT_H
#define TERN_PROTO_OIP_GRPC_INT_H

#include "core/proto.h"
#include "proto/grpc.h"
#include "proto/oip_grpc.h"
#include "proto/oip_int.h"
#include "wire/pb.h"

/* oip_grpc.c */
/* A message whose fields are name = 1 and version = 2 of a model: ModelReadyRequest and its like.
 */
enum tern_code tern_oip_grpc_decode_model(struct tern_call *call, struct tern_err *err);
/* A version as the protocol writes it: digits, or empty for what the version policy decides. The
 * error names the model. */
enum tern_code tern_oip_grpc_read_version(struct tern_str text, struct tern_str model, int64_t *ret,
                                          struct tern_err *err);
/* The same, written. */
void tern_oip_grpc_add_version(struct tern_buf *out, uint32_t number, int64_t version);

#endif
