#include "forest/emit.h"

#include <inttypes.h>
#include <math.h>
#include "forest/forest_int.h"
#include "simd/half.h"

#define A_LINE 8 /* elements of an array in one line */

enum tern_code tern_forest_bare(const struct tern_forest *forest, bool is_halves,
                                struct tern_arena *arena, const struct tern_forest **ret_bare,
                                struct tern_err *err)
{
    struct tern_forest *bare = tern_arena_zalloc(arena, 1, sizeof(*bare));

    if (bare == NULL)
        return tern_arena_fail(arena, err, "a forest");
    *bare = *forest;
    bare->level_heads = NULL;
    bare->value_heads = NULL;
    bare->tail_heads = NULL;
    bare->path_heads = NULL;
    bare->n_heads = 0;
    bare->tops = NULL;
    if (is_halves)
        bare->leaves = TERN_LEAVES_MIXED;
    tern_forest_guess_times(bare);
    *ret_bare = bare;
    return TERN_OK;
}

struct emit {
    const struct tern_forest *f;
    const char *name;
    struct tern_buf *out;
    size_t n_bytes;
    size_t n_cuts; /* of the columns so far */
};

/* ---- arrays ---- */

static void begin(struct emit *e, const char *type, const char *array, size_t n, size_t size)
{
    tern_buf_printf(e->out, "static const %s %s_%s[%zu] = {", type, e->name, array, n);
    e->n_bytes += n * size;
}

/* Between elements: the comma is after, which C allows of the last, too. */
static void line(struct emit *e, size_t i)
{
    if (i % A_LINE == 0)
        tern_buf_add_char(e->out, '\n');
}

static void end(struct emit *e)
{
    TERN_BUF_ADD_LITERAL(e->out, "\n};\n");
}

/* Hexadecimal: every bit is there, and minus zero is not a whole number. */
static void number(struct emit *e, double v, bool is_float)
{
    if (isnan(v))
        TERN_BUF_ADD_LITERAL(e->out, "NAN");
    else if (isinf(v))
        tern_buf_printf(e->out, v > 0 ? "INFINITY" : "-INFINITY");
    else
        tern_buf_printf(e->out, is_float ? "%af" : "%a", v);
    tern_buf_add_char(e->out, ',');
}

static void numbers(struct emit *e, const char *array, const void *from, size_t n, bool is_float)
{
    if (n == 0)
        return;
    begin(e, is_float ? "float" : "double", array, n, is_float ? sizeof(float) : sizeof(double));
    for (size_t i = 0; i < n; i++) {
        line(e, i);
        number(e, is_float ? (double)((const float *)from)[i] : ((const double *)from)[i],
               is_float);
    }
    end(e);
}

static void halves(struct emit *e, const void *from, size_t n, bool is_float)
{
    if (n == 0)
        return;
    begin(e, "uint16_t", "values", n, sizeof(uint16_t));
    for (size_t i = 0; i < n; i++) {
        line(e, i);
        tern_buf_printf(e->out, "%u,",
                        is_float ? tern_half_from_f32(((const float *)from)[i])
                                 : tern_half_from_f64(((const double *)from)[i]));
    }
    end(e);
}

static void counts(struct emit *e, const char *array, const uint32_t *from, size_t n)
{
    if (n == 0)
        return;
    begin(e, "uint32_t", array, n, sizeof(*from));
    for (size_t i = 0; i < n; i++) {
        line(e, i);
        tern_buf_printf(e->out, "%u,", from[i]);
    }
    end(e);
}

/* ---- columns ---- */

static double cut_at(const struct tern_forest *f, size_t at)
{
    return f->settings.float_input ? (double)((const float *)f->cuts)[at]
                                   : ((const double *)f->cuts)[at];
}

static void column(struct emit *e, const struct tern_column *c)
{
    tern_buf_printf(e->out, "{%u,%u,%d,%d,%u}", c->feature, c->kind, c->missing_yes,
                    c->zero_is_missing, c->set);
}

