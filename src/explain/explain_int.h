/* What the files of a job share: explain.c makes it and goes on with it, ask.c asks the model about
 * rows, and sets.c, exact.c and importance.c are the methods. */
#ifndef TERN_EXPLAIN_EXPLAIN_INT_H
#define TERN_EXPLAIN_EXPLAIN_INT_H

#include "explain/explain.h"
#include "explain/grid.h"
#include "explain/plan.h"
#include "explain/squares.h"

/* What a method does next, in this order; those that it does not need are passed over. */
enum explain_stage {
    STAGE_BEGIN,
    STAGE_PREDICT, /* what the model says of the rows */
    STAGE_BASE,    /* and of the background */
    STAGE_SETS,    /* of a row's coalitions: one row after the other */
    STAGE_SHUFFLE, /* of rows in which a feature was shuffled */
    STAGE_EXACT,   /* the engine's own */
    STAGE_DONE,
};

/* A row to be asked about: `row` of `under` with some features from `over`. */
struct explain_ask {
    const struct tern_grid *under, *over;
    uint32_t row, over_row;
    const uint32_t *features;
    uint32_t n_features;
};

struct tern_explain {
    struct tern_explain_task task;
    enum tern_explain_method method;
    struct tern_arena *arena;  /* of the answer and what the job keeps */
    struct tern_arena scratch; /* of one run */
    struct tern_arena plan_arena;
    struct tern_grid x, background;
    bool has_background;
    uint32_t *output_spec; /* the outputs that are explained */
    uint32_t n_output_spec;
    struct tern_explain_answer answer; /* n_outputs is known from the first run on */

    enum explain_stage stage;
    uint64_t at, n; /* rows asked about in this stage, and how many there are */
    struct tern_mix mix;
    uint32_t run_rows; /* how many are asked about at once */
    double *scores;    /* scratch: of the run */

    /* STAGE_SETS */
    uint32_t row;      /* that is being explained */
    uint32_t *varying; /* its features that differ from the background anywhere */
    uint32_t n_varying;
    struct tern_plan plan; /* for so many; m == 0: none yet */
    struct tern_squares squares;
    double *lifts; /* plan.n x n_outputs: sums over the background */
    uint32_t *absent, n_absent;
    uint64_t absent_of; /* which set that is, + 1 */

    /* STAGE_SHUFFLE */
    uint32_t *shuffled;   /* the order of rows for the feature and repeat ... */
    uint64_t shuffled_of; /* ... + 1 */
    uint32_t shuffled_feature;
    double *changes; /* n_outputs, of this shuffle */

    /* STAGE_EXACT */
    struct tern_tensor *background_rows;
};

/* ask.c. The model's outputs that are explained, to output_spec. */
enum tern_code explain_choose_outputs(struct tern_explain *job, struct tern_err *err);
/* Asks about the rows [at, at + some) of the stage, and hands each answer (n_outputs numbers) to
 * `take`. */
enum tern_code
explain_ask(struct tern_explain *job, const struct tern_explain_model *model,
            void (*describe)(struct tern_explain *job, uint64_t at, struct explain_ask *ret),
            void (*take)(struct tern_explain *job, uint64_t at, const double *scores),
            const atomic_bool *cancelled, struct tern_err *err);

/* sets.c: KERNEL, PERMUTATION */
enum tern_code explain_begin_row(struct tern_explain *job, struct tern_err *err);
void explain_describe_set(struct tern_explain *job, uint64_t at, struct explain_ask *ret);
void explain_take_set(struct tern_explain *job, uint64_t at, const double *scores);
/* All of a row's sets were asked about: a part of the rest. *ret_done: the row is explained. */
enum tern_code explain_end_row(struct tern_explain *job, bool *ret_done, struct tern_err *err);
/* How many rows the model will be asked about for one explained row. */
uint64_t explain_sets_cost(const struct tern_explain *job);

/* importance.c */
uint64_t explain_importance_cost(const struct tern_explain *job);
enum tern_code explain_begin_importance(struct tern_explain *job, struct tern_err *err);
void explain_describe_shuffle(struct tern_explain *job, uint64_t at, struct explain_ask *ret);
void explain_take_shuffle(struct tern_explain *job, uint64_t at, const double *scores);
void explain_end_importance(struct tern_explain *job);

/* exact.c: TREE, TREE_INTERVENTIONAL, LINEAR */
enum tern_code explain_begin_exact(struct tern_explain *job, struct tern_err *err);
/* Some rows more. */
enum tern_code explain_exact(struct tern_explain *job, const struct tern_explain_model *model,
                             const atomic_bool *cancelled, struct tern_err *err);

/* Names score `place` of the answer, which is element `at` of n of an output: after its class, as
 * in "probabilities[setosa]", else "probabilities[1]", or as the output where it is the only one.
 * labels: of the output; NULL: none. */
enum tern_code explain_name_score(struct tern_explain *job, struct tern_str output,
                                  const struct tern_labels *labels, size_t at, size_t n,
                                  uint32_t place, struct tern_err *err);

/* explain.c. Zeroed memory for `count` numbers that the job keeps. */
enum tern_code explain_numbers(struct tern_explain *job, double **ret, size_t a, size_t b, size_t c,
                               struct tern_err *err);

#endif
