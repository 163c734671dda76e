/* The measured wake-up stays within its bounds, whatever the clock says. */
// wrap: tern_clock_mono_ns pthread_create
/* A clock that moves by `step` each time it is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include "base/clock.h"
#include "sched/wakeup.h"

static uint64_t now, step;
static bool no_threads;

uint64_t __wrap_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void)
{
    return now += step;
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    return no_threads ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}

static void test_the_median_within_bounds(void **state)
{
    (void)state;
    step = 1;
    assert_int_equal(tern_wakeup_measure_ns(), 20000);
    step = 70000;
    assert_int_equal(tern_wakeup_measure_ns(), 70000);
    step = 1000000;
    assert_int_equal(tern_wakeup_measure_ns(), 200000);
}

static void test_without_a_thread_it_guesses(void **state)
{
    (void)state;
    no_threads = true;
    assert_int_equal(tern_wakeup_measure_ns(), 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_median_within_bounds),
        cmocka_unit_test(test_without_a_thread_it_guesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
