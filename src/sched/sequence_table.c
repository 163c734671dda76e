/* The live sequences of a model, found by their ids: who waits in each, and which have a slot. */
#include "sched/sequence_int.h"

#include <string.h>
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

static uint64_t hash_of(const struct tern_sequences *table, const struct tern_sequence *which,
                        bool own)
{
    struct tern_str key = which->text.n > 0
                              ? which->text
                              : tern_str_make((const char *)&which->id, sizeof(which->id));
    return tern_hash_bytes(key, (uint64_t)(uintptr_t)table + own);
}

static bool is_called(const struct sequence *sequence, const struct tern_sequence *which, bool own)
{
    if (sequence->own != own)
        return false;
    return which->text.n > 0 ? sequence->text_n == which->text.n &&
                                   memcmp(sequence->text, which->text.p, which->text.n) == 0
                             : sequence->text_n == 0 && sequence->id == which->id;
}

static void unlist(struct tern_sequences *table, struct sequence *sequence)
{
    struct sequence **at = &table->buckets[sequence->hash & table->mask];

    while (*at != sequence)
        at = &(*at)->next;
    *at = sequence->next;
    sequence->listed = false;
}

struct sequence *sequence_find(struct tern_sequences *table, const struct tern_sequence_member *m)
{
    uint64_t hash = hash_of(table, &m->which, m->own);
    struct sequence *at = table->buckets[hash & table->mask];

    while (at != NULL && (at->hash != hash || !is_called(at, &m->which, m->own)))
        at = at->next;
    if (at == NULL || at->open || !m->which.start)
        return at;
    unlist(table, at);
    return NULL;
}

struct sequence *sequence_add(struct tern_sequences *table, const struct tern_sequence_member *m)
{
    const struct tern_sequence *which = &m->which;
    struct sequence *sequence = table->spare;

    if (sequence != NULL)
        table->spare = sequence->next;
    else
        sequence = tern_mem_alloc(sizeof(*sequence));
    if (sequence == NULL)
        return NULL;
    memset(sequence, 0, sizeof(*sequence));
    sequence->hash = hash_of(table, which, m->own);
    sequence->own = m->own;
    sequence->listed = true;
    sequence->id = which->id;
    sequence->text_n = (uint32_t)which->text.n;
    if (which->text.n > 0)
        memcpy(sequence->text, which->text.p, which->text.n);
    tern_list_init(&sequence->link);
    tern_list_init(&sequence->waiting);
    struct sequence **bucket = &table->buckets[sequence->hash & table->mask];
    sequence->next = *bucket;
    *bucket = sequence;
    return sequence;
}

static void take_slot(struct tern_sequences *table, struct sequence *sequence)
{
    sequence->has_slot = false;
    table->n_live--;
    sequence_board_leave(table, sequence);
}

/* Nothing of it waits or runs. */
static void forget(struct tern_sequences *table, struct sequence *sequence)
{
    if (sequence->listed)
        unlist(table, sequence);
    tern_list_remove(&sequence->link);
    if (sequence->has_slot)
        take_slot(table, sequence);
    tern_kept_free(table->version->sequencing, sequence->kept);
    sequence->kept = NULL;
    sequence->next = table->spare;
    table->spare = sequence;
}

struct tern_sequence_member *sequence_first(const struct sequence *sequence)
{
    return tern_list_is_empty(&sequence->waiting)
               ? NULL
               : TERN_CONTAINER_OF(sequence->waiting.next, struct tern_sequence_member, link);
}

void sequence_take(struct tern_sequences *table, struct tern_sequence_member *m)
{
    tern_list_remove(&m->link);
    table->n_held--;
    m->state = RUNNING;
    m->sequence->running = m;
}

/* Out of its sequence's queue, to those whose loop will be told. */
static void call(struct tern_sequences *table, struct tern_sequence_member *m, enum fate fate,
                 struct sequence_calls *calls)
{
    tern_list_remove(&m->link);
    table->n_held--;
    m->state = CALLED;
    m->fate = fate;
    tern_list_append(&calls->members, &m->link);
}

void sequence_go_on(struct tern_sequences *table, struct sequence *sequence,
                    struct sequence_calls *calls)
{
    struct tern_sequence_member *m = sequence_first(sequence);

    if (m != NULL && table->boards != NULL && !m->orphan) {
        sequence_board_stir(table, sequence);
    } else if (m != NULL) {
        sequence->running = m;
        call(table, m, m->orphan ? WITHOUT_START : RUN, calls);
    } else if (sequence->open) {
        sequence->idle_since = tern_clock_mono_ns();
        tern_list_append(&table->idle, &sequence->link);
    } else {
        forget(table, sequence);
    }
}

