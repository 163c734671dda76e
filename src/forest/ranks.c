#include <math.h>
#include <string.h>
#include "forest/forest_int.h"

size_t tern_ranks_room(const struct tern_forest *f)
{
    return f->n_columns < TERN_TREE_HEAD_COLUMNS ? TERN_TREE_HEAD_COLUMNS : f->n_columns;
}

static bool is_zero(double x)
{
    return x >= -(double)TERN_FOREST_ZERO && x <= (double)TERN_FOREST_ZERO;
}

static bool is_missing(const struct tern_column *column, double x)
{
    return isnan(x) || (column->zero_is_missing && is_zero(x));
}

/* ---- features with many cuts ---- */

static size_t count_below(const struct tern_forest *f, const struct tern_wide_column *wide,
                          double x)
{
    size_t low = 0, n = wide->n_cuts;

    while (n > 0) {
        size_t half = n / 2;
        double cut = f->settings.float_input
                         ? (double)((const float *)f->cuts)[wide->first_cut + low + half]
                         : ((const double *)f->cuts)[wide->first_cut + low + half];
        if (cut < x) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

/* Each part counts its own cuts: those before the one that the value lies in are full, those behind
 * it empty. */
static void rank_wide(const struct tern_forest *f, const struct tern_wide_column *wide, double x,
                      uint8_t *ranks, size_t step)
{
    bool missing = is_missing(&wide->column, x);
    size_t parts = (wide->n_cuts + TERN_TREE_RANK_MAX - 1) / TERN_TREE_RANK_MAX;
    size_t below = missing ? 0 : count_below(f, wide, x);
    uint8_t *to = ranks + wide->first * step;

    for (size_t part = 0; part < parts; part++) {
        size_t before = part * TERN_TREE_RANK_MAX;
        size_t left = below > before ? below - before : 0;
        uint8_t rank = left > TERN_TREE_RANK_MAX ? TERN_TREE_RANK_MAX : (uint8_t)left;
        *to = missing && !wide->column.missing_yes ? TERN_TREE_RANK_MAX : rank;
        to += step;
        if (wide->is_two) {
            *to = missing ? TERN_TREE_RANK_MAX : rank;
            to += step;
        }
    }
}

/* ---- questions of another kind ---- */

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

static uint8_t rank_special(const struct tern_forest *f, const struct tern_special_column *special,
                            double x)
{
    const struct tern_column *column = &special->column;

    if (is_missing(column, x))
        return !column->missing_yes;
    if (column->kind == TERN_COLUMN_SET)
        return !is_member(f, &f->sets[column->set], x);
    return x != special->value;
}

/* ---- a row ---- */

/* The row in the precision in which the forest compares. */
static const void *take_row(const struct tern_forest *f, const struct tern_forest_rows *rows,
                            size_t row, void *working)
{
    const float *floats = (const float *)rows->data + row * rows->stride;
    const double *doubles = (const double *)rows->data + row * rows->stride;

    if (rows->is_double != f->settings.float_input)
        return rows->is_double ? (const void *)doubles : (const void *)floats;
    for (uint32_t i = 0; i < f->settings.n_features; i++) {
        if (f->settings.float_input)
            ((float *)working)[i] = (float)doubles[i];
        else
            ((double *)working)[i] = (double)floats[i];
    }
    return working;
}

static double feature_of(const struct tern_forest *f, const void *row, uint32_t feature)
{
    return f->settings.float_input ? (double)((const float *)row)[feature]
                                   : ((const double *)row)[feature];
}

void tern_ranks_row(const struct tern_forest *f, const struct tern_forest_rows *rows, size_t row,
                    void *working, uint8_t *ranks, size_t step)
{
    const void *x = take_row(f, rows, row, working);

    if (f->settings.float_input)
        tern_rank_row_f32(f->plain, f->n_plain, f->cuts, x, ranks, step);
    else
        tern_rank_row_f64(f->plain, f->n_plain, f->cuts, x, ranks, step);
    for (uint32_t i = 0; i < f->n_wide; i++)
        rank_wide(f, &f->wide[i], feature_of(f, x, f->wide[i].column.feature), ranks, step);
    for (uint32_t i = 0; i < f->n_special; i++)
        ranks[(f->n_columns - f->n_special + i) * step] =
            rank_special(f, &f->special[i], feature_of(f, x, f->special[i].column.feature));
}
