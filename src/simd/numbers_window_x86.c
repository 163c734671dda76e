/* Pass two of reading numbers with AVX-512: from positions to values.
 *
 * It takes numbers in groups of eight. One byte shuffle picks the digits of several numbers
 * out of 128 bytes of text, right-aligned and without their dots; multiply-adds turn them into
 * integers; one multiplication by a power of ten makes the floats. A float32 is sure unless the
 * double is too near to the middle of two floats; a double is computed with twice its precision
 * and is sure unless both ends of its error interval round differently. What is not sure, or has
 * an exponent, or too many digits, goes one by one to the portable reader. */
#include "simd/numbers_window_x86.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "simd/half.h"
#include "simd/powers.h"

#define SLOW 127 /* as a digit count: ask the portable reader */

/* Digit counts and places from positions, 64 numbers a step; exponents marked. */
TERN_AVX512_INLINE void measure(struct tern_numbers_window *win,
                                const struct tern_numbers_oddities *odds)
{
    __m512i one = _mm512_set1_epi8(1);
    for (size_t i = 0; i < win->count; i += 64) {
        __m512i end = _mm512_loadu_si512(win->end + i);
        __m512i dot = _mm512_loadu_si512(win->dot + i);
        __m512i start = _mm512_loadu_si512(win->start + i);
        __mmask64 whole = _mm512_cmpeq_epi8_mask(end, dot);
        __m512i past = _mm512_mask_add_epi8(end, whole, end, one);
        __m512i last = _mm512_sub_epi8(past, one);
        _mm512_storeu_si512(win->past + i, past);
        _mm512_storeu_si512(win->digits + i, _mm512_sub_epi8(last, start));
        _mm512_storeu_si512(win->places + i, _mm512_sub_epi8(last, dot));
    }
    for (size_t i = 0; i < odds->count; i++)
        win->digits[odds->index[i]] = SLOW;
    /* The last group may be partial: let its other members be harmless. */
    size_t n = win->count;
    __m128i zero = _mm_setzero_si128();
    _mm_storeu_si128((__m128i *)(void *)(win->past + n), _mm_set1_epi8((char)win->past[n - 1]));
    _mm_storeu_si128((__m128i *)(void *)(win->digits + n), _mm_set1_epi8(1));
    _mm_storeu_si128((__m128i *)(void *)(win->places + n), zero);
    _mm_storeu_si128((__m128i *)(void *)(win->minus + n), zero);
    _mm256_storeu_si256((__m256i *)(void *)(win->at + n), _mm256_set1_epi16((short)win->at[n - 1]));
}

/* 128 bytes of text around a group, from which one shuffle picks. */
struct source {
    __m512i low, high;
    __m512i base; /* position of low's first byte, mod 256, in every byte */
};

/* The group's text begins at most 32 bytes before the end of its first number. */
TERN_AVX512_INLINE struct source source_of(const struct tern_numbers_walk *w,
                                           const struct tern_numbers_window *win, size_t i)
{
    const char *p = win->begin + win->at[i] - 32;
    const char *highest = w->end + TERN_TEXT_PAD - 128;
    p = p > highest ? highest : p;
    p = p < w->begin ? w->begin : p;
    return (struct source){_mm512_loadu_si512(p), _mm512_loadu_si512(p + 64),
                           _mm512_set1_epi8((char)(p - win->begin))};
}

TERN_AVX512_INLINE bool fits_source(const struct tern_numbers_window *win, size_t first,
                                    size_t last)
{
    return win->at[last] - win->at[first] <= 94;
}

/* The bytes list[i], spread over the bytes of `pattern`. */
TERN_AVX512_INLINE __m512i spread(const uint8_t *list, __m512i pattern)
{
    long long eight;
    memcpy(&eight, list, 8);
    return _mm512_shuffle_epi8(_mm512_set1_epi64(eight), pattern);
}

