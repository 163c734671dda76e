#include "cli/bench_data.h"

#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/num.h"
#include "os/file.h"

#define DATA_FILE_MAX ((size_t)1 << 30)

/* Asking the server. */

/* GET path; the body as JSON, a new reference. */
static enum tern_code get_json(struct tern_http_client *client, const char *path, json_t **ret,
                               struct tern_err *err)
{
    json_error_t where;

    TERN_TRY(tern_http_client_call(client, "GET", tern_str_of(path), (struct tern_str){NULL, 0},
                                   (struct tern_str){NULL, 0}, err));
    struct tern_str body = tern_http_reader_body(&client->reader);
    if (client->reader.status != 200) {
        if (body.n > 300)
            body.n = 300;
        return tern_fail(err, client->reader.status == 404 ? TERN_NOT_FOUND : TERN_UNKNOWN,
                         "GET %s: status %d: %.*s", path, client->reader.status,
                         TERN_STR_ARG(body));
    }
    json_t *root = json_loadb(body.n == 0 ? "" : body.p, body.n, 0, &where);
    if (root == NULL)
        return tern_fail(err, TERN_UNKNOWN, "GET %s: the answer is not JSON: %s", path, where.text);
    *ret = root;
    return TERN_OK;
}

/* The one model that the server has. */
static enum tern_code only_model(struct tern_http_client *client, char *dst, struct tern_err *err)
{
    json_t *root = NULL;

    TERN_TRY(get_json(client, "/v2/models", &root, err));
    const json_t *models = json_object_get(root, "models");
    const char *name = json_string_value(json_array_get(models, 0));
    size_t n = json_array_size(models);
    bool ok =
        n == 1 && name != NULL && tern_str_copy_z(tern_str_of(name), dst, TERN_BENCH_NAME_MAX);
    json_decref(root);
    return ok ? TERN_OK
              : tern_fail(err, TERN_INVALID_ARGUMENT,
                          "the server has %zu models: say which one (tern bench MODEL); "
                          "`tern models` lists them",
                          n);
}

static enum tern_code get_metadata(const struct tern_bench_data *data,
                                   struct tern_http_client *client, json_t **ret,
                                   struct tern_err *err)
{
    char path[TERN_BENCH_NAME_MAX + 64];

    if (data->version == 0)
        (void)snprintf(path, sizeof(path), "/v2/models/%s", data->model);
    else
        (void)snprintf(path, sizeof(path), "/v2/models/%s/versions/%lld", data->model,
                       (long long)data->version);
    return get_json(client, path, ret, err);
}

/* The version that answers: the one asked for, else the newest that is served. */
static void answering_version(const struct tern_bench_data *data, const json_t *metadata,
                              char dst[32])
{
    const json_t *versions = json_object_get(metadata, "versions");
    int64_t best = data->version;

    for (size_t i = 0; data->version == 0 && i < json_array_size(versions); i++) {
        const char *text = json_string_value(json_array_get(versions, i));
        int64_t v = 0;
        if (text != NULL && tern_num_parse_i64(tern_str_of(text), &v) && v > best)
            best = v;
    }
    (void)snprintf(dst, 32, "%lld", (long long)best);
}

/* Rows from a file. */

static enum tern_code load_file(const char *path, json_t **ret, struct tern_err *err)
{
    char *bytes = NULL;
    size_t n = 0;
    json_error_t where;

    TERN_TRY(tern_file_read(path, DATA_FILE_MAX, 1, &bytes, &n, err));
    json_t *root = json_loadb(bytes, n, 0, &where);
    tern_mem_free(bytes);
    if (root == NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%s:%d: not JSON: %s", path, where.line,
                         where.text);
    *ret = root;
    return TERN_OK;
}

/* [[..],[..]]: rows for a model with one input; each row has as many numbers as the input wants. */
static enum tern_code rows_to_inputs(const json_t *rows, const json_t *metadata,
                                     struct tern_bench_tensors *ret, struct tern_err *err)
{
    const json_t *inputs = json_object_get(metadata, "inputs");
    const json_t *input = json_array_get(inputs, 0);

