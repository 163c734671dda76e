/* The gateway: from a routed request to its answer. It finds the row, checks what the listener
 * allows for the operation, pins the model version, lets the dialect decode, runs the operation,
 * lets the dialect encode, and records what happened. One gateway serves all loops; each loop has
 * its own state in it (snapshot pointer, counters), so nothing on the path is shared.
 *
 * All functions of struct tern_handler run on the exchange's loop. */
#ifndef TERN_GATEWAY_GATEWAY_H
#define TERN_GATEWAY_GATEWAY_H

#include "base/err.h"
#include "core/exchange.h"
#include "core/proto.h"
#include "explain/explain.h"
#include "front/cors.h"
#include "front/forward.h"
#include "front/restrict.h"
#include "gateway/regions.h"
#include "registry/snapshot.h"

struct tern_gateway;
struct tern_log;
struct tern_observer;
struct tern_registry;
struct tern_sched;

struct tern_gateway_settings {
    const struct tern_proto *const *protos;
    uint32_t n_protos;
    /* Where each is spoken; borrowed for the call. Without any, all are spoken everywhere. */
    const struct tern_listener_info *const *listeners;
    uint32_t n_listeners;
    uint32_t n_loops;
    uint64_t timeout_ns; /* deadline of a request that gives none */
    struct tern_sched *sched;
    struct tern_observer *observer; /* counts and logs finished calls */
    bool hide_metrics;              /* the metrics page is not there */
    struct tern_regions_settings shm;
    struct tern_restrict restrict_;
    const struct tern_forward *forward_http; /* NULL: none; borrowed */
    const struct tern_forward *forward_grpc;
    struct tern_cors cors;
    /* How the steps of graphs ask this server: the listener they seem to come in at. It is not one
     * of listeners; NULL: the one where the graph was asked. */
    const struct tern_listener_info *inside;
    const struct tern_forward *graph_headers; /* that go on to other servers; NULL: none */
    struct tern_explain_limits explain;
    uint32_t explains_max; /* at a time, of one loop */
};

enum tern_code tern_gateway_new(const struct tern_gateway_settings *settings,
                                struct tern_gateway **ret_gateway, struct tern_err *err);
void tern_gateway_free(struct tern_gateway *gateway);
/* The loops have stopped and will be freed: what hangs on them is let go. */
void tern_gateway_stop(struct tern_gateway *gateway);
/* Once, before the loops run: who takes the operations that change what is served. */
void tern_gateway_set_registry(struct tern_gateway *gateway, struct tern_registry *registry);
/* What the muxes call. */
const struct tern_handler *tern_gateway_handler(const struct tern_gateway *gateway);
/* Swaps loop `loop`'s view of the models. On that loop's thread, or before it runs. */
void tern_gateway_set_snapshot(struct tern_gateway *gateway, uint32_t loop,
                               const struct tern_snapshot *snapshot);
/* Another deadline for requests that come from now on. Any thread. */
void tern_gateway_set_timeout(struct tern_gateway *gateway, uint64_t timeout_ns);
/* While draining, server_ready says no, and streams are ended that wait for nothing but their
 * client. Any thread. */
void tern_gateway_set_draining(struct tern_gateway *gateway);

#endif
