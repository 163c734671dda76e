#include "sched/batch.h"

#include "base/account.h"
#include "base/mem.h"
#include "sched/batch_int.h"

#define FIRST_SIZE ((size_t)16 * 1024)

/* Idle batches are a stack: any thread pushes, one at a time pops. With one popper, the head it saw
 * cannot have left and come back, so a plain compare-and-swap is enough. */
struct tern_batch_pool {
    struct tern_batch_settings settings;
    _Atomic(struct tern_batch *) idle;
    atomic_uint n_idle;
    atomic_uint refs; /* the owner, and each batch that is out */
};

/* ---- the pool ---- */

enum tern_code tern_batch_pool_new(const struct tern_batch_settings *settings,
                                   struct tern_batch_pool **ret_pool, struct tern_err *err)
{
    struct tern_batch_pool *pool = tern_mem_zalloc(1, sizeof(*pool));

    if (pool == NULL)
        return tern_mem_fail(err, "a pool of batches", sizeof(*pool));
    pool->settings = *settings;
    atomic_init(&pool->refs, 1);
    *ret_pool = pool;
    return TERN_OK;
}

static void free_batch(struct tern_batch *batch)
{
    tern_arena_fini(&batch->arena);
    tern_mem_free(batch);
}

static void drop_pool(struct tern_batch_pool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) > 1)
        return;
    struct tern_batch *batch = atomic_load_explicit(&pool->idle, memory_order_relaxed);
    while (batch != NULL) {
        struct tern_batch *next = batch->next_idle;
        free_batch(batch);
        batch = next;
    }
    tern_mem_free(pool);
}

void tern_batch_pool_close(struct tern_batch_pool *pool)
{
    if (pool != NULL)
        drop_pool(pool);
}

static struct tern_batch *pop_idle(struct tern_batch_pool *pool)
{
    struct tern_batch *batch = atomic_load_explicit(&pool->idle, memory_order_acquire);

    while (batch != NULL &&
           !atomic_compare_exchange_weak_explicit(&pool->idle, &batch, batch->next_idle,
                                                  memory_order_acquire, memory_order_acquire))
        ;
    if (batch != NULL)
        atomic_fetch_sub_explicit(&pool->n_idle, 1, memory_order_relaxed);
    return batch;
}

/* False when enough are idle. */
static bool push_idle(struct tern_batch_pool *pool, struct tern_batch *batch)
{
    if (atomic_fetch_add_explicit(&pool->n_idle, 1, memory_order_relaxed) >=
        pool->settings.idle_max) {
        atomic_fetch_sub_explicit(&pool->n_idle, 1, memory_order_relaxed);
        return false;
    }
    batch->next_idle = atomic_load_explicit(&pool->idle, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&pool->idle, &batch->next_idle, batch,
                                                  memory_order_release, memory_order_relaxed))
        ;
    return true;
}

enum tern_code tern_batch_take(struct tern_batch_pool *pool, struct tern_batch **ret_batch,
                               struct tern_err *err)
{
    struct tern_batch *batch = pop_idle(pool);

    if (batch == NULL) {
        batch = tern_mem_zalloc(1, sizeof(*batch));
        if (batch == NULL)
            return tern_mem_fail(err, "a batch", sizeof(*batch));
        tern_arena_init(&batch->arena, FIRST_SIZE, pool->settings.memory_max);
        batch->pool = pool;
    }
    atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
    *ret_batch = batch;
    return TERN_OK;
}

/* An arena keeps its first chunk only, and starts with no more than a megabyte by itself: one that
 * was too small for a batch is replaced here, so that the next batch of this size fits into it. */
void batch_empty(struct tern_batch *batch)
{
    struct tern_arena *arena = &batch->arena;
    size_t used = arena->used, size = arena->first_size;
    size_t keep_max = batch->pool->settings.keep_max;

    if (keep_max > arena->max)
        keep_max = arena->max;
    batch->run = (struct tern_engine_run){.n_inputs = 0};
    batch->rows = batch->run_rows = batch->n_works = 0;
    batch->is_joined = false;
    tern_arena_reset(arena);
    tern_till_give(arena->till, batch->charged);
    arena->till = NULL;
    batch->charged = 0;
    while (size / 2 < used && size <= keep_max / 2)
        size *= 2; /* twice what was handed out: alignment takes its part */
    if (size == arena->first_size)
        return;
    tern_arena_release(arena);
    arena->first_size = size;
    /* Without memory the next batch finds out. */
    (void)!tern_arena_alloc(arena, 1, size - BATCH_ALIGN);
    tern_arena_reset(arena);
}

void tern_batch_give_back(struct tern_batch *batch)
{
    struct tern_batch_pool *pool = batch->pool;

    batch_empty(batch);
    if (!push_idle(pool, batch))
        free_batch(batch);
    drop_pool(pool);
}

void batch_drop(void *arg)
{
    struct tern_batch *batch = arg;

    if (atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) == 1)
        tern_batch_give_back(batch);
}
