/* Infer requests of the Open Inference Protocol: what is read, and the text of every refusal. */
// covers: proto/oip_params proto/oip_tensor
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "proto/oip_int.h"

#define JSON_INPUT(rest) "{\"inputs\":[{\"name\":\"x\"," rest "}]}"

static enum tern_code decode_bytes(struct fake_exchange *fake, const void *p, size_t n,
                                   struct tern_err *err)
{
    fake->call.model = TERN_STR("m");
    fake_body(fake, p, n);
    return tern_oip_decode_infer(&fake->call, err);
}

static enum tern_code decode(struct fake_exchange *fake, const char *text, struct tern_err *err)
{
    return decode_bytes(fake, text, strlen(text), err);
}

static void expect_ok(struct fake_exchange *fake, const char *text)
{
    struct tern_err err = {0};
    fake_init(fake);
    if (decode(fake, text, &err) != TERN_OK)
        fail_msg("%s: %s", text, err.text);
}

static void expect_refused(const char *text, const char *part)
{
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    enum tern_code code = decode(&fake, text, &err);
    if (code == TERN_OK || tern_err_http_status(&err) >= 500 || strstr(err.text, part) == NULL)
        fail_msg("%s: code %d, \"%s\", expected \"%s\"", text, (int)code, err.text, part);
    fake_fini(&fake);
}

/* -- what is accepted --------------------------------------------------------------------- */

static void reads_a_whole_request(void **state)
{
    (void)state;
    struct fake_exchange fake;
    expect_ok(&fake,
              "{ \"id\" : \"a\\u00e9\", \"parameters\":{\"p\":true,\"q\":-3,\"r\":1.5,"
              "\"s\":\"t\",\"u\":18446744073709551615,\"priority\":7},"
              "\"inputs\":[{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\","
              "\"data\":[[1,2.5],[-3e0,4]]},"
              "{\"name\":\"s\",\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[\"ab\",\"\"]}],"
              "\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":true}},"
              "{\"name\":\"z\",\"parameters\":{\"classification\":3}}],\"other\":[{},null]}");
    const struct tern_infer_request *r = &fake.call.request;
    assert_true(tern_str_eq(r->id, TERN_STR("a\xc3\xa9")));
    assert_int_equal(r->params.n, 6);
    assert_true(r->params.rows[0].boolean);
    assert_int_equal(r->params.rows[1].int64, -3);
    assert_true(r->params.rows[2].kind == TERN_PARAM_DOUBLE && r->params.rows[2].real == 1.5);
    assert_true(tern_str_eq(r->params.rows[3].string, TERN_STR("t")));
    assert_true(r->params.rows[4].kind == TERN_PARAM_UINT64 &&
                r->params.rows[4].uint64 == UINT64_MAX);
    assert_int_equal(r->params.rows[5].int64, 7);
    assert_int_equal(r->n_inputs, 2);
    const float want[] = {1, 2.5f, -3, 4};
    assert_int_equal(r->inputs[0].n_bytes, sizeof(want));
    assert_memory_equal(r->inputs[0].data, want, sizeof(want));
    assert_int_equal((uintptr_t)r->inputs[0].data % 64, 0);
    assert_int_equal(r->inputs[1].n_bytes, 10);
    assert_memory_equal(r->inputs[1].data, "\2\0\0\0ab\0\0\0\0", 10);
    assert_int_equal(r->n_outputs, 2);
    assert_true(r->outputs[0].binary && !r->outputs[1].binary);
    assert_int_equal(r->outputs[1].classification, 3);
    fake_fini(&fake);
}

