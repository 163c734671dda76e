/* What clients see of an engine's inputs and outputs: all but those that the server itself fills or
 * keeps (controls and states of sequences, inputs made from the batch).
 *
 * Everything lies in the arena of the configuration. */
#ifndef TERN_REGISTRY_SEEN_H
#define TERN_REGISTRY_SEEN_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "core/tensor.h"

struct tern_seen {
    struct tern_tensor_spec *inputs, *outputs; /* in the engine's order */
    uint32_t n_inputs, n_outputs;
    /* What clients see as input (output) i is the engine's input_at[i] (output_at[i]); NULL: it is
     * the engine's i. */
    const uint32_t *input_at, *output_at;
};

/* The specs that are not hidden, and where they are. False without memory. */
bool tern_seen_keep(struct tern_tensor_spec *specs, uint32_t n, const bool *hidden,
                    struct tern_arena *arena, struct tern_tensor_spec **ret_specs, uint32_t *ret_n,
                    const uint32_t **ret_at);
/* Indexes of what clients see to the engine's. at may be NULL. */
void tern_seen_to_engine(const uint32_t *at, uint32_t *specs, uint32_t n);

#endif
