#include "gateway/walk.h"

#include <inttypes.h>
#include <string.h>
#include "base/clock.h"
#include "base/num.h"
#include "gateway/tracing.h"
#include "simd/numbers.h"
#include "wire/json.h"

/* ---- headers that go on ---- */

/* What belongs to the body or the connection that brought it, and what we say ourselves. */
static bool stays_here(struct tern_str name)
{
    static const char *const names[] = {
        "host",
        "content-type",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "accept-encoding",
        "inference-header-content-length",
        "x-request-timeout-ms",
        "x-envoy-expected-rq-timeout-ms",
        "x-request-deadline-ms",
        "traceparent",
        "seldon-puid",
        GATEWAY_HOPS_HEADER,
    };

    for (size_t i = 0; i < TERN_COUNT_OF(names); i++) {
        if (tern_str_eq_nocase(name, tern_str_of(names[i])))
            return true;
    }
    return name.n == 0 || name.p[0] == ':';
}

static bool goes_far(const struct walk *walk, struct tern_str name)
{
    const struct tern_forward *forward = walk->gc->gateway->settings.graph_headers;

    return tern_str_eq_nocase(name, TERN_STR("x-request-id")) ||
           tern_str_eq_nocase(name, TERN_STR("tracestate")) ||
           (forward != NULL && tern_forward_takes(forward, walk->gc->loop->index, name));
}

static enum tern_code read_hops(const struct tern_exchange *x, uint64_t *ret, struct tern_err *err)
{
    struct tern_str hops = tern_exchange_header(x, TERN_STR(GATEWAY_HOPS_HEADER));

    *ret = 0;
    if (hops.p != NULL && !tern_num_parse_u64(hops, UINT32_MAX, ret))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "header %s: expected a number, got '%.*s'",
                         GATEWAY_HOPS_HEADER, TERN_STR_ARG(hops));
    if (*ret < GATEWAY_HOPS_MAX)
        return TERN_OK;
    return tern_fail_http(err, TERN_FAILED_PRECONDITION, 508,
                          "the request went through %" PRIu64
                          " graphs, at most %d are allowed: do graphs call each other?",
                          *ret, GATEWAY_HOPS_MAX);
}

static void add(struct tern_header *headers, uint32_t *n, const char *name, struct tern_str value)
{
    headers[(*n)++] = (struct tern_header){tern_str_of(name), value};
}

/* The same for each call; what changes (the time left) is added there. */
static enum tern_code take_headers(struct walk *walk, struct tern_err *err)
{
    const struct gateway_call *gc = walk->gc;
    const struct tern_exchange *x = gc->call.x;
    struct tern_arena *arena = gc->call.arena;
    size_t room = x->n_headers + 4u;
    uint64_t hops;

    TERN_TRY(read_hops(x, &hops, err));
    walk->inside_headers = tern_arena_zalloc(arena, 2 * room, sizeof(*walk->inside_headers));
    struct tern_str count = tern_arena_printf(arena, "%" PRIu64, hops + 1);
    if (walk->inside_headers == NULL || count.p == NULL)
        return tern_arena_fail(arena, err, "the headers of a graph's steps");
    walk->remote_headers = walk->inside_headers + room;
    add(walk->inside_headers, &walk->n_inside_headers, GATEWAY_HOPS_HEADER, count);
    add(walk->remote_headers, &walk->n_remote_headers, GATEWAY_HOPS_HEADER, count);
    if (walk->puid.n > 0) {
        add(walk->inside_headers, &walk->n_inside_headers, "seldon-puid", walk->puid);
        add(walk->remote_headers, &walk->n_remote_headers, "seldon-puid", walk->puid);
    }
    for (uint32_t i = 0; i < x->n_headers; i++) {
        if (stays_here(x->headers[i].name))
            continue;
        walk->inside_headers[walk->n_inside_headers++] = x->headers[i];
        if (goes_far(walk, x->headers[i].name))
            walk->remote_headers[walk->n_remote_headers++] = x->headers[i];
    }
    return TERN_OK;
}

/* ---- one call ---- */

static void came(struct walk_call *wc, const struct tern_document *answer)
{
    struct walk *walk = wc->walk;

    if (walk->plan->form == TERN_PLAN_KSERVE)
        walk_kserve_came(walk, wc->point, answer);
    else
        walk_seldon_came(walk, wc->point, answer);
}

