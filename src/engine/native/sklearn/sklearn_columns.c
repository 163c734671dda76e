/* ColumnTransformer: each transformer gets some of the columns, and what they make stands side by
 * side. Where some columns are texts, a model has an input for each column that is used. */
#include "engine/native/sklearn/sklearn.h"

#include <string.h>

/* One transformer of the list: a name, the estimator, its columns. */
struct branch {
    const struct tern_skops_node *estimator;
    int64_t *columns;
    uint32_t n;
};

static bool is_drop(const struct tern_skops_node *estimator)
{
    return estimator->kind == TERN_SKOPS_VALUE &&
           tern_str_eq(estimator->text, TERN_STR("\"drop\""));
}

/* Of a dictionary whose keys are not known here. */
static const struct tern_skops_node *entry_of(const struct tern_skops_node *dict,
                                              struct tern_str key)
{
    const struct tern_skops_node *entry = dict->first;

    while (entry != NULL && !tern_str_eq(entry->key, key))
        entry = entry->next;
    return entry;
}

/* n is 0 where nothing comes of it. */
static enum tern_code read_branch(const struct tern_sklearn *s, const struct tern_skops_node *node,
                                  const struct tern_skops_node *item, struct branch *ret,
                                  struct tern_err *err)
{
    const struct tern_skops_node *indices = NULL, *list;
    struct tern_skops_reals columns = {.n = 0};
    struct tern_str name = {NULL, 0};

    if (item->n != 3)
        return tern_skops_fail(item, TERN_INVALID_ARGUMENT, err,
                               "expected a name, a transformer and columns");
    *ret = (struct branch){.estimator = item->first->next};
    if (is_drop(ret->estimator))
        return TERN_OK;
    TERN_TRY(tern_skops_node_text(&s->skops, item->first, &name, err));
    TERN_TRY(tern_skops_want(node, "_transformer_to_input_indices", &indices, err));
    list = entry_of(indices, name);
    if (list == NULL)
        return tern_skops_fail(indices, TERN_INVALID_ARGUMENT, err, "expected '%.*s'",
                               TERN_STR_ARG(name));
    TERN_TRY(tern_skops_node_reals(&s->skops, list, &columns, err));
    ret->columns = tern_arena_zalloc(s->skops.scratch, columns.n + 1, sizeof(*ret->columns));
    if (ret->columns == NULL)
        return tern_arena_fail(s->skops.scratch, err, "columns");
    for (size_t i = 0; i < columns.n; i++) {
        if (!(columns.p[i] >= 0 && columns.p[i] < s->width))
            return tern_skops_fail(list, TERN_INVALID_ARGUMENT, err, "column %.0f, there are %u",
                                   columns.p[i], s->width);
        ret->columns[i] = (int64_t)columns.p[i];
    }
    ret->n = (uint32_t)columns.n;
    return TERN_OK;
}

/* ---- inputs ---- */

enum use { UNUSED, NUMBER, TEXT };

/* Whether column i of a branch is text: its first step says so, if it is one that looks at texts.
 */
static enum tern_code is_text(const struct tern_sklearn *s, const struct tern_skops_node *first,
                              uint32_t i, bool *ret, struct tern_err *err)
{
    const struct tern_skops_node *list;

    *ret = false;
    if (tern_skops_is(first, "SimpleImputer"))
        return tern_sklearn_has_texts(s, tern_skops_find(first, "statistics_"), ret, err);
    if (!tern_skops_is(first, "OneHotEncoder") && !tern_skops_is(first, "OrdinalEncoder"))
        return TERN_OK;
    TERN_TRY(tern_sklearn_list(first, "categories_", &list, err));
    return i < list->n ? tern_sklearn_has_texts(s, tern_skops_child(list, i), ret, err) : TERN_OK;
}

static enum tern_code note_uses(const struct tern_sklearn *s, const struct branch *branch,
                                enum use *uses, struct tern_err *err)
{
    const struct tern_skops_node *first = branch->estimator;
    bool text = false;

    if (branch->n > 0)
        TERN_TRY(tern_sklearn_first(branch->estimator, &first, err));
    for (uint32_t i = 0; i < branch->n; i++) {
        enum use *use = &uses[branch->columns[i]];
        if (first != NULL)
            TERN_TRY(is_text(s, first, i, &text, err));
        if (*use != UNUSED && (*use == TEXT) != text)
            return tern_skops_fail(branch->estimator, TERN_UNIMPLEMENTED, err,
                                   "column %lld is text here and a number elsewhere",
                                   (long long)branch->columns[i]);
        *use = text ? TEXT : NUMBER;
    }
    return TERN_OK;
}

static enum tern_code make_input(struct tern_sklearn *s, const struct tern_str *names, uint32_t i,
                                 enum use use, struct tern_err *err)
{
    struct tern_str name =
        names != NULL ? names[i] : tern_arena_printf(s->skops.scratch, "input__%u", i);
    const struct tern_tensor_spec input = {
        .name = name,
        .dtype = use == TEXT ? TERN_DTYPE_BYTES : TERN_DTYPE_FP64,
        .shape = {2, {-1, 1}},
    };

    if (name.p == NULL)
        return tern_arena_fail(s->skops.scratch, err, "a name");
    return tern_program_input(s->program, &input, &s->columns[i], err);
}

