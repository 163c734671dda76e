/* Steps that answer any number of times. What follows such a step runs once for each of its
 * answers: a flow, with memory and a graph of its own. Flows of one run go side by side, as many as
 * the ensemble allows; a step that gives more waits in its emit. Their answers leave in the order
 * of the step's.
 *
 * Of all that happens (a flow is done, a step came back, there is room for an answer) only a note
 * is taken, and then settle() does all that can be done now; only settle() gives memory back. */
#include <pthread.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "registry/binding.h"
#include "sched/ensemble_int.h"

#define FLOW_FIRST_SIZE 4096u
#define FLOWS_USUAL     16u
#define FLOWS_MAX       1024u

enum flow_state {
    FLOW_RUNS,
    FLOW_FEEDS,   /* its own decoupled step, and the flows of that */
    FLOW_ANSWERS, /* it has one, and waits for its turn or for room */
    FLOW_ENDED,
};

/* A run of a decoupled step. */
struct stream {
    struct tern_engine_sink base;
    struct tern_list link;         /* flows->streams */
    struct tern_ensemble_run *run; /* that it ends */
    struct ensemble_step *step;
    struct tern_list going; /* flows in the order of their answers; the loop's */
    bool done;              /* the step came back; the loop's */
    bool wants_room;        /* somebody on the loop was sent away */
    uint32_t max;
    pthread_mutex_t lock;
    pthread_cond_t room_came;
    uint32_t n;             /* flows in use; guarded by lock */
    struct tern_list spare; /* the others; guarded by lock */
    bool stopped;           /* guarded by lock */
};

struct ensemble_flow {
    struct tern_list link; /* stream->going or stream->spare */
    struct tern_loop_task task;
    struct stream *stream;
    struct tern_arena arena;
    struct tern_tensor *outputs; /* arena: what the decoupled step gave */
    uint32_t n_outputs;
    struct tern_ensemble_run *run; /* arena; NULL: not begun */
    enum flow_state state;
    struct tern_err err;
};

/* Of a request: arena. */
struct ensemble_flows {
    struct tern_ensemble_run *root;
    struct tern_list streams;
    struct tern_loop_timer timer; /* until the deadline, while an answer waits for room */
    enum tern_code code;          /* what went wrong first; its text is the request's */
    bool busy, again;             /* somebody is in settle; it looks again */
    bool ended;
};

static void settle(struct ensemble_flows *flows);

/* ---- memory of flows; any thread ---- */

static struct ensemble_flow *new_flow(struct stream *stream)
{
    struct ensemble_flow *flow = tern_mem_zalloc(1, sizeof(*flow));
    const struct tern_arena *owner = stream->run->work->run.arena;

    if (flow == NULL)
        return NULL;
    flow->stream = stream;
    tern_list_init(&flow->link);
    tern_arena_init(&flow->arena, FLOW_FIRST_SIZE, owner->max);
    flow->arena.till = owner->till;
    return flow;
}

static void delete_flow(struct ensemble_flow *flow)
{
    tern_arena_fini(&flow->arena);
    tern_mem_free(flow);
}

static void give_flow(struct ensemble_flow *flow)
{
    struct stream *stream = flow->stream;

    tern_arena_reset(&flow->arena);
    flow->run = NULL;
    flow->state = FLOW_RUNS;
    pthread_mutex_lock(&stream->lock);
    tern_list_append(&stream->spare, &flow->link);
    stream->n--;
    pthread_cond_signal(&stream->room_came);
    pthread_mutex_unlock(&stream->lock);
}

/* CANCELLED: nobody listens. ABORTED: there is no room, and the caller may not wait. */
static enum tern_code take_flow(struct stream *stream, bool may_wait,
                                struct ensemble_flow **ret_flow, struct tern_err *err)
{
    struct tern_list *link = NULL;

