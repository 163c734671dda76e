/* Sequences whose requests are batched as any others are: those of different sequences. */
// wrap: tern_clock_mono_ns
#include "sequence_fixture.h"

static void begin(struct item *items, struct rig *r, uint32_t n, int flags)
{
    for (uint32_t i = 0; i < n; i++) {
        item_init(&items[i], r, i + 1, (int32_t)(10 * (i + 1)), flags);
        items[i].loop = i % LOOPS;
        submit(&items[i]);
    }
}

static int32_t wait_answer(struct item *item)
{
    int32_t y;

    while (sem_wait(&item->done) != 0)
        ;
    assert_int_equal(item->work.code, TERN_OK);
    memcpy(&y, item->y.data, sizeof(y));
    sem_post(&item->done);
    wait_done(item);
    return y;
}

static void test_requests_of_different_sequences_are_one_run(void **state)
{
    struct rig r;
    struct item items[4];
    (void)state;
    rig_start(&r, (struct plan){.oldest = 4, .hold_until = 4, .states = true});
    begin(items, &r, 4, S);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(wait_answer(&items[i]), 10 * (int)(i + 1));
    assert_int_equal(n_runs, 1);
    assert_int_equal(run_rows[0], 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(items[i].work.batch_rows, 4);
    begin(items, &r, 4, E); /* each with the state of its own sequence */
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(wait_answer(&items[i]), 20 * (int)(i + 1));
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

static void test_a_sequence_has_one_request_in_a_run(void **state)
{
    struct rig r;
    struct item first[2], second[2];
    (void)state;
    rig_start(&r, (struct plan){.oldest = 4, .hold_until = 2, .states = true});
    item_init(&first[0], &r, 1, 10, S);
    item_init(&second[0], &r, 1, 1, E);
    submit(&first[0]);
    submit(&second[0]);
    assert_int_equal(n_runs, 0); /* one of them waits for the other, not in the lane */
    item_init(&first[1], &r, 2, 20, S);
    item_init(&second[1], &r, 2, 2, E);
    submit(&first[1]);
    submit(&second[1]);
    assert_int_equal(wait_answer(&first[0]), 10);
    assert_int_equal(wait_answer(&first[1]), 20);
    assert_int_equal(wait_answer(&second[0]), 11);
    assert_int_equal(wait_answer(&second[1]), 22);
    assert_int_equal(run_rows[0], 2);
    rig_stop(&r);
}

static void test_a_batch_waits_for_a_preferred_size(void **state)
{
    struct rig r;
    struct item items[2];
    static const uint32_t two[] = {2};
    (void)state;
    rig_start(&r, (struct plan){.oldest = 4, .preferred = two, .delay_ns = 3600 * SECOND});
    begin(items, &r, 1, S | E);
    assert_int_equal(n_runs, 0);
    item_init(&items[1], &r, 2, 20, S | E);
    submit(&items[1]);
    assert_int_equal(wait_answer(&items[0]), 10);
    assert_int_equal(wait_answer(&items[1]), 20);
    assert_int_equal(n_runs, 1);
    assert_int_equal(run_rows[0], 2);
    rig_stop(&r);
}

static void test_candidates_are_bounded(void **state)
{
    struct rig r;
    struct item items[4];
    (void)state;
    rig_start(&r, (struct plan){.oldest = 4, .slots = 2, .hold_until = 2});
    begin(items, &r, 4, S | E);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(wait_answer(&items[i]), 10 * (int)(i + 1));
    assert_int_equal(run_rows[0], 2);
    assert_int_equal(seen[0].id + seen[1].id, 3);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_of_different_sequences_are_one_run),
        cmocka_unit_test(test_a_sequence_has_one_request_in_a_run),
        cmocka_unit_test(test_a_batch_waits_for_a_preferred_size),
        cmocka_unit_test(test_candidates_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
