/* Random rows that a model takes, and what it answers: numbers and texts of which many are those
 * by which the model decides. */
#ifndef TERN_CLI_EDGE_ROWS_H
#define TERN_CLI_EDGE_ROWS_H

#include "engine/native/emit.h"

/* Row i is the tensors inputs[i * n_inputs ...], one row each; its answer answers[i]. */
struct tern_edge_rows {
    uint32_t n;
    uint32_t n_inputs;
    struct tern_tensor *inputs;
    struct tern_tensor *answers;
};

/* At most `most` rows, fewer when they have many columns; `ports`: what the program takes. All lie
 * in emit->arena. INVALID_ARGUMENT when the model takes none of those that were tried. */
enum tern_code tern_edge_rows_make(const struct tern_native_emit *emit,
                                   const struct tern_native_emitted *ports, uint32_t most,
                                   struct tern_edge_rows *ret, struct tern_err *err);
/* As CSV, for what was built. */
void tern_edge_rows_print(const struct tern_edge_rows *rows, struct tern_buf *out);
/* What a program answers to inputs of one row, or of several; in `arena`. */
enum tern_code tern_edge_rows_answer(const struct tern_native_emit *emit,
                                     const struct tern_tensor *inputs, struct tern_arena *arena,
                                     struct tern_tensor *ret_answer, struct tern_err *err);
/* An element of a text as CSV has it. */
void tern_edge_rows_print_text(struct tern_buf *out, struct tern_str text);

#endif
