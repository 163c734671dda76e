/* Operators that pick parts by their index: Gather, and ArrayFeatureExtractor, which is Gather
 * along the last axis. */
#include <string.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_cells.h"
#include "engine/native/ops/op_shape.h"

struct gather {
    int64_t axis;
    bool counts_back; /* -1 is the last */
};

static enum tern_code index_at(const struct tern_tensor *indices, size_t i, int64_t n,
                               bool counts_back, size_t *ret, struct tern_err *err)
{
    int64_t index = indices->dtype == TERN_DTYPE_INT64 ? ((const int64_t *)indices->data)[i]
                                                       : ((const int32_t *)indices->data)[i];
    if (index < (counts_back ? -n : 0) || index >= n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "there is no element %lld among %lld",
                         (long long)index, (long long)n);
    *ret = (size_t)(index < 0 ? index + n : index);
    return TERN_OK;
}

/* The shape of x, with that of the indices in the place of the axis. */
static enum tern_code gather_shape(const struct tern_shape *x, int axis,
                                   const struct tern_shape *indices, struct tern_shape *shape,
                                   struct tern_err *err)
{
    shape->rank = x->rank - 1 + indices->rank;
    if (shape->rank > TERN_RANK_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "more than %d dimensions", TERN_RANK_MAX);
    for (int i = 0; i < axis; i++)
        shape->dim[i] = x->dim[i];
    for (int i = 0; i < indices->rank; i++)
        shape->dim[axis + i] = indices->dim[i];
    for (int i = axis + 1; i < x->rank; i++)
        shape->dim[i - 1 + indices->rank] = x->dim[i];
    return TERN_OK;
}

static enum tern_code gather(const struct tern_step *step, struct tern_program_run *run, int axis,
                             const struct tern_shape *shape, struct tern_err *err)
{
    const struct gather *settings = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0), *indices = tern_step_in(step, run, 1);
    size_t outer = tern_op_shape_span(&x->shape, 0, axis);
    size_t inner =
        tern_op_shape_span(&x->shape, axis + 1, x->shape.rank) * tern_op_cells_size(x->dtype);
    size_t n = tern_op_shape_count(indices), row = (size_t)x->shape.dim[axis] * inner, index = 0;
    const void *from;
    void *to;

    TERN_TRY(tern_op_cells_of(x, run->arena, &from, err));
    TERN_TRY(tern_op_cells_room(step, run, 0, shape, &to, err));
    for (size_t i = 0; i < n; i++) {
        TERN_TRY(index_at(indices, i, x->shape.dim[axis], settings->counts_back, &index, err));
        for (size_t k = 0; k < outer && inner > 0; k++)
            memcpy((char *)to + (k * n + i) * inner, (const char *)from + k * row + index * inner,
                   inner);
    }
    return tern_op_cells_done(step, run, 0, shape, to, err);
}

static enum tern_code run_gather(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct gather *settings = step->state;
    const struct tern_shape *x = &tern_step_in(step, run, 0)->shape;
    struct tern_shape shape = {0};
    int axis;

    TERN_TRY(tern_op_shape_axis(settings->axis, x->rank, &axis, err));
    TERN_TRY(gather_shape(x, axis, &tern_step_in(step, run, 1)->shape, &shape, err));
    return gather(step, run, axis, &shape, err);
}

TERN_OPERATOR(tern_gather_op, .name = "Gather", .run = run_gather, .reach = TERN_REACH_MOVED,
              TERN_STATE(struct gather, NULL));

enum tern_code tern_op_gather_prepare(struct tern_onnx_node *node, struct tern_err *err)
{
    struct gather *settings;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_ANY, err));
    TERN_TRY(tern_onnx_node_want(node, 1, TERN_ONNX_INTS, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(*settings), &state, err));
    settings = state;
    settings->counts_back = true;
    TERN_TRY(tern_onnx_node_int(node, "axis", 0, &settings->axis, err));
    return tern_onnx_node_step(node, &tern_gather_op, settings, tern_onnx_node_dtype(node, 0), err);
}

/* What has one dimension is a single row, and so is what comes of it. */
static enum tern_code run_features(const struct tern_step *step, struct tern_program_run *run,
                                   struct tern_err *err)
{
    const struct tern_shape *x = &tern_step_in(step, run, 0)->shape;
    size_t n = tern_op_shape_count(tern_step_in(step, run, 1));
    struct tern_shape shape = *x;

    if (x->rank == 0 || n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "there is nothing to pick");
    if (x->rank == 1)
        shape = (struct tern_shape){2, {1, 0}};
    shape.dim[shape.rank - 1] = (int64_t)n;
    return gather(step, run, x->rank - 1, &shape, err);
}

TERN_OPERATOR(tern_features_op, .name = "ArrayFeatureExtractor", .run = run_features,
              .reach = TERN_REACH_MOVED, TERN_STATE(struct gather, NULL));

enum tern_code tern_op_gather_features(struct tern_onnx_node *node, struct tern_err *err)
{
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_ANY, err));
    TERN_TRY(tern_onnx_node_want(node, 1, TERN_ONNX_DTYPE(INT64), err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct gather), &state, err));
    return tern_onnx_node_step(node, &tern_features_op, state, tern_onnx_node_dtype(node, 0), err);
}
