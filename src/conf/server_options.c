/* The catalogue of the server's options. */
#include "conf/server_options.h"

#include "base/clock.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define MS  ((uint64_t)TERN_NS_PER_MS)
#define SEC ((uint64_t)TERN_NS_PER_S)
#define DAY (86400 * SEC)

/* Columns of the table. */
#define RELOAD    TERN_OPT_RELOAD
#define RARE      TERN_OPT_ADVANCED
#define IN(field) .offset = offsetof(struct tern_server_options, field)
#define OF(field) .offset = offsetof(struct tern_listener_options, field)
#define BY(field) .offset = offsetof(struct tern_restrict_options, field)
#define AT(field) .offset = offsetof(struct tern_redis_options, field)

static const char *const controls[] = {"none", "poll", "explicit", NULL};
static const char *const batchings[] = {"adaptive", "configured", "off", NULL};
static const char *const rate_limits[] = {"off", "execution_count", NULL};
static const char *const native_onnx[] = {"auto", "off", NULL};
static const char *const graph_levels[] = {"none", "basic", "extended", "all", NULL};
static const char *const personas[] = {"none", "triton", NULL};
static const char *const overs[] = {"any", "http", "grpc", NULL};
static const char *const grpc_forms[] = {"triton", "kserve", "mlserver", NULL};
static const char *const grpc_compressions[] = {"none", "low", "medium", "high", NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL};
static const char *const conversions[] = {"none", "pbtxt", "yaml", "json", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const trace_modes[] = {"triton", "opentelemetry", NULL};
static const char *const log_formats[] = {"auto", "text", "json", NULL};

/* clang-format off */
static const struct tern_opt listener_rows[] = {
    {.name = "address", .type = TERN_OPT_STRING, OF(address), .metavar = "ADDRESS",
     .help = "HOST:PORT, [IPV6]:PORT, :PORT for every interface, or unix:PATH. Port 0 picks a "
             "free one."},
    {.name = "admin", .type = TERN_OPT_BOOL, OF(admin),
     .help = "Allow operations that change what is served (load, unload) here."},
    {.name = "dialects", .type = TERN_OPT_LIST, OF(dialects), .max = 32, .metavar = "NAME[+NAME]",
     .help = "The dialects spoken here (doc/routes.md names them); all by default. Paths of the "
             "others do not exist here."},
    {.name = "graph", .type = TERN_OPT_STRING, OF(graph), .metavar = "NAME",
     .help = "The graph that is meant here where a path names none (POST /, /api/v1.0/predictions). "
             "The only one that is served by default."},
    {.name = "triton_status", .type = TERN_OPT_BOOL, OF(triton_status),
     .help = "Answer 400 where Triton does: instead of 503 when a health route says no (then without a "
             "body), and instead of 413 when a body is too large."},
    {.name = "grpc_form", .type = TERN_OPT_ENUM, OF(grpc_form), .values = grpc_forms,
     .help = "Whose form the Open Inference Protocol over gRPC has here, where servers differ: in "
             "streams, repository calls and typed answers. Triton's by default."},
    {.name = "tls", .type = TERN_OPT_BOOL, OF(tls),
     .help = "Speak TLS; implied by tls.cert."},
    {.name = "tls.cert", .type = TERN_OPT_STRING, OF(tls_cert), .metavar = "FILE",
     .help = "Certificate chain (PEM)."},
    {.name = "tls.key", .type = TERN_OPT_STRING, OF(tls_key), .metavar = "FILE",
     .help = "Private key (PEM)."},
    {.name = "tls.client_ca", .type = TERN_OPT_STRING, OF(tls_client_ca), .metavar = "FILE",
     .help = "Authorities (PEM) that sign client certificates; clients must then show one."},
};

static const struct tern_opt_record listener_record = {
    listener_rows, TERN_COUNT_OF(listener_rows), sizeof(struct tern_listener_options),
    true, offsetof(struct tern_listener_options, place),
};

static const struct tern_opt restrict_rows[] = {
    {.name = "families", .type = TERN_OPT_LIST, BY(families), .max = 16, .metavar = "NAME[+NAME]",
     .help = "Operations that need the header: health, metadata, inference, shared-memory, "
             "model-config, model-repository, statistics, trace, logging."},
    {.name = "header", .type = TERN_OPT_STRING, BY(header), .metavar = "NAME",
     .help = "The header that must be there."},
    {.name = "value", .type = TERN_OPT_STRING, BY(value), .flags = TERN_OPT_SECRET,
     .help = "Its value. Never shown or logged; but who may list the machine's processes sees a "
             "flag."},
    {.name = "value_file", .type = TERN_OPT_STRING, BY(value_file), .metavar = "FILE",
     .help = "Instead of value: a file whose first line it is."},
    {.name = "over", .type = TERN_OPT_ENUM, BY(over), .values = overs,
     .help = "Only requests over HTTP, or over gRPC."},
};

static const struct tern_opt_record restrict_record = {
    restrict_rows, TERN_COUNT_OF(restrict_rows), sizeof(struct tern_restrict_options),
    true, offsetof(struct tern_restrict_options, place),
};

static const struct tern_opt redis_rows[] = {
    {.name = "host", .type = TERN_OPT_STRING, AT(host), .metavar = "HOST",
     .help = "Its name or address, or the path of its Unix socket."},
    {.name = "port", .type = TERN_OPT_UINT, AT(port), .preset = "6379", .min = 1,
     .max = UINT16_MAX, .help = "Its port."},
    {.name = "user", .type = TERN_OPT_STRING, AT(user), .metavar = "NAME",
     .help = "Who signs on; Redis's default user if not given."},
    {.name = "password", .type = TERN_OPT_STRING, AT(password), .flags = TERN_OPT_SECRET,
     .help = "The user's password. Never shown or logged; but who may list the machine's "
             "processes sees a flag."},
    {.name = "password_file", .type = TERN_OPT_STRING, AT(password_file), .metavar = "FILE",
     .help = "Instead of password: a file whose first line it is."},
    {.name = "database", .type = TERN_OPT_UINT, AT(database), .max = INT32_MAX,
     .help = "Number of the database there."},
    {.name = "timeout", .type = TERN_OPT_DURATION, AT(timeout_ns), .preset = "100ms",
     .min = 1 * MS, .max = 60 * SEC,
     .help = "Longest time that a request waits for it before the model is asked."},
    {.name = "ttl", .type = TERN_OPT_DURATION, AT(ttl_ns), .preset = "24h", .max = 365 * DAY,
     .help = "How long it keeps an answer; 0 leaves that to Redis."},
};

static const struct tern_opt_record redis_record = {
    redis_rows, TERN_COUNT_OF(redis_rows), sizeof(struct tern_redis_options),
    true, offsetof(struct tern_redis_options, place),
};

static const struct tern_opt rows[] = {
    {.name = "config", .type = TERN_OPT_STRING, IN(config), .section = "Server",
     .flags = TERN_OPT_FLAG, .letter = 'c', .metavar = "FILE",
     .help = "Read options from this YAML file. Without it tern.yaml in the current folder is "
             "read if it is there."},
    {.name = "listen", .type = TERN_OPT_RECORDS, IN(listen), .section = "Server",
     .preset = "127.0.0.1:8080", .max = TERN_LISTENERS_MAX, .record = &listener_record,
     .letter = 'l', .metavar = "ADDRESS[,admin][,dialects=NAME+NAME][,cert=FILE,key=FILE]",
     .help = "Where to listen: HOST:PORT, [IPV6]:PORT or unix:PATH; HTTP/1.1 and HTTP/2 share the "
             "port. May be repeated. `admin` allows load and unload there; `dialects` says what "
             "is spoken there; `cert`, `key` and `client_ca` (PEM files) turn on TLS."},
    {.name = "insecure", .type = TERN_OPT_BOOL, IN(insecure), .section = "Server",
     .help = "Allow listeners that other machines can reach without TLS and client certificates. "
             "Meant for a private network or a container behind a gateway: anyone who reaches the "
             "port can use every model."},
    {.name = "server_name", .type = TERN_OPT_STRING, IN(server_name), .section = "Server",
     .flags = RARE, .preset = "tern", .metavar = "NAME",
     .help = "What the metadata calls the server."},
    {.name = "persona", .type = TERN_OPT_ENUM, IN(persona), .section = "Server",
     .flags = TERN_OPT_FLAG, .preset = "none", .values = personas,
     .help = "`triton` opens Triton's three ports and takes its command line; `tern help triton` "
             "lists the flags."},
    {.name = "loops", .type = TERN_OPT_UINT, IN(loops), .section = "Server", .preset = "0",
     .max = 256, .help = "Event loops (threads that serve connections); 0 is one a core."},
    {.name = "supervise", .type = TERN_OPT_BOOL, IN(supervise), .section = "Server",
     .preset = "true",
     .help = "Keep a parent process that holds the listening sockets and starts the server again "
             "when it crashes."},
    {.name = "pid_file", .type = TERN_OPT_STRING, IN(pid_file), .section = "Server",
     .metavar = "FILE", .help = "Write the process id to this file; none by default."},
    {.name = "ready_file", .type = TERN_OPT_STRING, IN(ready_file), .section = "Server",
     .metavar = "FILE",
     .help = "Once ready, write the addresses listened on to this file, one a line. Scripts "
              "wait for it."},
    {.name = "drain.grace", .type = TERN_OPT_DURATION, IN(drain.grace_ns), .section = "Server",
     .flags = RELOAD, .preset = "30s", .min = 0, .max = 3600 * SEC,
     .help = "After SIGTERM, how long requests in flight may take to finish."},
    {.name = "tls.version_min", .type = TERN_OPT_ENUM, IN(tls.version_min), .flags = RARE,
     .section = "Server",
     .preset = "1.2", .values = tls_versions, .help = "Oldest TLS version that is accepted."},

    {.name = "model.control", .type = TERN_OPT_ENUM, IN(model.control), .section = "Models",
     .preset = "none", .values = controls,
     .help = "When models are loaded: `none` all at start and never again, `poll` all and again "
             "when files change, `explicit` those of model.load and what the API asks for."},
    {.name = "model.poll_interval", .type = TERN_OPT_DURATION, IN(model.poll_interval_ns),
     .section = "Models", .flags = RELOAD, .preset = "15s", .min = 100 * MS,
     .max = 86400 * SEC, .help = "With poll: time between two looks at the repository."},
    {.name = "model.load", .type = TERN_OPT_LIST, IN(model.load), .section = "Models",
     .max = 1024, .metavar = "NAME[,NAME]",
     .help = "With explicit: models to load at start; `*` is all of them. May be repeated."},
    {.name = "model.load_threads", .type = TERN_OPT_UINT, IN(model.load_threads),
     .flags = RARE, .section = "Models", .preset = "2", .min = 1, .max = 64,
     .help = "Models that may load at the same time."},
    {.name = "model.load_retries", .type = TERN_OPT_UINT, IN(model.load_retries),
     .flags = RARE, .section = "Models", .preset = "0", .max = 100,
     .help = "How often a load that failed is tried again before it counts as failed."},
    {.name = "model.config_name", .type = TERN_OPT_STRING, IN(model.config_name),
     .flags = RARE, .section = "Models", .metavar = "NAME",
     .help = "Use configs/NAME.pbtxt of a model's folder where there is one, instead of "
             "config.pbtxt."},
    {.name = "model.auto_complete", .type = TERN_OPT_BOOL, IN(model.auto_complete),
     .flags = RARE, .section = "Models", .preset = "true",
     .help = "Complete a configuration from the model itself. Without it every model needs one "
             "that describes all inputs and outputs."},
    {.name = "model.default_max_batch_size", .type = TERN_OPT_UINT,
     IN(model.default_max_batch_size), .flags = RARE, .section = "Models", .preset = "0",
     .max = INT32_MAX,
     .help = "max_batch_size of a model whose configuration gives none and whose inputs and "
             "outputs all have a free first dimension. 0: it takes batches of any size and is "
             "described with the dimension. Triton's own default is 4."},
    {.name = "model.version_policy", .type = TERN_OPT_STRING, IN(model.version_policy),
     .section = "Models", .preset = "latest:1", .metavar = "latest:N|all|specific:N,N",
     .help = "Versions served of a model whose own configuration does not say."},
    {.name = "model.strict_readiness", .type = TERN_OPT_BOOL, IN(model.strict_readiness),
     .section = "Models", .preset = "true",
     .help = "The server is ready only when every model is; otherwise as soon as it can answer."},
    {.name = "model.exit_on_error", .type = TERN_OPT_BOOL, IN(model.exit_on_error),
     .section = "Models",
     .help = "Do not start when a model cannot be loaded; otherwise the others are served."},

    {.name = "engine.onnxruntime.library", .type = TERN_OPT_STRING, IN(onnxruntime.library),
     .section = "ONNX Runtime", .metavar = "FILE",
     .help = "Path of libonnxruntime.so; searched for in the usual places by default."},
    {.name = "engine.onnxruntime.threads", .type = TERN_OPT_UINT, IN(onnxruntime.threads),
     .section = "ONNX Runtime", .preset = "0", .max = 256,
     .help = "Threads one run may use; 0 decides by the size of the model."},
    {.name = "engine.onnxruntime.graph_level", .type = TERN_OPT_ENUM, IN(onnxruntime.graph_level),
     .section = "ONNX Runtime", .preset = "all", .values = graph_levels,
     .help = "How far the graph is optimised at load."},
    {.name = "engine.onnxruntime.providers", .type = TERN_OPT_LIST, IN(onnxruntime.providers),
     .section = "ONNX Runtime", .preset = "cpu", .max = 8, .metavar = "NAME[,NAME]",
     .help = "Execution providers to try, best first."},
    {.name = "engine.onnxruntime.arena", .type = TERN_OPT_BOOL, IN(onnxruntime.arena),
     .flags = RARE, .section = "ONNX Runtime", .preset = "true",
     .help = "Let the runtime keep freed memory for its next run; off gives it back to the "
             "system."},

    {.name = "engine.native.onnx", .type = TERN_OPT_ENUM, IN(native.onnx),
     .section = "Native engine", .preset = "auto", .values = native_onnx,
     .help = "ONNX graphs whose operators all run natively: `auto` runs them without ONNX Runtime, "
             "unless their configuration names it or has options for it; `off` runs them natively "
             "only where a configuration says backend \"tern\"."},

    {.name = "sched.inline_max", .type = TERN_OPT_DURATION, IN(sched.inline_max_ns),
     .section = "Scheduling", .preset = "0", .max = 1 * SEC,
     .help = "A model that runs faster than this runs on the event loop itself: waking another "
             "thread would take longer. 0 measures at start what a wake-up costs here."},
    {.name = "sched.threads", .type = TERN_OPT_UINT, IN(sched.threads), .section = "Scheduling",
     .preset = "0", .max = 1024, .help = "Threads that run the other models; 0 is one a core."},
    {.name = "sched.batching", .type = TERN_OPT_ENUM, IN(sched.batching),
     .section = "Scheduling", .preset = "adaptive", .values = batchings,
     .help = "Whether requests for one model run together when its configuration says nothing of "
             "it: `adaptive` as large as load and deadlines make it worth, `configured` not at "
             "all, as in Triton; `off` never, whatever a configuration says."},
    {.name = "sched.slo", .type = TERN_OPT_DURATION, IN(sched.slo_ns), .section = "Scheduling",
     .preset = "0", .max = 3600 * SEC,
     .help = "How long an answer usually may take, of models whose parameter `slo` does not say: "
             "requests without a deadline of their own are planned for it. 0: ten times what one "
             "run takes, at least 10 ms."},
    {.name = "sched.batching_parameters", .type = TERN_OPT_STRING, IN(sched.batching_parameters),
     .flags = RARE, .section = "Scheduling", .metavar = "FILE",
     .help = "TF Serving's batching parameters (protobuf text), for models whose configuration says "
             "nothing of batches; what a version's folder has as batching_params.pbtxt goes before."},
    {.name = "sched.rate_limit", .type = TERN_OPT_ENUM, IN(sched.rate_limit), .flags = RARE,
     .section = "Scheduling", .preset = "off", .values = rate_limits,
     .help = "`execution_count`: instances run only with the resources that their groups ask for "
             "(rate_limiter in a model's configuration), those first that ran least for their "
             "priority."},
    {.name = "sched.resources", .type = TERN_OPT_LIST, IN(sched.resources), .flags = RARE,
     .section = "Scheduling", .max = 1024, .metavar = "NAME:COUNT[:DEVICE]",
     .help = "How much there is of these resources; what is not named is then not there at all. By "
             "default as much as the instance that asks for most. May be repeated."},
    {.name = "sched.queue_max", .type = TERN_OPT_UINT, IN(sched.queue_max),
     .section = "Scheduling", .flags = RARE | RELOAD, .preset = "1024", .min = 1,
     .max = 1000000, .help = "Requests that may wait for one model; more are refused at once."},
    {.name = "sched.hold_until", .type = TERN_OPT_UINT, IN(sched.hold_until), .flags = RARE,
     .section = "Scheduling", .preset = "0", .max = 1000000,
     .help = "A model's first run starts when so many requests wait for it: for tests that need to "
             "know what is in a batch. Triton's TRITONSERVER_DELAY_SCHEDULER, which its persona "
             "reads too."},
    {.name = "sched.hold_backlog", .type = TERN_OPT_UINT, IN(sched.hold_backlog), .flags = RARE,
     .section = "Scheduling", .preset = "0", .max = 1000000,
     .help = "With sched.hold_until, for models whose sequences have slots: so many more requests "
             "must wait for a slot. Triton's TRITONSERVER_BACKLOG_DELAY_SCHEDULER."},

    {.name = "sched.batch_max", .type = TERN_OPT_UINT, IN(sched.batch_max), .section = "Scheduling",
     .preset = "64", .min = 1, .max = 4096,
     .help = "Rows of one run for a model that declares no batches: where the first dimension of "
             "all its tensors is free, loading tries whether joined requests are answered as "
             "single ones are. 1 does not try."},
    {.name = "sched.batch_exact", .type = TERN_OPT_BOOL, IN(sched.batch_exact),
     .section = "Scheduling", .flags = RARE, .preset = "false",
     .help = "Join requests for such a model only when every bit of the answers stays the same; "
             "otherwise the last digits of real numbers may depend on how many were joined."},

    {.name = "cache.local.size", .type = TERN_OPT_SIZE, IN(cache.local.size),
     .section = "Response cache", .preset = "0", .max = 1024 * GIB,
     .help = "Memory for the answers of models whose configuration has response_cache; 0 turns "
             "the cache off."},
    {.name = "cache.redis", .type = TERN_OPT_RECORDS, IN(cache.redis),
     .section = "Response cache", .max = 1, .record = &redis_record,
     .metavar = "HOST[,port=N][,password_file=FILE]",
     .help = "A Redis server through which servers with the same models share answers; asked after "
             "cache.local.size. Without it, or while it is away, answers are computed."},

    {.name = "request.timeout", .type = TERN_OPT_DURATION, IN(request.timeout_ns),
     .section = "Requests", .flags = RELOAD, .preset = "60s", .min = 1 * MS,
     .max = 86400 * SEC, .help = "Longest time from the whole request to its answer."},
    {.name = "request.memory_max", .type = TERN_OPT_SIZE, IN(request.memory_max),
     .section = "Requests", .flags = RELOAD, .preset = "256MiB", .min = 1 * MIB,
     .max = 64 * GIB, .help = "Memory one request may take, its decoded tensors included."},
    {.name = "explain.rows_max", .type = TERN_OPT_UINT, IN(explain.rows_max),
     .section = "Explanations", .preset = "1000", .min = 1, .max = 1000000,
     .help = "Rows that one request may ask to be explained."},
    {.name = "explain.background_max", .type = TERN_OPT_UINT, IN(explain.background_max),
     .section = "Explanations", .preset = "1000", .min = 1, .max = 1000000,
     .help = "Rows of background that they are compared with."},
    {.name = "explain.features_max", .type = TERN_OPT_UINT, IN(explain.features_max),
     .section = "Explanations", .preset = "16384", .min = 1, .max = 1000000,
     .help = "Features of a row that is explained: elements of all inputs."},
    {.name = "explain.evaluations_max", .type = TERN_OPT_UINT, IN(explain.evaluations_max),
     .section = "Explanations", .preset = "10000000", .min = 1, .max = 1000000000000,
     .help = "Rows that a model may be asked about for one request, by methods that explain any "
             "model."},
    {.name = "explain.concurrent_max", .type = TERN_OPT_UINT, IN(explain.concurrent_max),
     .section = "Explanations", .preset = "64", .min = 1, .max = 65536,
     .help = "Explanations on their way at a time in one event loop; they take turns, and further "
             "ones are refused."},
    {.name = "memory.max", .type = TERN_OPT_SIZE, IN(memory.max), .section = "Requests",
     .flags = RELOAD, .preset = "0", .max = 1024ull * 1024 * GIB,
     .help = "Memory that all requests together may take: bodies, tensors, answers. Above nine "
             "tenths of it new bodies are refused. 0 is half of what the machine, or the "
             "container, has."},
    {.name = "restrict", .type = TERN_OPT_RECORDS, IN(restricts), .section = "Requests",
     .max = 16, .record = &restrict_record, .metavar = "FAMILY[+FAMILY],header=NAME,value=TEXT",
     .help = "Answer these families of operations only to who sends a secret header: an element "
             "is a rule. Meant beside TLS, as Triton's restricted APIs."},
    {.name = "json.depth_max", .type = TERN_OPT_UINT, IN(json.depth_max), .section = "Requests",
     .flags = RARE | RELOAD, .preset = "100", .min = 16, .max = 1000,
     .help = "Nesting allowed in a JSON body."},

    {.name = "shm.enabled", .type = TERN_OPT_BOOL, IN(shm.enabled), .section = "Shared memory",
     .help = "Let clients on this machine register shared memory, to give tensors and to take "
             "them without a copy. Whoever may send requests may then have the server map any "
             "shared memory object that its user may open."},
    {.name = "shm.regions_max", .type = TERN_OPT_UINT, IN(shm.regions_max), .flags = RARE,
     .section = "Shared memory", .preset = "256", .min = 1, .max = 4096,
     .help = "Regions that may be registered at the same time."},
    {.name = "shm.bytes_max", .type = TERN_OPT_SIZE, IN(shm.bytes_max), .flags = RARE,
     .section = "Shared memory", .preset = "8GiB", .min = 4 * KIB, .max = 4096 * GIB,
     .help = "Bytes of all regions together."},

    {.name = "http.body_max", .type = TERN_OPT_SIZE, IN(http.body_max), .section = "HTTP",
     .flags = RELOAD, .preset = "64MiB", .min = 1 * KIB, .max = 4 * GIB,
     .help = "Largest request body, before and after decompression."},
    {.name = "http.expand_max", .type = TERN_OPT_UINT, IN(http.expand_max), .section = "HTTP",
     .flags = RARE | RELOAD, .preset = "100", .min = 2, .max = 10000,
     .help = "Largest ratio of a decompressed body or message of more than 1 MiB to what was "
             "sent."},
    {.name = "http.head_max", .type = TERN_OPT_SIZE, IN(http.head_max), .section = "HTTP",
     .flags = RARE | RELOAD, .preset = "32KiB", .min = 1 * KIB, .max = 128 * KIB,
     .help = "Largest request head: request line and all header fields; HTTP/2 counts 32 bytes "
             "more for each."},
    {.name = "http.field_max", .type = TERN_OPT_SIZE, IN(http.field_max), .section = "HTTP",
     .flags = RARE | RELOAD, .preset = "16KiB", .min = 256, .max = 64 * KIB,
     .help = "Largest single header field, name and value."},
    {.name = "http.fields_max", .type = TERN_OPT_UINT, IN(http.fields_max), .section = "HTTP",
     .flags = RARE | RELOAD, .preset = "100", .min = 8, .max = 100,
     .help = "Header fields in one request."},
    {.name = "http.uri_max", .type = TERN_OPT_SIZE, IN(http.uri_max), .section = "HTTP",
     .flags = RARE | RELOAD, .preset = "8KiB", .min = 256, .max = 64 * KIB,
     .help = "Longest request target."},
    {.name = "http.header_timeout", .type = TERN_OPT_DURATION, IN(http.header_timeout_ns),
     .section = "HTTP", .flags = RARE | RELOAD, .preset = "10s", .min = 100 * MS,
     .max = 3600 * SEC, .help = "Time for a request head to arrive."},
    {.name = "http.body_grace", .type = TERN_OPT_DURATION, IN(http.body_grace_ns),
     .section = "HTTP", .flags = RARE | RELOAD, .preset = "10s", .min = 100 * MS,
     .max = 3600 * SEC, .help = "Time before http.body_rate_min is demanded of a body."},
    {.name = "http.body_rate_min", .type = TERN_OPT_SIZE, IN(http.body_rate_min),
     .section = "HTTP", .flags = RARE | RELOAD, .preset = "1KiB", .min = 1, .max = 1 * GIB,
     .help = "Bytes a second that a body must bring after its grace."},
    {.name = "http.idle_timeout", .type = TERN_OPT_DURATION, IN(http.idle_timeout_ns),
     .section = "HTTP", .flags = RARE | RELOAD, .preset = "60s", .min = 100 * MS,
     .max = 86400 * SEC, .help = "Time an idle connection is kept."},
    {.name = "http.write_timeout", .type = TERN_OPT_DURATION, IN(http.write_timeout_ns),
     .section = "HTTP", .flags = RARE | RELOAD, .preset = "30s", .min = 100 * MS,
     .max = 3600 * SEC, .help = "Time a client may take no byte of its answer."},
    {.name = "http.connections_max", .type = TERN_OPT_UINT, IN(http.connections_max),
     .flags = RARE, .section = "HTTP", .preset = "10000", .min = 1, .max = 1000000,
     .help = "Connections open at the same time."},
    {.name = "http.connections_per_ip", .type = TERN_OPT_UINT, IN(http.connections_per_ip),
     .section = "HTTP", .flags = RARE | RELOAD, .preset = "1000", .min = 1, .max = 1000000,
     .help = "Of these, how many from one address."},
    {.name = "http.requests_per_connection", .type = TERN_OPT_UINT,
     IN(http.requests_per_connection), .section = "HTTP", .flags = RARE | RELOAD,
     .preset = "100000", .min = 1, .max = 1000000000,
     .help = "Requests before a connection is closed in good order, so that clients spread out "
             "again."},
    {.name = "http.compression", .type = TERN_OPT_BOOL, IN(http.compression), .section = "HTTP",
     .flags = RELOAD, .preset = "true",
     .help = "Compress answers (zstd, gzip, deflate) when the client accepts it."},
    {.name = "http.compression_min", .type = TERN_OPT_SIZE, IN(http.compression_min),
     .section = "HTTP", .flags = RARE | RELOAD, .preset = "1KiB", .min = 0, .max = 1 * GIB,
     .help = "Answers below this size are not compressed."},
    {.name = "http.header_forward", .type = TERN_OPT_STRING, IN(http.header_forward),
     .section = "HTTP", .metavar = "PATTERN",
     .help = "Request headers whose whole name matches this regular expression (PCRE2, without "
             "regard to case) become string parameters of an infer request."},
    {.name = "http.cors_origins", .type = TERN_OPT_LIST, IN(http.cors_origins), .section = "HTTP",
     .max = 64, .metavar = "ORIGIN[,ORIGIN]",
     .help = "Origins (https://example.org) whose pages may use this server from a browser, with "
             "gRPC-Web too; `*` is any. None by default."},
    {.name = "http2.streams_max", .type = TERN_OPT_UINT, IN(http2.streams_max),
     .flags = RARE | RELOAD, .section = "HTTP/2", .preset = "100", .min = 1, .max = 10000,
     .help = "Requests in flight on one connection. A new value of an HTTP/2 option is for "
             "connections that open from then on."},
    {.name = "http2.stream_window", .type = TERN_OPT_SIZE, IN(http2.stream_window),
     .flags = RARE | RELOAD, .section = "HTTP/2", .preset = "1MiB", .min = 64 * KIB,
     .max = 64 * MIB,
     .help = "Flow control window of one stream: what a client may send ahead of us."},
    {.name = "http2.connection_window", .type = TERN_OPT_SIZE, IN(http2.connection_window),
     .flags = RARE | RELOAD, .section = "HTTP/2", .preset = "1MiB", .min = 64 * KIB,
     .max = 1 * GIB,
     .help = "Flow control window of one connection."},
    {.name = "http2.control_rate_max", .type = TERN_OPT_UINT, IN(http2.control_rate_max),
     .section = "HTTP/2", .flags = RARE | RELOAD, .preset = "1000", .min = 10, .max = 1000000,
     .help = "Control frames (ping, settings, reset) a second before a connection is closed."},
    {.name = "http2.glitches_max", .type = TERN_OPT_UINT, IN(http2.glitches_max),
     .section = "HTTP/2", .flags = RARE | RELOAD, .preset = "200", .min = 1, .max = 1000000,
     .help = "Resets and harmless protocol offences before a connection is closed; 20 are "
             "forgiven a second."},
    {.name = "http2.keepalive_time", .type = TERN_OPT_DURATION, IN(http2.keepalive_time_ns),
     .section = "HTTP/2", .flags = RARE | RELOAD, .preset = "2h", .min = 0, .max = 30 * DAY,
     .help = "A client that has been silent for so long is asked whether it is there; 0 never "
             "asks."},
    {.name = "http2.keepalive_timeout", .type = TERN_OPT_DURATION, IN(http2.keepalive_timeout_ns),
     .section = "HTTP/2", .flags = RARE | RELOAD, .preset = "20s", .min = 100 * MS,
     .max = 1 * DAY, .help = "Time for its answer before the connection is cut."},
    {.name = "http2.ping_interval_min", .type = TERN_OPT_DURATION, IN(http2.ping_interval_min_ns),
     .section = "HTTP/2", .flags = RARE | RELOAD, .preset = "5s", .min = 0, .max = 1 * DAY,
     .help = "A client that pings more often than this while it waits for no answer pings too "
             "often; 0 is never too often."},
    {.name = "http2.ping_strikes_max", .type = TERN_OPT_UINT, IN(http2.ping_strikes_max),
     .section = "HTTP/2", .flags = RARE | RELOAD, .preset = "100", .min = 0, .max = 1000000,
     .help = "Times that is forgiven between two requests before the connection is closed "
             "(`too_many_pings`)."},
    {.name = "http2.connection_age_max", .type = TERN_OPT_DURATION,
     IN(http2.connection_age_max_ns), .section = "HTTP/2", .flags = RARE | RELOAD, .preset = "0",
     .min = 0, .max = 365 * DAY,
     .help = "Age (a tenth more or less) at which a connection is closed in good order, so that "
             "clients spread out again; 0 is none."},
    {.name = "http2.connection_age_grace", .type = TERN_OPT_DURATION,
     IN(http2.connection_age_grace_ns), .section = "HTTP/2", .flags = RARE | RELOAD,
     .preset = "0", .min = 0, .max = 30 * DAY,
     .help = "Time that requests in flight then have before they are cut off; 0 is no limit."},

    {.name = "grpc.header_forward", .type = TERN_OPT_STRING, IN(grpc.header_forward),
     .section = "gRPC", .metavar = "PATTERN",
     .help = "The same as http.header_forward for calls over gRPC."},
    {.name = "grpc.compression", .type = TERN_OPT_ENUM, IN(grpc.compression), .section = "gRPC",
     .preset = "none", .values = grpc_compressions,
     .help = "How hard answers over gRPC are compressed (gzip or deflate, from 1 KiB on) for "
             "clients that take it."},

    {.name = "graph.header_forward", .type = TERN_OPT_STRING, IN(graph.header_forward),
     .section = "Graphs", .metavar = "PATTERN",
     .help = "Request headers that go on to a graph's steps on other servers, as a regular expression "
             "over whole names. Steps on this server get all of them."},

    {.name = "log.level", .type = TERN_OPT_ENUM, IN(log.level), .section = "Logs and metrics",
     .flags = RELOAD, .preset = "info", .values = log_levels,
     .help = "Least important message that is written."},
    {.name = "log.format", .type = TERN_OPT_ENUM, IN(log.format), .section = "Logs and metrics",
     .preset = "auto", .values = log_formats,
     .help = "`auto` is text on a terminal and JSON elsewhere."},
    {.name = "log.access", .type = TERN_OPT_BOOL, IN(log.access), .section = "Logs and metrics",
     .flags = RELOAD, .help = "Write one line for each request."},
    {.name = "metrics.enabled", .type = TERN_OPT_BOOL, IN(metrics.enabled),
     .section = "Logs and metrics", .preset = "true", .help = "Serve /metrics (Prometheus text)."},
    {.name = "metrics.triton", .type = TERN_OPT_BOOL, IN(metrics.triton),
     .section = "Logs and metrics", .preset = "true",
     .help = "Show them under Triton's names (nv_*) too."},
    {.name = "metrics.summaries", .type = TERN_OPT_BOOL, IN(metrics.summaries),
     .section = "Logs and metrics",
     .help = "With metrics.triton: show Triton's latency summaries too, as quantiles of all "
             "requests since the start."},

    {.name = "trace.level", .type = TERN_OPT_LIST, IN(trace.level), .section = "Traces",
     .max = 2, .metavar = "TIMESTAMPS[,TENSORS]",
     .help = "What is traced of a request: TIMESTAMPS, TENSORS or both; OFF by default. Clients "
             "may change the first four of these while the server runs."},
    {.name = "trace.rate", .type = TERN_OPT_UINT, IN(trace.rate), .section = "Traces",
     .preset = "1000", .min = 1, .max = INT32_MAX, .help = "Trace one request of so many."},
    {.name = "trace.count", .type = TERN_OPT_UINT, IN(trace.count), .section = "Traces",
     .preset = "0", .max = INT32_MAX, .help = "Traces to take in all; 0 has no end."},
    {.name = "trace.log_frequency", .type = TERN_OPT_UINT, IN(trace.log_frequency),
     .section = "Traces", .preset = "0", .max = INT32_MAX,
     .help = "Traces a file: FILE.0, FILE.1 and so on; 0 writes all to one file."},
    {.name = "trace.mode", .type = TERN_OPT_ENUM, IN(trace.mode), .section = "Traces",
     .preset = "triton", .values = trace_modes,
     .help = "`triton` writes files as Triton does, `opentelemetry` sends spans over OTLP."},
    {.name = "trace.file", .type = TERN_OPT_STRING, IN(trace.file), .section = "Traces",
     .metavar = "FILE", .help = "Where traces are written in mode triton."},
    {.name = "trace.otlp.url", .type = TERN_OPT_STRING, IN(trace.otlp.url), .section = "Traces",
     .preset = "http://localhost:4318/v1/traces", .metavar = "URL",
     .help = "Collector that takes OTLP over HTTP."},
    {.name = "trace.otlp.resource", .type = TERN_OPT_LIST, IN(trace.otlp.resource),
     .section = "Traces", .max = 32, .metavar = "KEY=VALUE[,KEY=VALUE]",
     .help = "Attributes of this server; service.name is tern unless given."},
    {.name = "trace.otlp.queue_max", .type = TERN_OPT_UINT, IN(trace.otlp.queue_max),
     .section = "Traces", .flags = RARE, .preset = "2048", .min = 1, .max = 1000000,
     .help = "Requests that may wait for being written or sent; further ones are not traced."},
    {.name = "trace.otlp.delay", .type = TERN_OPT_DURATION, IN(trace.otlp.delay_ns),
     .section = "Traces", .flags = RARE, .preset = "5s", .min = 1 * MS, .max = 3600 * SEC,
     .help = "Longest time until a batch is sent that is not full."},
    {.name = "trace.otlp.batch_max", .type = TERN_OPT_UINT, IN(trace.otlp.batch_max),
     .section = "Traces", .flags = RARE, .preset = "512", .min = 1, .max = 100000,
     .help = "Requests sent at once."},

    /* Of `tern check` only: CHECK_ROWS of them, at the end. */
    {.name = "convert", .type = TERN_OPT_ENUM,
     .offset = offsetof(struct tern_check_options, convert), .section = "Check",
     .flags = TERN_OPT_FLAG, .preset = "none", .values = conversions,
     .help = "Print the configuration of the one model at PATH, or the configuration file PATH, in "
             "this form instead of checking."},
    {.name = "load", .type = TERN_OPT_BOOL, .offset = offsetof(struct tern_check_options, load),
     .section = "Check", .flags = TERN_OPT_FLAG, .preset = "true",
     .help = "Load the models too. Without it only their configurations are read."},
};
/* clang-format on */
#define CHECK_ROWS 2

const struct tern_opt_table tern_server_options_table = {
    rows,
    TERN_COUNT_OF(rows) - CHECK_ROWS,
    sizeof(struct tern_server_options),
};

const struct tern_opt_table tern_check_options_table = {
    rows,
    TERN_COUNT_OF(rows),
    sizeof(struct tern_check_options),
};
