/* TreeEnsembleClassifier and TreeEnsembleRegressor (ai.onnx.ml 1 and 3): lists of nodes, and of
 * weights that name their leaf, its tree and an output. */
#include <string.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/onnx/onnx_trees.h"
#include "engine/native/ops/op_votes.h"

#define NONE UINT32_MAX

struct lists {
    struct tern_onnx_ints trees, ids, features, yes, no, missing;
    struct tern_onnx_texts modes;
    struct tern_onnx_reals values, covers;
    /* Weights of leaves. */
    struct tern_onnx_ints weight_trees, weight_nodes, weight_outputs;
    struct tern_onnx_reals weights, base;
};

/* ---- attributes ---- */

/* Floats, or the tensor that took their place in version 3. */
static enum tern_code read_reals(struct tern_onnx_node *node, const char *floats_name,
                                 const char *tensor_name, struct tern_onnx_reals *ret,
                                 struct tern_err *err)
{
    bool is_double = tern_onnx_node_dtype(node, 0) == TERN_DTYPE_FP64;
    struct tern_onnx_floats floats;

    TERN_TRY(tern_onnx_node_floats(node, floats_name, &floats, err));
    TERN_TRY(tern_onnx_trees_tensor(node, tensor_name, is_double, ret, err));
    if (floats.n > 0 && ret->n > 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s has %s twice",
                         TERN_STR_ARG(node->op_type), floats_name);
    return ret->n > 0 ? TERN_OK : tern_onnx_trees_widen(node, floats.p, floats.n, ret, err);
}

static enum tern_code fail_count(const struct tern_onnx_node *node, const char *what, size_t n,
                                 size_t expected, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s has %zu %s, expected %zu",
                     TERN_STR_ARG(node->op_type), n, what, expected);
}

static enum tern_code read_nodes(struct tern_onnx_node *node, struct lists *l, struct tern_err *err)
{
    const struct {
        const char *name;
        struct tern_onnx_ints *list;
    } ints[] = {
        {"nodes_treeids", &l->trees},       {"nodes_nodeids", &l->ids},
        {"nodes_featureids", &l->features}, {"nodes_truenodeids", &l->yes},
        {"nodes_falsenodeids", &l->no},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(ints); i++) {
        TERN_TRY(tern_onnx_node_ints(node, ints[i].name, ints[i].list, err));
        if (ints[i].list->n != l->trees.n)
            return fail_count(node, ints[i].name, ints[i].list->n, l->trees.n, err);
    }
    TERN_TRY(tern_onnx_node_ints(node, "nodes_missing_value_tracks_true", &l->missing, err));
    TERN_TRY(tern_onnx_node_texts(node, "nodes_modes", &l->modes, err));
    TERN_TRY(read_reals(node, "nodes_values", "nodes_values_as_tensor", &l->values, err));
    TERN_TRY(read_reals(node, "nodes_hitrates", "nodes_hitrates_as_tensor", &l->covers, err));
    TERN_TRY(read_reals(node, "base_values", "base_values_as_tensor", &l->base, err));
    if (l->modes.n != l->trees.n)
        return fail_count(node, "nodes_modes", l->modes.n, l->trees.n, err);
    if (l->values.n != l->trees.n)
        return fail_count(node, "nodes_values", l->values.n, l->trees.n, err);
    if (l->trees.n == 0 || l->trees.n > TERN_FOREST_NODES_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s has %zu nodes",
                         TERN_STR_ARG(node->op_type), l->trees.n);
    return TERN_OK;
}

static enum tern_code read_weights(struct tern_onnx_node *node, bool is_classifier, struct lists *l,
                                   struct tern_err *err)
{
    static const char *const names[2][5] = {
        {"target_treeids", "target_nodeids", "target_ids", "target_weights",
         "target_weights_as_tensor"},
        {"class_treeids", "class_nodeids", "class_ids", "class_weights", "class_weights_as_tensor"},
    };
    const char *const *name = names[is_classifier];

