/* Over gRPC: the statistics of models. Every duration is written, also those of nothing: clients
 * look at them without asking whether they are there. */
#include "proto/oip_grpc_admin.h"

/* StatisticDuration: count = 1, ns = 2 */
static void add_stat(struct tern_buf *out, uint32_t number, const struct tern_stat *stat)
{
    size_t mark = tern_pb_open(out, number);

    tern_pb_add_varint_unless_zero(out, 1, stat->count);
    tern_pb_add_varint_unless_zero(out, 2, stat->ns);
    tern_pb_close(out, mark);
}

/* InferStatistics */
static void add_infer_stats(struct tern_buf *out, const struct tern_model_stats *stats)
{
    size_t mark = tern_pb_open(out, 6);

    add_stat(out, 1, &stats->success);
    add_stat(out, 2, &stats->fail);
    add_stat(out, 3, &stats->queue);
    add_stat(out, 4, &stats->compute_input);
    add_stat(out, 5, &stats->compute_infer);
    add_stat(out, 6, &stats->compute_output);
    add_stat(out, 7, &stats->cache_hit);
    add_stat(out, 8, &stats->cache_miss);
    tern_pb_close(out, mark);
}

/* InferBatchStatistics */
static void add_batch_stats(struct tern_buf *out, const struct tern_batch_stats *stats)
{
    size_t mark = tern_pb_open(out, 7);

    tern_pb_add_varint(out, 1, stats->batch_size);
    add_stat(out, 2, &stats->compute_input);
    add_stat(out, 3, &stats->compute_infer);
    add_stat(out, 4, &stats->compute_output);
    tern_pb_close(out, mark);
}

/* An entry of the map response_stats: InferResponseStatistics under its key. */
static void add_response_stats(struct tern_buf *out, const struct tern_response_stats *stats)
{
    size_t entry = tern_pb_open(out, 9);

    tern_pb_add_bytes(out, 1, stats->key);
    size_t mark = tern_pb_open(out, 2);
    add_stat(out, 1, &stats->compute_infer);
    add_stat(out, 2, &stats->compute_output);
    add_stat(out, 3, &stats->success);
    add_stat(out, 4, &stats->fail);
    add_stat(out, 5, &stats->empty_response);
    add_stat(out, 6, &stats->cancel);
    tern_pb_close(out, mark);
    tern_pb_close(out, entry);
}

/* ModelStatisticsResponse: model_stats = 1 */
enum tern_code tern_oip_grpc_encode_statistics(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = call->x->out;

    for (uint32_t i = 0; i < call->n_stats; i++) {
        const struct tern_model_stats *stats = &call->stats[i];
        size_t mark = tern_pb_open(out, 1);
        tern_pb_add_bytes(out, 1, stats->name);
        tern_oip_grpc_add_version(out, 2, stats->version);
        tern_pb_add_varint_unless_zero(out, 3, stats->last_inference_ms);
        tern_pb_add_varint_unless_zero(out, 4, stats->inference_count);
        tern_pb_add_varint_unless_zero(out, 5, stats->execution_count);
        add_infer_stats(out, stats);
        for (uint32_t j = 0; j < stats->n_batches; j++)
            add_batch_stats(out, &stats->batches[j]);
        for (uint32_t j = 0; j < stats->n_responses; j++)
            add_response_stats(out, &stats->responses[j]);
        tern_pb_close(out, mark);
    }
    return tern_buf_check(out, "the response", err);
}
