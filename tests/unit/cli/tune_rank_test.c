/* How `tern tune` decides: the search, halving, the front and the verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include "cli/tune_rank.h"

/* What the search finds for a server that keeps up with so much. */
static double found(double truth, double guess, double step, uint32_t *ret_looks)
{
    struct tern_tune_search search;
    double rate;

    tern_tune_search_init(&search, guess, step);
    while ((rate = tern_tune_search_next(&search)) > 0)
        tern_tune_search_tell(&search, rate, rate <= truth);
    *ret_looks = search.looks;
    return search.floor;
}

static void the_search_comes_near(void **state)
{
    static const double guesses[] = {100, 700, 1000, 1010, 1600, 9000};
    uint32_t looks;

    (void)state;
    for (int i = 0; i < 6; i++) {
        double rate = found(1000, guesses[i], 1.05, &looks);
        assert_true(rate <= 1000 && rate >= 1000 / 1.05);
    }
    (void)found(1000, 990, 1.15, &looks);
    assert_int_equal(looks, 3); /* 990, 1287, 1129 */
}

static void the_search_ends(void **state)
{
    uint32_t looks;

    (void)state;
    assert_true(found(0, 50, 1.05, &looks) <= 0);
    assert_in_range(looks, 2, 16);
    assert_true(found(1e30, 50, 1.05, &looks) > 50);
    assert_int_equal(looks, 16);
    assert_true(found(0, 0, 1.05, &looks) <= 0);
    assert_int_equal(looks, 1);
}

static void the_better_half_goes_on(void **state)
{
    const double scores[] = {1, 5, 3, 3, 9, 7};
    bool alive[] = {true, true, true, true, true, false};

    (void)state;
    assert_int_equal(tern_tune_halve(scores, alive, 6, 0, 3), 3);
    assert_true(alive[0]); /* always */
    assert_true(alive[1] && alive[4]);
    assert_false(alive[2] || alive[3] || alive[5]);
    assert_int_equal(tern_tune_halve(scores, alive, 6, 0, 5), 3);
    assert_int_equal(tern_tune_halve(scores, alive, 6, 0, 0), 1);
    assert_true(alive[0]);
}

static void the_front_has_what_nothing_beats(void **state)
{
    struct tern_tune_point points[] = {
        {.rate = 100, .p99_ns = 10}, {.rate = 200, .p99_ns = 10}, {.rate = 200, .p99_ns = 10},
        {.rate = 300, .p99_ns = 30}, {.rate = 250, .p99_ns = 31}, {.rate = 50, .p99_ns = 9},
    };
    static const bool want[] = {false, true, false, true, false, true};

    (void)state;
    tern_tune_front(points, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(points[i].on_front, want[i]);
}

static void noise_is_no_reason(void **state)
{
    struct tern_tune_verdict v;

    (void)state;
    v = tern_tune_judge((double[]){100, 101, 99}, (double[]){120, 119, 121}, 3);
    assert_false(v.is_noise);
    assert_true(fabs(v.gain - 0.2) < 1e-9 && fabs(v.spread - 0.02) < 1e-9);
    v = tern_tune_judge((double[]){100, 101, 99}, (double[]){102, 103, 101}, 3);
    assert_true(v.is_noise); /* 2 % */
    v = tern_tune_judge((double[]){80, 120, 100}, (double[]){120, 119, 121}, 3);
    assert_true(v.is_noise); /* 20 %, and the first differs by 40 % from itself */
    v = tern_tune_judge((double[]){100, 110}, (double[]){90, 90}, 2);
    assert_true(v.is_noise && v.gain < 0 && fabs(v.base - 105) < 1e-9);
    v = tern_tune_judge((double[]){0}, (double[]){10}, 1);
    assert_false(v.is_noise);
    v = tern_tune_judge((double[]){0}, (double[]){0}, 1);
    assert_true(v.is_noise);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_search_comes_near),
        cmocka_unit_test(the_search_ends),
        cmocka_unit_test(the_better_half_goes_on),
        cmocka_unit_test(the_front_has_what_nothing_beats),
        cmocka_unit_test(noise_is_no_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
