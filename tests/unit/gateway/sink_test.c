/* Models that answer any number of times, through streams and where one answer is all there may be.
 */
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc
#include "harness/stream_rig.h"

static void a_decoupled_model_holds_nobody_up(void **state)
{
    struct world *w = new_world();
    (void)state;
    fake_engine_gate(true);
    talk_to(w, "/both");
    say(w, "many 3\nfast 2\n", true);
    fake_engine_wait_entered(1);
    expect(w, "<fast=4>");
    fake_engine_open(1);
    expect(w, "<fast=4><many=0><many=1><many=2>end:well");
    talk_over(w);
    free_world(w);
}

/* More runs than there are executors, and one of another model still finds one. */
static void decoupled_runs_have_threads_of_their_own(void **state)
{
    struct world *w = new_world();
    (void)state;
    fake_engine_gate(true);
    talk_to(w, "/both");
    say(w, "many 1\nmany 1\nmany 1\nmany 1\ngated 2\n", true);
    fake_engine_wait_entered(5);
    fake_engine_open(5);
    talk_over(w);
    assert_int_equal(w->talk.n_got, strlen("<many=0><many=0><many=0><many=0><gated=4>end:well"));
    free_world(w);
}

#define FINAL "triton_final_response"

static void the_last_answer_is_marked_for_who_asks(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/both");
    say(w, "fast 1 final\n", false);
    expect(w, "<fast=2 " FINAL "=1>");
    say(w, "many 1 final\n", false);
    expect(w, "<fast=2 " FINAL "=1><many=0 " FINAL "=0><many " FINAL "=1>");
    say(w, "many 0 final\nmany 0\n", true);
    expect(w,
           "<fast=2 " FINAL "=1><many=0 " FINAL "=0><many " FINAL "=1><many " FINAL "=1>end:well");
    talk_over(w);
    free_world(w);
}

/* Two of these are as much as may be on its way, and one that is kept does not count. */
static void large_answers_wait_for_room(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/answers");
    say(w, "many 73\n", true);
    expect(w, "<many=0><many=1><many=2><many=3><many=4><many=5><many=6>end:well");
    talk_over(w);
    talk_to(w, "/collect");
    say(w, "many 75\n", true);
    expect(w, "refused:the line expects model to produce exactly 1 response");
    talk_over(w);
    talk_to(w, "/collect");
    say(w, "many 15\n", true);
    expect(w, "<many=0>end:well");
    talk_over(w);
    talk_to(w, "/answers"); /* more than the memory of a request */
    say(w, "many 19\n", true);
    while (!w->talk.ended)
        rig_pump_without_reading(w->rig);
    assert_int_equal(w->talk.x.status, 413);
    talk_over(w);
    free_world(w);
}

static void a_client_that_leaves_wakes_a_run_that_waits_for_it(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/both");
    w->talk.stuck = true;
    say(w, "many 9\nmany 9\n", true);
    expect(w, "<many=0>"); /* ... and now both runs fill what room there is */
    hang_up(w);
    talk_over(w);
    free_world(w);
}

static void one_request_many_answers(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/answers");
    assert_false(w->talk.x.wants_parts);
    say(w, "many 3\n", true);
    expect(w, "<many=0><many=1><many=2>end:well");
    talk_over(w);
    talk_to(w, "/answers");
    say(w, "fast 3\n", true);
    expect(w, "<fast=6>end:well");
    talk_over(w);
    talk_to(w, "/answers");
    say(w, "sick 3\n", true);
    expect(w, "refused:this model fails on purpose");
    talk_over(w);
    talk_to(w, "/answers");
    say(w, "fast 3\nfast 4\n", true);
    expect(w, "refused:the request has more than one message");
    talk_over(w);
    free_world(w);
}

static void one_answer_of_a_model_with_many(void **state)
{
    struct world *w = new_world();
    (void)state;
    talk_to(w, "/unary");
    say(w, "many 1\n", true);
    expect(w, "refused:the line doesn't support models with decoupled transaction policy");
    assert_int_equal(w->talk.x.status, 501);
    talk_over(w);
    talk_to(w, "/collect");
    say(w, "many 1\n", true);
    expect(w, "<many=0>end:well");
    talk_over(w);
    for (const char *n = "029"; *n != '\0'; n++) {
        char line[] = "many 0\n";
        line[5] = *n;
        talk_to(w, "/collect");
        say(w, line, true);
        expect(w, "refused:the line expects model to produce exactly 1 response");
        talk_over(w);
    }
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decoupled_model_holds_nobody_up),
        cmocka_unit_test(decoupled_runs_have_threads_of_their_own),
        cmocka_unit_test(the_last_answer_is_marked_for_who_asks),
        cmocka_unit_test(large_answers_wait_for_room),
        cmocka_unit_test(a_client_that_leaves_wakes_a_run_that_waits_for_it),
        cmocka_unit_test(one_request_many_answers),
        cmocka_unit_test(one_answer_of_a_model_with_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
