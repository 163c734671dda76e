/* Health, metadata, repository, the error envelope, and the server's own pages. */
// covers: proto/admin proto/oip_health proto/oip_metadata proto/oip_repository proto/protos
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/version.h"
#include "harness/fake_exchange.h"
#include "proto/admin.h"
#include "proto/oip_int.h"
#include "proto/protos.h"

typedef enum tern_code (*encode_fn)(struct tern_call *call, struct tern_err *err);

static void expect(struct fake_exchange *fake, encode_fn encode, int status, const char *body)
{
    struct tern_err err = {0};
    if (encode(&fake->call, &err) != TERN_OK)
        fail_msg("%s", err.text);
    assert_int_equal(fake->x.status, status);
    assert_string_equal(fake_response(fake).p, body);
    assert_true(tern_str_eq(fake->x.response_type, TERN_STR("application/json")));
}

static void health_answers(void **state)
{
    (void)state;
    struct fake_exchange fake;
    fake_init(&fake);
    fake.call.model = TERN_STR("m");
    fake.call.yes = true;
    expect(&fake, tern_oip_encode_live, 200, "{\"live\":true}");
    expect(&fake, tern_oip_encode_ready, 200, "{\"ready\":true}");
    expect(&fake, tern_oip_encode_model_ready, 200, "{\"name\":\"m\",\"ready\":true}");
    fake.call.yes = false;
    expect(&fake, tern_oip_encode_live, 503,
           "{\"live\":false,\"error\":\"the server is not live\"}");
    expect(&fake, tern_oip_encode_ready, 503,
           "{\"ready\":false,\"error\":\"the server is not ready\"}");
    expect(&fake, tern_oip_encode_model_ready, 503,
           "{\"name\":\"m\",\"ready\":false,\"error\":\"model 'm' is not ready\"}");
    fake_fini(&fake);
}

static void server_metadata(void **state)
{
    (void)state;
    struct fake_exchange fake;
    fake_init(&fake);
    expect(&fake, tern_oip_encode_server_metadata, 200,
           "{\"name\":\"tern\",\"version\":\"" TERN_VERSION "\",\"extensions\":["
           "\"classification\",\"sequence\",\"model_repository\","
           "\"model_repository(unload_dependents)\",\"schedule_policy\","
           "\"model_configuration\",\"system_shared_memory\",\"cuda_shared_memory\","
           "\"binary_tensor_data\",\"parameters\",\"statistics\",\"trace\",\"logging\"]}");
    fake_fini(&fake);
}

static void model_metadata_and_config(void **state)
{
    (void)state;
    const struct tern_tensor_spec inputs[] = {
        {.name = TERN_STR("x"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 4}}}};
    const struct tern_tensor_spec outputs[] = {
        {.name = TERN_STR("label"), .dtype = TERN_DTYPE_INT64, .shape = {1, {-1}}},
        {.name = TERN_STR("p"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 3}}}};
    const struct tern_model_config_text config = {.json = TERN_STR("{\"name\":\"m\"}")};
    struct tern_model_info info = {.name = TERN_STR("m"),
                                   .platform = TERN_STR("onnxruntime_onnx"),
                                   .backend = TERN_STR("onnxruntime"),
                                   .version = 2,
                                   .inputs = inputs,
                                   .n_inputs = 1,
                                   .outputs = outputs,
                                   .n_outputs = 2,
                                   .config = &config};
    static const int64_t versions[] = {1, 2};
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    fake.call.model = TERN_STR("m");
    assert_int_equal(tern_oip_encode_model_metadata(&fake.call, &err), TERN_NOT_FOUND);
    assert_string_equal(err.text, "Request for unknown model: 'm' is not found");
    fake.call.info = &info;
#define TENSORS                                                                \
    "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,4]}],"    \
    "\"outputs\":[{\"name\":\"label\",\"datatype\":\"INT64\",\"shape\":[-1]}," \
    "{\"name\":\"p\",\"datatype\":\"FP32\",\"shape\":[-1,3]}]}"
    expect(&fake, tern_oip_encode_model_metadata, 200,
           "{\"name\":\"m\",\"versions\":[\"2\"],\"platform\":\"onnxruntime_onnx\"," TENSORS);
    fake.call.versions = versions;
    fake.call.n_versions = 2;
    expect(&fake, tern_oip_encode_model_metadata, 200,
           "{\"name\":\"m\",\"versions\":[\"1\",\"2\"],\"platform\":\"onnxruntime_onnx\"," TENSORS);
    fake.call.version = 1;
    info.platform = TERN_STR("");
    expect(&fake, tern_oip_encode_model_metadata, 200,
           "{\"name\":\"m\",\"versions\":[\"1\"],\"platform\":\"onnxruntime\"," TENSORS);
    expect(&fake, tern_oip_encode_model_config, 200, "{\"name\":\"m\"}");
    fake_fini(&fake);
}

