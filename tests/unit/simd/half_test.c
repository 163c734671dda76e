/* All 65,536 half floats there and back, and rounding against exact arithmetic in double. */
// covers: simd/half_x86
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "simd/half.h"
#include "simd/simd.h"

static double half_value(unsigned half)
{
    int exponent = (int)(half >> 10 & 31);
    double fraction = (double)(half & 1023);
    double magnitude = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

static void every_half(void **state)
{
    static uint16_t in[65536], back[65536];
    static float out[65536];
    (void)state;
    for (unsigned i = 0; i < 65536; i++)
        in[i] = (uint16_t)i;
    tern_half_to_f32_array(in, out, 65536);
    tern_half_from_f32_array(out, back, 65536);
    for (unsigned i = 0; i < 65536; i++) {
        float one = tern_half_to_f32((uint16_t)i);
        assert_memory_equal(&one, &out[i], 4);
        if ((i & 0x7fff) > 0x7c00) {
            assert_true(isnan(out[i]) && (signbit(out[i]) != 0) == (i >= 0x8000));
            assert_int_equal(back[i], i | 0x200);
            continue;
        }
        if ((i & 0x7fff) == 0x7c00)
            assert_true(isinf(out[i]));
        else
            assert_true((double)out[i] == half_value(i));
        assert_int_equal(back[i], i);
        assert_int_equal(tern_half_from_f64((double)out[i]), i);
    }
}

/* Between neighbours: below, at and above the middle. */
static void halfway(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x7bff; i++) {
        double low = half_value(i);
        double high = half_value(i + 1);
        double middle = (low + high) / 2;
        unsigned even = (i & 1) == 0 ? i : i + 1;
        assert_int_equal(tern_half_from_f64(middle), even);
        assert_int_equal(tern_half_from_f32((float)middle), even);
        assert_int_equal(tern_half_from_f64(nextafter(middle, 0)), i);
        assert_int_equal(tern_half_from_f64(nextafter(middle, 1e9)), i + 1);
        assert_int_equal(tern_half_from_f64(-nextafter(middle, 1e9)), (i + 1) | 0x8000);
        assert_int_equal(tern_half_from_f32(nextafterf((float)middle, 0)), i);
        assert_int_equal(tern_half_from_f32(nextafterf((float)middle, 1e9f)), i + 1);
    }
    assert_int_equal(tern_half_from_f32(65519.996f), 0x7bff);
    assert_int_equal(tern_half_from_f32(65520.0f), 0x7c00);
    assert_int_equal(tern_half_from_f64(1e300), 0x7c00);
    assert_int_equal(tern_half_from_f64(-1e-300), 0x8000);
    assert_int_equal(tern_half_from_f32(INFINITY), 0x7c00);
}

static void every_bf16(void **state)
{
    static uint16_t in[65536], back[65536];
    static float out[65536];
    (void)state;
    for (unsigned i = 0; i < 65536; i++)
        in[i] = (uint16_t)i;
    tern_half_bf16_to_f32_array(in, out, 65536);
    tern_half_bf16_from_f32_array(out, back, 65536);
    for (unsigned i = 0; i < 65536; i++) {
        uint32_t bits;
        memcpy(&bits, &out[i], 4);
        assert_int_equal(bits, i << 16);
        assert_int_equal(back[i], isnan(out[i]) ? (i | 0x40) : i);
    }
    for (unsigned i = 0; i < 0x7f7f; i++) {
        double low = (double)tern_half_bf16_to_f32((uint16_t)i);
        double high = (double)tern_half_bf16_to_f32((uint16_t)(i + 1));
        double middle = (low + high) / 2;
        assert_int_equal(tern_half_bf16_from_f64(middle), (i & 1) == 0 ? i : i + 1);
        assert_int_equal(tern_half_bf16_from_f64(nextafter(middle, 0)), i);
        assert_int_equal(tern_half_bf16_from_f64(nextafter(middle, 1e300)), i + 1);
    }
    assert_int_equal(tern_half_bf16_from_f64(1e300), 0x7f80);
}

int main(void)
{
    static const char *const levels[] = {"portable", "avx2", "avx512"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half),
        cmocka_unit_test(halfway),
        cmocka_unit_test(every_bf16),
    };
    int failed = 0;
    for (size_t i = 0; i < 3; i++) {
        setenv("TERN_SIMD", levels[i], 1);
        tern_simd_init();
        if (strcmp(tern_simd_name(), levels[i]) == 0)
            failed += cmocka_run_group_tests_name(levels[i], tests, NULL, NULL);
    }
    return failed;
}
