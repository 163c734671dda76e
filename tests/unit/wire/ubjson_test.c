/* The UBJSON reader on bytes written out by hand: what XGBoost writes, and every way to be wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wire/ubjson.h"

/* Bytes, with the eight bytes of a length as "\0\0\0\0\0\0\0" and the last one. */
#define N    "\0\0\0\0\0\0\0"
#define B(s) ((struct tern_str){"" s, sizeof(s) - 1})

static struct tern_err err;

/* A copy of exactly its size, so that a read beyond is seen. */
static struct tern_str exact(struct tern_str s)
{
    char *p = malloc(s.n == 0 ? 1 : s.n);
    assert_non_null(p);
    memcpy(p, s.p, s.n);
    return tern_str_make(p, s.n);
}

static void reads_what_xgboost_writes(void **state)
{
    struct tern_ubjson u;
    struct tern_str key, text;
    struct tern_json_number number;
    struct tern_ubjson_numbers numbers;
    bool more = false, typed = false, flag = false;
    (void)state;

    tern_ubjson_init(&u, B("{L" N "\1aSL" N "\2hiL" N "\1b[$l#L" N "\2\0\0\0\7\xff\xff\xff\xff"
                           "L" N "\1c[#L" N "\3i\xfdI\1\0TL" N "\1d[Z]L" N "\1e{}}"));
    assert_int_equal(tern_ubjson_peek(&u), TERN_JSON_OBJECT);
    assert_int_equal(tern_ubjson_object(&u, &err), TERN_OK);
    assert_int_equal(tern_ubjson_key(&u, &more, &key, &err), TERN_OK);
    assert_true(more && tern_str_eq(key, TERN_STR("a")));
    assert_int_equal(tern_ubjson_peek(&u), TERN_JSON_STRING);
    assert_int_equal(tern_ubjson_string(&u, &text, &err), TERN_OK);
    assert_true(tern_str_eq(text, TERN_STR("hi")));

    assert_int_equal(tern_ubjson_key(&u, &more, &key, &err), TERN_OK);
    struct tern_ubjson again = u;
    assert_int_equal(tern_ubjson_typed(&u, &typed, &numbers, &err), TERN_OK);
    assert_true(typed && numbers.type == 'l' && numbers.n == 2);
    assert_int_equal(tern_ubjson_read('l', numbers.bytes + 4).int64, -1);
    /* the same by items */
    assert_int_equal(tern_ubjson_array(&again, &err), TERN_OK);
    assert_int_equal(tern_ubjson_item(&again, &more, &err), TERN_OK);
    assert_int_equal(tern_ubjson_peek(&again), TERN_JSON_NUMBER);
    assert_int_equal(tern_ubjson_number(&again, &number, &err), TERN_OK);
    assert_true(more && number.kind == TERN_JSON_INT64 && number.int64 == 7);
    assert_int_equal(tern_ubjson_item(&again, &more, &err), TERN_OK);
    assert_int_equal(tern_ubjson_number(&again, &number, &err), TERN_OK);
    assert_int_equal(tern_ubjson_item(&again, &more, &err), TERN_OK);
    assert_true(!more && again.p == u.p && again.depth == u.depth);

    assert_int_equal(tern_ubjson_key(&u, &more, &key, &err), TERN_OK);
    assert_int_equal(tern_ubjson_typed(&u, &typed, &numbers, &err), TERN_OK);
    assert_false(typed);
    assert_int_equal(tern_ubjson_array(&u, &err), TERN_OK);
    const int64_t expected[] = {-3, 256};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tern_ubjson_item(&u, &more, &err), TERN_OK);
        assert_int_equal(tern_ubjson_number(&u, &number, &err), TERN_OK);
        assert_int_equal(number.int64, expected[i]);
    }
    assert_int_equal(tern_ubjson_item(&u, &more, &err), TERN_OK);
    assert_int_equal(tern_ubjson_peek(&u), TERN_JSON_BOOL);
    assert_int_equal(tern_ubjson_bool(&u, &flag, &err), TERN_OK);
    assert_true(flag);
    assert_int_equal(tern_ubjson_item(&u, &more, &err), TERN_OK);
    assert_false(more);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tern_ubjson_key(&u, &more, &key, &err), TERN_OK);
        assert_int_equal(tern_ubjson_skip(&u, &err), TERN_OK);
    }
    assert_int_equal(tern_ubjson_key(&u, &more, &key, &err), TERN_OK);
    assert_false(more);
    assert_int_equal(tern_ubjson_end(&u, &err), TERN_OK);
}

