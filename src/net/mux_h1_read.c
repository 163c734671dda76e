/* Requests: from bytes to handler->on_request. */
#include <string.h>
#include "net/mux_h1_int.h"

/* The bytes that may be read behind a body that has none. */
static const char no_body[TERN_TEXT_PAD];

static void recycle_flushed(struct h1 *h1)
{
    while (!tern_list_is_empty(&h1->flushing)) {
        struct h1_exchange *hx = TERN_CONTAINER_OF(h1->flushing.next, struct h1_exchange, link);
        /* One that was answered before its body came is still read from. */
        if (h1->conn->bytes_sent < hx->end_mark || hx == h1->now)
            break;
        h1_exchange_recycle(hx);
    }
}

bool h1_is_blank(const struct h1 *h1)
{
    size_t n;

    (void)tern_conn_in(h1->conn, &n);
    return !h1->now->head.has_line && h1->now->head.at == n;
}

static void join_line(struct h1 *h1, struct h1_exchange *hx)
{
    tern_list_append(&h1->waiting, &hx->link);
    h1->n_waiting++;
}

static void stop_reading(struct h1 *h1)
{
    h1->reading = H1_STOP;
    h1->now = NULL;
    tern_conn_deadline(h1->conn, 0);
}

/* Hands an error of the mux's own to the handler, which writes the answer. */
static void hand_refusal(struct h1 *h1, struct h1_exchange *hx, const struct tern_err *err)
{
    const struct tern_handler *handler = h1->conn->hub->handler;

    TERN_COUNT(h1->conn->hub->counters.requests_refused, 1);
    hx->handed = true;
    hx->x.status = tern_err_http_status(err);
    hx->x.body_ns = tern_loop_now_ns(h1->conn->hub->loop);
    handler->on_refused(handler->self, &hx->x, err);
}

void h1_refuse(struct h1 *h1, const struct tern_err *err)
{
    struct h1_exchange *hx = h1->now;

    h1_exchange_came(hx);
    stop_reading(h1);
    hx->last = true;
    if (hx->skip_body)
        return; /* answered already: only the connection ends */
    if (tern_list_is_empty(&hx->link))
        join_line(h1, hx);
    hx->wants_continue = false;
    hand_refusal(h1, hx, err);
}

static void refuse(struct h1 *h1, enum tern_code code, int status, const char *text)
{
    TERN_UNINITIALIZED struct tern_err err;

    tern_fail_http(&err, code, status, "%s", text);
    h1_refuse(h1, &err);
}

/* Counts bytes that this request holds apart from its read buffer. A claimed length costs nothing:
 * memory that was never written to is not there. */
static bool has_room(struct h1_exchange *hx, size_t n)
{
    struct tern_hub *hub = hx->hub;

    hub->body_bytes += n;
    hx->counted += n;
    return hub->body_bytes <= hub->limits.body_bytes_max;
}

static void refuse_full(struct h1 *h1)
{
    refuse(h1, TERN_UNAVAILABLE, 503, "too many request bodies are held in memory; try again");
}

/* Before the bytes are taken: of a body that will have `size`, when n of them came. */
static bool charge(struct h1_exchange *hx, size_t size, size_t n)
{
    size_t due = tern_hub_body_charge(size, n);

    if (due <= hx->charged)
        return true;
    if (!tern_till_take(hx->hub->till, due - hx->charged))
        return false;
    hx->charged = due;
    return true;
}

static void refuse_uncharged(struct h1 *h1)
{
    TERN_UNINITIALIZED struct tern_err err;

    tern_till_fail(&err);
    h1_refuse(h1, &err);
}

/* The decoded body replaces the received one, with the pad behind it. */
static enum tern_code decode_body(struct h1_exchange *hx, struct tern_err *err)
{
    struct h1_shared *shared = hx->hub->h1_state;
    struct tern_exchange *x = &hx->x;
    struct tern_buf *out = &hx->decoded;

