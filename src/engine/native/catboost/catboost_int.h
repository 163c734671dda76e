/* What the JSON and the binary form of a CatBoost model share. */
#ifndef TERN_ENGINE_NATIVE_CATBOOST_INT_H
#define TERN_ENGINE_NATIVE_CATBOOST_INT_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/native/format.h"
#include "forest/builder.h"

/* A symmetric tree asks this many questions at most: it becomes one of 2^depth leaves. */
#define TERN_CATBOOST_DEPTH_MAX   12
#define TERN_CATBOOST_COLUMNS_MAX (1u << 20)
#define TERN_CATBOOST_VALUES_MAX  (1u << 16)        /* of a feature of categories */
#define TERN_CATBOOST_PARTS_MAX   ((size_t)1 << 29) /* of any array here */

/* A feature that is a number. */
struct tern_catboost_feature {
    uint32_t index;  /* as splits name it */
    uint32_t column; /* of the rows */
    bool nan_is_largest;
};

/* A column of categories that trees ask about one by one ("one-hot"). */
struct tern_catboost_category {
    uint32_t index; /* as splits name it */
    uint32_t column;
    uint32_t n_values;
};

/* x > border, or whether a category is this one: the right side. All of a model are numbered:
 * borders, feature after feature, then categories. */
struct tern_catboost_bin {
    bool is_category;
    uint32_t feature; /* place in the list of features, or of categories */
    float border;     /* of a category: its number among those asked for, from 0 */
    uint32_t hash;    /* of the category's text */
};

/* What becomes of the sums. */
enum tern_catboost_answer {
    TERN_CATBOOST_RAW,
    TERN_CATBOOST_EXPONENT,
    TERN_CATBOOST_SIGMOID,
    TERN_CATBOOST_SOFTMAX,
    TERN_CATBOOST_VARIANCE, /* the second of two outputs is the logarithm of a deviation */
};

struct tern_catboost {
    const struct tern_native_source *source;
    struct tern_program *program;
    struct tern_catboost_feature *features; /* owned */
    size_t n_features, features_cap;
    struct tern_catboost_category *categories; /* owned */
    size_t n_categories, categories_cap;
    struct tern_catboost_bin *bins; /* owned */
    size_t n_bins, bins_cap;
    uint32_t n_columns;
    struct tern_str *names; /* owned: one a column; the texts are the file's */
    size_t names_cap;
    bool has_names;
    struct tern_str *classes; /* owned: what they are called; the texts are the file's, or the
                                 arena's */
    size_t n_classes, classes_cap;
    enum tern_catboost_answer answer;
    uint32_t n_outputs; /* CatBoost's dimension; set before begin */
    double scale;
    double *bias; /* owned: n_bias, which is 0, 1 or n_outputs */
    size_t n_bias, bias_cap;
    struct tern_forest_builder *builder; /* owned */
    uint32_t n_trees;
    /* The tree in the making: children come after their parents. */
    struct tern_forest_node *nodes; /* owned */
    size_t n_nodes, nodes_cap;
};

void tern_catboost_init(struct tern_catboost *model, const struct tern_native_source *source,
                        struct tern_program *program);
void tern_catboost_fini(struct tern_catboost *model);

/* A column that is there, whatever it holds. name may be empty. */
enum tern_code tern_catboost_column(struct tern_catboost *model, int64_t column,
                                    struct tern_str name, struct tern_err *err);
/* A feature that is a number; its borders follow. */
enum tern_code tern_catboost_add_feature(struct tern_catboost *model, int64_t index, int64_t column,
                                         bool nan_is_largest, struct tern_str name,
                                         struct tern_err *err);
enum tern_code tern_catboost_add_border(struct tern_catboost *model, double border,
                                        struct tern_err *err);
enum tern_code tern_catboost_add_category(struct tern_catboost *model, int64_t index,
                                          int64_t column, struct tern_str name,
                                          struct tern_err *err);
/* A value of a category that was added, after all borders. */
enum tern_code tern_catboost_add_value(struct tern_catboost *model, int64_t index, int64_t hash,
                                       struct tern_err *err);
/* loss: "Logloss"; empty: not known. */
enum tern_code tern_catboost_set_loss(struct tern_catboost *model, struct tern_str loss,
                                      struct tern_err *err);
enum tern_code tern_catboost_add_bias(struct tern_catboost *model, double bias,
                                      struct tern_err *err);
/* "params" and "class_params" (what the classes are called), which are JSON in both forms. */
enum tern_code tern_catboost_read_params(struct tern_catboost *model, struct tern_str text,
                                         struct tern_err *err);
enum tern_code tern_catboost_read_classes(struct tern_catboost *model, struct tern_str text,
                                          struct tern_err *err);

/* Everything but the trees is known: begins the forest. */
enum tern_code tern_catboost_begin(struct tern_catboost *model, struct tern_err *err);
/* A symmetric tree of n_splits questions, each the number of a bin. Bit i of a leaf's number is the
 * answer to question i; values: 2^n_splits rows of n_outputs; weights: one a leaf, or NULL. */
enum tern_code tern_catboost_add_symmetric(struct tern_catboost *model, const uint32_t *splits,
                                           uint32_t n_splits, const double *values,
                                           const double *weights, struct tern_err *err);
/* A new node of the tree in the making, which is a leaf until it is something else. */
enum tern_code tern_catboost_add_node(struct tern_catboost *model, uint32_t *ret,
                                      struct tern_err *err);
/* Makes of a node a question. */
enum tern_code tern_catboost_ask(struct tern_catboost *model, uint32_t node, uint32_t bin,
                                 uint32_t left, uint32_t right, struct tern_err *err);
/* The nodes are a tree with these values, whose leaves know their weights: adds it. */
enum tern_code tern_catboost_add_tree(struct tern_catboost *model, const double *values,
                                      uint32_t n_leaves, struct tern_err *err);
enum tern_code tern_catboost_end(struct tern_catboost *model, struct tern_err *err);

/* ---- operators (catboost_ops.c) ---- */

/* [n, columns] FP32 to the same: in columns of categories that trees ask about, a whole number
 * becomes the number of its value among those asked for, anything else -1. */
enum tern_code tern_catboost_op_categories(const struct tern_catboost *model, uint32_t *value,
                                           struct tern_err *err);
/* [n, 2] FP64 to the same: the second becomes e^(2 x). */
enum tern_code tern_catboost_op_variance(struct tern_program *program, uint32_t *value,
                                         struct tern_err *err);

#endif
