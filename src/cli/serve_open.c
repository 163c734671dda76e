/* The parts of a server and how they are tied together: read serve_open from top to bottom. */
#include "cli/serve_int.h"

#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/version.h"
#include "engine/engines.h"
#include "engine/native/native.h"
#include "engine/onnx/onnx.h"
#include "net/mux_h1.h"
#include "net/mux_h2.h"
#include "os/file.h"
#include "os/memlimit.h"
#include "proto/protos.h"
#include "sched/resources.h"
#include "simd/simd.h"
#include "trace/otlp.h"
#include "trace/trace_file.h"

#define METRIC_SETS_MAX       10000
#define ENGINE_LINES_A_SECOND 5

/* ---- log ---- */

enum tern_log_level serve_log_level(enum tern_log_level_option option)
{
    static const enum tern_log_level levels[] = {
        [TERN_LOG_LEVEL_OPTION_DEBUG] = TERN_LOG_DEBUG,
        [TERN_LOG_LEVEL_OPTION_INFO] = TERN_LOG_INFO,
        [TERN_LOG_LEVEL_OPTION_WARN] = TERN_LOG_WARN,
        [TERN_LOG_LEVEL_OPTION_ERROR] = TERN_LOG_ERROR,
    };
    return levels[option];
}

enum tern_log_format serve_log_format(const struct tern_server_options *options, bool *ret_colour)
{
    bool terminal = isatty(STDERR_FILENO) == 1;
    bool json = options->log.format == TERN_LOG_FORMAT_OPTION_JSON ||
                (options->log.format == TERN_LOG_FORMAT_OPTION_AUTO && !terminal);

    *ret_colour = terminal && !json;
    return json ? TERN_LOG_JSON : TERN_LOG_TEXT;
}

static enum tern_code open_log(struct serve_process *p, struct tern_err *err)
{
    bool colour;
    enum tern_log_format format = serve_log_format(&p->options, &colour);

    TERN_TRY(tern_logsink_open(STDERR_FILENO, TERN_LOGSINK_RING_SIZE, format, &p->logsink, err));
    tern_log_init(&p->log, tern_logsink_port(p->logsink), serve_log_level(p->options.log.level),
                  format, colour);
    return TERN_OK;
}

/* ---- engines ---- */

static void on_engine_log(void *arg, int level, const char *text)
{
    struct serve_process *p = arg;
    uint32_t suppressed = 0;

    if (!tern_log_allow(&p->engine_lines, tern_clock_mono_ns(), ENGINE_LINES_A_SECOND, &suppressed))
        return;
    if (level >= 3)
        tern_log_warn(&p->log, "engine.onnxruntime", text, TERN_KV_U64("severity", (uint64_t)level),
                      TERN_KV_U64("suppressed", suppressed));
    else
        tern_log_debug(&p->log, "engine.onnxruntime", text,
                       TERN_KV_U64("severity", (uint64_t)level),
                       TERN_KV_U64("suppressed", suppressed));
}

static void add_option(struct serve_process *p, const char *key, struct tern_str value)
{
    p->engine_options[p->n_engine_options++] = (struct tern_engine_option){tern_str_of(key), value};
}

/* The server-wide defaults of the ONNX Runtime engine, as the options a model could give itself. */
static enum tern_code open_engines(struct serve_process *p, struct tern_err *err)
{
    static const char *const levels[] = {"none", "basic", "extended", "all"};
    const struct tern_server_options *options = &p->options;
    const struct tern_onnx_config config = {options->onnxruntime.library.p, on_engine_log, p};
    uint32_t n_providers = options->onnxruntime.providers.n;

    TERN_TRY(tern_onnx_configure(&config, err));
    tern_native_configure(
        &(struct tern_native_config){.runs_onnx = options->native.onnx == TERN_NATIVE_ONNX_AUTO});
    p->engine_options = tern_arena_zalloc(&p->arena, 4 + n_providers, sizeof(*p->engine_options));
    if (p->engine_options == NULL)
        return tern_arena_fail(&p->arena, err, "the engine's options");
    add_option(p, "graph_optimization_level",
               tern_str_of(levels[options->onnxruntime.graph_level]));
    add_option(p, "enable_mem_arena", options->onnxruntime.arena ? TERN_STR("1") : TERN_STR("0"));
    if (options->onnxruntime.threads > 0)
        add_option(
            p, "intra_op_thread_count",
            tern_arena_printf(&p->arena, "%llu", (unsigned long long)options->onnxruntime.threads));
    for (uint32_t i = 0; i < n_providers; i++)
        add_option(p, "execution_providers", options->onnxruntime.providers.items[i]);
    return TERN_OK;
}

