// covers: net/h2_body net/h2_request net/h2_response
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
/* The HTTP/2 mux from the client's side: what RFC 9113 and core/exchange.h promise. */
#include "harness/h2_client.h"

#include <stdio.h>

#include "harness/mem_fails.h"
#include "net/mux_h2.h"
#include "wire/decoder.h"
#include "wire/encoder.h"

/* The handler: paths say what to do. */

#define BIG_SIZE (3u << 20)
static char big[BIG_SIZE];

struct seen {
    int requests;
    int refused;
    int gone;
    int heads;
    struct tern_exchange *late[128]; /* waiting for an answer */
    int n_late;
    char text[256];
    struct tern_err err;
    uintptr_t body_address; /* of the last */
};

static void answer(struct tern_exchange *x, int status, struct tern_str text)
{
    struct tern_buf *out = tern_exchange_body(x);

    x->status = status;
    x->ending = status < 400 ? TERN_ENDING_OK : TERN_ENDING_INVALID;
    x->response_type = TERN_STR("text/plain");
    tern_buf_add_str(out, text);
    tern_exchange_send(x, true);
}

static void on_head(void *self, struct tern_exchange *x)
{
    struct seen *seen = self;

    seen->heads++;
    if (tern_str_eq(x->path, TERN_STR("/small")))
        x->body_max = 10;
    if (tern_str_eq(x->path, TERN_STR("/early")))
        answer(x, 403, TERN_STR("no"));
}

static void answer_slices(struct tern_exchange *x)
{
    struct tern_slice *slices = tern_arena_zalloc(x->arena, 4, sizeof(*slices));

    slices[0] = (struct tern_slice){big, 3};
    slices[1] = (struct tern_slice){big + 3, 0};
    slices[2] = (struct tern_slice){big + 3, BIG_SIZE - 4};
    slices[3] = (struct tern_slice){big + BIG_SIZE - 1, 1};
    x->slices = slices;
    x->n_slices = 4;
    answer(x, 200, TERN_STR("head:"));
}

static void on_request(void *self, struct tern_exchange *x)
{
    struct seen *seen = self;

    seen->requests++;
    seen->body_address = (uintptr_t)x->body.p;
    snprintf(seen->text, sizeof(seen->text), "%.*s %.*s ?%.*s @%.*s <%.*s> %u type=%.*s body=%zu",
             TERN_STR_ARG(x->method_text), TERN_STR_ARG(x->path), TERN_STR_ARG(x->query),
             TERN_STR_ARG(x->authority), TERN_STR_ARG(x->peer), x->http_major,
             TERN_STR_ARG(x->content_type), x->body.n);
    for (size_t i = 0; i < TERN_TEXT_PAD; i++) {
        volatile char pad = x->body.p[x->body.n + i]; /* readable, says the contract */
        (void)pad;
    }
    if (tern_str_eq(x->path, TERN_STR("/late"))) {
        seen->late[seen->n_late++] = x;
    } else if (tern_str_eq(x->path, TERN_STR("/slices"))) {
        answer_slices(x);
    } else if (tern_str_eq(x->path, TERN_STR("/scratch"))) {
        answer(x, 200, tern_str_make(big, BIG_SIZE));
    } else if (tern_str_eq(x->path, TERN_STR("/packed"))) {
        x->allow_compression = true;
        answer(x, 200, tern_str_make(big, 50000));
    } else if (tern_str_eq(x->path, TERN_STR("/nothing"))) {
        answer(x, 204, TERN_STR(""));
    } else if (tern_str_eq(x->path, TERN_STR("/fields"))) {
        tern_exchange_add_header(x, TERN_STR("X-Mixed-Case"), TERN_STR("Yes"));
        tern_exchange_add_header(x, TERN_STR("Connection"), TERN_STR("close"));
        answer(x, 200, TERN_STR("ok"));
    } else {
        answer(x, 200, x->body.n > 0 ? x->body : TERN_STR("hello"));
    }
}

static void on_gone(void *self, struct tern_exchange *x)
{
    struct seen *seen = self;

    assert_true(x->gone);
    seen->gone++;
}

static void on_refused(void *self, struct tern_exchange *x, const struct tern_err *err)
{
    struct seen *seen = self;

    seen->refused++;
    seen->err = *err;
    answer(x, tern_err_http_status(err), tern_str_of(err->text));
}

