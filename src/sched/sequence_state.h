/* What a sequence keeps from one request to the next: the model's state tensors. Whoever runs a
 * request of the sequence has them to itself. */
#ifndef TERN_SCHED_SEQUENCE_STATE_H
#define TERN_SCHED_SEQUENCE_STATE_H

#include "core/tensor.h"
#include "registry/sequencing.h"

struct tern_kept; /* one a state of the model */

/* The state inputs of a run, to `inputs`, one a state: what is kept, or (NULL) what the first
 * request of a sequence sees. Borrowed. */
void tern_kept_show(const struct tern_sequencing *sequencing, const struct tern_kept *kept,
                    struct tern_tensor *inputs);
/* Copies the states that a run gave: state i is outputs[at[i]]. *kept may be NULL. After a failure
 * it is what it was. */
enum tern_code tern_kept_take(const struct tern_sequencing *sequencing,
                              const struct tern_tensor *outputs, const uint32_t *at,
                              struct tern_kept **kept, struct tern_err *err);
void tern_kept_free(const struct tern_sequencing *sequencing, struct tern_kept *kept);

#endif
