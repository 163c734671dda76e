/* The scheduler: who runs a batch, where and when.
 *
 * A run that is predicted to take less time than waking another thread runs on the event loop that
 * decoded it, on that loop's own instance. Anything longer waits in its model version's lane for
 * one of the executors: threads shared by all models, each taking the oldest work of the next lane
 * in turn, so that a busy model cannot keep an idle one waiting for more than one run. A lane is
 * bounded; work that cannot start before its deadline is refused at once, and a run that is still
 * going on at its deadline is stopped where the engine can. A run on the loop is not: it was
 * predicted to be over before anybody could look. A run with a sink (a decoupled model's) never is
 * on a loop: nobody knows how often it answers, nor how long its client lets it wait. Such models
 * have threads of their own, one an instance, so that others do not wait for their clients.
 *
 * Models that take sequences of requests have one more step before this one: sched/sequence.h. */
#ifndef TERN_SCHED_SCHED_H
#define TERN_SCHED_SCHED_H

#include "base/err.h"
#include "base/list.h"
#include "core/engine.h"
#include "os/loop.h"
#include "registry/snapshot.h"
#include "sched/queue.h"
#include "trace/family.h"

struct tern_sched;
struct tern_binding;
struct tern_ensemble_run;
struct tern_sequence_member;
struct tern_cache;
struct tern_cache_member;
struct tern_lane_bucket;
struct tern_lane_slot;
struct tern_run_joined;
struct tern_resource_limit;
struct tern_work;

/* Told of each step of an ensemble that is done, on its loop: no request of a client,
 * but work of a model all the same. */
struct tern_sched_watcher {
    void (*on_step)(void *arg, const struct tern_work *work);
    void *arg;
};

struct tern_sched_settings {
    uint32_t executors;       /* threads */
    uint32_t queue_max;       /* works waiting in one lane ... */
    uint64_t queue_bytes_max; /* ... and the bytes of their inputs; 0: no bound */
    /* A lane starts its first run when so many works wait: for tests that need to know what is in
     * one batch. 0: at once. */
    uint32_t hold_until;
    uint32_t hold_backlog; /* the same for requests in the backlog of sequences */
    uint64_t
        inline_max_ns; /* runs predicted to be shorter stay on the loop; 0: measure the wake-up */
    struct tern_cache *cache; /* of answers; borrowed; NULL: none */
    bool rate_limit; /* instances wait for the resources of their groups (sched/resources.h) ... */
    const struct tern_resource_limit *resources; /* ... of which there is so much; for good */
    uint32_t n_resources;
};

enum tern_work_state {
    TERN_WORK_NEW,
    TERN_WORK_WAITING,
    TERN_WORK_RUNNING,
    TERN_WORK_DONE,
};

/* One request for one model version, of one row or of several. Embedded in its owner, which keeps
 * it valid until on_done. */
struct tern_work {
    struct tern_model_version *version; /* pinned by the owner */
    struct tern_engine_run run;
    uint64_t units; /* size of the work, in elements of input: what the prediction scales with */
    uint32_t rows;  /* of the batch; 1 for a model without a batch dimension */
    uint64_t deadline_ns;  /* monotonic; 0: none */
    bool has_own_deadline; /* the client said it, not the server for all */
    uint64_t priority;     /* 1 is the most urgent; 0: the model's default */
    uint64_t timeout_ns; /* how long it may wait at most, where the model's queue lets a request say
                            so; 0: as the model says */
    struct tern_trace_place place;        /* in the trace of its request, which its steps inherit */
    const struct tern_sequence *sequence; /* it belongs to; borrowed from the run's arena; NULL or
                                             for another kind of model: none */
    const struct tern_binding *binding;   /* of a step that is an ensemble: the models of its own
                                             steps, held by the outer one; else NULL */
    uint32_t pin;                   /* 1 + the version's instance that has to run it; 0: any */
    struct tern_run_joined *joined; /* it stands for these (sched/run.h); NULL: for itself */
    /* Instead of a run of the model: this, on an executor, beside no other work, with an instance
     * to itself for a few milliseconds (longer work comes again). run has its inputs all the same.
     * Of models whose requests stand alone only. NULL: a run. */
    enum tern_code (*task_run)(struct tern_work *work);
    bool off_loop; /* it takes much longer than others of its size: it never runs on its loop, and
                      says nothing of how long those take */
    struct tern_loop *loop;
    /* On the loop's thread, once. From within submit when the work ran inline or was refused. */
    void (*on_done)(struct tern_work *work);

