/* ONNX-ML's operators on rows of features: Scaler, Imputer, Normalizer, Binarizer,
 * FeatureVectorizer. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "engine/native/convert.h"
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_shape.h"
#include "engine/native/ops/ops.h"
#include "engine/native/state.h"

/* Types are arguments of macros, and take no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

/* Rows have two dimensions; what has one is a single row. */
static size_t features_of(const struct tern_shape *shape)
{
    return shape->rank == 0 ? 1 : (size_t)shape->dim[shape->rank == 1 ? 0 : 1];
}

static enum tern_code keep_floats(struct tern_onnx_node *node, const char *name, const float **ret,
                                  size_t *ret_n, struct tern_err *err)
{
    struct tern_onnx_floats floats;
    void *copy;

    TERN_TRY(tern_onnx_node_floats(node, name, &floats, err));
    TERN_TRY(tern_onnx_node_state(node, (floats.n + 1) * sizeof(float), &copy, err));
    if (floats.n > 0)
        memcpy(copy, floats.p, floats.n * sizeof(float));
    *ret = copy;
    *ret_n = floats.n;
    return TERN_OK;
}

/* ---- Scaler ---- */

struct scaler {
    const float *scale, *offset;
    size_t n; /* 1, or one a feature */
};

static void scaler_points(const void *state, struct tern_state *to)
{
    const struct scaler *scaler = state;

    tern_state_cells(to, &scaler->scale, TERN_DTYPE_FP32, scaler->n);
    tern_state_cells(to, &scaler->offset, TERN_DTYPE_FP32, scaler->n);
}

#define SCALE(name, type, wide)                                                         \
    static void name(const void *in, float *out, size_t n, const struct scaler *s)      \
    {                                                                                   \
        const type *from = in;                                                          \
        for (size_t i = 0, k = 0; i < n; i++, k = k + 1 == s->n ? 0 : k + 1)            \
            out[i] = (float)(((wide)from[i] - (wide)s->offset[k]) * (wide)s->scale[k]); \
    }
SCALE(scale_f32, float, float)
SCALE(scale_f64, double, double)
SCALE(scale_i32, int32_t, float)
SCALE(scale_i64, int64_t, float)

static enum tern_code run_scaler(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct scaler *scaler = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t n = tern_op_shape_count(x);
    struct tern_tensor *out;

    if (scaler->n != 1 && scaler->n != features_of(&x->shape))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a row has %zu features, expected %zu",
                         features_of(&x->shape), scaler->n);
    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    if (x->dtype == TERN_DTYPE_FP32)
        scale_f32(x->data, out->data, n, scaler);
    else if (x->dtype == TERN_DTYPE_FP64)
        scale_f64(x->data, out->data, n, scaler);
    else if (x->dtype == TERN_DTYPE_INT32)
        scale_i32(x->data, out->data, n, scaler);
    else
        scale_i64(x->data, out->data, n, scaler);
    return TERN_OK;
}

TERN_OPERATOR(tern_scaler_op, .name = "Scaler", .run = run_scaler, .reach = TERN_REACH_ELEMENT,
              TERN_STATE(struct scaler, scaler_points));

enum tern_code tern_op_scale_scaler(struct tern_onnx_node *node, struct tern_err *err)
{
    size_t n_offsets;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_NUMBERS, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct scaler), &state, err));
    struct scaler *scaler = state;
    TERN_TRY(keep_floats(node, "scale", &scaler->scale, &scaler->n, err));
    TERN_TRY(keep_floats(node, "offset", &scaler->offset, &n_offsets, err));
    if (scaler->n == 0 || scaler->n != n_offsets)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "operator Scaler has %zu factors and %zu offsets", scaler->n, n_offsets);
    return tern_onnx_node_step(node, &tern_scaler_op, scaler, TERN_DTYPE_FP32, err);
}

/* ---- Imputer ---- */

struct imputer {
    enum tern_dtype dtype;
    const void *values;
    size_t n;
    float replaced_float;
    int64_t replaced_int;
};

static void imputer_points(const void *state, struct tern_state *to)
{
    const struct imputer *imputer = state;

    tern_state_cells(to, &imputer->values, imputer->dtype, imputer->n);
}

#define IMPUTE(name, type, replaced, is_replaced)                                               \
    static void name(const void *in, void *out, size_t n, const struct imputer *m, bool is_row) \
    {                                                                                           \
        const type *from = in, *values = m->values, y = m->replaced;                            \
        type *to = out;                                                                         \
        for (size_t i = 0; i < n; i++) {                                                        \
            const type x = from[i];                                                             \
            to[i] = is_replaced ? values[is_row ? i % m->n : 0] : x;                            \
        }                                                                                       \
    }
