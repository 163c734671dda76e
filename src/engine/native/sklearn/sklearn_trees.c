/* Decision trees and forests of them: averages of values, or of shares of classes, in the order of
 * the trees. */
#include "engine/native/sklearn/sklearn_trees.h"

#include <math.h>
#include "base/num.h"

/* What the trees of one estimator have in common. */
struct model {
    struct tern_op_classes classes; /* n is 0: a regressor */
    uint32_t width;                 /* of a node's values */
    bool is_weighted;               /* values are weights of classes, not shares */
};

/* Before 1.3 a node of a classifier had the weights of the classes. */
static enum tern_code read_age(struct tern_sklearn *s, const struct tern_skops_node *node,
                               bool *ret_is_weighted, struct tern_err *err)
{
    struct tern_str text = {NULL, 0}, part = {NULL, 0};
    uint64_t major = 0, minor = 0;

    TERN_TRY(tern_skops_text(&s->skops, node, "_sklearn_version", &text, err));
    struct tern_str rest = text;
    if (!tern_str_split(&rest, '.', &part) || !tern_num_parse_u64(part, 1000, &major) ||
        !tern_str_split(&rest, '.', &part) || !tern_num_parse_u64(part, 1000, &minor))
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err,
                               "expected a version of scikit-learn, got '%.*s'",
                               TERN_STR_ARG(text));
    *ret_is_weighted = major < 1 || (major == 1 && minor < 3);
    return TERN_OK;
}

static enum tern_code read_model(struct tern_sklearn *s, const struct tern_skops_node *node,
                                 struct model *model, struct tern_err *err)
{
    int64_t n = 0;

    *model = (struct model){.width = 0};
    TERN_TRY(
        tern_skops_integer(&s->skops, node, "n_outputs_", 1, TERN_FOREST_OUTPUTS_MAX, &n, err));
    model->width = (uint32_t)n;
    if (tern_skops_find(node, "classes_") == NULL)
        return TERN_OK;
    TERN_TRY(tern_sklearn_classes(s, node, &model->classes, err));
    if (n != 1)
        return tern_sklearn_refuse(node, "it has several outputs", err);
    model->width = (uint32_t)model->classes.n;
    return read_age(s, node, &model->is_weighted, err);
}

static enum tern_code add_tree(struct tern_sklearn_growth *growth, const struct model *model,
                               const struct tern_skops_node *estimator, struct tern_err *err)
{
    struct tern_sklearn_tree tree;
    double *values = NULL;

    TERN_TRY(tern_sklearn_growth_read(growth, estimator, model->width, &tree, err));
    TERN_TRY(tern_sklearn_growth_values(growth, &tree, model->width, &values, err));
    for (uint32_t leaf = 0; leaf < tree.n_leaves; leaf++) {
        const double *from = tree.values + (size_t)tree.leaves[leaf] * model->width;
        double *to = values + (size_t)leaf * model->width, sum = 0;
        for (uint32_t i = 0; model->is_weighted && i < model->width; i++)
            sum += from[i];
        for (uint32_t i = 0; i < model->width; i++)
            to[i] = model->is_weighted && sum != 0 ? from[i] / sum : from[i];
    }
    return tern_sklearn_growth_add(growth, &tree, values, model->width > 1 ? TERN_SKLEARN_ALL : 0,
                                   err);
}

/* `only`, or each estimator of a list. */
static enum tern_code grow(struct tern_sklearn *s, const struct model *model,
                           const struct tern_skops_node *only, const struct tern_skops_node *list,
                           uint32_t *ret_value, struct tern_err *err)
{
    const struct tern_forest_settings settings = {
        .n_features = s->width,
        .n_outputs = model->width,
        .float_input = true,
        .combine = list == NULL ? TERN_FOREST_SUM : TERN_FOREST_AVERAGE,
    };
    struct tern_sklearn_growth growth;
    enum tern_code code = tern_sklearn_growth_begin(&growth, s, &settings, err);

    if (code == TERN_OK && only != NULL)
        code = add_tree(&growth, model, only, err);
    for (const struct tern_skops_node *item = list == NULL ? NULL : list->first;
         code == TERN_OK && item != NULL; item = item->next)
        code = add_tree(&growth, model, item, err);
    if (code == TERN_OK)
        code = tern_sklearn_growth_finish(&growth, s, ret_value, err);
    tern_sklearn_growth_end(&growth);
    return code;
}

static enum tern_code give(struct tern_sklearn *s, const struct model *model, uint32_t value,
                           struct tern_err *err)
{
    /* A single class has one share, and is never below the first. */
    const struct tern_op_decide decide = {.classes = model->classes, .threshold = (double)INFINITY};

    if (model->classes.n == 0)
        return tern_sklearn_give(s, "output__0", value, model->width, err);
    return tern_sklearn_decide(s, &decide, value, value, err);
}

enum tern_code tern_sklearn_tree(struct tern_sklearn *s, const struct tern_skops_node *node,
                                 struct tern_err *err)
{
    struct model model;
    uint32_t value = 0;

    TERN_TRY(read_model(s, node, &model, err));
    TERN_TRY(grow(s, &model, node, NULL, &value, err));
    return give(s, &model, value, err);
}

enum tern_code tern_sklearn_forest(struct tern_sklearn *s, const struct tern_skops_node *node,
                                   struct tern_err *err)
{
    const struct tern_skops_node *list = NULL;
    struct model model;
    uint32_t value = 0;

    TERN_TRY(tern_sklearn_list(node, "estimators_", &list, err));
    TERN_TRY(read_model(s, node, &model, err));
    TERN_TRY(grow(s, &model, NULL, list, &value, err));
    return give(s, &model, value, err);
}
