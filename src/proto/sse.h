/* Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) as a framing:
 * each answer is one event, "data: <answer>" and an empty line. An answer is one line of JSON,
 * which is what a route's encode appends to call->x->out; it must not call tern_exchange_body. */
#ifndef TERN_PROTO_SSE_H
#define TERN_PROTO_SSE_H

#include "core/proto.h"

/* The request is the whole body. An error that no message could tell is {"error": "..."}. */
extern const struct tern_framing tern_sse_framing;

#endif
