/* Predicates. What compares one field is asked by nodes of a forest as it stands; what is compound
 * becomes a column of the matrix: 1, 0, or missing where it is not known. */
#include <math.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/grow.h"
#include "base/hash.h"
#include "base/mem.h"
#include "engine/native/pmml/pmml_int.h"

#define NESTED_MAX 64
#define SET_MAX    ((size_t)1 << 24)

static const char *const operators[] = {"equal",       "notEqual",     "lessThan",
                                        "lessOrEqual", "greaterThan",  "greaterOrEqual",
                                        "isMissing",   "isNotMissing", NULL};

/* In the order of the names; of whole numbers the codes of formulas are in the same. */
static const enum tern_pmml_code codes[] = {
    TERN_PMML_EQUAL,   TERN_PMML_NOT_EQUAL,     TERN_PMML_LESS,       TERN_PMML_LESS_EQUAL,
    TERN_PMML_GREATER, TERN_PMML_GREATER_EQUAL, TERN_PMML_IS_MISSING, TERN_PMML_IS_PRESENT,
};

static const struct {
    enum tern_forest_test test;
    bool is_turned;
} tests[] = {
    {TERN_FOREST_EQUAL, false},      {TERN_FOREST_EQUAL, true},       {TERN_FOREST_LESS, false},
    {TERN_FOREST_LESS_EQUAL, false}, {TERN_FOREST_LESS_EQUAL, true},  {TERN_FOREST_LESS, true},
    {TERN_FOREST_LESS_EQUAL, true},  {TERN_FOREST_LESS_EQUAL, false},
};

bool tern_pmml_is_predicate(const struct tern_pmml *p)
{
    static const char *const names[] = {"SimplePredicate", "SimpleSetPredicate",
                                        "CompoundPredicate", "True", "False"};

    for (size_t i = 0; i < TERN_COUNT_OF(names); i++)
        if (tern_pmml_is(p, names[i]))
            return true;
    return false;
}

/* A number of what is asked: for what is compared, not for security. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    const uint64_t both[2] = {a, b};
    return tern_hash_bytes(tern_str_make((const char *)both, sizeof(both)), 0) | 1;
}

static uint64_t unknown_of(uint32_t column)
{
    return mix(column, 0);
}

/* ---- one field, one value ---- */

struct simple {
    const struct tern_pmml_field *field;
    uint32_t comparison;
    double value;
};

static enum tern_code read_simple(struct tern_pmml *p, struct simple *ret, struct tern_err *err)
{
    struct tern_str text;

    TERN_TRY(tern_pmml_field_of(p, "field", &ret->field, err));
    TERN_TRY(tern_pmml_want(p, "operator", &text, err));
    TERN_TRY(tern_pmml_choice(p, "operator", operators, 0, &ret->comparison, err));
    ret->value = (double)INFINITY; /* what is not missing is not above it */
    if (ret->comparison < 6) {
        TERN_TRY(tern_pmml_want(p, "value", &text, err));
        TERN_TRY(tern_pmml_value_of(p, ret->field, text, &ret->value, err));
    }
    if (ret->field->type == TERN_PMML_TYPE_STRING && ret->comparison > 1 && ret->comparison < 6)
        return tern_pmml_fail(p, TERN_UNIMPLEMENTED, err,
                              "operator %s of texts is not served: they have no order",
                              operators[ret->comparison]);
    return tern_pmml_skip(p, err);
}

static enum tern_code test_simple(struct tern_pmml *p, struct tern_pmml_test *ret,
                                  struct tern_err *err)
{
    struct simple s;

    TERN_TRY(read_simple(p, &s, err));
    *ret = (struct tern_pmml_test){
        .kind = TERN_PMML_ASKS,
        .test = tests[s.comparison].test,
        .is_turned = tests[s.comparison].is_turned,
        .knows_missing = s.comparison >= 6,
        .unknown = s.comparison >= 6 ? 0 : unknown_of(s.field->column),
        .column = s.field->column,
        .threshold = s.value,
    };
    return TERN_OK;
}

static enum tern_code emit_simple(struct tern_pmml *p, struct tern_err *err)
{
    struct simple s;

