/* The calls of inference.GRPCInferenceService that change or describe the server: what decode and
 * encode of their rows are. Numbers are those of api/grpc_service.proto. */
#ifndef TERN_PROTO_OIP_GRPC_ADMIN_H
#define TERN_PROTO_OIP_GRPC_ADMIN_H

#include "proto/oip_grpc_int.h"

/* oip_grpc_map.c: what their messages have in common */
/* An entry of a map from texts to messages (or texts): key = 1, value = 2. */
enum tern_code tern_oip_grpc_read_entry(struct tern_str entry, const char *what,
                                        struct tern_str *ret_key, struct tern_str *ret_value,
                                        struct tern_err *err);
/* An answer without fields. */
enum tern_code tern_oip_grpc_encode_empty(struct tern_call *call, struct tern_err *err);

/* oip_grpc_repository.c */
enum tern_code tern_oip_grpc_encode_config(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_grpc_decode_index(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_grpc_encode_index(struct tern_call *call, struct tern_err *err);
/* In the layout of Triton and MLServer; and in the one of the listener, as the answer is. */
enum tern_code tern_oip_grpc_decode_load(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_grpc_decode_control(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_grpc_encode_control(struct tern_call *call, struct tern_err *err);

/* oip_grpc_statistics.c */
enum tern_code tern_oip_grpc_encode_statistics(struct tern_call *call, struct tern_err *err);

/* oip_grpc_shm.c */
enum tern_code tern_oip_grpc_decode_system_region(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_grpc_decode_system_register(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_grpc_decode_cuda_region(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_grpc_decode_cuda_register(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_grpc_encode_regions(struct tern_call *call, struct tern_err *err);

/* oip_grpc_settings.c: an update, or with no settings a look at them */
enum tern_code tern_oip_grpc_decode_trace(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_grpc_encode_trace(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_grpc_decode_log(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_grpc_encode_log(struct tern_call *call, struct tern_err *err);

#endif