    out->max = x->body_max > SIZE_MAX - TERN_TEXT_PAD ? SIZE_MAX : x->body_max + TERN_TEXT_PAD;
    struct tern_decoder_limits limits = {x->body_max, x->expand_max};
    TERN_TRY(tern_decoder_start(&shared->decoder, hx->encoding, limits, err));
    TERN_TRY(tern_decoder_feed(&shared->decoder, x->body, out, err));
    TERN_TRY(tern_decoder_finish(&shared->decoder, err));
    if (!tern_buf_reserve(out, TERN_TEXT_PAD))
        return tern_buf_check(out, "the decompressed request body", err);
    if (!tern_till_take(hx->hub->till, out->n))
        return tern_till_fail(err);
    hx->charged += out->n;
    if (!has_room(hx, out->n))
        return tern_fail(err, TERN_UNAVAILABLE,
                         "too many request bodies are held in memory; try again");
    x->body = tern_buf_str(out);
    return TERN_OK;
}

/* The request is complete: on to the handler. */
static void complete(struct h1 *h1)
{
    struct tern_conn *conn = h1->conn;
    struct h1_exchange *hx = h1->now;
    const struct tern_handler *handler = conn->hub->handler;
    TERN_UNINITIALIZED struct tern_err err;
    size_t waiting;

    h1->now = NULL;
    h1->reading = hx->last ? H1_STOP : H1_HEAD;
    tern_conn_deadline(conn, 0);
    if (hx->skip_body)
        return;
    hx->wants_continue = false;
    hx->x.body_ns = tern_loop_now_ns(conn->hub->loop);
    (void)tern_conn_in(conn, &waiting);
    if (waiting > 0 && h1->reading == H1_HEAD)
        tern_conn_cork(conn); /* more answers will follow: one send for all of them */
    if (hx->encoding != TERN_ENCODING_IDENTITY && hx->x.body.n > 0 &&
        decode_body(hx, &err) != TERN_OK) {
        hand_refusal(h1, hx, &err);
        return;
    }
    hx->handed = true;
    hx->x.body_done = true;
    if (hx->x.wants_parts)
        handler->on_part(handler->self, &hx->x); /* one, and whole */
    else
        handler->on_request(handler->self, &hx->x);
}

/* Heads. */

static void fill_exchange(struct h1_exchange *hx)
{
    const struct tern_http1_head *head = &hx->head;
    struct tern_exchange *x = &hx->x;

    x->method_text = head->method;
    x->method = tern_method_from(head->method);
    x->path = head->path;
    x->query = head->query;
    x->authority = head->authority;
    x->headers = hx->fields;
    x->n_headers = head->n_fields;
    x->header_names = head->names;
    x->content_type = head->content_type;
    x->body = tern_str_make(no_body, 0);
    x->http_minor = head->minor;
}

static void refuse_large(struct h1 *h1, uint64_t max)
{
    TERN_UNINITIALIZED struct tern_err err;

    tern_fail_http(&err, TERN_RESOURCE_EXHAUSTED, 413, "request body: expected at most %llu bytes",
                   (unsigned long long)max);
    h1_refuse(h1, &err);
}

/* Memory for a body of known length. */
static bool take_body(struct h1_exchange *hx, size_t length)
{
    const struct tern_handler *handler = hx->hub->handler;
    struct tern_body_plan plan = {.size = length};

    if (handler->plan_body != NULL)
        handler->plan_body(handler->self, &hx->x, &plan);
    size_t lead = (0 - plan.pivot) & (TERN_CACHE_LINE - 1);
    if (length > SIZE_MAX - lead)
        return false;
    hx->body = tern_hub_body_take(hx->hub, length + lead, &hx->body_cap);
    hx->body_lead = lead;
    return hx->body != NULL;
}

