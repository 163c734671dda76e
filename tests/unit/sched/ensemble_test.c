// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
/* Requests to ensembles, over a real registry, loop and executors. */
// covers: sched/ensemble_pool
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/ensemble_rig.h"
#include "harness/mem_fails.h"

static int setup(void **state)
{
    struct ensemble_rig *rig = tern_mem_zalloc(1, sizeof(*rig));

    assert_non_null(rig);
    rig_init(rig);
    rig_model(rig, "d", "fake");
    rig_model(rig, "slow", "fake slow");
    rig_model(rig, "gated", "fake gated slow");
    rig_model(rig, "failing", "fake failing slow");
    rig_config(rig, "join", RIG_IDENTITY);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct ensemble_rig *rig = *state;

    rig_close(rig);
    tern_mem_free(rig);
    return 0;
}

static struct rig_request *ask(struct rig_request *request, struct ensemble_rig *rig)
{
    rig_request_init(request, rig, "e");
    rig_submit(request);
    return request;
}

static void steps_follow_each_other(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;

    rig_config(rig, "e",
               RIG_1_TO_1(RIG_STEP("d", "b", "y") RIG_STEP("d", "a", "b") RIG_STEP("d", "x", "a")));
    rig_open(rig, TERN_REGISTRY_NONE);
    assert_int_equal(rig_wait(ask(&r, rig)), TERN_OK);
    assert_int_equal(r.n_done, 1);
    assert_true(rig_value(&r, 0, 2) == 24);
    assert_true(tern_str_eq(r.output[0].name, TERN_STR("y")));
    assert_int_equal(rig->n_steps, 3);
    rig_request_fini(&r);
}

#define DIAMOND(left, right)                                                              \
    RIG_1_TO_2(RIG_STEP("d", "x", "a") RIG_STEP(left, "a", "b") RIG_STEP(right, "a", "c") \
                   RIG_JOIN("b", "c", "y", "z"))

static void steps_that_do_not_depend_on_each_other_run_together(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;

    rig_config(rig, "e", DIAMOND("gated", "gated"));
    rig_open(rig, TERN_REGISTRY_NONE);
    fake_engine_gate(true);
    ask(&r, rig);
    fake_engine_wait_entered(2); /* or this would wait for ever: both are in their run */
    fake_engine_open(2);
    assert_int_equal(rig_wait(&r), TERN_OK);
    assert_true(rig_value(&r, 0, 0) == 4 && rig_value(&r, 1, 3) == 16);
    rig_request_fini(&r);
}

static void one_tensor_goes_to_several_and_out(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;

    rig_config(rig, "e",
               RIG_1_TO_2(RIG_STEP("slow", "x", "y") RIG_JOIN("y", "y", "p", "q")
                              RIG_STEP("d", "p", "z") RIG_STEP("d", "q", "unused")));
    rig_open(rig, TERN_REGISTRY_NONE);
    assert_false(rig_see(rig, "e").served); /* nobody takes "unused" */
    loop_thread_call(&rig->lt, rig_look_on_loop, &(struct rig_look){.rig = rig, .name = "e"});
    assert_non_null(strstr(rig_see(rig, "e").reason, "ensemble tensor 'unused' is unused"));
    rig_close(rig);

    setup(state);
    tern_mem_free(rig);
    rig = *state;
    rig_config(rig, "e", RIG_1_TO_2(RIG_STEP("slow", "x", "y") RIG_STEP("d", "y", "z")));
    rig_open(rig, TERN_REGISTRY_NONE);
    assert_int_equal(rig_wait(ask(&r, rig)), TERN_OK);
    assert_true(rig_value(&r, 0, 0) == 2 && rig_value(&r, 1, 0) == 4);
    rig_request_fini(&r);
}

static void what_nobody_wants_is_not_run(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;

    rig_config(
        rig, "e",
        RIG_1_TO_2(RIG_STEP("d", "x", "y") RIG_STEP("d", "x", "a") RIG_STEP("failing", "a", "z")));
    rig_open(rig, TERN_REGISTRY_NONE);
    rig_request_init(&r, rig, "e");
    r.outputs[0] = "y";
    rig_submit(&r);
    assert_int_equal(rig_wait(&r), TERN_OK);
    assert_int_equal(rig->n_steps, 1);
    rig_request_fini(&r);
    assert_int_equal(rig_wait(ask(&r, rig)), TERN_INTERNAL);
    rig_request_fini(&r);
}

static void an_error_in_one_branch_is_told_when_all_are_back(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;

    rig_config(rig, "e", DIAMOND("gated", "failing"));
    rig_open(rig, TERN_REGISTRY_NONE);
    fake_engine_gate(true);
    ask(&r, rig);
    fake_engine_wait_entered(1);
    fake_engine_open(1);
    assert_int_equal(rig_wait(&r), TERN_INTERNAL);
    assert_int_equal(r.n_done, 1);
    assert_string_equal(r.err.text, "in ensemble 'e', this model fails on purpose");
    rig_request_fini(&r);
}

