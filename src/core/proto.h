/* The dialect seam. An operation is implemented once, in gateway/; a dialect (a protocol that
 * clients speak) is rows of routes and two translations: decode a request into a call, encode its
 * result.
 *
 * Authorization, limits, deadlines and metrics hang on the operation. A route without an operation
 * cannot be written down. Registered in one array, src/proto/protos.c. */
#ifndef TERN_CORE_PROTO_H
#define TERN_CORE_PROTO_H

#include "core/exchange.h"
#include "core/explain.h"
#include "core/model.h"
#include "core/request.h"
#include "core/schedule.h"
#include "core/settings.h"
#include "core/stats.h"

/* Who may call: what a listener allows is decided on this class, never on a path. */
enum tern_access {
    TERN_ACCESS_OPEN,    /* health: always */
    TERN_ACCESS_READ,    /* metadata */
    TERN_ACCESS_INFER,   /* predictions */
    TERN_ACCESS_OBSERVE, /* metrics */
    TERN_ACCESS_CONTROL, /* changes what is served: listeners marked admin only */
};

/* What an operation is about. A listener may demand a secret header for a family (Triton calls this
 * a restricted API and a family a protocol). */
enum tern_family {
    TERN_FAMILY_NONE,
    TERN_FAMILY_HEALTH,
    TERN_FAMILY_METADATA,
    TERN_FAMILY_INFERENCE,
    TERN_FAMILY_SHARED_MEMORY,
    TERN_FAMILY_MODEL_CONFIG,
    TERN_FAMILY_MODEL_REPOSITORY,
    TERN_FAMILY_STATISTICS,
    TERN_FAMILY_TRACE,
    TERN_FAMILY_LOGGING,
};

enum tern_subject {
    TERN_SUBJECT_SERVER,
    TERN_SUBJECT_MODEL, /* call->model names one that is served: it is pinned before the run */
};

/* X(NAME, label for metrics and logs, access, family, subject) */
#define TERN_OPS(X)                                                              \
    X(WELCOME, "welcome", OPEN, NONE, SERVER)                                    \
    X(REFLECTION, "reflection", READ, NONE, SERVER)                              \
    X(SERVER_LIVE, "server_live", OPEN, HEALTH, SERVER)                          \
    X(SERVER_READY, "server_ready", OPEN, HEALTH, SERVER)                        \
    X(HEALTH_WATCH, "health_watch", OPEN, HEALTH, SERVER)                        \
    X(SERVER_METADATA, "server_metadata", READ, METADATA, SERVER)                \
    X(MODEL_LIST, "model_list", READ, METADATA, SERVER)                          \
    X(MODEL_METADATA, "model_metadata", READ, METADATA, MODEL)                   \
    X(MODEL_READY, "model_ready", OPEN, HEALTH, MODEL)                           \
    X(MODEL_CONFIG, "model_config", READ, MODEL_CONFIG, MODEL)                   \
    X(INFER, "infer", INFER, INFERENCE, MODEL)                                   \
    X(EXPLAIN, "explain", INFER, INFERENCE, MODEL)                               \
    X(GRAPH, "graph", INFER, INFERENCE, MODEL)                                   \
    X(FEEDBACK, "feedback", INFER, INFERENCE, MODEL)                             \
    X(REPOSITORY_INDEX, "repository_index", READ, MODEL_REPOSITORY, SERVER)      \
    X(REPOSITORY_LOAD, "repository_load", CONTROL, MODEL_REPOSITORY, SERVER)     \
    X(REPOSITORY_UNLOAD, "repository_unload", CONTROL, MODEL_REPOSITORY, SERVER) \
    X(SHM_STATUS, "shm_status", INFER, SHARED_MEMORY, SERVER)                    \
    X(SHM_REGISTER, "shm_register", INFER, SHARED_MEMORY, SERVER)                \
    X(SHM_UNREGISTER, "shm_unregister", INFER, SHARED_MEMORY, SERVER)            \
    X(METRICS, "metrics", OBSERVE, NONE, SERVER)                                 \
    X(MODEL_STATISTICS, "model_statistics", READ, STATISTICS, SERVER)            \
    X(MODEL_SCHEDULE, "model_schedule", READ, STATISTICS, MODEL)                 \
    X(TRACE_READ, "trace_read", READ, TRACE, SERVER)                             \
    X(TRACE_UPDATE, "trace_update", CONTROL, TRACE, SERVER)                      \
    X(LOG_READ, "log_read", READ, LOGGING, SERVER)                               \
    X(LOG_UPDATE, "log_update", CONTROL, LOGGING, SERVER)

