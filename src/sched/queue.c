#include "sched/queue.h"

#include <assert.h>
#include <stddef.h>

/* ---- the heap: by the earlier of both limits ---- */

static uint64_t limit_ns(const struct tern_queue_item *item)
{
    return item->expires_ns < item->deadline_ns ? item->expires_ns : item->deadline_ns;
}

/* The two roots have no siblings. */
static struct tern_queue_item *meld(struct tern_queue_item *a, struct tern_queue_item *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    if (limit_ns(b) < limit_ns(a)) {
        struct tern_queue_item *other = a;
        a = b;
        b = other;
    }
    b->next = a->child;
    b->prev = a;
    if (a->child != NULL)
        a->child->prev = b;
    a->child = b;
    return a;
}

static struct tern_queue_item *pop_sibling(struct tern_queue_item **list)
{
    struct tern_queue_item *item = *list;
    if (item != NULL) {
        *list = item->next;
        item->next = item->prev = NULL;
    }
    return item;
}

/* One heap of a removed root's children: pairs from left to right, then all from right to left. */
static struct tern_queue_item *meld_children(struct tern_queue_item *children)
{
    struct tern_queue_item *pairs = NULL, *root = NULL;

    while (children != NULL) {
        struct tern_queue_item *first = pop_sibling(&children);
        struct tern_queue_item *pair = meld(first, pop_sibling(&children));
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs != NULL)
        root = meld(root, pop_sibling(&pairs));
    return root;
}

static void heap_remove(struct tern_queue *queue, struct tern_queue_item *item)
{
    struct tern_queue_item *rest = meld_children(item->child);

    if (item == queue->earliest) {
        queue->earliest = rest;
    } else {
        if (item->prev->child == item)
            item->prev->child = item->next;
        else
            item->prev->next = item->next;
        if (item->next != NULL)
            item->next->prev = item->prev;
        queue->earliest = meld(queue->earliest, rest);
    }
    item->child = item->next = item->prev = NULL;
}

static void heap_add(struct tern_queue *queue, struct tern_queue_item *item)
{
    item->child = item->next = item->prev = NULL;
    queue->earliest = meld(queue->earliest, item);
}

/* ---- adding and removing ---- */

void tern_queue_init(struct tern_queue *queue, const struct tern_queue_settings *settings)
{
    assert(settings->levels >= 1 && settings->levels <= TERN_QUEUE_LEVELS_MAX);
    assert(settings->default_level >= 1 && settings->default_level <= settings->levels);
    *queue = (struct tern_queue){.settings = *settings};
    for (uint32_t i = 0; i < TERN_QUEUE_LEVELS_MAX; i++) {
        tern_list_init(&queue->waiting[i]);
        tern_list_init(&queue->delayed[i]);
    }
}

static uint64_t expiry(const struct tern_queue_policy *policy, const struct tern_queue_item *item,
                       uint64_t now_ns)
{
    uint64_t timeout_ns = policy->default_timeout_ns;

    if (policy->allow_timeout_override && item->timeout_ns != 0 && item->timeout_ns < timeout_ns)
        timeout_ns = item->timeout_ns;
    if (timeout_ns == 0 || timeout_ns >= TERN_QUEUE_NEVER - now_ns)
        return TERN_QUEUE_NEVER;
    return now_ns + timeout_ns;
}

static enum tern_code may_join(const struct tern_queue *queue, uint32_t level,
                               const struct tern_queue_item *item, struct tern_err *err)
{
    const struct tern_queue_settings *s = &queue->settings;
    uint32_t level_max = s->policies[level - 1].max_queue_size;

    if (level_max != 0 && queue->n_of_level[level - 1] >= level_max)
        return tern_fail(err, TERN_UNAVAILABLE,
                         "Exceeds maximum queue size: %u requests of priority %u wait", level_max,
                         level);
    if (queue->n >= s->max_items)
        return tern_fail(err, TERN_UNAVAILABLE, "Exceeds maximum queue size: %u requests wait",
                         queue->n);
    if (item->bytes > s->max_bytes - queue->bytes)
        return tern_fail(err, TERN_UNAVAILABLE,
                         "Exceeds maximum queue size: %llu bytes wait, %llu more do not fit in "
                         "%llu",
                         (unsigned long long)queue->bytes, (unsigned long long)item->bytes,
                         (unsigned long long)s->max_bytes);
    return TERN_OK;
}

