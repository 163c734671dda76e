/* The life of an HTTP/1.1 connection and of its exchanges. */
#include "net/mux_h1.h"

#include <string.h>
#include "base/mem.h"
#include "net/mux_h1_int.h"

#define ARENA_FIRST    8192u
#define EXCHANGES_KEPT 1024u
#define CONNS_KEPT     1024u
#define KEPT_QUIET     4u
#define DECODED_KEPT   (64u << 10)
#define HELD_KEPT      (16u << 10)
#define ENCODED_MAX    (256u << 20)

static void on_look_after(struct tern_loop_task *task);

static struct h1_shared *shared_of(struct tern_hub *hub)
{
    struct h1_shared *shared = hub->h1_state;

    if (shared != NULL)
        return shared;
    shared = tern_mem_zalloc(1, sizeof(*shared));
    if (shared == NULL)
        return NULL;
    shared->hub = hub;
    tern_pool_init(&shared->pool, sizeof(struct h1), CONNS_KEPT);
    tern_list_init(&shared->free);
    tern_list_init(&shared->dirty);
    tern_list_init(&shared->finished);
    tern_decoder_init(&shared->decoder);
    tern_encoder_init(&shared->encoder);
    tern_buf_init(&shared->encoded, ENCODED_MAX);
    shared->look_after.run = on_look_after;
    hub->h1_state = shared;
    return shared;
}

/* Exchanges. */

static void free_exchange(struct h1_exchange *hx)
{
    tern_arena_fini(&hx->arena);
    tern_buf_fini(&hx->decoded);
    tern_buf_fini(&hx->held);
    tern_mem_free(hx);
}

static struct h1_exchange *new_exchange(struct tern_hub *hub)
{
    struct h1_exchange *hx = tern_mem_alloc(sizeof(*hx));

    if (hx == NULL)
        return NULL;
    memset(hx, 0, sizeof(*hx));
    hx->hub = hub;
    tern_list_init(&hx->link);
    tern_arena_init(&hx->arena, ARENA_FIRST, 0);
    hx->arena.till = hub->till;
    return hx;
}

struct h1_exchange *h1_exchange_take(struct h1 *h1)
{
    struct tern_conn *conn = h1->conn;
    struct tern_hub *hub = conn->hub;
    struct h1_shared *shared = hub->h1_state;
    struct tern_list *link = tern_list_pop(&shared->free);
    struct h1_exchange *hx;

    if (link != NULL) {
        hx = TERN_CONTAINER_OF(link, struct h1_exchange, link);
        shared->n_free--;
    } else if ((hx = new_exchange(hub)) == NULL) {
        return NULL;
    }
    tern_hub_tidy_later(hub);
    TERN_COUNT(hub->counters.exchanges_begun, 1);
    hx->h1 = h1;
    hx->arena.max = conn->listener->memory_max;
    hx->held.max = ENCODED_MAX;
    tern_http1_head_start(&hx->head, hx->fields, &hub->limits.head);
    struct tern_exchange *x = &hx->x;
    x->arena = &hx->arena;
    x->loop = hub->loop;
    x->listener = conn->listener;
    x->ops = &h1_exchange_ops;
    x->out = &hub->out;
    x->peer = tern_str_make(conn->peer, conn->n_peer);
    x->tls = conn->transport->is_tls;
    x->http_major = 1;
    x->http_minor = 1;
    x->body_max = conn->listener->body_max;
    x->expand_max = hub->limits.expand_max;
    x->start_ns = tern_loop_now_ns(hub->loop);
    return hx;
}

/* Back to the state of a fresh one. The large arrays (fields, response_headers) stay as they are:
 * their counts say what is in them. */
static void clear_exchange(struct h1_exchange *hx)
{
    struct tern_exchange *x = &hx->x;

    x->method = TERN_METHOD_GET;
    x->method_text = x->path = x->query = x->authority = (struct tern_str){NULL, 0};
    x->headers = NULL;
    x->n_headers = 0;
    x->header_names = 0;
    x->content_type = x->body = x->response_type = (struct tern_str){NULL, 0};
    x->status = 0;
    x->n_response_headers = x->n_response_trailers = 0;
    x->wants_parts = x->body_done = x->brief = false;
    x->body_need = 0;
    x->slices = NULL;
    x->n_slices = 0;
    x->allow_compression = false;
    x->body_ns = x->bytes_out = 0;
    x->ending = TERN_ENDING_UNFINISHED;
    x->gone = false;
    x->unsent = 0;
    x->crowded = false;
    x->on_room = NULL;
    x->user = NULL;
    hx->h1 = NULL;
    hx->rbuf = NULL;
    hx->body = NULL;
    hx->body_cap = hx->body_lead = hx->body_n = hx->counted = hx->charged = 0;
    hx->came = hx->broken_off = hx->handed = hx->skip_body = hx->wants_continue = hx->last =
        hx->timed = false;
    hx->encoding = TERN_ENCODING_IDENTITY;
    hx->head_sent = hx->ended = hx->chunked = false;
    hx->end_mark = 0;
}

