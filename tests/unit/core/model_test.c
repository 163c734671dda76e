// covers: core/request
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "core/model.h"
#include "core/request.h"

static void test_names_are_safe_in_a_path(void **state)
{
    static const char *const good[] = {"a", "iris", "Model-1.2_b", "0"};
    static const char *const bad[] = {"",    ".",    "..",       ".hidden", "a/b",
                                      "a b", "a%2f", "\xc3\xa9", "a\n"};
    char name[TERN_MODEL_NAME_MAX + 2];

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(good); i++)
        assert_true(tern_model_name_is_valid(tern_str_of(good[i])));
    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++)
        assert_false(tern_model_name_is_valid(tern_str_of(bad[i])));
    assert_false(tern_model_name_is_valid(tern_str_make("a\0b", 3)));
    memset(name, 'a', sizeof(name));
    assert_true(tern_model_name_is_valid(tern_str_make(name, TERN_MODEL_NAME_MAX)));
    assert_false(tern_model_name_is_valid(tern_str_make(name, TERN_MODEL_NAME_MAX + 1)));
}

static void test_tensors_are_found_by_name(void **state)
{
    static const struct tern_tensor_spec specs[] = {{.name = {"x", 1}}, {.name = {"xy", 2}}};
    const struct tern_model_info info = {
        .inputs = specs, .n_inputs = 2, .outputs = specs, .n_outputs = 1};

    (void)state;
    assert_ptr_equal(tern_model_input(&info, TERN_STR("xy")), &specs[1]);
    assert_ptr_equal(tern_model_output(&info, TERN_STR("x")), &specs[0]);
    assert_null(tern_model_output(&info, TERN_STR("xy")));
    assert_null(tern_model_input(&info, TERN_STR("")));
}

static void test_states_have_the_names_of_the_index(void **state)
{
    (void)state;
    assert_string_equal(tern_model_state_name(TERN_MODEL_READY), "READY");
    assert_string_equal(tern_model_state_name(TERN_MODEL_UNAVAILABLE), "UNAVAILABLE");
}

static void test_parameters_are_found_by_key(void **state)
{
    struct tern_param rows[] = {{.key = {"a", 1}}, {.key = {"b", 1}}};
    const struct tern_params params = {rows, 2};

    (void)state;
    assert_ptr_equal(tern_params_find(&params, TERN_STR("b")), &rows[1]);
    assert_null(tern_params_find(&params, TERN_STR("c")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_safe_in_a_path),
        cmocka_unit_test(test_tensors_are_found_by_name),
        cmocka_unit_test(test_states_have_the_names_of_the_index),
        cmocka_unit_test(test_parameters_are_found_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
