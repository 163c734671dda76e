#include "gateway/gateway_int.h"
#include "gateway/part.h"

#include <inttypes.h>
#include "base/clock.h"
#include "base/mem.h"
#include "os/cpu.h"

/* ---- finding the model ---- */

enum tern_code gateway_fail_no_version(const struct tern_snapshot *snapshot, struct tern_str model,
                                       int64_t version, struct tern_err *err)
{
    bool known = false;

    for (uint32_t i = 0; i < snapshot->n_index; i++) {
        const struct tern_index_row *row = &snapshot->index[i];
        if (!tern_str_eq(row->name, model))
            continue;
        known = true;
        if (version != 0 && row->version == version && row->state != TERN_MODEL_READY)
            return tern_fail(err, TERN_UNAVAILABLE,
                             "Request for unknown model: '%.*s' version %" PRId64
                             " is not at ready state (%s)",
                             TERN_STR_ARG(model), version, tern_model_state_name(row->state));
    }
    if (!known)
        return tern_fail(err, TERN_NOT_FOUND, "Request for unknown model: '%.*s' is not found",
                         TERN_STR_ARG(model));
    if (version != 0)
        return tern_fail(err, TERN_NOT_FOUND,
                         "Request for unknown model: '%.*s' version %" PRId64 " is not found",
                         TERN_STR_ARG(model), version);
    return tern_fail(err, TERN_UNAVAILABLE,
                     "Request for unknown model: '%.*s' has no available versions",
                     TERN_STR_ARG(model));
}

static bool needs_model(const struct tern_call *call)
{
    return tern_op_subject(call->op) == TERN_SUBJECT_MODEL;
}

/* Sets entry and version. */
static enum tern_code find_model(struct gateway_call *gc, struct tern_err *err)
{
    const struct tern_snapshot *snapshot = gc->loop->snapshot;
    const struct tern_call *call = &gc->call;
    const struct tern_model_entry *entry = tern_snapshot_find(snapshot, call->model);
    struct tern_model_version *version =
        entry == NULL ? NULL : tern_snapshot_version(entry, call->version);

    if (version == NULL)
        return gateway_fail_no_version(snapshot, call->model, call->version, err);
    gc->entry = entry;
    gc->version = version;
    gc->found_at = gc->loop->n_snapshots;
    return TERN_OK;
}

static enum tern_code pin_model(struct gateway_call *gc, struct tern_err *err)
{
    struct tern_call *call = &gc->call;

    if (gc->version == NULL || gc->found_at != gc->loop->n_snapshots)
        TERN_TRY(find_model(gc, err)); /* the models changed while the body came */
    tern_version_pin(gc->version, gc->loop->index);
    call->pinned = gc->version;
    call->info = &gc->version->info;
    if (call->op == TERN_OP_INFER)
        tern_observer_trace(gc->gateway->settings.observer, call, &gc->observation);
    if (call->op != TERN_OP_MODEL_METADATA)
        return TERN_OK;
    const struct tern_model_entry *entry = gc->entry;
    int64_t *numbers = tern_arena_alloc(call->arena, 8, entry->n_versions * sizeof(*numbers));
    if (numbers == NULL)
        return tern_arena_fail(call->arena, err, "the versions");
    memcpy(numbers, entry->numbers, entry->n_versions * sizeof(*numbers));
    call->versions = numbers;
    call->n_versions = entry->n_versions;
    return TERN_OK;
}

/* ---- answering ---- */

static enum tern_code encode_result(struct tern_call *call, struct tern_err *err)
{
    const struct tern_framing *framing = call->route->framing;

    if (framing == NULL)
        return call->route->encode(call, err);
    if (framing->begin != NULL)
        framing->begin(call);
    TERN_TRY(call->route->encode(call, err));
    if (framing->finish != NULL)
        TERN_TRY(framing->finish(call, err));
    framing->end(call->x, NULL, true);
    return TERN_OK;
}

static void encode(struct gateway_call *gc, enum tern_code *code)
{
    struct tern_call *call = &gc->call;

    if (*code == TERN_OK)
        *code = encode_result(call, &call->err);
    if (*code != TERN_OK) {
        call->x->n_slices = 0;
        gateway_encode_error(call->proto, call->x, &call->err);
    }
}

