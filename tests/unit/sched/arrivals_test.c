#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/random.h"
#include "sched/arrivals.h"

#define MS UINT64_C(1000000)

static void nothing_came(void **state)
{
    (void)state;
    struct tern_arrivals arrivals = {0};

    assert_true(tern_arrivals_rate(&arrivals, 5 * MS) == 0);
    tern_arrivals_add(&arrivals, 5 * MS, 8);
    assert_true(tern_arrivals_rate(&arrivals, 6 * MS) == 0); /* one alone has no rate */
}

static void the_first_of_a_window_opens_it(void **state)
{
    (void)state;
    struct tern_arrivals arrivals = {0};

    tern_arrivals_add(&arrivals, 10 * MS, 100);
    tern_arrivals_add(&arrivals, 11 * MS, 2);
    tern_arrivals_add(&arrivals, 12 * MS, 4);
    assert_true(tern_arrivals_rate(&arrivals, 12 * MS) == 3000);
    assert_true(tern_arrivals_rate(&arrivals, 16 * MS) == 1000); /* and the time goes on */
}

static void two_at_once_are_no_division_by_zero(void **state)
{
    (void)state;
    struct tern_arrivals arrivals = {0};

    tern_arrivals_add(&arrivals, MS, 1);
    tern_arrivals_add(&arrivals, MS, 1);
    assert_true(tern_arrivals_rate(&arrivals, MS) == 1e9);
    assert_true(tern_arrivals_rate(&arrivals, 0) == 1e9); /* a clock that is behind */
}

static void a_new_rate_is_known_after_a_window(void **state)
{
    (void)state;
    struct tern_arrivals arrivals = {0};
    uint64_t now = MS;

    for (uint32_t i = 0; i < 1000; i++)
        tern_arrivals_add(&arrivals, now += MS, 1);
    assert_true(tern_arrivals_rate(&arrivals, now) == 1000);
    for (uint32_t i = 0; i < TERN_ARRIVALS_WINDOW; i++)
        tern_arrivals_add(&arrivals, now += MS / 10, 3);
    assert_true(tern_arrivals_rate(&arrivals, now) == 30000);
}

/* Of gaps that vary between nothing and twice their mean, the rate is within a third of the truth.
 */
static void chance_does_not_mislead_it(void **state)
{
    (void)state;
    struct tern_arrivals arrivals = {0};
    uint64_t random = 1, now = MS;
    uint32_t n_off = 0;

    for (uint32_t i = 0; i < 100000; i++) {
        double u = random_unit(&random) + random_unit(&random);
        tern_arrivals_add(&arrivals, now += 1 + (uint64_t)(u * (double)MS), 1);
        double rate = tern_arrivals_rate(&arrivals, now);
        n_off += i >= TERN_ARRIVALS_WINDOW && (rate < 667 || rate > 1500);
    }
    assert_true(n_off < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_came),
        cmocka_unit_test(the_first_of_a_window_opens_it),
        cmocka_unit_test(two_at_once_are_no_division_by_zero),
        cmocka_unit_test(a_new_rate_is_known_after_a_window),
        cmocka_unit_test(chance_does_not_mislead_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