    if (json_array_size(inputs) != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "data: a plain list of rows is for models with one input, this one has "
                         "%zu: use {\"inputs\": [...]}",
                         json_array_size(inputs));
    json_t *shape = json_deep_copy(json_object_get(input, "shape"));
    json_array_set_new(shape, 0, json_integer((json_int_t)json_array_size(rows)));
    json_t *tensor =
        json_pack("[{s:O, s:O, s:o, s:O}]", "name", json_object_get(input, "name"), "datatype",
                  json_object_get(input, "datatype"), "shape", shape, "data", rows);
    enum tern_code code = tern_bench_tensors_read(tensor, (struct tern_str){NULL, 0}, ret, err);
    json_decref(tensor);
    return code;
}

/* Made-up rows. */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static json_t *make_element(enum tern_dtype dtype, uint64_t *state)
{
    char text[32];
    uint64_t r = next_random(state) >> 11;

    switch (dtype) {
    case TERN_DTYPE_BOOL:
        return json_boolean(r & 1);
    case TERN_DTYPE_FP16:
    case TERN_DTYPE_BF16:
    case TERN_DTYPE_FP32:
    case TERN_DTYPE_FP64:
        return json_real((double)(r % 2001) / 1000.0 - 1.0);
    case TERN_DTYPE_BYTES:
        (void)snprintf(text, sizeof(text), "text %llu", (unsigned long long)(r % 1000));
        return json_string(text);
    case TERN_DTYPE_INT8:
    case TERN_DTYPE_INT16:
    case TERN_DTYPE_INT32:
    case TERN_DTYPE_INT64:
    case TERN_DTYPE_UINT8:
    case TERN_DTYPE_UINT16:
    case TERN_DTYPE_UINT32:
    case TERN_DTYPE_UINT64:
    case TERN_DTYPE_INVALID:
        break;
    }
    return json_integer((json_int_t)(r % 10));
}

/* One input of `rows` rows; open dimensions other than the batch become 1. */
static json_t *make_input(const json_t *spec, size_t rows, uint64_t *state)
{
    const char *dtype = json_string_value(json_object_get(spec, "datatype"));
    json_t *shape = json_deep_copy(json_object_get(spec, "shape"));
    json_t *data = json_array();
    size_t count = 1;

    for (size_t i = 0; i < json_array_size(shape); i++) {
        json_int_t dim = json_integer_value(json_array_get(shape, i));
        if (dim < 0)
            json_array_set_new(shape, i, json_integer(dim = i == 0 ? (json_int_t)rows : 1));
        if (dim < 0 || tern_num_mul(count, (size_t)dim, &count) || count > ((size_t)1 << 26))
            count = (size_t)1 << 26;
    }
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            data,
            make_element(tern_dtype_from_name(tern_str_of(dtype == NULL ? "" : dtype)), state));
    return json_pack("{s:O, s:O, s:o, s:o}", "name", json_object_get(spec, "name"), "datatype",
                     json_object_get(spec, "datatype"), "shape", shape, "data", data);
}

static enum tern_code make_inputs(const json_t *metadata, size_t rows,
                                  struct tern_bench_tensors *ret, struct tern_err *err)
{
    const json_t *specs = json_object_get(metadata, "inputs");
    json_t *inputs = json_array();
    uint64_t state = 88172645463325252u; /* the same rows each time */

    for (size_t i = 0; i < json_array_size(specs); i++)
        json_array_append_new(inputs, make_input(json_array_get(specs, i), rows, &state));
    enum tern_code code = tern_bench_tensors_read(inputs, (struct tern_str){NULL, 0}, ret, err);
    json_decref(inputs);
    return code;
}

/* Requests. */

static bool has_batch(const json_t *metadata)
{
    const json_t *shape =
        json_object_get(json_array_get(json_object_get(metadata, "inputs"), 0), "shape");
    return json_integer_value(json_array_get(shape, 0)) < 0;
}

