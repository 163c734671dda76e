// covers: net/conn_write net/hub net/mux_h1_read net/mux_h1_send
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc
/* The HTTP/1.1 mux over a socketpair: life, order, time, back-pressure, memory. What a request may
 * look like is in tests/wire/http1. */
#include "rig.h"
#include <zlib.h>
#include "net/mux_h1_int.h"

#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

static void answers_keep_the_connection(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_connect(rig);
    for (int i = 0; i < 3; i++) {
        rig->n_got = 0;
        rig_say(rig, "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n");
        rig_expect(rig, 200, "GET /a?b=c 0:");
        assert_false(rig->client_saw_end);
    }
    assert_non_null(strstr(rig->got, "\r\nServer: tern\r\n"));
    assert_non_null(strstr(rig->got, "\r\nDate: "));
    rig_free(rig);
}

static void pipelined_answers_share_one_send(void **state)
{
    struct rig *rig = rig_new();
    struct rig_answer answer;
    size_t at = 0;

    (void)state;
    rig_connect(rig);
    rig_say(rig, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
                 "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                 "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "2\r\nde\r\n0\r\n\r\nGET /4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
                 "GET /5 HTTP/1.1\r\nHost: h\r\n\r\n");
    const char *want[] = {"GET /1 0:", "POST /2 3:abc", "POST /3 2:de", "GET /4 0:"};
    for (int i = 0; i < 4; i++) {
        assert_true(rig_take(rig, &at, false, &answer));
        assert_string_equal(answer.body, want[i]);
    }
    assert_non_null(strstr(answer.head, "Connection: close"));
    assert_int_equal(at, rig->n_got); /* /5 came after close */
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

static void late_answers_keep_the_order(void **state)
{
    struct rig *rig = rig_new();
    struct rig_answer answer;
    size_t at = 0;

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
                 "GET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(rig->n_held, 3);
    rig_answer(rig, 2);
    rig_answer(rig, 1);
    assert_int_equal(rig->n_got, 0);
    rig_answer(rig, 0);
    const char *want[] = {"POST /1 1:x", "GET /2 0:", "GET /3 0:"};
    for (int i = 0; i < 3; i++) {
        assert_true(rig_take(rig, &at, false, &answer));
        assert_string_equal(answer.body, want[i]);
    }
    assert_false(rig->client_saw_end);
    rig_free(rig);
}

static void pipeline_has_a_bound(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->limits.pipeline_max = 4;
    rig->hub->limits.pipeline_max = 4;
    rig->hold = true;
    rig_connect(rig);
    for (int i = 0; i < 10; i++)
        rig_say(rig, GET);
    assert_int_equal(rig->n_held, 4);
    rig_answer(rig, 0);
    assert_int_equal(rig->n_held, 4);
    while (rig->n_held > 0)
        rig_answer(rig, 0);
    assert_int_equal(rig->n_requests, 10);
    rig_free(rig);
}

static void big_bodies_arrive_whole(void **state)
{
    struct rig *rig = rig_new();
    static const size_t sizes[] = {1, 16000, 16300, 16384, 65536, 1000000};
    char head[200];

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(sizes); i++) {
        rig_connect(rig);
        snprintf(head, sizeof(head), "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
                 sizes[i]);
        rig_say(rig, head);
        rig_send(rig, rig_fill(), sizes[i]);
        snprintf(head, sizeof(head), "POST /b %zu:%.*s", sizes[i],
                 (int)(sizes[i] < 64 ? sizes[i] : 64), rig_fill());
        rig_expect(rig, 200, head);
        rig_say(rig, GET);
        assert_int_equal(rig->n_requests, 2 * (i + 1));
    }
    rig_free(rig);
}

static void chunked_bodies_arrive_whole(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_connect(rig);
    rig_say(rig, "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 300; i++) {
        rig_say(rig, "3e8;a=b\r\n");
        rig_send(rig, rig_fill(), 1000);
        rig_say(rig, "\r\n");
    }
    rig_say(rig, "0\r\nX-Checksum: 1\r\n\r\n");
    assert_non_null(strstr(rig->got, "POST /c 300000:zzz"));
    rig_free(rig);
}

static void pivot_of_112(void *self, const struct tern_exchange *x, struct tern_body_plan *plan)
{
    (void)self;
    (void)x;
    assert_int_equal(plan->size, 40010);
    plan->pivot = 112;
}

