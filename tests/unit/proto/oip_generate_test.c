/* generate: members to inputs and parameters, outputs to members, one answer or a stream of events.
 */
// covers: proto/sse
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "harness/mem_fails.h"
#include "proto/oip_int.h"
#include "proto/sse.h"

static const struct tern_tensor_spec inputs[] = {
    {.name = {"text", 4}, .dtype = TERN_DTYPE_BYTES, .shape = {2, {-1, 1}}},
    {.name = {"words", 5}, .dtype = TERN_DTYPE_BYTES, .shape = {1, {-1}}},
    {.name = {"points", 6}, .dtype = TERN_DTYPE_FP32, .shape = {3, {-1, -1, 2}}},
    {.name = {"count", 5}, .dtype = TERN_DTYPE_INT32, .shape = {1, {1}}},
    {.name = {"flag", 4}, .dtype = TERN_DTYPE_BOOL, .shape = {0, {0}}},
};
static const struct tern_model_info info = {
    .name = {"llm", 3}, .version = 2, .inputs = inputs, .n_inputs = TERN_COUNT_OF(inputs)};

static enum tern_code decode(struct fake_exchange *fake, const char *body, struct tern_err *err)
{
    fake_body(fake, body, strlen(body));
    fake->call.info = &info;
    fake->call.message = fake->x.body;
    return tern_oip_decode_generate(&fake->call, err);
}

static void decode_well(struct fake_exchange *fake, const char *body)
{
    struct tern_err err;

    fake_init(fake);
    if (decode(fake, body, &err) != TERN_OK)
        fail_msg("%s: %s", body, err.text);
}

static void expect_input(const struct fake_exchange *fake, uint32_t i, const char *name,
                         const char *shape, const void *data, size_t n_bytes)
{
    char text[160];
    const struct tern_tensor *tensor = &fake->call.request.inputs[i];

    assert_true(tern_str_eq(tensor->name, tern_str_of(name)));
    assert_string_equal(tern_shape_print(&tensor->shape, text, sizeof(text)), shape);
    assert_int_equal(tensor->n_bytes, n_bytes);
    assert_memory_equal(tensor->data, data, n_bytes);
}

static void members_are_inputs_by_name(void **state)
{
    const float points[] = {1, 2.5f, 3, 4};
    const int32_t count = -7;
    struct fake_exchange fake;
    (void)state;
    decode_well(&fake, "{ \"text\" : \"h\\u00e9\", \"points\": [1, 2.5, 3, 4], \"count\":-7,"
                       "\"flag\":true, \"words\":[\"a\",\"\",\"bc\"] }");
    assert_int_equal(fake.call.request.n_inputs, 5);
    expect_input(&fake, 0, "text", "[1,1]", "\3\0\0\0h\xc3\xa9", 7);
    expect_input(&fake, 1, "points", "[1,2,2]", points, sizeof(points));
    expect_input(&fake, 2, "count", "[1]", &count, sizeof(count));
    expect_input(&fake, 3, "flag", "[]", "\1", 1);
    expect_input(&fake, 4, "words", "[3]", "\1\0\0\0a\0\0\0\0\2\0\0\0bc", 15);
    fake_fini(&fake);
}

static void nested_and_empty_arrays(void **state)
{
    const float points[] = {1, 2, 3, 4};
    struct fake_exchange fake;
    (void)state;
    decode_well(&fake, "{\"points\":[[1,2],[3,4]],\"words\":[]}");
    expect_input(&fake, 0, "points", "[1,2,2]", points, sizeof(points));
    expect_input(&fake, 1, "words", "[0]", "", 0);
    fake_fini(&fake);
}

static void the_rest_are_parameters(void **state)
{
    struct fake_exchange fake;
    (void)state;
    decode_well(&fake, "{\"stream\":false,\"id\":\"r1\",\"parameters\":{\"temperature\":0.5,"
                       "\"stop\":\"x\",\"top\":3},\"max_tokens\":10}");
    const struct tern_infer_request *request = &fake.call.request;
    assert_int_equal(request->params.n, 5);
    assert_int_equal(tern_params_find(&request->params, TERN_STR("max_tokens"))->int64, 10);
    assert_true(tern_params_find(&request->params, TERN_STR("temperature"))->real == 0.5);
    assert_false(tern_params_find(&request->params, TERN_STR("stream"))->boolean);
    assert_true(tern_str_eq(request->id, TERN_STR("r1")));
    assert_int_equal(request->n_inputs, 0);
    fake_fini(&fake);
}

static void mistakes(void **state)
{
    static const struct {
        const char *body, *text;
    } rows[] = {
        {"", "the request has no body"},
        {"[]", "expected an object"},
        {"{\"text\":\"a\"", "JSON"},
        {"{\"text\":\"a\"} x", "JSON"},
        {"{\"text\":7}", "attempt to access JSON non-string as string"},
        {"{\"text\":[\"a\",7]}", "attempt to access JSON non-string as string"},
        {"{\"text\":{}}", "expected a value or an array of them as input 'text'"},
        {"{\"text\":null}", "expected a value or an array of them as input 'text'"},
        {"{\"text\":[\"a\",\"b\"],\"text\":\"c\"}", "input 'text' already exists in request"},
        {"{\"count\":[1,2]}", "input 'count': 2 elements do not fill the shape [1]"},
        {"{\"points\":[1,2,3]}", "input 'points': 3 elements do not fill the shape [-1,-1,2]"},
        {"{\"count\":1.5}", "Unable to parse input 'count'"},
        {"{\"count\":99999999999}", "Unable to parse input 'count'"},
        {"{\"count\":\"1\"}", "Unable to parse input 'count'"},
        {"{\"other\":[1]}", "parameter 'other' has invalid type"},
        {"{\"other\":{}}", "parameter 'other' has invalid type"},
        {"{\"parameters\":3}", "Expected JSON object for keyword: 'parameters'"},
        {"{\"parameters\":{\"p\":[]}}",
         "Converting keyword: 'parameters': parameter 'p' has invalid type"},
        {"{\"a\":1,\"parameters\":{\"a\":1}}", "parameter 'a' is given twice"},
    };
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        struct tern_err err;
        fake_init(&fake);
        enum tern_code code = decode(&fake, rows[i].body, &err);
        if (code != TERN_INVALID_ARGUMENT || strstr(err.text, rows[i].text) == NULL)
            fail_msg("%s hears %s", rows[i].body, code == TERN_OK ? "nothing" : err.text);
        fake_fini(&fake);
    }
}