/* ---- metrics ---- */

/* The network layer counts for itself; a scrape copies its sums. */
static void collect_network(void *arg, struct tern_server_cells *cells)
{
    struct serve_process *p = arg;
    const struct tern_server *server = p->server;
    struct tern_cache_usage cache;
    struct tern_redis_counts redis;

    tern_cache_usage(p->cache, &cache);
    tern_counter_set_shared(&cells->cache_bytes, cache.bytes);
    tern_counter_set_shared(&cells->cache_entries, cache.entries);
    tern_counter_set_shared(&cells->cache_evicted, cache.evicted);
    tern_cache_shared_counts(p->cache, &redis);
    tern_counter_set_shared(&cells->redis_up, redis.up);
    tern_counter_set_shared(&cells->redis_asked[TERN_REDIS_FOUND], redis.found);
    tern_counter_set_shared(&cells->redis_asked[TERN_REDIS_ABSENT], redis.absent);
    tern_counter_set_shared(&cells->redis_asked[TERN_REDIS_FAILED], redis.failed);
    tern_counter_set_shared(&cells->redis_puts, redis.put);
    tern_counter_set_shared(&cells->redis_dropped, redis.dropped);
#define COUNT(field) tern_server_count(server, offsetof(struct tern_net_counters, field))
    uint64_t opened = COUNT(conns_opened), closed = COUNT(conns_closed);
    tern_counter_set_shared(&cells->connections_accepted, opened);
    tern_counter_set_shared(&cells->connections_open, opened - closed);
    tern_counter_set_shared(&cells->connections_refused[TERN_REFUSAL_LIMIT], COUNT(conns_refused));
    tern_counter_set_shared(&cells->connections_refused[TERN_REFUSAL_TIMEOUT], COUNT(timeouts));
    tern_counter_set_shared(&cells->connections_refused[TERN_REFUSAL_FDS], COUNT(accept_pauses));
    tern_counter_set_shared(&cells->requests_came, COUNT(requests_came));
    for (unsigned i = 0; i < TERN_ENDING_COUNT; i++)
        tern_counter_set_shared(&cells->requests_ended[i], COUNT(requests_ended[i]));
    tern_counter_set_shared(&cells->memory_used, tern_account_used(p->account));
    tern_counter_set_shared(&cells->memory_max, p->account->max);
    tern_counter_set_shared(&cells->memory_refusals, tern_account_refusals(p->account));
    tern_counter_set_shared(&cells->bytes_received, COUNT(bytes_in));
    tern_counter_set_shared(&cells->bytes_sent, COUNT(bytes_out));
#undef COUNT
}

/* ---- traces ---- */

#define TRACE_FILE_DELAY_NS (20u * TERN_NS_PER_MS)

static enum tern_code open_trace_sink(struct serve_process *p, struct tern_trace_sink *ret_sink,
                                      struct tern_err *err)
{
    const struct tern_server_options *options = &p->options;
    struct tern_trace_file *file;
    struct tern_otlp *otlp;

    if (options->trace.mode == TERN_TRACE_MODE_OPTION_OPENTELEMETRY) {
        const struct tern_otlp_settings settings = {
            .url = options->trace.otlp.url,
            .resource = options->trace.otlp.resource.items,
            .n_resource = options->trace.otlp.resource.n,
            .log = &p->log,
        };
        TERN_TRY(tern_otlp_new(&settings, &otlp, err));
        *ret_sink = tern_otlp_sink(otlp);
        return TERN_OK;
    }
    TERN_TRY(tern_trace_file_new(p->options.trace.file, &p->log, &file, err));
    *ret_sink = tern_trace_file_sink(file);
    return TERN_OK;
}

static enum tern_code open_traces(struct serve_process *p, struct tern_err *err)
{
    const struct tern_server_options *options = &p->options;
    bool otlp = options->trace.mode == TERN_TRACE_MODE_OPTION_OPENTELEMETRY;
    const struct tern_sampler_settings sampler = {
        .level = options->trace.levels,
        .rate = options->trace.rate,
        .count = options->trace.count > 0 ? (int64_t)options->trace.count : -1,
        .log_frequency = options->trace.log_frequency,
        .mode = otlp ? TERN_TRACE_MODE_OPENTELEMETRY : TERN_TRACE_MODE_TRITON,
        .file = options->trace.file,
        .url = options->trace.otlp.url,
    };
    struct tern_tracer_settings tracer = {
        .queue_max = (uint32_t)options->trace.otlp.queue_max,
        .batch_max = (uint32_t)options->trace.otlp.batch_max,
        .delay_ns = otlp ? options->trace.otlp.delay_ns : TRACE_FILE_DELAY_NS,
    };

