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
    "- Counters of a model version go on over a reload and end when it is unloaded.\n"
    "- Names that begin with `nv_` are Triton's, shown while `metrics.triton` is on; its "
    "summaries\n"
    "  only with `metrics.summaries`. They are quantiles of all that happened since the start, as\n"
    "  exact as the buckets. `compute_input` is the time from bytes to tensors, `compute_output`\n"
    "  from tensors to bytes.\n";

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
            bool slots = row->type == TERN_METRIC_HISTOGRAM || row->type == TERN_METRIC_SUMMARY;
            size_t cell = slots ? sizeof(struct tern_latency) : sizeof(struct tern_counter);
            assert_true(row->offset + cell * row->n_values <= group->cells_size);
            struct tern_str name = tern_str_of(row->name);
            bool ours = row->part == TERN_METRIC_PART_OWN;
            assert_true(tern_str_starts(name, TERN_STR("nv_")) != ours);
            if (!ours) /* Triton has names of its own kind */
                continue;
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
    tern_buf_fini(&buf);
    tern_metrics_free(m);
}

static void test_page_in_tritons_names(void **state)
{
    struct tern_metrics *m = NULL;
    struct tern_metric_set *model = NULL;
    struct tern_str iris[] = {TERN_STR("iris"), TERN_STR("1")};
    struct tern_buf buf;

    (void)state;
    tern_buf_init(&buf, 1 << 20);
    assert_int_equal(tern_metrics_new(tern_catalog_groups, TERN_CATALOG_GROUPS, 1, 64, &m, NULL),
                     TERN_OK);
    assert_int_equal(tern_metrics_get(m, &tern_catalog_model, iris, &model, NULL), TERN_OK);
    struct tern_model_cells *cells = tern_metric_set_cells(model, 0);
    tern_counter_add(&cells->requests[TERN_OUTCOME_OK], 2);
    tern_counter_add(&cells->failures[tern_failure_of(TERN_CANCELLED)], 3);
    tern_latency_record(&cells->stage[TERN_STAGE_QUEUE], 1500);
    tern_latency_record(&cells->stage[TERN_STAGE_QUEUE], 2500);
    assert_int_equal(tern_metrics_write(m, &buf, NULL), TERN_OK);
    tern_buf_add_char(&buf, '\0');
    assert_null(strstr(buf.p, "nv_"));
    tern_buf_clear(&buf);
    tern_metrics_show(m, ~0u);
    assert_int_equal(tern_metrics_write(m, &buf, NULL), TERN_OK);
    tern_buf_add_char(&buf, '\0');
    static const char *const lines[] = {
        "\nnv_inference_request_success{model=\"iris\",version=\"1\"} 2\n",
        "\nnv_inference_request_failure{model=\"iris\",reason=\"CANCELED\",version=\"1\"} 3\n",
        "\nnv_inference_request_failure{model=\"iris\",reason=\"OTHER\",version=\"1\"} 0\n",
        "\nnv_inference_queue_duration_us{model=\"iris\",version=\"1\"} 4\n",
        "\n# TYPE nv_inference_queue_summary_us summary\n",
        "\nnv_inference_queue_summary_us{model=\"iris\",version=\"1\",quantile=\"0.5\"} 2\n",
        "\nnv_inference_queue_summary_us{model=\"iris\",version=\"1\",quantile=\"0.9\"} 4.4\n",
        "\nnv_inference_queue_summary_us_sum{model=\"iris\",version=\"1\"} 4\n",
        "\nnv_inference_queue_summary_us_count{model=\"iris\",version=\"1\"} 2\n",
    };
    for (size_t i = 0; i < TERN_COUNT_OF(lines); i++) {
        if (strstr(buf.p, lines[i]) == NULL)
            fail_msg("no %s in %s", lines[i], buf.p);
    }
    assert_null(strstr(buf.p, "nv_inference_request_summary_us{")); /* nothing was recorded */
    tern_buf_fini(&buf);
    tern_metrics_free(m);
}

