/* What operators need to know of shapes: axes, broadcasting, and how to walk several tensors at a
 * time. Counts of elements that are in memory do not overflow; those of shapes that are yet to be
 * made are checked by tern_step_out. */
#ifndef TERN_ENGINE_NATIVE_OP_SHAPE_H
#define TERN_ENGINE_NATIVE_OP_SHAPE_H

#include "base/arena.h"
#include "core/tensor.h"
#include "engine/native/program.h"

/* -1 is the last axis. `rank` may be one more than the tensor's where an axis is made. */
enum tern_code tern_op_shape_axis(int64_t axis, int rank, int *ret_axis, struct tern_err *err);
/* Elements of the dimensions from..to-1. */
size_t tern_op_shape_span(const struct tern_shape *shape, int from, int to);
/* Of a tensor that carries data. */
size_t tern_op_shape_count(const struct tern_tensor *tensor);
/* numpy's rule: aligned at the last dimension, 1 fits all. */
enum tern_code tern_op_shape_broadcast(const struct tern_shape *a, const struct tern_shape *b,
                                       struct tern_shape *ret_shape, struct tern_err *err);
/* How far the next element along each dimension of `out` is in a tensor of shape `of` that fits it
 * by broadcasting. */
void tern_op_shape_steps(const struct tern_shape *of, const struct tern_shape *out,
                         size_t steps[TERN_RANK_MAX]);

/* A walk over all elements of a shape in order, in runs along the innermost dimension, with the
 * places of up to three tensors. */
#define TERN_OP_WALK_MAX 3
struct tern_op_walk {
    int rank; /* of the outer dimensions */
    size_t dim[TERN_RANK_MAX];
    size_t step[TERN_OP_WALK_MAX][TERN_RANK_MAX];
    size_t index[TERN_RANK_MAX];
    size_t run;                        /* elements of a run */
    size_t run_step[TERN_OP_WALK_MAX]; /* within a run */
    size_t at[TERN_OP_WALK_MAX];       /* where this run begins */
    size_t n_runs;
};
/* Dimensions that are walked as one are joined, so that most walks are a single run. */
void tern_op_walk_begin(struct tern_op_walk *walk, const struct tern_shape *out,
                        size_t steps[][TERN_RANK_MAX], int n);
void tern_op_walk_next(struct tern_op_walk *walk, int n);

/* The numbers of an INT64 or INT32 tensor of one dimension: axes, shapes. At most TERN_RANK_MAX. */
enum tern_code tern_op_shape_numbers(const struct tern_tensor *tensor, int64_t *numbers, int *ret_n,
                                     struct tern_err *err);

#endif
