/* An exchange without a connection: a request goes in as a body and headers, the response is read
 * from memory. The body is followed by exactly TERN_TEXT_PAD bytes, so that a sanitizer sees a
 * reader that goes further. Header only, so that fuzz targets and benchmarks can use it too. */
#ifndef TERN_TESTS_FAKE_EXCHANGE_H
#define TERN_TESTS_FAKE_EXCHANGE_H

#include <stdlib.h>
#include <string.h>
#include "core/proto.h"
#include "simd/numbers.h"

#define FAKE_HEADERS_MAX 8

struct fake_exchange {
    struct tern_exchange x;
    struct tern_call call;
    struct tern_arena arena;
    struct tern_buf out;
    struct tern_header headers[FAKE_HEADERS_MAX];
    char *body; /* owned */
    bool sent, ended;
};

static inline void fake_send(struct tern_exchange *x, bool end)
{
    struct fake_exchange *fake = TERN_CONTAINER_OF(x, struct fake_exchange, x);
    fake->sent = true;
    fake->ended = end;
}

static inline void fake_take(struct tern_exchange *x, size_t n)
{
    x->body = tern_str_from(x->body, n);
}

static inline void fake_init(struct fake_exchange *fake)
{
    static const struct tern_exchange_ops ops = {.send = fake_send, .take = fake_take};

    memset(fake, 0, sizeof(*fake));
    tern_arena_init(&fake->arena, 16384, 64u << 20);
    tern_buf_init(&fake->out, 64u << 20);
    fake->x.ops = &ops;
    fake->x.out = &fake->out;
    fake->x.arena = &fake->arena;
    fake->x.expand_max = 100;
    fake->x.headers = fake->headers;
    fake->x.method = TERN_METHOD_POST;
    fake->call.x = &fake->x;
    fake->call.arena = &fake->arena;
}

static inline void fake_fini(struct fake_exchange *fake)
{
    tern_arena_fini(&fake->arena);
    tern_buf_fini(&fake->out);
    free(fake->body);
    fake->body = NULL;
}

static inline void fake_body(struct fake_exchange *fake, const void *p, size_t n)
{
    free(fake->body);
    fake->body = malloc(n + TERN_TEXT_PAD);
    if (fake->body == NULL)
        abort();
    memcpy(fake->body, p, n);
    memset(fake->body + n, '1', TERN_TEXT_PAD); /* a reader that runs on would like digits */
    fake->x.body = tern_str_make(fake->body, n);
}

static inline void fake_header(struct fake_exchange *fake, const char *name, const char *value)
{
    if (fake->x.n_headers == FAKE_HEADERS_MAX)
        abort();
    fake->headers[fake->x.n_headers++] =
        (struct tern_header){tern_str_of(name), tern_str_of(value)};
}

/* The whole response body, zero-terminated, until fake_fini. */
static inline struct tern_str fake_response(struct fake_exchange *fake)
{
    struct tern_str head = tern_exchange_body_str(&fake->x);
    size_t n = head.n;

    for (uint32_t i = 0; i < fake->x.n_slices; i++)
        n += fake->x.slices[i].n;
    char *p = tern_arena_alloc(&fake->arena, 1, n + 1), *at = p;
    if (p == NULL)
        abort();
    memcpy(at, head.p, head.n);
    at += head.n;
    for (uint32_t i = 0; i < fake->x.n_slices; i++) {
        if (fake->x.slices[i].n > 0)
            memcpy(at, fake->x.slices[i].p, fake->x.slices[i].n);
        at += fake->x.slices[i].n;
    }
    *at = '\0';
    return tern_str_make(p, n);
}

#endif
