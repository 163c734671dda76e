/* Inputs that the server makes from the batch: Triton's batch_input (model_config.proto, and
 * BackendInputCollector of its backend library, which says what the proto leaves open). The counts
 * are of whole requests, whatever rows these have; the shapes are one for each row.
 *
 * For requests whose source inputs have the shapes [2,3], [1,4]:
 *
 *     ELEMENT_COUNT                        [2]    6 4
 *     ACCUMULATED_ELEMENT_COUNT            [2]    6 10
 *     ACCUMULATED_ELEMENT_COUNT_WITH_ZERO  [3]    0 6 10
 *     MAX_ELEMENT_COUNT_AS_SHAPE           [6]    zeros
 *     ITEM_SHAPE                           [3,1]  3 3 4
 *     ITEM_SHAPE_FLATTEN                   [3]    3 3 4 */
#ifndef TERN_REGISTRY_BATCH_INPUT_H
#define TERN_REGISTRY_BATCH_INPUT_H

#include "base/arena.h"
#include "base/err.h"
#include "registry/scheduling.h"

/* `shapes` are those of the source input, one for each of the n >= 1 requests, of one rank of at
 * least 1. The tensor gets name, dtype, shape and bytes of the arena. INVALID_ARGUMENT: a number is
 * too large for INT32; RESOURCE_EXHAUSTED. Any thread. */
enum tern_code tern_batch_input_make(const struct tern_batch_input *input, struct tern_str name,
                                     const struct tern_shape *const *shapes, uint32_t n,
                                     struct tern_arena *arena, struct tern_tensor *ret_tensor,
                                     struct tern_err *err);

#endif
