/* GET .../schedule: how a model's requests wait and run, and why (core/schedule.h). Ours; times are
 * in microseconds, as everywhere in Triton's configuration. */
#include <inttypes.h>
#include "proto/oip_int.h"

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

static void write_bucket(struct tern_buf *out, const struct tern_schedule_bucket *row)
{
    tern_buf_printf(out,
                    "{\"waiting\":%" PRIu32 ",\"arrivals_per_second\":%.1f,\"batches_pay\":%s,"
                    "\"run_times\":[",
                    row->waiting, row->rows_per_s, row->gains ? "true" : "false");
    for (uint32_t i = 0; i < row->n_sizes; i++) {
        const struct tern_schedule_size *size = &row->sizes[i];
        tern_buf_printf(
            out, "%s{\"size\":%" PRIu32 ",\"runs\":%" PRIu32 ",\"p50_us\":%.1f,\"p99_us\":%.1f}",
            i > 0 ? "," : "", size->rows, size->runs, us(size->p50_ns), us(size->p99_ns));
    }
    TERN_BUF_ADD_LITERAL(out, "]}");
}

static void write_decisions(struct tern_buf *out, const struct tern_schedule *schedule)
{
    for (uint32_t i = 0; i < schedule->n_decisions; i++) {
        const struct tern_schedule_decision *row = &schedule->decisions[i];
        tern_buf_printf(out, "%s{\"ago_us\":%.1f,\"reason\":", i > 0 ? "," : "", us(row->ago_ns));
        tern_json_add_string(out, row->reason);
        TERN_BUF_ADD_LITERAL(out, ",\"text\":");
        tern_json_add_string(out, row->text);
        tern_buf_add_char(out, '}');
    }
}

struct named_text {
    const char *key;
    struct tern_str text;
};

static void write_texts(struct tern_buf *out, const struct named_text *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        tern_buf_printf(out, "\"%s\":", rows[i].key);
        tern_json_add_string(out, rows[i].text);
        tern_buf_add_char(out, ',');
    }
}

enum tern_code tern_oip_encode_schedule(struct tern_call *call, struct tern_err *err)
{
    const struct tern_schedule *s = call->schedule;
    struct tern_buf *out = tern_oip_begin_json(call->x, 200);
    const struct named_text texts[] = {
        {"name", s->name}, {"runs_on", s->place}, {"batching", s->batching},
        {"why", s->why},   {"unit", s->unit},
    };

    tern_buf_add_char(out, '{');
    write_texts(out, texts, TERN_COUNT_OF(texts));
    tern_buf_printf(out,
                    "\"version\":\"%" PRId64 "\",\"max_batch\":%" PRIu32 ",\"slo_us\":%.1f,"
                    "\"instances\":%" PRIu32 ",\"busy\":%" PRIu32 ",\"waiting\":%" PRIu32
                    ",\"runs\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"shed\":%" PRIu64
                    ",\"timed_out\":%" PRIu64 ",\"late\":%" PRIu64 ",\"shapes\":[",
                    s->version, s->max_rows, us(s->slo_ns), s->instances, s->busy, s->waiting,
                    s->runs, s->requests, s->shed, s->timed_out, s->late);
    for (uint32_t i = 0; i < s->n_buckets; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        write_bucket(out, &s->buckets[i]);
    }
    TERN_BUF_ADD_LITERAL(out, "],\"decisions\":[");
    write_decisions(out, s);
    TERN_BUF_ADD_LITERAL(out, "]}");
    return tern_buf_check(out, "the response", err);
}
