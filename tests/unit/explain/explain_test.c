// covers: explain/explain explain/grid explain/exact explain/background core/explain core/value
/* Jobs over models whose Shapley values are known: by hand, and by going through all sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
#include "core/inputs.h"
#include "explain/explain.h"

#define M 5

/* A model of M features and two scores, one of them with products of features. */
struct rig {
    struct tern_arena arena;
    struct tern_tensor_spec input, outputs[2];
    struct tern_model_info info;
    struct tern_tensor x, background;
    float rows[3 * M], against[4 * M];
    uint32_t spec;
    struct tern_explain_request request;
    struct tern_explain_task task;
    struct tern_requested_output wanted;
    uint32_t runs, most_rows;
    bool answers_nan, fails;
    struct tern_err err;
};

static double score(const float *x, int k)
{
    double x0 = (double)x[0], x1 = (double)x[1], x2 = (double)x[2], x3 = (double)x[3];

    if (k == 0)
        return 3 * x0 - 2 * x1 + 0.5 * (double)x[4];
    return x0 * x1 + (x2 > 1 ? x3 * x0 : x3) + fmax(x1, x2) * x3;
}

static enum tern_code infer(void *arg, const struct tern_engine_run *run, struct tern_err *err)
{
    struct rig *rig = arg;
    uint32_t n = (uint32_t)run->inputs[0].shape.dim[0];
    const float *rows = run->inputs[0].data;

    rig->runs++;
    rig->most_rows = n > rig->most_rows ? n : rig->most_rows;
    if (rig->fails)
        return tern_fail(err, TERN_INTERNAL, "it broke");
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        struct tern_tensor *output = &run->outputs[i];
        double *y = tern_arena_alloc(run->arena, 8, (size_t)n * 2 * sizeof(*y));
        assert_non_null(y);
        output->dtype = TERN_DTYPE_FP64;
        output->shape = (struct tern_shape){.rank = 2, .dim = {n, 2}};
        output->data = y;
        output->n_bytes = (size_t)n * 2 * sizeof(*y);
        for (uint32_t row = 0; row < n; row++) {
            for (int k = 0; k < 2; k++)
                y[row * 2 + (uint32_t)k] =
                    rig->answers_nan ? (double)NAN : score(rows + (size_t)row * M, k);
        }
    }
    return TERN_OK;
}

static struct tern_tensor tensor_of(const struct rig *rig, float *data, uint32_t n)
{
    return (struct tern_tensor){.name = rig->input.name,
                                .dtype = TERN_DTYPE_FP32,
                                .shape = {.rank = 2, .dim = {n, M}},
                                .data = data,
                                .n_bytes = (size_t)n * M * sizeof(*data)};
}

static void start(struct rig *rig, enum tern_explain_method method)
{
    memset(rig, 0, sizeof(*rig));
    tern_arena_init(&rig->arena, 1u << 16, 64u << 20);
    rig->input = (struct tern_tensor_spec){
        .name = TERN_STR("x"), .dtype = TERN_DTYPE_FP32, .shape = {.rank = 2, .dim = {-1, M}}};
    rig->outputs[0] = (struct tern_tensor_spec){
        .name = TERN_STR("label"), .dtype = TERN_DTYPE_BYTES, .shape = {.rank = 1, .dim = {-1}}};
    rig->outputs[1] = (struct tern_tensor_spec){
        .name = TERN_STR("y"), .dtype = TERN_DTYPE_FP64, .shape = {.rank = 2, .dim = {-1, 2}}};
    rig->info = (struct tern_model_info){.name = TERN_STR("toy"),
                                         .backend = TERN_STR("none"),
                                         .max_batch_size = 8,
                                         .inputs = &rig->input,
                                         .n_inputs = 1,
                                         .outputs = rig->outputs,
                                         .n_outputs = 2};
    for (uint32_t i = 0; i < 3 * M; i++)
        rig->rows[i] = (float)((i * 7) % 11) / 3;
    for (uint32_t i = 0; i < 4 * M; i++)
        rig->against[i] = (float)((i * 5) % 13) / 4;
    rig->x = tensor_of(rig, rig->rows, 3);
    rig->background = tensor_of(rig, rig->against, 4);
    rig->request = (struct tern_explain_request){.method = method,
                                                 .background = TERN_EXPLAIN_BACKGROUND_GIVEN,
                                                 .rows = &rig->background,
                                                 .n_rows = 1};
    rig->task = (struct tern_explain_task){.info = &rig->info,
                                           .inputs = &rig->x,
                                           .input_spec = &rig->spec,
                                           .n_inputs = 1,
                                           .rows_max = 8,
                                           .request = &rig->request,
                                           .limits = {100, 100, 100, 100000, 32u << 20}};
}

