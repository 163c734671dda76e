// covers: net/h2_frames net/h2_parts net/h2_request net/h2_response net/mux_h1_read
// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
/* Requests in parts, as gRPC streams use them, from the client's side. */
#include "harness/h2_stream_rig.h"

/* Requests in one piece, whose handler reads tensors in place. */

static void plan_body(void *self, const struct tern_exchange *x, struct tern_body_plan *plan)
{
    struct h2_stream_rig *f = self;

    (void)x;
    f->asked++;
    assert_true(plan->first.n > 0 && memcmp(plan->first.p, big, plan->first.n) == 0);
    assert_true(plan->size == SIZE_MAX);
    plan->pivot = f->pivot;
}

static void a_body_is_aligned_as_its_handler_asks(void **state)
{
    static const size_t sizes[] = {100, 16384, 16385, 70000, 1u << 20};
    struct h2_stream_rig *f = *state;

    f->handler.plan_body = plan_body;
    for (size_t i = 0; i < TERN_COUNT_OF(sizes); i++) {
        f->pivot = 5 + i * 17;
        f->asked = 0;
        client_request(&f->c, NULL, tern_str_make(big, sizes[i]), false);
        client_run(&f->c);
        assert_int_equal(f->asked, 1);
        assert_true(tern_str_eq(f->x->body, tern_str_make(big, sizes[i])));
        assert_int_equal(((uintptr_t)f->x->body.p + f->pivot) % TERN_CACHE_LINE, 0);
        say(f->x, f->x->body, true);
        client_run(&f->c);
    }
    assert_true(nothing_is_left(f));
}

/* Requests in parts. */

/* A stream that is open in both directions. */
static int32_t open_stream(struct h2_stream_rig *f, enum mode mode)
{
    f->mode = mode;
    int32_t id = client_request(&f->c, NULL, TERN_STR(""), true);
    client_run(&f->c);
    return id;
}

static void a_head_alone_is_handed_over(void **state)
{
    struct h2_stream_rig *f = *state;
    int32_t id = open_stream(f, KEEP);

    assert_int_equal(f->parts, 1);
    assert_int_equal(f->x->body.n, 0);
    assert_false(f->x->body_done);
    more(f, id, TERN_STR("ab"), true);
    assert_int_equal(f->parts, 2);
    more(f, id, TERN_STR("cd"), true);
    assert_true(tern_str_eq(f->x->body, TERN_STR("abcd")));
    tern_exchange_take(f->x, 3);
    assert_true(tern_str_eq(f->x->body, TERN_STR("d")));
    more(f, id, TERN_STR(""), false);
    assert_int_equal(f->parts, 4);
    assert_true(f->x->body_done);
    assert_true(tern_str_eq(f->x->body, TERN_STR("d")));
    say(f->x, TERN_STR("ok"), true);
    client_run(&f->c);
    assert_true(client_stream(&f->c, id)->closed);
    assert_true(nothing_is_left(f));
    assert_int_equal(f->requests, 0);
}

static void a_request_that_came_at_once_is_one_part(void **state)
{
    struct h2_stream_rig *f = *state;

    f->mode = ECHO;
    struct client_stream *s = client_ask(&f->c, NULL, TERN_STR("one\ntwo\nrest"));
    assert_int_equal(f->parts, 1);
    assert_true(tern_str_eq(tern_buf_str(&s->body), TERN_STR("one\ntwo\nrest")));
    assert_true(ends_with(s, GOOD_TRAILERS));
    s = client_ask(&f->c, NULL, no_body);
    assert_int_equal(f->parts, 2);
    assert_true(ends_with(s, GOOD_TRAILERS));
}

