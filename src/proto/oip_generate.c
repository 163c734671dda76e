/* POST .../generate and .../generate_stream: Triton's plain JSON for models of text and the like. A
 * member that is called as an input of the model is that input, a scalar or an array; every other
 * one is a parameter of the request, as are those of an object "parameters". Shapes are not given:
 * they follow from the model's. Answers name the outputs in the same way. */
#include "base/num.h"
#include "proto/oip_int.h"
#include "proto/sse.h"
#include "simd/numbers.h"

#define TENSOR_ALIGN 64

struct decoder {
    struct tern_call *call;
    struct tern_json json;
    bool has_id, has_parameters;
};

/* ---- inputs ---- */

/* Fixed dimensions stay; of the free ones the last takes what is left, others are 1. */
static enum tern_code spread(struct tern_tensor *tensor, const struct tern_tensor_spec *spec,
                             size_t count, struct tern_err *err)
{
    struct tern_shape *shape = &tensor->shape;
    size_t fixed = 1;
    int last_free = -1;
    char text[160];

    *shape = spec->shape;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0) {
            shape->dim[i] = 1;
            last_free = i;
        } else if (tern_num_mul(fixed, (size_t)shape->dim[i], &fixed)) {
            fixed = 0;
        }
    }
    bool fits = last_free < 0 || fixed == 0 ? count == fixed : count % fixed == 0;
    if (!fits)
        return tern_fail(
            err, TERN_INVALID_ARGUMENT, "input '%.*s': %zu elements do not fill the shape %s",
            TERN_STR_ARG(spec->name), count, tern_shape_print(&spec->shape, text, sizeof(text)));
    if (last_free >= 0 && fixed > 0)
        shape->dim[last_free] = (int64_t)(count / fixed);
    return TERN_OK;
}

/* The text of the array at json; of a scalar, the array with only that. */
static enum tern_code array_text(struct decoder *d, struct tern_str *ret, struct tern_err *err)
{
    struct tern_json *json = &d->json;

    if (tern_json_peek(json) == TERN_JSON_ARRAY) {
        *ret = tern_str_make(json->p, (size_t)(json->end - json->p));
        return TERN_OK;
    }
    const char *start = json->p;
    TERN_TRY(tern_json_skip(json, err));
    size_t n = (size_t)(json->p - start);
    char *p = tern_arena_alloc(d->call->arena, 1, n + 2 + TERN_TEXT_PAD);
    if (p == NULL)
        return tern_arena_fail(d->call->arena, err, "an input");
    p[0] = '[';
    memcpy(p + 1, start, n);
    p[n + 1] = ']';
    memset(p + n + 2, ' ', TERN_TEXT_PAD);
    *ret = tern_str_make(p, n + 2);
    return TERN_OK;
}

static enum tern_code read_numbers(struct decoder *d, struct tern_tensor *tensor, size_t *ret_count,
                                   struct tern_err *err)
{
    bool is_array = tern_json_peek(&d->json) == TERN_JSON_ARRAY;
    struct tern_numbers_result result;
    struct tern_str text;
    size_t n_bytes;

    TERN_TRY(array_text(d, &text, err));
    size_t most = tern_numbers_bound(text);
    if (tern_num_mul(most, tern_dtype_size(tensor->dtype), &n_bytes))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' is too large",
                         TERN_STR_ARG(tensor->name));
    tensor->data = tern_arena_alloc(d->call->arena, TENSOR_ALIGN, n_bytes);
    if (tensor->data == NULL)
        return tern_arena_fail(d->call->arena, err, "an input");
    enum tern_code code = tern_numbers_read(tensor->dtype, text, tensor->data, most, &result, err);
    if (code != TERN_OK) {
        tern_err_prefix(err, "Unable to parse input '%.*s'", TERN_STR_ARG(tensor->name));
        return code;
    }
    if (is_array)
        d->json.p += result.used;
    tensor->n_bytes = result.count * tern_dtype_size(tensor->dtype);
    *ret_count = result.count;
    return TERN_OK;
}

static enum tern_code add_element(struct decoder *d, char **at, struct tern_err *err)
{
    struct tern_str s;

