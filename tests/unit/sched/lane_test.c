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
#include "harness/clock_ahead.h"
#include "harness/sched_rig.h"
#include "sched/lane.h"
#include "sched/sched_int.h"

#define HOUR_NS (3600 * (uint64_t)TERN_NS_PER_S)

static const struct tern_scheduling adaptive = {.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 8};

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
    sched_items_init(&rig, items, 5);
    sched_items_hold_first(items, 5);
    assert_int_equal(tern_sched_depth(&rig.version), 4);
    fake_engine_open(2);
    sched_items_assert_answered(items, 5);
    assert_int_equal(items[0].work.batch_rows, 1);
    for (int i = 1; i < 5; i++) {
        assert_int_equal(items[i].work.batch_rows, 4);
        n_leaders += items[i].work.leads_batch;
    }
    assert_int_equal(n_leaders, 1);
    sched_items_fini(items, 5);
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
    sched_items_hold_first(items, 4);
    fake_engine_open(3);
    sched_items_assert_answered(items, 4);
    assert_int_equal(items[1].work.batch_rows, 6); /* three times three do not fit in eight */
    assert_int_equal(items[2].work.batch_rows, 6);
    assert_int_equal(items[3].work.batch_rows, 3);
    sched_items_fini(items, 4);
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
    sched_items_init(&rig, items, 4);
    items[2].work.priority = 77; /* out of range: the default */
    items[3].work.priority = 1;
    sched_items_hold_first(items, 4);
    fake_engine_open(4);
    sched_items_assert_answered(items, 4);
    assert_true(items[3].order < items[1].order);
    assert_true(items[1].order < items[2].order);
    sched_items_fini(items, 4);
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
    sched_items_init(&rig, items, 4);
    sched_items_submit(items, 2);
    assert_int_equal(tern_sched_depth(&rig.version), 2); /* though both instances are idle */
    sched_item_submit(&items[2]);
    sched_items_assert_answered(items, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(items[i].work.batch_rows, 3);
    sched_item_submit(&items[3]);
    assert_int_equal(tern_sched_depth(&rig.version), 1);
    sched_item_cancel(&items[3]);
    sched_item_wait(&items[3]);
    assert_int_equal(items[3].work.code, TERN_CANCELLED);
    sched_items_fini(items, 4);
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
    sched_items_assert_answered(&item, 1); /* nobody else comes: an executor keeps the time */
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
    sched_items_init(&rig, items, 2);
    fake_engine_gate(true);
    sched_items_submit(items, 2);
    fake_engine_wait_entered(2); /* whoever passes the gate first */
    fake_engine_open(2);
    sched_items_assert_answered(items, 2);
    assert_true(items[0].order < items[1].order);
    sched_items_fini(items, 2);
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
    sched_items_init(&rig, items, 11);
    assert_int_equal(tern_sched_admits(rig.sched, &rig.version, 0, &answer_in_ns, &err), TERN_OK);
    sched_items_hold_first(items, 11);
    assert_int_equal(tern_sched_admits(rig.sched, &rig.version, 0, &answer_in_ns, &err),
                     TERN_UNAVAILABLE);
    assert_true(answer_in_ns >= 10 * (uint64_t)TERN_NS_PER_MS);
    assert_non_null(strstr(err.text, "Exceeds maximum queue size"));
    fake_engine_open(11);
    sched_items_assert_answered(items, 11);
    sched_items_fini(items, 11);
    sched_rig_stop(&rig);
}

/* What a bucket of shapes would know after a flood of requests that take a second each. */
static void flood(struct tern_lane_bucket *bucket, uint64_t now_ns)
{
    tern_service_init(&bucket->service, 1, TERN_NS_PER_S);
    for (int i = 0; i < 64; i++)
        tern_arrivals_add(&bucket->arrivals, now_ns, 1000);
    bucket->used_ns = now_ns + HOUR_NS;
}

static void test_a_flood_of_large_shapes_does_not_lock_out_small_ones(void **state)
{
    struct sched_rig rig;
    struct sched_item items[2];
    uint64_t answer_in_ns = 0, deadline_ns;
    struct tern_err err;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    sched_items_init(&rig, items, 2);
    items[0].x.shape = (struct tern_shape){3, {1, 2, 2}};
    for (int i = 0; i < 2; i++) {
        sched_item_submit(&items[i]);
        sched_item_wait(&items[i]);
    }
    struct tern_lane *lane = rig.version.lane;
    pthread_mutex_lock(&rig.sched->executors.lock);
    assert_int_equal(lane->n_buckets, 3);
    flood(lane->buckets[1], tern_clock_mono_ns());
    lane->buckets[2]->used_ns += HOUR_NS;
    pthread_mutex_unlock(&rig.sched->executors.lock);
    deadline_ns = tern_clock_mono_ns() + TERN_NS_PER_S / 2;
    assert_int_equal(tern_sched_admits(rig.sched, &rig.version, deadline_ns, &answer_in_ns, &err),
                     TERN_OK);
    pthread_mutex_lock(&rig.sched->executors.lock);
    flood(lane->buckets[2], tern_clock_mono_ns());
    pthread_mutex_unlock(&rig.sched->executors.lock);
    deadline_ns = tern_clock_mono_ns() + TERN_NS_PER_S / 2;
    assert_int_equal(tern_sched_admits(rig.sched, &rig.version, deadline_ns, &answer_in_ns, &err),
                     TERN_DEADLINE_EXCEEDED);
    sched_items_fini(items, 2);
    sched_rig_stop(&rig);
}

