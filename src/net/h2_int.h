/* Shared by the files of the HTTP/2 mux: mux_h2, h2_alive, h2_fields, h2_frames,
 * h2_request, h2_body, h2_parts, h2_response. */
#ifndef TERN_NET_H2_INT_H
#define TERN_NET_H2_INT_H

#include <nghttp2/nghttp2.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"
#include "core/exchange.h"
#include "net/conn.h"
#include "net/h2_mem.h"
#include "net/mux_h2.h"
#include "net/pool.h"
#include "wire/decoder.h"
#include "wire/encoder.h"

#define TERN_H2_SEGMENTS 64

/* A run of bytes to send: of the wire buffer (p == NULL), or in place elsewhere. */
struct tern_h2_segment {
    const char *p;
    size_t n;
};

/* What the connections of one loop share: hub->h2_state. */
struct tern_h2_hub {
    struct tern_hub *hub;
    struct tern_h2_mem mem;
    nghttp2_session_callbacks *callbacks; /* owned */
    nghttp2_option *option;               /* owned */
    struct tern_pool pool_conn;
    struct tern_list streams_free;
    uint32_t n_streams_free;
    struct tern_decoder decoder;
    struct tern_encoder encoder;
    char *input; /* owned: where reads go; nghttp2 takes all of it at once */

    /* The frames of one flush; empty between flushes. */
    struct tern_buf wire;
    struct tern_h2_segment segments[TERN_H2_SEGMENTS];
    uint32_t n_segments;
    size_t batch; /* bytes in all segments */
    bool full;    /* the batch must go out before more is collected */

    struct tern_list dirty; /* connections to flush at the end of this round */
    struct tern_loop_task flush;
    bool flush_asked;
};

/* Fields of a request that mean something to the mux. */
enum tern_h2_field {
    TERN_H2_FIELD_METHOD,
    TERN_H2_FIELD_SCHEME,
    TERN_H2_FIELD_PATH,
    TERN_H2_FIELD_AUTHORITY,
    TERN_H2_FIELD_PSEUDO, /* some other name with ':' */
    TERN_H2_FIELD_HOST,
    TERN_H2_FIELD_TE,
    TERN_H2_FIELD_EXPECT,
    TERN_H2_FIELD_CONNECTION, /* one of those that HTTP/2 has not */
    TERN_H2_FIELD_CONTENT_TYPE,
    TERN_H2_FIELD_CONTENT_LENGTH,
    TERN_H2_FIELD_CONTENT_ENCODING,
    TERN_H2_FIELD_OTHER,
};

#define TERN_H2_KNOWN_FIELDS 16

/* A field of a request and what it means. */
struct tern_h2_known {
    nghttp2_rcbuf *name; /* a reference, as value; NULL: nothing is known */
    nghttp2_rcbuf *value;
    struct tern_str name_str;
    struct tern_str value_str;
    uint64_t bit; /* tern_header_bit */
    enum tern_h2_field field;
    uint32_t flags; /* of h2_fields */
    bool in_table;  /* the name is of HPACK's static table: it stays */
};

enum tern_h2_drain {
    TERN_H2_DRAIN_NO,
    TERN_H2_DRAIN_NOTICE, /* GOAWAY for no stream sent: waits for the PING that chased it */
    TERN_H2_DRAIN_FINAL,  /* GOAWAY with the last stream sent */
};

struct tern_h2_conn {
    struct tern_conn *conn;
    struct tern_h2_hub *shared;
    nghttp2_session *session;      /* owned */
    struct tern_list open;         /* streams that nghttp2 knows */
    struct tern_list ready;        /* of these: complete, or with a new part (ready_link) */
    struct tern_list roomy;        /* streamed answers to be told of room (room_link) */
    struct tern_list orphans;      /* closed by the client, the handler still works */
    struct tern_list finishing;    /* closed and answered, bytes still referred to by the queue */
    struct tern_list dirty;        /* shared->dirty */
    struct tern_h2_stream *recent; /* in open: frames of one stream come in a row */
    uint32_t n_open;
    size_t body_bytes;       /* held by request bodies */
    uint64_t glitch_ns;      /* when glitches leaked last */
    uint64_t glitches;       /* in thousandths */
    uint64_t control_ns;     /* start of the second that control counts */
    uint32_t control;        /* frames */
    uint64_t check_ns;       /* when streams, the greeting, or idleness are looked after */
    uint64_t read_ns;        /* when a byte came last */
    uint64_t ping_ns;        /* when we sent a PING that no byte has followed; 0: none */
    uint64_t age_ns;         /* when it is asked to end; 0: never */
    uint64_t cut_ns;         /* when it is ended; 0: never */
    uint64_t client_ping_ns; /* the client's last PING since a stream was open; 0: none */
    uint32_t strikes;        /* of those, the ones that came too soon */
    enum tern_h2_drain drain;
    bool greeted; /* the client's SETTINGS came */
    bool settled; /* it has acknowledged ours */
    bool busy;    /* inside on_readable: it flushes at its end */
    /* The n-th of each request: clients send the same fields in the same order. */
    struct tern_h2_known known[TERN_H2_KNOWN_FIELDS];
    struct tern_h2_known unknown; /* one that is too large to be kept; holds no reference */
};

