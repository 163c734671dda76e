/* The operators of onnx_ops.c as steps of a pipeline: nodes of a graph that no file has. */
#include <string.h>

#include "engine/native/onnx_ops.h"
#include "engine/native/sklearn.h"

#define OPSET 28

/* The operator of that name, with these inputs; *ret_value is its output. */
static enum tern_code apply(struct tern_sklearn *s, const char *op_type,
                            struct tern_onnx_value **inputs, uint32_t n_inputs, uint32_t *ret_value,
                            struct tern_err *err)
{
    struct tern_onnx_value output = {.value = TERN_VALUE_NONE}, *outputs = &output;
    struct tern_onnx_node node = {
        .op_type = tern_str_of(op_type),
        .version = OPSET,
        .in = inputs,
        .n_in = n_inputs,
        .out = &outputs,
        .n_out = 1,
        .program = s->program,
        .scratch = s->skops.scratch,
    };
    const struct tern_onnx_op *op = NULL;

    TERN_TRY(tern_onnx_ops_find(&node, &op, err));
    TERN_TRY(op->prepare(&node, err));
    *ret_value = output.value;
    return TERN_OK;
}

static struct tern_onnx_value flowing(const struct tern_sklearn *s, uint32_t value)
{
    return (struct tern_onnx_value){.dtype = s->program->values[value].tensor.dtype,
                                    .value = value,
                                    .n_readers = 1,
                                    .is_defined = true};
}

static enum tern_code with_row(struct tern_sklearn *s, const char *op_type, const double *row,
                               size_t n, bool is_left, uint32_t *value, struct tern_err *err)
{
    struct tern_tensor tensor;

    TERN_TRY(tern_op_cast(s->program, TERN_DTYPE_FP64, value, err));
    TERN_TRY(tern_sklearn_row(s, row, n, &tensor, err));
    struct tern_onnx_value x = flowing(s, *value), c = {.dtype = TERN_DTYPE_FP64,
                                                        .constant = &tensor,
                                                        .value = TERN_VALUE_NONE,
                                                        .n_readers = 1,
                                                        .is_defined = true};
    struct tern_onnx_value *inputs[] = {is_left ? &c : &x, is_left ? &x : &c};
    return apply(s, op_type, inputs, 2, value, err);
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
    struct tern_onnx_value x = flowing(s, *value), *inputs = &x;

    return apply(s, op_type, &inputs, 1, value, err);
}
