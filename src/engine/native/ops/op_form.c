/* Operators that change what a tensor is called or how it is shaped, and those that need no input:
 * Identity, Dropout, Constant, ConstantOfShape, Shape, Reshape, Flatten, Squeeze, Unsqueeze. */
#include <string.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_cells.h"
#include "engine/native/ops/op_form.h"
#include "engine/native/ops/op_shape.h"

/* ---- the same elements ---- */

static enum tern_code run_copy(const struct tern_step *step, struct tern_program_run *run,
                               struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_tensor copy = *x;

    copy.data = tern_arena_alloc(run->arena, 64, x->n_bytes > 0 ? x->n_bytes : 1);
    if (copy.data == NULL)
        return tern_arena_fail(run->arena, err, "a tensor");
    if (x->n_bytes > 0)
        memcpy(copy.data, x->data, x->n_bytes);
    tern_step_pass(step, run, 0, &copy, &x->shape);
    return TERN_OK;
}

TERN_OPERATOR(tern_copy_op, .name = "Identity", .run = run_copy, .reach = TERN_REACH_ELEMENT);

enum tern_code tern_op_form_copy(struct tern_program *program, uint32_t *value,
                                 struct tern_err *err)
{
    return tern_program_then(program, &tern_copy_op, NULL, program->values[*value].tensor.dtype,
                             value, err);
}

/* Output 0 is input 0, and what is known of it stays known. */
static enum tern_code pass(struct tern_onnx_node *node, struct tern_err *err)
{
    uint32_t value;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_ANY, err));
    if (node->n_out == 0 || node->out[0] == NULL)
        return TERN_OK;
    if (node->in[0]->constant != NULL) {
        node->out[0]->constant = node->in[0]->constant;
        node->out[0]->dtype = node->in[0]->dtype;
        return TERN_OK;
    }
    TERN_TRY(tern_onnx_node_read(node, 0, &value, err));
    tern_onnx_node_bind(node, 0, value);
    return TERN_OK;
}

enum tern_code tern_op_form_identity(struct tern_onnx_node *node, struct tern_err *err)
{
    return pass(node, err);
}

/* Drops nothing when it is not training. Its mask is not made. */
enum tern_code tern_op_form_dropout(struct tern_onnx_node *node, struct tern_err *err)
{
    const struct tern_tensor *training = tern_onnx_node_constant(node, 2);

    tern_onnx_node_ignore(node, "ratio");
    tern_onnx_node_ignore(node, "seed");
    if (tern_onnx_node_has_input(node, 2) &&
        (training == NULL || training->dtype != TERN_DTYPE_BOOL || training->n_bytes != 1 ||
         *(const uint8_t *)training->data != 0))
        return tern_onnx_node_refuse(node, "it may be training", err);
    return pass(node, err);
}

/* ---- constants ---- */

/* Rank 0 with one element, or rank 1. */
static enum tern_code make_list(struct tern_onnx_node *node, enum tern_dtype dtype, const void *p,
                                size_t n, bool is_scalar, struct tern_tensor *tensor,
                                struct tern_err *err)
{
    *tensor = (struct tern_tensor){.dtype = dtype, .n_bytes = n * tern_dtype_size(dtype)};
    tensor->data = tern_arena_alloc(node->scratch, 64, tensor->n_bytes > 0 ? tensor->n_bytes : 1);
    if (tensor->data == NULL)
        return tern_arena_fail(node->scratch, err, "a constant");
    if (n > 0)
        memcpy(tensor->data, p, tensor->n_bytes);
    tensor->shape = (struct tern_shape){.rank = is_scalar ? 0 : 1};
    if (!is_scalar)
        tensor->shape.dim[0] = (int64_t)n;
    return TERN_OK;
}

static enum tern_code read_constant(struct tern_onnx_node *node, struct tern_tensor *tensor,
                                    struct tern_err *err)
{
    struct tern_onnx_ints ints;
    struct tern_onnx_floats floats;
    int64_t i;
    float f;

