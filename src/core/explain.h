/* Explanations: how much each feature of a row moved the model's answer away from what it answers
 * on average. What is asked for, and what the answer is, free of any protocol.
 *
 * A feature is one element of one input: all elements of a row are counted in the order of the
 * model's inputs, each row-major. Values are additive (Shapley values; Lundberg, Lee 2017): base +
 * the sum of a row's values is the prediction, but for `additivity`, which says how far it is. */
#ifndef TERN_CORE_EXPLAIN_H
#define TERN_CORE_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include "core/tensor.h"

/* X(NAME, name that clients give) */
#define TERN_EXPLAIN_METHODS(X)                                                                    \
    X(AUTO, "auto")                               /* the first that the model has, else KERNEL */  \
    X(TREE, "tree")                               /* TreeSHAP over the paths of training data */   \
    X(TREE_INTERVENTIONAL, "tree_interventional") /* TreeSHAP against a background */              \
    X(LINEAR, "linear")                           /* weight * (value - mean of the background) */  \
    X(KERNEL, "kernel")                           /* KernelSHAP: any model */                      \
    X(PERMUTATION, "permutation")                 /* along random orders of features: any model */ \
    X(IMPORTANCE, "importance") /* of a feature over all rows, by shuffling it: any model */       \
    X(INTEGRATED_GRADIENTS, "integrated_gradients")

enum tern_explain_method {
#define X(name, text) TERN_EXPLAIN_##name,
    TERN_EXPLAIN_METHODS(X)
#undef X
        TERN_EXPLAIN_METHOD_COUNT
};

/* Sets of methods. */
#define TERN_EXPLAIN_BIT(method) (1u << (method))

/* Rows to compare with. */
enum tern_explain_background {
    TERN_EXPLAIN_BACKGROUND_MODEL, /* the file that the model brings; none: NOT there */
    TERN_EXPLAIN_BACKGROUND_GIVEN,
    TERN_EXPLAIN_BACKGROUND_ZEROS, /* a single row of zeros */
};

/* What a client asks beside the rows, which are the request's inputs. All zero: the usual. */
struct tern_explain_request {
    enum tern_explain_method method;
    enum tern_explain_background background;
    /* GIVEN: tensors as the inputs are, of as many rows as the client likes. */
    struct tern_tensor *rows;
    uint32_t n_rows;
    bool interactions; /* TREE */
    uint64_t nsamples; /* KERNEL: coalitions; PERMUTATION, IMPORTANCE: orders; 0: decided */
    uint64_t seed;     /* of what is drawn: the same seed, the same answer */
};

/* Row-major arrays of double; they live in the arena of the request. */
struct tern_explain_answer {
    enum tern_explain_method method; /* never AUTO */
    bool is_margin;                  /* the raw scores are explained, before a link function */
    uint32_t n, n_outputs, n_features;
    double *values;            /* n x n_outputs x n_features; IMPORTANCE: one row */
    double *interactions;      /* n x n_outputs x n_features x n_features, or NULL */
    double *base;              /* n_outputs */
    double *predictions;       /* n x n_outputs */
    double *additivity;        /* n: the largest |prediction - base - sum of values| of the row */
    double *deviations;        /* IMPORTANCE: as values, over the orders; else NULL */
    struct tern_str *features; /* what they are called: n_features */
    struct tern_str *outputs;  /* n_outputs */
    struct tern_str *labels;   /* n_outputs: the classes that they are of; NULL: not known */
    uint64_t evaluations;      /* rows that the model was asked for */
};

const char *tern_explain_method_name(enum tern_explain_method method);
/* False: no such name. */
bool tern_explain_method_find(struct tern_str name, enum tern_explain_method *ret);

#endif
