/* Linear models: coef_ and intercept_, and what classifiers make of the scores. */
#include <math.h>

#include "engine/native/sklearn/sklearn.h"

/* x coef_^T + intercept_; *ret_scores: how many a row. */
static enum tern_code scores(struct tern_sklearn *s, const struct tern_skops_node *node,
                             uint32_t *ret_value, uint32_t *ret_scores, struct tern_err *err)
{
    struct tern_arena *arena = s->program->arena;
    struct tern_skops_reals coef = {.n = 0}, intercept = {.n = 0};
    size_t m = s->width;

    TERN_TRY(tern_skops_reals(&s->skops, node, "coef_", &coef, err));
    TERN_TRY(tern_skops_reals(&s->skops, node, "intercept_", &intercept, err));
    size_t k = coef.n / m;
    if (k == 0 || k > TERN_FOREST_OUTPUTS_MAX || coef.n % m != 0 || coef.rank > 2)
        return tern_skops_fail(tern_skops_find(node, "coef_"), TERN_INVALID_ARGUMENT, err,
                               "%zu numbers, expected %zu a score", coef.n, m);
    if (intercept.n != k && intercept.n != 1)
        return tern_skops_fail(tern_skops_find(node, "intercept_"), TERN_INVALID_ARGUMENT, err,
                               "%zu numbers for %zu scores", intercept.n, k);
    double *weights = tern_arena_alloc(arena, 64, coef.n * sizeof(*weights));
    double *bias = tern_arena_alloc(arena, 64, k * sizeof(*bias));
    if (weights == NULL || bias == NULL)
        return tern_arena_fail(arena, err, "coefficients");
    for (size_t j = 0; j < k; j++) {
        bias[j] = intercept.p[intercept.n == 1 ? 0 : j];
        for (size_t i = 0; i < m; i++)
            weights[i * k + j] = coef.p[j * m + i];
    }
    const struct tern_linear linear = {.weights = weights,
                                       .bias = bias,
                                       .n_features = s->width,
                                       .n_outputs = (uint32_t)k,
                                       .dtype = TERN_DTYPE_FP64};
    *ret_value = s->value;
    *ret_scores = (uint32_t)k;
    return tern_op_linear(s->program, &linear, ret_value, err);
}

/* ---- regressors ---- */

enum tern_code tern_sklearn_regression(struct tern_sklearn *s, const struct tern_skops_node *node,
                                       struct tern_err *err)
{
    uint32_t value = 0, k = 0;

    TERN_TRY(scores(s, node, &value, &k, err));
    return tern_sklearn_give(s, "output__0", value, k, err);
}

/* The loss says the link: _base_loss since scikit-learn 1.1. */
enum tern_code tern_sklearn_glm(struct tern_sklearn *s, const struct tern_skops_node *node,
                                struct tern_err *err)
{
    const struct tern_skops_node *loss = NULL, *link = NULL;
    uint32_t value = 0, k = 0;

    TERN_TRY(tern_skops_want(node, "_base_loss", &loss, err));
    TERN_TRY(tern_skops_want(loss, "link", &link, err));
    bool is_log = tern_skops_is(link, "LogLink");
    if (!is_log && !tern_skops_is(link, "IdentityLink"))
        return tern_sklearn_refuse(link, "the link is not known here", err);
    TERN_TRY(scores(s, node, &value, &k, err));
    TERN_TRY(tern_op_link(s->program, is_log ? TERN_LINK_EXP : TERN_LINK_IDENTITY, 0, &value, err));
    return tern_sklearn_give(s, "output__0", value, k, err);
}

/* ---- classifiers ---- */

struct classifier {
    struct tern_op_decide decide;
    uint32_t value; /* of scores */
    uint32_t n_scores;
};

/* Two classes have one score, several one each. */
static enum tern_code classify(struct tern_sklearn *s, const struct tern_skops_node *node,
                               struct classifier *c, struct tern_err *err)
{
    const struct tern_skops_node *labels = node;

    *c = (struct classifier){.value = 0};
    /* In older versions of RidgeClassifier they are a property of this. */
    if (tern_skops_find(node, "classes_") == NULL && tern_skops_find(node, "_label_binarizer"))
        labels = tern_skops_find(node, "_label_binarizer");
    TERN_TRY(tern_sklearn_classes(s, labels, &c->decide.classes, err));
    TERN_TRY(scores(s, node, &c->value, &c->n_scores, err));
    size_t n = c->decide.classes.n;
    if (n < 2 || c->n_scores != (n == 2 ? 1 : n))
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "%u scores for %zu classes",
                               c->n_scores, n);
    return TERN_OK;
}

