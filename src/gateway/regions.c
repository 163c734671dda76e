#include "gateway/regions.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "os/shm.h"

#define RESERVED_PREFIX "triton_python_backend_shm_region_"

/* The word of a slot. Its users are counted in the low bits, the table itself being one of them
 * while the region is LIVE: found and listed. GOING: it was unregistered in use, and goes when the
 * table is its only user. FREE: nobody has it, and its mapping is closed. 0: on the way there. */
#define LIVE  (UINT64_C(1) << 63)
#define FREE  (UINT64_C(1) << 62)
#define GOING (UINT64_C(1) << 61)
#define USERS (GOING - 1)

struct tern_region {
    struct tern_regions *regions;
    _Atomic uint64_t word;
    /* Written while nobody else can look: between FREE and LIVE. */
    struct tern_shm shm;
    uint64_t offset; /* in the object */
    uint32_t n_name;
    uint32_t n_key;
    char name[TERN_REGION_NAME_MAX];
    char key[TERN_SHM_KEY_MAX + 1];
};

struct tern_regions {
    struct tern_regions_settings settings;
    pthread_mutex_t lock; /* of register, unregister and list */
    _Atomic uint64_t bytes;
    _Atomic uint64_t *hashes;  /* of names, one a slot, 0: none; all that most lookups look at */
    struct tern_region *slots; /* owned */
};

/* ---- life ---- */

enum tern_code tern_regions_new(const struct tern_regions_settings *settings,
                                struct tern_regions **ret_regions, struct tern_err *err)
{
    struct tern_regions *regions = tern_mem_zalloc(1, sizeof(*regions));
    uint32_t n = settings->enabled ? settings->regions_max : 0;

    if (regions == NULL)
        return tern_mem_fail(err, "the shared memory regions", sizeof(*regions));
    regions->settings = *settings;
    (void)pthread_mutex_init(&regions->lock, NULL);
    *ret_regions = regions;
    if (n == 0)
        return TERN_OK;
    regions->hashes = tern_mem_zalloc(n, sizeof(regions->hashes[0]));
    regions->slots = tern_mem_zalloc(n, sizeof(regions->slots[0]));
    enum tern_code code = TERN_OK;
    if (regions->hashes == NULL || regions->slots == NULL)
        code = tern_mem_fail(err, "the shared memory regions", n * sizeof(regions->slots[0]));
    else
        code = tern_shm_guard(err);
    if (code != TERN_OK) {
        *ret_regions = NULL;
        tern_regions_free(regions);
        return code;
    }
    for (uint32_t i = 0; i < n; i++) {
        regions->slots[i].regions = regions;
        atomic_store(&regions->slots[i].word, FREE);
    }
    return TERN_OK;
}

static void end_region(struct tern_region *region)
{
    struct tern_regions *regions = region->regions;

    atomic_store_explicit(&regions->hashes[region - regions->slots], 0, memory_order_release);
    atomic_fetch_sub(&regions->bytes, region->shm.n);
    tern_shm_close(&region->shm);
    atomic_store_explicit(&region->word, FREE, memory_order_release);
}

/* From *word to next, and on to the end without users. False: it has become another *word. */
static bool turn(struct tern_region *region, uint64_t *word, uint64_t next)
{
    if ((next & USERS) == 0)
        next = 0;
    if (!atomic_compare_exchange_weak_explicit(&region->word, word, next, memory_order_acq_rel,
                                               memory_order_acquire))
        return false;
    if (next == 0)
        end_region(region);
    return true;
}

void tern_region_release(struct tern_region *region)
{
    uint64_t word = atomic_load_explicit(&region->word, memory_order_relaxed), next;

    do {
        next = word - 1;
        if (next == (LIVE | GOING | 1))
            next = 0;
    } while (!turn(region, &word, next));
}

/* Gone now, or when the last of the requests that use it is done. Those still find it until then,
 * as in Triton, where what it serves may be in the middle of a series of requests. */
static void let_go(struct tern_region *region)
{
    uint64_t word = atomic_load_explicit(&region->word, memory_order_acquire);

    while ((word & LIVE) != 0 && !turn(region, &word, (word & USERS) == 1 ? 0 : word | GOING))
        ;
}

