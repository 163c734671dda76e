/* BLAKE2b with 32 bytes of output and no key (RFC 7693): a hash for which nobody can find two
 * messages that collide, also when everything about it is known. */
#ifndef TERN_BASE_BLAKE2B_H
#define TERN_BASE_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

#define TERN_BLAKE2B_SIZE 32

struct tern_blake2b {
    uint64_t h[8];
    uint64_t total; /* bytes in the blocks so far */
    unsigned char block[128];
    size_t n_block;
};

void tern_blake2b_init(struct tern_blake2b *hash);
void tern_blake2b_add(struct tern_blake2b *hash, const void *p, size_t n);
void tern_blake2b_end(struct tern_blake2b *hash, unsigned char ret[TERN_BLAKE2B_SIZE]);

#endif