/* A body apart lies so that its pivot begins a cache line; its bytes are the same. */
static void the_pivot_of_a_body_is_aligned(void **state)
{
    struct rig *rig = rig_new();
    static const char tail[] = "0123456789";
    size_t n = 40000;

    (void)state;
    rig->handler.plan_body = pivot_of_112;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 40010\r\n\r\n");
    rig_send(rig, rig_fill(), n);
    rig_send(rig, tail, sizeof(tail) - 1);
    assert_int_equal(rig->n_held, 1);
    struct tern_str body = rig->held[0]->body;
    assert_int_equal(body.n, n + 10);
    assert_int_equal((uintptr_t)(body.p + 112) % TERN_CACHE_LINE, 0);
    assert_memory_equal(body.p, rig_fill(), n);
    assert_memory_equal(body.p + n, tail, 10);
    rig_free(rig);
}

static void too_large_is_told_before_it_is_read(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_connect(rig);
    long before = rig_allocs;
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n");
    rig_expect(rig, 413, "request body: expected at most 4194304 bytes");
    assert_true(rig_allocs - before < 20);
    assert_true(rig->client_saw_end);
    rig_connect(rig);
    rig->listener.body_max = 10;
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "6\r\nabcdef\r\n5\r\nabcde\r\n0\r\n\r\n");
    rig_expect(rig, 413, "request body: expected at most 10 bytes");
    rig_free(rig);
}

static void bodies_share_a_bound(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hub->limits.body_bytes_max = 100000;
    rig_connect(rig);
    rig_say(rig, "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 90000\r\n\r\n");
    rig_send(rig, rig_fill(), 90000);
    rig_say(rig, "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 90000\r\n\r\n");
    rig_send(rig, rig_fill(), 90000);
    assert_int_equal(rig->n_requests, 2); /* one after the other fits */
    rig->n_got = 0;
    rig_say(rig, "POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 120000\r\n\r\n");
    rig_send(rig, rig_fill(), 120000);
    rig_expect(rig, 503, "too many request bodies are held in memory; try again");
    rig_connect(rig);
    assert_int_equal(rig->hub->body_bytes, 0);
    rig_say(rig, "POST /4 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n");
    rig_send(rig, rig_fill(), 120000);
    rig_expect(rig, 503, NULL);
    rig_hang_up(rig);
    assert_int_equal(rig->hub->body_bytes, 0);
    rig_free(rig);
}

static void continue_is_sent_when_waited_for(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_string_equal(rig->got, "HTTP/1.1 100 Continue\r\n\r\n");
    rig->n_got = 0;
    rig_say(rig, "ab");
    rig_expect(rig, 200, "POST / 2:ab");
    /* The body came along: nobody waits. */
    rig->n_got = 0;
    rig_say(rig,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\ncd");
    rig_expect(rig, 200, "POST / 2:cd");
    /* Refused without it. */
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n"
                 "Expect: 100-continue\r\n\r\n");
    rig_expect(rig, 413, NULL);
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

static void continue_waits_for_its_turn(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
                     "Expect: 100-continue\r\n\r\n");
    assert_int_equal(rig->n_got, 0);
    rig_answer(rig, 0);
    assert_non_null(strstr(rig->got, "0:HTTP/1.1 100 Continue\r\n\r\n"));
    rig_say(rig, "ab");
    assert_int_equal(rig->n_held, 1);
    rig_free(rig);
}

static void an_early_answer_skips_the_body(void **state)
{
    struct rig *rig = rig_new();
    struct rig_answer answer;
    size_t at = 0;

    (void)state;
    rig->answer_in_head = 401;
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
    rig_expect(rig, 401, "early");
    rig_say(rig, "cd" GET);
    assert_true(rig_take(rig, &at, false, &answer));
    assert_true(rig_take(rig, &at, false, &answer));
    assert_false(rig->client_saw_end);
    assert_int_equal(rig->n_requests, 0);
    /* Too long to be worth reading, or never coming: the connection ends. */
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\nab");
    rig_expect(rig, 401, "early");
    assert_true(rig->client_saw_end);
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    rig_expect(rig, 401, "early");
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

/* A handler that pauses above the high mark and goes on when it is told. */
#define PRODUCE_MAX (2u << 20)
static size_t produced;

static void produce(struct tern_exchange *x)
{
    while (produced < PRODUCE_MAX && x->unsent <= TERN_STREAM_HIGH) {
        tern_buf_add(tern_exchange_body(x), rig_fill(), 8192);
        produced += 8192;
        tern_exchange_send(x, produced == PRODUCE_MAX);
        if (produced == PRODUCE_MAX)
            return;
    }
}

static void a_streaming_handler_is_told_of_room(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET);
    struct tern_exchange *x = rig->held[0];
    rig->n_held = 0; /* answered here */
    x->status = 200;
    x->on_room = produce;
    produced = 0;
    produce(x);
    rig_pump_without_reading(rig);
    assert_true(produced > TERN_STREAM_HIGH && produced < PRODUCE_MAX); /* it waits */
    rig_pump(rig);
    assert_int_equal(produced, PRODUCE_MAX);
    assert_true(rig->n_got > PRODUCE_MAX);
    assert_memory_equal(rig->got + rig->n_got - 7, "\r\n0\r\n\r\n", 7);
    rig_free(rig);
}

