#include "forest/prune.h"

#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "forest/prune_int.h"

#define NONE UINT32_MAX

/* ---- what columns ask ---- */

static void note_cuts(struct tern_pruner *p, const struct tern_rank_column *c, uint32_t place,
                      bool missing_yes)
{
    p->columns[place] = (struct tern_prune_question){
        .node = {.test = TERN_FOREST_LESS_EQUAL,
                 .missing_yes = missing_yes,
                 .zero_is_missing = c->zero_is_missing,
                 .feature = c->feature},
        .first_cut = (size_t)c->first + TERN_RANK_LANES,
        .group = NONE,
    };
}

static void note_rank_columns(struct tern_pruner *p, const struct tern_rank_column *columns,
                              uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        note_cuts(p, &columns[i], columns[i].place,
                  columns[i].is_two || columns[i].missing_rank == 0);
        if (columns[i].is_two)
            note_cuts(p, &columns[i], columns[i].place + 1, false);
    }
}

static void note_special(struct tern_pruner *p, uint32_t place,
                         const struct tern_special_column *special)
{
    bool is_set = special->column.kind == TERN_COLUMN_SET;

    p->columns[place] = (struct tern_prune_question){
        .node = {.test = is_set ? TERN_FOREST_MEMBER : TERN_FOREST_EQUAL,
                 .missing_yes = special->column.missing_yes,
                 .zero_is_missing = special->column.zero_is_missing,
                 .feature = special->column.feature,
                 .set = special->column.set,
                 .threshold = special->value},
        .group = p->n_groups++,
    };
}

/* Cuts of a feature know of each other, whichever way its missing values go. first: by feature,
 * the group of cuts where zero is a value, and where it is missing. */
static void number_groups(struct tern_pruner *p, uint32_t (*first)[2])
{
    for (uint32_t i = 0; i < p->f->n_columns; i++) {
        struct tern_prune_question *column = &p->columns[i];
        if (column->node.test != TERN_FOREST_LESS_EQUAL)
            continue;
        uint32_t *group = &first[column->node.feature][column->node.zero_is_missing];
        if (*group == NONE)
            *group = p->n_groups++;
        column->group = *group;
    }
}

static enum tern_code note_columns(struct tern_pruner *p, struct tern_err *err)
{
    const struct tern_forest *f = p->f;
    uint32_t first_special = f->n_columns - f->n_special;
    uint32_t(*first)[2] = tern_mem_zalloc(f->settings.n_features + 1u, sizeof(*first));

    if (first == NULL)
        return tern_mem_fail(err, "a forest", f->settings.n_features * sizeof(*first));
    memset(first, 0xff, (f->settings.n_features + 1u) * sizeof(*first));
    note_rank_columns(p, f->plain, f->n_plain);
    note_rank_columns(p, f->parts, f->n_parts);
    for (uint32_t i = 0; i < f->n_special; i++)
        note_special(p, first_special + i, &f->special[i]);
    number_groups(p, first);
    tern_mem_free(first);
    return TERN_OK;
}

/* ---- room ---- */

static void *take(size_t n, size_t size, enum tern_code *code, struct tern_err *err)
{
    void *room = *code == TERN_OK ? tern_mem_zalloc(n + 1, size) : NULL;

    if (*code == TERN_OK && room == NULL)
        *code = tern_mem_fail(err, "a forest", n * size);
    return room;
}

static enum tern_code make_room(struct tern_pruner *p, struct tern_err *err)
{
    const struct tern_forest *f = p->f;
    size_t nodes = 0, leaves = 0, values = 0, categories = 0;
    enum tern_code code = TERN_OK;

