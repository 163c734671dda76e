/* The page: a line is name{labels} value. All names of a family stand together, as the format
 * demands. */
#include "stat/metrics_int.h"

#include <stdio.h>
#include "base/num.h"

static const char *const bound_text[TERN_LATENCY_BOUNDS + 1] = {
    "1e-06",  "2e-06", "5e-06", "1e-05", "2e-05", "5e-05", "0.0001", "0.0002",
    "0.0005", "0.001", "0.002", "0.005", "0.01",  "0.02",  "0.05",   "0.1",
    "0.2",    "0.5",   "1",     "2",     "5",     "10",    "+Inf",
};

static char *put(char *at, const char *p, size_t n)
{
    memcpy(at, p, n);
    return at + n;
}

static char *put_z(char *at, const char *z)
{
    return put(at, z, strlen(z));
}

/* v / 10^digits, without zeros at the end. */
static char *put_decimal(char *at, uint64_t v, int digits)
{
    uint64_t unit = 1;

    for (int i = 0; i < digits; i++)
        unit *= 10;
    at += tern_num_format_u64(v / unit, at);
    uint64_t rest = v % unit;
    if (rest == 0)
        return at;
    *at++ = '.';
    while (rest % 10 == 0) {
        rest /= 10;
        digits--;
    }
    for (int i = digits - 1; i >= 0; i--, rest /= 10)
        at[i] = (char)('0' + rest % 10);
    return at + digits;
}

/* A sum or a gauge. Triton's microseconds are whole ones. */
static char *put_number(char *at, enum tern_metric_unit unit, uint64_t v)
{
    switch (unit) {
    case TERN_METRIC_UNIT_SECONDS:
    case TERN_METRIC_UNIT_RATIO:
        return put_decimal(at, v, 9);
    case TERN_METRIC_UNIT_MICROSECONDS:
        return at + tern_num_format_u64(v / 1000, at);
    case TERN_METRIC_UNIT_MILLISECONDS:
        return put_decimal(at, v, 6);
    case TERN_METRIC_UNIT_NONE:
    default:
        return at + tern_num_format_u64(v, at);
    }
}

/* name<suffix>{labels,label="value": everything up to the closing brace or the space. */
struct prefix {
    size_t n;
    bool has_labels;
    char text[LABELS_TEXT_MAX + 256];
};

/* Where a row's own label goes. Triton has its labels in the order of the alphabet; ours stand
 * last. A quote within a value is escaped, so that what is looked for is no part of one. */
static size_t place_of_label(const struct tern_metric_set *set, const struct tern_metric_row *row)
{
    const char *const *labels = set->group->labels;

    if (row->part == TERN_METRIC_PART_OWN)
        return set->labels_n;
    for (uint32_t i = 0; i < TERN_METRIC_LABELS_MAX && labels[i] != NULL; i++) {
        char text[LABEL_NAME_MAX + 4];
        int n = snprintf(text, sizeof(text), ",%s=\"", labels[i]);
        const char *at = memmem(set->labels, set->labels_n, text, (size_t)n);
        if (strcmp(labels[i], row->label) > 0)
            return at == NULL ? 0 : (size_t)(at - set->labels);
    }
    return set->labels_n;
}

static void make_prefix(struct prefix *prefix, const struct tern_metric_set *set,
                        const struct tern_metric_row *row, uint32_t cell, const char *suffix)
{
    char *at = put_z(prefix->text, row->name);

    at = put_z(at, suffix);
    prefix->has_labels = set->labels_n > 0 || row->label != NULL;
    if (prefix->has_labels)
        *at++ = '{';
    size_t before = row->label == NULL ? set->labels_n : place_of_label(set, row);
    at = put(at, set->labels, before);
    if (row->label != NULL) {
        if (before > 0)
            *at++ = ',';
        at = put_z(at, row->label);
        at = put_z(at, "=\"");
        at = put_z(at, row->values[cell]);
        *at++ = '"';
        if (before == 0 && set->labels_n > 0)
            *at++ = ',';
    }
    at = put(at, set->labels + before, set->labels_n - before);
    prefix->n = (size_t)(at - prefix->text);
}

