/* One tree of LightGBM's text. Its lines are found first and read when all are known, so that their
 * order is free, as it is for LightGBM. */
#include "engine/native/lightgbm/lightgbm_text.h"

#include <math.h>
#include <string.h>
#include "base/grow.h"
#include "base/mem.h"
#include "base/num.h"
#include "simd/numbers.h"

static const char *const tree_lines[TERN_LIGHTGBM_LINE_COUNT] = {
#define X(name) #name,
    TERN_LIGHTGBM_LINES(X)
#undef X
};

#define DECISION_CATEGORICAL  1
#define DECISION_DEFAULT_LEFT 2
#define DECISION_MISSING(d)   ((enum tern_lightgbm_missing)((d) >> 2))
#define DECISION_MAX          11 /* with the last kind of missing */

/* ---- values ---- */

static enum tern_code fail_count(const struct tern_lightgbm_text *text, enum tern_lightgbm_line key,
                                 size_t expected, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "%s: expected %zu numbers, got %zu",
                     tree_lines[key], expected, tern_lightgbm_count_words(text->values[key]));
}

/* n words need at least 2 n - 1 bytes: so that no count makes us take more than the file has. */
static enum tern_code check_room(const struct tern_lightgbm_text *text, enum tern_lightgbm_line key,
                                 size_t n, struct tern_err *err)
{
    if (text->values[key].p == NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%s is missing", tree_lines[key]);
    return n > text->values[key].n / 2 + 1 ? fail_count(text, key, n, err) : TERN_OK;
}

/* Whole numbers from min to max, exactly n, into text->integers. */
static enum tern_code read_integers(struct tern_lightgbm_text *text, enum tern_lightgbm_line key,
                                    size_t n, int64_t min, int64_t max, struct tern_err *err)
{
    struct tern_str rest = text->values[key];
    struct tern_str word;
    size_t i = 0;

    TERN_TRY(check_room(text, key, n, err));
    TERN_TRY(tern_grow(&text->integers, &text->integers_cap, 0, n, sizeof(*text->integers),
                       TERN_LIGHTGBM_PARTS_MAX, "whole numbers in a line", err));
    for (; tern_lightgbm_next_word(&rest, &word); i++) {
        int64_t value;
        if (i == n)
            return fail_count(text, key, n, err);
        if (!tern_num_parse_i64(word, &value) || value < min || value > max)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "%s: value %zu: expected a whole number from %lld to %lld, got '%.*s'",
                             tree_lines[key], i, (long long)min, (long long)max,
                             TERN_STR_ARG(word));
        text->integers[i] = value;
    }
    return i == n ? TERN_OK : fail_count(text, key, n, err);
}

/* The double nearest to a decimal, as printf writes one: thresholds may be infinite. */
static bool read_real(struct tern_str word, double *ret)
{
    bool minus = word.n > 0 && word.p[0] == '-';
    size_t used;

    if (tern_numbers_read_double(word, ret, &used, NULL) == TERN_OK)
        return used == word.n;
    if (!tern_str_eq(minus ? tern_str_from(word, 1) : word, TERN_STR("inf")))
        return false;
    *ret = minus ? -INFINITY : INFINITY;
    return true;
}

static enum tern_code read_reals_to(struct tern_lightgbm_text *text, enum tern_lightgbm_line key,
                                    size_t n, double *to, struct tern_err *err)
{
    struct tern_str rest = text->values[key];
    struct tern_str word;
    size_t i = 0;

    for (; tern_lightgbm_next_word(&rest, &word); i++) {
        if (i == n)
            return fail_count(text, key, n, err);
        if (!read_real(word, &to[i]))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "%s: value %zu: expected a number, got '%.*s'", tree_lines[key], i,
                             TERN_STR_ARG(word));
    }
    return i == n ? TERN_OK : fail_count(text, key, n, err);
}

/* Numbers, exactly n, into text->reals. */
static enum tern_code read_reals(struct tern_lightgbm_text *text, enum tern_lightgbm_line key,
                                 size_t n, struct tern_err *err)
{
    TERN_TRY(check_room(text, key, n, err));
    TERN_TRY(tern_grow(&text->reals, &text->reals_cap, 0, n, sizeof(*text->reals),
                       TERN_LIGHTGBM_PARTS_MAX, "numbers in a line", err));
    return read_reals_to(text, key, n, text->reals, err);
}

