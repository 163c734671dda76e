/* Warm-up against an engine that writes down what it was asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "harness/tree.h"
#include "registry/warmup.h"

static struct tern_err err;
static char asked[512]; /* one line a run: name, shape and bytes of each input */
static int runs, fail_at;

static enum tern_code infer(const struct tern_engine_model *model, void *instance,
                            const struct tern_engine_run *run, struct tern_err *ret_err)
{
    char shape[64];
    size_t n = 0;

    (void)model, (void)instance;
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        const struct tern_tensor *input = &run->inputs[i];
        n +=
            (size_t)snprintf(asked + n, sizeof(asked) - n, "%.*s%s:%zu ", TERN_STR_ARG(input->name),
                             tern_shape_print(&input->shape, shape, sizeof(shape)), input->n_bytes);
        assert_true(tern_str_eq(model->inputs[run->input_spec[i]].name, input->name));
    }
    assert_int_equal(run->n_outputs, 1);
    return ++runs == fail_at ? tern_fail(ret_err, TERN_INTERNAL, "no") : TERN_OK;
}

static const struct tern_engine_ops ops = {.infer = infer};
static struct tern_tensor_spec inputs[] = {
    {.name = {"x", 1}, .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 4}}},
    {.name = {"text", 4}, .dtype = TERN_DTYPE_BYTES, .shape = {1, {-1}}},
    {.name = {"more", 4}, .dtype = TERN_DTYPE_FP32, .shape = {1, {-1}}, .optional = true}};
static struct tern_tensor_spec outputs[] = {{.name = {"y", 1}}};
static const struct tern_engine_model engine = {
    .ops = &ops, .inputs = inputs, .n_inputs = 3, .outputs = outputs, .n_outputs = 1};

static void reset(int at)
{
    asked[0] = '\0';
    runs = 0;
    fail_at = at;
}

static void test_timing_runs_zeros_of_the_smallest_shape(void **state)
{
    uint64_t best = 0, units = 0;

    (void)state;
    reset(0);
    assert_int_equal(tern_warmup_time(&engine, NULL, &best, &units, &err), TERN_OK);
    assert_string_equal(asked, "x[1,4]:16 text[1]:4 ");
    assert_int_equal(units, 4 + 4);
    assert_true(best > 0 && runs > 1);
    reset(2);
    assert_int_equal(tern_warmup_time(&engine, NULL, &best, &units, &err), TERN_INTERNAL);
    assert_int_equal(runs, 2);
}

static enum tern_code run_sample(struct tern_config_warmup_input *input, uint64_t batch_size,
                                 const char *folder)
{
    struct tern_config_warmup sample = {.name = TERN_STR("s"),
                                        .batch_size = batch_size,
                                        .count = 3,
                                        .inputs = input,
                                        .n_inputs = 1};
    const struct tern_model_config config = {.warmup = &sample, .n_warmup = 1};

    return tern_warmup_samples(&engine, NULL, &config, folder, &err);
}

static void test_samples_run_as_often_as_they_say(void **state)
{
    struct tern_config_warmup_input input = {.name = TERN_STR("x"),
                                             .dtype = TERN_DTYPE_FP32,
                                             .dims = {1, {4}},
                                             .source = TERN_WARMUP_RANDOM};

    (void)state;
    reset(0);
    assert_int_equal(run_sample(&input, 2, "/nonexistent"), TERN_OK);
    assert_string_equal(asked, "x[2,4]:32 ");
    assert_int_equal(runs, 3);
    reset(2);
    assert_int_equal(run_sample(&input, 0, "/nonexistent"), TERN_INTERNAL);
    assert_string_equal(asked, "x[4]:16 ");
    assert_int_equal(runs, 2);
    assert_non_null(strstr(err.text, "warm-up sample 's'"));
    input.name = TERN_STR("z");
    assert_int_equal(run_sample(&input, 0, "/nonexistent"), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "no input 'z'"));
}

/* The model gets x as one dimension, and "more" says how many elements the request has. */
static void test_samples_of_a_model_that_gathers(void **state)
{
    struct tern_config_warmup_input input = {.name = TERN_STR("x"),
                                             .dtype = TERN_DTYPE_FP32,
                                             .dims = {1, {4}},
                                             .source = TERN_WARMUP_ZERO};
    struct tern_config_warmup sample = {
        .name = TERN_STR("s"), .batch_size = 2, .count = 1, .inputs = &input, .n_inputs = 1};
    const bool ragged[3] = {true};
    struct tern_batch_input made = {.dtype = TERN_DTYPE_INT32, .input = 2, .source = 0};
    struct tern_scheduling scheduling = {
        .gathers = true, .ragged = ragged, .batch_inputs = &made, .n_batch_inputs = 1};
    const struct tern_model_config config = {
        .warmup = &sample, .n_warmup = 1, .scheduling = &scheduling};

    (void)state;
    reset(0);
    assert_int_equal(tern_warmup_samples(&engine, NULL, &config, NULL, &err), TERN_OK);
    assert_int_equal(runs, 1);
    assert_string_equal(asked, "x[8]:32 more[1]:4 ");
    made.source = 1;
    assert_int_equal(tern_warmup_samples(&engine, NULL, &config, NULL, &err),
                     TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "input 'text' is missing"));
}

static void test_samples_from_files(void **state)
{
    struct tern_config_warmup_input input = {.name = TERN_STR("x"),
                                             .dtype = TERN_DTYPE_FP32,
                                             .dims = {1, {4}},
                                             .source = TERN_WARMUP_FILE,
                                             .file = TERN_STR("sixteen")};
    struct tree tree;

    (void)state;
    tree_init(&tree);
    tree_write(&tree, "warmup/sixteen", "0123456789abcdef");
    tree_write(&tree, "secret", "0123456789abcdef");
    reset(0);
    assert_int_equal(run_sample(&input, 1, tree.root), TERN_OK);
    assert_int_equal(run_sample(&input, 2, tree.root), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "has 16 bytes, input 'x' takes 32"));
    input.file = TERN_STR("../secret");
    assert_int_equal(run_sample(&input, 1, tree.root), TERN_INVALID_ARGUMENT);
    input.file = TERN_STR("missing");
    assert_int_equal(run_sample(&input, 1, tree.root), TERN_NOT_FOUND);
    input = (struct tern_config_warmup_input){.name = TERN_STR("text"),
                                              .dtype = TERN_DTYPE_BYTES,
                                              .dims = {1, {1}},
                                              .source = TERN_WARMUP_FILE,
                                              .file = TERN_STR("sixteen")};
    assert_int_equal(run_sample(&input, 0, tree.root), TERN_INVALID_ARGUMENT); /* no length */
    tree_fini(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timing_runs_zeros_of_the_smallest_shape),
        cmocka_unit_test(test_samples_run_as_often_as_they_say),
        cmocka_unit_test(test_samples_of_a_model_that_gathers),
        cmocka_unit_test(test_samples_from_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
