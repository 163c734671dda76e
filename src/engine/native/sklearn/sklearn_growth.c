/* Reads sklearn.tree's trees: an array of nodes, and one of values (Tree.__getstate__). A node asks
 * x <= threshold of a float32 x and a double threshold; who goes left is its first child. */
#include "engine/native/sklearn/sklearn_trees.h"

#include <math.h>
#include "engine/native/ops/ops.h"

#define WORK_CHUNK ((size_t)64 << 10)
#define WORK_MAX   ((size_t)16 << 30)

enum tern_code tern_sklearn_growth_begin(struct tern_sklearn_growth *growth,
                                         const struct tern_sklearn *s,
                                         const struct tern_forest_settings *settings,
                                         struct tern_err *err)
{
    *growth = (struct tern_sklearn_growth){.skops = s->skops, .n_columns = s->width};
    tern_arena_init(&growth->work, WORK_CHUNK, WORK_MAX);
    return tern_forest_builder_new(settings, &growth->builder, err);
}

void tern_sklearn_growth_end(struct tern_sklearn_growth *growth)
{
    tern_forest_builder_free(growth->builder);
    tern_arena_fini(&growth->work);
}

/* ---- nodes ---- */

/* A column of the records, of integers or of doubles. */
static enum tern_code column(struct tern_sklearn_growth *growth, const struct tern_skops_node *node,
                             const struct tern_npy_view *view, const char *name, int64_t **integers,
                             double **reals, struct tern_err *err)
{
    uint32_t at = tern_npy_view_column(view, tern_str_of(name));

    if (at == view->n_columns || tern_dtype_size(view->columns[at].dtype) == 0)
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err,
                               "expected nodes to have a number '%s'", name);
    void *room = tern_arena_alloc(&growth->work, 8, (view->n + 1) * 8);
    if (room == NULL)
        return tern_arena_fail(&growth->work, err, "a tree's nodes");
    if (integers != NULL) {
        *integers = room;
        tern_npy_view_integers(view, at, room);
    } else {
        *reals = room;
        tern_npy_view_reals(view, at, room);
    }
    return TERN_OK;
}

struct columns {
    int64_t *left, *right, *feature, *missing;
    double *threshold, *cover;
};

static enum tern_code read_columns(struct tern_sklearn_growth *growth,
                                   const struct tern_skops_node *node,
                                   const struct tern_npy_view *view, struct columns *c,
                                   struct tern_err *err)
{
    TERN_TRY(column(growth, node, view, "left_child", &c->left, NULL, err));
    TERN_TRY(column(growth, node, view, "right_child", &c->right, NULL, err));
    TERN_TRY(column(growth, node, view, "feature", &c->feature, NULL, err));
    TERN_TRY(column(growth, node, view, "threshold", NULL, &c->threshold, err));
    TERN_TRY(column(growth, node, view, "weighted_n_node_samples", NULL, &c->cover, err));
    /* Before scikit-learn 1.3 trees knew nothing of missing values. */
    if (tern_npy_view_column(view, TERN_STR("missing_go_to_left")) == view->n_columns)
        return TERN_OK;
    return column(growth, node, view, "missing_go_to_left", &c->missing, NULL, err);
}

static enum tern_code make_node(const struct tern_sklearn_growth *growth,
                                const struct tern_skops_node *node, const struct columns *c,
                                uint32_t i, struct tern_sklearn_tree *tree, struct tern_err *err)
{
    struct tern_forest_node *made = &tree->nodes[i];

    made->cover = c->cover[i];
    if (c->left[i] == -1) {
        made->test = TERN_FOREST_LEAF;
        made->leaf = tree->n_leaves;
        tree->leaves[tree->n_leaves++] = i;
        return TERN_OK;
    }
    int64_t child = c->left[i] < 0 || c->left[i] >= tree->n_nodes ? c->left[i] : c->right[i];
    if (child < 0 || child >= tree->n_nodes)
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err,
                               "node %u: its child %lld is none of the %u nodes", i,
                               (long long)child, tree->n_nodes);
    if (c->feature[i] < 0 || c->feature[i] >= growth->n_columns)
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err,
                               "node %u: feature %lld, the tree has %u", i,
                               (long long)c->feature[i], growth->n_columns);
    made->test = TERN_FOREST_LESS_EQUAL;
    made->yes = (uint32_t)c->left[i];
    made->no = (uint32_t)c->right[i];
    made->feature =
        growth->columns == NULL ? (uint32_t)c->feature[i] : growth->columns[c->feature[i]];
    made->threshold = c->threshold[i];
    made->missing_yes = c->missing != NULL && c->missing[i] != 0;
    return TERN_OK;
}

