/* What to do with the work that waits for a model: run how much of it now, wait until when, or
 * refuse what only keeps the others back. One function of what is known at one moment, without
 * threads, clock or memory of its own: the server and the simulator of tests/harness/sim.h call the
 * same one, and `tern explain-schedule` prints its reasons.
 *
 * The owner of a queue asks when work arrives, when an executor becomes idle, and when the time
 * that the last answer named has come; first it takes out what is lost (tern_queue_take_lost with
 * tern_policy_cutoff_ns). It does what the answer says and asks again, until the answer is WAIT. It
 * tells the service table of every run (tern_service_learn) and of everything refused before its
 * deadline (tern_service_refused). */
#ifndef TERN_SCHED_POLICY_H
#define TERN_SCHED_POLICY_H

#include <stddef.h>
#include <stdint.h>
#include "sched/queue.h"
#include "sched/service.h"

#define TERN_POLICY_PREFERRED_MAX 32u
#define TERN_POLICY_TEXT_MAX      256u
#define TERN_POLICY_SLO_LEAST_NS  UINT64_C(10000000)

/* Triton's dynamic_batching, to the letter. Without preferred sizes the largest batch is one. */
struct tern_policy_triton {
    uint32_t preferred[TERN_POLICY_PREFERRED_MAX]; /* rows, rising */
    uint32_t n_preferred;
    uint64_t max_queue_delay_ns;
};

struct tern_policy_view {
    uint64_t now_ns;
    const struct tern_queue *queue;
    /* One an executor that may run this work: when it is expected to be idle. 0: it is idle. A time
     * that has passed: it should have been. */
    const uint64_t *busy_until_ns;
    uint32_t n_executors;
    const struct tern_service *service;
    double rows_per_s;  /* that arrive */
    uint32_t max_batch; /* rows; 1: never more than one item */
    uint64_t slo_ns;    /* the time an answer usually may take; 0: nobody said */
    const struct tern_policy_triton *triton; /* NULL: adaptive */
};

enum tern_policy_action {
    TERN_POLICY_WAIT,
    TERN_POLICY_RUN,
    TERN_POLICY_SHED, /* RESOURCE_EXHAUSTED */
};

/* X(name, label of metrics) */
#define TERN_POLICY_REASONS(X)                                                                  \
    X(EMPTY, "empty")           /* nothing waits */                                             \
    X(ALL_BUSY, "all_busy")     /* no executor is idle */                                       \
    X(ALONE, "alone")           /* no other executor is busy: nothing is gained by waiting */   \
    X(LARGEST, "largest")       /* as large as a batch may be */                                \
    X(CUT, "cut")               /* the next one has another shape or does not fit in */         \
    X(NO_GAIN, "no_gain")       /* this model is not quicker in batches */                      \
    X(LARGE_ENOUGH, "enough")   /* the size at which the executors take turns evenly */         \
    X(LATEST_START, "latest")   /* the first one would be late if it waited any longer */       \
    X(WAITED, "waited")         /* nobody named a deadline, and it waited as long as a run */   \
    X(DRY, "dry")               /* nobody came for longer than is usual */                      \
    X(PREFERRED, "preferred")   /* a preferred size */                                          \
    X(DELAY_OVER, "delay_over") /* the oldest waited max_queue_delay */                         \
    X(GATHERING, "gathering")   /* WAIT: more will come in time */                              \
    X(DELAYING, "delaying")     /* WAIT: for a preferred size, or the end of max_queue_delay */ \
    X(HOPELESS, "hopeless")     /* SHED: it cannot be in time any more */                       \
    X(KEEPS_BACK, "keeps_back") /* SHED: so that those behind can be run together */

enum tern_policy_reason {
#define X(name, label) TERN_POLICY_##name,
    TERN_POLICY_REASONS(X)
#undef X
};

struct tern_policy_decision {
    enum tern_policy_action action;
    enum tern_policy_reason reason;
    uint32_t items;    /* RUN, SHED: the first so many of the queue. WAIT: that could run now */
    uint32_t rows;     /* of them */
    uint32_t target;   /* rows that are waited for, or were; 0: no number */
    uint64_t until_ns; /* WAIT: ask again then; TERN_QUEUE_NEVER: when something happens */
};

struct tern_policy_decision tern_policy_decide(const struct tern_policy_view *view);

/* Items with a deadline before this cannot be answered in time, run they now alone. */
uint64_t tern_policy_cutoff_ns(const struct tern_policy_view *view);

/* Whether work that arrives now has a chance to be answered by its deadline: the check at the door,
 * in constant time, before the body is read. It says no only when clearly more arrives than the
 * executors can take in the best batches that deadlines allow, and then to those who come too early
 * for a batch of that size, or too late for the queue: by simulation nearly all who would be shed
 * later, at the cost of one or two answers in a hundred. Says in how long the answer would be there
 * (0: not estimated), which is what Retry-After is made of. */
bool tern_policy_admits(const struct tern_policy_view *view, uint64_t deadline_ns,
                        uint64_t *ret_answer_in_ns);

/* The view's, or when nobody said: ten times the 99th percentile of one row, at least 10 ms. What
 * work without a deadline of its own gets as one. */
uint64_t tern_policy_slo_ns(const struct tern_policy_view *view);

/* The decision as a sentence, ended by a zero: "waits 210 us more: 6 of 8 rows are there and 1 of
 * 2 executors are busy". */
void tern_policy_explain(const struct tern_policy_view *view, const struct tern_policy_decision *d,
                         char dst[TERN_POLICY_TEXT_MAX]);
const char *tern_policy_reason_label(enum tern_policy_reason reason);

#endif
