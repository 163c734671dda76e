#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/random.h"
#include "sched/service.h"

#define US UINT64_C(1000)

static struct tern_service service;

static uint64_t line_ns(uint32_t rows, double factor)
{
    return (uint64_t)((1000e3 + 100e3 * rows) * factor);
}

static void learn_line(uint32_t runs, double factor)
{
    static const uint32_t sizes[] = {1, 2, 5, 8, 16, 33, 64};
    while (runs-- > 0) {
        uint32_t rows = sizes[runs % TERN_COUNT_OF(sizes)];
        tern_service_learn(&service, rows, line_ns(rows, factor));
    }
}

static bool is_near(uint64_t a, uint64_t b, double share)
{
    double off = (double)a - (double)b;
    return off <= (double)b * share && -off <= (double)b * share;
}

static void assert_monotone(void)
{
    for (uint32_t rows = 1; rows < 300; rows++) {
        assert_true(tern_service_p50_ns(&service, rows) >= 1);
        assert_true(tern_service_p50_ns(&service, rows) <= tern_service_p50_ns(&service, rows + 1));
        assert_true(tern_service_p99_ns(&service, rows) <= tern_service_p99_ns(&service, rows + 1));
        assert_true(tern_service_p50_ns(&service, rows) <= tern_service_p99_ns(&service, rows));
    }
}

static void the_sizes_are_a_rising_grid(void **state)
{
    (void)state;
    static const uint32_t first[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32};

    for (uint32_t i = 0; i < TERN_COUNT_OF(first); i++)
        assert_int_equal(tern_service_point_rows(i), first[i]);
    assert_int_equal(tern_service_point_rows(TERN_SERVICE_POINTS - 1), TERN_SERVICE_ROWS_MAX);
    /* A run of exactly such a size is known exactly. */
    for (uint32_t i = 0; i < TERN_SERVICE_POINTS; i++) {
        tern_service_init(&service, tern_service_point_rows(i), 77 * US);
        assert_int_equal(tern_service_p50_ns(&service, tern_service_point_rows(i)), 77 * US);
    }
}

static void one_measured_run_is_enough_to_begin(void **state)
{
    (void)state;
    tern_service_init(&service, 1, 1000 * US);
    assert_int_equal(tern_service_p50_ns(&service, 1), 1000 * US);
    assert_int_equal(tern_service_p50_ns(&service, 0), 1000 * US); /* 0 is taken for 1 */
    assert_int_equal(tern_service_p50_ns(&service, 3), 2000 * US);
    assert_true(tern_service_gains(&service));
    assert_monotone();
    tern_service_init(&service, 8, 1000 * US);
    assert_true(tern_service_p50_ns(&service, 1) < 1000 * US);
    assert_true(tern_service_p50_ns(&service, 16) > 1000 * US);
    assert_monotone();
    tern_service_init(&service, 0, 0);
    assert_true(tern_service_p50_ns(&service, 1) >= 1);
}

static void a_line_is_learned(void **state)
{
    (void)state;
    double a, b;

    tern_service_init(&service, 1, line_ns(1, 1));
    learn_line(70, 1);
    for (uint32_t rows = 1; rows <= 200; rows++)
        assert_true(is_near(tern_service_p50_ns(&service, rows), line_ns(rows, 1), 0.02));
    tern_service_line(&service, 64, &a, &b);
    assert_true(a > 0.95e6 && a < 1.05e6 && b > 95e3 && b < 105e3);
    assert_true(is_near((uint64_t)tern_service_capacity(&service, 64), 64 * 1000000 / 7400, 0.02));
    assert_monotone();
}

static void beyond_the_last_it_is_not_steeper_than_proportional(void **state)
{
    (void)state;
    tern_service_init(&service, 1, 100 * US);
    for (uint32_t i = 0; i < 50; i++) {
        tern_service_learn(&service, 1, 100 * US);
        tern_service_learn(&service, 2, 1000 * US); /* a step: padding, another kernel */
    }
    assert_true(tern_service_p50_ns(&service, 4) <= 2 * tern_service_p50_ns(&service, 2));
    assert_true(tern_service_p50_ns(&service, UINT32_MAX) > 0);
    assert_monotone();
}

