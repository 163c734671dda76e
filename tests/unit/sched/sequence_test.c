/* Sequences of requests: their order, their slots, and what happens to those that cannot run. The
 * model of these tests notes what it was given and can be held at a gate; time is the test's own.
 */
// covers: sched/sequence_inputs
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include "sequence_fixture.h"

#include "harness/mem_fails.h"

#define WITHOUT_START_7                                                                       \
    "inference request for sequence 7 to model 'm' must specify the START flag on the first " \
    "request of the sequence"

/* ---- what the model sees ---- */

static void test_controls_say_where_in_the_sequence_a_request_stands(void **state)
{
    struct rig r;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true});
    assert_int_equal(ask(&r, 7, 10, S, &err), TERN_OK);
    assert_int_equal(ask(&r, 7, 11, 0, &err), TERN_OK);
    assert_int_equal(tern_sequences_live(&r.version), 1);
    assert_int_equal(ask(&r, 7, 12, E, &err), TERN_OK);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    assert_int_equal(ask(&r, 8, 13, S | E, &err), TERN_OK);
    assert_int_equal(n_seen, 4);
    assert_seen(0, 7, 10, S);
    assert_seen(1, 7, 11, 0);
    assert_seen(2, 7, 12, E);
    assert_seen(3, 8, 13, S | E);
    rig_stop(&r);
}

static void test_ids_are_numbers_or_texts(void **state)
{
    struct rig r;
    struct item item;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true, .id = TERN_DTYPE_BYTES});
    item_init(&item, &r, 0, 1, S);
    item.which.text = TERN_STR("abc");
    submit(&item);
    assert_int_equal(wait_done(&item), TERN_OK);
    assert_int_equal(ask(&r, 45, 2, S, &err), TERN_OK);
    item_init(&item, &r, 0, 3, 0);
    item.which.text = TERN_STR("abc");
    submit(&item);
    assert_int_equal(wait_done(&item), TERN_OK);
    item_init(&item, &r, 0, 3, 0);
    item.which.text = TERN_STR("45"); /* not the number */
    submit(&item);
    assert_int_equal(wait_done(&item), TERN_INVALID_ARGUMENT);
    assert_int_equal(seen[0].text_n, 3);
    assert_memory_equal(seen[0].text, "abc", 3);
    assert_int_equal(seen[1].text_n, 2);
    assert_memory_equal(seen[1].text, "45", 2);
    rig_stop(&r);

    rig_start(&r, (struct plan){.inline_runs = true, .id = TERN_DTYPE_INT32});
    assert_int_equal(ask(&r, INT32_MAX, 1, S, &err), TERN_OK);
    assert_int_equal(ask(&r, (uint64_t)INT32_MAX + 1, 1, S, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "2147483647"));
    item_init(&item, &r, 0, 1, S);
    item.which.text = TERN_STR("abc");
    submit(&item);
    assert_int_equal(wait_done(&item), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(item.err.text, "not texts"));
    rig_stop(&r);
}