static void answers_may_be_streamed(void **state)
{
    struct rig *rig = rig_new();
    struct rig_answer answer;
    size_t at = 0;

    (void)state;
    rig->stream = 2;
    rig_connect(rig);
    rig_say(rig, GET);
    assert_non_null(strstr(rig->got, "Transfer-Encoding: chunked\r\n"));
    assert_true(rig_take(rig, &at, false, &answer));
    assert_string_equal(answer.body, "GET /a 0:+more+more");
    assert_int_equal(at, rig->n_got);
    /* HTTP/1.0 has no chunks: the body ends with the connection. */
    rig_connect(rig);
    rig_say(rig, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    rig_expect(rig, 200, "GET /a 0:+more+more");
    assert_true(rig->client_saw_end);
    rig_connect(rig);
    rig_say(rig, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
    at = 0;
    assert_true(rig_take(rig, &at, true, &answer));
    assert_int_equal(at, rig->n_got);
    rig_free(rig);
}

static void a_slow_reader_is_not_read(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->slice_bytes = 900 << 10;
    rig->pad_body = 200 << 10;
    rig_connect(rig);
    for (int i = 0; i < 40; i++) {
        if (send(rig->client, GET, sizeof(GET) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        rig_pump_without_reading(rig);
    }
    unsigned asked = rig->n_requests;
    assert_true(asked < 5);
    struct tern_conn *conn = TERN_CONTAINER_OF(rig->hub->conns.next, struct tern_conn, link);
    assert_true(conn->queued < (4u << 20));
    /* It reads on: everything is answered, byte for byte. */
    uint64_t total = 0;
    for (;;) {
        rig->n_got = 0;
        rig_pump_without_reading(rig);
        if (!rig_read(rig))
            break;
        total += rig->n_got;
    }
    assert_int_equal(rig->n_requests, 40);
    assert_true(total > 40u * ((900 + 200) << 10));
    rig_free(rig);
}

static void who_stops_reading_is_cut_off(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->slice_bytes = 900 << 10;
    rig_connect(rig);
    (void)send(rig->client, GET, sizeof(GET) - 1, MSG_NOSIGNAL);
    rig_pump_without_reading(rig);
    rig_now_ns += 29ull * TERN_NS_PER_S;
    rig_pump_without_reading(rig);
    assert_false(tern_list_is_empty(&rig->hub->conns));
    rig_now_ns += 2ull * TERN_NS_PER_S;
    rig_pump_without_reading(rig);
    assert_true(tern_list_is_empty(&rig->hub->conns));
    rig_free(rig);
}

static void time_is_limited(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    /* idle */
    rig_connect(rig);
    rig_say(rig, GET);
    rig_after(rig, 59);
    assert_false(rig->client_saw_end);
    rig_after(rig, 2);
    assert_true(rig->client_saw_end);
    rig_expect(rig, 200, NULL);
    /* a head that drips */
    rig_connect(rig);
    for (int i = 0; i < 5; i++) {
        rig_send(rig, &"GET /"[i], 1);
        rig_after(rig, 2);
    }
    rig_after(rig, 1);
    rig_expect(rig, 408, NULL);
    assert_true(rig->client_saw_end);
    /* a body that drips */
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n");
    rig_send(rig, rig_fill(), 12000);
    rig_after(rig, 11);
    assert_int_equal(rig->n_got, 0);
    rig_send(rig, rig_fill(), 100);
    rig_after(rig, 11);
    rig_expect(rig, 408, NULL);
    assert_true(rig->client_saw_end);
    /* never a byte */
    rig_connect(rig);
    rig_after(rig, 61);
    assert_true(rig->client_saw_end);
    assert_int_equal(rig->n_got, 0);
    rig_free(rig);
}

static void a_waiting_answer_has_all_the_time(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET);
    rig_after(rig, 600);
    assert_false(rig->client_saw_end);
    rig_answer(rig, 0);
    rig_expect(rig, 200, "GET /a 0:");
    rig_free(rig);
}

/* Where nobody knows when the rest comes, who closes is gone. */
static void who_closes_in_the_middle_of_a_stream_has_left(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET);
    struct tern_exchange *x = rig->held[0];
    x->status = 200;
    TERN_BUF_ADD_LITERAL(tern_exchange_body(x), "one");
    tern_exchange_send(x, false);
    rig_pump(rig);
    assert_int_equal(rig->n_gone, 0);
    shutdown(rig->client, SHUT_WR);
    rig_pump(rig);
    assert_int_equal(rig->n_gone, 1);
    rig_answer(rig, 0); /* and nobody hears it */
    rig_free(rig);
}

static void half_closed_clients_get_their_answers(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET);
    shutdown(rig->client, SHUT_WR);
    rig_pump(rig);
    assert_false(rig->client_saw_end);
    rig_answer(rig, 0);
    rig_expect(rig, 200, "GET /a 0:");
    assert_true(rig->client_saw_end);
    /* In the middle of a request. */
    rig->hold = false;
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    shutdown(rig->client, SHUT_WR);
    rig_pump(rig);
    rig_expect(rig, 400, "the request ended before it was complete");
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

static void gone_clients_are_told(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET GET);
    rig_hang_up(rig);
    assert_int_equal(rig->n_gone, 2);
    assert_false(tern_hub_is_idle(rig->hub));
    rig_answer(rig, 0);
    rig_answer(rig, 0);
    assert_true(tern_hub_is_idle(rig->hub));
    rig_free(rig);
}

static void finish_sending(struct rig *rig)
{
    assert_int_equal(shutdown(rig->client, SHUT_WR), 0);
    rig_pump(rig); /* ends: nothing is ready over and over */
}

#define INTERIM "HTTP/1.1 100 Continue\r\n\r\n"

static unsigned count_interim(const struct rig *rig)
{
    unsigned n = 0;

    for (const char *at = rig->got; strncmp(at, INTERIM, strlen(INTERIM)) == 0;
         at += strlen(INTERIM))
        n++;
    return n;
}

/* Over TCP a close is no more than the end of what the client sends: what it is sent then, a reset
 * answers. */
static void who_finished_sending_is_asked_whether_it_listens(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET GET);
    finish_sending(rig);
    assert_int_equal(rig->n_got, 0); /* what is quick is answered as ever */
    rig_after(rig, 1);
    assert_true(count_interim(rig) >= 1);
    assert_int_equal(rig->n_gone, 0);
    assert_int_equal(rig->hub->counters.timeouts, 0);
    for (int i = 0; i < 600; i++)
        rig_after(rig, 1);
    assert_int_equal(count_interim(rig), 5); /* clients take a few */
    assert_false(rig->client_saw_end);
    rig_hang_up(rig);
    assert_int_equal(rig->n_gone, 2);
    rig_answer(rig, 0);
    rig_answer(rig, 0);
    assert_true(tern_hub_is_idle(rig->hub));
    rig_free(rig);
}

