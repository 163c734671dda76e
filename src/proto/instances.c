#include "proto/instances.h"

#include <math.h>
#include <string.h>
#include "base/hash.h"
#include "base/num.h"
#include "proto/oip_int.h"
#include "simd/numbers.h"
#include "wire/base64.h"

#define ALIGN      64
#define NO_FEATURE UINT32_MAX

/* ---- reading ---- */

/* The rows of one input while they come. */
struct column {
    const struct tern_tensor_spec *spec;
    struct tern_tensor *tensor;
    size_t row_count; /* elements of a row; known from the first one on */
    size_t n_rows;
    char *texts; /* BYTES: where the next one goes, and the room's end */
    const char *texts_end;
    struct tern_shape nest; /* of a row, as it was written */
};

struct reader {
    struct tern_call *call;
    struct tern_json *json;
    struct column *columns; /* one a model's input */
    size_t n_rows;
    const char *what; /* "instances" */
    /* Of rows by features: which ones the row has; where each name is, by its hash. */
    bool *has;
    uint32_t *places;
    size_t n_places; /* a power of two */
};

static enum tern_code fail_row(const struct reader *r, const struct column *column, const char *why,
                               struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "\"%s\", row %zu of input '%.*s': %s", r->what,
                     column->n_rows, TERN_STR_ARG(column->spec->name), why);
}

/* The shape of a row's tensor: fixed dimensions stay, the last free one takes what is left. The
 * nesting counts where it has as many dimensions. */
static enum tern_code shape_row(const struct reader *r, struct column *column, struct tern_err *err)
{
    struct tern_shape *shape = &column->tensor->shape;
    size_t fixed = 1;
    int last_free = 0;

    *shape = column->spec->shape;
    if (shape->rank == 0)
        return fail_row(r, column, "the model's input has no rows", err);
    bool is_nested = column->nest.rank == shape->rank - 1;
    for (int i = 1; i < shape->rank; i++) {
        if (shape->dim[i] < 0 && is_nested)
            shape->dim[i] = column->nest.dim[i - 1];
        last_free = shape->dim[i] < 0 ? i : last_free;
    }
    for (int i = 1; i < shape->rank; i++) {
        if (shape->dim[i] < 0 && i != last_free)
            shape->dim[i] = 1;
        if (shape->dim[i] >= 0 && tern_num_mul(fixed, (size_t)shape->dim[i], &fixed))
            fixed = 0;
    }
    if (last_free > 0 && fixed > 0 && column->row_count % fixed == 0)
        shape->dim[last_free] = (int64_t)(column->row_count / fixed);
    else if (last_free > 0 || fixed != column->row_count)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "\"%s\": a row of input '%.*s' has %zu elements, which do not fill its "
                         "shape",
                         r->what, TERN_STR_ARG(column->spec->name), column->row_count);
    return TERN_OK;
}

/* Memory for all rows, once the first one tells how long they are. */
static enum tern_code begin_column(struct reader *r, struct column *column, size_t row_count,
                                   struct tern_err *err)
{
    size_t n, size = tern_dtype_size(column->spec->dtype);

    column->row_count = row_count;
    TERN_TRY(shape_row(r, column, err));
    if (column->spec->dtype == TERN_DTYPE_BYTES)
        return TERN_OK;
    if (tern_num_mul(row_count, r->n_rows, &n) || tern_num_mul(n, size, &n))
        return fail_row(r, column, "too many elements", err);
    column->tensor->data = tern_arena_alloc(r->call->arena, ALIGN, n + 1);
    return column->tensor->data != NULL ? TERN_OK
                                        : tern_arena_fail(r->call->arena, err, "the instances");
}

static enum tern_code end_row(struct reader *r, struct column *column, size_t count,
                              struct tern_err *err)
{
    if (count != column->row_count)
        return fail_row(r, column, "it has not as many elements as the rows before it", err);
    column->n_rows++;
    return TERN_OK;
}

