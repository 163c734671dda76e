/* What the head of an inference decides. */
// wrap: tern_clock_mono_ns tern_clock_wall_ns tern_sched_admits
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "gateway/gateway_int.h"
#include "harness/fake_exchange.h"

#define MS         ((uint64_t)TERN_NS_PER_MS)
#define CAME       (5000 * MS)
#define NOW        (5200 * MS) /* the head took its time */
#define WALL       (1700000000000 * MS)
#define SERVER_MAX (60000 * MS)

uint64_t __wrap_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void)
{
    return NOW;
}

uint64_t __wrap_tern_clock_wall_ns(void);
uint64_t __wrap_tern_clock_wall_ns(void)
{
    return WALL;
}

static struct {
    enum tern_code code;
    uint64_t answer_in_ns;
    uint64_t deadline_ns; /* as it was asked with */
    int asked;
} sched;

enum tern_code __wrap_tern_sched_admits(const struct tern_sched *self,
                                        const struct tern_model_version *version,
                                        uint64_t deadline_ns, uint64_t *ret_answer_in_ns,
                                        struct tern_err *err);
enum tern_code __wrap_tern_sched_admits(const struct tern_sched *self,
                                        const struct tern_model_version *version,
                                        uint64_t deadline_ns, uint64_t *ret_answer_in_ns,
                                        struct tern_err *err)
{
    (void)self, (void)version;
    sched.asked++;
    sched.deadline_ns = deadline_ns;
    if (sched.code == TERN_OK)
        return TERN_OK;
    *ret_answer_in_ns = sched.answer_in_ns;
    return tern_fail(err, sched.code, "no");
}

static uint64_t framing_ns;

static uint64_t framing_timeout(const struct tern_exchange *x)
{
    (void)x;
    return framing_ns;
}

static const struct tern_framing framing = {.timeout = framing_timeout};
static const struct tern_route plain = {.op = TERN_OP_INFER};
static const struct tern_route framed = {.op = TERN_OP_INFER, .framing = &framing};

struct world {
    struct fake_exchange fake;
    struct tern_gateway gateway;
    struct gateway_loop loop;
    struct gateway_call gc;
    struct tern_model_version version;
    struct tern_pins pins[1];
    struct tern_err err;
};

static void start(struct world *w)
{
    memset(&w->gc, 0, sizeof(w->gc));
    w->gc.gateway = &w->gateway;
    w->gc.loop = &w->loop;
    w->gc.came_ns = CAME;
    w->gc.call.route = &plain;
    w->gc.call.x = &w->fake.x;
    w->gc.call.arena = &w->fake.arena;
    w->fake.x.n_headers = 0;
    memset(&sched, 0, sizeof(sched));
}

static int setup(void **state)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    fake_init(&w.fake);
    w.gateway.timeout_ns = SERVER_MAX;
    w.version.pins = w.pins;
    start(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    fake_fini(&w->fake);
    return 0;
}

static void headers_say_how_much_time_there_is(void **state)
{
    static const struct {
        const char *name, *value;
        uint64_t want; /* 0: no deadline */
    } rows[] = {
        {"x-request-timeout-ms", "250", CAME + 250 * MS},
        {"X-Request-Timeout-Ms", "0001", CAME + 1 * MS},
        {"x-request-timeout-ms", "18446744073709551615", 0},
        {"x-request-timeout-ms", "99999999999999999999999999", 0},
        {"x-envoy-expected-rq-timeout-ms", "15000", CAME + 15000 * MS},
        {"x-envoy-expected-rq-timeout-ms", "0", 0}, /* Envoy's way to say: no limit */
        {"x-request-deadline-ms", "1700000000300", NOW + 300 * MS},
        {"x-request-deadline-ms", "18446744073709551616", 0},
        {"x-other", "5", 0},
    };
    struct world *w = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        start(w);
        fake_header(&w->fake, rows[i].name, rows[i].value);
        assert_int_equal(gateway_enter(&w->gc, &w->err), TERN_OK);
        assert_int_equal(w->gc.call.request.deadline_ns, rows[i].want);
    }
}

static void the_earliest_counts(void **state)
{
    struct world *w = *state;

    fake_header(&w->fake, "x-envoy-expected-rq-timeout-ms", "900");
    fake_header(&w->fake, "x-request-timeout-ms", "300");
    fake_header(&w->fake, "x-request-deadline-ms", "1700000000800");
    assert_int_equal(gateway_enter(&w->gc, &w->err), TERN_OK);
    assert_int_equal(w->gc.call.request.deadline_ns, CAME + 300 * MS);
    assert_int_equal(gateway_deadline(&w->gc), CAME + 300 * MS);
    w->gc.call.request.deadline_ns = UINT64_MAX;
    assert_int_equal(gateway_deadline(&w->gc), CAME + SERVER_MAX); /* none may ask for more */
}

