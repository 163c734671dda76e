// wrap: tern_clock_mono_ns
/* Which requests are well formed (RFC 9113 8.1.1): by example, and as nghttp2 judges them when it
 * is let. */
#include "h2_rules.h"

/* RFC 9113 8.1.1: malformed requests are stream errors of type PROTOCOL_ERROR. */
static void malformed_requests_are_reset(void **state)
{
    static const char *const rows[][5] = {
        {":path", "no-slash", NULL},
        {":path", "", NULL},
        {":path", "-", NULL},
        {":path", "*", NULL}, /* only OPTIONS may */
        {":path", "http://test/", NULL},
        {":method", "-", NULL},
        {":method", "G T", NULL},
        {":scheme", "-", NULL},
        {"connection", "close", NULL},
        {"transfer-encoding", "chunked", NULL},
        {"keep-alive", "1", NULL},
        {"upgrade", "h2c", NULL},
        {"te", "gzip", NULL},
        {"X-Upper", "1", NULL},
        {"", "1", NULL},
        {"a b", "1", NULL},
        {"a", "x\ny", NULL},
        {"a", "x\ry", NULL},
        {":unknown", "1", NULL},
        {":status", "200", NULL},
        {"content-length", "x", NULL},
        {"content-length", "-1", NULL},
        {"content-length", "+1", NULL},
        {"content-length", "1, 1", NULL},
        {"content-length", "5", NULL}, /* and no body */
        {"content-length", "0", "content-length", "0", NULL},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct client_stream *s = client_ask(&f->c, rows[i], no_body);
        if (!s->closed || s->error != NGHTTP2_PROTOCOL_ERROR || s->status != 0)
            fail_msg("row %zu (%s: %s): status %d, error %u", i, rows[i][0], rows[i][1], s->status,
                     s->error);
    }
    assert_int_equal(f->requests + f->refused, 0);
    still_serves(f);
}

static void content_length_must_match_the_data(void **state)
{
    struct fixture *f = *state;
    struct client_stream *s = client_ask(&f->c, FIELDS("content-length", "3"), TERN_STR("four"));

    assert_int_equal(s->error, NGHTTP2_PROTOCOL_ERROR);
    s = client_ask(&f->c, FIELDS("content-length", "5"), TERN_STR("four"));
    assert_int_equal(s->error, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(f->requests, 0);
    still_serves(f);
}

static void odd_but_valid_requests_are_served(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(client_ask(&f->c, FIELDS(":method", "OPTIONS", ":path", "*"), no_body)->status,
                     200);
    assert_int_equal(client_ask(&f->c, FIELDS(":method", "BREW"), no_body)->status, 200);
    assert_int_equal(client_ask(&f->c, FIELDS("te", "trailers"), no_body)->status, 200);
    assert_int_equal(client_ask(&f->c, FIELDS(":method", "GET"), TERN_STR("body"))->status, 200);
    struct client_stream *s =
        client_ask(&f->c, FIELDS(":method", "CONNECT", ":path", "-", ":scheme", "-"), no_body);
    assert_int_equal(s->status, 501);
}

/* nghttp2's own judgement. */

struct judge {
    bool heard; /* the request came through */
};

static int on_judged_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct judge *judge = user;
    (void)session;

    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        judge->heard = true;
    return 0;
}

/* Whether a server of nghttp2's own would hear of what the client has queued. */
static bool nghttp2_takes(const uint8_t *bytes, size_t n)
{
    struct judge judge = {.heard = false};
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;

    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_judged_frame);
    assert_int_equal(nghttp2_session_server_new(&session, callbacks, &judge), 0);
    nghttp2_session_mem_recv(session, bytes, n);
    nghttp2_session_del(session);
    nghttp2_session_callbacks_del(callbacks);
    return judge.heard;
}

/* All bytes of a connection with this one request: the judge sees what the server sees. */
static size_t write_request(struct client *c, const char *const *fields, struct tern_str body,
                            uint8_t *bytes, size_t room)
{
    const uint8_t *p;
    size_t n = 0;
    ssize_t got;

    client_request(c, fields, body, false);
    while ((got = nghttp2_session_mem_send(c->session, &p)) > 0) {
        assert_true(n + (size_t)got <= room);
        memcpy(bytes + n, p, (size_t)got);
        n += (size_t)got;
    }
    return n;
}

static void compare(struct fixture *f, const char *const *fields, struct tern_str body)
{
    uint8_t bytes[16384];
    struct client c;

    client_open(&c, &f->rig, 65535);
    size_t n = write_request(&c, fields, body, bytes, sizeof(bytes));
    int before = f->requests + f->refused;
    client_send_raw(&c, bytes, n);
    client_run(&c);
    bool ours = f->requests + f->refused > before;
    if (ours != nghttp2_takes(bytes, n))
        fail_msg("%s: %s | %s: %s: here it is %s", fields[0], fields[1],
                 fields[2] == NULL ? "" : fields[2], fields[2] == NULL ? "" : fields[3],
                 ours ? "taken" : "malformed");
    client_close(&c);
}

