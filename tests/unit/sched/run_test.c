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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_that_the_engine_refuses_spoils_no_other),
        cmocka_unit_test(test_without_a_batch_each_runs_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
