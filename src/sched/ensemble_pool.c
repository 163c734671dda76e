#include "sched/ensemble_pool.h"

#include <stdatomic.h>
#include "base/mem.h"

#define FIRST_SIZE (8u * 1024)
#define KEPT_MAX   64u

struct place {
    struct tern_arena arena;
    struct tern_ensemble_pool *pool;
    struct place *next; /* in pool->free */
};

struct tern_ensemble_pool {
    TERN_ALIGNED(TERN_CACHE_LINE) atomic_uint holders; /* the ensemble, and each place in use */
    struct place *free;
    uint32_t n_free;
};

struct tern_ensemble_pool *tern_ensemble_pool_new(void)
{
    struct tern_ensemble_pool *pool = tern_mem_alloc_aligned(TERN_CACHE_LINE, sizeof(*pool));

    if (pool == NULL)
        return NULL;
    atomic_init(&pool->holders, 1);
    pool->free = NULL;
    pool->n_free = 0;
    return pool;
}

static void free_place(struct place *place)
{
    tern_arena_fini(&place->arena);
    tern_mem_free(place);
}

void tern_ensemble_pool_drop(struct tern_ensemble_pool *pool)
{
    if (pool == NULL || atomic_fetch_sub_explicit(&pool->holders, 1, memory_order_acq_rel) != 1)
        return;
    for (struct place *place = pool->free, *next; place != NULL; place = next) {
        next = place->next;
        free_place(place);
    }
    tern_mem_free(pool);
}

static void give_back(void *arg)
{
    struct place *place = arg;
    struct tern_ensemble_pool *pool = place->pool;

    if (pool->n_free < KEPT_MAX) {
        tern_arena_reset(&place->arena);
        place->next = pool->free;
        pool->free = place;
        pool->n_free++;
    } else {
        free_place(place);
    }
    tern_ensemble_pool_drop(pool);
}

static struct place *find_place(struct tern_ensemble_pool *pool)
{
    struct place *place = pool->free;

    if (place != NULL) {
        pool->free = place->next;
        pool->n_free--;
        return place;
    }
    place = tern_mem_alloc(sizeof(*place));
    if (place == NULL)
        return NULL;
    place->pool = pool;
    tern_arena_init(&place->arena, FIRST_SIZE, 0);
    return place;
}

enum tern_code tern_ensemble_pool_take(struct tern_ensemble_pool *pool, struct tern_arena *owner,
                                       struct tern_arena **ret_arena, struct tern_err *err)
{
    struct place *place = find_place(pool);

    if (place == NULL)
        return tern_mem_fail(err, "a step", sizeof(*place));
    place->arena.max = owner->max;
    atomic_fetch_add_explicit(&pool->holders, 1, memory_order_relaxed);
    enum tern_code code = tern_arena_on_reset(owner, give_back, place, err);
    if (code != TERN_OK) {
        give_back(place);
        return code;
    }
    *ret_arena = &place->arena;
    return TERN_OK;
}
