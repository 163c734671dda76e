/* Rows through a forest: one at a time, all trees side by side; or many at a time, tree after tree.
 */
#include <math.h>
#include <string.h>
#include "forest/forest_int.h"
#include "simd/simd.h"

#define BLOCK_ROWS        ((size_t)TERN_TREE_TILES_MAX * TERN_TREE_TILE)
#define BLOCK_OUTPUTS_MAX 256
#define BLOCK_BYTES       (256u << 10) /* of ranks: what the second cache holds beside the trees */

/* Working memory of a run. */
struct run {
    const struct tern_forest *f;
    const struct tern_forest_rows *rows;
    void *row;      /* one row in another datatype */
    uint8_t *ranks; /* of one row */
    int32_t *exits; /* one a tree: ~leaf once it is found */
    float *values;  /* one a tree, where heads have them */
    /* Trees whose heads were left at a node: */
    const void **waiting;
    int32_t *at;
    uint32_t *which;
    uint8_t *begun; /* one an output: it has a value (MIN, MAX) */
    /* Blocks: */
    size_t n_tiles;
    uint8_t *tiles;
    uint8_t *stack;
    uint32_t *leaves;
    void *sums; /* for each output BLOCK_ROWS of float or double */
};

static enum tern_code take(struct tern_arena *arena, void *ret, size_t n, size_t size,
                           struct tern_err *err)
{
    void *p = tern_arena_alloc(arena, 64, (n > 0 ? n : 1) * size);

    if (p == NULL)
        return tern_arena_fail(arena, err, "a forest's working memory");
    memcpy(ret, &p, sizeof(p));
    return TERN_OK;
}

static enum tern_code take_row_room(struct run *r, struct tern_arena *arena, struct tern_err *err)
{
    const struct tern_forest *f = r->f;
    size_t n_trees = f->n_heads > f->n_trees ? f->n_heads : f->n_trees;

    TERN_TRY(take(arena, &r->row, f->settings.n_features, sizeof(double), err));
    TERN_TRY(take(arena, &r->ranks, tern_ranks_room(f), 1, err));
    TERN_TRY(take(arena, &r->exits, n_trees, sizeof(*r->exits), err));
    TERN_TRY(take(arena, &r->values, n_trees, sizeof(*r->values), err));
    TERN_TRY(take(arena, &r->waiting, n_trees, sizeof(*r->waiting), err));
    TERN_TRY(take(arena, &r->at, n_trees, sizeof(*r->at), err));
    TERN_TRY(take(arena, &r->which, n_trees, sizeof(*r->which), err));
    return take(arena, &r->begun, f->settings.n_outputs, 1, err);
}

/* ---- one row ---- */

static const void *tree_nodes(const struct tern_forest *f, uint32_t tree)
{
    return f->nodes != NULL ? (const void *)(f->nodes + f->node_at[tree])
                            : (const void *)(f->wide_nodes + f->node_at[tree]);
}

static void walk_waiting(struct run *r, size_t n)
{
    if (r->f->nodes != NULL)
        tern_tree_walk((const struct tern_tree_node **)r->waiting, r->at, r->which, n, r->ranks,
                       r->exits);
    else
        tern_tree_walk_wide((const struct tern_tree_wide_node **)r->waiting, r->at, r->which, n,
                            r->ranks, r->exits);
}

/* The leaf of each tree, as ~leaf in exits. */
static void find_leaves(struct run *r, size_t row)
{
    const struct tern_forest *f = r->f;
    size_t n = 0;

    tern_ranks_row(f, r->rows, row, r->row, r->ranks, 1);
    if (f->path_heads != NULL) {
        tern_simd.tree_path_heads(f->path_heads, f->n_heads, r->ranks, f->n_columns, r->exits);
        return;
    }
    if (f->level_heads != NULL) {
        tern_simd.tree_level_heads(f->level_heads, f->n_heads, r->ranks, f->n_columns, r->exits);
        if (f->depth <= 6)
            return;
    } else {
        for (uint32_t t = 0; t < f->n_trees; t++)
            r->exits[t] = f->trees[t].root;
    }
    /* Without a branch for each: which trees are done cannot be predicted. */
    for (uint32_t t = 0; t < f->n_trees; t++) {
        r->waiting[n] = tree_nodes(f, t);
        r->at[n] = r->exits[t];
        r->which[n] = t;
        n += r->exits[t] >= 0;
    }
    walk_waiting(r, n);
}

static double feature_of(const struct tern_forest_rows *rows, size_t row, uint32_t feature)
{
    size_t at = row * rows->stride + feature;
    return rows->is_double ? ((const double *)rows->data)[at]
                           : (double)((const float *)rows->data)[at];
}

