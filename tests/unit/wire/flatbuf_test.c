/* FlatBuffers: what is read, and every offset that leads out of the text. The buffer is laid out by
 * hand, so that each of its bytes can be pointed at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "wire/flatbuf.h"

/* clang-format off */
static const unsigned char good[] = {
    /*  0 */ 18, 0, 0, 0,                       /* the root's place */
    /*  4 */ 14, 0, 28, 0, 4, 0, 8, 0, 0, 0, 12, 0, 20, 0, /* fields: 0 1 - 3 4 */
    /* 18 */ 14, 0, 0, 0,                       /* the table; its fields lie 14 before */
    /* 22 */ 0xfe, 0xff, 0xff, 0xff,            /* 0: int -2 */
    /* 26 */ 7, 0, 0, 0,                        /* 1: byte 7 */
    /* 30 */ 0, 0, 0, 0, 0, 0, 0xf8, 0x3f,      /* 3: double 1.5 */
    /* 38 */ 8, 0, 0, 0, 0, 0, 0, 0,            /* 4: to 46 */
    /* 46 */ 3, 0, 0, 0, 'a', 'b', 'c', 0,      /* a string, or three bytes */
};
/* clang-format on */

static enum tern_code open_bytes(const unsigned char *bytes, size_t n,
                                 struct tern_flatbuf_table *ret, struct tern_err *err)
{
    return tern_flatbuf_root(tern_str_make((const char *)bytes, n), ret, err);
}

static void values(void **state)
{
    struct tern_flatbuf_table table;
    struct tern_flatbuf_vector vector;
    struct tern_str text;
    struct tern_err err;
    int32_t number;
    uint8_t byte;
    double real;

    (void)state;
    assert_int_equal(open_bytes(good, sizeof(good), &table, &err), TERN_OK);
    assert_int_equal(tern_flatbuf_int32(&table, 0, 5, &number, &err), TERN_OK);
    assert_int_equal(number, -2);
    assert_int_equal(tern_flatbuf_byte(&table, 1, 5, &byte, &err), TERN_OK);
    assert_int_equal(byte, 7);
    assert_int_equal(tern_flatbuf_double(&table, 3, 5, &real, &err), TERN_OK);
    assert_true(real == 1.5);
    assert_int_equal(tern_flatbuf_string(&table, 4, &text, &err), TERN_OK);
    assert_true(tern_str_eq(text, TERN_STR("abc")));
    assert_int_equal(tern_flatbuf_vector(&table, 4, 1, &vector, &err), TERN_OK);
    assert_int_equal(vector.n, 3);
    assert_true(tern_flatbuf_has(&table, 4));
}

/* A field that is not there, within the list (2) and beyond it (9), has its default. */
static void defaults(void **state)
{
    struct tern_flatbuf_table table, inner;
    struct tern_flatbuf_vector vector;
    struct tern_str text;
    struct tern_err err;
    int32_t number;
    uint8_t byte;
    double real;

    (void)state;
    assert_int_equal(open_bytes(good, sizeof(good), &table, &err), TERN_OK);
    for (uint16_t field = 2; field < 10; field += 7) {
        assert_false(tern_flatbuf_has(&table, field));
        assert_int_equal(tern_flatbuf_int32(&table, field, -5, &number, &err), TERN_OK);
        assert_int_equal(number, -5);
        assert_int_equal(tern_flatbuf_byte(&table, field, 5, &byte, &err), TERN_OK);
        assert_int_equal(byte, 5);
        assert_int_equal(tern_flatbuf_double(&table, field, 0.5, &real, &err), TERN_OK);
        assert_true(real == 0.5);
        assert_int_equal(tern_flatbuf_string(&table, field, &text, &err), TERN_OK);
        assert_int_equal(text.n, 0);
        assert_int_equal(tern_flatbuf_vector(&table, field, 8, &vector, &err), TERN_OK);
        assert_int_equal(vector.n, 0);
        assert_int_equal(tern_flatbuf_table(&table, field, &inner, &err), TERN_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, "is missing"));
    }
}

