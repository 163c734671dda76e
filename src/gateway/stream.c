/* Exchanges with more than one message. Each request of a stream is a call in a part of its own
 * (gateway/part.h).
 *
 * Whatever happens (bytes came, a call is done, an answer came, there is room again) is noted, and
 * then settle() does all that can be done now: sends what is ready in the order that clients may
 * rely on, takes more of the body while there are parts for it, and ends the stream when nothing is
 * left. Only settle() sends and frees.
 *
 * Order: a call with one answer waits for older calls with one answer; the answers of a decoupled
 * model leave when they come. */
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "gateway/part.h"

#define CALLS_MAX 64u /* in flight; with so many the client's next request waits */

/* In its exchange's arena. */
struct gateway_stream {
    struct gateway_call *own; /* the exchange's: its error text is how the stream ends */
    struct tern_list link;    /* loop->streams */
    struct tern_list parts;   /* in the order of their requests */
    uint32_t n_parts;
    size_t held;                  /* by all of them */
    struct tern_loop_timer timer; /* runs until the deadline of the whole exchange */
    uint64_t deadline_ns;         /* 0: none */
    enum tern_code code;          /* not OK: it ends with an error */
    bool all_read;                /* no request will come */
    bool draining;                /* requests that come from now on are not looked at */
    size_t early;                 /* bytes of the body that came before */
    bool head_sent;
    bool busy; /* inside settle, which looks again when it is asked to meanwhile */
    bool again;
};

static void settle(struct gateway_stream *s);

static struct gateway_part *take_part(struct gateway_stream *s)
{
    struct gateway_part *part = gateway_part_take(s->own);

    if (part != NULL)
        part->gc.call.request.deadline_ns = s->deadline_ns;
    return part;
}

/* ---- the end ---- */

/* Its last answer has left, or will not. */
static void retire(struct gateway_part *part)
{
    struct gateway_call *gc = &part->gc;
    struct tern_list *link;

    while ((link = tern_list_pop(&part->answers)) != NULL)
        gateway_answer_free(TERN_CONTAINER_OF(link, struct gateway_answer, link));
    if (gc->sink != NULL)
        gateway_sink_give(gc->sink);
    tern_observer_count(gc->gateway->settings.observer, &gc->call, &gc->observation, gc->came_ns,
                        part->code);
    if (gc->call.pinned != NULL)
        tern_version_unpin(gc->call.pinned, gc->loop->index);
    tern_list_remove(&part->link);
    part->stream->n_parts--;
    part->stream->held -= part->held;
    gateway_part_give(part);
}

static void cancel_all(struct gateway_stream *s)
{
    bool was_busy = s->busy;

    s->busy = true; /* what ends at once stays in the list until settle */
    for (struct tern_list *at = s->parts.next; at != &s->parts; at = at->next) {
        struct gateway_part *part = TERN_CONTAINER_OF(at, struct gateway_part, link);
        if (!part->done)
            gateway_cancel(&part->gc);
    }
    s->busy = was_busy;
}

static void fail(struct gateway_stream *s, const struct tern_err *err)
{
    if (s->code != TERN_OK)
        return;
    if (err != &s->own->call.err)
        s->own->call.err = *err;
    s->code = err->code;
    cancel_all(s);
}

static bool is_over(const struct gateway_stream *s)
{
    return s->n_parts == 0 && (s->code != TERN_OK || s->own->call.x->gone || s->all_read);
}

static void end(struct gateway_stream *s)
{
    struct gateway_call *own = s->own;
    struct tern_exchange *x = own->call.x;

    if (s->code == TERN_OK && x->gone)
        s->code = tern_fail(&own->call.err, TERN_CANCELLED, "the client left");
    const struct tern_err *err = s->code == TERN_OK ? NULL : &own->call.err;

    tern_loop_timer_stop(x->loop, &s->timer);
    tern_list_remove(&s->link);
    tern_exchange_body(x);
    if (err != NULL && !s->head_sent)
        gateway_encode_error(own->call.proto, x, err);
    else
        own->call.route->framing->end(x, err, s->head_sent);
    tern_observer_end(own->gateway->settings.observer, x, &own->call, &own->observation, s->code,
                      err);
    x->user = NULL;
    tern_exchange_send(x, true); /* s, own and x may be gone after this */
}

/* ---- sending ---- */

typedef enum tern_code encode_fn(struct tern_call *call, struct tern_err *err);

static enum tern_code encode_error_message(struct tern_call *call, struct tern_err *err)
{
    TERN_UNINITIALIZED struct tern_err error;

