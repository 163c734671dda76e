/* A forest with fewer nodes. Always, and without any change of an answer: nodes whose question the
 * way to them has answered, nodes both of whose sides answer the same, and trees that add zero.
 * When asked, also the last trees, and sub-trees that make little difference.
 *
 * What leaves are called and which training weight came to a node is not kept: the result is for
 * predictions only. */
#ifndef TERN_FOREST_PRUNE_H
#define TERN_FOREST_PRUNE_H

#include "forest/forest.h"

struct tern_forest_pruning {
    uint32_t n_trees; /* only the first so many of a sum; 0: all */
    /* No sum (average, smallest or largest value) changes by more than that: each tree has an equal
     * part of it, and what the trees before it left; the value of a sub-tree whose leaves lie
     * within is their mean, by training weight where that is known. 0: nothing changes. */
    double within;
};

struct tern_forest_pruned {
    uint32_t n_trees[2]; /* before and after */
    uint64_t n_nodes[2]; /* with leaves */
    double bound;        /* on the change of any output, rounding aside */
};

/* INVALID_ARGUMENT: the trees are not a sum, or the first n_trees do not give each output equally
 * many where all of them do. */
enum tern_code tern_forest_prune(const struct tern_forest *forest,
                                 const struct tern_forest_pruning *pruning,
                                 struct tern_forest **ret_forest, struct tern_forest_pruned *ret,
                                 struct tern_err *err);

#endif
