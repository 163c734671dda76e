#include "gateway/part.h"

#include "base/account.h"
#include "base/mem.h"
#include "simd/numbers.h"

#define PARTS_KEPT      64u
#define PART_FIRST_SIZE 16384u
#define MESSAGE_KEPT    (64u << 10) /* bytes that a part may always keep for its next message */
#define MESSAGES_KEPT   (8u << 20)  /* and those of all parts of a loop together */

static void free_part(struct gateway_part *part)
{
    tern_buf_fini(&part->message);
    tern_arena_fini(&part->arena);
    tern_mem_free(part);
}

static struct gateway_part *new_part(void)
{
    struct gateway_part *part = tern_mem_zalloc(1, sizeof(*part));

    if (part == NULL)
        return NULL;
    tern_list_init(&part->link);
    tern_list_init(&part->answers);
    tern_arena_init(&part->arena, PART_FIRST_SIZE, 0);
    tern_buf_init(&part->message, 0);
    return part;
}

struct gateway_part *gateway_part_take(const struct gateway_call *own)
{
    struct gateway_loop *loop = own->loop;
    struct tern_list *link = tern_list_pop(&loop->parts_free);
    struct gateway_part *part =
        link == NULL ? new_part() : TERN_CONTAINER_OF(link, struct gateway_part, link);

    if (part == NULL)
        return NULL;
    if (link != NULL) {
        loop->n_parts_free--;
        loop->part_bytes -= part->message.cap;
    }
    part->stream = own->stream;
    part->held = 0;
    part->arena.max = own->call.x->arena->max;
    part->arena.till = own->call.x->arena->till;
    part->message.max = part->arena.max + TERN_TEXT_PAD;
    part->wants_final = part->emits = part->emit_due = part->done = false;
    gateway_init_call(&part->gc, loop, own->call.proto, own->call.route, own->call.x, &part->arena);
    part->gc.part = part;
    part->gc.came_ns = tern_loop_now_ns(own->call.x->loop);
    tern_observer_join(own->gateway->settings.observer, own->call.x, &own->observation,
                       &part->gc.observation);
    part->gc.call.model = own->call.model;
    part->gc.call.version = own->call.version;
    part->gc.entry = own->entry;
    part->gc.version = own->version;
    part->gc.found_at = own->found_at;
    return part;
}

void gateway_part_give(struct gateway_part *part)
{
    struct gateway_loop *loop = part->gc.loop;

    tern_till_give(part->arena.till, part->charged);
    part->charged = 0;
    tern_arena_reset(&part->arena);
    tern_buf_clear(&part->message);
    if (loop->n_parts_free == PARTS_KEPT) {
        free_part(part);
        return;
    }
    if (loop->part_bytes + part->message.cap > MESSAGES_KEPT)
        tern_buf_shrink(&part->message, MESSAGE_KEPT);
    loop->part_bytes += part->message.cap;
    loop->n_parts_free++;
    tern_list_append(loop->parts_free.next, &part->link); /* first: it is the warmest */
}

enum tern_code gateway_part_keep_message(struct gateway_part *part, struct tern_err *err)
{
    struct tern_str *message = &part->gc.call.message;
    const struct tern_str body = part->gc.call.x->body;
    struct tern_buf *buf = &part->message;

    if ((uintptr_t)message->p - (uintptr_t)body.p >= body.n)
        return TERN_OK;
    if (!tern_till_take(part->arena.till, message->n))
        return tern_till_fail(err);
    part->charged = message->n;
    if (!tern_buf_reserve(buf, message->n + TERN_TEXT_PAD))
        return tern_buf_check(buf, "a message", err);
    tern_buf_add_str(buf, *message);
    *message = tern_str_make(buf->p, message->n);
    return TERN_OK;
}

void gateway_part_fini(struct gateway_loop *loop)
{
    struct tern_list *link;

    while ((link = tern_list_pop(&loop->parts_free)) != NULL)
        free_part(TERN_CONTAINER_OF(link, struct gateway_part, link));
}
