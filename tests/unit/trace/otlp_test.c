/* Spans as OTLP's JSON; jansson reads them back. Sending itself is tested end to end. */
// covers: os/curl
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "trace/otlp.h"
#include "trace/sampler.h"

static const struct tern_trace_record whole = {
    .level = TERN_TRACE_TIMESTAMPS,
    .status = 200,
    .model = {"m\"1", 3},
    .version = 2,
    .request_id = {"r7", 2},
    .trace = {.trace_id = {0xab, 1}, .span_id = {0xcd, 2}, .parent_id = {0xef, 3}},
    .span = {0xde, 4},
    .at = {10, 20, 20, 30, 40, 40, 50, 50, 50, 60, 60, 70},
};

/* Never got to the model. */
static const struct tern_trace_record refused = {
    .code = TERN_INVALID_ARGUMENT,
    .status = 400,
    .model = {"m", 1},
    .version = 2,
    .trace = {.trace_id = {1}, .span_id = {2}},
    .span = {3},
    .at = {[TERN_TRACE_AT_RECV_START] = 1,
           [TERN_TRACE_AT_REQUEST_START] = 2,
           [TERN_TRACE_AT_REQUEST_END] = 3,
           [TERN_TRACE_AT_SEND_END] = 4},
};

static json_t *format(const struct tern_trace_record *const *records, uint32_t n)
{
    struct tern_buf out;
    json_error_t why;

    tern_buf_init(&out, 1 << 20);
    tern_otlp_format(TERN_STR("{\"key\":\"k\",\"value\":{\"stringValue\":\"v\"}}"), records, n,
                     1000, &out);
    assert_false(out.failed);
    json_t *root = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL)
        fail_msg("%s", why.text);
    tern_buf_fini(&out);
    return root;
}

static json_t *spans_of(json_t *root)
{
    json_t *resource = json_array_get(json_object_get(root, "resourceSpans"), 0);
    json_t *scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
    return json_object_get(scope, "spans");
}

static const char *text(json_t *span, const char *key)
{
    const char *value = json_string_value(json_object_get(span, key));
    return value == NULL ? "" : value;
}

static void a_request_is_a_tree_of_spans(void **state)
{
    const struct tern_trace_record *records[] = {&whole};
    static const struct {
        const char *name, *start, *end;
        int parent; /* index; -1: the caller's */
    } rows[] = {
        {"InferRequest", "1010", "1070", -1},
        {"m\"1", "1020", "1060", 0},
        {"queue", "1030", "1040", 1},
        {"compute", "1040", "1050", 1},
    };
    json_t *root = format(records, 1);
    json_t *spans = spans_of(root);
    (void)state;
    assert_int_equal(json_array_size(spans), 4);
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        json_t *span = json_array_get(spans, i);
        assert_string_equal(text(span, "name"), rows[i].name);
        assert_string_equal(text(span, "traceId"), "ab010000000000000000000000000000");
        assert_string_equal(text(span, "startTimeUnixNano"), rows[i].start);
        assert_string_equal(text(span, "endTimeUnixNano"), rows[i].end);
        const char *parent = rows[i].parent < 0
                                 ? "ef03000000000000"
                                 : text(json_array_get(spans, (size_t)rows[i].parent), "spanId");
        assert_string_equal(text(span, "parentSpanId"), parent);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(text(span, "spanId"), text(json_array_get(spans, k), "spanId"));
    }
    assert_string_equal(text(json_array_get(spans, 0), "spanId"), "cd02000000000000");
    assert_null(json_object_get(json_array_get(spans, 0), "status"));
    json_decref(root);
}

static void what_was_not_reached_has_no_span(void **state)
{
    const struct tern_trace_record *records[] = {&refused, &whole};
    json_t *root = format(records, 2);
    json_t *spans = spans_of(root);
    (void)state;
    assert_int_equal(json_array_size(spans), 6);
    json_t *first = json_array_get(spans, 0);
    assert_null(json_object_get(first, "parentSpanId"));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(first, "status"), "code")),
                     2);
    json_decref(root);
}

static void a_resource_has_a_name(void **state)
{
    static const struct {
        struct tern_str rows[2];
        uint32_t n;
        const char *want;
    } cases[] = {
        {{{NULL, 0}}, 0, "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"tern\"}}"},
        {{{"a=b=c", 5}, {"service.name=x", 14}},
         2,
         "{\"key\":\"a\",\"value\":{\"stringValue\":\"b=c\"}},"
         "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"x\"}}"},
        {{{"a=b", 3}},
         1,
         "{\"key\":\"a\",\"value\":{\"stringValue\":\"b\"}},"
         "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"tern\"}}"},
    };
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cases); i++) {
        struct tern_buf out;
        tern_buf_init(&out, 4096);
        tern_otlp_format_resource(cases[i].rows, cases[i].n, &out);
        tern_buf_add_char(&out, '\0');
        assert_string_equal(out.p, cases[i].want);
        tern_buf_fini(&out);
    }
}

static void count_line(void *self, struct tern_str line)
{
    (void)line;
    ++*(unsigned *)self;
}

static void a_collector_that_is_not_there_is_told_once(void **state)
{
    const struct tern_trace_record *records[] = {&whole};
    struct tern_otlp *otlp = NULL;
    unsigned n_lines = 0;
    struct tern_log log;
    struct tern_err err;
    (void)state;
    tern_log_init(&log, (struct tern_log_sink){count_line, &n_lines}, TERN_LOG_INFO, TERN_LOG_JSON,
                  false);
    const struct tern_otlp_settings settings = {.url = TERN_STR("http://127.0.0.1:9/v1/traces"),
                                                .log = &log};
    if (tern_otlp_new(&settings, &otlp, &err) != TERN_OK) { /* no libcurl on this machine */
        assert_non_null(strstr(err.text, "libcurl"));
        skip();
    }
    struct tern_trace_sink sink = tern_otlp_sink(otlp);
    assert_int_equal(sink.write(sink.self, records, 1), 1);
    assert_int_equal(sink.write(sink.self, records, 1), 1);
    assert_int_equal(n_lines, 1);
    sink.close(sink.self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_a_tree_of_spans),
        cmocka_unit_test(what_was_not_reached_has_no_span),
        cmocka_unit_test(a_resource_has_a_name),
        cmocka_unit_test(a_collector_that_is_not_there_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
