/* A growable byte buffer with a declared maximum. Appends after a failure do nothing and the buffer
 * stays `failed`, so a writer can check once at its end. One thread at a time. */
#ifndef TERN_BASE_BUF_H
#define TERN_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "base/compiler.h"
#include "base/err.h"
#include "base/str.h"

struct tern_buf {
    char *p; /* owned */
    size_t n;
    size_t cap;
    size_t max;
    bool failed;
};

void tern_buf_init(struct tern_buf *buf, size_t max); /* takes no memory yet */
void tern_buf_fini(struct tern_buf *buf);
void tern_buf_clear(struct tern_buf *buf); /* keeps the memory, forgets a failure */
/* Gives memory above `keep` back; content must be empty. */
void tern_buf_shrink(struct tern_buf *buf, size_t keep);
/* Room for `more` bytes after n; false (and failed) over max or without memory. */
bool tern_buf_grow(struct tern_buf *buf, size_t more);

TERN_INLINE bool tern_buf_reserve(struct tern_buf *buf, size_t more)
{
    return TERN_LIKELY(more <= buf->cap - buf->n) ? true : tern_buf_grow(buf, more);
}

TERN_INLINE void tern_buf_add(struct tern_buf *buf, const void *p, size_t n)
{
    if (tern_buf_reserve(buf, n) && n > 0) {
        memcpy(buf->p + buf->n, p, n);
        buf->n += n;
    }
}

TERN_INLINE void tern_buf_add_str(struct tern_buf *buf, struct tern_str s)
{
    tern_buf_add(buf, s.p, s.n);
}

TERN_INLINE void tern_buf_add_char(struct tern_buf *buf, char c)
{
    if (tern_buf_reserve(buf, 1))
        buf->p[buf->n++] = c;
}

#define TERN_BUF_ADD_LITERAL(buf, literal) tern_buf_add((buf), (literal), sizeof(literal) - 1)

void tern_buf_add_u64(struct tern_buf *buf, uint64_t v);
void tern_buf_add_i64(struct tern_buf *buf, int64_t v);
void tern_buf_printf(struct tern_buf *buf, const char *fmt, ...) TERN_PRINTF(2, 3);
/* Drops n bytes from the front. */
void tern_buf_consume(struct tern_buf *buf, size_t n);
TERN_INLINE struct tern_str tern_buf_str(const struct tern_buf *buf)
{
    return tern_str_make(buf->p, buf->n);
}
/* RESOURCE_EXHAUSTED naming `what` when an append failed, else OK. */
enum tern_code tern_buf_check(const struct tern_buf *buf, const char *what, struct tern_err *err);

#endif
