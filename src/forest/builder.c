#include "forest/builder.h"

#include <math.h>
#include <string.h>
#include "base/compiler.h"
#include "base/grow.h"
#include "base/hash.h"
#include "base/mem.h"
#include "forest/ir.h"

#define NONE        UINT32_MAX
#define COLUMNS_MAX (1u << 24)
#define SETS_MAX    (1u << 24)
#define WORDS_MAX   (1u << 26) /* of all sets: 512 MiB */
#define TERMS_MAX   (1u << 28)
#define TABLE_FIRST 1024

/* A node that was named by its parent and not looked at yet. */
struct tern_ir_visit {
    uint32_t node;
    uint32_t depth;
    int32_t parent; /* inner node of this tree; -1: it is the root */
    uint8_t side;
};

static enum tern_code check_size(uint32_t n_features, uint32_t n_outputs, struct tern_err *err)
{
    if (n_features > TERN_FOREST_FEATURES_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "%u features, %u are served at most",
                         n_features, TERN_FOREST_FEATURES_MAX);
    if (n_outputs == 0 || n_outputs > TERN_FOREST_OUTPUTS_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "%u outputs, expected 1 to %u", n_outputs,
                         TERN_FOREST_OUTPUTS_MAX);
    return TERN_OK;
}

enum tern_code tern_forest_builder_new(const struct tern_forest_settings *settings,
                                       struct tern_forest_builder **ret_builder,
                                       struct tern_err *err)
{
    struct tern_forest_builder *b;

    TERN_TRY(check_size(settings->n_features, settings->n_outputs, err));
    b = tern_mem_zalloc(1, sizeof(*b));
    if (b == NULL)
        return tern_mem_fail(err, "a forest", sizeof(*b));
    b->settings = *settings;
    b->empty_set = NONE;
    b->base = tern_mem_zalloc(settings->n_outputs, sizeof(*b->base));
    b->stack = tern_mem_zalloc(TERN_FOREST_DEPTH_MAX + 2, sizeof(*b->stack));
    if (b->base == NULL || b->stack == NULL) {
        tern_forest_builder_free(b);
        return tern_mem_fail(err, "a forest", TERN_FOREST_DEPTH_MAX * sizeof(*b->stack));
    }
    if (settings->base != NULL)
        memcpy(b->base, settings->base, settings->n_outputs * sizeof(*b->base));
    b->settings.base = b->base;
    *ret_builder = b;
    return TERN_OK;
}

void tern_forest_builder_free(struct tern_forest_builder *b)
{
    if (b == NULL)
        return;
    void *owned[] = {b->base,
                     b->nodes,
                     b->yes_shares,
                     b->values,
                     b->trees,
                     b->columns,
                     b->column_table.heads,
                     b->cuts,
                     b->cut_table.heads,
                     b->sets,
                     b->words,
                     b->linear,
                     b->term_features,
                     b->term_coefficients,
                     b->stack,
                     b->seen};
    for (size_t i = 0; i < TERN_COUNT_OF(owned); i++)
        tern_mem_free(owned[i]);
    tern_mem_free(b);
}

/* ---- numbers by hash: a chained table whose rows lie in an array of their own ---- */

