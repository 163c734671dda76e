/* The load generator against a small server in the same process that behaves and misbehaves. */
// covers: cli/bench_data cli/bench_load cli/bench_report cli/remote
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>
#include "base/clock.h"
#include "cli/bench.h"
#include "harness/tiny_server.h"

#define MS ((uint64_t)TERN_NS_PER_MS)

static struct tiny_server server; /* each test has a fresh one */

static int start(void **state)
{
    (void)state;
    tiny_server_start(&server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    tiny_server_stop(&server);
    return 0;
}

static struct tern_bench_options default_options(void)
{
    return (struct tern_bench_options){
        .url = tern_str_of(server.url),
        .batch = 1,
        .connections = 4,
        .threads = 2,
        .requests = 400,
        .timeout_ns = 5000 * MS,
        .spin_ns = 20000,
        .form = TERN_OUTPUT_FORM_JSON,
    };
}

static struct tern_str model = {"double", 6}; /* the argument */

/* Runs; the report as JSON (a new reference, NULL when there was none), what went to the log. */
static json_t *run(const struct tern_bench_options *options, int *ret_status, char log[4096])
{
    char *text = NULL;
    char *said = NULL;
    size_t n = 0;
    size_t said_n = 0;
    FILE *out = open_memstream(&text, &n);
    FILE *err = open_memstream(&said, &said_n);

    *ret_status = tern_bench_measure(options, model, out, err);
    fclose(out);
    fclose(err);
    snprintf(log, 4096, "%s", said);
    json_t *root = json_loads(text, 0, NULL);
    free(text);
    free(said);
    return root;
}

static int64_t number(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void check_good(struct tern_bench_options *options, int64_t want)
{
    char log[4096];
    int status = -1;
    json_t *root = run(options, &status, log);

    if (status != 0)
        fail_msg("exit %d: %s %s", status, log, root == NULL ? "" : json_dumps(root, 0));
    assert_int_equal(number(root, "requests"), want);
    assert_int_equal(number(root, "errors"), 0);
    assert_int_equal(number(root, "wrong"), 0);
    const json_t *latency = json_object_get(root, "latency_ns");
    assert_int_equal(number(latency, "count"), want);
    assert_true(number(latency, "p50") > 1000);
    assert_true(number(latency, "p50") <= number(latency, "p99"));
    assert_true(number(latency, "p99.9") <= number(latency, "max"));
    assert_true(number(root, "bytes_sent") > 100 * want);
    json_decref(root);
}

static void test_closed_loop(void **state)
{
    (void)state;
    struct tern_bench_options options = default_options();
    check_good(&options, 400);
    options.batch = 3;
    options.model_version = 3;
    options.requests = 7; /* fewer than connections and threads divide evenly */
    check_good(&options, 7);
    options.binary = true;
    options.requests = 100;
    check_good(&options, 100);
    server.chunked = 1;
    check_good(&options, 100);
    server.jitter = 1; /* other bytes, the same values within the tolerance */
    check_good(&options, 100);
    model = (struct tern_str){NULL, 0}; /* the only one served */
    check_good(&options, 100);
    model = TERN_STR("double");
}

static void test_open_loop(void **state)
{
    char log[4096];
    int status = -1;

    (void)state;
    struct tern_bench_options options = default_options();
    options.rate = 2000;
    options.requests = 0;
    options.warmup_ns = 50 * MS;
    options.duration_ns = 300 * MS;
    json_t *root = run(&options, &status, log);
    if (status != 0)
        fail_msg("exit %d: %s %s", status, log, json_dumps(root, 0));
    assert_in_range(number(root, "requests"), 598, 602); /* exactly what was asked */
    json_decref(root);
}

/* A stall of 200 ms in 1 s at 500/s delays a fifth of the requests. Counted from the moment of
 * sending, only the four in flight would show it. */
static void test_a_stall_is_seen_by_all_it_delayed(void **state)
{
    char log[4096];
    int status = -1;

    (void)state;
    server.stall_at = 300;
    server.stall_ms = 200;
    struct tern_bench_options options = default_options();
    options.rate = 500;
    options.requests = 500;
    json_t *root = run(&options, &status, log);
    assert_int_equal(status, 0);
    const json_t *latency = json_object_get(root, "latency_ns");
    assert_int_equal(number(latency, "count"), 500);
    assert_true(number(latency, "max") >= (int64_t)(180 * MS));
    assert_true(number(latency, "p90") >= (int64_t)(50 * MS));
    json_decref(root);
}

/* One connection, 20 ms a request (in fact a stall), far more asked: what was never sent is told.
 */
static void test_too_much_is_asked(void **state)
{
    char log[4096];
    int status = -1;

    (void)state;
    server.stall_at = 70;
    server.stall_ms = 300;
    struct tern_bench_options options = default_options();
    options.threads = options.connections = 1;
    options.rate = 1000;
    options.requests = 0;
    options.duration_ns = 100 * MS;
    json_t *root = run(&options, &status, log);
    assert_int_equal(status, 1);
    int64_t unsent = number(root, "unsent");
    assert_true(unsent > 10);
    assert_in_range(number(root, "requests") + unsent, 99, 101);
    json_decref(root);
}

static int64_t outcome(const json_t *root, const char *name)
{
    return number(json_object_get(root, "outcomes"), name);
}

/* The same stall, but more connections may be opened: everything leaves on time, and is late. */
static void test_an_open_loop_does_not_wait(void **state)
{
    char log[4096];
    int status = -1;

    (void)state;
    server.stall_at = 70;
    server.stall_ms = 300;
    struct tern_bench_options options = default_options();
    options.threads = options.connections = 1;
    options.connections_max = 200;
    options.rate = 1000;
    options.poisson = true;
    options.seed = 5;
    options.requests = 0;
    options.duration_ns = 100 * MS;
    options.slo_ns = 100 * MS;
    options.interval_ns = 10 * MS;
    json_t *root = run(&options, &status, log);
    assert_int_equal(status, 0);
    assert_int_equal(outcome(root, "unsent"), 0);
    assert_true(outcome(root, "late") > 10);
    assert_int_equal(outcome(root, "late") + outcome(root, "in_time"), number(root, "due"));
    assert_int_equal(number(root, "due"), number(root, "requests"));
    int64_t due = 0;
    size_t i;
    json_t *slice;
    json_array_foreach(json_object_get(root, "intervals"), i, slice) due +=
        json_integer_value(json_array_get(slice, 0));
    assert_int_equal(due, number(root, "due"));
    assert_int_equal(i, 11);
    json_decref(root);
}

static void test_wrong_answers_are_found(void **state)
{
    char log[4096];
    int status = -1;

    (void)state;
    struct tern_bench_options options = default_options();
    server.wrong_from = 200;
    json_t *root = run(&options, &status, log);
    assert_int_equal(status, 1);
    /* 64 requests taught the answers: 136 measured ones are right. */
    assert_int_equal(number(root, "wrong"), 264);
    assert_non_null(strstr(json_string_value(json_object_get(root, "first_wrong")), "recorded"));
    json_decref(root);
}

static void test_errors_are_counted(void **state)
{
    char log[4096];
    int status = -1;

    (void)state;
    struct tern_bench_options options = default_options();
    server.fail_from = 100;
    json_t *root = run(&options, &status, log);
    assert_int_equal(status, 1);
    assert_int_equal(number(root, "errors"), 364);
    assert_int_equal(outcome(root, "refused"), 364);
    assert_int_equal(outcome(root, "in_time"), 36);
    assert_int_equal(number(json_object_get(root, "right_ns"), "count"), 36);
    assert_non_null(strstr(json_string_value(json_object_get(root, "first_error")), "status 503"));
    json_decref(root);

    server.fail_from = -1;
    server.infers = 0;
    server.drop_at = 150;
    root = run(&options, &status, log);
    assert_int_equal(status, 1);
    assert_int_equal(number(root, "errors"), 1);
    assert_int_equal(number(root, "requests"), 399);
    assert_int_equal(outcome(root, "failed"), 1);
    json_decref(root);
}

static void test_connections_that_end_are_opened_again(void **state)
{
    char log[4096];
    int status = -1;

    (void)state;
    server.close_every = 10;
    struct tern_bench_options options = default_options();
    json_t *root = run(&options, &status, log);
    assert_int_equal(status, 0);
    assert_int_equal(number(root, "errors"), 0);
    assert_true(number(root, "reconnects") >= 30);
    json_decref(root);
}

static const char *write_file(const char *text)
{
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/tern-bench-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void test_data_files(void **state)
{
    static const struct {
        const char *text;
        int status;
        const char *log;
    } files[] = {
        {"[[1,2],[3,4],[5,6]]", 0, ""},
        {"{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2,2],"
         "\"data\":[1,2,3,4]}]}",
         0, ""},
        /* the newest version is 3; its recorded answers count, those of 1 do not */
        {"{\"model\":\"double\",\"tolerance\":0.001,\"inputs\":[{\"name\":\"x\",\"datatype\":"
         "\"FP32\",\"shape\":[2,2],\"data\":[[1,2],[3,4]]}],\"outputs\":{\"1\":[{\"name\":\"y\","
         "\"datatype\":\"FP32\",\"shape\":[2,2],\"data\":[9,9,9,9]}],\"3\":[{\"name\":\"y\","
         "\"datatype\":\"FP32\",\"shape\":[2,2],\"data\":[2,4,6,8.001]}]}}",
         0, ""},
        {"{\"model\":\"double\",\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2,2],"
         "\"data\":[[1,2],[3,4]]}],\"outputs\":{\"3\":[{\"name\":\"y\",\"datatype\":\"FP32\","
         "\"shape\":[2,2],\"data\":[2,4,6,8.01]}]}}",
         1, "row 1, y: 8, recorded 8.01"},
        {"{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2,2],\"data\":[1,2,3]}]}",
         2, "fewer elements"},
        {"{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP99\",\"shape\":[1],\"data\":[1]}]}", 2,
         "FP99"},
        {"{\"inputs\":[]}", 2, "inputs"},
        {"{\"rows\":1}", 2, "inputs"},
        {"[[1,2,3]]", 2, "has the shape [1,3]"},
        {"[1,", 2, "byte"},
    };
    char log[4096];

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(files); i++) {
        struct tern_bench_options options = default_options();
        const char *path = write_file(files[i].text);
        int status = -1;
        options.data = tern_str_of(path);
        options.requests = 20;
        json_decref(run(&options, &status, log));
        unlink(path);
        if (status != files[i].status || strstr(log, files[i].log) == NULL)
            fail_msg("file %zu: exit %d, \"%s\"", i, status, log);
    }
}

static void test_mistakes(void **state)
{
    char log[4096];
    int status = -1;

    (void)state;
    struct tern_bench_options options = default_options();
    model = TERN_STR("missing");
    assert_null(run(&options, &status, log));
    assert_int_equal(status, 2);
    assert_non_null(strstr(log, "404"));
    model = TERN_STR("../etc");
    assert_null(run(&options, &status, log));
    assert_int_equal(status, 2);
    model = TERN_STR("double");
    options.data = TERN_STR("/nonexistent/file.json");
    assert_null(run(&options, &status, log));
    assert_int_equal(status, 2);
    tiny_server_stop(&server);
    options.data = (struct tern_str){NULL, 0};
    assert_null(run(&options, &status, log)); /* now nobody is there */
    assert_int_equal(status, 3);
    assert_non_null(strstr(log, "tern serve"));
    options.url = TERN_STR("https://127.0.0.1");
    assert_null(run(&options, &status, log));
    assert_int_equal(status, 2);
}

static void test_text_report(void **state)
{
    char *text = NULL;
    size_t n = 0;

    (void)state;
    struct tern_bench_options options = default_options();
    options.form = TERN_OUTPUT_FORM_TABLE;
    options.rate = 2000;
    options.requests = 100;
    options.slo_ns = 1;
    options.pid = (uint64_t)getpid();
    FILE *out = open_memstream(&text, &n);
    assert_int_equal(tern_bench_measure(&options, model, out, stderr), 0);
    fclose(out);
    assert_non_null(strstr(text, "open loop, 2000/s"));
    assert_non_null(strstr(text, "answered    100 in"));
    assert_non_null(strstr(text, "errors      0\n"));
    assert_non_null(strstr(text, "outcomes    late 100.00%"));
    assert_non_null(strstr(text, "goodput     0.0 requests/s answered within 1ns, p50 "));
    assert_non_null(strstr(text, "p99.9 "));
    assert_non_null(strstr(text, "server CPU"));
    assert_non_null(strstr(text, "####"));
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_closed_loop),
        TEST(test_open_loop),
        TEST(test_a_stall_is_seen_by_all_it_delayed),
        TEST(test_too_much_is_asked),
        TEST(test_an_open_loop_does_not_wait),
        TEST(test_wrong_answers_are_found),
        TEST(test_errors_are_counted),
        TEST(test_connections_that_end_are_opened_again),
        TEST(test_data_files),
        cmocka_unit_test_setup(test_mistakes, start), /* which stops it itself */
        TEST(test_text_report),
    };
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
