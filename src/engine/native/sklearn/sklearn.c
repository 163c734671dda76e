#include "engine/native/sklearn/sklearn.h"

#include "base/compiler.h"
#include "engine/native/ops/op_form.h"
#include "engine/native/ops/ops.h"

#define NESTED_MAX 8 /* pipelines within pipelines */

static const struct tern_sklearn_class classes[] = {
    {"DecisionTreeClassifier", tern_sklearn_tree, true, true},
    {"DecisionTreeRegressor", tern_sklearn_tree, true, true},
    {"ExtraTreeClassifier", tern_sklearn_tree, true, true},
    {"ExtraTreeRegressor", tern_sklearn_tree, true, true},
    {"RandomForestClassifier", tern_sklearn_forest, true, true},
    {"RandomForestRegressor", tern_sklearn_forest, true, true},
    {"ExtraTreesClassifier", tern_sklearn_forest, true, true},
    {"ExtraTreesRegressor", tern_sklearn_forest, true, true},
    {"IsolationForest", tern_sklearn_isolation, true, true},
    {"GradientBoostingClassifier", tern_sklearn_boosting, true, true},
    {"GradientBoostingRegressor", tern_sklearn_boosting, true, true},
    {"LinearRegression", tern_sklearn_regression, true, false},
    {"Ridge", tern_sklearn_regression, true, false},
    {"RidgeCV", tern_sklearn_regression, true, false},
    {"Lasso", tern_sklearn_regression, true, false},
    {"LassoCV", tern_sklearn_regression, true, false},
    {"LassoLars", tern_sklearn_regression, true, false},
    {"LassoLarsCV", tern_sklearn_regression, true, false},
    {"LassoLarsIC", tern_sklearn_regression, true, false},
    {"Lars", tern_sklearn_regression, true, false},
    {"LarsCV", tern_sklearn_regression, true, false},
    {"ElasticNet", tern_sklearn_regression, true, false},
    {"ElasticNetCV", tern_sklearn_regression, true, false},
    {"MultiTaskLasso", tern_sklearn_regression, true, false},
    {"MultiTaskElasticNet", tern_sklearn_regression, true, false},
    {"OrthogonalMatchingPursuit", tern_sklearn_regression, true, false},
    {"ARDRegression", tern_sklearn_regression, true, false},
    {"BayesianRidge", tern_sklearn_regression, true, false},
    {"HuberRegressor", tern_sklearn_regression, true, false},
    {"QuantileRegressor", tern_sklearn_regression, true, false},
    {"TheilSenRegressor", tern_sklearn_regression, true, false},
    {"SGDRegressor", tern_sklearn_regression, true, false},
    {"PassiveAggressiveRegressor", tern_sklearn_regression, true, false},
    {"LinearSVR", tern_sklearn_regression, true, false},
    {"PoissonRegressor", tern_sklearn_glm, true, false},
    {"GammaRegressor", tern_sklearn_glm, true, false},
    {"TweedieRegressor", tern_sklearn_glm, true, false},
    {"LogisticRegression", tern_sklearn_logistic, true, false},
    {"LogisticRegressionCV", tern_sklearn_logistic, true, false},
    {"SGDClassifier", tern_sklearn_sgd, true, false},
    {"LinearSVC", tern_sklearn_lines, true, false},
    {"RidgeClassifier", tern_sklearn_lines, true, false},
    {"RidgeClassifierCV", tern_sklearn_lines, true, false},
    {"Perceptron", tern_sklearn_lines, true, false},
    {"PassiveAggressiveClassifier", tern_sklearn_lines, true, false},
    {"MLPClassifier", tern_sklearn_net, true, false},
    {"MLPRegressor", tern_sklearn_net, true, false},
    {"StandardScaler", tern_sklearn_standard, false, false},
    {"RobustScaler", tern_sklearn_robust, false, false},
    {"MinMaxScaler", tern_sklearn_min_max, false, false},
    {"MaxAbsScaler", tern_sklearn_max_abs, false, false},
    {"Normalizer", tern_sklearn_normalizer, false, false},
    {"SimpleImputer", tern_sklearn_imputer, false, false},
    {"PolynomialFeatures", tern_sklearn_polynomial, false, false},
    {"FunctionTransformer", tern_sklearn_function, false, false},
    {"OneHotEncoder", tern_sklearn_one_hot, false, false},
    {"OrdinalEncoder", tern_sklearn_ordinal, false, false},
    {"ColumnTransformer", tern_sklearn_columns, false, false},
    {"PCA", tern_sklearn_projection, false, false},
    {"TruncatedSVD", tern_sklearn_projection, false, false},
    {"HistGradientBoostingClassifier", tern_sklearn_hist, true, false},
    {"HistGradientBoostingRegressor", tern_sklearn_hist, true, false},
};

