#include "base/hash.h"

static uint64_t fold(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    /* 64x64 -> 128 by halves. */
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t low = al * bl, mid1 = ah * bl, mid2 = al * bh, high = ah * bh;
    uint64_t carry = (low >> 32) + (uint32_t)mid1 + (uint32_t)mid2;
    return (a * b) ^ (high + (mid1 >> 32) + (mid2 >> 32) + (carry >> 32));
#endif
}

/* All of n < 8 bytes, without a copy of variable length: two loads that may overlap. */
static uint64_t load_rest(const char *p, size_t n)
{
    uint32_t low, high;

    if (n >= 4) {
        memcpy(&low, p, 4);
        memcpy(&high, p + n - 4, 4);
        return (uint64_t)high << 32 | low;
    }
    return (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n / 2] << 8 |
           (unsigned char)p[n - 1];
}

uint64_t tern_hash_bytes(struct tern_str s, uint64_t seed)
{
    const char *p = s.p;
    size_t left = s.n;
    uint64_t h = seed ^ 0x9E3779B97F4A7C15u;

    for (; left >= 8; left -= 8, p += 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        h = fold(h ^ v, 0xD6E8FEB86659FD93u);
    }
    if (left > 0)
        h = fold(h ^ load_rest(p, left), 0xA0761D6478BD642Fu);
    return fold(h ^ s.n, 0xE7037ED1A0B428DBu);
}
