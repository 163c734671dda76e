/* What runs inside of one request: numbers, spans, and who frees what. */
// covers: trace/record
// wrap: tern_mem_alloc
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "base/mem.h"
#include "trace/family.h"
#include "trace/otlp.h"
#include "trace/trace_file.h"

static bool no_memory;

void *__real_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size)
{
    return no_memory ? NULL : __real_tern_mem_alloc(size);
}

static struct tern_trace_place top_of(struct tern_trace_family *family)
{
    return (struct tern_trace_place){.family = family};
}

static struct tern_sampler *sampler;

static int make_sampler(void **state)
{
    const struct tern_sampler_settings settings = {.level = TERN_TRACE_TIMESTAMPS,
                                                   .rate = 1,
                                                   .count = -1,
                                                   .log_frequency = 3,
                                                   .file = TERN_STR("t.json")};
    (void)state;
    return tern_sampler_new(&settings, &sampler, NULL) == TERN_OK ? 0 : -1;
}

static int free_sampler(void **state)
{
    (void)state;
    tern_sampler_free(sampler);
    return 0;
}

static struct tern_trace_family begin(void)
{
    struct tern_sample sample;

    assert_true(tern_sampler_take(sampler, TERN_STR("top"), false, &sample));
    return (struct tern_trace_family){
        .sampler = sampler,
        .sample = sample,
        .trace = {.trace_id = {1}, .span_id = {7}},
        .request_id = TERN_STR("r"),
    };
}

static void add(const struct tern_trace_place *place, enum tern_trace_kind kind, const char *name)
{
    const struct tern_trace_record record = {
        .kind = kind,
        .model = tern_str_of(name),
        .version = 1,
        .status = 200,
        .code = kind == TERN_TRACE_CALL ? TERN_UNAVAILABLE : TERN_OK,
        .at = {[TERN_TRACE_AT_REQUEST_START] = 5, [TERN_TRACE_AT_REQUEST_END] = 6},
    };
    tern_trace_family_add(place, &record);
}

/* An inner ensemble with a step, and a call: they end before what they are part of. */
static struct tern_trace_record make_tree(struct tern_trace_family *family)
{
    struct tern_trace_place top = top_of(family);
    struct tern_trace_place inner = tern_trace_place_in(&top);
    struct tern_trace_place step = tern_trace_place_in(&inner);
    struct tern_trace_place call = tern_trace_place_in(&top);

    add(&step, TERN_TRACE_STEP, "step");
    add(&call, TERN_TRACE_CALL, "call");
    add(&inner, TERN_TRACE_STEP, "inner");
    struct tern_trace_record head = {
        .level = TERN_TRACE_TIMESTAMPS,
        .model = TERN_STR("top"),
        .version = 1,
        .trace = family->trace,
        .id = family->sample.id,
        .at = {[TERN_TRACE_AT_REQUEST_START] = 4, [TERN_TRACE_AT_REQUEST_END] = 7},
    };
    tern_trace_span_of(family->trace.span_id, 0, head.span);
    head.members = tern_trace_family_take(family);
    return head;
}

static void nothing_is_numbered_without_a_family(void **state)
{
    const struct tern_trace_place none = {.family = NULL};
    struct tern_trace_place inner = tern_trace_place_in(&none);
    (void)state;
    assert_null(inner.family);
    assert_int_equal(inner.number, 0);
}

static void ids_of_files_tell_the_order_and_the_parents(void **state)
{
    struct tern_trace_family family = begin();
    struct tern_trace_record head = make_tree(&family);
    struct tern_buf out;
    json_error_t why;
    (void)state;
    tern_buf_init(&out, 1 << 16);
    tern_buf_add_char(&out, '[');
    tern_trace_file_format(&head, &out);
    tern_buf_add_char(&out, ']');
    json_t *all = json_loadb(out.p, out.n, 0, &why), *one;
    size_t i, n = 0;
    assert_non_null(all);
    static const struct {
        const char *name;
        json_int_t id, parent; /* after the request's; -1: none */
    } rows[] = {{"top", 0, -1}, {"step", 2, 1}, {"call", 3, 0}, {"inner", 1, 0}};
    const json_int_t first = (json_int_t)head.id;
    json_array_foreach(all, i, one)
    {
        if (json_object_get(one, "model_name") == NULL)
            continue;
        assert_string_equal(json_string_value(json_object_get(one, "model_name")), rows[n].name);
        assert_int_equal(json_integer_value(json_object_get(one, "id")), first + rows[n].id);
        json_t *parent = json_object_get(one, "parent_id");
        json_int_t parent_id = parent == NULL ? first - 1 : json_integer_value(parent);
        assert_int_equal(parent_id, first + rows[n++].parent);
    }
    assert_int_equal(n, TERN_COUNT_OF(rows));
    json_decref(all);
    tern_buf_fini(&out);
    tern_trace_record_free_all(head.members);
}

