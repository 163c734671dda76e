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

#define TERN_SEQUENCE_IDLE_NS    (1000u * 1000u * 1000u) /* where the configuration does not say */
#define TERN_SEQUENCE_STATES_MAX 256
#define TERN_SEQUENCE_STATE_MAX  (64u << 20) /* bytes of a first state */
#define TERN_SEQUENCE_SLOTS_MAX  (1u << 20)  /* of a version */

enum tern_control_kind {
    TERN_CONTROL_START,
    TERN_CONTROL_READY, /* whether there is a request at all: slots without one say no */
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

/* A tensor that the model gives with each request of a sequence and takes with the next. */
struct tern_state {
    struct tern_str input_name, output_name;
    enum tern_dtype dtype;
    struct tern_shape shape; /* with the batch dimension, if the model has one; -1: any */
    struct tern_shape first; /* the same of what the first request of a sequence sees ... */
    const void *data;        /* ... and its bytes */
    size_t n_bytes;
    struct tern_str file;   /* they come from this one in the model's folder initial_state; empty:
                               they are zeros */
    bool is_shown;          /* clients may ask for the output */
    uint32_t input, output; /* index among the engine's */
    struct tern_str place;
};

struct tern_sequencing {
    uint64_t max_idle_ns;        /* a sequence that nothing comes for is forgotten after */
    uint64_t slots_per_instance; /* live sequences; others wait for one to end */
    bool batched;                /* tensors have a batch dimension, which is 1 */
    bool direct;           /* each slot is a row of one instance's runs; else requests of different
                              sequences are batched as any others are ("oldest") */
    uint64_t max_delay_ns; /* direct: a run waits so long at most for others ... */
    double least_utilization; /* ... until there are requests for this part of the slots */
    bool says_ready;          /* there is a READY control */
    bool iterative;           /* a request runs until its engine has enough of it, and is a sequence
                                 by itself */
    struct tern_control *controls;
    uint32_t n_controls;
    struct tern_state *states;
    uint32_t n_states;
};

/* Finds controls and states among the model's tensors and checks that they fit. What does not is a
 * mistake in the list. */
void tern_sequencing_tie(struct tern_sequencing *sequencing, const struct tern_engine_model *model,
                         struct tern_problems *problems);
/* Makes what the first request of a sequence sees of each state; blocking. folder: of the model;
 * NULL: none. */
enum tern_code tern_sequencing_load(struct tern_sequencing *sequencing, const char *folder,
                                    struct tern_arena *arena, struct tern_err *err);
/* Whether the server fills this input itself. sequencing may be NULL. */
bool tern_sequencing_fills(const struct tern_sequencing *sequencing, struct tern_str input);
/* The shape of a control: one element, and a batch of one when there is one. */
struct tern_shape tern_sequencing_control_shape(const struct tern_sequencing *sequencing);
/* Whether an output is a state that clients do not see. sequencing may be NULL. */
bool tern_sequencing_hides(const struct tern_sequencing *sequencing, struct tern_str output);
/* "CONTROL_SEQUENCE_START". */
const char *tern_control_kind_name(enum tern_control_kind kind);

#endif
