/* New columns of several old ones: projections, and products. */
#include <float.h>
#include <math.h>

#include "engine/native/sklearn/sklearn.h"

#define DEGREE_MAX  16
#define COLUMNS_MAX (1u << 20)

/* ---- PCA, TruncatedSVD ---- */

/* PCA's mean is taken off after the projection, as it does. */
static enum tern_code centre(struct tern_sklearn *s, const struct tern_skops_node *node,
                             const struct tern_skops_reals *components, double *bias, size_t k,
                             struct tern_err *err)
{
    const double *mean = NULL;

    TERN_TRY(tern_skops_vector(&s->skops, node, "mean_", s->width, &mean, err));
    for (size_t j = 0; j < k; j++) {
        bias[j] = 0;
        for (size_t i = 0; i < s->width; i++)
            bias[j] += mean[i] * components->p[j * s->width + i];
    }
    return tern_sklearn_apply(s, "Sub", bias, k, &s->value, err);
}

static enum tern_code whiten(struct tern_sklearn *s, const struct tern_skops_node *node,
                             double *scale, size_t k, struct tern_err *err)
{
    const double *variance = NULL;

    TERN_TRY(tern_skops_vector(&s->skops, node, "explained_variance_", k, &variance, err));
    for (size_t j = 0; j < k; j++)
        scale[j] = fmax(sqrt(variance[j]), DBL_EPSILON);
    return tern_sklearn_apply(s, "Div", scale, k, &s->value, err);
}

enum tern_code tern_sklearn_projection(struct tern_sklearn *s, const struct tern_skops_node *node,
                                       struct tern_err *err)
{
    struct tern_arena *arena = s->program->arena;
    struct tern_skops_reals components = {.n = 0};
    bool whitens = false;

    TERN_TRY(tern_skops_reals(&s->skops, node, "components_", &components, err));
    if (components.rank != 2 || components.dim[1] != s->width || components.dim[0] < 1 ||
        components.dim[0] > TERN_SKLEARN_WIDTH_MAX)
        return tern_skops_fail(tern_skops_find(node, "components_"), TERN_INVALID_ARGUMENT, err,
                               "expected rows of %u numbers", s->width);
    size_t k = (size_t)components.dim[0], m = s->width;
    double *weights = tern_arena_alloc(arena, 64, components.n * sizeof(*weights));
    double *row = tern_arena_alloc(s->skops.scratch, 8, k * sizeof(*row));
    if (weights == NULL || row == NULL)
        return tern_arena_fail(arena, err, "components");
    for (size_t j = 0; j < k; j++)
        for (size_t i = 0; i < m; i++)
            weights[i * k + j] = components.p[j * m + i];
    const struct tern_linear linear = {.weights = weights,
                                       .n_features = s->width,
                                       .n_outputs = (uint32_t)k,
                                       .dtype = TERN_DTYPE_FP64};
    TERN_TRY(tern_op_linear(s->program, &linear, &s->value, err));
    if (tern_skops_is(node, "PCA")) {
        TERN_TRY(centre(s, node, &components, row, k, err));
        TERN_TRY(tern_skops_bool(&s->skops, node, "whiten", &whitens, err));
        if (whitens)
            TERN_TRY(whiten(s, node, row, k, err));
    }
    s->width = (uint32_t)k;
    return TERN_OK;
}

/* ---- PolynomialFeatures ---- */

/* Products of one degree, in order: each is a column times a product of the degree below, whose
 * first column is not before that one. */
struct level {
    uint32_t value;
    uint32_t n;
    uint32_t *first; /* of each product: its first column */
};

struct polynomial {
    uint32_t columns; /* the value of degree 1 */
    bool is_interaction_only;
    struct level level;
};

static enum tern_code count_products(const struct polynomial *p, uint32_t width, uint32_t *ret,
                                     const struct tern_skops_node *node, struct tern_err *err)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < p->level.n; i++)
        n += p->level.first[i] + (p->is_interaction_only ? 0 : 1);
    if (n > COLUMNS_MAX || n + width > COLUMNS_MAX)
        return tern_skops_fail(node, TERN_RESOURCE_EXHAUSTED, err, "more than %u products",
                               COLUMNS_MAX);
    *ret = (uint32_t)n;
    return TERN_OK;
}

