/* From the parts of a CatBoost model to a forest and a program. */
#include "engine/native/catboost/catboost_int.h"

#include <math.h>
#include <string.h>
#include "base/grow.h"
#include "base/mem.h"
#include "engine/native/ops/op_decide.h"
#include "engine/native/ops/ops.h"

void tern_catboost_init(struct tern_catboost *model, const struct tern_native_source *source,
                        struct tern_program *program)
{
    memset(model, 0, sizeof(*model));
    model->source = source;
    model->program = program;
    model->scale = 1;
}

void tern_catboost_fini(struct tern_catboost *model)
{
    tern_forest_builder_free(model->builder);
    tern_mem_free(model->features);
    tern_mem_free(model->categories);
    tern_mem_free(model->bins);
    tern_mem_free(model->names);
    tern_mem_free(model->classes);
    tern_mem_free(model->bias);
    tern_mem_free(model->nodes);
}

/* ---- features ---- */

enum tern_code tern_catboost_column(struct tern_catboost *model, int64_t column,
                                    struct tern_str name, struct tern_err *err)
{
    if (column < 0 || column >= TERN_CATBOOST_COLUMNS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a feature in column %lld, expected 0 to %u",
                         (long long)column, TERN_CATBOOST_COLUMNS_MAX - 1);
    if ((uint32_t)column >= model->n_columns) {
        uint32_t n = (uint32_t)column + 1;
        TERN_TRY(tern_grow(&model->names, &model->names_cap, model->n_columns, n - model->n_columns,
                           sizeof(*model->names), TERN_CATBOOST_COLUMNS_MAX, "columns", err));
        memset(model->names + model->n_columns, 0, (n - model->n_columns) * sizeof(*model->names));
        model->n_columns = n;
    }
    model->names[column] = name;
    model->has_names = model->has_names || name.n > 0;
    return TERN_OK;
}

enum tern_code tern_catboost_add_feature(struct tern_catboost *model, int64_t index, int64_t column,
                                         bool nan_is_largest, struct tern_str name,
                                         struct tern_err *err)
{
    if (index < 0 || index > UINT32_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a feature with the index %lld",
                         (long long)index);
    TERN_TRY(tern_catboost_column(model, column, name, err));
    TERN_TRY(tern_grow(&model->features, &model->features_cap, model->n_features, 1,
                       sizeof(*model->features), TERN_CATBOOST_COLUMNS_MAX, "features", err));
    model->features[model->n_features++] =
        (struct tern_catboost_feature){(uint32_t)index, (uint32_t)column, nan_is_largest};
    return TERN_OK;
}

enum tern_code tern_catboost_add_border(struct tern_catboost *model, double border,
                                        struct tern_err *err)
{
    if (isnan(border))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a border that is not a number");
    TERN_TRY(tern_grow(&model->bins, &model->bins_cap, model->n_bins, 1, sizeof(*model->bins),
                       TERN_CATBOOST_PARTS_MAX, "borders", err));
    model->bins[model->n_bins++] = (struct tern_catboost_bin){
        .feature = (uint32_t)(model->n_features - 1), .border = (float)border};
    return TERN_OK;
}

enum tern_code tern_catboost_add_category(struct tern_catboost *model, int64_t index,
                                          int64_t column, struct tern_str name,
                                          struct tern_err *err)
{
    if (index < 0 || index > UINT32_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a category feature with the index %lld",
                         (long long)index);
    TERN_TRY(tern_catboost_column(model, column, name, err));
    TERN_TRY(tern_grow(&model->categories, &model->categories_cap, model->n_categories, 1,
                       sizeof(*model->categories), TERN_CATBOOST_COLUMNS_MAX, "features", err));
    model->categories[model->n_categories++] =
        (struct tern_catboost_category){(uint32_t)index, (uint32_t)column, 0};
    return TERN_OK;
}

enum tern_code tern_catboost_add_value(struct tern_catboost *model, int64_t index, int64_t hash,
                                       struct tern_err *err)
{
    size_t at = 0;

