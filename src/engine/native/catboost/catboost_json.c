/* CatBoost's JSON (catboost/libs/model/json_model_helpers.cpp). Trees are read last, wherever they
 * stand: they need the features, the scale and the biases, which come after them. */
#include "engine/native/catboost/catboost.h"

#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "engine/native/catboost/catboost_json.h"

/* ---- features ---- */

/* What a feature says, of whichever kind. */
struct feature {
    uint32_t seen;
    int64_t index, column;
    struct tern_str name;
    bool has_nans, nan_is_largest;
};

enum {
    FEATURE_INDEX,
    FEATURE_COLUMN,
    FEATURE_NAME,
    FEATURE_NANS,
    FEATURE_AS,
    FEATURE_BORDERS,
    FEATURE_VALUES,
    FEATURE_COUNT
};

static const char *const feature_members[FEATURE_COUNT] = {
    [FEATURE_INDEX] = "feature_index",    [FEATURE_COLUMN] = "flat_feature_index",
    [FEATURE_NAME] = "feature_id",        [FEATURE_NANS] = "has_nans",
    [FEATURE_AS] = "nan_value_treatment", [FEATURE_BORDERS] = "borders",
    [FEATURE_VALUES] = "values",
};

static enum tern_code read_treatment(struct tern_catboost_document *doc, bool *ret,
                                     struct tern_err *err)
{
    struct tern_str text;

    TERN_TRY(tern_document_string(&doc->json, &text, err));
    *ret = tern_str_eq(text, TERN_STR("AsTrue"));
    if (*ret || tern_str_eq(text, TERN_STR("AsFalse")) || tern_str_eq(text, TERN_STR("AsIs")))
        return TERN_OK;
    return tern_document_fail(&doc->json, err,
                              "nan_value_treatment: expected AsIs, AsFalse or AsTrue");
}

static enum tern_code read_feature_member(struct tern_catboost_document *doc,
                                          struct feature *feature, unsigned member,
                                          struct tern_err *err)
{
    switch (member) {
    case FEATURE_INDEX:
        return tern_document_integer(&doc->json, 0, UINT32_MAX, &feature->index, err);
    case FEATURE_COLUMN:
        return tern_document_integer(&doc->json, 0, TERN_CATBOOST_COLUMNS_MAX - 1, &feature->column,
                                     err);
    case FEATURE_NAME:
        return tern_document_string(&doc->json, &feature->name, err);
    case FEATURE_NANS:
        return tern_document_bool(&doc->json, &feature->has_nans, err);
    case FEATURE_AS:
        return read_treatment(doc, &feature->nan_is_largest, err);
    case FEATURE_BORDERS:
    case FEATURE_VALUES:
        return tern_document_numbers(&doc->json, &doc->numbers, err);
    default:
        return tern_document_skip(&doc->json, err);
    }
}

/* Its borders or values, if it has some, are in doc->numbers. */
static enum tern_code read_feature(struct tern_catboost_document *doc, struct feature *feature,
                                   struct tern_err *err)
{
    struct tern_str key;
    bool more;

    doc->numbers.n = 0;
    TERN_TRY(tern_document_object(&doc->json, err));
    while (true) {
        unsigned i = 0;
        TERN_TRY(tern_document_key(&doc->json, &more, &key, err));
        if (!more)
            break;
        while (i < FEATURE_COUNT && !tern_str_eq(tern_str_of(feature_members[i]), key))
            i++;
        if (i < FEATURE_COUNT)
            TERN_TRY(tern_document_once(&doc->json, &feature->seen, i, key, err));
        TERN_TRY(read_feature_member(doc, feature, i, err));
    }
    if ((feature->seen & (1u << FEATURE_COLUMN)) == 0)
        return tern_document_fail(&doc->json, err, "flat_feature_index is missing");
    return TERN_OK;
}

