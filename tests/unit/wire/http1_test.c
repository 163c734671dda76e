/* What the head reader finds, and where its limits lie exactly. What it refuses, and that packets
 * do not matter, is in tests/wire/http1 and the fuzz targets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "wire/http1.h"

static struct tern_header fields[TERN_HEAD_FIELDS_MAX];
static struct tern_head_limits limits = TERN_HEAD_LIMITS_DEFAULT;
static struct tern_err err;

static enum tern_http1_result read_text(struct tern_http1_head *head, const char *text)
{
    tern_http1_head_start(head, fields, &limits);
    return tern_http1_head_read(head, text, strlen(text), &err);
}

#define assert_str(s, literal) assert_true(tern_str_eq((s), TERN_STR(literal)))

static void a_whole_head(void **state)
{
    struct tern_http1_head head;
    static const char text[] = "POST /v2/models/iris/infer?a=1&b HTTP/1.1\r\n"
                               "Host: example.org:8080\r\n"
                               "User-Agent:x\r\n"
                               "content-type: \t application/json \t\r\n"
                               "CONTENT-LENGTH: 12345678901\r\n"
                               "Accept-Encoding: gzip\r\n"
                               "Content-Encoding: zstd\r\n"
                               "Expect: 100-continue\r\n"
                               "Empty:\r\n"
                               "Blank: \r\n\r\nBODY";

    (void)state;
    assert_int_equal(read_text(&head, text), TERN_HTTP1_DONE);
    assert_str(head.method, "POST");
    assert_str(head.path, "/v2/models/iris/infer");
    assert_str(head.query, "a=1&b");
    assert_str(head.authority, "example.org:8080");
    assert_str(head.content_type, "application/json");
    assert_str(head.accept_encoding, "gzip");
    assert_str(head.content_encoding, "zstd");
    assert_int_equal(head.framing, TERN_HTTP1_LENGTH);
    assert_int_equal(head.content_length, 12345678901);
    assert_true(head.keep_alive);
    assert_true(head.expect_continue);
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.n_fields, 9);
    assert_str(head.fields[1].name, "User-Agent");
    assert_str(head.fields[1].value, "x");
    assert_int_equal(head.fields[7].value.n, 0);
    assert_int_equal(head.fields[8].value.n, 0);
    assert_string_equal(text + head.size, "BODY");
}

static void keep_alive(void **state)
{
    static const struct {
        const char *text;
        bool keep;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost:\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost:\r\nConnection: x, CLOSE ,y\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost:\r\nConnection: closed\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
    };
    struct tern_http1_head head;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        assert_int_equal(read_text(&head, rows[i].text), TERN_HTTP1_DONE);
        assert_int_equal(head.keep_alive, rows[i].keep);
    }
}

static void expect_needs_a_body(void **state)
{
    struct tern_http1_head head;

    (void)state;
    assert_int_equal(read_text(&head, "GET / HTTP/1.1\r\nHost:\r\nExpect: 100-continue\r\n\r\n"),
                     TERN_HTTP1_DONE);
    assert_false(head.expect_continue);
    assert_int_equal(read_text(&head, "PUT / HTTP/1.0\r\nContent-Length: 4\r\n"
                                      "Expect: 100-continue\r\n\r\n"),
                     TERN_HTTP1_DONE);
    assert_false(head.expect_continue);
}

/* A request target of exactly n bytes, a field line of exactly m. */
static enum tern_http1_result read_sized(size_t target, size_t field, int *ret_status)
{
    static char text[65536];
    struct tern_http1_head head;
    char *at = text;

    at += snprintf(at, 64, "GET /");
    memset(at, 'a', target - 1);
    at += target - 1;
    at += snprintf(at, 64, " HTTP/1.1\r\nHost:\r\nX:");
    memset(at, 'v', field - 2);
    at += field - 2;
    at += snprintf(at, 64, "\r\n\r\n");
    tern_http1_head_start(&head, fields, &limits);
    err.http_status = 0;
    enum tern_http1_result result = tern_http1_head_read(&head, text, (size_t)(at - text), &err);
    *ret_status = err.http_status;
    return result;
}

