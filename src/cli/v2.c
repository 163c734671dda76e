#include "cli/v2.h"

#include "base/num.h"
#include "core/request.h"
#include "proto/oip_tensor.h"

/* -1 stands for "any" in metadata. */
static enum tern_code read_shape(struct tern_json *json, struct tern_shape *shape,
                                 struct tern_err *err)
{
    struct tern_json_number number;
    bool more;

    shape->rank = 0;
    TERN_TRY(tern_json_array(json, err));
    for (;;) {
        TERN_TRY(tern_json_item(json, &more, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(tern_json_number(json, &number, err));
        if (number.kind != TERN_JSON_INT64 || number.int64 < -1 || shape->rank == TERN_RANK_MAX)
            return tern_json_fail(json, err, "expected at most %d sizes in 'shape'", TERN_RANK_MAX);
        shape->dim[shape->rank++] = number.int64;
    }
}

enum { SEEN_NAME = 1, SEEN_SHAPE = 2, SEEN_TYPE = 4, SEEN_DATA = 8, SEEN_SPEC = 7, SEEN_ALL = 15 };

/* One tensor, or with has_data == false its specification. "data" is read when the rest is known,
 * wherever it stands. */
static enum tern_code read_tensor(struct tern_json *json, bool has_data, struct tern_tensor *tensor,
                                  struct tern_err *err)
{
    struct tern_json data = {.p = NULL};
    struct tern_str key, type;
    unsigned seen = 0;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            break;
        if (tern_str_eq(key, TERN_STR("name"))) {
            TERN_TRY(tern_json_string(json, &tensor->name, err));
            seen |= SEEN_NAME;
        } else if (tern_str_eq(key, TERN_STR("datatype"))) {
            TERN_TRY(tern_json_string(json, &type, err));
            tensor->dtype = tern_dtype_from_name(type);
            if (tensor->dtype == TERN_DTYPE_INVALID)
                return tern_json_fail(json, err, "'%.*s' is no datatype", TERN_STR_ARG(type));
            seen |= SEEN_TYPE;
        } else if (tern_str_eq(key, TERN_STR("shape"))) {
            TERN_TRY(read_shape(json, &tensor->shape, err));
            seen |= SEEN_SHAPE;
        } else {
            if (tern_str_eq(key, TERN_STR("data"))) {
                (void)tern_json_peek(json);
                data = *json;
                seen |= SEEN_DATA;
            }
            TERN_TRY(tern_json_skip(json, err));
        }
    }
    if ((seen & (has_data ? SEEN_ALL : SEEN_SPEC)) != (has_data ? SEEN_ALL : SEEN_SPEC))
        return tern_json_fail(json, err, "expected 'name', 'datatype', 'shape'%s in each tensor",
                              has_data ? " and 'data'" : "");
    return has_data ? tern_oip_read_tensor(&data, json->arena, tensor, err) : TERN_OK;
}

/* A list of tensors or specifications, in the arena. */
static enum tern_code read_list(struct tern_json *json, bool has_data, struct tern_v2_tensors *ret,
                                struct tern_err *err)
{
    struct tern_v2_tensors list = {.n = 0};
    bool more;

    list.rows = tern_arena_zalloc(json->arena, TERN_TENSORS_MAX, sizeof(*list.rows));
    if (list.rows == NULL)
        return tern_arena_fail(json->arena, err, "a list of tensors");
    TERN_TRY(tern_json_array(json, err));
    for (;;) {
        TERN_TRY(tern_json_item(json, &more, err));
        if (!more)
            break;
        if (list.n == TERN_TENSORS_MAX)
            return tern_json_fail(json, err, "more than %d tensors", TERN_TENSORS_MAX);
        TERN_TRY(read_tensor(json, has_data, &list.rows[list.n], err));
        list.n++;
    }
    *ret = list;
    return TERN_OK;
}

enum tern_code tern_v2_read_tensors(struct tern_json *json, struct tern_v2_tensors *ret,
                                    struct tern_err *err)
{
    return read_list(json, true, ret, err);
}

enum tern_code tern_v2_read_answer(struct tern_json *json, struct tern_v2_answer *ret,
                                   struct tern_err *err)
{
    struct tern_v2_answer answer = {.outputs = {.n = 0}};
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            break;
        if (tern_str_eq(key, TERN_STR("model_name")))
            TERN_TRY(tern_json_string(json, &answer.model, err));
        else if (tern_str_eq(key, TERN_STR("model_version")))
            TERN_TRY(tern_json_string(json, &answer.version, err));
        else if (tern_str_eq(key, TERN_STR("outputs")))
            TERN_TRY(read_list(json, true, &answer.outputs, err));
        else
            TERN_TRY(tern_json_skip(json, err));
    }
    TERN_TRY(tern_json_end(json, err));
    if (answer.outputs.n == 0)
        return tern_json_fail(json, err, "an answer without outputs");
    *ret = answer;
    return TERN_OK;
}

