#include "registry/batchable.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "registry/trial_rows.h"
#include "registry/warmup.h"
#include "simd/half.h"

#define MEMORY_MAX ((size_t)256 << 20)
#define ROWS       6u /* of a round */
#define ROUNDS     16u
/* Conclusive rounds that are enough, and that a model without real outputs needs. */
#define ENOUGH          4u
#define ENOUGH_DISCRETE 12u
#define LEAST_DISCRETE  6u
/* Times the budget, until something is proven: the machine may have been busy with other things. */
#define PATIENCE 8u

enum outcome {
    SAYS_NOTHING,
    AGREES,
    DIFFERS,
};

struct proof {
    const struct tern_batchable_subject *subject;
    struct tern_batchable *ret;
    struct tern_arena arena; /* of a round */
    uint64_t enough_ns;      /* when it may end, once it has proven something */
    uint64_t end_ns;         /* when it must */
    uint32_t n_rows;         /* of a round: fewer for a slow model */
    uint32_t agreeing;       /* rounds */
    bool has_reals;          /* among the outputs */
    bool is_close;
    uint32_t refused;        /* one bit a kind of made-up values: the model does not take them */
    bool was_large;          /* max_rows were tried */
    struct tern_err silence; /* why the last round said nothing */
};

static bool is_real(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_FP16 || dtype == TERN_DTYPE_BF16 || dtype == TERN_DTYPE_FP32 ||
           dtype == TERN_DTYPE_FP64;
}

/* ---- one row's answer, joined and alone ---- */

static double real_at(enum tern_dtype dtype, const char *bytes, size_t i)
{
    uint16_t half;
    float single;
    double value;

    if (dtype == TERN_DTYPE_FP64) {
        memcpy(&value, bytes + i * sizeof(value), sizeof(value));
        return value;
    }
    if (dtype == TERN_DTYPE_FP32) {
        memcpy(&single, bytes + i * sizeof(single), sizeof(single));
        return (double)single;
    }
    memcpy(&half, bytes + i * sizeof(half), sizeof(half));
    return (double)(dtype == TERN_DTYPE_FP16 ? tern_half_to_f32(half)
                                             : tern_half_bf16_to_f32(half));
}

/* How far a number may be off, in parts of the row's largest: a sum of many terms is as exact as
 * its largest term, however small it comes out. */
static double tolerance_of(enum tern_dtype dtype)
{
    if (dtype == TERN_DTYPE_FP64)
        return 0x1p-47;
    if (dtype == TERN_DTYPE_FP32)
        return 0x1p-18;
    return dtype == TERN_DTYPE_FP16 ? 0x1p-9 : 0x1p-6;
}

static bool is_close(enum tern_dtype dtype, const char *a, const char *b, size_t n_bytes)
{
    size_t n = n_bytes / tern_dtype_size(dtype);
    double largest = 0, tolerance = tolerance_of(dtype);

    for (size_t i = 0; i < n; i++) {
        double size = fabs(real_at(dtype, a, i));
        if (isfinite(size) && size > largest)
            largest = size;
    }
    for (size_t i = 0; i < n; i++) {
        double x = real_at(dtype, a, i), y = real_at(dtype, b, i);
        bool is_same = x == y || (isnan(x) && isnan(y));
        if (!is_same && !(fabs(x - y) <= tolerance * largest))
            return false;
    }
    return true;
}

static bool same_but_rows(const struct tern_tensor *a, const struct tern_tensor *b)
{
    struct tern_shape shape = a->shape;

    shape.dim[0] = b->shape.dim[0];
    return a->dtype == b->dtype && tern_shape_eq(&shape, &b->shape);
}

/* Row `row` of one answer against an answer of one row. */
static bool is_same_row(struct proof *proof, const struct tern_trial_rows *a, uint32_t row,
                        const struct tern_trial_rows *b, uint32_t i)
{
    const size_t *starts = a->starts[i];
    const char *x = (const char *)a->inputs[i].data + starts[row];
    const char *y = b->inputs[i].data;
    size_t n = starts[row + 1] - starts[row];

    if (!same_but_rows(&a->inputs[i], &b->inputs[i]) || n != b->starts[i][1])
        return false;
    if (n == 0 || memcmp(x, y, n) == 0)
        return true;
    if (!is_real(a->inputs[i].dtype) || !is_close(a->inputs[i].dtype, x, y, n))
        return false;
    proof->is_close = true;
    return true;
}

/* ---- runs ---- */

