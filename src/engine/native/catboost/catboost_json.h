/* CatBoost's JSON in the making of a model: what its head and its trees share. */
#ifndef TERN_ENGINE_NATIVE_CATBOOST_JSON_H
#define TERN_ENGINE_NATIVE_CATBOOST_JSON_H

#include "engine/native/catboost/catboost_int.h"
#include "wire/document.h"

/* A node of a tree whose object is not closed yet. */
struct tern_catboost_frame {
    uint32_t seen;
    uint32_t node;
    uint32_t bin;
    uint32_t left, right;
    double weight;
    bool is_right; /* of its parent's */
};

struct tern_catboost_document {
    struct tern_catboost model;
    struct tern_document json;
    struct tern_document trees;      /* where they stand */
    struct tern_document categories; /* where they stand */
    bool has_categories;
    bool symmetric;
    uint32_t seen;
    struct tern_str params, classes;               /* parts of the text */
    struct tern_document_numbers numbers, weights; /* owned */
    uint32_t *splits;                              /* owned: of a symmetric tree */
    size_t splits_cap;
    struct tern_catboost_frame *frames; /* owned */
    size_t n_frames, frames_cap;
    double *values; /* owned: of the leaves of a tree */
    size_t n_values, values_cap;
    uint32_t n_leaves;
};

enum tern_code tern_catboost_number(struct tern_catboost_document *doc, double *ret,
                                    struct tern_err *err);
/* The head was read: begins the forest and adds its trees. */
enum tern_code tern_catboost_read_trees(struct tern_catboost_document *doc, struct tern_err *err);

#endif
