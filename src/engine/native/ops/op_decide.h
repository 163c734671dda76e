/* From scores to decisions as scikit-learn makes them: labels, and shares of one. Rows of FP64. */
#ifndef TERN_ENGINE_NATIVE_OP_DECIDE_H
#define TERN_ENGINE_NATIVE_OP_DECIDE_H

#include "engine/native/ops/op_classes.h"

struct tern_op_decide {
    struct tern_op_classes classes; /* arrays are borrowed: arena or static */
    /* Of one score a row: above this it is the second of two classes, else the first. */
    double threshold;
    bool is_at_least; /* the threshold itself is the second's, too */
};

/* [n, classes], the first of the largest, or [n, 1] -> [n] of the classes' datatype. */
enum tern_code tern_op_decide_label(struct tern_program *program,
                                    const struct tern_op_decide *decide, uint32_t *value,
                                    struct tern_err *err);
/* [n, 1], the share of the second class -> [n, 2]. */
enum tern_code tern_op_decide_pair(struct tern_program *program, uint32_t *value,
                                   struct tern_err *err);
/* [n, k] -> the same, each row divided by its sum; of a row of zeros all have the same share. */
enum tern_code tern_op_decide_shares(struct tern_program *program, uint32_t *value,
                                     struct tern_err *err);

#endif
