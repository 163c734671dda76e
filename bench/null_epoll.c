/* The anchor: the least an HTTP/1.1 server on epoll can do. It looks for the empty line that ends a
 * head, answers a constant of about 135 bytes, keeps the connection, and knows nothing else: no
 * methods, no bodies, no limits, no time. What a real server costs is measured against it.
 *
 * Usage: null_epoll ADDRESS LOOPS (ADDRESS: 127.0.0.1:PORT). One pinned loop a thread with a
 * listening socket of its own (SO_REUSEPORT). Deliberately without the code of src/, but for the
 * socket port that binds. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/num.h"
#include "os/sock.h"
#include "os/thread.h"

#define FDS_MAX   65536
#define BUF_SIZE  16384
#define LOOPS_MAX 64

static const char answer[] = "HTTP/1.1 200 OK\r\n"
                             "Server: null\r\n"
                             "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                             "Content-Type: text/plain\r\n"
                             "Content-Length: 13\r\n"
                             "\r\n"
                             "Hello, World!";
#define ANSWER_SIZE (sizeof(answer) - 1)

struct client {
    int fd;
    size_t n;
    char buf[BUF_SIZE];
};

struct loop {
    struct tern_thread thread;
    int listen_fd;
    int epoll_fd;
};

static void drop(struct client *client)
{
    close(client->fd);
    free(client);
}

static void add_client(struct loop *loop, int fd)
{
    struct client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        close(fd);
        return;
    }
    client->fd = fd;
    tern_sock_set_nodelay(fd);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
        drop(client);
}

static void serve_client(struct client *client)
{
    static const size_t batch_max = 64;
    char out[64 * ANSWER_SIZE];
    ssize_t got = recv(client->fd, client->buf + client->n, BUF_SIZE - client->n, 0);

    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            drop(client);
        return;
    }
    client->n += (size_t)got;
    size_t at = 0;
    size_t batch = 0;
    const char *end;
    while (batch < batch_max &&
           (end = memmem(client->buf + at, client->n - at, "\r\n\r\n", 4)) != NULL) {
        memcpy(out + batch++ * ANSWER_SIZE, answer, ANSWER_SIZE);
        at = (size_t)(end + 4 - client->buf);
    }
    client->n -= at;
    if (at > 0 && client->n > 0)
        memmove(client->buf, client->buf + at, client->n);
    if (batch > 0 && send(client->fd, out, batch * ANSWER_SIZE, MSG_NOSIGNAL) < 0)
        drop(client);
}

static void run(void *arg)
{
    struct loop *loop = arg;
    struct epoll_event events[256];

    for (;;) {
        int n = epoll_wait(loop->epoll_fd, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct tern_sock_addr peer;
            int fd;
            if (events[i].data.ptr != NULL) {
                serve_client(events[i].data.ptr);
                continue;
            }
            while ((fd = tern_sock_accept(loop->listen_fd, &peer)) >= 0)
                add_client(loop, fd);
        }
    }
}

int main(int argc, char **argv)
{
    static struct loop loops[LOOPS_MAX];
    struct tern_sock_addr addr;
    struct tern_err err;
    uint64_t n = 1;

    if (argc != 3 || !tern_num_parse_u64(tern_str_of(argv[2]), LOOPS_MAX, &n) || n == 0) {
        fprintf(stderr, "usage: %s ADDRESS LOOPS\n", argv[0]);
        return 2;
    }
    if (tern_sock_addr_parse(tern_str_of(argv[1]), &addr, &err) != TERN_OK)
        goto failed;
    for (uint64_t i = 0; i < n; i++) {
        char name[TERN_SOCK_NAME_MAX];
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
        if (tern_sock_listen(&addr, true, 4096, &loops[i].listen_fd, &err) != TERN_OK ||
            tern_sock_local(loops[i].listen_fd, &addr, &err) != TERN_OK)
            goto failed;
        loops[i].epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        epoll_ctl(loops[i].epoll_fd, EPOLL_CTL_ADD, loops[i].listen_fd, &ev);
        if (i == 0) {
            tern_sock_addr_format(&addr, name);
            printf("listening on %s\n", name);
            fflush(stdout);
        }
        if (tern_thread_start(&loops[i].thread, "null", tern_thread_cpu((uint32_t)i), run,
                              &loops[i], &err) != TERN_OK)
            goto failed;
    }
    for (;;)
        pause();
failed:
    fprintf(stderr, "%s\n", err.text);
    return 1;
}
