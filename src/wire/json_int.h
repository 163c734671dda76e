/* What the JSON reader and writer share: where a plain run of a string ends. */
#ifndef TERN_WIRE_JSON_INT_H
#define TERN_WIRE_JSON_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/compiler.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TERN_JSON_EACH_BYTE 0x0101010101010101u
#define TERN_JSON_HIGH_BITS 0x8080808080808080u

/* Marks (in their high bit) the bytes that end a plain run: '"', '\', controls. Bytes above a
 * marked one may be marked wrongly by the borrow; the lowest mark is always right. */
TERN_INLINE uint64_t tern_json_mark_special(uint64_t w)
{
    uint64_t quote = w ^ (TERN_JSON_EACH_BYTE * '"');
    uint64_t slash = w ^ (TERN_JSON_EACH_BYTE * '\\');
    uint64_t control = (w - TERN_JSON_EACH_BYTE * 0x20) & ~w;

    return (((quote - TERN_JSON_EACH_BYTE) & ~quote) | ((slash - TERN_JSON_EACH_BYTE) & ~slash) |
            control) &
           TERN_JSON_HIGH_BITS;
}

TERN_INLINE bool tern_json_is_special(unsigned char c)
{
    return c == '"' || c == '\\' || c < 0x20;
}

/* The first byte that needs attention inside a string, or end. *high collects high bits. */
TERN_INLINE const char *tern_json_plain_run(const char *p, const char *end, uint64_t *high)
{
#ifdef __SSE2__
    /* Nearly every string of a request ends within one such step. */
    while (end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
        __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        __m128i special = _mm_or_si128(_mm_or_si128(quote, slash), control);
        unsigned marks = (unsigned)_mm_movemask_epi8(special);
        unsigned before = marks == 0 ? 0xffff : (marks & (0 - marks)) - 1; /* the lowest mark */
        if (((unsigned)_mm_movemask_epi8(v) & before) != 0)
            *high |= TERN_JSON_HIGH_BITS;
        if (marks != 0)
            return p + __builtin_ctz(marks);
        p += 16;
    }
#endif
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        uint64_t marks = tern_json_mark_special(w);
        if (marks != 0) {
            unsigned at = (unsigned)__builtin_ctzll(marks) & ~7u;
            *high |= w & ((UINT64_C(1) << at) - 1);
            return p + at / 8;
        }
        *high |= w;
        p += 8;
    }
    while (p < end && !tern_json_is_special((unsigned char)*p))
        *high |= (unsigned char)*p++;
    return p;
}

#endif