    TERN_TRY(tern_onnx_node_ints(node, name[0], &l->weight_trees, err));
    TERN_TRY(tern_onnx_node_ints(node, name[1], &l->weight_nodes, err));
    TERN_TRY(tern_onnx_node_ints(node, name[2], &l->weight_outputs, err));
    TERN_TRY(read_reals(node, name[3], name[4], &l->weights, err));
    if (l->weight_trees.n != l->weights.n || l->weight_nodes.n != l->weights.n ||
        l->weight_outputs.n != l->weights.n || l->weights.n > UINT32_MAX)
        return fail_count(node, name[0], l->weight_trees.n, l->weights.n, err);
    return TERN_OK;
}

/* Training weights, unless all are the same, which is what exporters write without any. */
static bool has_covers(const struct lists *l)
{
    for (size_t i = 1; i < l->covers.n; i++)
        if (l->covers.p[i] != l->covers.p[0])
            return l->covers.n == l->trees.n;
    return false;
}

/* ---- from lists to trees ---- */

/* From ids, which are small numbers, to places. */
struct places {
    uint32_t *at; /* NONE: no such id */
    size_t n;
};

struct gather {
    struct tern_onnx_node *node;
    struct tern_onnx_ensemble ensemble;
    struct lists l;
    bool has_covers;
    size_t n_trees;
    size_t *first;        /* trees are runs of nodes; one more than there are */
    size_t *first_weight; /* of each tree in `order` */
    uint32_t *order;      /* weights by tree, else as they came */
    struct places trees, nodes;
    /* Of the tree at hand, with room for the largest. */
    struct tern_forest_node *tree_nodes;
    uint32_t *outputs;
    double *weights;
    size_t *leaf_first;
};

/* Ids are numbers of trees and nodes, some of which may be missing: those that are far beyond the
 * number of nodes have no place. */
static enum tern_code begin_places(struct tern_onnx_node *node, const struct tern_onnx_ints *ids,
                                   struct places *places, struct tern_err *err)
{
    int64_t most = 0, limit = 4 * (int64_t)ids->n + 1024;

    for (size_t i = 0; i < ids->n; i++)
        most = ids->p[i] > most && ids->p[i] < limit ? ids->p[i] : most;
    places->n = (size_t)most + 1;
    places->at = tern_arena_alloc(node->scratch, 4, places->n * sizeof(*places->at));
    if (places->at == NULL)
        return tern_arena_fail(node->scratch, err, "the nodes");
    memset(places->at, 0xff, places->n * sizeof(*places->at));
    return TERN_OK;
}

static uint32_t place_of(const struct places *places, int64_t id)
{
    return id < 0 || (uint64_t)id >= places->n ? NONE : places->at[id];
}

static bool set_place(struct places *places, int64_t id, size_t place)
{
    if (id < 0 || (uint64_t)id >= places->n || places->at[id] != NONE)
        return false;
    places->at[id] = (uint32_t)place;
    return true;
}

static enum tern_code find_trees(struct gather *g, struct tern_err *err)
{
    const struct tern_onnx_ints *ids = &g->l.trees;
    size_t n_runs = 1;

    TERN_TRY(begin_places(g->node, ids, &g->trees, err));
    for (size_t i = 1; i < ids->n; i++)
        n_runs += ids->p[i] != ids->p[i - 1];
    g->first = tern_arena_zalloc(g->node->scratch, n_runs + 1, sizeof(*g->first));
    if (g->first == NULL)
        return tern_arena_fail(g->node->scratch, err, "the trees");
    for (size_t i = 0; i < ids->n; i++) {
        if (i > 0 && ids->p[i] == ids->p[i - 1])
            continue;
        if (!set_place(&g->trees, ids->p[i], g->n_trees))
            return tern_onnx_node_refuse(g->node, "its nodes are not in the order of trees", err);
        g->first[g->n_trees++] = i;
    }
    g->first[g->n_trees] = ids->n;
    return TERN_OK;
}

/* A counting sort: the weights of a tree stay in their order. */
static enum tern_code sort_weights(struct gather *g, struct tern_err *err)
{
    const struct tern_onnx_ints *ids = &g->l.weight_trees;
    struct tern_arena *scratch = g->node->scratch;
    size_t *next = tern_arena_zalloc(scratch, g->n_trees + 1, sizeof(*next));