static enum tern_code read_integer(struct tern_lightgbm_text *text, enum tern_lightgbm_line key,
                                   int64_t min, int64_t max, uint32_t *ret, struct tern_err *err)
{
    TERN_TRY(read_integers(text, key, 1, min, max, err));
    *ret = (uint32_t)text->integers[0];
    return TERN_OK;
}

/* ---- the tree ---- */

/* The lines of a tree, through the empty one after them. */
static enum tern_code find_lines(struct tern_lightgbm_text *text, struct tern_err *err)
{
    struct tern_str line, key, value;

    memset(text->values, 0, sizeof(text->values));
    while (tern_lightgbm_next_line(text, &line) && line.n > 0) {
        size_t i = 0;
        if (!tern_lightgbm_cut_key(line, &key, &value))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "expected 'key=value', got '%.*s'",
                             TERN_STR_ARG(line));
        while (i < TERN_LIGHTGBM_LINE_COUNT && !tern_str_eq(tern_str_of(tree_lines[i]), key))
            i++;
        if (i == TERN_LIGHTGBM_LINE_COUNT)
            return tern_fail(err, TERN_UNIMPLEMENTED, "what '%.*s' does is not known",
                             TERN_STR_ARG(key));
        if (text->values[i].p != NULL)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "%s stands there twice", tree_lines[i]);
        text->values[i] = value.p == NULL ? TERN_STR("") : value;
    }
    return TERN_OK;
}

/* Set i of the tree: the members of the words from..to of a bit set. */
static enum tern_code add_set(struct tern_lightgbm_text *text, uint32_t i, size_t from, size_t to,
                              struct tern_err *err)
{
    uint32_t n = 0;

    if (to - from > TERN_FOREST_CATEGORY_MAX / 32)
        return tern_fail(err, TERN_UNIMPLEMENTED, "cat_boundaries: categories from %u on",
                         TERN_FOREST_CATEGORY_MAX);
    TERN_TRY(tern_grow(&text->categories, &text->categories_cap, 0, (to - from) * 32,
                       sizeof(*text->categories), TERN_LIGHTGBM_PARTS_MAX, "categories of a set",
                       err));
    for (size_t word = from; word < to; word++) {
        for (uint32_t bits = (uint32_t)text->integers[word]; bits != 0; bits &= bits - 1)
            text->categories[n++] = (uint32_t)(word - from) * 32 + (uint32_t)__builtin_ctz(bits);
    }
    return tern_forest_builder_add_set(text->model.builder, text->categories, n,
                                       TERN_FOREST_TOWARD_ZERO, &text->sets[i], err);
}

/* Where the words of each set begin. */
static enum tern_code read_bounds(struct tern_lightgbm_text *text, uint32_t n_sets,
                                  struct tern_err *err)
{
    size_t bytes = text->values[TERN_LIGHTGBM_LINE_cat_threshold].n;

    TERN_TRY(check_room(text, TERN_LIGHTGBM_LINE_cat_threshold, 0, err));
    TERN_TRY(read_integers(text, TERN_LIGHTGBM_LINE_cat_boundaries, (size_t)n_sets + 1, 0,
                           (int64_t)(bytes / 2 + 1), err));
    TERN_TRY(tern_grow(&text->bounds, &text->bounds_cap, 0, n_sets + 1, sizeof(*text->bounds),
                       TERN_LIGHTGBM_PARTS_MAX, "category sets of a tree", err));
    for (uint32_t i = 0; i <= n_sets; i++) {
        text->bounds[i] = text->integers[i];
        if (i == 0 ? text->bounds[i] != 0 : text->bounds[i] < text->bounds[i - 1])
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "cat_boundaries: value %u: expected to begin with 0 and to rise", i);
    }
    return TERN_OK;
}

/* The tree's sets of categories, in text->sets. */
static enum tern_code read_sets(struct tern_lightgbm_text *text, uint32_t n_sets,
                                struct tern_err *err)
{
    TERN_TRY(read_bounds(text, n_sets, err));
    TERN_TRY(tern_grow(&text->sets, &text->sets_cap, 0, n_sets, sizeof(*text->sets),
                       TERN_LIGHTGBM_PARTS_MAX, "category sets of a tree", err));
    TERN_TRY(read_integers(text, TERN_LIGHTGBM_LINE_cat_threshold, (size_t)text->bounds[n_sets], 0,
                           UINT32_MAX, err));
    for (uint32_t i = 0; i < n_sets; i++)
        TERN_TRY(add_set(text, i, (size_t)text->bounds[i], (size_t)text->bounds[i + 1], err));
    return TERN_OK;
}