static void who_still_listens_is_answered(void **state)
{
    struct rig *rig = rig_new();
    struct rig_answer answer;
    size_t at = 0;

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET GET);
    finish_sending(rig);
    rig_after(rig, 1);
    rig_answer(rig, 0);
    rig_answer(rig, 0);
    unsigned interim = count_interim(rig);
    for (unsigned i = 0; i < interim + 2; i++) {
        assert_true(rig_take(rig, &at, false, &answer));
        assert_int_equal(answer.status, i < interim ? 100 : 200);
    }
    assert_int_equal(at, rig->n_got);
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

/* RFC 9110 15.2: no interim answer to a client of HTTP/1.0. */
static void old_clients_are_not_asked(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, "GET /a HTTP/1.0\r\n\r\n");
    finish_sending(rig);
    rig_after(rig, 600);
    assert_int_equal(rig->n_got, 0);
    assert_int_equal(rig->n_gone, 0);
    rig_answer(rig, 0);
    rig_expect(rig, 200, "GET /a 0:");
    rig_free(rig);
}

/* What waits unread is held back, and comes before the end. */
static void pipelined_requests_come_before_the_end(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    unsigned max = rig->limits.pipeline_max;
    for (unsigned i = 0; i < max + 1; i++)
        rig_say(rig, GET);
    assert_int_equal(rig->n_requests, max);
    finish_sending(rig);
    rig_after(rig, 1);
    assert_int_equal(rig->n_got, 0);
    rig_answer(rig, 0);
    assert_int_equal(rig->n_requests, max + 1);
    rig_hang_up(rig);
    assert_int_equal(rig->n_gone, max);
    for (unsigned i = 0; i < max; i++)
        rig_answer(rig, 0);
    rig_free(rig);
}

/* Half a request behind one that runs: refused behind it. */
static void half_a_request_may_be_the_last(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET "GET /b HT");
    finish_sending(rig);
    assert_int_equal(rig->n_refused, 1);
    rig_after(rig, 1);
    assert_true(count_interim(rig) >= 1);
    rig_answer(rig, 0);
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

/* ---- the account of memory ---- */

#define GRAIN ((size_t)TERN_ACCOUNT_GRAIN)

static struct tern_account *account_of(struct rig *rig, size_t max)
{
    struct tern_account *account = NULL;

