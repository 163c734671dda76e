/* Sequences with slots: a run is a batch over the rows of one instance. */
// covers: sched/sequence_table
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include "sequence_fixture.h"

#include "harness/mem_fails.h"

/* A row that no request has. */
static void assert_empty(uint32_t at)
{
    assert_true(at < n_seen);
    assert_int_equal(seen[at].values[READY], 0);
    assert_int_equal(seen[at].values[START], 0);
    assert_int_equal(seen[at].values[END], 0);
    assert_int_equal(seen[at].values[X], 0);
    assert_int_equal(seen[at].id, 0);
}

static void begin(struct item *items, struct rig *r, uint32_t n, int flags)
{
    for (uint32_t i = 0; i < n; i++) {
        item_init(&items[i], r, i + 1, (int32_t)(10 * (i + 1)), flags);
        items[i].loop = i % LOOPS;
        submit(&items[i]);
    }
}

static void await(struct item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(wait_done(&items[i]), TERN_OK);
}

static int32_t answer_of(const struct item *item)
{
    int32_t y;

    memcpy(&y, item->y.data, sizeof(y));
    return y;
}

/* The answers themselves go with the arena. */
static int32_t wait_answer(struct item *item)
{
    while (sem_wait(&item->done) != 0)
        ;
    assert_int_equal(item->work.code, TERN_OK);
    int32_t y = answer_of(item);
    sem_post(&item->done);
    wait_done(item);
    return y;
}

/* ---- rows ---- */

static void test_a_run_is_a_batch_over_the_slots(void **state)
{
    struct rig r;
    struct item items[4];
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .hold_until = 4});
    begin(items, &r, 4, S);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(wait_answer(&items[i]), 10 * (int)(i + 1));
    assert_int_equal(n_runs, 1);
    assert_int_equal(run_rows[0], 4);
    uint32_t leaders = 0;
    for (uint32_t i = 0; i < 4; i++) {
        assert_seen(i, i + 1, 10 * (int)(i + 1), S);
        assert_int_equal(items[i].work.batch_rows, 4);
        leaders += items[i].work.leads_batch;
    }
    assert_int_equal(leaders, 1);
    assert_int_equal(tern_sequences_live(&r.version), 4);
    rig_stop(&r);
}

static void test_slots_without_a_request_are_rows_that_are_not_ready(void **state)
{
    struct rig r;
    struct item items[3], more[3];
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .hold_until = 3});
    begin(items, &r, 3, S);
    await(items, 3);
    arm_gate();
    item_init(&more[0], &r, 2, 21, 0); /* runs alone, behind an empty row */
    submit(&more[0]);
    wait_entered(1);
    item_init(&more[1], &r, 1, 11, 0);
    item_init(&more[2], &r, 3, 31, E);
    submit(&more[1]);
    submit(&more[2]);
    open_gate(2);
    await(more, 3);
    assert_int_equal(n_runs, 3);
    assert_int_equal(run_rows[1], 2);
    assert_empty(3);
    assert_seen(4, 2, 21, 0);
    assert_int_equal(run_rows[2], 3);
    assert_seen(5, 1, 11, 0);
    assert_empty(6);
    assert_seen(7, 3, 31, E);
    assert_true(more[0].work.leads_batch);
    assert_int_equal(more[0].work.batch_rows, 2);
    assert_int_equal(tern_sequences_live(&r.version), 2);
    rig_stop(&r);
}

static void test_a_model_that_cannot_tell_gets_no_empty_rows(void **state)
{
    struct rig r;
    struct item items[3], more;
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .hold_until = 3, .without_ready = true});
    begin(items, &r, 3, S);
    await(items, 3);
    item_init(&more, &r, 3, 31, 0);
    submit(&more);
    await(&more, 1);
    assert_int_equal(run_rows[0], 3);
    assert_int_equal(run_rows[1], 1);
    assert_int_equal(seen[3].id, 3);
    rig_stop(&r);
}

static void test_quick_runs_stay_on_the_loop(void **state)
{
    struct rig r;
    struct item items[4];
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .hold_until = 4, .inline_runs = true});
    begin(items, &r, 4, S);
    await(items, 4);
    assert_int_equal(n_runs, 1);
    assert_int_equal(run_rows[0], 4);
    assert_int_equal(ask(&r, 3, 1, 0, &err), TERN_OK);
    assert_int_equal(run_rows[1], 3);
    assert_true(items[0].work.started_ns != 0);
    rig_stop(&r);
}

