/* Streams: order, errors, room, and how they end. */
// covers: gateway/part
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc
#include "harness/stream_rig.h"

static void requests_are_answered_as_they_come(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/both");
    assert_true(w->talk.x.wants_parts);
    say(w, "fast 1\nfast 2\nfa", false);
    expect(w, "<fast=2><fast=4>");
    assert_int_equal(w->talk.x.body_need, 3);
    say(w, "st 3\n", false);
    expect(w, "<fast=2><fast=4><fast=6>");
    say(w, "", true);
    expect(w, "<fast=2><fast=4><fast=6>end:well");
    talk_over(w);
    free_world(w);
}

static void a_body_that_came_whole_is_a_stream_too(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/both");
    say(w, "fast 1\nfast 2\n", true);
    expect(w, "<fast=2><fast=4>end:well");
    talk_over(w);
    free_world(w);
}

static void answers_leave_in_the_order_of_requests(void **state)
{
    struct world *w = new_world();
    (void)state;
    fake_engine_gate(true);
    talk_to(w, "/both");
    say(w, "gated 1\nfast 2\n", false);
    fake_engine_wait_entered(1);
    expect(w, "");
    fake_engine_open(1);
    expect(w, "<gated=2><fast=4>");
    say(w, "", true);
    talk_over(w);
    free_world(w);
}

static void an_error_is_one_of_the_messages(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/both");
    say(w, "sick 1\nnosuch 1\nhm\nfast 1\n", true);
    expect(w, "<error:this model fails on purpose>"
              "<error:Request for unknown model: 'nosuch' is not found>"
              "<error:expected a model and a number><fast=2>end:well");
    talk_over(w);
    free_world(w);
}

static void an_error_ends_the_stream_where_nothing_else_can_say_it(void **state)
{
    struct world *w = new_world();
    (void)state;
    fake_engine_gate(true);
    talk_to(w, "/strict");
    say(w, "fast 1\ngated 1\nsick 1\nfast 2\n", false);
    expect(w, "<fast=2>");
    fake_engine_wait_entered(1);
    fake_engine_open(1);
    expect(w, "<fast=2><gated=2>end:this model fails on purpose");
    talk_over(w);
    talk_to(w, "/strict");
    say(w, "sick 1\n", false);
    expect(w, "refused:this model fails on purpose");
    assert_int_equal(w->talk.x.status, 500);
    talk_over(w);
    free_world(w);
}

static void bytes_that_are_no_messages_end_the_stream(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/both");
    say(w, "fast 1\n!\n", false);
    expect(w, "<fast=2>end:not a line");
    talk_over(w);
    talk_to(w, "/both");
    say(w, "fast 1\nfast", true);
    expect(w, "<fast=2>end:the stream ends inside a message");
    talk_over(w);
    free_world(w);
}

static void so_many_calls_wait_and_no_more_are_taken(void **state)
{
    struct world *w = new_world();
    (void)state;
    fake_engine_gate(true);
    talk_to(w, "/both");
    for (int i = 0; i < 70; i++)
        say(w, "gated 1\n", i == 69);
    assert_int_equal(w->models[GATED].pins[0].count, 64);
    assert_int_equal(w->talk.x.body.n, 6 * strlen("gated 1\n"));
    fake_engine_open(70);
    talk_over(w);
    assert_int_equal(w->talk.n_got, 70 * strlen("<gated=2>") + strlen("end:well"));
    free_world(w);
}

/* However few they are. */
static void so_many_bytes_wait_and_no_more_are_taken(void **state)
{
    struct world *w = new_world();
    (void)state;
    fake_engine_gate(true);
    talk_to(w, "/both");
    w->talk.x.body_max = 12;
    say(w, "gated 1\ngated 2\ngated 3\n", true);
    assert_int_equal(w->models[GATED].pins[0].count, 2); /* 8 bytes are below 12, 16 are not */
    fake_engine_open(3);
    expect(w, "<gated=2><gated=4><gated=6>end:well");
    talk_over(w);
    free_world(w);
}

static void a_slow_reader_is_not_written_to(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/both");
    w->talk.stuck = true;
    say(w, "fast 1\nfast 2\nmany 9\n", true);
    expect(w, "<fast=2>");
    assert_int_equal(w->talk.x.body.n, strlen("fast 2\nmany 9\n"));
    tern_exchange_set_unsent(&w->talk.x, 0); /* room for one */
    expect(w, "<fast=2><fast=4>");
    w->talk.stuck = false;
    tern_exchange_set_unsent(&w->talk.x, 0);
    expect(w, "<fast=2><fast=4><many=0><many=1><many=2><many=3><many=4><many=5><many=6><many=7>"
              "<many=8>end:well");
    talk_over(w);
    free_world(w);
}