/* Where a body of known length will lie. */
static void begin_length(struct h1 *h1)
{
    struct h1_exchange *hx = h1->now;
    struct tern_conn *conn = h1->conn;
    uint64_t length = hx->head.content_length;
    size_t waiting;

    h1->reading = H1_BODY;
    if (hx->skip_body)
        return;
    if (length > hx->x.body_max) {
        refuse_large(h1, hx->x.body_max);
        return;
    }
    if (length <= conn->in->cap - conn->in_at)
        return; /* in place */
    if (!tern_till_has_room(conn->hub->till, (size_t)length) || !charge(hx, (size_t)length, 0)) {
        refuse_uncharged(h1);
        return;
    }
    if (!take_body(hx, (size_t)length)) {
        refuse(h1, TERN_RESOURCE_EXHAUSTED, 503, "no memory for the request body");
        return;
    }
    const char *p = tern_conn_in(conn, &waiting); /* < length, or it would have fitted */
    memcpy(hx->body + hx->body_lead, p, waiting);
    hx->body_n = waiting;
    tern_conn_consume(conn, waiting);
}

static void begin_body(struct h1 *h1)
{
    struct h1_exchange *hx = h1->now;
    const struct tern_http1_head *head = &hx->head;
    TERN_UNINITIALIZED struct tern_err err;
    size_t waiting;

    if (head->framing == TERN_HTTP1_NO_BODY ||
        (head->framing == TERN_HTTP1_LENGTH && head->content_length == 0)) {
        complete(h1);
        return;
    }
    if (hx->skip_body && hx->last) {
        stop_reading(h1);
        return;
    }
    if (!hx->skip_body && head->content_encoding.n > 0 &&
        tern_encoding_parse(head->content_encoding, &hx->encoding, &err) != TERN_OK) {
        tern_exchange_add_header(&hx->x, TERN_STR("Accept-Encoding"),
                                 TERN_STR(TERN_ENCODING_ACCEPTED));
        h1_refuse(h1, &err);
        return;
    }
    h1->body_mark = 0;
    tern_conn_deadline(h1->conn, h1->conn->hub->limits.body_grace_ns);
    if (head->framing == TERN_HTTP1_LENGTH) {
        begin_length(h1);
    } else {
        h1->reading = H1_CHUNKS;
        tern_http1_chunks_start(&h1->chunks);
        if (!hx->skip_body && !tern_till_has_room(h1->conn->hub->till, 0)) {
            refuse_uncharged(h1);
            return;
        }
    }
    (void)tern_conn_in(h1->conn, &waiting);
    if (head->expect_continue && waiting == 0 && h1->now != NULL && !hx->skip_body) {
        hx->wants_continue = true;
        h1_send_held(h1);
    }
}

static void begin_request(struct h1 *h1)
{
    struct tern_conn *conn = h1->conn;
    struct h1_exchange *hx = h1->now;
    const struct tern_handler *handler = conn->hub->handler;

    h1_exchange_came(hx);
    TERN_COUNT(conn->hub->counters.requests, 1);
    conn->requests++;
    hx->rbuf = tern_conn_in_ref(conn);
    tern_conn_consume(conn, hx->head.size);
    fill_exchange(hx);
    hx->last = !hx->head.keep_alive || conn->requests >= conn->hub->limits.requests_max;
    h1->alone = hx->head.minor == 0;
    join_line(h1, hx);
    if (handler->on_head != NULL) {
        hx->handed = true; /* on_head may answer later: it has the exchange from here on */
        handler->on_head(handler->self, &hx->x);
        hx->handed = hx->head_sent || hx->x.wants_parts;
    }
    if (conn->state == TERN_CONN_OPEN)
        begin_body(h1);
}