static enum tern_code build_case(const struct tern_bench_data *data,
                                 const struct tern_http_client *client, bool binary,
                                 const struct tern_bench_tensors *inputs,
                                 struct tern_bench_case *ret, struct tern_err *err)
{
    char path[TERN_BENCH_NAME_MAX + 64];
    char extra[160] = "Content-Type: application/json\r\n";
    struct tern_buf body;

    if (data->version == 0)
        (void)snprintf(path, sizeof(path), "/v2/models/%s/infer", data->model);
    else
        (void)snprintf(path, sizeof(path), "/v2/models/%s/versions/%lld/infer", data->model,
                       (long long)data->version);
    tern_buf_init(&body, TERN_BENCH_BODY_MAX);
    tern_buf_init(&ret->request, TERN_BENCH_BODY_MAX + 8192);
    size_t json_n = tern_bench_tensors_write_request(inputs, binary, &body);
    if (binary)
        (void)snprintf(extra, sizeof(extra),
                       "Content-Type: application/octet-stream\r\n"
                       "Inference-Header-Content-Length: %zu\r\n",
                       json_n);
    tern_http_client_head(&ret->request, client->target, "POST", tern_str_of(path),
                          tern_str_of(extra), body.n);
    tern_buf_add_str(&ret->request, tern_buf_str(&body));
    enum tern_code code = tern_buf_check(&body, "a request body", err);
    tern_buf_fini(&body);
    return code != TERN_OK ? code : tern_buf_check(&ret->request, "a request", err);
}

static enum tern_code new_want(struct tern_bench_case *c, struct tern_err *err)
{
    c->want = tern_mem_zalloc(1, sizeof(*c->want));
    c->recorded = true;
    return c->want != NULL ? TERN_OK : tern_mem_fail(err, "an expected answer", sizeof(*c->want));
}

/* Rows first..first+n-1 of the data in one request. */
static enum tern_code cut_case(const struct tern_bench_data *data,
                               const struct tern_http_client *client, bool binary,
                               const struct tern_bench_tensors *inputs,
                               const struct tern_bench_tensors *outputs, size_t first, size_t n,
                               struct tern_bench_case *ret, struct tern_err *err)
{
    struct tern_bench_tensors part;

    TERN_TRY(tern_bench_tensors_slice(inputs, first, n, &part, err));
    enum tern_code code = build_case(data, client, binary, &part, ret, err);
    tern_bench_tensors_fini(&part);
    if (code != TERN_OK || outputs->n == 0)
        return code;
    TERN_TRY(new_want(ret, err));
    return tern_bench_tensors_slice(outputs, first, n, ret->want, err);
}

static enum tern_code new_cases(struct tern_bench_data *data, size_t n, struct tern_err *err)
{
    data->cases = tern_mem_zalloc(n, sizeof(struct tern_bench_case));
    if (data->cases == NULL)
        return tern_mem_fail(err, "the requests", n * sizeof(struct tern_bench_case));
    data->n_cases = n;
    return TERN_OK;
}

/* A model without a batch dimension takes the data as it is, in one request. Takes the outputs. */
static enum tern_code build_one(struct tern_bench_data *data, bool binary,
                                const struct tern_http_client *client,
                                const struct tern_bench_tensors *inputs,
                                struct tern_bench_tensors *outputs, struct tern_err *err)
{
    TERN_TRY(new_cases(data, 1, err));
    TERN_TRY(build_case(data, client, binary, inputs, &data->cases[0], err));
    if (outputs->n == 0)
        return TERN_OK;
    TERN_TRY(new_want(&data->cases[0], err));
    *data->cases[0].want = *outputs;
    outputs->n = 0;
    return TERN_OK;
}

/* Cuts the rows into requests. */
static enum tern_code build_cases(struct tern_bench_data *data, bool binary,
                                  const struct tern_http_client *client,
                                  const struct tern_bench_tensors *inputs,
                                  const struct tern_bench_tensors *outputs, struct tern_err *err)
{
    size_t rows = inputs->items[0].shape.rank > 0 ? (size_t)inputs->items[0].shape.dim[0] : 0;
    size_t batch = data->rows_per_request;
    size_t n = rows / batch;

    if (n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "batch: %zu rows a request, the data has %zu",
                         batch, rows);
    TERN_TRY(new_cases(data, n > TERN_BENCH_CASES_MAX ? TERN_BENCH_CASES_MAX : n, err));
    for (size_t i = 0; i < data->n_cases; i++)
        TERN_TRY(cut_case(data, client, binary, inputs, outputs, i * batch, batch, &data->cases[i],
                          err));
    return TERN_OK;
}

