/* The mux seam: one HTTP request and its response, whatever version of HTTP carries it. A mux
 * (net/mux_h1, net/mux_h2) parses into it and writes out of it; everything above is free of
 * connections. RFC 9110 terms.
 *
 * Life, all on the loop thread of the connection:
 *   1. the mux parses the head, fills the request part and calls handler->on_head. The handler may
 *      set body_max, or answer at once (the mux then skips or closes over the body).
 *   2. the mux collects the body, decompressed if it came compressed, in one contiguous piece with
 *      TERN_TEXT_PAD readable bytes after it, and calls handler->on_request.
 *      A handler that set x->wants_parts in on_head gets on_part instead: once after the head, each
 *      time that bytes came, and once when the request is complete; of these, what one read brought
 *      is one call. HTTP/1.1 collects such a request too and calls once. Such a request counts as
 *      handed over from on_head on.
 *   3. the handler answers, then or later, by tern_exchange_send. Another thread never touches an
 *      exchange: it posts a task to x->loop.
 *   4. the mux frees the exchange after the last byte was written. When the client goes away first,
 *      the mux sets `gone`, calls handler->on_gone (if the request was handed over and not yet
 * fully answered) and keeps the exchange alive until the handler has sent END; the bytes are
 * dropped.
 */
#ifndef TERN_CORE_EXCHANGE_H
#define TERN_CORE_EXCHANGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "wire/header.h"

struct tern_loop;
struct tern_exchange;
struct tern_listener_info;

enum tern_method {
    TERN_METHOD_GET,
    TERN_METHOD_HEAD,
    TERN_METHOD_POST,
    TERN_METHOD_PUT,
    TERN_METHOD_DELETE,
    TERN_METHOD_OPTIONS,
    TERN_METHOD_PATCH,
    TERN_METHOD_OTHER, /* well-formed and unknown */
};

/* A piece of the response body: memory that stays valid until the exchange is freed (arena, static,
 * or tied to the arena by a cleanup). What is sent without END is copied, and need not stay. */
struct tern_slice {
    const void *p;
    size_t n;
};

#define TERN_RESPONSE_HEADERS_MAX  16
#define TERN_RESPONSE_TRAILERS_MAX 8
/* Bytes kept free before the body in x->out, where the mux writes the response head: one contiguous
 * piece, one send. */
#define TERN_HEAD_ROOM 1024

#define TERN_STREAM_HIGH (256u << 10)
#define TERN_STREAM_LOW  (64u << 10)

struct tern_trace_place;

struct tern_exchange_ops {
    /* Sends what the response part holds. The first call sends the head. `end`: nothing follows.
     * Without end the body is streamed (h1: chunked; h2: DATA); x->unsent and x->on_room tell about
     * room. */
    void (*send)(struct tern_exchange *x, bool end);
    /* The first n bytes of x->body are done with: it begins behind them from now on, and the client
     * may send as many more (HTTP/2). For requests with wants_parts. Any time until END, also after
     * the client went away. */
    void (*take)(struct tern_exchange *x, size_t n);
};

/* What can be known of a body before memory is taken for it. */
struct tern_body_plan {
    struct tern_str first; /* the bytes of it that are there; may be empty */
    size_t size;           /* as the head says; SIZE_MAX: it does not, and the first bytes may */
    /* The offset of the byte that should begin a cache line, so that an engine can read what stands
     * there in place. It may lie beyond the body. */
    size_t pivot;
};

