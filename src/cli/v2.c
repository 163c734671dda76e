#include "cli/v2.h"

#include "base/num.h"
#include "cli/values.h"
#include "core/request.h"
#include "proto/oip_tensor.h"

#define TENSOR_ALIGN 64

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

enum { SEEN_NAME = 1, SEEN_SHAPE = 2, SEEN_TYPE = 4, SEEN_SPEC = 7 };

/* One tensor while it is read: where its elements are. */
struct source {
    struct tern_json data; /* "data" stands here; p == NULL: it has none */
    int64_t raw_n;         /* or so many bytes of what follows the JSON; -1: not said */
    unsigned seen;
};

static enum tern_code read_member(struct tern_json *json, struct tern_str key,
                                  struct tern_tensor *tensor, struct source *source,
                                  struct tern_err *err)
{
    struct tern_str type;

    if (tern_str_eq(key, TERN_STR("name"))) {
        source->seen |= SEEN_NAME;
        return tern_json_string(json, &tensor->name, err);
    }
    if (tern_str_eq(key, TERN_STR("shape"))) {
        source->seen |= SEEN_SHAPE;
        return read_shape(json, &tensor->shape, err);
    }
    if (tern_str_eq(key, TERN_STR("datatype"))) {
        source->seen |= SEEN_TYPE;
        TERN_TRY(tern_json_string(json, &type, err));
        tensor->dtype = tern_dtype_from_name(type);
        return tensor->dtype != TERN_DTYPE_INVALID
                   ? TERN_OK
                   : tern_json_fail(json, err, "'%.*s' is no datatype", TERN_STR_ARG(type));
    }
    if (tern_str_eq(key, TERN_STR("parameters")) && tern_json_peek(json) == TERN_JSON_OBJECT)
        return tern_v2_read_number(json, TERN_STR("binary_data_size"), &source->raw_n, err);
    if (tern_str_eq(key, TERN_STR("data"))) {
        (void)tern_json_peek(json);
        source->data = *json;
    }
    return tern_json_skip(json, err);
}

/* The next n raw bytes, copied: what follows a JSON text need not be aligned. */
static enum tern_code take_raw(struct tern_str *raw, size_t n, struct tern_arena *arena,
                               struct tern_tensor *tensor, struct tern_err *err)
{
    size_t wanted = 0, count = 0;

    if (n > raw->n)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "tensor '%.*s' has %zu raw bytes, but only %zu follow",
                         TERN_STR_ARG(tensor->name), n, raw->n);
    tensor->data = tern_arena_alloc(arena, TENSOR_ALIGN, n + 1);
    if (tensor->data == NULL)
        return tern_arena_fail(arena, err, "a tensor");
    if (n > 0)
        memcpy(tensor->data, raw->p, n);
    tensor->n_bytes = n;
    *raw = tern_str_from(*raw, n);
    if (tensor->dtype == TERN_DTYPE_BYTES) {
        TERN_TRY(tern_oip_count_elements(tensor, &count, err));
        return tern_tensor_check_bytes(tensor->name, tensor->data, n, count, err);
    }
    TERN_TRY(tern_shape_bytes(tensor->name, tensor->dtype, &tensor->shape, &wanted, err));
    return n == wanted ? TERN_OK
                       : tern_fail(err, TERN_INVALID_ARGUMENT,
                                   "tensor '%.*s' has %zu raw bytes, its shape takes %zu",
                                   TERN_STR_ARG(tensor->name), n, wanted);
}

/* One tensor, or without raw its specification. The elements are read when the rest is known,
 * wherever they stand. */
static enum tern_code read_tensor(struct tern_json *json, struct tern_str *raw,
                                  struct tern_tensor *tensor, struct tern_err *err)
{
    struct source source = {.raw_n = -1};
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            break;
        TERN_TRY(read_member(json, key, tensor, &source, err));
    }
    bool has_data = source.data.p != NULL || source.raw_n >= 0;
    if (source.seen != SEEN_SPEC || (raw != NULL && !has_data))
        return tern_json_fail(json, err, "expected 'name', 'datatype', 'shape'%s in each tensor",
                              raw != NULL ? " and 'data'" : "");
    if (raw == NULL)
        return TERN_OK;
    if (source.data.p != NULL)
        return tern_oip_read_tensor(&source.data, json->arena, tensor, err);
    return take_raw(raw, (size_t)source.raw_n, json->arena, tensor, err);
}

/* A list of tensors or specifications, in the arena. */
static enum tern_code read_list(struct tern_json *json, struct tern_str *raw,
                                struct tern_v2_tensors *ret, struct tern_err *err)
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
        TERN_TRY(read_tensor(json, raw, &list.rows[list.n], err));
        list.n++;
    }
    *ret = list;
    return TERN_OK;
}

