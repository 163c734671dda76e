// wrap: tern_clock_mono_ns
/* Where a run happens, and what happens to work that cannot run. A fake engine with a gate stands
 * for the model, so that nothing here depends on how fast the machine is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/clock.h"
#include "harness/clock_ahead.h"
#include "harness/sched_rig.h"

#define SECOND_NS ((uint64_t)TERN_NS_PER_S)
#define HOUR_NS   (3600 * SECOND_NS)

static void test_a_long_run_takes_one_hop_and_comes_home(void **state)
{
    struct sched_rig f;
    struct sched_item item;
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){
                            .kind = "fake slow", .run_ns = TERN_NS_PER_MS, .queue_max = 10});
    sched_item_init(&item, &f, 1, 21);
    sched_item_submit(&item);
    sched_item_wait(&item);
    sched_item_assert_answered(&item);
    assert_true(pthread_equal(item.ran_on_done, f.lt.thread));
    assert_true(item.work.queued_ns <= item.work.started_ns);
    assert_true(item.work.started_ns < item.work.finished_ns);
    sched_item_fini(&item);
    sched_rig_stop(&f);
}

static void test_a_full_lane_refuses(void **state)
{
    struct sched_rig f;
    struct sched_item items[4];
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){
                            .kind = "fake gated", .run_ns = TERN_NS_PER_MS, .queue_max = 1});
    tern_sched_set_queue_max(f.sched, 2);
    fake_engine_gate(true);
    for (int i = 0; i < 4; i++)
        sched_item_init(&items[i], &f, 1, 21);
    sched_item_submit(&items[0]);
    fake_engine_wait_entered(1); /* runs; two may wait; the fourth is refused */
    sched_item_submit(&items[1]);
    sched_item_submit(&items[2]);
    assert_int_equal(tern_sched_depth(&f.version), 2);
    sched_item_submit(&items[3]);
    sched_item_wait(&items[3]);
    assert_int_equal(items[3].work.code, TERN_UNAVAILABLE);
    assert_non_null(strstr(items[3].err.text, "Exceeds maximum queue size"));
    fake_engine_open(3);
    for (int i = 0; i < 3; i++) {
        sched_item_wait(&items[i]);
        sched_item_assert_answered(&items[i]);
    }
    for (int i = 0; i < 4; i++)
        sched_item_fini(&items[i]);
    sched_rig_stop(&f);
}

static void test_work_past_its_deadline_never_runs(void **state)
{
    struct sched_rig f;
    struct sched_item running, late;
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){
                            .kind = "fake gated", .run_ns = TERN_NS_PER_MS, .queue_max = 10});
    fake_engine_gate(true);
    sched_item_init(&running, &f, 1, 21);
    sched_item_init(&late, &f, 1, 21);
    sched_item_submit(&running);
    fake_engine_wait_entered(1);
    late.work.deadline_ns = tern_clock_mono_ns() + HOUR_NS;
    sched_item_submit(&late);
    clock_added_ns += 2 * HOUR_NS;
    fake_engine_open(2);
    sched_item_wait(&running);
    sched_item_wait(&late);
    sched_item_assert_answered(&running);
    assert_int_equal(late.work.code, TERN_DEADLINE_EXCEEDED);
    assert_int_equal(late.work.started_ns, 0);
    sched_item_fini(&running);
    sched_item_fini(&late);
    sched_rig_stop(&f);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void test_waiting_work_is_answered_at_its_deadline(void **state)
{
    struct sched_rig f;
    struct sched_item running, late;
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){
                            .kind = "fake gated", .run_ns = TERN_NS_PER_MS, .queue_max = 10});
    fake_engine_gate(true);
    sched_item_init(&running, &f, 1, 21);
    sched_item_init(&late, &f, 1, 21);
    running.work.deadline_ns = tern_clock_mono_ns() + HOUR_NS;
    late.work.deadline_ns = running.work.deadline_ns;
    sched_item_submit(&running);
    fake_engine_wait_entered(1);
    sched_item_submit(&late);
    clock_added_ns += 2 * HOUR_NS;
    loop_thread_call(&f.lt, nothing, NULL); /* a round of the loop, which looks at its clock */
    sched_item_wait(&late);                 /* though nothing went through the gate */
    assert_int_equal(late.work.code, TERN_DEADLINE_EXCEEDED);
    assert_int_equal(tern_sched_depth(&f.version), 0);
    fake_engine_open(1);
    sched_item_wait(&running); /* this engine cannot stop a run: a late answer is an answer */
    sched_item_assert_answered(&running);
    sched_item_fini(&running);
    sched_item_fini(&late);
    sched_rig_stop(&f);
}

