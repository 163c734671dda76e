/* Elements that are moved and never looked at. Numbers are moved as they are; a BYTES tensor, whose
 * elements have all lengths, is first made an array of slices, and packed again when its elements
 * are in place. */
#ifndef TERN_ENGINE_NATIVE_OP_CELLS_H
#define TERN_ENGINE_NATIVE_OP_CELLS_H

#include "engine/native/program.h"

/* Bytes of a cell: the element's size, or that of a tern_str. */
size_t tern_op_cells_size(enum tern_dtype dtype);
/* The tensor's own data, or slices of it in the arena. */
enum tern_code tern_op_cells_of(const struct tern_tensor *tensor, struct tern_arena *arena,
                                const void **ret_cells, struct tern_err *err);
/* Room for the cells of an output: the output itself, or slices in the arena. */
enum tern_code tern_op_cells_room(const struct tern_step *step, struct tern_program_run *run,
                                  uint32_t i, const struct tern_shape *shape, void **ret_cells,
                                  struct tern_err *err);
/* To be called when all cells are set. */
enum tern_code tern_op_cells_done(const struct tern_step *step, struct tern_program_run *run,
                                  uint32_t i, const struct tern_shape *shape, const void *cells,
                                  struct tern_err *err);
/* dst[i] = src[i * step], cells of that size. A step may go backwards: it wraps around. */
void tern_op_cells_copy(void *dst, const void *src, size_t step, size_t n, size_t size);

#endif