/* Digits (0..9) where `rank` says how far from the number's last digit each byte is. */
TERN_AVX512_INLINE __m512i pick_digits(const struct source *src, __m512i past, __m512i digits,
                                       __m512i places, __m512i rank)
{
    __m512i all = _mm512_set1_epi8(-1);
    __m512i index = _mm512_sub_epi8(_mm512_sub_epi8(past, src->base),
                                    _mm512_add_epi8(rank, _mm512_set1_epi8(1)));
    index = _mm512_mask_add_epi8(index, _mm512_cmple_epu8_mask(places, rank), index, all);
    __m512i text = _mm512_maskz_permutex2var_epi8(_mm512_cmpgt_epu8_mask(digits, rank), src->low,
                                                  index, src->high);
    return _mm512_and_si512(text, _mm512_set1_epi8(15));
}

/* Groups of four digits, most significant first, to 32-bit integers. */
TERN_AVX512_INLINE __m512i fours(__m512i digits)
{
    __m512i pairs = _mm512_maddubs_epi16(digits, _mm512_set1_epi16(0x010a));
    return _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00010064));
}

/* Lane byte -> which of the numbers, and the distance from its last digit. */
#define LANES4(a, b, c, d)                                                                         \
    _mm512_set_epi64(0x0101010101010101 * (d), 0x0101010101010101 * (d), 0x0101010101010101 * (c), \
                     0x0101010101010101 * (c), 0x0101010101010101 * (b), 0x0101010101010101 * (b), \
                     0x0101010101010101 * (a), 0x0101010101010101 * (a))

/* Eight numbers of at most 16 digits: four a vector. */
TERN_AVX512_INLINE __m512i eight_of_16(const struct tern_numbers_window *win, size_t i,
                                       const struct source *a, const struct source *b)
{
    __m512i first = LANES4(0, 1, 2, 3);
    __m512i second = LANES4(4, 5, 6, 7);
    __m512i rank =
        _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    __m512i x = fours(pick_digits(a, spread(win->past + i, first), spread(win->digits + i, first),
                                  spread(win->places + i, first), rank));
    __m512i y = fours(pick_digits(b, spread(win->past + i, second), spread(win->digits + i, second),
                                  spread(win->places + i, second), rank));
    /* A 128-bit lane: four fours of number k, four fours of number k + 4. */
    __m512i eights = _mm512_madd_epi16(_mm512_packus_epi32(x, y), _mm512_set1_epi32(0x00012710));
    __m512i value = _mm512_add_epi64(_mm512_mul_epu32(eights, _mm512_set1_epi64(100000000)),
                                     _mm512_srli_epi64(eights, 32));
    return _mm512_permutexvar_epi64(_mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0), value);
}

/* One number in each eight bytes; `rank` counts down within them. */
TERN_AVX512_INLINE __m512i lanes8(void)
{
    return _mm512_set_epi64(0x0707070707070707, 0x0606060606060606, 0x0505050505050505,
                            0x0404040404040404, 0x0303030303030303, 0x0202020202020202,
                            0x0101010101010101, 0);
}

TERN_AVX512_INLINE __m512i join_fours(__m512i fours)
{
    return _mm512_add_epi64(_mm512_mul_epu32(fours, _mm512_set1_epi64(10000)),
                            _mm512_srli_epi64(fours, 32));
}

/* Eight numbers of at most 8 digits, in one vector. */
TERN_AVX512_INLINE __m512i eight_of_8(const struct tern_numbers_window *win, size_t i,
                                      const struct source *a)
{
    __m512i lanes = lanes8();
    __m512i rank = _mm512_set1_epi64(0x0001020304050607);
    return join_fours(
        fours(pick_digits(a, spread(win->past + i, lanes), spread(win->digits + i, lanes),
                          spread(win->places + i, lanes), rank)));
}

