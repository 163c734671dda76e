/* GradientBoosting: a first guess, and trees whose values are multiplied by the learning rate and
 * added to it, round by round; each class has trees of its own. What the losses of both kinds of
 * boosting make of the sums is here, too (sklearn._loss). */
#include <float.h>
#include <math.h>

#include "base/compiler.h"
#include "engine/native/sklearn/sklearn_trees.h"

struct boosting {
    const struct tern_skops_node *node;
    struct tern_sklearn_growth growth;
    struct tern_sklearn_loss loss;
    struct tern_op_classes classes; /* n is 0: a regressor */
    uint32_t n_scores;
    double rate;
    double *first; /* guesses, one a score */
};

/* ---- losses ---- */

enum tern_code tern_sklearn_loss(const struct tern_skops_node *node, struct tern_sklearn_loss *ret,
                                 struct tern_err *err)
{
    static const struct {
        const char *name;
        struct tern_sklearn_loss loss;
    } rows[] = {
        {"HalfSquaredError", {TERN_LINK_IDENTITY, 0, false}},
        {"AbsoluteError", {TERN_LINK_IDENTITY, 0, false}},
        {"PinballLoss", {TERN_LINK_IDENTITY, 0, false}},
        {"HuberLoss", {TERN_LINK_IDENTITY, 0, false}},
        {"HalfPoissonLoss", {TERN_LINK_EXP, 0, false}},
        {"HalfGammaLoss", {TERN_LINK_EXP, 0, false}},
        {"HalfBinomialLoss", {TERN_LINK_SIGMOID, 1, false}},
        {"ExponentialLoss", {TERN_LINK_SIGMOID, 2, false}},
        {"HalfMultinomialLoss", {TERN_LINK_SOFTMAX, 0, false}},
        /* before scikit-learn 1.4 */
        {"LeastSquaresError", {TERN_LINK_IDENTITY, 0, true}},
        {"LeastAbsoluteError", {TERN_LINK_IDENTITY, 0, true}},
        {"HuberLossFunction", {TERN_LINK_IDENTITY, 0, true}},
        {"QuantileLossFunction", {TERN_LINK_IDENTITY, 0, true}},
        {"BinomialDeviance", {TERN_LINK_SIGMOID, 1, true}},
        {"MultinomialDeviance", {TERN_LINK_SOFTMAX, 0, true}},
    };
    const struct tern_skops_node *loss = NULL;

    TERN_TRY(tern_skops_want(node, "_loss", &loss, err));
    bool is_old = tern_str_eq(loss->module, TERN_STR("sklearn.ensemble._gb_losses"));
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        if (tern_skops_is(loss, rows[i].name) &&
            (is_old || tern_str_starts(loss->module, TERN_STR("sklearn._loss")))) {
            *ret = rows[i].loss;
            ret->ties_are_first = ret->ties_are_first || is_old;
            return TERN_OK;
        }
    }
    return tern_sklearn_refuse(loss, "the loss is not known here", err);
}

enum tern_code tern_sklearn_loss_check(const struct tern_sklearn_loss *loss,
                                       const struct tern_skops_node *node, size_t n_classes,
                                       uint32_t *ret_scores, struct tern_err *err)
{
    if (n_classes == 1 || (n_classes > 2) != (loss->link == TERN_LINK_SOFTMAX) ||
        (n_classes == 2) != (loss->link == TERN_LINK_SIGMOID))
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err,
                               "its loss is not one for %zu classes", n_classes);
    *ret_scores = n_classes > 2 ? (uint32_t)n_classes : 1;
    return TERN_OK;
}

enum tern_code tern_sklearn_loss_give(struct tern_sklearn *s, const struct tern_sklearn_loss *loss,
                                      const struct tern_op_decide *decide, uint32_t value,
                                      struct tern_err *err)
{
    uint32_t probabilities = value;

    TERN_TRY(tern_op_link(s->program, loss->link, loss->parameter, &probabilities, err));
    if (decide->classes.n == 0)
        return tern_sklearn_give(s, "output__0", probabilities, 1, err);
    if (decide->classes.n == 2)
        TERN_TRY(tern_op_decide_pair(s->program, &probabilities, err));
    return tern_sklearn_decide(s, decide, value, probabilities, err);
}

/* ---- the first guess: a Dummy estimator, which sees no row ---- */

static double log_odds(double p)
{
    return log(p / (1 - p));
}

