/* What the parts of the XGBoost reader share. The format is that of `Booster.save_model` with .json
 * or .ubj (https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html); its meaning is
 * what XGBoost 3.2 predicts for the file. Two passes: the first reads everything but the trees, of
 * which it notes the place; the second reads these when outputs and weights are known. */
#ifndef TERN_ENGINE_NATIVE_XGBOOST_INT_H
#define TERN_ENGINE_NATIVE_XGBOOST_INT_H

#include "engine/native/format.h"
#include "engine/native/ops/ops.h"
#include "forest/builder.h"
#include "wire/document.h"

enum tern_xgboost_booster { TERN_XGBOOST_GBTREE, TERN_XGBOOST_DART, TERN_XGBOOST_GBLINEAR };

/* How base_score, which the file has in the space of predictions, becomes a margin. */
enum tern_xgboost_margin {
    TERN_XGBOOST_MARGIN_SAME,
    TERN_XGBOOST_MARGIN_LOGIT,
    TERN_XGBOOST_MARGIN_LOG,
};

struct tern_xgboost_objective {
    const char *name;
    enum tern_xgboost_margin margin;
    enum tern_link link;
};

/* NULL: not known. */
const struct tern_xgboost_objective *tern_xgboost_objective(struct tern_str name);

struct tern_xgboost {
    struct tern_arena *arena;
    struct tern_program *program;
    const struct tern_xgboost_objective *objective;
    enum tern_xgboost_booster booster;
    uint32_t n_features, n_outputs;
    uint32_t n_classes, n_targets;
    uint32_t n_trees;            /* as gbtree_model_param has it */
    struct tern_str base_score;  /* text: a number, or several in brackets */
    float *margins;              /* n_outputs; arena */
    uint32_t boost_from_average; /* 1: base_score was estimated, not given */
    bool has_model, has_trees, has_weights, has_names;
    bool is_boosted;                     /* gblinear: it was trained at all */
    struct tern_document trees;          /* before their array */
    struct tern_document weights;        /* gblinear: before their array */
    struct tern_document names;          /* before the array of feature_names */
    struct tern_document_numbers groups; /* tree_info, INT32: the output of each tree */
    struct tern_document_numbers rounds; /* iteration_indptr, INT32 */
    struct tern_document_numbers drops;  /* weight_drop, FP32: what each tree's leaves are times */
};

/* One member of an object: {TERN_XGBOOST_KEY("trees"), read_trees, false}. */
struct tern_xgboost_member {
    const char *key;
    size_t n;
    enum tern_code (*read)(void *self, struct tern_document *doc, struct tern_err *err);
    bool optional;
};

#define TERN_XGBOOST_KEY(key) ("" key), sizeof(key) - 1

/* Reads an object by its table of at most 32 members; others are passed over. Errors say the key
 * (`what` is that of the object). */
enum tern_code tern_xgboost_read(void *self, struct tern_document *doc, const char *what,
                                 const struct tern_xgboost_member *members, uint32_t n,
                                 struct tern_err *err);
/* Parameters are numbers as strings. */
enum tern_code tern_xgboost_read_count(struct tern_document *doc, uint64_t max, uint32_t *ret,
                                       struct tern_err *err);

/* The margins that sums start with. */
enum tern_code tern_xgboost_margins(struct tern_xgboost *x, bool is_fitted, struct tern_err *err);
/* The second pass: a forest of gbtree or dart. */
enum tern_code tern_xgboost_forest(struct tern_xgboost *x, struct tern_forest **ret,
                                   struct tern_err *err);

#endif
