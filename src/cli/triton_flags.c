#include "cli/triton_flags.h"

#include <stdio.h>
#include <string.h>
#include "base/compiler.h"

#define ALONE  .kind = TERN_TRITON_ALONE
#define BOOL   .kind = TERN_TRITON_BOOL
#define NUMBER .kind = TERN_TRITON_NUMBER
#define TEXT   .kind = TERN_TRITON_TEXT

#define AS(option_)       .take = TERN_TRITON_OPTION, .option = (option_)
#define AS_NOT(option_)   .take = TERN_TRITON_OPTION_NOT, .option = (option_)
#define IN(unit_)         .unit = (unit_)
#define DO(take_)         .take = TERN_TRITON_##take_
#define AT(door_)         .door = TERN_TRITON_##door_
#define IGNORE            .take = TERN_TRITON_IGNORE
#define REFUSE(harmless_) .take = TERN_TRITON_REFUSE, .harmless = (harmless_)

#define NO_GPU     "Nothing runs on a GPU here."
#define NO_PLUGINS "What executes models is built in."
#define NO_POOL    "Memory of a request is its own and given back with it."
#define NO_POLLER  "Every scrape reads the present values."
#define ONE_LOOP   "One event loop a core serves every connection; see `--loops`."
#define NOT_YET    "not served yet"

