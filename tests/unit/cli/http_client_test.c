#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/clock.h"
#include "cli/http_client.h"
#include "harness/tiny_server.h"

static const struct {
    const char *bytes;
    enum tern_code code; /* at the end of the bytes, and of the connection */
    int status;
    const char *body;
    bool keep_alive;
} cases[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", TERN_OK, 200, "hello", true},
    {"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", TERN_OK, 200, "", true},
    {"HTTP/1.1 204 No Content\r\n\r\n", TERN_OK, 204, "", true},
    {"HTTP/1.1 503 \r\nContent-Length: 2\r\nConnection: keep-alive, Close\r\n\r\nno", TERN_OK, 503,
     "no", false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", TERN_OK, 200, "ok", false},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", TERN_OK, 200,
     "ok", true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n"
     "\r\n",
     TERN_OK, 200, "abc0123456789", true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nSome: trailer\r\n\r\n",
     TERN_OK, 200, "a", true},
    {"HTTP/1.1 200 OK\r\n\r\nuntil the end", TERN_OK, 200, "until the end", false},
    {"", TERN_DATA_LOSS, 0, NULL, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", TERN_DATA_LOSS, 0, NULL, false},
    {"HTTP/1.1 200 OK\r\nContent-Le", TERN_DATA_LOSS, 0, NULL, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", TERN_DATA_LOSS, 0, NULL,
     false},
    {"SSH-2.0-OpenSSH\r\n\r\n", TERN_INTERNAL, 0, NULL, false},
    {"HTTP/1.1 2x0 OK\r\n\r\n", TERN_INTERNAL, 0, NULL, false},
    {"HTTP/2 200\r\n\r\n", TERN_INTERNAL, 0, NULL, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", TERN_INTERNAL, 0, NULL, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", TERN_INTERNAL, 0, NULL, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", TERN_INTERNAL, 0, NULL, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", TERN_INTERNAL, 0, NULL,
     false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", TERN_INTERNAL, 0,
     NULL, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", TERN_UNIMPLEMENTED, 0, NULL,
     false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", TERN_INTERNAL, 0, NULL, false},
};

/* Feeds the bytes in pieces of `step`, then the end of the connection. */
static enum tern_code feed(struct tern_http_reader *reader, const char *bytes, size_t step)
{
    size_t n = strlen(bytes);
    struct tern_err err;
    bool done = false;

    for (size_t at = 0; at < n && !done; at += step) {
        size_t k = n - at < step ? n - at : step;
        size_t room = 0;
        char *p = tern_http_reader_room(reader, k, &room);
        assert_non_null(p);
        memcpy(p, bytes + at, k);
        enum tern_code code = tern_http_reader_take(reader, k, &done, &err);
        if (code != TERN_OK)
            return code;
        if (done && at + k < n)
            return TERN_INTERNAL; /* bytes after the answer */
    }
    if (done)
        return TERN_OK;
    enum tern_code code = tern_http_reader_take(reader, 0, &done, &err);
    assert_true(code != TERN_OK || done);
    return code;
}

static void test_reader(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cases); i++) {
        for (size_t step = 1; step <= 200; step += step < 10 ? 1 : 95) {
            struct tern_http_reader reader;
            tern_http_reader_init(&reader, 1 << 20);
            enum tern_code code = feed(&reader, cases[i].bytes, step);
            if (code != cases[i].code)
                fail_msg("case %zu in steps of %zu: %s", i, step, tern_code_name(code));
            if (code == TERN_OK) {
                struct tern_str body = tern_http_reader_body(&reader);
                assert_int_equal(reader.status, cases[i].status);
                assert_true(tern_str_eq(body, tern_str_of(cases[i].body)));
                assert_int_equal(reader.keep_alive, cases[i].keep_alive);
            }
            tern_http_reader_fini(&reader);
        }
    }
}

static void test_an_answer_in_http2_is_known(void **state)
{
    static const char settings[] = {0, 0, 6, 4, 0, 0, 0, 0, 0};
    struct tern_http_reader reader;
    struct tern_err err;
    size_t room;
    bool done;

    (void)state;
    tern_http_reader_init(&reader, 1 << 20);
    memcpy(tern_http_reader_room(&reader, sizeof(settings), &room), settings, sizeof(settings));
    assert_int_equal(tern_http_reader_take(&reader, sizeof(settings), &done, &err), TERN_INTERNAL);
    assert_non_null(strstr(err.text, "HTTP/2 only"));
    tern_http_reader_fini(&reader);
}

static void test_advice(void **state)
{
    static const struct {
        int status;
        const char *text;
        bool any;
    } rows[] = {
        {501, "", true},
        {404, "no such path: /v2/models", true},
        {404, "Request for unknown model: 'x' is not found", false},
        {400, "", false},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_http_reader reader = {.status = rows[i].status};
        const char *advice = tern_http_reader_advice(&reader, tern_str_of(rows[i].text));
        assert_int_equal(strstr(advice, "the one for HTTP") != NULL, rows[i].any);
    }
}

