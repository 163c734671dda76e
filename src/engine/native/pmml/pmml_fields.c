/* What a model takes: DataDictionary says what values a field has, MiningSchema which fields are
 * used and what is done where values are missing or not valid. */
#include <math.h>

#include "base/compiler.h"
#include "base/grow.h"
#include "engine/native/pmml/pmml_int.h"

#define VALUES_MAX ((size_t)1 << 24) /* of a field */

static const char *const types[] = {"double", "float", "integer", "boolean", "string", NULL};

/* ---- DataDictionary ---- */

static enum tern_code read_value(struct tern_pmml *p, struct tern_pmml_field *field,
                                 struct tern_err *err)
{
    static const char *const kinds[] = {"valid", "invalid", "missing", NULL};
    struct tern_str text;
    uint32_t kind;

    TERN_TRY(tern_pmml_want(p, "value", &text, err));
    TERN_TRY(tern_pmml_choice(p, "property", kinds, TERN_PMML_VALID, &kind, err));
    TERN_TRY(tern_grow(&field->values, &field->values_cap, field->n_values, 1,
                       sizeof(*field->values), VALUES_MAX, "values of a field", err));
    TERN_TRY(tern_grow(&field->kinds, &field->kinds_cap, field->n_values, 1, 1, VALUES_MAX,
                       "values of a field", err));
    struct tern_str copy = tern_arena_copy(&p->scratch, text);
    if (copy.p == NULL && text.n > 0)
        return tern_arena_fail(&p->scratch, err, "a value");
    field->values[field->n_values] = copy.p == NULL ? TERN_STR("") : copy;
    field->kinds[field->n_values++] = (uint8_t)kind;
    field->has_valid = field->has_valid || kind == TERN_PMML_VALID;
    return tern_pmml_skip(p, err);
}

static enum tern_code read_interval(struct tern_pmml *p, struct tern_pmml_field *field,
                                    struct tern_err *err)
{
    static const char *const closures[] = {"closedClosed", "openClosed", "closedOpen", "openOpen",
                                           NULL};
    struct tern_pmml_interval interval;
    uint32_t closure;

    TERN_TRY(tern_pmml_choice(p, "closure", closures, 0, &closure, err));
    interval.low_open = (closure & 1) != 0;
    interval.high_open = (closure & 2) != 0;
    TERN_TRY(tern_pmml_number(p, "leftMargin", -(double)INFINITY, &interval.low, err));
    TERN_TRY(tern_pmml_number(p, "rightMargin", (double)INFINITY, &interval.high, err));
    TERN_TRY(tern_grow(&field->intervals, &field->intervals_cap, field->n_intervals, 1,
                       sizeof(interval), VALUES_MAX, "intervals of a field", err));
    field->intervals[field->n_intervals++] = interval;
    return tern_pmml_skip(p, err);
}

/* What a field's attributes say. */
static enum tern_code read_kind(struct tern_pmml *p, struct tern_pmml_field *field,
                                struct tern_err *err)
{
    static const char *const optypes[] = {"continuous", "categorical", "ordinal", NULL};
    uint32_t type, optype;

    TERN_TRY(tern_pmml_choice(p, "dataType", types, TERN_PMML_TYPE_DOUBLE, &type, err));
    TERN_TRY(tern_pmml_choice(p, "optype", optypes, 0, &optype, err));
    *field = (struct tern_pmml_field){
        .type = (enum tern_pmml_type)type,
        .is_categorical = optype != 0,
        .line = p->event.line,
        .column = TERN_PMML_NONE,
    };
    if (tern_pmml_get(p, "isCyclic").n == 1 && *tern_pmml_get(p, "isCyclic").p == '1')
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err, "isCyclic is not served");
    return TERN_OK;
}

enum tern_code tern_pmml_add_field(struct tern_pmml *p, const struct tern_pmml_field *field,
                                   struct tern_err *err)
{
    size_t n = p->field_names.n;
    uint32_t at;

    TERN_TRY(tern_grow(&p->fields, &p->fields_cap, n, 1, sizeof(*p->fields), TERN_PMML_FIELDS_MAX,
                       "fields", err));
    TERN_TRY(tern_pmml_names_find(p, &p->field_names, field->name, true, &at, err));
    if (at < n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "line %u: two fields are called '%.*s'",
                         p->event.line, TERN_STR_ARG(field->name));
    p->fields[at] = *field;
    p->fields[at].name = p->field_names.names[at];
    return TERN_OK;
}

static enum tern_code read_field(struct tern_pmml *p, struct tern_err *err)
{
    struct tern_pmml_field made;
    bool more = true;

