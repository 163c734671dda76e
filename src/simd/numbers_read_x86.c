/* Reading numbers with AVX-512 (VBMI, VBMI2): two passes over a window of text that stays in the
 * nearest cache.
 *
 * Pass one looks at 64 bytes a step. Comparisons become 64-bit masks, the whole grammar is checked
 * by arithmetic on masks (a carry of an addition runs along a number, or along white space), and
 * for each number three byte positions are appended to lists: the first digit, the dot (or the end
 * when there is none) and the end. Brackets, seldom, are handled one by one.
 *
 * Pass two takes numbers in groups of eight. One byte shuffle picks the digits of several numbers
 * out of 128 bytes of text, right-aligned and without their dots; multiply-adds turn them into
 * integers; one multiplication by a power of ten makes the floats. A float32 is sure unless the
 * double is too near to the middle of two floats; a double is computed with twice its precision
 * and is sure unless both ends of its error interval round differently. What is not sure, or has
 * an exponent, or too many digits, goes one by one to the portable reader.
 *
 * Nothing here reports an error: an irregular window is left to the portable walk as it was. */
#include "base/compiler.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "simd/half.h"
#include "simd/kernels_x86.h"
#include "simd/numbers_int.h"
#include "simd/powers.h"

#define AVX512                                                                        \
    TERN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi,avx512vbmi2," \
                "avx2,fma,bmi,bmi2,lzcnt,popcnt")
#define AVX512_INLINE static inline __attribute__((always_inline)) AVX512

#define BLOCK         64
#define WINDOW_BLOCKS 48
/* A number and its separator take two bytes; the rest is what vector stores may overrun. */
#define LIST_MAX (WINDOW_BLOCKS * BLOCK / 2 + 128)
#define SLOW     127 /* as a digit count: ask the portable reader */

/* Entry i describes number i of the window. Byte positions are from the window's begin, mod 256:
 * neighbours are never 128 apart, since every full block must hold two ends. */
struct window {
    const char *begin;
    size_t count;
    bool any_dot, any_minus;
    uint8_t start[LIST_MAX];  /* the first digit */
    uint8_t dot[LIST_MAX];    /* the dot, or the end when there is none */
    uint8_t end[LIST_MAX];    /* just past the number */
    uint8_t past[LIST_MAX];   /* the end, plus one when there is no dot */
    uint8_t minus[LIST_MAX];  /* 0x80 for a negative number, else 0 */
    uint8_t digits[LIST_MAX]; /* how many, or SLOW */
    uint8_t places[LIST_MAX]; /* how many of them after the dot */
    uint16_t at[LIST_MAX];    /* the end again, not mod 256 */
};

/* What crosses from one block to the next; each is 0 or 1, for bit 0 of the next. */
struct carry {
    uint64_t token, minus, want, run, zero, dot, odd;
};

struct classes {
    uint64_t digit, dot, minus, comma, space, zero; /* what flat arrays are made of */
    uint64_t open, close, odd, other;
};

/* One bit a class, from the highest down in the order in which classify takes them off. */
enum {
    IS_OTHER = 0x80,
    IS_DIGIT = 0x40,
    IS_DOT = 0x20,
    IS_MINUS = 0x10,
    IS_COMMA = 0x08,
    IS_SPACE = 0x04,
    IS_ZERO = 0x02,
};

/* By the low seven bits of a byte. */
#define O8 IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER
static const uint8_t class_table[128] TERN_ALIGNED(64) = {
    O8, /* tab, newline and return are spaces too, but rare: classify_other */
    O8,
    O8,
    O8,
    /* clang-format off */
    IS_SPACE, IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER,
    IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER, IS_COMMA, IS_MINUS, IS_DOT, IS_OTHER,
    IS_DIGIT | IS_ZERO, IS_DIGIT, IS_DIGIT, IS_DIGIT, IS_DIGIT, IS_DIGIT, IS_DIGIT, IS_DIGIT,
    IS_DIGIT, IS_DIGIT, IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER, IS_OTHER,
    /* clang-format on */
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
};
#undef O8

