/* Memory that is counted, and of which one call fails on demand. The test that includes this, and
 * only one file of a program may, says
 *
 *     // wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
 */
#ifndef TERN_TESTS_MEM_FAILS_H
#define TERN_TESTS_MEM_FAILS_H

#include <stdbool.h>
#include "base/mem.h"

static _Atomic long mem_calls;        /* since the test last set it; of any thread */
static _Atomic long mem_fail_at = -1; /* the call of that number gets nothing; -1: none */

static bool mem_fails(void)
{
    return mem_calls++ == mem_fail_at;
}

void *__real_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size)
{
    return mem_fails() ? NULL : __real_tern_mem_alloc(size);
}

void *__real_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size)
{
    return mem_fails() ? NULL : __real_tern_mem_zalloc(count, size);
}

void *__real_tern_mem_realloc(void *p, size_t size);
void *__wrap_tern_mem_realloc(void *p, size_t size);
void *__wrap_tern_mem_realloc(void *p, size_t size)
{
    return mem_fails() ? NULL : __real_tern_mem_realloc(p, size);
}

void *__real_tern_mem_alloc_aligned(size_t align, size_t size);
void *__wrap_tern_mem_alloc_aligned(size_t align, size_t size);
void *__wrap_tern_mem_alloc_aligned(size_t align, size_t size)
{
    return mem_fails() ? NULL : __real_tern_mem_alloc_aligned(align, size);
}

#endif