static void keys_come_in_any_order(void **state)
{
    (void)state;
    static const char *const members[] = {"\"name\":\"x\"", "\"shape\":[1,3]",
                                          "\"datatype\":\"INT16\"", "\"data\":[[7,-8,9]]"};
    static const int16_t want[] = {7, -8, 9};
    for (int i = 0; i < 256; i++) {
        int a = i & 3, b = i >> 2 & 3, c = i >> 4 & 3, d = i >> 6 & 3;
        if (a == b || a == c || a == d || b == c || b == d || c == d)
            continue;
        char text[256];
        struct fake_exchange fake;
        snprintf(text, sizeof(text), "{\"inputs\":[{%s , %s,%s,%s}],\"id\":\"z\"}", members[a],
                 members[b], members[c], members[d]);
        expect_ok(&fake, text);
        assert_int_equal(fake.call.request.n_inputs, 1);
        assert_memory_equal(fake.call.request.inputs[0].data, want, sizeof(want));
        assert_true(tern_str_eq(fake.call.request.id, TERN_STR("z")));
        fake_fini(&fake);
    }
}

static void reads_every_datatype(void **state)
{
    (void)state;
    static const struct {
        const char *datatype;
        const char *data;
        const char *bytes;
        size_t n;
    } rows[] = {
        {"BOOL", "[true,false]", "\1\0", 2},
        {"UINT8", "[0,255]", "\0\xff", 2},
        {"UINT16", "[1,65535]", "\1\0\xff\xff", 4},
        {"UINT32", "[1,4294967295]", "\1\0\0\0\xff\xff\xff\xff", 8},
        {"UINT64", "[1,18446744073709551615]", "\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
         16},
        {"INT8", "[-128,127]", "\x80\x7f", 2},
        {"INT16", "[-1,2]", "\xff\xff\2\0", 4},
        {"INT32", "[-1,2]", "\xff\xff\xff\xff\2\0\0\0", 8},
        {"INT64", "[-1,2]", "\xff\xff\xff\xff\xff\xff\xff\xff\2\0\0\0\0\0\0\0", 16},
        {"FP16", "[1,-2]", "\0\x3c\0\xc0", 4},
        {"BF16", "[1,-2]", "\x80\x3f\0\xc0", 4},
        {"FP32", "[1,-2]", "\0\0\x80\x3f\0\0\0\xc0", 8},
        {"FP64", "[1,-2]", "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\xc0", 16},
        {"BYTES", "[\"\\ud83d\\ude00\",\"a\\\"\"]", "\4\0\0\0\xf0\x9f\x98\x80\2\0\0\0a\"", 14},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char text[256];
        struct fake_exchange fake;
        snprintf(text, sizeof(text), JSON_INPUT("\"shape\":[2],\"datatype\":\"%s\",\"data\":%s"),
                 rows[i].datatype, rows[i].data);
        expect_ok(&fake, text);
        const struct tern_tensor *t = &fake.call.request.inputs[0];
        assert_int_equal(t->n_bytes, rows[i].n);
        assert_memory_equal(t->data, rows[i].bytes, rows[i].n);
        fake_fini(&fake);
    }
}

static void reads_odd_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *shape;
        const char *datatype;
        const char *data;
        size_t n_bytes;
    } rows[] = {
        {"[]", "INT32", "[5]", 4},
        {"[0]", "FP32", "[]", 0},
        {"[2,0]", "FP32", "[[],[]]", 0},
        {"[0,4]", "FP32", "[]", 0},
        {"[2,2]", "UINT8", "[1,2,3,4]", 4},
        {"[1,1,1,2]", "UINT8", "[[[[1,2]]]]", 2},
        {"[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "UINT8", "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", 1},
        {"[0]", "BYTES", "[]", 0},
        {"[2,1]", "BYTES", "[[\"a\"],[\"b\"]]", 10},
        {"[2,1]", "BYTES", "[\"a\",\"b\"]", 10},
        {"[2,0]", "BYTES", "[[],[]]", 0},
        {"[]", "BYTES", "[\"\"]", 4},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char text[256];
        struct fake_exchange fake;
        snprintf(text, sizeof(text), JSON_INPUT("\"shape\":%s,\"datatype\":\"%s\",\"data\":%s"),
                 rows[i].shape, rows[i].datatype, rows[i].data);
        expect_ok(&fake, text);
        assert_int_equal(fake.call.request.inputs[0].n_bytes, rows[i].n_bytes);
        fake_fini(&fake);
    }
}

