/* Requests and answers of the Open Inference Protocol as the commands write and read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "cli/compare.h"
#include "cli/v2.h"
#include "cli/values.h"
#include "simd/numbers.h"
#include "simd/simd.h"

static struct tern_arena arena;
static struct tern_err err;

static struct tern_json json_of(const char *text)
{
    struct tern_str s = tern_str_of(text);
    struct tern_json json;
    char *copy = tern_arena_zalloc(&arena, 1, s.n + TERN_TEXT_PAD);

    assert_non_null(copy);
    memcpy(copy, s.p, s.n);
    tern_json_init(&json, tern_str_make(copy, s.n), &arena);
    return json;
}

static struct tern_v2_tensors tensors_of(const char *text)
{
    struct tern_v2_tensors tensors = {.n = 0};
    struct tern_json json = json_of(text);

    if (tern_v2_read_tensors(&json, &tensors, &err) != TERN_OK)
        fail_msg("%s: %s", text, err.text);
    return tensors;
}

static struct tern_comparison compare(const struct tern_v2_tensors *a,
                                      const struct tern_v2_tensors *b, size_t rows)
{
    struct tern_comparison found;

    assert_int_equal(tern_compare(a, b, rows, 1e-4, &arena, &found, &err), TERN_OK);
    return found;
}

static const char every_type[] =
    "[{\"name\":\"a\",\"datatype\":\"BOOL\",\"shape\":[2],\"data\":[true,false]},"
    "{\"name\":\"b\",\"datatype\":\"UINT8\",\"shape\":[2],\"data\":[0,255]},"
    "{\"name\":\"c\",\"datatype\":\"INT16\",\"shape\":[2],\"data\":[-32768,32767]},"
    "{\"name\":\"d\",\"datatype\":\"INT64\",\"shape\":[1],\"data\":[-9223372036854775807]},"
    "{\"name\":\"e\",\"datatype\":\"FP16\",\"shape\":[1,2],\"data\":[[1.5,-0.25]]},"
    "{\"name\":\"f\",\"datatype\":\"BF16\",\"shape\":[1],\"data\":[-2.5]},"
    "{\"name\":\"g\",\"datatype\":\"FP64\",\"shape\":[1],\"data\":[0.1]},"
    "{\"name\":\"h\",\"datatype\":\"BYTES\",\"shape\":[3],\"data\":[\"\",\"abc\",\"\\u00e9\"]},"
    "{\"name\":\"i\",\"datatype\":\"INT8\",\"shape\":[0],\"data\":[]},"
    "{\"name\":\"j\",\"datatype\":\"UINT32\",\"shape\":[],\"data\":[4294967295]}]";

/* A request read back as if it were an answer: {"inputs" becomes {"outputs". */
static void check_round_trip(bool binary)
{
    struct tern_v2_tensors in = tensors_of(every_type);
    struct tern_v2_answer answer;
    struct tern_buf out, text;
    size_t json_n = 0;

    tern_buf_init(&out, 1 << 16);
    tern_buf_init(&text, 1 << 16);
    assert_int_equal(tern_v2_write_request(&out, &in, binary, &json_n, &err), TERN_OK);
    assert_int_equal(binary, json_n < out.n);
    TERN_BUF_ADD_LITERAL(&text, "{\"outputs\"");
    tern_buf_add(&text, out.p + 9, json_n - 9);
    tern_buf_add_char(&text, '\0');
    struct tern_json json = json_of(text.p);
    struct tern_str raw = tern_str_from(tern_buf_str(&out), json_n);
    if (tern_v2_read_answer(&json, raw, &answer, &err) != TERN_OK)
        fail_msg("%s", err.text);
    struct tern_comparison found = compare(&answer.outputs, &in, 1);
    assert_int_equal(found.bad_rows, 0);
    assert_int_equal(answer.outputs.n, 10);
    tern_buf_fini(&out);
    tern_buf_fini(&text);
}

static void test_every_type_goes_and_comes_back(void **state)
{
    (void)state;
    check_round_trip(false);
    check_round_trip(true);
}

