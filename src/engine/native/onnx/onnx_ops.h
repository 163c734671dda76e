/* The operators of ONNX that run natively: one table, and the functions that make steps of them.
 *
 * A row holds for the versions of its domain's opset from `since` to `until`; within them prepare
 * looks at node->version where the operator changed. An operator family is a file op_<family>.c:
 * what runs, and its prepare at the end. */
#ifndef TERN_ENGINE_NATIVE_ONNX_OPS_H
#define TERN_ENGINE_NATIVE_ONNX_OPS_H

#include "engine/native/onnx/onnx_node.h"

struct tern_onnx_op {
    const char *domain; /* "" or "ai.onnx.ml" */
    const char *op_type;
    uint32_t since, until;
    enum tern_code (*prepare)(struct tern_onnx_node *node, struct tern_err *err);
};

extern const struct tern_onnx_op tern_onnx_ops[];
extern const uint32_t tern_onnx_ops_count;

/* UNIMPLEMENTED: "operator Conv is not run natively". */
enum tern_code tern_onnx_ops_find(const struct tern_onnx_node *node,
                                  const struct tern_onnx_op **ret_op, struct tern_err *err);

/* ---- prepare functions, by family ---- */

enum tern_code tern_op_map_prepare(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_map_clip(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_pair_prepare(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_pair_fold(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_dense_gemm(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_dense_matmul(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_softmax_prepare(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_batchnorm_prepare(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_reduce_prepare(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_reduce_arg(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_form_identity(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_form_dropout(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_form_constant(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_form_fill(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_form_shape(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_form_reshape(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_form_flatten(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_form_squeeze(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_form_unsqueeze(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_move_concat(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_move_split(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_move_slice(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_move_transpose(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_gather_prepare(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_gather_features(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_where_prepare(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_where_expand(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_convert_prepare(struct tern_onnx_node *node, struct tern_err *err);

enum tern_code tern_op_scale_scaler(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_scale_imputer(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_scale_normalizer(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_scale_binarizer(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_scale_vectorizer(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_label_onehot(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_label_encoder(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_label_mapper(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_classes_zipmap(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_lines_classifier(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_lines_regressor(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_svm_classifier(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_op_svm_regressor(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_onnx_trees_classifier(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_onnx_trees_regressor(struct tern_onnx_node *node, struct tern_err *err);
enum tern_code tern_onnx_trees_ensemble(struct tern_onnx_node *node, struct tern_err *err);

#endif
