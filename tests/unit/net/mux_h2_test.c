// covers: net/h2_body net/h2_request net/h2_response
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
/* The HTTP/2 mux from the client's side: what RFC 9113 and core/exchange.h promise. Ends of streams
 * and connections are in mux_h2_end_test.c, memory in mux_h2_memory_test.c, trailers and requests
 * in parts in mux_h2_trailers_test.c and mux_h2_stream_test.c. */
#include "harness/h2_rig.h"
#include "wire/decoder.h"
#include "wire/encoder.h"

/* The plain cases. */

static void a_get_arrives_whole(void **state)
{
    struct h2_rig *f = *state;
    struct client_stream *s = client_ask(
        &f->c, FIELDS(":path", "/a/b?q=1&r", "content-type", "x/y", "x-custom", "v"), no_body);

    assert_string_equal(f->seen.text, "GET /a/b ?q=1&r @test <127.0.0.1:999> 2 type=x/y body=0");
    assert_int_equal(s->status, 200);
    assert_true(s->closed);
    assert_true(tern_str_eq(tern_buf_str(&s->body), TERN_STR("hello")));
    assert_true(client_has(s, "content-type: text/plain\n"));
    assert_true(client_has(s, "content-length: 5\n"));
    assert_true(client_has(s, "date: "));
}

static void host_stands_in_for_authority(void **state)
{
    struct h2_rig *f = *state;

    client_ask(&f->c, FIELDS(":authority", "-", "host", "example"), no_body);
    assert_non_null(strstr(f->seen.text, "@example"));
    struct client_stream *s = client_ask(&f->c, FIELDS("host", "other"), no_body);
    assert_int_equal(s->status, 400);
}

static void bodies_come_in_one_piece(void **state)
{
    static const size_t sizes[] = {1, 100, 2048, 2049, 16384, 65536, 300000, 1u << 20};
    struct h2_rig *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(sizes); i++) {
        char length[32];
        struct tern_str body = tern_str_make(h2_rig_big, sizes[i]);
        snprintf(length, sizeof(length), "%zu", sizes[i]);
        struct client_stream *s = client_ask(&f->c, FIELDS("content-length", length), body);
        assert_true(tern_str_eq(tern_buf_str(&s->body), body));
        s = client_ask(&f->c, NULL, body);
        assert_true(tern_str_eq(tern_buf_str(&s->body), body));
    }
}

/* Says the size that the first three digits spell, and a pivot of 112. */
static void plan_body(void *self, const struct tern_exchange *x, struct tern_body_plan *plan)
{
    char digits[8];

    (void)self, (void)x;
    assert_true(plan->first.n >= 7 && plan->size == SIZE_MAX);
    memcpy(digits, plan->first.p, 7);
    digits[7] = '\0';
    plan->size = strtoull(digits, NULL, 10);
    plan->pivot = 112;
}

/* A body whose first bytes tell its size lies where the handler wants it, and is no other body. */
static void a_planned_body_is_aligned(void **state)
{
    struct h2_rig *f = *state;
    static const struct {
        const char *said;
        size_t n;
        bool aligned;
    } rows[] = {
        {"0100000", 100000, true}, {"0000100", 100, false},    {"0100000", 30000, true},
        {"0010000", 70000, false}, {"0000003", 50000, false},  {"9000000", 50000, false},
        {"0000100", 90000, false}, {"0099999", 100000, false},
    };
    f->handler.plan_body = plan_body;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char *body = malloc(rows[i].n);
        assert_non_null(body);
        for (size_t k = 0; k < rows[i].n; k++)
            body[k] = (char)(k * 31 + i);
        memcpy(body, rows[i].said, 7);
        struct client_stream *s = client_ask(&f->c, NULL, tern_str_make(body, rows[i].n));
        assert_int_equal(s->status, 200);
        assert_int_equal(s->body.n, rows[i].n);
        assert_memory_equal(s->body.p, body, rows[i].n);
        if (rows[i].aligned)
            assert_int_equal((f->seen.body_address + 112) % TERN_CACHE_LINE, 0);
        free(body);
    }
}

