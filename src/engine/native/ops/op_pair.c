/* Operators that make one number of two, element by element, with numpy's broadcasting: Add, Mul,
 * Less, And, ... */
#include <math.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_cells.h"
#include "engine/native/ops/op_dense.h"
#include "engine/native/ops/op_shape.h"

/* Types are arguments of macros, and take no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

/* n elements; a step of 0 is one number for all of them. */
typedef void pair_loop(const void *a, size_t a_step, const void *b, size_t b_step, void *out,
                       size_t n);

static enum tern_code run_pair(const struct tern_step *step, struct tern_program_run *run,
                               struct tern_err *err)
{
    const struct tern_tensor *a = tern_step_in(step, run, 0), *b = tern_step_in(step, run, 1);
    size_t size = tern_op_cells_size(a->dtype), out_size;
    pair_loop *loop = (pair_loop *)step->op->loop;
    struct tern_shape shape;
    struct tern_tensor *out;
    struct tern_op_walk walk;
    size_t steps[2][TERN_RANK_MAX];
    const void *p, *q;

    TERN_TRY(tern_op_shape_broadcast(&a->shape, &b->shape, &shape, err));
    TERN_TRY(tern_op_cells_of(a, run->arena, &p, err));
    TERN_TRY(tern_op_cells_of(b, run->arena, &q, err));
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    if (out->n_bytes == 0)
        return TERN_OK;
    out_size = tern_dtype_size(out->dtype);
    tern_op_shape_steps(&a->shape, &shape, steps[0]);
    tern_op_shape_steps(&b->shape, &shape, steps[1]);
    tern_op_walk_begin(&walk, &shape, steps, 2);
    char *to = out->data;
    for (size_t i = 0; i < walk.n_runs; i++, tern_op_walk_next(&walk, 2)) {
        loop((const char *)p + walk.at[0] * size, walk.run_step[0],
             (const char *)q + walk.at[1] * size, walk.run_step[1], to, walk.run);
        to += walk.run * out_size;
    }
    return TERN_OK;
}

#define PAIR_OPERATOR(id, op_type, pair_loop)                                        \
    TERN_OPERATOR(id, .name = op_type, .run = run_pair, .reach = TERN_REACH_ELEMENT, \
                  .loop = (tern_operator_loop *)pair_loop);

