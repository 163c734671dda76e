/* Base64 (RFC 4648 section 4), strict: the standard alphabet, padded, no line breaks. */
#ifndef TERN_WIRE_BASE64_H
#define TERN_WIRE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include "base/str.h"

/* Room that decoding n characters needs. */
#define TERN_BASE64_ROOM(n) ((n) / 4 * 3)

/* Into dst, which has TERN_BASE64_ROOM(text.n) bytes; false when the text is no base64. */
bool tern_base64_decode(struct tern_str text, char *dst, size_t *ret_n);

#endif
