#include "gateway/observe.h"

#include <stdio.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/version.h"
#include "core/access.h"
#include "core/vitals.h"
#include "gateway/tracing.h"
#include "os/logsink.h"
#include "os/loop.h"
#include "sched/sched.h"

#define OPS (TERN_OP_COUNT + 1) /* the last one: requests that reached no operation */

struct observer_loop {
    TERN_ALIGNED(TERN_CACHE_LINE) struct tern_trace_ids ids;
    struct tern_trace_record *sending; /* of the request whose answer is being sent; or NULL */
    struct tern_op_cells *ops[OPS];
};

struct tern_observer {
    struct tern_observer_settings settings;
    const atomic_bool *traces; /* whether any request may be traced */
    atomic_bool access_log;
    struct tern_metric_set *op_sets[OPS];
    struct tern_metric_set *server_set;
    struct tern_metric_set *process_set;
    struct tern_metric_set *build_set;
    struct observer_loop *loops;
};

/* ---- life ---- */

static struct tern_str op_name(unsigned op)
{
    return op == TERN_OP_COUNT ? TERN_STR("none") : tern_str_of(tern_op_label((enum tern_op)op));
}

static enum tern_code get_sets(struct tern_observer *observer, struct tern_err *err)
{
    struct tern_metrics *metrics = observer->settings.metrics;
    const struct tern_str build[] = {TERN_STR(TERN_VERSION), TERN_STR(__VERSION__),
                                     TERN_STR(TERN_PLATFORM)};

    for (unsigned op = 0; op < OPS; op++) {
        struct tern_str label = op_name(op);
        TERN_TRY(tern_metrics_get(metrics, &tern_catalog_op, &label, &observer->op_sets[op], err));
    }
    TERN_TRY(tern_metrics_get(metrics, &tern_catalog_server, NULL, &observer->server_set, err));
    TERN_TRY(tern_metrics_get(metrics, &tern_catalog_process, NULL, &observer->process_set, err));
    TERN_TRY(tern_metrics_get(metrics, &tern_catalog_build, build, &observer->build_set, err));
    struct tern_build_cells *cells = tern_metric_set_shared(observer->build_set);
    tern_counter_set_shared(&cells->info, 1);
    return TERN_OK;
}

static enum tern_code init_loops(struct tern_observer *observer, struct tern_err *err)
{
    for (uint32_t i = 0; i < observer->settings.n_loops; i++) {
        struct observer_loop *loop = &observer->loops[i];
        TERN_TRY(tern_trace_ids_init(&loop->ids, err));
        loop->sending = NULL;
        for (unsigned op = 0; op < OPS; op++)
            loop->ops[op] = tern_metric_set_cells(observer->op_sets[op], i);
    }
    return TERN_OK;
}

enum tern_code tern_observer_new(const struct tern_observer_settings *settings,
                                 struct tern_observer **ret_observer, struct tern_err *err)
{
    struct tern_observer *observer = tern_mem_zalloc(1, sizeof(*observer));
    size_t size = settings->n_loops * sizeof(struct observer_loop);

    if (observer == NULL)
        return tern_mem_fail(err, "the observer", sizeof(*observer));
    static const atomic_bool never = false;

    observer->settings = *settings;
    observer->traces = settings->tracer == NULL ? &never : tern_sampler_armed(settings->sampler);
    observer->access_log = settings->access_log;
    observer->loops = tern_mem_alloc_aligned(TERN_CACHE_LINE, size);
    if (observer->loops == NULL) {
        tern_observer_free(observer);
        return tern_mem_fail(err, "the observer", size);
    }
    enum tern_code code = get_sets(observer, err);
    if (code == TERN_OK)
        code = init_loops(observer, err);
    if (code != TERN_OK) {
        tern_observer_free(observer);
        return code;
    }
    *ret_observer = observer;
    return TERN_OK;
}

void tern_observer_free(struct tern_observer *observer)
{
    if (observer == NULL)
        return;
    /* The sets belong to the metrics, which outlive the observer. */
    tern_mem_free(observer->loops);
    tern_mem_free(observer);
}

void tern_observer_set_access_log(struct tern_observer *observer, bool on)
{
    observer->access_log = on;
}

/* ---- a request ---- */