static uint32_t hash_pair(uint64_t a, uint64_t b)
{
    uint64_t h = (a + 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu ^ b;

    h = (h ^ h >> 32) * 0xc4ceb9fe1a85ec53u;
    return (uint32_t)(h >> 32);
}

static uint64_t bits_of(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static uint32_t hash_cut(const struct tern_ir_cut *cut)
{
    return hash_pair(cut->group, bits_of(cut->value));
}

static uint32_t hash_column(const struct tern_ir_column *row)
{
    const struct tern_column *c = &row->column;
    uint64_t kind =
        (uint64_t)c->set << 8 | (uint64_t)(c->kind << 2 | c->missing_yes << 1 | c->zero_is_missing);

    return hash_pair((uint64_t)c->feature << 32 ^ kind, bits_of(row->value));
}

/* Twice as many heads as there are rows, or more. Rows are chained anew by who calls. */
static enum tern_code widen(struct tern_ir_table *table, size_t n, bool *ret_again,
                            struct tern_err *err)
{
    size_t want = table->heads == NULL ? TABLE_FIRST : table->mask + 1u;

    *ret_again = false;
    while (want < n)
        want *= 4;
    if (table->heads != NULL && want == table->mask + 1u)
        return TERN_OK;
    uint32_t *heads = tern_mem_alloc(want * sizeof(*heads));
    if (heads == NULL)
        return tern_mem_fail(err, "a forest's cuts", want * sizeof(*heads));
    memset(heads, 0xff, want * sizeof(*heads));
    tern_mem_free(table->heads);
    table->heads = heads;
    table->mask = (uint32_t)(want - 1);
    *ret_again = true;
    return TERN_OK;
}

static enum tern_code find_cut(struct tern_forest_builder *b, uint32_t group, double value,
                               uint32_t *ret, struct tern_err *err)
{
    struct tern_ir_cut row = {.value = value, .group = group};
    uint32_t hash = hash_cut(&row);
    bool again;

    if (b->cut_table.heads != NULL) {
        for (uint32_t i = b->cut_table.heads[hash & b->cut_table.mask]; i != NONE;
             i = b->cuts[i].next) {
            if (b->cuts[i].group == group && bits_of(b->cuts[i].value) == bits_of(value)) {
                *ret = i;
                return TERN_OK;
            }
        }
    }
    TERN_TRY(tern_grow(&b->cuts, &b->cuts_cap, b->n_cuts, 1, sizeof(row), TERN_FOREST_NODES_MAX,
                       "cuts", err));
    TERN_TRY(widen(&b->cut_table, b->n_cuts + 1, &again, err));
    for (uint32_t i = 0; again && i < b->n_cuts; i++) {
        uint32_t *head = &b->cut_table.heads[hash_cut(&b->cuts[i]) & b->cut_table.mask];
        b->cuts[i].next = *head;
        *head = i;
    }
    row.next = b->cut_table.heads[hash & b->cut_table.mask];
    b->cut_table.heads[hash & b->cut_table.mask] = (uint32_t)b->n_cuts;
    *ret = (uint32_t)b->n_cuts;
    b->cuts[b->n_cuts++] = row;
    return TERN_OK;
}

static bool is_same_column(const struct tern_ir_column *a, const struct tern_ir_column *b)
{
    return a->column.feature == b->column.feature && a->column.kind == b->column.kind &&
           a->column.missing_yes == b->column.missing_yes &&
           a->column.zero_is_missing == b->column.zero_is_missing &&
           a->column.set == b->column.set && bits_of(a->value) == bits_of(b->value);
}

static enum tern_code find_column(struct tern_forest_builder *b, struct tern_ir_column row,
                                  uint32_t *ret, struct tern_err *err)
{
    uint32_t hash = hash_column(&row);
    bool again;

    if (b->column_table.heads != NULL) {
        for (uint32_t i = b->column_table.heads[hash & b->column_table.mask]; i != NONE;
             i = b->columns[i].next) {
            if (is_same_column(&b->columns[i], &row)) {
                *ret = i;
                return TERN_OK;
            }
        }
    }
    TERN_TRY(tern_grow(&b->columns, &b->columns_cap, b->n_columns, 1, sizeof(row), COLUMNS_MAX,
                       "different questions about features", err));
    TERN_TRY(widen(&b->column_table, b->n_columns + 1, &again, err));
    for (uint32_t i = 0; again && i < b->n_columns; i++) {
        uint32_t *head = &b->column_table.heads[hash_column(&b->columns[i]) & b->column_table.mask];
        b->columns[i].next = *head;
        *head = i;
    }
    row.next = b->column_table.heads[hash & b->column_table.mask];
    b->column_table.heads[hash & b->column_table.mask] = (uint32_t)b->n_columns;
    *ret = (uint32_t)b->n_columns;
    b->columns[b->n_columns++] = row;
    return TERN_OK;
}

/* ---- sets ---- */

static bool is_same_set(const struct tern_forest_builder *b, const struct tern_category_set *x,
                        const struct tern_category_set *y)
{
    return x->n_categories == y->n_categories && x->rounding == y->rounding &&
           (x->n_categories == 0 || memcmp(b->words + x->first_word, b->words + y->first_word,
                                           (x->n_categories + 63u) / 64u * sizeof(*b->words)) == 0);
}

enum tern_code tern_forest_builder_add_set(struct tern_forest_builder *b,
                                           const uint32_t *categories, size_t n,
                                           enum tern_forest_rounding rounding, uint32_t *ret_set,
                                           struct tern_err *err)
{
    struct tern_category_set set = {.first_word = b->n_words, .rounding = (uint8_t)rounding};

    for (size_t i = 0; i < n; i++) {
        if (categories[i] >= TERN_FOREST_CATEGORY_MAX)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "category %u, expected less than %u",
                             categories[i], TERN_FOREST_CATEGORY_MAX);
        if (categories[i] >= set.n_categories)
            set.n_categories = categories[i] + 1;
    }
    size_t words = (set.n_categories + 63u) / 64u;
    TERN_TRY(tern_grow(&b->words, &b->words_cap, b->n_words, words, sizeof(*b->words), WORDS_MAX,
                       "words of category sets", err));
    TERN_TRY(tern_grow(&b->sets, &b->sets_cap, b->n_sets, 1, sizeof(set), SETS_MAX, "category sets",
                       err));
    if (words > 0)
        memset(b->words + b->n_words, 0, words * sizeof(*b->words));
    for (size_t i = 0; i < n; i++)
        b->words[b->n_words + categories[i] / 64] |= UINT64_C(1) << categories[i] % 64;
    /* Models have few different sets: the last ones are looked at, which finds most repetitions. */
    for (size_t back = 1; back <= 256 && back <= b->n_sets; back++) {
        if (is_same_set(b, &b->sets[b->n_sets - back], &set)) {
            *ret_set = (uint32_t)(b->n_sets - back);
            return TERN_OK;
        }
    }
    b->n_words += words;
    *ret_set = (uint32_t)b->n_sets;
    b->sets[b->n_sets++] = set;
    return TERN_OK;
}

/* ---- one node ---- */

/* nextafterf(f, -INFINITY), which is a slow call for something that is done for every node. */
static float float_below(float f)
{
    int32_t bits;

    if (f == 0)
        return -0x1p-149f;
    memcpy(&bits, &f, sizeof(bits));
    bits += f > 0 ? -1 : f > -INFINITY ? 1 : 0;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* The largest value of the input's precision that is not above (or, strictly, below) t. */
static double cut_of(double t, bool strictly, bool is_float)
{
    double cut = t;

    if (is_float) {
        float f = (float)t;
        if (strictly ? (double)f >= t : (double)f > t)
            f = float_below(f);
        cut = (double)f;
    } else if (strictly) {
        cut = nextafter(t, -INFINITY);
    }
    return cut == 0 ? 0 : cut; /* -0 is 0 */
}

/* What no value ever passes: membership of the empty set. */
static enum tern_code never(struct tern_forest_builder *b, struct tern_ir_column *row,
                            struct tern_err *err)
{
    if (b->empty_set == NONE)
        TERN_TRY(tern_forest_builder_add_set(b, NULL, 0, TERN_FOREST_EXACT, &b->empty_set, err));
    row->column.kind = TERN_COLUMN_SET;
    row->column.set = b->empty_set;
    return TERN_OK;
}

/* Both columns of a feature, whichever way its missing values go, share their cuts. */
static enum tern_code ask_cut(struct tern_forest_builder *b, struct tern_ir_column row, double cut,
                              struct tern_ir_node *ret, struct tern_err *err)
{
    struct tern_ir_column group = row;
    size_t known = b->n_columns;
    uint32_t at;

    row.column.kind = TERN_COLUMN_CUTS;
    TERN_TRY(find_column(b, row, &ret->column, err));
    if (b->n_columns > known) {
        group.column.kind = TERN_COLUMN_GROUP;
        group.column.missing_yes = false;
        TERN_TRY(find_column(b, group, &at, err));
        b->columns[at].has[row.column.missing_yes] = true;
        b->columns[ret->column].group = at;
    }
    return find_cut(b, b->columns[ret->column].group, cut, &ret->cut, err);
}

static enum tern_code ask(struct tern_forest_builder *b, const struct tern_forest_node *node,
                          struct tern_ir_node *ret, struct tern_err *err)
{
    bool is_float = b->settings.float_input;
    bool strictly = node->test == TERN_FOREST_LESS;
    struct tern_ir_column row = {
        .column = {.feature = node->feature,
                   .missing_yes = node->missing_yes,
                   .zero_is_missing = node->zero_is_missing},
    };
    double t = node->threshold;

    if (node->feature >= b->settings.n_features)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "feature %u, the model has %u", node->feature,
                         b->settings.n_features);
    if (node->test == TERN_FOREST_MEMBER) {
        if (node->set >= b->n_sets)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "category set %u of %zu", node->set,
                             b->n_sets);
        row.column.kind = TERN_COLUMN_SET;
        row.column.set = node->set;
        return find_column(b, row, &ret->column, err);
    }
    if (isnan(t))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "its threshold is not a number");
    if (node->test == TERN_FOREST_EQUAL && (!is_float || (double)(float)t == t)) {
        row.column.kind = TERN_COLUMN_EQUAL;
        row.value = t == 0 ? 0 : t;
        return find_column(b, row, &ret->column, err);
    }
    if (node->test == TERN_FOREST_EQUAL || (strictly && t == -(double)INFINITY)) {
        TERN_TRY(never(b, &row, err));
        return find_column(b, row, &ret->column, err);
    }
    return ask_cut(b, row, cut_of(t, strictly, is_float), ret, err);
}