/* Every byte in every place of a value and of a name. */
static void each_byte_is_judged_as_by_nghttp2(void **state)
{
    static const char *const names[] = {":method", ":scheme",      ":path",          ":authority",
                                        "host",    "content-type", "content-length", "te",
                                        "x-other", "user-agent",   "expect"};
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(names); i++) {
        for (int c = 1; c < 256; c += c < 0x30 || c > 0x7c ? 1 : 7) {
            /* Eight bytes and fewer are looked at in two ways. */
            char end[] = "/a?", middle[] = "/abcdefghijklm";
            end[2] = (char)c;
            middle[9] = (char)c;
            compare(f, FIELDS(names[i], end), no_body);
            compare(f, FIELDS(names[i], middle), no_body);
        }
    }
    for (int c = 1; c < 256; c++) {
        char name[] = "a?b";
        name[1] = (char)c;
        compare(f, FIELDS(name, "1"), no_body);
    }
}

/* Pairs of fields, well formed and not: their number, order and what they say together. */
static void pairs_are_judged_as_by_nghttp2(void **state)
{
    static const char *const rows[][2] = {
        {":method", "OPTIONS"},
        {":method", "CONNECT"},
        {":method", "-"},
        {":scheme", "-"},
        {":scheme", "HTTPS"},
        {":scheme", "ftp"},
        {":path", "-"},
        {":path", "*"},
        {":path", "a"},
        {":authority", "-"},
        {":authority", "a b"},
        {"host", "test"},
        {"host", ""},
        {"te", "trailers"},
        {"te", "Trailers"},
        {"te", "gzip"},
        {"connection", "close"},
        {"upgrade", "x"},
        {"keep-alive", "1"},
        {"content-length", "0"},
        {"content-length", "4"},
        {"content-length", "04"},
        {"content-length", ""},
        {"content-length", "99999999999999999999"},
        {":protocol", "x"},
        {":status", "200"},
        {"a", ""},
        {"a", " b"},
        {"a", "b\t"},
        {"a", "\xc3\xa4"},
        {"A", "1"},
        {"", "1"},
        {"priority", "u=1"},
        {"proxy-connection", "x"},
        {"transfer-encoding", "chunked"},
        {"cookie", "a=b"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        for (size_t k = 0; k < TERN_COUNT_OF(rows); k++) {
            const char *const *fields = FIELDS(rows[i][0], rows[i][1], rows[k][0], rows[k][1]);
            compare(f, fields, no_body);
            compare(f, fields, TERN_STR("body"));
        }
    }
}

/* What a connection knows of its last requests' fields is never taken for another's. */
static void fields_are_told_apart_on_one_connection(void **state)
{
    struct fixture *f = *state;
    char value[300];

    for (int i = 0; i < 200; i++) {
        bool bad = i % 3 == 2;
        snprintf(value, sizeof(value), "%0*d%s", i % 5 == 0 ? 280 : 20, i / 2, bad ? "\n" : "");
        struct client_stream *s = client_ask(
            &f->c, i % 2 == 0 ? FIELDS("x-a", value, "te", "trailers") : FIELDS("x-b", value),
            no_body);
        assert_int_equal(s->status, bad ? 0 : 200);
    }
}

static void trailers_are_fields_too(void **state)
{
    static const struct {
        const char *name, *value;
        bool good;
    } rows[] = {{"a", "1", true},
                {":path", "/", false},
                {"connection", "x", false},
                {"A", "1", false},
                {"content-length", "4", true},
                {"a", "\n", false},
                {"content-length", "5", false}};
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        nghttp2_nv nv = {(uint8_t *)(uintptr_t)rows[i].name, (uint8_t *)(uintptr_t)rows[i].value,
                         strlen(rows[i].name), strlen(rows[i].value), NGHTTP2_NV_FLAG_NO_COPY_NAME};
        int32_t id = client_request(&f->c, NULL, TERN_STR("body"), true);
        client_run(&f->c);
        nghttp2_submit_headers(f->c.session, NGHTTP2_FLAG_END_STREAM, id, NULL, &nv, 1, NULL);
        client_run(&f->c);
        struct client_stream *s = client_stream(&f->c, id);
        assert_int_equal(s->status, rows[i].good ? 200 : 0);
        assert_true(rows[i].good || s->error == NGHTTP2_PROTOCOL_ERROR);
    }
    /* Trailers that are not the end. */
    nghttp2_nv nv = {(uint8_t *)(uintptr_t) "a", (uint8_t *)(uintptr_t) "1", 1, 1, 0};
    int32_t id = client_request(&f->c, NULL, TERN_STR("body"), true);
    client_run(&f->c);
    nghttp2_submit_headers(f->c.session, NGHTTP2_FLAG_NONE, id, NULL, &nv, 1, NULL);
    client_run(&f->c);
    assert_int_equal(client_stream(&f->c, id)->error, NGHTTP2_PROTOCOL_ERROR);
    still_serves(f);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(malformed_requests_are_reset),      TEST(content_length_must_match_the_data),
        TEST(odd_but_valid_requests_are_served), TEST(each_byte_is_judged_as_by_nghttp2),
        TEST(pairs_are_judged_as_by_nghttp2),    TEST(fields_are_told_apart_on_one_connection),
        TEST(trailers_are_fields_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
