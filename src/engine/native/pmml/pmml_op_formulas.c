/* Columns that are computed of others, by a machine with a stack. */
#include "engine/native/pmml/pmml_ops.h"

#include <math.h>
#include <string.h>
#include "engine/native/state.h"

#define UNKNOWN ((double)NAN)

/* ---- truths ---- */

static double truth(bool is_true)
{
    return is_true ? 1 : 0;
}

/* What is false whatever the others are makes it false; else all have to be known. */
static double conjunction(const double *x, uint32_t n, double decides)
{
    double all = 1 - decides;

    for (uint32_t i = 0; i < n; i++) {
        if (x[i] == decides)
            return decides;
        if (isnan(x[i]))
            all = UNKNOWN;
    }
    return all;
}

static double exclusive(const double *x, uint32_t n)
{
    bool is_true = false;

    for (uint32_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            return UNKNOWN;
        is_true ^= x[i] != 0;
    }
    return truth(is_true);
}

static double first_known(const double *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!isnan(x[i]))
            return x[i];
    return UNKNOWN;
}

/* The place of the first number of the set that is not below x. */
static size_t place_of(const struct tern_pmml_instruction *in, double x)
{
    size_t low = 0, high = in->n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (in->set[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_member(const struct tern_pmml_instruction *in, double x)
{
    size_t at = place_of(in, x);
    return at < in->n && in->set[at] == x;
}

/* ---- tables ---- */

static double map(const struct tern_pmml_instruction *in, double x)
{
    size_t at = place_of(in, x);
    return at < in->n && in->set[at] == x ? in->set[in->n + at] : in->number;
}

static double norm(const struct tern_pmml_instruction *in, double x)
{
    const double *from = in->set, *to = in->set + in->n;
    size_t at = place_of(in, x), last = in->n - 1;

    if (x < from[0] || x > from[last]) {
        if (in->number == 1)
            return UNKNOWN;
        if (in->number == 2)
            return x < from[0] ? to[0] : to[last];
    }
    at = at == 0 ? 1 : at > last ? last : at;
    return to[at - 1] + (x - from[at - 1]) / (from[at] - from[at - 1]) * (to[at] - to[at - 1]);
}

static double look_up(const struct tern_pmml_instruction *in, double x)
{
    if (isnan(x))
        return UNKNOWN;
    if (in->code == TERN_PMML_IN)
        return truth(is_member(in, x));
    return in->code == TERN_PMML_MAP ? map(in, x) : norm(in, x);
}

/* ---- one instruction ---- */

static double of_one(enum tern_pmml_code code, double x)
{
    switch ((int)code) {
    case TERN_PMML_FLOAT:
        return (double)(float)x;
    case TERN_PMML_TRUNCATE:
        return trunc(x);
    case TERN_PMML_EXP:
        return exp(x);
    case TERN_PMML_LN:
        return log(x);
    case TERN_PMML_LN1P:
        return log1p(x);
    case TERN_PMML_EXPM1:
        return expm1(x);
    case TERN_PMML_LOG10:
        return log10(x);
    case TERN_PMML_SQRT:
        return sqrt(x);
    case TERN_PMML_ABS:
        return fabs(x);
    case TERN_PMML_FLOOR:
        return floor(x);
    case TERN_PMML_CEIL:
        return ceil(x);
    case TERN_PMML_IS_MISSING:
        return truth(isnan(x));
    case TERN_PMML_IS_PRESENT:
        return truth(!isnan(x));
    default: /* TERN_PMML_NOT */
        return 1 - x;
    }
}

static double compare(enum tern_pmml_code code, double a, double b)
{
    if (isnan(a) || isnan(b))
        return UNKNOWN;
    switch ((int)code) {
    case TERN_PMML_EQUAL:
        return truth(a == b);
    case TERN_PMML_NOT_EQUAL:
        return truth(a != b);
    case TERN_PMML_LESS:
        return truth(a < b);
    case TERN_PMML_LESS_EQUAL:
        return truth(a <= b);
    case TERN_PMML_GREATER_EQUAL:
        return truth(a >= b);
    default: /* TERN_PMML_GREATER, TERN_PMML_THRESHOLD */
        return truth(a > b);
    }
}

static double of_two(enum tern_pmml_code code, double a, double b)
{
    switch ((int)code) {
    case TERN_PMML_ADD:
        return a + b;
    case TERN_PMML_SUB:
        return a - b;
    case TERN_PMML_MUL:
        return a * b;
    case TERN_PMML_DIV:
        return a / b;
    case TERN_PMML_POW:
        return isnan(a) || isnan(b) ? UNKNOWN : pow(a, b);
    default:
        return compare(code, a, b);
    }
}

static double of_many(const struct tern_pmml_instruction *in, const double *x)
{
    switch ((int)in->code) {
    case TERN_PMML_AND:
        return conjunction(x, in->n, 0);
    case TERN_PMML_OR:
        return conjunction(x, in->n, 1);
    case TERN_PMML_XOR:
        return exclusive(x, in->n);
    case TERN_PMML_SURROGATE:
        return first_known(x, in->n);
    default: /* TERN_PMML_IF */
        return isnan(x[0]) ? UNKNOWN : x[0] != 0 ? x[1] : in->n == 3 ? x[2] : UNKNOWN;
    }
}

static uint32_t execute(const struct tern_pmml_instruction *in, const double *row, double *stack,
                        uint32_t top)
{
    if (in->code == TERN_PMML_COLUMN || in->code == TERN_PMML_NUMBER) {
        stack[top] = in->code == TERN_PMML_COLUMN ? row[in->n] : in->number;
        return top + 1;
    }
    double *x = &stack[top - 1];
    if (in->code == TERN_PMML_IF_MISSING) {
        *x = isnan(*x) ? in->number : *x;
        return top;
    }
    if (in->code == TERN_PMML_IN || in->code == TERN_PMML_MAP || in->code == TERN_PMML_NORM) {
        *x = look_up(in, *x);
        return top;
    }
    if (in->code == TERN_PMML_IF_ABSENT) {
        x[-1] = isnan(*x) ? in->number : x[-1];
        return top - 1;
    }
    if (in->code >= TERN_PMML_AND) {
        double *first = &stack[top - in->n];
        *first = of_many(in, first);
        return top - in->n + 1;
    }
    if (in->n == 1) {
        *x = of_one(in->code, *x);
        return top;
    }
    x[-1] = of_two(in->code, x[-1], x[0]);
    return top - 1;
}

static enum tern_code run_formulas(const struct tern_step *step, struct tern_program_run *run,
                                   struct tern_err *err)
{
    const struct tern_pmml_formulas *s = step->state;
    const struct tern_tensor *in = tern_step_in(step, run, 0);
    size_t n = (size_t)in->shape.dim[0], m = (size_t)in->shape.dim[1], width = m + s->n;
    const struct tern_shape shape = {2, {(int64_t)n, (int64_t)width}};
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    double *stack = tern_arena_alloc(run->arena, 8, (s->stack + 1) * sizeof(*stack));
    if (stack == NULL)
        return tern_arena_fail(run->arena, err, "formulas");
    for (size_t i = 0; i < n; i++) {
        double *row = (double *)out->data + i * width;
        memcpy(row, (const double *)in->data + i * m, m * sizeof(*row));
        for (uint32_t f = 0, at = 0; f < s->n; f++) {
            uint32_t top = 0;
            for (; at < s->ends[f]; at++)
                top = execute(&s->code[at], row, stack, top);
            row[m + f] = stack[0];
        }
    }
    return TERN_OK;
}

/* Of tables: what stands there, and what it becomes. */
static size_t numbers_of(const struct tern_pmml_instruction *in)
{
    bool is_table = in->code == TERN_PMML_MAP || in->code == TERN_PMML_NORM;

    return is_table ? 2 * (size_t)in->n : in->code == TERN_PMML_IN ? in->n : 0;
}

static void formulas_points(const void *state, struct tern_state *to)
{
    const struct tern_pmml_formulas *s = state;
    uint32_t n = s->n == 0 ? 0 : s->ends[s->n - 1];

    tern_state_points(to, &s->ends, s->n * sizeof(*s->ends));
    tern_state_points(to, &s->code, n * sizeof(*s->code));
    for (uint32_t i = 0; i < n; i++)
        tern_state_cells(to, &s->code[i].set, TERN_DTYPE_FP64, numbers_of(&s->code[i]));
}

TERN_OPERATOR(tern_pmml_formulas_op, .name = "DerivedField", .run = run_formulas,
              TERN_STATE(struct tern_pmml_formulas, formulas_points));

/* ---- a choice of columns ---- */

static enum tern_code run_columns(const struct tern_step *step, struct tern_program_run *run,
                                  struct tern_err *err)
{
    const struct tern_pmml_columns *s = step->state;
    const struct tern_tensor *in = tern_step_in(step, run, 0);
    size_t n = (size_t)in->shape.dim[0], m = (size_t)in->shape.dim[1];
    const struct tern_shape shape = {2, {(int64_t)n, s->n}};
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    size_t size = tern_dtype_size(in->dtype);
    for (uint32_t k = 0; k < s->n; k++) {
        char *to = (char *)out->data + k * size;
        const char *from = (const char *)in->data + s->columns[k] * size;
        for (size_t i = 0; i < n; i++)
            memcpy(to + i * s->n * size, from + i * m * size, size);
    }
    return TERN_OK;
}

static void columns_points(const void *state, struct tern_state *to)
{
    const struct tern_pmml_columns *s = state;

    tern_state_points(to, &s->columns, s->n * sizeof(*s->columns));
}

TERN_OPERATOR(tern_pmml_columns_op, .name = "MiningSchema", .run = run_columns,
              TERN_STATE(struct tern_pmml_columns, columns_points));
