#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include "base/mem.h"
#include "base/num.h"

void tern_buf_init(struct tern_buf *buf, size_t max)
{
    *buf = (struct tern_buf){.max = max};
}

void tern_buf_fini(struct tern_buf *buf)
{
    tern_mem_free(buf->p);
    *buf = (struct tern_buf){.max = buf->max};
}

void tern_buf_clear(struct tern_buf *buf)
{
    buf->n = 0;
    buf->failed = false;
}

void tern_buf_shrink(struct tern_buf *buf, size_t keep)
{
    if (buf->cap > keep && buf->n == 0)
        tern_buf_fini(buf);
}

/* Closes the room that is left, so that no later append slips into it. */
static bool fail(struct tern_buf *buf)
{
    buf->failed = true;
    buf->cap = buf->n;
    return false;
}

bool tern_buf_grow(struct tern_buf *buf, size_t more)
{
    size_t need;

    if (buf->failed || tern_num_add(buf->n, more, &need) || need > buf->max)
        return fail(buf);
    size_t cap = buf->cap == 0 ? 256 : buf->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > buf->max)
        cap = buf->max;
    char *p = tern_mem_realloc(buf->p, cap);
    if (p == NULL)
        return fail(buf);
    buf->p = p;
    buf->cap = cap;
    return true;
}

void tern_buf_add_u64(struct tern_buf *buf, uint64_t v)
{
    if (tern_buf_reserve(buf, 20))
        buf->n += tern_num_format_u64(v, buf->p + buf->n);
}

void tern_buf_add_i64(struct tern_buf *buf, int64_t v)
{
    if (v < 0) {
        tern_buf_add_char(buf, '-');
        tern_buf_add_u64(buf, 0 - (uint64_t)v);
    } else {
        tern_buf_add_u64(buf, (uint64_t)v);
    }
}

void tern_buf_printf(struct tern_buf *buf, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !tern_buf_reserve(buf, (size_t)n + 1))
        return;
    va_start(ap, fmt);
    vsnprintf(buf->p + buf->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf->n += (size_t)n;
}

void tern_buf_consume(struct tern_buf *buf, size_t n)
{
    if (n >= buf->n) {
        buf->n = 0;
        return;
    }
    memmove(buf->p, buf->p + n, buf->n - n);
    buf->n -= n;
}

enum tern_code tern_buf_check(const struct tern_buf *buf, const char *what, struct tern_err *err)
{
    if (!buf->failed)
        return TERN_OK;
    return tern_fail_http(err, TERN_RESOURCE_EXHAUSTED, 413,
                          "%s needs more than the %zu bytes allowed", what, buf->max);
}