/* ---- one tree ---- */

static enum tern_code add_values(struct tern_forest_builder *b, const struct tern_forest_tree *tree,
                                 struct tern_err *err)
{
    size_t width = tree->vector ? b->settings.n_outputs : 1;
    size_t n = (size_t)tree->n_leaves * width;

    TERN_TRY(tern_grow(&b->values, &b->values_cap, b->n_values, n, sizeof(*b->values),
                       TERN_FOREST_LEAVES_MAX, "leaf values", err));
    for (size_t i = 0; i < n; i++) {
        if (isnan(tree->values[i]))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "value %zu of its leaf %zu is not a number", i % width, i / width);
        b->values[b->n_values + i] = tree->values[i];
    }
    return TERN_OK;
}

static enum tern_code add_linear(struct tern_forest_builder *b, const struct tern_forest_tree *tree,
                                 struct tern_err *err)
{
    size_t total = b->n_leaves + tree->n_leaves;

    if (tree->linear == NULL && !b->has_linear)
        return TERN_OK;
    if (tree->vector)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "its leaves are vectors and linear at once");
    size_t known = b->has_linear ? b->n_leaves : 0;
    TERN_TRY(tern_grow(&b->linear, &b->linear_cap, known, total - known, sizeof(*b->linear),
                       TERN_FOREST_LEAVES_MAX, "leaves", err));
    memset(b->linear + known, 0, (total - known) * sizeof(*b->linear));
    b->has_linear = true;
    for (uint32_t i = 0; tree->linear != NULL && i < tree->n_leaves; i++) {
        const struct tern_forest_linear *leaf = &tree->linear[i];
        TERN_TRY(tern_grow(&b->term_features, &b->features_cap, b->n_terms, leaf->n,
                           sizeof(*b->term_features), TERMS_MAX, "terms of linear leaves", err));
        TERN_TRY(tern_grow(&b->term_coefficients, &b->coefficients_cap, b->n_terms, leaf->n,
                           sizeof(*b->term_coefficients), TERMS_MAX, "terms of linear leaves",
                           err));
        b->linear[b->n_leaves + i] =
            (struct tern_linear_leaf){leaf->constant, b->n_terms, leaf->n, true};
        for (uint32_t k = 0; k < leaf->n; k++) {
            if (leaf->features[k] >= b->settings.n_features)
                return tern_fail(err, TERN_INVALID_ARGUMENT,
                                 "its leaf %u uses feature %u, the model has %u", i,
                                 leaf->features[k], b->settings.n_features);
            b->term_features[b->n_terms] = leaf->features[k];
            b->term_coefficients[b->n_terms++] = leaf->coefficients[k];
        }
    }
    return TERN_OK;
}

