/* The body of a request: one contiguous piece, in the arena when it is short, else in the hub's
 * memory, which is charged to the loop as it fills. */
#include "net/h2_int.h"

#include <assert.h>
#include <string.h>

#define BODY_ARENA_MAX  2048u /* a body of known size up to here lies in the arena */
#define GROW_FAST_MAX   (256u << 10)
#define CONN_BODIES_MAX 4u /* bodies of the largest size that one connection may hold */

bool tern_h2_body_may_hold_more(const struct tern_h2_conn *h)
{
    return h->body_bytes <= h->conn->listener->body_max * CONN_BODIES_MAX;
}

bool tern_h2_body_charge(struct tern_h2_stream *s, size_t size, size_t n)
{
    size_t due = s->body_cap == 0 ? 0 : tern_hub_body_charge(size, n);

    if (due <= s->charged)
        return true;
    if (!tern_till_take(s->shared->hub->till, due - s->charged))
        return false;
    s->charged = due;
    return true;
}

void tern_h2_body_give(struct tern_h2_stream *s)
{
    s->body_at = 0;
    if (s->body_cap == 0)
        return;
    tern_till_give(s->shared->hub->till, s->charged);
    s->charged = 0;
    tern_hub_body_give(s->shared->hub, s->body, s->body_cap);
    if (s->h != NULL)
        s->h->body_bytes -= s->body_cap;
    s->body = NULL;
    s->body_cap = s->body_room = 0;
}

bool tern_h2_body_has_room(const struct tern_h2_stream *s, size_t n)
{
    return n <= BODY_ARENA_MAX || tern_till_has_room(s->shared->hub->till, n);
}

/* What the handler makes of the first bytes of a body. Sizes that cannot be are passed over. */
static struct tern_body_plan ask_plan(const struct tern_h2_stream *s, struct tern_str first)
{
    const struct tern_handler *handler = s->shared->hub->handler;
    struct tern_body_plan plan = {.first = first, .size = s->content_length};

    if (handler->plan_body != NULL && s->encoding == TERN_ENCODING_IDENTITY)
        handler->plan_body(handler->self, &s->x, &plan);
    if (plan.size < first.n || plan.size > s->x.body_max)
        plan.size = SIZE_MAX;
    return plan;
}

/* How much memory to take when `need` bytes are there, for a body of unknown size: what is copied
 * while it grows is a third of it, and of a large one all of it. */
static size_t size_wanted(const struct tern_h2_stream *s, size_t need)
{
    size_t grown = s->body_n * (s->body_n < GROW_FAST_MAX ? 4 : 2);

    if (grown > s->x.body_max)
        grown = s->x.body_max;
    return need < grown ? grown : need;
}

/* Memory for `size` bytes that begin `lead` bytes into it; what was there moves. */
static bool take_body(struct tern_h2_stream *s, size_t size, size_t lead)
{
    size_t cap = 0;

    if (!tern_h2_body_may_hold_more(s->h) || size > SIZE_MAX - lead)
        return false;
    char *fresh = tern_hub_body_take(s->shared->hub, size + lead, &cap);
    if (fresh == NULL)
        return false;
    if (s->body != NULL)
        memcpy(fresh + lead, s->body + s->body_at, s->body_n);
    tern_h2_body_give(s);
    s->body = fresh;
    s->body_at = lead;
    s->body_room = s->body_cap = cap;
    s->h->body_bytes += cap;
    return true;
}

/* Room for the first bytes of a body, and for all of it when its size is known. No more
 * comes than the head said; gRPC's clients say nothing there, but their first bytes
 * do. */
static bool begin_body(struct tern_h2_stream *s, struct tern_str first)
{
    struct tern_body_plan plan = {.size = s->content_length};

    if (plan.size > BODY_ARENA_MAX)
        plan = ask_plan(s, first);
    if (plan.size <= BODY_ARENA_MAX) {
        s->body = tern_arena_alloc(&s->arena, TERN_CACHE_LINE, plan.size + TERN_TEXT_PAD);
        s->body_room = plan.size;
        return s->body != NULL;
    }
    return take_body(s, plan.size != SIZE_MAX ? plan.size : size_wanted(s, first.n),
                     (0 - plan.pivot) & (TERN_CACHE_LINE - 1));
}

/* Room for n more bytes. */
static bool grow_body(struct tern_h2_stream *s, const uint8_t *p, size_t n)
{
    size_t need = s->body_n + n;

    return s->body == NULL ? begin_body(s, tern_str_make((const char *)p, n))
                           : take_body(s, size_wanted(s, need), s->body_at);
}

void tern_h2_body_add(struct tern_h2_stream *s, const uint8_t *p, size_t n)
{
    struct tern_err err;

    if (s->phase != TERN_H2_PHASE_BODY || n == 0)
        return;
    if (n > s->x.body_max - s->body_n) {
        tern_fail_http(&err, TERN_RESOURCE_EXHAUSTED, 413,
                       "the body is larger than the %zu bytes allowed", s->x.body_max);
        tern_h2_request_refuse(s, &err);
        return;
    }
    if (s->body == NULL && s->content_length == SIZE_MAX && !tern_h2_body_has_room(s, n)) {
        tern_till_fail(&err);
        tern_h2_request_refuse(s, &err);
        return;
    }
    if (n > s->body_room - s->body_at - s->body_n && !grow_body(s, p, n)) {
        tern_fail(&err, TERN_RESOURCE_EXHAUSTED, "no memory for a body of %zu bytes",
                  s->body_n + n);
        tern_h2_request_refuse(s, &err);
        return;
    }
    if (!tern_h2_body_charge(s, s->body_room, s->body_n + n)) {
        tern_till_fail(&err);
        tern_h2_request_refuse(s, &err);
        return;
    }
    assert(s->body != NULL);
    memcpy(s->body + s->body_at + s->body_n, p, n);
    s->body_n += n;
}

/* Compressed bodies are collected as they came and decoded here in one go: a loop needs one decoder
 * however many streams upload, and an upload that never ends pins no window memory. */
enum tern_code tern_h2_body_decode(struct tern_h2_stream *s, struct tern_err *err)
{
    struct tern_decoder *decoder = &s->shared->decoder;
    struct tern_exchange *x = &s->x;

    struct tern_decoder_limits limits = {x->body_max, x->expand_max};
    TERN_TRY(tern_decoder_start(decoder, s->encoding, limits, err));
    TERN_TRY(
        tern_decoder_feed(decoder, tern_str_make(s->body + s->body_at, s->body_n), &s->plain, err));
    TERN_TRY(tern_decoder_finish(decoder, err));
    if (!tern_buf_reserve(&s->plain, TERN_TEXT_PAD))
        return tern_buf_check(&s->plain, "the decompressed body", err);
    if (!tern_till_take(s->shared->hub->till, s->plain.n))
        return tern_till_fail(err);
    s->plain_charged = s->plain.n;
    tern_h2_body_give(s);
    x->body = tern_buf_str(&s->plain);
    return TERN_OK;
}
