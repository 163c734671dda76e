#include "proto/oip.h"

#include <inttypes.h>
#include "base/num.h"
#include "proto/oip_int.h"
#include "proto/sse.h"

#define MODEL   "/v2/models/{model}"
#define VERSION MODEL "/versions/{version}"
#define CONTROL "/v2/repository/models/{model}"
#define OF_ONE  "/v2/repository/{name}/models/{model}"
#define SYSTEM  "/v2/systemsharedmemory"
#define CUDA    "/v2/cudasharedmemory"
#define REGION  "/region/{name}"

// clang-format off
#define INFER(pattern_, help_)                                                          \
    {.method = TERN_METHOD_POST, .pattern = (pattern_), .op = TERN_OP_INFER,            \
     .decode = tern_oip_decode_infer, .encode = tern_oip_encode_infer, .help = (help_), \
     .unary = "HTTP end point"}
#define GENERATE(pattern_, help_)                                                             \
    {.method = TERN_METHOD_POST, .pattern = (pattern_), .op = TERN_OP_INFER,                  \
     .decode = tern_oip_decode_generate, .encode = tern_oip_encode_generate, .help = (help_), \
     .unary = "generate", .collects = true}
#define GENERATE_STREAM(pattern_, help_)                                                   \
    {.method = TERN_METHOD_POST, .pattern = (pattern_), .op = TERN_OP_INFER,               \
     .decode = tern_oip_decode_generate, .encode = tern_oip_encode_event, .help = (help_), \
     .stream = TERN_STREAM_ANSWER, .framing = &tern_sse_framing,                           \
     .encode_error_message = tern_oip_encode_error_event}