static void test_what_is_no_request_of_a_sequence(void **state)
{
    struct rig r;
    struct item item;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true});
    assert_int_equal(ask(&r, 0, 1, S, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "inference request to model 'm' must specify a non-zero or "
                                  "non-empty correlation ID");
    assert_int_equal(ask(&r, 7, 1, 0, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, WITHOUT_START_7);
    item_init(&item, &r, 7, 1, S);
    item.x.shape.dim[0] = 2;
    submit(&item);
    assert_int_equal(wait_done(&item), TERN_INVALID_ARGUMENT);
    assert_string_equal(item.err.text, "inference request to model 'm' must specify batch-size 1 "
                                       "due to requirements of sequence batcher");
    assert_int_equal(n_seen, 0);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

static void test_a_sequence_may_begin_anew(void **state)
{
    struct rig r;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true});
    assert_int_equal(ask(&r, 7, 1, S, &err), TERN_OK);
    assert_int_equal(ask(&r, 7, 2, S, &err), TERN_OK);
    assert_int_equal(ask(&r, 7, 3, E, &err), TERN_OK);
    assert_int_equal(ask(&r, 7, 4, 0, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, WITHOUT_START_7);
    assert_int_equal(ask(&r, 7, 5, S, &err), TERN_OK);
    assert_int_equal(tern_sequences_live(&r.version), 1);
    rig_stop(&r); /* a live sequence is no leak */
}

/* ---- order ---- */

static void test_requests_of_one_sequence_run_in_order_from_any_loop(void **state)
{
    struct rig r;
    struct item items[6];
    (void)state;
    rig_start(&r, (struct plan){0});
    arm_gate();
    for (int i = 0; i < 6; i++) {
        item_init(&items[i], &r, 7, i, (i == 0 ? S : 0) | (i == 5 ? E : 0));
        items[i].loop = (uint32_t)i % LOOPS;
        submit(&items[i]);
    }
    for (uint32_t i = 0; i < 6; i++) {
        wait_entered(i + 1);
        assert_int_equal(entered, i + 1); /* although there are two instances */
        assert_int_equal(tern_sequences_held(&r.version), 5 - i);
        open_gate(1);
        assert_int_equal(wait_done(&items[i]), TERN_OK);
    }
    for (int i = 0; i < 6; i++)
        assert_seen((uint32_t)i, 7, i, (i == 0 ? S : 0) | (i == 5 ? E : 0));
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

static void test_different_sequences_run_side_by_side(void **state)
{
    struct rig r;
    struct item one, two;
    (void)state;
    rig_start(&r, (struct plan){0});
    arm_gate();
    item_init(&one, &r, 1, 1, S);
    item_init(&two, &r, 2, 2, S);
    submit(&one);
    submit(&two);
    wait_entered(2);
    assert_int_equal(tern_sequences_live(&r.version), 2);
    open_gate(2);
    assert_int_equal(wait_done(&one), TERN_OK);
    assert_int_equal(wait_done(&two), TERN_OK);
    rig_stop(&r);
}

struct many {
    struct rig *rig;
    uint32_t loop;
    atomic_uint wrong;
};

#define ROUNDS 300

/* One loop's share of three sequences of its own, and its view of their order. */
static void *ask_often(void *arg)
{
    struct many *many = arg;
    struct item items[9];

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 9; i++) {
            uint64_t id = 1 + many->loop * 3 + (uint64_t)i % 3;
            item_init(&items[i], many->rig, id, round * 3 + i / 3,
                      (i / 3 == 0 ? S : 0) | (i / 3 == 2 ? E : 0));
            items[i].loop = (many->loop + (uint32_t)i / 3) % LOOPS;
            submit(&items[i]);
        }
        for (int i = 0; i < 9; i++)
            many->wrong += wait_done(&items[i]) != TERN_OK;
    }
    return NULL;
}

static void hammer(struct plan plan)
{
    struct rig r;
    struct many many[LOOPS];
    pthread_t threads[LOOPS];
    int32_t last[3 * LOOPS + 1];

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
    assert_int_equal(n_seen, LOOPS * ROUNDS * 9);
    memset(last, 0xff, sizeof(last));
    for (uint32_t i = n_seen - RUNS_MAX; i < n_seen; i++) {
        const struct seen *s = &seen[i % RUNS_MAX];
        assert_true(last[s->id] < 0 || s->values[X] == last[s->id] + 1);
        last[s->id] = s->values[X];
    }
    rig_stop(&r);
}

static void test_two_loops_at_once(void **state)
{
    (void)state;
    hammer((struct plan){.inline_runs = true});
    hammer((struct plan){.slots = 3});
    hammer((struct plan){.inline_runs = true, .slots = 1});
}

/* ---- slots and idle sequences ---- */

static void test_an_idle_sequence_is_forgotten(void **state)
{
    struct rig r;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true});
    assert_int_equal(ask(&r, 7, 1, S, &err), TERN_OK);
    jump(&r, SECOND / 2);
    assert_int_equal(ask(&r, 7, 2, 0, &err), TERN_OK);
    jump(&r, SECOND / 2 + SECOND / 4);
    assert_int_equal(ask(&r, 7, 3, 0, &err), TERN_OK);
    jump(&r, SECOND);
    assert_int_equal(ask(&r, 7, 4, 0, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, WITHOUT_START_7);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

static void test_a_sequence_waits_for_a_slot(void **state)
{
    struct rig r;
    struct item first, second, end;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true, .slots = 1});
    assert_int_equal(ask(&r, 1, 1, S, &err), TERN_OK);
    item_init(&first, &r, 2, 2, S);
    item_init(&second, &r, 2, 3, E);
    first.loop = 1;
    submit(&first);
    submit(&second);
    assert_int_equal(tern_sequences_held(&r.version), 2);
    assert_int_equal(tern_sched_depth(&r.version), 2);
    item_init(&end, &r, 1, 4, E);
    submit(&end);
    assert_int_equal(wait_done(&end), TERN_OK);
    assert_int_equal(wait_done(&first), TERN_OK);
    assert_int_equal(wait_done(&second), TERN_OK);
    assert_seen(1, 1, 4, E);
    assert_seen(2, 2, 2, S);
    assert_seen(3, 2, 3, E);
    rig_stop(&r);
}