/* Found no more, and gone when the last user is. */
static void forget(struct tern_region *region)
{
    struct tern_regions *regions = region->regions;
    uint64_t word = atomic_load_explicit(&region->word, memory_order_acquire);

    atomic_store_explicit(&regions->hashes[region - regions->slots], 0, memory_order_release);
    while ((word & LIVE) != 0 && !turn(region, &word, (word & ~LIVE) - 1))
        ;
}

static bool is_live(const struct tern_region *region)
{
    return (atomic_load_explicit(&region->word, memory_order_acquire) & LIVE) != 0;
}

static uint32_t count_slots(const struct tern_regions *regions)
{
    return regions->slots == NULL || regions->hashes == NULL ? 0 : regions->settings.regions_max;
}

void tern_regions_free(struct tern_regions *regions)
{
    if (regions == NULL)
        return;
    for (uint32_t i = 0; i < count_slots(regions); i++)
        forget(&regions->slots[i]);
    tern_mem_free(regions->slots);
    tern_mem_free(regions->hashes);
    (void)pthread_mutex_destroy(&regions->lock);
    tern_mem_free(regions);
}

/* ---- finding ---- */

static enum tern_code check_enabled(const struct tern_regions *regions, struct tern_err *err)
{
    return regions->settings.enabled
               ? TERN_OK
               : tern_fail(err, TERN_UNIMPLEMENTED, "Client shared memory is disabled");
}

static uint64_t hash_name(struct tern_str name)
{
    return tern_hash_bytes(name, 0) | 1; /* 0 stands for none */
}

static struct tern_str name_of(const struct tern_region *region)
{
    return tern_str_make(region->name, region->n_name);
}

static bool hold(struct tern_region *region)
{
    uint64_t word = atomic_load_explicit(&region->word, memory_order_relaxed);

    while ((word & LIVE) != 0) {
        if (atomic_compare_exchange_weak_explicit(&region->word, &word, word + 1,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    }
    return false;
}

enum tern_code tern_regions_take(struct tern_regions *regions, struct tern_str name,
                                 struct tern_region **ret_region, struct tern_err *err)
{
    uint64_t hash = hash_name(name);
    uint32_t n = count_slots(regions);

    TERN_TRY(check_enabled(regions, err));
    for (uint32_t i = 0; i < n; i++) {
        struct tern_region *region = &regions->slots[i];
        if (atomic_load_explicit(&regions->hashes[i], memory_order_acquire) != hash ||
            !hold(region))
            continue;
        if (tern_str_eq(name_of(region), name)) {
            *ret_region = region;
            return TERN_OK;
        }
        tern_region_release(region); /* another name of the same hash, or a new tenant */
    }
    return tern_fail(err, TERN_NOT_FOUND, "Unable to find shared memory region: '%.*s'",
                     TERN_STR_ARG(name));
}

/* ---- using ---- */

enum tern_code tern_region_range(const struct tern_region *region,
                                 const struct tern_region_ref *ref, char **ret_p,
                                 struct tern_err *err)
{
    uint64_t end;

    if (ref->offset >= region->shm.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Invalid offset for shared memory region: '%.*s' has %zu bytes, got "
                         "offset %" PRIu64,
                         TERN_STR_ARG(name_of(region)), region->shm.n, ref->offset);
    if (__builtin_add_overflow(ref->offset, ref->byte_size, &end))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Integer overflow detected: byte_size (%" PRIu64 ") + offset (%" PRIu64
                         ") exceeds maximum value (%" PRIu64 ")",
                         ref->byte_size, ref->offset, UINT64_MAX);
    if (end > region->shm.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Invalid offset + byte size for shared memory region: '%.*s' has %zu "
                         "bytes, got %" PRIu64 " + %" PRIu64,
                         TERN_STR_ARG(name_of(region)), region->shm.n, ref->offset, ref->byte_size);
    *ret_p = region->shm.p + ref->offset;
    return TERN_OK;
}

bool tern_region_holds(const struct tern_region *region, const void *p)
{
    uintptr_t at = (uintptr_t)p, start = (uintptr_t)region->shm.p;

    return at >= start && at - start < region->shm.n;
}

enum tern_code tern_region_check(const struct tern_region *region, struct tern_err *err)
{
    if (tern_shm_is_whole(&region->shm))
        return TERN_OK;
    return tern_fail(err, TERN_FAILED_PRECONDITION,
                     "shared memory region '%.*s' shrank after it was registered, or the system "
                     "has no memory for it: its %zu bytes are not all there; unregister it",
                     TERN_STR_ARG(name_of(region)), region->shm.n);
}

/* ---- the operations ---- */

/* The one place to extend when there is a device: maps row->handle of row->device_id. */
static enum tern_code open_cuda(const struct tern_region_row *row, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "failed to register shared memory region '%.*s': invalid args: this server "
                     "has no CUDA device",
                     TERN_STR_ARG(row->name));
}

static bool has_only_slashes(struct tern_str key)
{
    size_t i = 0;

    while (i < key.n && key.p[i] == '/')
        i++;
    return i == key.n;
}

static enum tern_code check_row(const struct tern_region_row *row, struct tern_err *err)
{
    if (row->name.n == 0 || row->name.n > TERN_REGION_NAME_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "name of a shared memory region: expected 1 to %d bytes, got %zu",
                         TERN_REGION_NAME_MAX, row->name.n);
    if (has_only_slashes(row->key))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "cannot register shared memory region '%.*s' - invalid shm key '%.*s'",
                         TERN_STR_ARG(row->name), TERN_STR_ARG(row->key));
    if (row->key.n > 0 &&
        memmem(row->key.p, row->key.n, RESERVED_PREFIX, sizeof(RESERVED_PREFIX) - 1) != NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "cannot register shared memory region '%.*s' with key '%.*s' as the key "
                         "contains the reserved prefix '" RESERVED_PREFIX "'",
                         TERN_STR_ARG(row->name), TERN_STR_ARG(row->key));
    return TERN_OK;
}

