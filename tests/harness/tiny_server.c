#include "harness/tiny_server.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX (1 << 20)

struct peer {
    struct tiny_server *server;
    struct peer *next;
    int fd;
};

static pthread_mutex_t everything = PTHREAD_MUTEX_INITIALIZER;

/* Connections, so that stop() can wait for their threads: they look at the caller's server. */
static pthread_mutex_t peers_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t peer_left = PTHREAD_COND_INITIALIZER;
static struct peer *peers;

static void enter(struct peer *peer)
{
    pthread_mutex_lock(&peers_lock);
    peer->next = peers;
    peers = peer;
    pthread_mutex_unlock(&peers_lock);
}

static void leave(struct peer *peer)
{
    struct peer **at = &peers;

    pthread_mutex_lock(&peers_lock);
    while (*at != peer)
        at = &(*at)->next;
    *at = peer->next;
    close(peer->fd);
    free(peer);
    pthread_cond_signal(&peer_left);
    pthread_mutex_unlock(&peers_lock);
}

static void end_all(void)
{
    pthread_mutex_lock(&peers_lock);
    for (struct peer *peer = peers; peer != NULL; peer = peer->next)
        shutdown(peer->fd, SHUT_RDWR);
    while (peers != NULL)
        pthread_cond_wait(&peer_left, &peers_lock);
    pthread_mutex_unlock(&peers_lock);
}

struct answer {
    int status;
    int number; /* of the infer request, from 0; -1: another one */
    char head[256];
    char body[65536];
    size_t n;
};

static void say(struct answer *a, int status, const char *body)
{
    a->status = status;
    a->n = strlen(body);
    memcpy(a->body, body, a->n);
}

static const char metadata[] =
    "{\"name\":\"double\",\"versions\":[\"1\",\"3\"],\"platform\":\"tiny\","
    "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,2]}],"
    "\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[-1,2]}]}";

static void write_outputs(struct tiny_server *server, struct answer *a, const float *x, size_t n,
                          bool binary, int number)
{
    bool wrong = server->wrong_from >= 0 && number >= server->wrong_from;
    float y[1024];
    json_t *data = json_array();

    for (size_t i = 0; i < n; i++) {
        y[i] = 2 * x[i] + (wrong ? 0.5f : 0) + (server->jitter ? (float)(number % 3) * 1e-6f : 0);
        json_array_append_new(data, json_real((double)y[i]));
    }
    json_t *out =
        json_pack("{s:s, s:s, s:[i,i]}", "name", "y", "datatype", "FP32", "shape", (int)n / 2, 2);
    if (binary)
        json_object_set_new(out, "parameters",
                            json_pack("{s:i}", "binary_data_size", (int)(n * sizeof(float))));
    else
        json_object_set(out, "data", data);
    json_t *root = json_pack("{s:s, s:[o]}", "model_name", "double", "outputs", out);
    a->n = json_dumpb(root, a->body, sizeof(a->body), JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (binary) {
        snprintf(a->head, sizeof(a->head), "Inference-Header-Content-Length: %zu\r\n", a->n);
        memcpy(a->body + a->n, y, n * sizeof(float));
        a->n += n * sizeof(float);
    }
    json_decref(data);
    json_decref(root);
}

static void infer(struct tiny_server *server, const char *body, size_t n, size_t json_n,
                  struct answer *a)
{
    float x[1024];
    size_t count = 0;
    int number = atomic_fetch_add(&server->infers, 1);
    json_t *root = json_loadb(body, json_n > 0 ? json_n : n, 0, NULL);
    json_t *in = json_array_get(json_object_get(root, "inputs"), 0);

    a->number = number;
    if (in == NULL || (server->fail_from >= 0 && number >= server->fail_from)) {
        say(a, in == NULL ? 400 : 503, "{\"error\":\"no\"}");
        json_decref(root);
        return;
    }
    if (number == server->stall_at) {
        pthread_mutex_lock(&everything);
        struct timespec pause = {.tv_nsec = server->stall_ms * 1000000L};
        nanosleep(&pause, NULL);
        pthread_mutex_unlock(&everything);
    }
    pthread_mutex_lock(&everything); /* stand still while another one stalls */
    pthread_mutex_unlock(&everything);
    if (json_n > 0) {
        count = (n - json_n) / sizeof(float);
        memcpy(x, body + json_n, count * sizeof(float));
    } else {
        json_t *data = json_object_get(in, "data");
        count = json_array_size(data);
        for (size_t i = 0; i < count; i++)
            x[i] = (float)json_number_value(json_array_get(data, i));
    }
    a->status = 200;
    write_outputs(server, a, x, count, json_n > 0, number);
    json_decref(root);
}

static void route(struct tiny_server *server, const char *head, const char *body, size_t n,
                  struct answer *a)
{
    const char *json_n = strstr(head, "Inference-Header-Content-Length: ");

    a->status = 200;
    a->number = -1;
    a->head[0] = '\0';
    if (strncmp(head, "POST /v2/models/double/infer ", 29) == 0 ||
        strncmp(head, "POST /v2/models/double/versions/3/infer ", 40) == 0)
        infer(server, body, n, json_n == NULL ? 0 : strtoul(json_n + 33, NULL, 10), a);
    else if (strncmp(head, "GET /v2/models/double ", 22) == 0 ||
             strncmp(head, "GET /v2/models/double/versions/3 ", 33) == 0)
        say(a, 200, metadata);
    else if (strncmp(head, "GET /v2/models ", 15) == 0)
        say(a, 200, "{\"models\":[\"double\"]}");
    else if (!server->plain_list && strncmp(head, "POST /v2/repository/index ", 26) == 0)
        say(a, 200,
            "[{\"name\":\"double\",\"version\":\"1\",\"state\":\"READY\",\"reason\":\"\"},"
            "{\"name\":\"double\",\"version\":\"3\",\"state\":\"READY\",\"reason\":\"\"},"
            "{\"name\":\"broken\",\"version\":\"1\",\"state\":\"UNAVAILABLE\","
            "\"reason\":\"the file is \\u001b[31mempty\"}]");
    else
        say(a, 404, "{\"error\":\"Request for unknown model: 'x' is not found\"}");
}

static bool send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static bool send_answer(struct tiny_server *server, int fd, const struct answer *a, bool last)
{
    char head[600];
    const char *connection = last ? "Connection: close\r\n" : "";

    if (!server->chunked) {
        int n = snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s%s\r\n",
                         a->status, a->n, a->head, connection);
        return send_all(fd, head, (size_t)n) && send_all(fd, a->body, a->n);
    }
    size_t half = a->n / 2;
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n%s%s\r\n%zx;ext=1\r\n",
                     a->status, a->head, connection, half == 0 ? a->n : half);
    if (!send_all(fd, head, (size_t)n) || !send_all(fd, a->body, half == 0 ? a->n : half))
        return false;
    if (half > 0) {
        n = snprintf(head, sizeof(head), "\r\n%zX\r\n", a->n - half);
        if (!send_all(fd, head, (size_t)n) || !send_all(fd, a->body + half, a->n - half))
            return false;
    }
    return send_all(fd, "\r\n0\r\nTrailer: x\r\n\r\n", 19);
}

