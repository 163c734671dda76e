/* ONNX-ML's operators on categories: OneHotEncoder, LabelEncoder, CategoryMapper. */
#include <string.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_cells.h"
#include "engine/native/ops/op_keys.h"
#include "engine/native/ops/op_shape.h"
#include "engine/native/ops/ops.h"

/* ---- OneHotEncoder ---- */

struct onehot {
    struct tern_op_keys keys;
    bool knows_all; /* what is no category is an error; else zeros */
};

static void onehot_points(const void *state, struct tern_state *to)
{
    const struct onehot *onehot = state;

    tern_op_keys_points(&onehot->keys, to);
}

static enum tern_code run_onehot(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct onehot *onehot = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t n = tern_op_shape_count(x);
    struct tern_shape shape = x->shape;
    struct tern_tensor *out;
    const void *cells;
    uint32_t number;

    if (shape.rank > 2)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "it has %d dimensions, at most 2 are taken",
                         shape.rank);
    shape.dim[shape.rank++] = onehot->keys.n;
    TERN_TRY(tern_op_cells_of(x, run->arena, &cells, err));
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    memset(out->data, 0, out->n_bytes);
    for (size_t i = 0; i < n; i++) {
        if (tern_op_keys_find(&onehot->keys, cells, i, &number))
            ((float *)out->data)[i * onehot->keys.n + number] = 1;
        else if (onehot->knows_all)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "element %zu is no known category", i);
    }
    return TERN_OK;
}

static size_t onehot_width(const void *state)
{
    return ((const struct onehot *)state)->keys.n;
}

TERN_OPERATOR(tern_onehot_op, .name = "OneHotEncoder", .run = run_onehot,
              .reach = TERN_REACH_SPREAD, .width = onehot_width,
              TERN_STATE(struct onehot, onehot_points));

enum tern_code tern_op_label_onehot(struct tern_onnx_node *node, struct tern_err *err)
{
    bool is_text = tern_onnx_node_dtype(node, 0) == TERN_DTYPE_BYTES;
    struct tern_onnx_ints ints;
    struct tern_onnx_texts texts;
    uint32_t value;
    int64_t zeros;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_NUMBERS | TERN_ONNX_DTYPE(BYTES), err));
    TERN_TRY(tern_onnx_node_ints(node, "cats_int64s", &ints, err));
    TERN_TRY(tern_onnx_node_texts(node, "cats_strings", &texts, err));
    TERN_TRY(tern_onnx_node_int(node, "zeros", 1, &zeros, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct onehot), &state, err));
    struct onehot *onehot = state;
    onehot->knows_all = zeros == 0;
    if ((is_text ? texts.n : ints.n) == 0 || (ints.n > 0 && texts.n > 0))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "operator OneHotEncoder has %zu numbers and %zu texts as categories",
                         ints.n, texts.n);
    TERN_TRY(tern_op_keys_make(node->program->arena, is_text ? TERN_DTYPE_BYTES : TERN_DTYPE_INT64,
                               is_text ? (const void *)texts.p : ints.p, is_text ? texts.n : ints.n,
                               true, false, &onehot->keys, err));
    TERN_TRY(tern_onnx_node_read(node, 0, &value, err));
    if (!is_text)
        TERN_TRY(tern_op_cast(node->program, TERN_DTYPE_INT64, &value, err));
    TERN_TRY(
        tern_program_then(node->program, &tern_onehot_op, onehot, TERN_DTYPE_FP32, &value, err));
    tern_onnx_node_bind(node, 0, value);
    return TERN_OK;
}

/* ---- LabelEncoder ---- */

/* From keys to values: cells of that datatype, the last one for all that is no key. */
struct encoder {
    struct tern_op_keys keys;
    enum tern_dtype dtype; /* of the values */
    const void *values;
};

static void encoder_points(const void *state, struct tern_state *to)
{
    const struct encoder *encoder = state;

    tern_op_keys_points(&encoder->keys, to);
    tern_state_cells(to, &encoder->values, encoder->dtype, encoder->keys.n + 1u);
}

static enum tern_code run_encoder(const struct tern_step *step, struct tern_program_run *run,
                                  struct tern_err *err)
{
    const struct encoder *encoder = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t n = tern_op_shape_count(x);
    size_t size = tern_op_cells_size(encoder->dtype);
    const void *from;
    void *to;