/* A number or an array of them, through an array with only that. */
static enum tern_code read_numbers(struct reader *r, struct column *column, struct tern_err *err)
{
    struct tern_json *json = r->json;
    struct tern_arena *arena = r->call->arena;
    bool is_array = tern_json_peek(json) == TERN_JSON_ARRAY;
    size_t size = tern_dtype_size(column->spec->dtype);
    struct tern_numbers_result result;

    const char *start = json->p;
    TERN_TRY(tern_json_skip(json, err));
    size_t n = (size_t)(json->p - start);
    struct tern_str text = tern_str_make(start, n);
    if (!is_array) {
        char *p = tern_arena_alloc(arena, 1, n + 2 + TERN_TEXT_PAD);
        if (p == NULL)
            return tern_arena_fail(arena, err, "the instances");
        p[0] = '[';
        memcpy(p + 1, start, n);
        memset(p + n + 1, ']', 1 + TERN_TEXT_PAD);
        text = tern_str_make(p, n + 2);
    }
    size_t most = tern_numbers_bound(text);
    void *row = tern_arena_alloc(arena, ALIGN, most * size + 1);
    if (row == NULL)
        return tern_arena_fail(arena, err, "the instances");
    enum tern_code code = tern_numbers_read(column->spec->dtype, text, row, most, &result, err);
    if (code != TERN_OK) {
        tern_err_prefix(err, "\"%s\", row %zu of input '%.*s'", r->what, column->n_rows,
                        TERN_STR_ARG(column->spec->name));
        return code;
    }
    column->nest.rank = is_array ? result.nest.rank : 0;
    for (int i = 0; i < column->nest.rank; i++)
        column->nest.dim[i] = result.nest.dim[i];
    if (column->n_rows == 0)
        TERN_TRY(begin_column(r, column, result.count, err));
    TERN_TRY(end_row(r, column, result.count, err));
    size_t bytes = result.count * size;
    memcpy((char *)column->tensor->data + (column->n_rows - 1) * bytes, row, bytes);
    column->tensor->n_bytes += bytes;
    return TERN_OK;
}

/* {"b64": "..."} */
static enum tern_code read_base64(struct reader *r, struct tern_str *ret, struct tern_err *err)
{
    struct tern_str key = {NULL, 0}, text = {NULL, 0};
    bool more = false;
    size_t n;

    TERN_TRY(tern_json_object(r->json, err));
    TERN_TRY(tern_json_key(r->json, &more, &key, err));
    if (!more || !tern_str_eq(key, TERN_STR("b64")))
        return tern_json_fail(r->json, err, "expected a text or {\"b64\": \"...\"}");
    TERN_TRY(tern_json_string(r->json, &text, err));
    TERN_TRY(tern_json_key(r->json, &more, &key, err));
    char *bytes = tern_arena_alloc(r->call->arena, 1, TERN_BASE64_ROOM(text.n) + 1);
    if (bytes == NULL)
        return tern_arena_fail(r->call->arena, err, "the instances");
    if (more || !tern_base64_decode(text, bytes, &n))
        return tern_json_fail(r->json, err, "expected {\"b64\": \"...\"} with valid base64");
    *ret = tern_str_make(bytes, n);
    return TERN_OK;
}

static enum tern_code add_text(struct reader *r, struct column *column, struct tern_err *err)
{
    struct tern_str text = {NULL, 0};

    if (tern_json_peek(r->json) == TERN_JSON_OBJECT)
        TERN_TRY(read_base64(r, &text, err));
    else
        TERN_TRY(tern_json_string(r->json, &text, err));
    if ((size_t)(column->texts_end - column->texts) < text.n + 4)
        return fail_row(r, column, "its texts are too long", err);
    for (unsigned i = 0; i < 4; i++)
        *column->texts++ = (char)(unsigned char)(text.n >> (8 * i));
    if (text.n > 0)
        memcpy(column->texts, text.p, text.n);
    column->texts += text.n;
    return TERN_OK;
}

/* A text, or a flat array of them. A text is at least its two quotes and a separator in the body,
 * and 4 bytes and itself in the tensor: twice the body is enough for all rows. */
