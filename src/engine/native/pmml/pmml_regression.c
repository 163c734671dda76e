/* A RegressionModel: a table of weights for each class, or one. */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "base/grow.h"
#include "engine/native/ops/ops.h"
#include "engine/native/pmml/pmml_int.h"

/* ---- terms ---- */

/* What is added, by a name of its own, so that all tables share it. */
static enum tern_code find_term(struct tern_pmml *p, struct tern_str key, uint32_t *ret_term,
                                bool *ret_is_new, struct tern_err *err)
{
    struct tern_pmml_regression *r = &p->regression;
    size_t n = r->keys.n;

    TERN_TRY(tern_grow(&r->terms, &r->terms_cap, n, 1, sizeof(*r->terms), TERN_PMML_FIELDS_MAX,
                       "predictors", err));
    TERN_TRY(tern_pmml_names_find(p, &r->keys, key, true, ret_term, err));
    *ret_is_new = r->keys.n > n;
    return TERN_OK;
}

static enum tern_code keep_weight(struct tern_pmml *p, struct tern_pmml_weight row,
                                  struct tern_err *err)
{
    struct tern_pmml_regression *r = &p->regression;

    TERN_TRY(tern_grow(&r->weights, &r->weights_cap, r->n_weights, 1, sizeof(row),
                       TERN_PMML_PARTS_MAX, "coefficients", err));
    r->weights[r->n_weights++] = row;
    return TERN_OK;
}

static enum tern_code add_weight(struct tern_pmml *p, uint32_t term, struct tern_err *err)
{
    struct tern_pmml_weight row = {.table = (uint32_t)p->regression.n_tables - 1, .term = term};
    struct tern_str text;

    TERN_TRY(tern_pmml_want(p, "coefficient", &text, err));
    TERN_TRY(tern_pmml_number(p, "coefficient", 0, &row.weight, err));
    TERN_TRY(keep_weight(p, row, err));
    return tern_pmml_skip(p, err);
}

static enum tern_code read_chained(struct tern_pmml *p, struct tern_err *err)
{
    struct tern_str name;
    uint32_t score, term;
    bool is_new;

    TERN_TRY(tern_pmml_want(p, "name", &name, err));
    TERN_TRY(tern_pmml_names_find(p, &p->scores, name, false, &score, err));
    if (score == TERN_PMML_NONE)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                              "the last model of a chain reads '%.*s', which is no OutputField of "
                              "the models before: not served",
                              (int)(name.n > 64 ? 64 : name.n), name.p);
    TERN_TRY(find_term(p, name, &term, &is_new, err));
    p->regression.terms[term] = score;
    return add_weight(p, term, err);
}

static enum tern_code read_numeric(struct tern_pmml *p, struct tern_err *err)
{
    const struct tern_pmml_field *field;
    double exponent;
    uint32_t term;
    bool is_new;

    TERN_TRY(tern_pmml_number(p, "exponent", 1, &exponent, err));
    if (p->is_chain && exponent == 1)
        return read_chained(p, err);
    if (p->is_chain)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err, "exponent in a chain is not served");
    TERN_TRY(tern_pmml_field_of(p, "name", &field, err));
    if (field->type == TERN_PMML_TYPE_STRING)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "field '%.*s' is no number",
                              TERN_STR_ARG(field->name));
    struct tern_str key =
        tern_arena_printf(&p->scratch, "%.17g*%.*s", exponent, TERN_STR_ARG(field->name));
    if (key.p == NULL)
        return tern_arena_fail(&p->scratch, err, "a predictor");
    TERN_TRY(find_term(p, key, &term, &is_new, err));
    if (is_new && exponent != 1) {
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_COLUMN, field->column, 0, err));
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_NUMBER, 0, exponent, err));
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_POW, 2, 0, err));
        TERN_TRY(tern_pmml_end_formula(p, &p->regression.terms[term], err));
    } else if (is_new) {
        p->regression.terms[term] = field->column;
    }
    return add_weight(p, term, err);
}

