/* The allocator port: the only place that calls malloc. Tests replace these functions at link time
 * (ld --wrap) to make the n-th call fail and to count calls. NULL means out of memory; the caller
 * turns it into RESOURCE_EXHAUSTED. Thread-safe. */
#ifndef TERN_BASE_MEM_H
#define TERN_BASE_MEM_H

#include <stddef.h>
#include "base/compiler.h"
#include "base/err.h"
#include "base/str.h"

TERN_MUST_USE void *tern_mem_alloc(size_t size);
TERN_MUST_USE void *tern_mem_zalloc(size_t count, size_t size); /* zeroed; checked product */
/* Aligned to a cache line or more (power of two); freed by tern_mem_free. */
TERN_MUST_USE void *tern_mem_alloc_aligned(size_t align, size_t size);
TERN_MUST_USE void *tern_mem_realloc(void *p, size_t size);
void tern_mem_free(void *p);
/* Once, before the first thread: what is freed in large pieces goes back to the system. Without it
 * glibc raises the size from which it does so to that of the largest body it has seen (mallopt(3),
 * M_MMAP_THRESHOLD), and a server keeps the memory of its busiest moment for good. */
void tern_mem_tune(void);
/* After something large was freed in many pieces: gives what it can back to the system. Slow. */
void tern_mem_trim(void);
/* Of a piece that is filled at once and freed soon, like a file that is read: asks for large pages,
 * where the first touch of each small one would cost as much as filling it. */
void tern_mem_large(void *p, size_t size);
/* A zero-terminated copy. */
TERN_MUST_USE char *tern_mem_strdup(struct tern_str s);
/* The one wording of "no memory": `what` names the thing that did not fit. */
enum tern_code tern_mem_fail(struct tern_err *err, const char *what, size_t size) TERN_COLD;
#ifdef __clang_analyzer__
#define tern_mem_fail(...) ((void)tern_mem_fail(__VA_ARGS__), TERN_RESOURCE_EXHAUSTED)
#endif

#endif