static enum tern_code read_texts(struct reader *r, struct column *column, struct tern_err *err)
{
    struct tern_json *json = r->json;
    size_t count = 0, room = 2 * r->call->message.n + 64;
    bool more = true;

    if (column->texts == NULL) {
        column->texts = tern_arena_alloc(r->call->arena, 4, room);
        if (column->texts == NULL)
            return tern_arena_fail(r->call->arena, err, "the instances");
        column->tensor->data = column->texts;
        column->texts_end = column->texts + room;
    }
    if (tern_json_peek(json) == TERN_JSON_ARRAY) {
        TERN_TRY(tern_json_array(json, err));
        for (;; count++) {
            TERN_TRY(tern_json_item(json, &more, err));
            if (!more)
                break;
            TERN_TRY(add_text(r, column, err));
        }
    } else {
        TERN_TRY(add_text(r, column, err));
        count = 1;
    }
    column->nest = (struct tern_shape){.rank = 0};
    if (column->n_rows == 0)
        TERN_TRY(begin_column(r, column, count, err));
    column->tensor->n_bytes = (size_t)(column->texts - (char *)column->tensor->data);
    return end_row(r, column, count, err);
}

static enum tern_code read_value(struct reader *r, struct column *column, size_t row,
                                 struct tern_err *err)
{
    if (column->n_rows != row)
        return fail_row(r, column, column->n_rows > row ? "it stands twice" : "it is missing", err);
    return column->spec->dtype == TERN_DTYPE_BYTES ? read_texts(r, column, err)
                                                   : read_numbers(r, column, err);
}

/* ---- a row as an object of its features ---- */

/* Of a model whose file names the columns of its only input. */
static bool has_features(const struct tern_model_info *info)
{
    return info->n_inputs == 1 && info->n_feature_names > 0 && info->inputs[0].shape.rank == 2 &&
           info->inputs[0].shape.dim[1] == (int64_t)info->n_feature_names &&
           (info->inputs[0].dtype == TERN_DTYPE_FP32 || info->inputs[0].dtype == TERN_DTYPE_FP64);
}

static size_t place_of(const struct reader *r, struct tern_str name)
{
    return (size_t)tern_hash_bytes(name, 0) & (r->n_places - 1);
}

/* Half of the places stay free, so that a search ends soon. */
static enum tern_code index_features(struct reader *r, struct tern_err *err)
{
    const struct tern_model_info *info = r->call->info;

    for (r->n_places = 2; r->n_places < 2 * (size_t)info->n_feature_names;)
        r->n_places *= 2;
    r->places = tern_arena_alloc(r->call->arena, 4, r->n_places * sizeof(*r->places));
    if (r->places == NULL)
        return tern_arena_fail(r->call->arena, err, "the instances");
    memset(r->places, 0xff, r->n_places * sizeof(*r->places));
    for (uint32_t i = 0; i < info->n_feature_names; i++) {
        size_t at = place_of(r, info->feature_names[i]);
        while (r->places[at] != NO_FEATURE)
            at = (at + 1) & (r->n_places - 1);
        r->places[at] = i;
    }
    return TERN_OK;
}

/* Mostly it is the one that comes next in the model's order. NO_FEATURE: there is none. */
static enum tern_code find_feature(struct reader *r, struct tern_str name, uint32_t next,
                                   uint32_t *ret, struct tern_err *err)
{
    const struct tern_str *names = r->call->info->feature_names;

    *ret = next;
    if (tern_str_eq(names[next], name))
        return TERN_OK;
    if (r->places == NULL)
        TERN_TRY(index_features(r, err));
    for (size_t at = place_of(r, name);; at = (at + 1) & (r->n_places - 1)) {
        *ret = r->places[at];
        if (*ret == NO_FEATURE || tern_str_eq(names[*ret], name))
            return TERN_OK;
    }
}

static enum tern_code fail_feature(const struct reader *r, size_t row, struct tern_str name,
                                   const char *why, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "\"%s\", row %zu: feature '%.*s' %s", r->what, row,
                     TERN_STR_ARG(name), why);
}

