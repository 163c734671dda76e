/* A simulator of one model behind a queue: the server's own queue, learned service times, arrival
 * rate and policy, with a clock, executors and clients that are numbers. Deterministic: one seed,
 * one history. A run aborts the test when the queue's ledger does not add up; what a policy may or
 * may not do is counted, for the test to judge. */
#ifndef TERN_TESTS_SIM_H
#define TERN_TESTS_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include "sched/policy.h"

#define SIM_EXECUTORS_MAX 8u
#define SIM_ITEMS_MAX     65536u

struct sim_settings {
    uint64_t seed;
    uint32_t executors;
    uint32_t n_items;
    uint32_t max_batch;
    /* The model: s(n) = a + b n. */
    double a_ns, b_ns;
    double noise;         /* times are uniform within this fraction above and below */
    double outlier_share; /* of runs that take outlier_factor times as long */
    double outlier_factor;
    uint32_t slower_after; /* runs, from which on all take slower_factor times as long; 0: never */
    double slower_factor;
    double first_guess_factor; /* of the run that was measured before all; 0: 1 */
    /* The clients. */
    double rows_per_s; /* on average, over quiet and burst */
    double burst;      /* 0: Poisson; else the rate alternates: (1 + burst) and (1 - burst) times */
    uint64_t burst_ns; /* length of one half */
    double rate_until_share; /* of the items; the rest comes at rows_per_s_after; 0: all the same */
    double rows_per_s_after;
    uint64_t slo_ns;        /* deadline of each item after its arrival; 0: none */
    double deadline_spread; /* deadlines are uniform within this fraction around the SLO */
    uint32_t rows_max;      /* an item has 1 to so many rows */
    uint32_t levels;        /* priorities, drawn evenly; at least 1 */
    uint32_t buckets;       /* shapes, drawn evenly; at least 1 */
    bool no_admission;      /* nobody is refused at the door */
    bool keep_late; /* a client without a deadline that the server knows: nothing is dropped */
    const struct tern_policy_triton *triton;
    /* Another policy to compare with; NULL: tern_policy_decide. */
    struct tern_policy_decision (*decide)(const struct tern_policy_view *view);
};

struct sim_result {
    uint32_t offered, in_time, late, refused, shed, lost; /* items; they add up to offered */
    uint32_t runs;
    uint64_t rows_run;
    uint64_t p50_ns, p99_ns; /* arrival to answer, of the answered */
    uint64_t end_ns;
    double goodput;          /* rows answered in time a second, until all was over */
    uint32_t in_time_at_end; /* items of the last quarter of those that arrived */
    /* What must not happen. */
    uint32_t idle_with_work;    /* times all executors stayed idle while something waited */
    uint32_t started_too_late;  /* items */
    uint32_t out_of_order;      /* items that overtook one of their level */
    uint32_t batches_too_large; /* or of two buckets */
    uint32_t unanswered, answered_twice;
};

void sim_run(const struct sim_settings *settings, struct sim_result *ret);

#endif
