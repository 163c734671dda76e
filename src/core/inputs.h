/* What a model demands of the inputs of one run, whoever they come from: a client's request or an
 * earlier step of an ensemble. The error texts that Triton's own tests look for are kept word for
 * word. All that fails is INVALID_ARGUMENT, but for memory. */
#ifndef TERN_CORE_INPUTS_H
#define TERN_CORE_INPUTS_H

#include "base/arena.h"
#include "base/err.h"
#include "core/model.h"
#include "core/tensor.h"

/* Finds each input's specification among info->inputs; none twice, none unknown, none missing. */
enum tern_code tern_inputs_match(const struct tern_model_info *info,
                                 const struct tern_tensor *inputs, uint32_t n,
                                 struct tern_arena *arena, uint32_t **ret_spec_of,
                                 struct tern_err *err);
/* Datatype, shape and size of each, and one batch size for all. */
enum tern_code tern_inputs_check(const struct tern_model_info *info,
                                 const struct tern_tensor *inputs, const uint32_t *spec_of,
                                 uint32_t n, struct tern_err *err);
/* How much work they are, in elements; at least 1. */
uint64_t tern_inputs_units(const struct tern_tensor *inputs, uint32_t n);
/* Rows of the batch; 1 for a model without one, UINT32_MAX for what is more than that. */
uint32_t tern_inputs_rows(const struct tern_model_info *info, const struct tern_tensor *inputs,
                          uint32_t n);

#endif