/* null is a missing value. */
static enum tern_code read_feature(struct reader *r, void *to, struct tern_err *err)
{
    bool is_float = r->columns[0].spec->dtype == TERN_DTYPE_FP32;
    double wide = (double)NAN;
    float narrow = NAN;
    size_t used;

    if (tern_json_peek(r->json) != TERN_JSON_NULL) { /* stands at the value now */
        struct tern_str text = tern_str_make(r->json->p, (size_t)(r->json->end - r->json->p));
        TERN_TRY(is_float ? tern_numbers_read_float(text, &narrow, &used, err)
                          : tern_numbers_read_double(text, &wide, &used, err));
    }
    if (is_float)
        memcpy(to, &narrow, sizeof(narrow));
    else
        memcpy(to, &wide, sizeof(wide));
    return tern_json_skip(r->json, err);
}

static enum tern_code begin_features(struct reader *r, size_t row, struct tern_err *err)
{
    struct column *column = &r->columns[0];
    uint32_t n = r->call->info->n_feature_names;

    if (column->n_rows != row)
        return fail_row(r, column, "it is missing", err);
    if (r->has == NULL)
        r->has = tern_arena_alloc(r->call->arena, 1, n * sizeof(*r->has));
    if (r->has == NULL)
        return tern_arena_fail(r->call->arena, err, "the instances");
    memset(r->has, 0, n * sizeof(*r->has));
    column->nest = (struct tern_shape){.rank = 0};
    if (column->n_rows == 0)
        TERN_TRY(begin_column(r, column, n, err));
    return end_row(r, column, n, err);
}

/* The first member's key has been read. */
static enum tern_code read_features(struct reader *r, size_t row, struct tern_str key,
                                    struct tern_err *err)
{
    const struct tern_model_info *info = r->call->info;
    size_t size = tern_dtype_size(info->inputs[0].dtype);
    uint32_t next = 0, at = 0;
    bool more = true;

    TERN_TRY(begin_features(r, row, err));
    char *values = (char *)r->columns[0].tensor->data + row * info->n_feature_names * size;
    while (more) {
        TERN_TRY(find_feature(r, key, next, &at, err));
        if (at == NO_FEATURE)
            return fail_feature(r, row, key, "is none of the model's", err);
        if (r->has[at])
            return fail_feature(r, row, key, "stands twice", err);
        enum tern_code code = read_feature(r, values + at * size, err);
        if (code != TERN_OK) {
            tern_err_prefix(err, "\"%s\", row %zu, feature '%.*s'", r->what, row,
                            TERN_STR_ARG(key));
            return code;
        }
        r->has[at] = true;
        next = at + 1 < info->n_feature_names ? at + 1 : 0;
        TERN_TRY(tern_json_key(r->json, &more, &key, err));
    }
    for (uint32_t i = 0; i < info->n_feature_names; i++)
        if (!r->has[i])
            return fail_feature(r, row, info->feature_names[i],
                                "is missing; null says that its value is", err);
    r->columns[0].tensor->n_bytes += info->n_feature_names * size;
    return TERN_OK;
}

/* ---- rows ---- */

static enum tern_code read_object(struct reader *r, size_t row, struct tern_err *err)
{
    const struct tern_model_info *info = r->call->info;
    struct tern_str key = {NULL, 0};
    bool more = false;

    TERN_TRY(tern_json_object(r->json, err));
    for (bool is_first = true;; is_first = false) {
        TERN_TRY(tern_json_key(r->json, &more, &key, err));
        if (!more)
            return TERN_OK;
        const struct tern_tensor_spec *spec = tern_model_input(info, key);
        if (spec == NULL && is_first && has_features(info))
            return read_features(r, row, key, err);
        if (spec == NULL)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "\"%s\", row %zu: the model has no input '%.*s'", r->what, row,
                             TERN_STR_ARG(key));
        TERN_TRY(read_value(r, &r->columns[spec - info->inputs], row, err));
    }
}

