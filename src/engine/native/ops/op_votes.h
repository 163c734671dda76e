/* From the scores of trees to labels and probabilities, by the rules of ONNX Runtime, which has
 * several for two classes: see op_votes.c. */
#ifndef TERN_ENGINE_NATIVE_OP_VOTES_H
#define TERN_ENGINE_NATIVE_OP_VOTES_H

#include "engine/native/ops/op_classes.h"
#include "engine/native/ops/op_scores.h"

struct tern_op_votes {
    struct tern_op_classes classes;
    enum tern_scores transform;
    const double *base; /* n_base */
    size_t n_base;
    const bool *has_score; /* one a class: whether trees say something of it */
    bool is_binary;        /* two classes, and scores for one of them only */
    bool is_positive;      /* no weight is below zero */
};

/* value: [n, classes] of FP32 or FP64. Output 0 of the node are labels, output 1 scores as FP32.
 * What votes points to is copied. */
enum tern_code tern_op_votes_prepare(struct tern_onnx_node *node, const struct tern_op_votes *votes,
                                     uint32_t value, struct tern_err *err);
/* What a regressor does with [n, k] scores; the result has that datatype. */
enum tern_code tern_op_votes_transform(struct tern_program *program, enum tern_scores transform,
                                       size_t k, enum tern_dtype dtype, uint32_t *value,
                                       struct tern_err *err);

#endif
