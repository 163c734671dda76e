/* From what the builder gathered to what runs: cuts are sorted, nodes get ranks for thresholds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "forest/ir.h"

struct sorted_cut {
    double value;
    uint32_t number;
};

struct compiler {
    struct tern_forest_builder *b;
    struct tern_forest *f;
    size_t *group_ends;        /* one a column of the builder: where its cuts end in sorted */
    struct sorted_cut *sorted; /* by column, then by value */
    uint32_t *ranks;           /* one a cut: its place among those of its column */
    uint32_t *first_columns;   /* one a column of the builder: the first of its parts */
};

static int compare_cuts(const void *a, const void *b)
{
    const struct sorted_cut *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

static void *take(size_t n, size_t size, enum tern_code *code, struct tern_err *err)
{
    void *p;

    if (*code != TERN_OK)
        return NULL;
    p = tern_mem_zalloc(n > 0 ? n : 1, size);
    if (p == NULL)
        *code = tern_mem_fail(err, "a forest", n * size);
    return p;
}

/* ---- cuts ---- */

static void sort_cuts(struct compiler *c)
{
    const struct tern_forest_builder *b = c->b;
    size_t end = 0;

    for (size_t i = 0; i < b->n_cuts; i++)
        c->group_ends[b->cuts[i].group]++;
    for (size_t i = 0; i < b->n_columns; i++) {
        size_t n = c->group_ends[i];
        c->group_ends[i] = end; /* filled up to its end below */
        end += n;
    }
    for (uint32_t i = 0; i < b->n_cuts; i++) {
        size_t at = c->group_ends[b->cuts[i].group]++;
        c->sorted[at] = (struct sorted_cut){b->cuts[i].value, i};
    }
    size_t begin = 0;
    for (size_t i = 0; i < b->n_columns; i++) {
        size_t n = c->group_ends[i] - begin;
        if (n > 1)
            qsort(c->sorted + begin, n, sizeof(*c->sorted), compare_cuts);
        for (size_t k = 0; k < n; k++)
            c->ranks[c->sorted[begin + k].number] = (uint32_t)k;
        begin = c->group_ends[i];
    }
}

/* ---- columns ---- */

/* Up to so many columns of 255 cuts each are ranked one by one: that is faster than a search for
 * the one that matters. */
#define PLAIN_PARTS_MAX 2

static size_t cuts_of(const struct compiler *c, size_t group)
{
    return c->group_ends[group] - (group == 0 ? 0 : c->group_ends[group - 1]);
}

static const struct sorted_cut *first_cut_of(const struct compiler *c, size_t group)
{
    return c->sorted + (group == 0 ? 0 : c->group_ends[group - 1]);
}

static size_t parts_of(size_t n_cuts)
{
    return (n_cuts + TERN_TREE_RANK_MAX - 1) / TERN_TREE_RANK_MAX;
}

static bool is_group(const struct tern_ir_column *row)
{
    return row->column.kind == TERN_COLUMN_GROUP;
}

static bool is_special(const struct tern_ir_column *row)
{
    return row->column.kind == TERN_COLUMN_EQUAL || row->column.kind == TERN_COLUMN_SET;
}

static bool is_two(const struct tern_ir_column *group)
{
    return group->has[0] && group->has[1];
}

static void put_cut(struct tern_forest *f, double value)
{
    if (f->settings.float_input)
        ((float *)f->cuts)[f->n_cuts++] = (float)value;
    else
        ((double *)f->cuts)[f->n_cuts++] = value;
}

/* Pivots and segments: see simd/trees.h. */
static size_t segments_of(size_t n_cuts)
{
    return n_cuts / TERN_RANK_LANES + 1;
}

static struct tern_rank_column put_part(struct tern_forest *f, const struct tern_ir_column *row,
                                        const struct sorted_cut *cuts, size_t n)
{
    struct tern_rank_column ret = {
        .feature = row->column.feature,
        .first = (uint32_t)f->n_cuts,
        .place = f->n_columns,
        .n_cuts = (uint8_t)n,
        .missing_rank = row->has[1] ? 0 : TERN_TREE_RANK_MAX,
        .is_two = is_two(row),
        .zero_is_missing = row->column.zero_is_missing,
    };
    for (size_t k = 1; k <= TERN_RANK_LANES; k++) {
        size_t last = k * TERN_RANK_LANES - 1;
        put_cut(f, last < n ? cuts[last].value : (double)INFINITY);
    }
    for (size_t k = 0; k < segments_of(n) * TERN_RANK_LANES; k++)
        put_cut(f, k < n ? cuts[k].value : (double)INFINITY);
    return ret;
}

static void put_places(struct tern_forest *f, const struct tern_ir_column *row)
{
    f->column_features[f->n_columns++] = row->column.feature;
    if (is_two(row))
        f->column_features[f->n_columns++] = row->column.feature;
}

/* All columns of a group, 255 cuts each. */
static struct tern_rank_column *put_parts(struct compiler *c, size_t i,
                                          struct tern_rank_column *parts)
{
    const struct tern_ir_column *row = &c->b->columns[i];
    const struct sorted_cut *cuts = first_cut_of(c, i);
    size_t n = cuts_of(c, i);

    c->first_columns[i] = c->f->n_columns;
    for (size_t done = 0; done < n; done += TERN_TREE_RANK_MAX) {
        size_t some = n - done < TERN_TREE_RANK_MAX ? n - done : TERN_TREE_RANK_MAX;
        *parts++ = put_part(c->f, row, cuts + done, some);
        put_places(c->f, row);
    }
    return parts;
}

static void put_plain(struct compiler *c, size_t i)
{
    struct tern_forest *f = c->f;

    f->n_plain = (uint32_t)(put_parts(c, i, f->plain + f->n_plain) - f->plain);
}

static void put_wide(struct compiler *c, size_t i)
{
    struct tern_forest *f = c->f;
    const struct tern_ir_column *row = &c->b->columns[i];
    const struct sorted_cut *cuts = first_cut_of(c, i);
    struct tern_wide_column wide = {
        .column = row->column,
        .first_part = f->n_parts,
        .n_parts = (uint32_t)parts_of(cuts_of(c, i)),
        .first_bound = f->n_bounds,
        .first = f->n_columns,
        .is_two = is_two(row),
    };

    wide.column.missing_yes = row->has[1];
    f->wide[f->n_wide++] = wide;
    f->n_parts = (uint32_t)(put_parts(c, i, f->parts + f->n_parts) - f->parts);
    for (size_t k = 1; k < wide.n_parts; k++)
        f->bounds[f->n_bounds++] = cuts[k * TERN_TREE_RANK_MAX - 1].value;
}

static void put_special(struct compiler *c, size_t i)
{
    struct tern_forest *f = c->f;
    const struct tern_ir_column *row = &c->b->columns[i];

    c->first_columns[i] = f->n_columns;
    f->column_features[f->n_columns++] = row->column.feature;
    f->special[f->n_special++] = (struct tern_special_column){row->column, row->value};
}

/* In the order of forest_int.h: plain ones, wide ones, special ones. */
static void put_columns(struct compiler *c)
{
    const struct tern_ir_column *rows = c->b->columns;

    for (size_t i = 0; i < c->b->n_columns; i++)
        if (is_group(&rows[i]) && parts_of(cuts_of(c, i)) <= PLAIN_PARTS_MAX)
            put_plain(c, i);
    for (size_t i = 0; i < c->b->n_columns; i++)
        if (is_group(&rows[i]) && parts_of(cuts_of(c, i)) > PLAIN_PARTS_MAX)
            put_wide(c, i);
    for (size_t i = 0; i < c->b->n_columns; i++)
        if (is_special(&rows[i]))
            put_special(c, i);
}

struct counts {
    size_t columns, plain, wide, parts, special, cuts;
};

static void count_group(const struct compiler *c, size_t i, struct counts *n)
{
    size_t cuts = cuts_of(c, i), parts = parts_of(cuts);

    n->columns += parts << is_two(&c->b->columns[i]);
    if (parts > PLAIN_PARTS_MAX) {
        n->wide++;
        n->parts += parts;
    } else {
        n->plain += parts;
    }
    for (size_t done = 0; done < cuts; done += TERN_TREE_RANK_MAX) {
        size_t some = cuts - done < TERN_TREE_RANK_MAX ? cuts - done : TERN_TREE_RANK_MAX;
        n->cuts += (1 + segments_of(some)) * TERN_RANK_LANES;
    }
}

static struct counts count(const struct compiler *c)
{
    struct counts n = {0};

    for (size_t i = 0; i < c->b->n_columns; i++) {
        if (is_group(&c->b->columns[i])) {
            count_group(c, i, &n);
        } else if (is_special(&c->b->columns[i])) {
            n.special++;
            n.columns++;
        }
    }
    return n;
}

/* ---- nodes and values ---- */

static struct tern_tree_wide_node look_up(const struct compiler *c, const struct tern_ir_node *node)
{
    const struct tern_ir_column *column = &c->b->columns[node->column];
    struct tern_tree_wide_node ret = {.child = {node->child[0], node->child[1]}};

    if (column->column.kind != TERN_COLUMN_CUTS) {
        ret.column = c->first_columns[node->column];
        return ret;
    }
    const struct tern_ir_column *group = &c->b->columns[column->group];
    uint32_t rank = c->ranks[node->cut], part = rank / TERN_TREE_RANK_MAX;
    bool is_second = is_two(group) && !column->column.missing_yes;
    ret.column = c->first_columns[column->group] + (part << is_two(group)) + is_second;
    ret.cut = rank % TERN_TREE_RANK_MAX;
    return ret;
}

static void put_nodes(struct compiler *c)
{
    for (size_t i = 0; i < c->b->n_nodes; i++) {
        struct tern_tree_wide_node node = look_up(c, &c->b->nodes[i]);
        if (c->f->nodes == NULL)
            c->f->wide_nodes[i] = node;
        else
            c->f->nodes[i] = (struct tern_tree_node){
                .column = (uint16_t)node.column,
                .cut = (uint8_t)node.cut,
                .child = {(int16_t)node.child[0], (int16_t)node.child[1]},
            };
    }
}

static void put_values(struct compiler *c)
{
    for (size_t i = 0; i < c->b->n_values; i++) {
        if (c->f->settings.float_sum)
            ((float *)c->f->values)[i] = (float)c->b->values[i];
        else
            ((double *)c->f->values)[i] = c->b->values[i];
    }
}

/* ---- how it will be run ---- */

static enum tern_leaf_kind leaves_of(const struct tern_forest *f)
{
    uint32_t n_vectors = 0;

    for (uint32_t i = 0; i < f->n_trees; i++)
        n_vectors += f->trees[i].vector;
    if (f->linear != NULL || (n_vectors > 0 && n_vectors < f->n_trees))
        return TERN_LEAVES_MIXED;
    return n_vectors > 0 ? TERN_LEAVES_VECTORS : TERN_LEAVES_NUMBERS;
}

static enum tern_code put_targets(struct tern_forest *f, struct tern_err *err)
{
    enum tern_code code = TERN_OK;

    f->leaves = leaves_of(f);
    f->node_at = take(f->n_trees, sizeof(*f->node_at), &code, err);
    f->value_at = take(f->n_trees, sizeof(*f->value_at), &code, err);
    f->outputs = take(f->n_trees, sizeof(*f->outputs), &code, err);
    for (uint32_t i = 0; code == TERN_OK && i < f->n_trees; i++) {
        f->node_at[i] = (uint32_t)f->trees[i].first_node;
        f->value_at[i] = (uint32_t)f->trees[i].first_value;
        f->outputs[i] = f->trees[i].output;
    }
    return code;
}

/* What was measured on a processor of 2024; only the proportions matter, and they have to be right
 * within a factor of two. */
#define HEAD_NS      1.6  /* a tree by its head */
#define TAIL_NS      3.7  /* a tree by its head with tails: two more steps, through more memory */
#define WALK_NS      2.4  /* a level of a walk of one row, which is through all trees */
#define STEP_NS      1.8  /* a level of a walk of many rows through one tree */
#define LOPSIDED     1.4  /* how much deeper rows go than in a complete tree */
#define FOLD_NS      2.0  /* a node of a fold, whatever the number of rows */
#define FOLD_TILE_NS 0.6  /* and for each tile */
#define ADD_TILE_NS  16.0 /* a tree's values for a tile */

static double levels_of(const struct tern_compiled_tree *tree)
{
    double levels = LOPSIDED * log2((double)tree->n_leaves);

    return levels < tree->depth ? levels : tree->depth;
}

/* Under a top of eight levels, and the step into it. */
static double levels_below(const struct tern_compiled_tree *tree)
{
    double levels = levels_of(tree) - 8;

    return levels > 0 ? levels + 1 : 1;
}

static double row_time(const struct tern_forest *f, const struct tern_compiled_tree *tree)
{
    double levels = levels_of(tree);

    if (f->n_heads == 0)
        return WALK_NS * levels;
    if (f->tail_heads != NULL)
        return TAIL_NS;
    return HEAD_NS + (f->level_heads != NULL && levels > 6 ? WALK_NS * (levels - 6) : 0);
}

void tern_forest_guess_times(struct tern_forest *f)
{
    f->row_ns = f->block_ns = f->tile_ns = 0;
    for (uint32_t i = 0; i < f->n_trees; i++) {
        const struct tern_compiled_tree *tree = &f->trees[i];
        f->row_ns += row_time(f, tree);
        f->tile_ns += ADD_TILE_NS * (tree->vector ? f->settings.n_outputs : 1);
        bool is_folded = f->nodes != NULL && tree->n_leaves <= TERN_TREE_FOLD_LEAVES;
        uint32_t n_folded = is_folded ? tree->n_nodes : f->tops != NULL ? f->tops[i].n_nodes : 0;
        f->block_ns += FOLD_NS * n_folded;
        f->tile_ns += FOLD_TILE_NS * n_folded;
        if (!is_folded)
            f->tile_ns +=
                STEP_NS * TERN_TREE_TILE * (n_folded > 0 ? levels_below(tree) : levels_of(tree));
    }
}

static enum tern_code decide(struct tern_forest *f, struct tern_err *err)
{
    TERN_TRY(put_targets(f, err));
    TERN_TRY(tern_heads_make(f, err));
    TERN_TRY(tern_tops_make(f, err));
    tern_forest_guess_times(f);
    return TERN_OK;
}

/* ---- the whole ---- */

/* Read by vector loads: whole cache lines. */
static void *take_lines(size_t n, size_t size, enum tern_code *code, struct tern_err *err)
{
    void *p;

    if (*code != TERN_OK)
        return NULL;
    size_t bytes = (n * size + TERN_CACHE_LINE) / TERN_CACHE_LINE * TERN_CACHE_LINE;
    p = tern_mem_alloc_aligned(TERN_CACHE_LINE, bytes);
    if (p == NULL)
        *code = tern_mem_fail(err, "a forest", bytes);
    return p;
}

static enum tern_code take_room(struct compiler *c, struct tern_err *err)
{
    const struct tern_forest_builder *b = c->b;
    struct tern_forest *f = c->f;
    enum tern_code code = TERN_OK;
    struct counts n = count(c);
    size_t value = f->settings.float_sum ? sizeof(float) : sizeof(double);

    if (n.columns > UINT32_MAX / 2 || n.cuts > UINT32_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "too many different cuts: %zu", n.cuts);
    bool is_small = !b->has_large && n.columns <= TERN_TREE_COLUMNS_MAX;
    f->column_features = take(n.columns, sizeof(*f->column_features), &code, err);
    f->plain = take(n.plain, sizeof(*f->plain), &code, err);
    f->wide = take(n.wide, sizeof(*f->wide), &code, err);
    f->parts = take(n.parts, sizeof(*f->parts), &code, err);
    f->bounds = take(n.parts, sizeof(*f->bounds), &code, err);
    f->special = take(n.special, sizeof(*f->special), &code, err);
    f->cuts =
        take_lines(n.cuts, f->settings.float_input ? sizeof(float) : sizeof(double), &code, err);
    if (is_small)
        f->nodes = take(b->n_nodes, sizeof(*f->nodes), &code, err);
    else
        f->wide_nodes = take(b->n_nodes, sizeof(*f->wide_nodes), &code, err);
    f->values = take(b->n_values + TERN_TREE_TILE, value, &code, err);
    c->first_columns = take(b->n_columns, sizeof(*c->first_columns), &code, err);
    return code;
}

/* An array of the builder, cut to what it holds. Shrinking does not fail in a way that matters. */
static void *give(void **array, size_t n, size_t size)
{
    void *p = *array;
    void *cut = n > 0 && p != NULL ? tern_mem_realloc(p, n * size) : NULL;

    *array = NULL;
    if (n == 0) {
        tern_mem_free(p);
        return NULL;
    }
    return cut != NULL ? cut : p;
}

#define GIVE(array, n) give((void **)&(array), (n), sizeof(*(array)))

static void hand_over(struct compiler *c)
{
    struct tern_forest_builder *b = c->b;
    struct tern_forest *f = c->f;

    f->n_trees = (uint32_t)b->n_trees;
    f->n_nodes = b->n_nodes;
    f->n_values = b->n_values;
    f->n_leaves = b->n_leaves;
    f->n_sets = (uint32_t)b->n_sets;
    f->n_words = b->n_words;
    f->n_terms = b->n_terms;
    f->base = b->base;
    b->base = NULL;
    f->settings.base = f->base;
    f->trees = GIVE(b->trees, b->n_trees);
    f->sets = GIVE(b->sets, b->n_sets);
    f->words = GIVE(b->words, b->n_words);
    if (!b->lacks_covers)
        f->yes_shares = GIVE(b->yes_shares, b->n_nodes);
    if (b->has_linear) {
        f->linear = GIVE(b->linear, b->n_leaves);
        f->term_features = GIVE(b->term_features, b->n_terms);
        f->term_coefficients = GIVE(b->term_coefficients, b->n_terms);
    }
    for (uint32_t i = 0; i < f->n_trees; i++) {
        const struct tern_compiled_tree *tree = &f->trees[i];
        f->depth = tree->depth > f->depth ? tree->depth : f->depth;
        f->widest = tree->n_leaves > f->widest ? tree->n_leaves : f->widest;
    }
}

static enum tern_code compile(struct compiler *c, struct tern_err *err)
{
    enum tern_code code = TERN_OK;

    c->group_ends = take(c->b->n_columns, sizeof(*c->group_ends), &code, err);
    c->sorted = take(c->b->n_cuts, sizeof(*c->sorted), &code, err);
    c->ranks = take(c->b->n_cuts, sizeof(*c->ranks), &code, err);
    if (code != TERN_OK)
        return code;
    sort_cuts(c);
    TERN_TRY(take_room(c, err));
    put_columns(c);
    put_nodes(c);
    put_values(c);
    hand_over(c);
    return decide(c->f, err);
}

enum tern_code tern_forest_compile(struct tern_forest_builder *builder,
                                   struct tern_forest **ret_forest, struct tern_err *err)
{
    enum tern_code code = TERN_OK;
    struct compiler c = {.b = builder};

    c.f = take(1, sizeof(*c.f), &code, err);
    if (c.f == NULL)
        return code;
    c.f->settings = builder->settings;
    code = compile(&c, err);
    tern_mem_free(c.group_ends);
    tern_mem_free(c.sorted);
    tern_mem_free(c.ranks);
    tern_mem_free(c.first_columns);
    if (code != TERN_OK) {
        tern_forest_free(c.f);
        return code;
    }
    *ret_forest = c.f;
    return TERN_OK;
}
