/* Sessions: what one connection does with nghttp2, and what the connections of a loop share. */
#include "net/mux_h2.h"

#include <assert.h>
#include "base/clock.h"
#include "base/mem.h"
#include "net/h2_int.h"

#define INPUT_SIZE    65536u
#define WIRE_MAX      (64u << 20) /* one batch of frames is far smaller; a bound, not a budget */
#define WIRE_KEPT     (64u << 10)
#define CONNS_KEPT    256u
#define DRAIN_WAIT_NS TERN_NS_PER_S /* for the PING that follows the first GOAWAY */
#define MILLI         1000u
#define GLITCHES_LEAK 20u /* forgiven a second */

/* What a loop shares. */

static void on_flush(struct tern_loop_task *task);

static void shared_free(struct tern_h2_hub *shared)
{
    if (shared == NULL)
        return;
    tern_h2_request_trim(shared, 0);
    nghttp2_session_callbacks_del(shared->callbacks);
    nghttp2_option_del(shared->option);
    tern_pool_fini(&shared->pool_conn);
    tern_decoder_fini(&shared->decoder);
    tern_encoder_fini(&shared->encoder);
    tern_buf_fini(&shared->wire);
    tern_mem_free(shared->input);
    tern_h2_mem_fini(&shared->mem);
    tern_mem_free(shared);
}

static enum tern_code shared_new(struct tern_hub *hub, struct tern_h2_hub **ret_shared,
                                 struct tern_err *err)
{
    struct tern_h2_hub *shared = tern_mem_zalloc(1, sizeof(*shared));

    if (shared == NULL)
        return tern_mem_fail(err, "the HTTP/2 connections of an event loop", sizeof(*shared));
    shared->hub = hub;
    shared->flush.run = on_flush;
    tern_h2_mem_init(&shared->mem);
    tern_list_init(&shared->streams_free);
    tern_list_init(&shared->dirty);
    tern_pool_init(&shared->pool_conn, sizeof(struct tern_h2_conn), CONNS_KEPT);
    tern_decoder_init(&shared->decoder);
    tern_encoder_init(&shared->encoder);
    tern_buf_init(&shared->wire, WIRE_MAX);
    shared->input = tern_mem_alloc(INPUT_SIZE);
    if (shared->input == NULL || nghttp2_session_callbacks_new(&shared->callbacks) != 0 ||
        nghttp2_option_new(&shared->option) != 0) {
        shared_free(shared);
        return tern_mem_fail(err, "the HTTP/2 connections of an event loop", INPUT_SIZE);
    }
    tern_h2_frames_set_callbacks(shared->callbacks);
    nghttp2_option_set_no_auto_window_update(shared->option, 1);
    nghttp2_option_set_no_http_messaging(shared->option, 1); /* h2_fields sees to it */
    hub->h2_state = shared;
    *ret_shared = shared;
    return TERN_OK;
}

static void hub_tidy(struct tern_hub *hub)
{
    struct tern_h2_hub *shared = hub->h2_state;

    if (shared == NULL)
        return;
    tern_h2_request_trim(shared, 0);
    tern_h2_mem_trim(&shared->mem);
    tern_pool_trim(&shared->pool_conn, 0);
    tern_decoder_fini(&shared->decoder);
    tern_encoder_fini(&shared->encoder);
    tern_buf_clear(&shared->wire);
    tern_buf_shrink(&shared->wire, WIRE_KEPT);
}

static void hub_fini(struct tern_hub *hub)
{
    shared_free(hub->h2_state);
    hub->h2_state = NULL;
}

/* Sending. */

void tern_mux_h2_add_segment(struct tern_h2_hub *shared, const char *p, size_t n)
{
    struct tern_h2_segment *last =
        shared->n_segments == 0 ? NULL : &shared->segments[shared->n_segments - 1];

    shared->batch += n;
    if (p == NULL && last != NULL && last->p == NULL)
        last->n += n;
    else
        shared->segments[shared->n_segments++] = (struct tern_h2_segment){p, n};
}