    while (at < model->n_categories && model->categories[at].index != index)
        at++;
    if (at == model->n_categories || hash < INT32_MIN || hash > UINT32_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the category %lld of the feature %lld",
                         (long long)hash, (long long)index);
    struct tern_catboost_category *category = &model->categories[at];
    if (category->n_values == TERN_CATBOOST_VALUES_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                         "trees ask for more than %u categories of a feature",
                         TERN_CATBOOST_VALUES_MAX);
    TERN_TRY(tern_grow(&model->bins, &model->bins_cap, model->n_bins, 1, sizeof(*model->bins),
                       TERN_CATBOOST_PARTS_MAX, "borders", err));
    model->bins[model->n_bins++] = (struct tern_catboost_bin){.is_category = true,
                                                              .feature = (uint32_t)at,
                                                              .border = (float)category->n_values++,
                                                              .hash = (uint32_t)hash};
    return TERN_OK;
}

/* ---- what the model was trained for ---- */

static const struct {
    const char *name;
    enum tern_catboost_answer answer;
} losses[] = {
    {"Logloss", TERN_CATBOOST_SIGMOID},
    {"CrossEntropy", TERN_CATBOOST_SIGMOID},
    {"Focal", TERN_CATBOOST_SIGMOID},
    {"MultiClass", TERN_CATBOOST_SOFTMAX},
    {"MultiClassOneVsAll", TERN_CATBOOST_SIGMOID},
    {"MultiLogloss", TERN_CATBOOST_SIGMOID},
    {"MultiCrossEntropy", TERN_CATBOOST_SIGMOID},
    {"Poisson", TERN_CATBOOST_EXPONENT},
    {"Tweedie", TERN_CATBOOST_EXPONENT},
    {"RMSEWithUncertainty", TERN_CATBOOST_VARIANCE},
};

enum tern_code tern_catboost_set_loss(struct tern_catboost *model, struct tern_str loss,
                                      struct tern_err *err)
{
    (void)err;
    model->answer = TERN_CATBOOST_RAW;
    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        if (tern_str_eq(loss, tern_str_of(losses[i].name)))
            model->answer = losses[i].answer;
    }
    return TERN_OK;
}

enum tern_code tern_catboost_add_bias(struct tern_catboost *model, double bias,
                                      struct tern_err *err)
{
    if (isnan(bias))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a bias that is not a number");
    TERN_TRY(tern_grow(&model->bias, &model->bias_cap, model->n_bias, 1, sizeof(*model->bias),
                       TERN_FOREST_OUTPUTS_MAX, "biases", err));
    model->bias[model->n_bias++] = bias;
    return TERN_OK;
}

/* ---- the forest ---- */

/* One bias for all outputs stands for each of them. */
static enum tern_code spread_bias(struct tern_catboost *model, struct tern_err *err)
{
    if (model->n_bias == 0)
        TERN_TRY(tern_catboost_add_bias(model, 0, err));
    if (model->n_bias != 1 && model->n_bias != model->n_outputs)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%zu biases for %u outputs", model->n_bias,
                         model->n_outputs);
    while (model->n_bias < model->n_outputs)
        TERN_TRY(tern_catboost_add_bias(model, model->bias[0], err));
    return TERN_OK;
}

enum tern_code tern_catboost_begin(struct tern_catboost *model, struct tern_err *err)
{
    if (model->n_outputs == 0 || model->n_outputs > TERN_FOREST_OUTPUTS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%u outputs, expected 1 to %u",
                         model->n_outputs, TERN_FOREST_OUTPUTS_MAX);
    if (!isfinite(model->scale))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the scale is not a number");
    TERN_TRY(spread_bias(model, err));
    const struct tern_forest_settings settings = {
        .n_features = model->n_columns,
        .n_outputs = model->n_outputs,
        .float_input = true,
        .base = model->scale == 1 ? model->bias : NULL,
    };
    return tern_forest_builder_new(&settings, &model->builder, err);
}

