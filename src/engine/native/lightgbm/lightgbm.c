/* From a LightGBM model's head and trees to a forest and a program. The rules of a decision are
 * those of Tree::NumericalDecision and Tree::CategoricalDecision (include/LightGBM/tree.h). */
#include "engine/native/lightgbm/lightgbm_int.h"

#include <string.h>
#include "base/grow.h"
#include "base/mem.h"

void tern_lightgbm_init(struct tern_lightgbm *model, const struct tern_native_source *source,
                        struct tern_program *program)
{
    memset(model, 0, sizeof(*model));
    model->source = source;
    model->program = program;
}

void tern_lightgbm_fini(struct tern_lightgbm *model)
{
    tern_forest_builder_free(model->builder);
    tern_mem_free(model->tree.nodes);
    tern_mem_free(model->tree.values);
    tern_mem_free(model->tree.linear);
    tern_mem_free(model->tree.features);
    tern_mem_free(model->tree.coefficients);
}

/* ---- the head ---- */

static enum tern_code check_version(struct tern_str version, struct tern_err *err)
{
    if (!tern_str_eq(version, TERN_STR("v2")) && !tern_str_eq(version, TERN_STR("v3")) &&
        !tern_str_eq(version, TERN_STR("v4")))
        return tern_fail(err, TERN_UNIMPLEMENTED, "version '%.*s' is not known: v2, v3 and v4 are",
                         TERN_STR_ARG(version));
    return TERN_OK;
}

static enum tern_code check_head(struct tern_lightgbm *model, struct tern_err *err)
{
    if (model->version.n > 0)
        TERN_TRY(check_version(model->version, err));
    TERN_TRY(tern_lightgbm_objective_read(model->objective, &model->transform, err));
    if (model->n_features == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "max_feature_idx is missing");
    if (model->n_class == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "num_class is missing");
    if (model->n_outputs == 0)
        model->n_outputs = model->n_class;
    if (model->n_class != model->n_outputs)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "num_class is %u, but num_tree_per_iteration is %u", model->n_class,
                         model->n_outputs);
    if (model->transform.n_class != 0 && model->transform.n_class != model->n_class)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "num_class is %u, but the objective has num_class:%u", model->n_class,
                         model->transform.n_class);
    return TERN_OK;
}

enum tern_code tern_lightgbm_begin(struct tern_lightgbm *model, struct tern_err *err)
{
    TERN_TRY(check_head(model, err));
    const struct tern_forest_settings settings = {
        .n_features = model->n_features,
        .n_outputs = model->n_outputs,
        .combine = model->average ? TERN_FOREST_AVERAGE : TERN_FOREST_SUM,
    };
    return tern_forest_builder_new(&settings, &model->builder, err);
}

/* ---- a tree ---- */

enum tern_code tern_lightgbm_tree_begin(struct tern_lightgbm_tree *tree, uint32_t n_leaves,
                                        struct tern_err *err)
{
    size_t n = n_leaves;

    if (n_leaves == 0 || n_leaves > TERN_FOREST_LEAVES_MAX / 2)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "num_leaves is %u", n_leaves);
    TERN_TRY(tern_grow(&tree->nodes, &tree->nodes_cap, 0, 2 * n - 1, sizeof(*tree->nodes),
                       TERN_LIGHTGBM_PARTS_MAX, "nodes of a tree", err));
    TERN_TRY(tern_grow(&tree->values, &tree->values_cap, 0, n, sizeof(*tree->values),
                       TERN_LIGHTGBM_PARTS_MAX, "leaves of a tree", err));
    TERN_TRY(tern_grow(&tree->linear, &tree->linear_cap, 0, n, sizeof(*tree->linear),
                       TERN_LIGHTGBM_PARTS_MAX, "leaves of a tree", err));
    memset(tree->nodes, 0, (2 * n - 1) * sizeof(*tree->nodes));
    memset(tree->values, 0, n * sizeof(*tree->values));
    memset(tree->linear, 0, n * sizeof(*tree->linear));
    for (uint32_t i = 0; i < n_leaves; i++) {
        struct tern_forest_node *leaf = &tree->nodes[n_leaves - 1 + i];
        leaf->test = TERN_FOREST_LEAF;
        leaf->leaf = i;
    }
    tree->n_leaves = n_leaves;
    tree->n_terms = 0;
    return TERN_OK;
}

