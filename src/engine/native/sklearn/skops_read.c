#include "engine/native/sklearn/skops_read.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/num.h"
#include "simd/numbers.h"
#include "wire/json.h"

#define PLACE_MAX 200

static const struct tern_zip_limits limits = {
    .members = 1u << 22, .ratio = 250, .bytes = (size_t)16 << 30};

enum tern_code tern_skops_open(struct tern_skops *skops, struct tern_str file,
                               struct tern_arena *scratch, struct tern_err *err)
{
    struct tern_str text = {NULL, 0};

    *skops = (struct tern_skops){.scratch = scratch};
    TERN_TRY(tern_zip_open(file, &limits, scratch, &skops->zip, err));
    const struct tern_zip_member *schema = tern_zip_find(&skops->zip, TERN_STR("schema.json"));
    if (schema == NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the archive has no schema.json: it was not written by skops.io.dump");
    TERN_TRY(tern_zip_read(schema, scratch, &text, err));
    return tern_skops_schema_read(text, scratch, &skops->root, err);
}

/* ---- places ---- */

/* From the node up, so that what is cut off is far from where the mistake is. */
static const char *place_of(const struct tern_skops_node *node, char buffer[PLACE_MAX])
{
    char *at = buffer + PLACE_MAX - 1, part[96];

    *at = '\0';
    for (; node->parent != NULL; node = node->parent) {
        int n =
            node->key.n == 0
                ? snprintf(part, sizeof(part), "[%u]", node->index)
                : snprintf(part, sizeof(part), "%s%.*s", node->parent->parent == NULL ? "" : ".",
                           (int)(node->key.n > 80 ? 80 : node->key.n), node->key.p);
        if (n < 0 || n > at - buffer)
            break;
        at -= n;
        memcpy(at, part, (size_t)n);
    }
    return at;
}

void tern_skops_place(const struct tern_skops_node *node, struct tern_err *err)
{
    char buffer[PLACE_MAX];

    if (node->parent != NULL)
        tern_err_prefix(err, "%s", place_of(node, buffer));
}

#undef tern_skops_fail
enum tern_code tern_skops_fail(const struct tern_skops_node *node, enum tern_code code,
                               struct tern_err *err, const char *fmt, ...)
{
    char text[TERN_ERR_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    (void)tern_fail(err, code, "%s", text);
    tern_skops_place(node, err);
    return code;
}

static enum tern_code placed(const struct tern_skops_node *node, enum tern_code code,
                             struct tern_err *err)
{
    if (code != TERN_OK)
        tern_skops_place(node, err);
    return code;
}

static enum tern_code expected(const struct tern_skops_node *node, const char *what,
                               struct tern_err *err)
{
    (void)tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "expected %s", what);
    return TERN_INVALID_ARGUMENT;
}

/* ---- objects ---- */

bool tern_skops_is(const struct tern_skops_node *node, const char *name)
{
    return tern_str_eq(node->name, tern_str_of(name));
}

const struct tern_skops_node *tern_skops_find(const struct tern_skops_node *node, const char *key)
{
    const struct tern_skops_node *child = node->first;

    while (child != NULL && !tern_str_eq(child->key, tern_str_of(key)))
        child = child->next;
    return child;
}

enum tern_code tern_skops_want(const struct tern_skops_node *node, const char *key,
                               const struct tern_skops_node **ret, struct tern_err *err)
{
    const struct tern_skops_node *child = tern_skops_find(node, key);

    if (child == NULL) {
        (void)tern_skops_fail(node, TERN_INVALID_ARGUMENT, err,
                              "expected %.*s to have the attribute '%s': was it fitted?",
                              TERN_STR_ARG(node->name), key);
        return TERN_INVALID_ARGUMENT;
    }
    for (const struct tern_skops_node *other = child->next; other != NULL; other = other->next)
        if (tern_str_eq(other->key, child->key))
            return expected(child, "this attribute once", err);
    *ret = child;
    return TERN_OK;
}

const struct tern_skops_node *tern_skops_child(const struct tern_skops_node *node, uint32_t i)
{
    const struct tern_skops_node *child = node->first;

    while (i-- > 0)
        child = child->next;
    return child;
}

/* ---- values ---- */

bool tern_skops_is_null(const struct tern_skops_node *node)
{
    return node == NULL ||
           (node->kind == TERN_SKOPS_VALUE && tern_str_eq(node->text, TERN_STR("null")));
}

/* A reader of a node's JSON, in a copy that has readable bytes after it. */
static enum tern_code begin_json(const struct tern_skops *skops, const struct tern_skops_node *node,
                                 struct tern_json *json, struct tern_err *err)
{
    size_t n = node->text.n;
    char *copy = tern_arena_alloc(skops->scratch, 8, n + TERN_TEXT_PAD);

