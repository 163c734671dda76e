/* Allocation hooks that lead zlib and libzstd to the allocator port. Private to decoder and
 * encoder.
 */
#ifndef TERN_WIRE_CODEC_MEM_H
#define TERN_WIRE_CODEC_MEM_H

#include "base/compiler.h"
#include "base/mem.h"
#include "base/num.h"

TERN_INLINE void *tern_codec_mem_zalloc(void *unused, unsigned count, unsigned size)
{
    size_t n;
    (void)unused;
    /* Not zeroed: zlib says that it needs no zeroes, and a window is 32 KiB. */
    return tern_num_mul(count, size, &n) ? NULL : tern_mem_alloc(n);
}

TERN_INLINE void *tern_codec_mem_alloc(void *unused, size_t size)
{
    (void)unused;
    return tern_mem_alloc(size);
}

TERN_INLINE void tern_codec_mem_free(void *unused, void *p)
{
    (void)unused;
    tern_mem_free(p);
}

#endif