    for (uint32_t i = 0; i < f->n_trees; i++) {
        const struct tern_compiled_tree *tree = &f->trees[i];
        size_t width = tree->vector ? f->settings.n_outputs : 1;
        nodes = tree->n_nodes > nodes ? tree->n_nodes : nodes;
        leaves = tree->n_leaves > leaves ? tree->n_leaves : leaves;
        values = tree->n_leaves * width > values ? tree->n_leaves * width : values;
    }
    for (uint32_t i = 0; i < f->n_sets; i++)
        categories = f->sets[i].n_categories > categories ? f->sets[i].n_categories : categories;
    p->columns = take(f->n_columns, sizeof(*p->columns), &code, err);
    p->known = take(f->n_columns, sizeof(*p->known), &code, err);
    p->sets = take(f->n_sets, sizeof(*p->sets), &code, err);
    p->categories = take(categories, sizeof(*p->categories), &code, err);
    p->child = take(nodes, sizeof(*p->child), &code, err);
    p->instead = take(nodes, sizeof(*p->instead), &code, err);
    p->low = take(values, sizeof(*p->low), &code, err);
    p->high = take(values, sizeof(*p->high), &code, err);
    p->value = take(values, sizeof(*p->value), &code, err);
    p->stack = take(TERN_FOREST_DEPTH_MAX + 2, sizeof(*p->stack), &code, err);
    p->nodes = take(nodes + leaves, sizeof(*p->nodes), &code, err);
    p->values = take(values, sizeof(*p->values), &code, err);
    p->linear = take(leaves, sizeof(*p->linear), &code, err);
    p->left = take(f->settings.n_outputs, sizeof(*p->left), &code, err);
    p->n_left = take(f->settings.n_outputs, sizeof(*p->n_left), &code, err);
    if (code == TERN_OK && f->n_sets > 0)
        memset(p->sets, 0xff, f->n_sets * sizeof(*p->sets));
    return code;
}

static void free_room(struct tern_pruner *p)
{
    void *owned[] = {p->columns, p->known,  p->sets,   p->categories, p->child,
                     p->instead, p->low,    p->high,   p->value,      p->stack,
                     p->nodes,   p->values, p->linear, p->left,       p->n_left};

    for (size_t i = 0; i < TERN_COUNT_OF(owned); i++)
        tern_mem_free(owned[i]);
    tern_forest_builder_free(p->builder);
}

/* ---- how many trees ---- */

static uint32_t count_of(const struct tern_forest *f, uint32_t output, uint32_t n_trees)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < n_trees; i++)
        n += f->trees[i].vector || f->trees[i].output == output;
    return n;
}

/* Whether the first n trees give each output as many as the first output has. */
static bool is_even(const struct tern_forest *f, uint32_t n_trees)
{
    uint32_t n = count_of(f, 0, n_trees);

    for (uint32_t k = 1; k < f->settings.n_outputs; k++)
        if (count_of(f, k, n_trees) != n)
            return false;
    return true;
}

static enum tern_code check_trees(const struct tern_forest *f, uint32_t n_trees,
                                  struct tern_err *err)
{
    if (n_trees == 0 || n_trees >= f->n_trees)
        return TERN_OK;
    if (f->settings.combine != TERN_FOREST_SUM)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the answer is no sum of trees that correct each other: none of the %u "
                         "trees can be left out",
                         f->n_trees);
    if (is_even(f, f->n_trees) && !is_even(f, n_trees))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the first %u trees are not equally many for each of the %u outputs",
                         n_trees, f->settings.n_outputs);
    return TERN_OK;
}

/* ---- how much may change ---- */

/* What the tree's own values may be off by, so that the answer stays within. */
static double scale_of(const struct tern_forest *f)
{
    uint32_t n = f->settings.n_averaged > 0 ? f->settings.n_averaged : f->n_trees;

    return f->settings.combine == TERN_FOREST_AVERAGE ? n : 1;
}

static bool is_added(const struct tern_forest *f)
{
    return f->settings.combine == TERN_FOREST_SUM || f->settings.combine == TERN_FOREST_AVERAGE;
}

static void share_out(struct tern_pruner *p, uint32_t n_trees)
{
    const struct tern_forest *f = p->f;

    for (uint32_t k = 0; k < f->settings.n_outputs; k++) {
        p->left[k] = p->pruning->within * scale_of(f);
        p->n_left[k] = is_added(f) ? count_of(f, k, n_trees) : 1;
    }
}

/* Of the smallest, or largest, of all trees: each may be off by all of it. */
static double within_of(const struct tern_pruner *p, const struct tern_compiled_tree *tree)
{
    double within = (double)INFINITY;

    for (uint32_t k = 0; k < p->f->settings.n_outputs; k++)
        if (tree->vector || tree->output == k)
            within = fmin(within, p->left[k] / p->n_left[k]);
    return within;
}

static void spend(struct tern_pruner *p, const struct tern_compiled_tree *tree, double change)
{
    for (uint32_t k = 0; is_added(p->f) && k < p->f->settings.n_outputs; k++) {
        if (!tree->vector && tree->output != k)
            continue;
        p->left[k] = fmax(0, p->left[k] - change);
        p->n_left[k]--;
    }
}