    error = call->err;
    return call->route->encode_error_message(call, &error, err);
}

/* One message. What fails here fails the call. */
static enum tern_code send_message(struct gateway_part *part, encode_fn *encode)
{
    struct gateway_stream *s = part->stream;
    struct tern_call *call = &part->gc.call;
    const struct tern_framing *framing = call->route->framing;
    struct tern_exchange *x = call->x;

    x->slices = NULL;
    x->n_slices = 0;
    if (framing->begin != NULL)
        framing->begin(call);
    else
        tern_exchange_body(x);
    TERN_TRY(encode(call, &call->err));
    if (framing->finish != NULL)
        TERN_TRY(framing->finish(call, &call->err));
    s->own->observation.bytes_out += tern_exchange_body_str(x).n + tern_exchange_slices_size(x);
    s->head_sent = true;
    tern_exchange_send(x, false);
    return TERN_OK;
}

static void send_error(struct gateway_part *part)
{
    struct gateway_stream *s = part->stream;
    const struct tern_call *call = &part->gc.call;
    /* Before its only call answered, a status says it better. */
    bool may_tell = s->head_sent || call->route->stream == TERN_STREAM_BOTH;

    if (!may_tell || call->route->encode_error_message == NULL ||
        send_message(part, encode_error_message) != TERN_OK)
        fail(s, &call->err);
}

/* "triton_final_response": whether more answers to this request will come. */
static enum tern_code say_final(struct gateway_part *part, bool is_final)
{
    struct tern_call *call = &part->gc.call;
    const struct tern_params *old = &call->response.params;

    if (!part->wants_final)
        return TERN_OK;
    struct tern_param *rows = tern_arena_zalloc(call->arena, old->n + 1, sizeof(*rows));
    if (rows == NULL)
        return tern_arena_fail(call->arena, &call->err, "the answer's parameters");
    if (old->n > 0)
        memcpy(rows, old->rows, old->n * sizeof(*rows));
    rows[old->n] = (struct tern_param){
        .key = TERN_STR("triton_final_response"), .kind = TERN_PARAM_BOOL, .boolean = is_final};
    call->response.params = (struct tern_params){rows, old->n + 1};
    return TERN_OK;
}

static void count_answer(struct gateway_part *part, uint64_t ready_ns, enum tern_answer kind)
{
    tern_observer_answer(&part->gc.call, &part->gc.observation, part->gc.came_ns, ready_ns, kind);
}

static void send_answer(struct gateway_part *part, struct gateway_answer *answer)
{
    struct tern_call *call = &part->gc.call;
    uint64_t ready_ns = tern_clock_mono_ns();
    bool well = true;
    struct tern_infer_response response = call->response;

    /* What encoding takes goes round with the answer. */
    call->arena = &answer->arena;
    call->response.outputs = answer->outputs;
    call->response.n_outputs = answer->n_outputs;
    enum tern_code code = say_final(part, false);
    if (code == TERN_OK && gateway_finish_outputs(&part->gc) != TERN_OK) {
        send_error(part); /* of this answer; others may be better */
        well = false;
    } else if (code == TERN_OK) {
        code = send_message(part, call->route->encode);
    }
    count_answer(part, ready_ns, well && code == TERN_OK ? TERN_ANSWER_SUCCESS : TERN_ANSWER_FAIL);
    call->arena = &part->arena;
    call->response = response;
    gateway_answer_free(answer);
    if (code != TERN_OK)
        fail(part->stream, &call->err);
}

/* What a call that is done still has to say. */
static void send_last(struct gateway_part *part)
{
    struct tern_call *call = &part->gc.call;
    enum tern_code code = part->code;

    if (gateway_part_is_decoupled(part)) {
        count_answer(part, tern_clock_mono_ns(),
                     code == TERN_OK          ? TERN_ANSWER_EMPTY
                     : code == TERN_CANCELLED ? TERN_ANSWER_CANCEL
                                              : TERN_ANSWER_FAIL);
        call->response.n_outputs = 0;
        if (code == TERN_OK && !part->wants_final)
            return;
    } else if (part->emits && code == TERN_OK) {
        return;
    }
    if (code == TERN_OK)
        code = say_final(part, true);
    if (code == TERN_OK)
        code = send_message(part, call->route->encode);
    part->code = code;
    if (code != TERN_OK)
        send_error(part);
}