static void questions_and_answers_interleave(void **state)
{
    struct h2_stream_rig *f = *state;
    int32_t a = open_stream(f, ECHO);
    int32_t b = open_stream(f, ECHO);
    struct client_stream *sa = client_stream(&f->c, a);
    struct client_stream *sb = client_stream(&f->c, b);

    for (size_t i = 1; i <= 50; i++) {
        client_more(&f->c, a, TERN_STR("left\nle"), true);
        more(f, b, TERN_STR("right\n"), true);
        assert_int_equal(sa->body.n, i * 7 - 2);
        assert_int_equal(sb->body.n, i * 6);
    }
    more(f, a, TERN_STR("end"), false);
    assert_int_equal(sa->body.n, 353);
    assert_true(ends_with(sa, GOOD_TRAILERS));
    assert_false(sb->closed);
    more(f, b, TERN_STR(""), false);
    assert_true(ends_with(sb, GOOD_TRAILERS));
    assert_true(nothing_is_left(f));
}

/* Both directions are full at times; neither end may wait for the other forever. */
static void a_long_duplex_stream_is_complete(void **state)
{
    struct h2_stream_rig *f = *state;
    static char lines[BIG_SIZE];

    memcpy(lines, big, BIG_SIZE);
    for (size_t i = 1000; i < BIG_SIZE; i += 1 + i % 5000)
        lines[i] = '\n';
    f->rig.hub->limits.queue_max = 64u << 20;
    f->mode = ECHO;
    struct client_stream *s = client_ask(&f->c, NULL, tern_str_make(lines, BIG_SIZE));
    assert_true(tern_str_eq(tern_buf_str(&s->body), tern_str_make(lines, BIG_SIZE)));
    assert_true(ends_with(s, GOOD_TRAILERS));
    assert_true(f->parts > 10);
}

static void a_head_may_be_answered_at_once(void **state)
{
    struct h2_stream_rig *f = *state;

    f->greets = true;
    int32_t id = open_stream(f, ECHO);
    assert_int_equal(client_stream(&f->c, id)->status, 200);
    more(f, id, TERN_STR("line\n"), false);
    assert_int_equal(client_stream(&f->c, id)->body.n, 5);
    assert_true(client_stream(&f->c, id)->closed);
}

static void a_slow_handler_holds_its_client_back(void **state)
{
    struct h2_stream_rig *f = *state;
    size_t window = f->rig.hub->limits.h2_stream_window;
    int32_t id = open_stream(f, KEEP);

    more(f, id, tern_str_make(big, BIG_SIZE), false);
    struct tern_exchange *x = f->x;
    assert_int_equal(x->body.n, window);
    f->mode = WHOLE; /* the other streams of the connection do not wait */
    struct client_stream *s = client_ask(&f->c, NULL, tern_str_make(big, 300000));
    say(f->x, TERN_STR("x"), true);
    client_run(&f->c);
    assert_true(s->closed);
    assert_int_equal(x->body.n, window);
    size_t taken = 0;
    while (taken < BIG_SIZE) {
        assert_in_range(x->body.n, 1, window);
        size_t n = x->body.n < 700001 ? x->body.n : 700001;
        assert_memory_equal(x->body.p, big + taken, n);
        tern_exchange_take(x, n);
        taken += n;
        client_run(&f->c);
    }
    assert_true(x->body_done);
    say(x, TERN_STR("ok"), true);
    client_run(&f->c);
    assert_true(client_stream(&f->c, id)->closed);
    assert_true(nothing_is_left(f));
}

static void a_message_larger_than_the_window_arrives(void **state)
{
    struct h2_stream_rig *f = *state;
    size_t window = f->rig.hub->limits.h2_stream_window;

    f->rig.listener.body_max = BIG_SIZE;
    f->need = 3u << 20;
    int32_t id = open_stream(f, KEEP);
    more(f, id, tern_str_make(big, BIG_SIZE), true);
    assert_in_range(f->x->body.n, f->need, f->need + window);
    assert_memory_equal(f->x->body.p, big, f->x->body.n);
    f->x->body_need = f->need = 0;
    tern_exchange_take(f->x, 3u << 20);
    client_run(&f->c);
    assert_int_equal(f->x->body.n, BIG_SIZE - (3u << 20));
    assert_memory_equal(f->x->body.p, big + (3u << 20), f->x->body.n);
    say(f->x, TERN_STR("ok"), true);
}