    if (tern_json_peek(&d->json) != TERN_JSON_STRING)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "attempt to access JSON non-string as string");
    TERN_TRY(tern_json_string(&d->json, &s, err));
    uint32_t n = (uint32_t)s.n; /* a part of the body, which is no longer than body_max */
    memcpy(*at, &n, sizeof(n)); /* little-endian, as every machine we build for */
    if (s.n > 0)
        memcpy(*at + 4, s.p, s.n);
    *at += 4 + s.n;
    return TERN_OK;
}

/* Each element is at least its two quotes and a separator in the text, and 4 bytes and itself in
 * the tensor: twice the text is enough. */
static enum tern_code read_strings(struct decoder *d, struct tern_tensor *tensor, size_t *ret_count,
                                   struct tern_err *err)
{
    struct tern_json *json = &d->json;
    bool is_array = tern_json_peek(json) == TERN_JSON_ARRAY, more = true;
    struct tern_json probe = *json;
    size_t count = 0;

    TERN_TRY(tern_json_skip(&probe, err));
    size_t n = (size_t)(probe.p - json->p);
    if (n > UINT32_MAX)
        return tern_json_fail(json, err, "expected strings below 4 GiB");
    char *start = tern_arena_alloc(d->call->arena, TENSOR_ALIGN, 2 * n + 4), *at = start;
    if (start == NULL)
        return tern_arena_fail(d->call->arena, err, "an input");
    if (is_array)
        TERN_TRY(tern_json_array(json, err));
    while (true) {
        if (is_array)
            TERN_TRY(tern_json_item(json, &more, err));
        if (!more)
            break;
        TERN_TRY(add_element(d, &at, err));
        count++;
        if (!is_array)
            break;
    }
    tensor->data = start;
    tensor->n_bytes = (size_t)(at - start);
    *ret_count = count;
    return TERN_OK;
}

static enum tern_code read_input(struct decoder *d, const struct tern_tensor_spec *spec,
                                 struct tern_err *err)
{
    struct tern_infer_request *request = &d->call->request;
    struct tern_tensor *tensor = &request->inputs[request->n_inputs];
    enum tern_json_kind kind = tern_json_peek(&d->json);
    size_t count = 0;

    for (uint32_t i = 0; i < request->n_inputs; i++) {
        if (tern_str_eq(request->inputs[i].name, spec->name))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' already exists in request",
                             TERN_STR_ARG(spec->name));
    }
    if (kind == TERN_JSON_OBJECT || kind == TERN_JSON_NULL || kind == TERN_JSON_NONE)
        return tern_json_fail(&d->json, err, "expected a value or an array of them as input '%.*s'",
                              TERN_STR_ARG(spec->name));
    tensor->name = spec->name;
    tensor->dtype = spec->dtype;
    if (spec->dtype == TERN_DTYPE_BYTES)
        TERN_TRY(read_strings(d, tensor, &count, err));
    else
        TERN_TRY(read_numbers(d, tensor, &count, err));
    request->n_inputs++;
    return spread(tensor, spec, count, err);
}

/* ---- parameters ---- */

static enum tern_code read_param(struct decoder *d, struct tern_str key, struct tern_err *err)
{
    struct tern_param param;

    TERN_TRY(tern_oip_read_param(&d->json, key, &param, err));
    return tern_params_add(d->call->arena, &d->call->request.params, &param, err);
}

static enum tern_code read_params(struct decoder *d, struct tern_err *err)
{
    struct tern_str key;
    bool more;

    if (tern_json_peek(&d->json) != TERN_JSON_OBJECT)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Expected JSON object for keyword: 'parameters'");
    TERN_TRY(tern_json_object(&d->json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&d->json, &more, &key, err));
        if (!more)
            return TERN_OK;
        enum tern_code code = read_param(d, key, err);
        if (code != TERN_OK) {
            tern_err_prefix(err, "Converting keyword: 'parameters'");
            return code;
        }
    }
}

/* ---- the request ---- */

static enum tern_code read_member(struct decoder *d, struct tern_str key, struct tern_err *err)
{
    const struct tern_tensor_spec *spec = tern_model_input(d->call->info, key);

    if (spec != NULL)
        return read_input(d, spec, err);
    if (tern_str_eq(key, TERN_STR("parameters")) && !d->has_parameters) {
        d->has_parameters = true;
        return read_params(d, err);
    }
    if (tern_str_eq(key, TERN_STR("id")) && tern_json_peek(&d->json) == TERN_JSON_STRING &&
        !d->has_id) {
        d->has_id = true;
        return tern_json_string(&d->json, &d->call->request.id, err);
    }
    return read_param(d, key, err);
}

