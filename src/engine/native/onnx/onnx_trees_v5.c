/* TreeEnsemble (ai.onnx.ml 5): one list of nodes for all trees, one of leaves, and sets of members.
 */
#include <math.h>
#include <string.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/onnx/onnx_trees.h"
#include "engine/native/ops/op_shape.h"
#include "engine/native/ops/op_votes.h"

struct lists {
    struct tern_onnx_ints roots, features, yes, no, yes_is_leaf, no_is_leaf, missing, leaf_outputs;
    struct tern_onnx_reals splits, covers, members, leaf_weights;
    const uint8_t *modes;
    uint32_t *sets; /* of nodes that ask for a member */
};

/* A place that waits to be made a node of the tree. */
struct visit {
    size_t from; /* node or leaf of the lists */
    bool is_leaf;
    uint32_t at; /* node of the tree */
};

struct gather {
    struct tern_onnx_node *node;
    struct tern_onnx_ensemble ensemble;
    struct lists l;
    /* Of the tree at hand. */
    struct visit *stack;
    uint32_t *seen_by; /* node of the lists: the last tree that it is part of, from 1 on */
    struct tern_forest_node *nodes;
    uint32_t *outputs;
    double *weights;
    size_t *leaf_first;
    uint32_t n_nodes, n_leaves;
};

/* ---- attributes ---- */

static enum tern_code fail_count(const char *what, size_t n, size_t expected, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "operator TreeEnsemble has %zu %s, expected %zu",
                     n, what, expected);
}

static enum tern_code read_ints(struct gather *g, struct tern_err *err)
{
    struct lists *l = &g->l;
    const struct {
        const char *name;
        struct tern_onnx_ints *list;
    } ints[] = {
        {"nodes_featureids", &l->features},   {"nodes_truenodeids", &l->yes},
        {"nodes_falsenodeids", &l->no},       {"nodes_trueleafs", &l->yes_is_leaf},
        {"nodes_falseleafs", &l->no_is_leaf},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(ints); i++) {
        TERN_TRY(tern_onnx_node_ints(g->node, ints[i].name, ints[i].list, err));
        if (ints[i].list->n != l->features.n)
            return fail_count(ints[i].name, ints[i].list->n, l->features.n, err);
    }
    TERN_TRY(tern_onnx_node_ints(g->node, "tree_roots", &l->roots, err));
    TERN_TRY(tern_onnx_node_ints(g->node, "nodes_missing_value_tracks_true", &l->missing, err));
    TERN_TRY(tern_onnx_node_ints(g->node, "leaf_targetids", &l->leaf_outputs, err));
    if (l->features.n == 0 || l->features.n > TERN_FOREST_NODES_MAX || l->roots.n == 0)
        return fail_count("nodes", l->features.n, TERN_FOREST_NODES_MAX, err);
    return TERN_OK;
}

static enum tern_code read_reals(struct gather *g, struct tern_err *err)
{
    bool is_double = tern_onnx_node_dtype(g->node, 0) == TERN_DTYPE_FP64;
    struct lists *l = &g->l;
    struct tern_tensor modes;

    TERN_TRY(tern_onnx_trees_tensor(g->node, "nodes_splits", is_double, &l->splits, err));
    TERN_TRY(tern_onnx_trees_tensor(g->node, "nodes_hitrates", is_double, &l->covers, err));
    TERN_TRY(tern_onnx_trees_tensor(g->node, "membership_values", is_double, &l->members, err));
    TERN_TRY(tern_onnx_trees_tensor(g->node, "leaf_weights", is_double, &l->leaf_weights, err));
    TERN_TRY(tern_onnx_node_tensor(g->node, "nodes_modes", &modes, err));
    if (modes.dtype != TERN_DTYPE_UINT8 || modes.n_bytes != l->features.n)
        return fail_count("nodes_modes", modes.n_bytes, l->features.n, err);
    if (l->splits.n != l->features.n)
        return fail_count("nodes_splits", l->splits.n, l->features.n, err);
    if (l->leaf_weights.n != l->leaf_outputs.n)
        return fail_count("leaf_weights", l->leaf_weights.n, l->leaf_outputs.n, err);
    l->modes = modes.data;
    return TERN_OK;
}

/* Which numbers the next node that asks for a member takes: up to a NaN. */
static enum tern_code read_set(struct gather *g, size_t *at, uint32_t *ret_set,
                               struct tern_err *err)
{
    const struct tern_onnx_reals *members = &g->l.members;
    size_t n = 0;
    uint32_t *set = tern_arena_alloc(g->node->scratch, 4, (members->n - *at) * sizeof(*set) + 1);