/* A handler that asks for more than it may have waits in vain, at no cost. */
static void what_is_needed_is_bounded(void **state)
{
    struct h2_stream_rig *f = *state;
    size_t max = f->rig.listener.body_max;

    f->need = SIZE_MAX;
    int32_t id = open_stream(f, KEEP);
    more(f, id, tern_str_make(big, BIG_SIZE), true);
    assert_in_range(f->x->body.n, max, max + f->rig.hub->limits.h2_stream_window);
    say(f->x, TERN_STR("no"), true);
}

static void streams_that_hold_too_much_are_cut(void **state)
{
    struct h2_stream_rig *f = *state;

    f->rig.listener.body_max = 65536;
    for (int i = 0; i < 8; i++) {
        int gone = f->gone;
        int32_t id = open_stream(f, KEEP);
        more(f, id, tern_str_make(big, 200000), true);
        assert_int_equal(client_stream(&f->c, id)->error,
                         f->gone > gone ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_NO_ERROR);
    }
    assert_in_range(f->gone, 1, 7);
    assert_false(f->c.goaway);
}

static void an_answer_may_end_first(void **state)
{
    struct h2_stream_rig *f = *state;
    int32_t id = open_stream(f, KEEP);
    struct client_stream *s = client_stream(&f->c, id);

    more(f, id, TERN_STR("one"), true);
    say(f->x, TERN_STR("enough"), true);
    client_run(&f->c);
    assert_true(ends_with(s, GOOD_TRAILERS));
    assert_false(s->closed);
    int parts = f->parts;
    more(f, id, TERN_STR("two"), true);
    assert_int_equal(f->parts, parts);
    assert_false(s->closed);
    for (int i = 0; i < 4; i++) { /* RFC 9113 8.1: NO_ERROR, some time later */
        rig_clock_added_ns += 6ull * TERN_NS_PER_S;
        client_run(&f->c);
    }
    assert_true(s->closed);
    assert_int_equal(s->error, NGHTTP2_NO_ERROR);
    assert_int_equal(f->gone, 0);
    assert_true(nothing_is_left(f));
}

/* grpc-go has forgotten the stream by then, and opens as many others as we allow. */
static void an_early_answer_of_grpc_ends_the_stream(void **state)
{
    static const char *const fields[] = {"content-type", "application/grpc+proto", NULL};
    struct h2_stream_rig *f = *state;

    f->mode = KEEP;
    int32_t id = client_request(&f->c, fields, TERN_STR("one"), true);
    struct client_stream *s = client_stream(&f->c, id);
    client_run(&f->c);
    say(f->x, TERN_STR("enough"), true);
    client_run(&f->c);
    assert_true(ends_with(s, GOOD_TRAILERS));
    assert_true(s->closed);
    assert_int_equal(s->error, NGHTTP2_NO_ERROR);
    assert_int_equal(f->gone, 0);
    assert_true(nothing_is_left(f));
}