enum tern_code tern_lightgbm_tree_terms(struct tern_lightgbm_tree *tree, uint32_t more,
                                        struct tern_err *err)
{
    TERN_TRY(tern_grow(&tree->features, &tree->features_cap, tree->n_terms, more,
                       sizeof(*tree->features), TERN_LIGHTGBM_PARTS_MAX, "terms of linear leaves",
                       err));
    return tern_grow(&tree->coefficients, &tree->coefficients_cap, tree->n_terms, more,
                     sizeof(*tree->coefficients), TERN_LIGHTGBM_PARTS_MAX, "terms of linear leaves",
                     err);
}

uint32_t tern_lightgbm_tree_child(const struct tern_lightgbm_tree *tree, int64_t child)
{
    return (uint32_t)(child >= 0 ? child : (int64_t)tree->n_leaves - 1 + ~child);
}

void tern_lightgbm_split(struct tern_forest_node *node, double threshold, bool default_left,
                         enum tern_lightgbm_missing missing)
{
    node->test = TERN_FOREST_LESS_EQUAL;
    node->threshold = threshold;
    node->zero_is_missing = missing == TERN_LIGHTGBM_ZERO;
    node->missing_yes = missing == TERN_LIGHTGBM_NONE ? threshold >= 0 : default_left;
}

void tern_lightgbm_split_categories(struct tern_forest_node *node, uint32_t set)
{
    node->test = TERN_FOREST_MEMBER;
    node->set = set;
    node->missing_yes = false;
    node->zero_is_missing = false;
}

enum tern_code tern_lightgbm_add(struct tern_lightgbm *model, struct tern_err *err)
{
    const struct tern_lightgbm_tree *tree = &model->tree;
    const struct tern_forest_tree add = {
        .nodes = tree->nodes,
        .n_nodes = 2 * tree->n_leaves - 1,
        .values = tree->values,
        .n_leaves = tree->n_leaves,
        .output = model->n_trees % model->n_outputs,
        .linear = tree->is_linear ? tree->linear : NULL,
    };

    TERN_TRY(tern_forest_builder_add_tree(model->builder, &add, err));
    model->n_trees++;
    return TERN_OK;
}

/* ---- the program ---- */

static enum tern_code check_trees(const struct tern_lightgbm *model, struct tern_err *err)
{
    if (model->version.n == 0) /* in JSON with sorted keys it is the last member */
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "the model has no version: it is older than LightGBM 2.1; load it with a "
                         "later LightGBM and save it again");
    TERN_TRY(check_version(model->version, err));
    if (model->n_trees % model->n_outputs != 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "%u trees are no whole number of iterations of %u", model->n_trees,
                         model->n_outputs);
    if (model->average && model->n_trees == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a random forest without trees");
    return TERN_OK;
}

static enum tern_code add_input(struct tern_lightgbm *model, uint32_t *value, struct tern_err *err)
{
    const struct tern_tensor_spec spec = {
        .name = TERN_STR("input__0"),
        .dtype = TERN_DTYPE_FP64,
        .shape = {.rank = 2, .dim = {-1, model->n_features}},
    };
    return tern_program_input(model->program, &spec, value, err);
}

static enum tern_code add_output(struct tern_lightgbm *model, uint32_t value, struct tern_err *err)
{
    const struct tern_tensor_spec spec = {
        .name = TERN_STR("output__0"),
        .dtype = TERN_DTYPE_FP64,
        .shape = {.rank = 2, .dim = {-1, model->n_outputs}},
    };
    return tern_program_output(model->program, &spec, value, err);
}

enum tern_code tern_lightgbm_end(struct tern_lightgbm *model, struct tern_err *err)
{
    struct tern_forest *forest;
    uint32_t value;

    TERN_TRY(check_trees(model, err));
    tern_forest_builder_average(model->builder, model->n_trees / model->n_outputs);
    TERN_TRY(add_input(model, &value, err));
    TERN_TRY(tern_forest_builder_finish(model->builder, &forest, err));
    TERN_TRY(tern_op_forest(model->program, forest, &value, err));
    if (model->transform.link != TERN_LINK_IDENTITY)
        TERN_TRY(tern_op_link(model->program, model->transform.link, model->transform.parameter,
                              &value, err));
    return add_output(model, value, err);
}