    pthread_mutex_lock(&stream->lock);
    while (may_wait && !stream->stopped && stream->n >= stream->max)
        pthread_cond_wait(&stream->room_came, &stream->lock);
    bool stopped = stream->stopped, has_room = stream->n < stream->max;
    if (!stopped && has_room) {
        link = tern_list_pop(&stream->spare);
        stream->n++;
    }
    pthread_mutex_unlock(&stream->lock);
    if (stopped)
        return tern_fail(err, TERN_CANCELLED, "nobody waits for more answers");
    if (!has_room)
        return tern_fail(err, TERN_ABORTED, "there is no room for an answer now");
    *ret_flow =
        link == NULL ? new_flow(stream) : TERN_CONTAINER_OF(link, struct ensemble_flow, link);
    if (*ret_flow != NULL)
        return TERN_OK;
    pthread_mutex_lock(&stream->lock);
    stream->n--;
    pthread_mutex_unlock(&stream->lock);
    return tern_mem_fail(err, "an answer of a step", sizeof(**ret_flow));
}

/* ---- what a decoupled step gives; any thread ---- */

static enum tern_code copy_answer(struct ensemble_flow *flow, const struct tern_tensor *outputs,
                                  uint32_t n, struct tern_err *err)
{
    struct tern_arena *arena = &flow->arena;
    struct tern_tensor *copies = tern_arena_zalloc(arena, n + 1, sizeof(*copies));

    if (copies == NULL)
        return tern_arena_fail(arena, err, "an answer of a step");
    for (uint32_t i = 0; i < n; i++) {
        copies[i] = outputs[i];
        copies[i].data = tern_arena_alloc(arena, 64, outputs[i].n_bytes);
        if (copies[i].data == NULL)
            return tern_arena_fail(arena, err, "an answer of a step");
        if (outputs[i].n_bytes > 0)
            memcpy(copies[i].data, outputs[i].data, outputs[i].n_bytes);
    }
    flow->outputs = copies;
    flow->n_outputs = n;
    return TERN_OK;
}

static enum tern_code take_answer(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                                  uint32_t n, bool may_wait, struct ensemble_flow **ret_flow,
                                  struct tern_err *err)
{
    struct stream *stream = TERN_CONTAINER_OF(self, struct stream, base);

    TERN_TRY(take_flow(stream, may_wait, ret_flow, err));
    enum tern_code code = copy_answer(*ret_flow, outputs, n, err);
    if (code != TERN_OK)
        give_flow(*ret_flow);
    return code;
}

static void on_flow(struct tern_loop_task *task);
static void begin_flow(struct ensemble_flow *flow);

static enum tern_code emit(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                           uint32_t n, struct tern_err *err)
{
    struct ensemble_flow *flow = NULL;

    TERN_TRY(take_answer(self, outputs, n, true, &flow, err));
    flow->task.run = on_flow;
    tern_loop_post(flow->stream->run->work->loop, &flow->task);
    return TERN_OK;
}

/* From an ensemble that is the step. */
static enum tern_code offer(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                            uint32_t n, struct tern_err *err)
{
    struct stream *stream = TERN_CONTAINER_OF(self, struct stream, base);
    struct ensemble_flow *flow = NULL;

    enum tern_code code = take_answer(self, outputs, n, false, &flow, err);
    stream->wants_room |= code == TERN_ABORTED;
    if (code == TERN_OK)
        begin_flow(flow);
    return code;
}

static void stop(struct tern_engine_sink *self)
{
    struct stream *stream = TERN_CONTAINER_OF(self, struct stream, base);

    pthread_mutex_lock(&stream->lock);
    stream->stopped = true;
    pthread_cond_broadcast(&stream->room_came);
    pthread_mutex_unlock(&stream->lock);
}

/* ---- the first error ends all ---- */

static void cancel_stream(struct stream *stream, enum tern_code code)
{
    stop(&stream->base);
    if (!stream->done)
        tern_sched_cancel(stream->run->sched, &stream->step->work);
    for (struct tern_list *at = stream->going.next; at != &stream->going; at = at->next) {
        struct ensemble_flow *flow = TERN_CONTAINER_OF(at, struct ensemble_flow, link);
        if (flow->run != NULL && !flow->run->steps_over)
            tern_graph_cancel(&flow->run->graph, code);
    }
}

