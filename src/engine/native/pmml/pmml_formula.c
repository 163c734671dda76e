/* Derived fields: expressions become code for a machine with a stack. An expression within one is
 * read by the same loop: what a function's arguments are is known at its end. */
#include <math.h>

#include "base/compiler.h"
#include "base/grow.h"
#include "engine/native/pmml/pmml_int.h"

#define NESTED_MAX 64

struct function {
    const char *name;
    enum tern_pmml_code code;
    uint32_t least, most; /* arguments */
};

static const struct function functions[] = {
    {"+", TERN_PMML_ADD, 2, 2},
    {"-", TERN_PMML_SUB, 2, 2},
    {"*", TERN_PMML_MUL, 2, 2},
    {"/", TERN_PMML_DIV, 2, 2},
    {"pow", TERN_PMML_POW, 2, 2},
    {"exp", TERN_PMML_EXP, 1, 1},
    {"ln", TERN_PMML_LN, 1, 1},
    {"ln1p", TERN_PMML_LN1P, 1, 1},
    {"expm1", TERN_PMML_EXPM1, 1, 1},
    {"log10", TERN_PMML_LOG10, 1, 1},
    {"sqrt", TERN_PMML_SQRT, 1, 1},
    {"abs", TERN_PMML_ABS, 1, 1},
    {"floor", TERN_PMML_FLOOR, 1, 1},
    {"ceil", TERN_PMML_CEIL, 1, 1},
    {"threshold", TERN_PMML_THRESHOLD, 2, 2},
    {"equal", TERN_PMML_EQUAL, 2, 2},
    {"notEqual", TERN_PMML_NOT_EQUAL, 2, 2},
    {"lessThan", TERN_PMML_LESS, 2, 2},
    {"lessOrEqual", TERN_PMML_LESS_EQUAL, 2, 2},
    {"greaterThan", TERN_PMML_GREATER, 2, 2},
    {"greaterOrEqual", TERN_PMML_GREATER_EQUAL, 2, 2},
    {"isMissing", TERN_PMML_IS_MISSING, 1, 1},
    {"isNotMissing", TERN_PMML_IS_PRESENT, 1, 1},
    {"not", TERN_PMML_NOT, 1, 1},
    {"and", TERN_PMML_AND, 2, 1000},
    {"or", TERN_PMML_OR, 2, 1000},
    {"if", TERN_PMML_IF, 2, 3},
};

/* A function whose arguments are being read. */
struct call {
    const struct function *function;
    uint32_t n; /* arguments so far */
    double if_missing;
};

/* ---- code ---- */

enum tern_code tern_pmml_emit(struct tern_pmml *p, enum tern_pmml_code code, uint32_t n,
                              double number, struct tern_err *err)
{
    TERN_TRY(tern_grow(&p->code, &p->code_cap, p->n_code, 1, sizeof(*p->code), TERN_PMML_PARTS_MAX,
                       "instructions", err));
    p->code[p->n_code++] = (struct tern_pmml_instruction){code, n, number, NULL};
    return TERN_OK;
}

/* What a formula puts on the stack at most. */
static uint32_t deepest(const struct tern_pmml *p, uint32_t from)
{
    uint32_t top = 0, most = 0;

    for (size_t i = from; i < p->n_code; i++) {
        const struct tern_pmml_instruction *in = &p->code[i];
        if (in->code == TERN_PMML_COLUMN || in->code == TERN_PMML_NUMBER)
            top++;
        else if (in->code != TERN_PMML_IF_MISSING && in->set == NULL)
            top -= in->n - 1;
        most = top > most ? top : most;
    }
    return most;
}

enum tern_code tern_pmml_end_formula(struct tern_pmml *p, uint32_t *ret_column,
                                     struct tern_err *err)
{
    uint32_t from = p->n_ends == 0 ? 0 : p->ends[p->n_ends - 1], stack = deepest(p, from);

    TERN_TRY(tern_grow(&p->ends, &p->ends_cap, p->n_ends, 1, sizeof(*p->ends), TERN_PMML_FIELDS_MAX,
                       "formulas", err));
    TERN_TRY(tern_pmml_widen(p, p->n_columns + 1, p->forest.n_outputs, err));
    p->stack_max = stack > p->stack_max ? stack : p->stack_max;
    p->ends[p->n_ends++] = (uint32_t)p->n_code;
    *ret_column = p->n_columns++;
    return TERN_OK;
}