    TERN_TRY(tern_op_cells_of(x, run->arena, &from, err));
    TERN_TRY(tern_op_cells_room(step, run, 0, &x->shape, &to, err));
    for (size_t i = 0; i < n; i++) {
        uint32_t number;
        if (!tern_op_keys_find(&encoder->keys, from, i, &number))
            number = encoder->keys.n;
        memcpy((char *)to + i * size, (const char *)encoder->values + number * size, size);
    }
    return tern_op_cells_done(step, run, 0, &x->shape, to, err);
}

TERN_OPERATOR(tern_encoder_op, .name = "LabelEncoder", .run = run_encoder,
              .reach = TERN_REACH_ELEMENT, TERN_STATE(struct encoder, encoder_points));

/* A list of an encoder, as it stands in the file. */
struct cells {
    enum tern_dtype dtype;
    const void *p;
    size_t n;
};

static enum tern_code make_encoder(struct tern_onnx_node *node, const struct cells *keys,
                                   const struct cells *values, const void *otherwise,
                                   bool last_counts, struct tern_err *err)
{
    struct tern_arena *arena = node->program->arena;
    size_t size = tern_op_cells_size(values->dtype);
    void *state, *copy;

    if (keys->n != values->n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s has %zu keys and %zu values",
                         TERN_STR_ARG(node->op_type), keys->n, values->n);
    TERN_TRY(tern_onnx_node_want(node, 0, 1u << keys->dtype, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct encoder), &state, err));
    TERN_TRY(tern_onnx_node_state(node, (values->n + 1) * size, &copy, err));
    struct encoder *encoder = state;
    TERN_TRY(tern_op_keys_make(arena, keys->dtype, keys->p, keys->n, last_counts,
                               node->version >= 4, &encoder->keys, err));
    if (values->n > 0)
        memcpy(copy, values->p, values->n * size);
    memcpy((char *)copy + values->n * size, otherwise, size);
    for (size_t i = 0; values->dtype == TERN_DTYPE_BYTES && i <= values->n; i++) {
        struct tern_str *text = (struct tern_str *)copy + i;
        *text = tern_arena_copy(arena, *text);
        if (text->p == NULL)
            return tern_arena_fail(arena, err, "the labels");
    }
    encoder->values = copy;
    encoder->dtype = values->dtype;
    return tern_onnx_node_step(node, &tern_encoder_op, encoder, values->dtype, err);
}

/* One of the four attributes <prefix>_strings, _int64s, _floats and _tensor. */
static enum tern_code read_cells(struct tern_onnx_node *node, const char *const names[4],
                                 struct cells *ret, struct tern_err *err)
{
    struct tern_onnx_texts texts;
    struct tern_onnx_ints ints;
    struct tern_onnx_floats floats;
    struct tern_tensor tensor;

    TERN_TRY(tern_onnx_node_texts(node, names[0], &texts, err));
    TERN_TRY(tern_onnx_node_ints(node, names[1], &ints, err));
    TERN_TRY(tern_onnx_node_floats(node, names[2], &floats, err));
    TERN_TRY(tern_onnx_node_tensor(node, names[3], &tensor, err));
    if (texts.n > 0)
        *ret = (struct cells){TERN_DTYPE_BYTES, texts.p, texts.n};
    else if (ints.n > 0)
        *ret = (struct cells){TERN_DTYPE_INT64, ints.p, ints.n};
    else if (floats.n > 0)
        *ret = (struct cells){TERN_DTYPE_FP32, floats.p, floats.n};
    else {
        *ret = (struct cells){.dtype = tensor.dtype, .n = tern_op_shape_count(&tensor)};
        if ((((TERN_ONNX_FLOATS | TERN_ONNX_DTYPE(INT64) | TERN_ONNX_DTYPE(BYTES)) >>
              tensor.dtype) &
             1) == 0)
            return tern_onnx_node_refuse(node, "its labels are of another kind", err);
        return tern_op_cells_of(&tensor, node->scratch, &ret->p, err);
    }
    return TERN_OK;
}

union cell {
    struct tern_str text;
    int64_t whole;
    float f32;
    double f64;
};

