/* A compiled forest as who explains it reads it: tree after tree, node after node. */
#ifndef TERN_FOREST_VIEW_H
#define TERN_FOREST_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "forest/forest.h"

/* Nodes are inner nodes in preorder; where a node leads to is a node from 0 on, or ~leaf. */
struct tern_forest_view {
    uint32_t n_nodes;
    uint32_t n_leaves;
    uint32_t depth;
    int32_t root;
    bool vector; /* a leaf has a value for each output; else one for `output` */
    uint32_t output;
    bool has_linear; /* its leaves are functions of the row: values are only their constants */
    size_t first;    /* private */
    size_t first_value;
};

struct tern_forest_view_node {
    uint32_t feature;
    uint32_t column; /* where in a row's ranks the answer lies: yes when ranks[column] <= cut */
    uint32_t cut;
    int32_t yes, no;
    /* Which part of the training weight that came here went to yes; the rest went to no. 0 where
     * the forest does not know (tern_forest_info's has_covers). */
    double yes_share;
};

struct tern_forest_view tern_forest_view(const struct tern_forest *forest, uint32_t tree);
struct tern_forest_view_node tern_forest_view_node(const struct tern_forest *forest,
                                                   const struct tern_forest_view *view,
                                                   uint32_t node);
/* What a leaf adds to an output: 0 where the tree is not for that output. Already divided, where
 * the forest averages. */
double tern_forest_view_value(const struct tern_forest *forest, const struct tern_forest_view *view,
                              uint32_t leaf, uint32_t output);
/* What an output begins with. */
double tern_forest_view_base(const struct tern_forest *forest, uint32_t output);
/* Whether the forest is a sum (or an average): nothing else has Shapley values tree by tree. */
bool tern_forest_view_is_sum(const struct tern_forest *forest);

/* Bytes of a row's ranks, and the ranks of one row. working: room for a row of doubles, aligned to
 * 8. */
size_t tern_forest_view_room(const struct tern_forest *forest);
void tern_forest_view_ranks(const struct tern_forest *forest, const struct tern_forest_rows *rows,
                            size_t row, void *working, uint8_t *ranks);

#endif