static enum tern_code need(struct tern_catboost_document *doc, const struct feature *feature,
                           unsigned member, struct tern_err *err)
{
    if ((feature->seen & (1u << member)) != 0)
        return TERN_OK;
    return tern_document_fail(&doc->json, err, "%s is missing", feature_members[member]);
}

static enum tern_code read_number_feature(struct tern_catboost_document *doc, struct tern_err *err)
{
    struct feature feature = {0};

    TERN_TRY(read_feature(doc, &feature, err));
    TERN_TRY(need(doc, &feature, FEATURE_INDEX, err));
    TERN_TRY(tern_catboost_add_feature(&doc->model, feature.index, feature.column,
                                       feature.has_nans && feature.nan_is_largest, feature.name,
                                       err));
    for (size_t i = 0; i < doc->numbers.n; i++)
        TERN_TRY(
            tern_catboost_add_border(&doc->model, ((const double *)doc->numbers.data)[i], err));
    return TERN_OK;
}

static enum tern_code read_category(struct tern_catboost_document *doc, struct tern_err *err)
{
    struct feature feature = {0};

    TERN_TRY(read_feature(doc, &feature, err));
    TERN_TRY(need(doc, &feature, FEATURE_INDEX, err));
    TERN_TRY(
        tern_catboost_add_category(&doc->model, feature.index, feature.column, feature.name, err));
    for (size_t i = 0; i < doc->numbers.n; i++) {
        double hash = ((const double *)doc->numbers.data)[i];
        if (!(hash >= INT32_MIN && hash <= UINT32_MAX) || hash != floor(hash))
            return tern_document_fail(&doc->json, err, "values: expected hashes of 32 bits");
        TERN_TRY(tern_catboost_add_value(&doc->model, feature.index, (int64_t)hash, err));
    }
    return TERN_OK;
}

/* A feature of another kind, whose column is passed over. */
static enum tern_code read_other(struct tern_catboost_document *doc, struct tern_err *err)
{
    struct feature feature = {0};

    TERN_TRY(read_feature(doc, &feature, err));
    return tern_catboost_column(&doc->model, feature.column, feature.name, err);
}

static enum tern_code read_features(struct tern_catboost_document *doc,
                                    enum tern_code (*read)(struct tern_catboost_document *,
                                                           struct tern_err *),
                                    struct tern_err *err)
{
    bool more;

