// covers: explain/squares explain/draw
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
#include "explain/draw.h"
#include "explain/squares.h"

static bool is_in(const struct tern_plan *plan, uint32_t set, uint32_t feature)
{
    return plan->sets[(size_t)set * plan->words + feature / 64] >> (feature % 64) & 1;
}

static uint32_t size_of(const struct tern_plan *plan, uint32_t set)
{
    uint32_t n = 0;

    for (uint32_t f = 0; f < plan->words * 64; f++)
        n += is_in(plan, set, f);
    return n;
}

static void all_sets_have_the_kernel_s_weights(void **state)
{
    struct tern_arena arena;
    struct tern_plan plan;
    struct tern_err err;

    (void)state;
    for (uint32_t m = 2; m <= 11; m++) {
        double sum = 0, unit = 0;
        tern_arena_init(&arena, 1u << 16, 16u << 20);
        assert_int_equal(tern_plan_kernel(&plan, m, 0, 0, &arena, &err), TERN_OK);
        assert_int_equal(plan.n, (1u << m) - 2);
        for (uint32_t i = 0; i < plan.n; i++) {
            uint32_t s = size_of(&plan, i);
            double choose = exp(lgamma(m + 1.0) - lgamma(s + 1.0) - lgamma(m - s + 1.0));
            double kernel = (m - 1) / (choose * s * (m - s));
            unit = i == 0 ? plan.weights[0] / kernel : unit;
            assert_true(fabs(plan.weights[i] - unit * kernel) < 1e-12);
            sum += plan.weights[i];
            for (uint32_t k = 0; k < i; k++)
                assert_int_not_equal(plan.sets[i], plan.sets[k]);
        }
        assert_true(fabs(sum - 1) < 1e-12);
        tern_arena_fini(&arena);
    }
}

static void many_features_are_sampled(void **state)
{
    struct tern_arena arena;
    struct tern_plan plan, again, other;
    struct tern_err err;
    double sum = 0;

    (void)state;
    tern_arena_init(&arena, 1u << 16, 64u << 20);
    assert_int_equal(tern_plan_kernel(&plan, 100, 0, 1, &arena, &err), TERN_OK);
    assert_int_equal(tern_plan_kernel(&again, 100, 0, 1, &arena, &err), TERN_OK);
    assert_int_equal(tern_plan_kernel(&other, 100, 0, 2, &arena, &err), TERN_OK);
    assert_int_equal(plan.n, 2 * 100 + 2048);
    assert_memory_equal(plan.sets, again.sets, plan.n * plan.words * 8u);
    assert_memory_not_equal(plan.sets, other.sets, plan.n * plan.words * 8u);
    for (uint32_t i = 0; i < plan.n; i++) {
        uint32_t s = size_of(&plan, i);
        assert_true(s > 0 && s < 100);
        assert_true(plan.weights[i] > 0);
        sum += plan.weights[i];
    }
    assert_true(fabs(sum - 1) < 1e-9);
    tern_arena_fini(&arena);
}

static void absent_are_those_not_in_the_set(void **state)
{
    uint32_t absent[70];
    struct tern_arena arena;
    struct tern_plan plan;
    struct tern_err err;

    (void)state;
    tern_arena_init(&arena, 1u << 16, 64u << 20);
    assert_int_equal(tern_plan_kernel(&plan, 70, 200, 0, &arena, &err), TERN_OK);
    for (uint32_t i = 0; i < plan.n; i++) {
        uint32_t n = tern_plan_absent(&plan, i, absent);
        assert_int_equal(n + size_of(&plan, i), 70);
        for (uint32_t k = 0; k < n; k++) {
            assert_false(is_in(&plan, i, absent[k]));
            assert_true(k == 0 || absent[k] > absent[k - 1]);
        }
    }
    tern_arena_fini(&arena);
}

