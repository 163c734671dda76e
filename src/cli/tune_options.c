#include "cli/tune_options.h"

#include "base/clock.h"

#define MS  ((uint64_t)TERN_NS_PER_MS)
#define SEC ((uint64_t)TERN_NS_PER_S)

static const char *const forms[] = {"table", "json", NULL};

/* clang-format off */
#define IN(field) .offset = offsetof(struct tern_tune_options, field)
static const struct tern_opt rows[] = {
    {.name = "slo", .type = TERN_OPT_DURATION, IN(slo_ns), .letter = 's', .preset = "0",
     .max = 3600 * SEC, .section = "Goal",
     .help = "99 % of the answers have to be there in this time. 0: ten times what one request "
             "takes alone, at least 10 ms, as the server itself assumes."},
    {.name = "rate", .type = TERN_OPT_UINT, IN(rate), .letter = 'r', .preset = "0",
     .max = 100000000, .section = "Goal",
     .help = "Compare the 99th percentiles at this many requests a second. 0: look for the "
             "greatest rate within the SLO."},
    {.name = "quick", .type = TERN_OPT_BOOL, IN(quick), .letter = 'q', .section = "Effort",
     .help = "Fewer settings, fewer and shorter looks: a first impression."},
    {.name = "duration", .type = TERN_OPT_DURATION, IN(duration_ns), .preset = "10s",
     .min = 100 * MS, .max = 3600 * SEC, .section = "Effort",
     .help = "How long the last settings are measured at each rate; the others an eighth to a half "
             "of it, all a quarter with `quick`."},
    {.name = "instances", .type = TERN_OPT_UINT, IN(instances), .preset = "0", .max = 1024,
     .section = "Effort",
     .help = "Most instances that are tried. 0: one a core, two when the model hardly uses the "
             "processor. 1: none are."},
    {.name = "data", .type = TERN_OPT_STRING, IN(data), .letter = 'd', .metavar = "FILE",
     .section = "Request",
     .help = "Rows to send, in any form that `tern infer` reads. Made up without it."},
    {.name = "batch", .type = TERN_OPT_UINT, IN(batch), .letter = 'b', .preset = "1", .min = 1,
     .max = 65536, .section = "Request", .help = "Rows in one request."},
    {.name = "binary", .type = TERN_OPT_BOOL, IN(binary), .section = "Request",
     .help = "Send and ask for raw tensors instead of JSON numbers."},
    {.name = "tolerance", .type = TERN_OPT_UINT, IN(tolerance_ppm), .preset = "0",
     .max = 1000000, .metavar = "PPM", .section = "Request",
     .help = "Difference allowed in real outputs, in millionths of the value; 0 takes what the "
             "data file says, or else 100."},
    {.name = "seed", .type = TERN_OPT_UINT, IN(seed), .preset = "1", .max = INT32_MAX,
     .section = "Request", .help = "The same seed makes the same arrivals."},
    {.name = "timeout", .type = TERN_OPT_DURATION, IN(timeout_ns), .preset = "120s",
     .min = 1 * MS, .max = 86400 * SEC, .section = "Server",
     .help = "Longest time that loading the model, or one request, may take."},
    {.name = "engine.onnxruntime.library", .type = TERN_OPT_STRING, IN(library), .metavar = "FILE",
     .section = "Server", .help = "ONNX Runtime's library; searched for without it."},
    {.name = "output", .type = TERN_OPT_ENUM, IN(form), .letter = 'o', .preset = "table",
     .values = forms, .section = "Output", .help = "A table to read, or JSON for other programs."},
};
/* clang-format on */

const struct tern_opt_table tern_tune_options_table = {rows, TERN_COUNT_OF(rows),
                                                       sizeof(struct tern_tune_options)};
