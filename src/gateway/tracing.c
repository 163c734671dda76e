#include "gateway/tracing.h"

#include "base/clock.h"
#include "gateway/observe.h"
#include "sched/sched.h"

static void add_tensors(struct tern_trace_tensor *rows, uint32_t *n,
                        const struct tern_tensor *tensors, uint32_t n_tensors, bool output)
{
    for (uint32_t i = 0; i < n_tensors && *n < TERN_TRACE_TENSORS_MAX; i++) {
        rows[(*n)++] = (struct tern_trace_tensor){
            .output = output,
            .name = tensors[i].name,
            .dtype = tensors[i].dtype,
            .shape = tensors[i].shape,
            .data = tensors[i].data,
            .n_bytes = tensors[i].data == NULL ? 0 : tensors[i].n_bytes,
        };
    }
}

/* The engine gets its inputs where they lie and leaves its outputs where encode finds them: for it,
 * input ends when it starts and output starts when it ends. */
static void set_compute(struct tern_trace_record *record, uint64_t started_ns, uint64_t finished_ns)
{
    record->at[TERN_TRACE_AT_COMPUTE_START] = started_ns;
    record->at[TERN_TRACE_AT_COMPUTE_INPUT_END] = started_ns;
    record->at[TERN_TRACE_AT_COMPUTE_OUTPUT_START] = finished_ns;
    record->at[TERN_TRACE_AT_COMPUTE_END] = finished_ns;
}

static void set_times(struct tern_trace_record *record, const struct tern_call *call,
                      const struct tern_tracing_times *times)
{
    record->at[TERN_TRACE_AT_RECV_START] = times->start_ns;
    record->at[TERN_TRACE_AT_RECV_END] = times->body_ns;
    record->at[TERN_TRACE_AT_REQUEST_START] = times->body_ns;
    record->at[TERN_TRACE_AT_QUEUE_START] = call->queued_ns;
    record->at[TERN_TRACE_AT_RESPONSE_COMPLETE] = call->released_ns;
    record->at[TERN_TRACE_AT_REQUEST_END] = times->end_ns;
    record->at[TERN_TRACE_AT_SEND_START] = times->end_ns;
    if (call->pinned == NULL || call->pinned->ensembling == NULL) /* its steps compute */
        set_compute(record, call->started_ns, call->finished_ns);
}

/* ---- whether ---- */

static bool spans_are_sent(const struct tern_tracing *tracing)
{
    return tern_sampler_mode(tracing->sampler) == TERN_TRACE_MODE_OPENTELEMETRY;
}

/* For one that is decided now. */
static bool take(const struct tern_tracing *tracing, const struct tern_call *call,
                 const struct tern_observation *observation, struct tern_trace_family *family)
{
    bool spans = spans_are_sent(tracing);
    bool propagated =
        spans && observation->traced && (observation->trace.flags & TERN_TRACE_SAMPLED) != 0;

    if (!tern_sampler_take(tracing->sampler, call->info->name, propagated, &family->sample))
        return false;
    if (observation->traced)
        family->trace = observation->trace;
    else if (spans)
        tern_trace_begin(&family->trace, TERN_STR(""), tracing->ids);
    return true;
}

void tern_tracing_open(const struct tern_tracing *tracing, const struct tern_call *call,
                       struct tern_observation *observation)
{
    struct tern_trace_family taken = {.sampler = tracing->sampler};

    if (observation->trace_decided || call->info == NULL)
        return;
    observation->trace_decided = true;
    if (!take(tracing, call, observation, &taken))
        return; /* most: nothing is kept for them */
    struct tern_trace_family *family = tern_arena_alloc(call->arena, 8, sizeof(*family));
    if (family == NULL ||
        tern_arena_on_reset(call->arena, tern_trace_family_drop, family, NULL) != TERN_OK)
        return;
    *family = taken;
    observation->place.family = family;
    if (spans_are_sent(tracing)) {
        observation->trace = family->trace;
        observation->traced = true;
    }
}

/* ---- what ran inside of a request ---- */

struct tern_trace_place tern_tracing_place(const struct tern_call *call,
                                           const struct tern_observation *observation)
{
    struct tern_trace_family *family = observation->place.family;

    if (family != NULL && observation->place.number == 0)
        family->request_id = call->request.id.n > 0 ? call->request.id : observation->request_id;
    return observation->place;
}

