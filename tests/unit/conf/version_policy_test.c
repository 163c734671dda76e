#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "base/compiler.h"
#include "conf/version_policy.h"

static void test_texts(void **state)
{
    static const struct {
        const char *text;
        bool good;
        enum tern_version_policy_kind kind;
        uint32_t n;
    } rows[] = {
        {"latest", true, TERN_VERSION_POLICY_LATEST, 1},
        {"latest:3", true, TERN_VERSION_POLICY_LATEST, 3},
        {"all", true, TERN_VERSION_POLICY_ALL, 0},
        {"specific:1, 4", true, TERN_VERSION_POLICY_SPECIFIC, 2},
        {"latest:0", false, 0, 0},
        {"latest:", false, 0, 0},
        {"latest:x", false, 0, 0},
        {"latest:4294967296", false, 0, 0},
        {"all:1", false, 0, 0},
        {"specific", false, 0, 0},
        {"specific:", false, 0, 0},
        {"specific:1,", false, 0, 0},
        {"specific:1,,2", false, 0, 0},
        {"specific:0", false, 0, 0},
        {"newest", false, 0, 0},
        {"", false, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_version_policy policy;
        if (tern_version_policy_parse(tern_str_of(rows[i].text), &policy) != rows[i].good)
            fail_msg("'%s'", rows[i].text);
        if (!rows[i].good)
            continue;
        assert_int_equal(policy.kind, rows[i].kind);
        if (policy.kind == TERN_VERSION_POLICY_LATEST)
            assert_int_equal(policy.latest, rows[i].n);
        if (policy.kind == TERN_VERSION_POLICY_SPECIFIC)
            assert_int_equal(policy.n_specific, rows[i].n);
    }
}

static void test_as_many_as_there_is_room_for(void **state)
{
    struct tern_version_policy policy;
    char text[16 + 3 * (TERN_VERSION_POLICY_MAX + 1)] = "specific:10";

    (void)state;
    for (int i = 1; i < TERN_VERSION_POLICY_MAX; i++)
        memcpy(text + 8 + 3 * i, ",10", 4);
    text[8] = ':';
    assert_true(tern_version_policy_parse(tern_str_of(text), &policy));
    assert_int_equal(policy.n_specific, TERN_VERSION_POLICY_MAX);
    memcpy(text + strlen(text), ",10", 4);
    assert_false(tern_version_policy_parse(tern_str_of(text), &policy));
}

static void check(const char *text, const char *wanted)
{
    static const int64_t versions[] = {1, 2, 5};
    struct tern_version_policy policy;
    bool served[3];
    uint32_t n = 0;

    assert_true(tern_version_policy_parse(tern_str_of(text), &policy));
    uint32_t answered = tern_version_policy_apply(&policy, versions, 3, served);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(served[i], wanted[i] == 'x');
        n += served[i];
    }
    assert_int_equal(answered, n);
}

static void test_which_are_served(void **state)
{
    (void)state;
    check("latest", "--x");
    check("latest:2", "-xx");
    check("latest:9", "xxx");
    check("all", "xxx");
    check("specific:1, 3", "x--");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_as_many_as_there_is_room_for),
        cmocka_unit_test(test_which_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
