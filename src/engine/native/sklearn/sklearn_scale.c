/* Scalers, imputers, normalizers: columns stay what they are. */
#include <math.h>

#include "engine/native/sklearn/sklearn.h"

/* x op attribute, one number a column; nothing where the attribute is None. */
static enum tern_code by_column(struct tern_sklearn *s, const struct tern_skops_node *node,
                                const char *op_type, const char *key, struct tern_err *err)
{
    const struct tern_skops_node *child = NULL;
    const double *numbers = NULL;

    TERN_TRY(tern_skops_want(node, key, &child, err));
    if (tern_skops_is_null(child))
        return TERN_OK;
    TERN_TRY(tern_skops_vector(&s->skops, node, key, s->width, &numbers, err));
    return tern_sklearn_apply(s, op_type, numbers, s->width, &s->value, err);
}

/* When the setting is true; an unset one leaves columns as they are whatever the numbers say. */
static enum tern_code by_column_if(struct tern_sklearn *s, const struct tern_skops_node *node,
                                   const char *setting, const char *op_type, const char *key,
                                   struct tern_err *err)
{
    bool is_set = false;

    TERN_TRY(tern_skops_bool(&s->skops, node, setting, &is_set, err));
    return is_set ? by_column(s, node, op_type, key, err) : TERN_OK;
}

enum tern_code tern_sklearn_standard(struct tern_sklearn *s, const struct tern_skops_node *node,
                                     struct tern_err *err)
{
    TERN_TRY(by_column_if(s, node, "with_mean", "Sub", "mean_", err));
    return by_column_if(s, node, "with_std", "Div", "scale_", err);
}

enum tern_code tern_sklearn_robust(struct tern_sklearn *s, const struct tern_skops_node *node,
                                   struct tern_err *err)
{
    TERN_TRY(by_column_if(s, node, "with_centering", "Sub", "center_", err));
    return by_column_if(s, node, "with_scaling", "Div", "scale_", err);
}

/* Between two numbers, NaN being neither. */
static enum tern_code clip(struct tern_sklearn *s, const struct tern_skops_node *node, double low,
                           double high, struct tern_err *err)
{
    bool clips = false;

    TERN_TRY(tern_skops_bool(&s->skops, node, "clip", &clips, err));
    if (!clips)
        return TERN_OK;
    TERN_TRY(tern_sklearn_apply(s, "Max", &low, 1, &s->value, err));
    return tern_sklearn_apply(s, "Min", &high, 1, &s->value, err);
}

enum tern_code tern_sklearn_min_max(struct tern_sklearn *s, const struct tern_skops_node *node,
                                    struct tern_err *err)
{
    const double *range = NULL;

    TERN_TRY(tern_skops_vector(&s->skops, node, "feature_range", 2, &range, err));
    TERN_TRY(by_column(s, node, "Mul", "scale_", err));
    TERN_TRY(by_column(s, node, "Add", "min_", err));
    return clip(s, node, range[0], range[1], err);
}

enum tern_code tern_sklearn_max_abs(struct tern_sklearn *s, const struct tern_skops_node *node,
                                    struct tern_err *err)
{
    TERN_TRY(by_column(s, node, "Div", "scale_", err));
    return clip(s, node, -1, 1, err);
}

/* ---- Normalizer ---- */

static const int64_t last_axis = 1;
static const struct tern_tensor axes = {.dtype = TERN_DTYPE_INT64,
                                        .shape = {1, {1}},
                                        .data = (void *)(uintptr_t)&last_axis,
                                        .n_bytes = sizeof(last_axis)};

/* Rows of zeros stay. */
static enum tern_code divide_by(struct tern_sklearn *s, uint32_t norm, struct tern_err *err)
{
    static const double zero = 0, one = 1;
    struct tern_tensor ones;
    uint32_t is_zero = norm;

    TERN_TRY(tern_sklearn_apply(s, "Equal", &zero, 1, &is_zero, err));
    TERN_TRY(tern_sklearn_row(s, &one, 1, &ones, err));
    const struct tern_sklearn_input choice[] = {
        {.value = is_zero}, {.constant = &ones}, {.value = norm}};
    TERN_TRY(tern_sklearn_step(s, "Where", choice, 3, &norm, err));
    const struct tern_sklearn_input parts[] = {{.value = s->value}, {.value = norm}};
    return tern_sklearn_step(s, "Div", parts, 2, &s->value, err);
}

