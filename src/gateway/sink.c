/* The answers of decoupled models: from the thread of the run to the event loop, a few at a time.
 * Each is copied into an arena of its own, which goes round: filled by the run, encoded by the
 * loop, filled again. A run that is faster than its client waits here. */
#include <string.h>
#include "base/mem.h"
#include "gateway/gateway_int.h"

#define ANSWER_FIRST_SIZE 1024u
#define SINKS_KEPT        16u

/* ---- on the thread of the run ---- */

static bool is_full(const struct gateway_sink *sink)
{
    return tern_list_is_empty(&sink->room) || sink->bytes >= GATEWAY_SINK_BYTES;
}

/* Room for an answer of so many bytes. CANCELLED: nobody wants one; ABORTED: there is none now. */
static enum tern_code take_room(struct gateway_sink *sink, size_t bytes, bool may_wait,
                                struct gateway_answer **ret_answer, struct tern_err *err)
{
    struct gateway_answer *answer = NULL;
    struct tern_list *link = NULL;

    pthread_mutex_lock(&sink->lock);
    while (may_wait && !sink->stopped && is_full(sink))
        pthread_cond_wait(&sink->room_came, &sink->lock);
    bool stopped = sink->stopped;
    if (!stopped && !is_full(sink))
        link = tern_list_pop(&sink->room);
    if (link != NULL) {
        answer = TERN_CONTAINER_OF(link, struct gateway_answer, link);
        answer->bytes = bytes;
        sink->bytes += bytes;
    }
    pthread_mutex_unlock(&sink->lock);
    *ret_answer = answer;
    if (stopped)
        return tern_fail(err, TERN_CANCELLED, "nobody waits for more answers");
    if (answer == NULL)
        return tern_fail(err, TERN_ABORTED, "there is no room for an answer now");
    return TERN_OK;
}

static size_t size_of(const struct tern_tensor *outputs, uint32_t n)
{
    size_t size = 0;

    for (uint32_t i = 0; i < n; i++)
        size += outputs[i].n_bytes;
    return size;
}

static enum tern_code copy_outputs(struct gateway_answer *answer, const struct tern_tensor *outputs,
                                   uint32_t n_outputs, struct tern_err *err)
{
    struct tern_arena *arena = &answer->arena;
    struct tern_tensor *copies = tern_arena_zalloc(arena, n_outputs + 1, sizeof(*copies));

    if (copies == NULL)
        return tern_arena_fail(arena, err, "an answer");
    for (uint32_t i = 0; i < n_outputs; i++) {
        copies[i] = outputs[i];
        copies[i].data = tern_arena_alloc(arena, 64, outputs[i].n_bytes);
        if (copies[i].data == NULL)
            return tern_arena_fail(arena, err, "an answer");
        if (outputs[i].n_bytes > 0)
            memcpy(copies[i].data, outputs[i].data, outputs[i].n_bytes);
    }
    answer->outputs = copies;
    answer->n_outputs = n_outputs;
    return TERN_OK;
}

static void on_answer(struct tern_loop_task *task);

static enum tern_code take_answer(struct gateway_sink *sink, const struct tern_tensor *outputs,
                                  uint32_t n_outputs, bool may_wait,
                                  struct gateway_answer **ret_answer, struct tern_err *err)
{
    TERN_TRY(take_room(sink, size_of(outputs, n_outputs), may_wait, ret_answer, err));
    enum tern_code code = copy_outputs(*ret_answer, outputs, n_outputs, err);
    if (code != TERN_OK)
        gateway_answer_free(*ret_answer);
    return code;
}

static enum tern_code emit(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                           uint32_t n_outputs, struct tern_err *err)
{
    struct gateway_sink *sink = TERN_CONTAINER_OF(self, struct gateway_sink, base);
    struct gateway_answer *answer = NULL;

    TERN_TRY(take_answer(sink, outputs, n_outputs, true, &answer, err));
    answer->task.run = on_answer;
    tern_loop_post(sink->gc->work.loop, &answer->task);
    return TERN_OK;
}

static void stop(struct tern_engine_sink *self)
{
    struct gateway_sink *sink = TERN_CONTAINER_OF(self, struct gateway_sink, base);

    pthread_mutex_lock(&sink->lock);
    sink->stopped = true;
    pthread_cond_broadcast(&sink->room_came);
    pthread_mutex_unlock(&sink->lock);
}

/* ---- on the loop ---- */

/* It is not on its way any more. Under the lock. */
static void uncount(struct gateway_answer *answer)
{
    answer->sink->bytes -= answer->bytes;
    answer->bytes = 0;
    pthread_cond_signal(&answer->sink->room_came);
}

void gateway_answer_free(struct gateway_answer *answer)
{
    struct gateway_sink *sink = answer->sink;

    tern_arena_reset(&answer->arena);
    pthread_mutex_lock(&sink->lock);
    tern_list_append(&sink->room, &answer->link);
    uncount(answer);
    pthread_mutex_unlock(&sink->lock);
    bool tell = sink->wants_room && sink->base.on_room != NULL;
    sink->wants_room = false;
    if (tell)
        sink->base.on_room(&sink->base);
}

