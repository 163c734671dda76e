#include "engine/native/explain.h"

#include <math.h>
#include "base/num.h"
#include "core/value.h"
#include "engine/native/ops/ops.h"
#include "forest/shap.h"

/* ---- what is explained ---- */

/* A linear step: of numbers of one precision, or packed. */
struct linear {
    const struct tern_linear *plain;
    const struct tern_dense *packed;
    size_t n_features, n_outputs;
};

/* False: the step is no linear model. */
static bool linear_of(const struct tern_step *step, struct linear *ret)
{
    *ret = (struct linear){.plain = tern_op_linear_of(step), .packed = tern_op_lines_of(step)};
    if (ret->plain != NULL) {
        ret->n_features = ret->plain->n_features;
        ret->n_outputs = ret->plain->n_outputs;
    } else if (ret->packed != NULL) {
        ret->n_features = ret->packed->n_features;
        ret->n_outputs = ret->packed->n_outputs;
    }
    return ret->plain != NULL || ret->packed != NULL;
}

static void describe_forest(const struct tern_forest *forest, struct tern_engine_explains *ret)
{
    ret->n_outputs = tern_forest_info(forest).n_outputs;
    ret->interactions = tern_shap_check(forest, false, NULL) == TERN_OK;
    if (ret->interactions)
        ret->methods |= TERN_EXPLAIN_BIT(TERN_EXPLAIN_TREE);
    if (tern_shap_check(forest, true, NULL) == TERN_OK)
        ret->methods |= TERN_EXPLAIN_BIT(TERN_EXPLAIN_TREE_INTERVENTIONAL);
}

