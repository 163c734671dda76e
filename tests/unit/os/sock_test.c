/* Addresses as text, and sockets that are really bound. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "os/sock.h"

static void addresses(void **state)
{
    static const struct {
        const char *text;
        const char *back; /* NULL: refused */
    } rows[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080"},
        {"localhost:80", "127.0.0.1:80"},
        {"[::1]:0", "[::1]:0"},
        {"[2001:db8::1]:65535", "[2001:db8::1]:65535"},
        {":8080", "[::]:8080"},
        {"unix:/tmp/a.sock", "unix:/tmp/a.sock"},
        {"", NULL},
        {"8080", NULL},
        {"127.0.0.1", NULL},
        {"127.0.0.1:", NULL},
        {"127.0.0.1:65536", NULL},
        {"127.0.0.1:-1", NULL},
        {"127.0.0.1:+1", NULL},
        {"127.0.0.1: 1", NULL},
        {"256.0.0.1:80", NULL},
        {"::1:80", NULL},
        {"[::1]80", NULL},
        {"[::1:80", NULL},
        {"example.org:80", NULL},
        {"unix:", NULL},
        {"unix:/0123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890123456789",
         NULL},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_sock_addr addr;
        struct tern_err err;
        char back[TERN_SOCK_NAME_MAX];
        enum tern_code code = tern_sock_addr_parse(tern_str_of(rows[i].text), &addr, &err);
        if (rows[i].back == NULL) {
            if (code != TERN_INVALID_ARGUMENT)
                fail_msg("'%s' was accepted", rows[i].text);
            assert_non_null(strstr(err.text, "address: "));
            continue;
        }
        if (code != TERN_OK)
            fail_msg("'%s' was refused: %s", rows[i].text, err.text);
        tern_sock_addr_format(&addr, back);
        assert_string_equal(back, rows[i].back);
    }
}

static uint64_t network_of(const char *text)
{
    struct tern_sock_addr addr;

    assert_int_equal(tern_sock_addr_parse(tern_str_of(text), &addr, NULL), TERN_OK);
    return tern_sock_addr_network(&addr);
}

static void networks(void **state)
{
    (void)state;
    assert_true(network_of("1.2.3.4:1") == network_of("1.2.3.4:2"));
    assert_true(network_of("1.2.3.4:1") != network_of("1.2.3.5:1"));
    assert_true(network_of("[2001:db8::1]:1") == network_of("[2001:db8::ffff]:1"));
    assert_true(network_of("[2001:db8::1]:1") != network_of("[2001:db8:0:1::1]:1"));
    assert_true(network_of("[::ffff:1.2.3.4]:1") == network_of("1.2.3.4:1"));
    assert_true(network_of("unix:/x") == 0);
}

/* Binds, connects, sends through. */
static void talk(const char *text, bool share)
{
    struct tern_sock_addr addr;
    struct tern_sock_addr peer;
    char got[8] = "";
    int server = -1;
    int client = -1;
    int taken;

    assert_int_equal(tern_sock_addr_parse(tern_str_of(text), &addr, NULL), TERN_OK);
    assert_int_equal(tern_sock_listen(&addr, share, 8, &server, NULL), TERN_OK);
    assert_int_equal(tern_sock_accept(server, &peer), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(tern_sock_local(server, &addr, NULL), TERN_OK);
    assert_int_equal(tern_sock_connect(&addr, &client, NULL), TERN_OK);
    do {
        taken = tern_sock_accept(server, &peer);
    } while (taken < 0 && errno == EAGAIN);
    assert_true(taken >= 0);
    tern_sock_set_nodelay(taken);
    struct iovec iov[2] = {{(void *)(uintptr_t) "ab", 2}, {(void *)(uintptr_t) "cd", 2}};
    assert_int_equal(tern_sock_send(client, iov, 2), 4);
    ssize_t n;
    do {
        n = tern_sock_recv(taken, got, sizeof(got) - 1);
    } while (n < 0 && errno == EAGAIN);
    assert_int_equal(n, 4);
    assert_string_equal(got, "abcd");
    tern_sock_shutdown_write(client);
    do {
        n = tern_sock_recv(taken, got, sizeof(got));
    } while (n < 0 && errno == EAGAIN);
    assert_int_equal(n, 0);
    tern_sock_close(client);
    tern_sock_close(taken);
    tern_sock_close(server);
}

static void tcp(void **state)
{
    (void)state;
    talk("127.0.0.1:0", false);
    talk("127.0.0.1:0", true);
}

static void unix_sockets_and_stale_files(void **state)
{
    char path[64];
    char text[80];
    struct tern_sock_addr addr;
    struct stat st;
    int first = -1;
    int second = -1;

    (void)state;
    snprintf(path, sizeof(path), "/tmp/tern-sock-test-%ld", (long)getpid());
    snprintf(text, sizeof(text), "unix:%s", path);
    talk(text, false);
    assert_int_equal(stat(path, &st), 0); /* left behind, as after a crash */
    talk(text, false);
    /* Somebody listens: not ours to remove. */
    assert_int_equal(tern_sock_addr_parse(tern_str_of(text), &addr, NULL), TERN_OK);
    assert_int_equal(tern_sock_listen(&addr, false, 8, &first, NULL), TERN_OK);
    assert_int_equal(tern_sock_listen(&addr, false, 8, &second, NULL), TERN_ALREADY_EXISTS);
    tern_sock_close(first);
    unlink(path);
}

static void a_taken_port_is_said(void **state)
{
    struct tern_sock_addr addr;
    struct tern_err err;
    int first = -1;
    int second = -1;

    (void)state;
    assert_int_equal(tern_sock_addr_parse(TERN_STR("127.0.0.1:0"), &addr, NULL), TERN_OK);
    assert_int_equal(tern_sock_listen(&addr, false, 8, &first, NULL), TERN_OK);
    assert_int_equal(tern_sock_local(first, &addr, NULL), TERN_OK);
    assert_int_equal(tern_sock_listen(&addr, false, 8, &second, &err), TERN_ALREADY_EXISTS);
    assert_non_null(strstr(err.text, "cannot listen on 127.0.0.1:"));
    tern_sock_close(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(networks),
        cmocka_unit_test(tcp),
        cmocka_unit_test(unix_sockets_and_stale_files),
        cmocka_unit_test(a_taken_port_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
