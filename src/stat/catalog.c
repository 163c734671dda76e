#include "stat/catalog.h"

#define LABEL_OF(name, label)                 label,
#define CODE_LABEL(name, number, http, label) label,

static const char *const code_labels[] = {TERN_CODES(CODE_LABEL)};
static const char *const outcome_labels[] = {TERN_OUTCOMES(LABEL_OF)};
static const char *const ending_labels[] = {TERN_ENDINGS(LABEL_OF)};
static const char *const stage_labels[] = {TERN_STAGES(LABEL_OF)};
static const char *const failure_labels[] = {TERN_FAILURES(LABEL_OF)};
static const char *const redis_labels[] = {TERN_REDIS_RESULTS(LABEL_OF)};
static const char *const refusal_labels[] = {TERN_REFUSALS(LABEL_OF)};

_Static_assert(TERN_COUNT_OF(code_labels) == TERN_CODE_COUNT, "one label a code");

/* Rows are written with these, one a line, so that a table reads as a table. Cells of a plain row:
 * one; of a row with a label: one for each of its values. */
#define PLAIN(kind, in, name_, cells, member, help_)                                    \
    {                                                                                   \
        .name = (name_), .help = (help_), .type = TERN_METRIC_##kind,                   \
        .unit = TERN_METRIC_UNIT_##in, .offset = offsetof(cells, member), .n_values = 1 \
    }
#define LABELLED(kind, in, name_, cells, member, label_, values_, sparse_, help_)            \
    {                                                                                        \
        .name = (name_), .help = (help_), .type = TERN_METRIC_##kind,                        \
        .unit = TERN_METRIC_UNIT_##in, .offset = offsetof(cells, member), .label = (label_), \
        .values = (values_), .n_values = TERN_COUNT_OF(values_), .sparse = (sparse_)         \
    }
/* Triton's names for what the cells hold: rows of the parts TRITON and TRITON_SUMMARIES. */
#define TRITON(kind, in, name_, cells, member, help_)                      \
    {                                                                      \
        .part = TERN_METRIC_PART_TRITON, .name = (name_), .help = (help_), \
        .type = TERN_METRIC_##kind, .unit = TERN_METRIC_UNIT_##in,         \
        .offset = offsetof(cells, member), .n_values = 1                   \
    }
#define SUMMARY(name_, cells, member, help_)                                         \
    {                                                                                \
        .part = TERN_METRIC_PART_TRITON_SUMMARIES, .name = (name_), .help = (help_), \
        .type = TERN_METRIC_SUMMARY, .unit = TERN_METRIC_UNIT_MICROSECONDS,          \
        .offset = offsetof(cells, member), .n_values = 1, .sparse = true             \
    }
#define STAGE_NS(stage_) stage[TERN_STAGE_##stage_].sum_ns

