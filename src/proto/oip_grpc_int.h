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

/* oip_grpc_map.c: whose layouts the listener of the call speaks */
enum tern_grpc_form tern_oip_grpc_form(const struct tern_call *call);

/* oip_grpc_decode.c, oip_grpc_encode.c */
/* The first raw tensor begins a cache line, as far as the first bytes tell where it is. */
void tern_oip_grpc_plan_body(const struct tern_exchange *x, struct tern_body_plan *plan);
enum tern_code tern_oip_grpc_decode_infer(struct tern_call *call, struct tern_err *err);
/* Fields of a ModelInferResponse, which ModelStreamInfer's answer contains as a sub-message: with
 * slices, they are the end of the message. */
enum tern_code tern_oip_grpc_encode_infer(struct tern_call *call, struct tern_err *err);
/* oip_grpc_stream.c: a message of ModelStreamInfer's answer, in the form of the listener */
enum tern_code tern_oip_grpc_encode_stream(struct tern_call *call, struct tern_err *err);
/* The same for a request that failed. Not OK: the error ends the stream. */
enum tern_code tern_oip_grpc_encode_stream_error(struct tern_call *call,
                                                 const struct tern_err *error,
                                                 struct tern_err *err);
/* An entry of map<string, InferParameter>. */
enum tern_code tern_oip_grpc_read_param(const struct tern_pb_field *entry, struct tern_param *ret,
                                        struct tern_err *err);
void tern_oip_grpc_add_param(struct tern_buf *out, uint32_t number, const struct tern_param *param);
void tern_oip_grpc_add_shape(struct tern_buf *out, uint32_t number, const struct tern_shape *shape);

/* oip_grpc_contents.c */
/* Sets data and n_bytes of a tensor whose name, datatype and shape are known, from its
 * InferTensorContents. */
enum tern_code tern_oip_grpc_read_contents(struct tern_arena *arena, struct tern_str contents,
                                           struct tern_tensor *tensor, struct tern_err *err);
/* Whether there is a field for this datatype. */
bool tern_oip_grpc_has_contents(enum tern_dtype dtype);
enum tern_code tern_oip_grpc_write_contents(struct tern_buf *out, uint32_t number,
                                            const struct tern_tensor *tensor, struct tern_err *err);

#endif