void gateway_finish(struct gateway_call *gc, enum tern_code code)
{
    struct tern_call *call = &gc->call;
    struct tern_exchange *x = call->x;
    struct tern_model_version *pinned = call->pinned;
    struct tern_observer *observer = gc->gateway->settings.observer;
    uint32_t loop = gc->loop->index;

    if (gc->part != NULL) {
        gateway_stream_finish(gc, code);
        return;
    }
    if (gc->sink != NULL)
        code = gateway_sink_collect(gc, code, &call->err);
    if (gc->sink != NULL && code == TERN_OK)
        code = gateway_finish_outputs(gc);
    encode(gc, &code);
    if (gc->sink != NULL)
        tern_observer_answer(call, &gc->observation, x->body_ns, call->finished_ns,
                             code == TERN_OK ? TERN_ANSWER_SUCCESS : TERN_ANSWER_FAIL);
    if (call->op == TERN_OP_INFER && pinned != NULL)
        tern_load_report(&gc->loop->load, x, gc->gateway->n_cpus, tern_sched_depth(pinned));
    tern_observer_end(observer, x, call, &gc->observation, code, &call->err);
    x->user = NULL;
    tern_exchange_send(x, true); /* x and gc may be gone after this */
    tern_observer_sent(observer, loop);
    if (pinned != NULL)
        tern_version_unpin(pinned, loop);
}

/* The dialect whose error answer a request without a call gets. */
static const struct tern_proto *claimed_by(const struct tern_gateway *gateway,
                                           const struct tern_exchange *x,
                                           const struct tern_proto *otherwise)
{
    const struct tern_dialect_set *spoken = tern_dialects_of(gateway->dialects, x->listener);

    for (uint32_t i = 0; i < spoken->n_protos; i++) {
        const struct tern_proto *proto = spoken->protos[i];
        if (proto->claims != NULL && proto->claims(x))
            return proto;
    }
    return otherwise;
}

/* An answer to a request that has no call. */
static void answer_error(struct tern_gateway *gateway, struct tern_exchange *x,
                         const struct tern_proto *proto, struct tern_err *err)
{
    struct tern_observation observation = {0};

    proto = claimed_by(gateway, x, proto);
    if (err->code == TERN_NOT_FOUND && proto->no_route != TERN_OK)
        err->code = proto->no_route;
    tern_observer_begin(gateway->settings.observer, x, &observation);
    gateway_encode_error(proto, x, err);
    tern_observer_end(gateway->settings.observer, x, NULL, &observation, err->code, err);
    tern_exchange_send(x, true);
}

/* ---- the handler ---- */

static enum tern_code check_access(const struct tern_exchange *x, enum tern_op op,
                                   struct tern_err *err)
{
    if (tern_op_access(op) != TERN_ACCESS_CONTROL)
        return TERN_OK;
    if (!x->listener->admin)
        return tern_fail(err, TERN_PERMISSION_DENIED,
                         "%s is not allowed on this listener: only a listener marked admin takes "
                         "operations that change what is served",
                         tern_op_label(op));
    /* A page in a browser must not steer a server on the same machine (DNS rebinding, CSRF). */
    if (tern_exchange_header(x, TERN_STR("origin")).p != NULL)
        return tern_fail(err, TERN_PERMISSION_DENIED, "%s is not allowed from a web page",
                         tern_op_label(op));
    return TERN_OK;
}

void gateway_init_call(struct gateway_call *gc, struct gateway_loop *loop,
                       const struct tern_proto *proto, const struct tern_route *route,
                       struct tern_exchange *x, struct tern_arena *arena)
{
    memset(gc, 0, offsetof(struct gateway_call, call) + offsetof(struct tern_call, err));
    gc->gateway = loop->gateway;
    gc->loop = loop;
    gc->came_ns = x->start_ns;
    gc->call.op = route->op;
    gc->call.proto = proto;
    gc->call.route = route;
    gc->call.x = x;
    gc->call.arena = arena;
    gc->call.err.code = TERN_OK;
    gc->call.err.http_status = 0;
    gc->call.err.retry_ms = 0;
}

static struct gateway_call *new_call(struct gateway_loop *loop, struct tern_exchange *x,
                                     const struct tern_match *match)
{
    struct gateway_call *gc =
        tern_arena_alloc(x->arena, _Alignof(struct gateway_call), sizeof(*gc));

    if (gc == NULL)
        return NULL;
    gateway_init_call(gc, loop, match->proto, match->route, x, x->arena);
    gc->call.version = match->version;
    gc->call.model = match->model;
    gc->call.name = match->name;
    /* A decoded name lives in the match, which ends with this round. */
    if (match->model.p == match->decoded_model)
        gc->call.model = tern_arena_copy(x->arena, match->model);
    if (match->name.p == match->decoded_name)
        gc->call.name = tern_arena_copy(x->arena, match->name);
    bool failed = (gc->call.model.n > 0 && gc->call.model.p == NULL) ||
                  (gc->call.name.n > 0 && gc->call.name.p == NULL);
    return failed ? NULL : gc;
}

