// wrap: tern_clock_mono_ns
/* Keepalive, pings and age of HTTP/2 connections, from the client's side. */
#include "harness/h2_client.h"

#include "net/mux_h2.h"

#define SEC 1000000000ull

struct fixture {
    struct rig rig;
    struct tern_handler handler;
    struct client c;
    struct tern_exchange *x; /* kept until it is ended */
    int gone;
};

static void answer(struct tern_exchange *x)
{
    x->status = 200;
    tern_exchange_body(x);
    tern_exchange_send(x, true);
}

static void on_request(void *self, struct tern_exchange *x)
{
    struct fixture *f = self;

    if (tern_str_eq(x->path, TERN_STR("/late")))
        f->x = x;
    else
        answer(x);
}

static void on_gone(void *self, struct tern_exchange *x)
{
    struct fixture *f = self;

    f->gone++;
    answer(x);
}

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){.gone = 0};
    f.handler = (struct tern_handler){.on_request = on_request, .on_gone = on_gone, .self = &f};
    rig_open(&f.rig, &f.handler, NULL, &tern_mux_h2);
    client_open(&f.c, &f.rig, 65535);
    client_run(&f.c);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    client_close(&f->c);
    rig_close(&f->rig);
    return 0;
}

static int32_t ask(struct fixture *f, const char *path)
{
    int32_t id = client_request(&f->c, (const char *const[]){":path", path, NULL}, no_body, false);
    client_run(&f->c);
    return id;
}

/* In steps, as time comes. */
static void wait_seconds(struct fixture *f, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        rig_clock_added_ns += SEC;
        client_run(&f->c);
    }
}

/* Keepalive. */

static void a_silent_client_is_pinged(void **state)
{
    struct fixture *f = *state;

    f->rig.hub->limits.h2_keepalive_ns = 25 * SEC;
    ask(f, "/late");
    wait_seconds(f, 24);
    assert_int_equal(f->c.pings, 0);
    wait_seconds(f, 3);
    assert_int_equal(f->c.pings, 1);
    wait_seconds(f, 53);
    assert_int_equal(f->c.pings, 3); /* it has answered: the connection lives */
    assert_int_equal(f->gone, 0);
    answer(f->x);
    client_run(&f->c);
    assert_false(f->c.eof);
}

static void a_client_that_is_gone_is_cut(void **state)
{
    struct fixture *f = *state;

    f->rig.hub->limits.h2_keepalive_ns = 25 * SEC;
    f->rig.hub->limits.h2_keepalive_timeout_ns = 5 * SEC;
    ask(f, "/late");
    for (int i = 0; i < 29; i++) {
        rig_clock_added_ns += SEC;
        rig_step(&f->rig); /* the client reads nothing and says nothing */
        rig_step(&f->rig);
    }
    assert_int_equal(f->gone, 0);
    for (int i = 0; i < 3; i++) {
        rig_clock_added_ns += SEC;
        rig_step(&f->rig);
        rig_step(&f->rig);
    }
    assert_int_equal(f->gone, 1);
}

static void keepalive_may_be_off(void **state)
{
    struct fixture *f = *state;

    f->rig.hub->limits.h2_keepalive_ns = 0;
    ask(f, "/late");
    for (int i = 0; i < 40; i++) {
        rig_clock_added_ns += 600 * SEC;
        client_run(&f->c);
    }
    assert_int_equal(f->c.pings, 0);
    assert_int_equal(f->gone, 0);
    answer(f->x);
}

/* Pings of the client. */

static void ping(struct fixture *f)
{
    nghttp2_submit_ping(f->c.session, NGHTTP2_FLAG_NONE, NULL);
    client_run(&f->c);
}