enum tern_code tern_catboost_add_node(struct tern_catboost *model, uint32_t *ret,
                                      struct tern_err *err)
{
    TERN_TRY(tern_grow(&model->nodes, &model->nodes_cap, model->n_nodes, 1, sizeof(*model->nodes),
                       TERN_CATBOOST_PARTS_MAX, "nodes of a tree", err));
    *ret = (uint32_t)model->n_nodes;
    model->nodes[model->n_nodes++] = (struct tern_forest_node){.test = TERN_FOREST_LEAF};
    return TERN_OK;
}

enum tern_code tern_catboost_ask(struct tern_catboost *model, uint32_t node, uint32_t bin,
                                 uint32_t left, uint32_t right, struct tern_err *err)
{
    if (bin >= model->n_bins)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "split %u, but there are %zu borders", bin,
                         model->n_bins);
    const struct tern_catboost_bin *from = &model->bins[bin];
    struct tern_forest_node *asks = &model->nodes[node];
    asks->threshold = (double)from->border;
    if (from->is_category) {
        asks->test = TERN_FOREST_EQUAL;
        asks->feature = model->categories[from->feature].column;
        asks->missing_yes = false;
        asks->yes = right;
        asks->no = left;
        return TERN_OK;
    }
    asks->test = TERN_FOREST_LESS_EQUAL;
    asks->feature = model->features[from->feature].column;
    asks->missing_yes = !model->features[from->feature].nan_is_largest;
    asks->yes = left;
    asks->no = right;
    return TERN_OK;
}

enum tern_code tern_catboost_add_tree(struct tern_catboost *model, const double *values,
                                      uint32_t n_leaves, struct tern_err *err)
{
    struct tern_forest_node *nodes = model->nodes;
    const struct tern_forest_tree tree = {
        .nodes = nodes,
        .n_nodes = (uint32_t)model->n_nodes,
        .values = values,
        .n_leaves = n_leaves,
        .vector = model->n_outputs > 1,
    };

    for (size_t i = model->n_nodes; i-- > 0;) {
        if (nodes[i].test != TERN_FOREST_LEAF)
            nodes[i].cover = nodes[nodes[i].yes].cover + nodes[nodes[i].no].cover;
    }
    TERN_TRY(tern_forest_builder_add_tree(model->builder, &tree, err));
    model->n_trees++;
    return TERN_OK;
}

/* Level by level, the last question first, so that node k of a level has the answers so far as the
 * bits of k, and of the last level k is the leaf. CatBoost goes the same way when it asks how much
 * of the training data came where. */
enum tern_code tern_catboost_add_symmetric(struct tern_catboost *model, const uint32_t *splits,
                                           uint32_t n_splits, const double *values,
                                           const double *weights, struct tern_err *err)
{
    uint32_t node = 0;

    if (n_splits > TERN_CATBOOST_DEPTH_MAX)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "a symmetric tree of depth %u; up to %d are served", n_splits,
                         TERN_CATBOOST_DEPTH_MAX);
    model->n_nodes = 0;
    for (uint32_t depth = 0; depth <= n_splits; depth++) {
        for (uint32_t k = 0; k < 1u << depth; k++) {
            TERN_TRY(tern_catboost_add_node(model, &node, err));
            if (depth == n_splits) {
                model->nodes[node].leaf = k;
                model->nodes[node].cover = weights == NULL ? 0 : weights[k];
                continue;
            }
            uint32_t below = (2u << depth) - 1;
            TERN_TRY(tern_catboost_ask(model, node, splits[n_splits - 1 - depth], below + 2 * k,
                                       below + 2 * k + 1, err));
        }
    }
    return tern_catboost_add_tree(model, values, 1u << n_splits, err);
}

/* ---- the program ---- */

/* scale * sum + bias, where the forest did not do it. */
static enum tern_code scale_sums(struct tern_catboost *model, uint32_t *value, struct tern_err *err)
{
    struct tern_arena *arena = model->source->arena;
    uint32_t k = model->n_outputs;
    double *weights = tern_arena_zalloc(arena, (size_t)k * k, sizeof(*weights));
    double *bias = tern_arena_zalloc(arena, k, sizeof(*bias));

