/* The anchor of large uploads: a bare loop of recv into one buffer. It reads a head, believes its
 * Content-Length, receives that many bytes and answers a constant. One connection a process at a
 * time is served by poll; nothing is parsed beyond the two things it must know.
 *
 * Usage: recv_loop ADDRESS. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "os/sock.h"

#define CLIENTS_MAX 64
#define BODY_MAX    (64u << 20)
#define HEAD_MAX    16384

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct client {
    char head[HEAD_MAX];
    size_t n_head;
    size_t left; /* bytes of the body still to come */
    bool in_body;
};

static char *body; /* all clients write into one: nobody reads it */

/* False when the client is gone. */
static bool serve(struct client *c, int fd)
{
    ssize_t n;

    if (!c->in_body) {
        n = recv(fd, c->head + c->n_head, HEAD_MAX - 1 - c->n_head, MSG_DONTWAIT);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        c->n_head += (size_t)n;
        c->head[c->n_head] = '\0';
        char *end = strstr(c->head, "\r\n\r\n");
        char *length = strcasestr(c->head, "\ncontent-length:"); /* not another's end */
        if (end == NULL || length == NULL)
            return true;
        size_t total = strtoul(length + 16, NULL, 10);
        size_t here = c->n_head - (size_t)(end + 4 - c->head);
        c->left = total - here;
        c->in_body = true;
    } else {
        n = recv(fd, body + (BODY_MAX - c->left) % (BODY_MAX / 2), c->left, MSG_DONTWAIT);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        c->left -= (size_t)n;
    }
    if (c->left == 0) {
        c->in_body = false;
        c->n_head = 0;
        return send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) > 0;
    }
    return true;
}

static void run(int listener)
{
    static struct client clients[CLIENTS_MAX];
    static struct pollfd fds[CLIENTS_MAX + 1];
    nfds_t n = 1;

    fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (;;) {
        poll(fds, n, -1);
        if ((fds[0].revents & POLLIN) != 0 && n <= CLIENTS_MAX) {
            int fd = accept(listener, NULL, NULL);
            if (fd >= 0) {
                memset(&clients[n - 1], 0, sizeof(clients[0]));
                fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
            }
        }
        for (nfds_t i = 1; i < n; i++) {
            if (fds[i].revents == 0 || serve(&clients[i - 1], fds[i].fd))
                continue;
            close(fds[i].fd);
            fds[i] = fds[n - 1];
            clients[i - 1] = clients[n - 2];
            n--;
        }
    }
}

int main(int argc, char **argv)
{
    struct tern_sock_addr addr;
    struct tern_err err;
    char name[TERN_SOCK_NAME_MAX];
    int fd;

    body = malloc(BODY_MAX * 2);
    if (argc != 2 || body == NULL) {
        fprintf(stderr, "usage: %s ADDRESS\n", argv[0]);
        return 2;
    }
    if (tern_sock_addr_parse(tern_str_of(argv[1]), &addr, &err) != TERN_OK ||
        tern_sock_listen(&addr, false, 128, &fd, &err) != TERN_OK ||
        tern_sock_local(fd, &addr, &err) != TERN_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    tern_sock_addr_format(&addr, name);
    printf("listening on %s\n", name);
    fflush(stdout);
    signal(SIGPIPE, SIG_IGN);
    run(fd);
}
