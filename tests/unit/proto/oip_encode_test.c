/* Infer answers of the Open Inference Protocol; jansson reads them back. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <jansson.h>

#include "harness/fake_exchange.h"
#include "harness/mem_fails.h"
#include "proto/oip_int.h"

static const struct tern_model_info info = {
    .name = {"iris", 4}, .platform = {"onnxruntime_onnx", 16}, .version = 3};

static void set_outputs(struct fake_exchange *fake, struct tern_tensor *outputs, uint32_t n)
{
    fake->call.info = &info;
    fake->call.response.outputs = outputs;
    fake->call.response.n_outputs = n;
}

static struct tern_str encode(struct fake_exchange *fake)
{
    struct tern_err err = {0};
    if (tern_oip_encode_infer(&fake->call, &err) != TERN_OK)
        fail_msg("%s", err.text);
    return fake_response(fake);
}

static void expect_body(struct fake_exchange *fake, const char *text)
{
    assert_string_equal(encode(fake).p, text);
    json_t *parsed = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
}

static void writes_a_small_answer(void **state)
{
    (void)state;
    float values[] = {1.5f, -2.0f, 0.1f};
    struct tern_tensor y = {.name = TERN_STR("y"),
                            .dtype = TERN_DTYPE_FP32,
                            .shape = {2, {1, 3}},
                            .data = values,
                            .n_bytes = sizeof(values)};
    struct fake_exchange fake;
    fake_init(&fake);
    set_outputs(&fake, &y, 1);
    expect_body(&fake,
                "{\"model_name\":\"iris\",\"model_version\":\"3\",\"outputs\":[{\"name\":\"y\","
                "\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[1.5,-2.0,0.1]}]}");
    assert_int_equal(fake.x.status, 200);
    assert_true(tern_str_eq(fake.x.response_type, TERN_STR("application/json")));
    assert_int_equal(fake.x.n_response_headers, 0);
    fake_fini(&fake);
}

static void echoes_id_and_parameters(void **state)
{
    (void)state;
    struct tern_param rows[] = {
        {.key = TERN_STR("a"), .kind = TERN_PARAM_BOOL, .boolean = true},
        {.key = TERN_STR("b"), .kind = TERN_PARAM_INT64, .int64 = -7},
        {.key = TERN_STR("c"), .kind = TERN_PARAM_UINT64, .uint64 = UINT64_MAX},
        {.key = TERN_STR("d"), .kind = TERN_PARAM_DOUBLE, .real = 0.25},
        {.key = TERN_STR("\"e"), .kind = TERN_PARAM_STRING, .string = TERN_STR("x\ny")},
    };
    struct fake_exchange fake;
    fake_init(&fake);
    set_outputs(&fake, NULL, 0);
    fake.call.request.id = TERN_STR("r\"1");
    fake.call.response.params = (struct tern_params){rows, 5};
    expect_body(&fake, "{\"model_name\":\"iris\",\"model_version\":\"3\",\"id\":\"r\\\"1\","
                       "\"parameters\":{\"a\":true,\"b\":-7,\"c\":18446744073709551615,\"d\":0.25,"
                       "\"\\\"e\":\"x\\ny\"},\"outputs\":[]}");
    fake_fini(&fake);
}

static void writes_strings(void **state)
{
    (void)state;
    char data[] = "\3\0\0\0a\"b\0\0\0\0\2\0\0\0\xc3\xa9";
    struct tern_tensor y = {.name = TERN_STR("s"),
                            .dtype = TERN_DTYPE_BYTES,
                            .shape = {1, {3}},
                            .data = data,
                            .n_bytes = sizeof(data) - 1};
    struct fake_exchange fake;
    fake_init(&fake);
    set_outputs(&fake, &y, 1);
    expect_body(&fake,
                "{\"model_name\":\"iris\",\"model_version\":\"3\",\"outputs\":[{\"name\":\"s\","
                "\"datatype\":\"BYTES\",\"shape\":[3],\"data\":[\"a\\\"b\",\"\",\"\xc3\xa9\"]}]}");
    fake_fini(&fake);
}

static void bytes_that_are_no_text_ask_for_binary(void **state)
{
    (void)state;
    char data[] = "\1\0\0\0a\1\0\0\0\xff";
    struct tern_tensor y = {.name = TERN_STR("s"),
                            .dtype = TERN_DTYPE_BYTES,
                            .shape = {1, {2}},
                            .data = data,
                            .n_bytes = sizeof(data) - 1};
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    set_outputs(&fake, &y, 1);
    assert_int_equal(tern_oip_encode_infer(&fake.call, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text,
                        "output 's': element 1 is not valid UTF-8 and has no JSON form; ask for "
                        "the output with the parameter 'binary_data': true");
    fake.call.request.binary_default = true;
    assert_int_equal(tern_oip_encode_infer(&fake.call, &err), TERN_OK);
    /* A tensor whose lengths do not add up is the engine's fault. */
    fake.call.request.binary_default = false;
    y.n_bytes = 7;
    assert_int_equal(tern_oip_encode_infer(&fake.call, &err), TERN_INTERNAL);
    fake_fini(&fake);
}

