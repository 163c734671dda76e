/* A test rig for HTTP/1.1: a real loop stepped by hand, a clock that the test moves, a
 * client on the other end of a socketpair, a handler that echoes, and an allocator that can be told
 * to fail. Everything happens in one thread, so every test is deterministic.
 *
 * A test file that includes this names the seams:
 *     // wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned
 *     // wrap: tern_mem_realloc
 */
#ifndef TERN_TESTS_H1_RIG_H
#define TERN_TESTS_H1_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/mux_h1.h"
#include "os/loop.c" /* for stepping it */

#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

/* Not every test file uses all of the rig. */
#define RIG_FN static __attribute__((unused))

/* The clock. */
static _Atomic uint64_t rig_now_ns = 1000 * (uint64_t)TERN_NS_PER_S; /* executors look too */

uint64_t __wrap_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void)
{
    return rig_now_ns;
}

/* The allocator. */
static atomic_long rig_allocs;         /* calls so far */
static atomic_long rig_fail_at = -1;   /* this call fails, and ... */
static atomic_long rig_fail_until = 0; /* ... all before this one */

static bool alloc_fails(void)
{
    long call = rig_allocs++;
    return rig_fail_at >= 0 && call >= rig_fail_at && call < rig_fail_until;
}

void *__real_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size)
{
    return alloc_fails() ? NULL : __real_tern_mem_alloc(size);
}

void *__real_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size)
{
    return alloc_fails() ? NULL : __real_tern_mem_zalloc(count, size);
}

void *__real_tern_mem_alloc_aligned(size_t align, size_t size);
void *__wrap_tern_mem_alloc_aligned(size_t align, size_t size);
void *__wrap_tern_mem_alloc_aligned(size_t align, size_t size)
{
    return alloc_fails() ? NULL : __real_tern_mem_alloc_aligned(align, size);
}

void *__real_tern_mem_realloc(void *p, size_t size);
void *__wrap_tern_mem_realloc(void *p, size_t size);
void *__wrap_tern_mem_realloc(void *p, size_t size)
{
    return alloc_fails() ? NULL : __real_tern_mem_realloc(p, size);
}

/* One for all rigs, of which there is one at a time: clearing it each time is what would cost. */
static char rig_got[8 << 20];

/* The handler: "METHOD PATH?QUERY LENGTH:BODY", the body shortened when long. */
struct rig {
    struct tern_loop *loop;
    struct tern_hub *hub;
    struct tern_handler handler;
    struct tern_listener_info listener;
    struct tern_net_limits limits;
    int client; /* our end, -1: closed */
    bool client_saw_end;
    char *got; /* what the client received: rig_got */
    size_t n_got;

    bool hold; /* exchanges are kept in held[] and answered by rig_answer */
    struct tern_exchange *held[256];
    unsigned n_held;
    unsigned n_gone;
    unsigned n_refused;
    unsigned n_requests;
    bool compress;
    size_t pad_body;    /* so many bytes follow the echo in x->out */
    size_t slice_bytes; /* so many bytes follow in a slice */
    unsigned stream;    /* the answer goes out in so many sends before the last */
    int answer_in_head; /* on_head answers with this status */
};

RIG_FN const char *rig_fill(void)
{
    static char fill[1 << 20];
    if (fill[0] == 0)
        memset(fill, 'z', sizeof(fill));
    return fill;
}

RIG_FN void rig_echo(struct rig *rig, struct tern_exchange *x)
{
    struct tern_buf *out = tern_exchange_body(x);

    x->status = 200;
    x->ending = TERN_ENDING_OK;
    x->response_type = TERN_STR("text/plain");
    x->allow_compression = rig->compress;
    tern_buf_add_str(out, x->method_text);
    tern_buf_add_char(out, ' ');
    tern_buf_add_str(out, x->path);
    if (x->query.n > 0) {
        tern_buf_add_char(out, '?');
        tern_buf_add_str(out, x->query);
    }
    tern_buf_add_char(out, ' ');
    tern_buf_add_u64(out, x->body.n);
    tern_buf_add_char(out, ':');
    tern_buf_add(out, x->body.p, x->body.n < 64 ? x->body.n : 64);
    tern_buf_add(out, rig_fill(), rig->pad_body);
    if (rig->slice_bytes > 0) {
        struct tern_slice *slice = tern_arena_zalloc(x->arena, 1, sizeof(*slice));
        if (slice != NULL) {
            *slice = (struct tern_slice){rig_fill(), rig->slice_bytes};
            x->slices = slice;
            x->n_slices = 1;
        }
    }
    /* The pad that readers of text rely on. */
    volatile char pad = x->body.p[x->body.n];
    volatile char pad_end = x->body.p[x->body.n + TERN_TEXT_PAD - 1];
    (void)pad;
    (void)pad_end;
    if (out->failed) {
        x->status = 500;
        tern_exchange_body(x);
    }
    for (unsigned i = 0; i < rig->stream; i++) {
        tern_exchange_send(x, false);
        TERN_BUF_ADD_LITERAL(tern_exchange_body(x), "+more");
    }
    tern_exchange_send(x, true);
}