void tern_observer_begin(struct tern_observer *observer, struct tern_exchange *x,
                         struct tern_observation *observation)
{
    struct observer_loop *loop = &observer->loops[tern_loop_index(x->loop)];
    struct tern_str id = tern_exchange_header(x, TERN_STR("x-request-id"));
    struct tern_str parent = tern_exchange_header(x, TERN_STR("traceparent"));

    if (id.n > 0 && tern_trace_request_id_is_ok(id)) {
        observation->request_id = id;
    } else if (observer->access_log) {
        char *drawn = tern_arena_alloc(x->arena, 1, TERN_REQUEST_ID_LEN + 1);
        if (drawn != NULL) {
            tern_trace_request_id(&loop->ids, drawn);
            observation->request_id = tern_str_make(drawn, TERN_REQUEST_ID_LEN);
        }
    }
    if (observation->request_id.n > 0)
        tern_exchange_add_header(x, TERN_STR("x-request-id"), observation->request_id);
    if (x->within != NULL) {
        observation->trace_decided = true;
        observation->place = *x->within;
    }
    if (parent.n == 0)
        return;
    tern_trace_begin(&observation->trace, parent, &loop->ids);
    observation->traced = true;
    char *ours = tern_arena_alloc(x->arena, 1, TERN_TRACE_PARENT_LEN + 1);
    if (ours == NULL)
        return;
    tern_trace_format(&observation->trace, ours);
    tern_exchange_add_header(x, TERN_STR("traceparent"),
                             tern_str_make(ours, TERN_TRACE_PARENT_LEN));
    struct tern_str state = tern_exchange_header(x, TERN_STR("tracestate"));
    if (state.n > 0 && tern_trace_state_is_ok(state))
        tern_exchange_add_header(x, TERN_STR("tracestate"), state);
}

void tern_observer_join(struct tern_observer *observer, const struct tern_exchange *x,
                        const struct tern_observation *stream, struct tern_observation *observation)
{
    struct tern_trace_ids *ids = &observer->loops[tern_loop_index(x->loop)].ids;

    observation->request_id = stream->request_id;
    observation->trace_decided = stream->trace_decided;
    observation->place = tern_trace_place_in(&stream->place);
    if (!stream->traced)
        return;
    observation->traced = true;
    observation->trace = stream->trace;
    tern_trace_new_span(&observation->trace, ids);
}

static struct tern_server_cells *server_cells(struct tern_observer *observer,
                                              const struct tern_exchange *x)
{
    return tern_metric_set_cells(observer->server_set, tern_loop_index(x->loop));
}

void tern_observer_enter(struct tern_observer *observer, const struct tern_exchange *x,
                         struct tern_observation *observation)
{
    observation->entered = true;
    tern_counter_add(&server_cells(observer, x)->requests_in_flight, 1);
}

/* took_ns: 0: no cache was asked. */
static void count_cache(struct tern_model_cells *cells, uint64_t took_ns, bool knew, bool shared)
{
    if (took_ns == 0)
        return;
    tern_counter_add(knew ? &cells->cache_hits : &cells->cache_misses, 1);
    tern_latency_record(knew ? &cells->cache_hit : &cells->cache_miss, took_ns);
    if (shared)
        tern_counter_add(&cells->cache_shared, 1);
}

/* An engine ran, for this request and perhaps for others; one of them counts the run. */
static void count_run(struct tern_model_cells *cells, const struct tern_run_share *share,
                      uint64_t decode_ns, uint64_t infer_ns, uint64_t encode_ns)
{
    tern_counter_add(&cells->inferences, share->rows);
    tern_latency_record(&cells->stage[TERN_STAGE_INFER], infer_ns);
    if (!share->leads)
        return;
    tern_counter_add(&cells->executions, 1);
    tern_batch_count(cells->batch, share->batch_rows, decode_ns, infer_ns, encode_ns);
}

/* Why is the step's to say; of the ensemble, Triton does not. */
static enum tern_failure failure_of(const struct tern_model_version *version, enum tern_code code)
{
    return version->ensembling != NULL ? TERN_FAILURE_OTHER : tern_failure_of(code);
}