/* Probabilities as scores. They are kept from 0 and 1. */
static enum tern_code first_classes(struct tern_sklearn *s, struct boosting *b,
                                    const struct tern_skops_node *init, struct tern_err *err)
{
    static const char *const strategies[] = {"prior", NULL};
    const double *prior = NULL;
    uint32_t strategy = 0, k = (uint32_t)b->classes.n;
    double mean = 0;

    TERN_TRY(tern_skops_choice(&s->skops, init, "strategy", strategies, &strategy, err));
    TERN_TRY(tern_skops_vector(&s->skops, init, "class_prior_", k, &prior, err));
    for (uint32_t i = 0; i < k; i++) {
        double p = fmin(fmax(prior[i], DBL_EPSILON), 1 - DBL_EPSILON);
        if (k > 2)
            b->first[i] = log(p);
        else if (i == 1)
            b->first[0] = log_odds(p) / b->loss.parameter;
        mean += log(p) / k;
    }
    for (uint32_t i = 0; k > 2 && i < k; i++)
        b->first[i] -= mean;
    return TERN_OK;
}

static enum tern_code read_first(struct tern_sklearn *s, struct boosting *b, struct tern_err *err)
{
    const struct tern_skops_node *init = NULL;
    const double *constant = NULL;

    b->first = tern_arena_zalloc(s->skops.scratch, b->n_scores, sizeof(*b->first));
    if (b->first == NULL)
        return tern_arena_fail(s->skops.scratch, err, "the first guess");
    TERN_TRY(tern_skops_want(b->node, "init_", &init, err));
    if (init->kind == TERN_SKOPS_VALUE && tern_str_eq(init->text, TERN_STR("\"zero\"")))
        return TERN_OK;
    if (b->classes.n > 0 && tern_skops_is(init, "DummyClassifier"))
        return first_classes(s, b, init, err);
    if (b->classes.n > 0 || !tern_skops_is(init, "DummyRegressor"))
        return tern_sklearn_refuse(b->node, "its 'init' is an estimator of its own", err);
    TERN_TRY(tern_skops_vector(&s->skops, init, "constant_", 1, &constant, err));
    b->first[0] = constant[0];
    return TERN_OK;
}

/* ---- trees ---- */

/* A round has a tree for each score. */
static enum tern_code add_rounds(struct boosting *b, struct tern_err *err)
{
    const struct tern_skops_node *list = NULL;
    struct tern_sklearn_tree tree;
    double *values = NULL;

    TERN_TRY(tern_sklearn_list(b->node, "estimators_", &list, err));
    for (const struct tern_skops_node *round = list->first; round != NULL; round = round->next) {
        uint32_t output = 0;
        if (round->key.n > 0)
            continue; /* the array's shape */
        if (round->kind != TERN_SKOPS_LIST || round->n != b->n_scores)
            return tern_skops_fail(round, TERN_INVALID_ARGUMENT, err, "expected %u trees a round",
                                   b->n_scores);
        for (const struct tern_skops_node *item = round->first; item != NULL; item = item->next) {
            TERN_TRY(tern_sklearn_growth_read(&b->growth, item, 1, &tree, err));
            TERN_TRY(tern_sklearn_growth_values(&b->growth, &tree, 1, &values, err));
            for (uint32_t leaf = 0; leaf < tree.n_leaves; leaf++)
                values[leaf] = b->rate * tree.values[tree.leaves[leaf]];
            TERN_TRY(tern_sklearn_growth_add(&b->growth, &tree, values, output++, err));
        }
    }
    return TERN_OK;
}

static enum tern_code grow(struct tern_sklearn *s, struct boosting *b, uint32_t *ret_value,
                           struct tern_err *err)
{
    const struct tern_forest_settings settings = {
        .n_features = s->width,
        .n_outputs = b->n_scores,
        .float_input = true,
        .base = b->first,
        .base_first = true,
    };
    enum tern_code code = tern_sklearn_growth_begin(&b->growth, s, &settings, err);

    if (code == TERN_OK)
        code = add_rounds(b, err);
    if (code == TERN_OK)
        code = tern_sklearn_growth_finish(&b->growth, s, ret_value, err);
    tern_sklearn_growth_end(&b->growth);
    return code;
}

enum tern_code tern_sklearn_boosting(struct tern_sklearn *s, const struct tern_skops_node *node,
                                     struct tern_err *err)
{
    struct boosting b = {.node = node, .n_scores = 1};
    uint32_t value = 0;

    TERN_TRY(tern_sklearn_loss(node, &b.loss, err));
    TERN_TRY(tern_skops_real(&s->skops, node, "learning_rate", &b.rate, err));
    if (tern_skops_find(node, "classes_") != NULL)
        TERN_TRY(tern_sklearn_classes(s, node, &b.classes, err));
    TERN_TRY(tern_sklearn_loss_check(&b.loss, node, b.classes.n, &b.n_scores, err));
    TERN_TRY(read_first(s, &b, err));
    TERN_TRY(grow(s, &b, &value, err));
    const struct tern_op_decide decide = {.classes = b.classes,
                                          .is_at_least = !b.loss.ties_are_first};
    return tern_sklearn_loss_give(s, &b.loss, &decide, value, err);
}