/* Missing is no category: it adds nothing. */
static enum tern_code read_categorical(struct tern_pmml *p, struct tern_err *err)
{
    const struct tern_pmml_field *field;
    struct tern_str text;
    double value;
    uint32_t term;
    bool is_new;

    if (p->is_chain)
        return tern_pmml_refuse(p, "the last model of a chain reads the scores of those before",
                                err);
    TERN_TRY(tern_pmml_field_of(p, "name", &field, err));
    TERN_TRY(tern_pmml_want(p, "value", &text, err));
    TERN_TRY(tern_pmml_value_of(p, field, text, &value, err));
    struct tern_str key =
        tern_arena_printf(&p->scratch, "%.17g=%.*s", value, TERN_STR_ARG(field->name));
    if (key.p == NULL)
        return tern_arena_fail(&p->scratch, err, "a predictor");
    TERN_TRY(find_term(p, key, &term, &is_new, err));
    if (is_new) {
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_COLUMN, field->column, 0, err));
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_NUMBER, 0, value, err));
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_EQUAL, 2, 0, err));
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_IF_MISSING, 1, 0, err));
        TERN_TRY(tern_pmml_end_formula(p, &p->regression.terms[term], err));
    }
    return add_weight(p, term, err);
}

/* The product of some fields, each of which may be missing. */
static enum tern_code read_product(struct tern_pmml *p, struct tern_err *err)
{
    const struct tern_pmml_field *field;
    struct tern_str name = TERN_STR("*");
    struct tern_pmml_weight row = {.table = (uint32_t)p->regression.n_tables - 1};
    uint32_t n = 0;
    bool more = true, is_new;

    if (p->is_chain)
        return tern_pmml_refuse(p, "the last model of a chain reads the scores of those before",
                                err);
    TERN_TRY(tern_pmml_want(p, "coefficient", &name, err));
    TERN_TRY(tern_pmml_number(p, "coefficient", 0, &row.weight, err));
    name = TERN_STR("*");
    for (;; n++) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            break;
        if (!tern_pmml_is(p, "FieldRef"))
            return tern_pmml_refuse(p, "a term is made of FieldRef", err);
        TERN_TRY(tern_pmml_field_of(p, "field", &field, err));
        if (field->type == TERN_PMML_TYPE_STRING)
            return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "field '%.*s' is no number",
                                  TERN_STR_ARG(field->name));
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_COLUMN, field->column, 0, err));
        if (n > 0)
            TERN_TRY(tern_pmml_emit(p, TERN_PMML_MUL, 2, 0, err));
        name = tern_arena_printf(&p->scratch, "%.*s*%u", TERN_STR_ARG(name), field->column);
        if (name.p == NULL)
            return tern_arena_fail(&p->scratch, err, "a predictor");
        TERN_TRY(tern_pmml_skip(p, err));
    }
    if (n == 0)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "expected FieldRef");
    TERN_TRY(find_term(p, name, &row.term, &is_new, err));
    if (is_new)
        TERN_TRY(tern_pmml_end_formula(p, &p->regression.terms[row.term], err));
    else
        tern_pmml_drop_formula(p);
    return keep_weight(p, row, err);
}

/* ---- tables ---- */

static enum tern_code begin_table(struct tern_pmml *p, struct tern_err *err)
{
    struct tern_pmml_regression *r = &p->regression;
    struct tern_pmml_table table = {.class = TERN_PMML_NONE};
    struct tern_str text;

