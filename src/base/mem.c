#include "base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *tern_mem_alloc(size_t size)
{
    return malloc(size > 0 ? size : 1);
}

void *tern_mem_zalloc(size_t count, size_t size)
{
    return calloc(count > 0 ? count : 1, size > 0 ? size : 1);
}

void *tern_mem_alloc_aligned(size_t align, size_t size)
{
    void *p = NULL;
    return posix_memalign(&p, align, size > 0 ? size : 1) == 0 ? p : NULL;
}

void *tern_mem_realloc(void *p, size_t size)
{
    return realloc(p, size > 0 ? size : 1);
}

void tern_mem_free(void *p)
{
    free(p);
}

/* Blocks below the first bound are what requests take and free all the time: no page faults for
 * them. The second is what each arena of malloc may keep at its end. */
#define MAP_FROM  (4 * 1024 * 1024)
#define KEEP_FREE (8 * 1024 * 1024)

void tern_mem_tune(void)
{
    mallopt(M_MMAP_THRESHOLD, MAP_FROM);
    mallopt(M_TRIM_THRESHOLD, KEEP_FREE);
}

void tern_mem_trim(void)
{
    malloc_trim(0);
}

#define LARGE_PAGE ((uintptr_t)2 * 1024 * 1024)

void tern_mem_large(void *p, size_t size)
{
    uintptr_t begin = ((uintptr_t)p + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
    uintptr_t end = ((uintptr_t)p + size) & ~(LARGE_PAGE - 1);

    if (begin < end) /* where there are none it stays as it is */
        (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}

char *tern_mem_strdup(struct tern_str s)
{
    char *z = tern_mem_alloc(s.n + 1);
    if (z == NULL)
        return NULL;
    if (s.n > 0)
        memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    return z;
}

enum tern_code(tern_mem_fail)(struct tern_err *err, const char *what, size_t size)
{
    return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "out of memory: %zu bytes for %s", size, what);
}
