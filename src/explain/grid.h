/* The tensors of a request as a table: rows of features, whatever inputs and datatypes they come
 * from. And rows that never came: mixtures of two, which the methods ask the model about. */
#ifndef TERN_EXPLAIN_GRID_H
#define TERN_EXPLAIN_GRID_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "core/model.h"
#include "core/tensor.h"

struct tern_grid_input {
    const struct tern_tensor *tensor;
    uint32_t spec;      /* its place among the model's inputs */
    uint32_t first;     /* feature */
    uint32_t n;         /* features, which are elements of a row */
    size_t size;        /* of an element; 0: BYTES */
    const size_t *ends; /* BYTES: where each element ends */
};

struct tern_grid {
    struct tern_grid_input *inputs; /* by rising spec */
    uint32_t n_inputs;
    uint32_t n_features;
    uint32_t n_rows;
    bool is_batch; /* the model takes many rows at once */
};

/* The tensors were checked against the model (core/inputs.h) and are borrowed; spec_of says which
 * input each is. Without a batch dimension there is one row. */
enum tern_code tern_grid_init(struct tern_grid *grid, const struct tern_model_info *info,
                              const struct tern_tensor *tensors, const uint32_t *spec_of,
                              uint32_t n, struct tern_arena *arena, struct tern_err *err);
/* Zeros (empty texts, false) in the shape of one row of another one. */
enum tern_code tern_grid_zeros(struct tern_grid *grid, const struct tern_grid *like,
                               struct tern_arena *arena, struct tern_err *err);
/* INVALID_ARGUMENT unless it has the inputs, datatypes and shapes of `like`. */
enum tern_code tern_grid_check_like(const struct tern_grid *grid, const struct tern_grid *like,
                                    const struct tern_model_info *info, struct tern_err *err);
/* Whether that feature is the same, bit by bit, in a row of each. */
bool tern_grid_equal(const struct tern_grid *a, uint32_t row_a, const struct tern_grid *b,
                     uint32_t row_b, uint32_t feature);

/* Rows in the making. */
struct tern_mix {
    const struct tern_grid *grid;
    struct tern_tensor *tensors; /* one a grid's input */
    uint32_t *specs;
    struct tern_buf *texts; /* one a grid's input, for BYTES */
    uint32_t n;
};

enum tern_code tern_mix_init(struct tern_mix *mix, const struct tern_grid *grid,
                             struct tern_arena *arena, struct tern_err *err);
void tern_mix_fini(struct tern_mix *mix);
/* Room for so many rows; what was made before is gone. */
enum tern_code tern_mix_begin(struct tern_mix *mix, uint32_t cap, struct tern_arena *arena,
                              struct tern_err *err);
/* One more row: `row` of `under`, with the listed features (ascending) from `over`. */
void tern_mix_add(struct tern_mix *mix, const struct tern_grid *under, uint32_t row,
                  const struct tern_grid *over, uint32_t over_row, const uint32_t *features,
                  uint32_t n_features);
/* The tensors have their shapes and bytes. */
enum tern_code tern_mix_end(struct tern_mix *mix, struct tern_err *err);

#endif