AVX512_INLINE struct classes classify(__m512i v)
{
    struct classes c = {0};
    __m512i bits = _mm512_permutex2var_epi8(_mm512_load_si512(class_table), v,
                                            _mm512_load_si512(class_table + 64));
    /* Bytes from 0x80 on, which the table cannot tell apart, have the highest bit themselves. */
    c.other = _mm512_movepi8_mask(_mm512_or_si512(bits, v));
    bits = _mm512_add_epi8(bits, bits);
    c.digit = _mm512_movepi8_mask(bits);
    bits = _mm512_add_epi8(bits, bits);
    c.dot = _mm512_movepi8_mask(bits);
    bits = _mm512_add_epi8(bits, bits);
    c.minus = _mm512_movepi8_mask(bits);
    bits = _mm512_add_epi8(bits, bits);
    c.comma = _mm512_movepi8_mask(bits);
    bits = _mm512_add_epi8(bits, bits);
    c.space = _mm512_movepi8_mask(bits);
    bits = _mm512_add_epi8(bits, bits);
    c.zero = _mm512_movepi8_mask(bits);
    return c;
}

AVX512_INLINE void classify_other(__m512i v, uint64_t limit, struct classes *c)
{
    __m512i lower = _mm512_or_si512(v, _mm512_set1_epi8(0x20));
    c->open = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('['));
    c->close = _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(']'));
    c->odd = _mm512_cmpeq_epi8_mask(lower, _mm512_set1_epi8('e')) |
             _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('+'));
    c->space |= _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\n')) |
                _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\r')) |
                _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\t'));
    c->other &= ~(c->open | c->close | c->odd | c->space);
    c->other |= _mm512_movepi8_mask(v); /* the table took 0xa0 for a space, and so on */
    c->digit &= limit;
    c->dot &= limit;
    c->minus &= limit;
    c->comma &= limit;
    c->space &= limit;
    c->open &= limit;
    c->close &= limit;
    c->odd &= limit;
}

/* Where the walk stands among the brackets. */
struct nest {
    int depth;
    size_t row_start;  /* index of the first number of the open innermost array */
    size_t last_count; /* numbers before the last bracket */
};

/* Follows the brackets of one block. `ends` marks the ends of numbers in it, `count` counts the
 * numbers before it. Answers the bits up to the end of the array, all when it goes on; 0 when the
 * nesting is ragged. */
AVX512 static uint64_t follow_brackets(struct tern_numbers_walk *w, struct nest *nest,
                                       uint64_t open, uint64_t close, uint64_t ends, size_t count)
{
    for (uint64_t todo = open | close; todo != 0; todo &= todo - 1) {
        uint64_t bit = todo & -todo;
        int depth = nest->depth;
        size_t here = count + (size_t)_mm_popcnt_u64(ends & (bit | (bit - 1)));
        if (depth < w->rank && here != nest->last_count)
            return 0;
        nest->last_count = here;
        if ((open & bit) != 0) {
            if (depth >= w->rank)
                return 0;
            nest->depth = depth + 1;
            w->elements[depth + 1] = 0;
            nest->row_start = here;
            continue;
        }
        int64_t extent = (int64_t)(depth == w->rank ? here - nest->row_start : w->elements[depth]);
        if (w->dim[depth] < 0)
            w->dim[depth] = extent;
        if (w->dim[depth] != extent || extent == 0)
            return 0;
        w->elements[depth - 1]++;
        nest->depth = depth - 1;
        if (depth == 1)
            return bit | (bit - 1);
    }
    return UINT64_MAX;
}

AVX512_INLINE void append(uint8_t *list, uint64_t mask, __m512i positions)
{
    __m512i packed = _mm512_maskz_compress_epi8(mask, positions);
    _mm256_storeu_si256((__m256i *)(void *)list, _mm512_castsi512_si256(packed));
}

enum block { BLOCK_OK, BLOCK_LAST, BLOCK_SPARSE, BLOCK_IRREGULAR };

/* Numbers with an exponent or a misplaced sign, by index. */
struct oddities {
    size_t count;
    uint16_t index[LIST_MAX];
};

/* The state of pass one. It lives in registers, which is why rare work below gets copies. */
struct scan {
    struct carry carry;
    size_t started, dotted, ended; /* entries appended to each list so far */
    uint64_t dots, signs;          /* not 0: there were some */
    unsigned last; /* of the block that ends the array: the bit just past the last bracket */
};

