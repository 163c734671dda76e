/* The order in which work waits: strict levels of priority, 1 the first; within a level the oldest
 * first, and behind them those whose wait ran out and whose level says "late rather than never".
 *
 * Every item has up to two limits in time: expires_ns, from its level's queue policy (Triton's
 * ModelQueuePolicy), which bounds the wait; and deadline_ns, the client's, after which nobody reads
 * the answer. The item with the earliest of both is known at any time: items are also in a pairing
 * heap (Fredman, Sedgewick, Sleator, Tarjan 1986), so adding and asking are O(1), taking out is
 * O(log n) amortised.
 *
 * Items are embedded in their owners (struct tern_work); the queue allocates nothing, reads no
 * clock and takes no lock: the owner of the queue guards it. Bounded by count and by bytes. */
#ifndef TERN_SCHED_QUEUE_H
#define TERN_SCHED_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/list.h"

/* Levels at most of which items wait at the same time, and that have policies of their own. */
#define TERN_QUEUE_LEVELS_MAX 16u
#define TERN_QUEUE_NEVER      UINT64_MAX

enum tern_queue_action {
    TERN_QUEUE_REJECT, /* "Request timeout expired" */
    TERN_QUEUE_DELAY,  /* behind the others of its level, without a limit */
};

/* A level's policy. All zero: no limit but the queue's own. */
struct tern_queue_policy {
    uint64_t level; /* whose it is */
    enum tern_queue_action timeout_action;
    bool allow_timeout_override; /* a request may lower the timeout, never raise it */
    uint64_t default_timeout_ns; /* 0: none; then there is nothing that a request could lower */
    uint32_t max_queue_size;     /* items of the level, delayed ones too; 0: no bound */
};

struct tern_queue_settings {
    uint64_t levels;        /* at least 1 */
    uint64_t default_level; /* for priority 0 and those out of range */
    uint32_t max_items;     /* of all levels */
    uint64_t max_bytes;
    struct tern_queue_policy policy; /* of any level without its own */
    struct tern_queue_policy own[TERN_QUEUE_LEVELS_MAX];
    uint32_t n_own;
};

struct tern_queue_item {
    /* The owner's, before it is added. */
    uint32_t rows;        /* or tokens: what the batch's size is counted in; at least 1 */
    uint64_t priority;    /* 0: the default */
    uint64_t bytes;       /* of memory that the item holds while it waits */
    uint64_t bucket;      /* only items of one bucket can be in one batch: a hash of the shapes
                             of inputs that are not ragged, of the contents of shape tensors, and
                             of which optional inputs are there. 0: it can be with no other */
    uint64_t deadline_ns; /* TERN_QUEUE_NEVER: none */
    uint64_t timeout_ns;  /* the request's own, where the policy allows one; 0: none */

    /* The queue's; the owner may read them. */
    uint64_t queued_ns;
    uint64_t expires_ns;
    uint64_t level; /* 1 ...; 0: it is not in a queue */
    uint32_t band;  /* where that level waits */
    bool is_delayed;
    struct tern_list link;
    struct tern_queue_item *child, *next, *prev; /* heap; prev: elder sibling, or the parent */
};

/* The items of one level. A level gets a band when its first item comes, and keeps it until another
 * level needs it while it is empty. */
struct tern_queue_band {
    uint64_t level;
    const struct tern_queue_policy *policy; /* in the queue's settings */
    struct tern_list waiting, delayed;
    uint32_t n;
    uint32_t place; /* in queue->order */
};

/* Points into itself: it stays where it was made. */
struct tern_queue {
    struct tern_queue_settings settings;
    struct tern_queue_band bands[TERN_QUEUE_LEVELS_MAX];
    uint8_t order[TERN_QUEUE_LEVELS_MAX]; /* bands by rising level */
    uint32_t n_bands;
    uint32_t n;
    uint64_t rows, bytes;
    struct tern_queue_item *earliest; /* the heap's root */
};

/* Why an item leaves the queue without running. */
enum tern_queue_loss {
    TERN_QUEUE_KEPT,
    TERN_QUEUE_TIMED_OUT, /* UNAVAILABLE "Request timeout expired", Triton's words */
    TERN_QUEUE_TOO_LATE,  /* its deadline would pass before its answer */
};

void tern_queue_init(struct tern_queue *queue, const struct tern_queue_settings *settings);

/* UNAVAILABLE "Exceeds maximum queue size" when its level, or the queue, is full, in items or in
 * bytes, or when too many other levels wait; the item is then not in the queue. */
enum tern_code tern_queue_add(struct tern_queue *queue, struct tern_queue_item *item,
                              uint64_t now_ns, struct tern_err *err);
/* Taken to run, or cancelled. Harmless when it is in no queue and all zero. */
void tern_queue_remove(struct tern_queue *queue, struct tern_queue_item *item);

/* The first to run; NULL when empty. And the one that would run after it. */
struct tern_queue_item *tern_queue_first(const struct tern_queue *queue);
struct tern_queue_item *tern_queue_next(const struct tern_queue *queue,
                                        const struct tern_queue_item *item);

/* When tern_queue_take_lost has something to do; TERN_QUEUE_NEVER. O(1). */
uint64_t tern_queue_earliest_ns(const struct tern_queue *queue);

/* Takes out one item that waited too long (expires_ns is before now_ns) or that cannot be in time
 * (deadline_ns is before cutoff_ns, which is at least now_ns), and says which; NULL and KEPT when
 * there is none. Moves those behind that wait too long and may be late. To be called until it
 * answers NULL, before a batch is cut. */
struct tern_queue_item *tern_queue_take_lost(struct tern_queue *queue, uint64_t now_ns,
                                             uint64_t cutoff_ns, enum tern_queue_loss *ret_loss);

/* Whether two items can be in one batch. */
TERN_INLINE bool tern_queue_fits(const struct tern_queue_item *first,
                                 const struct tern_queue_item *other)
{
    return first->bucket != 0 && first->bucket == other->bucket;
}

#endif