static void values_without_a_json_form_are_null(void **state)
{
    (void)state;
    double values[] = {(double)NAN, (double)INFINITY, 1.0};
    struct tern_tensor y = {.name = TERN_STR("y"),
                            .dtype = TERN_DTYPE_FP64,
                            .shape = {1, {3}},
                            .data = values,
                            .n_bytes = sizeof(values)};
    struct fake_exchange fake;
    fake_init(&fake);
    set_outputs(&fake, &y, 1);
    assert_non_null(strstr(encode(&fake).p, "\"data\":[null,null,1.0]}"));
    fake_fini(&fake);
}

static void binary_outputs_follow_the_json(void **state)
{
    (void)state;
    int16_t a[] = {1, -2};
    uint8_t b[] = {7};
    char c[] = "\1\0\0\0\xff";
    struct tern_tensor outputs[] = {
        {TERN_STR("a"), TERN_DTYPE_INT16, {1, {2}}, a, sizeof(a), NULL},
        {TERN_STR("b"), TERN_DTYPE_UINT8, {1, {1}}, b, sizeof(b), NULL},
        {TERN_STR("c"), TERN_DTYPE_BYTES, {1, {1}}, c, 5, NULL},
    };
    struct tern_requested_output wanted[] = {
        {.name = TERN_STR("a"), .binary = true},
        {.name = TERN_STR("b")},
        {.name = TERN_STR("c"), .binary = true},
    };
    struct fake_exchange fake;
    fake_init(&fake);
    set_outputs(&fake, outputs, 3);
    fake.call.request.outputs = wanted;
    fake.call.request.n_outputs = 3;
    struct tern_str body = encode(&fake);
    static const char json[] = "{\"model_name\":\"iris\",\"model_version\":\"3\",\"outputs\":["
                               "{\"name\":\"a\",\"datatype\":\"INT16\",\"shape\":[2],"
                               "\"parameters\":{\"binary_data_size\":4}},"
                               "{\"name\":\"b\",\"datatype\":\"UINT8\",\"shape\":[1],\"data\":[7]},"
                               "{\"name\":\"c\",\"datatype\":\"BYTES\",\"shape\":[1],"
                               "\"parameters\":{\"binary_data_size\":5}}]}";
    size_t n = sizeof(json) - 1;
    assert_int_equal(body.n, n + 9);
    assert_memory_equal(body.p, json, n);
    assert_memory_equal(body.p + n, "\1\0\xfe\xff\1\0\0\0\xff", 9);
    assert_ptr_equal(fake.x.slices[0].p, a); /* no copy */
    assert_true(tern_str_eq(fake.x.response_type, TERN_STR("application/octet-stream")));
    assert_int_equal(fake.x.n_response_headers, 1);
    assert_true(tern_str_eq(fake.x.response_headers[0].name, TERN_STR(TERN_OIP_LENGTH_HEADER)));
    char digits[24];
    snprintf(digits, sizeof(digits), "%zu", n);
    assert_true(tern_str_eq(fake.x.response_headers[0].value, tern_str_of(digits)));
    fake_fini(&fake);
}

