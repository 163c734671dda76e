/* A growing array outside of any arena, for what is read before its size is known. */
#ifndef TERN_BASE_GROW_H
#define TERN_BASE_GROW_H

#include <stddef.h>
#include "base/err.h"

/* Makes room for `more` elements of `size` bytes after the n that *array (of tern_mem_alloc, or
 * NULL) holds; *cap says how many it has room for. At most max elements: RESOURCE_EXHAUSTED names
 * `what`. */
enum tern_code tern_grow(void *array, size_t *cap, size_t n, size_t more, size_t size, size_t max,
                         const char *what, struct tern_err *err);

#endif
