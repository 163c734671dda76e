// wrap: tern_clock_mono_ns
/* What waits for a model and how it runs together. Work is held at a gate while other work comes,
 * so that what ends up in one batch is known. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/clock.h"
#include "harness/sched_rig.h"

#define HOUR_NS (3600 * (uint64_t)TERN_NS_PER_S)

static _Atomic uint64_t clock_added_ns;

uint64_t __real_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void)
{
    return __real_tern_clock_mono_ns() + clock_added_ns;
}

static const struct tern_scheduling adaptive = {.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 8};

static void init_items(struct sched_rig *rig, struct sched_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        sched_item_init(&items[i], rig, 1, (float)(100 * i));
}

static void end_items(struct sched_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        sched_item_fini(&items[i]);
}

static void wait_answered(struct sched_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        sched_item_wait(&items[i]);
        sched_item_assert_answered(&items[i]);
    }
}

/* The first work is at the gate, the others wait. */
static void hold_first(struct sched_item *items, uint32_t n)
{
    fake_engine_gate(true);
    sched_item_submit(&items[0]);
    fake_engine_wait_entered(1);
    sched_items_submit(items + 1, n - 1);
}

static void test_what_waits_while_a_run_goes_on_runs_together(void **state)
{
    struct sched_rig rig;
    struct sched_item items[5];
    uint32_t n_leaders = 0;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    init_items(&rig, items, 5);
    hold_first(items, 5);
    assert_int_equal(tern_sched_depth(&rig.version), 4);
    fake_engine_open(2);
    wait_answered(items, 5);
    assert_int_equal(items[0].work.batch_rows, 1);
    for (int i = 1; i < 5; i++) {
        assert_int_equal(items[i].work.batch_rows, 4);
        n_leaders += items[i].work.leads_batch;
    }
    assert_int_equal(n_leaders, 1);
    end_items(items, 5);
    sched_rig_stop(&rig);
}

static void test_a_batch_has_at_most_max_rows(void **state)
{
    struct sched_rig rig;
    struct sched_item items[4];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    sched_item_init(&items[0], &rig, 1, 0);
    for (int i = 1; i < 4; i++)
        sched_item_init(&items[i], &rig, 3, 10.f * (float)i);
    hold_first(items, 4);
    fake_engine_open(3);
    wait_answered(items, 4);
    assert_int_equal(items[1].work.batch_rows, 6); /* three times three do not fit in eight */
    assert_int_equal(items[2].work.batch_rows, 6);
    assert_int_equal(items[3].work.batch_rows, 3);
    end_items(items, 4);
    sched_rig_stop(&rig);
}

static void test_a_request_that_the_engine_refuses_spoils_no_other(void **state)
{
    struct sched_rig rig;
    struct sched_item items[4];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated picky",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    init_items(&rig, items, 4);
    items[2].data[1] = -1;
    hold_first(items, 4);
    fake_engine_open(5); /* the batch, and each of its three */
    for (int i = 0; i < 4; i++)
        sched_item_wait(&items[i]);
    for (int i = 0; i < 4; i++) {
        if (i != 2)
            sched_item_assert_answered(&items[i]);
    }
    assert_int_equal(items[2].work.code, TERN_INVALID_ARGUMENT);
    assert_string_equal(items[2].err.text, "this model wants no negative numbers");
    end_items(items, 4);
    sched_rig_stop(&rig);
}

static void test_priorities_run_first(void **state)
{
    static const struct tern_scheduling_level levels[2];
    static const struct tern_scheduling scheduling = {.batching = TERN_BATCHING_CONFIGURED,
                                                      .max_rows = 1,
                                                      .n_levels = 2,
                                                      .default_level = 2,
                                                      .levels = levels};
    struct sched_rig rig;
    struct sched_item items[4];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &scheduling});
    init_items(&rig, items, 4);
    items[2].work.priority = 77; /* out of range: the default */
    items[3].work.priority = 1;
    hold_first(items, 4);
    fake_engine_open(4);
    wait_answered(items, 4);
    assert_true(items[3].order < items[1].order);
    assert_true(items[1].order < items[2].order);
    end_items(items, 4);
    sched_rig_stop(&rig);
}