static void fail_call(struct walk_call *wc, enum tern_code code, struct tern_err *err)
{
    /* That a step cannot be asked is the graph's failure: KServe answers 500. */
    if (code == TERN_UNAVAILABLE)
        err->http_status = 500;
    tern_err_prefix(err, "step '%.*s'", TERN_STR_ARG(wc->name));
    walk_fail(wc->walk, wc->point, code, err);
}

static void on_remote_done(struct tern_remote_call *call)
{
    struct walk_call *wc = TERN_CONTAINER_OF(call, struct walk_call, remote);
    const struct tern_document answer = {tern_buf_str(&call->answer),
                                         tern_str_of(call->answer_type), call->status};

    wc->over = true;
    if (wc->place.family != NULL)
        tern_tracing_call(&wc->place, wc->name, call->code, call->status, wc->start_ns);
    if (call->code != TERN_OK)
        fail_call(wc, call->code, &call->err);
    else
        came(wc, &answer);
}

static void on_inside_done(struct tern_inside_call *call)
{
    struct walk_call *wc = TERN_CONTAINER_OF(call, struct walk_call, inside);
    const struct tern_document answer = {call->answer, call->answer_type, call->status};

    wc->over = true;
    if (call->code != TERN_OK)
        fail_call(wc, call->code, &call->err);
    else
        came(wc, &answer);
}

static void forget_call(void *arg)
{
    struct walk_call *wc = arg;

    if (wc->is_remote)
        tern_remote_forget(&wc->remote);
    else
        tern_inside_forget(&wc->inside);
}

static enum tern_code find_remote(struct gateway_loop *loop, struct tern_loop *of,
                                  struct tern_err *err)
{
    return loop->remote != NULL ? TERN_OK : tern_remote_new(of, &loop->remote, err);
}

static enum tern_code find_inside(struct gateway_loop *loop, struct tern_loop *of,
                                  struct tern_err *err)
{
    return loop->inside != NULL ? TERN_OK
                                : tern_inside_new(of, &loop->gateway->handler, &loop->inside, err);
}

/* The span that the call is part of. A request to this server makes one of its own. */
static void trace_of(const struct walk_call *wc, struct tern_trace *ret_trace)
{
    const struct tern_observation *observation = &wc->walk->gc->observation;

    *ret_trace = observation->trace;
    if (observation->place.family != NULL)
        tern_trace_place_context(wc->is_remote ? &wc->place : &observation->place, ret_trace);
}

/* The headers of all calls, how much time is left for this one, and its trace. */
static enum tern_code make_headers(const struct walk_call *wc, uint64_t left_ns,
                                   const struct tern_header **ret, uint32_t *ret_n,
                                   struct tern_err *err)
{
    const struct walk *walk = wc->walk;
    const struct tern_header *headers = wc->is_remote ? walk->remote_headers : walk->inside_headers;
    uint32_t n = wc->is_remote ? walk->n_remote_headers : walk->n_inside_headers;
    struct tern_arena *arena = walk->gc->call.arena;
    struct tern_header *all = tern_arena_zalloc(arena, n + 2, sizeof(*all));
    struct tern_str ms = tern_arena_printf(arena, "%" PRIu64, left_ns / TERN_NS_PER_MS + 1);
    char *parent = tern_arena_alloc(arena, 1, TERN_TRACE_PARENT_LEN + 1);
    struct tern_trace trace;

    if (all == NULL || ms.p == NULL || parent == NULL)
        return tern_arena_fail(arena, err, "the headers of a graph's step");
    memcpy(all, headers, n * sizeof(*all));
    add(all, &n, "x-request-timeout-ms", ms);
    if (walk->gc->observation.traced) {
        trace_of(wc, &trace);
        tern_trace_format(&trace, parent);
        add(all, &n, "traceparent", tern_str_make(parent, TERN_TRACE_PARENT_LEN));
    }
    *ret = all;
    *ret_n = n;
    return TERN_OK;
}

static enum tern_code begin_remote(struct walk_call *wc, const struct tern_plan_endpoint *endpoint,
                                   const struct tern_document *document, uint64_t left_ns,
                                   struct tern_err *err)
{
    struct walk *walk = wc->walk;
    struct gateway_call *gc = walk->gc;