/* err is the request's, or is copied there. */
static void fail(struct ensemble_flows *flows, enum tern_code code, const struct tern_err *err)
{
    struct tern_ensemble_run *root = flows->root;
    bool was_busy = flows->busy;

    if (flows->code != TERN_OK)
        return;
    flows->code = code;
    if (err != root->work->err)
        *root->work->err = *err;
    flows->busy = true; /* what comes back meanwhile stays in its list */
    if (!root->steps_over)
        tern_graph_cancel(&root->graph, code);
    for (struct tern_list *at = flows->streams.next; at != &flows->streams; at = at->next)
        cancel_stream(TERN_CONTAINER_OF(at, struct stream, link), code);
    flows->busy = was_busy;
    flows->again = true;
}

/* ---- a flow ---- */

static void set_slots(struct tern_ensemble_run *run, const struct stream *stream,
                      const struct ensemble_flow *flow)
{
    const struct tern_ensemble_step *step = &run->plan->steps[stream->step->at];
    bool batched = stream->step->work.version->info.max_batch_size > 0;

    for (uint32_t i = 0; i < step->n_outputs; i++) {
        struct ensemble_slot *slot = &run->slots[step->outputs[i].tensor];
        for (uint32_t at = 0; slot->wanted && at < flow->n_outputs; at++) {
            const struct tern_tensor *tensor = &flow->outputs[at];
            if (!tern_str_eq(tensor->name, step->outputs[i].name))
                continue;
            slot->tensor = tensor;
            slot->batch = batched && tensor->shape.rank > 0 ? tensor->shape.dim[0] : 0;
        }
    }
}

static void begin_flow(struct ensemble_flow *flow)
{
    struct stream *stream = flow->stream;
    struct ensemble_flows *flows = stream->run->flows;

    tern_list_append(&stream->going, &flow->link);
    flow->state = FLOW_ENDED;
    if (flows->code == TERN_OK && flow->n_outputs > 0) {
        enum tern_code code =
            tern_ensemble_make_flow(stream->run, &flow->arena, &flow->run, &flow->err);
        if (code == TERN_OK) {
            flow->state = FLOW_RUNS;
            flow->run->flow = flow;
            flow->run->graph.err = &flow->err;
            set_slots(flow->run, stream, flow);
            tern_graph_run(&flow->run->graph); /* the flow may have ended in it, not gone */
        } else {
            flow->run = NULL;
            fail(flows, code, &flow->err);
        }
    }
    settle(flows);
}

static void on_flow(struct tern_loop_task *task)
{
    begin_flow(TERN_CONTAINER_OF(task, struct ensemble_flow, task));
}

/* A flow, or the request's own run, has nothing more to do. */
static void end_run(struct tern_ensemble_run *run)
{
    if (run->flow == NULL)
        run->flows->ended = true;
    else
        run->flow->state = FLOW_ENDED;
    run->flows->again = true;
}

/* ---- its decoupled step ---- */

static void on_producer_done(struct tern_work *work)
{
    struct ensemble_step *step = TERN_CONTAINER_OF(work, struct ensemble_step, work);
    struct stream *stream = TERN_CONTAINER_OF(work->run.sink, struct stream, base);
    struct ensemble_flows *flows = step->run->flows;

    if (work->finished_ns > flows->root->now_ns)
        flows->root->now_ns = work->finished_ns;
    tern_sched_note_step(step->run->sched, work);
    stream->done = true;
    if (work->code != TERN_OK)
        fail(flows, work->code, &step->err);
    settle(flows);
}

