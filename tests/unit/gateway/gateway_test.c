/* The whole path of a request, from bytes to bytes: the HTTP/1.1 mux, the gateway, the OIP dialect,
 * the scheduler and a fake engine, on a loop that is stepped by hand. */
// covers: gateway/infer gateway/observe gateway/ops gateway/statistics gateway/settings
// covers: core/exchange core/proto proto/oip_stats proto/oip_settings stat/metrics_page
// covers: sched/submit core/inputs
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc
#include "harness/h1_rig.h"

#include "gateway/gateway.h"
#include "gateway/observe.h"
#include "harness/fake_engine.h"
#include "harness/shm_object.h"
#include "harness/tree.h"
#include "proto/protos.h"
#include "sched/sched.h"
#include "trace/sampler.h"

struct world {
    struct rig *rig;
    struct tree tree;
    struct tern_log log;
    struct tern_metrics *metrics;
    struct tern_sampler *sampler;
    struct tern_observer *observer;
    struct tern_sched *sched;
    struct tern_gateway_settings settings;
    struct tern_gateway *gateway;
    struct tern_model_version version;
    struct tern_model_version *served[1];
    int64_t numbers[1];
    struct tern_pins pins[1];
    struct tern_model_entry entry;
    struct tern_index_row index[2];
    struct tern_snapshot snapshot;
    void *instance;
};

static void drop_line(void *self, struct tern_str line)
{
    (void)self, (void)line;
}

static const struct tern_model_config_text config = {.json = {"{}", 2}};

static void add_model(struct world *w, const char *kind)
{
    char path[TREE_PATH_MAX];
    struct tern_err err;

    tree_write(&w->tree, "m.fake", kind);
    tree_path(&w->tree, "m.fake", path);
    tern_arena_init(&w->version.arena, 4096, 1u << 20);
    const struct tern_engine_load spec = {.path = path, .threads = 1};
    assert_int_equal(fake_engine.load(&spec, &w->version.arena, &w->version.engine, &err), TERN_OK);
    assert_int_equal(fake_engine.instance_new(&w->version.engine, &w->instance, &err), TERN_OK);
    w->version.instances = w->version.loop_instances = &w->instance;
    w->version.n_instances = w->version.n_loop_instances = 1;
    w->version.run_ns = 1000;
    w->version.warm_units = 4;
    w->version.pins = w->pins;
    w->version.info = (struct tern_model_info){
        .name = TERN_STR("m"),
        .platform = TERN_STR("fake_fake"),
        .backend = TERN_STR("fake"),
        .version = 2,
        .max_batch_size = 8,
        .inputs = w->version.engine.inputs,
        .n_inputs = 1,
        .outputs = w->version.engine.outputs,
        .n_outputs = 1,
        .config = &config,
    };
    assert_int_equal(tern_sched_add(w->sched, &w->version, &err), TERN_OK);
    assert_int_equal(tern_observer_add_model(w->observer, &w->version, &err), TERN_OK);
    w->served[0] = &w->version;
    w->numbers[0] = 2;
    w->entry = (struct tern_model_entry){TERN_STR("m"), w->served, w->numbers, 1};
    w->index[0] = (struct tern_index_row){TERN_STR("m"), 2, TERN_MODEL_READY, TERN_STR("")};
    w->index[1] = (struct tern_index_row){TERN_STR("broken"), 1, TERN_MODEL_UNAVAILABLE,
                                          TERN_STR("it is \"broken\"")};
    tern_arena_init(&w->snapshot.arena, 4096, 1u << 20);
    w->snapshot.models = &w->entry;
    w->snapshot.n_models = 1;
    w->snapshot.index = w->index;
    w->snapshot.n_index = 2;
    w->snapshot.ready = true;
    assert_int_equal(tern_snapshot_seal(&w->snapshot, &err), TERN_OK);
    tern_gateway_set_snapshot(w->gateway, 0, &w->snapshot);
}

static struct world *new_world(const char *kind)
{
    static struct world w;
    const struct tern_log_sink sink = {drop_line, NULL};
    const struct tern_sched_settings sched = {
        .executors = 1, .queue_max = 10, .inline_max_ns = 50000};
    struct tern_err err;

    memset(&w, 0, sizeof(w));
    tree_init(&w.tree);
    w.rig = rig_new();
    tern_log_init(&w.log, sink, TERN_LOG_INFO, TERN_LOG_JSON, false);
    assert_int_equal(
        tern_metrics_new(tern_catalog_groups, TERN_CATALOG_GROUPS, 1, 100, &w.metrics, &err),
        TERN_OK);
    const struct tern_sampler_settings traces = {
        .rate = 1000, .count = -1, .file = TERN_STR("trace.json")};
    assert_int_equal(tern_sampler_new(&traces, &w.sampler, &err), TERN_OK);
    const struct tern_observer_settings observer = {.metrics = w.metrics,
                                                    .log = &w.log,
                                                    .access_log = true,
                                                    .sampler = w.sampler,
                                                    .n_loops = 1};
    assert_int_equal(tern_observer_new(&observer, &w.observer, &err), TERN_OK);
    assert_int_equal(tern_sched_new(&sched, &w.sched, &err), TERN_OK);
    w.settings = (struct tern_gateway_settings){
        .protos = tern_protos,
        .n_protos = TERN_PROTOS_N,
        .n_loops = 1,
        .timeout_ns = 60ull * TERN_NS_PER_S,
        .sched = w.sched,
        .observer = w.observer,
        .shm = {.enabled = true, .regions_max = 4, .bytes_max = 1u << 20},
    };
    assert_int_equal(tern_gateway_new(&w.settings, &w.gateway, &err), TERN_OK);
    w.rig->handler = *tern_gateway_handler(w.gateway);
    add_model(&w, kind);
    rig_connect(w.rig);
    return &w;
}

