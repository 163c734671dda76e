#include "engine/native/ops/ops.h"

/* The state is the forest itself, which is written down by forest/emit.h. */
static enum tern_code run_forest(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct tern_tensor *in = tern_step_in(step, run, 0);
    uint32_t n_features = tern_forest_features(step->state);
    struct tern_tensor *out;

    if (in->shape.rank != 2 || in->shape.dim[1] < (int64_t)n_features)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected rows of %u features, got %lld",
                         n_features, in->shape.rank == 2 ? (long long)in->shape.dim[1] : -1LL);
    const struct tern_shape shape = {2, {in->shape.dim[0], tern_forest_outputs(step->state)}};
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    const struct tern_forest_rows rows = {
        .data = in->data,
        .is_double = in->dtype == TERN_DTYPE_FP64,
        .n = (size_t)in->shape.dim[0],
        .stride = (size_t)in->shape.dim[1],
    };
    return tern_forest_run(step->state, &rows, out->data, run->arena, err);
}

TERN_OPERATOR(tern_forest_op, .name = "forest", .run = run_forest);

static void free_forest(void *forest)
{
    tern_forest_free(forest);
}

enum tern_code tern_op_forest(struct tern_program *program, struct tern_forest *forest,
                              uint32_t *value, struct tern_err *err)
{
    enum tern_dtype dtype = tern_forest_info(forest).float_sum ? TERN_DTYPE_FP32 : TERN_DTYPE_FP64;
    enum tern_code code = tern_arena_on_reset(program->arena, free_forest, forest, err);

    if (code != TERN_OK) {
        tern_forest_free(forest);
        return code;
    }
    return tern_program_then(program, &tern_forest_op, forest, dtype, value, err);
}

const struct tern_forest *tern_op_forest_of(const struct tern_step *step)
{
    return step->op == &tern_forest_op ? step->state : NULL;
}