    g->first_weight = tern_arena_zalloc(scratch, g->n_trees + 1, sizeof(*g->first_weight));
    g->order = tern_arena_alloc(scratch, 4, (ids->n + 1) * sizeof(*g->order));
    if (next == NULL || g->first_weight == NULL || g->order == NULL)
        return tern_arena_fail(scratch, err, "the weights");
    for (size_t i = 0; i < ids->n; i++) {
        uint32_t tree = place_of(&g->trees, ids->p[i]);
        if (tree == NONE)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "operator %.*s has a weight for tree %lld, which it does not have",
                             TERN_STR_ARG(g->node->op_type), (long long)ids->p[i]);
        g->first_weight[tree + 1]++;
    }
    for (size_t i = 0; i < g->n_trees; i++) {
        g->first_weight[i + 1] += g->first_weight[i];
        next[i] = g->first_weight[i];
    }
    for (size_t i = 0; i < ids->n; i++)
        g->order[next[place_of(&g->trees, ids->p[i])]++] = (uint32_t)i;
    return TERN_OK;
}

static size_t widest(const size_t *first, size_t n)
{
    size_t most = 0;

    for (size_t i = 0; i < n; i++)
        most = first[i + 1] - first[i] > most ? first[i + 1] - first[i] : most;
    return most;
}

static enum tern_code make_room(struct gather *g, struct tern_err *err)
{
    struct tern_arena *scratch = g->node->scratch;
    size_t n = widest(g->first, g->n_trees), n_weights = widest(g->first_weight, g->n_trees);

    g->tree_nodes = tern_arena_zalloc(scratch, n, sizeof(*g->tree_nodes));
    g->outputs = tern_arena_zalloc(scratch, n_weights + 1, sizeof(*g->outputs));
    g->weights = tern_arena_zalloc(scratch, n_weights + 1, sizeof(*g->weights));
    g->leaf_first = tern_arena_zalloc(scratch, n + 2, sizeof(*g->leaf_first));
    if (g->outputs == NULL || g->weights == NULL || g->tree_nodes == NULL || g->leaf_first == NULL)
        return tern_arena_fail(scratch, err, "the trees");
    return begin_places(g->node, &g->l.ids, &g->nodes, err);
}

static enum tern_code fail_node(const struct gather *g, size_t i, const char *what, int64_t value,
                                struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s, tree %lld, node %lld: %s %lld",
                     TERN_STR_ARG(g->node->op_type), (long long)g->l.trees.p[i],
                     (long long)g->l.ids.p[i], what, (long long)value);
}

static enum tern_code mode_of(const struct gather *g, size_t i, enum tern_onnx_mode *ret,
                              struct tern_err *err)
{
    static const struct tern_str names[] = {
        {"BRANCH_LEQ", 10}, {"BRANCH_LT", 9},   {"BRANCH_GTE", 10}, {"BRANCH_GT", 9},
        {"BRANCH_EQ", 9},   {"BRANCH_NEQ", 10}, {NULL, 0},          {"LEAF", 4},
    };
    struct tern_str name = g->l.modes.p[i];

    for (size_t mode = 0; mode < TERN_COUNT_OF(names); mode++) {
        if (names[mode].p != NULL && tern_str_eq(name, names[mode])) {
            *ret = (enum tern_onnx_mode)mode;
            return TERN_OK;
        }
    }
    return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s has a node of mode \"%.*s\"",
                     TERN_STR_ARG(g->node->op_type), (int)(name.n > 64 ? 64 : name.n), name.p);
}

/* Node i of the lists; children that are nowhere are the builder's to refuse. */
static enum tern_code make_node(const struct gather *g, size_t i, uint32_t *n_leaves,
                                struct tern_forest_node *node, struct tern_err *err)
{
    const struct lists *l = &g->l;
    enum tern_onnx_mode mode = TERN_ONNX_LEAF;

    TERN_TRY(mode_of(g, i, &mode, err));
    *node = (struct tern_forest_node){.cover = g->has_covers ? l->covers.p[i] : 0};
    if (mode == TERN_ONNX_LEAF) {
        node->leaf = (*n_leaves)++;
        return TERN_OK;
    }
    if (l->features.p[i] < 0 || l->features.p[i] >= TERN_FOREST_FEATURES_MAX)
        return fail_node(g, i, "there is no feature", l->features.p[i], err);
    node->feature = (uint32_t)l->features.p[i];
    node->threshold = l->values.p[i];
    tern_onnx_trees_ask(mode, i < l->missing.n && l->missing.p[i] == 1,
                        place_of(&g->nodes, l->yes.p[i]), place_of(&g->nodes, l->no.p[i]), node);
    return TERN_OK;
}