    if (weights == NULL || bias == NULL)
        return tern_arena_fail(arena, err, "a model's scale");
    for (uint32_t i = 0; i < k; i++) {
        weights[(size_t)i * k + i] = model->scale;
        bias[i] = model->bias[i];
    }
    const struct tern_linear linear = {.weights = weights,
                                       .bias = bias,
                                       .n_features = k,
                                       .n_outputs = k,
                                       .dtype = TERN_DTYPE_FP64};
    return tern_op_linear(model->program, &linear, value, err);
}

static enum tern_code answer_sums(struct tern_catboost *model, uint32_t *value,
                                  struct tern_err *err)
{
    switch (model->answer) {
    case TERN_CATBOOST_RAW:
        return TERN_OK;
    case TERN_CATBOOST_VARIANCE:
        return tern_catboost_op_variance(model->program, value, err);
    case TERN_CATBOOST_EXPONENT:
        return tern_op_link(model->program, TERN_LINK_EXP, 0, value, err);
    case TERN_CATBOOST_SOFTMAX:
        if (model->n_outputs > 1)
            return tern_op_link(model->program, TERN_LINK_SOFTMAX, 0, value, err);
        break;
    case TERN_CATBOOST_SIGMOID:
        break;
    }
    TERN_TRY(tern_op_link(model->program, TERN_LINK_SIGMOID, 1, value, err));
    return model->n_outputs == 1 ? tern_op_decide_pair(model->program, value, err) : TERN_OK;
}

static enum tern_code keep_names(struct tern_catboost *model, struct tern_err *err)
{
    struct tern_arena *arena = model->source->arena;

    if (!model->has_names)
        return TERN_OK;
    struct tern_str *names = tern_arena_zalloc(arena, model->n_columns, sizeof(*names));
    if (names == NULL)
        return tern_arena_fail(arena, err, "the features' names");
    for (uint32_t i = 0; i < model->n_columns; i++) {
        names[i] = tern_arena_copy(arena, model->names[i]);
        if (names[i].p == NULL && model->names[i].n > 0)
            return tern_arena_fail(arena, err, "the features' names");
    }
    model->program->feature_names = names;
    model->program->n_feature_names = model->n_columns;
    return TERN_OK;
}

enum tern_code tern_catboost_end(struct tern_catboost *model, struct tern_err *err)
{
    bool is_binary = model->n_outputs == 1 && (model->answer == TERN_CATBOOST_SIGMOID ||
                                               model->answer == TERN_CATBOOST_SOFTMAX);
    const struct tern_tensor_spec input = {
        .name = TERN_STR("input__0"),
        .dtype = TERN_DTYPE_FP32,
        .shape = {.rank = 2, .dim = {-1, model->n_columns}},
    };
    const struct tern_tensor_spec output = {
        .name = TERN_STR("output__0"),
        .dtype = TERN_DTYPE_FP64,
        .shape = {.rank = 2, .dim = {-1, is_binary ? 2 : model->n_outputs}},
    };
    struct tern_forest *forest;
    uint32_t value;

    TERN_TRY(keep_names(model, err));
    if (model->answer == TERN_CATBOOST_VARIANCE && model->n_outputs != 2)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "%u outputs, but the loss RMSEWithUncertainty has two", model->n_outputs);
    TERN_TRY(tern_program_input(model->program, &input, &value, err));
    TERN_TRY(tern_catboost_op_categories(model, &value, err));
    TERN_TRY(tern_forest_builder_finish(model->builder, &forest, err));
    TERN_TRY(tern_op_forest(model->program, forest, &value, err));
    if (model->scale != 1)
        TERN_TRY(scale_sums(model, &value, err));
    TERN_TRY(answer_sums(model, &value, err));
    TERN_TRY(tern_program_label(model->program, value, model->classes, model->n_classes, err));
    return tern_program_output(model->program, &output, value, err);
}