    assert_int_equal(tern_account_new(max, 1, &account, NULL), TERN_OK);
    rig->hub->till = tern_account_till(account, 0);
    return account;
}

static void close_account(struct rig *rig, struct tern_account *account)
{
    rig_hang_up(rig);
    rig_pump_without_reading(rig);
    assert_int_equal(tern_account_used(account), 0); /* all was given back */
    rig_free(rig);
    tern_account_free(account);
}

static void say_head(struct rig *rig, size_t length)
{
    char head[128];

    snprintf(head, sizeof(head), "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
             length);
    rig_say(rig, head);
}

/* A head that announces a gigabyte costs a grain, and then four times what came. */
static void a_body_is_charged_as_it_comes(void **state)
{
    struct rig *rig = rig_new();
    struct tern_account *account = account_of(rig, 100 * GRAIN);
    size_t length = 20 * GRAIN;

    (void)state;
    rig->listener.body_max = 100 * GRAIN;
    rig_connect(rig);
    say_head(rig, length);
    assert_int_equal(tern_account_used(account), GRAIN);
    rig_send(rig, rig_fill(), GRAIN);
    assert_int_equal(tern_account_used(account), 5 * GRAIN);
    rig_send(rig, rig_fill(), GRAIN);
    for (int i = 2; i < 19; i++)
        rig_send(rig, rig_fill(), GRAIN);
    assert_int_equal(tern_account_used(account), length);
    rig_send(rig, rig_fill(), GRAIN);
    assert_int_equal(rig->n_requests, 1);
    rig_pump(rig);
    assert_int_equal(tern_account_used(account), 0);
    close_account(rig, account);
}

static void a_body_without_room_is_refused_by_its_head(void **state)
{
    struct rig *rig = rig_new();
    struct tern_account *account = account_of(rig, 100 * GRAIN);

    (void)state;
    rig->listener.body_max = 100 * GRAIN;
    rig_connect(rig);
    say_head(rig, 91 * GRAIN);
    rig_expect(rig, 503, "the memory that requests may take is used up; try again");
    assert_int_equal(tern_account_used(account), 0);
    assert_true(tern_till_take(rig->hub->till, 91 * GRAIN)); /* by others */
    rig_connect(rig);
    say_head(rig, GRAIN);
    rig_expect(rig, 503, NULL);
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    rig_expect(rig, 503, NULL);
    rig_connect(rig);
    say_head(rig, 3); /* what fits into the read buffer takes no more memory */
    rig_say(rig, "abc");
    rig_expect(rig, 200, "POST /a 3:abc");
    tern_till_give(rig->hub->till, 91 * GRAIN);
    close_account(rig, account);
}

static void what_was_begun_is_refused_at_the_limit(void **state)
{
    struct rig *rig = rig_new();
    struct tern_account *account = account_of(rig, 100 * GRAIN);

    (void)state;
    rig->listener.body_max = 100 * GRAIN;
    rig_connect(rig);
    say_head(rig, 20 * GRAIN);
    assert_true(tern_till_take(rig->hub->till, 95 * GRAIN)); /* by others, meanwhile */
    rig_send(rig, rig_fill(), GRAIN);
    rig_send(rig, rig_fill(), GRAIN);
    rig_expect(rig, 503, "the memory that requests may take is used up; try again");
    tern_till_give(rig->hub->till, 95 * GRAIN);
    close_account(rig, account);
    rig = rig_new();
    account = account_of(rig, 100 * GRAIN);
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_int_equal(tern_account_used(account), 3);
    assert_true(tern_till_take(rig->hub->till, 100 * GRAIN));
    rig_say(rig, "3\r\ndef\r\n");
    rig_expect(rig, 503, NULL);
    tern_till_give(rig->hub->till, 100 * GRAIN);
    close_account(rig, account);
}

/* Wherever a client leaves, its request ends in one way, and that is the right one. */
static void each_stage_has_its_ending(void **state)
{
    static const struct {
        const char *sent;
        bool hold; /* its answer, until it has left */
        enum tern_ending ending;
    } rows[] = {
        {"POST /a HT", false, TERN_ENDING_UNFINISHED}, /* head */
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab", false,
         TERN_ENDING_UNFINISHED},
        {GET, true, TERN_ENDING_CANCELLED},
        {GET, false, TERN_ENDING_OK},
        {"GET nonsense\r\n\r\n", false, TERN_ENDING_INVALID},
    };
    struct rig *rig = rig_new();

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        uint64_t came = rig->hub->counters.requests_came;
        uint64_t ended = rig_ended(rig, rows[i].ending);
        rig->hold = rows[i].hold;
        rig_connect(rig);
        rig_say(rig, rows[i].sent);
        rig_pump(rig);
        rig_hang_up(rig);
        while (rig->n_held > 0)
            rig_answer(rig, 0);
        assert_int_equal(rig->hub->counters.requests_came, came + 1);
        assert_int_equal(rig_ended(rig, rows[i].ending), ended + 1);
        rig_check_ledger(rig);
    }
    rig->hold = false;
    rig_connect(rig);
    rig_say(rig, "\r\n"); /* nothing */
    rig_hang_up(rig);
    assert_int_equal(rig->hub->counters.requests_came, TERN_COUNT_OF(rows));
    rig_free(rig);
}

