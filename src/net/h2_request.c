/* From a stream to an exchange: its life, its head into the arena, and the end of both. */
#include "net/h2_int.h"

#include <assert.h>
#include <string.h>
#include "base/mem.h"

#define ARENA_FIRST   4096u
#define HEADERS_FIRST 16u
#define OUT_KEPT      (16u << 10) /* of an answer's buffer, by a stream waiting for reuse */
#define STREAMS_KEPT  512u

/* Life. */

struct tern_h2_stream *tern_h2_request_new(struct tern_h2_conn *h, int32_t id)
{
    struct tern_h2_hub *shared = h->shared;
    struct tern_conn *conn = h->conn;
    struct tern_list *link = tern_list_pop(&shared->streams_free);
    struct tern_h2_stream *s;

    if (link != NULL) {
        s = TERN_CONTAINER_OF(link, struct tern_h2_stream, link);
        shared->n_streams_free--;
    } else {
        s = tern_mem_alloc(sizeof(*s));
        if (s == NULL)
            return NULL;
        tern_arena_init(&s->arena, ARENA_FIRST, 0);
        s->arena.till = conn->hub->till;
        tern_buf_init(&s->plain, SIZE_MAX);
        tern_buf_init(&s->out, SIZE_MAX);
    }
    TERN_COUNT(conn->hub->counters.exchanges_begun, 1);
    TERN_COUNT(conn->hub->counters.requests_came, 1);
    memset(&s->x, 0, offsetof(struct tern_exchange, response_headers));
    memset(&s->h, 0, offsetof(struct tern_h2_stream, arena) - offsetof(struct tern_h2_stream, h));
    s->h = h;
    s->shared = shared;
    s->id = id;
    s->arena.max = conn->listener->memory_max;
    s->content_length = SIZE_MAX;
    s->progress_ns = tern_loop_now_ns(shared->hub->loop);
    s->x.body_max = conn->listener->body_max;
    s->x.expand_max = shared->hub->limits.expand_max;
    s->x.http_major = 2;
    s->x.out = &shared->hub->out;
    s->x.arena = &s->arena;
    s->x.loop = shared->hub->loop;
    s->x.listener = conn->listener;
    s->x.ops = &tern_h2_response_ops;
    s->x.start_ns = s->progress_ns;
    s->x.tls = conn->transport->is_tls;
    /* Copied: the exchange may outlive the connection. */
    s->x.peer = tern_arena_copy(&s->arena, tern_str_make(conn->peer, conn->n_peer));
    tern_list_init(&s->ready_link);
    tern_list_init(&s->room_link);
    tern_list_append(&h->open, &s->link);
    if (h->n_open++ == 0) {
        tern_h2_alive_busy(h);
        tern_mux_h2_rearm(h);
    }
    return s;
}

static void free_stream(struct tern_h2_stream *s)
{
    tern_arena_fini(&s->arena);
    tern_buf_fini(&s->plain);
    tern_buf_fini(&s->out);
    tern_mem_free(s);
}

static enum tern_ending ending_of(const struct tern_h2_stream *s)
{
    if (s->x.gone)
        return TERN_ENDING_CANCELLED;
    return s->ended && !s->end_sent ? TERN_ENDING_LOST : (enum tern_ending)s->x.ending;
}

void tern_h2_request_release(struct tern_h2_stream *s)
{
    struct tern_h2_hub *shared = s->shared;

    assert(s->closed && s->phase != TERN_H2_PHASE_HANDED);
    tern_list_remove(&s->link);
    if (s->h != NULL && s->sent_mark > s->h->conn->bytes_sent) {
        tern_list_append(&s->h->finishing, &s->link);
        return;
    }
    TERN_COUNT(shared->hub->counters.exchanges_ended, 1);
    TERN_COUNT(shared->hub->counters.requests_ended[ending_of(s)], 1);
    tern_arena_reset(&s->arena);
    tern_h2_body_give(s);
    tern_till_give(shared->hub->till, s->plain_charged);
    tern_buf_clear(&s->plain);
    tern_buf_shrink(&s->plain, 0);
    tern_buf_clear(&s->out);
    tern_buf_shrink(&s->out, OUT_KEPT);
    if (shared->n_streams_free >= STREAMS_KEPT) {
        free_stream(s);
        return;
    }
    /* Newest first: it is the one in the caches. */
    tern_list_append(shared->streams_free.next, &s->link);
    shared->n_streams_free++;
    tern_hub_tidy_later(shared->hub);
}

