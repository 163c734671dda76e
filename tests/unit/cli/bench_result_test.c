/* Outcomes of requests: each is counted once, in its slice, and threads add up. */
// wrap: tern_mem_zalloc
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "cli/bench_result.h"

#define MS ((uint64_t)TERN_NS_PER_MS)

static bool no_memory;

void *__real_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size)
{
    return no_memory ? NULL : __real_tern_mem_zalloc(count, size);
}

static const struct tern_bench_options options = {
    .slo_ns = 20 * MS, .interval_ns = 100 * MS, .duration_ns = 300 * MS};

static void each_request_has_one_outcome(void **state)
{
    static struct tern_bench_result a, b;

    (void)state;
    assert_int_equal(tern_bench_result_init(&a, &options, NULL), TERN_OK);
    assert_int_equal(tern_bench_result_init(&b, &options, NULL), TERN_OK);
    a.start_ns = b.start_ns = 1000 * MS;
    tern_bench_result_count(&a, &options, 1000 * MS, 20 * MS, TERN_BENCH_IN_TIME);
    tern_bench_result_count(&a, &options, 1099 * MS, 21 * MS, TERN_BENCH_IN_TIME); /* is late */
    tern_bench_result_count(&b, &options, 1100 * MS, 1 * MS, TERN_BENCH_REFUSED);
    tern_bench_result_count(&b, &options, 9999 * MS, 1 * MS, TERN_BENCH_WRONG);
    b.sending_ns = 300 * MS;
    tern_bench_note(b.first_error, "full");
    tern_bench_result_add(&a, &b);
    tern_bench_note(a.first_error, "not the first");
    assert_int_equal(tern_bench_result_due(&a), 4);
    assert_int_equal(a.outcome[TERN_BENCH_IN_TIME], 1);
    assert_int_equal(a.outcome[TERN_BENCH_LATE], 1);
    assert_int_equal(a.outcome[TERN_BENCH_REFUSED], 1);
    assert_int_equal(a.outcome[TERN_BENCH_WRONG], 1);
    assert_int_equal(a.latency.count, 4);
    assert_int_equal(a.right.count, 2);
    assert_int_equal(a.right.max, 21 * MS);
    assert_int_equal(a.n_slices, 4);
    assert_int_equal(a.slices[0].due, 2);
    assert_int_equal(a.slices[0].in_time, 1);
    assert_int_equal(a.slices[1].due, 1);
    assert_int_equal(a.slices[3].due, 1); /* the last takes what is beyond */
    assert_int_equal(a.sending_ns, 300 * MS);
    assert_string_equal(a.first_error, "full");
    tern_bench_result_fini(&a);
    tern_bench_result_fini(&b);
}

static void statuses_say_what_happened(void **state)
{
    (void)state;
    assert_int_equal(tern_bench_outcome_of_status(429), TERN_BENCH_REFUSED);
    assert_int_equal(tern_bench_outcome_of_status(503), TERN_BENCH_REFUSED);
    assert_int_equal(tern_bench_outcome_of_status(504), TERN_BENCH_TIMEOUT);
    assert_int_equal(tern_bench_outcome_of_status(500), TERN_BENCH_FAILED);
    assert_string_equal(tern_bench_outcome_name(TERN_BENCH_UNSENT), "unsent");
}

static void intervals_have_a_bound(void **state)
{
    static struct tern_bench_result r;
    struct tern_bench_options o = options;
    struct tern_err err;

    (void)state;
    o.duration_ns = 0;
    assert_int_equal(tern_bench_result_init(&r, &o, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "--duration"));
    o.duration_ns = 3600 * 1000 * MS;
    o.interval_ns = MS;
    assert_int_equal(tern_bench_result_init(&r, &o, &err), TERN_INVALID_ARGUMENT);
    no_memory = true;
    assert_int_equal(tern_bench_result_init(&r, &options, &err), TERN_RESOURCE_EXHAUSTED);
    no_memory = false;
    tern_bench_result_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_has_one_outcome),
        cmocka_unit_test(statuses_say_what_happened),
        cmocka_unit_test(intervals_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