static void an_answer_that_was_not_taken_is_lost(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->slice_bytes = 900 << 10; /* more than a socket holds */
    rig_connect(rig);
    assert_int_equal(write(rig->client, GET, strlen(GET)), strlen(GET));
    rig_pump_without_reading(rig);
    rig_hang_up(rig);
    assert_int_equal(rig_ended(rig, TERN_ENDING_LOST), 1);
    /* One that waits behind another is lost with it. */
    rig->slice_bytes = 0;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET GET);
    rig_answer(rig, 1);
    rig_hang_up(rig);
    rig_answer(rig, 0);
    assert_int_equal(rig_ended(rig, TERN_ENDING_LOST), 2);
    assert_int_equal(rig_ended(rig, TERN_ENDING_CANCELLED), 1);
    rig_free(rig);
}

static void clients_may_leave_at_every_byte(void **state)
{
    struct rig *rig = rig_new();
    static const char text[] = "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                               "POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "2\r\nde\r\n0\r\n\r\n";

    (void)state;
    for (int hold = 0; hold < 2; hold++) {
        rig->hold = hold != 0;
        for (size_t n = 0; n < sizeof(text); n++) {
            rig_connect(rig);
            rig_send(rig, text, n);
            rig_hang_up(rig);
            while (rig->n_held > 0)
                rig_answer(rig, rig->n_held - 1);
            assert_true(tern_hub_is_idle(rig->hub));
        }
    }
    rig_free(rig);
}

static void draining_finishes_what_is_in_flight(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET);
    tern_hub_drain(rig->hub);
    rig_pump(rig);
    assert_false(rig->client_saw_end);
    rig_answer(rig, 0);
    rig_expect(rig, 200, "GET /a 0:");
    assert_non_null(strstr(rig->got, "Connection: close"));
    assert_true(rig->client_saw_end);
    rig_free(rig);

    rig = rig_new(); /* idle ones close at once */
    rig_connect(rig);
    rig_say(rig, GET);
    rig_after(rig, 2);
    tern_hub_drain(rig->hub);
    rig_pump(rig);
    assert_true(rig->client_saw_end);
    rig_free(rig);

    rig = rig_new(); /* who was busy a moment ago may have one more request on its way */
    rig_connect(rig);
    rig_say(rig, GET);
    tern_hub_drain(rig->hub);
    rig_pump(rig);
    assert_false(rig->client_saw_end);
    rig->n_got = 0;
    rig_say(rig, GET);
    rig_expect(rig, 200, "GET /a 0:");
    assert_non_null(strstr(rig->got, "Connection: close"));
    assert_true(rig->client_saw_end);
    rig_free(rig);

    rig = rig_new(); /* or not */
    rig_connect(rig);
    rig_say(rig, GET);
    tern_hub_drain(rig->hub);
    rig_after(rig, 1);
    assert_true(rig->client_saw_end);
    rig_free(rig);

    rig = rig_new(); /* a request that lies in the socket */
    rig_connect(rig);
    rig_say(rig, GET);
    rig->n_got = 0;
    assert_int_equal(send(rig->client, GET, sizeof(GET) - 1, 0), sizeof(GET) - 1);
    tern_hub_drain(rig->hub);
    rig_pump(rig);
    rig_expect(rig, 200, "GET /a 0:");
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