IMPUTE(impute_f32, float, replaced_float, (x == y || (x != x && y != y)))
IMPUTE(impute_i64, int64_t, replaced_int, (x == y))

static enum tern_code run_imputer(const struct tern_step *step, struct tern_program_run *run,
                                  struct tern_err *err)
{
    const struct imputer *imputer = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    (x->dtype == TERN_DTYPE_FP32 ? impute_f32 : impute_i64)(
        x->data, out->data, tern_op_shape_count(x), imputer, imputer->n == features_of(&x->shape));
    return TERN_OK;
}

TERN_OPERATOR(tern_imputer_op, .name = "Imputer", .run = run_imputer, .reach = TERN_REACH_ELEMENT,
              TERN_STATE(struct imputer, imputer_points));

enum tern_code tern_op_scale_imputer(struct tern_onnx_node *node, struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    struct tern_onnx_floats floats;
    struct tern_onnx_ints ints;
    void *state, *values;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_DTYPE(FP32) | TERN_ONNX_DTYPE(INT64), err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct imputer), &state, err));
    struct imputer *imputer = state;
    TERN_TRY(tern_onnx_node_floats(node, "imputed_value_floats", &floats, err));
    TERN_TRY(tern_onnx_node_ints(node, "imputed_value_int64s", &ints, err));
    TERN_TRY(tern_onnx_node_float(node, "replaced_value_float", 0, &imputer->replaced_float, err));
    TERN_TRY(tern_onnx_node_int(node, "replaced_value_int64", 0, &imputer->replaced_int, err));
    bool is_float = dtype == TERN_DTYPE_FP32;
    imputer->n = is_float ? floats.n : ints.n;
    if (imputer->n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator Imputer has no values for %s",
                         tern_dtype_name(dtype));
    size_t n_bytes = imputer->n * tern_dtype_size(dtype);
    TERN_TRY(tern_onnx_node_state(node, n_bytes, &values, err));
    memcpy(values, is_float ? (const void *)floats.p : ints.p, n_bytes);
    imputer->values = values;
    imputer->dtype = dtype;
    return tern_onnx_node_step(node, &tern_imputer_op, imputer, dtype, err);
}

/* ---- Normalizer ---- */

enum norm { BY_MAX, BY_L1, BY_L2 };

struct normalizer {
    uint32_t norm;
};

/* What a row is divided by: as float, in the order of its features. */
static float length_of(const float *x, size_t n, uint32_t norm)
{
    float length = norm == BY_MAX ? -FLT_MAX : 0;

    for (size_t i = 0; i < n; i++) {
        if (norm == BY_MAX)
            length = x[i] > length ? x[i] : length;
        else
            length += norm == BY_L1 ? fabsf(x[i]) : x[i] * x[i];
    }
    return length;
}

static enum tern_code run_normalizer(const struct tern_step *step, struct tern_program_run *run,
                                     struct tern_err *err)
{
    const struct normalizer *normalizer = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t n = features_of(&x->shape), count = tern_op_shape_count(x);
    struct tern_tensor *out;

    if (x->shape.rank > 2)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "rows have two dimensions, it has %d",
                         x->shape.rank);
    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    const float *from = x->data;
    float *to = out->data;
    for (size_t at = 0; at < count; at += n) {
        float length = length_of(from + at, n, normalizer->norm);
        for (size_t i = at; i < at + n; i++) {
            if (length == 0)
                to[i] = from[i];
            else if (normalizer->norm == BY_L2)
                to[i] = copysignf(sqrtf(from[i] * from[i] / length), from[i]);
            else
                to[i] = from[i] / length;
        }
    }
    return TERN_OK;
}

TERN_OPERATOR(tern_normalizer_op, .name = "Normalizer", .run = run_normalizer,
              .reach = TERN_REACH_ROW, TERN_STATE(struct normalizer, NULL));

enum tern_code tern_op_scale_normalizer(struct tern_onnx_node *node, struct tern_err *err)
{
    static const char *const norms[] = {"MAX", "L1", "L2", NULL};
    void *state;
    uint32_t value;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_NUMBERS, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct normalizer), &state, err));
    struct normalizer *normalizer = state;
    TERN_TRY(tern_onnx_node_choice(node, "norm", "MAX", norms, &normalizer->norm, err));
    TERN_TRY(tern_onnx_node_read(node, 0, &value, err));
    TERN_TRY(tern_op_cast(node->program, TERN_DTYPE_FP32, &value, err));
    TERN_TRY(tern_program_then(node->program, &tern_normalizer_op, normalizer, TERN_DTYPE_FP32,
                               &value, err));
    tern_onnx_node_bind(node, 0, value);
    return TERN_OK;
}

