#include "cli/bench_data.h"

#include <stdio.h>
#include "base/mem.h"
#include "base/num.h"
#include "cli/compare.h"
#include "cli/rows.h"
#include "cli/values.h"
#include "simd/simd.h"

#define ARENA_MAX      ((size_t)4 << 30)
#define HEAD_BYTES_MAX 8192
#define TENSOR_ALIGN   64

/* ---- made-up rows ---- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

static enum tern_code make_strings(struct tern_tensor *tensor, uint64_t *state,
                                   struct tern_arena *arena, struct tern_err *err)
{
    struct tern_buf text;
    size_t count = 0;
    char one[32];

    if (!tern_shape_count(&tensor->shape, &count))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' is too large to make up",
                         TERN_STR_ARG(tensor->name));
    tern_buf_init(&text, TERN_BENCH_BODY_MAX);
    for (size_t i = 0; i < count && !text.failed; i++) {
        uint32_t n =
            (uint32_t)snprintf(one, sizeof(one), "text %u", (unsigned)(next_random(state) % 1000));
        tern_buf_add(&text, &n, sizeof(n)); /* little-endian, as all we run on */
        tern_buf_add(&text, one, n);
    }
    enum tern_code code = tern_buf_check(&text, "made-up rows", err);
    tensor->n_bytes = text.n;
    tensor->data = tern_arena_alloc(arena, TENSOR_ALIGN, text.n + 1);
    if (code == TERN_OK && tensor->data == NULL)
        code = tern_arena_fail(arena, err, "made-up rows");
    if (code == TERN_OK && text.n > 0)
        memcpy(tensor->data, text.p, text.n);
    tern_buf_fini(&text);
    return code;
}

/* `rows` rows; open dimensions other than the batch become 1. */
static enum tern_code make_input(const struct tern_tensor_spec *spec, size_t rows, uint64_t *state,
                                 struct tern_arena *arena, struct tern_tensor *ret,
                                 struct tern_err *err)
{
    struct tern_tensor tensor = {.name = spec->name, .dtype = spec->dtype, .shape = spec->shape};

    for (int i = 0; i < tensor.shape.rank; i++) {
        if (tensor.shape.dim[i] < 0)
            tensor.shape.dim[i] = i == 0 ? (int64_t)rows : 1;
    }
    *ret = tensor;
    if (tensor.dtype == TERN_DTYPE_BYTES)
        return make_strings(ret, state, arena, err);
    TERN_TRY(tern_shape_bytes(tensor.name, tensor.dtype, &tensor.shape, &ret->n_bytes, err));
    ret->data = tern_arena_alloc(arena, TENSOR_ALIGN, ret->n_bytes + 1);
    if (ret->data == NULL)
        return tern_arena_fail(arena, err, "made-up rows");
    for (size_t i = 0; i < ret->n_bytes / tern_dtype_size(tensor.dtype); i++) {
        uint64_t r = next_random(state);
        double v =
            tern_value_is_float(tensor.dtype) ? (double)(r % 2001) / 1000.0 - 1.0 : (double)(r % 2);
        if (tern_value_is_integer(tensor.dtype))
            v = (double)(r % 10);
        (void)!tern_value_set(tensor.dtype, ret->data, i, v); /* fits every type */
    }
    return TERN_OK;
}

static enum tern_code make_rows(struct tern_bench_data *data, size_t n, struct tern_rows *ret,
                                struct tern_err *err)
{
    const struct tern_model_info *info = &data->remote.info;
    uint64_t state = 88172645463325252u; /* the same rows each time */

    ret->inputs.rows =
        tern_arena_zalloc(&data->arena, info->n_inputs + 1, sizeof(*ret->inputs.rows));
    if (ret->inputs.rows == NULL)
        return tern_arena_fail(&data->arena, err, "made-up rows");
    for (uint32_t i = 0; i < info->n_inputs; i++)
        TERN_TRY(make_input(&info->inputs[i], n, &state, &data->arena, &ret->inputs.rows[i], err));
    ret->inputs.n = info->n_inputs;
    ret->n = n;
    data->generated = true;
    return TERN_OK;
}

/* ---- requests ---- */

static enum tern_code build_request(struct tern_bench_data *data, bool binary,
                                    const struct tern_v2_tensors *inputs, struct tern_buf *ret,
                                    struct tern_err *err)
{
    char extra[160] = "Content-Type: application/json\r\n";
    struct tern_str path =
        tern_arena_printf(&data->arena, "%.*s/infer", TERN_STR_ARG(data->remote.path));
    struct tern_buf body;
    size_t json_n = 0;

    if (path.p == NULL)
        return tern_arena_fail(&data->arena, err, "a request");
    tern_buf_init(ret, TERN_BENCH_BODY_MAX + HEAD_BYTES_MAX);
    tern_buf_init(&body, TERN_BENCH_BODY_MAX);
    enum tern_code code = tern_v2_write_request(&body, inputs, binary, &json_n, err);
    if (binary)
        (void)snprintf(extra, sizeof(extra),
                       "Content-Type: application/octet-stream\r\n"
                       "Inference-Header-Content-Length: %zu\r\n",
                       json_n);
    tern_http_client_head(ret, &data->remote.target, "POST", path, tern_str_of(extra), body.n);
    tern_buf_add_str(ret, tern_buf_str(&body));
    tern_buf_fini(&body);
    return code != TERN_OK ? code : tern_buf_check(ret, "a request", err);
}

