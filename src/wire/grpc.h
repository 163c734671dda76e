/* gRPC over HTTP/2, the parts that know no message (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md and
 * doc/PROTOCOL-WEB.md): the five bytes before a message, `grpc-timeout`, and the
 * percent-encoding of `grpc-message`. The base64 of binary metadata and of gRPC-Web's text form is
 * in wire/base64.h. Status numbers need nothing: enum tern_code has gRPC's. */
#ifndef TERN_WIRE_GRPC_H
#define TERN_WIRE_GRPC_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

#define TERN_GRPC_PREFIX_SIZE 5 /* flags, and the length of the message, big-endian */

#define TERN_GRPC_COMPRESSED 0x01 /* by what `grpc-encoding` names */
#define TERN_GRPC_TRAILERS   0x80 /* gRPC-Web: not a message but the trailers, as header lines */

struct tern_grpc_prefix {
    uint8_t flags;
    uint32_t n; /* bytes of message that follow */
};

/* False when fewer than TERN_GRPC_PREFIX_SIZE bytes are there. */
bool tern_grpc_read_prefix(struct tern_str bytes, struct tern_grpc_prefix *ret);
void tern_grpc_write_prefix(struct tern_grpc_prefix prefix, char dst[TERN_GRPC_PREFIX_SIZE]);

/* The value of `grpc-timeout`: one to eight digits and one of H M S m u n. What nanoseconds of 64
 * bits cannot hold is UINT64_MAX. */
enum tern_code tern_grpc_parse_timeout(struct tern_str value, uint64_t *ret_ns,
                                       struct tern_err *err);

/* The value of `grpc-message` for a text: bytes outside of printable ASCII and '%' become %XX. dst
 * has room for three bytes a byte of text; answers how many were written. */
size_t tern_grpc_encode_message(struct tern_str text, char *dst);

#endif
