#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "front/cors.h"
#include "harness/fake_exchange.h"

static const struct tern_str two[] = {{"https://a.example", 17}, {"http://localhost:3000", 21}};
static const struct tern_str any[] = {{"*", 1}};
static const struct tern_cors cors_two = {two, 2}, cors_any = {any, 1}, cors_none = {NULL, 0};

/* NULL: not there. */
static const char *answered(const struct fake_exchange *fake, const char *name)
{
    static char text[256];
    for (uint32_t i = 0; i < fake->x.n_response_headers; i++) {
        if (!tern_str_eq(fake->x.response_headers[i].name, tern_str_of(name)))
            continue;
        assert_true(tern_str_copy_z(fake->x.response_headers[i].value, text, sizeof(text)));
        return text;
    }
    return NULL;
}

static void listed_origins_may_read(void **state)
{
    (void)state;
    static const struct {
        const struct tern_cors *cors;
        const char *origin;
        const char *allowed;
    } rows[] = {
        {&cors_two, "https://a.example", "https://a.example"},
        {&cors_two, "http://localhost:3000", "http://localhost:3000"},
        {&cors_two, "http://a.example", NULL},
        {&cors_two, "https://a.example.evil", NULL},
        {&cors_two, "null", NULL},
        {&cors_two, NULL, NULL},
        {&cors_any, "https://who.knows", "*"},
        {&cors_any, NULL, NULL},
        {&cors_none, "https://a.example", NULL},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        fake_init(&fake);
        if (rows[i].origin != NULL)
            fake_header(&fake, "Origin", rows[i].origin);
        tern_cors_allow(rows[i].cors, &fake.x);
        const char *got = answered(&fake, "access-control-allow-origin");
        if (rows[i].allowed == NULL) {
            assert_null(got);
            assert_int_equal(fake.x.n_response_headers, 0);
        } else {
            assert_non_null(got);
            assert_string_equal(got, rows[i].allowed);
            assert_string_equal(answered(&fake, "vary"), "origin");
            assert_non_null(strstr(answered(&fake, "access-control-expose-headers"),
                                   "grpc-status, grpc-message, grpc-status-details-bin"));
        }
        fake_fini(&fake);
    }
}

static void a_preflight_hears_methods_and_headers(void **state)
{
    (void)state;
    struct fake_exchange fake;
    fake_init(&fake);
    fake_header(&fake, "origin", "https://a.example");
    tern_cors_preflight(&cors_two, &fake.x, TERN_STR("POST, OPTIONS"));
    assert_int_equal(fake.x.n_response_headers, 0); /* OPTIONS of its own, no preflight */
    fake_header(&fake, "access-control-request-method", "POST");
    tern_cors_preflight(&cors_none, &fake.x, TERN_STR("POST, OPTIONS"));
    assert_int_equal(fake.x.n_response_headers, 0);
    fake_header(&fake, "access-control-request-headers", "content-type,x-grpc-web");
    tern_cors_preflight(&cors_two, &fake.x, TERN_STR("POST, OPTIONS"));
    assert_string_equal(answered(&fake, "access-control-allow-origin"), "https://a.example");
    assert_string_equal(answered(&fake, "access-control-allow-methods"), "POST, OPTIONS");
    assert_string_equal(answered(&fake, "access-control-allow-headers"), "content-type,x-grpc-web");
    assert_string_equal(answered(&fake, "access-control-max-age"), "7200");
    fake_fini(&fake);
}

static void an_origin_has_no_path(void **state)
{
    (void)state;
    static const char *const good[] = {"*", "https://a.example", "http://localhost:3000",
                                       "http://[::1]:80", "chrome-extension://abc"};
    static const char *const bad[] = {
        "",    "a.example",   "https://",    "https:/a", "https://a/", "https://*.a", "https://a?x",
        "//a", "https://a b", "https://u@a", "**"};
    for (size_t i = 0; i < TERN_COUNT_OF(good); i++)
        assert_int_equal(tern_cors_check_origin(tern_str_of(good[i]), NULL), TERN_OK);
    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++) {
        struct tern_err err = {0};
        assert_int_equal(tern_cors_check_origin(tern_str_of(bad[i]), &err), TERN_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, "is no origin, expected SCHEME://HOST[:PORT]"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_origins_may_read),
        cmocka_unit_test(a_preflight_hears_methods_and_headers),
        cmocka_unit_test(an_origin_has_no_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
