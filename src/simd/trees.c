#include "simd/trees.h"

#include <string.h>
#include "simd/simd.h"
#include "simd/trees_int.h"

/* ---- ranks ---- */

/* Without branches: where a value lies among the cuts cannot be predicted. */
#define COUNT_BELOW(type, cuts, n, x)                                     \
    {                                                                     \
        const type *base = (cuts);                                        \
        uint32_t left = (n);                                              \
        while (left > 1) {                                                \
            uint32_t half = left / 2;                                     \
            base += half * (base[half - 1] < (x));                        \
            left -= half;                                                 \
        }                                                                 \
        return (uint8_t)((base - (cuts)) + (left == 1 && base[0] < (x))); \
    }

static uint8_t count_f32(const float *cuts, uint32_t n, float x)
{
    COUNT_BELOW(float, cuts, n, x)
}

static uint8_t count_f64(const double *cuts, uint32_t n, double x)
{
    COUNT_BELOW(double, cuts, n, x)
}

void tern_rank_row_f32(const struct tern_rank_column *columns, size_t n, const float *cuts,
                       const float *row, uint8_t *ranks, size_t step)
{
    if (tern_simd.rank_row_f32 != NULL) {
        tern_simd.rank_row_f32(columns, n, cuts, row, ranks, step);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const struct tern_rank_column *c = &columns[i];
        float x = row[c->feature];
        bool is_missing = x != x;
        if (c->zero_is_missing)
            is_missing |= x >= -TERN_RANK_ZERO && x <= TERN_RANK_ZERO;
        uint8_t rank = count_f32(cuts + c->first + TERN_RANK_LANES, c->n_cuts, x);
        tern_rank_put(c, is_missing, rank, ranks, step);
    }
}

void tern_rank_row_f64(const struct tern_rank_column *columns, size_t n, const double *cuts,
                       const double *row, uint8_t *ranks, size_t step)
{
    if (tern_simd.rank_row_f64 != NULL) {
        tern_simd.rank_row_f64(columns, n, cuts, row, ranks, step);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const struct tern_rank_column *c = &columns[i];
        double x = row[c->feature];
        bool is_missing = x != x;
        if (c->zero_is_missing)
            is_missing |= x >= -(double)TERN_RANK_ZERO && x <= (double)TERN_RANK_ZERO;
        uint8_t rank = count_f64(cuts + c->first + TERN_RANK_LANES, c->n_cuts, x);
        tern_rank_put(c, is_missing, rank, ranks, step);
    }
}

/* ---- one row ---- */

/* One step of every walk, and again of those that have not arrived, without a branch that depends
 * on the row: a step waits for three loads, one after another, but those of different walks do not
 * wait for each other, and a processor has hundreds of them under way when it never guesses wrong.
 */
#define WALK(node_type, trees, at, which, n, ranks, exits)                 \
    while ((n) > 0) {                                                      \
        size_t left = 0;                                                   \
        for (size_t i = 0; i < (n); i++) {                                 \
            const node_type *tree = (trees)[i], *node = tree + (at)[i];    \
            int32_t next = node->child[(ranks)[node->column] > node->cut]; \
            uint32_t which_one = (which)[i];                               \
            (exits)[which_one] = next;                                     \
            (trees)[left] = tree;                                          \
            (at)[left] = next;                                             \
            (which)[left] = which_one;                                     \
            left += next >= 0;                                             \
        }                                                                  \
        (n) = left;                                                        \
    }

void tern_tree_walk(const struct tern_tree_node **trees, int32_t *at, uint32_t *which, size_t n,
                    const uint8_t *ranks, int32_t *exits)
{
    WALK(struct tern_tree_node, trees, at, which, n, ranks, exits)
}

void tern_tree_walk_wide(const struct tern_tree_wide_node **trees, int32_t *at, uint32_t *which,
                         size_t n, const uint8_t *ranks, int32_t *exits)
{
    WALK(struct tern_tree_wide_node, trees, at, which, n, ranks, exits)
}

/* Six steps, each by the answer of the one before; a processor walks down a dozen heads at once. */
#define DESCEND(heads, n, ranks, kernel, to, result)                                     \
    {                                                                                    \
        if (tern_simd.kernel != NULL) {                                                  \
            tern_simd.kernel((heads), (n), (ranks), n_columns, (to));                    \
            return;                                                                      \
        }                                                                                \
        for (size_t i = 0; i < (n); i++) {                                               \
            size_t at = 0;                                                               \
            TERN_UNROLL                                                                  \
            for (int level = 0; level < 6; level++)                                      \
                at = 2 * at + 1 + ((ranks)[(heads)[i].column[at]] > (heads)[i].cut[at]); \
            at -= 63;                                                                    \
            (to)[i] = (result);                                                          \
        }                                                                                \
    }

void tern_tree_level_heads(const struct tern_tree_level_head *heads, size_t n, const uint8_t *ranks,
                           size_t n_columns, int32_t *exits)
{
    DESCEND(heads, n, ranks, tree_level_heads, exits, heads[i].exit[at])
}

