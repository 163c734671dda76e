#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "core/trace.h"

#define GOOD "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static const struct {
    const char *header;
    bool ok;
} cases[] = {
    {GOOD, true},
    {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true},
    {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", true},
    {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true}, /* later version */
    {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-follows", true},
    {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01what", false},
    {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
    {GOOD "-extra", false}, /* version 00 */
    {GOOD " ", false},
    {" " GOOD, false},
    {"", false},
    {"00", false},
    {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false},
    {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-", false},
    {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false}, /* upper case */
    {"00-4bf92f3577b34da6a3ce929d0e0e4736-00F067aa0ba902b7-01", false},
    {"0G-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
    {"00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", false},
    {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x", false},
    {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
    {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
    {"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
    {"00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01", false},
    {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01", false},
    {"00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01", false},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cases); i++) {
        struct tern_trace trace = {.flags = 0x55};
        bool ok = tern_trace_parse(tern_str_of(cases[i].header), &trace);
        if (ok != cases[i].ok)
            fail_msg("\"%s\" should %sbe taken", cases[i].header, cases[i].ok ? "" : "not ");
        if (!ok)
            assert_int_equal(trace.flags, 0x55); /* untouched */
    }
}

static void test_continue_a_trace(void **state)
{
    struct tern_trace_ids ids;
    struct tern_trace trace;
    struct tern_trace again;
    char text[TERN_TRACE_PARENT_LEN + 1];
    char id[33];

    (void)state;
    assert_int_equal(tern_trace_ids_init(&ids, NULL), TERN_OK);
    tern_trace_begin(&trace, TERN_STR(GOOD), &ids);
    tern_trace_format(&trace, text);
    assert_int_equal(strlen(text), TERN_TRACE_PARENT_LEN);
    assert_memory_equal(text, GOOD, 36);               /* the same trace */
    assert_memory_not_equal(text + 36, GOOD + 36, 16); /* a span of our own */
    assert_string_equal(text + 52, "-01");             /* sampled stays */
    tern_trace_format_id(&trace, id);
    assert_string_equal(id, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_true(tern_trace_parse(tern_str_of(text), &again));
    assert_memory_equal(again.parent_id, trace.span_id, 8);
}

static void test_begin_a_trace(void **state)
{
    struct tern_trace_ids ids;
    struct tern_trace a;
    struct tern_trace b;
    char text[TERN_TRACE_PARENT_LEN + 1];
    const uint8_t zero[8] = {0};

    (void)state;
    assert_int_equal(tern_trace_ids_init(&ids, NULL), TERN_OK);
    tern_trace_begin(&a, TERN_STR("nonsense"), &ids);
    tern_trace_begin(&b, (struct tern_str){NULL, 0}, &ids);
    assert_memory_not_equal(a.trace_id, b.trace_id, 16);
    assert_memory_equal(a.parent_id, zero, 8);
    assert_int_equal(a.flags & TERN_TRACE_SAMPLED, 0);
    tern_trace_format(&a, text);
    assert_true(tern_trace_parse(tern_str_of(text), &b));
}

static void test_ids(void **state)
{
    struct tern_trace_ids a;
    struct tern_trace_ids b;
    char one[TERN_REQUEST_ID_LEN + 1];
    char two[TERN_REQUEST_ID_LEN + 1];
    char long_id[200];

    (void)state;
    assert_int_equal(tern_trace_ids_init(&a, NULL), TERN_OK);
    assert_int_equal(tern_trace_ids_init(&b, NULL), TERN_OK);
    tern_trace_request_id(&a, one);
    tern_trace_request_id(&b, two);
    assert_string_not_equal(one, two);
    assert_int_equal(strlen(one), TERN_REQUEST_ID_LEN);
    assert_true(tern_trace_request_id_is_ok(tern_str_of(one)));
    assert_true(tern_trace_request_id_is_ok(TERN_STR("Abc-1_2.3:4/5+6=")));
    assert_false(tern_trace_request_id_is_ok(TERN_STR("")));
    assert_false(tern_trace_request_id_is_ok(TERN_STR("a b")));
    assert_false(tern_trace_request_id_is_ok(TERN_STR("a\0")));
    assert_false(tern_trace_request_id_is_ok(TERN_STR("a\r\nSet-Cookie: x")));
    memset(long_id, 'a', sizeof(long_id));
    assert_true(tern_trace_request_id_is_ok(tern_str_make(long_id, 128)));
    assert_false(tern_trace_request_id_is_ok(tern_str_make(long_id, 129)));
}

static void test_state(void **state)
{
    static char big[600];

    (void)state;
    memset(big, 'a', sizeof(big));
    assert_true(tern_trace_state_is_ok(TERN_STR("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")));
    assert_true(tern_trace_state_is_ok(tern_str_make(big, 512)));
    assert_false(tern_trace_state_is_ok(tern_str_make(big, 513)));
    assert_false(tern_trace_state_is_ok(TERN_STR("a=b\r\nX: y")));
    assert_false(tern_trace_state_is_ok(TERN_STR("a=\xc3\xa9")));
    assert_false(tern_trace_state_is_ok(TERN_STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),         cmocka_unit_test(test_continue_a_trace),
        cmocka_unit_test(test_begin_a_trace), cmocka_unit_test(test_ids),
        cmocka_unit_test(test_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
