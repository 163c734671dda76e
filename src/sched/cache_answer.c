/* A work gets an answer that was kept, or that another work got. */
#include <string.h>
#include "base/clock.h"
#include "sched/cache_int.h"

/* Answers up to this size are copied on a hit: cheaper than to be counted by all loops. */
#define COPIED_MAX 4096u

static void fill(struct tern_tensor *output, const struct tern_cache_output *from, void *data)
{
    output->dtype = from->dtype;
    output->shape = from->shape;
    output->n_bytes = from->n_bytes;
    output->data = data;
}

/* The entry has the wanted outputs, maybe in another order. */
static const struct tern_cache_output *output_of(const struct tern_cache_entry *entry,
                                                 uint32_t hint, uint32_t spec)
{
    uint32_t i = hint;

    while (entry->outputs[i].spec != spec)
        i = (i + 1) % entry->n_outputs;
    return &entry->outputs[i];
}

/* Takes the caller's hold of the entry. */
static enum tern_code give(struct tern_cache_entry *entry, const struct tern_engine_run *run,
                           struct tern_err *err)
{
    bool copies = entry->data_bytes <= COPIED_MAX;

    if (!copies) {
        enum tern_code code = tern_arena_on_reset(run->arena, tern_cache_entry_release, entry, err);
        if (code != TERN_OK) {
            tern_cache_entry_release(entry);
            return code;
        }
    }
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        const struct tern_cache_output *from = output_of(entry, i, run->output_spec[i]);
        void *data = from->data;
        if (copies) {
            data = tern_arena_alloc(run->arena, 16, from->n_bytes > 0 ? from->n_bytes : 1);
            if (data == NULL) {
                tern_cache_entry_release(entry);
                return tern_arena_fail(run->arena, err, "an answer from the cache");
            }
            if (from->n_bytes > 0)
                memcpy(data, from->data, from->n_bytes);
        }
        fill(&run->outputs[i], from, data);
    }
    if (copies)
        tern_cache_entry_release(entry);
    return TERN_OK;
}

void tern_cache_finish(struct tern_work *work, enum tern_code code)
{
    work->cache_member = NULL;
    work->code = code;
    work->state = TERN_WORK_DONE;
    work->on_done(work);
}

void tern_cache_answer(struct tern_work *work, struct tern_cache_entry *entry, uint64_t spent_ns,
                       uint64_t now)
{
    enum tern_code code = give(entry, &work->run, work->err);

    work->started_ns = now;
    work->finished_ns = tern_clock_mono_ns();
    work->from_cache = code == TERN_OK;
    work->cache_ns = spent_ns + (work->finished_ns - now);
    tern_cache_finish(work, code);
}

struct tern_cache_entry *tern_cache_find_known(const struct cached *cached,
                                               const struct tern_cache_key *key)
{
    struct tern_cache_local *local = cached->cache->local;

    return local == NULL ? NULL : tern_cache_local_find(local, cached, key);
}

void tern_cache_remember(const struct cached *cached, struct tern_cache_entry *entry)
{
    if (cached->cache->local != NULL && entry != NULL)
        tern_cache_local_put(cached->cache->local, entry);
}
