/* HistGradientBoosting: a baseline, and trees whose values are added to it, round by round. Rows
 * are doubles.
 *
 * Columns of categories are put first and encoded before the trees see them: a category is its
 * number among those of the training, and one that it did not see is missing. Here trees ask for
 * the categories themselves, so that rows stay as they come. */
#include "engine/native/sklearn/sklearn.h"

#include <math.h>
#include "base/compiler.h"

#define WORK_CHUNK ((size_t)64 << 10)
#define WORK_MAX   ((size_t)16 << 30)
#define CATEGORIES 256
#define WORDS      8 /* of a set, of 32 bits: one bit a category */

struct hist {
    const struct tern_skops_node *node;
    struct tern_forest_builder *builder; /* owned */
    struct tern_arena work;              /* what one tree takes */
    struct tern_skops skops;             /* the file, reading into work */
    uint32_t n_features, n_scores;
    uint32_t *columns;                 /* of the row, of each feature that trees know */
    struct tern_skops_reals *encoders; /* of the first features: their categories */
    uint32_t n_encoders;
};

enum column {
    VALUE,
    COUNT,
    FEATURE,
    THRESHOLD,
    MISSING,
    LEFT,
    RIGHT,
    IS_LEAF,
    IS_SET,
    SET,
    COLUMNS
};

static const char *const names[COLUMNS] = {
    [VALUE] = "value",
    [COUNT] = "count",
    [FEATURE] = "feature_idx",
    [THRESHOLD] = "num_threshold",
    [MISSING] = "missing_go_to_left",
    [LEFT] = "left",
    [RIGHT] = "right",
    [IS_LEAF] = "is_leaf",
    [IS_SET] = "is_categorical",
    [SET] = "bitset_idx",
};

/* One tree. Every number of its nodes is exact as a double. */
struct tree {
    const struct tern_skops_node *node;
    const double *columns[COLUMNS];
    uint32_t n_nodes, n_leaves;
    struct tern_forest_node *nodes;
    double *values;
    const double *words; /* WORDS of each set: what goes left */
    size_t n_words;
};

static enum tern_code read_columns(struct hist *h, struct tree *tree, struct tern_err *err)
{
    struct tern_npy_view view;

    TERN_TRY(tern_skops_view(&h->skops, tree->node, &view, err));
    if (!view.is_record || view.rank != 1 || view.n == 0 || view.n > TERN_FOREST_NODES_MAX)
        return tern_skops_fail(tree->node, TERN_INVALID_ARGUMENT, err, "expected a list of nodes");
    for (uint32_t i = 0; i < COLUMNS; i++) {
        uint32_t at = tern_npy_view_column(&view, tern_str_of(names[i]));
        if (at == view.n_columns || tern_dtype_size(view.columns[at].dtype) == 0)
            return tern_skops_fail(tree->node, TERN_INVALID_ARGUMENT, err,
                                   "expected nodes to have a number '%s'", names[i]);
        double *numbers = tern_arena_alloc(&h->work, 8, view.n * sizeof(*numbers));
        if (numbers == NULL)
            return tern_arena_fail(&h->work, err, "a tree's nodes");
        tern_npy_view_reals(&view, at, numbers);
        tree->columns[i] = numbers;
    }
    tree->n_nodes = (uint32_t)view.n;
    tree->nodes = tern_arena_zalloc(&h->work, view.n, sizeof(*tree->nodes));
    tree->values = tern_arena_zalloc(&h->work, view.n, sizeof(*tree->values));
    if (tree->nodes == NULL || tree->values == NULL)
        return tern_arena_fail(&h->work, err, "a tree's nodes");
    return TERN_OK;
}

/* ---- categories ---- */

