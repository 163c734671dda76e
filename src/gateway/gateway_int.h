/* Private to gateway/: the state shared by its files. */
#ifndef TERN_GATEWAY_GATEWAY_INT_H
#define TERN_GATEWAY_GATEWAY_INT_H

#include "core/trace.h"
#include "gateway/dialects.h"
#include "gateway/gateway.h"
#include "gateway/observe.h"
#include "gateway/router.h"
#include "registry/registry.h"
#include "sched/sched.h"

/* What one loop has to itself. */
struct gateway_loop {
    TERN_ALIGNED(TERN_CACHE_LINE) const struct tern_snapshot *snapshot;
    uint32_t index;
    uint64_t n_snapshots; /* that came: what was found in an older one must be looked up again */
    struct tern_router_memo memo;
};

struct tern_gateway {
    struct tern_gateway_settings settings;
    struct tern_handler handler;
    struct tern_dialects *dialects;
    struct tern_registry *registry;
    struct gateway_loop *loops;
    atomic_bool draining;
    _Atomic uint64_t timeout_ns;
};

/* A call with what the gateway adds to it; in the exchange's arena, x->user points here. */
struct gateway_call {
    struct tern_gateway *gateway;
    struct gateway_loop *loop;
    /* What the head named, as of the loop's n_snapshots; not pinned yet. */
    const struct tern_model_entry *entry;
    struct tern_model_version *version;
    uint64_t found_at;
    struct tern_work work; /* INFER */
    struct tern_observation observation;
    bool submitted;        /* to the scheduler, and not yet done */
    struct tern_call call; /* last: its error text need not be zeroed */
};

/* Runs the operation. Answers OK with *ret_pending false when the result is in the call, true when
 * gateway_finish will be called later on the same loop. */
enum tern_code gateway_run_op(struct gateway_call *gc, bool *ret_pending, struct tern_err *err);
/* The infer operation alone (gateway/infer.c). */
enum tern_code gateway_run_infer(struct gateway_call *gc, bool *ret_pending, struct tern_err *err);
/* Encodes the result, or the error when code != OK, sends it and forgets the call. */
void gateway_finish(struct gateway_call *gc, enum tern_code code);

#endif