static void test_an_idle_sequence_leaves_its_slot_to_who_waits(void **state)
{
    struct rig r;
    struct item waiting;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true, .slots = 1});
    assert_int_equal(ask(&r, 1, 1, S, &err), TERN_OK);
    item_init(&waiting, &r, 2, 2, S);
    submit(&waiting);
    assert_int_equal(tern_sequences_held(&r.version), 1);
    jump(&r, 2 * SECOND);
    assert_int_equal(wait_done(&waiting), TERN_OK);
    assert_int_equal(ask(&r, 1, 3, 0, &err), TERN_INVALID_ARGUMENT);
    rig_stop(&r);
}

static void retire(void *arg)
{
    struct tern_pins *pins = arg;
    pins->retired = true;
}

static void test_a_version_that_is_not_served_any_more(void **state)
{
    struct rig r;
    struct tern_pins pins[LOOPS] = {{.count = 0}};
    struct item waiting;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true, .slots = 1});
    r.sequencing.max_idle_ns = UINT64_MAX;
    r.version.pins = pins;
    assert_int_equal(ask(&r, 1, 1, S, &err), TERN_OK);
    item_init(&waiting, &r, 2, 2, S | E);
    submit(&waiting);
    jump(&r, 10 * SECOND);
    assert_int_equal(tern_sequences_held(&r.version), 1);
    loop_thread_call(&r.loops[0], retire, &pins[0]);
    jump(&r, SECOND);
    assert_int_equal(wait_done(&waiting), TERN_OK);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

/* Whoever begins again and again must not keep the others out. */
static void test_one_that_begins_anew_stands_behind_those_that_wait(void **state)
{
    struct rig r;
    struct item running, other, again;
    (void)state;
    rig_start(&r, (struct plan){.slots = 1});
    arm_gate();
    item_init(&running, &r, 1, 1, S);
    item_init(&again, &r, 1, 2, S | E);
    item_init(&other, &r, 2, 3, S | E);
    submit(&running);
    wait_entered(1);
    submit(&again);
    submit(&other);
    open_gate(3);
    assert_int_equal(wait_done(&running), TERN_OK);
    assert_int_equal(wait_done(&other), TERN_OK);
    assert_int_equal(wait_done(&again), TERN_OK);
    assert_seen(1, 2, 3, S | E);
    assert_seen(2, 1, 2, S | E);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

static void test_the_queue_is_bounded(void **state)
{
    struct rig r;
    struct item items[4], elsewhere;
    (void)state;
    rig_start(&r, (struct plan){.queue_max = 2});
    arm_gate();
    for (int i = 0; i < 4; i++) {
        item_init(&items[i], &r, 7, i, i == 0 ? S : 0);
        submit(&items[i]);
    }
    assert_int_equal(wait_done(&items[3]), TERN_UNAVAILABLE);
    assert_non_null(strstr(items[3].err.text, "Exceeds maximum queue size"));
    item_init(&elsewhere, &r, 8, 9, S); /* it need not wait */
    submit(&elsewhere);
    open_gate(4);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wait_done(&items[i]), TERN_OK);
    assert_int_equal(wait_done(&elsewhere), TERN_OK);
    rig_stop(&r);
}

/* ---- deadlines ---- */

