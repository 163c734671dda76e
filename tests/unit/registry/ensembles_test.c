/* Models that are made of others: what is refused, and how they come and go. */
// covers: registry/ensembles registry/ensembling registry/binding
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/ensemble_rig.h"

static int setup(void **state)
{
    struct ensemble_rig *rig = tern_mem_zalloc(1, sizeof(*rig));

    assert_non_null(rig);
    rig_init(rig);
    rig_model(rig, "d", "fake");
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

static void expect_reason(struct ensemble_rig *rig, const char *name, const char *reason)
{
    struct rig_look look = rig_see(rig, name);

    if (strstr(look.reason, reason) == NULL)
        print_message("%s: %s\n", name, look.reason);
    assert_non_null(strstr(look.reason, reason));
    assert_int_equal(look.state, TERN_MODEL_UNAVAILABLE);
    assert_false(look.served);
}

/* ---- what cannot be served ---- */

struct wrong {
    const char *config, *reason;
};

/* Seen without the models. */
static const struct wrong wrong_plans[] = {
    {RIG_1_TO_1(""), "must specify 'step' for ensemble"},
    {"platform: 'ensemble'\n", "must specify 'step' for ensemble"},
    {"platform: 'fake_fake' input " RIG_FLOAT("x") " output " RIG_FLOAT(
         "y") " ensemble_scheduling { " RIG_STEP("d", "x", "y") " }",
     "whose platform is not ensemble"},
    {RIG_1_TO_1("step { model_name: 'd' }"), "must specify 'input_map' in step 0"},
    {RIG_1_TO_1("step { model_name: 'd' input_map { key: 'x' value: 'x' } }"),
     "must specify 'output_map' in step 0"},
    {RIG_1_TO_1("step { input_map { key: 'x' value: 'x' } output_map { key: 'y' value: 'y' } }"),
     "must specify 'model_name' in step 0"},
    {RIG_1_TO_1(RIG_STEP("d", "x", "y") RIG_STEP("d", "x", "y")),
     "ensemble tensor 'y' can appear in an output map only once"},
    {RIG_1_TO_1(RIG_STEP("d", "x", "y") RIG_STEP("d", "y", "x")),
     "ensemble tensor 'x' can appear in an output map only once"},
    {RIG_1_TO_1(RIG_STEP("d", "x", "a")), "output 'y' for ensemble '' is not written"},
    {RIG_1_TO_1(RIG_STEP("d", "a", "y")), "ensemble input 'x' for ensemble '' is not used"},
    {RIG_1_TO_1(RIG_JOIN("x", "ghost", "y", "b")),
     "ensemble tensor 'ghost' of ensemble '' is not connected"},
    {RIG_1_TO_1(RIG_JOIN("x", "x", "y", "b")), "ensemble tensor 'b' is unused"},
    {RIG_1_TO_1(RIG_JOIN("x", "b", "y", "a") RIG_STEP("d", "a", "b")),
     "step 0 of ensemble '' (model 'join') waits for itself"},
    {"instance_group { count: 1 }\n" RIG_1_TO_1(RIG_STEP("d", "x", "y")),
     "instance group should not be specified for ensemble"},
    {RIG_1_TO_1("step { model_name: 'd' model_version: -2 input_map { key: 'x' value: 'x' } "
                "output_map { key: 'y' value: 'y' } }"),
     "model_version: expected a version, or -1"},
    {RIG_1_TO_1("step { model_name: 'd' model_version: -1 input_map { key: 'x' value: 'x' } "
                "input_map { key: 'x' value: 'z' } output_map { key: 'y' value: 'y' } }"),
     "x"},
    {"platform: 'ensemble' input { name: 'x' } output " RIG_FLOAT(
         "y") " ensemble_scheduling { " RIG_STEP("d", "x", "y") " }",
     "input \"x\" of an ensemble needs data_type and dims"},
};

/* Seen against the models. */
static const struct wrong wrong_fits[] = {
    {RIG_1_TO_1(RIG_STEP("ghost", "x", "y")), "depends on 'ghost' which has no loaded version"},
    {RIG_1_TO_1("step { model_name: 'd' model_version: 7 input_map { key: 'x' value: 'x' } "
                "output_map { key: 'y' value: 'y' } }"),
     "depends on 'd' whose required version 7 is not loaded"},
    {RIG_1_TO_1("step { model_name: 'd' model_version: 1 input_map { key: 'u' value: 'x' } "
                "output_map { key: 'y' value: 'y' } }"),
     "ensemble tensor x is mapping to non-existing input u in model d"},
    {RIG_1_TO_1("step { model_name: 'd' model_version: 1 input_map { key: 'x' value: 'x' } "
                "output_map { key: 'v' value: 'y' } }"),
     "ensemble tensor y is mapped from non-existing output v in model d"},
    {RIG_1_TO_1("step { model_name: 'join' model_version: -1 input_map { key: 'a' value: 'x' } "
                "output_map { key: 'a' value: 'y' } }"),
     "input b in model join is not mapped to any ensemble tensors"},
    {RIG_ENSEMBLE("input { name: 'x' data_type: TYPE_INT32 dims: [ -1, 4 ] }",
                  "output " RIG_FLOAT("y"), RIG_STEP("d", "x", "y")),
     "ensemble tensor x: inconsistent data type: INT32 is inferred from model e while FP32 is "
     "inferred from model d"},
    {RIG_ENSEMBLE("input " RIG_FLOAT("x"), "output { name: 'y' data_type: TYPE_FP32 dims: [ 3 ] }",
                  RIG_STEP("d", "x", "y")),
     "ensemble tensor y: inconsistent shape: [3] is inferred from model e while [-1,4] is inferred "
     "from model d"},
    {"max_batch_size: 16\n" RIG_ENSEMBLE("input { name: 'x' data_type: TYPE_FP32 dims: [ 4 ] }",
                                         "output { name: 'y' data_type: TYPE_FP32 dims: [ 4 ] }",
                                         RIG_STEP("small", "x", "y")),
     "ensemble e allows maximum batch size 16, but it contains model small which only allows "
     "maximum batch size to be 8"},
    {RIG_1_TO_1(RIG_STEP("e", "x", "y")), "circular dependency between ensembles: 'e'"},
    {RIG_1_TO_1(RIG_STEP("back", "x", "y")), "circular dependency between ensembles: 'e'"},
    {RIG_1_TO_2(RIG_STEP("many", "x", "a") RIG_STEP("more", "x", "b") RIG_JOIN("a", "b", "y", "z")),
     "models 'many' and 'more' both answer any number of times, and neither takes from the other"},
};

static void try_all(struct ensemble_rig *rig, const struct wrong *rows, size_t n)
{
    rig_config(rig, "small", "max_batch_size: 8\n");
    rig_model(rig, "small", "fake");
    rig_config(rig, "many", "model_transaction_policy { decoupled: true }\n");
    rig_model(rig, "many", "fake");
    rig_config(rig, "more", "model_transaction_policy { decoupled: true }\n");
    rig_model(rig, "more", "fake");
    rig_config(rig, "back", RIG_1_TO_1(RIG_STEP("e", "x", "y")));
    rig_open(rig, TERN_REGISTRY_EXPLICIT);
    for (size_t i = 0; i < n; i++) {
        struct tern_err err;
        rig_config(rig, "e", rows[i].config);
        assert_int_not_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "e", false, &err), TERN_OK);
        if (strstr(err.text, rows[i].reason) == NULL)
            print_message("%zu: %s\n", i, err.text);
        assert_non_null(strstr(err.text, rows[i].reason));
        assert_false(rig_see(rig, "e").served);
    }
    rig_config(rig, "e", RIG_1_TO_1(RIG_STEP("d", "x", "y")));
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "e", false, NULL), TERN_OK);
    assert_true(rig_see(rig, "e").served);
}

