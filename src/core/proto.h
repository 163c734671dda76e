/* The dialect seam. An operation is implemented once, in gateway/; a dialect (a protocol that
 * clients speak) is rows of routes and two translations: decode a request into a call, encode its
 * result.
 *
 * Authorization, limits, deadlines and metrics hang on the operation. A route without an operation
 * cannot be written down. Registered in one array, src/proto/protos.c. */
#ifndef TERN_CORE_PROTO_H
#define TERN_CORE_PROTO_H

#include "core/exchange.h"
#include "core/model.h"
#include "core/request.h"

/* Who may call: what a listener allows is decided on this class, never on a path. */
enum tern_access {
    TERN_ACCESS_OPEN,    /* health: always */
    TERN_ACCESS_READ,    /* metadata */
    TERN_ACCESS_INFER,   /* predictions */
    TERN_ACCESS_OBSERVE, /* metrics */
    TERN_ACCESS_CONTROL, /* changes what is served: listeners marked admin only */
};

/* X(NAME, label for metrics and logs, access) */
#define TERN_OPS(X)                                    \
    X(WELCOME, "welcome", OPEN)                        \
    X(SERVER_LIVE, "server_live", OPEN)                \
    X(SERVER_READY, "server_ready", OPEN)              \
    X(SERVER_METADATA, "server_metadata", READ)        \
    X(MODEL_LIST, "model_list", READ)                  \
    X(MODEL_METADATA, "model_metadata", READ)          \
    X(MODEL_READY, "model_ready", OPEN)                \
    X(MODEL_CONFIG, "model_config", READ)              \
    X(INFER, "infer", INFER)                           \
    X(REPOSITORY_INDEX, "repository_index", READ)      \
    X(REPOSITORY_LOAD, "repository_load", CONTROL)     \
    X(REPOSITORY_UNLOAD, "repository_unload", CONTROL) \
    X(METRICS, "metrics", OBSERVE)

enum tern_op {
#define X(name, label, access) TERN_OP_##name,
    TERN_OPS(X)
#undef X
        TERN_OP_COUNT
};

/* One row of the repository index: a model version, or a model of which no version is known. */
struct tern_index_row {
    struct tern_str name;
    int64_t version; /* 0: none */
    enum tern_model_state state;
    struct tern_str reason;
};

struct tern_route;
struct tern_proto;
struct tern_model_version; /* registry/: pinned while the call runs */

/* One call of an operation, from routing to answer. Lives in its exchange's arena. */
struct tern_call {
    enum tern_op op;
    const struct tern_proto *proto;
    const struct tern_route *route;
    struct tern_exchange *x;
    struct tern_arena *arena;

    /* From the route's captures, percent-decoded, names checked. */
    struct tern_str model; /* {model} */
    int64_t version;       /* {version}; 0: not given, the version policy decides */

    /* Set by the gateway before decode when the operation names a model that is there. */
    const struct tern_model_info *info;
    const int64_t *versions; /* of that model that are served, ascending; arena */
    uint32_t n_versions;

    /* INFER */
    struct tern_infer_request request;
    struct tern_infer_response response;

    /* REPOSITORY_*, MODEL_LIST: arguments, then the result */
    bool ready_only;
    bool unload_dependents;
    struct tern_params params;
    const struct tern_index_row *index; /* arena */
    uint32_t n_index;

    bool yes;             /* SERVER_LIVE, SERVER_READY, MODEL_READY: the answer */
    struct tern_str text; /* METRICS: the exposition; WELCOME: the page; arena or static */

    /* Stages, monotonic ns; 0: not reached. */
    uint64_t decoded_ns, queued_ns, started_ns, finished_ns, encoded_ns;

    /* The gateway's and the scheduler's own. */
    struct tern_model_version *pinned;

    struct tern_err err; /* last: its text is the one part that need not start as zero */
};

struct tern_route {
    enum tern_method method;
    /* "/v2/models/{model}/versions/{version}/infer": captures are whole segments, and only {model}
     * and {version} exist. A GET row answers HEAD too. */
    const char *pattern;
    enum tern_op op;
    /* Reads x->body (and headers) into the call. May be NULL. */
    enum tern_code (*decode)(struct tern_call *call, struct tern_err *err);
    /* Writes status, response_type, headers, body and slices of x; does not send. */
    enum tern_code (*encode)(struct tern_call *call, struct tern_err *err);
    const char *help; /* one line, for doc/routes.md */
};

struct tern_proto {
    const char *name; /* "oip" */
    const char *help;
    const struct tern_route *routes;
    uint32_t n_routes;
    /* The dialect's envelope for an error; sets status, response_type and body. */
    void (*encode_error)(struct tern_exchange *x, const struct tern_err *err);
    /* Where tensors begin in the body of this request, as its head says: see struct tern_handler.
     * May be NULL: nowhere. */
    size_t (*body_pivot)(const struct tern_exchange *x);
};

const char *tern_op_label(enum tern_op op);
enum tern_access tern_op_access(enum tern_op op);

#endif
