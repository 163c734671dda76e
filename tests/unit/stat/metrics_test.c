// wrap: tern_mem_alloc_aligned tern_mem_zalloc
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/mem.h"
#include "stat/metrics.h"

static int allocations_left = -1; /* -1: no limit */

static bool may_allocate(void)
{
    if (allocations_left == 0)
        return false;
    allocations_left -= allocations_left > 0;
    return true;
}

void *__real_tern_mem_alloc_aligned(size_t align, size_t size);
void *__wrap_tern_mem_alloc_aligned(size_t align, size_t size);
void *__wrap_tern_mem_alloc_aligned(size_t align, size_t size)
{
    return may_allocate() ? __real_tern_mem_alloc_aligned(align, size) : NULL;
}

void *__real_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size)
{
    return may_allocate() ? __real_tern_mem_zalloc(count, size) : NULL;
}

struct cells {
    struct tern_counter calls[2];
    struct tern_latency wait;
    struct tern_counter depth;
    struct tern_counter load_ns;
};

static const char *const results[] = {"ok", "bad"};
static const struct tern_metric_row rows[] = {
    {"t_calls_total", "Calls.", TERN_METRIC_COUNTER, TERN_METRIC_UNIT_NONE,
     offsetof(struct cells, calls), "result", results, 2, true, TERN_METRIC_PART_OWN},
    {"t_wait_seconds", "Wait.", TERN_METRIC_HISTOGRAM, TERN_METRIC_UNIT_SECONDS,
     offsetof(struct cells, wait), NULL, NULL, 1, false, TERN_METRIC_PART_OWN},
    {"t_depth", "Depth.", TERN_METRIC_GAUGE, TERN_METRIC_UNIT_NONE, offsetof(struct cells, depth),
     NULL, NULL, 1, false, TERN_METRIC_PART_OWN},
    {"t_load_seconds", "Load.", TERN_METRIC_GAUGE, TERN_METRIC_UNIT_SECONDS,
     offsetof(struct cells, load_ns), NULL, NULL, 1, false, TERN_METRIC_PART_OWN},
};
static const struct tern_metric_group group = {"Test", {"model"}, rows, 4, sizeof(struct cells)};
static const struct tern_metric_group bare = {"Bare", {NULL}, rows, 4, sizeof(struct cells)};
static const struct tern_metric_group *const groups[] = {&group};
static const struct tern_metric_group *const bare_groups[] = {&bare};

static struct tern_metric_set *get(struct tern_metrics *m, const char *model)
{
    struct tern_metric_set *set = NULL;
    struct tern_err err;
    struct tern_str value = tern_str_of(model);

    assert_int_equal(tern_metrics_get(m, m == NULL ? NULL : &group, &value, &set, &err), TERN_OK);
    return set;
}

static struct tern_metrics *make(uint32_t shards, uint32_t sets_max)
{
    struct tern_metrics *m = NULL;
    assert_int_equal(tern_metrics_new(groups, 1, shards, sets_max, &m, NULL), TERN_OK);
    return m;
}

static void check_page(struct tern_metrics *m, const char *want)
{
    struct tern_buf buf;

    tern_buf_init(&buf, 1 << 20);
    assert_int_equal(tern_metrics_write(m, &buf, NULL), TERN_OK);
    tern_buf_add_char(&buf, '\0');
    assert_string_equal(buf.p, want);
    tern_buf_fini(&buf);
}