static enum tern_code check_encoding(const struct tern_exchange *x, struct tern_err *err)
{
    struct tern_str encoding = tern_exchange_header(x, TERN_STR("content-encoding"));

    if (encoding.n == 0 || tern_str_eq_nocase(encoding, TERN_STR("identity")))
        return TERN_OK;
    return tern_fail_http(err, TERN_INVALID_ARGUMENT, 415,
                          "Content-Encoding '%.*s' is not supported for generate, send the body "
                          "uncompressed",
                          TERN_STR_ARG(encoding));
}

enum tern_code tern_oip_decode_generate(struct tern_call *call, struct tern_err *err)
{
    struct tern_infer_request *request = &call->request;
    struct decoder d = {.call = call};
    struct tern_str key;
    bool more;

    TERN_TRY(tern_oip_check_content_type(call->x, err));
    TERN_TRY(check_encoding(call->x, err));
    if (call->message.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the request has no body, expected a JSON object with the inputs");
    request->inputs =
        tern_arena_zalloc(call->arena, (size_t)call->info->n_inputs + 1, sizeof(*request->inputs));
    if (request->inputs == NULL)
        return tern_arena_fail(call->arena, err, "the inputs");
    tern_oip_json_init(&d.json, call, call->message);
    TERN_TRY(tern_json_object(&d.json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&d.json, &more, &key, err));
        if (!more)
            return tern_json_end(&d.json, err);
        TERN_TRY(read_member(&d, key, err));
    }
}

/* ---- the answer ---- */

static bool is_single(const struct tern_tensor *tensor)
{
    size_t count;

    return tern_shape_count(&tensor->shape, &count) && count == 1;
}

/* The shape is dropped; one element needs no brackets. */
static enum tern_code write_output(struct tern_buf *out, const struct tern_tensor *tensor,
                                   struct tern_err *err)
{
    size_t at;

    tern_buf_add_char(out, ',');
    tern_json_add_string(out, tensor->name);
    tern_buf_add_char(out, ':');
    at = out->n;
    TERN_TRY(tern_oip_write_tensor(out, tensor, err));
    if (is_single(tensor) && !out->failed) {
        memmove(out->p + at, out->p + at + 1, out->n - at - 2);
        out->n -= 2;
    }
    return TERN_OK;
}

enum tern_code tern_oip_encode_event(struct tern_call *call, struct tern_err *err)
{
    const struct tern_infer_response *response = &call->response;
    struct tern_buf *out = call->x->out;

    tern_buf_add_char(out, '{');
    if (call->request.id.n > 0) {
        TERN_BUF_ADD_LITERAL(out, "\"id\":");
        tern_json_add_string(out, call->request.id);
        tern_buf_add_char(out, ',');
    }
    TERN_BUF_ADD_LITERAL(out, "\"model_name\":");
    tern_json_add_string(out, call->info->name);
    TERN_BUF_ADD_LITERAL(out, ",\"model_version\":\"");
    tern_buf_add_i64(out, call->info->version);
    tern_buf_add_char(out, '"');
    for (uint32_t i = 0; i < response->params.n; i++) {
        tern_buf_add_char(out, ',');
        tern_oip_write_param(out, &response->params.rows[i]);
    }
    for (uint32_t i = 0; i < response->n_outputs; i++)
        TERN_TRY(write_output(out, &response->outputs[i], err));
    tern_buf_add_char(out, '}');
    return tern_buf_check(out, "the response", err);
}

enum tern_code tern_oip_encode_generate(struct tern_call *call, struct tern_err *err)
{
    tern_oip_begin_json(call->x, 200);
    return tern_oip_encode_event(call, err);
}

enum tern_code tern_oip_encode_error_event(struct tern_call *call, const struct tern_err *error,
                                           struct tern_err *err)
{
    struct tern_buf *out = call->x->out;

    TERN_BUF_ADD_LITERAL(out, "{\"error\":");
    tern_json_add_string(out, tern_str_of(error->text));
    tern_buf_add_char(out, '}');
    return tern_buf_check(out, "the response", err);
}
