/* How much work a request's inputs are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/inputs.h"

static void test_rows_are_those_of_the_first_dimension(void **state)
{
    static const struct tern_tensor_spec free_rows = {.shape = {2, {-1, 4}}};
    static const struct tern_tensor_spec fixed = {.shape = {2, {3, 4}}};
    const struct tern_model_info info = {.inputs = &free_rows, .n_inputs = 1};
    const struct tern_model_info no_batch = {.inputs = &fixed, .n_inputs = 1};
    struct tern_tensor input = {.shape = {2, {3, 4}}};

    (void)state;
    assert_int_equal(tern_inputs_rows(&info, &input, 1), 3);
    assert_int_equal(tern_inputs_rows(&info, &input, 0), 1);
    assert_int_equal(tern_inputs_rows(&no_batch, &input, 1), 1);
}

/* Rows of no elements cost nothing to send: [2^32 + 1, 0] is not one row. */
static void test_more_rows_than_can_be_counted_are_the_most(void **state)
{
    static const struct tern_tensor_spec spec = {.shape = {2, {-1, -1}}};
    const struct tern_model_info info = {.inputs = &spec, .n_inputs = 1};
    struct tern_tensor input = {.shape = {2, {(INT64_C(1) << 32) + 1, 0}}};

    (void)state;
    assert_int_equal(tern_inputs_rows(&info, &input, 1), UINT32_MAX);
    assert_int_equal(tern_inputs_units(&input, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_those_of_the_first_dimension),
        cmocka_unit_test(test_more_rows_than_can_be_counted_are_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