static void free_world(struct world *w)
{
    rig_free(w->rig);
    assert_int_equal(w->pins[0].count, 0); /* every call let go of its model */
    tern_observer_remove_model(w->observer, &w->version);
    tern_sched_remove(w->sched, &w->version);
    tern_gateway_free(w->gateway);
    tern_sched_free(w->sched);
    tern_observer_free(w->observer);
    tern_sampler_free(w->sampler);
    tern_metrics_free(w->metrics);
    fake_engine.instance_free(&w->version.engine, w->instance);
    fake_engine.unload(&w->version.engine);
    tern_arena_fini(&w->version.arena);
    tern_arena_fini(&w->snapshot.arena);
    tree_fini(&w->tree);
}

static void post(struct world *w, const char *path, const char *body)
{
    char head[512];

    snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n", path,
             strlen(body));
    rig_say(w->rig, head);
    rig_say(w->rig, body);
    rig_pump(w->rig);
}

/* One exchange on a fresh connection. */
static struct rig_answer ask(struct world *w, const char *head, const char *body)
{
    struct rig_answer answer;
    size_t at = 0;

    rig_connect(w->rig);
    rig_say(w->rig, head);
    rig_say(w->rig, body);
    rig_pump(w->rig);
    if (!rig_take(w->rig, &at, false, &answer))
        fail_msg("no complete answer in: %s", w->rig->got);
    return answer;
}

static struct rig_answer ask_infer(struct world *w, const char *body)
{
    struct rig_answer answer;
    size_t at = 0;

    rig_connect(w->rig);
    post(w, "/v2/models/m/infer", body);
    if (!rig_take(w->rig, &at, false, &answer))
        fail_msg("no complete answer in: %s", w->rig->got);
    return answer;
}

#define GOOD                                                                           \
    "{\"id\":\"7\",\"inputs\":[{\"name\":\"x\",\"shape\":[1,4],\"datatype\":\"FP32\"," \
    "\"data\":[1,2,3,4.5]}]}"

static void a_prediction(void **state)
{
    struct world *w = new_world("fake");
    (void)state;
    struct rig_answer answer = ask_infer(w, GOOD);
    assert_int_equal(answer.status, 200);
    assert_string_equal(
        answer.body, "{\"model_name\":\"m\",\"model_version\":\"2\",\"id\":\"7\",\"outputs\":[{"
                     "\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[1,4],\"data\":[2.0,4.0,6.0,"
                     "9.0]}]}");
    free_world(w);
}

/* A parameter of the body and a header that matches; the other header is not the model's. */
static void an_engine_sees_parameters_and_headers(void **state)
{
    static const char body[] =
        "{\"parameters\":{\"p\":1},\"inputs\":[{\"name\":\"x\",\"shape\":[1,4],\"datatype\":"
        "\"FP32\",\"data\":[1,2,3,4]}]}";
    struct world *w = new_world("fake counting");
    struct tern_forward *forward = NULL;
    struct tern_err err;
    char head[256];

    (void)state;
    assert_int_equal(tern_forward_new(TERN_STR("x-.*"), 1, &forward, &err), TERN_OK);
    tern_gateway_free(w->gateway);
    w->settings.forward_http = forward;
    assert_int_equal(tern_gateway_new(&w->settings, &w->gateway, &err), TERN_OK);
    w->rig->handler = *tern_gateway_handler(w->gateway);
    tern_gateway_set_snapshot(w->gateway, 0, &w->snapshot);
    snprintf(head, sizeof(head),
             "POST /v2/models/m/infer HTTP/1.1\r\nHost: t\r\nX-Who: ann\r\nY-Who: bob\r\n"
             "Content-Length: %zu\r\n\r\n",
             strlen(body));
    struct rig_answer answer = ask(w, head, body);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"data\":[4.0,6.0,8.0,10.0]"));
    free_world(w);
    tern_forward_free(forward);
}

