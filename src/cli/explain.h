/* `tern explain`: what each feature of a row adds to a model's prediction; asked of a server, or in
 * this process on a model's files. Here is what the files of the command share.
 *
 *     explain.c          the command
 *     explain_local.c    a model loaded in this process
 *     explain_remote.c   a model behind a server
 *     explain_report.c   waterfalls, and JSON */
#ifndef TERN_CLI_EXPLAIN_H
#define TERN_CLI_EXPLAIN_H

#include "cli/commands.h"
#include "cli/explain_options.h"
#include "cli/infer.h"
#include "core/explain.h"

/* The command, for main.c. */
int tern_explain_run(const struct tern_command_call *call);

struct tern_explain_question {
    const struct tern_explain_options *options;
    struct tern_infer_model *model;
    const struct tern_rows *rows;
    struct tern_v2_tensors background; /* n == 0: options->background says which */
    struct tern_arena *arena;          /* of the answer */
};

enum tern_code tern_explain_ask_local(const struct tern_explain_question *question,
                                      struct tern_explain_answer *ret, struct tern_err *err);
enum tern_code tern_explain_ask_remote(const struct tern_explain_question *question,
                                       struct tern_explain_answer *ret, struct tern_err *err);

struct tern_explain_report {
    const struct tern_explain_options *options;
    const struct tern_model_info *info;
    const struct tern_rows *rows;
    const struct tern_explain_answer *answer;
    struct tern_arena *arena;
    bool colour; /* and bars: a terminal is there */
};

/* INVALID_ARGUMENT: there is no such class. */
enum tern_code tern_explain_print(const struct tern_explain_report *report, struct tern_buf *out,
                                  struct tern_err *err);
void tern_explain_print_json(const struct tern_explain_report *report, struct tern_buf *out);

#endif