void tern_h2_request_trim(struct tern_h2_hub *shared, uint32_t keep)
{
    while (shared->n_streams_free > keep) {
        struct tern_list *link = tern_list_pop(&shared->streams_free);
        shared->n_streams_free--;
        free_stream(TERN_CONTAINER_OF(link, struct tern_h2_stream, link));
    }
}

void tern_h2_request_closed(struct tern_h2_stream *s)
{
    struct tern_h2_conn *h = s->h;
    const struct tern_handler *handler = s->shared->hub->handler;

    s->closed = true;
    tern_list_remove(&s->link);
    tern_list_remove(&s->ready_link);
    tern_list_remove(&s->room_link);
    if (h->recent == s)
        h->recent = NULL;
    if (--h->n_open == 0)
        tern_mux_h2_rearm(h);
    if (s->phase != TERN_H2_PHASE_HANDED) {
        tern_h2_request_release(s);
        return;
    }
    tern_list_append(&h->orphans, &s->link);
    s->x.gone = true;
    if (handler->on_gone != NULL)
        handler->on_gone(handler->self, &s->x); /* may answer, and so free it */
}

/* Head. */

static void take_method(struct tern_h2_stream *s, struct tern_str value)
{
    struct tern_exchange *x = &s->x;

    x->method = tern_method_from(value);
    x->method_text = x->method == TERN_METHOD_OTHER ? tern_arena_copy(x->arena, value)
                                                    : tern_str_of(tern_method_name(x->method));
}

static void take_text(struct tern_h2_stream *s, struct tern_str value, struct tern_str *ret)
{
    *ret = tern_arena_copy(s->x.arena, value);
    s->head_too_large |= ret->p == NULL;
}

/* A place for one more header, or NULL. */
static struct tern_header *grow_headers(struct tern_h2_stream *s)
{
    struct tern_exchange *x = &s->x;

    if (x->n_headers >= s->shared->hub->limits.head.fields_max)
        return NULL;
    if (x->n_headers == s->headers_cap) {
        uint32_t cap = s->headers_cap == 0 ? HEADERS_FIRST : s->headers_cap * 2;
        struct tern_header *fresh =
            tern_arena_alloc(x->arena, sizeof(void *), cap * sizeof(*fresh));
        if (fresh == NULL)
            return NULL;
        if (x->n_headers > 0)
            memcpy(fresh, x->headers, x->n_headers * sizeof(*fresh));
        x->headers = fresh;
        s->headers_cap = cap;
    }
    return &x->headers[x->n_headers];
}

/* Names of HPACK's static table live as long as the program, others are copied; so are values. One
 * piece of the arena holds both. */
static bool keep_field(struct tern_h2_stream *s, const struct tern_h2_known *known,
                       struct tern_header *ret)
{
    struct tern_str name = known->name_str, value = known->value_str;
    size_t n_name = known->in_table ? 0 : name.n;
    char *p = tern_arena_alloc(&s->arena, 1, value.n + 1 + n_name);

    if (p == NULL)
        return false;
    memcpy(p, value.p, value.n);
    p[value.n] = '\0';
    if (!known->in_table) {
        memcpy(p + value.n + 1, name.p, name.n);
        name.p = p + value.n + 1;
    }
    *ret = (struct tern_header){name, tern_str_make(p, value.n)};
    return true;
}

static void add_regular(struct tern_h2_stream *s, const struct tern_h2_known *known)
{
    struct tern_exchange *x = &s->x;
    struct tern_header *header = NULL;

    if (known->name_str.n + known->value_str.n <= s->shared->hub->limits.head.field_max)
        header = grow_headers(s);
    if (header == NULL || !keep_field(s, known, header)) {
        s->head_too_large = true;
        return;
    }
    x->n_headers++;
    x->header_names |= known->bit;
    if (known->field == TERN_H2_FIELD_CONTENT_TYPE)
        x->content_type = header->value;
    else if (known->field == TERN_H2_FIELD_CONTENT_ENCODING ||
             known->field == TERN_H2_FIELD_EXPECT || known->field == TERN_H2_FIELD_HOST)
        s->has_orders = true;
}

