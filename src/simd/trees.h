/* Decision trees over ranks: the layout that the kernels share, and their loops.
 *
 * A row of features becomes a row of ranks first: one byte a column, the number of the column's
 * cuts that lie below the value. A node then asks `rank[column] > cut`. A tree is an array of its
 * inner nodes in preorder (a node, all of its yes-side, all of its no-side): single rows walk down
 * it, and read backwards every node comes after its children, which is how many rows are folded up
 * at once.
 *
 * That ranks may be compared in place of values is the idea of QuickScorer's successors (Lucchese
 * et al., SIGIR 2015; Ye et al., RapidScorer, KDD 2018).
 *
 * Kernels of tern_simd may be NULL; what is declared here always works. */
#ifndef TERN_SIMD_TREES_H
#define TERN_SIMD_TREES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/compiler.h"

#define TERN_TREE_RANK_MAX 255 /* the largest rank: a column has no more cuts */

/* ---- ranks ---- */

/* The cuts of a column lie in segments of 16, ascending, +infinity after the last of them; there is
 * always one that is not full. When there is more than one, 16 pivots stand before them: the last
 * cut of each full segment, then +infinity. So two comparisons of 16 find a rank. */
#define TERN_RANK_LANES 16

/* LightGBM's kZeroThreshold, a float32: |x| <= it is zero. */
#define TERN_RANK_ZERO 1e-35f

/* A column may stand for two, side by side: ranks differ where the value is missing only. */
struct tern_rank_column {
    uint32_t feature;
    uint32_t first; /* in the cuts: of its pivots */
    uint32_t place; /* of its rank */
    uint8_t n_cuts;
    uint8_t missing_rank; /* of NaN: 0 or TERN_TREE_RANK_MAX; of two columns 0, then the other */
    bool is_two;
    bool zero_is_missing; /* values within TERN_RANK_ZERO of 0 are missing, too */
};

/* Ranks of one row, that of a column at ranks[place * step]. Cuts of float, or of double; the row
 * is of the same.
 */
void tern_rank_row_f32(const struct tern_rank_column *columns, size_t n, const float *cuts,
                       const float *row, uint8_t *ranks, size_t step);
void tern_rank_row_f64(const struct tern_rank_column *columns, size_t n, const double *cuts,
                       const double *row, uint8_t *ranks, size_t step);

/* What is found goes to its place, or to both of them. */
TERN_INLINE void tern_rank_put(const struct tern_rank_column *column, bool is_missing, uint8_t rank,
                               uint8_t *ranks, size_t step)
{
    uint8_t *to = ranks + column->place * step;

    to[0] = is_missing ? column->missing_rank : rank;
    if (column->is_two)
        to[step] = is_missing ? TERN_TREE_RANK_MAX : rank;
}

/* ---- nodes ---- */

