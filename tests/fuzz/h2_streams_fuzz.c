/* Streams of the HTTP/2 mux in every order of events. The input is a script: frames of a client
 * (HEADERS, CONTINUATION, DATA, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, PRIORITY, bytes of its
 * own choice) and acts of a handler that takes requests in parts and ends its answers with
 * trailers. The bytes of each request follow a pattern, so that what the handler sees is checked;
 * so is that the server says nothing on a stream that it has ended. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/hub.h"
#include "net/mux_h2.h"

#define OPEN_MAX 256
#define IDS_MAX  1024
#define OUT_MAX  (64u << 10)
#define PIVOT    13 /* this byte of a body begins a cache line */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A request that the handler has. */
struct call {
    struct tern_exchange *x;
    size_t taken;
    uint8_t seed;
};

static struct tern_loop *loop;
static struct tern_hub *hub;
static struct tern_loop_task stop_task;

static struct call calls[OPEN_MAX];
static size_t n_calls;
static bool wild; /* the client has sent bytes of its own choice: no pattern */

/* The script, and the client that follows it. */
static const uint8_t *script;
static size_t script_n;
static uint32_t newest;        /* stream id */
static uint32_t sent[IDS_MAX]; /* bytes of DATA, by id / 2 */
static uint8_t out[OUT_MAX];   /* what the client is about to send */
static size_t out_n;
static uint8_t in[OUT_MAX]; /* what it has received of a frame */
static size_t in_n;
static bool is_ended[1u << 12]; /* by the server, by id / 2 */

static void must(bool ok)
{
    if (!ok)
        abort();
}

static uint32_t next(void)
{
    if (script_n == 0)
        return 0;
    script_n--;
    return *script++;
}

static uint8_t pattern(uint8_t seed, size_t at)
{
    return (uint8_t)(at * 31 + at / 251 + seed);
}

/* The handler. */

static void end_call(size_t i, bool with_body)
{
    struct tern_exchange *x = calls[i].x;
    struct tern_buf *body = tern_exchange_body(x);

    calls[i] = calls[--n_calls];
    x->status = 200;
    if (with_body)
        TERN_BUF_ADD_LITERAL(body, "the end");
    tern_exchange_add_trailer(x, TERN_STR("grpc-status"), TERN_STR("0"));
    tern_exchange_send(x, true);
}

static void keep_call(struct tern_exchange *x)
{
    uint8_t seed = x->path.n > 2 ? (uint8_t)x->path.p[2] : 0;

    must(n_calls < OPEN_MAX);
    calls[n_calls++] = (struct call){.x = x, .seed = seed};
    if (n_calls == OPEN_MAX)
        end_call(0, false);
}

static size_t find_call(const struct tern_exchange *x)
{
    for (size_t i = 0; i < n_calls; i++) {
        if (calls[i].x == x)
            return i;
    }
    return OPEN_MAX;
}

static void check_body(const struct call *call)
{
    const struct tern_str body = call->x->body;

    for (size_t i = 0; i < body.n && !wild; i++)
        must((uint8_t)body.p[i] == pattern(call->seed, call->taken + i));
    for (size_t i = 0; i < TERN_TEXT_PAD; i++) {
        volatile char readable = body.p[body.n + i];
        (void)readable;
    }
}

static void on_head(void *self, struct tern_exchange *x)
{
    char kind = x->path.n > 1 ? x->path.p[1] : 'u';

    (void)self;
    x->wants_parts = kind == 'p';
    if (kind != 'p')
        return;
    keep_call(x);
}

static void on_part(void *self, struct tern_exchange *x)
{
    size_t i = find_call(x);

    (void)self;
    if (i < OPEN_MAX)
        check_body(&calls[i]);
}

static void plan_body(void *self, const struct tern_exchange *x, struct tern_body_plan *plan)
{
    (void)self, (void)x;
    must(plan->first.n > 0);
    plan->pivot = PIVOT;
}

static void on_request(void *self, struct tern_exchange *x)
{
    (void)self;
    must(x->body.n == 0 || ((uintptr_t)x->body.p + PIVOT) % TERN_CACHE_LINE == 0);
    keep_call(x);
    if (find_call(x) < OPEN_MAX)
        check_body(&calls[find_call(x)]);
}

static void on_gone(void *self, struct tern_exchange *x)
{
    (void)self;
    must(x->gone && find_call(x) < OPEN_MAX);
    if (x->path.p[x->path.n - 1] % 2 == 0) /* some end at once, some later */
        end_call(find_call(x), true);
}