/* Eight numbers of 17 to 24 digits: the 8 digits above the lower 16. *ret_slow: over 64 bits. */
TERN_AVX512_INLINE __m512i eight_of_24(const struct tern_numbers_window *win, size_t i,
                                       const struct source *a, const struct source *b,
                                       __mmask8 *ret_slow)
{
    __m512i lanes = lanes8();
    __m512i rank = _mm512_set1_epi64(0x1011121314151617);
    __m512i past = spread(win->past + i, lanes);
    __m512i digits = spread(win->digits + i, lanes);
    __m512i places = spread(win->places + i, lanes);
    __m512i low = eight_of_16(win, i, a, b);
    __m512i x = pick_digits(a, past, digits, places, rank);
    __m512i y = pick_digits(b, past, digits, places, rank);
    __m512i top = join_fours(fours(_mm512_mask_mov_epi64(x, 0xf0, y)));
    __m512i times_low = _mm512_mul_epu32(top, _mm512_set1_epi64(10000000000000000 & 0xffffffff));
    __m512i times_high = _mm512_mul_epu32(top, _mm512_set1_epi64(10000000000000000 >> 32));
    *ret_slow = _mm512_cmpgt_epu64_mask(top, _mm512_set1_epi64(1843));
    return _mm512_add_epi64(_mm512_add_epi64(low, times_low), _mm512_slli_epi64(times_high, 32));
}

enum kind { KIND_F32, KIND_F64, KIND_HALF, KIND_INTEGER };

/* 10^-places from `table`. */
TERN_AVX512_INLINE __m512d power(const double *table, __m512i places)
{
    __m512d near =
        _mm512_permutex2var_pd(_mm512_loadu_pd(table), places, _mm512_loadu_pd(table + 8));
    return _mm512_mask_permutexvar_pd(near, _mm512_cmpgt_epu64_mask(places, _mm512_set1_epi64(15)),
                                      places, _mm512_loadu_pd(table + 16));
}

TERN_AVX512_INLINE __m512d with_sign(const struct tern_numbers_window *win, size_t i, __m512d value)
{
    __m512i minus =
        _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(const void *)(win->minus + i)));
    return _mm512_xor_pd(value, _mm512_castsi512_pd(_mm512_slli_epi64(minus, 56)));
}

TERN_AVX512_INLINE __mmask8 store_f32(const struct tern_numbers_window *win, size_t i,
                                      __m512i value, __m512i places, char *out)
{
    __m512d v = _mm512_mul_pd(_mm512_cvtepu64_pd(value), power(tern_powers_negative[0], places));
    /* v is within 2 units of the nearest double: no doubt unless its 29 lowest bits are that near
     * to one half of a float's unit. */
    __m512i low = _mm512_and_si512(_mm512_castpd_si512(v), _mm512_set1_epi64(0x1fffffff));
    __m512i from = _mm512_sub_epi64(low, _mm512_set1_epi64(0x10000000 - 8));
    _mm256_storeu_ps((float *)(void *)out, _mm512_cvtpd_ps(with_sign(win, i, v)));
    return _mm512_cmplt_epu64_mask(from, _mm512_set1_epi64(16));
}

/* The nearest double of value * 10^-places, without sign. The product is computed as p + e with an
 * error below |p| * 2^-102 (seven roundings of terms below |p| * 2^-51, and the table's own). */
TERN_AVX512_INLINE __m512d nearest(__m512i value, __m512i places, __mmask8 *ret_slow)
{
    __m512d high = _mm512_cvtepu64_pd(value);
    /* high may be 2^64, whose conversion back wraps to 2^64 - 1 in saturation: such are slow. */
    __m512d low = _mm512_cvtepi64_pd(_mm512_sub_epi64(value, _mm512_cvtpd_epu64(high)));
    __m512d ten_high = power(tern_powers_negative[0], places);
    __m512d ten_low = power(tern_powers_negative[1], places);
    __m512d p = _mm512_mul_pd(high, ten_high);
    __m512d e = _mm512_fmsub_pd(high, ten_high, p);
    e = _mm512_add_pd(e, _mm512_fmadd_pd(high, ten_low, _mm512_mul_pd(low, ten_high)));
    __m512d error = _mm512_mul_pd(p, _mm512_set1_pd(0x1p-100));
    __m512d result = _mm512_add_pd(p, _mm512_add_pd(e, error));
    __m512d other = _mm512_add_pd(p, _mm512_sub_pd(e, error));
    *ret_slow = _mm512_cmp_pd_mask(result, other, _CMP_NEQ_UQ) |
                _mm512_cmpgt_epu64_mask(value, _mm512_set1_epi64((long long)0xfffffffffffff000u));
    return result;
}

