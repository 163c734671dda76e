/* How models are put together: one by itself, trees in a Segmentation, or a chain, in which sums of
 * trees are the predictors of a regression. */
#include <math.h>

#include "base/compiler.h"
#include "engine/native/pmml/pmml_int.h"

const struct tern_pmml_number tern_pmml_no_targets = {
    1, 1, 0, -(double)INFINITY, (double)INFINITY, TERN_PMML_CAST_NONE};

/* ---- what stands in each model ---- */

/* A chain's model says by the name of its one OutputField what its score is called. */
static enum tern_code read_output(struct tern_pmml *p, bool names_score, struct tern_err *err)
{
    static const char *const features[] = {"predictedValue", NULL};
    struct tern_str name;
    uint32_t at;
    bool more = true;

    if (!names_score)
        return tern_pmml_skip(p, err);
    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            return TERN_OK;
        if (!tern_pmml_is(p, "OutputField"))
            return tern_pmml_refuse(p, "expected OutputField", err);
        TERN_TRY(tern_pmml_choice(p, "feature", features, 0, &at, err));
        TERN_TRY(tern_pmml_want(p, "name", &name, err));
        TERN_TRY(tern_pmml_names_find(p, &p->scores, name, true, &at, err));
        if (at != p->forest.output)
            return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                                  "a model of a chain has one OutputField with a name of its own");
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (more)
            return tern_pmml_refuse(p, "an OutputField in a chain is the score itself", err);
    }
}

static enum tern_code read_target(struct tern_pmml *p, struct tern_pmml_number *n,
                                  struct tern_err *err)
{
    static const char *const casts[] = {"", "round", "ceiling", "floor", NULL};
    bool more = true;
    uint32_t cast;

    TERN_TRY(tern_pmml_number(p, "rescaleFactor", 1, &n->factor, err));
    TERN_TRY(tern_pmml_number(p, "rescaleConstant", 0, &n->constant, err));
    TERN_TRY(tern_pmml_number(p, "min", -(double)INFINITY, &n->low, err));
    TERN_TRY(tern_pmml_number(p, "max", (double)INFINITY, &n->high, err));
    TERN_TRY(tern_pmml_choice(p, "castInteger", casts, 0, &cast, err));
    n->cast = (enum tern_pmml_cast)cast;
    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            return TERN_OK;
        if (!tern_pmml_is(p, "TargetValue"))
            return tern_pmml_refuse(p, "expected TargetValue", err);
        TERN_TRY(tern_pmml_skip(p, err)); /* prior probabilities and names to be shown */
    }
}

static bool is_unbounded(const struct tern_pmml_number *n)
{
    return n->cast == TERN_PMML_CAST_NONE && !isfinite(n->low) && !isfinite(n->high);
}

double tern_pmml_folded(const struct tern_pmml_number *n)
{
    return is_unbounded(n) ? n->factor : 1;
}

static enum tern_code read_targets(struct tern_pmml *p, const struct tern_pmml_context *context,
                                   struct tern_err *err)
{
    bool more = true;

    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            return TERN_OK;
        if (!tern_pmml_is(p, "Target"))
            return tern_pmml_refuse(p, "expected Target", err);
        TERN_TRY(read_target(p, context->number, err));
        const struct tern_pmml_number *n = context->number;
        bool is_bounded = n->cast != TERN_PMML_CAST_NONE || isfinite(n->low) || isfinite(n->high);
        if (!context->is_outermost && is_bounded)
            return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                                  "min, max and castInteger within a model of models are not "
                                  "served");
    }
}

static enum tern_code read_common(struct tern_pmml *p, const struct tern_pmml_context *context,
                                  bool *ret_is_common, struct tern_err *err)
{
    static const char *const passed[] = {"ModelStats", "ModelExplanation", "ModelVerification"};

    *ret_is_common = true;
    if (tern_pmml_is(p, "MiningSchema"))
        return context->is_outermost ? tern_pmml_skip(p, err) /* it was read before */
                                     : tern_pmml_read_schema(p, false, err);
    if (tern_pmml_is(p, "Output"))
        return read_output(p, context->names_score, err);
    if (tern_pmml_is(p, "Targets"))
        return read_targets(p, context, err);
    if (tern_pmml_is(p, "LocalTransformations"))
        return tern_pmml_read_transformations(p, err);
    for (size_t i = 0; i < TERN_COUNT_OF(passed); i++)
        if (tern_pmml_is(p, passed[i]))
            return tern_pmml_skip(p, err);
    *ret_is_common = false;
    return TERN_OK;
}