static double linear_value(const struct run *r, const struct tern_linear_leaf *leaf, size_t row,
                           double plain)
{
    double sum = leaf->constant;

    if (!leaf->is_linear)
        return plain;
    for (uint32_t i = 0; i < leaf->n_terms; i++) {
        double x = feature_of(r->rows, row, r->f->term_features[leaf->first_term + i]);
        if (isnan(x))
            return plain;
        sum += r->f->term_coefficients[leaf->first_term + i] * x;
    }
    return sum;
}

static bool is_extreme(const struct tern_forest *f)
{
    return f->settings.combine == TERN_FOREST_MIN || f->settings.combine == TERN_FOREST_MAX;
}

/* Whether v replaces what is there. */
static bool wins(const struct tern_forest *f, double v, double old)
{
    return f->settings.combine == TERN_FOREST_MIN ? v < old : v > old;
}

/* Everything that is not a plain sum of single values, in double: a float's sum is rounded to float
 * after each addition, which is what adding floats does. */
static void combine_row(struct run *r, size_t row, double *sums)
{
    const struct tern_forest *f = r->f;
    uint32_t k = f->settings.n_outputs;

    memset(r->begun, 0, k);
    for (uint32_t t = 0; t < f->n_trees; t++) {
        const struct tern_compiled_tree *tree = &f->trees[t];
        uint32_t leaf = (uint32_t)~r->exits[t], n = tree->vector ? k : 1;
        size_t at = tree->first_value + (size_t)leaf * n;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t to = tree->vector ? i : tree->output;
            double v = f->settings.float_sum ? (double)((const float *)f->values)[at + i]
                                             : ((const double *)f->values)[at + i];
            if (f->linear != NULL)
                v = linear_value(r, &f->linear[tree->first_leaf + leaf], row, v);
            if (is_extreme(f))
                sums[to] = !r->begun[to] || wins(f, v, sums[to]) ? v : sums[to];
            else
                sums[to] = f->settings.float_sum ? (double)(float)(sums[to] + v) : sums[to] + v;
            r->begun[to] = 1;
        }
    }
}

static double begin_of(const struct tern_forest *f, uint32_t output)
{
    return f->settings.base_first ? f->base[output] : 0;
}

static float end_f32(const struct tern_forest *f, uint32_t output, float sum)
{
    uint32_t n = f->settings.n_averaged > 0 ? f->settings.n_averaged : f->n_trees;

    if (f->settings.combine == TERN_FOREST_AVERAGE && n > 0)
        sum /= (float)n;
    return f->settings.base_first ? sum : sum + (float)f->base[output];
}

static double end_f64(const struct tern_forest *f, uint32_t output, double sum)
{
    uint32_t n = f->settings.n_averaged > 0 ? f->settings.n_averaged : f->n_trees;

    if (f->settings.combine == TERN_FOREST_AVERAGE && n > 0)
        sum /= (double)n;
    return f->settings.base_first ? sum : sum + f->base[output];
}

bool tern_forest_is_plain_sum(const struct tern_forest *f)
{
    return f->value_at != NULL && !is_extreme(f) && f->linear == NULL;
}

/* Of a single output: the sum stays in a register. */
static float sum_f32(const struct run *r)
{
    const float *values = r->f->values;
    float sum = (float)begin_of(r->f, 0);

    for (uint32_t t = 0; t < r->f->n_trees; t++)
        sum += values[r->f->value_at[t] + (uint32_t)~r->exits[t]];
    return sum;
}

static double sum_f64(const struct run *r)
{
    const double *values = r->f->values;
    double sum = begin_of(r->f, 0);

    for (uint32_t t = 0; t < r->f->n_trees; t++)
        sum += values[r->f->value_at[t] + (uint32_t)~r->exits[t]];
    return sum;
}

/* Whole trees whose values come with their heads. */
static void add_values(struct run *r, size_t row, float *out)
{
    const struct tern_forest *f = r->f;
    uint32_t k = f->settings.n_outputs;
    float sum = (float)begin_of(f, 0);

    tern_ranks_row(f, r->rows, row, r->row, r->ranks, 1);
    if (f->value_heads != NULL)
        tern_simd.tree_value_heads(f->value_heads, f->n_heads, r->ranks, f->n_columns, r->values);
    else
        tern_simd.tree_tail_heads(f->tail_heads, f->n_heads, r->ranks, f->n_columns, r->values);
    if (k == 1) {
        for (uint32_t t = 0; t < f->n_trees; t++)
            sum += r->values[t];
        out[0] = end_f32(f, 0, sum);
        return;
    }
    for (uint32_t i = 0; i < k; i++)
        out[i] = (float)begin_of(f, i);
    for (uint32_t t = 0; t < f->n_trees; t++)
        out[f->outputs[t]] += r->values[t];
    for (uint32_t i = 0; i < k; i++)
        out[i] = end_f32(f, i, out[i]);
}

