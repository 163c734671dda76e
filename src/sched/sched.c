#include "sched/sched.h"

#include "base/mem.h"
#include "sched/cache.h"
#include "sched/ensemble.h"
#include "sched/sched_int.h"
#include "sched/sequence.h"
#include "sched/wakeup.h"

bool tern_sched_is_inline(const struct tern_sched *sched, uint64_t run_ns)
{
    return sched->settings.hold_until == 0 && run_ns <= sched->settings.inline_max_ns;
}

void tern_sched_set_queue_max(struct tern_sched *sched, uint32_t queue_max)
{
    sched->queue_max = queue_max;
}

uint32_t tern_sched_queue_max(const struct tern_sched *sched)
{
    return sched->queue_max;
}

void tern_sched_watch(struct tern_sched *sched, const struct tern_sched_watcher *watcher)
{
    sched->watcher = *watcher;
}

void tern_sched_note_step(const struct tern_sched *sched, const struct tern_work *work)
{
    if (sched->watcher.on_step != NULL)
        sched->watcher.on_step(sched->watcher.arg, work);
}

uint64_t tern_sched_inline_max_ns(const struct tern_sched *sched)
{
    return sched->settings.inline_max_ns;
}

uint32_t tern_sched_depth(const struct tern_model_version *version)
{
    const struct tern_lane *lane = version->lane;
    uint32_t depth = lane == NULL ? 0 : atomic_load_explicit(&lane->depth, memory_order_relaxed);
    return depth + tern_sequences_held(version);
}

/* ---- lanes ---- */

static enum tern_code add_ensemble(struct tern_sched *sched, struct tern_model_version *version,
                                   struct tern_err *err)
{
    TERN_TRY(tern_ensemble_add(version, err));
    enum tern_code code = tern_cache_add(sched->settings.cache, version, err);
    if (code != TERN_OK)
        tern_ensemble_remove(version);
    return code;
}

enum tern_code tern_sched_add(struct tern_sched *sched, struct tern_model_version *version,
                              struct tern_err *err)
{
    struct tern_lane *lane = NULL;

    if (version->ensembling != NULL)
        return add_ensemble(sched, version, err);
    if (!version->info.decoupled) /* those have threads of their own */
        TERN_TRY(tern_executors_grow(&sched->executors, version->n_instances, err));
    TERN_TRY(tern_lane_new(sched, version, &lane, err));
    enum tern_code code =
        version->sequencing == NULL ? TERN_OK : tern_sequences_new(sched, version, err);
    if (code == TERN_OK)
        code = tern_cache_add(sched->settings.cache, version, err);
    if (code == TERN_OK) {
        version->lane = lane;
    } else {
        tern_sequences_free(version);
        tern_lane_free(lane);
    }
    return code;
}

void tern_sched_remove(struct tern_sched *sched, struct tern_model_version *version)
{
    struct tern_lane *lane = version->lane;

    tern_ensemble_remove(version);
    tern_cache_remove(version);
    if (lane == NULL)
        return;
    /* The executor that ran the last work may still be on its way out of the lane. */
    pthread_mutex_lock(&sched->executors.lock);
    tern_list_remove(&lane->ready);
    tern_list_remove(&lane->delaying);
    pthread_mutex_unlock(&sched->executors.lock);
    tern_lane_free(lane);
    tern_sequences_free(version);
    version->lane = NULL;
}

enum tern_code tern_sched_set_instances(struct tern_model_version *version, void *const *instances,
                                        uint32_t n, struct tern_err *err)
{
    if (version->lane == NULL)
        return tern_fail(err, TERN_UNIMPLEMENTED, "a graph has no instances");
    return tern_lane_set_instances(version->lane, instances, n, err);
}

/* ---- life ---- */

enum tern_code tern_sched_new(const struct tern_sched_settings *settings,
                              struct tern_sched **ret_sched, struct tern_err *err)
{
    struct tern_sched *sched = tern_mem_zalloc(1, sizeof(*sched));

    if (sched == NULL)
        return tern_mem_fail(err, "the scheduler", sizeof(*sched));
    sched->settings = *settings;
    sched->queue_max = settings->queue_max;
    if (sched->settings.inline_max_ns == 0)
        sched->settings.inline_max_ns = tern_wakeup_measure_ns();
    tern_executors_init(&sched->executors);
    enum tern_code code = tern_executors_grow(&sched->executors, settings->executors, err);
    if (code == TERN_OK && settings->rate_limit)
        code =
            tern_resources_new(settings->resources, settings->n_resources, &sched->resources, err);
    if (code != TERN_OK) {
        tern_sched_free(sched);
        return code;
    }
    *ret_sched = sched;
    return TERN_OK;
}

void tern_sched_free(struct tern_sched *sched)
{
    if (sched == NULL)
        return;
    tern_executors_stop(&sched->executors);
    tern_resources_free(sched->resources);
    tern_mem_free(sched);
}
