/* From scores to what clients get: labels and probabilities, or numbers; and rows without either.
 */
#include "engine/native/pmml/pmml_ops.h"

#include <math.h>
#include <string.h>
#include "engine/native/ops/op_cells.h"
#include "engine/native/state.h"

#define NOTHING ((double)NAN)

/* ---- rows without a prediction ---- */

static bool has_hole(const double *row, size_t m)
{
    for (size_t k = 0; k < m; k++)
        if (isnan(row[k]))
            return true;
    return false;
}

static enum tern_code run_guard(const struct tern_step *step, struct tern_program_run *run,
                                struct tern_err *err)
{
    const struct tern_pmml_guard *s = step->state;
    const struct tern_tensor *in = tern_step_in(step, run, 0);
    const struct tern_shape shape = {1, {in->shape.dim[0]}};
    size_t m = (size_t)in->shape.dim[1];
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    bool *flags = out->data;
    for (size_t i = 0; i < out->n_bytes; i++) {
        const double *row = (const double *)in->data + i * m;
        const struct tern_forest_rows rows = {row, true, 1, m};
        double sum = 0;
        if (s->always || has_hole(row, m))
            TERN_TRY(tern_forest_run(s->forest, &rows, &sum, run->arena, err));
        flags[i] = sum != 0;
    }
    return TERN_OK;
}

static void guard_points(const void *state, struct tern_state *to)
{
    const struct tern_pmml_guard *s = state;

    tern_state_forest(to, &s->forest);
}

TERN_OPERATOR(tern_pmml_guard_op, .name = "missingValueStrategy", .run = run_guard,
              .reach = TERN_REACH_ASIDE, TERN_STATE(struct tern_pmml_guard, guard_points));

/* Whether one of the step's flags, from input `from` on, says that row i has no prediction. */
static bool is_flagged(const struct tern_step *step, const struct tern_program_run *run,
                       uint32_t from, size_t i)
{
    for (uint32_t k = from; k < step->n_in; k++) {
        const struct tern_tensor *flags = tern_step_in(step, run, k);
        if (flags != NULL && ((const bool *)flags->data)[i])
            return true;
    }
    return false;
}

/* ---- tensors of either precision ---- */

static double get(const struct tern_tensor *t, size_t i)
{
    return t->dtype == TERN_DTYPE_FP32 ? (double)((const float *)t->data)[i]
                                       : ((const double *)t->data)[i];
}

static void set(struct tern_tensor *t, size_t i, double x)
{
    if (t->dtype == TERN_DTYPE_FP32)
        ((float *)t->data)[i] = (float)x;
    else
        ((double *)t->data)[i] = x;
}

/* In the precision of the scores. */
static double rounded(const struct tern_tensor *t, double x)
{
    return t->dtype == TERN_DTYPE_FP32 ? (double)(float)x : x;
}

/* ---- classes ---- */

/* Votes become shares; where most are for no prediction there is none. */
static void count(const struct tern_pmml_classes *s, const struct tern_tensor *scores, size_t k,
                  double *row)
{
    double left = s->total, most = 0;

    for (size_t j = 0; j < k; j++) {
        left -= row[j];
        most = row[j] > most ? row[j] : most;
    }
    for (size_t j = 0; j < k; j++)
        row[j] = left > most ? NOTHING : rounded(scores, row[j] / s->total);
}

/* row: the k scores of a row, of which some become others. */
static void normalize(const struct tern_pmml_classes *s, const struct tern_tensor *scores, size_t k,
                      double *row)
{
    double sum = 0;

    if (s->norm == TERN_PMML_NORM_VOTES) {
        count(s, scores, k, row);
    } else if (s->norm == TERN_PMML_NORM_PAIR) {
        row[1] = rounded(scores, 1 - row[0]);
    } else if (s->norm == TERN_PMML_NORM_REST) {
        for (size_t j = 0; j + 1 < k; j++)
            sum = rounded(scores, sum + row[j]);
        row[k - 1] = rounded(scores, 1 - sum);
    } else if (s->norm == TERN_PMML_NORM_SIMPLEMAX) {
        for (size_t j = 0; j < k; j++)
            sum = rounded(scores, sum + row[j]);
        for (size_t j = 0; j < k; j++)
            row[j] = rounded(scores, row[j] / sum);
    }
}

