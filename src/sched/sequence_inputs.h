/* What a model sees of a sequence: its control inputs. */
#ifndef TERN_SCHED_SEQUENCE_INPUTS_H
#define TERN_SCHED_SEQUENCE_INPUTS_H

#include "core/request.h"
#include "registry/snapshot.h"

/* Checks that the request can be one of a sequence: it has an id, and is no batch. */
enum tern_code tern_sequence_check(const struct tern_model_version *version,
                                   const struct tern_sequence *which,
                                   const struct tern_engine_run *run, struct tern_err *err);
/* Makes of the run that a client asked for the one that the engine takes: with the controls, and
 * tensors counted as the engine does. Memory comes from the run's arena. */
enum tern_code tern_sequence_fill(const struct tern_model_version *version,
                                  const struct tern_sequence *which, struct tern_engine_run *run,
                                  struct tern_err *err);

#endif