/* Lets nghttp2 write frames into the batch until it has no more or the batch is full. */
static bool collect(struct tern_h2_conn *h)
{
    struct tern_h2_hub *shared = h->shared;
    const uint8_t *p = NULL;

    tern_buf_clear(&shared->wire);
    shared->n_segments = 0;
    shared->batch = 0;
    shared->full = false;
    while (!shared->full) {
        ssize_t n = nghttp2_session_mem_send(h->session, &p);
        if (n < 0)
            return false;
        if (n == 0)
            break;
        tern_buf_add(&shared->wire, p, (size_t)n);
        tern_mux_h2_add_segment(shared, NULL, (size_t)n);
        shared->full = shared->n_segments == TERN_H2_SEGMENTS;
    }
    return !shared->wire.failed;
}

static void emit(struct tern_h2_conn *h)
{
    struct tern_h2_hub *shared = h->shared;
    size_t at = 0;

    if (shared->n_segments > 1)
        tern_conn_cork(h->conn);
    for (uint32_t i = 0; i < shared->n_segments; i++) {
        const struct tern_h2_segment *segment = &shared->segments[i];
        struct tern_slice slice = {segment->p, segment->n};
        if (segment->p == NULL) {
            slice.p = shared->wire.p + at;
            at += segment->n;
        }
        tern_conn_send(h->conn, &slice, 1, segment->p == NULL ? 1 : 0);
    }
    if (shared->n_segments > 1)
        tern_conn_uncork(h->conn);
}

/* Frees the streams whose last bytes the kernel has. */
static void sweep(struct tern_h2_conn *h)
{
    for (struct tern_list *at = h->finishing.next, *next; at != &h->finishing; at = next) {
        struct tern_h2_stream *s = TERN_CONTAINER_OF(at, struct tern_h2_stream, link);
        next = at->next;
        if (s->sent_mark <= h->conn->bytes_sent)
            tern_h2_request_release(s);
    }
}

/* Asks streaming handlers for more. What they send leaves with the next flush: a client that reads
 * as fast as a handler writes must not hold the loop. */
static void tell_room(struct tern_h2_conn *h)
{
    struct tern_list *link;
    struct tern_list told;

    tern_list_init(&told);
    while ((link = tern_list_pop(&h->roomy)) != NULL)
        tern_list_append(&told, link);
    while ((link = tern_list_pop(&told)) != NULL) {
        struct tern_h2_stream *s = TERN_CONTAINER_OF(link, struct tern_h2_stream, room_link);
        if (!s->ended)
            tern_exchange_set_unsent(&s->x, s->pending);
    }
}

static void flush(struct tern_h2_conn *h)
{
    struct tern_conn *conn = h->conn;

    tern_list_remove(&h->dirty);
    while (!tern_conn_is_dead(conn) && !tern_conn_is_congested(conn)) {
        if (!collect(h)) {
            tern_conn_abort(conn);
            return;
        }
        emit(h);
        if (!h->shared->full)
            break;
    }
    sweep(h);
    if (tern_conn_is_dead(conn))
        return;
    tell_room(h);
    tern_conn_read_on(conn, !tern_conn_is_congested(conn));
    bool over =
        nghttp2_session_want_read(h->session) == 0 && nghttp2_session_want_write(h->session) == 0;
    if (over || (h->drain == TERN_H2_DRAIN_FINAL && h->n_open == 0))
        tern_conn_shutdown(conn);
}

static void on_flush(struct tern_loop_task *task)
{
    struct tern_h2_hub *shared = TERN_CONTAINER_OF(task, struct tern_h2_hub, flush);
    struct tern_list *link;
    struct tern_list now;

    shared->flush_asked = false;
    /* Only those of this round: a flush may lead to more to send (tell_room). */
    tern_list_init(&now);
    while ((link = tern_list_pop(&shared->dirty)) != NULL)
        tern_list_append(&now, link);
    while ((link = tern_list_pop(&now)) != NULL)
        flush(TERN_CONTAINER_OF(link, struct tern_h2_conn, dirty));
}