static void plans_that_make_no_sense(void **state)
{
    try_all(*state, wrong_plans, TERN_COUNT_OF(wrong_plans));
}

static void plans_that_do_not_fit_the_models(void **state)
{
    try_all(*state, wrong_fits, TERN_COUNT_OF(wrong_fits));
}

/* ---- coming and going ---- */

static void all_at_once(void **state)
{
    struct ensemble_rig *rig = *state;

    /* By name the outer one comes first, and each waits for the next. */
    rig_config(rig, "a", RIG_1_TO_1(RIG_STEP("b", "x", "y")));
    rig_config(rig, "b", RIG_1_TO_1(RIG_STEP("c", "x", "y")));
    rig_config(rig, "c", RIG_1_TO_1(RIG_STEP("d", "x", "y")));
    rig_config(rig, "z", RIG_1_TO_1(RIG_STEP("ghost", "x", "y")));
    rig_open(rig, TERN_REGISTRY_NONE);
    assert_true(rig_see(rig, "a").served && rig_see(rig, "b").served && rig_see(rig, "c").served);
    expect_reason(rig, "z", "which has no loaded version");
}

static void at_most_eight_deep(void **state)
{
    struct ensemble_rig *rig = *state;
    char name[16] = "e0", text[1024];

    rig_config(rig, name, RIG_1_TO_1(RIG_STEP("d", "x", "y")));
    for (int i = 1; i <= 8; i++) {
        snprintf(text, sizeof(text),
                 RIG_1_TO_1("step { model_name: 'e%d' model_version: -1 input_map { key: 'x' "
                            "value: 'x' } output_map { key: 'y' value: 'y' } }"),
                 i - 1);
        snprintf(name, sizeof(name), "e%d", i & 15);
        rig_config(rig, name, text);
    }
    rig_open(rig, TERN_REGISTRY_NONE);
    assert_true(rig_see(rig, "e7").served);
    expect_reason(rig, "e8", "at most 8 deep");
}

