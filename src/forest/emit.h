/* Writes a compiled forest as C: constant arrays and a constant struct, so that a program that
 * holds one model reads nothing at its start (`tern build-edge`). What only this machine has (heads
 * for its vector instructions) is left out, and so is what only explanations need. */
#ifndef TERN_FOREST_EMIT_H
#define TERN_FOREST_EMIT_H

#include "base/arena.h"
#include "base/buf.h"
#include "forest/forest.h"

/* The forest as it will be there: the same trees without heads, and with values as halves row by
 * row, since only there halves are read. Borrows the arrays of `forest`; in the arena. */
enum tern_code tern_forest_bare(const struct tern_forest *forest, bool halves,
                                struct tern_arena *arena, const struct tern_forest **ret_bare,
                                struct tern_err *err);

/* Defines `static const struct tern_forest <name>`, for a file that includes forest/forest_int.h
 * and math.h. halves: values are stored as halves, for a build with TERN_FOREST_HALVES. Answers the
 * bytes of the constants. A full buffer is the caller's to find. */
size_t tern_forest_emit(const struct tern_forest *bare, const char *name, bool halves,
                        struct tern_buf *out);

/* The number-th cut, or category, that the forest asks of that feature, counted around; false: it
 * asks for none. For rows that try a copy of the forest where it decides. */
bool tern_forest_cut(const struct tern_forest *forest, uint32_t feature, uint64_t number,
                     double *ret);

#endif
