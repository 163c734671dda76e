/* gRPC's health protocol: both translations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "proto/grpc_health.h"

enum { CHECK, WATCH };

static void decode(struct fake_exchange *fake, const char *message, size_t n)
{
    struct tern_err err = {0};

    fake_init(fake);
    fake_body(fake, message, n);
    tern_exchange_body(&fake->x);
    fake->call.message = fake->x.body;
    if (tern_grpc_health.routes[WATCH].decode(&fake->call, &err) != TERN_OK)
        fail_msg("%s", err.text);
    memset(fake->body, 0, n); /* a watch outlives its message */
}

#define DECODE(fake, message) decode((fake), (message), sizeof(message) - 1)

static void the_server_has_several_names(void **state)
{
    (void)state;
    struct fake_exchange fake;
    DECODE(&fake, "");
    assert_int_equal(fake.call.model.n, 0);
    fake_fini(&fake);
    DECODE(&fake, "\x0a\x1einference.GRPCInferenceService");
    assert_int_equal(fake.call.model.n, 0);
    fake_fini(&fake);
    DECODE(&fake, "\x0a\x15grpc.health.v1.Health\x10\x01");
    assert_int_equal(fake.call.model.n, 0);
    fake_fini(&fake);
}

static void any_other_name_is_a_model(void **state)
{
    (void)state;
    struct fake_exchange fake;
    DECODE(&fake, "\x0a\x04iris");
    assert_true(tern_str_eq(fake.call.model, TERN_STR("iris")));
    fake_fini(&fake);
}

static void damaged_requests(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    fake.call.message = TERN_STR("\x0a\x01\xff");
    assert_int_equal(tern_grpc_health.routes[CHECK].decode(&fake.call, &err),
                     TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "malformed message: service is not UTF-8");
    fake.call.message = TERN_STR("\x0a\x05i");
    assert_int_equal(tern_grpc_health.routes[CHECK].decode(&fake.call, &err),
                     TERN_INVALID_ARGUMENT);
    fake_fini(&fake);
}

static void a_name_needs_memory(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_err err = {0};
    fake_init(&fake);
    fake.arena.max = 3;
    fake.call.message = TERN_STR("\x0a\x04iris");
    assert_int_equal(tern_grpc_health.routes[WATCH].decode(&fake.call, &err),
                     TERN_RESOURCE_EXHAUSTED);
    fake_fini(&fake);
}

static void statuses(void **state)
{
    (void)state;
    static const struct {
        enum tern_serving serving;
        const char *message;
    } rows[] = {
        {TERN_SERVING_UNKNOWN, ""},
        {TERN_SERVING_YES, "\x08\x01"},
        {TERN_SERVING_NO, "\x08\x02"},
        {TERN_SERVING_NO_SUCH, "\x08\x03"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        DECODE(&fake, "\x0a\x04iris");
        fake.call.serving = rows[i].serving;
        assert_int_equal(tern_grpc_health.routes[WATCH].encode(&fake.call, &err), TERN_OK);
        assert_string_equal(fake_response(&fake).p, rows[i].message);
        tern_exchange_body(&fake.x);
        enum tern_code code = tern_grpc_health.routes[CHECK].encode(&fake.call, &err);
        if (rows[i].serving == TERN_SERVING_NO_SUCH) {
            assert_int_equal(code, TERN_NOT_FOUND);
            assert_string_equal(err.text, "service: expected the name of a model, got 'iris'");
        } else {
            assert_int_equal(code, TERN_OK);
            assert_string_equal(fake_response(&fake).p, rows[i].message);
        }
        fake_fini(&fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_has_several_names),
        cmocka_unit_test(any_other_name_is_a_model),
        cmocka_unit_test(damaged_requests),
        cmocka_unit_test(a_name_needs_memory),
        cmocka_unit_test(statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
