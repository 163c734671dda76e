#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "os/procstat.h"

static void test_self(void **state)
{
    struct tern_procstat a;
    struct tern_procstat b;

    (void)state;
    assert_int_equal(tern_procstat_read(0, &a, NULL), TERN_OK);
    assert_true(a.resident_bytes > 100000 && a.virtual_bytes > a.resident_bytes);
    assert_int_equal(a.threads, 1);
    assert_true(a.open_fds >= 3 && a.max_fds >= a.open_fds);
    assert_true(a.start_wall_ns > 1600000000 * (uint64_t)TERN_NS_PER_S);
    assert_true(a.start_wall_ns <= tern_clock_wall_ns() + 20 * TERN_NS_PER_MS);
    int fd = dup(0);
    volatile uint64_t work = 0;
    uint64_t until = tern_clock_mono_ns() + 20 * TERN_NS_PER_MS;
    while (tern_clock_mono_ns() < until)
        work++;
    assert_int_equal(tern_procstat_read(getpid(), &b, NULL), TERN_OK);
    assert_int_equal(b.open_fds >= a.open_fds, 1);
    assert_int_equal(tern_procstat_read(0, &b, NULL), TERN_OK);
    assert_int_equal(b.open_fds, a.open_fds + 1);
    assert_true(b.user_ns + b.system_ns > a.user_ns + a.system_ns);
    close(fd);
}

static void test_a_name_with_brackets(void **state)
{
    struct tern_procstat s;

    (void)state;
    assert_int_equal(prctl(PR_SET_NAME, "x) R 1 (2 3"), 0);
    assert_int_equal(tern_procstat_read(getpid(), &s, NULL), TERN_OK);
    assert_int_equal(s.threads, 1);
}

static void test_nobody(void **state)
{
    struct tern_procstat s;

    (void)state;
    assert_int_equal(tern_procstat_read(0x7ffffffe, &s, NULL), TERN_NOT_FOUND);
}

static void test_the_machine(void **state)
{
    struct tern_procstat_machine before, now;

    (void)state;
    assert_int_equal(tern_procstat_read_machine(&before, NULL), TERN_OK);
    assert_true(before.busy_ticks > 0 && before.busy_ticks <= before.ticks);
    assert_true(before.memory_used_bytes > 0);
    assert_true(before.memory_used_bytes < before.memory_bytes);
    do /* idle ticks count too, so this ends; the kernel takes some back now and then */
        assert_int_equal(tern_procstat_read_machine(&now, NULL), TERN_OK);
    while (now.ticks <= before.ticks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_self),
        cmocka_unit_test(test_a_name_with_brackets),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
