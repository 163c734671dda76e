/* Other programs that `tern build-edge` runs: compilers and what comes with them, and what they
 * made. Blocking; one thread at a time. */
#ifndef TERN_CLI_EDGE_TOOLS_H
#define TERN_CLI_EDGE_TOOLS_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define TERN_EDGE_WORDS_MAX 256

/* A command line in the making. */
struct tern_edge_command {
    const char *words[TERN_EDGE_WORDS_MAX + 1];
    uint32_t n;
};

/* "<folder>/<name>" of the first folder of PATH that has it; a name with a slash is itself. NULL:
 * there is none. */
const char *tern_edge_find(struct tern_arena *arena, const char *name);
/* A word; too many of them show when it is run. */
void tern_edge_word(struct tern_edge_command *command, const char *word);
/* Several words, between spaces. */
void tern_edge_words(struct tern_edge_command *command, struct tern_arena *arena,
                     struct tern_str words);
/* Runs it and waits. ret_output: what it printed, in the arena, at most 16 MiB of it. INTERNAL
 * when it fails, with the last lines that it printed. `log`: a file that may be overwritten. */
enum tern_code tern_edge_call(struct tern_edge_command *command, const char *log,
                              struct tern_arena *arena, struct tern_str *ret_output,
                              struct tern_err *err);

/* What an ELF file of 64 bits and little ends takes in memory. */
struct tern_edge_sizes {
    uint64_t file;
    uint64_t code; /* instructions */
    uint64_t data; /* constants and variables */
    uint64_t zero; /* memory that begins as zeros */
};
enum tern_code tern_edge_sizes(const char *path, struct tern_edge_sizes *ret, struct tern_err *err);

#endif