    TERN_TRY(tern_pmml_want(p, "intercept", &text, err));
    TERN_TRY(tern_pmml_number(p, "intercept", 0, &table.intercept, err));
    if (p->is_classification) {
        TERN_TRY(tern_pmml_find_classes(p, err));
        TERN_TRY(tern_pmml_want(p, "targetCategory", &text, err));
        TERN_TRY(tern_pmml_class_of(p, text, &table.class, err));
        for (size_t i = 0; i < r->n_tables; i++)
            if (r->tables[i].class == table.class)
                return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "a second table of a class");
    }
    TERN_TRY(tern_grow(&r->tables, &r->tables_cap, r->n_tables, 1, sizeof(table),
                       TERN_FOREST_OUTPUTS_MAX, "tables of a regression", err));
    r->tables[r->n_tables++] = table;
    return TERN_OK;
}

static enum tern_code read_table(struct tern_pmml *p, struct tern_err *err)
{
    bool more = true;

    TERN_TRY(begin_table(p, err));
    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            return TERN_OK;
        if (tern_pmml_is(p, "NumericPredictor"))
            TERN_TRY(read_numeric(p, err));
        else if (tern_pmml_is(p, "CategoricalPredictor"))
            TERN_TRY(read_categorical(p, err));
        else if (tern_pmml_is(p, "PredictorTerm"))
            TERN_TRY(read_product(p, err));
        else
            return tern_pmml_refuse(
                p, "a table has NumericPredictor, CategoricalPredictor and PredictorTerm", err);
    }
}

/* ---- normalization ---- */

enum { METHOD_NONE, METHOD_SIMPLEMAX, METHOD_SOFTMAX, METHOD_LOGIT, METHOD_EXP };

static enum tern_code link_classes(struct tern_pmml *p, uint32_t method, struct tern_err *err)
{
    struct tern_pmml_regression *r = &p->regression;

    if (r->n_tables != p->classes.n || r->n_tables < 2)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                              "%zu tables for the %zu classes of the target", r->n_tables,
                              p->classes.n);
    switch (method) {
    case METHOD_NONE:
        r->norm = r->n_tables == 2 ? TERN_PMML_NORM_PAIR : TERN_PMML_NORM_REST;
        return TERN_OK;
    case METHOD_SIMPLEMAX:
        r->norm = TERN_PMML_NORM_SIMPLEMAX;
        return TERN_OK;
    case METHOD_SOFTMAX:
        r->link = TERN_LINK_SOFTMAX;
        return TERN_OK;
    case METHOD_LOGIT:
        if (r->n_tables == 2) {
            r->norm = TERN_PMML_NORM_PAIR;
            r->link = TERN_LINK_SIGMOID;
            return TERN_OK;
        }
        break;
    default:
        break;
    }
    return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                          "this normalizationMethod of %zu classes is not served: softmax and "
                          "simplemax are",
                          r->n_tables);
}

static enum tern_code link_number(struct tern_pmml *p, uint32_t method, struct tern_err *err)
{
    struct tern_pmml_regression *r = &p->regression;

    if (r->n_tables != 1)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "%zu tables for a target of numbers",
                              r->n_tables);
    if (method == METHOD_EXP)
        r->link = TERN_LINK_EXP;
    else if (method == METHOD_LOGIT || method == METHOD_SOFTMAX)
        r->link = TERN_LINK_SIGMOID;
    else if (method == METHOD_SIMPLEMAX)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err, "simplemax of a number is not served");
    return TERN_OK;
}

enum tern_code tern_pmml_read_regression(struct tern_pmml *p,
                                         const struct tern_pmml_context *context,
                                         struct tern_err *err)
{
    static const char *const methods[] = {"none", "simplemax", "softmax", "logit", "exp", NULL};
    uint32_t method;
    bool more = true;

    TERN_TRY(tern_pmml_choice(p, "normalizationMethod", methods, METHOD_NONE, &method, err));
    p->has_regression = true;
    p->regression.link = TERN_LINK_IDENTITY;
    p->regression.norm = TERN_PMML_NORM_NONE;
    for (;;) {
        TERN_TRY(tern_pmml_part(p, context, &more, err));
        if (!more)
            break;
        if (!tern_pmml_is(p, "RegressionTable"))
            return tern_pmml_refuse(p, "a RegressionModel is made of RegressionTable", err);
        TERN_TRY(read_table(p, err));
    }
    return p->is_classification ? link_classes(p, method, err) : link_number(p, method, err);
}