void tern_h2_request_add_header(struct tern_h2_stream *s, nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    const struct tern_h2_known *known = tern_h2_fields_know(s, name, value);

    if (s->malformed || !tern_h2_fields_see(s, known)) {
        s->malformed = true;
        return;
    }
    s->header_bytes += known->name_str.n + known->value_str.n + 32; /* RFC 9113 6.5.2 */
    if (s->header_bytes > s->shared->hub->limits.head.bytes_max || s->head_too_large) {
        s->head_too_large = true;
        tern_mux_h2_glitch(s->h, 1);
        return;
    }
    if (s->phase != TERN_H2_PHASE_HEAD)
        return; /* a trailer */
    if (known->field == TERN_H2_FIELD_METHOD)
        take_method(s, known->value_str);
    else if (known->field == TERN_H2_FIELD_PATH)
        take_text(s, known->value_str, &s->x.path);
    else if (known->field == TERN_H2_FIELD_AUTHORITY)
        take_text(s, known->value_str, &s->x.authority);
    else if (known->field != TERN_H2_FIELD_SCHEME)
        add_regular(s, known);
}

void tern_h2_request_reset(struct tern_h2_stream *s)
{
    if (s->unwanted)
        return; /* reset already, or answered: then it ends soon */
    nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_PROTOCOL_ERROR);
    s->unwanted = true;
    tern_list_remove(&s->ready_link);
    if (s->phase < TERN_H2_PHASE_HANDED)
        s->phase = TERN_H2_PHASE_DONE;
}

/* The fields that the mux itself obeys. */
static enum tern_code read_orders(struct tern_h2_stream *s, struct tern_err *err)
{
    struct tern_exchange *x = &s->x;

    for (uint32_t i = 0; i < x->n_headers; i++) {
        struct tern_str name = x->headers[i].name;
        struct tern_str value = x->headers[i].value;
        if (tern_str_eq(name, TERN_STR("content-encoding"))) {
            if (s->encoding != TERN_ENCODING_IDENTITY)
                return tern_fail_http(err, TERN_UNIMPLEMENTED, 415,
                                      "Content-Encoding: expected one coding, got two");
            TERN_TRY(tern_encoding_parse(value, &s->encoding, err));
        } else if (tern_str_eq(name, TERN_STR("expect"))) {
            if (!tern_str_eq_nocase(value, TERN_STR("100-continue")))
                return tern_fail_http(err, TERN_FAILED_PRECONDITION, 417,
                                      "expect: the only expectation served is 100-continue");
            s->expects_continue = true;
        } else if (tern_str_eq(name, TERN_STR("host"))) {
            if (x->authority.n == 0)
                x->authority = value;
            else if (!tern_str_eq_nocase(x->authority, value))
                return tern_fail(err, TERN_INVALID_ARGUMENT, "host differs from :authority");
        }
    }
    return TERN_OK;
}

static enum tern_code check_head(struct tern_h2_stream *s, struct tern_err *err)
{
    struct tern_exchange *x = &s->x;
    const struct tern_head_limits *limits = &s->shared->hub->limits.head;

    if (s->head_too_large)
        return tern_fail_http(err, TERN_RESOURCE_EXHAUSTED, 431,
                              "the request head is larger than %u fields, %zu bytes in one of "
                              "them or %zu bytes in all",
                              limits->fields_max, limits->field_max, limits->bytes_max);
    if (x->path.n > limits->target_max)
        return tern_fail_http(err, TERN_INVALID_ARGUMENT, 414, ":path: longer than %zu bytes",
                              limits->target_max);
    /* Only CONNECT comes without a path. */
    if (x->path.n == 0)
        return tern_fail(err, TERN_UNIMPLEMENTED, "%.*s is not served",
                         TERN_STR_ARG(x->method_text));
    size_t cut = tern_str_find(x->path, '?');
    x->query = tern_str_from(x->path, cut + 1);
    x->path.n = cut;
    return s->has_orders ? read_orders(s, err) : TERN_OK;
}

static void send_continue(struct tern_h2_stream *s)
{
    static const char name[] = ":status";
    static const char value[] = "100";
    nghttp2_nv nv = {(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, sizeof(name) - 1,
                     sizeof(value) - 1, NGHTTP2_NV_FLAG_NONE};

    /* Without memory for it the client waits a moment and then sends on: nothing is lost. */
    nghttp2_submit_headers(s->h->session, NGHTTP2_FLAG_NONE, s->id, NULL, &nv, 1, NULL);
}

static void count_request(struct tern_h2_conn *h)
{
    struct tern_hub *hub = h->shared->hub;

    TERN_COUNT(hub->counters.requests, 1);
    if (++h->conn->requests == hub->limits.requests_max)
        tern_mux_h2_drain_start(h);
}

static void begin_parts(struct tern_h2_stream *s, bool end)
{
    struct tern_err err;

    if (s->encoding != TERN_ENCODING_IDENTITY) {
        tern_fail_http(&err, TERN_UNIMPLEMENTED, 415,
                       "Content-Encoding: expected none for a request that is a stream");
        if (s->head_sent) /* by on_head: it cannot be taken back */
            nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id,
                                      NGHTTP2_INTERNAL_ERROR);
        else
            tern_h2_request_refuse(s, &err);
        return;
    }
    tern_h2_parts_begin(s);
    if (end)
        tern_h2_parts_complete(s);
    else if (s->expects_continue && !s->head_sent)
        send_continue(s);
}

