/* The operators that formats other than ONNX use by name; those of ONNX graphs stand in the table
 * of onnx_ops.c. Each is a file op_<name>.c. */
#ifndef TERN_ENGINE_NATIVE_OPS_H
#define TERN_ENGINE_NATIVE_OPS_H

#include "engine/native/program.h"
#include "forest/forest.h"
#include "simd/dense.h"

/* [n, features] FP32 or FP64 -> [n, outputs] FP32 or FP64, as the forest sums. */
enum tern_code tern_op_forest(struct tern_program *program, struct tern_forest *forest,
                              uint32_t *value, struct tern_err *err);

/* The forest of such a step; NULL: it is another one. */
const struct tern_forest *tern_op_forest_of(const struct tern_step *step);

/* What turns raw scores into the prediction: [n, k] of FP32 or FP64 to the same. Computed in the
 * datatype of the scores, as the libraries do. */
enum tern_link {
    TERN_LINK_IDENTITY,
    TERN_LINK_SIGMOID,   /* 1 / (1 + e^(-parameter x)) */
    TERN_LINK_SOFTMAX,   /* over a row */
    TERN_LINK_EXP,       /* e^x */
    TERN_LINK_LOG1P_EXP, /* log(1 + e^x) */
    TERN_LINK_SQUARE,    /* x |x| */
    TERN_LINK_STEP,      /* x > 0: 1, else 0 */
    TERN_LINK_ARGMAX,    /* [n, k] -> [n, 1]: the first of the largest */
};
enum tern_code tern_op_link(struct tern_program *program, enum tern_link link, double parameter,
                            uint32_t *value, struct tern_err *err);

/* x W + b: [n, m] -> [n, k]. weights: m rows of k. The sum of an output starts with its bias and
 * goes over the features in their order, in the datatype `dtype` (FP32 or FP64). Arrays are
 * borrowed: arena or static. */
struct tern_linear {
    const void *weights;
    const void *bias; /* k, or NULL */
    uint32_t n_features, n_outputs;
    enum tern_dtype dtype;
    bool skip_missing; /* NaN adds nothing (gblinear) */
};
enum tern_code tern_op_linear(struct tern_program *program, const struct tern_linear *linear,
                              uint32_t *value, struct tern_err *err);

/* The linear model of such a step; NULL: it is another one. */
const struct tern_linear *tern_op_linear_of(const struct tern_step *step);

/* The sums of LinearRegressor and LinearClassifier, float32, before links and labels; NULL: the
 * step is another one. */
const struct tern_dense *tern_op_lines_of(const struct tern_step *step);

/* To another datatype, as C converts: FP32, FP64, INT32, INT64. */
enum tern_code tern_op_cast(struct tern_program *program, enum tern_dtype dtype, uint32_t *value,
                            struct tern_err *err);
bool tern_op_is_cast(const struct tern_step *step);

#endif