static void test_a_sequence_that_gets_no_slot_in_time(void **state)
{
    struct rig r;
    struct item first, second;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true, .slots = 1});
    assert_int_equal(ask(&r, 1, 1, S, &err), TERN_OK);
    item_init(&first, &r, 2, 2, S);
    item_init(&second, &r, 2, 3, E);
    first.work.deadline_ns = tern_clock_mono_ns() + SECOND / 2;
    second.loop = 1;
    submit(&first);
    submit(&second);
    jump(&r, SECOND / 2);
    assert_int_equal(wait_done(&first), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(wait_done(&second), TERN_DEADLINE_EXCEEDED);
    assert_string_equal(second.err.text, "timeout of the corresponding sequence has been expired");
    assert_int_equal(ask(&r, 1, 4, E, &err), TERN_OK);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

/* Triton's parameter timeout: it bounds the wait for a slot, and nothing else. */
static void test_a_sequence_that_waits_for_a_slot_for_as_long_as_it_says(void **state)
{
    struct rig r;
    struct item running, behind, first, second;
    (void)state;
    rig_start(&r, (struct plan){.slots = 1});
    arm_gate();
    item_init(&running, &r, 1, 1, S);
    item_init(&behind, &r, 1, 4, E);
    item_init(&first, &r, 2, 2, S);
    item_init(&second, &r, 2, 3, E);
    running.work.timeout_ns = behind.work.timeout_ns = SECOND / 8;
    second.work.timeout_ns = SECOND / 4;
    submit(&running);
    wait_entered(1);
    submit(&behind);
    submit(&first);
    submit(&second);
    jump(&r, SECOND / 8);
    assert_int_equal(tern_sequences_held(&r.version), 3);
    jump(&r, SECOND / 8);
    assert_int_equal(wait_done(&first), TERN_UNAVAILABLE);
    assert_int_equal(wait_done(&second), TERN_UNAVAILABLE);
    assert_string_equal(first.err.text, "timeout of the corresponding sequence has been expired");
    open_gate(2);
    assert_int_equal(wait_done(&running), TERN_OK);
    assert_int_equal(wait_done(&behind), TERN_OK);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

static void test_a_request_that_waits_too_long_for_its_sequence(void **state)
{
    struct rig r;
    struct item running, late, next;
    (void)state;
    rig_start(&r, (struct plan){0});
    arm_gate();
    item_init(&running, &r, 7, 1, S);
    item_init(&late, &r, 7, 2, 0);
    item_init(&next, &r, 7, 3, 0);
    late.work.deadline_ns = tern_clock_mono_ns() + SECOND;
    submit(&running);
    wait_entered(1);
    submit(&late);
    submit(&next);
    jump(&r, SECOND);
    assert_int_equal(wait_done(&late), TERN_DEADLINE_EXCEEDED);
    assert_non_null(strstr(late.err.text, "Request timeout expired"));
    open_gate(2);
    assert_int_equal(wait_done(&running), TERN_OK);
    assert_int_equal(wait_done(&next), TERN_OK);
    assert_seen(1, 7, 3, 0);
    rig_stop(&r);
}

static void test_what_follows_a_start_that_was_not_run(void **state)
{
    struct rig r;
    struct item running, late, orphan, again, last;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){0});
    arm_gate();
    item_init(&running, &r, 7, 1, S);
    item_init(&late, &r, 7, 2, S);
    item_init(&orphan, &r, 7, 3, 0);
    item_init(&again, &r, 7, 4, S);
    item_init(&last, &r, 7, 5, S);
    late.work.deadline_ns = last.work.deadline_ns = tern_clock_mono_ns() + SECOND;
    submit(&running);
    wait_entered(1);
    submit(&late);
    submit(&orphan);
    submit(&again);
    submit(&last);
    jump(&r, SECOND);
    assert_int_equal(wait_done(&late), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(wait_done(&last), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(ask(&r, 7, 6, 0, &err), TERN_INVALID_ARGUMENT); /* it would follow the last */
    open_gate(2);
    assert_int_equal(wait_done(&running), TERN_OK);
    assert_int_equal(wait_done(&orphan), TERN_INVALID_ARGUMENT);
    assert_string_equal(orphan.err.text, WITHOUT_START_7);
    assert_int_equal(wait_done(&again), TERN_OK);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

/* ---- cancelling ---- */

static void test_cancelling_at_each_stage(void **state)
{
    struct rig r;
    struct item running, called, held, next;
    (void)state;
    rig_start(&r, (struct plan){0});
    arm_gate();
    item_init(&running, &r, 7, 1, S);
    item_init(&called, &r, 7, 2, 0);
    item_init(&held, &r, 7, 3, 0);
    item_init(&next, &r, 7, 4, E);
    running.cancels = &called;
    submit(&running);
    wait_entered(1);
    submit(&called);
    submit(&held);
    submit(&next);
    cancel(&held);
    assert_int_equal(wait_done(&held), TERN_CANCELLED);
    cancel(&running); /* this engine cannot stop: it runs to its end */
    open_gate(2);
    assert_int_equal(wait_done(&running), TERN_OK);
    assert_int_equal(wait_done(&called), TERN_CANCELLED);
    assert_int_equal(wait_done(&next), TERN_OK);
    assert_int_equal(n_seen, 2);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

static void test_cancelling_in_the_lane_and_in_the_backlog(void **state)
{
    struct rig r;
    struct item busy[LOOPS], start, orphan, waiting;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.slots = LOOPS + 1});
    arm_gate();
    for (uint32_t i = 0; i < LOOPS; i++) {
        item_init(&busy[i], &r, 1 + i, 1, S | E);
        submit(&busy[i]);
    }
    wait_entered(LOOPS);
    item_init(&start, &r, 7, 1, S); /* has a slot, waits in the lane */
    item_init(&orphan, &r, 7, 2, 0);
    item_init(&waiting, &r, 8, 3, S);
    submit(&start);
    submit(&orphan);
    submit(&waiting);
    cancel(&waiting);
    assert_int_equal(wait_done(&waiting), TERN_CANCELLED);
    assert_int_equal(ask(&r, 8, 3, 0, &err), TERN_INVALID_ARGUMENT);
    cancel(&start);
    assert_int_equal(wait_done(&start), TERN_CANCELLED);
    assert_int_equal(wait_done(&orphan), TERN_INVALID_ARGUMENT);
    assert_string_equal(orphan.err.text, WITHOUT_START_7);
    open_gate(LOOPS);
    for (uint32_t i = 0; i < LOOPS; i++)
        assert_int_equal(wait_done(&busy[i]), TERN_OK);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    rig_stop(&r);
}

/* ---- memory ---- */

static void test_no_memory_for_a_table(void **state)
{
    struct rig r;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true});
    tern_sched_remove(r.sched, &r.version);
    enum tern_code code = TERN_RESOURCE_EXHAUSTED;
    for (long i = 0; code != TERN_OK; i++) {
        mem_calls = 0;
        mem_fail_at = i;
        code = tern_sched_add(r.sched, &r.version, &err);
        mem_fail_at = -1;
        assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED);
        assert_true(code == TERN_OK || r.version.sequences == NULL);
        assert_true(i < 20);
    }
    rig_stop(&r);
}

