/* Answers against recorded ones, as examples/README.md defines: a float is right when it differs by
 * at most tolerance x max(1, |recorded|); everything else when it is equal. */
#ifndef TERN_CLI_COMPARE_H
#define TERN_CLI_COMPARE_H

#include "base/arena.h"
#include "cli/v2.h"

#define TERN_DIFFERENCES_SHOWN 5

struct tern_difference {
    struct tern_str output;
    size_t row;           /* SIZE_MAX: of the whole output */
    struct tern_str text; /* "0.25, recorded 0.75"; or what is missing */
};

struct tern_comparison {
    bool done;       /* there was something to compare with */
    bool *bad;       /* one a row; NULL when none is */
    size_t bad_rows; /* rows with a difference; more than 0 also when an output is missing */
    double largest;  /* relative difference of floats that are right */
    struct tern_difference shown[TERN_DIFFERENCES_SHOWN];
    uint32_t n_shown;
};

/* Everything lies in the arena. */
enum tern_code tern_compare(const struct tern_v2_tensors *answers,
                            const struct tern_v2_tensors *recorded, size_t rows, double tolerance,
                            struct tern_arena *arena, struct tern_comparison *ret,
                            struct tern_err *err);
/* "row 3, probabilities: 0.25, recorded 0.75" */
void tern_difference_print(const struct tern_difference *difference, struct tern_buf *out);

#endif
