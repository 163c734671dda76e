/* Dense layers of ONNX graphs: Gemm and MatMul by constant weights, and what follows them. */
#ifndef TERN_ENGINE_NATIVE_OP_DENSE_H
#define TERN_ENGINE_NATIVE_OP_DENSE_H

#include "engine/native/onnx/onnx_node.h"
#include "engine/native/state.h"
#include "simd/dense.h"

/* Packs weights (m features of k outputs, steps as tern_dense_pack has them) into the program's
 * arena; bias: k numbers, or NULL. */
enum tern_code tern_op_dense_make(struct tern_arena *arena, const float *weights,
                                  size_t feature_step, size_t output_step, size_t n_features,
                                  size_t n_outputs, const float *bias, struct tern_dense **ret,
                                  struct tern_err *err);
/* For states that have such a layer: `pointer` is the address of the pointer to it. */
void tern_op_dense_points(struct tern_dense *const *pointer, struct tern_state *to);
/* The node that adds a constant row to a dense layer, or rectifies it, becomes part of that layer:
 * true, and its output is bound. */
bool tern_op_dense_takes_bias(struct tern_onnx_node *node);
bool tern_op_dense_takes_relu(struct tern_onnx_node *node);

#endif
