/* What runs on the loop that it came on, and what leaves it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "harness/sched_rig.h"

static const struct tern_scheduling adaptive = {.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 8};

struct inline_probe {
    struct sched_item *item;
    bool was_done;
};

static void submit_and_look(void *arg)
{
    struct inline_probe *probe = arg;
    tern_sched_submit(probe->item->rig->sched, &probe->item->work);
    probe->was_done = sem_trywait(&probe->item->done) == 0;
}

static void test_a_short_run_stays_on_its_loop(void **state)
{
    struct sched_rig f;
    struct sched_item item;
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){.kind = "fake", .run_ns = 1000, .queue_max = 10});
    sched_item_init(&item, &f, 1, 21);
    struct inline_probe probe = {&item, false};
    loop_thread_call(&f.lt, submit_and_look, &probe);
    assert_true(probe.was_done); /* before submit returned */
    sched_item_assert_answered(&item);
    assert_true(pthread_equal(item.ran_on_done, f.lt.thread));
    sched_item_fini(&item);
    sched_rig_stop(&f);
}

static void test_a_large_request_of_a_quick_model_leaves_the_loop(void **state)
{
    struct sched_rig f;
    struct sched_item item;
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){.kind = "fake", .run_ns = 1000, .queue_max = 10});
    sched_item_init(&item, &f, 1, 21);
    item.work.units = 4 * 1000; /* 250 ns a unit: a millisecond */
    struct inline_probe probe = {&item, true};
    loop_thread_call(&f.lt, submit_and_look, &probe);
    if (!probe.was_done)
        sched_item_wait(&item);
    sched_item_assert_answered(&item);
    assert_true(pthread_equal(item.ran_on_done, f.lt.thread));
    sched_item_fini(&item);
    sched_rig_stop(&f);
}

/* What the executors find out comes home with the work: requests whose size made them look long are
 * kept on the loop once it is known that they are not. */
static void test_a_loop_learns_from_its_executors(void **state)
{
    struct sched_rig f;
    bool stayed = false;
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){.kind = "fake", .run_ns = 1000, .queue_max = 10});
    for (int i = 0; i < 2000 && !stayed; i++) {
        struct sched_item item;
        sched_item_init(&item, &f, 1, 21);
        item.work.units = 4 * 1000; /* predicted: a millisecond; in truth nothing */
        struct inline_probe probe = {&item, false};
        loop_thread_call(&f.lt, submit_and_look, &probe);
        if (!probe.was_done)
            sched_item_wait(&item);
        stayed = probe.was_done && pthread_equal(item.ran_on_done, f.lt.thread) != 0;
        sched_item_assert_answered(&item);
        sched_item_fini(&item);
    }
    assert_true(stayed);
    sched_rig_stop(&f);
}

static void test_a_model_that_turned_slow_leaves_the_loop(void **state)
{
    struct sched_rig f;
    struct sched_item items[3];
    bool on_loop[3];
    (void)state;
    sched_rig_start(
        &f, &(struct sched_rig_setup){.kind = "fake crawling",
                                      .run_ns = 1000,
                                      .queue_max = 10}); /* quick in its warm-up, it was thought */
    for (int i = 0; i < 3; i++) {
        sched_item_init(&items[i], &f, 1, 21);
        struct inline_probe probe = {&items[i], false};
        loop_thread_call(&f.lt, submit_and_look, &probe);
        on_loop[i] = probe.was_done;
        if (!probe.was_done)
            sched_item_wait(&items[i]);
        sched_item_assert_answered(&items[i]);
        sched_item_fini(&items[i]);
    }
    assert_true(on_loop[0]); /* the first long run may be chance, the second is not */
    assert_true(on_loop[1]);
    assert_false(on_loop[2]);
    sched_rig_stop(&f);
}

static void test_what_one_round_brings_is_one_run_on_the_loop(void **state)
{
    struct sched_rig rig;
    struct sched_item items[4];
    (void)state;
    sched_rig_start(&rig,
                    &(struct sched_rig_setup){
                        .kind = "fake", .run_ns = 1000, .queue_max = 10, .scheduling = &adaptive});
    sched_items_init(&rig, items, 4);
    sched_items_submit(items, 4);
    sched_items_assert_answered(items, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(items[i].work.batch_rows, 4);
        assert_true(pthread_equal(items[i].ran_on_done, rig.lt.thread));
    }
    sched_items_fini(items, 4);
    sched_rig_stop(&rig);
}