void tern_mux_h2_touch(struct tern_h2_conn *h)
{
    struct tern_h2_hub *shared = h->shared;

    if (h->busy || !tern_list_is_empty(&h->dirty))
        return;
    tern_list_append(&shared->dirty, &h->dirty);
    if (!shared->flush_asked) {
        shared->flush_asked = true;
        tern_loop_defer(shared->hub->loop, &shared->flush);
    }
}

/* Abuse. */

void tern_mux_h2_glitch(struct tern_h2_conn *h, uint32_t weight)
{
    uint64_t now = tern_loop_now_ns(h->shared->hub->loop);
    uint64_t leaked = (now - h->glitch_ns) / (TERN_NS_PER_S / MILLI) * GLITCHES_LEAK;

    h->glitch_ns = now;
    h->glitches = (h->glitches > leaked ? h->glitches - leaked : 0) + weight * MILLI;
    uint64_t max = (uint64_t)h->shared->hub->limits.h2_glitches_max * MILLI;
    if (h->glitches >= max)
        nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
    else if (h->glitches >= max / 4 * 3)
        tern_mux_h2_drain_start(h);
}

void tern_mux_h2_control(struct tern_h2_conn *h)
{
    uint64_t now = tern_loop_now_ns(h->shared->hub->loop);

    if (now - h->control_ns >= TERN_NS_PER_S) {
        h->control_ns = now;
        h->control = 0;
    }
    if (++h->control > h->shared->hub->limits.h2_control_max)
        nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* The connection has one clock for all that it waits for. */
static void arm(struct tern_h2_conn *h)
{
    uint64_t now = tern_loop_now_ns(h->shared->hub->loop);
    uint64_t alive_ns = tern_h2_alive_due(h);
    uint64_t due = h->check_ns < alive_ns ? h->check_ns : alive_ns;

    tern_conn_deadline(h->conn, due > now ? due - now : 1);
}

/* The end. RFC 9113 6.8: first a GOAWAY that names no stream, so that requests already under way
 * are served; a PING chases it; when its answer is back, the client has stopped opening streams and
 * the second GOAWAY names the last one. */

const uint8_t tern_mux_h2_drain_ping[8] = "goaway";

void tern_mux_h2_drain_start(struct tern_h2_conn *h)
{
    if (h->drain != TERN_H2_DRAIN_NO)
        return;
    h->drain = TERN_H2_DRAIN_NOTICE;
    nghttp2_submit_shutdown_notice(h->session);
    nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, tern_mux_h2_drain_ping);
    h->check_ns = tern_loop_now_ns(h->shared->hub->loop) + DRAIN_WAIT_NS;
    arm(h);
    tern_mux_h2_touch(h);
}

void tern_mux_h2_drain_finish(struct tern_h2_conn *h)
{
    h->drain = TERN_H2_DRAIN_FINAL;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
    tern_mux_h2_touch(h);
}

static void drain(struct tern_conn *conn)
{
    tern_mux_h2_drain_start(conn->mux_state);
}

/* Time. */

void tern_mux_h2_rearm(struct tern_h2_conn *h)
{
    const struct tern_net_limits *limits = &h->shared->hub->limits;

    if (h->drain == TERN_H2_DRAIN_NOTICE)
        return; /* the clock runs for the PING */
    h->check_ns = tern_loop_now_ns(h->shared->hub->loop);
    h->check_ns += h->n_open > 0 || !h->greeted ? limits->header_ns : limits->idle_ns;
    arm(h);
}

/* The client does not send its body as fast as it must. Begins a new period otherwise. */
static bool is_upload_slow(struct tern_h2_stream *s, uint64_t now)
{
    const struct tern_net_limits *limits = &s->shared->hub->limits;

    if (now - s->progress_ns < limits->body_grace_ns)
        return false;
    uint64_t least = limits->body_rate_min * (limits->body_grace_ns / TERN_NS_PER_MS) / 1000;
    bool slow = s->body_n - s->progress_n < least;
    s->progress_ns = now;
    s->progress_n = s->body_n;
    return slow;
}

