/* What sequence.c, sequence_table.c and sequence_direct.c share.
 *
 *     sequence.c         a request on its loop: in, its turn, its limits of time, out
 *     sequence_table.c   who is live, who waits, who has a slot: under the table's lock, no loops
 *     sequence_direct.c  the slots of instances, when a run is a batch over them
 */
#ifndef TERN_SCHED_SEQUENCE_INT_H
#define TERN_SCHED_SEQUENCE_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include "sched/sequence.h"
#include "sched/sequence_inputs.h"
#include "sched/sequence_state.h"

struct sequence_board;

struct sequence {
    struct sequence *next; /* in its bucket, or among the spare ones */
    uint64_t hash;
    uint64_t id;
    uint32_t text_n;
    char text[TERN_SEQUENCE_TEXT_MAX];
    struct tern_list link;                /* in table->idle or table->backlog, or nowhere */
    struct tern_list waiting;             /* member.link, in the order they came */
    struct tern_sequence_member *running; /* NULL: none */
    uint64_t idle_since;
    struct tern_kept *kept; /* owned: states, used by the request that runs */
    bool has_state;         /* kept is of this sequence, not of one before it under its id */
    bool has_slot;
    uint32_t slot; /* with boards: which one */
    bool open;     /* after all that came so far, a request without START may follow */
    bool listed;   /* it is found by its id; a new one may have that after its END came */
    bool own;      /* the id is the server's (iterative) */
};

struct tern_sequences {
    struct tern_sched *sched;
    const struct tern_model_version *version;
    pthread_mutex_t lock; /* over all that follows */
    struct sequence **buckets;
    uint32_t mask;
    struct tern_list idle;    /* those with a slot and nothing to run, the oldest first */
    struct tern_list backlog; /* those without a slot, the oldest first */
    struct sequence *spare;   /* memory kept for the next ones */
    atomic_uint n_live;       /* with a slot; written under the lock */
    atomic_uint n_held;       /* requests that wait; written under the lock */

    /* Direct: each slot is a row of the runs of one instance. */
    struct sequence_board *boards; /* one an instance; NULL: none */
    uint32_t n_boards;
    atomic_uint own_ids;      /* given so far */
    struct sequence **slots;  /* who has which: slot i is row i / n_boards of board i % n_boards */
    struct tern_list stirred; /* boards that something changed on */
    uint32_t hold_until;      /* requests that have to wait in slots before the first run ... */
    uint32_t hold_backlog;    /* ... and in the backlog; for tests */
    struct tern_batch_pool *pool;
};

enum member_state {
    HELD,    /* in its sequence's queue */
    CALLED,  /* its turn, or its end: a task is on the way to its loop */
    RUNNING, /* the lane's, or its board's */
};

/* What a request is called for. */
enum fate {
    RUN,
    ANSWERED, /* its board ran it */
    CANCELLED,
    LATE,          /* its own deadline passed */
    SEQUENCE_LATE, /* one of its sequence's requests was not in time for a slot */
    NO_SLOT,       /* one of them waited for a slot for as long as it was to (work->timeout_ns) */
    WITHOUT_START, /* the START before it was not run */
};

struct tern_sequence_member {
    struct tern_work *work;
    struct tern_sequences *table;
    struct tern_sequence which;
    void (*on_done)(struct tern_work *work); /* the owner's */
    struct tern_loop_task task;
    uint64_t queued_ns;
    struct tern_sequence_extra extra;
    /* Iterative: the request is run again as long as its engine says so. */
    bool own; /* the server gave it its id */
    struct tern_engine_again again;
    struct tern_arena *arena;    /* the owner's; run.arena is the next meanwhile */
    struct tern_arena iteration; /* what an iteration gives, until the next one */
    /* Under the table's lock. */
    struct tern_list link;
    struct sequence *sequence; /* NULL: it was forgotten before this request was done */
    enum member_state state;
    enum fate fate;
    bool orphan;      /* the START before it was not run */
    bool is_unwanted; /* cancelled, or past its deadline, while its board ran it */
};

/* Who is to be told when the lock is let go. */
struct sequence_calls {
    struct tern_list members; /* member.link: those that were called */
    struct tern_list boards;  /* board.link: those that took a run */
};

