/* The way of a work through the scheduler's stages: each is a pair of submit and cancel, and hands
 * over to the next one or answers by itself. */
#include "sched/lane.h"
#include "sched/sequence.h"

static bool is_sequenced(const struct tern_work *work)
{
    return work->version->sequences != NULL;
}

void tern_sched_submit(struct tern_sched *sched, struct tern_work *work)
{
    if (TERN_UNLIKELY(is_sequenced(work)))
        tern_sequence_submit(sched, work);
    else
        tern_lane_submit(sched, work);
}

void tern_sched_cancel(struct tern_sched *sched, struct tern_work *work)
{
    if (is_sequenced(work))
        tern_sequence_cancel(sched, work);
    else
        tern_lane_cancel(sched, work);
}