/* The answer of an exchange with one stays until that is freed. */
static void keep_first(struct gateway_answer *answer)
{
    struct gateway_sink *sink = answer->sink;

    sink->first = answer;
    pthread_mutex_lock(&sink->lock);
    uncount(answer);
    pthread_mutex_unlock(&sink->lock);
}

static void hand_over(struct gateway_answer *answer)
{
    struct gateway_sink *sink = answer->sink;

    sink->n_answers++;
    if (sink->gc->part != NULL)
        gateway_stream_answer(sink->gc, answer);
    else if (sink->first == NULL)
        keep_first(answer);
    else
        gateway_answer_free(answer);
}

/* Tasks of one thread run in the order posted: all answers come before the end of their run. */
static void on_answer(struct tern_loop_task *task)
{
    hand_over(TERN_CONTAINER_OF(task, struct gateway_answer, task));
}

static enum tern_code offer(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                            uint32_t n_outputs, struct tern_err *err)
{
    struct gateway_sink *sink = TERN_CONTAINER_OF(self, struct gateway_sink, base);
    struct gateway_answer *answer = NULL;

    enum tern_code code = take_answer(sink, outputs, n_outputs, false, &answer, err);
    if (code == TERN_OK)
        hand_over(answer);
    else
        sink->wants_room |= code == TERN_ABORTED;
    return code;
}

enum tern_code gateway_sink_collect(struct gateway_call *gc, enum tern_code code,
                                    struct tern_err *err)
{
    struct gateway_sink *sink = gc->sink;
    const char *unary = gc->call.route->unary;

    if (code != TERN_OK)
        return code;
    if (sink->n_answers != 1)
        return tern_fail(err, TERN_INTERNAL, "%s expects model to produce exactly 1 response",
                         unary == NULL ? "the request" : unary);
    gc->call.response.outputs = sink->first->outputs;
    gc->call.response.n_outputs = sink->first->n_outputs;
    return TERN_OK;
}

/* ---- life ---- */

static void free_sink(struct gateway_sink *sink)
{
    for (uint32_t i = 0; i < GATEWAY_SINK_ANSWERS; i++)
        tern_arena_fini(&sink->answers[i].arena);
    pthread_cond_destroy(&sink->room_came);
    pthread_mutex_destroy(&sink->lock);
    tern_mem_free(sink);
}

static struct gateway_sink *new_sink(void)
{
    struct gateway_sink *sink = tern_mem_zalloc(1, sizeof(*sink));

    if (sink == NULL)
        return NULL;
    sink->base = (struct tern_engine_sink){.emit = emit, .stop = stop, .offer = offer};
    pthread_mutex_init(&sink->lock, NULL);
    pthread_cond_init(&sink->room_came, NULL);
    tern_list_init(&sink->room);
    tern_list_init(&sink->link);
    for (uint32_t i = 0; i < GATEWAY_SINK_ANSWERS; i++) {
        sink->answers[i].sink = sink;
        tern_arena_init(&sink->answers[i].arena, ANSWER_FIRST_SIZE, 0);
        tern_list_append(&sink->room, &sink->answers[i].link);
    }
    return sink;
}

static void give_back(void *arg)
{
    gateway_sink_give(arg);
}

enum tern_code gateway_sink_take(struct gateway_call *gc, struct tern_err *err)
{
    struct tern_list *link = tern_list_pop(&gc->loop->sinks_free);
    struct gateway_sink *sink =
        link == NULL ? new_sink() : TERN_CONTAINER_OF(link, struct gateway_sink, link);

    if (sink == NULL)
        return tern_mem_fail(err, "the answers of a model", sizeof(*sink));
    gc->loop->n_sinks_free -= link != NULL;
    sink->loop = gc->loop;
    sink->gc = gc;
    sink->stopped = sink->wants_room = false;
    sink->base.on_room = NULL;
    sink->n_answers = 0;
    for (uint32_t i = 0; i < GATEWAY_SINK_ANSWERS; i++) {
        sink->answers[i].arena.max = gc->call.arena->max;
        sink->answers[i].arena.till = gc->call.arena->till;
    }
    if (gc->part == NULL) {
        enum tern_code code = tern_arena_on_reset(gc->call.arena, give_back, sink, err);
        if (code != TERN_OK) {
            gateway_sink_give(sink);
            return code;
        }
    }
    gc->sink = sink;
    return TERN_OK;
}

void gateway_sink_give(struct gateway_sink *sink)
{
    struct gateway_loop *loop = sink->loop;

    if (sink->first != NULL)
        gateway_answer_free(sink->first);
    sink->first = NULL;
    sink->gc = NULL;
    if (loop->n_sinks_free == SINKS_KEPT) {
        free_sink(sink);
        return;
    }
    loop->n_sinks_free++;
    tern_list_append(loop->sinks_free.next, &sink->link);
}

void gateway_sink_fini(struct gateway_loop *loop)
{
    struct tern_list *link;

    while ((link = tern_list_pop(&loop->sinks_free)) != NULL)
        free_sink(TERN_CONTAINER_OF(link, struct gateway_sink, link));
}