/* The inputs, and the recorded outputs of the version that answers, if any. */
static enum tern_code read_rows(struct tern_bench_data *data, const json_t *root,
                                const json_t *metadata, struct tern_bench_tensors *inputs,
                                struct tern_bench_tensors *outputs, struct tern_err *err)
{
    char version[32];

    outputs->n = 0;
    if (root == NULL) {
        data->generated = true;
        size_t rows = data->rows_per_request == 0 ? 1 : data->rows_per_request;
        return make_inputs(metadata, TERN_BENCH_GENERATED * rows, inputs, err);
    }
    if (json_is_array(root))
        return rows_to_inputs(root, metadata, inputs, err);
    TERN_TRY(tern_bench_tensors_read(json_object_get(root, "inputs"), (struct tern_str){NULL, 0},
                                     inputs, err));
    answering_version(data, metadata, version);
    const json_t *recorded = json_object_get(json_object_get(root, "outputs"), version);
    const json_t *tolerance = json_object_get(root, "tolerance");
    if (json_is_number(tolerance))
        data->tolerance = json_number_value(tolerance);
    if (recorded == NULL)
        return TERN_OK;
    data->recorded = true;
    enum tern_code code =
        tern_bench_tensors_read(recorded, (struct tern_str){NULL, 0}, outputs, err);
    if (code != TERN_OK)
        tern_bench_tensors_fini(inputs);
    return code;
}

static enum tern_code choose_model(struct tern_str model, const json_t *root,
                                   struct tern_http_client *client, char *dst, struct tern_err *err)
{
    const char *named = json_string_value(json_object_get(root, "model"));

    if (model.n == 0 && named == NULL)
        return only_model(client, dst, err);
    struct tern_str name = model.n > 0 ? model : tern_str_of(named);
    for (size_t i = 0; i < name.n; i++) { /* it goes into a path */
        if (name.p[i] <= ' ' || name.p[i] >= 0x7f || strchr("/?#%\\", name.p[i]) != NULL)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "model: '%.*s' is not a model's name",
                             TERN_STR_ARG(name));
    }
    if (!tern_str_copy_z(name, dst, TERN_BENCH_NAME_MAX))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "model: the name has %zu bytes, at most %d",
                         name.n, TERN_BENCH_NAME_MAX - 1);
    return TERN_OK;
}

static enum tern_code load(const struct tern_bench_options *options, struct tern_str model,
                           const json_t *root, struct tern_http_client *client,
                           struct tern_bench_data *data, struct tern_err *err)
{
    struct tern_bench_tensors inputs;
    struct tern_bench_tensors outputs;
    json_t *metadata = NULL;

    TERN_TRY(choose_model(model, root, client, data->model, err));
    TERN_TRY(get_metadata(data, client, &metadata, err));
    data->rows_per_request = has_batch(metadata) ? options->batch : 0;
    enum tern_code code = read_rows(data, root, metadata, &inputs, &outputs, err);
    if (options->tolerance_ppm > 0)
        data->tolerance = (double)options->tolerance_ppm / 1e6;
    json_decref(metadata);
    if (code != TERN_OK)
        return code;
    if (data->rows_per_request == 0)
        code = build_one(data, options->binary, client, &inputs, &outputs, err);
    else
        code = build_cases(data, options->binary, client, &inputs, &outputs, err);
    tern_bench_tensors_fini(&inputs);
    tern_bench_tensors_fini(&outputs);
    return code;
}

enum tern_code tern_bench_data_load(const struct tern_bench_options *options, struct tern_str model,
                                    struct tern_http_client *client,
                                    struct tern_bench_data *ret_data, struct tern_err *err)
{
    json_t *root = NULL;

