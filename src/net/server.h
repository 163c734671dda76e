/* Loops, their threads and the listeners they serve: everything of the network in one handle.
 *
 *     tern_listener_open ...        sockets, before any fork
 *     tern_server_new               loops and hubs; tern_server_loop gives them to the layers above
 *     tern_server_start             threads run, connections are accepted
 *     tern_server_drain             no new connections, what is in flight is answered
 *     tern_server_wait              until nothing is left, or the time is over
 *     tern_server_stop, _free       the rest is cut off
 *
 * All calls from one controlling thread that is not a loop. */
#ifndef TERN_NET_SERVER_H
#define TERN_NET_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/exchange.h"
#include "net/hub.h"
#include "net/listener.h"

struct tern_server;

struct tern_server_config {
    uint32_t n_loops;                   /* the listeners were opened for as many */
    bool pin;                           /* loop k runs on the k-th CPU only */
    const struct tern_handler *handler; /* borrowed */
    struct tern_net_limits limits;
    const struct tern_mux_ops *h1;          /* &tern_mux_h1 */
    const struct tern_mux_ops *h2;          /* &tern_mux_h2, or NULL: not spoken */
    struct tern_listener *const *listeners; /* borrowed until free */
    uint32_t n_listeners;
    struct tern_account *account; /* of requests' memory, a till a loop; NULL: none. Borrowed */
};

enum tern_code tern_server_new(const struct tern_server_config *config,
                               struct tern_server **ret_server, struct tern_err *err);
/* After stop, or when never started. */
void tern_server_free(struct tern_server *server);

struct tern_loop *tern_server_loop(struct tern_server *server, uint32_t index);
/* A counter summed over the loops: tern_server_count(s, offsetof(struct tern_net_counters,
 * requests)). */
uint64_t tern_server_count(const struct tern_server *server, size_t counter_offset);

enum tern_code tern_server_start(struct tern_server *server, struct tern_err *err);
/* Other limits from now on, on every loop through its mailbox. What HTTP/2 announces is for
 * connections that open later; conns_max stays, the loops are sized by it. */
enum tern_code tern_server_set_limits(struct tern_server *server,
                                      const struct tern_net_limits *limits, struct tern_err *err);
void tern_server_drain(struct tern_server *server);
/* True when every connection is closed and every exchange was answered within max_ns. */
bool tern_server_wait(struct tern_server *server, uint64_t max_ns);
/* Cuts off what is left and joins the threads. Handlers must not post to the loops any more. */
void tern_server_stop(struct tern_server *server);

#endif
