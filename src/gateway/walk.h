/* The operations GRAPH and FEEDBACK: a graph of documents (engine/plan) is gone through for one
 * request, its points by the executor of all graphs (sched/graph.h), its calls by net/inside and
 * net/remote.
 *
 * Documents are bytes. They lie where they came: in the request's body, in the answer of a call,
 * which stays until the request's arena is reset, or in that arena. */
#ifndef TERN_GATEWAY_WALK_H
#define TERN_GATEWAY_WALK_H

#include "core/proto.h"
#include "engine/plan/plan.h"
#include "gateway/gateway_int.h"
#include "net/inside.h"
#include "net/remote.h"
#include "sched/graph.h"

#define GATEWAY_HOPS_HEADER "x-tern-hops" /* servers that a request has passed */
#define GATEWAY_HOPS_MAX    16

/* One call of an endpoint. Lies in the request's arena. */
struct walk_call {
    struct walk *walk;
    uint32_t point;
    struct tern_str name; /* of the step */
    bool is_remote, over;
    struct tern_trace_place place;
    uint64_t start_ns;
    struct tern_remote_call remote;
    struct tern_inside_call inside;
};

/* One request's way through its graph. Lies in its arena. */
struct walk {
    struct gateway_call *gc;
    const struct tern_plan *plan;
    const struct tern_plan_way *way;
    struct tern_graph_plan graph_plan;
    struct tern_graph graph;
    uint64_t deadline_ns;
    struct walk_call **calls; /* one a point; NULL: none was made */
    /* What every call carries on: the client's headers for this server, some for others. */
    struct tern_header *inside_headers, *remote_headers;
    uint32_t n_inside_headers, n_remote_headers;

    struct tern_document request;
    struct tern_document answer;
    bool cancelled;
    bool decided; /* the answer is known, whatever still runs */

    /* KServe */
    struct tern_document *inputs;  /* one a node */
    struct tern_document *results; /* one a member; status 0: not yet */
    uint32_t *last;                /* one a node: the member that was chosen, or ran last */

    /* Seldon */
    struct tern_document *values; /* one a unit: what it has by now */
    int64_t *routes;              /* one a unit: the child it chose, -1 all, -2 none */
    bool *visited;                /* one a unit */
    struct tern_str puid;
};

/* gateway/walk.c */
/* Starts the call of a point; walk_kserve_came or walk_seldon_came of it follows, or the graph
 * fails. `name`: of the step, for messages. */
void walk_call(struct walk *walk, uint32_t point, const struct tern_plan_endpoint *endpoint,
               struct tern_str name, const struct tern_document *document);
/* The point fails, and with it the graph. */
void walk_fail(struct walk *walk, uint32_t point, enum tern_code code, const struct tern_err *err);
/* The answer is known: what still runs is cancelled. The point must be told done after it. */
void walk_decide(struct walk *walk, const struct tern_document *answer);
uint64_t walk_random(struct walk *walk);
/* A document of our own making, in the arena: what is in the buffer, which is emptied. */
enum tern_code walk_make(struct walk *walk, struct tern_buf *text, struct tern_document *ret,
                         struct tern_err *err);
/* A member of the outer object gets another name; without one of that name nothing happens. */
enum tern_code walk_rename(struct walk *walk, struct tern_document *document, struct tern_str from,
                           struct tern_str to, struct tern_err *err);
bool walk_is_good(const struct tern_document *document);

/* gateway/walk_kserve.c, gateway/walk_seldon.c */
enum tern_code walk_kserve_begin(struct walk *walk, struct tern_err *err);
void walk_kserve_start(struct walk *walk, uint32_t point);
void walk_kserve_came(struct walk *walk, uint32_t point, const struct tern_document *answer);
enum tern_code walk_seldon_begin(struct walk *walk, struct tern_err *err);
void walk_seldon_start(struct walk *walk, uint32_t point);
void walk_seldon_came(struct walk *walk, uint32_t point, const struct tern_document *answer);
/* After the last point: the answer, with what is to be told of the way. */
enum tern_code walk_seldon_end(struct walk *walk, struct tern_err *err);

#endif