static enum tern_code read_specs(struct tern_json *json, const struct tern_tensor_spec **ret,
                                 uint32_t *ret_n, struct tern_err *err)
{
    struct tern_v2_tensors list = {.n = 0};

    TERN_TRY(read_list(json, false, &list, err));
    struct tern_tensor_spec *specs = tern_arena_zalloc(json->arena, list.n + 1, sizeof(*specs));
    if (specs == NULL)
        return tern_arena_fail(json->arena, err, "the model's tensors");
    for (uint32_t i = 0; i < list.n; i++) {
        specs[i].name = list.rows[i].name;
        specs[i].dtype = list.rows[i].dtype;
        specs[i].shape = list.rows[i].shape;
    }
    *ret = specs;
    *ret_n = list.n;
    return TERN_OK;
}

static enum tern_code read_versions(struct tern_json *json, int64_t *ret_highest,
                                    struct tern_err *err)
{
    struct tern_str text;
    int64_t number;
    bool more;

    TERN_TRY(tern_json_array(json, err));
    for (;;) {
        TERN_TRY(tern_json_item(json, &more, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(tern_json_string(json, &text, err));
        if (tern_num_parse_i64(text, &number) && number > *ret_highest)
            *ret_highest = number;
    }
}

enum tern_code tern_v2_read_metadata(struct tern_json *json, struct tern_model_info *ret,
                                     struct tern_err *err)
{
    struct tern_model_info info = {.version = 0};
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            break;
        if (tern_str_eq(key, TERN_STR("name")))
            TERN_TRY(tern_json_string(json, &info.name, err));
        else if (tern_str_eq(key, TERN_STR("versions")))
            TERN_TRY(read_versions(json, &info.version, err));
        else if (tern_str_eq(key, TERN_STR("inputs")))
            TERN_TRY(read_specs(json, &info.inputs, &info.n_inputs, err));
        else if (tern_str_eq(key, TERN_STR("outputs")))
            TERN_TRY(read_specs(json, &info.outputs, &info.n_outputs, err));
        else
            TERN_TRY(tern_json_skip(json, err));
    }
    TERN_TRY(tern_json_end(json, err));
    *ret = info;
    return TERN_OK;
}

enum tern_code tern_v2_read_number(struct tern_json *json, struct tern_str key, int64_t *ret,
                                   struct tern_err *err)
{
    struct tern_json_number number;
    struct tern_str found;
    int64_t value = 0;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &found, err));
        if (!more)
            break;
        if (tern_str_eq(found, key) && tern_json_peek(json) == TERN_JSON_NUMBER) {
            TERN_TRY(tern_json_number(json, &number, err));
            value = number.kind == TERN_JSON_INT64 ? number.int64 : 0;
        } else {
            TERN_TRY(tern_json_skip(json, err));
        }
    }
    *ret = value;
    return TERN_OK;
}

struct tern_str tern_v2_error_text(struct tern_str body, struct tern_arena *arena)
{
    struct tern_json json;
    struct tern_str key, text;
    bool more;

    tern_json_init(&json, body, arena);
    if (tern_json_object(&json, NULL) == TERN_OK &&
        tern_json_key(&json, &more, &key, NULL) == TERN_OK && more &&
        tern_str_eq(key, TERN_STR("error")) && tern_json_string(&json, &text, NULL) == TERN_OK)
        return text;
    return tern_str_make(body.p, body.n < 200 ? body.n : 200);
}

enum tern_code tern_v2_write_tensors(struct tern_buf *out, const struct tern_tensor *tensors,
                                     uint32_t n, struct tern_err *err)
{
    tern_buf_add_char(out, '[');
    for (uint32_t i = 0; i < n; i++) {
        tern_buf_add_str(out, i > 0 ? TERN_STR(",{\"name\":") : TERN_STR("{\"name\":"));
        tern_json_add_string(out, tensors[i].name);
        tern_buf_printf(out, ",\"datatype\":\"%s\",\"shape\":", tern_dtype_name(tensors[i].dtype));
        tern_oip_write_shape(out, &tensors[i].shape);
        TERN_BUF_ADD_LITERAL(out, ",\"data\":");
        TERN_TRY(tern_oip_write_tensor(out, &tensors[i], err));
        tern_buf_add_char(out, '}');
    }
    tern_buf_add_char(out, ']');
    return tern_buf_check(out, "the tensors as JSON", err);
}

enum tern_code tern_v2_write_answer(struct tern_buf *out, const struct tern_v2_answer *answer,
                                    struct tern_err *err)
{
    TERN_BUF_ADD_LITERAL(out, "{\"model_name\":");
    tern_json_add_string(out, answer->model);
    TERN_BUF_ADD_LITERAL(out, ",\"model_version\":");
    tern_json_add_string(out, answer->version);
    TERN_BUF_ADD_LITERAL(out, ",\"outputs\":");
    TERN_TRY(tern_v2_write_tensors(out, answer->outputs.rows, answer->outputs.n, err));
    TERN_BUF_ADD_LITERAL(out, "}\n");
    return tern_buf_check(out, "the answer", err);
}
