/* LinearClassifier and LinearRegressor: float32 whatever comes in, as ONNX Runtime does it. */
#include <string.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_classes.h"
#include "engine/native/ops/op_dense.h"
#include "engine/native/ops/op_scores.h"
#include "engine/native/ops/op_shape.h"
#include "engine/native/ops/ops.h"

struct lines {
    struct tern_dense *dense;
    enum tern_scores transform;
    struct tern_op_classes classes;
    bool adds_class; /* one score stands for two classes */
};

static void lines_points(const void *state, struct tern_state *to)
{
    const struct lines *lines = state;

    tern_op_dense_points(&lines->dense, to);
    tern_op_classes_points(&lines->classes, to);
}

/* Rows of features; what has one dimension is a single row. */
static enum tern_code rows_of(const struct tern_tensor *x, const struct tern_dense *dense,
                              struct tern_dense_rows *rows, struct tern_err *err)
{
    const struct tern_shape *shape = &x->shape;
    size_t n = shape->rank < 2 ? 1 : (size_t)shape->dim[0];

    if (shape->rank > 2 || tern_op_shape_count(x) != n * dense->n_features)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a row has %lld features, expected %zu",
                         shape->rank == 0 ? 1LL : (long long)shape->dim[shape->rank - 1],
                         dense->n_features);
    *rows = (struct tern_dense_rows){.x = x->data, .x_stride = dense->n_features, .n = n};
    return TERN_OK;
}

/* The layer of the coefficients, one row an output; the step's input as float32. */
static enum tern_code make_lines(struct tern_onnx_node *node, size_t n_outputs,
                                 const struct tern_onnx_floats *intercepts,
                                 struct lines **ret_lines, uint32_t *value, struct tern_err *err)
{
    struct tern_onnx_floats coefficients;
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_NUMBERS, err));
    TERN_TRY(tern_onnx_node_floats(node, "coefficients", &coefficients, err));
    if (n_outputs == 0 || coefficients.n == 0 || coefficients.n % n_outputs != 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "operator %.*s has %zu coefficients for %zu outputs",
                         TERN_STR_ARG(node->op_type), coefficients.n, n_outputs);
    size_t n_features = coefficients.n / n_outputs;
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct lines), &state, err));
    *ret_lines = state;
    TERN_TRY(tern_op_dense_make(node->program->arena, coefficients.p, 1, n_features, n_features,
                                n_outputs, intercepts->n == n_outputs ? intercepts->p : NULL,
                                &(*ret_lines)->dense, err));
    TERN_TRY(tern_op_scores_read(node, &(*ret_lines)->transform, err));
    TERN_TRY(tern_onnx_node_read(node, 0, value, err));
    return tern_op_cast(node->program, TERN_DTYPE_FP32, value, err);
}

/* ---- LinearRegressor ---- */

static enum tern_code run_regressor(const struct tern_step *step, struct tern_program_run *run,
                                    struct tern_err *err)
{
    const struct lines *lines = step->state;
    size_t k = lines->dense->n_outputs;
    struct tern_dense_rows rows;
    struct tern_tensor *out;

    TERN_TRY(rows_of(tern_step_in(step, run, 0), lines->dense, &rows, err));
    struct tern_shape shape = {2, {(int64_t)rows.n, (int64_t)k}};
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    rows.y = out->data;
    if (rows.n > 0)
        tern_dense_run(lines->dense, &rows);
    for (size_t i = 0; i < rows.n; i++) {
        if (k > 1)
            tern_op_scores_f32(lines->transform, rows.y + i * k, k);
        else if (lines->transform == TERN_SCORES_PROBIT)
            rows.y[i] = tern_op_scores_probit(rows.y[i]);
    }
    return TERN_OK;
}

TERN_OPERATOR(tern_linear_regressor_op, .name = "LinearRegressor", .run = run_regressor,
              TERN_STATE(struct lines, lines_points));

enum tern_code tern_op_lines_regressor(struct tern_onnx_node *node, struct tern_err *err)
{
    struct tern_onnx_floats intercepts;
    struct lines *lines;
    int64_t targets;
    uint32_t value;

    TERN_TRY(tern_onnx_node_int(node, "targets", 1, &targets, err));
    TERN_TRY(tern_onnx_node_floats(node, "intercepts", &intercepts, err));
    TERN_TRY(make_lines(node, targets < 0 ? 0 : (size_t)targets, &intercepts, &lines, &value, err));
    TERN_TRY(tern_program_then(node->program, &tern_linear_regressor_op, lines, TERN_DTYPE_FP32,
                               &value, err));
    tern_onnx_node_bind(node, 0, value);
    return TERN_OK;
}

