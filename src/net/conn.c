#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "base/mem.h"
#include "net/conn_int.h"
#include "net/peers.h"
#include "os/sock.h"

/* RFC 9113 3.4 */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_SIZE (sizeof(preface) - 1)

#define READ_ROOM_MIN 2048u /* worth a system call */

/* The plain transport. */

static enum tern_io plain_recv(struct tern_conn *conn, void *p, size_t n, size_t *ret_n)
{
    ssize_t got = tern_sock_recv(conn->io.fd, p, n);

    if (got > 0) {
        *ret_n = (size_t)got;
        return TERN_IO_OK;
    }
    if (got == 0)
        return TERN_IO_EOF;
    return errno == EAGAIN ? TERN_IO_AGAIN : TERN_IO_BROKEN;
}

static enum tern_io plain_send(struct tern_conn *conn, const struct iovec *iov, int n,
                               size_t *ret_n)
{
    ssize_t sent = tern_sock_send(conn->io.fd, iov, n);

    if (sent >= 0) {
        *ret_n = (size_t)sent;
        return TERN_IO_OK;
    }
    return errno == EAGAIN || errno == ENOBUFS ? TERN_IO_AGAIN : TERN_IO_BROKEN;
}

static void plain_shutdown(struct tern_conn *conn)
{
    tern_sock_shutdown_write(conn->io.fd);
}

static void plain_close(struct tern_conn *conn)
{
    (void)conn;
}

const struct tern_transport_ops tern_transport_plain = {
    .name = "plain",
    .recv = plain_recv,
    .send = plain_send,
    .shutdown = plain_shutdown,
    .close = plain_close,
};

/* What the loop watches follows from the state. */
void tern_conn_watch(struct tern_conn *conn)
{
    unsigned events = 0;

    if (conn->state == TERN_CONN_DEAD)
        return;
    bool reads = conn->state == TERN_CONN_OPEN ? conn->read_on : conn->state != TERN_CONN_FLUSH;
    if (reads && !conn->peer_done)
        events |= TERN_LOOP_READ;
    if (conn->queue_first != NULL || conn->transport_wants_write)
        events |= TERN_LOOP_WRITE;
    tern_loop_change(conn->hub->loop, &conn->io, events);
}

/* Bytes inside the transport never show up in epoll. */
static bool has_pending(struct tern_conn *conn)
{
    return conn->transport->has_pending != NULL && conn->transport->has_pending(conn);
}

/* Time. One timer serves two deadlines, and moves only to an earlier time: a deadline that was
 * put off is noticed when the timer fires, once in a while instead of once a request. */
void tern_conn_arm(struct tern_conn *conn, uint64_t due_ns)
{
    uint64_t now = tern_loop_now_ns(conn->hub->loop);

    if (conn->timer.slot != 0 && conn->timer.due_ns <= due_ns)
        return;
    tern_loop_timer_start(conn->hub->loop, &conn->timer, due_ns > now ? due_ns - now : 0);
}

void tern_conn_deadline(struct tern_conn *conn, uint64_t after_ns)
{
    if (after_ns == 0 || conn->state == TERN_CONN_DEAD) {
        conn->mux_due_ns = 0;
        return;
    }
    conn->mux_due_ns = tern_loop_now_ns(conn->hub->loop) + after_ns;
    tern_conn_arm(conn, conn->mux_due_ns);
}

static void on_readable(struct tern_conn *conn);

static void on_due(struct tern_loop_timer *timer)
{
    struct tern_conn *conn = TERN_CONTAINER_OF(timer, struct tern_conn, timer);
    uint64_t now = tern_loop_now_ns(conn->hub->loop);

    if (conn->read_again) {
        conn->read_again = false;
        on_readable(conn);
    }
    if (conn->stall_due_ns != 0 && conn->stall_due_ns <= now) {
        TERN_COUNT(conn->hub->counters.timeouts, 1);
        tern_conn_abort(conn);
        return;
    }
    if (conn->mux_due_ns != 0 && conn->mux_due_ns <= now) {
        conn->mux_due_ns = 0;
        if (!conn->peer_done) /* who has left was not too slow */
            TERN_COUNT(conn->hub->counters.timeouts, 1);
        if (conn->state == TERN_CONN_OPEN)
            conn->mux->on_timeout(conn);
        else if (conn->state != TERN_CONN_FLUSH)
            tern_conn_abort(conn);
    }
    if (conn->state == TERN_CONN_DEAD)
        return;
    if (conn->stall_due_ns != 0)
        tern_conn_arm(conn, conn->stall_due_ns);
    if (conn->mux_due_ns != 0)
        tern_conn_arm(conn, conn->mux_due_ns);
}

/* The end. */

