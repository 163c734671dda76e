#include "base/wide_hash.h"

#include <string.h>

#define LANES  TERN_WIDE_HASH_LANES
#define STRIPE ((size_t)8 * LANES)

static uint64_t turn(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

/* One round of SipHash on each of `n` states; written so that a compiler makes vectors of it. */
static inline void mix(uint64_t (*v)[LANES], int n)
{
    for (int i = 0; i < n; i++) {
        v[0][i] += v[1][i];
        v[1][i] = turn(v[1][i], 13) ^ v[0][i];
        v[0][i] = turn(v[0][i], 32);
        v[2][i] += v[3][i];
        v[3][i] = turn(v[3][i], 16) ^ v[2][i];
        v[0][i] += v[3][i];
        v[3][i] = turn(v[3][i], 21) ^ v[0][i];
        v[2][i] += v[1][i];
        v[1][i] = turn(v[1][i], 17) ^ v[2][i];
        v[2][i] = turn(v[2][i], 32);
    }
}

static void start(uint64_t (*v)[LANES], int lane, uint64_t k0, uint64_t k1)
{
    v[0][lane] = k0 ^ 0x736f6d6570736575u;
    v[1][lane] = k1 ^ 0x646f72616e646f6du;
    v[2][lane] = k0 ^ 0x6c7967656e657261u;
    v[3][lane] = k1 ^ 0x7465646279746573u;
}

void tern_wide_hash_init(struct tern_wide_hash *hash, const uint64_t key[2])
{
    for (int i = 0; i < LANES; i++)
        start(hash->v, i, key[0], key[1] ^ (uint64_t)i);
    hash->key[0] = key[0];
    hash->key[1] = key[1];
    hash->total = 0;
    hash->n_rest = 0;
}

static void take_stripes(struct tern_wide_hash *hash, const unsigned char *p, size_t n_stripes)
{
    uint64_t v[4][LANES], m[LANES];

    memcpy(v, hash->v, sizeof(v));
    for (; n_stripes > 0; n_stripes--, p += STRIPE) {
        memcpy(m, p, STRIPE);
        for (int i = 0; i < LANES; i++)
            v[3][i] ^= m[i];
        mix(v, LANES);
        for (int i = 0; i < LANES; i++)
            v[0][i] ^= m[i];
    }
    memcpy(hash->v, v, sizeof(v));
}

void tern_wide_hash_add(struct tern_wide_hash *hash, const void *p, size_t n)
{
    const unsigned char *at = p;

    hash->total += n;
    if (hash->n_rest + n < STRIPE) {
        if (n > 0)
            memcpy(hash->rest + hash->n_rest, at, n);
        hash->n_rest += n;
        return;
    }
    if (hash->n_rest > 0) {
        size_t part = STRIPE - hash->n_rest;
        memcpy(hash->rest + hash->n_rest, at, part);
        take_stripes(hash, hash->rest, 1);
        at += part;
        n -= part;
    }
    take_stripes(hash, at, n / STRIPE);
    hash->n_rest = n % STRIPE;
    if (hash->n_rest > 0)
        memcpy(hash->rest, at + n - hash->n_rest, hash->n_rest);
}

/* The lanes' states are the message of one more SipHash; the length comes last. */
void tern_wide_hash_end(struct tern_wide_hash *hash, uint64_t ret[4])
{
    uint64_t v[4][LANES];

    memset(hash->rest + hash->n_rest, 0, STRIPE - hash->n_rest);
    take_stripes(hash, hash->rest, 1);
    start(v, 0, hash->key[1], hash->key[0]);
    for (int i = 0; i <= 4 * LANES; i++) {
        uint64_t m = i < 4 * LANES ? hash->v[i / LANES][i % LANES] : hash->total;
        v[3][0] ^= m;
        mix(v, 1);
        v[0][0] ^= m;
    }
    v[2][0] ^= 0xee;
    mix(v, 1);
    mix(v, 1);
    for (int i = 0; i < 4; i++) {
        mix(v, 1);
        ret[i] = v[0][0] ^ v[1][0] ^ v[2][0] ^ v[3][0];
        v[1][0] ^= 0xdd;
    }
}
