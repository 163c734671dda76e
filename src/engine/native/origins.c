#include "engine/native/origins.h"

#include "base/num.h"
#include "engine/native/ops/op_shape.h"
#include "engine/native/ops/ops.h"

#define ROWS         2
#define FEATURES_MAX (1u << 20)
#define SCRATCH_MAX  ((size_t)256 << 20)

/* What is known of a value. Numbers of features are INT64: 0 for what is constant, i + 1 for
 * feature i of the first row, and n + i + 1 of the second. */
enum known {
    FIXED,  /* constant: the value itself */
    TRACED, /* numbers of features */
    MIXED,  /* elements are made of several features, or nobody says of which */
    ANSWER, /* it comes from the model alone, or explains nothing */
};

struct tracer {
    const struct tern_program *program;
    struct tern_program_run run; /* values hold what `known` says; then some to spare */
    enum known *known;           /* one a value */
    uint32_t n_features;
    const struct tern_step *model;
    bool has_several;
};

static bool is_linear(const struct tern_step *step)
{
    return tern_op_linear_of(step) != NULL || tern_op_lines_of(step) != NULL;
}

static bool is_model(const struct tern_step *step)
{
    return tern_op_forest_of(step) != NULL || is_linear(step);
}

/* ---- inputs ---- */

/* Elements of a row; false when the shape leaves them open, or rows are not its first dimension. */
static bool row_of(const struct tern_tensor_spec *spec, size_t *ret)
{
    *ret = 1;
    if (spec->shape.rank == 0 || spec->shape.dim[0] != -1)
        return false;
    for (int i = 1; i < spec->shape.rank; i++) {
        if (spec->shape.dim[i] < 1 || tern_num_mul(*ret, (size_t)spec->shape.dim[i], ret))
            return false;
    }
    return *ret <= FEATURES_MAX;
}

static bool count_features(struct tracer *t)
{
    size_t n;

    for (uint32_t i = 0; i < t->program->n_inputs; i++) {
        if (!row_of(&t->program->inputs[i], &n) || n > FEATURES_MAX - t->n_features)
            return false;
        t->n_features += (uint32_t)n;
    }
    return true;
}

/* A value of that shape for numbers, all 0. */
static enum tern_code make_numbers(struct tracer *t, const struct tern_shape *shape,
                                   struct tern_tensor *ret, struct tern_err *err)
{
    size_t n;

    TERN_TRY(tern_shape_bytes(ret->name, TERN_DTYPE_INT64, shape, &n, err));
    ret->dtype = TERN_DTYPE_INT64;
    ret->shape = *shape;
    ret->n_bytes = n;
    ret->data = tern_arena_zalloc(t->run.arena, n + 1, 1);
    return ret->data != NULL ? TERN_OK : tern_arena_fail(t->run.arena, err, "a pipeline");
}

static enum tern_code begin(struct tracer *t, struct tern_err *err)
{
    const struct tern_program *program = t->program;
    struct tern_arena *arena = t->run.arena;
    uint32_t first = 0, spare = 0;

    for (uint32_t i = 0; i < program->n_steps; i++)
        spare = program->steps[i].n_in > spare ? program->steps[i].n_in : spare;
    t->known = tern_arena_zalloc(arena, program->n_values + 1u, sizeof(*t->known));
    t->run.values =
        tern_arena_zalloc(arena, (size_t)program->n_values + spare + 1, sizeof(*t->run.values));
    if (t->known == NULL || t->run.values == NULL)
        return tern_arena_fail(arena, err, "a pipeline");
    for (uint32_t i = 0; i < program->n_values; i++)
        t->run.values[i] = program->values[i].tensor;
    for (uint32_t i = 0; i < program->n_inputs; i++) {
        uint32_t value = program->inputs_at[i];
        struct tern_shape shape = program->inputs[i].shape;
        shape.dim[0] = ROWS;
        TERN_TRY(make_numbers(t, &shape, &t->run.values[value], err));
        int64_t *numbers = t->run.values[value].data;
        uint32_t n = (uint32_t)(tern_op_shape_count(&t->run.values[value]) / ROWS);
        for (uint32_t k = 0; k < n; k++) {
            numbers[k] = first + k + 1;
            numbers[n + k] = t->n_features + first + k + 1;
        }
        first += n;
        t->known[value] = TRACED;
    }
    return TERN_OK;
}

/* ---- operators on numbers of features ---- */

/* Each element of the output is made of one of each input, where shapes are broadcast. False: of
 * several features. */
static enum tern_code trace_elements(struct tracer *t, const struct tern_step *step, bool *ret_one,
                                     struct tern_err *err)
{
    struct tern_tensor *out = &t->run.values[step->out[0]];
    struct tern_shape shape = {.rank = 0};
    size_t steps[1][TERN_RANK_MAX];
    struct tern_op_walk walk;