enum tern_op {
#define X(name, label, access, family, subject) TERN_OP_##name,
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

/* What HEALTH_WATCH answers, with the numbers of grpc.health.v1. */
enum tern_serving {
    TERN_SERVING_UNKNOWN = 0,
    TERN_SERVING_YES = 1,
    TERN_SERVING_NO = 2,
    TERN_SERVING_NO_SUCH = 3, /* nothing of that name is known; it may come */
};

/* A region of memory that a client shares: what SHM_REGISTER is given, what SHM_STATUS answers. */
struct tern_region_row {
    bool cuda;              /* of a GPU; else a POSIX shared memory object */
    struct tern_str name;   /* empty, for STATUS and UNREGISTER: all of that kind */
    struct tern_str key;    /* (system) of the object, as shm_open(3) takes it */
    uint64_t offset;        /* (system) of the region in the object */
    uint64_t byte_size;     /* of the region */
    uint64_t device_id;     /* (cuda) */
    struct tern_str handle; /* (cuda) of the memory, as the message carries it; not in an answer */
};

/* A message of a graph of documents: what a client sent, or what a step answered. */
struct tern_document {
    struct tern_str bytes; /* TERN_TEXT_PAD more may be read */
    struct tern_str type;  /* media type; empty: none was given */
    int status;            /* of an answer, as HTTP has it */
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

    /* What decode reads: the body of the request, or one message of it, unframed. */
    struct tern_str message;

    /* From the route's captures, percent-decoded, names checked. */
    struct tern_str model; /* {model} */
    int64_t version;       /* {version}; 0: not given, the version policy decides */
    struct tern_str name;  /* {name}: of anything that is no model; as it came, unchecked */

    /* Set by the gateway when the operation is about a model: before decode when the path names it,
     * else after decode has set model and version. */
    const struct tern_model_info *info;
    const int64_t *versions; /* of that model that are served, ascending; arena */
    uint32_t n_versions;

    /* INFER; EXPLAIN: the rows to explain, and as outputs those of the model that are explained */
    struct tern_infer_request request;
    struct tern_infer_response response;

    /* EXPLAIN: what is asked, then the answer (arena). The request's parameters say the rest:
     * method, background, interactions, nsamples and seed. */
    struct tern_explain_request explain;
    const struct tern_explain_answer *explanation;

    /* GRAPH, FEEDBACK: call->message goes in, this comes out. Where call->model is empty the
     * listener's graph is meant, else the only one that is served. */
    struct tern_document document;

    /* REPOSITORY_*, MODEL_LIST: arguments, then the result */
    bool ready_only;
    bool unload_dependents;
    struct tern_params params;
    const struct tern_index_row *index; /* arena */
    uint32_t n_index;

    /* HEALTH_WATCH: of the server, or of the model that call->model names. In a stream there is an
     * answer now and one for each change. */
    enum tern_serving serving;

    /* MODEL_STATISTICS: of call->model and call->version where they are given, else of all */
    const struct tern_model_stats *stats; /* arena */
    uint32_t n_stats;
    const struct tern_schedule *schedule; /* MODEL_SCHEDULE; arena */

    /* TRACE_*, LOG_*: what to change, then what holds now. TRACE_*: call->model may be empty. */
    struct tern_settings settings;

    /* SHM_*: the argument, then SHM_STATUS's result */
    struct tern_region_row region;
    const struct tern_region_row *regions; /* arena */
    uint32_t n_regions;

    bool decoupled;    /* MODEL_CONFIG: it is, now */
    bool yes;          /* SERVER_LIVE, SERVER_READY, MODEL_READY: the answer */
    bool absent_is_no; /* MODEL_READY, set by decode: no such model is an answer, no error */
    /* METRICS: the exposition; WELCOME: the page; REFLECTION: the question; arena or static */
    struct tern_str text;

    /* Stages, monotonic ns; 0: not reached. An answer that has to leave in order is released after
     * those before it, others when they are finished. */
    uint64_t queued_ns, started_ns, finished_ns, released_ns;

    /* The gateway's and the scheduler's own. */
    struct tern_model_version *pinned;

