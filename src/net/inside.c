#include "net/inside.h"

#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "simd/numbers.h"

#define ARENA_FIRST    8192u
#define OUT_MAX        ((size_t)1 << 32)
#define EXCHANGES_KEPT 64u
#define ANSWER_KEPT    (64u << 10)
#define HEADERS_MAX    (TERN_HEAD_FIELDS_MAX + 1)

struct tern_inside {
    struct tern_loop *loop;
    const struct tern_handler *handler;
    struct tern_buf out;   /* the scratch behind x->out */
    struct tern_list free; /* exchanges */
    uint32_t n_free;
};

/* Pooled, its arena's first chunk included. */
struct inside_exchange {
    struct tern_exchange x;
    struct tern_inside *inside;
    struct tern_inside_call *call;
    struct tern_list link; /* inside->free */
    struct tern_arena arena;
    struct tern_buf answer;
    char type[128]; /* of the answer */
    bool handed;    /* on_request or on_part was called */
    bool sent, ended;
    bool too_large;
    struct tern_header headers[HEADERS_MAX];
};

/* ---- the answer ---- */

static void on_done(struct tern_loop_task *task)
{
    struct tern_inside_call *call = TERN_CONTAINER_OF(task, struct tern_inside_call, done);

    call->on_done(call);
}

static void collect(struct inside_exchange *ix, const void *p, size_t n)
{
    if (n > ix->call->answer_max - ix->answer.n)
        ix->too_large = true;
    else
        tern_buf_add(&ix->answer, p, n);
}

static void finish(struct inside_exchange *ix)
{
    struct tern_inside_call *call = ix->call;

    if (tern_buf_reserve(&ix->answer, TERN_TEXT_PAD))
        memset(ix->answer.p + ix->answer.n, 0, TERN_TEXT_PAD);
    call->code = TERN_OK;
    if (ix->too_large)
        call->code = tern_fail(&call->err, TERN_RESOURCE_EXHAUSTED,
                               "the answer has more than %zu bytes", call->answer_max);
    else
        call->code = tern_buf_check(&ix->answer, "the answer", &call->err);
    call->status = ix->x.status;
    call->answer = tern_buf_str(&ix->answer);
    call->answer_type = tern_str_of(ix->type);
}

/* The owner hears of the end later: the stack does not grow with the requests that follow. */
static void on_send(struct tern_exchange *x, bool end)
{
    struct inside_exchange *ix = TERN_CONTAINER_OF(x, struct inside_exchange, x);
    struct tern_str body = tern_exchange_body_str(x);

    if (!ix->sent)
        tern_str_copy_z(x->response_type, ix->type, sizeof(ix->type));
    ix->sent = true;
    collect(ix, body.p, body.n);
    for (uint32_t i = 0; i < x->n_slices; i++)
        collect(ix, x->slices[i].p, x->slices[i].n);
    x->bytes_out += body.n + tern_exchange_slices_size(x);
    x->n_slices = 0;
    tern_buf_clear(x->out);
    if (!end)
        return;
    ix->ended = true;
    finish(ix);
    tern_loop_defer(x->loop, &ix->call->done);
}

static void on_take(struct tern_exchange *x, size_t n)
{
    x->body = tern_str_from(x->body, n);
}

/* ---- the request ---- */

static struct inside_exchange *take_exchange(struct tern_inside *inside)
{
    struct tern_list *link = tern_list_pop(&inside->free);

    if (link != NULL) {
        inside->n_free--;
        return TERN_CONTAINER_OF(link, struct inside_exchange, link);
    }
    struct inside_exchange *ix = tern_mem_alloc(sizeof(*ix));
    if (ix == NULL)
        return NULL;
    ix->inside = inside;
    tern_list_init(&ix->link);
    tern_arena_init(&ix->arena, ARENA_FIRST, 0);
    tern_buf_init(&ix->answer, OUT_MAX);
    return ix;
}

static void free_exchange(struct inside_exchange *ix)
{
    tern_arena_fini(&ix->arena);
    tern_buf_fini(&ix->answer);
    tern_mem_free(ix);
}

static void fill_headers(struct inside_exchange *ix)
{
    const struct tern_inside_call *call = ix->call;
    struct tern_exchange *x = &ix->x;

    x->headers = ix->headers;
    ix->headers[x->n_headers++] = (struct tern_header){TERN_STR("content-type"), call->type};
    for (uint32_t i = 0; i < call->n_headers && x->n_headers < HEADERS_MAX; i++)
        ix->headers[x->n_headers++] = call->headers[i];
    for (uint32_t i = 0; i < x->n_headers; i++)
        x->header_names |= tern_header_bit(x->headers[i].name);
}