// clang-format off
static const struct tern_metric_row server_rows[] = {
    PLAIN(GAUGE, NONE, "tern_connections_open", struct tern_server_cells, connections_open,
          "Client connections that are open now."),
    PLAIN(COUNTER, NONE, "tern_connections_accepted_total", struct tern_server_cells,
          connections_accepted, "Client connections accepted."),
    LABELLED(COUNTER, NONE, "tern_connections_refused_total", struct tern_server_cells,
             connections_refused, "reason", refusal_labels, false,
             "Client connections closed instead of served."),
    PLAIN(GAUGE, NONE, "tern_requests_in_flight", struct tern_server_cells, requests_in_flight,
          "Requests that were read and are not yet fully answered."),
    PLAIN(COUNTER, NONE, "tern_requests_received_total", struct tern_server_cells, requests_came,
          "Requests of which at least a byte came. When none is open, as many have ended."),
    LABELLED(COUNTER, NONE, "tern_requests_ended_total", struct tern_server_cells, requests_ended,
             "outcome", ending_labels, false,
             "Requests that are over, their last byte sent or their connection gone: each in "
             "exactly one way."),
    PLAIN(GAUGE, NONE, "tern_cache_bytes", struct tern_server_cells, cache_bytes,
          "Memory that remembered answers take, all overhead included."),
    PLAIN(GAUGE, NONE, "tern_cache_entries", struct tern_server_cells, cache_entries,
          "Answers remembered in memory."),
    PLAIN(COUNTER, NONE, "tern_cache_evictions_total", struct tern_server_cells, cache_evicted,
          "Answers forgotten to make room for others."),
    PLAIN(GAUGE, NONE, "tern_memory_used_bytes", struct tern_server_cells, memory_used,
          "Memory that requests hold now: bodies that do not fit into a read buffer, tensors, "
          "answers."),
    PLAIN(GAUGE, NONE, "tern_memory_max_bytes", struct tern_server_cells, memory_max,
          "As much as they may hold (memory.max)."),
    PLAIN(COUNTER, NONE, "tern_memory_refusals_total", struct tern_server_cells, memory_refusals,
          "Times that memory was refused to a request because of that."),
    PLAIN(GAUGE, NONE, "tern_cache_redis_up", struct tern_server_cells, redis_up,
          "1 while the Redis server of the response cache can be asked, else 0."),
    LABELLED(COUNTER, NONE, "tern_cache_redis_requests_total", struct tern_server_cells,
             redis_asked, "result", redis_labels, false, "Questions to Redis, by what came back."),
    PLAIN(COUNTER, NONE, "tern_cache_redis_puts_total", struct tern_server_cells, redis_puts,
          "Answers given to Redis."),
    PLAIN(COUNTER, NONE, "tern_cache_redis_dropped_total", struct tern_server_cells,
          redis_dropped, "Answers not given to Redis: too many waited, or it went away."),
    PLAIN(COUNTER, NONE, "tern_received_bytes_total", struct tern_server_cells, bytes_received,
          "Bytes read from client connections."),
    PLAIN(COUNTER, NONE, "tern_sent_bytes_total", struct tern_server_cells, bytes_sent,
          "Bytes written to client connections."),
    PLAIN(COUNTER, NONE, "tern_log_dropped_total", struct tern_server_cells, log_dropped,
          "Log lines lost: the output was slower than they came, or failed."),
    PLAIN(COUNTER, NONE, "tern_traces_total", struct tern_server_cells, traces_written,
          "Requests whose traces were written to a file or sent to a collector."),
    PLAIN(COUNTER, NONE, "tern_traces_dropped_total", struct tern_server_cells, traces_dropped,
          "Requests whose traces were lost: too many waited, or the file or the collector failed."),
};

static const struct tern_metric_row op_rows[] = {
    LABELLED(COUNTER, NONE, "tern_requests_total", struct tern_op_cells, requests, "code",
             code_labels, true, "Requests answered, by operation and result."),
    {.name = "tern_request_duration_seconds", .type = TERN_METRIC_HISTOGRAM,
     .unit = TERN_METRIC_UNIT_SECONDS, .offset = offsetof(struct tern_op_cells, duration),
     .n_values = 1, .sparse = true,
     .help = "Time from the first byte of a request to the last byte of its answer."},
};

