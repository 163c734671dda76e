#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "conf/problem.h"

static void test_mistakes_are_listed_with_their_place(void **state)
{
    struct tern_problems problems;
    struct tern_arena arena;
    struct tern_buf out;
    struct tern_err err;

    (void)state;
    tern_arena_init(&arena, 1024, 1 << 20);
    tern_buf_init(&out, 4096);
    tern_problem_init(&problems, &arena);
    assert_int_equal(tern_problem_fail(&problems, &err), TERN_OK);
    tern_problem_add(&problems, tern_problem_place(&problems, TERN_STR("t.yaml"), 3, 7),
                     "%d is odd", 5);
    tern_problem_add(&problems, TERN_STR(""), "no place");
    tern_problem_print(&problems, &out);
    tern_buf_add_char(&out, '\0');
    assert_string_equal(out.p, "t.yaml:3:7: 5 is odd\nno place\n");
    assert_int_equal(tern_problem_fail(&problems, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "t.yaml:3:7: 5 is odd"));
    assert_non_null(strstr(err.text, "1 more"));
    tern_buf_fini(&out);
    tern_arena_fini(&arena);
}

/* Past the maximum, and without memory, mistakes are counted: never silently right. */
static void test_what_does_not_fit_is_counted(void **state)
{
    struct tern_problems problems;
    struct tern_arena arena;
    struct tern_err err;

    (void)state;
    tern_arena_init(&arena, 1024, 1 << 20);
    tern_problem_init(&problems, &arena);
    for (int i = 0; i < TERN_PROBLEMS_MAX + 3; i++)
        tern_problem_add(&problems, TERN_STR("p"), "t");
    assert_int_equal(problems.n, TERN_PROBLEMS_MAX);
    assert_int_equal(problems.n_dropped, 3);
    tern_arena_fini(&arena);
    tern_arena_init(&arena, 16, 16);
    tern_problem_init(&problems, &arena);
    tern_problem_add(&problems, TERN_STR("p"), "longer than the arena has room for");
    assert_true(tern_problem_any(&problems));
    assert_int_equal(tern_problem_fail(&problems, &err), TERN_RESOURCE_EXHAUSTED);
    tern_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes_are_listed_with_their_place),
        cmocka_unit_test(test_what_does_not_fit_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