    TERN_TRY(read_kind(p, &made, err));
    TERN_TRY(tern_pmml_want(p, "name", &made.name, err));
    if (made.type == TERN_PMML_TYPE_STRING) {
        made.categories = tern_arena_zalloc(&p->scratch, 1, sizeof(*made.categories));
        if (made.categories == NULL)
            return tern_arena_fail(&p->scratch, err, "a field");
    }
    TERN_TRY(tern_pmml_add_field(p, &made, err));
    struct tern_pmml_field *field = &p->fields[p->field_names.n - 1];
    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            return TERN_OK;
        if (tern_pmml_is(p, "Value"))
            TERN_TRY(read_value(p, field, err));
        else if (tern_pmml_is(p, "Interval"))
            TERN_TRY(read_interval(p, field, err));
        else
            return tern_pmml_refuse(p, "a field has Value and Interval", err);
    }
}

enum tern_code tern_pmml_read_dictionary(struct tern_pmml *p, struct tern_err *err)
{
    bool more = true;

    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            return TERN_OK;
        if (tern_pmml_is(p, "DataField"))
            TERN_TRY(read_field(p, err));
        else
            return tern_pmml_refuse(p, "expected DataField", err);
    }
}

/* ---- MiningSchema ---- */

enum tern_code tern_pmml_value_of(struct tern_pmml *p, const struct tern_pmml_field *field,
                                  struct tern_str text, double *ret, struct tern_err *err)
{
    uint32_t at;

    if (field->type != TERN_PMML_TYPE_STRING) {
        if (tern_pmml_parse(text, field->type, ret) && !isnan(*ret))
            return TERN_OK;
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                              "field '%.*s' is a number, but is asked for '%.*s'",
                              TERN_STR_ARG(field->name), (int)(text.n > 64 ? 64 : text.n), text.p);
    }
    TERN_TRY(tern_pmml_names_find(p, field->categories, text, true, &at, err));
    if (at >= TERN_FOREST_CATEGORY_MAX)
        return tern_pmml_fail(p, TERN_RESOURCE_EXHAUSTED, err, "field '%.*s' has %u categories",
                              TERN_STR_ARG(field->name), at);
    *ret = at;
    return TERN_OK;
}

/* missingValueReplacement or invalidValueReplacement. */
static enum tern_code read_replacement(struct tern_pmml *p, const struct tern_pmml_field *field,
                                       const char *name, double *ret, struct tern_err *err)
{
    struct tern_str text;

    TERN_TRY(tern_pmml_want(p, name, &text, err));
    return tern_pmml_value_of(p, field, text, ret, err);
}

static enum tern_code read_treatments(struct tern_pmml *p, const struct tern_pmml_field *field,
                                      struct tern_pmml_intake *intake, struct tern_err *err)
{
    static const char *const invalid[] = {"asIs", "asMissing", "asValue", "returnInvalid", NULL};
    static const char *const outliers[] = {"asIs", NULL};
    static const char *const missing[] = {"asIs",    "asMean",        "asMode", "asMedian",
                                          "asValue", "returnInvalid", NULL};
    uint32_t treatment;

    TERN_TRY(tern_pmml_choice(p, "outliers", outliers, 0, &treatment, err));
    TERN_TRY(tern_pmml_choice(p, "invalidValueTreatment", invalid, TERN_PMML_RETURN_INVALID,
                              &treatment, err));
    intake->invalid = (enum tern_pmml_treatment)treatment;
    if (intake->invalid == TERN_PMML_AS_VALUE)
        TERN_TRY(
            read_replacement(p, field, "invalidValueReplacement", &intake->invalid_value, err));
    TERN_TRY(tern_pmml_choice(p, "missingValueTreatment", missing, 0, &treatment, err));
    intake->missing = treatment == 5 ? TERN_PMML_RETURN_INVALID : TERN_PMML_AS_IS;
    if (!tern_pmml_has(p, "missingValueReplacement"))
        return TERN_OK;
    intake->missing = TERN_PMML_AS_VALUE;
    return read_replacement(p, field, "missingValueReplacement", &intake->missing_value, err);
}

static enum tern_code add_input(struct tern_pmml *p, struct tern_pmml_field *field,
                                struct tern_err *err)
{
    struct tern_pmml_intake intake = {
        .name = field->name,
        .is_text = field->type == TERN_PMML_TYPE_STRING,
        .is_float = field->type == TERN_PMML_TYPE_FLOAT,
        .is_listed = field->has_valid,
        .intervals = field->intervals,
        .n_intervals = (uint32_t)field->n_intervals,
    };

