/* SeldonMessage <-> tensors. data.ndarray (nested arrays), data.tensor (shape and values) and
 * strData are what a model with one input can be given. */
#include <string.h>
#include "proto/kserve_graph.h"
#include "proto/oip_int.h"
#include "proto/seldon.h"
#include "simd/numbers.h"

#define NAMES_MAX 4096 /* columns that get a name of ours */

/* ---- forms: json=<message>, as Seldon's own clients once sent it ---- */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %41 and +, in place of nothing: the text only gets shorter. */
static enum tern_code decode_form(struct tern_str value, struct tern_arena *arena,
                                  struct tern_str *ret, struct tern_err *err)
{
    char *text = tern_arena_alloc(arena, 1, value.n + TERN_TEXT_PAD);
    size_t n = 0;

    if (text == NULL)
        return tern_arena_fail(arena, err, "the form");
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '%') {
            int high = i + 2 < value.n ? hex_of(value.p[i + 1]) : -1;
            int low = i + 2 < value.n ? hex_of(value.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return tern_fail(err, TERN_INVALID_ARGUMENT,
                                 "the form has a %% without two hexadecimal digits");
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        text[n++] = c;
    }
    memset(text + n, 0, TERN_TEXT_PAD);
    *ret = tern_str_make(text, n);
    return TERN_OK;
}

enum tern_code tern_seldon_decode_document(struct tern_call *call, struct tern_err *err)
{
    struct tern_str type = call->x->content_type, rest = call->message, field;

    type = tern_str_trim(tern_str_make(type.p, tern_str_find(type, ';')));
    if (!tern_str_eq_nocase(type, TERN_STR("application/x-www-form-urlencoded")) ||
        (rest.n > 0 && rest.p[0] == '{')) /* curl -d says so of JSON too */
        return TERN_OK;
    while (tern_str_split(&rest, '&', &field)) {
        if (tern_str_starts(field, TERN_STR("json=")))
            return decode_form(tern_str_from(field, 5), call->arena, &call->message, err);
    }
    return tern_fail(err, TERN_INVALID_ARGUMENT, "the form has no field 'json'");
}

/* ---- a message for a model ---- */

struct reader {
    struct tern_call *call;
    const struct tern_tensor_spec *spec;
    struct tern_tensor *tensor;
    bool given;
};

static enum tern_code fail_twice(const struct tern_json *json, struct tern_err *err)
{
    return tern_json_fail(json, err, "expected one of data and strData once");
}

/* The lengths of nested arrays, along the first element of each. */
static enum tern_code measure(const struct tern_json *from, struct tern_shape *shape,
                              struct tern_err *err)
{
    struct tern_json json = *from;
    bool more = true;

    shape->rank = 0;
    while (more && tern_json_peek(&json) == TERN_JSON_ARRAY) {
        struct tern_json inner = json;
        int64_t n = 0;
        if (shape->rank == TERN_RANK_MAX)
            return tern_json_fail(&json, err, "expected at most %d dimensions", TERN_RANK_MAX);
        TERN_TRY(tern_json_array(&inner, err));
        for (;;) {
            TERN_TRY(tern_json_item(&inner, &more, err));
            if (!more)
                break;
            n++;
            TERN_TRY(tern_json_skip(&inner, err));
        }
        shape->dim[shape->rank++] = n;
        TERN_TRY(tern_json_array(&json, err));
        TERN_TRY(tern_json_item(&json, &more, err));
    }
    return TERN_OK;
}

static enum tern_code read_ndarray(struct reader *r, struct tern_json *json, struct tern_err *err)
{
    if (tern_json_peek(json) != TERN_JSON_ARRAY)
        return tern_json_fail(json, err, "expected an array as data.ndarray");
    TERN_TRY(measure(json, &r->tensor->shape, err));
    r->given = true;
    return tern_oip_read_tensor(json, r->call->arena, r->tensor, err);
}

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
        if (number.kind != TERN_JSON_INT64 || number.int64 < 0 || shape->rank == TERN_RANK_MAX)
            return tern_json_fail(json, err, "expected at most %d dimensions, none negative",
                                  TERN_RANK_MAX);
        shape->dim[shape->rank++] = number.int64;
    }
}

/* {"shape": [...], "values": [...]}, in either order. */
static enum tern_code read_tensor(struct reader *r, struct tern_json *json, struct tern_err *err)
{
    struct tern_json values = {.p = NULL};
    bool more, has_shape = false;
    struct tern_str key;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            break;
        if (tern_str_eq(key, TERN_STR("shape"))) {
            TERN_TRY(read_shape(json, &r->tensor->shape, err));
            has_shape = true;
            continue;
        }
        if (tern_str_eq(key, TERN_STR("values")))
            values = *json;
        TERN_TRY(tern_json_skip(json, err));
    }
    if (!has_shape || values.p == NULL)
        return tern_json_fail(json, err, "expected shape and values in data.tensor");
    r->given = r->call->yes = true;
    return tern_oip_read_tensor(&values, r->call->arena, r->tensor, err);
}

