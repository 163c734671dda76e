/* The lane of one model version: its queue, what is known of its runs, and who may run it. The last
 * of the stages that a work passes (sched/submit.c); the others hand over to it. */
#ifndef TERN_SCHED_LANE_H
#define TERN_SCHED_LANE_H

#include "sched/sched.h"

/* As tern_sched_submit and tern_sched_cancel, for work of a version with a lane. */
void tern_lane_submit(struct tern_sched *sched, struct tern_work *work);
void tern_lane_cancel(struct tern_sched *sched, struct tern_work *work);

#endif
