/* Metrics: what is counted on the hot path and shown to Prometheus.
 *
 * A *group* is a table of rows that share their labels (model and version, say) and a struct of
 * cells; each row points at its cells by offset. A *set* is one instance of a group: fixed label
 * values and one copy of that struct for each *shard*. A shard belongs to one thread, which alone
 * writes it, so that recording is a plain load, add and store: no lock, no locked instruction, no
 * cache line shared between writers. Threads without a shard of their own share the last one, by
 * atomic additions (the _shared calls). A scrape adds the shards up.
 *
 *     struct tern_model_cells *cells = tern_metric_set_cells(set, loop_index);  // once, at load
 *     tern_counter_add(&cells->requests[TERN_OUTCOME_OK], 1);                   // a request
 *     tern_latency_record(&cells->stage[TERN_STAGE_INFER], finished_ns - started_ns);
 *
 * Sets are made where models are loaded, never on the hot path; their number is bounded, and past
 * the bound every new label combination is counted in one set labelled "__overflow__".
 * The groups that Tern has stand in stat/catalog.h. */
#ifndef TERN_STAT_METRICS_H
#define TERN_STAT_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/str.h"

/* A counter, or a gauge when additions may be negative (modulo 2^64). Durations: nanoseconds. */
struct tern_counter {
    _Atomic uint64_t value;
};

/* Upper bounds, 1-2-5 steps a decade: 1 us, 2 us, 5 us ... 5 s, 10 s. One more slot: above. */
#define TERN_LATENCY_BOUNDS 22

struct tern_latency {
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t slot[TERN_LATENCY_BOUNDS + 1];
};

extern const uint64_t tern_latency_bound_ns[TERN_LATENCY_BOUNDS];
/* First bound that a value with this many leading zeros may fall under. */
extern const uint8_t tern_latency_first[64];

TERN_INLINE void tern_counter_add(struct tern_counter *counter, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, v + n, memory_order_relaxed);
}

/* For gauges: what one thread raised another may lower, each in its own shard. */
TERN_INLINE void tern_counter_sub(struct tern_counter *counter, uint64_t n)
{
    tern_counter_add(counter, (uint64_t)0 - n);
}

TERN_INLINE uint32_t tern_latency_slot(uint64_t ns)
{
    uint32_t i = tern_latency_first[__builtin_clzll(ns | 1)];

    while (i < TERN_LATENCY_BOUNDS && ns > tern_latency_bound_ns[i]) /* at most one step */
        i++;
    return i;
}

TERN_INLINE void tern_latency_record(struct tern_latency *latency, uint64_t ns)
{
    _Atomic uint64_t *slot = &latency->slot[tern_latency_slot(ns)];

    atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    uint64_t sum = atomic_load_explicit(&latency->sum_ns, memory_order_relaxed);
    atomic_store_explicit(&latency->sum_ns, sum + ns, memory_order_relaxed);
}

/* From a thread without a shard, on cells of tern_metric_set_shared: it has this value now. */
void tern_counter_set_shared(struct tern_counter *counter, uint64_t value);

enum tern_metric_type {
    TERN_METRIC_COUNTER,
    TERN_METRIC_GAUGE,
    TERN_METRIC_HISTOGRAM, /* cells are struct tern_latency; others are struct tern_counter */
    TERN_METRIC_SUMMARY,   /* the same cells, shown as quantiles of all that was recorded */
};

enum tern_metric_unit {
    TERN_METRIC_UNIT_NONE,
    TERN_METRIC_UNIT_SECONDS,      /* cells hold nanoseconds */
    TERN_METRIC_UNIT_MICROSECONDS, /* cells hold nanoseconds */
    TERN_METRIC_UNIT_MILLISECONDS, /* the same; a histogram has Triton's few buckets */
    TERN_METRIC_UNIT_RATIO,        /* cells hold billionths */
};

/* Which rows a page shows: tern_metrics_show. */
enum tern_metric_part {
    TERN_METRIC_PART_OWN,
    TERN_METRIC_PART_TRITON,           /* Triton's names for the same cells */
    TERN_METRIC_PART_TRITON_SUMMARIES, /* and its quantiles, which it shows only when asked */
};