    for (uint32_t i = 0; i < step->n_in; i++) {
        if (step->in[i] != TERN_VALUE_NONE)
            TERN_TRY(
                tern_op_shape_broadcast(&shape, &t->run.values[step->in[i]].shape, &shape, err));
    }
    TERN_TRY(make_numbers(t, &shape, out, err));
    for (uint32_t i = 0; i < step->n_in && out->n_bytes > 0; i++) {
        uint32_t in = step->in[i];
        if (in == TERN_VALUE_NONE || t->known[in] != TRACED)
            continue;
        const int64_t *from = t->run.values[in].data;
        int64_t *to = out->data;
        tern_op_shape_steps(&t->run.values[in].shape, &shape, steps[0]);
        tern_op_walk_begin(&walk, &shape, steps, 1);
        for (size_t run = 0; run < walk.n_runs; run++, tern_op_walk_next(&walk, 1)) {
            for (size_t k = 0; k < walk.run; k++, to++) {
                int64_t number = from[walk.at[0] + k * walk.run_step[0]];
                *ret_one = *ret_one && (*to == 0 || number == 0 || *to == number);
                *to = *to == 0 ? number : *to;
            }
        }
    }
    return TERN_OK;
}

/* Each element becomes several, next to each other. */
static enum tern_code trace_spread(struct tracer *t, const struct tern_step *step,
                                   struct tern_err *err)
{
    const struct tern_tensor *in = &t->run.values[step->in[0]];
    struct tern_tensor *out = &t->run.values[step->out[0]];
    size_t width = step->op->width(step->state), n = tern_op_shape_count(in);
    struct tern_shape shape = in->shape;

    if (shape.rank == TERN_RANK_MAX)
        return tern_fail(err, TERN_UNIMPLEMENTED, "too many dimensions");
    shape.dim[shape.rank++] = (int64_t)width;
    TERN_TRY(make_numbers(t, &shape, out, err));
    for (size_t i = 0; i < n * width; i++)
        ((int64_t *)out->data)[i] = ((const int64_t *)in->data)[i / width];
    return TERN_OK;
}

/* The operator itself moves the numbers. Of those that join inputs, constant ones bring zeros. */
static enum tern_code trace_moves(struct tracer *t, const struct tern_step *step,
                                  struct tern_err *err)
{
    struct tern_step moves = *step;
    uint32_t *in = tern_arena_zalloc(t->run.arena, step->n_in, sizeof(*in));
    uint32_t spare = t->program->n_values;

    if (in == NULL)
        return tern_arena_fail(t->run.arena, err, "a pipeline");
    for (uint32_t i = 0; i < step->n_in; i++) {
        in[i] = step->in[i];
        if (step->op->reach != TERN_REACH_JOINED || in[i] == TERN_VALUE_NONE ||
            t->known[in[i]] != FIXED)
            continue;
        TERN_TRY(make_numbers(t, &t->run.values[in[i]].shape, &t->run.values[spare + i], err));
        in[i] = spare + i;
    }
    for (uint32_t i = 0; i < step->n_out; i++) {
        if (step->out[i] != TERN_VALUE_NONE)
            t->run.values[step->out[i]].dtype = TERN_DTYPE_INT64;
    }
    moves.in = in;
    return step->op->run(&moves, &t->run, err);
}

/* ---- steps ---- */

static bool reads(const struct tracer *t, const struct tern_step *step, enum known known)
{
    for (uint32_t i = 0; i < step->n_in; i++) {
        if (step->in[i] != TERN_VALUE_NONE && t->known[step->in[i]] == known)
            return true;
    }
    return false;
}

/* A step that reads numbers of features, and else only what is constant. */
static enum tern_code trace(struct tracer *t, const struct tern_step *step, enum known *ret,
                            struct tern_err *err)
{
    bool leads = step->in[0] != TERN_VALUE_NONE && t->known[step->in[0]] == TRACED, is_one = true;

    *ret = TRACED;
    if (is_model(step)) {
        t->has_several = t->has_several || t->model != NULL;
        t->model = step;
        *ret = ANSWER;
        return TERN_OK;
    }
    switch (step->op->reach) {
    case TERN_REACH_ELEMENT:
        TERN_TRY(trace_elements(t, step, &is_one, err));
        break;
    case TERN_REACH_SPREAD:
        TERN_TRY(trace_spread(t, step, err));
        break;
    case TERN_REACH_MOVED:
        is_one = leads;
        if (leads)
            TERN_TRY(trace_moves(t, step, err));
        break;
    case TERN_REACH_JOINED:
        TERN_TRY(trace_moves(t, step, err));
        break;
    case TERN_REACH_ASIDE:
        *ret = ANSWER;
        return TERN_OK;
    case TERN_REACH_ANY:
    case TERN_REACH_ROW:
        is_one = false;
        break;
    }
    if (!is_one)
        *ret = MIXED;
    return TERN_OK;
}