    if (copy == NULL)
        return tern_arena_fail(skops->scratch, err, "a value");
    if (n > 0)
        memcpy(copy, node->text.p, n);
    memset(copy + n, 0, TERN_TEXT_PAD);
    tern_json_init(json, tern_str_make(copy, n), skops->scratch);
    json->non_finite = true;
    return TERN_OK;
}

enum tern_code tern_skops_node_text(const struct tern_skops *skops,
                                    const struct tern_skops_node *node, struct tern_str *ret,
                                    struct tern_err *err)
{
    struct tern_json json;

    if (node->kind != TERN_SKOPS_VALUE || node->text.n == 0 || node->text.p[0] != '"')
        return expected(node, "a string", err);
    TERN_TRY(begin_json(skops, node, &json, err));
    TERN_TRY(placed(node, tern_json_string(&json, ret, err), err));
    return placed(node, tern_json_end(&json, err), err);
}

static enum tern_code node_number(const struct tern_skops *skops,
                                  const struct tern_skops_node *node, struct tern_json_number *ret,
                                  struct tern_err *err)
{
    struct tern_npy_view view;
    struct tern_json json;

    if (node->kind == TERN_SKOPS_VALUE) {
        TERN_TRY(begin_json(skops, node, &json, err));
        TERN_TRY(placed(node, tern_json_number(&json, ret, err), err));
        return placed(node, tern_json_end(&json, err), err);
    }
    if (node->kind != TERN_SKOPS_ARRAY)
        return expected(node, "a number", err);
    TERN_TRY(tern_skops_view(skops, node, &view, err));
    enum tern_dtype dtype = view.columns[0].dtype;
    if (view.n != 1 || view.is_record || tern_dtype_size(dtype) == 0)
        return expected(node, "a number", err);
    bool is_real = dtype == TERN_DTYPE_FP16 || dtype == TERN_DTYPE_FP32 || dtype == TERN_DTYPE_FP64;
    ret->kind = is_real ? TERN_JSON_DOUBLE : TERN_JSON_INT64;
    if (is_real)
        tern_npy_view_reals(&view, 0, &ret->real);
    else
        tern_npy_view_integers(&view, 0, &ret->int64);
    return TERN_OK;
}

enum tern_code tern_skops_node_integer(const struct tern_skops *skops,
                                       const struct tern_skops_node *node, int64_t *ret,
                                       struct tern_err *err)
{
    struct tern_json_number number = {.int64 = 0};

    TERN_TRY(node_number(skops, node, &number, err));
    if (number.kind != TERN_JSON_INT64)
        return expected(node, "a whole number", err);
    *ret = number.int64;
    return TERN_OK;
}

enum tern_code tern_skops_node_real(const struct tern_skops *skops,
                                    const struct tern_skops_node *node, double *ret,
                                    struct tern_err *err)
{
    struct tern_json_number number = {.int64 = 0};

    TERN_TRY(node_number(skops, node, &number, err));
    *ret = number.kind == TERN_JSON_DOUBLE  ? number.real
           : number.kind == TERN_JSON_INT64 ? (double)number.int64
                                            : (double)number.uint64;
    return TERN_OK;
}

enum tern_code tern_skops_text(const struct tern_skops *skops, const struct tern_skops_node *node,
                               const char *key, struct tern_str *ret, struct tern_err *err)
{
    const struct tern_skops_node *child = NULL;

    TERN_TRY(tern_skops_want(node, key, &child, err));
    return tern_skops_node_text(skops, child, ret, err);
}

enum tern_code tern_skops_choice(const struct tern_skops *skops, const struct tern_skops_node *node,
                                 const char *key, const char *const *names, uint32_t *ret,
                                 struct tern_err *err)
{
    const struct tern_skops_node *child = NULL;
    struct tern_str text = {NULL, 0};