static void a_full_buffer_is_an_error(void **state)
{
    (void)state;
    static double values[4096];
    struct tern_tensor y = {.name = TERN_STR("y"),
                            .dtype = TERN_DTYPE_FP64,
                            .shape = {1, {4096}},
                            .data = values,
                            .n_bytes = sizeof(values)};
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    fake.out.max = 4096;
    set_outputs(&fake, &y, 1);
    assert_int_equal(tern_oip_encode_infer(&fake.call, &err), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "the response needs more than"));
    tern_oip_encode_error(&fake.x, &err); /* the envelope still fits */
    assert_int_equal(fake.x.status, 413);
    assert_non_null(strstr(fake_response(&fake).p, "{\"error\":\"the response needs"));
    fake_fini(&fake);
}

/* -- there and back ------------------------------------------------------------------------ */

/* The tensor that our own decoder reads from the JSON or the binary form of `tensor`. */
static void round_trip(const struct tern_tensor *tensor, bool binary)
{
    struct tern_tensor out = *tensor;
    struct fake_exchange answer, request;
    struct tern_err err = {0};
    fake_init(&answer);
    set_outputs(&answer, &out, 1);
    answer.call.request.binary_default = binary;
    struct tern_str body = encode(&answer);
    /* An answer's "outputs" read as a request's "inputs". */
    char *at = strstr(body.p, "\"outputs\"");
    assert_non_null(at);
    memcpy(at, "\"inputs\" ", 9);
    fake_init(&request);
    if (binary) {
        char digits[24];
        snprintf(digits, sizeof(digits), "%zu", body.n - tensor->n_bytes);
        fake_header(&request, TERN_OIP_LENGTH_HEADER,
                    tern_arena_copy(&request.arena, tern_str_of(digits)).p);
    }
    fake_body(&request, body.p, body.n);
    if (tern_oip_decode_infer(&request.call, &err) != TERN_OK)
        fail_msg("%s: %s", body.p, err.text);
    const struct tern_tensor *in = &request.call.request.inputs[0];
    assert_int_equal(in->dtype, tensor->dtype);
    assert_true(tern_shape_eq(&in->shape, &tensor->shape));
    assert_int_equal(in->n_bytes, tensor->n_bytes);
    assert_memory_equal(in->data, tensor->data, tensor->n_bytes);
    fake_fini(&answer);
    fake_fini(&request);
}

static uint64_t random_state = 0x2545f4914f6cdd1du;

static uint8_t random_byte(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(random_state >> 56);
}

/* Bit patterns of infinities and NaNs have no JSON form: clear one exponent bit of them. */
static void make_finite(enum tern_dtype dtype, uint8_t *p, size_t size)
{
    if (dtype == TERN_DTYPE_BOOL)
        p[0] &= 1;
    if (dtype == TERN_DTYPE_FP16 && (p[1] & 0x7c) == 0x7c)
        p[1] &= 0xbf;
    if (dtype == TERN_DTYPE_BF16 || dtype == TERN_DTYPE_FP32 || dtype == TERN_DTYPE_FP64)
        p[size - 1] &= 0xbf;
}

