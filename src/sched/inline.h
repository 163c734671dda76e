/* Runs on the event loop that decoded the request, on that loop's own instance: for models that are
 * quicker than waking another thread. There is no queue, no timer and no lock.
 *
 * When the model is quicker in batches, the requests that one round of events brought are one: they
 * are kept until the round is served, which costs a request that came alone nothing but the rest of
 * the round. */
#ifndef TERN_SCHED_INLINE_H
#define TERN_SCHED_INLINE_H

#include "sched/batch.h"
#include "sched/rate.h"
#include "sched/sched.h"
#include "sched/service.h"

#define TERN_INLINE_WORKS_MAX 128u /* in one run */

/* What one loop knows of one version. Its loop's alone. */
struct tern_inline {
    TERN_ALIGNED(TERN_CACHE_LINE) struct tern_rate rate;
    struct tern_model_version *version;
    void *instance;
    uint64_t most_ns;  /* longer runs are not for a loop */
    uint32_t max_rows; /* of a batch; 1: none */
    struct tern_service service;
    struct tern_list round;                         /* tern_work.link: works of this round */
    struct tern_work *works[TERN_INLINE_WORKS_MAX]; /* of the run that goes on */
    bool is_deferred;                               /* end_of_round is on its way */
    struct tern_loop_task end_of_round;
    struct tern_batch_pool *pool; /* NULL: max_rows is 1 */
};

/* With version->run_ns as a first guess. */
enum tern_code tern_inline_init(struct tern_inline *self, struct tern_model_version *version,
                                void *instance, uint64_t most_ns, struct tern_err *err);
void tern_inline_fini(struct tern_inline *self);

/* Runs the work, now or at the end of the round; on_done comes on this loop. False: its run is
 * predicted to take too long for a loop. */
bool tern_inline_submit(struct tern_inline *self, struct tern_work *work);
/* An executor ran it: its time is this loop's to learn from. */
void tern_inline_learn(struct tern_inline *self, const struct tern_work *work);

#endif
