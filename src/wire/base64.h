/* Base64 (RFC 4648 section 4), the standard alphabet without line breaks. */
#ifndef TERN_WIRE_BASE64_H
#define TERN_WIRE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/str.h"

/* Room for the text of n bytes, and for the bytes of n characters, padded or not. */
#define TERN_BASE64_SIZE(n) (((n) + 2) / 3 * 4)
#define TERN_BASE64_ROOM(n) (((n) + 3) / 4 * 3)

/* Answers the characters written. gRPC's metadata goes without padding, gRPC-Web's text with it. */
size_t tern_base64_encode(struct tern_str bytes, bool padded, char *dst);

/* Strict: padded, and no bit is set that means nothing. Into dst, which has
 * TERN_BASE64_ROOM(text.n) bytes; false when the text is no base64. */
bool tern_base64_decode(struct tern_str text, char *dst, size_t *ret_n);
/* Takes several padded pieces one after the other, as gRPC-Web sends them, and one that ends
 * without padding. dst may be text.p: the bytes are never ahead of the characters. */
enum tern_code tern_base64_decode_pieces(struct tern_str text, char *dst, size_t *ret_n,
                                         struct tern_err *err);

#endif
