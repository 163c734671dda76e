/* What a lane says of itself: its place, its counts, what it learned, and why it did what it did.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/clock.h"
#include "harness/sched_rig.h"
#include "sched/lane.h"
#include "sched/report.h"
#include "sched/sched_int.h"

static const struct tern_scheduling adaptive = {
    .batching = TERN_BATCHING_ADAPTIVE, .max_rows = 8, .slo_ns = 1000 * TERN_NS_PER_MS};

struct asking {
    struct sched_rig *rig;
    struct tern_arena arena;
    struct tern_schedule report;
    struct tern_err err;
    enum tern_code code;
};

static void report_now(void *arg)
{
    struct asking *asking = arg;
    asking->code =
        tern_sched_report(&asking->rig->version, 0, &asking->arena, &asking->report, &asking->err);
}

static const struct tern_schedule *ask(struct asking *asking, struct sched_rig *rig)
{
    asking->rig = rig;
    tern_arena_init(&asking->arena, 4096, 1u << 20);
    loop_thread_call(&rig->lt, report_now, asking);
    assert_int_equal(asking->code, TERN_OK);
    return &asking->report;
}

static bool is(struct tern_str text, const char *expected)
{
    return tern_str_eq(text, tern_str_of(expected));
}

static void test_a_lane_and_its_decisions(void **state)
{
    struct sched_rig rig;
    struct sched_item items[5];
    struct asking asking;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 4,
                                                    .scheduling = &adaptive});
    sched_items_init(&rig, items, 5);
    sched_items_hold_first(items, 5);
    const struct tern_schedule *r = ask(&asking, &rig);
    assert_true(is(r->place, "lane") && is(r->batching, "adaptive") && is(r->unit, "rows"));
    assert_int_equal(r->max_rows, 8);
    assert_int_equal(r->slo_ns, adaptive.slo_ns);
    assert_int_equal(r->instances, 1);
    assert_int_equal(r->busy, 1);
    assert_int_equal(r->waiting, 4);
    assert_int_equal(r->runs, 0);
    tern_arena_fini(&asking.arena);
    fake_engine_open(2);
    sched_items_assert_answered(items, 5);
    r = ask(&asking, &rig);
    assert_int_equal(r->busy + r->waiting, 0);
    assert_int_equal(r->runs, 2);
    assert_int_equal(r->requests, 5);
    assert_int_equal(r->n_buckets, 2); /* the first is for those of no shape */
    assert_int_equal(r->buckets[1].n_sizes, 2);
    assert_int_equal(r->buckets[1].sizes[0].rows, 1);
    assert_int_equal(r->buckets[1].sizes[1].rows, 4);
    assert_int_equal(r->buckets[1].sizes[1].runs, 1);
    assert_true(r->buckets[1].sizes[1].p50_ns <= r->buckets[1].sizes[1].p99_ns);
    assert_true(r->n_decisions > 0);
    assert_true(is(r->decisions[0].reason, "alone")); /* nothing else ran: the four at once */
    assert_true(tern_str_starts(r->decisions[0].text, TERN_STR("runs 4 ")));
    assert_true(r->n_decisions < 2 || r->decisions[1].ago_ns >= r->decisions[0].ago_ns);
    tern_arena_fini(&asking.arena);
    sched_items_fini(items, 5);
    sched_rig_stop(&rig);
}

static void test_the_last_decisions_are_a_ring(void **state)
{
    struct sched_rig rig;
    struct asking asking;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 4,
                                                    .scheduling = &adaptive});
    for (int i = 0; i < 40; i++) {
        struct sched_item item;
        sched_items_init(&rig, &item, 1);
        sched_item_submit(&item);
        sched_items_assert_answered(&item, 1);
        sched_items_fini(&item, 1);
    }
    const struct tern_schedule *r = ask(&asking, &rig);
    assert_int_equal(r->n_decisions, 16);
    for (uint32_t i = 1; i < r->n_decisions; i++)
        assert_true(r->decisions[i].ago_ns >= r->decisions[i - 1].ago_ns);
    tern_arena_fini(&asking.arena);
    sched_rig_stop(&rig);
}

static void test_other_places(void **state)
{
    struct sched_rig rig;
    struct sched_item item;
    struct asking asking;
    (void)state;
    sched_rig_start(&rig,
                    &(struct sched_rig_setup){
                        .kind = "fake", .run_ns = 1000, .queue_max = 4, .scheduling = &adaptive});
    sched_items_init(&rig, &item, 1);
    sched_item_submit(&item);
    sched_items_assert_answered(&item, 1);
    const struct tern_schedule *r = ask(&asking, &rig);
    assert_true(is(r->place, "loop"));
    assert_int_equal(r->n_buckets, 1);
    assert_int_equal(r->buckets[0].n_sizes, 1); /* what this loop learned */
    tern_arena_fini(&asking.arena);
    sched_items_fini(&item, 1);
    sched_rig_stop(&rig);
    sched_rig_start(&rig,
                    &(struct sched_rig_setup){
                        .kind = "fake", .run_ns = 1u << 20, .queue_max = 4, .decoupled = true});
    r = ask(&asking, &rig);
    assert_true(is(r->place, "threads") && is(r->batching, "none"));
    assert_int_equal(r->max_rows, 1);
    tern_arena_fini(&asking.arena);
    sched_rig_stop(&rig);
}

/* The first bucket stands for no shape and may have learned nothing. */
static void test_the_objective_is_of_what_was_learned(void **state)
{
    static const struct tern_scheduling without_slo = {.batching = TERN_BATCHING_ADAPTIVE,
                                                       .max_rows = 8};
    struct sched_rig rig;
    struct sched_item item;
    struct asking asking;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 4,
                                                    .scheduling = &without_slo});
    sched_items_init(&rig, &item, 1);
    sched_item_submit(&item);
    sched_items_assert_answered(&item, 1);
    struct tern_lane *lane = rig.version.lane;
    pthread_mutex_lock(&rig.sched->executors.lock);
    tern_service_init(&lane->buckets[1]->service, 1, 3 * TERN_NS_PER_S);
    pthread_mutex_unlock(&rig.sched->executors.lock);
    const struct tern_schedule *r = ask(&asking, &rig);
    assert_in_range(r->slo_ns, 30 * (uint64_t)TERN_NS_PER_S, 40 * (uint64_t)TERN_NS_PER_S);
    tern_arena_fini(&asking.arena);
    sched_items_fini(&item, 1);
    sched_rig_stop(&rig);
}

static void test_without_memory_it_says_so(void **state)
{
    struct sched_rig rig;
    struct asking asking;
    size_t most = 1;
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 4,
                                                    .scheduling = &adaptive});
    asking.rig = &rig;
    for (; most < 1u << 20; most *= 2) {
        tern_arena_init(&asking.arena, 256, most);
        loop_thread_call(&rig.lt, report_now, &asking);
        tern_arena_fini(&asking.arena);
        if (asking.code == TERN_OK)
            break;
        assert_int_equal(asking.code, TERN_RESOURCE_EXHAUSTED);
    }
    assert_in_range(most, 256, 1u << 19);
    sched_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lane_and_its_decisions),
        cmocka_unit_test(test_the_last_decisions_are_a_ring),
        cmocka_unit_test(test_other_places),
        cmocka_unit_test(test_the_objective_is_of_what_was_learned),
        cmocka_unit_test(test_without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
