/* The settings of a CatBoost model's training that say what its sums mean: JSON in both forms of a
 * model, as a part of the one and as a text in the other. */
#include "engine/native/catboost_int.h"

#include "wire/json.h"

/* {"type": "Logloss", "params": {...}} */
static enum tern_code read_loss(struct tern_catboost *model, struct tern_json *json,
                                struct tern_err *err)
{
    struct tern_str key, loss;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    while (true) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            return TERN_OK;
        if (!tern_str_eq(key, TERN_STR("type"))) {
            TERN_TRY(tern_json_skip(json, err));
            continue;
        }
        TERN_TRY(tern_json_string(json, &loss, err));
        TERN_TRY(tern_catboost_set_loss(model, loss, err));
    }
}

enum tern_code tern_catboost_read_params(struct tern_catboost *model, struct tern_str text,
                                         struct tern_err *err)
{
    struct tern_json json;
    struct tern_str key;
    bool more;

    tern_json_init(&json, text, model->source->arena);
    TERN_TRY(tern_json_object(&json, err));
    while (true) {
        TERN_TRY(tern_json_key(&json, &more, &key, err));
        if (!more)
            return tern_json_end(&json, err);
        if (tern_str_eq(key, TERN_STR("loss_function")))
            TERN_TRY(read_loss(model, &json, err));
        else
            TERN_TRY(tern_json_skip(&json, err));
    }
}

/* With more classes than the training saw, CatBoost makes up outputs for the others. */
static enum tern_code check_count(const struct tern_catboost *model, struct tern_json *json,
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
    struct tern_json json;
    struct tern_str key;
    bool more;

    tern_json_init(&json, text, model->source->arena);
    TERN_TRY(tern_json_object(&json, err));
    while (true) {
        TERN_TRY(tern_json_key(&json, &more, &key, err));
        if (!more)
            return tern_json_end(&json, err);
        if (tern_str_eq(key, TERN_STR("classes_count")))
            TERN_TRY(check_count(model, &json, err));
        else
            TERN_TRY(tern_json_skip(&json, err));
    }
}
