// covers: net/h2_frames net/h2_request net/h2_response
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
/* Streams as gRPC uses them, from the client's side: trailers, and requests in parts. */
#include "harness/h2_client.h"

#include <stdio.h>

#include "harness/mem_fails.h"
#include "net/mux_h1.h"
#include "net/mux_h2.h"

#define BIG_SIZE (4u << 20)
static char big[BIG_SIZE];

struct fixture {
    struct rig rig;
    struct tern_handler handler;
    struct client c;
    struct tern_exchange *x; /* the newest request */
    int requests;
    int gone;
};

static struct fixture fixture;

static void on_request(void *self, struct tern_exchange *x)
{
    struct fixture *f = self;

    f->requests++;
    f->x = x;
}

static void on_gone(void *self, struct tern_exchange *x)
{
    struct fixture *f = self;

    assert_true(x->gone);
    f->gone++;
}

static void on_refused(void *self, struct tern_exchange *x, const struct tern_err *err)
{
    (void)self;
    x->status = tern_err_http_status(err);
    tern_exchange_body(x);
    tern_exchange_send(x, true);
}

static int setup(void **state)
{
    struct fixture *f = &fixture;

    *f = (struct fixture){.requests = 0};
    f->handler = (struct tern_handler){
        .on_request = on_request, .on_gone = on_gone, .on_refused = on_refused, .self = f};
    rig_open(&f->rig, &f->handler, &tern_mux_h1, &tern_mux_h2);
    client_open(&f->c, &f->rig, 65535);
    for (size_t i = 0; i < BIG_SIZE; i++)
        big[i] = (char)('a' + i % 23);
    *state = f;
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

/* Sends `text`; with `end` also the trailers of a good gRPC answer. */
static void say(struct tern_exchange *x, struct tern_str text, bool end)
{
    x->status = 200;
    x->response_type = TERN_STR("application/grpc");
    tern_buf_add_str(tern_exchange_body(x), text);
    if (end) {
        tern_exchange_add_trailer(x, TERN_STR("Grpc-Status"), TERN_STR("0"));
        tern_exchange_add_trailer(x, TERN_STR("grpc-message"), TERN_STR(""));
    }
    tern_exchange_send(x, end);
}

static bool ends_with(struct client_stream *s, const char *tail)
{
    size_t n = strlen(tail);

    return s->head.n >= n && memcmp(s->head.p + s->head.n - n, tail, n) == 0;
}

#define GOOD_TRAILERS "grpc-status: 0\ngrpc-message: \n"

/* Trailers. */

static struct client_stream *ask(struct fixture *f, const char *const *fields)
{
    int32_t id = client_request(&f->c, fields, no_body, false);

    client_run(&f->c);
    return client_stream(&f->c, id);
}

static void trailers_follow_the_body(void **state)
{
    static const size_t sizes[] = {1, 7, 16384, 16385, 65535, 65536, BIG_SIZE};
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(sizes); i++) {
        struct client_stream *s = ask(f, NULL);
        say(f->x, tern_str_make(big, sizes[i]), true);
        client_run(&f->c);
        assert_true(tern_str_eq(tern_buf_str(&s->body), tern_str_make(big, sizes[i])));
        assert_true(ends_with(s, GOOD_TRAILERS));
        assert_false(client_has(s, "content-length"));
        assert_true(s->closed);
        assert_int_equal(s->error, NGHTTP2_NO_ERROR);
    }
}

static void trailers_follow_slices(void **state)
{
    struct fixture *f = *state;
    struct client_stream *s = ask(f, NULL);
    struct tern_slice *slice = tern_arena_zalloc(f->x->arena, 1, sizeof(*slice));

    *slice = (struct tern_slice){big, 100000};
    f->x->slices = slice;
    f->x->n_slices = 1;
    say(f->x, TERN_STR("head:"), true);
    client_run(&f->c);
    assert_int_equal(s->body.n, 100005);
    assert_true(ends_with(s, GOOD_TRAILERS));
    assert_true(s->closed);
}

static void trailers_without_a_body_are_not_in_the_head(void **state)
{
    struct fixture *f = *state;
    struct client_stream *s = ask(f, NULL);

    say(f->x, TERN_STR(""), true);
    client_run(&f->c);
    assert_int_equal(s->status, 200);
    assert_int_equal(s->body.n, 0);
    assert_int_equal(s->heads, 2);
    assert_true(ends_with(s, GOOD_TRAILERS));
    assert_true(s->closed);
}

