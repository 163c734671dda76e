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
/* The answer to an infer request; `raw` is what follows its JSON: tensors that say
 * binary_data_size take their bytes from there, in order. */
enum tern_code tern_v2_read_answer(struct tern_json *json, struct tern_str raw,
                                   struct tern_v2_answer *ret, struct tern_err *err);
/* A model's metadata: name, inputs, outputs and the highest of its versions. */
enum tern_code tern_v2_read_metadata(struct tern_json *json, struct tern_model_info *ret,
                                     struct tern_err *err);
/* The number that the object has under key; *ret stays when it has none. Other members are passed
 * over. */
enum tern_code tern_v2_read_number(struct tern_json *json, struct tern_str key, int64_t *ret,
                                   struct tern_err *err);
/* {"error": text}, or the start of whatever came instead. */
struct tern_str tern_v2_error_text(struct tern_str body, struct tern_arena *arena);

/* Appends {"inputs": [...]}; with `binary` the JSON and then the raw tensors, which are asked for
 * in the answer too. *ret_json_n: the length of the JSON. */
enum tern_code tern_v2_write_request(struct tern_buf *out, const struct tern_v2_tensors *inputs,
                                     bool binary, size_t *ret_json_n, struct tern_err *err);
enum tern_code tern_v2_write_answer(struct tern_buf *out, const struct tern_v2_answer *answer,
                                    struct tern_err *err);

/* Whether the inputs can be sent in parts: each has `rows` rows, and the model takes any number. */
bool tern_v2_can_cut(const struct tern_v2_tensors *tensors, const struct tern_model_info *model,
                     size_t rows);
/* Rows [from, from + n) of each tensor, which must have them; the bytes stay where they are. */
enum tern_code tern_v2_cut(const struct tern_v2_tensors *tensors, size_t from, size_t n,
                           struct tern_arena *arena, struct tern_v2_tensors *ret,
                           struct tern_err *err);

#endif
