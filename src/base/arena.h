/* An arena: what one request (or one configuration) needs, given back all at once.
 *
 * Memory comes in chunks that grow from first_size up; `max` bounds the sum of everything handed
 * out. reset keeps the first chunk, so that a steady stream of similar requests allocates nothing.
 * A cleanup runs at reset, last registered first: the way to tie a foreign resource (an engine's
 * tensor, a reference) to the request. One thread at a time. */
#ifndef TERN_BASE_ARENA_H
#define TERN_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include "base/compiler.h"
#include "base/err.h"
#include "base/str.h"

struct tern_arena_chunk;
struct tern_arena_cleanup;
struct tern_till;

struct tern_arena {
    char *at; /* next free byte of the current chunk */
    char *end;
    struct tern_arena_chunk *current;    /* owned: newest first */
    struct tern_arena_cleanup *cleanups; /* arena */
    size_t first_size;
    size_t used; /* bytes handed out since reset */
    size_t max;  /* bytes that may be handed out */
    /* What all but a first chunk of first_size is charged to (base/account.h); NULL: nothing. Set
     * while the arena holds none of those. */
    struct tern_till *till;
    bool denied; /* since reset: the account had no room */
};

/* Takes no memory yet. */
void tern_arena_init(struct tern_arena *arena, size_t first_size, size_t max);
void tern_arena_fini(struct tern_arena *arena);
/* Runs the cleanups, keeps the first chunk. */
void tern_arena_reset(struct tern_arena *arena);
/* Like reset, and gives the first chunk back too. */
void tern_arena_release(struct tern_arena *arena);

/* What the current chunk has room for, or NULL. Nothing asked for is NULL, too: size - 1 wraps. */
TERN_INLINE TERN_MUST_USE void *tern_arena_fit(struct tern_arena *arena, size_t align, size_t size)
{
    size_t pad = (size_t)(-(size_t)arena->at) & (align - 1);
    size_t room = (size_t)(arena->end - arena->at);

    if (TERN_UNLIKELY(size - 1 >= room || pad > room - size || size > arena->max - arena->used))
        return NULL;
    char *p = arena->at + pad;
    arena->at = p + size;
    arena->used += size;
    return p;
}

/* Uninitialised memory aligned to `align` (a power of two); NULL at max or without memory. Nothing
 * is asked for as one byte is. */
TERN_MUST_USE void *tern_arena_alloc_slow(struct tern_arena *arena, size_t align, size_t size);

TERN_INLINE TERN_MUST_USE void *tern_arena_alloc(struct tern_arena *arena, size_t align,
                                                 size_t size)
{
    void *p = tern_arena_fit(arena, align, size);
    return TERN_LIKELY(p != NULL) ? p : tern_arena_alloc_slow(arena, align, size);
}

/* Zeroed array of count elements; the product is checked. */
TERN_MUST_USE void *tern_arena_zalloc(struct tern_arena *arena, size_t count, size_t size);
/* A copy of s in the arena (with a zero after it, not counted). p == NULL on failure with n > 0. */
struct tern_str tern_arena_copy(struct tern_arena *arena, struct tern_str s);
/* printf into the arena; p == NULL on failure. */
struct tern_str tern_arena_printf(struct tern_arena *arena, const char *fmt, ...) TERN_PRINTF(2, 3);
enum tern_code tern_arena_on_reset(struct tern_arena *arena, void (*run)(void *arg), void *arg,
                                   struct tern_err *err);
/* The one wording of "the arena is full". */
enum tern_code tern_arena_fail(const struct tern_arena *arena, struct tern_err *err,
                               const char *what) TERN_COLD;
#ifdef __clang_analyzer__
#define tern_arena_fail(...) ((void)tern_arena_fail(__VA_ARGS__), TERN_RESOURCE_EXHAUSTED)
#endif

#endif
