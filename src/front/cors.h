/* Pages of other origins (https://fetch.spec.whatwg.org/#http-cors-protocol): which may read our
 * answers, and what a browser that asks first (OPTIONS) is told. Nothing is allowed unless an
 * origin is listed; operations that change what is served stay closed to pages (gateway.c). */
#ifndef TERN_FRONT_CORS_H
#define TERN_FRONT_CORS_H

#include "core/exchange.h"

struct tern_cors {
    const struct tern_str *origins; /* "https://example.org", or "*" for any; borrowed */
    uint32_t n_origins;
};

/* INVALID_ARGUMENT for what no browser would ever send as an Origin. */
enum tern_code tern_cors_check_origin(struct tern_str origin, struct tern_err *err);
/* Adds what the page that asked needs to read the answer to x. Nothing when no page asked, or one
 * that is not allowed. */
void tern_cors_allow(const struct tern_cors *cors, struct tern_exchange *x);
/* The same for the answer to OPTIONS: `methods` of the path, and the headers that were asked for.
 */
void tern_cors_preflight(const struct tern_cors *cors, struct tern_exchange *x,
                         struct tern_str methods);

#endif
