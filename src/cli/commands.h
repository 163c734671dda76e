/* The commands of the `tern` program: a table of names, arguments, options and help, and what finds
 * the right row, reads its options and runs it. `help`, `version` and `completion` are answered
 * from the same table; the others are given by main.c as functions. */
#ifndef TERN_CLI_COMMANDS_H
#define TERN_CLI_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "conf/opt.h"
#include "conf/problem.h"

/* What every command ends with; printed by `tern help exit-codes`. */
#define TERN_EXITS(X)                                                            \
    X(OK, 0, "it worked")                                                        \
    X(FAILED, 1, "it failed, or what was checked is wrong or differs")           \
    X(USAGE, 2, "the command line, the environment or tern.yaml has a mistake")  \
    X(UNREACHABLE, 3, "the server cannot be reached or does not answer in time") \
    X(BUSY, 4, "an address or a file that is needed is taken by another process")

enum tern_exit {
#define X(name, number, help) TERN_EXIT_##name = (number),
    TERN_EXITS(X)
#undef X
};

struct tern_command;

/* One run of a command. Everything lives until the function returns. */
struct tern_command_call {
    const struct tern_command *command;
    void *options; /* the struct of command->options, complete and checked; NULL: it has none */
    const struct tern_opt_load *load; /* where each option came from; NULL: it has none */
    const struct tern_str *args;      /* what is no option; each ends with a zero */
    uint32_t n_args;
    struct tern_arena *arena;
    /* What the options were read from, for a reload: without the program's and the command's name.
     */
    int argc;
    char *const *argv;
    char *const *environment;
};

typedef int tern_command_run(const struct tern_command_call *call);

struct tern_command {
    const char *name;
    const char *args; /* "PATH", as shown in usage; "" for none */
    uint32_t args_min, args_max;
    const char *summary;                  /* half a line */
    const char *help;                     /* paragraphs */
    const char *examples;                 /* lines to copy; may be NULL */
    const struct tern_opt_table *options; /* NULL: none */
    bool reads_file;                      /* of the server: tern.yaml and `config` count */
    bool hidden;
};

extern const struct tern_command tern_commands[];
extern const uint32_t tern_commands_n;

const struct tern_command *tern_command_find(struct tern_str name);

/* A function for a row of the table, by name. */
struct tern_command_row {
    const char *name;
    tern_command_run *run;
};

struct tern_commands_program {
    const struct tern_command_row *rows; /* one a command that is not answered here */
    uint32_t n;
    const char *version; /* what `tern version` prints; lines */
};

/* The whole of main(): answers the exit status. */
int tern_commands_main(const struct tern_commands_program *program, int argc, char *const *argv,
                       char *const *environment);

/* Reads the file, the environment and flags of the server into `options` (a tern_server_options)
 * and checks them: for main, and for a reload, which passes the same argv again. `load` and
 * `problems` are filled; the caller looks at the problems. */
void tern_commands_read_server(int argc, char *const *argv, char *const *environment, void *options,
                               struct tern_opt_load *load, struct tern_opt_rest *ret_rest,
                               struct tern_arena *arena, struct tern_problems *problems);

#endif
