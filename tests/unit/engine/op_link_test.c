/* The operators that boosters end with, on values that are worked out here. */
// covers: engine/native/ops/op_linear engine/native/ops/op_cast
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/native/ops/ops.h"
#include "harness/native_rig.h"

/* A program of one input, steps that the test adds, and one output. */
static uint32_t begin(struct native_rig *rig, enum tern_dtype dtype)
{
    const struct tern_tensor_spec spec = {
        .name = TERN_STR("x"), .dtype = dtype, .shape = {2, {-1, -1}}};
    uint32_t value = 0;

    memset(rig, 0, sizeof(*rig));
    tern_arena_init(&rig->arena, 4096, 1u << 20);
    tern_program_begin(&rig->program, &rig->arena);
    assert_int_equal(tern_program_input(&rig->program, &spec, &value, &rig->err), TERN_OK);
    return value;
}

static void finish(struct native_rig *rig, uint32_t value)
{
    const struct tern_tensor_spec spec = {.name = TERN_STR("y"),
                                          .dtype = rig->program.values[value].tensor.dtype,
                                          .shape = {2, {-1, -1}}};

    assert_int_equal(tern_program_output(&rig->program, &spec, value, &rig->err), TERN_OK);
    assert_int_equal(tern_program_finish(&rig->program, &rig->err), TERN_OK);
}

static double element(const struct tern_tensor *tensor, size_t i)
{
    switch ((int)tensor->dtype) {
    case TERN_DTYPE_FP32:
        return (double)((const float *)tensor->data)[i];
    case TERN_DTYPE_FP64:
        return ((const double *)tensor->data)[i];
    case TERN_DTYPE_INT32:
        return ((const int32_t *)tensor->data)[i];
    default:
        return (double)((const int64_t *)tensor->data)[i];
    }
}

struct link_row {
    enum tern_link link;
    double parameter;
    double x[3], y[3];
    size_t n_out;
};

static void links_of_both_precisions(void **state)
{
    const double e = exp(1);
    const struct link_row rows[] = {
        {TERN_LINK_IDENTITY, 1, {-1, 0, 2}, {-1, 0, 2}, 3},
        {TERN_LINK_SIGMOID, 1, {0, 1, -1}, {0.5, e / (1 + e), 1 / (1 + e)}, 3},
        {TERN_LINK_SIGMOID, 2, {0, 0.5, -0.5}, {0.5, e / (1 + e), 1 / (1 + e)}, 3},
        {TERN_LINK_SOFTMAX, 1, {0, 0, 1}, {1 / (2 + e), 1 / (2 + e), e / (2 + e)}, 3},
        {TERN_LINK_SOFTMAX, 1, {1000, 1000, -1000}, {0.5, 0.5, 0}, 3},
        {TERN_LINK_EXP, 1, {0, 1, -1}, {1, e, 1 / e}, 3},
        {TERN_LINK_LOG1P_EXP, 1, {0, 1, -30}, {log(2), log(1 + e), exp(-30)}, 3},
        {TERN_LINK_SQUARE, 1, {-3, 0, 2}, {-9, 0, 4}, 3},
        {TERN_LINK_STEP, 1, {-3, 0, 1e-30}, {0, 0, 1}, 3},
        {TERN_LINK_ARGMAX, 1, {1, 3, 3}, {1}, 1},
        {TERN_LINK_ARGMAX, 1, {-1, -3, -2}, {0}, 1},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int is_double = 0; is_double < 2; is_double++) {
            float narrow[3] = {(float)rows[i].x[0], (float)rows[i].x[1], (float)rows[i].x[2]};
            struct native_rig rig;
            struct tern_tensor out;
            uint32_t value = begin(&rig, is_double ? TERN_DTYPE_FP64 : TERN_DTYPE_FP32);
            assert_int_equal(
                tern_op_link(&rig.program, rows[i].link, rows[i].parameter, &value, &rig.err),
                TERN_OK);
            finish(&rig, value);
            const void *in = is_double ? (const void *)rows[i].x : narrow;
            assert_int_equal(native_run(&rig, in, 1, 3, &out), TERN_OK);
            assert_int_equal(out.shape.dim[1], rows[i].n_out);
            for (size_t k = 0; k < rows[i].n_out; k++) {
                double error = fabs(element(&out, k) - rows[i].y[k]);
                if (!(error <= (is_double ? 1e-15 : 1e-6) * fmax(1, fabs(rows[i].y[k]))))
                    fail_msg("row %zu, element %zu: %g", i, k, element(&out, k));
            }
            native_free(&rig);
        }
    }
}

