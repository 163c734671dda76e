/* Softmax and LogSoftmax, along an axis. Before version 13 the axis and all after it were one. */
#include <math.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_shape.h"
#include "simd/curves.h"

/* Types are arguments of macros, and take no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

/* n numbers, `step` elements apart */
typedef void softmax_loop(const void *in, void *out, size_t step, size_t n);

struct softmax {
    int64_t axis;
    bool is_flat; /* the axis and all after it */
};

#define SOFTMAX(name, type, exponential)                                   \
    static void name(const void *in, void *out, size_t step, size_t n)     \
    {                                                                      \
        const type *from = in;                                             \
        type *to = out;                                                    \
        type largest = from[0], sum = 0;                                   \
        for (size_t i = 1; i < n; i++)                                     \
            largest = from[i * step] > largest ? from[i * step] : largest; \
        for (size_t i = 0; i < n; i++)                                     \
            sum += to[i * step] = exponential(from[i * step] - largest);   \
        for (size_t i = 0; i < n; i++)                                     \
            to[i * step] /= sum;                                           \
    }
#define LOG_SOFTMAX(name, type, exponential, logarithm)                    \
    static void name(const void *in, void *out, size_t step, size_t n)     \
    {                                                                      \
        const type *from = in;                                             \
        type *to = out;                                                    \
        type largest = from[0], sum = 0;                                   \
        for (size_t i = 1; i < n; i++)                                     \
            largest = from[i * step] > largest ? from[i * step] : largest; \
        for (size_t i = 0; i < n; i++)                                     \
            sum += exponential(from[i * step] - largest);                  \
        sum = logarithm(sum);                                              \
        for (size_t i = 0; i < n; i++)                                     \
            to[i * step] = from[i * step] - largest - sum;                 \
    }
SOFTMAX(softmax_f32, float, expf)
SOFTMAX(softmax_f64, double, exp)
/* cppcheck-suppress invalidFunctionArg ; the largest adds 1 */
LOG_SOFTMAX(log_softmax_f32, float, expf, logf)
/* cppcheck-suppress invalidFunctionArg ; the same */
LOG_SOFTMAX(log_softmax_f64, double, exp, log)

/* Rows that lie next to each other: one call for the powers of all of them. */
static void softmax_rows(const float *in, float *out, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows * n; r += n) {
        float largest = in[r];
        for (size_t i = 1; i < n; i++)
            largest = in[r + i] > largest ? in[r + i] : largest;
        for (size_t i = 0; i < n; i++)
            out[r + i] = in[r + i] - largest;
    }
    tern_curves_exp(out, out, rows * n);
    for (size_t r = 0; r < rows * n; r += n) {
        float sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += out[r + i];
        for (size_t i = 0; i < n; i++)
            out[r + i] /= sum;
    }
}

static enum tern_code run_softmax(const struct tern_step *step, struct tern_program_run *run,
                                  struct tern_err *err)
{
    const struct softmax *softmax = step->state;
    softmax_loop *loop = (softmax_loop *)step->op->loop;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t size = tern_dtype_size(x->dtype);
    struct tern_tensor *out;
    int axis;

    TERN_TRY(tern_op_shape_axis(softmax->axis, x->shape.rank, &axis, err));
    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    size_t outer = tern_op_shape_span(&x->shape, 0, axis);
    size_t n = tern_op_shape_span(&x->shape, axis, softmax->is_flat ? x->shape.rank : axis + 1);
    size_t inner = softmax->is_flat ? 1 : tern_op_shape_span(&x->shape, axis + 1, x->shape.rank);
    if (loop == softmax_f32 && inner == 1 && out->n_bytes > 0) {
        softmax_rows(x->data, out->data, outer, n);
        return TERN_OK;
    }
    for (size_t i = 0; i < outer && out->n_bytes > 0; i++) {
        for (size_t k = 0; k < inner; k++) {
            size_t at = (i * n * inner + k) * size;
            loop((const char *)x->data + at, (char *)out->data + at, inner, n);
        }
    }
    return TERN_OK;
}

#define OPERATOR(id, op_type, softmax_loop)                                         \
    TERN_OPERATOR(id, .name = op_type, .run = run_softmax, .reach = TERN_REACH_ROW, \
                  .loop = (tern_operator_loop *)softmax_loop, TERN_STATE(struct softmax, NULL))
OPERATOR(tern_softmax_f32_op, "Softmax", softmax_f32);
OPERATOR(tern_softmax_f64_op, "Softmax", softmax_f64);
OPERATOR(tern_log_softmax_f32_op, "LogSoftmax", log_softmax_f32);
OPERATOR(tern_log_softmax_f64_op, "LogSoftmax", log_softmax_f64);

enum tern_code tern_op_softmax_prepare(struct tern_onnx_node *node, struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    bool is_log = tern_str_eq(node->op_type, TERN_STR("LogSoftmax"));
    const struct tern_operator *op = dtype == TERN_DTYPE_FP32
                                         ? is_log ? &tern_log_softmax_f32_op : &tern_softmax_f32_op
                                     : is_log ? &tern_log_softmax_f64_op
                                              : &tern_softmax_f64_op;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_FLOATS, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct softmax), &state, err));
    struct softmax *softmax = state;
    softmax->is_flat = node->version < 13;
    TERN_TRY(tern_onnx_node_int(node, "axis", softmax->is_flat ? 1 : -1, &softmax->axis, err));
    return tern_onnx_node_step(node, op, softmax, dtype, err);
}
/* NOLINTEND(bugprone-macro-parentheses) */