/* Of the training weight of both children, that of the yes-side. Where none of it came to a node
 * (symmetric trees have such), both sides are worth the same; where none came to the root, the
 * weights are not known. */
static float share_of(struct tern_forest_builder *b, const struct tern_forest_tree *tree,
                      const struct tern_forest_node *node, bool is_root)
{
    double yes = tree->nodes[node->yes].cover, no = tree->nodes[node->no].cover;
    bool is_known = yes >= 0 && no >= 0 && yes + no < (double)INFINITY;

    if (!is_known || (is_root && yes + no == 0))
        b->lacks_covers = true;
    return is_known && yes + no > 0 ? (float)(yes / (yes + no)) : 0.5f;
}

/* Looks at one node: a leaf is noted at its parent, an inner node is appended. */
static enum tern_code visit(struct tern_forest_builder *b, const struct tern_forest_tree *tree,
                            struct tern_compiled_tree *ret, const struct tern_ir_visit *at,
                            bool *ret_is_inner, struct tern_err *err)
{
    const struct tern_forest_node *node = &tree->nodes[at->node];
    struct tern_ir_node *nodes = b->nodes + ret->first_node;
    int32_t *parent = at->parent < 0 ? &ret->root : &nodes[at->parent].child[at->side];

    if (b->seen[at->node])
        return tern_fail(err, TERN_INVALID_ARGUMENT, "two nodes lead to it");
    b->seen[at->node] = 1;
    *ret_is_inner = node->test != TERN_FOREST_LEAF;
    if (!*ret_is_inner) {
        if (node->leaf >= tree->n_leaves)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "leaf %u of %u", node->leaf,
                             tree->n_leaves);
        *parent = ~(int32_t)node->leaf;
        return TERN_OK;
    }
    if (node->yes >= tree->n_nodes || node->no >= tree->n_nodes)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "its child %u is none of the %u nodes",
                         node->yes >= tree->n_nodes ? node->yes : node->no, tree->n_nodes);
    *parent = (int32_t)ret->n_nodes;
    b->yes_shares[ret->first_node + ret->n_nodes] = share_of(b, tree, node, at->parent < 0);
    return ask(b, node, &nodes[ret->n_nodes++], err);
}

