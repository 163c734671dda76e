/* Memory for steps of an ensemble that run at the same time: an arena each, since an arena is one
 * thread's. They are kept for the next request.
 *
 * What a step gave lies in its arena until the request's own is reset, which may be after the
 * ensemble is gone: the pool then goes with the last of them. Of one loop, but for drop. */
#ifndef TERN_SCHED_ENSEMBLE_POOL_H
#define TERN_SCHED_ENSEMBLE_POOL_H

#include "base/arena.h"
#include "base/err.h"

struct tern_ensemble_pool;

struct tern_ensemble_pool *tern_ensemble_pool_new(void); /* NULL without memory */
/* The ensemble is gone. Any thread. NULL is fine. */
void tern_ensemble_pool_drop(struct tern_ensemble_pool *pool);
/* An empty arena that comes back when `owner` is reset, with the same bound. */
enum tern_code tern_ensemble_pool_take(struct tern_ensemble_pool *pool, struct tern_arena *owner,
                                       struct tern_arena **ret_arena, struct tern_err *err);

#endif