/* What becomes of all that is no key. */
static enum tern_code read_default(struct tern_onnx_node *node, enum tern_dtype dtype,
                                   union cell *ret, struct tern_err *err)
{
    struct tern_str text;
    struct tern_tensor tensor;
    const void *cell;
    int64_t whole;
    float real;

    TERN_TRY(tern_onnx_node_text(node, "default_string", "_Unused", &text, err));
    TERN_TRY(tern_onnx_node_int(node, "default_int64", -1, &whole, err));
    TERN_TRY(tern_onnx_node_float(node, "default_float", -0.0f, &real, err));
    TERN_TRY(tern_onnx_node_tensor(node, "default_tensor", &tensor, err));
    if (tensor.dtype == dtype && tern_op_shape_count(&tensor) == 1) {
        TERN_TRY(tern_op_cells_of(&tensor, node->scratch, &cell, err));
        memcpy(ret, cell, tern_op_cells_size(dtype));
    } else if (tensor.dtype != TERN_DTYPE_INVALID)
        return tern_onnx_node_refuse(node, "default_tensor is no single label", err);
    else if (dtype == TERN_DTYPE_BYTES)
        ret->text = text;
    else if (dtype == TERN_DTYPE_INT64)
        ret->whole = whole;
    else if (dtype == TERN_DTYPE_FP32)
        ret->f32 = real;
    else
        ret->f64 = (double)real;
    return TERN_OK;
}

/* Version 1: texts to their numbers, or numbers to the texts. */
static enum tern_code encode_classes(struct tern_onnx_node *node, struct tern_err *err)
{
    bool is_text = tern_onnx_node_dtype(node, 0) == TERN_DTYPE_BYTES;
    struct tern_onnx_texts texts;
    union cell otherwise;

    TERN_TRY(tern_onnx_node_texts(node, "classes_strings", &texts, err));
    int64_t *numbers = tern_arena_zalloc(node->scratch, texts.n + 1, sizeof(*numbers));
    if (numbers == NULL)
        return tern_arena_fail(node->scratch, err, "the labels");
    for (size_t i = 0; i < texts.n; i++)
        numbers[i] = (int64_t)i;
    const struct cells names = {TERN_DTYPE_BYTES, texts.p, texts.n};
    const struct cells places = {TERN_DTYPE_INT64, numbers, texts.n};
    TERN_TRY(read_default(node, is_text ? TERN_DTYPE_INT64 : TERN_DTYPE_BYTES, &otherwise, err));
    return make_encoder(node, is_text ? &names : &places, is_text ? &places : &names, &otherwise,
                        true, err);
}

enum tern_code tern_op_label_encoder(struct tern_onnx_node *node, struct tern_err *err)
{
    static const char *const key_names[] = {"keys_strings", "keys_int64s", "keys_floats",
                                            "keys_tensor"};
    static const char *const value_names[] = {"values_strings", "values_int64s", "values_floats",
                                              "values_tensor"};
    struct cells keys, values;
    union cell otherwise;

    if (node->version < 2)
        return encode_classes(node, err);
    TERN_TRY(read_cells(node, key_names, &keys, err));
    TERN_TRY(read_cells(node, value_names, &values, err));
    TERN_TRY(read_default(node, values.dtype, &otherwise, err));
    return make_encoder(node, &keys, &values, &otherwise, false, err);
}

/* ---- CategoryMapper ---- */

enum tern_code tern_op_label_mapper(struct tern_onnx_node *node, struct tern_err *err)
{
    bool is_text = tern_onnx_node_dtype(node, 0) == TERN_DTYPE_BYTES;
    struct tern_onnx_texts texts;
    struct tern_onnx_ints ints;
    union cell otherwise;

    TERN_TRY(tern_onnx_node_texts(node, "cats_strings", &texts, err));
    TERN_TRY(tern_onnx_node_ints(node, "cats_int64s", &ints, err));
    const struct cells names = {TERN_DTYPE_BYTES, texts.p, texts.n};
    const struct cells numbers = {TERN_DTYPE_INT64, ints.p, ints.n};
    TERN_TRY(read_default(node, is_text ? TERN_DTYPE_INT64 : TERN_DTYPE_BYTES, &otherwise, err));
    return make_encoder(node, is_text ? &names : &numbers, is_text ? &numbers : &names, &otherwise,
                        true, err);
}