static void reads_numbers(void **state)
{
    const struct {
        char type;
        struct tern_str bytes;
        bool real;
        double value;
    } rows[] = {
        {'i', B("\x80"), false, -128},
        {'U', B("\xff"), false, 255},
        {'I', B("\x80\0"), false, -32768},
        {'l', B("\x80\0\0\0"), false, -2147483648.0},
        {'L', B("\0\0\1\0\0\0\0\0"), false, 1099511627776.0},
        {'L', B("\xff\xff\xff\xff\xff\xff\xff\xff"), false, -1},
        {'d', B("\x3f\xc0\0\0"), true, 1.5},
        {'D', B("\x3f\xf8\0\0\0\0\0\0"), true, 1.5},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(tern_ubjson_size(rows[i].type), rows[i].bytes.n);
        struct tern_json_number number = tern_ubjson_read(rows[i].type, rows[i].bytes.p);
        assert_int_equal(number.kind, rows[i].real ? TERN_JSON_DOUBLE : TERN_JSON_INT64);
        assert_true((rows[i].real ? number.real : (double)number.int64) == rows[i].value);
    }
}

static void refuses_what_is_damaged(void **state)
{
    const struct {
        struct tern_str bytes;
        const char *text;
    } rows[] = {
        {B(""), "expected a value at byte 0, got the end"},
        {B("N"), "expected a value"},
        {B("C"), "expected a value"},
        {B("H"), "expected a value"},
        {B("{"), "expected the 'L' of a length at byte 1, got the end"},
        {B("{i\1aZ}"), "expected the 'L'"},
        {B("{$i#L" N "\1"), "an object without a count"},
        {B("{#L" N "\1"), "an object without a count"},
        {B("{L" N "\5abc"), "a length of 5 is more than what follows at byte 1"},
        {B("{L\xff\xff\xff\xff\xff\xff\xff\xff"), "is more than what follows"},
        {B("{L\0\0"), "expected a length of 8 bytes, 2 are left"},
        {B("{L" N "\1\xffZ}"), "valid UTF-8"},
        {B("SL" N "\1\xff"), "valid UTF-8"},
        {B("[Z"), "expected a value at byte 2"},
        {B("[$"), "a typed array of numbers"},
        {B("[$T#L" N "\1"), "a typed array of numbers"},
        {B("[$l]"), "'#' after the type"},
        {B("[$l#L" N "\3\0\0\0\1"), "a length of 3 is more than what follows"},
        {B("[$l#l\0\0\0\1"), "the 'L' of a length"},
        {B("[#L" N "\2Z"), "a length of 2 is more than what follows"},
        {B("l\0\0\0"), "expected 4 bytes of a number, 3 are left"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tern_str bytes = exact(rows[i].bytes);
        struct tern_ubjson u;
        tern_ubjson_init(&u, bytes);
        memset(&err, 0, sizeof(err));
        assert_int_equal(tern_ubjson_skip(&u, &err), TERN_INVALID_ARGUMENT);
        if (strstr(err.text, rows[i].text) == NULL)
            fail_msg("%zu: '%s' is not about '%s'", i, err.text, rows[i].text);
        free((void *)(uintptr_t)bytes.p);
    }
}

static void refuses_the_wrong_kind(void **state)
{
    struct tern_ubjson u;
    struct tern_str text;
    struct tern_json_number number;
    bool flag;
    (void)state;

    tern_ubjson_init(&u, B("Z"));
    assert_int_equal(tern_ubjson_object(&u, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "expected an object at byte 0, got 'Z'"));
    assert_int_equal(tern_ubjson_array(&u, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_ubjson_string(&u, &text, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_ubjson_number(&u, &number, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_ubjson_bool(&u, &flag, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_ubjson_key(&u, &flag, &text, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_ubjson_item(&u, &flag, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_ubjson_peek(&u), TERN_JSON_NULL);
    tern_ubjson_init(&u, B("ZZ"));
    assert_int_equal(tern_ubjson_skip(&u, &err), TERN_OK);
    assert_int_equal(tern_ubjson_end(&u, &err), TERN_INVALID_ARGUMENT);
}

static void bounds_the_depth(void **state)
{
    char deep[TERN_UBJSON_DEPTH_MAX + 1];
    struct tern_ubjson u;
    (void)state;

    memset(deep, '[', sizeof(deep));
    tern_ubjson_init(&u, tern_str_make(deep, sizeof(deep)));
    assert_int_equal(tern_ubjson_skip(&u, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "no more than 32 levels"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_xgboost_writes), cmocka_unit_test(reads_numbers),
        cmocka_unit_test(refuses_what_is_damaged),   cmocka_unit_test(refuses_the_wrong_kind),
        cmocka_unit_test(bounds_the_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
