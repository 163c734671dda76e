/* Many rows through a forest: tree after tree, each folded up for all rows at once. */
#include <string.h>
#include "forest/run_int.h"

#define BLOCK_BYTES (256u << 10) /* of ranks: what the second cache holds beside the trees */

enum tern_code tern_forest_block_room(struct tern_forest_work *r, struct tern_arena *arena,
                                      struct tern_err *err)
{
    const struct tern_forest *f = r->f;
    size_t tile = (size_t)f->n_columns * TERN_TREE_TILE;
    size_t fit = BLOCK_BYTES / (tile > 0 ? tile : 1);
    size_t wanted = (r->rows->n + TERN_TREE_TILE - 1) / TERN_TREE_TILE;

    r->n_tiles = fit < 1 ? 1 : fit > TERN_TREE_TILES_MAX ? TERN_TREE_TILES_MAX : fit;
    r->n_tiles = wanted < r->n_tiles ? wanted : r->n_tiles;
    TERN_TRY(tern_forest_take(arena, &r->tiles, r->n_tiles, tile, err));
    TERN_TRY(
        tern_forest_take(arena, &r->stack, TERN_TREE_FOLD_DEPTH, r->n_tiles * TERN_TREE_TILE, err));
    TERN_TRY(
        tern_forest_take(arena, &r->leaves, r->n_tiles, TERN_TREE_TILE * sizeof(*r->leaves), err));
    memset(r->tiles, 0, r->n_tiles * tile);
    return tern_forest_take(arena, &r->sums, f->settings.n_outputs,
                            TERN_BLOCK_ROWS * sizeof(double), err);
}

static void rank_block(struct tern_forest_work *r, size_t first, size_t n)
{
    size_t tile = (size_t)r->f->n_columns * TERN_TREE_TILE;

    for (size_t i = 0; i < n; i++)
        tern_ranks_row(r->f, r->rows, first + i, r->row,
                       r->tiles + i / TERN_TREE_TILE * tile + i % TERN_TREE_TILE, TERN_TREE_TILE);
}

static void fold(struct tern_forest_work *r, const struct tern_tree_node *nodes, uint32_t n_nodes,
                 size_t n_tiles)
{
    tern_tree_fold(nodes, n_nodes, r->tiles, (size_t)r->f->n_columns * TERN_TREE_TILE, n_tiles,
                   r->stack);
}

/* From what was folded of the tree, or from its root. */
static void walk(struct tern_forest_work *r, uint32_t t, size_t tile)
{
    const struct tern_forest *f = r->f;
    const struct tern_tree_top *top = f->tops == NULL ? NULL : &f->tops[t];
    const uint8_t *ranks = r->tiles + tile * f->n_columns * TERN_TREE_TILE;
    uint32_t *leaves = r->leaves + tile * TERN_TREE_TILE;
    int32_t at[TERN_TREE_TILE] = {0};

    for (size_t i = 0; top != NULL && i < TERN_TREE_TILE; i++)
        at[i] = f->top_exits[top->first_exit + r->stack[tile * TERN_TREE_TILE + i]];
    if (f->nodes != NULL)
        tern_tree_walk_tile(f->nodes + f->node_at[t], ranks, at, leaves);
    else
        tern_tree_walk_tile_wide(f->wide_nodes + f->node_at[t], ranks, at, leaves);
}

/* The leaves of all rows of the block in tree t: as bytes, or as numbers where there are more than
 * a byte counts (then NULL). */
static const uint8_t *fold_or_walk(struct tern_forest_work *r, uint32_t t, size_t n_tiles)
{
    const struct tern_forest *f = r->f;
    const struct tern_compiled_tree *tree = &f->trees[t];

    if (tree->n_nodes == 0) {
        memset(r->stack, ~tree->root, n_tiles * TERN_TREE_TILE);
        return r->stack;
    }
    if (f->nodes != NULL && tree->n_leaves <= TERN_TREE_FOLD_LEAVES) {
        fold(r, f->nodes + tree->first_node, tree->n_nodes, n_tiles);
        return r->stack;
    }
    if (f->tops != NULL)
        fold(r, f->top_nodes + f->tops[t].first_node, f->tops[t].n_nodes, n_tiles);
    for (size_t tile = 0; tile < n_tiles; tile++)
        walk(r, t, tile);
    return NULL;
}

