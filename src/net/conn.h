/* One connection: a descriptor, a transport (plain bytes or TLS) and a mux (HTTP/1.1 or HTTP/2).
 *
 *      kernel <-> transport <-> conn (read buffer, write queue, timers) <-> mux <-> handler
 *
 * The connection owns the bytes and the clock; the mux owns the meaning. Which mux is decided once:
 * by ALPN, or by the client preface of RFC 9113 3.4 (prior knowledge), else HTTP/1.1.
 *
 * Everything happens on the hub's loop thread. Nothing is torn down inside a callback: abort and
 * shutdown only mark, and the connection is freed at the end of the round, after mux->close. So a
 * mux may call them anywhere and still touch its state until it returns to the loop.
 *
 * Idle cost: this struct and the mux state. The read buffer is attached when bytes come and goes
 * back to the pool when all were consumed (tern_conn_rest). */
#ifndef TERN_NET_CONN_H
#define TERN_NET_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include "base/err.h"
#include "base/list.h"
#include "core/exchange.h"
#include "net/hub.h"
#include "os/loop.h"

struct tern_conn;
struct tern_peers;

enum tern_io {
    TERN_IO_OK,     /* at least one byte moved (or the handshake is done) */
    TERN_IO_AGAIN,  /* nothing now: wait for the loop */
    TERN_IO_EOF,    /* the peer finished sending */
    TERN_IO_BROKEN, /* reset or violated: nothing moves any more, in either direction */
};

/* How bytes travel. tern_transport_plain is in conn.c, TLS in net/tls.c. */
struct tern_transport_ops {
    const char *name;
    bool is_tls;
    /* Attaches to a fresh connection; config is the listener's transport_config. May be NULL. */
    enum tern_code (*open)(struct tern_conn *conn, void *config, struct tern_err *err);
    /* Called when the descriptor is ready until it answers OK. May be NULL: nothing to do. While it
     * answers AGAIN, it sets conn->transport_wants_write to say what it waits for. */
    enum tern_io (*handshake)(struct tern_conn *conn);
    /* The protocol agreed on in the handshake: "h2", "http/1.1", or empty. May be NULL. */
    struct tern_str (*alpn)(struct tern_conn *conn);
    enum tern_io (*recv)(struct tern_conn *conn, void *p, size_t n, size_t *ret_n);
    /* A partial write is OK with the bytes taken. After AGAIN it is called again with the same
     * bytes first. n <= TERN_CONN_IOV_MAX. */
    enum tern_io (*send)(struct tern_conn *conn, const struct iovec *iov, int n, size_t *ret_n);
    /* Bytes already decrypted wait inside: epoll will not tell. May be NULL: never. */
    bool (*has_pending)(struct tern_conn *conn);
    void (*shutdown)(struct tern_conn *conn); /* says goodbye and finishes our direction */
    void (*close)(struct tern_conn *conn);    /* frees conn->transport_state; not the descriptor */
};

extern const struct tern_transport_ops tern_transport_plain;

/* How bytes become exchanges. */
struct tern_mux_ops {
    const char *name; /* "h1", "h2" */
    /* Sets conn->mux_state. On failure the connection is cut. The first on_readable follows. */
    enum tern_code (*open)(struct tern_conn *conn, struct tern_err *err);
    /* Bytes wait in the read buffer, on the socket, or (after the peer finished) none: read with
     * tern_conn_fill or tern_conn_recv and handle what came. Level-triggered: one read a call is
     * enough. */
    void (*on_readable)(struct tern_conn *conn);
    /* Queued bytes left: conn->bytes_sent moved. Never called from inside tern_conn_send. */
    void (*on_sent)(struct tern_conn *conn);
    void (*on_timeout)(struct tern_conn *conn); /* the time set by tern_conn_deadline has passed */
    /* Finish what is in flight, then tern_conn_shutdown. Called once at most. */
    void (*drain)(struct tern_conn *conn);
    /* Last call: orphan the exchanges (gone, on_gone), free mux_state. */
    void (*close)(struct tern_conn *conn);
    /* What its connections of one loop share (hub->h1_state, hub->h2_state). Both may be NULL. */
    void (*hub_tidy)(struct tern_hub *hub); /* a quiet time: give pooled memory back */
    void (*hub_fini)(struct tern_hub *hub); /* every connection is gone */
};

enum tern_conn_state {
    TERN_CONN_HANDSHAKE, /* the transport talks */
    TERN_CONN_DETECT,    /* plain: h1 or h2 is open until the first bytes came */
    TERN_CONN_OPEN,      /* the mux has it */
    TERN_CONN_FLUSH,     /* tern_conn_shutdown was called, answers still go out */
    TERN_CONN_LINGER,    /* our side is finished; what still comes is thrown away */
    TERN_CONN_DEAD,      /* on hub->dead */
};

#define TERN_CONN_IOV_MAX 64
#define TERN_PEER_MAX     64
#define TERN_CHUNK_SIZE   16384u
/* A drain lets a client that was busy (or connected) within the first finish what it has probably
 * begun to send: so long does it wait for the first byte. */
#define TERN_CONN_BUSY_NS        (1ull * TERN_NS_PER_S)
#define TERN_CONN_DRAIN_GRACE_NS (200ull * TERN_NS_PER_MS)

/* One entry of a write queue: bytes copied into it, or a reference to bytes elsewhere. */
struct tern_piece {
    struct tern_piece *next;
    const char *p;
    size_t n;
    void *owned;   /* freed with the piece; may be NULL */
    uint32_t room; /* copied bytes: how many more fit behind p + n */
    bool is_chunk; /* from pool_chunk: the bytes follow */
    char bytes[];
};