static void test_no_memory_for_a_request(void **state)
{
    struct rig r;
    struct item item;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true});
    enum tern_code code = TERN_RESOURCE_EXHAUSTED;
    for (size_t max = 0; code != TERN_OK; max += 8) {
        item_init(&item, &r, 7, 1, S | E);
        item.arena.max = max;
        submit(&item);
        code = wait_done(&item);
        assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED);
        assert_int_equal(tern_sequences_live(&r.version), 0);
        assert_true(max < 4096);
    }
    rig_stop(&r);
}

static void test_no_memory_for_a_sequence(void **state)
{
    struct rig r;
    struct item item;
    struct tern_err err;
    (void)state;
    rig_start(&r, (struct plan){.inline_runs = true});
    item_init(&item, &r, 7, 1, S);
    assert_non_null(tern_arena_alloc(&item.arena, 8, 8)); /* its first chunk */
    mem_calls = 0;
    mem_fail_at = 0;
    submit(&item);
    mem_fail_at = -1;
    assert_int_equal(wait_done(&item), TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(tern_sequences_live(&r.version), 0);
    assert_int_equal(ask(&r, 7, 1, S | E, &err), TERN_OK);
    long before = mem_calls;
    assert_int_equal(ask(&r, 8, 1, S | E, &err), TERN_OK); /* in the memory of the one before */
    assert_int_equal(mem_calls - before, 1);               /* the arena of the request */
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_controls_say_where_in_the_sequence_a_request_stands),
        cmocka_unit_test(test_ids_are_numbers_or_texts),
        cmocka_unit_test(test_what_is_no_request_of_a_sequence),
        cmocka_unit_test(test_a_sequence_may_begin_anew),
        cmocka_unit_test(test_requests_of_one_sequence_run_in_order_from_any_loop),
        cmocka_unit_test(test_different_sequences_run_side_by_side),
        cmocka_unit_test(test_two_loops_at_once),
        cmocka_unit_test(test_an_idle_sequence_is_forgotten),
        cmocka_unit_test(test_a_sequence_waits_for_a_slot),
        cmocka_unit_test(test_an_idle_sequence_leaves_its_slot_to_who_waits),
        cmocka_unit_test(test_a_version_that_is_not_served_any_more),
        cmocka_unit_test(test_one_that_begins_anew_stands_behind_those_that_wait),
        cmocka_unit_test(test_the_queue_is_bounded),
        cmocka_unit_test(test_a_sequence_that_gets_no_slot_in_time),
        cmocka_unit_test(test_a_sequence_that_waits_for_a_slot_for_as_long_as_it_says),
        cmocka_unit_test(test_a_request_that_waits_too_long_for_its_sequence),
        cmocka_unit_test(test_what_follows_a_start_that_was_not_run),
        cmocka_unit_test(test_cancelling_at_each_stage),
        cmocka_unit_test(test_cancelling_in_the_lane_and_in_the_backlog),
        cmocka_unit_test(test_no_memory_for_a_table),
        cmocka_unit_test(test_no_memory_for_a_request),
        cmocka_unit_test(test_no_memory_for_a_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