static enum tern_code run_rows(struct proof *proof, const struct tern_trial_rows *rows,
                               const uint32_t *picks, uint32_t n, struct tern_trial_rows *ret,
                               struct tern_err *err)
{
    const struct tern_engine_model *engine = proof->subject->engine;
    struct tern_tensor *inputs;
    struct tern_engine_run run;

    if (tern_clock_mono_ns() > proof->end_ns)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "trying it takes too long");
    TERN_TRY(tern_trial_rows_pick(rows, picks, n, &proof->arena, &inputs, err));
    TERN_TRY(tern_warmup_run(engine, inputs, rows->input_spec, rows->n_inputs, &proof->arena, &run,
                             err));
    TERN_TRY(engine->ops->infer(engine, proof->subject->instance, &run, err));
    *ret = (struct tern_trial_rows){.inputs = run.outputs, .n_inputs = run.n_outputs};
    return TERN_OK;
}

static enum outcome differ(struct proof *proof, const char *what, struct tern_str name,
                           const char *how)
{
    snprintf(proof->ret->text, sizeof(proof->ret->text), "%s%.*s%s", what, TERN_STR_ARG(name), how);
    return DIFFERS;
}

/* Cuts an answer into its rows, when it has as many as went in. */
static enum outcome cut_rows(struct proof *proof, struct tern_trial_rows *answer, uint32_t n)
{
    char shape[160], text[200];

    for (uint32_t i = 0; i < answer->n_inputs; i++) {
        const struct tern_tensor *output = &answer->inputs[i];
        if (output->shape.rank > 0 && output->shape.dim[0] == n)
            continue;
        snprintf(text, sizeof(text), "' of %u rows has shape %s", n,
                 tern_shape_print(&output->shape, shape, sizeof(shape)));
        return differ(proof, "output '", output->name, text);
    }
    return tern_trial_rows_index(answer, &proof->arena, &proof->silence) == TERN_OK ? AGREES
                                                                                    : SAYS_NOTHING;
}

/* These rows in one run, against each in its own. */
static enum outcome join_rows(struct proof *proof, const struct tern_trial_rows *rows,
                              const struct tern_trial_rows *alone, const uint32_t *picks,
                              uint32_t n)
{
    struct tern_trial_rows joined;
    enum tern_code code = run_rows(proof, rows, picks, n, &joined, &proof->silence);

    if (code == TERN_RESOURCE_EXHAUSTED)
        return SAYS_NOTHING;
    if (code != TERN_OK)
        return differ(proof, "a run of joined rows fails: ", tern_str_of(proof->silence.text), "");
    enum outcome outcome = cut_rows(proof, &joined, n);
    if (outcome != AGREES)
        return outcome;
    for (uint32_t i = 0; i < joined.n_inputs; i++) {
        for (uint32_t k = 0; k < n; k++) {
            if (!is_same_row(proof, &joined, k, &alone[picks[k]], i))
                return differ(proof, "output '", joined.inputs[i].name, "' of joined rows differs");
        }
    }
    return AGREES;
}

/* Whether some output tells two rows apart. */
static bool vary(const struct tern_trial_rows *alone, uint32_t n)
{
    for (uint32_t k = 1; k < n; k++) {
        for (uint32_t i = 0; i < alone->n_inputs; i++) {
            const struct tern_tensor *a = &alone[0].inputs[i], *b = &alone[k].inputs[i];
            if (a->n_bytes != b->n_bytes || memcmp(a->data, b->data, a->n_bytes) != 0)
                return true;
        }
    }
    return false;
}

/* ---- rounds ---- */

/* As many rows as a lane would join at most, mixed. */
static enum outcome join_many(struct proof *proof, const struct tern_trial_rows *rows,
                              const struct tern_trial_rows *alone)
{
    uint32_t n = proof->subject->max_rows;
    uint64_t now = tern_clock_mono_ns();
    uint32_t *picks = tern_arena_zalloc(&proof->arena, n, sizeof(*picks));

    if (proof->was_large || picks == NULL || now > proof->enough_ns ||
        (proof->enough_ns - now) / n < proof->subject->run_ns)
        return AGREES;
    proof->was_large = true;
    for (uint32_t k = 0; k < n; k++)
        picks[k] = (k * 5 + k / rows->n_rows) % rows->n_rows;
    enum outcome outcome = join_rows(proof, rows, alone, picks, n);
    return outcome == SAYS_NOTHING ? AGREES : outcome;
}

