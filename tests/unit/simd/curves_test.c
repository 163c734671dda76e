// covers: simd/curves_x86
/* e^x, sigmoid and tanh on every level against libm in double, over the whole range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include "simd/curves.h"
#include "simd/simd.h"

static const char *const levels[] = {"portable", "avx2", "avx512"};

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static const struct {
    void (*curve)(const float *in, float *out, size_t n);
    double (*exact)(double x);
} curves[] = {{tern_curves_exp, exp}, {tern_curves_sigmoid, sigmoid}, {tern_curves_tanh, tanh}};

/* The distance from one float to the next at that size. */
static double unit_of(double x)
{
    float size = fabsf((float)x);

    return (double)nextafterf(size, INFINITY) - (double)size;
}

#define N 1009

static void check_curve(size_t c)
{
    float in[N], out[N], alone;
    double worst = 0;

    for (double center = -110; center < 100; center += 0.37) {
        for (size_t i = 0; i < N; i++)
            in[i] = (float)(center + 0.4 * (double)i / N);
        curves[c].curve(in, out, N);
        for (size_t i = 0; i < N; i++) {
            double exact = curves[c].exact((double)in[i]);
            if (isinf((float)exact))
                assert_true(isinf(out[i]));
            else
                worst = fmax(worst, fabs((double)out[i] - exact) / unit_of(exact));
        }
        curves[c].curve(&in[N - 1], &alone, 1); /* wherever it stands */
        assert_true(alone == out[N - 1]);
    }
    if (worst > 2.5)
        fail_msg("curve %zu is off by %g units", c, worst);
}

static void test_the_whole_range(void **state)
{
    (void)state;
    for (size_t level = 0; level < 3; level++) {
        setenv("TERN_SIMD", levels[level], 1);
        tern_simd_init();
        for (size_t c = 0; c < 3; c++)
            check_curve(c);
    }
}

static void test_ends(void **state)
{
    const float in[] = {NAN, INFINITY, -INFINITY, 0, -0.0F, 1e-30F};
    float out[6];

    (void)state;
    for (size_t level = 0; level < 3; level++) {
        setenv("TERN_SIMD", levels[level], 1);
        tern_simd_init();
        tern_curves_exp(in, out, 6);
        assert_true(isnan(out[0]) && isinf(out[1]) && out[2] == 0 && out[3] == 1 && out[5] == 1);
        tern_curves_sigmoid(in, out, 6);
        assert_true(isnan(out[0]) && out[1] == 1 && out[2] == 0 && out[3] == 0.5F);
        tern_curves_tanh(in, out, 6);
        assert_true(isnan(out[0]) && out[1] == 1 && out[2] == -1 && out[3] == 0);
        assert_true(signbit(out[4]) && out[5] == 1e-30F);
        tern_curves_exp(in, out, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_whole_range),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
