/* The stages after one: where a stage hands over work that it does not answer itself. */
#ifndef TERN_SCHED_SUBMIT_H
#define TERN_SCHED_SUBMIT_H

#include "sched/sched.h"

/* As tern_sched_submit and tern_sched_cancel, for the stages after the cache. */
void tern_submit_past_cache(struct tern_sched *sched, struct tern_work *work);
void tern_cancel_past_cache(struct tern_sched *sched, struct tern_work *work);

#endif