/* Every way in which a request can be wrong, and what it hears. */
static void wrong_requests(void **state)
{
#define X(shape, type, data)                                                                    \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":" shape ",\"datatype\":\"" type "\",\"data\":" data \
    "}]}"
    static const struct {
        const char *body;
        const char *text;
    } rows[] = {
        {X("[1,4]", "INT32", "[1,2,3,4]"),
         "inference input 'x' data-type is 'INT32', but model 'm' expects 'FP32'"},
        {X("[1,5]", "FP32", "[1,2,3,4,5]"),
         "unexpected shape for input 'x' for model 'm'. Expected [-1,4], got [1,5]"},
        {X("[4]", "FP32", "[1,2,3,4]"), "Expected [-1,4], got [4]"},
        {X("[9,4]", "FP32",
           "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]"),
         "batch-size must be between 1 and 8"},
        {X("[0,4]", "FP32", "[]"), "batch-size must be between 1 and 8"},
        {"{\"inputs\":[{\"name\":\"z\",\"shape\":[1,4],\"datatype\":\"FP32\",\"data\":[1,2,3,4]}]}",
         "unexpected inference input 'z' for model 'm'"},
        {"{\"inputs\":[]}",
         "expected 1 inputs but got 0 inputs for model 'm'. Got input(s) [], but "
         "missing required input(s) ['x']"},
        {"{\"inputs\":[{\"name\":\"x\",\"shape\":[1,4],\"datatype\":\"FP32\",\"data\":[1,2,3,4]}],"
         "\"outputs\":[{\"name\":\"q\"}]}",
         "unexpected inference output 'q' for model 'm'"},
        {"{\"inputs\":", "JSON"},
        {X("[1,4]", "FP32", "[1,2,3,NaN]"), ""},
        {X("[9223372036854775807,9223372036854775807]", "FP32", "[1]"), ""},
    };
#undef X
    struct world *w = new_world("fake");
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct rig_answer answer = ask_infer(w, rows[i].body);
        if (answer.status != 400 || strstr(answer.body, rows[i].text) == NULL)
            fail_msg("%s\nhears %d %s", rows[i].body, answer.status, answer.body);
        assert_memory_equal(answer.body, "{\"error\":\"", 10);
    }
    free_world(w);
}

/* A model may have more inputs than one request can name: naming its last one is no fault of the
 * server's memory. */
static void a_model_with_very_many_inputs(void **state)
{
    enum { MANY = 1000 };
    static struct tern_tensor_spec specs[MANY];
    static char names[MANY][8];
    struct world *w = new_world("fake");
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        specs[i] = w->version.engine.inputs[0];
        int n = snprintf(names[i], sizeof(names[i]), "x%zu", i);
        specs[i].name = tern_str_make(names[i], (size_t)n);
    }
    w->version.info.inputs = specs;
    w->version.info.n_inputs = MANY;
    struct rig_answer answer = ask_infer(w, "{\"inputs\":[{\"name\":\"x999\",\"shape\":[1,4],"
                                            "\"datatype\":\"FP32\",\"data\":[1,2,3,4]}]}");
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.body, "expected 1000 inputs but got 1 inputs"));
    free_world(w);
}

static struct rig_answer ask_json(struct world *w, const char *line, const char *body)
{
    char head[256];

    snprintf(head, sizeof(head), "%s HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n", line,
             strlen(body));
    return ask(w, head, body);
}

struct exchange_row {
    const char *line;
    const char *body;
    int status;
    const char *text;
};

static void expect_rows(struct world *w, const struct exchange_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rig_answer answer = ask_json(w, rows[i].line, rows[i].body);
        if (answer.status != rows[i].status || strstr(answer.body, rows[i].text) == NULL)
            fail_msg("%s %s\nhears %d %s", rows[i].line, rows[i].body, answer.status, answer.body);
    }
}

static void statistics_count_requests_and_batches(void **state)
{
#define ROWS(n, data) \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":[" n ",4],\"datatype\":\"FP32\",\"data\":" data "}]}"
    static const struct exchange_row rows[] = {
        {"GET /v2/models/m/stats", "", 200,
         "{\"model_stats\":[{\"name\":\"m\",\"version\":\"2\",\"last_inference\":0,"
         "\"inference_count\":0,\"execution_count\":0,\"inference_stats\":{\"success\":"
         "{\"count\":0,\"ns\":0},\"fail\":{\"count\":0,\"ns\":0},\"queue\":{\"count\":0,"
         "\"ns\":0},\"compute_input\":{\"count\":0,\"ns\":0},\"compute_infer\":{\"count\":0,"
         "\"ns\":0},\"compute_output\":{\"count\":0,\"ns\":0},\"cache_hit\":{\"count\":0,"
         "\"ns\":0},\"cache_miss\":{\"count\":0,\"ns\":0}},\"response_stats\":{},"
         "\"batch_stats\":[],\"memory_usage\":[]}]}"},
        {"POST /v2/models/m/infer", ROWS("2", "[1,2,3,4,5,6,7,8]"), 200, "outputs"},
        {"POST /v2/models/m/infer", ROWS("1", "[1,2,3,4]"), 200, "outputs"},
        {"POST /v2/models/m/infer", ROWS("1", "[1,2,3,4]"), 200, "outputs"},
        {"POST /v2/models/m/infer", "{", 400, "error"},
        {"GET /v2/models/stats", "", 200, "\"inference_count\":4,\"execution_count\":3"},
        {"GET /v2/models/m/versions/2/stats", "", 200, "\"fail\":{\"count\":1,"},
        {"GET /v2/models/m/stats", "", 200, "\"success\":{\"count\":3,"},
        {"GET /v2/models/m/stats", "", 200,
         "\"batch_stats\":[{\"batch_size\":1,\"compute_input\":"
         "{\"count\":2,"},
        {"GET /v2/models/m/stats", "", 200, "},{\"batch_size\":2,\"compute_input\":{\"count\":1,"},
        {"GET /v2/models/m/versions/3/stats", "", 404, "version 3 is not found"},
        {"GET /v2/models/nosuch/stats", "", 404,
         "Request for unknown model: 'nosuch' is not found"},
    };
#undef ROWS
    struct world *w = new_world("fake");
    (void)state;
    expect_rows(w, rows, TERN_COUNT_OF(rows));
    free_world(w);
}

