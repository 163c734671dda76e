// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc
/* Answers in parts over HTTP/1.1, and clients that do not take them. */
#include "harness/h1_rig.h"
#include "net/mux_h1_int.h"

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

/* A request whose answer, OK so far, the test makes itself. */
static struct tern_exchange *hold_one(struct rig *rig)
{
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET);
    rig->held[0]->status = 200;
    return rig->held[0];
}

static void a_streaming_handler_is_told_of_room(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    struct tern_exchange *x = hold_one(rig);
    rig->n_held = 0; /* answered here */
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

static void a_stream_that_is_not_read_is_cut_off(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    struct tern_exchange *x = hold_one(rig);
    rig->n_held = 0;
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

/* Where nobody knows when the rest comes, who closes is gone. */
static void who_closes_in_the_middle_of_a_stream_has_left(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    struct tern_exchange *x = hold_one(rig);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_streaming_handler_is_told_of_room),
        cmocka_unit_test(answers_may_be_streamed),
        cmocka_unit_test(a_slow_reader_is_not_read),
        cmocka_unit_test(who_stops_reading_is_cut_off),
        cmocka_unit_test(who_closes_in_the_middle_of_a_stream_has_left),
        cmocka_unit_test(a_stream_that_is_not_read_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