static void write_plain(struct tern_buf *buf, const struct tern_metric_set *set,
                        const struct tern_metric_row *row, uint32_t cell)
{
    struct prefix prefix;
    uint64_t v = tern_metric_set_sum(set, row->offset + cell * sizeof(struct tern_counter));

    if (v == 0 && row->sparse)
        return;
    make_prefix(&prefix, set, row, cell, "");
    if (!tern_buf_reserve(buf, prefix.n + 64))
        return;
    char *at = put(buf->p + buf->n, prefix.text, prefix.n);
    if (prefix.has_labels)
        *at++ = '}';
    *at++ = ' ';
    if (row->type == TERN_METRIC_GAUGE && v >> 63 != 0) { /* a gauge below zero */
        *at++ = '-';
        v = (uint64_t)0 - v;
    }
    at = put_number(at, row->unit, v);
    *at++ = '\n';
    buf->n = (size_t)(at - buf->p);
}

void metric_sum_slots(const struct tern_metric_set *set, size_t offset,
                      struct metric_slots *ret_slots)
{
    *ret_slots = (struct metric_slots){0};
    for (uint32_t s = 0; s < set->n_shards; s++) {
        const struct tern_latency *l = (const void *)(set->cells + set->stride * s + offset);
        for (uint32_t i = 0; i <= TERN_LATENCY_BOUNDS; i++)
            ret_slots->slot[i] += atomic_load_explicit(&l->slot[i], memory_order_relaxed);
        ret_slots->sum_ns += atomic_load_explicit(&l->sum_ns, memory_order_relaxed);
    }
    for (uint32_t i = 0; i <= TERN_LATENCY_BOUNDS; i++)
        ret_slots->total += ret_slots->slot[i];
}

/* The buckets of Triton's histogram in milliseconds, or NULL for a slot that ends none of them. */
static const char *bound_ms(uint32_t slot)
{
    static const char *const texts[TERN_LATENCY_BOUNDS + 1] = {
        [15] = "100", [17] = "500", [19] = "2000", [20] = "5000", [TERN_LATENCY_BOUNDS] = "+Inf"};
    return texts[slot];
}

static void write_buckets(struct tern_buf *buf, const struct prefix *prefix,
                          enum tern_metric_unit unit, const struct metric_slots *slots)
{
    bool ms = unit == TERN_METRIC_UNIT_MILLISECONDS;
    uint64_t below = 0;

    if (!tern_buf_reserve(buf, (prefix->n + 64) * (TERN_LATENCY_BOUNDS + 1)))
        return;
    char *at = buf->p + buf->n;
    for (uint32_t i = slots->total == 0 ? TERN_LATENCY_BOUNDS : 0; i <= TERN_LATENCY_BOUNDS; i++) {
        below += slots->slot[i];
        const char *bound = ms ? bound_ms(i) : bound_text[i];
        if (bound == NULL)
            continue;
        at = put(at, prefix->text, prefix->n);
        at = put_z(at, prefix->has_labels ? ",le=\"" : "{le=\"");
        at = put_z(at, bound);
        at = put(at, "\"} ", 3);
        at += tern_num_format_u64(below, at);
        *at++ = '\n';
    }
    buf->n = (size_t)(at - buf->p);
}

/* Where in its slot a value lies is not known: they are taken to be spread evenly. */
static uint64_t quantile_ns(const struct metric_slots *slots, double q)
{
    double rank = q * (double)slots->total;
    double below = 0;

    for (uint32_t i = 0; i < TERN_LATENCY_BOUNDS; i++) {
        double here = (double)slots->slot[i];
        if (here > 0 && below + here >= rank) {
            double low = i == 0 ? 0 : (double)tern_latency_bound_ns[i - 1];
            double high = (double)tern_latency_bound_ns[i];
            return (uint64_t)(low + (high - low) * (rank - below) / here);
        }
        below += here;
    }
    return tern_latency_bound_ns[TERN_LATENCY_BOUNDS - 1];
}

static void write_quantiles(struct tern_buf *buf, const struct prefix *prefix,
                            const struct metric_slots *slots)
{
    static const struct {
        double q;
        const char *text;
    } quantiles[] = {{0.5, "0.5"}, {0.9, "0.9"}, {0.95, "0.95"}, {0.99, "0.99"}, {0.999, "0.999"}};

    if (!tern_buf_reserve(buf, (prefix->n + 64) * TERN_COUNT_OF(quantiles)))
        return;
    char *at = buf->p + buf->n;
    for (size_t i = 0; i < TERN_COUNT_OF(quantiles); i++) {
        at = put(at, prefix->text, prefix->n);
        at = put_z(at, prefix->has_labels ? ",quantile=\"" : "{quantile=\"");
        at = put_z(at, quantiles[i].text);
        at = put(at, "\"} ", 3);
        at = put_decimal(at, quantile_ns(slots, quantiles[i].q), 3);
        *at++ = '\n';
    }
    buf->n = (size_t)(at - buf->p);
}

