#include "engine/native/convert.h"
#include "engine/native/ops/ops.h"

static enum tern_code run_cast(const struct tern_step *step, struct tern_program_run *run,
                               struct tern_err *err)
{
    const struct tern_tensor *in = tern_step_in(step, run, 0);
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &in->shape, &out, err));
    tern_convert(in->dtype, in->data, out->dtype, out->data,
                 in->n_bytes / tern_dtype_size(in->dtype));
    return TERN_OK;
}

TERN_OPERATOR(tern_cast_op, .name = "cast", .run = run_cast, .reach = TERN_REACH_ELEMENT);

enum tern_code tern_op_cast(struct tern_program *program, enum tern_dtype dtype, uint32_t *value,
                            struct tern_err *err)
{
    enum tern_dtype from = program->values[*value].tensor.dtype;

    if (from == dtype)
        return TERN_OK;
    if (!tern_convert_has(from, dtype))
        return tern_fail(err, TERN_INTERNAL, "a cast from %s to %s", tern_dtype_name(from),
                         tern_dtype_name(dtype));
    return tern_program_then(program, &tern_cast_op, NULL, dtype, value, err);
}

bool tern_op_is_cast(const struct tern_step *step)
{
    return step->op == &tern_cast_op;
}
