/* The operators of onnx_ops.c as steps of a pipeline: nodes of a graph that no file has. */
#include <string.h>

#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/sklearn/sklearn.h"

#define OPSET 28

/* axis = 1, as an AttributeProto */
#define AXIS_1 \
    "\x0a\x04" \
    "axis"     \
    "\x18\x01\xa0\x01\x02"

static struct tern_onnx_value value_of(const struct tern_sklearn *s,
                                       const struct tern_sklearn_input *input)
{
    const struct tern_tensor *tensor =
        input->constant != NULL ? input->constant : &s->program->values[input->value].tensor;

    return (struct tern_onnx_value){
        .dtype = tensor->dtype,
        .constant = input->constant,
        .value = input->constant != NULL ? TERN_VALUE_NONE : input->value,
        .n_readers = 1,
        .is_defined = true,
    };
}

static enum tern_code apply(struct tern_sklearn *s, const char *op_type,
                            const struct tern_sklearn_input *inputs, uint32_t n,
                            struct tern_onnx_attr *attr, uint32_t *ret_value, struct tern_err *err)
{
    struct tern_arena *scratch = s->skops.scratch;
    struct tern_onnx_value output = {.value = TERN_VALUE_NONE}, *outputs = &output;
    struct tern_onnx_value *values = tern_arena_zalloc(scratch, n, sizeof(*values));
    struct tern_onnx_value **in = tern_arena_zalloc(scratch, n, sizeof(struct tern_onnx_value *));
    struct tern_onnx_node node = {
        .op_type = tern_str_of(op_type),
        .version = OPSET,
        .attrs = attr,
        .n_attrs = attr == NULL ? 0 : 1,
        .in = in,
        .n_in = n,
        .out = &outputs,
        .n_out = 1,
        .program = s->program,
        .scratch = scratch,
    };
    const struct tern_onnx_op *op = NULL;

    if (values == NULL || in == NULL)
        return tern_arena_fail(scratch, err, "a step");
    for (uint32_t i = 0; i < n; i++) {
        values[i] = value_of(s, &inputs[i]);
        in[i] = &values[i];
    }
    if (tern_str_eq(node.op_type, TERN_STR("ArrayFeatureExtractor"))) {
        node.domain = TERN_STR("ai.onnx.ml");
        node.version = 1;
    }
    TERN_TRY(tern_onnx_ops_find(&node, &op, err));
    TERN_TRY(op->prepare(&node, err));
    *ret_value = output.value;
    return TERN_OK;
}

enum tern_code tern_sklearn_step(struct tern_sklearn *s, const char *op_type,
                                 const struct tern_sklearn_input *inputs, uint32_t n,
                                 uint32_t *ret_value, struct tern_err *err)
{
    return apply(s, op_type, inputs, n, NULL, ret_value, err);
}

enum tern_code tern_sklearn_row(struct tern_sklearn *s, const double *numbers, size_t n,
                                struct tern_tensor *ret, struct tern_err *err)
{
    double *copy = tern_arena_alloc(s->program->arena, 64, (n + 1) * sizeof(*copy));

    if (copy == NULL)
        return tern_arena_fail(s->program->arena, err, "a row of numbers");
    memcpy(copy, numbers, n * sizeof(*copy));
    *ret = (struct tern_tensor){.dtype = TERN_DTYPE_FP64,
                                .shape = {1, {(int64_t)n}},
                                .data = copy,
                                .n_bytes = n * sizeof(*copy)};
    return TERN_OK;
}

enum tern_code tern_sklearn_texts(struct tern_sklearn *s, const struct tern_str *texts, size_t n,
                                  struct tern_tensor *ret, struct tern_err *err)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++)
        size += 4 + texts[i].n;
    char *to = tern_arena_alloc(s->program->arena, 64, size + 1), *at = to;
    if (to == NULL)
        return tern_arena_fail(s->program->arena, err, "a row of texts");
    for (size_t i = 0; i < n; i++) {
        uint32_t length = (uint32_t)texts[i].n;
        memcpy(at, &length, sizeof(length));
        if (length > 0)
            memcpy(at + 4, texts[i].p, length);
        at += 4 + length;
    }
    *ret = (struct tern_tensor){
        .dtype = TERN_DTYPE_BYTES, .shape = {1, {(int64_t)n}}, .data = to, .n_bytes = size};
    return TERN_OK;
}

static enum tern_code with_row(struct tern_sklearn *s, const char *op_type, const double *row,
                               size_t n, bool is_left, uint32_t *value, struct tern_err *err)
{
    struct tern_tensor tensor;

    TERN_TRY(tern_op_cast(s->program, TERN_DTYPE_FP64, value, err));
    TERN_TRY(tern_sklearn_row(s, row, n, &tensor, err));
    const struct tern_sklearn_input x = {.value = *value}, c = {.constant = &tensor};
    const struct tern_sklearn_input inputs[] = {is_left ? c : x, is_left ? x : c};
    return tern_sklearn_step(s, op_type, inputs, 2, value, err);
}

enum tern_code tern_sklearn_apply(struct tern_sklearn *s, const char *op_type, const double *row,
                                  size_t n, uint32_t *value, struct tern_err *err)
{
    return with_row(s, op_type, row, n, false, value, err);
}

enum tern_code tern_sklearn_apply_to(struct tern_sklearn *s, const char *op_type, const double *row,
                                     size_t n, uint32_t *value, struct tern_err *err)
{
    return with_row(s, op_type, row, n, true, value, err);
}

enum tern_code tern_sklearn_map(struct tern_sklearn *s, const char *op_type, uint32_t *value,
                                struct tern_err *err)
{
    const struct tern_sklearn_input x = {.value = *value};

    return tern_sklearn_step(s, op_type, &x, 1, value, err);
}

enum tern_code tern_sklearn_pick(struct tern_sklearn *s, const int64_t *columns, size_t n,
                                 uint32_t *value, struct tern_err *err)
{
    int64_t *copy = tern_arena_alloc(s->program->arena, 64, (n + 1) * sizeof(*copy));

    if (copy == NULL)
        return tern_arena_fail(s->program->arena, err, "columns");
    memcpy(copy, columns, n * sizeof(*copy));
    const struct tern_tensor tensor = {.dtype = TERN_DTYPE_INT64,
                                       .shape = {1, {(int64_t)n}},
                                       .data = copy,
                                       .n_bytes = n * sizeof(*copy)};
    const struct tern_sklearn_input inputs[] = {{.value = *value}, {.constant = &tensor}};
    return tern_sklearn_step(s, "ArrayFeatureExtractor", inputs, 2, value, err);
}

enum tern_code tern_sklearn_join(struct tern_sklearn *s, const struct tern_sklearn_input *parts,
                                 uint32_t n, uint32_t *ret_value, struct tern_err *err)
{
    struct tern_onnx_attr axis = {.name = TERN_STR("axis"), .body = TERN_STR(AXIS_1)};

    return apply(s, "Concat", parts, n, &axis, ret_value, err);
}