void tern_pmml_drop_formula(struct tern_pmml *p)
{
    p->n_code = p->n_ends == 0 ? 0 : p->ends[p->n_ends - 1];
}

/* ---- expressions ---- */

static enum tern_code read_reference(struct tern_pmml *p, const struct tern_pmml_field **ret_field,
                                     struct tern_err *err)
{
    bool has_default = tern_pmml_has(p, "mapMissingTo");
    double otherwise = 0;

    TERN_TRY(tern_pmml_field_of(p, "field", ret_field, err));
    if (has_default && (*ret_field)->type == TERN_PMML_TYPE_STRING)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err, "mapMissingTo of texts is not served");
    TERN_TRY(tern_pmml_number(p, "mapMissingTo", 0, &otherwise, err));
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_COLUMN, (*ret_field)->column, 0, err));
    if (has_default)
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_IF_MISSING, 1, otherwise, err));
    return tern_pmml_skip(p, err);
}

static enum tern_code read_constant(struct tern_pmml *p, struct tern_err *err)
{
    static const char *const types[] = {"double", "float", "integer", "boolean", NULL};
    uint32_t type;
    double number;

    TERN_TRY(tern_pmml_choice(p, "dataType", types, TERN_PMML_TYPE_DOUBLE, &type, err));
    TERN_TRY(tern_xml_next(p->xml, &p->event, err));
    if (p->event.kind != TERN_XML_END ||
        !tern_pmml_parse(p->event.text, (enum tern_pmml_type)type, &number))
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err, "expected a number, got '%.*s'",
                              (int)(p->event.text.n > 64 ? 64 : p->event.text.n), p->event.text.p);
    return tern_pmml_emit(p, TERN_PMML_NUMBER, 0, number, err);
}

/* 1 where the field has the value, else 0. */
static enum tern_code read_indicator(struct tern_pmml *p, struct tern_err *err)
{
    const struct tern_pmml_field *field;
    bool has_default = tern_pmml_has(p, "mapMissingTo");
    struct tern_str text;
    double value, otherwise;

    TERN_TRY(tern_pmml_field_of(p, "field", &field, err));
    TERN_TRY(tern_pmml_want(p, "value", &text, err));
    TERN_TRY(tern_pmml_value_of(p, field, text, &value, err));
    TERN_TRY(tern_pmml_number(p, "mapMissingTo", 0, &otherwise, err));
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_COLUMN, field->column, 0, err));
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_NUMBER, 0, value, err));
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_EQUAL, 2, 0, err));
    if (has_default)
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_IF_MISSING, 1, otherwise, err));
    return tern_pmml_skip(p, err);
}

static enum tern_code begin_call(struct tern_pmml *p, struct call *call, struct tern_err *err)
{
    struct tern_str name;
    size_t i = 0;

    *call = (struct call){.function = NULL};
    TERN_TRY(tern_pmml_want(p, "function", &name, err));
    while (i < TERN_COUNT_OF(functions) && !tern_str_eq(name, tern_str_of(functions[i].name)))
        i++;
    if (i == TERN_COUNT_OF(functions))
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err, "function '%.*s' is not served",
                              (int)(name.n > 64 ? 64 : name.n), name.p);
    call->function = &functions[i];
    if (tern_pmml_has(p, "defaultValue"))
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err, "defaultValue is not served");
    return tern_pmml_number(p, "mapMissingTo", (double)NAN, &call->if_missing, err);
}

static enum tern_code end_call(struct tern_pmml *p, const struct call *call, struct tern_err *err)
{
    const struct function *f = call->function;

    if (call->n < f->least || call->n > f->most)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "%s of %u arguments", f->name,
                              call->n);
    TERN_TRY(tern_pmml_emit(p, f->code, call->n, 0, err));
    if (isnan(call->if_missing))
        return TERN_OK;
    return tern_pmml_emit(p, TERN_PMML_IF_MISSING, 1, call->if_missing, err);
}

/* One that has no arguments of its own. *ret_field: where it is a field and nothing else. */
static enum tern_code read_simple(struct tern_pmml *p, const struct tern_pmml_field **ret_field,
                                  struct tern_err *err)
{
    if (tern_pmml_is(p, "FieldRef"))
        return read_reference(p, ret_field, err);
    if (tern_pmml_is(p, "Constant"))
        return read_constant(p, err);
    if (tern_pmml_is(p, "NormDiscrete"))
        return read_indicator(p, err);
    if (tern_pmml_is(p, "NormContinuous"))
        return tern_pmml_read_norm(p, err);
    if (tern_pmml_is(p, "MapValues"))
        return tern_pmml_read_map(p, err);
    return tern_pmml_refuse(p,
                            "FieldRef, Constant, NormDiscrete, NormContinuous, MapValues and Apply "
                            "are; compute others before",
                            err);
}