static void answer_options(struct tern_gateway *gateway, struct tern_exchange *x,
                           const struct tern_match *match)
{
    struct tern_observation observation = {0};

    tern_exchange_body(x);
    x->status = 204;
    tern_exchange_add_header(x, TERN_STR("allow"), match->allow);
    tern_cors_preflight(&gateway->settings.cors, x, match->allow);
    tern_observer_end(gateway->settings.observer, x, NULL, &observation, TERN_OK, NULL);
    tern_exchange_send(x, true);
}

/* A call of gRPC for a path that it has no method at. What another dialect has there (a page at GET
 * /, a graph at POST /) would answer in words that no client of gRPC reads. */
static bool is_no_method(const struct tern_dialect_set *spoken, const struct tern_match *match,
                         const struct tern_exchange *x)
{
    return spoken->grpc != NULL && !match->proto->is_grpc && spoken->grpc->claims(x);
}

static bool is_of_graph(const struct tern_call *call)
{
    return call->op == TERN_OP_GRAPH || call->op == TERN_OP_FEEDBACK;
}

/* By its head alone it may be refused (gateway/door.c). */
static bool waits_its_turn(const struct tern_call *call)
{
    return call->op == TERN_OP_INFER || call->op == TERN_OP_EXPLAIN || is_of_graph(call);
}

/* Where health is answered as Triton does, a model that is not there is not ready and no more. */
static bool is_plain_no(const struct tern_call *call)
{
    return call->op == TERN_OP_MODEL_READY && call->x->listener->triton_status;
}

/* Everything that needs no body is decided here, so that a refusal costs no upload. */
static void on_head(void *self, struct tern_exchange *x)
{
    struct tern_gateway *gateway = self;
    TERN_UNINITIALIZED struct tern_match match;
    TERN_UNINITIALIZED struct tern_err err;
    struct gateway_loop *loop = &gateway->loops[tern_loop_index(x->loop)];

    if (x->method != TERN_METHOD_OPTIONS)
        tern_cors_allow(&gateway->settings.cors, x);
    const struct tern_dialect_set *spoken = tern_dialects_of(gateway->dialects, x->listener);
    enum tern_code code =
        tern_router_recall(spoken->router, &loop->memo, x->method, x->path, &match, &err);
    if (TERN_UNLIKELY(is_no_method(spoken, &match, x))) {
        code = tern_fail(&err, TERN_NOT_FOUND, "no such path: %.*s is no method of gRPC",
                         TERN_STR_ARG(x->path));
        match.allow.n = 0;
    }
    if (code != TERN_OK) {
        if (match.allow.n > 0)
            tern_exchange_add_header(x, TERN_STR("allow"), match.allow);
        answer_error(gateway, x, match.proto, &err);
        return;
    }
    if (match.route == NULL) {
        answer_options(gateway, x, &match);
        return;
    }
    if (check_access(x, match.route->op, &err) != TERN_OK ||
        tern_restrict_check(&gateway->settings.restrict_, x, match.proto, match.route->op, &err) !=
            TERN_OK) {
        answer_error(gateway, x, match.proto, &err);
        return;
    }
    struct gateway_call *gc = new_call(loop, x, &match);
    if (gc == NULL) {
        tern_arena_fail(x->arena, &err, "the call");
        answer_error(gateway, x, match.proto, &err);
        return;
    }
    x->user = gc;
    tern_observer_begin(gateway->settings.observer, x, &gc->observation);
    code = TERN_OK;
    if (needs_model(&gc->call) && gc->call.model.n > 0)
        code = find_model(gc, &gc->call.err);
    if (code == TERN_OK && waits_its_turn(&gc->call))
        code = gateway_enter(gc, &gc->call.err);
    if (code == TERN_OK && match.route->stream == TERN_STREAM_BOTH)
        code = gateway_stream_open(gc, &gc->call.err);
    if (code == TERN_OK)
        return;
    if (gc->call.op == TERN_OP_INFER)
        tern_observer_trace(gateway->settings.observer, &gc->call, &gc->observation);
    gateway_finish(gc, is_plain_no(&gc->call) ? TERN_OK : code);
}