struct fixture {
    struct rig rig;
    struct seen seen;
    struct tern_handler handler;
    struct client c;
};

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){.seen = {0}};
    f.handler = (struct tern_handler){.on_head = on_head,
                                      .on_request = on_request,
                                      .on_gone = on_gone,
                                      .on_refused = on_refused,
                                      .self = &f.seen};
    rig_open(&f.rig, &f.handler, NULL, &tern_mux_h2);
    client_open(&f.c, &f.rig, 65535);
    uint32_t seed = 1;
    for (size_t i = 0; i < BIG_SIZE; i++) {
        seed = seed * 1664525u + 1013904223u;
        big[i] = (char)('a' + (seed >> 24) % 20);
    }
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    client_close(&f->c);
    rig_close(&f->rig);
    return 0;
}

#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})
static const struct tern_str no_body = {NULL, 0};

/* The plain cases. */

static void a_get_arrives_whole(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;

    client_ask(&f->c, FIELDS(":authority", "-", "host", "example"), no_body);
    assert_non_null(strstr(f->seen.text, "@example"));
    struct client_stream *s = client_ask(&f->c, FIELDS("host", "other"), no_body);
    assert_int_equal(s->status, 400);
}

static void bodies_come_in_one_piece(void **state)
{
    static const size_t sizes[] = {1, 100, 2048, 2049, 16384, 65536, 300000, 1u << 20};
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(sizes); i++) {
        char length[32];
        struct tern_str body = tern_str_make(big, sizes[i]);
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
    struct client_stream *s = client_ask(&f->c, FIELDS(":path", "/fields"), no_body);

    assert_true(client_has(s, "x-mixed-case: Yes\n"));
    assert_false(client_has(s, "connection"));
}

static void expect_continue_is_answered(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(windows); i++) {
        struct client c;
        client_open(&c, &f->rig, windows[i]);
        struct client_stream *s = client_ask(&c, FIELDS(":path", "/slices"), no_body);
        struct tern_str all = tern_buf_str(&s->body);
        assert_true(tern_str_starts(all, TERN_STR("head:")));
        assert_true(tern_str_eq(tern_str_from(all, 5), tern_str_make(big, BIG_SIZE)));
        s = client_ask(&c, FIELDS(":path", "/scratch"), no_body);
        assert_true(tern_str_eq(tern_buf_str(&s->body), tern_str_make(big, BIG_SIZE)));
        client_close(&c);
    }
}

static void many_large_answers_share_a_connection(void **state)
{
    struct fixture *f = *state;
    int32_t ids[20];

    for (size_t i = 0; i < TERN_COUNT_OF(ids); i++)
        ids[i] = client_request(&f->c, FIELDS(":path", i % 2 == 0 ? "/slices" : "/scratch"),
                                no_body, false);
    client_run(&f->c);
    for (size_t i = 0; i < TERN_COUNT_OF(ids); i++) {
        struct tern_str all = tern_buf_str(&client_stream(&f->c, ids[i])->body);
        assert_true(
            tern_str_eq(tern_str_from(all, i % 2 == 0 ? 5 : 0), tern_str_make(big, BIG_SIZE)));
    }
}

static void a_client_that_does_not_read_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct client c;

    client_open(&c, &f->rig, 1u << 30);
    nghttp2_session_set_local_window_size(c.session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    c.reads = false;
    int32_t id = client_request(&c, FIELDS(":path", "/slices"), no_body, false);
    client_run(&c);
    c.reads = true;
    client_run(&c);
    assert_int_equal(client_stream(&c, id)->body.n, BIG_SIZE + 5);
    client_close(&c);
}

