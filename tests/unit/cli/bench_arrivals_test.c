/* When requests are due: shares of a constant rate, and arrivals by chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include "base/clock.h"
#include "cli/bench_arrivals.h"

static uint64_t take(struct tern_bench_arrivals *a)
{
    uint64_t due = tern_bench_arrivals_due(a);
    tern_bench_arrivals_pop(a);
    return due;
}

static void shares_take_turns(void **state)
{
    struct tern_bench_arrivals share[3];

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        tern_bench_arrivals_init(&share[i], 5000, 1000, i, 3);
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t due = take(&share[i % 3]), want = 5000 + i * TERN_NS_PER_MS;
        assert_in_range(due, want - 1, want + 1);
    }
}

/* Gaps of a Poisson process: mean and deviation are both the interval, and a share 1/e of them is
 * longer than it. */
static void chance_has_the_right_rate(void **state)
{
    struct tern_bench_arrivals a;
    const int n = 200000;
    double sum = 0, squares = 0;
    int longer = 0;
    uint64_t last = 0;

    (void)state;
    tern_bench_arrivals_init(&a, 0, 10000, 0, 2);
    tern_bench_arrivals_scatter(&a, 7);
    for (int i = 0; i < n; i++) {
        uint64_t due = take(&a);
        assert_true(due >= last);
        double gap = (double)(due - last) / (2e9 / 10000);
        sum += gap;
        squares += gap * gap;
        longer += gap > 1 ? 1 : 0;
        last = due;
    }
    assert_float_equal((float)(sum / n), 1.0f, 0.01f);
    assert_float_equal((float)(squares / n), 2.0f, 0.05f);
    assert_float_equal((float)longer / (float)n, 0.3679f, 0.005f);
}

static void a_seed_repeats(void **state)
{
    struct tern_bench_arrivals a, b, c;

    (void)state;
    tern_bench_arrivals_init(&a, 1, 1000, 0, 1);
    b = c = a;
    tern_bench_arrivals_scatter(&a, 3);
    tern_bench_arrivals_scatter(&b, 3);
    tern_bench_arrivals_scatter(&c, 4);
    for (int i = 0; i < 100; i++)
        assert_int_equal(take(&a), take(&b));
    assert_int_not_equal(take(&a), take(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_take_turns),
        cmocka_unit_test(chance_has_the_right_rate),
        cmocka_unit_test(a_seed_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
