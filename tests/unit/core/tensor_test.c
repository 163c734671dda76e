#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "core/tensor.h"

static struct tern_err err;

#define SHAPE(...) \
    ((struct tern_shape){sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {__VA_ARGS__}})

static void test_sizes_are_checked(void **state)
{
    const struct tern_shape scalar = {0};
    size_t n = 0;

    (void)state;
    assert_true(tern_shape_count(&scalar, &n));
    assert_int_equal(n, 1);
    assert_true(tern_shape_count(&SHAPE(2, 3, 4), &n));
    assert_int_equal(n, 24);
    assert_true(tern_shape_count(&SHAPE(5, 0), &n));
    assert_int_equal(n, 0);
    assert_false(tern_shape_count(&SHAPE(2, -1), &n));
    assert_false(tern_shape_count(&SHAPE(INT64_MAX, 3), &n));

    assert_int_equal(tern_shape_bytes(TERN_STR("x"), TERN_DTYPE_FP32, &SHAPE(2, 3), &n, &err), 0);
    assert_int_equal(n, 24);
    assert_int_equal(tern_shape_bytes(TERN_STR("x"), TERN_DTYPE_BYTES, &SHAPE(2), &n, &err),
                     TERN_INVALID_ARGUMENT);
    assert_int_equal(
        tern_shape_bytes(TERN_STR("x"), TERN_DTYPE_FP64, &SHAPE(INT64_MAX / 8, 2), &n, &err),
        TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "'x'"));
    assert_int_equal(n, 24); /* untouched by failures */
}

static void test_shapes_fit_and_equal(void **state)
{
    (void)state;
    assert_true(tern_shape_fits(&SHAPE(-1, 4), &SHAPE(7, 4)));
    assert_false(tern_shape_fits(&SHAPE(-1, 4), &SHAPE(7, 5)));
    assert_false(tern_shape_fits(&SHAPE(-1, 4), &SHAPE(4)));
    assert_true(tern_shape_eq(&SHAPE(2, 3), &SHAPE(2, 3)));
    assert_false(tern_shape_eq(&SHAPE(2, 3), &SHAPE(3, 2)));
    assert_false(tern_shape_eq(&SHAPE(2), &SHAPE(2, 1)));
}

static void test_shapes_print_into_any_room(void **state)
{
    char text[32];

    (void)state;
    assert_string_equal(tern_shape_print(&SHAPE(-1, 4), text, sizeof(text)), "[-1,4]");
    assert_string_equal(tern_shape_print(&(struct tern_shape){0}, text, sizeof(text)), "[]");
    for (size_t cap = 0; cap < 12; cap++) {
        const char *cut = tern_shape_print(&SHAPE(1000, 2000), text, cap);
        assert_true(cap < 3 || strlen(cut) < cap);
        if (cap >= 3)
            assert_int_equal(cut[strlen(cut) - 1], ']');
    }
    assert_string_equal(tern_shape_print(&SHAPE(1000, 2000), text, 12), "[1000,2000]");
}

static void test_strings_stay_inside(void **state)
{
    static char two[] = "\2\0\0\0ab\0\0\0";
    const struct tern_tensor tensor = {.dtype = TERN_DTYPE_BYTES, .data = two, .n_bytes = 6};
    struct tern_str name = TERN_STR("s");
    struct tern_str element;
    size_t at = 0;

    (void)state;
    assert_true(tern_tensor_next_bytes(&tensor, &at, &element));
    assert_true(tern_str_eq(element, TERN_STR("ab")));
    assert_false(tern_tensor_next_bytes(&tensor, &at, &element));
    assert_int_equal(tern_tensor_check_bytes(name, two, 6, 1, &err), TERN_OK);
    assert_int_equal(tern_tensor_check_bytes(name, two, 10, 2, &err), TERN_OK); /* one is empty */
    assert_int_equal(tern_tensor_check_bytes(name, two, 0, 0, &err), TERN_OK);
    assert_int_equal(tern_tensor_check_bytes(name, two, 5, 1, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_tensor_check_bytes(name, two, 9, 2, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_tensor_check_bytes(name, two, 6, 2, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_tensor_check_bytes(name, two, 10, 1, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_tensor_check_bytes(name, "\377\377\377\377", 4, 1, &err),
                     TERN_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_checked),
        cmocka_unit_test(test_shapes_fit_and_equal),
        cmocka_unit_test(test_shapes_print_into_any_room),
        cmocka_unit_test(test_strings_stay_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
