#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
#include "os/signals.h"

static int got[8];
static int n_got;

static void on_signal(struct tern_signals *self, int signo)
{
    got[n_got++] = signo;
    if (n_got == 3)
        tern_loop_stop(self->loop);
}

static void test_signals_arrive_on_the_loop(void **state)
{
    struct tern_loop *loop = NULL;
    struct tern_signals signals;

    (void)state;
    tern_signals_block();
    assert_int_equal(tern_loop_new(0, 16, &loop, NULL), TERN_OK);
    assert_int_equal(tern_signals_open(&signals, loop, on_signal, NULL), TERN_OK);
    /* Blocked: none of these ends the process; sent before the loop runs, none is lost. */
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGHUP);
    kill(getpid(), SIGUSR1);
    tern_loop_run(loop);
    assert_int_equal(n_got, 3);
    assert_int_equal(got[0] + got[1] + got[2], SIGTERM + SIGHUP + SIGUSR1);
    tern_signals_close(&signals);
    tern_signals_close(&signals); /* twice is harmless */
    tern_loop_free(loop);
}

static void test_sigpipe_is_an_error_code(void **state)
{
    int fds[2];

    (void)state;
    tern_signals_block();
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    assert_int_equal(write(fds[1], "x", 1), -1);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals_arrive_on_the_loop),
        cmocka_unit_test(test_sigpipe_is_an_error_code),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