static void answers_are_compressed_as_asked(void **state)
{
    static const char *const names[] = {"gzip", "deflate", "zstd"};
    struct fixture *f = *state;
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
        assert_true(tern_str_eq(tern_buf_str(&plain), tern_str_make(big, 50000)));
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/late"), no_body, false);

    client_run(&f->c);
    f->c.reads = false;
    struct tern_exchange *x = f->seen.late[0];
    for (int i = 0; i < 20 && !x->gone; i++) {
        tern_buf_add(tern_exchange_body(x), big, 1u << 20);
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
    while (produced < BIG_SIZE && x->unsent <= TERN_STREAM_HIGH) {
        size_t n = BIG_SIZE - produced < 10000 ? BIG_SIZE - produced : 10000;
        tern_buf_add(tern_exchange_body(x), big + produced, n);
        produced += n;
        tern_exchange_send(x, produced == BIG_SIZE);
        if (produced == BIG_SIZE)
            return;
    }
}

static void a_streaming_handler_is_told_of_room(void **state)
{
    struct fixture *f = *state;
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
    assert_true(
        tern_str_eq(tern_buf_str(&client_stream(&f->c, id)->body), tern_str_make(big, BIG_SIZE)));
    assert_true(client_stream(&f->c, id)->closed);
}

/* Limits and refusals: the connection stays usable. */

static void still_serves(struct fixture *f)
{
    assert_int_equal(client_ask(&f->c, NULL, no_body)->status, 200);
}

static void bodies_over_the_limit_are_413(void **state)
{
    struct fixture *f = *state;
    const char *const *small = FIELDS(":path", "/small");
    const char *const *said = FIELDS(":path", "/small", "content-length", "11");

    assert_int_equal(client_ask(&f->c, small, TERN_STR("0123456789"))->status, 200);
    struct client_stream *s = client_ask(&f->c, said, TERN_STR("0123456789x"));
    assert_int_equal(s->status, 413);
    assert_true(s->closed);
    assert_int_equal(client_ask(&f->c, small, TERN_STR("0123456789x"))->status, 413);
    s = client_ask(&f->c, NULL, tern_str_make(big, (1u << 20) + 1));
    assert_int_equal(s->status, 413);
    assert_int_equal(f->seen.refused, 3);
    still_serves(f);
}

static void an_early_answer_ends_the_upload(void **state)
{
    struct fixture *f = *state;
    int32_t id =
        client_request(&f->c, FIELDS(":path", "/early"), tern_str_make(big, BIG_SIZE), true);
    struct client_stream *s = client_stream(&f->c, id);

    client_run(&f->c);
    assert_int_equal(s->status, 403);
    assert_true(s->send_n > 0); /* the stream's window closed */
    assert_false(s->closed);
    still_serves(f);
    rig_clock_added_ns += 11ull * TERN_NS_PER_S;
    client_run(&f->c);
    assert_true(s->closed);
    assert_int_equal(s->error, NGHTTP2_NO_ERROR);
    assert_int_equal(f->seen.requests, 1);
}

static void compressed_bodies_are_opened(void **state)
{
    struct fixture *f = *state;
    struct tern_encoder e;
    struct tern_buf packed;
    struct iovec piece = {big, 5000};

    tern_encoder_init(&e);
    tern_buf_init(&packed, 1u << 20);
    tern_encoder_run(&e, TERN_ENCODING_GZIP, &piece, 1, &packed, NULL);
    struct client_stream *s =
        client_ask(&f->c, FIELDS("content-encoding", "gzip"), tern_buf_str(&packed));
    assert_true(tern_str_eq(tern_buf_str(&s->body), tern_str_make(big, 5000)));
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
    still_serves(f);
    free(piece.iov_base);
    tern_encoder_fini(&e);
    tern_buf_fini(&packed);
}

static void too_large_heads_are_431(void **state)
{
    struct fixture *f = *state;
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
    still_serves(f);
}

static void limits_of_heads_are_options(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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

/* ---- the account of memory ---- */

#define GRAIN ((size_t)TERN_ACCOUNT_GRAIN)

static struct tern_account *account_of(struct fixture *f, size_t max)
{
    struct tern_account *account = NULL;

    assert_int_equal(tern_account_new(max, 1, &account, NULL), TERN_OK);
    f->rig.hub->till = tern_account_till(account, 0);
    return account;
}

static void a_body_is_charged_and_given_back(void **state)
{
    struct fixture *f = *state;
    struct tern_account *account = account_of(f, 100 * GRAIN);
    int32_t id = client_request(&f->c, FIELDS(":path", "/late"), tern_str_make(big, 200000), true);

    client_run(&f->c);
    assert_true(tern_account_used(account) >= 200000);
    assert_true(tern_account_used(account) <= 4 * GRAIN);
    client_stream(&f->c, id)->hold = false;
    nghttp2_session_resume_data(f->c.session, id);
    client_run(&f->c);
    assert_int_equal(f->seen.n_late, 1);
    answer(f->seen.late[0], 200, TERN_STR("ok"));
    client_run(&f->c);
    assert_int_equal(client_stream(&f->c, id)->status, 200);
    assert_int_equal(tern_account_used(account), 0);
    f->rig.hub->till = NULL;
    tern_account_free(account);
}

static void a_body_without_room_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tern_account *account = account_of(f, 100 * GRAIN);

    assert_true(tern_till_take(f->rig.hub->till, 91 * GRAIN)); /* by others */
    for (int i = 0; i < 2; i++) { /* told by the head, then by the first bytes */
        const char *const *fields = i == 0 ? FIELDS("content-length", "100000") : NULL;
        int32_t id = client_request(&f->c, fields, tern_str_make(big, 100000), false);
        client_run(&f->c);
        assert_int_equal(client_stream(&f->c, id)->status, 503);
        assert_int_equal(f->seen.err.code, TERN_RESOURCE_EXHAUSTED);
    }
    assert_int_equal(f->seen.requests, 0);
    struct client_stream *s = client_ask(&f->c, NULL, TERN_STR("small"));
    assert_int_equal(s->status, 200);
    tern_till_give(f->rig.hub->till, 91 * GRAIN);
    assert_int_equal(tern_account_used(account), 0);
    f->rig.hub->till = NULL;
    tern_account_free(account);
}

/* Clients that go away. */

static uint64_t ended(const struct fixture *f, enum tern_ending ending)
{
    return f->rig.hub->counters.requests_ended[ending];
}

static void a_reset_before_the_hand_over_costs_no_call(void **state)
{
    struct fixture *f = *state;
    client_run(&f->c);
    int32_t id = client_request(&f->c, NULL, no_body, false);
    const uint8_t *p;

    ssize_t n = nghttp2_session_mem_send(f->c.session, &p);
    uint8_t both[1000];
    memcpy(both, p, (size_t)n);
    const uint8_t rst[13] = {0, 0, 4, NGHTTP2_RST_STREAM, 0, 0, 0, 0, (uint8_t)id, 0, 0, 0, 8};
    memcpy(both + n, rst, sizeof(rst));
    client_send_raw(&f->c, both, (size_t)n + sizeof(rst));
    rig_step(&f->rig);
    assert_int_equal(f->seen.heads, 1);
    assert_int_equal(f->seen.requests, 0);
    assert_int_equal(f->seen.gone, 0);
    assert_int_equal(ended(f, TERN_ENDING_UNFINISHED), 1);
}

static void a_reset_later_is_told_and_the_exchange_lives_on(void **state)
{
    struct fixture *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/late"), TERN_STR("body"), false);

    client_run(&f->c);
    nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_run(&f->c);
    assert_int_equal(f->seen.gone, 1);
    struct tern_exchange *x = f->seen.late[0];
    assert_true(x->gone);
    assert_true(tern_str_eq(x->body, TERN_STR("body")));
    answer(x, 200, TERN_STR("to nobody"));
    assert_int_equal(ended(f, TERN_ENDING_CANCELLED), 1);
    still_serves(f);
    assert_int_equal(ended(f, TERN_ENDING_OK), 1);
}

static void a_reset_in_the_middle_of_the_answer_is_a_loss(void **state)
{
    struct fixture *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/slices"), no_body, false);

    f->c.reads = false;
    for (int i = 0; i < 20; i++) {
        client_send(&f->c);
        rig_step(&f->rig);
    }
    nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_send(&f->c);
    rig_step(&f->rig);
    rig_step(&f->rig);
    assert_int_equal(f->seen.gone, 0); /* the handler was done */
    f->c.reads = true;
    client_run(&f->c);
    assert_int_equal(ended(f, TERN_ENDING_LOST), 1);
}

/* Answered early: the reset that follows takes nothing back. */
static void an_early_answer_is_no_loss(void **state)
{
    struct fixture *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/early"), TERN_STR("body"), true);

    client_run(&f->c);
    assert_int_equal(client_stream(&f->c, id)->status, 403);
    nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_run(&f->c);
    assert_int_equal(ended(f, TERN_ENDING_INVALID), 1);
}

static void a_body_that_stays_away_is_unfinished(void **state)
{
    struct fixture *f = *state;

    client_request(&f->c, NULL, TERN_STR("half"), true);
    client_run(&f->c);
    close(f->c.fd);
    f->c.fd = -1;
    rig_step(&f->rig);
    rig_step(&f->rig);
    assert_int_equal(ended(f, TERN_ENDING_UNFINISHED), 1);
}

static void a_lost_connection_orphans_its_exchanges(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++)
        client_request(&f->c, FIELDS(":path", "/late"), no_body, false);
    client_request(&f->c, FIELDS(":path", "/slices"), no_body, false);
    client_run(&f->c);
    close(f->c.fd);
    f->c.fd = -1;
    rig_step(&f->rig);
    rig_step(&f->rig);
    assert_true(tern_list_is_empty(&f->rig.hub->conns));
    assert_false(tern_hub_is_idle(f->rig.hub)); /* three answers are still owed */
    assert_int_equal(f->seen.gone, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(tern_str_eq(f->seen.late[i]->peer, TERN_STR("127.0.0.1:999")));
        if (i == 0) {
            TERN_BUF_ADD_LITERAL(tern_exchange_body(f->seen.late[i]), "part");
            tern_exchange_send(f->seen.late[i], false);
        }
        answer(f->seen.late[i], 200, TERN_STR("to nobody"));
    }
    rig_step(&f->rig);
    assert_true(tern_hub_is_idle(f->rig.hub));
}