/* Triton looks at no nesting; we let arrays of one member around the data pass. */
static void arrays_around_the_data_do_not_count(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *bytes;
        size_t n;
    } rows[] = {
        {JSON_INPUT("\"datatype\":\"INT8\",\"shape\":[1,1],\"data\":[[[[[[[[[[[[[[[[[[[[9]]]]]]]]]]"
                    "]]]]]]]]]]"),
         "\x09", 1},
        {JSON_INPUT("\"datatype\":\"INT8\",\"shape\":[2],\"data\":[ [[1,2] ] ]"), "\1\2", 2},
        {JSON_INPUT("\"data\":[[[1],[2]]],\"datatype\":\"INT8\",\"shape\":[2,1]"), "\1\2", 2},
        {JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[[\"a\",\"b\"]]"),
         "\1\0\0\0a\1\0\0\0b", 10},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        expect_ok(&fake, rows[i].text);
        const struct tern_tensor *t = &fake.call.request.inputs[0];
        assert_int_equal(t->n_bytes, rows[i].n);
        assert_memory_equal(t->data, rows[i].bytes, rows[i].n);
        fake_fini(&fake);
    }
}

static void many_tensors_and_parameters_are_kept(void **state)
{
    (void)state;
    static char text[65536];
    struct fake_exchange fake;
    size_t n = (size_t)snprintf(text, sizeof(text), "{\"inputs\":[");
    for (int i = 0; i < TERN_TENSORS_MAX; i++)
        n += (size_t)snprintf(
            text + n, sizeof(text) - n,
            "%s{\"name\":\"i%d\",\"shape\":[1],\"datatype\":\"INT32\",\"data\":[%d]}",
            i == 0 ? "" : ",", i, i * 3);
    n += (size_t)snprintf(text + n, sizeof(text) - n, "],\"parameters\":{");
    for (int i = 0; i < TERN_PARAMS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\"p%d\":%d", i == 0 ? "" : ",", i, i);
    snprintf(text + n, sizeof(text) - n, "}}");
    expect_ok(&fake, text);
    for (int i = 0; i < TERN_TENSORS_MAX; i++) {
        int32_t value;
        memcpy(&value, fake.call.request.inputs[i].data, 4);
        assert_int_equal(value, i * 3);
        assert_int_equal(fake.call.request.params.rows[i].int64, i);
    }
    fake_fini(&fake);
}

/* -- binary ------------------------------------------------------------------------------- */

static void binary_inputs_are_slices_of_the_body(void **state)
{
    (void)state;
    static const char json[] =
        "{\"parameters\":{\"binary_data_output\":true},\"inputs\":["
        "{\"name\":\"a\",\"shape\":[2],\"datatype\":\"INT16\",\"parameters\":{\"binary_data_size\":"
        "4}},"
        "{\"name\":\"b\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[5]},"
        "{\"name\":\"c\",\"shape\":[2],\"datatype\":\"BYTES\",\"parameters\":{\"binary_data_size\":"
        "9}}],"
        "\"outputs\":[{\"name\":\"y\"},{\"name\":\"z\",\"parameters\":{\"binary_data\":false}}]}";
    char body[512], length[24];
    struct fake_exchange fake;
    struct tern_err err = {0};
    size_t n = sizeof(json) - 1;

    memcpy(body, json, n);
    memcpy(body + n, "\1\0\2\0\1\0\0\0x\0\0\0\0", 13);
    snprintf(length, sizeof(length), "%zu", n);
    fake_init(&fake);
    fake_header(&fake, "inference-header-content-length", length);
    fake.x.content_type = TERN_STR("application/octet-stream");
    if (decode_bytes(&fake, body, n + 13, &err) != TERN_OK)
        fail_msg("%s", err.text);
    const struct tern_infer_request *r = &fake.call.request;
    assert_ptr_equal(r->inputs[0].data, fake.body + n);
    assert_int_equal(r->inputs[0].n_bytes, 4);
    assert_ptr_equal(r->inputs[2].data, fake.body + n + 4);
    assert_int_equal(r->inputs[2].n_bytes, 9);
    assert_true(r->binary_default && r->outputs[0].binary && !r->outputs[1].binary);
    fake_fini(&fake);
}

