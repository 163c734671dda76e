/* What the two games share: shap.c goes from tree to tree, shap_path.c and shap_pairs.c through one
 * tree with one row. */
#ifndef TERN_FOREST_SHAP_INT_H
#define TERN_FOREST_SHAP_INT_H

#include "forest/shap.h"
#include "forest/view.h"

/* One tree, laid out for going through it with many rows. */
struct shap_tree {
    struct tern_forest_view view;
    struct tern_forest_view_node *nodes;
    double *leaves; /* what each adds to the output that is being explained */
};

/* An edge on the way down. */
struct shap_step {
    uint32_t node;
    uint8_t n_seen; /* children */
    bool is_open;   /* the one that was seen last is on the way */
    bool had;       /* what the feature's state was before that one ... */
    double share_before;
};

struct shap_path {
    /* One a feature: the part of the training data that all tests of it so far let pass, and
     * whether the row passes them. */
    double *shares;
    bool *passes;
    struct shap_step *steps; /* one a level */
    uint32_t n_points;       /* of the quadrature */
    double *points;          /* t */
    double *inverses;        /* 1 / (1 - t) */
    double *weights;
    double *products; /* one row of n_points a level: weights times the factors so far */
    double *sums;     /* the same: of the leaves below, times their products */
    /* For interactions: the features of the path, in order, and how many of its tests ask them. */
    uint32_t *features;
    uint32_t n_features;
    uint32_t *uses;
    double *ratios; /* one row of n_points a level */
};

/* For trees of this depth. */
enum tern_code shap_path_init(struct shap_path *path, uint32_t depth, uint32_t n_features,
                              bool has_interactions, struct tern_arena *arena,
                              struct tern_err *err);
/* Another depth at most as large: fewer points suffice. */
void shap_path_fit(struct shap_path *path, uint32_t depth, uint32_t n_features);
/* Adds a row's values (n_features; interactions: n_features^2, off the diagonal, or NULL) of one
 * tree. */
void shap_path_run(struct shap_path *path, const struct shap_tree *tree, const uint8_t *ranks,
                   double *values, double *interactions, uint32_t n_features);
/* What the tree answers on average over the training data, and for a row. */
double shap_tree_mean(const struct shap_tree *tree, double *working);
double shap_tree_value(const struct shap_tree *tree, const uint8_t *ranks);

struct shap_pairs_step {
    uint32_t node;
    uint8_t n_seen;
    uint8_t state_before; /* of the node's feature */
    bool is_open;
    uint32_t n_row, n_other; /* features that only the row, only the other one passes */
    double row_sum, other_sum;
};

struct shap_pairs {
    uint8_t *states; /* one a feature */
    struct shap_pairs_step *steps;
    double *weights; /* of a leaf: p * (most + 1) + q */
    uint32_t most;   /* features of a path */
};

enum tern_code shap_pairs_init(struct shap_pairs *pairs, uint32_t depth, uint32_t n_features,
                               struct tern_arena *arena, struct tern_err *err);
/* Adds scale times the values of one tree for a row against another. */
void shap_pairs_run(struct shap_pairs *pairs, const struct shap_tree *tree, const uint8_t *ranks,
                    const uint8_t *others, double scale, double *values);

#endif
