/* Whether a model that was built answers as it does here, and how long that takes: random rows, of
 * which many lie where the model decides, through both. */
#ifndef TERN_CLI_EDGE_CHECK_H
#define TERN_CLI_EDGE_CHECK_H

#include "engine/native/emit.h"

struct tern_edge_check {
    const struct tern_native_emit *emit;
    const struct tern_native_emitted *emitted;
    const char *program;  /* the path of what was built */
    const char *emulator; /* that runs it; NULL: it runs here */
    const char *folder;   /* for files */
    struct tern_arena *arena;
};

struct tern_edge_found {
    uint32_t rows;
    uint64_t numbers, equal; /* answers, and those whose bits are the same */
    double largest;          /* difference */
    double largest_part;     /* of the answer's size */
    uint64_t p50_ns, p99_ns; /* of one row */
    uint64_t rss_bytes;
};

enum tern_code tern_edge_check(const struct tern_edge_check *check, struct tern_edge_found *ret,
                               struct tern_err *err);

#endif
