/* A keyed hash of 256 bits for what is looked up by its hash alone: who does not know the key
 * cannot make two messages that collide.
 *
 * Four lanes of SipHash's permutation (Aumasson and Bernstein, "SipHash: a fast short-input PRF",
 * 2012) take 32 bytes a step, one round each: lanes do not wait for each other, so that long
 * messages pass at several bytes a cycle. The end hashes the whole state of all lanes by
 * SipHash-1-3 once more, so that messages collide only when all four lanes do. Not a hash for
 * signatures: the key has to stay secret, and no value is stable from one version to the next. */
#ifndef TERN_BASE_WIDE_HASH_H
#define TERN_BASE_WIDE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define TERN_WIDE_HASH_LANES 4

struct tern_wide_hash {
    uint64_t v[4][TERN_WIDE_HASH_LANES]; /* SipHash's v0 to v3 of each lane */
    uint64_t key[2];
    uint64_t total; /* bytes so far */
    unsigned char rest[8 * TERN_WIDE_HASH_LANES];
    size_t n_rest;
};

void tern_wide_hash_init(struct tern_wide_hash *hash, const uint64_t key[2]);
/* In pieces of any size: only the bytes in all count. */
void tern_wide_hash_add(struct tern_wide_hash *hash, const void *p, size_t n);
void tern_wide_hash_end(struct tern_wide_hash *hash, uint64_t ret[4]);

#endif