    if (tern_onnx_node_has(node, "value"))
        return tern_onnx_node_tensor(node, "value", tensor, err);
    if (tern_onnx_node_has(node, "value_float")) {
        TERN_TRY(tern_onnx_node_float(node, "value_float", 0, &f, err));
        return make_list(node, TERN_DTYPE_FP32, &f, 1, true, tensor, err);
    }
    if (tern_onnx_node_has(node, "value_int")) {
        TERN_TRY(tern_onnx_node_int(node, "value_int", 0, &i, err));
        return make_list(node, TERN_DTYPE_INT64, &i, 1, true, tensor, err);
    }
    if (tern_onnx_node_has(node, "value_floats")) {
        TERN_TRY(tern_onnx_node_floats(node, "value_floats", &floats, err));
        return make_list(node, TERN_DTYPE_FP32, floats.p, floats.n, false, tensor, err);
    }
    if (tern_onnx_node_has(node, "value_ints")) {
        TERN_TRY(tern_onnx_node_ints(node, "value_ints", &ints, err));
        return make_list(node, TERN_DTYPE_INT64, ints.p, ints.n, false, tensor, err);
    }
    return tern_onnx_node_refuse(node, "its value is of another kind", err);
}

enum tern_code tern_op_form_constant(struct tern_onnx_node *node, struct tern_err *err)
{
    struct tern_tensor *tensor = tern_arena_zalloc(node->scratch, 1, sizeof(*tensor));

    if (tensor == NULL)
        return tern_arena_fail(node->scratch, err, "a constant");
    TERN_TRY(read_constant(node, tensor, err));
    if (node->n_out > 0 && node->out[0] != NULL) {
        node->out[0]->constant = tensor;
        node->out[0]->dtype = tensor->dtype;
    }
    return TERN_OK;
}

/* ConstantOfShape: the element, and its size. */
struct fill {
    char element[8];
    size_t size;
};

static enum tern_code run_fill(const struct tern_step *step, struct tern_program_run *run,
                               struct tern_err *err)
{
    const struct fill *fill = step->state;
    struct tern_shape shape = {0};
    struct tern_tensor *out;

    TERN_TRY(tern_op_shape_numbers(tern_step_in(step, run, 0), shape.dim, &shape.rank, err));
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    for (size_t at = 0; at < out->n_bytes; at += fill->size)
        memcpy((char *)out->data + at, fill->element, fill->size);
    return TERN_OK;
}

TERN_OPERATOR(tern_fill_op, .name = "ConstantOfShape", .run = run_fill,
              TERN_STATE(struct fill, NULL));

enum tern_code tern_op_form_fill(struct tern_onnx_node *node, struct tern_err *err)
{
    struct tern_tensor value;
    struct fill *fill;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_DTYPE(INT64), err));
    TERN_TRY(tern_onnx_node_tensor(node, "value", &value, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(*fill), &state, err));
    fill = state;
    if (value.dtype == TERN_DTYPE_INVALID)
        value = (struct tern_tensor){.dtype = TERN_DTYPE_FP32, .data = fill->element, .n_bytes = 4};
    fill->size = tern_dtype_size(value.dtype);
    if (fill->size == 0 || value.n_bytes != fill->size)
        return tern_onnx_node_refuse(node, "its value is no single number", err);
    memmove(fill->element, value.data, fill->size);
    return tern_onnx_node_step(node, &tern_fill_op, fill, value.dtype, err);
}

/* ---- Shape ---- */

struct range {
    int64_t start, end;
};

static int clamp(int64_t at, int rank)
{
    if (at < 0)
        at += rank;
    return at < 0 ? 0 : at > rank ? rank : (int)at;
}

static enum tern_code run_shape(const struct tern_step *step, struct tern_program_run *run,
                                struct tern_err *err)
{
    const struct range *range = step->state;
    const struct tern_shape *shape = &tern_step_in(step, run, 0)->shape;
    int start = clamp(range->start, shape->rank), end = clamp(range->end, shape->rank);
    struct tern_shape list = {1, {end > start ? end - start : 0}};
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &list, &out, err));
    memcpy(out->data, shape->dim + start, out->n_bytes);
    return TERN_OK;
}

TERN_OPERATOR(tern_shape_op, .name = "Shape", .run = run_shape, TERN_STATE(struct range, NULL));

enum tern_code tern_op_form_shape(struct tern_onnx_node *node, struct tern_err *err)
{
    struct range *range;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_ANY, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(*range), &state, err));
    range = state;
    TERN_TRY(tern_onnx_node_int(node, "start", 0, &range->start, err));
    TERN_TRY(tern_onnx_node_int(node, "end", INT32_MAX, &range->end, err));
    return tern_onnx_node_step(node, &tern_shape_op, range, TERN_DTYPE_INT64, err);
}

