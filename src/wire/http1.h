/* HTTP/1.1 request heads and chunked bodies: a strict reading of RFC 9112.
 *
 * Strict, because two readers that disagree about where a message ends are how requests are
 * smuggled. What the RFC lets a server repair, this one refuses: bare LF, folded lines, blanks
 * before a colon, both lengths, repeated lengths (even equal ones), leading zeros, unknown transfer
 * codings.
 *
 * Everything is read in place: slices point into the caller's bytes. Both readers are incremental
 * at the granularity of a line, so that the outcome never depends on how the bytes were cut into
 * packets, and a byte-wise drip costs one memchr a byte. */
#ifndef TERN_WIRE_HTTP1_H
#define TERN_WIRE_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "wire/header.h"

enum tern_http1_result {
    TERN_HTTP1_MORE, /* valid so far; call again with more bytes */
    TERN_HTTP1_DONE,
    TERN_HTTP1_DATA, /* chunks only: a piece of the body */
    TERN_HTTP1_BAD,  /* err says what, with an HTTP status; the connection cannot be used further */
};

enum tern_http1_framing {
    TERN_HTTP1_NO_BODY,
    TERN_HTTP1_LENGTH,
    TERN_HTTP1_CHUNKED,
};

struct tern_http1_head {
    struct tern_str method;
    struct tern_str path;      /* "/...", or "*" with OPTIONS; raw */
    struct tern_str query;     /* after '?'; raw */
    struct tern_str authority; /* of an absolute target, else Host */
    uint8_t minor;             /* HTTP/1.minor, 0 or 1 */
    bool keep_alive;
    bool expect_continue;
    enum tern_http1_framing framing;
    uint64_t content_length;
    /* The values of fields that the mux needs; empty when absent. */
    struct tern_str content_type;
    struct tern_str content_encoding;
    struct tern_str accept_encoding;
    struct tern_header *fields; /* the caller's array, limits->fields_max of them */
    uint32_t n_fields;
    uint64_t names; /* tern_header_bit of each */
    size_t size;    /* bytes of the head, the final empty line included */
    bool foreign;   /* of a bad one: the line names a protocol, and not HTTP */

    /* Private: where the reader is. */
    const struct tern_head_limits *limits;
    const char *base;
    size_t at; /* offset of the line that is not complete yet */
    uint32_t seen;
    struct tern_str target_authority;
    bool has_line;
    bool connection_close;
    bool connection_keep;
};

/* limits is borrowed until the head is complete. */
void tern_http1_head_start(struct tern_http1_head *head, struct tern_header *fields,
                           const struct tern_head_limits *limits);
/* p[0..n): every byte of the message so far; p may have moved since the last call. */
enum tern_http1_result tern_http1_head_read(struct tern_http1_head *head, const char *p, size_t n,
                                            struct tern_err *err);

/* The reader of a chunked body. Extensions are checked and ignored, trailers are checked and
 * dropped (RFC 9110 6.5.1 allows it); a trailer that would change the meaning of the message is
 * an error. */
#define TERN_HTTP1_CHUNK_EXT_MAX 4096u /* bytes of extensions in one body */
#define TERN_HTTP1_TRAILER_MAX   8192u /* bytes of trailers */

struct tern_http1_chunks {
    uint8_t state;
    uint8_t n_digits;
    uint8_t n_name;
    char name[20];  /* of the trailer being read, lower case, cut off */
    uint64_t left;  /* of the current chunk */
    uint32_t n_ext; /* bytes */
    uint32_t n_trailer;
};

void tern_http1_chunks_start(struct tern_http1_chunks *chunks);
/* Reads p[0..n). DATA: *ret_data is a piece of the body inside p, call again with what follows
 * *ret_used; MORE: all n bytes were used; DONE: the body ended after *ret_used bytes. */
enum tern_http1_result tern_http1_chunks_read(struct tern_http1_chunks *chunks, const char *p,
                                              size_t n, size_t *ret_used, struct tern_str *ret_data,
                                              struct tern_err *err);

#endif
