// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
/* How streams and connections of HTTP/2 end: clients that go away, drains, and time. */
#include "harness/h2_rig.h"

static void a_reset_before_the_hand_over_costs_no_call(void **state)
{
    struct h2_rig *f = *state;
    client_run(&f->c);
    int32_t id = client_request(&f->c, NULL, no_body, false);
    const uint8_t *p;

    ssize_t n = nghttp2_session_mem_send(f->c.session, &p);
    uint8_t both[1000];
    memcpy(both, p, (size_t)n);
    const uint8_t rst[13] = {0, 0, 4, NGHTTP2_RST_STREAM, 0, 0, 0, 0, (uint8_t)id, 0, 0, 0, 8};
    memcpy(both + n, rst, sizeof(rst));
    client_send_raw(&f->c, both, (size_t)n + sizeof(rst));
    rig_step(&f->rig);
    assert_int_equal(f->seen.heads, 1);
    assert_int_equal(f->seen.requests, 0);
    assert_int_equal(f->seen.gone, 0);
    assert_int_equal(h2_rig_ended(f, TERN_ENDING_UNFINISHED), 1);
}

static void a_reset_later_is_told_and_the_exchange_lives_on(void **state)
{
    struct h2_rig *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/late"), TERN_STR("body"), false);

    client_run(&f->c);
    nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_run(&f->c);
    assert_int_equal(f->seen.gone, 1);
    struct tern_exchange *x = f->seen.late[0];
    assert_true(x->gone);
    assert_true(tern_str_eq(x->body, TERN_STR("body")));
    h2_rig_answer(x, 200, TERN_STR("to nobody"));
    assert_int_equal(h2_rig_ended(f, TERN_ENDING_CANCELLED), 1);
    h2_rig_still_serves(f);
    assert_int_equal(h2_rig_ended(f, TERN_ENDING_OK), 1);
}

static void a_reset_in_the_middle_of_the_answer_is_a_loss(void **state)
{
    struct h2_rig *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/slices"), no_body, false);

    f->c.reads = false;
    for (int i = 0; i < 20; i++) {
        client_send(&f->c);
        rig_step(&f->rig);
    }
    nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_send(&f->c);
    rig_step(&f->rig);
    rig_step(&f->rig);
    assert_int_equal(f->seen.gone, 0); /* the handler was done */
    f->c.reads = true;
    client_run(&f->c);
    assert_int_equal(h2_rig_ended(f, TERN_ENDING_LOST), 1);
}

/* Answered early: the reset that follows takes nothing back. */
static void an_early_answer_is_no_loss(void **state)
{
    struct h2_rig *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/early"), TERN_STR("body"), true);

    client_run(&f->c);
    assert_int_equal(client_stream(&f->c, id)->status, 403);
    nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_run(&f->c);
    assert_int_equal(h2_rig_ended(f, TERN_ENDING_INVALID), 1);
}

static void a_body_that_stays_away_is_unfinished(void **state)
{
    struct h2_rig *f = *state;

    client_request(&f->c, NULL, TERN_STR("half"), true);
    client_run(&f->c);
    close(f->c.fd);
    f->c.fd = -1;
    rig_step(&f->rig);
    rig_step(&f->rig);
    assert_int_equal(h2_rig_ended(f, TERN_ENDING_UNFINISHED), 1);
}

static void a_lost_connection_orphans_its_exchanges(void **state)
{
    struct h2_rig *f = *state;

    for (int i = 0; i < 3; i++)
        client_request(&f->c, FIELDS(":path", "/late"), no_body, false);
    client_request(&f->c, FIELDS(":path", "/slices"), no_body, false);
    client_run(&f->c);
    close(f->c.fd);
    f->c.fd = -1;
    rig_step(&f->rig);
    rig_step(&f->rig);
    assert_true(tern_list_is_empty(&f->rig.hub->conns));
    assert_false(tern_hub_is_idle(f->rig.hub)); /* three answers are still owed */
    assert_int_equal(f->seen.gone, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(tern_str_eq(f->seen.late[i]->peer, TERN_STR("127.0.0.1:999")));
        if (i == 0) {
            TERN_BUF_ADD_LITERAL(tern_exchange_body(f->seen.late[i]), "part");
            tern_exchange_send(f->seen.late[i], false);
        }
        h2_rig_answer(f->seen.late[i], 200, TERN_STR("to nobody"));
    }
    rig_step(&f->rig);
    assert_true(tern_hub_is_idle(f->rig.hub));
}

static void answers_of_one_round_may_come_in_any_order(void **state)
{
    struct h2_rig *f = *state;
    int32_t ids[100];

    client_run(&f->c);
    for (int i = 0; i < 100; i++)
        ids[i] = client_request(&f->c, FIELDS(":path", "/late"), no_body, false);
    client_run(&f->c);
    assert_int_equal(f->seen.n_late, 100);
    for (int i = 99; i >= 0; i--)
        h2_rig_answer(f->seen.late[i], 200 + i % 3, TERN_STR("late"));
    client_run(&f->c);
    for (int i = 0; i < 100; i++)
        assert_int_equal(client_stream(&f->c, ids[i])->status, 200 + i % 3);
}

