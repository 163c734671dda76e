/* OneHotEncoder and OrdinalEncoder: categories are numbers or texts.
 *
 * A text that is missing has no form in a tensor: the empty text stands for it, where it is no
 * category itself. */
#include <math.h>

#include "engine/native/ops/op_encode.h"
#include "engine/native/sklearn/sklearn.h"

struct categories {
    enum tern_dtype dtype; /* FP64 or BYTES */
    const void *cells;
    uint32_t n;
};

static bool is_text(const struct tern_skops_node *item)
{
    return item->kind == TERN_SKOPS_VALUE && item->text.n > 0 && item->text.p[0] == '"';
}

/* Whether a list holds texts: an array of them, or of objects of which one is. */
enum tern_code tern_sklearn_has_texts(const struct tern_sklearn *s,
                                      const struct tern_skops_node *list, bool *ret,
                                      struct tern_err *err)
{
    struct tern_npy_view view;

    *ret = false;
    for (const struct tern_skops_node *item = list->first; item != NULL; item = item->next)
        *ret = *ret || is_text(item);
    if (list->kind != TERN_SKOPS_ARRAY)
        return TERN_OK;
    TERN_TRY(tern_skops_view(&s->skops, list, &view, err));
    *ret = view.columns[0].dtype == TERN_DTYPE_BYTES;
    return TERN_OK;
}

/* Objects: texts, and None or NaN for what is missing, which is last. */
static enum tern_code object_texts(const struct tern_sklearn *s, const struct tern_skops_node *list,
                                   struct categories *ret, struct tern_err *err)
{
    struct tern_str *texts = tern_arena_zalloc(s->skops.scratch, list->n + 1u, sizeof(*texts));
    uint32_t n = 0;

    if (texts == NULL)
        return tern_arena_fail(s->skops.scratch, err, "categories");
    for (const struct tern_skops_node *item = list->first; item != NULL; item = item->next) {
        if (item->key.n > 0)
            continue;
        if (is_text(item))
            TERN_TRY(tern_skops_node_text(&s->skops, item, &texts[n], err));
        else if (!tern_skops_is_null(item) && !tern_str_eq(item->text, TERN_STR("NaN")))
            return tern_skops_fail(item, TERN_UNIMPLEMENTED, err,
                                   "a category that is no text among texts");
        n++;
    }
    *ret = (struct categories){TERN_DTYPE_BYTES, texts, n};
    return TERN_OK;
}

static enum tern_code read_categories(const struct tern_sklearn *s,
                                      const struct tern_skops_node *list, struct categories *ret,
                                      struct tern_err *err)
{
    const struct tern_str *texts = NULL;
    struct tern_skops_reals reals = {.n = 0};
    bool has_texts = false;
    size_t n = 0;

    TERN_TRY(tern_sklearn_has_texts(s, list, &has_texts, err));
    if (!has_texts) {
        TERN_TRY(tern_skops_node_reals(&s->skops, list, &reals, err));
        if (reals.n > TERN_OP_KEYS_MAX)
            return tern_skops_fail(list, TERN_RESOURCE_EXHAUSTED, err, "%zu categories", reals.n);
        *ret = (struct categories){TERN_DTYPE_FP64, reals.p, (uint32_t)reals.n};
        return TERN_OK;
    }
    if (list->kind == TERN_SKOPS_OBJECTS)
        return object_texts(s, list, ret, err);
    TERN_TRY(tern_skops_texts(&s->skops, list, &texts, &n, err));
    if (n > TERN_OP_KEYS_MAX)
        return tern_skops_fail(list, TERN_RESOURCE_EXHAUSTED, err, "%zu categories", n);
    *ret = (struct categories){TERN_DTYPE_BYTES, texts, (uint32_t)n};
    return TERN_OK;
}

/* ---- columns ---- */

struct encoder {
    const struct tern_skops_node *node;
    struct tern_op_encode encode;
    enum tern_dtype dtype;
    double missing;                      /* ordinal: what NaN is */
    const struct tern_skops_node *drops; /* one-hot: of each column an index or None; or NULL */
};

/* Which category has no output. */
static enum tern_code read_drop(const struct tern_sklearn *s, struct encoder *e, uint32_t column,
                                int64_t *ret, struct tern_err *err)
{
    const struct tern_skops_node *item;

    *ret = -1;
    if (e->drops == NULL)
        return TERN_OK;
    item = e->drops->first;
    for (uint32_t i = 0; item != NULL && (item->key.n > 0 || i < column); item = item->next)
        i += item->key.n > 0 ? 0 : 1;
    if (item == NULL)
        return tern_skops_fail(e->drops, TERN_INVALID_ARGUMENT, err, "expected %u columns",
                               e->encode.n);
    return tern_skops_is_null(item) ? TERN_OK : tern_skops_node_integer(&s->skops, item, ret, err);
}

static bool is_missing(const struct categories *c, uint32_t i)
{
    return c->dtype == TERN_DTYPE_FP64 ? isnan(((const double *)c->cells)[i])
                                       : ((const struct tern_str *)c->cells)[i].p == NULL;
}

