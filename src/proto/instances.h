/* Rows as lists of JSON values, {"instances": [...]}: what KServe's V1, Vertex AI and their kin
 * take and give. An instance is the row of a model's only input (a number or a text, or arrays of
 * them), or an object with a member for each input, or for each feature of the only input, where
 * the model's file names them. Texts may be {"b64": "..."}. */
#ifndef TERN_PROTO_INSTANCES_H
#define TERN_PROTO_INSTANCES_H

#include "core/proto.h"
#include "wire/json.h"

/* The whole body: "instances" (or "inputs", which is the same here) to call->request.inputs, and
 * "parameters" to its params. Other members are passed over. Where the call explains, the parameter
 * "background" may be a list of instances, too. call->info is known. */
enum tern_code tern_instances_decode(struct tern_call *call, struct tern_err *err);

/* [row, ...]: of one output the bare values, of several an object each. FAILED_PRECONDITION when
 * the outputs have not the same rows. */
enum tern_code tern_instances_write(struct tern_buf *out, const struct tern_tensor *outputs,
                                    uint32_t n, struct tern_err *err);
/* Row `row` of an array of doubles whose rows have these dimensions; nested. */
void tern_instances_write_numbers(struct tern_buf *out, const double *numbers, uint32_t row,
                                  const size_t *dim, int rank);

#endif
