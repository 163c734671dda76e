// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc
/* Clients of HTTP/1.1 that leave, or only close their side: who is asked, told and answered, and
 * how each request ends in the ledger. */
#include "harness/h1_rig.h"
#include "net/mux_h1_int.h"

static void half_closed_clients_get_their_answers(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET);
    shutdown(rig->client, SHUT_WR);
    rig_pump(rig);
    assert_false(rig->client_saw_end);
    rig_answer(rig, 0);
    rig_expect(rig, 200, "GET /a 0:");
    assert_true(rig->client_saw_end);
    /* In the middle of a request. */
    rig->hold = false;
    rig_connect(rig);
    rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    shutdown(rig->client, SHUT_WR);
    rig_pump(rig);
    rig_expect(rig, 400, "the request ended before it was complete");
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

static void gone_clients_are_told(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET GET);
    rig_hang_up(rig);
    assert_int_equal(rig->n_gone, 2);
    assert_false(tern_hub_is_idle(rig->hub));
    rig_answer(rig, 0);
    rig_answer(rig, 0);
    assert_true(tern_hub_is_idle(rig->hub));
    rig_free(rig);
}

static void finish_sending(struct rig *rig)
{
    assert_int_equal(shutdown(rig->client, SHUT_WR), 0);
    rig_pump(rig); /* ends: nothing is ready over and over */
}

#define INTERIM "HTTP/1.1 100 Continue\r\n\r\n"

static unsigned count_interim(const struct rig *rig)
{
    unsigned n = 0;

    for (const char *at = rig->got; strncmp(at, INTERIM, strlen(INTERIM)) == 0;
         at += strlen(INTERIM))
        n++;
    return n;
}

/* Over TCP a close is no more than the end of what the client sends: what it is sent then, a reset
 * answers. */
static void who_finished_sending_is_asked_whether_it_listens(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET GET);
    finish_sending(rig);
    assert_int_equal(rig->n_got, 0); /* what is quick is answered as ever */
    rig_after(rig, 1);
    assert_true(count_interim(rig) >= 1);
    assert_int_equal(rig->n_gone, 0);
    assert_int_equal(rig->hub->counters.timeouts, 0);
    for (int i = 0; i < 600; i++)
        rig_after(rig, 1);
    assert_int_equal(count_interim(rig), 5); /* clients take a few */
    assert_false(rig->client_saw_end);
    rig_hang_up(rig);
    assert_int_equal(rig->n_gone, 2);
    rig_answer(rig, 0);
    rig_answer(rig, 0);
    assert_true(tern_hub_is_idle(rig->hub));
    rig_free(rig);
}

static void who_still_listens_is_answered(void **state)
{
    struct rig *rig = rig_new();
    struct rig_answer answer;
    size_t at = 0;

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET GET);
    finish_sending(rig);
    rig_after(rig, 1);
    rig_answer(rig, 0);
    rig_answer(rig, 0);
    unsigned interim = count_interim(rig);
    for (unsigned i = 0; i < interim + 2; i++) {
        assert_true(rig_take(rig, &at, false, &answer));
        assert_int_equal(answer.status, i < interim ? 100 : 200);
    }
    assert_int_equal(at, rig->n_got);
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

/* RFC 9110 15.2: no interim answer to a client of HTTP/1.0. */
static void old_clients_are_not_asked(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, "GET /a HTTP/1.0\r\n\r\n");
    finish_sending(rig);
    rig_after(rig, 600);
    assert_int_equal(rig->n_got, 0);
    assert_int_equal(rig->n_gone, 0);
    rig_answer(rig, 0);
    rig_expect(rig, 200, "GET /a 0:");
    rig_free(rig);
}

/* What waits unread is held back, and comes before the end. */
static void pipelined_requests_come_before_the_end(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    unsigned max = rig->limits.pipeline_max;
    for (unsigned i = 0; i < max + 1; i++)
        rig_say(rig, GET);
    assert_int_equal(rig->n_requests, max);
    finish_sending(rig);
    rig_after(rig, 1);
    assert_int_equal(rig->n_got, 0);
    rig_answer(rig, 0);
    assert_int_equal(rig->n_requests, max + 1);
    rig_hang_up(rig);
    assert_int_equal(rig->n_gone, max);
    for (unsigned i = 0; i < max; i++)
        rig_answer(rig, 0);
    rig_free(rig);
}