static void answers_of_one_round_may_come_in_any_order(void **state)
{
    struct fixture *f = *state;
    int32_t ids[100];

    client_run(&f->c);
    for (int i = 0; i < 100; i++)
        ids[i] = client_request(&f->c, FIELDS(":path", "/late"), no_body, false);
    client_run(&f->c);
    assert_int_equal(f->seen.n_late, 100);
    for (int i = 99; i >= 0; i--)
        answer(f->seen.late[i], 200 + i % 3, TERN_STR("late"));
    client_run(&f->c);
    for (int i = 0; i < 100; i++)
        assert_int_equal(client_stream(&f->c, ids[i])->status, 200 + i % 3);
}

/* Before our SETTINGS arrive a client may guess at the number of streams. */
static void too_many_streams_are_refused_one_by_one(void **state)
{
    struct fixture *f = *state;
    int32_t ids[300];
    int served = 0;

    for (int i = 0; i < 300; i++)
        ids[i] = client_request(&f->c, FIELDS(":path", "/late"), no_body, false);
    client_run(&f->c);
    for (int i = 0; i < f->seen.n_late; i++)
        answer(f->seen.late[i], 200, TERN_STR("late"));
    client_run(&f->c);
    for (int i = 0; i < 300; i++) {
        const struct client_stream *s = client_stream(&f->c, ids[i]);
        assert_true(s->closed);
        assert_true(s->status == 200 || s->error == NGHTTP2_REFUSED_STREAM);
        served += s->status == 200;
    }
    assert_int_equal(served, f->rig.hub->limits.h2_streams_max);
    assert_false(f->c.goaway);
    still_serves(f);
}