static void compression_both_ways(void **state)
{
    struct rig *rig = rig_new();
    unsigned char packed[4096];
    z_stream z = {0};
    char head[256];

    (void)state;
    rig->listener.body_max = 20000;
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)rig_fill();
    z.avail_in = 20000;
    z.next_out = packed;
    z.avail_out = sizeof(packed);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    rig_connect(rig);
    snprintf(head, sizeof(head),
             "POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: %lu\r\n\r\n",
             z.total_out);
    rig_say(rig, head);
    rig_send(rig, (char *)packed, z.total_out);
    assert_non_null(strstr(rig->got, "POST / 20000:zzz"));
    /* Damaged: the connection goes on. */
    packed[z.total_out - 8] ^= 1;
    rig->n_got = 0;
    rig_say(rig, head);
    rig_send(rig, (char *)packed, z.total_out);
    rig_expect(rig, 400, NULL);
    assert_false(rig->client_saw_end);
    rig->n_got = 0;
    rig->compress = true;
    rig->pad_body = 5000;
    rig_say(rig, "GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_non_null(strstr(rig->got, "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"));
    assert_true(rig->n_got < 600);
    rig->hub->limits.compression_min = 6000;
    rig->n_got = 0;
    rig_say(rig, "GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_true(rig->n_got > 5000);
    rig->hub->limits.compression_min = 0;
    rig->hub->limits.compression = false;
    rig->n_got = 0;
    rig_say(rig, "GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_true(rig->n_got > 5000);
    rig->n_got = 0;
    rig_say(rig, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx");
    rig_expect(rig, 415, NULL);
    deflateEnd(&z);
    rig_free(rig);
}

static void long_and_hostile_response_headers(void **state)
{
    (void)state;
    /* Through the handler's seam: rig has none for headers, so the first held exchange gets them.
     */
    struct rig *rig = rig_new();
    static char value[3000];
    memset(value, 'v', sizeof(value) - 1);
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET);
    tern_exchange_add_header(rig->held[0], TERN_STR("X-Long"), tern_str_of(value));
    tern_exchange_add_header(rig->held[0], TERN_STR("X-Split"), TERN_STR("a\r\nX-Evil: b"));
    rig_answer(rig, 0);
    rig_expect(rig, 200, "GET /a 0:");
    assert_non_null(strstr(rig->got, value));
    assert_null(strstr(rig->got, "X-Evil"));
    rig_free(rig);
}

static void a_stream_that_is_not_read_is_cut_off(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET);
    struct tern_exchange *x = rig->held[0];
    rig->n_held = 0;
    x->status = 200;
    for (int i = 0; i < 100 && !x->gone; i++) {
        tern_buf_add(tern_exchange_body(x), rig_fill(), 500000);
        tern_exchange_send(x, false);
        rig_pump_without_reading(rig);
        struct tern_list *link = rig->hub->conns.next;
        if (link != &rig->hub->conns)
            assert_true(TERN_CONTAINER_OF(link, struct tern_conn, link)->queued <= 9u << 20);
    }
    assert_true(x->gone);
    assert_int_equal(rig->n_gone, 1);
    tern_exchange_send(x, true);
    rig_free(rig);
}

static void a_body_that_did_not_fit_is_an_error(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    for (int i = 0; i < 2; i++) {
        rig->n_got = 0;
        rig_say(rig, GET);
        struct tern_exchange *x = rig->held[0];
        rig->n_held = 0;
        x->status = i == 0 ? 200 : 0; /* or forgotten */
        x->response_type = TERN_STR("text/plain");
        TERN_BUF_ADD_LITERAL(tern_exchange_body(x), "half a b");
        x->out->failed = i == 0;
        tern_exchange_send(x, true);
        rig_pump(rig);
        rig_expect(rig, 500, i == 0 ? "" : "half a b");
        assert_false(rig->client_saw_end);
    }
    rig_free(rig);
}

static void never_called(struct tern_exchange *x)
{
    (void)x;
    fail();
}

static void an_exchange_comes_back_clean(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET);
    struct tern_exchange *first = rig->held[0];
    first->on_room = never_called;
    first->crowded = true;
    first->unsent = 1;
    first->user = rig;
    first->allow_compression = true;
    tern_exchange_add_header(first, TERN_STR("X"), TERN_STR("y"));
    rig_answer(rig, 0);
    rig_say(rig, GET);
    struct tern_exchange *x = rig->held[0];
    assert_ptr_equal(x, first); /* pooled */
    assert_null(x->on_room);
    assert_null(x->user);
    assert_null(x->slices);
    assert_false(x->crowded || x->gone || x->allow_compression);
    assert_int_equal(x->unsent + x->n_response_headers + x->bytes_out + x->n_slices, 0);
    assert_int_equal(x->status, 0);
    rig_free(rig);
}

/* Memory. */

