/* Ensembles of trees in ONNX graphs: what the lists of version 1 and those of version 5 have in
 * common when they are made into a forest.
 *
 * Scores are what ONNX Runtime makes of the same lists, to the last bit: thresholds and sums are
 * float32, or double when the input is; trees are added in the order in which they come, base
 * values after them. A few files mean something only because of how ONNX Runtime keeps its books
 * (leaves that name a class in some rows only); they are UNIMPLEMENTED here, and left to it. */
#ifndef TERN_ENGINE_NATIVE_ONNX_TREES_H
#define TERN_ENGINE_NATIVE_ONNX_TREES_H

#include "engine/native/onnx/onnx_node.h"
#include "forest/builder.h"

/* As TreeEnsemble numbers them; version 1 names them. */
enum tern_onnx_mode {
    TERN_ONNX_LEQ,
    TERN_ONNX_LT,
    TERN_ONNX_GTE,
    TERN_ONNX_GT,
    TERN_ONNX_EQ,
    TERN_ONNX_NEQ,
    TERN_ONNX_MEMBER,
    TERN_ONNX_LEAF,
};

struct tern_onnx_reals {
    const double *p;
    size_t n;
};

struct tern_onnx_ensemble {
    struct tern_onnx_node *node;
    struct tern_forest_builder *builder; /* owned until finish; free at the end of prepare */
    bool is_double;
    enum tern_forest_combine combine;
    uint32_t n_outputs;
    bool has_base;
    /* One an output: whether each row has a score for it, and whether some rows may have. */
    bool *is_always, *is_sometimes;
};

/* One tree. Weights of leaf i are first[i] .. first[i + 1] - 1. */
struct tern_onnx_tree {
    const struct tern_forest_node *nodes;
    uint32_t n_nodes;
    uint32_t n_leaves;
    const uint32_t *outputs;
    const double *weights;
    const size_t *first;
};

/* A list of numbers in doubles; a tensor has to be of the ensemble's datatype. */
enum tern_code tern_onnx_trees_widen(struct tern_onnx_node *node, const float *from, size_t n,
                                     struct tern_onnx_reals *ret, struct tern_err *err);
enum tern_code tern_onnx_trees_tensor(struct tern_onnx_node *node, const char *name, bool is_double,
                                      struct tern_onnx_reals *ret, struct tern_err *err);
/* Sets the test of a node, its children, and where NaN goes. */
void tern_onnx_trees_ask(enum tern_onnx_mode mode, bool missing_is_true, uint32_t true_node,
                         uint32_t false_node, struct tern_forest_node *node);

/* base: one an output, or empty. */
enum tern_code tern_onnx_trees_begin(struct tern_onnx_node *node, uint32_t n_features,
                                     uint32_t n_outputs, enum tern_forest_combine combine,
                                     const struct tern_onnx_reals *base,
                                     struct tern_onnx_ensemble *ensemble, struct tern_err *err);
enum tern_code tern_onnx_trees_add(struct tern_onnx_ensemble *ensemble,
                                   const struct tern_onnx_tree *tree, struct tern_err *err);
/* The step that makes scores, [n, outputs], of the node's input 0. */
enum tern_code tern_onnx_trees_finish(struct tern_onnx_ensemble *ensemble, uint32_t *ret_value,
                                      struct tern_err *err);

#endif