static void cancelled_while_two_steps_run(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;

    rig_config(rig, "e", DIAMOND("gated", "gated"));
    rig_open(rig, TERN_REGISTRY_NONE);
    fake_engine_gate(true);
    ask(&r, rig);
    fake_engine_wait_entered(2);
    rig_cancel(&r);
    rig_cancel(&r);
    assert_int_equal(r.n_done, 0);
    fake_engine_open(2);
    assert_int_equal(rig_wait(&r), TERN_CANCELLED);
    assert_int_equal(r.n_done, 1);
    assert_non_null(strstr(r.err.text, "the client went away"));
    rig_request_fini(&r);
}

/* Of an ensemble of two steps the first is held until the request's time is over. */
static enum tern_code outlast(struct ensemble_rig *rig, struct rig_request *r, uint64_t timeout_ns,
                              uint64_t wait_ns)
{
    rig_config(rig, "e", RIG_1_TO_1(RIG_STEP("gated", "x", "a") RIG_STEP("d", "a", "y")));
    rig_open(rig, TERN_REGISTRY_NONE);
    fake_engine_gate(true);
    rig_request_init(r, rig, "e");
    r->timeout_ns = timeout_ns;
    r->wait_ns = wait_ns;
    rig_submit(r);
    fake_engine_wait_entered(1);
    uint64_t end_ns = tern_clock_mono_ns() + timeout_ns + wait_ns;
    while (tern_clock_mono_ns() <= end_ns)
        ;
    fake_engine_open(1);
    return rig_wait(r);
}

static void no_step_starts_after_the_deadline(void **state)
{
    struct rig_request r;

    assert_int_equal(outlast(*state, &r, 50 * TERN_NS_PER_MS, 0), TERN_DEADLINE_EXCEEDED);
    assert_non_null(strstr(r.err.text, "in ensemble 'e', "));
    rig_request_fini(&r);
}

/* A bound of the wait where the step's configuration knows one, else a deadline. */
static void a_timeout_is_what_it_is_for_the_step(void **state)
{
    struct rig_request r;

    assert_int_equal(outlast(*state, &r, 0, 50 * TERN_NS_PER_MS), TERN_DEADLINE_EXCEEDED);
    rig_request_fini(&r);
}

static void shapes_that_only_a_run_shows(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;

    rig_config(rig, "join",
               "backend: 'identity' "
               "input [ { name: 'x' data_type: TYPE_FP32 dims: [ -1, -1 ] } ] "
               "output [ { name: 'x' data_type: TYPE_FP32 dims: [ -1, -1 ] } ]\n");
    rig_config(rig, "e",
               RIG_ENSEMBLE(
                   "input { name: 'x' data_type: TYPE_FP32 dims: [ -1, -1 ] }\n",
                   "output " RIG_FLOAT("y") "\n",
                   "step { model_name: 'join' model_version: -1 input_map { key: 'x' "
                   "value: 'x' } output_map { key: 'x' value: 'a' } }\n" RIG_STEP("d", "a", "y")));
    rig_open(rig, TERN_REGISTRY_NONE);
    rig_request_init(&r, rig, "e");
    r.shape = (struct tern_shape){2, {2, 2}};
    rig_submit(&r);
    assert_int_equal(rig_wait(&r), TERN_INVALID_ARGUMENT);
    assert_string_equal(r.err.text,
                        "in ensemble 'e', unexpected shape for input 'x' for model 'd'. "
                        "Expected [-1,4], got [2,2]");
    rig_request_fini(&r);
}

/* A batch of one is an item for a model without batches, and the other way round. */
static void batches_meet_models_without(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;

    rig_config(rig, "item",
               "backend: 'identity' "
               "input [ { name: 'x' data_type: TYPE_FP32 dims: [ 4 ] } ] "
               "output [ { name: 'y' data_type: TYPE_FP32 dims: [ 4 ] } ]\n");
    rig_config(rig, "d", "max_batch_size: 8\n");
    rig_config(rig, "e",
               "max_batch_size: 8\n" RIG_ENSEMBLE(
                   "input { name: 'x' data_type: TYPE_FP32 dims: [ 4 ] }\n",
                   "output { name: 'y' data_type: TYPE_FP32 dims: [ 4 ] }\n",
                   RIG_STEP("d", "x", "a") RIG_STEP("item", "a", "b") RIG_STEP("d", "b", "c")
                       RIG_STEP("item", "c", "y")));
    rig_open(rig, TERN_REGISTRY_NONE);
    assert_string_equal(rig_see(rig, "e").reason, "");
    assert_int_equal(rig_wait(ask(&r, rig)), TERN_OK);
    assert_int_equal(r.output[0].shape.rank, 2);
    assert_int_equal(r.output[0].shape.dim[0], 1);
    assert_true(rig_value(&r, 0, 3) == 16);
    rig_request_fini(&r);
}

