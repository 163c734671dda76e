/* Operators that put elements elsewhere: Concat, Split, Slice, Transpose. */
#include <string.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_cells.h"
#include "engine/native/ops/op_shape.h"
#include "engine/native/state.h"

struct axis {
    int64_t axis;
    bool is_equal; /* Split: into parts of one size */
    size_t n_sizes;
    const int64_t *sizes;
};

static void axis_points(const void *state, struct tern_state *to)
{
    const struct axis *axis = state;

    tern_state_cells(to, &axis->sizes, TERN_DTYPE_INT64, axis->n_sizes);
}

static enum tern_code make_axis(struct tern_onnx_node *node, int64_t otherwise,
                                struct axis **ret_axis, struct tern_err *err)
{
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_ANY, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct axis), &state, err));
    *ret_axis = state;
    return tern_onnx_node_int(node, "axis", otherwise, &(*ret_axis)->axis, err);
}

/* ---- Concat ---- */

static enum tern_code concat_shape(const struct tern_step *step, const struct tern_program_run *run,
                                   int axis, struct tern_shape *shape, struct tern_err *err)
{
    *shape = tern_step_in(step, run, 0)->shape;
    for (uint32_t i = 1; i < step->n_in; i++) {
        const struct tern_shape *more = &tern_step_in(step, run, i)->shape;
        bool fits = more->rank == shape->rank;
        for (int d = 0; fits && d < shape->rank; d++)
            fits = d == axis || more->dim[d] == shape->dim[d];
        char one[160], other[160];
        if (!fits || __builtin_add_overflow(shape->dim[axis], more->dim[axis], &shape->dim[axis]))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "shapes %s and %s do not fit",
                             tern_shape_print(shape, one, sizeof(one)),
                             tern_shape_print(more, other, sizeof(other)));
    }
    return TERN_OK;
}

static enum tern_code run_concat(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct axis *settings = step->state;
    const struct tern_tensor *first = tern_step_in(step, run, 0);
    size_t size = tern_op_cells_size(first->dtype), done = 0;
    struct tern_shape shape;
    const void *from;
    void *to;
    int axis;

    TERN_TRY(tern_op_shape_axis(settings->axis, first->shape.rank, &axis, err));
    TERN_TRY(concat_shape(step, run, axis, &shape, err));
    TERN_TRY(tern_op_cells_room(step, run, 0, &shape, &to, err));
    size_t outer = tern_op_shape_span(&shape, 0, axis);
    size_t row = tern_op_shape_span(&shape, axis, shape.rank) * size;
    for (uint32_t i = 0; i < step->n_in; i++) {
        const struct tern_tensor *x = tern_step_in(step, run, i);
        size_t part = tern_op_shape_span(&x->shape, axis, shape.rank) * size;
        TERN_TRY(tern_op_cells_of(x, run->arena, &from, err));
        for (size_t k = 0; k < outer && part > 0; k++)
            memcpy((char *)to + k * row + done, (const char *)from + k * part, part);
        done += part;
    }
    return tern_op_cells_done(step, run, 0, &shape, to, err);
}

TERN_OPERATOR(tern_concat_op, .name = "Concat", .run = run_concat, .reach = TERN_REACH_JOINED,
              TERN_STATE(struct axis, axis_points));

enum tern_code tern_op_move_concat(struct tern_onnx_node *node, struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    struct axis *axis;

    TERN_TRY(make_axis(node, 1, &axis, err));
    for (uint32_t i = 1; i < node->n_in; i++)
        TERN_TRY(tern_onnx_node_want(node, i, 1u << dtype, err));
    return tern_onnx_node_step(node, &tern_concat_op, axis, dtype, err);
}

/* ---- Split ---- */