/* Rows first..first+n-1 in one request. */
static enum tern_code cut_case(struct tern_bench_data *data, bool binary,
                               const struct tern_rows *rows, const struct tern_v2_tensors *recorded,
                               size_t first, struct tern_bench_case *ret, struct tern_err *err)
{
    size_t n = data->rows_per_request;
    struct tern_v2_tensors part;

    TERN_TRY(tern_v2_cut(&rows->inputs, first, n, &data->arena, &part, err));
    TERN_TRY(build_request(data, binary, &part, &ret->request, err));
    return tern_v2_cut(recorded, first, n, &data->arena, &ret->want, err);
}

static enum tern_code new_cases(struct tern_bench_data *data, size_t n, struct tern_err *err)
{
    data->cases = tern_mem_zalloc(n, sizeof(struct tern_bench_case));
    if (data->cases == NULL)
        return tern_mem_fail(err, "the requests", n * sizeof(struct tern_bench_case));
    data->n_cases = n;
    return TERN_OK;
}

static enum tern_code check_recorded(const struct tern_v2_tensors *recorded, size_t rows,
                                     struct tern_err *err)
{
    for (uint32_t i = 0; i < recorded->n; i++) {
        const struct tern_tensor *output = &recorded->rows[i];
        if (output->shape.rank == 0 || tern_value_rows(&output->shape) != rows)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "the recorded output '%.*s' has %zu rows, the inputs have %zu",
                             TERN_STR_ARG(output->name), tern_value_rows(&output->shape), rows);
    }
    return TERN_OK;
}

/* Cuts the rows into requests. A model that takes no batches gets all of them in one. */
static enum tern_code build_cases(struct tern_bench_data *data, const struct tern_rows *rows,
                                  const struct tern_v2_tensors *recorded,
                                  const struct tern_bench_options *options, struct tern_err *err)
{
    if (!tern_v2_can_cut(&rows->inputs, &data->remote.info, rows->n)) {
        TERN_TRY(new_cases(data, 1, err));
        data->cases[0].want = *recorded;
        return build_request(data, options->binary, &rows->inputs, &data->cases[0].request, err);
    }
    size_t batch = data->rows_per_request = options->batch;
    size_t n = rows->n / batch;
    if (n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "batch: %zu rows a request, the data has %zu",
                         batch, rows->n);
    TERN_TRY(check_recorded(recorded, rows->n, err));
    TERN_TRY(new_cases(data, n > TERN_BENCH_CASES_MAX ? TERN_BENCH_CASES_MAX : n, err));
    for (size_t i = 0; i < data->n_cases; i++)
        TERN_TRY(cut_case(data, options->binary, rows, recorded, i * batch, &data->cases[i], err));
    return TERN_OK;
}

/* The rows of the file with its recorded outputs for the version that answers, or made-up ones. */
static enum tern_code build(struct tern_bench_data *data, const struct tern_bench_options *options,
                            struct tern_str text, struct tern_err *err)
{
    struct tern_remote *remote = &data->remote;
    struct tern_rows rows = {.tolerance = TERN_ROWS_TOLERANCE};
    struct tern_v2_tensors recorded = {.n = 0};

    if (text.p == NULL)
        TERN_TRY(make_rows(data, TERN_BENCH_GENERATED * options->batch, &rows, err));
    else
        TERN_TRY(tern_rows_parse(options->data.p, text, &remote->info, &data->arena, &rows, err));
    struct tern_str version = tern_arena_printf(
        &data->arena, "%lld",
        remote->version > 0 ? (long long)remote->version : (long long)remote->info.version);
    TERN_TRY(tern_rows_recorded(&rows, version, &data->arena, &recorded, err));
    data->recorded = recorded.n > 0;
    data->tolerance =
        options->tolerance_ppm > 0 ? (double)options->tolerance_ppm / 1e6 : rows.tolerance;
    (void)tern_str_copy_z(remote->info.name, data->model, sizeof(data->model));
    return build_cases(data, &rows, &recorded, options, err);
}

/* ---- answers ---- */

static enum tern_code read_answer(const struct tern_http_reader *reader, struct tern_arena *arena,
                                  struct tern_v2_answer *ret, struct tern_err *err)
{
    struct tern_str field =
        tern_http_reader_header(reader, TERN_STR("inference-header-content-length"));
    struct tern_str body = tern_http_reader_body(reader);
    struct tern_str raw = {NULL, 0}, text = {NULL, 0};
    struct tern_json json;
    uint64_t json_n;