static void test_page(void **state)
{
    struct tern_metrics *m = make(2, 8);
    struct tern_metric_set *iris = get(m, "iris");
    struct tern_metric_set *idle = get(m, "i\"d\\l\ne");
    struct cells *one = tern_metric_set_cells(iris, 0);
    struct cells *two = tern_metric_set_cells(iris, 1);
    struct cells *shared = tern_metric_set_shared(iris);

    (void)state;
    assert_int_equal((uintptr_t)one % TERN_CACHE_LINE, 0);
    assert_true((uintptr_t)two - (uintptr_t)one >= sizeof(struct cells));
    tern_counter_add(&one->calls[0], 3);
    tern_counter_add(&two->calls[0], 4);
    tern_latency_record(&one->wait, 1000);        /* le 1e-06 is inclusive */
    tern_latency_record(&two->wait, 1001);        /* 2e-06 */
    tern_latency_record(&two->wait, 10000000001); /* above all */
    tern_latency_record(&shared->wait, 0);
    tern_counter_add(&one->depth, 5);
    tern_counter_sub(&two->depth, 7);
    tern_counter_set_shared(&shared->load_ns, 1250000000);
    tern_counter_set_shared(&shared->calls[0], 1);
    assert_int_equal(tern_metric_set_sum(iris, offsetof(struct cells, calls)), 8);
    check_page(m, "# HELP t_calls_total Calls.\n"
                  "# TYPE t_calls_total counter\n"
                  "t_calls_total{model=\"iris\",result=\"ok\"} 8\n"
                  "# HELP t_wait_seconds Wait.\n"
                  "# TYPE t_wait_seconds histogram\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"1e-06\"} 2\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"2e-06\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"5e-06\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"1e-05\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"2e-05\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"5e-05\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.0001\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.0002\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.0005\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.001\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.002\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.005\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.01\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.02\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.05\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.1\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.2\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"0.5\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"1\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"2\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"5\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"10\"} 3\n"
                  "t_wait_seconds_bucket{model=\"iris\",le=\"+Inf\"} 4\n"
                  "t_wait_seconds_sum{model=\"iris\"} 10.000002002\n"
                  "t_wait_seconds_count{model=\"iris\"} 4\n"
                  "t_wait_seconds_bucket{model=\"i\\\"d\\\\l\\ne\",le=\"+Inf\"} 0\n"
                  "t_wait_seconds_sum{model=\"i\\\"d\\\\l\\ne\"} 0\n"
                  "t_wait_seconds_count{model=\"i\\\"d\\\\l\\ne\"} 0\n"
                  "# HELP t_depth Depth.\n"
                  "# TYPE t_depth gauge\n"
                  "t_depth{model=\"iris\"} -2\n"
                  "t_depth{model=\"i\\\"d\\\\l\\ne\"} 0\n"
                  "# HELP t_load_seconds Load.\n"
                  "# TYPE t_load_seconds gauge\n"
                  "t_load_seconds{model=\"iris\"} 1.25\n"
                  "t_load_seconds{model=\"i\\\"d\\\\l\\ne\"} 0\n");
    tern_metrics_release(m, iris);
    tern_metrics_release(m, idle);
    check_page(m, "");
    tern_metrics_free(m);
}

static void test_page_without_labels(void **state)
{
    struct tern_metrics *m = NULL;
    struct tern_metric_set *set = NULL;

    (void)state;
    assert_int_equal(tern_metrics_new(bare_groups, 1, 1, 8, &m, NULL), TERN_OK);
    assert_int_equal(tern_metrics_get(m, &bare, NULL, &set, NULL), TERN_OK);
    struct cells *cells = tern_metric_set_cells(set, 0);
    tern_counter_add(&cells->calls[1], 2);
    check_page(m, "# HELP t_calls_total Calls.\n# TYPE t_calls_total counter\n"
                  "t_calls_total{result=\"bad\"} 2\n"
                  "# HELP t_wait_seconds Wait.\n# TYPE t_wait_seconds histogram\n"
                  "t_wait_seconds_bucket{le=\"+Inf\"} 0\n"
                  "t_wait_seconds_sum 0\nt_wait_seconds_count 0\n"
                  "# HELP t_depth Depth.\n# TYPE t_depth gauge\nt_depth 0\n"
                  "# HELP t_load_seconds Load.\n# TYPE t_load_seconds gauge\nt_load_seconds 0\n");
    tern_metrics_free(m);
}

static void test_same_labels_go_on_counting(void **state)
{
    struct tern_metrics *m = make(1, 8);
    struct tern_metric_set *old = get(m, "iris");

    (void)state;
    tern_counter_add(&((struct cells *)tern_metric_set_cells(old, 0))->calls[0], 1);
    struct tern_metric_set *again = get(m, "iris"); /* a reload, the old one still draining */
    assert_ptr_equal(old, again);
    tern_metrics_release(m, old);
    assert_int_equal(tern_metric_set_sum(again, offsetof(struct cells, calls)), 1);
    tern_metrics_release(m, again);
    struct tern_metric_set *fresh = get(m, "iris");
    assert_int_equal(tern_metric_set_sum(fresh, offsetof(struct cells, calls)), 0);
    tern_metrics_free(m); /* frees what is left */
}

static void test_cardinality_is_bounded(void **state)
{
    struct tern_metrics *m = make(1, 2);
    struct tern_buf buf;

    (void)state;
    struct tern_metric_set *a = get(m, "a");
    struct tern_metric_set *b = get(m, "b");
    struct tern_metric_set *c = get(m, "c");
    struct tern_metric_set *d = get(m, "d");
    assert_ptr_equal(c, d);
    assert_ptr_not_equal(b, c);
    tern_buf_init(&buf, 1 << 20);
    assert_int_equal(tern_metrics_write(m, &buf, NULL), TERN_OK);
    tern_buf_add_char(&buf, '\0');
    assert_non_null(strstr(buf.p, "t_depth{model=\"__overflow__\"} 0\n"));
    assert_null(strstr(buf.p, "model=\"c\""));
    tern_buf_fini(&buf);
    tern_metrics_release(m, c);
    tern_metrics_release(m, d);
    tern_metrics_release(m, a);
    struct tern_metric_set *e = get(m, "e"); /* there is room again */
    assert_ptr_equal(get(m, "e"), e);
    tern_metrics_free(m);
}