static void send_answers(struct gateway_part *part)
{
    const struct tern_exchange *x = part->gc.call.x;

    while (!x->crowded && part->stream->code == TERN_OK && !tern_list_is_empty(&part->answers)) {
        struct tern_list *link = tern_list_pop(&part->answers);
        send_answer(part, TERN_CONTAINER_OF(link, struct gateway_answer, link));
    }
    if (part->emit_due && !x->crowded && !part->done) {
        part->emit_due = false;
        if (send_message(part, part->gc.call.route->encode) != TERN_OK)
            fail(part->stream, &part->gc.call.err);
    }
}

static void send_ready(struct gateway_stream *s)
{
    const struct tern_exchange *x = s->own->call.x;
    bool held = false; /* an older call that answers once has not answered */

    for (struct tern_list *at = s->parts.next, *next; at != &s->parts; at = next) {
        struct gateway_part *part = TERN_CONTAINER_OF(at, struct gateway_part, link);
        next = at->next;
        bool unheard = s->code != TERN_OK || x->gone;
        if (!unheard)
            send_answers(part);
        unheard = s->code != TERN_OK || x->gone;
        bool may_go = unheard || (!x->crowded && tern_list_is_empty(&part->answers) &&
                                  (!held || gateway_part_is_decoupled(part)));
        if (part->done && may_go) {
            if (!unheard)
                send_last(part);
            retire(part);
        } else if (!gateway_part_is_decoupled(part)) {
            held = true;
        }
    }
}

/* ---- reading ---- */

static void start(struct gateway_part *part)
{
    struct gateway_stream *s = part->stream;
    struct gateway_call *gc = &part->gc;
    bool pending = false;

    tern_list_append(&s->parts, &part->link);
    s->n_parts++;
    enum tern_code code = gateway_start(gc, &pending);
    const struct tern_param *asked =
        tern_params_find(&gc->call.request.params, TERN_STR("triton_enable_empty_final_response"));
    part->wants_final = asked != NULL && asked->kind == TERN_PARAM_BOOL && asked->boolean;
    if (code != TERN_OK || !pending)
        gateway_finish(gc, code);
}

/* Cuts the next message off the body and starts its call. False: nothing to do for now. */
static bool read_one(struct gateway_stream *s)
{
    struct gateway_call *own = s->own;
    struct tern_exchange *x = own->call.x;
    struct tern_err *err = &own->call.err;
    struct gateway_part *part = take_part(s);
    size_t used = 0, need = 0;

    if (part == NULL) {
        tern_mem_fail(err, "a request of the stream", sizeof(*part));
        fail(s, err);
        return false;
    }
    enum tern_code code =
        own->call.route->framing->next(x, &part->arena, &part->gc.call.message, &used, &need, err);
    if (code == TERN_OK && used > 0)
        code = gateway_part_keep_message(part, err);
    if (code == TERN_OK && used == 0 && x->body_done && x->body.n > 0)
        code = tern_fail(err, TERN_INTERNAL, "the stream ends inside a message");
    if (code != TERN_OK || used == 0) {
        gateway_part_give(part);
        s->all_read = x->body_done;
        x->body_need = need;
        tern_exchange_take(x, 0); /* the mux looks at the need then */
        if (code != TERN_OK)
            fail(s, err);
        return false;
    }
    own->observation.bytes_in += used;
    part->held = used;
    s->held += used;
    s->early -= used < s->early ? used : s->early;
    tern_exchange_take(x, used);
    start(part);
    return true;
}

/* Requests in flight are bounded in number, and in bytes by what one of them may have. */
static bool may_read(const struct gateway_stream *s)
{
    const struct tern_exchange *x = s->own->call.x;

    return !s->all_read && s->code == TERN_OK && !x->gone && !x->crowded &&
           (!s->draining || s->early > 0) && s->n_parts < CALLS_MAX &&
           (s->n_parts == 0 || s->held < x->body_max);
}

static void read_on(struct gateway_stream *s)
{
    while (may_read(s)) {
        if (!read_one(s))
            break;
        send_ready(s); /* what was done at once leaves before the next is looked at */
    }
}

/* A server that ends answers what had come, and does not wait for requests that may never come. */
static void end_if_draining(struct gateway_stream *s)
{
    TERN_UNINITIALIZED struct tern_err err;
    struct gateway_call *own = s->own;

    if (s->n_parts > 0 || s->all_read || s->code != TERN_OK ||
        !atomic_load(&own->gateway->draining))
        return;
    tern_fail(&err, TERN_UNAVAILABLE, "the server is shutting down");
    fail(s, &err);
}

static void settle(struct gateway_stream *s)
{
    s->again = true;
    if (s->busy)
        return;
    s->busy = true;
    while (s->again) {
        s->again = false;
        send_ready(s);
        read_on(s);
        end_if_draining(s);
    }
    s->busy = false;
    if (is_over(s))
        end(s);
}

