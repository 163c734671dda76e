/* Several works of one model version as one engine run.
 *
 *     take -> gather -> (the engine) -> scatter
 *
 * gather puts the inputs of the works one after another along the first dimension, in memory of the
 * batch; scatter makes each work's outputs slices of the batch's. Nothing is copied on the way out:
 * the batch stays until the arena of the last of its works is reset, on whatever thread, and then
 * goes back to its pool with its memory, so that a steady stream of batches allocates nothing.
 * A batch of one is the work's own run: nothing is copied, checked or kept.
 *
 * Unless the version's configuration asks for more (scheduling->gathers), as Triton's backends and
 * TF Serving do it; then a batch of one is made as any other:
 *
 *     ragged inputs    become one dimension: all elements of all works, one after another
 *     batch inputs     are made from the shapes of another input (registry/batch_input.h)
 *     scattered ones   outputs, are cut into what each work's source input is shaped like: each -1
 *                      of the output is the dimension in the same place of the input
 *     allowed sizes    fewer rows are filled up by repeating the last one; its answers are dropped.
 *                      Not together with the three above, whose requests have rows of their own
 *
 * What goes together is the caller's choice (sched/batch_bucket.h). That the works have the same
 * inputs, shapes but for the first dimension, and parameters where the engine reads them, is
 * checked, since a mistake would give one client the answer of another. The run makes all outputs
 * that any of them wants.
 */
#ifndef TERN_SCHED_BATCH_H
#define TERN_SCHED_BATCH_H

#include <stdatomic.h>
#include "base/arena.h"
#include "sched/sched.h"

struct tern_batch_pool;
struct tern_batch_member;

struct tern_batch_settings {
    /* Bytes of one batch, those that the engine takes for outputs included. While it is out they
     * are charged to what the first work's arena is charged to: a client that does not read its
     * part of the answer keeps all of it. */
    size_t memory_max;
    size_t keep_max;   /* bytes an idle batch may hold on to */
    uint32_t idle_max; /* batches kept for the next time */
};

struct tern_batch {
    struct tern_engine_run run; /* after gather: what the engine gets */
    uint64_t rows;              /* of all works */
    uint64_t run_rows;          /* of the run: with those that fill it up to an allowed size */
    uint32_t n_works;
    /* run.cancelled of several works: set when none of them is wanted any more. */
    atomic_bool cancelled;

    /* The batch's own. */
    struct tern_batch_member *members; /* arena */
    bool is_joined;                    /* inputs and outputs are not those of the one work */
    struct tern_arena arena;
    size_t charged;   /* to arena.till, for the arena's first chunk */
    atomic_uint refs; /* works whose arena still shows into this batch's */
    struct tern_batch_pool *pool;
    struct tern_batch *next_idle;
};

enum tern_code tern_batch_pool_new(const struct tern_batch_settings *settings,
                                   struct tern_batch_pool **ret_pool, struct tern_err *err);
/* Nothing is taken from it any more. Batches that are out still come back; the last one ends it. */
void tern_batch_pool_close(struct tern_batch_pool *pool);

/* An empty batch, which scatter or give_back ends. One thread at a time, while others may give
 * back: the lane's lock. */
enum tern_code tern_batch_take(struct tern_batch_pool *pool, struct tern_batch **ret_batch,
                               struct tern_err *err);
/* A batch that did not run. */
void tern_batch_give_back(struct tern_batch *batch);

/* Fills batch->run from n >= 1 works, which stay the caller's and untouched until scatter. The
 * inputs of several start at multiples of 64 bytes. On failure the batch is empty again: it can be
 * filled from fewer works, and each work can run alone. RESOURCE_EXHAUSTED: no memory.
 * INVALID_ARGUMENT: a work among several has no rows, or more than an input made from the batch can
 * say. INTERNAL: the works do not go together. */
enum tern_code tern_batch_gather(struct tern_batch *batch, struct tern_work *const *works,
                                 uint32_t n, struct tern_err *err);

/* After the run, which ended with `code` (and with a text in err unless that is OK): every work
 * gets its code, and its outputs (dtype, shape, data, n_bytes) or a text of its own. An output that
 * is not as many rows as went in fails all works as INTERNAL (where inputs are ragged it may have
 * more: the others are nobody's). The batch is no longer the caller's;
 * the works' arenas must not be used by another thread meanwhile. */
void tern_batch_scatter(struct tern_batch *batch, enum tern_code code, const struct tern_err *err);

#endif
