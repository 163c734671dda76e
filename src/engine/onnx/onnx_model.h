/* A loaded ONNX model: its sessions, and what its inputs and outputs look like to us. */
#ifndef TERN_ENGINE_ONNX_ONNX_MODEL_H
#define TERN_ENGINE_ONNX_ONNX_MODEL_H

#include <pthread.h>
#include <stdatomic.h>
#include "core/engine.h"
#include "engine/onnx/onnx_options.h"
#include "engine/onnx/ort.h"

#define TERN_ONNX_PORTS_MAX 1024 /* inputs, and outputs */
/* Initializers that a request may override are offered as optional inputs when there are this few;
 * a model with more was exported with its weights among the inputs. */
#define TERN_ONNX_OPTIONAL_MAX 8
/* A model with a larger file, or with weights elsewhere, has one session for all its instances:
 * each session keeps its own copy of the weights. */
#define TERN_ONNX_OWN_SESSION_MAX (32u << 20)

/* Where a dimension of an output comes from. */
struct tern_onnx_dim {
    int16_t input; /* -1: fixed, in the shape, or known only after the run */
    int16_t index;
};

/* One input or output. */
struct tern_onnx_port {
    const char *name; /* arena */
    int element;
    enum tern_dtype dtype;
    struct tern_shape shape;                  /* -1: not fixed */
    const char *symbols[TERN_RANK_MAX];       /* arena: "batch"; "" when it has none */
    struct tern_onnx_dim from[TERN_RANK_MAX]; /* outputs */
    /* Outputs: whether the shape follows from the inputs' shapes. Cleared for ever by the first run
     * that shows otherwise: a declaration is a claim. */
    atomic_bool is_predictable;
};

struct tern_onnx_model {
    const struct tern_ort *ort;
    struct tern_onnx_port *inputs; /* arena; the required ones first */
    uint32_t n_inputs;
    uint32_t n_required;
    struct tern_onnx_port *outputs; /* arena */
    uint32_t n_outputs;
    struct ort_session_options *session_options; /* owned */
    bool is_shared;                              /* one session for all instances */
    pthread_mutex_t lock;                        /* over spare */
    struct ort_session *spare; /* owned: the shared one, or the one that load made for its checks
                                  until the first instance takes it */
    struct tern_str bytes;     /* owned: the model file, for the sessions to come; else empty */
    const char *shrinkage;     /* arena or static; NULL: none */
    bool has_device;           /* tensors may move between kinds of memory */
};

/* Checks the file, creates a session, looks at its inputs and outputs. Strings and ports go to the
 * arena, which must outlive the model. */
enum tern_code tern_onnx_model_new(const struct tern_engine_load *spec, struct tern_arena *arena,
                                   struct tern_onnx_model **ret_model, struct tern_err *err);
void tern_onnx_model_free(struct tern_onnx_model *model);

/* A session for one instance: the shared one, or its own. */
enum tern_code tern_onnx_model_take_session(struct tern_onnx_model *model,
                                            struct ort_session **ret_session, struct tern_err *err);
void tern_onnx_model_drop_session(struct tern_onnx_model *model, struct ort_session *session);

#endif