static enum tern_code read_data(struct reader *r, struct tern_json *json, struct tern_err *err)
{
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            return TERN_OK;
        bool is_ndarray = tern_str_eq(key, TERN_STR("ndarray"));
        bool is_tensor = tern_str_eq(key, TERN_STR("tensor"));
        if ((is_ndarray || is_tensor) && r->given)
            return fail_twice(json, err);
        if (is_ndarray)
            TERN_TRY(read_ndarray(r, json, err));
        else if (is_tensor)
            TERN_TRY(read_tensor(r, json, err));
        else if (tern_str_eq(key, TERN_STR("tftensor")))
            return tern_json_fail(json, err, "data.tftensor is not supported: send tensor");
        else
            TERN_TRY(tern_json_skip(json, err)); /* names: the model knows its own */
    }
}

/* One element of text. */
static enum tern_code read_text(struct reader *r, struct tern_json *json, struct tern_err *err)
{
    struct tern_tensor *tensor = r->tensor;
    struct tern_str text;

    if (tensor->dtype != TERN_DTYPE_BYTES)
        return tern_json_fail(json, err, "the model takes %s, no strData",
                              tern_dtype_name(tensor->dtype));
    TERN_TRY(tern_json_string(json, &text, err));
    unsigned char *p = tern_arena_alloc(r->call->arena, 8, text.n + 4);
    if (p == NULL || text.n > UINT32_MAX)
        return tern_arena_fail(r->call->arena, err, "strData");
    for (unsigned i = 0; i < 4; i++)
        p[i] = (unsigned char)(text.n >> (8 * i));
    memcpy(p + 4, text.p, text.n);
    tensor->shape = r->spec->shape;
    for (int i = 0; i < tensor->shape.rank; i++)
        tensor->shape.dim[i] = 1;
    tensor->data = p;
    tensor->n_bytes = text.n + 4;
    r->given = true;
    return TERN_OK;
}

/* Its puid is the request's id. */
static enum tern_code read_meta(struct reader *r, struct tern_json *json, struct tern_err *err)
{
    struct tern_str key;
    bool more;

    if (tern_json_peek(json) != TERN_JSON_OBJECT)
        return tern_json_skip(json, err);
    TERN_TRY(tern_json_object(json, err));
    for (;;) {
        TERN_TRY(tern_json_key(json, &more, &key, err));
        if (!more)
            return TERN_OK;
        if (tern_str_eq(key, TERN_STR("puid")) && tern_json_peek(json) == TERN_JSON_STRING)
            TERN_TRY(tern_json_string(json, &r->call->request.id, err));
        else
            TERN_TRY(tern_json_skip(json, err));
    }
}

static enum tern_code read_member(struct reader *r, struct tern_json *json, struct tern_str key,
                                  struct tern_err *err)
{
    static const char *const refused[] = {"binData", "jsonData", "customData"};

    for (size_t i = 0; i < TERN_COUNT_OF(refused); i++) {
        if (tern_str_eq(key, tern_str_of(refused[i])))
            return tern_json_fail(json, err, "%s means nothing to a model: send data or strData",
                                  refused[i]);
    }
    bool is_text = tern_str_eq(key, TERN_STR("strData"));
    if (is_text && r->given)
        return fail_twice(json, err);
    if (is_text)
        return read_text(r, json, err);
    if (tern_str_eq(key, TERN_STR("data")))
        return read_data(r, json, err);
    return tern_str_eq(key, TERN_STR("meta")) ? read_meta(r, json, err) : tern_json_skip(json, err);
}

static enum tern_code read_message(struct reader *r, struct tern_err *err)
{
    struct tern_json json;
    struct tern_str key;
    bool more;

    tern_oip_json_init(&json, r->call, r->call->message);
    TERN_TRY(tern_json_object(&json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&json, &more, &key, err));
        if (!more)
            break;
        TERN_TRY(read_member(r, &json, key, err));
    }
    TERN_TRY(tern_json_end(&json, err));
    if (!r->given)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the message has neither data.ndarray nor data.tensor nor strData");
    return TERN_OK;
}

static const struct tern_tensor_spec *find_input(const struct tern_model_info *info)
{
    const struct tern_tensor_spec *only = NULL;

    for (uint32_t i = 0; i < info->n_inputs; i++) {
        if (info->inputs[i].optional)
            continue;
        if (only != NULL)
            return NULL;
        only = &info->inputs[i];
    }
    return only;
}

enum tern_code tern_seldon_decode(struct tern_call *call, struct tern_err *err)
{
    struct reader r = {.call = call};

    TERN_TRY(tern_seldon_decode_document(call, err));
    if (call->info->documents) {
        call->op = TERN_OP_GRAPH;
        return TERN_OK;
    }
    r.spec = find_input(call->info);
    if (r.spec == NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "a message fills one input, model '%.*s' has %u",
                         TERN_STR_ARG(call->info->name), call->info->n_inputs);
    r.tensor = tern_arena_zalloc(call->arena, 1, sizeof(*r.tensor));
    if (r.tensor == NULL)
        return tern_arena_fail(call->arena, err, "the input");
    r.tensor->name = r.spec->name;
    r.tensor->dtype = r.spec->dtype;
    TERN_TRY(read_message(&r, err));
    call->request.inputs = r.tensor;
    call->request.n_inputs = 1;
    return TERN_OK;
}

