/* What sched/ensemble.c (steps) and sched/ensemble_flow.c (steps that answer any number of times)
 * know of a request in common. */
#ifndef TERN_SCHED_ENSEMBLE_INT_H
#define TERN_SCHED_ENSEMBLE_INT_H

#include "sched/ensemble.h"
#include "sched/graph.h"

#define ENSEMBLE_NO_STEP UINT32_MAX

struct ensemble_flows;
struct ensemble_flow;

/* A tensor of the ensemble during one request. */
struct ensemble_slot {
    const struct tern_tensor *tensor; /* NULL: not there yet, or left out */
    int64_t batch;                    /* rows; 0: it came from a model without batches */
    bool wanted;
};

struct ensemble_step {
    struct tern_work work;
    struct tern_ensemble_run *run;
    uint32_t at;
    struct tern_err err; /* last: its text need not be zeroed */
};

/* The steps of a request that run once; or those behind a decoupled step, for one answer of it. */
struct tern_ensemble_run {
    struct tern_graph graph;
    struct tern_sched *sched;
    struct tern_work *work;   /* the request's */
    struct tern_arena *arena; /* the request's or the flow's */
    const struct tern_ensembling *plan;
    const struct tern_binding *binding; /* arena, or part of an outer ensemble's */
    struct ensemble_slot *slots;        /* one a tensor */
    struct ensemble_step **steps;       /* those that were started */
    uint64_t now_ns;                    /* when the last step ended */
    /* Where answers go by a sink. */
    uint32_t scope;               /* how many decoupled steps are before these */
    uint32_t producer;            /* the decoupled one that comes after these */
    struct ensemble_flows *flows; /* the request's; NULL: it has no sink */
    struct ensemble_flow *flow;   /* NULL: the request's own */
    struct tern_tensor *answer;   /* arena; once it is made */
    bool steps_over;              /* none of these runs any more */
};

/* ---- sched/ensemble.c ---- */

/* A step that is ready to be submitted. */
enum tern_code tern_ensemble_make_step(struct tern_ensemble_run *run, uint32_t at,
                                       struct ensemble_step **ret_step, struct tern_err *err);
/* The next scope's, with all tensors that are there. */
enum tern_code tern_ensemble_make_flow(const struct tern_ensemble_run *before,
                                       struct tern_arena *arena, struct tern_ensemble_run **ret_run,
                                       struct tern_err *err);
/* The wanted outputs, uncopied; an error's text goes to the request's. */
enum tern_code tern_ensemble_set_outputs(const struct tern_ensemble_run *run,
                                         struct tern_tensor *outputs);
/* Of the request's own run: the last thing that happens. */
void tern_ensemble_finish(struct tern_ensemble_run *run, enum tern_code code);

/* ---- sched/ensemble_flow.c ---- */

/* For a request with a sink, to run->flows. */
enum tern_code tern_ensemble_flows_open(struct tern_ensemble_run *run);
/* The graph of the request's own run, or of a flow's, is over. */
void tern_ensemble_flows_steps_over(struct tern_ensemble_run *run, enum tern_code code);
void tern_ensemble_flows_cancel(struct tern_ensemble_run *run);

#endif