    TERN_TRY(tern_sampler_new(&sampler, &p->sampler, err));
    if (!otlp && options->trace.file.n == 0) {
        if (options->trace.levels != 0)
            tern_log_warn(&p->log, "trace.nowhere", "traces go nowhere: trace.file is not set",
                          TERN_KV_NONE);
        return TERN_OK;
    }
    TERN_TRY(open_trace_sink(p, &tracer.sink, err));
    return tern_tracer_start(&tracer, &p->tracer, err);
}

/* ---- metrics, access log ---- */

static unsigned metric_parts(const struct tern_server_options *options)
{
    unsigned parts = TERN_METRIC_PART_BIT(TERN_METRIC_PART_OWN);

    if (options->metrics.triton)
        parts |= TERN_METRIC_PART_BIT(TERN_METRIC_PART_TRITON);
    if (options->metrics.triton && options->metrics.summaries)
        parts |= TERN_METRIC_PART_BIT(TERN_METRIC_PART_TRITON_SUMMARIES);
    return parts;
}

static enum tern_code open_observer(struct serve_process *p, struct tern_err *err)
{
    TERN_TRY(open_traces(p, err));
    TERN_TRY(tern_metrics_new(tern_catalog_groups, TERN_CATALOG_GROUPS, p->n_loops, METRIC_SETS_MAX,
                              &p->metrics, err));
    tern_metrics_show(p->metrics, metric_parts(&p->options));
    const struct tern_observer_settings settings = {
        .metrics = p->metrics,
        .log = &p->log,
        .logsink = p->logsink,
        .sampler = p->sampler,
        .tracer = p->tracer,
        .access_log = p->options.log.access,
        .n_loops = p->n_loops,
        .collect = collect_network,
        .collect_arg = p,
    };
    return tern_observer_new(&settings, &p->observer, err);
}

/* ---- network ---- */

struct tern_net_limits serve_net_limits(const struct tern_server_options *options)
{
    struct tern_net_limits limits = TERN_NET_LIMITS_DEFAULT;

    limits.conns_max = (uint32_t)options->http.connections_max;
    limits.conns_per_ip_max = (uint32_t)options->http.connections_per_ip;
    limits.header_ns = options->http.header_timeout_ns;
    limits.idle_ns = options->http.idle_timeout_ns;
    limits.body_grace_ns = options->http.body_grace_ns;
    limits.body_rate_min = options->http.body_rate_min;
    limits.write_stall_ns = options->http.write_timeout_ns;
    limits.requests_max = (uint32_t)options->http.requests_per_connection;
    limits.head = (struct tern_head_limits){
        .target_max = options->http.uri_max,
        .field_max = options->http.field_max,
        .bytes_max = options->http.head_max,
        .fields_max = (uint32_t)options->http.fields_max,
    };
    limits.expand_max = (uint32_t)options->http.expand_max;
    limits.compression = options->http.compression;
    limits.compression_min = options->http.compression_min;
    limits.h2_streams_max = (uint32_t)options->http2.streams_max;
    limits.h2_stream_window = (uint32_t)options->http2.stream_window;
    limits.h2_connection_window = (uint32_t)options->http2.connection_window;
    limits.h2_control_max = (uint32_t)options->http2.control_rate_max;
    limits.h2_glitches_max = (uint32_t)options->http2.glitches_max;
    limits.h2_keepalive_ns = options->http2.keepalive_time_ns;
    limits.h2_keepalive_timeout_ns = options->http2.keepalive_timeout_ns;
    limits.h2_ping_interval_ns = options->http2.ping_interval_min_ns;
    limits.h2_ping_strikes_max = (uint32_t)options->http2.ping_strikes_max;
    limits.h2_age_max_ns = options->http2.connection_age_max_ns;
    limits.h2_age_grace_ns = options->http2.connection_age_grace_ns;
    return limits;
}

uint64_t serve_memory_max(const struct tern_server_options *options)
{
    return options->memory.max > 0 ? options->memory.max : tern_memlimit() / 2;
}

