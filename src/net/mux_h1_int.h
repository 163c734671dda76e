/* Shared by the three parts of the HTTP/1.1 mux: mux_h1.c (life), mux_h1_read.c (requests),
 * mux_h1_send.c (answers). */
#ifndef TERN_NET_MUX_H1_INT_H
#define TERN_NET_MUX_H1_INT_H

#include "net/conn.h"
#include "net/mux_h1.h"
#include "wire/decoder.h"
#include "wire/encoder.h"
#include "wire/http1.h"

struct h1;

/* An exchange and what this mux needs around it. Pooled, its arena's first chunk included. */
struct h1_exchange {
    struct tern_exchange x;
    struct tern_hub *hub;
    struct h1 *h1;         /* NULL: the connection is gone, the handler still owes the end */
    struct tern_list link; /* h1->waiting, h1->flushing, shared->finished, shared->free */
    struct tern_arena arena;
    struct tern_http1_head head;

    /* Request body: in rbuf, or in body. */
    struct tern_rbuf *rbuf; /* a reference: head and small bodies lie in it */
    char *body;             /* owned; NULL: the body is in rbuf */
    size_t body_cap;
    size_t body_lead; /* bytes of it left free in front, so that the pivot begins a cache line */
    size_t counted;   /* of hub->body_bytes */
    size_t charged;   /* to hub->till */
    size_t body_n;    /* bytes received so far */
    struct tern_buf decoded; /* of a compressed body */
    bool came;               /* it counts as a request */
    bool broken_off;         /* the client finished sending in the middle of it */
    bool handed;             /* on_request was called (or on_refused) */
    bool skip_body;          /* answered before its body came: the rest is thrown away */
    bool wants_continue;     /* 100 Continue is still to be sent */
    bool timed;              /* the clock for its head runs */
    enum tern_encoding encoding;
    bool last; /* the connection closes after this answer */

    /* Response. */
    bool head_sent; /* by the handler: the first send came */
    bool ended;
    bool chunked;
    struct tern_buf held; /* the answer of one that is not first in line yet */
    uint64_t end_mark;    /* conn->bytes_given after the last byte */
    struct tern_header fields[TERN_HEAD_FIELDS_MAX];
};

/* Over TCP a client that closed looks like one that only finished sending (nc -N). When its answer
 * is not there so long after that, it is sent an interim one, 100 Continue, which every client of
 * HTTP/1.1 may get at any time (RFC 9110 15.2): who listens ignores it, and the machine of who left
 * answers with a reset, which tells. Then four times as long, and so on: clients take a few. */
#define H1_PROBE_NS    (20ull * TERN_NS_PER_MS)
#define H1_PROBES_MAX  5u
#define H1_PROBE_SHIFT 2u

enum h1_reading {
    H1_HEAD,
    H1_BODY,   /* Content-Length */
    H1_CHUNKS, /* chunked */
    H1_STOP,   /* nothing more is read as requests */
};

/* One connection. Small: an idle connection keeps it. */
struct h1 {
    struct tern_conn *conn;
    struct h1_exchange *now;   /* the request being read; NULL between requests */
    struct tern_list waiting;  /* exchanges not fully answered, in order; `now` is not among them
                                  until its head is complete */
    struct tern_list flushing; /* answered, bytes still leave */
    struct tern_list dirty;    /* shared->dirty: to be looked after at the end of the round */
    uint32_t n_waiting;
    uint8_t reading;    /* enum h1_reading */
    bool in_process;    /* process is on the stack: it looks after the connection itself */
    bool paused;        /* requests wait in the buffer for room */
    uint8_t n_probes;   /* of a client that finished sending; its first is on its way from 1 on */
    bool alone;         /* HTTP/1.0: no pipelining, its answer may end with the connection */
    uint64_t body_mark; /* body_n when the rate was last judged */
    struct tern_http1_chunks chunks;
};

/* What the HTTP/1.1 connections of one loop share: hub->h1_state. */
struct h1_shared {
    struct tern_hub *hub;
    struct tern_pool pool; /* struct h1 */
    struct tern_list free; /* exchanges */
    uint32_t n_free;
    struct tern_list dirty;
    struct tern_list finished; /* orphans that ended, recycled at the end of the round */
    struct tern_loop_task look_after;
    bool asked;
    struct tern_decoder decoder;
    struct tern_encoder encoder;
    struct tern_buf encoded;
};

/* mux_h1.c */
struct h1_exchange *h1_exchange_take(struct h1 *h1);
void h1_exchange_recycle(struct h1_exchange *hx);
/* More than empty lines came of it. */
void h1_exchange_came(struct h1_exchange *hx);
/* Asks for h1_look_after at the end of the round. */
void h1_mark_dirty(struct h1 *h1);
void h1_finish_orphan(struct h1_exchange *hx);

/* mux_h1_read.c */
void h1_on_readable(struct tern_conn *conn);
/* Reads requests from the buffer until it is exhausted or must wait. */
void h1_process(struct h1 *h1);
/* Nothing but empty lines came of the request being read. */
bool h1_is_blank(const struct h1 *h1);
/* Answers the request being read with an error of the mux's own and reads no further. */
void h1_refuse(struct h1 *h1, const struct tern_err *err);

/* mux_h1_send.c */
extern const struct tern_exchange_ops h1_exchange_ops;
/* Sends what those first in line have ready: held answers, 100 Continue. */
void h1_send_held(struct h1 *h1);
/* Sends a client that finished sending something to react on, unless its answer has begun. */
void h1_probe(struct h1 *h1);

/* Tells the streamed answer first in line, if any, how much of it is left. */
void h1_tell_room(struct h1 *h1);

/* A body that was answered before it was read is thrown away up to this size; above, closing is
 * cheaper. */
#define H1_SKIP_MAX (64u << 10)

#endif