static const struct tern_metric_row model_rows[] = {
    LABELLED(COUNTER, NONE, "tern_model_requests_total", struct tern_model_cells, requests,
             "outcome", outcome_labels, false, "Inference requests to a model version, by outcome."),
    LABELLED(HISTOGRAM, SECONDS, "tern_model_stage_duration_seconds", struct tern_model_cells,
             stage, "stage", stage_labels, false,
             "Where the time of an inference request goes."),
    PLAIN(COUNTER, NONE, "tern_model_inferences_total", struct tern_model_cells, inferences,
          "Rows predicted: a request with a batch of 8 counts 8."),
    PLAIN(COUNTER, NONE, "tern_model_executions_total", struct tern_model_cells, executions,
          "Runs of the engine; inferences divided by executions is the mean batch."),
    PLAIN(GAUGE, NONE, "tern_model_queue_depth", struct tern_model_cells, queue_depth,
          "Requests waiting for the model."),
    PLAIN(GAUGE, NONE, "tern_model_ready", struct tern_model_cells, ready,
          "1 when the model version is served, else 0."),
    PLAIN(GAUGE, SECONDS, "tern_model_load_duration_seconds", struct tern_model_cells, load_ns,
          "How long the last load took, warm-up included."),
    PLAIN(COUNTER, NONE, "tern_model_cache_hits_total", struct tern_model_cells, cache_hits,
          "Requests answered without a run of their own."),
    PLAIN(COUNTER, NONE, "tern_model_cache_shared_total", struct tern_model_cells, cache_shared,
          "Of the hits, those that waited for the run of another request that asked the same."),
    PLAIN(COUNTER, NONE, "tern_model_cache_misses_total", struct tern_model_cells, cache_misses,
          "Requests to a model with a response cache whose answer was computed."),

    TRITON(COUNTER, NONE, "nv_inference_request_success", struct tern_model_cells,
           requests[TERN_OUTCOME_OK], "Inference requests answered well."),
    {.part = TERN_METRIC_PART_TRITON, .name = "nv_inference_request_failure",
     .type = TERN_METRIC_COUNTER, .offset = offsetof(struct tern_model_cells, failures),
     .label = "reason", .values = failure_labels, .n_values = TERN_FAILURE_COUNT,
     .help = "Inference requests that failed, by reason."},
    TRITON(COUNTER, NONE, "nv_inference_count", struct tern_model_cells, inferences,
           "Rows predicted."),
    TRITON(COUNTER, NONE, "nv_inference_exec_count", struct tern_model_cells, executions,
           "Runs of the engine."),
    TRITON(COUNTER, MICROSECONDS, "nv_inference_request_duration_us", struct tern_model_cells,
           answered.sum_ns, "Time from the whole request to its encoded answer, summed."),
    TRITON(COUNTER, MICROSECONDS, "nv_inference_queue_duration_us", struct tern_model_cells,
           STAGE_NS(QUEUE), "Time of waiting for the model, summed."),
    TRITON(COUNTER, MICROSECONDS, "nv_inference_compute_input_duration_us",
           struct tern_model_cells, STAGE_NS(DECODE), "Time from bytes to tensors, summed."),
    TRITON(COUNTER, MICROSECONDS, "nv_inference_compute_infer_duration_us",
           struct tern_model_cells, STAGE_NS(INFER), "Time inside the engine, summed."),
    TRITON(COUNTER, MICROSECONDS, "nv_inference_compute_output_duration_us",
           struct tern_model_cells, STAGE_NS(ENCODE), "Time from tensors to bytes, summed."),
    TRITON(GAUGE, NONE, "nv_inference_pending_request_count", struct tern_model_cells,
           queue_depth, "Requests waiting for the model."),
    TRITON(GAUGE, SECONDS, "nv_model_load_duration_secs", struct tern_model_cells, load_ns,
           "How long the last load took."),
    TRITON(COUNTER, NONE, "nv_cache_num_hits_per_model", struct tern_model_cells, cache_hits,
           "Requests answered from the response cache."),
    TRITON(COUNTER, NONE, "nv_cache_num_misses_per_model", struct tern_model_cells, cache_misses,
           "Requests that the response cache could not answer."),
    TRITON(COUNTER, MICROSECONDS, "nv_cache_hit_duration_per_model", struct tern_model_cells,
           cache_hit.sum_ns, "Time in the cache of requests that it answered, summed."),
    TRITON(COUNTER, MICROSECONDS, "nv_cache_miss_duration_per_model", struct tern_model_cells,
           cache_miss.sum_ns, "Time in the cache of requests that it could not answer, summed."),
    SUMMARY("nv_cache_hit_summary_per_model", struct tern_model_cells, cache_hit,
            "Time in the cache of requests that it answered."),
    SUMMARY("nv_cache_miss_summary_per_model", struct tern_model_cells, cache_miss,
            "Time in the cache of requests that it could not answer."),
    SUMMARY("nv_inference_request_summary_us", struct tern_model_cells, answered,
            "Time from the whole request to its encoded answer."),
    SUMMARY("nv_inference_queue_summary_us", struct tern_model_cells, stage[TERN_STAGE_QUEUE],
            "Time of waiting for the model."),
    SUMMARY("nv_inference_compute_input_summary_us", struct tern_model_cells,
            stage[TERN_STAGE_DECODE], "Time from bytes to tensors."),
    SUMMARY("nv_inference_compute_infer_summary_us", struct tern_model_cells,
            stage[TERN_STAGE_INFER], "Time inside the engine."),
    SUMMARY("nv_inference_compute_output_summary_us", struct tern_model_cells,
            stage[TERN_STAGE_ENCODE], "Time from tensors to bytes."),
};