static void give_label(const struct tern_pmml_classes *s, void *cells, size_t i, bool is_missing,
                       size_t label)
{
    if (s->dtype == TERN_DTYPE_INT64)
        ((int64_t *)cells)[i] = is_missing ? TERN_PMML_NO_LABEL : s->ints[label];
    else
        ((struct tern_str *)cells)[i] = is_missing ? tern_str_make("", 0) : s->texts[label];
}

/* The probabilities of row i; answers the place of the largest. */
static size_t give_shares(const struct tern_pmml_classes *s, const double *row, bool is_missing,
                          struct tern_tensor *out, size_t i)
{
    size_t best = 0;

    for (size_t c = 0; c < s->n; c++) {
        set(out, i * s->n + c, is_missing ? NOTHING : row[s->places[c]]);
        if (row[s->places[c]] > row[s->places[best]])
            best = c;
    }
    return best;
}

static enum tern_code run_classes(const struct tern_step *step, struct tern_program_run *run,
                                  struct tern_err *err)
{
    const struct tern_pmml_classes *s = step->state;
    const struct tern_tensor *in = tern_step_in(step, run, 0),
                             *numbers = tern_step_in(step, run, 1);
    size_t n = (size_t)in->shape.dim[0], k = (size_t)in->shape.dim[1];
    const struct tern_shape shares = {2, {(int64_t)n, s->n}}, labels = {1, {(int64_t)n}};
    struct tern_tensor *out;
    void *cells;

    TERN_TRY(tern_step_out(step, run, 1, &shares, &out, err));
    TERN_TRY(tern_op_cells_room(step, run, 0, &labels, &cells, err));
    double *row = tern_arena_zalloc(run->arena, k + s->n, sizeof(*row));
    if (row == NULL)
        return tern_arena_fail(run->arena, err, "the classes");
    for (size_t i = 0; i < n; i++) {
        bool is_missing = is_flagged(step, run, 2, i);
        for (size_t j = 0; j < k; j++)
            row[j] = get(in, i * k + j);
        normalize(s, in, k, row);
        for (size_t c = 0; c < s->n; c++)
            is_missing |= isnan(row[s->places[c]]) != 0;
        size_t best = give_shares(s, row, is_missing, out, i);
        give_label(s, cells, i, is_missing, numbers == NULL ? best : (size_t)get(numbers, i));
    }
    return tern_op_cells_done(step, run, 0, &labels, cells, err);
}

static void classes_points(const void *state, struct tern_state *to)
{
    const struct tern_pmml_classes *s = state;
    bool is_text = s->dtype == TERN_DTYPE_BYTES;

    tern_state_points(to, &s->places, s->n * sizeof(*s->places));
    tern_state_cells(to, &s->ints, TERN_DTYPE_INT64, is_text ? 0 : s->n);
    tern_state_cells(to, &s->texts, TERN_DTYPE_BYTES, is_text ? s->n : 0);
}

TERN_OPERATOR(tern_pmml_classes_op, .name = "Output", .run = run_classes,
              TERN_STATE(struct tern_pmml_classes, classes_points));

/* ---- numbers ---- */

static double finish(const struct tern_pmml_number *s, const struct tern_tensor *t, double x)
{
    if (s->divisor != 1)
        x = rounded(t, x / s->divisor);
    /* The order of the standard: bounds, then scale, then whole numbers. */
    x = x < s->low ? s->low : x > s->high ? s->high : x;
    if (s->factor != 1)
        x = rounded(t, x * s->factor);
    if (s->constant != 0)
        x = rounded(t, x + s->constant);
    switch (s->cast) {
    case TERN_PMML_ROUND:
        return floor(x + 0.5);
    case TERN_PMML_CEILING:
        return ceil(x);
    case TERN_PMML_DOWN:
        return floor(x);
    case TERN_PMML_CAST_NONE:
        break;
    }
    return x;
}

static enum tern_code run_number(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct tern_pmml_number *s = step->state;
    const struct tern_tensor *in = tern_step_in(step, run, 0);
    size_t n = (size_t)in->shape.dim[0];
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &in->shape, &out, err));
    for (size_t i = 0; i < n; i++)
        set(out, i, is_flagged(step, run, 1, i) ? NOTHING : finish(s, in, get(in, i)));
    return TERN_OK;
}

TERN_OPERATOR(tern_pmml_number_op, .name = "Targets", .run = run_number,
              TERN_STATE(struct tern_pmml_number, NULL));