/* ---- what happens ---- */

static void on_room(struct tern_exchange *x)
{
    const struct gateway_call *own = x->user;

    if (own != NULL)
        settle(own->stream);
}

static void on_deadline(struct tern_loop_timer *timer)
{
    struct gateway_stream *s = TERN_CONTAINER_OF(timer, struct gateway_stream, timer);
    TERN_UNINITIALIZED struct tern_err err;

    tern_fail(&err, TERN_DEADLINE_EXCEEDED, "the deadline of the stream passed");
    fail(s, &err);
    settle(s);
}

static void watch_deadline(struct gateway_stream *s)
{
    const struct tern_exchange *x = s->own->call.x;
    const struct tern_framing *framing = s->own->call.route->framing;
    uint64_t timeout = framing->timeout == NULL ? 0 : framing->timeout(x);
    uint64_t now = tern_clock_mono_ns(), asked = s->own->call.request.deadline_ns;

    if (timeout == 0 || __builtin_add_overflow(x->start_ns, timeout, &s->deadline_ns))
        s->deadline_ns = 0;
    if (asked != 0 && (s->deadline_ns == 0 || asked < s->deadline_ns))
        s->deadline_ns = asked;
    if (s->deadline_ns == 0)
        return;
    s->timer.on_due = on_deadline;
    (void)tern_loop_timer_offer(x->loop, &s->timer,
                                s->deadline_ns > now ? s->deadline_ns - now : 0);
}

enum tern_code gateway_stream_open(struct gateway_call *own, struct tern_err *err)
{
    struct tern_exchange *x = own->call.x;
    struct gateway_loop *loop = own->loop;
    struct gateway_stream *s = tern_arena_zalloc(x->arena, 1, sizeof(*s));

    if (s == NULL)
        return tern_arena_fail(x->arena, err, "the stream");
    s->own = own;
    own->stream = s;
    tern_list_init(&s->parts);
    tern_list_append(&loop->streams, &s->link);
    atomic_store(&loop->loop, x->loop);
    x->wants_parts = own->call.route->stream == TERN_STREAM_BOTH;
    x->on_room = on_room;
    tern_observer_enter(own->gateway->settings.observer, x, &own->observation);
    watch_deadline(s);
    return TERN_OK;
}

/* The one request of a stream of answers. */
static void read_only_one(struct gateway_stream *s)
{
    struct gateway_part *part = take_part(s);
    struct tern_err *err = &s->own->call.err;

    s->all_read = true;
    if (part == NULL) {
        tern_mem_fail(err, "a request of the stream", sizeof(*part));
        fail(s, err);
    } else if (gateway_unframe(&part->gc.call, err) != TERN_OK) {
        gateway_part_give(part);
        fail(s, err);
    } else {
        start(part);
    }
}

void gateway_stream_read(struct gateway_call *own)
{
    struct gateway_stream *s = own->stream;

    if (own->call.route->stream == TERN_STREAM_ANSWER) {
        s->busy = true; /* what is done at once leaves below */
        read_only_one(s);
        s->busy = false;
    }
    settle(s);
}

void gateway_stream_fail(struct gateway_call *own, const struct tern_err *err)
{
    fail(own->stream, err);
    settle(own->stream);
}

void gateway_stream_gone(struct gateway_call *own)
{
    cancel_all(own->stream);
    settle(own->stream);
}

void gateway_stream_finish(struct gateway_call *gc, enum tern_code code)
{
    struct gateway_part *part = gc->part;

    part->done = true;
    part->code = code;
    settle(part->stream);
}

void gateway_stream_answer(struct gateway_call *gc, struct gateway_answer *answer)
{
    struct gateway_part *part = gc->part;

    tern_list_append(&part->answers, &answer->link);
    settle(part->stream);
}

void gateway_emit(struct gateway_call *gc)
{
    gc->part->emits = true;
    gc->part->emit_due = true;
    settle(gc->part->stream);
}

void gateway_stream_drain(struct gateway_loop *loop)
{
    struct tern_list mine;
    struct tern_list *link;

    tern_list_init(&mine);
    while ((link = tern_list_pop(&loop->streams)) != NULL)
        tern_list_append(&mine, link);
    while ((link = tern_list_pop(&mine)) != NULL) {
        struct gateway_stream *s = TERN_CONTAINER_OF(link, struct gateway_stream, link);
        tern_list_append(&loop->streams, link);
        s->draining = true;
        s->early = s->own->call.x->body.n;
        settle(s);
    }
}
