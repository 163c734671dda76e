/* A small HTTP/1.1 client for Tern's own commands (bench, models, infer): TCP and Unix sockets,
 * keep-alive, Content-Length and chunked answers. No TLS, no HTTP/2, no proxies, no redirects: a
 * target that says https:// is refused with a hint. The server's own JSON is read with jansson.
 *
 * Two halves: a reader of responses that takes bytes from anywhere (the load generator feeds it
 * from its loops), and a blocking call with a deadline. */
#ifndef TERN_CLI_HTTP_CLIENT_H
#define TERN_CLI_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "os/sock.h"

#define TERN_HTTP_CLIENT_HEAD_MAX (32u * 1024)

struct tern_http_target {
    struct tern_sock_addr addr;
    char authority[272]; /* for the Host field */
    char text[TERN_SOCK_NAME_MAX + 16];
};

/* "http://host:port", "host:port", "http://host" (port 80), "unix:/path", each with an optional
 * trailing slash. Host names are resolved here (blocking). INVALID_ARGUMENT for anything else,
 * UNAVAILABLE when the name does not resolve. */
enum tern_code tern_http_target_parse(struct tern_str url, struct tern_http_target *ret_target,
                                      struct tern_err *err);

enum tern_http_phase {
    TERN_HTTP_PHASE_HEAD,
    TERN_HTTP_PHASE_LENGTH,     /* a body of known length */
    TERN_HTTP_PHASE_CHUNK_SIZE, /* a line with the size of the next chunk */
    TERN_HTTP_PHASE_CHUNK,
    TERN_HTTP_PHASE_TRAILERS,
    TERN_HTTP_PHASE_TO_END, /* no length: until the server closes */
    TERN_HTTP_PHASE_DONE,
};

/* One response being read. Bytes are appended to `in` by the caller; chunked bodies are put
 * together in place, so that head and body lie in one buffer. */
struct tern_http_reader {
    struct tern_buf in; /* owned */
    enum tern_http_phase phase;
    size_t at;         /* first byte not looked at yet */
    size_t head_n;     /* bytes of the head */
    size_t body_n;     /* bytes of the body so far, from head_n on */
    uint64_t left;     /* of the body or of the chunk */
    uint64_t received; /* bytes of this response as they came */
    int status;
    bool keep_alive;
    bool bodiless; /* the request was HEAD */
};

void tern_http_reader_init(struct tern_http_reader *reader, size_t max);
void tern_http_reader_fini(struct tern_http_reader *reader);
/* For the next response on the connection. Keeps the memory. */
void tern_http_reader_reset(struct tern_http_reader *reader);
/* Room for at least `n` more bytes: write there, then tell by tern_http_reader_take. NULL: full. */
char *tern_http_reader_room(struct tern_http_reader *reader, size_t n, size_t *ret_room);
/* n new bytes lie in the room (0: the connection ended). *ret_done when the response is whole.
 * DATA_LOSS for an answer that ended early, INTERNAL for one that is not HTTP/1.x. */
enum tern_code tern_http_reader_take(struct tern_http_reader *reader, size_t n, bool *ret_done,
                                     struct tern_err *err);
struct tern_str tern_http_reader_body(const struct tern_http_reader *reader);
/* What to do about an answer that is no 2xx, to be put behind its text; empty when there is nothing
 * to add. text: what the answer says. */
const char *tern_http_reader_advice(const struct tern_http_reader *reader, struct tern_str text);
/* The first field of that name; p == NULL when there is none. */
struct tern_str tern_http_reader_header(const struct tern_http_reader *reader,
                                        struct tern_str name);

/* One connection, used again while the server keeps it open. */
struct tern_http_client {
    const struct tern_http_target *target; /* borrowed */
    int fd;                                /* -1: not connected */
    uint64_t timeout_ns;                   /* of one call, connecting included */
    struct tern_http_reader reader;
};

void tern_http_client_init(struct tern_http_client *client, const struct tern_http_target *target,
                           uint64_t timeout_ns, size_t response_max);
void tern_http_client_fini(struct tern_http_client *client);

/* Sends these bytes, a whole request, and reads its answer into client->reader, valid until the
 * next call. A status of 4xx or 5xx is an answer like any other. UNAVAILABLE when the server cannot
 * be reached, DEADLINE_EXCEEDED, DATA_LOSS. */
enum tern_code tern_http_client_send(struct tern_http_client *client, struct tern_str request,
                                     struct tern_err *err);
/* The same for a request made of its parts; path may hold a query, content_type may be empty. */
enum tern_code tern_http_client_call(struct tern_http_client *client, const char *method,
                                     struct tern_str path, struct tern_str content_type,
                                     struct tern_str body, struct tern_err *err);
/* Appends a request head: `extra` is empty or whole header lines. */
void tern_http_client_head(struct tern_buf *buf, const struct tern_http_target *target,
                           const char *method, struct tern_str path, struct tern_str extra,
                           size_t body_n);

#endif