enum tern_code tern_pmml_part(struct tern_pmml *p, const struct tern_pmml_context *context,
                              bool *ret_more, struct tern_err *err)
{
    bool is_common = true;

    while (is_common) {
        TERN_TRY(tern_pmml_child(p, ret_more, err));
        if (!*ret_more)
            return TERN_OK;
        TERN_TRY(read_common(p, context, &is_common, err));
    }
    return TERN_OK;
}

/* ---- classes ---- */

/* Those of the target that its DataField lists. */
enum tern_code tern_pmml_find_classes(struct tern_pmml *p, struct tern_err *err)
{
    uint32_t at;

    if (!p->is_classification || p->classes.n > 0)
        return TERN_OK;
    if (p->target == TERN_PMML_NONE)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                              "the MiningSchema of the outermost model names no target");
    const struct tern_pmml_field *field = &p->fields[p->target];
    for (size_t i = 0; i < field->n_values; i++)
        if (field->kinds[i] == TERN_PMML_VALID)
            TERN_TRY(tern_pmml_names_find(p, &p->classes, field->values[i], true, &at, err));
    if (p->classes.n == 0)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                              "the DataField of target '%.*s' lists no values: write one Value for "
                              "each class",
                              TERN_STR_ARG(field->name));
    if (p->classes.n > TERN_FOREST_OUTPUTS_MAX)
        return tern_pmml_fail(p, TERN_RESOURCE_EXHAUSTED, err, "%zu classes, %u are served at most",
                              p->classes.n, TERN_FOREST_OUTPUTS_MAX);
    return TERN_OK;
}

enum tern_code tern_pmml_class_of(struct tern_pmml *p, struct tern_str text, uint32_t *ret,
                                  struct tern_err *err)
{
    TERN_TRY(tern_pmml_names_find(p, &p->classes, text, false, ret, err));
    if (*ret != TERN_PMML_NONE)
        return TERN_OK;
    return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                          "'%.*s' is none of the classes that the DataField of the target lists",
                          (int)(text.n > 64 ? 64 : text.n), text.p);
}

/* ---- forests ---- */

enum tern_code tern_pmml_begin_forest(struct tern_pmml *p, enum tern_forest_combine combine,
                                      struct tern_err *err)
{
    struct tern_pmml_forest *f = &p->forest;

    TERN_TRY(tern_pmml_find_classes(p, err));
    f->sums = combine == TERN_FOREST_SUM;
    f->is_vector = p->is_classification && !p->is_chain;
    f->n_outputs = f->is_vector ? (uint32_t)p->classes.n : 1;
    f->rounds_input = tern_pmml_all_float(p) && p->n_ends == 0;
    struct tern_forest_settings settings = {
        .n_features = p->n_columns,
        .n_outputs = f->n_outputs,
        .float_input = f->rounds_input,
        .float_sum = f->is_float,
        .combine = combine,
    };
    TERN_TRY(tern_forest_builder_new(&settings, &f->builder, err));
    settings.n_outputs = 1;
    settings.combine = TERN_FOREST_SUM;
    settings.float_sum = false;
    TERN_TRY(tern_forest_builder_new(&settings, &f->guard, err));
    bool is_alone = f->is_vector && !p->is_segmented;
    return is_alone ? tern_forest_builder_new(&settings, &f->labels, err) : TERN_OK;
}

enum tern_code tern_pmml_widen(struct tern_pmml *p, uint32_t n_columns, uint32_t n_outputs,
                               struct tern_err *err)
{
    struct tern_pmml_forest *f = &p->forest;