    *ret = 0;
    TERN_TRY(tern_skops_want(node, key, &child, err));
    if (tern_skops_is_null(child))
        return TERN_OK;
    TERN_TRY(tern_skops_node_text(skops, child, &text, err));
    for (uint32_t i = 0; names[i] != NULL; i++) {
        if (tern_str_eq(text, tern_str_of(names[i]))) {
            *ret = i;
            return TERN_OK;
        }
    }
    (void)tern_skops_fail(child, TERN_UNIMPLEMENTED, err, "'%.*s' is not known",
                          TERN_STR_ARG(text));
    return TERN_UNIMPLEMENTED;
}

enum tern_code tern_skops_integer(const struct tern_skops *skops,
                                  const struct tern_skops_node *node, const char *key, int64_t min,
                                  int64_t max, int64_t *ret, struct tern_err *err)
{
    const struct tern_skops_node *child = NULL;
    int64_t value = 0;

    TERN_TRY(tern_skops_want(node, key, &child, err));
    TERN_TRY(tern_skops_node_integer(skops, child, &value, err));
    if (value < min || value > max) {
        (void)tern_skops_fail(child, TERN_INVALID_ARGUMENT, err, "expected %lld to %lld, got %lld",
                              (long long)min, (long long)max, (long long)value);
        return TERN_INVALID_ARGUMENT;
    }
    *ret = value;
    return TERN_OK;
}

enum tern_code tern_skops_real(const struct tern_skops *skops, const struct tern_skops_node *node,
                               const char *key, double *ret, struct tern_err *err)
{
    const struct tern_skops_node *child = NULL;

    TERN_TRY(tern_skops_want(node, key, &child, err));
    return tern_skops_node_real(skops, child, ret, err);
}

enum tern_code tern_skops_bool(const struct tern_skops *skops, const struct tern_skops_node *node,
                               const char *key, bool *ret, struct tern_err *err)
{
    const struct tern_skops_node *child = tern_skops_find(node, key);
    int64_t value = 0;

    *ret = false;
    if (child == NULL)
        return TERN_OK;
    if (child->kind == TERN_SKOPS_VALUE) {
        *ret = tern_str_eq(child->text, TERN_STR("true"));
        if (!*ret && !tern_str_eq(child->text, TERN_STR("false")))
            return expected(child, "true or false", err);
        return TERN_OK;
    }
    TERN_TRY(tern_skops_node_integer(skops, child, &value, err)); /* numpy.bool */
    *ret = value != 0;
    return TERN_OK;
}

/* ---- arrays ---- */

enum tern_code tern_skops_view(const struct tern_skops *skops, const struct tern_skops_node *node,
                               struct tern_npy_view *ret, struct tern_err *err)
{
    const struct tern_zip_member *member;
    struct tern_str bytes = {NULL, 0};

    if (node->kind != TERN_SKOPS_ARRAY)
        return expected(node, "an array", err);
    member = tern_zip_find(&skops->zip, node->text);
    if (member == NULL) {
        (void)tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "the archive has no member '%.*s'",
                              TERN_STR_ARG(node->text));
        return TERN_INVALID_ARGUMENT;
    }
    TERN_TRY(placed(node, tern_zip_read(member, skops->scratch, &bytes, err), err));
    return placed(node, tern_npy_view_read(bytes, ret, err), err);
}

/* A list of numbers. */
static enum tern_code list_reals(const struct tern_skops *skops, const struct tern_skops_node *node,
                                 struct tern_skops_reals *ret, struct tern_err *err)
{
    double *reals = tern_arena_alloc(skops->scratch, 8, (node->n + 1u) * sizeof(*reals));
    size_t n = 0;

    if (reals == NULL)
        return tern_arena_fail(skops->scratch, err, "an array");
    for (const struct tern_skops_node *item = node->first; item != NULL; item = item->next)
        if (item->key.n == 0)
            TERN_TRY(tern_skops_node_real(skops, item, &reals[n++], err));
    *ret = (struct tern_skops_reals){.p = reals, .n = n, .rank = 1, .dim = {(int64_t)n}};
    return TERN_OK;
}

enum tern_code tern_skops_node_reals(const struct tern_skops *skops,
                                     const struct tern_skops_node *node,
                                     struct tern_skops_reals *ret, struct tern_err *err)
{
    struct tern_npy_view view;

