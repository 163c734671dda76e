/* The threads that run what waits in lanes. All models share them: each takes the next batch of the
 * ready lane that had the least of the machine so far, by weight (start-time fair queueing; Goyal,
 * Vin, Cheng 1996), so that a busy model cannot keep another one waiting for more than one run.
 *
 * Runs that take long (TERN_EXECUTORS_LONG_NS and more) never hold all threads: there are a few
 * more than were asked for, and those are for short runs. The system's scheduler then shares the
 * processors; what is kept from slow models is the whole of the line. Nor do they hold back each
 * other for ever: a lane that waited TERN_EXECUTORS_PATIENCE_NS for one of these threads brings
 * another one.
 *
 * Idle ones are called last in, first out, whose caches are still warm. One of them keeps the time
 * for lanes that want to be looked at later (tern_policy_decision.until_ns).
 *
 * One lock, the scheduler's, guards this and all lanes. It is held for the decision, never for a
 * run. */
#ifndef TERN_SCHED_EXECUTORS_H
#define TERN_SCHED_EXECUTORS_H

#include <pthread.h>
#include "base/err.h"
#include "base/list.h"
#include "os/thread.h"

#define TERN_EXECUTORS_MAX         1024u
#define TERN_EXECUTORS_LONG_NS     UINT64_C(10000000)
#define TERN_EXECUTORS_PATIENCE_NS UINT64_C(1000000000)

struct tern_lane;

struct tern_executor {
    struct tern_executors *all;
    struct tern_thread thread;
    pthread_cond_t wake;
    bool is_called;
    struct tern_list idle; /* in all->idle while it waits */
};

struct tern_executors {
    pthread_mutex_t lock;
    struct tern_executor *rows[TERN_EXECUTORS_MAX];
    uint32_t n;
    uint32_t n_long, long_max; /* threads in long runs, and how many may be */
    struct tern_list idle;
    struct tern_executor *keeper; /* the idle one that waits with a time limit; NULL: none */
    uint64_t keeper_until_ns;
    struct tern_list ready, delaying; /* tern_lane.ready, tern_lane.delaying */
    uint64_t used_ns;                 /* of the lane that was served last */
    bool stopping;
};

/* The lock and lists; no thread yet. */
void tern_executors_init(struct tern_executors *all);
/* So many threads for runs of any length, and a few for short ones: at least as many as before. */
enum tern_code tern_executors_grow(struct tern_executors *all, uint32_t n, struct tern_err *err);
/* Waits for all of them; no lane may be left. */
void tern_executors_stop(struct tern_executors *all);

/* Under the lock. A lane has a batch and an idle instance for it, or has not any more. */
void tern_executors_offer(struct tern_executors *all, struct tern_lane *lane, bool is_ready);
/* Under the lock. It wants to be looked at then; UINT64_MAX: no more. */
void tern_executors_wake_at(struct tern_executors *all, struct tern_lane *lane, uint64_t at_ns);

#endif