static void test_what_has_another_shape_waits_for_the_next_run(void **state)
{
    struct rig r;
    struct item items[3];
    int32_t pair[2] = {20, 21};
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .hold_until = 3});
    for (uint32_t i = 0; i < 3; i++) {
        item_init(&items[i], &r, i + 1, (int32_t)i, S);
        if (i == 1) {
            items[i].x.shape.dim[1] = 2;
            items[i].x.data = pair;
            items[i].x.n_bytes = sizeof(pair);
        }
        submit(&items[i]);
    }
    await(items, 3);
    assert_int_equal(n_runs, 2);
    assert_int_equal(run_rows[0], 3);
    assert_seen(0, 1, 0, S);
    assert_empty(1);
    assert_seen(2, 3, 2, S);
    assert_int_equal(run_rows[1], 2);
    assert_empty(3);
    assert_seen(4, 2, 20, S);
    rig_stop(&r);
}

static void test_states_go_with_their_rows(void **state)
{
    struct rig r;
    struct item items[4];
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .hold_until = 4, .states = true});
    begin(items, &r, 4, S);
    await(items, 4);
    assert_int_equal(n_runs, 1);
    for (uint32_t i = 4; i > 0; i--) {
        item_init(&items[0], &r, i, 1, 0);
        submit(&items[0]);
        assert_int_equal(wait_answer(&items[0]), 10 * (int)i + 1);
        item_init(&items[0], &r, i, 2, E);
        submit(&items[0]);
        assert_int_equal(wait_answer(&items[0]), 10 * (int)i + 3);
    }
    rig_stop(&r);
}

/* ---- slots ---- */

static void test_a_sequence_stays_on_its_instance(void **state)
{
    struct rig r;
    struct item items[4];
    struct tern_err err;
    uint32_t at[5] = {0};
    (void)state;
    rig_start(&r, (struct plan){.rows = 2});
    for (uint64_t id = 1; id <= 4; id++)
        assert_int_equal(ask(&r, id, 0, S, &err), TERN_OK);
    for (uint32_t i = 0; i < n_seen; i++) {
        if (seen[i].values[READY] == 1)
            at[seen[i].id] = seen[i].instance;
    }
    assert_int_equal(at[1], 0); /* one after the other, so that all instances have work */
    assert_int_equal(at[2], 1);
    assert_int_equal(at[3], 0);
    assert_int_equal(at[4], 1);
    for (int round = 0; round < 20; round++) {
        begin(items, &r, 4, 0);
        await(items, 4);
    }
    for (uint32_t i = 0; i < n_seen; i++)
        assert_true(seen[i].values[READY] == 0 || at[seen[i].id] == seen[i].instance);
    rig_stop(&r);
}

static void test_a_slot_that_is_free_goes_to_who_waits(void **state)
{
    struct rig r;
    struct item items[6], end;
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .hold_until = 4, .hold_backlog = 2});
    begin(items, &r, 5, S);
    assert_int_equal(tern_sequences_held(&r.version), 5);
    assert_int_equal(n_runs, 0); /* one more has to wait for a slot */
    item_init(&items[5], &r, 5, 51, E);
    submit(&items[5]);
    await(items, 4);
    assert_int_equal(n_runs, 1);
    item_init(&end, &r, 3, 31, E);
    submit(&end);
    await(&end, 1);
    await(items + 4, 2);
    assert_int_equal(run_rows[1], 3);
    assert_int_equal(run_rows[2], 3); /* in the slot of the one that ended */
    assert_seen(9, 5, 50, S);
    assert_seen(12, 5, 51, E);
    assert_int_equal(tern_sequences_live(&r.version), 3);
    rig_stop(&r);
}

/* ---- when ---- */

