#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/account.h"
#include "base/mem.h"
#include "base/num.h"

struct tern_arena_chunk {
    struct tern_arena_chunk *older;
    size_t size; /* bytes after this header */
};

struct tern_arena_cleanup {
    struct tern_arena_cleanup *next;
    void (*run)(void *arg);
    void *arg;
};

static char *chunk_bytes(struct tern_arena_chunk *chunk)
{
    return (char *)(chunk + 1);
}

/* What a chunk with this one before it costs. The first one is kept from request to request: it is
 * no request's. */
static size_t charge_for(const struct tern_arena *arena, const struct tern_arena_chunk *older,
                         size_t size)
{
    bool is_kept = older == NULL && size <= arena->first_size;

    return is_kept ? 0 : size + sizeof(struct tern_arena_chunk);
}

void tern_arena_init(struct tern_arena *arena, size_t first_size, size_t max)
{
    *arena = (struct tern_arena){.first_size = first_size, .max = max};
}

static void run_cleanups(struct tern_arena *arena)
{
    while (arena->cleanups != NULL) {
        struct tern_arena_cleanup *cleanup = arena->cleanups;
        arena->cleanups = cleanup->next;
        cleanup->run(cleanup->arg);
    }
}

static void free_until(struct tern_arena *arena, const struct tern_arena_chunk *keep)
{
    while (arena->current != keep) {
        struct tern_arena_chunk *older = arena->current->older;
        tern_till_give(arena->till, charge_for(arena, older, arena->current->size));
        tern_mem_free(arena->current);
        arena->current = older;
    }
}

static void rewind_to_current(struct tern_arena *arena)
{
    arena->used = 0;
    arena->denied = false;
    arena->at = arena->current == NULL ? NULL : chunk_bytes(arena->current);
    arena->end = arena->current == NULL ? NULL : arena->at + arena->current->size;
}

void tern_arena_reset(struct tern_arena *arena)
{
    run_cleanups(arena);
    if (arena->current == NULL)
        return;
    struct tern_arena_chunk *first = arena->current;
    while (first->older != NULL)
        first = first->older;
    free_until(arena, first);
    /* A first chunk made large by one huge request would be kept for ever. */
    if (first->size > arena->first_size)
        free_until(arena, NULL);
    rewind_to_current(arena);
}

void tern_arena_release(struct tern_arena *arena)
{
    run_cleanups(arena);
    free_until(arena, NULL);
    rewind_to_current(arena);
}

void tern_arena_fini(struct tern_arena *arena)
{
    tern_arena_release(arena);
}

static struct tern_arena_chunk *take_chunk(struct tern_arena *arena, size_t size)
{
    size_t total;

    if (tern_num_add(size, sizeof(struct tern_arena_chunk), &total))
        return NULL;
    size_t charged = charge_for(arena, arena->current, size);
    if (!tern_till_take(arena->till, charged)) {
        arena->denied = true;
        return NULL;
    }
    struct tern_arena_chunk *chunk = tern_mem_alloc(total);
    if (chunk == NULL) {
        tern_till_give(arena->till, charged);
        return NULL;
    }
    *chunk = (struct tern_arena_chunk){arena->current, size};
    return chunk;
}

void *tern_arena_alloc_slow(struct tern_arena *arena, size_t align, size_t size)
{
    size_t want;

    if (size == 0) {
        size = 1;
        void *p = tern_arena_fit(arena, align, size);
        if (p != NULL)
            return p;
    }
    if (size > arena->max - arena->used || tern_num_add(size, align, &want))
        return NULL;
    size_t chunk_size = arena->current == NULL ? arena->first_size : arena->current->size * 2;
    if (chunk_size > (1u << 20))
        chunk_size = 1u << 20;
    if (chunk_size < want)
        chunk_size = want;
    struct tern_arena_chunk *chunk = take_chunk(arena, chunk_size);
    if (chunk == NULL)
        return NULL;
    arena->current = chunk;
    arena->at = chunk_bytes(chunk);
    arena->end = arena->at + chunk_size;
    return tern_arena_fit(arena, align, size);
}

void *tern_arena_zalloc(struct tern_arena *arena, size_t count, size_t size)
{
    size_t total;

    if (tern_num_mul(count, size, &total))
        return NULL;
    void *p = tern_arena_alloc(arena, _Alignof(max_align_t), total);
    if (p != NULL)
        memset(p, 0, total);
    return p;
}

struct tern_str tern_arena_copy(struct tern_arena *arena, struct tern_str s)
{
    char *p = tern_arena_alloc(arena, 1, s.n + 1);
    if (p == NULL)
        return tern_str_make(NULL, s.n);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return tern_str_make(p, s.n);
}

struct tern_str tern_arena_printf(struct tern_arena *arena, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : tern_arena_alloc(arena, 1, (size_t)n + 1);
    if (p == NULL)
        return tern_str_make(NULL, 0);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return tern_str_make(p, (size_t)n);
}

enum tern_code tern_arena_on_reset(struct tern_arena *arena, void (*run)(void *arg), void *arg,
                                   struct tern_err *err)
{
    struct tern_arena_cleanup *cleanup =
        tern_arena_alloc(arena, _Alignof(struct tern_arena_cleanup), sizeof(*cleanup));
    if (cleanup == NULL)
        return tern_arena_fail(arena, err, "a cleanup");
    *cleanup = (struct tern_arena_cleanup){arena->cleanups, run, arg};
    arena->cleanups = cleanup;
    return TERN_OK;
}

enum tern_code(tern_arena_fail)(const struct tern_arena *arena, struct tern_err *err,
                                const char *what)
{
    if (arena->denied)
        return tern_till_fail(err);
    return tern_fail_http(
        err, TERN_RESOURCE_EXHAUSTED, 413,
        "the memory limit of one request (%zu bytes, %zu used) leaves no room for %s", arena->max,
        arena->used, what);
}