static void a_load_brings_the_steps(void **state)
{
    struct ensemble_rig *rig = *state;

    rig_config(rig, "inner", RIG_1_TO_1(RIG_STEP("d", "x", "y")));
    rig_config(rig, "e", RIG_1_TO_1(RIG_STEP("inner", "x", "y")));
    rig_open(rig, TERN_REGISTRY_EXPLICIT);
    assert_false(rig_see(rig, "d").served);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "e", false, NULL), TERN_OK);
    assert_true(rig_see(rig, "e").served && rig_see(rig, "inner").served &&
                rig_see(rig, "d").served);
    assert_false(rig_see(rig, "join").served);
    /* Its steps stay when it goes, ... */
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_UNLOAD, "e", false, NULL), TERN_OK);
    assert_true(rig_see(rig, "inner").served && rig_see(rig, "d").served);
    /* ... unless the wish says otherwise. */
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "e", false, NULL), TERN_OK);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_UNLOAD, "e", true, NULL), TERN_OK);
    assert_false(rig_see(rig, "e").served || rig_see(rig, "inner").served ||
                 rig_see(rig, "d").served);
}

static void steps_that_others_need_stay(void **state)
{
    struct ensemble_rig *rig = *state;

    rig_model(rig, "own", "fake");
    rig_model(rig, "asked", "fake");
    rig_config(rig, "other", RIG_1_TO_1(RIG_STEP("d", "x", "y")));
    rig_config(
        rig, "e",
        RIG_1_TO_1(RIG_STEP("d", "x", "a") RIG_STEP("own", "a", "b") RIG_STEP("asked", "b", "y")));
    rig_open(rig, TERN_REGISTRY_EXPLICIT);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "asked", false, NULL), TERN_OK);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "other", false, NULL), TERN_OK);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "e", false, NULL), TERN_OK);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_UNLOAD, "e", true, NULL), TERN_OK);
    assert_true(rig_see(rig, "d").served && rig_see(rig, "asked").served);
    assert_false(rig_see(rig, "own").served);
}

static void a_step_that_goes_and_comes(void **state)
{
    struct ensemble_rig *rig = *state;

    rig_config(rig, "e", RIG_1_TO_1(RIG_STEP("d", "x", "y")));
    rig_open(rig, TERN_REGISTRY_EXPLICIT);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "e", false, NULL), TERN_OK);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_UNLOAD, "d", false, NULL), TERN_OK);
    expect_reason(rig, "e", "ensemble 'e' depends on 'd' which has no loaded version");
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "d", false, NULL), TERN_OK);
    assert_true(rig_see(rig, "e").served);
    assert_string_equal(rig_see(rig, "e").reason, "");
}

static void a_bad_new_plan_leaves_the_old_one(void **state)
{
    struct ensemble_rig *rig = *state;
    struct tern_err err;

    rig_config(rig, "e", RIG_1_TO_1(RIG_STEP("d", "x", "y")));
    rig_open(rig, TERN_REGISTRY_EXPLICIT);
    assert_int_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "e", false, NULL), TERN_OK);
    rig_config(rig, "e", RIG_1_TO_1(RIG_STEP("ghost", "x", "y")));
    assert_int_not_equal(rig_ask(rig, TERN_REGISTRY_LOAD, "e", false, &err), TERN_OK);
    assert_non_null(strstr(err.text, "load failed for model 'e'"));
    assert_non_null(strstr(err.text, "depends on 'ghost'"));
    assert_true(rig_see(rig, "e").served);
}

static void polling_finds_a_missing_step(void **state)
{
    struct ensemble_rig *rig = *state;

    rig_config(rig, "e", RIG_1_TO_1(RIG_STEP("late", "x", "y")));
    rig_open(rig, TERN_REGISTRY_POLL);
    expect_reason(rig, "e", "depends on 'late'");
    rig_model(rig, "late", "fake");
    while (!rig_see(rig, "e").served)
        ;
    tree_remove(&rig->tree, "repo/late");
    while (rig_see(rig, "e").served)
        ;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(plans_that_make_no_sense),
        T(plans_that_do_not_fit_the_models),
        T(all_at_once),
        T(at_most_eight_deep),
        T(a_load_brings_the_steps),
        T(steps_that_others_need_stay),
        T(a_step_that_goes_and_comes),
        T(a_bad_new_plan_leaves_the_old_one),
        T(polling_finds_a_missing_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