/* What the model's file calls its columns. */
static void metadata_with_names(void **state)
{
    static const struct tern_str names[] = {{"age", 3}, {"\"pay\"", 5}};
    static const struct tern_str classes[] = {{"no", 2}, {"yes", 3}};
    const struct tern_tensor_spec specs[] = {
        {.name = TERN_STR("x"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 2}}},
        {.name = TERN_STR("y"), .dtype = TERN_DTYPE_INT64, .shape = {1, {-1}}}};
    const struct tern_labels labels[] = {{classes, 2}, {NULL, 0}};
    struct tern_model_info info = {.name = TERN_STR("m"),
                                   .platform = TERN_STR("p"),
                                   .version = 2,
                                   .inputs = specs,
                                   .n_inputs = 1,
                                   .outputs = specs,
                                   .n_outputs = 2,
                                   .labels = labels,
                                   .feature_names = names,
                                   .n_feature_names = 2};
    struct fake_exchange fake;

    (void)state;
    fake_init(&fake);
    fake.call.info = &info;
    expect(&fake, tern_oip_encode_model_metadata, 200,
           "{\"name\":\"m\",\"versions\":[\"2\"],\"platform\":\"p\",\"inputs\":[{\"name\":\"x\","
           "\"datatype\":\"FP32\",\"shape\":[-1,2],\"feature_names\":[\"age\",\"\\\"pay\\\"\"]}],"
           "\"outputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,2],\"labels\":[\"no\","
           "\"yes\"]},{\"name\":\"y\",\"datatype\":\"INT64\",\"shape\":[-1]}]}");
    info.n_inputs = 2; /* names of the features of which of them? */
    expect(
        &fake, tern_oip_encode_model_metadata, 200,
        "{\"name\":\"m\",\"versions\":[\"2\"],\"platform\":\"p\",\"inputs\":[{\"name\":\"x\","
        "\"datatype\":\"FP32\",\"shape\":[-1,2]},{\"name\":\"y\",\"datatype\":\"INT64\",\"shape\":"
        "[-1]}],\"outputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,2],\"labels\":["
        "\"no\",\"yes\"]},{\"name\":\"y\",\"datatype\":\"INT64\",\"shape\":[-1]}]}");
    fake_fini(&fake);
}

static const struct tern_index_row rows[] = {
    {.name = {"a", 1}, .version = 1, .state = TERN_MODEL_READY},
    {.name = {"a", 1}, .version = 2, .state = TERN_MODEL_UNAVAILABLE, .reason = {"\"bad\"", 5}},
    {.name = {"b", 1}, .state = TERN_MODEL_UNKNOWN},
};

static void lists_and_index(void **state)
{
    (void)state;
    struct fake_exchange fake;
    fake_init(&fake);
    expect(&fake, tern_oip_encode_model_list, 200, "{\"models\":[]}");
    expect(&fake, tern_oip_encode_index, 200, "[]");
    fake.call.index = rows;
    fake.call.n_index = 3;
    expect(&fake, tern_oip_encode_model_list, 200, "{\"models\":[\"a\",\"b\"]}");
    expect(
        &fake, tern_oip_encode_index, 200,
        "[{\"name\":\"a\",\"version\":\"1\",\"state\":\"READY\",\"reason\":\"\"},"
        "{\"name\":\"a\",\"version\":\"2\",\"state\":\"UNAVAILABLE\",\"reason\":\"\\\"bad\\\"\"},"
        "{\"name\":\"b\",\"state\":\"UNKNOWN\",\"reason\":\"\"}]");
    fake_fini(&fake);
}

