/* The statistics extension: what models did so far, as Triton writes it. */
#include "proto/oip_int.h"

static void write_u64(struct tern_buf *out, const char *key, uint64_t v)
{
    tern_buf_add_char(out, '"');
    tern_buf_add_str(out, tern_str_of(key));
    TERN_BUF_ADD_LITERAL(out, "\":");
    tern_buf_add_u64(out, v);
}

static void write_stat(struct tern_buf *out, const char *key, const struct tern_stat *stat)
{
    tern_buf_add_char(out, '"');
    tern_buf_add_str(out, tern_str_of(key));
    TERN_BUF_ADD_LITERAL(out, "\":{");
    write_u64(out, "count", stat->count);
    tern_buf_add_char(out, ',');
    write_u64(out, "ns", stat->ns);
    tern_buf_add_char(out, '}');
}

struct named_stat {
    const char *key;
    const struct tern_stat *stat;
};

/* Comma-separated members. */
static void write_stats(struct tern_buf *out, const struct named_stat *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        write_stat(out, rows[i].key, rows[i].stat);
    }
}

static void write_inference(struct tern_buf *out, const struct tern_model_stats *stats)
{
    const struct named_stat rows[] = {
        {"success", &stats->success},
        {"fail", &stats->fail},
        {"queue", &stats->queue},
        {"compute_input", &stats->compute_input},
        {"compute_infer", &stats->compute_infer},
        {"compute_output", &stats->compute_output},
        {"cache_hit", &stats->cache_hit},
        {"cache_miss", &stats->cache_miss},
    };

    TERN_BUF_ADD_LITERAL(out, ",\"inference_stats\":{");
    write_stats(out, rows, TERN_COUNT_OF(rows));
    tern_buf_add_char(out, '}');
}

static void write_responses(struct tern_buf *out, const struct tern_model_stats *stats)
{
    TERN_BUF_ADD_LITERAL(out, ",\"response_stats\":{");
    for (uint32_t i = 0; i < stats->n_responses; i++) {
        const struct tern_response_stats *row = &stats->responses[i];
        const struct named_stat rows[] = {
            {"compute_infer", &row->compute_infer},
            {"compute_output", &row->compute_output},
            {"success", &row->success},
            {"fail", &row->fail},
            {"empty_response", &row->empty_response},
            {"cancel", &row->cancel},
        };
        if (i > 0)
            tern_buf_add_char(out, ',');
        tern_json_add_string(out, row->key);
        TERN_BUF_ADD_LITERAL(out, ":{");
        write_stats(out, rows, TERN_COUNT_OF(rows));
        tern_buf_add_char(out, '}');
    }
    tern_buf_add_char(out, '}');
}

static void write_batches(struct tern_buf *out, const struct tern_model_stats *stats)
{
    TERN_BUF_ADD_LITERAL(out, ",\"batch_stats\":[");
    for (uint32_t i = 0; i < stats->n_batches; i++) {
        const struct tern_batch_stats *row = &stats->batches[i];
        const struct named_stat rows[] = {
            {"compute_input", &row->compute_input},
            {"compute_infer", &row->compute_infer},
            {"compute_output", &row->compute_output},
        };
        tern_buf_add_str(out, i > 0 ? TERN_STR(",{") : TERN_STR("{"));
        write_u64(out, "batch_size", row->batch_size);
        tern_buf_add_char(out, ',');
        write_stats(out, rows, TERN_COUNT_OF(rows));
        tern_buf_add_char(out, '}');
    }
    tern_buf_add_char(out, ']');
}

enum tern_code tern_oip_encode_statistics(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);

    TERN_BUF_ADD_LITERAL(out, "{\"model_stats\":[");
    for (uint32_t i = 0; i < call->n_stats; i++) {
        const struct tern_model_stats *stats = &call->stats[i];
        tern_buf_add_str(out, i > 0 ? TERN_STR(",{\"name\":") : TERN_STR("{\"name\":"));
        tern_json_add_string(out, stats->name);
        TERN_BUF_ADD_LITERAL(out, ",\"version\":\"");
        tern_buf_add_i64(out, stats->version);
        TERN_BUF_ADD_LITERAL(out, "\",");
        write_u64(out, "last_inference", stats->last_inference_ms);
        tern_buf_add_char(out, ',');
        write_u64(out, "inference_count", stats->inference_count);
        tern_buf_add_char(out, ',');
        write_u64(out, "execution_count", stats->execution_count);
        write_inference(out, stats);
        write_responses(out, stats);
        write_batches(out, stats);
        TERN_BUF_ADD_LITERAL(out, ",\"memory_usage\":[]}");
    }
    TERN_BUF_ADD_LITERAL(out, "]}");
    return tern_buf_check(out, "the response", err);
}
