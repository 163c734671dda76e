/* One row through a forest: all trees side by side, so that no step waits for another. */
#include <math.h>
#include <string.h>
#include "forest/run_int.h"
#include "simd/half.h"
#include "simd/simd.h"

#define LINE ((size_t)TERN_CACHE_LINE)

/* One piece of memory for all of it: nine would cost a single row as much as twenty trees. */
enum tern_code tern_forest_row_room(struct tern_forest_work *r, struct tern_arena *arena,
                                    struct tern_err *err)
{
    const struct tern_forest *f = r->f;
    size_t n_trees = f->n_heads > f->n_trees ? f->n_heads : f->n_trees;
    struct {
        void *to;
        size_t n_bytes;
    } pieces[] = {
        {&r->row, f->settings.n_features * sizeof(double)},
        {&r->ranks, tern_ranks_room(f)},
        {&r->exits, n_trees * sizeof(*r->exits)},
        {&r->values, n_trees * sizeof(*r->values)},
        {&r->waiting, n_trees * sizeof(*r->waiting)},
        {&r->at, n_trees * sizeof(*r->at)},
        {&r->which, n_trees * sizeof(*r->which)},
        {&r->mixed, f->settings.n_outputs * sizeof(*r->mixed)},
        {&r->begun, f->settings.n_outputs},
    };
    size_t total = 0;
    char *p;

    for (size_t i = 0; i < TERN_COUNT_OF(pieces); i++)
        total += (pieces[i].n_bytes + LINE - 1) / LINE * LINE;
    TERN_TRY(tern_forest_take(arena, &p, total, 1, err));
    for (size_t i = 0; i < TERN_COUNT_OF(pieces); i++) {
        memcpy(pieces[i].to, &p, sizeof(p));
        p += (pieces[i].n_bytes + LINE - 1) / LINE * LINE;
    }
    return TERN_OK;
}

/* ---- leaves ---- */

static const void *tree_nodes(const struct tern_forest *f, uint32_t tree)
{
    return f->nodes != NULL ? (const void *)(f->nodes + f->node_at[tree])
                            : (const void *)(f->wide_nodes + f->node_at[tree]);
}

static void walk_waiting(struct tern_forest_work *r, size_t n)
{
    if (r->f->nodes != NULL)
        tern_tree_walk((const struct tern_tree_node **)r->waiting, r->at, r->which, n, r->ranks,
                       r->exits);
    else
        tern_tree_walk_wide((const struct tern_tree_wide_node **)r->waiting, r->at, r->which, n,
                            r->ranks, r->exits);
}

/* The leaf of each tree, as ~leaf in exits. */
void tern_forest_row_leaves(struct tern_forest_work *r, size_t row)
{
    const struct tern_forest *f = r->f;
    size_t n = 0;

    tern_ranks_row(f, r->rows, row, r->row, r->ranks, 1);
    if (f->path_heads != NULL) {
        tern_simd.tree_path_heads(f->path_heads, f->n_heads, r->ranks, f->n_columns, r->exits);
        return;
    }
    if (f->level_heads != NULL) {
        tern_tree_level_heads(f->level_heads, f->n_heads, r->ranks, f->n_columns, r->exits);
        if (f->depth <= 6)
            return;
    } else {
        for (uint32_t t = 0; t < f->n_trees; t++)
            r->exits[t] = f->trees[t].root;
    }
    /* Without a branch for each: which trees are done cannot be predicted. */
    for (uint32_t t = 0; t < f->n_trees; t++) {
        r->waiting[n] = tree_nodes(f, t);
        r->at[n] = r->exits[t];
        r->which[n] = t;
        n += r->exits[t] >= 0;
    }
    walk_waiting(r, n);
}

static double feature_of(const struct tern_forest_rows *rows, size_t row, uint32_t feature)
{
    size_t at = row * rows->stride + feature;
    return rows->is_double ? ((const double *)rows->data)[at]
                           : (double)((const float *)rows->data)[at];
}

static double linear_value(const struct tern_forest_work *r, const struct tern_linear_leaf *leaf,
                           size_t row, double plain)
{
    double sum = leaf->constant;

    if (!leaf->is_linear)
        return plain;
    for (uint32_t i = 0; i < leaf->n_terms; i++) {
        double x = feature_of(r->rows, row, r->f->term_features[leaf->first_term + i]);
        if (isnan(x))
            return plain;
        sum += r->f->term_coefficients[leaf->first_term + i] * x;
    }
    return sum;
}

static bool is_extreme(const struct tern_forest *f)
{
    return f->settings.combine == TERN_FOREST_MIN || f->settings.combine == TERN_FOREST_MAX;
}

