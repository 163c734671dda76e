/* The settings of a CatBoost model's training that say what its sums mean: JSON in both forms of a
 * model, as a part of the one and as a text in the other. */
#include "engine/native/catboost/catboost_int.h"

#include "base/grow.h"
#include "wire/json.h"

typedef enum tern_code (*read_fn)(struct tern_catboost *model, struct tern_json *json,
                                  struct tern_err *err);

/* Of an object the one member that matters; the others are passed over. */
static enum tern_code read_member(struct tern_catboost *model, struct tern_json *json,
                                  struct tern_str name, read_fn read, struct tern_err *err)
{
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    while (true) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            return TERN_OK;
        if (tern_str_eq(key, name))
            TERN_TRY(read(model, json, err));
        else
            TERN_TRY(tern_json_skip(json, err));
    }
}

static enum tern_code read_text(struct tern_catboost *model, struct tern_str text,
                                struct tern_str name, read_fn read, struct tern_err *err)
{
    struct tern_json json;

    tern_json_init(&json, text, model->source->arena);
    TERN_TRY(read_member(model, &json, name, read, err));
    return tern_json_end(&json, err);
}

static enum tern_code read_type(struct tern_catboost *model, struct tern_json *json,
                                struct tern_err *err)
{
    struct tern_str loss;

    TERN_TRY(tern_json_string(json, &loss, err));
    return tern_catboost_set_loss(model, loss, err);
}

/* {"type": "Logloss", "params": {...}} */
static enum tern_code read_loss(struct tern_catboost *model, struct tern_json *json,
                                struct tern_err *err)
{
    return read_member(model, json, TERN_STR("type"), read_type, err);
}

enum tern_code tern_catboost_read_params(struct tern_catboost *model, struct tern_str text,
                                         struct tern_err *err)
{
    return read_text(model, text, TERN_STR("loss_function"), read_loss, err);
}

/* Texts, or numbers and truth values as they are written. */
static enum tern_code read_name(struct tern_json *json, struct tern_str *ret, struct tern_err *err)
{
    const char *begin;

    if (tern_json_peek(json) == TERN_JSON_STRING)
        return tern_json_string(json, ret, err);
    begin = json->p; /* after white space */
    TERN_TRY(tern_json_skip(json, err));
    *ret = tern_str_make(begin, (size_t)(json->p - begin));
    return TERN_OK;
}

static enum tern_code read_names(struct tern_catboost *model, struct tern_json *json,
                                 struct tern_err *err)
{
    bool more;

    if (tern_json_peek(json) != TERN_JSON_ARRAY || model->n_classes > 0)
        return tern_json_skip(json, err);
    TERN_TRY(tern_json_array(json, err));
    while (true) {
        TERN_TRY(tern_json_item(json, &more, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(tern_grow(&model->classes, &model->classes_cap, model->n_classes, 1,
                           sizeof(*model->classes), TERN_FOREST_OUTPUTS_MAX, "classes", err));
        TERN_TRY(read_name(json, &model->classes[model->n_classes++], err));
    }
}

/* With more classes than the training saw, CatBoost makes up outputs for the others. */
static enum tern_code check_count(struct tern_catboost *model, struct tern_json *json,
                                  struct tern_err *err)
{
    struct tern_json_number number;

    TERN_TRY(tern_json_number(json, &number, err));
    if (number.kind == TERN_JSON_INT64 && (number.int64 == 0 || number.int64 == model->n_outputs))
        return TERN_OK;
    return tern_fail(err, TERN_UNIMPLEMENTED,
                     "classes_count says that there are other classes than those of the training, "
                     "which is not served");
}

enum tern_code tern_catboost_read_classes(struct tern_catboost *model, struct tern_str text,
                                          struct tern_err *err)
{
    TERN_TRY(read_text(model, text, TERN_STR("class_names"), read_names, err));
    return read_text(model, text, TERN_STR("classes_count"), check_count, err);
}
