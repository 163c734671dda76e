/* BatchNormalization as it is served: with the mean and variance of the training. */
#include <math.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_shape.h"

/* Types are arguments of macros, and take no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

struct batchnorm {
    float epsilon;
};

/* Channel c of a row: `inner` elements in a row. Inputs: x, scale, bias, mean, variance. */
#define BATCHNORM(name, type, root)                                                    \
    static void name(const struct tern_tensor *const in[5], double epsilon, void *out, \
                     size_t outer, size_t channels, size_t inner)                      \
    {                                                                                  \
        const type *x = in[0]->data, *scale = in[1]->data, *bias = in[2]->data;        \
        const type *mean = in[3]->data, *variance = in[4]->data;                       \
        type *to = out;                                                                \
        for (size_t r = 0; r < outer; r++) {                                           \
            for (size_t c = 0; c < channels; c++) {                                    \
                const type by = scale[c] / root(variance[c] + (type)epsilon);          \
                const type plus = bias[c] - mean[c] * by;                              \
                for (size_t i = 0; i < inner; i++)                                     \
                    *to++ = *x++ * by + plus;                                          \
            }                                                                          \
        }                                                                              \
    }
BATCHNORM(batchnorm_f32, float, sqrtf)
BATCHNORM(batchnorm_f64, double, sqrt)

static enum tern_code run_batchnorm(const struct tern_step *step, struct tern_program_run *run,
                                    struct tern_err *err)
{
    const struct batchnorm *batchnorm = step->state;
    const struct tern_tensor *in[5];
    struct tern_tensor *out;

    for (uint32_t i = 0; i < 5; i++)
        in[i] = tern_step_in(step, run, i);
    const struct tern_shape *shape = &in[0]->shape;
    size_t channels = shape->rank > 1 ? (size_t)shape->dim[1] : 1;
    for (int i = 1; i < 5; i++) {
        if (tern_op_shape_count(in[i]) != channels)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "there are %zu channels, but %zu factors",
                             channels, tern_op_shape_count(in[i]));
    }
    TERN_TRY(tern_step_out(step, run, 0, shape, &out, err));
    if (out->n_bytes == 0)
        return TERN_OK;
    (out->dtype == TERN_DTYPE_FP32 ? batchnorm_f32 : batchnorm_f64)(
        in, (double)batchnorm->epsilon, out->data, shape->rank > 0 ? (size_t)shape->dim[0] : 1,
        channels, tern_op_shape_span(shape, 2, shape->rank));
    return TERN_OK;
}

TERN_OPERATOR(tern_batchnorm_op, .name = "BatchNormalization", .run = run_batchnorm,
              .reach = TERN_REACH_ELEMENT, TERN_STATE(struct batchnorm, NULL));

enum tern_code tern_op_batchnorm_prepare(struct tern_onnx_node *node, struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    int64_t is_training, is_spatial;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_FLOATS, err));
    for (uint32_t i = 1; i < 5; i++)
        TERN_TRY(tern_onnx_node_want(node, i, 1u << dtype, err));
    TERN_TRY(tern_onnx_node_int(node, "training_mode", 0, &is_training, err));
    TERN_TRY(tern_onnx_node_int(node, "spatial", 1, &is_spatial, err));
    tern_onnx_node_ignore(node, "momentum");
    if (is_training != 0 || is_spatial == 0 || node->n_out > 1)
        return tern_onnx_node_refuse(node, "it is training", err);
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct batchnorm), &state, err));
    struct batchnorm *batchnorm = state;
    TERN_TRY(tern_onnx_node_float(node, "epsilon", 1e-5f, &batchnorm->epsilon, err));
    return tern_onnx_node_steps(node, &tern_batchnorm_op, batchnorm, 5, &dtype, 1, err);
}
/* NOLINTEND(bugprone-macro-parentheses) */
