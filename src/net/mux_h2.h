/* The HTTP/2 mux: RFC 9113 over nghttp2, by prior knowledge or ALPN. A stream becomes an exchange
 * as core/exchange.h says.
 *
 *      conn bytes -> nghttp2 -> h2_frames (callbacks, abuse counters)
 *                                  -> h2_request, h2_body (stream -> exchange) -> handler
 *      conn bytes <- mux_h2 flush <- nghttp2 <- h2_response (exchange -> frames) <- handler
 *
 * Requests that one read completed are handed over after the read was parsed, and what they answer
 * leaves in one send. A request that is reset in the same read never reaches the handler.
 *
 * A connection with limits.h2_glitches_max resets and violations ends with GOAWAY
 * ENHANCE_YOUR_CALM, as does one with more control frames a second than limits.h2_control_max; from
 * three quarters of the glitches on it is asked in good order to finish and reconnect. */
#ifndef TERN_NET_MUX_H2_H
#define TERN_NET_MUX_H2_H

#include "net/conn.h"

extern const struct tern_mux_ops tern_mux_h2;

#endif
