/* The lane of one model version: its queue, what is known of its runs, and its instances. The last
 * of the stages that a work passes (sched/submit.c); the others hand over to it.
 *
 *     submit -> queue -> look: the policy says run, wait or shed -> executor: start, run, finish
 *
 * Works of one shape share a bucket, with a queue, an arrival rate and service times of its own, so
 * that sentences of 10 and of 500 tokens are neither mixed nor averaged. A model whose batching is
 * configured has one bucket: its order is part of what was asked for.
 *
 * Everything here is guarded by the scheduler's lock, but for what says otherwise. */
#ifndef TERN_SCHED_LANE_H
#define TERN_SCHED_LANE_H

#include "os/thread.h"
#include "sched/arrivals.h"
#include "sched/batch.h"
#include "sched/inline.h"
#include "sched/overload.h"
#include "sched/policy.h"
#include "sched/rate.h"
#include "sched/resources.h"
#include "sched/run.h"
#include "sched/sched.h"

#define TERN_LANE_BUCKETS 8u

struct tern_lane_bucket {
    uint64_t key; /* tern_queue_item.bucket of all that wait here; 0 in the first: any */
    struct tern_queue queue;
    struct tern_service service;
    struct tern_arrivals arrivals;
    uint64_t used_ns; /* when work came last */
};

/* One instance of the model, and its run. */
struct tern_lane_slot {
    struct tern_lane *lane;
    void *instance;
    bool is_busy;
    uint32_t index;
    bool is_leaving; /* its instance goes when this run is over */
    uint32_t n_works, n_wanted;
    uint32_t cost; /* rows, or tokens: what the policy counts */
    struct tern_lane_bucket *bucket;
    uint64_t started_ns, finished_ns;
    struct tern_batch *batch; /* until the run takes it; NULL: no memory, or a single work */
    atomic_bool cancelled;    /* run.cancelled of several works: none of them is wanted */
    bool was_one;             /* it was one run, whose time says something */
    struct tern_resource_claim claim;
    struct tern_work *works[]; /* of the run: tern_lane.most_works at most */
};

/* The last decisions, for those who ask why. */
#define TERN_LANE_NOTES 16u
struct tern_lane_note {
    uint64_t at_ns;
    const struct tern_service *service; /* of the bucket that was decided on */
    struct tern_policy_decision decision;
    uint64_t queue_rows;
    uint32_t n_busy, n_slots;
    double rows_per_s;
};

struct tern_lane {
    struct tern_sched *sched;
    struct tern_model_version *version;
    const struct tern_scheduling *scheduling;
    struct tern_policy_triton triton; /* when batching is configured */
    bool gathers;                     /* a work by itself is a batch too */
    uint32_t max_rows;                /* of a batch ... */
    uint32_t max_cost;                /* ... and in what the policy counts, when that is not rows */
    uint32_t most_works;              /* in one run */

    struct tern_lane_bucket *buckets[TERN_LANE_BUCKETS]; /* the first is always there */
    uint32_t n_buckets;
    uint64_t *busy_until_ns; /* one a slot */
    struct tern_lane_slot **slots;
    uint32_t n_slots, n_idle;
    uint32_t n_all_slots;     /* with those that are leaving */
    pthread_cond_t slot_left; /* one of those is idle */
    struct tern_batch_pool *pool;
    struct tern_overload overload; /* of requests without a deadline of their own */
    struct tern_rate rate;         /* of the executors' runs */
    struct tern_inline *inlines;   /* one a loop instance, each its loop's; NULL: none */
    atomic_uint depth;             /* works that wait; any thread may read it */
    uint32_t hold_until;           /* works that have to wait before the first run; 0: none */

    /* preserve_ordering: works in the order in which they were taken, until they are answered. */
    struct tern_list order;

    /* The executors'. */
    struct tern_list ready;    /* in executors.ready while an instance may run */
    uint64_t held_back_ns;     /* since when it waits for other long runs; 0: it does not */
    struct tern_list delaying; /* in executors.delaying until wake_ns */
    uint64_t wake_ns;
    uint64_t used_ns;  /* of the machine, times priority */
    uint64_t usual_ns; /* what its runs take, whatever their size: the last ones count most */
    uint32_t priority; /* the inverse of its weight among the lanes; at least 1 */