static void head_and_204_have_no_body(void **state)
{
    struct h2_rig *f = *state;
    struct client_stream *s = client_ask(&f->c, FIELDS(":method", "HEAD"), no_body);

    assert_int_equal(s->status, 200);
    assert_int_equal(s->body.n, 0);
    assert_true(client_has(s, "content-length: 5\n"));
    s = client_ask(&f->c, FIELDS(":path", "/nothing"), no_body);
    assert_int_equal(s->status, 204);
    assert_false(client_has(s, "content-length"));
    assert_true(s->closed);
}

static void field_names_are_lowered_and_connection_is_dropped(void **state)
{
    struct h2_rig *f = *state;
    struct client_stream *s = client_ask(&f->c, FIELDS(":path", "/fields"), no_body);

    assert_true(client_has(s, "x-mixed-case: Yes\n"));
    assert_false(client_has(s, "connection"));
}

static void expect_continue_is_answered(void **state)
{
    struct h2_rig *f = *state;
    struct client_stream *s = client_ask(&f->c, FIELDS("expect", "100-continue"), TERN_STR("body"));

    assert_int_equal(s->informational, 100);
    assert_int_equal(s->status, 200);
    s = client_ask(&f->c, FIELDS("expect", "miracles"), TERN_STR("body"));
    assert_int_equal(s->status, 417);
}

/* Large answers. */

static void large_answers_pass_small_windows(void **state)
{
    static const uint32_t windows[] = {1000, 65535, 1u << 24};
    struct h2_rig *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(windows); i++) {
        struct client c;
        client_open(&c, &f->rig, windows[i]);
        struct client_stream *s = client_ask(&c, FIELDS(":path", "/slices"), no_body);
        struct tern_str all = tern_buf_str(&s->body);
        assert_true(tern_str_starts(all, TERN_STR("head:")));
        assert_true(tern_str_eq(tern_str_from(all, 5), tern_str_make(h2_rig_big, H2_RIG_BIG)));
        s = client_ask(&c, FIELDS(":path", "/scratch"), no_body);
        assert_true(tern_str_eq(tern_buf_str(&s->body), tern_str_make(h2_rig_big, H2_RIG_BIG)));
        client_close(&c);
    }
}

static void many_large_answers_share_a_connection(void **state)
{
    struct h2_rig *f = *state;
    int32_t ids[20];

    for (size_t i = 0; i < TERN_COUNT_OF(ids); i++)
        ids[i] = client_request(&f->c, FIELDS(":path", i % 2 == 0 ? "/slices" : "/scratch"),
                                no_body, false);
    client_run(&f->c);
    for (size_t i = 0; i < TERN_COUNT_OF(ids); i++) {
        struct tern_str all = tern_buf_str(&client_stream(&f->c, ids[i])->body);
        assert_true(tern_str_eq(tern_str_from(all, i % 2 == 0 ? 5 : 0),
                                tern_str_make(h2_rig_big, H2_RIG_BIG)));
    }
}