/* Finds which numbers of the block are odd, by the ends of their runs. Answers the carry. */
AVX512 static uint64_t note_odd(struct oddities *o, uint64_t token, uint64_t odd, uint64_t ends,
                                uint64_t carry, size_t ended)
{
    unsigned long long sum;
    uint64_t out = __builtin_add_overflow(token, odd, &sum);
    out |= __builtin_add_overflow(sum, carry, &sum);
    for (uint64_t todo = sum & ends; todo != 0; todo &= todo - 1) {
        uint64_t before = (todo & -todo) - 1;
        o->index[o->count++] = (uint16_t)(ended + (size_t)_mm_popcnt_u64(ends & before));
    }
    return out;
}

/* What the lists of one block are made from: a bit for each number. */
struct marks {
    uint64_t start, stop, ends, after_sign;
};

/* Positions of a block's bytes, from the window's begin: mod 256, and of byte 0 alone. */
struct place {
    __m512i bytes, first;
};

AVX512_INLINE struct place place_of(unsigned at)
{
    __m512i lanes = _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48,
                                    47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32,
                                    31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
                                    15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return (struct place){_mm512_add_epi8(lanes, _mm512_set1_epi8((char)at)),
                          _mm512_set1_epi16((short)at)};
}

AVX512_INLINE void append_block(struct window *win, struct scan *s, const struct place *place,
                                const struct marks *m)
{
    append(win->start + s->started, m->start, place->bytes);
    append(win->dot + s->dotted, m->stop, place->bytes);
    __m256i ends = _mm512_castsi512_si256(_mm512_maskz_compress_epi8(m->ends, place->bytes));
    _mm256_storeu_si256((__m256i *)(void *)(win->end + s->ended), ends);
    /* `first` is a multiple of 64, so the lowest 6 bits are the place in the block. */
    __m512i wide = _mm512_cvtepu8_epi16(_mm256_and_si256(ends, _mm256_set1_epi8(63)));
    _mm512_storeu_si512(win->at + s->ended, _mm512_or_si512(wide, place->first));
    __m256i minus = _mm256_setzero_si256();
    if (m->after_sign != 0)
        minus = _mm512_castsi512_si256(_mm512_maskz_compress_epi8(
            m->start, _mm512_maskz_set1_epi8(m->after_sign, (char)0x80)));
    _mm256_storeu_si256((__m256i *)(void *)(win->minus + s->started), minus);
    s->started += (size_t)_mm_popcnt_u64(m->start);
    s->dotted += (size_t)_mm_popcnt_u64(m->stop);
    s->ended += (size_t)_mm_popcnt_u64(m->ends);
}

/* Checks the grammar of one block, whose classes are c, and appends its numbers. Only the bits of
 * `inside` belong to the array. */
AVX512_INLINE enum block take_block(struct window *win, struct scan *s, struct oddities *odds,
                                    const struct place *place, const struct classes *c,
                                    uint64_t inside)
{
    struct carry *carry = &s->carry;
    uint64_t token = (c->digit | c->dot | c->minus | c->odd) & inside;
    uint64_t follows = token << 1 | carry->token;
    uint64_t ends = ~token & follows & inside;
    uint64_t token_start = token & ~follows;
    uint64_t sign = c->minus & token_start;
    uint64_t after_sign = sign << 1 | carry->minus;
    uint64_t start = (token_start & ~c->minus) | after_sign;
    uint64_t odd = (c->odd | (c->minus & ~sign)) & inside;
    /* The first byte after each number's first run of digits: its dot, exponent or end. */
    unsigned long long sum;
    uint64_t run = __builtin_add_overflow(c->digit, start, &sum);
    run |= __builtin_add_overflow(sum, carry->run, &sum);
    uint64_t stop = sum & ~c->digit;
    /* The first byte that is not white space after each comma and '['. */
    uint64_t wanting = c->comma | c->open;
    uint64_t want = wanting << 1 | carry->want;
    unsigned long long over_space;
    uint64_t want_on = __builtin_add_overflow(c->space, want & c->space, &over_space);
    uint64_t value = (want | over_space) & ~c->space;
    uint64_t zero = start & c->zero;

    uint64_t bad = c->other | (start & ~c->digit) | (c->dot & ~stop) |
                   ((c->dot << 1 | carry->dot) & ~c->digit) |
                   ((zero << 1 | carry->zero) & c->digit) | (value ^ (token_start | c->open));
    if (TERN_UNLIKELY((bad & inside) != 0))
        return BLOCK_IRREGULAR;
    if (TERN_UNLIKELY((odd | carry->odd) != 0))
        carry->odd = note_odd(odds, token, odd, ends, carry->odd, s->ended);
    struct marks marks = {start & inside, stop & inside, ends, after_sign};
    append_block(win, s, place, &marks);
    s->dots |= c->dot;
    s->signs |= sign;
    carry->token = token >> 63;
    carry->minus = sign >> 63;
    carry->run = run;
    carry->want = want_on | wanting >> 63;
    carry->zero = zero >> 63;
    carry->dot = c->dot >> 63;
    return BLOCK_OK;
}

