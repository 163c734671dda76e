#include "cli/infer_options.h"

#include "cli/subject.h"

static const char *const forms[] = {"table", "json", "npy", NULL};

/* clang-format off */
#define IN(field) .offset = offsetof(struct tern_infer_options, field)
static const struct tern_opt rows[] = {
    TERN_SUBJECT_ROWS(struct tern_infer_options, "30s"),
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