static void an_idle_client_that_pings_is_sent_away(void **state)
{
    struct fixture *f = *state;

    f->rig.hub->limits.h2_ping_interval_ns = 20 * SEC;
    f->rig.hub->limits.h2_ping_strikes_max = 2;
    ping(f);
    wait_seconds(f, 20);
    for (int i = 0; i < 3; i++) /* one in time and two strikes */
        ping(f);
    assert_false(f->c.goaway);
    ping(f);
    assert_true(f->c.goaway);
    assert_int_equal(f->c.goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_string_equal(f->c.goaway_text, "too_many_pings");
    assert_true(f->c.eof);
}

static void pings_now_and_then_are_answered(void **state)
{
    struct fixture *f = *state;

    f->rig.hub->limits.h2_ping_interval_ns = 20 * SEC;
    f->rig.hub->limits.idle_ns = 86400 * SEC;
    ask(f, "/");
    for (int i = 0; i < 20; i++) {
        ping(f);
        wait_seconds(f, 20);
    }
    assert_false(f->c.goaway);
    f->rig.hub->limits.h2_ping_interval_ns = 0;
    for (int i = 0; i < 100; i++)
        ping(f);
    assert_false(f->c.goaway);
}

/* gRPC's clients ping every 10 seconds at most, without calls too when they are told so; a monitor
 * sends a few in a row. What is left to be sent away does nothing else. */
static void by_default_only_floods_are_too_many(void **state)
{
    struct fixture *f = *state;

    f->rig.hub->limits.idle_ns = 86400 * SEC;
    ask(f, "/");
    for (int i = 0; i < 200; i++) {
        ping(f);
        wait_seconds(f, 10);
    }
    for (int i = 0; i < 50; i++)
        ping(f);
    assert_false(f->c.goaway);
    for (int i = 0; i < 100; i++)
        ping(f);
    assert_true(f->c.goaway);
    assert_string_equal(f->c.goaway_text, "too_many_pings");
}

/* Clients measure the delay by a PING after each answer. */
static void a_client_with_requests_may_ping(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 20; i++) {
        ask(f, "/");
        ping(f);
        ping(f);
    }
    ask(f, "/late");
    for (int i = 0; i < 50; i++)
        ping(f);
    assert_false(f->c.goaway);
    answer(f->x);
    client_run(&f->c);
}

/* Age. */

/* A connection that opens now, with these limits. */
static void come_again(struct fixture *f, uint64_t age_ns, uint64_t grace_ns)
{
    f->rig.hub->limits.h2_age_max_ns = age_ns;
    f->rig.hub->limits.h2_age_grace_ns = grace_ns;
    f->rig.hub->limits.idle_ns = 86400 * SEC;
    client_close(&f->c);
    client_open(&f->c, &f->rig, 65535);
    client_run(&f->c);
}

static void an_old_connection_ends_in_good_order(void **state)
{
    struct fixture *f = *state;

    come_again(f, 100 * SEC, 0);
    int32_t id = ask(f, "/late");
    wait_seconds(f, 89);
    assert_false(f->c.goaway);
    wait_seconds(f, 23);
    assert_true(f->c.goaway);
    assert_int_equal(f->c.goaway_error, NGHTTP2_NO_ERROR);
    wait_seconds(f, 200); /* as long as it takes */
    assert_int_equal(f->gone, 0);
    assert_false(f->c.eof);
    answer(f->x);
    client_run(&f->c);
    assert_int_equal(client_stream(&f->c, id)->status, 200);
    assert_true(f->c.eof);
}

static void the_grace_of_an_old_connection_ends(void **state)
{
    struct fixture *f = *state;

    come_again(f, 100 * SEC, 30 * SEC);
    ask(f, "/late");
    wait_seconds(f, 112);
    assert_true(f->c.goaway);
    assert_int_equal(f->gone, 0);
    wait_seconds(f, 31);
    assert_int_equal(f->gone, 1);
    assert_true(f->c.eof);
}

static void an_idle_connection_has_an_age_too(void **state)
{
    struct fixture *f = *state;

    come_again(f, 100 * SEC, 0);
    wait_seconds(f, 112);
    assert_true(f->c.goaway);
    assert_true(f->c.eof);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_silent_client_is_pinged),
        TEST(a_client_that_is_gone_is_cut),
        TEST(keepalive_may_be_off),
        TEST(an_idle_client_that_pings_is_sent_away),
        TEST(pings_now_and_then_are_answered),
        TEST(by_default_only_floods_are_too_many),
        TEST(a_client_with_requests_may_ping),
        TEST(an_old_connection_ends_in_good_order),
        TEST(the_grace_of_an_old_connection_ends),
        TEST(an_idle_connection_has_an_age_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
