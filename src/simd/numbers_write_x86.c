/* Printing floats with AVX-512: eight at a time through the arithmetic of decimal.c (Schubfach, the
 * same steps in the lanes of a vector), then one byte shuffle each to put the decimal point.
 *
 * The chain of dependent steps is long, far longer than a processor looks ahead, so a batch of
 * groups goes through one stage after the other: within a stage the groups overlap. */
#include "base/compiler.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "simd/kernels_x86.h"
#include "simd/numbers_int.h"
#include "simd/powers.h"

#define AVX512                                                          \
    TERN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,bmi," \
                "bmi2,lzcnt,popcnt")
#define AVX512_INLINE static inline __attribute__((always_inline)) AVX512

/* value = 0.ddddddddd * 10^point. Plain notation as numbers_write.c has it; the shuffle reaches no
 * further than 14, so 10^14 and 10^15 go the portable way. */
#define PLAIN_MIN   (-3)
#define PLAIN_MAX   16
#define SHUFFLE_MAX 14
#define POINT_BIAS  64 /* makes every point of a float positive */

/* Where one number's 16 bytes of text come from: D is its first digit, bytes 8 to 15 the others,
 * bytes 1 and 2 hold '.' and '0'. Row i is for point = i + PLAIN_MIN. */
#define D 0
#define P 1
#define Z 2
static const uint8_t layouts[SHUFFLE_MAX - PLAIN_MIN + 1][16] TERN_ALIGNED(16) = {
    {Z, P, Z, Z, Z, D, 8, 9, 10, 11, 12, 13, 14, 15, Z, Z},
    {Z, P, Z, Z, D, 8, 9, 10, 11, 12, 13, 14, 15, Z, Z, Z},
    {Z, P, Z, D, 8, 9, 10, 11, 12, 13, 14, 15, Z, Z, Z, Z},
    {Z, P, D, 8, 9, 10, 11, 12, 13, 14, 15, Z, Z, Z, Z, Z},
    {D, P, 8, 9, 10, 11, 12, 13, 14, 15, Z, Z, Z, Z, Z, Z},
    {D, 8, P, 9, 10, 11, 12, 13, 14, 15, Z, Z, Z, Z, Z, Z},
    {D, 8, 9, P, 10, 11, 12, 13, 14, 15, Z, Z, Z, Z, Z, Z},
    {D, 8, 9, 10, P, 11, 12, 13, 14, 15, Z, Z, Z, Z, Z, Z},
    {D, 8, 9, 10, 11, P, 12, 13, 14, 15, Z, Z, Z, Z, Z, Z},
    {D, 8, 9, 10, 11, 12, P, 13, 14, 15, Z, Z, Z, Z, Z, Z},
    {D, 8, 9, 10, 11, 12, 13, P, 14, 15, Z, Z, Z, Z, Z, Z},
    {D, 8, 9, 10, 11, 12, 13, 14, P, 15, Z, Z, Z, Z, Z, Z},
    {D, 8, 9, 10, 11, 12, 13, 14, 15, P, Z, Z, Z, Z, Z, Z},
    {D, 8, 9, 10, 11, 12, 13, 14, 15, Z, P, Z, Z, Z, Z, Z},
    {D, 8, 9, 10, 11, 12, 13, 14, 15, Z, Z, P, Z, Z, Z, Z},
    {D, 8, 9, 10, 11, 12, 13, 14, 15, Z, Z, Z, P, Z, Z, Z},
    {D, 8, 9, 10, 11, 12, 13, 14, 15, Z, Z, Z, Z, P, Z, Z},
    {D, 8, 9, 10, 11, 12, 13, 14, 15, Z, Z, Z, Z, Z, P, Z},
};
#undef D
#undef P
#undef Z

#define BATCH 16 /* groups of eight */