void tern_conn_abort(struct tern_conn *conn)
{
    struct tern_hub *hub = conn->hub;

    if (conn->state == TERN_CONN_DEAD)
        return;
    conn->state = TERN_CONN_DEAD;
    tern_loop_timer_stop(hub->loop, &conn->timer);
    tern_loop_remove(hub->loop, &conn->io);
    tern_list_remove(&conn->link);
    tern_list_append(&hub->dead, &conn->link);
    tern_hub_reap_later(hub);
}

static void close_mux(struct tern_conn *conn)
{
    const struct tern_mux_ops *mux = conn->mux;

    conn->mux = NULL;
    if (mux != NULL)
        mux->close(conn);
}

/* Everything is out: say goodbye, then wait for the client's own goodbye. */
static void begin_linger(struct tern_conn *conn)
{
    close_mux(conn);
    conn->transport->shutdown(conn);
    tern_hub_rbuf_unref(conn->hub, conn->in);
    conn->in = NULL;
    conn->in_at = conn->in_end = 0;
    if (conn->peer_done) {
        tern_conn_abort(conn);
        return;
    }
    conn->state = TERN_CONN_LINGER;
    tern_conn_deadline(conn, conn->hub->limits.linger_ns);
    tern_conn_watch(conn);
}

void tern_conn_shutdown(struct tern_conn *conn)
{
    if (conn->state == TERN_CONN_DEAD || conn->state == TERN_CONN_FLUSH ||
        conn->state == TERN_CONN_LINGER)
        return;
    conn->state = TERN_CONN_FLUSH;
    conn->mux_due_ns = 0;
    /* The step to LINGER closes the mux, which may be the caller: it waits for the round's end. */
    tern_list_remove(&conn->link);
    tern_list_append(&conn->hub->closing, &conn->link);
    tern_hub_reap_later(conn->hub);
    tern_conn_watch(conn);
}

void tern_conn_settle(struct tern_conn *conn)
{
    if (conn->state == TERN_CONN_FLUSH && conn->queue_first == NULL)
        begin_linger(conn);
}

static void linger(struct tern_conn *conn)
{
    TERN_UNINITIALIZED char trash[4096];
    ssize_t got;

    for (int i = 0; i < 16; i++) {
        got = tern_sock_recv(conn->io.fd, trash, sizeof(trash));
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            tern_conn_abort(conn);
            return;
        }
    }
}

/* Read side. */

static bool replace_in(struct tern_conn *conn, size_t cap)
{
    size_t waiting = conn->in == NULL ? 0 : conn->in_end - conn->in_at;
    struct tern_rbuf *fresh = tern_hub_rbuf_take(conn->hub, cap);

    if (fresh == NULL)
        return false;
    if (waiting > 0)
        memcpy(fresh->bytes, conn->in->bytes + conn->in_at, waiting);
    tern_hub_rbuf_unref(conn->hub, conn->in);
    conn->in = fresh;
    conn->in_at = 0;
    conn->in_end = (uint32_t)waiting;
    return true;
}

static bool make_room(struct tern_conn *conn, size_t want)
{
    size_t waiting = conn->in == NULL ? 0 : conn->in_end - conn->in_at;

    if (conn->in == NULL)
        return replace_in(conn, want);
    if (want <= waiting)
        want = waiting + 1;
    size_t room = conn->in->cap - conn->in_end;
    if (conn->in->cap - conn->in_at >= want && room >= READ_ROOM_MIN)
        return true;
    if (conn->in->refs == 1 && conn->in->cap >= want && conn->in_at > 0) {
        memmove(conn->in->bytes, conn->in->bytes + conn->in_at, waiting);
        conn->in_at = 0;
        conn->in_end = (uint32_t)waiting;
        return true;
    }
    if (conn->in->cap - conn->in_at >= want)
        return true;
    /* Twice what waits, so that a long head is not copied once a packet. */
    return replace_in(conn, want > waiting * 2 ? want : waiting * 2);
}

enum tern_io tern_conn_recv(struct tern_conn *conn, void *p, size_t n, size_t *ret_n)
{
    if (conn->peer_done)
        return TERN_IO_EOF;
    if (conn->state == TERN_CONN_DEAD)
        return TERN_IO_BROKEN;
    enum tern_io io = conn->transport->recv(conn, p, n, ret_n);
    if (io == TERN_IO_OK) {
        TERN_COUNT(conn->hub->counters.bytes_in, *ret_n);
    } else if (io == TERN_IO_EOF) {
        conn->peer_done = true;
        tern_conn_watch(conn);
    } else if (io == TERN_IO_BROKEN) {
        tern_conn_abort(conn);
    }
    return io;
}

enum tern_io tern_conn_fill(struct tern_conn *conn, size_t want)
{
    size_t got;