    if (field->is_input)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "field '%.*s' stands there twice",
                              TERN_STR_ARG(field->name));
    TERN_TRY(read_treatments(p, field, &intake, err));
    TERN_TRY(tern_grow(&p->intakes, &p->intakes_cap, p->n_intakes, 1, sizeof(intake),
                       TERN_PMML_FIELDS_MAX, "inputs", err));
    field->is_input = true;
    field->column = p->n_columns++;
    p->intakes[p->n_intakes++] = intake;
    return TERN_OK;
}

/* A model within another one sees what the outermost one has made of a field: nothing more may be
 * done to it. */
static enum tern_code check_inner(struct tern_pmml *p, struct tern_err *err)
{
    static const char *const changes[] = {"missingValueReplacement", "invalidValueReplacement",
                                          "outliers"};

    for (size_t i = 0; i < TERN_COUNT_OF(changes); i++) {
        struct tern_str value = tern_pmml_get(p, changes[i]);
        if (value.p != NULL && !tern_str_eq(value, TERN_STR("asIs")))
            return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                                  "%s within a model of models is not served: say it in the "
                                  "MiningSchema of the outermost model",
                                  changes[i]);
    }
    return TERN_OK;
}

static enum tern_code read_mining_field(struct tern_pmml *p, bool is_outermost,
                                        struct tern_err *err)
{
    static const char *const usages[] = {"active",          "target",         "predicted",
                                         "supplementary",   "group",          "order",
                                         "frequencyWeight", "analysisWeight", NULL};
    struct tern_str name;
    uint32_t usage, at;

    TERN_TRY(tern_pmml_want(p, "name", &name, err));
    TERN_TRY(tern_pmml_choice(p, "usageType", usages, 0, &usage, err));
    TERN_TRY(tern_pmml_names_find(p, &p->field_names, name, false, &at, err));
    if (!is_outermost && usage == 0)
        return check_inner(p, err);
    if (usage > 2)
        return TERN_OK;
    if (at == TERN_PMML_NONE)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "field '%.*s' is not there",
                              TERN_STR_ARG(name));
    if (usage == 0)
        return add_input(p, &p->fields[at], err);
    if (p->target != TERN_PMML_NONE && p->target != at)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                              "a second target, '%.*s', is not served: write a file for each",
                              TERN_STR_ARG(name));
    p->target = at;
    return TERN_OK;
}

enum tern_code tern_pmml_read_schema(struct tern_pmml *p, bool is_outermost, struct tern_err *err)
{
    bool more = true;

    for (;;) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more)
            return TERN_OK;
        if (!tern_pmml_is(p, "MiningField"))
            return tern_pmml_refuse(p, "expected MiningField", err);
        TERN_TRY(read_mining_field(p, is_outermost, err));
        TERN_TRY(tern_pmml_skip(p, err));
    }
}

/* ---- asking ---- */

enum tern_code tern_pmml_field_of(struct tern_pmml *p, const char *attribute,
                                  const struct tern_pmml_field **ret, struct tern_err *err)
{
    struct tern_str name;
    uint32_t at;

    TERN_TRY(tern_pmml_want(p, attribute, &name, err));
    TERN_TRY(tern_pmml_names_find(p, &p->field_names, name, false, &at, err));
    if (at == TERN_PMML_NONE || p->fields[at].column == TERN_PMML_NONE)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err,
                              "field '%.*s' is no active field of the model", TERN_STR_ARG(name));
    *ret = &p->fields[at];
    return TERN_OK;
}

bool tern_pmml_all_float(const struct tern_pmml *p)
{
    for (size_t i = 0; i < p->n_intakes; i++)
        if (!p->intakes[i].is_float)
            return false;
    return true;
}

/* NaN among the missing values of numbers is what it is anyhow. */
static bool has_values(const struct tern_pmml_field *field)
{
    double x;

    for (size_t i = 0; i < field->n_values; i++) {
        bool is_nan = tern_pmml_parse(field->values[i], field->type, &x) && isnan(x);
        if (!is_nan || field->kinds[i] != TERN_PMML_MISSING)
            return true;
    }
    return false;
}

bool tern_pmml_is_plain(const struct tern_pmml *p)
{
    for (size_t i = 0; i < p->field_names.n; i++) {
        const struct tern_pmml_field *field = &p->fields[i];
        if (!field->is_input)
            continue;
        const struct tern_pmml_intake *intake = &p->intakes[field->column];
        bool may_be_invalid = has_values(field) || field->n_intervals > 0;
        if (intake->is_text || may_be_invalid || intake->missing != TERN_PMML_AS_IS)
            return false;
    }
    return true;
}
