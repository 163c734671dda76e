/* What clients send becomes the matrix of fields. */
#include "engine/native/pmml/pmml_ops.h"

#include <math.h>
#include <string.h>
#include "engine/native/ops/op_cells.h"
#include "engine/native/ops/op_shape.h"
#include "engine/native/state.h"

#define MISSING ((double)NAN)

static bool in_intervals(const struct tern_pmml_intake *field, double x)
{
    for (uint32_t i = 0; i < field->n_intervals; i++) {
        const struct tern_pmml_interval *v = &field->intervals[i];
        if ((v->low_open ? x > v->low : x >= v->low) && (v->high_open ? x < v->high : x <= v->high))
            return true;
    }
    return false;
}

/* A value that is not missing, as its column has it; *kind says what it is. */
static double judge(const struct tern_pmml_intake *field, const void *cells, size_t i,
                    enum tern_pmml_kind *kind)
{
    uint32_t at = 0;
    bool is_known = field->keys.n > 0 && tern_op_keys_find(&field->keys, cells, i, &at);
    double x =
        field->is_text ? (double)(is_known ? at : field->n_categories) : ((const double *)cells)[i];

    if (is_known && (field->kinds[at] != TERN_PMML_VALID || field->is_listed))
        *kind = (enum tern_pmml_kind)field->kinds[at];
    else if ((field->is_listed || field->n_intervals > 0) && !in_intervals(field, x))
        *kind = TERN_PMML_INVALID;
    else
        *kind = TERN_PMML_VALID;
    return x;
}

static bool is_absent(const struct tern_pmml_intake *field, const void *cells, size_t i)
{
    uint32_t at;

    if (!field->is_text)
        return isnan(((const double *)cells)[i]);
    /* An empty text, unless it is a category. */
    return ((const struct tern_str *)cells)[i].n == 0 &&
           !(field->keys.n > 0 && tern_op_keys_find(&field->keys, cells, i, &at));
}

static double take(const struct tern_pmml_intake *field, const void *cells, size_t i,
                   bool *is_invalid)
{
    enum tern_pmml_kind kind = TERN_PMML_MISSING;
    double x = MISSING;

    if (!is_absent(field, cells, i))
        x = judge(field, cells, i, &kind);
    if (kind == TERN_PMML_INVALID && field->invalid == TERN_PMML_AS_VALUE)
        return field->invalid_value;
    if (kind == TERN_PMML_INVALID && field->invalid == TERN_PMML_AS_MISSING)
        kind = TERN_PMML_MISSING;
    if (kind == TERN_PMML_MISSING && field->missing == TERN_PMML_AS_VALUE)
        return field->missing_value;
    *is_invalid |= kind == TERN_PMML_INVALID
                       ? field->invalid == TERN_PMML_RETURN_INVALID
                       : kind == TERN_PMML_MISSING && field->missing == TERN_PMML_RETURN_INVALID;
    return kind == TERN_PMML_MISSING ? MISSING : field->is_float ? (double)(float)x : x;
}

/* The cells of field f, row i at i * *ret_step. */
static enum tern_code find_cells(const struct tern_step *step, struct tern_program_run *run,
                                 const struct tern_pmml_intakes *s, uint32_t f, size_t n,
                                 const void **ret_cells, size_t *ret_step, struct tern_err *err)
{
    bool is_matrix = step->n_in == 1 && !s->fields[0].is_text;
    const struct tern_tensor *in = tern_step_in(step, run, is_matrix ? 0 : f);
    size_t count = tern_op_shape_count(in);

    *ret_step = is_matrix ? s->n : 1;
    if (in->shape.rank < 1 || in->shape.rank > 2 || count != n * *ret_step)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "field '%.*s': expected %zu rows of %zu",
                         TERN_STR_ARG(s->fields[f].name), n, *ret_step);
    TERN_TRY(tern_op_cells_of(in, run->arena, ret_cells, err));
    if (is_matrix)
        *ret_cells = (const double *)*ret_cells + f;
    return TERN_OK;
}

static enum tern_code run_fields(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct tern_pmml_intakes *s = step->state;
    const struct tern_tensor *first = tern_step_in(step, run, 0);
    size_t n = first->shape.rank == 0 ? 0 : (size_t)first->shape.dim[0], row_step;
    const struct tern_shape shape = {2, {(int64_t)n, s->n}}, rows = {1, {(int64_t)n}};
    struct tern_tensor *out, *flags;
    const void *cells;

    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    TERN_TRY(tern_step_out(step, run, 1, &rows, &flags, err));
    bool *is_invalid = flags->data;
    memset(is_invalid, 0, n * sizeof(*is_invalid));
    for (uint32_t f = 0; f < s->n; f++) {
        TERN_TRY(find_cells(step, run, s, f, n, &cells, &row_step, err));
        for (size_t i = 0; i < n; i++)
            ((double *)out->data)[i * s->n + f] =
                take(&s->fields[f], cells, i * row_step, &is_invalid[i]);
    }
    return TERN_OK;
}

static void fields_points(const void *state, struct tern_state *to)
{
    const struct tern_pmml_intakes *s = state;

    tern_state_points(to, &s->fields, s->n * sizeof(*s->fields));
    for (uint32_t i = 0; i < s->n; i++) {
        const struct tern_pmml_intake *field = &s->fields[i];
        tern_state_points(to, &field->name.p, field->name.n);
        tern_op_keys_points(&field->keys, to);
        tern_state_points(to, &field->kinds, field->keys.n * sizeof(*field->kinds));
        tern_state_points(to, &field->intervals, field->n_intervals * sizeof(*field->intervals));
    }
}

TERN_OPERATOR(tern_pmml_fields_op, .name = "DataDictionary", .run = run_fields,
              TERN_STATE(struct tern_pmml_intakes, fields_points));
