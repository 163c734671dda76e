/* LightGBM's JSON, as Booster.dump_model gives it. Members may stand in any order, except that what
 * says how sums are made comes before "tree_info": LightGBM's own order and sorted keys are so. */
#include "engine/native/lightgbm/lightgbm_json.h"

#include <string.h>
#include "base/grow.h"
#include "base/mem.h"
#include "engine/native/lightgbm/lightgbm.h"

enum model_member {
    MODEL_NAME,
    MODEL_VERSION,
    MODEL_CLASSES,
    MODEL_PER_ITERATION,
    MODEL_LABEL,
    MODEL_FEATURES,
    MODEL_OBJECTIVE,
    MODEL_AVERAGE,
    MODEL_NAMES,
    MODEL_TREES,
    MODEL_COUNT,
};

static const char *const model_members[MODEL_COUNT] = {
    [MODEL_NAME] = "name",           [MODEL_VERSION] = "version",
    [MODEL_CLASSES] = "num_class",   [MODEL_PER_ITERATION] = "num_tree_per_iteration",
    [MODEL_LABEL] = "label_index",   [MODEL_FEATURES] = "max_feature_idx",
    [MODEL_OBJECTIVE] = "objective", [MODEL_AVERAGE] = "average_output",
    [MODEL_NAMES] = "feature_names", [MODEL_TREES] = "tree_info",
};

enum tern_code tern_lightgbm_json_count(struct tern_lightgbm_json *doc, const char *key,
                                        uint32_t max, uint32_t *ret, struct tern_err *err)
{
    struct tern_json_number number;

    TERN_TRY(tern_json_number(&doc->json, &number, err));
    if (number.kind != TERN_JSON_INT64 || number.int64 < 0 || number.int64 > max)
        return tern_json_fail(&doc->json, err, "%s: expected a whole number up to %u", key, max);
    *ret = (uint32_t)number.int64;
    return TERN_OK;
}

static enum tern_code read_trees(struct tern_lightgbm_json *doc, struct tern_err *err)
{
    bool more;

    TERN_TRY(tern_lightgbm_begin(&doc->model, err));
    TERN_TRY(tern_json_array(&doc->json, err));
    while (true) {
        TERN_TRY(tern_json_item(&doc->json, &more, err));
        if (!more)
            return TERN_OK;
        uint32_t number = doc->model.n_trees;
        enum tern_code code = tern_lightgbm_json_tree(doc, err);
        if (code != TERN_OK) {
            if (err == NULL || !tern_str_starts(tern_str_of(err->text), TERN_STR("tree ")))
                tern_err_prefix(err, "tree %u", number);
            return code;
        }
    }
}

/* ---- the model ---- */

static enum tern_code read_names(struct tern_lightgbm_json *doc, struct tern_err *err)
{
    bool more;

    TERN_TRY(tern_json_array(&doc->json, err));
    while (true) {
        TERN_TRY(tern_json_item(&doc->json, &more, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(tern_grow(&doc->names, &doc->names_cap, doc->n_names, 1, sizeof(*doc->names),
                           TERN_FOREST_FEATURES_MAX, "feature_names", err));
        TERN_TRY(tern_json_string(&doc->json, &doc->names[doc->n_names++], err));
    }
}

/* In JSON with sorted keys the names come before their number. */
static enum tern_code keep_names(struct tern_lightgbm_json *doc, struct tern_err *err)
{
    struct tern_lightgbm *model = &doc->model;
    struct tern_arena *arena = model->source->arena;

    if (doc->n_names != model->n_features)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "feature_names: expected %u, as max_feature_idx says, got %zu",
                         model->n_features, doc->n_names);
    struct tern_str *names = tern_arena_zalloc(arena, model->n_features, sizeof(*names));
    if (names == NULL)
        return tern_arena_fail(arena, err, "the features' names");
    for (uint32_t i = 0; i < model->n_features; i++) {
        names[i] = tern_arena_copy(arena, doc->names[i]);
        if (names[i].p == NULL && doc->names[i].n > 0)
            return tern_arena_fail(arena, err, "the features' names");
    }
    model->program->feature_names = names;
    model->program->n_feature_names = model->n_features;
    return TERN_OK;
}

static enum tern_code read_model_member(struct tern_lightgbm_json *doc, enum model_member member,
                                        struct tern_err *err)
{
    struct tern_lightgbm *model = &doc->model;
    uint32_t max_feature;

