/* Listening sockets and the acceptors that turn them into connections.
 *
 * A listener is opened without any loop, so that a supervising parent can hold its sockets while
 * children come and go. TCP listeners have one socket a loop (SO_REUSEPORT): the kernel spreads
 * connections, and no lock is shared. A Unix socket is one, watched by every loop. */
#ifndef TERN_NET_LISTENER_H
#define TERN_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/exchange.h"
#include "net/conn.h"
#include "net/hub.h"
#include "net/peers.h"
#include "os/loop.h"
#include "os/sock.h"

struct tern_listener_config {
    struct tern_str address;     /* tern_sock_addr_parse */
    struct tern_str server_name; /* outlives the listener; see tern_listener_info */
    bool admin;
    struct tern_str graph; /* outlives the listener; see tern_listener_info */
    bool triton_status;    /* see tern_listener_info */
    uint32_t protos;       /* 0: all */
    enum tern_grpc_form grpc_form;
    enum tern_grpc_compression grpc_compression;
    size_t body_max;
    size_t memory_max;
    uint32_t json_depth_max;                    /* 0: the reader's default */
    const struct tern_transport_ops *transport; /* NULL: plain; &tern_transport_tls */
    void *transport_config;                     /* borrowed: outlives the listener */
};

struct tern_listener {
    struct tern_listener_info info; /* what the layers above see; name is the bound address */
    const struct tern_transport_ops *transport;
    void *transport_config;
    uint32_t n_loops;
    uint32_t n_fds; /* n_loops, or 1 (Unix) */
    bool is_unix;
    int *fds; /* owned */
    char name[TERN_SOCK_NAME_MAX];
};

/* Binds for `n_loops` loops; a TCP port listens from tern_acceptor_start on. */
enum tern_code tern_listener_open(const struct tern_listener_config *config, uint32_t n_loops,
                                  struct tern_listener **ret_listener, struct tern_err *err);
/* Closes the sockets; a Unix socket's file is removed. */
void tern_listener_close(struct tern_listener *listener);

/* One listener on one loop. */
struct tern_acceptor {
    struct tern_loop_fd io;
    struct tern_loop_timer pause; /* runs while there is no descriptor to be had */
    struct tern_hub *hub;
    const struct tern_listener *listener; /* borrowed */
    struct tern_peers *peers;             /* borrowed; NULL: no cap by address */
    _Atomic uint32_t *conns;              /* borrowed: open in the whole server */
    int reserve_fd; /* given up for a moment to tell a client that there is no room */
    bool accepting;
};

/* On the loop's thread, or before it runs. */
enum tern_code tern_acceptor_start(struct tern_acceptor *acceptor, struct tern_err *err);
void tern_acceptor_stop(struct tern_acceptor *acceptor);

#endif