static const struct tern_metric_row answers_rows[] = {
    {.part = TERN_METRIC_PART_TRITON, .name = "nv_inference_first_response_histogram_ms",
     .type = TERN_METRIC_HISTOGRAM, .unit = TERN_METRIC_UNIT_MILLISECONDS,
     .offset = offsetof(struct tern_answers_cells, first), .n_values = 1,
     .help = "Time from a request to its first answer, of decoupled models."},
};

static const struct tern_metric_row process_rows[] = {
    PLAIN(COUNTER, SECONDS, "process_cpu_seconds_total", struct tern_process_cells, cpu_ns,
          "User and system CPU time of the server process."),
    PLAIN(GAUGE, NONE, "process_open_fds", struct tern_process_cells, open_fds,
          "Open file descriptors."),
    PLAIN(GAUGE, NONE, "process_max_fds", struct tern_process_cells, max_fds,
          "Most file descriptors that may be open."),
    PLAIN(GAUGE, NONE, "process_resident_memory_bytes", struct tern_process_cells, resident_bytes,
          "Resident memory."),
    PLAIN(GAUGE, NONE, "process_virtual_memory_bytes", struct tern_process_cells, virtual_bytes,
          "Virtual memory."),
    PLAIN(GAUGE, SECONDS, "process_start_time_seconds", struct tern_process_cells, start_ns,
          "When the server process started, since 1970."),
    PLAIN(GAUGE, NONE, "process_threads", struct tern_process_cells, threads,
          "Threads of the server process."),

    TRITON(GAUGE, RATIO, "nv_cpu_utilization", struct tern_process_cells, machine_busy,
           "Share of the machine's processor time in use since the last scrape, 0 to 1."),
    TRITON(GAUGE, NONE, "nv_cpu_memory_total_bytes", struct tern_process_cells,
           machine_memory_bytes, "Memory of the machine."),
    TRITON(GAUGE, NONE, "nv_cpu_memory_used_bytes", struct tern_process_cells,
           machine_memory_used_bytes, "Memory of the machine that is in use."),
    TRITON(GAUGE, NONE, "nv_pinned_memory_pool_total_bytes", struct tern_process_cells,
           pinned_bytes, "Always 0: no memory is pinned for an accelerator."),
    TRITON(GAUGE, NONE, "nv_pinned_memory_pool_used_bytes", struct tern_process_cells,
           pinned_bytes, "Always 0: no memory is pinned for an accelerator."),
};

static const struct tern_metric_row build_rows[] = {
    PLAIN(GAUGE, NONE, "tern_build_info", struct tern_build_cells, info,
          "Always 1; the labels say what is running."),
};
// clang-format on

const struct tern_metric_group tern_catalog_server = {
    .name = "Server",
    .rows = server_rows,
    .n_rows = TERN_COUNT_OF(server_rows),
    .cells_size = sizeof(struct tern_server_cells),
};

const struct tern_metric_group tern_catalog_op = {
    .name = "Operations",
    .labels = {"op"},
    .rows = op_rows,
    .n_rows = TERN_COUNT_OF(op_rows),
    .cells_size = sizeof(struct tern_op_cells),
};

const struct tern_metric_group tern_catalog_model = {
    .name = "Models",
    .labels = {"model", "version"},
    .rows = model_rows,
    .n_rows = TERN_COUNT_OF(model_rows),
    .cells_size = sizeof(struct tern_model_cells),
};

const struct tern_metric_group tern_catalog_answers = {
    .name = "Answers of decoupled models",
    .labels = {"model", "version"},
    .rows = answers_rows,
    .n_rows = TERN_COUNT_OF(answers_rows),
    .cells_size = sizeof(struct tern_answers_cells),
};

const struct tern_metric_group tern_catalog_process = {
    .name = "Process",
    .rows = process_rows,
    .n_rows = TERN_COUNT_OF(process_rows),
    .cells_size = sizeof(struct tern_process_cells),
};

const struct tern_metric_group tern_catalog_build = {
    .name = "Build",
    .labels = {"version", "compiler", "platform"},
    .rows = build_rows,
    .n_rows = TERN_COUNT_OF(build_rows),
    .cells_size = sizeof(struct tern_build_cells),
};

const struct tern_metric_group *const tern_catalog_groups[TERN_CATALOG_GROUPS] = {
    &tern_catalog_server,  &tern_catalog_op,      &tern_catalog_model,
    &tern_catalog_answers, &tern_catalog_process, &tern_catalog_build,
};