void tern_h2_request_head_done(struct tern_h2_stream *s, bool end)
{
    const struct tern_handler *handler = s->shared->hub->handler;
    struct tern_err err;

    s->complete = end;
    if (s->malformed || !tern_h2_fields_make_a_head(s) ||
        (end && s->content_length != 0 && s->content_length != SIZE_MAX)) {
        tern_h2_request_reset(s);
        return;
    }
    s->phase = TERN_H2_PHASE_BODY;
    s->progress_ns = tern_loop_now_ns(s->shared->hub->loop);
    count_request(s->h);
    if (check_head(s, &err) != TERN_OK) {
        if (tern_err_http_status(&err) == 415)
            tern_exchange_add_header(&s->x, TERN_STR("accept-encoding"),
                                     TERN_STR(TERN_ENCODING_ACCEPTED));
        tern_h2_request_refuse(s, &err);
        return;
    }
    if (handler->on_head != NULL)
        handler->on_head(handler->self, &s->x);
    if (s->x.wants_parts && s->phase != TERN_H2_PHASE_DONE) {
        begin_parts(s, end);
        return;
    }
    if (s->phase != TERN_H2_PHASE_BODY)
        return; /* answered at once */
    if (s->content_length != SIZE_MAX && s->content_length > s->x.body_max) {
        tern_fail_http(&err, TERN_RESOURCE_EXHAUSTED, 413,
                       "the body of %zu bytes is larger than the %zu bytes allowed",
                       s->content_length, s->x.body_max);
        tern_h2_request_refuse(s, &err);
        return;
    }
    if (s->content_length != SIZE_MAX && !tern_h2_body_has_room(s, s->content_length)) {
        tern_till_fail(&err);
        tern_h2_request_refuse(s, &err);
        return;
    }
    if (end)
        tern_h2_request_complete(s);
    else if (s->expects_continue)
        send_continue(s);
}

/* The whole. */

void tern_h2_request_complete(struct tern_h2_stream *s)
{
    s->complete = true;
    if (s->malformed || (s->content_length != SIZE_MAX && s->received != s->content_length)) {
        tern_h2_request_reset(s);
        return;
    }
    if (s->parts && s->phase != TERN_H2_PHASE_DONE && !s->unwanted) {
        tern_h2_parts_complete(s);
        return;
    }
    if (s->phase != TERN_H2_PHASE_BODY)
        return; /* answered before */
    s->phase = TERN_H2_PHASE_READY;
    tern_list_append(&s->h->ready, &s->ready_link);
}

void tern_h2_request_hand_over(struct tern_h2_stream *s)
{
    static const char nothing[TERN_TEXT_PAD];
    const struct tern_handler *handler = s->shared->hub->handler;
    struct tern_exchange *x = &s->x;
    struct tern_err err;

    if (s->parts) {
        tern_h2_parts_hand_over(s);
        return;
    }
    x->body =
        s->body_n > 0 ? tern_str_make(s->body + s->body_at, s->body_n) : tern_str_make(nothing, 0);
    if (s->encoding != TERN_ENCODING_IDENTITY && s->body_n > 0 &&
        tern_h2_body_decode(s, &err) != TERN_OK) {
        tern_h2_request_refuse(s, &err);
        return;
    }
    s->phase = TERN_H2_PHASE_HANDED;
    x->body_ns = tern_loop_now_ns(x->loop);
    handler->on_request(handler->self, x);
}

void tern_h2_request_refuse(struct tern_h2_stream *s, const struct tern_err *err)
{
    const struct tern_handler *handler = s->shared->hub->handler;

    if (s->phase >= TERN_H2_PHASE_HANDED)
        return;
    tern_list_remove(&s->ready_link);
    tern_h2_body_give(s);
    s->phase = TERN_H2_PHASE_HANDED;
    s->x.body = tern_str_make(NULL, 0);
    s->x.status = tern_err_http_status(err);
    s->x.body_ns = tern_loop_now_ns(s->x.loop);
    TERN_COUNT(s->shared->hub->counters.requests_refused, 1);
    handler->on_refused(handler->self, &s->x, err);
}