/* The expression that p->event begins. */
static enum tern_code read_expression(struct tern_pmml *p, const struct tern_pmml_field **ret_field,
                                      struct tern_err *err)
{
    struct call calls[NESTED_MAX];
    const struct tern_pmml_field *field = NULL;
    uint32_t n = 0;
    bool more = true;

    *ret_field = NULL;
    do {
        if (!more) {
            TERN_TRY(end_call(p, &calls[--n], err));
        } else if (!tern_pmml_is(p, "Apply")) {
            field = NULL;
            TERN_TRY(read_simple(p, &field, err));
            if (field != NULL && field->type == TERN_PMML_TYPE_STRING && n > 0)
                return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                                      "functions of texts are not served");
        } else if (n == NESTED_MAX) {
            return tern_pmml_fail(p, TERN_RESOURCE_EXHAUSTED, err,
                                  "functions are nested deeper than %d", NESTED_MAX);
        } else {
            TERN_TRY(begin_call(p, &calls[n++], err));
            TERN_TRY(tern_pmml_child(p, &more, err));
            continue;
        }
        if (n == 0)
            break;
        calls[n - 1].n++;
        TERN_TRY(tern_pmml_child(p, &more, err));
    } while (true);
    *ret_field = field;
    return TERN_OK;
}

/* ---- derived fields ---- */

static enum tern_code read_derived(struct tern_pmml *p, struct tern_err *err)
{
    static const char *const types[] = {"double", "float", "integer", "boolean", "string", NULL};
    static const char *const optypes[] = {"continuous", "categorical", "ordinal", NULL};
    const struct tern_pmml_field *from;
    struct tern_pmml_field field = {.line = p->event.line};
    struct tern_str name;
    uint32_t type, optype;
    bool more = true;

    TERN_TRY(tern_pmml_choice(p, "dataType", types, TERN_PMML_TYPE_DOUBLE, &type, err));
    TERN_TRY(tern_pmml_choice(p, "optype", optypes, 0, &optype, err));
    TERN_TRY(tern_pmml_want(p, "name", &name, err));
    field.name = tern_arena_copy(&p->scratch, name);
    if (field.name.p == NULL)
        return tern_arena_fail(&p->scratch, err, "a name");
    field.type = (enum tern_pmml_type)type;
    field.is_categorical = optype != 0;
    TERN_TRY(tern_pmml_child(p, &more, err));
    if (!more)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "expected an expression");
    TERN_TRY(read_expression(p, &from, err));
    bool is_text = from != NULL && from->type == TERN_PMML_TYPE_STRING;
    if (is_text != (field.type == TERN_PMML_TYPE_STRING))
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                              "field '%.*s' turns a text into a number, or a number into a text",
                              TERN_STR_ARG(field.name));
    if (field.type == TERN_PMML_TYPE_FLOAT)
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_FLOAT, 1, 0, err));
    if (field.type == TERN_PMML_TYPE_INTEGER)
        TERN_TRY(tern_pmml_emit(p, TERN_PMML_TRUNCATE, 1, 0, err));
    TERN_TRY(tern_pmml_end_formula(p, &field.column, err));
    if (is_text) { /* the same categories, which the first field owns */
        field.column = from->column;
        field.categories = from->categories;
        field.is_copy = true;
    }
    TERN_TRY(tern_pmml_add_field(p, &field, err));
    TERN_TRY(tern_pmml_child(p, &more, err));
    return more ? tern_pmml_refuse(p, "a derived field is one expression", err) : TERN_OK;
}

enum tern_code tern_pmml_read_transformations(struct tern_pmml *p, struct tern_err *err)
{
    bool more = true;

    if (p->forest.rounds_input)
        return tern_pmml_refuse(p, "say it in the outermost model, or in TransformationDictionary",
                                err);
    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            return TERN_OK;
        if (!tern_pmml_is(p, "DerivedField"))
            return tern_pmml_refuse(p, "expected DerivedField", err);
        TERN_TRY(read_derived(p, err));
    }
}
