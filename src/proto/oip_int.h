/* What the files of the Open Inference Protocol share. */
#ifndef TERN_PROTO_OIP_INT_H
#define TERN_PROTO_OIP_INT_H

#include "core/proto.h"
#include "proto/oip.h"
#include "proto/oip_tensor.h"
#include "wire/json.h"

/* oip.c */
/* Empties the body of x and sets what a JSON answer needs. */
struct tern_buf *tern_oip_begin_json(struct tern_exchange *x, int status);
/* {"error": "..."} */
void tern_oip_encode_error(struct tern_exchange *x, const struct tern_err *err);
/* Refuses multipart bodies; every other type is read as JSON (or JSON and binary), as Triton does.
 * It is no defence against cross-site requests: control operations rely on their listener for that.
 */
enum tern_code tern_oip_check_content_type(const struct tern_exchange *x, struct tern_err *err);

/* A reader of the call's body under its listener's limits. */
void tern_oip_json_init(struct tern_json *json, const struct tern_call *call, struct tern_str text);

/* A body that is one object, whose members `read` takes or skips; *seen is for tern_json_once, 0 at
 * the start. */
enum tern_code tern_oip_read_object(struct tern_call *call, struct tern_str body,
                                    enum tern_code (*read)(struct tern_call *call,
                                                           struct tern_json *json,
                                                           struct tern_str key, uint32_t *seen,
                                                           struct tern_err *err),
                                    uint32_t *seen, struct tern_err *err);

/* oip_health.c: {"live":..}, {"ready":..}, with 503 when the answer is no */
enum tern_code tern_oip_encode_live(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_ready(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_model_ready(struct tern_call *call, struct tern_err *err);

/* oip_metadata.c */
/* An extension is listed when all of it works, in the order Triton lists them; NULL ends. */
extern const char *const tern_oip_extensions[];
struct tern_str tern_oip_server_name(const struct tern_call *call);
/* The versions that a model's metadata lists: the one that was asked for, else all that are served.
 */
uint32_t tern_oip_versions(const struct tern_call *call, const int64_t **ret_versions);
enum tern_code tern_oip_encode_server_metadata(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_model_metadata(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_model_config(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_model_list(struct tern_call *call, struct tern_err *err);

/* oip_repository.c */
enum tern_code tern_oip_decode_index(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_index(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_decode_control(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_load(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_unload(struct tern_call *call, struct tern_err *err);

/* oip_stats.c, oip_settings.c */
enum tern_code tern_oip_encode_statistics(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_schedule(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_decode_log_settings(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_decode_trace_settings(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_settings(struct tern_call *call, struct tern_err *err);

/* oip_shm.c: the region of call->name; without a name, all of them */
enum tern_code tern_oip_decode_system_region(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_decode_cuda_region(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_decode_system_register(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_decode_cuda_register(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_regions(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_region_done(struct tern_call *call, struct tern_err *err);

/* oip_decode.c, oip_encode.c */
/* The first tensor stands behind the JSON. */
void tern_oip_plan_body(const struct tern_exchange *x, struct tern_body_plan *plan);
enum tern_code tern_oip_decode_infer(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_infer(struct tern_call *call, struct tern_err *err);

/* oip_explain.c: the same request with "background", tensors as "inputs" has them. */
enum tern_code tern_oip_decode_explain(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_explain(struct tern_call *call, struct tern_err *err);

/* oip_generate.c */
enum tern_code tern_oip_decode_generate(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_generate(struct tern_call *call, struct tern_err *err);
/* The same answer, and an error, as one of many. */
enum tern_code tern_oip_encode_event(struct tern_call *call, struct tern_err *err);
enum tern_code tern_oip_encode_error_event(struct tern_call *call, const struct tern_err *error,
                                           struct tern_err *err);

/* oip_params.c */
/* Reads the value of key into *ret. INVALID_ARGUMENT for null, arrays and objects. */
enum tern_code tern_oip_read_param(struct tern_json *json, struct tern_str key,
                                   struct tern_param *ret, struct tern_err *err);
/* What the parameters of one input or output mean, for JSON and for gRPC: those that mean nothing
 * are passed over. */
enum tern_code tern_oip_take_input_param(struct tern_arena *arena, struct tern_tensor *tensor,
                                         const struct tern_param *param, struct tern_err *err);
enum tern_code tern_oip_take_output_param(struct tern_arena *arena,
                                          struct tern_requested_output *output,
                                          const struct tern_param *param, struct tern_err *err);
/* After the last parameter: a region that was named has a size, and none has a size without a name.
 * `what` is "input" or "output". NULL is fine. */
enum tern_code tern_oip_check_region(const char *what, struct tern_str name,
                                     const struct tern_region_ref *ref, struct tern_err *err);
/* After the last parameter of an output that will be the next of the request: it has a name that no
 * other has, and its parameters go together: what is written to a region is the values, and not in
 * the answer. */
enum tern_code tern_oip_check_output(const struct tern_infer_request *request,
                                     const struct tern_requested_output *output,
                                     struct tern_err *err);
/* "FP32"; an error names those that exist. */
enum tern_code tern_oip_parse_datatype(struct tern_str name, enum tern_dtype *ret,
                                       struct tern_err *err);
/* "key": value */
void tern_oip_write_param(struct tern_buf *buf, const struct tern_param *param);
/* {"key": value, ...} */
void tern_oip_write_params(struct tern_buf *buf, const struct tern_params *params);

#endif
