/* What a step's state consists of: itself, and the memory that it points to, as blocks of bytes. So
 * a program can be written down (emit.h) by someone who knows no operator.
 *
 * An operator names the pointers of its state, and those of what they lead to, in its `points`;
 * everything else in a state is copied byte for byte:
 *
 *     static void scaler_points(const void *state, struct tern_state *to)
 *     {
 *         const struct scaler *scaler = state;
 *
 *         tern_state_cells(to, &scaler->scale, TERN_DTYPE_FP32, scaler->n);
 *         tern_state_cells(to, &scaler->offset, TERN_DTYPE_FP32, scaler->n);
 *     } */
#ifndef TERN_ENGINE_NATIVE_STATE_H
#define TERN_ENGINE_NATIVE_STATE_H

#include "base/arena.h"
#include "engine/native/program.h"
#include "forest/forest.h"

#define TERN_STATE_BLOCKS_MAX (1u << 25)

struct tern_state_block {
    const char *from;
    size_t n_bytes;
    enum tern_dtype dtype; /* of cells (BYTES: tern_str); INVALID: some struct, or a text */
    uint32_t parent; /* block that points to it, which comes before it; of the first: itself */
    size_t at;       /* where the pointer is in the parent */
    bool has_pointers;
    const struct tern_forest *forest; /* it is one: written by forest/emit.h; else NULL */
};

struct tern_state {
    struct tern_state_block *blocks; /* the first is the state itself */
    uint32_t n, cap;
    uint32_t parent; /* the last that was pointed from */
    struct tern_arena *arena;
    struct tern_err *err;
    enum tern_code code;
};

/* The blocks of a step's state, in the arena; none where it has no state. UNIMPLEMENTED: the
 * operator is not to be written down. */
enum tern_code tern_state_read(const struct tern_step *step, struct tern_arena *arena,
                               struct tern_state *ret_state, struct tern_err *err);

/* ---- for operators ---- */

/* `pointer` is the address of a pointer, in the state or in what an earlier call named; it leads to
 * so many bytes. */
void tern_state_points(struct tern_state *state, const void *pointer, size_t n_bytes);
/* ... to so many numbers; BYTES: to tern_str, with their texts. */
void tern_state_cells(struct tern_state *state, const void *pointer, enum tern_dtype dtype,
                      size_t n);
/* ... to a forest; from the state itself only. */
void tern_state_forest(struct tern_state *state, const struct tern_forest *const *pointer);

#endif
