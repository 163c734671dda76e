/* HTTP/1.1 over a connection: keep-alive, pipelining with answers in order, chunked bodies both
 * ways, Expect: 100-continue, HTTP/1.0 (RFC 9112). Reads strictly (wire/http1.h).
 *
 * Bodies stay where they were read when they fit in the read buffer; larger ones of known length
 * are received straight into their final memory. An answer is one send: its head is written into
 * the room in front of its body. Answers to pipelined requests share one send. */
#ifndef TERN_NET_MUX_H1_H
#define TERN_NET_MUX_H1_H

#include "net/conn.h"

extern const struct tern_mux_ops tern_mux_h1;

#endif
