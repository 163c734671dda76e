// covers: net/listener
// wrap: tern_sock_accept
/* Real threads, real TCP and Unix sockets: listeners, caps, running out of descriptors, draining.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "net/mux_h1.h"
#include "net/server.h"
#include "os/thread.h"

#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

static atomic_int accepts_without_room;

int __real_tern_sock_accept(int fd, struct tern_sock_addr *ret_peer);
int __wrap_tern_sock_accept(int fd, struct tern_sock_addr *ret_peer);
int __wrap_tern_sock_accept(int fd, struct tern_sock_addr *ret_peer)
{
    if (atomic_load(&accepts_without_room) > 0) {
        atomic_fetch_sub(&accepts_without_room, 1);
        errno = EMFILE;
        return -1;
    }
    return __real_tern_sock_accept(fd, ret_peer);
}

static void on_request(void *self, struct tern_exchange *x)
{
    (void)self;
    x->status = 200;
    x->response_type = TERN_STR("text/plain");
    tern_buf_add_str(tern_exchange_body(x), x->peer);
    tern_exchange_send(x, true);
}

static void on_refused(void *self, struct tern_exchange *x, const struct tern_err *err)
{
    (void)self;
    (void)err;
    tern_exchange_send(x, true);
}

static const struct tern_handler handler = {.on_request = on_request, .on_refused = on_refused};

struct fixture {
    struct tern_listener *listeners[2];
    struct tern_server *server;
    char unix_path[64];
};

static struct fixture *start(uint32_t n_loops, const struct tern_net_limits *limits)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char unix_name[80];
    struct tern_err err;

    if (f == NULL)
        abort();
    snprintf(f->unix_path, sizeof(f->unix_path), "/tmp/tern-server-test-%ld", (long)getpid());
    snprintf(unix_name, sizeof(unix_name), "unix:%s", f->unix_path);
    struct tern_listener_config config = {
        .address = TERN_STR("127.0.0.1:0"), .body_max = 1 << 20, .memory_max = 1 << 20};
    assert_int_equal(tern_listener_open(&config, n_loops, &f->listeners[0], &err), TERN_OK);
    config.address = tern_str_of(unix_name);
    config.admin = true;
    assert_int_equal(tern_listener_open(&config, n_loops, &f->listeners[1], &err), TERN_OK);
    const struct tern_server_config server = {.n_loops = n_loops,
                                              .handler = &handler,
                                              .limits = *limits,
                                              .h1 = &tern_mux_h1,
                                              .listeners = f->listeners,
                                              .n_listeners = 2};
    assert_int_equal(tern_server_new(&server, &f->server, &err), TERN_OK);
    assert_int_equal(tern_server_start(f->server, &err), TERN_OK);
    return f;
}

static void stop(struct fixture *f)
{
    tern_server_stop(f->server);
    tern_server_free(f->server);
    tern_listener_close(f->listeners[0]);
    tern_listener_close(f->listeners[1]);
    assert_int_not_equal(access(f->unix_path, F_OK), 0);
    free(f);
}

static int dial(const struct tern_listener *listener)
{
    struct tern_sock_addr addr;
    int fd = -1;

    assert_int_equal(tern_sock_addr_parse(listener->info.name, &addr, NULL), TERN_OK);
    assert_int_equal(tern_sock_connect(&addr, &fd, NULL), TERN_OK);
    return fd;
}

static void say(int fd, const char *text)
{
    struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    assert_int_equal(poll(&p, 1, 5000), 1);
    (void)tern_sock_send(fd, &iov, 1);
}

/* What came until an answer is complete (it ends with `until`) or the connection ended. */
static ssize_t hear(int fd, char *dst, size_t cap)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    memset(dst, 0, cap);
    assert_int_equal(poll(&p, 1, 5000), 1);
    return tern_sock_recv(fd, dst, cap - 1);
}

static const struct tern_net_limits defaults = TERN_NET_LIMITS_DEFAULT;

static void loops_share_the_work(void **state)
{
    struct fixture *f = start(2, &defaults);
    char got[1024];
    int fds[40];

    (void)state;
    for (int i = 0; i < 40; i++)
        fds[i] = dial(f->listeners[i % 4 == 0]);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 40; i++)
            say(fds[i], GET);
        for (int i = 0; i < 40; i++) {
            assert_true(hear(fds[i], got, sizeof(got)) > 0);
            assert_non_null(strstr(got, i % 4 == 0 ? "\r\n\r\nunix" : "\r\n\r\n127.0.0.1:"));
        }
    }
    assert_int_equal(tern_server_count(f->server, offsetof(struct tern_net_counters, requests)),
                     800);
    for (int i = 0; i < 40; i++)
        close(fds[i]);
    assert_true(tern_server_wait(f->server, 5ull * TERN_NS_PER_S));
    stop(f);
}