static enum tern_code read_nodes(struct tern_sklearn_growth *growth,
                                 const struct tern_skops_node *node, struct tern_sklearn_tree *tree,
                                 struct tern_err *err)
{
    struct columns c = {.missing = NULL};
    struct tern_npy_view view;

    TERN_TRY(tern_skops_view(&growth->skops, node, &view, err));
    if (!view.is_record || view.rank != 1 || view.n == 0 || view.n > TERN_FOREST_NODES_MAX)
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "expected a list of nodes");
    TERN_TRY(read_columns(growth, node, &view, &c, err));
    tree->n_nodes = (uint32_t)view.n;
    tree->nodes = tern_arena_zalloc(&growth->work, view.n, sizeof(*tree->nodes));
    tree->leaves = tern_arena_zalloc(&growth->work, view.n, sizeof(*tree->leaves));
    if (tree->nodes == NULL || tree->leaves == NULL)
        return tern_arena_fail(&growth->work, err, "a tree's nodes");
    for (uint32_t i = 0; i < tree->n_nodes; i++)
        TERN_TRY(make_node(growth, node, &c, i, tree, err));
    return TERN_OK;
}

/* ---- trees ---- */

enum tern_code tern_sklearn_growth_read(struct tern_sklearn_growth *growth,
                                        const struct tern_skops_node *estimator, uint32_t width,
                                        struct tern_sklearn_tree *ret, struct tern_err *err)
{
    const struct tern_skops_node *tree = NULL, *nodes = NULL;
    struct tern_skops_reals values = {.n = 0};

    tern_arena_reset(&growth->work);
    growth->skops.scratch = &growth->work;
    *ret = (struct tern_sklearn_tree){.width = width};
    TERN_TRY(tern_skops_want(estimator, "tree_", &tree, err));
    TERN_TRY(tern_skops_want(tree, "nodes", &nodes, err));
    ret->node = nodes;
    TERN_TRY(read_nodes(growth, nodes, ret, err));
    TERN_TRY(tern_skops_reals(&growth->skops, tree, "values", &values, err));
    if (values.n != (size_t)ret->n_nodes * width)
        return tern_skops_fail(tern_skops_find(tree, "values"), TERN_INVALID_ARGUMENT, err,
                               "%zu numbers, expected %u for each of %u nodes", values.n, width,
                               ret->n_nodes);
    ret->values = values.p;
    return TERN_OK;
}

enum tern_code tern_sklearn_growth_values(struct tern_sklearn_growth *growth,
                                          const struct tern_sklearn_tree *tree, uint32_t width,
                                          double **ret, struct tern_err *err)
{
    *ret = tern_arena_alloc(&growth->work, 8, ((size_t)tree->n_leaves * width + 1) * sizeof(**ret));
    return *ret != NULL ? TERN_OK : tern_arena_fail(&growth->work, err, "a tree's values");
}

enum tern_code tern_sklearn_growth_add(struct tern_sklearn_growth *growth,
                                       const struct tern_sklearn_tree *tree, const double *values,
                                       uint32_t output, struct tern_err *err)
{
    const struct tern_forest_tree made = {
        .nodes = tree->nodes,
        .n_nodes = tree->n_nodes,
        .values = values,
        .n_leaves = tree->n_leaves,
        .vector = output == TERN_SKLEARN_ALL,
        .output = output == TERN_SKLEARN_ALL ? 0 : output,
    };
    enum tern_code code = tern_forest_builder_add_tree(growth->builder, &made, err);

    if (code != TERN_OK)
        tern_skops_place(tree->node, err);
    return code;
}

enum tern_code tern_sklearn_growth_finish(struct tern_sklearn_growth *growth,
                                          struct tern_sklearn *s, uint32_t *ret_value,
                                          struct tern_err *err)
{
    struct tern_forest *forest;

    TERN_TRY(tern_forest_builder_finish(growth->builder, &forest, err));
    *ret_value = s->value;
    return tern_op_forest(s->program, forest, ret_value, err);
}
