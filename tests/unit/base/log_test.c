// wrap: tern_clock_wall_ns
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <jansson.h>
#include "base/clock.h"
#include "base/log.h"

#define WALL 1772366400123456789u /* 2026-03-01 12:00:00.123 UTC */

uint64_t __wrap_tern_clock_wall_ns(void);
uint64_t __wrap_tern_clock_wall_ns(void)
{
    return WALL;
}

struct catch
{
    char text[TERN_LOG_LINE_MAX + 1];
    size_t lines;
};

static void catch_line(void *self, struct tern_str line)
{
    struct catch *c = self;
    memcpy(c->text, line.p, line.n);
    c->text[line.n] = '\0';
    c->lines++;
}

static struct catch caught;

static struct tern_log make(enum tern_log_format format)
{
    struct tern_log log;
    caught.lines = 0;
    tern_log_init(&log, (struct tern_log_sink){catch_line, &caught}, TERN_LOG_INFO, format, false);
    return log;
}

static void test_text(void **state)
{
    struct tern_log log = make(TERN_LOG_TEXT);

    (void)state;
    tern_log_info(&log, "model.ready", "model is ready", TERN_KV_Z("model", "iris"),
                  TERN_KV_U64("version", 2), TERN_KV_I64("delta", INT64_MIN),
                  TERN_KV_BOOL("warm", true), TERN_KV_NS("took", 1250000),
                  TERN_KV_STR("why", TERN_STR("two words")), TERN_KV_Z("none", NULL));
    assert_string_equal(caught.text, "2026-03-01 12:00:00.123 info  model is ready  model=iris "
                                     "version=2 delta=-9223372036854775808 warm=true took=1.25ms "
                                     "why=\"two words\" none=\"\"\n");
    tern_log_warn(&log, "drain", "draining", TERN_KV_NONE);
    assert_string_equal(caught.text, "2026-03-01 12:00:00.123 warn  draining\n");
}

static void test_json(void **state)
{
    struct tern_log log = make(TERN_LOG_JSON);
    struct tern_err err;

    (void)state;
    tern_fail(&err, TERN_NOT_FOUND, "no model \"x\"");
    tern_log_error(&log, "model.missing", "gone", TERN_KV_ERR(&err), TERN_KV_NS("took", 1500),
                   TERN_KV_U64("n", UINT64_MAX));
    assert_string_equal(
        caught.text,
        "{\"time\":\"2026-03-01T12:00:00.123Z\",\"level\":\"error\",\"event\":\"model.missing\","
        "\"message\":\"gone\",\"error\":\"no model \\\"x\\\"\",\"code\":\"not_found\","
        "\"took_s\":0.000001500,\"n\":18446744073709551615}\n");
}

static void test_levels(void **state)
{
    struct tern_log log = make(TERN_LOG_TEXT);

    (void)state;
    tern_log_debug(&log, "x", "not wanted", TERN_KV_NONE);
    assert_int_equal(caught.lines, 0);
    tern_log_set_level(&log, TERN_LOG_DEBUG);
    tern_log_debug(&log, "x", "wanted", TERN_KV_NONE);
    assert_int_equal(caught.lines, 1);
}

static void test_colour(void **state)
{
    struct tern_log log = make(TERN_LOG_TEXT);

    (void)state;
    log.colour = true;
    tern_log_warn(&log, "x", "slow", TERN_KV_U64("n", 1));
    assert_string_equal(caught.text,
                        "2026-03-01 12:00:00.123 \033[33mwarn \033[0m slow  \033[2mn=\033[0m1\n");
}

#define BYTES(literal)               \
    {                                \
        literal, sizeof(literal) - 1 \
    } /* constant, unlike TERN_STR */

/* What an attacker may put into a path or an id, and what the line must look like. */
static const struct {
    struct tern_str value;
    const char *text;
    const char *json;
} escapes[] = {
    {BYTES("a\nb"), "\"a\\nb\"", "\"a\\nb\""},
    {BYTES("x\" level=error"), "\"x\\\" level=error\"", "\"x\\\" level=error\""},
    {BYTES("a=b"), "\"a=b\"", "\"a=b\""},
    {BYTES("\033[2J"), "\"\\x1b[2J\"", "\"\\u001b[2J\""},
    {BYTES("a\0b"), "\"a\\x00b\"", "\"a\\u0000b\""},
    {BYTES("\x7f\r\t"), "\"\\x7f\\r\\t\"", "\"\\u007f\\r\\t\""},
    {BYTES("caf\xc3\xa9"), "\"caf\xc3\xa9\"", "\"caf\xc3\xa9\""},
    {BYTES("\xff"), "\"\\xff\"", "\"\\ufffd\""},
    {BYTES("\xc3"), "\"\\xc3\"", "\"\\ufffd\""}, /* cut off */
    {BYTES("\xc2\x9b"
           "31m"),
     "\"\\xc2\\x9b31m\"", "\"\\ufffd\\ufffd31m\""},                              /* C1 CSI */
    {BYTES("\xe2\x80\xae"), "\"\\xe2\\x80\\xae\"", "\"\\ufffd\\ufffd\\ufffd\""}, /* U+202E */
    {BYTES("\xe2\x81\xa6"), "\"\\xe2\\x81\\xa6\"", "\"\\ufffd\\ufffd\\ufffd\""}, /* U+2066 */
    {BYTES("\xe2\x80\xa8"), "\"\\xe2\\x80\\xa8\"", "\"\\ufffd\\ufffd\\ufffd\""}, /* U+2028 */
    {BYTES("\xe2\x80\x93"), "\"\xe2\x80\x93\"", "\"\xe2\x80\x93\""},             /* a dash */
    {BYTES("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"", "\"\\ufffd\\ufffd\\ufffd\""}, /* surrogate */
    {BYTES("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\""},
    {BYTES("c:\\dir"), "\"c:\\\\dir\"", "\"c:\\\\dir\""},
};

static void test_nothing_is_forged(void **state)
{
    char want[256];

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(escapes); i++) {
        struct tern_log text = make(TERN_LOG_TEXT);
        tern_log_info(&text, "e", "m", TERN_KV_STR("v", escapes[i].value));
        snprintf(want, sizeof(want), "2026-03-01 12:00:00.123 info  m  v=%s\n", escapes[i].text);
        assert_string_equal(caught.text, want);

        struct tern_log json = make(TERN_LOG_JSON);
        tern_log_info(&json, "e", "m", TERN_KV_STR("v", escapes[i].value));
        char *v = strstr(caught.text, "\"v\":");
        assert_non_null(v);
        snprintf(want, sizeof(want), "\"v\":%s}\n", escapes[i].json);
        assert_string_equal(v, want);
        json_t *parsed = json_loads(caught.text, JSON_ALLOW_NUL, NULL);
        assert_non_null(parsed);
        json_decref(parsed);
    }
}

static void test_every_byte_pair_is_valid_json(void **state)
{
    struct tern_log log = make(TERN_LOG_JSON);

    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            char value[] = {(char)a, (char)b};
            tern_log_info(&log, "e", "m", TERN_KV_STR("v", tern_str_make(value, 2)));
            json_t *parsed = json_loads(caught.text, JSON_ALLOW_NUL, NULL);
            assert_non_null(parsed);
            json_decref(parsed);
            assert_ptr_equal(strchr(caught.text, '\n'), strrchr(caught.text, '\n'));
        }
    }
}

