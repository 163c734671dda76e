/* Operators that make one number of one number, each for itself: Relu, Sigmoid, Clip, ... */
#include <math.h>
#include "engine/native/onnx_ops.h"
#include "engine/native/op_dense.h"
#include "engine/native/op_shape.h"
#include "simd/curves.h"

/* Types are arguments of macros, and take no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

struct map {
    void (*loop)(const void *in, void *out, size_t n, const struct map *map);
    double alpha, beta; /* of LeakyRelu, Elu, ...; Clip's limits when they are attributes */
};

/* One loop; `x` is the number, `a` and `b` are alpha and beta. */
#define MAP(name, type, expression)                                              \
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
    }
#define MAP_FLOATS(name, f32, f64) MAP(name##_f32, float, f32) MAP(name##_f64, double, f64)
#define MAP_BOTH(name, expression) MAP_FLOATS(name, expression, expression)

MAP_BOTH(negate, -x)
MAP(negate_i32, int32_t, 0u - (uint32_t)x)
MAP(negate_i64, int64_t, 0u - (uint64_t)x)
MAP_FLOATS(absolute, fabsf(x), fabs(x))
MAP(absolute_i32, int32_t, x < 0 ? 0u - (uint32_t)x : (uint32_t)x)
MAP(absolute_i64, int64_t, x < 0 ? 0u - (uint64_t)x : (uint64_t)x)
MAP_FLOATS(root, sqrtf(x), sqrt(x))
MAP(power_of_e_f64, double, exp(x))
MAP_FLOATS(logarithm, logf(x), log(x))
MAP_FLOATS(lower, floorf(x), floor(x))
MAP_FLOATS(upper, ceilf(x), ceil(x))
MAP_FLOATS(nearest, rintf(x), rint(x))
MAP_BOTH(inverse, 1 / x)
MAP_BOTH(sign, x > 0 ? 1 : x < 0 ? -1 : 0 * x)
MAP_FLOATS(error_function, erff(x), erf(x))
/* NaN stays NaN. */
MAP_BOTH(relu, x < 0 ? 0 : x)
MAP_BOTH(leaky_relu, x < 0 ? a * x : x)
MAP_FLOATS(elu, x < 0 ? a * expm1f(x) : x, x < 0 ? a * expm1(x) : x)
MAP_FLOATS(selu, x <= 0 ? b * (a * expm1f(x)) : b * x, x <= 0 ? b * (a * expm1(x)) : b * x)
MAP_BOTH(hard_sigmoid, fmax(0, fmin(1, a *x + b)))
MAP_FLOATS(softplus, x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x)),
           x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)))
MAP_BOTH(softsign, x / (1 + (x < 0 ? -x : x)))
/* Of the negative power only, so that small results keep their digits. */
MAP(sigmoid_f64, double, (x < 0 ? exp(x) : 1) / (1 + exp(-fabs(x))))
MAP(hyperbolic_tangent_f64, double, tanh(x))

#define CURVE(name, curve)                                                       \
    static void name(const void *in, void *out, size_t n, const struct map *map) \
    {                                                                            \
        (void)map;                                                               \
        curve(in, out, n);                                                       \
    }
CURVE(power_of_e_f32, tern_curves_exp)
CURVE(sigmoid_f32, tern_curves_sigmoid)
CURVE(hyperbolic_tangent_f32, tern_curves_tanh)

MAP(invert, uint8_t, x == 0)

static enum tern_code run_map(const struct tern_step *step, struct tern_program_run *run,
                              struct tern_err *err)
{
    const struct map *map = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    map->loop(x->data, out->data, tern_op_shape_count(x), map);
    return TERN_OK;
}

struct row {
    struct tern_operator op;
    void (*f32)(const void *, void *, size_t, const struct map *);
    void (*f64)(const void *, void *, size_t, const struct map *);
    void (*other)(const void *, void *, size_t, const struct map *); /* see other_dtype */
    void (*i64)(const void *, void *, size_t, const struct map *);
    enum tern_dtype other_dtype;
    bool has_alpha, has_beta;
    float alpha, beta;
};

#define ELEMENTS(op_type)                                              \
    {                                                                  \
        .name = (op_type), .run = run_map, .reach = TERN_REACH_ELEMENT \
    }
#define FLOATS(op_type, name)                                                \
    {                                                                        \
        ELEMENTS(op_type), name##_f32, name##_f64, NULL, NULL, 0, 0, 0, 0, 0 \
    }
#define SIGNED(op_type, name)                                                                      \
    {                                                                                              \
        ELEMENTS(op_type), name##_f32, name##_f64, name##_i32, name##_i64, TERN_DTYPE_INT32, 0, 0, \
            0, 0                                                                                   \
    }