static enum tern_code walk(struct tern_forest_builder *b, const struct tern_forest_tree *tree,
                           struct tern_compiled_tree *ret, uint32_t *ret_node, struct tern_err *err)
{
    uint32_t n = 0;

    b->stack[n++] = (struct tern_ir_visit){.parent = -1};
    while (n > 0) {
        struct tern_ir_visit at = b->stack[--n];
        int32_t self = (int32_t)ret->n_nodes;
        bool is_inner = false;

        *ret_node = at.node;
        TERN_TRY(visit(b, tree, ret, &at, &is_inner, err));
        if (at.depth > ret->depth)
            ret->depth = at.depth;
        if (!is_inner)
            continue;
        if (at.depth == TERN_FOREST_DEPTH_MAX)
            return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "it is deeper than %d",
                             TERN_FOREST_DEPTH_MAX);
        const struct tern_forest_node *node = &tree->nodes[at.node];
        b->stack[n++] = (struct tern_ir_visit){node->no, at.depth + 1, self, 1};
        b->stack[n++] = (struct tern_ir_visit){node->yes, at.depth + 1, self, 0};
    }
    return TERN_OK;
}

static enum tern_code check_tree(const struct tern_forest_builder *b,
                                 const struct tern_forest_tree *tree, struct tern_err *err)
{
    if (tree->n_nodes == 0 || tree->n_leaves == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "it has no nodes");
    if (tree->n_nodes > TERN_FOREST_NODES_MAX || tree->n_leaves > TERN_FOREST_LEAVES_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "it has more than %u nodes",
                         TERN_FOREST_NODES_MAX);
    if (!tree->vector && tree->output >= b->settings.n_outputs)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "it is for output %u, the model has %u",
                         tree->output, b->settings.n_outputs);
    return TERN_OK;
}