/* Before our SETTINGS arrive a client may guess at the number of streams. */
static void too_many_streams_are_refused_one_by_one(void **state)
{
    struct h2_rig *f = *state;
    int32_t ids[300];
    int served = 0;

    for (int i = 0; i < 300; i++)
        ids[i] = client_request(&f->c, FIELDS(":path", "/late"), no_body, false);
    client_run(&f->c);
    for (int i = 0; i < f->seen.n_late; i++)
        h2_rig_answer(f->seen.late[i], 200, TERN_STR("late"));
    client_run(&f->c);
    for (int i = 0; i < 300; i++) {
        const struct client_stream *s = client_stream(&f->c, ids[i]);
        assert_true(s->closed);
        assert_true(s->status == 200 || s->error == NGHTTP2_REFUSED_STREAM);
        served += s->status == 200;
    }
    assert_int_equal(served, f->rig.hub->limits.h2_streams_max);
    assert_false(f->c.goaway);
    h2_rig_still_serves(f);
}

static void drain_lets_requests_finish(void **state)
{
    struct h2_rig *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/late"), no_body, false);

    client_run(&f->c);
    tern_hub_drain(f->rig.hub);
    rig_step(&f->rig);
    client_recv(&f->c);
    assert_int_equal(f->c.goaways, 1);
    assert_int_equal(f->c.goaway_last, INT32_MAX);
    client_run(&f->c); /* the PING comes back */
    assert_int_equal(f->c.goaways, 2);
    assert_int_equal(f->c.goaway_last, id);
    assert_false(f->c.eof);
    h2_rig_answer(f->seen.late[0], 200, TERN_STR("in time"));
    client_run(&f->c);
    assert_int_equal(client_stream(&f->c, id)->status, 200);
    assert_true(f->c.eof);
}

static void an_idle_connection_is_closed(void **state)
{
    struct h2_rig *f = *state;

    h2_rig_still_serves(f);
    rig_clock_added_ns += 59ull * TERN_NS_PER_S;
    client_run(&f->c);
    assert_false(f->c.goaway);
    rig_clock_added_ns += 2ull * TERN_NS_PER_S;
    client_run(&f->c);
    assert_true(f->c.goaway);
    assert_int_equal(f->c.goaway_error, NGHTTP2_NO_ERROR);
    assert_true(f->c.eof);
}

static void a_client_that_greets_by_half_is_cut(void **state)
{
    struct h2_rig *f = *state;
    int fd = rig_connect(&f->rig);
    char byte;

    assert_int_equal(write(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24), 24);
    rig_step(&f->rig);
    rig_clock_added_ns += 11ull * TERN_NS_PER_S;
    rig_step(&f->rig);
    rig_step(&f->rig);
    while (read(fd, &byte, 1) == 1)
        ;
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

static void a_slow_upload_is_408(void **state)
{
    struct h2_rig *f = *state;
    int32_t id = client_request(&f->c, NULL, TERN_STR("dribble"), true);

    client_run(&f->c);
    for (int i = 0; i < 3; i++) {
        rig_clock_added_ns += 6ull * TERN_NS_PER_S;
        client_run(&f->c);
    }
    assert_int_equal(client_stream(&f->c, id)->status, 408);
    h2_rig_still_serves(f);
}

static void a_closed_window_is_not_waited_for_forever(void **state)
{
    struct h2_rig *f = *state;
    struct client c;

    client_open(&c, &f->rig, 0);
    int32_t id = client_request(&c, NULL, no_body, false);
    client_run(&c);
    assert_int_equal(client_stream(&c, id)->status, 200);
    for (int i = 0; i < 8; i++) {
        rig_clock_added_ns += 5ull * TERN_NS_PER_S;
        client_run(&c);
    }
    assert_true(client_stream(&c, id)->closed);
    assert_int_equal(client_stream(&c, id)->error, NGHTTP2_CANCEL);
    client_close(&c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, h2_rig_setup, h2_rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_reset_before_the_hand_over_costs_no_call),
        TEST(a_reset_later_is_told_and_the_exchange_lives_on),
        TEST(a_reset_in_the_middle_of_the_answer_is_a_loss),
        TEST(an_early_answer_is_no_loss),
        TEST(a_body_that_stays_away_is_unfinished),
        TEST(a_lost_connection_orphans_its_exchanges),
        TEST(answers_of_one_round_may_come_in_any_order),
        TEST(too_many_streams_are_refused_one_by_one),
        TEST(drain_lets_requests_finish),
        TEST(an_idle_connection_is_closed),
        TEST(a_client_that_greets_by_half_is_cut),
        TEST(a_slow_upload_is_408),
        TEST(a_closed_window_is_not_waited_for_forever),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