/* Reads one request; its length, or 0 at the end of the connection. */
static size_t read_request(int fd, char *buf, size_t *have, char **ret_body, size_t *ret_body_n)
{
    for (;;) {
        buf[*have] = '\0';
        char *end = strstr(buf, "\r\n\r\n");
        if (end != NULL) {
            const char *length = strstr(buf, "\r\nContent-Length: ");
            size_t n = length == NULL || length > end ? 0 : strtoul(length + 18, NULL, 10);
            size_t total = (size_t)(end - buf) + 4 + n;
            if (*have >= total) {
                *ret_body = end + 4;
                *ret_body_n = n;
                return total;
            }
        }
        ssize_t k = recv(fd, buf + *have, REQUEST_MAX - *have, 0);
        if (k <= 0)
            return 0;
        *have += (size_t)k;
    }
}

static void *serve(void *arg)
{
    struct peer *peer = arg;
    struct tiny_server *server = peer->server;
    char *buf = malloc(REQUEST_MAX + 1);
    struct answer *a = malloc(sizeof(*a));
    size_t have = 0;
    char *body = NULL;
    size_t body_n = 0;

    for (size_t n; (n = read_request(peer->fd, buf, &have, &body, &body_n)) > 0;) {
        route(server, buf, body, body_n, a);
        if (a->number >= 0 && a->number == server->drop_at)
            break;
        bool last =
            a->number > 0 && server->close_every > 0 && a->number % server->close_every == 0;
        if (!send_answer(server, peer->fd, a, last) || last)
            break;
        memmove(buf, buf + n, have - n);
        have -= n;
    }
    free(a);
    free(buf);
    leave(peer);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct tiny_server *server = arg;

    for (;;) {
        int fd = accept(server->listen_fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct peer *peer = malloc(sizeof(*peer));
        int one = 1; /* answers leave in two pieces */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        pthread_t thread;
        *peer = (struct peer){.server = server, .fd = fd};
        enter(peer);
        if (pthread_create(&thread, NULL, serve, peer) != 0)
            abort();
        pthread_detach(thread);
    }
}

static pthread_t acceptor;

void tiny_server_start(struct tiny_server *server)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(addr);

    memset(server, 0, sizeof(*server));
    server->wrong_from = server->fail_from = server->drop_at = server->stall_at = -1;
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        listen(server->listen_fd, 128) != 0 ||
        getsockname(server->listen_fd, (struct sockaddr *)&addr, &n) != 0)
        abort();
    server->port = ntohs(addr.sin_port);
    snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u", server->port);
    if (pthread_create(&acceptor, NULL, accept_all, server) != 0)
        abort();
}

void tiny_server_stop(struct tiny_server *server)
{
    shutdown(server->listen_fd, SHUT_RDWR);
    pthread_join(acceptor, NULL);
    close(server->listen_fd);
    end_all();
}
