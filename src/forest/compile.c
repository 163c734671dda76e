/* From what the builder gathered to what runs: cuts are sorted, nodes get ranks for thresholds. */
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

/* ---- columns ---- */

static void sort_cuts(struct compiler *c)
{
    const struct tern_forest_builder *b = c->b;
    size_t end = 0;

    for (size_t i = 0; i < b->n_cuts; i++)
        c->group_ends[b->cuts[i].column]++;
    for (size_t i = 0; i < b->n_columns; i++) {
        size_t n = c->group_ends[i];
        c->group_ends[i] = end; /* filled up to its end below */
        end += n;
    }
    for (uint32_t i = 0; i < b->n_cuts; i++) {
        size_t at = c->group_ends[b->cuts[i].column]++;
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

static void put_cut(struct tern_forest *f, double value)
{
    if (f->settings.float_input)
        ((float *)f->cuts)[f->n_cuts++] = (float)value;
    else
        ((double *)f->cuts)[f->n_cuts++] = value;
}

/* Ranks have 16 bits: a column with more cuts is cut into parts, each of which knows its own cuts
 * only. */
static size_t parts_of(size_t n_cuts)
{
    return n_cuts == 0 ? 1 : (n_cuts + TERN_TREE_RANK_MAX - 1) / TERN_TREE_RANK_MAX;
}

static void put_columns(struct compiler *c)
{
    size_t begin = 0;

    for (size_t i = 0; i < c->b->n_columns; i++) {
        const struct tern_ir_column *row = &c->b->columns[i];
        size_t n = c->group_ends[i] - begin;
        size_t parts = parts_of(n);
        c->first_columns[i] = c->f->n_columns;
        for (size_t part = 0; part < parts; part++) {
            struct tern_column *column = &c->f->columns[c->f->n_columns++];
            size_t left = n - part * TERN_TREE_RANK_MAX;
            *column = row->column;
            column->first_cut = c->f->n_cuts;
            column->n_cuts = (uint32_t)(left > TERN_TREE_RANK_MAX ? TERN_TREE_RANK_MAX : left);
            for (size_t k = 0; k < column->n_cuts; k++)
                put_cut(c->f, c->sorted[begin + part * TERN_TREE_RANK_MAX + k].value);
        }
        if (row->column.kind == TERN_COLUMN_EQUAL)
            put_cut(c->f, row->value);
        begin = c->group_ends[i];
    }
}

static size_t count_columns(const struct compiler *c)
{
    size_t total = 0, begin = 0;

    for (size_t i = 0; i < c->b->n_columns; i++) {
        total += parts_of(c->group_ends[i] - begin);
        begin = c->group_ends[i];
    }
    return total;
}

/* ---- nodes and values ---- */

static struct tern_tree_wide_node look_up(const struct compiler *c, const struct tern_ir_node *node)
{
    bool has_cuts = c->b->columns[node->column].column.kind == TERN_COLUMN_CUTS;
    uint32_t rank = has_cuts ? c->ranks[node->cut] : 0;

    return (struct tern_tree_wide_node){
        .column = c->first_columns[node->column] + rank / TERN_TREE_RANK_MAX,
        .cut = rank % TERN_TREE_RANK_MAX,
        .child = {node->child[0], node->child[1]},
    };
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
                .cut = (uint16_t)node.cut,
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

/* ---- the whole ---- */

/* What is as large in the forest as in the builder changes its owner; the rest is made. */
static enum tern_code take_room(struct compiler *c, struct tern_err *err)
{
    struct tern_forest_builder *b = c->b;
    struct tern_forest *f = c->f;
    enum tern_code code = TERN_OK;
    size_t n_columns = count_columns(c), n_equal = 0;

    for (size_t i = 0; i < b->n_columns; i++)
        n_equal += b->columns[i].column.kind == TERN_COLUMN_EQUAL;
    bool small = !b->has_wide && n_columns <= TERN_TREE_COLUMNS_MAX;
    f->columns = take(n_columns, sizeof(*f->columns), &code, err);
    f->cuts = take(b->n_cuts + n_equal, f->settings.float_input ? sizeof(float) : sizeof(double),
                   &code, err);
    if (small)
        f->nodes = take(b->n_nodes, sizeof(*f->nodes), &code, err);
    else
        f->wide_nodes = take(b->n_nodes, sizeof(*f->wide_nodes), &code, err);
    f->values =
        take(b->n_values, f->settings.float_sum ? sizeof(float) : sizeof(double), &code, err);
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
    if (b->has_covers) {
        f->node_covers = GIVE(b->node_covers, b->n_nodes);
        f->leaf_covers = GIVE(b->leaf_covers, b->n_leaves);
    }
    if (b->has_linear) {
        f->linear = GIVE(b->linear, b->n_leaves);
        f->term_features = GIVE(b->term_features, b->n_terms);
        f->term_coefficients = GIVE(b->term_coefficients, b->n_terms);
    }
    for (uint32_t i = 0; i < f->n_trees; i++)
        f->depth = f->trees[i].depth > f->depth ? f->trees[i].depth : f->depth;
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
    return TERN_OK;
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
