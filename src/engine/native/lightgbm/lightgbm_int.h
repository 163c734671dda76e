/* What the text and the JSON of a LightGBM model share: the model's head, one tree at a time, and
 * the way of both into a forest and a program. */
#ifndef TERN_ENGINE_NATIVE_LIGHTGBM_INT_H
#define TERN_ENGINE_NATIVE_LIGHTGBM_INT_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/native/format.h"
#include "engine/native/ops/ops.h"
#include "forest/builder.h"

/* What a tree's text may have of anything, and every array here. */
#define TERN_LIGHTGBM_PARTS_MAX ((size_t)1 << 29)

/* What is done to the sum of the trees, by the objective that the model was trained for. */
struct tern_lightgbm_objective {
    enum tern_link link;
    double parameter;
    uint32_t n_class; /* as the objective says; 0: it does not */
};

/* text: "binary sigmoid:1". Empty: none, the sums are the answer. */
enum tern_code tern_lightgbm_objective_read(struct tern_str text,
                                            struct tern_lightgbm_objective *ret,
                                            struct tern_err *err);

enum tern_lightgbm_missing {
    TERN_LIGHTGBM_NONE, /* NaN is taken for 0 */
    TERN_LIGHTGBM_ZERO, /* NaN and 0 go the default way */
    TERN_LIGHTGBM_NAN,  /* NaN goes the default way */
};

/* One tree in the making; the memory serves all trees of a model. Splits come first, in the order
 * of the file, then leaves: leaf i is the node n_leaves - 1 + i. */
struct tern_lightgbm_tree {
    uint32_t n_leaves;
    struct tern_forest_node *nodes; /* owned: 2 n_leaves - 1 */
    double *values;                 /* owned: n_leaves */
    bool is_linear;
    struct tern_forest_linear *linear; /* owned: n_leaves; their lists lie in the two below */
    uint32_t n_terms;
    uint32_t *features;   /* owned: n_terms */
    double *coefficients; /* owned: n_terms */
    size_t nodes_cap, values_cap, linear_cap, features_cap, coefficients_cap;
};

struct tern_lightgbm {
    const struct tern_native_source *source;
    struct tern_program *program;
    /* The head; set by who reads it, before begin. */
    struct tern_str version;   /* "v4" */
    struct tern_str objective; /* empty: none */
    uint32_t n_class;
    uint32_t n_outputs; /* trees of an iteration */
    uint32_t n_features;
    bool average; /* a random forest */
    /* Set by begin. */
    struct tern_lightgbm_objective transform;
    struct tern_forest_builder *builder; /* owned */
    struct tern_lightgbm_tree tree;
    uint32_t n_trees; /* that were added */
};

/* Everything else is zero; fini frees what was taken since, also after a failure. */
void tern_lightgbm_init(struct tern_lightgbm *model, const struct tern_native_source *source,
                        struct tern_program *program);
void tern_lightgbm_fini(struct tern_lightgbm *model);

/* The head is read: checks it and begins the forest. */
enum tern_code tern_lightgbm_begin(struct tern_lightgbm *model, struct tern_err *err);
/* Makes room for a tree of that many leaves and clears it; `is_linear` is kept. */
enum tern_code tern_lightgbm_tree_begin(struct tern_lightgbm_tree *tree, uint32_t n_leaves,
                                        struct tern_err *err);
/* Makes room for more terms of linear leaves after n_terms. Lists move: a leaf's `features` and
 * `coefficients` are set when all are read. */
enum tern_code tern_lightgbm_tree_terms(struct tern_lightgbm_tree *tree, uint32_t more,
                                        struct tern_err *err);
/* A child as the file numbers it: a split, or ~leaf. */
uint32_t tern_lightgbm_tree_child(const struct tern_lightgbm_tree *tree, int64_t child);
void tern_lightgbm_split(struct tern_forest_node *node, double threshold, bool default_left,
                         enum tern_lightgbm_missing missing);
/* Members go left; NaN and what is no member go right. */
void tern_lightgbm_split_categories(struct tern_forest_node *node, uint32_t set);
/* model->tree is whole: adds it to the forest. */
enum tern_code tern_lightgbm_add(struct tern_lightgbm *model, struct tern_err *err);
/* All trees were added: makes the program. */
enum tern_code tern_lightgbm_end(struct tern_lightgbm *model, struct tern_err *err);

#endif
