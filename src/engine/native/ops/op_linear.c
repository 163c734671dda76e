#include <math.h>

#include "engine/native/ops/ops.h"
#include "engine/native/state.h"

/* Feature by feature, so that each output's sum goes over them in their order. */
#define MULTIPLY(type)                                                                 \
    static void multiply_##type(const struct tern_linear *l, const type x[], type y[]) \
    {                                                                                  \
        const type *weights = l->weights, *bias = l->bias;                             \
        size_t k = l->n_outputs;                                                       \
        for (size_t j = 0; j < k; j++)                                                 \
            y[j] = bias == NULL ? 0 : bias[j];                                         \
        for (size_t i = 0; i < l->n_features; i++) {                                   \
            if (l->skip_missing && isnan(x[i]))                                        \
                continue;                                                              \
            for (size_t j = 0; j < k; j++)                                             \
                y[j] += x[i] * weights[i * k + j];                                     \
        }                                                                              \
    }

MULTIPLY(float)
MULTIPLY(double)

static enum tern_code run_linear(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct tern_tensor *in = tern_step_in(step, run, 0);
    const struct tern_linear *l = step->state;
    struct tern_tensor *out;

    if (in->shape.rank != 2 || in->shape.dim[1] != l->n_features)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected rows of %u features, got %lld",
                         l->n_features, in->shape.rank == 2 ? (long long)in->shape.dim[1] : -1LL);
    const struct tern_shape shape = {2, {in->shape.dim[0], l->n_outputs}};
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    size_t n = (size_t)in->shape.dim[0], m = l->n_features, k = l->n_outputs;
    for (size_t i = 0; i < n; i++) {
        if (l->dtype == TERN_DTYPE_FP32)
            multiply_float(l, (const float *)in->data + i * m, (float *)out->data + i * k);
        else
            multiply_double(l, (const double *)in->data + i * m, (double *)out->data + i * k);
    }
    return TERN_OK;
}

static void linear_points(const void *state, struct tern_state *to)
{
    const struct tern_linear *l = state;

    tern_state_cells(to, &l->weights, l->dtype, (size_t)l->n_features * l->n_outputs);
    tern_state_cells(to, &l->bias, l->dtype, l->n_outputs);
}

TERN_OPERATOR(tern_linear_op, .name = "linear", .run = run_linear,
              TERN_STATE(struct tern_linear, linear_points));

enum tern_code tern_op_linear(struct tern_program *program, const struct tern_linear *linear,
                              uint32_t *value, struct tern_err *err)
{
    struct tern_linear *l = tern_arena_zalloc(program->arena, 1, sizeof(*l));

    if (l == NULL)
        return tern_arena_fail(program->arena, err, "a linear model");
    *l = *linear;
    TERN_TRY(tern_op_cast(program, l->dtype, value, err));
    return tern_program_then(program, &tern_linear_op, l, l->dtype, value, err);
}

const struct tern_linear *tern_op_linear_of(const struct tern_step *step)
{
    return step->op == &tern_linear_op ? step->state : NULL;
}