static void load_and_unload_answers(void **state)
{
    (void)state;
    struct fake_exchange fake;
    fake_init(&fake);
    fake.call.model = TERN_STR("m");
    expect(&fake, tern_oip_encode_load, 200, "{\"name\":\"m\",\"load\":true}");
    expect(&fake, tern_oip_encode_unload, 200, "{\"name\":\"m\",\"unload\":true}");
    fake_fini(&fake);
}

static void index_requests(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool ready_only;
        const char *error; /* NULL: accepted */
    } cases[] = {
        {"", false, NULL},
        {"{}", false, NULL},
        {"{\"ready\":true}", true, NULL},
        {"{\"x\":[1],\"ready\":false}", false, NULL},
        {"{\"ready\":1}", false, "Invalid value for 'ready': expected a boolean"},
        {"{\"ready\":\"true\"}", false, "Invalid value for 'ready': expected a boolean"},
        {"{\"ready\":true,\"ready\":true}", false, "duplicate key 'ready'"},
        {"{\"ready\":true", false, "got the end"},
        {"[]", false, "expected an object"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(cases); i++) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        fake_init(&fake);
        fake_body(&fake, cases[i].body, strlen(cases[i].body));
        enum tern_code code = tern_oip_decode_index(&fake.call, &err);
        assert_int_equal(code == TERN_OK, cases[i].error == NULL);
        if (cases[i].error == NULL)
            assert_int_equal(fake.call.ready_only, cases[i].ready_only);
        else
            assert_non_null(strstr(err.text, cases[i].error));
        fake_fini(&fake);
    }
}

static void control_requests(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        uint32_t n;
        bool dependents;
        const char *error;
    } cases[] = {
        {"", 0, false, NULL},
        {"{}", 0, false, NULL},
        {"{\"parameters\":{}}", 0, false, NULL},
        {"{\"parameters\":{\"config\":\"{}\",\"file:1/model.onnx\":\"YQ==\"}}", 2, false, NULL},
        {"{\"parameters\":{\"unload_dependents\":true}}", 1, true, NULL},
        {"{\"parameters\":{\"unload_dependents\":1}}", 0, false,
         "Unable to parse 'parameters': Invalid value for 'unload_dependents': expected a boolean"},
        {"{\"parameters\":{\"config\":{}}}", 0, false, "parameter 'config' has invalid type"},
        {"{\"parameters\":1}", 0, false, "expected an object"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(cases); i++) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        fake_init(&fake);
        fake_body(&fake, cases[i].body, strlen(cases[i].body));
        enum tern_code code = tern_oip_decode_control(&fake.call, &err);
        if ((code == TERN_OK) != (cases[i].error == NULL))
            fail_msg("%s: %s", cases[i].body, err.text);
        if (cases[i].error == NULL) {
            assert_int_equal(fake.call.params.n, cases[i].n);
            assert_int_equal(fake.call.unload_dependents, cases[i].dependents);
        } else {
            assert_non_null(strstr(err.text, cases[i].error));
        }
        fake_fini(&fake);
    }
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    fake_body(&fake, "{}", 2);
    fake.x.content_type = TERN_STR("multipart/form-data; boundary=b");
    assert_int_not_equal(tern_oip_decode_control(&fake.call, &err), TERN_OK);
    assert_int_equal(tern_err_http_status(&err), 415);
    fake_fini(&fake);
}

static void errors_take_the_envelope(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err = {0};
    struct tern_slice slice = {"x", 1};
    fake_init(&fake);
    fake.x.slices = &slice; /* what a half-made answer left behind goes */
    fake.x.n_slices = 1;
    (void)tern_fail(&err, TERN_NOT_FOUND, "no \"%s\"\n", "m\xff");
    tern_oip.encode_error(&fake.x, &err);
    assert_int_equal(fake.x.status, 404);
    assert_string_equal(fake_response(&fake).p, "{\"error\":\"no \\\"m\xef\xbf\xbd\\\"\\n\"}");
    (void)tern_fail_http(&err, TERN_INVALID_ARGUMENT, 413, "large");
    tern_oip.encode_error(&fake.x, &err);
    assert_int_equal(fake.x.status, 413);
    fake_fini(&fake);
}

