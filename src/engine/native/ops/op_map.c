/* Operators that make one number of one number, each for itself: Relu, Sigmoid, Clip, ... */
#include <math.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_dense.h"
#include "engine/native/ops/op_shape.h"
#include "simd/curves.h"

/* Types are arguments of macros, and take no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

struct map {
    double alpha, beta; /* of LeakyRelu, Elu, ... */
};

typedef void map_loop(const void *in, void *out, size_t n, const struct map *map);

static enum tern_code run_map(const struct tern_step *step, struct tern_program_run *run,
                              struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    ((map_loop *)step->op->loop)(x->data, out->data, tern_op_shape_count(x), step->state);
    return TERN_OK;
}

#define MAP_OPERATOR(id, op_type, map_loop)                                         \
    TERN_OPERATOR(id, .name = op_type, .run = run_map, .reach = TERN_REACH_ELEMENT, \
                  .loop = (tern_operator_loop *)map_loop, TERN_STATE(struct map, NULL));

/* One operator; `x` is the number, `a` and `b` are alpha and beta. */
#define MAP(name, op_type, type, expression)                                     \
    static void name(const void *in, void *out, size_t n, const struct map *map) \
    {                                                                            \
        const type *from = in;                                                   \
        type *to = out;                                                          \
        const type a = (type)map->alpha, b = (type)map->beta;                    \
        (void)a, (void)b;                                                        \
        for (size_t i = 0; i < n; i++) {                                         \
            const type x = from[i];                                              \
            to[i] = (type)(expression);                                          \
        }                                                                        \
    }                                                                            \
    MAP_OPERATOR(tern_##name##_op, op_type, name)
#define MAP_FLOATS(name, op_type, f32, f64) \
    MAP(name##_f32, op_type, float, f32)    \
    MAP(name##_f64, op_type, double, f64)
#define MAP_BOTH(name, op_type, expression) MAP_FLOATS(name, op_type, expression, expression)

MAP_BOTH(negate, "Neg", -x)
MAP(negate_i32, "Neg", int32_t, 0u - (uint32_t)x)
MAP(negate_i64, "Neg", int64_t, 0u - (uint64_t)x)
MAP_FLOATS(absolute, "Abs", fabsf(x), fabs(x))
MAP(absolute_i32, "Abs", int32_t, x < 0 ? 0u - (uint32_t)x : (uint32_t)x)
MAP(absolute_i64, "Abs", int64_t, x < 0 ? 0u - (uint64_t)x : (uint64_t)x)
MAP_FLOATS(root, "Sqrt", sqrtf(x), sqrt(x))
MAP(power_of_e_f64, "Exp", double, exp(x))
MAP_FLOATS(logarithm, "Log", logf(x), log(x))
MAP_FLOATS(lower, "Floor", floorf(x), floor(x))
MAP_FLOATS(upper, "Ceil", ceilf(x), ceil(x))
MAP_FLOATS(nearest, "Round", rintf(x), rint(x))
MAP_BOTH(inverse, "Reciprocal", 1 / x)
MAP_BOTH(sign, "Sign", x > 0 ? 1 : x < 0 ? -1 : 0 * x)
MAP_FLOATS(error_function, "Erf", erff(x), erf(x))
/* NaN stays NaN. */
MAP_BOTH(relu, "Relu", x < 0 ? 0 : x)
MAP_BOTH(leaky_relu, "LeakyRelu", x < 0 ? a * x : x)
MAP_FLOATS(elu, "Elu", x < 0 ? a * expm1f(x) : x, x < 0 ? a * expm1(x) : x)
MAP_FLOATS(selu, "Selu", x <= 0 ? b * (a * expm1f(x)) : b * x, x <= 0 ? b * (a * expm1(x)) : b * x)
MAP_BOTH(hard_sigmoid, "HardSigmoid", fmax(0, fmin(1, a *x + b)))
MAP_FLOATS(softplus, "Softplus", x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x)),
           x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)))
MAP_BOTH(softsign, "Softsign", x / (1 + (x < 0 ? -x : x)))
/* Of the negative power only, so that small results keep their digits. */
MAP(sigmoid_f64, "Sigmoid", double, (x < 0 ? exp(x) : 1) / (1 + exp(-fabs(x))))
MAP(hyperbolic_tangent_f64, "Tanh", double, tanh(x))

