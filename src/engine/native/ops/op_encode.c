#include "engine/native/ops/op_encode.h"

#include <string.h>
#include "engine/native/ops/op_cells.h"
#include "engine/native/state.h"

static enum tern_code fail_unknown(const struct tern_op_encode *encode, uint32_t column,
                                   const void *cells, size_t at, struct tern_err *err)
{
    if (encode->columns[column].keys.dtype == TERN_DTYPE_BYTES) {
        struct tern_str text = ((const struct tern_str *)cells)[at];
        return tern_fail(err, TERN_INVALID_ARGUMENT, "column %u: '%.*s' is no category", column,
                         (int)(text.n > 100 ? 100 : text.n), text.p);
    }
    return tern_fail(err, TERN_INVALID_ARGUMENT, "column %u: %.9g is no category", column,
                     ((const double *)cells)[at]);
}

/* One cell: sets its column's outputs, which are zeros. */
static enum tern_code encode_cell(const struct tern_op_encode *encode, uint32_t column,
                                  const void *cells, size_t at, double *to, struct tern_err *err)
{
    const struct tern_op_encode_column *c = &encode->columns[column];
    uint32_t number;

    if (!tern_op_keys_find(&c->keys, cells, at, &number)) {
        if (encode->refuses)
            return fail_unknown(encode, column, cells, at, err);
        if (encode->is_ordinal)
            to[0] = encode->unknown;
    } else if (encode->is_ordinal) {
        to[0] = c->numbers[number];
    } else if (c->places[number] != TERN_OP_ENCODE_NONE) {
        to[c->places[number]] = 1;
    }
    return TERN_OK;
}

static enum tern_code run_encode(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct tern_op_encode *encode = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_tensor *out;
    const void *cells;
    int64_t width = 0;

    if (x->shape.rank != 2 || x->shape.dim[1] != encode->n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected rows of %u columns, got %lld",
                         encode->n, x->shape.rank == 2 ? (long long)x->shape.dim[1] : -1LL);
    for (uint32_t i = 0; i < encode->n; i++)
        width += encode->columns[i].width;
    const struct tern_shape shape = {2, {x->shape.dim[0], width}};
    TERN_TRY(tern_op_cells_of(x, run->arena, &cells, err));
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    memset(out->data, 0, out->n_bytes);
    double *to = out->data;
    for (size_t row = 0; row < (size_t)shape.dim[0]; row++) {
        for (uint32_t i = 0; i < encode->n; i++) {
            TERN_TRY(encode_cell(encode, i, cells, row * encode->n + i, to, err));
            to += encode->columns[i].width;
        }
    }
    return TERN_OK;
}

static void encode_points(const void *state, struct tern_state *to)
{
    const struct tern_op_encode *encode = state;

    tern_state_points(to, &encode->columns, encode->n * sizeof(*encode->columns));
    for (uint32_t i = 0; i < encode->n; i++) {
        const struct tern_op_encode_column *column = &encode->columns[i];
        tern_op_keys_points(&column->keys, to);
        tern_state_cells(to, &column->numbers, TERN_DTYPE_FP64, column->keys.n + 1u);
        tern_state_points(to, &column->places, (column->keys.n + 1u) * sizeof(*column->places));
    }
}

TERN_OPERATOR(tern_encode_op, .name = "encode", .run = run_encode,
              TERN_STATE(struct tern_op_encode, encode_points));

enum tern_code tern_op_encode(struct tern_program *program, const struct tern_op_encode *encode,
                              uint32_t *value, struct tern_err *err)
{
    struct tern_op_encode *kept = tern_arena_zalloc(program->arena, 1, sizeof(*kept));

    if (kept == NULL)
        return tern_arena_fail(program->arena, err, "categories");
    *kept = *encode;
    return tern_program_then(program, &tern_encode_op, kept, TERN_DTYPE_FP64, value, err);
}