/* The end of a connection, and time. */

static void drain_lets_requests_finish(void **state)
{
    struct fixture *f = *state;
    int32_t id = client_request(&f->c, FIELDS(":path", "/late"), no_body, false);

    client_run(&f->c);
    tern_hub_drain(f->rig.hub);
    rig_step(&f->rig);
    client_recv(&f->c);
    assert_int_equal(f->c.goaways, 1);
    assert_int_equal(f->c.goaway_last, INT32_MAX);
    client_run(&f->c); /* the PING comes back */
    assert_int_equal(f->c.goaways, 2);
    assert_int_equal(f->c.goaway_last, id);
    assert_false(f->c.eof);
    answer(f->seen.late[0], 200, TERN_STR("in time"));
    client_run(&f->c);
    assert_int_equal(client_stream(&f->c, id)->status, 200);
    assert_true(f->c.eof);
}

static void an_idle_connection_is_closed(void **state)
{
    struct fixture *f = *state;

    still_serves(f);
    rig_clock_added_ns += 59ull * TERN_NS_PER_S;
    client_run(&f->c);
    assert_false(f->c.goaway);
    rig_clock_added_ns += 2ull * TERN_NS_PER_S;
    client_run(&f->c);
    assert_true(f->c.goaway);
    assert_int_equal(f->c.goaway_error, NGHTTP2_NO_ERROR);
    assert_true(f->c.eof);
}