static void test_a_run_waits_for_enough_slots(void **state)
{
    struct rig r;
    struct item items[3];
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .least = 0.5, .delay_ns = SECOND});
    begin(items, &r, 1, S);
    jump(&r, SECOND / 2);
    assert_int_equal(n_runs, 0);
    item_init(&items[1], &r, 2, 20, S);
    submit(&items[1]); /* half of them */
    await(items, 2);
    assert_int_equal(run_rows[0], 2);
    item_init(&items[2], &r, 1, 11, 0);
    submit(&items[2]);
    jump(&r, SECOND / 2);
    assert_int_equal(n_runs, 1);
    jump(&r, SECOND / 2); /* for nobody else for longer than this */
    await(&items[2], 1);
    assert_int_equal(run_rows[1], 1);
    rig_stop(&r);
}

static void test_without_a_least_part_nobody_waits(void **state)
{
    struct rig r;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .delay_ns = SECOND});
    assert_int_equal(ask(&r, 1, 1, S | E, &err), TERN_OK);
    rig_stop(&r);
}

/* ---- who leaves ---- */

static void test_who_leaves_while_others_run_with_it(void **state)
{
    struct rig r;
    struct item items[2], next;
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .hold_until = 2});
    arm_gate();
    begin(items, &r, 2, S);
    wait_entered(1);
    cancel(&items[0]);
    cancel(&items[0]); /* no difference */
    item_init(&next, &r, 1, 11, E);
    submit(&next);
    open_gate(2);
    await(items, 2); /* the run went on for the other one */
    await(&next, 1);
    rig_stop(&r);
}

static void test_a_run_that_nobody_waits_for_is_ended(void **state)
{
    struct rig r;
    struct item items[2];
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .hold_until = 2});
    arm_gate();
    is_stoppable = true;
    begin(items, &r, 1, S);
    item_init(&items[1], &r, 2, 2, S);
    items[1].work.deadline_ns = tern_clock_mono_ns() + SECOND;
    submit(&items[1]);
    wait_entered(1);
    cancel(&items[0]);
    jump(&r, SECOND); /* the gate stays shut */
    assert_int_equal(wait_done(&items[0]), TERN_CANCELLED);
    assert_int_equal(wait_done(&items[1]), TERN_DEADLINE_EXCEEDED);
    open_gate(1);
    assert_int_equal(ask(&r, 1, 3, E, &err), TERN_OK);
    rig_stop(&r);
}

static void test_who_leaves_before_its_run(void **state)
{
    struct rig r;
    struct item running, items[3];
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1});
    arm_gate();
    item_init(&running, &r, 9, 1, S);
    submit(&running);
    wait_entered(1);
    begin(items, &r, 2, S);
    item_init(&items[2], &r, 1, 12, 0);
    submit(&items[2]);
    cancel(&items[0]); /* what follows it is lost too */
    assert_int_equal(wait_done(&items[0]), TERN_CANCELLED);
    assert_int_equal(wait_done(&items[2]), TERN_INVALID_ARGUMENT);
    open_gate(3);
    assert_int_equal(wait_done(&running), TERN_OK);
    assert_int_equal(wait_done(&items[1]), TERN_OK);
    assert_int_equal(ask(&r, 2, 22, E, &err), TERN_OK);
    assert_int_equal(tern_sequences_live(&r.version), 1);
    rig_stop(&r);
}

static void test_a_deadline_before_the_run(void **state)
{
    struct rig r;
    struct item running, late;
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1});
    arm_gate();
    item_init(&running, &r, 9, 1, S);
    submit(&running);
    wait_entered(1);
    item_init(&late, &r, 1, 2, S);
    late.work.deadline_ns = tern_clock_mono_ns() + SECOND;
    submit(&late);
    jump(&r, SECOND);
    assert_int_equal(wait_done(&late), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(tern_sequences_live(&r.version), 1);
    open_gate(1);
    assert_int_equal(wait_done(&running), TERN_OK);
    rig_stop(&r);
}

/* ---- what goes wrong ---- */

static void test_a_model_that_fails(void **state)
{
    struct rig r;
    struct item items[2];
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.rows = 4, .instances = 1, .hold_until = 2});
    infer_code = TERN_INTERNAL;
    begin(items, &r, 2, S);
    assert_int_equal(wait_done(&items[0]), TERN_INTERNAL);
    assert_int_equal(wait_done(&items[1]), TERN_INTERNAL);
    infer_code = TERN_OK;
    assert_int_equal(ask(&r, 1, 3, E, &err), TERN_OK); /* it ran, however it ended */
    rig_stop(&r);
}

