#include "sched/cache_local.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include "base/mem.h"
#include "base/num.h"

#define SHARDS_MAX      16u
#define SHARD_BYTES_MIN ((uint64_t)4 << 20) /* more shards only when each has that much */
#define BYTES_A_BUCKET  512u
#define BUCKETS_MIN     8u
#define BUCKETS_MAX     (1u << 20)
#define ALLOCATOR_BYTES 16u /* of its own for each piece of memory */
#define DATA_ALIGN      16u

struct shard {
    TERN_ALIGNED(TERN_CACHE_LINE) pthread_mutex_t lock;
    struct tern_cache_entry **buckets;
    uint32_t mask;
    struct tern_list used; /* tern_cache_entry.used, oldest first */
    uint64_t bytes, bytes_max;
    uint64_t entries, evicted;
};

struct tern_cache_local {
    uint32_t n_shards; /* a power of two */
    struct shard *shards;
};

/* ---- entries ---- */

static bool add(size_t *sum, size_t n)
{
    return !__builtin_add_overflow(*sum, n, sum);
}

static size_t padding(size_t at)
{
    return (size_t)(-at) & (DATA_ALIGN - 1);
}

size_t tern_cache_entry_size(const struct tern_cache_key *key, const struct tern_tensor *outputs,
                             uint32_t n_outputs)
{
    size_t size = sizeof(struct tern_cache_entry) + n_outputs * sizeof(struct tern_cache_output) +
                  key->exact.n;

    for (uint32_t i = 0; i < n_outputs; i++) {
        if (!add(&size, padding(size)) || !add(&size, outputs[i].n_bytes))
            return SIZE_MAX;
    }
    return add(&size, ALLOCATOR_BYTES) ? size : SIZE_MAX;
}

struct tern_cache_entry *tern_cache_entry_new(const struct tern_cache_key *key, const void *owner,
                                              const struct tern_tensor *outputs,
                                              const uint32_t *specs, uint32_t n_outputs)
{
    size_t size = tern_cache_entry_size(key, outputs, n_outputs);
    size_t at = sizeof(struct tern_cache_entry) + n_outputs * sizeof(struct tern_cache_output);
    struct tern_cache_entry *entry = size == SIZE_MAX ? NULL : tern_mem_alloc(size);

    if (entry == NULL)
        return NULL;
    *entry = (struct tern_cache_entry){
        .key = *key, .owner = owner, .n_outputs = n_outputs, .size = size};
    atomic_init(&entry->refs, 1);
    tern_list_init(&entry->used);
    if (key->exact.p != NULL) {
        entry->key.exact.p = memcpy((char *)entry + at, key->exact.p, key->exact.n);
        at += key->exact.n;
    }
    for (uint32_t i = 0; i < n_outputs; i++) {
        at += padding(at);
        entry->outputs[i] = (struct tern_cache_output){
            .spec = specs[i],
            .dtype = outputs[i].dtype,
            .shape = outputs[i].shape,
            .data = (char *)entry + at,
            .n_bytes = outputs[i].n_bytes,
        };
        if (outputs[i].n_bytes > 0)
            memcpy((char *)entry + at, outputs[i].data, outputs[i].n_bytes);
        at += outputs[i].n_bytes;
        entry->data_bytes += outputs[i].n_bytes;
    }
    return entry;
}

void tern_cache_entry_hold(struct tern_cache_entry *entry)
{
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
}

void tern_cache_entry_release(void *arg)
{
    struct tern_cache_entry *entry = arg;

    if (entry != NULL && atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) == 1)
        tern_mem_free(entry);
}

/* ---- a shard, under its lock ---- */

static struct tern_cache_entry **find(struct shard *shard, const void *owner,
                                      const struct tern_cache_key *key)
{
    struct tern_cache_entry **at = &shard->buckets[key->name[1] & shard->mask];

    while (*at != NULL && !((*at)->owner == owner && tern_cache_key_eq(&(*at)->key, key)))
        at = &(*at)->next;
    return at;
}

/* Takes out what `at` points to, and gives it back to be released without the lock. */
static struct tern_cache_entry *take_out(struct shard *shard, struct tern_cache_entry **at)
{
    struct tern_cache_entry *entry = *at;

    assert(entry != NULL);
    *at = entry->next;
    tern_list_remove(&entry->used);
    shard->bytes -= entry->size;
    shard->entries--;
    return entry;
}

/* The same, on a chain of those that go. */
static void throw_out(struct shard *shard, struct tern_cache_entry **at,
                      struct tern_cache_entry **gone)
{
    struct tern_cache_entry *entry = take_out(shard, at);

    entry->next = *gone;
    *gone = entry;
}

static void make_room(struct shard *shard, size_t size, struct tern_cache_entry **gone)
{
    while (shard->bytes > shard->bytes_max - size) {
        struct tern_cache_entry *oldest =
            TERN_CONTAINER_OF(shard->used.next, struct tern_cache_entry, used);
        throw_out(shard, find(shard, oldest->owner, &oldest->key), gone);
        shard->evicted++;
    }
}

static void release_all(struct tern_cache_entry *gone)
{
    for (struct tern_cache_entry *next; gone != NULL; gone = next) {
        next = gone->next;
        tern_cache_entry_release(gone);
    }
}

/* ---- the store ---- */

static struct shard *shard_of(struct tern_cache_local *local, const struct tern_cache_key *key)
{
    return &local->shards[key->name[0] & (local->n_shards - 1)];
}

