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
    assert(settings->levels >= 1 && settings->n_own <= TERN_QUEUE_LEVELS_MAX);
    assert(settings->default_level >= 1 && settings->default_level <= settings->levels);
    *queue = (struct tern_queue){.settings = *settings};
}

static const struct tern_queue_policy *policy_of(const struct tern_queue_settings *settings,
                                                 uint64_t level)
{
    for (uint32_t i = 0; i < settings->n_own; i++) {
        if (settings->own[i].level == level)
            return &settings->own[i];
    }
    return &settings->policy;
}

/* A band that is free: a new one, or one that is empty; NULL: none. It is in no order. */
static struct tern_queue_band *find_free(struct tern_queue *queue)
{
    struct tern_queue_band *band = NULL;

    if (queue->n_bands < TERN_QUEUE_LEVELS_MAX)
        return &queue->bands[queue->n_bands++];
    for (uint32_t i = 0; i < TERN_QUEUE_LEVELS_MAX && band == NULL; i++)
        band = queue->bands[i].n == 0 ? &queue->bands[i] : NULL;
    if (band == NULL)
        return NULL;
    for (uint32_t at = band->place; at + 1 < TERN_QUEUE_LEVELS_MAX; at++) {
        queue->order[at] = queue->order[at + 1];
        queue->bands[queue->order[at]].place = at;
    }
    return band;
}

static struct tern_queue_band *begin_band(struct tern_queue *queue, uint64_t level)
{
    struct tern_queue_band *band = find_free(queue);

    if (band == NULL)
        return NULL;
    uint32_t at = queue->n_bands - 1;
    for (; at > 0 && queue->bands[queue->order[at - 1]].level > level; at--) {
        queue->order[at] = queue->order[at - 1];
        queue->bands[queue->order[at]].place = at;
    }
    queue->order[at] = (uint8_t)(band - queue->bands);
    *band = (struct tern_queue_band){
        .level = level, .policy = policy_of(&queue->settings, level), .place = at};
    tern_list_init(&band->waiting);
    tern_list_init(&band->delayed);
    return band;
}

static struct tern_queue_band *find_band(struct tern_queue *queue, uint64_t level)
{
    for (uint32_t i = 0; i < queue->n_bands; i++) {
        if (queue->bands[i].level == level)
            return &queue->bands[i];
    }
    return begin_band(queue, level);
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

static enum tern_code may_join(const struct tern_queue *queue, const struct tern_queue_band *band,
                               const struct tern_queue_item *item, struct tern_err *err)
{
    const struct tern_queue_settings *s = &queue->settings;

    if (band == NULL)
        return tern_fail(err, TERN_UNAVAILABLE,
                         "Exceeds maximum queue size: requests of %u other priorities wait",
                         TERN_QUEUE_LEVELS_MAX);
    uint32_t level_max = band->policy->max_queue_size;
    if (level_max != 0 && band->n >= level_max)
        return tern_fail(err, TERN_UNAVAILABLE,
                         "Exceeds maximum queue size: %u requests of priority %llu wait", level_max,
                         (unsigned long long)band->level);
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
    struct tern_queue_band *band = find_band(queue, is_level ? item->priority : s->default_level);

    TERN_TRY(may_join(queue, band, item, err));
    item->rows = item->rows > 0 ? item->rows : 1;
    item->level = band->level;
    item->band = (uint32_t)(band - queue->bands);
    item->is_delayed = false;
    item->queued_ns = now_ns;
    item->expires_ns = expiry(band->policy, item, now_ns);
    tern_list_append(&band->waiting, &item->link);
    heap_add(queue, item);
    band->n++;
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
    queue->bands[item->band].n--;
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

/* The first of the band at this place, and those behind it. */
static struct tern_queue_item *first_from(const struct tern_queue *queue, uint32_t place)
{
    for (; place < queue->n_bands; place++) {
        const struct tern_queue_band *band = &queue->bands[queue->order[place]];
        if (!tern_list_is_empty(&band->waiting))
            return item_of(band->waiting.next);
        if (!tern_list_is_empty(&band->delayed))
            return item_of(band->delayed.next);
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
    const struct tern_queue_band *band = &queue->bands[item->band];

    if (!item->is_delayed && item->link.next != &band->waiting)
        return item_of(item->link.next);
    if (item->is_delayed && item->link.next != &band->delayed)
        return item_of(item->link.next);
    if (!item->is_delayed && !tern_list_is_empty(&band->delayed))
        return item_of(band->delayed.next);
    return first_from(queue, band->place + 1);
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
    tern_list_append(&queue->bands[item->band].delayed, &item->link);
    heap_add(queue, item);
}

struct tern_queue_item *tern_queue_take_lost(struct tern_queue *queue, uint64_t now_ns,
                                             uint64_t cutoff_ns, enum tern_queue_loss *ret_loss)
{
    struct tern_queue_item *item;

    *ret_loss = TERN_QUEUE_KEPT;
    while ((item = queue->earliest) != NULL && limit_ns(item) < cutoff_ns) {
        enum tern_queue_action action = queue->bands[item->band].policy->timeout_action;
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