/* A slot for it, under the lock. A region of that name that is GOING makes room. */
static enum tern_code find_room(struct tern_regions *regions, const struct tern_region_row *row,
                                uint32_t *ret_slot, struct tern_err *err)
{
    uint32_t n = regions->settings.regions_max, room = n;
    uint64_t bytes;

    for (uint32_t i = 0; i < n; i++) {
        struct tern_region *region = &regions->slots[i];
        uint64_t word = atomic_load_explicit(&region->word, memory_order_acquire);
        if (word == FREE && room == n)
            room = i;
        if ((word & LIVE) == 0 || !tern_str_eq(name_of(region), row->name))
            continue;
        if ((word & GOING) != 0)
            forget(region);
        else
            return tern_fail_http(err, TERN_ALREADY_EXISTS, 400,
                                  "shared memory region '%.*s' already in manager",
                                  TERN_STR_ARG(row->name));
    }
    if (room == n)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                         "more than %u shared memory regions (option shm.regions_max)", n);
    if (__builtin_add_overflow(atomic_load(&regions->bytes), row->byte_size, &bytes) ||
        bytes > regions->settings.bytes_max)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                         "shared memory region '%.*s' with %" PRIu64 " bytes exceeds the %" PRIu64
                         " bytes allowed for all of them (option shm.bytes_max)",
                         TERN_STR_ARG(row->name), row->byte_size, regions->settings.bytes_max);
    *ret_slot = room;
    return TERN_OK;
}

/* Triton's words and codes for what the system said. */
static enum tern_code reword(const struct tern_region_row *row, enum tern_code code,
                             struct tern_err *err)
{
    enum tern_code result = TERN_INVALID_ARGUMENT;

    if (code == TERN_RESOURCE_EXHAUSTED)
        return code;
    if (code == TERN_OUT_OF_RANGE)
        tern_err_prefix(err, "failed to register shared memory region '%.*s': invalid args",
                        TERN_STR_ARG(row->name));
    else
        tern_err_prefix(err, "Unable to open shared memory region: '%.*s'", TERN_STR_ARG(row->key));
    if (code != TERN_OUT_OF_RANGE && code != TERN_INVALID_ARGUMENT) {
        if (err != NULL)
            err->http_status = 400;
        result = TERN_INTERNAL;
    }
    if (err != NULL)
        err->code = result;
    return result;
}

static enum tern_code add_region(struct tern_regions *regions, const struct tern_region_row *row,
                                 struct tern_err *err)
{
    uint32_t slot = 0;