RIG_FN void rig_on_head(void *self, struct tern_exchange *x)
{
    struct rig *rig = self;

    if (rig->answer_in_head == 0)
        return;
    x->status = rig->answer_in_head;
    x->response_type = TERN_STR("text/plain");
    TERN_BUF_ADD_LITERAL(tern_exchange_body(x), "early");
    tern_exchange_send(x, true);
}

RIG_FN void rig_on_request(void *self, struct tern_exchange *x)
{
    struct rig *rig = self;

    rig->n_requests++;
    if (rig->hold) {
        assert_true(rig->n_held < 256);
        rig->held[rig->n_held++] = x;
        return;
    }
    rig_echo(rig, x);
}

RIG_FN void rig_on_gone(void *self, struct tern_exchange *x)
{
    struct rig *rig = self;

    assert_true(x->gone);
    rig->n_gone++;
}

RIG_FN void rig_on_refused(void *self, struct tern_exchange *x, const struct tern_err *err)
{
    struct rig *rig = self;

    rig->n_refused++;
    x->status = tern_err_http_status(err);
    x->ending = TERN_ENDING_INVALID;
    x->response_type = TERN_STR("text/plain");
    tern_buf_add_str(tern_exchange_body(x), tern_str_of(err->text));
    tern_exchange_send(x, true);
}

/* Life. */

RIG_FN struct rig *rig_try_new(void)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct tern_hub_config config;

    if (rig == NULL)
        abort();
    rig->client = -1;
    rig->got = rig_got;
    rig_got[0] = '\0';
    rig->handler = (struct tern_handler){.on_head = rig_on_head,
                                         .on_request = rig_on_request,
                                         .on_gone = rig_on_gone,
                                         .on_refused = rig_on_refused,
                                         .self = rig};
    rig->listener = (struct tern_listener_info){
        .name = TERN_STR("rig"), .body_max = 4u << 20, .memory_max = 1u << 20};
    rig->limits = (struct tern_net_limits)TERN_NET_LIMITS_DEFAULT;
    config = (struct tern_hub_config){
        .handler = &rig->handler, .limits = &rig->limits, .h1 = &tern_mux_h1};
    if (tern_loop_new(0, 64, &rig->loop, NULL) == TERN_OK) {
        config.loop = rig->loop;
        if (tern_hub_new(&config, &rig->hub, NULL) == TERN_OK)
            return rig;
    }
    tern_loop_free(rig->loop);
    free(rig);
    return NULL;
}

RIG_FN struct rig *rig_new(void)
{
    struct rig *rig = rig_try_new();
    if (rig == NULL)
        abort();
    return rig;
}

/* Rounds until nothing is ready; the client reads what comes. */
RIG_FN void rig_pump_without_reading(struct rig *rig)
{
    for (int quiet = 0; quiet < 2;) {
        struct tern_loop *loop = rig->loop;
        int n = epoll_wait(loop->epoll_fd, loop->ready, READY_MAX, 0);
        loop->n_ready = n > 0 ? n : 0;
        loop->now_ns = rig_now_ns;
        bool busy = n > 0 || loop->deferred_first != NULL;
        serve_ready(loop);
        run_timers(loop);
        run_mail(loop);
        run_deferred(loop);
        quiet = busy ? 0 : quiet + 1;
    }
}

RIG_FN bool rig_read(struct rig *rig)
{
    if (rig->client < 0 || rig->client_saw_end)
        return false;
    ssize_t n =
        recv(rig->client, rig->got + rig->n_got, sizeof(rig_got) - rig->n_got - 1, MSG_DONTWAIT);
    if (n > 0)
        rig->n_got += (size_t)n;
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        rig->client_saw_end = true;
    rig->got[rig->n_got] = '\0';
    return n > 0;
}

RIG_FN void rig_pump(struct rig *rig)
{
    do {
        rig_pump_without_reading(rig);
    } while (rig_read(rig));
}

RIG_FN void rig_after(struct rig *rig, uint64_t seconds)
{
    rig_now_ns += seconds * TERN_NS_PER_S;
    rig_pump(rig);
}

RIG_FN void rig_hang_up(struct rig *rig)
{
    if (rig->client >= 0)
        close(rig->client);
    rig->client = -1;
    rig_pump_without_reading(rig);
}

RIG_FN void rig_connect(struct rig *rig)
{
    int pair[2];
    struct tern_conn_config config = {.listener = &rig->listener, .peer = TERN_STR("rig")};

    rig_hang_up(rig);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    rig->client = pair[1];
    rig->client_saw_end = false;
    rig->n_got = 0;
    rig->got[0] = '\0';
    (void)tern_conn_open(rig->hub, pair[0], &config, NULL);
}

