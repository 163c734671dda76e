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

/* RFC 4648 10, its test vectors. */
static const struct {
    const char *bytes;
    const char *padded;
    const char *bare;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
};

static void it_goes_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(vectors); i++) {
        struct tern_str bytes = tern_str_of(vectors[i].bytes);
        char text[16], back[16];
        size_t n = tern_base64_encode(bytes, true, text), m = 99;
        assert_int_equal(n, TERN_BASE64_SIZE(bytes.n));
        assert_memory_equal(text, vectors[i].padded, n);
        assert_int_equal(tern_base64_decode_pieces(tern_str_make(text, n), back, &m, NULL),
                         TERN_OK);
        assert_true(tern_str_eq(tern_str_make(back, m), bytes));
        n = tern_base64_encode(bytes, false, text);
        assert_int_equal(n, strlen(vectors[i].bare));
        assert_memory_equal(text, vectors[i].bare, n);
        assert_int_equal(tern_base64_decode_pieces(tern_str_make(text, n), back, &m, NULL),
                         TERN_OK);
        assert_true(tern_str_eq(tern_str_make(back, m), bytes));
    }
    unsigned char all[256];
    char text[TERN_BASE64_SIZE(sizeof(all))], back[TERN_BASE64_ROOM(sizeof(text))];
    size_t n;
    for (unsigned i = 0; i < sizeof(all); i++)
        all[i] = (unsigned char)(i * 37);
    struct tern_str bytes = tern_str_make((const char *)all, sizeof(all));
    assert_int_equal(tern_base64_encode(bytes, true, text), sizeof(text));
    assert_int_equal(tern_base64_decode_pieces(tern_str_make(text, sizeof(text)), back, &n, NULL),
                     TERN_OK);
    assert_int_equal(n, sizeof(all));
    assert_memory_equal(back, all, n);
}

static void padded_pieces_follow_each_other(void **state)
{
    (void)state;
    char text[] = "Zg==Zm8=Zm9vYg==Zg";
    size_t n = 0;
    assert_int_equal(
        tern_base64_decode_pieces(tern_str_make(text, sizeof(text) - 1), text, &n, NULL), TERN_OK);
    assert_int_equal(n, 8);
    assert_memory_equal(text, "ffofoobf", 8); /* in place */
}

static void broken_pieces_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *at;
    } rows[] = {
        {"Z", "character 1"},     {"Zg=", NULL},
        {"Zm9vZ", "character 5"}, {"=", "character 0"},
        {"====", "character 0"},  {"Z===", "character 1"},
        {"Zg=a", "character 3"},  {"Zm9v-_", "character 4"},
        {"Zm 9", "character 2"},  {"Zm9v\n", "character 4"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_err err = {0};
        char dst[16];
        size_t n = 77;
        enum tern_code code = tern_base64_decode_pieces(tern_str_of(rows[i].text), dst, &n, &err);
        if (rows[i].at == NULL) { /* padding that is cut off hides nothing */
            assert_int_equal(code, TERN_OK);
            continue;
        }
        assert_int_equal(code, TERN_INVALID_ARGUMENT);
        assert_int_equal(n, 77);
        if (strstr(err.text, rows[i].at) == NULL)
            fail_msg("%s: %s", rows[i].text, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_standards_examples),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(it_goes_both_ways),
        cmocka_unit_test(padded_pieces_follow_each_other),
        cmocka_unit_test(broken_pieces_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