/* start_ns: the request began to come; body_ns: it was complete. */
static void count_model(const struct tern_call *call, const struct tern_observation *observation,
                        enum tern_code code, uint64_t start_ns, uint64_t body_ns, uint64_t now)
{
    if (call->op != TERN_OP_INFER || call->pinned == NULL || call->pinned->stat == NULL)
        return;
    struct tern_model_cells *cells =
        tern_metric_set_cells(call->pinned->stat, tern_loop_index(call->x->loop));
    tern_counter_add(&cells->requests[tern_outcome_of(code)], 1);
    if (code != TERN_OK) {
        tern_counter_add(&cells->failures[failure_of(call->pinned, code)], 1);
        tern_counter_add(&cells->failed_ns, body_ns > 0 ? now - body_ns : 0);
        return;
    }
    count_cache(cells, observation->cache_ns, observation->from_cache, observation->cache_shared);
    tern_latency_record(&cells->answered, now - body_ns);
    tern_latency_record(&cells->stage[TERN_STAGE_RECEIVE], body_ns - start_ns);
    tern_latency_record(&cells->stage[TERN_STAGE_QUEUE], call->started_ns - call->queued_ns);
    atomic_store_explicit(&cells->last_ns.value, now, memory_order_relaxed);
    if (observation->from_cache)
        return; /* nothing was computed */
    uint64_t decode_ns = call->queued_ns - body_ns;
    uint64_t encode_ns = now - call->finished_ns;
    tern_latency_record(&cells->stage[TERN_STAGE_DECODE], decode_ns);
    tern_latency_record(&cells->stage[TERN_STAGE_ENCODE], encode_ns);
    count_run(cells, &observation->run, decode_ns, call->finished_ns - call->started_ns, encode_ns);
}

void tern_observer_step(const struct tern_work *work)
{
    if (TERN_UNLIKELY(work->place.family != NULL))
        tern_tracing_step(work);
    if (work->version->stat == NULL)
        return;
    struct tern_model_cells *cells =
        tern_metric_set_cells(work->version->stat, tern_loop_index(work->loop));
    tern_counter_add(&cells->requests[tern_outcome_of(work->code)], 1);
    if (work->code != TERN_OK) {
        tern_counter_add(&cells->failures[failure_of(work->version, work->code)], 1);
        return;
    }
    count_cache(cells, work->cache_ns, work->from_cache, work->cache_shared);
    tern_latency_record(&cells->answered, work->finished_ns - work->queued_ns);
    tern_latency_record(&cells->stage[TERN_STAGE_QUEUE], work->started_ns - work->queued_ns);
    atomic_store_explicit(&cells->last_ns.value, work->finished_ns, memory_order_relaxed);
    if (work->from_cache)
        return;
    const struct tern_run_share share = tern_observer_share(work);
    count_run(cells, &share, 0, work->finished_ns - work->started_ns, 0);
}

struct tern_run_share tern_observer_share(const struct tern_work *work)
{
    /* An ensemble is a run of its own. */
    bool is_graph = work->version->ensembling != NULL;

    return (struct tern_run_share){
        .rows = work->rows,
        .batch_rows = is_graph ? work->rows : work->batch_rows,
        .leads = is_graph || work->leads_batch,
    };
}

static uint64_t body_bytes(const struct tern_exchange *x)
{
    return tern_exchange_body_str(x).n + tern_exchange_slices_size(x);
}

static void log_access(struct tern_observer *observer, const struct tern_exchange *x,
                       const struct tern_call *call, const struct tern_observation *observation,
                       enum tern_code code, const struct tern_err *err, uint64_t duration_ns)
{
    char trace_id[33] = "";

    if (observation->traced)
        tern_trace_format_id(&observation->trace, trace_id);
    const struct tern_access_line line = {
        .peer = x->peer,
        .method = x->method_text,
        .path = x->path,
        .status = x->status,
        .bytes_in = observation->bytes_in + x->body.n,
        .bytes_out = observation->bytes_out + body_bytes(x),
        .duration_ns = duration_ns,
        .op = op_name(call == NULL ? TERN_OP_COUNT : (unsigned)call->op),
        .model = call == NULL ? tern_str_make(NULL, 0) : call->model,
        .version = call == NULL || call->info == NULL ? 0 : call->info->version,
        .request_id = observation->request_id,
        .trace_id = tern_str_of(trace_id),
        .error = code == TERN_OK || err == NULL ? tern_str_make(NULL, 0) : tern_str_of(err->text),
    };
    tern_access_log(observer->settings.log, &line);
}

/* ---- traces ---- */