    TERN_TRY(find_remote(gc->loop, gc->call.x->loop, err));
    TERN_TRY(make_headers(wc, left_ns, &wc->remote.headers, &wc->remote.n_headers, err));
    wc->remote.url = endpoint->url;
    wc->remote.body = document->bytes;
    wc->remote.type = document->type;
    wc->remote.timeout_ns = left_ns;
    wc->remote.answer_max = gc->call.x->body_max;
    wc->remote.on_done = on_remote_done;
    tern_remote_start(gc->loop->remote, &wc->remote);
    return TERN_OK;
}

static enum tern_code begin_inside(struct walk_call *wc, const struct tern_plan_endpoint *endpoint,
                                   const struct tern_document *document, uint64_t left_ns,
                                   struct tern_err *err)
{
    struct walk *walk = wc->walk;
    struct gateway_call *gc = walk->gc;
    const struct tern_exchange *x = gc->call.x;
    const struct tern_listener_info *inside = gc->gateway->settings.inside;

    TERN_TRY(find_inside(gc->loop, x->loop, err));
    TERN_TRY(make_headers(wc, left_ns, &wc->inside.headers, &wc->inside.n_headers, err));
    wc->inside.method = TERN_METHOD_POST;
    wc->inside.path = endpoint->path;
    wc->inside.query = endpoint->query;
    wc->inside.type = document->type;
    wc->inside.body = document->bytes;
    wc->inside.within = &wc->place;
    wc->inside.listener = inside != NULL ? inside : x->listener;
    wc->inside.body_max = x->body_max;
    wc->inside.memory_max = x->arena->max;
    wc->inside.till = x->arena->till;
    wc->inside.answer_max = x->body_max;
    wc->inside.peer = x->peer;
    wc->inside.on_done = on_inside_done;
    tern_inside_start(gc->loop->inside, &wc->inside);
    return TERN_OK;
}

static enum tern_code begin_call(struct walk *walk, uint32_t point,
                                 const struct tern_plan_endpoint *endpoint, struct tern_str name,
                                 const struct tern_document *document, struct tern_err *err)
{
    struct tern_arena *arena = walk->gc->call.arena;
    uint64_t now = tern_clock_mono_ns();
    struct walk_call *wc = tern_arena_zalloc(arena, 1, sizeof(*wc));

    if (now >= walk->deadline_ns)
        return tern_fail(err, TERN_DEADLINE_EXCEEDED, "the time for the graph is over");
    if (wc == NULL)
        return tern_arena_fail(arena, err, "a step of the graph");
    struct tern_trace_place place = tern_tracing_place(&walk->gc->call, &walk->gc->observation);
    wc->walk = walk;
    wc->point = point;
    wc->name = name;
    wc->is_remote = endpoint->url != NULL;
    wc->place = tern_trace_place_in(&place);
    wc->start_ns = now;
    TERN_TRY(tern_arena_on_reset(arena, forget_call, wc, err));
    walk->calls[point] = wc;
    return wc->is_remote ? begin_remote(wc, endpoint, document, walk->deadline_ns - now, err)
                         : begin_inside(wc, endpoint, document, walk->deadline_ns - now, err);
}

void walk_call(struct walk *walk, uint32_t point, const struct tern_plan_endpoint *endpoint,
               struct tern_str name, const struct tern_document *document)
{
    struct tern_err err;

    enum tern_code code = begin_call(walk, point, endpoint, name, document, &err);
    if (code != TERN_OK)
        walk_fail(walk, point, code, &err);
}

void walk_fail(struct walk *walk, uint32_t point, enum tern_code code, const struct tern_err *err)
{
    tern_graph_fail(&walk->graph, point, code, err);
}

void walk_decide(struct walk *walk, const struct tern_document *answer)
{
    if (walk->cancelled)
        return; /* something else has */
    walk->answer = *answer;
    walk->decided = true;
    tern_graph_cancel(&walk->graph, TERN_CANCELLED);
}

/* ---- documents ---- */

enum tern_code walk_make(struct walk *walk, struct tern_buf *text, struct tern_document *ret,
                         struct tern_err *err)
{
    struct tern_arena *arena = walk->gc->call.arena;
    char *p = tern_arena_alloc(arena, 1, text->n + TERN_TEXT_PAD);
    size_t n = text->n;

    enum tern_code code = tern_buf_check(text, "a document of the graph", err);
    if (code == TERN_OK && p == NULL)
        code = tern_arena_fail(arena, err, "a document of the graph");
    if (code == TERN_OK) {
        memcpy(p, text->p, n);
        memset(p + n, 0, TERN_TEXT_PAD);
        *ret = (struct tern_document){tern_str_make(p, n), TERN_STR("application/json"), 200};
    }
    tern_buf_fini(text);
    return code;
}