/* ---- new shapes for the same elements ---- */

struct form {
    int64_t numbers[TERN_RANK_MAX]; /* when there is no input that says them */
    int n;
    int64_t axis;
    bool keeps_zero; /* Reshape's allowzero */
};

static enum tern_code numbers_of(const struct tern_step *step, const struct tern_program_run *run,
                                 int64_t *numbers, int *ret_n, struct tern_err *err)
{
    const struct form *form = step->state;
    const struct tern_tensor *list = tern_step_in(step, run, 1);

    if (list != NULL)
        return tern_op_shape_numbers(list, numbers, ret_n, err);
    memcpy(numbers, form->numbers, sizeof(form->numbers));
    *ret_n = form->n;
    return TERN_OK;
}

/* Room for axes or a shape, from input 1 or from an attribute of that name. */
static enum tern_code read_form(struct tern_onnx_node *node, const char *name,
                                struct form **ret_form, struct tern_err *err)
{
    struct tern_onnx_ints ints;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_ANY, err));
    if (tern_onnx_node_has_input(node, 1))
        TERN_TRY(tern_onnx_node_want(node, 1, TERN_ONNX_DTYPE(INT64), err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct form), &state, err));
    struct form *form = state;
    TERN_TRY(tern_onnx_node_ints(node, name, &ints, err));
    if (ints.n > TERN_RANK_MAX)
        return tern_onnx_node_refuse(node, "it has too many dimensions", err);
    if (ints.n > 0)
        memcpy(form->numbers, ints.p, ints.n * sizeof(*ints.p));
    form->n = (int)ints.n;
    *ret_form = form;
    return TERN_OK;
}

/* 0: as it was; -1: what is left over. */
static enum tern_code reshape(const struct tern_tensor *x, bool keeps_zero,
                              struct tern_shape *shape, struct tern_err *err)
{
    size_t known = 1, n = tern_op_shape_count(x);
    int open = -1;
    char from[160], to[160];

    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] == 0 && !keeps_zero && i < x->shape.rank)
            shape->dim[i] = x->shape.dim[i];
        if (shape->dim[i] == -1 && open < 0)
            open = i;
        else if (shape->dim[i] < 0 || __builtin_mul_overflow(known, (size_t)shape->dim[i], &known))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "%s is no shape",
                             tern_shape_print(shape, to, sizeof(to)));
    }
    if (open >= 0 && known > 0 && n % known == 0) {
        shape->dim[open] = (int64_t)(n / known);
        known = n;
    } else if (open >= 0 && n == 0 && known == 0) {
        shape->dim[open] = 0;
    }
    if (known != n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%s cannot become %s",
                         tern_shape_print(&x->shape, from, sizeof(from)),
                         tern_shape_print(shape, to, sizeof(to)));
    return TERN_OK;
}

static enum tern_code run_reshape(const struct tern_step *step, struct tern_program_run *run,
                                  struct tern_err *err)
{
    const struct form *form = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_shape shape = {0};

    TERN_TRY(numbers_of(step, run, shape.dim, &shape.rank, err));
    TERN_TRY(reshape(x, form->keeps_zero, &shape, err));
    tern_step_pass(step, run, 0, x, &shape);
    return TERN_OK;
}

TERN_OPERATOR(tern_reshape_op, .name = "Reshape", .run = run_reshape, .reach = TERN_REACH_MOVED,
              TERN_STATE(struct form, NULL));

enum tern_code tern_op_form_reshape(struct tern_onnx_node *node, struct tern_err *err)
{
    struct form *form;
    int64_t allowzero;

    TERN_TRY(read_form(node, "shape", &form, err));
    TERN_TRY(tern_onnx_node_int(node, "allowzero", 0, &allowzero, err));
    form->keeps_zero = allowzero != 0;
    return tern_onnx_node_step(node, &tern_reshape_op, form, tern_onnx_node_dtype(node, 0), err);
}

static enum tern_code run_flatten(const struct tern_step *step, struct tern_program_run *run,
                                  struct tern_err *err)
{
    const struct form *form = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    int axis = x->shape.rank;

