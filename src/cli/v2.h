/* The Open Inference Protocol as a client speaks it: lists of tensors, requests, answers, metadata.
 * Whatever is read lies in the arena of the JSON reader, strings partly in its text. */
#ifndef TERN_CLI_V2_H
#define TERN_CLI_V2_H

#include "base/buf.h"
#include "core/model.h"
#include "wire/json.h"

struct tern_v2_tensors {
    struct tern_tensor *rows;
    uint32_t n;
};

struct tern_v2_answer {
    struct tern_str model;
    struct tern_str version;
    struct tern_v2_tensors outputs;
};

/* [{"name", "datatype", "shape", "data"}, ...], members in any order, others passed over. */
enum tern_code tern_v2_read_tensors(struct tern_json *json, struct tern_v2_tensors *ret,
                                    struct tern_err *err);
/* The answer to an infer request. */
enum tern_code tern_v2_read_answer(struct tern_json *json, struct tern_v2_answer *ret,
                                   struct tern_err *err);
/* A model's metadata: name, inputs, outputs and the highest of its versions. */
enum tern_code tern_v2_read_metadata(struct tern_json *json, struct tern_model_info *ret,
                                     struct tern_err *err);
/* The number that the object has under key, 0 when it has none; other members are passed over. */
enum tern_code tern_v2_read_number(struct tern_json *json, struct tern_str key, int64_t *ret,
                                   struct tern_err *err);
/* {"error": text}, or the start of whatever came instead. */
struct tern_str tern_v2_error_text(struct tern_str body, struct tern_arena *arena);

/* "inputs" or "outputs" with their brackets. */
enum tern_code tern_v2_write_tensors(struct tern_buf *out, const struct tern_tensor *tensors,
                                     uint32_t n, struct tern_err *err);
enum tern_code tern_v2_write_answer(struct tern_buf *out, const struct tern_v2_answer *answer,
                                    struct tern_err *err);

#endif
