/* Builds a forest from what a model file says: the one place where trees are checked.
 *
 * A loader adds sets of categories and trees, one after another, and finishes. Whatever it hands
 * over is checked here (structure, indexes, thresholds), so that nothing after has to: a loader
 * only has to keep its own file's lengths. The differences between libraries end here, too:
 * comparisons are turned into `x <= cut` in the precision of the input.
 *
 * Errors are INVALID_ARGUMENT and begin with "tree 12: " or "tree 12, node 7: "; the loader puts
 * the file's words before it. After an error only free may follow. One thread at a time. */
#ifndef TERN_FOREST_BUILDER_H
#define TERN_FOREST_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "forest/forest.h"

#define TERN_FOREST_TREES_MAX    (1u << 22)
#define TERN_FOREST_NODES_MAX    (1u << 28) /* of all trees */
#define TERN_FOREST_FEATURES_MAX (1u << 24)
#define TERN_FOREST_OUTPUTS_MAX  (1u << 14)
#define TERN_FOREST_DEPTH_MAX    4096
#define TERN_FOREST_LEAVES_MAX   (1u << 28) /* leaf values of all trees */
#define TERN_FOREST_CATEGORY_MAX (1u << 24) /* categories are below this */

/* What a node asks of its feature. */
enum tern_forest_test {
    TERN_FOREST_LEAF,
    TERN_FOREST_LESS_EQUAL, /* x <= threshold */
    TERN_FOREST_LESS,       /* x < threshold */
    TERN_FOREST_EQUAL,      /* x == threshold */
    TERN_FOREST_MEMBER,     /* x, made a whole number, is in the set */
};

/* How a value becomes a category. What is no category is a member of no set. */
enum tern_forest_rounding {
    TERN_FOREST_TOWARD_ZERO, /* -0.5 is category 0 */
    TERN_FOREST_DOWN,        /* -0.5 is none */
    TERN_FOREST_EXACT,       /* 1.5 is none */
};

struct tern_forest_node {
    enum tern_forest_test test;
    bool missing_yes;     /* where NaN goes */
    bool zero_is_missing; /* values within 1e-35 of 0 (simd/trees.h) go there, too */
    uint32_t feature;
    uint32_t yes, no; /* nodes of this tree */
    double threshold; /* not NaN */
    uint32_t set;     /* MEMBER: what tern_forest_builder_add_set answered */
    uint32_t leaf;    /* LEAF: the row of the tree's values */
    double cover;     /* how much training weight came here; 0 at the root's children: not known */
};

/* A leaf that is a linear function of some features (LightGBM's linear trees): constant + the sum
 * of coefficient * x, in this order; where one of the x is NaN the leaf's plain value holds. */
struct tern_forest_linear {
    double constant;
    const uint32_t *features;
    const double *coefficients;
    uint32_t n;
};

struct tern_forest_tree {
    const struct tern_forest_node *nodes; /* the first is the root; those that nothing leads to are
                                             dropped */
    uint32_t n_nodes;
    /* Row-major, n_leaves rows. vector: a value for each output; else one, for `output`. */
    const double *values;
    uint32_t n_leaves;
    bool vector;
    uint32_t output;
    const struct tern_forest_linear *linear; /* one a leaf, or NULL */
};

struct tern_forest_settings {
    uint32_t n_features;
    uint32_t n_outputs;
    /* Rows are float32, or are rounded to it before anything else; false: tests are made in double.
     */
    bool float_input;
    /* Values are float32 and are added as float32, tree after tree; false: double. */
    bool float_sum;
    enum tern_forest_combine combine;
    uint32_t n_averaged; /* AVERAGE: what sums are divided by; 0: the number of trees */
    const double *base;  /* one an output; NULL: zeros */
    /* The base is what the sum starts with; else it is added to the sum of all trees (or to their
     * average). In floats that can make a difference in the last place. */
    bool base_first;
};

struct tern_forest_builder;

/* Copies what the settings point to. */
enum tern_code tern_forest_builder_new(const struct tern_forest_settings *settings,
                                       struct tern_forest_builder **ret_builder,
                                       struct tern_err *err);
void tern_forest_builder_free(struct tern_forest_builder *builder); /* NULL is fine */

/* A set of categories, each below TERN_FOREST_CATEGORY_MAX, in any order. One that is equal to an
 * earlier one is the earlier one. May be empty. */
enum tern_code tern_forest_builder_add_set(struct tern_forest_builder *builder,
                                           const uint32_t *categories, size_t n,
                                           enum tern_forest_rounding rounding, uint32_t *ret_set,
                                           struct tern_err *err);
/* Trees are summed in the order in which they come. Copies what it needs. */
enum tern_code tern_forest_builder_add_tree(struct tern_forest_builder *builder,
                                            const struct tern_forest_tree *tree,
                                            struct tern_err *err);
/* AVERAGE: what sums are divided by, where a file says it only by its end (n_averaged). */
void tern_forest_builder_average(struct tern_forest_builder *builder, uint32_t n);
/* Features and outputs that a file brings up only later: there are so many now, no fewer than
 * before. The base of outputs that are new is 0. */
enum tern_code tern_forest_builder_widen(struct tern_forest_builder *builder, uint32_t n_features,
                                         uint32_t n_outputs, struct tern_err *err);
/* Compiles what was added. The builder is empty afterwards and may only be freed. */
enum tern_code tern_forest_builder_finish(struct tern_forest_builder *builder,
                                          struct tern_forest **ret_forest, struct tern_err *err);

#endif
