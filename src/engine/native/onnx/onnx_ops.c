#include "engine/native/onnx/onnx_ops.h"

/* The newest opsets whose operators were looked at. */
#define NN 28
#define ML 5

const struct tern_onnx_op tern_onnx_ops[] = {
    {"", "Abs", 6, NN, tern_op_map_prepare},
    {"", "Add", 7, NN, tern_op_pair_prepare},
    {"", "And", 7, NN, tern_op_pair_prepare},
    {"", "ArgMax", 1, NN, tern_op_reduce_arg},
    {"", "ArgMin", 1, NN, tern_op_reduce_arg},
    {"", "BatchNormalization", 7, NN, tern_op_batchnorm_prepare},
    {"", "Cast", 6, NN, tern_op_convert_prepare},
    {"", "CastLike", 15, NN, tern_op_convert_prepare},
    {"", "Ceil", 6, NN, tern_op_map_prepare},
    {"", "Clip", 6, NN, tern_op_map_clip},
    {"", "Concat", 4, NN, tern_op_move_concat},
    {"", "Constant", 1, NN, tern_op_form_constant},
    {"", "ConstantOfShape", 9, NN, tern_op_form_fill},
    {"", "Div", 7, NN, tern_op_pair_prepare},
    {"", "Dropout", 7, NN, tern_op_form_dropout},
    {"", "Elu", 6, NN, tern_op_map_prepare},
    {"", "Equal", 7, NN, tern_op_pair_prepare},
    {"", "Erf", 9, NN, tern_op_map_prepare},
    {"", "Exp", 6, NN, tern_op_map_prepare},
    {"", "Expand", 8, NN, tern_op_where_expand},
    {"", "Flatten", 1, NN, tern_op_form_flatten},
    {"", "Floor", 6, NN, tern_op_map_prepare},
    {"", "Gather", 1, NN, tern_op_gather_prepare},
    {"", "Gemm", 7, NN, tern_op_dense_gemm},
    {"", "Greater", 7, NN, tern_op_pair_prepare},
    {"", "GreaterOrEqual", 12, NN, tern_op_pair_prepare},
    {"", "HardSigmoid", 6, NN, tern_op_map_prepare},
    {"", "Identity", 1, NN, tern_op_form_identity},
    {"", "LeakyRelu", 6, NN, tern_op_map_prepare},
    {"", "Less", 7, NN, tern_op_pair_prepare},
    {"", "LessOrEqual", 12, NN, tern_op_pair_prepare},
    {"", "Log", 6, NN, tern_op_map_prepare},
    {"", "LogSoftmax", 1, NN, tern_op_softmax_prepare},
    {"", "MatMul", 1, NN, tern_op_dense_matmul},
    {"", "Max", 8, NN, tern_op_pair_fold},
    {"", "Min", 8, NN, tern_op_pair_fold},
    {"", "Mul", 7, NN, tern_op_pair_prepare},
    {"", "Neg", 6, NN, tern_op_map_prepare},
    {"", "Not", 1, NN, tern_op_map_prepare},
    {"", "Or", 7, NN, tern_op_pair_prepare},
    {"", "PRelu", 9, NN, tern_op_pair_prepare},
    {"", "Pow", 7, NN, tern_op_pair_prepare},
    {"", "Reciprocal", 6, NN, tern_op_map_prepare},
    {"", "ReduceL1", 1, NN, tern_op_reduce_prepare},
    {"", "ReduceL2", 1, NN, tern_op_reduce_prepare},
    {"", "ReduceLogSum", 1, NN, tern_op_reduce_prepare},
    {"", "ReduceLogSumExp", 1, NN, tern_op_reduce_prepare},
    {"", "ReduceMax", 1, NN, tern_op_reduce_prepare},
    {"", "ReduceMean", 1, NN, tern_op_reduce_prepare},
    {"", "ReduceMin", 1, NN, tern_op_reduce_prepare},
    {"", "ReduceProd", 1, NN, tern_op_reduce_prepare},
    {"", "ReduceSum", 1, NN, tern_op_reduce_prepare},
    {"", "ReduceSumSquare", 1, NN, tern_op_reduce_prepare},
    {"", "Relu", 6, NN, tern_op_map_prepare},
    {"", "Reshape", 5, NN, tern_op_form_reshape},
    {"", "Round", 11, NN, tern_op_map_prepare},
    {"", "Selu", 6, NN, tern_op_map_prepare},
    {"", "Shape", 1, NN, tern_op_form_shape},
    {"", "Sigmoid", 6, NN, tern_op_map_prepare},
    {"", "Sign", 9, NN, tern_op_map_prepare},
    {"", "Slice", 1, NN, tern_op_move_slice},
    {"", "Softmax", 1, NN, tern_op_softmax_prepare},
    {"", "Softplus", 1, NN, tern_op_map_prepare},
    {"", "Softsign", 1, NN, tern_op_map_prepare},
    {"", "Split", 2, NN, tern_op_move_split},
    {"", "Sqrt", 6, NN, tern_op_map_prepare},
    {"", "Squeeze", 1, NN, tern_op_form_squeeze},
    {"", "Sub", 7, NN, tern_op_pair_prepare},
    {"", "Sum", 8, NN, tern_op_pair_fold},
    {"", "Tanh", 6, NN, tern_op_map_prepare},
    {"", "Transpose", 1, NN, tern_op_move_transpose},
    {"", "Unsqueeze", 1, NN, tern_op_form_unsqueeze},
    {"", "Where", 9, NN, tern_op_where_prepare},
    {"", "Xor", 7, NN, tern_op_pair_prepare},
    {"ai.onnx.ml", "ArrayFeatureExtractor", 1, ML, tern_op_gather_features},
    {"ai.onnx.ml", "Binarizer", 1, ML, tern_op_scale_binarizer},
    {"ai.onnx.ml", "CategoryMapper", 1, ML, tern_op_label_mapper},
    {"ai.onnx.ml", "FeatureVectorizer", 1, ML, tern_op_scale_vectorizer},
    {"ai.onnx.ml", "Imputer", 1, ML, tern_op_scale_imputer},
    {"ai.onnx.ml", "LabelEncoder", 1, ML, tern_op_label_encoder},
    {"ai.onnx.ml", "LinearClassifier", 1, ML, tern_op_lines_classifier},
    {"ai.onnx.ml", "LinearRegressor", 1, ML, tern_op_lines_regressor},
    {"ai.onnx.ml", "Normalizer", 1, ML, tern_op_scale_normalizer},
    {"ai.onnx.ml", "OneHotEncoder", 1, ML, tern_op_label_onehot},
    {"ai.onnx.ml", "SVMClassifier", 1, ML, tern_op_svm_classifier},
    {"ai.onnx.ml", "SVMRegressor", 1, ML, tern_op_svm_regressor},
    {"ai.onnx.ml", "Scaler", 1, ML, tern_op_scale_scaler},
    {"ai.onnx.ml", "TreeEnsemble", 5, ML, tern_onnx_trees_ensemble},
    {"ai.onnx.ml", "TreeEnsembleClassifier", 1, ML, tern_onnx_trees_classifier},
    {"ai.onnx.ml", "TreeEnsembleRegressor", 1, ML, tern_onnx_trees_regressor},
    {"ai.onnx.ml", "ZipMap", 1, ML, tern_op_classes_zipmap},
};
const uint32_t tern_onnx_ops_count = TERN_COUNT_OF(tern_onnx_ops);

enum tern_code tern_onnx_ops_find(const struct tern_onnx_node *node,
                                  const struct tern_onnx_op **ret_op, struct tern_err *err)
{
    for (uint32_t i = 0; i < tern_onnx_ops_count; i++) {
        const struct tern_onnx_op *op = &tern_onnx_ops[i];
        if (!tern_str_eq(node->op_type, tern_str_of(op->op_type)) ||
            !tern_str_eq(node->domain, tern_str_of(op->domain)))
            continue;
        if (node->version == 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "operator %s: the model imports no opset of its domain", op->op_type);
        if (node->version < op->since || node->version > op->until)
            return tern_fail(err, TERN_UNIMPLEMENTED,
                             "operator %s of opset %llu is not run natively", op->op_type,
                             (unsigned long long)node->version);
        *ret_op = op;
        return TERN_OK;
    }
    return tern_fail(err, TERN_UNIMPLEMENTED, "operator %.*s is not run natively",
                     (int)(node->op_type.n > 64 ? 64 : node->op_type.n), node->op_type.p);
}