TERN_AVX512_INLINE __mmask8 store_half(enum tern_dtype dtype, __m512d value, char *out)
{
    double v[8];
    uint16_t narrow[8];
    unsigned over = 0;
    _mm512_storeu_pd(v, value);
    for (unsigned k = 0; k < 8; k++) {
        uint16_t top = dtype == TERN_DTYPE_FP16 ? 0x7c00 : 0x7f80;
        narrow[k] =
            dtype == TERN_DTYPE_FP16 ? tern_half_from_f64(v[k]) : tern_half_bf16_from_f64(v[k]);
        over |= (unsigned)((narrow[k] & top) == top) << k;
    }
    memcpy(out, narrow, sizeof(narrow));
    return (__mmask8)over;
}

struct limits {
    uint64_t above, below; /* largest magnitude of a positive and of a negative number */
};

TERN_AVX512_INLINE __mmask8 store_integer(const struct tern_numbers_window *win, size_t i,
                                          __m512i value, __m512i places, struct limits limits,
                                          size_t size, char *out)
{
    __m128i minus8 = _mm_loadl_epi64((const __m128i *)(const void *)(win->minus + i));
    __mmask8 minus = (__mmask8)_mm_movepi8_mask(minus8);
    __m512i limit = _mm512_mask_mov_epi64(_mm512_set1_epi64((long long)limits.above), minus,
                                          _mm512_set1_epi64((long long)limits.below));
    __mmask8 slow = _mm512_cmpgt_epu64_mask(value, limit) | _mm512_test_epi64_mask(places, places);
    value = _mm512_mask_sub_epi64(value, minus, _mm512_setzero_si512(), value);
    if (size == 8)
        _mm512_storeu_si512(out, value);
    else if (size == 4)
        _mm256_storeu_si256((__m256i *)(void *)out, _mm512_cvtepi64_epi32(value));
    else if (size == 2)
        _mm_storeu_si128((__m128i *)(void *)out, _mm512_cvtepi64_epi16(value));
    else
        _mm_storel_epi64((__m128i *)(void *)out, _mm512_cvtepi64_epi8(value));
    return slow;
}

static struct limits limits_of(enum tern_dtype dtype, size_t size)
{
    bool is_signed = dtype == TERN_DTYPE_INT8 || dtype == TERN_DTYPE_INT16 ||
                     dtype == TERN_DTYPE_INT32 || dtype == TERN_DTYPE_INT64;
    uint64_t all = UINT64_MAX >> (64 - 8 * size);
    return is_signed ? (struct limits){all >> 1, (all >> 1) + 1} : (struct limits){all, 0};
}

/* True when each of the eight counts (all below 128) is at most n. */
TERN_INLINE bool all_at_most(uint64_t counts, unsigned n)
{
    return ((counts + 0x0101010101010101u * (127 - n)) & 0x8080808080808080u) == 0;
}

