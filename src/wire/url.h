/* Path segments of a URL (RFC 3986 section 3.3), decoded once and for all before routing, so that
 * routing, authorization and logging see the same bytes. What stays percent-encoded after one
 * decoding (a double encoding) is literal text, which no route and no model name matches. */
#ifndef TERN_WIRE_URL_H
#define TERN_WIRE_URL_H

#include <stddef.h>
#include "base/err.h"
#include "base/str.h"

/* Decodes one segment (what stands between two '/'). Without '%' the answer is raw itself, else it
 * lies in dst. INVALID_ARGUMENT, starting with `what` ("model name"), for: an escape that is not
 * two hex digits, a NUL or control byte, bytes that are not UTF-8, more than cap bytes; and, with
 * the words "must not contain path traversal characters", for an encoded '/', a backslash in any
 * form, and a segment "." or "..". */
enum tern_code tern_url_segment(const char *what, struct tern_str raw, char *dst, size_t cap,
                                struct tern_str *ret, struct tern_err *err);

#define TERN_URL_MAX 2048

/* An address that an operator gave for calling another server. INVALID_ARGUMENT unless it begins
 * with http:// or https:// and has a host, no credentials, fragment, spaces or control bytes, and
 * at most TERN_URL_MAX bytes. */
enum tern_code tern_url_check_http(struct tern_str url, struct tern_err *err);

#endif