static void fill(struct inside_exchange *ix, struct tern_inside_call *call)
{
    static const struct tern_exchange_ops ops = {.send = on_send, .take = on_take};
    struct tern_inside *inside = ix->inside;
    struct tern_exchange *x = &ix->x;

    ix->call = call;
    ix->type[0] = '\0';
    ix->handed = ix->sent = ix->ended = ix->too_large = false;
    ix->arena.max = call->memory_max;
    ix->arena.till = call->till;
    memset(x, 0, offsetof(struct tern_exchange, response_headers));
    x->n_response_headers = x->n_response_trailers = 0;
    x->method = call->method;
    x->method_text = tern_str_of(tern_method_name(call->method));
    x->path = call->path;
    x->query = call->query;
    x->authority = TERN_STR("localhost");
    x->content_type = call->type;
    x->http_major = x->http_minor = 1;
    x->arena = &ix->arena;
    x->loop = inside->loop;
    x->listener = call->listener;
    x->body_max = call->body_max;
    x->ops = &ops;
    x->out = &inside->out;
    x->peer = call->peer;
    x->within = call->within;
    x->start_ns = tern_clock_mono_ns();
    fill_headers(ix);
}

/* As a mux does when the whole request is there. */
static void hand_over(struct inside_exchange *ix)
{
    const struct tern_handler *handler = ix->inside->handler;
    struct tern_exchange *x = &ix->x;
    struct tern_err err;

    if (handler->on_head != NULL)
        handler->on_head(handler->self, x);
    if (ix->ended)
        return;
    ix->handed = true;
    x->body_ns = x->start_ns;
    if (ix->call->body.n > x->body_max) {
        tern_fail_http(&err, TERN_RESOURCE_EXHAUSTED, 413,
                       "the body has %zu bytes, at most %zu are allowed", ix->call->body.n,
                       x->body_max);
        handler->on_refused(handler->self, x, &err);
        return;
    }
    x->body = ix->call->body;
    x->body_done = true;
    if (x->wants_parts)
        handler->on_part(handler->self, x);
    else
        handler->on_request(handler->self, x);
}

void tern_inside_start(struct tern_inside *inside, struct tern_inside_call *call)
{
    struct inside_exchange *ix = take_exchange(inside);

    call->exchange = ix;
    call->done.run = on_done;
    if (ix == NULL) {
        call->code = tern_mem_fail(&call->err, "a request", sizeof(*ix));
        tern_loop_defer(inside->loop, &call->done);
        return;
    }
    fill(ix, call);
    hand_over(ix);
}

void tern_inside_cancel(struct tern_inside_call *call)
{
    struct inside_exchange *ix = call->exchange;

    if (ix == NULL || ix->ended || ix->x.gone)
        return;
    ix->x.gone = true;
    const struct tern_handler *handler = ix->inside->handler;
    if (ix->handed && handler->on_gone != NULL)
        handler->on_gone(handler->self, &ix->x);
}

void tern_inside_forget(struct tern_inside_call *call)
{
    struct inside_exchange *ix = call->exchange;

    call->exchange = NULL;
    if (ix == NULL)
        return;
    struct tern_inside *inside = ix->inside;
    tern_arena_reset(&ix->arena);
    tern_buf_clear(&ix->answer);
    tern_buf_shrink(&ix->answer, ANSWER_KEPT);
    if (inside->n_free == EXCHANGES_KEPT) {
        free_exchange(ix);
        return;
    }
    inside->n_free++;
    tern_list_append(&inside->free, &ix->link);
}

/* ---- life ---- */

enum tern_code tern_inside_new(struct tern_loop *loop, const struct tern_handler *handler,
                               struct tern_inside **ret_inside, struct tern_err *err)
{
    struct tern_inside *inside = tern_mem_zalloc(1, sizeof(*inside));

    if (inside == NULL)
        return tern_mem_fail(err, "the requests from inside", sizeof(*inside));
    inside->loop = loop;
    inside->handler = handler;
    tern_buf_init(&inside->out, OUT_MAX);
    tern_list_init(&inside->free);
    *ret_inside = inside;
    return TERN_OK;
}

void tern_inside_free(struct tern_inside *inside)
{
    struct tern_list *link;

    if (inside == NULL)
        return;
    while ((link = tern_list_pop(&inside->free)) != NULL)
        free_exchange(TERN_CONTAINER_OF(link, struct inside_exchange, link));
    tern_buf_fini(&inside->out);
    tern_mem_free(inside);
}