static void test_raw_bytes_fit_the_shape(void **state)
{
    static const struct {
        const char *json;
        struct tern_str raw;
        const char *text;
    } answers[] = {
        {"{\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2],"
         "\"parameters\":{\"binary_data_size\":8}}]}",
         {"1234", 4},
         "has 8 raw bytes, but only 4 follow"},
        {"{\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2],"
         "\"parameters\":{\"binary_data_size\":4}}]}",
         {"1234", 4},
         "its shape takes 8"},
        {"{\"outputs\":[{\"name\":\"y\",\"datatype\":\"BYTES\",\"shape\":[1],"
         "\"parameters\":{\"binary_data_size\":4}}]}",
         {"\4\0\0\0", 4},
         "y"},
        {"{\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2]}]}", {"", 0}, "'data'"},
        {"{\"outputs\":[]}", {"", 0}, "without outputs"},
    };
    struct tern_v2_answer answer;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(answers); i++) {
        struct tern_json json = json_of(answers[i].json);
        assert_int_equal(tern_v2_read_answer(&json, answers[i].raw, &answer, &err),
                         TERN_INVALID_ARGUMENT);
        if (strstr(err.text, answers[i].text) == NULL)
            fail_msg("%s: %s", answers[i].json, err.text);
    }
}

static void test_rows_are_cut(void **state)
{
    const struct tern_v2_tensors all = tensors_of(
        "[{\"name\":\"x\",\"datatype\":\"INT32\",\"shape\":[3,2],\"data\":[1,2,3,4,5,6]},"
        "{\"name\":\"s\",\"datatype\":\"BYTES\",\"shape\":[3],\"data\":[\"a\",\"bc\",\"def\"]}]");
    const struct tern_v2_tensors last = tensors_of(
        "[{\"name\":\"x\",\"datatype\":\"INT32\",\"shape\":[2,2],\"data\":[3,4,5,6]},"
        "{\"name\":\"s\",\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"bc\",\"def\"]}]");
    static const struct tern_tensor_spec specs[] = {
        {.name = {"x", 1}, .dtype = TERN_DTYPE_INT32, .shape = {2, {-1, 2}}},
        {.name = {"s", 1}, .dtype = TERN_DTYPE_BYTES, .shape = {1, {-1}}}};
    const struct tern_model_info model = {.inputs = specs, .n_inputs = 2};
    struct tern_v2_tensors part;

    (void)state;
    assert_true(tern_v2_can_cut(&all, &model, 3));
    assert_false(tern_v2_can_cut(&all, &model, 2));
    assert_int_equal(tern_v2_cut(&all, 1, 2, &arena, &part, &err), TERN_OK);
    assert_int_equal(compare(&part, &last, 2).bad_rows, 0);
    assert_int_equal(part.rows[1].n_bytes, last.rows[1].n_bytes);
}

static int set_up(void **state)
{
    (void)state;
    tern_simd_init();
    tern_arena_init(&arena, 1 << 16, 1 << 24);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tern_arena_fini(&arena);
    return 0;
}

/* Names of columns, which are ours, stand where metadata has them. */
static void test_metadata_with_names(void **state)
{
    struct tern_model_info info;
    struct tern_json json = json_of(
        "{\"name\":\"m\",\"versions\":[\"1\",\"3\"],\"inputs\":[{\"feature_names\":[\"age\","
        "\"pay\"],"
        "\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,2]}],\"outputs\":[{\"name\":\"y\","
        "\"datatype\":\"FP32\",\"shape\":[-1,3],\"labels\":[\"a\",\"b\",\"c\"]},{\"name\":\"z\","
        "\"datatype\":\"INT64\",\"shape\":[-1],\"labels\":7}]}");
    struct tern_json bad =
        json_of("{\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[-1],"
                "\"labels\":[\"a\",1]}]}");

    (void)state;
    assert_int_equal(tern_v2_read_metadata(&json, &info, &err), TERN_OK);
    assert_int_equal(info.version, 3);
    assert_int_equal(info.n_feature_names, 2);
    assert_true(tern_str_eq(info.feature_names[1], TERN_STR("pay")));
    assert_int_equal(info.outputs[0].labels.n, 3);
    assert_true(tern_str_eq(info.outputs[0].labels.rows[2], TERN_STR("c")));
    assert_int_equal(info.outputs[1].labels.n, 0);
    assert_int_equal(tern_v2_read_metadata(&bad, &info, &err), TERN_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_goes_and_comes_back),
        cmocka_unit_test(test_raw_bytes_fit_the_shape),
        cmocka_unit_test(test_rows_are_cut),
        cmocka_unit_test(test_metadata_with_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