static void test_bad_label_values(void **state)
{
    struct tern_metrics *m = make(1, 8);
    struct tern_buf buf;
    char longest[1000];

    (void)state;
    memset(longest, '\\', sizeof(longest));
    longest[999] = '\0';
    get(m, longest);
    get(m, "caf\xc3\xa9");
    get(m, "bad\xff");
    get(m, "tab\t");
    tern_buf_init(&buf, 1 << 20);
    assert_int_equal(tern_metrics_write(m, &buf, NULL), TERN_OK);
    tern_buf_add_char(&buf, '\0');
    assert_non_null(strstr(buf.p, "t_depth{model=\"caf\xc3\xa9\"} 0\n"));
    assert_non_null(strstr(buf.p, "t_depth{model=\"bad?\"} 0\n"));
    assert_non_null(strstr(buf.p, "t_depth{model=\"tab?\"} 0\n"));
    tern_buf_fini(&buf);
    tern_metrics_free(m);
}

static void test_latency_slots(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TERN_LATENCY_BOUNDS; i++) {
        assert_int_equal(tern_latency_slot(tern_latency_bound_ns[i]), i);
        assert_int_equal(tern_latency_slot(tern_latency_bound_ns[i] + 1), i + 1);
    }
    assert_int_equal(tern_latency_slot(0), 0);
    assert_int_equal(tern_latency_slot(UINT64_MAX), TERN_LATENCY_BOUNDS);
    for (uint32_t bit = 0; bit < 64; bit++) { /* every octave against a plain search */
        for (int d = -1; d <= 1; d++) {
            uint64_t v = ((uint64_t)1 << bit) + (uint64_t)(int64_t)d;
            uint32_t want = 0;
            while (want < TERN_LATENCY_BOUNDS && v > tern_latency_bound_ns[want])
                want++;
            assert_int_equal(tern_latency_slot(v), want);
        }
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    for (int n = 0;; n++) {
        struct tern_metrics *m = NULL;
        struct tern_metric_set *set = NULL;
        struct tern_err err;
        struct tern_str value = TERN_STR("iris");

        allocations_left = n;
        enum tern_code code = tern_metrics_new(groups, 1, 2, 8, &m, &err);
        if (code == TERN_OK)
            code = tern_metrics_get(m, &group, &value, &set, &err);
        allocations_left = -1;
        if (m != NULL)
            check_page(m, set == NULL
                              ? ""
                              : "# HELP t_calls_total Calls.\n# TYPE t_calls_total counter\n"
                                "# HELP t_wait_seconds Wait.\n# TYPE t_wait_seconds histogram\n"
                                "t_wait_seconds_bucket{model=\"iris\",le=\"+Inf\"} 0\n"
                                "t_wait_seconds_sum{model=\"iris\"} 0\n"
                                "t_wait_seconds_count{model=\"iris\"} 0\n"
                                "# HELP t_depth Depth.\n# TYPE t_depth gauge\n"
                                "t_depth{model=\"iris\"} 0\n"
                                "# HELP t_load_seconds Load.\n# TYPE t_load_seconds gauge\n"
                                "t_load_seconds{model=\"iris\"} 0\n");
        tern_metrics_free(m);
        if (code == TERN_OK)
            break;
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
        assert_true(n < 20);
    }
}

static void test_page_over_its_maximum(void **state)
{
    struct tern_metrics *m = make(1, 8);
    struct tern_buf buf;
    struct tern_err err;

    (void)state;
    get(m, "iris");
    tern_buf_init(&buf, 100);
    assert_int_equal(tern_metrics_write(m, &buf, &err), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "metrics page"));
    tern_buf_fini(&buf);
    tern_metrics_free(m);
}

struct writer {
    struct cells *cells;
};

static void *write_much(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < 100000; i++) {
        tern_counter_add(&w->cells->calls[0], 1);
        tern_latency_record(&w->cells->wait, (uint64_t)i * 100);
    }
    return NULL;
}

static void test_threads_lose_nothing(void **state)
{
    struct tern_metrics *m = make(2, 8);
    struct tern_metric_set *set = get(m, "iris");
    pthread_t threads[2];
    struct writer writers[2];
    struct tern_buf buf;

    (void)state;
    tern_buf_init(&buf, 1 << 20);
    for (uint32_t i = 0; i < 2; i++) {
        writers[i] = (struct writer){tern_metric_set_cells(set, i)};
        assert_int_equal(pthread_create(&threads[i], NULL, write_much, &writers[i]), 0);
    }
    for (int i = 0; i < 50; i++) { /* scrapes run beside them */
        tern_buf_clear(&buf);
        assert_int_equal(tern_metrics_write(m, &buf, NULL), TERN_OK);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(tern_metric_set_sum(set, offsetof(struct cells, calls[0])), 200000);
    tern_buf_fini(&buf);
    tern_metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_page_without_labels),
        cmocka_unit_test(test_same_labels_go_on_counting),
        cmocka_unit_test(test_cardinality_is_bounded),
        cmocka_unit_test(test_bad_label_values),
        cmocka_unit_test(test_latency_slots),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_page_over_its_maximum),
        cmocka_unit_test(test_threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