static enum tern_code make_inputs(struct tern_sklearn *s, const struct tern_skops_node *node,
                                  const enum use *uses, struct tern_err *err)
{
    const struct tern_skops_node *list = tern_skops_find(node, "feature_names_in_");
    const struct tern_str *names = NULL;
    size_t n = s->width;

    s->columns = tern_arena_zalloc(s->skops.scratch, s->width, sizeof(*s->columns));
    if (s->columns == NULL)
        return tern_arena_fail(s->skops.scratch, err, "columns");
    if (list != NULL)
        TERN_TRY(tern_skops_texts(&s->skops, list, &names, &n, err));
    if (n != s->width)
        return tern_skops_fail(list, TERN_INVALID_ARGUMENT, err, "expected %u names, got %zu",
                               s->width, n);
    for (uint32_t i = 0; i < s->width; i++)
        if (uses[i] != UNUSED)
            TERN_TRY(make_input(s, names, i, uses[i], err));
    return TERN_OK;
}

enum tern_code tern_sklearn_column_inputs(struct tern_sklearn *s,
                                          const struct tern_skops_node *node, struct tern_err *err)
{
    enum use *uses = tern_arena_zalloc(s->skops.scratch, s->width, sizeof(*uses));
    const struct tern_skops_node *list = NULL;
    struct branch branch;
    bool has_text = false;

    if (uses == NULL)
        return tern_arena_fail(s->skops.scratch, err, "columns");
    TERN_TRY(tern_sklearn_list(node, "transformers_", &list, err));
    for (const struct tern_skops_node *item = list->first; item != NULL; item = item->next) {
        TERN_TRY(read_branch(s, node, item, &branch, err));
        TERN_TRY(note_uses(s, &branch, uses, err));
    }
    for (uint32_t i = 0; i < s->width; i++)
        has_text = has_text || uses[i] == TEXT;
    return has_text ? make_inputs(s, node, uses, err) : TERN_OK;
}

/* ---- steps ---- */

static enum tern_code pick(struct tern_sklearn *s, const struct branch *branch,
                           struct tern_err *err)
{
    if (s->columns == NULL) {
        TERN_TRY(tern_op_cast(s->program, TERN_DTYPE_FP64, &s->value, err));
        return tern_sklearn_pick(s, branch->columns, branch->n, &s->value, err);
    }
    struct tern_sklearn_input *parts =
        tern_arena_zalloc(s->skops.scratch, branch->n, sizeof(*parts));
    if (parts == NULL)
        return tern_arena_fail(s->skops.scratch, err, "columns");
    for (uint32_t i = 0; i < branch->n; i++) {
        parts[i].value = s->columns[branch->columns[i]];
        if (s->program->values[parts[i].value].tensor.dtype !=
            s->program->values[parts[0].value].tensor.dtype)
            return tern_skops_fail(branch->estimator, TERN_UNIMPLEMENTED, err,
                                   "some of its columns are texts, and some numbers");
    }
    s->value = parts[0].value;
    return branch->n == 1 ? TERN_OK : tern_sklearn_join(s, parts, branch->n, &s->value, err);
}

/* What the branch makes of the columns; s is the branch's own. */
static enum tern_code make_branch(struct tern_sklearn *s, const struct branch *branch,
                                  struct tern_err *err)
{
    bool is_model = false;

    TERN_TRY(pick(s, branch, err));
    s->width = branch->n;
    s->columns = NULL;
    s->is_nested = true;
    TERN_TRY(tern_sklearn_steps(s, branch->estimator, &is_model, err));
    if (is_model || s->program->values[s->value].tensor.dtype != TERN_DTYPE_FP64)
        return tern_skops_fail(branch->estimator, TERN_UNIMPLEMENTED, err,
                               "expected a transformer that makes numbers");
    return TERN_OK;
}

enum tern_code tern_sklearn_columns(struct tern_sklearn *s, const struct tern_skops_node *node,
                                    struct tern_err *err)
{
    const struct tern_skops_node *list = NULL;
    struct branch branch;
    uint32_t n = 0;
    uint64_t width = 0;

    if (s->is_nested)
        return tern_sklearn_refuse(node, "it is within another one", err);
    if (!tern_skops_is_null(tern_skops_find(node, "transformer_weights")))
        return tern_sklearn_refuse(node, "it has transformer_weights", err);
    TERN_TRY(tern_sklearn_list(node, "transformers_", &list, err));
    struct tern_sklearn_input *parts = tern_arena_zalloc(s->skops.scratch, list->n, sizeof(*parts));
    if (parts == NULL)
        return tern_arena_fail(s->skops.scratch, err, "columns");
    for (const struct tern_skops_node *item = list->first; item != NULL; item = item->next) {
        TERN_TRY(read_branch(s, node, item, &branch, err));
        if (branch.n == 0)
            continue;
        struct tern_sklearn own = *s;
        TERN_TRY(make_branch(&own, &branch, err));
        parts[n++].value = own.value;
        width += own.width;
    }
    if (n == 0 || width > TERN_SKLEARN_WIDTH_MAX)
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "it makes %llu columns",
                               (unsigned long long)width);
    s->columns = NULL;
    s->width = (uint32_t)width;
    s->value = parts[0].value;
    return n == 1 ? TERN_OK : tern_sklearn_join(s, parts, n, &s->value, err);
}