    if (conn->peer_done)
        return TERN_IO_EOF;
    if (!make_room(conn, want)) {
        tern_conn_abort(conn);
        return TERN_IO_BROKEN;
    }
    enum tern_io io =
        tern_conn_recv(conn, conn->in->bytes + conn->in_end, conn->in->cap - conn->in_end, &got);
    if (io == TERN_IO_OK)
        conn->in_end += (uint32_t)got;
    return io;
}

void tern_conn_consume(struct tern_conn *conn, size_t n)
{
    assert(n <= conn->in_end - conn->in_at);
    conn->in_at += (uint32_t)n;
}

struct tern_rbuf *tern_conn_in_ref(struct tern_conn *conn)
{
    if (conn->in != NULL)
        conn->in->refs++;
    return conn->in;
}

void tern_conn_rest(struct tern_conn *conn)
{
    if (conn->in == NULL || conn->in_at < conn->in_end)
        return;
    tern_hub_rbuf_unref(conn->hub, conn->in);
    conn->in = NULL;
    conn->in_at = conn->in_end = 0;
}

void tern_conn_read_on(struct tern_conn *conn, bool on)
{
    if (conn->read_on == on)
        return;
    conn->read_on = on;
    tern_conn_watch(conn);
    if (on && has_pending(conn)) {
        conn->read_again = true;
        tern_conn_arm(conn, 0);
    }
}

/* From first bytes to a mux. */

static void drain_mux(struct tern_conn *conn)
{
    if (conn->draining)
        return;
    conn->draining = true;
    conn->mux->drain(conn);
}

static void start_mux(struct tern_conn *conn, const struct tern_mux_ops *mux)
{
    conn->mux_due_ns = 0;
    if (mux == NULL || mux->open(conn, NULL) != TERN_OK) {
        tern_conn_abort(conn);
        return;
    }
    conn->mux = mux;
    conn->state = TERN_CONN_OPEN;
    if (conn->hub->draining)
        drain_mux(conn);
}

static void detect(struct tern_conn *conn)
{
    bool had_bytes = conn->in_end > conn->in_at;
    enum tern_io io = tern_conn_fill(conn, 0);
    size_t n;
    const char *p = tern_conn_in(conn, &n);

    if (io == TERN_IO_AGAIN || io == TERN_IO_BROKEN) {
        tern_conn_rest(conn);
        return;
    }
    if (n == 0) {
        tern_conn_abort(conn); /* came and went */
        return;
    }
    size_t seen = n < PREFACE_SIZE ? n : PREFACE_SIZE;
    bool may_be_h2 = conn->hub->h2 != NULL && memcmp(p, preface, seen) == 0;
    if (may_be_h2 && seen < PREFACE_SIZE && io == TERN_IO_OK) {
        if (!had_bytes) /* once: a drip of bytes does not hold the clock back */
            tern_conn_deadline(conn, conn->hub->limits.header_ns);
        return; /* for the rest */
    }
    start_mux(conn, may_be_h2 && seen == PREFACE_SIZE ? conn->hub->h2 : conn->hub->h1);
    if (conn->state == TERN_CONN_OPEN)
        conn->mux->on_readable(conn);
}

static void handshake(struct tern_conn *conn)
{
    enum tern_io io = TERN_IO_OK;

    conn->transport_wants_write = false;
    if (conn->transport->handshake != NULL)
        io = conn->transport->handshake(conn);
    if (io == TERN_IO_AGAIN) {
        tern_conn_watch(conn);
        return;
    }
    if (io != TERN_IO_OK) {
        tern_conn_abort(conn);
        return;
    }
    struct tern_str alpn = {NULL, 0};
    if (conn->transport->alpn != NULL)
        alpn = conn->transport->alpn(conn);
    if (tern_str_eq(alpn, TERN_STR("h2")))
        start_mux(conn, conn->hub->h2);
    else if (tern_str_eq(alpn, TERN_STR("http/1.1")))
        start_mux(conn, conn->hub->h1);
    else
        conn->state = TERN_CONN_DETECT;
    if (conn->state == TERN_CONN_DETECT)
        tern_conn_deadline(conn, conn->hub->limits.idle_ns);
    tern_conn_watch(conn);
}

static void on_readable(struct tern_conn *conn)
{
    bool more = true;

    while (more) {
        if (conn->state == TERN_CONN_OPEN && conn->mux != NULL && conn->read_on)
            conn->mux->on_readable(conn);
        else if (conn->state == TERN_CONN_DETECT)
            detect(conn);
        else if (conn->state == TERN_CONN_LINGER)
            linger(conn);
        more =
            (conn->state == TERN_CONN_DETECT || (conn->state == TERN_CONN_OPEN && conn->read_on)) &&
            !conn->peer_done && has_pending(conn);
    }
}

