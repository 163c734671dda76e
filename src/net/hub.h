/* What the connections of one event loop share: limits, the handler, pools of memory, the scratch
 * that answers are written into, counters. One hub a loop; only its thread touches it (counters may
 * be read from anywhere). */
#ifndef TERN_NET_HUB_H
#define TERN_NET_HUB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/account.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "core/exchange.h"
#include "net/pool.h"
#include "os/loop.h"
#include "simd/numbers.h"
#include "stat/catalog.h"
#include "wire/decoder.h"
#include "wire/encoding.h"
#include "wire/header.h"

struct tern_conn;
struct tern_mux_ops;
struct tern_body_link;

/* Defaults: TERN_NET_LIMITS_DEFAULT. Times in nanoseconds, sizes in bytes. */
struct tern_net_limits {
    uint32_t conns_max;        /* the whole server */
    uint32_t conns_per_ip_max; /* the whole server, TCP only */
    uint64_t header_ns;        /* from the first byte of a head to its end */
    uint64_t idle_ns;          /* between requests */
    uint64_t body_grace_ns;    /* a body is not judged before that */
    uint64_t body_rate_min;    /* bytes a second, averaged over each body_grace_ns */
    uint64_t write_stall_ns;   /* without one byte taken by the client */
    uint64_t linger_ns;        /* how long what a refused client still sends is thrown away */
    uint32_t requests_max;     /* on one connection */
    uint32_t pipeline_max;     /* requests in flight on one HTTP/1.1 connection */
    size_t queue_high;         /* queued answer bytes above which a connection is not read */
    size_t body_bytes_max;     /* received bytes of unfinished and unanswered bodies, a loop; 503 */
    size_t queue_max;          /* queued bytes above which a streaming answer is cut off */
    struct tern_head_limits head;
    uint32_t expand_max;    /* bytes of a decompressed body for each that came */
    bool compression;       /* of answers, where handler and client allow it */
    size_t compression_min; /* bytes below which it does not pay */
    /* HTTP/2; the first three are announced to connections that open from now on. */
    uint32_t h2_streams_max;
    uint32_t h2_stream_window;        /* bytes */
    uint32_t h2_connection_window;    /* bytes */
    uint32_t h2_control_max;          /* PING, SETTINGS, PRIORITY, empty DATA; a second */
    uint32_t h2_glitches_max;         /* resets and violations, some forgiven each second */
    uint64_t h2_keepalive_ns;         /* a client so long silent is sent a PING; 0: never */
    uint64_t h2_keepalive_timeout_ns; /* without a byte after the PING */
    uint64_t h2_ping_interval_ns;     /* a client without streams that pings more often ... */
    uint32_t h2_ping_strikes_max;     /* ... more than so many times is sent away */
    uint64_t h2_age_max_ns;           /* then a connection is asked to end; 0: never */
    uint64_t h2_age_grace_ns;         /* so long after that it is ended; 0: never */
};

#define TERN_NET_LIMITS_DEFAULT                                                                 \
    {                                                                                           \
        .conns_max = 100000, .conns_per_ip_max = 1000, .header_ns = 10ull * TERN_NS_PER_S,      \
        .idle_ns = 60ull * TERN_NS_PER_S, .body_grace_ns = 10ull * TERN_NS_PER_S,               \
        .body_rate_min = 1024, .write_stall_ns = 30ull * TERN_NS_PER_S,                         \
        .linger_ns = 2ull * TERN_NS_PER_S, .requests_max = 100000, .pipeline_max = 64,          \
        .queue_high = 256u << 10, .body_bytes_max = 1u << 30, .queue_max = 8u << 20,            \
        .head = TERN_HEAD_LIMITS_DEFAULT, .expand_max = TERN_DECODER_RATIO_DEFAULT,             \
        .compression = true, .compression_min = TERN_ENCODING_SIZE_MIN, .h2_streams_max = 100,  \
        .h2_stream_window = 1u << 20, .h2_connection_window = 1u << 20, .h2_control_max = 1000, \
        .h2_glitches_max = 200, .h2_keepalive_ns = 7200ull * TERN_NS_PER_S,                     \
        .h2_keepalive_timeout_ns = 20ull * TERN_NS_PER_S,                                       \
        .h2_ping_interval_ns = 5ull * TERN_NS_PER_S, .h2_ping_strikes_max = 100                 \
    }

/* Written by the hub's thread, read by anyone (relaxed). */
struct tern_net_counters {
    _Atomic uint64_t conns_refused; /* over a cap */
    _Atomic uint64_t conns_opened;
    _Atomic uint64_t conns_closed;
    _Atomic uint64_t exchanges_begun; /* by the muxes; equal to exchanges_ended when none is left */
    _Atomic uint64_t exchanges_ended;
    _Atomic uint64_t requests_came; /* a byte of it is enough */
    _Atomic uint64_t requests_ended[TERN_ENDING_COUNT];
    _Atomic uint64_t requests;         /* with a whole head */
    _Atomic uint64_t requests_refused; /* by the mux: malformed, too large, too slow */
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
    _Atomic uint64_t timeouts;
    _Atomic uint64_t accept_pauses; /* no descriptor was left */
};