/* What an operator cannot do with these numbers, or in this memory, it cannot be traced through. */
static void take_step(struct tracer *t, const struct tern_step *step)
{
    bool is_traced = reads(t, step, TRACED), is_answer = reads(t, step, ANSWER);
    enum known known = MIXED;

    if (is_answer && is_model(step))
        t->has_several = true; /* layers of a net, models on models: one's scores are not all */
    if (reads(t, step, MIXED) || (is_traced && is_answer))
        known = MIXED;
    else if (is_answer)
        known = ANSWER;
    else if (is_traced && trace(t, step, &known, NULL) != TERN_OK)
        known = MIXED;
    else if (!is_traced && step->op->run(step, &t->run, NULL) == TERN_OK)
        known = FIXED;
    for (uint32_t i = 0; i < step->n_out; i++) {
        if (step->out[i] != TERN_VALUE_NONE)
            t->known[step->out[i]] = known;
    }
}

/* ---- what came of it ---- */

static bool has_model(const struct tracer *t)
{
    if (t->has_several)
        return false;
    for (uint32_t i = 0; i < t->program->n_outputs; i++) {
        enum known known = t->known[t->program->outputs_at[i]];
        if (known == TRACED || known == MIXED)
            return false;
    }
    return true;
}

/* The features of the columns; false where rows do not stand for themselves, or a forest asks for
 * what is constant: of that the training data would have to be known, too. */
static bool take_columns(const struct tracer *t, uint32_t *features)
{
    const struct tern_tensor *in = &t->run.values[t->model->in[0]];
    const int64_t *numbers = in->data;
    bool is_forest = tern_op_forest_of(t->model) != NULL;

    for (int64_t i = 0; i < in->shape.dim[1]; i++) {
        int64_t first = numbers[i], second = numbers[in->shape.dim[1] + i];
        if (first > t->n_features || second != (first == 0 ? 0 : first + t->n_features) ||
            (is_forest && first == 0))
            return false;
        features[i] = first == 0 ? TERN_ORIGIN_NONE : (uint32_t)first - 1;
    }
    return true;
}

/* Those that make what the model reads, from the last to the first. */
static void mark_steps(const struct tern_program *program, const struct tern_step *model,
                       bool *needed, bool *steps)
{
    needed[model->in[0]] = true;
    for (uint32_t s = (uint32_t)(model - program->steps); s-- > 0;) {
        const struct tern_step *step = &program->steps[s];
        for (uint32_t i = 0; i < step->n_out; i++)
            steps[s] = steps[s] || (step->out[i] != TERN_VALUE_NONE && needed[step->out[i]]);
        for (uint32_t i = 0; steps[s] && i < step->n_in; i++) {
            if (step->in[i] != TERN_VALUE_NONE)
                needed[step->in[i]] = true;
        }
    }
}

static enum tern_code keep(const struct tracer *t, struct tern_arena *arena,
                           const struct tern_origins **ret, struct tern_err *err)
{
    const struct tern_program *program = t->program;

    if (t->model == NULL)
        return TERN_OK;
    const struct tern_shape *shape = &t->run.values[t->model->in[0]].shape;
    if (shape->rank != 2 || shape->dim[0] != ROWS || shape->dim[1] > FEATURES_MAX)
        return TERN_OK;
    struct tern_origins *origins = tern_arena_zalloc(arena, 1, sizeof(*origins));
    bool *steps = tern_arena_zalloc(arena, program->n_steps + 1u, sizeof(*steps));
    bool *needed = tern_arena_zalloc(t->run.arena, program->n_values + 1u, sizeof(*needed));
    if (origins == NULL || steps == NULL || needed == NULL)
        return tern_arena_fail(arena, err, "a pipeline");
    *origins = (struct tern_origins){.model = t->model,
                                     .steps = steps,
                                     .n_columns = (uint32_t)shape->dim[1],
                                     .n_features = t->n_features};
    origins->features = tern_arena_zalloc(arena, origins->n_columns, sizeof(uint32_t));
    if (origins->features == NULL)
        return tern_arena_fail(arena, err, "a pipeline");
    if (!take_columns(t, origins->features))
        return TERN_OK;
    mark_steps(program, t->model, needed, steps);
    *ret = origins;
    return TERN_OK;
}

static enum tern_code find(struct tracer *t, struct tern_arena *arena,
                           const struct tern_origins **ret, struct tern_err *err)
{
    if (!count_features(t) || t->n_features == 0)
        return TERN_OK;
    TERN_TRY(begin(t, err));
    for (uint32_t i = 0; i < t->program->n_steps && !t->has_several; i++)
        take_step(t, &t->program->steps[i]);
    return has_model(t) ? keep(t, arena, ret, err) : TERN_OK;
}

enum tern_code tern_origins_find(const struct tern_program *program, struct tern_arena *arena,
                                 const struct tern_origins **ret, struct tern_err *err)
{
    struct tern_arena scratch;
    struct tracer tracer = {.program = program, .run = {.program = program, .arena = &scratch}};

    *ret = NULL;
    tern_arena_init(&scratch, 1u << 12, SCRATCH_MAX);
    enum tern_code code = find(&tracer, arena, ret, err);
    tern_arena_fini(&scratch);
    return code;
}