    TERN_TRY(read_simple(p, &s, err));
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_COLUMN, s.field->column, 0, err));
    if (s.comparison >= 6)
        return tern_pmml_emit(p, codes[s.comparison], 1, 0, err);
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_NUMBER, 0, s.value, err));
    return tern_pmml_emit(p, codes[s.comparison], 2, 0, err);
}

/* ---- sets ---- */

struct set {
    const struct tern_pmml_field *field;
    bool is_turned; /* isNotIn */
    double *values; /* owned, sorted */
    size_t n, cap;
    bool is_small; /* whole numbers that a forest's sets may have */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next value of an array: a word, or a text within quotation marks, in which \" stands for one.
 * room: as long as the text. */
static bool next_value(struct tern_str *rest, char *room, struct tern_str *ret)
{
    size_t at = 0, n = 0;

    while (at < rest->n && is_space(rest->p[at]))
        at++;
    if (at == rest->n)
        return false;
    bool is_quoted = rest->p[at] == '"';
    for (at += is_quoted; at < rest->n; at++) {
        char c = rest->p[at];
        if (is_quoted ? c == '"' : is_space(c))
            break;
        if (c == '\\' && at + 1 < rest->n && rest->p[at + 1] == '"')
            c = rest->p[++at];
        room[n++] = c;
    }
    *rest = tern_str_from(*rest, at + 1);
    *ret = tern_str_make(room, n);
    return true;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static enum tern_code read_values(struct tern_pmml *p, struct set *set, char *room,
                                  struct tern_err *err)
{
    struct tern_str rest = p->event.text, text;

    set->is_small = true;
    while (next_value(&rest, room, &text)) {
        double value;
        TERN_TRY(tern_pmml_value_of(p, set->field, text, &value, err));
        TERN_TRY(tern_grow(&set->values, &set->cap, set->n, 1, sizeof(value), SET_MAX,
                           "values of a set", err));
        set->values[set->n++] = value;
        bool is_whole = value >= 0 && value < TERN_FOREST_CATEGORY_MAX && floor(value) == value;
        set->is_small = set->is_small && is_whole;
    }
    if (set->n > 1)
        qsort(set->values, set->n, sizeof(double), compare);
    return TERN_OK;
}

/* The values are the caller's to free, also after a failure. */
static enum tern_code read_set(struct tern_pmml *p, struct set *set, struct tern_err *err)
{
    static const char *const names[] = {"isIn", "isNotIn", NULL};
    struct tern_str text;
    uint32_t which;
    bool more = true;

    TERN_TRY(tern_pmml_field_of(p, "field", &set->field, err));
    TERN_TRY(tern_pmml_want(p, "booleanOperator", &text, err));
    TERN_TRY(tern_pmml_choice(p, "booleanOperator", names, 0, &which, err));
    set->is_turned = which == 1;
    TERN_TRY(tern_pmml_child(p, &more, err));
    if (!more || !tern_pmml_is(p, "Array"))
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "expected Array");
    TERN_TRY(tern_xml_next(p->xml, &p->event, err));
    if (p->event.kind != TERN_XML_END)
        return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "expected values and no element");
    char *room = tern_mem_alloc(p->event.text.n + 1);
    if (room == NULL)
        return tern_mem_fail(err, "values of a set", p->event.text.n);
    enum tern_code code = read_values(p, set, room, err);
    tern_mem_free(room);
    TERN_TRY(code);
    TERN_TRY(tern_pmml_child(p, &more, err));
    return more ? tern_pmml_refuse(p, "a set is one Array", err) : TERN_OK;
}

static enum tern_code emit_set_code(struct tern_pmml *p, const struct set *set,
                                    struct tern_err *err)
{
    double *kept = tern_arena_zalloc(p->program->arena, set->n + 1, sizeof(*kept));

    if (kept == NULL)
        return tern_arena_fail(p->program->arena, err, "values of a set");
    if (set->n > 0)
        memcpy(kept, set->values, set->n * sizeof(*kept));
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_COLUMN, set->field->column, 0, err));
    TERN_TRY(tern_pmml_emit(p, TERN_PMML_IN, (uint32_t)set->n, 0, err));
    p->code[p->n_code - 1].set = kept;
    return set->is_turned ? tern_pmml_emit(p, TERN_PMML_NOT, 1, 0, err) : TERN_OK;
}

