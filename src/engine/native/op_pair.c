/* Operators that make one number of two, element by element, with numpy's broadcasting: Add, Mul,
 * Less, And, ... */
#include <math.h>
#include "engine/native/onnx_ops.h"
#include "engine/native/op_cells.h"
#include "engine/native/op_dense.h"
#include "engine/native/op_shape.h"

/* Types are arguments of macros, and take no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

/* n elements; a step of 0 is one number for all of them. */
typedef void pair_loop(const void *a, size_t a_step, const void *b, size_t b_step, void *out,
                       size_t n);

/* The frequent steps are loops of their own, so that the compiler can make vectors of them. */
#define PAIR(name, type, result, expression)                                                \
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
    }
/* Integers wrap around; what is divided by zero is zero. */
#define PAIR_NUMBERS(name, floats, i32, i64) \
    PAIR(name##_f32, float, float, floats)   \
    PAIR(name##_f64, double, double, floats) \
    PAIR(name##_i32, int32_t, int32_t, i32)  \
    PAIR(name##_i64, int64_t, int64_t, i64)
#define PAIR_COMPARE(name, expression)             \
    PAIR(name##_f32, float, uint8_t, expression)   \
    PAIR(name##_f64, double, uint8_t, expression)  \
    PAIR(name##_i32, int32_t, uint8_t, expression) \
    PAIR(name##_i64, int64_t, uint8_t, expression)

PAIR_NUMBERS(add, x + y, (uint32_t)x + (uint32_t)y, (uint64_t)x + (uint64_t)y)
PAIR_NUMBERS(subtract, x - y, (uint32_t)x - (uint32_t)y, (uint64_t)x - (uint64_t)y)
PAIR_NUMBERS(multiply, x *y, (uint32_t)x *(uint32_t)y, (uint64_t)x *(uint64_t)y)
PAIR_NUMBERS(divide, x / y,
             y == 0    ? 0
             : y == -1 ? (int32_t)(0u - (uint32_t)x)
                       : x / y,
             y == 0    ? 0
             : y == -1 ? (int64_t)(0u - (uint64_t)x)
                       : x / y)
/* A NaN on either side is the answer. */
PAIR_NUMBERS(larger, x != x || x > y ? x : y, x > y ? x : y, x > y ? x : y)
PAIR_NUMBERS(smaller, x != x || x < y ? x : y, x < y ? x : y, x < y ? x : y)
PAIR(power_f32, float, float, y == 2 ? x * x : powf(x, y))
PAIR(power_f64, double, double, y == 2 ? x * x : pow(x, y))
PAIR(prelu_f32, float, float, x < 0 ? x * y : x)
PAIR(prelu_f64, double, double, x < 0 ? x * y : x)

PAIR_COMPARE(equal, x == y)
PAIR_COMPARE(less, x < y)
PAIR_COMPARE(greater, x > y)
PAIR_COMPARE(less_equal, x <= y)
PAIR_COMPARE(greater_equal, x >= y)
PAIR(equal_bool, uint8_t, uint8_t, (x != 0) == (y != 0))
PAIR(both, uint8_t, uint8_t, x != 0 && y != 0)
PAIR(either, uint8_t, uint8_t, x != 0 || y != 0)
PAIR(one_of, uint8_t, uint8_t, (x != 0) != (y != 0))
PAIR(equal_text, struct tern_str, uint8_t, tern_str_eq(x, y))

struct pair {
    pair_loop *loop;
    size_t size, out_size; /* of an element */
};

static enum tern_code run_pair(const struct tern_step *step, struct tern_program_run *run,
                               struct tern_err *err)
{
    const struct pair *pair = step->state;
    const struct tern_tensor *a = tern_step_in(step, run, 0), *b = tern_step_in(step, run, 1);
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
    tern_op_shape_steps(&a->shape, &shape, steps[0]);
    tern_op_shape_steps(&b->shape, &shape, steps[1]);
    tern_op_walk_begin(&walk, &shape, steps, 2);
    char *to = out->data;
    for (size_t i = 0; i < walk.n_runs; i++, tern_op_walk_next(&walk, 2)) {
        pair->loop((const char *)p + walk.at[0] * pair->size, walk.run_step[0],
                   (const char *)q + walk.at[1] * pair->size, walk.run_step[1], to, walk.run);
        to += walk.run * pair->out_size;
    }
    return TERN_OK;
}

/* ---- which loop ---- */

struct row {
    struct tern_operator op;
    pair_loop *f32, *f64, *i32, *i64, *boolean, *text;
    bool is_question; /* the result is BOOL */
};

#define ELEMENTS(op_type)                                               \
    {                                                                   \
        .name = (op_type), .run = run_pair, .reach = TERN_REACH_ELEMENT \
    }
#define NUMBERS(op_type, name)                                                               \
    {                                                                                        \
        ELEMENTS(op_type), name##_f32, name##_f64, name##_i32, name##_i64, NULL, NULL, false \
    }
#define REALS(op_type, name)                                                     \
    {                                                                            \
        ELEMENTS(op_type), name##_f32, name##_f64, NULL, NULL, NULL, NULL, false \
    }
#define QUESTION(op_type, name)                                                             \
    {                                                                                       \
        ELEMENTS(op_type), name##_f32, name##_f64, name##_i32, name##_i64, NULL, NULL, true \
    }
#define LOGIC(op_type, name)                                        \
    {                                                               \
        ELEMENTS(op_type), NULL, NULL, NULL, NULL, name, NULL, true \
    }

static const struct row rows[] = {
    NUMBERS("Add", add),
    NUMBERS("Sub", subtract),
    NUMBERS("Mul", multiply),
    NUMBERS("Div", divide),
    NUMBERS("Max", larger),
    NUMBERS("Min", smaller),
    NUMBERS("Sum", add),
    REALS("Pow", power),
    REALS("PRelu", prelu),
    QUESTION("Less", less),
    QUESTION("Greater", greater),
    QUESTION("LessOrEqual", less_equal),
    QUESTION("GreaterOrEqual", greater_equal),
    {ELEMENTS("Equal"), equal_f32, equal_f64, equal_i32, equal_i64, equal_bool, equal_text, true},
    LOGIC("And", both),
    LOGIC("Or", either),
    LOGIC("Xor", one_of),
};

static const struct row *row_of(const struct tern_onnx_node *node)
{
    const struct row *row = rows;

    while (!tern_str_eq(node->op_type, tern_str_of(row->op.name)))
        row++;
    return row;
}

static pair_loop *loop_of(const struct row *row, enum tern_dtype dtype)
{
    const struct {
        enum tern_dtype dtype;
        pair_loop *loop;
    } loops[] = {
        {TERN_DTYPE_FP32, row->f32},     {TERN_DTYPE_FP64, row->f64},
        {TERN_DTYPE_INT32, row->i32},    {TERN_DTYPE_INT64, row->i64},
        {TERN_DTYPE_BOOL, row->boolean}, {TERN_DTYPE_BYTES, row->text},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(loops); i++)
        if (loops[i].dtype == dtype)
            return loops[i].loop;
    return NULL;
}

static enum tern_code make_pair(struct tern_onnx_node *node, const struct row *row,
                                struct pair **ret_pair, struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    pair_loop *loop = loop_of(row, dtype);
    void *state;

    if (loop == NULL)
        return tern_onnx_node_want(node, 0, 0, err);
    for (uint32_t i = 1; i < node->n_in; i++)
        TERN_TRY(tern_onnx_node_want(node, i, 1u << dtype, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct pair), &state, err));
    *ret_pair = state;
    **ret_pair = (struct pair){
        .loop = loop,
        .size = tern_op_cells_size(dtype),
        .out_size = row->is_question ? 1 : tern_dtype_size(dtype),
    };
    return TERN_OK;
}

static enum tern_dtype result_of(const struct tern_onnx_node *node, const struct row *row)
{
    return row->is_question ? TERN_DTYPE_BOOL : tern_onnx_node_dtype(node, 0);
}

enum tern_code tern_op_pair_prepare(struct tern_onnx_node *node, struct tern_err *err)
{
    const struct row *row = row_of(node);
    struct pair *pair;

    if (node->n_in != 2)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %s has %u inputs, expected 2",
                         row->op.name, node->n_in);
    TERN_TRY(make_pair(node, row, &pair, err));
    if (tern_str_eq(node->op_type, TERN_STR("Add")) && tern_op_dense_takes_bias(node))
        return TERN_OK;
    return tern_onnx_node_step(node, &row->op, pair, result_of(node, row), err);
}

/* Sum, Max and Min of any number of tensors: one after another. */
enum tern_code tern_op_pair_fold(struct tern_onnx_node *node, struct tern_err *err)
{
    const struct row *row = row_of(node);
    struct pair *pair = NULL;
    uint32_t sum = TERN_VALUE_NONE, next, made;

    TERN_TRY(make_pair(node, row, &pair, err));
    if (node->n_in == 1)
        return tern_op_form_identity(node, err);
    TERN_TRY(tern_onnx_node_read(node, 0, &sum, err));
    for (uint32_t i = 1; i < node->n_in; i++) {
        TERN_TRY(tern_onnx_node_read(node, i, &next, err));
        TERN_TRY(tern_program_made(node->program, TERN_STR(""), tern_onnx_node_dtype(node, 0),
                                   &made, err));
        TERN_TRY(tern_program_step(node->program, &row->op, pair, (uint32_t[]){sum, next}, 2, &made,
                                   1, err));
        sum = made;
    }
    tern_onnx_node_bind(node, 0, sum);
    return TERN_OK;
}
/* NOLINTEND(bugprone-macro-parentheses) */