static void the_log_is_set_by_request(void **state)
{
    static const struct exchange_row rows[] = {
        {"GET /v2/logging", "", 200,
         "{\"log_file\":\"\",\"log_info\":true,\"log_warning\":true,\"log_error\":true,"
         "\"log_verbose_level\":0,\"log_format\":\"default\"}"},
        {"POST /v2/logging", "{\"log_info\":false,\"log_verbose_level\":3}", 200,
         "\"log_info\":false,\"log_warning\":true,\"log_error\":true,\"log_verbose_level\":3"},
        {"POST /v2/logging", "{\"log_info\":null,\"log_format\":\"ISO8601\"}", 200,
         "\"log_info\":false"},
        {"POST /v2/logging", "{\"log_info\":true,\"log_file\":\"x\"}", 501,
         "log file location can not be updated through network protocol"},
        {"POST /v2/logging", "{\"log_info\":1}", 400, "expect boolean for 'log_info'"},
        {"POST /v2/logging", "{\"log_verbose_level\":-1}", 400, "expect unsigned int32"},
        {"POST /v2/logging", "{\"log_verbose_level\":5000000000}", 400, "expect unsigned int32"},
        {"POST /v2/logging", "{\"log_format\":[\"a\",\"b\"]}", 400, "expect string"},
        {"POST /v2/logging", "{\"log_format\":\"x\"}", 400, "expected default or ISO8601"},
        {"POST /v2/logging", "{\"log_colour\":true}", 400, "unknown log setting 'log_colour'"},
        {"POST /v2/logging", "{\"log_verbose_level\":0}", 200,
         "\"log_info\":false,\"log_warning\":true,\"log_error\":true,\"log_verbose_level\":0,"
         "\"log_format\":\"ISO8601\""},
    };
    struct world *w = new_world("fake");
    (void)state;
    w->rig->listener.admin = true;
    expect_rows(w, rows, TERN_COUNT_OF(rows));
    assert_false(tern_log_wants(&w->log, TERN_LOG_INFO));
    assert_true(tern_log_wants(&w->log, TERN_LOG_WARN));
    assert_false(tern_log_wants(&w->log, TERN_LOG_DEBUG));
    w->rig->listener.admin = false;
    struct rig_answer answer = ask_json(w, "POST /v2/logging", "{\"log_info\":true}");
    assert_int_equal(answer.status, 403);
    free_world(w);
}

static void traces_are_set_by_request(void **state)
{
    static const struct exchange_row rows[] = {
        {"GET /v2/models/m/trace/setting", "", 200,
         "{\"trace_level\":[\"OFF\"],\"trace_rate\":\"1000\",\"trace_count\":\"-1\","
         "\"log_frequency\":\"0\",\"trace_file\":\"trace.json\",\"trace_mode\":\"triton\"}"},
        {"POST /v2/models/m/trace/setting", "{\"trace_rate\":\"5\"}", 200, "\"trace_rate\":\"5\""},
        {"POST /v2/trace/setting", "{\"trace_level\":[\"TIMESTAMPS\"],\"trace_rate\":7}", 200,
         "\"trace_rate\":\"7\""},
        {"GET /v2/models/m/trace/setting", "", 200,
         "{\"trace_level\":[\"TIMESTAMPS\"],\"trace_rate\":\"5\""},
        {"POST /v2/models/m/trace/setting", "{\"trace_rate\":null}", 200, "\"trace_rate\":\"7\""},
        {"GET /v2/models/nosuch/trace/setting", "", 400, "Request for unknown model : nosuch"},
        {"POST /v2/trace/setting", "{\"trace_level\":true}", 400, "expect string"},
        {"POST /v2/trace/setting",
         "{\"trace_level\":[\"A\",\"A\",\"A\",\"A\",\"A\",\"A\",\"A\","
         "\"A\",\"A\",\"A\",\"A\",\"A\",\"A\",\"A\",\"A\",\"A\",\"A\"]}",
         400, "at most 16 values"},
        {"POST /v2/trace/setting", "{\"trace_file\":\"x\"}", 501, "trace file location can not be"},
    };
    struct world *w = new_world("fake");
    (void)state;
    w->rig->listener.admin = true;
    expect_rows(w, rows, TERN_COUNT_OF(rows));
    free_world(w);
}

