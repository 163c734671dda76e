#include "stat/metrics.h"

#include <pthread.h>
#include "base/mem.h"
#include "base/num.h"

#define LABEL_VALUE_MAX 256 /* longer label values are cut */
#define LABELS_TEXT_MAX ((size_t)TERN_METRIC_LABELS_MAX * (2 * LABEL_VALUE_MAX + 64))

const uint64_t tern_latency_bound_ns[TERN_LATENCY_BOUNDS] = {
    1000,      2000,      5000,       10000,      20000,      50000,       100000,   200000,
    500000,    1000000,   2000000,    5000000,    10000000,   20000000,    50000000, 100000000,
    200000000, 500000000, 1000000000, 2000000000, 5000000000, 10000000000,
};

static const char *const bound_text[TERN_LATENCY_BOUNDS + 1] = {
    "1e-06",  "2e-06", "5e-06", "1e-05", "2e-05", "5e-05", "0.0001", "0.0002",
    "0.0005", "0.001", "0.002", "0.005", "0.01",  "0.02",  "0.05",   "0.1",
    "0.2",    "0.5",   "1",     "2",     "5",     "10",    "+Inf",
};

/* Index: leading zeros of the value. A value with b = 63 - zeros as its top bit is at least 2^b; no
 * octave holds two bounds. */
const uint8_t tern_latency_first[64] = {
    22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22,
    22, 22, 22, 22, 22, 22, 22, 22, 21, 20, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 11, 10,
    9,  8,  7,  6,  5,  4,  3,  2,  2,  1,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
};

struct tern_metric_set {
    struct tern_metric_set *next; /* of the same group */
    const struct tern_metric_group *group;
    uint32_t refs;     /* under the lock */
    uint32_t n_shards; /* with the shared one, which is the last */
    size_t stride;     /* from one shard's cells to the next one's */
    char *cells;       /* owned: cache-line aligned */
    size_t labels_n;
    char labels[]; /* model="iris",version="1" */
};

struct tern_metrics {
    pthread_mutex_t lock; /* over the lists and the references, never over cells */
    const struct tern_metric_group *const *groups;
    struct tern_metric_set **sets;     /* owned: one list a group, in order of creation */
    struct tern_metric_set **overflow; /* owned by the lists above */
    uint32_t n_groups;
    uint32_t shards;
    uint32_t sets_max;
    uint32_t n_sets;
};

void tern_counter_add_shared(struct tern_counter *counter, uint64_t n)
{
    atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
}

void tern_counter_set_shared(struct tern_counter *counter, uint64_t value)
{
    atomic_store_explicit(&counter->value, value, memory_order_relaxed);
}

void tern_latency_record_shared(struct tern_latency *latency, uint64_t ns)
{
    atomic_fetch_add_explicit(&latency->slot[tern_latency_slot(ns)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&latency->sum_ns, ns, memory_order_relaxed);
}

enum tern_code tern_metrics_new(const struct tern_metric_group *const *groups, uint32_t n_groups,
                                uint32_t shards, uint32_t sets_max,
                                struct tern_metrics **ret_metrics, struct tern_err *err)
{
    struct tern_metrics *metrics = tern_mem_zalloc(1, sizeof(*metrics));
    if (metrics == NULL)
        return tern_mem_fail(err, "the metrics", sizeof(*metrics));

    metrics->groups = groups;
    metrics->n_groups = n_groups;
    metrics->shards = shards;
    metrics->sets_max = sets_max;
    pthread_mutex_init(&metrics->lock, NULL);
    metrics->sets = tern_mem_zalloc(n_groups, sizeof(struct tern_metric_set *));
    metrics->overflow = tern_mem_zalloc(n_groups, sizeof(struct tern_metric_set *));
    if (metrics->sets == NULL || metrics->overflow == NULL) {
        tern_metrics_free(metrics);
        return tern_mem_fail(err, "the metrics", n_groups * sizeof(struct tern_metric_set *));
    }
    *ret_metrics = metrics;
    return TERN_OK;
}

static void free_set(struct tern_metric_set *set)
{
    tern_mem_free(set->cells);
    tern_mem_free(set);
}

void tern_metrics_free(struct tern_metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (uint32_t g = 0; metrics->sets != NULL && g < metrics->n_groups; g++) {
        while (metrics->sets[g] != NULL) {
            struct tern_metric_set *set = metrics->sets[g];
            metrics->sets[g] = set->next;
            free_set(set);
        }
    }
    pthread_mutex_destroy(&metrics->lock);
    tern_mem_free(metrics->sets);
    tern_mem_free(metrics->overflow);
    tern_mem_free(metrics);
}

/* The exposition format escapes backslash, quote and newline; other controls have no business in a
 * label, and what is not UTF-8 would make a scraper refuse the whole page: both become '?'. */
static size_t escape_label(struct tern_str value, char *dst)
{
    size_t n = 0;
    size_t len = value.n < LABEL_VALUE_MAX ? value.n : LABEL_VALUE_MAX;

    while (len < value.n && len > 0 && ((unsigned char)value.p[len] & 0xc0) == 0x80)
        len--; /* cut between characters */
    bool utf8 = tern_str_is_utf8(tern_str_make(value.p, len));
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c == '\\' || c == '"' || c == '\n')
            dst[n++] = '\\';
        if (c == '\n')
            dst[n++] = 'n';
        else
            dst[n++] = (char)(c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8) ? '?' : c);
    }
    return n;
}

