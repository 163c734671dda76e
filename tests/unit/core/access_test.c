// covers: core/vitals
// wrap: tern_clock_wall_ns
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/clock.h"
#include "core/access.h"
#include "core/vitals.h"
#include "stat/catalog.h"

uint64_t __wrap_tern_clock_wall_ns(void);
uint64_t __wrap_tern_clock_wall_ns(void)
{
    return 1772366400123456789u;
}

static char caught[TERN_LOG_LINE_MAX + 1];

static void catch_line(void *self, struct tern_str line)
{
    (void)self;
    memcpy(caught, line.p, line.n);
    caught[line.n] = '\0';
}

static void test_access_line(void **state)
{
    struct tern_log log;
    struct tern_access_line line = {
        .peer = TERN_STR("127.0.0.1:5123"),
        .method = TERN_STR("POST"),
        .path = TERN_STR("/v2/models/iris/infer"),
        .status = 200,
        .bytes_in = 120,
        .bytes_out = 340,
        .duration_ns = 51300,
        .op = TERN_STR("infer"),
        .model = TERN_STR("iris"),
        .version = 2,
        .request_id = TERN_STR("r1"),
        .trace_id = TERN_STR("4bf92f3577b34da6a3ce929d0e0e4736"),
    };

    (void)state;
    tern_log_init(&log, (struct tern_log_sink){catch_line, NULL}, TERN_LOG_INFO, TERN_LOG_TEXT,
                  false);
    tern_access_log(&log, &line);
    assert_string_equal(caught,
                        "2026-03-01 12:00:00.123 info  request  peer=127.0.0.1:5123 method=POST "
                        "path=/v2/models/iris/infer status=200 bytes_in=120 bytes_out=340 "
                        "duration=51.3us op=infer model=iris version=2 request_id=r1 "
                        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736\n");
    line.model = line.trace_id = line.request_id = line.op = (struct tern_str){NULL, 0};
    line.version = 0;
    line.status = 400;
    line.path = TERN_STR("/\nfake info");
    line.error = TERN_STR("the path is not valid");
    tern_access_log(&log, &line);
    assert_string_equal(caught, "2026-03-01 12:00:00.123 info  request  peer=127.0.0.1:5123 "
                                "method=POST path=\"/\\nfake info\" status=400 bytes_in=120 "
                                "bytes_out=340 duration=51.3us error=\"the path is not valid\"\n");
    caught[0] = '\0';
    tern_log_set_level(&log, TERN_LOG_WARN);
    tern_access_log(&log, &line);
    assert_string_equal(caught, "");
}

static void test_vitals(void **state)
{
    struct tern_metrics *m = NULL;
    struct tern_metric_set *set = NULL;

    (void)state;
    assert_int_equal(tern_metrics_new(tern_catalog_groups, TERN_CATALOG_GROUPS, 1, 8, &m, NULL),
                     TERN_OK);
    assert_int_equal(tern_metrics_get(m, &tern_catalog_process, NULL, &set, NULL), TERN_OK);
    tern_vitals_collect(set);
    tern_vitals_collect(set); /* sets, does not add */
    uint64_t rss = tern_metric_set_sum(set, offsetof(struct tern_process_cells, resident_bytes));
    assert_true(rss > 100000 && rss < (uint64_t)1 << 40);
    assert_int_equal(tern_metric_set_sum(set, offsetof(struct tern_process_cells, threads)), 1);
    assert_true(tern_metric_set_sum(set, offsetof(struct tern_process_cells, start_ns)) > 0);
    tern_metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_access_line),
        cmocka_unit_test(test_vitals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