static void check_stream(struct tern_h2_stream *s, uint64_t now)
{
    const struct tern_net_limits *limits = &s->shared->hub->limits;
    struct tern_err err;

    switch (s->phase) {
    case TERN_H2_PHASE_HEAD: /* a header block that does not end holds the whole connection */
        if (now - s->progress_ns >= limits->header_ns)
            nghttp2_session_terminate_session(s->h->session, NGHTTP2_ENHANCE_YOUR_CALM);
        break;
    case TERN_H2_PHASE_BODY:
        if (!is_upload_slow(s, now))
            break;
        tern_fail_http(&err, TERN_DEADLINE_EXCEEDED, 408,
                       "the body came slower than %llu bytes a second",
                       (unsigned long long)limits->body_rate_min);
        tern_h2_request_refuse(s, &err);
        break;
    case TERN_H2_PHASE_HANDED:
    case TERN_H2_PHASE_DONE: /* an answer that the client opens no window for */
        if (s->pending > 0 && now - s->progress_ns >= limits->write_stall_ns)
            nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
        else if (s->unwanted && now - s->progress_ns >= limits->linger_ns)
            nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
        break;
    case TERN_H2_PHASE_READY:
        break;
    }
}

/* It is time to look after what is open. */
static void check(struct tern_h2_conn *h, uint64_t now)
{
    if (!h->greeted) {
        tern_conn_abort(h->conn);
        return;
    }
    if (h->drain == TERN_H2_DRAIN_NOTICE || h->n_open == 0)
        tern_mux_h2_drain_finish(h); /* not waiting for a PING that does not come; or idle */
    for (struct tern_list *at = h->open.next, *next; at != &h->open; at = next) {
        next = at->next;
        check_stream(TERN_CONTAINER_OF(at, struct tern_h2_stream, link), now);
    }
    tern_mux_h2_rearm(h);
}

static void on_timeout(struct tern_conn *conn)
{
    struct tern_h2_conn *h = conn->mux_state;
    uint64_t now = tern_loop_now_ns(h->shared->hub->loop);

    if (!tern_h2_alive_check(h, now))
        return;
    if (now >= h->check_ns)
        check(h, now);
    else
        arm(h);
    tern_mux_h2_touch(h);
}

/* Receiving. */

static void parse(struct tern_h2_conn *h, const char *p, size_t n)
{
    /* Protocol errors queue a GOAWAY and answer n; what is negative leaves nothing to say. */
    if (nghttp2_session_mem_recv(h->session, (const uint8_t *)p, n) < 0)
        tern_conn_abort(h->conn);
}

static void hand_over(struct tern_h2_conn *h)
{
    struct tern_list *link;

    while ((link = tern_list_pop(&h->ready)) != NULL)
        tern_h2_request_hand_over(TERN_CONTAINER_OF(link, struct tern_h2_stream, ready_link));
}

static void on_readable(struct tern_conn *conn)
{
    struct tern_h2_conn *h = conn->mux_state;
    enum tern_io io = TERN_IO_OK;
    size_t n;
    char *p = tern_conn_in(conn, &n);

    h->busy = true;
    tern_h2_alive_read(h, tern_loop_now_ns(h->shared->hub->loop));
    if (n > 0) { /* what told that this is HTTP/2 */
        parse(h, p, n);
        tern_conn_consume(conn, n);
        tern_conn_rest(conn);
    } else {
        tern_conn_rest(conn);
        io = tern_conn_recv(conn, h->shared->input, INPUT_SIZE, &n);
        if (io == TERN_IO_OK)
            parse(h, h->shared->input, n);
    }
    hand_over(h);
    h->busy = false;
    flush(h);
    if (io == TERN_IO_EOF) /* half a connection is of no use here: no window would ever open */
        tern_conn_abort(conn);
}

