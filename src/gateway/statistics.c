/* The statistics of models: the loops' cells, added up in the call's arena. */
#include <inttypes.h>
#include <stdlib.h>
#include "base/clock.h"
#include "gateway/gateway_int.h"

#define CELL(member) offsetof(struct tern_model_cells, member)

static struct tern_stat latency(const struct tern_metric_set *set, size_t offset)
{
    struct tern_stat stat;

    tern_metric_set_latency(set, offset, &stat.count, &stat.ns);
    return stat;
}

/* Cells know the monotonic clock alone: reading the other one costs every request. */
static uint64_t last_inference_ms(const struct tern_metric_set *set)
{
    uint64_t last_ns = tern_metric_set_max(set, CELL(last_ns));
    uint64_t ago_ns = tern_clock_mono_ns() - last_ns;

    return last_ns == 0 ? 0 : (tern_clock_wall_ns() - ago_ns) / TERN_NS_PER_MS;
}

static uint64_t value(const struct tern_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

static void add(struct tern_stat *stat, uint64_t count, uint64_t ns)
{
    stat->count += count;
    stat->ns += ns;
}

static struct tern_batch_stats *find_size(struct tern_batch_stats *rows, uint32_t *n, uint64_t size)
{
    uint32_t i = 0;

    while (i < *n && rows[i].batch_size != size)
        i++;
    if (i == *n)
        rows[(*n)++] = (struct tern_batch_stats){.batch_size = size};
    return &rows[i];
}

static int by_size(const void *a, const void *b)
{
    const struct tern_batch_stats *x = a, *y = b;
    return (x->batch_size > y->batch_size) - (x->batch_size < y->batch_size);
}

static enum tern_code add_batches(struct tern_metric_set *set, struct tern_arena *arena,
                                  struct tern_model_stats *stats, struct tern_err *err)
{
    uint32_t shards = tern_metric_set_shards(set);
    size_t max = (size_t)shards * TERN_BATCH_SIZES_MAX;
    struct tern_batch_stats *rows = tern_arena_zalloc(arena, max, sizeof(*rows));
    uint32_t n = 0;

    if (rows == NULL)
        return tern_arena_fail(arena, err, "the statistics");
    for (uint32_t s = 0; s < shards; s++) {
        const struct tern_model_cells *cells = tern_metric_set_cells(set, s);
        for (uint32_t i = 0; i < TERN_BATCH_SIZES_MAX; i++) {
            const struct tern_batch_cells *from = &cells->batch[i];
            uint64_t count = value(&from->count);
            if (count == 0)
                continue;
            struct tern_batch_stats *row = find_size(rows, &n, value(&from->size));
            add(&row->compute_input, count, value(&from->input_ns));
            add(&row->compute_infer, count, value(&from->infer_ns));
            add(&row->compute_output, count, value(&from->output_ns));
        }
    }
    qsort(rows, n, sizeof(*rows), by_size);
    stats->batches = rows;
    stats->n_batches = n;
    return TERN_OK;
}

/* Cells of one answer, the shards added up. */
static uint64_t answer_sum(const struct tern_metric_set *set, uint32_t nth, size_t offset)
{
    return tern_metric_set_sum(set, offsetof(struct tern_answers_cells, nth) +
                                        nth * sizeof(struct tern_answer_cells) + offset);
}

static struct tern_stat answers_of(const struct tern_metric_set *set, uint32_t nth,
                                   enum tern_answer kind)
{
    size_t at = (size_t)kind * sizeof(struct tern_counter);

    return (struct tern_stat){
        .count = answer_sum(set, nth, offsetof(struct tern_answer_cells, count) + at),
        .ns = answer_sum(set, nth, offsetof(struct tern_answer_cells, ns) + at),
    };
}

static enum tern_code add_answers(const struct tern_metric_set *set, struct tern_arena *arena,
                                  struct tern_model_stats *stats, struct tern_err *err)
{
    struct tern_response_stats *rows = tern_arena_zalloc(arena, TERN_ANSWERS_MAX, sizeof(*rows));

    if (rows == NULL)
        return tern_arena_fail(arena, err, "the statistics");
    for (uint32_t i = 0; i < TERN_ANSWERS_MAX; i++) {
        struct tern_response_stats row = {
            .success = answers_of(set, i, TERN_ANSWER_SUCCESS),
            .fail = answers_of(set, i, TERN_ANSWER_FAIL),
            .empty_response = answers_of(set, i, TERN_ANSWER_EMPTY),
            .cancel = answers_of(set, i, TERN_ANSWER_CANCEL),
        };
        if (row.success.count + row.fail.count + row.empty_response.count + row.cancel.count == 0)
            continue;
        row.compute_infer.count = row.compute_output.count = row.success.count;
        row.compute_infer.ns = answer_sum(set, i, offsetof(struct tern_answer_cells, infer_ns));
        row.compute_output.ns = answer_sum(set, i, offsetof(struct tern_answer_cells, output_ns));
        row.key = tern_arena_printf(arena, "%u", i);
        if (row.key.p == NULL)
            return tern_arena_fail(arena, err, "the statistics");
        rows[stats->n_responses++] = row;
    }
    stats->responses = rows;
    return TERN_OK;
}

static enum tern_code add_version(struct tern_call *call, const struct tern_model_version *version,
                                  struct tern_model_stats *stats, struct tern_err *err)
{
    struct tern_metric_set *set = version->stat;

    *stats = (struct tern_model_stats){
        .name = tern_arena_copy(call->arena, version->info.name),
        .version = version->info.version,
    };
    if (stats->name.p == NULL)
        return tern_arena_fail(call->arena, err, "the statistics");
    if (set == NULL)
        return TERN_OK;
    if (version->answers_stat != NULL)
        TERN_TRY(add_answers(version->answers_stat, call->arena, stats, err));
    stats->last_inference_ms = last_inference_ms(set);
    stats->inference_count = tern_metric_set_sum(set, CELL(inferences));
    stats->execution_count = tern_metric_set_sum(set, CELL(executions));
    stats->success = latency(set, CELL(answered));
    stats->queue = latency(set, CELL(stage[TERN_STAGE_QUEUE]));
    stats->compute_input = latency(set, CELL(stage[TERN_STAGE_DECODE]));
    stats->compute_infer = latency(set, CELL(stage[TERN_STAGE_INFER]));
    stats->compute_output = latency(set, CELL(stage[TERN_STAGE_ENCODE]));
    stats->cache_hit = latency(set, CELL(cache_hit));
    stats->cache_miss = latency(set, CELL(cache_miss));
    for (size_t i = 0; i < TERN_FAILURE_COUNT; i++)
        stats->fail.count +=
            tern_metric_set_sum(set, CELL(failures) + i * sizeof(struct tern_counter));
    stats->fail.ns = tern_metric_set_sum(set, CELL(failed_ns));
    return add_batches(set, call->arena, stats, err);
}

/* Of every version, or of the one that the call names. */
static enum tern_code collect(struct tern_call *call, const struct tern_model_entry *entries,
                              uint32_t n_entries, struct tern_err *err)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < n_entries; i++)
        n += entries[i].n_versions;
    struct tern_model_stats *stats = tern_arena_zalloc(call->arena, n + 1, sizeof(*stats));
    if (stats == NULL)
        return tern_arena_fail(call->arena, err, "the statistics");
    call->stats = stats;
    for (uint32_t i = 0; i < n_entries; i++) {
        for (uint32_t v = 0; v < entries[i].n_versions; v++) {
            const struct tern_model_version *version = entries[i].versions[v];
            if (call->version == 0 || version->info.version == call->version)
                TERN_TRY(add_version(call, version, &stats[call->n_stats++], err));
        }
    }
    return TERN_OK;
}

enum tern_code gateway_run_statistics(struct gateway_call *gc, bool *ret_pending,
                                      struct tern_err *err)
{
    const struct tern_snapshot *snapshot = gc->loop->snapshot;
    struct tern_call *call = &gc->call;

    (void)ret_pending;
    if (call->model.n == 0)
        return collect(call, snapshot->models, snapshot->n_models, err);
    const struct tern_model_entry *entry = tern_snapshot_find(snapshot, call->model);
    if (entry == NULL || tern_snapshot_version(entry, call->version) == NULL)
        return gateway_fail_no_version(snapshot, call->model, call->version, err);
    return collect(call, entry, 1, err);
}
