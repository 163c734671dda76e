/* The engine seam: what executes a model. An engine knows nothing of requests, protocols or queues.
 *
 * Life: probe (cheap, may look at the first bytes) -> load (slow, off the event loops, may use
 * threads) -> instance_new once for each thread that will run it -> infer many times ->
 * instance_free
 * -> unload. One instance runs one batch at a time; different instances of a model run in parallel.
 *
 * Registered in one array, src/engine/engines.c. */
#ifndef TERN_CORE_ENGINE_H
#define TERN_CORE_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "core/explain.h"
#include "core/model.h"
#include "core/request.h"
#include "core/tensor.h"

struct tern_problems;

/* One option of a model for its engine, as text ("intra_op_thread_count" = "2"): from config.pbtxt
 * `parameters`, from the options, or from an accelerator block. */
struct tern_engine_option {
    struct tern_str key;
    struct tern_str value;
};

struct tern_engine_load {
    struct tern_str name;  /* of the model, for messages */
    const char *path;      /* model file or folder; borrowed during load */
    struct tern_str bytes; /* the file's content when it was read already; p == NULL otherwise */
    const struct tern_engine_option *options;
    uint32_t n_options;
    uint32_t threads; /* threads one run may use; 1: none but the caller's */
    bool decoupled;   /* runs will come with a sink */
    /* As the model's configuration describes them, for engines whose models are nothing else: with
     * the batch dimension as -1 in front when there is one. */
    const struct tern_tensor_spec *inputs;
    uint32_t n_inputs;
    const struct tern_tensor_spec *outputs;
    uint32_t n_outputs;
};

/* What a model can attribute exactly (core/explain.h). What is explained is its raw score for each
 * output, before any link function, as the shap package does: the sum of trees, or of weights. */
struct tern_engine_explains {
    unsigned methods;    /* TERN_EXPLAIN_BIT of TREE, TREE_INTERVENTIONAL, LINEAR; 0: none */
    bool interactions;   /* TREE can tell them */
    uint32_t n_features; /* elements of all inputs of one row */
    uint32_t n_outputs;  /* scores of one row */
};

/* Filled by load; strings and arrays live in the arena given to load. */
struct tern_engine_model {
    const struct tern_engine_ops *ops;
    struct tern_tensor_spec *inputs;
    uint32_t n_inputs;
    struct tern_tensor_spec *outputs;
    uint32_t n_outputs;
    const char *platform;                        /* "onnxruntime_onnx"; static */
    const char *backend;                         /* "onnxruntime"; static */
    void *state;                                 /* the engine's own; freed by unload */
    const struct tern_engine_explains *explains; /* NULL: nothing exactly */
    /* What the features of a row are called, as the file says: explains->n_features, or as many as
     * the inputs have elements; NULL: it does not. */
    const struct tern_str *feature_names;
    uint32_t n_feature_names;
};

/* One run. inputs: every required input of the model, checked against its specification, in any
 * order, `spec` saying which. outputs: the wanted ones; the engine fills dtype, shape, data and
 * n_bytes. Output memory comes from the arena, or is the engine's and tied to the arena by
 * tern_arena_on_reset; it stays valid until the arena is reset, on whatever thread that happens.
 * Inputs need no alignment beyond 1: the engine copies when it must. */
struct tern_engine_again;
struct tern_engine_run {
    const struct tern_params *params; /* of the request; may be NULL */
    const struct tern_tensor *inputs;
    const uint32_t *input_spec; /* index into model->inputs, one an input */
    uint32_t n_inputs;
    struct tern_tensor *outputs;
    const uint32_t *output_spec; /* index into model->outputs, one an output */
    uint32_t n_outputs;
    struct tern_arena *arena;
    /* (decoupled models; others do not look) Where answers go, as many as the model wants;
     * `outputs` then only says which tensors are wanted, and may be filled again for each answer.
     */
    struct tern_engine_sink *sink;
    /* (models whose requests run again and again) One a row; NULL: nothing is run again. */
    struct tern_engine_again *again;
    /* Set before ops->cancel is called for this run; NULL: it is never cancelled. What cancel left
     * at the instance may be an older run's: this is not. */
    const atomic_bool *cancelled;
};

/* Exact attributions of some rows. Features are counted over all elements of the inputs of a row,
 * in the order of model->inputs, each row-major. Rows are tensors as in a run, one for each of
 * model->inputs in that order; only the order of their elements counts, not their shapes. Other
 * arrays are row-major; the engine fills those that are not NULL whole. `base` is what the raw
 * score is on average: over the training data that went through the trees (TREE), or over the
 * background.
 */
