/* Real processes: the test forks a supervising parent, which forks servers. Everything waits on
 * pipes and sockets; a hang is ended by alarm(2). */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <cmocka.h>
#include "os/supervise.c" // the delays are static
#include "os/logsink.h"

struct server {
    int listen_fd;
    int pipe_fd; /* one byte for each thing that happened */
    int (*run)(struct server *server, uint32_t start);
};

struct hello {
    pid_t pid;
    uint32_t start;
};

static int told_fd;

static void tell_and_leave(int signo)
{
    char c = signo == SIGTERM ? 'T' : signo == SIGINT ? 'I' : 'H';
    ssize_t n = write(told_fd, &c, 1);
    if (signo != SIGHUP)
        _exit(n == 1 ? 7 : 8);
}

static void tell(int fd, char c)
{
    assert_int_equal(write(fd, &c, 1), 1);
}

static char hear(int fd)
{
    char c = 0;
    ssize_t n = read(fd, &c, 1);
    return n == 1 ? c : '\0'; /* end of file: all writers are gone */
}

/* Greets one client after the other with its pid and, until that one leaves, does what it says:
 * dies by the signal whose number comes. Whoever connects meanwhile waits in the socket's queue. */
static int run_greeter(struct server *server, uint32_t start)
{
    struct sigaction catch = {.sa_handler = tell_and_leave, .sa_flags = SA_RESTART};

    told_fd = server->pipe_fd;
    signal(SIGSEGV, SIG_DFL); /* sanitizers have a handler of their own */
    sigaction(SIGTERM, &catch, NULL);
    sigaction(SIGINT, &catch, NULL);
    sigaction(SIGHUP, &catch, NULL);
    tell(server->pipe_fd, 'u');
    /* Not in accept: ThreadSanitizer runs handlers at once only in calls like epoll_wait. */
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, server->listen_fd, &event) != 0)
        return 10;
    for (;;) {
        if (epoll_wait(epoll, &event, 1, -1) != 1)
            continue;
        int fd = accept(server->listen_fd, NULL, NULL);
        if (fd < 0)
            continue;
        struct hello hello = {.pid = getpid(), .start = start};
        unsigned char order;
        if (write(fd, &hello, sizeof(hello)) < 0)
            return 9;
        while (read(fd, &order, 1) == 1)
            raise(order);
        close(fd);
    }
}

static int run_aborts(struct server *server, uint32_t start)
{
    (void)start;
    tell(server->pipe_fd, 'a');
    signal(SIGABRT, SIG_DFL);
    abort();
}

static int run_returns(struct server *server, uint32_t start)
{
    (void)start;
    tell(server->pipe_fd, 'r');
    return 3;
}

static int child(void *arg, uint32_t start)
{
    struct server *server = arg;
    return server->run(server, start);
}

/* Forks the parent; its exit status is what tern_supervise_run said. */
static pid_t start_parent(struct server *server, uint64_t delay_ns_, uint32_t crashes_max)
{
    pid_t test = getpid();
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    /* A test that fails leaves nobody behind: the parent goes with it, the server with the parent.
     */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != test)
        _exit(97);
    struct tern_log log;
    struct tern_supervise spec;
    struct tern_err err;
    int status = 99;
    tern_log_init(&log, tern_logsink_direct(2), TERN_LOG_ERROR, TERN_LOG_TEXT, false);
    tern_supervise_defaults(&spec);
    spec.child = child;
    spec.arg = server;
    spec.log = &log;
    spec.delay_min_ns = delay_ns_;
    spec.crashes_max = crashes_max;
    if (tern_supervise_run(&spec, &status, &err) != TERN_OK)
        status = 98;
    _exit(status);
}

static int wait_status(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int dial(const struct sockaddr_in *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)addr, sizeof(*addr)), 0);
    return fd;
}

static struct hello greeting(int fd)
{
    struct hello hello = {0};

    assert_int_equal(recv(fd, &hello, sizeof(hello), MSG_WAITALL), sizeof(hello));
    return hello;
}

/* The server that greeted this client dies. Its end of the connection goes with it: after that no
 * code of it runs. */
static void order_death(int fd, int signo)
{
    unsigned char order = (unsigned char)signo;
    char byte;

    assert_int_equal(write(fd, &order, 1), 1);
    assert_true(read(fd, &byte, 1) <= 0);
    close(fd);
}

static int open_pipe(struct server *server)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    server->pipe_fd = fds[1];
    return fds[0];
}

static struct sockaddr_in open_listener(struct server *server)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(addr);

    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(server->listen_fd, 64), 0);
    assert_int_equal(getsockname(server->listen_fd, (struct sockaddr *)&addr, &n), 0);
    return addr;
}