/* How many elements of the axis part i has; the parts have to be all of it. */
static enum tern_code split_sizes(const struct tern_step *step, const struct tern_program_run *run,
                                  int64_t whole, int64_t *sizes, struct tern_err *err)
{
    const struct axis *settings = step->state;
    const struct tern_tensor *list = tern_step_in(step, run, 1);
    const int64_t *given = list != NULL ? list->data : settings->sizes;
    size_t n = list != NULL ? tern_op_shape_count(list) : settings->n_sizes;
    int64_t part = (whole + step->n_out - 1) / step->n_out, sum = 0;

    for (uint32_t i = 0; i < step->n_out; i++) {
        int64_t left = whole - sum;
        sizes[i] = n == step->n_out ? given[i] : left < part ? left : part;
        if (sizes[i] < 0 || sizes[i] > left)
            break;
        sum += sizes[i];
    }
    if (sum != whole || (n != 0 && n != step->n_out))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%lld elements do not split as asked",
                         (long long)whole);
    return TERN_OK;
}

#define PARTS_MAX 64

static enum tern_code run_split(const struct tern_step *step, struct tern_program_run *run,
                                struct tern_err *err)
{
    const struct axis *settings = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t size = tern_op_cells_size(x->dtype), done = 0;
    int64_t sizes[PARTS_MAX] = {0};
    const void *from;
    void *to;
    int axis;

    TERN_TRY(tern_op_shape_axis(settings->axis, x->shape.rank, &axis, err));
    TERN_TRY(split_sizes(step, run, x->shape.dim[axis], sizes, err));
    TERN_TRY(tern_op_cells_of(x, run->arena, &from, err));
    size_t outer = tern_op_shape_span(&x->shape, 0, axis);
    size_t row = tern_op_shape_span(&x->shape, axis, x->shape.rank) * size;
    for (uint32_t i = 0; i < step->n_out; i++) {
        struct tern_shape shape = x->shape;
        shape.dim[axis] = sizes[i];
        size_t part = tern_op_shape_span(&shape, axis, shape.rank) * size;
        TERN_TRY(tern_op_cells_room(step, run, i, &shape, &to, err));
        for (size_t k = 0; k < outer && part > 0; k++)
            memcpy((char *)to + k * part, (const char *)from + k * row + done, part);
        TERN_TRY(tern_op_cells_done(step, run, i, &shape, to, err));
        done += part;
    }
    return TERN_OK;
}

TERN_OPERATOR(tern_split_op, .name = "Split", .run = run_split, .reach = TERN_REACH_MOVED,
              TERN_STATE(struct axis, axis_points));

enum tern_code tern_op_move_split(struct tern_onnx_node *node, struct tern_err *err)
{
    enum tern_dtype dtypes[PARTS_MAX];
    struct tern_onnx_ints sizes;
    struct axis *axis;
    int64_t n_parts;
    void *copy;

    TERN_TRY(make_axis(node, 0, &axis, err));
    if (tern_onnx_node_has_input(node, 1))
        TERN_TRY(tern_onnx_node_want(node, 1, TERN_ONNX_DTYPE(INT64), err));
    TERN_TRY(tern_onnx_node_int(node, "num_outputs", node->n_out, &n_parts, err));
    TERN_TRY(tern_onnx_node_ints(node, "split", &sizes, err));
    if (n_parts != node->n_out || n_parts == 0 || n_parts > PARTS_MAX)
        return tern_onnx_node_refuse(node, "it has too many parts", err);
    TERN_TRY(tern_onnx_node_state(node, (sizes.n + 1) * sizeof(*sizes.p), &copy, err));
    if (sizes.n > 0)
        memcpy(copy, sizes.p, sizes.n * sizeof(*sizes.p));
    axis->sizes = copy;
    axis->n_sizes = sizes.n;
    for (uint32_t i = 0; i < node->n_out; i++)
        dtypes[i] = tern_onnx_node_dtype(node, 0);
    return tern_onnx_node_steps(node, &tern_split_op, axis, node->n_in, dtypes, node->n_out, err);
}

/* ---- a tensor walked in another order ---- */