enum tern_outcome tern_outcome_of(enum tern_code code)
{
    static const uint8_t of[TERN_CODE_COUNT] = {
        [TERN_OK] = TERN_OUTCOME_OK,
        [TERN_CANCELLED] = TERN_OUTCOME_CANCELLED,
        [TERN_UNKNOWN] = TERN_OUTCOME_FAILED,
        [TERN_INVALID_ARGUMENT] = TERN_OUTCOME_INVALID,
        [TERN_DEADLINE_EXCEEDED] = TERN_OUTCOME_EXPIRED,
        [TERN_NOT_FOUND] = TERN_OUTCOME_INVALID,
        [TERN_ALREADY_EXISTS] = TERN_OUTCOME_INVALID,
        [TERN_PERMISSION_DENIED] = TERN_OUTCOME_INVALID,
        [TERN_RESOURCE_EXHAUSTED] = TERN_OUTCOME_REJECTED,
        [TERN_FAILED_PRECONDITION] = TERN_OUTCOME_INVALID,
        [TERN_ABORTED] = TERN_OUTCOME_FAILED,
        [TERN_OUT_OF_RANGE] = TERN_OUTCOME_INVALID,
        [TERN_UNIMPLEMENTED] = TERN_OUTCOME_INVALID,
        [TERN_INTERNAL] = TERN_OUTCOME_FAILED,
        [TERN_UNAVAILABLE] = TERN_OUTCOME_REJECTED,
        [TERN_DATA_LOSS] = TERN_OUTCOME_FAILED,
        [TERN_UNAUTHENTICATED] = TERN_OUTCOME_INVALID,
    };
    return (enum tern_outcome)of[code];
}

enum tern_failure tern_failure_of(enum tern_code code)
{
    static const uint8_t of[TERN_OUTCOME_COUNT] = {
        [TERN_OUTCOME_OK] = TERN_FAILURE_OTHER,
        [TERN_OUTCOME_INVALID] = TERN_FAILURE_OTHER,
        [TERN_OUTCOME_REJECTED] = TERN_FAILURE_REJECTED,
        [TERN_OUTCOME_EXPIRED] = TERN_FAILURE_REJECTED,
        [TERN_OUTCOME_CANCELLED] = TERN_FAILURE_CANCELED,
        [TERN_OUTCOME_FAILED] = TERN_FAILURE_BACKEND,
    };
    return (enum tern_failure)of[tern_outcome_of(code)];
}

enum tern_ending tern_ending_of(enum tern_code code, int http_status, bool entered)
{
    switch (tern_outcome_of(code)) {
    case TERN_OUTCOME_OK:
        return TERN_ENDING_OK;
    case TERN_OUTCOME_REJECTED:
        if (http_status != 429 && http_status != 503)
            return TERN_ENDING_INVALID; /* larger than a limit: that is no overload */
        return entered ? TERN_ENDING_SHED : TERN_ENDING_REFUSED;
    case TERN_OUTCOME_EXPIRED:
        return TERN_ENDING_EXPIRED;
    case TERN_OUTCOME_CANCELLED:
        return TERN_ENDING_CANCELLED;
    case TERN_OUTCOME_FAILED:
        return TERN_ENDING_FAILED;
    case TERN_OUTCOME_INVALID:
    case TERN_OUTCOME_COUNT:
    default:
        return TERN_ENDING_INVALID;
    }
}

void tern_batch_count(struct tern_batch_cells cells[TERN_BATCH_SIZES_MAX], uint64_t size,
                      uint64_t input_ns, uint64_t infer_ns, uint64_t output_ns)
{
    for (uint64_t i = 0; i < TERN_BATCH_SIZES_MAX; i++) {
        struct tern_batch_cells *row = &cells[(size + i) & (TERN_BATCH_SIZES_MAX - 1)];
        uint64_t taken = atomic_load_explicit(&row->size.value, memory_order_relaxed);
        if (taken == 0)
            atomic_store_explicit(&row->size.value, size, memory_order_relaxed);
        else if (taken != size)
            continue;
        tern_counter_add(&row->count, 1);
        tern_counter_add(&row->input_ns, input_ns);
        tern_counter_add(&row->infer_ns, infer_ns);
        tern_counter_add(&row->output_ns, output_ns);
        return;
    }
}