static void header_of_zero_makes_a_raw_request(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    fake_header(&fake, TERN_OIP_LENGTH_HEADER, "0");
    assert_int_equal(decode_bytes(&fake, "\0\1\2\3", 4, &err), TERN_OK);
    assert_true(fake.call.request.raw && fake.call.request.binary_default);
    assert_int_equal(fake.call.request.raw_body.n, 4);
    fake_fini(&fake);
}

static void two_lengths_are_refused(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    fake_header(&fake, TERN_OIP_LENGTH_HEADER, "2");
    fake_header(&fake, "inference-header-content-length", "2");
    assert_int_equal(decode_bytes(&fake, "{}", 2, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "more than once"));
    fake_fini(&fake);
}

static void refuses_wrong_binary(void **state)
{
    (void)state;
#define BINARY_INPUT(dtype, shape, size)                                       \
    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"" dtype "\",\"shape\":" shape \
    ",\"parameters\":{\"binary_data_size\":" size "}}]}"
    static const struct {
        const char *header; /* NULL: the length of json */
        const char *json;
        const char *tail;
        size_t n_tail;
        const char *text;
    } rows[] = {
        {NULL, BINARY_INPUT("FP32", "[2]", "12"), "0123456789ab", 12,
         "input byte size mismatch for input 'x' for model 'm'. Expected 8, got 12"},
        {NULL, BINARY_INPUT("FP32", "[2]", "8"), "0123456", 7, "only 7 bytes of the body are left"},
        {NULL, BINARY_INPUT("FP32", "[2]", "8"), "012345678", 9, "1 bytes of the body are left"},
        {NULL, BINARY_INPUT("FP32", "[2]", "-8"), "01234567", 8,
         "Invalid value for 'binary_data_size': expected an unsigned integer"},
        {NULL, BINARY_INPUT("FP32", "[2]", "8.0"), "01234567", 8,
         "Invalid value for 'binary_data_size': expected an unsigned integer"},
        {NULL, BINARY_INPUT("FP32", "[2]", "18446744073709551615"), "01234567", 8,
         "binary_data_size is 18446744073709551615"},
        {NULL, BINARY_INPUT("BYTES", "[1]", "8"), "\5\0\0\0aaaa", 8, "string element 0 is longer"},
        {NULL, BINARY_INPUT("BYTES", "[2]", "8"), "\4\0\0\0aaaa", 8,
         "unexpected number of string elements 1 for inference input 'x', expecting 2"},
        {NULL, BINARY_INPUT("BYTES", "[1]", "8"), "\0\0\0\0\0\0\0\0", 8,
         "unexpected number of string elements"},
        {"x", "{}", "", 0, "expected a number of bytes, got 'x'"},
        {"-1", "{}", "", 0, "expected a number of bytes, got '-1'"},
        {"3", "{}", "", 0, "says 3 bytes of JSON, but the body has 2"},
        {"1", "{}", "", 0, "expected a key in quotes at byte 1"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        char body[512], length[24];
        size_t n = strlen(rows[i].json);
        memcpy(body, rows[i].json, n);
        memcpy(body + n, rows[i].tail, rows[i].n_tail);
        snprintf(length, sizeof(length), "%zu", n);
        fake_init(&fake);
        fake_header(&fake, TERN_OIP_LENGTH_HEADER,
                    rows[i].header != NULL ? rows[i].header : length);
        enum tern_code code = decode_bytes(&fake, body, n + rows[i].n_tail, &err);
        if (code != TERN_INVALID_ARGUMENT || strstr(err.text, rows[i].text) == NULL)
            fail_msg("row %zu: code %d, \"%s\", expected \"%s\"", i, (int)code, err.text,
                     rows[i].text);
        fake_fini(&fake);
    }
}

/* -- what is refused ---------------------------------------------------------------------- */

static void refuses_wrong_inputs(void **state)
{
    (void)state;
#define FP32 "\"datatype\":\"FP32\","
    static const struct {
        const char *body;
        const char *text;
    } rows[] = {
        {JSON_INPUT(FP32 "\"shape\":[-1],\"data\":[1]"),
         "Unable to parse 'shape': attempt to access JSON non-unsigned-integer as "
         "unsigned-integer"},
        {JSON_INPUT(FP32 "\"shape\":[\"1\"],\"data\":[1]"), "Unable to parse 'shape'"},
        {JSON_INPUT(FP32 "\"shape\":[1.0],\"data\":[1]"), "Unable to parse 'shape'"},
        {JSON_INPUT(FP32 "\"shape\":[[1]],\"data\":[1]"), "Unable to parse 'shape'"},
        {JSON_INPUT(FP32 "\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"data\":[1]"),
         "Unable to parse 'shape': more than 16 dimensions"},
        {JSON_INPUT(FP32 "\"shape\":[1,],\"data\":[1]"), "expected a dimension"},
        {JSON_INPUT(FP32 "\"shape\":4,\"data\":[1]"), "expected an array"},
        {JSON_INPUT(FP32 "\"shape\":[4294967296,4294967296],\"data\":[1]"),
         "causes total element count to exceed maximum size of 9223372036854775807"},
        {JSON_INPUT(FP32 "\"shape\":[9223372036854775807],\"data\":[1]"),
         "byte size overflow for input 'x'"},
        {JSON_INPUT("\"data\":[1]," FP32 "\"shape\":[9223372036854775807]"),
         "byte size overflow for input 'x'"},
        {JSON_INPUT(FP32 "\"shape\":[1000000000000],\"data\":[1]"),
         "Failed to parse 'data' field: shape does not match true shape"},
        {JSON_INPUT(FP32 "\"shape\":[2],\"data\":[1]"),
         "Failed to parse 'data' field: shape does not match true shape"},
        {JSON_INPUT(FP32 "\"shape\":[2],\"data\":[1,2,3]"),
         "Unable to parse 'data': Shape does not match true shape of 'data' field"},
        {JSON_INPUT(FP32 "\"shape\":[2],\"data\":[[1,2,3]]"),
         "Unable to parse 'data': Shape does not match true shape of 'data' field"},
        {JSON_INPUT(FP32 "\"shape\":[4],\"data\":[[1,2],[3,4]]"),
         "(input 'x' has shape [4], its data is nested as [2,2])"},
        {JSON_INPUT(FP32 "\"shape\":[2,2],\"data\":[[1,2],[3]]"), "Unable to parse 'data'"},
        {JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"a\"]"),
         "Failed to parse 'data' field: shape does not match true shape"},
        {JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"a\",\"b\"]"),
         "Unable to parse 'data': Shape does not match true shape of 'data' field"},
        {JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[3],\"data\":[[\"a\",\"b\"],[\"c\"]]"),
         "expected arrays of equal length"},
        {JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[[\"a\"],\"b\"]"),
         "expected arrays of equal length"},
        {JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"a\",[\"b\"]]"),
         "expected arrays of equal length"},
        {JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[[\"a\"],[\"b\"]]"),
         "its data is nested as [2,1]"},
        {JSON_INPUT(FP32 "\"shape\":[2],\"data\":[[1,2],[]]"), "Unable to parse 'data'"},
        {JSON_INPUT(FP32 "\"shape\":[2],\"data\":[[1,2]"), "at byte"},
        {JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[1]"), "expected a string"},
        {JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"\\ud800\"]"),
         "surrogates in pairs"},
        {JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"\xff\"]"), "valid UTF-8"},
        {JSON_INPUT(FP32 "\"shape\":[1],\"data\":[\"1\"]"), "Unable to parse 'data' of input 'x'"},
        {JSON_INPUT(FP32 "\"shape\":[1],\"data\":[nul]"), "at byte"},
        {JSON_INPUT(FP32 "\"shape\":[1],\"data\":[NaN]"), "expected a value at byte"},
        {JSON_INPUT(FP32 "\"shape\":[1],\"data\":[Infinity]"), "expected a value at byte"},
        {JSON_INPUT(FP32 "\"shape\":[1],\"data\":[1e400]"), "Unable to parse 'data' of input 'x'"},
        {JSON_INPUT(FP32 "\"shape\":[1],\"data\":[01]"), "expected ',' or ']' at byte"},
        {JSON_INPUT(FP32 "\"shape\":[1],\"data\":[1.]"), "expected a digit after '.'"},
        {JSON_INPUT(FP32 "\"shape\":[1],\"data\":1"), "expected an array as 'data'"},
        {JSON_INPUT("\"data\":{}," FP32 "\"shape\":[1]"), "expected an array as 'data'"},
        {JSON_INPUT("\"data\":[1}," FP32 "\"shape\":[1]"), "expected ',' or ']'"},
        {JSON_INPUT("\"data\":[1,2," FP32 "\"shape\":[1]"), "at byte"},
        {JSON_INPUT("\"datatype\":\"INT8\",\"shape\":[1],\"data\":[128]"), "'data' of input 'x'"},
        {JSON_INPUT("\"datatype\":\"UINT8\",\"shape\":[1],\"data\":[-1]"), "'data' of input 'x'"},
        {JSON_INPUT("\"datatype\":\"INT32\",\"shape\":[1],\"data\":[1.5]"), "'data' of input 'x'"},
        {JSON_INPUT("\"datatype\":\"INT64\",\"shape\":[1],\"data\":[9223372036854775808]"),
         "'data' of input 'x'"},
        {JSON_INPUT("\"datatype\":\"FP8\",\"shape\":[1],\"data\":[1]"),
         "Unable to parse 'datatype': 'FP8' is unknown"},
        {JSON_INPUT("\"datatype\":3,\"shape\":[1],\"data\":[1]"), "expected a string"},
        {JSON_INPUT("\"shape\":[1],\"data\":[1]"), "input 'x' has no 'datatype'"},
        {JSON_INPUT(FP32 "\"data\":[1]"), "input 'x' has no 'shape'"},
        {JSON_INPUT(FP32 "\"shape\":[1]"), "got none"},
        {JSON_INPUT(FP32 "\"shape\":[1],\"data\":[1],\"parameters\":{\"binary_data_size\":4}"),
         "got several"},
        {JSON_INPUT(FP32 "\"shape\":[1],\"data\":[1],\"data\":[1]"), "duplicate key 'data'"},
        {JSON_INPUT(FP32 "\"shape\":[1],\"data\":[1],\"name\":\"x\""), "duplicate key 'name'"},
        {"{\"inputs\":[{\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}",
         "input 0 has no 'name'"},
        {"{\"inputs\":[{\"name\":\"x\",\"shape\":[0],\"datatype\":\"FP32\",\"data\":[]},"
         "{\"name\":\"x\",\"shape\":[0],\"datatype\":\"FP32\",\"data\":[]}]}",
         "input 'x' already exists in request"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        expect_refused(rows[i].body, rows[i].text);
}

