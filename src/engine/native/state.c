#include "engine/native/state.h"

#include <string.h>
#include "base/str.h"

#define FIRST 8

static const char *value_of(const void *pointer)
{
    const char *to;

    memcpy(&to, pointer, sizeof(to));
    return to;
}

static bool room(struct tern_state *state)
{
    if (state->n < state->cap)
        return true;
    uint32_t cap = state->cap == 0 ? FIRST : 2 * state->cap;
    struct tern_state_block *grown = NULL;
    if (cap <= TERN_STATE_BLOCKS_MAX)
        grown = tern_arena_zalloc(state->arena, cap, sizeof(*grown));
    if (grown == NULL) {
        state->code = tern_arena_fail(state->arena, state->err, "a state");
        return false;
    }
    if (state->n > 0)
        memcpy(grown, state->blocks, state->n * sizeof(*grown));
    state->blocks = grown;
    state->cap = cap;
    return true;
}

static bool holds(const struct tern_state_block *block, const char *pointer)
{
    return pointer >= block->from && pointer < block->from + block->n_bytes;
}

/* Pointers are named block by block: mostly it is the last one again, or a new one. */
static bool find_parent(struct tern_state *state, const char *pointer)
{
    if (holds(&state->blocks[state->parent], pointer))
        return true;
    for (uint32_t i = state->n; i-- > 0;) {
        if (holds(&state->blocks[i], pointer)) {
            state->parent = i;
            return true;
        }
    }
    return false;
}

static void add(struct tern_state *state, const char *pointer, size_t n_bytes,
                enum tern_dtype dtype)
{
    const char *from = value_of(pointer);

    if (state->code != TERN_OK || !room(state))
        return;
    if (!find_parent(state, pointer)) {
        state->code = tern_fail(state->err, TERN_INTERNAL, "a pointer that is in no state");
        return;
    }
    struct tern_state_block *parent = &state->blocks[state->parent];
    parent->has_pointers = true;
    state->blocks[state->n++] = (struct tern_state_block){
        .from = from,
        .n_bytes = from == NULL ? 0 : n_bytes,
        .dtype = dtype,
        .parent = state->parent,
        .at = (size_t)(pointer - parent->from),
    };
}

void tern_state_points(struct tern_state *state, const void *pointer, size_t n_bytes)
{
    add(state, pointer, n_bytes, TERN_DTYPE_INVALID);
}

void tern_state_cells(struct tern_state *state, const void *pointer, enum tern_dtype dtype,
                      size_t n)
{
    const struct tern_str *texts = (const void *)value_of(pointer);

    if (dtype != TERN_DTYPE_BYTES) {
        add(state, pointer, n * tern_dtype_size(dtype), dtype);
        return;
    }
    add(state, pointer, n * sizeof(*texts), dtype);
    for (size_t i = 0; texts != NULL && i < n && state->code == TERN_OK; i++)
        add(state, (const char *)&texts[i].p, texts[i].n, TERN_DTYPE_INVALID);
}

void tern_state_forest(struct tern_state *state, const struct tern_forest *const *pointer)
{
    add(state, (const char *)pointer, 1, TERN_DTYPE_INVALID);
    if (state->code == TERN_OK)
        state->blocks[state->n - 1].forest = *pointer;
}

enum tern_code tern_state_read(const struct tern_step *step, struct tern_arena *arena,
                               struct tern_state *ret_state, struct tern_err *err)
{
    const struct tern_operator *op = step->op;

    *ret_state = (struct tern_state){.arena = arena, .err = err};
    if (op->symbol == NULL)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "the operator %s has no form outside of the server", op->name);
    if (step->state == NULL)
        return TERN_OK;
    if (op->state_bytes == 0)
        return tern_fail(err, TERN_INTERNAL, "the operator %s does not say what its state is",
                         op->name);
    if (!room(ret_state))
        return ret_state->code;
    ret_state->blocks[0] =
        (struct tern_state_block){.from = step->state, .n_bytes = op->state_bytes};
    ret_state->n = 1;
    if (op->points != NULL)
        op->points(step->state, ret_state);
    if (ret_state->code != TERN_OK)
        tern_err_prefix(err, "%s", op->name);
    return ret_state->code;
}