/* One byte of the good buffer is another, and reading field 4 as what it is not, or as it is. */
static const struct {
    size_t at;
    unsigned char value;
    const char *error;
} damages[] = {
    {0, 60, "a table at byte 60, of 54"},
    {0, 52, "a table at byte 52, of 54"},
    {3, 255, "a table at byte 4278190098, of 54"},
    {18, 19, "the table at byte 18 has its list of fields at -1, of 54"},
    {21, 128, "has its list of fields at 2147483652, of 54"},
    {4, 3, "the table at byte 18 has 28 bytes and a list of 3, which do not fit"},
    {4, 13, "a list of 13, which do not fit"},
    {4, 200, "a list of 200, which do not fit"},
    {6, 37, "has 37 bytes and a list of 14, which do not fit"},
    {6, 2, "has 2 bytes and a list of 14"},
    {16, 25, "field 4 of the table at byte 18 lies outside of it"},
    {16, 3, "field 4 of the table at byte 18 lies outside of it"},
    {17, 1, "field 4 of the table at byte 18 lies outside of it"},
    {38, 13, "field 4 of the table at byte 18 points to byte 51, of 54"},
    {41, 255, "field 4 of the table at byte 18 points to byte 4278190126, of 54"},
    {46, 5, "field 4 of the table at byte 18 has 5 elements, which do not fit"},
    {49, 255, "has 4278190083 elements, which do not fit"},
};

static void damaged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        unsigned char bytes[sizeof(good)];
        struct tern_flatbuf_table table;
        struct tern_err err = {.text = ""};
        struct tern_str text;
        memcpy(bytes, good, sizeof(good));
        bytes[damages[i].at] = damages[i].value;
        enum tern_code code = open_bytes(bytes, sizeof(bytes), &table, &err);
        if (code == TERN_OK)
            code = tern_flatbuf_string(&table, 4, &text, &err);
        if (code != TERN_INVALID_ARGUMENT || strstr(err.text, damages[i].error) == NULL)
            fail_msg("byte %zu: got '%s', expected '%s'", damages[i].at, err.text,
                     damages[i].error);
    }
}

/* Whatever its length and one of its bytes are, nothing outside is read (under a sanitizer, that
 * would be seen: the copy has no byte more). */
static void any_length_and_byte(void **state)
{
    (void)state;
    for (size_t n = 0; n <= sizeof(good); n++) {
        for (size_t at = 0; at < n; at++) {
            struct tern_flatbuf_table table, inner;
            struct tern_flatbuf_vector vector;
            unsigned char *copy = malloc(n);
            double real;
            assert_non_null(copy);
            memcpy(copy, good, n);
            copy[at] ^= 0x81;
            if (open_bytes(copy, n, &table, NULL) == TERN_OK) {
                (void)tern_flatbuf_double(&table, 3, 0, &real, NULL);
                (void)tern_flatbuf_table(&table, 4, &inner, NULL);
                if (tern_flatbuf_vector(&table, 4, 4, &vector, NULL) == TERN_OK && vector.n > 0)
                    (void)tern_flatbuf_element(&vector, vector.n - 1, &inner, NULL);
            }
            free(copy);
        }
    }
}

static void numbers(void **state)
{
    static const unsigned char bytes[] = {1, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0};
    struct tern_flatbuf_vector vector = {tern_str_make((const char *)bytes, 16), 0, 2};

    (void)state;
    assert_int_equal(tern_flatbuf_u16(&vector, 3), 0x3f80);
    assert_int_equal(tern_flatbuf_u32(&vector, 0), 1);
    assert_true(tern_flatbuf_f32(&vector, 1) == 1.0f);
    assert_true(tern_flatbuf_f64(&vector, 1) == -2.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),  cmocka_unit_test(defaults),
        cmocka_unit_test(damaged), cmocka_unit_test(any_length_and_byte),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