static void refuses_wrong_requests(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *text;
    } rows[] = {
        {"", "the request has no body"},
        {"[]", "expected an object at byte 0 (line 1, column 1), got '['"},
        {"{}", "the request has no 'inputs'"},
        {"{\"inputs\":[]", "expected ',' or '}' at byte 12 (line 1, column 13), got the end"},
        {"{\"inputs\":[]}\n x", "expected nothing after the value at byte 15 (line 2, column 2)"},
        {"{\"inputs\":[],}", "expected a key in quotes"},
        {"{\"inputs\":{}}", "expected an array"},
        {"{\"inputs\":[1]}", "expected an object"},
        {"{\"inputs\":[],\"inputs\":[]}", "duplicate key 'inputs'"},
        {"{\"inputs\":[],\"in\\u0070uts\":[]}", "duplicate key 'inputs'"},
        {"{\"inputs\":[],\"id\":1}", "expected a string"},
        {"{\"inputs\":[],\"id\":\"a\",\"id\":\"b\"}", "duplicate key 'id'"},
        {"{\"inputs\":[],\"parameters\":[]}", "expected an object"},
        {"{\"inputs\":[],\"parameters\":{\"p\":null}}", "parameter 'p' has invalid type"},
        {"{\"inputs\":[],\"parameters\":{\"p\":[]}}", "parameter 'p' has invalid type"},
        {"{\"inputs\":[],\"parameters\":{\"p\":1,\"p\":2}}", "parameter 'p' is given twice"},
        {"{\"inputs\":[],\"parameters\":{\"p\":1e999}}", "within the range of a double"},
        {"{\"inputs\":[],\"parameters\":{\"binary_data_output\":1}}",
         "Invalid value for 'binary_data_output': expected a boolean"},
        {"{\"inputs\":[],\"outputs\":[{}]}", "output 0 has no 'name'"},
        {"{\"inputs\":[],\"outputs\":[{\"name\":\"o\"},{\"name\":\"o\"}]}",
         "output 'o' already exists in request"},
        {"{\"inputs\":[],\"outputs\":[{\"name\":\"o\",\"parameters\":{\"binary_data\":\"y\"}}]}",
         "Invalid value for 'binary_data': expected a boolean"},
        {"{\"inputs\":[],\"outputs\":[{\"name\":\"o\",\"parameters\":{\"classification\":-1}}]}",
         "Invalid value for 'classification': expected an unsigned integer"},
        {"{\"inputs\":[],\"outputs\":[{\"name\":\"o\",\"parameters\":{\"classification\":4294967296"
         "}}]}",
         "Invalid value for 'classification'"},
        {"\xef\xbb\xbf{}", "expected an object at byte 0 (line 1, column 1), got byte 0xef"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        expect_refused(rows[i].body, rows[i].text);
}

/* Deep nesting in a value that is skipped, in data that is read at once and in data that waits. */
static void depth_is_limited_everywhere(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "{\"x\":%s,\"inputs\":[]}",
        JSON_INPUT(FP32 "\"shape\":[1],\"data\":%s"),
        JSON_INPUT("\"data\":%s," FP32 "\"shape\":[1]"),
        JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[1],\"data\":%s"),
    };
    static const int outside[] = {1, 3, 3, 3};
    for (size_t i = 0; i < TERN_COUNT_OF(forms); i++) {
        int depth = TERN_JSON_DEPTH_DEFAULT - outside[i] + 1;
        char nested[256], text[512];
        memset(nested, '[', (size_t)depth);
        memset(nested + depth, ']', (size_t)depth);
        nested[2 * depth] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof(text), forms[i], nested);
