/* What the readers of numbers.h share inside this folder: the state of a walk through nested
 * arrays, and the masks by which brackets and quotes are found.
 *
 * The portable walk is the specification. A vector kernel may advance it: it consumes well-formed
 * text that it is sure of, and leaves everything else (errors, odd forms) to the portable walk. */
#ifndef TERN_SIMD_NUMBERS_INT_H
#define TERN_SIMD_NUMBERS_INT_H

#include <stdbool.h>
#include <stdint.h>
#include "simd/numbers.h"

/* A kernel needs so many bytes of text before it is called (it may read as much behind a number),
 * and a known rank. */
#define TERN_NUMBERS_KERNEL_MIN 64

enum tern_numbers_expect {
    TERN_NUMBERS_FIRST, /* after '[': a value or ']' */
    TERN_NUMBERS_VALUE, /* after ',': a value */
    TERN_NUMBERS_NEXT,  /* after a value: ',' or ']' */
};

struct tern_numbers_walk {
    enum tern_dtype dtype;
    enum tern_numbers_expect expect;
    const char *begin, *p, *end;
    char *out;
    size_t count, cap;
    int depth;           /* 0 before the first '[' and after the last ']' */
    int rank;            /* depth of the numbers; 0 until known */
    const char *trouble; /* kernels: the portable walk should go on at least to here */
    size_t
        elements[TERN_NUMBERS_DEPTH_MAX + 1]; /* elements[d]: seen in the open array of depth d */
    int64_t dim[TERN_NUMBERS_DEPTH_MAX + 1];  /* dim[d]: extent at depth d, -1 until known */
};

/* Goes on portably to the end, or to a point between values at or after `stop`. */
enum tern_code tern_numbers_walk(struct tern_numbers_walk *w, const char *stop,
                                 struct tern_err *err);

/* Reads the one number at p into out[index] as the walk would. NULL on any error. */
const char *tern_numbers_walk_one(const struct tern_numbers_walk *w, const char *p, size_t index);

/* Writes one float portably; answers the byte past it. */
char *tern_numbers_put_f32(char *out, float value);

/* State of a search for the end of a bracketed value, 64 bytes at a time. */
struct tern_numbers_scan {
    uint64_t in_string; /* all ones inside a string, else 0 */
    uint64_t escaped;   /* 1: the next byte is escaped */
    size_t depth, max_depth;
    size_t commas;
};

struct tern_numbers_masks {
    uint64_t quote, backslash, open, close, comma;
};

/* The bytes that a preceding odd run of backslashes escapes. *carry is 0 or 1 between blocks. */
static inline uint64_t tern_numbers_escaped(uint64_t backslash, uint64_t *carry)
{
    uint64_t escaped = *carry;
    uint64_t todo = backslash & ~escaped;
    *carry = 0;
    while (todo != 0) {
        uint64_t bit = todo & -todo;
        if (bit >> 63 != 0)
            *carry = 1;
        escaped |= bit << 1;
        todo &= ~bit & ~(bit << 1);
    }
    return escaped;
}

/* Bit i of the answer: the parity of bits 0..i. */
static inline uint64_t tern_numbers_parity(uint64_t v)
{
    v ^= v << 1;
    v ^= v << 2;
    v ^= v << 4;
    v ^= v << 8;
    v ^= v << 16;
    return v ^ (v << 32);
}

/* One block. Answers the bit just past the bracket that closes the value, 0 when it goes on, 65
 * when it nests too deep. Commas outside strings up to that bracket are counted. */
static inline unsigned tern_numbers_scan_block(struct tern_numbers_scan *s,
                                               const struct tern_numbers_masks *m)
{
    uint64_t quote = m->quote;
    if ((m->backslash | s->escaped) != 0)
        quote &= ~tern_numbers_escaped(m->backslash, &s->escaped);
    uint64_t inside = tern_numbers_parity(quote) ^ s->in_string;
    uint64_t open = m->open & ~inside;
    uint64_t close = m->close & ~inside;
    uint64_t comma = m->comma & ~inside;
    size_t opened = (size_t)__builtin_popcountll(open);
    size_t closed = (size_t)__builtin_popcountll(close);

    s->in_string = 0 - (inside >> 63);
    if (closed < s->depth && s->depth + opened <= s->max_depth) {
        s->depth = s->depth + opened - closed; /* cannot end or overflow in this block */
        s->commas += (size_t)__builtin_popcountll(comma);
        return 0;
    }
    for (uint64_t todo = open | close; todo != 0; todo &= todo - 1) {
        uint64_t bit = todo & -todo;
        if ((open & bit) != 0) {
            if (++s->depth > s->max_depth)
                return 65;
        } else if (--s->depth == 0) {
            s->commas += (size_t)__builtin_popcountll(comma & (bit - 1));
            return (unsigned)__builtin_ctzll(todo) + 1;
        }
    }
    s->commas += (size_t)__builtin_popcountll(comma);
    return 0;
}

/* Whole blocks only: answers the length through the closing bracket, 0 when n bytes did not end it,
 * SIZE_MAX when too deep. */
size_t tern_numbers_scan_portable(struct tern_numbers_scan *s, const char *p, size_t n);

#endif