struct tern_handler {
    void (*on_head)(void *self, struct tern_exchange *x); /* may be NULL */
    /* Asked when the body of a request will get memory of its own; the plan holds what the mux
     * knows, with pivot 0. A size is a guess: more bytes may come, or less. May be NULL. */
    void (*plan_body)(void *self, const struct tern_exchange *x, struct tern_body_plan *plan);
    void (*on_request)(void *self, struct tern_exchange *x);
    /* A part of a request with wants_parts: x->body holds all bytes that came and were not taken
     * (tern_exchange_take), maybe none, in one piece with TERN_TEXT_PAD bytes after it that moves
     * when more come or some are taken; x->body_done: no more will come. What is not taken holds
     * the client back, but for what x->body_need asks. The answer may begin and end before the
     * request does; after END there are no more calls. */
    void (*on_part)(void *self, struct tern_exchange *x);
    void (*on_gone)(void *self, struct tern_exchange *x); /* may be NULL */
    /* A request that the mux itself had to refuse (malformed, too large, timed out): the handler
     * writes the body of the error answer in the form its dialect wants (headers and body of x),
     * then sends. x->path is empty when the head could not be read. */
    void (*on_refused)(void *self, struct tern_exchange *x, const struct tern_err *err);
    void *self;
};

struct tern_exchange {
    /* request, filled by the mux */
    enum tern_method method;
    struct tern_str method_text;
    struct tern_str path;  /* raw, before '?'; always starts with '/', or is "*" */
    struct tern_str query; /* raw, after '?' */
    struct tern_str authority;
    struct tern_header *headers; /* arena */
    uint32_t n_headers;
    uint64_t header_names; /* tern_header_bit of each; 0: not said, all are looked through */
    struct tern_str content_type;
    struct tern_str body;
    size_t body_max;     /* set by on_head; the listener's default otherwise */
    uint32_t expand_max; /* of a compressed message: bytes for each that came */
    /* Set by on_head: the body comes through on_part, and over HTTP/2 answers may leave before it
     * ended. body_max then bounds body_need. */
    bool wants_parts;
    bool body_done; /* with wants_parts: x->body is the last of it */
    /* With wants_parts, set by the handler in on_part or before a take: it can go on when so many
     * bytes wait. Until then the client may send, however small its window. A handler that needs
     * more than body_max must refuse by itself: it would wait forever. */
    size_t body_need;
    uint8_t http_major, http_minor;

    /* response, filled by the handler */
    int status;
    struct tern_str response_type; /* Content-Type, as long-lived as a slice; empty: no body */
    uint32_t n_response_headers;
    uint32_t n_response_trailers;
    bool brief; /* no Server, no Date: gRPC's clients do not look for them */
    /* The body: what is in out, then the slices in order. Inserted slices that belong between bytes
     * of out are not needed: JSON first, raw tensors after. */
    /* A scratch of the loop: get it by tern_exchange_body, send before returning to the loop. Its
     * first TERN_HEAD_ROOM bytes are the mux's. */
    struct tern_buf *out;
    struct tern_slice *slices; /* arena */
    uint32_t n_slices;
    bool allow_compression; /* the mux may compress when the client accepts it */
    /* Back-pressure of a streamed answer: bytes handed over that the client has not taken, kept by
     * the mux. The handler pauses above TERN_STREAM_HIGH; on_room (set by the handler, may be NULL)
     * comes once, from the loop, when not more than TERN_STREAM_LOW are left. Who goes on is cut
     * off at the connection's limit. */
    size_t unsent;
    bool crowded; /* the mux's: on_room is owed */
    void (*on_room)(struct tern_exchange *x);

    /* both */
    struct tern_arena *arena;
    struct tern_loop *loop;
    const struct tern_listener_info *listener; /* where it came in: access class, dialects */
    const struct tern_exchange_ops *ops;
    /* Asked by this server itself: where it stands in the trace of the request that does, maybe
     * nowhere (trace/family.h). NULL: a client's. */
    const struct tern_trace_place *within;
    struct tern_str peer; /* "127.0.0.1:5123" or "unix" */
    uint64_t start_ns;    /* monotonic: first byte of the head seen */
    uint64_t body_ns;     /* monotonic: the request was complete */
    uint64_t bytes_out;   /* body bytes handed to the connection */
    uint8_t ending;       /* set by the handler before END: enum tern_ending (stat/catalog.h) */
    bool gone;            /* the client went away */
    bool tls;
    void *user; /* the handler's: its call */