/* A block of which numbers end too seldom for pass two. */
TERN_INLINE bool is_sparse(uint64_t token, uint64_t carry)
{
    uint64_t ends = ~token & (token << 1 | carry);
    return (ends & (ends - 1)) == 0;
}

/* Any block: brackets, other white space, exponents, the end of the text beyond `limit`. */
AVX512_INLINE enum block scan_any_block(struct tern_numbers_walk *w, struct window *win,
                                        struct scan *s, struct nest *nest, struct oddities *odds,
                                        unsigned at, uint64_t limit)
{
    __m512i v = _mm512_loadu_si512(win->begin + at);
    struct classes c = classify(v);
    uint64_t inside = limit;
    enum block result = BLOCK_OK;
    classify_other(v, limit, &c);
    uint64_t token = c.digit | c.dot | c.minus | c.odd;
    if ((c.close | ~limit) == 0 && is_sparse(token, s->carry.token))
        return BLOCK_SPARSE;
    if ((c.open | c.close) != 0) {
        uint64_t ends = ~token & (token << 1 | s->carry.token) & limit;
        inside = limit & follow_brackets(w, nest, c.open, c.close, ends, w->count + s->ended);
        if (inside == 0)
            return BLOCK_IRREGULAR;
        if (nest->depth == 0) {
            s->last = (unsigned)_mm_popcnt_u64(inside);
            result = BLOCK_LAST;
        }
    }
    if (limit != UINT64_MAX && result != BLOCK_LAST)
        return BLOCK_IRREGULAR; /* the text ends inside the array */
    struct place place = place_of(at);
    enum block taken = take_block(win, s, odds, &place, &c, inside);
    return taken == BLOCK_OK ? result : taken;
}

/* Pass one over a window; *ret_at bytes of it are good. */
AVX512 static enum block scan_window(struct tern_numbers_walk *w, struct window *win,
                                     struct scan *ret_scan, struct nest *nest,
                                     struct oddities *odds, size_t *ret_at)
{
    struct scan s = {.carry = {.want = w->expect != TERN_NUMBERS_NEXT}};
    enum block result = BLOCK_OK;
    /* cppcheck-suppress ctuuninitvar; of the window nothing but `begin` is read */
    size_t size = (size_t)(w->end - win->begin);
    size_t at = 0;
    struct place place = place_of(0);
    size = size < WINDOW_BLOCKS * BLOCK ? size : WINDOW_BLOCKS * BLOCK;
    for (; at < size && result == BLOCK_OK; at += BLOCK) {
        struct classes c = classify(_mm512_loadu_si512(win->begin + at));
        if (TERN_LIKELY((c.other | s.carry.odd) == 0 && size - at >= BLOCK)) {
            if (TERN_UNLIKELY(is_sparse(c.digit | c.dot | c.minus, s.carry.token)))
                result = BLOCK_SPARSE;
            else
                result = take_block(win, &s, odds, &place, &c, UINT64_MAX);
        } else {
            uint64_t limit = size - at < BLOCK ? ((uint64_t)1 << (size - at)) - 1 : UINT64_MAX;
            result = scan_any_block(w, win, &s, nest, odds, (unsigned)at, limit);
        }
        place.bytes = _mm512_add_epi8(place.bytes, _mm512_set1_epi8(BLOCK));
        place.first = _mm512_add_epi16(place.first, _mm512_set1_epi16(BLOCK));
    }
    if (result != BLOCK_OK)
        at -= BLOCK;
    *ret_at = result == BLOCK_LAST ? at + s.last : at;
    *ret_scan = s;
    return result;
}

