/* Parameters with a meaning of their own, and headers that become parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "gateway/gateway_int.h"
#include "harness/fake_exchange.h"

static const struct tern_proto http = {.name = "http"};
static const struct tern_proto grpc = {.name = "grpc", .is_grpc = true};

struct world {
    struct fake_exchange fake;
    struct tern_gateway gateway;
    struct gateway_loop loop;
    struct gateway_call gc;
    struct tern_err err;
};

static void start(struct world *w)
{
    memset(&w->gc, 0, sizeof(w->gc));
    w->gc.gateway = &w->gateway;
    w->gc.loop = &w->loop;
    w->gc.came_ns = 1000;
    w->gc.call.proto = &http;
    w->gc.call.x = &w->fake.x;
    w->gc.call.arena = &w->fake.arena;
}

static int setup(void **state)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    fake_init(&w.fake);
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

static void add(struct world *w, struct tern_param param)
{
    assert_int_equal(tern_params_add(&w->fake.arena, &w->gc.call.request.params, &param, &w->err),
                     TERN_OK);
}

#define NUMBER(key_, value_)                                               \
    (struct tern_param)                                                    \
    {                                                                      \
        .key = TERN_STR(key_), .kind = TERN_PARAM_INT64, .int64 = (value_) \
    }
#define HUGE_NUMBER(key_, value_)                                            \
    (struct tern_param)                                                      \
    {                                                                        \
        .key = TERN_STR(key_), .kind = TERN_PARAM_UINT64, .uint64 = (value_) \
    }
#define YES(key_)                                                       \
    (struct tern_param)                                                 \
    {                                                                   \
        .key = TERN_STR(key_), .kind = TERN_PARAM_BOOL, .boolean = true \
    }
#define TEXT(key_, value_)                                                   \
    (struct tern_param)                                                      \
    {                                                                        \
        .key = TERN_STR(key_), .kind = TERN_PARAM_STRING, .string = (value_) \
    }

static void each_is_taken_and_kept(void **state)
{
    struct world *w = *state;
    const struct tern_infer_request *request = &w->gc.call.request;

    add(w, NUMBER("priority", 7));
    add(w, HUGE_NUMBER("sequence_id", UINT64_MAX));
    add(w, YES("sequence_start"));
    add(w, TEXT("other", TERN_STR("x")));
    assert_int_equal(gateway_take_params(&w->gc, &w->err), TERN_OK);
    assert_int_equal(request->priority, 7);
    assert_true(request->sequence.id == UINT64_MAX && request->sequence.start);
    assert_false(request->sequence.end);
    assert_int_equal(request->params.n, 4);
    start(w);
    add(w, TEXT("sequence_id", TERN_STR("abc")));
    add(w, YES("sequence_end"));
    assert_int_equal(gateway_take_params(&w->gc, &w->err), TERN_OK);
    assert_true(tern_str_eq(request->sequence.text, TERN_STR("abc")));
    assert_true(request->sequence.end && !request->sequence.start);
}

static void a_timeout_sets_the_earlier_deadline(void **state)
{
    static const struct {
        uint64_t us, had, want;
    } rows[] = {
        {250, 0, 251000}, {250, 2000, 2000},  {250, 900000, 251000},
        {0, 0, 0},        {UINT64_MAX, 0, 0}, {UINT64_MAX / 1000, 5, 5},
    };
    struct world *w = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        start(w);
        w->gc.call.request.deadline_ns = rows[i].had;
        add(w, HUGE_NUMBER("timeout", rows[i].us));
        assert_int_equal(gateway_take_params(&w->gc, &w->err), TERN_OK);
        assert_int_equal(w->gc.call.request.deadline_ns, rows[i].want);
    }
}

/* Triton's queue policies: they bound the wait, and the lane knows whether a request may lower it.
 */
static void a_configured_queue_takes_it_as_a_wait(void **state)
{
    struct world *w = *state;
    struct tern_scheduling scheduling = {.batching = TERN_BATCHING_CONFIGURED};
    struct tern_model_version version = {.scheduling = &scheduling};

    w->gc.call.pinned = &version;
    add(w, HUGE_NUMBER("timeout", 250));
    assert_int_equal(gateway_take_params(&w->gc, &w->err), TERN_OK);
    assert_int_equal(w->gc.call.request.deadline_ns, 0);
    assert_int_equal(w->gc.call.request.timeout_ns, 250000);
    scheduling.batching = TERN_BATCHING_ADAPTIVE;
    start(w);
    w->gc.call.pinned = &version;
    add(w, HUGE_NUMBER("timeout", 250));
    assert_int_equal(gateway_take_params(&w->gc, &w->err), TERN_OK);
    assert_int_equal(w->gc.call.request.deadline_ns, 251000);
    assert_int_equal(w->gc.call.request.timeout_ns, 0);
}

static void wrong_kinds_are_refused(void **state)
{
    char long_text[TERN_SEQUENCE_TEXT_MAX + 1];
    memset(long_text, 'a', sizeof(long_text));
    const struct {
        struct tern_param param;
        const char *text;
    } rows[] = {
        {NUMBER("priority", -1), "Invalid value for 'priority': expected an unsigned integer"},
        {TEXT("timeout", TERN_STR("1")),
         "Invalid value for 'timeout': expected an unsigned integer"},
        {NUMBER("sequence_start", 1), "Invalid value for 'sequence_start': expected a boolean"},
        {TEXT("sequence_end", TERN_STR("true")),
         "Invalid value for 'sequence_end': expected a boolean"},
        {YES("sequence_id"), "Invalid value for 'sequence_id': expected an unsigned integer"},
        {TEXT("sequence_id", tern_str_make(long_text, sizeof(long_text))),
         "Invalid value for 'sequence_id': a text has at most 128 bytes, got 129"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        start(w);
        add(w, rows[i].param);
        assert_int_equal(gateway_take_params(&w->gc, &w->err), TERN_INVALID_ARGUMENT);
        assert_string_equal(w->err.text, rows[i].text);
    }
}

/* A header is forwarded to the model, and never taken for what the request says. */
static void headers_come_last(void **state)
{
    struct world *w = *state;
    struct tern_forward *forward = NULL;

    assert_int_equal(tern_forward_new(TERN_STR("x-.*|priority"), 1, &forward, &w->err), TERN_OK);
    w->gateway.settings.forward_http = forward;
    w->fake.headers[0] = (struct tern_header){TERN_STR("X-Who"), TERN_STR("ann")};
    w->fake.headers[1] = (struct tern_header){TERN_STR("Priority"), TERN_STR("1")};
    w->fake.headers[2] = (struct tern_header){TERN_STR("Host"), TERN_STR("a")};
    w->fake.x.n_headers = 3;
    assert_int_equal(gateway_take_params(&w->gc, &w->err), TERN_OK);
    assert_int_equal(w->gc.call.request.priority, 0);
    assert_int_equal(w->gc.call.request.params.n, 2);
    const struct tern_param *who = tern_params_find(&w->gc.call.request.params, TERN_STR("X-Who"));
    assert_non_null(who);
    assert_true(tern_str_eq(who->string, TERN_STR("ann")));
    start(w);
    w->gc.call.proto = &grpc; /* whose own pattern is none */
    assert_int_equal(gateway_take_params(&w->gc, &w->err), TERN_OK);
    assert_int_equal(w->gc.call.request.params.n, 0);
    tern_forward_free(forward);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_is_taken_and_kept),
        TEST(a_timeout_sets_the_earlier_deadline),
        TEST(a_configured_queue_takes_it_as_a_wait),
        TEST(wrong_kinds_are_refused),
        TEST(headers_come_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