static void a_client_that_does_not_read_is_waited_for(void **state)
{
    struct h2_rig *f = *state;
    struct client c;

    client_open(&c, &f->rig, 1u << 30);
    nghttp2_session_set_local_window_size(c.session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    c.reads = false;
    int32_t id = client_request(&c, FIELDS(":path", "/slices"), no_body, false);
    client_run(&c);
    c.reads = true;
    client_run(&c);
    assert_int_equal(client_stream(&c, id)->body.n, H2_RIG_BIG + 5);
    client_close(&c);
}

static void answers_are_compressed_as_asked(void **state)
{
    static const char *const names[] = {"gzip", "deflate", "zstd"};
    struct h2_rig *f = *state;
    struct tern_decoder d;
    struct tern_buf plain;

    tern_decoder_init(&d);
    tern_buf_init(&plain, 1u << 20);
    for (size_t i = 0; i < TERN_COUNT_OF(names); i++) {
        enum tern_encoding coding;
        struct client_stream *s =
            client_ask(&f->c, FIELDS(":path", "/packed", "accept-encoding", names[i]), no_body);
        assert_true(client_has(s, names[i]));
        assert_true(client_has(s, "vary: accept-encoding\n"));
        assert_true(s->body.n < 40000);
        tern_encoding_parse(tern_str_of(names[i]), &coding, NULL);
        tern_buf_clear(&plain);
        tern_decoder_start(
            &d, coding, (struct tern_decoder_limits){1u << 20, TERN_DECODER_RATIO_DEFAULT}, NULL);
        assert_int_equal(tern_decoder_feed(&d, tern_buf_str(&s->body), &plain, NULL), TERN_OK);
        assert_int_equal(tern_decoder_finish(&d, NULL), TERN_OK);
        assert_true(tern_str_eq(tern_buf_str(&plain), tern_str_make(h2_rig_big, 50000)));
    }
    struct client_stream *s = client_ask(&f->c, FIELDS(":path", "/packed"), no_body);
    assert_int_equal(s->body.n, 50000);
    struct tern_net_limits *limits = &f->rig.hub->limits;
    limits->compression_min = 50001;
    s = client_ask(&f->c, FIELDS(":path", "/packed", "accept-encoding", "gzip"), no_body);
    assert_int_equal(s->body.n, 50000);
    limits->compression_min = 50000;
    s = client_ask(&f->c, FIELDS(":path", "/packed", "accept-encoding", "gzip"), no_body);
    assert_true(s->body.n < 40000);
    limits->compression = false;
    s = client_ask(&f->c, FIELDS(":path", "/packed", "accept-encoding", "gzip"), no_body);
    assert_int_equal(s->body.n, 50000);
    tern_decoder_fini(&d);
    tern_buf_fini(&plain);
}

/* Streaming. */

static void a_streamed_answer_arrives_in_parts(void **state)
{
    struct h2_rig *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/late"), no_body, false);

    client_run(&f->c);
    struct tern_exchange *x = f->seen.late[0];
    struct client_stream *s = client_stream(&f->c, id);
    x->status = 200;
    x->response_type = TERN_STR("text/event-stream");
    for (int i = 0; i < 3; i++) {
        TERN_BUF_ADD_LITERAL(tern_exchange_body(x), "part;");
        tern_exchange_send(x, i == 2);
        client_run(&f->c);
        assert_int_equal(s->body.n, (size_t)(i + 1) * 5);
        assert_int_equal(s->closed, i == 2);
    }
    assert_true(tern_str_eq(tern_buf_str(&s->body), TERN_STR("part;part;part;")));
    assert_false(client_has(s, "content-length"));
}

static void a_stream_that_outruns_its_client_is_cut(void **state)
{
    struct h2_rig *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/late"), no_body, false);

    client_run(&f->c);
    f->c.reads = false;
    struct tern_exchange *x = f->seen.late[0];
    for (int i = 0; i < 20 && !x->gone; i++) {
        tern_buf_add(tern_exchange_body(x), h2_rig_big, 1u << 20);
        tern_exchange_send(x, false);
        rig_step(&f->rig);
    }
    assert_true(x->gone);
    assert_int_equal(f->seen.gone, 1);
    tern_exchange_send(x, true);
    f->c.reads = true;
    client_run(&f->c);
    assert_int_equal(client_stream(&f->c, id)->error, NGHTTP2_INTERNAL_ERROR);
}

/* A handler that pauses above the high mark and goes on when it is told. */
static size_t produced;

static void produce(struct tern_exchange *x)
{
    while (produced < H2_RIG_BIG && x->unsent <= TERN_STREAM_HIGH) {
        size_t n = H2_RIG_BIG - produced < 10000 ? H2_RIG_BIG - produced : 10000;
        tern_buf_add(tern_exchange_body(x), h2_rig_big + produced, n);
        produced += n;
        tern_exchange_send(x, produced == H2_RIG_BIG);
        if (produced == H2_RIG_BIG)
            return;
    }
}

static void a_streaming_handler_is_told_of_room(void **state)
{
    struct h2_rig *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/late"), no_body, false);

    client_run(&f->c);
    f->seen.late[0]->on_room = produce;
    f->seen.late[0]->status = 200;
    f->c.reads = false;
    produced = 0;
    produce(f->seen.late[0]);
    client_run(&f->c);
    assert_in_range(produced, TERN_STREAM_HIGH, TERN_STREAM_HIGH + 100000); /* it waits */
    f->c.reads = true;
    client_run(&f->c);
    assert_true(tern_str_eq(tern_buf_str(&client_stream(&f->c, id)->body),
                            tern_str_make(h2_rig_big, H2_RIG_BIG)));
    assert_true(client_stream(&f->c, id)->closed);
}

/* Limits and refusals: the connection stays usable. */

static void bodies_over_the_limit_are_413(void **state)
{
    struct h2_rig *f = *state;
    const char *const *small = FIELDS(":path", "/small");
    const char *const *said = FIELDS(":path", "/small", "content-length", "11");

    assert_int_equal(client_ask(&f->c, small, TERN_STR("0123456789"))->status, 200);
    struct client_stream *s = client_ask(&f->c, said, TERN_STR("0123456789x"));
    assert_int_equal(s->status, 413);
    assert_true(s->closed);
    assert_int_equal(client_ask(&f->c, small, TERN_STR("0123456789x"))->status, 413);
    s = client_ask(&f->c, NULL, tern_str_make(h2_rig_big, (1u << 20) + 1));
    assert_int_equal(s->status, 413);
    assert_int_equal(f->seen.refused, 3);
    h2_rig_still_serves(f);
}

static void an_early_answer_ends_the_upload(void **state)
{
    struct h2_rig *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/early"),
                                tern_str_make(h2_rig_big, H2_RIG_BIG), true);
    struct client_stream *s = client_stream(&f->c, id);

    client_run(&f->c);
    assert_int_equal(s->status, 403);
    assert_true(s->send_n > 0); /* the stream's window closed */
    assert_false(s->closed);
    h2_rig_still_serves(f);
    rig_clock_added_ns += 11ull * TERN_NS_PER_S;
    client_run(&f->c);
    assert_true(s->closed);
    assert_int_equal(s->error, NGHTTP2_NO_ERROR);
    assert_int_equal(f->seen.requests, 1);
}