static enum tern_code emit_set(struct tern_pmml *p, struct tern_err *err)
{
    struct set set = {.n = 0};
    enum tern_code code = read_set(p, &set, err);

    if (code == TERN_OK)
        code = emit_set_code(p, &set, err);
    tern_mem_free(set.values);
    return code;
}

/* The forests know the same sets by the same numbers. */
static enum tern_code add_sets(struct tern_pmml *p, const uint32_t *members, size_t n,
                               uint32_t *ret, struct tern_err *err)
{
    const enum tern_forest_rounding exact = TERN_FOREST_EXACT;

    if (p->forest.labels != NULL)
        TERN_TRY(tern_forest_builder_add_set(p->forest.labels, members, n, exact, ret, err));
    TERN_TRY(tern_forest_builder_add_set(p->forest.guard, members, n, exact, ret, err));
    return tern_forest_builder_add_set(p->forest.builder, members, n, exact, ret, err);
}

static enum tern_code test_members(struct tern_pmml *p, const struct set *set,
                                   struct tern_pmml_test *ret, struct tern_err *err)
{
    uint32_t *members = tern_mem_zalloc(set->n + 1, sizeof(*members));

    if (members == NULL)
        return tern_mem_fail(err, "values of a set", set->n * sizeof(*members));
    for (size_t i = 0; i < set->n; i++)
        members[i] = (uint32_t)set->values[i];
    enum tern_code code = add_sets(p, members, set->n, &ret->set, err);
    tern_mem_free(members);
    return code;
}

/* A column that a formula computes is 1 where it is true. */
static struct tern_pmml_test test_of(uint32_t column)
{
    return (struct tern_pmml_test){
        .kind = TERN_PMML_ASKS, .test = TERN_FOREST_EQUAL, .column = column, .threshold = 1};
}

static enum tern_code test_set(struct tern_pmml *p, struct tern_pmml_test *ret,
                               struct tern_err *err)
{
    struct set set = {.n = 0};
    enum tern_code code = read_set(p, &set, err);

    if (code == TERN_OK && set.is_small) {
        *ret = (struct tern_pmml_test){.kind = TERN_PMML_ASKS,
                                       .test = TERN_FOREST_MEMBER,
                                       .is_turned = set.is_turned,
                                       .unknown = unknown_of(set.field->column),
                                       .column = set.field->column};
        code = test_members(p, &set, ret, err);
    } else if (code == TERN_OK) {
        uint32_t column = 0;
        code = emit_set_code(p, &set, err);
        if (code == TERN_OK)
            code = tern_pmml_end_formula(p, &column, err);
        *ret = test_of(column);
        ret->unknown = unknown_of(set.field == NULL ? 0 : set.field->column);
    }
    tern_mem_free(set.values);
    return code;
}

/* ---- compounds ---- */

struct compound {
    enum tern_pmml_code code;
    uint32_t n;
};

static enum tern_code begin_compound(struct tern_pmml *p, struct compound *ret,
                                     struct tern_err *err)
{
    static const char *const names[] = {"and", "or", "xor", "surrogate", NULL};
    struct tern_str text;
    uint32_t which;

    TERN_TRY(tern_pmml_want(p, "booleanOperator", &text, err));
    TERN_TRY(tern_pmml_choice(p, "booleanOperator", names, 0, &which, err));
    *ret = (struct compound){(enum tern_pmml_code)(TERN_PMML_AND + which), 0};
    return TERN_OK;
}

/* Anything but a compound, as code. */
static enum tern_code emit_part(struct tern_pmml *p, struct tern_err *err)
{
    bool is_true = tern_pmml_is(p, "True");

    if (tern_pmml_is(p, "SimplePredicate"))
        return emit_simple(p, err);
    if (tern_pmml_is(p, "SimpleSetPredicate"))
        return emit_set(p, err);
    if (!is_true && !tern_pmml_is(p, "False"))
        return tern_pmml_refuse(p, "expected a predicate", err);
    TERN_TRY(tern_pmml_skip(p, err));
    return tern_pmml_emit(p, TERN_PMML_NUMBER, 0, is_true ? 1 : 0, err);
}

