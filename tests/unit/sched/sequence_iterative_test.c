/* Requests that are run again and again: of these tests' model as often as their value says. */
// wrap: tern_clock_mono_ns
#include "sequence_fixture.h"

#include "sched/sched_int.h"

static int32_t wait_answer(struct item *item)
{
    int32_t y;

    while (sem_wait(&item->done) != 0)
        ;
    assert_int_equal(item->work.code, TERN_OK);
    assert_ptr_equal(item->work.run.arena, &item->arena);
    memcpy(&y, item->y.data, sizeof(y));
    sem_post(&item->done);
    wait_done(item);
    return y;
}

static void test_a_request_runs_until_its_engine_has_enough(void **state)
{
    struct rig r;
    struct item item;
    struct plan plans[] = {{.iterative = true, .states = true, .rows = 4, .inline_runs = true},
                           {.iterative = true, .states = true, .oldest = 4},
                           {.iterative = true, .states = true, .rows = 4, .instances = 1},
                           {.iterative = true, .states = true}};
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(plans); i++) {
        rig_start(&r, plans[i]);
        item_init(&item, &r, 7, 3, S);
        submit(&item);
        assert_int_equal(wait_answer(&item), 9); /* three times its value, by its state */
        assert_int_equal(n_runs, 3);
        assert_seen(0, 7, 3, S);
        assert_seen(1, 7, 3, 0);
        assert_seen(2, 7, 3, 0);
        assert_int_equal(tern_sequences_live(&r.version), 0);
        rig_stop(&r);
    }
}

static void test_without_an_id_a_request_is_a_sequence_by_itself(void **state)
{
    struct rig r;
    struct item one, two;
    (void)state;
    rig_start(&r, (struct plan){.iterative = true, .states = true});
    item_init(&one, &r, 0, 5, 0);
    item_init(&two, &r, 0, 6, 0);
    two.loop = 1;
    submit(&one);
    submit(&two);
    assert_int_equal(wait_answer(&one), 25);
    assert_int_equal(wait_answer(&two), 36);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

/* Whoever comes meanwhile shares the next run with those that are not done. */
static void test_iterations_of_several_share_runs(void **state)
{
    struct rig r;
    struct item one, two, late;
    (void)state;
    rig_start(&r,
              (struct plan){
                  .iterative = true, .states = true, .rows = 4, .instances = 1, .hold_until = 2});
    arm_gate();
    item_init(&one, &r, 0, 2, 0);
    item_init(&two, &r, 0, 4, 0);
    item_init(&late, &r, 0, 1, 0);
    submit(&one);
    submit(&two);
    wait_entered(1);
    submit(&late);
    open_gate(4);
    assert_int_equal(wait_answer(&one), 4);
    assert_int_equal(wait_answer(&late), 1);
    assert_int_equal(wait_answer(&two), 16);
    assert_int_equal(n_runs, 4);
    assert_int_equal(run_rows[0], 2);
    assert_int_equal(run_rows[1], 3);
    assert_int_equal(run_rows[2], 2); /* the first row is without a request */
    assert_int_equal(run_rows[3], 2);
    rig_stop(&r);
}

static void end_between(struct plan plan)
{
    struct rig r;
    struct item gone, late;

    rig_start(&r, plan);
    arm_gate();
    item_init(&gone, &r, 0, 1000, 0);
    submit(&gone);
    wait_entered(1);
    cancel(&gone);
    open_gate(1);
    assert_int_equal(wait_done(&gone), TERN_CANCELLED);
    item_init(&late, &r, 0, 1000, 0);
    late.work.deadline_ns = tern_clock_mono_ns() + 100 * SECOND;
    submit(&late);
    wait_entered(2);
    open_gate(1);
    wait_entered(3);
    jump(&r, 100 * SECOND);
    open_gate(1);
    assert_int_equal(wait_done(&late), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(n_runs, 3);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

static void test_who_leaves_or_is_late_is_not_run_again(void **state)
{
    (void)state;
    end_between((struct plan){.iterative = true});
    end_between((struct plan){.iterative = true, .oldest = 4});
    end_between((struct plan){.iterative = true, .rows = 2});
}

/* On the loop, which therefore does not learn of the run's end in between. */
static void cancel_after_the_run(void *arg)
{
    struct item *item = arg;
    enum tern_work_state state = TERN_WORK_RUNNING;

    open_gate(1);
    while (state != TERN_WORK_DONE) {
        pthread_mutex_lock(&item->rig->sched->executors.lock);
        state = item->work.state;
        pthread_mutex_unlock(&item->rig->sched->executors.lock);
    }
    tern_sched_cancel(item->rig->sched, &item->work);
}

static void test_who_leaves_as_a_run_ends_is_not_run_again(void **state)
{
    struct rig r;
    struct item gone;
    (void)state;
    rig_start(&r, (struct plan){.iterative = true, .oldest = 4});
    arm_gate();
    item_init(&gone, &r, 0, 3, 0);
    submit(&gone);
    wait_entered(1);
    loop_thread_call(&r.loops[0], cancel_after_the_run, &gone);
    open_gate(2);
    assert_int_equal(wait_done(&gone), TERN_CANCELLED);
    assert_int_equal(n_runs, 1);
    rig_stop(&r);
}

static void test_many_iterations_need_no_more_memory(void **state)
{
    struct rig r;
    struct item item;
    (void)state;
    for (int i = 0; i < 2; i++) {
        rig_start(&r, i == 0 ? (struct plan){.iterative = true, .rows = 2}
                             : (struct plan){.iterative = true});
        item_init(&item, &r, 0, 3000, 0);
        item.arena.max = 16384;
        submit(&item);
        assert_int_equal(wait_answer(&item), 3000); /* no state: its value */
        assert_int_equal(n_runs, 3000);
        rig_stop(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_runs_until_its_engine_has_enough),
        cmocka_unit_test(test_without_an_id_a_request_is_a_sequence_by_itself),
        cmocka_unit_test(test_iterations_of_several_share_runs),
        cmocka_unit_test(test_who_leaves_or_is_late_is_not_run_again),
        cmocka_unit_test(test_who_leaves_as_a_run_ends_is_not_run_again),
        cmocka_unit_test(test_many_iterations_need_no_more_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
