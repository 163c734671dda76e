/* The HTTP/2 mux against a hostile client. First byte: bit 0 puts the client preface and an empty
 * SETTINGS before the input, the rest is the size of the pieces that the server reads. Everything
 * else is the client's bytes. The handler answers at once, streams, or answers after the client is
 * gone, by the first letter of the path. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/hub.h"
#include "net/mux_h2.h"

#define LATE_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tern_loop *loop;
static struct tern_hub *hub;
static struct tern_loop_task stop_task;
static struct tern_exchange *late[LATE_MAX];
static size_t n_late;

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void on_stop(struct tern_loop_task *task)
{
    (void)task;
    tern_loop_stop(loop);
}

static void step(void)
{
    tern_loop_post(loop, &stop_task);
    tern_loop_run(loop);
}

static void answer(struct tern_exchange *x, bool end)
{
    struct tern_buf *out = tern_exchange_body(x);

    x->status = 200;
    x->response_type = TERN_STR("text/plain");
    x->allow_compression = true;
    tern_buf_add_str(out, x->body);
    TERN_BUF_ADD_LITERAL(out, "answer");
    tern_exchange_send(x, end);
}

static void on_head(void *self, struct tern_exchange *x)
{
    (void)self;
    if (x->path.n > 1 && x->path.p[1] == 'e')
        answer(x, true);
}

static void on_request(void *self, struct tern_exchange *x)
{
    char kind = x->path.n > 1 ? x->path.p[1] : 'a';
    (void)self;

    must(x->path.n > 0 && (x->path.p[0] == '/' || x->path.p[0] == '*'));
    must(x->body.n <= x->body_max && x->method_text.n > 0);
    for (size_t i = 0; i < x->body.n + TERN_TEXT_PAD; i++) {
        volatile char readable = x->body.p[i];
        (void)readable;
    }
    if (kind == 's')
        answer(x, false);
    if (kind == 's' || kind == 'l') {
        must(n_late < LATE_MAX);
        late[n_late++] = x;
    } else {
        answer(x, true);
    }
}

static void on_gone(void *self, struct tern_exchange *x)
{
    (void)self;
    must(x->gone);
}

static void on_refused(void *self, struct tern_exchange *x, const struct tern_err *err)
{
    (void)self;
    x->status = tern_err_http_status(err);
    must(x->status >= 400);
    tern_buf_add_str(tern_exchange_body(x), tern_str_of(err->text));
    tern_exchange_send(x, true);
}

static void start_once(void)
{
    static const struct tern_handler handler = {
        .on_head = on_head, .on_request = on_request, .on_gone = on_gone, .on_refused = on_refused};
    struct tern_net_limits limits = TERN_NET_LIMITS_DEFAULT;

    stop_task.run = on_stop;
    must(tern_loop_new(0, 64, &loop, NULL) == TERN_OK);
    struct tern_hub_config config = {
        .loop = loop, .handler = &handler, .limits = &limits, .h2 = &tern_mux_h2};
    must(tern_hub_new(&config, &hub, NULL) == TERN_OK);
}

/* Writes the client's bytes piece by piece and reads what comes back, so that no one blocks. */
static void talk(int fd, const uint8_t *p, size_t n, size_t piece)
{
    char trash[65536];

    while (n > 0) {
        size_t take = n < piece ? n : piece;
        ssize_t sent = send(fd, p, take, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return;
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        }
        step();
        while (recv(fd, trash, sizeof(trash), 0) > 0)
            ;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tern_listener_info listener = {.body_max = 100000, .memory_max = 200000};
    static const uint8_t greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    struct tern_conn_config config = {.listener = &listener};
    int fds[2];

    if (size < 1)
        return 0;
    if (hub == NULL)
        start_once();
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    must(tern_conn_open(hub, fds[0], &config, NULL) == TERN_OK);
    if ((data[0] & 1) != 0)
        talk(fds[1], greeting, sizeof(greeting), sizeof(greeting));
    size_t piece = data[0] >= 0xfe ? size : (size_t)(data[0] >> 1) + 1;
    talk(fds[1], data + 1, size - 1, piece);
    /* Half of what waits is answered while the client is there, the rest when it is gone. */
    size_t half = n_late / 2;
    for (size_t i = 0; i < half; i++)
        answer(late[i], true);
    step();
    close(fds[1]);
    step();
    step();
    for (size_t i = half; i < n_late; i++)
        answer(late[i], true);
    n_late = 0;
    tern_hub_abort_all(hub);
    step();
    must(tern_hub_is_idle(hub));
    return 0;
}