/* A counter has one writer: no locked instruction is needed. */
#define TERN_COUNT(counter, n)                                                          \
    atomic_store_explicit(&(counter),                                                   \
                          atomic_load_explicit(&(counter), memory_order_relaxed) + (n), \
                          memory_order_relaxed)

/* Bytes read from a connection. The connection holds one reference, and so does each exchange whose
 * head or body lies in it: answering late never moves the bytes. TERN_TEXT_PAD more bytes are
 * readable after cap. */
struct tern_rbuf {
    uint32_t refs;
    uint32_t cap;
    char bytes[];
};

#define TERN_RBUF_SIZE      16384u /* the pooled size, all of struct and pad included */
#define TERN_BODY_CLASSES   11     /* kept body buffers: 16 KiB << 0 .. 16 KiB << 10 */
#define TERN_BODY_CLASS_MIN 16384u
#define TERN_BODY_KEPT_MAX  (32u << 20) /* bytes of body buffers kept between requests */

struct tern_hub_config {
    struct tern_loop *loop;             /* borrowed */
    const struct tern_handler *handler; /* borrowed */
    const struct tern_net_limits *limits;
    const struct tern_mux_ops *h1;
    const struct tern_mux_ops *h2; /* may be NULL: not spoken */
    _Atomic uint32_t *conns;       /* open connections of the whole server; may be NULL */
    struct tern_till *till;        /* what requests are charged to; NULL: nothing is */
};

struct tern_hub {
    struct tern_loop *loop;
    const struct tern_handler *handler;
    struct tern_net_limits limits;
    const struct tern_mux_ops *h1;
    const struct tern_mux_ops *h2;
    _Atomic uint32_t *conns_all;
    struct tern_till *till;
    struct tern_list conns;   /* open ones */
    struct tern_list closing; /* asked to shut down in this round: back in conns at its end */
    struct tern_list dead;    /* cut off in this round, freed at its end */
    struct tern_loop_task reap;
    bool reap_asked;
    bool draining;

    struct tern_buf out; /* the scratch behind x->out */
    struct tern_pool pool_conn;
    struct tern_pool pool_rbuf;
    struct tern_pool pool_chunk;                      /* write queue: copied bytes */
    struct tern_pool pool_piece;                      /* write queue: references */
    struct tern_body_link *bodies[TERN_BODY_CLASSES]; /* free lists */
    size_t body_bytes;           /* what limits.body_bytes_max bounds; kept by the muxes */
    size_t bodies_kept;          /* bytes in them */
    struct tern_loop_timer tidy; /* gives the memory of a burst back */
    uint64_t tidy_requests;
    void *h1_state; /* the muxes' own: pools shared by their connections, freed by hub_fini */
    void *h2_state;

    char date[32];
    uint64_t date_due_ns;
    struct tern_net_counters counters;
};

enum tern_code tern_hub_new(const struct tern_hub_config *config, struct tern_hub **ret_hub,
                            struct tern_err *err);
/* All connections must be gone. */
void tern_hub_free(struct tern_hub *hub);

/* Lets every connection finish what is in flight and close; idle ones close at once. New
 * connections are told to close after one answer. */
void tern_hub_drain(struct tern_hub *hub);
/* Cuts every connection off. */
void tern_hub_abort_all(struct tern_hub *hub);
/* No connection is open and no exchange is owed an end. Any thread. */
bool tern_hub_is_idle(const struct tern_hub *hub);

/* A read buffer with room for `cap` bytes or more and one reference; NULL without memory. */
TERN_MUST_USE struct tern_rbuf *tern_hub_rbuf_take(struct tern_hub *hub, size_t cap);
void tern_hub_rbuf_unref(struct tern_hub *hub, struct tern_rbuf *rbuf);

/* A body buffer for n bytes plus TERN_TEXT_PAD, aligned to 64; *ret_cap is what really fits. NULL
 * without memory. The caller has checked n against its limit. */
TERN_MUST_USE char *tern_hub_body_take(struct tern_hub *hub, size_t n, size_t *ret_cap);
void tern_hub_body_give(struct tern_hub *hub, char *body, size_t cap);

/* What of a body that will have `size` bytes is charged when n of them came: no more than four
 * times what the client has shown, so that claiming much costs the client as much. */
TERN_INLINE size_t tern_hub_body_charge(size_t size, size_t n)
{
    size_t shown = n < SIZE_MAX / 8 ? 4 * n + TERN_ACCOUNT_GRAIN : size;

    return size < shown ? size : shown;
}

/* Whether an answer of n bytes may be compressed, as far as the limits say. */
TERN_INLINE bool tern_hub_may_compress(const struct tern_hub *hub, size_t n)
{
    return hub->limits.compression && n >= hub->limits.compression_min && n > 0;
}

/* For conn.c and the muxes: frees what is in hub->dead at the end of this round; gives pooled
 * memory back some quiet seconds later. */
void tern_hub_reap_later(struct tern_hub *hub);
void tern_hub_tidy_later(struct tern_hub *hub);

#define TERN_DATE_SIZE 29
/* The HTTP date (RFC 9110 5.6.7) of now, 29 bytes, computed at most once a second. */
struct tern_str tern_hub_date(struct tern_hub *hub);

#endif