static void test_crash_does_not_close_the_socket(void **state)
{
    struct server server = {.run = run_greeter};
    struct sockaddr_in addr = open_listener(&server);
    int from = open_pipe(&server);
    pid_t parent = start_parent(&server, 20 * TERN_NS_PER_MS, 10);

    (void)state;
    static const int signals[] = {SIGSEGV, SIGKILL};
    int now = dial(&addr);
    struct hello before = greeting(now);
    assert_int_equal(before.start, 0);
    for (uint32_t i = 0; i < 2; i++) {
        int waiting = dial(&addr); /* the server is busy with the other: this one is in the queue */
        order_death(now, signals[i]);
        int late = dial(&addr); /* between two servers */
        struct hello hello = greeting(waiting);
        assert_int_equal(hello.start, i + 1);
        assert_int_not_equal(hello.pid, before.pid);
        close(waiting);
        before = greeting(late);
        assert_int_equal(before.pid, hello.pid);
        now = late;
    }
    close(now);
    assert_int_equal(kill(parent, SIGTERM), 0);
    assert_int_equal(wait_status(parent), 7);
    close(server.pipe_fd);
    char heard[8] = {0};
    for (size_t i = 0; i < 6 && (heard[i] = hear(from)) != '\0'; i++)
        continue;
    assert_string_equal(heard, "uuuT");
    close(from);
    close(server.listen_fd);
}

static void test_signals_are_passed_on(void **state)
{
    struct server server = {.run = run_greeter, .listen_fd = -1};
    open_listener(&server);
    int from = open_pipe(&server);
    pid_t parent = start_parent(&server, TERN_NS_PER_MS, 10);

    (void)state;
    assert_int_equal(hear(from), 'u');
    assert_int_equal(kill(parent, SIGHUP), 0);
    assert_int_equal(hear(from), 'H');
    assert_int_equal(kill(parent, SIGINT), 0);
    assert_int_equal(hear(from), 'I');
    assert_int_equal(wait_status(parent), 7);
    close(from);
    close(server.pipe_fd);
    close(server.listen_fd);
}

static void test_gives_up(void **state)
{
    struct server server = {.run = run_aborts};
    int from = open_pipe(&server);
    pid_t parent = start_parent(&server, TERN_NS_PER_MS, 3);

    (void)state;
    assert_int_equal(wait_status(parent), 128 + SIGABRT);
    close(server.pipe_fd);
    assert_int_equal(hear(from), 'a');
    assert_int_equal(hear(from), 'a');
    assert_int_equal(hear(from), 'a');
    assert_int_equal(hear(from), '\0');
    close(from);
}

static void test_own_exit_is_final(void **state)
{
    struct server server = {.run = run_returns};
    int from = open_pipe(&server);
    pid_t parent = start_parent(&server, TERN_NS_PER_MS, 3);

    (void)state;
    assert_int_equal(wait_status(parent), 3);
    close(server.pipe_fd);
    assert_int_equal(hear(from), 'r');
    assert_int_equal(hear(from), '\0');
    close(from);
}

static void test_stop_between_children(void **state)
{
    struct server server = {.run = run_aborts};
    int from = open_pipe(&server);
    pid_t parent = start_parent(&server, 100 * (uint64_t)TERN_NS_PER_S, 3);

    (void)state;
    assert_int_equal(hear(from), 'a');
    /* The delay is capped at 10 s: ending sooner than the alarm shows that it did not wait. */
    assert_int_equal(kill(parent, SIGTERM), 0);
    int status = wait_status(parent);
    assert_true(status == 128 + SIGTERM || status == 128 + SIGABRT);
    close(from);
    close(server.pipe_fd);
}

static void test_parent_is_killed(void **state)
{
    struct server server = {.run = run_greeter, .listen_fd = -1};
    open_listener(&server);
    int from = open_pipe(&server);
    pid_t parent = start_parent(&server, TERN_NS_PER_MS, 10);

    (void)state;
    assert_int_equal(hear(from), 'u');
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(wait_status(parent), 1000 + SIGKILL);
    close(server.pipe_fd);
    assert_int_equal(hear(from), 'T');
    assert_int_equal(hear(from), '\0'); /* the orphan is gone */
    close(from);
    close(server.listen_fd);
}

static void test_delays(void **state)
{
    struct tern_supervise spec;

    (void)state;
    tern_supervise_defaults(&spec);
    assert_int_equal(delay_ns(&spec, 1), 100 * TERN_NS_PER_MS);
    assert_int_equal(delay_ns(&spec, 2), 200 * TERN_NS_PER_MS);
    assert_int_equal(delay_ns(&spec, 7), 6400 * (uint64_t)TERN_NS_PER_MS);
    assert_int_equal(delay_ns(&spec, 8), 10 * (uint64_t)TERN_NS_PER_S);
    assert_int_equal(delay_ns(&spec, 4000000000u), 10 * (uint64_t)TERN_NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_does_not_close_the_socket),
        cmocka_unit_test(test_signals_are_passed_on),
        cmocka_unit_test(test_gives_up),
        cmocka_unit_test(test_own_exit_is_final),
        cmocka_unit_test(test_stop_between_children),
        cmocka_unit_test(test_parent_is_killed),
        cmocka_unit_test(test_delays),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
