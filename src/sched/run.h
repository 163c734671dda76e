/* Works on an instance: alone, or several as one batch. Shared by the loops and the executors. */
#ifndef TERN_SCHED_RUN_H
#define TERN_SCHED_RUN_H

#include "sched/batch.h"
#include "sched/sched.h"

#define TERN_RUN_WORKS_MAX  1024u
#define TERN_RUN_MEMORY_MAX ((size_t)1 << 32) /* of one batch */

/* work->instance is set. Fills code, err, outputs and what is told of the run. */
void tern_run_alone(struct tern_work *work);

/* A run of whole rows that no client sent, as a version's requests have them: its inputs and
 * outputs are those of the version's information. Working memory comes from run->arena. */
enum tern_code tern_run_asked(struct tern_model_version *version, void *instance,
                              const struct tern_engine_run *run, struct tern_err *err);

/* The same for works of one version and instance, all at once. A batch that cannot be put together,
 * or that fails, is run in parts: a request that the engine refuses spoils no other's answer. The
 * batch is used up; NULL: there was no memory for one, they run one by one. `cancelled` (may be
 * NULL) is what the engine looks at. True: it was one run. */
bool tern_run_batch(struct tern_batch *batch, struct tern_work *const *works, uint32_t n,
                    const atomic_bool *cancelled);

/* A batch that was put together elsewhere, as one work of a lane (work->joined). */
struct tern_run_joined {
    struct tern_work *const *works; /* of one version, the lane's work not among them */
    uint32_t n;
    struct tern_batch *batch; /* used up by the run; NULL: one by one */
    bool was_one;             /* filled by the run: it was one */
};

/* As tern_run_batch, of work->joined. The work itself is then OK, whatever the others are. */
void tern_run_joined(struct tern_work *work);

#endif