static void open_stream(struct stream *stream, struct tern_ensemble_run *run)
{
    uint32_t max = run->plan->max_inflight;

    stream->base = (struct tern_engine_sink){.emit = emit, .stop = stop, .offer = offer};
    stream->run = run;
    stream->max = max == 0 ? FLOWS_USUAL : max < FLOWS_MAX ? max : FLOWS_MAX;
    tern_list_init(&stream->going);
    tern_list_init(&stream->spare);
    pthread_mutex_init(&stream->lock, NULL);
    pthread_cond_init(&stream->room_came, NULL);
    tern_list_append(&run->flows->streams, &stream->link);
}

static enum tern_code start_producer(struct tern_ensemble_run *run, struct tern_err *err)
{
    struct stream *stream = tern_arena_zalloc(run->arena, 1, sizeof(*stream));
    struct ensemble_step *step;

    if (stream == NULL)
        return tern_arena_fail(run->arena, err, "a decoupled step");
    TERN_TRY(tern_ensemble_make_step(run, run->producer, &step, err));
    if (run->flow != NULL)
        run->flow->state = FLOW_FEEDS;
    open_stream(stream, run);
    stream->step = step;
    step->work.run.sink = &stream->base;
    step->work.on_done = on_producer_done;
    tern_sched_submit(run->sched, &step->work);
    return TERN_OK;
}

static void end_stream(struct stream *stream)
{
    struct tern_ensemble_run *run = stream->run;
    struct tern_list *link;

    tern_list_remove(&stream->link);
    while ((link = tern_list_pop(&stream->spare)) != NULL)
        delete_flow(TERN_CONTAINER_OF(link, struct ensemble_flow, link));
    pthread_cond_destroy(&stream->room_came);
    pthread_mutex_destroy(&stream->lock);
    end_run(run);
}

/* ---- answers ---- */

static void on_deadline(struct tern_loop_timer *timer)
{
    struct ensemble_flows *flows = TERN_CONTAINER_OF(timer, struct ensemble_flows, timer);
    struct tern_err *err = flows->root->work->err;

    if (flows->code == TERN_OK)
        fail(flows,
             tern_fail(err, TERN_DEADLINE_EXCEEDED,
                       "Deadline Exceeded: the deadline passed before all answers were taken"),
             err);
    settle(flows);
}

static void watch_deadline(struct ensemble_flows *flows)
{
    const struct tern_work *work = flows->root->work;
    uint64_t now = tern_clock_mono_ns();

    if (work->deadline_ns == 0 || flows->timer.slot != 0)
        return;
    flows->timer.on_due = on_deadline;
    (void)tern_loop_timer_offer(work->loop, &flows->timer,
                                work->deadline_ns > now ? work->deadline_ns - now : 0);
}

static enum tern_code send(struct tern_ensemble_run *run, struct tern_err *err)
{
    const struct tern_engine_run *own = &run->work->run;

    if (own->sink->offer == NULL)
        return tern_fail(err, TERN_INTERNAL, "nobody takes answers of an ensemble here");
    if (run->answer == NULL) {
        struct tern_tensor *answer =
            tern_arena_zalloc(run->arena, own->n_outputs + 1, sizeof(*answer));
        if (answer == NULL)
            return tern_arena_fail(run->arena, err, "an answer");
        for (uint32_t i = 0; i < own->n_outputs; i++)
            answer[i].name = own->outputs[i].name;
        TERN_TRY(tern_ensemble_set_outputs(run, answer));
        run->answer = answer;
    }
    return own->sink->offer(own->sink, run->answer, own->n_outputs, err);
}

/* False: there is no room; on_room comes. */
static bool answer(struct tern_ensemble_run *run)
{
    struct ensemble_flows *flows = run->flows;
    struct tern_err *err = run->work->err;

    if (run->now_ns > flows->root->now_ns)
        flows->root->now_ns = run->now_ns;
    enum tern_code code = send(run, err);
    if (code == TERN_ABORTED) {
        watch_deadline(flows);
        return false;
    }
    if (code != TERN_OK)
        fail(flows, code, err);
    end_run(run);
    return true;
}

