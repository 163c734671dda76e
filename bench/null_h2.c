/* The anchor for HTTP/2: the least a server on nghttp2 can do. Its sessions answer each request
 * with a constant, take what one read brought and send what nghttp2 has in one write; there are no
 * limits, no time, no exchanges. With `grpc` the constant is what a unary call answers: a head, a
 * message of a hundred bytes, trailers.
 *
 * Usage: null_h2 ADDRESS LOOPS [grpc]. One pinned loop a thread, listening by SO_REUSEPORT.
 * Deliberately without the code of src/, but for the socket port and threads. */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "base/num.h"
#include "os/sock.h"
#include "os/thread.h"

#define LOOPS_MAX  64
#define INPUT_SIZE 65536
#define OUT_SIZE   (1u << 20)

static const char body[] = "Hello, World!";
#define BODY_SIZE    (sizeof(body) - 1)
#define MESSAGE_SIZE 100 /* of a small ModelInferResponse, with gRPC's prefix of five bytes */
#define WINDOW_SIZE  (1 << 20)

struct loop {
    struct tern_thread thread;
    int listen_fd;
    int epoll_fd;
    nghttp2_session_callbacks *callbacks;
    uint8_t in[INPUT_SIZE];
    uint8_t out[OUT_SIZE];
};

struct client {
    int fd;
    nghttp2_session *session;
};

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *dst, size_t n,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)id;
    (void)n;
    (void)source;
    (void)user;
    memcpy(dst, body, BODY_SIZE);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return BODY_SIZE;
}

#define NV(name, value)                                                                     \
    {                                                                                       \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1,      \
            sizeof(value) - 1, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE \
    }

static ssize_t read_message(nghttp2_session *session, int32_t id, uint8_t *dst, size_t n,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
    static const uint8_t message[MESSAGE_SIZE] = {0, 0, 0, 0, MESSAGE_SIZE - 5};
    static const nghttp2_nv trailers[] = {NV("grpc-status", "0")};
    (void)n;
    (void)source;
    (void)user;

    memcpy(dst, message, MESSAGE_SIZE);
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(session, id, trailers, 1);
    return MESSAGE_SIZE;
}

static bool ends_request(const nghttp2_frame *frame)
{
    return (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
           (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

static int on_grpc_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    static const nghttp2_nv head[] = {NV(":status", "200"), NV("content-type", "application/grpc")};
    nghttp2_data_provider provider = {.read_callback = read_message};
    (void)user;

    if (ends_request(frame))
        nghttp2_submit_response(session, frame->hd.stream_id, head, 2, &provider);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    static const nghttp2_nv head[] = {NV(":status", "200"), NV("content-type", "text/plain"),
                                      NV("content-length", "13"),
                                      NV("date", "Sun, 06 Nov 1994 08:49:37 GMT")};
    nghttp2_data_provider provider = {.read_callback = read_body};
    (void)user;

    if (ends_request(frame))
        nghttp2_submit_response(session, frame->hd.stream_id, head, 4, &provider);
    return 0;
}

static void drop(struct client *client)
{
    close(client->fd);
    nghttp2_session_del(client->session);
    free(client);
}

static void add_client(struct loop *loop, int fd)
{
    struct client *client = calloc(1, sizeof(*client));
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_SIZE},
    };

    if (client == NULL) {
        close(fd);
        return;
    }
    client->fd = fd;
    tern_sock_set_nodelay(fd);
    nghttp2_session_server_new(&client->session, loop->callbacks, NULL);
    nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(client->session, NGHTTP2_FLAG_NONE, 0, WINDOW_SIZE);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = client};
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

/* False: the connection is over. What the kernel does not take at once is waited for: a null server
 * meets clients that read. */
static bool flush(struct loop *loop, struct client *client)
{
    const uint8_t *p;
    size_t n = 0;

    for (ssize_t got; n < OUT_SIZE / 2 && (got = nghttp2_session_mem_send(client->session, &p)) > 0;
         n += (size_t)got)
        memcpy(loop->out + n, p, (size_t)got);
    for (size_t at = 0; at < n;) {
        ssize_t sent = send(client->fd, loop->out + at, n - at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        at += sent > 0 ? (size_t)sent : 0;
    }
    return nghttp2_session_want_read(client->session) != 0;
}

static void serve(struct loop *loop, struct client *client)
{
    ssize_t n = recv(client->fd, loop->in, INPUT_SIZE, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || nghttp2_session_mem_recv(client->session, loop->in, (size_t)n) < 0 ||
        !flush(loop, client))
        drop(client);
}

static void run(void *arg)
{
    struct loop *loop = arg;
    struct epoll_event ready[256];

    for (;;) {
        int n = epoll_wait(loop->epoll_fd, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            struct tern_sock_addr peer;
            int fd = -1;
            if (ready[i].data.ptr != NULL)
                serve(loop, ready[i].data.ptr);
            else if ((fd = tern_sock_accept(loop->listen_fd, &peer)) >= 0)
                add_client(loop, fd);
        }
    }
}

static enum tern_code start(struct loop *loop, struct tern_sock_addr *addr, uint32_t index,
                            bool grpc, struct tern_err *err)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    char name[TERN_SOCK_NAME_MAX];

    TERN_TRY(tern_sock_listen(addr, true, 4096, &loop->listen_fd, err));
    TERN_TRY(tern_sock_local(loop->listen_fd, addr, err));
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->listen_fd, &ev);
    nghttp2_session_callbacks_new(&loop->callbacks);
    nghttp2_session_callbacks_set_on_frame_recv_callback(loop->callbacks,
                                                         grpc ? on_grpc_frame : on_frame);
    if (index == 0) {
        tern_sock_addr_format(addr, name);
        printf("listening on %s\n", name);
        fflush(stdout);
    }
    return tern_thread_start(&loop->thread, "null", tern_thread_cpu(index), run, loop, err);
}

int main(int argc, char **argv)
{
    static struct loop loops[LOOPS_MAX];
    struct tern_sock_addr addr;
    struct tern_err err;
    uint64_t n = 1;

    bool grpc = argc == 4 && strcmp(argv[3], "grpc") == 0;
    if ((argc != 3 && !grpc) || !tern_num_parse_u64(tern_str_of(argv[2]), LOOPS_MAX, &n) ||
        n == 0) {
        fprintf(stderr, "usage: %s ADDRESS LOOPS [grpc]\n", argv[0]);
        return 2;
    }
    enum tern_code code = tern_sock_addr_parse(tern_str_of(argv[1]), &addr, &err);
    for (uint32_t i = 0; i < n && code == TERN_OK; i++)
        code = start(&loops[i], &addr, i, grpc, &err);
    if (code != TERN_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (;;)
        pause();
}
