/* Operators that make one number of many: ReduceSum and its kin, ArgMax, ArgMin. */
#include <math.h>
#include <string.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_shape.h"

/* Types are arguments of macros, and take no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

/* One number of n, `step` elements apart. */
typedef void fold_one(const void *in, size_t step, size_t n, void *out);

struct reduce {
    bool keeps_axes;
    bool none_is_none; /* without axes: nothing is reduced, else everything */
    int64_t axes[TERN_RANK_MAX];
    int n_axes;
};

static enum tern_code axes_of(const struct tern_step *step, const struct tern_program_run *run,
                              int rank, uint32_t *ret_axes, struct tern_err *err)
{
    const struct reduce *reduce = step->state;
    const struct tern_tensor *list = tern_step_in(step, run, 1);
    int64_t numbers[TERN_RANK_MAX];
    int n = reduce->n_axes, axis;

    memcpy(numbers, reduce->axes, sizeof(numbers));
    if (list != NULL)
        TERN_TRY(tern_op_shape_numbers(list, numbers, &n, err));
    *ret_axes = n == 0 && !reduce->none_is_none ? UINT32_MAX : 0;
    for (int i = 0; i < n; i++) {
        TERN_TRY(tern_op_shape_axis(numbers[i], rank, &axis, err));
        *ret_axes |= 1u << axis;
    }
    return TERN_OK;
}

/* Where the axes are apart, they are brought to the end first: what is reduced is then n elements
 * in a row, or one axis with its step. */
static enum tern_code bring_together(const struct tern_tensor *x, uint32_t axes, size_t n,
                                     struct tern_arena *arena, const void **ret,
                                     struct tern_err *err)
{
    size_t size = tern_dtype_size(x->dtype), steps[1][TERN_RANK_MAX];
    size_t widths[TERN_RANK_MAX], width = 1;
    struct tern_shape order = {0};
    struct tern_op_walk walk;

    for (int i = x->shape.rank; i-- > 0; width *= (size_t)x->shape.dim[i])
        widths[i] = width;
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (int i = 0; i < x->shape.rank; i++) {
            if ((axes >> i & 1) != pass)
                continue;
            steps[0][order.rank] = widths[i];
            order.dim[order.rank++] = x->shape.dim[i];
        }
    }
    char *to = tern_arena_alloc(arena, 64, n * size + 1);
    if (to == NULL)
        return tern_arena_fail(arena, err, "a tensor");
    *ret = to;
    tern_op_walk_begin(&walk, &order, steps, 1);
    for (size_t r = 0; n > 0 && r < walk.n_runs; r++, tern_op_walk_next(&walk, 1)) {
        for (size_t i = 0; i < walk.run; i++, to += size)
            memcpy(to, (const char *)x->data + (walk.at[0] + i * walk.run_step[0]) * size, size);
    }
    return TERN_OK;
}

/* One axis alone is outer x n x inner. */
static enum tern_code fold_axis(fold_one *fold, const struct tern_tensor *x, int axis,
                                struct tern_tensor *out)
{
    size_t size = tern_dtype_size(x->dtype), n = (size_t)x->shape.dim[axis];
    size_t outer = tern_op_shape_span(&x->shape, 0, axis);
    size_t inner = tern_op_shape_span(&x->shape, axis + 1, x->shape.rank);
    const char *from = x->data;
    char *to = out->data;

    for (size_t i = 0; i < outer && out->n_bytes > 0; i++, from += n * inner * size) {
        for (size_t k = 0; k < inner; k++, to += size)
            fold(from + k * size, inner, n, to);
    }
    return TERN_OK;
}

static struct tern_shape reduced_shape(const struct tern_shape *x, uint32_t axes, bool keeps_axes)
{
    struct tern_shape shape = {0};

    for (int i = 0; i < x->rank; i++) {
        if ((axes >> i & 1) == 0)
            shape.dim[shape.rank++] = x->dim[i];
        else if (keeps_axes)
            shape.dim[shape.rank++] = 1;
    }
    return shape;
}

