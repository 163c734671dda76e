/* Operators that choose or repeat elements by broadcasting: Where, Expand. */
#include <string.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_cells.h"
#include "engine/native/ops/op_shape.h"

/* ---- Where ---- */

static void choose(const struct tern_op_walk *walk, const uint8_t *is_first, const char *a,
                   const char *b, char *to, size_t size)
{
    for (size_t i = 0; i < walk->run; i++) {
        bool first = is_first[walk->at[0] + i * walk->run_step[0]] != 0;
        size_t from =
            first ? walk->at[1] + i * walk->run_step[1] : walk->at[2] + i * walk->run_step[2];
        memcpy(to + i * size, (first ? a : b) + from * size, size);
    }
}

static enum tern_code run_where(const struct tern_step *step, struct tern_program_run *run,
                                struct tern_err *err)
{
    const struct tern_tensor *in[3];
    size_t steps[3][TERN_RANK_MAX];
    struct tern_op_walk walk;
    struct tern_shape shape;
    const void *a, *b;
    void *to;

    for (uint32_t i = 0; i < 3; i++)
        in[i] = tern_step_in(step, run, i);
    size_t size = tern_op_cells_size(in[1]->dtype);
    TERN_TRY(tern_op_shape_broadcast(&in[1]->shape, &in[2]->shape, &shape, err));
    TERN_TRY(tern_op_shape_broadcast(&in[0]->shape, &shape, &shape, err));
    for (int i = 0; i < 3; i++)
        tern_op_shape_steps(&in[i]->shape, &shape, steps[i]);
    TERN_TRY(tern_op_cells_of(in[1], run->arena, &a, err));
    TERN_TRY(tern_op_cells_of(in[2], run->arena, &b, err));
    TERN_TRY(tern_op_cells_room(step, run, 0, &shape, &to, err));
    if (tern_op_shape_span(&shape, 0, shape.rank) > 0) {
        tern_op_walk_begin(&walk, &shape, steps, 3);
        char *at = to;
        for (size_t i = 0; i < walk.n_runs; i++, tern_op_walk_next(&walk, 3)) {
            choose(&walk, in[0]->data, a, b, at, size);
            at += walk.run * size;
        }
    }
    return tern_op_cells_done(step, run, 0, &shape, to, err);
}

TERN_OPERATOR(tern_where_op, .name = "Where", .run = run_where, .reach = TERN_REACH_ELEMENT);

enum tern_code tern_op_where_prepare(struct tern_onnx_node *node, struct tern_err *err)
{
    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_DTYPE(BOOL), err));
    TERN_TRY(tern_onnx_node_want(node, 1, TERN_ONNX_ANY, err));
    TERN_TRY(tern_onnx_node_want(node, 2, 1u << tern_onnx_node_dtype(node, 1), err));
    return tern_onnx_node_step(node, &tern_where_op, NULL, tern_onnx_node_dtype(node, 1), err);
}

/* ---- Expand ---- */

static enum tern_code run_expand(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t size = tern_op_cells_size(x->dtype), steps[1][TERN_RANK_MAX];
    struct tern_shape shape = {0};
    struct tern_op_walk walk;
    const void *from;
    void *to;

    TERN_TRY(tern_op_shape_numbers(tern_step_in(step, run, 1), shape.dim, &shape.rank, err));
    TERN_TRY(tern_op_shape_broadcast(&x->shape, &shape, &shape, err));
    tern_op_shape_steps(&x->shape, &shape, steps[0]);
    TERN_TRY(tern_op_cells_of(x, run->arena, &from, err));
    TERN_TRY(tern_op_cells_room(step, run, 0, &shape, &to, err));
    if (tern_op_shape_span(&shape, 0, shape.rank) > 0) {
        tern_op_walk_begin(&walk, &shape, steps, 1);
        char *at = to;
        for (size_t i = 0; i < walk.n_runs; i++, tern_op_walk_next(&walk, 1)) {
            tern_op_cells_copy(at, (const char *)from + walk.at[0] * size, walk.run_step[0],
                               walk.run, size);
            at += walk.run * size;
        }
    }
    return tern_op_cells_done(step, run, 0, &shape, to, err);
}

TERN_OPERATOR(tern_expand_op, .name = "Expand", .run = run_expand, .reach = TERN_REACH_MOVED);

enum tern_code tern_op_where_expand(struct tern_onnx_node *node, struct tern_err *err)
{
    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_ANY, err));
    TERN_TRY(tern_onnx_node_want(node, 1, TERN_ONNX_DTYPE(INT64), err));
    return tern_onnx_node_step(node, &tern_expand_op, NULL, tern_onnx_node_dtype(node, 0), err);
}