static void write_total(struct tern_buf *buf, const struct tern_metric_set *set,
                        const struct tern_metric_row *row, uint32_t cell, const char *suffix,
                        enum tern_metric_unit unit, uint64_t value)
{
    struct prefix prefix;

    make_prefix(&prefix, set, row, cell, suffix);
    if (!tern_buf_reserve(buf, prefix.n + 64))
        return;
    char *at = put(buf->p + buf->n, prefix.text, prefix.n);
    if (prefix.has_labels)
        *at++ = '}';
    *at++ = ' ';
    at = put_number(at, unit, value);
    *at++ = '\n';
    buf->n = (size_t)(at - buf->p);
}

static void write_latency(struct tern_buf *buf, const struct tern_metric_set *set,
                          const struct tern_metric_row *row, uint32_t cell)
{
    bool histogram = row->type == TERN_METRIC_HISTOGRAM;
    struct metric_slots slots;
    struct prefix prefix;

    metric_sum_slots(set, row->offset + cell * sizeof(struct tern_latency), &slots);
    if (slots.total == 0 && row->sparse)
        return;
    make_prefix(&prefix, set, row, cell, histogram ? "_bucket" : "");
    if (histogram)
        write_buckets(buf, &prefix, row->unit, &slots);
    else
        write_quantiles(buf, &prefix, &slots);
    write_total(buf, set, row, cell, "_sum", row->unit, slots.sum_ns);
    write_total(buf, set, row, cell, "_count", TERN_METRIC_UNIT_NONE, slots.total);
}

static const char *type_name(enum tern_metric_type type)
{
    static const char *const names[] = {"counter", "gauge", "histogram", "summary"};
    return names[type];
}

static void write_family(struct tern_buf *buf, const struct tern_metric_set *sets,
                         const struct tern_metric_row *row)
{
    tern_buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                    type_name(row->type));
    for (const struct tern_metric_set *set = sets; set != NULL; set = set->next) {
        for (uint32_t cell = 0; cell < row->n_values; cell++) {
            if (row->type == TERN_METRIC_HISTOGRAM || row->type == TERN_METRIC_SUMMARY)
                write_latency(buf, set, row, cell);
            else
                write_plain(buf, set, row, cell);
        }
    }
}

enum tern_code tern_metrics_write(struct tern_metrics *metrics, struct tern_buf *buf,
                                  struct tern_err *err)
{
    pthread_mutex_lock(&metrics->lock);
    for (uint32_t g = 0; g < metrics->n_groups && !buf->failed; g++) {
        if (metrics->sets[g] == NULL)
            continue;
        for (uint32_t r = 0; r < metrics->groups[g]->n_rows; r++) {
            const struct tern_metric_row *row = &metrics->groups[g]->rows[r];
            if ((metrics->parts & TERN_METRIC_PART_BIT(row->part)) != 0)
                write_family(buf, metrics->sets[g], row);
        }
    }
    pthread_mutex_unlock(&metrics->lock);
    return tern_buf_check(buf, "the metrics page", err);
}

static void write_doc_row(struct tern_buf *buf, const struct tern_metric_group *group,
                          const struct tern_metric_row *row)
{
    bool first = true;

    tern_buf_printf(buf, "| `%s` | %s | ", row->name, type_name(row->type));
    for (uint32_t i = 0; i < TERN_METRIC_LABELS_MAX && group->labels[i] != NULL; i++) {
        tern_buf_printf(buf, "%s`%s`", first ? "" : ", ", group->labels[i]);
        first = false;
    }
    if (row->label != NULL) {
        tern_buf_printf(buf, "%s`%s`:", first ? "" : ", ", row->label);
        for (uint32_t i = 0; i < row->n_values; i++)
            tern_buf_printf(buf, " %s", row->values[i]);
    }
    tern_buf_printf(buf, " | %s |\n", row->help);
}

void tern_metrics_write_doc(const struct tern_metric_group *const *groups, uint32_t n_groups,
                            struct tern_buf *buf)
{
    for (uint32_t g = 0; g < n_groups; g++) {
        tern_buf_printf(buf, "\n## %s\n\n| name | type | labels | meaning |\n", groups[g]->name);
        TERN_BUF_ADD_LITERAL(buf, "| --- | --- | --- | --- |\n");
        for (uint32_t r = 0; r < groups[g]->n_rows; r++)
            write_doc_row(buf, groups[g], &groups[g]->rows[r]);
    }
}