static void run_row(struct run *r, size_t row, double *sums, void *out)
{
    const struct tern_forest *f = r->f;
    uint32_t k = f->settings.n_outputs;
    float *floats = (float *)out + row * k;
    double *doubles = (double *)out + row * k;

    if (f->value_heads != NULL || f->tail_heads != NULL) {
        add_values(r, row, floats);
        return;
    }
    find_leaves(r, row);
    if (tern_forest_is_plain_sum(f) && f->settings.float_sum) {
        const float *values = f->values;
        if (k == 1) {
            floats[0] = end_f32(f, 0, sum_f32(r));
            return;
        }
        for (uint32_t i = 0; i < k; i++)
            floats[i] = (float)begin_of(f, i);
        for (uint32_t t = 0; t < f->n_trees; t++)
            floats[f->outputs[t]] += values[f->value_at[t] + (uint32_t)~r->exits[t]];
        for (uint32_t i = 0; i < k; i++)
            floats[i] = end_f32(f, i, floats[i]);
        return;
    }
    for (uint32_t i = 0; i < k; i++)
        sums[i] = begin_of(f, i);
    if (tern_forest_is_plain_sum(f) && k == 1) {
        sums[0] = sum_f64(r);
    } else if (tern_forest_is_plain_sum(f)) {
        const double *values = f->values;
        for (uint32_t t = 0; t < f->n_trees; t++)
            sums[f->outputs[t]] += values[f->value_at[t] + (uint32_t)~r->exits[t]];
    } else {
        combine_row(r, row, sums);
    }
    for (uint32_t i = 0; i < k; i++) {
        if (f->settings.float_sum)
            floats[i] = end_f32(f, i, (float)sums[i]);
        else
            doubles[i] = end_f64(f, i, sums[i]);
    }
}

/* ---- many rows ---- */

static enum tern_code take_block_room(struct run *r, struct tern_arena *arena, struct tern_err *err)
{
    const struct tern_forest *f = r->f;
    size_t tile = (size_t)f->n_columns * TERN_TREE_TILE;
    size_t fit = BLOCK_BYTES / (tile > 0 ? tile : 1);
    size_t wanted = (r->rows->n + TERN_TREE_TILE - 1) / TERN_TREE_TILE;

    r->n_tiles = fit < 1 ? 1 : fit > TERN_TREE_TILES_MAX ? TERN_TREE_TILES_MAX : fit;
    r->n_tiles = wanted < r->n_tiles ? wanted : r->n_tiles;
    TERN_TRY(take(arena, &r->tiles, r->n_tiles, tile, err));
    TERN_TRY(take(arena, &r->stack, TERN_TREE_FOLD_DEPTH, r->n_tiles * TERN_TREE_TILE, err));
    TERN_TRY(take(arena, &r->leaves, r->n_tiles, TERN_TREE_TILE * sizeof(*r->leaves), err));
    memset(r->tiles, 0, r->n_tiles * tile);
    return take(arena, &r->sums, f->settings.n_outputs, BLOCK_ROWS * sizeof(double), err);
}

static void rank_block(struct run *r, size_t first, size_t n)
{
    size_t tile = (size_t)r->f->n_columns * TERN_TREE_TILE;

    for (size_t i = 0; i < n; i++)
        tern_ranks_row(r->f, r->rows, first + i, r->row,
                       r->tiles + i / TERN_TREE_TILE * tile + i % TERN_TREE_TILE, TERN_TREE_TILE);
}

/* The leaves of all rows of the block in one tree: as bytes, or as numbers where there are more
 * than a byte counts (then NULL). */
static const uint8_t *fold_or_walk(struct run *r, const struct tern_compiled_tree *tree,
                                   size_t n_tiles)
{
    const struct tern_forest *f = r->f;
    size_t tile_bytes = (size_t)f->n_columns * TERN_TREE_TILE;

    if (tree->n_nodes == 0) {
        memset(r->stack, ~tree->root, n_tiles * TERN_TREE_TILE);
        return r->stack;
    }
    if (f->nodes != NULL && tree->n_leaves <= TERN_TREE_FOLD_LEAVES) {
        tern_tree_fold(f->nodes + tree->first_node, tree->n_nodes, r->tiles, tile_bytes, n_tiles,
                       r->stack);
        return r->stack;
    }
    for (size_t i = 0; i < n_tiles; i++) {
        uint32_t *leaves = r->leaves + i * TERN_TREE_TILE;
        if (f->nodes != NULL)
            tern_tree_walk_tile(f->nodes + tree->first_node, r->tiles + i * tile_bytes, leaves);
        else
            tern_tree_walk_tile_wide(f->wide_nodes + tree->first_node, r->tiles + i * tile_bytes,
                                     leaves);
    }
    return NULL;
}

