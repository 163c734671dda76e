/* What the two passes of reading numbers with AVX-512 share: a window of text, described. */
#ifndef TERN_SIMD_NUMBERS_WINDOW_X86_H
#define TERN_SIMD_NUMBERS_WINDOW_X86_H

#include "simd/numbers_int.h"

#define TERN_AVX512                                                                   \
    TERN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi,avx512vbmi2," \
                "avx2,fma,bmi,bmi2,lzcnt,popcnt")
#define TERN_AVX512_INLINE static inline __attribute__((always_inline)) TERN_AVX512

#define TERN_NUMBERS_BLOCK         64
#define TERN_NUMBERS_WINDOW_BLOCKS 48
/* A number and its separator take two bytes; the rest is what vector stores may overrun. */
#define TERN_NUMBERS_LIST_MAX (TERN_NUMBERS_WINDOW_BLOCKS * TERN_NUMBERS_BLOCK / 2 + 128)

/* Entry i describes number i of the window. Byte positions are from the window's begin, mod 256:
 * neighbours are never 128 apart, since every full block must hold two ends. */
struct tern_numbers_window {
    const char *begin;
    size_t count;
    bool any_dot, any_minus;
    uint8_t start[TERN_NUMBERS_LIST_MAX];  /* the first digit */
    uint8_t dot[TERN_NUMBERS_LIST_MAX];    /* the dot, or the end when there is none */
    uint8_t end[TERN_NUMBERS_LIST_MAX];    /* just past the number */
    uint8_t past[TERN_NUMBERS_LIST_MAX];   /* the end, plus one when there is no dot */
    uint8_t minus[TERN_NUMBERS_LIST_MAX];  /* 0x80 for a negative number, else 0 */
    uint8_t digits[TERN_NUMBERS_LIST_MAX]; /* how many, or SLOW */
    uint8_t places[TERN_NUMBERS_LIST_MAX]; /* how many of them after the dot */
    uint16_t at[TERN_NUMBERS_LIST_MAX];    /* the end again, not mod 256 */
};

/* Numbers with an exponent or a misplaced sign, by index. */
struct tern_numbers_oddities {
    size_t count;
    uint16_t index[TERN_NUMBERS_LIST_MAX];
};

/* All numbers of the window to their places. False when one is not what its dtype can hold; out may
 * then hold some of them. */
bool tern_numbers_read_window_avx512(struct tern_numbers_walk *w, struct tern_numbers_window *win,
                                     const struct tern_numbers_oddities *odds);

#endif