static void rank_columns(struct emit *e, const char *array, const struct tern_rank_column *from,
                         uint32_t n)
{
    if (n == 0)
        return;
    begin(e, "struct tern_rank_column", array, n, sizeof(*from));
    for (uint32_t i = 0; i < n; i++) {
        const struct tern_rank_column *c = &from[i];
        tern_buf_printf(e->out, "\n{%u,%zu,%u,%u,%u,%d,%d},", c->feature, e->n_cuts, c->place,
                        c->n_cuts, c->missing_rank, c->is_two, c->zero_is_missing);
        e->n_cuts += c->n_cuts;
    }
    end(e);
}

static void cuts_of(struct emit *e, const struct tern_rank_column *columns, uint32_t n)
{
    const struct tern_forest *f = e->f;

    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < columns[i].n_cuts; k++) {
            line(e, k);
            number(e, cut_at(f, columns[i].first + TERN_RANK_LANES + k), f->settings.float_input);
        }
    }
}

/* Without the pivots and the room at the ends, which are for vector instructions: only what would
 * be the first column's pivots is there, since cuts are looked for behind pivots. */
static void cuts(struct emit *e)
{
    const struct tern_forest *f = e->f;
    bool is_float = f->settings.float_input;

    begin(e, is_float ? "float" : "double", "cuts", TERN_RANK_LANES + e->n_cuts,
          is_float ? sizeof(float) : sizeof(double));
    for (size_t i = 0; i < TERN_RANK_LANES; i++)
        TERN_BUF_ADD_LITERAL(e->out, "0,");
    cuts_of(e, f->plain, f->n_plain);
    cuts_of(e, f->parts, f->n_parts);
    end(e);
}

static void columns(struct emit *e)
{
    const struct tern_forest *f = e->f;

    rank_columns(e, "plain", f->plain, f->n_plain);
    rank_columns(e, "parts", f->parts, f->n_parts);
    numbers(e, "bounds", f->bounds, f->n_bounds, false);
    if (f->n_wide > 0) {
        begin(e, "struct tern_wide_column", "wide", f->n_wide, sizeof(*f->wide));
        for (uint32_t i = 0; i < f->n_wide; i++) {
            const struct tern_wide_column *w = &f->wide[i];
            TERN_BUF_ADD_LITERAL(e->out, "\n{");
            column(e, &w->column);
            tern_buf_printf(e->out, ",%u,%u,%zu,%u,%d},", w->first_part, w->n_parts, w->first_bound,
                            w->first, w->is_two);
        }
        end(e);
    }
    if (f->n_special > 0) {
        begin(e, "struct tern_special_column", "special", f->n_special, sizeof(*f->special));
        for (uint32_t i = 0; i < f->n_special; i++) {
            TERN_BUF_ADD_LITERAL(e->out, "\n{");
            column(e, &f->special[i].column);
            tern_buf_add_char(e->out, ',');
            number(e, f->special[i].value, false);
            TERN_BUF_ADD_LITERAL(e->out, "},");
        }
        end(e);
    }
}

static void sets(struct emit *e)
{
    const struct tern_forest *f = e->f;

    if (f->n_sets > 0) {
        begin(e, "struct tern_category_set", "sets", f->n_sets, sizeof(*f->sets));
        for (uint32_t i = 0; i < f->n_sets; i++)
            tern_buf_printf(e->out, "\n{%zu,%u,%u},", f->sets[i].first_word,
                            f->sets[i].n_categories, f->sets[i].rounding);
        end(e);
    }
    if (f->n_words > 0) {
        begin(e, "uint64_t", "words", f->n_words, sizeof(*f->words));
        for (size_t i = 0; i < f->n_words; i++) {
            line(e, i);
            tern_buf_printf(e->out, "UINT64_C(0x%" PRIx64 "),", f->words[i]);
        }
        end(e);
    }
}

/* ---- trees ---- */

