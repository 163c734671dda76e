/* The N best of each row: order, ties, types, names, and sizes. */
#include "gateway/classify.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct tern_arena arena;

static int prepare(void **state)
{
    (void)state;
    tern_arena_init(&arena, 4096, 64u << 20);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    tern_arena_fini(&arena);
    return 0;
}

static struct tern_tensor tensor_of(enum tern_dtype dtype, int64_t rows, int64_t columns,
                                    void *values)
{
    struct tern_tensor tensor = {
        .name = TERN_STR("y"), .dtype = dtype, .shape = {2, {rows, columns}}, .data = values};
    tensor.n_bytes = (size_t)(rows * columns) * tern_dtype_size(dtype);
    return tensor;
}

/* The strings one after the other, with a blank after each. */
static const char *text_of(const struct tern_tensor *tensor)
{
    static char text[4096];
    struct tern_str element;
    size_t n = 0;

    assert_int_equal(tensor->dtype, TERN_DTYPE_BYTES);
    for (size_t at = 0; at < tensor->n_bytes;) {
        assert_true(tern_tensor_next_bytes(tensor, &at, &element));
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s ", TERN_STR_ARG(element));
        assert_true(n < sizeof(text));
    }
    text[n] = '\0';
    return text;
}

static void expect(struct tern_tensor tensor, uint32_t n, bool batched,
                   const struct tern_labels *labels, const char *text)
{
    struct tern_err err = {0};

    if (tern_classify(&tensor, n, batched, labels, &arena, &err) != TERN_OK)
        fail_msg("%s", err.text);
    assert_string_equal(text_of(&tensor), text);
    size_t count = 0, strings = 0;
    for (const char *p = text; *p != '\0'; p++)
        strings += *p == ' ';
    assert_true(tern_shape_count(&tensor.shape, &count) && count == strings);
    assert_int_equal(tensor.shape.rank, batched ? 2 : 1);
}

static void the_best_come_first(void **state)
{
    (void)state;
    float values[] = {0.25f, 7, -3, 7, 0.5f, 100};
    expect(tensor_of(TERN_DTYPE_FP32, 1, 6, values), 3, true, NULL,
           "100.000000:5 7.000000:1 7.000000:3 ");
    expect(tensor_of(TERN_DTYPE_FP32, 2, 3, values), 2, true, NULL,
           "7.000000:1 0.250000:0 100.000000:2 7.000000:0 ");
    /* Without a batch, all is one row. */
    expect(tensor_of(TERN_DTYPE_FP32, 2, 3, values), 2, false, NULL, "100.000000:5 7.000000:1 ");
    /* More than there are: all. */
    expect(tensor_of(TERN_DTYPE_FP32, 3, 2, values), UINT32_MAX, true, NULL,
           "7.000000:1 0.250000:0 7.000000:1 -3.000000:0 100.000000:1 0.500000:0 ");
    expect(tensor_of(TERN_DTYPE_FP32, 0, 3, values), 2, true, NULL, "");
    expect(tensor_of(TERN_DTYPE_FP32, 3, 0, values), 2, true, NULL, "");
    expect(tensor_of(TERN_DTYPE_FP32, 0, 3, values), 2, false, NULL, "");
}

static void every_type_of_number(void **state)
{
    (void)state;
    uint8_t u8[] = {1, 255, 128};
    int8_t i8[] = {-1, 127, -128};
    uint16_t u16[] = {1, 65535, 0};
    int16_t i16[] = {-1, 0, INT16_MIN};
    uint32_t u32[] = {UINT32_MAX, 0, 1};
    int32_t i32[] = {INT32_MIN, INT32_MAX, 0};
    uint64_t u64[] = {UINT64_MAX - 1, UINT64_MAX, 0};
    int64_t i64[] = {INT64_MIN, INT64_MAX - 1, INT64_MAX};
    double f64[] = {-DBL_MAX, 1e-9, 0.1};
    uint16_t f16[] = {0x3c00, 0xbc00, 0x3800};
    uint16_t bf16[] = {0x3f80, 0xbf80, 0x4000};
    char text[512];

    expect(tensor_of(TERN_DTYPE_UINT8, 1, 3, u8), 3, true, NULL, "255:1 128:2 1:0 ");
    expect(tensor_of(TERN_DTYPE_INT8, 1, 3, i8), 3, true, NULL, "127:1 -1:0 -128:2 ");
    expect(tensor_of(TERN_DTYPE_UINT16, 1, 3, u16), 3, true, NULL, "65535:1 1:0 0:2 ");
    expect(tensor_of(TERN_DTYPE_INT16, 1, 3, i16), 3, true, NULL, "0:1 -1:0 -32768:2 ");
    expect(tensor_of(TERN_DTYPE_UINT32, 1, 3, u32), 3, true, NULL, "4294967295:0 1:2 0:1 ");
    expect(tensor_of(TERN_DTYPE_INT32, 1, 3, i32), 3, true, NULL,
           "2147483647:1 0:2 -2147483648:0 ");
    expect(tensor_of(TERN_DTYPE_UINT64, 1, 3, u64), 2, true, NULL,
           "18446744073709551615:1 18446744073709551614:0 ");
    expect(tensor_of(TERN_DTYPE_INT64, 1, 3, i64), 3, true, NULL,
           "9223372036854775807:2 9223372036854775806:1 -9223372036854775808:0 ");
    expect(tensor_of(TERN_DTYPE_FP16, 1, 3, f16), 3, true, NULL,
           "1.000000:0 0.500000:2 -1.000000:1 ");
    expect(tensor_of(TERN_DTYPE_BF16, 1, 3, bf16), 2, true, NULL, "2.000000:2 1.000000:0 ");
    snprintf(text, sizeof(text), "0.100000:2 0.000000:1 %f:0 ", -DBL_MAX);
    expect(tensor_of(TERN_DTYPE_FP64, 1, 3, f64), 3, true, NULL, text);
}