/* ---- Binarizer ---- */

struct binarizer {
    float threshold;
};

static enum tern_code run_binarizer(const struct tern_step *step, struct tern_program_run *run,
                                    struct tern_err *err)
{
    const struct binarizer *binarizer = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t n = tern_op_shape_count(x);
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    const float *from = x->data;
    float *to = out->data;
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] > binarizer->threshold ? 1 : 0;
    return TERN_OK;
}

TERN_OPERATOR(tern_binarizer_op, .name = "Binarizer", .run = run_binarizer,
              .reach = TERN_REACH_ELEMENT, TERN_STATE(struct binarizer, NULL));

enum tern_code tern_op_scale_binarizer(struct tern_onnx_node *node, struct tern_err *err)
{
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_DTYPE(FP32), err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct binarizer), &state, err));
    struct binarizer *binarizer = state;
    TERN_TRY(tern_onnx_node_float(node, "threshold", 0, &binarizer->threshold, err));
    return tern_onnx_node_step(node, &tern_binarizer_op, binarizer, TERN_DTYPE_FP32, err);
}

/* ---- FeatureVectorizer ---- */

struct vectorizer {
    const int64_t *widths; /* one an input */
    size_t n;
};

static void vectorizer_points(const void *state, struct tern_state *to)
{
    const struct vectorizer *vectorizer = state;

    tern_state_cells(to, &vectorizer->widths, TERN_DTYPE_INT64, vectorizer->n);
}

/* A column of inputs next to each other. What an input has less than its width is zero, what it
 * has more is dropped. */
static enum tern_code run_vectorizer(const struct tern_step *step, struct tern_program_run *run,
                                     struct tern_err *err)
{
    const struct vectorizer *vectorizer = step->state;
    const struct tern_shape *first = &tern_step_in(step, run, 0)->shape;
    size_t rows = first->rank < 2 ? 1 : (size_t)first->dim[0], width = 0, at = 0;
    struct tern_tensor *out;

    for (uint32_t i = 0; i < step->n_in; i++)
        width += (size_t)vectorizer->widths[i];
    struct tern_shape shape = {2, {(int64_t)rows, (int64_t)width}};
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    size_t size = tern_dtype_size(out->dtype);
    memset(out->data, 0, out->n_bytes);
    for (uint32_t i = 0; i < step->n_in; i++) {
        const struct tern_tensor *x = tern_step_in(step, run, i);
        size_t n = rows == 0 ? 0 : tern_op_shape_count(x) / rows;
        size_t take = n < (size_t)vectorizer->widths[i] ? n : (size_t)vectorizer->widths[i];
        if (n * rows != tern_op_shape_count(x))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "its inputs have several numbers of rows");
        for (size_t r = 0; r < rows; r++)
            tern_convert(x->dtype, (const char *)x->data + r * n * tern_dtype_size(x->dtype),
                         out->dtype, (char *)out->data + (r * width + at) * size, take);
        at += (size_t)vectorizer->widths[i];
    }
    return TERN_OK;
}

TERN_OPERATOR(tern_vectorizer_op, .name = "FeatureVectorizer", .run = run_vectorizer,
              .reach = TERN_REACH_JOINED, TERN_STATE(struct vectorizer, vectorizer_points));

#define WIDTH_MAX (1 << 24)

enum tern_code tern_op_scale_vectorizer(struct tern_onnx_node *node, struct tern_err *err)
{
    struct tern_onnx_ints widths;
    void *state, *copy;

    TERN_TRY(tern_onnx_node_ints(node, "inputdimensions", &widths, err));
    if (node->n_in == 0 || widths.n != node->n_in)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "operator FeatureVectorizer has %u inputs and %zu widths", node->n_in,
                         widths.n);
    for (uint32_t i = 0; i < node->n_in; i++) {
        TERN_TRY(tern_onnx_node_want(node, i, TERN_ONNX_NUMBERS, err));
        if (widths.p[i] < 0 || widths.p[i] > WIDTH_MAX)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "operator FeatureVectorizer has an input of %lld columns",
                             (long long)widths.p[i]);
    }
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct vectorizer), &state, err));
    TERN_TRY(tern_onnx_node_state(node, widths.n * sizeof(*widths.p), &copy, err));
    memcpy(copy, widths.p, widths.n * sizeof(*widths.p));
    *(struct vectorizer *)state = (struct vectorizer){copy, widths.n};
    return tern_onnx_node_step(node, &tern_vectorizer_op, state, TERN_DTYPE_FP32, err);
}
/* NOLINTEND(bugprone-macro-parentheses) */
