// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
/* Ensembles with steps that answer any number of times. */
// covers: sched/ensemble_flow
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/ensemble_rig.h"
#include "harness/mem_fails.h"

#define ANSWERS_MAX 64

/* Takes answers on the loop, as long as it has room. */
struct taker {
    struct tern_engine_sink base;
    uint32_t room;
    uint32_t n;
    float first[ANSWERS_MAX], second[ANSWERS_MAX]; /* of each output its first number */
    bool is_full;
    sem_t full; /* somebody was sent away */
};

struct fixture {
    struct ensemble_rig rig;
    struct taker taker;
    struct rig_request request;
};

static enum tern_code take(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                           uint32_t n, struct tern_err *err)
{
    struct taker *taker = TERN_CONTAINER_OF(self, struct taker, base);

    if (taker->n == taker->room) {
        if (!taker->is_full)
            sem_post(&taker->full);
        taker->is_full = true;
        return tern_fail(err, TERN_ABORTED, "full");
    }
    assert_true(n > 0 && taker->n < ANSWERS_MAX);
    memcpy(&taker->first[taker->n], outputs[0].data, sizeof(float));
    if (n > 1)
        memcpy(&taker->second[taker->n], outputs[1].data, sizeof(float));
    taker->n++;
    return TERN_OK;
}

