#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "stat/histogram.h"

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 11;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_slots_cover_every_value(void **state)
{
    (void)state;
    for (uint64_t v = 0; v < 1u << 20; v++) {
        uint32_t slot = tern_histogram_slot(v);
        assert_true(tern_histogram_slot_low(slot) <= v && v <= tern_histogram_slot_high(slot));
    }
    for (uint32_t slot = 1; slot < TERN_HISTOGRAM_SLOTS; slot++) {
        uint64_t low = tern_histogram_slot_low(slot);
        assert_int_equal(tern_histogram_slot(low), slot);
        assert_int_equal(tern_histogram_slot(low - 1), slot - 1);
        /* never wider than 1/128 of its values */
        assert_true((tern_histogram_slot_high(slot) - low) * TERN_HISTOGRAM_SUB <= low);
    }
    assert_int_equal(tern_histogram_slot(UINT64_MAX), TERN_HISTOGRAM_SLOTS - 1);
}

static void check_against_sorted(uint64_t *values, size_t n)
{
    static struct tern_histogram histogram;
    static const double percents[] = {0, 1, 10, 50, 90, 95, 99, 99.9, 99.99, 100};

    tern_histogram_init(&histogram);
    for (size_t i = 0; i < n; i++)
        tern_histogram_record(&histogram, values[i]);
    qsort(values, n, sizeof(values[0]), by_value);
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        double exact_rank = percents[i] / 100.0 * (double)n;
        size_t rank = (size_t)exact_rank;
        if (exact_rank - (double)rank > 1e-6 * exact_rank)
            rank++;
        uint64_t want = values[rank > 0 ? rank - 1 : 0];
        uint64_t got = tern_histogram_percentile(&histogram, percents[i]);
        double off = got > want ? (double)(got - want) : (double)(want - got);
        if (off > (double)want / 200.0) /* half a slot is 1/256 */
            fail_msg("p%g: %llu instead of %llu", percents[i], (unsigned long long)got,
                     (unsigned long long)want);
    }
    assert_int_equal(histogram.min, values[0]);
    assert_int_equal(histogram.max, values[n - 1]);
    assert_int_equal(tern_histogram_percentile(&histogram, 100), values[n - 1]);
}

static void test_percentiles_match_sorted_values(void **state)
{
    enum { N = 100000 };
    static uint64_t values[N];
    uint64_t seed = 1;

    (void)state;
    for (size_t i = 0; i < N; i++) /* uniform */
        values[i] = next(&seed) % 5000000;
    check_against_sorted(values, N);
    for (size_t i = 0; i < N; i++) /* many decades */
        values[i] = next(&seed) >> (next(&seed) % 40 + 12);
    check_against_sorted(values, N);
    for (size_t i = 0; i < N; i++) /* nearly all alike, a long tail */
        values[i] = next(&seed) % 1000 == 0 ? 80000000 + next(&seed) % 1000 : 52000;
    check_against_sorted(values, N);
    values[0] = 7;
    check_against_sorted(values, 1);
    for (size_t i = 0; i < 3; i++)
        values[i] = 100 * (i + 1);
    check_against_sorted(values, 3);
}

static void test_merge_is_recording_all(void **state)
{
    static struct tern_histogram a, b, all;
    uint64_t seed = 42;

    (void)state;
    tern_histogram_init(&a);
    tern_histogram_init(&b);
    tern_histogram_init(&all);
    for (int i = 0; i < 10000; i++) {
        uint64_t v = next(&seed) % 100000000;
        tern_histogram_record(i % 3 == 0 ? &a : &b, v);
        tern_histogram_record(&all, v);
    }
    tern_histogram_merge(&a, &b);
    assert_memory_equal(&a, &all, sizeof(all));
}

static void test_empty_and_beyond(void **state)
{
    static struct tern_histogram h;

    (void)state;
    tern_histogram_init(&h);
    assert_int_equal(tern_histogram_percentile(&h, 99), 0);
    assert_true(tern_histogram_mean(&h) == 0.0);
    tern_histogram_record(&h, (uint64_t)1 << 50); /* two weeks: the last slot, the exact max */
    assert_int_equal(tern_histogram_percentile(&h, 100), (uint64_t)1 << 50);
    assert_int_equal(h.slot[TERN_HISTOGRAM_SLOTS - 1], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_cover_every_value),
        cmocka_unit_test(test_percentiles_match_sorted_values),
        cmocka_unit_test(test_merge_is_recording_all),
        cmocka_unit_test(test_empty_and_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
