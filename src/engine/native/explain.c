#include "engine/native/explain.h"

#include <math.h>
#include "base/num.h"
#include "core/value.h"
#include "engine/native/ops.h"
#include "engine/native/pmml_ops.h"
#include "forest/shap.h"

/* ---- what is explained ---- */

/* The one step that reads the value, besides one that says which rows have no prediction; NULL:
 * none, or several do. */
static const struct tern_step *reader_of(const struct tern_program *program, uint32_t value)
{
    const struct tern_step *found = NULL;

    for (uint32_t i = 0; i < program->n_steps; i++) {
        const struct tern_step *step = &program->steps[i];
        for (uint32_t k = 0; k < step->n_in; k++) {
            if (step->in[k] != value || step->op == &tern_pmml_guard_op)
                continue;
            if (found != NULL)
                return NULL;
            found = step;
        }
    }
    return found;
}

static const struct tern_step *model_of(const struct tern_program *program)
{
    const struct tern_step *step =
        program->n_inputs == 1 ? reader_of(program, program->inputs_at[0]) : NULL;

    while (step != NULL && tern_op_is_cast(step))
        step = reader_of(program, step->out[0]);
    return step;
}

enum tern_code tern_native_explains(const struct tern_program *program, struct tern_arena *arena,
                                    const struct tern_engine_explains **ret, struct tern_err *err)
{
    const struct tern_step *step = model_of(program);
    const struct tern_forest *forest = step == NULL ? NULL : tern_op_forest_of(step);
    const struct tern_linear *linear = step == NULL ? NULL : tern_op_linear_of(step);
    struct tern_engine_explains explains = {.methods = 0};

    *ret = NULL;
    if (forest != NULL) {
        struct tern_forest_info info = tern_forest_info(forest);
        explains.n_features = info.n_features;
        explains.n_outputs = info.n_outputs;
        explains.interactions = tern_shap_check(forest, false, NULL) == TERN_OK;
        if (explains.interactions)
            explains.methods |= TERN_EXPLAIN_BIT(TERN_EXPLAIN_TREE);
        if (tern_shap_check(forest, true, NULL) == TERN_OK)
            explains.methods |= TERN_EXPLAIN_BIT(TERN_EXPLAIN_TREE_INTERVENTIONAL);
    } else if (linear != NULL) {
        explains.n_features = linear->n_features;
        explains.n_outputs = linear->n_outputs;
        explains.methods = TERN_EXPLAIN_BIT(TERN_EXPLAIN_LINEAR);
    }
    if (explains.methods == 0)
        return TERN_OK;
    struct tern_engine_explains *kept = tern_arena_alloc(arena, 8, sizeof(*kept));
    if (kept == NULL)
        return tern_arena_fail(arena, err, "what can be explained");
    *kept = explains;
    *ret = kept;
    return TERN_OK;
}

/* ---- linear models ---- */

static double weight_of(const struct tern_linear *l, size_t feature, size_t output)
{
    size_t at = feature * l->n_outputs + output;
    return l->dtype == TERN_DTYPE_FP32 ? (double)((const float *)l->weights)[at]
                                       : ((const double *)l->weights)[at];
}

static double bias_of(const struct tern_linear *l, size_t output)
{
    if (l->bias == NULL)
        return 0;
    return l->dtype == TERN_DTYPE_FP32 ? (double)((const float *)l->bias)[output]
                                       : ((const double *)l->bias)[output];
}

static double present(const struct tern_linear *l, double x)
{
    return l->skip_missing && isnan(x) ? 0 : x;
}

static void explain_linear(const struct tern_linear *l, const struct tern_engine_explain *run,
                           double *means)
{
    size_t m = l->n_features, k = l->n_outputs;

    for (size_t f = 0; f < m; f++) {
        means[f] = 0;
        for (size_t b = 0; b < run->n_background; b++)
            means[f] += present(l, run->background[b * m + f]);
        means[f] /= (double)run->n_background;
    }
    for (size_t j = 0; j < k; j++) {
        run->base[j] = bias_of(l, j);
        for (size_t f = 0; f < m; f++)
            run->base[j] += weight_of(l, f, j) * means[f];
    }
    for (size_t row = 0; row < run->n_rows; row++) {
        for (size_t j = 0; j < k; j++) {
            double *values = run->values + (row * k + j) * m, raw = bias_of(l, j);
            for (size_t f = 0; f < m; f++) {
                double x = present(l, run->rows[row * m + f]);
                values[f] = weight_of(l, f, j) * (x - means[f]);
                raw += weight_of(l, f, j) * x;
            }
            run->raw[row * k + j] = raw;
        }
    }
}