    /* Of a decoupled model, whose runs wait for their clients: its own threads, one a slot. */
    struct tern_thread *threads;
    uint32_t n_threads;
    pthread_cond_t work_came;
    bool stopping;

    struct tern_lane_note notes[TERN_LANE_NOTES]; /* a ring */
    uint32_t n_notes;
    uint64_t n_runs, n_works_run, n_shed, n_timed_out, n_late;
};

/* (sched/lane_slots.c) Instances for a new lane; the same for one that works already, as
 * tern_registry_hooks.set_instances wants it; and the end. No lock held. */
enum tern_code tern_lane_make_slots(struct tern_lane *lane, void *const *instances, uint32_t n,
                                    struct tern_err *err);
enum tern_code tern_lane_set_instances(struct tern_lane *lane, void *const *instances, uint32_t n,
                                       struct tern_err *err);
void tern_lane_free_slots(struct tern_lane *lane);

/* Where the work belongs by its shapes; a new bucket begins with what is known of the model. */
struct tern_lane_bucket *tern_lane_find_bucket(struct tern_lane *lane,
                                               const struct tern_work *work);
/* How long the next run will take, by what is known. */
uint64_t tern_lane_run_ns(const struct tern_lane *lane);

/* As tern_sched_submit and tern_sched_cancel, for work of a version with a lane. No lock held. */
void tern_lane_submit(struct tern_sched *sched, struct tern_work *work);
void tern_lane_cancel(struct tern_sched *sched, struct tern_work *work);
/* Any thread: nobody wants what a submitted work gives. Its run is asked to end, or, while it
 * waits, to be none. */
void tern_lane_interrupt(struct tern_sched *sched, struct tern_work *work);
/* tern_sched_admits. No lock held. */
enum tern_code tern_lane_admits(const struct tern_sched *sched,
                                const struct tern_model_version *version, uint64_t deadline_ns,
                                uint64_t *ret_answer_in_ns, struct tern_err *err);

/* A request came, refused or not: when an overload begins with it, those without a deadline that
 * waited longer than an answer may take are refused. */
void tern_lane_came(struct tern_lane *lane, struct tern_lane_bucket *bucket, uint64_t now_ns);
/* Until when an answer is of use: as the client says (own_ns; 0: it does not), else the objective
 * of the model, else while there is an overload the time that an answer usually takes, else never.
 */
uint64_t tern_lane_deadline(const struct tern_lane *lane, const struct tern_lane_bucket *bucket,
                            uint64_t own_ns, uint64_t now_ns);
/* Whether work for the bucket that comes now has a chance (tern_policy_admits). RESOURCE_EXHAUSTED:
 * not with those before it; DEADLINE_EXCEEDED: so many rows would take longer on an idle model. */
enum tern_code tern_lane_ask(struct tern_lane *lane, struct tern_lane_bucket *bucket, uint32_t rows,
                             uint64_t deadline_ns, uint64_t now_ns, uint64_t *ret_answer_in_ns,
                             struct tern_err *err);
/* Refuses what is lost and decides; the executors learn whether and when there is something to do.
 */
void tern_lane_look(struct tern_lane *lane, uint64_t now_ns);
/* The same for the lanes whose instances were granted what they waited for: after a claim left. */
void tern_lane_serve_granted(struct tern_sched *sched, uint64_t now_ns);
/* Takes the next batch, if the policy still wants one, and an instance for it. NULL: not now. */
struct tern_lane_slot *tern_lane_start(struct tern_lane *lane, uint64_t now_ns);
/* Runs it. No lock held; the slot is the caller's meanwhile. */
void tern_lane_run(struct tern_lane_slot *slot);
/* Answers its works and looks again. The lane may be gone afterwards. */
void tern_lane_finish(struct tern_lane_slot *slot);

enum tern_code tern_lane_new(struct tern_sched *sched, struct tern_model_version *version,
                             struct tern_lane **ret_lane, struct tern_err *err);
/* Not under the lock: a decoupled model's threads are waited for. Nothing waits or runs. */
void tern_lane_free(struct tern_lane *lane);

#endif
