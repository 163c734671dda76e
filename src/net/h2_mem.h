/* The allocator under nghttp2: free lists by size class, so that sessions, streams and frames that
 * come and go with requests take no memory from the system in steady state. One loop's thread. */
#ifndef TERN_NET_H2_MEM_H
#define TERN_NET_H2_MEM_H

#include <stddef.h>
#include <nghttp2/nghttp2.h>

#define TERN_H2_MEM_CLASSES  10         /* 64 bytes << 0 .. 64 << 9 = 32 KiB */
#define TERN_H2_MEM_KEPT_MAX (4u << 20) /* bytes kept in the free lists */

struct tern_h2_mem_head;

struct tern_h2_mem {
    struct tern_h2_mem_head *free[TERN_H2_MEM_CLASSES]; /* owned: lists by class */
    size_t kept;
};

void tern_h2_mem_init(struct tern_h2_mem *mem);
/* Everything taken must have come back. */
void tern_h2_mem_fini(struct tern_h2_mem *mem);
/* Gives free blocks back to the system. */
void tern_h2_mem_trim(struct tern_h2_mem *mem);
/* The table of hooks that leads nghttp2 here. */
nghttp2_mem tern_h2_mem_hooks(struct tern_h2_mem *mem);

#endif
