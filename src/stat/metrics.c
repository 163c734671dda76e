#include "stat/metrics_int.h"

#include "base/mem.h"
#include "base/num.h"

const uint64_t tern_latency_bound_ns[TERN_LATENCY_BOUNDS] = {
    1000,      2000,      5000,       10000,      20000,      50000,       100000,   200000,
    500000,    1000000,   2000000,    5000000,    10000000,   20000000,    50000000, 100000000,
    200000000, 500000000, 1000000000, 2000000000, 5000000000, 10000000000,
};

/* Index: leading zeros of the value. A value with b = 63 - zeros as its top bit is at least 2^b; no
 * octave holds two bounds. */
const uint8_t tern_latency_first[64] = {
    22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22,
    22, 22, 22, 22, 22, 22, 22, 22, 21, 20, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 11, 10,
    9,  8,  7,  6,  5,  4,  3,  2,  2,  1,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
};

void tern_counter_set_shared(struct tern_counter *counter, uint64_t value)
{
    atomic_store_explicit(&counter->value, value, memory_order_relaxed);
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
    metrics->parts = TERN_METRIC_PART_BIT(TERN_METRIC_PART_OWN);
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

void tern_metrics_show(struct tern_metrics *metrics, unsigned parts)
{
    pthread_mutex_lock(&metrics->lock);
    metrics->parts = parts;
    pthread_mutex_unlock(&metrics->lock);
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

/* ,_team="vision" */
static size_t format_tags(const struct tern_metric_tag *tags, uint32_t n_tags, char *dst)
{
    size_t n = 0;

    for (uint32_t i = 0; i < n_tags && i < TERN_METRIC_TAGS_MAX; i++) {
        struct tern_str name = tags[i].name;
        dst[n++] = ',';
        dst[n++] = '_';
        for (size_t k = 0; k < name.n && k < LABEL_NAME_MAX - 1; k++) {
            char c = name.p[k];
            bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
            dst[n++] = (char)(fits ? c : '_');
        }
        dst[n++] = '=';
        dst[n++] = '"';
        n += escape_label(tags[i].value, dst + n);
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
    return tern_metrics_get_tagged(metrics, group, values, NULL, 0, ret_set, err);
}

enum tern_code tern_metrics_get_tagged(struct tern_metrics *metrics,
                                       const struct tern_metric_group *group,
                                       const struct tern_str *values,
                                       const struct tern_metric_tag *tags, uint32_t n_tags,
                                       struct tern_metric_set **ret_set, struct tern_err *err)
{
    char text[LABELS_TEXT_MAX];
    size_t n = format_labels(group, values, text);
    n += format_tags(tags, n_tags, text + n);
    struct tern_str labels = tern_str_make(text, n);
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

uint64_t tern_metric_set_sum(const struct tern_metric_set *set, size_t offset)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < set->n_shards; i++) {
        const struct tern_counter *c = (const void *)(set->cells + set->stride * i + offset);
        sum += atomic_load_explicit(&c->value, memory_order_relaxed);
    }
    return sum;
}

uint64_t tern_metric_set_max(const struct tern_metric_set *set, size_t offset)
{
    uint64_t max = 0;

    for (uint32_t i = 0; i < set->n_shards; i++) {
        const struct tern_counter *c = (const void *)(set->cells + set->stride * i + offset);
        uint64_t v = atomic_load_explicit(&c->value, memory_order_relaxed);
        max = v > max ? v : max;
    }
    return max;
}

void tern_metric_set_latency(const struct tern_metric_set *set, size_t offset, uint64_t *ret_count,
                             uint64_t *ret_ns)
{
    struct metric_slots slots;

    metric_sum_slots(set, offset, &slots);
    *ret_count = slots.total;
    *ret_ns = slots.sum_ns;
}

uint32_t tern_metric_set_shards(const struct tern_metric_set *set)
{
    return set->n_shards;
}
