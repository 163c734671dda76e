#include "cli/infer_options.h"

#include "base/clock.h"

static const char *const forms[] = {"table", "json", "npy", NULL};

/* clang-format off */
#define IN(field) .offset = offsetof(struct tern_infer_options, field)
static const struct tern_opt rows[] = {
    {.name = "url", .type = TERN_OPT_STRING, IN(url), .letter = 'u', .metavar = "URL",
     .section = "Model",
     .help = "Ask this server: http://HOST:PORT, HOST:PORT or unix:PATH. Without it, the model's "
             "files are run in this process."},
    {.name = "timeout", .type = TERN_OPT_DURATION, IN(timeout_ns), .preset = "30s",
     .min = TERN_NS_PER_MS, .max = 86400ull * TERN_NS_PER_S, .section = "Model",
     .help = "Longest time one request to the server may take."},
    {.name = "model", .type = TERN_OPT_STRING, IN(model), .letter = 'm', .metavar = "NAME",
     .section = "Model", .help = "Which model; not needed where there is only one."},
    {.name = "model_version", .type = TERN_OPT_UINT, IN(model_version), .max = INT64_MAX,
     .section = "Model", .help = "Which version of it; 0 takes the highest that is served."},
    {.name = "engine.onnxruntime.library", .type = TERN_OPT_STRING, IN(library), .metavar = "FILE",
     .section = "Model", .help = "ONNX Runtime's library; searched for without it."},
    {.name = "data", .type = TERN_OPT_STRING, IN(data), .letter = 'd', .metavar = "FILE",
     .section = "Data",
     .help = "Rows as JSON, CSV or NPY, told apart by their content; - is the standard input. The "
             "same as the last argument."},
    {.name = "batch", .type = TERN_OPT_UINT, IN(batch), .letter = 'b', .max = 1000000,
     .section = "Data",
     .help = "Rows in one run; 0 puts as many together as the model takes."},
    {.name = "output", .type = TERN_OPT_ENUM, IN(form), .letter = 'o', .values = forms,
     .section = "Output",
     .help = "A table to read; the answer as JSON; or the first output as NPY."},
    {.name = "limit", .type = TERN_OPT_UINT, IN(limit), .letter = 'n', .preset = "10",
     .max = 1000000000, .section = "Output",
     .help = "Rows that the table shows; 0 shows all. All rows are run and counted."},
};
/* clang-format on */

const struct tern_opt_table tern_infer_options_table = {rows, TERN_COUNT_OF(rows),
                                                        sizeof(struct tern_infer_options)};
