// wrap: tern_clock_mono_ns
/* Frames that cost a server more than they cost the client. */
#include "h2_rules.h"

static void rapid_reset_is_stopped(void **state)
{
    struct fixture *f = *state;

    client_run(&f->c);
    for (int i = 0; i < 400 && !f->c.goaway; i++) {
        int32_t id = client_request(&f->c, NULL, no_body, false);
        client_send(&f->c);
        nghttp2_submit_rst_stream(f->c.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
        client_send(&f->c);
        if (i % 10 == 0)
            client_run(&f->c);
    }
    client_run(&f->c);
    assert_true(f->c.goaway); /* the first one asks to reconnect */
    assert_int_equal(f->c.goaway_error, NGHTTP2_NO_ERROR);
}

static void send_frame(struct client *c, uint8_t type, uint8_t flags, uint8_t id, uint8_t n,
                       uint8_t fill)
{
    uint8_t frame[9 + 255] = {0, 0, n, type, flags, 0, 0, 0, id};

    memset(frame + 9, fill, n);
    client_send_raw(c, frame, 9u + n);
}

static void floods_of_control_frames_are_stopped(void **state)
{
    static const struct {
        uint8_t type, id, n;
    } rows[] = {
        {NGHTTP2_PING, 0, 8},
        {NGHTTP2_SETTINGS, 0, 0},
        {NGHTTP2_PRIORITY, 1, 5},
        {NGHTTP2_DATA, 1, 0},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct client c;
        client_open(&c, &f->rig, 65535);
        client_request(&c, FIELDS(":path", "/late"), TERN_STR(""), true);
        client_run(&c);
        for (int k = 0; k < 1100; k++)
            send_frame(&c, rows[i].type, 0, rows[i].id, rows[i].n, 2);
        client_run(&c);
        assert_true(c.eof);
        /* Acknowledged SETTINGS that it never sent: the client session hears no more. */
        if (rows[i].type != NGHTTP2_SETTINGS && c.goaway_error != NGHTTP2_ENHANCE_YOUR_CALM)
            fail_msg("frames of type %u: GOAWAY %u %d", rows[i].type, c.goaway_error, c.goaways);
        client_close(&c);
    }
}

/* grpc-core widens its window a little after every small answer, thousands of times a second. */
static void control_frames_are_paid_by_answers(void **state)
{
    static const uint8_t widen[] = {0, 0, 4, NGHTTP2_WINDOW_UPDATE, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    struct fixture *f = *state;

    f->rig.hub->limits.h2_control_max = 20;
    for (int i = 0; i < 100; i++) {
        client_ask(&f->c, NULL, no_body);
        for (int k = 0; k < 4; k++)
            client_send_raw(&f->c, widen, sizeof(widen));
        client_run(&f->c);
    }
    assert_false(f->c.goaway);
    still_serves(f);
}

static void provoked_resets_count_too(void **state)
{
    struct fixture *f = *state;

    client_run(&f->c);
    for (int i = 0; i < 250 && !f->c.goaway; i++)
        client_ask(&f->c, FIELDS("connection", "close"), no_body);
    assert_true(f->c.goaway);
}

static void a_reused_stream_id_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    static const uint8_t get[] = {0x82, 0x84, 0x86, 0x41, 1, 'h'};
    uint8_t frame[9 + sizeof(get)] = {0, 0, sizeof(get), NGHTTP2_HEADERS, 5, 0, 0, 0, 9};

    client_run(&f->c);
    memcpy(frame + 9, get, sizeof(get));
    client_send_raw(&f->c, frame, sizeof(frame));
    frame[8] = 3;
    client_send_raw(&f->c, frame, sizeof(frame));
    client_run(&f->c);
    assert_int_equal(f->c.goaway_error, NGHTTP2_PROTOCOL_ERROR);
    assert_true(f->c.eof);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rapid_reset_is_stopped),
        TEST(floods_of_control_frames_are_stopped),
        TEST(control_frames_are_paid_by_answers),
        TEST(provoked_resets_count_too),
        TEST(a_reused_stream_id_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
