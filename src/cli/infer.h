/* `tern infer`: rows of data through a model, from the shell; against a server, or in this process
 * on a model's files. Here is what the files of the command share.
 *
 *     infer.c          the command: where the model is, which data, what to print
 *     infer_local.c    a model loaded in this process
 *     infer_remote.c   a model behind a server
 *     infer_report.c   answers as a table, with what the labels say */
#ifndef TERN_CLI_INFER_H
#define TERN_CLI_INFER_H

#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/infer_options.h"
#include "cli/rows.h"

struct tern_model_version;
struct tern_remote;

/* The command, for main.c. */
int tern_infer_run(const struct tern_command_call *call);

/* A model that can be asked. Opened by one of the two below; `close` frees it. */
struct tern_infer_model {
    struct tern_model_info info; /* lives as long as the model */
    struct tern_labels labels;   /* of the classes, from a label file; n == 0: there is none */
    enum tern_code (*run)(struct tern_infer_model *self, const struct tern_v2_tensors *inputs,
                          struct tern_arena *arena, struct tern_v2_answer *ret,
                          struct tern_err *err);
    void (*close)(struct tern_infer_model *self);
    void *state;
    struct tern_model_version *version; /* of one in this process; else NULL ... */
    struct tern_remote *remote;         /* ... and where the other is */
    bool unreachable; /* the last error was of the way to the server, not of its answer */
};

/* `path`: a model file, a model's folder, or a repository; options->model chooses in it. */
enum tern_code tern_infer_open_local(const char *path, const struct tern_infer_options *options,
                                     struct tern_arena *arena, struct tern_infer_model *ret,
                                     struct tern_err *err);
/* `url` may end in /v2/models/NAME[/versions/N]. */
enum tern_code tern_infer_open_remote(struct tern_str url, const struct tern_infer_options *options,
                                      struct tern_arena *arena, struct tern_infer_model *ret,
                                      struct tern_err *err);

/* ---- the report ---- */

struct tern_infer_report {
    const struct tern_infer_options *options;
    const struct tern_infer_model *model;
    const struct tern_rows *rows;
    const struct tern_v2_answer *answer;
    const struct tern_comparison *comparison;
    struct tern_arena *arena;
    bool colour;
    uint64_t took_ns;
};

void tern_infer_print_table(const struct tern_infer_report *report, struct tern_buf *out);
/* What was found: accuracy or error, and the comparison. */
void tern_infer_print_summary(const struct tern_infer_report *report, struct tern_buf *out);

#endif