static void plan_body(void *self, const struct tern_exchange *x, struct tern_body_plan *plan)
{
    const struct gateway_call *gc = x->user;

    (void)self;
    if (gc != NULL && gc->call.proto->plan_body != NULL)
        gc->call.proto->plan_body(x, plan);
}

enum tern_code gateway_unframe(struct tern_call *call, struct tern_err *err)
{
    const struct tern_framing *framing = call->route->framing;
    struct tern_exchange *x = call->x;
    size_t used = 0, need = 0;

    call->message = x->body;
    if (framing == NULL || framing->next == NULL)
        return TERN_OK;
    TERN_TRY(framing->next(x, call->arena, &call->message, &used, &need, err));
    if (used == 0)
        return tern_fail(err, TERN_INTERNAL, "the request ends inside its message");
    if (used < x->body.n)
        return tern_fail(err, TERN_UNIMPLEMENTED, "the request has more than one message");
    return TERN_OK;
}

enum tern_code gateway_start(struct gateway_call *gc, bool *ret_pending)
{
    struct tern_call *call = &gc->call;

    if (needs_model(call) && call->model.n == 0 && is_of_graph(call))
        TERN_TRY(gateway_name_graph(gc, &call->err));
    if (needs_model(call) && call->model.n > 0)
        TERN_TRY(pin_model(gc, &call->err));
    if (call->route->decode != NULL)
        TERN_TRY(call->route->decode(call, &call->err));
    if (call->op != call->route->op) /* the message asks for more than the row does */
        TERN_TRY(check_access(call->x, call->op, &call->err));
    if (needs_model(call) && call->pinned == NULL) { /* the message named it */
        enum tern_code code = pin_model(gc, &call->err);
        if (code != TERN_OK)
            return call->absent_is_no ? TERN_OK : code;
    }
    return gateway_run_op(gc, ret_pending, &call->err);
}

static void on_request(void *self, struct tern_exchange *x)
{
    struct gateway_call *gc = x->user;
    struct tern_gateway *gateway = self;
    bool pending = false;

    enum tern_code code = TERN_OK;
    if (gc->call.route->stream == TERN_STREAM_ANSWER) {
        code = gateway_stream_open(gc, &gc->call.err);
        if (code == TERN_OK) {
            gateway_stream_read(gc);
            return;
        }
    }
    tern_observer_enter(gateway->settings.observer, x, &gc->observation);
    if (code == TERN_OK)
        code = gateway_unframe(&gc->call, &gc->call.err);
    if (code == TERN_OK)
        code = gateway_start(gc, &pending);
    if (code != TERN_OK || !pending) /* a pending call may be finished and gone already */
        gateway_finish(gc, code);
}

static void on_part(void *self, struct tern_exchange *x)
{
    (void)self;
    if (x->user != NULL)
        gateway_stream_read(x->user);
}

void gateway_cancel(struct gateway_call *gc)
{
    if (gc->walk != NULL) {
        gateway_walk_cancel(gc);
    } else if (gc->explain != NULL) {
        gateway_explain_cancel(gc);
    } else if (gc->submitted) {
        tern_sched_cancel(gc->gateway->settings.sched, &gc->work);
    } else if (gateway_unwatch(gc)) {
        enum tern_code code = tern_fail(&gc->call.err, TERN_CANCELLED, "the watch was ended");
        gateway_finish(gc, code);
    }
}

static void on_gone(void *self, struct tern_exchange *x)
{
    struct gateway_call *gc = x->user;

    (void)self;
    if (gc != NULL && gc->stream != NULL)
        gateway_stream_gone(gc);
    else if (gc != NULL)
        gateway_cancel(gc);
}

static void on_refused(void *self, struct tern_exchange *x, const struct tern_err *err)
{
    struct tern_gateway *gateway = self;
    struct gateway_call *gc = x->user;

    if (gc != NULL && gc->stream != NULL) {
        gateway_stream_fail(gc, err);
        return;
    }
    if (gc != NULL) {
        gc->call.err = *err;
        gateway_finish(gc, err->code);
        return;
    }
    struct tern_err copy = *err;
    answer_error(gateway, x, tern_dialects_of(gateway->dialects, x->listener)->protos[0], &copy);
}

/* ---- life ---- */