    /* Of these as many are there as are counted: a mux need not clear them. */
    struct tern_header response_headers[TERN_RESPONSE_HEADERS_MAX];
    /* Sent after the last byte of the body, with END: names (in lower case) and values as
     * long-lived as a slice. Only HTTP/2 carries them: on HTTP/1.1 they are dropped. An answer with
     * trailers has no Content-Length. */
    struct tern_header response_trailers[TERN_RESPONSE_TRAILERS_MAX];
};

/* Where the servers that speak the Open Inference Protocol over gRPC differ on one listener: in
 * ModelStreamInfer's answers, in the fields of the repository calls, and in whether typed inputs
 * are answered with typed outputs (Triton: always raw). */
enum tern_grpc_form {
    TERN_GRPC_FORM_TRITON,
    TERN_GRPC_FORM_KSERVE,
    TERN_GRPC_FORM_MLSERVER,
};

/* How hard gRPC answers are compressed, for clients that take it (option grpc.compression). */
enum tern_grpc_compression {
    TERN_GRPC_COMPRESSION_NONE,
    TERN_GRPC_COMPRESSION_LOW,
    TERN_GRPC_COMPRESSION_MEDIUM,
    TERN_GRPC_COMPRESSION_HIGH,
};

/* What the layers above may know about a listener. */
struct tern_listener_info {
    struct tern_str name;        /* "127.0.0.1:8080" */
    struct tern_str server_name; /* what metadata calls the server; empty: tern */
    bool admin;                  /* control operations are allowed here */
    bool triton_status;    /* 400 where Triton answers that: health that says no, a large body */
    struct tern_str graph; /* what is meant where a path names no graph; empty: the only one */
    uint32_t protos;       /* dialects spoken here, one bit each as in tern_protos; 0: all */
    enum tern_grpc_form grpc_form;
    enum tern_grpc_compression grpc_compression;
    /* May change while serving. */
    _Atomic size_t body_max;
    _Atomic size_t memory_max;       /* bytes of arena one request may take */
    _Atomic uint32_t json_depth_max; /* 0: the reader's default */
};

/* Empties x->out down to its head room and answers it: the body is written by appending. */
struct tern_buf *tern_exchange_body(struct tern_exchange *x);
/* Body bytes now in x->out, without the head room. */
struct tern_str tern_exchange_body_str(const struct tern_exchange *x);
/* Bytes of the body that follow x->out as slices. */
size_t tern_exchange_slices_size(const struct tern_exchange *x);
/* For the mux, outside of send: notes how much of a streamed answer is left, tells the handler. */
void tern_exchange_set_unsent(struct tern_exchange *x, size_t unsent);
/* The first request header of that name (compared without case), or an empty slice with p == NULL.
 * One that is not there is no search most of the time. */
struct tern_str tern_exchange_find_header(const struct tern_exchange *x, struct tern_str name);
TERN_INLINE struct tern_str tern_exchange_header(const struct tern_exchange *x,
                                                 struct tern_str name)
{
    if (x->header_names != 0 && (x->header_names & tern_header_bit(name)) == 0)
        return tern_str_make(NULL, 0);
    return tern_exchange_find_header(x, name);
}
/* Adds a response header; dropped silently when the table is full (it is sized for our own). */
void tern_exchange_add_header(struct tern_exchange *x, struct tern_str name, struct tern_str value);

/* The same for a trailer. */
void tern_exchange_add_trailer(struct tern_exchange *x, struct tern_str name,
                               struct tern_str value);

TERN_INLINE void tern_exchange_send(struct tern_exchange *x, bool end)
{
    x->ops->send(x, end);
}

TERN_INLINE void tern_exchange_take(struct tern_exchange *x, size_t n)
{
    x->ops->take(x, n);
}

const char *tern_method_name(enum tern_method method);
enum tern_method tern_method_from(struct tern_str text);

#endif