static int setup(void **state)
{
    struct fixture *f = tern_mem_zalloc(1, sizeof(*f));

    assert_non_null(f);
    rig_init(&f->rig);
    rig_model(&f->rig, "d", "fake");
    rig_model(&f->rig, "slow", "fake slow");
    rig_model(&f->rig, "gated", "fake gated slow");
    rig_model(&f->rig, "failing", "fake failing slow");
    rig_model(&f->rig, "many", "fake");
    rig_config(&f->rig, "many", "model_transaction_policy { decoupled: true }\n");
    rig_config(&f->rig, "join", RIG_IDENTITY);
    f->taker.base.offer = take;
    f->taker.room = ANSWERS_MAX;
    sem_init(&f->taker.full, 0, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    rig_close(&f->rig);
    sem_destroy(&f->taker.full);
    tern_mem_free(f);
    return 0;
}

/* "many" then answers 0, 1, ... n - 1, each of a shape that the others take. */
static struct rig_request *ask_for(struct fixture *f, uint32_t n)
{
    struct rig_request *r = &f->request;
    uint64_t timeout_ns = r->timeout_ns;

    rig_request_init(r, &f->rig, "e");
    r->timeout_ns = timeout_ns;
    r->data[0] = (float)n;
    r->data[1] = 0;
    r->data[2] = 1;
    r->sink = &f->taker.base;
    rig_submit(r);
    return r;
}

static void make_room_on_loop(void *arg)
{
    struct taker *taker = arg;

    taker->is_full = false;
    taker->room++;
    if (taker->base.on_room != NULL)
        taker->base.on_room(&taker->base);
}

static void each_answer_starts_what_is_behind(void **state)
{
    struct fixture *f = *state;

    rig_config(
        &f->rig, "e",
        RIG_1_TO_1(RIG_STEP("slow", "m", "s") RIG_STEP("d", "s", "y") RIG_STEP("many", "x", "m")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    for (uint32_t n = 0; n < 40; n += 13) {
        f->taker.n = 0;
        atomic_store(&f->rig.n_steps, 0);
        assert_int_equal(rig_wait(ask_for(f, n)), TERN_OK);
        assert_int_equal(f->request.n_done, 1);
        assert_int_equal(f->taker.n, n);
        for (uint32_t i = 0; i < n; i++)
            assert_true(f->taker.first[i] == (float)(4 * i)); /* in order */
        assert_int_equal(f->rig.n_steps, 2 * n + 1);
        rig_request_fini(&f->request);
    }
}

/* What was made once is there for all, even where it takes longer. */
static void answers_are_joined_with_what_there_is_once(void **state)
{
    struct fixture *f = *state;

    rig_config(&f->rig, "e",
               RIG_1_TO_2(RIG_STEP("many", "x", "m") RIG_STEP("slow", "x", "a")
                              RIG_STEP("slow", "a", "b") RIG_JOIN("b", "m", "y", "z")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    assert_int_equal(rig_wait(ask_for(f, 5)), TERN_OK);
    assert_int_equal(f->taker.n, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_true(f->taker.first[i] == 20 && f->taker.second[i] == (float)i);
    rig_request_fini(&f->request);
}

static void tensors_of_both_kinds_go_out(void **state)
{
    struct fixture *f = *state;

    rig_config(&f->rig, "e", RIG_1_TO_2(RIG_STEP("many", "x", "y") RIG_STEP("slow", "x", "z")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    assert_int_equal(rig_wait(ask_for(f, 3)), TERN_OK);
    assert_int_equal(f->taker.n, 3);
    assert_true(f->taker.first[2] == 2 && f->taker.second[2] == 6);
    rig_request_fini(&f->request);
}

static void what_nobody_wants_does_not_answer(void **state)
{
    struct fixture *f = *state;
    struct rig_request *r = &f->request;

    rig_config(&f->rig, "e", RIG_1_TO_2(RIG_STEP("many", "x", "y") RIG_STEP("slow", "x", "z")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    rig_request_init(r, &f->rig, "e");
    r->outputs[0] = "z";
    r->sink = &f->taker.base;
    rig_submit(r);
    assert_int_equal(rig_wait(r), TERN_OK);
    assert_int_equal(f->taker.n, 1);
    assert_int_equal(f->rig.n_steps, 1);
    assert_true(f->taker.first[0] == 2);
    rig_request_fini(r);
}

static void answers_that_answer_any_number_of_times(void **state)
{
    struct fixture *f = *state;
    float sum = 0;

    rig_config(&f->rig, "e",
               RIG_1_TO_1(RIG_STEP("many", "x", "m") RIG_STEP("many", "m", "n")
                              RIG_STEP("slow", "n", "y")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    assert_int_equal(rig_wait(ask_for(f, 4)), TERN_OK);
    assert_int_equal(f->taker.n, 0 + 1 + 2 + 3);
    for (uint32_t i = 0; i < f->taker.n; i++)
        sum += f->taker.first[i];
    assert_true(sum == 2 * (0 + (0 + 1) + (0 + 1 + 2)));
    rig_request_fini(&f->request);
}

static void ensembles_in_ensembles(void **state)
{
    struct fixture *f = *state;

    rig_config(&f->rig, "inner", RIG_1_TO_1(RIG_STEP("many", "x", "m") RIG_STEP("d", "m", "y")));
    rig_config(
        &f->rig, "e",
        "platform: 'ensemble' input " RIG_FLOAT("x") " output " RIG_FLOAT(
            "y") " ensemble_scheduling { max_inflight_requests: 2\n" RIG_STEP("inner", "x", "a")
            RIG_STEP("slow", "a", "y") "}\n");
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    assert_int_equal(rig_wait(ask_for(f, 30)), TERN_OK);
    assert_int_equal(f->taker.n, 30);
    for (uint32_t i = 0; i < 30; i++)
        assert_true(f->taker.first[i] == (float)(4 * i));
    rig_request_fini(&f->request);
}

#define BOUNDED(steps)                                                                            \
    "platform: 'ensemble' input " RIG_FLOAT("x") " output " RIG_FLOAT(                            \
        "y") " ensemble_scheduling { max_inflight_requests: 2\n" RIG_STEP("many", "x", "m") steps \
        "}\n"

/* A client that takes nothing holds the model: no more flows are begun than may be in flight. */
static void who_answers_too_fast_waits(void **state)
{
    struct fixture *f = *state;

    rig_config(&f->rig, "e", BOUNDED(RIG_STEP("d", "m", "y")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    f->taker.room = 0;
    ask_for(f, 20);
    for (uint32_t i = 0; i < 20; i++) {
        sem_wait(&f->taker.full);
        assert_int_equal(f->taker.n, i);
        assert_true(atomic_load(&f->rig.n_steps) <= i + 2 + (i + 2 >= 20));
        loop_thread_call(&f->rig.lt, make_room_on_loop, &f->taker);
    }
    assert_int_equal(rig_wait(&f->request), TERN_OK);
    for (uint32_t i = 0; i < 20; i++)
        assert_true(f->taker.first[i] == (float)(2 * i));
    rig_request_fini(&f->request);
}

static void an_error_in_one_flow_ends_all(void **state)
{
    struct fixture *f = *state;

    rig_config(&f->rig, "e", BOUNDED(RIG_STEP("failing", "m", "y")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    assert_int_equal(rig_wait(ask_for(f, 1000000)), TERN_INTERNAL); /* it is told to stop */
    assert_int_equal(f->request.n_done, 1);
    assert_string_equal(f->request.err.text, "in ensemble 'e', this model fails on purpose");
    rig_request_fini(&f->request);
}

static void cancelled_while_flows_run(void **state)
{
    struct fixture *f = *state;

    rig_config(&f->rig, "e", BOUNDED(RIG_STEP("gated", "m", "y")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    fake_engine_gate(true);
    ask_for(f, 1000000);
    fake_engine_wait_entered(1);
    rig_cancel(&f->request);
    rig_cancel(&f->request);
    fake_engine_gate(false);
    assert_int_equal(rig_wait(&f->request), TERN_CANCELLED);
    assert_int_equal(f->request.n_done, 1);
    assert_non_null(strstr(f->request.err.text, "the client went away"));
    rig_request_fini(&f->request);
}

static void cancelled_while_answers_wait(void **state)
{
    struct fixture *f = *state;

    rig_config(&f->rig, "inner", BOUNDED(RIG_STEP("d", "m", "y")));
    rig_config(&f->rig, "e", RIG_1_TO_1(RIG_STEP("inner", "x", "a") RIG_STEP("d", "a", "y")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    f->taker.room = 1;
    ask_for(f, 1000000);
    sem_wait(&f->taker.full);
    rig_cancel(&f->request);
    assert_int_equal(rig_wait(&f->request), TERN_CANCELLED);
    assert_int_equal(f->taker.n, 1);
    assert_null(f->taker.base.on_room);
    rig_request_fini(&f->request);
}

static void late_while_answers_wait(void **state)
{
    struct fixture *f = *state;

    rig_config(&f->rig, "e", BOUNDED(RIG_STEP("d", "m", "y")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    f->taker.room = 0;
    f->request.timeout_ns = 50 * TERN_NS_PER_MS;
    assert_int_equal(rig_wait(ask_for(f, 1)), TERN_DEADLINE_EXCEEDED);
    rig_request_fini(&f->request);
}

static void without_a_place_for_many(void **state)
{
    struct fixture *f = *state;
    struct rig_request r;

    rig_config(&f->rig, "e", RIG_1_TO_1(RIG_STEP("many", "x", "y")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    rig_request_init(&r, &f->rig, "e");
    rig_submit(&r);
    assert_int_equal(rig_wait(&r), TERN_UNIMPLEMENTED);
    assert_non_null(strstr(r.err.text, "'e' answers any number of times"));
    rig_request_fini(&r);
}

static void each_call_for_memory_may_fail(void **state)
{
    struct fixture *f = *state;
    enum tern_code code = TERN_RESOURCE_EXHAUSTED;
    long failures = 0;

    rig_config(&f->rig, "e",
               RIG_1_TO_1(RIG_STEP("many", "x", "m") RIG_STEP("many", "m", "n")
                              RIG_STEP("slow", "n", "y")));
    rig_open(&f->rig, TERN_REGISTRY_NONE);
    for (long at = 0; code != TERN_OK; at++) {
        f->taker.n = 0;
        mem_calls = 0;
        mem_fail_at = at;
        ask_for(f, 3);
        code = rig_wait(&f->request);
        mem_fail_at = -1;
        assert_int_equal(f->request.n_done, 1);
        failures += code != TERN_OK;
        rig_request_fini(&f->request);
    }
    assert_true(failures > 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(each_answer_starts_what_is_behind),
        T(answers_are_joined_with_what_there_is_once),
        T(tensors_of_both_kinds_go_out),
        T(what_nobody_wants_does_not_answer),
        T(answers_that_answer_any_number_of_times),
        T(ensembles_in_ensembles),
        T(who_answers_too_fast_waits),
        T(an_error_in_one_flow_ends_all),
        T(cancelled_while_flows_run),
        T(cancelled_while_answers_wait),
        T(late_while_answers_wait),
        T(without_a_place_for_many),
        T(each_call_for_memory_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
