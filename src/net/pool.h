/* A free list of equal blocks: what comes and goes with every connection or request is taken here,
 * so that a steady stream allocates nothing. Blocks come back uninitialised. One thread. */
#ifndef TERN_NET_POOL_H
#define TERN_NET_POOL_H

#include <stddef.h>
#include <stdint.h>
#include "base/compiler.h"

struct tern_pool {
    void *free; /* each free block's first word points to the next */
    size_t size;
    uint32_t n_free;
    uint32_t keep_max; /* above this many, a block given back goes to the allocator */
};

void tern_pool_init(struct tern_pool *pool, size_t size, uint32_t keep_max);
/* Gives back what is free; blocks still taken must have come back before. */
void tern_pool_fini(struct tern_pool *pool);
/* NULL without memory. */
TERN_MUST_USE void *tern_pool_take(struct tern_pool *pool);
void tern_pool_give(struct tern_pool *pool, void *block);
/* Keeps at most `keep` free blocks. */
void tern_pool_trim(struct tern_pool *pool, uint32_t keep);

#endif
