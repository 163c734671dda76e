/* Whether a model that was built answers as it does here, and how long that takes. */
#ifndef TERN_CLI_EDGE_CHECK_H
#define TERN_CLI_EDGE_CHECK_H

#include "cli/edge_rows.h"

struct tern_edge_check {
    const struct tern_native_emitted *emitted;
    const struct tern_edge_rows *rows;
    const char *program;  /* the path of what was built */
    const char *emulator; /* that runs it; NULL: it runs here */
    const char *folder;   /* for files */
    struct tern_arena *arena;
};

struct tern_edge_found {
    uint32_t rows;
    uint64_t numbers, equal; /* answers, and those whose bits are the same */
    double largest;          /* difference; infinite for texts */
    double largest_part;     /* of the answer's size */
    uint64_t p50_ns, p99_ns; /* of one row */
    uint64_t rss_bytes;
};

enum tern_code tern_edge_check(const struct tern_edge_check *check, struct tern_edge_found *ret,
                               struct tern_err *err);

#endif