/* What the encoder knows of a column. The last may be NaN, which is missing anyway. */
static enum tern_code read_encoder(struct hist *h, const struct tern_skops_node *node,
                                   struct tern_skops_reals *categories, struct tern_err *err)
{
    TERN_TRY(tern_skops_node_reals(&h->skops, node, categories, err));
    if (categories->n > 0 && isnan(categories->p[categories->n - 1]))
        categories->n--;
    if (categories->n > CATEGORIES)
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "%zu categories, at most %d",
                               categories->n, CATEGORIES);
    for (size_t i = 0; i < categories->n; i++) {
        double x = categories->p[i];
        if (!(x >= 0 && x < TERN_FOREST_CATEGORY_MAX && x == trunc(x)))
            return tern_sklearn_refuse(h->node, "a category is no whole number from 0 to 2^24",
                                       err);
    }
    return TERN_OK;
}

static enum tern_code read_encoders(struct hist *h, const struct tern_skops_node *preprocessor,
                                    struct tern_err *err)
{
    const struct tern_skops_node *transformers = NULL, *list = NULL;

    TERN_TRY(tern_sklearn_list(preprocessor, "transformers_", &transformers, err));
    const struct tern_skops_node *first = transformers->first;
    if (first->n != 3 || !tern_skops_is(first->first->next, "OrdinalEncoder"))
        return tern_skops_fail(first, TERN_INVALID_ARGUMENT, err,
                               "expected the encoder of categories");
    TERN_TRY(tern_sklearn_list(first->first->next, "categories_", &list, err));
    if (list->n > h->n_features)
        return tern_skops_fail(list, TERN_INVALID_ARGUMENT, err, "%u columns, the model has %u",
                               list->n, h->n_features);
    h->encoders = tern_arena_zalloc(h->skops.scratch, list->n, sizeof(*h->encoders));
    if (h->encoders == NULL)
        return tern_arena_fail(h->skops.scratch, err, "categories");
    for (const struct tern_skops_node *item = list->first; item != NULL; item = item->next)
        TERN_TRY(read_encoder(h, item, &h->encoders[h->n_encoders++], err));
    return TERN_OK;
}

/* Trees know the encoded columns first, then the others. */
static enum tern_code read_order(struct hist *h, const struct tern_skops_node *preprocessor,
                                 struct tern_err *err)
{
    static const char *const parts[] = {"encoder", "numerical"};
    const struct tern_skops_node *indices = NULL, *part = NULL;
    struct tern_skops_reals list = {.n = 0};
    uint32_t n = 0;

    TERN_TRY(tern_skops_want(preprocessor, "_transformer_to_input_indices", &indices, err));
    for (size_t k = 0; k < TERN_COUNT_OF(parts); k++) {
        TERN_TRY(tern_skops_want(indices, parts[k], &part, err));
        TERN_TRY(tern_skops_node_reals(&h->skops, part, &list, err));
        for (size_t i = 0; i < list.n && n < h->n_features; i++) {
            if (!(list.p[i] >= 0 && list.p[i] < h->n_features))
                return tern_skops_fail(part, TERN_INVALID_ARGUMENT, err,
                                       "column %.0f, the model has %u", list.p[i], h->n_features);
            h->columns[n++] = (uint32_t)list.p[i];
        }
        if (k == 0 && n != h->n_encoders)
            return tern_skops_fail(part, TERN_INVALID_ARGUMENT, err,
                                   "%u columns, and categories of %u", n, h->n_encoders);
    }
    if (n != h->n_features)
        return tern_skops_fail(indices, TERN_INVALID_ARGUMENT, err, "%u columns, the model has %u",
                               n, h->n_features);
    return TERN_OK;
}

static enum tern_code read_preprocessor(struct hist *h, struct tern_err *err)
{
    const struct tern_skops_node *preprocessor = tern_skops_find(h->node, "_preprocessor");

    h->columns = tern_arena_zalloc(h->skops.scratch, h->n_features, sizeof(*h->columns));
    if (h->columns == NULL)
        return tern_arena_fail(h->skops.scratch, err, "columns");
    for (uint32_t i = 0; i < h->n_features; i++)
        h->columns[i] = i;
    if (tern_skops_is_null(preprocessor))
        return TERN_OK;
    TERN_TRY(read_encoders(h, preprocessor, err));
    return read_order(h, preprocessor, err);
}