static void on_ready(struct tern_loop_fd *self, unsigned events)
{
    struct tern_conn *conn = TERN_CONTAINER_OF(self, struct tern_conn, io);

    if (conn->state == TERN_CONN_HANDSHAKE) {
        handshake(conn);
        if (conn->state == TERN_CONN_HANDSHAKE || conn->state == TERN_CONN_DEAD)
            return;
        events |= TERN_LOOP_READ; /* the first request may have come with the handshake */
    }
    if ((events & TERN_LOOP_WRITE) != 0 && conn->queue_first != NULL) {
        tern_conn_flush(conn);
        if (conn->mux != NULL && conn->state != TERN_CONN_DEAD)
            conn->mux->on_sent(conn);
        tern_conn_settle(conn);
    }
    if ((events & (TERN_LOOP_READ | TERN_LOOP_HUP)) == 0 || conn->state == TERN_CONN_DEAD)
        return;
    /* Nobody asked for reading, and yet: the peer is gone in both directions. */
    if ((conn->io.events & TERN_LOOP_READ) == 0 && (events & TERN_LOOP_HUP) != 0)
        tern_conn_abort(conn);
    else
        on_readable(conn);
}

/* Life. */

enum tern_code tern_conn_open(struct tern_hub *hub, int fd, const struct tern_conn_config *config,
                              struct tern_err *err)
{
    struct tern_conn *conn = tern_pool_take(&hub->pool_conn);
    enum tern_code code = TERN_OK;

    if (conn == NULL) {
        tern_sock_close(fd);
        if (config->peers != NULL)
            tern_peers_leave(config->peers, config->peer_slot);
        return tern_mem_fail(err, "a connection", sizeof(*conn));
    }
    memset(conn, 0, sizeof(*conn));
    conn->hub = hub;
    conn->io = (struct tern_loop_fd){.fd = fd, .on_ready = on_ready};
    conn->timer.on_due = on_due;
    conn->listener = config->listener;
    conn->transport = config->transport == NULL ? &tern_transport_plain : config->transport;
    conn->peers = config->peers;
    conn->peer_slot = config->peer_slot;
    conn->read_on = true;
    conn->n_peer = (uint8_t)(config->peer.n < TERN_PEER_MAX ? config->peer.n : TERN_PEER_MAX);
    if (conn->n_peer > 0)
        memcpy(conn->peer, config->peer.p, conn->n_peer);
    tern_list_append(&hub->conns, &conn->link);
    TERN_COUNT(hub->counters.conns_opened, 1);
    if (hub->conns_all != NULL)
        atomic_fetch_add_explicit(hub->conns_all, 1, memory_order_relaxed);
    code = tern_loop_add(hub->loop, &conn->io, TERN_LOOP_READ, err);
    if (code == TERN_OK && conn->transport->open != NULL)
        code = conn->transport->open(conn, config->transport_config, err);
    if (code != TERN_OK) {
        tern_conn_abort(conn);
        return code;
    }
    tern_conn_deadline(conn, hub->limits.header_ns);
    if (conn->transport->handshake == NULL)
        handshake(conn);
    return TERN_OK;
}

/* No byte of it was read. One may be in the socket, or on its way from a client that has just
 * connected; who has been silent for longer is let go. */
static void drain_silent(struct tern_conn *conn)
{
    uint64_t now = tern_loop_now_ns(conn->hub->loop);

    on_readable(conn);
    if (conn->state != TERN_CONN_DETECT || conn->in != NULL)
        return;
    /* The idle deadline was set when the connection came. */
    if (conn->mux_due_ns + TERN_CONN_BUSY_NS > now + conn->hub->limits.idle_ns)
        tern_conn_deadline(conn, TERN_CONN_DRAIN_GRACE_NS);
    else
        tern_conn_abort(conn);
}

void tern_conn_drain(struct tern_conn *conn)
{
    if (conn->state == TERN_CONN_OPEN)
        drain_mux(conn);
    else if (conn->state == TERN_CONN_DETECT && conn->in == NULL)
        drain_silent(conn);
    /* else start_mux() sees that the hub drains */
}

void tern_conn_free(struct tern_conn *conn)
{
    struct tern_hub *hub = conn->hub;

    close_mux(conn);
    tern_conn_drop_queue(conn);
    tern_hub_rbuf_unref(hub, conn->in);
    conn->transport->close(conn);
    tern_sock_close(conn->io.fd);
    if (conn->peers != NULL)
        tern_peers_leave(conn->peers, conn->peer_slot);
    if (hub->conns_all != NULL)
        atomic_fetch_sub_explicit(hub->conns_all, 1, memory_order_relaxed);
    TERN_COUNT(hub->counters.conns_closed, 1);
    tern_pool_give(&hub->pool_conn, conn);
}