static void every_datatype_survives_both_forms(void **state)
{
    (void)state;
    for (enum tern_dtype dtype = TERN_DTYPE_BOOL; dtype < TERN_DTYPE_BYTES; dtype++) {
        size_t size = tern_dtype_size(dtype);
        for (int round = 0; round < 40; round++) {
            _Alignas(64) uint8_t data[12 * 8];
            for (size_t i = 0; i < 12; i++) {
                for (size_t k = 0; k < size; k++)
                    data[i * size + k] = random_byte();
                make_finite(dtype, data + i * size, size);
            }
            struct tern_tensor tensor = {.name = TERN_STR("t"),
                                         .dtype = dtype,
                                         .shape = {3, {2, 3, 2}},
                                         .data = data,
                                         .n_bytes = 12 * size};
            round_trip(&tensor, false);
            round_trip(&tensor, true);
        }
    }
    char strings[] = "\0\0\0\0\4\0\0\0\"\\\n\x01\3\0\0\0\xe2\x82\xac\1\0\0\0/";
    struct tern_tensor tensor = {.name = TERN_STR("t"),
                                 .dtype = TERN_DTYPE_BYTES,
                                 .shape = {2, {2, 2}},
                                 .data = strings,
                                 .n_bytes = sizeof(strings) - 1};
    round_trip(&tensor, false);
    round_trip(&tensor, true);
}

/* -- the steady state --------------------------------------------------------------------- */

/* What a connection keeps (its arena's first chunk, the loop's buffer) is all that a stream of
 * similar requests needs. */
static void later_requests_allocate_nothing(void **state)
{
    (void)state;
    static const char text[] =
        "{\"id\":\"\\u0061\",\"inputs\":[{\"name\":\"x\",\"shape\":[1,4],\"datatype\":\"FP32\","
        "\"data\":[[5.1,3.5,1.4,0.2]]}],\"outputs\":[{\"name\":\"x\"}]}";
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    fake_body(&fake, text, sizeof(text) - 1);
    for (int round = 0; round < 3; round++) {
        mem_calls = 0;
        tern_arena_reset(&fake.arena);
        fake.call = (struct tern_call){.x = &fake.x, .arena = &fake.arena};
        assert_int_equal(tern_oip_decode_infer(&fake.call, &err), TERN_OK);
        set_outputs(&fake, fake.call.request.inputs, 1);
        assert_int_equal(tern_oip_encode_infer(&fake.call, &err), TERN_OK);
        if (round == 0)
            assert_int_not_equal(mem_calls, 0); /* the count counts */
        else
            assert_int_equal(mem_calls, 0);
    }
    fake_fini(&fake);
}

/* The longest double takes 24 bytes, a zero takes 4. */
static void room_is_counted_by_what_numbers_take(void **state)
{
    enum { N = 300000 };
    static double values[N];
    struct tern_tensor y = {.name = TERN_STR("y"),
                            .dtype = TERN_DTYPE_FP64,
                            .shape = {1, {N}},
                            .data = values,
                            .n_bytes = sizeof(values)};
    struct fake_exchange fake;
    struct tern_err err = {0};
    json_error_t mistake;
    (void)state;

    fake_init(&fake);
    fake.out.max = 4u << 20;
    set_outputs(&fake, &y, 1);
    assert_int_equal(tern_oip_encode_infer(&fake.call, &err), TERN_OK);
    struct tern_str body = fake_response(&fake);
    json_t *root = json_loadb(body.p, body.n, 0, &mistake);
    assert_non_null(root);
    const json_t *output = json_array_get(json_object_get(root, "outputs"), 0);
    assert_int_equal(json_array_size(json_object_get(output, "data")), N);
    json_decref(root);
    fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_a_small_answer),
        cmocka_unit_test(echoes_id_and_parameters),
        cmocka_unit_test(writes_strings),
        cmocka_unit_test(bytes_that_are_no_text_ask_for_binary),
        cmocka_unit_test(values_without_a_json_form_are_null),
        cmocka_unit_test(binary_outputs_follow_the_json),
        cmocka_unit_test(a_full_buffer_is_an_error),
        cmocka_unit_test(room_is_counted_by_what_numbers_take),
        cmocka_unit_test(every_datatype_survives_both_forms),
        cmocka_unit_test(later_requests_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
