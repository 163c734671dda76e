#include <math.h>
#include <string.h>
#include "forest/forest_int.h"

size_t tern_ranks_room(const struct tern_forest *f)
{
    return f->n_columns < TERN_TREE_HEAD_COLUMNS ? TERN_TREE_HEAD_COLUMNS : f->n_columns;
}

static bool is_zero(double x)
{
    return x >= -(double)TERN_RANK_ZERO && x <= (double)TERN_RANK_ZERO;
}

static bool is_missing(const struct tern_column *column, double x)
{
    return isnan(x) || (column->zero_is_missing && is_zero(x));
}

/* ---- features with many cuts ---- */

static void rank_columns(const struct tern_forest *f, const struct tern_rank_column *columns,
                         size_t n, const void *row, uint8_t *ranks, size_t step)
{
    if (f->settings.float_input)
        tern_rank_row_f32(columns, n, f->cuts, row, ranks, step);
    else
        tern_rank_row_f64(columns, n, f->cuts, row, ranks, step);
}

/* In which part x lies. Without branches, as nothing can be known of x. */
static uint32_t part_of(const double *bounds, uint32_t n, double x)
{
    const double *base = bounds;

    while (n > 1) {
        uint32_t half = n / 2;
        base += half * (base[half - 1] < x);
        n -= half;
    }
    return (uint32_t)(base - bounds) + (n == 1 && base[0] < x);
}

static void fill(uint8_t *to, uint8_t rank, size_t n, size_t step)
{
    if (step == 1) {
        memset(to, rank, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        to[i * step] = rank;
}

static void rank_wide(const struct tern_forest *f, const struct tern_wide_column *wide,
                      const void *row, double x, uint8_t *ranks, size_t step)
{
    const struct tern_rank_column *parts = f->parts + wide->first_part;
    uint8_t *to = ranks + wide->first * step;
    uint32_t part, width = wide->is_two ? 2 : 1;

    if (is_missing(&wide->column, x)) { /* each part says what that is */
        rank_columns(f, parts, wide->n_parts, row, ranks, step);
        return;
    }
    part = part_of(f->bounds + wide->first_bound, wide->n_parts - 1, x);
    fill(to, TERN_TREE_RANK_MAX, (size_t)part * width, step);
    fill(to + (size_t)(part + 1) * width * step, 0, (size_t)(wide->n_parts - part - 1) * width,
         step);
    rank_columns(f, parts + part, 1, row, ranks, step);
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

    rank_columns(f, f->plain, f->n_plain, x, ranks, step);
    for (uint32_t i = 0; i < f->n_wide; i++)
        rank_wide(f, &f->wide[i], x, feature_of(f, x, f->wide[i].column.feature), ranks, step);
    for (uint32_t i = 0; i < f->n_special; i++)
        ranks[(f->n_columns - f->n_special + i) * step] =
            rank_special(f, &f->special[i], feature_of(f, x, f->special[i].column.feature));
}