static void push_sent(struct tern_observer *observer, struct observer_loop *loop)
{
    struct tern_trace_record *record = loop->sending;

    loop->sending = NULL;
    record->at[TERN_TRACE_AT_SEND_END] = tern_clock_mono_ns();
    tern_tracer_push(observer->settings.tracer, record);
}

void tern_observer_sent(struct tern_observer *observer, uint32_t loop)
{
    if (TERN_UNLIKELY(observer->loops[loop].sending != NULL))
        push_sent(observer, &observer->loops[loop]);
}

static struct tern_tracing tracing_of(struct tern_observer *observer, struct observer_loop *loop)
{
    return (struct tern_tracing){observer->settings.sampler, observer->settings.tracer, &loop->ids};
}

void tern_observer_trace(struct tern_observer *observer, const struct tern_call *call,
                         struct tern_observation *observation)
{
    if (TERN_LIKELY(!tern_sampler_is_armed(observer->traces)))
        return;
    const struct tern_tracing tracing =
        tracing_of(observer, &observer->loops[tern_loop_index(call->x->loop)]);
    tern_tracing_open(&tracing, call, observation);
}

/* The record that the loop then has in `sending`; sending may begin the next request's. */
static void trace(struct tern_observer *observer, const struct tern_call *call,
                  const struct tern_observation *observation, enum tern_code code,
                  const struct tern_tracing_times *times)
{
    struct observer_loop *loop = &observer->loops[tern_loop_index(call->x->loop)];
    const struct tern_tracing tracing = tracing_of(observer, loop);

    if (loop->sending != NULL)
        push_sent(observer, loop);
    loop->sending = tern_tracing_record(&tracing, call, observation, code, times);
}

/* ---- the end of a request ---- */

void tern_observer_end(struct tern_observer *observer, struct tern_exchange *x,
                       const struct tern_call *call, const struct tern_observation *observation,
                       enum tern_code code, const struct tern_err *err)
{
    struct observer_loop *loop = &observer->loops[tern_loop_index(x->loop)];
    struct tern_op_cells *cells = loop->ops[call == NULL ? TERN_OP_COUNT : (unsigned)call->op];
    uint64_t now = tern_clock_mono_ns();
    uint64_t duration = now > x->start_ns ? now - x->start_ns : 0;

    x->ending = (uint8_t)tern_ending_of(code, err == NULL ? 0 : tern_err_http_status(err),
                                        observation->entered);
    if (observation->entered)
        tern_counter_sub(&server_cells(observer, x)->requests_in_flight, 1);
    tern_counter_add(&cells->requests[code], 1);
    tern_latency_record(&cells->duration, duration);
    if (call != NULL)
        count_model(call, observation, code, x->start_ns, x->body_ns, now);
    if (TERN_UNLIKELY(observation->place.family != NULL) && call != NULL)
        trace(observer, call, observation, code,
              &(struct tern_tracing_times){x->start_ns, x->body_ns, now});
    if (observer->access_log)
        log_access(observer, x, call, observation, code, err, duration);
}

void tern_observer_count(struct tern_observer *observer, const struct tern_call *call,
                         const struct tern_observation *observation, uint64_t came_ns,
                         enum tern_code code)
{
    uint64_t now = tern_clock_mono_ns();

    count_model(call, observation, code, came_ns, came_ns, now);
    if (TERN_UNLIKELY(observation->place.family != NULL)) {
        trace(observer, call, observation, code,
              &(struct tern_tracing_times){came_ns, came_ns, now});
        tern_observer_sent(observer, tern_loop_index(call->x->loop));
    }
}

void tern_observer_answer(const struct tern_call *call, struct tern_observation *observation,
                          uint64_t came_ns, uint64_t ready_ns, enum tern_answer kind)
{
    uint64_t now = tern_clock_mono_ns();
    uint64_t before = observation->answers > 0 ? observation->answered_ns : came_ns;
    uint32_t nth = observation->answers++;

    observation->answered_ns = now;
    if (call->pinned == NULL || call->pinned->answers_stat == NULL)
        return;
    struct tern_answers_cells *cells =
        tern_metric_set_cells(call->pinned->answers_stat, tern_loop_index(call->x->loop));
    if (nth == 0)
        tern_latency_record(&cells->first, now - came_ns);
    if (nth >= TERN_ANSWERS_MAX)
        return;
    struct tern_answer_cells *cell = &cells->nth[nth];
    tern_counter_add(&cell->count[kind], 1);
    tern_counter_add(&cell->ns[kind], now - before);
    if (kind != TERN_ANSWER_SUCCESS)
        return;
    tern_counter_add(&cell->infer_ns, ready_ns > before ? ready_ns - before : 0);
    tern_counter_add(&cell->output_ns, now - ready_ns);
}

