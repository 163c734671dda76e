#include "engine/native/ops/op_shape.h"

#include <string.h>

enum tern_code tern_op_shape_axis(int64_t axis, int rank, int *ret_axis, struct tern_err *err)
{
    if (axis < -rank || axis >= rank)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "there is no axis %lld among %d",
                         (long long)axis, rank);
    *ret_axis = (int)(axis < 0 ? axis + rank : axis);
    return TERN_OK;
}

size_t tern_op_shape_span(const struct tern_shape *shape, int from, int to)
{
    size_t n = 1;

    for (int i = from; i < to; i++)
        n *= (size_t)shape->dim[i];
    return n;
}

size_t tern_op_shape_count(const struct tern_tensor *tensor)
{
    return tern_op_shape_span(&tensor->shape, 0, tensor->shape.rank);
}

enum tern_code tern_op_shape_broadcast(const struct tern_shape *a, const struct tern_shape *b,
                                       struct tern_shape *ret_shape, struct tern_err *err)
{
    struct tern_shape shape = {.rank = a->rank > b->rank ? a->rank : b->rank};
    char one[160], other[160];

    for (int i = 1; i <= shape.rank; i++) {
        int64_t x = i <= a->rank ? a->dim[a->rank - i] : 1;
        int64_t y = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (x != y && x != 1 && y != 1)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "shapes %s and %s do not fit",
                             tern_shape_print(a, one, sizeof(one)),
                             tern_shape_print(b, other, sizeof(other)));
        shape.dim[shape.rank - i] = x == 1 ? y : x;
    }
    *ret_shape = shape;
    return TERN_OK;
}

void tern_op_shape_steps(const struct tern_shape *of, const struct tern_shape *out,
                         size_t steps[TERN_RANK_MAX])
{
    size_t step = 1;

    for (int i = 1; i <= out->rank; i++) {
        int64_t dim = i <= of->rank ? of->dim[of->rank - i] : 1;
        steps[out->rank - i] = dim == 1 ? 0 : step;
        step *= (size_t)dim;
    }
}

void tern_op_walk_begin(struct tern_op_walk *walk, const struct tern_shape *out,
                        size_t steps[][TERN_RANK_MAX], int n)
{
    memset(walk, 0, sizeof(*walk));
    walk->run = 1;
    walk->n_runs = 1;
    int i = out->rank - 1;
    /* The innermost dimensions, as long as each tensor goes on in one step. */
    for (bool joins = true; i >= 0; i--) {
        for (int t = 0; t < n && walk->run > 1; t++)
            joins = joins && (out->dim[i] == 1 || steps[t][i] == walk->run_step[t] * walk->run);
        if (!joins)
            break;
        for (int t = 0; t < n && walk->run == 1; t++)
            walk->run_step[t] = steps[t][i];
        walk->run *= (size_t)out->dim[i];
    }
    walk->rank = i + 1;
    for (; i >= 0; i--) {
        walk->dim[i] = (size_t)out->dim[i];
        walk->n_runs *= walk->dim[i];
        for (int t = 0; t < n; t++)
            walk->step[t][i] = steps[t][i];
    }
}

void tern_op_walk_next(struct tern_op_walk *walk, int n)
{
    for (int i = walk->rank - 1; i >= 0; i--) {
        for (int t = 0; t < n; t++)
            walk->at[t] += walk->step[t][i];
        if (++walk->index[i] < walk->dim[i])
            return;
        for (int t = 0; t < n; t++)
            walk->at[t] -= walk->step[t][i] * walk->dim[i];
        walk->index[i] = 0;
    }
}

enum tern_code tern_op_shape_numbers(const struct tern_tensor *tensor, int64_t *numbers, int *ret_n,
                                     struct tern_err *err)
{
    size_t n = tern_op_shape_count(tensor);

    if (tensor->shape.rank > 1 || n > TERN_RANK_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a list of at most %d numbers is expected",
                         TERN_RANK_MAX);
    for (size_t i = 0; i < n; i++)
        numbers[i] = tensor->dtype == TERN_DTYPE_INT64 ? ((const int64_t *)tensor->data)[i]
                                                       : ((const int32_t *)tensor->data)[i];
    *ret_n = (int)n;
    return TERN_OK;
}
