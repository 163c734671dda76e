/* An ensemble's steps, tied to the models that are served with it in one snapshot: which version
 * each step runs, and which of that version's inputs and outputs are meant.
 *
 * A binding is one block of memory without pointers into itself, so that a request copies it and
 * goes on with the models it began with, whatever is published meanwhile. Behind the ensemble's own
 * part stand those of its steps that are ensembles too, and so on, each where its step says. */
#ifndef TERN_REGISTRY_BINDING_H
#define TERN_REGISTRY_BINDING_H

#include "base/arena.h"
#include "base/err.h"
#include "registry/snapshot.h"

#define TERN_BINDING_DEPTH_MAX 8u           /* ensembles in ensembles */
#define TERN_BINDING_SIZE_MAX  (64u * 1024) /* bytes, copied for each request */

struct tern_bound_step {
    struct tern_model_version *version;
    uint32_t specs;    /* bytes from the binding's start: index among the version's inputs of each
                          that the step maps, then the same of its outputs */
    uint32_t ensemble; /* the same: the step's own binding; 0: it is no ensemble */
    uint32_t scope;    /* how many decoupled steps are before it, one behind another */
    bool decoupled;    /* it answers any number of times */
};

struct tern_binding {
    uint32_t n_bytes;     /* of this part: steps and what they point to but for inner ensembles */
    uint32_t n_bytes_all; /* with those */
    uint32_t depth;       /* 1: no step is an ensemble */
    uint32_t n_steps;
    uint64_t id;    /* of these very versions of its steps */
    bool stateful;  /* a step takes sequences of requests: it answers the same twice in two ways */
    bool decoupled; /* a step is: what is behind that runs once for each of its answers */
    struct tern_bound_step steps[];
};

TERN_INLINE const uint32_t *tern_bound_inputs(const struct tern_binding *binding, uint32_t step)
{
    return (const uint32_t *)(const void *)((const char *)binding + binding->steps[step].specs);
}

/* NULL: the step is no ensemble. */
TERN_INLINE const struct tern_binding *tern_bound_ensemble(const struct tern_binding *binding,
                                                           uint32_t step)
{
    uint32_t at = binding->steps[step].ensemble;
    return at == 0 ? NULL : (const void *)((const char *)binding + at);
}

/* The part after `at`, in any order but each once; NULL after the last. Starts with the whole. */
TERN_INLINE const struct tern_binding *tern_binding_next(const struct tern_binding *whole,
                                                         const struct tern_binding *at)
{
    const char *next = (const char *)at + at->n_bytes;
    return next < (const char *)whole + whole->n_bytes_all ? (const void *)next : NULL;
}

/* Whether a request to the version has any number of answers, as `loop` serves it now. On that
 * loop.
 */
TERN_INLINE bool tern_binding_decouples(const struct tern_model_version *version, uint32_t loop)
{
    return version->info.decoupled ||
           (version->ensembling != NULL && version->pins[loop].binding != NULL &&
            version->pins[loop].binding->decoupled);
}

enum tern_bind_found {
    TERN_BIND_FOUND,
    TERN_BIND_NO_MODEL,   /* no version of it is served */
    TERN_BIND_NO_VERSION, /* others are */
    TERN_BIND_LATER,      /* it is an ensemble that is not bound yet */
};

/* The models that there are. */
struct tern_bind_models {
    /* version 0: the latest. The binding of an ensemble, else NULL. */
    enum tern_bind_found (*find)(void *arg, struct tern_str model, int64_t version,
                                 struct tern_model_version **ret_version,
                                 const struct tern_binding **ret_binding);
    void *arg;
};

/* Ties a version that is an ensemble. ABORTED: later, one of its steps is not bound yet; else what
 * does not fit is INVALID_ARGUMENT, with names. The binding lies in the arena. */
enum tern_code tern_binding_make(const struct tern_model_version *ensemble,
                                 const struct tern_bind_models *models, struct tern_arena *arena,
                                 const struct tern_binding **ret_binding, struct tern_err *err);

/* What the classes of an output are called: the version's own labels, or for an ensemble without
 * those of the model that makes the output, as `loop` serves it now. NULL: nothing. On that loop.
 */
const struct tern_labels *tern_binding_labels(const struct tern_model_version *version,
                                              uint32_t loop, uint32_t output);

#endif
