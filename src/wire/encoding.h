/* Content codings of HTTP messages (RFC 9110 8.4.1 and 12.5.3): their names, the choice a client's
 * Accept-Encoding asks for, and what a request may use. The work is done by wire/decoder.h and
 * wire/encoder.h. */
#ifndef TERN_WIRE_ENCODING_H
#define TERN_WIRE_ENCODING_H

#include "base/err.h"
#include "base/str.h"

enum tern_encoding {
    TERN_ENCODING_IDENTITY,
    TERN_ENCODING_GZIP,    /* RFC 1952; also called x-gzip */
    TERN_ENCODING_DEFLATE, /* RFC 1950 (zlib); raw RFC 1951 is tolerated when reading */
    TERN_ENCODING_ZSTD,    /* RFC 8878 */
};

#define TERN_ENCODING_COUNT 4
/* What Accept-Encoding of a 415 answer and of OPTIONS says. */
#define TERN_ENCODING_ACCEPTED "gzip, deflate, zstd"
/* Below this many bytes compression costs more than it saves: such an answer goes out as it is. */
#define TERN_ENCODING_SIZE_MIN 1024

const char *tern_encoding_name(enum tern_encoding encoding);

/* A Content-Encoding field value; empty is identity. One coding only: an unknown one and a list
 * fail with UNIMPLEMENTED, HTTP status 415, and the answer should carry
 * `Accept-Encoding: TERN_ENCODING_ACCEPTED` (RFC 9110 15.5.16). */
enum tern_code tern_encoding_parse(struct tern_str value, enum tern_encoding *ret_encoding,
                                   struct tern_err *err);

/* The best coding that an Accept-Encoding field value allows: the highest q-value, on a tie zstd
 * before gzip before deflate before identity. A malformed value, or one that allows nothing we
 * have, means identity: an answer in plain bytes serves the client better than a 406. */
enum tern_encoding tern_encoding_negotiate(struct tern_str accept);

#endif