/* ---- what a model answered ---- */

/* As many brackets as arrays begin, or end, at this row of numbers. */
static void add_brackets(struct tern_buf *out, const struct tern_shape *shape, size_t row, char c)
{
    size_t every = 1;

    tern_buf_add_char(out, c);
    for (int i = shape->rank - 2; i >= 0; i--) {
        every *= (size_t)shape->dim[i];
        if (row % every == 0)
            tern_buf_add_char(out, c);
    }
}

/* [[1.0,2.0],[3.0,4.0]] */
static enum tern_code add_ndarray(struct tern_buf *out, const struct tern_tensor *tensor,
                                  struct tern_err *err)
{
    size_t count, size = tern_dtype_size(tensor->dtype), at = 0;
    int rank = tensor->shape.rank;

    if (!tern_shape_count(&tensor->shape, &count) || rank < 2 || count == 0)
        return tern_oip_write_tensor(out, tensor, err);
    size_t width = (size_t)tensor->shape.dim[rank - 1], rows = count / width;
    for (size_t row = 0; row < rows; row++) {
        if (row > 0)
            tern_buf_add_char(out, ',');
        add_brackets(out, &tensor->shape, row, '[');
        for (size_t i = 0; tensor->dtype == TERN_DTYPE_BYTES && i < width; i++) {
            struct tern_str text;
            if (!tern_tensor_next_bytes(tensor, &at, &text))
                return tern_fail(err, TERN_INTERNAL, "output '%.*s' ends too early",
                                 TERN_STR_ARG(tensor->name));
            if (i > 0)
                tern_buf_add_char(out, ',');
            tern_json_add_string(out, text);
        }
        if (tensor->dtype != TERN_DTYPE_BYTES &&
            tern_buf_reserve(out, tern_numbers_write_bound(tensor->dtype, width)))
            out->n += tern_numbers_write(tensor->dtype, (char *)tensor->data + row * width * size,
                                         width, out->p + out->n);
        add_brackets(out, &tensor->shape, row + 1, ']');
    }
    return TERN_OK;
}

static void add_names(struct tern_buf *out, const struct tern_tensor *tensor)
{
    int rank = tensor->shape.rank;
    int64_t n = rank >= 2 ? tensor->shape.dim[rank - 1] : 1;

    TERN_BUF_ADD_LITERAL(out, "\"names\":[");
    for (int64_t i = 0; i < n && n <= NAMES_MAX; i++)
        tern_buf_printf(out, "%s\"t:%d\"", i > 0 ? "," : "", (int)i);
    tern_buf_add_char(out, ']');
}

static enum tern_code add_data(struct tern_buf *out, const struct tern_tensor *tensor,
                               bool as_tensor, struct tern_err *err)
{
    TERN_BUF_ADD_LITERAL(out, "\"data\":{");
    add_names(out, tensor);
    if (!as_tensor || tensor->dtype == TERN_DTYPE_BYTES) {
        TERN_BUF_ADD_LITERAL(out, ",\"ndarray\":");
        TERN_TRY(add_ndarray(out, tensor, err));
    } else {
        TERN_BUF_ADD_LITERAL(out, ",\"tensor\":{\"shape\":");
        tern_oip_write_shape(out, &tensor->shape);
        TERN_BUF_ADD_LITERAL(out, ",\"values\":");
        TERN_TRY(tern_oip_write_tensor(out, tensor, err));
        tern_buf_add_char(out, '}');
    }
    tern_buf_add_char(out, '}');
    return TERN_OK;
}

/* Several outputs have names: {"jsonData": {"<output>": [...], ...}}. */
static enum tern_code add_outputs(struct tern_buf *out, const struct tern_infer_response *response,
                                  struct tern_err *err)
{
    TERN_BUF_ADD_LITERAL(out, "\"jsonData\":{");
    for (uint32_t i = 0; i < response->n_outputs; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        tern_json_add_string(out, response->outputs[i].name);
        tern_buf_add_char(out, ':');
        TERN_TRY(add_ndarray(out, &response->outputs[i], err));
    }
    tern_buf_add_char(out, '}');
    return TERN_OK;
}

enum tern_code tern_seldon_encode(struct tern_call *call, struct tern_err *err)
{
    const struct tern_infer_response *response = &call->response;

    if (call->op == TERN_OP_GRAPH)
        return tern_graph_encode(call, err);
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);
    tern_buf_add_char(out, '{');
    TERN_TRY(response->n_outputs == 1 ? add_data(out, &response->outputs[0], call->yes, err)
                                      : add_outputs(out, response, err));
    TERN_BUF_ADD_LITERAL(out, ",\"meta\":{");
    if (call->request.id.n > 0) {
        TERN_BUF_ADD_LITERAL(out, "\"puid\":");
        tern_json_add_string(out, call->request.id);
    }
    TERN_BUF_ADD_LITERAL(out, "}}");
    call->x->allow_compression = true;
    return tern_buf_check(out, "the response", err);
}