    TERN_TRY(find_room(regions, row, &slot, err));
    struct tern_region *region = &regions->slots[slot];
    enum tern_code code = tern_shm_open(row->key, row->offset, row->byte_size, &region->shm, err);
    if (code != TERN_OK)
        return reword(row, code, err);
    atomic_fetch_add(&regions->bytes, region->shm.n);
    region->offset = row->offset;
    region->n_name = (uint32_t)row->name.n;
    memcpy(region->name, row->name.p, row->name.n);
    region->n_key = (uint32_t)row->key.n; /* tern_shm_open looked at its length */
    memcpy(region->key, row->key.p, row->key.n);
    atomic_store_explicit(&region->word, LIVE | 1, memory_order_release);
    atomic_store_explicit(&regions->hashes[slot], hash_name(row->name), memory_order_release);
    return TERN_OK;
}

enum tern_code tern_regions_register(struct tern_regions *regions,
                                     const struct tern_region_row *row, struct tern_err *err)
{
    TERN_TRY(check_enabled(regions, err));
    if (row->cuda)
        return open_cuda(row, err);
    TERN_TRY(check_row(row, err));
    pthread_mutex_lock(&regions->lock);
    enum tern_code code = add_region(regions, row, err);
    pthread_mutex_unlock(&regions->lock);
    return code;
}

static bool is_meant(const struct tern_region *region, const struct tern_region_row *row)
{
    return is_live(region) && !row->cuda &&
           (row->name.n == 0 || tern_str_eq(name_of(region), row->name));
}

enum tern_code tern_regions_unregister(struct tern_regions *regions,
                                       const struct tern_region_row *row, struct tern_err *err)
{
    TERN_TRY(check_enabled(regions, err));
    pthread_mutex_lock(&regions->lock);
    for (uint32_t i = 0; i < count_slots(regions); i++) {
        if (is_meant(&regions->slots[i], row))
            let_go(&regions->slots[i]);
    }
    pthread_mutex_unlock(&regions->lock);
    return TERN_OK;
}

static enum tern_code copy_row(const struct tern_region *region, struct tern_arena *arena,
                               struct tern_region_row *ret, struct tern_err *err)
{
    *ret = (struct tern_region_row){
        .name = tern_arena_copy(arena, name_of(region)),
        .key = tern_arena_copy(arena, tern_str_make(region->key, region->n_key)),
        .offset = region->offset,
        .byte_size = region->shm.n,
    };
    return ret->name.p == NULL || ret->key.p == NULL
               ? tern_arena_fail(arena, err, "the shared memory regions")
               : TERN_OK;
}

/* Under the lock no region comes; one that is GOING may go. */
static enum tern_code copy_rows(struct tern_regions *regions, const struct tern_region_row *row,
                                struct tern_arena *arena, const struct tern_region_row **ret_rows,
                                uint32_t *ret_n, struct tern_err *err)
{
    uint32_t n = 0, at = 0, slots = count_slots(regions);

    for (uint32_t i = 0; i < slots; i++)
        n += is_meant(&regions->slots[i], row);
    if (n == 0 && row->name.n > 0)
        return tern_fail(err, TERN_NOT_FOUND, "Unable to find %s shared memory region: '%.*s'",
                         row->cuda ? "cuda" : "system", TERN_STR_ARG(row->name));
    struct tern_region_row *rows = tern_arena_zalloc(arena, n + 1, sizeof(*rows));
    if (rows == NULL)
        return tern_arena_fail(arena, err, "the shared memory regions");
    for (uint32_t i = 0; i < slots && at < n; i++) {
        struct tern_region *region = &regions->slots[i];
        if (!is_meant(region, row) || !hold(region))
            continue;
        enum tern_code code = copy_row(region, arena, &rows[at++], err);
        tern_region_release(region);
        if (code != TERN_OK)
            return code;
    }
    *ret_rows = rows;
    *ret_n = at;
    return TERN_OK;
}

enum tern_code tern_regions_list(struct tern_regions *regions, const struct tern_region_row *row,
                                 struct tern_arena *arena, const struct tern_region_row **ret_rows,
                                 uint32_t *ret_n, struct tern_err *err)
{
    pthread_mutex_lock(&regions->lock);
    enum tern_code code = copy_rows(regions, row, arena, ret_rows, ret_n, err);
    pthread_mutex_unlock(&regions->lock);
    return code;
}
