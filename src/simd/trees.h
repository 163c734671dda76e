/* Decision trees over ranks: the layout that the kernels share, and their loops.
 *
 * A row of features becomes a row of ranks first: one small integer a column, the number of the
 * column's cuts that lie below the value. A node then asks `rank[column] > cut`. A tree is an array
 * of its inner nodes in preorder (a node, all of its yes-side, all of its no-side), so that read
 * backwards every node comes after its children: single rows walk down it, blocks of rows fold it
 * up.
 *
 * The idea of comparing ranks instead of values is that of QuickScorer's successors (Lucchese et
 * al., SIGIR 2015; Ye et al., RapidScorer, KDD 2018). */
#ifndef TERN_SIMD_TREES_H
#define TERN_SIMD_TREES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Children: an inner node of the same tree from 0 on, or ~leaf. [0] where rank <= cut. */
struct tern_tree_node {
    uint16_t cut;
    uint16_t column;
    int16_t child[2];
};

/* The same for trees and forests that are too large for that. */
struct tern_tree_wide_node {
    uint32_t column;
    uint32_t cut;
    int32_t child[2];
};

#define TERN_TREE_NODES_MAX   INT16_MAX /* inner nodes of a tree of the small form */
#define TERN_TREE_COLUMNS_MAX UINT16_MAX
#define TERN_TREE_RANK_MAX    UINT16_MAX /* the largest rank: a column has no more cuts */

/* The leaf that a row of ranks reaches. */
int32_t tern_tree_walk(const struct tern_tree_node *nodes, const uint16_t *ranks);
int32_t tern_tree_walk_wide(const struct tern_tree_wide_node *nodes, const uint16_t *ranks);

#endif
