/* `tern build-edge`: one model as a program or a library of its own. Here is what the files of the
 * command share.
 *
 *     build_edge.c         the command: which model, and what happens in which order
 *     build_edge_cc.c      the sources, and what a compiler makes of them
 *     build_edge_report.c  what was made, as a table or JSON
 *     edge_rows.c          random rows that the model takes
 *     edge_check.c         whether it answers them as the model does here
 *     edge_pack.c          the sources that the program carries
 *     edge_tools.c         running other programs */
#ifndef TERN_CLI_BUILD_EDGE_H
#define TERN_CLI_BUILD_EDGE_H

#include "cli/build_edge_options.h"
#include "cli/commands.h"
#include "cli/edge_check.h"
#include "cli/edge_tools.h"

#define TERN_EDGE_FILES_MAX 4

/* The command, for main.c. */
int tern_build_edge_run(const struct tern_command_call *call);

struct tern_build_edge {
    const struct tern_build_edge_options *options;
    struct tern_arena *arena;
    struct tern_native_emit emit;
    struct tern_native_emitted emitted;
    struct tern_edge_rows rows; /* that the model takes, and what it answers */
    struct tern_buf source, header;
    const char *folder; /* scratch: sources, objects */
    struct tern_str sources;
    bool is_foreign;      /* the target is not this machine's processor */
    const char *cc;       /* path of the compiler */
    const char *emulator; /* path; NULL: none is needed, or there is none */
    const char *object;   /* the model and what runs it */
    const char *program;
    struct tern_edge_sizes object_sizes;
    const char *files[TERN_EDGE_FILES_MAX]; /* that were written for the user */
    struct tern_edge_sizes sizes[TERN_EDGE_FILES_MAX];
    uint32_t n_files;
    bool was_run;
    struct tern_edge_found found;
};

/* Whether there is a compiler for the target, and what it is called. */
enum tern_code tern_build_edge_find_cc(struct tern_build_edge *build, struct tern_err *err);
/* Writes the sources into the scratch folder and makes the object and the program there. */
enum tern_code tern_build_edge_compile(struct tern_build_edge *build, struct tern_err *err);
/* Writes the files that were asked for. */
enum tern_code tern_build_edge_write(struct tern_build_edge *build, struct tern_err *err);

void tern_build_edge_print(const struct tern_build_edge *build, struct tern_buf *out);

#endif
