/* Random forests as a loader would hand them over, and what they answer by the book: no ranks, no
 * columns, node after node in double. */
#ifndef TERN_TESTS_FOREST_RIG_H
#define TERN_TESTS_FOREST_RIG_H

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "forest/builder.h"
#include "harness/random.h"

#define FOREST_RIG_SETS 4

struct forest_rig_shape {
    uint32_t n_trees, n_leaves; /* leaves of each tree, grown where chance falls */
    uint32_t n_features, n_outputs;
    uint32_t n_cuts; /* different thresholds a feature; 0: any */
    uint32_t depth;  /* not 0: complete trees of this depth instead */
    bool is_float;   /* input and sum */
    bool vector;
    bool tests;   /* of all kinds; else x <= threshold only */
    bool missing; /* both ways, and zeros that are missing; else missing goes to no */
    enum tern_forest_combine combine;
};

struct forest_rig {
    struct forest_rig_shape shape;
    uint64_t random;
    struct tern_forest_tree *trees;
    uint32_t sets[FOREST_RIG_SETS];
    uint32_t members[FOREST_RIG_SETS][8];
    double *base;
    struct tern_forest *forest;
};

static inline double forest_rig_threshold(struct forest_rig *rig)
{
    if (rig->shape.n_cuts == 0)
        return random_unit(&rig->random) * 8 - 4;
    uint64_t k = random_u64(&rig->random) % rig->shape.n_cuts;
    return (double)k / rig->shape.n_cuts * 8 - 4;
}

static inline void forest_rig_ask(struct forest_rig *rig, struct tern_forest_node *node)
{
    node->feature = (uint32_t)(random_u64(&rig->random) % rig->shape.n_features);
    node->test = TERN_FOREST_LESS_EQUAL;
    node->threshold = forest_rig_threshold(rig);
    if (rig->shape.tests) {
        node->test = (enum tern_forest_test)(1 + random_u64(&rig->random) % 4);
        if (node->test == TERN_FOREST_EQUAL)
            node->threshold = floor(node->threshold);
        node->set = rig->sets[random_u64(&rig->random) % FOREST_RIG_SETS];
    }
    if (rig->shape.missing) {
        node->missing_yes = random_u64(&rig->random) % 2 == 0;
        node->zero_is_missing = random_u64(&rig->random) % 4 == 0;
    }
}

/* Splits leaf `at` of a tree whose nodes are filled up to *n. */
static inline void forest_rig_split(struct forest_rig *rig, struct tern_forest_node *nodes,
                                    uint32_t at, uint32_t *n)
{
    double cover = nodes[at].cover, share = 0.1 + 0.8 * random_unit(&rig->random);

    forest_rig_ask(rig, &nodes[at]);
    nodes[at].yes = *n;
    nodes[at].no = *n + 1;
    nodes[*n] = (struct tern_forest_node){.cover = cover * share};
    nodes[*n + 1] = (struct tern_forest_node){.cover = cover * (1 - share)};
    *n += 2;
}

static inline void forest_rig_grow(struct forest_rig *rig, struct tern_forest_tree *tree)
{
    const struct forest_rig_shape *s = &rig->shape;
    uint32_t n_leaves = s->depth > 0 ? 1u << s->depth : s->n_leaves, n = 1, leaf = 0;
    uint32_t width = s->vector ? s->n_outputs : 1;
    struct tern_forest_node *nodes = calloc(2 * n_leaves, sizeof(*nodes));
    double *values = calloc((size_t)n_leaves * width, sizeof(*values));

    nodes[0].cover = 1000;
    for (uint32_t splits = 0; splits + 1 < n_leaves; splits++) {
        uint32_t at = splits; /* breadth first: complete */
        while (s->depth == 0 && nodes[at = (uint32_t)(random_u64(&rig->random) % n)].test != 0)
            ;
        forest_rig_split(rig, nodes, at, &n);
    }
    for (uint32_t i = 0; i < n; i++)
        if (nodes[i].test == TERN_FOREST_LEAF)
            nodes[i].leaf = leaf++;
    for (uint32_t i = 0; i < n_leaves * width; i++)
        values[i] = (double)(float)(random_unit(&rig->random) - 0.4);
    *tree = (struct tern_forest_tree){
        .nodes = nodes,
        .n_nodes = n,
        .values = values,
        .n_leaves = n_leaves,
        .vector = s->vector,
        .output = (uint32_t)(random_u64(&rig->random) % s->n_outputs),
    };
}

static inline enum tern_code
forest_rig_fill(struct forest_rig *rig, struct tern_forest_builder *builder, struct tern_err *err)
{
    for (uint32_t i = 0; i < FOREST_RIG_SETS; i++) {
        for (uint32_t k = 0; k < 8; k++)
            rig->members[i][k] = (uint32_t)(random_u64(&rig->random) % 70) / (i + 1);
        enum tern_forest_rounding rounding = (enum tern_forest_rounding)(i % 3);
        TERN_TRY(
            tern_forest_builder_add_set(builder, rig->members[i], 8, rounding, &rig->sets[i], err));
    }
    for (uint32_t i = 0; i < rig->shape.n_trees; i++) {
        forest_rig_grow(rig, &rig->trees[i]);
        TERN_TRY(tern_forest_builder_add_tree(builder, &rig->trees[i], err));
    }
    return tern_forest_builder_finish(builder, &rig->forest, err);
}