    if (node->kind == TERN_SKOPS_LIST || node->kind == TERN_SKOPS_OBJECTS)
        return list_reals(skops, node, ret, err);
    if (node->kind == TERN_SKOPS_VALUE) {
        double *real = tern_arena_alloc(skops->scratch, 8, sizeof(*real));
        if (real == NULL)
            return tern_arena_fail(skops->scratch, err, "a number");
        *ret = (struct tern_skops_reals){.p = real, .n = 1};
        return tern_skops_node_real(skops, node, real, err);
    }
    TERN_TRY(tern_skops_view(skops, node, &view, err));
    if (view.is_record || tern_dtype_size(view.columns[0].dtype) == 0)
        return expected(node, "an array of numbers", err);
    if (view.n > TERN_SKOPS_NUMBERS_MAX) {
        (void)tern_skops_fail(node, TERN_RESOURCE_EXHAUSTED, err, "%zu numbers, at most %zu",
                              view.n, TERN_SKOPS_NUMBERS_MAX);
        return TERN_RESOURCE_EXHAUSTED;
    }
    double *reals = tern_arena_alloc(skops->scratch, 8, (view.n + 1) * sizeof(*reals));
    if (reals == NULL)
        return tern_arena_fail(skops->scratch, err, "an array");
    tern_npy_view_reals(&view, 0, reals);
    *ret = (struct tern_skops_reals){.p = reals, .n = view.n, .rank = view.rank};
    memcpy(ret->dim, view.dim, sizeof(ret->dim));
    return TERN_OK;
}

enum tern_code tern_skops_finite(const struct tern_skops *skops, const struct tern_skops_node *node,
                                 struct tern_skops_reals *ret, struct tern_err *err)
{
    struct tern_skops_reals reals = {.n = 0};

    TERN_TRY(tern_skops_node_reals(skops, node, &reals, err));
    for (size_t i = 0; i < reals.n; i++) {
        if (!isfinite(reals.p[i])) {
            (void)tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "element %zu is %f", i,
                                  reals.p[i]);
            return TERN_INVALID_ARGUMENT;
        }
    }
    *ret = reals;
    return TERN_OK;
}

enum tern_code tern_skops_reals(const struct tern_skops *skops, const struct tern_skops_node *node,
                                const char *key, struct tern_skops_reals *ret, struct tern_err *err)
{
    const struct tern_skops_node *child = NULL;

    TERN_TRY(tern_skops_want(node, key, &child, err));
    return tern_skops_finite(skops, child, ret, err);
}

enum tern_code tern_skops_vector(const struct tern_skops *skops, const struct tern_skops_node *node,
                                 const char *key, size_t n, const double **ret,
                                 struct tern_err *err)
{
    struct tern_skops_reals reals = {.n = 0};

    TERN_TRY(tern_skops_reals(skops, node, key, &reals, err));
    if (reals.n != n) {
        (void)tern_skops_fail(tern_skops_find(node, key), TERN_INVALID_ARGUMENT, err,
                              "expected %zu numbers, got %zu", n, reals.n);
        return TERN_INVALID_ARGUMENT;
    }
    *ret = reals.p;
    return TERN_OK;
}

static enum tern_code array_texts(const struct tern_skops *skops,
                                  const struct tern_skops_node *node, struct tern_str *texts,
                                  const struct tern_npy_view *view, struct tern_err *err)
{
    size_t size = view->columns[0].size;

    for (size_t i = 0; i < view->n; i++) {
        char *text = tern_arena_alloc(skops->scratch, 1, size);
        if (text == NULL)
            return tern_arena_fail(skops->scratch, err, "a text");
        texts[i] = tern_str_make(text, tern_npy_view_text(view, 0, i, text));
        if (!tern_str_is_utf8(texts[i]))
            return expected(node, "text in UTF-8", err);
    }
    return TERN_OK;
}

enum tern_code tern_skops_texts(const struct tern_skops *skops, const struct tern_skops_node *node,
                                const struct tern_str **ret, size_t *ret_n, struct tern_err *err)
{
    struct tern_npy_view view = {.n = 0};
    bool is_list = node->kind == TERN_SKOPS_OBJECTS || node->kind == TERN_SKOPS_LIST;
    size_t n = 0;

    if (!is_list) {
        TERN_TRY(tern_skops_view(skops, node, &view, err));
        if (view.is_record || view.columns[0].dtype != TERN_DTYPE_BYTES || view.rank > 1)
            return expected(node, "a list of texts", err);
    }
    struct tern_str *texts =
        tern_arena_zalloc(skops->scratch, (is_list ? node->n : view.n) + 1, sizeof(*texts));
    if (texts == NULL)
        return tern_arena_fail(skops->scratch, err, "a list of texts");
    for (const struct tern_skops_node *item = is_list ? node->first : NULL; item != NULL;
         item = item->next)
        if (item->key.n == 0)
            TERN_TRY(tern_skops_node_text(skops, item, &texts[n++], err));
    if (!is_list)
        TERN_TRY(array_texts(skops, node, texts, &view, err));
    *ret = texts;
    *ret_n = is_list ? n : view.n;
    return TERN_OK;
}
