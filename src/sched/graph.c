#include "sched/graph.h"

#include <assert.h>

enum step_state {
    WAITING, /* for those before it */
    READY,
    RUNNING,
    DONE,
    SKIPPED,
};

struct tern_graph_step {
    uint32_t n_before; /* that are neither done nor passed over yet */
    uint8_t state;     /* enum step_state */
    bool reached;      /* a step before it leads here */
    bool unwanted;     /* it will be passed over whatever leads here */
};

enum tern_code tern_graph_init(struct tern_graph *graph, const struct tern_graph_plan *plan,
                               const struct tern_graph_ops *ops, struct tern_arena *arena,
                               struct tern_err *err)
{
    struct tern_graph_step *steps =
        tern_arena_zalloc(arena, plan->n + 1, sizeof(*steps) + sizeof(uint32_t));

    if (steps == NULL)
        return tern_arena_fail(arena, err, "the steps of a graph");
    for (uint32_t i = 0; i < plan->n; i++)
        steps[i].n_before = plan->nodes[i].n_before;
    *graph = (struct tern_graph){
        .plan = plan,
        .ops = ops,
        .err = err,
        .steps = steps,
        .ready = (uint32_t *)(steps + plan->n),
    };
    return TERN_OK;
}

void tern_graph_skip(struct tern_graph *graph, uint32_t step)
{
    graph->steps[step].unwanted = true;
}

/* All before it are through: it joins the list, where its turn comes or it is passed over. */
static void put_ready(struct tern_graph *graph, uint32_t step)
{
    graph->steps[step].state = READY;
    graph->ready[graph->n_ready++] = step;
}

/* A step is through; the way to the others is open or closed. */
static void leave(struct tern_graph *graph, uint32_t step, uint32_t way)
{
    const struct tern_graph_node *node = &graph->plan->nodes[step];

    for (uint32_t i = 0; i < node->n_next; i++) {
        struct tern_graph_step *next = &graph->steps[node->next[i]];
        next->reached |= way == TERN_GRAPH_ALL || way == i;
        if (--next->n_before == 0)
            put_ready(graph, node->next[i]);
    }
}

static void take_next(struct tern_graph *graph)
{
    uint32_t at = graph->ready[graph->n_started++];
    struct tern_graph_step *step = &graph->steps[at];

    if (step->unwanted || !step->reached) {
        step->state = SKIPPED;
        leave(graph, at, TERN_GRAPH_NONE);
        return;
    }
    step->state = RUNNING;
    graph->n_running++;
    graph->ops->start(graph, at);
}

/* Starts what is ready, and says so when all is over. Only the first one on the stack does. */
static void go_on(struct tern_graph *graph)
{
    if (graph->busy)
        return;
    graph->busy = true;
    while (graph->code == TERN_OK && graph->n_started < graph->n_ready)
        take_next(graph);
    graph->busy = false;
    if (graph->n_running == 0)
        graph->ops->on_done(graph, graph->code);
}

void tern_graph_run(struct tern_graph *graph)
{
    for (uint32_t i = 0; i < graph->plan->n; i++) {
        if (graph->steps[i].n_before > 0)
            continue;
        graph->steps[i].reached = true;
        put_ready(graph, i);
    }
    go_on(graph);
}

static void come_back(struct tern_graph *graph, uint32_t step)
{
    assert(graph->steps[step].state == RUNNING);
    graph->steps[step].state = DONE;
    graph->n_running--;
}

void tern_graph_done(struct tern_graph *graph, uint32_t step, uint32_t way)
{
    come_back(graph, step);
    leave(graph, step, way);
    go_on(graph);
}

/* Steps may come back from within their cancel: the end is said by whoever called. */
static void cancel_all(struct tern_graph *graph, enum tern_code code)
{
    bool was_busy = graph->busy;

    graph->code = code;
    graph->busy = true;
    for (uint32_t i = 0; i < graph->plan->n && graph->n_running > 0; i++) {
        if (graph->steps[i].state == RUNNING)
            graph->ops->cancel(graph, i);
    }
    graph->busy = was_busy;
}

void tern_graph_fail(struct tern_graph *graph, uint32_t step, enum tern_code code,
                     const struct tern_err *err)
{
    come_back(graph, step);
    if (graph->code == TERN_OK) {
        if (err != NULL && err != graph->err)
            *graph->err = *err;
        cancel_all(graph, code);
    }
    go_on(graph);
}

void tern_graph_cancel(struct tern_graph *graph, enum tern_code code)
{
    if (graph->code != TERN_OK)
        return; /* on_done is on the way */
    cancel_all(graph, code);
    go_on(graph);
}
