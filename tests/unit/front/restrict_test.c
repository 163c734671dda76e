/* Restricted families: who is let in, what is said, and rules that cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "front/restrict.h"
#include "proto/grpc.h"
#include "proto/protos.h"

static const struct tern_proto http = {.name = "http"};
static const struct tern_proto grpc = {.name = "grpc", .is_grpc = true};
static const struct tern_str some[] = {{"inference", 9}, {"model-repository", 16}};

#define RULE(over_)                                                                              \
    {                                                                                            \
        .families = some, .n_families = 2, .header = {"X-Key", 5}, .value = {"open sesame", 11}, \
        .over = TERN_RESTRICT_OVER_##over_                                                       \
    }

static enum tern_code ask(const struct tern_restrict *restrict_, const struct tern_proto *proto,
                          enum tern_op op, const char *value, struct tern_err *err)
{
    struct tern_header headers[2] = {{TERN_STR("host"), TERN_STR("a")}};
    struct tern_exchange x = {.headers = headers, .n_headers = 1};

    if (value != NULL)
        headers[x.n_headers++] = (struct tern_header){TERN_STR("x-key"), tern_str_of(value)};
    return tern_restrict_check(restrict_, &x, proto, op, err);
}

static void only_who_has_the_value_is_let_in(void **state)
{
    static const char *const wrong[] = {
        NULL, "", "open sesam", "open sesame ", "open sesamE", "Open sesame", "open sesame!"};
    const struct tern_restrict_rule rule = RULE(ANY);
    struct tern_restrict restrict_ = {.http = {{.header = {NULL, 0}}}};
    struct tern_err err;

    (void)state;
    assert_int_equal(tern_restrict_add(&restrict_, &rule, &err), TERN_OK);
    for (size_t i = 0; i < TERN_COUNT_OF(wrong); i++) {
        assert_int_equal(ask(&restrict_, &http, TERN_OP_INFER, wrong[i], &err),
                         TERN_PERMISSION_DENIED);
        assert_int_equal(tern_err_http_status(&err), 403);
        assert_string_equal(err.text, "This API is restricted, expecting header 'X-Key'");
        assert_int_equal(ask(&restrict_, &grpc, TERN_OP_REPOSITORY_LOAD, wrong[i], &err),
                         TERN_UNAVAILABLE);
        assert_string_equal(err.text, "This protocol is restricted, expecting header 'X-Key'");
    }
    assert_int_equal(ask(&restrict_, &http, TERN_OP_INFER, "open sesame", &err), TERN_OK);
    assert_int_equal(ask(&restrict_, &grpc, TERN_OP_REPOSITORY_INDEX, "open sesame", &err),
                     TERN_OK);
}

static void other_families_are_open(void **state)
{
    const struct tern_restrict_rule rule = RULE(ANY);
    struct tern_restrict restrict_ = {.http = {{.header = {NULL, 0}}}};
    struct tern_err err;

    (void)state;
    assert_int_equal(ask(&restrict_, &http, TERN_OP_INFER, NULL, &err), TERN_OK);
    assert_int_equal(tern_restrict_add(&restrict_, &rule, &err), TERN_OK);
    assert_int_equal(ask(&restrict_, &http, TERN_OP_SERVER_LIVE, NULL, &err), TERN_OK);
    assert_int_equal(ask(&restrict_, &http, TERN_OP_METRICS, NULL, &err), TERN_OK);
}

static void a_rule_may_be_about_one_of_http_and_grpc(void **state)
{
    const struct tern_restrict_rule over_http = RULE(HTTP), over_grpc = RULE(GRPC);
    struct tern_restrict restrict_ = {.http = {{.header = {NULL, 0}}}};
    struct tern_err err;

    (void)state;
    assert_int_equal(tern_restrict_add(&restrict_, &over_http, &err), TERN_OK);
    assert_int_equal(ask(&restrict_, &http, TERN_OP_INFER, NULL, &err), TERN_PERMISSION_DENIED);
    assert_int_equal(ask(&restrict_, &grpc, TERN_OP_INFER, NULL, &err), TERN_OK);
    assert_int_equal(tern_restrict_add(&restrict_, &over_grpc, &err), TERN_OK);
    assert_int_equal(ask(&restrict_, &grpc, TERN_OP_INFER, NULL, &err), TERN_UNAVAILABLE);
}

static void every_operation_of_a_family_has_its_name(void **state)
{
    static const char *const names[] = {"health",        "metadata",     "inference",
                                        "shared-memory", "model-config", "model-repository",
                                        "statistics",    "trace",        "logging"};
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(names); i++) {
        const struct tern_str name = tern_str_of(names[i]);
        struct tern_restrict restrict_ = {.http = {{.header = {NULL, 0}}}};
        struct tern_restrict_rule rule = RULE(ANY);
        struct tern_err err;
        rule.families = &name;
        rule.n_families = 1;
        assert_int_equal(tern_restrict_add(&restrict_, &rule, &err), TERN_OK);
        for (int op = 0; op < TERN_OP_COUNT; op++) {
            bool is_in = tern_op_family((enum tern_op)op) == (enum tern_family)(i + 1);
            enum tern_code code = ask(&restrict_, &http, (enum tern_op)op, NULL, &err);
            assert_int_equal(code, is_in ? TERN_PERMISSION_DENIED : TERN_OK);
        }
    }
}

/* One that forgot to say so would be under the wrong rules. */
static void every_dialect_of_grpc_says_so(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_PROTOS_N; i++)
        assert_int_equal(tern_protos[i]->is_grpc, tern_protos[i]->claims == tern_grpc_claims);
}

static void rules_that_cannot_be(void **state)
{
    static const struct tern_str unknown[] = {{"inferense", 9}};
    struct tern_restrict restrict_ = {.http = {{.header = {NULL, 0}}}};
    struct tern_restrict_rule rule = RULE(ANY);
    struct tern_err err;

    (void)state;
    rule.n_families = 0;
    assert_int_equal(tern_restrict_add(&restrict_, &rule, &err), TERN_INVALID_ARGUMENT);
    rule = (struct tern_restrict_rule)RULE(ANY);
    rule.header = TERN_STR("X Key");
    assert_int_equal(tern_restrict_add(&restrict_, &rule, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "expected the name of a header, got \"X Key\"");
    rule = (struct tern_restrict_rule)RULE(ANY);
    rule.value = TERN_STR("");
    assert_int_equal(tern_restrict_add(&restrict_, &rule, &err), TERN_INVALID_ARGUMENT);
    rule = (struct tern_restrict_rule)RULE(ANY);
    rule.families = unknown;
    rule.n_families = 1;
    assert_int_equal(tern_restrict_add(&restrict_, &rule, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "no such family of operations: \"inferense\", expected of: "
                                     "health, metadata, inference"));
    rule = (struct tern_restrict_rule)RULE(ANY);
    assert_int_equal(tern_restrict_add(&restrict_, &rule, &err), TERN_OK);
    assert_int_equal(tern_restrict_add(&restrict_, &rule, &err), TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "the family inference is restricted twice");
    assert_null(strstr(err.text, "sesame"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_has_the_value_is_let_in),
        cmocka_unit_test(other_families_are_open),
        cmocka_unit_test(a_rule_may_be_about_one_of_http_and_grpc),
        cmocka_unit_test(every_operation_of_a_family_has_its_name),
        cmocka_unit_test(every_dialect_of_grpc_says_so),
        cmocka_unit_test(rules_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
