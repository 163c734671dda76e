#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "wire/url.h"

static void decodes_once(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        const char *decoded;
    } rows[] = {
        {"", ""},         {"iris", "iris"},         {"a%2Db", "a-b"}, {"%41%62", "Ab"},
        {"a%20b", "a b"}, {"%252e%252e", "%2e%2e"}, /* a double encoding stays as literal text */
        {"%252F", "%2F"}, {"%C3%A9", "\xc3\xa9"},   {"...", "..."},   {"a..b", "a..b"},
        {"a+b", "a+b"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char dst[32];
        struct tern_str s;
        assert_int_equal(
            tern_url_segment("path", tern_str_of(rows[i].raw), dst, sizeof(dst), &s, NULL),
            TERN_OK);
        assert_true(tern_str_eq(s, tern_str_of(rows[i].decoded)));
    }
}

static void plain_segments_are_not_copied(void **state)
{
    (void)state;
    struct tern_str raw = TERN_STR("a-long-segment"), s;
    char dst[2];
    assert_int_equal(tern_url_segment("path", raw, dst, sizeof(dst), &s, NULL), TERN_OK);
    assert_ptr_equal(s.p, raw.p);
}

static void refuses_tricks(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        const char *text;
    } rows[] = {
        {"..", "model name must not contain path traversal characters"},
        {".", "model name must not contain path traversal characters"},
        {"%2e%2E", "model name must not contain path traversal characters"},
        {"a%2fb", "model name must not contain path traversal characters"},
        {"a%2Fb", "model name must not contain path traversal characters"},
        {"..\\x", "model name must not contain path traversal characters"},
        {"%5c", "model name must not contain path traversal characters"},
        {"a%00", "must not contain control characters, got byte 0x00"},
        {"a%0d%0aB", "must not contain control characters, got byte 0x0d"},
        {"%7F", "must not contain control characters, got byte 0x7f"},
        {"%", "that two hexadecimal digits do not follow"},
        {"a%4", "that two hexadecimal digits do not follow"},
        {"%g0", "that two hexadecimal digits do not follow"},
        {"%+1", "that two hexadecimal digits do not follow"},
        {"%ff", "is not valid UTF-8"},
        {"%c0%af", "is not valid UTF-8"}, /* an overlong '/' */
        {"%c0%ae%c0%ae", "is not valid UTF-8"},
        {"\xff", "is not valid UTF-8"},
        {"%41%41%41%41%41", "is longer than 4 bytes"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char dst[4];
        struct tern_str s;
        struct tern_err err = {0};
        assert_int_equal(
            tern_url_segment("model name", tern_str_of(rows[i].raw), dst, sizeof(dst), &s, &err),
            TERN_INVALID_ARGUMENT);
        if (strstr(err.text, rows[i].text) == NULL)
            fail_msg("%s: %s", rows[i].raw, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_once),
        cmocka_unit_test(plain_segments_are_not_copied),
        cmocka_unit_test(refuses_tricks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
