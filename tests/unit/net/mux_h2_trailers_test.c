// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
/* Answers that end with trailers, as gRPC's do, from the client's side. */
#include "harness/h2_stream_rig.h"

static struct client_stream *ask(struct h2_stream_rig *f, const char *const *fields)
{
    int32_t id = client_request(&f->c, fields, no_body, false);

    client_run(&f->c);
    return client_stream(&f->c, id);
}

static void trailers_follow_the_body(void **state)
{
    static const size_t sizes[] = {1, 7, 16384, 16385, 65535, 65536, BIG_SIZE};
    struct h2_stream_rig *f = *state;

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
    struct h2_stream_rig *f = *state;
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
    struct h2_stream_rig *f = *state;
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
    struct h2_stream_rig *f = *state;
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
    struct h2_stream_rig *f = *state;
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
    struct h2_stream_rig *f = *state;
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
    struct h2_stream_rig *f = *state;
    int32_t id = client_request(&f->c, NULL, no_body, false);

    client_run(&f->c);
    say(f->x, TERN_STR("one;"), false);
    client_run(&f->c);
    nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_run(&f->c);
    assert_int_equal(f->gone, 1);
    end_owed(f);
    assert_int_equal(client_stream(&f->c, id)->body.n, 4);
    assert_int_equal(f->rig.hub->counters.exchanges_begun, f->rig.hub->counters.exchanges_ended);
}

/* The client allocates too: only the server's rounds are counted. nghttp2 remembers the last
 * hundred streams, so that the state is steady after them. */
static void calls_with_trailers_allocate_nothing(void **state)
{
    struct h2_stream_rig *f = *state;

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
#define TEST(name) cmocka_unit_test_setup_teardown(name, h2_stream_setup, h2_stream_teardown)
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
