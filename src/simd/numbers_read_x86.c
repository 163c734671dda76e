/* Reading numbers with AVX-512 (VBMI, VBMI2): two passes over a window of text that stays in the
 * nearest cache. This is pass one, and what calls both; pass two is numbers_window_x86.c.
 *
 * It looks at 64 bytes a step. Comparisons become 64-bit masks, the whole grammar is checked
 * by arithmetic on masks (a carry of an addition runs along a number, or along white space), and
 * for each number three byte positions are appended to lists: the first digit, the dot (or the end
 * when there is none) and the end. Brackets, seldom, are handled one by one.
 *
 * Nothing here reports an error: an irregular window is left to the portable walk as it was. */
#include "base/compiler.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "simd/kernels_x86.h"
#include "simd/numbers_window_x86.h"

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

TERN_AVX512_INLINE struct classes classify(__m512i v)
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

TERN_AVX512_INLINE void classify_other(__m512i v, uint64_t limit, struct classes *c)
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
TERN_AVX512 static uint64_t follow_brackets(struct tern_numbers_walk *w, struct nest *nest,
                                            uint64_t open, uint64_t close, uint64_t ends,
                                            size_t count)
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

TERN_AVX512_INLINE void append(uint8_t *list, uint64_t mask, __m512i positions)
{
    __m512i packed = _mm512_maskz_compress_epi8(mask, positions);
    _mm256_storeu_si256((__m256i *)(void *)list, _mm512_castsi512_si256(packed));
}

enum block { BLOCK_OK, BLOCK_LAST, BLOCK_SPARSE, BLOCK_IRREGULAR };

/* The state of pass one. It lives in registers, which is why rare work below gets copies. */
struct scan {
    struct carry carry;
    size_t started, dotted, ended; /* entries appended to each list so far */
    uint64_t dots, signs;          /* not 0: there were some */
    unsigned last; /* of the block that ends the array: the bit just past the last bracket */
};

/* Finds which numbers of the block are odd, by the ends of their runs. Answers the carry. */
TERN_AVX512 static uint64_t note_odd(struct tern_numbers_oddities *o, uint64_t token, uint64_t odd,
                                     uint64_t ends, uint64_t carry, size_t ended)
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

TERN_AVX512_INLINE struct place place_of(unsigned at)
{
    __m512i lanes = _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48,
                                    47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32,
                                    31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
                                    15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return (struct place){_mm512_add_epi8(lanes, _mm512_set1_epi8((char)at)),
                          _mm512_set1_epi16((short)at)};
}

TERN_AVX512_INLINE void append_block(struct tern_numbers_window *win, struct scan *s,
                                     const struct place *place, const struct marks *m)
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
TERN_AVX512_INLINE enum block take_block(struct tern_numbers_window *win, struct scan *s,
                                         struct tern_numbers_oddities *odds,
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
TERN_AVX512_INLINE enum block scan_any_block(struct tern_numbers_walk *w,
                                             struct tern_numbers_window *win, struct scan *s,
                                             struct nest *nest, struct tern_numbers_oddities *odds,
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
TERN_AVX512 static enum block scan_window(struct tern_numbers_walk *w,
                                          struct tern_numbers_window *win, struct scan *ret_scan,
                                          struct nest *nest, struct tern_numbers_oddities *odds,
                                          size_t *ret_at)
{
    struct scan s = {.carry = {.want = w->expect != TERN_NUMBERS_NEXT}};
    enum block result = BLOCK_OK;
    /* cppcheck-suppress ctuuninitvar; of the window nothing but `begin` is read */
    size_t size = (size_t)(w->end - win->begin);
    size_t at = 0;
    struct place place = place_of(0);
    size = size < TERN_NUMBERS_WINDOW_BLOCKS * TERN_NUMBERS_BLOCK
               ? size
               : TERN_NUMBERS_WINDOW_BLOCKS * TERN_NUMBERS_BLOCK;
    for (; at < size && result == BLOCK_OK; at += TERN_NUMBERS_BLOCK) {
        struct classes c = classify(_mm512_loadu_si512(win->begin + at));
        if (TERN_LIKELY((c.other | s.carry.odd) == 0 && size - at >= TERN_NUMBERS_BLOCK)) {
            if (TERN_UNLIKELY(is_sparse(c.digit | c.dot | c.minus, s.carry.token)))
                result = BLOCK_SPARSE;
            else
                result = take_block(win, &s, odds, &place, &c, UINT64_MAX);
        } else {
            uint64_t limit =
                size - at < TERN_NUMBERS_BLOCK ? ((uint64_t)1 << (size - at)) - 1 : UINT64_MAX;
            result = scan_any_block(w, win, &s, nest, odds, (unsigned)at, limit);
        }
        place.bytes = _mm512_add_epi8(place.bytes, _mm512_set1_epi8(TERN_NUMBERS_BLOCK));
        place.first = _mm512_add_epi16(place.first, _mm512_set1_epi16(TERN_NUMBERS_BLOCK));
    }
    if (result != BLOCK_OK)
        at -= TERN_NUMBERS_BLOCK;
    *ret_at = result == BLOCK_LAST ? at + s.last : at;
    *ret_scan = s;
    return result;
}

/* Where the portable walk could take over after `at` bytes of the window: there, or at the start of
 * a number that the window's end cuts. */
static const char *resume_point(const struct tern_numbers_window *win, const struct scan *s,
                                size_t at)
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
TERN_AVX512 bool tern_numbers_advance_avx512(struct tern_numbers_walk *w)
{
    TERN_UNINITIALIZED struct tern_numbers_window win;
    TERN_UNINITIALIZED struct tern_numbers_oddities odds;
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
    if (good && win.count != 0)
        good = tern_numbers_read_window_avx512(w, &win, &odds);
    if (!good) {
        *w = saved;
        w->trouble = w->end - w->p > (ptrdiff_t)(at + TERN_NUMBERS_BLOCK)
                         ? w->p + at + TERN_NUMBERS_BLOCK
                         : w->end;
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