static void lookups(void **state)
{
    static const struct {
        const char *line;
        int status;
        const char *text;
    } rows[] = {
        {"GET /v2/models/m", 200, "\"versions\":[\"2\"]"},
        {"GET /v2/models/m/versions/2/ready", 200, "true"},
        {"GET /v2/models/m/versions/3", 404, "version 3 is not found"},
        {"GET /v2/models/nosuch", 404, "Request for unknown model: 'nosuch' is not found"},
        {"GET /v2/models/broken/ready", 503, "has no available versions"},
        {"GET /v2/models/broken/versions/1/ready", 503, "is not at ready state"},
        {"GET /v2/models/..%2fm", 400, ""},
        {"GET /v2/health/ready", 200, "true"},
        {"GET /v2", 200, "\"name\":\"tern\""},
        {"GET /metrics", 200, "tern_requests_total"},
        {"GET /nowhere", 404, ""},
        {"DELETE /v2/models/m", 405, ""},
        {"POST /v2/repository/models/m/unload", 403, "not allowed on this listener"},
    };
    struct world *w = new_world("fake");
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char head[256];
        snprintf(head, sizeof(head), "%s HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n",
                 rows[i].line);
        struct rig_answer answer = ask(w, head, "");
        if (answer.status != rows[i].status || strstr(answer.body, rows[i].text) == NULL)
            fail_msg("%s hears %d %s", rows[i].line, answer.status, answer.body);
    }
    free_world(w);
}

static void an_unknown_model_is_refused_before_its_body(void **state)
{
    struct world *w = new_world("fake");
    struct rig_answer answer;
    size_t at = 0;
    (void)state;
    rig_say(w->rig, "POST /v2/models/nosuch/infer HTTP/1.1\r\nHost: t\r\n"
                    "Content-Length: 1000000\r\n\r\n{");
    rig_pump(w->rig);
    assert_true(rig_take(w->rig, &at, false, &answer));
    assert_int_equal(answer.status, 404);
    free_world(w);
}

static void control_needs_an_admin_listener_and_no_browser(void **state)
{
    struct world *w = new_world("fake");
    (void)state;
    w->rig->listener.admin = true;
    struct rig_answer answer = ask(w,
                                   "POST /v2/repository/models/m/load HTTP/1.1\r\nHost: t\r\n"
                                   "Origin: http://evil.example\r\nContent-Length: 0\r\n\r\n",
                                   "");
    assert_int_equal(answer.status, 403);
    assert_non_null(strstr(answer.body, "web page"));
    free_world(w);
}

static void ids_and_traces_are_answered(void **state)
{
    struct world *w = new_world("fake");
    (void)state;
    struct rig_answer answer =
        ask(w,
            "GET /v2/health/live HTTP/1.1\r\nHost: t\r\nX-Request-Id: abc-1\r\n"
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
            "tracestate: a=1\r\n\r\n",
            "");
    assert_non_null(strstr(answer.head, "x-request-id: abc-1\r\n"));
    assert_non_null(strstr(answer.head, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-"));
    assert_null(strstr(answer.head, "b7ad6b7169203331")); /* the span is ours */
    assert_non_null(strstr(answer.head, "tracestate: a=1\r\n"));
    free_world(w);
}

static void draining_is_told(void **state)
{
    struct world *w = new_world("fake");
    (void)state;
    tern_gateway_set_draining(w->gateway);
    struct rig_answer answer = ask(w, "GET /v2/health/ready HTTP/1.1\r\nHost: t\r\n\r\n", "");
    assert_int_equal(answer.status, 503);
    answer = ask_infer(w, GOOD); /* and yet what comes is answered */
    assert_int_equal(answer.status, 200);
    free_world(w);
}

static void a_failing_model_is_a_500(void **state)
{
    struct world *w = new_world("fake failing");
    (void)state;
    struct rig_answer answer = ask_infer(w, GOOD);
    assert_int_equal(answer.status, 500);
    assert_non_null(strstr(answer.body, "this model fails on purpose"));
    free_world(w);
}

#define TWO_CLASSES                                                                \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":[2,4],\"datatype\":\"FP32\","          \
    "\"data\":[1,2,3,4.5,8,7,6,5]}],\"outputs\":[{\"name\":\"y\",\"parameters\":{" \
    "\"classification\":2}}]}"

static void classes_instead_of_values(void **state)
{
    static const struct tern_str names[] = {{"cat", 3}, {"dog", 3}};
    static const struct tern_labels labels = {names, 2};
    struct world *w = new_world("fake");
    (void)state;
    w->version.info.labels = &labels;
    struct rig_answer answer = ask_infer(w, TWO_CLASSES);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body,
                        "{\"model_name\":\"m\",\"model_version\":\"2\",\"outputs\":[{\"name\":"
                        "\"y\",\"datatype\":\"BYTES\",\"shape\":[2,2],\"data\":[\"9.000000:3\","
                        "\"6.000000:2\",\"16.000000:0:cat\",\"14.000000:1:dog\"]}]}");
    free_world(w);
}

#define OVER_SHM                                                                          \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,4],\"datatype\":\"FP32\",\"parameters\":{" \
    "\"shared_memory_region\":\"r\",\"shared_memory_byte_size\":16}}],\"outputs\":[{"     \
    "\"name\":\"y\",\"parameters\":{\"shared_memory_region\":\"r\","                      \
    "\"shared_memory_offset\":16,\"shared_memory_byte_size\":16}}]}"

static void tensors_in_shared_memory(void **state)
{
    struct world *w = new_world("fake");
    struct shm_object object;
    char body[256];
    (void)state;
    struct rig_answer answer = ask_infer(w, OVER_SHM);
    assert_int_equal(answer.status, 404);
    assert_non_null(strstr(answer.body, "Unable to find shared memory region: 'r'"));
    shm_object_make(&object, "gateway", 32);
    memcpy(object.p, (const float[]){1, 2, 3, 4}, 16);
    snprintf(body, sizeof(body), "{\"key\":\"%s\",\"offset\":0,\"byte_size\":32}", object.key);
    rig_connect(w->rig);
    post(w, "/v2/systemsharedmemory/region/r/register", body);
    assert_memory_equal(w->rig->got, "HTTP/1.1 200 ", 13);
    answer = ask_infer(w, OVER_SHM);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"shape\":[1,4]}]}"));
    assert_memory_equal(object.p + 16, ((const float[]){2, 4, 6, 8}), 16);
    answer = ask(w, "GET /v2/systemsharedmemory/status HTTP/1.1\r\nHost: t\r\n\r\n", "");
    assert_non_null(strstr(answer.body, "\"offset\":0,\"byte_size\":32}]"));
    shm_object_resize(&object, 8);
    answer = ask_infer(w, OVER_SHM);
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.body, "shared memory region 'r' shrank"));
    rig_connect(w->rig);
    post(w, "/v2/systemsharedmemory/unregister", "");
    assert_memory_equal(w->rig->got, "HTTP/1.1 200 ", 13);
    answer = ask_infer(w, OVER_SHM);
    assert_int_equal(answer.status, 404);
    shm_object_end(&object);
    free_world(w);
}

