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
            base = base[half - 1] < (x) ? base + half : base;             \
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

/* A step of a tree waits for three loads, one after another: eight trees walk side by side, those
 * that have arrived stay where they are. */
#define LANES 8

#define STEP(node_type, trees, at, ranks)                              \
    {                                                                  \
        const node_type *node = (trees) + ((at) < 0 ? 0 : (at));       \
        int32_t next = node->child[(ranks)[node->column] > node->cut]; \
        (at) = (at) < 0 ? (at) : next;                                 \
    }

#define WALK(node_type, trees, at, n, ranks)                                        \
    {                                                                               \
        size_t i = 0;                                                               \
        for (; i + LANES <= (n); i += LANES) {                                      \
            const node_type *const *t = (trees) + i;                                \
            int32_t a[LANES];                                                       \
            memcpy(a, (at) + i, sizeof(a));                                         \
            do {                                                                    \
                TERN_UNROLL                                                         \
                for (int k = 0; k < LANES; k++)                                     \
                    STEP(node_type, t[k], a[k], ranks)                              \
            } while ((a[0] & a[1] & a[2] & a[3] & a[4] & a[5] & a[6] & a[7]) >= 0); \
            memcpy((at) + i, a, sizeof(a));                                         \
        }                                                                           \
        for (; i < (n); i++) {                                                      \
            while ((at)[i] >= 0)                                                    \
                STEP(node_type, (trees)[i], (at)[i], ranks)                         \
        }                                                                           \
    }

void tern_tree_walk(const struct tern_tree_node *const *trees, int32_t *at, size_t n,
                    const uint8_t *ranks)
{
    WALK(struct tern_tree_node, trees, at, n, ranks)
}

void tern_tree_walk_wide(const struct tern_tree_wide_node *const *trees, int32_t *at, size_t n,
                         const uint8_t *ranks)
{
    WALK(struct tern_tree_wide_node, trees, at, n, ranks)
}

/* ---- many rows ---- */

/* Eight rows side by side through one tree. */
#define WALK_TILE(node_type, nodes, tile, leaves)                                       \
    for (size_t row = 0; row < TERN_TREE_TILE; row += LANES) {                          \
        int32_t a[LANES] = {0};                                                         \
        do {                                                                            \
            TERN_UNROLL                                                                 \
            for (size_t k = 0; k < LANES; k++) {                                        \
                const node_type *node = (nodes) + (a[k] < 0 ? 0 : a[k]);                \
                uint8_t rank = (tile)[(size_t)node->column * TERN_TREE_TILE + row + k]; \
                int32_t next = node->child[rank > node->cut];                           \
                a[k] = a[k] < 0 ? a[k] : next;                                          \
            }                                                                           \
        } while ((a[0] & a[1] & a[2] & a[3] & a[4] & a[5] & a[6] & a[7]) >= 0);         \
        for (size_t k = 0; k < LANES; k++)                                              \
            (leaves)[row + k] = (uint32_t)~a[k];                                        \
    }

void tern_tree_walk_tile(const struct tern_tree_node *nodes, const uint8_t *tile,
                         uint32_t leaves[TERN_TREE_TILE])
{
    WALK_TILE(struct tern_tree_node, nodes, tile, leaves)
}

void tern_tree_walk_tile_wide(const struct tern_tree_wide_node *nodes, const uint8_t *tile,
                              uint32_t leaves[TERN_TREE_TILE])
{
    WALK_TILE(struct tern_tree_wide_node, nodes, tile, leaves)
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

static bytes16 side(bool waits, const uint8_t *p, uint8_t leaf)
{
    return waits ? load(p) : all(leaf);
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
        for (size_t at = 0; at < slot; at += sizeof(bytes16)) {
            bytes16 ranks = load(column + at / TERN_TREE_TILE * tile_bytes + at % TERN_TREE_TILE);
            bytes16 is_no = (bytes16)(ranks > cut);
            bytes16 no = side(s.no_waits, s.no + at, s.no_leaf);
            bytes16 yes = side(s.yes_waits, s.yes + at, s.yes_leaf);
            bytes16 leaf = (no & is_no) | (yes & ~is_no);
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
