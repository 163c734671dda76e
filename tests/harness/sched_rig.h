/* One version of the fake engine's model in a scheduler with two executors, and works for it. The
 * gate of the fake engine stands for time, so that nothing depends on how fast the machine is. */
#ifndef TERN_TESTS_SCHED_RIG_H
#define TERN_TESTS_SCHED_RIG_H

#include <pthread.h>
#include <semaphore.h>
#include "harness/fake_engine.h"
#include "harness/loop_thread.h"
#include "harness/tree.h"
#include "sched/sched.h"

#define RIG_INSTANCES_MAX 4

struct sched_rig {
    struct loop_thread lt;
    struct tern_sched *sched;
    struct tree tree;
    struct tern_arena arena;
    struct tern_model_version version;
    struct tern_pins pins[1];
    void *instance, *instances[RIG_INSTANCES_MAX];
    void *loop_instance;
};

struct sched_rig_setup {
    const char *kind; /* of fake model */
    uint64_t run_ns;  /* as measured by its warm-up; at most 50 us: on the loop */
    uint32_t queue_max;
    uint32_t instances; /* 0: one */
    uint32_t hold_until;
    bool rate_limit;
    bool decoupled; /* to the scheduler; the engine answers once all the same */
    const struct tern_scheduling *scheduling; /* NULL: none */
};

struct sched_item {
    struct tern_work work;
    struct tern_err err;
    struct tern_arena arena;
    struct tern_tensor x, y;
    uint32_t spec;
    float data[16]; /* rows of four */
    struct sched_rig *rig;
    sem_t done;
    pthread_t ran_on_done; /* the thread that on_done came on */
    int order;             /* on_done came as so many-th of the rig's items */
};

void sched_rig_start(struct sched_rig *rig, const struct sched_rig_setup *setup);
void sched_rig_stop(struct sched_rig *rig);

/* Rows of four numbers: first, first + 1, ...; the answers are twice as much. */
void sched_item_init(struct sched_item *item, struct sched_rig *rig, uint32_t rows, float first);
void sched_item_fini(struct sched_item *item);
/* On the rig's loop. */
void sched_item_submit(struct sched_item *item);
void sched_item_cancel(struct sched_item *item);
/* Several at once, in one round of the loop's events. */
void sched_items_submit(struct sched_item *items, uint32_t n);
/* Several of one row each, and their end. */
void sched_items_init(struct sched_rig *rig, struct sched_item *items, uint32_t n);
void sched_items_fini(struct sched_item *items, uint32_t n);
/* Waits for all of them. */
void sched_items_assert_answered(struct sched_item *items, uint32_t n);
/* Of a gated model: the first work stands at the gate, then the others are submitted. */
void sched_items_hold_first(struct sched_item *items, uint32_t n);
void sched_item_wait(struct sched_item *item);
void sched_item_assert_answered(const struct sched_item *item);

#endif