static void test_targets(void **state)
{
    static const struct {
        const char *url;
        enum tern_code code;
        const char *text;
    } urls[] = {
        {"http://127.0.0.1:8080", TERN_OK, "127.0.0.1:8080"},
        {"127.0.0.1:8080", TERN_OK, "127.0.0.1:8080"},
        {"http://127.0.0.1/", TERN_OK, "127.0.0.1:80"},
        {"http://localhost:81", TERN_OK, "127.0.0.1:81"},
        {"http://[::1]:8080", TERN_OK, "[::1]:8080"},
        {"unix:/tmp/tern.sock", TERN_OK, "unix:/tmp/tern.sock"},
        {"https://127.0.0.1:8080", TERN_UNIMPLEMENTED, NULL},
        {"http://127.0.0.1:8080/v2", TERN_INVALID_ARGUMENT, NULL},
        {"http://user@127.0.0.1:8080", TERN_INVALID_ARGUMENT, NULL},
        {"http://127.0.0.1:x", TERN_INVALID_ARGUMENT, NULL},
        {"http://127.0.0.1:0", TERN_INVALID_ARGUMENT, NULL},
        {"http://127.0.0.1:70000", TERN_INVALID_ARGUMENT, NULL},
        {"http://", TERN_INVALID_ARGUMENT, NULL},
        {"unix:", TERN_INVALID_ARGUMENT, NULL},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(urls); i++) {
        struct tern_http_target target;
        struct tern_err err = {0};
        enum tern_code code = tern_http_target_parse(tern_str_of(urls[i].url), &target, &err);
        if (strstr(urls[i].url, "::1") != NULL && code == TERN_UNAVAILABLE)
            continue; /* a machine without IPv6 */
        if (code != urls[i].code)
            fail_msg("%s: %s (%s)", urls[i].url, tern_code_name(code), err.text);
        if (code == TERN_OK)
            assert_string_equal(target.text, urls[i].text);
    }
}

static struct tern_str get(struct tern_http_client *client, const char *path)
{
    struct tern_err err = {0};
    enum tern_code code =
        tern_http_client_call(client, "GET", tern_str_of(path), (struct tern_str){NULL, 0},
                              (struct tern_str){NULL, 0}, &err);
    if (code != TERN_OK)
        fail_msg("GET %s: %s", path, err.text);
    return tern_http_reader_body(&client->reader);
}

static void test_calls(void **state)
{
    struct tiny_server server;
    struct tern_http_target target;
    struct tern_http_client client;

    (void)state;
    tiny_server_start(&server);
    assert_int_equal(tern_http_target_parse(tern_str_of(server.url), &target, NULL), TERN_OK);
    tern_http_client_init(&client, &target, 5 * (uint64_t)TERN_NS_PER_S, 1 << 20);
    for (int i = 0; i < 8; i++) {
        server.chunked = i & 1;
        struct tern_str body = get(&client, "/v2/models");
        assert_true(tern_str_eq(body, TERN_STR("{\"models\":[\"double\"]}")));
        assert_int_equal(client.reader.status, 200);
        assert_true(client.fd >= 0); /* kept */
        if (i >= 4)
            shutdown(client.fd, SHUT_RDWR); /* as if the server had closed it: asked once more */
    }
    (void)get(&client, "/nowhere");
    assert_int_equal(client.reader.status, 404);
    tern_http_client_fini(&client);
    tiny_server_stop(&server);
}

static void test_nobody_there(void **state)
{
    struct tiny_server server;
    struct tern_http_target target;
    struct tern_http_client client;
    struct tern_err err;

    (void)state;
    tiny_server_start(&server);
    assert_int_equal(tern_http_target_parse(tern_str_of(server.url), &target, NULL), TERN_OK);
    tiny_server_stop(&server); /* its port is free again, and refuses */
    tern_http_client_init(&client, &target, TERN_NS_PER_S, 1 << 20);
    assert_int_equal(
        tern_http_client_call(&client, "GET", TERN_STR("/"), TERN_STR(""), TERN_STR(""), &err),
        TERN_UNAVAILABLE);
    tern_http_client_fini(&client);
}

static void test_no_answer_in_time(void **state)
{
    struct tiny_server server;
    struct tern_http_target target;
    struct tern_http_client client;
    struct tern_err err;

    (void)state;
    tiny_server_start(&server);
    server.stall_at = 0;
    server.stall_ms = 300;
    assert_int_equal(tern_http_target_parse(tern_str_of(server.url), &target, NULL), TERN_OK);
    tern_http_client_init(&client, &target, 20 * TERN_NS_PER_MS, 1 << 20);
    assert_int_equal(tern_http_client_call(&client, "POST", TERN_STR("/v2/models/double/infer"),
                                           TERN_STR("a/b"),
                                           TERN_STR("{\"inputs\":[{\"data\":[1,2]}]}"), &err),
                     TERN_DEADLINE_EXCEEDED);
    assert_int_equal(client.fd, -1); /* a late answer must not be taken for the next one */
    tern_http_client_fini(&client);
    tiny_server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader),
        cmocka_unit_test(test_an_answer_in_http2_is_known),
        cmocka_unit_test(test_advice),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_no_answer_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