static enum outcome try_rows(struct proof *proof, const struct tern_trial_rows *rows)
{
    static const struct {
        uint32_t n;
        uint32_t picks[ROWS];
    } joins[] = {{2, {0, 1}}, {3, {2, 3, 4}}, {ROWS, {5, 0, 3, 1, 4, 2}}};
    size_t n_joins = rows->n_rows > 2 ? TERN_COUNT_OF(joins) : 1;
    struct tern_trial_rows *alone = tern_arena_zalloc(&proof->arena, rows->n_rows, sizeof(*alone));

    if (alone == NULL || rows->n_rows == 0) {
        (void)!tern_arena_fail(&proof->arena, &proof->silence, "the rows of a trial");
        return SAYS_NOTHING;
    }
    for (uint32_t k = 0; k < rows->n_rows; k++) {
        if (run_rows(proof, rows, &k, 1, &alone[k], &proof->silence) != TERN_OK)
            return SAYS_NOTHING;
        enum outcome outcome = cut_rows(proof, &alone[k], 1);
        if (outcome != AGREES)
            return outcome;
    }
    for (size_t j = 0; j < n_joins; j++) {
        uint32_t picks[ROWS];
        for (uint32_t k = 0; k < joins[j].n; k++)
            picks[k] = joins[j].picks[k] % rows->n_rows;
        enum outcome outcome = join_rows(proof, rows, alone, picks, joins[j].n);
        if (outcome != AGREES)
            return outcome;
    }
    enum outcome outcome = join_many(proof, rows, alone);
    if (outcome == AGREES && !vary(alone, rows->n_rows)) {
        (void)!tern_fail(&proof->silence, TERN_UNAVAILABLE, "all inputs tried have one answer");
        return SAYS_NOTHING;
    }
    return outcome;
}

/* How often larger than the smallest the inputs are, when free dimensions are `inner`. */
static uint64_t growth(const struct tern_batchable_subject *subject, int64_t inner)
{
    uint64_t most = 1;

    for (uint32_t i = 0; i < subject->engine->n_inputs; i++) {
        const struct tern_shape *shape = &subject->inputs[i].shape;
        uint64_t times = 1;
        for (int d = 1; d < shape->rank && times < UINT32_MAX; d++)
            times *= shape->dim[d] < 0 ? (uint64_t)inner : 1;
        most = times > most ? times : most;
    }
    return most;
}

/* What is refused once is not tried again: engines write lines about it. */
static enum outcome try_made_up(struct proof *proof, uint32_t round)
{
    /* Indices stay small at first, and free dimensions are of one size: inputs are mostly as long
     * as each other. 32 is for what is halved a few times on its way. */
    static const struct tern_trial_values rounds[] = {
        {.inner = 1, .below = 2},
        {.inner = 3, .below = 2, .negative = true},
        {.inner = 3, .below = 10, .optional = true},
        {.inner = 8, .below = 100, .negative = true},
        {.inner = 32, .below = 2},
        {.inner = 1, .below = 1000, .negative = true, .optional = true},
    };
    const struct tern_batchable_subject *subject = proof->subject;
    const uint32_t kind = round % TERN_COUNT_OF(rounds);
    struct tern_trial_values values = rounds[kind];
    struct tern_trial_rows rows;

    if ((proof->refused >> kind & 1) != 0)
        return SAYS_NOTHING;

    values.seed = round + 1;
    uint64_t budget = subject->budget_ns / (subject->run_ns > 0 ? subject->run_ns : 1);
    if (values.inner > 1 && growth(subject, values.inner) > budget) {
        (void)!tern_fail(&proof->silence, TERN_RESOURCE_EXHAUSTED, "trying it takes too long");
        return SAYS_NOTHING;
    }
    if (tern_trial_rows_make(subject->inputs, subject->engine->n_inputs, &values, proof->n_rows,
                             &proof->arena, &rows, &proof->silence) != TERN_OK)
        return SAYS_NOTHING;
    enum outcome outcome = try_rows(proof, &rows);
    if (outcome == SAYS_NOTHING && proof->silence.code != TERN_UNAVAILABLE)
        proof->refused |= 1u << kind;
    return outcome;
}

static enum outcome try_sample(struct proof *proof, const struct tern_config_warmup *sample)
{
    const struct tern_batchable_subject *subject = proof->subject;
    struct tern_trial_rows rows = {.n_inputs = sample->n_inputs};