/* Digit counts and places from positions, 64 numbers a step; exponents marked. */
AVX512_INLINE void measure(struct window *win, const struct oddities *odds)
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
AVX512_INLINE struct source source_of(const struct tern_numbers_walk *w, const struct window *win,
                                      size_t i)
{
    const char *p = win->begin + win->at[i] - 32;
    const char *highest = w->end + TERN_TEXT_PAD - 128;
    p = p > highest ? highest : p;
    p = p < w->begin ? w->begin : p;
    return (struct source){_mm512_loadu_si512(p), _mm512_loadu_si512(p + 64),
                           _mm512_set1_epi8((char)(p - win->begin))};
}

AVX512_INLINE bool fits_source(const struct window *win, size_t first, size_t last)
{
    return win->at[last] - win->at[first] <= 94;
}

/* The bytes list[i], spread over the bytes of `pattern`. */
AVX512_INLINE __m512i spread(const uint8_t *list, __m512i pattern)
{
    long long eight;
    memcpy(&eight, list, 8);
    return _mm512_shuffle_epi8(_mm512_set1_epi64(eight), pattern);
}

/* Digits (0..9) where `rank` says how far from the number's last digit each byte is. */
AVX512_INLINE __m512i pick_digits(const struct source *src, __m512i past, __m512i digits,
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
AVX512_INLINE __m512i fours(__m512i digits)
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
AVX512_INLINE __m512i eight_of_16(const struct window *win, size_t i, const struct source *a,
                                  const struct source *b)
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
AVX512_INLINE __m512i lanes8(void)
{
    return _mm512_set_epi64(0x0707070707070707, 0x0606060606060606, 0x0505050505050505,
                            0x0404040404040404, 0x0303030303030303, 0x0202020202020202,
                            0x0101010101010101, 0);
}

AVX512_INLINE __m512i join_fours(__m512i fours)
{
    return _mm512_add_epi64(_mm512_mul_epu32(fours, _mm512_set1_epi64(10000)),
                            _mm512_srli_epi64(fours, 32));
}

/* Eight numbers of at most 8 digits, in one vector. */
AVX512_INLINE __m512i eight_of_8(const struct window *win, size_t i, const struct source *a)
{
    __m512i lanes = lanes8();
    __m512i rank = _mm512_set1_epi64(0x0001020304050607);
    return join_fours(
        fours(pick_digits(a, spread(win->past + i, lanes), spread(win->digits + i, lanes),
                          spread(win->places + i, lanes), rank)));
}

/* Eight numbers of 17 to 24 digits: the 8 digits above the lower 16. *ret_slow: over 64 bits. */
AVX512_INLINE __m512i eight_of_24(const struct window *win, size_t i, const struct source *a,
                                  const struct source *b, __mmask8 *ret_slow)
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
AVX512_INLINE __m512d power(const double *table, __m512i places)
{
    __m512d near =
        _mm512_permutex2var_pd(_mm512_loadu_pd(table), places, _mm512_loadu_pd(table + 8));
    return _mm512_mask_permutexvar_pd(near, _mm512_cmpgt_epu64_mask(places, _mm512_set1_epi64(15)),
                                      places, _mm512_loadu_pd(table + 16));
}

AVX512_INLINE __m512d with_sign(const struct window *win, size_t i, __m512d value)
{
    __m512i minus =
        _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(const void *)(win->minus + i)));
    return _mm512_xor_pd(value, _mm512_castsi512_pd(_mm512_slli_epi64(minus, 56)));
}

AVX512_INLINE __mmask8 store_f32(const struct window *win, size_t i, __m512i value, __m512i places,
                                 char *out)
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
AVX512_INLINE __m512d nearest(__m512i value, __m512i places, __mmask8 *ret_slow)
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

AVX512_INLINE __mmask8 store_half(enum tern_dtype dtype, __m512d value, char *out)
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