static void test_tags_and_triton_buckets(void **state)
{
    static const struct tern_metric_tag tags[] = {
        {{"te am", 5}, {"a\"b", 3}}, {{"b", 1}, {"", 0}}, {{"", 0}, {"c", 1}},
        {{"d", 1}, {"", 0}},         {{"e", 1}, {"", 0}}, {{"f", 1}, {"", 0}},
        {{"g", 1}, {"", 0}},         {{"h", 1}, {"", 0}}, {{"one too many", 12}, {"", 0}},
    };
    struct tern_metrics *m = NULL;
    struct tern_metric_set *set = NULL, *same = NULL, *other = NULL;
    struct tern_str iris[] = {TERN_STR("iris"), TERN_STR("1")};
    struct tern_buf buf;

    (void)state;
    tern_buf_init(&buf, 1 << 20);
    assert_int_equal(tern_metrics_new(tern_catalog_groups, TERN_CATALOG_GROUPS, 1, 64, &m, NULL),
                     TERN_OK);
    tern_metrics_show(m, ~0u);
    const struct tern_metric_group *group = &tern_catalog_answers;
    assert_int_equal(tern_metrics_get_tagged(m, group, iris, tags, TERN_COUNT_OF(tags), &set, NULL),
                     TERN_OK);
    assert_int_equal(tern_metrics_get_tagged(m, group, iris, tags, 8, &same, NULL), TERN_OK);
    assert_int_equal(tern_metrics_get(m, group, iris, &other, NULL), TERN_OK);
    assert_ptr_equal(set, same);
    assert_ptr_not_equal(set, other);
    struct tern_answers_cells *cells = tern_metric_set_cells(set, 0);
    tern_latency_record(&cells->first, 99 * 1000000ull);
    tern_latency_record(&cells->first, 1999 * 1000000ull);
    tern_latency_record(&cells->first, 6000 * 1000000ull);
    assert_int_equal(tern_metrics_write(m, &buf, NULL), TERN_OK);
    tern_buf_add_char(&buf, '\0');
#define NAME "\nnv_inference_first_response_histogram_ms_"
#define LABELS                                                                                 \
    "{model=\"iris\",version=\"1\",_te_am=\"a\\\"b\",_b=\"\",_=\"c\",_d=\"\",_e=\"\",_f=\"\"," \
    "_g=\"\",_h=\"\""
    assert_non_null(strstr(buf.p, NAME "bucket" LABELS ",le=\"100\"} 1" NAME "bucket" LABELS
                                       ",le=\"500\"} 1" NAME "bucket" LABELS ",le=\"2000\"} 2" NAME
                                       "bucket" LABELS ",le=\"5000\"} 2" NAME "bucket" LABELS
                                       ",le=\"+Inf\"} 3" NAME "sum" LABELS "} 8098" NAME
                                       "count" LABELS "} 3\n"));
#undef NAME
#undef LABELS
    tern_buf_fini(&buf);
    tern_metrics_free(m);
}

/* Sizes that hash alike stand beside each other; past the bound they are left out. */
static void test_batch_sizes(void **state)
{
    static struct tern_batch_cells cells[TERN_BATCH_SIZES_MAX];
    uint64_t sum = 0;

    (void)state;
    for (uint64_t i = 1; i <= 2 * TERN_BATCH_SIZES_MAX; i++)
        tern_batch_count(cells, i * TERN_BATCH_SIZES_MAX, 1, 2, 3);
    tern_batch_count(cells, TERN_BATCH_SIZES_MAX, 10, 20, 30);
    for (size_t i = 0; i < TERN_BATCH_SIZES_MAX; i++)
        sum += cells[i].count.value;
    assert_int_equal(sum, TERN_BATCH_SIZES_MAX + 1);
    assert_int_equal(cells[0].size.value, TERN_BATCH_SIZES_MAX);
    assert_int_equal(cells[0].count.value, 2);
    assert_int_equal(cells[0].input_ns.value, 11);
    assert_int_equal(cells[0].output_ns.value, 33);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doc_is_current),
        cmocka_unit_test(test_rows_are_well_formed),
        cmocka_unit_test(test_page_of_a_server),
        cmocka_unit_test(test_page_in_tritons_names),
        cmocka_unit_test(test_tags_and_triton_buckets),
        cmocka_unit_test(test_batch_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