static json_t *span_called(json_t *spans, const char *name)
{
    json_t *one;
    size_t i;

    json_array_foreach(spans, i, one) if (!strcmp(json_string_value(json_object_get(one, "name")),
                                                  name)) return one;
    fail_msg("no span is called %s", name);
    return NULL;
}

static const char *text(json_t *span, const char *key)
{
    return json_string_value(json_object_get(span, key));
}

static void spans_are_a_tree(void **state)
{
    struct tern_trace_family family = begin();
    struct tern_trace_record head = make_tree(&family);
    const struct tern_trace_record *records[] = {&head};
    struct tern_buf out;
    json_error_t why;
    (void)state;
    tern_buf_init(&out, 1 << 16);
    tern_otlp_format(TERN_STR(""), records, 1, 0, &out);
    json_t *root = json_loadb(out.p, out.n, 0, &why);
    assert_non_null(root);
    json_t *resource = json_array_get(json_object_get(root, "resourceSpans"), 0);
    json_t *scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
    json_t *spans = json_object_get(scope, "spans");
    assert_int_equal(json_array_size(spans), 5); /* one InferRequest, not one each */
    json_t *top = span_called(spans, "top"), *inner = span_called(spans, "inner");
    json_t *call = span_called(spans, "call"), *step = span_called(spans, "step");
    assert_string_equal(text(inner, "parentSpanId"), text(top, "spanId"));
    assert_string_equal(text(call, "parentSpanId"), text(top, "spanId"));
    assert_string_equal(text(step, "parentSpanId"), text(inner, "spanId"));
    assert_int_equal(json_integer_value(json_object_get(call, "kind")), 3);
    assert_non_null(json_object_get(call, "status"));
    assert_null(json_object_get(step, "status"));
    json_decref(root);
    tern_buf_fini(&out);
    tern_trace_record_free_all(head.members);
}

/* A server that is called is told of the call's span: what it makes is below that. */
static void a_call_carries_its_span_on(void **state)
{
    struct tern_trace_family family = begin();
    struct tern_trace_place top = top_of(&family);
    struct tern_trace_place call = tern_trace_place_in(&top);
    struct tern_trace trace;
    (void)state;
    tern_trace_place_context(&call, &trace);
    add(&call, TERN_TRACE_CALL, "call");
    assert_memory_equal(trace.span_id, family.first->span, 8);
    assert_memory_equal(trace.trace_id, family.trace.trace_id, 16);
    assert_true((trace.flags & TERN_TRACE_SAMPLED) != 0);
    assert_int_equal(family.first->log_frequency, 3);
    assert_true(tern_str_eq(family.first->request_id, TERN_STR("r")));
    tern_trace_family_drop(&family);
    assert_null(family.first);
}

static void too_many_and_no_memory_are_left_out(void **state)
{
    struct tern_trace_family family = begin();
    struct tern_trace_place top = top_of(&family);
    (void)state;
    no_memory = true;
    struct tern_trace_place one = tern_trace_place_in(&top);
    add(&one, TERN_TRACE_STEP, "lost");
    no_memory = false;
    assert_null(family.first);
    for (int i = 0; i < TERN_TRACE_FAMILY_MAX + 10; i++) {
        one = tern_trace_place_in(&top);
        add(&one, TERN_TRACE_STEP, "x");
    }
    assert_int_equal(family.n_kept, TERN_TRACE_FAMILY_MAX);
    assert_int_equal(family.n_numbers, TERN_TRACE_FAMILY_MAX + 11);
    assert_int_equal(family.last->number, TERN_TRACE_FAMILY_MAX + 1);
    tern_trace_family_drop(&family);
}

static void tensors_of_all_have_one_bound(void **state)
{
    static char bytes[TERN_TRACE_TENSOR_BYTES_MAX];
    struct tern_trace_family family = begin();
    struct tern_trace_place top = top_of(&family);
    const struct tern_trace_tensor tensor = {
        .dtype = TERN_DTYPE_UINT8, .data = bytes, .n_bytes = sizeof(bytes)};
    const struct tern_trace_record record = {.tensors = &tensor, .n_tensors = 1};
    uint32_t n = TERN_TRACE_BYTES_MAX / sizeof(bytes);
    (void)state;
    for (uint32_t i = 0; i <= n; i++) {
        struct tern_trace_place one = tern_trace_place_in(&top);
        tern_trace_family_add(&one, &record);
        assert_int_equal(family.last->n_tensors, i < n);
    }
    tern_trace_family_drop(&family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_numbered_without_a_family),
        cmocka_unit_test(ids_of_files_tell_the_order_and_the_parents),
        cmocka_unit_test(spans_are_a_tree),
        cmocka_unit_test(a_call_carries_its_span_on),
        cmocka_unit_test(too_many_and_no_memory_are_left_out),
        cmocka_unit_test(tensors_of_all_have_one_bound),
    };
    return cmocka_run_group_tests(tests, make_sampler, free_sampler);
}
