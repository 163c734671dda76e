/* A slice of bytes: pointer and length, passed by value (two registers). It owns nothing, is not
 * terminated by a zero, and may be empty with p == NULL. */
#ifndef TERN_BASE_STR_H
#define TERN_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/compiler.h"

struct tern_str {
    const char *p;
    size_t n;
};

#define TERN_STR(literal) ((struct tern_str){("" literal), sizeof(literal) - 1})
/* For printf: printf("%.*s", TERN_STR_ARG(s)) */
#define TERN_STR_ARG(s) (int)((s).n > 4096 ? 4096 : (s).n), ((s).p == NULL ? "" : (s).p)

TERN_INLINE struct tern_str tern_str_make(const char *p, size_t n)
{
    return (struct tern_str){p, n};
}

TERN_INLINE struct tern_str tern_str_of(const char *z)
{
    return (struct tern_str){z, z == NULL ? 0 : strlen(z)};
}

/* b is a literal most of the time: its length, being constant, turns memcmp into a load or two. */
TERN_INLINE bool tern_str_eq(struct tern_str a, struct tern_str b)
{
    return a.n == b.n && (b.n == 0 || memcmp(a.p, b.p, b.n) == 0);
}

TERN_INLINE bool tern_str_starts(struct tern_str s, struct tern_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* The part from `from` on; empty when from is past the end. */
TERN_INLINE struct tern_str tern_str_from(struct tern_str s, size_t from)
{
    return from >= s.n ? (struct tern_str){NULL, 0} : (struct tern_str){s.p + from, s.n - from};
}

bool tern_str_ends(struct tern_str s, struct tern_str suffix);
/* ASCII letters only compare without case, as HTTP field names do. */
bool tern_str_eq_nocase(struct tern_str a, struct tern_str b);
int tern_str_cmp(struct tern_str a, struct tern_str b);
/* Offset of the first `c`, or s.n when there is none. */
size_t tern_str_find(struct tern_str s, char c);
/* Without leading and trailing spaces and tabs (HTTP's OWS). */
struct tern_str tern_str_trim(struct tern_str s);
/* Cuts the piece up to `separator` off the front of *rest. False when *rest was exhausted. */
bool tern_str_split(struct tern_str *rest, char separator, struct tern_str *ret_piece);
/* Copies into dst with a terminating zero; false (dst holds "") when it does not fit. */
bool tern_str_copy_z(struct tern_str s, char *dst, size_t cap);
/* Valid UTF-8 without surrogates and overlong forms (RFC 3629). */
bool tern_str_is_utf8(struct tern_str s);
/* The code point c, at most 0x10FFFF, as UTF-8; answers its 1 to 4 bytes. */
size_t tern_str_put_utf8(uint32_t c, char dst[4]);

#endif
