/* Inputs made from a batch: the values that Triton's own tests expect, and what does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "registry/batch_input.h"

static struct tern_arena arena;
static struct tern_tensor made;
static struct tern_err err;

static int setup(void **state)
{
    (void)state;
    tern_arena_init(&arena, 1024, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_arena_fini(&arena);
    return 0;
}

static enum tern_code make(enum tern_batch_input_kind kind, enum tern_dtype dtype,
                           const struct tern_shape *shapes, uint32_t n)
{
    const struct tern_batch_input input = {.kind = kind, .dtype = dtype};
    const struct tern_shape *list[8];

    for (uint32_t i = 0; i < n; i++)
        list[i] = &shapes[i];
    return tern_batch_input_make(&input, TERN_STR("INDEX"), list, n, &arena, &made, &err);
}

/* In both types. */
static void assert_made(enum tern_batch_input_kind kind, const struct tern_shape *shapes,
                        uint32_t n, struct tern_shape want, const int32_t *values, size_t n_values)
{
    for (int real = 0; real < 2; real++) {
        assert_int_equal(make(kind, real ? TERN_DTYPE_FP32 : TERN_DTYPE_INT32, shapes, n), TERN_OK);
        assert_true(tern_str_eq(made.name, TERN_STR("INDEX")));
        assert_int_equal(made.dtype, real ? TERN_DTYPE_FP32 : TERN_DTYPE_INT32);
        assert_true(tern_shape_eq(&made.shape, &want));
        assert_int_equal(made.n_bytes, n_values * 4);
        for (size_t i = 0; i < n_values; i++) {
            if (real)
                assert_true(((const float *)made.data)[i] == (float)values[i]);
            else
                assert_int_equal(((const int32_t *)made.data)[i], values[i]);
        }
    }
}

#define ASSERT_MADE(kind, shapes, want, ...)                                  \
    assert_made(kind, shapes, TERN_COUNT_OF(shapes), (struct tern_shape)want, \
                (const int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / 4)
#define SHAPE(...)  \
    {               \
        __VA_ARGS__ \
    }

static void test_counts(void **state)
{
    static const struct tern_shape four[] = {{2, {1, 2}}, {2, {1, 4}}, {2, {1, 1}}, {2, {1, 3}}};
    static const struct tern_shape rows[] = {{2, {2, 3}}, {2, {1, 4}}};
    static const struct tern_shape one[] = {{3, {2, 0, 5}}};

    (void)state;
    ASSERT_MADE(TERN_BATCH_ELEMENT_COUNT, four, SHAPE(1, {4}), 2, 4, 1, 3);
    ASSERT_MADE(TERN_BATCH_ELEMENT_COUNT, rows, SHAPE(1, {2}), 6, 4);
    ASSERT_MADE(TERN_BATCH_ELEMENT_COUNT, one, SHAPE(1, {1}), 0);
    ASSERT_MADE(TERN_BATCH_ACCUMULATED_ELEMENT_COUNT, four, SHAPE(1, {4}), 2, 6, 7, 10);
    ASSERT_MADE(TERN_BATCH_ACCUMULATED_ELEMENT_COUNT, rows, SHAPE(1, {2}), 6, 10);
    ASSERT_MADE(TERN_BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO, four, SHAPE(1, {5}), 0, 2, 6, 7,
                10);
    ASSERT_MADE(TERN_BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO, one, SHAPE(1, {2}), 0, 0);
    ASSERT_MADE(TERN_BATCH_MAX_ELEMENT_COUNT_AS_SHAPE, four, SHAPE(1, {4}), 0, 0, 0, 0);
}

static void test_shapes(void **state)
{
    static const struct tern_shape flat[] = {
        {3, {1, 4, 1}}, {3, {1, 1, 2}}, {3, {1, 1, 2}}, {3, {1, 2, 2}}};
    static const struct tern_shape rows[] = {{3, {2, 3, 1}}, {3, {1, 2, 2}}};
    static const struct tern_shape line[] = {{1, {3}}};

    (void)state;
    ASSERT_MADE(TERN_BATCH_ITEM_SHAPE_FLATTEN, flat, SHAPE(1, {8}), 4, 1, 1, 2, 1, 2, 2, 2);
    ASSERT_MADE(TERN_BATCH_ITEM_SHAPE_FLATTEN, rows, SHAPE(1, {6}), 3, 1, 3, 1, 2, 2);
    ASSERT_MADE(TERN_BATCH_ITEM_SHAPE, rows, SHAPE(2, {3, 2}), 3, 1, 3, 1, 2, 2);
    assert_int_equal(make(TERN_BATCH_ITEM_SHAPE, TERN_DTYPE_INT32, line, 1), TERN_OK);
    assert_true(tern_shape_eq(&made.shape, &(struct tern_shape){2, {3, 0}}));
    assert_int_equal(made.n_bytes, 0);
}

static void test_what_does_not_fit(void **state)
{
    static const struct tern_shape large[] = {{2, {2, INT32_MAX / 2}}, {2, {1, 2}}};
    static const struct tern_shape huge[] = {{3, {1, INT64_MAX, 4}}, {3, {1, INT64_MAX, 4}}};
    static const struct tern_shape many[] = {{2, {INT64_MAX, 1}}, {2, {INT64_MAX, 1}}};

    (void)state;
    assert_int_equal(make(TERN_BATCH_ELEMENT_COUNT, TERN_DTYPE_FP32, large, 2), TERN_OK);
    assert_int_equal(make(TERN_BATCH_ACCUMULATED_ELEMENT_COUNT, TERN_DTYPE_INT32, large, 2),
                     TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "input 'INDEX'"));
    assert_non_null(strstr(err.text, "2147483648"));
    assert_int_equal(make(TERN_BATCH_ELEMENT_COUNT, TERN_DTYPE_FP32, huge, 2),
                     TERN_INVALID_ARGUMENT);
    assert_int_equal(make(TERN_BATCH_ACCUMULATED_ELEMENT_COUNT, TERN_DTYPE_FP32, huge, 2),
                     TERN_INVALID_ARGUMENT);
    assert_int_equal(make(TERN_BATCH_ITEM_SHAPE, TERN_DTYPE_FP32, huge, 1), TERN_INVALID_ARGUMENT);
    assert_int_equal(make(TERN_BATCH_MAX_ELEMENT_COUNT_AS_SHAPE, TERN_DTYPE_INT32, large, 2),
                     TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(make(TERN_BATCH_MAX_ELEMENT_COUNT_AS_SHAPE, TERN_DTYPE_INT32, huge, 2),
                     TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(make(TERN_BATCH_ITEM_SHAPE_FLATTEN, TERN_DTYPE_INT32, many, 2),
                     TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(make(TERN_BATCH_ITEM_SHAPE, TERN_DTYPE_INT32, many, 1),
                     TERN_RESOURCE_EXHAUSTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shapes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_does_not_fit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
