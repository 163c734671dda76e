#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wire/grpc.h"

static void a_prefix_goes_both_ways(void **state)
{
    (void)state;
    struct tern_grpc_prefix prefix = {TERN_GRPC_COMPRESSED, 0x01020384}, got;
    char bytes[TERN_GRPC_PREFIX_SIZE];
    tern_grpc_write_prefix(prefix, bytes);
    assert_memory_equal(bytes, "\x01\x01\x02\x03\x84", 5);
    assert_true(tern_grpc_read_prefix(tern_str_make(bytes, 5), &got));
    assert_int_equal(got.flags, TERN_GRPC_COMPRESSED);
    assert_int_equal(got.n, 0x01020384);
    for (size_t n = 0; n < 5; n++)
        assert_false(tern_grpc_read_prefix(tern_str_make(bytes, n), &got));
}

static void timeouts_have_six_units(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t ns;
    } rows[] = {
        {"0n", 0},
        {"7n", 7},
        {"20u", 20000},
        {"1500m", 1500000000},
        {"00000010S", 10000000000},
        {"2M", 120000000000},
        {"3H", 10800000000000},
        {"99999999S", UINT64_C(99999999000000000)},
        {"99999999M", UINT64_C(5999999940000000000)},
        {"99999999H", UINT64_MAX}, /* eleven thousand years: never */
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        uint64_t ns = 1;
        assert_int_equal(tern_grpc_parse_timeout(tern_str_of(rows[i].value), &ns, NULL), TERN_OK);
        assert_true(ns == rows[i].ns);
    }
}

static void strange_timeouts_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"",    "n",   "1",    "1s",   "123456789n", "-1S", "+1S",
                                       "1 S", " 1S", "1.5S", "0x1S", "1SS",        "S1"};
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        uint64_t ns = 77;
        struct tern_err err = {0};
        assert_int_equal(tern_grpc_parse_timeout(tern_str_of(rows[i]), &ns, &err),
                         TERN_INVALID_ARGUMENT);
        assert_true(ns == 77);
        assert_non_null(strstr(err.text, "header grpc-timeout: expected up to 8 digits"));
        assert_non_null(strstr(err.text, rows[i]));
    }
}

static void messages_are_percent_encoded(void **state)
{
    (void)state;
    static const struct {
        struct tern_str text;
        const char *encoded;
    } rows[] = {
        {{"", 0}, ""},
        {{"input 'x' ~", 11}, "input 'x' ~"},
        {{"100%", 4}, "100%25"},
        {{"a\r\n\t\0b", 6}, "a%0D%0A%09%00b"},
        {{"caf\xc3\xa9\x7f", 6}, "caf%C3%A9%7F"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char dst[32];
        size_t n = tern_grpc_encode_message(rows[i].text, dst);
        assert_int_equal(n, strlen(rows[i].encoded));
        assert_memory_equal(dst, rows[i].encoded, n);
    }
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

static void base64_goes_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(vectors); i++) {
        struct tern_str bytes = tern_str_of(vectors[i].bytes);
        char text[16], back[16];
        size_t n = tern_grpc_encode_base64(bytes, true, text), m = 99;
        assert_int_equal(n, TERN_GRPC_BASE64_SIZE(bytes.n));
        assert_memory_equal(text, vectors[i].padded, n);
        assert_int_equal(tern_grpc_decode_base64(tern_str_make(text, n), back, &m, NULL), TERN_OK);
        assert_true(tern_str_eq(tern_str_make(back, m), bytes));
        n = tern_grpc_encode_base64(bytes, false, text);
        assert_int_equal(n, strlen(vectors[i].bare));
        assert_memory_equal(text, vectors[i].bare, n);
        assert_int_equal(tern_grpc_decode_base64(tern_str_make(text, n), back, &m, NULL), TERN_OK);
        assert_true(tern_str_eq(tern_str_make(back, m), bytes));
    }
    unsigned char all[256];
    char text[TERN_GRPC_BASE64_SIZE(sizeof(all))], back[TERN_GRPC_BASE64_BYTES(sizeof(text))];
    size_t n;
    for (unsigned i = 0; i < sizeof(all); i++)
        all[i] = (unsigned char)(i * 37);
    struct tern_str bytes = tern_str_make((const char *)all, sizeof(all));
    assert_int_equal(tern_grpc_encode_base64(bytes, true, text), sizeof(text));
    assert_int_equal(tern_grpc_decode_base64(tern_str_make(text, sizeof(text)), back, &n, NULL),
                     TERN_OK);
    assert_int_equal(n, sizeof(all));
    assert_memory_equal(back, all, n);
}

static void padded_pieces_follow_each_other(void **state)
{
    (void)state;
    char text[] = "Zg==Zm8=Zm9vYg==Zg";
    size_t n = 0;
    assert_int_equal(tern_grpc_decode_base64(tern_str_make(text, sizeof(text) - 1), text, &n, NULL),
                     TERN_OK);
    assert_int_equal(n, 8);
    assert_memory_equal(text, "ffofoobf", 8); /* in place */
}

static void broken_base64_is_refused(void **state)
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
        enum tern_code code = tern_grpc_decode_base64(tern_str_of(rows[i].text), dst, &n, &err);
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
        cmocka_unit_test(a_prefix_goes_both_ways),
        cmocka_unit_test(timeouts_have_six_units),
        cmocka_unit_test(strange_timeouts_are_refused),
        cmocka_unit_test(messages_are_percent_encoded),
        cmocka_unit_test(base64_goes_both_ways),
        cmocka_unit_test(padded_pieces_follow_each_other),
        cmocka_unit_test(broken_base64_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