/* model="iris",version="1"; values NULL: every value is __overflow__. dst: LABELS_TEXT_MAX. */
static size_t format_labels(const struct tern_metric_group *group, const struct tern_str *values,
                            char *dst)
{
    size_t n = 0;

    for (uint32_t i = 0; i < TERN_METRIC_LABELS_MAX && group->labels[i] != NULL; i++) {
        struct tern_str name = tern_str_of(group->labels[i]);
        if (i > 0)
            dst[n++] = ',';
        memcpy(dst + n, name.p, name.n);
        n += name.n;
        dst[n++] = '=';
        dst[n++] = '"';
        n += escape_label(values == NULL ? TERN_STR("__overflow__") : values[i], dst + n);
        dst[n++] = '"';
    }
    return n;
}

static struct tern_metric_set *new_set(const struct tern_metrics *metrics,
                                       const struct tern_metric_group *group,
                                       struct tern_str labels)
{
    struct tern_metric_set *set = tern_mem_zalloc(1, sizeof(*set) + labels.n);
    if (set == NULL)
        return NULL;

    set->group = group;
    set->refs = 1;
    set->n_shards = metrics->shards + 1;
    set->stride = (group->cells_size + TERN_CACHE_LINE - 1) / TERN_CACHE_LINE * TERN_CACHE_LINE;
    set->cells = tern_mem_alloc_aligned(TERN_CACHE_LINE, set->stride * set->n_shards);
    if (set->cells == NULL) {
        tern_mem_free(set);
        return NULL;
    }
    memset(set->cells, 0, set->stride * set->n_shards);
    set->labels_n = labels.n;
    memcpy(set->labels, labels.p, labels.n);
    return set;
}

static uint32_t group_index(const struct tern_metrics *metrics,
                            const struct tern_metric_group *group)
{
    uint32_t g = 0;
    while (g < metrics->n_groups && metrics->groups[g] != group)
        g++;
    return g;
}

/* Under the lock. Finds the set or appends a new one; the list stays in order of creation, which is
 * the order of the page. */
static struct tern_metric_set *find_or_add(struct tern_metrics *metrics, uint32_t g,
                                           struct tern_str labels)
{
    struct tern_metric_set **link = &metrics->sets[g];

    for (; *link != NULL; link = &(*link)->next) {
        struct tern_metric_set *set = *link;
        if (tern_str_eq(labels, tern_str_make(set->labels, set->labels_n))) {
            set->refs++;
            return set;
        }
    }
    if (metrics->n_sets >= metrics->sets_max) {
        if (metrics->overflow[g] != NULL) {
            metrics->overflow[g]->refs++;
            return metrics->overflow[g];
        }
        char text[LABELS_TEXT_MAX];
        size_t n = format_labels(metrics->groups[g], NULL, text);
        *link = metrics->overflow[g] = new_set(metrics, metrics->groups[g], tern_str_make(text, n));
        return *link;
    }
    *link = new_set(metrics, metrics->groups[g], labels);
    if (*link != NULL)
        metrics->n_sets++;
    return *link;
}

