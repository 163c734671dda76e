/* The document was read: its fields, formulas, trees and tables become steps of a program. */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "base/num.h"
#include "engine/native/pmml/pmml_int.h"

#define ANSWER_INPUTS_MAX 4

/* ---- inputs ---- */

/* The values that a field lists, and what they are. Texts: all that any predicate asks for, too. */
static enum tern_code keep_values(struct tern_pmml *p, const struct tern_pmml_field *field,
                                  struct tern_pmml_intake *intake, struct tern_err *err)
{
    struct tern_arena *arena = p->program->arena;
    size_t n = field->n_values;
    bool is_text = intake->is_text;
    uint32_t at;

    for (size_t i = 0; is_text && i < field->n_values; i++)
        TERN_TRY(tern_pmml_names_find(p, field->categories, field->values[i], true, &at, err));
    if (is_text)
        n = field->categories->n;
    double *numbers = tern_arena_zalloc(&p->scratch, n + 1, sizeof(*numbers));
    uint8_t *kinds = tern_arena_zalloc(arena, n + 1, sizeof(*kinds));
    if (numbers == NULL || kinds == NULL)
        return tern_arena_fail(arena, err, "values of a field");
    /* A text that only a predicate has is not valid where valid ones are listed. */
    memset(kinds, field->has_valid ? TERN_PMML_INVALID : TERN_PMML_VALID, n);
    for (size_t i = 0; i < field->n_values; i++) {
        at = (uint32_t)i;
        if (is_text)
            TERN_TRY(tern_pmml_names_find(p, field->categories, field->values[i], false, &at, err));
        else if (!tern_pmml_parse(field->values[i], field->type, &numbers[i]))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "line %u: DataField: '%.*s' is no number, but a value of field '%.*s'",
                             field->line, TERN_STR_ARG(field->values[i]),
                             TERN_STR_ARG(field->name));
        kinds[at] = field->kinds[i];
    }
    intake->kinds = kinds;
    intake->n_categories = (uint32_t)n;
    const void *cells = is_text ? (const void *)field->categories->names : numbers;
    return tern_op_keys_make(arena, is_text ? TERN_DTYPE_BYTES : TERN_DTYPE_FP64, cells, n, false,
                             false, &intake->keys, err);
}

static enum tern_code keep_intervals(struct tern_pmml *p, struct tern_pmml_intake *intake,
                                     struct tern_err *err)
{
    size_t n = intake->n_intervals;
    struct tern_pmml_interval *copy = tern_arena_zalloc(p->program->arena, n + 1, sizeof(*copy));

    if (copy == NULL)
        return tern_arena_fail(p->program->arena, err, "intervals of a field");
    if (n > 0)
        memcpy(copy, intake->intervals, n * sizeof(*copy));
    intake->intervals = copy;
    return TERN_OK;
}

static enum tern_code keep_intakes(struct tern_pmml *p, const struct tern_pmml_intakes **ret,
                                   struct tern_err *err)
{
    struct tern_arena *arena = p->program->arena;
    struct tern_pmml_intakes *state = tern_arena_zalloc(arena, 1, sizeof(*state));
    struct tern_pmml_intake *copy = tern_arena_zalloc(arena, p->n_intakes, sizeof(*copy));

    if (state == NULL || copy == NULL)
        return tern_arena_fail(arena, err, "the fields");
    for (size_t i = 0; i < p->field_names.n; i++) {
        const struct tern_pmml_field *field = &p->fields[i];
        if (!field->is_input)
            continue;
        struct tern_pmml_intake *intake = &copy[field->column];
        *intake = p->intakes[field->column];
        intake->name = tern_arena_copy(arena, field->name);
        if (intake->name.p == NULL && field->name.n > 0)
            return tern_arena_fail(arena, err, "the fields");
        TERN_TRY(keep_values(p, field, intake, err));
        TERN_TRY(keep_intervals(p, intake, err));
    }
    *state = (struct tern_pmml_intakes){copy, (uint32_t)p->n_intakes};
    *ret = state;
    return TERN_OK;
}