#define CURVE(name, op_type, curve)                                              \
    static void name(const void *in, void *out, size_t n, const struct map *map) \
    {                                                                            \
        (void)map;                                                               \
        curve(in, out, n);                                                       \
    }                                                                            \
    MAP_OPERATOR(tern_##name##_op, op_type, name)
CURVE(power_of_e_f32, "Exp", tern_curves_exp)
CURVE(sigmoid_f32, "Sigmoid", tern_curves_sigmoid)
CURVE(hyperbolic_tangent_f32, "Tanh", tern_curves_tanh)

MAP(invert, "Not", uint8_t, x == 0)

/* ---- which ---- */

struct row {
    const struct tern_operator *op;
    enum tern_dtype dtype;
    bool has_alpha, has_beta;
    float alpha, beta;
};

#define FLOATS(name)                                               \
    {&tern_##name##_f32_op, TERN_DTYPE_FP32, false, false, 0, 0},  \
    {                                                              \
        &tern_##name##_f64_op, TERN_DTYPE_FP64, false, false, 0, 0 \
    }
#define SIGNED(name)                                                             \
    FLOATS(name), {&tern_##name##_i32_op, TERN_DTYPE_INT32, false, false, 0, 0}, \
    {                                                                            \
        &tern_##name##_i64_op, TERN_DTYPE_INT64, false, false, 0, 0              \
    }
#define WITH(name, has_beta, a, b)                                   \
    {&tern_##name##_f32_op, TERN_DTYPE_FP32, true, has_beta, a, b},  \
    {                                                                \
        &tern_##name##_f64_op, TERN_DTYPE_FP64, true, has_beta, a, b \
    }

/* clang-format off */
static const struct row rows[] = {
    SIGNED(negate), SIGNED(absolute), FLOATS(root), FLOATS(power_of_e), FLOATS(logarithm),
    FLOATS(lower), FLOATS(upper), FLOATS(nearest), FLOATS(inverse), FLOATS(sign),
    FLOATS(error_function), FLOATS(relu), FLOATS(sigmoid), FLOATS(hyperbolic_tangent),
    FLOATS(softplus), FLOATS(softsign), WITH(leaky_relu, false, 0.01f, 0), WITH(elu, false, 1.0f, 0),
    WITH(selu, false, 1.67326319217681884765625f, 1.05070102214813232421875f),
    WITH(hard_sigmoid, true, 0.2f, 0.5f),
    {&tern_invert_op, TERN_DTYPE_BOOL, false, false, 0, 0},
};
/* clang-format on */

static const struct row *row_of(struct tern_str op_type, enum tern_dtype dtype)
{
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        if (rows[i].dtype == dtype && tern_str_eq(op_type, tern_str_of(rows[i].op->name)))
            return &rows[i];
    return NULL;
}

enum tern_code tern_op_map_prepare(struct tern_onnx_node *node, struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    const struct row *row = row_of(node->op_type, dtype);
    float alpha, beta;
    void *state;

    tern_onnx_node_ignore(node, "consumed_inputs");
    if (tern_str_eq(node->op_type, TERN_STR("Relu")) && tern_op_dense_takes_relu(node))
        return TERN_OK;
    if (row == NULL)
        return tern_onnx_node_want(node, 0, 0, err);
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct map), &state, err));
    struct map *map = state;
    alpha = row->alpha;
    beta = row->beta;
    if (row->has_alpha)
        TERN_TRY(tern_onnx_node_float(node, "alpha", alpha, &alpha, err));
    if (row->has_beta)
        TERN_TRY(tern_onnx_node_float(node, "beta", beta, &beta, err));
    if (tern_str_eq(node->op_type, TERN_STR("Selu")))
        TERN_TRY(tern_onnx_node_float(node, "gamma", beta, &beta, err));
    *map = (struct map){(double)alpha, (double)beta};
    return tern_onnx_node_steps(node, row->op, map, 1, &dtype, 1, err);
}

/* ---- Clip ---- */

typedef void clip_loop(const void *in, void *out, size_t n, const void *low, const void *high);

struct clip {
    bool has_low, has_high; /* as attributes */
    union {
        float f32;
        double f64;
    } low, high;
};

static enum tern_code limit_of(const struct tern_step *step, const struct tern_program_run *run,
                               uint32_t i, const void **limit, struct tern_err *err)
{
    const struct tern_tensor *tensor = tern_step_in(step, run, i);

    if (tensor == NULL)
        return TERN_OK;
    if (tern_op_shape_count(tensor) != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a limit is no single number");
    *limit = tensor->data;
    return TERN_OK;
}

static enum tern_code run_clip(const struct tern_step *step, struct tern_program_run *run,
                               struct tern_err *err)
{
    const struct clip *clip = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    const void *low = clip->has_low ? &clip->low : NULL;
    const void *high = clip->has_high ? &clip->high : NULL;
    struct tern_tensor *out;

    TERN_TRY(limit_of(step, run, 1, &low, err));
    TERN_TRY(limit_of(step, run, 2, &high, err));
    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    ((clip_loop *)step->op->loop)(x->data, out->data, tern_op_shape_count(x), low, high);
    return TERN_OK;
}

#define CLIP_OPERATOR(id, clip_loop)                                                \
    TERN_OPERATOR(id, .name = "Clip", .run = run_clip, .reach = TERN_REACH_ELEMENT, \
                  .loop = (tern_operator_loop *)clip_loop, TERN_STATE(struct clip, NULL));
#define CLIP(name, type)                                                                     \
    static void name(const void *in, void *out, size_t n, const void *low, const void *high) \
    {                                                                                        \
        const type *from = in;                                                               \
        type *to = out;                                                                      \
        for (size_t i = 0; i < n; i++) {                                                     \
            type x = from[i];                                                                \
            if (low != NULL && x < *(const type *)low)                                       \
                x = *(const type *)low;                                                      \
            if (high != NULL && x > *(const type *)high)                                     \
                x = *(const type *)high;                                                     \
            to[i] = x;                                                                       \
        }                                                                                    \
    }                                                                                        \
    CLIP_OPERATOR(tern_##name##_op, name)
CLIP(clip_f32, float)
CLIP(clip_f64, double)
CLIP(clip_i32, int32_t)
CLIP(clip_i64, int64_t)

static void set_limit(enum tern_dtype dtype, float limit, float *f32, double *f64)
{
    if (dtype == TERN_DTYPE_FP32)
        *f32 = limit;
    else
        *f64 = (double)limit;
}

/* Until opset 11 the limits are attributes. */
static enum tern_code read_limits(struct tern_onnx_node *node, struct clip *clip,
                                  struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    float limit;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_FLOATS, err));
    clip->has_low = tern_onnx_node_has(node, "min");
    TERN_TRY(tern_onnx_node_float(node, "min", 0, &limit, err));
    set_limit(dtype, limit, &clip->low.f32, &clip->low.f64);
    clip->has_high = tern_onnx_node_has(node, "max");
    TERN_TRY(tern_onnx_node_float(node, "max", 0, &limit, err));
    set_limit(dtype, limit, &clip->high.f32, &clip->high.f64);
    return TERN_OK;
}

enum tern_code tern_op_map_clip(struct tern_onnx_node *node, struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    const struct tern_operator *op = dtype == TERN_DTYPE_FP32    ? &tern_clip_f32_op
                                     : dtype == TERN_DTYPE_FP64  ? &tern_clip_f64_op
                                     : dtype == TERN_DTYPE_INT32 ? &tern_clip_i32_op
                                                                 : &tern_clip_i64_op;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_NUMBERS, err));
    for (uint32_t i = 1; i < node->n_in; i++)
        if (tern_onnx_node_has_input(node, i))
            TERN_TRY(tern_onnx_node_want(node, i, 1u << dtype, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct clip), &state, err));
    struct clip *clip = state;
    if (node->version < 11)
        TERN_TRY(read_limits(node, clip, err));
    return tern_onnx_node_step(node, op, clip, dtype, err);
}
/* NOLINTEND(bugprone-macro-parentheses) */