static void test_a_delay_gathers_a_preferred_size(void **state)
{
    static const uint32_t preferred[] = {3};
    static const struct tern_scheduling scheduling = {.batching = TERN_BATCHING_CONFIGURED,
                                                      .max_rows = 8,
                                                      .preferred = preferred,
                                                      .n_preferred = 1,
                                                      .max_queue_delay_ns = HOUR_NS};
    struct sched_rig rig;
    struct sched_item items[4];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .instances = 2,
                                                    .scheduling = &scheduling});
    init_items(&rig, items, 4);
    sched_items_submit(items, 2);
    assert_int_equal(tern_sched_depth(&rig.version), 2); /* though both instances are idle */
    sched_item_submit(&items[2]);
    wait_answered(items, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(items[i].work.batch_rows, 3);
    sched_item_submit(&items[3]);
    assert_int_equal(tern_sched_depth(&rig.version), 1);
    sched_item_cancel(&items[3]);
    sched_item_wait(&items[3]);
    assert_int_equal(items[3].work.code, TERN_CANCELLED);
    end_items(items, 4);
    sched_rig_stop(&rig);
}

static void test_a_short_delay_ends_by_itself(void **state)
{
    static const struct tern_scheduling scheduling = {.batching = TERN_BATCHING_CONFIGURED,
                                                      .max_rows = 8,
                                                      .max_queue_delay_ns = 2 * TERN_NS_PER_MS};
    struct sched_rig rig;
    struct sched_item item;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &scheduling});
    sched_item_init(&item, &rig, 1, 5);
    sched_item_submit(&item);
    wait_answered(&item, 1); /* nobody else comes: an executor keeps the time */
    assert_true(item.work.started_ns - item.work.queued_ns >= 2 * TERN_NS_PER_MS);
    sched_item_fini(&item);
    sched_rig_stop(&rig);
}

static void test_order_is_kept_where_it_is_asked_for(void **state)
{
    static const struct tern_scheduling scheduling = {
        .batching = TERN_BATCHING_CONFIGURED, .max_rows = 1, .preserve_ordering = true};
    struct sched_rig rig;
    struct sched_item items[2];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .instances = 2,
                                                    .scheduling = &scheduling});
    init_items(&rig, items, 2);
    fake_engine_gate(true);
    sched_items_submit(items, 2);
    fake_engine_wait_entered(2); /* whoever passes the gate first */
    fake_engine_open(2);
    wait_answered(items, 2);
    assert_true(items[0].order < items[1].order);
    end_items(items, 2);
    sched_rig_stop(&rig);
}

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
    init_items(&rig, items, 4);
    items[2].work.timeout_ns = TERN_NS_PER_MS;
    hold_first(items, 4);
    sched_item_wait(&items[3]);
    assert_int_equal(items[3].work.code, TERN_UNAVAILABLE);
    assert_non_null(strstr(items[3].err.text, "Exceeds maximum queue size"));
    sched_item_wait(&items[2]); /* by the timer of its loop: the instance is busy */
    assert_int_equal(items[2].work.code, TERN_UNAVAILABLE);
    assert_string_equal(items[2].err.text, "Request timeout expired");
    fake_engine_open(2);
    wait_answered(items, 2);
    end_items(items, 4);
    sched_rig_stop(&rig);
}

static void test_a_lane_can_be_held_until_enough_is_there(void **state)
{
    struct sched_rig rig;
    struct sched_item items[3];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .hold_until = 3,
                                                    .scheduling = &adaptive});
    init_items(&rig, items, 3);
    sched_items_submit(items, 2);
    assert_int_equal(tern_sched_depth(&rig.version), 2);
    sched_item_submit(&items[2]);
    wait_answered(items, 3);
    assert_int_equal(items[0].work.batch_rows, 3);
    end_items(items, 3);
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
    init_items(&rig, items, 3);
    hold_first(items, 3);
    fake_engine_open(1);
    sched_item_wait(&items[0]);
    fake_engine_wait_entered(2); /* the two others, as one */
    sched_item_cancel(&items[1]);
    fake_engine_open(1);
    sched_item_wait(&items[1]); /* its rows were computed: nobody stopped the other's */
    wait_answered(&items[2], 1);
    end_items(items, 3);
    sched_rig_stop(&rig);
}

static void test_other_shapes_do_not_mix(void **state)
{
    struct sched_rig rig;
    struct sched_item items[5];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    init_items(&rig, items, 5);
    for (int i = 1; i < 5; i += 2) { /* every second one has another shape */
        items[i].x.shape = (struct tern_shape){3, {1, 2, 2}};
    }
    hold_first(items, 5);
    fake_engine_open(3);
    wait_answered(items, 5);
    for (int i = 1; i < 5; i++)
        assert_int_equal(items[i].work.batch_rows, 2);
    end_items(items, 5);
    sched_rig_stop(&rig);
}