/* Children: an inner node of the same tree, or ~leaf. [0] where rank <= cut. */
struct tern_tree_node {
    uint16_t column;
    uint8_t cut;
    uint8_t unused;
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

/* ---- one row ---- */

/* Walks that are not at their leaves yet: at[i] is a node of trees[i]. The ~leaf that the row
 * reaches goes to exits[which[i]]. The three lists are used up. */
void tern_tree_walk(const struct tern_tree_node **trees, int32_t *at, uint32_t *which, size_t n,
                    const uint8_t *ranks, int32_t *exits);
void tern_tree_walk_wide(const struct tern_tree_wide_node **trees, int32_t *at, uint32_t *which,
                         size_t n, const uint8_t *ranks, int32_t *exits);

/* The top of a tree as it is taken in one piece. exits: ~leaf, or the node from
 * which to walk on. Columns have one byte: forests with up to 256 of them have heads. */
#define TERN_TREE_HEAD_COLUMNS 256

/* The first six levels, complete: node i leads to 2i+1 and 2i+2. Where the tree ends earlier the
 * exits below are all the same. */
struct tern_tree_level_head {
    TERN_ALIGNED(64) uint8_t column[64]; /* the last is not used */
    uint8_t cut[64];
    int16_t exit[64];
};

/* The same of a whole tree, with its values. */
struct tern_tree_value_head {
    TERN_ALIGNED(64) uint8_t column[64];
    uint8_t cut[64];
    float value[64];
};

/* The same of a tree with up to two levels more: at each place a node, its two children, and the
 * four values below. */
struct tern_tree_tail {
    uint8_t column[4]; /* the last is not used */
    uint8_t cut[4];
    float value[4];
};

TERN_INLINE float tern_tree_tail_value(const struct tern_tree_tail *tail, const uint8_t *ranks)
{
    unsigned first = ranks[tail->column[0]] > tail->cut[0];
    unsigned second = ranks[tail->column[1 + first]] > tail->cut[1 + first];

    return tail->value[2 * first + second];
}

struct tern_tree_tail_head {
    TERN_ALIGNED(64) uint8_t column[64];
    uint8_t cut[64];
    struct tern_tree_tail tail[64];
};

/* What each of n heads comes to, n a multiple of 8: an exit or a value. ranks: of a row, readable
 * to TERN_TREE_HEAD_COLUMNS. */
void tern_tree_level_heads(const struct tern_tree_level_head *heads, size_t n, const uint8_t *ranks,
                           size_t n_columns, int32_t *exits);
void tern_tree_value_heads(const struct tern_tree_value_head *heads, size_t n, const uint8_t *ranks,
                           size_t n_columns, float *values);
void tern_tree_tail_heads(const struct tern_tree_tail_head *heads, size_t n, const uint8_t *ranks,
                          size_t n_columns, float *values);

/* Two whole trees of at most 32 leaves, which are bits in their order from yes to no. A node that
 * is answered no drops the leaves of its yes-side; the first leaf that no node drops is the row's
 * (QuickScorer). In pairs, because one vector asks the nodes of both. For where tern_simd has
 * tree_path_heads only. */
struct tern_tree_path_heads {
    TERN_ALIGNED(64) uint8_t column[2][32];
    uint8_t cut[2][32];
    uint32_t drop[2][32];
    uint8_t leaf[2][32]; /* the number of each in its tree */
};

/* ---- many rows ---- */

/* Ranks of 64 rows: column after column, 64 bytes each. */
#define TERN_TREE_TILE        64
#define TERN_TREE_TILES_MAX   8
#define TERN_TREE_FOLD_LEAVES 256 /* a leaf is one byte */
#define TERN_TREE_FOLD_DEPTH  256

/* The leaves that n_tiles x 64 rows reach in a tree of at most 256 leaves. tiles: tile_bytes apart.
 * stack: working memory, TERN_TREE_FOLD_DEPTH x n_tiles x 64 bytes, aligned to 64; the result is
 * its beginning. */
void tern_tree_fold(const struct tern_tree_node *nodes, uint32_t n_nodes, const uint8_t *tiles,
                    size_t tile_bytes, size_t n_tiles, uint8_t *stack);

/* The same by walking, for any tree: the leaves of one tile's rows. at: the node from which each
 * row walks on, or ~leaf; it is used up. */
void tern_tree_walk_tile(const struct tern_tree_node *nodes, const uint8_t *tile,
                         int32_t at[TERN_TREE_TILE], uint32_t leaves[TERN_TREE_TILE]);
void tern_tree_walk_tile_wide(const struct tern_tree_wide_node *nodes, const uint8_t *tile,
                              int32_t at[TERN_TREE_TILE], uint32_t leaves[TERN_TREE_TILE]);

/* sums[i] += values[leaf[i]] for n rows, a multiple of 64. values has room for 64 to be read. */
void tern_tree_add_f32(const float *values, uint32_t n_leaves, const uint8_t *leaf, float *sums,
                       size_t n);

#endif
