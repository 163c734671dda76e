/* How a model takes sequences of requests: sequence_batching of its configuration, tied to what the
 * model itself has. Control inputs tell it where in which sequence a request stands, and state is
 * what it wants to see again in the next request of the sequence. Clients send neither.
 *
 * Everything lies in the arena of the configuration. */
#ifndef TERN_REGISTRY_SEQUENCING_H
#define TERN_REGISTRY_SEQUENCING_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "conf/problem.h"
#include "core/engine.h"

#define TERN_SEQUENCE_IDLE_NS   (1000u * 1000u * 1000u) /* where the configuration does not say */
#define TERN_SEQUENCE_SLOTS_MAX (1u << 20)              /* of a version */

enum tern_control_kind {
    TERN_CONTROL_START,
    TERN_CONTROL_READY, /* whether there is a request at all: always true, one runs at a time */
    TERN_CONTROL_END,
    TERN_CONTROL_CORRID, /* the sequence's id */
    TERN_CONTROL_KINDS,
};

/* An input of one element that the server fills. */
struct tern_control {
    enum tern_control_kind kind;
    struct tern_str name;
    enum tern_dtype dtype;
    uint32_t bits[2];      /* all but CORRID: the element that says no, and the one that says yes */
    uint32_t input;        /* index among the engine's inputs */
    struct tern_str place; /* "config.pbtxt:12:5" */
};

struct tern_sequencing {
    uint64_t max_idle_ns;        /* a sequence that nothing comes for is forgotten after */
    uint64_t slots_per_instance; /* live sequences; others wait for one to end */
    bool batched;                /* tensors have a batch dimension, which is 1 */
    struct tern_control *controls;
    uint32_t n_controls;
    /* What clients see as input (output) i is the engine's input_at[i] (output_at[i]). */
    const uint32_t *input_at, *output_at;
};

/* What is left for clients of `specs`, which stand in the engine's order. */
struct tern_sequencing_seen {
    struct tern_tensor_spec *inputs, *outputs;
    uint32_t n_inputs, n_outputs;
};

/* Finds the controls among the model's inputs and checks that they fit. What does not is a
 * mistake in the list. False without memory. */
bool tern_sequencing_tie(struct tern_sequencing *sequencing, const struct tern_engine_model *model,
                         const struct tern_tensor_spec *inputs,
                         const struct tern_tensor_spec *outputs, struct tern_arena *arena,
                         struct tern_sequencing_seen *ret_seen, struct tern_problems *problems);
/* Whether the server fills this input itself. sequencing may be NULL. */
bool tern_sequencing_fills(const struct tern_sequencing *sequencing, struct tern_str input);
/* The shape of a control: one element, and a batch of one when there is one. */
struct tern_shape tern_sequencing_control_shape(const struct tern_sequencing *sequencing);
/* "CONTROL_SEQUENCE_START". */
const char *tern_control_kind_name(enum tern_control_kind kind);

#endif
