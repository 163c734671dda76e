/* Base64: RFC 4648's own examples, and every way to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/base64.h"

static void test_the_standards_examples(void **state)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xff\xfe\xfd\xfc", "//79/A=="},
                                          {"\xfb\xef\xbe", "++++"}};
    char dst[16];
    size_t n;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_str text = tern_str_of(rows[i][1]);
        assert_true(tern_base64_decode(text, dst, &n));
        assert_int_equal(n, strlen(rows[i][0]));
        assert_memory_equal(dst, rows[i][0], n);
        assert_true(n <= TERN_BASE64_ROOM(text.n));
    }
}

static void test_what_is_refused(void **state)
{
    static const char *const rows[] = {
        "Z",    "Zg",   "Zg=",  "Z===",     "====",   "Zh==",         "Zm9=",   "Zg=a",
        "Zm-v", "Zm_v", "Zm v", "Zg==Zm9v", "Zm9v\n", "Zm9v\n\n\n\n", "\x80mmm"};
    char dst[16];
    size_t n;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        assert_false(tern_base64_decode(tern_str_of(rows[i]), dst, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_standards_examples),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
