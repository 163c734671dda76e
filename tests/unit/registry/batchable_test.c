/* Which models have batches that they do not declare: engines whose rows do, and do not, know of
 * each other. */
// covers: registry/batchable registry/trial_rows
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>
#include "base/clock.h"
#include "registry/batchable.h"

/* ---- models: x [-1,-1], i [-1] and s [-1,-1] give y [-1,-1] ---- */

/* Fills one value of y from all of x and i. */
struct call {
    const struct tern_tensor *x, *i;
    int64_t rows, inner;
};
typedef float value_fn(const struct call *call, int64_t row, int64_t column);

static float at(const struct call *call, int64_t row, int64_t column)
{
    return ((const float *)call->x->data)[row * call->inner + column];
}

static int64_t index_of(const struct call *call, int64_t row)
{
    return ((const int64_t *)call->i->data)[row];
}

static value_fn *value;
static enum tern_dtype real; /* of y */
static int64_t vocabulary;   /* i is less, or the run fails */
static int64_t rows_max;     /* or the run fails */
static int64_t rows_more;    /* that y has too many */
static int runs, joined_runs, most_rows;

static enum tern_code give(const struct tern_engine_run *run, const struct call *call,
                           struct tern_err *err)
{
    struct tern_tensor *y = &run->outputs[0];
    size_t size = tern_dtype_size(real), n = (size_t)((call->rows + rows_more) * call->inner);
    char *dst = tern_arena_alloc(run->arena, 8, n * size);

    if (dst == NULL)
        return tern_arena_fail(run->arena, err, "y");
    y->dtype = real;
    y->shape = (struct tern_shape){2, {call->rows + rows_more, call->inner}};
    y->data = dst;
    y->n_bytes = n * size;
    memset(dst, 0, y->n_bytes);
    for (int64_t k = 0; k < call->rows * call->inner; k++) {
        float result = value(call, k / call->inner, k % call->inner);
        int64_t whole = (int64_t)result;
        double wide = (double)result;
        const void *from = real == TERN_DTYPE_FP32   ? (const void *)&result
                           : real == TERN_DTYPE_FP64 ? (const void *)&wide
                                                     : (const void *)&whole;
        memcpy(dst + (size_t)k * size, from, size);
    }
    return TERN_OK;
}

static enum tern_code infer(const struct tern_engine_model *model, void *instance,
                            const struct tern_engine_run *run, struct tern_err *err)
{
    struct call call = {.x = &run->inputs[0], .i = &run->inputs[1]};

    (void)model, (void)instance;
    call.rows = call.x->shape.dim[0];
    call.inner = call.x->shape.dim[1];
    assert_int_equal(call.i->shape.dim[0], call.rows);
    runs++;
    joined_runs += call.rows > 1;
    most_rows = call.rows > most_rows ? (int)call.rows : most_rows;
    for (int64_t row = 0; row < call.rows; row++) {
        if (index_of(&call, row) >= vocabulary)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "index %d is out of range",
                             (int)index_of(&call, row));
    }
    if (call.rows > rows_max)
        return tern_fail(err, TERN_INTERNAL, "too many rows");
    return give(run, &call, err);
}

static struct tern_engine_ops ops;
static struct tern_tensor_spec inputs[3], outputs[1];
static struct tern_engine_model engine;
static struct tern_batchable_subject subject;
static struct tern_batchable verdict;

static int setup(void **state)
{
    (void)state;
    value = at;
    real = TERN_DTYPE_FP32;
    vocabulary = rows_max = INT64_MAX;
    rows_more = runs = joined_runs = most_rows = 0;
    ops = (struct tern_engine_ops){.infer = infer};
    inputs[0] = (struct tern_tensor_spec){
        .name = TERN_STR("x"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, -1}}};
    inputs[1] = (struct tern_tensor_spec){
        .name = TERN_STR("i"), .dtype = TERN_DTYPE_INT64, .shape = {1, {-1}}};
    inputs[2] = (struct tern_tensor_spec){
        .name = TERN_STR("s"), .dtype = TERN_DTYPE_BYTES, .shape = {2, {-1, -1}}};
    outputs[0] = (struct tern_tensor_spec){
        .name = TERN_STR("y"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, -1}}};
    engine = (struct tern_engine_model){
        .ops = &ops, .inputs = inputs, .n_inputs = 3, .outputs = outputs, .n_outputs = 1};
    subject = (struct tern_batchable_subject){.engine = &engine,
                                              .inputs = inputs,
                                              .outputs = outputs,
                                              .run_ns = 1,
                                              .budget_ns = (uint64_t)600 * TERN_NS_PER_S,
                                              .max_rows = 64};
    return 0;
}