    switch (member) {
    case MODEL_VERSION:
        return tern_json_string(&doc->json, &model->version, err);
    case MODEL_CLASSES:
        return tern_lightgbm_json_count(doc, "num_class", TERN_FOREST_OUTPUTS_MAX, &model->n_class,
                                        err);
    case MODEL_PER_ITERATION:
        return tern_lightgbm_json_count(doc, "num_tree_per_iteration", TERN_FOREST_OUTPUTS_MAX,
                                        &model->n_outputs, err);
    case MODEL_FEATURES:
        TERN_TRY(tern_lightgbm_json_count(doc, "max_feature_idx", TERN_FOREST_FEATURES_MAX - 1,
                                          &max_feature, err));
        model->n_features = max_feature + 1;
        return TERN_OK;
    case MODEL_OBJECTIVE:
        return tern_json_string(&doc->json, &model->objective, err);
    case MODEL_AVERAGE:
        return tern_json_bool(&doc->json, &model->average, err);
    case MODEL_NAMES:
        return read_names(doc, err);
    case MODEL_TREES:
        return read_trees(doc, err);
    case MODEL_NAME:
    case MODEL_LABEL:
    case MODEL_COUNT:
        break;
    }
    return tern_json_skip(&doc->json, err);
}

/* What says how the sums are made has to be known before the trees. */
static bool is_late(const struct tern_lightgbm_json *doc, unsigned member)
{
    return (doc->seen & (1u << MODEL_TREES)) != 0 &&
           (member == MODEL_CLASSES || member == MODEL_PER_ITERATION || member == MODEL_FEATURES ||
            member == MODEL_OBJECTIVE || member == MODEL_AVERAGE);
}

static enum tern_code read_model(struct tern_lightgbm_json *doc, struct tern_err *err)
{
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(&doc->json, err));
    while (true) {
        unsigned i = 0;
        TERN_TRY(tern_json_key(&doc->json, &more, &key, err));
        if (!more)
            break;
        while (i < MODEL_COUNT && !tern_str_eq(tern_str_of(model_members[i]), key))
            i++;
        if (i == MODEL_COUNT) {
            TERN_TRY(tern_json_skip(&doc->json, err));
            continue;
        }
        if (is_late(doc, i))
            return tern_json_fail(&doc->json, err, "%s comes after tree_info", model_members[i]);
        TERN_TRY(tern_json_once(&doc->json, &doc->seen, i, key, err));
        TERN_TRY(read_model_member(doc, (enum model_member)i, err));
    }
    if ((doc->seen & (1u << MODEL_TREES)) == 0)
        return tern_json_fail(&doc->json, err, "tree_info is missing");
    TERN_TRY(tern_json_end(&doc->json, err));
    TERN_TRY(keep_names(doc, err));
    return tern_lightgbm_end(&doc->model, err);
}

static enum tern_code load(const struct tern_native_source *source, struct tern_program *program,
                           struct tern_err *err)
{
    struct tern_lightgbm_json doc = {0};

    tern_lightgbm_init(&doc.model, source, program);
    tern_json_init(&doc.json, source->bytes, source->arena);
    doc.json.depth_max = TERN_JSON_DEPTH_MAX;
    enum tern_code code = read_model(&doc, err);
    tern_lightgbm_fini(&doc.model);
    tern_lightgbm_json_fini(&doc);
    tern_mem_free(doc.names);
    return code;
}

/* Whether an object begins with this; white space does not count. */
static bool begins(struct tern_str head, const char *with)
{
    size_t at = 0;

    for (; *with != '\0'; with++, at++) {
        while (at < head.n && strchr(" \t\r\n", head.p[at]) != NULL)
            at++;
        if (at >= head.n || head.p[at] != *with)
            return false;
    }
    return true;
}

static int probe(struct tern_str file_name, struct tern_str head)
{
    (void)file_name;
    return begins(head, "{\"name\":\"tree\"") || begins(head, "{\"average_output\":") ? 80 : 0;
}

const struct tern_native_format tern_lightgbm_json = {
    .name = "lightgbm_json",
    .help = "LightGBM, JSON",
    .probe = probe,
    .load = load,
};
