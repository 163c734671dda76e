// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
/* What HTTP/2 takes of memory: what is charged, what is kept, and every allocation failing. */
#include "harness/h2_rig.h"

#define GRAIN ((size_t)TERN_ACCOUNT_GRAIN)

static struct tern_account *account_of(struct h2_rig *f, size_t max)
{
    struct tern_account *account = NULL;

    assert_int_equal(tern_account_new(max, 1, &account, NULL), TERN_OK);
    f->rig.hub->till = tern_account_till(account, 0);
    return account;
}

static void a_body_is_charged_and_given_back(void **state)
{
    struct h2_rig *f = *state;
    struct tern_account *account = account_of(f, 100 * GRAIN);
    int32_t id =
        client_request(&f->c, FIELDS(":path", "/late"), tern_str_make(h2_rig_big, 200000), true);

    client_run(&f->c);
    assert_true(tern_account_used(account) >= 200000);
    assert_true(tern_account_used(account) <= 4 * GRAIN);
    client_stream(&f->c, id)->hold = false;
    nghttp2_session_resume_data(f->c.session, id);
    client_run(&f->c);
    assert_int_equal(f->seen.n_late, 1);
    h2_rig_answer(f->seen.late[0], 200, TERN_STR("ok"));
    client_run(&f->c);
    assert_int_equal(client_stream(&f->c, id)->status, 200);
    assert_int_equal(tern_account_used(account), 0);
    f->rig.hub->till = NULL;
    tern_account_free(account);
}

static void a_body_without_room_is_refused(void **state)
{
    struct h2_rig *f = *state;
    struct tern_account *account = account_of(f, 100 * GRAIN);

    assert_true(tern_till_take(f->rig.hub->till, 91 * GRAIN)); /* by others */
    for (int i = 0; i < 2; i++) { /* told by the head, then by the first bytes */
        const char *const *fields = i == 0 ? FIELDS("content-length", "100000") : NULL;
        int32_t id = client_request(&f->c, fields, tern_str_make(h2_rig_big, 100000), false);
        client_run(&f->c);
        assert_int_equal(client_stream(&f->c, id)->status, 503);
        assert_int_equal(f->seen.err.code, TERN_RESOURCE_EXHAUSTED);
    }
    assert_int_equal(f->seen.requests, 0);
    struct client_stream *s = client_ask(&f->c, NULL, TERN_STR("small"));
    assert_int_equal(s->status, 200);
    tern_till_give(f->rig.hub->till, 91 * GRAIN);
    assert_int_equal(tern_account_used(account), 0);
    f->rig.hub->till = NULL;
    tern_account_free(account);
}

static void a_steady_stream_of_requests_allocates_nothing(void **state)
{
    struct h2_rig *f = *state;

    rig_clock_frozen_ns = tern_clock_mono_ns(); /* nothing is given back to the system meanwhile */
    for (int round = 0; round < 60; round++) {
        if (round == 30)
            mem_calls = 0;
        for (int i = 0; i < 8; i++)
            client_request(&f->c, FIELDS("x-request-id", "abc"), TERN_STR("{\"inputs\":[]}"),
                           false);
        /* The client's buffers grow through the same port: only the server's round is counted. */
        client_send(&f->c);
        long before = mem_calls;
        rig_step(&f->rig);
        if (round >= 30)
            assert_int_equal(mem_calls, before);
        client_run(&f->c);
    }
    assert_int_equal(f->seen.requests, 480);
}

static void every_allocation_may_fail(void **state)
{
    struct h2_rig *f = *state;

    for (long at = 0; at < 400; at++) {
        struct rig rig;
        struct client c;
        rig_open(&rig, &f->handler, NULL, &tern_mux_h2);
        f->seen.n_late = 0;
        mem_calls = 0;
        mem_fail_at = at;
        client_open(&c, &rig, 65535);
        int32_t a = client_request(&c, FIELDS(":path", "/scratch"), no_body, false);
        int32_t b = client_request(&c, NULL, tern_str_make(h2_rig_big, 100000), false);
        client_send(&c);
        for (int i = 0; i < 20; i++)
            rig_step(&rig);
        bool all_done = mem_calls <= at;
        mem_fail_at = -1;
        client_run(&c);
        if (all_done) {
            assert_int_equal(client_stream(&c, a)->body.n, H2_RIG_BIG);
            assert_int_equal(client_stream(&c, b)->body.n, 100000);
        }
        client_close(&c);
        rig_close(&rig);
        if (all_done)
            return;
    }
    fail_msg("allocations never ended");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, h2_rig_setup, h2_rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_body_is_charged_and_given_back),
        TEST(a_body_without_room_is_refused),
        TEST(a_steady_stream_of_requests_allocates_nothing),
        TEST(every_allocation_may_fail),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
