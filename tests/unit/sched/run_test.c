/* Works on an instance, alone or together: none of them spoils another. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "harness/sched_rig.h"
#include "sched/run.h"

static const struct tern_scheduling adaptive = {.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 8};

static void test_a_request_that_the_engine_refuses_spoils_no_other(void **state)
{
    struct sched_rig rig;
    struct sched_item items[4];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated picky",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    sched_items_init(&rig, items, 4);
    items[2].data[1] = -1;
    sched_items_hold_first(items, 4);
    fake_engine_open(5); /* the batch, and each of its three */
    for (int i = 0; i < 4; i++)
        sched_item_wait(&items[i]);
    for (int i = 0; i < 4; i++) {
        if (i != 2)
            sched_item_assert_answered(&items[i]);
    }
    assert_int_equal(items[2].work.code, TERN_INVALID_ARGUMENT);
    assert_string_equal(items[2].err.text, "this model wants no negative numbers");
    sched_items_fini(items, 4);
    sched_rig_stop(&rig);
}

static void test_without_a_batch_each_runs_alone(void **state)
{
    struct sched_rig rig;
    struct sched_item items[3];
    struct tern_work *works[3];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake picky",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    sched_items_init(&rig, items, 3);
    items[0].data[0] = -1;
    for (int i = 0; i < 3; i++) {
        works[i] = &items[i].work;
        works[i]->instance = rig.instance;
    }
    atomic_store(&works[2]->cancelled, true);
    assert_false(tern_run_batch(NULL, works, 3, NULL)); /* there was no memory for one */
    assert_int_equal(works[0]->code, TERN_INVALID_ARGUMENT);
    sched_item_assert_answered(&items[1]);
    assert_int_equal(works[1]->batch_rows, 1);
    assert_true(works[1]->leads_batch);
    assert_int_equal(works[2]->code, TERN_CANCELLED);
    assert_int_equal(works[2]->batch_rows, 0);
    sched_items_fini(items, 3);
    sched_rig_stop(&rig);
}

/* Of 64 requests one is refused: all others are answered, most of them in batches. */
static void test_one_that_is_refused_does_not_end_the_batches(void **state)
{
    static const struct tern_scheduling wide = {.batching = TERN_BATCHING_ADAPTIVE, .max_rows = 64};
    struct sched_rig rig;
    struct sched_item items[65];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake gated picky",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 100,
                                                    .scheduling = &wide});
    for (int bad = 1; bad < 65; bad += 9) {
        uint32_t n_runs = 0;
        sched_items_init(&rig, items, 65);
        items[bad].data[2] = -1;
        sched_items_hold_first(items, 65);
        fake_engine_open(100);
        for (int i = 0; i < 65; i++)
            sched_item_wait(&items[i]);
        for (int i = 1; i < 65; i++) {
            n_runs += items[i].work.leads_batch;
            if (i != bad)
                sched_item_assert_answered(&items[i]);
        }
        assert_int_equal(items[bad].work.code, TERN_INVALID_ARGUMENT);
        assert_in_range(n_runs, 2, 14); /* of what was run in the end; as many in vain at most */
        sched_items_fini(items, 65);
    }
    sched_rig_stop(&rig);
}

/* However many are refused, it ends, and each has its own answer. */
static void test_any_of_them_may_be_refused(void **state)
{
    struct sched_rig rig;
    struct sched_item items[8];
    struct tern_work *works[8];
    (void)state;
    sched_rig_start(&rig, &(struct sched_rig_setup){.kind = "fake picky",
                                                    .run_ns = TERN_NS_PER_MS,
                                                    .queue_max = 10,
                                                    .scheduling = &adaptive});
    for (uint32_t bad = 1; bad < 256; bad++) {
        const struct tern_batch_settings settings = {.memory_max = 1 << 20};
        struct tern_batch_pool *pool;
        struct tern_batch *batch;
        sched_items_init(&rig, items, 8);
        for (int i = 0; i < 8; i++) {
            works[i] = &items[i].work;
            works[i]->instance = rig.instance;
            if ((bad >> i & 1) != 0)
                items[i].data[0] = -1;
        }
        assert_int_equal(tern_batch_pool_new(&settings, &pool, NULL), TERN_OK);
        assert_int_equal(tern_batch_take(pool, &batch, NULL), TERN_OK);
        tern_batch_pool_close(pool);
        assert_false(tern_run_batch(batch, works, 8, NULL));
        for (int i = 0; i < 8; i++) {
            if ((bad >> i & 1) != 0)
                assert_int_equal(works[i]->code, TERN_INVALID_ARGUMENT);
            else
                sched_item_assert_answered(&items[i]);
        }
        sched_items_fini(items, 8);
    }
    sched_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_that_the_engine_refuses_spoils_no_other),
        cmocka_unit_test(test_without_a_batch_each_runs_alone),
        cmocka_unit_test(test_one_that_is_refused_does_not_end_the_batches),
        cmocka_unit_test(test_any_of_them_may_be_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
