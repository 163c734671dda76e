#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/encoding.h"

static void parse_knows_each_coding(void **state)
{
    static const struct {
        const char *value;
        enum tern_encoding encoding;
    } rows[] = {
        {"", TERN_ENCODING_IDENTITY},       {"identity", TERN_ENCODING_IDENTITY},
        {"gzip", TERN_ENCODING_GZIP},       {"GZip", TERN_ENCODING_GZIP},
        {"x-gzip", TERN_ENCODING_GZIP},     {" gzip\t", TERN_ENCODING_GZIP},
        {"deflate", TERN_ENCODING_DEFLATE}, {"zstd", TERN_ENCODING_ZSTD},
    };
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        enum tern_encoding encoding = TERN_ENCODING_ZSTD;
        assert_int_equal(tern_encoding_parse(tern_str_of(rows[i].value), &encoding, NULL), TERN_OK);
        assert_int_equal(encoding, rows[i].encoding);
    }
}

static void parse_refuses_others_with_415(void **state)
{
    static const char *const values[] = {"br", "gzip, zstd", "gzip;q=1", "gz ip", "gzip,", "\xff"};
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(values); i++) {
        struct tern_err err = {.code = TERN_OK};
        enum tern_encoding encoding = TERN_ENCODING_DEFLATE;
        assert_int_equal(tern_encoding_parse(tern_str_of(values[i]), &encoding, &err),
                         TERN_UNIMPLEMENTED);
        assert_int_equal(tern_err_http_status(&err), 415);
        assert_non_null(strstr(err.text, TERN_ENCODING_ACCEPTED));
        assert_int_equal(encoding, TERN_ENCODING_DEFLATE);
    }
}

static void negotiate_follows_the_weights(void **state)
{
    static const struct {
        const char *accept;
        enum tern_encoding best;
    } rows[] = {
        {"", TERN_ENCODING_IDENTITY},
        {"gzip", TERN_ENCODING_GZIP},
        {"x-gzip", TERN_ENCODING_GZIP},
        {"gzip, deflate, br, zstd", TERN_ENCODING_ZSTD},
        {"gzip, deflate", TERN_ENCODING_GZIP},
        {"deflate", TERN_ENCODING_DEFLATE},
        {"gzip;q=0.5, deflate;q=0.8", TERN_ENCODING_DEFLATE},
        {"zstd ; q=0.1 , gzip;Q=0.2", TERN_ENCODING_GZIP},
        {"gzip;q=0", TERN_ENCODING_IDENTITY},
        {"gzip;q=0.000, *;q=0", TERN_ENCODING_IDENTITY},
        {"*", TERN_ENCODING_ZSTD},
        {"*;q=0.5, zstd;q=0", TERN_ENCODING_GZIP},
        {"identity;q=1, gzip;q=0.5", TERN_ENCODING_IDENTITY},
        {"identity;q=0, br", TERN_ENCODING_IDENTITY},
        {"br", TERN_ENCODING_IDENTITY},
        {",,gzip,,", TERN_ENCODING_GZIP},
        {"gzip;q=1.001", TERN_ENCODING_IDENTITY},
        {"gzip;q=0.1234", TERN_ENCODING_IDENTITY},
        {"gzip;q=", TERN_ENCODING_IDENTITY},
        {"gzip;q=-1", TERN_ENCODING_IDENTITY},
        {"gzip;level=9", TERN_ENCODING_IDENTITY},
        {";q=1", TERN_ENCODING_IDENTITY},
    };
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        enum tern_encoding best = tern_encoding_negotiate(tern_str_of(rows[i].accept));
        if (best != rows[i].best)
            fail_msg("\"%s\": got %s", rows[i].accept, tern_encoding_name(best));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_knows_each_coding),
        cmocka_unit_test(parse_refuses_others_with_415),
        cmocka_unit_test(negotiate_follows_the_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