static enum tern_code run_reduce(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct reduce *reduce = step->state;
    fold_one *fold = (fold_one *)step->op->loop;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t n = tern_op_shape_count(x);
    struct tern_tensor *out;
    const void *from = NULL;
    uint32_t axes;

    TERN_TRY(axes_of(step, run, x->shape.rank, &axes, err));
    if (axes == 0) {
        tern_step_pass(step, run, 0, x, &x->shape);
        return TERN_OK;
    }
    struct tern_shape shape = reduced_shape(&x->shape, axes, reduce->keeps_axes);
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    if ((axes & (axes - 1)) == 0)
        return fold_axis(fold, x, __builtin_ctz(axes), out);
    TERN_TRY(bring_together(x, axes, n, run->arena, &from, err));
    size_t n_out = tern_op_shape_count(out), size = tern_dtype_size(x->dtype);
    for (size_t i = 0; i < n_out; i++)
        fold((const char *)from + i * (n / n_out) * size, 1, n / n_out,
             (char *)out->data + i * size);
    return TERN_OK;
}

#define FOLD_OPERATOR(id, op_type, fold)                                                      \
    TERN_OPERATOR(id, .name = op_type, .run = run_reduce, .loop = (tern_operator_loop *)fold, \
                  TERN_STATE(struct reduce, NULL));
