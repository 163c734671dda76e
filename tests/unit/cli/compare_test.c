/* Answers against recorded ones: what is right, what is not, and what is said about it. */
// covers: cli/values
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include "cli/compare.h"
#include "cli/values.h"

static struct tern_arena arena;

static struct tern_tensor floats(float *values, int64_t rows, int64_t columns)
{
    return (struct tern_tensor){.name = TERN_STR("y"),
                                .dtype = TERN_DTYPE_FP32,
                                .shape = {2, {rows, columns}},
                                .data = values,
                                .n_bytes = (size_t)(rows * columns) * sizeof(float)};
}

static struct tern_comparison compare(struct tern_tensor *answer, struct tern_tensor *recorded,
                                      size_t rows)
{
    const struct tern_v2_tensors answers = {answer, answer == NULL ? 0 : 1};
    const struct tern_v2_tensors wanted = {recorded, 1};
    struct tern_comparison result;

    assert_int_equal(tern_compare(&answers, &wanted, rows, 1e-3, &arena, &result, NULL), TERN_OK);
    assert_true(result.done);
    return result;
}

static void check_printed(const struct tern_difference *difference, const char *wanted)
{
    struct tern_buf text;

    tern_buf_init(&text, 512);
    tern_difference_print(difference, &text);
    tern_buf_add_char(&text, '\0');
    assert_string_equal(text.p, wanted);
    tern_buf_fini(&text);
}

static void floats_within_the_tolerance(void **state)
{
    float right[] = {1, 1000, 0}, near[] = {1.0005f, 1000.5f, 0.0005f};
    float far[] = {1, 1002, 0}, nan_[] = {1, NAN, 0};
    struct tern_tensor recorded = floats(right, 3, 1), answer = floats(near, 3, 1);

    (void)state;
    struct tern_comparison good = compare(&answer, &recorded, 3);
    assert_int_equal(good.bad_rows, 0);
    assert_true(good.largest > 4e-4 && good.largest < 6e-4);
    answer.data = far;
    struct tern_comparison off = compare(&answer, &recorded, 3);
    assert_int_equal(off.bad_rows, 1);
    assert_int_equal(off.shown[0].row, 1);
    assert_true(tern_str_eq(off.shown[0].text, TERN_STR("1002, recorded 1000")));
    answer.data = nan_;
    assert_int_equal(compare(&answer, &recorded, 3).bad_rows, 1);
    recorded.data = nan_;
    assert_int_equal(compare(&answer, &recorded, 3).bad_rows, 0);
}

static void a_row_counts_once(void **state)
{
    float right[8] = {0}, wrong[8] = {9, 9, 9, 9, 9, 9, 9, 9};
    struct tern_tensor recorded = floats(right, 2, 4), answer = floats(wrong, 2, 4);

    (void)state;
    struct tern_comparison result = compare(&answer, &recorded, 2);
    assert_int_equal(result.bad_rows, 2);
    assert_int_equal(result.n_shown, TERN_DIFFERENCES_SHOWN);
}

static void other_shapes_types_and_nothing_at_all(void **state)
{
    float values[4] = {0};
    struct tern_tensor recorded = floats(values, 2, 2), answer = floats(values, 1, 4);

    (void)state;
    assert_int_equal(compare(&answer, &recorded, 2).bad_rows, 1);
    answer = floats(values, 2, 2);
    answer.dtype = TERN_DTYPE_INT32;
    assert_int_equal(compare(&answer, &recorded, 2).bad_rows, 1);
    struct tern_comparison missing = compare(NULL, &recorded, 2);
    assert_int_equal(missing.bad_rows, 1);
    assert_true(tern_str_eq(missing.shown[0].text, TERN_STR("missing in the answer")));
    check_printed(&missing.shown[0], "y: missing in the answer");
}

static void strings_are_compared_one_by_one(void **state)
{
    char a[] = "\2\0\0\0ab\1\0\0\0c", b[] = "\2\0\0\0ab\1\0\0\0d";
    struct tern_tensor recorded = {.name = TERN_STR("y"),
                                   .dtype = TERN_DTYPE_BYTES,
                                   .shape = {1, {2}},
                                   .data = a,
                                   .n_bytes = 11};
    struct tern_tensor answer = recorded;

    (void)state;
    assert_int_equal(compare(&answer, &recorded, 2).bad_rows, 0);
    answer.data = b;
    struct tern_comparison result = compare(&answer, &recorded, 2);
    assert_int_equal(result.bad_rows, 1);
    assert_true(tern_str_eq(result.shown[0].text, TERN_STR("d, recorded c")));
    check_printed(&result.shown[0], "row 2, y: d, recorded c");
}

static void values_are_set_only_when_they_fit(void **state)
{
    static const struct {
        enum tern_dtype dtype;
        double value;
        bool fits;
    } rows[] = {
        {TERN_DTYPE_UINT8, 255, true},     {TERN_DTYPE_UINT8, 256, false},
        {TERN_DTYPE_UINT8, -1, false},     {TERN_DTYPE_INT8, 1.5, false},
        {TERN_DTYPE_INT64, -9.2e18, true}, {TERN_DTYPE_INT64, 9.3e18, false},
        {TERN_DTYPE_UINT64, 1.8e19, true}, {TERN_DTYPE_UINT64, 1.9e19, false},
        {TERN_DTYPE_INT32, NAN, false},    {TERN_DTYPE_BOOL, 1, true},
        {TERN_DTYPE_BOOL, 2, false},       {TERN_DTYPE_FP16, 65504, true},
        {TERN_DTYPE_FP16, 70000, false},   {TERN_DTYPE_FP32, 1e39, false},
        {TERN_DTYPE_FP32, INFINITY, true}, {TERN_DTYPE_FP64, 1e300, true},
        {TERN_DTYPE_BF16, 0.5, true},      {TERN_DTYPE_BYTES, 1, false},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        _Alignas(8) char data[16] = {0};
        struct tern_tensor tensor = {.dtype = rows[i].dtype, .data = data};
        assert_int_equal(tern_value_set(rows[i].dtype, data, 1, rows[i].value), rows[i].fits);
        if (rows[i].fits)
            assert_true(tern_value_get(&tensor, 1) == rows[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_within_the_tolerance),
        cmocka_unit_test(a_row_counts_once),
        cmocka_unit_test(other_shapes_types_and_nothing_at_all),
        cmocka_unit_test(strings_are_compared_one_by_one),
        cmocka_unit_test(values_are_set_only_when_they_fit),
    };

    tern_arena_init(&arena, 4096, 1u << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tern_arena_fini(&arena);
    return failed;
}