static void limits_are_exact(void **state)
{
    static const struct tern_head_limits rows[] = {
        TERN_HEAD_LIMITS_DEFAULT,
        {.target_max = 300, .field_max = 500, .bytes_max = 1000, .fields_max = 8},
    };
    int status;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        limits = rows[i];
        assert_int_equal(read_sized(limits.target_max, 10, &status), TERN_HTTP1_DONE);
        assert_int_equal(read_sized(limits.target_max + 1, 10, &status), TERN_HTTP1_BAD);
        assert_int_equal(status, 414);
        assert_int_equal(read_sized(limits.target_max + 1000, 10, &status), TERN_HTTP1_BAD);
        assert_int_equal(status, 414);
        assert_int_equal(read_sized(100, limits.field_max, &status), TERN_HTTP1_DONE);
        assert_int_equal(read_sized(100, limits.field_max + 1, &status), TERN_HTTP1_BAD);
        assert_int_equal(status, 431);
    }
    limits = rows[0];
}

/* n fields of 100 bytes in all each, Host among them. */
static enum tern_http1_result read_many(size_t n, int *ret_status)
{
    static char text[65536];
    struct tern_http1_head head;
    char *at = text + snprintf(text, 64, "GET / HTTP/1.1\r\nHost:\r\n");

    for (size_t i = 1; i < n; i++)
        at += snprintf(at, 101, "X:%096zu\r\n", i);
    at += snprintf(at, 3, "\r\n");
    tern_http1_head_start(&head, fields, &limits);
    err.http_status = 0;
    enum tern_http1_result result = tern_http1_head_read(&head, text, (size_t)(at - text), &err);
    *ret_status = err.http_status;
    return result;
}

static void fields_and_bytes_are_limited(void **state)
{
    int status;

    (void)state;
    assert_int_equal(read_many(TERN_HEAD_FIELDS_MAX, &status), TERN_HTTP1_DONE);
    assert_int_equal(read_many(TERN_HEAD_FIELDS_MAX + 1, &status), TERN_HTTP1_BAD);
    assert_int_equal(status, 431);
    limits.fields_max = 9;
    assert_int_equal(read_many(9, &status), TERN_HTTP1_DONE);
    assert_int_equal(read_many(10, &status), TERN_HTTP1_BAD);
    assert_int_equal(status, 431);
    limits = (struct tern_head_limits)TERN_HEAD_LIMITS_DEFAULT;
    limits.bytes_max = 1100;
    assert_int_equal(read_many(11, &status), TERN_HTTP1_DONE);
    assert_int_equal(read_many(12, &status), TERN_HTTP1_BAD);
    assert_int_equal(status, 431);
    limits = (struct tern_head_limits)TERN_HEAD_LIMITS_DEFAULT;
}

static void chunks(void **state)
{
    static const char text[] =
        "5;a=\"b;c\"\r\nhello\r\n1\r\n \r\n05\r\nworld\r\n0\r\nX: y\r\n\r\nNEXT";
    struct tern_http1_chunks c;
    struct tern_str piece;
    char body[32];
    size_t n = 0;
    size_t at = 0;
    size_t used;

    (void)state;
    tern_http1_chunks_start(&c);
    for (;;) {
        enum tern_http1_result result =
            tern_http1_chunks_read(&c, text + at, sizeof(text) - 1 - at, &used, &piece, &err);
        at += used;
        if (result == TERN_HTTP1_DONE)
            break;
        assert_int_equal(result, TERN_HTTP1_DATA);
        memcpy(body + n, piece.p, piece.n);
        n += piece.n;
    }
    assert_true(tern_str_eq(tern_str_make(body, n), TERN_STR("hello world")));
    assert_string_equal(text + at, "NEXT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_head),
        cmocka_unit_test(keep_alive),
        cmocka_unit_test(expect_needs_a_body),
        cmocka_unit_test(limits_are_exact),
        cmocka_unit_test(fields_and_bytes_are_limited),
        cmocka_unit_test(chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