    if (f->builder == NULL)
        return TERN_OK;
    f->n_outputs = n_outputs;
    TERN_TRY(tern_forest_builder_widen(f->builder, n_columns, n_outputs, err));
    TERN_TRY(tern_forest_builder_widen(f->guard, n_columns, 1, err));
    return f->labels == NULL ? TERN_OK : tern_forest_builder_widen(f->labels, n_columns, 1, err);
}

/* What is added to a sum is a tree of one leaf. */
static enum tern_code add_constant(struct tern_pmml *p, double *constant, struct tern_err *err)
{
    const struct tern_forest_node leaf = {.test = TERN_FOREST_LEAF};
    const struct tern_forest_tree tree = {.nodes = &leaf,
                                          .n_nodes = 1,
                                          .values = constant,
                                          .n_leaves = 1,
                                          .output = p->forest.output};

    if (*constant == 0)
        return TERN_OK;
    TERN_TRY(tern_forest_builder_add_tree(p->forest.builder, &tree, err));
    *constant = 0;
    return TERN_OK;
}

/* ---- segments ---- */

enum method { SUM, AVERAGE, WEIGHTED_AVERAGE, WEIGHTED_SUM, VOTE, WEIGHTED_VOTE, CHAIN };

static enum tern_code read_method(struct tern_pmml *p, enum method *ret, struct tern_err *err)
{
    static const char *const methods[] = {"sum",
                                          "average",
                                          "weightedAverage",
                                          "weightedSum",
                                          "majorityVote",
                                          "weightedMajorityVote",
                                          "modelChain",
                                          NULL};
    static const char *const missing[] = {"continue", "returnMissing", NULL};
    struct tern_str text;
    uint32_t treatment, which;

    TERN_TRY(tern_pmml_choice(p, "missingPredictionTreatment", missing, 0, &treatment, err));
    TERN_TRY(tern_pmml_want(p, "multipleModelMethod", &text, err));
    TERN_TRY(tern_pmml_choice(p, "multipleModelMethod", methods, 0, &which, err));
    *ret = (enum method)which;
    bool adds = *ret == SUM || *ret == WEIGHTED_SUM, votes = *ret == VOTE || *ret == WEIGHTED_VOTE;
    p->forest.abstains = votes && treatment == 0;
    if (p->is_classification && !p->is_chain ? adds : votes)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                              "multipleModelMethod \"%.*s\" does not fit functionName",
                              TERN_STR_ARG(text));
    return TERN_OK;
}

/* The predicate, and the BEGIN of the model that follows it. */
static enum tern_code enter_segment(struct tern_pmml *p, double *ret_weight, struct tern_err *err)
{
    bool more = true;

    if (!tern_pmml_is(p, "Segment"))
        return tern_pmml_refuse(p, "expected Segment", err);
    TERN_TRY(tern_pmml_number(p, "weight", 1, ret_weight, err));
    TERN_TRY(tern_pmml_child(p, &more, err));
    if (more && !tern_pmml_is(p, "True"))
        return tern_pmml_refuse(p, "the predicate of a Segment is True", err);
    if (more) {
        TERN_TRY(tern_pmml_skip(p, err));
        TERN_TRY(tern_pmml_child(p, &more, err));
    }
    return more ? TERN_OK : tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "there is no model");
}

static enum tern_code leave_segment(struct tern_pmml *p, struct tern_err *err)
{
    bool more = true;

    TERN_TRY(tern_pmml_child(p, &more, err));
    return more ? tern_pmml_refuse(p, "a Segment is one model", err) : TERN_OK;
}

enum function { CLASSIFICATION, REGRESSION };

static enum tern_code read_function(struct tern_pmml *p, enum function *ret, struct tern_err *err)
{
    static const char *const functions[] = {"classification", "regression", NULL};
    struct tern_str text;
    uint32_t which;

    TERN_TRY(tern_pmml_want(p, "functionName", &text, err));
    TERN_TRY(tern_pmml_choice(p, "functionName", functions, 0, &which, err));
    if (tern_str_eq(tern_pmml_get(p, "isScorable"), TERN_STR("false")))
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err, "isScorable=\"false\"");
    *ret = (enum function)which;
    return TERN_OK;
}

