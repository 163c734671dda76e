/* Views of NPY arrays: records, texts, both orders, every type of number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/buf.h"
#include "wire/npy_view.h"

static struct tern_buf file;

static struct tern_str make(const char *header, const void *data, size_t n_data)
{
    size_t n = strlen(header);

    tern_buf_clear(&file);
    TERN_BUF_ADD_LITERAL(&file, "\x93NUMPY\1\0");
    tern_buf_add_char(&file, (char)n);
    tern_buf_add_char(&file, (char)(n >> 8));
    tern_buf_add(&file, header, n);
    tern_buf_add(&file, data, n_data);
    return tern_buf_str(&file);
}

static struct tern_npy_view view_of(const char *header, const void *data, size_t n_data)
{
    struct tern_npy_view view = {.rank = 0};
    struct tern_err err = {.text = ""};

    if (tern_npy_view_read(make(header, data, n_data), &view, &err) != TERN_OK)
        fail_msg("%s: %s", header, err.text);
    return view;
}

static void records_have_named_columns(void **state)
{
    static const char data[] = "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\xf8\x3f\1_______"
                               "\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\x04\xc0\0_______";
    struct tern_npy_view view =
        view_of("{'descr': [('left', '<i8'), ('cut', '<f8'), ('nan', '|u1'), ('', '|V7')], "
                "'fortran_order': False, 'shape': (2,), }",
                data, sizeof(data) - 1);
    int64_t left[2], nan_left[2];
    double cut[2];

    (void)state;
    assert_true(view.is_record);
    assert_int_equal(view.n_columns, 4);
    assert_int_equal(view.stride, 24);
    tern_npy_view_integers(&view, tern_npy_view_column(&view, TERN_STR("left")), left);
    tern_npy_view_reals(&view, tern_npy_view_column(&view, TERN_STR("cut")), cut);
    tern_npy_view_integers(&view, tern_npy_view_column(&view, TERN_STR("nan")), nan_left);
    assert_true(left[0] == 1 && left[1] == -1);
    assert_true(cut[0] == 1.5 && cut[1] == -2.5);
    assert_true(nan_left[0] == 1 && nan_left[1] == 0);
    assert_int_equal(tern_npy_view_column(&view, TERN_STR("right")), 4);
    assert_int_equal(view.columns[3].dtype, TERN_DTYPE_INVALID);
}

static void fortran_order_is_turned(void **state)
{
    static const uint8_t data[] = {0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11};
    struct tern_npy_view view =
        view_of("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2, 3)}", data, sizeof(data));
    double reals[12];

    (void)state;
    tern_npy_view_reals(&view, 0, reals);
    for (size_t i = 0; i < 12; i++)
        assert_true(reals[i] == (double)i);
}

static void texts_are_utf8(void **state)
{
    static const char data[] = "a\0\0\0\xdf\0\0\0\0\0\0\0"
                               "\xac\x20\0\0\0\xd8\0\0\xff\xff\xff\xff";
    struct tern_npy_view view =
        view_of("{'descr': '<U3', 'fortran_order': False, 'shape': (2,)}", data, sizeof(data) - 1);
    char text[12];

    (void)state;
    assert_int_equal(tern_npy_view_text(&view, 0, 0, text), 3);
    assert_memory_equal(text, "a\xc3\x9f", 3);
    assert_int_equal(tern_npy_view_text(&view, 0, 1, text), 9);
    assert_memory_equal(text, "\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd", 9);
    view = view_of("{'descr': '|S4', 'fortran_order': True, 'shape': (1, 2)}", "ab\0\0wxyz", 8);
    assert_int_equal(tern_npy_view_text(&view, 0, 0, text), 2);
    assert_int_equal(tern_npy_view_text(&view, 0, 1, text), 4);
    assert_memory_equal(text, "wxyz", 4);
}

static void numbers_of_every_type(void **state)
{
    static const struct {
        const char *type;
        unsigned char data[8];
        double real;
        int64_t integer;
    } rows[] = {
        {"|b1", {1}, 1, 1},
        {"|u1", {200}, 200, 200},
        {"|i1", {200}, -56, -56},
        {"<u2", {1, 255}, 65281, 65281},
        {"<i2", {1, 255}, -255, -255},
        {"<u4", {0, 0, 0, 128}, 2147483648.0, 2147483648},
        {"<i4", {0, 0, 0, 128}, -2147483648.0, -2147483648},
        {"<u8", {0, 0, 0, 0, 0, 0, 0, 128}, 0x1p63, 0},
        {"<i8", {254, 255, 255, 255, 255, 255, 255, 255}, -2, -2},
        {"<f2", {0, 0x42}, 3, 3},
        {"<f4", {0, 0, 0x20, 0xc0}, -2.5, -2},
        {"<f8", {0, 0, 0, 0, 0, 0, 0xf0, 0x47}, 0x1p128, 0},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char header[80];
        (void)snprintf(header, sizeof(header),
                       "{'descr': '%s', 'fortran_order': False, 'shape': ()}", rows[i].type);
        struct tern_npy_view view = view_of(header, rows[i].data, (size_t)(rows[i].type[2] - '0'));
        double real = -1;
        int64_t integer = -1;
        tern_npy_view_reals(&view, 0, &real);
        tern_npy_view_integers(&view, 0, &integer);
        assert_true(real == rows[i].real);
        assert_true(integer == rows[i].integer);
    }
}

static void what_no_view_reads(void **state)
{
    static const struct {
        const char *header;
        const char *text;
    } rows[] = {
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "type '|O' is not read"},
        {"{'descr': '>f8', 'fortran_order': False, 'shape': (1,)}", "type '>f8' is not read"},
        {"{'descr': '>U3', 'fortran_order': False, 'shape': (1,)}", "type '>U3' is not read"},
        {"{'descr': '<U0', 'fortran_order': False, 'shape': (1,)}", "type '<U0' is not read"},
        {"{'descr': '<U99999999', 'fortran_order': False, 'shape': (1,)}", "is not read"},
        {"{'descr': [], 'fortran_order': False, 'shape': (1,)}", "no fields"},
        {"{'descr': [('a', '<f8', (2,))], 'fortran_order': False, 'shape': (1,)}",
         "a field is no ('name', 'type')"},
        {"{'descr': [('a', '<f8') ('b', '<f8')], 'fortran_order': False, 'shape': (1,)}", "no end"},
        {"{'descr': [('a', '|V262144'), ('b', '|V262144'), ('c', '|V262144'), ('d', '|V262144'), "
         "('e', '|V1')], 'fortran_order': False, 'shape': (1,)}",
         "too large"},
        {"{'descr': [('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),"
         "('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),"
         "('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),"
         "('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),"
         "('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1'),"
         "('a', '|u1'),('a', '|u1'),('a', '|u1'),('a', '|u1')], 'fortran_order': False, "
         "'shape': (1,)}",
         "more than 32 fields"},
        {"{'descr': '<f8', 'fortran_order': True, 'shape': (2,)}", "needs 16 bytes and 8"},
        {"{'descr': '<f8', 'fortran_order': True, 'shape': (4294967296, 4294967296)}", "too large"},
        {"{'descr': '<f8', 'fortran_order': True, 'shape': (4294967296, 536870912)}", "too large"},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_npy_view view;
        struct tern_err err = {.text = ""};
        assert_int_equal(tern_npy_view_read(make(rows[i].header, "12345678", 8), &view, &err),
                         TERN_INVALID_ARGUMENT);
        if (strstr(err.text, rows[i].text) == NULL)
            fail_msg("row %zu gave: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_have_named_columns),
        cmocka_unit_test(fortran_order_is_turned),
        cmocka_unit_test(texts_are_utf8),
        cmocka_unit_test(numbers_of_every_type),
        cmocka_unit_test(what_no_view_reads),
    };

    tern_buf_init(&file, 1u << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tern_buf_fini(&file);
    return failed;
}