    if (tern_warmup_inputs(subject->engine, subject->config, sample, subject->folder, &proof->arena,
                           &rows.inputs, &rows.input_spec, &proof->silence) != TERN_OK ||
        tern_trial_rows_index(&rows, &proof->arena, &proof->silence) != TERN_OK)
        return SAYS_NOTHING;
    rows.n_rows = rows.n_rows < proof->n_rows ? rows.n_rows : proof->n_rows;
    return try_rows(proof, &rows);
}

static enum outcome try_all(struct proof *proof)
{
    const struct tern_model_config *config = proof->subject->config;
    uint32_t n_samples = config != NULL ? config->n_warmup : 0;
    uint32_t enough = n_samples + (proof->has_reals ? ENOUGH : ENOUGH_DISCRETE);
    uint32_t least = proof->has_reals ? 1 : LEAST_DISCRETE;

    for (uint32_t i = 0; i < n_samples + ROUNDS && proof->agreeing < enough; i++) {
        enum outcome outcome = i < n_samples ? try_sample(proof, &config->warmup[i])
                                             : try_made_up(proof, i - n_samples);
        tern_arena_reset(&proof->arena);
        if (outcome == DIFFERS)
            return DIFFERS;
        proof->agreeing += outcome == AGREES;
        if (tern_clock_mono_ns() > (proof->agreeing >= least ? proof->enough_ns : proof->end_ns))
            break;
    }
    return proof->agreeing >= least ? AGREES : SAYS_NOTHING;
}

/* ---- the verdict ---- */

static bool is_free(const struct tern_tensor_spec *spec)
{
    return spec->shape.rank > 0 && spec->shape.dim[0] == -1;
}

/* What the shapes say already. */
static bool may_be_batches(const struct tern_batchable_subject *subject, struct tern_batchable *ret)
{
    const struct tern_engine_model *engine = subject->engine;
    const struct tern_tensor_spec *fixed = NULL;
    const char *what = "input";

    for (uint32_t i = 0; i < engine->n_inputs && fixed == NULL; i++) {
        if (!is_free(&engine->inputs[i]) || !is_free(&subject->inputs[i]))
            fixed = &engine->inputs[i];
    }
    for (uint32_t i = 0; i < engine->n_outputs && fixed == NULL; i++) {
        what = "output";
        if (!is_free(&engine->outputs[i]) || !is_free(&subject->outputs[i]))
            fixed = &engine->outputs[i];
    }
    if (fixed != NULL)
        snprintf(ret->text, sizeof(ret->text), "the first dimension of %s '%.*s' is not free", what,
                 TERN_STR_ARG(fixed->name));
    else if (engine->n_inputs == 0 || engine->n_outputs == 0)
        snprintf(ret->text, sizeof(ret->text), "there are no rows without inputs and outputs");
    else
        return true;
    return false;
}

void tern_batchable_prove(const struct tern_batchable_subject *subject, struct tern_batchable *ret)
{
    struct proof proof = {.subject = subject, .ret = ret, .n_rows = ROWS};

    *ret = (struct tern_batchable){.verdict = TERN_BATCHABLE_NO};
    if (!may_be_batches(subject, ret))
        return;
    /* A round's runs have 17 rows in all, or 4. */
    if (subject->run_ns > subject->budget_ns / 17)
        proof.n_rows = 2;
    if (subject->run_ns > subject->budget_ns / 4) {
        snprintf(ret->text, sizeof(ret->text), "a run of %" PRIu64 " ms is too long to try it",
                 subject->run_ns / TERN_NS_PER_MS);
        return;
    }
    for (uint32_t i = 0; i < subject->engine->n_outputs; i++)
        proof.has_reals |= is_real(subject->engine->outputs[i].dtype);
    uint64_t now = tern_clock_mono_ns();
    proof.enough_ns = now + subject->budget_ns;
    proof.end_ns = now + subject->budget_ns * PATIENCE;
    tern_arena_init(&proof.arena, 4096, MEMORY_MAX);
    enum outcome outcome = try_all(&proof);
    if (outcome == AGREES)
        ret->verdict = proof.is_close ? TERN_BATCHABLE_CLOSE : TERN_BATCHABLE_EXACT;
    else if (outcome == SAYS_NOTHING)
        snprintf(ret->text, sizeof(ret->text), "nothing is proven: %.200s",
                 proof.agreeing > 0 ? "too few inputs could be tried" : proof.silence.text);
    tern_arena_fini(&proof.arena);
}
