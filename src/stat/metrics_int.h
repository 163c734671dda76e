/* Private to stat/: what metrics.c keeps and metrics_page.c shows. */
#ifndef TERN_STAT_METRICS_INT_H
#define TERN_STAT_METRICS_INT_H

#include <pthread.h>
#include "stat/metrics.h"

#define LABEL_VALUE_MAX 256 /* longer label values are cut */
#define LABEL_NAME_MAX  60
#define LABELS_TEXT_MAX \
    ((size_t)(TERN_METRIC_LABELS_MAX + TERN_METRIC_TAGS_MAX) * (2 * LABEL_VALUE_MAX + 64))

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
    unsigned parts; /* shown; under the lock */
};

/* One struct tern_latency of a set, its shards added up. */
struct metric_slots {
    uint64_t sum_ns;
    uint64_t total;
    uint64_t slot[TERN_LATENCY_BOUNDS + 1];
};

void metric_sum_slots(const struct tern_metric_set *set, size_t offset,
                      struct metric_slots *ret_slots);

#endif
