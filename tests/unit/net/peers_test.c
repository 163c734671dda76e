#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "net/peers.h"

static void test_a_network_has_a_cap(void **state)
{
    static struct tern_peers peers = {.seed = 7, .max = 2};
    uint32_t a = 0, b = 0, other = 0;

    (void)state;
    assert_true(tern_peers_enter(&peers, 1, &a));
    assert_true(tern_peers_enter(&peers, 1, &b));
    assert_int_equal(a, b);
    assert_false(tern_peers_enter(&peers, 1, &b));
    assert_true(tern_peers_enter(&peers, 2, &other));
    assert_int_not_equal(other, a);
    tern_peers_leave(&peers, a); /* the refused one was not counted */
    assert_true(tern_peers_enter(&peers, 1, &b));
    assert_false(tern_peers_enter(&peers, 1, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_network_has_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
