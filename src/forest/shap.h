/* Exact Shapley values of a forest's raw scores (Lundberg et al., Nature Machine Intelligence
 * 2020), in double.
 *
 * Two games are known. Along the paths of the training data (TREE_PATH), a feature that is not
 * known sends a row both ways, as much as the training data went. Against a background (PAIRS), it
 * has the value of a background row, for each of them, and the values are averaged.
 *
 * A leaf's part of a feature's value is an integral over (0, 1) of a product with a factor for each
 * feature on its path (Owen's multilinear form of the Shapley value). TREE_PATH takes that product
 * along at the nodes of a Gauss-Legendre quadrature, which is exact for its degree, and adds it up
 * on the way back: O(nodes * D / 2) a row, where shap's algorithm needs O(leaves * D^2). All
 * factors are positive, so that nothing cancels. For PAIRS factors are 0 or 1, the integrals are
 * Beta functions, and a tree takes as long as the nodes that the two rows can reach together.
 *
 * Pure functions; working memory comes from the arena. No recursion. */
#ifndef TERN_FOREST_SHAP_H
#define TERN_FOREST_SHAP_H

#include <stdatomic.h>
#include "forest/forest.h"

struct tern_shap_run {
    /* Who plays: one of n_players for each feature of the forest, which are known together. NULL:
     * each feature plays alone, and they are the players. */
    const uint32_t *players;
    uint32_t n_players;
    const double *rows; /* n_rows x n_features of the forest; NaN is missing */
    size_t n_rows;
    const double *background; /* the same; NULL: TREE_PATH, else PAIRS */
    size_t n_background;
    double *values;               /* n_rows x n_outputs x players */
    double *interactions;         /* TREE_PATH: n_rows x n_outputs x players x players, or NULL */
    double *base;                 /* n_outputs: what the score is when no feature is known */
    double *raw;                  /* n_rows x n_outputs: the scores */
    const atomic_bool *cancelled; /* NULL: never */
};

/* UNIMPLEMENTED: the forest is no sum of trees with constant leaves, or (TREE_PATH) its file does
 * not say how much of the training data came where. What a run would find, before it. */
enum tern_code tern_shap_check(const struct tern_forest *forest, bool has_background,
                               struct tern_err *err);
/* Fills all arrays whole. CANCELLED when run->cancelled is set meanwhile. */
enum tern_code tern_shap_run(const struct tern_forest *forest, const struct tern_shap_run *run,
                             struct tern_arena *arena, struct tern_err *err);

#endif