/* Half a request behind one that runs: refused behind it. */
static void half_a_request_may_be_the_last(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET "GET /b HT");
    finish_sending(rig);
    assert_int_equal(rig->n_refused, 1);
    rig_after(rig, 1);
    assert_true(count_interim(rig) >= 1);
    rig_answer(rig, 0);
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

/* Wherever a client leaves, its request ends in one way, and that is the right one. */
static void each_stage_has_its_ending(void **state)
{
    static const struct {
        const char *sent;
        bool hold; /* its answer, until it has left */
        enum tern_ending ending;
    } rows[] = {
        {"POST /a HT", false, TERN_ENDING_UNFINISHED}, /* head */
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab", false,
         TERN_ENDING_UNFINISHED},
        {GET, true, TERN_ENDING_CANCELLED},
        {GET, false, TERN_ENDING_OK},
        {"GET nonsense\r\n\r\n", false, TERN_ENDING_INVALID},
    };
    struct rig *rig = rig_new();

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        uint64_t came = rig->hub->counters.requests_came;
        uint64_t ended = rig_ended(rig, rows[i].ending);
        rig->hold = rows[i].hold;
        rig_connect(rig);
        rig_say(rig, rows[i].sent);
        rig_pump(rig);
        rig_hang_up(rig);
        while (rig->n_held > 0)
            rig_answer(rig, 0);
        assert_int_equal(rig->hub->counters.requests_came, came + 1);
        assert_int_equal(rig_ended(rig, rows[i].ending), ended + 1);
        rig_check_ledger(rig);
    }
    rig->hold = false;
    rig_connect(rig);
    rig_say(rig, "\r\n"); /* nothing */
    rig_hang_up(rig);
    assert_int_equal(rig->hub->counters.requests_came, TERN_COUNT_OF(rows));
    rig_free(rig);
}

static void an_answer_that_was_not_taken_is_lost(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->slice_bytes = 900 << 10; /* more than a socket holds */
    rig_connect(rig);
    assert_int_equal(write(rig->client, GET, strlen(GET)), strlen(GET));
    rig_pump_without_reading(rig);
    rig_hang_up(rig);
    assert_int_equal(rig_ended(rig, TERN_ENDING_LOST), 1);
    /* One that waits behind another is lost with it. */
    rig->slice_bytes = 0;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET GET);
    rig_answer(rig, 1);
    rig_hang_up(rig);
    rig_answer(rig, 0);
    assert_int_equal(rig_ended(rig, TERN_ENDING_LOST), 2);
    assert_int_equal(rig_ended(rig, TERN_ENDING_CANCELLED), 1);
    rig_free(rig);
}

static void clients_may_leave_at_every_byte(void **state)
{
    struct rig *rig = rig_new();
    static const char text[] = "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                               "POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "2\r\nde\r\n0\r\n\r\n";

    (void)state;
    for (int hold = 0; hold < 2; hold++) {
        rig->hold = hold != 0;
        for (size_t n = 0; n < sizeof(text); n++) {
            rig_connect(rig);
            rig_send(rig, text, n);
            rig_hang_up(rig);
            while (rig->n_held > 0)
                rig_answer(rig, rig->n_held - 1);
            assert_true(tern_hub_is_idle(rig->hub));
        }
    }
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_closed_clients_get_their_answers),
        cmocka_unit_test(gone_clients_are_told),
        cmocka_unit_test(who_finished_sending_is_asked_whether_it_listens),
        cmocka_unit_test(who_still_listens_is_answered),
        cmocka_unit_test(old_clients_are_not_asked),
        cmocka_unit_test(pipelined_requests_come_before_the_end),
        cmocka_unit_test(half_a_request_may_be_the_last),
        cmocka_unit_test(each_stage_has_its_ending),
        cmocka_unit_test(an_answer_that_was_not_taken_is_lost),
        cmocka_unit_test(clients_may_leave_at_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
