/* The catalogue and its page in doc/. TERN_UPDATE=1 writes the page anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "stat/catalog.h"

#define DOC "doc/metrics.md"

static const char doc_head[] =
    "# Metrics\n"
    "\n"
    "`GET /metrics` answers all of these in Prometheus' text format. This page is generated from\n"
    "`src/stat/catalog.c`; a test compares the two (`TERN_UPDATE=1 make test-unit` writes it "
    "anew).\n"
    "\n"
    "- Durations are in seconds. Histogram buckets: 1, 2, 5 in each decade from 1 us to 10 s. A\n"
    "  histogram that never saw a value shows its `+Inf` bucket, sum and count only.\n"
    "- `tern_requests_total` shows only the pairs of `op` and `code` that occurred.\n"
    "- Label values are bounded: past the limit on models and versions, further ones are counted\n"
    "  together under `__overflow__`.\n"
    "- Counters of a model version go on over a reload and end when it is unloaded.\n";

static void test_doc_is_current(void **state)
{
    struct tern_buf buf;
    static char have[1 << 16];

    (void)state;
    tern_buf_init(&buf, 1 << 16);
    TERN_BUF_ADD_LITERAL(&buf, doc_head);
    tern_metrics_write_doc(tern_catalog_groups, TERN_CATALOG_GROUPS, &buf);
    assert_false(buf.failed);
    FILE *f = NULL;
    if (getenv("TERN_UPDATE") != NULL) {
        f = fopen(DOC, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(buf.p, 1, buf.n, f), buf.n);
        assert_int_equal(fclose(f), 0);
    }
    f = fopen(DOC, "rb");
    assert_non_null(f);
    size_t n = fread(have, 1, sizeof(have), f);
    fclose(f);
    if (n != buf.n || memcmp(have, buf.p, n) != 0)
        fail_msg(DOC " differs from src/stat/catalog.c: run TERN_UPDATE=1 make test-unit");
    tern_buf_fini(&buf);
}

static void test_rows_are_well_formed(void **state)
{
    (void)state;
    for (uint32_t g = 0; g < TERN_CATALOG_GROUPS; g++) {
        const struct tern_metric_group *group = tern_catalog_groups[g];
        for (uint32_t r = 0; r < group->n_rows; r++) {
            const struct tern_metric_row *row = &group->rows[r];
            size_t cell = row->type == TERN_METRIC_HISTOGRAM ? sizeof(struct tern_latency)
                                                             : sizeof(struct tern_counter);
            assert_true(row->offset + cell * row->n_values <= group->cells_size);
            struct tern_str name = tern_str_of(row->name);
            bool total = tern_str_ends(name, TERN_STR("_total"));
            assert_true(total == (row->type == TERN_METRIC_COUNTER));
            bool seconds = strstr(row->name, "_seconds") != NULL;
            assert_true(seconds == (row->unit == TERN_METRIC_UNIT_SECONDS));
            assert_true(tern_str_ends(tern_str_of(row->help), TERN_STR(".")));
        }
    }
}

static void test_page_of_a_server(void **state)
{
    struct tern_metrics *m = NULL;
    struct tern_metric_set *op = NULL;
    struct tern_metric_set *model = NULL;
    struct tern_str infer = TERN_STR("infer");
    struct tern_str iris[] = {TERN_STR("iris"), TERN_STR("1")};
    struct tern_buf buf;

    (void)state;
    tern_buf_init(&buf, 1 << 20);
    assert_int_equal(tern_metrics_new(tern_catalog_groups, TERN_CATALOG_GROUPS, 2, 64, &m, NULL),
                     TERN_OK);
    assert_int_equal(tern_metrics_get(m, &tern_catalog_op, &infer, &op, NULL), TERN_OK);
    assert_int_equal(tern_metrics_get(m, &tern_catalog_model, iris, &model, NULL), TERN_OK);
    struct tern_op_cells *op_cells = tern_metric_set_cells(op, 1);
    tern_counter_add(&op_cells->requests[TERN_RESOURCE_EXHAUSTED], 2);
    struct tern_model_cells *cells = tern_metric_set_cells(model, 0);
    tern_counter_add(&cells->requests[tern_outcome_of(TERN_RESOURCE_EXHAUSTED)], 2);
    tern_latency_record(&cells->stage[TERN_STAGE_QUEUE], 1500);
    assert_int_equal(tern_metrics_write(m, &buf, NULL), TERN_OK);
    tern_buf_add_char(&buf, '\0');
    assert_non_null(
        strstr(buf.p, "\ntern_requests_total{op=\"infer\",code=\"resource_exhausted\"} 2\n"));
    assert_non_null(strstr(
        buf.p,
        "\ntern_model_requests_total{model=\"iris\",version=\"1\",outcome=\"rejected\"} 2\n"));
    assert_non_null(strstr(buf.p, "\ntern_model_stage_duration_seconds_sum{model=\"iris\","
                                  "version=\"1\",stage=\"queue\"} 0.0000015\n"));
    assert_string_equal(tern_stage_label(TERN_STAGE_INFER), "infer");
    assert_string_equal(tern_outcome_label(TERN_OUTCOME_EXPIRED), "expired");
    tern_buf_fini(&buf);
    tern_metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doc_is_current),
        cmocka_unit_test(test_rows_are_well_formed),
        cmocka_unit_test(test_page_of_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
