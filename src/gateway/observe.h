/* What is remembered of every request: metrics, the access log, trace and request ids. Recording
 * touches only the loop's own cells; ids are drawn and formatted only when somebody will see them.
 */
#ifndef TERN_GATEWAY_OBSERVE_H
#define TERN_GATEWAY_OBSERVE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "core/proto.h"
#include "core/trace.h"
#include "registry/snapshot.h"
#include "stat/catalog.h"
#include "trace/family.h"
#include "trace/tracer.h"

struct tern_observer;
struct tern_logsink;
struct tern_work;

struct tern_observer_settings {
    struct tern_metrics *metrics;
    struct tern_log *log;
    const struct tern_logsink *logsink; /* for its count of lost lines; may be NULL */
    bool access_log;
    struct tern_sampler *sampler; /* which requests are traced; NULL: none */
    struct tern_tracer *tracer;   /* where traces go; NULL: nowhere */
    uint32_t n_loops;
    /* (optional) Before a scrape: fills the numbers that the network counts for itself. */
    void (*collect)(void *arg, struct tern_server_cells *cells);
    void *collect_arg;
};

/* A request's part in a run of the engine. */
struct tern_run_share {
    uint64_t rows;       /* its own */
    uint64_t batch_rows; /* of the whole run */
    bool leads;          /* it counts the run, for all that were in it */
};

/* One request's part; embedded in the gateway's call. */
struct tern_observation {
    struct tern_str request_id; /* the client's when it sent a fit one, or drawn; may be empty */
    struct tern_trace trace;
    bool traced;        /* trace is filled */
    bool trace_decided; /* whether it goes where traces go; `place` says so where others run
                           inside of it, or it runs inside of another */
    struct tern_trace_place place;
    bool entered;              /* it counts as in flight */
    struct tern_run_share run; /* INFER */
    /* INFER, of a model whose answers are remembered: as in struct tern_work. */
    uint64_t cache_ns;
    bool from_cache, cache_shared;
    /* INFER, decoupled: answers so far, and when the last of them was encoded. */
    uint32_t answers;
    uint64_t answered_ns;
    /* Of a stream: what does not stand in its exchange any more. */
    uint64_t bytes_in, bytes_out;
};

enum tern_code tern_observer_new(const struct tern_observer_settings *settings,
                                 struct tern_observer **ret_observer, struct tern_err *err);
void tern_observer_free(struct tern_observer *observer);

/* Turns the access log on or off, for requests that end from now on. Any thread. */
void tern_observer_set_access_log(struct tern_observer *observer, bool on);

/* On the loop of x: reads X-Request-Id and traceparent, adds the response headers that answer them.
 */
void tern_observer_begin(struct tern_observer *observer, struct tern_exchange *x,
                         struct tern_observation *observation);
/* A request of a stream: it belongs to the trace that the stream's head told of. */
void tern_observer_join(struct tern_observer *observer, const struct tern_exchange *x,
                        const struct tern_observation *stream,
                        struct tern_observation *observation);
/* On the loop, when the request was read: it is in flight until tern_observer_end. */
void tern_observer_enter(struct tern_observer *observer, const struct tern_exchange *x,
                         struct tern_observation *observation);
/* On the loop, when the answer is encoded and before it is sent. call may be NULL: a request that
 * reached no operation. code and text: how it ended. */
void tern_observer_end(struct tern_observer *observer, struct tern_exchange *x,
                       const struct tern_call *call, const struct tern_observation *observation,
                       enum tern_code code, const struct tern_err *err);

/* On the loop, when a call of a stream has answered: the model's part of tern_observer_end. The
 * request was complete at came_ns. */
void tern_observer_count(struct tern_observer *observer, const struct tern_call *call,
                         const struct tern_observation *observation, uint64_t came_ns,
                         enum tern_code code);

/* On the loop, once the model is known: decides, unless it was decided, whether the request is
 * traced. What runs inside of it, at observation->place, belongs to its trace. */
void tern_observer_trace(struct tern_observer *observer, const struct tern_call *call,
                         struct tern_observation *observation);
/* On the loop, when a step of an ensemble is done: it counts for its model as a request does. */
void tern_observer_step(const struct tern_work *work);
/* What is to be counted of a work that is done. */
struct tern_run_share tern_observer_share(const struct tern_work *work);

/* On that loop, when the answer that tern_observer_end was about is on its way. */
void tern_observer_sent(struct tern_observer *observer, uint32_t loop);

/* On the loop: an answer of a decoupled model to a request that came at came_ns was ready to be
 * encoded at ready_ns and now is, or could not be. */
void tern_observer_answer(const struct tern_call *call, struct tern_observation *observation,
                          uint64_t came_ns, uint64_t ready_ns, enum tern_answer kind);

/* A model version's cells: from load to unload. Any thread. */
enum tern_code tern_observer_add_model(struct tern_observer *observer,
                                       struct tern_model_version *version, struct tern_err *err);
void tern_observer_remove_model(struct tern_observer *observer, struct tern_model_version *version);

/* Before a scrape, on the snapshot's loop: how many requests wait for each model. */
void tern_observer_note_queues(const struct tern_snapshot *snapshot);
struct tern_sampler *tern_observer_sampler(const struct tern_observer *observer);
struct tern_log *tern_observer_log(const struct tern_observer *observer);
/* The text exposition, fresh process numbers included. Any one thread at a time per buf. */
enum tern_code tern_observer_write_metrics(struct tern_observer *observer, struct tern_buf *buf,
                                           struct tern_err *err);

#endif