    if (field.p != NULL && tern_num_parse_u64(field, body.n, &json_n)) {
        raw = tern_str_from(body, (size_t)json_n);
        body.n = (size_t)json_n;
    }
    TERN_TRY(tern_remote_text(body, arena, &text, err));
    tern_json_init(&json, text, arena);
    if (tern_v2_read_answer(&json, raw, ret, err) == TERN_OK)
        return TERN_OK;
    tern_err_prefix(err, "the answer");
    return TERN_DATA_LOSS;
}

/* The same values? Other bytes can carry them: a batch adds floats in another order. */
static enum tern_code compare(const struct tern_bench_data *data,
                              const struct tern_v2_tensors *want,
                              const struct tern_http_reader *reader, struct tern_arena *arena,
                              struct tern_err *err)
{
    struct tern_comparison found;
    struct tern_v2_answer got;
    struct tern_buf text;

    TERN_TRY(read_answer(reader, arena, &got, err));
    TERN_TRY(tern_compare(&got.outputs, want, data->rows_per_request, data->tolerance, arena,
                          &found, err));
    if (found.bad_rows == 0)
        return TERN_OK;
    tern_buf_init(&text, TERN_ERR_TEXT_MAX);
    tern_difference_print(&found.shown[0], &text);
    (void)tern_fail(err, TERN_DATA_LOSS, "%.*s", TERN_STR_ARG(tern_buf_str(&text)));
    tern_buf_fini(&text);
    return TERN_DATA_LOSS;
}

static enum tern_code learn(struct tern_bench_data *data, struct tern_bench_case *c,
                            struct tern_err *err)
{
    const struct tern_http_reader *reader = &data->remote.client.reader;
    struct tern_str body = tern_http_reader_body(reader);
    struct tern_v2_answer answer;

    if (reader->status != 200)
        return tern_fail(err, TERN_UNKNOWN, "status %d: %.*s", reader->status,
                         (int)(body.n < 300 ? body.n : 300), body.p);
    if (data->recorded) {
        enum tern_code code = compare(data, &c->want, reader, &data->arena, err);
        if (code != TERN_OK) {
            tern_err_prefix(err, "the answer differs from the recorded prediction");
            return code;
        }
    } else {
        TERN_TRY(read_answer(reader, &data->arena, &answer, err));
        c->want = answer.outputs;
    }
    tern_buf_init(&c->answer, body.n + 1);
    tern_buf_add_str(&c->answer, body);
    return tern_buf_check(&c->answer, "an answer", err);
}

static enum tern_code learn_all(struct tern_bench_data *data, struct tern_err *err)
{
    for (size_t i = 0; i < data->n_cases; i++) {
        struct tern_bench_case *c = &data->cases[i];
        enum tern_code code =
            tern_http_client_send(&data->remote.client, tern_buf_str(&c->request), err);
        if (code == TERN_OK)
            code = learn(data, c, err);
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
    struct tern_arena arena;
    struct tern_err err;

    if (TERN_LIKELY(tern_str_eq(tern_http_reader_body(reader), tern_buf_str(&c->answer))))
        return true;
    tern_arena_init(&arena, 1u << 14, ARENA_MAX);
    enum tern_code code = compare(data, &c->want, reader, &arena, &err);
    if (code != TERN_OK)
        (void)snprintf(why, why_max, "%.200s", err.text);
    tern_arena_fini(&arena);
    return code == TERN_OK;
}

/* ---- life ---- */

static enum tern_code load(struct tern_bench_data *data, const struct tern_bench_options *options,
                           struct tern_str model, struct tern_err *err)
{
    struct tern_str text = {NULL, 0};

    if (options->data.n > 0)
        TERN_TRY(tern_rows_load(options->data.p, &data->arena, &text, err));
    if (model.n == 0 && text.p != NULL)
        model = tern_rows_model(text, &data->arena);
    const struct tern_remote_choice choice = {.url = options->url,
                                              .model = model,
                                              .version = options->model_version,
                                              .timeout_ns = options->timeout_ns};
    TERN_TRY(tern_remote_open(&data->remote, &choice, &data->arena, err));
    enum tern_code code = build(data, options, text, err);
    if (code == TERN_OK)
        code = learn_all(data, err);
    tern_remote_close(&data->remote);
    return code;
}

enum tern_code tern_bench_data_load(const struct tern_bench_options *options, struct tern_str model,
                                    struct tern_bench_data *ret_data, struct tern_err *err)
{
    *ret_data = (struct tern_bench_data){.n_cases = 0};
    tern_simd_init();
    tern_arena_init(&ret_data->arena, 1u << 16, ARENA_MAX);
    enum tern_code code = load(ret_data, options, model, err);
    if (code != TERN_OK)
        tern_bench_data_fini(ret_data);
    return code;
}

void tern_bench_data_fini(struct tern_bench_data *data)
{
    for (size_t i = 0; i < data->n_cases; i++) {
        tern_buf_fini(&data->cases[i].request);
        tern_buf_fini(&data->cases[i].answer);
    }
    tern_mem_free(data->cases);
    data->cases = NULL;
    data->n_cases = 0;
    tern_arena_fini(&data->arena);
}