static void expect_no_allocations(struct world *w, const char *body, const char *end)
{
    rig_connect(w->rig);
    for (int i = 0; i < 10; i++)
        post(w, "/v2/models/m/infer", body);
    long before = rig_allocs;
    for (int i = 0; i < 1000; i++) {
        w->rig->n_got = 0;
        post(w, "/v2/models/m/infer", body);
    }
    assert_int_equal(rig_allocs, before);
    assert_non_null(strstr(w->rig->got, end));
}

static void the_steady_state_allocates_nothing(void **state)
{
    struct world *w = new_world("fake");
    struct shm_object object;
    char body[256];
    (void)state;
    expect_no_allocations(w, GOOD, "9.0]}]}");
    expect_no_allocations(w, TWO_CLASSES, "14.000000:1\"]}]}");
    shm_object_make(&object, "gateway", 32);
    snprintf(body, sizeof(body), "{\"key\":\"%s\",\"byte_size\":32}", object.key);
    rig_connect(w->rig);
    post(w, "/v2/systemsharedmemory/region/r/register", body);
    expect_no_allocations(w, OVER_SHM, "\"shape\":[1,4]}]}");
    shm_object_end(&object);
    free_world(w);
}

/* -- gRPC, in the form that goes over HTTP/1.1 -------------------------------------------- */

#define GRPC_SERVICE "/inference.GRPCInferenceService/"

/* ModelInferRequest for `model`: x is FP32 [1,4], raw. */
#define GRPC_INFER(model)       \
    "\x0a\x01" model "\x1a\x01" \
    "7"                         \
    "\x2a\x0d\x0a\x01x\x12\x04" \
    "FP32\x1a\x02\x01\x04"      \
    "\x3a\x10\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x90\x40"

static void grpc_post_to(struct world *w, const char *path, struct tern_str message)
{
    char head[512];

    snprintf(head, sizeof(head),
             "POST %s HTTP/1.1\r\nHost: t\r\n"
             "Content-Type: application/grpc-web+proto\r\nContent-Length: %zu\r\n\r\n",
             path, message.n + 5);
    rig_say(w->rig, head);
    rig_send(w->rig, "\0\0\0\0", 4);
    rig_send(w->rig, &(char){(char)message.n}, 1);
    rig_send(w->rig, message.p, message.n);
    rig_pump(w->rig);
}

static void grpc_post(struct world *w, const char *method, struct tern_str message)
{
    char path[64];

    snprintf(path, sizeof(path), GRPC_SERVICE "%s", method);
    grpc_post_to(w, path, message);
}

static void expect_got(struct world *w, const char *bytes, size_t n)
{
    if (memmem(w->rig->got, w->rig->n_got, bytes, n) == NULL)
        fail_msg("expected %s in: %.*s", bytes, (int)w->rig->n_got, w->rig->got);
}

#define EXPECT_GOT(w, literal) expect_got((w), (literal), sizeof(literal) - 1)