static void stop(struct rig *rig)
{
    tern_arena_fini(&rig->arena);
}

static enum tern_code run(struct rig *rig, const struct tern_explain_answer **ret)
{
    const struct tern_explain_model model = {.infer = infer, .arg = rig};
    struct tern_explain *job;
    bool done = false;

    TERN_TRY(tern_explain_new(&rig->task, &rig->arena, &job, &rig->err));
    while (!done)
        TERN_TRY(tern_explain_step(job, &model, 0, NULL, &done, &rig->err));
    *ret = tern_explain_answer(job);
    return TERN_OK;
}

/* What the model answers on average when only the features of `set` are the row's. */
static double value_of(const struct rig *rig, const float *row, unsigned set, int k)
{
    double sum = 0;

    for (uint32_t b = 0; b < 4; b++) {
        float mixed[M];
        for (unsigned f = 0; f < M; f++)
            mixed[f] = (set >> f & 1) ? row[f] : rig->against[b * M + f];
        sum += score(mixed, k);
    }
    return sum / 4;
}

static double factorial(unsigned n)
{
    return n < 2 ? 1 : n == 2 ? 2 : n == 3 ? 6 : n == 4 ? 24 : 120;
}

/* Shapley's formula itself. */
static double brute(const struct rig *rig, const float *row, unsigned feature, int k)
{
    double sum = 0;

    for (unsigned set = 0; set < 1u << M; set++) {
        unsigned size = (unsigned)__builtin_popcount(set);
        if (set >> feature & 1)
            continue;
        double weight = factorial(size) * factorial(M - size - 1) / factorial(M);
        sum += weight * (value_of(rig, row, set | 1u << feature, k) - value_of(rig, row, set, k));
    }
    return sum;
}

static void assert_close(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
        fail_msg("got %.17g, want %.17g", got, want);
}

static void assert_shapley(const struct rig *rig, const struct tern_explain_answer *answer,
                           double tolerance)
{
    assert_int_equal(answer->n, 3);
    assert_int_equal(answer->n_outputs, 2);
    assert_int_equal(answer->n_features, M);
    for (uint32_t row = 0; row < 3; row++) {
        const float *x = rig->rows + (size_t)row * M;
        for (int k = 0; k < 2; k++) {
            assert_close(answer->predictions[row * 2 + (uint32_t)k], score(x, k), 1e-12);
            assert_close(answer->base[k], value_of(rig, x, 0, k), 1e-12);
            for (unsigned f = 0; f < M; f++)
                assert_close(answer->values[(row * 2 + (uint32_t)k) * M + f], brute(rig, x, f, k),
                             tolerance);
        }
        assert_true(answer->additivity[row] < 1e-9);
    }
}

static void kernel_is_exact_with_all_sets(void **state)
{
    const struct tern_explain_answer *answer;
    struct rig rig;

    (void)state;
    start(&rig, TERN_EXPLAIN_KERNEL);
    assert_int_equal(run(&rig, &answer), TERN_OK);
    assert_shapley(&rig, answer, 1e-9);
    assert_true(rig.most_rows <= 8);
    assert_int_equal(answer->method, TERN_EXPLAIN_KERNEL);
    assert_true(tern_str_eq(answer->features[3], TERN_STR("x[3]")));
    assert_true(tern_str_eq(answer->outputs[1], TERN_STR("y[1]")));
    /* rows, background, and 2^5 - 2 sets against 4 rows for each of 3 */
    assert_int_equal(answer->evaluations, 3 + 4 + 3 * 30 * 4);
    stop(&rig);
}