static void a_client_that_greets_by_half_is_cut(void **state)
{
    struct fixture *f = *state;
    int fd = rig_connect(&f->rig);
    char byte;

    assert_int_equal(write(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24), 24);
    rig_step(&f->rig);
    rig_clock_added_ns += 11ull * TERN_NS_PER_S;
    rig_step(&f->rig);
    rig_step(&f->rig);
    while (read(fd, &byte, 1) == 1)
        ;
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

static void a_slow_upload_is_408(void **state)
{
    struct fixture *f = *state;
    int32_t id = client_request(&f->c, NULL, TERN_STR("dribble"), true);

    client_run(&f->c);
    for (int i = 0; i < 3; i++) {
        rig_clock_added_ns += 6ull * TERN_NS_PER_S;
        client_run(&f->c);
    }
    assert_int_equal(client_stream(&f->c, id)->status, 408);
    still_serves(f);
}

static void a_closed_window_is_not_waited_for_forever(void **state)
{
    struct fixture *f = *state;
    struct client c;

    client_open(&c, &f->rig, 0);
    int32_t id = client_request(&c, NULL, no_body, false);
    client_run(&c);
    assert_int_equal(client_stream(&c, id)->status, 200);
    for (int i = 0; i < 8; i++) {
        rig_clock_added_ns += 5ull * TERN_NS_PER_S;
        client_run(&c);
    }
    assert_true(client_stream(&c, id)->closed);
    assert_int_equal(client_stream(&c, id)->error, NGHTTP2_CANCEL);
    client_close(&c);
}

/* Memory. */

static void a_steady_stream_of_requests_allocates_nothing(void **state)
{
    struct fixture *f = *state;

    rig_clock_frozen_ns = tern_clock_mono_ns(); /* nothing is given back to the system meanwhile */
    for (int round = 0; round < 60; round++) {
        if (round == 30)
            mem_calls = 0;
        for (int i = 0; i < 8; i++)
            client_request(&f->c, FIELDS("x-request-id", "abc"), TERN_STR("{\"inputs\":[]}"),
                           false);
        /* The client's buffers grow through the same port: only the server's round is counted. */
        client_send(&f->c);
        long before = mem_calls;
        rig_step(&f->rig);
        if (round >= 30)
            assert_int_equal(mem_calls, before);
        client_run(&f->c);
    }
    assert_int_equal(f->seen.requests, 480);
}

static void every_allocation_may_fail(void **state)
{
    struct fixture *f = *state;

    for (long at = 0; at < 400; at++) {
        struct rig rig;
        struct client c;
        rig_open(&rig, &f->handler, NULL, &tern_mux_h2);
        f->seen.n_late = 0;
        mem_calls = 0;
        mem_fail_at = at;
        client_open(&c, &rig, 65535);
        int32_t a = client_request(&c, FIELDS(":path", "/scratch"), no_body, false);
        int32_t b = client_request(&c, NULL, tern_str_make(big, 100000), false);
        client_send(&c);
        for (int i = 0; i < 20; i++)
            rig_step(&rig);
        bool all_done = mem_calls <= at;
        mem_fail_at = -1;
        client_run(&c);
        if (all_done) {
            assert_int_equal(client_stream(&c, a)->body.n, BIG_SIZE);
            assert_int_equal(client_stream(&c, b)->body.n, 100000);
        }
        client_close(&c);
        rig_close(&rig);
        if (all_done)
            return;
    }
    fail_msg("allocations never ended");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
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
        TEST(a_body_is_charged_and_given_back),
        TEST(a_body_without_room_is_refused),
        TEST(a_reset_before_the_hand_over_costs_no_call),
        TEST(a_reset_later_is_told_and_the_exchange_lives_on),
        TEST(a_reset_in_the_middle_of_the_answer_is_a_loss),
        TEST(an_early_answer_is_no_loss),
        TEST(a_body_that_stays_away_is_unfinished),
        TEST(a_lost_connection_orphans_its_exchanges),
        TEST(answers_of_one_round_may_come_in_any_order),
        TEST(too_many_streams_are_refused_one_by_one),
        TEST(drain_lets_requests_finish),
        TEST(an_idle_connection_is_closed),
        TEST(a_client_that_greets_by_half_is_cut),
        TEST(a_slow_upload_is_408),
        TEST(a_closed_window_is_not_waited_for_forever),
        TEST(a_steady_stream_of_requests_allocates_nothing),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