static const struct tern_route routes[] = {
    TERN_ROUTE(GET, "/v2", SERVER_METADATA, NULL, tern_oip_encode_server_metadata,
               "Name, version and extensions of the server"),
    TERN_ROUTE(GET, "/v2/health/live", SERVER_LIVE, NULL, tern_oip_encode_live,
               "200 while the process answers"),
    TERN_ROUTE(GET, "/v2/health/ready", SERVER_READY, NULL, tern_oip_encode_ready,
               "200 when requests can be served, else 503"),
    TERN_ROUTE(GET, "/v2/models", MODEL_LIST, NULL, tern_oip_encode_model_list,
               "Names of the models"),
    TERN_ROUTE(GET, MODEL, MODEL_METADATA, NULL, tern_oip_encode_model_metadata,
               "Versions, inputs and outputs of a model"),
    TERN_ROUTE(GET, VERSION, MODEL_METADATA, NULL, tern_oip_encode_model_metadata,
               "The same of one version"),
    TERN_ROUTE(GET, MODEL "/ready", MODEL_READY, NULL, tern_oip_encode_model_ready,
               "200 when the model can infer, else 503"),
    TERN_ROUTE(GET, VERSION "/ready", MODEL_READY, NULL, tern_oip_encode_model_ready,
               "The same of one version"),
    TERN_ROUTE(GET, MODEL "/config", MODEL_CONFIG, NULL, tern_oip_encode_model_config,
               "The model's whole configuration"),
    TERN_ROUTE(GET, VERSION "/config", MODEL_CONFIG, NULL, tern_oip_encode_model_config,
               "The same of one version"),
    TERN_ROUTE(GET, "/v2/models/stats", MODEL_STATISTICS, NULL, tern_oip_encode_statistics,
               "What every model did so far: counts and times"),
    TERN_ROUTE(GET, MODEL "/stats", MODEL_STATISTICS, NULL, tern_oip_encode_statistics,
               "The same of one model"),
    TERN_ROUTE(GET, VERSION "/stats", MODEL_STATISTICS, NULL, tern_oip_encode_statistics,
               "The same of one version"),
    TERN_ROUTE(GET, MODEL "/schedule", MODEL_SCHEDULE, NULL, tern_oip_encode_schedule,
               "Why its requests wait or run as they do"),
    TERN_ROUTE(GET, VERSION "/schedule", MODEL_SCHEDULE, NULL, tern_oip_encode_schedule,
               "The same of one version"),
    TERN_ROUTE(GET, "/v2/trace/setting", TRACE_READ, NULL, tern_oip_encode_settings,
               "Which requests are traced, and how"),
    TERN_ROUTE(POST, "/v2/trace/setting", TRACE_UPDATE, tern_oip_decode_trace_settings, tern_oip_encode_settings,
               "Changes that; null brings a start value back"),
    TERN_ROUTE(GET, MODEL "/trace/setting", TRACE_READ, NULL, tern_oip_encode_settings,
               "The same of one model"),
    TERN_ROUTE(POST, MODEL "/trace/setting", TRACE_UPDATE, tern_oip_decode_trace_settings, tern_oip_encode_settings,
               "Changes that; null lets the settings of all models hold again"),
    TERN_ROUTE(GET, "/v2/logging", LOG_READ, NULL, tern_oip_encode_settings,
               "What is written to the log"),
    TERN_ROUTE(POST, "/v2/logging", LOG_UPDATE, tern_oip_decode_log_settings, tern_oip_encode_settings,
               "Changes that until the next restart or reload"),
    INFER(MODEL "/infer", "A prediction, with JSON or binary tensors"),
    INFER(VERSION "/infer", "The same by one version"),
    TERN_ROUTE(POST, MODEL "/explain", EXPLAIN, tern_oip_decode_explain, tern_oip_encode_explain,
               "What each feature of the rows adds to the prediction"),
    TERN_ROUTE(POST, VERSION "/explain", EXPLAIN, tern_oip_decode_explain, tern_oip_encode_explain,
               "The same by one version"),
    GENERATE(MODEL "/generate", "A prediction, with JSON members named as inputs and outputs"),
    GENERATE(VERSION "/generate", "The same by one version"),
    GENERATE_STREAM(MODEL "/generate_stream", "The same with any number of answers, as server-sent events"),
    GENERATE_STREAM(VERSION "/generate_stream", "The same by one version"),
    TERN_ROUTE(POST, "/v2/repository/index", REPOSITORY_INDEX, tern_oip_decode_index, tern_oip_encode_index,
               "Models and states of the repository"),
    TERN_ROUTE(POST, CONTROL "/load", REPOSITORY_LOAD, tern_oip_decode_control, tern_oip_encode_load,
               "Loads a model, or loads it again"),
    TERN_ROUTE(POST, CONTROL "/unload", REPOSITORY_UNLOAD, tern_oip_decode_control, tern_oip_encode_unload,
               "Unloads a model"),
    TERN_ROUTE(POST, "/v2/repository/{name}/index", REPOSITORY_INDEX, tern_oip_decode_index, tern_oip_encode_index,
               "501: repositories have no names"),
    TERN_ROUTE(POST, OF_ONE "/load", REPOSITORY_LOAD, tern_oip_decode_control, tern_oip_encode_load,
               "501: repositories have no names"),
    TERN_ROUTE(POST, OF_ONE "/unload", REPOSITORY_UNLOAD, tern_oip_decode_control, tern_oip_encode_unload,
               "501: repositories have no names"),
    TERN_ROUTE(GET, SYSTEM "/status", SHM_STATUS, tern_oip_decode_system_region, tern_oip_encode_regions,
               "Registered regions of system shared memory"),
    TERN_ROUTE(GET, SYSTEM REGION "/status", SHM_STATUS, tern_oip_decode_system_region, tern_oip_encode_regions,
               "One of them"),
    TERN_ROUTE(POST, SYSTEM REGION "/register", SHM_REGISTER, tern_oip_decode_system_register, tern_oip_encode_region_done,
               "Registers a region of a shared memory object"),
    TERN_ROUTE(POST, SYSTEM "/unregister", SHM_UNREGISTER, tern_oip_decode_system_region, tern_oip_encode_region_done,
               "Forgets all of them"),
    TERN_ROUTE(POST, SYSTEM REGION "/unregister", SHM_UNREGISTER, tern_oip_decode_system_region, tern_oip_encode_region_done,
               "Forgets one of them"),
    TERN_ROUTE(GET, CUDA "/status", SHM_STATUS, tern_oip_decode_cuda_region, tern_oip_encode_regions,
               "Registered regions of GPU memory: none"),
    TERN_ROUTE(GET, CUDA REGION "/status", SHM_STATUS, tern_oip_decode_cuda_region, tern_oip_encode_regions,
               "One of them"),
    TERN_ROUTE(POST, CUDA REGION "/register", SHM_REGISTER, tern_oip_decode_cuda_register, tern_oip_encode_region_done,
               "Refused: there is no CUDA device"),
    TERN_ROUTE(POST, CUDA "/unregister", SHM_UNREGISTER, tern_oip_decode_cuda_region, tern_oip_encode_region_done,
               "Forgets all of them"),
    TERN_ROUTE(POST, CUDA REGION "/unregister", SHM_UNREGISTER, tern_oip_decode_cuda_region, tern_oip_encode_region_done,
               "Forgets one of them"),
};
// clang-format on