static enum tern_code open_server(struct serve_process *p, struct tern_err *err)
{
    struct tern_server_config config = {
        .n_loops = p->n_loops,
        .pin = p->n_loops > 1,
        .handler = tern_gateway_handler(p->gateway),
        .limits = serve_net_limits(&p->options),
        .h1 = &tern_mux_h1,
        .h2 = &tern_mux_h2,
        .listeners = p->listeners->rows,
        .n_listeners = p->listeners->n,
        .account = p->account,
    };
    TERN_TRY(tern_server_new(&config, &p->server, err));
    p->loops = tern_arena_zalloc(&p->arena, p->n_loops, sizeof(struct tern_loop *));
    if (p->loops == NULL)
        return tern_arena_fail(&p->arena, err, "the loops");
    for (uint32_t i = 0; i < p->n_loops; i++)
        p->loops[i] = tern_server_loop(p->server, i);
    return TERN_OK;
}

/* What the steps of graphs may ask of this server: predictions, by what a graph's file can name. */
static enum tern_code open_inside(struct serve_process *p, struct tern_err *err)
{
    static const struct tern_str dialects[] = {{"oip", 3}, {"graph", 5}, {"seldon", 6}};
    const struct tern_server_options *options = &p->options;

    p->inside = (struct tern_listener_info){
        .name = TERN_STR("inside"),
        .server_name = options->server_name,
        .body_max = options->http.body_max,
        .memory_max = options->request.memory_max,
        .json_depth_max = (uint32_t)options->json.depth_max,
    };
    return tern_protos_mask(dialects, TERN_COUNT_OF(dialects), &p->inside.protos, err);
}

static enum tern_code open_gateway(struct serve_process *p, struct tern_err *err)
{
    const struct tern_listener_info *listeners[TERN_LISTENERS_MAX + 1];

    TERN_TRY(open_inside(p, err));
    TERN_TRY(tern_guard_open(&p->guard, &p->options, p->n_loops, &p->arena, err));
    for (uint32_t i = 0; i < p->listeners->n; i++)
        listeners[i] = &p->listeners->rows[i]->info;
    listeners[p->listeners->n] = &p->inside;
    const struct tern_gateway_settings settings = {
        .protos = tern_protos,
        .n_protos = TERN_PROTOS_N,
        .listeners = listeners,
        .n_listeners = p->listeners->n + 1,
        .n_loops = p->n_loops,
        .timeout_ns = p->options.request.timeout_ns,
        .sched = p->sched,
        .observer = p->observer,
        .hide_metrics = !p->options.metrics.enabled,
        .shm = {.enabled = p->options.shm.enabled,
                .regions_max = (uint32_t)p->options.shm.regions_max,
                .bytes_max = p->options.shm.bytes_max},
        .restrict_ = p->guard.restrict_,
        .forward_http = p->guard.forward_http,
        .forward_grpc = p->guard.forward_grpc,
        .cors = {p->options.http.cors_origins.items, p->options.http.cors_origins.n},
        .inside = &p->inside,
        .graph_headers = p->guard.forward_graph,
        .explain = {.rows = p->options.explain.rows_max,
                    .background = p->options.explain.background_max,
                    .features = p->options.explain.features_max,
                    .evaluations = p->options.explain.evaluations_max,
                    .memory = (size_t)p->options.request.memory_max},
        .explains_max = (uint32_t)p->options.explain.concurrent_max,
    };
    return tern_gateway_new(&settings, &p->gateway, err);
}

static void on_step(void *arg, const struct tern_work *work)
{
    (void)arg;
    tern_observer_step(work);
}

/* Answers that wait to go to Redis; beyond that they are not shared. */
#define REDIS_QUEUE_MAX 4096u
#define REDIS_BYTES_MAX (64u << 20)

static enum tern_code open_cache(struct serve_process *p, struct tern_err *err)
{
    const struct tern_server_options *options = &p->options;
    const struct tern_redis_options *from = options->cache.redis.items;
    struct tern_cache_settings settings = {.local_bytes = options->cache.local.size};
    struct tern_redis_settings redis;

    if (options->cache.redis.n > 0) {
        redis = (struct tern_redis_settings){
            .host = from->host,
            .port = (uint16_t)from->port,
            .user = from->user,
            .password = from->password,
            .database = (uint32_t)from->database,
            .timeout_ns = from->timeout_ns,
            .ttl_ns = from->ttl_ns,
            .queue_max = REDIS_QUEUE_MAX,
            .bytes_max = REDIS_BYTES_MAX,
            .log = &p->log,
        };
        if (from->password_file.n > 0)
            TERN_TRY(tern_guard_read_secret(from->password_file, &p->arena, &redis.password, err));
        settings.redis = &redis;
    }
    return tern_cache_new(&settings, &p->cache, err);
}

