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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_goes_both_ways),
        cmocka_unit_test(timeouts_have_six_units),
        cmocka_unit_test(strange_timeouts_are_refused),
        cmocka_unit_test(messages_are_percent_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