/* The model has more answers than there is room for; the client leaves and takes nothing. */
static void a_client_that_leaves_ends_everything(void **state)
{
    struct world *w = new_world();
    (void)state;
    fake_engine_gate(true);
    talk_to(w, "/both");
    say(w, "gated 1\ngated 1\ngated 1\nmany 9\n", false);
    fake_engine_wait_entered(3);
    hang_up(w);
    assert_int_equal(w->models[GATED].pins[0].count, 2); /* the third had not begun */
    assert_int_equal(w->models[MANY].pins[0].count, 1);
    fake_engine_open(3);
    talk_over(w);
    assert_string_equal(w->talk.got, "refused:the client left"); /* heard by nobody */
    assert_int_equal(w->talk.x.ending, TERN_ENDING_CANCELLED);
    free_world(w);
}

static void a_deadline_ends_the_whole_stream(void **state)
{
    struct world *w = new_world();
    (void)state;
    line_timeout_ns = TERN_NS_PER_S;
    fake_engine_gate(true);
    talk_to(w, "/both");
    say(w, "fast 1\ngated 1\n", false);
    fake_engine_wait_entered(1);
    rig_now_ns += 2u * (uint64_t)TERN_NS_PER_S;
    rig_pump_without_reading(w->rig);
    fake_engine_open(1);
    expect(w, "<fast=2>end:the deadline of the stream passed");
    talk_over(w);
    free_world(w);
}

static void a_stream_that_waits_for_its_client_is_drained(void **state)
{
    struct world *w = new_world();
    (void)state;
    fake_engine_gate(true);
    talk_to(w, "/both");
    say(w, "gated 1\n", false);
    fake_engine_wait_entered(1);
    tern_gateway_set_draining(w->gateway);
    rig_pump_without_reading(w->rig);
    assert_false(w->talk.ended);
    say(w, "fast 1\n", false); /* too late */
    fake_engine_open(1);
    expect(w, "<gated=2>end:the server is shutting down");
    talk_over(w);
    free_world(w);
}

static void what_the_mux_refuses_ends_the_stream(void **state)
{
    struct world *w = new_world();
    struct tern_err err;
    (void)state;
    talk_to(w, "/both");
    say(w, "fast 1\n", false);
    tern_fail(&err, TERN_DEADLINE_EXCEEDED, "the body came too slowly");
    w->handler->on_refused(w->handler->self, &w->talk.x, &err);
    expect(w, "<fast=2>end:the body came too slowly");
    talk_over(w);
    free_world(w);
}

static void the_steady_state_of_a_stream_allocates_nothing(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/both");
    for (int i = 0; i < 100; i++)
        say(w, "fast 1\n", false);
    long before = rig_allocs;
    for (int i = 0; i < 1000; i++) {
        w->talk.n_got = 0;
        say(w, "fast 1\n", false);
    }
    assert_int_equal(rig_allocs, before);
    w->talk.n_got = 0;
    say(w, "", true);
    talk_over(w);
    free_world(w);
}

static void every_allocation_may_fail(void **state)
{
    struct world *w = new_world();
    (void)state;
    for (long nth = 0; nth < 30; nth++) {
        rig_fail_at = rig_allocs + nth;
        rig_fail_until = rig_fail_at + 1;
        talk_to(w, nth % 2 == 0 ? "/both" : "/collect");
        if (!w->talk.ended)
            say(w, nth % 2 == 0 ? "fast 1\nmany 2\nfast 1\n" : "many 1\n", true);
        while (!w->talk.ended)
            rig_pump_without_reading(w->rig);
        rig_fail_at = -1;
        talk_over(w);
    }
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_as_they_come),
        cmocka_unit_test(a_body_that_came_whole_is_a_stream_too),
        cmocka_unit_test(answers_leave_in_the_order_of_requests),
        cmocka_unit_test(an_error_is_one_of_the_messages),
        cmocka_unit_test(an_error_ends_the_stream_where_nothing_else_can_say_it),
        cmocka_unit_test(bytes_that_are_no_messages_end_the_stream),
        cmocka_unit_test(so_many_calls_wait_and_no_more_are_taken),
        cmocka_unit_test(so_many_bytes_wait_and_no_more_are_taken),
        cmocka_unit_test(a_slow_reader_is_not_written_to),
        cmocka_unit_test(a_client_that_leaves_ends_everything),
        cmocka_unit_test(a_deadline_ends_the_whole_stream),
        cmocka_unit_test(a_stream_that_waits_for_its_client_is_drained),
        cmocka_unit_test(what_the_mux_refuses_ends_the_stream),
        cmocka_unit_test(the_steady_state_of_a_stream_allocates_nothing),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
