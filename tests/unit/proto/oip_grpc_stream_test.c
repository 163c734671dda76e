/* ModelStreamInfer: the messages of an answer, in Triton's and in MLServer's form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "proto/oip_grpc_int.h"

#define LARGE 5000u

static const struct tern_listener_info triton = {.grpc_form = TERN_GRPC_FORM_TRITON};
static const struct tern_listener_info mlserver = {.grpc_form = TERN_GRPC_FORM_MLSERVER};
static const struct tern_model_info info = {.name = {"m", 1}, .version = 1};

/* Answers one tensor of n bytes. */
static void setup(struct fake_exchange *fake, const struct tern_listener_info *listener,
                  struct tern_tensor *output, size_t n)
{
    static uint8_t bytes[LARGE];

    fake_init(fake);
    fake->x.listener = listener;
    fake->call.info = &info;
    fake->call.request.id = TERN_STR("7");
    *output = (struct tern_tensor){.name = TERN_STR("y"),
                                   .dtype = TERN_DTYPE_UINT8,
                                   .shape = {1, {(int64_t)n}},
                                   .data = bytes,
                                   .n_bytes = n};
    fake->call.response.outputs = output;
    fake->call.response.n_outputs = 1;
    tern_exchange_body(&fake->x);
}

static struct tern_pb_field only_field(struct tern_str message)
{
    struct tern_pb pb;
    struct tern_pb_field field, none;
    bool more = false;

    tern_pb_init(&pb, message);
    assert_int_equal(tern_pb_next(&pb, &field, &more, NULL), TERN_OK);
    assert_true(more);
    assert_int_equal(tern_pb_next(&pb, &none, &more, NULL), TERN_OK);
    assert_false(more);
    return field;
}

/* infer_response = 2 holds exactly what ModelInfer would have answered, slices included. */
static void an_answer_is_wrapped(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 3, 100, 200, LARGE};
    for (size_t i = 0; i < TERN_COUNT_OF(sizes); i++) {
        struct fake_exchange plain, wrapped;
        struct tern_tensor a, b;
        struct tern_err err = {0};
        setup(&plain, &mlserver, &a, sizes[i]);
        setup(&wrapped, &triton, &b, sizes[i]);
        plain.call.request.binary_default = true; /* raw, as Triton's always is */
        assert_int_equal(tern_oip_grpc_encode_stream(&plain.call, &err), TERN_OK);
        assert_int_equal(tern_oip_grpc_encode_stream(&wrapped.call, &err), TERN_OK);
        struct tern_pb_field field = only_field(fake_response(&wrapped));
        assert_int_equal(field.number, 2);
        assert_true(tern_str_eq(field.bytes, fake_response(&plain)));
        assert_int_equal(wrapped.x.n_slices > 0, sizes[i] == LARGE);
        fake_fini(&plain);
        fake_fini(&wrapped);
    }
}

static void an_error_is_a_message_with_the_id(void **state)
{
    (void)state;
    const struct tern_err error = {.code = TERN_NOT_FOUND, .text = "why"};
    struct fake_exchange fake;
    struct tern_tensor output;
    struct tern_err err = {0};
    setup(&fake, &triton, &output, 3);
    assert_int_equal(tern_oip_grpc_encode_stream_error(&fake.call, &error, &err), TERN_OK);
    assert_true(tern_str_eq(fake_response(&fake), TERN_STR("\x0a\x03why\x12\x03\x1a\x01\x37")));
    fake_fini(&fake);
    setup(&fake, &triton, &output, 3);
    fake_header(&fake, "triton_grpc_error", "false");
    fake.call.request.id.n = 0;
    assert_int_equal(tern_oip_grpc_encode_stream_error(&fake.call, &error, &err), TERN_OK);
    assert_true(tern_str_eq(fake_response(&fake), TERN_STR("\x0a\x03why\x12\x00")));
    fake_fini(&fake);
}

static void an_error_ends_the_stream(void **state)
{
    (void)state;
    const struct tern_err error = {.code = TERN_NOT_FOUND, .text = "why"};
    struct fake_exchange fake;
    struct tern_tensor output;
    struct tern_err err = {0};
    setup(&fake, &triton, &output, 3);
    fake_header(&fake, "triton_grpc_error", "true");
    assert_int_equal(tern_oip_grpc_encode_stream_error(&fake.call, &error, &err), TERN_NOT_FOUND);
    assert_int_equal(fake_response(&fake).n, 0);
    fake_fini(&fake);
    setup(&fake, &mlserver, &output, 3);
    assert_int_equal(tern_oip_grpc_encode_stream_error(&fake.call, &error, &err), TERN_NOT_FOUND);
    fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_wrapped),
        cmocka_unit_test(an_error_is_a_message_with_the_id),
        cmocka_unit_test(an_error_ends_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
