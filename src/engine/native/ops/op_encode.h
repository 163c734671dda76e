/* Categories as numbers, as scikit-learn's encoders have them: each column has a list of its own.
 */
#ifndef TERN_ENGINE_NATIVE_OP_ENCODE_H
#define TERN_ENGINE_NATIVE_OP_ENCODE_H

#include "engine/native/ops/op_keys.h"
#include "engine/native/program.h"

#define TERN_OP_ENCODE_NONE UINT32_MAX

struct tern_op_encode_column {
    struct tern_op_keys keys; /* FP64 or BYTES, all columns the same */
    /* Of each key: which output of the column is 1, or NONE; in an ordinal encoder its number. */
    const double *numbers;
    const uint32_t *places;
    uint32_t width; /* outputs; 1 in an ordinal encoder */
};

struct tern_op_encode {
    struct tern_op_encode_column *columns; /* borrowed: arena */
    uint32_t n;
    bool is_ordinal; /* else one output a category, of which one is 1 */
    bool refuses;    /* a category that is not known is INVALID_ARGUMENT */
    double unknown;  /* else it is this in an ordinal encoder, and zeros in the other */
};

/* [n, columns] of the keys' datatype -> [n, outputs of all columns] of FP64. */
enum tern_code tern_op_encode(struct tern_program *program, const struct tern_op_encode *encode,
                              uint32_t *value, struct tern_err *err);

#endif
