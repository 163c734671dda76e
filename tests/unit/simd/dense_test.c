// covers: simd/dense_x86
/* Dense layers: every level against sums in double, for all sizes around those of blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "simd/dense.h"
#include "simd/simd.h"

static const char *const levels[] = {"portable", "avx2", "avx512"};

static uint64_t seed = 1;

static float next_number(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(int32_t)(seed >> 32) / INT32_MAX);
}

static float *numbers(size_t n)
{
    float *made = tern_mem_alloc_aligned(64, (n + 16) * sizeof(*made));

    assert_non_null(made);
    for (size_t i = 0; i < n; i++)
        made[i] = next_number();
    return made;
}

/* weights: m rows of k. */
static void check_row(const struct tern_dense *dense, const float *weights, const float *x,
                      const float *y)
{
    for (size_t k = 0; k < dense->n_outputs; k++) {
        double sum = dense->bias != NULL ? (double)dense->bias[k] : 0, size = 1e-3 + fabs(sum);
        for (size_t i = 0; i < dense->n_features; i++) {
            float weight = weights[i * dense->n_outputs + k];
            double term = (double)x[i] * (double)weight;
            assert_true(tern_dense_weight(dense, i, k) == weight);
            sum += term;
            size += fabs(term);
        }
        if (dense->is_rectified && sum < 0)
            sum = 0;
        assert_true(fabs((double)y[k] - sum) <= 2e-6 * size);
    }
}

static void check_size(size_t m, size_t k, size_t rows, bool has_bias, bool is_rectified)
{
    size_t n_panels, stride = m + 3;

    assert_true(tern_dense_panels(m, k, &n_panels));
    float *weights = numbers(m * k), *bias = numbers(tern_dense_width(k));
    float *panels = numbers(n_panels), *x = numbers(rows * stride), *y = numbers(rows * k + 1);
    const struct tern_dense dense = {panels, has_bias ? bias : NULL, m, k, is_rectified};
    const struct tern_dense_rows run = {x, stride, y, rows};

    tern_dense_pack(weights, k, 1, m, k, panels);
    y[rows * k] = 77;
    tern_dense_run(&dense, &run);
    for (size_t r = 0; r < rows; r++)
        check_row(&dense, weights, x + r * stride, y + r * k);
    assert_true(y[rows * k] == 77);
    float *const owned[] = {weights, bias, panels, x, y};
    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
        tern_mem_free(owned[i]);
}

static void test_all_sizes(void **state)
{
    static const size_t outputs[] = {1, 3, 15, 16, 17, 33, 48, 63, 64, 65, 100, 130};
    static const size_t features[] = {1, 2, 30, 64, 101};

    (void)state;
    for (size_t level = 0; level < 3; level++) {
        setenv("TERN_SIMD", levels[level], 1);
        tern_simd_init();
        for (size_t o = 0; o < sizeof(outputs) / sizeof(outputs[0]); o++)
            for (size_t f = 0; f < sizeof(features) / sizeof(features[0]); f++)
                for (size_t rows = 0; rows < 15; rows++)
                    check_size(features[f], outputs[o], rows, rows % 2 == 0, rows % 3 == 0);
    }
}

/* NaN is neither above nor below zero, and stays. */
static void test_nan_and_infinity(void **state)
{
    float weights[16 * 2] = {0}, panels[32] TERN_ALIGNED(64), y[7 * 16];
    const float x[14] = {NAN, 1, INFINITY, 1, -INFINITY, 1, 1, 1, 1, 1, 1, 1, 1, 1};

    (void)state;
    weights[0] = 1;
    tern_dense_pack(weights, 16, 1, 2, 16, panels);
    for (size_t level = 0; level < 3; level++) {
        const struct tern_dense dense = {panels, NULL, 2, 16, true};
        const struct tern_dense_rows rows = {x, 2, y, 7};
        setenv("TERN_SIMD", levels[level], 1);
        tern_simd_init();
        tern_dense_run(&dense, &rows);
        assert_true(isnan(y[0]) && isinf(y[16]) && y[32] == 0 && y[48] == 1);
    }
}

static void test_sizes_that_are_none(void **state)
{
    size_t n;

    (void)state;
    assert_false(tern_dense_panels(SIZE_MAX / 4, 16, &n));
    assert_false(tern_dense_panels(1, SIZE_MAX, &n));
    assert_true(tern_dense_panels(0, 5, &n));
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_sizes),
        cmocka_unit_test(test_nan_and_infinity),
        cmocka_unit_test(test_sizes_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
