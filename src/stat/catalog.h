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

/* How a request ended, seen from its connection: each that came ends in exactly one of these. The
 * first is what one is that nothing else is known of. X(NAME, label) */
#define TERN_ENDINGS(X)                                                            \
    X(UNFINISHED, "unfinished") /* the client left, or broke off, in the middle */ \
    X(OK, "ok")                                                                    \
    X(INVALID, "invalid")     /* the client's mistake */                           \
    X(REFUSED, "refused")     /* overload, draining: before it was taken in */     \
    X(SHED, "shed")           /* the same, after */                                \
    X(EXPIRED, "expired")     /* its deadline passed first */                      \
    X(CANCELLED, "cancelled") /* the client left while it waited or ran */         \
    X(FAILED, "failed")       /* the engine or the server */                       \
    X(LOST, "lost")           /* the connection, while the answer was written */

enum tern_ending {
#define X(name, label) TERN_ENDING_##name,
    TERN_ENDINGS(X)
#undef X
        TERN_ENDING_COUNT
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

/* What a question to Redis came to. */
#define TERN_REDIS_RESULTS(X) \
    X(FOUND, "found")         \
    X(ABSENT, "absent")       \
    X(FAILED, "failed") /* no answer, or too late */

enum tern_redis_result {
#define X(name, label) TERN_REDIS_##name,
    TERN_REDIS_RESULTS(X)
#undef X
        TERN_REDIS_RESULT_COUNT
};

/* Why a request to a model failed, in Triton's words. X(NAME, label) */
#define TERN_FAILURES(X)                                      \
    X(REJECTED, "REJECTED") /* by a full queue, a deadline */ \
    X(CANCELED, "CANCELED")                                   \
    X(BACKEND, "BACKEND") /* the engine or the server */      \
    X(OTHER, "OTHER")     /* the client's mistake */

enum tern_failure {
#define X(name, label) TERN_FAILURE_##name,
    TERN_FAILURES(X)
#undef X
        TERN_FAILURE_COUNT
};

/* How many different batch sizes of one model version are told apart; runs of any further one count
 * in the sums alone. A power of two. */
#define TERN_BATCH_SIZES_MAX 32

/* One batch size's runs: `size` is 0 until it is taken. Sizes hash to their low bits. */
struct tern_batch_cells {
    struct tern_counter size;
    struct tern_counter count;
    struct tern_counter input_ns, infer_ns, output_ns;
};

/* Labels: op. */
struct tern_op_cells {
    struct tern_counter requests[TERN_CODE_COUNT]; /* by enum tern_code */
    struct tern_latency duration;                  /* first byte in to last byte handed out */
};

/* Labels: model, version. */
struct tern_model_cells {
    struct tern_counter requests[TERN_OUTCOME_COUNT];
    struct tern_counter failures[TERN_FAILURE_COUNT]; /* the same that are not OK */
    struct tern_latency stage[TERN_STAGE_COUNT];
    struct tern_latency answered;    /* OK: whole request to encoded answer */
    struct tern_counter failed_ns;   /* the same of what failed, summed */
    struct tern_counter last_ns;     /* monotonic: the last OK answer; the largest shard counts */
    struct tern_counter inferences;  /* rows */
    struct tern_counter executions;  /* runs of the engine: inferences / executions = mean batch */
    struct tern_counter queue_depth; /* gauge: set from the scheduler's lane at scrape */
    struct tern_counter ready;       /* gauge: 0 or 1, set through the shared cells */
    struct tern_counter load_ns;     /* gauge: how long the last load took, shared cells */
    struct tern_batch_cells batch[TERN_BATCH_SIZES_MAX];
    /* Of models whose answers are remembered: answers that were known or came from another
     * request's run, and those that were computed; the time is the cache's own. */
    struct tern_counter cache_hits, cache_misses;
    struct tern_counter cache_shared; /* of the hits: waited for another request's run */
    struct tern_latency cache_hit, cache_miss;
};

/* How an answer of a decoupled model ended. */
enum tern_answer {
    TERN_ANSWER_SUCCESS,
    TERN_ANSWER_FAIL,
    TERN_ANSWER_EMPTY, /* the end alone, without tensors */
    TERN_ANSWER_CANCEL,
    TERN_ANSWER_KINDS,
};

/* The n-th answers of requests to a decoupled model; further ones are not told apart. */
#define TERN_ANSWERS_MAX 16

struct tern_answer_cells {
    struct tern_counter count[TERN_ANSWER_KINDS];
    struct tern_counter ns[TERN_ANSWER_KINDS]; /* since the answer before, or the request */
    struct tern_counter infer_ns, output_ns;   /* of SUCCESS: to its tensors; those to bytes */
};

/* Labels: model, version. Decoupled models only. */
struct tern_answers_cells {
    struct tern_latency first; /* from the request to its first answer */
    struct tern_answer_cells nth[TERN_ANSWERS_MAX];
};

/* No labels. */
struct tern_server_cells {
    struct tern_counter connections_open; /* gauge */
    struct tern_counter connections_accepted;
    struct tern_counter connections_refused[TERN_REFUSAL_COUNT];
    struct tern_counter requests_in_flight; /* gauge: add at the head, sub at the last byte */
    struct tern_counter requests_came;      /* the ledger: as many end as came */
    struct tern_counter requests_ended[TERN_ENDING_COUNT];
    struct tern_counter cache_bytes, cache_entries; /* gauges */
    struct tern_counter cache_evicted;
    struct tern_counter memory_used; /* gauge: the account of what requests take */
    struct tern_counter memory_max;  /* gauge */
    struct tern_counter memory_refusals;
    struct tern_counter redis_up; /* gauge: 0 or 1 */
    struct tern_counter redis_asked[TERN_REDIS_RESULT_COUNT];
    struct tern_counter redis_puts, redis_dropped;
    struct tern_counter bytes_received; /* as read from the sockets */
    struct tern_counter bytes_sent;
    struct tern_counter log_dropped;    /* gauge in truth: set from the log sink at scrape */
    struct tern_counter traces_written; /* the same from the tracer */
    struct tern_counter traces_dropped;
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
    struct tern_counter machine_busy; /* billionths of the machine's time since the last scrape */
    struct tern_counter machine_memory_bytes;
    struct tern_counter machine_memory_used_bytes;
    struct tern_counter machine_busy_ticks; /* as of the last scrape, for machine_busy */
    struct tern_counter machine_ticks;
    struct tern_counter pinned_bytes; /* no accelerator's memory is pinned here: always 0 */
};

/* Labels: version, compiler, platform. */
struct tern_build_cells {
    struct tern_counter info; /* always 1 */
};

extern const struct tern_metric_group tern_catalog_server;
extern const struct tern_metric_group tern_catalog_op;
extern const struct tern_metric_group tern_catalog_model;
extern const struct tern_metric_group tern_catalog_answers;
extern const struct tern_metric_group tern_catalog_process;
extern const struct tern_metric_group tern_catalog_build;

#define TERN_CATALOG_GROUPS 6
/* All of them, in the order of the page. */
extern const struct tern_metric_group *const tern_catalog_groups[TERN_CATALOG_GROUPS];

enum tern_outcome tern_outcome_of(enum tern_code code);
/* code != OK */
enum tern_failure tern_failure_of(enum tern_code code);
/* One run of `size` rows, on the loop of these cells. */
void tern_batch_count(struct tern_batch_cells cells[TERN_BATCH_SIZES_MAX], uint64_t size,
                      uint64_t input_ns, uint64_t infer_ns, uint64_t output_ns);
/* entered: it was taken in, after the checks of its head. http_status: of the answer. */
enum tern_ending tern_ending_of(enum tern_code code, int http_status, bool entered);

#endif