static void empty(struct tern_buf *buf, size_t keep)
{
    tern_buf_clear(buf);
    if (TERN_UNLIKELY(buf->cap > keep))
        tern_buf_shrink(buf, keep);
}

void h1_exchange_came(struct h1_exchange *hx)
{
    if (hx->came)
        return;
    hx->came = true;
    TERN_COUNT(hx->hub->counters.requests_came, 1);
}

static enum tern_ending ending_of(const struct h1_exchange *hx)
{
    if (hx->x.gone)
        return TERN_ENDING_CANCELLED;
    if (hx->broken_off)
        return TERN_ENDING_UNFINISHED;
    bool is_lost = hx->ended && (hx->end_mark == 0 || hx->h1->conn->bytes_sent < hx->end_mark);
    return is_lost ? TERN_ENDING_LOST : (enum tern_ending)hx->x.ending;
}

void h1_exchange_recycle(struct h1_exchange *hx)
{
    struct tern_hub *hub = hx->hub;
    struct h1_shared *shared = hub->h1_state;

    if (hx->came)
        TERN_COUNT(hub->counters.requests_ended[ending_of(hx)], 1);
    tern_list_remove(&hx->link);
    TERN_COUNT(hub->counters.exchanges_ended, 1);
    tern_arena_reset(&hx->arena); /* runs cleanups: before the bytes they may refer to go */
    tern_hub_rbuf_unref(hub, hx->rbuf);
    tern_hub_body_give(hub, hx->body, hx->body_cap);
    hub->body_bytes -= hx->counted;
    tern_till_give(hub->till, hx->charged);
    empty(&hx->decoded, DECODED_KEPT);
    empty(&hx->held, HELD_KEPT);
    clear_exchange(hx);
    if (shared->n_free >= EXCHANGES_KEPT) {
        free_exchange(hx);
        return;
    }
    /* Newest first: it is the one in the caches. */
    tern_list_append(shared->free.next, &hx->link);
    shared->n_free++;
}

/* The end of a round. */

static void ask(struct h1_shared *shared)
{
    if (shared->asked)
        return;
    shared->asked = true;
    tern_loop_defer(shared->hub->loop, &shared->look_after);
}

void h1_mark_dirty(struct h1 *h1)
{
    struct h1_shared *shared = h1->conn->hub->h1_state;

    if (tern_list_is_empty(&h1->dirty))
        tern_list_append(&shared->dirty, &h1->dirty);
    ask(shared);
}

void h1_finish_orphan(struct h1_exchange *hx)
{
    struct h1_shared *shared = hx->hub->h1_state;

    tern_list_remove(&hx->link);
    tern_list_append(&shared->finished, &hx->link);
    ask(shared);
}

static void on_look_after(struct tern_loop_task *task)
{
    struct h1_shared *shared = TERN_CONTAINER_OF(task, struct h1_shared, look_after);
    struct tern_list *link;

    shared->asked = false;
    while ((link = tern_list_pop(&shared->finished)) != NULL)
        h1_exchange_recycle(TERN_CONTAINER_OF(link, struct h1_exchange, link));
    while ((link = tern_list_pop(&shared->dirty)) != NULL) {
        struct h1 *h1 = TERN_CONTAINER_OF(link, struct h1, dirty);
        h1_process(h1);
        h1_tell_room(h1);
    }
}

/* Connections. */

static enum tern_code h1_open(struct tern_conn *conn, struct tern_err *err)
{
    struct h1_shared *shared = shared_of(conn->hub);
    struct h1 *h1 = shared == NULL ? NULL : tern_pool_take(&shared->pool);

    if (h1 == NULL)
        return tern_mem_fail(err, "an HTTP/1.1 connection", sizeof(*h1));
    memset(h1, 0, sizeof(*h1));
    h1->conn = conn;
    tern_list_init(&h1->waiting);
    tern_list_init(&h1->flushing);
    tern_list_init(&h1->dirty);
    conn->mux_state = h1;
    return TERN_OK;
}

static void h1_on_sent(struct tern_conn *conn)
{
    struct h1 *h1 = conn->mux_state;

    h1_process(h1);
    h1_tell_room(h1);
}

static void refuse_slow(struct h1 *h1, const char *what)
{
    struct tern_err err;

    tern_fail_http(&err, TERN_DEADLINE_EXCEEDED, 408, "%s came too slowly", what);
    h1_refuse(h1, &err);
    h1_process(h1);
}