#define ALPHA(op_type, name, a)                                                     \
    {                                                                               \
        ELEMENTS(op_type), name##_f32, name##_f64, NULL, NULL, 0, true, false, a, 0 \
    }

/* clang-format off */
static const struct row rows[] = {
    SIGNED("Neg", negate), SIGNED("Abs", absolute), FLOATS("Sqrt", root), FLOATS("Exp", power_of_e),
    FLOATS("Log", logarithm), FLOATS("Floor", lower), FLOATS("Ceil", upper),
    FLOATS("Round", nearest), FLOATS("Reciprocal", inverse), FLOATS("Sign", sign),
    FLOATS("Erf", error_function), FLOATS("Relu", relu), FLOATS("Sigmoid", sigmoid),
    FLOATS("Tanh", hyperbolic_tangent), FLOATS("Softplus", softplus), FLOATS("Softsign", softsign),
    ALPHA("LeakyRelu", leaky_relu, 0.01f), ALPHA("Elu", elu, 1.0f),
    {ELEMENTS("Selu"), selu_f32, selu_f64, NULL, NULL, 0, true, false,
     1.67326319217681884765625f, 1.05070102214813232421875f},
    {ELEMENTS("HardSigmoid"), hard_sigmoid_f32, hard_sigmoid_f64, NULL, NULL, 0, true, true,
     0.2f, 0.5f},
    {ELEMENTS("Not"), NULL, NULL, invert, NULL, TERN_DTYPE_BOOL, false, false, 0, 0},
};
/* clang-format on */

static enum tern_code choose_loop(struct tern_onnx_node *node, const struct row *row,
                                  struct map *map, struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);

    if (dtype == TERN_DTYPE_FP32)
        map->loop = row->f32;
    else if (dtype == TERN_DTYPE_FP64)
        map->loop = row->f64;
    else if (dtype == TERN_DTYPE_INT64)
        map->loop = row->i64;
    else if (dtype == row->other_dtype)
        map->loop = row->other;
    return map->loop != NULL ? TERN_OK : tern_onnx_node_want(node, 0, 0, err);
}

enum tern_code tern_op_map_prepare(struct tern_onnx_node *node, struct tern_err *err)
{
    const struct row *row = rows;
    float alpha, beta;
    void *state;

    while (!tern_str_eq(node->op_type, tern_str_of(row->op.name)))
        row++;
    tern_onnx_node_ignore(node, "consumed_inputs");
    if (tern_str_eq(node->op_type, TERN_STR("Relu")) && tern_op_dense_takes_relu(node))
        return TERN_OK;
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct map), &state, err));
    struct map *map = state;
    TERN_TRY(choose_loop(node, row, map, err));
    alpha = row->alpha;
    beta = row->beta;
    if (row->has_alpha)
        TERN_TRY(tern_onnx_node_float(node, "alpha", alpha, &alpha, err));
    if (row->has_beta)
        TERN_TRY(tern_onnx_node_float(node, "beta", beta, &beta, err));
    if (tern_str_eq(node->op_type, TERN_STR("Selu")))
        TERN_TRY(tern_onnx_node_float(node, "gamma", beta, &beta, err));
    map->alpha = (double)alpha;
    map->beta = (double)beta;
    return tern_onnx_node_steps(node, &row->op, map, 1,
                                &(enum tern_dtype){tern_onnx_node_dtype(node, 0)}, 1, err);
}

/* ---- Clip ---- */

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
    }
CLIP(clip_f32, float)
CLIP(clip_f64, double)
CLIP(clip_i32, int32_t)
CLIP(clip_i64, int64_t)

struct clip {
    void (*loop)(const void *in, void *out, size_t n, const void *low, const void *high);
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
    clip->loop(x->data, out->data, tern_op_shape_count(x), low, high);
    return TERN_OK;
}

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
    static const struct tern_operator op = {
        .name = "Clip", .run = run_clip, .reach = TERN_REACH_ELEMENT};
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_NUMBERS, err));
    for (uint32_t i = 1; i < node->n_in; i++)
        if (tern_onnx_node_has_input(node, i))
            TERN_TRY(tern_onnx_node_want(node, i, 1u << dtype, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct clip), &state, err));
    struct clip *clip = state;
    clip->loop = dtype == TERN_DTYPE_FP32    ? clip_f32
                 : dtype == TERN_DTYPE_FP64  ? clip_f64
                 : dtype == TERN_DTYPE_INT32 ? clip_i32
                                             : clip_i64;
    if (node->version < 11)
        TERN_TRY(read_limits(node, clip, err));
    return tern_onnx_node_step(node, &op, clip, dtype, err);
}
/* NOLINTEND(bugprone-macro-parentheses) */