enum tern_code tern_v2_read_tensors(struct tern_json *json, struct tern_v2_tensors *ret,
                                    struct tern_err *err)
{
    struct tern_str nothing = {NULL, 0};

    return read_list(json, &nothing, ret, err);
}

enum tern_code tern_v2_read_answer(struct tern_json *json, struct tern_str raw,
                                   struct tern_v2_answer *ret, struct tern_err *err)
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
            TERN_TRY(read_list(json, &raw, &answer.outputs, err));
        else
            TERN_TRY(tern_json_skip(json, err));
    }
    TERN_TRY(tern_json_end(json, err));
    if (answer.outputs.n == 0)
        return tern_json_fail(json, err, "an answer without outputs");
    *ret = answer;
    return TERN_OK;
}

/* A list of texts, in the arena. */
static enum tern_code read_names(struct tern_json *json, struct tern_labels *ret,
                                 struct tern_err *err)
{
    struct tern_json ahead = *json;
    struct tern_str *rows;
    uint32_t n = 0;
    bool more;

    TERN_TRY(tern_json_array(&ahead, err));
    for (;; n++) { /* as many as the answer is long */
        TERN_TRY(tern_json_item(&ahead, &more, err));
        if (!more)
            break;
        TERN_TRY(tern_json_skip(&ahead, err));
    }
    rows = tern_arena_zalloc(json->arena, n, sizeof(*rows));
    if (rows == NULL && n > 0)
        return tern_arena_fail(json->arena, err, "the names of classes");
    TERN_TRY(tern_json_array(json, err));
    for (uint32_t i = 0; i <= n; i++) {
        TERN_TRY(tern_json_item(json, &more, err));
        if (more)
            TERN_TRY(tern_json_string(json, &rows[i], err));
    }
    *ret = (struct tern_labels){rows, n};
    return TERN_OK;
}

/* What one tensor's columns are called: Tern's own members of the metadata. */
static enum tern_code read_columns(struct tern_json *json, struct tern_labels *ret,
                                   struct tern_err *err)
{
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            return TERN_OK;
        bool is_names =
            tern_str_eq(key, TERN_STR("labels")) || tern_str_eq(key, TERN_STR("feature_names"));
        if (is_names && tern_json_peek(json) == TERN_JSON_ARRAY)
            TERN_TRY(read_names(json, ret, err));
        else
            TERN_TRY(tern_json_skip(json, err));
    }
}

/* Of the same list, after its specifications. */
static enum tern_code read_all_columns(struct tern_json *json, struct tern_tensor_spec *specs,
                                       uint32_t n, struct tern_err *err)
{
    bool more;

    TERN_TRY(tern_json_array(json, err));
    for (uint32_t i = 0; i < n; i++) {
        TERN_TRY(tern_json_item(json, &more, err));
        TERN_TRY(read_columns(json, &specs[i].labels, err));
    }
    return TERN_OK;
}

static enum tern_code read_specs(struct tern_json *json, const struct tern_tensor_spec **ret,
                                 uint32_t *ret_n, struct tern_err *err)
{
    struct tern_v2_tensors list = {.n = 0};
    struct tern_json again = *json;

    TERN_TRY(read_list(json, NULL, &list, err));
    struct tern_tensor_spec *specs = tern_arena_zalloc(json->arena, list.n + 1, sizeof(*specs));
    if (specs == NULL)
        return tern_arena_fail(json->arena, err, "the model's tensors");
    for (uint32_t i = 0; i < list.n; i++) {
        specs[i].name = list.rows[i].name;
        specs[i].dtype = list.rows[i].dtype;
        specs[i].shape = list.rows[i].shape;
    }
    TERN_TRY(read_all_columns(&again, specs, list.n, err));
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
    if (info.n_inputs > 0) {
        info.feature_names = info.inputs[0].labels.rows;
        info.n_feature_names = info.inputs[0].labels.n;
    }
    *ret = info;
    return TERN_OK;
}

enum tern_code tern_v2_read_number(struct tern_json *json, struct tern_str key, int64_t *ret,
                                   struct tern_err *err)
{
    struct tern_json_number number;
    struct tern_str found;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &found, err));
        if (!more)
            return TERN_OK;
        if (tern_str_eq(found, key) && tern_json_peek(json) == TERN_JSON_NUMBER) {
            TERN_TRY(tern_json_number(json, &number, err));
            *ret = number.kind == TERN_JSON_INT64 ? number.int64 : 0;
        } else {
            TERN_TRY(tern_json_skip(json, err));
        }
    }
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

/* ---- writing ---- */