enum tern_code tern_native_explain(const struct tern_program *program,
                                   const struct tern_engine_explain *run, struct tern_err *err)
{
    const struct tern_step *step = model_of(program);
    const struct tern_forest *forest = step == NULL ? NULL : tern_op_forest_of(step);
    const struct tern_linear *linear = step == NULL ? NULL : tern_op_linear_of(step);
    const struct tern_shap_run shap = {
        .rows = run->rows,
        .n_rows = run->n_rows,
        .background = run->method == TERN_EXPLAIN_TREE ? NULL : run->background,
        .n_background = run->n_background,
        .values = run->values,
        .interactions = run->interactions,
        .base = run->base,
        .raw = run->raw,
        .cancelled = run->cancelled,
    };

    if (forest != NULL)
        return tern_shap_run(forest, &shap, run->arena, err);
    if (linear == NULL)
        return tern_fail(err, TERN_INTERNAL, "the model has no exact attributions");
    double *means = tern_arena_zalloc(run->arena, linear->n_features, sizeof(*means));
    if (means == NULL)
        return tern_arena_fail(run->arena, err, "the background's means");
    explain_linear(linear, run, means);
    return TERN_OK;
}

/* ---- as an output ---- */

enum tern_code tern_native_add_treeshap(struct tern_arena *arena, struct tern_engine_model *model,
                                        struct tern_err *err)
{
    const struct tern_engine_explains *explains = model->explains;
    uint32_t n = model->n_outputs;
    struct tern_tensor_spec *outputs = tern_arena_zalloc(arena, n + 1, sizeof(*outputs));

    if (explains == NULL || (explains->methods & TERN_EXPLAIN_BIT(TERN_EXPLAIN_TREE)) == 0)
        return tern_fail(
            err, TERN_FAILED_PRECONDITION,
            "the model cannot give output '%s': only trees whose file says how much of "
            "the training data came where have it",
            TERN_NATIVE_TREESHAP);
    if (outputs == NULL)
        return tern_arena_fail(arena, err, "the model's outputs");
    for (uint32_t i = 0; i < n; i++)
        outputs[i] = model->outputs[i];
    outputs[n] = (struct tern_tensor_spec){
        .name = TERN_STR(TERN_NATIVE_TREESHAP), .dtype = TERN_DTYPE_FP32, .on_request = true};
    struct tern_shape *shape = &outputs[n].shape;
    shape->dim[shape->rank++] = -1;
    if (explains->n_outputs > 1)
        shape->dim[shape->rank++] = explains->n_outputs;
    shape->dim[shape->rank++] = (int64_t)explains->n_features + 1;
    model->outputs = outputs;
    model->n_outputs = n + 1;
    return TERN_OK;
}

static enum tern_code take_numbers(struct tern_arena *arena, size_t a, size_t b, double **ret,
                                   struct tern_err *err)
{
    size_t n;

    *ret = tern_num_mul(a, b, &n) ? NULL : tern_arena_zalloc(arena, n + 1, sizeof(double));
    return *ret != NULL ? TERN_OK : tern_arena_fail(arena, err, "the attributions");
}

enum tern_code tern_native_treeshap(const struct tern_engine_model *model,
                                    const struct tern_engine_run *run, struct tern_tensor *output,
                                    struct tern_err *err)
{
    const struct tern_engine_explains *explains = model->explains;
    const struct tern_tensor *in = &run->inputs[0];
    size_t m = explains->n_features, k = explains->n_outputs;
    size_t n = in->shape.rank == 2 ? (size_t)in->shape.dim[0] : 0;
    double *rows, *values, *base, *raw;

    if (in->shape.rank != 2 || in->shape.dim[1] != (int64_t)m)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "output '%s' is of rows of %zu features",
                         TERN_NATIVE_TREESHAP, m);
    TERN_TRY(take_numbers(run->arena, n, m, &rows, err));
    TERN_TRY(take_numbers(run->arena, n * k, m, &values, err));
    TERN_TRY(take_numbers(run->arena, k, 1, &base, err));
    TERN_TRY(take_numbers(run->arena, n, k, &raw, err));
    for (size_t i = 0; i < n * m; i++)
        rows[i] = tern_value_get(in, i);
    const struct tern_engine_explain explain = {.method = TERN_EXPLAIN_TREE,
                                                .rows = rows,
                                                .n_rows = n,
                                                .values = values,
                                                .base = base,
                                                .raw = raw,
                                                .arena = run->arena,
                                                .cancelled = run->cancelled};
    TERN_TRY(tern_native_explain(model->state, &explain, err));
    float *to = tern_arena_alloc(run->arena, 64, n * k * (m + 1) * sizeof(*to) + 1);
    if (to == NULL)
        return tern_arena_fail(run->arena, err, "the attributions");
    output->dtype = TERN_DTYPE_FP32;
    output->shape = model->outputs[model->n_outputs - 1].shape;
    output->shape.dim[0] = (int64_t)n;
    output->data = to;
    output->n_bytes = n * k * (m + 1) * sizeof(*to);
    for (size_t at = 0; at < n * k; at++) {
        for (size_t f = 0; f < m; f++)
            *to++ = (float)values[at * m + f];
        *to++ = (float)base[at % k];
    }
    return TERN_OK;
}