static void assert_verdict(enum tern_batchable_verdict expected, const char *text)
{
    tern_batchable_prove(&subject, &verdict);
    if (verdict.verdict != expected || strstr(verdict.text, text) == NULL)
        fail_msg("got %d: %s", (int)verdict.verdict, verdict.text);
}

/* ---- rows that stand alone ---- */

static float mix(const struct call *call, int64_t row, int64_t column)
{
    float sum = (float)index_of(call, row);

    for (int64_t k = 0; k < call->inner; k++)
        sum += at(call, row, k) * (float)(1 + (k + column) % 3);
    return sum;
}

static float nan_or_value(const struct call *call, int64_t row, int64_t column)
{
    return at(call, row, column) < 1 ? NAN : at(call, row, column);
}

static void test_rows_that_stand_alone(void **state)
{
    (void)state;
    assert_verdict(TERN_BATCHABLE_EXACT, "");
    assert_int_equal(most_rows, 64);
    assert_true(joined_runs > 3 && runs > 3 * joined_runs / 2);
    value = mix;
    assert_verdict(TERN_BATCHABLE_EXACT, "");
    value = nan_or_value;
    assert_verdict(TERN_BATCHABLE_EXACT, "");
    outputs[0].dtype = real = TERN_DTYPE_FP64;
    assert_verdict(TERN_BATCHABLE_EXACT, "");
    outputs[0].dtype = real = TERN_DTYPE_INT64;
    value = mix;
    assert_verdict(TERN_BATCHABLE_EXACT, "");
}

/* As an engine that adds up in another order for more rows. */
static float in_another_order(const struct call *call, int64_t row, int64_t column)
{
    float exact = mix(call, row, column);
    return call->rows > 1 ? nextafterf(exact, INFINITY) : exact;
}

static float off_by_a_thousandth(const struct call *call, int64_t row, int64_t column)
{
    return mix(call, row, column) * (call->rows > 1 ? 1.001F : 1);
}

static void test_last_places(void **state)
{
    (void)state;
    value = in_another_order;
    assert_verdict(TERN_BATCHABLE_CLOSE, "");
    outputs[0].dtype = real = TERN_DTYPE_FP64; /* the same is a lot there */
    assert_verdict(TERN_BATCHABLE_NO, "output 'y' of joined rows differs");
    outputs[0].dtype = real = TERN_DTYPE_FP32;
    value = off_by_a_thousandth;
    assert_verdict(TERN_BATCHABLE_NO, "output 'y' of joined rows differs");
}

/* ---- rows that know of each other ---- */

static float sum_so_far(const struct call *call, int64_t row, int64_t column)
{
    float sum = 0;

    for (int64_t k = 0; k <= row; k++)
        sum += at(call, k, column);
    return sum;
}

static float less_the_mean(const struct call *call, int64_t row, int64_t column)
{
    float sum = 0;

    for (int64_t k = 0; k < call->rows; k++)
        sum += at(call, k, column);
    return at(call, row, column) - sum / (float)call->rows;
}

static float from_the_end(const struct call *call, int64_t row, int64_t column)
{
    return at(call, call->rows - 1 - row, column);
}

static float row_number(const struct call *call, int64_t row, int64_t column)
{
    return at(call, row, column) + (float)row;
}

static float number_of_rows(const struct call *call, int64_t row, int64_t column)
{
    return at(call, row, column) + (float)(call->rows > 3);
}

static void test_rows_that_know_of_each_other(void **state)
{
    static value_fn *const values[] = {sum_so_far, less_the_mean, from_the_end, row_number,
                                       number_of_rows};
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(values); i++) {
        value = values[i];
        assert_verdict(TERN_BATCHABLE_NO, "output 'y' of joined rows differs");
    }
}

/* A tagger: the label of a row is mostly its own, and its neighbour's only now and then. */
static float label(const struct call *call, int64_t row, int64_t column)
{
    float own = at(call, row, column), before = row > 0 ? at(call, row - 1, column) : 0;

    return own + 0.1F * before > 0.5F ? 1 : 0;
}

static void test_labels_alone(void **state)
{
    (void)state;
    value = label;
    outputs[0].dtype = real = TERN_DTYPE_INT64;
    assert_verdict(TERN_BATCHABLE_NO, "output 'y' of joined rows differs");
}

static float always_one(const struct call *call, int64_t row, int64_t column)
{
    (void)call, (void)row, (void)column;
    return 1;
}

static void test_answers_that_say_nothing(void **state)
{
    (void)state;
    value = always_one;
    assert_verdict(TERN_BATCHABLE_NO, "nothing is proven: all inputs tried have one answer");
}

/* ---- what a model accepts ---- */