    *ret_data = (struct tern_bench_data){.tolerance = TERN_BENCH_TOLERANCE,
                                         .version = (int64_t)options->model_version};
    if (options->data.n > 0)
        TERN_TRY(load_file(options->data.p, &root, err));
    enum tern_code code = load(options, model, root, client, ret_data, err);
    json_decref(root);
    if (code != TERN_OK)
        tern_bench_data_fini(ret_data);
    return code;
}

void tern_bench_data_fini(struct tern_bench_data *data)
{
    for (size_t i = 0; i < data->n_cases; i++) {
        tern_buf_fini(&data->cases[i].request);
        tern_buf_fini(&data->cases[i].answer);
        if (data->cases[i].want != NULL)
            tern_bench_tensors_fini(data->cases[i].want);
        tern_mem_free(data->cases[i].want);
    }
    tern_mem_free(data->cases);
    data->cases = NULL;
    data->n_cases = 0;
}

/* Answers. */

static size_t json_length(const struct tern_http_reader *reader)
{
    struct tern_str text =
        tern_http_reader_header(reader, TERN_STR("inference-header-content-length"));
    uint64_t n = 0;

    return text.p != NULL && tern_num_parse_u64(text, SIZE_MAX, &n) ? (size_t)n : 0;
}

static enum tern_code learn(struct tern_bench_data *data, size_t at,
                            const struct tern_http_reader *reader, struct tern_err *err)
{
    struct tern_bench_case *c = &data->cases[at];
    struct tern_str body = tern_http_reader_body(reader);
    struct tern_bench_tensors got;
    char why[256] = "";

    if (reader->status != 200) {
        body.n = body.n > 300 ? 300 : body.n;
        return tern_fail(err, TERN_UNKNOWN, "status %d: %.*s", reader->status, TERN_STR_ARG(body));
    }
    TERN_TRY(tern_bench_tensors_read_answer(body, json_length(reader), &got, err));
    bool right = c->want == NULL ||
                 tern_bench_tensors_match(c->want, &got, data->tolerance, why, sizeof(why));
    if (c->want == NULL)
        c->want = tern_mem_zalloc(1, sizeof(*c->want));
    if (!c->recorded && c->want != NULL)
        *c->want = got; /* owned by the case from here on */
    else
        tern_bench_tensors_fini(&got);
    if (!right)
        return tern_fail(err, TERN_DATA_LOSS, "the answer differs from the recorded prediction: %s",
                         why);
    tern_buf_init(&c->answer, body.n + 1);
    tern_buf_add_str(&c->answer, body);
    return c->want == NULL ? tern_mem_fail(err, "an answer", sizeof(*c->want))
                           : tern_buf_check(&c->answer, "an answer", err);
}

enum tern_code tern_bench_data_learn(struct tern_bench_data *data, struct tern_http_client *client,
                                     struct tern_err *err)
{
    for (size_t i = 0; i < data->n_cases; i++) {
        enum tern_code code =
            tern_http_client_send(client, tern_buf_str(&data->cases[i].request), err);
        if (code == TERN_OK)
            code = learn(data, i, &client->reader, err);
        if (code != TERN_OK) {
            tern_err_prefix(err, "request %zu of the data", i);
            return code;
        }
    }
    return TERN_OK;
}

bool tern_bench_data_check(const struct tern_bench_data *data, size_t at,
                           const struct tern_http_reader *reader, char *why, size_t why_max)
{
    const struct tern_bench_case *c = &data->cases[at];
    struct tern_str body = tern_http_reader_body(reader);
    struct tern_bench_tensors got;
    struct tern_err err;

    if (TERN_LIKELY(tern_str_eq(body, tern_buf_str(&c->answer))))
        return true;
    /* Other bytes can carry the same values: a batch adds floats in another order. */
    if (tern_bench_tensors_read_answer(body, json_length(reader), &got, &err) != TERN_OK) {
        (void)snprintf(why, why_max, "%.200s", err.text);
        return false;
    }
    bool right = tern_bench_tensors_match(c->want, &got, data->tolerance, why, why_max);
    tern_bench_tensors_fini(&got);
    return right;
}
