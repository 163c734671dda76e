/* Rows of data from a file, a pipe or the standard input, as tensors that a model takes. The form
 * is recognised by the content, not by the name:
 *
 *   JSON   a request body of the Open Inference Protocol ({"inputs": [...]}); the example files,
 *          which add answers and labels to it (examples/README.md); or, for a model with one input
 *          of numbers, a nested array, bare or as {"instances": ...}
 *   CSV    a line for each row, with or without a line of column names. One input: its features in
 *          order, or columns of their names. Several: columns of their names, or all features in
 *          the model's order. Where a float should be and nothing is, it is NaN. A column "label",
 *          "target" or "class" that no input wants holds the truth.
 *   NPY    for a model with one input
 *
 * Numbers are converted to the model's type when they fit it. A single row may lack the batch
 * dimension, and rows may be flat where the model takes more dimensions. */
#ifndef TERN_CLI_ROWS_H
#define TERN_CLI_ROWS_H

#include "base/arena.h"
#include "cli/v2.h"
#include "core/model.h"

#define TERN_ROWS_BYTES_MAX (1u << 30) /* of the file */
#define TERN_ROWS_TOLERANCE 1e-4       /* when the file says nothing */

struct tern_rows_label {
    struct tern_str text; /* as it was written */
    double number;        /* NaN: it is none */
};

struct tern_rows {
    struct tern_v2_tensors inputs;
    size_t n; /* rows: the first dimension of every input */
    struct tern_rows_label *labels;
    size_t n_labels; /* 0, or n */
    struct tern_str *label_names;
    size_t n_label_names;
    bool regression;          /* the file says so: labels are values */
    double tolerance;         /* of recorded outputs */
    struct tern_str recorded; /* "outputs" as JSON, by version; p == NULL: none */
};

/* path "-": the standard input. Everything lies in the arena, or is tied to it. tern_rows_read is
 * load and parse in one; in two, the file can say which model it is for. */
enum tern_code tern_rows_load(const char *path, struct tern_arena *arena, struct tern_str *ret,
                              struct tern_err *err);
enum tern_code tern_rows_parse(const char *path, struct tern_str text,
                               const struct tern_model_info *model, struct tern_arena *arena,
                               struct tern_rows *ret, struct tern_err *err);
enum tern_code tern_rows_read(const char *path, const struct tern_model_info *model,
                              struct tern_arena *arena, struct tern_rows *ret,
                              struct tern_err *err);
/* The "model" of an example file; empty: it names none. */
struct tern_str tern_rows_model(struct tern_str text, struct tern_arena *arena);
/* The answers that the file has for that version; n == 0: none. */
enum tern_code tern_rows_recorded(const struct tern_rows *rows, struct tern_str version,
                                  struct tern_arena *arena, struct tern_v2_tensors *ret,
                                  struct tern_err *err);

#endif