    /* Results, for on_done. */
    enum tern_code code;
    struct tern_err *err; /* the owner's; filled when code != OK */
    uint64_t queued_ns, started_ns, finished_ns;
    uint64_t released_ns; /* where answers leave in order: when those before it had left; else 0 */
    uint32_t batch_rows;  /* of the run that it was part of; 0: it did not run (a cache knew) */
    bool leads_batch;     /* it is the one of that run's works that counts the run */
    bool from_cache;
    bool cache_shared; /* from_cache: it waited for another work's run */
    uint64_t cache_ns; /* spent on looking for the answer and on keeping it; 0: not cached */

    /* The scheduler's. */
    enum tern_work_state state;      /* guarded by the scheduler's lock once submitted */
    void *instance;                  /* it runs on */
    atomic_bool cancelled;           /* run.cancelled */
    struct tern_queue_item item;     /* while it waits in a lane */
    struct tern_list link;           /* of the works of a round, or of those answered in order */
    struct tern_lane_bucket *bucket; /* where it waits or waited */
    struct tern_lane_slot *slot;     /* while it runs */
    bool in_round; /* it waits on its loop until this round of events is served; the loop's */
    struct tern_loop_task task;
    struct tern_loop_timer timer; /* runs from joining a lane until the next limit of its time */
    bool expired;
    bool is_unwanted;                    /* cancelled, or past its deadline, since its run began */
    struct tern_sequence_member *member; /* sched/sequence.h; NULL: it stands alone */
    struct tern_cache_member *cache_member; /* sched/cache.h; NULL: not asked, or answered */
    struct tern_ensemble_run *ensemble;     /* sched/ensemble.h; NULL: it is none, or is over */
};

enum tern_code tern_sched_new(const struct tern_sched_settings *settings,
                              struct tern_sched **ret_sched, struct tern_err *err);
/* Before any loop runs. */
void tern_sched_watch(struct tern_sched *sched, const struct tern_sched_watcher *watcher);
/* Waits for the executors; every lane must be gone. */
void tern_sched_free(struct tern_sched *sched);

/* A lane for a loaded version, before it is published; and its end, after it came home. */
enum tern_code tern_sched_add(struct tern_sched *sched, struct tern_model_version *version,
                              struct tern_err *err);
void tern_sched_remove(struct tern_sched *sched, struct tern_model_version *version);
/* A version in service has these instances from now on (tern_registry_hooks.set_instances). Not on
 * a loop: it waits for the runs of those that go. */
enum tern_code tern_sched_set_instances(struct tern_model_version *version, void *const *instances,
                                        uint32_t n, struct tern_err *err);

/* Before the body of a request is read: whether work for this version that arrives now has a chance
 * to be answered by its deadline. UNAVAILABLE: the queue is full; RESOURCE_EXHAUSTED: it would be
 * late; in these two cases *ret_answer_in_ns is when there would be an answer (0: not estimated).
 * DEADLINE_EXCEEDED: an idle model would take longer. deadline_ns 0: the client names none. Any
 * loop; constant time. */
enum tern_code tern_sched_admits(const struct tern_sched *sched,
                                 const struct tern_model_version *version, uint64_t deadline_ns,
                                 uint64_t *ret_answer_in_ns, struct tern_err *err);
void tern_sched_submit(struct tern_sched *sched, struct tern_work *work);
/* Asks for an early end: waiting work is done as CANCELLED, running work is asked to stop when its
 * engine can. on_done still comes, once. On the work's loop. */
void tern_sched_cancel(struct tern_sched *sched, struct tern_work *work);

/* Works waiting in the version's lane now, or for their sequence. Any thread. */
uint32_t tern_sched_depth(const struct tern_model_version *version);
/* Whether a model with this measured run time is served on the loops. */
bool tern_sched_is_inline(const struct tern_sched *sched, uint64_t run_ns);
/* Another bound for lanes, for work that comes from now on. Any thread. */
void tern_sched_set_queue_max(struct tern_sched *sched, uint32_t queue_max);
uint32_t tern_sched_queue_max(const struct tern_sched *sched);
/* For sched/ensemble: a step is done. */
void tern_sched_note_step(const struct tern_sched *sched, const struct tern_work *work);
uint64_t tern_sched_inline_max_ns(const struct tern_sched *sched);

#endif