/* What is asked where this is not; what has no opposite is itself. */
static enum tern_pmml_code opposite_of(enum tern_pmml_code code)
{
    static const enum tern_pmml_code pairs[][2] = {
        {TERN_PMML_EQUAL, TERN_PMML_NOT_EQUAL},
        {TERN_PMML_LESS, TERN_PMML_GREATER_EQUAL},
        {TERN_PMML_GREATER, TERN_PMML_LESS_EQUAL},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(pairs); i++)
        for (size_t k = 0; k < 2; k++)
            if (pairs[i][k] == code)
                return pairs[i][1 - k];
    return code;
}

/* Surrogates of comparisons are known to be the opposites of others, or to be unknown for the same
 * rows; any other compound is by itself. The code is that of the parts. */
static void recognize(const struct tern_pmml *p, size_t from, struct tern_pmml_test *test)
{
    uint64_t parts = 1, opposites = 1, unknown = 0;

    for (size_t i = from; i + 1 < p->n_code; i += 3) {
        const struct tern_pmml_instruction *in = &p->code[i];
        uint64_t number;
        if (i + 3 >= p->n_code || in[0].code != TERN_PMML_COLUMN ||
            in[1].code != TERN_PMML_NUMBER || opposite_of(in[2].code) == in[2].code)
            return;
        memcpy(&number, &in[1].number, sizeof(number));
        parts = mix(mix(parts, mix(in[0].n, in[2].code)), number);
        opposites = mix(mix(opposites, mix(in[0].n, opposite_of(in[2].code))), number);
        unknown += unknown_of(in[0].n);
    }
    test->parts = parts;
    test->opposites = opposites;
    test->unknown = unknown;
}

/* The compound that p->event begins, with those that stand in it. */
static enum tern_code test_compound(struct tern_pmml *p, struct tern_pmml_test *ret,
                                    struct tern_err *err)
{
    struct compound open[NESTED_MAX];
    size_t from = p->n_code;
    uint32_t n = 1, column;
    bool more = true;

    TERN_TRY(begin_compound(p, &open[0], err));
    while (n > 0) {
        TERN_TRY(tern_pmml_child(p, &more, err));
        if (!more) {
            n--;
            if (open[n].n < 1)
                return tern_pmml_fail(p, TERN_INVALID_ARGUMENT, err, "expected predicates");
            TERN_TRY(tern_pmml_emit(p, open[n].code, open[n].n, 0, err));
        } else if (!tern_pmml_is(p, "CompoundPredicate")) {
            open[n - 1].n++;
            TERN_TRY(emit_part(p, err));
        } else if (n == NESTED_MAX) {
            return tern_pmml_fail(p, TERN_RESOURCE_EXHAUSTED, err,
                                  "predicates are nested deeper than %d", NESTED_MAX);
        } else {
            open[n - 1].n++;
            TERN_TRY(begin_compound(p, &open[n++], err));
        }
    }
    TERN_TRY(tern_pmml_end_formula(p, &column, err));
    *ret = test_of(column);
    if (open[0].code == TERN_PMML_SURROGATE)
        recognize(p, from, ret);
    return TERN_OK;
}

enum tern_code tern_pmml_read_predicate(struct tern_pmml *p, struct tern_pmml_test *ret,
                                        struct tern_err *err)
{
    if (tern_pmml_is(p, "SimplePredicate"))
        return test_simple(p, ret, err);
    if (tern_pmml_is(p, "SimpleSetPredicate"))
        return test_set(p, ret, err);
    if (tern_pmml_is(p, "CompoundPredicate"))
        return test_compound(p, ret, err);
    *ret = (struct tern_pmml_test){.kind = tern_pmml_is(p, "True") ? TERN_PMML_ALWAYS
                                                                   : TERN_PMML_NEVER};
    return tern_pmml_skip(p, err);
}

bool tern_pmml_is_opposite(const struct tern_pmml_test *a, const struct tern_pmml_test *b)
{
    if (a->kind == TERN_PMML_ASKS && b->kind == TERN_PMML_ASKS && a->parts != 0 &&
        a->parts == b->opposites && a->opposites == b->parts)
        return true;
    if (a->kind != TERN_PMML_ASKS || b->kind != TERN_PMML_ASKS || a->test != b->test ||
        a->column != b->column || a->is_turned == b->is_turned || a->knows_missing ||
        b->knows_missing)
        return false;
    return a->test == TERN_FOREST_MEMBER ? a->set == b->set : a->threshold == b->threshold;
}