bool sequence_has_room(const struct tern_sequences *table)
{
    return table->n_live < table->version->sequence_slots;
}

void sequence_give_slot(struct tern_sequences *table, struct sequence *sequence,
                        struct sequence_calls *calls)
{
    sequence->has_slot = true;
    table->n_live++;
    sequence_board_seat(table, sequence);
    sequence_go_on(table, sequence, calls);
}

/* Whoever waits for a slot gets one that is free. */
static void serve_backlog(struct tern_sequences *table, struct sequence_calls *calls)
{
    while (sequence_has_room(table) && !tern_list_is_empty(&table->backlog))
        sequence_give_slot(
            table, TERN_CONTAINER_OF(tern_list_pop(&table->backlog), struct sequence, link), calls);
}

/* A START was not run: what follows it must not be either. `next`: the request behind it. */
static void lose_start(struct sequence *sequence, struct tern_sequence_member *next)
{
    if (next == NULL)
        sequence->open = false;
    else if (!next->which.start)
        next->orphan = true;
}

void sequence_drop(struct tern_sequences *table, struct tern_sequence_member *m,
                   struct sequence_calls *calls)
{
    struct sequence *sequence = m->sequence;
    bool is_last = m->link.next == &sequence->waiting;
    struct tern_sequence_member *next =
        is_last ? NULL : TERN_CONTAINER_OF(m->link.next, struct tern_sequence_member, link);

    if (m->which.start || m->orphan)
        lose_start(sequence, next);
    tern_list_remove(&m->link);
    table->n_held--;
    if (sequence->running == NULL && sequence->has_slot)
        sequence_go_on(table, sequence, calls); /* its board may be left with less */
    else if (sequence->running == NULL && sequence_first(sequence) == NULL)
        forget(table, sequence); /* it stood in the backlog */
}

void sequence_give_back(struct tern_sequences *table, struct tern_sequence_member *m,
                        struct sequence_calls *calls)
{
    struct sequence *sequence = m->sequence;

    tern_list_append(sequence->waiting.next, &m->link); /* before the first one */
    table->n_held++;
    m->state = HELD;
    sequence->running = NULL;
    sequence_go_on(table, sequence, calls);
}

void sequence_leave(struct tern_sequences *table, struct tern_sequence_member *m, bool ran,
                    struct sequence_calls *calls)
{
    struct sequence *sequence = m->sequence;
    struct tern_sequence_member *next;

    if (sequence == NULL)
        return;
    sequence->running = NULL;
    next = sequence_first(sequence);
    if (!ran && (m->which.start || m->orphan))
        lose_start(sequence, next);
    if (next != NULL && next->which.start && !tern_list_is_empty(&table->backlog)) {
        /* It begins anew, behind those that have not begun at all. */
        take_slot(table, sequence);
        tern_list_append(&table->backlog, &sequence->link);
    } else {
        sequence_go_on(table, sequence, calls);
    }
}

void sequence_forget_idle(struct tern_sequences *table, uint64_t now)
{
    while (!tern_list_is_empty(&table->idle)) {
        struct sequence *oldest = TERN_CONTAINER_OF(table->idle.next, struct sequence, link);
        if (now < oldest->idle_since ||
            now - oldest->idle_since < table->version->sequencing->max_idle_ns)
            return;
        forget(table, oldest);
    }
}

void sequence_forget_retired(struct tern_sequences *table, const struct tern_loop *loop)
{
    const struct tern_pins *pins = table->version->pins;

    if (pins == NULL || !pins[tern_loop_index(loop)].retired)
        return;
    while (!tern_list_is_empty(&table->idle))
        forget(table, TERN_CONTAINER_OF(table->idle.next, struct sequence, link));
}

void sequence_refuse_all(struct tern_sequences *table, struct sequence *sequence, enum fate fate,
                         struct sequence_calls *calls)
{
    for (struct tern_sequence_member *m; (m = sequence_first(sequence)) != NULL;) {
        m->sequence = NULL;
        call(table, m, fate, calls);
    }
    forget(table, sequence);
}

void sequence_settle(struct tern_sequences *table, uint64_t now, struct sequence_calls *calls)
{
    serve_backlog(table, calls);
    if (table->boards != NULL)
        sequence_boards_look(table, now, calls);
}