static void test_what_one_round_brings_is_one_run_on_the_loop(void **state)
{
    struct sched_rig rig;
    struct sched_item items[4];
    (void)state;
    sched_rig_start(&rig,
                    &(struct sched_rig_setup){
                        .kind = "fake", .run_ns = 1000, .queue_max = 10, .scheduling = &adaptive});
    init_items(&rig, items, 4);
    sched_items_submit(items, 4);
    wait_answered(items, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(items[i].work.batch_rows, 4);
        assert_true(pthread_equal(items[i].ran_on_done, rig.lt.thread));
    }
    end_items(items, 4);
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
    init_items(&rig, items, 2);
    loop_thread_call(&rig.lt, submit_and_cancel, items);
    sched_item_wait(&items[0]);
    assert_int_equal(items[0].work.code, TERN_CANCELLED);
    wait_answered(&items[1], 1);
    end_items(items, 2);
    sched_rig_stop(&rig);
}

static void test_the_door_refuses_what_has_no_chance(void **state)
{
    struct sched_rig rig;
    struct sched_item items[11];
    struct tern_err err;
    uint64_t answer_in_ns = 0;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){
                              .kind = "fake gated", .run_ns = TERN_NS_PER_MS, .queue_max = 10});
    init_items(&rig, items, 11);
    assert_int_equal(tern_sched_admits(rig.sched, &rig.version, 0, &answer_in_ns, &err), TERN_OK);
    hold_first(items, 11);
    assert_int_equal(tern_sched_admits(rig.sched, &rig.version, 0, &answer_in_ns, &err),
                     TERN_UNAVAILABLE);
    assert_true(answer_in_ns >= 10 * (uint64_t)TERN_NS_PER_MS);
    assert_non_null(strstr(err.text, "Exceeds maximum queue size"));
    fake_engine_open(11);
    wait_answered(items, 11);
    end_items(items, 11);
    sched_rig_stop(&rig);
}

/* Two instances, and a resource of which there is one: one run at a time. */
static void test_instances_wait_for_their_resources(void **state)
{
    static const struct tern_scheduling_resource wants = {{"R", 1}, 1, false};
    static const struct tern_scheduling_group group = {
        .count = 2, .resources = &wants, .n_resources = 1};
    static const struct tern_scheduling scheduling = {.groups = &group, .n_groups = 1};
    struct sched_rig rig;
    struct sched_item items[3];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .instances = 2,
                                                    .rate_limit = true,
                                                    .scheduling = &scheduling});
    init_items(&rig, items, 3);
    hold_first(items, 3);
    assert_int_equal(tern_sched_depth(&rig.version), 2); /* though an instance is idle */
    for (int i = 0; i < 3; i++) {
        fake_engine_open(1);
        wait_answered(&items[i], 1);
    }
    end_items(items, 3);
    sched_rig_stop(&rig);
}

static void test_instances_come_and_go_while_work_runs(void **state)
{
    struct sched_rig rig;
    struct sched_item items[3];
    struct tern_err err;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){
                              .kind = "fake gated", .run_ns = TERN_NS_PER_MS, .queue_max = 10});
    init_items(&rig, items, 3);
    hold_first(items, 3);
    for (int i = 1; i < 3; i++)
        rig.instances[i] = rig.instance;
    assert_int_equal(tern_sched_set_instances(&rig.version, rig.instances, 3, &err), TERN_OK);
    fake_engine_wait_entered(3); /* the two that waited run on the new ones */
    fake_engine_open(3);
    wait_answered(items, 3);
    end_items(items, 3);
    assert_int_equal(tern_sched_set_instances(&rig.version, rig.instances, 1, &err), TERN_OK);
    init_items(&rig, items, 2);
    hold_first(items, 2);
    assert_int_equal(tern_sched_depth(&rig.version), 1);
    fake_engine_open(2);
    wait_answered(items, 2);
    end_items(items, 2);
    sched_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_waits_while_a_run_goes_on_runs_together),
        cmocka_unit_test(test_a_batch_has_at_most_max_rows),
        cmocka_unit_test(test_a_request_that_the_engine_refuses_spoils_no_other),
        cmocka_unit_test(test_priorities_run_first),
        cmocka_unit_test(test_a_delay_gathers_a_preferred_size),
        cmocka_unit_test(test_a_short_delay_ends_by_itself),
        cmocka_unit_test(test_order_is_kept_where_it_is_asked_for),
        cmocka_unit_test(test_a_level_bounds_its_length_and_its_wait),
        cmocka_unit_test(test_a_lane_can_be_held_until_enough_is_there),
        cmocka_unit_test(test_one_of_a_batch_may_leave),
        cmocka_unit_test(test_other_shapes_do_not_mix),
        cmocka_unit_test(test_what_one_round_brings_is_one_run_on_the_loop),
        cmocka_unit_test(test_work_of_a_round_can_be_cancelled),
        cmocka_unit_test(test_instances_wait_for_their_resources),
        cmocka_unit_test(test_instances_come_and_go_while_work_runs),
        cmocka_unit_test(test_the_door_refuses_what_has_no_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