enum tern_code tern_sklearn_lines(struct tern_sklearn *s, const struct tern_skops_node *node,
                                  struct tern_err *err)
{
    struct classifier c;

    TERN_TRY(classify(s, node, &c, err));
    return tern_sklearn_decide_scores(s, &c.decide, c.value, c.n_scores, err);
}

/* One class against the rest: shares of the sigmoids. */
static enum tern_code give_sigmoids(struct tern_sklearn *s, const struct classifier *c,
                                    double parameter, struct tern_err *err)
{
    uint32_t value = c->value;

    TERN_TRY(tern_op_link(s->program, TERN_LINK_SIGMOID, parameter, &value, err));
    if (c->n_scores == 1)
        TERN_TRY(tern_op_decide_pair(s->program, &value, err));
    else
        TERN_TRY(tern_op_decide_shares(s->program, &value, err));
    return tern_sklearn_decide(s, &c->decide, c->value, value, err);
}

/* How several classes were trained is said since 1.8 by the solver alone, before by multi_class. */
static enum tern_code is_one_by_one(struct tern_sklearn *s, const struct tern_skops_node *node,
                                    bool *ret_each, bool *ret_joint, struct tern_err *err)
{
    static const char *const ways[] = {"auto", "deprecated", "multinomial", "ovr", NULL};
    struct tern_str solver = {NULL, 0};
    uint32_t way = 0;

    TERN_TRY(tern_skops_text(&s->skops, node, "solver", &solver, err));
    if (tern_skops_find(node, "multi_class") != NULL)
        TERN_TRY(tern_skops_choice(&s->skops, node, "multi_class", ways, &way, err));
    *ret_each = way == 3 || (way != 2 && tern_str_eq(solver, TERN_STR("liblinear")));
    *ret_joint = way == 2;
    return TERN_OK;
}

enum tern_code tern_sklearn_logistic(struct tern_sklearn *s, const struct tern_skops_node *node,
                                     struct tern_err *err)
{
    struct classifier c;
    bool each = false, joint = false;

    TERN_TRY(is_one_by_one(s, node, &each, &joint, err));
    TERN_TRY(classify(s, node, &c, err));
    /* Jointly trained, one score x stands for the pair of -x and x. */
    if (c.n_scores == 1 || each)
        return give_sigmoids(s, &c, joint ? 2 : 1, err);
    uint32_t value = c.value;
    TERN_TRY(tern_op_link(s->program, TERN_LINK_SOFTMAX, 0, &value, err));
    return tern_sklearn_decide(s, &c.decide, c.value, value, err);
}

/* modified_huber: scores between -1 and 1 as shares. */
static enum tern_code give_clipped(struct tern_sklearn *s, const struct classifier *c,
                                   struct tern_err *err)
{
    static const double low = -1, high = 1, two = 2;
    uint32_t value = c->value;

    TERN_TRY(tern_sklearn_apply(s, "Max", &low, 1, &value, err));
    TERN_TRY(tern_sklearn_apply(s, "Min", &high, 1, &value, err));
    TERN_TRY(tern_sklearn_apply(s, "Add", &high, 1, &value, err));
    TERN_TRY(tern_sklearn_apply(s, "Div", &two, 1, &value, err));
    if (c->n_scores == 1)
        TERN_TRY(tern_op_decide_pair(s->program, &value, err));
    else
        TERN_TRY(tern_op_decide_shares(s->program, &value, err));
    return tern_sklearn_decide(s, &c->decide, c->value, value, err);
}

enum tern_code tern_sklearn_sgd(struct tern_sklearn *s, const struct tern_skops_node *node,
                                struct tern_err *err)
{
    struct tern_str loss = {NULL, 0};
    struct classifier c;

    TERN_TRY(tern_skops_text(&s->skops, node, "loss", &loss, err));
    TERN_TRY(classify(s, node, &c, err));
    if (tern_str_eq(loss, TERN_STR("log_loss")) || tern_str_eq(loss, TERN_STR("log")))
        return give_sigmoids(s, &c, 1, err);
    if (tern_str_eq(loss, TERN_STR("modified_huber")))
        return give_clipped(s, &c, err);
    return tern_sklearn_decide_scores(s, &c.decide, c.value, c.n_scores, err);
}