/* ---- the table, under its lock ---- */

/* The sequence that a request belongs to, when it was there before; NULL. A START after an END
 * belongs to a new one, even if the old one still runs. */
struct sequence *sequence_find(struct tern_sequences *table, const struct tern_sequence_member *m);
/* A new one; NULL: no memory. */
struct sequence *sequence_add(struct tern_sequences *table, const struct tern_sequence_member *m);
struct tern_sequence_member *sequence_first(const struct sequence *sequence);
bool sequence_has_room(const struct tern_sequences *table);
void sequence_give_slot(struct tern_sequences *table, struct sequence *sequence,
                        struct sequence_calls *calls);
/* The next request of a sequence that has a slot and runs nothing. */
void sequence_go_on(struct tern_sequences *table, struct sequence *sequence,
                    struct sequence_calls *calls);
/* Out of its sequence's queue, to run. */
void sequence_take(struct tern_sequences *table, struct tern_sequence_member *m);
/* A request that waits gives up. */
void sequence_drop(struct tern_sequences *table, struct tern_sequence_member *m,
                   struct sequence_calls *calls);
/* A request that was taken is to be taken again, before all others of its sequence. */
void sequence_give_back(struct tern_sequences *table, struct tern_sequence_member *m,
                        struct sequence_calls *calls);
/* A request that was called or taken is done. */
void sequence_leave(struct tern_sequences *table, struct tern_sequence_member *m, bool ran,
                    struct sequence_calls *calls);
/* A sequence in the backlog is not in time: none of it is run. */
void sequence_refuse_all(struct tern_sequences *table, struct sequence *sequence, enum fate fate,
                         struct sequence_calls *calls);
/* `now` was read before the lock was taken: a sequence may be idle since later than that. */
void sequence_forget_idle(struct tern_sequences *table, uint64_t now);
/* Of a version that is not served any more: nothing can follow what is idle. `loop`: the caller's.
 */
void sequence_forget_retired(struct tern_sequences *table, const struct tern_loop *loop);
/* Slots that are free go to those who wait for them, and boards take what they can run: the last
 * step of whatever changed something. */
void sequence_settle(struct tern_sequences *table, uint64_t now, struct sequence_calls *calls);

/* ---- requests ---- */

void sequence_calls_init(struct sequence_calls *calls);
/* Without the lock. `here`: the loop that this runs on. */
void sequence_tell(struct sequence_calls *calls, struct tern_loop *here);
/* The sequence's states, or those it begins with. No other request of it runs. */
void sequence_show_states(struct tern_sequence_member *m);
enum tern_code sequence_keep_states(struct tern_sequence_member *m);
/* After a run, its states kept: whether the request is to be run again; it is ready for that then.
 * Else its code says how it ended. */
bool sequence_runs_again(struct tern_sequence_member *m, bool is_unwanted);

/* ---- boards ---- */

enum tern_code sequence_boards_new(struct tern_sequences *table, struct tern_err *err);
void sequence_boards_free(struct tern_sequences *table);

/* Under the lock: the slot that a sequence gets, the lowest row first; and its end. */
void sequence_board_seat(struct tern_sequences *table, struct sequence *sequence);
void sequence_board_leave(struct tern_sequences *table, struct sequence *sequence);
/* Under the lock: something changed for this sequence. */
void sequence_board_stir(struct tern_sequences *table, const struct sequence *sequence);
/* Under the lock: boards that changed take what they can run. */
void sequence_boards_look(struct tern_sequences *table, uint64_t now, struct sequence_calls *calls);
/* Under the lock: when the board of a request that waits would run it although not enough others
 * are there; UINT64_MAX: nobody waits for others. */
uint64_t sequence_board_due(const struct tern_sequences *table,
                            const struct tern_sequence_member *m);
/* Under the lock: nobody wants the answer of a request that its board runs. */
void sequence_board_unwant(struct tern_sequences *table, struct tern_sequence_member *m);
/* Without the lock: the run that a board took goes to the lane. */
void sequence_board_start(struct tern_list *link, struct tern_loop *here);

#endif