/* ---- models ---- */

static enum tern_code get_model_sets(struct tern_metrics *metrics,
                                     struct tern_model_version *version,
                                     const struct tern_str *labels, struct tern_err *err)
{
    const struct tern_model_info *info = &version->info;
    struct tern_metric_tag tags[TERN_METRIC_TAGS_MAX];
    struct tern_metric_set *set = NULL, *answers = NULL;
    uint32_t n = 0;

    for (; n < info->n_metric_tags && n < TERN_METRIC_TAGS_MAX; n++)
        tags[n] = (struct tern_metric_tag){info->metric_tags[n].key, info->metric_tags[n].value};
    TERN_TRY(tern_metrics_get_tagged(metrics, &tern_catalog_model, labels, tags, n, &set, err));
    if (info->decoupled || version->ensembling != NULL) { /* its steps may be, sooner or later */
        enum tern_code code =
            tern_metrics_get_tagged(metrics, &tern_catalog_answers, labels, tags, n, &answers, err);
        if (code != TERN_OK) {
            tern_metrics_release(metrics, set);
            return code;
        }
    }
    version->stat = set;
    version->answers_stat = answers;
    return TERN_OK;
}

enum tern_code tern_observer_add_model(struct tern_observer *observer,
                                       struct tern_model_version *version, struct tern_err *err)
{
    char digits[20];
    const struct tern_str labels[] = {
        version->info.name,
        tern_str_make(digits, tern_num_format_u64((uint64_t)version->info.version, digits)),
    };

    TERN_TRY(get_model_sets(observer->settings.metrics, version, labels, err));
    struct tern_model_cells *cells = tern_metric_set_shared(version->stat);
    tern_counter_set_shared(&cells->ready, 1);
    tern_counter_set_shared(&cells->load_ns, version->load_ns);
    return TERN_OK;
}

void tern_observer_remove_model(struct tern_observer *observer, struct tern_model_version *version)
{
    if (version->stat == NULL)
        return;
    struct tern_model_cells *cells = tern_metric_set_shared(version->stat);
    tern_counter_set_shared(&cells->ready, 0);
    tern_metrics_release(observer->settings.metrics, version->stat);
    tern_metrics_release(observer->settings.metrics, version->answers_stat);
    version->stat = version->answers_stat = NULL;
}

/* ---- the rest ---- */

void tern_observer_note_queues(const struct tern_snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->n_models; i++) {
        const struct tern_model_entry *entry = &snapshot->models[i];
        for (uint32_t v = 0; v < entry->n_versions; v++) {
            if (entry->versions[v]->stat == NULL)
                continue;
            struct tern_model_cells *cells = tern_metric_set_shared(entry->versions[v]->stat);
            tern_counter_set_shared(&cells->queue_depth, tern_sched_depth(entry->versions[v]));
        }
    }
}

struct tern_sampler *tern_observer_sampler(const struct tern_observer *observer)
{
    return observer->settings.sampler;
}

struct tern_log *tern_observer_log(const struct tern_observer *observer)
{
    return observer->settings.log;
}

enum tern_code tern_observer_write_metrics(struct tern_observer *observer, struct tern_buf *buf,
                                           struct tern_err *err)
{
    const struct tern_observer_settings *settings = &observer->settings;
    struct tern_server_cells *cells = tern_metric_set_shared(observer->server_set);

    if (settings->logsink != NULL)
        tern_counter_set_shared(&cells->log_dropped, tern_logsink_dropped(settings->logsink));
    if (settings->tracer != NULL) {
        struct tern_tracer_counts counts = tern_tracer_count(settings->tracer);
        tern_counter_set_shared(&cells->traces_written, counts.written);
        tern_counter_set_shared(&cells->traces_dropped, counts.dropped);
    }
    if (settings->collect != NULL)
        settings->collect(settings->collect_arg, cells);
    tern_vitals_collect(observer->process_set);
    return tern_metrics_write(settings->metrics, buf, err);
}
