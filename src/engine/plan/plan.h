/* A graph of documents as it was loaded: KServe's InferenceGraph or Seldon Core v1's tree, from
 * graph.yaml, checked and laid out as steps of sched/graph.h.
 *
 * Registered as an engine, since it comes, goes and is listed as models are; but nothing here runs:
 * the gateway walks it (gateway/walk.h). Immutable once loaded; any thread may read it. */
#ifndef TERN_ENGINE_PLAN_PLAN_H
#define TERN_ENGINE_PLAN_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "conf/problem.h"
#include "conf/tree.h"
#include "core/engine.h"
#include "wire/gjson.h"

#define TERN_PLAN_POINTS_MAX   4096 /* after nodes that are named twice were copied */
#define TERN_PLAN_CHILDREN_MAX 256
#define TERN_PLAN_DEPTH_MAX    32
#define TERN_PLAN_NONE         UINT32_MAX

extern const struct tern_engine_ops tern_plan_engine;

enum tern_plan_form {
    TERN_PLAN_KSERVE,
    TERN_PLAN_SELDON,
};

/* Where a call goes. Either url, or path (and query) of this server. */
struct tern_plan_endpoint {
    const char *url; /* NULL: of this server */
    struct tern_str path;
    struct tern_str query;
};

/* ---- KServe ---- */

enum tern_plan_router {
    TERN_PLAN_SEQUENCE,
    TERN_PLAN_SPLITTER,
    TERN_PLAN_ENSEMBLE,
    TERN_PLAN_SWITCH,
};

struct tern_plan_member {
    struct tern_str name; /* empty: none was given */
    bool hard;
    bool takes_response;                /* $response: what came of the member before it */
    bool maps;                          /* predictions of that become instances */
    uint32_t weight;                    /* of a splitter, in per cent */
    const struct tern_gjson *condition; /* NULL: none */
    uint32_t node;                      /* that it stands for; NONE: it is a call of the endpoint */
    struct tern_plan_endpoint endpoint;
    uint32_t parent;      /* the node it is a member of */
    uint32_t index;       /* among its members */
    uint32_t entry, exit; /* points */
};

struct tern_plan_node {
    struct tern_str name;
    enum tern_plan_router router;
    uint32_t first, n; /* members */
    uint32_t member;   /* that it is there for; NONE: it is the root */
};

/* ---- Seldon ---- */

enum tern_plan_unit_kind {
    TERN_PLAN_MODEL,
    TERN_PLAN_UNIT_ROUTER,
    TERN_PLAN_COMBINER,
    TERN_PLAN_TRANSFORMER,
    TERN_PLAN_OUTPUT_TRANSFORMER,
    TERN_PLAN_ABTEST,     /* RANDOM_ABTEST */
    TERN_PLAN_PREDICTORS, /* above the roots of several predictors: by their traffic */
    TERN_PLAN_PLAIN,      /* only what its list of methods says */
};

enum tern_plan_method {
    TERN_PLAN_INPUT,     /* /predict or /transform-input */
    TERN_PLAN_ROUTE,     /* /route */
    TERN_PLAN_AGGREGATE, /* /aggregate */
    TERN_PLAN_OUTPUT,    /* /transform-output */
    TERN_PLAN_FEEDBACK,  /* /send-feedback */
    TERN_PLAN_METHODS,
};

/* What the messages of a tree are. */
enum tern_plan_protocol {
    TERN_PLAN_SELDON_MESSAGES,
    TERN_PLAN_TENSORFLOW, /* predictions of a unit become the instances of the next */
    TERN_PLAN_V2,         /* outputs become inputs */
};

struct tern_plan_unit {
    struct tern_str name;
    enum tern_plan_unit_kind kind;
    struct tern_str image; /* what meta.requestPath says of it; its name when there is none */
    double ratio;          /* ABTEST: how often the first child is taken */
    uint32_t traffic;      /* of a child of PREDICTORS */
    bool calls[TERN_PLAN_METHODS];
    struct tern_plan_endpoint endpoints[TERN_PLAN_METHODS];
    uint32_t parent; /* NONE: the root */
    uint32_t index;  /* among the parent's children */
    uint32_t first;  /* its children stand together, after it */
    uint32_t n;
};

/* ---- both ---- */

enum tern_plan_point_kind {
    TERN_PLAN_CALL,   /* KServe: a member's endpoint */
    TERN_PLAN_ENTER,  /* KServe: a node chooses */
    TERN_PLAN_LEAVE,  /* KServe: what came of a node */
    TERN_PLAN_IN,     /* Seldon: a unit takes its input */
    TERN_PLAN_CHOOSE, /* Seldon: which children */
    TERN_PLAN_JOIN,   /* Seldon: what came of them */
    TERN_PLAN_OUT,    /* Seldon: a unit gives its output */
    TERN_PLAN_TELL,   /* Seldon: a unit hears of a reward */
};

struct tern_plan_point {
    enum tern_plan_point_kind kind;
    uint32_t of;          /* member, node or unit */
    const uint32_t *next; /* points after it; see the walk for their order */
    uint32_t n_next;
    uint32_t n_before;
};

/* One way to go through the graph. */
struct tern_plan_way {
    struct tern_plan_point *points;
    uint32_t n;
};

struct tern_plan {
    enum tern_plan_form form;
    struct tern_plan_way predict;
    struct tern_plan_way feedback; /* Seldon */
    bool has_remote;
    uint64_t timeout_ns; /* the graph's own; 0: none */

    struct tern_plan_node *nodes; /* the root first */
    uint32_t n_nodes;
    struct tern_plan_member *members;
    uint32_t n_members;

    enum tern_plan_protocol protocol;
    struct tern_plan_unit *units; /* the root first */
    uint32_t n_units;
    bool routes; /* some unit chooses */
};

/* What the tree of a file means. Mistakes go to the list, placed in `file`; NULL when there are
 * any, or no memory. */
const struct tern_plan *tern_plan_read(const struct tern_tree *root, struct tern_str file,
                                       struct tern_arena *arena, struct tern_problems *problems);

#endif
