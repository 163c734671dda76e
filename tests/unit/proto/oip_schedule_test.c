/* GET .../schedule as JSON, which jansson reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>

#include "core/schedule.h"
#include "harness/fake_exchange.h"
#include "proto/oip_int.h"

static void expect_body(const struct tern_schedule *schedule, const char *expected)
{
    struct fake_exchange fake;
    struct tern_err err = {0};

    fake_init(&fake);
    fake.call.schedule = schedule;
    assert_int_equal(tern_oip_encode_schedule(&fake.call, &err), TERN_OK);
    assert_string_equal(fake_response(&fake).p, expected);
    json_t *parsed = json_loads(expected, JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
    fake_fini(&fake);
}

static void all_of_it(void **state)
{
    static const struct tern_schedule_size sizes[] = {{1, 7, 1500, 2000}, {8, 1, 9000, 9100}};
    static const struct tern_schedule_bucket buckets[] = {
        {.waiting = 2},
        {.waiting = 1, .rows_per_s = 99.95, .gains = true, .sizes = sizes, .n_sizes = 2}};
    static const struct tern_schedule_decision decisions[] = {
        {1200, {"enough", 6}, {"runs \"8\" rows", 13}}, {3400, {"dry", 3}, {"x", 1}}};
    static const struct tern_schedule schedule = {
        .name = {"m\n", 2},
        .version = 3,
        .place = {"lane", 4},
        .batching = {"adaptive", 8},
        .why = {"up to 8 rows", 12},
        .max_rows = 8,
        .unit = {"rows", 4},
        .slo_ns = 10000000,
        .instances = 2,
        .busy = 1,
        .waiting = 3,
        .runs = UINT64_MAX,
        .requests = 5,
        .shed = 6,
        .timed_out = 7,
        .late = 8,
        .buckets = buckets,
        .n_buckets = 2,
        .decisions = decisions,
        .n_decisions = 2,
    };

    (void)state;
    expect_body(
        &schedule,
        "{\"name\":\"m\\n\",\"runs_on\":\"lane\",\"batching\":\"adaptive\",\"why\":\"up to 8 "
        "rows\","
        "\"unit\":\"rows\",\"version\":\"3\",\"max_batch\":8,\"slo_us\":10000.0,\"instances\":2,"
        "\"busy\":1,\"waiting\":3,\"runs\":18446744073709551615,\"requests\":5,\"shed\":6,"
        "\"timed_out\":7,\"late\":8,\"shapes\":["
        "{\"waiting\":2,\"arrivals_per_second\":0.0,\"batches_pay\":false,\"run_times\":[]},"
        "{\"waiting\":1,\"arrivals_per_second\":100.0,\"batches_pay\":true,\"run_times\":["
        "{\"size\":1,\"runs\":7,\"p50_us\":1.5,\"p99_us\":2.0},"
        "{\"size\":8,\"runs\":1,\"p50_us\":9.0,\"p99_us\":9.1}]}],\"decisions\":["
        "{\"ago_us\":1.2,\"reason\":\"enough\",\"text\":\"runs \\\"8\\\" rows\"},"
        "{\"ago_us\":3.4,\"reason\":\"dry\",\"text\":\"x\"}]}");
}

static void nothing_yet(void **state)
{
    static const struct tern_schedule schedule = {.name = {"m", 1}, .place = {"graph", 5}};

    (void)state;
    expect_body(
        &schedule,
        "{\"name\":\"m\",\"runs_on\":\"graph\",\"batching\":\"\",\"why\":\"\",\"unit\":\"\","
        "\"version\":\"0\",\"max_batch\":0,\"slo_us\":0.0,\"instances\":0,\"busy\":0,"
        "\"waiting\":0,\"runs\":0,\"requests\":0,\"shed\":0,\"timed_out\":0,\"late\":0,"
        "\"shapes\":[],\"decisions\":[]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it),
        cmocka_unit_test(nothing_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