static enum tern_code write_tensor(struct tern_buf *out, const struct tern_tensor *tensor,
                                   bool binary, struct tern_err *err)
{
    TERN_BUF_ADD_LITERAL(out, "{\"name\":");
    tern_json_add_string(out, tensor->name);
    tern_buf_printf(out, ",\"datatype\":\"%s\",\"shape\":", tern_dtype_name(tensor->dtype));
    tern_oip_write_shape(out, &tensor->shape);
    if (binary) {
        tern_buf_printf(out, ",\"parameters\":{\"binary_data_size\":%zu}}", tensor->n_bytes);
        return TERN_OK;
    }
    TERN_BUF_ADD_LITERAL(out, ",\"data\":");
    TERN_TRY(tern_oip_write_tensor(out, tensor, err));
    tern_buf_add_char(out, '}');
    return TERN_OK;
}

static enum tern_code write_list(struct tern_buf *out, const struct tern_v2_tensors *list,
                                 bool binary, struct tern_err *err)
{
    tern_buf_add_char(out, '[');
    for (uint32_t i = 0; i < list->n; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        TERN_TRY(write_tensor(out, &list->rows[i], binary, err));
    }
    tern_buf_add_char(out, ']');
    return TERN_OK;
}

enum tern_code tern_v2_write_request(struct tern_buf *out, const struct tern_v2_tensors *inputs,
                                     bool binary, size_t *ret_json_n, struct tern_err *err)
{
    size_t begin = out->n;

    TERN_BUF_ADD_LITERAL(out, "{\"inputs\":");
    TERN_TRY(write_list(out, inputs, binary, err));
    if (binary)
        TERN_BUF_ADD_LITERAL(out, ",\"parameters\":{\"binary_data_output\":true}");
    tern_buf_add_char(out, '}');
    *ret_json_n = out->n - begin;
    for (uint32_t i = 0; binary && i < inputs->n; i++)
        tern_buf_add(out, inputs->rows[i].data, inputs->rows[i].n_bytes);
    return tern_buf_check(out, "the request", err);
}

enum tern_code tern_v2_write_answer(struct tern_buf *out, const struct tern_v2_answer *answer,
                                    struct tern_err *err)
{
    TERN_BUF_ADD_LITERAL(out, "{\"model_name\":");
    tern_json_add_string(out, answer->model);
    TERN_BUF_ADD_LITERAL(out, ",\"model_version\":");
    tern_json_add_string(out, answer->version);
    TERN_BUF_ADD_LITERAL(out, ",\"outputs\":");
    TERN_TRY(write_list(out, &answer->outputs, false, err));
    TERN_BUF_ADD_LITERAL(out, "}\n");
    return tern_buf_check(out, "the answer", err);
}

/* ---- rows ---- */

bool tern_v2_can_cut(const struct tern_v2_tensors *tensors, const struct tern_model_info *model,
                     size_t rows)
{
    for (uint32_t i = 0; i < tensors->n; i++) {
        const struct tern_tensor_spec *spec = tern_model_input(model, tensors->rows[i].name);
        if (spec == NULL || spec->shape.rank == 0 || spec->shape.dim[0] >= 0 ||
            tern_value_rows(&tensors->rows[i].shape) != rows)
            return false;
    }
    return true;
}

/* The bytes of rows [from, from + n) of a tensor. */
static struct tern_tensor cut(const struct tern_tensor *tensor, size_t from, size_t n)
{
    struct tern_tensor part = *tensor;
    size_t row = tern_value_row_size(&tensor->shape);
    size_t begin = 0, end;
    struct tern_str element;

    part.shape.dim[0] = (int64_t)n;
    if (tensor->dtype != TERN_DTYPE_BYTES) {
        size_t size = tern_dtype_size(tensor->dtype);
        part.data = (char *)tensor->data + from * row * size;
        part.n_bytes = n * row * size;
        return part;
    }
    for (size_t i = 0; i < from * row; i++)
        (void)tern_tensor_next_bytes(tensor, &begin, &element);
    end = begin;
    for (size_t i = 0; i < n * row; i++)
        (void)tern_tensor_next_bytes(tensor, &end, &element);
    part.data = (char *)tensor->data + begin;
    part.n_bytes = end - begin;
    return part;
}

enum tern_code tern_v2_cut(const struct tern_v2_tensors *tensors, size_t from, size_t n,
                           struct tern_arena *arena, struct tern_v2_tensors *ret,
                           struct tern_err *err)
{
    struct tern_tensor *parts = tern_arena_zalloc(arena, tensors->n + 1, sizeof(*parts));

    if (parts == NULL)
        return tern_arena_fail(arena, err, "a batch");
    for (uint32_t i = 0; i < tensors->n; i++)
        parts[i] = cut(&tensors->rows[i], from, n);
    *ret = (struct tern_v2_tensors){.rows = parts, .n = tensors->n};
    return TERN_OK;
}