static void ensembles_in_ensembles(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;

    rig_config(rig, "inner", RIG_1_TO_1(RIG_STEP("slow", "x", "a") RIG_STEP("d", "a", "y")));
    rig_config(rig, "bad", RIG_1_TO_1(RIG_STEP("d", "x", "a") RIG_STEP("failing", "a", "y")));
    rig_config(rig, "e", RIG_1_TO_1(RIG_STEP("inner", "x", "a") RIG_STEP("inner", "a", "y")));
    rig_config(rig, "f", RIG_1_TO_1(RIG_STEP("inner", "x", "a") RIG_STEP("bad", "a", "y")));
    rig_open(rig, TERN_REGISTRY_NONE);
    assert_int_equal(rig_wait(ask(&r, rig)), TERN_OK);
    assert_true(rig_value(&r, 0, 0) == 16);
    rig_request_fini(&r);
    rig_request_init(&r, rig, "f");
    rig_submit(&r);
    assert_int_equal(rig_wait(&r), TERN_INTERNAL);
    assert_string_equal(r.err.text,
                        "in ensemble 'f', in ensemble 'bad', this model fails on purpose");
    rig_request_fini(&r);
}

/* What a request began with it ends with, whatever is unloaded meanwhile. */
static void steps_stay_while_a_request_needs_them(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;
    struct rig_wish wish = {
        .command = {.verb = TERN_REGISTRY_UNLOAD, .name = "slow", .on_done = rig_on_command_done}};

    rig_config(rig, "inner", RIG_1_TO_1(RIG_STEP("slow", "x", "y")));
    rig_config(rig, "e", RIG_1_TO_1(RIG_STEP("gated", "x", "a") RIG_STEP("inner", "a", "y")));
    rig_open(rig, TERN_REGISTRY_EXPLICIT);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "e", false, NULL), TERN_OK);
    fake_engine_gate(true);
    ask(&r, rig);
    fake_engine_wait_entered(1);
    sem_init(&wish.done, 0, 0);
    tern_registry_submit(rig->registry, &wish.command);
    while (rig_see(rig, "e").served)
        ;
    assert_string_equal(rig_see(rig, "inner").reason,
                        "ensemble 'inner' depends on 'slow' which has no loaded version");
    assert_int_not_equal(sem_trywait(&wish.done), 0); /* it is still held */
    fake_engine_open(1);
    assert_int_equal(rig_wait(&r), TERN_OK);
    sem_wait(&wish.done);
    sem_destroy(&wish.done);
    assert_int_equal(wish.command.code, TERN_OK);
    rig_request_fini(&r);
    assert_int_equal(rig_wait(ask(&r, rig)), TERN_NOT_FOUND);
    rig_request_fini(&r);
}

/* ---- memory ---- */

static void in_a_steady_stream_nothing_is_allocated(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;

    rig_config(rig, "e", DIAMOND("slow", "d"));
    rig_open(rig, TERN_REGISTRY_NONE);
    rig_request_init(&r, rig, "e");
    for (int i = 0; i < 4; i++) {
        mem_calls = 0;
        rig_submit(&r);
        assert_int_equal(rig_wait(&r), TERN_OK);
        tern_arena_reset(&r.arena);
    }
    assert_int_equal(mem_calls, 0);
    rig_request_fini(&r);
}

static void each_call_for_memory_may_fail(void **state)
{
    struct ensemble_rig *rig = *state;
    enum tern_code code = TERN_RESOURCE_EXHAUSTED;
    long failures = 0;

    rig_config(rig, "e", DIAMOND("slow", "d"));
    rig_open(rig, TERN_REGISTRY_NONE);
    for (long at = 0; code != TERN_OK; at++) {
        struct rig_request r;
        rig_request_init(&r, rig, "e");
        r.arena.first_size = 256; /* many calls */
        mem_calls = 0;
        mem_fail_at = at;
        rig_submit(&r);
        code = rig_wait(&r);
        mem_fail_at = -1;
        assert_int_equal(r.n_done, 1);
        failures += code != TERN_OK;
        rig_request_fini(&r);
    }
    assert_true(failures > 3);
}

/* The memory of steps outlives the ensemble when an answer still lies in it. */
static void an_answer_outlives_its_ensemble(void **state)
{
    struct ensemble_rig *rig = *state;
    struct rig_request r;

    rig_config(rig, "e", DIAMOND("slow", "d"));
    rig_open(rig, TERN_REGISTRY_EXPLICIT);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "e", false, NULL), TERN_OK);
    assert_int_equal(rig_wait(ask(&r, rig)), TERN_OK);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_UNLOAD, "e", true, NULL), TERN_OK);
    assert_true(rig_value(&r, 0, 0) == 4);
    rig_request_fini(&r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(steps_follow_each_other),
        T(steps_that_do_not_depend_on_each_other_run_together),
        T(one_tensor_goes_to_several_and_out),
        T(what_nobody_wants_is_not_run),
        T(an_error_in_one_branch_is_told_when_all_are_back),
        T(cancelled_while_two_steps_run),
        T(no_step_starts_after_the_deadline),
        T(a_timeout_is_what_it_is_for_the_step),
        T(shapes_that_only_a_run_shows),
        T(batches_meet_models_without),
        T(ensembles_in_ensembles),
        T(steps_stay_while_a_request_needs_them),
        T(in_a_steady_stream_nothing_is_allocated),
        T(each_call_for_memory_may_fail),
        T(an_answer_outlives_its_ensemble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