/* Whether v replaces what is there. */
static bool wins(const struct tern_forest *f, double v, double old)
{
    return f->settings.combine == TERN_FOREST_MIN ? v < old : v > old;
}

/* A build for the edge may hold values as halves (forest/emit.h): then this is who reads them. */
static double value_at(const struct tern_forest *f, size_t at)
{
#ifdef TERN_FOREST_HALVES
    return (double)tern_half_to_f32(((const uint16_t *)f->values)[at]);
#else
    return f->settings.float_sum ? (double)((const float *)f->values)[at]
                                 : ((const double *)f->values)[at];
#endif
}

/* Everything that is not a plain sum of single values, in double: a float's sum is rounded to float
 * after each addition, which is what adding floats does. */
static void combine_row(struct tern_forest_work *r, size_t row, double *sums)
{
    const struct tern_forest *f = r->f;
    uint32_t k = f->settings.n_outputs;

    memset(r->begun, 0, k);
    for (uint32_t t = 0; t < f->n_trees; t++) {
        const struct tern_compiled_tree *tree = &f->trees[t];
        uint32_t leaf = (uint32_t)~r->exits[t], n = tree->vector ? k : 1;
        size_t at = tree->first_value + (size_t)leaf * n;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t to = tree->vector ? i : tree->output;
            double v = value_at(f, at + i);
            if (f->linear != NULL)
                v = linear_value(r, &f->linear[tree->first_leaf + leaf], row, v);
            if (is_extreme(f))
                sums[to] = !r->begun[to] || wins(f, v, sums[to]) ? v : sums[to];
            else
                sums[to] = f->settings.float_sum ? (double)(float)(sums[to] + v) : sums[to] + v;
            r->begun[to] = 1;
        }
    }
}

double tern_forest_begin(const struct tern_forest *f, uint32_t output)
{
    return f->settings.base_first ? f->base[output] : 0;
}

float tern_forest_end_f32(const struct tern_forest *f, uint32_t output, float sum)
{
    uint32_t n = f->settings.n_averaged > 0 ? f->settings.n_averaged : f->n_trees;

    if (f->settings.combine == TERN_FOREST_AVERAGE && n > 0)
        sum /= (float)n;
    return f->settings.base_first ? sum : sum + (float)f->base[output];
}

double tern_forest_end_f64(const struct tern_forest *f, uint32_t output, double sum)
{
    uint32_t n = f->settings.n_averaged > 0 ? f->settings.n_averaged : f->n_trees;

    if (f->settings.combine == TERN_FOREST_AVERAGE && n > 0)
        sum /= (double)n;
    return f->settings.base_first ? sum : sum + f->base[output];
}

bool tern_forest_adds(const struct tern_forest *f, enum tern_leaf_kind kind)
{
    return f->leaves == kind && !is_extreme(f);
}

/* Whether the values of all trees are of one kind and are added. */
bool tern_forest_is_sum(const struct tern_forest *f)
{
    return f->leaves != TERN_LEAVES_MIXED && !is_extreme(f);
}

/* ---- sums of a single output ----
 * Additions have to wait for one another. So trees are taken a few at a time: a processor then
 * looks for the next ones' leaves while it adds. */

#define FEW 32 /* a multiple of 8: heads come in so many */

static size_t heads_of_few(const struct tern_forest *f, size_t first)
{
    return f->n_heads - first < FEW ? f->n_heads - first : FEW;
}

static uint32_t end_of_few(const struct tern_forest *f, uint32_t first)
{
    return f->n_trees - first < FEW ? f->n_trees : first + FEW;
}

#define SUM_OF_LEAVES(type, r, row)                                                              \
    {                                                                                            \
        const struct tern_forest *f = (r)->f;                                                    \
        const type *values = f->values;                                                          \
        type sum = (type)tern_forest_begin(f, 0);                                                \
        if (f->path_heads == NULL)                                                               \
            tern_forest_row_leaves((r), (row));                                                  \
        else                                                                                     \
            tern_ranks_row(f, (r)->rows, (row), (r)->row, (r)->ranks, 1);                        \
        for (uint32_t t = 0; t < f->n_trees;) {                                                  \
            uint32_t end = end_of_few(f, t);                                                     \
            if (f->path_heads != NULL)                                                           \
                tern_simd.tree_path_heads(f->path_heads + t / 2, heads_of_few(f, t), (r)->ranks, \
                                          f->n_columns, (r)->exits + t);                         \
            for (; t < end; t++)                                                                 \
                sum += values[f->value_at[t] + (uint32_t) ~(r)->exits[t]];                       \
        }                                                                                        \
        return sum;                                                                              \
    }

static float sum_f32(struct tern_forest_work *r, size_t row)
{
    SUM_OF_LEAVES(float, r, row)
}