enum tern_code tern_metrics_get(struct tern_metrics *metrics, const struct tern_metric_group *group,
                                const struct tern_str *values, struct tern_metric_set **ret_set,
                                struct tern_err *err)
{
    char text[LABELS_TEXT_MAX];
    struct tern_str labels = tern_str_make(text, format_labels(group, values, text));
    uint32_t g = group_index(metrics, group);

    if (g == metrics->n_groups)
        return tern_fail(err, TERN_INTERNAL, "metrics: the group '%s' is not in the catalogue",
                         group->name);
    pthread_mutex_lock(&metrics->lock);
    struct tern_metric_set *set = find_or_add(metrics, g, labels);
    pthread_mutex_unlock(&metrics->lock);
    if (set == NULL)
        return tern_mem_fail(err, "a set of metrics", group->cells_size);
    *ret_set = set;
    return TERN_OK;
}

void tern_metrics_release(struct tern_metrics *metrics, struct tern_metric_set *set)
{
    if (set == NULL)
        return;
    pthread_mutex_lock(&metrics->lock);
    bool last = --set->refs == 0;
    if (last) {
        uint32_t g = group_index(metrics, set->group);
        struct tern_metric_set **link = &metrics->sets[g];
        while (*link != set)
            link = &(*link)->next;
        *link = set->next;
        if (metrics->overflow[g] == set)
            metrics->overflow[g] = NULL;
        else
            metrics->n_sets--;
    }
    pthread_mutex_unlock(&metrics->lock);
    if (last)
        free_set(set);
}

void *tern_metric_set_cells(struct tern_metric_set *set, uint32_t shard)
{
    return set->cells + set->stride * (shard < set->n_shards ? shard : set->n_shards - 1);
}

void *tern_metric_set_shared(struct tern_metric_set *set)
{
    return tern_metric_set_cells(set, set->n_shards - 1);
}

static uint64_t sum_cell(const struct tern_metric_set *set, size_t offset)
{
    uint64_t sum = 0;

    for (uint32_t s = 0; s < set->n_shards; s++) {
        const struct tern_counter *c = (const void *)(set->cells + set->stride * s + offset);
        sum += atomic_load_explicit(&c->value, memory_order_relaxed);
    }
    return sum;
}

uint64_t tern_metric_set_sum(const struct tern_metric_set *set, size_t offset)
{
    return sum_cell(set, offset);
}

/* The page: a line is name{labels} value. All names of a family stand together, as the format
 * demands. */

static char *put(char *at, const char *p, size_t n)
{
    memcpy(at, p, n);
    return at + n;
}

static char *put_z(char *at, const char *z)
{
    return put(at, z, strlen(z));
}

static char *put_seconds(char *at, uint64_t ns)
{
    at += tern_num_format_u64(ns / 1000000000u, at);
    uint64_t rest = ns % 1000000000u;
    if (rest == 0)
        return at;
    *at++ = '.';
    int digits = 9;
    while (rest % 10 == 0) {
        rest /= 10;
        digits--;
    }
    for (int i = digits - 1; i >= 0; i--, rest /= 10)
        at[i] = (char)('0' + rest % 10);
    return at + digits;
}

static char *put_number(char *at, const struct tern_metric_row *row, uint64_t v)
{
    if (row->type == TERN_METRIC_GAUGE && v >> 63 != 0) { /* a gauge below zero */
        *at++ = '-';
        v = (uint64_t)0 - v;
    }
    if (row->unit == TERN_METRIC_UNIT_SECONDS)
        return put_seconds(at, v);
    return at + tern_num_format_u64(v, at);
}

/* name<suffix>{labels,label="value": everything up to the closing brace or the space. */
struct prefix {
    size_t n;
    bool has_labels;
    char text[LABELS_TEXT_MAX + 256];
};

static void make_prefix(struct prefix *prefix, const struct tern_metric_set *set,
                        const struct tern_metric_row *row, uint32_t cell, const char *suffix)
{
    char *at = put_z(prefix->text, row->name);

    at = put_z(at, suffix);
    prefix->has_labels = set->labels_n > 0 || row->label != NULL;
    if (prefix->has_labels)
        *at++ = '{';
    at = put(at, set->labels, set->labels_n);
    if (row->label != NULL) {
        if (set->labels_n > 0)
            *at++ = ',';
        at = put_z(at, row->label);
        at = put_z(at, "=\"");
        at = put_z(at, row->values[cell]);
        *at++ = '"';
    }
    prefix->n = (size_t)(at - prefix->text);
}