static void zeros_infinities_and_nan(void **state)
{
    (void)state;
    float values[] = {NAN, -0.0f, 0, -INFINITY, INFINITY, NAN};
    expect(tensor_of(TERN_DTYPE_FP32, 1, 6, values), 6, true, NULL,
           "inf:4 -0.000000:1 0.000000:2 -inf:3 nan:0 nan:5 ");
}

static void names_follow(void **state)
{
    (void)state;
    static const struct tern_str rows[] = {{"cat", 3}, {NULL, 0}, {"d:g", 3}};
    static const struct tern_labels labels = {rows, 3};
    int32_t values[] = {4, 3, 2, 1};
    expect(tensor_of(TERN_DTYPE_INT32, 1, 4, values), 4, true, &labels, "4:0:cat 3:1 2:2:d:g 1:3 ");
}

static void what_has_no_classes(void **state)
{
    (void)state;
    static char bytes[] = "\0\0\0\0";
    struct tern_tensor tensor = {.name = TERN_STR("y"),
                                 .dtype = TERN_DTYPE_BYTES,
                                 .shape = {1, {1}},
                                 .data = bytes,
                                 .n_bytes = 4};
    struct tern_err err = {0};
    assert_int_equal(tern_classify(&tensor, 1, false, NULL, &arena, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text,
                        "class result not available for output due to unsupported type 'BYTES'");
    tensor.dtype = TERN_DTYPE_BOOL;
    assert_int_equal(tern_classify(&tensor, 1, false, NULL, &arena, &err), TERN_INVALID_ARGUMENT);
    tensor.dtype = TERN_DTYPE_FP64; /* an engine that lies */
    assert_int_equal(tern_classify(&tensor, 1, false, NULL, &arena, &err), TERN_INTERNAL);
}

/* Strings are longer than numbers: what was fine as values need not be as classes. */
static void too_large_for_strings(void **state)
{
    (void)state;
    enum { MANY = 1u << 16 };
    static char name[1u << 16];
    static struct tern_str rows[MANY];
    static uint8_t values[MANY];
    const struct tern_labels labels = {rows, MANY};
    struct tern_err err = {0};
    memset(name, 'n', sizeof(name));
    for (size_t i = 0; i < MANY; i++)
        rows[i] = tern_str_make(name, sizeof(name));
    struct tern_tensor tensor = tensor_of(TERN_DTYPE_UINT8, 1, MANY, values);
    assert_int_equal(tern_classify(&tensor, MANY, true, &labels, &arena, &err),
                     TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "output 'y': classification output tensor too large");
    tern_arena_fini(&arena);
    tern_arena_init(&arena, 4096, 1u << 20);
    assert_int_equal(tern_classify(&tensor, MANY, true, NULL, &arena, &err),
                     TERN_RESOURCE_EXHAUSTED);
}

/* Against a plain sort, over values with many ties. */
static uint8_t drawn[512];

static int compare(const void *a, const void *b)
{
    size_t left = *(const size_t *)a, right = *(const size_t *)b;

    if (drawn[left] != drawn[right])
        return drawn[left] < drawn[right] ? 1 : -1;
    return left < right ? -1 : 1;
}

static void agrees_with_a_sort(void **state)
{
    (void)state;
    uint32_t seed = 12345;
    for (uint32_t round = 0; round < 200; round++) {
        static size_t order[512];
        static char text[8192];
        size_t n = 1 + round % 97, want = 1 + round % 31, at = 0;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            drawn[i] = (uint8_t)(seed >> 28);
            order[i] = i;
        }
        qsort(order, n, sizeof(order[0]), compare);
        for (size_t i = 0; i < want && i < n; i++)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%u:%zu ", drawn[order[i]],
                                   order[i]);
        expect(tensor_of(TERN_DTYPE_UINT8, 1, (int64_t)n, drawn), (uint32_t)want, true, NULL, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_best_come_first, prepare, clean),
        cmocka_unit_test_setup_teardown(every_type_of_number, prepare, clean),
        cmocka_unit_test_setup_teardown(zeros_infinities_and_nan, prepare, clean),
        cmocka_unit_test_setup_teardown(names_follow, prepare, clean),
        cmocka_unit_test_setup_teardown(what_has_no_classes, prepare, clean),
        cmocka_unit_test_setup_teardown(too_large_for_strings, prepare, clean),
        cmocka_unit_test_setup_teardown(agrees_with_a_sort, prepare, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