    if (set == NULL)
        return tern_arena_fail(g->node->scratch, err, "a set");
    for (; *at < members->n && !isnan(members->p[*at]); (*at)++) {
        double member = members->p[*at];
        if (!(member >= 0) || member >= TERN_FOREST_CATEGORY_MAX || member != floor(member))
            return tern_onnx_node_refuse(g->node, "a member is no small whole number", err);
        set[n++] = (uint32_t)member;
    }
    (*at)++;
    return tern_forest_builder_add_set(g->ensemble.builder, set, n, TERN_FOREST_EXACT, ret_set,
                                       err);
}

static enum tern_code read_sets(struct gather *g, struct tern_err *err)
{
    struct lists *l = &g->l;
    size_t at = 0;

    l->sets = tern_arena_zalloc(g->node->scratch, l->features.n, sizeof(*l->sets));
    if (l->sets == NULL)
        return tern_arena_fail(g->node->scratch, err, "the sets");
    for (size_t i = 0; i < l->features.n; i++) {
        if (l->modes[i] > TERN_ONNX_MEMBER)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "operator TreeEnsemble, node %zu: mode %u",
                             i, l->modes[i]);
        if (l->modes[i] == TERN_ONNX_MEMBER && at >= l->members.n)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "operator TreeEnsemble, node %zu has no members", i);
        if (l->modes[i] == TERN_ONNX_MEMBER)
            TERN_TRY(read_set(g, &at, &l->sets[i], err));
    }
    return TERN_OK;
}

/* ---- trees ---- */

static enum tern_code begin_gather(struct gather *g, struct tern_err *err)
{
    struct tern_arena *scratch = g->node->scratch;
    size_t n = g->l.features.n, most = 2 * n + 1; /* a tree's nodes and leaves */

    g->stack = tern_arena_zalloc(scratch, most, sizeof(*g->stack));
    g->seen_by = tern_arena_zalloc(scratch, n, sizeof(*g->seen_by));
    g->nodes = tern_arena_zalloc(scratch, most, sizeof(*g->nodes));
    g->outputs = tern_arena_zalloc(scratch, most, sizeof(*g->outputs));
    g->weights = tern_arena_zalloc(scratch, most, sizeof(*g->weights));
    g->leaf_first = tern_arena_zalloc(scratch, most + 1, sizeof(*g->leaf_first));
    if (g->stack == NULL || g->seen_by == NULL || g->nodes == NULL || g->outputs == NULL ||
        g->weights == NULL || g->leaf_first == NULL)
        return tern_arena_fail(scratch, err, "the trees");
    for (size_t i = 0; i <= most; i++)
        g->leaf_first[i] = i;
    return TERN_OK;
}

static enum tern_code make_leaf(struct gather *g, const struct visit *visit, struct tern_err *err)
{
    int64_t output = g->l.leaf_outputs.p[visit->from];

    if (output < 0 || output >= g->ensemble.n_outputs)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator TreeEnsemble, leaf %zu: target %lld",
                         visit->from, (long long)output);
    g->outputs[g->n_leaves] = (uint32_t)output;
    g->weights[g->n_leaves] = g->l.leaf_weights.p[visit->from];
    g->nodes[visit->at] =
        (struct tern_forest_node){.test = TERN_FOREST_LEAF, .leaf = g->n_leaves++};
    return TERN_OK;
}

static enum tern_code push(struct gather *g, size_t *depth, int64_t from, bool is_leaf,
                           uint32_t tree, struct tern_err *err)
{
    size_t n = is_leaf ? g->l.leaf_weights.n : g->l.features.n;

    if (from < 0 || (uint64_t)from >= n)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "operator TreeEnsemble, tree %u: there is no %s %lld", tree,
                         is_leaf ? "leaf" : "node", (long long)from);
    if (!is_leaf && g->seen_by[from] == tree + 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "operator TreeEnsemble, tree %u: two nodes lead to node %lld", tree,
                         (long long)from);
    if (!is_leaf)
        g->seen_by[from] = tree + 1;
    g->stack[(*depth)++] = (struct visit){(size_t)from, is_leaf, g->n_nodes++};
    return TERN_OK;
}

