// covers: net/conn_write net/hub net/mux_h1_read net/mux_h1_send
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc
/* The HTTP/1.1 mux over a socketpair: order, bodies, time, the end. What a request may look like is
 * in tests/wire/http1, answers in parts in mux_h1_stream_test.c, clients that leave in
 * mux_h1_gone_test.c, memory in mux_h1_memory_test.c. */
#include "harness/h1_rig.h"
#include <zlib.h>
#include "net/mux_h1_int.h"

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
        cmocka_unit_test(time_is_limited),
        cmocka_unit_test(a_waiting_answer_has_all_the_time),
        cmocka_unit_test(draining_finishes_what_is_in_flight),
        cmocka_unit_test(compression_both_ways),
        cmocka_unit_test(long_and_hostile_response_headers),
        cmocka_unit_test(a_body_that_did_not_fit_is_an_error),
        cmocka_unit_test(an_exchange_comes_back_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
