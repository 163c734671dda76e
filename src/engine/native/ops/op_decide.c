#include "engine/native/ops/op_decide.h"

#include <math.h>

static enum tern_code check_rows(const struct tern_tensor *x, size_t width, struct tern_err *err)
{
    if (x->shape.rank == 2 && (width == 0 || (size_t)x->shape.dim[1] == width))
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT, "expected rows of %zu scores, got %lld", width,
                     x->shape.rank == 2 ? (long long)x->shape.dim[1] : -1LL);
}

/* ---- labels ---- */

static uint32_t choose(const struct tern_op_decide *decide, const double *x, size_t k)
{
    uint32_t at = 0;

    if (k == 1)
        return decide->is_at_least ? x[0] >= decide->threshold : x[0] > decide->threshold;
    for (uint32_t i = 1; i < k; i++)
        at = x[i] > x[at] ? i : at;
    return at;
}

static enum tern_code run_label(const struct tern_step *step, struct tern_program_run *run,
                                struct tern_err *err)
{
    const struct tern_op_decide *decide = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t k = x->shape.rank == 2 && x->shape.dim[1] == 1 ? 1 : decide->classes.n;

    TERN_TRY(check_rows(x, k, err));
    size_t n = (size_t)x->shape.dim[0];
    uint32_t *numbers = tern_arena_zalloc(run->arena, n + 1, sizeof(*numbers));
    if (numbers == NULL)
        return tern_arena_fail(run->arena, err, "labels");
    for (size_t i = 0; i < n; i++)
        numbers[i] = choose(decide, (const double *)x->data + i * k, k);
    return tern_op_classes_give(&decide->classes, step, run, 0, numbers, n, err);
}

static void label_points(const void *state, struct tern_state *to)
{
    const struct tern_op_decide *decide = state;

    tern_op_classes_points(&decide->classes, to);
}

TERN_OPERATOR(tern_decide_label_op, .name = "label", .run = run_label,
              TERN_STATE(struct tern_op_decide, label_points));

enum tern_code tern_op_decide_label(struct tern_program *program,
                                    const struct tern_op_decide *decide, uint32_t *value,
                                    struct tern_err *err)
{
    struct tern_op_decide *kept = tern_arena_zalloc(program->arena, 1, sizeof(*kept));

    if (kept == NULL)
        return tern_arena_fail(program->arena, err, "labels");
    *kept = *decide;
    return tern_program_then(program, &tern_decide_label_op, kept, decide->classes.dtype, value,
                             err);
}

/* ---- shares ---- */

static enum tern_code run_pair(const struct tern_step *step, struct tern_program_run *run,
                               struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_tensor *out;

    TERN_TRY(check_rows(x, 1, err));
    const struct tern_shape shape = {2, {x->shape.dim[0], 2}};
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    const double *from = x->data;
    double *to = out->data;
    for (size_t i = 0; i < (size_t)shape.dim[0]; i++) {
        to[2 * i] = 1 - from[i];
        to[2 * i + 1] = from[i];
    }
    return TERN_OK;
}

TERN_OPERATOR(tern_decide_pair_op, .name = "pair", .run = run_pair);

enum tern_code tern_op_decide_pair(struct tern_program *program, uint32_t *value,
                                   struct tern_err *err)
{
    return tern_program_then(program, &tern_decide_pair_op, NULL, TERN_DTYPE_FP64, value, err);
}

static enum tern_code run_shares(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_tensor *out;

    TERN_TRY(check_rows(x, 0, err));
    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    size_t n = (size_t)x->shape.dim[0], k = (size_t)x->shape.dim[1];
    const double *from = x->data;
    double *to = out->data;
    for (size_t row = 0; row < n; row++, from += k, to += k) {
        double sum = 0;
        for (size_t i = 0; i < k; i++)
            sum += from[i];
        for (size_t i = 0; i < k; i++)
            to[i] = sum == 0 ? 1 / (double)k : from[i] / sum;
    }
    return TERN_OK;
}

TERN_OPERATOR(tern_decide_shares_op, .name = "shares", .run = run_shares, .reach = TERN_REACH_ROW);

enum tern_code tern_op_decide_shares(struct tern_program *program, uint32_t *value,
                                     struct tern_err *err)
{
    return tern_program_then(program, &tern_decide_shares_op, NULL, TERN_DTYPE_FP64, value, err);
}