/* The frequent steps are loops of their own, so that the compiler can make vectors of them. */
#define PAIR(name, op_type, type, result, expression)                                       \
    static void name(const void *a, size_t a_step, const void *b, size_t b_step, void *out, \
                     size_t n)                                                              \
    {                                                                                       \
        const type *restrict p = a;                                                         \
        const type *restrict q = b;                                                         \
        result *restrict to = out;                                                          \
        if (a_step == 1 && b_step == 1) {                                                   \
            for (size_t i = 0; i < n; i++) {                                                \
                const type x = p[i], y = q[i];                                              \
                to[i] = (result)(expression);                                               \
            }                                                                               \
        } else if (a_step == 1 && b_step == 0) {                                            \
            const type y = q[0];                                                            \
            for (size_t i = 0; i < n; i++) {                                                \
                const type x = p[i];                                                        \
                to[i] = (result)(expression);                                               \
            }                                                                               \
        } else {                                                                            \
            for (size_t i = 0; i < n; i++) {                                                \
                const type x = p[i * a_step], y = q[i * b_step];                            \
                to[i] = (result)(expression);                                               \
            }                                                                               \
        }                                                                                   \
    }                                                                                       \
    PAIR_OPERATOR(tern_##name##_op, op_type, name)
/* Integers wrap around; what is divided by zero is zero. */
#define PAIR_NUMBERS(name, op_type, floats, i32, i64) \
    PAIR(name##_f32, op_type, float, float, floats)   \
    PAIR(name##_f64, op_type, double, double, floats) \
    PAIR(name##_i32, op_type, int32_t, int32_t, i32)  \
    PAIR(name##_i64, op_type, int64_t, int64_t, i64)
#define PAIR_COMPARE(name, op_type, expression)             \
    PAIR(name##_f32, op_type, float, uint8_t, expression)   \
    PAIR(name##_f64, op_type, double, uint8_t, expression)  \
    PAIR(name##_i32, op_type, int32_t, uint8_t, expression) \
    PAIR(name##_i64, op_type, int64_t, uint8_t, expression)

PAIR_NUMBERS(add, "Add", x + y, (uint32_t)x + (uint32_t)y, (uint64_t)x + (uint64_t)y)
PAIR_NUMBERS(subtract, "Sub", x - y, (uint32_t)x - (uint32_t)y, (uint64_t)x - (uint64_t)y)
PAIR_NUMBERS(multiply, "Mul", x *y, (uint32_t)x *(uint32_t)y, (uint64_t)x *(uint64_t)y)
PAIR_NUMBERS(divide, "Div", x / y,
             y == 0    ? 0
             : y == -1 ? (int32_t)(0u - (uint32_t)x)
                       : x / y,
             y == 0    ? 0
             : y == -1 ? (int64_t)(0u - (uint64_t)x)
                       : x / y)
/* A NaN on either side is the answer. */
PAIR_NUMBERS(larger, "Max", x != x || x > y ? x : y, x > y ? x : y, x > y ? x : y)
PAIR_NUMBERS(smaller, "Min", x != x || x < y ? x : y, x < y ? x : y, x < y ? x : y)
PAIR(power_f32, "Pow", float, float, y == 2 ? x * x : powf(x, y))
PAIR(power_f64, "Pow", double, double, y == 2 ? x * x : pow(x, y))
PAIR(prelu_f32, "PRelu", float, float, x < 0 ? x * y : x)
PAIR(prelu_f64, "PRelu", double, double, x < 0 ? x * y : x)

PAIR_COMPARE(equal, "Equal", x == y)
PAIR_COMPARE(less, "Less", x < y)
PAIR_COMPARE(greater, "Greater", x > y)
PAIR_COMPARE(less_equal, "LessOrEqual", x <= y)
PAIR_COMPARE(greater_equal, "GreaterOrEqual", x >= y)
PAIR(equal_bool, "Equal", uint8_t, uint8_t, (x != 0) == (y != 0))
PAIR(both, "And", uint8_t, uint8_t, x != 0 && y != 0)
PAIR(either, "Or", uint8_t, uint8_t, x != 0 || y != 0)
PAIR(one_of, "Xor", uint8_t, uint8_t, (x != 0) != (y != 0))
PAIR(equal_text, "Equal", struct tern_str, uint8_t, tern_str_eq(x, y))

/* Sum of any number of tensors adds one after another. */
PAIR_OPERATOR(tern_sum_f32_op, "Sum", add_f32)
PAIR_OPERATOR(tern_sum_f64_op, "Sum", add_f64)
PAIR_OPERATOR(tern_sum_i32_op, "Sum", add_i32)
PAIR_OPERATOR(tern_sum_i64_op, "Sum", add_i64)

/* ---- which ---- */

struct row {
    const struct tern_operator *op;
    enum tern_dtype dtype, result;
};

#define REALS(name)                                             \
    {&tern_##name##_f32_op, TERN_DTYPE_FP32, TERN_DTYPE_FP32},  \
    {                                                           \
        &tern_##name##_f64_op, TERN_DTYPE_FP64, TERN_DTYPE_FP64 \
    }
#define NUMBERS(name)                                                         \
    REALS(name), {&tern_##name##_i32_op, TERN_DTYPE_INT32, TERN_DTYPE_INT32}, \
    {                                                                         \
        &tern_##name##_i64_op, TERN_DTYPE_INT64, TERN_DTYPE_INT64             \
    }
#define QUESTION(name)                                              \
    {&tern_##name##_f32_op, TERN_DTYPE_FP32, TERN_DTYPE_BOOL},      \
        {&tern_##name##_f64_op, TERN_DTYPE_FP64, TERN_DTYPE_BOOL},  \
        {&tern_##name##_i32_op, TERN_DTYPE_INT32, TERN_DTYPE_BOOL}, \
    {                                                               \
        &tern_##name##_i64_op, TERN_DTYPE_INT64, TERN_DTYPE_BOOL    \
    }
#define LOGIC(name)                                         \
    {                                                       \
        &tern_##name##_op, TERN_DTYPE_BOOL, TERN_DTYPE_BOOL \
    }

static const struct row rows[] = {
    NUMBERS(add),
    NUMBERS(subtract),
    NUMBERS(multiply),
    NUMBERS(divide),
    NUMBERS(larger),
    NUMBERS(smaller),
    NUMBERS(sum),
    REALS(power),
    REALS(prelu),
    QUESTION(less),
    QUESTION(greater),
    QUESTION(less_equal),
    QUESTION(greater_equal),
    QUESTION(equal),
    LOGIC(equal_bool),
    {&tern_equal_text_op, TERN_DTYPE_BYTES, TERN_DTYPE_BOOL},
    LOGIC(both),
    LOGIC(either),
    LOGIC(one_of),
};

/* By the datatype of all inputs. */
static enum tern_code find_row(struct tern_onnx_node *node, const struct row **ret_row,
                               struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        if (rows[i].dtype != dtype || !tern_str_eq(node->op_type, tern_str_of(rows[i].op->name)))
            continue;
        for (uint32_t k = 1; k < node->n_in; k++)
            TERN_TRY(tern_onnx_node_want(node, k, 1u << dtype, err));
        *ret_row = &rows[i];
        return TERN_OK;
    }
    return tern_onnx_node_want(node, 0, 0, err);
}

enum tern_code tern_op_pair_prepare(struct tern_onnx_node *node, struct tern_err *err)
{
    const struct row *row = NULL;

    if (node->n_in != 2)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s has %u inputs, expected 2",
                         TERN_STR_ARG(node->op_type), node->n_in);
    TERN_TRY(find_row(node, &row, err));
    if (tern_str_eq(node->op_type, TERN_STR("Add")) && tern_op_dense_takes_bias(node))
        return TERN_OK;
    return tern_onnx_node_step(node, row->op, NULL, row->result, err);
}

/* Sum, Max and Min of any number of tensors: one after another. */
enum tern_code tern_op_pair_fold(struct tern_onnx_node *node, struct tern_err *err)
{
    const struct row *row = NULL;
    uint32_t sum = TERN_VALUE_NONE, next, made;

    TERN_TRY(find_row(node, &row, err));
    if (node->n_in == 1)
        return tern_op_form_identity(node, err);
    TERN_TRY(tern_onnx_node_read(node, 0, &sum, err));
    for (uint32_t i = 1; i < node->n_in; i++) {
        TERN_TRY(tern_onnx_node_read(node, i, &next, err));
        TERN_TRY(tern_program_made(node->program, TERN_STR(""), row->result, &made, err));
        TERN_TRY(tern_program_step(node->program, row->op, NULL, (uint32_t[]){sum, next}, 2, &made,
                                   1, err));
        sum = made;
    }
    tern_onnx_node_bind(node, 0, sum);
    return TERN_OK;
}
/* NOLINTEND(bugprone-macro-parentheses) */
