/* An array that grows keeps what it holds, and stops at its maximum or without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/grow.h"
#include "harness/mem_fails.h"
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc

static void grows(void **state)
{
    uint32_t *array = NULL;
    size_t cap = 0;
    struct tern_err err;

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(tern_grow(&array, &cap, i, 1, sizeof(*array), 1000, "rows", &err),
                         TERN_OK);
        assert_true(cap > i && cap <= 1000);
        array[i] = i;
    }
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(array[i], i);
    assert_int_equal(tern_grow(&array, &cap, 1000, 1, sizeof(*array), 1000, "rows", &err),
                     TERN_RESOURCE_EXHAUSTED);
    assert_string_equal(err.text, "more than 1000 rows");
    tern_mem_free(array);
}

static void many_at_once(void **state)
{
    double *array = NULL;
    size_t cap = 0;

    (void)state;
    assert_int_equal(tern_grow(&array, &cap, 0, 5000, sizeof(*array), 9000, "rows", NULL), TERN_OK);
    assert_true(cap >= 5000);
    assert_int_equal(tern_grow(&array, &cap, 5000, SIZE_MAX, sizeof(*array), 9000, "rows", NULL),
                     TERN_RESOURCE_EXHAUSTED);
    assert_int_equal(
        tern_grow(&array, &cap, 5000, SIZE_MAX / 8, sizeof(*array), SIZE_MAX, "rows", NULL),
        TERN_RESOURCE_EXHAUSTED);
    tern_mem_free(array);
}

static void without_memory(void **state)
{
    char *array = NULL;
    size_t cap = 0;

    (void)state;
    mem_calls = 0;
    mem_fail_at = 0;
    assert_int_equal(tern_grow(&array, &cap, 0, 1, 1, 10, "rows", NULL), TERN_RESOURCE_EXHAUSTED);
    assert_null(array);
    assert_int_equal(cap, 0);
    mem_fail_at = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
