#include "cli/explain_options.h"

#include "cli/subject.h"

static const char *const forms[] = {"table", "json", NULL};

/* clang-format off */
#define IN(field) .offset = offsetof(struct tern_explain_options, field)
static const struct tern_opt rows[] = {
    TERN_SUBJECT_ROWS(struct tern_explain_options, "60s"),
    {.name = "data", .type = TERN_OPT_STRING, IN(data), .letter = 'd', .metavar = "FILE",
     .section = "Data",
     .help = "Rows to explain as JSON, CSV or NPY, told apart by their content; - is the standard "
             "input. The same as the last argument."},
    {.name = "background", .type = TERN_OPT_STRING, IN(background), .letter = 'b',
     .metavar = "FILE", .section = "Explanation",
     .help = "Rows to compare with, in the same forms; `zeros` is a single row of zeros. Without "
             "it, background.npy of the model's folder."},
    {.name = "method", .type = TERN_OPT_STRING, IN(method), .preset = "auto", .metavar = "NAME",
     .section = "Explanation",
     .help = "auto, tree, tree_interventional, linear, kernel, permutation or importance."},
    {.name = "nsamples", .type = TERN_OPT_UINT, IN(nsamples), .max = INT64_MAX,
     .section = "Explanation",
     .help = "Coalitions of features (kernel) or orders of them (permutation, importance) that the "
             "model is asked about; 0 decides: 2 * features + 2048, 10, 5."},
    {.name = "seed", .type = TERN_OPT_UINT, IN(seed), .max = INT64_MAX, .section = "Explanation",
     .help = "Of what is drawn by chance: the same seed gives the same answer."},
    {.name = "interactions", .type = TERN_OPT_BOOL, IN(interactions), .section = "Explanation",
     .help = "(tree) Also how much pairs of features add together; printed as JSON."},
    {.name = "explained", .type = TERN_OPT_STRING, IN(output_name), .metavar = "OUTPUT",
     .section = "Explanation",
     .help = "Which output of the model; without it the raw score that exact methods explain, else "
             "the first one of real numbers."},
    {.name = "output", .type = TERN_OPT_ENUM, IN(form), .letter = 'o', .values = forms,
     .section = "Output", .help = "A waterfall to read, or JSON for other programs."},
    {.name = "class", .type = TERN_OPT_STRING, IN(class_), .letter = 'k', .metavar = "K",
     .section = "Output",
     .help = "Which element of the output is shown: its number, from 0 on; without it, the "
             "largest."},
    {.name = "top", .type = TERN_OPT_UINT, IN(top), .letter = 't', .preset = "10",
     .max = 1000000, .section = "Output",
     .help = "Features that have a bar of their own; the others share one. 0 shows all."},
    {.name = "limit", .type = TERN_OPT_UINT, IN(limit), .letter = 'n', .preset = "3",
     .max = 1000000000, .section = "Output", .help = "Rows that are shown; 0 shows all."},
};
/* clang-format on */

const struct tern_opt_table tern_explain_options_table = {rows, TERN_COUNT_OF(rows),
                                                          sizeof(struct tern_explain_options)};
