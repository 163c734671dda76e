/* Which lane is next, how many threads long runs may have, and who keeps the time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/clock.h"
#include "harness/sched_rig.h"
#include "sched/executors.c"

/* ---- the choice, without threads ---- */

#define LANES 3

struct choice {
    struct tern_executors all;
    struct tern_lane lanes[LANES];
};

static void choice_init(struct choice *c)
{
    memset(c, 0, sizeof(*c));
    tern_executors_init(&c->all);
    c->all.long_max = 2;
    for (int i = 0; i < LANES; i++) {
        tern_list_init(&c->lanes[i].ready);
        tern_list_init(&c->lanes[i].delaying);
        c->lanes[i].n_slots = c->lanes[i].n_idle = 1;
        c->lanes[i].priority = 1;
        c->lanes[i].usual_ns = TERN_NS_PER_MS;
    }
}

static void choice_fini(struct choice *c)
{
    pthread_mutex_destroy(&c->all.lock);
}

/* Lanes that always have work, on one thread: what each had of it in the end. */
static void test_lanes_share_by_weight(void **state)
{
    static const uint64_t takes_ns[LANES] = {1000, 5000, 1000};
    struct choice c;
    uint64_t had_ns[LANES] = {0};
    (void)state;
    choice_init(&c);
    c.lanes[2].priority = 3; /* a third of the weight */
    for (int i = 0; i < LANES; i++)
        tern_executors_offer(&c.all, &c.lanes[i], true);
    for (int run = 0; run < 10000; run++) {
        struct tern_lane *lane = next_lane(&c.all, 1);
        ptrdiff_t i = lane - c.lanes;
        had_ns[i] += takes_ns[i];
        lane->used_ns += takes_ns[i] * lane->priority;
    }
    assert_in_range(had_ns[0], had_ns[1] - 5000, had_ns[1] + 5000);
    assert_in_range(3 * had_ns[2], had_ns[0] - 5000, had_ns[0] + 5000);
    choice_fini(&c);
}

static void test_who_was_idle_has_saved_nothing_up(void **state)
{
    struct choice c;
    (void)state;
    choice_init(&c);
    c.all.used_ns = 1000; /* of whoever was served last */
    c.lanes[0].used_ns = 1001;
    c.lanes[2].n_idle = 0; /* it runs: what it had is counted when that is over */
    for (int i = 0; i < LANES; i++)
        tern_executors_offer(&c.all, &c.lanes[i], true);
    assert_int_equal(c.lanes[1].used_ns, 1000);
    assert_int_equal(c.lanes[2].used_ns, 0);
    assert_ptr_equal(next_lane(&c.all, 1), &c.lanes[2]);
    tern_executors_offer(&c.all, &c.lanes[2], false);
    assert_ptr_equal(next_lane(&c.all, 1), &c.lanes[1]);
    choice_fini(&c);
}

static void test_only_so_many_are_in_long_runs(void **state)
{
    struct choice c;
    (void)state;
    choice_init(&c);
    c.lanes[0].usual_ns = TERN_EXECUTORS_LONG_NS;
    c.lanes[1].used_ns = 1;
    tern_executors_offer(&c.all, &c.lanes[0], true);
    assert_ptr_equal(next_lane(&c.all, 1), &c.lanes[0]);
    c.all.n_long = c.all.long_max;
    assert_null(next_lane(&c.all, 1));
    tern_executors_offer(&c.all, &c.lanes[1], true);
    assert_ptr_equal(next_lane(&c.all, 1), &c.lanes[1]);
    choice_fini(&c);
}

/* Not for ever: and somebody has to wake up then. */
static void test_long_runs_do_not_hold_each_other_back_for_ever(void **state)
{
    const uint64_t end_ns = 5 + TERN_EXECUTORS_PATIENCE_NS;
    struct choice c;
    (void)state;
    choice_init(&c);
    c.lanes[0].usual_ns = c.lanes[1].usual_ns = TERN_EXECUTORS_LONG_NS;
    c.all.n_long = c.all.long_max;
    tern_executors_offer(&c.all, &c.lanes[0], true);
    assert_null(next_lane(&c.all, 5));
    tern_executors_offer(&c.all, &c.lanes[1], true);
    assert_null(next_lane(&c.all, end_ns - 1));
    assert_int_equal(next_wake(&c.all), end_ns);
    assert_ptr_equal(next_lane(&c.all, end_ns), &c.lanes[0]);
    tern_executors_offer(&c.all, &c.lanes[0], false);
    tern_executors_offer(&c.all, &c.lanes[0], true); /* it waits anew */
    assert_null(next_lane(&c.all, end_ns));
    choice_fini(&c);
}

static void test_the_time_is_that_of_the_first_lane(void **state)
{
    struct choice c;
    (void)state;
    choice_init(&c);
    assert_int_equal(next_wake(&c.all), UINT64_MAX);
    tern_executors_wake_at(&c.all, &c.lanes[0], 30);
    tern_executors_wake_at(&c.all, &c.lanes[1], 20);
    assert_int_equal(next_wake(&c.all), 20);
    tern_executors_wake_at(&c.all, &c.lanes[1], 40);
    assert_int_equal(next_wake(&c.all), 30);
    tern_executors_wake_at(&c.all, &c.lanes[0], UINT64_MAX);
    assert_int_equal(next_wake(&c.all), 40);
    choice_fini(&c);
}