/* ---- LinearClassifier ---- */

/* The class of the largest score, the first of equals; of a single score: whether it is above 0. */
static uint32_t best_class(const float *scores, size_t k)
{
    uint32_t best = 0;

    if (k == 1)
        return scores[0] > 0;
    for (uint32_t i = 1; i < k; i++)
        best = scores[i] > scores[best] ? i : best;
    return best;
}

static void transform_row(const struct lines *lines, const float *scores, size_t k, float *out)
{
    if (k > 1) {
        memcpy(out, scores, k * sizeof(*scores));
        tern_op_scores_f32(lines->transform, out, k);
    } else if (lines->adds_class) {
        tern_op_scores_pair(lines->transform, true, scores[0], out);
    } else {
        bool is_probit = lines->transform == TERN_SCORES_PROBIT;
        out[0] = is_probit ? tern_op_scores_probit(scores[0]) : scores[0];
    }
}

static enum tern_code run_classifier(const struct tern_step *step, struct tern_program_run *run,
                                     struct tern_err *err)
{
    const struct lines *lines = step->state;
    size_t k = lines->dense->n_outputs, width = lines->adds_class ? 2 : k;
    struct tern_dense_rows rows;
    struct tern_tensor *out;

    TERN_TRY(rows_of(tern_step_in(step, run, 0), lines->dense, &rows, err));
    struct tern_shape shape = {2, {(int64_t)rows.n, (int64_t)width}};
    TERN_TRY(tern_step_out(step, run, 1, &shape, &out, err));
    rows.y = tern_arena_alloc(run->arena, 64, rows.n * k * sizeof(float) + 1);
    uint32_t *numbers = tern_arena_alloc(run->arena, 64, rows.n * sizeof(uint32_t) + 1);
    if (rows.y == NULL || numbers == NULL)
        return tern_arena_fail(run->arena, err, "the scores");
    if (rows.n > 0)
        tern_dense_run(lines->dense, &rows);
    for (size_t i = 0; i < rows.n; i++) {
        numbers[i] = best_class(rows.y + i * k, k);
        transform_row(lines, rows.y + i * k, k, (float *)out->data + i * width);
    }
    return tern_op_classes_give(&lines->classes, step, run, 0, numbers, rows.n, err);
}

TERN_OPERATOR(tern_linear_classifier_op, .name = "LinearClassifier", .run = run_classifier,
              TERN_STATE(struct lines, lines_points));

const struct tern_dense *tern_op_lines_of(const struct tern_step *step)
{
    const struct lines *lines = step->state;
    bool is_lines = step->op == &tern_linear_regressor_op || step->op == &tern_linear_classifier_op;
    return is_lines ? lines->dense : NULL;
}

static enum tern_code read_classes(struct tern_onnx_node *node, struct lines *lines,
                                   struct tern_err *err)
{
    size_t k = lines->dense->n_outputs;

    TERN_TRY(tern_op_classes_read(node, "classlabels_ints", "classlabels_strings", &lines->classes,
                                  err));
    lines->adds_class = k == 1 && lines->classes.n == 2;
    if (k == 1 && lines->classes.n != 2)
        lines->classes = tern_op_classes_binary(lines->classes.dtype);
    if (k > 1 && lines->classes.n < k)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "operator LinearClassifier has %zu labels for %zu classes",
                         lines->classes.n, k);
    if (lines->adds_class && lines->transform == TERN_SCORES_PROBIT)
        return tern_onnx_node_refuse(node, "PROBIT of one score for two classes", err);
    return TERN_OK;
}

enum tern_code tern_op_lines_classifier(struct tern_onnx_node *node, struct tern_err *err)
{
    struct tern_onnx_floats intercepts;
    struct lines *lines;
    uint32_t value, made[2];

    tern_onnx_node_ignore(node, "multi_class");
    TERN_TRY(tern_onnx_node_floats(node, "intercepts", &intercepts, err));
    TERN_TRY(make_lines(node, intercepts.n, &intercepts, &lines, &value, err));
    TERN_TRY(read_classes(node, lines, err));
    TERN_TRY(tern_program_made(node->program, TERN_STR(""), lines->classes.dtype, &made[0], err));
    TERN_TRY(tern_program_made(node->program, TERN_STR(""), TERN_DTYPE_FP32, &made[1], err));
    TERN_TRY(tern_program_step(node->program, &tern_linear_classifier_op, lines, &value, 1, made, 2,
                               err));
    TERN_TRY(tern_op_classes_label(node->program, made[1], &lines->classes, err));
    tern_onnx_node_bind(node, 0, made[0]);
    tern_onnx_node_bind(node, 1, made[1]);
    return TERN_OK;
}