static void it_finds_the_most_rows_within_a_time(void **state)
{
    (void)state;
    tern_service_init(&service, 1, line_ns(1, 1));
    learn_line(70, 1);
    for (uint64_t time = 0; time < 9000 * US; time += 37 * US) {
        uint32_t rows = tern_service_rows_within(&service, time, 64);
        assert_true(rows == 0 || tern_service_budget_ns(&service, rows) <= time);
        assert_true(rows == 64 || tern_service_budget_ns(&service, rows + 1) > time);
    }
    assert_int_equal(tern_service_rows_within(&service, UINT64_MAX, 0), 0);
}

static void runs_that_were_disturbed_hardly_matter(void **state)
{
    (void)state;
    uint64_t random = 3;
    uint32_t n_off = 0;

    tern_service_init(&service, 1, line_ns(1, 1));
    learn_line(70, 1);
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t rows = 1 + (uint32_t)(random_u64(&random) % 64);
        double factor = i % 50 == 0 ? 20 : 0.9 + 0.2 * random_unit(&random);
        tern_service_learn(&service, rows, line_ns(rows, factor));
        n_off += !is_near(tern_service_p50_ns(&service, 24), line_ns(24, 1), 0.15);
    }
    assert_true(n_off < 200); /* 1 % */
}

static void the_tail_is_learned(void **state)
{
    (void)state;
    uint64_t random = 3, below = 0;

    tern_service_init(&service, 1, 1000 * US);
    for (uint32_t i = 0; i < 60000; i++) {
        uint64_t took = 1000 * US + random_u64(&random) % (1000 * US);
        tern_service_learn(&service, 1, took);
        below += i >= 10000 && took <= tern_service_p99_ns(&service, 1);
    }
    assert_true(below > 48500 && below < 49950 /* of 50000 */);
    assert_true(is_near(tern_service_p50_ns(&service, 1), 1500 * US, 0.1));
}

static void a_change_is_believed_when_it_comes_twice(void **state)
{
    (void)state;
    tern_service_init(&service, 1, line_ns(1, 1));
    learn_line(70, 1);
    tern_service_learn(&service, 8, line_ns(8, 5));
    assert_true(tern_service_p50_ns(&service, 8) < line_ns(8, 1.1));
    tern_service_learn(&service, 16, line_ns(16, 5)); /* another size: all have changed */
    assert_true(is_near(tern_service_p50_ns(&service, 16), line_ns(16, 5), 0.1));
    assert_true(is_near(tern_service_p50_ns(&service, 64), line_ns(64, 5), 0.1));
    tern_service_learn(&service, 2, line_ns(2, 1));
    tern_service_learn(&service, 1, line_ns(1, 1));
    assert_true(is_near(tern_service_p50_ns(&service, 64), line_ns(64, 1), 0.2));
    assert_monotone();
}

static void the_milder_of_the_two_is_believed(void **state)
{
    (void)state;
    tern_service_init(&service, 1, line_ns(1, 1));
    learn_line(70, 1);
    tern_service_learn(&service, 1, line_ns(1, 100));
    tern_service_learn(&service, 1, line_ns(1, 2));
    assert_true(tern_service_p50_ns(&service, 1) < line_ns(1, 2.2));
    /* One size alone: it may just have been measured badly; the others stay. */
    assert_true(is_near(tern_service_p50_ns(&service, 64), line_ns(64, 1), 0.05));
}

static void a_first_run_that_was_disturbed_is_mended(void **state)
{
    (void)state;
    tern_service_init(&service, 1, line_ns(1, 1));
    learn_line(35, 1);
    tern_service_learn(&service, 128, line_ns(128, 50));
    assert_true(tern_service_p50_ns(&service, 128) <= line_ns(128, 4.1));
    tern_service_learn(&service, 128, line_ns(128, 1));
    tern_service_learn(&service, 128, line_ns(128, 1));
    assert_true(is_near(tern_service_p50_ns(&service, 128), line_ns(128, 1), 0.15));
}

static void what_is_avoided_is_tried_again_some_day(void **state)
{
    (void)state;
    tern_service_init(&service, 1, line_ns(1, 1));
    learn_line(35, 1);
    for (uint32_t i = 0; i < 4; i++)
        tern_service_learn(&service, 128, line_ns(128, 4));
    uint64_t avoided = tern_service_p50_ns(&service, 128);
    for (uint32_t i = 0; i < 1000; i++)
        tern_service_learn(&service, 64, line_ns(64, 1));
    assert_true(tern_service_p50_ns(&service, 128) < avoided / 2);
    assert_true(is_near(tern_service_p50_ns(&service, 128), line_ns(128, 1), 0.1));
}

