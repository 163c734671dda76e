/* Programs as children: their output, their end, and that they do not outstay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "os/child.h"

static void run_shell(struct tern_child *child, const char *script, int output_fd)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    struct tern_err err;
    assert_int_equal(tern_child_start(child, argv, output_fd, &err), TERN_OK);
}

static void its_output_and_status_are_there(void **state)
{
    struct tern_child child;
    char text[32] = {0};
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    run_shell(&child, "cat; echo out; echo err >&2; exit 7", fds[1]); /* its input is empty */
    close(fds[1]);
    size_t n = 0;
    ssize_t got;
    while ((got = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0)
        n += (size_t)got;
    close(fds[0]);
    assert_string_equal(text, "out\nerr\n");
    while (tern_child_runs(&child))
        usleep(1000);
    assert_int_equal(WEXITSTATUS(child.status), 7);
    tern_child_stop(&child, 0); /* nothing to stop */
}

static void what_cannot_be_run_ends(void **state)
{
    const char *const argv[] = {"/nonexistent/program", NULL};
    struct tern_child child;
    struct tern_err err;

    (void)state;
    assert_int_equal(tern_child_start(&child, argv, STDERR_FILENO, &err), TERN_OK);
    while (tern_child_runs(&child))
        usleep(1000);
    assert_int_equal(WEXITSTATUS(child.status), 127);
}

static void who_does_not_listen_is_killed(void **state)
{
    struct tern_child child;
    char byte;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    run_shell(&child, "trap '' TERM; echo; while :; do :; done", fds[1]);
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1); /* it has its trap now */
    assert_true(tern_child_runs(&child));
    tern_child_stop(&child, 20 * TERN_NS_PER_MS);
    close(fds[0]);
    assert_false(tern_child_runs(&child));
    assert_int_equal(WTERMSIG(child.status), SIGKILL);
    run_shell(&child, "sleep 60", STDERR_FILENO);
    tern_child_stop(&child, 60 * (uint64_t)TERN_NS_PER_S);
    assert_int_equal(WTERMSIG(child.status), SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_output_and_status_are_there),
        cmocka_unit_test(what_cannot_be_run_ends),
        cmocka_unit_test(who_does_not_listen_is_killed),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