struct tern_conn {
    struct tern_loop_fd io;
    struct tern_loop_timer timer;
    struct tern_list link; /* hub->conns, hub->closing, hub->dead */
    struct tern_hub *hub;  /* borrowed: outlives every connection */
    const struct tern_listener_info *listener;
    const struct tern_transport_ops *transport;
    void *transport_state;
    const struct tern_mux_ops *mux; /* NULL until chosen */
    void *mux_state;

    /* Read side: bytes in->bytes[in_at .. in_end) wait. in is NULL when nothing waits. */
    struct tern_rbuf *in;
    uint32_t in_at;
    uint32_t in_end;

    /* Write side. */
    struct tern_piece *queue_first; /* owned */
    struct tern_piece *queue_last;  /* NULL when empty */
    size_t queued;                  /* bytes in the queue */
    uint64_t bytes_given;           /* ever passed to tern_conn_send */
    uint64_t bytes_sent; /* ever taken by the transport: everything up to here has left */

    uint64_t mux_due_ns;   /* 0: none */
    uint64_t stall_due_ns; /* 0: nothing queued */
    uint8_t state;         /* enum tern_conn_state */
    bool corked;           /* tern_conn_send only queues */
    bool read_on;          /* the mux wants to be read (tern_conn_read_on) */
    bool peer_done;        /* EOF was read */
    bool transport_wants_write;
    bool draining;
    bool read_again; /* the timer fires at once to read what waits inside the transport */
    uint8_t n_peer;
    uint32_t requests;        /* counted by the mux, for limits.requests_max */
    struct tern_peers *peers; /* borrowed; NULL: not counted by address */
    uint32_t peer_slot;
    char peer[TERN_PEER_MAX]; /* "127.0.0.1:5123", "unix" */
};

/* What a listener hands over with an accepted descriptor. */
struct tern_conn_config {
    const struct tern_listener_info *listener;  /* borrowed */
    const struct tern_transport_ops *transport; /* NULL: plain */
    void *transport_config;
    struct tern_peers *peers; /* caps by address; NULL: none */
    uint32_t peer_slot;       /* the place in peers that was counted up */
    struct tern_str peer;
};

/* Takes fd over, also on failure (it is closed). Reads at once. */
enum tern_code tern_conn_open(struct tern_hub *hub, int fd, const struct tern_conn_config *config,
                              struct tern_err *err);

/* Read side. */

/* The bytes that wait. They may be changed in place (chunk decoding, NUL terminating). */
TERN_INLINE char *tern_conn_in(const struct tern_conn *conn, size_t *ret_n)
{
    *ret_n = conn->in_end - conn->in_at;
    return conn->in == NULL ? NULL : conn->in->bytes + conn->in_at;
}
/* Reads once behind what waits. Attaches or enlarges the buffer so that at least `want` bytes can
 * wait in one piece (0: the pooled size), without moving bytes that an exchange refers to. BROKEN
 * also without memory. */
enum tern_io tern_conn_fill(struct tern_conn *conn, size_t want);
/* Drops n waiting bytes. */
void tern_conn_consume(struct tern_conn *conn, size_t n);
/* A reference of the caller's own on the buffer that holds the waiting bytes, or NULL. */
struct tern_rbuf *tern_conn_in_ref(struct tern_conn *conn);
/* Gives the read buffer back when nothing waits in it. Call before going idle. */
void tern_conn_rest(struct tern_conn *conn);
/* Reads once into the caller's memory; waiting bytes must have been consumed. */
enum tern_io tern_conn_recv(struct tern_conn *conn, void *p, size_t n, size_t *ret_n);
/* Off: back-pressure, on_readable does not come. */
void tern_conn_read_on(struct tern_conn *conn, bool on);

/* Write side. */

/* Sends the slices in order, after what is queued. The first n_copied slices are scratch: what the
 * kernel does not take at once is copied (or, when it is in hub->out and large, taken over:
 * hub->out is then empty). The others stay in place until conn->bytes_sent passes the value that
 * conn->bytes_given has after this call. Failures mark the connection dead; the call may be made in
 * any state. */
void tern_conn_send(struct tern_conn *conn, const struct tern_slice *slices, uint32_t n,
                    uint32_t n_copied);
/* Between cork and uncork sends only queue; uncork sends all in one call. */
void tern_conn_cork(struct tern_conn *conn);
void tern_conn_uncork(struct tern_conn *conn);
TERN_INLINE bool tern_conn_is_congested(const struct tern_conn *conn)
{
    return conn->queued > conn->hub->limits.queue_high;
}
TERN_INLINE bool tern_conn_is_dead(const struct tern_conn *conn)
{
    return conn->state == TERN_CONN_DEAD;
}

/* Time and end. */

/* mux->on_timeout is called once when after_ns have passed; 0: never. Cheap: the timer itself moves
 * only when the new time is earlier. */
void tern_conn_deadline(struct tern_conn *conn, uint64_t after_ns);
/* Sends what is queued, finishes our direction, throws away what the client still sends (so that it
 * can read the answer instead of a reset) for limits.linger_ns at most, then closes. mux->close
 * comes when nothing is queued any more. */
void tern_conn_shutdown(struct tern_conn *conn);
/* Closes without any more bytes at the end of this round. */
void tern_conn_abort(struct tern_conn *conn);
/* For the hub, at the end of a round: a connection from hub->closing goes on with its end when its
 * queue is empty; one from hub->dead is freed. */
void tern_conn_settle(struct tern_conn *conn);
void tern_conn_free(struct tern_conn *conn);
/* The hub drains: asks the mux to finish. */
void tern_conn_drain(struct tern_conn *conn);

#endif
