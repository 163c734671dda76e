/* e^x and what is made of it: x is n ln 2 + r with |r| <= ln 2 / 2, and e^r a polynomial. The
 * polynomials are those of S. Moshier's Cephes library (expf, tanhf). What is left over at the end
 * goes through the same arithmetic, so that a number's result does not depend on its place. */
#include "base/compiler.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "simd/curves.h"
#include "simd/kernels_x86.h"

#define AVX512 TERN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#define AVX2   TERN_TARGET("avx2,fma")

#define LOWEST   (-104.0F) /* e^x is 0 from here on */
#define HIGHEST  89.0F     /* and infinite */
#define LOG2_E   1.44269504088896341F
#define LN2_HIGH 0.693359375F
#define LN2_LOW  (-2.12194440e-4F)

static const float exp_terms[] = {1.9875691500e-4F, 1.3981999507e-3F, 8.3334519073e-3F,
                                  4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F};
static const float tanh_terms[] = {-5.70498872745e-3F, 2.06390887954e-2F, -5.37397155531e-2F,
                                   1.33314422036e-1F, -3.33332819422e-1F};
#define TANH_SMALL 0.625F /* below it the polynomial, above it the exponential */

/* ---- AVX-512 ---- */

TERN_INLINE AVX512 __m512 polynomial_avx512(__m512 x, const float *terms, int n)
{
    __m512 sum = _mm512_set1_ps(terms[0]);

    TERN_UNROLL
    for (int i = 1; i < n; i++)
        sum = _mm512_fmadd_ps(sum, x, _mm512_set1_ps(terms[i]));
    return sum;
}

TERN_INLINE AVX512 __m512 exp_avx512(__m512 x)
{
    x = _mm512_min_ps(_mm512_set1_ps(HIGHEST), x); /* NaN is the second operand, and stays */
    x = _mm512_max_ps(_mm512_set1_ps(LOWEST), x);
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(LOG2_E)),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN2_HIGH), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(LN2_LOW), r);
    __m512 y = polynomial_avx512(r, exp_terms, 6);
    y = _mm512_fmadd_ps(y, _mm512_mul_ps(r, r), r);
    return _mm512_scalef_ps(_mm512_add_ps(y, _mm512_set1_ps(1)), n);
}

TERN_INLINE AVX512 __m512 sigmoid_avx512(__m512 x)
{
    __m512 sign = _mm512_set1_ps(-0.0F), one = _mm512_set1_ps(1);
    __m512 e = exp_avx512(_mm512_or_ps(x, sign));
    __mmask16 is_negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);

    return _mm512_div_ps(_mm512_mask_mov_ps(one, is_negative, e), _mm512_add_ps(one, e));
}

TERN_INLINE AVX512 __m512 tanh_avx512(__m512 x)
{
    __m512 sign = _mm512_set1_ps(-0.0F), one = _mm512_set1_ps(1), two = _mm512_set1_ps(2);
    __m512 size = _mm512_andnot_ps(sign, x), z = _mm512_mul_ps(x, x);
    __m512 small = polynomial_avx512(z, tanh_terms, 5);
    small = _mm512_fmadd_ps(_mm512_mul_ps(small, z), x, x);
    __m512 e = exp_avx512(_mm512_add_ps(size, size));
    __m512 large = _mm512_sub_ps(one, _mm512_div_ps(two, _mm512_add_ps(e, one)));
    __mmask16 is_large = _mm512_cmp_ps_mask(size, _mm512_set1_ps(TANH_SMALL), _CMP_GE_OQ);
    /* -0 is -0, too. */
    return _mm512_or_ps(_mm512_mask_mov_ps(small, is_large, large), _mm512_and_ps(sign, x));
}

#define EACH_AVX512(name, curve)                                                              \
    AVX512 void name(const float *in, float *out, size_t n)                                   \
    {                                                                                         \
        for (size_t i = 0; i < n; i += 16) {                                                  \
            unsigned lanes = n - i >= 16 ? 0xffffu : (1u << (n - i)) - 1u;                    \
            __mmask16 mask = (__mmask16)lanes;                                                \
            _mm512_mask_storeu_ps(out + i, mask, curve(_mm512_maskz_loadu_ps(mask, in + i))); \
        }                                                                                     \
    }