static void a_prediction_over_grpc(void **state)
{
    struct world *w = new_world("fake");
    (void)state;
    rig_connect(w->rig);
    grpc_post(w, "ModelInfer", TERN_STR(GRPC_INFER("m")));
    EXPECT_GOT(w, "HTTP/1.1 200 ");
    EXPECT_GOT(w, "Content-Type: application/grpc-web+proto\r\n");
    EXPECT_GOT(w, "\0\0\0\0\x2a"
                  "\x0a\x01m\x12\x01\x32\x1a\x01"
                  "7"
                  "\x2a\x0d\x0a\x01y\x12\x04"
                  "FP32\x1a\x02\x01\x04"
                  "\x32\x10\0\0\0\x40\0\0\x80\x40\0\0\xc0\x40\0\0\x10\x41"
                  "\x80\0\0\0\x10grpc-status: 0\r\n");
    free_world(w);
}

static void wrong_calls_over_grpc(void **state)
{
    static const struct {
        const char *method;
        struct tern_str message;
        const char *status;
        const char *text;
    } rows[] = {
#define STR(s) {(s), sizeof(s) - 1}
        {"ModelInfer", STR(GRPC_INFER("n")), "5", "Request for unknown model: 'n' is not found"},
        {"ModelInfer", STR("\x0a\x01m\x12\x01\x39"), "5", "version 9 is not found"},
        {"ModelInfer", STR("\x0a\x01m\x12\x01x"), "3", "specified version string 'x'"},
        {"ModelInfer", STR("\x0a\x01m"), "3", "expected 1 inputs but got 0 inputs for model 'm'"},
        {"ModelInfer", STR("\x0a\x01"), "3", "malformed message"},
        {"ModelInfer",
         STR("\x0a\x01m\x2a\x0d\x0a\x01x\x12\x04"
             "FP32\x1a\x02\x01\x04\x3a\x04"
             "1234"),
         "3", "input byte size mismatch for input 'x' for model 'm'. Expected 16, got 4"},
        {"NoSuchCall", STR(""), "12", "no such path"},
        {"ModelMetadata", STR("\x0a\x01n"), "5", "unknown model"},
#undef STR
    };
    struct world *w = new_world("fake");
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char line[32];
        rig_connect(w->rig);
        grpc_post(w, rows[i].method, rows[i].message);
        EXPECT_GOT(w, "HTTP/1.1 200 ");
        int n = snprintf(line, sizeof(line), "grpc-status: %s\r\n", rows[i].status);
        expect_got(w, line, (size_t)n);
        expect_got(w, rows[i].text, strlen(rows[i].text));
    }
    rig_connect(w->rig);
    grpc_post(w, "ModelReady", TERN_STR("\x0a\x01n")); /* an answer: no */
    EXPECT_GOT(w, "\0\0\0\0\0\x80\0\0\0\x10grpc-status: 0\r\n");
    rig_connect(w->rig);
    rig_say(w->rig, "POST " GRPC_SERVICE "ServerLive HTTP/1.1\r\nHost: t\r\n"
                    "Content-Type: application/grpc\r\nContent-Length: 5\r\n\r\n");
    rig_send(w->rig, "\0\0\0\0\0", 5);
    rig_pump(w->rig);
    EXPECT_GOT(w, "HTTP/1.1 505 ");
    EXPECT_GOT(w, "gRPC needs HTTP/2");
    free_world(w);
}

/* Other dialects have something there, which is none of gRPC's: a graph, an operation, a page. */
static void paths_that_no_method_of_grpc_owns(void **state)
{
    static const char *const paths[] = {"/",           "/v2/models/m/infer", "/v2",
                                        "/graphs/one", "/v2/models/n/infer", "/nowhere"};
    struct world *w = new_world("fake");
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(paths); i++) {
        rig_connect(w->rig);
        grpc_post_to(w, paths[i], TERN_STR(GRPC_INFER("m")));
        EXPECT_GOT(w, "HTTP/1.1 200 ");
        EXPECT_GOT(w, "grpc-status: 12\r\n");
        EXPECT_GOT(w, "no such path");
    }
    rig_connect(w->rig);
    struct rig_answer answer = ask_infer(w, GOOD); /* the same path, as whose it is */
    assert_int_equal(answer.status, 200);
    free_world(w);
}

static void calls_over_grpc_allocate_nothing(void **state)
{
    struct world *w = new_world("fake");
    (void)state;
    rig_connect(w->rig);
    for (int i = 0; i < 10; i++)
        grpc_post(w, "ModelInfer", TERN_STR(GRPC_INFER("m")));
    long before = rig_allocs;
    for (int i = 0; i < 1000; i++) {
        w->rig->n_got = 0;
        grpc_post(w, "ModelInfer", TERN_STR(GRPC_INFER("m")));
    }
    assert_int_equal(rig_allocs, before);
    EXPECT_GOT(w, "grpc-status: 0\r\n");
    free_world(w);
}

/* The request is asked again and again, with another allocation failing each time. */
static void fail_allocations(struct world *w, const char *path, const char *body)
{
    bool failed_some = false;

    for (long nth = 0; nth < 40; nth++) {
        rig_fail_at = rig_allocs + nth;
        rig_fail_until = rig_fail_at + 1;
        rig_connect(w->rig);
        post(w, path, body);
        failed_some |= rig_allocs > rig_fail_at;
        rig_fail_at = -1;
        assert_true(w->rig->client_saw_end || strncmp(w->rig->got, "HTTP/1.1 ", 9) == 0);
        rig_after(w->rig, 60); /* pools are given back: the next turn allocates again */
    }
    assert_true(failed_some);
}