static void test_what_cannot_be_in_time_is_refused_at_once(void **state)
{
    struct sched_rig f;
    struct sched_item running, waiting, hopeless;
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){
                            .kind = "fake gated", .run_ns = 10 * SECOND_NS, .queue_max = 10});
    fake_engine_gate(true);
    sched_item_init(&running, &f, 1, 21);
    sched_item_init(&waiting, &f, 1, 21);
    sched_item_init(&hopeless, &f, 1, 21);
    sched_item_submit(&running);
    fake_engine_wait_entered(1);
    sched_item_submit(&waiting);
    hopeless.work.deadline_ns = tern_clock_mono_ns() + 15 * SECOND_NS;
    sched_item_submit(&hopeless); /* 10 s of work stand before it */
    sched_item_wait(&hopeless);
    assert_int_equal(hopeless.work.code, TERN_RESOURCE_EXHAUSTED);
    fake_engine_open(2);
    sched_item_wait(&running);
    sched_item_wait(&waiting);
    sched_item_fini(&running);
    sched_item_fini(&waiting);
    sched_item_fini(&hopeless);
    sched_rig_stop(&f);
}

static void test_cancelling_waiting_work(void **state)
{
    struct sched_rig f;
    struct sched_item running, waiting;
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){
                            .kind = "fake gated", .run_ns = TERN_NS_PER_MS, .queue_max = 10});
    fake_engine_gate(true);
    sched_item_init(&running, &f, 1, 21);
    sched_item_init(&waiting, &f, 1, 21);
    sched_item_submit(&running);
    fake_engine_wait_entered(1);
    sched_item_submit(&waiting);
    sched_item_cancel(&waiting);
    sched_item_wait(&waiting);
    assert_int_equal(waiting.work.code, TERN_CANCELLED);
    assert_int_equal(tern_sched_depth(&f.version), 0);
    sched_item_cancel(&running); /* it runs to its end all the same */
    fake_engine_open(1);
    sched_item_wait(&running);
    sched_item_assert_answered(&running);
    sched_item_fini(&running);
    sched_item_fini(&waiting);
    sched_rig_stop(&f);
}

static void test_a_failing_engine_tells_its_caller(void **state)
{
    struct sched_rig f;
    struct sched_item item;
    (void)state;
    sched_rig_start(&f, &(struct sched_rig_setup){
                            .kind = "fake failing", .run_ns = TERN_NS_PER_MS, .queue_max = 10});
    sched_item_init(&item, &f, 1, 21);
    sched_item_submit(&item);
    sched_item_wait(&item);
    assert_int_equal(item.work.code, TERN_INTERNAL);
    assert_string_equal(item.err.text, "this model fails on purpose");
    sched_item_fini(&item);
    sched_rig_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_long_run_takes_one_hop_and_comes_home),
        cmocka_unit_test(test_a_full_lane_refuses),
        cmocka_unit_test(test_work_past_its_deadline_never_runs),
        cmocka_unit_test(test_waiting_work_is_answered_at_its_deadline),
        cmocka_unit_test(test_what_cannot_be_in_time_is_refused_at_once),
        cmocka_unit_test(test_cancelling_waiting_work),
        cmocka_unit_test(test_a_failing_engine_tells_its_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
