/* How a lane begins and ends, and its buckets. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "harness/mem_fails.h"
#include "harness/sched_rig.h"
#include "sched/lane.h"

static const struct tern_scheduling adaptive = {.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 8};

static const struct tern_scheduling_resource wants = {{"R", 1}, 1, false};
static const struct tern_scheduling_group group = {
    .count = 3, .resources = &wants, .n_resources = 1};
static const struct tern_scheduling limited = {
    .batching = TERN_BATCHING_ADAPTIVE, .max_rows = 8, .groups = &group, .n_groups = 1};

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
    sched_items_init(&rig, items, 3);
    sched_items_submit(items, 2);
    assert_int_equal(tern_sched_depth(&rig.version), 2);
    sched_item_submit(&items[2]);
    sched_items_assert_answered(items, 3);
    assert_int_equal(items[0].work.batch_rows, 3);
    sched_items_fini(items, 3);
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
    sched_items_init(&rig, items, 5);
    for (int i = 1; i < 5; i += 2) { /* every second one has another shape */
        items[i].x.shape = (struct tern_shape){3, {1, 2, 2}};
    }
    sched_items_hold_first(items, 5);
    fake_engine_open(3);
    sched_items_assert_answered(items, 5);
    for (int i = 1; i < 5; i++)
        assert_int_equal(items[i].work.batch_rows, 2);
    sched_items_fini(items, 5);
    sched_rig_stop(&rig);
}

/* Whoever was used the longest ago makes room. */
static void test_more_shapes_than_buckets(void **state)
{
    struct sched_rig rig;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    for (int64_t i = 0; i < 3 * (int64_t)TERN_LANE_BUCKETS; i++) {
        struct sched_item item;
        sched_items_init(&rig, &item, 1);
        item.x.shape = (struct tern_shape){2, {1, i + 1}};
        item.x.n_bytes = ((size_t)i % 16 + 1) * sizeof(float);
        sched_item_submit(&item);
        sched_items_assert_answered(&item, 1);
        sched_items_fini(&item, 1);
    }
    const struct tern_lane *lane = rig.version.lane;
    assert_int_equal(lane->n_buckets, TERN_LANE_BUCKETS);
    sched_rig_stop(&rig);
}

/* Its threads wait for clients; who keeps the time for it are the executors. */
static void test_a_decoupled_models_delay_ends_by_itself(void **state)
{
    static const uint32_t preferred[] = {4};
    static const struct tern_scheduling scheduling = {.batching = TERN_BATCHING_CONFIGURED,
                                                      .max_rows = 1,
                                                      .preferred = preferred,
                                                      .n_preferred = 1,
                                                      .max_queue_delay_ns = 2 * TERN_NS_PER_MS};
    struct sched_rig rig;
    struct sched_item items[3];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .instances = 2,
                                                    .decoupled = true,
                                                    .scheduling = &scheduling});
    sched_items_init(&rig, items, 3);
    sched_items_submit(items, 3);
    sched_items_assert_answered(items, 3);
    sched_items_fini(items, 3);
    sched_rig_stop(&rig);
}

/* A lane that cannot be made leaves nothing behind, and the others alone. */
static void test_without_memory_there_is_no_lane(void **state)
{
    struct sched_rig rig;
    struct tern_model_version other;
    struct tern_err err;
    enum tern_code code;
    long at = 0;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .instances = 3,
                                                    .rate_limit = true,
                                                    .scheduling = &limited});
    other = rig.version;
    other.lane = NULL;
    for (;; at++) {
        mem_calls = 0;
        mem_fail_at = at;
        code = tern_sched_add(rig.sched, &other, &err);
        mem_fail_at = -1;
        if (code == TERN_OK)
            break;
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
        assert_null(other.lane);
    }
    assert_true(at > 5);
    struct sched_item item;
    sched_items_init(&rig, &item, 1);
    item.work.version = &other;
    sched_item_submit(&item);
    sched_items_assert_answered(&item, 1);
    sched_items_fini(&item, 1);
    tern_sched_remove(rig.sched, &other);
    sched_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lane_can_be_held_until_enough_is_there),
        cmocka_unit_test(test_other_shapes_do_not_mix),
        cmocka_unit_test(test_more_shapes_than_buckets),
        cmocka_unit_test(test_a_decoupled_models_delay_ends_by_itself),
        cmocka_unit_test(test_without_memory_there_is_no_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