/* Any single allocation may fail: the client gets an answer or loses its connection, and nothing
 * leaks or stays pinned. */
static void every_allocation_may_fail(void **state)
{
    struct world *w = new_world("fake");
    (void)state;
    w->rig->listener.admin = true;
    fail_allocations(w, "/v2/models/m/infer", GOOD);
    fail_allocations(w, "/v2/models/m/trace/setting", "{\"trace_rate\":\"7\"}");
    struct rig_answer answer = ask_infer(w, GOOD);
    assert_int_equal(answer.status, 200);
    free_world(w);
}

/* The run stands at a gate on an executor; the client leaves; the gate opens. */
static void a_client_that_leaves_frees_everything(void **state)
{
    struct world *w = new_world("fake gated");
    (void)state;
    w->version.loop_instances = NULL; /* too slow for the loop */
    tern_sched_remove(w->sched, &w->version);
    w->version.n_loop_instances = 0;
    assert_int_equal(tern_sched_add(w->sched, &w->version, NULL), TERN_OK);
    fake_engine_gate(true);
    rig_connect(w->rig);
    post(w, "/v2/models/m/infer", GOOD);
    fake_engine_wait_entered(1);
    rig_hang_up(w->rig);
    assert_int_equal(w->pins[0].count, 1); /* it runs on, and its model stays */
    fake_engine_open(1);
    while (w->pins[0].count > 0)
        rig_pump_without_reading(w->rig);
    fake_engine_gate(false);
    free_world(w);
}

/* One runs, one waits; there is room for no more, and no third body is asked for. */
static void a_full_queue_refuses_by_the_head(void **state)
{
    static const char third[] = "POST /v2/models/m/infer HTTP/1.1\r\nHost: t\r\n"
                                "Content-Length: 5\r\n\r\nhello";
    static const char fourth[] = "POST /v2/models/m/infer HTTP/1.1\r\nHost: t\r\n"
                                 "Content-Length: 1000000\r\n\r\n";
    static const int statuses[] = {200, 200, 503, 503};
    struct world *w = new_world("fake gated");
    struct rig_answer answers[4];
    size_t at = 0;

    (void)state;
    w->version.loop_instances = NULL; /* too slow for the loop */
    tern_sched_remove(w->sched, &w->version);
    w->version.n_loop_instances = 0;
    assert_int_equal(tern_sched_add(w->sched, &w->version, NULL), TERN_OK);
    tern_sched_set_queue_max(w->sched, 1);
    fake_engine_gate(true);
    rig_connect(w->rig);
    post(w, "/v2/models/m/infer", GOOD);
    fake_engine_wait_entered(1);
    post(w, "/v2/models/m/infer", GOOD);
    rig_say(w->rig, third);
    rig_say(w->rig, fourth);
    fake_engine_open(2);
    while (!w->rig->client_saw_end)
        rig_pump(w->rig);
    fake_engine_gate(false);
    for (int i = 0; i < 4; i++) {
        assert_true(rig_take(w->rig, &at, false, &answers[i]));
        assert_int_equal(answers[i].status, statuses[i]);
    }
    for (int i = 2; i < 4; i++) {
        assert_string_equal(
            answers[i].body,
            "{\"error\":\"Exceeds maximum queue size: 1 requests wait for model 'm'\"}");
        assert_non_null(strstr(answers[i].head, "retry-after: 1"));
    }
    /* What is small is read and dropped; of what is not, the connection ends. */
    assert_null(strstr(answers[2].head, "Connection: close"));
    assert_non_null(strstr(answers[3].head, "Connection: close"));
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prediction),
        cmocka_unit_test(an_engine_sees_parameters_and_headers),
        cmocka_unit_test(wrong_requests),
        cmocka_unit_test(a_model_with_very_many_inputs),
        cmocka_unit_test(statistics_count_requests_and_batches),
        cmocka_unit_test(the_log_is_set_by_request),
        cmocka_unit_test(traces_are_set_by_request),
        cmocka_unit_test(lookups),
        cmocka_unit_test(an_unknown_model_is_refused_before_its_body),
        cmocka_unit_test(control_needs_an_admin_listener_and_no_browser),
        cmocka_unit_test(ids_and_traces_are_answered),
        cmocka_unit_test(draining_is_told),
        cmocka_unit_test(a_failing_model_is_a_500),
        cmocka_unit_test(classes_instead_of_values),
        cmocka_unit_test(tensors_in_shared_memory),
        cmocka_unit_test(the_steady_state_allocates_nothing),
        cmocka_unit_test(a_prediction_over_grpc),
        cmocka_unit_test(wrong_calls_over_grpc),
        cmocka_unit_test(paths_that_no_method_of_grpc_owns),
        cmocka_unit_test(calls_over_grpc_allocate_nothing),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_client_that_leaves_frees_everything),
        cmocka_unit_test(a_full_queue_refuses_by_the_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