static enum tern_code keep_names(struct tern_pmml *p, struct tern_err *err)
{
    struct tern_str *names = tern_arena_zalloc(p->program->arena, p->n_intakes, sizeof(*names));

    if (names == NULL)
        return tern_arena_fail(p->program->arena, err, "the fields");
    for (size_t i = 0; i < p->n_intakes; i++) {
        names[i] = tern_arena_copy(p->program->arena, p->intakes[i].name);
        if (names[i].p == NULL && p->intakes[i].name.n > 0)
            return tern_arena_fail(p->program->arena, err, "the fields");
    }
    p->program->feature_names = names;
    p->program->n_feature_names = (uint32_t)p->n_intakes;
    return TERN_OK;
}

/* One input a field where one of them is a text, else all fields in one. */
static enum tern_code add_inputs(struct tern_pmml *p, uint32_t **ret_values, uint32_t *ret_n,
                                 struct tern_err *err)
{
    uint32_t *values = tern_arena_zalloc(&p->scratch, p->n_intakes, sizeof(*values));
    bool has_text = false;

    if (values == NULL)
        return tern_arena_fail(&p->scratch, err, "the inputs");
    for (size_t i = 0; i < p->n_intakes; i++)
        has_text = has_text || p->intakes[i].is_text;
    *ret_values = values;
    *ret_n = has_text ? (uint32_t)p->n_intakes : 1;
    for (size_t i = 0; i < *ret_n; i++) {
        const struct tern_pmml_intake *intake = &p->intakes[i];
        const struct tern_tensor_spec spec = {
            .name = has_text ? intake->name : TERN_STR("input__0"),
            .dtype = intake->is_text ? TERN_DTYPE_BYTES : TERN_DTYPE_FP64,
            .shape = {2, {-1, has_text ? 1 : (int64_t)p->n_intakes}},
        };
        TERN_TRY(tern_program_input(p->program, &spec, &values[i], err));
    }
    return TERN_OK;
}

/* *flags: rows that are invalid; NONE where none can be. */
static enum tern_code make_matrix(struct tern_pmml *p, uint32_t *value, uint32_t *flags,
                                  struct tern_err *err)
{
    struct tern_program *program = p->program;
    const struct tern_pmml_intakes *intakes = NULL;
    uint32_t *inputs = NULL, n = 0, made[2];
    bool is_any_float = false;

    TERN_TRY(keep_names(p, err));
    TERN_TRY(add_inputs(p, &inputs, &n, err));
    for (size_t i = 0; i < p->n_intakes; i++)
        is_any_float = is_any_float || p->intakes[i].is_float;
    *flags = TERN_VALUE_NONE;
    *value = inputs[0];
    if (tern_pmml_is_plain(p) && (!is_any_float || (p->forest.rounds_input && p->n_ends == 0)))
        return TERN_OK;
    TERN_TRY(keep_intakes(p, &intakes, err));
    TERN_TRY(tern_program_made(program, TERN_STR(""), TERN_DTYPE_FP64, &made[0], err));
    TERN_TRY(tern_program_made(program, TERN_STR(""), TERN_DTYPE_BOOL, &made[1], err));
    TERN_TRY(tern_program_step(program, &tern_pmml_fields_op, intakes, inputs, n, made, 2, err));
    *value = made[0];
    *flags = made[1];
    return TERN_OK;
}

static enum tern_code add_formulas(struct tern_pmml *p, uint32_t *value, struct tern_err *err)
{
    struct tern_arena *arena = p->program->arena;
    struct tern_pmml_formulas *state = tern_arena_zalloc(arena, 1, sizeof(*state));
    struct tern_pmml_instruction *code = tern_arena_zalloc(arena, p->n_code + 1, sizeof(*code));
    uint32_t *ends = tern_arena_zalloc(arena, p->n_ends + 1, sizeof(*ends));

