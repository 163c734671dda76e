/* Instances come, go, and wait for what they compete for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "harness/sched_rig.h"
#include "sched/sched_int.h"

static void test_instances_come_and_go_while_work_runs(void **state)
{
    struct sched_rig rig;
    struct sched_item items[3];
    struct tern_err err;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){
                              .kind = "fake gated", .run_ns = TERN_NS_PER_MS, .queue_max = 10});
    sched_items_init(&rig, items, 3);
    sched_items_hold_first(items, 3);
    for (int i = 1; i < 3; i++)
        rig.instances[i] = rig.instance;
    assert_int_equal(tern_sched_set_instances(&rig.version, rig.instances, 3, &err), TERN_OK);
    fake_engine_wait_entered(3); /* the two that waited run on the new ones */
    fake_engine_open(3);
    sched_items_assert_answered(items, 3);
    sched_items_fini(items, 3);
    assert_int_equal(tern_sched_set_instances(&rig.version, rig.instances, 1, &err), TERN_OK);
    sched_items_init(&rig, items, 2);
    sched_items_hold_first(items, 2);
    assert_int_equal(tern_sched_depth(&rig.version), 1);
    fake_engine_open(2);
    sched_items_assert_answered(items, 2);
    sched_items_fini(items, 2);
    sched_rig_stop(&rig);
}

static const struct tern_scheduling_resource wants = {{"R", 1}, 1, false};
static const struct tern_scheduling_group group = {
    .count = 2, .resources = &wants, .n_resources = 1};
static const struct tern_scheduling one_at_a_time = {.groups = &group, .n_groups = 1};

/* Two instances, and a resource of which there is one: one run at a time. */
static void test_instances_wait_for_their_resources(void **state)
{
    struct sched_rig rig;
    struct sched_item items[3];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .instances = 2,
                                                    .rate_limit = true,
                                                    .scheduling = &one_at_a_time});
    sched_items_init(&rig, items, 3);
    sched_items_hold_first(items, 3);
    assert_int_equal(tern_sched_depth(&rig.version), 2); /* though an instance is idle */
    for (int i = 0; i < 3; i++) {
        fake_engine_open(1);
        sched_items_assert_answered(&items[i], 1);
    }
    sched_items_fini(items, 3);
    sched_rig_stop(&rig);
}

/* One that goes while it holds what it needs gives that back: the other model runs. */
static void test_who_leaves_gives_back_what_it_holds(void **state)
{
    struct sched_rig rig;
    struct sched_item items[2];
    struct tern_model_version other;
    struct tern_err err;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .instances = 2,
                                                    .rate_limit = true,
                                                    .scheduling = &one_at_a_time});
    other = rig.version;
    other.lane = NULL;
    assert_int_equal(tern_sched_add(rig.sched, &other, &err), TERN_OK);
    struct tern_lane *lane = rig.version.lane;
    pthread_mutex_lock(&rig.sched->executors.lock);
    struct tern_resource_claim *claim = &lane->slots[1]->claim;
    assert_true(tern_resources_acquire(rig.sched->resources, claim)); /* for a run to come */
    pthread_mutex_unlock(&rig.sched->executors.lock);
    sched_items_init(&rig, items, 2);
    items[0].work.version = items[1].work.version = &other;
    sched_items_submit(items, 2);
    assert_int_equal(tern_sched_depth(&other), 2);
    assert_int_equal(tern_sched_set_instances(&rig.version, rig.instances, 1, &err), TERN_OK);
    sched_items_assert_answered(items, 2);
    sched_items_fini(items, 2);
    tern_sched_remove(rig.sched, &other);
    sched_rig_stop(&rig);
}

static void test_instances_that_have_a_place_of_their_own_stay(void **state)
{
    struct sched_rig rig;
    struct tern_err err;
    (void)state;
    sched_rig_start(&rig,
                    &(struct sched_rig_setup){.kind = "fake", .run_ns = 1000, .queue_max = 1});
    assert_int_equal(tern_sched_set_instances(&rig.version, rig.instances, 2, &err),
                     TERN_UNIMPLEMENTED);
    sched_rig_stop(&rig);
    sched_rig_start(&rig,
                    &(struct sched_rig_setup){
                        .kind = "fake", .run_ns = 1 << 20, .queue_max = 1, .decoupled = true});
    assert_int_equal(tern_sched_set_instances(&rig.version, rig.instances, 2, &err),
                     TERN_UNIMPLEMENTED);
    sched_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instances_come_and_go_while_work_runs),
        cmocka_unit_test(test_instances_wait_for_their_resources),
        cmocka_unit_test(test_who_leaves_gives_back_what_it_holds),
        cmocka_unit_test(test_instances_that_have_a_place_of_their_own_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