/* clang-format off */
const struct tern_triton_flag tern_triton_flags[] = {
    {"id", NULL, TEXT, AS("server_name"), .help = "Its name in metadata; triton if not given."},
    {"exit-timeout-secs", NULL, NUMBER, AS("drain.grace"), IN("s"),
     .help = "How long requests in flight may take to finish after SIGTERM."},
    {"exit-on-error", NULL, BOOL, AS("model.exit_on_error"),
     .help = "Whether a model that cannot be loaded at start ends the server; true if not given."},

    {"log-verbose", NULL, NUMBER, DO(LOG_VERBOSE), .option = "log.level",
     .help = "`debug` when above 0."},
    {"log-info", NULL, BOOL, DO(LOG_INFO), .option = "log.level", .help = "`warn` when false."},
    {"log-warning", NULL, BOOL, DO(LOG_WARNING), .option = "log.level",
     .help = "`error` when false."},
    {"log-error", NULL, BOOL, IGNORE, .help = "Errors are always written."},
    {"log-format", NULL, TEXT, DO(LOG_FORMAT), .option = "log.format",
     .help = "`default` and `ISO8601` are `text`; `json` and `auto` work too."},
    {"log-file", NULL, TEXT, IGNORE, .help = "The log goes to the standard error stream."},

    {"model-repository", NULL, TEXT, DO(REPOSITORY), .help = "The argument of `serve`."},
    {"model-store", NULL, TEXT, DO(REPOSITORY), .help = "The same."},
    {"disable-auto-complete-config", NULL, ALONE, AS_NOT("model.auto_complete"),
     .help = "What a configuration leaves out is not taken from the model's file."},
    {"strict-model-config", NULL, BOOL, AS_NOT("model.auto_complete"), .help = "The same."},
    {"strict-readiness", NULL, BOOL, AS("model.strict_readiness"),
     .help = "Whether the server is ready only when every model is."},
    {"model-control-mode", NULL, TEXT, AS("model.control"),
     .help = "`none`, `poll` or `explicit`."},
    {"repository-poll-secs", NULL, NUMBER, DO(PERIOD), .option = "model.poll_interval", IN("s"),
     .help = "With `poll`: seconds between two looks; 0 changes nothing."},
    {"load-model", NULL, TEXT, AS("model.load"),
     .help = "With `explicit`: a model to load at start; `*` is all."},
    {"model-load-thread-count", NULL, NUMBER, AS("model.load_threads"),
     .help = "Models that may load at the same time."},
    {"model-load-retry-count", NULL, NUMBER, AS("model.load_retries"),
     .help = "How often a load that failed is tried again."},
    {"model-config-name", NULL, TEXT, AS("model.config_name"),
     .help = "configs/NAME.pbtxt of a model instead of its config.pbtxt."},
    {"model-namespacing", NULL, BOOL, REFUSE("false"),
     .help = "A model's name stands for one model in the whole server."},
    {"enable-peer-access", NULL, BOOL, IGNORE, .help = NO_GPU},

    {"allow-http", NULL, BOOL, DO(ALLOW), AT(HTTP), .option = "listen",
     .help = "Whether the HTTP port is opened."},
    {"http-address", NULL, TEXT, DO(ADDRESS), AT(HTTP), .option = "listen",
     .help = "Its address; 0.0.0.0 if not given."},
    {"http-port", NULL, NUMBER, DO(PORT), AT(HTTP), .option = "listen",
     .help = "Its number; 8000 if not given."},
    {"reuse-http-port", NULL, BOOL, IGNORE, .help = "A port belongs to one server."},
    {"http-header-forward-pattern", NULL, TEXT, AS("http.header_forward"),
     .help = "Request headers that become parameters of the request."},
    {"http-thread-count", NULL, NUMBER, IGNORE, .help = ONE_LOOP},
    {"http-max-input-size", NULL, NUMBER, AS("http.body_max"), .help = "Largest request body."},
    {"http-restricted-api", NULL, TEXT, DO(RESTRICT), AT(HTTP), .option = "restrict",
     .help = "APIS:HEADER=VALUE: a secret header for families of operations."},

    {"allow-grpc", NULL, BOOL, DO(ALLOW), AT(GRPC), .option = "listen",
     .help = "Whether the gRPC port is opened."},
    {"grpc-address", NULL, TEXT, DO(ADDRESS), AT(GRPC), .option = "listen",
     .help = "Its address; 0.0.0.0 if not given."},
    {"grpc-port", NULL, NUMBER, DO(PORT), AT(GRPC), .option = "listen",
     .help = "Its number; 8001 if not given."},
    {"reuse-grpc-port", NULL, BOOL, IGNORE, .help = "A port belongs to one server."},
    {"grpc-header-forward-pattern", NULL, TEXT, AS("grpc.header_forward"),
     .help = "Request metadata that become parameters of the request."},
    {"grpc-infer-thread-count", NULL, NUMBER, IGNORE, .help = ONE_LOOP},
    {"grpc-infer-allocation-pool-size", NULL, NUMBER, IGNORE, .help = NO_POOL},
    {"grpc-max-response-pool-size", NULL, NUMBER, IGNORE, .help = NO_POOL},
    {"grpc-use-ssl", NULL, BOOL, DO(TLS), AT(GRPC), .option = "listen",
     .help = "Whether the gRPC port speaks TLS."},
    {"grpc-use-ssl-mutual", NULL, BOOL, DO(TLS_MUTUAL), AT(GRPC), .option = "listen",
     .help = "Whether its clients must show a certificate."},
    {"grpc-server-cert", NULL, TEXT, DO(TLS_CERT), AT(GRPC), .option = "listen",
     .help = "Its certificate chain (PEM)."},
    {"grpc-server-key", NULL, TEXT, DO(TLS_KEY), AT(GRPC), .option = "listen",
     .help = "Its private key (PEM)."},
    {"grpc-root-cert", NULL, TEXT, DO(TLS_ROOT), AT(GRPC), .option = "listen",
     .help = "Authorities of client certificates (PEM); with --grpc-use-ssl-mutual."},
    {"grpc-infer-response-compression-level", NULL, TEXT, AS("grpc.compression"),
     .help = "Answers are compressed when the client accepts it."},
    {"grpc-keepalive-time", NULL, NUMBER, AS("http2.keepalive_time"), IN("ms"),
     .help = "A client that was silent for so long is asked whether it is there."},
    {"grpc-keepalive-timeout", NULL, NUMBER, AS("http2.keepalive_timeout"), IN("ms"),
     .help = "Time for its answer."},
    {"grpc-keepalive-permit-without-calls", NULL, BOOL, IGNORE,
     .help = "Idle connections are asked too."},
    {"grpc-http2-max-pings-without-data", NULL, NUMBER, IGNORE,
     .help = "The server's own pings wait for their answers."},
    {"grpc-http2-min-recv-ping-interval-without-data", NULL, NUMBER,
     AS("http2.ping_interval_min"), IN("ms"),
     .help = "A client that pings more often pings too often."},
    {"grpc-http2-max-ping-strikes", NULL, NUMBER, AS("http2.ping_strikes_max"),
     .help = "How often that is forgiven."},
    {"grpc-max-connection-age", NULL, NUMBER, AS("http2.connection_age_max"), IN("ms"),
     .help = "Age at which a connection is closed in good order."},
    {"grpc-max-connection-age-grace", NULL, NUMBER, AS("http2.connection_age_grace"), IN("ms"),
     .help = "Time that its calls in flight then have."},
    {"grpc-restricted-protocol", NULL, TEXT, DO(RESTRICT), AT(GRPC), .option = "restrict",
     .help = "PROTOCOLS:KEY=VALUE: a secret metadatum triton-grpc-protocol-KEY for families of "
             "operations."},

    {"allow-metrics", NULL, BOOL, DO(ALLOW), AT(METRICS), .option = "listen",
     .help = "Whether the metrics port is opened."},
    {"metrics-address", NULL, TEXT, DO(ADDRESS), AT(METRICS), .option = "listen",
     .help = "Its address; that of HTTP if not given."},
    {"metrics-port", NULL, NUMBER, DO(PORT), AT(METRICS), .option = "listen",
     .help = "Its number; 8002 if not given."},
    {"allow-gpu-metrics", NULL, BOOL, IGNORE, .help = NO_GPU},
    {"allow-cpu-metrics", NULL, BOOL, IGNORE, .help = "The process's own are always there."},
    {"metrics-interval-ms", NULL, NUMBER, IGNORE, .help = NO_POLLER},
    {"metrics-config", "summary_latencies", BOOL, AS("metrics.summaries"),
     .help = "Latency summaries under Triton's names."},
    {"metrics-config", "summary_quantiles", TEXT, IGNORE, .help = "The usual ones are shown."},
    {"metrics-config", "counter_latencies", BOOL, IGNORE, .help = "They are always there."},
    {"metrics-config", "histogram_latencies", BOOL, IGNORE, .help = "They are always there."},

    {"trace-config", "level", TEXT, AS("trace.level"),
     .help = "OFF, TIMESTAMPS or TENSORS; may be repeated."},
    {"trace-config", "rate", NUMBER, AS("trace.rate"), .help = "One request of so many."},
    {"trace-config", "count", NUMBER, DO(COUNT), .option = "trace.count",
     .help = "Traces in all; -1 has no end."},
    {"trace-config", "mode", TEXT, AS("trace.mode"), .help = "`triton` or `opentelemetry`."},
    {"trace-config", "triton,file", TEXT, AS("trace.file"), .help = "Where they are written."},
    {"trace-config", "triton,log-frequency", NUMBER, AS("trace.log_frequency"),
     .help = "Traces a file."},
    {"trace-config", "opentelemetry,url", TEXT, AS("trace.otlp.url"),
     .help = "Collector that takes OTLP over HTTP."},
    {"trace-config", "opentelemetry,resource", TEXT, AS("trace.otlp.resource"),
     .help = "KEY=VALUE, an attribute of this server; may be repeated."},
    {"trace-config", "opentelemetry,bsp_max_queue_size", NUMBER, AS("trace.otlp.queue_max"),
     .help = "Requests that may wait for being sent."},
    {"trace-config", "opentelemetry,bsp_schedule_delay", NUMBER, AS("trace.otlp.delay"), IN("ms"),
     .help = "Longest time until a batch is sent that is not full."},
    {"trace-config", "opentelemetry,bsp_max_export_batch_size", NUMBER,
     AS("trace.otlp.batch_max"), .help = "Requests sent at once."},
    {"trace-file", NULL, TEXT, AS("trace.file"), .help = "Deprecated by Triton."},
    {"trace-level", NULL, TEXT, AS("trace.level"), .help = "Deprecated by Triton."},
    {"trace-rate", NULL, NUMBER, AS("trace.rate"), .help = "Deprecated by Triton."},
    {"trace-count", NULL, NUMBER, DO(COUNT), .option = "trace.count",
     .help = "Deprecated by Triton."},
    {"trace-log-frequency", NULL, NUMBER, AS("trace.log_frequency"),
     .help = "Deprecated by Triton."},

    {"backend-directory", NULL, TEXT, IGNORE, .help = NO_PLUGINS},
    {"backend-config", "default-max-batch-size", NUMBER, AS("model.default_max_batch_size"),
     .help = "max_batch_size of a model that takes batches and gives none; 4 if not given."},
    {"backend-config", "onnxruntime,default-max-batch-size", NUMBER,
     AS("model.default_max_batch_size"), .help = "The same."},
    {"backend-config", NULL, TEXT, IGNORE, .help = NO_PLUGINS},
    {"repoagent-directory", NULL, TEXT, IGNORE, .help = NO_PLUGINS},
    {"cache-directory", NULL, TEXT, IGNORE, .help = NO_PLUGINS},
    {"cache-config", "local,size", NUMBER, AS("cache.local.size"),
     .help = "Memory for the answers of models with `response_cache`."},
    {"cache-config", "redis,host", TEXT, DO(REDIS), .option = "cache.redis",
     .help = "A Redis server that keeps answers, instead of `local`."},
    {"cache-config", "redis,port", NUMBER, DO(REDIS), .option = "cache.redis",
     .help = "Its port; 6379 if not given."},
    {"cache-config", "redis,user", TEXT, DO(REDIS), .option = "cache.redis",
     .help = "Who signs on; the variable TRITONCACHE_REDIS_USERNAME says it too."},
    {"cache-config", "redis,password", TEXT, DO(REDIS), .option = "cache.redis",
     .help = "The password; the variable TRITONCACHE_REDIS_PASSWORD says it too."},
    {"cache-config", "redis,db", NUMBER, DO(REDIS), .option = "cache.redis",
     .help = "Number of the database."},
    {"cache-config", NULL, TEXT, IGNORE, .help = "One connection is enough; see `cache.redis`."},
    {"response-cache-byte-size", NULL, NUMBER, AS("cache.local.size"),
     .help = "Deprecated by Triton."},
    {"rate-limit", NULL, TEXT, AS("sched.rate_limit"),
     .help = "`off` or `execution_count`: whether instances wait for the resources that they ask "
             "for."},
    {"rate-limit-resource", NULL, TEXT, AS("sched.resources"),
     .help = "NAME:COUNT or NAME:COUNT:DEVICE, how much there is; may be repeated."},

    {"pinned-memory-pool-byte-size", NULL, NUMBER, IGNORE, .help = NO_GPU},
    {"cuda-memory-pool-byte-size", NULL, TEXT, IGNORE, .help = NO_GPU},
    {"cuda-virtual-address-size", NULL, TEXT, IGNORE, .help = NO_GPU},
    {"min-supported-compute-capability", NULL, TEXT, IGNORE, .help = NO_GPU},
    {"model-load-gpu-limit", NULL, TEXT, IGNORE, .help = NO_GPU},
    {"buffer-manager-thread-count", NULL, NUMBER, IGNORE, .help = "Tensors are not gathered."},
    {"host-policy", NULL, TEXT, IGNORE, .help = "Event loops are pinned to cores by themselves."},

    {"allow-client-shm", NULL, BOOL, AS("shm.enabled"),
     .help = "Whether clients may register shared memory; false if not given."},

    {"allow-sagemaker", NULL, BOOL, REFUSE("false"),
     .help = "SageMaker's endpoints are " NOT_YET "."},
    {"sagemaker-port", NULL, NUMBER, IGNORE, .help = "See --allow-sagemaker."},
    {"sagemaker-safe-port-range", NULL, TEXT, IGNORE, .help = "See --allow-sagemaker."},
    {"sagemaker-thread-count", NULL, NUMBER, IGNORE, .help = "See --allow-sagemaker."},
    {"allow-vertex-ai", NULL, BOOL, REFUSE("false"),
     .help = "Vertex AI's endpoints are " NOT_YET "."},
    {"vertex-ai-port", NULL, NUMBER, IGNORE, .help = "See --allow-vertex-ai."},
    {"vertex-ai-thread-count", NULL, NUMBER, IGNORE, .help = "See --allow-vertex-ai."},
    {"vertex-ai-default-model", NULL, TEXT, IGNORE, .help = "See --allow-vertex-ai."},
};
/* clang-format on */