static void a_reset_is_told_whenever_it_comes(void **state)
{
    struct h2_stream_rig *f = *state;
    int32_t id = open_stream(f, KEEP);

    more(f, id, TERN_STR("abc"), true);
    nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_run(&f->c);
    assert_int_equal(f->gone, 1);
    assert_true(f->x->gone);
    tern_exchange_take(f->x, 2); /* still there */
    assert_true(tern_str_eq(f->x->body, TERN_STR("c")));
    say(f->x, TERN_STR("nobody hears this"), false);
    end_owed(f);
    assert_true(nothing_is_left(f));
    /* In one read with the part, which is not worth a call any more. */
    int parts = f->parts;
    id = client_request(&f->c, NULL, TERN_STR("abc"), true);
    uint8_t bytes[4096];
    size_t n = 0;
    const uint8_t *p;
    ssize_t got;
    while ((got = nghttp2_session_mem_send(f->c.session, &p)) > 0) {
        memcpy(bytes + n, p, (size_t)got);
        n += (size_t)got;
    }
    nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    while ((got = nghttp2_session_mem_send(f->c.session, &p)) > 0) {
        memcpy(bytes + n, p, (size_t)got);
        n += (size_t)got;
    }
    client_send_raw(&f->c, bytes, n);
    client_run(&f->c);
    assert_int_equal(f->parts, parts);
    assert_int_equal(f->gone, 2); /* but h2_stream_on_head was one */
    end_owed(f);
    assert_true(nothing_is_left(f));
}

/* What gRPC clients do that have their answer before they were done. */
static void a_reset_after_the_answer_is_no_offence(void **state)
{
    struct h2_stream_rig *f = *state;

    for (int i = 0; i < 300; i++) {
        int32_t id = open_stream(f, KEEP);
        say(f->x, TERN_STR("done"), true);
        client_run(&f->c);
        nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
        client_run(&f->c);
    }
    assert_false(f->c.goaway);
    assert_int_equal(f->gone, 0);
    assert_true(nothing_is_left(f));
}

static void a_lost_connection_is_told(void **state)
{
    struct h2_stream_rig *f = *state;
    int32_t id = open_stream(f, KEEP);

    more(f, id, TERN_STR("abc"), true);
    struct tern_exchange *x = f->x;
    close(f->c.fd);
    f->c.fd = rig_connect(&f->rig);
    rig_step(&f->rig);
    rig_step(&f->rig);
    assert_int_equal(f->gone, 1);
    tern_exchange_take(x, 3);
    end_owed(f);
    assert_true(nothing_is_left(f));
}

static void a_drain_lets_streams_finish(void **state)
{
    struct h2_stream_rig *f = *state;
    int32_t id = open_stream(f, ECHO);
    struct client_stream *s = client_stream(&f->c, id);

    tern_hub_drain(f->rig.hub);
    client_run(&f->c);
    assert_true(f->c.goaway);
    assert_int_equal(f->c.goaway_error, NGHTTP2_NO_ERROR);
    assert_int_equal(f->c.goaway_last, id);
    more(f, id, TERN_STR("still\n"), true);
    assert_int_equal(s->body.n, 6);
    assert_false(f->c.eof);
    more(f, id, TERN_STR("served\n"), false);
    assert_int_equal(s->body.n, 13);
    assert_true(ends_with(s, GOOD_TRAILERS));
    assert_true(f->c.eof);
    assert_int_equal(f->gone, 0);
}

static void the_end_of_a_drain_cuts_streams(void **state)
{
    struct h2_stream_rig *f = *state;
    int32_t id = open_stream(f, ECHO);

    tern_hub_drain(f->rig.hub);
    more(f, id, TERN_STR("still\n"), true);
    assert_int_equal(f->gone, 0);
    tern_hub_abort_all(f->rig.hub);
    client_run(&f->c);
    assert_int_equal(f->gone, 1);
    end_owed(f);
    assert_true(nothing_is_left(f));
}

static void a_quiet_stream_lives_long(void **state)
{
    struct h2_stream_rig *f = *state;
    int32_t id = open_stream(f, ECHO);

    for (int i = 0; i < 60; i++) {
        rig_clock_added_ns += 60ull * TERN_NS_PER_S;
        client_run(&f->c);
    }
    assert_int_equal(f->gone, 0);
    more(f, id, TERN_STR("hello\n"), false);
    assert_int_equal(client_stream(&f->c, id)->body.n, 6);
    assert_true(client_stream(&f->c, id)->closed);
}