/* Eight numbers on their way. The first stage leaves digits * 10^exp10, the second the rest. */
struct eight {
    __m512i magnitude, digits, exp10;
    uint8_t text[8][16]; /* digit, '.', '0', ..., eight more digits */
    uint8_t row[8];      /* of `layouts` */
    uint8_t length[8];   /* without sign and comma */
    uint8_t point[8];    /* plus POINT_BIAS */
    uint8_t significant[8];
    __mmask8 minus;
    __mmask8 odd; /* needs an exponent, or is not finite */
} TERN_ALIGNED(64);

/* decimal.c's to_odd_f32 for c below 2^32. */
AVX512_INLINE __m512i to_odd(__m512i g_low, __m512i g_high, __m512i c)
{
    __m512i sum = _mm512_add_epi64(_mm512_mul_epu32(g_high, c),
                                   _mm512_srli_epi64(_mm512_mul_epu32(g_low, c), 32));
    __m512i rest = _mm512_and_si512(sum, _mm512_set1_epi64(0xffffffff));
    __m512i result = _mm512_srli_epi64(sum, 32);
    return _mm512_mask_or_epi64(result, _mm512_cmpgt_epu64_mask(rest, _mm512_set1_epi64(1)), result,
                                _mm512_set1_epi64(1));
}

/* decimal.c's choose. */
AVX512_INLINE __m512i choose(__m512i lower, __m512i vb, __m512i upper, __m512i *exp10)
{
    __m512i one = _mm512_set1_epi64(1);
    __m512i s = _mm512_srli_epi64(vb, 2);
    __m512i s4 = _mm512_slli_epi64(s, 2);
    __m512i tens = _mm512_srli_epi64(_mm512_mul_epu32(s, _mm512_set1_epi64(0xcccccccd)), 35);
    __m512i tens40 = _mm512_mul_epu32(tens, _mm512_set1_epi64(40));
    __mmask8 below = _mm512_cmple_epu64_mask(lower, tens40);
    __mmask8 above =
        _mm512_cmple_epu64_mask(_mm512_add_epi64(tens40, _mm512_set1_epi64(40)), upper);
    __mmask8 shorter = _mm512_mask_cmpge_epu64_mask(below ^ above, s, _mm512_set1_epi64(10));
    tens = _mm512_mask_add_epi64(tens, above, tens, one);

    __mmask8 below4 = _mm512_cmple_epu64_mask(lower, s4);
    __mmask8 above4 = _mm512_cmple_epu64_mask(_mm512_add_epi64(s4, _mm512_set1_epi64(4)), upper);
    __m512i middle = _mm512_add_epi64(s4, _mm512_set1_epi64(2));
    __mmask8 up = _mm512_cmpgt_epu64_mask(vb, middle) |
                  _mm512_mask_test_epi64_mask(_mm512_cmpeq_epi64_mask(vb, middle), s, one);
    __mmask8 differ = below4 ^ above4;
    up = (__mmask8)((differ & above4) | (~differ & up));
    s = _mm512_mask_add_epi64(s, up, s, one);
    *exp10 = _mm512_mask_add_epi64(*exp10, shorter, *exp10, one);
    return _mm512_mask_mov_epi64(s, shorter, tens);
}