static void an_answer_of_a_head_alone_ends_with_it(void **state)
{
    struct fixture *f = *state;
    struct client_stream *s = ask(f, NULL);

    tern_exchange_add_header(f->x, TERN_STR("grpc-status"), TERN_STR("5"));
    tern_exchange_body(f->x);
    f->x->status = 200;
    tern_exchange_send(f->x, true);
    client_run(&f->c);
    assert_int_equal(s->heads, 1);
    assert_true(client_has(s, "grpc-status: 5\n"));
    assert_true(s->closed);
    s = ask(f, FIELDS(":method", "HEAD")); /* nothing follows the head, trailers neither */
    say(f->x, TERN_STR("abc"), true);
    client_run(&f->c);
    assert_int_equal(s->heads, 1);
    assert_true(s->closed);
}

static void a_streamed_answer_ends_with_trailers(void **state)
{
    struct fixture *f = *state;
    struct client_stream *s = ask(f, NULL);

    say(f->x, TERN_STR("one;"), false);
    client_run(&f->c);
    say(f->x, TERN_STR("two;"), false);
    say(f->x, TERN_STR("three;"), true);
    client_run(&f->c);
    assert_true(tern_str_eq(tern_buf_str(&s->body), TERN_STR("one;two;three;")));
    assert_true(ends_with(s, GOOD_TRAILERS));
    assert_true(s->closed);
    s = ask(f, NULL);
    say(f->x, TERN_STR(""), false); /* the head before anything is known */
    client_run(&f->c);
    assert_int_equal(s->status, 200);
    say(f->x, TERN_STR(""), true);
    client_run(&f->c);
    assert_true(ends_with(s, GOOD_TRAILERS));
    assert_true(s->closed);
}

/* The last byte has used the window up: the end must not wait for more of it. */
static void trailers_pass_a_closed_window(void **state)
{
    struct fixture *f = *state;
    struct client c;

    client_open_windows(&c, &f->rig, 4, true);
    int32_t id = client_request(&c, NULL, no_body, false);
    client_run(&c);
    struct client_stream *s = client_stream(&c, id);
    say(f->x, TERN_STR("1234"), false);
    client_run(&c);
    assert_int_equal(s->body.n, 4);
    say(f->x, TERN_STR(""), true);
    client_run(&c);
    assert_true(ends_with(s, GOOD_TRAILERS));
    assert_true(s->closed);
    id = client_request(&c, NULL, no_body, false);
    client_run(&c);
    s = client_stream(&c, id);
    say(f->x, TERN_STR("12345"), false);
    client_run(&c);
    say(f->x, TERN_STR("6"), true);
    client_run(&c);
    assert_int_equal(s->body.n, 4);
    assert_int_equal(s->heads, 1); /* the trailers wait behind the body */
    nghttp2_submit_window_update(c.session, NGHTTP2_FLAG_NONE, id, 100);
    client_run(&c);
    assert_true(tern_str_eq(tern_buf_str(&s->body), TERN_STR("123456")));
    assert_true(ends_with(s, GOOD_TRAILERS));
    client_close(&c);
}

static void a_reset_before_the_trailers_frees_all(void **state)
{
    struct fixture *f = *state;
    int32_t id = client_request(&f->c, NULL, no_body, false);

    client_run(&f->c);
    say(f->x, TERN_STR("one;"), false);
    client_run(&f->c);
    nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_run(&f->c);
    assert_int_equal(f->gone, 1);
    say(f->x, TERN_STR("two;"), true);
    client_run(&f->c);
    assert_int_equal(client_stream(&f->c, id)->body.n, 4);
    assert_int_equal(f->rig.hub->counters.exchanges_begun, f->rig.hub->counters.exchanges_ended);
}

/* The client allocates too: only the server's rounds are counted. nghttp2 remembers the last
 * hundred streams, so that the state is steady after them. */
static void calls_with_trailers_allocate_nothing(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 200; i++) {
        client_request(&f->c, FIELDS("te", "trailers"), TERN_STR("question"), false);
        client_send(&f->c);
        long before = mem_calls;
        rig_step(&f->rig);
        assert_int_equal(f->requests, i + 1);
        say(f->x, TERN_STR("answer"), true);
        rig_step(&f->rig);
        if (i >= 150)
            assert_int_equal(mem_calls, before);
        client_run(&f->c);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(trailers_follow_the_body),
        TEST(trailers_follow_slices),
        TEST(trailers_without_a_body_are_not_in_the_head),
        TEST(an_answer_of_a_head_alone_ends_with_it),
        TEST(a_streamed_answer_ends_with_trailers),
        TEST(trailers_pass_a_closed_window),
        TEST(a_reset_before_the_trailers_frees_all),
        TEST(calls_with_trailers_allocate_nothing),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