/* True: something was read, there may be more. */
static bool read_head(struct h1 *h1)
{
    struct tern_conn *conn = h1->conn;
    TERN_UNINITIALIZED struct tern_err err;
    size_t n;
    char *p = tern_conn_in(conn, &n);

    if (n == 0)
        return false;
    h1->paused = h1->n_waiting >= conn->hub->limits.pipeline_max || tern_conn_is_congested(conn);
    if (h1->paused)
        return false;
    if (h1->now == NULL && (h1->now = h1_exchange_take(h1)) == NULL) {
        tern_conn_abort(conn);
        return false;
    }
    switch (tern_http1_head_read(&h1->now->head, p, n, &err)) {
    case TERN_HTTP1_DONE:
        begin_request(h1);
        return true;
    case TERN_HTTP1_BAD:
        /* Who begins with another protocol, or with a preface of HTTP/2 that is none (RFC 9113
         * 3.4), can make nothing of an answer. */
        if (h1->now->head.foreign && conn->requests == 0)
            tern_conn_shutdown(conn);
        else
            h1_refuse(h1, &err);
        return false;
    case TERN_HTTP1_MORE:
    case TERN_HTTP1_DATA:
    default:
        if (!h1->now->timed)
            tern_conn_deadline(conn, conn->hub->limits.header_ns);
        h1->now->timed = true;
        return false;
    }
}

/* Bodies. */

static bool read_body(struct h1 *h1)
{
    struct tern_conn *conn = h1->conn;
    struct h1_exchange *hx = h1->now;
    size_t length = (size_t)hx->head.content_length;
    size_t n;
    char *p = tern_conn_in(conn, &n);

    if (hx->skip_body) {
        size_t take = n < length - hx->body_n ? n : length - hx->body_n;
        tern_conn_consume(conn, take);
        hx->body_n += take;
    } else if (hx->body == NULL) {
        hx->body_n = n < length ? n : length;
    }
    if (hx->body_n < length)
        return false;
    if (!hx->skip_body && hx->body == NULL)
        tern_conn_consume(conn, length);
    hx->x.body = tern_str_make(hx->body == NULL ? p : hx->body + hx->body_lead, length);
    complete(h1);
    return true;
}

/* Room for n more bytes of a chunked body. */
static bool grow_body(struct h1_exchange *hx, size_t n)
{
    size_t cap;

    if (n <= hx->body_cap - hx->body_n)
        return true;
    size_t want = hx->body_cap * 2 > hx->body_n + n ? hx->body_cap * 2 : hx->body_n + n;
    char *body = tern_hub_body_take(hx->hub, want, &cap);
    if (body == NULL)
        return false;
    if (hx->body_n > 0)
        memcpy(body, hx->body, hx->body_n);
    tern_hub_body_give(hx->hub, hx->body, hx->body_cap);
    hx->body = body;
    hx->body_cap = cap;
    return true;
}

static bool keep_chunk(struct h1 *h1, struct tern_str data)
{
    struct h1_exchange *hx = h1->now;

    if (hx->skip_body) {
        hx->body_n += data.n;
        if (hx->body_n > H1_SKIP_MAX)
            stop_reading(h1);
        return hx->body_n <= H1_SKIP_MAX;
    }
    /* The announced rest counts: a chunk that cannot fit is refused at its first byte. */
    if (data.n + h1->chunks.left > hx->x.body_max - hx->body_n) {
        refuse_large(h1, hx->x.body_max);
        return false;
    }
    if (!has_room(hx, data.n)) {
        refuse_full(h1);
        return false;
    }
    if (!charge(hx, hx->body_n + data.n, hx->body_n + data.n)) {
        refuse_uncharged(h1);
        return false;
    }
    if (!grow_body(hx, data.n)) {
        refuse(h1, TERN_RESOURCE_EXHAUSTED, 503, "no memory for the request body");
        return false;
    }
    memcpy(hx->body + hx->body_n, data.p, data.n);
    hx->body_n += data.n;
    return true;
}

static bool read_chunks(struct h1 *h1)
{
    struct tern_conn *conn = h1->conn;
    TERN_UNINITIALIZED struct tern_err err;

    for (;;) {
        struct tern_str data = {NULL, 0};
        size_t n;
        size_t used = 0;
        const char *p = tern_conn_in(conn, &n);
        enum tern_http1_result result =
            tern_http1_chunks_read(&h1->chunks, p, n, &used, &data, &err);
        if (result == TERN_HTTP1_BAD) {
            h1_refuse(h1, &err);
            return false;
        }
        tern_conn_consume(conn, used);
        if (result == TERN_HTTP1_MORE)
            return false;
        if (result == TERN_HTTP1_DONE)
            break;
        if (!keep_chunk(h1, data))
            return false;
    }
    if (h1->now->body_n > 0)
        h1->now->x.body = tern_str_make(h1->now->body, h1->now->body_n);
    complete(h1);
    return true;
}