/* The weights of a tree, by leaf: they come in the order of leaves nearly always, and are sorted by
 * counting when they do not. */
static enum tern_code gather_weights(struct gather *g, size_t tree, uint32_t n_leaves,
                                     struct tern_err *err)
{
    const struct lists *l = &g->l;
    size_t from = g->first_weight[tree], to = g->first_weight[tree + 1];

    memset(g->leaf_first, 0, (n_leaves + 2u) * sizeof(*g->leaf_first));
    for (size_t i = from; i < to; i++) {
        uint32_t weight = g->order[i], at = place_of(&g->nodes, l->weight_nodes.p[weight]);
        int64_t output = l->weight_outputs.p[weight];
        if (at == NONE || g->tree_nodes[at].test != TERN_FOREST_LEAF)
            return fail_node(g, g->first[tree], "there is a weight for node",
                             l->weight_nodes.p[weight], err);
        if (output < 0 || output >= g->ensemble.n_outputs)
            return fail_node(g, g->first[tree] + at, "there is no output", output, err);
        g->leaf_first[g->tree_nodes[at].leaf + 2]++;
    }
    for (size_t i = 2; i < n_leaves + 2u; i++)
        g->leaf_first[i] += g->leaf_first[i - 1];
    /* leaf_first[k + 1] is where leaf k begins, and becomes where it ends. */
    for (size_t i = from; i < to; i++) {
        uint32_t weight = g->order[i], at = place_of(&g->nodes, l->weight_nodes.p[weight]);
        size_t place = g->leaf_first[g->tree_nodes[at].leaf + 1]++;
        g->outputs[place] = (uint32_t)l->weight_outputs.p[weight];
        g->weights[place] = l->weights.p[weight];
    }
    return TERN_OK;
}

static enum tern_code add_tree(struct gather *g, size_t tree, struct tern_err *err)
{
    size_t from = g->first[tree], to = g->first[tree + 1];
    uint32_t n_leaves = 0;

    for (size_t i = from; i < to; i++)
        if (!set_place(&g->nodes, g->l.ids.p[i], i - from))
            return fail_node(g, i, "its id comes twice or is too large:", g->l.ids.p[i], err);
    for (size_t i = from; i < to; i++)
        TERN_TRY(make_node(g, i, &n_leaves, &g->tree_nodes[i - from], err));
    TERN_TRY(gather_weights(g, tree, n_leaves, err));
    const struct tern_onnx_tree made = {
        .nodes = g->tree_nodes,
        .n_nodes = (uint32_t)(to - from),
        .n_leaves = n_leaves,
        .outputs = g->outputs,
        .weights = g->weights,
        .first = g->leaf_first,
    };
    TERN_TRY(tern_onnx_trees_add(&g->ensemble, &made, err));
    for (size_t i = from; i < to; i++)
        g->nodes.at[g->l.ids.p[i]] = NONE;
    return TERN_OK;
}

static uint32_t count_features(const struct lists *l)
{
    int64_t most = 0;

    for (size_t i = 0; i < l->features.n; i++)
        most = l->features.p[i] > most ? l->features.p[i] : most;
    return most < TERN_FOREST_FEATURES_MAX ? (uint32_t)most + 1 : 1;
}

/* base: what the forest adds; a classifier adds its own. */
static enum tern_code make_forest(struct gather *g, uint32_t n_outputs,
                                  enum tern_forest_combine combine,
                                  const struct tern_onnx_reals *base, uint32_t *ret_value,
                                  struct tern_err *err)
{
    g->has_covers = has_covers(&g->l);
    TERN_TRY(find_trees(g, err));
    TERN_TRY(sort_weights(g, err));
    TERN_TRY(make_room(g, err));
    TERN_TRY(tern_onnx_trees_begin(g->node, count_features(&g->l), n_outputs, combine, base,
                                   &g->ensemble, err));
    for (size_t i = 0; i < g->n_trees; i++)
        TERN_TRY(add_tree(g, i, err));
    return tern_onnx_trees_finish(&g->ensemble, ret_value, err);
}

