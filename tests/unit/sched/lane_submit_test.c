// wrap: tern_clock_mono_ns
/* Limits of length and time on the way into a lane, and the way out of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/clock.h"
#include "harness/clock_ahead.h"
#include "harness/sched_rig.h"

#define HOUR_NS (3600 * (uint64_t)TERN_NS_PER_S)

static const struct tern_scheduling adaptive = {.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 8};

static void test_a_level_bounds_its_length_and_its_wait(void **state)
{
    static const struct tern_scheduling_level level = {
        .max_queue_size = 2, .default_timeout_ns = HOUR_NS, .allow_timeout_override = true};
    static const struct tern_scheduling scheduling = {.batching = TERN_BATCHING_CONFIGURED,
                                                      .max_rows = 1,
                                                      .n_levels = 1,
                                                      .default_level = 1,
                                                      .levels = &level};
    struct sched_rig rig;
    struct sched_item items[4];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &scheduling});
    sched_items_init(&rig, items, 4);
    items[2].work.timeout_ns = TERN_NS_PER_MS;
    sched_items_hold_first(items, 4);
    sched_item_wait(&items[3]);
    assert_int_equal(items[3].work.code, TERN_UNAVAILABLE);
    assert_non_null(strstr(items[3].err.text, "Exceeds maximum queue size"));
    sched_item_wait(&items[2]); /* by the timer of its loop: the instance is busy */
    assert_int_equal(items[2].work.code, TERN_UNAVAILABLE);
    assert_string_equal(items[2].err.text, "Request timeout expired");
    fake_engine_open(2);
    sched_items_assert_answered(items, 2);
    sched_items_fini(items, 4);
    sched_rig_stop(&rig);
}

static void test_one_of_a_batch_may_leave(void **state)
{
    struct sched_rig rig;
    struct sched_item items[3];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    sched_items_init(&rig, items, 3);
    sched_items_hold_first(items, 3);
    fake_engine_open(1);
    sched_item_wait(&items[0]);
    fake_engine_wait_entered(2); /* the two others, as one */
    sched_item_cancel(&items[1]);
    fake_engine_open(1);
    sched_item_wait(&items[1]); /* its rows were computed: nobody stopped the other's */
    sched_items_assert_answered(&items[2], 1);
    sched_items_fini(items, 3);
    sched_rig_stop(&rig);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* The limit of its wait is no deadline: what runs by then runs on. */
static void test_the_limit_of_a_wait_ends_no_run(void **state)
{
    static const struct tern_scheduling_level level = {.default_timeout_ns = HOUR_NS};
    static const struct tern_scheduling scheduling = {.batching = TERN_BATCHING_CONFIGURED,
                                                      .max_rows = 1,
                                                      .n_levels = 1,
                                                      .default_level = 1,
                                                      .levels = &level};
    struct sched_rig rig;
    struct sched_item item;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &scheduling});
    sched_items_init(&rig, &item, 1);
    sched_items_hold_first(&item, 1);
    clock_added_ns += 2 * HOUR_NS;
    for (int i = 0; i < 2; i++)
        loop_thread_call(&rig.lt, nothing, NULL); /* rounds of the loop, which looks at its clock */
    assert_false(atomic_load(&item.work.cancelled));
    assert_false(item.work.expired);
    fake_engine_open(1);
    sched_items_assert_answered(&item, 1);
    sched_items_fini(&item, 1);
    sched_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_level_bounds_its_length_and_its_wait),
        cmocka_unit_test(test_one_of_a_batch_may_leave),
        cmocka_unit_test(test_the_limit_of_a_wait_ends_no_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