static void on_sent(struct tern_conn *conn)
{
    flush(conn->mux_state);
}

/* Life. */

static enum tern_code start_session(struct tern_h2_conn *h, struct tern_err *err)
{
    const struct tern_net_limits *limits = &h->shared->hub->limits;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->h2_streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->h2_stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->head.bytes_max},
    };
    nghttp2_mem mem = tern_h2_mem_hooks(&h->shared->mem);

    /* Out of reach: our own count of these frames ends the connection first, and with a GOAWAY. */
    nghttp2_option_set_max_outbound_ack(h->shared->option, (size_t)limits->h2_control_max * 2);

    if (nghttp2_session_server_new3(&h->session, h->shared->callbacks, h, h->shared->option,
                                    &mem) != 0)
        return tern_mem_fail(err, "an HTTP/2 session", sizeof(*h));
    if (nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, TERN_COUNT_OF(settings)) !=
            0 ||
        nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                              (int32_t)limits->h2_connection_window) != 0) {
        nghttp2_session_del(h->session);
        return tern_mem_fail(err, "an HTTP/2 session", sizeof(*h));
    }
    return TERN_OK;
}

static enum tern_code open_conn(struct tern_conn *conn, struct tern_err *err)
{
    struct tern_hub *hub = conn->hub;
    uint64_t now = tern_loop_now_ns(hub->loop);

    struct tern_h2_hub *shared = hub->h2_state;
    if (shared == NULL)
        TERN_TRY(shared_new(hub, &shared, err));
    assert(shared != NULL);
    struct tern_h2_conn *h = tern_pool_take(&shared->pool_conn);
    if (h == NULL)
        return tern_mem_fail(err, "an HTTP/2 connection", sizeof(*h));
    *h = (struct tern_h2_conn){.conn = conn, .shared = shared, .glitch_ns = now, .control_ns = now};
    tern_list_init(&h->open);
    tern_list_init(&h->ready);
    tern_list_init(&h->roomy);
    tern_list_init(&h->orphans);
    tern_list_init(&h->finishing);
    tern_list_init(&h->dirty);
    enum tern_code code = start_session(h, err);
    if (code != TERN_OK) {
        tern_pool_give(&shared->pool_conn, h);
        return code;
    }
    conn->mux_state = h;
    tern_h2_alive_start(h, now);
    tern_mux_h2_rearm(h); /* for the client's SETTINGS */
    return TERN_OK;
}

static void close_conn(struct tern_conn *conn)
{
    struct tern_h2_conn *h = conn->mux_state;
    struct tern_list *link;

    h->busy = true; /* nothing is flushed any more */
    tern_list_remove(&h->dirty);
    while (!tern_list_is_empty(&h->open))
        tern_h2_request_closed(TERN_CONTAINER_OF(h->open.next, struct tern_h2_stream, link));
    while ((link = tern_list_pop(&h->orphans)) != NULL)
        TERN_CONTAINER_OF(link, struct tern_h2_stream, link)->h = NULL;
    while ((link = tern_list_pop(&h->finishing)) != NULL) {
        struct tern_h2_stream *s = TERN_CONTAINER_OF(link, struct tern_h2_stream, link);
        s->end_sent &= s->sent_mark <= conn->bytes_sent;
        s->sent_mark = 0;
        tern_h2_request_release(s);
    }
    tern_h2_fields_forget(h);
    nghttp2_session_del(h->session);
    conn->mux_state = NULL;
    tern_pool_give(&h->shared->pool_conn, h);
}

const struct tern_mux_ops tern_mux_h2 = {
    .name = "h2",
    .open = open_conn,
    .on_readable = on_readable,
    .on_sent = on_sent,
    .on_timeout = on_timeout,
    .drain = drain,
    .close = close_conn,
    .hub_tidy = hub_tidy,
    .hub_fini = hub_fini,
};