    if (p->n_ends == 0)
        return TERN_OK;
    if (state == NULL || code == NULL || ends == NULL)
        return tern_arena_fail(arena, err, "the formulas");
    memcpy(code, p->code, p->n_code * sizeof(*code));
    memcpy(ends, p->ends, p->n_ends * sizeof(*ends));
    *state = (struct tern_pmml_formulas){code, ends, (uint32_t)p->n_ends, p->stack_max};
    return tern_program_then(p->program, &tern_pmml_formulas_op, state, TERN_DTYPE_FP64, value,
                             err);
}

/* ---- forests ---- */

static void free_forest(void *forest)
{
    tern_forest_free(forest);
}

static enum tern_code add_guard(struct tern_pmml *p, uint32_t matrix, uint32_t *ret_flags,
                                struct tern_err *err)
{
    struct tern_arena *arena = p->program->arena;
    struct tern_pmml_guard *state = tern_arena_zalloc(arena, 1, sizeof(*state));
    struct tern_forest *forest;

    if (!p->forest.has_guard)
        return TERN_OK;
    if (state == NULL)
        return tern_arena_fail(arena, err, "a forest");
    TERN_TRY(tern_forest_builder_finish(p->forest.guard, &forest, err));
    enum tern_code code = tern_arena_on_reset(arena, free_forest, forest, err);
    if (code != TERN_OK) {
        tern_forest_free(forest);
        return code;
    }
    *state = (struct tern_pmml_guard){forest, p->forest.guards_always};
    *ret_flags = matrix;
    return tern_program_then(p->program, &tern_pmml_guard_op, state, TERN_DTYPE_BOOL, ret_flags,
                             err);
}

/* ---- answers ---- */

/* What an answer's step reads; those that are not there are left out at the end. */
struct answer {
    uint32_t in[ANSWER_INPUTS_MAX];
    uint32_t n;
};

static void add_flags(struct answer *answer, uint32_t flags)
{
    if (flags != TERN_VALUE_NONE)
        answer->in[answer->n++] = flags;
}

static enum tern_code keep_labels(struct tern_pmml *p, struct tern_pmml_classes *state,
                                  struct tern_err *err)
{
    struct tern_arena *arena = p->program->arena;
    size_t n = p->classes.n;
    struct tern_str *texts = tern_arena_zalloc(arena, n, sizeof(*texts));
    int64_t *ints = tern_arena_zalloc(arena, n, sizeof(*ints));

    if (texts == NULL || ints == NULL)
        return tern_arena_fail(arena, err, "the classes");
    bool is_int = p->fields[p->target].type == TERN_PMML_TYPE_INTEGER;
    for (size_t i = 0; i < n; i++) {
        texts[i] = tern_arena_copy(arena, p->classes.names[i]);
        if (texts[i].p == NULL)
            return tern_arena_fail(arena, err, "the classes");
        is_int = is_int && tern_num_parse_i64(texts[i], &ints[i]);
    }
    state->dtype = is_int ? TERN_DTYPE_INT64 : TERN_DTYPE_BYTES;
    state->ints = ints;
    state->texts = texts;
    return TERN_OK;
}

static enum tern_code keep_classes(struct tern_pmml *p, const struct tern_pmml_classes **ret,
                                   struct tern_err *err)
{
    struct tern_arena *arena = p->program->arena;
    struct tern_pmml_classes *state = tern_arena_zalloc(arena, 1, sizeof(*state));
    uint32_t *places = tern_arena_zalloc(arena, p->classes.n, sizeof(*places));

    if (state == NULL || places == NULL)
        return tern_arena_fail(arena, err, "the classes");
    for (uint32_t i = 0; i < p->classes.n; i++)
        places[p->has_regression ? p->regression.tables[i].class : i] = i;
    state->norm = p->has_regression   ? p->regression.norm
                  : p->forest.is_vote ? TERN_PMML_NORM_VOTES
                  : p->is_weighted    ? TERN_PMML_NORM_SIMPLEMAX
                                      : TERN_PMML_NORM_NONE;
    state->n = (uint32_t)p->classes.n;
    state->places = places;
    state->total = p->total;
    *ret = state;
    return keep_labels(p, state, err);
}