static void test_lines_are_bounded(void **state)
{
    static char big[10000];
    const enum tern_log_format formats[] = {TERN_LOG_TEXT, TERN_LOG_JSON};

    (void)state;
    for (size_t f = 0; f < 2; f++) {
        for (size_t n = 1000; n <= 1030; n++) { /* around the edge of the line */
            struct tern_log log = make(formats[f]);
            memset(big, f == 0 ? 'x' : '\1', sizeof(big));
            struct tern_str s = tern_str_make(big, n);
            tern_log_info(&log, "e", "m", TERN_KV_STR("a", s), TERN_KV_STR("b", s),
                          TERN_KV_STR("c", s), TERN_KV_STR("d", s), TERN_KV_U64("last", 7));
            size_t length = strlen(caught.text);
            assert_true(length <= TERN_LOG_LINE_MAX);
            assert_int_equal(caught.text[length - 1], '\n');
            if (strstr(caught.text, "truncated") == NULL)
                assert_non_null(strstr(caught.text, "last=7\n"));
            if (f == 1) {
                assert_non_null(strstr(caught.text, "\"truncated\":true}\n"));
                json_t *parsed = json_loads(caught.text, 0, NULL);
                assert_non_null(parsed);
                json_decref(parsed);
            }
        }
    }
    struct tern_log log = make(TERN_LOG_TEXT);
    memset(big, 'x', sizeof(big));
    tern_log_info(&log, "e", "m", TERN_KV_STR("a", tern_str_make(big, sizeof(big))));
    assert_non_null(strstr(caught.text, "..."));
}

static void test_durations(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {{0, "0ns"},           {999, "999ns"},        {1000, "1.00us"},
                 {51300, "51.3us"},    {999999, "999us"},     {1250000, "1.25ms"},
                 {12700000, "12.7ms"}, {1000000000, "1.00s"}, {3600000000000, "3600s"}};
    char want[128];

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cases); i++) {
        struct tern_log log = make(TERN_LOG_TEXT);
        tern_log_info(&log, "e", "m", TERN_KV_NS("t", cases[i].ns));
        snprintf(want, sizeof(want), "2026-03-01 12:00:00.123 info  m  t=%s\n", cases[i].text);
        assert_string_equal(caught.text, want);
    }
}

static void test_dates(void **state)
{
    static const struct {
        uint64_t s;
        const char *text;
    } cases[] = {{0, "1970-01-01 00:00:00.000"},          {951782399, "2000-02-28 23:59:59.000"},
                 {951782400, "2000-02-29 00:00:00.000"},  {951868800, "2000-03-01 00:00:00.000"},
                 {1735689599, "2024-12-31 23:59:59.000"}, {4102444800, "2100-01-01 00:00:00.000"}};
    char line[512];
    struct tern_log log = make(TERN_LOG_TEXT);

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cases); i++) {
        size_t n = tern_log_format(&log, cases[i].s * TERN_NS_PER_S, TERN_LOG_INFO, "e", "m", NULL,
                                   0, line, sizeof(line));
        assert_true(n > 23);
        line[23] = '\0';
        assert_string_equal(line, cases[i].text);
    }
}

static void test_limit(void **state)
{
    struct tern_log_limit limit = {0};
    uint32_t suppressed = 99;
    int passed = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        passed += tern_log_allow(&limit, 5 * (uint64_t)TERN_NS_PER_S, 3, &suppressed);
    assert_int_equal(passed, 3);
    assert_int_equal(suppressed, 0);
    assert_true(tern_log_allow(&limit, 6 * (uint64_t)TERN_NS_PER_S, 3, &suppressed));
    assert_int_equal(suppressed, 97);
    assert_true(tern_log_allow(&limit, 6 * (uint64_t)TERN_NS_PER_S, 3, &suppressed));
    assert_int_equal(suppressed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_colour),
        cmocka_unit_test(test_nothing_is_forged),
        cmocka_unit_test(test_every_byte_pair_is_valid_json),
        cmocka_unit_test(test_lines_are_bounded),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
