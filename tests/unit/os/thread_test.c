/* Threads: they run, they are named, they hear no signals. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "os/thread.h"

struct report {
    char name[16];
    bool deaf;
};

static void run(void *arg)
{
    struct report *report = arg;
    sigset_t mask;

    (void)pthread_getname_np(pthread_self(), report->name, sizeof(report->name));
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    report->deaf = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGHUP) == 1;
}

static void a_thread_has_a_name_and_no_signals(void **state)
{
    struct tern_thread thread;
    struct report report = {0};
    sigset_t mask;

    (void)state;
    assert_int_equal(tern_thread_start(&thread, "a-name-that-is-too-long", tern_thread_cpu(0), run,
                                       &report, NULL),
                     TERN_OK);
    tern_thread_join(&thread);
    assert_string_equal(report.name, "a-name-that-is-");
    assert_true(report.deaf);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGTERM), 0);
}

static void cpus_wrap_around(void **state)
{
    cpu_set_t set;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    uint32_t n = (uint32_t)CPU_COUNT(&set);
    assert_true(tern_thread_cpu(0) >= 0);
    assert_int_equal(tern_thread_cpu(n), tern_thread_cpu(0));
}

static void sleeping_takes_its_time(void **state)
{
    uint64_t before = tern_clock_mono_ns();

    (void)state;
    tern_thread_sleep_ns(2 * TERN_NS_PER_MS);
    assert_true(tern_clock_mono_ns() - before >= 2 * TERN_NS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_a_name_and_no_signals),
        cmocka_unit_test(cpus_wrap_around),
        cmocka_unit_test(sleeping_takes_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