/* The element at `first`, then along `steps`, which may go backwards: sums wrap around. */
static enum tern_code gather_walk(const struct tern_step *step, struct tern_program_run *run,
                                  const struct tern_tensor *x, const struct tern_shape *shape,
                                  size_t first, size_t steps[][TERN_RANK_MAX], struct tern_err *err)
{
    size_t size = tern_op_cells_size(x->dtype);
    struct tern_op_walk walk;
    const void *from;
    void *to;

    TERN_TRY(tern_op_cells_of(x, run->arena, &from, err));
    TERN_TRY(tern_op_cells_room(step, run, 0, shape, &to, err));
    if (tern_op_shape_span(shape, 0, shape->rank) > 0) {
        tern_op_walk_begin(&walk, shape, steps, 1);
        char *at = to;
        for (size_t i = 0; i < walk.n_runs; i++, tern_op_walk_next(&walk, 1)) {
            const char *begin = (const char *)from + (first + walk.at[0]) * size;
            tern_op_cells_copy(at, begin, walk.run_step[0], walk.run, size);
            at += walk.run * size;
        }
    }
    return tern_op_cells_done(step, run, 0, shape, to, err);
}

/* ---- Slice ---- */

struct slice {
    int64_t starts[TERN_RANK_MAX], ends[TERN_RANK_MAX], axes[TERN_RANK_MAX];
    int n, n_axes;
};

struct cut {
    int64_t starts[TERN_RANK_MAX], ends[TERN_RANK_MAX], axes[TERN_RANK_MAX], by[TERN_RANK_MAX];
    int n;
};

static enum tern_code read_cut(const struct tern_step *step, const struct tern_program_run *run,
                               struct cut *cut, struct tern_err *err)
{
    const struct slice *slice = step->state;
    int64_t *const lists[] = {NULL, cut->starts, cut->ends, cut->axes, cut->by};
    int counts[] = {0, slice->n, slice->n, slice->n_axes, 0};

    memcpy(cut->starts, slice->starts, sizeof(slice->starts));
    memcpy(cut->ends, slice->ends, sizeof(slice->ends));
    memcpy(cut->axes, slice->axes, sizeof(slice->axes));
    for (uint32_t i = 1; i < 5; i++) {
        const struct tern_tensor *list = tern_step_in(step, run, i);
        if (list != NULL)
            TERN_TRY(tern_op_shape_numbers(list, lists[i], &counts[i], err));
    }
    cut->n = counts[1];
    if (counts[2] != cut->n || (counts[3] != 0 && counts[3] != cut->n) ||
        (counts[4] != 0 && counts[4] != cut->n))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "its lists have several lengths");
    for (int i = 0; i < cut->n; i++) {
        cut->axes[i] = counts[3] == 0 ? i : cut->axes[i];
        cut->by[i] = counts[4] == 0 ? 1 : cut->by[i];
    }
    return TERN_OK;
}

/* numpy's start:end:by along a dimension of n: from where, and how many. */
static int64_t cut_axis(int64_t n, int64_t *start, int64_t end, int64_t by)
{
    int64_t low = by > 0 ? 0 : -1, high = by > 0 ? n : n - 1;

    *start = *start < 0 ? (*start < -n ? low : *start + n) : *start;
    *start = *start < low ? low : *start > high ? high : *start;
    end = end < 0 ? (end < -n ? low : end + n) : end;
    end = end < low ? low : end > high ? high : end;
    int64_t span = by > 0 ? end - *start : *start - end;
    uint64_t by_size = by > 0 ? (uint64_t)by : 0 - (uint64_t)by;
    return span <= 0 ? 0 : (int64_t)(((uint64_t)span - 1) / by_size) + 1;
}