static void a_float_sigmoid_never_overflows(void **state)
{
    const float x[] = {-1000, 1000, -89};
    struct native_rig rig;
    struct tern_tensor out;
    uint32_t value = begin(&rig, TERN_DTYPE_FP32);
    (void)state;

    assert_int_equal(tern_op_link(&rig.program, TERN_LINK_SIGMOID, 1, &value, &rig.err), TERN_OK);
    finish(&rig, value);
    assert_int_equal(native_run(&rig, x, 3, 1, &out), TERN_OK);
    assert_true(element(&out, 0) > 0 && element(&out, 0) < 1e-38);
    assert_true(element(&out, 1) == 1 && element(&out, 2) == element(&out, 0));
    native_free(&rig);
}

static void links_check_their_input(void **state)
{
    struct native_rig rig;
    struct tern_tensor out;
    uint32_t value = begin(&rig, TERN_DTYPE_INT32);
    (void)state;

    assert_int_equal(tern_op_link(&rig.program, TERN_LINK_EXP, 1, &value, &rig.err), TERN_INTERNAL);
    native_free(&rig);
    value = begin(&rig, TERN_DTYPE_FP32);
    assert_int_equal(tern_op_link(&rig.program, TERN_LINK_SOFTMAX, 1, &value, &rig.err), TERN_OK);
    finish(&rig, value);
    assert_int_equal(native_run(&rig, NULL, 1, 0, &out), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig.err.text, "expected rows of scores"));
    native_free(&rig);
}

static void linear_in_both_precisions(void **state)
{
    const double weights[] = {1, 10, 2, 20, 3, 30}, bias[] = {0.5, -0.5};
    const float weights_float[] = {1, 10, 2, 20, 3, 30}, bias_float[] = {0.5F, -0.5F};
    const float x[] = {1, 1, 1, 2, NAN, -1};
    (void)state;

    for (int i = 0; i < 8; i++) {
        bool is_double = i & 1, has_bias = i & 2, skip = i & 4;
        const struct tern_linear linear = {
            .weights = is_double ? (const void *)weights : weights_float,
            .bias = !has_bias   ? NULL
                    : is_double ? (const void *)bias
                                : bias_float,
            .n_features = 3,
            .n_outputs = 2,
            .dtype = is_double ? TERN_DTYPE_FP64 : TERN_DTYPE_FP32,
            .skip_missing = skip,
        };
        struct native_rig rig;
        struct tern_tensor out;
        uint32_t value = begin(&rig, TERN_DTYPE_FP32); /* cast where it has to be */
        assert_int_equal(tern_op_linear(&rig.program, &linear, &value, &rig.err), TERN_OK);
        finish(&rig, value);
        assert_int_equal(native_run(&rig, x, 2, 3, &out), TERN_OK);
        assert_int_equal(out.dtype, linear.dtype);
        assert_true(element(&out, 0) == 6 + (has_bias ? 0.5 : 0));
        assert_true(element(&out, 1) == 60 - (has_bias ? 0.5 : 0));
        assert_true(skip ? element(&out, 2) == -1 + (has_bias ? 0.5 : 0) : isnan(element(&out, 2)));
        assert_int_equal(native_run(&rig, x, 3, 2, &out), TERN_INVALID_ARGUMENT);
        native_free(&rig);
    }
}

static void casts(void **state)
{
    const double x[] = {1.75, -2.5};
    const enum tern_dtype to[] = {TERN_DTYPE_FP32, TERN_DTYPE_INT32, TERN_DTYPE_INT64,
                                  TERN_DTYPE_FP64};
    const double expected[4][2] = {{1.75, -2.5}, {1, -2}, {1, -2}, {1.75, -2.5}};
    struct native_rig rig;
    (void)state;

    for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
        struct tern_tensor out;
        uint32_t value = begin(&rig, TERN_DTYPE_FP64);
        assert_int_equal(tern_op_cast(&rig.program, to[i], &value, &rig.err), TERN_OK);
        finish(&rig, value);
        assert_int_equal(native_run(&rig, x, 1, 2, &out), TERN_OK);
        assert_int_equal(out.dtype, to[i]);
        assert_true(element(&out, 0) == expected[i][0] && element(&out, 1) == expected[i][1]);
        native_free(&rig);
    }
    uint32_t value = begin(&rig, TERN_DTYPE_FP64);
    assert_int_equal(tern_op_cast(&rig.program, TERN_DTYPE_BYTES, &value, &rig.err), TERN_INTERNAL);
    native_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_of_both_precisions),
        cmocka_unit_test(a_float_sigmoid_never_overflows),
        cmocka_unit_test(links_check_their_input),
        cmocka_unit_test(linear_in_both_precisions),
        cmocka_unit_test(casts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
