/* What the files that read rows share. */
#ifndef TERN_CLI_ROWS_INT_H
#define TERN_CLI_ROWS_INT_H

#include "cli/rows.h"

struct tern_rows_reader {
    const struct tern_model_info *model;
    struct tern_arena *arena;
    struct tern_rows *rows;
};

/* Two dimensions make no row of a model that takes three, and the like: fits shape to what the
 * input takes, or says what it takes. */
enum tern_code tern_rows_fit(const struct tern_tensor_spec *spec, struct tern_shape *shape,
                             struct tern_err *err);
/* The model's one input; INVALID_ARGUMENT names them all when there are several. */
enum tern_code tern_rows_only_input(const struct tern_rows_reader *reader, const char *form,
                                    const struct tern_tensor_spec **ret, struct tern_err *err);
/* Makes that tensor the only input. */
enum tern_code tern_rows_set_input(struct tern_rows_reader *reader,
                                   const struct tern_tensor *tensor, struct tern_err *err);
void tern_rows_set_label(struct tern_rows_label *label, struct tern_str text);

/* rows_json.c, rows_csv.c */
enum tern_code tern_rows_read_json(struct tern_rows_reader *reader, struct tern_str text,
                                   struct tern_err *err);
enum tern_code tern_rows_read_csv(struct tern_rows_reader *reader, struct tern_str text,
                                  struct tern_err *err);

#endif