static enum tern_code make_room(struct tern_forest_builder *b, const struct tern_forest_tree *tree,
                                struct tern_err *err)
{
    TERN_TRY(tern_grow(&b->trees, &b->trees_cap, b->n_trees, 1, sizeof(*b->trees),
                       TERN_FOREST_TREES_MAX, "trees", err));
    TERN_TRY(tern_grow(&b->nodes, &b->nodes_cap, b->n_nodes, tree->n_nodes, sizeof(*b->nodes),
                       TERN_FOREST_NODES_MAX, "nodes", err));
    TERN_TRY(tern_grow(&b->yes_shares, &b->yes_shares_cap, b->n_nodes, tree->n_nodes,
                       sizeof(*b->yes_shares), TERN_FOREST_NODES_MAX, "nodes", err));
    TERN_TRY(tern_grow(&b->seen, &b->seen_cap, 0, tree->n_nodes, 1, TERN_FOREST_NODES_MAX, "nodes",
                       err));
    memset(b->seen, 0, tree->n_nodes);
    return TERN_OK;
}

enum tern_code tern_forest_builder_add_tree(struct tern_forest_builder *b,
                                            const struct tern_forest_tree *tree,
                                            struct tern_err *err)
{
    struct tern_compiled_tree made = {
        .first_node = b->n_nodes,
        .first_value = b->n_values,
        .first_leaf = b->n_leaves,
        .n_leaves = tree->n_leaves,
        .output = tree->output,
        .vector = tree->vector,
    };
    uint32_t node = NONE;
    enum tern_code code = check_tree(b, tree, err);

    if (code == TERN_OK)
        code = make_room(b, tree, err);
    if (code == TERN_OK)
        code = add_values(b, tree, err);
    if (code == TERN_OK)
        code = add_linear(b, tree, err);
    if (code == TERN_OK)
        code = walk(b, tree, &made, &node, err);
    if (code != TERN_OK) {
        if (node == NONE)
            tern_err_prefix(err, "tree %zu", b->n_trees);
        else
            tern_err_prefix(err, "tree %zu, node %u", b->n_trees, node);
        return code;
    }
    b->n_nodes += made.n_nodes;
    b->n_values += (size_t)tree->n_leaves * (tree->vector ? b->settings.n_outputs : 1);
    b->n_leaves += tree->n_leaves;
    b->has_large =
        b->has_large || made.n_nodes > TERN_TREE_NODES_MAX || tree->n_leaves > TERN_TREE_NODES_MAX;
    b->trees[b->n_trees++] = made;
    return TERN_OK;
}

void tern_forest_builder_average(struct tern_forest_builder *b, uint32_t n)
{
    b->settings.n_averaged = n;
}

enum tern_code tern_forest_builder_widen(struct tern_forest_builder *b, uint32_t n_features,
                                         uint32_t n_outputs, struct tern_err *err)
{
    uint32_t old = b->settings.n_outputs;

    TERN_TRY(check_size(n_features, n_outputs, err));
    if (n_features > b->settings.n_features)
        b->settings.n_features = n_features;
    if (n_outputs <= old)
        return TERN_OK;
    double *base = tern_mem_realloc(b->base, n_outputs * sizeof(*base));
    if (base == NULL)
        return tern_mem_fail(err, "a forest", n_outputs * sizeof(*base));
    memset(base + old, 0, (n_outputs - old) * sizeof(*base));
    b->base = base;
    b->settings.base = base;
    b->settings.n_outputs = n_outputs;
    return TERN_OK;
}

enum tern_code tern_forest_builder_finish(struct tern_forest_builder *b,
                                          struct tern_forest **ret_forest, struct tern_err *err)
{
    return tern_forest_compile(b, ret_forest, err);
}
