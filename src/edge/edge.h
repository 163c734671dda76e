/* A model outside of the server: constants that `tern build-edge` wrote, and what runs them. These
 * sources are no part of the server. They are packed into it (mk/more/edge.mk), and compiled
 * together with the engine's own evaluation by whoever has a compiler for the target.
 *
 * Nothing is allocated, read or opened: a run lives in the working memory that it is given. */
#ifndef TERN_EDGE_EDGE_H
#define TERN_EDGE_EDGE_H

#include "engine/native/program.h"

/* Eight bytes of a state (engine/native/state.h). */
union tern_edge_word {
    uint64_t bits;
    const void *at;
};

/* FP32, FP64, INT32, INT64, or BYTES: texts, which are pointers to them where they come in, and
 * `text_bytes` with an end each where they go out. */
struct tern_edge_port {
    enum tern_dtype dtype;
    uint32_t n;              /* elements a row */
    struct tern_shape shape; /* of a row, which is dim[0] */
};

struct tern_edge_model {
    const struct tern_program *program; /* one output */
    const struct tern_edge_port *inputs;
    uint32_t n_inputs;
    struct tern_edge_port output;
    uint32_t n_columns;               /* elements of a row of all inputs */
    uint32_t text_bytes;              /* with the end; 0: neither inputs nor the output are texts */
    uint32_t rows;                    /* that are run at once */
    size_t working_bytes;             /* what that takes */
    void *working;                    /* so many bytes; for one thread */
    const char *const *feature_names; /* n_columns, or NULL */
    const char *name;
    int64_t version;
};

/* The model's own source defines it. */
extern const struct tern_edge_model tern_edge_model;

/* n rows through the model: one array an input; out: n rows of the output. working: working_bytes,
 * aligned to 64, or NULL: the model's. 0, or -1. */
int tern_edge_run(const struct tern_edge_model *model, const void *const *inputs, size_t n,
                  void *out, void *working);
/* NULL: not known, or no such feature. */
const char *tern_edge_feature_name(const struct tern_edge_model *model, size_t feature);

#endif