static enum tern_code make_node(struct gather *g, const struct visit *visit, size_t *depth,
                                uint32_t tree, struct tern_err *err)
{
    const struct lists *l = &g->l;
    size_t i = visit->from;
    struct tern_forest_node *node = &g->nodes[visit->at];

    if (l->features.p[i] < 0 || l->features.p[i] >= TERN_FOREST_FEATURES_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "operator TreeEnsemble, node %zu: feature %lld", i,
                         (long long)l->features.p[i]);
    *node = (struct tern_forest_node){
        .feature = (uint32_t)l->features.p[i],
        .threshold = l->modes[i] == TERN_ONNX_MEMBER ? 0 : l->splits.p[i],
        .set = l->sets[i],
    };
    tern_onnx_trees_ask((enum tern_onnx_mode)l->modes[i], i < l->missing.n && l->missing.p[i] == 1,
                        g->n_nodes, g->n_nodes + 1, node);
    TERN_TRY(push(g, depth, l->yes.p[i], l->yes_is_leaf.p[i] != 0, tree, err));
    return push(g, depth, l->no.p[i], l->no_is_leaf.p[i] != 0, tree, err);
}

static enum tern_code add_tree(struct gather *g, uint32_t tree, struct tern_err *err)
{
    size_t depth = 0;

    g->n_nodes = g->n_leaves = 0;
    TERN_TRY(push(g, &depth, g->l.roots.p[tree], false, tree, err));
    while (depth > 0) {
        const struct visit visit = g->stack[--depth];
        if (visit.is_leaf)
            TERN_TRY(make_leaf(g, &visit, err));
        else
            TERN_TRY(make_node(g, &visit, &depth, tree, err));
    }
    const struct tern_onnx_tree made = {
        .nodes = g->nodes,
        .n_nodes = g->n_nodes,
        .n_leaves = g->n_leaves,
        .outputs = g->outputs,
        .weights = g->weights,
        .first = g->leaf_first,
    };
    return tern_onnx_trees_add(&g->ensemble, &made, err);
}

static uint32_t count_features(const struct lists *l)
{
    int64_t most = 0;

    for (size_t i = 0; i < l->features.n; i++)
        most = l->features.p[i] > most ? l->features.p[i] : most;
    return most < TERN_FOREST_FEATURES_MAX ? (uint32_t)most + 1 : 1;
}

static enum tern_code prepare(struct gather *g, struct tern_err *err)
{
    static const enum tern_forest_combine combines[] = {TERN_FOREST_AVERAGE, TERN_FOREST_SUM,
                                                        TERN_FOREST_MIN, TERN_FOREST_MAX};
    const struct tern_onnx_reals none = {0};
    int64_t n_targets, combine, transform;
    uint32_t value;

    TERN_TRY(tern_onnx_node_want(g->node, 0, TERN_ONNX_FLOATS, err));
    TERN_TRY(tern_onnx_node_int(g->node, "n_targets", 1, &n_targets, err));
    TERN_TRY(tern_onnx_node_int(g->node, "aggregate_function", 1, &combine, err));
    TERN_TRY(tern_onnx_node_int(g->node, "post_transform", 0, &transform, err));
    if (n_targets < 1 || n_targets > TERN_FOREST_OUTPUTS_MAX || combine < 0 || combine > 3 ||
        transform < 0 || transform >= TERN_SCORES_COUNT)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "operator TreeEnsemble: %lld targets, aggregate function %lld, post "
                         "transform %lld",
                         (long long)n_targets, (long long)combine, (long long)transform);
    /* ONNX Runtime takes the number of the one for the other's. */
    if (n_targets > 1 && (transform == TERN_SCORES_SOFTMAX || transform == TERN_SCORES_LOGISTIC))
        return tern_onnx_node_refuse(g->node, "runtimes do not agree on its post_transform", err);
    TERN_TRY(read_ints(g, err));
    TERN_TRY(read_reals(g, err));
    TERN_TRY(tern_onnx_trees_begin(g->node, count_features(&g->l), (uint32_t)n_targets,
                                   combines[combine], &none, &g->ensemble, err));
    TERN_TRY(read_sets(g, err));
    TERN_TRY(begin_gather(g, err));
    for (uint32_t i = 0; i < g->l.roots.n; i++)
        TERN_TRY(add_tree(g, i, err));
    TERN_TRY(tern_onnx_trees_finish(&g->ensemble, &value, err));
    TERN_TRY(tern_op_votes_transform(g->node->program, (enum tern_scores)transform,
                                     (size_t)n_targets, tern_onnx_node_dtype(g->node, 0), &value,
                                     err));
    tern_onnx_node_bind(g->node, 0, value);
    return TERN_OK;
}

enum tern_code tern_onnx_trees_ensemble(struct tern_onnx_node *node, struct tern_err *err)
{
    struct gather g = {.node = node};
    enum tern_code code = prepare(&g, err);

    tern_forest_builder_free(g.ensemble.builder);
    return code;
}