/* More that a handler sends is no sign of life of its client. */
static void a_client_that_takes_nothing_is_cut(void **state)
{
    struct h2_stream_rig *f = *state;
    struct client c;

    client_open_windows(&c, &f->rig, 3, true);
    f->mode = KEEP;
    int32_t id = client_request(&c, NULL, TERN_STR(""), true);
    client_run(&c);
    for (int i = 0; i < 12 && f->gone == 0; i++) {
        say(f->x, TERN_STR("news;"), false);
        client_run(&c);
        rig_clock_added_ns += 10ull * TERN_NS_PER_S;
        client_run(&c);
    }
    assert_int_equal(f->gone, 1);
    assert_int_equal(client_stream(&c, id)->error, NGHTTP2_CANCEL);
    client_close(&c);
}

static void compressed_streams_are_415(void **state)
{
    struct h2_stream_rig *f = *state;

    f->mode = KEEP;
    struct client_stream *s =
        client_ask(&f->c, FIELDS("content-encoding", "gzip"), TERN_STR("zzz"));
    assert_int_equal(s->status, 415);
    assert_int_equal(f->refused, 1);
    assert_int_equal(f->parts, 0);
    f->greets = true; /* too late for a status */
    s = client_ask(&f->c, FIELDS("content-encoding", "gzip"), TERN_STR("zzz"));
    assert_int_equal(s->error, NGHTTP2_INTERNAL_ERROR);
    assert_int_equal(f->gone, 1);
}