AVX512_INLINE __mmask8 store_integer(const struct window *win, size_t i, __m512i value,
                                     __m512i places, struct limits limits, size_t size, char *out)
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
AVX512_INLINE __mmask8 read_eight(enum kind kind, const struct tern_numbers_walk *w,
                                  const struct window *win, size_t i, struct limits limits,
                                  size_t size, char *out)
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
AVX512_INLINE bool read_sixteen(enum kind kind, const struct tern_numbers_walk *w,
                                const struct window *win, size_t i, struct limits limits,
                                size_t size, char *out)
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
static bool read_slow(const struct tern_numbers_walk *w, const struct window *win, size_t i,
                      unsigned slow)
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
AVX512_INLINE bool read_window(enum kind kind, struct tern_numbers_walk *w, struct window *win)
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

AVX512 static bool read_window_f32(struct tern_numbers_walk *w, struct window *win)
{
    return read_window(KIND_F32, w, win);
}

AVX512 static bool read_window_f64(struct tern_numbers_walk *w, struct window *win)
{
    return read_window(KIND_F64, w, win);
}

AVX512 static bool read_window_half(struct tern_numbers_walk *w, struct window *win)
{
    return read_window(KIND_HALF, w, win);
}

AVX512 static bool read_window_integer(struct tern_numbers_walk *w, struct window *win)
{
    return read_window(KIND_INTEGER, w, win);
}

static bool read_window_of(struct tern_numbers_walk *w, struct window *win)
{
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

/* Where the portable walk could take over after `at` bytes of the window: there, or at the start of
 * a number that the window's end cuts. */
static const char *resume_point(const struct window *win, const struct scan *s, size_t at)
{
    if (s->carry.minus != 0)
        return win->begin + at - 1;
    if (s->carry.token == 0)
        return win->begin + at;
    size_t back = (uint8_t)(at - win->start[s->started - 1]);
    const char *p = win->begin + at - back;
    return p[-1] == '-' ? p - 1 : p;
}

static enum tern_numbers_expect expect_after(const char *begin, const char *p, bool want)
{
    if (!want)
        return TERN_NUMBERS_NEXT;
    while (p > begin && (p[-1] == ' ' || p[-1] == '\n' || p[-1] == '\r' || p[-1] == '\t'))
        p--;
    return p > begin && p[-1] == '[' ? TERN_NUMBERS_FIRST : TERN_NUMBERS_VALUE;
}

/* See kernels_x86.h: reads one window. False, with *w as it was but for `trouble`, when the
 * portable walk must go first. */
AVX512 bool tern_numbers_advance_avx512(struct tern_numbers_walk *w)
{
    TERN_UNINITIALIZED struct window win;
    TERN_UNINITIALIZED struct oddities odds;
    TERN_UNINITIALIZED struct tern_numbers_walk saved;
    struct scan s;
    size_t at;

    saved = *w;
    win.begin = w->p;
    odds.count = 0;
    struct nest nest = {w->depth, w->count - (w->depth == w->rank ? w->elements[w->rank] : 0),
                        w->count};
    enum block result = scan_window(w, &win, &s, &nest, &odds, &at);
    win.count = s.ended;
    win.any_dot = s.dots != 0;
    win.any_minus = s.signs != 0;
    bool good = result != BLOCK_IRREGULAR && at != 0 && w->count + win.count <= w->cap &&
                (nest.depth >= w->rank || nest.last_count == w->count + win.count);
    if (odds.count > win.count / 4)
        good = false; /* the portable walk is faster alone than by way of this one */
    if (good && win.count != 0) {
        measure(&win, &odds);
        good = read_window_of(w, &win);
    }
    if (!good) {
        *w = saved;
        w->trouble = w->end - w->p > (ptrdiff_t)(at + BLOCK) ? w->p + at + BLOCK : w->end;
        return false;
    }
    w->count += win.count;
    w->depth = nest.depth;
    if (w->depth == w->rank)
        w->elements[w->rank] = w->count - nest.row_start;
    bool want = (s.carry.want | s.carry.token | s.carry.minus) != 0;
    w->p = w->depth == 0 ? win.begin + at : resume_point(&win, &s, at);
    w->expect = w->depth == 0 ? TERN_NUMBERS_NEXT : expect_after(win.begin, w->p, want);
    return true;
}
#else
typedef int tern_numbers_read_x86_none;
#endif
