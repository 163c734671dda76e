/* Requests that ask what is being computed already: one run for all, and who takes the leader's
 * place.
 */
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
// wrap: tern_wide_hash_end
#include "harness/cache_rig.h"

#define MANY 8

static void start_many(struct rig *r, struct item items[MANY])
{
    gate_armed = true;
    for (uint32_t i = 0; i < MANY; i++) {
        item_init(&items[i], r, i % LOOPS, 5);
        submit(&items[i]);
        if (i == 0)
            wait_entered(1);
    }
    assert_int_equal(tern_cache_followers(&r->version), MANY - 1);
}

static void fini_many(struct item items[MANY])
{
    for (uint32_t i = 0; i < MANY; i++)
        item_fini(&items[i]);
}

static void test_the_same_question_is_computed_once(void **state)
{
    struct rig r;
    struct item items[MANY];
    (void)state;

    rig_start(&r, (struct plan){0});
    start_many(&r, items);
    open_gate(1);
    for (uint32_t i = 0; i < MANY; i++) {
        wait_done(&items[i]);
        assert_answered(&items[i]);
        assert_int_equal(run_number(&items[i]), 1);
        assert_int_equal(items[i].work.from_cache, i > 0);
        assert_int_equal(items[i].work.cache_shared, i > 0);
    }
    assert_int_equal(runs_now(), 1);
    fini_many(items);
    rig_stop(&r);
}

/* Also when there is no place for the answer. */
static void test_an_answer_too_large_to_be_kept_is_shared_all_the_same(void **state)
{
    struct rig r;
    struct item items[MANY];
    bool hit;
    (void)state;

    rig_start(&r, (struct plan){.bytes = 200});
    start_many(&r, items);
    open_gate(1);
    for (uint32_t i = 0; i < MANY; i++) {
        wait_done(&items[i]);
        assert_answered(&items[i]);
    }
    assert_int_equal(runs_now(), 1);
    fini_many(items);
    gate_armed = false;
    assert_int_equal(ask(&r, 0, 5, &hit), 2);
    assert_false(hit);
    rig_stop(&r);
}

static void test_a_different_question_does_not_follow(void **state)
{
    struct rig r;
    struct item a, b;
    (void)state;

    rig_start(&r, (struct plan){0});
    gate_armed = true;
    hash_words = 0;
    item_init(&a, &r, 0, 5);
    item_init(&b, &r, 1, 6);
    submit(&a);
    submit(&b);
    wait_entered(2);
    open_gate(2);
    wait_done(&a);
    wait_done(&b);
    assert_answered(&a);
    assert_answered(&b);
    item_fini(&a);
    item_fini(&b);
    rig_stop(&r);
}

static void test_an_error_of_the_question_goes_to_all(void **state)
{
    struct rig r;
    struct item items[MANY];
    (void)state;

    rig_start(&r, (struct plan){0});
    fails_with = TERN_INTERNAL;
    start_many(&r, items);
    open_gate(1);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(wait_done(&items[i]), TERN_INTERNAL);
        assert_string_equal(items[i].err.text, "the model says no 1");
        assert_false(items[i].work.from_cache);
    }
    assert_int_equal(runs_now(), 1);
    fini_many(items);
    rig_stop(&r);
}