#define FOLD(name, op_type, type, sum_type, start, each, result)       \
    static void name(const void *in, size_t step, size_t n, void *out) \
    {                                                                  \
        const type *from = in;                                         \
        sum_type sum = start;                                          \
        for (size_t i = 0; i < n; i++) {                               \
            const type x = from[i * step];                             \
            each;                                                      \
        }                                                              \
        *(type *)out = (type)(result);                                 \
    }                                                                  \
    FOLD_OPERATOR(tern_reduce_##name##_op, op_type, name)

/* Floats are added as doubles: no order of the sum is worse than another's. */
FOLD(sum_f32, "ReduceSum", float, double, 0, sum += (double)x, sum)
FOLD(sum_f64, "ReduceSum", double, double, 0, sum += x, sum)
FOLD(sum_i32, "ReduceSum", int32_t, uint32_t, 0, sum += (uint32_t)x, sum)
FOLD(sum_i64, "ReduceSum", int64_t, uint64_t, 0, sum += (uint64_t)x, sum)
FOLD(mean_f32, "ReduceMean", float, double, 0, sum += (double)x, sum / (double)n)
FOLD(mean_f64, "ReduceMean", double, double, 0, sum += x, sum / (double)n)
/* cppcheck-suppress invalidFunctionArg ; of nothing the logarithm is -infinity */
FOLD(log_sum_f32, "ReduceLogSum", float, double, 0, sum += (double)x, log(sum))
/* cppcheck-suppress invalidFunctionArg ; the same */
FOLD(log_sum_f64, "ReduceLogSum", double, double, 0, sum += x, log(sum))
FOLD(product_f32, "ReduceProd", float, double, 1, sum *= (double)x, sum)
FOLD(product_f64, "ReduceProd", double, double, 1, sum *= x, sum)
FOLD(squares_f32, "ReduceSumSquare", float, double, 0, sum += (double)x * (double)x, sum)
FOLD(squares_f64, "ReduceSumSquare", double, double, 0, sum += x * x, sum)
FOLD(absolutes_f32, "ReduceL1", float, double, 0, sum += fabs((double)x), sum)
FOLD(absolutes_f64, "ReduceL1", double, double, 0, sum += fabs(x), sum)
FOLD(length_f32, "ReduceL2", float, double, 0, sum += (double)x * (double)x, sqrt(sum))
FOLD(length_f64, "ReduceL2", double, double, 0, sum += x * x, sqrt(sum))
FOLD(largest_f32, "ReduceMax", float, float, -INFINITY, sum = x > sum || x != x ? x : sum, sum)
FOLD(largest_f64, "ReduceMax", double, double, -INFINITY, sum = x > sum || x != x ? x : sum, sum)
FOLD(largest_i32, "ReduceMax", int32_t, int32_t, INT32_MIN, sum = x > sum ? x : sum, sum)
FOLD(largest_i64, "ReduceMax", int64_t, int64_t, INT64_MIN, sum = x > sum ? x : sum, sum)
FOLD(smallest_f32, "ReduceMin", float, float, INFINITY, sum = x < sum || x != x ? x : sum, sum)
FOLD(smallest_f64, "ReduceMin", double, double, INFINITY, sum = x < sum || x != x ? x : sum, sum)
FOLD(smallest_i32, "ReduceMin", int32_t, int32_t, INT32_MAX, sum = x < sum ? x : sum, sum)
FOLD(smallest_i64, "ReduceMin", int64_t, int64_t, INT64_MAX, sum = x < sum ? x : sum, sum)

/* The largest first, so that no power of e overflows. */
#define LOG_SUM_EXP(name, op_type, type)                               \
    static void name(const void *in, size_t step, size_t n, void *out) \
    {                                                                  \
        const type *from = in;                                         \
        double largest = -INFINITY, sum = 0;                           \
        for (size_t i = 0; i < n; i++)                                 \
            largest = fmax(largest, (double)from[i * step]);           \
        double by = isinf(largest) ? 0 : largest;                      \
        for (size_t i = 0; i < n; i++)                                 \
            sum += exp((double)from[i * step] - by);                   \
        *(type *)out = (type)(log(sum) + by);                          \
    }                                                                  \
    FOLD_OPERATOR(tern_reduce_##name##_op, op_type, name)
LOG_SUM_EXP(log_sum_exp_f32, "ReduceLogSumExp", float)
LOG_SUM_EXP(log_sum_exp_f64, "ReduceLogSumExp", double)

/* ---- which ---- */

struct row {
    const struct tern_operator *op;
    enum tern_dtype dtype;
};

#define REALS(name)                                   \
    {&tern_reduce_##name##_f32_op, TERN_DTYPE_FP32},  \
    {                                                 \
        &tern_reduce_##name##_f64_op, TERN_DTYPE_FP64 \
    }
#define NUMBERS(name)                                              \
    REALS(name), {&tern_reduce_##name##_i32_op, TERN_DTYPE_INT32}, \
    {                                                              \
        &tern_reduce_##name##_i64_op, TERN_DTYPE_INT64             \
    }

static const struct row rows[] = {
    NUMBERS(sum),  REALS(mean),      REALS(product),    NUMBERS(largest), REALS(squares),
    REALS(length), REALS(absolutes), NUMBERS(smallest), REALS(log_sum),   REALS(log_sum_exp),
};

static enum tern_code read_axes(struct tern_onnx_node *node, struct reduce *reduce,
                                struct tern_err *err)
{
    struct tern_onnx_ints axes;

    if (tern_onnx_node_has_input(node, 1))
        TERN_TRY(tern_onnx_node_want(node, 1, TERN_ONNX_DTYPE(INT64), err));
    TERN_TRY(tern_onnx_node_ints(node, "axes", &axes, err));
    if (axes.n > TERN_RANK_MAX)
        return tern_onnx_node_refuse(node, "it has too many dimensions", err);
    if (axes.n > 0)
        memcpy(reduce->axes, axes.p, axes.n * sizeof(*axes.p));
    reduce->n_axes = (int)axes.n;
    return TERN_OK;
}

enum tern_code tern_op_reduce_prepare(struct tern_onnx_node *node, struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    const struct row *row = rows, *end = rows + TERN_COUNT_OF(rows);
    int64_t keeps, none_is_none;
    void *state;

    while (row < end &&
           (row->dtype != dtype || !tern_str_eq(node->op_type, tern_str_of(row->op->name))))
        row++;
    if (row == end)
        return tern_onnx_node_want(node, 0, 0, err);
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct reduce), &state, err));
    struct reduce *reduce = state;
    TERN_TRY(read_axes(node, reduce, err));
    TERN_TRY(tern_onnx_node_int(node, "keepdims", 1, &keeps, err));
    TERN_TRY(tern_onnx_node_int(node, "noop_with_empty_axes", 0, &none_is_none, err));
    reduce->keeps_axes = keeps != 0;
    reduce->none_is_none = none_is_none != 0;
    return tern_onnx_node_step(node, row->op, reduce, dtype, err);
}

/* ---- ArgMax, ArgMin ---- */

typedef size_t find_one(const void *in, size_t step, size_t n, bool takes_last);

struct arg {
    int64_t axis;
    bool keeps_axes, takes_last;
};

static enum tern_code run_arg(const struct tern_step *step, struct tern_program_run *run,
                              struct tern_err *err)
{
    const struct arg *arg = step->state;
    find_one *find = (find_one *)step->op->loop;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_tensor *out;
    int axis;

    TERN_TRY(tern_op_shape_axis(arg->axis, x->shape.rank, &axis, err));
    struct tern_shape shape = reduced_shape(&x->shape, 1u << axis, arg->keeps_axes);
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    size_t size = tern_dtype_size(x->dtype), n = (size_t)x->shape.dim[axis];
    size_t outer = tern_op_shape_span(&x->shape, 0, axis);
    size_t inner = tern_op_shape_span(&x->shape, axis + 1, x->shape.rank);
    const char *from = x->data;
    int64_t *to = out->data;
    if (n == 0 && out->n_bytes > 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "there is no element to find");
    for (size_t i = 0; i < outer && out->n_bytes > 0; i++, from += n * inner * size) {
        for (size_t k = 0; k < inner; k++)
            *to++ = (int64_t)find(from + k * size, inner, n, arg->takes_last);
    }
    return TERN_OK;
}

#define FIND_OPERATOR(id, op_type, find_one)                                                   \
    TERN_OPERATOR(id, .name = op_type, .run = run_arg, .loop = (tern_operator_loop *)find_one, \
                  TERN_STATE(struct arg, NULL));
#define FIND(name, op_type, type, better)                                      \
    static size_t name(const void *in, size_t step, size_t n, bool takes_last) \
    {                                                                          \
        const type *from = in;                                                 \
        size_t best = 0;                                                       \
        for (size_t i = 1; i < n; i++) {                                       \
            const type x = from[i * step], y = from[best * step];              \
            if (x better y || (takes_last && x == y))                          \
                best = i;                                                      \
        }                                                                      \
        return best;                                                           \
    }                                                                          \
    FIND_OPERATOR(tern_##name##_op, op_type, name)
FIND(find_max_f32, "ArgMax", float, >)
FIND(find_max_f64, "ArgMax", double, >)
FIND(find_max_i32, "ArgMax", int32_t, >)
FIND(find_max_i64, "ArgMax", int64_t, >)
FIND(find_min_f32, "ArgMin", float, <)
FIND(find_min_f64, "ArgMin", double, <)
FIND(find_min_i32, "ArgMin", int32_t, <)
FIND(find_min_i64, "ArgMin", int64_t, <)

enum tern_code tern_op_reduce_arg(struct tern_onnx_node *node, struct tern_err *err)
{
    bool is_max = tern_str_eq(node->op_type, TERN_STR("ArgMax"));
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    const struct tern_operator *op =
        dtype == TERN_DTYPE_FP32    ? is_max ? &tern_find_max_f32_op : &tern_find_min_f32_op
        : dtype == TERN_DTYPE_FP64  ? is_max ? &tern_find_max_f64_op : &tern_find_min_f64_op
        : dtype == TERN_DTYPE_INT32 ? is_max ? &tern_find_max_i32_op : &tern_find_min_i32_op
        : is_max                    ? &tern_find_max_i64_op
                                    : &tern_find_min_i64_op;
    int64_t keeps, takes_last;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_NUMBERS, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct arg), &state, err));
    struct arg *arg = state;
    TERN_TRY(tern_onnx_node_int(node, "axis", 0, &arg->axis, err));
    TERN_TRY(tern_onnx_node_int(node, "keepdims", 1, &keeps, err));
    TERN_TRY(tern_onnx_node_int(node, "select_last_index", 0, &takes_last, err));
    arg->keeps_axes = keeps != 0;
    arg->takes_last = takes_last != 0;
    return tern_onnx_node_step(node, op, arg, TERN_DTYPE_INT64, err);
}
/* NOLINTEND(bugprone-macro-parentheses) */
