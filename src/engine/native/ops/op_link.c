/* Links, in the arithmetic of the libraries whose files ask for them: XGBoost's for float,
 * LightGBM's for double. Both call the C library's exp, so that with the same C library the bits
 * are the same. */
#include <math.h>

#include "engine/native/ops/ops.h"

struct link {
    enum tern_link kind;
    double parameter;
};

/* ---- float ---- */

static float sigmoid_float(float x)
{
    float t = 88.7f < -x ? 88.7f : -x; /* e^88.7 is just below the largest float */

    return 1.0f / (expf(t) + 1.0f);
}

/* The sum is a double; everything else is a float. */
static void softmax_float(const float *x, float *y, size_t k)
{
    float largest = x[0];
    double sum = 0;

    for (size_t i = 1; i < k; i++)
        largest = fmaxf(x[i], largest);
    for (size_t i = 0; i < k; i++) {
        y[i] = expf(x[i] - largest);
        sum += (double)y[i];
    }
    for (size_t i = 0; i < k; i++)
        y[i] /= (float)sum;
}

/* ---- double ---- */

static void softmax_double(const double *x, double *y, size_t k)
{
    double largest = x[0], sum = 0;

    for (size_t i = 1; i < k; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (size_t i = 0; i < k; i++) {
        y[i] = exp(x[i] - largest);
        sum += y[i];
    }
    for (size_t i = 0; i < k; i++)
        y[i] /= sum;
}

static double sigmoid_double(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* ---- rows: which link is which function, in either arithmetic ---- */

#define APPLY(name, type, exp, log1p, fabs)                                               \
    static size_t largest_##name(const type *x, size_t k)                                 \
    {                                                                                     \
        size_t at = 0;                                                                    \
        for (size_t i = 1; i < k; i++)                                                    \
            at = x[i] > x[at] ? i : at;                                                   \
        return at;                                                                        \
    }                                                                                     \
    static type one_##name(const struct link *link, type x)                               \
    {                                                                                     \
        switch ((int)link->kind) {                                                        \
        case TERN_LINK_SIGMOID:                                                           \
            return sigmoid_##name((type)link->parameter * x);                             \
        case TERN_LINK_EXP:                                                               \
            return exp(x);                                                                \
        case TERN_LINK_LOG1P_EXP:                                                         \
            return log1p(exp(x));                                                         \
        case TERN_LINK_SQUARE:                                                            \
            return x * fabs(x);                                                           \
        case TERN_LINK_STEP:                                                              \
            return x > 0 ? 1 : 0;                                                         \
        default:                                                                          \
            return x;                                                                     \
        }                                                                                 \
    }                                                                                     \
    static void apply_##name(const struct link *link, const type x[], type y[], size_t n, \
                             size_t k)                                                    \
    {                                                                                     \
        if (link->kind == TERN_LINK_ARGMAX) {                                             \
            for (size_t i = 0; i < n; i++)                                                \
                y[i] = (type)largest_##name(x + i * k, k);                                \
        } else if (link->kind == TERN_LINK_SOFTMAX) {                                     \
            for (size_t i = 0; i < n; i++)                                                \
                softmax_##name(x + i * k, y + i * k, k);                                  \
        } else {                                                                          \
            for (size_t i = 0; i < n * k; i++)                                            \
                y[i] = one_##name(link, x[i]);                                            \
        }                                                                                 \
    }

APPLY(float, float, expf, log1pf, fabsf)
APPLY(double, double, exp, log1p, fabs)

static enum tern_code run_link(const struct tern_step *step, struct tern_program_run *run,
                               struct tern_err *err)
{
    const struct tern_tensor *in = tern_step_in(step, run, 0);
    const struct link *link = step->state;
    struct tern_tensor *out;

    if (in->shape.rank != 2 || in->shape.dim[1] < 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected rows of scores, got rank %d",
                         in->shape.rank);
    struct tern_shape shape = in->shape;
    if (link->kind == TERN_LINK_ARGMAX)
        shape.dim[1] = 1;
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    size_t n = (size_t)in->shape.dim[0], k = (size_t)in->shape.dim[1];
    if (in->dtype == TERN_DTYPE_FP32)
        apply_float(link, in->data, out->data, n, k);
    else
        apply_double(link, in->data, out->data, n, k);
    return TERN_OK;
}

TERN_OPERATOR(tern_link_op, .name = "link", .run = run_link, .reach = TERN_REACH_ROW,
              TERN_STATE(struct link, NULL));

enum tern_code tern_op_link(struct tern_program *program, enum tern_link link, double parameter,
                            uint32_t *value, struct tern_err *err)
{
    enum tern_dtype dtype = program->values[*value].tensor.dtype;
    struct link *state;

    if (link == TERN_LINK_IDENTITY)
        return TERN_OK;
    if (dtype != TERN_DTYPE_FP32 && dtype != TERN_DTYPE_FP64)
        return tern_fail(err, TERN_INTERNAL, "a link of %s", tern_dtype_name(dtype));
    state = tern_arena_zalloc(program->arena, 1, sizeof(*state));
    if (state == NULL)
        return tern_arena_fail(program->arena, err, "a link");
    state->kind = link;
    state->parameter = parameter;
    return tern_program_then(program, &tern_link_op, state, dtype, value, err);
}
