/* Rows of input to try a model with: made up, or those of a warm-up sample. On a load thread;
 * everything lies in the arena. */
#ifndef TERN_REGISTRY_TRIAL_ROWS_H
#define TERN_REGISTRY_TRIAL_ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "core/tensor.h"

/* The same rows of every input. */
struct tern_trial_rows {
    struct tern_tensor *inputs; /* all rows, one after another */
    uint32_t *input_spec;       /* index among the model's inputs */
    uint32_t n_inputs;
    uint32_t n_rows;
    size_t **starts; /* of each input, each row and the end, in bytes */
};

/* What made-up values are like. The values of one seed are the same everywhere. */
struct tern_trial_values {
    uint64_t seed;
    int64_t inner;  /* dimensions that are free, behind the first */
    uint32_t below; /* whole numbers are less than this: they may be indices */
    bool negative;  /* real numbers of both signs; otherwise they are positive */
    bool optional;  /* optional inputs too */
};

/* RESOURCE_EXHAUSTED: larger than the arena. */
enum tern_code tern_trial_rows_make(const struct tern_tensor_spec *specs, uint32_t n_specs,
                                    const struct tern_trial_values *values, uint32_t n_rows,
                                    struct tern_arena *arena, struct tern_trial_rows *ret_rows,
                                    struct tern_err *err);
/* Finds the rows of inputs that exist; inputs, input_spec and n_inputs are set. INVALID_ARGUMENT:
 * they do not have the same number of rows, or none. */
enum tern_code tern_trial_rows_index(struct tern_trial_rows *rows, struct tern_arena *arena,
                                     struct tern_err *err);
/* Inputs of `n` rows, which may repeat: copies. */
enum tern_code tern_trial_rows_pick(const struct tern_trial_rows *rows, const uint32_t *picks,
                                    uint32_t n, struct tern_arena *arena,
                                    struct tern_tensor **ret_inputs, struct tern_err *err);

#endif