/* What one number of a small tensor takes says nothing of a large one. */
static void test_a_large_shape_that_is_new_is_tried(void **state)
{
    struct sched_rig rig;
    struct sched_item item;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake",
                                                    .run_ns = 10 * TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    sched_items_init(&rig, &item, 1);
    item.x.shape = (struct tern_shape){3, {1, 2, 2}};
    item.work.units = 1000000000;
    item.work.deadline_ns = tern_clock_mono_ns() + 60 * (uint64_t)TERN_NS_PER_S;
    sched_item_submit(&item);
    sched_items_assert_answered(&item, 1);
    sched_items_fini(&item, 1);
    sched_rig_stop(&rig);
}

/* With nobody before it a run takes ten seconds: less time than that is nobody's fault but its own.
 */
static void test_too_little_time_is_told_from_an_overload(void **state)
{
    struct sched_rig rig;
    struct sched_item items[4];
    const uint64_t run_ns = 10 * (uint64_t)TERN_NS_PER_S;
    (void)state;
    sched_rig_start(
        &rig, &(struct sched_rig_setup){.kind = "fake gated", .run_ns = run_ns, .queue_max = 10});
    sched_items_init(&rig, items, 4);
    items[0].work.deadline_ns = tern_clock_mono_ns() + run_ns / 10; /* all is idle */
    sched_item_submit(&items[0]);
    sched_item_wait(&items[0]);
    assert_int_equal(items[0].work.code, TERN_DEADLINE_EXCEEDED);
    assert_memory_equal(items[0].err.text, "Deadline Exceeded: a run of model 'm' takes about ",
                        50);
    sched_items_hold_first(items + 1, 1);
    items[2].work.deadline_ns = tern_clock_mono_ns() + run_ns / 10;
    items[3].work.deadline_ns = tern_clock_mono_ns() + run_ns + run_ns / 2;
    sched_items_submit(items + 2, 2);
    sched_item_wait(&items[2]);
    sched_item_wait(&items[3]);
    assert_int_equal(items[2].work.code, TERN_DEADLINE_EXCEEDED);
    assert_int_equal(items[3].work.code, TERN_RESOURCE_EXHAUSTED); /* but for the one that runs */
    assert_non_null(strstr(items[3].err.text, "overloaded"));
    fake_engine_open(1);
    sched_items_assert_answered(items + 1, 1);
    sched_items_fini(items, 4);
    sched_rig_stop(&rig);
}

/* The same at the door: two questions in an instant are more than the model can take. */
static void test_the_door_tells_them_apart(void **state)
{
    struct sched_rig rig;
    struct sched_item items[2];
    struct tern_err err;
    const uint64_t run_ns = 10 * (uint64_t)TERN_NS_PER_S;
    uint64_t answer_in_ns = 0;
    (void)state;
    sched_rig_start(
        &rig, &(struct sched_rig_setup){.kind = "fake gated", .run_ns = run_ns, .queue_max = 10});
    sched_items_init(&rig, items, 2);
    sched_items_hold_first(items, 2);
    assert_int_equal(tern_sched_admits(rig.sched, &rig.version, tern_clock_mono_ns() + run_ns / 10,
                                       &answer_in_ns, &err),
                     TERN_DEADLINE_EXCEEDED);
    assert_int_equal(answer_in_ns, 0);
    assert_memory_equal(err.text, "Deadline Exceeded: ", 19);
    assert_int_equal(tern_sched_admits(rig.sched, &rig.version,
                                       tern_clock_mono_ns() + run_ns + run_ns / 2, &answer_in_ns,
                                       &err),
                     TERN_RESOURCE_EXHAUSTED);
    assert_true(answer_in_ns > run_ns);
    fake_engine_open(2);
    sched_items_assert_answered(items, 2);
    sched_items_fini(items, 2);
    sched_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_waits_while_a_run_goes_on_runs_together),
        cmocka_unit_test(test_a_batch_has_at_most_max_rows),
        cmocka_unit_test(test_priorities_run_first),
        cmocka_unit_test(test_a_delay_gathers_a_preferred_size),
        cmocka_unit_test(test_a_short_delay_ends_by_itself),
        cmocka_unit_test(test_order_is_kept_where_it_is_asked_for),
        cmocka_unit_test(test_the_door_refuses_what_has_no_chance),
        cmocka_unit_test(test_a_flood_of_large_shapes_does_not_lock_out_small_ones),
        cmocka_unit_test(test_a_large_shape_that_is_new_is_tried),
        cmocka_unit_test(test_too_little_time_is_told_from_an_overload),
        cmocka_unit_test(test_the_door_tells_them_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