static void draining_closes_idle_connections(void **state)
{
    struct fixture *f = start(2, &defaults);
    char got[1024];
    int fds[8];

    (void)state;
    for (int i = 0; i < 8; i++) {
        fds[i] = dial(f->listeners[0]);
        say(fds[i], GET);
        assert_true(hear(fds[i], got, sizeof(got)) > 0);
    }
    tern_server_drain(f->server);
    tern_server_drain(f->server);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(hear(fds[i], got, sizeof(got)), 0);
        close(fds[i]);
    }
    assert_true(tern_server_wait(f->server, 5ull * TERN_NS_PER_S));
    stop(f);
}

static void stop_cuts_off_what_is_left(void **state)
{
    struct fixture *f = start(1, &defaults);
    char got[64];

    (void)state;
    int fd = dial(f->listeners[0]);
    say(fd, "GET /unfinished");
    while (tern_server_count(f->server, offsetof(struct tern_net_counters, exchanges_begun)) == 0)
        tern_thread_sleep_ns(TERN_NS_PER_MS);
    assert_false(tern_server_wait(f->server, 5 * TERN_NS_PER_MS));
    stop(f);
    assert_true(hear(fd, got, sizeof(got)) <= 0);
    close(fd);
}

static void connections_are_capped(void **state)
{
    struct tern_net_limits limits = defaults;
    char got[1024];
    int fds[4];

    (void)state;
    limits.conns_per_ip_max = 3;
    struct fixture *f = start(1, &limits);
    for (int i = 0; i < 3; i++) {
        fds[i] = dial(f->listeners[0]);
        say(fds[i], GET);
        assert_true(hear(fds[i], got, sizeof(got)) > 0);
    }
    fds[3] = dial(f->listeners[0]);
    assert_true(hear(fds[3], got, sizeof(got)) <= 0);
    close(fds[3]);
    fds[3] = dial(f->listeners[1]); /* Unix sockets have no address to count by */
    say(fds[3], GET);
    assert_true(hear(fds[3], got, sizeof(got)) > 0);
    close(fds[0]); /* gives its place to the next */
    while (tern_server_count(f->server, offsetof(struct tern_net_counters, conns_closed)) < 1)
        tern_thread_sleep_ns(TERN_NS_PER_MS);
    fds[0] = dial(f->listeners[0]);
    say(fds[0], GET);
    assert_true(hear(fds[0], got, sizeof(got)) > 0);
    assert_int_equal(
        tern_server_count(f->server, offsetof(struct tern_net_counters, conns_refused)), 1);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    stop(f);

    limits = defaults;
    limits.conns_max = 1;
    f = start(1, &limits);
    fds[0] = dial(f->listeners[0]);
    say(fds[0], GET);
    assert_true(hear(fds[0], got, sizeof(got)) > 0);
    fds[1] = dial(f->listeners[1]);
    assert_true(hear(fds[1], got, sizeof(got)) <= 0);
    close(fds[0]);
    close(fds[1]);
    stop(f);
}

static void no_descriptor_left_is_survived(void **state)
{
    struct fixture *f = start(1, &defaults);
    char got[1024];
    size_t pauses = offsetof(struct tern_net_counters, accept_pauses);

    (void)state;
    atomic_store(&accepts_without_room, 1);
    int first = dial(f->listeners[0]);
    /* The reserve lets one in, to be closed at once; then the loop looks away. */
    assert_true(hear(first, got, sizeof(got)) <= 0);
    assert_int_equal(tern_server_count(f->server, pauses), 1);
    int second = dial(f->listeners[0]);
    say(second, GET);
    assert_true(hear(second, got, sizeof(got)) > 0);
    assert_non_null(strstr(got, "200 OK"));
    assert_int_equal(tern_server_count(f->server, pauses), 1);
    close(first);
    close(second);
    stop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_share_the_work),
        cmocka_unit_test(draining_closes_idle_connections),
        cmocka_unit_test(stop_cuts_off_what_is_left),
        cmocka_unit_test(connections_are_capped),
        cmocka_unit_test(no_descriptor_left_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
