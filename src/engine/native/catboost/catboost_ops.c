/* What CatBoost's models need besides trees. A category is known by a hash of its text, and a whole
 * number's text is its decimal digits. The hash is CityHash64 of 2011 (version 1.0, which is not
 * what later versions give), cut to 32 bits. */
#include "engine/native/catboost/catboost_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/num.h"
#include "engine/native/state.h"

#define CITY_K2  UINT64_C(0x9ae16a3b2f90404f)
#define CITY_K3  UINT64_C(0xc949d7c7509e6557)
#define CITY_MUL UINT64_C(0x9ddfea08eb382d69)

#define WHOLE_MAX  16777216.0f /* from here on floats are not all whole numbers */
#define DIGITS_MAX 9           /* "-16777216" */

static uint64_t load(const char *p, size_t size)
{
    uint64_t value = 0;

    for (size_t i = size; i-- > 0;)
        value = value << 8 | (unsigned char)p[i];
    return value;
}

static uint64_t mix_two(uint64_t u, uint64_t v)
{
    uint64_t a = (u ^ v) * CITY_MUL;
    uint64_t b = (v ^ a ^ a >> 47) * CITY_MUL;

    return (b ^ b >> 47) * CITY_MUL;
}

/* Of 1 to 16 bytes. */
static uint64_t hash_short(const char *p, size_t n)
{
    if (n > 8) {
        uint64_t a = load(p, 8), b = load(p + n - 8, 8);
        uint64_t sum = b + n;
        return mix_two(a, sum >> n | sum << (64 - n)) ^ b;
    }
    if (n >= 4)
        return mix_two(n + (load(p, 4) << 3), load(p + n - 4, 4));
    uint64_t y = (unsigned char)p[0] + ((uint64_t)(unsigned char)p[n >> 1] << 8);
    uint64_t z = n + ((uint64_t)(unsigned char)p[n - 1] << 2);
    uint64_t mixed = (y * CITY_K2) ^ (z * CITY_K3);
    return (mixed ^ mixed >> 47) * CITY_K2;
}

static uint32_t hash_whole(float x)
{
    char digits[DIGITS_MAX + 20];
    size_t n = 0;

    if (x < 0)
        digits[n++] = '-';
    n += tern_num_format_u64((uint64_t)fabsf(x), digits + n);
    return (uint32_t)hash_short(digits, n);
}

/* ---- columns of categories ---- */

struct known {
    uint32_t hash;
    float number;
};

struct column {
    uint32_t column;
    uint32_t n;
    const struct known *known; /* by hash */
};

struct categories {
    const struct column *columns;
    uint32_t n;
};

static float number_of(const struct column *column, float x)
{
    size_t low = 0, high = column->n;

    if (!(fabsf(x) < WHOLE_MAX) || x != truncf(x))
        return -1;
    uint32_t hash = hash_whole(x);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (column->known[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low < column->n && column->known[low].hash == hash ? column->known[low].number : -1;
}

static enum tern_code run_categories(const struct tern_step *step, struct tern_program_run *run,
                                     struct tern_err *err)
{
    const struct categories *categories = step->state;
    const struct tern_tensor *in = tern_step_in(step, run, 0);
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &in->shape, &out, err));
    memcpy(out->data, in->data, in->n_bytes);
    if (in->shape.rank != 2)
        return TERN_OK; /* the forest refuses it */
    size_t width = (size_t)in->shape.dim[1];
    float *rows = out->data;
    for (uint32_t i = 0; i < categories->n; i++) {
        const struct column *column = &categories->columns[i];
        for (size_t row = 0; column->column < width && row < (size_t)in->shape.dim[0]; row++)
            rows[row * width + column->column] =
                number_of(column, rows[row * width + column->column]);
    }
    return TERN_OK;
}

static void categories_points(const void *state, struct tern_state *to)
{
    const struct categories *categories = state;

    tern_state_points(to, &categories->columns, categories->n * sizeof(*categories->columns));
    for (uint32_t i = 0; i < categories->n; i++) {
        const struct column *column = &categories->columns[i];
        tern_state_points(to, &column->known, column->n * sizeof(*column->known));
    }
}

TERN_OPERATOR(tern_categories_op, .name = "categories", .run = run_categories,
              .reach = TERN_REACH_ELEMENT, TERN_STATE(struct categories, categories_points));

static int by_hash(const void *a, const void *b)
{
    uint32_t x = ((const struct known *)a)->hash;
    uint32_t y = ((const struct known *)b)->hash;

    return (x > y) - (x < y);
}

static enum tern_code make_column(const struct tern_catboost *model, uint32_t at,
                                  struct column *column, struct tern_err *err)
{
    struct tern_arena *arena = model->source->arena;
    const struct tern_catboost_category *category = &model->categories[at];
    struct known *known = tern_arena_zalloc(arena, category->n_values, sizeof(*known));
    uint32_t n = 0;

    if (known == NULL)
        return tern_arena_fail(arena, err, "categories");
    for (size_t i = 0; i < model->n_bins; i++) {
        const struct tern_catboost_bin *bin = &model->bins[i];
        if (bin->is_category && bin->feature == at)
            known[n++] = (struct known){bin->hash, bin->border};
    }
    qsort(known, n, sizeof(*known), by_hash);
    *column = (struct column){category->column, n, known};
    return TERN_OK;
}

enum tern_code tern_catboost_op_categories(const struct tern_catboost *model, uint32_t *value,
                                           struct tern_err *err)
{
    struct tern_arena *arena = model->source->arena;
    struct column *columns = tern_arena_zalloc(arena, model->n_categories + 1, sizeof(*columns));
    struct categories *categories = tern_arena_zalloc(arena, 1, sizeof(*categories));

    if (columns == NULL || categories == NULL)
        return tern_arena_fail(arena, err, "categories");
    categories->columns = columns;
    for (uint32_t i = 0; i < model->n_categories; i++) {
        if (model->categories[i].n_values > 0)
            TERN_TRY(make_column(model, i, &columns[categories->n++], err));
    }
    if (categories->n == 0)
        return TERN_OK;
    return tern_program_then(model->program, &tern_categories_op, categories, TERN_DTYPE_FP32,
                             value, err);
}

/* ---- variances ---- */

static enum tern_code run_variance(const struct tern_step *step, struct tern_program_run *run,
                                   struct tern_err *err)
{
    const struct tern_tensor *in = tern_step_in(step, run, 0);
    const double *x = in->data;
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &in->shape, &out, err));
    double *y = out->data;
    for (size_t i = 0; i < in->n_bytes / sizeof(*x); i++)
        y[i] = i % 2 == 0 ? x[i] : exp(2 * x[i]);
    return TERN_OK;
}

TERN_OPERATOR(tern_variance_op, .name = "variance", .run = run_variance,
              .reach = TERN_REACH_ELEMENT);

enum tern_code tern_catboost_op_variance(struct tern_program *program, uint32_t *value,
                                         struct tern_err *err)
{
    return tern_program_then(program, &tern_variance_op, NULL, TERN_DTYPE_FP64, value, err);
}