enum tern_code tern_sklearn_normalizer(struct tern_sklearn *s, const struct tern_skops_node *node,
                                       struct tern_err *err)
{
    static const char *const norms[] = {"l2", "l1", "max", NULL};
    static const char *const ops[] = {"ReduceL2", "ReduceL1", "ReduceMax"};
    uint32_t norm = 0, length = s->value;

    TERN_TRY(tern_skops_choice(&s->skops, node, "norm", norms, &norm, err));
    if (norm == 2)
        TERN_TRY(tern_sklearn_map(s, "Abs", &length, err));
    const struct tern_sklearn_input inputs[] = {{.value = length}, {.constant = &axes}};
    TERN_TRY(tern_sklearn_step(s, ops[norm], inputs, 2, &length, err));
    return divide_by(s, length, err);
}

/* ---- SimpleImputer ---- */

struct imputer {
    double missing; /* NaN: what is not a number */
    const double *values;
    uint32_t is_there; /* BOOL, of each element */
};

/* NaN is the only number that is not equal to itself. */
static enum tern_code find_missing(struct tern_sklearn *s, struct imputer *imputer,
                                   struct tern_err *err)
{
    const struct tern_sklearn_input self[] = {{.value = s->value}, {.value = s->value}};

    if (isnan(imputer->missing))
        return tern_sklearn_step(s, "Equal", self, 2, &imputer->is_there, err);
    imputer->is_there = s->value;
    TERN_TRY(tern_sklearn_apply(s, "Equal", &imputer->missing, 1, &imputer->is_there, err));
    return tern_sklearn_map(s, "Not", &imputer->is_there, err);
}

/* Columns in which the training found something missing, as zeros and ones. */
static enum tern_code make_indicator(struct tern_sklearn *s, const struct tern_skops_node *node,
                                     const struct imputer *imputer, uint32_t *ret_value,
                                     uint32_t *ret_width, struct tern_err *err)
{
    static const double bits[] = {0, 1};
    const struct tern_skops_node *indicator = NULL;
    struct tern_skops_reals features = {.n = 0};
    struct tern_tensor zero, one;

    TERN_TRY(tern_skops_want(node, "indicator_", &indicator, err));
    TERN_TRY(tern_skops_reals(&s->skops, indicator, "features_", &features, err));
    int64_t *columns = tern_arena_zalloc(s->skops.scratch, features.n + 1, sizeof(*columns));
    if (columns == NULL)
        return tern_arena_fail(s->skops.scratch, err, "columns");
    for (size_t i = 0; i < features.n; i++) {
        if (!(features.p[i] >= 0 && features.p[i] < s->width))
            return tern_skops_fail(indicator, TERN_INVALID_ARGUMENT, err,
                                   "column %.0f, there are %u", features.p[i], s->width);
        columns[i] = (int64_t)features.p[i];
    }
    *ret_width = (uint32_t)features.n;
    if (features.n == 0)
        return TERN_OK;
    TERN_TRY(tern_sklearn_row(s, &bits[0], 1, &zero, err));
    TERN_TRY(tern_sklearn_row(s, &bits[1], 1, &one, err));
    const struct tern_sklearn_input choice[] = {
        {.value = imputer->is_there}, {.constant = &zero}, {.constant = &one}};
    TERN_TRY(tern_sklearn_step(s, "Where", choice, 3, ret_value, err));
    return tern_sklearn_pick(s, columns, features.n, ret_value, err);
}

/* Columns of which nothing was known are dropped. */
static enum tern_code impute(struct tern_sklearn *s, const struct imputer *imputer,
                             struct tern_err *err)
{
    int64_t *columns = tern_arena_zalloc(s->skops.scratch, s->width, sizeof(*columns));
    struct tern_tensor row;
    uint32_t n = 0;

    if (columns == NULL)
        return tern_arena_fail(s->skops.scratch, err, "columns");
    for (uint32_t i = 0; i < s->width; i++)
        if (!isnan(imputer->values[i]))
            columns[n++] = i;
    TERN_TRY(tern_sklearn_row(s, imputer->values, s->width, &row, err));
    const struct tern_sklearn_input choice[] = {
        {.value = imputer->is_there}, {.value = s->value}, {.constant = &row}};
    TERN_TRY(tern_sklearn_step(s, "Where", choice, 3, &s->value, err));
    if (n == s->width)
        return TERN_OK;
    if (n == 0)
        return tern_fail(err, TERN_UNIMPLEMENTED, "SimpleImputer drops all columns");
    s->width = n;
    return tern_sklearn_pick(s, columns, n, &s->value, err);
}