/* Each leads once, and fails for itself. */
static void test_an_error_of_the_leader_alone_is_its_own(void **state)
{
    struct rig r;
    struct item items[MANY];
    (void)state;

    rig_start(&r, (struct plan){0});
    fails_with = TERN_RESOURCE_EXHAUSTED;
    start_many(&r, items);
    open_gate(MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(wait_done(&items[i]), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(runs_now(), MANY);
    fini_many(items);
    rig_stop(&r);
}

static void test_a_cancelled_leader_leaves_its_place_to_the_next(void **state)
{
    struct rig r;
    struct item items[MANY];
    (void)state;

    rig_start(&r, (struct plan){0});
    engine_cancels = true;
    r.version.engine.ops = &cancel_ops;
    start_many(&r, items);
    cancel(&items[0]);
    assert_int_equal(wait_done(&items[0]), TERN_CANCELLED);
    wait_entered(2);
    assert_int_equal(tern_cache_followers(&r.version), MANY - 2);
    open_gate(1);
    for (uint32_t i = 1; i < MANY; i++) {
        wait_done(&items[i]);
        assert_answered(&items[i]);
        assert_int_equal(run_number(&items[i]), 2);
    }
    fini_many(items);
    rig_stop(&r);
}

static void test_a_cancelled_follower_leaves_the_others_alone(void **state)
{
    struct rig r;
    struct item items[MANY];
    (void)state;

    rig_start(&r, (struct plan){0});
    start_many(&r, items);
    cancel(&items[3]);
    assert_int_equal(wait_done(&items[3]), TERN_CANCELLED);
    assert_int_equal(tern_cache_followers(&r.version), MANY - 2);
    open_gate(1);
    for (uint32_t i = 0; i < MANY; i++) {
        if (i != 3)
            assert_int_equal(wait_done(&items[i]), TERN_OK);
    }
    assert_int_equal(runs_now(), 1);
    fini_many(items);
    rig_stop(&r);
}

static void test_each_has_its_own_deadline(void **state)
{
    struct rig r;
    struct item items[3];
    (void)state;

    rig_start(&r, (struct plan){0});
    gate_armed = true;
    for (uint32_t i = 0; i < 3; i++) {
        item_init(&items[i], &r, i % LOOPS, 5);
        items[i].work.deadline_ns = tern_clock_mono_ns() + (i == 1 ? SECOND : 100 * SECOND);
        submit(&items[i]);
    }
    wait_entered(1);
    jump(&r, 2 * SECOND);
    assert_int_equal(wait_done(&items[1]), TERN_DEADLINE_EXCEEDED);
    open_gate(1);
    assert_int_equal(wait_done(&items[0]), TERN_OK);
    assert_int_equal(wait_done(&items[2]), TERN_OK);
    for (uint32_t i = 0; i < 3; i++)
        item_fini(&items[i]);
    rig_stop(&r);
}

/* The leader and the next are on one loop, whose tasks wait while it is in here: what happens to
 * the next one between its call and its turn. */
struct between {
    struct item *leader, *next;
    bool late;
};

static void end_and_cancel(void *arg)
{
    struct between *b = arg;

    tern_sched_cancel(b->leader->rig->sched, &b->leader->work);
    assert_int_equal(b->leader->answers, 1); /* it waited in the queue */
    if (b->late)
        clock_added_ns += 2 * SECOND;
    else
        tern_sched_cancel(b->next->rig->sched, &b->next->work);
    assert_int_equal(b->next->answers, 0);
}

static void check_passing_on(bool late)
{
    struct rig r;
    struct item busy[LOOPS], items[3];

    rig_start(&r, (struct plan){0});
    gate_armed = true;
    for (uint32_t i = 0; i < LOOPS; i++) { /* all executors */
        item_init(&busy[i], &r, 1, 100 + i);
        submit(&busy[i]);
    }
    wait_entered(LOOPS);
    for (uint32_t i = 0; i < 3; i++) {
        item_init(&items[i], &r, i < 2 ? 0 : 1, 5);
        if (late && i == 1)
            items[i].work.deadline_ns = tern_clock_mono_ns() + SECOND;
        submit(&items[i]);
    }
    struct between between = {&items[0], &items[1], late};
    loop_thread_call(&r.loops[0], end_and_cancel, &between);
    assert_int_equal(wait_done(&items[0]), TERN_CANCELLED);
    assert_int_equal(wait_done(&items[1]), late ? TERN_DEADLINE_EXCEEDED : TERN_CANCELLED);
    open_gate(LOOPS + 1);
    wait_done(&items[2]);
    assert_answered(&items[2]);
    assert_false(items[2].work.from_cache);
    for (uint32_t i = 0; i < 3; i++)
        item_fini(&items[i]);
    for (uint32_t i = 0; i < LOOPS; i++) {
        wait_done(&busy[i]);
        item_fini(&busy[i]);
    }
    rig_stop(&r);
}

static void test_who_was_called_to_lead_may_pass_it_on(void **state)
{
    (void)state;
    check_passing_on(false);
    check_passing_on(true);
}

static void test_the_more_urgent_do_not_wait_behind_others(void **state)
{
    struct rig r;
    struct item slow, urgent, next;
    (void)state;

    rig_start(&r, (struct plan){0});
    gate_armed = true;
    item_init(&slow, &r, 0, 5);
    slow.work.priority = 2;
    submit(&slow);
    wait_entered(1);
    item_init(&urgent, &r, 0, 5);
    urgent.work.priority = 1;
    submit(&urgent);
    wait_entered(2);
    item_init(&next, &r, 1, 5);
    next.work.priority = 1;
    submit(&next);
    assert_int_equal(tern_cache_followers(&r.version), 1);
    open_gate(2);
    wait_done(&slow);
    wait_done(&urgent);
    wait_done(&next);
    assert_answered(&next);
    assert_int_equal(run_number(&next), run_number(&urgent));
    assert_int_equal(runs_now(), 2);
    item_fini(&slow);
    item_fini(&urgent);
    item_fini(&next);
    rig_stop(&r);
}

static void test_those_that_wait_are_bounded(void **state)
{
    struct rig r;
    struct item items[4];
    (void)state;

    rig_start(&r, (struct plan){.queue_max = 2});
    gate_armed = true;
    for (uint32_t i = 0; i < 4; i++) {
        item_init(&items[i], &r, 0, 5);
        submit(&items[i]);
        if (i == 0)
            wait_entered(1);
    }
    assert_int_equal(wait_done(&items[3]), TERN_UNAVAILABLE);
    assert_non_null(strstr(items[3].err.text, "Exceeds maximum queue size"));
    open_gate(1);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(wait_done(&items[i]), TERN_OK);
    for (uint32_t i = 0; i < 4; i++)
        item_fini(&items[i]);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_question_is_computed_once),
        cmocka_unit_test(test_an_answer_too_large_to_be_kept_is_shared_all_the_same),
        cmocka_unit_test(test_a_different_question_does_not_follow),
        cmocka_unit_test(test_an_error_of_the_question_goes_to_all),
        cmocka_unit_test(test_an_error_of_the_leader_alone_is_its_own),
        cmocka_unit_test(test_a_cancelled_leader_leaves_its_place_to_the_next),
        cmocka_unit_test(test_a_cancelled_follower_leaves_the_others_alone),
        cmocka_unit_test(test_each_has_its_own_deadline),
        cmocka_unit_test(test_who_was_called_to_lead_may_pass_it_on),
        cmocka_unit_test(test_the_more_urgent_do_not_wait_behind_others),
        cmocka_unit_test(test_those_that_wait_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