static void one_of_each(struct rig *rig)
{
    rig->n_got = 0;
    rig_say(rig, GET);
    rig_say(rig, "POST /s HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    rig_say(rig, "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "4\r\nabcd\r\n0\r\n\r\n");
    rig_say(rig, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    rig_send(rig, rig_fill(), 100000);
    rig_say(rig, GET GET GET);
}

static void the_steady_state_allocates_nothing(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->slice_bytes = 300000;
    rig_connect(rig);
    for (int i = 0; i < 5; i++)
        one_of_each(rig);
    long before = rig_allocs;
    for (int i = 0; i < 20; i++)
        one_of_each(rig);
    assert_int_equal(rig_allocs, before);
    /* New connections do not either: theirs is pooled. */
    for (int i = 0; i < 5; i++) {
        rig_connect(rig);
        one_of_each(rig);
    }
    assert_int_equal(rig_allocs, before);
    rig_free(rig);
}

static void an_idle_connection_is_small(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_connect(rig);
    rig_say(rig, GET);
    struct tern_conn *conn = TERN_CONTAINER_OF(rig->hub->conns.next, struct tern_conn, link);
    assert_null(conn->in);
    assert_null(conn->queue_first);
    struct h1_shared *shared = rig->hub->h1_state;
    assert_true(rig->hub->pool_conn.size + shared->pool.size <= 1024);
    rig_free(rig);
}

static void a_quiet_server_gives_memory_back(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_connect(rig);
    one_of_each(rig);
    assert_true(rig->hub->bodies_kept > 0);
    rig_after(rig, 6);
    rig_after(rig, 6);
    assert_int_equal(rig->hub->bodies_kept, 0);
    assert_int_equal(rig->hub->tidy.slot, 0);
    rig_free(rig);
}

/* Every allocation of a whole conversation fails once, and then all from there on: clean errors or
 * a closed connection, nothing leaks (ASan), and the next conversation works. */
static void conversation(struct rig *rig)
{
    rig_connect(rig);
    one_of_each(rig);
    rig->stream = 1;
    rig_say(rig, GET);
    rig->stream = 0;
    rig_hang_up(rig);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (int forever = 0; forever < 2; forever++) {
        for (long n = 0;; n++) {
            rig_allocs = 0;
            rig_fail_at = n;
            rig_fail_until = forever != 0 ? 1000000 : n + 1;
            struct rig *rig = rig_try_new();
            if (rig != NULL) {
                rig->slice_bytes = 900000;
                conversation(rig);
            }
            bool done = rig_allocs <= n;
            rig_fail_at = -1;
            if (rig != NULL) {
                conversation(rig);
                rig_connect(rig);
                rig->slice_bytes = 0;
                rig_say(rig, GET);
                rig_expect(rig, 200, "GET /a 0:");
                rig_free(rig);
            }
            if (done)
                break;
            assert_true(n < 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_keep_the_connection),
        cmocka_unit_test(pipelined_answers_share_one_send),
        cmocka_unit_test(late_answers_keep_the_order),
        cmocka_unit_test(pipeline_has_a_bound),
        cmocka_unit_test(big_bodies_arrive_whole),
        cmocka_unit_test(the_pivot_of_a_body_is_aligned),
        cmocka_unit_test(chunked_bodies_arrive_whole),
        cmocka_unit_test(too_large_is_told_before_it_is_read),
        cmocka_unit_test(bodies_share_a_bound),
        cmocka_unit_test(continue_is_sent_when_waited_for),
        cmocka_unit_test(continue_waits_for_its_turn),
        cmocka_unit_test(an_early_answer_skips_the_body),
        cmocka_unit_test(a_streaming_handler_is_told_of_room),
        cmocka_unit_test(answers_may_be_streamed),
        cmocka_unit_test(a_slow_reader_is_not_read),
        cmocka_unit_test(who_stops_reading_is_cut_off),
        cmocka_unit_test(time_is_limited),
        cmocka_unit_test(a_waiting_answer_has_all_the_time),
        cmocka_unit_test(who_closes_in_the_middle_of_a_stream_has_left),
        cmocka_unit_test(half_closed_clients_get_their_answers),
        cmocka_unit_test(gone_clients_are_told),
        cmocka_unit_test(who_finished_sending_is_asked_whether_it_listens),
        cmocka_unit_test(who_still_listens_is_answered),
        cmocka_unit_test(old_clients_are_not_asked),
        cmocka_unit_test(pipelined_requests_come_before_the_end),
        cmocka_unit_test(half_a_request_may_be_the_last),
        cmocka_unit_test(a_body_is_charged_as_it_comes),
        cmocka_unit_test(a_body_without_room_is_refused_by_its_head),
        cmocka_unit_test(what_was_begun_is_refused_at_the_limit),
        cmocka_unit_test(each_stage_has_its_ending),
        cmocka_unit_test(an_answer_that_was_not_taken_is_lost),
        cmocka_unit_test(clients_may_leave_at_every_byte),
        cmocka_unit_test(draining_finishes_what_is_in_flight),
        cmocka_unit_test(compression_both_ways),
        cmocka_unit_test(long_and_hostile_response_headers),
        cmocka_unit_test(a_stream_that_is_not_read_is_cut_off),
        cmocka_unit_test(a_body_that_did_not_fit_is_an_error),
        cmocka_unit_test(an_exchange_comes_back_clean),
        cmocka_unit_test(the_steady_state_allocates_nothing),
        cmocka_unit_test(an_idle_connection_is_small),
        cmocka_unit_test(a_quiet_server_gives_memory_back),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
