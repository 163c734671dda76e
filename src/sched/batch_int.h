/* What batch.c, batch_gather.c and batch_scatter.c share. */
#ifndef TERN_SCHED_BATCH_INT_H
#define TERN_SCHED_BATCH_INT_H

#include "sched/batch.h"

#define BATCH_ALIGN 64 /* of joined inputs */

struct tern_batch_member {
    struct tern_work *work;
    uint64_t rows;
};

/* Nothing is in it any more. */
void batch_empty(struct tern_batch *batch);
/* Lets go of one reference to a batch; an arena's cleanup. */
void batch_drop(void *arg);

/* The member's tensor with index `wanted` among the engine's; NULL: it has none. It mostly stands
 * at place `guess`. */
const struct tern_tensor *batch_input_of(const struct tern_batch_member *member, uint32_t wanted,
                                         uint32_t guess);
struct tern_tensor *batch_output_of(const struct tern_batch_member *member, uint32_t wanted,
                                    uint32_t guess);

#endif
