/* Requests in parts: what came is shown to the handler, which takes from the front when it is
 * ready. The window of the stream (RFC 9113 5.2) follows the taking, so that a handler that is
 * slow, or waits for its own client to read, holds the client back. The connection's window opens
 * at once: one stream that waits must not hold up the others. */
#include "net/h2_int.h"

#include <assert.h>
#include <string.h>
#include "base/mem.h"

static void show(struct tern_h2_stream *s)
{
    static const char nothing[TERN_TEXT_PAD];

    s->x.body =
        s->body_n > 0 ? tern_str_make(s->body + s->body_at, s->body_n) : tern_str_make(nothing, 0);
}

/* Opens the window for what was taken, and for what waits while the handler needs more than that.
 * True when there was something to open. */
static bool credit(struct tern_h2_stream *s)
{
    const struct tern_exchange *x = &s->x;
    size_t need = x->body_need < x->body_max ? x->body_need : x->body_max;
    size_t keep = s->body_n < need ? 0 : s->body_n;

    if (s->uncredited <= keep || s->closed || s->complete)
        return false;
    size_t n = s->uncredited - keep;
    s->uncredited = keep;
    if (nghttp2_session_consume_stream(s->h->session, s->id, n) != 0)
        tern_conn_abort(s->h->conn); /* without memory: the client would wait forever */
    return true;
}

/* Room for n more bytes behind those that wait. */
static bool make_room(struct tern_h2_stream *s, size_t n)
{
    struct tern_h2_conn *h = s->h;
    struct tern_hub *hub = s->shared->hub;
    size_t cap;

    if (n <= s->body_room - s->body_at - s->body_n)
        return true;
    /* Moving pays when it frees as much as it moves. */
    if (s->body_at >= s->body_n && s->body_at > 0 && n <= s->body_room - s->body_n) {
        memmove(s->body, s->body + s->body_at, s->body_n);
        s->body_at = 0;
        return true;
    }
    if (!tern_h2_body_may_hold_more(h))
        return false;
    size_t want = s->body_n + n > s->body_n * 2 ? s->body_n + n : s->body_n * 2;
    if (s->x.body_need > want && s->x.body_need <= s->x.body_max)
        want = s->x.body_need; /* known to come */
    char *fresh = tern_hub_body_take(hub, want, &cap);
    if (fresh == NULL)
        return false;
    size_t waiting = s->body_n;
    if (waiting > 0)
        memcpy(fresh, s->body + s->body_at, waiting);
    tern_h2_body_give(s);
    s->body = fresh;
    s->body_room = s->body_cap = cap;
    s->body_n = waiting;
    h->body_bytes += cap;
    return true;
}

static void await_hand_over(struct tern_h2_stream *s)
{
    if (tern_list_is_empty(&s->ready_link))
        tern_list_append(&s->h->ready, &s->ready_link);
}

void tern_h2_parts_begin(struct tern_h2_stream *s)
{
    s->parts = true;
    s->phase = TERN_H2_PHASE_HANDED; /* from on_head on it may keep what on_gone must hear of */
    s->x.body_ns = tern_loop_now_ns(s->x.loop);
    show(s);
    await_hand_over(s);
}

void tern_h2_parts_add(struct tern_h2_stream *s, const uint8_t *p, size_t n)
{
    if (n == 0)
        return;
    if (!make_room(s, n) || !tern_h2_body_charge(s, s->body_room, s->body_n + n)) {
        /* gRPC clients read this as RESOURCE_EXHAUSTED. The handler hears that the stream is gone.
         */
        s->unwanted = true;
        tern_list_remove(&s->ready_link);
        nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id,
                                  NGHTTP2_ENHANCE_YOUR_CALM);
        return;
    }
    memcpy(s->body + s->body_at + s->body_n, p, n);
    s->body_n += n;
    s->uncredited += n;
    show(s);
    credit(s);
    await_hand_over(s);
}

void tern_h2_parts_complete(struct tern_h2_stream *s)
{
    s->x.body_ns = tern_loop_now_ns(s->x.loop);
    s->x.body_done = true;
    await_hand_over(s);
}

void tern_h2_parts_hand_over(struct tern_h2_stream *s)
{
    const struct tern_handler *handler = s->shared->hub->handler;

    if (s->phase == TERN_H2_PHASE_DONE)
        return;
    handler->on_part(handler->self, &s->x);
    credit(s);
}

void tern_h2_parts_take(struct tern_exchange *x, size_t n)
{
    struct tern_h2_stream *s = tern_h2_stream_of(x);

    assert(n <= x->body.n);
    if (!s->parts) {
        x->body = tern_str_make(x->body.p + n, x->body.n - n);
        return;
    }
    s->body_at += n;
    s->body_n -= n;
    if (s->body_n == 0)
        tern_h2_body_give(s); /* a stream that waits holds no memory */
    show(s);
    if (credit(s))
        tern_mux_h2_touch(s->h);
}