static enum tern_code make_column(struct tern_sklearn *s, struct encoder *e, uint32_t at,
                                  const struct categories *c, struct tern_err *err)
{
    struct tern_op_encode_column *column = &e->encode.columns[at];
    struct tern_arena *arena = s->program->arena;
    double *numbers = tern_arena_zalloc(arena, c->n + 1u, sizeof(*numbers));
    uint32_t *places = tern_arena_zalloc(arena, c->n + 1u, sizeof(*places));
    int64_t drop = -1;

    if (numbers == NULL || places == NULL)
        return tern_arena_fail(arena, err, "categories");
    TERN_TRY(read_drop(s, e, at, &drop, err));
    for (uint32_t i = 0; i < c->n; i++) {
        numbers[i] = is_missing(c, i) ? e->missing : i;
        places[i] = i == drop ? TERN_OP_ENCODE_NONE : column->width++;
    }
    column->numbers = numbers;
    column->places = places;
    if (e->encode.is_ordinal)
        column->width = 1;
    return tern_op_keys_make(arena, c->dtype, c->cells, c->n, false, true, &column->keys, err);
}

static enum tern_code make_columns(struct tern_sklearn *s, struct encoder *e, uint32_t *ret_width,
                                   struct tern_err *err)
{
    const struct tern_skops_node *list = NULL;
    struct categories categories = {.n = 0};
    uint32_t at = 0;

    TERN_TRY(tern_sklearn_list(e->node, "categories_", &list, err));
    if (list->n != s->width)
        return tern_skops_fail(list, TERN_INVALID_ARGUMENT, err, "%u columns, it gets %u", list->n,
                               s->width);
    e->encode.n = s->width;
    e->encode.columns = tern_arena_zalloc(s->program->arena, s->width, sizeof(*e->encode.columns));
    if (e->encode.columns == NULL)
        return tern_arena_fail(s->program->arena, err, "categories");
    *ret_width = 0;
    for (const struct tern_skops_node *item = list->first; item != NULL; item = item->next) {
        TERN_TRY(read_categories(s, item, &categories, err));
        if (categories.dtype != e->dtype)
            return tern_skops_fail(item, TERN_UNIMPLEMENTED, err,
                                   "expected categories that are %s, as those of its other columns",
                                   e->dtype == TERN_DTYPE_FP64 ? "numbers" : "texts");
        TERN_TRY(make_column(s, e, at, &categories, err));
        *ret_width += e->encode.columns[at++].width;
        if (*ret_width > TERN_SKLEARN_WIDTH_MAX)
            return tern_skops_fail(list, TERN_RESOURCE_EXHAUSTED, err, "too many categories");
    }
    return TERN_OK;
}

static enum tern_code encode(struct tern_sklearn *s, struct encoder *e, struct tern_err *err)
{
    bool groups = false;
    uint32_t width = 0;

    TERN_TRY(tern_skops_bool(&s->skops, e->node, "_infrequent_enabled", &groups, err));
    if (groups)
        return tern_sklearn_refuse(e->node, "it groups categories that are infrequent", err);
    e->dtype = s->program->values[s->value].tensor.dtype;
    if (e->dtype != TERN_DTYPE_BYTES) {
        e->dtype = TERN_DTYPE_FP64;
        TERN_TRY(tern_op_cast(s->program, TERN_DTYPE_FP64, &s->value, err));
    }
    TERN_TRY(make_columns(s, e, &width, err));
    if (width == 0)
        return tern_skops_fail(e->node, TERN_INVALID_ARGUMENT, err, "it makes no columns");
    s->width = width;
    return tern_op_encode(s->program, &e->encode, &s->value, err);
}

/* ---- the two ---- */

enum tern_code tern_sklearn_one_hot(struct tern_sklearn *s, const struct tern_skops_node *node,
                                    struct tern_err *err)
{
    static const char *const ways[] = {"error", "ignore", "warn", NULL};
    struct encoder e = {.node = node};
    uint32_t way = 0;

    TERN_TRY(tern_skops_choice(&s->skops, node, "handle_unknown", ways, &way, err));
    e.encode.refuses = way == 0;
    e.drops = tern_skops_find(node, "drop_idx_");
    if (tern_skops_is_null(e.drops))
        e.drops = NULL;
    return encode(s, &e, err);
}

enum tern_code tern_sklearn_ordinal(struct tern_sklearn *s, const struct tern_skops_node *node,
                                    struct tern_err *err)
{
    static const char *const ways[] = {"error", "use_encoded_value", NULL};
    struct encoder e = {.node = node, .encode.is_ordinal = true, .missing = (double)NAN};
    uint32_t way = 0;

    TERN_TRY(tern_skops_choice(&s->skops, node, "handle_unknown", ways, &way, err));
    e.encode.refuses = way == 0;
    if (way == 1)
        TERN_TRY(tern_skops_real(&s->skops, node, "unknown_value", &e.encode.unknown, err));
    if (tern_skops_find(node, "encoded_missing_value") != NULL)
        TERN_TRY(tern_skops_real(&s->skops, node, "encoded_missing_value", &e.missing, err));
    return encode(s, &e, err);
}