#define ADD(type, values, leaf, sums, n) \
    for (size_t i = 0; i < (n); i++)     \
    ((type *)(sums))[i] += (values)[(leaf)[i]]

static void add_tree(struct run *r, const struct tern_compiled_tree *tree, const uint8_t *leaf,
                     size_t n)
{
    const struct tern_forest *f = r->f;

    if (f->settings.float_sum) {
        const float *values = (const float *)f->values + tree->first_value;
        float *sums = (float *)r->sums + tree->output * BLOCK_ROWS;
        if (leaf != NULL)
            tern_tree_add_f32(values, tree->n_leaves, leaf, sums, n);
        else
            ADD(float, values, r->leaves, sums, n);
        return;
    }
    const double *values = (const double *)f->values + tree->first_value;
    double *sums = (double *)r->sums + tree->output * BLOCK_ROWS;
    if (leaf != NULL)
        ADD(double, values, leaf, sums, n);
    else
        ADD(double, values, r->leaves, sums, n);
}

static void begin_sums(struct run *r, size_t n)
{
    const struct tern_forest *f = r->f;

    for (uint32_t k = 0; k < f->settings.n_outputs; k++) {
        for (size_t i = 0; i < n; i++) {
            if (f->settings.float_sum)
                ((float *)r->sums)[k * BLOCK_ROWS + i] = (float)begin_of(f, k);
            else
                ((double *)r->sums)[k * BLOCK_ROWS + i] = begin_of(f, k);
        }
    }
}

static void give_sums(struct run *r, size_t first, size_t n, void *out)
{
    const struct tern_forest *f = r->f;
    uint32_t n_outputs = f->settings.n_outputs;

    for (uint32_t k = 0; k < n_outputs; k++) {
        for (size_t i = 0; i < n; i++) {
            size_t to = (first + i) * n_outputs + k, from = k * BLOCK_ROWS + i;
            if (f->settings.float_sum)
                ((float *)out)[to] = end_f32(f, k, ((const float *)r->sums)[from]);
            else
                ((double *)out)[to] = end_f64(f, k, ((const double *)r->sums)[from]);
        }
    }
}

static void run_block(struct run *r, size_t first, size_t n, void *out)
{
    const struct tern_forest *f = r->f;
    size_t n_tiles = (n + TERN_TREE_TILE - 1) / TERN_TREE_TILE;

    rank_block(r, first, n);
    begin_sums(r, n_tiles * TERN_TREE_TILE);
    for (uint32_t t = 0; t < f->n_trees; t++) {
        const uint8_t *leaf = fold_or_walk(r, &f->trees[t], n_tiles);
        add_tree(r, &f->trees[t], leaf, n_tiles * TERN_TREE_TILE);
    }
    give_sums(r, first, n, out);
}

/* A block costs much before its first row: it has to have enough of them. */
static bool is_block_worth(const struct tern_forest *f, size_t n)
{
    size_t rows = n < BLOCK_ROWS ? n : BLOCK_ROWS;
    size_t tiles = (rows + TERN_TREE_TILE - 1) / TERN_TREE_TILE;

    return tern_forest_is_plain_sum(f) && f->settings.n_outputs <= BLOCK_OUTPUTS_MAX &&
           (double)rows * f->row_ns > f->block_ns + (double)tiles * f->tile_ns;
}

enum tern_code tern_forest_run(const struct tern_forest *f, const struct tern_forest_rows *rows,
                               void *out, struct tern_arena *arena, struct tern_err *err)
{
    struct run r = {.f = f, .rows = rows};
    double *sums;
    size_t done = 0;

    TERN_TRY(take_row_room(&r, arena, err));
    TERN_TRY(take(arena, &sums, f->settings.n_outputs, sizeof(*sums), err));
    if (is_block_worth(f, rows->n)) {
        TERN_TRY(take_block_room(&r, arena, err));
        size_t most = r.n_tiles * TERN_TREE_TILE;
        for (; is_block_worth(f, rows->n - done);) {
            size_t n = rows->n - done < most ? rows->n - done : most;
            run_block(&r, done, n, out);
            done += n;
        }
    }
    for (; done < rows->n; done++)
        run_row(&r, done, sums, out);
    return TERN_OK;
}

enum tern_code tern_forest_leaves(const struct tern_forest *f, const struct tern_forest_rows *rows,
                                  uint32_t *leaves, struct tern_arena *arena, struct tern_err *err)
{
    struct run r = {.f = f, .rows = rows};

    TERN_TRY(take_row_room(&r, arena, err));
    for (size_t row = 0; row < rows->n; row++) {
        find_leaves(&r, row);
        for (uint32_t t = 0; t < f->n_trees; t++)
            leaves[row * f->n_trees + t] = (uint32_t)~r.exits[t];
    }
    return TERN_OK;
}
