/* Pipelines: which feature each column is made of that a forest or a linear model reads.
 *
 * Operators say of themselves what their elements have to do with their inputs (tern_reach). The
 * program is gone through once, at load, with the numbers of features in the place of values:
 * operators that move elements move those. Two rows are sent through, so that an operator that
 * mixes rows is found out.
 *
 * Attributions of a model's columns become those of the features: a feature that is known gives all
 * of its columns, however many it became on the way (one-hot), and the values are exact. */
#ifndef TERN_ENGINE_NATIVE_ORIGINS_H
#define TERN_ENGINE_NATIVE_ORIGINS_H

#include "engine/native/program.h"

#define TERN_ORIGIN_NONE UINT32_MAX

struct tern_origins {
    const struct tern_step *model; /* a forest or a linear model, which all outputs come from */
    const bool *steps;             /* one a step: it is one of those before the model */
    uint32_t
        *features; /* one a column that the model reads: made of this feature of a row (elements
                      of all inputs, in their order) alone, or of NONE: it is constant */
    uint32_t n_columns;
    uint32_t n_features;
};

/* Of a finished program; *ret is NULL when there is no such model: outputs come from several ones,
 * or from the features past it, or a column is made of several features. */
enum tern_code tern_origins_find(const struct tern_program *program, struct tern_arena *arena,
                                 const struct tern_origins **ret, struct tern_err *err);

#endif
