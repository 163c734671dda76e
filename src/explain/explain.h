/* Explanations of any model, by asking it about rows that never came (grid, plan, squares), or by
 * asking its engine where that knows exactly. A job is made on a loop, which checks what was asked;
 * then it goes on in steps of bounded time on any thread, one at a time, so that predictions get
 * their turn in between.
 *
 * Knows no scheduler and no protocol: the model is two functions. */
#ifndef TERN_EXPLAIN_EXPLAIN_H
#define TERN_EXPLAIN_EXPLAIN_H

#include <stdatomic.h>
#include "core/engine.h"
#include "core/explain.h"
#include "core/model.h"
#include "core/request.h"

struct tern_explain;

/* All of one request, but what says otherwise. */
struct tern_explain_limits {
    uint64_t rows;        /* to explain */
    uint64_t background;  /* rows */
    uint64_t features;    /* of a row */
    uint64_t evaluations; /* rows that the model is asked about */
    size_t memory;        /* bytes at a time, without those of the answer */
};

struct tern_explain_task {
    const struct tern_model_info *info;
    const struct tern_engine_explains *explains; /* NULL: the engine knows nothing exactly */
    /* The rows, matched and checked (core/inputs.h). */
    const struct tern_tensor *inputs;
    const uint32_t *input_spec;
    uint32_t n_inputs;
    /* Those of the model's outputs to explain; none: the first of floats, else of numbers. Not for
     * methods that explain raw scores. */
    const struct tern_requested_output *outputs;
    uint32_t n_outputs;
    uint32_t rows_max;                          /* of one run; 1: rows run alone */
    const struct tern_explain_request *request; /* a given background is checked here */
    const char *background_path;                /* the model's own file; NULL: it brings none */
    const struct tern_params *params;           /* of runs; may be NULL */
    struct tern_explain_limits limits;
};

/* How the model is asked in one step. */
struct tern_explain_model {
    /* As an engine's infer, with specs and shapes as clients know them. */
    enum tern_code (*infer)(void *arg, const struct tern_engine_run *run, struct tern_err *err);
    /* As an engine's explain; NULL: task->explains is NULL. */
    enum tern_code (*explain)(void *arg, const struct tern_engine_explain *run,
                              struct tern_err *err);
    void *arg;
};

/* Borrows the task's texts and tensors. What it keeps lies in the arena or is tied to it by
 * tern_arena_on_reset. INVALID_ARGUMENT, RESOURCE_EXHAUSTED (a limit: which), UNIMPLEMENTED (this
 * model, or any, has no such method), FAILED_PRECONDITION (there is no background). */
enum tern_code tern_explain_new(const struct tern_explain_task *task, struct tern_arena *arena,
                                struct tern_explain **ret_job, struct tern_err *err);
/* Goes on until it is done, or the clock (base/clock.h) says until_ns: at least one run. CANCELLED
 * once *cancelled. After an error it must not be called again. */
enum tern_code tern_explain_step(struct tern_explain *job, const struct tern_explain_model *model,
                                 uint64_t until_ns, const atomic_bool *cancelled, bool *ret_done,
                                 struct tern_err *err);
/* When it is done: in the arena given to new. */
const struct tern_explain_answer *tern_explain_answer(const struct tern_explain *job);

#endif