/* Texts: the empty one stands for what is missing. */
static enum tern_code impute_texts(struct tern_sklearn *s, const struct tern_skops_node *node,
                                   const struct tern_skops_node *statistics, struct tern_err *err)
{
    static const char nothing[4];
    const struct tern_tensor empty = {.dtype = TERN_DTYPE_BYTES,
                                      .shape = {1, {1}},
                                      .data = (void *)(uintptr_t)nothing,
                                      .n_bytes = sizeof(nothing)};
    const struct tern_skops_node *missing = NULL;
    const struct tern_str *texts = NULL;
    struct tern_tensor row;
    uint32_t is_missing = 0;
    bool indicates = false;
    size_t n = 0;

    TERN_TRY(tern_skops_want(node, "missing_values", &missing, err));
    TERN_TRY(tern_skops_bool(&s->skops, node, "add_indicator", &indicates, err));
    if (indicates || (!tern_skops_is_null(missing) && !tern_str_eq(missing->text, TERN_STR("NaN"))))
        return tern_sklearn_refuse(node, "of texts only those that are NaN or None are imputed",
                                   err);
    TERN_TRY(tern_skops_texts(&s->skops, statistics, &texts, &n, err));
    if (n != s->width || s->program->values[s->value].tensor.dtype != TERN_DTYPE_BYTES)
        return tern_skops_fail(statistics, TERN_INVALID_ARGUMENT, err,
                               "%zu texts, for %u columns of texts", n, s->width);
    TERN_TRY(tern_sklearn_texts(s, texts, n, &row, err));
    const struct tern_sklearn_input both[] = {{.value = s->value}, {.constant = &empty}};
    TERN_TRY(tern_sklearn_step(s, "Equal", both, 2, &is_missing, err));
    const struct tern_sklearn_input choice[] = {
        {.value = is_missing}, {.constant = &row}, {.value = s->value}};
    return tern_sklearn_step(s, "Where", choice, 3, &s->value, err);
}

enum tern_code tern_sklearn_imputer(struct tern_sklearn *s, const struct tern_skops_node *node,
                                    struct tern_err *err)
{
    struct tern_skops_reals values = {.n = 0};
    const struct tern_skops_node *statistics = NULL;
    struct imputer imputer;
    uint32_t indicator = 0, n_indicators = 0;
    bool indicates = false, has_texts = false;

    TERN_TRY(tern_skops_want(node, "statistics_", &statistics, err));
    TERN_TRY(tern_sklearn_has_texts(s, statistics, &has_texts, err));
    if (has_texts)
        return impute_texts(s, node, statistics, err);
    TERN_TRY(tern_skops_real(&s->skops, node, "missing_values", &imputer.missing, err));
    TERN_TRY(tern_skops_bool(&s->skops, node, "add_indicator", &indicates, err));
    TERN_TRY(tern_skops_node_reals(&s->skops, statistics, &values, err));
    if (values.n != s->width)
        return tern_skops_fail(statistics, TERN_INVALID_ARGUMENT, err,
                               "expected %u numbers, got %zu", s->width, values.n);
    imputer.values = values.p;
    TERN_TRY(find_missing(s, &imputer, err));
    if (indicates)
        TERN_TRY(make_indicator(s, node, &imputer, &indicator, &n_indicators, err));
    TERN_TRY(impute(s, &imputer, err));
    if (n_indicators == 0)
        return TERN_OK;
    const struct tern_sklearn_input parts[] = {{.value = s->value}, {.value = indicator}};
    s->width += n_indicators;
    return tern_sklearn_join(s, parts, 2, &s->value, err);
}

/* ---- FunctionTransformer ---- */

/* As ColumnTransformer makes one of what it passes through. */
enum tern_code tern_sklearn_function(struct tern_sklearn *s, const struct tern_skops_node *node,
                                     struct tern_err *err)
{
    (void)s;
    if (!tern_skops_is_null(tern_skops_find(node, "func")))
        return tern_sklearn_refuse(node, "its function is Python", err);
    return TERN_OK;
}
