#include "cli/client_options.h"

#include "base/clock.h"

#define MS  ((uint64_t)TERN_NS_PER_MS)
#define SEC ((uint64_t)TERN_NS_PER_S)

static const char *const output_forms[] = {"table", "json", NULL};

/* clang-format off */
#define URL(type_) \
    {.name = "url", .type = TERN_OPT_STRING, .offset = offsetof(struct type_, url), .letter = 'u', \
     .preset = "http://127.0.0.1:8080", .metavar = "URL", .section = "Server", \
     .help = "The server: http://HOST:PORT, HOST:PORT or unix:PATH."}, \
    {.name = "timeout", .type = TERN_OPT_DURATION, .offset = offsetof(struct type_, timeout_ns), \
     .preset = "30s", .min = 1 * MS, .max = 86400 * SEC, .section = "Server", \
     .help = "Longest time one request may take."}
#define FORM(type_) \
    {.name = "output", .type = TERN_OPT_ENUM, .offset = offsetof(struct type_, form), \
     .letter = 'o', .preset = "table", .values = output_forms, .section = "Output", \
     .help = "A table to read, or JSON for other programs."}

#define IN(field) .offset = offsetof(struct tern_models_options, field)
static const struct tern_opt models_rows[] = {
    URL(tern_models_options),
    {.name = "load", .type = TERN_OPT_LIST, IN(load), .metavar = "NAME[,NAME]",
     .section = "Action", .help = "Ask the server to load, or load again, these models."},
    {.name = "unload", .type = TERN_OPT_LIST, IN(unload), .metavar = "NAME[,NAME]",
     .section = "Action", .help = "Ask the server to unload these models."},
    {.name = "show_config", .type = TERN_OPT_BOOL, IN(config), .section = "Action",
     .help = "Print the configuration of the models that are named."},
    FORM(tern_models_options),
};
#undef IN

#define IN(field) .offset = offsetof(struct tern_schedule_options, field)
static const struct tern_opt schedule_rows[] = {
    URL(tern_schedule_options),
    {.name = "model_version", .type = TERN_OPT_UINT, IN(model_version), .preset = "0",
     .max = INT64_MAX, .section = "Server",
     .help = "Version of the model; 0 lets the server decide."},
    FORM(tern_schedule_options),
};
#undef IN

#define IN(field) .offset = offsetof(struct tern_bench_options, field)
static const struct tern_opt bench_rows[] = {
    URL(tern_bench_options),
    {.name = "model_version", .type = TERN_OPT_UINT, IN(model_version), .preset = "0",
     .max = INT64_MAX, .section = "Request",
     .help = "Version of the model; 0 lets the server decide."},
    {.name = "data", .type = TERN_OPT_STRING, IN(data), .letter = 'd', .metavar = "FILE",
     .section = "Request",
     .help = "Rows to send, in any form that `tern infer` reads; answers are compared with the "
             "recorded `outputs` of the file, if any. Made up from the metadata without it."},
    {.name = "batch", .type = TERN_OPT_UINT, IN(batch), .letter = 'b', .preset = "1", .min = 1,
     .max = 65536, .section = "Request", .help = "Rows in one request."},
    {.name = "binary", .type = TERN_OPT_BOOL, IN(binary), .section = "Request",
     .help = "Send and ask for raw tensors instead of JSON numbers."},
    {.name = "tolerance", .type = TERN_OPT_UINT, IN(tolerance_ppm), .preset = "0",
     .max = 1000000, .metavar = "PPM", .section = "Request",
     .help = "Difference allowed in real outputs, in millionths of the value; 0 takes what the "
             "data file says, or else 100."},
    {.name = "rate", .type = TERN_OPT_UINT, IN(rate), .letter = 'r', .preset = "0",
     .max = 100000000, .section = "Load",
     .help = "Requests a second, sent on time whether or not answers come, and measured from the "
             "moment they were due (open loop). 0 sends the next when the answer is there (closed "
             "loop)."},
    {.name = "connections", .type = TERN_OPT_UINT, IN(connections), .letter = 'c', .preset = "8",
     .min = 1, .max = 65536, .section = "Load",
     .help = "Connections in use. With a rate: at the start."},
    {.name = "connections_max", .type = TERN_OPT_UINT, IN(connections_max), .preset = "500",
     .max = 65536, .section = "Load",
     .help = "With a rate: how many connections may be opened when all of them wait for answers."},
    {.name = "poisson", .type = TERN_OPT_BOOL, IN(poisson), .section = "Load",
     .help = "With a rate: requests come by chance, as from many independent users, instead of in "
             "equal steps."},
    {.name = "seed", .type = TERN_OPT_UINT, IN(seed), .preset = "1", .max = INT64_MAX,
     .section = "Load", .help = "Of `poisson`: the same seed makes the same arrivals."},
    {.name = "slo", .type = TERN_OPT_DURATION, IN(slo_ns), .preset = "0", .max = 3600 * SEC,
     .section = "Load",
     .help = "Answers that take longer are late: they do not count as goodput. 0: none is late."},
    {.name = "threads", .type = TERN_OPT_UINT, IN(threads), .letter = 't', .preset = "1",
     .min = 1, .max = 256, .section = "Load", .help = "Threads that make the load."},
    {.name = "requests", .type = TERN_OPT_UINT, IN(requests), .letter = 'n', .preset = "0",
     .max = UINT64_MAX / 2, .section = "Load",
     .help = "Stop after this many requests; 0 goes by the duration alone."},
    {.name = "duration", .type = TERN_OPT_DURATION, IN(duration_ns), .preset = "10s",
     .min = 10 * MS, .max = 86400 * SEC, .section = "Load",
     .help = "Time that is measured; with `requests`, no limit unless it is given."},
    {.name = "warmup", .type = TERN_OPT_DURATION, IN(warmup_ns), .preset = "1s",
     .max = 3600 * SEC, .section = "Load", .help = "Time before that, under the same load."},
    {.name = "spin", .type = TERN_OPT_DURATION, IN(spin_ns), .preset = "20us", .max = 1 * SEC,
     .flags = TERN_OPT_ADVANCED, .section = "Load",
     .help = "With a rate: how long before a request is due the wait is busy instead of asleep."},
    {.name = "interval", .type = TERN_OPT_DURATION, IN(interval_ns), .preset = "0",
     .max = 3600 * SEC, .section = "Output",
     .help = "Also report, for each interval of this length, how many requests were due and how "
             "many were answered in time (JSON only). 0: not."},
    {.name = "pid", .type = TERN_OPT_UINT, IN(pid), .preset = "0", .max = INT32_MAX,
     .section = "Output",
     .help = "Process id of the server on this machine, to report its CPU time a request."},
    FORM(tern_bench_options),
};
#undef IN
/* clang-format on */

const struct tern_opt_table tern_models_options_table = {models_rows, TERN_COUNT_OF(models_rows),
                                                         sizeof(struct tern_models_options)};
const struct tern_opt_table tern_schedule_options_table = {
    schedule_rows, TERN_COUNT_OF(schedule_rows), sizeof(struct tern_schedule_options)};
const struct tern_opt_table tern_bench_options_table = {bench_rows, TERN_COUNT_OF(bench_rows),
                                                        sizeof(struct tern_bench_options)};