static enum tern_code read_children(struct tern_lightgbm_text *text, uint32_t n,
                                    struct tern_err *err)
{
    struct tern_lightgbm_tree *tree = &text->model.tree;
    int64_t min = -(int64_t)tree->n_leaves;
    int64_t max = (int64_t)n - 1;

    TERN_TRY(read_integers(text, TERN_LIGHTGBM_LINE_left_child, n, min, max, err));
    for (uint32_t i = 0; i < n; i++)
        tree->nodes[i].yes = tern_lightgbm_tree_child(tree, text->integers[i]);
    TERN_TRY(read_integers(text, TERN_LIGHTGBM_LINE_right_child, n, min, max, err));
    for (uint32_t i = 0; i < n; i++)
        tree->nodes[i].no = tern_lightgbm_tree_child(tree, text->integers[i]);
    return TERN_OK;
}

/* Split i by a category: its threshold is the number of its set. */
static enum tern_code split_categories(struct tern_lightgbm_text *text, uint32_t i,
                                       double threshold, uint32_t n_sets, struct tern_err *err)
{
    if (!(threshold >= 0 && threshold < n_sets) || threshold != floor(threshold))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "threshold: value %u: expected one of %u sets of categories, got %g", i,
                         n_sets, threshold);
    tern_lightgbm_split_categories(&text->model.tree.nodes[i], text->sets[(uint32_t)threshold]);
    return TERN_OK;
}

static enum tern_code read_splits(struct tern_lightgbm_text *text, uint32_t n_sets,
                                  struct tern_err *err)
{
    struct tern_lightgbm_tree *tree = &text->model.tree;
    uint32_t n = tree->n_leaves - 1;

    if (n_sets > 0)
        TERN_TRY(read_sets(text, n_sets, err));
    TERN_TRY(read_integers(text, TERN_LIGHTGBM_LINE_split_feature, n, 0,
                           (int64_t)text->model.n_features - 1, err));
    for (uint32_t i = 0; i < n; i++)
        tree->nodes[i].feature = (uint32_t)text->integers[i];
    TERN_TRY(read_children(text, n, err));
    TERN_TRY(read_reals(text, TERN_LIGHTGBM_LINE_threshold, n, err));
    if (text->values[TERN_LIGHTGBM_LINE_decision_type].p == NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "decision_type is missing");
    TERN_TRY(read_integers(text, TERN_LIGHTGBM_LINE_decision_type, n, 0, DECISION_MAX, err));
    for (uint32_t i = 0; i < n; i++) {
        int decision = (int)text->integers[i];
        double threshold = text->reals[i];
        if ((decision & DECISION_CATEGORICAL) != 0)
            TERN_TRY(split_categories(text, i, threshold, n_sets, err));
        else
            tern_lightgbm_split(&tree->nodes[i], threshold, (decision & DECISION_DEFAULT_LEFT) != 0,
                                DECISION_MISSING(decision));
    }
    return TERN_OK;
}

/* How many rows of the training came to each node. */
static enum tern_code read_covers(struct tern_lightgbm_text *text, struct tern_err *err)
{
    struct tern_lightgbm_tree *tree = &text->model.tree;
    uint32_t n = tree->n_leaves - 1;

    if (text->values[TERN_LIGHTGBM_LINE_leaf_count].p == NULL ||
        text->values[TERN_LIGHTGBM_LINE_internal_count].p == NULL)
        return TERN_OK;
    TERN_TRY(read_integers(text, TERN_LIGHTGBM_LINE_leaf_count, tree->n_leaves, 0, INT32_MAX, err));
    for (uint32_t i = 0; i < tree->n_leaves; i++)
        tree->nodes[n + i].cover = (double)text->integers[i];
    TERN_TRY(read_integers(text, TERN_LIGHTGBM_LINE_internal_count, n, 0, INT32_MAX, err));
    for (uint32_t i = 0; i < n; i++)
        tree->nodes[i].cover = (double)text->integers[i];
    return TERN_OK;
}

