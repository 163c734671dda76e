/* Cast: to another datatype; strings are read and written as ONNX Runtime does. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "engine/native/convert.h"
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/onnx/onnx_tensor.h"
#include "engine/native/ops/op_cells.h"
#include "engine/native/ops/op_shape.h"
#include "engine/native/ops/ops.h"
#include "simd/numbers.h"

#define NUMBER_TEXT_MAX 48

/* ---- numbers to text ---- */

/* Eight digits of a float, seventeen of a double, as C's %g. */
static int print_real(double x, bool is_float, char *dst, size_t cap)
{
    if (isnan(x))
        return snprintf(dst, cap, "NaN");
    if (isinf(x))
        return snprintf(dst, cap, x > 0 ? "INF" : "-INF");
    return snprintf(dst, cap, is_float ? "%.8g" : "%.17g", x);
}

static int print_number(const struct tern_tensor *x, size_t i, char *dst, size_t cap)
{
    if (x->dtype == TERN_DTYPE_FP32)
        return print_real((double)((const float *)x->data)[i], true, dst, cap);
    if (x->dtype == TERN_DTYPE_FP64)
        return print_real(((const double *)x->data)[i], false, dst, cap);
    if (x->dtype == TERN_DTYPE_INT32)
        return snprintf(dst, cap, "%d", ((const int32_t *)x->data)[i]);
    if (x->dtype == TERN_DTYPE_INT64)
        return snprintf(dst, cap, "%lld", (long long)((const int64_t *)x->data)[i]);
    return snprintf(dst, cap, "%d", ((const uint8_t *)x->data)[i] != 0);
}

static enum tern_code run_print(const struct tern_step *step, struct tern_program_run *run,
                                struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t n = tern_op_shape_count(x);
    char text[NUMBER_TEXT_MAX];
    void *cells;

    TERN_TRY(tern_op_cells_room(step, run, 0, &x->shape, &cells, err));
    struct tern_str *texts = cells;
    for (size_t i = 0; i < n; i++) {
        int length = print_number(x, i, text, sizeof(text));
        texts[i] = tern_arena_copy(run->arena, tern_str_make(text, (size_t)length));
        if (texts[i].p == NULL)
            return tern_arena_fail(run->arena, err, "a text");
    }
    return tern_op_cells_done(step, run, 0, &x->shape, cells, err);
}

/* ---- text to numbers ---- */

/* As JSON has numbers. */
static bool read_number(struct tern_str text, struct tern_tensor *out, size_t i)
{
    char list[NUMBER_TEXT_MAX + TERN_TEXT_PAD] = "[";
    size_t size = tern_dtype_size(out->dtype);
    struct tern_numbers_result result;

    if (text.n == 0 || text.n > NUMBER_TEXT_MAX - 2)
        return false;
    memcpy(list + 1, text.p, text.n);
    list[text.n + 1] = ']';
    return tern_numbers_read(out->dtype, tern_str_make(list, text.n + 2),
                             (char *)out->data + i * size, 1, &result, NULL) == TERN_OK &&
           result.count == 1 && result.used == text.n + 2;
}

static enum tern_code run_parse(const struct tern_step *step, struct tern_program_run *run,
                                struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t n = tern_op_shape_count(x), at = 0;
    struct tern_tensor *out;
    struct tern_str text;

    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    for (size_t i = 0; i < n; i++) {
        if (!tern_tensor_next_bytes(x, &at, &text))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "element %zu of %zu is cut off", i, n);
        if (!read_number(text, out, i))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "\"%.*s\" is no number",
                             (int)(text.n > 64 ? 64 : text.n), text.p);
    }
    return TERN_OK;
}

/* ---- which ---- */

static enum tern_code convert_to(struct tern_onnx_node *node, enum tern_dtype to,
                                 struct tern_err *err)
{
    static const struct tern_operator print = {
        .name = "Cast", .run = run_print, .reach = TERN_REACH_ELEMENT};
    static const struct tern_operator parse = {
        .name = "Cast", .run = run_parse, .reach = TERN_REACH_ELEMENT};
    enum tern_dtype from = tern_onnx_node_dtype(node, 0);
    uint32_t value;

    if (from == to)
        return tern_op_form_identity(node, err);
    if (to == TERN_DTYPE_BYTES)
        return tern_onnx_node_steps(node, &print, NULL, 1, &to, 1, err);
    if (from == TERN_DTYPE_BYTES && (TERN_ONNX_NUMBERS >> to & 1) != 0)
        return tern_onnx_node_steps(node, &parse, NULL, 1, &to, 1, err);
    if (!tern_convert_has(from, to))
        return tern_onnx_node_refuse(node, "there is no conversion between its datatypes", err);
    TERN_TRY(tern_onnx_node_read(node, 0, &value, err));
    TERN_TRY(tern_op_cast(node->program, to, &value, err));
    tern_onnx_node_bind(node, 0, value);
    return TERN_OK;
}

/* Cast, and CastLike, whose second input only says the datatype. */
enum tern_code tern_op_convert_prepare(struct tern_onnx_node *node, struct tern_err *err)
{
    int64_t to;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_ANY, err));
    tern_onnx_node_ignore(node, "saturate");
    tern_onnx_node_ignore(node, "round_mode");
    if (tern_str_eq(node->op_type, TERN_STR("CastLike"))) {
        TERN_TRY(tern_onnx_node_want(node, 1, TERN_ONNX_ANY, err));
        return convert_to(node, tern_onnx_node_dtype(node, 1), err);
    }
    TERN_TRY(tern_onnx_node_int(node, "to", 0, &to, err));
    enum tern_dtype dtype = tern_onnx_tensor_dtype((uint64_t)to);
    if ((TERN_ONNX_ANY >> dtype & 1) == 0)
        return tern_onnx_node_refuse(node, "its datatype is another", err);
    return convert_to(node, dtype, err);
}