/* ---- the operators ---- */

static enum tern_code prepare_regressor(struct gather *g, struct tern_err *err)
{
    static const char *const names[] = {"SUM", "AVERAGE", "MIN", "MAX", NULL};
    enum tern_scores transform;
    uint32_t combine, value;
    int64_t n_targets;

    TERN_TRY(tern_onnx_node_want(g->node, 0, TERN_ONNX_FLOATS, err));
    TERN_TRY(tern_onnx_node_int(g->node, "n_targets", 1, &n_targets, err));
    TERN_TRY(tern_onnx_node_choice(g->node, "aggregate_function", "SUM", names, &combine, err));
    TERN_TRY(tern_op_scores_read(g->node, &transform, err));
    TERN_TRY(read_nodes(g->node, &g->l, err));
    TERN_TRY(read_weights(g->node, false, &g->l, err));
    if (n_targets < 1 || n_targets > TERN_FOREST_OUTPUTS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s has %lld targets",
                         TERN_STR_ARG(g->node->op_type), (long long)n_targets);
    TERN_TRY(make_forest(g, (uint32_t)n_targets, (enum tern_forest_combine)combine, &g->l.base,
                         &value, err));
    TERN_TRY(tern_op_votes_transform(g->node->program, transform, (size_t)n_targets,
                                     TERN_DTYPE_FP32, &value, err));
    tern_onnx_node_bind(g->node, 0, value);
    return TERN_OK;
}

enum tern_code tern_onnx_trees_regressor(struct tern_onnx_node *node, struct tern_err *err)
{
    struct gather g = {.node = node};
    enum tern_code code = prepare_regressor(&g, err);

    tern_forest_builder_free(g.ensemble.builder);
    return code;
}

/* One class alone has weights: the score of the second of two, when it is not negative. */
static void look_at_weights(const struct lists *l, bool *is_single, bool *is_positive)
{
    *is_single = *is_positive = true;
    for (size_t i = 0; i < l->weights.n; i++) {
        *is_single = *is_single && l->weight_outputs.p[i] == l->weight_outputs.p[0];
        *is_positive = *is_positive && l->weights.p[i] >= 0;
    }
}

static enum tern_code prepare_classifier(struct gather *g, struct tern_err *err)
{
    const struct tern_onnx_reals none = {0};
    struct tern_op_votes votes = {0};
    uint32_t value;

    TERN_TRY(tern_onnx_node_want(g->node, 0, TERN_ONNX_NUMBERS, err));
    TERN_TRY(tern_op_classes_read(g->node, "classlabels_int64s", "classlabels_strings",
                                  &votes.classes, err));
    TERN_TRY(tern_op_scores_read(g->node, &votes.transform, err));
    TERN_TRY(read_nodes(g->node, &g->l, err));
    TERN_TRY(read_weights(g->node, true, &g->l, err));
    size_t n = votes.classes.n;
    if (n == 0 || n > TERN_FOREST_OUTPUTS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s has %zu classes",
                         TERN_STR_ARG(g->node->op_type), n);
    TERN_TRY(make_forest(g, (uint32_t)n, TERN_FOREST_SUM, &none, &value, err));
    bool is_single;
    look_at_weights(&g->l, &is_single, &votes.is_positive);
    votes.is_binary = n == 2 && is_single;
    votes.base = g->l.base.p;
    votes.n_base = g->l.base.n;
    votes.has_score = g->ensemble.is_always;
    for (size_t k = 0; k < n; k++) {
        if (g->ensemble.is_sometimes[k] && !g->ensemble.is_always[k])
            return tern_onnx_node_refuse(g->node, "some of its leaves have no weight", err);
    }
    return tern_op_votes_prepare(g->node, &votes, value, err);
}

enum tern_code tern_onnx_trees_classifier(struct tern_onnx_node *node, struct tern_err *err)
{
    struct gather g = {.node = node};
    enum tern_code code = prepare_classifier(&g, err);

    tern_forest_builder_free(g.ensemble.builder);
    return code;
}