static enum tern_code open_sched(struct serve_process *p, struct tern_err *err)
{
    const struct tern_server_options *options = &p->options;
    uint64_t threads = options->sched.threads > 0 ? options->sched.threads : p->n_loops;
    uint32_t n = options->sched.resources.n;
    struct tern_resource_limit *limits = tern_arena_zalloc(&p->arena, n + 1, sizeof(*limits));

    if (limits == NULL)
        return tern_arena_fail(&p->arena, err, "the resources");
    for (uint32_t i = 0; i < n; i++) {
        const struct tern_resource_options *row = &options->sched.resource_rows[i];
        limits[i] = (struct tern_resource_limit){row->name, row->count, row->device};
    }
    p->n_executors = (uint32_t)threads; /* the registry makes instances for as many */
    TERN_TRY(open_cache(p, err));
    const struct tern_sched_settings settings = {
        .executors = p->n_executors,
        .queue_max = (uint32_t)options->sched.queue_max,
        .inline_max_ns = options->sched.inline_max_ns,
        .rate_limit = options->sched.rate_limit == TERN_RATE_LIMIT_OPTION_EXECUTION_COUNT,
        .resources = limits,
        .n_resources = n,
        .cache = p->cache,
        .hold_until = (uint32_t)options->sched.hold_until,
        .hold_backlog = (uint32_t)options->sched.hold_backlog,
    };
    TERN_TRY(tern_sched_new(&settings, &p->sched, err));
    tern_sched_watch(p->sched, &(struct tern_sched_watcher){on_step, p});
    return TERN_OK;
}

/* ---- models ---- */

static void warn_no_cache(struct serve_process *p, const struct tern_model_version *version)
{
    if (p->cache == NULL && version->scheduling != NULL && version->scheduling->cached)
        tern_log_warn(
            &p->log, "cache.off",
            "a model asks for a response cache, and the server has none: cache.local.size "
            "is 0",
            TERN_KV_STR("model", version->info.name));
}

static enum tern_code on_loaded(void *arg, struct tern_model_version *version, struct tern_err *err)
{
    struct serve_process *p = arg;

    warn_no_cache(p, version);
    TERN_TRY(tern_sched_add(p->sched, version, err));
    enum tern_code code = tern_observer_add_model(p->observer, version, err);
    if (code != TERN_OK)
        tern_sched_remove(p->sched, version);
    return code;
}

static void on_unloaded(void *arg, struct tern_model_version *version)
{
    struct serve_process *p = arg;

    tern_observer_remove_model(p->observer, version);
    tern_sched_remove(p->sched, version);
}

static void on_publish(void *arg, uint32_t loop, const struct tern_snapshot *snapshot)
{
    struct serve_process *p = arg;
    tern_gateway_set_snapshot(p->gateway, loop, snapshot);
}

static enum tern_code set_instances(void *arg, struct tern_model_version *version,
                                    void *const *instances, uint32_t n, struct tern_err *err)
{
    (void)arg;
    return tern_sched_set_instances(version, instances, n, err);
}

static bool is_inline(void *arg, uint64_t run_ns)
{
    struct serve_process *p = arg;
    return tern_sched_is_inline(p->sched, run_ns);
}

struct tern_model_config_settings serve_config_settings(const struct tern_server_options *options)
{
    static const enum tern_batching_rule rules[] = {
        [TERN_BATCHING_OPTION_ADAPTIVE] = TERN_BATCHING_RULE_ADAPTIVE,
        [TERN_BATCHING_OPTION_CONFIGURED] = TERN_BATCHING_RULE_CONFIGURED,
        [TERN_BATCHING_OPTION_OFF] = TERN_BATCHING_RULE_OFF,
    };
    return (struct tern_model_config_settings){
        .batching = rules[options->sched.batching],
        .slo_ns = options->sched.slo_ns,
        .name = options->model.config_name,
        .strict = !options->model.auto_complete,
        .default_max_batch_size = (int64_t)options->model.default_max_batch_size,
        .batch_max = (uint32_t)options->sched.batch_max,
        .batch_exact = options->sched.batch_exact,
    };
}