    struct tern_err err; /* last: its text is the one part that need not start as zero */
};

/* How many messages a request and its answer have. */
enum tern_stream {
    TERN_STREAM_NONE,   /* one and one */
    TERN_STREAM_ANSWER, /* one request, any number of answers */
    TERN_STREAM_BOTH,   /* any number of either, answers as soon as they are there */
};

struct tern_framing;

struct tern_route {
    enum tern_method method;
    /* "/v2/models/{model}/versions/{version}/infer": captures begin a segment, and only {model},
     * {version} and {name} exist; "/v1/models/{model}:predict": what follows one ends its segment.
     * A GET row answers HEAD too. */
    const char *pattern;
    enum tern_op op;
    /* Reads call->message (and headers) into the call. May be NULL. Where one method both looks and
     * changes, the row has the operation that looks, and decode sets call->op to the other. */
    enum tern_code (*decode)(struct tern_call *call, struct tern_err *err);
    /* Writes status, response_type, headers, body and slices of x; does not send. In a stream: one
     * answer of it. */
    enum tern_code (*encode)(struct tern_call *call, struct tern_err *err);
    const char *help; /* one line, for doc/routes.md */
    enum tern_stream stream;
    const struct tern_framing *framing; /* NULL: the body is the message; streams need one */
    /* (streams) Writes the error of one call as one more message, as encode does. NULL, or not OK:
     * the error ends the stream. In a stream of answers to one request only an error after the
     * first answer comes here: until then the status tells. */
    enum tern_code (*encode_error_message)(struct tern_call *call, const struct tern_err *error,
                                           struct tern_err *err);
    /* (INFER, one answer) What a decoupled model's client reads: "<unary> doesn't support models
     * with decoupled transaction policy", or, where the route collects the answers, "<unary>
     * expects model to produce exactly 1 response". NULL: no name. */
    const char *unary;
    bool collects;
};

/* How messages stand in a body where the body is not simply the message: gRPC, server-sent events.
 */
struct tern_framing {
    /* Cuts the next message off x->body. OK with *ret_used > 0: *ret_message, which lies in the
     * body or in the arena. OK with *ret_used == 0: x->body must have *ret_need bytes first. May be
     * NULL: the body is the message. */
    enum tern_code (*next)(struct tern_exchange *x, struct tern_arena *arena,
                           struct tern_str *ret_message, size_t *ret_used, size_t *ret_need,
                           struct tern_err *err);
    /* Around route->encode: the first empties the body of x (tern_exchange_body) and leaves room
     * for the frame's head, the second fills it in. Slices count. May be NULL. */
    void (*begin)(struct tern_call *call);
    enum tern_code (*finish)(struct tern_call *call, struct tern_err *err);
    /* The last words after the last message: trailers, or a piece that is added to the body of x (a
     * stream that has sent its last message empties it before). err: how it ended, NULL: well.
     * head_sent: messages, or at least the head, went out before or stand in the body now. */
    void (*end)(struct tern_exchange *x, const struct tern_err *err, bool head_sent);
    /* (streams) How long the whole exchange may take, in ns from x->start_ns, by what its head
     * says. 0: it says nothing. May be NULL. */
    uint64_t (*timeout)(const struct tern_exchange *x);
};

/* A row in which the body is the message. */
#define TERN_ROUTE(method_, pattern_, op_, decode_, encode_, help_)                  \
    {                                                                                \
        .method = TERN_METHOD_##method_, .pattern = (pattern_), .op = TERN_OP_##op_, \
        .decode = (decode_), .encode = (encode_), .help = (help_)                    \
    }

struct tern_proto {
    const char *name; /* "oip" */
    const char *help;
    const struct tern_route *routes;
    uint32_t n_routes;
    /* Whether a request that no route takes is meant for this dialect, by its head alone: who
     * claims it answers the error. May be NULL: never. */
    bool (*claims)(const struct tern_exchange *x);
    /* The code of that error when no path fits, where NOT_FOUND would speak of a model; OK: it is
     * NOT_FOUND all the same. */
    enum tern_code no_route;
    /* The dialect's envelope for an error; sets status, response_type and body. */
    void (*encode_error)(struct tern_exchange *x, const struct tern_err *err);
    /* How long the body of this request is and where tensors begin in it: see struct tern_handler.
     * May be NULL. */
    void (*plan_body)(const struct tern_exchange *x, struct tern_body_plan *plan);
    bool is_grpc; /* it is spoken in gRPC's form: what is about gRPC only counts here */
};

const char *tern_op_label(enum tern_op op);
enum tern_access tern_op_access(enum tern_op op);
enum tern_family tern_op_family(enum tern_op op);
enum tern_subject tern_op_subject(enum tern_op op);

#endif
