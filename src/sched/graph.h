/* Runs the steps of an acyclic graph for one request, each when those it depends on are done.
 *
 * What a step is its owner knows (struct tern_graph_ops): a run of a model, a call of another
 * server. The executor knows which are ready, which are passed over, and when all is over:
 *
 * - A step starts when every step before it is done or passed over, and one of them at least leads
 *   to it. Steps that are ready together start one after another and run side by side.
 * - A step that is done may go on to all that come after it, to one of them, or to none; what
 *   nothing leads to any more is passed over, and so is what only depends on that.
 * - The first error ends the graph: what runs is cancelled, nothing else starts, and on_done comes
 *   when the last running step has come back. So does tern_graph_cancel.
 *
 * Deadlines are the steps' own: whoever starts a step gives it the request's.
 *
 * Everything happens on the request's event loop. A step may be done within its start, and the next
 * one then starts from a list, not from within: the stack does not grow with the graph. Memory
 * comes from the request's arena, once. */
#ifndef TERN_SCHED_GRAPH_H
#define TERN_SCHED_GRAPH_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"

struct tern_graph_node {
    const uint32_t *next; /* steps that depend on it, each once */
    uint32_t n_next;
    uint32_t n_before; /* how many steps it depends on */
};

/* Made once, shared by all requests. Whoever makes it has checked that no step depends on itself,
 * however far around: nothing of such a circle would ever start. */
struct tern_graph_plan {
    const struct tern_graph_node *nodes;
    uint32_t n;
};

struct tern_graph;

struct tern_graph_ops {
    /* tern_graph_done or tern_graph_fail of it follows once, maybe before this returns. */
    void (*start)(struct tern_graph *graph, uint32_t step);
    /* Of a step that runs: end soon. Done or fail still follows, maybe from within. */
    void (*cancel)(struct tern_graph *graph, uint32_t step);
    /* Once, the last thing that happens; the graph's memory may go in it. OK, or what went wrong
     * first, with its text in graph->err. */
    void (*on_done)(struct tern_graph *graph, enum tern_code code);
};

/* Where a step goes on: the place of one among its node's `next`, or one of these. */
#define TERN_GRAPH_ALL  UINT32_MAX
#define TERN_GRAPH_NONE (UINT32_MAX - 1)

struct tern_graph_step;

/* Embedded in its owner. */
struct tern_graph {
    const struct tern_graph_plan *plan;
    const struct tern_graph_ops *ops;
    struct tern_err *err; /* the owner's */
    /* The executor's own. */
    struct tern_graph_step *steps; /* arena */
    uint32_t *ready;               /* arena: the steps that wait for their start, then the others */
    uint32_t n_ready, n_started, n_running;
    enum tern_code code;
    bool busy; /* somebody further down the stack looks after what is ready */
};

enum tern_code tern_graph_init(struct tern_graph *graph, const struct tern_graph_plan *plan,
                               const struct tern_graph_ops *ops, struct tern_arena *arena,
                               struct tern_err *err);
/* Before the run, or before whatever it depends on is done: it will not start. */
void tern_graph_skip(struct tern_graph *graph, uint32_t step);
/* on_done may come before this returns. */
void tern_graph_run(struct tern_graph *graph);
/* A step that was started has come to its end. */
void tern_graph_done(struct tern_graph *graph, uint32_t step, uint32_t way);
/* The same with an error, whose text is copied when it is the first. err may be NULL. */
void tern_graph_fail(struct tern_graph *graph, uint32_t step, enum tern_code code,
                     const struct tern_err *err);
/* Ends it early with `code`; graph->err has its text. on_done still comes, maybe from within. After
 * an error nothing changes. */
void tern_graph_cancel(struct tern_graph *graph, enum tern_code code);

#endif