static void kernel_samples_when_told_to(void **state)
{
    const struct tern_explain_answer *answer, *again;
    struct rig rig;

    (void)state;
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.request.nsamples = 16;
    rig.request.seed = 7;
    assert_int_equal(run(&rig, &answer), TERN_OK);
    assert_int_equal(run(&rig, &again), TERN_OK);
    assert_memory_equal(answer->values, again->values, 3 * 2 * M * sizeof(double));
    for (uint32_t row = 0; row < 3; row++) { /* what is linear is exact all the same */
        for (unsigned f = 0; f < M; f++)
            assert_close(answer->values[row * 2 * M + f], brute(&rig, rig.rows + row * M, f, 0),
                         1e-9);
    }
    stop(&rig);
}

static void permutations_come_close(void **state)
{
    const struct tern_explain_answer *answer;
    struct rig rig;

    (void)state;
    start(&rig, TERN_EXPLAIN_PERMUTATION);
    rig.request.nsamples = 800;
    rig.request.seed = 11;
    assert_int_equal(run(&rig, &answer), TERN_OK);
    assert_shapley(&rig, answer, 0.05);
    stop(&rig);
}

static void what_does_not_vary_adds_nothing(void **state)
{
    const struct tern_explain_answer *answer;
    struct rig rig;

    (void)state;
    start(&rig, TERN_EXPLAIN_KERNEL);
    for (uint32_t b = 0; b < 4; b++) { /* all but one feature of the first row */
        memcpy(rig.against + (size_t)b * M, rig.rows, sizeof(float) * M);
        rig.against[b * M + 1] = (float)b + 0.25f;
    }
    rig.x.shape.dim[0] = 1;
    rig.x.n_bytes = M * sizeof(float);
    assert_int_equal(run(&rig, &answer), TERN_OK);
    for (unsigned f = 0; f < M; f++) {
        double want = f == 1 ? answer->predictions[0] - answer->base[0] : 0;
        assert_close(answer->values[f], want, 0);
    }
    assert_int_equal(answer->evaluations, 1 + 4);
    stop(&rig);
}

static void importance_is_of_features_that_matter(void **state)
{
    const struct tern_explain_answer *answer;
    struct rig rig;

    (void)state;
    start(&rig, TERN_EXPLAIN_IMPORTANCE);
    assert_int_equal(run(&rig, &answer), TERN_OK);
    assert_int_equal(answer->n, 1);
    assert_true(answer->values[0] > 0 && answer->values[1] > 0);
    assert_close(answer->values[2], 0, 0); /* the first score does not look at it */
    assert_close(answer->values[3], 0, 0);
    assert_true(answer->deviations[0] >= 0);
    assert_null(answer->predictions);
    stop(&rig);
}

static void zeros_are_a_background(void **state)
{
    const struct tern_explain_answer *answer;
    struct rig rig;

    (void)state;
    start(&rig, TERN_EXPLAIN_AUTO);
    rig.request.background = TERN_EXPLAIN_BACKGROUND_ZEROS;
    assert_int_equal(run(&rig, &answer), TERN_OK);
    assert_int_equal(answer->method, TERN_EXPLAIN_KERNEL);
    assert_close(answer->base[0], 0, 0);
    assert_close(answer->values[0], 3 * (double)rig.rows[0], 1e-9);
    stop(&rig);
}

/* ---- refusals ---- */

static void assert_refused(struct rig *rig, enum tern_code code, const char *text)
{
    const struct tern_explain_answer *answer;

    assert_int_equal(run(rig, &answer), code);
    if (strstr(rig->err.text, text) == NULL)
        fail_msg("'%s' does not say '%s'", rig->err.text, text);
    stop(rig);
}

static void refuses_what_it_cannot(void **state)
{
    struct rig rig;

    (void)state;
    start(&rig, TERN_EXPLAIN_INTEGRATED_GRADIENTS);
    assert_refused(&rig, TERN_UNIMPLEMENTED, "gradients");
    start(&rig, TERN_EXPLAIN_TREE);
    assert_refused(&rig, TERN_UNIMPLEMENTED, "cannot be explained by method 'tree'");
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.request.interactions = true;
    assert_refused(&rig, TERN_UNIMPLEMENTED, "interactions");
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.request.background = TERN_EXPLAIN_BACKGROUND_MODEL;
    assert_refused(&rig, TERN_FAILED_PRECONDITION, "background");
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.task.background_path = "/there/is/no.npy";
    rig.request.background = TERN_EXPLAIN_BACKGROUND_MODEL;
    assert_refused(&rig, TERN_NOT_FOUND, "background");
}