static void on_refused(void *self, struct tern_exchange *x, const struct tern_err *err)
{
    size_t i = find_call(x);

    (void)self;
    if (i < OPEN_MAX)
        calls[i] = calls[--n_calls];
    x->status = tern_err_http_status(err);
    tern_buf_add_str(tern_exchange_body(x), tern_str_of(err->text));
    tern_exchange_send(x, true);
}

/* The server's loop. */

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

static void start_once(void)
{
    static const struct tern_handler handler = {.on_head = on_head,
                                                .plan_body = plan_body,
                                                .on_request = on_request,
                                                .on_part = on_part,
                                                .on_gone = on_gone,
                                                .on_refused = on_refused};
    struct tern_net_limits limits = TERN_NET_LIMITS_DEFAULT;

    limits.h2_stream_window = 70000;
    stop_task.run = on_stop;
    must(tern_loop_new(0, 64, &loop, NULL) == TERN_OK);
    struct tern_hub_config config = {
        .loop = loop, .handler = &handler, .limits = &limits, .h2 = &tern_mux_h2};
    must(tern_hub_new(&config, &hub, NULL) == TERN_OK);
}

/* The client. */

static void flush(int fd)
{
    size_t at = 0;

    while (at < out_n) {
        ssize_t n = send(fd, out + at, out_n - at, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break;
        at += n > 0 ? (size_t)n : 0;
        if (n < 0)
            step();
    }
    out_n = 0;
}

/* Frames of the server: none may follow the end of a stream, but for its reset and its window. */
static void check_frame(uint8_t type, uint8_t flags, uint32_t id)
{
    enum { DATA = 0, HEADERS = 1, END_STREAM = 1 };

    if ((type != DATA && type != HEADERS) || id / 2 >= sizeof(is_ended))
        return;
    must(id != 0 && !is_ended[id / 2]);
    is_ended[id / 2] = (flags & END_STREAM) != 0;
}

static void receive(int fd)
{
    ssize_t n;

    while ((n = recv(fd, in + in_n, sizeof(in) - in_n, 0)) > 0) {
        in_n += (size_t)n;
        size_t at = 0;
        while (in_n - at >= 9) {
            const uint8_t *p = in + at;
            size_t length = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
            must(length <= 16384);
            if (in_n - at < 9 + length)
                break;
            check_frame(p[3], p[4],
                        (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8]);
            at += 9 + length;
        }
        in_n -= at;
        memmove(in, in + at, in_n);
    }
}

static void put_frame(int fd, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *p, size_t n)
{
    const uint8_t head[9] = {
        (uint8_t)(n >> 16),  (uint8_t)(n >> 8),   (uint8_t)n,         type,       flags,
        (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

    if (out_n + sizeof(head) + n > OUT_MAX)
        flush(fd);
    memcpy(out + out_n, head, sizeof(head));
    if (n > 0)
        memcpy(out + out_n + sizeof(head), p, n);
    out_n += sizeof(head) + n;
}

/* One of the last eight streams. */
static uint32_t some_id(void)
{
    uint32_t back = next() % 8 * 2;

    return newest > back ? newest - back : newest;
}

static void put_head(int fd, bool in_pieces)
{
    uint32_t flags = next();
    char kind = flags % 4 < 3 ? 'p' : 'u';
    newest += newest < IDS_MAX * 2 - 2 ? 2 : 0;
    uint8_t seed = (uint8_t)('a' + newest / 2 % 20);
    /* :method POST, :scheme http, :path literal, :authority literal */
    uint8_t block[] = {0x83, 0x86, 0x04, 3, '/', (uint8_t)kind, seed, 0x01, 1, 'h'};
    uint8_t end_stream = (flags & 16) != 0 ? 1 : 0;

    if (!in_pieces) {
        put_frame(fd, 1, 4 | end_stream, newest, block, sizeof(block));
        return;
    }
    size_t cut = next() % sizeof(block);
    put_frame(fd, 1, end_stream, newest, block, cut);
    for (uint32_t empty = next() % 16; empty > 0; empty--)
        put_frame(fd, 9, 0, newest, NULL, 0);
    put_frame(fd, 9, (flags & 32) != 0 ? 0 : 4, newest, block + cut, sizeof(block) - cut);
}

static void put_data(int fd)
{
    uint8_t bytes[16384];
    uint32_t id = some_id();
    uint32_t flags = next();
    size_t n = (next() * 64 + next()) % sizeof(bytes);
    uint8_t seed = (uint8_t)('a' + id / 2 % 20);

    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(seed, sent[id / 2] + i);
    sent[id / 2] += (uint32_t)n;
    put_frame(fd, 0, (flags & 7) == 0 ? 1 : 0, id, bytes, n);
}

static void put_number(int fd, uint8_t type, uint32_t id, uint32_t number)
{
    const uint8_t bytes[4] = {(uint8_t)(number >> 24 & 0x7f), (uint8_t)(number >> 16),
                              (uint8_t)(number >> 8), (uint8_t)number};

    put_frame(fd, type, 0, id, bytes, 4);
}

static void put_settings(int fd)
{
    uint32_t kind = next();
    uint32_t window = next() * next();
    const uint8_t bytes[6] = {
        0, 4, 0, (uint8_t)(window >> 16), (uint8_t)(window >> 8), (uint8_t)window};

    if (kind % 4 == 0)
        put_frame(fd, 4, 1, 0, NULL, 0);
    else
        put_frame(fd, 4, 0, 0, bytes, kind % 4 == 1 ? 0 : sizeof(bytes));
}

static void put_other(int fd, uint32_t kind)
{
    static const uint8_t zeros[8];
    static const uint8_t trailer[] = {0x00, 1, 't', 1, 'v'};
    uint8_t raw[64];

    switch (kind) {
    case 0:
        put_number(fd, 3, some_id(), next()); /* RST_STREAM */
        break;
    case 1:
        put_frame(fd, 6, next() % 8 == 0, 0, zeros, 8); /* PING */
        break;
    case 2:
        put_number(fd, 8, next() % 2 == 0 ? 0 : some_id(), next() * next()); /* WINDOW_UPDATE */
        break;
    case 3:
        put_frame(fd, 2, 0, some_id(), zeros, 5); /* PRIORITY */
        break;
    case 4:
        put_frame(fd, 1, 5, some_id(), trailer, sizeof(trailer));
        break;
    default:
        for (size_t i = 0; i < sizeof(raw); i++)
            raw[i] = (uint8_t)next();
        wild = true;
        put_frame(fd, (uint8_t)next(), (uint8_t)next(), some_id(), raw, next() % sizeof(raw));
        break;
    }
}

/* Acts of the handler. */
static void act(uint32_t kind)
{
    if (n_calls == 0)
        return;
    size_t i = next() % n_calls;
    struct call *call = &calls[i];
    struct tern_exchange *x = call->x;

    if (kind == 0 && x->wants_parts) {
        size_t n = x->body.n * (next() % 9) / 8;
        tern_exchange_take(x, n);
        call->taken += n;
        check_body(call);
    } else if (kind == 1) {
        x->status = 200;
        tern_buf_add(tern_exchange_body(x), in, next() * 16);
        tern_exchange_send(x, false);
    } else if (kind == 2) {
        x->body_need = next() * 512;
        if (x->wants_parts)
            tern_exchange_take(x, 0);
    } else if (kind == 3 && (!x->wants_parts || x->body_done || next() % 2 == 0)) {
        end_call(i, next() % 2 == 0);
    }
}

static void follow(int fd)
{
    while (script_n > 0) {
        uint32_t what = next() % 16;
        if (what < 2)
            put_head(fd, what == 1 && next() % 4 == 0);
        else if (what < 5)
            put_data(fd);
        else if (what == 5)
            put_settings(fd);
        else if (what < 10)
            put_other(fd, next() % 6);
        else if (what < 14)
            act(what - 10);
        if (what >= 14) {
            flush(fd);
            step();
            if (what == 15)
                receive(fd);
        }
    }
    flush(fd);
    step();
    receive(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tern_listener_info listener = {.body_max = 100000, .memory_max = 200000};
    static const uint8_t greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    struct tern_conn_config config = {.listener = &listener};
    int fds[2];

    if (hub == NULL)
        start_once();
    script = data;
    script_n = size;
    wild = false;
    memset(sent, 0, sizeof(sent));
    memset(is_ended, 0, sizeof(is_ended));
    in_n = 0;
    newest = 1;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    must(tern_conn_open(hub, fds[0], &config, NULL) == TERN_OK);
    memcpy(out, greeting, sizeof(greeting));
    out_n = sizeof(greeting);
    follow(fds[1]);
    close(fds[1]);
    step();
    step();
    tern_hub_abort_all(hub);
    step();
    while (n_calls > 0)
        end_call(0, true);
    must(tern_hub_is_idle(hub));
    return 0;
}