/* Objects have members for inputs; {"b64": ...} is a text. */
static bool is_text(struct tern_json json)
{
    struct tern_str key = {NULL, 0};
    bool more = false;

    return tern_json_object(&json, NULL) == TERN_OK &&
           tern_json_key(&json, &more, &key, NULL) == TERN_OK && more &&
           tern_str_eq(key, TERN_STR("b64"));
}

static enum tern_code read_instance(struct reader *r, size_t row, struct tern_err *err)
{
    const struct tern_model_info *info = r->call->info;

    if (tern_json_peek(r->json) == TERN_JSON_OBJECT && !is_text(*r->json))
        return read_object(r, row, err);
    if (info->n_inputs != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "\"%s\", row %zu: expected an object with the model's %u inputs", r->what,
                         row, info->n_inputs);
    return read_value(r, &r->columns[0], row, err);
}

static enum tern_code count_rows(struct tern_json json, size_t *ret, struct tern_err *err)
{
    bool more = false;

    TERN_TRY(tern_json_array(&json, err));
    for (*ret = 0;; ++*ret) {
        TERN_TRY(tern_json_item(&json, &more, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(tern_json_skip(&json, err));
    }
}

/* Those columns that have all rows, in the model's order. */
static enum tern_code finish(struct reader *r, struct tern_tensor *tensors, uint32_t *ret_n,
                             struct tern_err *err)
{
    *ret_n = 0;
    for (uint32_t i = 0; i < r->call->info->n_inputs; i++) {
        struct column *column = &r->columns[i];
        if (column->n_rows == 0)
            continue; /* whether it may be missing, the operation says */
        if (column->n_rows != r->n_rows)
            return fail_row(r, column, "it is missing", err);
        column->tensor->shape.dim[0] = (int64_t)r->n_rows;
        tensors[(*ret_n)++] = *column->tensor;
    }
    return TERN_OK;
}

/* Whether the list is one array of numbers. */
static bool is_plain(const struct reader *r)
{
    const struct tern_model_info *info = r->call->info;
    struct tern_json json = *r->json;
    bool more = false;

    return info->n_inputs == 1 && info->inputs[0].dtype != TERN_DTYPE_BYTES &&
           tern_json_array(&json, NULL) == TERN_OK &&
           tern_json_item(&json, &more, NULL) == TERN_OK && more &&
           tern_json_peek(&json) != TERN_JSON_OBJECT;
}

/* All rows at once. */
static enum tern_code read_plain(struct reader *r, struct tern_err *err)
{
    struct tern_json *json = r->json;
    struct column *column = &r->columns[0];
    struct tern_tensor *tensor = column->tensor;
    struct tern_str text = tern_str_make(json->p, (size_t)(json->end - json->p));
    size_t most = tern_numbers_bound(text), size = tern_dtype_size(tensor->dtype);
    struct tern_numbers_result result;

    tensor->data = tern_arena_alloc(r->call->arena, ALIGN, most * size + 1);
    if (tensor->data == NULL)
        return tern_arena_fail(r->call->arena, err, "the instances");
    enum tern_code code = tern_numbers_read(tensor->dtype, text, tensor->data, most, &result, err);
    if (code != TERN_OK) {
        tern_err_prefix(err, "\"%s\"", r->what);
        return code;
    }
    json->p += result.used;
    r->n_rows = column->n_rows = (size_t)result.nest.dim[0];
    column->row_count = r->n_rows == 0 ? 0 : result.count / r->n_rows;
    column->nest.rank = result.nest.rank - 1;
    for (int i = 0; i < column->nest.rank; i++)
        column->nest.dim[i] = result.nest.dim[i + 1];
    tensor->n_bytes = result.count * size;
    return shape_row(r, column, err);
}

/* json stands at the list. */
static enum tern_code read_list(struct tern_call *call, struct tern_json *json, const char *what,
                                struct tern_tensor **ret, uint32_t *ret_n, struct tern_err *err)
{
    const struct tern_model_info *info = call->info;
    size_t n = (size_t)info->n_inputs + 1;
    struct tern_tensor *tensors = tern_arena_zalloc(call->arena, n, sizeof(*tensors));
    struct column *columns = tern_arena_zalloc(call->arena, n, sizeof(*columns));
    struct reader r = {.call = call, .json = json, .columns = columns, .what = what};
    bool more = false;

    if (tensors == NULL || columns == NULL)
        return tern_arena_fail(call->arena, err, "the instances");
    for (uint32_t i = 0; i < info->n_inputs; i++) {
        columns[i].spec = &info->inputs[i];
        columns[i].tensor = &tensors[i];
        tensors[i] =
            (struct tern_tensor){.name = info->inputs[i].name, .dtype = info->inputs[i].dtype};
    }
    if (tern_json_peek(json) != TERN_JSON_ARRAY)
        return tern_json_fail(json, err, "Expected \"%s\" to be a list", what);
    *ret = tensors;
    if (is_plain(&r)) {
        TERN_TRY(read_plain(&r, err));
        return finish(&r, tensors, ret_n, err);
    }
    TERN_TRY(count_rows(*json, &r.n_rows, err));
    if (r.n_rows == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "\"%s\" is empty", what);
    TERN_TRY(tern_json_array(json, err));
    for (size_t row = 0;; row++) {
        TERN_TRY(tern_json_item(json, &more, err));
        if (!more)
            break;
        TERN_TRY(read_instance(&r, row, err));
    }
    return finish(&r, tensors, ret_n, err);
}

/* ---- the body ---- */

static enum tern_code read_param(struct tern_call *call, struct tern_json *json,
                                 struct tern_str key, struct tern_err *err)
{
    struct tern_explain_request *explain = &call->explain;
    struct tern_param param;

    if (call->op == TERN_OP_EXPLAIN && tern_str_eq(key, TERN_STR("background")) &&
        tern_json_peek(json) == TERN_JSON_ARRAY) {
        if (explain->background == TERN_EXPLAIN_BACKGROUND_GIVEN)
            return tern_json_fail(json, err, "the background is given twice");
        explain->background = TERN_EXPLAIN_BACKGROUND_GIVEN;
        return read_list(call, json, "background", &explain->rows, &explain->n_rows, err);
    }
    TERN_TRY(tern_oip_read_param(json, key, &param, err));
    return tern_params_add(call->arena, &call->request.params, &param, err);
}

static enum tern_code read_params(struct tern_call *call, struct tern_json *json,
                                  struct tern_err *err)
{
    struct tern_str key = {NULL, 0};
    bool more = false;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(read_param(call, json, key, err));
    }
}

enum { SEEN_INSTANCES, SEEN_PARAMETERS };

static enum tern_code read_member(struct tern_call *call, struct tern_json *json,
                                  struct tern_str key, uint32_t *seen, struct tern_err *err)
{
    struct tern_infer_request *request = &call->request;

    if (tern_str_eq(key, TERN_STR("instances")) || tern_str_eq(key, TERN_STR("inputs"))) {
        TERN_TRY(tern_json_once(json, seen, SEEN_INSTANCES, key, err));
        return read_list(call, json, key.n == 6 ? "inputs" : "instances", &request->inputs,
                         &request->n_inputs, err);
    }
    if (tern_str_eq(key, TERN_STR("parameters")) && tern_json_peek(json) == TERN_JSON_OBJECT) {
        TERN_TRY(tern_json_once(json, seen, SEEN_PARAMETERS, key, err));
        return read_params(call, json, err);
    }
    return tern_json_skip(json, err);
}

enum tern_code tern_instances_decode(struct tern_call *call, struct tern_err *err)
{
    uint32_t seen = 0;

    TERN_TRY(tern_oip_check_content_type(call->x, err));
    if (call->message.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the request has no body, expected JSON with \"instances\"");
    TERN_TRY(tern_oip_read_object(call, call->message, read_member, &seen, err));
    if ((seen & 1u << SEEN_INSTANCES) == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Expected key \"instances\" or \"inputs\" in request body");
    return TERN_OK;
}
