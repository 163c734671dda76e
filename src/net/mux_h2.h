/* The HTTP/2 mux: RFC 9113 over nghttp2, by prior knowledge or ALPN. A stream becomes an exchange
 * as core/exchange.h says.
 *
 *      conn bytes -> nghttp2 -> h2_frames (callbacks, abuse counters)
 *                                  -> h2_request (stream -> exchange, body)  -> handler
 *      conn bytes <- mux_h2 flush <- nghttp2 <- h2_response (exchange -> frames) <- handler
 *
 * Requests that one read completed are handed over after the read was parsed, and what they answer
 * leaves in one send. A request that is reset in the same read never reaches the handler. */
#ifndef TERN_NET_MUX_H2_H
#define TERN_NET_MUX_H2_H

#include "net/conn.h"

/* Announced in SETTINGS. */
#define TERN_H2_STREAMS_MAX     100u
#define TERN_H2_HEADER_LIST_MAX 32768u /* sum of name + value + 32 (RFC 9113 6.5.2) */
#define TERN_H2_STREAM_WINDOW   (1u << 20)
#define TERN_H2_CONN_WINDOW     (1u << 20)

/* Enforced. */
#define TERN_H2_HEADERS_MAX     100u
#define TERN_H2_CONTROL_PER_S   1000u /* PING, SETTINGS, PRIORITY, empty DATA */
#define TERN_H2_GLITCHES_MAX    200u  /* resets and violations: GOAWAY ENHANCE_YOUR_CALM */
#define TERN_H2_GLITCHES_SOFT   150u  /* from here on: finish and reconnect, please */
#define TERN_H2_GLITCHES_LEAK_S 20u   /* forgiven a second */

extern const struct tern_mux_ops tern_mux_h2;

#endif