/* digits * 10^exp10 of eight finite magnitudes; digits 0 for 0. */
AVX512_INLINE __m512i shortest(__m512i magnitude, __m512i *ret_exp10)
{
    __m512i fraction = _mm512_and_si512(magnitude, _mm512_set1_epi64(0x7fffff));
    __m512i biased = _mm512_srli_epi64(magnitude, 23);
    __mmask8 normal = _mm512_test_epi64_mask(biased, biased);
    __m512i c = _mm512_mask_or_epi64(fraction, normal, fraction, _mm512_set1_epi64(0x800000));
    __m512i q =
        _mm512_sub_epi64(_mm512_max_epi64(biased, _mm512_set1_epi64(1)), _mm512_set1_epi64(150));
    __mmask8 nearer = _mm512_mask_cmpgt_epi64_mask(_mm512_testn_epi64_mask(fraction, fraction),
                                                   biased, _mm512_set1_epi64(1));
    __m512i scaled = _mm512_mul_epi32(q, _mm512_set1_epi64(1262611));
    scaled = _mm512_mask_sub_epi64(scaled, nearer, scaled, _mm512_set1_epi64(524031));
    __m512i exp10 = _mm512_srai_epi64(scaled, 22);
    __m512i minus_exp10 = _mm512_sub_epi64(_mm512_setzero_si512(), exp10);
    __m512i shift = _mm512_add_epi64(
        _mm512_add_epi64(q, _mm512_set1_epi64(1)),
        _mm512_srai_epi64(_mm512_mul_epi32(minus_exp10, _mm512_set1_epi64(1741647)), 19));
    /* Rows are two words; the high one of row -exp10. A mask that the compiler cannot know keeps
     * the zero source, without which each round would wait for the register that the last one left.
     */
    __mmask8 finite = _mm512_cmplt_epu64_mask(biased, _mm512_set1_epi64(255));
    __m512i g = _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), finite,
                                            _mm512_add_epi64(minus_exp10, minus_exp10),
                                            (const void *)&tern_powers[-TERN_POWERS_MIN].hi, 8);
    g = _mm512_add_epi64(g, _mm512_set1_epi64(1));
    __m512i g_high = _mm512_srli_epi64(g, 32);
    __m512i c4 = _mm512_slli_epi64(c, 2);
    __m512i two = _mm512_set1_epi64(2);
    __m512i down = _mm512_mask_sub_epi64(two, nearer, two, _mm512_set1_epi64(1));
    __m512i lower = to_odd(g, g_high, _mm512_sllv_epi64(_mm512_sub_epi64(c4, down), shift));
    __m512i vb = to_odd(g, g_high, _mm512_sllv_epi64(c4, shift));
    __m512i upper = to_odd(g, g_high, _mm512_sllv_epi64(_mm512_add_epi64(c4, two), shift));
    __mmask8 odd = _mm512_test_epi64_mask(c, _mm512_set1_epi64(1));
    lower = _mm512_mask_add_epi64(lower, odd, lower, _mm512_set1_epi64(1));
    upper = _mm512_mask_sub_epi64(upper, odd, upper, _mm512_set1_epi64(1));
    __m512i digits = choose(lower, vb, upper, &exp10);
    *ret_exp10 = exp10;
    return _mm512_maskz_mov_epi64(_mm512_test_epi64_mask(magnitude, magnitude), digits);
}

/* 10^i for i below 10 (and 16 entries for the instruction). */
AVX512_INLINE __m512i power_of_ten(__m512i i)
{
    __m512i low = _mm512_set_epi64(10000000, 1000000, 100000, 10000, 1000, 100, 10, 1);
    __m512i high = _mm512_set_epi64(0, 0, 0, 0, 0, 0, 1000000000, 100000000);
    return _mm512_permutex2var_epi64(low, i, high);
}

/* Eight digits in each lane, most significant in the lowest byte, as values 0 to 9. */
AVX512_INLINE __m512i split_eight(__m512i v)
{
    __m512i high4 = _mm512_srli_epi64(_mm512_mul_epu32(v, _mm512_set1_epi64(109951163)), 40);
    __m512i low4 = _mm512_sub_epi64(v, _mm512_mul_epu32(high4, _mm512_set1_epi64(10000)));
    __m512i fours = _mm512_or_si512(high4, _mm512_slli_epi64(low4, 32));
    __m512i high2 = _mm512_srli_epi16(_mm512_mulhi_epu16(fours, _mm512_set1_epi32(5243)), 3);
    __m512i low2 = _mm512_sub_epi16(fours, _mm512_mullo_epi16(high2, _mm512_set1_epi32(100)));
    __m512i pairs = _mm512_or_si512(high2, _mm512_slli_epi32(low2, 16));
    __m512i tens = _mm512_mulhi_epu16(pairs, _mm512_set1_epi16(6592)); /* 103 / 1024 */
    return _mm512_sub_epi16(_mm512_slli_epi16(pairs, 8),
                            _mm512_mullo_epi16(tens, _mm512_set1_epi16(2559)));
}

