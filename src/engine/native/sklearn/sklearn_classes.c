/* The labels of classifiers, and their outputs. */
#include "engine/native/sklearn/sklearn.h"

#include <string.h>

static enum tern_code take_ints(struct tern_sklearn *s, size_t n, int64_t **ret,
                                struct tern_op_classes *classes, struct tern_err *err)
{
    *ret = tern_arena_zalloc(s->program->arena, n + 1, sizeof(**ret));
    if (*ret == NULL)
        return tern_arena_fail(s->program->arena, err, "the classes");
    *classes = (struct tern_op_classes){.dtype = TERN_DTYPE_INT64, .ints = *ret, .n = n};
    return TERN_OK;
}

/* Numbers; floats are labels where they are whole. */
static enum tern_code number_classes(struct tern_sklearn *s, const struct tern_skops_node *node,
                                     const struct tern_npy_view *view,
                                     struct tern_op_classes *classes, struct tern_err *err)
{
    enum tern_dtype dtype = view->columns[0].dtype;
    int64_t *ints = NULL;

    if (view->n > TERN_FOREST_OUTPUTS_MAX || view->rank != 1)
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "expected a list of classes");
    TERN_TRY(take_ints(s, view->n, &ints, classes, err));
    tern_npy_view_integers(view, 0, ints);
    if (dtype != TERN_DTYPE_FP16 && dtype != TERN_DTYPE_FP32 && dtype != TERN_DTYPE_FP64)
        return TERN_OK;
    double *reals = tern_arena_alloc(s->skops.scratch, 8, (view->n + 1) * sizeof(*reals));
    if (reals == NULL)
        return tern_arena_fail(s->skops.scratch, err, "the classes");
    tern_npy_view_reals(view, 0, reals);
    for (size_t i = 0; i < view->n; i++)
        if (reals[i] != (double)ints[i])
            return tern_skops_fail(node, TERN_UNIMPLEMENTED, err,
                                   "class %zu is %.9g: labels are whole numbers or texts", i,
                                   reals[i]);
    return TERN_OK;
}

static enum tern_code text_classes(struct tern_sklearn *s, const struct tern_skops_node *node,
                                   struct tern_op_classes *classes, struct tern_err *err)
{
    struct tern_arena *arena = s->program->arena;
    const struct tern_str *from = NULL;
    size_t n = 0;

    TERN_TRY(tern_skops_texts(&s->skops, node, &from, &n, err));
    struct tern_str *texts = tern_arena_zalloc(arena, n + 1, sizeof(*texts));
    if (texts == NULL)
        return tern_arena_fail(arena, err, "the classes");
    for (size_t i = 0; i < n; i++) {
        texts[i] = tern_arena_copy(arena, from[i]);
        if (texts[i].p == NULL && from[i].n > 0)
            return tern_arena_fail(arena, err, "the classes");
    }
    *classes = (struct tern_op_classes){.dtype = TERN_DTYPE_BYTES, .texts = texts, .n = n};
    return TERN_OK;
}

/* An array of Python's own numbers. */
static enum tern_code object_classes(struct tern_sklearn *s, const struct tern_skops_node *node,
                                     struct tern_op_classes *classes, struct tern_err *err)
{
    const struct tern_skops_node *item = node->first;
    int64_t *ints = NULL;
    size_t n = 0;

    if (item != NULL && item->text.n > 0 && item->text.p[0] == '"')
        return text_classes(s, node, classes, err);
    TERN_TRY(take_ints(s, node->n, &ints, classes, err));
    for (; item != NULL; item = item->next)
        if (item->key.n == 0)
            TERN_TRY(tern_skops_node_integer(&s->skops, item, &ints[n++], err));
    classes->n = n;
    return TERN_OK;
}

enum tern_code tern_sklearn_classes(struct tern_sklearn *s, const struct tern_skops_node *node,
                                    struct tern_op_classes *ret, struct tern_err *err)
{
    const struct tern_skops_node *child = NULL;
    struct tern_npy_view view;

    TERN_TRY(tern_skops_want(node, "classes_", &child, err));
    if (child->kind == TERN_SKOPS_LIST)
        return tern_sklearn_refuse(node, "it has several outputs", err);
    if (child->kind == TERN_SKOPS_OBJECTS) {
        TERN_TRY(object_classes(s, child, ret, err));
    } else {
        TERN_TRY(tern_skops_view(&s->skops, child, &view, err));
        if (!view.is_record && tern_dtype_size(view.columns[0].dtype) > 0)
            TERN_TRY(number_classes(s, child, &view, ret, err));
        else
            TERN_TRY(text_classes(s, child, ret, err));
    }
    if (ret->n < 1 || ret->n > TERN_FOREST_OUTPUTS_MAX)
        return tern_skops_fail(child, TERN_INVALID_ARGUMENT, err, "%zu classes, expected 1 to %u",
                               ret->n, TERN_FOREST_OUTPUTS_MAX);
    return TERN_OK;
}

/* ---- outputs ---- */

static enum tern_code give_label(struct tern_sklearn *s, const struct tern_op_decide *decide,
                                 uint32_t scores, struct tern_err *err)
{
    const struct tern_tensor_spec output = {
        .name = TERN_STR("label"), .dtype = decide->classes.dtype, .shape = {1, {-1}}};

    TERN_TRY(tern_op_decide_label(s->program, decide, &scores, err));
    return tern_program_output(s->program, &output, scores, err);
}

enum tern_code tern_sklearn_decide(struct tern_sklearn *s, const struct tern_op_decide *decide,
                                   uint32_t scores, uint32_t probabilities, struct tern_err *err)
{
    TERN_TRY(give_label(s, decide, scores, err));
    TERN_TRY(tern_op_classes_label(s->program, probabilities, &decide->classes, err));
    return tern_sklearn_give(s, "probabilities", probabilities, (uint32_t)decide->classes.n, err);
}

enum tern_code tern_sklearn_decide_scores(struct tern_sklearn *s,
                                          const struct tern_op_decide *decide, uint32_t scores,
                                          uint32_t width, struct tern_err *err)
{
    TERN_TRY(give_label(s, decide, scores, err));
    if (width == decide->classes.n)
        TERN_TRY(tern_op_classes_label(s->program, scores, &decide->classes, err));
    return tern_sklearn_give(s, "scores", scores, width, err);
}
