/* The cache and each version's part of it come and go; what they can tell of themselves. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include "base/mem.h"
#include "base/wide_hash.h"
#include "sched/cache_int.h"

enum tern_code tern_cache_add(struct tern_cache *cache, struct tern_model_version *version,
                              struct tern_err *err)
{
    bool wanted = cache != NULL && version->scheduling != NULL && version->scheduling->cached &&
                  version->sequencing == NULL && !version->info.decoupled;
    uint64_t serial, sum[4];
    struct tern_wide_hash hash;

    version->cache = NULL;
    if (!wanted)
        return TERN_OK;
    struct cached *cached = tern_mem_zalloc(1, sizeof(*cached));
    if (cached == NULL)
        return tern_mem_fail(err, "a model's response cache", sizeof(*cached));
    serial = atomic_fetch_add(&cache->versions, 1);
    tern_wide_hash_init(&hash, cache->key);
    tern_wide_hash_add(&hash, &serial, sizeof(serial));
    tern_wide_hash_end(&hash, sum);
    cached->cache = cache;
    cached->seed[0] = sum[0];
    cached->seed[1] = sum[1];
    /* Ensembles keep theirs to themselves: another server's steps may be other models. */
    cached->shares = cache->redis != NULL && version->ensembling == NULL &&
                     tern_cache_shared_begin(version, &cached->begin);
    atomic_init(&cached->followers, 0);
    version->cache = cached;
    return TERN_OK;
}

void tern_cache_remove(struct tern_model_version *version)
{
    struct cached *cached = version->cache;

    if (cached == NULL)
        return;
    if (cached->cache->local != NULL)
        tern_cache_local_drop(cached->cache->local, cached);
    tern_mem_free(cached);
    version->cache = NULL;
}

uint32_t tern_cache_followers(const struct tern_model_version *version)
{
    const struct cached *cached = version->cache;

    return cached == NULL ? 0 : atomic_load_explicit(&cached->followers, memory_order_relaxed);
}

void tern_cache_usage(struct tern_cache *cache, struct tern_cache_usage *ret_usage)
{
    *ret_usage = (struct tern_cache_usage){0};
    if (cache != NULL && cache->local != NULL)
        tern_cache_local_usage(cache->local, ret_usage);
}

void tern_cache_shared_counts(struct tern_cache *cache, struct tern_redis_counts *ret_counts)
{
    *ret_counts = (struct tern_redis_counts){0};
    if (cache != NULL && cache->redis != NULL)
        tern_redis_counts(cache->redis, ret_counts);
}

static enum tern_code draw_key(uint64_t key[2], struct tern_err *err)
{
    /* Up to 256 bytes come whole or not at all (getrandom(2)). */
    if (getrandom(key, 2 * sizeof(key[0]), 0) < 0)
        return tern_fail(err, TERN_INTERNAL, "no random numbers for the response cache: %s",
                         strerror(errno));
    return TERN_OK;
}

enum tern_code tern_cache_new(const struct tern_cache_settings *settings,
                              struct tern_cache **ret_cache, struct tern_err *err)
{
    *ret_cache = NULL;
    if (settings->local_bytes == 0 && settings->redis == NULL)
        return TERN_OK;
    struct tern_cache *cache = tern_mem_alloc_aligned(TERN_CACHE_LINE, sizeof(*cache));
    if (cache == NULL)
        return tern_mem_fail(err, "the response cache", sizeof(*cache));
    memset(cache, 0, sizeof(*cache));
    for (uint32_t i = 0; i < TERN_CACHE_STRIPES; i++) {
        pthread_mutex_init(&cache->stripes[i].lock, NULL);
        tern_list_init(&cache->stripes[i].leaders);
    }
    enum tern_code code = draw_key(cache->key, err);
    if (code == TERN_OK && settings->local_bytes > 0)
        code = tern_cache_local_new(settings->local_bytes, &cache->local, err);
    if (code == TERN_OK && settings->redis != NULL) {
        cache->redis_timeout_ns = settings->redis->timeout_ns;
        code = tern_redis_open(settings->redis, &cache->redis, err);
    }
    if (code != TERN_OK) {
        tern_cache_free(cache);
        return code;
    }
    *ret_cache = cache;
    return TERN_OK;
}

void tern_cache_free(struct tern_cache *cache)
{
    if (cache == NULL)
        return;
    for (uint32_t i = 0; i < TERN_CACHE_STRIPES; i++)
        pthread_mutex_destroy(&cache->stripes[i].lock);
    tern_redis_close(cache->redis);
    tern_cache_local_free(cache->local);
    tern_mem_free(cache);
}
