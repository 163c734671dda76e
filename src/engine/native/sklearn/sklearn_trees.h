/* The trees of scikit-learn's sklearn.tree, on their way to a forest. */
#ifndef TERN_ENGINE_NATIVE_SKLEARN_TREES_H
#define TERN_ENGINE_NATIVE_SKLEARN_TREES_H

#include "engine/native/sklearn/sklearn.h"

/* One fitted tree. Memory is the growth's, until the next tree is read. */
struct tern_sklearn_tree {
    const struct tern_skops_node *node; /* for places */
    struct tern_forest_node *nodes;
    uint32_t n_nodes;
    uint32_t *leaves; /* the node of each leaf */
    uint32_t n_leaves;
    const double *values; /* of all nodes: width numbers each */
    uint32_t width;
};

/* A forest that grows by one tree after another. */
struct tern_sklearn_growth {
    struct tern_forest_builder *builder; /* owned */
    struct tern_arena work;              /* what one tree takes */
    struct tern_skops skops;             /* the file, reading into work */
    const uint32_t *columns; /* of each feature that trees know; NULL: they know all, in order */
    uint32_t n_columns;      /* features that trees know */
};

enum tern_code tern_sklearn_growth_begin(struct tern_sklearn_growth *growth,
                                         const struct tern_sklearn *s,
                                         const struct tern_forest_settings *settings,
                                         struct tern_err *err);
void tern_sklearn_growth_end(struct tern_sklearn_growth *growth);
/* Reads the estimator's `tree_`; of each node `width` values. */
enum tern_code tern_sklearn_growth_read(struct tern_sklearn_growth *growth,
                                        const struct tern_skops_node *estimator, uint32_t width,
                                        struct tern_sklearn_tree *ret, struct tern_err *err);
/* values: of each leaf, one for `output` or, output being NONE, one for each output. */
#define TERN_SKLEARN_ALL UINT32_MAX
enum tern_code tern_sklearn_growth_add(struct tern_sklearn_growth *growth,
                                       const struct tern_sklearn_tree *tree, const double *values,
                                       uint32_t output, struct tern_err *err);
/* The forest as a step that reads s->value. */
enum tern_code tern_sklearn_growth_finish(struct tern_sklearn_growth *growth,
                                          struct tern_sklearn *s, uint32_t *ret_value,
                                          struct tern_err *err);
/* Room for a number of each leaf, or several. */
enum tern_code tern_sklearn_growth_values(struct tern_sklearn_growth *growth,
                                          const struct tern_sklearn_tree *tree, uint32_t width,
                                          double **ret, struct tern_err *err);

#endif
