/* Which requests are traced: Triton's trace settings, for all models and for one, changed while the
 * server runs.
 *
 * Readers take no lock: every number is an atomic of its own, a model's row is made once and stays
 * until the end, and a server that traces nothing looks at one flag. The counters of rate and count
 * belong to the row that sets them, so that models without settings of their own share theirs. */
#ifndef TERN_TRACE_SAMPLER_H
#define TERN_TRACE_SAMPLER_H

#include <stdatomic.h>
#include "base/arena.h"
#include "base/compiler.h"
#include "base/err.h"
#include "core/settings.h"

#define TERN_TRACE_TIMESTAMPS  1u /* levels, as bits; none: OFF */
#define TERN_TRACE_TENSORS     2u
#define TERN_TRACE_MODELS_MAX  512 /* models with settings of their own */
#define TERN_TRACE_RATE_PRESET 1000

enum tern_trace_mode {
    TERN_TRACE_MODE_TRITON,        /* files */
    TERN_TRACE_MODE_OPENTELEMETRY, /* spans over OTLP */
};

/* What holds at the start, and again once a client clears its own. */
struct tern_sampler_settings {
    unsigned level;
    uint64_t rate;          /* one of so many requests; at least 1 */
    int64_t count;          /* traces yet to take; -1: no end */
    uint64_t log_frequency; /* traces a file; 0: one file */
    enum tern_trace_mode mode;
    struct tern_str file; /* fixed; borrowed */
    struct tern_str url;  /* OPENTELEMETRY; fixed; borrowed */
};

struct tern_sampler;

/* How a request is to be traced. */
struct tern_sample {
    unsigned level; /* 0: not at all */
    uint64_t log_frequency;
    uint64_t id; /* 1, 2, ... in the order in which they were taken */
};

enum tern_code tern_sampler_new(const struct tern_sampler_settings *settings,
                                struct tern_sampler **ret_sampler, struct tern_err *err);
void tern_sampler_free(struct tern_sampler *sampler);

/* Whether any request of any model may be traced. */
TERN_INLINE bool tern_sampler_is_armed(const atomic_bool *armed)
{
    return atomic_load_explicit(armed, memory_order_relaxed);
}
const atomic_bool *tern_sampler_armed(const struct tern_sampler *sampler);
enum tern_trace_mode tern_sampler_mode(const struct tern_sampler *sampler);

/* Asked once for a request, when it comes: ids tell the order. `propagated`: its caller traces it,
 * which overrides the rate (not OFF, nor the count). Any thread. */
bool tern_sampler_take(struct tern_sampler *sampler, struct tern_str model, bool propagated,
                       struct tern_sample *ret_sample);

/* For what runs inside of a request that is traced. Any thread. */
uint64_t tern_sampler_next_id(struct tern_sampler *sampler);

/* model empty: the settings of all. Nothing is changed when one of them is wrong. Any thread, not
 * on the hot path. */
enum tern_code tern_sampler_update(struct tern_sampler *sampler, struct tern_str model,
                                   const struct tern_settings *settings, struct tern_err *err);
/* What holds for the model, with what it takes from the settings of all. */
enum tern_code tern_sampler_read(struct tern_sampler *sampler, struct tern_str model,
                                 struct tern_arena *arena, struct tern_settings *ret_settings,
                                 struct tern_err *err);

#endif