const uint32_t tern_triton_flags_n = TERN_COUNT_OF(tern_triton_flags);

const struct tern_triton_flag *tern_triton_flag_find(struct tern_str name, struct tern_str value,
                                                     bool *ret_known)
{
    struct tern_str key = tern_str_trim(tern_str_make(value.p, tern_str_find(value, '=')));

    *ret_known = false;
    for (uint32_t i = 0; i < tern_triton_flags_n; i++) {
        const struct tern_triton_flag *flag = &tern_triton_flags[i];
        if (!tern_str_eq(name, tern_str_of(flag->name)))
            continue;
        *ret_known = true;
        if (flag->key == NULL || tern_str_eq(key, tern_str_of(flag->key)))
            return flag;
    }
    return NULL;
}

/* ---- printing ---- */

static const char *argument_of(const struct tern_triton_flag *flag)
{
    static const char *const names[] = {
        [TERN_TRITON_ALONE] = "",
        [TERN_TRITON_BOOL] = "=true|false",
        [TERN_TRITON_NUMBER] = "=N",
        [TERN_TRITON_TEXT] = "=TEXT",
    };
    return names[flag->kind];
}

/* "--trace-config=rate=N" */
static void print_usage(const struct tern_triton_flag *flag, struct tern_buf *out)
{
    tern_buf_printf(out, "--%s", flag->name);
    if (flag->key != NULL)
        tern_buf_printf(out, "=%s", flag->key);
    tern_buf_add_str(out, tern_str_of(argument_of(flag)));
}