struct tern_engine_explain {
    enum tern_explain_method method; /* one of model->explains->methods */
    const struct tern_tensor *rows;
    size_t n_rows;
    const struct tern_tensor *background; /* TREE_INTERVENTIONAL, LINEAR: the same */
    size_t n_background;
    double *values;       /* n_rows x n_outputs x n_features */
    double *interactions; /* TREE: n_rows x n_outputs x n_features x n_features, or NULL */
    double *base;         /* n_outputs */
    double *raw;          /* n_rows x n_outputs: the raw scores, which values + base add up to */
    struct tern_arena *arena;     /* working memory */
    const atomic_bool *cancelled; /* looked at now and then; NULL: never set */
};

/* A row that is run until its engine has enough of it (Triton's iterative sequences): each run is
 * given the same inputs, and the states that the one before gave. Only the last one's outputs are
 * the answer. */
struct tern_engine_again {
    uint32_t n;  /* how often it ran before */
    bool wanted; /* filled: once more, please */
};

/* Takes the answers of one run of a decoupled model. */
struct tern_engine_sink {
    /* From the thread of the run: one answer. The outputs are copied before the call returns; it
     * may wait while the client reads slowly. CANCELLED: nobody listens any more, stop. */
    enum tern_code (*emit)(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                           uint32_t n_outputs, struct tern_err *err);
    /* Not for engines. From any thread: nobody listens any more, an emit that waits ends. */
    void (*stop)(struct tern_engine_sink *self);
    /* Not for engines. On the loop of the request: an answer, as emit, that never waits. ABORTED:
     * there is no room now, and on_room comes on the loop when there is. NULL: not taken. */
    enum tern_code (*offer)(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                            uint32_t n_outputs, struct tern_err *err);
    /* Set by who offers, until the end of the run; may come from within offer. */
    void (*on_room)(struct tern_engine_sink *self);
    void *asker;
};

#define TERN_PROBE_NAMED 1 /* what probe says of a file that is its own only by configuration */

struct tern_engine_ops {
    const char *name; /* "onnxruntime" */
    /* (optional) Other servers' names of it: what a configuration may call its backend, too
     * ("fil"). NULL-terminated. */
    const char *const *also;
    /* A model is its configuration, which names this engine as its backend: there is no file, and
     * path is NULL in load. */
    bool fileless;
    /* Its models take documents instead of tensors and are never run: the gateway walks them. */
    bool documents;
    bool decouples; /* models that answer any number of times are served: see run->sink */
    /* Runs look at the request's parameters: requests whose parameters differ never share a run. */
    bool reads_params;
    /* Whether this engine can run here at all (its library is there). The text says how to get it.
     */
    enum tern_code (*available)(struct tern_err *err);
    /* The file names it looks for in a version folder, most specific first; NULL-terminated. */
    const char *const *file_names;
    /* 0: not mine; higher is better; TERN_PROBE_NAMED: mine when a configuration says so. `head`
     * holds the first bytes of the file. An engine whose load says UNIMPLEMENTED or
     * INVALID_ARGUMENT of a file leaves it to the next best. */
    int (*probe)(const char *file_name, struct tern_str head);
    /* (optional) Everything that load would find wrong in the file, in the list; not only the first
     * mistake. */
    void (*check)(const char *path, struct tern_arena *arena, struct tern_problems *problems);
    enum tern_code (*load)(const struct tern_engine_load *spec, struct tern_arena *arena,
                           struct tern_engine_model *ret_model, struct tern_err *err);
    void (*unload)(struct tern_engine_model *model);
    enum tern_code (*instance_new)(const struct tern_engine_model *model, void **ret_instance,
                                   struct tern_err *err);
    void (*instance_free)(const struct tern_engine_model *model, void *instance);
    enum tern_code (*infer)(const struct tern_engine_model *model, void *instance,
                            const struct tern_engine_run *run, struct tern_err *err);
    /* (optional) Of models with `explains`: exact attributions. Any thread, beside runs: it uses
     * nothing that an instance has to itself. CANCELLED when run->cancelled is set meanwhile. */
    enum tern_code (*explain)(const struct tern_engine_model *model,
                              const struct tern_engine_explain *run, struct tern_err *err);
    /* (optional) asks a run in progress on this instance to stop soon; from any thread. */
    void (*cancel)(const struct tern_engine_model *model, void *instance);
    /* (optional) frees what the engine holds for the process; no model is loaded then. */
    void (*close)(void);
};

#endif