static void orders_grow_there_and_back(void **state)
{
    struct tern_arena arena;
    struct tern_plan plan;
    struct tern_err err;
    const uint32_t m = 67;

    (void)state;
    tern_arena_init(&arena, 1u << 16, 64u << 20);
    assert_int_equal(tern_plan_orders(&plan, m, 3, 5, &arena, &err), TERN_OK);
    assert_int_equal(plan.n, 3 * 2 * (m - 1));
    for (uint32_t i = 0; i < plan.n; i++) {
        uint32_t step = i % (m - 1), order = i / (m - 1);
        const uint32_t *features = plan.orders + (size_t)(order / 2) * m;
        assert_int_equal(size_of(&plan, i), step + 1);
        assert_true(is_in(&plan, i, features[order % 2 == 0 ? step : m - 1 - step]));
    }
    tern_arena_fini(&arena);
}

/* y = a + b z + c z z: what the least squares of all sets give is known in closed form. */
static void squares_find_what_is_linear(void **state)
{
    struct tern_arena arena;
    struct tern_plan plan;
    struct tern_squares squares;
    struct tern_err err;
    double *lifts, values[40], total = 0;
    const uint32_t m = 40;

    (void)state;
    tern_arena_init(&arena, 1u << 16, 64u << 20);
    assert_int_equal(tern_plan_kernel(&plan, m, 0, 3, &arena, &err), TERN_OK);
    assert_int_equal(tern_squares_init(&squares, &plan, &arena, &err), TERN_OK);
    while (!squares.is_factored)
        assert_int_equal(tern_squares_go_on(&squares, &err), TERN_OK);
    lifts = tern_arena_zalloc(&arena, plan.n, sizeof(*lifts));
    assert_non_null(lifts);
    for (uint32_t f = 0; f < m; f++)
        total += f * 0.75 - 3;
    for (uint32_t i = 0; i < plan.n; i++) {
        for (uint32_t f = 0; f < m; f++)
            lifts[i] += is_in(&plan, i, f) ? f * 0.75 - 3 : 0;
    }
    tern_squares_solve(&squares, lifts, 1, total, values);
    for (uint32_t f = 0; f < m; f++)
        assert_true(fabs(values[f] - (f * 0.75 - 3)) < 1e-9);
    tern_arena_fini(&arena);
}

static void too_few_sets_are_told(void **state)
{
    struct tern_arena arena;
    struct tern_plan plan;
    struct tern_squares squares;
    struct tern_err err;
    enum tern_code code = TERN_OK;

    (void)state;
    tern_arena_init(&arena, 1u << 16, 64u << 20);
    assert_int_equal(tern_plan_kernel(&plan, 40, 10, 3, &arena, &err), TERN_OK);
    assert_int_equal(tern_squares_init(&squares, &plan, &arena, &err), TERN_OK);
    while (!squares.is_factored && code == TERN_OK)
        code = tern_squares_go_on(&squares, &err);
    assert_int_equal(code, TERN_FAILED_PRECONDITION);
    assert_non_null(strstr(err.text, "nsamples"));
    tern_arena_fini(&arena);
}

static void draws_are_even(void **state)
{
    struct tern_draw draw = {42};
    uint32_t counts[7] = {0}, rows[7];

    (void)state;
    for (unsigned i = 0; i < 70000; i++) {
        counts[tern_draw_below(&draw, 7)]++;
        double unit = tern_draw_unit(&draw);
        assert_true(unit >= 0 && unit < 1);
    }
    for (unsigned i = 0; i < 7; i++) {
        assert_in_range(counts[i], 9500, 10500);
        rows[i] = i;
    }
    tern_draw_shuffle(&draw, rows, 7);
    uint32_t seen = 0;
    for (unsigned i = 0; i < 7; i++)
        seen |= 1u << rows[i];
    assert_int_equal(seen, 127);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sets_have_the_kernel_s_weights),
        cmocka_unit_test(many_features_are_sampled),
        cmocka_unit_test(absent_are_those_not_in_the_set),
        cmocka_unit_test(orders_grow_there_and_back),
        cmocka_unit_test(squares_find_what_is_linear),
        cmocka_unit_test(too_few_sets_are_told),
        cmocka_unit_test(draws_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