enum tern_code tern_queue_add(struct tern_queue *queue, struct tern_queue_item *item,
                              uint64_t now_ns, struct tern_err *err)
{
    const struct tern_queue_settings *s = &queue->settings;
    bool is_level = item->priority >= 1 && item->priority <= s->levels;
    uint32_t level = is_level ? item->priority : s->default_level;

    TERN_TRY(may_join(queue, level, item, err));
    item->rows = item->rows > 0 ? item->rows : 1;
    item->level = level;
    item->is_delayed = false;
    item->queued_ns = now_ns;
    item->expires_ns = expiry(&s->policies[level - 1], item, now_ns);
    tern_list_append(&queue->waiting[level - 1], &item->link);
    heap_add(queue, item);
    queue->n_of_level[level - 1]++;
    queue->n++;
    queue->rows += item->rows;
    queue->bytes += item->bytes;
    return TERN_OK;
}

void tern_queue_remove(struct tern_queue *queue, struct tern_queue_item *item)
{
    if (item->level == 0)
        return;
    tern_list_remove(&item->link);
    heap_remove(queue, item);
    queue->n_of_level[item->level - 1]--;
    queue->n--;
    queue->rows -= item->rows;
    queue->bytes -= item->bytes;
    item->level = 0;
}

/* ---- the order ---- */

static struct tern_queue_item *item_of(struct tern_list *link)
{
    return TERN_CONTAINER_OF(link, struct tern_queue_item, link);
}

/* The first of a level, counted from 0, and those behind it. */
static struct tern_queue_item *first_from(const struct tern_queue *queue, uint32_t level)
{
    for (; level < queue->settings.levels; level++) {
        if (!tern_list_is_empty(&queue->waiting[level]))
            return item_of(queue->waiting[level].next);
        if (!tern_list_is_empty(&queue->delayed[level]))
            return item_of(queue->delayed[level].next);
    }
    return NULL;
}

struct tern_queue_item *tern_queue_first(const struct tern_queue *queue)
{
    return first_from(queue, 0);
}

struct tern_queue_item *tern_queue_next(const struct tern_queue *queue,
                                        const struct tern_queue_item *item)
{
    uint32_t level = item->level - 1;
    const struct tern_list *delayed = &queue->delayed[level];

    if (item->is_delayed)
        return item->link.next != delayed ? item_of(item->link.next) : first_from(queue, level + 1);
    if (item->link.next != &queue->waiting[level])
        return item_of(item->link.next);
    return tern_list_is_empty(delayed) ? first_from(queue, level + 1) : item_of(delayed->next);
}

/* ---- limits in time ---- */

uint64_t tern_queue_earliest_ns(const struct tern_queue *queue)
{
    return queue->earliest == NULL ? TERN_QUEUE_NEVER : limit_ns(queue->earliest);
}

/* Waited too long, and may be late. The client's deadline stays. */
static void move_behind(struct tern_queue *queue, struct tern_queue_item *item)
{
    heap_remove(queue, item);
    tern_list_remove(&item->link);
    item->expires_ns = TERN_QUEUE_NEVER;
    item->is_delayed = true;
    tern_list_append(&queue->delayed[item->level - 1], &item->link);
    heap_add(queue, item);
}

struct tern_queue_item *tern_queue_take_lost(struct tern_queue *queue, uint64_t now_ns,
                                             uint64_t cutoff_ns, enum tern_queue_loss *ret_loss)
{
    struct tern_queue_item *item;

    *ret_loss = TERN_QUEUE_KEPT;
    while ((item = queue->earliest) != NULL && limit_ns(item) < cutoff_ns) {
        enum tern_queue_action action = queue->settings.policies[item->level - 1].timeout_action;
        if (item->deadline_ns < cutoff_ns)
            *ret_loss = TERN_QUEUE_TOO_LATE;
        else if (item->expires_ns >= now_ns)
            return NULL; /* deadlines behind it are found when it has gone */
        else if (action == TERN_QUEUE_REJECT)
            *ret_loss = TERN_QUEUE_TIMED_OUT;
        if (*ret_loss != TERN_QUEUE_KEPT) {
            tern_queue_remove(queue, item);
            return item;
        }
        move_behind(queue, item);
    }
    return NULL;
}