void tern_tracing_step(const struct tern_work *work)
{
    struct tern_trace_tensor tensors[TERN_TRACE_TENSORS_MAX];
    uint64_t end_ns = tern_clock_mono_ns();
    uint64_t start_ns = work->queued_ns == 0 ? end_ns : work->queued_ns;
    struct tern_trace_record record = {
        .kind = TERN_TRACE_STEP,
        .code = work->code,
        .model = work->version->info.name,
        .version = work->version->info.version,
        .tensors = tensors,
    };

    record.at[TERN_TRACE_AT_REQUEST_START] = start_ns;
    record.at[TERN_TRACE_AT_QUEUE_START] = start_ns;
    if (work->code == TERN_OK)
        record.at[TERN_TRACE_AT_RESPONSE_COMPLETE] = work->finished_ns;
    record.at[TERN_TRACE_AT_REQUEST_END] = end_ns;
    if (work->version->ensembling == NULL && !work->from_cache && work->started_ns != 0)
        set_compute(&record, work->started_ns, work->finished_ns);
    if ((work->place.family->sample.level & TERN_TRACE_TENSORS) != 0) {
        add_tensors(tensors, &record.n_tensors, work->run.inputs, work->run.n_inputs, false);
        if (work->code == TERN_OK && work->run.sink == NULL)
            add_tensors(tensors, &record.n_tensors, work->run.outputs, work->run.n_outputs, true);
    }
    tern_trace_family_add(&work->place, &record);
}

void tern_tracing_call(const struct tern_trace_place *place, struct tern_str name,
                       enum tern_code code, int status, uint64_t start_ns)
{
    struct tern_trace_record record = {
        .kind = TERN_TRACE_CALL, .code = code, .status = status, .model = name};

    record.at[TERN_TRACE_AT_REQUEST_START] = start_ns;
    record.at[TERN_TRACE_AT_REQUEST_END] = tern_clock_mono_ns();
    tern_trace_family_add(place, &record);
}

/* ---- a request ---- */

static struct tern_trace_record *hand_in(const struct tern_tracing *tracing,
                                         const struct tern_trace_place *place,
                                         struct tern_trace_record *record)
{
    struct tern_trace_family *family = place->family;

    if (place->number > 0) {
        tern_trace_family_add(place, record);
        return NULL;
    }
    record->level = family->sample.level;
    record->log_frequency = family->sample.log_frequency;
    record->trace = family->trace;
    record->id = family->sample.id;
    tern_trace_span_of(family->trace.span_id, 0, record->span);
    struct tern_trace_record *kept = tern_tracer_reserve(tracing->tracer, record);
    if (kept != NULL)
        kept->members = tern_trace_family_take(family);
    return kept;
}

struct tern_trace_record *tern_tracing_record(const struct tern_tracing *tracing,
                                              const struct tern_call *call,
                                              const struct tern_observation *observation,
                                              enum tern_code code,
                                              const struct tern_tracing_times *times)
{
    struct tern_trace_tensor tensors[TERN_TRACE_TENSORS_MAX];
    struct tern_trace_place place = observation->place;

    if (place.family == NULL)
        return NULL;
    struct tern_trace_record record = {
        .kind = TERN_TRACE_REQUEST,
        .grpc = tern_str_starts(call->x->content_type, TERN_STR("application/grpc")),
        .code = code,
        .status = call->x->status,
        .model = call->info->name,
        .version = call->info->version,
        .request_id = call->request.id.n > 0 ? call->request.id : observation->request_id,
        .trace = observation->trace,
        .tensors = tensors,
    };
    set_times(&record, call, times);
    if (place.number > 0)
        record.at[TERN_TRACE_AT_SEND_END] = times->end_ns;
    if ((place.family->sample.level & TERN_TRACE_TENSORS) != 0 && !spans_are_sent(tracing)) {
        add_tensors(tensors, &record.n_tensors, call->request.inputs, call->request.n_inputs,
                    false);
        if (code == TERN_OK)
            add_tensors(tensors, &record.n_tensors, call->response.outputs,
                        call->response.n_outputs, true);
    }
    return hand_in(tracing, &place, &record);
}
