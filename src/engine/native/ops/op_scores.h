/* What ONNX-ML operators make of scores: their post_transform, computed as ONNX Runtime does. */
#ifndef TERN_ENGINE_NATIVE_OP_SCORES_H
#define TERN_ENGINE_NATIVE_OP_SCORES_H

#include <stddef.h>
#include "engine/native/onnx/onnx_node.h"

/* In the order in which TreeEnsemble numbers them. */
enum tern_scores {
    TERN_SCORES_NONE,
    TERN_SCORES_SOFTMAX,
    TERN_SCORES_LOGISTIC,
    TERN_SCORES_SOFTMAX_ZERO, /* zeros have no share */
    TERN_SCORES_PROBIT,
};
#define TERN_SCORES_COUNT 5

/* The attribute post_transform. */
enum tern_code tern_op_scores_read(struct tern_onnx_node *node, enum tern_scores *ret,
                                   struct tern_err *err);
float tern_op_scores_logistic(float x);
float tern_op_scores_probit(float x);
/* Two classes of one score, the second's: the first has what is left of 1, or the opposite. */
void tern_op_scores_pair(enum tern_scores transform, bool is_share, float score, float out[2]);
/* The n scores of a row, n > 1, in place. */
void tern_op_scores_f32(enum tern_scores transform, float *scores, size_t n);
void tern_op_scores_f64(enum tern_scores transform, double *scores, size_t n);

#endif
