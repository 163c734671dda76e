/* Private to gateway/: the state shared by its files. */
#ifndef TERN_GATEWAY_GATEWAY_INT_H
#define TERN_GATEWAY_GATEWAY_INT_H

#include <pthread.h>
#include "base/list.h"
#include "core/trace.h"
#include "front/dialects.h"
#include "front/router.h"
#include "gateway/gateway.h"
#include "gateway/infer_shm.h"
#include "gateway/load_report.h"
#include "gateway/observe.h"
#include "gateway/regions.h"
#include "registry/registry.h"
#include "sched/sequence.h"

/* What one loop has to itself. */
struct gateway_loop {
    TERN_ALIGNED(TERN_CACHE_LINE) const struct tern_snapshot *snapshot;
    struct tern_gateway *gateway;
    uint32_t index;
    uint64_t n_snapshots; /* that came: what was found in an older one must be looked up again */
    struct tern_router_memo memo;
    struct tern_load load;

    struct tern_list streams;    /* that are open */
    struct tern_list watches;    /* calls that want to know of changes (gateway_call.watch) */
    struct tern_list parts_free; /* kept for reuse, as the sinks are */
    struct tern_list sinks_free;
    uint32_t n_parts_free, n_sinks_free;
    size_t part_bytes; /* that the free parts keep for messages */
    /* Known from the first stream on; NULL: there is none to tell of the end. Read by any thread.
     */
    _Atomic(struct tern_loop *) loop;
    struct tern_loop_task drain;

    struct tern_list explains; /* gateway_call.explains: those that come next are first */
    uint32_t n_explains;

    /* Of graphs, from the first on that needs them. */
    struct tern_inside *inside;
    struct tern_remote *remote;
    struct tern_trace_ids random;
    bool has_random;
};

struct tern_gateway {
    struct tern_gateway_settings settings;
    struct tern_handler handler;
    struct tern_dialects *dialects;
    struct tern_registry *registry;
    struct tern_regions *regions;
    struct gateway_loop *loops;
    atomic_bool draining;
    _Atomic uint64_t timeout_ns;
    uint32_t n_cpus;
    _Atomic uint32_t log_verbose; /* as a client set it last */
};

struct walk;
struct gateway_part;
struct gateway_sink;
struct gateway_stream;

/* A call with what the gateway adds to it. The exchange's own lies in its arena, and x->user points
 * there; the calls of a stream lie in parts. */
struct gateway_call {
    struct tern_gateway *gateway;
    struct gateway_loop *loop;
    /* What the head named, as of the loop's n_snapshots; not pinned yet. */
    const struct tern_model_entry *entry;
    struct tern_model_version *version;
    uint64_t found_at;
    struct tern_work work; /* INFER, EXPLAIN */
    struct tern_infer_shm_uses shm;
    struct tern_observation observation;
    bool submitted;                /* to the scheduler, and not yet done */
    uint64_t came_ns;              /* what deadlines are counted from */
    struct gateway_stream *stream; /* the exchange's own call: what it became; NULL: no stream */
    struct gateway_part *part;     /* a call of a stream; NULL: the exchange's own */
    struct gateway_sink *sink;     /* of a run of a decoupled model */
    struct walk *walk;             /* of a graph that is on its way */
    struct tern_explain *explain;  /* that is on its way */
    struct tern_list explains;     /* in loop->explains */
    bool explained;                /* it is done */
    struct tern_list watch;        /* in loop->watches; next == NULL: it never was */
    struct tern_call call;         /* last: its error text need not be zeroed */
};

/* Runs the operation. Answers OK with *ret_pending false when the result is in the call, true when
 * gateway_finish will be called later on the same loop. */
enum tern_code gateway_run_op(struct gateway_call *gc, bool *ret_pending, struct tern_err *err);
/* The infer operation alone (gateway/infer.c). */
enum tern_code gateway_run_infer(struct gateway_call *gc, bool *ret_pending, struct tern_err *err);
/* Parameters of an infer request with a meaning of their own, and headers that become parameters,
 * for every dialect (gateway/params.c). */
enum tern_code gateway_take_params(struct gateway_call *gc, struct tern_err *err);
/* After a run, or for each answer of a decoupled model: what the client asked for beyond what the
 * engine gives, classes and regions of shared memory. Fails with the call's error text. */
enum tern_code gateway_finish_outputs(struct gateway_call *gc);
/* What a caller hears of a model, or a version of it, that is not served. */
enum tern_code gateway_fail_no_version(const struct tern_snapshot *snapshot, struct tern_str model,
                                       int64_t version, struct tern_err *err);
/* Statistics of models (gateway/statistics.c), settings (gateway/settings.c). */
enum tern_code gateway_run_statistics(struct gateway_call *gc, bool *ret_pending,
                                      struct tern_err *err);
enum tern_code gateway_run_trace(struct gateway_call *gc, bool *ret_pending, struct tern_err *err);
enum tern_code gateway_run_log(struct gateway_call *gc, bool *ret_pending, struct tern_err *err);
/* What the head of an inference says before its body is read (gateway/door.c): its deadline, to
 * call.request, and whether it has a chance. A version that refuses is pinned: it counts that. */