/* Eight numbers to out. Answers which of them the portable reader must do again. */
TERN_AVX512_INLINE __mmask8 read_eight(enum kind kind, const struct tern_numbers_walk *w,
                                       const struct tern_numbers_window *win, size_t i,
                                       struct limits limits, size_t size, char *out)
{
    uint64_t counts;
    __mmask8 slow = 0;
    __m512i value;
    memcpy(&counts, win->digits + i, 8);
    if (TERN_UNLIKELY(counts == 0x0101010101010101u * SLOW))
        return 0xff;
    struct source a = source_of(w, win, i);
    if (all_at_most(counts, 8) && fits_source(win, i, i + 7)) {
        value = eight_of_8(win, i, &a);
    } else {
        if (!fits_source(win, i, i + 3) || !fits_source(win, i + 4, i + 7))
            return 0xff;
        struct source b = source_of(w, win, i + 4);
        if (all_at_most(counts, 16)) {
            value = eight_of_16(win, i, &a, &b);
        } else {
            value = eight_of_24(win, i, &a, &b, &slow);
            __m128i eight = _mm_loadl_epi64((const __m128i *)(const void *)(win->digits + i));
            slow |= (__mmask8)_mm_cmpgt_epi8_mask(eight, _mm_set1_epi8(24));
        }
    }
    __m512i places =
        _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(const void *)(win->places + i)));
    __mmask8 unsure = 0;
    switch (kind) {
    case KIND_F32:
        return slow | store_f32(win, i, value, places, out);
    case KIND_F64:
        _mm512_storeu_pd(out, with_sign(win, i, nearest(value, places, &unsure)));
        return slow | unsure;
    case KIND_HALF:
        slow |= store_half(w->dtype, with_sign(win, i, nearest(value, places, &unsure)), out);
        return slow | unsure;
    case KIND_INTEGER:
    default:
        return slow | store_integer(win, i, value, places, limits, size, out);
    }
}

/* Sixteen integers of at most four digits, one vector. False when they are not that. */
TERN_AVX512_INLINE bool read_sixteen(enum kind kind, const struct tern_numbers_walk *w,
                                     const struct tern_numbers_window *win, size_t i,
                                     struct limits limits, size_t size, char *out)
{
    __m128i digits16 = _mm_loadu_si128((const __m128i *)(const void *)(win->digits + i));
    __m128i places16 = _mm_loadu_si128((const __m128i *)(const void *)(win->places + i));
    if (kind != KIND_F32 && kind != KIND_INTEGER)
        return false;
    if ((_mm_cmpgt_epi8_mask(digits16, _mm_set1_epi8(4)) |
         _mm_test_epi8_mask(places16, places16)) != 0 ||
        !fits_source(win, i, i + 15))
        return false;
    struct source src = source_of(w, win, i);
    __m512i lanes = _mm512_set_epi32(0x0f0f0f0f, 0x0e0e0e0e, 0x0d0d0d0d, 0x0c0c0c0c, 0x0b0b0b0b,
                                     0x0a0a0a0a, 0x09090909, 0x08080808, 0x07070707, 0x06060606,
                                     0x05050505, 0x04040404, 0x03030303, 0x02020202, 0x01010101, 0);
    __m128i past16 = _mm_loadu_si128((const __m128i *)(const void *)(win->past + i));
    __m512i past = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(past16), lanes);
    __m512i digits = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(digits16), lanes);
    __m512i value = fours(
        pick_digits(&src, past, digits, _mm512_setzero_si512(), _mm512_set1_epi32(0x00010203)));
    __mmask16 minus = 0;
    if (win->any_minus)
        minus = _mm_movepi8_mask(_mm_loadu_si128((const __m128i *)(const void *)(win->minus + i)));
    if (kind == KIND_F32) {
        __m512 single = _mm512_cvtepi32_ps(value);
        single = _mm512_mask_xor_ps(single, minus, single, _mm512_set1_ps(-0.0f));
        _mm512_storeu_ps(out, single);
        return true;
    }
    uint64_t above = limits.above < 9999 ? limits.above : 9999;
    uint64_t below = limits.below < 9999 ? limits.below : 9999;
    __m512i limit =
        _mm512_mask_mov_epi32(_mm512_set1_epi32((int)above), minus, _mm512_set1_epi32((int)below));
    if (_mm512_cmpgt_epu32_mask(value, limit) != 0)
        return false;
    value = _mm512_mask_sub_epi32(value, minus, _mm512_setzero_si512(), value);
    if (size == 4) {
        _mm512_storeu_si512(out, value);
    } else if (size == 2) {
        _mm256_storeu_si256((__m256i *)(void *)out, _mm512_cvtepi32_epi16(value));
    } else if (size == 1) {
        _mm_storeu_si128((__m128i *)(void *)out, _mm512_cvtepi32_epi8(value));
    } else {
        _mm512_storeu_si512(out, _mm512_cvtepi32_epi64(_mm512_castsi512_si256(value)));
        _mm512_storeu_si512(out + 64, _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(value, 1)));
    }
    return true;
}

