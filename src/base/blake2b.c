#include "base/blake2b.h"

#include <stdbool.h>
#include <string.h>

#define ROUNDS 12

static const uint64_t iv[8] = {
    0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
    0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u,
};

/* Section 2.7; rounds 10 and 11 are 0 and 1 again. */
static const uint8_t order[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t turn(uint64_t x, unsigned by)
{
    return x >> by | x << (64 - by);
}

/* Section 3.1. */
static void mix(uint64_t v[16], const uint8_t at[4], uint64_t x, uint64_t y)
{
    uint64_t a = v[at[0]], b = v[at[1]], c = v[at[2]], d = v[at[3]];

    a += b + x;
    d = turn(d ^ a, 32);
    c += d;
    b = turn(b ^ c, 24);
    a += b + y;
    d = turn(d ^ a, 16);
    c += d;
    b = turn(b ^ c, 63);
    v[at[0]] = a;
    v[at[1]] = b;
    v[at[2]] = c;
    v[at[3]] = d;
}

/* Section 3.2. `total` counts this block's bytes too. */
static void compress(struct tern_blake2b *hash, const unsigned char block[128], bool last)
{
    static const uint8_t at[8][4] = {{0, 4, 8, 12},  {1, 5, 9, 13},  {2, 6, 10, 14}, {3, 7, 11, 15},
                                     {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13},  {3, 4, 9, 14}};
    uint64_t v[16], m[16];

    memcpy(m, block, sizeof(m)); /* little-endian, as we are */
    memcpy(v, hash->h, sizeof(hash->h));
    memcpy(v + 8, iv, sizeof(iv));
    v[12] ^= hash->total;
    if (last)
        v[14] = ~v[14];
    for (int r = 0; r < ROUNDS; r++) {
        const uint8_t *s = order[r % 10];
        for (int i = 0; i < 8; i++)
            mix(v, at[i], m[s[2 * i]], m[s[2 * i + 1]]);
    }
    for (int i = 0; i < 8; i++)
        hash->h[i] ^= v[i] ^ v[i + 8];
}

void tern_blake2b_init(struct tern_blake2b *hash)
{
    memcpy(hash->h, iv, sizeof(iv));
    hash->h[0] ^= 0x01010000u ^ TERN_BLAKE2B_SIZE; /* no key */
    hash->total = 0;
    hash->n_block = 0;
}

/* The last block is told from the others, so a full one waits until more comes. */
void tern_blake2b_add(struct tern_blake2b *hash, const void *p, size_t n)
{
    const unsigned char *at = p;

    while (n > 0) {
        if (hash->n_block == sizeof(hash->block)) {
            hash->total += sizeof(hash->block);
            compress(hash, hash->block, false);
            hash->n_block = 0;
        }
        for (; hash->n_block == 0 && n > sizeof(hash->block); n -= 128, at += 128) {
            hash->total += 128;
            compress(hash, at, false);
        }
        size_t room = sizeof(hash->block) - hash->n_block, part = n < room ? n : room;
        memcpy(hash->block + hash->n_block, at, part);
        hash->n_block += part;
        at += part;
        n -= part;
    }
}

void tern_blake2b_end(struct tern_blake2b *hash, unsigned char ret[TERN_BLAKE2B_SIZE])
{
    memset(hash->block + hash->n_block, 0, sizeof(hash->block) - hash->n_block);
    hash->total += hash->n_block;
    compress(hash, hash->block, true);
    memcpy(ret, hash->h, TERN_BLAKE2B_SIZE);
}