static void whether_batches_gain(void **state)
{
    (void)state;
    tern_service_init(&service, 1, 1000 * US);
    for (uint32_t i = 0; i < 20; i++)
        tern_service_learn(&service, 2, 1950 * US);
    assert_false(tern_service_gains(&service));
    for (uint32_t i = 0; i < 20; i++)
        tern_service_learn(&service, 2, 1700 * US); /* 15 % saved: not enough to change back */
    assert_false(tern_service_gains(&service));
    for (uint32_t i = 0; i < 20; i++)
        tern_service_learn(&service, 2, 1400 * US);
    assert_true(tern_service_gains(&service));
}

static void it_is_asked_again_after_a_while(void **state)
{
    (void)state;
    uint32_t n = 0;

    tern_service_init(&service, 1, 1000 * US);
    for (uint32_t i = 0; i < 20; i++)
        tern_service_learn(&service, 2, 2000 * US);
    for (; n < 1000 && !tern_service_gains(&service); n++)
        tern_service_learn(&service, 1, 1000 * US);
    assert_true(n > 100 && n < 1000);
    tern_service_learn(&service, 3, 3000 * US);
    assert_false(tern_service_gains(&service));
}

static void refusals_without_a_run_are_doubted(void **state)
{
    (void)state;
    uint32_t n = 0;

    tern_service_init(&service, 1, 1000 * US);
    for (; n < 1000 && !tern_service_is_in_doubt(&service); n++)
        tern_service_refused(&service);
    assert_true(n > 4 && n < 100);
    tern_service_learn(&service, 1, 1000 * US);
    assert_false(tern_service_is_in_doubt(&service));
}

static void a_budget_is_halfway_to_the_tail(void **state)
{
    (void)state;
    uint64_t random = 3;

    tern_service_init(&service, 1, 1000 * US);
    for (uint32_t i = 0; i < 20000; i++)
        tern_service_learn(&service, 1, 900 * US + random_u64(&random) % (200 * US));
    assert_true(is_near(tern_service_budget_ns(&service, 1), 1050 * US, 0.02));
    for (uint32_t i = 0; i < 20000; i++) /* a tail that no batch could avoid */
        tern_service_learn(&service, 1, i % 20 == 0 ? 30000 * US : 1000 * US);
    assert_true(tern_service_p99_ns(&service, 1) > 10000 * US);
    assert_true(tern_service_budget_ns(&service, 1) <= 1300 * US);
}

static void any_history_leaves_it_sane(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t random = seed;
        tern_service_init(&service, (uint32_t)(random_u64(&random) % 100), random_u64(&random));
        for (uint32_t i = 0; i < 200; i++) {
            uint32_t rows = (uint32_t)(random_u64(&random) >> (32 + random_u64(&random) % 32));
            tern_service_learn(&service, rows, random_u64(&random) >> (random_u64(&random) % 64));
        }
        assert_monotone();
    }
}

/* A first run of more rows than the table has: it is not taken for one of the last size. */
static void a_very_large_first_run_predicts_itself(void **state)
{
    (void)state;
    tern_service_init(&service, 4000000, 2000000000);
    uint64_t p50_ns = tern_service_p50_ns(&service, 4000000);
    assert_true(p50_ns > 1000000000 && p50_ns < 3000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sizes_are_a_rising_grid),
        cmocka_unit_test(one_measured_run_is_enough_to_begin),
        cmocka_unit_test(a_line_is_learned),
        cmocka_unit_test(beyond_the_last_it_is_not_steeper_than_proportional),
        cmocka_unit_test(it_finds_the_most_rows_within_a_time),
        cmocka_unit_test(runs_that_were_disturbed_hardly_matter),
        cmocka_unit_test(the_tail_is_learned),
        cmocka_unit_test(a_change_is_believed_when_it_comes_twice),
        cmocka_unit_test(the_milder_of_the_two_is_believed),
        cmocka_unit_test(a_first_run_that_was_disturbed_is_mended),
        cmocka_unit_test(what_is_avoided_is_tried_again_some_day),
        cmocka_unit_test(whether_batches_gain),
        cmocka_unit_test(it_is_asked_again_after_a_while),
        cmocka_unit_test(refusals_without_a_run_are_doubted),
        cmocka_unit_test(a_budget_is_halfway_to_the_tail),
        cmocka_unit_test(a_very_large_first_run_predicts_itself),
        cmocka_unit_test(any_history_leaves_it_sane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