AVX512_INLINE void store_bytes(uint8_t *out, __m512i lanes)
{
    _mm_storel_epi64((__m128i *)(void *)out, _mm512_cvtepi64_epi8(lanes));
}

AVX512_INLINE void find_digits(const char *in, struct eight *e)
{
    __m512i bits = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)in));
    e->magnitude = _mm512_and_si512(bits, _mm512_set1_epi64(0x7fffffff));
    e->minus = _mm512_test_epi64_mask(bits, _mm512_set1_epi64(0x80000000));
    e->digits = shortest(e->magnitude, &e->exp10);
}

AVX512_INLINE void prepare(struct eight *e)
{
    __m512i one = _mm512_set1_epi64(1);
    __m512i magnitude = e->magnitude;
    __m512i exp10 = e->exp10;
    __m512i digits = e->digits;
    /* To nine digits: bits * 1233 / 4096 is log10 from below, wrong by one at most. */
    __m512i width = _mm512_sub_epi64(_mm512_set1_epi64(64), _mm512_lzcnt_epi64(digits));
    __m512i count = _mm512_srli_epi64(_mm512_mul_epu32(width, _mm512_set1_epi64(1233)), 12);
    __mmask8 more = _mm512_cmpge_epu64_mask(digits, power_of_ten(count));
    count = _mm512_mask_add_epi64(count, more, count, one);
    __m512i nine =
        _mm512_mul_epu32(digits, power_of_ten(_mm512_sub_epi64(_mm512_set1_epi64(9), count)));
    __m512i first = _mm512_srli_epi64(_mm512_mul_epu32(nine, _mm512_set1_epi64(1441151881)), 57);
    __m512i rest =
        split_eight(_mm512_sub_epi64(nine, _mm512_mul_epu32(first, _mm512_set1_epi64(100000000))));
    __m512i significant =
        _mm512_sub_epi64(_mm512_set1_epi64(9), _mm512_srli_epi64(_mm512_lzcnt_epi64(rest), 3));
    __m512i zeros = _mm512_set1_epi8('0');
    first =
        _mm512_add_epi8(_mm512_or_si512(first, _mm512_set1_epi64(('.' - '0' + 256) << 8)), zeros);
    rest = _mm512_add_epi8(rest, zeros);

    __mmask8 is_zero = _mm512_testn_epi64_mask(magnitude, magnitude);
    __m512i point = _mm512_mask_mov_epi64(_mm512_add_epi64(count, exp10), is_zero, one);
    __m512i length = _mm512_mask_mov_epi64(
        _mm512_add_epi64(_mm512_sub_epi64(_mm512_set1_epi64(2), point), significant),
        _mm512_cmpgt_epi64_mask(point, _mm512_setzero_si512()),
        _mm512_add_epi64(_mm512_max_epi64(significant, _mm512_add_epi64(point, one)), one));
    e->odd = _mm512_cmpge_epu64_mask(magnitude, _mm512_set1_epi64(0x7f800000)) |
             _mm512_cmplt_epi64_mask(point, _mm512_set1_epi64(PLAIN_MIN)) |
             _mm512_cmpgt_epi64_mask(point, _mm512_set1_epi64(SHUFFLE_MAX));
    /* Lanes of unpack: numbers 0, 2, 4, 6 and 1, 3, 5, 7. */
    __m512i even = _mm512_unpacklo_epi64(first, rest);
    __m512i uneven = _mm512_unpackhi_epi64(first, rest);
    _mm_store_si128((void *)e->text[0], _mm512_castsi512_si128(even));
    _mm_store_si128((void *)e->text[1], _mm512_castsi512_si128(uneven));
    _mm_store_si128((void *)e->text[2], _mm512_extracti32x4_epi32(even, 1));
    _mm_store_si128((void *)e->text[3], _mm512_extracti32x4_epi32(uneven, 1));
    _mm_store_si128((void *)e->text[4], _mm512_extracti32x4_epi32(even, 2));
    _mm_store_si128((void *)e->text[5], _mm512_extracti32x4_epi32(uneven, 2));
    _mm_store_si128((void *)e->text[6], _mm512_extracti32x4_epi32(even, 3));
    _mm_store_si128((void *)e->text[7], _mm512_extracti32x4_epi32(uneven, 3));
    store_bytes(e->row, _mm512_sub_epi64(point, _mm512_set1_epi64(PLAIN_MIN)));
    store_bytes(e->length, length);
    store_bytes(e->point, _mm512_add_epi64(point, _mm512_set1_epi64(POINT_BIAS)));
    store_bytes(e->significant, significant);
}

