/* HTTP/2 as gRPC uses it, under a client of the test: a handler that takes requests in parts, or
 * keeps them for the test to answer. One at a time; the test file says
 *
 *     // wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc
 *     // wrap: tern_mem_alloc_aligned
 */
#ifndef TERN_TESTS_H2_STREAM_RIG_H
#define TERN_TESTS_H2_STREAM_RIG_H

#include "harness/h2_client.h"
#include "harness/mem_fails.h"
#include "net/mux_h1.h"
#include "net/mux_h2.h"

#define BIG_SIZE (4u << 20)
static char big[BIG_SIZE];

/* What the handler does with a request in parts; a request in one piece is kept for the test. */
enum mode {
    WHOLE,
    KEEP, /* takes nothing: the test does */
    ECHO, /* answers each line as it is complete, and ends after the last */
};

struct h2_stream_rig {
    struct rig rig;
    struct tern_handler handler;
    struct client c;
    struct tern_exchange *x; /* the newest request */
    enum mode mode;
    size_t need;  /* for body_need */
    bool greets;  /* h2_stream_on_head sends the head of the answer */
    int requests; /* in one piece */
    int parts;    /* calls of h2_stream_on_part */
    int gone;
    int refused;
    int asked; /* calls of plan_body, which answers: */
    size_t pivot;
    struct tern_exchange *owed[64]; /* gone, to be ended */
    int n_owed;
};

static struct h2_stream_rig h2_stream_rig;

TERN_INLINE void h2_stream_on_request(void *self, struct tern_exchange *x)
{
    struct h2_stream_rig *f = self;

    f->requests++;
    f->x = x;
}

TERN_INLINE void h2_stream_on_gone(void *self, struct tern_exchange *x)
{
    struct h2_stream_rig *f = self;

    assert_true(x->gone);
    f->gone++;
    f->owed[f->n_owed++] = x;
}

TERN_INLINE void say(struct tern_exchange *x, struct tern_str text, bool end);

TERN_INLINE void h2_stream_on_head(void *self, struct tern_exchange *x)
{
    struct h2_stream_rig *f = self;

    x->wants_parts = f->mode != WHOLE;
    if (f->greets)
        say(x, TERN_STR(""), false);
}

TERN_INLINE void h2_stream_echo_lines(struct tern_exchange *x)
{
    size_t n;

    while ((n = tern_str_find(x->body, '\n')) < x->body.n) {
        say(x, tern_str_make(x->body.p, n + 1), false);
        tern_exchange_take(x, n + 1);
    }
    if (x->body_done)
        say(x, x->body, true);
}

TERN_INLINE void h2_stream_on_part(void *self, struct tern_exchange *x)
{
    struct h2_stream_rig *f = self;

    for (size_t i = 0; i < TERN_TEXT_PAD; i++) {
        volatile char pad = x->body.p[x->body.n + i]; /* readable, says the contract */
        (void)pad;
    }
    f->parts++;
    f->x = x;
    if (f->need > 0)
        x->body_need = f->need;
    if (f->mode == ECHO)
        h2_stream_echo_lines(x);
}

TERN_INLINE void h2_stream_on_refused(void *self, struct tern_exchange *x,
                                      const struct tern_err *err)
{
    struct h2_stream_rig *f = self;

    f->refused++;
    x->status = tern_err_http_status(err);
    tern_exchange_body(x);
    tern_exchange_send(x, true);
}

TERN_INLINE int h2_stream_setup(void **state)
{
    struct h2_stream_rig *f = &h2_stream_rig;

    *f = (struct h2_stream_rig){.requests = 0};
    f->handler = (struct tern_handler){.on_head = h2_stream_on_head,
                                       .on_request = h2_stream_on_request,
                                       .on_part = h2_stream_on_part,
                                       .on_gone = h2_stream_on_gone,
                                       .on_refused = h2_stream_on_refused,
                                       .self = f};
    rig_open(&f->rig, &f->handler, &tern_mux_h1, &tern_mux_h2);
    client_open(&f->c, &f->rig, 65535);
    for (size_t i = 0; i < BIG_SIZE; i++)
        big[i] = (char)('a' + i % 23 + (i >> 16) % 3);
    *state = f;
    return 0;
}

/* Ends the answers that nobody waits for any more. */
TERN_INLINE void end_owed(struct h2_stream_rig *f)
{
    while (f->n_owed > 0) {
        struct tern_exchange *x = f->owed[--f->n_owed];
        tern_exchange_body(x);
        tern_exchange_send(x, true);
    }
}

TERN_INLINE int h2_stream_teardown(void **state)
{
    struct h2_stream_rig *f = *state;

    client_close(&f->c);
    tern_hub_abort_all(f->rig.hub);
    rig_step(&f->rig);
    end_owed(f);
    rig_close(&f->rig);
    return 0;
}

/* Sends `text`; with `end` also the trailers of a good gRPC answer. */
TERN_INLINE void say(struct tern_exchange *x, struct tern_str text, bool end)
{
    x->status = 200;
    x->response_type = TERN_STR("application/grpc");
    tern_buf_add_str(tern_exchange_body(x), text);
    if (end) {
        tern_exchange_add_trailer(x, TERN_STR("grpc-status"), TERN_STR("0"));
        tern_exchange_add_trailer(x, TERN_STR("grpc-message"), TERN_STR(""));
    }
    tern_exchange_send(x, end);
}

TERN_INLINE bool ends_with(struct client_stream *s, const char *tail)
{
    size_t n = strlen(tail);

    return s->head.n >= n && memcmp(s->head.p + s->head.n - n, tail, n) == 0;
}

#define GOOD_TRAILERS "grpc-status: 0\ngrpc-message: \n"

TERN_INLINE bool nothing_is_left(const struct h2_stream_rig *f)
{
    return f->rig.hub->counters.exchanges_begun == f->rig.hub->counters.exchanges_ended;
}

TERN_INLINE void more(struct h2_stream_rig *f, int32_t id, struct tern_str body, bool hold)
{
    client_more(&f->c, id, body, hold);
    client_run(&f->c);
}

#endif