struct tern_metric_row {
    const char *name; /* "tern_model_requests_total" */
    const char *help;
    enum tern_metric_type type;
    enum tern_metric_unit unit;
    uint32_t offset;           /* of the first cell in the group's struct */
    const char *label;         /* a label of this row alone, or NULL */
    const char *const *values; /* its values, one cell each, in order */
    uint32_t n_values;         /* cells; 1 without a label */
    bool sparse;               /* cells that are zero are not shown (a wide grid) */
    enum tern_metric_part part;
};

#define TERN_METRIC_LABELS_MAX 4
#define TERN_METRIC_TAGS_MAX   8

struct tern_metric_group {
    const char *name;                           /* for the documentation: "model" */
    const char *labels[TERN_METRIC_LABELS_MAX]; /* of every row; NULL: no more */
    const struct tern_metric_row *rows;
    uint32_t n_rows;
    size_t cells_size; /* sizeof the struct of cells */
};

struct tern_metrics;
struct tern_metric_set;

/* `shards`: threads that have an index of their own. `sets_max`: label combinations in all.
 * The groups, in the order shown, are borrowed for the life of the metrics. */
enum tern_code tern_metrics_new(const struct tern_metric_group *const *groups, uint32_t n_groups,
                                uint32_t shards, uint32_t sets_max,
                                struct tern_metrics **ret_metrics, struct tern_err *err);
/* Frees the sets that are left too. */
void tern_metrics_free(struct tern_metrics *metrics);

/* The parts that pages show from now on, one bit each; at first OWN alone. Any thread. */
void tern_metrics_show(struct tern_metrics *metrics, unsigned parts);
#define TERN_METRIC_PART_BIT(part) (1u << (part))

/* The set of these label values (one for each label of the group; copied): a new one, or, when it
 * is there, one more reference to it, so that a reload goes on counting. Release each once. Past
 * sets_max: the group's overflow set. From any thread but not on the hot path: takes the lock. */
enum tern_code tern_metrics_get(struct tern_metrics *metrics, const struct tern_metric_group *group,
                                const struct tern_str *values, struct tern_metric_set **ret_set,
                                struct tern_err *err);
/* Labels of one set alone, shown behind the group's: `_<name>`, in which what a label's name cannot
 * have becomes '_'. No more than TERN_METRIC_TAGS_MAX count. */
struct tern_metric_tag {
    struct tern_str name;
    struct tern_str value;
};
enum tern_code tern_metrics_get_tagged(struct tern_metrics *metrics,
                                       const struct tern_metric_group *group,
                                       const struct tern_str *values,
                                       const struct tern_metric_tag *tags, uint32_t n_tags,
                                       struct tern_metric_set **ret_set, struct tern_err *err);
void tern_metrics_release(struct tern_metrics *metrics, struct tern_metric_set *set);

/* The cells of one shard: valid while the set is held, written by that shard's thread only. */
void *tern_metric_set_cells(struct tern_metric_set *set, uint32_t shard);
/* The cells of all other threads: only through the _shared calls. */
void *tern_metric_set_shared(struct tern_metric_set *set);
/* The sum over the shards of one counter or gauge, `offset` within the struct of cells. */
uint64_t tern_metric_set_sum(const struct tern_metric_set *set, size_t offset);
/* The largest instead. */
uint64_t tern_metric_set_max(const struct tern_metric_set *set, size_t offset);
/* How many values the struct tern_latency at `offset` took in, and their sum. */
void tern_metric_set_latency(const struct tern_metric_set *set, size_t offset, uint64_t *ret_count,
                             uint64_t *ret_ns);
/* How many shards there are, the shared one included: to read cells one by one. */
uint32_t tern_metric_set_shards(const struct tern_metric_set *set);

/* Appends the text exposition, format 0.0.4. A histogram that never saw a value shows only its
 * +Inf bucket, sum and count. Takes the lock that get and release take; recording goes on. */
enum tern_code tern_metrics_write(struct tern_metrics *metrics, struct tern_buf *buf,
                                  struct tern_err *err);
#define TERN_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends doc/metrics.md: every row with its type, labels and meaning. */
void tern_metrics_write_doc(const struct tern_metric_group *const *groups, uint32_t n_groups,
                            struct tern_buf *buf);

#endif