static double sum_f64(struct tern_forest_work *r, size_t row)
{
    SUM_OF_LEAVES(double, r, row)
}

/* ---- whole trees whose values come with their heads ---- */

static void find_values(struct tern_forest_work *r, size_t first, size_t n)
{
    const struct tern_forest *f = r->f;

    if (f->value_heads != NULL)
        tern_tree_value_heads(f->value_heads + first, n, r->ranks, f->n_columns, r->values + first);
    else
        tern_tree_tail_heads(f->tail_heads + first, n, r->ranks, f->n_columns, r->values + first);
}

static float sum_of_heads(struct tern_forest_work *r)
{
    const struct tern_forest *f = r->f;
    float sum = (float)tern_forest_begin(f, 0);

    for (uint32_t t = 0; t < f->n_trees;) {
        uint32_t end = end_of_few(f, t);
        find_values(r, t, heads_of_few(f, t));
        for (; t < end; t++)
            sum += r->values[t];
    }
    return sum;
}

static void add_heads(struct tern_forest_work *r, size_t row, float *out)
{
    const struct tern_forest *f = r->f;
    uint32_t k = f->settings.n_outputs;

    tern_ranks_row(f, r->rows, row, r->row, r->ranks, 1);
    if (k == 1) {
        out[0] = tern_forest_end_f32(f, 0, sum_of_heads(r));
        return;
    }
    find_values(r, 0, f->n_heads);
    for (uint32_t i = 0; i < k; i++)
        out[i] = (float)tern_forest_begin(f, i);
    for (uint32_t t = 0; t < f->n_trees; t++)
        out[f->outputs[t]] += r->values[t];
    for (uint32_t i = 0; i < k; i++)
        out[i] = tern_forest_end_f32(f, i, out[i]);
}

/* ---- sums of several ---- */

/* Each tree's one value, or its vector, to the sums of one row. */
#define ADD_ROW(type, r, sums)                                                               \
    {                                                                                        \
        const type *values = f->values;                                                      \
        for (uint32_t t = 0; f->leaves == TERN_LEAVES_NUMBERS && t < f->n_trees; t++)        \
            (sums)[f->outputs[t]] += values[f->value_at[t] + (uint32_t) ~(r)->exits[t]];     \
        for (uint32_t t = 0; f->leaves == TERN_LEAVES_VECTORS && t < f->n_trees; t++) {      \
            const type *v = values + f->value_at[t] + (size_t)(uint32_t) ~(r)->exits[t] * k; \
            for (uint32_t i = 0; i < k; i++)                                                 \
                (sums)[i] += v[i];                                                           \
        }                                                                                    \
    }

static void run_row_f32(struct tern_forest_work *r, size_t row, float *out)
{
    const struct tern_forest *f = r->f;
    double *sums = r->mixed;
    uint32_t k = f->settings.n_outputs;

    if (f->value_heads != NULL || f->tail_heads != NULL) {
        add_heads(r, row, out);
        return;
    }
    if (k == 1 && tern_forest_adds(f, TERN_LEAVES_NUMBERS)) {
        out[0] = tern_forest_end_f32(f, 0, sum_f32(r, row));
        return;
    }
    tern_forest_row_leaves(r, row);
    for (uint32_t i = 0; i < k; i++)
        sums[i] = out[i] = (float)tern_forest_begin(f, i);
    if (tern_forest_is_sum(f))
        ADD_ROW(float, r, out)
    else
        combine_row(r, row, sums);
    for (uint32_t i = 0; i < k; i++)
        out[i] = tern_forest_end_f32(f, i, tern_forest_is_sum(f) ? out[i] : (float)sums[i]);
}

static void run_row_f64(struct tern_forest_work *r, size_t row, double *out)
{
    const struct tern_forest *f = r->f;
    uint32_t k = f->settings.n_outputs;

    if (k == 1 && tern_forest_adds(f, TERN_LEAVES_NUMBERS)) {
        out[0] = tern_forest_end_f64(f, 0, sum_f64(r, row));
        return;
    }
    tern_forest_row_leaves(r, row);
    for (uint32_t i = 0; i < k; i++)
        out[i] = tern_forest_begin(f, i);
    if (tern_forest_is_sum(f))
        ADD_ROW(double, r, out)
    else
        combine_row(r, row, out);
    for (uint32_t i = 0; i < k; i++)
        out[i] = tern_forest_end_f64(f, i, out[i]);
}

void tern_forest_row(struct tern_forest_work *r, size_t row, void *out)
{
    size_t at = row * r->f->settings.n_outputs;

    if (r->f->settings.float_sum)
        run_row_f32(r, row, (float *)out + at);
    else
        run_row_f64(r, row, (double *)out + at);
}