AVX512_INLINE void lay_out(char *out, const struct eight *e, unsigned k, unsigned row)
{
    __m128i text = _mm_load_si128((const void *)e->text[k]);
    __m128i layout = _mm_load_si128((const void *)layouts[row]);
    _mm_storeu_si128((void *)out, _mm_shuffle_epi8(text, layout));
}

/* Number k with an exponent, or a rare one by the portable writer. Answers past it. */
AVX512 static char *write_odd(char *out, const struct eight *e, unsigned k, float value)
{
    int point = (int)e->point[k] - POINT_BIAS;
    unsigned n = e->significant[k];
    if (!__builtin_isfinite(value) || (point > SHUFFLE_MAX && point <= PLAIN_MAX))
        return tern_numbers_put_f32(out, value);
    *out = '-';
    out += e->minus >> k & 1;
    lay_out(out, e, k, 1 - PLAIN_MIN);
    out += n == 1 ? 1 : n + 1;
    int exponent = point - 1;
    unsigned size = (unsigned)(exponent < 0 ? -exponent : exponent);
    out[0] = 'e';
    out[1] = '-';
    out += exponent < 0 ? 2 : 1;
    out[0] = (char)('0' + size / 10);
    out += size >= 10;
    out[0] = (char)('0' + size % 10);
    return out + 1;
}

AVX512_INLINE char *write_eight(char *out, const struct eight *e, const char *in, unsigned n)
{
    if (e->odd == 0) {
        for (unsigned k = 0; k < n; k++) {
            unsigned minus = e->minus >> k & 1;
            unsigned length = e->length[k];
            *out = '-';
            lay_out(out + minus, e, k, e->row[k]);
            out[minus + length] = ',';
            out += minus + length + 1;
        }
        return out;
    }
    for (unsigned k = 0; k < n; k++) {
        if ((e->odd >> k & 1) != 0) {
            float value;
            memcpy(&value, in + k * sizeof(value), sizeof(value));
            out = write_odd(out, e, k, value);
        } else {
            *out = '-';
            out += e->minus >> k & 1;
            lay_out(out, e, k, e->row[k]);
            out += e->length[k];
        }
        *out++ = ',';
    }
    return out;
}

AVX512 static char *write_batch(const char *in, size_t count, char *out)
{
    TERN_UNINITIALIZED struct eight batch[BATCH];
    size_t groups = (count + 7) / 8;
    for (size_t g = 0; g < groups; g++)
        find_digits(in + g * 8 * sizeof(float), &batch[g]);
    for (size_t g = 0; g < groups; g++)
        prepare(&batch[g]);
    for (size_t g = 0; g < groups; g++) {
        size_t left = count - g * 8;
        out =
            write_eight(out, &batch[g], in + g * 8 * sizeof(float), left < 8 ? (unsigned)left : 8);
    }
    return out;
}

AVX512 char *tern_numbers_write_f32_avx512(const void *floats, size_t count, char *out)
{
    const char *in = floats; /* at any address */
    size_t whole = count / 8 * 8;
    for (size_t i = 0; i < whole;) {
        size_t n = whole - i < BATCH * 8 ? whole - i : BATCH * 8;
        out = write_batch(in + i * sizeof(float), n, out);
        i += n;
    }
    if (whole < count) {
        char rest[8 * sizeof(float)] = {0};
        memcpy(rest, in + whole * sizeof(float), (count - whole) * sizeof(float));
        out = write_batch(rest, count - whole, out);
    }
    return out;
}
#else
typedef int tern_numbers_write_x86_none; /* ISO C forbids an empty file */
#endif