/* What becomes of it, in words; `quote` goes around names. */
static void print_fate(const struct tern_triton_flag *flag, const char *quote, struct tern_buf *out)
{
    if (flag->take == TERN_TRITON_IGNORE)
        TERN_BUF_ADD_LITERAL(out, "no effect");
    else if (flag->take == TERN_TRITON_REFUSE && flag->harmless[0] != '\0')
        tern_buf_printf(out, "refused unless %s%s%s", quote, flag->harmless, quote);
    else if (flag->take == TERN_TRITON_REFUSE)
        TERN_BUF_ADD_LITERAL(out, "refused");
    else if (flag->option != NULL)
        tern_buf_printf(out, "%s%s%s%s", flag->take == TERN_TRITON_OPTION_NOT ? "not " : "", quote,
                        flag->option, quote);
    else
        tern_buf_printf(out, "%sPATH%s", quote, quote);
}

void tern_triton_flags_help(const struct tern_opt_doc_style *style, struct tern_buf *out)
{
    uint32_t width = style->width == 0 ? 80 : style->width;
    struct tern_buf line;

    TERN_BUF_ADD_LITERAL(out,
                         "Usage: tern serve --persona triton [TRITON'S FLAGS] [OPTIONS]\n"
                         "       tritonserver [TRITON'S FLAGS] [OPTIONS]   (a link of that name)\n"
                         "\nTriton's ports and command line. Each of its flags, what it is here, "
                         "and why:\n\n");
    tern_buf_init(&line, 4096);
    for (uint32_t i = 0; i < tern_triton_flags_n; i++) {
        const struct tern_triton_flag *flag = &tern_triton_flags[i];
        TERN_BUF_ADD_LITERAL(out, "  ");
        print_usage(flag, out);
        TERN_BUF_ADD_LITERAL(out, "\n      ");
        tern_buf_clear(&line);
        tern_buf_add_char(&line, '[');
        print_fate(flag, "", &line);
        tern_buf_printf(&line, "] %s", flag->help);
        tern_opt_doc_wrap(tern_buf_str(&line), 6, 6, width, out);
    }
    tern_buf_fini(&line);
    TERN_BUF_ADD_LITERAL(out,
                         "\nOptions of `tern serve` may be given too, where Triton has no flag "
                         "of that name:\n`tern help serve` lists them. `tern config --persona "
                         "triton FLAGS` prints the\nsame server as tern.yaml.\n");
}

static void add_cell(struct tern_str text, struct tern_buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '|')
            tern_buf_add_char(out, '\\');
        tern_buf_add_char(out, text.p[i]);
    }
}

void tern_triton_flags_page(struct tern_buf *out)
{
    struct tern_buf usage;

    TERN_BUF_ADD_LITERAL(out, "| Triton's flag | here | |\n| --- | --- | --- |\n");
    tern_buf_init(&usage, 4096);
    for (uint32_t i = 0; i < tern_triton_flags_n; i++) {
        const struct tern_triton_flag *flag = &tern_triton_flags[i];
        tern_buf_clear(&usage);
        print_usage(flag, &usage);
        TERN_BUF_ADD_LITERAL(out, "| `");
        add_cell(tern_buf_str(&usage), out);
        TERN_BUF_ADD_LITERAL(out, "` | ");
        print_fate(flag, "`", out);
        tern_buf_printf(out, " | %s |\n", flag->help);
    }
    tern_buf_fini(&usage);
}