static void test_indices(void **state)
{
    (void)state;
    value = mix;
    vocabulary = 2;
    assert_verdict(TERN_BATCHABLE_EXACT, "");
    vocabulary = 0;
    assert_verdict(TERN_BATCHABLE_NO, "nothing is proven: index");
}

static void test_joined_runs_that_fail(void **state)
{
    (void)state;
    rows_max = 1;
    assert_verdict(TERN_BATCHABLE_NO, "a run of joined rows fails: too many rows");
    rows_max = 63;
    assert_verdict(TERN_BATCHABLE_NO, "a run of joined rows fails: too many rows");
    rows_max = 0;
    assert_verdict(TERN_BATCHABLE_NO, "nothing is proven: too many rows");
    rows_max = 64;
    rows_more = 1;
    assert_verdict(TERN_BATCHABLE_NO, "output 'y' of 1 rows has shape [2,1]");
}

static void test_shapes(void **state)
{
    (void)state;
    inputs[1].shape.dim[0] = 7;
    assert_verdict(TERN_BATCHABLE_NO, "the first dimension of input 'i' is not free");
    inputs[1].shape.rank = 0;
    assert_verdict(TERN_BATCHABLE_NO, "the first dimension of input 'i' is not free");
    setup(NULL);
    outputs[0].shape.dim[0] = 1;
    assert_verdict(TERN_BATCHABLE_NO, "the first dimension of output 'y' is not free");
    setup(NULL);
    /* The configuration says more than the model. */
    struct tern_tensor_spec seen[3];
    memcpy(seen, inputs, sizeof(seen));
    seen[0].shape.dim[0] = 8;
    subject.inputs = seen;
    assert_verdict(TERN_BATCHABLE_NO, "the first dimension of input 'x' is not free");
    setup(NULL);
    engine.n_inputs = 0;
    assert_verdict(TERN_BATCHABLE_NO, "without inputs");
    assert_int_equal(runs, 0);
}

/* ---- time ---- */

static void test_slow_models(void **state)
{
    (void)state;
    subject.run_ns = (uint64_t)300 * TERN_NS_PER_S;
    assert_verdict(TERN_BATCHABLE_NO, "a run of 300000 ms is too long");
    assert_int_equal(runs, 0);
    subject.run_ns = (uint64_t)100 * TERN_NS_PER_S; /* two rows, alone and together, and no more */
    assert_verdict(TERN_BATCHABLE_EXACT, "");
    assert_int_equal(most_rows, 2);
    subject.run_ns = 0;
    subject.budget_ns = 0; /* none left once it starts */
    assert_verdict(TERN_BATCHABLE_NO, "nothing is proven: trying it takes too long");
}

/* ---- warm-up samples ---- */

static void test_samples(void **state)
{
    struct tern_config_warmup_input rows[] = {
        {.name = TERN_STR("x"), .dtype = TERN_DTYPE_FP32, .source = TERN_WARMUP_RANDOM},
        {.name = TERN_STR("i"), .dtype = TERN_DTYPE_INT64, .source = TERN_WARMUP_ZERO},
        {.name = TERN_STR("s"), .dtype = TERN_DTYPE_BYTES, .source = TERN_WARMUP_ZERO},
    };
    struct tern_config_warmup sample = {
        .name = TERN_STR("s"), .count = 1, .inputs = rows, .n_inputs = 3};
    const struct tern_model_config config = {.warmup = &sample, .n_warmup = 1};

    (void)state;
    rows[0].dims = rows[2].dims = (struct tern_shape){2, {4, 3}};
    rows[1].dims = (struct tern_shape){1, {4}};
    subject.config = &config;
    vocabulary = 1; /* no made-up input will do */
    value = mix;
    assert_verdict(TERN_BATCHABLE_EXACT, "");
    value = sum_so_far;
    assert_verdict(TERN_BATCHABLE_NO, "output 'y' of joined rows differs");
    value = mix;
    rows[1].dims.dim[0] = 3;
    assert_verdict(TERN_BATCHABLE_NO, "nothing is proven");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rows_that_stand_alone, setup),
        cmocka_unit_test_setup(test_last_places, setup),
        cmocka_unit_test_setup(test_rows_that_know_of_each_other, setup),
        cmocka_unit_test_setup(test_labels_alone, setup),
        cmocka_unit_test_setup(test_answers_that_say_nothing, setup),
        cmocka_unit_test_setup(test_indices, setup),
        cmocka_unit_test_setup(test_joined_runs_that_fail, setup),
        cmocka_unit_test_setup(test_shapes, setup),
        cmocka_unit_test_setup(test_slow_models, setup),
        cmocka_unit_test_setup(test_samples, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
