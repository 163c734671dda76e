#include "cli/build_edge_options.h"

static const char *const kinds[] = {"binary", "shared", "static", "source", NULL};
static const char *const targets[] = {"here", "x86-64", "arm64", NULL};
static const char *const values[] = {"full", "half", NULL};
static const char *const forms[] = {"table", "json", NULL};

/* clang-format off */
#define IN(field) .offset = offsetof(struct tern_build_edge_options, field)
static const struct tern_opt rows[] = {
    {.name = "model", .type = TERN_OPT_STRING, IN(model), .letter = 'm', .metavar = "NAME",
     .section = "Model", .help = "Which model of a repository; not needed where there is only one."},
    {.name = "model_version", .type = TERN_OPT_UINT, IN(model_version), .max = INT64_MAX,
     .section = "Model", .help = "Which version of it; 0 takes the highest that is served."},
    {.name = "answer", .type = TERN_OPT_STRING, IN(answer), .metavar = "OUTPUT",
     .section = "Model",
     .help = "Which output of the model is computed; without it the last one that is numbers."},
    {.name = "kind", .type = TERN_OPT_ENUM, IN(kind), .letter = 'k', .preset = "binary",
     .values = kinds, .section = "Build",
     .help = "A static program, a shared or a static library with its C header, or the sources "
             "with a Makefile."},
    {.name = "target", .type = TERN_OPT_ENUM, IN(target), .letter = 't', .preset = "here",
     .values = targets, .section = "Build", .help = "The processor; without it, this machine's."},
    {.name = "cc", .type = TERN_OPT_STRING, IN(cc), .metavar = "COMMAND", .section = "Build",
     .help = "The C compiler, gcc or clang; without it cc, or for the other target "
             "aarch64-linux-gnu-gcc or x86_64-linux-gnu-gcc."},
    {.name = "out", .type = TERN_OPT_STRING, IN(out), .metavar = "FOLDER", .preset = ".",
     .section = "Build", .help = "Where the files are written; it has to be there."},
    {.name = "name", .type = TERN_OPT_STRING, IN(name), .metavar = "NAME", .section = "Build",
     .help = "What files and functions are called; without it, the model's name."},
    {.name = "rows", .type = TERN_OPT_UINT, IN(rows), .preset = "64", .min = 1, .max = 512,
     .section = "Build",
     .help = "Most rows that are run at once: fewer need less memory, and 64 or more take trees "
             "faster."},
    {.name = "values", .type = TERN_OPT_ENUM, IN(values), .preset = "full",
     .values = values,
     .section = "Build",
     .help = "`half`: the values of leaves as 16-bit floats; the largest difference that was found "
             "is printed."},
    {.name = "prune", .type = TERN_OPT_STRING, IN(prune), .metavar = "AMOUNT", .section = "Prune",
     .help = "By how much the sum of the trees may change, such as 0.01: sub-trees that make little "
             "difference become leaves."},
    {.name = "trees", .type = TERN_OPT_UINT, IN(trees), .max = UINT32_MAX, .section = "Prune",
     .help = "Only the first N trees of a boosted model; 0 takes all. For K classes, N is a "
             "multiple of K."},
    {.name = "data", .type = TERN_OPT_STRING, IN(data), .letter = 'd', .metavar = "FILE",
     .section = "Prune",
     .help = "Rows as JSON, CSV or NPY, as `tern infer` takes them: how much the answers to them "
             "change is printed."},
    {.name = "output", .type = TERN_OPT_ENUM, IN(form), .letter = 'o', .preset = "table",
     .values = forms, .section = "Output", .help = "A table to read, or JSON for other programs."},
};
/* clang-format on */

const struct tern_opt_table tern_build_edge_options_table = {
    rows, TERN_COUNT_OF(rows), sizeof(struct tern_build_edge_options)};