static enum tern_code read_terms(struct tern_lightgbm_text *text, uint32_t n, struct tern_err *err)
{
    struct tern_lightgbm_tree *tree = &text->model.tree;

    TERN_TRY(tern_lightgbm_tree_terms(tree, n, err));
    TERN_TRY(read_integers(text, TERN_LIGHTGBM_LINE_leaf_features, n, 0,
                           (int64_t)text->model.n_features - 1, err));
    for (uint32_t i = 0; i < n; i++)
        tree->features[i] = (uint32_t)text->integers[i];
    TERN_TRY(check_room(text, TERN_LIGHTGBM_LINE_leaf_coeff, n, err));
    TERN_TRY(read_reals_to(text, TERN_LIGHTGBM_LINE_leaf_coeff, n, tree->coefficients, err));
    tree->n_terms = n;
    return TERN_OK;
}

static enum tern_code read_linear(struct tern_lightgbm_text *text, struct tern_err *err)
{
    struct tern_lightgbm_tree *tree = &text->model.tree;
    size_t n_terms = 0;

    TERN_TRY(read_reals(text, TERN_LIGHTGBM_LINE_leaf_const, tree->n_leaves, err));
    TERN_TRY(read_integers(text, TERN_LIGHTGBM_LINE_num_features, tree->n_leaves, 0,
                           text->model.n_features, err));
    for (uint32_t i = 0; i < tree->n_leaves; i++) {
        tree->linear[i].constant = text->reals[i];
        tree->linear[i].n = (uint32_t)text->integers[i];
        n_terms += tree->linear[i].n;
    }
    if (n_terms > UINT32_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "num_features: more than %u", UINT32_MAX);
    if (n_terms > 0) {
        TERN_TRY(check_room(text, TERN_LIGHTGBM_LINE_leaf_features, n_terms, err));
        TERN_TRY(read_terms(text, (uint32_t)n_terms, err));
    }
    size_t at = 0;
    for (uint32_t i = 0; n_terms > 0 && i < tree->n_leaves; i++) {
        tree->linear[i].features = tree->features + at;
        tree->linear[i].coefficients = tree->coefficients + at;
        at += tree->linear[i].n;
    }
    return TERN_OK;
}

static enum tern_code read_tree(struct tern_lightgbm_text *text, struct tern_err *err)
{
    struct tern_lightgbm_tree *tree = &text->model.tree;
    uint32_t n_leaves, n_sets;
    uint32_t is_linear = 0;

    TERN_TRY(read_integer(text, TERN_LIGHTGBM_LINE_num_leaves, 1, TERN_FOREST_LEAVES_MAX / 2,
                          &n_leaves, err));
    TERN_TRY(read_integer(text, TERN_LIGHTGBM_LINE_num_cat, 0, INT32_MAX, &n_sets, err));
    if (text->values[TERN_LIGHTGBM_LINE_is_linear].p != NULL)
        TERN_TRY(read_integer(text, TERN_LIGHTGBM_LINE_is_linear, 0, 1, &is_linear, err));
    TERN_TRY(check_room(text, TERN_LIGHTGBM_LINE_leaf_value, n_leaves, err));
    TERN_TRY(tern_lightgbm_tree_begin(tree, n_leaves, err));
    TERN_TRY(read_reals_to(text, TERN_LIGHTGBM_LINE_leaf_value, n_leaves, tree->values, err));
    if (n_leaves > 1) {
        TERN_TRY(read_splits(text, n_sets, err));
        TERN_TRY(read_covers(text, err));
    }
    tree->is_linear = is_linear != 0;
    if (tree->is_linear)
        TERN_TRY(read_linear(text, err));
    return tern_lightgbm_add(&text->model, err);
}

enum tern_code tern_lightgbm_text_tree(struct tern_lightgbm_text *text, struct tern_err *err)
{
    TERN_TRY(find_lines(text, err));
    return read_tree(text, err);
}

void tern_lightgbm_text_fini(struct tern_lightgbm_text *text)
{
    tern_mem_free(text->integers);
    tern_mem_free(text->reals);
    tern_mem_free(text->categories);
    tern_mem_free(text->sets);
    tern_mem_free(text->bounds);
}