/* The driver. */

static bool read_one(struct h1 *h1)
{
    size_t n;

    switch ((enum h1_reading)h1->reading) {
    case H1_HEAD:
        return read_head(h1);
    case H1_BODY:
        return read_body(h1);
    case H1_CHUNKS:
        return read_chunks(h1);
    case H1_STOP:
    default:
        (void)tern_conn_in(h1->conn, &n);
        tern_conn_consume(h1->conn, n);
        return false;
    }
}

/* What the connection waits for next. */
static void settle(struct h1 *h1)
{
    struct tern_conn *conn = h1->conn;
    size_t n;

    if (conn->peer_done && !h1->paused && h1->reading != H1_STOP) {
        if (h1->now != NULL && !(h1->reading == H1_HEAD && h1_is_blank(h1))) {
            h1->now->broken_off = true;
            refuse(h1, TERN_INVALID_ARGUMENT, 400, "the request ended before it was complete");
        } else {
            h1->reading = H1_STOP;
        }
    }
    if (conn->state != TERN_CONN_OPEN)
        return;
    bool idle = h1->now == NULL && h1->n_waiting == 0;
    (void)tern_conn_in(conn, &n);
    if (h1->n_waiting == 0 && (h1->reading == H1_STOP || (idle && n == 0 && conn->draining))) {
        tern_conn_shutdown(conn);
        return;
    }
    tern_conn_read_on(conn, !h1->paused);
    if (h1->now == NULL)
        tern_conn_rest(conn);
    if (idle) {
        tern_conn_deadline(conn, conn->hub->limits.idle_ns);
    } else if (conn->peer_done && h1->reading == H1_STOP && h1->n_probes == 0) {
        h1->n_probes = 1;
        tern_conn_deadline(conn, H1_PROBE_NS);
    }
}

void h1_process(struct h1 *h1)
{
    struct tern_conn *conn = h1->conn;

    recycle_flushed(h1);
    if (conn->state != TERN_CONN_OPEN || h1->in_process)
        return;
    h1->in_process = true;
    while (read_one(h1) && conn->state == TERN_CONN_OPEN)
        recycle_flushed(h1);
    if (conn->state == TERN_CONN_OPEN)
        settle(h1);
    tern_conn_uncork(conn);
    recycle_flushed(h1);
    h1->in_process = false;
}

/* Half of an answer is out, and nobody knows when more will come. Who closes now has left: nothing
 * would tell until then that the rest is made for nobody. */
static bool is_streaming(const struct h1 *h1)
{
    if (tern_list_is_empty(&h1->waiting))
        return false;
    const struct h1_exchange *first = TERN_CONTAINER_OF(h1->waiting.next, struct h1_exchange, link);
    return first->head_sent && !first->ended;
}

void h1_on_readable(struct tern_conn *conn)
{
    struct h1 *h1 = conn->mux_state;
    struct h1_exchange *hx = h1->now;
    size_t got;

    bool in_body = h1->reading == H1_BODY && !hx->skip_body;
    if (in_body && hx->body != NULL) {
        size_t left = (size_t)hx->head.content_length - hx->body_n;
        char *at = hx->body + hx->body_lead + hx->body_n;
        if (tern_conn_recv(conn, at, left, &got) == TERN_IO_OK) {
            hx->body_n += got;
            if (!has_room(hx, got))
                refuse_full(h1);
            else if (!charge(hx, (size_t)hx->head.content_length, hx->body_n))
                refuse_uncharged(h1);
        }
    } else if (tern_conn_fill(conn, in_body ? (size_t)hx->head.content_length : 0) == TERN_IO_EOF &&
               is_streaming(h1)) {
        tern_conn_abort(conn);
        return;
    }
    h1_process(h1);
}