static void http1_gives_the_whole_request_at_once(void **state)
{
    struct h2_stream_rig *f = *state;
    static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\none\n";
    char got[2048];
    int fd = rig_connect(&f->rig);

    f->mode = ECHO;
    assert_int_equal(send(fd, head, strlen(head), 0), strlen(head));
    rig_step(&f->rig);
    assert_int_equal(f->parts, 0);
    assert_int_equal(send(fd, "two\nx", 5, 0), 5);
    rig_step(&f->rig);
    rig_step(&f->rig);
    assert_int_equal(f->parts, 1);
    ssize_t n = recv(fd, got, sizeof(got) - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    assert_non_null(strstr(got, "\r\n4\r\none\n\r\n4\r\ntwo\n\r\n1\r\nx\r\n0\r\n\r\n"));
    assert_null(strstr(got, "grpc-status"));
    close(fd);
}

static void http1_tells_of_a_request_that_never_ends(void **state)
{
    struct h2_stream_rig *f = *state;
    static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\none";
    int fd = rig_connect(&f->rig);

    f->mode = ECHO;
    assert_int_equal(send(fd, head, strlen(head), 0), strlen(head));
    rig_step(&f->rig);
    tern_hub_abort_all(f->rig.hub);
    rig_step(&f->rig);
    assert_int_equal(f->parts, 0);
    assert_int_equal(f->gone, 1);
    end_owed(f);
    rig_step(&f->rig);
    assert_true(nothing_is_left(f));
    close(fd);
}

/* gRPC's clients give each short message's bytes back to the windows at once. */
static void short_messages_may_be_given_back_one_by_one(void **state)
{
    struct h2_stream_rig *f = *state;
    struct client c;

    f->rig.hub->limits.h2_control_max = 20;
    client_open_windows(&c, &f->rig, 1000, true);
    f->mode = ECHO;
    int32_t id = client_request(&c, NULL, TERN_STR(""), true);
    client_run(&c);
    for (int i = 0; i < 100; i++) {
        client_more(&c, id, TERN_STR("question\n"), true);
        client_run(&c);
        nghttp2_submit_window_update(c.session, NGHTTP2_FLAG_NONE, id, 9);
        nghttp2_submit_window_update(c.session, NGHTTP2_FLAG_NONE, 0, 9);
    }
    client_run(&c);
    assert_false(c.goaway);
    assert_int_equal(client_stream(&c, id)->body.n, 900);
    client_close(&c);
}

static void a_window_opened_byte_by_byte_is_a_flood(void **state)
{
    struct h2_stream_rig *f = *state;
    struct client c;

    f->rig.hub->limits.h2_control_max = 20;
    client_open_windows(&c, &f->rig, 1, true);
    f->mode = KEEP;
    int32_t id = client_request(&c, NULL, TERN_STR(""), true);
    client_run(&c);
    say(f->x, tern_str_make(big, 1000), false);
    for (int i = 0; i < 30 && !c.goaway; i++) {
        nghttp2_submit_window_update(c.session, NGHTTP2_FLAG_NONE, id, 1);
        client_run(&c);
    }
    assert_true(c.goaway);
    assert_int_equal(c.goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    client_close(&c);
}

/* Memory. */

static void a_stream_of_messages_allocates_nothing(void **state)
{
    struct h2_stream_rig *f = *state;
    int32_t id = open_stream(f, ECHO);

    for (int i = 0; i < 200; i++) {
        client_more(&f->c, id, TERN_STR("question\n"), true);
        client_send(&f->c);
        long before = mem_calls;
        rig_step(&f->rig);
        rig_step(&f->rig);
        if (i >= 150)
            assert_int_equal(mem_calls, before);
        client_run(&f->c);
    }
    assert_int_equal(client_stream(&f->c, id)->body.n, 200 * 9);
}

static void every_allocation_may_fail(void **state)
{
    struct h2_stream_rig *f = *state;

    f->mode = ECHO;
    for (long at = 0; at < 1000; at++) {
        struct rig rig;
        struct client c;
        rig_open(&rig, &f->handler, NULL, &tern_mux_h2);
        mem_calls = 0;
        mem_fail_at = at;
        client_open(&c, &rig, 65535);
        int32_t id = client_request(&c, NULL, TERN_STR("one\ntwo\n"), true);
        for (int i = 0; i < 3; i++) {
            client_send(&c);
            rig_step(&rig);
        }
        client_more(&c, id, tern_str_make(big, 100000), false);
        client_send(&c);
        for (int i = 0; i < 20; i++)
            rig_step(&rig);
        bool all_done = mem_calls <= at;
        mem_fail_at = -1;
        client_run(&c);
        if (all_done)
            assert_int_equal(client_stream(&c, id)->body.n, 100008);
        client_close(&c);
        tern_hub_abort_all(rig.hub);
        rig_step(&rig);
        end_owed(f);
        rig_close(&rig);
        if (all_done)
            return;
    }
    fail_msg("allocations never ended");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, h2_stream_setup, h2_stream_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_body_is_aligned_as_its_handler_asks),
        TEST(a_head_alone_is_handed_over),
        TEST(a_request_that_came_at_once_is_one_part),
        TEST(questions_and_answers_interleave),
        TEST(a_long_duplex_stream_is_complete),
        TEST(a_head_may_be_answered_at_once),
        TEST(a_slow_handler_holds_its_client_back),
        TEST(a_message_larger_than_the_window_arrives),
        TEST(what_is_needed_is_bounded),
        TEST(streams_that_hold_too_much_are_cut),
        TEST(an_answer_may_end_first),
        TEST(an_early_answer_of_grpc_ends_the_stream),
        TEST(a_reset_is_told_whenever_it_comes),
        TEST(a_reset_after_the_answer_is_no_offence),
        TEST(a_lost_connection_is_told),
        TEST(a_drain_lets_streams_finish),
        TEST(the_end_of_a_drain_cuts_streams),
        TEST(a_quiet_stream_lives_long),
        TEST(a_client_that_takes_nothing_is_cut),
        TEST(compressed_streams_are_415),
        TEST(short_messages_may_be_given_back_one_by_one),
        TEST(a_window_opened_byte_by_byte_is_a_flood),
        TEST(http1_gives_the_whole_request_at_once),
        TEST(http1_tells_of_a_request_that_never_ends),
        TEST(a_stream_of_messages_allocates_nothing),
        TEST(every_allocation_may_fail),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