enum tern_code gateway_enter(struct gateway_call *gc, struct tern_err *err);
/* When the answer has to be there: a client may shorten the server's timeout, not lengthen it. */
uint64_t gateway_deadline(const struct gateway_call *gc);
/* The dialect's error, and when trying again may help. */
void gateway_encode_error(const struct tern_proto *proto, struct tern_exchange *x,
                          const struct tern_err *err);
/* Encodes the result, or the error when code != OK, sends it and forgets the call. */
void gateway_finish(struct gateway_call *gc, enum tern_code code);
/* A fresh call for what was routed; the error text stays uninitialised. */
void gateway_init_call(struct gateway_call *gc, struct gateway_loop *loop,
                       const struct tern_proto *proto, const struct tern_route *route,
                       struct tern_exchange *x, struct tern_arena *arena);
/* The one message that the body is, to call->message. */
enum tern_code gateway_unframe(struct tern_call *call, struct tern_err *err);
/* Pins the model, decodes call->message and runs the operation. */
enum tern_code gateway_start(struct gateway_call *gc, bool *ret_pending);
/* Asks for an early end of what is pending; gateway_finish still comes, once, maybe from within. */
void gateway_cancel(struct gateway_call *gc);

/* ---- gateway/stream.c: exchanges with more than one message ---- */

/* Makes a stream of the exchange; it ends by itself. */
enum tern_code gateway_stream_open(struct gateway_call *own, struct tern_err *err);
/* The body came, all of it or (a stream of requests) more of it. */
void gateway_stream_read(struct gateway_call *own);
/* The mux refused the rest of the request, or the client left. */
void gateway_stream_fail(struct gateway_call *own, const struct tern_err *err);
void gateway_stream_gone(struct gateway_call *own);
/* A call of it is done. */
void gateway_stream_finish(struct gateway_call *gc, enum tern_code code);
/* An answer of a call that stays open: what it holds when there is room to send it. */
void gateway_emit(struct gateway_call *gc);
/* The server ends: what waits for nothing but its client is ended. */
void gateway_stream_drain(struct gateway_loop *loop);

/* ---- gateway/sink.c: the answers of decoupled models ---- */

/* Of one run on their way to the client; a run that has more waits for room. */
#define GATEWAY_SINK_ANSWERS 8
#define GATEWAY_SINK_BYTES   (4u << 20) /* with so many, no further answer is begun */

/* One answer, from the thread of the run to the loop and back. */
struct gateway_answer {
    struct tern_list link; /* sink->room, or where the loop keeps what it cannot send yet */
    struct tern_loop_task task;
    struct gateway_sink *sink;
    struct tern_arena arena;
    struct tern_tensor *outputs; /* arena */
    uint32_t n_outputs;
    size_t bytes; /* of the outputs, while sink->bytes counts them */
};

struct gateway_sink {
    struct tern_engine_sink base;
    struct tern_list link; /* loop->sinks_free */
    struct gateway_loop *loop;
    struct gateway_call *gc;
    pthread_mutex_t lock;
    pthread_cond_t room_came;
    struct tern_list room;        /* answers to be filled; guarded by lock */
    size_t bytes;                 /* of those on their way; guarded by lock */
    bool stopped;                 /* guarded by lock */
    bool wants_room;              /* somebody on the loop was sent away; the loop's */
    struct gateway_answer *first; /* the one that an exchange with one answer has */
    uint32_t n_answers;           /* that came, on the loop */
    struct gateway_answer answers[GATEWAY_SINK_ANSWERS];
};

/* For a run of this call, to gc->sink. */
enum tern_code gateway_sink_take(struct gateway_call *gc, struct tern_err *err);
/* The run is over and all its answers came. An exchange with one answer does so when it is freed:
 * what it sends may lie in that answer. */
void gateway_sink_give(struct gateway_sink *sink);
/* On the loop: the answer is not needed any more. */
void gateway_answer_free(struct gateway_answer *answer);
/* On the loop: a decoupled model's call that has one answer is over; checks that it has it. */
enum tern_code gateway_sink_collect(struct gateway_call *gc, enum tern_code code,
                                    struct tern_err *err);
/* On the loop: an answer for a call of a stream (gateway/stream.c). */
void gateway_stream_answer(struct gateway_call *gc, struct gateway_answer *answer);
void gateway_sink_fini(struct gateway_loop *loop);

/* ---- gateway/walk.c: graphs of documents ---- */

enum tern_code gateway_run_graph(struct gateway_call *gc, bool *ret_pending, struct tern_err *err);
/* The graph that is meant where none is named, to call->model. */
enum tern_code gateway_name_graph(struct gateway_call *gc, struct tern_err *err);
void gateway_walk_cancel(struct gateway_call *gc);
void gateway_walk_stop(struct gateway_loop *loop);
void gateway_walk_fini(struct gateway_loop *loop);

/* ---- gateway/explain.c ---- */

enum tern_code gateway_run_explain(struct gateway_call *gc, bool *ret_pending,
                                   struct tern_err *err);
void gateway_explain_cancel(struct gateway_call *gc);

/* ---- gateway/watch.c ---- */

enum tern_code gateway_run_watch(struct gateway_call *gc, bool *ret_pending, struct tern_err *err);
/* What can be served has changed on this loop. */
void gateway_watch_look(struct gateway_loop *loop);
/* The server ends: so do those who watch it. */
void gateway_watch_end(struct gateway_loop *loop);
/* Takes the call off the list; false when it was on none. */
bool gateway_unwatch(struct gateway_call *gc);

#endif