/* Where missing values go left, so does every category but those that are told to go right; else
 * only those go left that are told to. */
static enum tern_code make_set(struct hist *h, const struct tree *tree, uint32_t i,
                               uint32_t feature, struct tern_forest_node *made,
                               struct tern_err *err)
{
    bool misses_left = tree->columns[MISSING][i] != 0;
    double set = tree->columns[SET][i];
    size_t n_sets = tree->n_words / WORDS;
    uint32_t members[CATEGORIES];
    size_t n = 0;

    if (feature >= h->n_encoders)
        return tern_skops_fail(tree->node, TERN_UNIMPLEMENTED, err,
                               "node %u: feature %u has no encoder, which models of scikit-learn "
                               "1.4 and later have",
                               i, feature);
    if (!(set >= 0 && set < (double)n_sets))
        return tern_skops_fail(tree->node, TERN_INVALID_ARGUMENT, err, "node %u: set %.0f of %zu",
                               i, set, n_sets);
    const double *words = tree->words + (size_t)set * WORDS;
    for (size_t k = 0; k < h->encoders[feature].n; k++) {
        bool goes_left = ((uint32_t)words[k / 32] >> k % 32 & 1) != 0;
        if (goes_left != misses_left)
            members[n++] = (uint32_t)h->encoders[feature].p[k];
    }
    made->test = TERN_FOREST_MEMBER;
    made->missing_yes = false;
    if (misses_left) {
        uint32_t left = made->yes;
        made->yes = made->no;
        made->no = left;
    }
    return tern_forest_builder_add_set(h->builder, members, n, TERN_FOREST_EXACT, &made->set, err);
}

/* ---- trees ---- */

static bool is_below(double x, uint32_t n)
{
    return x >= 0 && x < n;
}

static enum tern_code make_node(struct hist *h, struct tree *tree, uint32_t i, struct tern_err *err)
{
    struct tern_forest_node *made = &tree->nodes[i];
    double left = tree->columns[LEFT][i], right = tree->columns[RIGHT][i];
    double feature = tree->columns[FEATURE][i];

    made->cover = tree->columns[COUNT][i];
    if (tree->columns[IS_LEAF][i] != 0) {
        made->test = TERN_FOREST_LEAF;
        made->leaf = tree->n_leaves;
        tree->values[tree->n_leaves++] = tree->columns[VALUE][i];
        return TERN_OK;
    }
    if (!is_below(left, tree->n_nodes) || !is_below(right, tree->n_nodes))
        return tern_skops_fail(tree->node, TERN_INVALID_ARGUMENT, err,
                               "node %u: its child %.0f is none of the %u nodes", i,
                               is_below(left, tree->n_nodes) ? right : left, tree->n_nodes);
    if (!is_below(feature, h->n_features))
        return tern_skops_fail(tree->node, TERN_INVALID_ARGUMENT, err,
                               "node %u: feature %.0f, the model has %u", i, feature,
                               h->n_features);
    made->test = TERN_FOREST_LESS_EQUAL;
    made->yes = (uint32_t)left;
    made->no = (uint32_t)right;
    made->feature = h->columns[(size_t)feature];
    made->threshold = tree->columns[THRESHOLD][i];
    made->missing_yes = tree->columns[MISSING][i] != 0;
    if (tree->columns[IS_SET][i] == 0)
        return TERN_OK;
    return make_set(h, tree, i, (uint32_t)feature, made, err);
}

static enum tern_code read_sets(struct hist *h, const struct tern_skops_node *predictor,
                                struct tree *tree, struct tern_err *err)
{
    struct tern_skops_reals words = {.n = 0};

