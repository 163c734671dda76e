/* `tern build-edge`: one model as a program or a library of its own. Here is what the files of the
 * command share.
 *
 *     build_edge.c         the command: which model, and what happens in which order
 *     build_edge_prune.c   a model with fewer nodes
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
#include "forest/prune.h"

struct tern_model_version;

#define TERN_EDGE_FILES_MAX 4

/* The command, for main.c. */
int tern_build_edge_run(const struct tern_command_call *call);

/* What became of the model's trees, and of its answers. */
struct tern_edge_pruning {
    struct tern_forest_pruned forest;
    bool is_asked; /* else no answer is another */
    const struct tern_program *original;
    const char *data; /* the file of the rows; NULL: they are random */
    uint32_t n_rows;
    uint64_t n_numbers;
    double largest, sum; /* of all differences; of texts: whether they differ */
    /* The same as it would be without, where it was built for comparison. */
    bool has_before;
    struct tern_native_emitted emitted;
    struct tern_edge_found found;
};

struct tern_build_edge {
    const struct tern_build_edge_options *options;
    struct tern_arena *arena;
    struct tern_native_emit emit;
    struct tern_native_emitted emitted;
    struct tern_edge_rows rows; /* that the model takes, and what it answers */
    struct tern_buf source, header;
    struct tern_edge_pruning pruning;
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

/* The smaller model takes the place of the one that was loaded. */
enum tern_code tern_build_edge_prune(struct tern_build_edge *build, struct tern_err *err);
/* What it answers to the random rows, and how far off that is. */
enum tern_code tern_build_edge_answer_again(struct tern_build_edge *build, struct tern_err *err);
/* How far off it is for the rows of --data. */
enum tern_code tern_build_edge_compare_data(struct tern_build_edge *build,
                                            const struct tern_model_version *version,
                                            struct tern_err *err);
/* Whether there is a compiler for the target, and what it is called. */
enum tern_code tern_build_edge_find_cc(struct tern_build_edge *build, struct tern_err *err);
/* Writes the sources into the scratch folder and makes the object and the program there. */
enum tern_code tern_build_edge_compile(struct tern_build_edge *build, struct tern_err *err);
/* Writes the files that were asked for. */
enum tern_code tern_build_edge_write(struct tern_build_edge *build, struct tern_err *err);

void tern_build_edge_print(const struct tern_build_edge *build, struct tern_buf *out);

#endif
