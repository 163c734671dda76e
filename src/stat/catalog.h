/* The metrics that Tern has: groups of rows and their structs of cells. One place to read them all;
 * doc/metrics.md is generated from here.
 *
 * How a server uses it:
 *   - main makes the metrics (tern_catalog_groups) with one shard a loop;
 *   - each of the SERVER, PROCESS and BUILD groups has one set, OP one a gateway operation, MODEL
 *     one a model version;
 *   - a loop fetches its own cells once and records into them. */
#ifndef TERN_STAT_CATALOG_H
#define TERN_STAT_CATALOG_H

#include "base/err.h"
#include "stat/metrics.h"

/* How a request to a model ended. X(NAME, label) */
#define TERN_OUTCOMES(X)                                           \
    X(OK, "ok")                                                    \
    X(INVALID, "invalid")     /* the client's mistake */           \
    X(REJECTED, "rejected")   /* queue full, overload, draining */ \
    X(EXPIRED, "expired")     /* its deadline passed first */      \
    X(CANCELLED, "cancelled") /* the client went away */           \
    X(FAILED, "failed")       /* the engine or the server */

enum tern_outcome {
#define X(name, label) TERN_OUTCOME_##name,
    TERN_OUTCOMES(X)
#undef X
        TERN_OUTCOME_COUNT
};

/* Where the time of a request goes. */
#define TERN_STAGES(X)                                                         \
    X(RECEIVE, "receive") /* first byte of the head to the last of the body */ \
    X(DECODE, "decode")   /* bytes to tensors */                               \
    X(QUEUE, "queue")     /* waiting for an instance or a batch */             \
    X(INFER, "infer")     /* inside the engine */                              \
    X(ENCODE, "encode")   /* tensors to bytes */

enum tern_stage {
#define X(name, label) TERN_STAGE_##name,
    TERN_STAGES(X)
#undef X
        TERN_STAGE_COUNT
};

/* Why a connection was closed instead of served. */
#define TERN_REFUSALS(X)                                   \
    X(LIMIT, "limit")       /* connections.max reached */  \
    X(FDS, "fds")           /* out of file descriptors */  \
    X(MEMORY, "memory")     /* out of memory */            \
    X(TLS, "tls")           /* the handshake failed */     \
    X(TIMEOUT, "timeout")   /* no whole request in time */ \
    X(PROTOCOL, "protocol") /* neither HTTP/1.1 nor HTTP/2 */

enum tern_refusal {
#define X(name, label) TERN_REFUSAL_##name,
    TERN_REFUSALS(X)
#undef X
        TERN_REFUSAL_COUNT
};

/* Labels: op. */
struct tern_op_cells {
    struct tern_counter requests[TERN_CODE_COUNT]; /* by enum tern_code */
    struct tern_latency duration;                  /* first byte in to last byte handed out */
};

/* Labels: model, version. */
struct tern_model_cells {
    struct tern_counter requests[TERN_OUTCOME_COUNT];
    struct tern_latency stage[TERN_STAGE_COUNT];
    struct tern_counter inferences;  /* rows */
    struct tern_counter executions;  /* runs of the engine: inferences / executions = mean batch */
    struct tern_counter queue_depth; /* gauge: add when queued, sub when taken */
    struct tern_counter ready;       /* gauge: 0 or 1, set through the shared cells */
    struct tern_counter load_ns;     /* gauge: how long the last load took, shared cells */
};

/* No labels. */
struct tern_server_cells {
    struct tern_counter connections_open; /* gauge */
    struct tern_counter connections_accepted;
    struct tern_counter connections_refused[TERN_REFUSAL_COUNT];
    struct tern_counter requests_in_flight; /* gauge: add at the head, sub at the last byte */
    struct tern_counter bytes_received;     /* as read from the sockets */
    struct tern_counter bytes_sent;
    struct tern_counter log_dropped; /* gauge in truth: set from the log sink at scrape */
};

/* No labels; core/vitals.h fills them before each scrape, through the shared cells. */
struct tern_process_cells {
    struct tern_counter cpu_ns;
    struct tern_counter open_fds;
    struct tern_counter max_fds;
    struct tern_counter resident_bytes;
    struct tern_counter virtual_bytes;
    struct tern_counter start_ns; /* since 1970 */
    struct tern_counter threads;
};

/* Labels: version, compiler, platform. */
struct tern_build_cells {
    struct tern_counter info; /* always 1 */
};

extern const struct tern_metric_group tern_catalog_server;
extern const struct tern_metric_group tern_catalog_op;
extern const struct tern_metric_group tern_catalog_model;
extern const struct tern_metric_group tern_catalog_process;
extern const struct tern_metric_group tern_catalog_build;

#define TERN_CATALOG_GROUPS 5
/* All of them, in the order of the page. */
extern const struct tern_metric_group *const tern_catalog_groups[TERN_CATALOG_GROUPS];

enum tern_outcome tern_outcome_of(enum tern_code code);
const char *tern_outcome_label(enum tern_outcome outcome);
const char *tern_stage_label(enum tern_stage stage);

#endif