static void on_room(struct tern_engine_sink *self)
{
    settle(self->asker);
}

/* ---- all that can be done now ---- */

static void drop_flow(struct ensemble_flow *flow)
{
    struct stream *stream = flow->stream;
    struct tern_engine_sink *sink = &stream->base;
    bool wants_room = stream->wants_room;

    tern_list_remove(&flow->link);
    give_flow(flow);
    stream->wants_room = false;
    if (wants_room && sink->on_room != NULL)
        sink->on_room(sink);
}

static void look_at(struct stream *stream)
{
    const struct ensemble_flows *flows = stream->run->flows;
    bool held = false; /* an older one has not answered */

    for (struct tern_list *at = stream->going.next, *next; at != &stream->going; at = next) {
        struct ensemble_flow *flow = TERN_CONTAINER_OF(at, struct ensemble_flow, link);
        next = at->next;
        if (flow->state == FLOW_ANSWERS && flows->code != TERN_OK)
            flow->state = FLOW_ENDED;
        if (flow->state == FLOW_ANSWERS && !held)
            answer(flow->run);
        held |= flow->state == FLOW_RUNS || flow->state == FLOW_ANSWERS;
        if (flow->state == FLOW_ENDED)
            drop_flow(flow);
    }
    if (stream->done && tern_list_is_empty(&stream->going))
        end_stream(stream);
}

static void settle(struct ensemble_flows *flows)
{
    flows->again = true;
    if (flows->busy)
        return;
    flows->busy = true;
    while (flows->again) {
        flows->again = false;
        for (struct tern_list *at = flows->streams.next, *next; at != &flows->streams; at = next) {
            next = at->next;
            look_at(TERN_CONTAINER_OF(at, struct stream, link));
        }
    }
    flows->busy = false;
    if (!flows->ended)
        return;
    struct tern_ensemble_run *root = flows->root;
    tern_loop_timer_stop(root->work->loop, &flows->timer);
    root->work->run.sink->on_room = NULL;
    tern_ensemble_finish(root, flows->code); /* flows may be gone after this */
}

void tern_ensemble_flows_steps_over(struct tern_ensemble_run *run, enum tern_code code)
{
    struct ensemble_flows *flows = run->flows;

    run->steps_over = true;
    if (code != TERN_OK)
        fail(flows, code, run->graph.err);
    if (flows->code == TERN_OK && run->producer != ENSEMBLE_NO_STEP) {
        TERN_UNINITIALIZED struct tern_err err;
        bool was_busy = flows->busy;
        flows->busy = true; /* the request stays until it is looked at below */
        code = start_producer(run, &err);
        if (code != TERN_OK) {
            fail(flows, code, &err);
            end_run(run);
        }
        flows->busy = was_busy;
    } else if (flows->code != TERN_OK) {
        end_run(run);
    } else if (run->flow != NULL) {
        run->flow->state = FLOW_ANSWERS;
    } else if (!answer(run)) {
        fail(flows, tern_fail(run->work->err, TERN_INTERNAL, "there is no room for one answer"),
             run->work->err);
        end_run(run);
    }
    settle(flows);
}

void tern_ensemble_flows_cancel(struct tern_ensemble_run *run)
{
    struct ensemble_flows *flows = run->flows;
    struct tern_err *err = run->work->err;

    if (flows->code == TERN_OK)
        fail(flows, tern_fail(err, TERN_CANCELLED, "the client went away"), err);
    settle(flows);
}

enum tern_code tern_ensemble_flows_open(struct tern_ensemble_run *run)
{
    struct ensemble_flows *flows = tern_arena_zalloc(run->arena, 1, sizeof(*flows));

    if (flows == NULL)
        return tern_arena_fail(run->arena, run->work->err, "an ensemble");
    flows->root = run;
    tern_list_init(&flows->streams);
    run->work->run.sink->on_room = on_room;
    run->work->run.sink->asker = flows;
    run->flows = flows;
    return TERN_OK;
}
