/* Estimators of scikit-learn as steps of a program: what a .skops file becomes.
 *
 * A pipeline is walked from its first step to its last; each reads one matrix of rows and leaves
 * another, until a model makes outputs of it. Everything is computed as the estimator's transform,
 * predict, predict_proba or decision_function does: in doubles, or, where it rounds rows to float32
 * first (trees), of what is left of them. */
#ifndef TERN_ENGINE_NATIVE_SKLEARN_H
#define TERN_ENGINE_NATIVE_SKLEARN_H

#include "engine/native/op_decide.h"
#include "engine/native/ops.h"
#include "engine/native/skops_read.h"
#include "forest/builder.h"

#define TERN_SKLEARN_WIDTH_MAX (1u << 24)

struct tern_sklearn {
    struct tern_skops skops;
    struct tern_program *program;
    uint32_t value; /* of the program: rows as the next estimator gets them */
    uint32_t width; /* columns */
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
/* ---- steps: *value is what is read, and then what is made ---- */

/* value op row and row op value by numpy's broadcasting, and op of value, with the operators of
 * onnx_ops.c. Of doubles. */
enum tern_code tern_sklearn_apply(struct tern_sklearn *s, const char *op_type, const double *row,
                                  size_t n, uint32_t *value, struct tern_err *err);
enum tern_code tern_sklearn_apply_to(struct tern_sklearn *s, const char *op_type, const double *row,
                                     size_t n, uint32_t *value, struct tern_err *err);
enum tern_code tern_sklearn_map(struct tern_sklearn *s, const char *op_type, uint32_t *value,
                                struct tern_err *err);

/* An attribute that is a list and not empty. */
enum tern_code tern_sklearn_list(const struct tern_skops_node *node, const char *key,
                                 const struct tern_skops_node **ret, struct tern_err *err);
/* Doubles as a constant row of the program, copied. */
enum tern_code tern_sklearn_row(struct tern_sklearn *s, const double *numbers, size_t n,
                                struct tern_tensor *ret, struct tern_err *err);
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

/* ---- estimators, by story ---- */

/* sklearn_trees.c: single trees, and averages of them */
enum tern_code tern_sklearn_tree(struct tern_sklearn *s, const struct tern_skops_node *node,
                                 struct tern_err *err);
enum tern_code tern_sklearn_forest(struct tern_sklearn *s, const struct tern_skops_node *node,
                                   struct tern_err *err);
/* sklearn_isolation.c */
enum tern_code tern_sklearn_isolation(struct tern_sklearn *s, const struct tern_skops_node *node,
                                      struct tern_err *err);
/* sklearn_boosting.c */
enum tern_code tern_sklearn_boosting(struct tern_sklearn *s, const struct tern_skops_node *node,
                                     struct tern_err *err);
/* What becomes of the sums of boosted trees: a regressor's values, or a classifier's labels and
 * probabilities. Which link there is says the loss. */
struct tern_sklearn_loss {
    enum tern_link link;
    double parameter;
};
enum tern_code tern_sklearn_loss(struct tern_sklearn *s, const struct tern_skops_node *node,
                                 struct tern_sklearn_loss *ret, struct tern_err *err);
/* Whether it is one for so many classes (0: a regressor), and how many scores there are. */
enum tern_code tern_sklearn_loss_check(const struct tern_sklearn_loss *loss,
                                       const struct tern_skops_node *node, size_t n_classes,
                                       uint32_t *ret_scores, struct tern_err *err);
enum tern_code tern_sklearn_loss_give(struct tern_sklearn *s, const struct tern_sklearn_loss *loss,
                                      const struct tern_op_decide *decide, uint32_t value,
                                      struct tern_err *err);
/* sklearn_hist.c: trees over histograms */
enum tern_code tern_sklearn_hist(struct tern_sklearn *s, const struct tern_skops_node *node,
                                 struct tern_err *err);

#endif
