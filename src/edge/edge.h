/* A model outside of the server: constants that `tern build-edge` wrote, and what runs them. These
 * sources are no part of the server. They are packed into it (mk/more/edge.mk), and compiled
 * together with the engine's own evaluation by whoever has a compiler for the target.
 *
 * Nothing is allocated, read or opened: a run lives in the working memory that it is given. */
#ifndef TERN_EDGE_EDGE_H
#define TERN_EDGE_EDGE_H

#include "engine/native/program.h"

struct tern_edge_model {
    const struct tern_program *program; /* one input of rows, one output */
    enum tern_dtype in, out;
    uint32_t n_features, n_outputs;   /* elements of a row, and of its answer */
    uint32_t rows;                    /* that are run at once */
    size_t working_bytes;             /* what that takes */
    void *working;                    /* so many bytes; for one thread */
    const char *const *feature_names; /* n_features, or NULL */
    const char *name;
    int64_t version;
};

/* The model's own source defines it. */
extern const struct tern_edge_model tern_edge_model;

/* n rows of n_features through the model; out: n rows of n_outputs. working: working_bytes, aligned
 * to 64, or NULL: the model's. 0, or -1. */
int tern_edge_run(const struct tern_edge_model *model, const void *rows, size_t n, void *out,
                  void *working);
/* NULL: not known, or no such feature. */
const char *tern_edge_feature_name(const struct tern_edge_model *model, size_t feature);

#endif