struct tern_cache_entry *tern_cache_local_find(struct tern_cache_local *local, const void *owner,
                                               const struct tern_cache_key *key)
{
    struct shard *shard = shard_of(local, key);

    pthread_mutex_lock(&shard->lock);
    struct tern_cache_entry *entry = *find(shard, owner, key);
    if (entry != NULL) {
        tern_list_remove(&entry->used);
        tern_list_append(&shard->used, &entry->used);
        tern_cache_entry_hold(entry);
    }
    pthread_mutex_unlock(&shard->lock);
    return entry;
}

/* What the shard's table takes is its own from the beginning. */
static size_t entry_max(const struct shard *shard)
{
    return (size_t)(shard->bytes_max - (shard->mask + UINT64_C(1)) * sizeof(void *));
}

size_t tern_cache_local_entry_max(const struct tern_cache_local *local)
{
    return entry_max(&local->shards[0]);
}

void tern_cache_local_put(struct tern_cache_local *local, struct tern_cache_entry *entry)
{
    struct shard *shard = shard_of(local, &entry->key);
    struct tern_cache_entry *gone = NULL;

    if (entry->size > entry_max(shard))
        return;
    pthread_mutex_lock(&shard->lock);
    struct tern_cache_entry **at = find(shard, entry->owner, &entry->key);
    if (*at != NULL)
        throw_out(shard, at, &gone);
    make_room(shard, entry->size, &gone);
    tern_cache_entry_hold(entry);
    struct tern_cache_entry **bucket = &shard->buckets[entry->key.name[1] & shard->mask];
    entry->next = *bucket;
    *bucket = entry;
    tern_list_append(&shard->used, &entry->used);
    shard->bytes += entry->size;
    shard->entries++;
    pthread_mutex_unlock(&shard->lock);
    release_all(gone);
}

void tern_cache_local_drop(struct tern_cache_local *local, const void *owner)
{
    for (uint32_t i = 0; i < local->n_shards; i++) {
        struct shard *shard = &local->shards[i];
        struct tern_cache_entry *gone = NULL;
        pthread_mutex_lock(&shard->lock);
        for (struct tern_list *at = shard->used.next, *next; at != &shard->used; at = next) {
            struct tern_cache_entry *entry = TERN_CONTAINER_OF(at, struct tern_cache_entry, used);
            next = at->next;
            if (entry->owner == owner)
                throw_out(shard, find(shard, owner, &entry->key), &gone);
        }
        pthread_mutex_unlock(&shard->lock);
        release_all(gone);
    }
}

void tern_cache_local_usage(struct tern_cache_local *local, struct tern_cache_usage *ret_usage)
{
    *ret_usage = (struct tern_cache_usage){0};
    for (uint32_t i = 0; i < local->n_shards; i++) {
        struct shard *shard = &local->shards[i];
        pthread_mutex_lock(&shard->lock);
        ret_usage->bytes += shard->bytes;
        ret_usage->bytes_max += shard->bytes_max;
        ret_usage->entries += shard->entries;
        ret_usage->evicted += shard->evicted;
        pthread_mutex_unlock(&shard->lock);
    }
}

/* ---- life ---- */

static uint32_t count_shards(uint64_t bytes)
{
    uint32_t n = 1;

    while (n < SHARDS_MAX && bytes / (2 * n) >= SHARD_BYTES_MIN)
        n *= 2;
    return n;
}

static uint32_t count_buckets(uint64_t bytes)
{
    uint32_t n = BUCKETS_MIN;

    while (n < BUCKETS_MAX && (uint64_t)n * BYTES_A_BUCKET < bytes)
        n *= 2;
    return n;
}

static bool init_shard(struct shard *shard, uint64_t bytes)
{
    uint32_t n = count_buckets(bytes);

    shard->buckets = tern_mem_zalloc(n, sizeof(void *));
    if (shard->buckets == NULL)
        return false;
    pthread_mutex_init(&shard->lock, NULL);
    tern_list_init(&shard->used);
    shard->mask = n - 1;
    shard->bytes = n * sizeof(void *);
    shard->bytes_max = bytes > shard->bytes ? bytes : shard->bytes;
    return true;
}

enum tern_code tern_cache_local_new(uint64_t bytes, struct tern_cache_local **ret_local,
                                    struct tern_err *err)
{
    struct tern_cache_local *local = tern_mem_zalloc(1, sizeof(*local));
    uint32_t n = count_shards(bytes);

    if (local == NULL)
        return tern_mem_fail(err, "the response cache", sizeof(*local));
    local->shards = tern_mem_alloc_aligned(TERN_CACHE_LINE, n * sizeof(*local->shards));
    if (local->shards != NULL)
        memset(local->shards, 0, n * sizeof(*local->shards));
    for (; local->shards != NULL && local->n_shards < n; local->n_shards++) {
        if (!init_shard(&local->shards[local->n_shards], bytes / n))
            break;
    }
    if (local->n_shards < n) {
        tern_cache_local_free(local);
        return tern_mem_fail(err, "the response cache", n * sizeof(*local->shards));
    }
    *ret_local = local;
    return TERN_OK;
}

void tern_cache_local_free(struct tern_cache_local *local)
{
    if (local == NULL)
        return;
    for (uint32_t i = 0; local->shards != NULL && i < local->n_shards; i++) {
        struct shard *shard = &local->shards[i];
        while (shard->used.next != &shard->used) {
            struct tern_cache_entry *entry =
                TERN_CONTAINER_OF(shard->used.next, struct tern_cache_entry, used);
            tern_list_remove(&entry->used);
            tern_cache_entry_release(entry);
        }
        pthread_mutex_destroy(&shard->lock);
        tern_mem_free(shard->buckets);
    }
    tern_mem_free(local->shards);
    tern_mem_free(local);
}