/* TF Serving's batching parameters, for all models. */
static enum tern_code read_batching(struct serve_process *p,
                                    const struct tern_batching_parameters **ret_parameters,
                                    struct tern_err *err)
{
    struct tern_str path = p->options.sched.batching_parameters;
    struct tern_batching_parameters *parameters;
    struct tern_problems *problems;
    char *bytes;
    size_t n;

    *ret_parameters = NULL;
    if (path.n == 0)
        return TERN_OK;
    TERN_TRY(tern_file_read(path.p, TERN_BATCHING_PARAMETERS_FILE_MAX, 0, &bytes, &n, err));
    struct tern_str text = tern_arena_copy(&p->arena, tern_str_make(bytes, n));
    tern_mem_free(bytes);
    parameters = tern_arena_zalloc(&p->arena, 1, sizeof(*parameters));
    problems = tern_arena_zalloc(&p->arena, 1, sizeof(*problems));
    if (text.p == NULL || parameters == NULL || problems == NULL)
        return tern_arena_fail(&p->arena, err, "the batching parameters");
    tern_problem_init(problems, &p->arena);
    tern_batching_parameters_read(text, path, &p->arena, parameters, problems);
    *ret_parameters = parameters;
    return tern_problem_fail(problems, err);
}

static enum tern_code open_registry(struct serve_process *p, struct tern_err *err)
{
    static const enum tern_registry_mode modes[] = {
        [TERN_MODEL_CONTROL_NONE] = TERN_REGISTRY_NONE,
        [TERN_MODEL_CONTROL_POLL] = TERN_REGISTRY_POLL,
        [TERN_MODEL_CONTROL_EXPLICIT] = TERN_REGISTRY_EXPLICIT,
    };
    const struct tern_server_options *options = &p->options;
    struct tern_registry_settings settings = {
        .paths = p->paths,
        .n_paths = p->n_paths,
        .mode = modes[options->model.control],
        .poll_ns = options->model.poll_interval_ns,
        .load_threads = (uint32_t)options->model.load_threads,
        .executors = p->n_executors,
        .load_retries = (uint32_t)options->model.load_retries,
        .version_policy = options->model.policy,
        .config = serve_config_settings(options),
        .hash_content = options->cache.redis.n > 0,
        .strict_readiness = options->model.strict_readiness,
        .load = options->model.load.items,
        .n_load = options->model.load.n,
        .engines = {tern_engines, tern_engines_count},
        .engine_options = p->engine_options,
        .n_engine_options = p->n_engine_options,
        .engine_options_of = &tern_onnx_engine,
        .loops = p->loops,
        .n_loops = p->n_loops,
        .hooks = {.on_loaded = on_loaded,
                  .on_unloaded = on_unloaded,
                  .on_publish = on_publish,
                  .is_inline = is_inline,
                  .set_instances = set_instances,
                  .arg = p},
        .log = &p->log,
    };
    TERN_TRY(read_batching(p, &settings.config.batching_parameters, err));
    TERN_TRY(tern_registry_open(&settings, &p->registry, err));
    tern_gateway_set_registry(p->gateway, p->registry);
    return TERN_OK;
}

/* ---- the whole ---- */

enum tern_code serve_open(struct serve_process *p, struct tern_err *err)
{
    tern_simd_init();
    tern_arena_init(&p->arena, 4096, 16u << 20);
    TERN_TRY(open_log(p, err));
    TERN_TRY(open_engines(p, err));
    TERN_TRY(open_observer(p, err));
    TERN_TRY(open_sched(p, err));
    TERN_TRY(open_gateway(p, err));
    TERN_TRY(tern_account_new(serve_memory_max(&p->options), p->n_loops, &p->account, err));
    TERN_TRY(open_server(p, err));
    return open_registry(p, err);
}

void serve_close(struct serve_process *p)
{
    tern_registry_close(p->registry);
    tern_gateway_stop(p->gateway);
    tern_server_free(p->server);
    tern_gateway_free(p->gateway);
    tern_guard_close(&p->guard);
    tern_sched_free(p->sched);
    tern_cache_free(p->cache);
    tern_observer_free(p->observer);
    tern_tracer_stop(p->tracer);
    tern_sampler_free(p->sampler);
    tern_metrics_free(p->metrics);
    tern_account_free(p->account);
    tern_engines_close();
    if (p->logsink != NULL)
        tern_logsink_close(p->logsink);
    tern_arena_fini(&p->arena);
}