const struct tern_proto tern_oip = {
    .name = "oip",
    .help = "Open Inference Protocol V2 over REST (KServe, Triton)",
    .routes = routes,
    .n_routes = TERN_COUNT_OF(routes),
    .encode_error = tern_oip_encode_error,
    .plan_body = tern_oip_plan_body,
};

struct tern_buf *tern_oip_begin_json(struct tern_exchange *x, int status)
{
    x->status = status;
    x->response_type = TERN_STR("application/json");
    x->slices = NULL;
    x->n_slices = 0;
    return tern_exchange_body(x);
}

void tern_oip_json_init(struct tern_json *json, const struct tern_call *call, struct tern_str text)
{
    const struct tern_listener_info *listener = call->x->listener;

    tern_json_init(json, text, call->arena);
    if (listener != NULL && listener->json_depth_max != 0)
        json->depth_max = (int)listener->json_depth_max;
}

enum tern_code tern_oip_read_object(struct tern_call *call, struct tern_str body,
                                    enum tern_code (*read)(struct tern_call *call,
                                                           struct tern_json *json,
                                                           struct tern_str key, uint32_t *seen,
                                                           struct tern_err *err),
                                    uint32_t *seen, struct tern_err *err)
{
    struct tern_json json;
    struct tern_str key;
    bool more;

    *seen = 0;
    tern_oip_json_init(&json, call, body);
    TERN_TRY(tern_json_object(&json, err));
    for (;;) {
        TERN_TRY(tern_json_key(&json, &more, &key, err));
        if (!more)
            return tern_json_end(&json, err);
        TERN_TRY(read(call, &json, key, seen, err));
    }
}

/* A body refused for its announced size is told so in the words that Triton's own tests look for.
 */
static bool is_large_for_triton(const struct tern_exchange *x, const struct tern_err *err,
                                struct tern_err *ret_err)
{
    uint64_t length;

    if (x->listener == NULL || !x->listener->triton_status || tern_err_http_status(err) != 413)
        return false;
    if (!tern_num_parse_u64(tern_exchange_header(x, TERN_STR("content-length")), UINT64_MAX,
                            &length) ||
        length <= x->body_max)
        return false;
    bool is_binary =
        tern_str_eq(tern_exchange_header(x, TERN_STR(TERN_OIP_LENGTH_HEADER)), TERN_STR("0"));
    tern_fail(ret_err, TERN_INVALID_ARGUMENT,
              "request %s size of %" PRIu64 " bytes exceeds the maximum allowed %s of %zu bytes. "
              "Use --http-max-input-size to increase the limit.",
              is_binary ? "body" : "JSON", length, is_binary ? "value" : "input size", x->body_max);
    return true;
}

void tern_oip_encode_error(struct tern_exchange *x, const struct tern_err *err)
{
    TERN_UNINITIALIZED struct tern_err large;

    if (is_large_for_triton(x, err, &large))
        err = &large;
    struct tern_buf *out = tern_oip_begin_json(x, tern_err_http_status(err));
    TERN_BUF_ADD_LITERAL(out, "{\"error\":");
    tern_json_add_string(out, tern_str_of(err->text));
    tern_buf_add_char(out, '}');
}

enum tern_code tern_oip_check_content_type(const struct tern_exchange *x, struct tern_err *err)
{
    struct tern_str type = x->content_type;

    if (TERN_LIKELY(type.n == 0 || tern_str_eq(type, TERN_STR("application/json"))))
        return TERN_OK;
    type = tern_str_trim(tern_str_make(type.p, tern_str_find(type, ';')));
    /* What curl -d calls a form is JSON in truth; Triton does not look either. */
    struct tern_str multipart = TERN_STR("multipart/");
    bool is_parts =
        type.n > multipart.n && tern_str_eq_nocase(tern_str_make(type.p, multipart.n), multipart);
    if (is_parts && x->body.n > 0)
        return tern_fail_http(err, TERN_INVALID_ARGUMENT, 415,
                              "Content-Type '%.*s' is not supported, expected application/json or "
                              "application/octet-stream",
                              TERN_STR_ARG(type));
    return TERN_OK;
}