    TERN_TRY(tern_document_array(&doc->json, err));
    while (true) {
        TERN_TRY(tern_document_item(&doc->json, &more, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(read(doc, err));
    }
}

/* Categories stand before the numbers, but splits count them after. */
static enum tern_code read_categories(struct tern_catboost_document *doc, struct tern_err *err)
{
    struct tern_document after = doc->json;

    if (!doc->has_categories)
        return TERN_OK;
    doc->json = doc->categories;
    TERN_TRY(read_features(doc, read_category, err));
    doc->json = after;
    return TERN_OK;
}

static enum tern_code refuse_ctrs(struct tern_catboost_document *doc, struct tern_err *err)
{
    bool more;

    if (tern_document_peek(&doc->json) != TERN_JSON_ARRAY)
        return tern_document_skip(&doc->json, err);
    TERN_TRY(tern_document_array(&doc->json, err));
    TERN_TRY(tern_document_item(&doc->json, &more, err));
    if (!more)
        return TERN_OK;
    return tern_fail(err, TERN_UNIMPLEMENTED,
                     "its trees look at statistics of categories (CTR), which is not served");
}

static enum tern_code read_features_member(struct tern_catboost_document *doc, struct tern_str key,
                                           uint32_t *seen, struct tern_err *err)
{
    if (tern_str_eq(key, TERN_STR("float_features"))) {
        TERN_TRY(tern_document_once(&doc->json, seen, 0, key, err));
        return read_features(doc, read_number_feature, err);
    }
    if (tern_str_eq(key, TERN_STR("categorical_features"))) {
        TERN_TRY(tern_document_once(&doc->json, seen, 1, key, err));
        doc->categories = doc->json;
        doc->has_categories = true;
        return tern_document_hop(&doc->json, err);
    }
    if (tern_str_eq(key, TERN_STR("ctrs")))
        return refuse_ctrs(doc, err);
    if (tern_str_eq(key, TERN_STR("text_features")) ||
        tern_str_eq(key, TERN_STR("embedding_features")))
        return read_features(doc, read_other, err);
    return tern_document_skip(&doc->json, err);
}

static enum tern_code read_features_info(struct tern_catboost_document *doc, struct tern_err *err)
{
    struct tern_str key;
    uint32_t seen = 0;
    bool more;

    TERN_TRY(tern_document_object(&doc->json, err));
    while (true) {
        TERN_TRY(tern_document_key(&doc->json, &more, &key, err));
        if (!more)
            return read_categories(doc, err);
        TERN_TRY(read_features_member(doc, key, &seen, err));
    }
}

/* ---- the rest of the head ---- */

/* [scale, [bias, ...]], or [scale, bias] in older models */
static enum tern_code read_scale(struct tern_catboost_document *doc, struct tern_err *err)
{
    bool more;

    TERN_TRY(tern_document_array(&doc->json, err));
    TERN_TRY(tern_document_item(&doc->json, &more, err));
    if (!more)
        return tern_document_fail(&doc->json, err, "scale_and_bias: expected two values");
    TERN_TRY(tern_catboost_number(doc, &doc->model.scale, err));
    TERN_TRY(tern_document_item(&doc->json, &more, err));
    if (!more)
        return tern_document_fail(&doc->json, err, "scale_and_bias: expected two values");
    if (tern_document_peek(&doc->json) == TERN_JSON_ARRAY) {
        TERN_TRY(tern_document_numbers(&doc->json, &doc->numbers, err));
        for (size_t i = 0; i < doc->numbers.n; i++)
            TERN_TRY(
                tern_catboost_add_bias(&doc->model, ((const double *)doc->numbers.data)[i], err));
    } else {
        double bias;
        TERN_TRY(tern_catboost_number(doc, &bias, err));
        TERN_TRY(tern_catboost_add_bias(&doc->model, bias, err));
    }
    TERN_TRY(tern_document_item(&doc->json, &more, err));
    return more ? tern_document_fail(&doc->json, err, "scale_and_bias: expected two values")
                : TERN_OK;
}

/* The text of the next value, which is passed over. */
static enum tern_code slice(struct tern_catboost_document *doc, struct tern_str *ret,
                            struct tern_err *err)
{
    (void)tern_document_peek(&doc->json);
    size_t from = tern_document_at(&doc->json);
    TERN_TRY(tern_document_hop(&doc->json, err));
    *ret = tern_str_make(doc->model.source->bytes.p + from, tern_document_at(&doc->json) - from);
    return TERN_OK;
}

static enum tern_code read_model_info(struct tern_catboost_document *doc, struct tern_err *err)
{
    struct tern_str key;
    bool more;

    TERN_TRY(tern_document_object(&doc->json, err));
    while (true) {
        TERN_TRY(tern_document_key(&doc->json, &more, &key, err));
        if (!more)
            return TERN_OK;
        if (tern_str_eq(key, TERN_STR("params")))
            TERN_TRY(slice(doc, &doc->params, err));
        else if (tern_str_eq(key, TERN_STR("class_params")))
            TERN_TRY(slice(doc, &doc->classes, err));
        else
            TERN_TRY(tern_document_skip(&doc->json, err));
    }
}

/* ---- the file ---- */

enum { TOP_FEATURES, TOP_INFO, TOP_SYMMETRIC, TOP_TREES, TOP_SCALE, TOP_COUNT };

static const char *const top_members[TOP_COUNT] = {
    [TOP_FEATURES] = "features_info",    [TOP_INFO] = "model_info",
    [TOP_SYMMETRIC] = "oblivious_trees", [TOP_TREES] = "trees",
    [TOP_SCALE] = "scale_and_bias",
};

static enum tern_code read_member(struct tern_catboost_document *doc, unsigned member,
                                  struct tern_err *err)
{
    switch (member) {
    case TOP_FEATURES:
        return read_features_info(doc, err);
    case TOP_INFO:
        return read_model_info(doc, err);
    case TOP_SYMMETRIC:
    case TOP_TREES:
        doc->trees = doc->json;
        doc->symmetric = member == TOP_SYMMETRIC;
        return tern_document_hop(&doc->json, err);
    case TOP_SCALE:
        return read_scale(doc, err);
    default:
        return tern_document_skip(&doc->json, err);
    }
}

static enum tern_code read_head(struct tern_catboost_document *doc, struct tern_err *err)
{
    struct tern_str key;
    bool more;

    TERN_TRY(tern_document_object(&doc->json, err));
    while (true) {
        unsigned i = 0;
        TERN_TRY(tern_document_key(&doc->json, &more, &key, err));
        if (!more)
            return tern_document_end(&doc->json, err);
        while (i < TOP_COUNT && !tern_str_eq(tern_str_of(top_members[i]), key))
            i++;
        if (i < TOP_COUNT)
            TERN_TRY(tern_document_once(&doc->json, &doc->seen, i, key, err));
        TERN_TRY(read_member(doc, i, err));
    }
}

static enum tern_code read_file(struct tern_catboost_document *doc, struct tern_err *err)
{
    uint32_t trees = 1u << TOP_SYMMETRIC | 1u << TOP_TREES;

    TERN_TRY(read_head(doc, err));
    if ((doc->seen & (1u << TOP_FEATURES)) == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "features_info is missing");
    if ((doc->seen & trees) == 0 || (doc->seen & trees) == trees)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected one of oblivious_trees and trees");
    TERN_TRY(tern_catboost_read_trees(doc, err));
    if (doc->params.n > 0)
        TERN_TRY(tern_catboost_read_params(&doc->model, doc->params, err));
    if (doc->classes.n > 0)
        TERN_TRY(tern_catboost_read_classes(&doc->model, doc->classes, err));
    return tern_catboost_end(&doc->model, err);
}

static enum tern_code load(const struct tern_native_source *source, struct tern_program *program,
                           struct tern_err *err)
{
    struct tern_catboost_document doc;

    memset(&doc, 0, sizeof(doc));
    tern_catboost_init(&doc.model, source, program);
    tern_document_init(&doc.json, source->bytes, source->arena);
    tern_document_numbers_init(&doc.numbers, TERN_DTYPE_FP64);
    tern_document_numbers_init(&doc.weights, TERN_DTYPE_FP64);
    enum tern_code code = read_file(&doc, err);
    tern_catboost_fini(&doc.model);
    tern_document_numbers_fini(&doc.numbers);
    tern_document_numbers_fini(&doc.weights);
    tern_mem_free(doc.splits);
    tern_mem_free(doc.frames);
    tern_mem_free(doc.values);
    return code;
}

/* Its first member is one of these; what comes before in the alphabet are tables of categories. */
static int probe(struct tern_str file_name, struct tern_str head)
{
    static const char *const firsts[] = {"\"features_info\"", "\"ctr_data\""};
    size_t at = 0;

    (void)file_name;
    while (at < head.n && strchr("{ \t\r\n", head.p[at]) != NULL)
        at++;
    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        if (at > 0 && tern_str_starts(tern_str_from(head, at), tern_str_of(firsts[i])))
            return 80;
    }
    return 0;
}

const struct tern_native_format tern_catboost_json = {
    .name = "catboost_json",
    .help = "CatBoost, JSON",
    .probe = probe,
    .load = load,
};