/* Where the member's key stands, quotes included; SIZE_MAX: nowhere. */
static enum tern_code find_key(const struct walk *walk, struct tern_str text, struct tern_str name,
                               size_t *ret_at)
{
    struct tern_json json;
    struct tern_str key;
    bool more;

    *ret_at = SIZE_MAX;
    tern_json_init(&json, text, walk->gc->call.arena);
    if (tern_json_peek(&json) != TERN_JSON_OBJECT)
        return TERN_OK;
    TERN_TRY(tern_json_object(&json, NULL));
    for (;;) {
        TERN_TRY(tern_json_key(&json, &more, &key, NULL));
        if (!more)
            return TERN_OK;
        bool in_text = key.p > text.p && key.p < text.p + text.n; /* not one with escapes */
        if (in_text && tern_str_eq(key, name)) {
            *ret_at = (size_t)(key.p - text.p) - 1;
            return TERN_OK;
        }
        TERN_TRY(tern_json_skip(&json, NULL));
    }
}

enum tern_code walk_rename(struct walk *walk, struct tern_document *document, struct tern_str from,
                           struct tern_str to, struct tern_err *err)
{
    struct tern_buf text;
    size_t at;

    if (find_key(walk, document->bytes, from, &at) != TERN_OK || at == SIZE_MAX)
        return TERN_OK;
    tern_buf_init(&text, document->bytes.n + to.n + 2);
    tern_buf_add(&text, document->bytes.p, at);
    tern_json_add_string(&text, to);
    tern_buf_add_str(&text, tern_str_from(document->bytes, at + from.n + 2));
    return walk_make(walk, &text, document, err);
}

bool walk_is_good(const struct tern_document *document)
{
    return document->status >= 200 && document->status <= 299;
}

uint64_t walk_random(struct walk *walk)
{
    struct gateway_loop *loop = walk->gc->loop;

    if (!loop->has_random)
        loop->has_random = tern_trace_ids_init(&loop->random, NULL) == TERN_OK;
    /* Without the kernel's entropy the clock has to do: nothing secret hangs on it. */
    return loop->has_random ? tern_trace_ids_next(&loop->random) : tern_clock_mono_ns() / 1000;
}

/* ---- the graph ---- */

static void on_start(struct tern_graph *graph, uint32_t point)
{
    struct walk *walk = TERN_CONTAINER_OF(graph, struct walk, graph);

    if (walk->plan->form == TERN_PLAN_KSERVE)
        walk_kserve_start(walk, point);
    else
        walk_seldon_start(walk, point);
}

static void on_cancel(struct tern_graph *graph, uint32_t point)
{
    struct walk *walk = TERN_CONTAINER_OF(graph, struct walk, graph);
    struct walk_call *wc = walk->calls[point];

    walk->cancelled = true;
    if (wc == NULL || wc->over)
        return; /* it comes to its end just now */
    if (wc->is_remote)
        tern_remote_cancel(&wc->remote);
    else
        tern_inside_cancel(&wc->inside);
}

static void on_done(struct tern_graph *graph, enum tern_code code)
{
    struct walk *walk = TERN_CONTAINER_OF(graph, struct walk, graph);
    struct gateway_call *gc = walk->gc;

    if (walk->decided)
        code = TERN_OK;
    if (code == TERN_OK && walk->plan->form == TERN_PLAN_SELDON)
        code = walk_seldon_end(walk, &gc->call.err);
    gc->call.document = walk->answer;
    gc->walk = NULL;
    gateway_finish(gc, code);
}

static const struct tern_graph_ops graph_ops = {
    .start = on_start, .cancel = on_cancel, .on_done = on_done};

/* Points as the executor knows them. */
static enum tern_code lay_out(struct walk *walk, struct tern_err *err)
{
    struct tern_arena *arena = walk->gc->call.arena;
    const struct tern_plan_way *way = walk->way;
    struct tern_graph_node *nodes = tern_arena_zalloc(arena, way->n, sizeof(*nodes));