static void compressed_bodies_are_opened(void **state)
{
    struct h2_rig *f = *state;
    struct tern_encoder e;
    struct tern_buf packed;
    struct iovec piece = {h2_rig_big, 5000};

    tern_encoder_init(&e);
    tern_buf_init(&packed, 1u << 20);
    tern_encoder_run(&e, TERN_ENCODING_GZIP, &piece, 1, &packed, NULL);
    struct client_stream *s =
        client_ask(&f->c, FIELDS("content-encoding", "gzip"), tern_buf_str(&packed));
    assert_true(tern_str_eq(tern_buf_str(&s->body), tern_str_make(h2_rig_big, 5000)));
    s = client_ask(&f->c, FIELDS("content-encoding", "gzip"), TERN_STR("not gzip at all"));
    assert_int_equal(s->status, 400);
    s = client_ask(&f->c, FIELDS("content-encoding", "br"), TERN_STR("x"));
    assert_int_equal(s->status, 415);
    assert_true(client_has(s, "accept-encoding: gzip, deflate, zstd\n"));
    piece.iov_base = calloc(1, 4u << 20);
    piece.iov_len = 4u << 20;
    tern_buf_clear(&packed);
    tern_encoder_run(&e, TERN_ENCODING_ZSTD, &piece, 1, &packed, NULL);
    s = client_ask(&f->c, FIELDS("content-encoding", "zstd"), tern_buf_str(&packed));
    assert_int_equal(s->status, 413);
    f->rig.hub->limits.expand_max = 10;
    piece.iov_len = 2000000;
    tern_buf_clear(&packed);
    tern_encoder_run(&e, TERN_ENCODING_GZIP, &piece, 1, &packed, NULL);
    s = client_ask(&f->c, FIELDS("content-encoding", "gzip"), tern_buf_str(&packed));
    assert_int_equal(s->status, 413);
    h2_rig_still_serves(f);
    free(piece.iov_base);
    tern_encoder_fini(&e);
    tern_buf_fini(&packed);
}

