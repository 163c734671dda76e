/* The masks of numbers_int.h by vector comparisons; the logic on masks is the shared one. */
#include "base/compiler.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "simd/kernels_x86.h"
#include "simd/numbers_int.h"

#define AVX2   TERN_TARGET("avx2,bmi,bmi2,lzcnt,popcnt")
#define AVX512 TERN_TARGET("avx512f,avx512bw,bmi,bmi2,lzcnt,popcnt")

AVX2 static inline uint64_t equal_avx2(__m256i low, __m256i high, char c)
{
    __m256i want = _mm256_set1_epi8(c);
    uint32_t a = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, want));
    uint32_t b = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, want));
    return a | (uint64_t)b << 32;
}

AVX2 size_t tern_numbers_scan_avx2(struct tern_numbers_scan *s, const char *p, size_t n)
{
    for (size_t at = 0; at < n; at += 64) {
        __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(p + at));
        __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(p + at + 32));
        /* Bit 5 is all that tells '[' from '{' and ']' from '}'. */
        __m256i low5 = _mm256_or_si256(low, _mm256_set1_epi8(0x20));
        __m256i high5 = _mm256_or_si256(high, _mm256_set1_epi8(0x20));
        struct tern_numbers_masks m = {
            .quote = equal_avx2(low, high, '"'),
            .backslash = equal_avx2(low, high, '\\'),
            .open = equal_avx2(low5, high5, '{'),
            .close = equal_avx2(low5, high5, '}'),
            .comma = equal_avx2(low, high, ','),
        };
        unsigned found = tern_numbers_scan_block(s, &m);
        if (found != 0)
            return found > 64 ? SIZE_MAX : at + found;
    }
    return 0;
}

AVX512 size_t tern_numbers_scan_avx512(struct tern_numbers_scan *s, const char *p, size_t n)
{
    for (size_t at = 0; at < n; at += 64) {
        __m512i v = _mm512_loadu_si512(p + at);
        __m512i v5 = _mm512_or_si512(v, _mm512_set1_epi8(0x20));
        struct tern_numbers_masks m = {
            .quote = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"')),
            .backslash = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\')),
            .open = _mm512_cmpeq_epi8_mask(v5, _mm512_set1_epi8('{')),
            .close = _mm512_cmpeq_epi8_mask(v5, _mm512_set1_epi8('}')),
            .comma = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(',')),
        };
        unsigned found = tern_numbers_scan_block(s, &m);
        if (found != 0)
            return found > 64 ? SIZE_MAX : at + found;
    }
    return 0;
}
#else
typedef int tern_numbers_scan_x86_none; /* ISO C forbids an empty file */
#endif
