/* The way of a work through the scheduler's stages: each is a pair of submit and cancel, and hands
 * over to the next one or answers by itself. */
#include "sched/submit.h"

#include "sched/cache.h"
#include "sched/ensemble.h"
#include "sched/lane.h"
#include "sched/sequence.h"

static bool is_cached(const struct tern_work *work)
{
    return work->version->cache != NULL && work->task_run == NULL;
}

static bool is_sequenced(const struct tern_work *work)
{
    return work->version->sequences != NULL;
}

/* Whether work may be answered without a place in the lane. */
static bool may_pass_by(const struct tern_model_version *version)
{
    return version->sequences != NULL || version->n_loop_instances > 0 || version->cache != NULL;
}

enum tern_code tern_sched_admits(const struct tern_sched *sched,
                                 const struct tern_model_version *version, uint64_t deadline_ns,
                                 uint64_t *ret_answer_in_ns, struct tern_err *err)
{
    *ret_answer_in_ns = 0;
    if (version->lane == NULL || may_pass_by(version))
        return TERN_OK;
    return tern_lane_admits(sched, version, deadline_ns, ret_answer_in_ns, err);
}

void tern_sched_submit(struct tern_sched *sched, struct tern_work *work)
{
    if (TERN_UNLIKELY(is_cached(work)))
        tern_cache_submit(sched, work);
    else
        tern_submit_past_cache(sched, work);
}

void tern_sched_cancel(struct tern_sched *sched, struct tern_work *work)
{
    if (is_cached(work))
        tern_cache_cancel(sched, work);
    else
        tern_cancel_past_cache(sched, work);
}

void tern_submit_past_cache(struct tern_sched *sched, struct tern_work *work)
{
    if (TERN_UNLIKELY(work->version->ensembling != NULL))
        tern_ensemble_submit(sched, work);
    else if (TERN_UNLIKELY(is_sequenced(work)))
        tern_sequence_submit(sched, work);
    else
        tern_lane_submit(sched, work);
}

void tern_cancel_past_cache(struct tern_sched *sched, struct tern_work *work)
{
    if (work->version->ensembling != NULL)
        tern_ensemble_cancel(sched, work);
    else if (is_sequenced(work))
        tern_sequence_cancel(sched, work);
    else
        tern_lane_cancel(sched, work);
}