/* ---- steps ---- */

/* How many of the tables are asked: with two classes the second has what the first leaves. */
static uint32_t n_asked(const struct tern_pmml_regression *r)
{
    return r->norm == TERN_PMML_NORM_PAIR ? 1 : (uint32_t)r->n_tables;
}

/* Only the columns that are read, unless they are all columns in their order. */
static enum tern_code choose_columns(struct tern_pmml *p, uint32_t n_columns, uint32_t *value,
                                     struct tern_err *err)
{
    const struct tern_pmml_regression *r = &p->regression;
    struct tern_arena *arena = p->program->arena;
    uint32_t n = (uint32_t)r->keys.n;
    bool are_all = n == n_columns;

    for (uint32_t i = 0; i < n && are_all; i++)
        are_all = r->terms[i] == i;
    if (are_all)
        return TERN_OK;
    struct tern_pmml_columns *state = tern_arena_zalloc(arena, 1, sizeof(*state));
    uint32_t *columns = tern_arena_zalloc(arena, n + 1u, sizeof(*columns));
    if (state == NULL || columns == NULL)
        return tern_arena_fail(arena, err, "a regression");
    if (n > 0)
        memcpy(columns, r->terms, n * sizeof(*columns));
    *state = (struct tern_pmml_columns){columns, n};
    return tern_program_then(p->program, &tern_pmml_columns_op, state,
                             p->program->values[*value].tensor.dtype, value, err);
}

/* x W + b in the precision of the scores that come in. */
static enum tern_code fill(struct tern_pmml *p, enum tern_dtype dtype, struct tern_linear *ret,
                           bool *ret_is_identity, struct tern_err *err)
{
    const struct tern_pmml_regression *r = &p->regression;
    struct tern_arena *arena = p->program->arena;
    size_t m = r->keys.n, k = n_asked(r), size = tern_dtype_size(dtype);
    double *weights = tern_arena_zalloc(&p->scratch, m * k + 1, sizeof(*weights));
    void *kept = tern_arena_zalloc(arena, m * k + k, size);

    if (weights == NULL || kept == NULL)
        return tern_arena_fail(weights == NULL ? &p->scratch : arena, err, "a regression");
    for (size_t i = 0; i < r->n_weights; i++)
        if (r->weights[i].table < k)
            weights[r->weights[i].term * k + r->weights[i].table] += r->weights[i].weight;
    *ret_is_identity = m == k;
    for (size_t i = 0; i < m * k + k; i++) {
        double x = i < m * k ? weights[i] : r->tables[i - m * k].intercept;
        bool is_diagonal = i < m * k && i / k == i % k;
        *ret_is_identity = *ret_is_identity && x == (is_diagonal ? 1 : 0);
        if (dtype == TERN_DTYPE_FP32)
            ((float *)kept)[i] = (float)x;
        else
            ((double *)kept)[i] = x;
    }
    *ret = (struct tern_linear){.weights = kept,
                                .bias = (char *)kept + m * k * size,
                                .n_features = (uint32_t)m,
                                .n_outputs = (uint32_t)k,
                                .dtype = dtype};
    return TERN_OK;
}

enum tern_code tern_pmml_make_regression(struct tern_pmml *p, uint32_t *value, struct tern_err *err)
{
    uint32_t n_columns = p->is_chain ? p->forest.n_outputs : p->n_columns;
    struct tern_linear linear;
    bool is_identity = false;

    TERN_TRY(choose_columns(p, n_columns, value, err));
    TERN_TRY(fill(p, p->program->values[*value].tensor.dtype, &linear, &is_identity, err));
    if (!is_identity || !p->is_chain)
        TERN_TRY(tern_op_linear(p->program, &linear, value, err));
    return tern_op_link(p->program, p->regression.link, 1, value, err);
}