#undef tern_sklearn_refuse
enum tern_code tern_sklearn_refuse(const struct tern_skops_node *node, const char *why,
                                   struct tern_err *err)
{
    return tern_skops_fail(node, TERN_UNIMPLEMENTED, err,
                           "%.*s.%.*s is not served natively: %s; export the model to ONNX "
                           "(skl2onnx)",
                           (int)(node->module.n > 100 ? 100 : node->module.n), node->module.p,
                           (int)(node->name.n > 100 ? 100 : node->name.n), node->name.p, why);
}

static enum tern_code find_class(const struct tern_skops_node *node,
                                 const struct tern_sklearn_class **ret, struct tern_err *err)
{
    for (size_t i = 0; i < TERN_COUNT_OF(classes); i++) {
        if (tern_skops_is(node, classes[i].name) &&
            tern_str_starts(node->module, TERN_STR("sklearn.")) &&
            node->kind == TERN_SKOPS_OBJECT) {
            *ret = &classes[i];
            return TERN_OK;
        }
    }
    return tern_sklearn_refuse(node, "the class is not known here", err);
}

/* ---- pipelines ---- */

/* Steps in their order, also those of pipelines within pipelines. */
struct walk {
    const struct tern_skops_node *next[NESTED_MAX]; /* the step to come, or NULL */
    uint32_t depth;
};

static bool is_pipeline(const struct tern_skops_node *node)
{
    return tern_skops_is(node, "Pipeline") && tern_str_starts(node->module, TERN_STR("sklearn."));
}

static enum tern_code enter(struct walk *walk, const struct tern_skops_node *pipeline,
                            struct tern_err *err)
{
    const struct tern_skops_node *steps = NULL;

    if (walk->depth == NESTED_MAX)
        return tern_skops_fail(pipeline, TERN_RESOURCE_EXHAUSTED, err,
                               "pipelines within each other more than %d times", NESTED_MAX);
    TERN_TRY(tern_skops_want(pipeline, "steps", &steps, err));
    walk->next[walk->depth++] = steps->first;
    return TERN_OK;
}

static bool passes(const struct tern_skops_node *step)
{
    return tern_skops_is_null(step) ||
           (step->kind == TERN_SKOPS_VALUE && tern_str_eq(step->text, TERN_STR("\"passthrough\"")));
}

/* *ret is NULL after the last. */
static enum tern_code next_step(struct walk *walk, const struct tern_skops_node **ret,
                                struct tern_err *err)
{
    *ret = NULL;
    while (walk->depth > 0) {
        const struct tern_skops_node *step = walk->next[walk->depth - 1];
        if (step == NULL) {
            walk->depth--;
            continue;
        }
        walk->next[walk->depth - 1] = step->next;
        if (step->n != 2)
            return tern_skops_fail(step, TERN_INVALID_ARGUMENT, err,
                                   "expected a name and an estimator");
        if (is_pipeline(step->last)) {
            TERN_TRY(enter(walk, step->last, err));
        } else if (!passes(step->last)) {
            *ret = step->last;
            return TERN_OK;
        }
    }
    return TERN_OK;
}

/* Of a pipeline its steps, else the estimator itself. */
static enum tern_code begin_steps(const struct tern_skops_node *estimator, struct walk *walk,
                                  const struct tern_skops_node **ret, struct tern_err *err)
{
    walk->depth = 0;
    *ret = passes(estimator) ? NULL : estimator;
    if (!is_pipeline(estimator))
        return TERN_OK;
    TERN_TRY(enter(walk, estimator, err));
    return next_step(walk, ret, err);
}

enum tern_code tern_sklearn_first(const struct tern_skops_node *estimator,
                                  const struct tern_skops_node **ret, struct tern_err *err)
{
    struct walk walk;

    return begin_steps(estimator, &walk, ret, err);
}

enum tern_code tern_sklearn_steps(struct tern_sklearn *s, const struct tern_skops_node *estimator,
                                  bool *ret_is_model, struct tern_err *err)
{
    const struct tern_skops_node *step = NULL;
    const struct tern_sklearn_class *class = NULL;
    struct walk walk;

    *ret_is_model = false;
    TERN_TRY(begin_steps(estimator, &walk, &step, err));
    while (step != NULL) {
        if (*ret_is_model)
            return tern_skops_fail(step, TERN_UNIMPLEMENTED, err, "a step after a model");
        TERN_TRY(find_class(step, &class, err));
        TERN_TRY(tern_sklearn_check_width(s, step, err));
        TERN_TRY(class->make(s, step, err));
        *ret_is_model = class->is_model;
        TERN_TRY(next_step(&walk, &step, err));
    }
    return TERN_OK;
}

/* ---- inputs and outputs ---- */

/* What the first step calls its columns. */
static enum tern_code keep_names(struct tern_sklearn *s, const struct tern_skops_node *first,
                                 struct tern_err *err)
{
    const struct tern_skops_node *node = tern_skops_find(first, "feature_names_in_");
    struct tern_arena *arena = s->program->arena;
    const struct tern_str *texts = NULL;
    size_t n = 0;

