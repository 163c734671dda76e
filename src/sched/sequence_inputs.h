/* What a model sees of a sequence: its control inputs, and the places of its states. */
#ifndef TERN_SCHED_SEQUENCE_INPUTS_H
#define TERN_SCHED_SEQUENCE_INPUTS_H

#include "core/request.h"
#include "registry/snapshot.h"

/* Checks that the request can be one of a sequence: it has an id, and is no batch. */
enum tern_code tern_sequence_check(const struct tern_model_version *version,
                                   const struct tern_sequence *which,
                                   const struct tern_engine_run *run, struct tern_err *err);
/* What a run has beside what its client asked for; in the run's arena. */
struct tern_sequence_extra {
    struct tern_tensor *controls;  /* the inputs that are controls */
    struct tern_tensor *states;    /* the inputs that are states, to be filled before the run */
    const uint32_t *state_outputs; /* where among the run's outputs each state comes */
    struct tern_tensor *asked; /* the client's outputs, when the run has others: its first ones */
    uint32_t n_asked;          /* belong there */
};

/* Makes of the run that a client asked for the one that the engine takes: with controls and states,
 * and tensors counted as the engine does. Memory comes from the run's arena. */
enum tern_code tern_sequence_fill(const struct tern_model_version *version,
                                  const struct tern_sequence *which, struct tern_engine_run *run,
                                  struct tern_sequence_extra *ret_extra, struct tern_err *err);
/* What follows the run is no START. */
void tern_sequence_go_on(const struct tern_model_version *version,
                         const struct tern_sequence_extra *extra);
/* After the run: the client's outputs go where the client looks for them. */
void tern_sequence_hand_over(const struct tern_sequence_extra *extra, struct tern_engine_run *run);

#endif
