/* Estimators of scikit-learn as steps of a program: what a .skops file becomes.
 *
 * A pipeline is walked from its first step to its last; each reads one matrix of rows and leaves
 * another, until a model makes outputs of it. Everything is computed as the estimator's transform,
 * predict, predict_proba or decision_function does: in doubles, or, where it rounds rows to float32
 * first (trees), of what is left of them. */
#ifndef TERN_ENGINE_NATIVE_SKLEARN_H
#define TERN_ENGINE_NATIVE_SKLEARN_H

#include "engine/native/ops/op_decide.h"
#include "engine/native/ops/ops.h"
#include "engine/native/sklearn/skops_read.h"
#include "forest/builder.h"

#define TERN_SKLEARN_WIDTH_MAX (1u << 24)

struct tern_sklearn {
    struct tern_skops skops;
    struct tern_program *program;
    uint32_t value; /* of the program: rows as the next estimator gets them */
    uint32_t width; /* columns */
    /* Inputs of one column each, of numbers or texts, which ColumnTransformer reads instead of the
     * value; NULL: there is one input. Those that it does not use are not there. */
    uint32_t *columns;
    bool is_nested; /* within a ColumnTransformer */
};

/* One class of scikit-learn. */
struct tern_sklearn_class {
    const char *name;
    enum tern_code (*make)(struct tern_sklearn *s, const struct tern_skops_node *node,
                           struct tern_err *err);
    bool is_model; /* makes outputs: nothing follows it */
    bool is_float; /* rounds rows to float32 before anything else */
};

/* The whole file: inputs, steps, outputs. */
enum tern_code tern_sklearn_make(struct tern_sklearn *s, struct tern_err *err);

/* The first step of a pipeline, or the estimator itself; NULL: there are no steps. */
enum tern_code tern_sklearn_first(const struct tern_skops_node *estimator,
                                  const struct tern_skops_node **ret, struct tern_err *err);
/* The steps of a pipeline, or the estimator itself: from s->value to s->value, or to outputs. */
enum tern_code tern_sklearn_steps(struct tern_sklearn *s, const struct tern_skops_node *estimator,
                                  bool *ret_is_model, struct tern_err *err);
/* Inputs for a ColumnTransformer that reads texts: s->columns. Else it stays NULL. */
enum tern_code tern_sklearn_column_inputs(struct tern_sklearn *s,
                                          const struct tern_skops_node *node, struct tern_err *err);
/* Whether a list of categories holds texts. */
enum tern_code tern_sklearn_has_texts(const struct tern_sklearn *s,
                                      const struct tern_skops_node *list, bool *ret,
                                      struct tern_err *err);

/* ---- for estimators ---- */

/* "<place>: SVC is not served ...: <why>; export it to ONNX with skl2onnx" */
enum tern_code tern_sklearn_refuse(const struct tern_skops_node *node, const char *why,
                                   struct tern_err *err) TERN_COLD;
#ifdef __clang_analyzer__
#define tern_sklearn_refuse(...) ((void)tern_sklearn_refuse(__VA_ARGS__), TERN_UNIMPLEMENTED)
#endif
/* n_features_in_ has to be the columns that come. */
enum tern_code tern_sklearn_check_width(const struct tern_sklearn *s,
                                        const struct tern_skops_node *node, struct tern_err *err);
/* An attribute that is a list and not empty. */
enum tern_code tern_sklearn_list(const struct tern_skops_node *node, const char *key,
                                 const struct tern_skops_node **ret, struct tern_err *err);
/* A matrix [n, width] that is an output. */
enum tern_code tern_sklearn_give(struct tern_sklearn *s, const char *name, uint32_t value,
                                 uint32_t width, struct tern_err *err);

/* classes_: the labels, in the program's arena. Whole numbers and bools are INT64. */
enum tern_code tern_sklearn_classes(struct tern_sklearn *s, const struct tern_skops_node *node,
                                    struct tern_op_classes *ret, struct tern_err *err);
/* The outputs of a classifier: "label" of scores, and "probabilities". */
enum tern_code tern_sklearn_decide(struct tern_sklearn *s, const struct tern_op_decide *decide,
                                   uint32_t scores, uint32_t probabilities, struct tern_err *err);
/* Of those that have no probabilities: "label", and "scores" as decision_function has them. */
enum tern_code tern_sklearn_decide_scores(struct tern_sklearn *s,
                                          const struct tern_op_decide *decide, uint32_t scores,
                                          uint32_t width, struct tern_err *err);

/* ---- steps (sklearn_steps.c): the operators of onnx_ops.c. *value is what is read, and then what
 * is made ---- */

struct tern_sklearn_input {
    const struct tern_tensor *constant; /* arena, or NULL: */
    uint32_t value;
};

/* The operator of that name, without attributes. */
enum tern_code tern_sklearn_step(struct tern_sklearn *s, const char *op_type,
                                 const struct tern_sklearn_input *inputs, uint32_t n,
                                 uint32_t *ret_value, struct tern_err *err);