static void write_plain(struct tern_buf *buf, const struct tern_metric_set *set,
                        const struct tern_metric_row *row, uint32_t cell)
{
    struct prefix prefix;
    uint64_t v = sum_cell(set, row->offset + cell * sizeof(struct tern_counter));

    if (v == 0 && row->sparse)
        return;
    make_prefix(&prefix, set, row, cell, "");
    if (!tern_buf_reserve(buf, prefix.n + 64))
        return;
    char *at = put(buf->p + buf->n, prefix.text, prefix.n);
    if (prefix.has_labels)
        *at++ = '}';
    *at++ = ' ';
    at = put_number(at, row, v);
    *at++ = '\n';
    buf->n = (size_t)(at - buf->p);
}

static void write_buckets(struct tern_buf *buf, const struct prefix *prefix,
                          const uint64_t slot[TERN_LATENCY_BOUNDS + 1], uint64_t total)
{
    uint64_t below = 0;

    if (!tern_buf_reserve(buf, (prefix->n + 64) * (TERN_LATENCY_BOUNDS + 1)))
        return;
    char *at = buf->p + buf->n;
    for (uint32_t i = total == 0 ? TERN_LATENCY_BOUNDS : 0; i <= TERN_LATENCY_BOUNDS; i++) {
        below += slot[i];
        at = put(at, prefix->text, prefix->n);
        at = put_z(at, prefix->has_labels ? ",le=\"" : "{le=\"");
        at = put_z(at, bound_text[i]);
        at = put(at, "\"} ", 3);
        at += tern_num_format_u64(below, at);
        *at++ = '\n';
    }
    buf->n = (size_t)(at - buf->p);
}

static void write_total(struct tern_buf *buf, const struct tern_metric_set *set,
                        const struct tern_metric_row *row, uint32_t cell, const char *suffix,
                        uint64_t value, bool seconds)
{
    struct prefix prefix;

    make_prefix(&prefix, set, row, cell, suffix);
    if (!tern_buf_reserve(buf, prefix.n + 64))
        return;
    char *at = put(buf->p + buf->n, prefix.text, prefix.n);
    if (prefix.has_labels)
        *at++ = '}';
    *at++ = ' ';
    at = seconds ? put_seconds(at, value) : at + tern_num_format_u64(value, at);
    *at++ = '\n';
    buf->n = (size_t)(at - buf->p);
}

static void write_latency(struct tern_buf *buf, const struct tern_metric_set *set,
                          const struct tern_metric_row *row, uint32_t cell)
{
    uint64_t slot[TERN_LATENCY_BOUNDS + 1] = {0};
    uint64_t sum_ns = 0;
    uint64_t total = 0;
    struct prefix prefix;

    for (uint32_t s = 0; s < set->n_shards; s++) {
        const struct tern_latency *l =
            (const void *)(set->cells + set->stride * s + row->offset + cell * sizeof(*l));
        for (uint32_t i = 0; i <= TERN_LATENCY_BOUNDS; i++)
            slot[i] += atomic_load_explicit(&l->slot[i], memory_order_relaxed);
        sum_ns += atomic_load_explicit(&l->sum_ns, memory_order_relaxed);
    }
    for (uint32_t i = 0; i <= TERN_LATENCY_BOUNDS; i++)
        total += slot[i];
    if (total == 0 && row->sparse)
        return;
    make_prefix(&prefix, set, row, cell, "_bucket");
    write_buckets(buf, &prefix, slot, total);
    write_total(buf, set, row, cell, "_sum", sum_ns, true);
    write_total(buf, set, row, cell, "_count", total, false);
}

static const char *type_name(enum tern_metric_type type)
{
    static const char *const names[] = {"counter", "gauge", "histogram"};
    return names[type];
}

static void write_family(struct tern_buf *buf, const struct tern_metric_set *sets,
                         const struct tern_metric_row *row)
{
    tern_buf_printf(buf, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                    type_name(row->type));
    for (const struct tern_metric_set *set = sets; set != NULL; set = set->next) {
        for (uint32_t cell = 0; cell < row->n_values; cell++) {
            if (row->type == TERN_METRIC_HISTOGRAM)
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
        for (uint32_t r = 0; r < metrics->groups[g]->n_rows; r++)
            write_family(buf, metrics->sets[g], &metrics->groups[g]->rows[r]);
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
