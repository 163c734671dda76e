/* Rows to compare with: checked as a request's inputs are, and the file that a model may bring. */
#ifndef TERN_EXPLAIN_BACKGROUND_H
#define TERN_EXPLAIN_BACKGROUND_H

#include "base/arena.h"
#include "core/model.h"

#define TERN_BACKGROUND_BYTES_MAX ((size_t)256 << 20)

/* As tern_inputs_check (core/inputs.h), whatever the largest batch of the model is. */
enum tern_code tern_background_check(const struct tern_model_info *info,
                                     const struct tern_tensor *tensors, const uint32_t *spec_of,
                                     uint32_t n, struct tern_err *err);
/* An NPY file, for a model with one input of numbers: rows of its features, of any number
 * type whose values fit the model's. Blocks. */
enum tern_code tern_background_read(const char *path, const struct tern_model_info *info,
                                    struct tern_arena *arena, struct tern_tensor **ret_tensors,
                                    uint32_t *ret_n, struct tern_err *err);

#endif