static enum tern_code answer_classes(struct tern_pmml *p, const struct answer *answer,
                                     struct tern_err *err)
{
    enum tern_dtype dtype = p->program->values[answer->in[0]].tensor.dtype;
    const struct tern_pmml_classes *state = NULL;
    uint32_t made[2];

    TERN_TRY(keep_classes(p, &state, err));
    const struct tern_tensor_spec label = {
        .name = TERN_STR("label"), .dtype = state->dtype, .shape = {1, {-1}}};
    const struct tern_tensor_spec shares = {
        .name = TERN_STR("probabilities"), .dtype = dtype, .shape = {2, {-1, state->n}}};
    TERN_TRY(tern_program_made(p->program, label.name, label.dtype, &made[0], err));
    TERN_TRY(tern_program_made(p->program, shares.name, shares.dtype, &made[1], err));
    TERN_TRY(tern_program_step(p->program, &tern_pmml_classes_op, state, answer->in, answer->n,
                               made, 2, err));
    TERN_TRY(tern_program_label(p->program, made[1], state->texts, state->n, err));
    TERN_TRY(tern_program_output(p->program, &label, made[0], err));
    return tern_program_output(p->program, &shares, made[1], err);
}

static enum tern_code answer_number(struct tern_pmml *p, const struct answer *answer,
                                    struct tern_err *err)
{
    struct tern_arena *arena = p->program->arena;
    const struct tern_pmml_number *n = &p->number;
    uint32_t value = answer->in[0];
    enum tern_dtype dtype = p->program->values[value].tensor.dtype;
    bool is_bounded = isfinite(n->low) || isfinite(n->high) || n->cast != TERN_PMML_CAST_NONE;

    if (answer->n > 1 || n->divisor != 1 || n->factor != 1 || n->constant != 0 || is_bounded) {
        struct tern_pmml_number *state = tern_arena_zalloc(arena, 1, sizeof(*state));
        if (state == NULL)
            return tern_arena_fail(arena, err, "the target");
        *state = *n;
        TERN_TRY(tern_program_made(p->program, TERN_STR(""), dtype, &value, err));
        TERN_TRY(tern_program_step(p->program, &tern_pmml_number_op, state, answer->in, answer->n,
                                   &value, 1, err));
    }
    const struct tern_tensor_spec spec = {
        .name = TERN_STR("output__0"), .dtype = dtype, .shape = {2, {-1, 1}}};
    return tern_program_output(p->program, &spec, value, err);
}

enum tern_code tern_pmml_make_program(struct tern_pmml *p, struct tern_err *err)
{
    uint32_t matrix, invalid, nothing = TERN_VALUE_NONE, labels = TERN_VALUE_NONE;
    struct tern_forest *forest;
    struct answer answer = {.n = 1};

    if (p->n_intakes == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the model has no active field");
    TERN_TRY(make_matrix(p, &matrix, &invalid, err));
    TERN_TRY(add_formulas(p, &matrix, err));
    answer.in[0] = matrix;
    if (p->forest.builder != NULL) {
        TERN_TRY(tern_forest_builder_finish(p->forest.builder, &forest, err));
        TERN_TRY(tern_op_forest(p->program, forest, &answer.in[0], err));
        TERN_TRY(add_guard(p, matrix, &nothing, err));
    }
    if (p->forest.labels != NULL && p->forest.has_labels) {
        labels = matrix;
        TERN_TRY(tern_forest_builder_finish(p->forest.labels, &forest, err));
        TERN_TRY(tern_op_forest(p->program, forest, &labels, err));
    }
    if (p->has_regression)
        TERN_TRY(tern_pmml_make_regression(p, &answer.in[0], err));
    if (p->is_classification)
        answer.in[answer.n++] = labels;
    add_flags(&answer, invalid);
    add_flags(&answer, nothing);
    return p->is_classification ? answer_classes(p, &answer, err) : answer_number(p, &answer, err);
}
