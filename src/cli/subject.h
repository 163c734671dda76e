/* Which model a command is about, on a server or by its files: the rows that infer and explain
 * share. Their structs have the fields url, timeout_ns, model, model_version and library. */
#ifndef TERN_CLI_SUBJECT_H
#define TERN_CLI_SUBJECT_H

#include "base/clock.h"
#include "conf/opt.h"

/* clang-format off */
#define TERN_SUBJECT_ROWS(type_, timeout_)                                                         \
    {.name = "url", .type = TERN_OPT_STRING, .offset = offsetof(type_, url), .letter = 'u',        \
     .metavar = "URL", .section = "Model",                                                         \
     .help = "Ask this server: http://HOST:PORT, HOST:PORT or unix:PATH. Without it, the model's " \
             "files are run in this process."},                                                    \
    {.name = "timeout", .type = TERN_OPT_DURATION, .offset = offsetof(type_, timeout_ns),          \
     .preset = (timeout_), .min = TERN_NS_PER_MS, .max = 86400ull * TERN_NS_PER_S,                 \
     .section = "Model", .help = "Longest time one request to the server may take."},              \
    {.name = "model", .type = TERN_OPT_STRING, .offset = offsetof(type_, model), .letter = 'm',    \
     .metavar = "NAME", .section = "Model",                                                        \
     .help = "Which model; not needed where there is only one."},                                  \
    {.name = "model_version", .type = TERN_OPT_UINT, .offset = offsetof(type_, model_version),     \
     .max = INT64_MAX, .section = "Model",                                                         \
     .help = "Which version of it; 0 takes the highest that is served."},                          \
    {.name = "engine.onnxruntime.library", .type = TERN_OPT_STRING,                                \
     .offset = offsetof(type_, library), .metavar = "FILE", .section = "Model",                    \
     .help = "ONNX Runtime's library; searched for without it."}
/* clang-format on */

#endif