enum tern_h2_phase {
    TERN_H2_PHASE_HEAD,
    TERN_H2_PHASE_BODY,
    TERN_H2_PHASE_READY,  /* complete, on h->ready */
    TERN_H2_PHASE_HANDED, /* the handler has it and owes an END */
    TERN_H2_PHASE_DONE,   /* the handler sent END */
};

struct tern_h2_stream {
    struct tern_exchange x;
    struct tern_h2_conn *h; /* borrowed; NULL when the connection is gone */
    struct tern_h2_hub *shared;
    struct tern_list link; /* h->open, h->orphans, h->finishing, shared->streams_free */
    struct tern_list ready_link;
    struct tern_list room_link;
    int32_t id;
    enum tern_h2_phase phase;
    bool closed;   /* nghttp2 has forgotten it */
    bool complete; /* END_STREAM came */

    /* Request. */
    bool malformed;
    bool head_too_large;
    bool has_orders; /* fields that the mux obeys at the end of the head */
    bool expects_continue;
    bool unwanted;     /* answered (or cut) already, the client still sends */
    bool parts;        /* the handler asked for it in parts */
    uint32_t seen;     /* of h2_fields */
    uint32_t n_fields; /* that came */
    uint32_t headers_cap;
    size_t header_bytes;
    size_t content_length; /* SIZE_MAX: not said */
    size_t received;       /* bytes of DATA, whoever wants them */
    enum tern_encoding encoding;
    char *body;     /* from the hub's pool when body_cap > 0, else in the arena */
    size_t body_at; /* where its bytes begin; of parts, those that wait */
    size_t body_n;
    size_t body_room;
    size_t body_cap;
    size_t charged;       /* to hub->till, of the body ... */
    size_t plain_charged; /* ... and of it decompressed */
    size_t uncredited;    /* parts: of body_n, what the stream's window was not opened for */
    uint64_t progress_ns; /* when progress_n was taken (body), when bytes left last (answer) */
    size_t progress_n;

    /* Response: what is left of `out` from out_at on, then of the slices. */
    size_t out_at;
    bool out_is_stable; /* nothing will be appended: may be sent in place */
    bool head_sent;
    bool no_body; /* HEAD, 204, 304: the head ends the stream */
    bool ended;
    bool end_sent;      /* END_STREAM is among the connection's bytes */
    bool trailers_sent; /* queued in nghttp2: the stream ends with them */
    bool deferred;      /* nghttp2 waits for nghttp2_session_resume_data */
    uint32_t slice_at;
    size_t slice_off;
    size_t pending;     /* bytes left */
    uint64_t sent_mark; /* conn->bytes_sent at which no byte of ours is referred to any more */

    /* Kept, empty, for the next stream. */
    struct tern_arena arena;
    struct tern_buf plain; /* the decompressed body */
    struct tern_buf out;   /* a copy of a small body, or a large one taken over */
};

TERN_INLINE struct tern_h2_stream *tern_h2_stream_of(struct tern_exchange *x)
{
    return TERN_CONTAINER_OF(x, struct tern_h2_stream, x);
}

/* mux_h2.c */

/* Something may be ready to send: flushes at the end of this round. */
void tern_mux_h2_touch(struct tern_h2_conn *h);
/* Counts a reset or a violation by the client; at the limits the connection is ended. */
void tern_mux_h2_glitch(struct tern_h2_conn *h, uint32_t weight);
/* Counts a frame that costs us and brings nothing. */
void tern_mux_h2_control(struct tern_h2_conn *h);
/* Sets the connection's clock anew: a stream came or went, or the client's SETTINGS came. */
void tern_mux_h2_rearm(struct tern_h2_conn *h);
/* Adds a run of bytes to the batch: n bytes just appended to the wire buffer (p == NULL), or bytes
 * that stay where they are. */
void tern_mux_h2_add_segment(struct tern_h2_hub *shared, const char *p, size_t n);
/* Begins to end the connection gracefully, the second step follows when the PING (with these eight
 * bytes) came back. */
extern const uint8_t tern_mux_h2_drain_ping[8];
void tern_mux_h2_drain_start(struct tern_h2_conn *h);
void tern_mux_h2_drain_finish(struct tern_h2_conn *h);