EACH_AVX512(tern_curves_exp_avx512, exp_avx512)
EACH_AVX512(tern_curves_sigmoid_avx512, sigmoid_avx512)
EACH_AVX512(tern_curves_tanh_avx512, tanh_avx512)

/* ---- AVX2 ---- */

TERN_INLINE AVX2 __m256 polynomial_avx2(__m256 x, const float *terms, int n)
{
    __m256 sum = _mm256_set1_ps(terms[0]);

    TERN_UNROLL
    for (int i = 1; i < n; i++)
        sum = _mm256_fmadd_ps(sum, x, _mm256_set1_ps(terms[i]));
    return sum;
}

/* 2^n for whole n in the range of exponents. */
TERN_INLINE AVX2 __m256 power_avx2(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

TERN_INLINE AVX2 __m256 exp_avx2(__m256 x)
{
    x = _mm256_min_ps(_mm256_set1_ps(HIGHEST), x);
    x = _mm256_max_ps(_mm256_set1_ps(LOWEST), x);
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(LOG2_E)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN2_HIGH), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(LN2_LOW), r);
    __m256 y = polynomial_avx2(r, exp_terms, 6);
    y = _mm256_fmadd_ps(y, _mm256_mul_ps(r, r), r);
    y = _mm256_add_ps(y, _mm256_set1_ps(1));
    /* In two factors: one alone may be beyond the exponents. */
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    y = _mm256_mul_ps(y, power_avx2(half));
    return _mm256_mul_ps(y, power_avx2(_mm256_sub_epi32(whole, half)));
}

TERN_INLINE AVX2 __m256 sigmoid_avx2(__m256 x)
{
    __m256 sign = _mm256_set1_ps(-0.0F), one = _mm256_set1_ps(1);
    __m256 e = exp_avx2(_mm256_or_ps(x, sign));
    __m256 is_negative = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ);

    return _mm256_div_ps(_mm256_blendv_ps(one, e, is_negative), _mm256_add_ps(one, e));
}

TERN_INLINE AVX2 __m256 tanh_avx2(__m256 x)
{
    __m256 sign = _mm256_set1_ps(-0.0F), one = _mm256_set1_ps(1), two = _mm256_set1_ps(2);
    __m256 size = _mm256_andnot_ps(sign, x), z = _mm256_mul_ps(x, x);
    __m256 small = polynomial_avx2(z, tanh_terms, 5);
    small = _mm256_fmadd_ps(_mm256_mul_ps(small, z), x, x);
    __m256 e = exp_avx2(_mm256_add_ps(size, size));
    __m256 large = _mm256_sub_ps(one, _mm256_div_ps(two, _mm256_add_ps(e, one)));
    __m256 is_large = _mm256_cmp_ps(size, _mm256_set1_ps(TANH_SMALL), _CMP_GE_OQ);
    return _mm256_or_ps(_mm256_blendv_ps(small, large, is_large), _mm256_and_ps(sign, x));
}

#define EACH_AVX2(name, curve)                                         \
    AVX2 void name(const float *in, float *out, size_t n)              \
    {                                                                  \
        float rest[8] = {0};                                           \
        size_t i = 0;                                                  \
        for (; i + 8 <= n; i += 8)                                     \
            _mm256_storeu_ps(out + i, curve(_mm256_loadu_ps(in + i))); \
        if (i == n)                                                    \
            return;                                                    \
        memcpy(rest, in + i, (n - i) * sizeof(*in));                   \
        _mm256_storeu_ps(rest, curve(_mm256_loadu_ps(rest)));          \
        memcpy(out + i, rest, (n - i) * sizeof(*out));                 \
    }
EACH_AVX2(tern_curves_exp_avx2, exp_avx2)
EACH_AVX2(tern_curves_sigmoid_avx2, sigmoid_avx2)
EACH_AVX2(tern_curves_tanh_avx2, tanh_avx2)
#else
typedef int tern_curves_x86_none; /* ISO C forbids an empty file */
#endif