static void test_no_memory_for_slots(void **state)
{
    struct rig r;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.rows = 2});
    tern_sched_remove(r.sched, &r.version);
    enum tern_code code = TERN_RESOURCE_EXHAUSTED;
    for (long i = 0; code != TERN_OK; i++) {
        mem_calls = 0;
        mem_fail_at = i;
        code = tern_sched_add(r.sched, &r.version, &err);
        mem_fail_at = -1;
        assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED);
        assert_true(code == TERN_OK || r.version.sequences == NULL);
        assert_true(i < 40);
    }
    rig_stop(&r);
}

/* Whatever allocation fails: each request is answered, and the next run is as if nothing was. */
static void test_no_memory_for_a_run(void **state)
{
    struct rig r;
    struct item items[2];
    (void)state;
    for (long at = 0; at < 12; at++) {
        rig_start(&r, (struct plan){.rows = 4, .instances = 1});
        begin(items, &r, 2, S);
        await(items, 2);
        item_init(&items[1], &r, 2, 21, 0); /* behind an empty row */
        assert_non_null(tern_arena_alloc(&items[1].arena, 8, 8));
        mem_calls = 0;
        mem_fail_at = at;
        submit(&items[1]);
        enum tern_code code = wait_done(&items[1]);
        mem_fail_at = -1;
        assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED);
        begin(items, &r, 2, 0);
        await(items, 2);
        rig_stop(&r);
    }
}

/* ---- many at once ---- */

struct many {
    struct rig *rig;
    uint32_t loop, wrong;
};

static void *ask_often(void *arg)
{
    struct many *many = arg;
    struct item items[9];

    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 9; i++) {
            uint64_t id = 1 + many->loop * 3 + (uint64_t)i % 3;
            item_init(&items[i], many->rig, id, 1, (i / 3 == 0 ? S : 0) | (i / 3 == 2 ? E : 0));
            items[i].loop = (many->loop + (uint32_t)i / 3) % LOOPS;
            submit(&items[i]);
        }
        for (int i = 0; i < 9; i++)
            many->wrong += wait_answer(&items[i]) != i / 3 + 1;
    }
    return NULL;
}

static void hammer(struct plan plan)
{
    struct rig r;
    struct many many[LOOPS];
    pthread_t threads[LOOPS];

    plan.states = true;
    rig_start(&r, plan);
    for (uint32_t i = 0; i < LOOPS; i++) {
        many[i] = (struct many){.rig = &r, .loop = i};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &many[i]), 0);
    }
    for (uint32_t i = 0; i < LOOPS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(many[i].wrong, 0);
    }
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

static void test_two_loops_at_once(void **state)
{
    (void)state;
    hammer((struct plan){.rows = 2});
    hammer((struct plan){.rows = 3, .instances = 1, .without_ready = true});
    hammer((struct plan){.rows = 1});
    hammer((struct plan){.rows = 2, .inline_runs = true});
    hammer((struct plan){.rows = 3, .instances = 1, .inline_runs = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_is_a_batch_over_the_slots),
        cmocka_unit_test(test_slots_without_a_request_are_rows_that_are_not_ready),
        cmocka_unit_test(test_a_model_that_cannot_tell_gets_no_empty_rows),
        cmocka_unit_test(test_quick_runs_stay_on_the_loop),
        cmocka_unit_test(test_what_has_another_shape_waits_for_the_next_run),
        cmocka_unit_test(test_states_go_with_their_rows),
        cmocka_unit_test(test_a_sequence_stays_on_its_instance),
        cmocka_unit_test(test_a_slot_that_is_free_goes_to_who_waits),
        cmocka_unit_test(test_a_run_waits_for_enough_slots),
        cmocka_unit_test(test_without_a_least_part_nobody_waits),
        cmocka_unit_test(test_who_leaves_while_others_run_with_it),
        cmocka_unit_test(test_a_run_that_nobody_waits_for_is_ended),
        cmocka_unit_test(test_who_leaves_before_its_run),
        cmocka_unit_test(test_a_deadline_before_the_run),
        cmocka_unit_test(test_a_model_that_fails),
        cmocka_unit_test(test_no_memory_for_slots),
        cmocka_unit_test(test_no_memory_for_a_run),
        cmocka_unit_test(test_two_loops_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