/* A tree of a segmentation: of what its model is made of. */
static enum tern_code read_member(struct tern_pmml *p, const struct tern_pmml_context *context,
                                  enum function wanted, struct tern_err *err)
{
    struct tern_pmml_number number = tern_pmml_no_targets;
    const struct tern_pmml_context own = {
        .weight = context->weight * tern_pmml_folded(context->number), .number = &number};
    enum function function;

    if (!tern_pmml_is(p, "TreeModel"))
        return tern_pmml_refuse(p, "a Segmentation that is no modelChain is one of TreeModel", err);
    TERN_TRY(read_function(p, &function, err));
    if (function != wanted)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                              "its functionName is not that of the whole");
    TERN_TRY(tern_pmml_read_tree(p, &own, err));
    if (number.factor != 1 || number.constant != 0)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                              "Targets of a single tree of many are not served");
    return TERN_OK;
}

/* All segments; answers what they weigh together. */
static enum tern_code read_members(struct tern_pmml *p, const struct tern_pmml_context *context,
                                   bool is_weighted, double *ret_total, struct tern_err *err)
{
    enum function wanted = p->forest.is_vector ? CLASSIFICATION : REGRESSION;
    struct tern_pmml_context own = *context;
    bool more = true;
    uint32_t n = 0;

    *ret_total = 0;
    for (;; n++) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            break;
        TERN_TRY(enter_segment(p, &own.weight, err));
        if (!is_weighted)
            own.weight = 1;
        *ret_total += own.weight;
        TERN_TRY(read_member(p, &own, wanted, err));
        TERN_TRY(leave_segment(p, err));
    }
    if (n == 0 || !(*ret_total > 0))
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                              n == 0 ? "there is no Segment" : "the weights add up to nothing");
    return TERN_OK;
}

/* ---- chains ---- */

/* A sum of trees within a chain. */
static enum tern_code read_sum(struct tern_pmml *p, const struct tern_pmml_context *context,
                               struct tern_err *err)
{
    bool more = true, has_segments = false;
    enum method method;
    double total;

    for (;;) {
        TERN_TRY(tern_pmml_part(p, context, &more, err));
        if (!more)
            break;
        if (!tern_pmml_is(p, "Segmentation") || has_segments)
            return tern_pmml_refuse(p, "a MiningModel is one Segmentation", err);
        has_segments = true;
        TERN_TRY(read_method(p, &method, err));
        if (method != SUM)
            return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                                  "multipleModelMethod within a chain is not served but for sum");
        TERN_TRY(read_members(p, context, false, &total, err));
    }
    return has_segments ? TERN_OK
                        : tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "there is no Segmentation");
}

/* Any model of a chain but the last. */
static enum tern_code read_link(struct tern_pmml *p, struct tern_err *err)
{
    struct tern_pmml_number number = tern_pmml_no_targets;
    const struct tern_pmml_context context = {.names_score = true, .weight = 1, .number = &number};
    bool is_tree = tern_pmml_is(p, "TreeModel");
    uint32_t line = p->event.line;
    enum function function;

    TERN_TRY(read_function(p, &function, err));
    if (function != REGRESSION)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                              "a classification within a chain is not served");
    p->forest.output = (uint32_t)p->scores.n;
    TERN_TRY(tern_pmml_widen(p, p->n_columns, p->forest.output + 1, err));
    TERN_TRY(is_tree ? tern_pmml_read_tree(p, &context, err) : read_sum(p, &context, err));
    if (p->scores.n != p->forest.output + 1u)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "line %u: a model of a chain has no OutputField", line);
    return add_constant(p, &number.constant, err);
}

static enum tern_code read_chain(struct tern_pmml *p, const struct tern_pmml_context *context,
                                 struct tern_err *err)
{
    const struct tern_pmml_context last = {.weight = 1, .number = context->number};
    enum function function;
    bool more = true;
    double weight;

