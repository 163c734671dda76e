#include <math.h>
#include "forest/forest_int.h"

/* How many of the cuts are below x. Without branches: what a row holds cannot be predicted. */
static uint32_t count_below(const float *cuts, uint32_t n, float x)
{
    const float *base = cuts;

    while (n > 1) {
        uint32_t half = n / 2;
        base = base[half - 1] < x ? base + half : base;
        n -= half;
    }
    return (uint32_t)(base - cuts) + (n == 1 && base[0] < x);
}

static uint32_t count_below_double(const double *cuts, uint32_t n, double x)
{
    const double *base = cuts;

    while (n > 1) {
        uint32_t half = n / 2;
        base = base[half - 1] < x ? base + half : base;
        n -= half;
    }
    return (uint32_t)(base - cuts) + (n == 1 && base[0] < x);
}

static bool is_member(const struct tern_forest *f, const struct tern_category_set *set, double x)
{
    double whole = set->rounding == TERN_FOREST_DOWN ? floor(x) : trunc(x);

    if (!(whole >= 0 && whole < set->n_categories))
        return false;
    if (set->rounding == TERN_FOREST_EXACT && whole != x)
        return false;
    uint32_t category = (uint32_t)whole;
    return f->words[set->first_word + category / 64] >> category % 64 & 1;
}

static uint16_t rank_of(const struct tern_forest *f, const struct tern_column *column, double x)
{
    bool is_float = f->settings.float_input;
    bool is_zero = x >= -(double)TERN_FOREST_ZERO && x <= (double)TERN_FOREST_ZERO;

    if (isnan(x) || (column->zero_is_missing && is_zero))
        return column->missing_yes ? 0 : TERN_TREE_RANK_MAX;
    if (column->kind == TERN_COLUMN_SET)
        return !is_member(f, &f->sets[column->set], x);
    if (is_float) {
        const float *cuts = (const float *)f->cuts + column->first_cut;
        if (column->kind == TERN_COLUMN_EQUAL)
            return (float)x != cuts[0];
        return (uint16_t)count_below(cuts, column->n_cuts, (float)x);
    }
    const double *cuts = (const double *)f->cuts + column->first_cut;
    if (column->kind == TERN_COLUMN_EQUAL)
        return x != cuts[0];
    return (uint16_t)count_below_double(cuts, column->n_cuts, x);
}

void tern_ranks_row(const struct tern_forest *f, const struct tern_forest_rows *rows, size_t row,
                    uint16_t *ranks)
{
    for (uint32_t i = 0; i < f->n_columns; i++) {
        const struct tern_column *column = &f->columns[i];
        size_t at = row * rows->stride + column->feature;
        double x = rows->is_double ? ((const double *)rows->data)[at]
                                   : (double)((const float *)rows->data)[at];
        if (f->settings.float_input)
            x = (double)(float)x;
        ranks[i] = rank_of(f, column, x);
    }
}
