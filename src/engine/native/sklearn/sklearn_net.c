/* MLPClassifier and MLPRegressor: layers of coefs_ and intercepts_. */
#include <string.h>

#include "engine/native/sklearn/sklearn.h"

enum activation { IDENTITY, LOGISTIC, TANH, RELU, SOFTMAX, EXP };

static const char *const activations[] = {"identity", "logistic", "tanh", "relu",
                                          "softmax",  "exp",      NULL};

static enum tern_code activate(struct tern_sklearn *s, uint32_t activation, uint32_t *value,
                               struct tern_err *err)
{
    switch (activation) {
    case LOGISTIC:
        return tern_op_link(s->program, TERN_LINK_SIGMOID, 1, value, err);
    case SOFTMAX:
        return tern_op_link(s->program, TERN_LINK_SOFTMAX, 0, value, err);
    case EXP:
        return tern_op_link(s->program, TERN_LINK_EXP, 0, value, err);
    case TANH:
        return tern_sklearn_map(s, "Tanh", value, err);
    case RELU:
        return tern_sklearn_map(s, "Relu", value, err);
    default:
        return TERN_OK;
    }
}

/* coefs: a row of outputs for each input. */
static enum tern_code add_layer(struct tern_sklearn *s, const struct tern_skops_node *coefs,
                                const struct tern_skops_node *intercepts, uint32_t *width,
                                uint32_t *value, struct tern_err *err)
{
    struct tern_arena *arena = s->program->arena;
    struct tern_skops_reals w = {.n = 0}, b = {.n = 0};

    TERN_TRY(tern_skops_finite(&s->skops, coefs, &w, err));
    TERN_TRY(tern_skops_finite(&s->skops, intercepts, &b, err));
    if (w.rank != 2 || w.dim[0] != *width || w.dim[1] < 1 || w.dim[1] > TERN_SKLEARN_WIDTH_MAX ||
        b.n != (size_t)w.dim[1])
        return tern_skops_fail(coefs, TERN_INVALID_ARGUMENT, err,
                               "expected coefficients of %u inputs, and an intercept for each of "
                               "their outputs",
                               *width);
    double *weights = tern_arena_alloc(arena, 64, w.n * sizeof(*weights));
    double *bias = tern_arena_alloc(arena, 64, b.n * sizeof(*bias));
    if (weights == NULL || bias == NULL)
        return tern_arena_fail(arena, err, "coefficients");
    memcpy(weights, w.p, w.n * sizeof(*weights));
    memcpy(bias, b.p, b.n * sizeof(*bias));
    const struct tern_linear linear = {.weights = weights,
                                       .bias = bias,
                                       .n_features = *width,
                                       .n_outputs = (uint32_t)w.dim[1],
                                       .dtype = TERN_DTYPE_FP64};
    *width = (uint32_t)w.dim[1];
    return tern_op_linear(s->program, &linear, value, err);
}

static enum tern_code add_layers(struct tern_sklearn *s, const struct tern_skops_node *node,
                                 uint32_t *ret_width, uint32_t *ret_value, struct tern_err *err)
{
    const struct tern_skops_node *coefs = NULL, *intercepts = NULL;
    uint32_t hidden = 0, last = 0;

    TERN_TRY(tern_skops_choice(&s->skops, node, "activation", activations, &hidden, err));
    TERN_TRY(tern_skops_choice(&s->skops, node, "out_activation_", activations, &last, err));
    TERN_TRY(tern_sklearn_list(node, "coefs_", &coefs, err));
    TERN_TRY(tern_sklearn_list(node, "intercepts_", &intercepts, err));
    if (coefs->n != intercepts->n)
        return tern_skops_fail(intercepts, TERN_INVALID_ARGUMENT, err,
                               "%u layers, and %u of coefs_", intercepts->n, coefs->n);
    *ret_value = s->value;
    *ret_width = s->width;
    const struct tern_skops_node *b = intercepts->first;
    for (const struct tern_skops_node *w = coefs->first; w != NULL; w = w->next, b = b->next) {
        TERN_TRY(add_layer(s, w, b, ret_width, ret_value, err));
        TERN_TRY(activate(s, w->next == NULL ? last : hidden, ret_value, err));
    }
    return TERN_OK;
}

enum tern_code tern_sklearn_net(struct tern_sklearn *s, const struct tern_skops_node *node,
                                struct tern_err *err)
{
    struct tern_op_decide decide = {.threshold = 0.5};
    struct tern_str kind = {NULL, 0};
    const struct tern_skops_node *binarizer = NULL;
    uint32_t value = 0, width = 0;

    TERN_TRY(add_layers(s, node, &width, &value, err));
    if (tern_skops_find(node, "_label_binarizer") == NULL)
        return tern_sklearn_give(s, "output__0", value, width, err);
    TERN_TRY(tern_skops_want(node, "_label_binarizer", &binarizer, err));
    TERN_TRY(tern_skops_text(&s->skops, binarizer, "y_type_", &kind, err));
    if (!tern_str_eq(kind, TERN_STR("binary")) && !tern_str_eq(kind, TERN_STR("multiclass")))
        return tern_sklearn_refuse(node, "it has several labels a row", err);
    TERN_TRY(tern_sklearn_classes(s, node, &decide.classes, err));
    if (width != (decide.classes.n == 2 ? 1 : decide.classes.n))
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "%u scores for %zu classes", width,
                               decide.classes.n);
    uint32_t shares = value;
    if (width == 1)
        TERN_TRY(tern_op_decide_pair(s->program, &shares, err));
    return tern_sklearn_decide(s, &decide, value, shares, err);
}