    p->is_chain = true;
    TERN_TRY(tern_pmml_begin_forest(p, TERN_FOREST_SUM, err));
    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            break;
        TERN_TRY(enter_segment(p, &weight, err));
        if (p->has_regression)
            return tern_pmml_refuse(p, "a chain ends with its RegressionModel", err);
        if (tern_pmml_is(p, "TreeModel") || tern_pmml_is(p, "MiningModel")) {
            TERN_TRY(read_link(p, err));
        } else if (tern_pmml_is(p, "RegressionModel")) {
            TERN_TRY(read_function(p, &function, err));
            if ((function == CLASSIFICATION) != p->is_classification)
                return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                                      "its functionName is not that of the chain");
            TERN_TRY(tern_pmml_read_regression(p, &last, err));
        } else {
            return tern_pmml_refuse(p, "a chain is of sums of trees and a RegressionModel", err);
        }
        TERN_TRY(leave_segment(p, err));
    }
    if (!p->has_regression || p->scores.n == 0)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                              "a modelChain is served where trees come first and a RegressionModel "
                              "last");
    return TERN_OK;
}

/* ---- the outermost model ---- */

static enum tern_code read_segmentation(struct tern_pmml *p,
                                        const struct tern_pmml_context *context,
                                        struct tern_err *err)
{
    enum method method;
    double total;

    p->is_segmented = true;
    TERN_TRY(read_method(p, &method, err));
    if (method == CHAIN)
        return read_chain(p, context, err);
    bool is_average = method == AVERAGE;
    bool is_weighted = method != SUM && method != VOTE && !is_average;
    p->forest.is_vote = method == VOTE || method == WEIGHTED_VOTE;
    TERN_TRY(tern_pmml_begin_forest(p, is_average ? TERN_FOREST_AVERAGE : TERN_FOREST_SUM, err));
    TERN_TRY(read_members(p, context, is_weighted, &total, err));
    p->total = total;
    p->is_weighted = method == WEIGHTED_AVERAGE;
    if (p->is_weighted)
        p->number.divisor = total;
    return TERN_OK;
}

static enum tern_code read_mining(struct tern_pmml *p, const struct tern_pmml_context *context,
                                  struct tern_err *err)
{
    bool more = true;

    for (;;) {
        TERN_TRY(tern_pmml_part(p, context, &more, err));
        if (!more)
            break;
        if (!tern_pmml_is(p, "Segmentation") || p->is_segmented)
            return tern_pmml_refuse(p, "a MiningModel is one Segmentation", err);
        TERN_TRY(read_segmentation(p, context, err));
    }
    if (!p->is_segmented)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "there is no Segmentation");
    return TERN_OK;
}

/* Scale and shift of a sum of trees are in its trees; what is left to be done is p->number. */
static enum tern_code settle_targets(struct tern_pmml *p, struct tern_err *err)
{
    struct tern_pmml_number *n = &p->number;

    if (p->is_classification)
        *n = tern_pmml_no_targets;
    if (p->forest.builder == NULL || p->is_chain || tern_pmml_folded(n) != n->factor)
        return TERN_OK;
    n->factor = 1; /* the leaves have it */
    bool is_last = n->divisor == 1 && p->forest.sums && is_unbounded(n);
    return is_last ? add_constant(p, &n->constant, err) : TERN_OK;
}

enum tern_code tern_pmml_read_model(struct tern_pmml *p, struct tern_err *err)
{
    const struct tern_pmml_context context = {
        .is_outermost = true, .weight = 1, .number = &p->number};
    bool is_tree = tern_pmml_is(p, "TreeModel"), is_mining = tern_pmml_is(p, "MiningModel");
    enum function function;

    if (!is_tree && !is_mining && !tern_pmml_is(p, "RegressionModel"))
        return tern_pmml_refuse(p, "TreeModel, MiningModel and RegressionModel are", err);
    TERN_TRY(read_function(p, &function, err));
    p->is_classification = function == CLASSIFICATION;
    p->forest.is_float = tern_str_eq(tern_pmml_get(p, "x-mathContext"), TERN_STR("float"));
    if (is_tree)
        TERN_TRY(tern_pmml_read_tree(p, &context, err));
    else if (is_mining)
        TERN_TRY(read_mining(p, &context, err));
    else
        TERN_TRY(tern_pmml_read_regression(p, &context, err));
    return settle_targets(p, err);
}