/* ---- the new forest ---- */

/* One leaf that adds zero: no sum that begins with anything but -0 is another without it. */
static bool is_nothing(const struct tern_forest *f, const struct tern_forest_tree *tree)
{
    size_t width = tree->vector ? f->settings.n_outputs : 1;

    if (!is_added(f) || tree->n_leaves != 1 || tree->linear != NULL)
        return false;
    for (size_t i = 0; i < width; i++)
        if (tree->values[i] != 0)
            return false;
    for (uint32_t k = 0; k < f->settings.n_outputs; k++)
        if (f->base[k] == 0 && signbit(f->base[k]))
            return false;
    return true;
}

static double largest_of(const struct tern_pruner *p, size_t n)
{
    double largest = 0;

    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(p->value[i]));
    return largest;
}

/* The trees that stay, each smaller. changes: of each output, in the values of trees. */
static enum tern_code add_trees(struct tern_pruner *p, uint32_t n_trees, double *changes,
                                struct tern_forest_pruned *ret, struct tern_err *err)
{
    const struct tern_forest *f = p->f;

    share_out(p, n_trees);
    for (uint32_t i = 0; i < f->n_trees; i++) {
        const struct tern_compiled_tree *tree = &f->trees[i];
        struct tern_forest_tree made;
        double change;
        bool stays = i < n_trees;
        tern_prune_tree(p, tree, stays ? within_of(p, tree) : 0, &change);
        if (!stays)
            change = largest_of(p, tree->n_leaves * (tree->vector ? f->settings.n_outputs : 1u));
        for (uint32_t k = 0; k < f->settings.n_outputs; k++)
            if (tree->vector || tree->output == k)
                changes[k] = is_added(f) ? changes[k] + change : fmax(changes[k], change);
        if (!stays)
            continue;
        spend(p, tree, change);
        TERN_TRY(tern_prune_rebuild(p, tree, &made, err));
        if (is_nothing(f, &made) && (ret->n_trees[1] > 0 || i + 1 < n_trees))
            continue;
        TERN_TRY(tern_forest_builder_add_tree(p->builder, &made, err));
        ret->n_trees[1]++;
    }
    return TERN_OK;
}

static enum tern_code rebuild(struct tern_pruner *p, struct tern_forest **ret_forest,
                              struct tern_forest_pruned *ret, struct tern_err *err)
{
    const struct tern_forest *f = p->f;
    uint32_t wanted = p->pruning->n_trees;
    uint32_t n_trees = wanted > 0 && wanted < f->n_trees ? wanted : f->n_trees;
    struct tern_forest_settings settings = f->settings;
    double *changes = tern_mem_zalloc(settings.n_outputs, sizeof(*changes));

    if (changes == NULL)
        return tern_mem_fail(err, "a forest", settings.n_outputs * sizeof(*changes));
    settings.base = f->base;
    if (settings.combine == TERN_FOREST_AVERAGE && settings.n_averaged == 0)
        settings.n_averaged = f->n_trees;
    enum tern_code code = tern_forest_builder_new(&settings, &p->builder, err);
    if (code == TERN_OK)
        code = add_trees(p, n_trees, changes, ret, err);
    if (code == TERN_OK)
        code = tern_forest_builder_finish(p->builder, ret_forest, err);
    for (uint32_t k = 0; k < settings.n_outputs; k++)
        ret->bound = fmax(ret->bound, changes[k] / scale_of(f));
    tern_mem_free(changes);
    return code;
}

enum tern_code tern_forest_prune(const struct tern_forest *f,
                                 const struct tern_forest_pruning *pruning,
                                 struct tern_forest **ret_forest, struct tern_forest_pruned *ret,
                                 struct tern_err *err)
{
    struct tern_pruner p = {.f = f, .pruning = pruning};
    struct tern_forest_pruned pruned = {.n_trees = {f->n_trees, 0},
                                        .n_nodes = {f->n_nodes + f->n_leaves, 0}};

    TERN_TRY(check_trees(f, pruning->n_trees, err));
    enum tern_code code = make_room(&p, err);
    if (code == TERN_OK)
        code = note_columns(&p, err);
    if (code == TERN_OK)
        code = rebuild(&p, ret_forest, &pruned, err);
    free_room(&p);
    if (code != TERN_OK)
        return code;
    pruned.n_nodes[1] = tern_forest_info(*ret_forest).n_nodes;
    *ret = pruned;
    return TERN_OK;
}