    walk->calls = tern_arena_zalloc(arena, way->n, sizeof(struct walk_call *));
    if (nodes == NULL || walk->calls == NULL)
        return tern_arena_fail(arena, err, "the steps of a graph");
    for (uint32_t i = 0; i < way->n; i++)
        nodes[i] = (struct tern_graph_node){way->points[i].next, way->points[i].n_next,
                                            way->points[i].n_before};
    walk->graph_plan = (struct tern_graph_plan){nodes, way->n};
    return tern_graph_init(&walk->graph, &walk->graph_plan, &graph_ops, arena, err);
}

static uint64_t deadline_of(const struct gateway_call *gc, const struct tern_plan *plan)
{
    uint64_t deadline = gateway_deadline(gc), own;

    if (plan->timeout_ns != 0 && !__builtin_add_overflow(gc->came_ns, plan->timeout_ns, &own) &&
        own < deadline)
        deadline = own;
    return deadline;
}

static enum tern_code begin_walk(struct walk *walk, struct tern_err *err)
{
    struct gateway_call *gc = walk->gc;
    bool is_feedback = gc->call.op == TERN_OP_FEEDBACK;

    if (is_feedback && walk->plan->form != TERN_PLAN_SELDON)
        return tern_fail(err, TERN_UNIMPLEMENTED, "graph '%.*s' takes no feedback: it is KServe's",
                         TERN_STR_ARG(gc->call.info->name));
    walk->way = is_feedback ? &walk->plan->feedback : &walk->plan->predict;
    walk->deadline_ns = deadline_of(gc, walk->plan);
    walk->request = (struct tern_document){gc->call.message, gc->call.x->content_type, 200};
    if (walk->request.type.n == 0)
        walk->request.type = TERN_STR("application/json");
    TERN_TRY(walk->plan->form == TERN_PLAN_KSERVE ? walk_kserve_begin(walk, err)
                                                  : walk_seldon_begin(walk, err));
    TERN_TRY(take_headers(walk, err));
    return lay_out(walk, err);
}

enum tern_code gateway_run_graph(struct gateway_call *gc, bool *ret_pending, struct tern_err *err)
{
    struct tern_call *call = &gc->call;
    struct walk *walk = tern_arena_zalloc(call->arena, 1, sizeof(*walk));

    if (!call->info->documents)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "model '%.*s' is no graph of documents",
                         TERN_STR_ARG(call->info->name));
    if (walk == NULL)
        return tern_arena_fail(call->arena, err, "the way through a graph");
    tern_observer_trace(gc->gateway->settings.observer, call, &gc->observation);
    walk->gc = gc;
    walk->plan = call->pinned->engine.state;
    walk->graph.err = err;
    TERN_TRY(begin_walk(walk, err));
    gc->walk = walk;
    *ret_pending = true;
    tern_graph_run(&walk->graph); /* on_done may have come before this returns */
    return TERN_OK;
}

static bool is_graph(const struct tern_model_entry *entry)
{
    return entry->n_versions > 0 && entry->versions[entry->n_versions - 1]->info.documents;
}

enum tern_code gateway_name_graph(struct gateway_call *gc, struct tern_err *err)
{
    const struct tern_snapshot *snapshot = gc->loop->snapshot;
    const struct tern_listener_info *listener = gc->call.x->listener;
    const struct tern_model_entry *only = NULL;
    uint32_t n = 0;

    if (listener->graph.n > 0) {
        gc->call.model = listener->graph;
        return TERN_OK;
    }
    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        if (!is_graph(&snapshot->models[i]))
            continue;
        only = &snapshot->models[i];
        n++;
    }
    if (n != 1)
        return tern_fail(err, TERN_NOT_FOUND,
                         "which graph is meant? %u are served: name one in the path, or in the "
                         "option listen[].graph",
                         n);
    gc->call.model = tern_arena_copy(gc->call.arena, only->name);
    return gc->call.model.p == NULL ? tern_arena_fail(gc->call.arena, err, "the graph's name")
                                    : TERN_OK;
}

void gateway_walk_cancel(struct gateway_call *gc)
{
    tern_fail(&gc->call.err, TERN_CANCELLED, "the client went away");
    tern_graph_cancel(&gc->walk->graph, TERN_CANCELLED);
}

void gateway_walk_stop(struct gateway_loop *loop)
{
    tern_remote_free(loop->remote);
    loop->remote = NULL;
}

void gateway_walk_fini(struct gateway_loop *loop)
{
    gateway_walk_stop(loop);
    tern_inside_free(loop->inside);
    loop->inside = NULL;
}