/* ---- with threads ---- */

/* Another version of the rig's model, with one instance. */
static void add_version(struct sched_rig *rig, struct tern_model_version *other)
{
    struct tern_err err;

    *other = rig->version;
    other->lane = NULL;
    other->n_instances = 1;
    assert_int_equal(tern_sched_add(rig->sched, other, &err), TERN_OK);
}

/* Runs turn out to take long; then all threads but one are theirs, and the last is for others: at
 * once for a quick run, and for another long one after a while, which brings one more. */
static void long_runs_leave_a_thread(bool slow_first)
{
    struct sched_rig rig;
    struct tern_model_version slow, quick;
    struct sched_item items[RIG_INSTANCES_MAX + 2];
    const int n = RIG_INSTANCES_MAX;
    struct tern_err err;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_EXECUTORS_LONG_NS,
                                                    .queue_max = 10,
                                                    .instances = RIG_INSTANCES_MAX});
    add_version(&rig, &slow);
    quick = rig.version;
    quick.lane = NULL;
    quick.n_instances = 1;
    quick.run_ns = TERN_NS_PER_MS;
    assert_int_equal(tern_sched_add(rig.sched, &quick, &err), TERN_OK);
    sched_items_init(&rig, items, (uint32_t)n + 2);
    items[n].work.version = &slow;
    items[n + 1].work.version = &quick;
    fake_engine_gate(true);
    sched_items_submit(items, (uint32_t)n); /* as many as long runs may have */
    fake_engine_wait_entered(n);
    sched_item_submit(&items[slow_first ? n : n + 1]);
    fake_engine_wait_entered(n + 1);
    sched_item_submit(&items[slow_first ? n + 1 : n]);
    if (slow_first)
        fake_engine_wait_entered(n + 2);
    assert_int_equal(tern_sched_depth(&quick), 0);
    fake_engine_open(n + 2);
    sched_items_assert_answered(items, (uint32_t)n + 2);
    sched_items_fini(items, (uint32_t)n + 2);
    tern_sched_remove(rig.sched, &quick);
    tern_sched_remove(rig.sched, &slow);
    sched_rig_stop(&rig);
}

static void test_long_runs_leave_a_thread(void **state)
{
    (void)state;
    long_runs_leave_a_thread(false);
}

static void test_who_waits_for_long_runs_brings_a_thread(void **state)
{
    (void)state;
    long_runs_leave_a_thread(true);
}

/* What runs take is learned of runs of any shape. */
static void test_a_lane_becomes_long(void **state)
{
    static const struct tern_scheduling adaptive = {.batching = TERN_BATCHING_ADAPTIVE,
                                                    .max_rows = 8};
    struct sched_rig rig;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake crawling",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    assert_false(is_long(rig.version.lane));
    for (int i = 0; i < 10; i++) {
        struct sched_item item;
        sched_items_init(&rig, &item, 1);
        sched_item_submit(&item);
        sched_items_assert_answered(&item, 1);
        sched_items_fini(&item, 1);
    }
    assert_true(is_long(rig.version.lane));
    sched_rig_stop(&rig);
}

/* The only idle thread keeps the time of one lane, works for another, and keeps it again. */
static void test_the_time_is_kept_whoever_works(void **state)
{
    static const struct tern_scheduling delayed = {.batching = TERN_BATCHING_CONFIGURED,
                                                   .max_rows = 8,
                                                   .max_queue_delay_ns = 3 * TERN_NS_PER_MS};
    struct sched_rig rig;
    struct tern_model_version versions[4];
    struct sched_item items[TERN_COUNT_OF(versions)];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake slow",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &delayed});
    for (size_t i = 0; i < TERN_COUNT_OF(versions); i++)
        add_version(&rig, &versions[i]);
    for (int round = 0; round < 20; round++) {
        sched_items_init(&rig, items, TERN_COUNT_OF(items));
        for (size_t i = 0; i < TERN_COUNT_OF(items); i++)
            items[i].work.version = &versions[i];
        for (size_t i = 0; i < TERN_COUNT_OF(items); i++)
            sched_item_submit(&items[i]);
        sched_items_assert_answered(items, TERN_COUNT_OF(items)); /* nobody else comes */
        sched_items_fini(items, TERN_COUNT_OF(items));
    }
    for (size_t i = 0; i < TERN_COUNT_OF(versions); i++)
        tern_sched_remove(rig.sched, &versions[i]);
    sched_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanes_share_by_weight),
        cmocka_unit_test(test_who_was_idle_has_saved_nothing_up),
        cmocka_unit_test(test_only_so_many_are_in_long_runs),
        cmocka_unit_test(test_long_runs_do_not_hold_each_other_back_for_ever),
        cmocka_unit_test(test_the_time_is_that_of_the_first_lane),
        cmocka_unit_test(test_long_runs_leave_a_thread),
        cmocka_unit_test(test_who_waits_for_long_runs_brings_a_thread),
        cmocka_unit_test(test_a_lane_becomes_long),
        cmocka_unit_test(test_the_time_is_kept_whoever_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