static void submit_and_cancel(void *arg)
{
    struct sched_item *items = arg;
    tern_sched_submit(items[0].rig->sched, &items[0].work);
    tern_sched_submit(items[1].rig->sched, &items[1].work);
    tern_sched_cancel(items[0].rig->sched, &items[0].work);
}

static void test_work_of_a_round_can_be_cancelled(void **state)
{
    struct sched_rig rig;
    struct sched_item items[2];
    (void)state;
    sched_rig_start(&rig,
                    &(struct sched_rig_setup){
                        .kind = "fake", .run_ns = 1000, .queue_max = 10, .scheduling = &adaptive});
    sched_items_init(&rig, items, 2);
    loop_thread_call(&rig.lt, submit_and_cancel, items);
    sched_item_wait(&items[0]);
    assert_int_equal(items[0].work.code, TERN_CANCELLED);
    sched_items_assert_answered(&items[1], 1);
    sched_items_fini(items, 2);
    sched_rig_stop(&rig);
}

static void test_a_round_runs_what_fits_together(void **state)
{
    struct sched_rig rig;
    struct sched_item items[5];
    (void)state;
    sched_rig_start(&rig,
                    &(struct sched_rig_setup){
                        .kind = "fake", .run_ns = 1000, .queue_max = 10, .scheduling = &adaptive});
    for (int i = 0; i < 5; i++)
        sched_item_init(&items[i], &rig, i < 3 ? 3 : 1, (float)i);
    items[4].x.shape = (struct tern_shape){3, {1, 2, 2}};
    sched_items_submit(items, 5);
    sched_items_assert_answered(items, 5);
    assert_int_equal(items[0].work.batch_rows, 6); /* three times three do not fit in eight */
    assert_int_equal(items[1].work.batch_rows, 6);
    assert_int_equal(items[2].work.batch_rows, 4);
    assert_int_equal(items[3].work.batch_rows, 4);
    assert_int_equal(items[4].work.batch_rows, 1); /* of another shape */
    sched_items_fini(items, 5);
    sched_rig_stop(&rig);
}

/* ---- what is no usual run ---- */

static pthread_t ran_on;
static void *had_instance;

static enum tern_code note_thread(struct tern_work *work)
{
    ran_on = pthread_self();
    had_instance = work->instance;
    return work->run.n_outputs == 1 ? TERN_OK
                                    : tern_fail(work->err, TERN_INTERNAL, "it has lost its run");
}

/* Instead of a run of the model, which would have been on the loop. */
static void a_task_runs_on_an_executor(void **state)
{
    struct sched_rig f;
    struct sched_item item;
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){.kind = "fake", .run_ns = 1000, .queue_max = 10});
    sched_item_init(&item, &f, 1, 1);
    item.work.task_run = note_thread;
    sched_item_submit(&item);
    sched_item_wait(&item);
    assert_int_equal(item.work.code, TERN_OK);
    assert_ptr_equal(had_instance, f.instance);
    assert_int_equal(item.work.batch_rows, 0);
    assert_false(pthread_equal(ran_on, item.ran_on_done));
    sched_item_fini(&item);
    sched_rig_stop(&f);
}

static void what_takes_long_is_answered_from_an_executor(void **state)
{
    struct sched_rig f;
    struct sched_item item;
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){.kind = "fake", .run_ns = 1000, .queue_max = 10});
    sched_item_init(&item, &f, 1, 1);
    item.work.off_loop = true;
    sched_item_submit(&item);
    sched_item_wait(&item);
    sched_item_assert_answered(&item);
    assert_ptr_equal(item.work.instance, f.instance);
    sched_item_fini(&item);
    sched_rig_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_short_run_stays_on_its_loop),
        cmocka_unit_test(test_a_large_request_of_a_quick_model_leaves_the_loop),
        cmocka_unit_test(test_a_loop_learns_from_its_executors),
        cmocka_unit_test(test_a_model_that_turned_slow_leaves_the_loop),
        cmocka_unit_test(test_what_one_round_brings_is_one_run_on_the_loop),
        cmocka_unit_test(test_work_of_a_round_can_be_cancelled),
        cmocka_unit_test(test_a_round_runs_what_fits_together),
        cmocka_unit_test(a_task_runs_on_an_executor),
        cmocka_unit_test(what_takes_long_is_answered_from_an_executor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