static void refuses_what_is_too_much(void **state)
{
    struct rig rig;

    (void)state;
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.task.limits.rows = 2;
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "at most 2 rows, got 3");
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.task.limits.background = 3;
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "at most 3 rows of background, got 4");
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.task.limits.features = 4;
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "at most 4 features, got 5");
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.task.limits.evaluations = 359;
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "about 360 rows, at most 359");
    start(&rig, TERN_EXPLAIN_PERMUTATION);
    rig.request.nsamples = UINT64_MAX;
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "nsamples");
    start(&rig, TERN_EXPLAIN_IMPORTANCE);
    rig.x.shape.dim[0] = 1;
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "at least 2");
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.x.shape.dim[0] = 0;
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "no rows");
}

static void refuses_outputs_that_are_not_there(void **state)
{
    struct rig rig;

    (void)state;
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.wanted.name = TERN_STR("z");
    rig.task.outputs = &rig.wanted;
    rig.task.n_outputs = 1;
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "'z'");
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.wanted.name = TERN_STR("label");
    rig.task.outputs = &rig.wanted;
    rig.task.n_outputs = 1;
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "BYTES");
}

static void refuses_a_background_of_another_shape(void **state)
{
    struct rig rig;

    (void)state;
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.background.shape.dim[1] = M - 1;
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "background");
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.background.name = TERN_STR("other");
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "background");
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.background.shape.dim[0] = 0;
    rig.background.n_bytes = 0;
    assert_refused(&rig, TERN_INVALID_ARGUMENT, "background");
}

static void a_model_that_fails_is_told(void **state)
{
    struct rig rig;

    (void)state;
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.fails = true;
    assert_refused(&rig, TERN_INTERNAL, "it broke");
    start(&rig, TERN_EXPLAIN_KERNEL);
    rig.answers_nan = true;
    assert_refused(&rig, TERN_FAILED_PRECONDITION, "NaN");
}

static void stops_when_cancelled(void **state)
{
    struct tern_explain *job;
    struct rig rig;
    bool done = false;
    atomic_bool cancelled = false;

    (void)state;
    start(&rig, TERN_EXPLAIN_KERNEL);
    const struct tern_explain_model model = {.infer = infer, .arg = &rig};
    assert_int_equal(tern_explain_new(&rig.task, &rig.arena, &job, &rig.err), TERN_OK);
    assert_int_equal(tern_explain_step(job, &model, 0, &cancelled, &done, &rig.err), TERN_OK);
    assert_false(done);
    cancelled = true;
    assert_int_equal(tern_explain_step(job, &model, UINT64_MAX, &cancelled, &done, &rig.err),
                     TERN_CANCELLED);
    stop(&rig);
}

static void knows_its_methods(void **state)
{
    enum tern_explain_method method;

    (void)state;
    for (unsigned i = 0; i < TERN_EXPLAIN_METHOD_COUNT; i++) {
        const char *name = tern_explain_method_name((enum tern_explain_method)i);
        assert_true(tern_explain_method_find(tern_str_of(name), &method));
        assert_int_equal(method, i);
    }
    assert_false(tern_explain_method_find(TERN_STR("magic"), &method));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernel_is_exact_with_all_sets),
        cmocka_unit_test(kernel_samples_when_told_to),
        cmocka_unit_test(permutations_come_close),
        cmocka_unit_test(what_does_not_vary_adds_nothing),
        cmocka_unit_test(importance_is_of_features_that_matter),
        cmocka_unit_test(zeros_are_a_background),
        cmocka_unit_test(refuses_what_it_cannot),
        cmocka_unit_test(refuses_what_is_too_much),
        cmocka_unit_test(refuses_outputs_that_are_not_there),
        cmocka_unit_test(refuses_a_background_of_another_shape),
        cmocka_unit_test(a_model_that_fails_is_told),
        cmocka_unit_test(stops_when_cancelled),
        cmocka_unit_test(knows_its_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