static void init_loop(struct tern_gateway *gateway, uint32_t index)
{
    struct gateway_loop *loop = &gateway->loops[index];

    *loop = (struct gateway_loop){.gateway = gateway, .index = index};
    tern_load_init(&loop->load);
    tern_list_init(&loop->streams);
    tern_list_init(&loop->watches);
    tern_list_init(&loop->explains);
    tern_list_init(&loop->parts_free);
    tern_list_init(&loop->sinks_free);
}

enum tern_code tern_gateway_new(const struct tern_gateway_settings *settings,
                                struct tern_gateway **ret_gateway, struct tern_err *err)
{
    struct tern_gateway *gateway = tern_mem_zalloc(1, sizeof(*gateway));
    size_t size = settings->n_loops * sizeof(struct gateway_loop);

    if (gateway == NULL)
        return tern_mem_fail(err, "the gateway", sizeof(*gateway));
    gateway->settings = *settings;
    gateway->settings.listeners = NULL; /* only lent */
    gateway->timeout_ns = settings->timeout_ns;
    gateway->n_cpus = tern_cpu_usable();
    gateway->handler = (struct tern_handler){.on_head = on_head,
                                             .plan_body = plan_body,
                                             .on_request = on_request,
                                             .on_part = on_part,
                                             .on_gone = on_gone,
                                             .on_refused = on_refused,
                                             .self = gateway};
    atomic_init(&gateway->draining, false);
    gateway->loops = tern_mem_alloc_aligned(TERN_CACHE_LINE, size);
    if (gateway->loops == NULL) {
        tern_gateway_free(gateway);
        return tern_mem_fail(err, "the gateway", size);
    }
    enum tern_code code =
        tern_dialects_new(settings->protos, settings->n_protos, settings->listeners,
                          settings->n_listeners, &gateway->dialects, err);
    if (code == TERN_OK)
        code = tern_regions_new(&settings->shm, &gateway->regions, err);
    if (code != TERN_OK) {
        tern_gateway_free(gateway);
        return code;
    }
    for (uint32_t i = 0; i < settings->n_loops; i++)
        init_loop(gateway, i);
    *ret_gateway = gateway;
    return TERN_OK;
}

void tern_gateway_free(struct tern_gateway *gateway)
{
    if (gateway == NULL)
        return;
    for (uint32_t i = 0; gateway->dialects != NULL && i < gateway->settings.n_loops; i++) {
        gateway_part_fini(&gateway->loops[i]);
        gateway_sink_fini(&gateway->loops[i]);
        gateway_walk_fini(&gateway->loops[i]);
    }
    tern_dialects_free(gateway->dialects);
    tern_regions_free(gateway->regions);
    tern_mem_free(gateway->loops);
    tern_mem_free(gateway);
}

void tern_gateway_stop(struct tern_gateway *gateway)
{
    for (uint32_t i = 0; gateway != NULL && i < gateway->settings.n_loops; i++)
        gateway_walk_stop(&gateway->loops[i]);
}

void tern_gateway_set_registry(struct tern_gateway *gateway, struct tern_registry *registry)
{
    gateway->registry = registry;
}

const struct tern_handler *tern_gateway_handler(const struct tern_gateway *gateway)
{
    return &gateway->handler;
}

void tern_gateway_set_snapshot(struct tern_gateway *gateway, uint32_t loop,
                               const struct tern_snapshot *snapshot)
{
    gateway->loops[loop].snapshot = snapshot;
    gateway->loops[loop].n_snapshots++;
    gateway_watch_look(&gateway->loops[loop]);
}

void tern_gateway_set_timeout(struct tern_gateway *gateway, uint64_t timeout_ns)
{
    gateway->timeout_ns = timeout_ns;
}

static void on_drain(struct tern_loop_task *task)
{
    struct gateway_loop *loop = TERN_CONTAINER_OF(task, struct gateway_loop, drain);

    gateway_watch_look(loop); /* the last that watchers hear */
    gateway_watch_end(loop);
    gateway_stream_drain(loop);
}

void tern_gateway_set_draining(struct tern_gateway *gateway)
{
    if (atomic_exchange(&gateway->draining, true))
        return;
    /* A loop without a stream by now will know when it opens one: both sides write before they
     * read. */
    for (uint32_t i = 0; i < gateway->settings.n_loops; i++) {
        struct tern_loop *loop = atomic_load(&gateway->loops[i].loop);
        if (loop == NULL)
            continue;
        gateway->loops[i].drain.run = on_drain;
        tern_loop_post(loop, &gateway->loops[i].drain);
    }
}
