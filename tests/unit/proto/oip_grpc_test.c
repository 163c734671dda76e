/* The small calls of the Open Inference Protocol over gRPC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "proto/oip_grpc_int.h"

#define EXPECT_STR(s, literal) assert_true(tern_str_eq((s), TERN_STR(literal)))

static const struct tern_route *route_of(const char *rpc)
{
    for (uint32_t i = 0; i < tern_oip_grpc.n_routes; i++) {
        const char *pattern = tern_oip_grpc.routes[i].pattern;
        if (strcmp(strrchr(pattern, '/') + 1, rpc) == 0)
            return &tern_oip_grpc.routes[i];
    }
    fail_msg("no rpc %s", rpc);
    return NULL;
}

static void every_row_is_a_framed_post(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < tern_oip_grpc.n_routes; i++) {
        const struct tern_route *route = &tern_oip_grpc.routes[i];
        assert_int_equal(route->method, TERN_METHOD_POST);
        assert_ptr_equal(route->framing, &tern_grpc_framing);
        assert_true(strncmp(route->pattern, "/inference.", 11) == 0);
    }
}

static void a_version_is_digits_or_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t version;
    } good[] = {{"", 0}, {"-1", 0}, {"1", 1}, {"007", 7}, {"9223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"0", "-2", "x", "1.0", " 1", "9223372036854775808", "v1"};
    int64_t version;
    for (size_t i = 0; i < TERN_COUNT_OF(good); i++) {
        assert_int_equal(
            tern_oip_grpc_read_version(tern_str_of(good[i].text), TERN_STR("m"), &version, NULL),
            TERN_OK);
        assert_true(version == good[i].version);
    }
    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++) {
        struct tern_err err = {0};
        assert_int_equal(
            tern_oip_grpc_read_version(tern_str_of(bad[i]), TERN_STR("iris"), &version, &err),
            TERN_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, "failed to get model version from specified version "
                                         "string '"));
        assert_non_null(strstr(err.text, "model iris)"));
    }
}

static void a_model_is_named_by_the_message(void **state)
{
    (void)state;
    struct fake_exchange fake;
    fake_init(&fake);
    fake.call.message = TERN_STR("\x0a\x04iris\x12\x01\x33\x1a\x01x");
    assert_int_equal(route_of("ModelMetadata")->decode(&fake.call, NULL), TERN_OK);
    EXPECT_STR(fake.call.model, "iris");
    assert_true(fake.call.version == 3);
    assert_false(fake.call.absent_is_no);
    assert_int_equal(route_of("ModelReady")->decode(&fake.call, NULL), TERN_OK);
    assert_true(fake.call.absent_is_no);
    fake.call.message = TERN_STR("\x0a\x01\xff");
    assert_int_equal(route_of("ModelReady")->decode(&fake.call, NULL), TERN_INVALID_ARGUMENT);
    fake.call.message = TERN_STR("\x08\x01");
    assert_int_equal(route_of("ModelReady")->decode(&fake.call, NULL), TERN_INVALID_ARGUMENT);
    fake.call.message = TERN_STR("\x0a\x04iri");
    assert_int_equal(route_of("ModelReady")->decode(&fake.call, NULL), TERN_INVALID_ARGUMENT);
    fake_fini(&fake);
}

static struct tern_str encoded(struct fake_exchange *fake, const char *rpc)
{
    tern_exchange_body(&fake->x);
    assert_int_equal(route_of(rpc)->encode(&fake->call, NULL), TERN_OK);
    return fake_response(fake);
}

static void yes_is_one_field_and_no_is_none(void **state)
{
    (void)state;
    static const char *const rpcs[] = {"ServerLive", "ServerReady", "ModelReady"};
    for (size_t i = 0; i < TERN_COUNT_OF(rpcs); i++) {
        struct fake_exchange fake;
        fake_init(&fake);
        assert_int_equal(encoded(&fake, rpcs[i]).n, 0);
        fake.call.yes = true;
        EXPECT_STR(encoded(&fake, rpcs[i]), "\x08\x01");
        fake_fini(&fake);
    }
}

static void the_server_tells_its_name_and_extensions(void **state)
{
    (void)state;
    struct fake_exchange fake;
    fake_init(&fake);
    struct tern_str answer = encoded(&fake, "ServerMetadata");
    assert_true(tern_str_starts(answer, TERN_STR("\x0a\x04tern\x12")));
    assert_non_null(memmem(answer.p, answer.n,
                           "\x1a\x12"
                           "binary_tensor_data",
                           20));
    fake_fini(&fake);
}

static void a_model_tells_its_tensors(void **state)
{
    (void)state;
    static const struct tern_tensor_spec inputs[] = {
        {.name = {"x", 1}, .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 300}}},
    };
    static const struct tern_tensor_spec outputs[] = {
        {.name = {"label", 5}, .dtype = TERN_DTYPE_INT64, .shape = {1, {-1}}},
        {.name = {"s", 1}, .dtype = TERN_DTYPE_BYTES, .shape = {0, {0}}},
    };
    static const struct tern_model_info info = {.name = {"iris", 4},
                                                .platform = {"onnxruntime_onnx", 16},
                                                .version = 3,
                                                .inputs = inputs,
                                                .n_inputs = 1,
                                                .outputs = outputs,
                                                .n_outputs = 2};
    static const int64_t versions[] = {1, 3};
    struct fake_exchange fake;
    fake_init(&fake);
    fake.call.info = &info;
    fake.call.versions = versions;
    fake.call.n_versions = 2;
#define ANY "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    EXPECT_STR(encoded(&fake, "ModelMetadata"),
               "\x0a\x04iris\x12\x01\x31\x12\x01\x33\x1a\x10onnxruntime_onnx"
               "\x22\x17\x0a\x01x\x12\x04"
               "FP32\x1a\x0c" ANY "\xac\x02"
               "\x2a\x1a\x0a\x05label\x12\x05INT64\x1a\x0a" ANY "\x2a\x0c\x0a\x01s\x12\x05"
               "BYTES\x1a\x00");
    fake.call.version = 3; /* asked for: it alone */
    assert_true(tern_str_starts(encoded(&fake, "ModelMetadata"),
                                TERN_STR("\x0a\x04iris\x12\x01\x33\x1a\x10onnx")));
    fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_a_framed_post),
        cmocka_unit_test(a_version_is_digits_or_nothing),
        cmocka_unit_test(a_model_is_named_by_the_message),
        cmocka_unit_test(yes_is_one_field_and_no_is_none),
        cmocka_unit_test(the_server_tells_its_name_and_extensions),
        cmocka_unit_test(a_model_tells_its_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