/* Sums of numbers stand output after output, those of vectors row after row. */
static size_t sum_at(const struct tern_forest *f, size_t row, uint32_t output)
{
    return f->leaves == TERN_LEAVES_VECTORS ? row * f->settings.n_outputs + output
                                            : output * TERN_BLOCK_ROWS + row;
}

#define ADD(type, values, leaf, sums, n) \
    for (size_t i = 0; i < (n); i++)     \
    ((type *)(sums))[i] += (values)[(leaf)[i]]

#define ADD_VECTORS(type, values, leaf, sums, n, k)                       \
    for (size_t i = 0; i < (n); i++) {                                    \
        const type *v = (const type *)(values) + (size_t)(leaf)[i] * (k); \
        for (uint32_t o = 0; o < (k); o++)                                \
            ((type *)(sums))[i * (k) + o] += v[o];                        \
    }

static void add_vectors(struct tern_forest_work *r, const struct tern_compiled_tree *tree,
                        const uint8_t *leaf, size_t n)
{
    const struct tern_forest *f = r->f;
    uint32_t k = f->settings.n_outputs;
    const float *floats = (const float *)f->values + tree->first_value;
    const double *doubles = (const double *)f->values + tree->first_value;

    if (f->settings.float_sum && leaf != NULL)
        ADD_VECTORS(float, floats, leaf, r->sums, n, k)
    else if (f->settings.float_sum)
        ADD_VECTORS(float, floats, r->leaves, r->sums, n, k)
    else if (leaf != NULL)
        ADD_VECTORS(double, doubles, leaf, r->sums, n, k)
    else
        ADD_VECTORS(double, doubles, r->leaves, r->sums, n, k)
}

static void add_numbers(struct tern_forest_work *r, const struct tern_compiled_tree *tree,
                        const uint8_t *leaf, size_t n)
{
    const struct tern_forest *f = r->f;

    if (f->settings.float_sum) {
        const float *values = (const float *)f->values + tree->first_value;
        float *sums = (float *)r->sums + tree->output * TERN_BLOCK_ROWS;
        if (leaf != NULL)
            tern_tree_add_f32(values, tree->n_leaves, leaf, sums, n);
        else
            ADD(float, values, r->leaves, sums, n);
        return;
    }
    const double *values = (const double *)f->values + tree->first_value;
    double *sums = (double *)r->sums + tree->output * TERN_BLOCK_ROWS;
    if (leaf != NULL)
        ADD(double, values, leaf, sums, n);
    else
        ADD(double, values, r->leaves, sums, n);
}

static void begin_sums(struct tern_forest_work *r, size_t n)
{
    const struct tern_forest *f = r->f;

    for (uint32_t k = 0; k < f->settings.n_outputs; k++) {
        for (size_t i = 0; i < n; i++) {
            if (f->settings.float_sum)
                ((float *)r->sums)[sum_at(f, i, k)] = (float)tern_forest_begin(f, k);
            else
                ((double *)r->sums)[sum_at(f, i, k)] = tern_forest_begin(f, k);
        }
    }
}

static void give_sums(struct tern_forest_work *r, size_t first, size_t n, void *out)
{
    const struct tern_forest *f = r->f;
    uint32_t n_outputs = f->settings.n_outputs;

    for (uint32_t k = 0; k < n_outputs; k++) {
        for (size_t i = 0; i < n; i++) {
            size_t to = (first + i) * n_outputs + k, from = sum_at(f, i, k);
            if (f->settings.float_sum)
                ((float *)out)[to] = tern_forest_end_f32(f, k, ((const float *)r->sums)[from]);
            else
                ((double *)out)[to] = tern_forest_end_f64(f, k, ((const double *)r->sums)[from]);
        }
    }
}

void tern_forest_block(struct tern_forest_work *r, size_t first, size_t n, void *out)
{
    const struct tern_forest *f = r->f;
    size_t n_tiles = (n + TERN_TREE_TILE - 1) / TERN_TREE_TILE;

    rank_block(r, first, n);
    begin_sums(r, n_tiles * TERN_TREE_TILE);
    for (uint32_t t = 0; t < f->n_trees; t++) {
        const uint8_t *leaf = fold_or_walk(r, t, n_tiles);
        if (f->leaves == TERN_LEAVES_VECTORS)
            add_vectors(r, &f->trees[t], leaf, n_tiles * TERN_TREE_TILE);
        else
            add_numbers(r, &f->trees[t], leaf, n_tiles * TERN_TREE_TILE);
    }
    give_sums(r, first, n, out);
}