static void h1_on_timeout(struct tern_conn *conn)
{
    struct h1 *h1 = conn->mux_state;
    const struct tern_net_limits *limits = &conn->hub->limits;

    if (h1->n_probes > 0) {
        h1_probe(h1);
        return;
    }
    if (h1->now == NULL) {
        if (h1->n_waiting == 0 && h1->reading == H1_HEAD)
            tern_conn_shutdown(conn); /* idle for too long: no one is there to be told */
        return;
    }
    if (h1->reading == H1_HEAD && h1_is_blank(h1)) {
        tern_conn_shutdown(conn); /* an empty line after the last body was all that came */
        return;
    }
    if (h1->reading == H1_HEAD) {
        refuse_slow(h1, "the request header");
        return;
    }
    uint64_t got = h1->now->body_n - h1->body_mark;
    if (got < limits->body_rate_min * (limits->body_grace_ns / TERN_NS_PER_MS) / 1000) {
        refuse_slow(h1, "the request body");
        return;
    }
    h1->body_mark = h1->now->body_n;
    tern_conn_deadline(conn, limits->body_grace_ns);
}

/* A request of which a byte has come is accepted. A client that was busy a moment ago has probably
 * sent its next request: it gets that answered, with Connection: close. Others are let go at once,
 * after a last look into the socket. */
static void h1_drain(struct tern_conn *conn)
{
    struct h1 *h1 = conn->mux_state;
    uint64_t now = tern_loop_now_ns(conn->hub->loop);
    uint64_t idle_ns = conn->hub->limits.idle_ns;

    if (h1->now != NULL || h1->n_waiting > 0 || conn->in != NULL)
        return;
    /* The idle deadline was set when the last answer was out. */
    if (conn->mux_due_ns + TERN_CONN_BUSY_NS > now + idle_ns)
        tern_conn_deadline(conn, TERN_CONN_DRAIN_GRACE_NS);
    else
        h1_on_readable(conn);
}

static void orphan(struct h1_exchange *hx)
{
    struct tern_hub *hub = hx->hub;

    if (!hx->handed || hx->ended) {
        h1_exchange_recycle(hx);
        return;
    }
    hx->h1 = NULL;
    hx->x.gone = true;
    if (hub->handler->on_gone != NULL)
        hub->handler->on_gone(hub->handler->self, &hx->x);
}

static void h1_close(struct tern_conn *conn)
{
    struct h1 *h1 = conn->mux_state;
    struct h1_shared *shared = conn->hub->h1_state;
    struct tern_list *link;

    tern_list_remove(&h1->dirty);
    if (h1->now != NULL && tern_list_is_empty(&h1->now->link)) {
        if (!h1_is_blank(h1))
            h1_exchange_came(h1->now);
        h1_exchange_recycle(h1->now);
    }
    h1->now = NULL;
    while ((link = tern_list_pop(&h1->waiting)) != NULL)
        orphan(TERN_CONTAINER_OF(link, struct h1_exchange, link));
    while ((link = tern_list_pop(&h1->flushing)) != NULL)
        h1_exchange_recycle(TERN_CONTAINER_OF(link, struct h1_exchange, link));
    conn->mux_state = NULL;
    tern_pool_give(&shared->pool, h1);
}

static void h1_hub_tidy(struct tern_hub *hub)
{
    struct h1_shared *shared = hub->h1_state;

    if (shared == NULL)
        return;
    while (shared->n_free > KEPT_QUIET) {
        struct tern_list *link = tern_list_pop(&shared->free);
        free_exchange(TERN_CONTAINER_OF(link, struct h1_exchange, link));
        shared->n_free--;
    }
    tern_pool_trim(&shared->pool, KEPT_QUIET);
    tern_buf_fini(&shared->encoded);
}

static void h1_hub_fini(struct tern_hub *hub)
{
    struct h1_shared *shared = hub->h1_state;
    struct tern_list *link;

    if (shared == NULL)
        return;
    while ((link = tern_list_pop(&shared->finished)) != NULL)
        h1_exchange_recycle(TERN_CONTAINER_OF(link, struct h1_exchange, link));
    while ((link = tern_list_pop(&shared->free)) != NULL)
        free_exchange(TERN_CONTAINER_OF(link, struct h1_exchange, link));
    tern_pool_fini(&shared->pool);
    tern_decoder_fini(&shared->decoder);
    tern_encoder_fini(&shared->encoder);
    tern_buf_fini(&shared->encoded);
    tern_mem_free(shared);
    hub->h1_state = NULL;
}

const struct tern_mux_ops tern_mux_h1 = {
    .name = "h1",
    .open = h1_open,
    .on_readable = h1_on_readable,
    .on_sent = h1_on_sent,
    .on_timeout = h1_on_timeout,
    .drain = h1_drain,
    .close = h1_close,
    .hub_tidy = h1_hub_tidy,
    .hub_fini = h1_hub_fini,
};