static void times_that_are_none_are_named(void **state)
{
    static const struct {
        const char *name, *value;
        enum tern_code code;
        const char *text;
    } rows[] = {
        {"x-request-timeout-ms", "", TERN_INVALID_ARGUMENT,
         "header x-request-timeout-ms: expected a number of milliseconds, got ''"},
        {"x-request-timeout-ms", "-1", TERN_INVALID_ARGUMENT,
         "header x-request-timeout-ms: expected a number of milliseconds, got '-1'"},
        {"x-request-timeout-ms", "1.5", TERN_INVALID_ARGUMENT, "got '1.5'"},
        {"x-request-timeout-ms", "10s", TERN_INVALID_ARGUMENT, "got '10s'"},
        {"x-request-timeout-ms", "+5", TERN_INVALID_ARGUMENT, "got '+5'"},
        {"x-envoy-expected-rq-timeout-ms", "soon", TERN_INVALID_ARGUMENT,
         "header x-envoy-expected-rq-timeout-ms: expected a number of milliseconds, got 'soon'"},
        {"x-request-deadline-ms", "2030-01-01", TERN_INVALID_ARGUMENT,
         "header x-request-deadline-ms: expected a number of milliseconds since 1970, got "
         "'2030-01-01'"},
        {"x-request-timeout-ms", "0", TERN_DEADLINE_EXCEEDED,
         "Request timeout expired: header x-request-timeout-ms leaves no time, it says '0'"},
        {"x-request-deadline-ms", "1699999999999", TERN_DEADLINE_EXCEEDED,
         "header x-request-deadline-ms leaves no time, it says '1699999999999'"},
        {"x-request-deadline-ms", "0", TERN_DEADLINE_EXCEEDED, "leaves no time"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        start(w);
        fake_header(&w->fake, rows[i].name, rows[i].value);
        assert_int_equal(gateway_enter(&w->gc, &w->err), rows[i].code);
        if (strstr(w->err.text, rows[i].text) == NULL)
            fail_msg("%s: %s", rows[i].value, w->err.text);
        assert_int_equal(sched.asked, 0);
    }
}

static void the_scheduler_is_asked_with_the_earliest_deadline(void **state)
{
    struct world *w = *state;

    assert_int_equal(gateway_enter(&w->gc, &w->err), TERN_OK);
    assert_int_equal(sched.asked, 0); /* no model is known yet */
    w->gc.version = &w->version;
    assert_int_equal(gateway_enter(&w->gc, &w->err), TERN_OK);
    assert_int_equal(sched.deadline_ns, 0); /* the client names none */
    w->gc.call.route = &framed;
    framing_ns = 700 * MS;
    assert_int_equal(gateway_enter(&w->gc, &w->err), TERN_OK);
    assert_int_equal(sched.deadline_ns, CAME + 700 * MS);
    assert_int_equal(w->gc.call.request.deadline_ns, 0); /* its decoder reads that */
    framing_ns = UINT64_MAX;
    assert_int_equal(gateway_enter(&w->gc, &w->err), TERN_OK);
    assert_int_equal(sched.deadline_ns, CAME + SERVER_MAX);
    int asked = sched.asked;
    framing_ns = 1; /* before anything was read */
    assert_int_equal(gateway_enter(&w->gc, &w->err), TERN_DEADLINE_EXCEEDED);
    assert_int_equal(sched.asked, asked);
    assert_int_equal(w->pins[0].count, 0);
}

static void who_is_refused_hears_when_to_come_back(void **state)
{
    static const struct {
        uint64_t answer_in_ns;
        uint32_t retry_ms;
    } rows[] = {
        {0, 0}, {1, 1}, {999 * MS, 999}, {1000 * MS + 1, 1001}, {UINT64_MAX, UINT32_MAX},
    };
    struct world *w = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        start(w);
        w->gc.version = &w->version;
        sched.code = TERN_RESOURCE_EXHAUSTED;
        sched.answer_in_ns = rows[i].answer_in_ns;
        assert_int_equal(gateway_enter(&w->gc, &w->err), TERN_RESOURCE_EXHAUSTED);
        assert_int_equal(w->err.retry_ms, rows[i].retry_ms);
        assert_ptr_equal(w->gc.call.pinned, &w->version); /* it counts as the model's */
        assert_int_equal(w->pins[0].count, i + 1);
    }
}

static void encode_nothing(struct tern_exchange *x, const struct tern_err *err)
{
    x->status = tern_err_http_status(err);
}

static struct tern_str header_for(struct world *w, enum tern_code code, int status,
                                  uint32_t retry_ms)
{
    static const struct tern_proto proto = {.encode_error = encode_nothing};
    struct tern_exchange *x = &w->fake.x;
    struct tern_err err;

    tern_fail_http(&err, code, status, "no");
    err.retry_ms = retry_ms;
    x->n_response_headers = 0;
    gateway_encode_error(&proto, x, &err);
    if (x->n_response_headers == 0)
        return TERN_STR("none");
    assert_true(tern_str_eq(x->response_headers[0].name, TERN_STR("retry-after")));
    return x->response_headers[0].value;
}

static void retry_after_is_rounded_up(void **state)
{
    struct world *w = *state;

    assert_true(tern_str_eq(header_for(w, TERN_UNAVAILABLE, 0, 0), TERN_STR("1")));
    assert_true(tern_str_eq(header_for(w, TERN_RESOURCE_EXHAUSTED, 0, 20), TERN_STR("1")));
    assert_true(tern_str_eq(header_for(w, TERN_RESOURCE_EXHAUSTED, 0, 1001), TERN_STR("2")));
    assert_true(
        tern_str_eq(header_for(w, TERN_RESOURCE_EXHAUSTED, 0, UINT32_MAX), TERN_STR("4294968")));
    /* A limit that the request itself breaks. */
    assert_true(tern_str_eq(header_for(w, TERN_RESOURCE_EXHAUSTED, 413, 1001), TERN_STR("none")));
    assert_true(tern_str_eq(header_for(w, TERN_INTERNAL, 0, 0), TERN_STR("none")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(headers_say_how_much_time_there_is, setup, teardown),
        cmocka_unit_test_setup_teardown(the_earliest_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(times_that_are_none_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(the_scheduler_is_asked_with_the_earliest_deadline, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_is_refused_hears_when_to_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(retry_after_is_rounded_up, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
