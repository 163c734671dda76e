#include "engine/native/sklearn.h"

#include <string.h>
#include "base/compiler.h"
#include "engine/native/ops.h"

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
static enum tern_code begin_steps(const struct tern_skops_node *root, struct walk *walk,
                                  const struct tern_skops_node **ret, struct tern_err *err)
{
    walk->depth = 0;
    *ret = root;
    if (!is_pipeline(root))
        return TERN_OK;
    TERN_TRY(enter(walk, root, err));
    TERN_TRY(next_step(walk, ret, err));
    if (*ret == NULL)
        return tern_skops_fail(root, TERN_INVALID_ARGUMENT, err, "a pipeline without steps");
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

/* What reads rows as float32 loses nothing when it gets them so. */
static enum tern_code make_input(struct tern_sklearn *s, const struct tern_skops_node *first,
                                 bool is_float, struct tern_err *err)
{
    int64_t width = 0;

    TERN_TRY(tern_skops_integer(&s->skops, first, "n_features_in_", 1, TERN_SKLEARN_WIDTH_MAX,
                                &width, err));
    s->width = (uint32_t)width;
    const struct tern_tensor_spec input = {
        .name = TERN_STR("input__0"),
        .dtype = is_float ? TERN_DTYPE_FP32 : TERN_DTYPE_FP64,
        .shape = {2, {-1, width}},
    };
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

enum tern_code tern_sklearn_row(struct tern_sklearn *s, const double *numbers, size_t n,
                                struct tern_tensor *ret, struct tern_err *err)
{
    double *copy = tern_arena_alloc(s->program->arena, 64, (n + 1) * sizeof(*copy));

    if (copy == NULL)
        return tern_arena_fail(s->program->arena, err, "a row of numbers");
    memcpy(copy, numbers, n * sizeof(*copy));
    *ret = (struct tern_tensor){.dtype = TERN_DTYPE_FP64,
                                .shape = {1, {(int64_t)n}},
                                .data = copy,
                                .n_bytes = n * sizeof(*copy)};
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
    const struct tern_skops_node *step = NULL;
    const struct tern_sklearn_class *class = NULL;
    struct walk walk;
    bool is_done = false;

    TERN_TRY(begin_steps(s->skops.root, &walk, &step, err));
    TERN_TRY(find_class(step, &class, err));
    TERN_TRY(make_input(s, step, class->is_float, err));
    while (step != NULL) {
        if (is_done)
            return tern_skops_fail(step, TERN_UNIMPLEMENTED, err, "a step after a model");
        TERN_TRY(find_class(step, &class, err));
        TERN_TRY(tern_sklearn_check_width(s, step, err));
        TERN_TRY(class->make(s, step, err));
        is_done = class->is_model;
        TERN_TRY(next_step(&walk, &step, err));
    }
    return is_done ? TERN_OK : tern_sklearn_give(s, "output__0", s->value, s->width, err);
}