/* Doubles as a constant row of the program, copied. */
enum tern_code tern_sklearn_row(struct tern_sklearn *s, const double *numbers, size_t n,
                                struct tern_tensor *ret, struct tern_err *err);
enum tern_code tern_sklearn_texts(struct tern_sklearn *s, const struct tern_str *texts, size_t n,
                                  struct tern_tensor *ret, struct tern_err *err);
/* value op row and row op value by numpy's broadcasting, and op of value. In doubles. */
enum tern_code tern_sklearn_apply(struct tern_sklearn *s, const char *op_type, const double *row,
                                  size_t n, uint32_t *value, struct tern_err *err);
enum tern_code tern_sklearn_apply_to(struct tern_sklearn *s, const char *op_type, const double *row,
                                     size_t n, uint32_t *value, struct tern_err *err);
enum tern_code tern_sklearn_map(struct tern_sklearn *s, const char *op_type, uint32_t *value,
                                struct tern_err *err);
/* These columns, in this order; and matrices side by side. */
enum tern_code tern_sklearn_pick(struct tern_sklearn *s, const int64_t *columns, size_t n,
                                 uint32_t *value, struct tern_err *err);
enum tern_code tern_sklearn_join(struct tern_sklearn *s, const struct tern_sklearn_input *parts,
                                 uint32_t n, uint32_t *ret_value, struct tern_err *err);

/* ---- estimators, by story ---- */

#define TERN_SKLEARN_MAKE(name)                                                     \
    enum tern_code name(struct tern_sklearn *s, const struct tern_skops_node *node, \
                        struct tern_err *err)

/* sklearn_trees.c: single trees, and averages of them */
TERN_SKLEARN_MAKE(tern_sklearn_tree);
TERN_SKLEARN_MAKE(tern_sklearn_forest);
/* sklearn_isolation.c */
TERN_SKLEARN_MAKE(tern_sklearn_isolation);
/* sklearn_boosting.c */
TERN_SKLEARN_MAKE(tern_sklearn_boosting);
/* What becomes of the sums of boosted trees: a regressor's values, or a classifier's labels and
 * probabilities. Which link there is says the loss. */
struct tern_sklearn_loss {
    enum tern_link link;
    double parameter;
    bool ties_are_first; /* GradientBoosting: a score of 0 is the first class's */
};
enum tern_code tern_sklearn_loss(const struct tern_skops_node *node, struct tern_sklearn_loss *ret,
                                 struct tern_err *err);
/* Whether it is one for so many classes (0: a regressor), and how many scores there are. */
enum tern_code tern_sklearn_loss_check(const struct tern_sklearn_loss *loss,
                                       const struct tern_skops_node *node, size_t n_classes,
                                       uint32_t *ret_scores, struct tern_err *err);
enum tern_code tern_sklearn_loss_give(struct tern_sklearn *s, const struct tern_sklearn_loss *loss,
                                      const struct tern_op_decide *decide, uint32_t value,
                                      struct tern_err *err);
/* sklearn_linear.c: coef_ and intercept_ */
TERN_SKLEARN_MAKE(tern_sklearn_regression);
TERN_SKLEARN_MAKE(tern_sklearn_glm); /* with a link of the mean */
TERN_SKLEARN_MAKE(tern_sklearn_logistic);
TERN_SKLEARN_MAKE(tern_sklearn_sgd);
TERN_SKLEARN_MAKE(tern_sklearn_lines); /* classifiers without probabilities */
/* sklearn_net.c */
TERN_SKLEARN_MAKE(tern_sklearn_net);
/* sklearn_scale.c: of each column by itself, or of a row's length */
TERN_SKLEARN_MAKE(tern_sklearn_standard);
TERN_SKLEARN_MAKE(tern_sklearn_robust);
TERN_SKLEARN_MAKE(tern_sklearn_min_max);
TERN_SKLEARN_MAKE(tern_sklearn_max_abs);
TERN_SKLEARN_MAKE(tern_sklearn_normalizer);
TERN_SKLEARN_MAKE(tern_sklearn_imputer);
TERN_SKLEARN_MAKE(tern_sklearn_function);
/* sklearn_encode.c: categories */
TERN_SKLEARN_MAKE(tern_sklearn_one_hot);
TERN_SKLEARN_MAKE(tern_sklearn_ordinal);
/* sklearn_columns.c: ColumnTransformer */
TERN_SKLEARN_MAKE(tern_sklearn_columns);
/* sklearn_features.c: new columns of several old ones */
TERN_SKLEARN_MAKE(tern_sklearn_polynomial);
TERN_SKLEARN_MAKE(tern_sklearn_projection);
/* sklearn_hist.c: trees over histograms */
TERN_SKLEARN_MAKE(tern_sklearn_hist);

#endif
