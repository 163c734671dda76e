/* The HTTP/2 mux under a client of the test: a handler that answers as the path says, and counts.
 * One at a time; the test file says
 *
 *     // wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_realloc
 *     // wrap: tern_mem_alloc_aligned
 */
#ifndef TERN_TESTS_H2_RIG_H
#define TERN_TESTS_H2_RIG_H

#include "harness/h2_client.h"
#include "harness/mem_fails.h"
#include "net/mux_h2.h"

#define H2_RIG_BIG (3u << 20)
static char h2_rig_big[H2_RIG_BIG];

struct seen {
    int requests;
    int refused;
    int gone;
    int heads;
    struct tern_exchange *late[128]; /* waiting for an h2_rig_answer */
    int n_late;
    char text[256];
    struct tern_err err;
    uintptr_t body_address; /* of the last */
};

TERN_INLINE void h2_rig_answer(struct tern_exchange *x, int status, struct tern_str text)
{
    struct tern_buf *out = tern_exchange_body(x);

    x->status = status;
    x->ending = status < 400 ? TERN_ENDING_OK : TERN_ENDING_INVALID;
    x->response_type = TERN_STR("text/plain");
    tern_buf_add_str(out, text);
    tern_exchange_send(x, true);
}

TERN_INLINE void h2_rig_on_head(void *self, struct tern_exchange *x)
{
    struct seen *seen = self;

    seen->heads++;
    if (tern_str_eq(x->path, TERN_STR("/small")))
        x->body_max = 10;
    if (tern_str_eq(x->path, TERN_STR("/early")))
        h2_rig_answer(x, 403, TERN_STR("no"));
}

TERN_INLINE void h2_rig_answer_slices(struct tern_exchange *x)
{
    struct tern_slice *slices = tern_arena_zalloc(x->arena, 4, sizeof(*slices));

    slices[0] = (struct tern_slice){h2_rig_big, 3};
    slices[1] = (struct tern_slice){h2_rig_big + 3, 0};
    slices[2] = (struct tern_slice){h2_rig_big + 3, H2_RIG_BIG - 4};
    slices[3] = (struct tern_slice){h2_rig_big + H2_RIG_BIG - 1, 1};
    x->slices = slices;
    x->n_slices = 4;
    h2_rig_answer(x, 200, TERN_STR("head:"));
}

TERN_INLINE void h2_rig_on_request(void *self, struct tern_exchange *x)
{
    struct seen *seen = self;

    seen->requests++;
    seen->body_address = (uintptr_t)x->body.p;
    snprintf(seen->text, sizeof(seen->text), "%.*s %.*s ?%.*s @%.*s <%.*s> %u type=%.*s body=%zu",
             TERN_STR_ARG(x->method_text), TERN_STR_ARG(x->path), TERN_STR_ARG(x->query),
             TERN_STR_ARG(x->authority), TERN_STR_ARG(x->peer), x->http_major,
             TERN_STR_ARG(x->content_type), x->body.n);
    for (size_t i = 0; i < TERN_TEXT_PAD; i++) {
        volatile char pad = x->body.p[x->body.n + i]; /* readable, says the contract */
        (void)pad;
    }
    if (tern_str_eq(x->path, TERN_STR("/late"))) {
        seen->late[seen->n_late++] = x;
    } else if (tern_str_eq(x->path, TERN_STR("/slices"))) {
        h2_rig_answer_slices(x);
    } else if (tern_str_eq(x->path, TERN_STR("/scratch"))) {
        h2_rig_answer(x, 200, tern_str_make(h2_rig_big, H2_RIG_BIG));
    } else if (tern_str_eq(x->path, TERN_STR("/packed"))) {
        x->allow_compression = true;
        h2_rig_answer(x, 200, tern_str_make(h2_rig_big, 50000));
    } else if (tern_str_eq(x->path, TERN_STR("/nothing"))) {
        h2_rig_answer(x, 204, TERN_STR(""));
    } else if (tern_str_eq(x->path, TERN_STR("/fields"))) {
        tern_exchange_add_header(x, TERN_STR("X-Mixed-Case"), TERN_STR("Yes"));
        tern_exchange_add_header(x, TERN_STR("Connection"), TERN_STR("close"));
        h2_rig_answer(x, 200, TERN_STR("ok"));
    } else {
        h2_rig_answer(x, 200, x->body.n > 0 ? x->body : TERN_STR("hello"));
    }
}

TERN_INLINE void h2_rig_on_gone(void *self, struct tern_exchange *x)
{
    struct seen *seen = self;

    assert_true(x->gone);
    seen->gone++;
}

TERN_INLINE void h2_rig_on_refused(void *self, struct tern_exchange *x, const struct tern_err *err)
{
    struct seen *seen = self;

    seen->refused++;
    seen->err = *err;
    h2_rig_answer(x, tern_err_http_status(err), tern_str_of(err->text));
}

struct h2_rig {
    struct rig rig;
    struct seen seen;
    struct tern_handler handler;
    struct client c;
};

TERN_INLINE int h2_rig_setup(void **state)
{
    static struct h2_rig f;

    f = (struct h2_rig){.seen = {0}};
    f.handler = (struct tern_handler){.on_head = h2_rig_on_head,
                                      .on_request = h2_rig_on_request,
                                      .on_gone = h2_rig_on_gone,
                                      .on_refused = h2_rig_on_refused,
                                      .self = &f.seen};
    rig_open(&f.rig, &f.handler, NULL, &tern_mux_h2);
    client_open(&f.c, &f.rig, 65535);
    uint32_t seed = 1;
    for (size_t i = 0; i < H2_RIG_BIG; i++) {
        seed = seed * 1664525u + 1013904223u;
        h2_rig_big[i] = (char)('a' + (seed >> 24) % 20);
    }
    *state = &f;
    return 0;
}

TERN_INLINE int h2_rig_teardown(void **state)
{
    struct h2_rig *f = *state;

    client_close(&f->c);
    rig_close(&f->rig);
    return 0;
}

TERN_INLINE void h2_rig_still_serves(struct h2_rig *f)
{
    assert_int_equal(client_ask(&f->c, NULL, no_body)->status, 200);
}

TERN_INLINE uint64_t h2_rig_ended(const struct h2_rig *f, enum tern_ending ending)
{
    return f->rig.hub->counters.requests_ended[ending];
}

#endif
