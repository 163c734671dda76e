/* IsolationForest: how soon random splits leave a row alone. A tree's value is how deep the row's
 * leaf lies, and how deep it would go on; the score is 2 to the power of minus their sum, measured
 * by that of an average row. */
#include "engine/native/sklearn/sklearn_trees.h"

#include <math.h>

struct isolation {
    const struct tern_skops_node *node;
    struct tern_sklearn_growth growth;
    const struct tern_skops_node *features, *lengths, *averages; /* of the tree to come */
    uint32_t *columns;                                           /* which a tree sees */
};

/* sklearn.ensemble._iforest: of n rows that are left. */
static double average_length(double n)
{
    if (n <= 1)
        return 0;
    if (n == 2)
        return 1;
    return 2 * (log(n - 1) + 0.577215664901532860606512090082) - 2 * (n - 1) / n;
}

static enum tern_code read_columns(struct tern_sklearn *s, struct isolation *f,
                                   struct tern_err *err)
{
    struct tern_skops_reals columns = {.n = 0};

    TERN_TRY(tern_skops_node_reals(&f->growth.skops, f->features, &columns, err));
    if (columns.n == 0 || columns.n > s->width)
        return tern_skops_fail(f->features, TERN_INVALID_ARGUMENT, err,
                               "%zu features, the model has %u", columns.n, s->width);
    for (size_t i = 0; i < columns.n; i++) {
        if (!(columns.p[i] >= 0 && columns.p[i] < s->width))
            return tern_skops_fail(f->features, TERN_INVALID_ARGUMENT, err,
                                   "feature %.0f, the model has %u", columns.p[i], s->width);
        f->columns[i] = (uint32_t)columns.p[i];
    }
    f->growth.columns = f->columns;
    f->growth.n_columns = (uint32_t)columns.n;
    return TERN_OK;
}

static enum tern_code read_depths(struct isolation *f, const struct tern_skops_node *node,
                                  uint32_t n, struct tern_skops_reals *ret, struct tern_err *err)
{
    TERN_TRY(tern_skops_node_reals(&f->growth.skops, node, ret, err));
    if (ret->n != n)
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "%zu numbers for %u nodes", ret->n,
                               n);
    return TERN_OK;
}

static enum tern_code add_tree(struct tern_sklearn *s, struct isolation *f,
                               const struct tern_skops_node *estimator, struct tern_err *err)
{
    struct tern_skops_reals lengths, averages;
    struct tern_sklearn_tree tree;
    double *values = NULL;

    TERN_TRY(read_columns(s, f, err));
    TERN_TRY(tern_sklearn_growth_read(&f->growth, estimator, 1, &tree, err));
    TERN_TRY(tern_sklearn_growth_values(&f->growth, &tree, 1, &values, err));
    TERN_TRY(read_depths(f, f->lengths, tree.n_nodes, &lengths, err));
    TERN_TRY(read_depths(f, f->averages, tree.n_nodes, &averages, err));
    for (uint32_t leaf = 0; leaf < tree.n_leaves; leaf++) {
        uint32_t at = tree.leaves[leaf];
        values[leaf] = lengths.p[at] + averages.p[at] - 1;
    }
    return tern_sklearn_growth_add(&f->growth, &tree, values, 0, err);
}

static enum tern_code add_trees(struct tern_sklearn *s, struct isolation *f, uint32_t *ret_n,
                                struct tern_err *err)
{
    const struct tern_skops_node *list = NULL, *features = NULL, *lengths = NULL, *averages = NULL;

    TERN_TRY(tern_sklearn_list(f->node, "estimators_", &list, err));
    TERN_TRY(tern_sklearn_list(f->node, "estimators_features_", &features, err));
    TERN_TRY(tern_sklearn_list(f->node, "_decision_path_lengths", &lengths, err));
    TERN_TRY(tern_sklearn_list(f->node, "_average_path_length_per_tree", &averages, err));
    if (features->n != list->n || lengths->n != list->n || averages->n != list->n)
        return tern_skops_fail(f->node, TERN_INVALID_ARGUMENT, err,
                               "%u estimators, and other numbers of features or path lengths",
                               list->n);
    f->features = features->first;
    f->lengths = lengths->first;
    f->averages = averages->first;
    for (const struct tern_skops_node *item = list->first; item != NULL; item = item->next) {
        TERN_TRY(add_tree(s, f, item, err));
        f->features = f->features->next;
        f->lengths = f->lengths->next;
        f->averages = f->averages->next;
    }
    *ret_n = list->n;
    return TERN_OK;
}

static enum tern_code grow(struct tern_sklearn *s, struct isolation *f, uint32_t *ret_n,
                           uint32_t *ret_value, struct tern_err *err)
{
    const struct tern_forest_settings settings = {
        .n_features = s->width, .n_outputs = 1, .float_input = true};
    enum tern_code code = tern_sklearn_growth_begin(&f->growth, s, &settings, err);

    if (code == TERN_OK)
        code = add_trees(s, f, ret_n, err);
    if (code == TERN_OK)
        code = tern_sklearn_growth_finish(&f->growth, s, ret_value, err);
    tern_sklearn_growth_end(&f->growth);
    return code;
}

/* Of a model that saw a single row, every score is 1/2. */
static enum tern_code score(struct tern_sklearn *s, double average, uint32_t *value,
                            struct tern_err *err)
{
    static const double two = 2, one = 1, nothing = 0;

    if (average == 0) {
        TERN_TRY(tern_sklearn_apply(s, "Mul", &nothing, 1, value, err));
        TERN_TRY(tern_sklearn_apply(s, "Add", &one, 1, value, err));
    } else {
        TERN_TRY(tern_sklearn_apply(s, "Div", &average, 1, value, err));
    }
    TERN_TRY(tern_sklearn_map(s, "Neg", value, err));
    TERN_TRY(tern_sklearn_apply_to(s, "Pow", &two, 1, value, err));
    return tern_sklearn_map(s, "Neg", value, err);
}

/* Labels are -1 for what is out of the ordinary, else 1. */
enum tern_code tern_sklearn_isolation(struct tern_sklearn *s, const struct tern_skops_node *node,
                                      struct tern_err *err)
{
    static const int64_t labels[] = {-1, 1};
    static const struct tern_op_decide decide = {
        .classes = {.dtype = TERN_DTYPE_INT64, .ints = labels, .n = 2}, .is_at_least = true};
    struct isolation f = {.node = node};
    uint32_t value = 0, n = 0;
    double offset = 0;
    int64_t samples = 0;

    if (tern_skops_find(node, "_decision_path_lengths") == NULL)
        return tern_sklearn_refuse(node, "it was saved before scikit-learn 1.3", err);
    f.columns = tern_arena_zalloc(s->skops.scratch, s->width, sizeof(*f.columns));
    if (f.columns == NULL)
        return tern_arena_fail(s->skops.scratch, err, "the features of a tree");
    TERN_TRY(tern_skops_integer(&s->skops, node, "_max_samples", 1, INT64_MAX, &samples, err));
    TERN_TRY(tern_skops_real(&s->skops, node, "offset_", &offset, err));
    TERN_TRY(grow(s, &f, &n, &value, err));
    TERN_TRY(score(s, n * average_length((double)samples), &value, err));
    TERN_TRY(tern_sklearn_apply(s, "Sub", &offset, 1, &value, err));
    return tern_sklearn_decide_scores(s, &decide, value, 1, err);
}