static void too_large_heads_are_431(void **state)
{
    struct h2_rig *f = *state;
    const char *many[2 * 110 + 1];
    static char value[16u << 10];

    for (size_t i = 0; i < 220; i += 2) {
        many[i] = "x";
        many[i + 1] = "1";
    }
    many[200] = NULL;
    assert_int_equal(client_ask(&f->c, many, no_body)->status, 200); /* 100 fields */
    many[200] = "x";
    many[202] = NULL;
    assert_int_equal(client_ask(&f->c, many, no_body)->status, 431);
    memset(value, 'v', sizeof(value) - 1);
    assert_int_equal(client_ask(&f->c, FIELDS("a", value), no_body)->status, 200);
    assert_int_equal(client_ask(&f->c, FIELDS("ab", value), no_body)->status, 431);
    assert_int_equal(client_ask(&f->c, FIELDS("a", value, "b", value, "c", value), no_body)->status,
                     431);
    value[0] = '/';
    value[8192] = '\0';
    assert_int_equal(client_ask(&f->c, FIELDS(":path", value), no_body)->status, 200);
    value[8192] = 'v';
    assert_int_equal(client_ask(&f->c, FIELDS(":path", value), no_body)->status, 414);
    h2_rig_still_serves(f);
}

static void limits_of_heads_are_options(void **state)
{
    struct h2_rig *f = *state;
    struct tern_head_limits *limits = &f->rig.hub->limits.head;

    limits->fields_max = 2;
    assert_int_equal(client_ask(&f->c, FIELDS("a", "1", "b", "2"), no_body)->status, 200);
    assert_int_equal(client_ask(&f->c, FIELDS("a", "1", "b", "2", "c", "3"), no_body)->status, 431);
    limits->field_max = 8;
    assert_int_equal(client_ask(&f->c, FIELDS("a", "1234567"), no_body)->status, 200);
    assert_int_equal(client_ask(&f->c, FIELDS("a", "12345678"), no_body)->status, 431);
    limits->target_max = 4;
    assert_int_equal(client_ask(&f->c, FIELDS(":path", "/abc"), no_body)->status, 200);
    assert_int_equal(client_ask(&f->c, FIELDS(":path", "/abcd"), no_body)->status, 414);
    limits->target_max = 100;
    limits->bytes_max = 230;
    assert_int_equal(client_ask(&f->c, FIELDS("a", "1"), no_body)->status, 200);
    assert_int_equal(client_ask(&f->c, FIELDS("a", "1", "b", "2"), no_body)->status, 431);
}

static void limits_of_connections_are_options(void **state)
{
    struct h2_rig *f = *state;
    struct tern_net_limits *limits = &f->rig.hub->limits;
    struct client c;

    limits->h2_streams_max = 7;
    limits->h2_stream_window = 70000;
    limits->h2_connection_window = 90000;
    client_open(&c, &f->rig, 65535);
    client_run(&c);
    nghttp2_session *session = c.session;
    assert_int_equal(
        nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS), 7);
    assert_int_equal(
        nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE), 70000);
    assert_int_equal(nghttp2_session_get_remote_window_size(session), 90000);
    client_close(&c);
    /* Abuse counts from now on, for open connections too. */
    limits->h2_glitches_max = 4;
    client_ask(&f->c, FIELDS("connection", "close"), no_body);
    assert_false(f->c.goaway);
    for (int i = 0; i < 3; i++)
        client_ask(&f->c, FIELDS("connection", "close"), no_body);
    assert_true(f->c.goaway);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, h2_rig_setup, h2_rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_get_arrives_whole),
        TEST(host_stands_in_for_authority),
        TEST(bodies_come_in_one_piece),
        TEST(a_planned_body_is_aligned),
        TEST(head_and_204_have_no_body),
        TEST(field_names_are_lowered_and_connection_is_dropped),
        TEST(expect_continue_is_answered),
        TEST(large_answers_pass_small_windows),
        TEST(many_large_answers_share_a_connection),
        TEST(a_client_that_does_not_read_is_waited_for),
        TEST(answers_are_compressed_as_asked),
        TEST(a_streamed_answer_arrives_in_parts),
        TEST(a_stream_that_outruns_its_client_is_cut),
        TEST(a_streaming_handler_is_told_of_room),
        TEST(bodies_over_the_limit_are_413),
        TEST(an_early_answer_ends_the_upload),
        TEST(compressed_bodies_are_opened),
        TEST(too_large_heads_are_431),
        TEST(limits_of_heads_are_options),
        TEST(limits_of_connections_are_options),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