/* Asks the portable reader for the marked numbers of the group at i. */
static bool read_slow(const struct tern_numbers_walk *w, const struct tern_numbers_window *win,
                      size_t i, unsigned slow)
{
    for (; slow != 0; slow &= slow - 1) {
        size_t k = i + (size_t)__builtin_ctz(slow);
        if (k >= win->count)
            break;
        const char *end = win->begin + win->at[k];
        const char *start = end - (uint8_t)(win->end[k] - win->start[k]) - (win->minus[k] != 0);
        if (tern_numbers_walk_one(w, start, w->count + k) != end)
            return false;
    }
    return true;
}

/* All numbers of the window to their places. False when one is not what its dtype can hold. */
TERN_AVX512_INLINE bool read_window(enum kind kind, struct tern_numbers_walk *w,
                                    struct tern_numbers_window *win)
{
    size_t size = tern_dtype_size(w->dtype);
    struct limits limits = limits_of(w->dtype, size);
    char *out = w->out + w->count * size;
    size_t i = 0;
    for (; i + 16 <= win->count; i += 16) {
        if (!win->any_dot && read_sixteen(kind, w, win, i, limits, size, out + i * size))
            continue;
        unsigned slow = read_eight(kind, w, win, i, limits, size, out + i * size);
        slow |= (unsigned)read_eight(kind, w, win, i + 8, limits, size, out + (i + 8) * size) << 8;
        if (TERN_UNLIKELY(slow != 0) && !read_slow(w, win, i, slow))
            return false;
    }
    for (; i < win->count; i += 8) {
        char partial[64];
        size_t left = win->count - i < 8 ? win->count - i : 8;
        unsigned slow = read_eight(kind, w, win, i, limits, size, partial);
        memcpy(out + i * size, partial, left * size);
        if (TERN_UNLIKELY(slow != 0) && !read_slow(w, win, i, slow))
            return false;
    }
    return true;
}

TERN_AVX512 static bool read_window_f32(struct tern_numbers_walk *w,
                                        struct tern_numbers_window *win)
{
    return read_window(KIND_F32, w, win);
}

TERN_AVX512 static bool read_window_f64(struct tern_numbers_walk *w,
                                        struct tern_numbers_window *win)
{
    return read_window(KIND_F64, w, win);
}

TERN_AVX512 static bool read_window_half(struct tern_numbers_walk *w,
                                         struct tern_numbers_window *win)
{
    return read_window(KIND_HALF, w, win);
}

TERN_AVX512 static bool read_window_integer(struct tern_numbers_walk *w,
                                            struct tern_numbers_window *win)
{
    return read_window(KIND_INTEGER, w, win);
}

TERN_AVX512 bool tern_numbers_read_window_avx512(struct tern_numbers_walk *w,
                                                 struct tern_numbers_window *win,
                                                 const struct tern_numbers_oddities *odds)
{
    measure(win, odds);
    switch ((int)w->dtype) {
    case TERN_DTYPE_FP32:
        return read_window_f32(w, win);
    case TERN_DTYPE_FP64:
        return read_window_f64(w, win);
    case TERN_DTYPE_FP16:
    case TERN_DTYPE_BF16:
        return read_window_half(w, win);
    default:
        return read_window_integer(w, win);
    }
}
#endif