    TERN_TRY(tern_skops_reals(&h->skops, predictor, "raw_left_cat_bitsets", &words, err));
    for (size_t i = 0; i < words.n; i++)
        if (!(words.p[i] >= 0 && words.p[i] <= UINT32_MAX))
            return tern_skops_fail(predictor, TERN_INVALID_ARGUMENT, err,
                                   "expected sets of categories as words of 32 bits");
    tree->words = words.p;
    tree->n_words = words.n;
    return TERN_OK;
}

static enum tern_code add_tree(struct hist *h, const struct tern_skops_node *predictor,
                               uint32_t output, struct tern_err *err)
{
    struct tree tree = {.n_nodes = 0};

    tern_arena_reset(&h->work);
    h->skops.scratch = &h->work;
    TERN_TRY(tern_skops_want(predictor, "nodes", &tree.node, err));
    TERN_TRY(read_columns(h, &tree, err));
    TERN_TRY(read_sets(h, predictor, &tree, err));
    for (uint32_t i = 0; i < tree.n_nodes; i++)
        TERN_TRY(make_node(h, &tree, i, err));
    const struct tern_forest_tree made = {
        .nodes = tree.nodes,
        .n_nodes = tree.n_nodes,
        .values = tree.values,
        .n_leaves = tree.n_leaves,
        .output = output,
    };
    enum tern_code code = tern_forest_builder_add_tree(h->builder, &made, err);
    if (code != TERN_OK)
        tern_skops_place(tree.node, err);
    return code;
}

static enum tern_code add_rounds(struct hist *h, struct tern_err *err)
{
    const struct tern_skops_node *rounds = NULL;

    TERN_TRY(tern_sklearn_list(h->node, "_predictors", &rounds, err));
    for (const struct tern_skops_node *round = rounds->first; round != NULL; round = round->next) {
        uint32_t output = 0;
        if (round->n != h->n_scores)
            return tern_skops_fail(round, TERN_INVALID_ARGUMENT, err,
                                   "%u trees a round, expected %u", round->n, h->n_scores);
        for (const struct tern_skops_node *item = round->first; item != NULL; item = item->next)
            TERN_TRY(add_tree(h, item, output++, err));
    }
    return TERN_OK;
}

static enum tern_code grow(struct tern_sklearn *s, struct hist *h, uint32_t *ret_value,
                           struct tern_err *err)
{
    const double *baseline = NULL;
    struct tern_forest *forest;

    TERN_TRY(read_preprocessor(h, err));
    TERN_TRY(
        tern_skops_vector(&h->skops, h->node, "_baseline_prediction", h->n_scores, &baseline, err));
    const struct tern_forest_settings settings = {
        .n_features = s->width,
        .n_outputs = h->n_scores,
        .base = baseline,
        .base_first = true,
    };
    TERN_TRY(tern_forest_builder_new(&settings, &h->builder, err));
    TERN_TRY(add_rounds(h, err));
    TERN_TRY(tern_forest_builder_finish(h->builder, &forest, err));
    *ret_value = s->value;
    return tern_op_forest(s->program, forest, ret_value, err);
}

enum tern_code tern_sklearn_hist(struct tern_sklearn *s, const struct tern_skops_node *node,
                                 struct tern_err *err)
{
    struct hist h = {.node = node, .skops = s->skops, .n_features = s->width, .n_scores = 1};
    struct tern_op_decide decide = {.threshold = 0};
    struct tern_sklearn_loss loss;
    uint32_t value = 0;

    TERN_TRY(tern_sklearn_loss(node, &loss, err));
    if (tern_skops_find(node, "classes_") != NULL)
        TERN_TRY(tern_sklearn_classes(s, node, &decide.classes, err));
    TERN_TRY(tern_sklearn_loss_check(&loss, node, decide.classes.n, &h.n_scores, err));
    tern_arena_init(&h.work, WORK_CHUNK, WORK_MAX);
    enum tern_code code = grow(s, &h, &value, err);
    tern_forest_builder_free(h.builder);
    tern_arena_fini(&h.work);
    TERN_TRY(code);
    return tern_sklearn_loss_give(s, &loss, &decide, value, err);
}