    if (form->axis != x->shape.rank)
        TERN_TRY(tern_op_shape_axis(form->axis, x->shape.rank, &axis, err));
    struct tern_shape shape = {2,
                               {(int64_t)tern_op_shape_span(&x->shape, 0, axis),
                                (int64_t)tern_op_shape_span(&x->shape, axis, x->shape.rank)}};
    tern_step_pass(step, run, 0, x, &shape);
    return TERN_OK;
}

TERN_OPERATOR(tern_flatten_op, .name = "Flatten", .run = run_flatten, .reach = TERN_REACH_MOVED,
              TERN_STATE(struct form, NULL));

enum tern_code tern_op_form_flatten(struct tern_onnx_node *node, struct tern_err *err)
{
    struct form *form;

    TERN_TRY(read_form(node, "", &form, err));
    TERN_TRY(tern_onnx_node_int(node, "axis", 1, &form->axis, err));
    return tern_onnx_node_step(node, &tern_flatten_op, form, tern_onnx_node_dtype(node, 0), err);
}

/* Which axes a list names, as bits. */
static enum tern_code axes_of(const struct tern_step *step, const struct tern_program_run *run,
                              int rank_of_list, bool is_made, uint32_t *ret_axes, int *ret_n,
                              struct tern_err *err)
{
    int64_t numbers[TERN_RANK_MAX];
    uint32_t axes = 0;
    int n, axis;

    TERN_TRY(numbers_of(step, run, numbers, &n, err));
    int rank = is_made ? rank_of_list + n : rank_of_list;
    if (rank > TERN_RANK_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "more than %d dimensions", TERN_RANK_MAX);
    for (int i = 0; i < n; i++) {
        TERN_TRY(tern_op_shape_axis(numbers[i], rank, &axis, err));
        if ((axes >> axis & 1) != 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "axis %d comes twice", axis);
        axes |= 1u << axis;
    }
    *ret_axes = axes;
    *ret_n = n;
    return TERN_OK;
}

static enum tern_code run_squeeze(const struct tern_step *step, struct tern_program_run *run,
                                  struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_shape shape = {0};
    uint32_t axes;
    int n;

    TERN_TRY(axes_of(step, run, x->shape.rank, false, &axes, &n, err));
    for (int i = 0; i < x->shape.rank; i++) {
        bool goes = n == 0 ? x->shape.dim[i] == 1 : (axes >> i & 1) != 0;
        if (goes && x->shape.dim[i] != 1)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "axis %d has %lld elements, not 1", i,
                             (long long)x->shape.dim[i]);
        if (!goes)
            shape.dim[shape.rank++] = x->shape.dim[i];
    }
    tern_step_pass(step, run, 0, x, &shape);
    return TERN_OK;
}

TERN_OPERATOR(tern_squeeze_op, .name = "Squeeze", .run = run_squeeze, .reach = TERN_REACH_MOVED,
              TERN_STATE(struct form, NULL));

enum tern_code tern_op_form_squeeze(struct tern_onnx_node *node, struct tern_err *err)
{
    struct form *form;

    TERN_TRY(read_form(node, "axes", &form, err));
    return tern_onnx_node_step(node, &tern_squeeze_op, form, tern_onnx_node_dtype(node, 0), err);
}

static enum tern_code run_unsqueeze(const struct tern_step *step, struct tern_program_run *run,
                                    struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_shape shape = {0};
    uint32_t axes;
    int n, at = 0;

    TERN_TRY(axes_of(step, run, x->shape.rank, true, &axes, &n, err));
    shape.rank = x->shape.rank + n;
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = (axes >> i & 1) != 0 ? 1 : x->shape.dim[at++];
    tern_step_pass(step, run, 0, x, &shape);
    return TERN_OK;
}

TERN_OPERATOR(tern_unsqueeze_op, .name = "Unsqueeze", .run = run_unsqueeze,
              .reach = TERN_REACH_MOVED, TERN_STATE(struct form, NULL));

enum tern_code tern_op_form_unsqueeze(struct tern_onnx_node *node, struct tern_err *err)
{
    struct form *form;

    TERN_TRY(read_form(node, "axes", &form, err));
    return tern_onnx_node_step(node, &tern_unsqueeze_op, form, tern_onnx_node_dtype(node, 0), err);
}
