/* TLS as a transport of net/conn.h: server side, TLS 1.2 and 1.3 only, over OpenSSL 3.
 *
 * Fixed, not configurable: forward secrecy and AEAD ciphers only (a superset of what RFC 9113 9.2
 * asks for HTTP/2), no renegotiation, no compression, no 0-RTT, stateless session tickets, ALPN h2
 * and http/1.1. A client that offers other protocols only is refused (RFC 7301 3.2).
 *
 * One SSL_CTX a loop: in OpenSSL 3.0 every handshake takes references and locks on its context, and
 * loops that share one wait for each other. They share the ticket keys, so a client may resume on
 * any loop. */
#ifndef TERN_NET_TLS_H
#define TERN_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "net/conn.h"

struct tern_tls;

struct tern_tls_config {
    const char *cert_file;      /* PEM: the server's certificate, then its chain */
    const char *key_file;       /* PEM, not encrypted */
    const char *client_ca_file; /* PEM; NULL: no client certificate is asked for. Otherwise each
                                   client must show one that these authorities signed */
    uint32_t loops;             /* event loops that will use it, numbered 0 .. loops - 1 */
    bool offers_h2;
    bool only_tls13; /* TLS 1.2 is refused */
};

/* Reads the files. Errors name the file and the reason. The strings of config are copied. */
enum tern_code tern_tls_new(const struct tern_tls_config *config, struct tern_tls **ret_tls,
                            struct tern_err *err);
/* Every connection that used it must be closed. */
void tern_tls_free(struct tern_tls *tls);

/* Reads the files again, for connections that come from now on, with new ticket keys. On failure
 * the old ones stay in use. Any thread but a loop's (it reads files); one at a time. */
enum tern_code tern_tls_reload(struct tern_tls *tls, struct tern_err *err);

/* transport_config is a struct tern_tls *. */
extern const struct tern_transport_ops tern_transport_tls;

#endif
