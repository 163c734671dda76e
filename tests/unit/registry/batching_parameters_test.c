/* TF Serving's batching parameters. */
// covers: registry/batching_parameters registry/pbtxt_tree
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "harness/config_rig.h"
#include "registry/batching_parameters.h"

static struct tern_batching_parameters parameters;

static const char *mistakes(struct config_rig *w, const char *text)
{
    tern_problem_init(&w->problems, &w->arena);
    tern_batching_parameters_read(tern_str_of(text), TERN_STR("b.pbtxt"), &w->arena, &parameters,
                                  &w->problems);
    return config_rig_said(w);
}

static void test_what_is_left_out_is_as_there(void **state)
{
    struct config_rig *w = *state;
    assert_string_equal(mistakes(w, ""), "");
    assert_int_equal(parameters.max_rows, 1000);
    assert_int_equal(parameters.delay_ns, 0);
    assert_int_equal(parameters.max_queue_size, 10000);
    assert_int_equal(parameters.threads, 0);
    assert_int_equal(parameters.n_allowed, 0);
    assert_false(tern_batching_parameters_need_queue(&parameters));
    assert_false(tern_batching_parameters_need_queue(NULL));
}

static void test_every_field(void **state)
{
    struct config_rig *w = *state;
    assert_string_equal(
        mistakes(w, "max_batch_size { value: 32 } batch_timeout_micros { value: 500 }\n"
                    "max_enqueued_batches { value: 4 } num_batch_threads { value: 2 }\n"
                    "thread_pool_name { value: 'a' } pad_variable_length_inputs: true\n"
                    "allowed_batch_sizes: 8 allowed_batch_sizes: 16 allowed_batch_sizes: 32"),
        "");
    assert_int_equal(parameters.max_rows, 32);
    assert_int_equal(parameters.delay_ns, 500000);
    assert_int_equal(parameters.max_queue_size, 128);
    assert_int_equal(parameters.threads, 2);
    assert_int_equal(parameters.n_allowed, 3);
    assert_int_equal(parameters.allowed[1], 16);
    assert_true(tern_batching_parameters_need_queue(&parameters));
}

static void test_large_requests_are_not_cut(void **state)
{
    static const char split[] =
        "max_batch_size { value: 100 } max_execution_batch_size { value: 10 } "
        "allowed_batch_sizes: [5, 10] ";
    struct config_rig *w = *state;
    char text[256] = "enable_large_batch_splitting { value: true } ";
    assert_string_equal(mistakes(w, strcat(text, split)), "");
    assert_int_equal(parameters.max_rows, 10);
    assert_non_null(strstr(mistakes(w, split), "the largest batch (100), got 10"));
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"max_batch_size { value: 0 }", "max_batch_size: expected a number from 1 to 2147483647"},
        {"max_batch_size { }", "got \"\""},
        {"max_batch_size { value: 2147483648 }", "got \"2147483648\""},
        {"batch_timeout_micros { value: -1 }", "batch_timeout_micros: expected a number from 0"},
        {"batch_timeout_micros { value: 18446744073709552 }", "got \"18446744073709552\""},
        {"max_enqueued_batches { value: 0 }", "max_enqueued_batches: expected a number from 1"},
        {"num_batch_threads { value: 1025 }",
         "num_batch_threads: expected a number from 1 to 1024"},
        {"max_batch_size { value: 4 } allowed_batch_sizes: [4, 2]", "more than the one before (4)"},
        {"max_batch_size { value: 4 } allowed_batch_sizes: 2", "the largest batch (4), got 2"},
        {"allowed_batch_sizes: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,"
         "26,27,28,29,30,31,32,33]",
         "allowed_batch_sizes: more than 32"},
        {"max_batchsize { value: 4 }", "unknown field \"max_batchsize\""},
        {"max_batch_size {", "b.pbtxt:1:"},
    };
    struct config_rig *w = *state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        const char *said = mistakes(w, rows[i].text);
        if (strstr(said, rows[i].said) == NULL)
            fail_msg("%s: got %s", rows[i].text, said);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, config_rig_setup, config_rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_left_out_is_as_there),
        TEST(test_every_field),
        TEST(test_large_requests_are_not_cut),
        TEST(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