/* rig->forest is NULL when it could not be made, and err says why. */
static inline void forest_rig_make(struct forest_rig *rig, const struct forest_rig_shape *shape,
                                   uint64_t seed, struct tern_err *err)
{
    struct tern_forest_builder *builder = NULL;

    *rig = (struct forest_rig){.shape = *shape, .random = seed};
    rig->trees = calloc(shape->n_trees, sizeof(*rig->trees));
    rig->base = calloc(shape->n_outputs, sizeof(*rig->base));
    for (uint32_t i = 0; i < shape->n_outputs; i++)
        rig->base[i] = (double)(float)random_unit(&rig->random);
    const struct tern_forest_settings settings = {
        .n_features = shape->n_features,
        .n_outputs = shape->n_outputs,
        .float_input = shape->is_float,
        .float_sum = shape->is_float,
        .combine = shape->combine,
        .base = rig->base,
        .base_first = seed % 2 == 0,
    };
    if (tern_forest_builder_new(&settings, &builder, err) != TERN_OK)
        return;
    if (forest_rig_fill(rig, builder, err) != TERN_OK)
        rig->forest = NULL;
    tern_forest_builder_free(builder);
}

static inline void forest_rig_free(struct forest_rig *rig)
{
    for (uint32_t i = 0; rig->trees != NULL && i < rig->shape.n_trees; i++) {
        free((void *)(uintptr_t)rig->trees[i].nodes);
        free((void *)(uintptr_t)rig->trees[i].values);
    }
    free(rig->trees);
    free(rig->base);
    tern_forest_free(rig->forest);
}

/* Values of which some are missing, zero, equal to a threshold, or categories. */
static inline double forest_rig_value(struct forest_rig *rig)
{
    switch (random_u64(&rig->random) % 8) {
    case 0:
        return rig->shape.missing ? (double)NAN : forest_rig_threshold(rig);
    case 1:
        return random_u64(&rig->random) % 2 == 0 ? 0 : -1e-36;
    case 2:
        return forest_rig_threshold(rig);
    case 3:
        return (double)(random_u64(&rig->random) % 80) - 4;
    case 4:
        return (double)(random_u64(&rig->random) % 80) - 3.5;
    default:
        return random_unit(&rig->random) * 9 - 4.5;
    }
}

static inline bool forest_rig_is_yes(const struct forest_rig *rig,
                                     const struct tern_forest_node *node, double x)
{
    if (isnan(x) || (node->zero_is_missing && fabs(x) <= (double)1e-35f))
        return node->missing_yes;
    if (node->test == TERN_FOREST_LESS)
        return x < node->threshold;
    if (node->test == TERN_FOREST_EQUAL)
        return x == node->threshold;
    if (node->test == TERN_FOREST_LESS_EQUAL)
        return x <= node->threshold;
    for (uint32_t i = 0; i < FOREST_RIG_SETS; i++) {
        if (rig->sets[i] != node->set)
            continue;
        double whole = i % 3 == TERN_FOREST_DOWN ? floor(x) : trunc(x);
        if (i % 3 == TERN_FOREST_EXACT && whole != x)
            return false;
        for (uint32_t k = 0; k < 8; k++)
            if (whole == rig->members[i][k])
                return true;
        return false;
    }
    return false;
}

static inline uint32_t forest_rig_leaf(const struct forest_rig *rig,
                                       const struct tern_forest_tree *tree, const double *row)
{
    uint32_t at = 0;

    while (tree->nodes[at].test != TERN_FOREST_LEAF) {
        double x = row[tree->nodes[at].feature];
        if (rig->shape.is_float)
            x = (double)(float)x;
        bool yes = forest_rig_is_yes(rig, &tree->nodes[at], x);
        at = yes ? tree->nodes[at].yes : tree->nodes[at].no;
    }
    return tree->nodes[at].leaf;
}

/* One row by the book, added in the forest's precision. */
static inline void forest_rig_answer(const struct forest_rig *rig, const double *row,
                                     bool base_first, double *out)
{
    const struct forest_rig_shape *s = &rig->shape;
    bool extreme = s->combine == TERN_FOREST_MIN || s->combine == TERN_FOREST_MAX;

    for (uint32_t o = 0; o < s->n_outputs; o++) {
        double sum = base_first ? rig->base[o] : 0;
        bool begun = false;
        for (uint32_t t = 0; t < s->n_trees; t++) {
            const struct tern_forest_tree *tree = &rig->trees[t];
            if (!tree->vector && tree->output != o)
                continue;
            uint32_t leaf = forest_rig_leaf(rig, tree, row);
            double v = tree->values[tree->vector ? leaf * s->n_outputs + o : leaf];
            bool is_better = s->combine == TERN_FOREST_MIN ? v < sum : v > sum;
            if (extreme)
                sum = !begun || is_better ? v : sum;
            else
                sum = s->is_float ? (double)((float)sum + (float)v) : sum + v;
            begun = true;
        }
        if (s->combine == TERN_FOREST_AVERAGE)
            sum = s->is_float ? (double)((float)sum / (float)s->n_trees) : sum / s->n_trees;
        if (!base_first)
            sum = s->is_float ? (double)((float)sum + (float)rig->base[o]) : sum + rig->base[o];
        out[o] = sum;
    }
}

#endif
