/* A seeded 64-bit hash of bytes for in-memory tables (not for security, not stable across
 * versions). Multiply-and-fold over 8-byte words, in the family of wyhash. */
#ifndef TERN_BASE_HASH_H
#define TERN_BASE_HASH_H

#include <stdint.h>
#include "base/str.h"

uint64_t tern_hash_bytes(struct tern_str s, uint64_t seed);

#endif