enum tern_code tern_native_explains(struct tern_native_model *native, struct tern_arena *arena,
                                    const struct tern_engine_explains **ret, struct tern_err *err)
{
    struct linear linear;

    *ret = NULL;
    TERN_TRY(tern_origins_find(&native->program, arena, &native->origins, err));
    if (native->origins == NULL)
        return TERN_OK;
    struct tern_engine_explains explains = {.n_features = native->origins->n_features};
    const struct tern_forest *forest = tern_op_forest_of(native->origins->model);
    if (forest != NULL && native->origins->n_columns >= tern_forest_features(forest)) {
        describe_forest(forest, &explains);
    } else if (linear_of(native->origins->model, &linear) &&
               native->origins->n_columns == linear.n_features) {
        explains.n_outputs = (uint32_t)linear.n_outputs;
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

/* ---- what the model reads ---- */

static enum tern_code take_numbers(struct tern_arena *arena, size_t a, size_t b, double **ret,
                                   struct tern_err *err)
{
    size_t n;

    *ret = tern_num_mul(a, b, &n) ? NULL : tern_arena_zalloc(arena, n + 1, sizeof(double));
    return *ret != NULL ? TERN_OK : tern_arena_fail(arena, err, "the attributions");
}

/* As the program's inputs are shaped, n rows of each. */
static enum tern_code shape_rows(const struct tern_program *program, const struct tern_tensor *rows,
                                 size_t n, struct tern_arena *arena, struct tern_engine_run *ret,
                                 struct tern_err *err)
{
    uint32_t n_inputs = program->n_inputs;
    struct tern_tensor *inputs = tern_arena_zalloc(arena, n_inputs + 1, sizeof(*inputs));
    uint32_t *specs = tern_arena_zalloc(arena, n_inputs + 1, sizeof(*specs));
    size_t n_bytes;

    if (inputs == NULL || specs == NULL)
        return tern_arena_fail(arena, err, "the rows to explain");
    for (uint32_t i = 0; i < n_inputs; i++) {
        inputs[i] = rows[i];
        inputs[i].shape = program->inputs[i].shape;
        inputs[i].shape.dim[0] = (int64_t)n;
        specs[i] = i;
        if (rows[i].dtype == TERN_DTYPE_BYTES) /* who reads texts counts them */
            continue;
        TERN_TRY(tern_shape_bytes(rows[i].name, rows[i].dtype, &inputs[i].shape, &n_bytes, err));
        if (n_bytes != rows[i].n_bytes)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "input '%.*s' has not the %zu rows that the first one has",
                             TERN_STR_ARG(rows[i].name), n);
    }
    *ret = (struct tern_engine_run){
        .inputs = inputs, .input_spec = specs, .n_inputs = n_inputs, .arena = arena};
    return TERN_OK;
}

/* The columns that the model reads of these rows: n x `width`, of which it may read less than there
 * are. */
static enum tern_code read_columns(const struct tern_native_model *native,
                                   const struct tern_tensor *rows, size_t n, size_t width,
                                   struct tern_arena *arena, double **ret, struct tern_err *err)
{
    const struct tern_origins *origins = native->origins;
    struct tern_engine_run run;
    struct tern_tensor columns;

    if (rows == NULL)
        return tern_fail(err, TERN_INTERNAL, "there are no rows");
    TERN_TRY(shape_rows(&native->program, rows, n, arena, &run, err));
    TERN_TRY(tern_program_run_until(&native->program, &run, origins->steps, origins->model->in[0],
                                    &columns, err));
    size_t stride = origins->n_columns;
    if (columns.shape.rank != 2 || columns.shape.dim[0] != (int64_t)n ||
        columns.shape.dim[1] != (int64_t)stride)
        return tern_fail(err, TERN_INTERNAL, "the model's columns are others than at load");
    TERN_TRY(take_numbers(arena, n, width, ret, err));
    for (size_t row = 0; row < n; row++) {
        for (size_t i = 0; i < width; i++)
            (*ret)[row * width + i] = tern_value_get(&columns, row * stride + i);
    }
    return TERN_OK;
}

/* ---- linear models ---- */

static double weight_of(const struct linear *l, size_t feature, size_t output)
{
    size_t at = feature * l->n_outputs + output;

    if (l->packed != NULL)
        return (double)tern_dense_weight(l->packed, feature, output);
    return l->plain->dtype == TERN_DTYPE_FP32 ? (double)((const float *)l->plain->weights)[at]
                                              : ((const double *)l->plain->weights)[at];
}

static double bias_of(const struct linear *l, size_t output)
{
    if (l->packed != NULL)
        return l->packed->bias == NULL ? 0 : (double)l->packed->bias[output];
    if (l->plain->bias == NULL)
        return 0;
    return l->plain->dtype == TERN_DTYPE_FP32 ? (double)((const float *)l->plain->bias)[output]
                                              : ((const double *)l->plain->bias)[output];
}

static double present(const struct linear *l, double x)
{
    return l->plain != NULL && l->plain->skip_missing && isnan(x) ? 0 : x;
}

/* Each column adds weight * (value - mean of the background) to the feature that it is made of. */
static void explain_row(const struct linear *l, const struct tern_origins *origins,
                        const double *columns, const double *means, size_t output, double *values,
                        double *ret_raw)
{
    double raw = bias_of(l, output);

    for (size_t i = 0; i < origins->n_features; i++)
        values[i] = 0;
    for (size_t c = 0; c < l->n_features; c++) {
        double x = present(l, columns[c]), weight = weight_of(l, c, output);
        raw += weight * x;
        if (origins->features[c] != TERN_ORIGIN_NONE)
            values[origins->features[c]] += weight * (x - means[c]);
    }
    *ret_raw = raw;
}

static enum tern_code explain_linear(const struct tern_native_model *native, const struct linear *l,
                                     const struct tern_engine_explain *run, struct tern_err *err)
{
    const struct tern_origins *origins = native->origins;
    size_t m = l->n_features, k = l->n_outputs;
    double *rows, *background, *means;

    TERN_TRY(read_columns(native, run->rows, run->n_rows, m, run->arena, &rows, err));
    TERN_TRY(
        read_columns(native, run->background, run->n_background, m, run->arena, &background, err));
    TERN_TRY(take_numbers(run->arena, m, 1, &means, err));
    for (size_t c = 0; c < m; c++) {
        for (size_t b = 0; b < run->n_background; b++)
            means[c] += present(l, background[b * m + c]);
        means[c] /= (double)run->n_background;
    }
    for (size_t j = 0; j < k; j++) {
        run->base[j] = bias_of(l, j);
        for (size_t c = 0; c < m; c++)
            run->base[j] += weight_of(l, c, j) * means[c];
        for (size_t row = 0; row < run->n_rows; row++)
            explain_row(l, origins, rows + row * m, means, j,
                        run->values + (row * k + j) * origins->n_features, &run->raw[row * k + j]);
    }
    return TERN_OK;
}

/* ---- forests ---- */

static enum tern_code explain_forest(const struct tern_native_model *native,
                                     const struct tern_forest *forest,
                                     const struct tern_engine_explain *run, struct tern_err *err)
{
    size_t width = tern_forest_features(forest);
    double *rows, *background = NULL;

    TERN_TRY(read_columns(native, run->rows, run->n_rows, width, run->arena, &rows, err));
    if (run->method != TERN_EXPLAIN_TREE)
        TERN_TRY(read_columns(native, run->background, run->n_background, width, run->arena,
                              &background, err));
    const struct tern_shap_run shap = {
        .players = native->origins->features,
        .n_players = native->origins->n_features,
        .rows = rows,
        .n_rows = run->n_rows,
        .background = background,
        .n_background = run->n_background,
        .values = run->values,
        .interactions = run->interactions,
        .base = run->base,
        .raw = run->raw,
        .cancelled = run->cancelled,
    };
    return tern_shap_run(forest, &shap, run->arena, err);
}

enum tern_code tern_native_explain(const struct tern_native_model *native,
                                   const struct tern_engine_explain *run, struct tern_err *err)
{
    const struct tern_forest *forest =
        native->origins == NULL ? NULL : tern_op_forest_of(native->origins->model);
    struct linear linear;

    if (forest != NULL)
        return explain_forest(native, forest, run, err);
    if (native->origins == NULL || !linear_of(native->origins->model, &linear))
        return tern_fail(err, TERN_INTERNAL, "the model has no exact attributions");
    return explain_linear(native, &linear, run, err);
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

/* Of a run, in the order of the model's inputs. */
static enum tern_code sort_inputs(const struct tern_engine_model *model,
                                  const struct tern_engine_run *run, struct tern_tensor **ret,
                                  struct tern_err *err)
{
    *ret = tern_arena_zalloc(run->arena, model->n_inputs + 1, sizeof(**ret));
    if (*ret == NULL)
        return tern_arena_fail(run->arena, err, "the attributions");
    for (uint32_t i = 0; i < run->n_inputs; i++)
        (*ret)[run->input_spec[i]] = run->inputs[i];
    return TERN_OK;
}

enum tern_code tern_native_treeshap(const struct tern_engine_model *model,
                                    const struct tern_engine_run *run, struct tern_tensor *output,
                                    struct tern_err *err)
{
    const struct tern_engine_explains *explains = model->explains;
    const struct tern_shape *shape = &run->inputs[0].shape;
    size_t m = explains->n_features, k = explains->n_outputs;
    size_t n = shape->rank == 0 ? 0 : (size_t)shape->dim[0];
    double *values, *base, *raw;
    struct tern_tensor *rows;

    TERN_TRY(sort_inputs(model, run, &rows, err));
    TERN_TRY(take_numbers(run->arena, n * k, m, &values, err));
    TERN_TRY(take_numbers(run->arena, k, 1, &base, err));
    TERN_TRY(take_numbers(run->arena, n, k, &raw, err));
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