static void trees(struct emit *e)
{
    const struct tern_forest *f = e->f;

    if (f->n_trees == 0)
        return;
    begin(e, "struct tern_compiled_tree", "trees", f->n_trees, sizeof(*f->trees));
    for (uint32_t i = 0; i < f->n_trees; i++) {
        const struct tern_compiled_tree *t = &f->trees[i];
        tern_buf_printf(e->out, "\n{%zu,%zu,%zu,%u,%u,%u,%u,%d,%d},", t->first_node, t->first_value,
                        t->first_leaf, t->n_nodes, t->n_leaves, t->output, t->depth, t->root,
                        t->vector);
    }
    end(e);
}

static void nodes(struct emit *e)
{
    const struct tern_forest *f = e->f;

    if (f->n_nodes == 0)
        return;
    if (f->nodes != NULL)
        begin(e, "struct tern_tree_node", "nodes", f->n_nodes, sizeof(*f->nodes));
    else
        begin(e, "struct tern_tree_wide_node", "wide_nodes", f->n_nodes, sizeof(*f->wide_nodes));
    for (size_t i = 0; i < f->n_nodes; i++) {
        line(e, i);
        if (f->nodes != NULL)
            tern_buf_printf(e->out, "{%u,%u,0,{%d,%d}},", f->nodes[i].column, f->nodes[i].cut,
                            f->nodes[i].child[0], f->nodes[i].child[1]);
        else
            tern_buf_printf(e->out, "{%u,%u,{%d,%d}},", f->wide_nodes[i].column,
                            f->wide_nodes[i].cut, f->wide_nodes[i].child[0],
                            f->wide_nodes[i].child[1]);
    }
    end(e);
}

static void linear(struct emit *e)
{
    const struct tern_forest *f = e->f;

    if (f->linear == NULL)
        return;
    begin(e, "struct tern_linear_leaf", "linear", f->n_leaves, sizeof(*f->linear));
    for (size_t i = 0; i < f->n_leaves; i++) {
        const struct tern_linear_leaf *l = &f->linear[i];
        TERN_BUF_ADD_LITERAL(e->out, "\n{");
        number(e, l->constant, false);
        tern_buf_printf(e->out, "%zu,%u,%d},", l->first_term, l->n_terms, l->is_linear);
    }
    end(e);
    counts(e, "term_features", f->term_features, f->n_terms);
    numbers(e, "term_coefficients", f->term_coefficients, f->n_terms, false);
}

/* ---- the whole ---- */

static void settings(struct emit *e)
{
    const struct tern_forest_settings *s = &e->f->settings;

    tern_buf_printf(e->out,
                    "    .settings = {.n_features = %u, .n_outputs = %u, .float_input = %d,\n"
                    "                 .float_sum = %d, .combine = (enum tern_forest_combine)%d,\n"
                    "                 .n_averaged = %u, .base_first = %d, .base = %s_base},\n",
                    s->n_features, s->n_outputs, s->float_input, s->float_sum, (int)s->combine,
                    s->n_averaged, s->base_first, e->name);
}

/* A pointer to an array that is there, and nothing (NULL) for one that is not. The fields are not
 * const: whoever builds a forest fills them. */
static void point(struct emit *e, const char *field, const char *array, bool is_there)
{
    if (is_there)
        tern_buf_printf(e->out, "    .%s = (void *)%s_%s,\n", field, e->name, array);
}