/* h2_alive.c */

void tern_h2_alive_start(struct tern_h2_conn *h, uint64_t now);
void tern_h2_alive_read(struct tern_h2_conn *h, uint64_t now);
/* When to check; UINT64_MAX: never. */
uint64_t tern_h2_alive_due(const struct tern_h2_conn *h);
/* Pings a silent client, ends an old connection. False: this one is over. */
bool tern_h2_alive_check(struct tern_h2_conn *h, uint64_t now);
/* The client has opened a stream: it may ping as it likes. */
void tern_h2_alive_busy(struct tern_h2_conn *h);
void tern_h2_alive_client_ping(struct tern_h2_conn *h);

/* h2_fields.c */

/* What the field means; until the next call. */
const struct tern_h2_known *tern_h2_fields_know(struct tern_h2_stream *s, nghttp2_rcbuf *name,
                                                nghttp2_rcbuf *value);
void tern_h2_fields_forget(struct tern_h2_conn *h);
/* False: it may not stand where it came, and the request is malformed. */
bool tern_h2_fields_see(struct tern_h2_stream *s, const struct tern_h2_known *known);
/* Whether the fields that were seen are those that a request needs. */
bool tern_h2_fields_make_a_head(const struct tern_h2_stream *s);

/* h2_frames.c */

/* Fills the table of nghttp2's callbacks. */
void tern_h2_frames_set_callbacks(nghttp2_session_callbacks *callbacks);

/* h2_request.c */

/* A new stream in h->open; NULL without memory. */
struct tern_h2_stream *tern_h2_request_new(struct tern_h2_conn *h, int32_t id);
/* One field of the head. Never fails: what does not fit is refused at its end. */
void tern_h2_request_add_header(struct tern_h2_stream *s, nghttp2_rcbuf *name,
                                nghttp2_rcbuf *value);
/* RFC 9113 8.1.1: a malformed request is a stream error; nobody hears of it again. */
void tern_h2_request_reset(struct tern_h2_stream *s);
/* The head is complete; `end`: so is the request. */
void tern_h2_request_head_done(struct tern_h2_stream *s, bool end);
void tern_h2_request_complete(struct tern_h2_stream *s);
/* Gives a complete request, or what came of one in parts, to the handler. */
void tern_h2_request_hand_over(struct tern_h2_stream *s);
/* Has the handler write an error answer. */
void tern_h2_request_refuse(struct tern_h2_stream *s, const struct tern_err *err);
/* nghttp2 forgot the stream, or the connection ends. */
void tern_h2_request_closed(struct tern_h2_stream *s);
/* Frees the stream when nobody needs it any more; the caller must not touch it after. */
void tern_h2_request_release(struct tern_h2_stream *s);
/* Gives the streams kept for reuse back, down to `keep`. */
void tern_h2_request_trim(struct tern_h2_hub *shared, uint32_t keep);

/* h2_body.c */

/* The bodies that the connection holds leave room for another. */
bool tern_h2_body_may_hold_more(const struct tern_h2_conn *h);
/* The loop's account has room for a body of n bytes, or it needs none there: it is short. */
bool tern_h2_body_has_room(const struct tern_h2_stream *s, size_t n);
/* Before n bytes of a body that will have `size` lie in its memory: charges them to the loop. */
bool tern_h2_body_charge(struct tern_h2_stream *s, size_t size, size_t n);
/* Takes bytes as they come; refuses the request when they cannot be kept. */
void tern_h2_body_add(struct tern_h2_stream *s, const uint8_t *p, size_t n);
/* Of a complete request: what was sent becomes x.body, decompressed. */
enum tern_code tern_h2_body_decode(struct tern_h2_stream *s, struct tern_err *err);
/* Drops what was received. */
void tern_h2_body_give(struct tern_h2_stream *s);

/* h2_parts.c: the same for a request whose handler set wants_parts. */

/* After the head: the handler is called at the end of this read, with what came by then. */
void tern_h2_parts_begin(struct tern_h2_stream *s);
void tern_h2_parts_add(struct tern_h2_stream *s, const uint8_t *p, size_t n);
void tern_h2_parts_complete(struct tern_h2_stream *s);
void tern_h2_parts_hand_over(struct tern_h2_stream *s);
/* tern_exchange_ops.take */
void tern_h2_parts_take(struct tern_exchange *x, size_t n);

/* h2_response.c */

extern const struct tern_exchange_ops tern_h2_response_ops;
/* nghttp2_send_data_callback */
int tern_h2_response_send_data(nghttp2_session *session, nghttp2_frame *frame,
                               const uint8_t *frame_head, size_t length,
                               nghttp2_data_source *source, void *user);

#endif
