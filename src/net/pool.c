#include "net/pool.h"

#include <assert.h>
#include <string.h>
#include "base/mem.h"

void tern_pool_init(struct tern_pool *pool, size_t size, uint32_t keep_max)
{
    assert(size >= sizeof(void *));
    *pool = (struct tern_pool){.size = size, .keep_max = keep_max};
}

void tern_pool_trim(struct tern_pool *pool, uint32_t keep)
{
    while (pool->n_free > keep) {
        void *block = pool->free;
        memcpy(&pool->free, block, sizeof(void *));
        pool->n_free--;
        tern_mem_free(block);
    }
}

void tern_pool_fini(struct tern_pool *pool)
{
    tern_pool_trim(pool, 0);
}

void *tern_pool_take(struct tern_pool *pool)
{
    void *block = pool->free;

    if (block == NULL)
        return tern_mem_alloc(pool->size);
    memcpy(&pool->free, block, sizeof(void *));
    pool->n_free--;
    return block;
}

void tern_pool_give(struct tern_pool *pool, void *block)
{
    if (block == NULL)
        return;
    if (pool->n_free >= pool->keep_max) {
        tern_mem_free(block);
        return;
    }
    memcpy(block, &pool->free, sizeof(void *));
    pool->free = block;
    pool->n_free++;
}