#pragma GCC diagnostic pop
        expect_refused(text, "JSON nesting depth exceeds maximum allowed limit (100)");
    }
    expect_refused(JSON_INPUT("\"datatype\":\"BYTES\",\"shape\":[1],"
                              "\"data\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]"),
                   "expected at most 16 nested arrays");
}

static void depth_comes_from_the_listener(void **state)
{
    static const char text[] = "{\"x\":[[[[1]]]],\"inputs\":[]}";
    struct tern_listener_info listener = {.json_depth_max = 4};
    struct fake_exchange fake;
    struct tern_err err = {0};

    (void)state;
    fake_init(&fake);
    fake.x.listener = &listener;
    assert_int_equal(decode(&fake, text, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "JSON nesting depth exceeds maximum allowed limit (4)"));
    fake_fini(&fake);
    fake_init(&fake);
    listener.json_depth_max = 5;
    fake.x.listener = &listener;
    (void)decode(&fake, text, &err);
    assert_null(strstr(err.text, "limit (5)"));
    fake_fini(&fake);
}

static void too_many_tensors_are_refused(void **state)
{
    (void)state;
    static char text[65536];
    size_t n = (size_t)snprintf(text, sizeof(text), "{\"inputs\":[],\"outputs\":[");
    for (int i = 0; i <= TERN_TENSORS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s{\"name\":\"o%d\"}", i == 0 ? "" : ",",
                              i);
    snprintf(text + n, sizeof(text) - n, "]}");
    expect_refused(text, "the request has more than 256 outputs");
    n = (size_t)snprintf(text, sizeof(text), "{\"parameters\":{");
    for (int i = 0; i <= TERN_PARAMS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\"p%d\":1", i == 0 ? "" : ",", i);
    snprintf(text + n, sizeof(text) - n, "},\"inputs\":[]}");
    expect_refused(text, "more than 256 parameters");
}

static void memory_limit_comes_from_the_arena(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    fake.arena.max = 2000;
    char text[4096];
    int n = snprintf(text, sizeof(text),
                     JSON_INPUT("\"datatype\":\"FP64\",\"shape\":[500],\"data\":[0"));
    n -= 3; /* the closing brackets of JSON_INPUT: they come after the data */
    for (int i = 1; i < 500; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, ",0");
    snprintf(text + n, sizeof(text) - (size_t)n, "]}]}");
    assert_int_equal(decode(&fake, text, &err), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "leaves no room for the data of an input"));
    fake_fini(&fake);
}