static enum tern_code next_level(struct tern_sklearn *s, struct polynomial *p,
                                 const struct tern_skops_node *node, struct tern_err *err)
{
    struct tern_arena *scratch = s->skops.scratch;
    uint32_t n = 0, at = 0, left = p->columns, right = p->level.value;

    TERN_TRY(count_products(p, s->width, &n, node, err));
    int64_t *lefts = tern_arena_zalloc(scratch, n + 1u, sizeof(*lefts));
    int64_t *rights = tern_arena_zalloc(scratch, n + 1u, sizeof(*rights));
    uint32_t *first = tern_arena_zalloc(scratch, n + 1u, sizeof(*first));
    if (lefts == NULL || rights == NULL || first == NULL)
        return tern_arena_fail(scratch, err, "products of columns");
    for (uint32_t column = 0; column < s->width; column++) {
        for (uint32_t i = 0; i < p->level.n; i++) {
            if (p->level.first[i] < column + (p->is_interaction_only ? 1 : 0))
                continue;
            lefts[at] = column;
            rights[at] = i;
            first[at++] = column;
        }
    }
    p->level.n = n;
    p->level.first = first;
    if (n == 0)
        return TERN_OK;
    TERN_TRY(tern_sklearn_pick(s, lefts, n, &left, err));
    TERN_TRY(tern_sklearn_pick(s, rights, n, &right, err));
    const struct tern_sklearn_input parts[] = {{.value = right}, {.value = left}};
    return tern_sklearn_step(s, "Mul", parts, 2, &p->level.value, err);
}

/* A column of ones, as many as there are rows. */
static enum tern_code make_ones(struct tern_sklearn *s, uint32_t *ret_value, struct tern_err *err)
{
    static const double one = 1;
    static const int64_t first = 0;
    struct tern_tensor ones;

    TERN_TRY(tern_sklearn_row(s, &one, 1, &ones, err));
    TERN_TRY(tern_sklearn_pick(s, &first, 1, ret_value, err));
    const struct tern_sklearn_input same[] = {{.value = *ret_value}, {.value = *ret_value}};
    TERN_TRY(tern_sklearn_step(s, "Equal", same, 2, ret_value, err));
    const struct tern_sklearn_input choice[] = {
        {.value = *ret_value}, {.constant = &ones}, {.constant = &ones}};
    return tern_sklearn_step(s, "Where", choice, 3, ret_value, err);
}

static enum tern_code begin_polynomial(struct tern_sklearn *s, struct polynomial *p,
                                       struct tern_err *err)
{
    p->columns = s->value;
    p->level = (struct level){.value = s->value, .n = s->width};
    p->level.first = tern_arena_zalloc(s->skops.scratch, s->width, sizeof(*p->level.first));
    if (p->level.first == NULL)
        return tern_arena_fail(s->skops.scratch, err, "products of columns");
    for (uint32_t i = 0; i < s->width; i++)
        p->level.first[i] = i;
    return TERN_OK;
}

enum tern_code tern_sklearn_polynomial(struct tern_sklearn *s, const struct tern_skops_node *node,
                                       struct tern_err *err)
{
    struct tern_sklearn_input parts[DEGREE_MAX + 1];
    struct polynomial p;
    int64_t min = 0, max = 0;
    uint32_t n = 0, width = 0;
    bool has_bias = false;

    TERN_TRY(tern_skops_integer(&s->skops, node, "_max_degree", 0, DEGREE_MAX, &max, err));
    TERN_TRY(tern_skops_integer(&s->skops, node, "_min_degree", 0, max, &min, err));
    TERN_TRY(tern_skops_bool(&s->skops, node, "interaction_only", &p.is_interaction_only, err));
    TERN_TRY(tern_skops_bool(&s->skops, node, "include_bias", &has_bias, err));
    TERN_TRY(tern_op_cast(s->program, TERN_DTYPE_FP64, &s->value, err));
    TERN_TRY(begin_polynomial(s, &p, err));
    if (has_bias) {
        parts[n] = (struct tern_sklearn_input){.value = s->value};
        TERN_TRY(make_ones(s, &parts[n++].value, err));
        width++;
    }
    for (int64_t degree = 1; degree <= max && p.level.n > 0; degree++) {
        if (degree > 1)
            TERN_TRY(next_level(s, &p, node, err));
        if (degree < min || p.level.n == 0)
            continue;
        parts[n++] = (struct tern_sklearn_input){.value = p.level.value};
        width += p.level.n;
    }
    if (n == 0)
        return tern_skops_fail(node, TERN_INVALID_ARGUMENT, err, "it makes no columns");
    s->width = width;
    s->value = parts[0].value;
    return n == 1 ? TERN_OK : tern_sklearn_join(s, parts, n, &s->value, err);
}