static void whole(struct emit *e)
{
    const struct tern_forest *f = e->f;

    tern_buf_printf(e->out, "static const struct tern_forest %s = {\n", e->name);
    settings(e);
    point(e, "base", "base", true);
    point(e, "plain", "plain", f->n_plain > 0);
    point(e, "wide", "wide", f->n_wide > 0);
    point(e, "parts", "parts", f->n_parts > 0);
    point(e, "bounds", "bounds", f->n_bounds > 0);
    point(e, "special", "special", f->n_special > 0);
    point(e, "cuts", "cuts", true);
    point(e, "sets", "sets", f->n_sets > 0);
    point(e, "words", "words", f->n_words > 0);
    point(e, "trees", "trees", f->n_trees > 0);
    /* Which of the two it is says how large the nodes are: never both NULL where that matters. */
    point(e, "nodes", "nodes", f->nodes != NULL && f->n_nodes > 0);
    point(e, "wide_nodes", "wide_nodes", f->nodes == NULL && f->n_nodes > 0);
    point(e, "values", "values", f->n_values > 0);
    point(e, "linear", "linear", f->linear != NULL);
    point(e, "term_features", "term_features", f->linear != NULL && f->n_terms > 0);
    point(e, "term_coefficients", "term_coefficients", f->linear != NULL && f->n_terms > 0);
    point(e, "node_at", "node_at", f->node_at != NULL && f->n_trees > 0);
    point(e, "value_at", "value_at", f->value_at != NULL && f->n_trees > 0);
    point(e, "outputs", "outputs", f->outputs != NULL && f->n_trees > 0);
    tern_buf_printf(e->out,
                    "    .n_columns = %u, .n_plain = %u, .n_wide = %u, .n_special = %u,\n"
                    "    .n_cuts = %zu, .n_sets = %u, .n_words = %zu, .n_trees = %u,\n"
                    "    .n_nodes = %zu, .n_values = %zu, .n_leaves = %zu, .n_terms = %zu,\n"
                    "    .row_ns = %a, .block_ns = %a, .tile_ns = %a, .depth = %u, .widest = %u,\n"
                    "    .leaves = (enum tern_leaf_kind)%d, .n_parts = %u, .n_bounds = %zu,\n"
                    "};\n",
                    f->n_columns, f->n_plain, f->n_wide, f->n_special, TERN_RANK_LANES + e->n_cuts,
                    f->n_sets, f->n_words, f->n_trees, f->n_nodes, f->n_values, f->n_leaves,
                    f->n_terms, f->row_ns, f->block_ns, f->tile_ns, f->depth, f->widest,
                    (int)f->leaves, f->n_parts, f->n_bounds);
    e->n_bytes += sizeof(*f);
}

size_t tern_forest_emit(const struct tern_forest *bare, const char *name, bool is_halves,
                        struct tern_buf *out)
{
    const struct tern_forest *f = bare;
    struct emit e = {.f = f, .name = name, .out = out};

    numbers(&e, "base", f->base, f->settings.n_outputs, false);
    columns(&e);
    cuts(&e);
    sets(&e);
    trees(&e);
    nodes(&e);
    if (is_halves)
        halves(&e, f->values, f->n_values, f->settings.float_sum);
    else
        numbers(&e, "values", f->values, f->n_values, f->settings.float_sum);
    linear(&e);
    if (f->node_at != NULL)
        counts(&e, "node_at", f->node_at, f->n_trees);
    if (f->value_at != NULL) {
        counts(&e, "value_at", f->value_at, f->n_trees);
        counts(&e, "outputs", f->outputs, f->n_trees);
    }
    whole(&e);
    return e.n_bytes;
}

/* ---- what is asked ---- */

static bool special_cut(const struct tern_forest *f, uint32_t feature, uint64_t number, double *ret)
{
    for (uint32_t i = 0; i < f->n_special; i++) {
        const struct tern_special_column *special = &f->special[(i + number) % f->n_special];
        if (special->column.feature != feature)
            continue;
        *ret = special->value;
        if (special->column.kind == TERN_COLUMN_SET)
            *ret = (double)(number % (f->sets[special->column.set].n_categories + 1u));
        return true;
    }
    return false;
}

bool tern_forest_cut(const struct tern_forest *f, uint32_t feature, uint64_t number, double *ret)
{
    uint32_t n = f->n_plain + f->n_parts;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)((i + number) % n);
        const struct tern_rank_column *c =
            at < f->n_plain ? &f->plain[at] : &f->parts[at - f->n_plain];
        if (c->feature != feature || c->n_cuts == 0)
            continue;
        *ret = cut_at(f, c->first + TERN_RANK_LANES + (number >> 32) % c->n_cuts);
        return true;
    }
    return special_cut(f, feature, number, ret);
}