static void compressed_bodies_are_refused(void **state)
{
    struct fake_exchange fake;
    struct tern_err err;
    (void)state;
    fake_init(&fake);
    fake_header(&fake, "content-encoding", "gzip");
    assert_int_equal(decode(&fake, "{}", &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_err_http_status(&err), 415);
    fake_fini(&fake);
}

static void memory_may_be_short(void **state)
{
    static const char body[] = "{\"text\":\"a\",\"points\":[1,2],\"count\":3,\"p\":1}";
    (void)state;
    for (size_t max = 0;; max += 16) {
        struct fake_exchange fake;
        fake_init(&fake);
        fake.arena.max = max;
        enum tern_code code = decode(&fake, body, NULL);
        fake_fini(&fake);
        if (code == TERN_OK)
            break;
        assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
        assert_true(max < 4096);
    }
}

/* ---- answers ---- */

static void set_outputs(struct fake_exchange *fake, struct tern_tensor *outputs, uint32_t n)
{
    fake_init(fake);
    fake->call.info = &info;
    fake->call.response.outputs = outputs;
    fake->call.response.n_outputs = n;
}

static struct tern_tensor *answer_of_two(void)
{
    static int32_t numbers[] = {1, 2};
    static char text[] = "\2\0\0\0\"a";
    static struct tern_tensor outputs[] = {
        {.name = {"n", 1}, .dtype = TERN_DTYPE_INT32, .shape = {2, {1, 2}}, .n_bytes = 8},
        {.name = {"text", 4}, .dtype = TERN_DTYPE_BYTES, .shape = {2, {1, 1}}, .n_bytes = 6},
    };

    outputs[0].data = numbers;
    outputs[1].data = text;
    return outputs;
}

static void outputs_are_members(void **state)
{
    struct tern_param param = {
        .key = TERN_STR("sequence_id"), .kind = TERN_PARAM_INT64, .int64 = 9};
    struct fake_exchange fake;
    (void)state;
    set_outputs(&fake, answer_of_two(), 2);
    fake.call.request.id = TERN_STR("r1");
    fake.call.response.params = (struct tern_params){&param, 1};
    assert_int_equal(tern_oip_encode_generate(&fake.call, NULL), TERN_OK);
    assert_string_equal(fake_response(&fake).p,
                        "{\"id\":\"r1\",\"model_name\":\"llm\",\"model_version\":\"2\","
                        "\"sequence_id\":9,\"n\":[1,2],\"text\":\"\\\"a\"}");
    assert_int_equal(fake.x.status, 200);
    fake_fini(&fake);
}

static void events(void **state)
{
    const struct tern_framing *sse = &tern_sse_framing;
    struct fake_exchange fake;
    struct tern_err err;
    (void)state;
    set_outputs(&fake, answer_of_two(), 1);
    sse->begin(&fake.call);
    assert_int_equal(tern_oip_encode_event(&fake.call, NULL), TERN_OK);
    assert_int_equal(sse->finish(&fake.call, NULL), TERN_OK);
    assert_string_equal(fake_response(&fake).p,
                        "data: {\"model_name\":\"llm\",\"model_version\":\"2\",\"n\":[1,2]}\n\n");
    assert_true(tern_str_eq(fake.x.response_type, TERN_STR("text/event-stream; charset=utf-8")));
    tern_fail(&err, TERN_INTERNAL, "it \"broke\"");
    sse->begin(&fake.call);
    assert_int_equal(tern_oip_encode_error_event(&fake.call, &err, NULL), TERN_OK);
    assert_int_equal(sse->finish(&fake.call, NULL), TERN_OK);
    assert_string_equal(fake_response(&fake).p, "data: {\"error\":\"it \\\"broke\\\"\"}\n\n");
    tern_exchange_body(&fake.x);
    sse->end(&fake.x, &err, true);
    assert_string_equal(fake_response(&fake).p, "data: {\"error\":\"it \\\"broke\\\"\"}\n\n");
    fake.x.status = 0;
    sse->end(&fake.x, NULL, false);
    assert_string_equal(fake_response(&fake).p, "");
    assert_int_equal(fake.x.status, 200);
    fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_inputs_by_name),    cmocka_unit_test(nested_and_empty_arrays),
        cmocka_unit_test(the_rest_are_parameters),       cmocka_unit_test(mistakes),
        cmocka_unit_test(compressed_bodies_are_refused), cmocka_unit_test(memory_may_be_short),
        cmocka_unit_test(outputs_are_members),           cmocka_unit_test(events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