void tern_tree_value_heads(const struct tern_tree_value_head *heads, size_t n, const uint8_t *ranks,
                           size_t n_columns, float *values)
{
    DESCEND(heads, n, ranks, tree_value_heads, values, heads[i].value[at])
}

void tern_tree_tail_heads(const struct tern_tree_tail_head *heads, size_t n, const uint8_t *ranks,
                          size_t n_columns, float *values)
{
    DESCEND(heads, n, ranks, tree_tail_heads, values,
            tern_tree_tail_value(&heads[i].tail[at], ranks))
}

/* ---- many rows ---- */

/* The same of many rows and one tree. */
#define WALK_TILE(node_type, nodes, tile, at, leaves)                               \
    {                                                                               \
        uint8_t rows[TERN_TREE_TILE];                                               \
        size_t n = 0;                                                               \
        for (size_t i = 0; i < TERN_TREE_TILE; i++) {                               \
            int32_t first = (at)[i];                                                \
            (leaves)[i] = (uint32_t)~first;                                         \
            (at)[n] = first;                                                        \
            rows[n] = (uint8_t)i;                                                   \
            n += first >= 0;                                                        \
        }                                                                           \
        while (n > 0) {                                                             \
            size_t left = 0;                                                        \
            for (size_t i = 0; i < n; i++) {                                        \
                const node_type *node = (nodes) + (at)[i];                          \
                uint8_t row = rows[i];                                              \
                uint8_t rank = (tile)[(size_t)node->column * TERN_TREE_TILE + row]; \
                int32_t next = node->child[rank > node->cut];                       \
                (leaves)[row] = (uint32_t)~next;                                    \
                (at)[left] = next;                                                  \
                rows[left] = row;                                                   \
                left += next >= 0;                                                  \
            }                                                                       \
            n = left;                                                               \
        }                                                                           \
    }

void tern_tree_walk_tile(const struct tern_tree_node *nodes, const uint8_t *tile,
                         int32_t at[TERN_TREE_TILE], uint32_t leaves[TERN_TREE_TILE])
{
    WALK_TILE(struct tern_tree_node, nodes, tile, at, leaves)
}

void tern_tree_walk_tile_wide(const struct tern_tree_wide_node *nodes, const uint8_t *tile,
                              int32_t at[TERN_TREE_TILE], uint32_t leaves[TERN_TREE_TILE])
{
    WALK_TILE(struct tern_tree_wide_node, nodes, tile, at, leaves)
}

/* Sixteen bytes: every processor that we know has registers of that size. */
typedef uint8_t bytes16 __attribute__((vector_size(16)));

static bytes16 all(uint8_t v)
{
    return (bytes16){v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
}

static bytes16 load(const uint8_t *p)
{
    bytes16 v;

    memcpy(&v, p, sizeof(v));
    return v;
}

void tern_tree_fold(const struct tern_tree_node *nodes, uint32_t n_nodes, const uint8_t *tiles,
                    size_t tile_bytes, size_t n_tiles, uint8_t *stack)
{
    size_t slot = n_tiles * TERN_TREE_TILE;
    uint8_t *top = stack;

    if (tern_simd.tree_fold != NULL) {
        tern_simd.tree_fold(nodes, n_nodes, tiles, tile_bytes, n_tiles, stack);
        return;
    }
    for (uint32_t i = n_nodes; i-- > 0;) {
        struct tern_tree_sides s = tern_tree_sides_of(&nodes[i], &top, slot);
        bytes16 cut = all(nodes[i].cut);
        const uint8_t *column = tiles + (size_t)nodes[i].column * TERN_TREE_TILE;
        uint8_t yes_room[sizeof(bytes16)], no_room[sizeof(bytes16)];
        struct tern_tree_bytes yes =
            tern_tree_bytes_of(s.yes_waits, s.yes, s.yes_leaf, yes_room, sizeof(yes_room));
        struct tern_tree_bytes no =
            tern_tree_bytes_of(s.no_waits, s.no, s.no_leaf, no_room, sizeof(no_room));
        for (size_t at = 0; at < slot; at += sizeof(bytes16)) {
            bytes16 ranks = load(column + at / TERN_TREE_TILE * tile_bytes + at % TERN_TREE_TILE);
            bytes16 is_no = (bytes16)(ranks > cut);
            bytes16 leaf =
                (load(no.p + at * no.step) & is_no) | (load(yes.p + at * yes.step) & ~is_no);
            memcpy(s.result + at, &leaf, sizeof(leaf));
        }
    }
}

void tern_tree_add_f32(const float *values, uint32_t n_leaves, const uint8_t *leaf, float *sums,
                       size_t n)
{
    if (tern_simd.tree_add_f32 != NULL) {
        tern_simd.tree_add_f32(values, n_leaves, leaf, sums, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        sums[i] += values[leaf[i]];
}