static enum tern_code run_slice(const struct tern_step *step, struct tern_program_run *run,
                                struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_shape shape = x->shape;
    size_t steps[1][TERN_RANK_MAX], first = 0;
    struct cut cut;
    uint32_t seen = 0;
    int axis;

    TERN_TRY(read_cut(step, run, &cut, err));
    for (size_t i = (size_t)shape.rank, width = 1; i-- > 0; width *= (size_t)x->shape.dim[i])
        steps[0][i] = width;
    for (int i = 0; i < cut.n; i++) {
        TERN_TRY(tern_op_shape_axis(cut.axes[i], shape.rank, &axis, err));
        if (cut.by[i] == 0 || (seen >> axis & 1) != 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "a step of zero, or an axis twice");
        seen |= 1u << axis;
        shape.dim[axis] = cut_axis(shape.dim[axis], &cut.starts[i], cut.ends[i], cut.by[i]);
        first += (size_t)cut.starts[i] * steps[0][axis];
        steps[0][axis] *= (size_t)cut.by[i];
    }
    return gather_walk(step, run, x, &shape, first, steps, err);
}

TERN_OPERATOR(tern_slice_op, .name = "Slice", .run = run_slice, .reach = TERN_REACH_MOVED,
              TERN_STATE(struct slice, NULL));

static enum tern_code slice_list(struct tern_onnx_node *node, const char *name, int64_t *list,
                                 int *ret_n, struct tern_err *err)
{
    struct tern_onnx_ints ints;

    TERN_TRY(tern_onnx_node_ints(node, name, &ints, err));
    if (ints.n > TERN_RANK_MAX)
        return tern_onnx_node_refuse(node, "it has too many dimensions", err);
    if (ints.n > 0)
        memcpy(list, ints.p, ints.n * sizeof(*list));
    *ret_n = (int)ints.n;
    return TERN_OK;
}

enum tern_code tern_op_move_slice(struct tern_onnx_node *node, struct tern_err *err)
{
    int n_ends;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_ANY, err));
    for (uint32_t i = 1; i < node->n_in; i++)
        if (tern_onnx_node_has_input(node, i))
            TERN_TRY(tern_onnx_node_want(node, i, TERN_ONNX_INTS, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct slice), &state, err));
    struct slice *slice = state;
    TERN_TRY(slice_list(node, "starts", slice->starts, &slice->n, err));
    TERN_TRY(slice_list(node, "ends", slice->ends, &n_ends, err));
    TERN_TRY(slice_list(node, "axes", slice->axes, &slice->n_axes, err));
    if (n_ends != slice->n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator Slice: its lists have two lengths");
    return tern_onnx_node_step(node, &tern_slice_op, slice, tern_onnx_node_dtype(node, 0), err);
}

/* ---- Transpose ---- */

static enum tern_code run_transpose(const struct tern_step *step, struct tern_program_run *run,
                                    struct tern_err *err)
{
    const struct slice *order = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_shape shape = {.rank = x->shape.rank};
    size_t widths[TERN_RANK_MAX], steps[1][TERN_RANK_MAX];
    uint32_t seen = 0;
    int from;

    if (order->n != 0 && order->n != shape.rank)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "it has %d axes, the tensor %d", order->n,
                         shape.rank);
    for (size_t i = (size_t)shape.rank, width = 1; i-- > 0; width *= (size_t)x->shape.dim[i])
        widths[i] = width;
    for (int i = 0; i < shape.rank; i++) {
        int64_t axis = order->n == 0 ? shape.rank - 1 - i : order->axes[i];
        TERN_TRY(tern_op_shape_axis(axis, shape.rank, &from, err));
        if ((seen >> from & 1) != 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "axis %d comes twice", from);
        seen |= 1u << from;
        shape.dim[i] = x->shape.dim[from];
        steps[0][i] = widths[from];
    }
    return gather_walk(step, run, x, &shape, 0, steps, err);
}

TERN_OPERATOR(tern_transpose_op, .name = "Transpose", .run = run_transpose,
              .reach = TERN_REACH_MOVED, TERN_STATE(struct slice, NULL));

enum tern_code tern_op_move_transpose(struct tern_onnx_node *node, struct tern_err *err)
{
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_ANY, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct slice), &state, err));
    struct slice *order = state;
    TERN_TRY(slice_list(node, "perm", order->axes, &order->n, err));
    return tern_onnx_node_step(node, &tern_transpose_op, order, tern_onnx_node_dtype(node, 0), err);
}