static void a_large_body_is_refused_in_triton_s_words_where_asked(void **state)
{
    struct tern_header length[] = {{TERN_STR("content-length"), TERN_STR("2000")},
                                   {TERN_STR(TERN_OIP_LENGTH_HEADER), TERN_STR("0")}};
    struct tern_listener_info listener = {.triton_status = true};
    struct fake_exchange fake;
    struct tern_err err;
    (void)state;

    fake_init(&fake);
    fake.x.listener = &listener;
    fake.x.headers = length;
    fake.x.header_names = UINT64_MAX;
    fake.x.body_max = 1024;
    fake.x.n_headers = 1;
    (void)tern_fail_http(&err, TERN_RESOURCE_EXHAUSTED, 413, "too large");
    tern_oip.encode_error(&fake.x, &err);
    assert_int_equal(fake.x.status, 400);
    assert_string_equal(fake_response(&fake).p,
                        "{\"error\":\"request JSON size of 2000 bytes exceeds the maximum allowed "
                        "input size of 1024 bytes. Use --http-max-input-size to increase the "
                        "limit.\"}");
    fake.x.n_headers = 2;
    tern_oip.encode_error(&fake.x, &err);
    assert_non_null(strstr(fake_response(&fake).p, "exceeds the maximum allowed value of 1024"));
    fake.x.body_max = 4096; /* it was something else that grew too large */
    tern_oip.encode_error(&fake.x, &err);
    assert_int_equal(fake.x.status, 413);
    fake_fini(&fake);
}

static const struct tern_route *row_of(const struct tern_proto *proto, const char *pattern)
{
    for (uint32_t i = 0; i < proto->n_routes; i++) {
        if (strcmp(proto->routes[i].pattern, pattern) == 0)
            return &proto->routes[i];
    }
    fail_msg("no row %s", pattern);
    abort(); /* no such row: the test is wrong */
}

static void pages_go_out_as_they_lie(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *type;
    } pages[] = {
        {"/", "text/plain; charset=utf-8"},
        {"/metrics", "text/plain; version=0.0.4; charset=utf-8"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(pages); i++) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        fake_init(&fake);
        fake.call.text = TERN_STR("a 1\n");
        const struct tern_route *route = row_of(&tern_admin, pages[i].pattern);
        assert_int_equal(route->encode(&fake.call, &err), TERN_OK);
        assert_int_equal(fake.x.status, 200);
        assert_true(tern_str_eq(fake.x.response_type, tern_str_of(pages[i].type)));
        assert_string_equal(fake_response(&fake).p, "a 1\n");
        assert_ptr_equal(fake.x.slices[0].p, fake.call.text.p);
        fake_fini(&fake);
    }
}

static void dialects_are_found_by_name(void **state)
{
    (void)state;
    struct tern_str names[] = {TERN_STR("oip"), TERN_STR("admin")};
    uint32_t mask = 9;
    struct tern_err err;

    assert_int_equal(tern_protos_mask(names, 0, &mask, NULL), TERN_OK);
    assert_int_equal(mask, 0);
    assert_int_equal(tern_protos_mask(names, 2, &mask, NULL), TERN_OK);
    for (uint32_t i = 0; i < TERN_PROTOS_N; i++) {
        bool named = tern_protos[i] == &tern_oip || tern_protos[i] == &tern_admin;
        assert_int_equal(mask >> i & 1, named);
    }
    struct tern_buf text;
    tern_buf_init(&text, 256);
    tern_protos_print(mask, &text);
    assert_true(tern_str_eq(tern_buf_str(&text), TERN_STR("oip,admin")));
    tern_buf_clear(&text);
    tern_protos_print(0, &text);
    assert_non_null(memmem(text.p, text.n, "grpc_reflection", 15)); /* all of them */
    tern_buf_fini(&text);
    names[1] = TERN_STR("oi");
    assert_int_equal(tern_protos_mask(names, 2, &mask, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "\"oi\", expected of: oip, "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health_answers),
        cmocka_unit_test(server_metadata),
        cmocka_unit_test(model_metadata_and_config),
        cmocka_unit_test(metadata_with_names),
        cmocka_unit_test(lists_and_index),
        cmocka_unit_test(load_and_unload_answers),
        cmocka_unit_test(index_requests),
        cmocka_unit_test(control_requests),
        cmocka_unit_test(errors_take_the_envelope),
        cmocka_unit_test(a_large_body_is_refused_in_triton_s_words_where_asked),
        cmocka_unit_test(pages_go_out_as_they_lie),
        cmocka_unit_test(dialects_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
