#include "gateway/tracing.h"

#include "gateway/observe.h"

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
static void set_times(struct tern_trace_record *record, const struct tern_call *call,
                      const struct tern_tracing_times *times)
{
    const uint64_t at[TERN_TRACE_POINT_COUNT] = {
        [TERN_TRACE_AT_RECV_START] = times->start_ns,
        [TERN_TRACE_AT_RECV_END] = times->body_ns,
        [TERN_TRACE_AT_REQUEST_START] = times->body_ns,
        [TERN_TRACE_AT_QUEUE_START] = call->queued_ns,
        [TERN_TRACE_AT_COMPUTE_START] = call->started_ns,
        [TERN_TRACE_AT_COMPUTE_INPUT_END] = call->started_ns,
        [TERN_TRACE_AT_COMPUTE_OUTPUT_START] = call->finished_ns,
        [TERN_TRACE_AT_COMPUTE_END] = call->finished_ns,
        [TERN_TRACE_AT_RESPONSE_COMPLETE] = call->released_ns,
        [TERN_TRACE_AT_REQUEST_END] = times->end_ns,
        [TERN_TRACE_AT_SEND_START] = times->end_ns,
    };
    memcpy(record->at, at, sizeof(at));
}

static bool is_spans(const struct tern_tracing *tracing)
{
    return tern_sampler_mode(tracing->sampler) == TERN_TRACE_MODE_OPENTELEMETRY;
}

void tern_tracing_sample(const struct tern_tracing *tracing, const struct tern_call *call,
                         struct tern_observation *observation)
{
    bool propagated = is_spans(tracing) && observation->traced &&
                      (observation->trace.flags & TERN_TRACE_SAMPLED) != 0;

    if (call->op == TERN_OP_INFER && call->info != NULL)
        tern_sampler_take(tracing->sampler, call->info->name, propagated, &observation->sample);
}

struct tern_trace_record *tern_tracing_record(const struct tern_tracing *tracing,
                                              const struct tern_call *call,
                                              const struct tern_observation *observation,
                                              enum tern_code code,
                                              const struct tern_tracing_times *times)
{
    bool spans = is_spans(tracing);
    const struct tern_sample *sample = &observation->sample;
    struct tern_trace_tensor tensors[TERN_TRACE_TENSORS_MAX];

    if (call->op != TERN_OP_INFER || sample->level == 0)
        return NULL;
    struct tern_trace_record record = {
        .id = sample->id,
        .level = sample->level,
        .log_frequency = sample->log_frequency,
        .grpc = tern_str_starts(call->x->content_type, TERN_STR("application/grpc")),
        .code = code,
        .status = call->x->status,
        .model = call->info->name,
        .version = call->info->version,
        .request_id = call->request.id.n > 0 ? call->request.id : observation->request_id,
        .tensors = tensors,
    };
    set_times(&record, call, times);
    if (spans && observation->traced)
        record.trace = observation->trace;
    else if (spans)
        tern_trace_begin(&record.trace, TERN_STR(""), tracing->ids);
    if ((sample->level & TERN_TRACE_TENSORS) != 0 && !spans) {
        add_tensors(tensors, &record.n_tensors, call->request.inputs, call->request.n_inputs,
                    false);
        if (code == TERN_OK)
            add_tensors(tensors, &record.n_tensors, call->response.outputs,
                        call->response.n_outputs, true);
    }
    return tern_tracer_reserve(tracing->tracer, &record);
}