static void content_types(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        int status; /* 0: accepted */
    } rows[] = {
        {"", 0},
        {"application/json", 0},
        {"Application/JSON; charset=utf-8", 0},
        {"text/plain", 0},
        {"application/octet-stream", 0},
        {"application/x-www-form-urlencoded", 0}, /* curl -d */
        {"multipart/form-data; boundary=x", 415},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        fake_init(&fake);
        fake.x.content_type = tern_str_of(rows[i].type);
        enum tern_code code = decode(&fake, "{\"inputs\":[]}", &err);
        assert_int_equal(code == TERN_OK ? 0 : tern_err_http_status(&err), rows[i].status);
        fake_fini(&fake);
    }
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    fake.x.content_type = TERN_STR("application/octet-stream");
    assert_int_equal(decode_bytes(&fake, "\0\0\0\0", 4, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "a binary body needs the header " TERN_OIP_LENGTH_HEADER);
    fake_fini(&fake);
}

/* A body cut anywhere is refused, never read beyond its end (the sanitizer watches the pad). */
static void every_prefix_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "{\"id\":\"a\\u00e9\",\"inputs\":[{\"data\":[1.5,[2]],\"name\":\"x\","
        "\"shape\":[2],\"datatype\":\"FP32\"}]}";
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        fake_init(&fake);
        assert_int_not_equal(decode_bytes(&fake, text, n, &err), TERN_OK);
        fake_fini(&fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_whole_request),
        cmocka_unit_test(keys_come_in_any_order),
        cmocka_unit_test(reads_every_datatype),
        cmocka_unit_test(reads_odd_shapes),
        cmocka_unit_test(many_tensors_and_parameters_are_kept),
        cmocka_unit_test(arrays_around_the_data_do_not_count),
        cmocka_unit_test(binary_inputs_are_slices_of_the_body),
        cmocka_unit_test(header_of_zero_makes_a_raw_request),
        cmocka_unit_test(two_lengths_are_refused),
        cmocka_unit_test(refuses_wrong_binary),
        cmocka_unit_test(refuses_wrong_inputs),
        cmocka_unit_test(refuses_wrong_requests),
        cmocka_unit_test(depth_is_limited_everywhere),
        cmocka_unit_test(depth_comes_from_the_listener),
        cmocka_unit_test(too_many_tensors_are_refused),
        cmocka_unit_test(memory_limit_comes_from_the_arena),
        cmocka_unit_test(content_types),
        cmocka_unit_test(every_prefix_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