    if (node == NULL)
        return TERN_OK;
    TERN_TRY(tern_skops_texts(&s->skops, node, &texts, &n, err));
    if (n != s->width)
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "expected %u names, got %zu",
                               s->width, n);
    struct tern_str *names = tern_arena_zalloc(arena, n + 1, sizeof(*names));
    if (names == NULL)
        return tern_arena_fail(arena, err, "feature_names_in_");
    for (size_t i = 0; i < n; i++) {
        names[i] = tern_arena_copy(arena, texts[i]);
        if (names[i].p == NULL && texts[i].n > 0)
            return tern_arena_fail(arena, err, "feature_names_in_");
    }
    s->program->feature_names = names;
    s->program->n_feature_names = (uint32_t)n;
    return TERN_OK;
}

/* Of the first step alone: an encoder may read texts. */
static enum tern_code dtype_of(const struct tern_sklearn *s, const struct tern_skops_node *first,
                               const struct tern_sklearn_class *class, enum tern_dtype *ret,
                               struct tern_err *err)
{
    const struct tern_skops_node *list = tern_skops_find(first, "categories_");
    bool has_texts = false;

    if (list == NULL && tern_skops_is(first, "SimpleImputer"))
        list = tern_skops_find(first, "statistics_");
    else if (list != NULL)
        list = list->first;
    if (list != NULL)
        TERN_TRY(tern_sklearn_has_texts(s, list, &has_texts, err));
    /* What rounds rows to float32 loses nothing when it gets them so. */
    *ret = has_texts ? TERN_DTYPE_BYTES : class->is_float ? TERN_DTYPE_FP32 : TERN_DTYPE_FP64;
    return TERN_OK;
}

static enum tern_code make_input(struct tern_sklearn *s, const struct tern_skops_node *first,
                                 struct tern_err *err)
{
    const struct tern_sklearn_class *class = NULL;
    enum tern_dtype dtype = TERN_DTYPE_FP64;
    int64_t width = 0;

    TERN_TRY(find_class(first, &class, err));
    TERN_TRY(tern_skops_integer(&s->skops, first, "n_features_in_", 1, TERN_SKLEARN_WIDTH_MAX,
                                &width, err));
    s->width = (uint32_t)width;
    if (tern_skops_is(first, "ColumnTransformer"))
        TERN_TRY(tern_sklearn_column_inputs(s, first, err));
    if (s->columns != NULL)
        return TERN_OK;
    TERN_TRY(dtype_of(s, first, class, &dtype, err));
    const struct tern_tensor_spec input = {
        .name = TERN_STR("input__0"), .dtype = dtype, .shape = {2, {-1, width}}};
    TERN_TRY(tern_program_input(s->program, &input, &s->value, err));
    return keep_names(s, first, err);
}

enum tern_code tern_sklearn_check_width(const struct tern_sklearn *s,
                                        const struct tern_skops_node *node, struct tern_err *err)
{
    int64_t width = 0;

    TERN_TRY(tern_skops_integer(&s->skops, node, "n_features_in_", 1, TERN_SKLEARN_WIDTH_MAX,
                                &width, err));
    if (width != s->width)
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err,
                               "it was fitted on %lld columns and gets %u", (long long)width,
                               s->width);
    return TERN_OK;
}

enum tern_code tern_sklearn_give(struct tern_sklearn *s, const char *name, uint32_t value,
                                 uint32_t width, struct tern_err *err)
{
    const struct tern_tensor_spec output = {
        .name = tern_str_of(name),
        .dtype = s->program->values[value].tensor.dtype,
        .shape = {2, {-1, width}},
    };

    /* What a run gives is its own, not what it was given. */
    if (s->program->values[value].kind != TERN_VALUE_MADE)
        TERN_TRY(tern_op_form_copy(s->program, &value, err));
    return tern_program_output(s->program, &output, value, err);
}

enum tern_code tern_sklearn_list(const struct tern_skops_node *node, const char *key,
                                 const struct tern_skops_node **ret, struct tern_err *err)
{
    TERN_TRY(tern_skops_want(node, key, ret, err));
    if (((*ret)->kind != TERN_SKOPS_LIST && (*ret)->kind != TERN_SKOPS_OBJECTS) || (*ret)->n == 0)
        return tern_skops_fail(*ret, TERN_INVALID_ARGUMENT, err,
                               "expected a list that is not empty");
    return TERN_OK;
}

/* ---- the file ---- */

enum tern_code tern_sklearn_make(struct tern_sklearn *s, struct tern_err *err)
{
    const struct tern_skops_node *first = NULL;
    bool is_model = false;

    TERN_TRY(tern_sklearn_first(s->skops.root, &first, err));
    if (first == NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the file has no estimator");
    TERN_TRY(make_input(s, first, err));
    TERN_TRY(tern_sklearn_steps(s, s->skops.root, &is_model, err));
    return is_model ? TERN_OK : tern_sklearn_give(s, "output__0", s->value, s->width, err);
}