RIG_FN void rig_send(struct rig *rig, const char *p, size_t n)
{
    while (n > 0 && rig->client >= 0) {
        ssize_t sent = send(rig->client, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            rig_pump(rig);
            continue;
        }
        if (sent < 0)
            break; /* the server closed: as a client would see it */
        p += sent;
        n -= (size_t)sent;
    }
    rig_pump(rig);
}

RIG_FN void rig_say(struct rig *rig, const char *text)
{
    rig_send(rig, text, strlen(text));
}

RIG_FN void rig_answer(struct rig *rig, unsigned index)
{
    struct tern_exchange *x = rig->held[index];

    memmove(&rig->held[index], &rig->held[index + 1],
            (rig->n_held - index - 1) * sizeof(rig->held[0]));
    rig->n_held--;
    rig_echo(rig, x);
    rig_pump(rig);
}

/* How many requests ended so. */
RIG_FN uint64_t rig_ended(const struct rig *rig, enum tern_ending ending)
{
    return rig->hub->counters.requests_ended[ending];
}

/* Each request that came has ended, and once. */
RIG_FN void rig_check_ledger(const struct rig *rig)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < TERN_ENDING_COUNT; i++)
        sum += rig_ended(rig, (enum tern_ending)i);
    assert_int_equal(sum, rig->hub->counters.requests_came);
}

RIG_FN void rig_free(struct rig *rig)
{
    rig_hang_up(rig);
    tern_hub_abort_all(rig->hub);
    rig_pump_without_reading(rig);
    while (rig->n_held > 0)
        rig_answer(rig, 0);
    rig_pump_without_reading(rig);
    assert_true(tern_hub_is_idle(rig->hub));
    rig_check_ledger(rig);
    tern_hub_free(rig->hub);
    tern_loop_free(rig->loop);
    free(rig);
}

/* Answers: a small reader of what the client received. */
struct rig_answer {
    int status;
    char head[4096];
    char body[8192]; /* the beginning */
    size_t n_body;
};

/* Takes the answer at *at. False when there is no complete one. */
RIG_FN bool rig_take(const struct rig *rig, size_t *at, bool no_body, struct rig_answer *ret)
{
    const char *p = rig->got + *at;
    const char *end = strstr(p, "\r\n\r\n");
    const char *length;

    memset(ret, 0, sizeof(*ret));
    if (end == NULL || strncmp(p, "HTTP/1.1 ", 9) != 0)
        return false;
    ret->status = (int)strtol(p + 9, NULL, 10);
    size_t n_head = (size_t)(end + 2 - p);
    assert_true(n_head < sizeof(ret->head));
    memcpy(ret->head, p, n_head);
    const char *body = end + 4;
    size_t left = (size_t)(rig->got + rig->n_got - body);
    if (ret->status == 100 || no_body || ret->status == 204 || ret->status == 304) {
        left = 0;
    } else if ((length = strstr(ret->head, "Content-Length: ")) != NULL) {
        size_t n = (size_t)strtoul(length + 16, NULL, 10);
        if (left < n)
            return false;
        left = n;
        memcpy(ret->body, body, n < sizeof(ret->body) - 1 ? n : sizeof(ret->body) - 1);
        ret->n_body = n;
    } else if (strstr(ret->head, "Transfer-Encoding: chunked") != NULL) {
        const char *c = body;
        for (;;) {
            char *after;
            unsigned long n = strtoul(c, &after, 16);
            if (after == c || strncmp(after, "\r\n", 2) != 0)
                return false;
            c = after + 2;
            if (c + n + 2 > rig->got + rig->n_got)
                return false;
            if (ret->n_body + n < sizeof(ret->body))
                memcpy(ret->body + ret->n_body, c, n);
            ret->n_body += n;
            c += n + 2;
            if (n == 0)
                break;
        }
        left = (size_t)(c - body);
    } else {
        if (!rig->client_saw_end)
            return false;
        memcpy(ret->body, body, left < sizeof(ret->body) - 1 ? left : sizeof(ret->body) - 1);
        ret->n_body = left;
    }
    *at += (size_t)(body - p) + left;
    return true;
}

/* Expects exactly one answer and nothing else since the connection was made. */
RIG_FN void rig_expect(const struct rig *rig, int status, const char *body)
{
    struct rig_answer answer;
    size_t at = 0;

    if (!rig_take(rig, &at, false, &answer))
        fail_msg("no complete answer in: %s", rig->got);
    assert_int_equal(answer.status, status);
    if (body != NULL)
        assert_string_equal(answer.body, body);
    assert_int_equal(at, rig->n_got);
}

#endif
