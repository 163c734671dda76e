/* Dense layers: a block of rows times a block of panels, all of its sums in registers. The blocks
 * are as large as the registers allow, so that a weight and a feature that were read serve several
 * sums; rows that are left over go one at a time. */
#include "base/compiler.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "simd/dense.h"
#include "simd/kernels_x86.h"

#define PANEL  TERN_DENSE_PANEL
#define AVX512 TERN_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#define AVX2   TERN_TARGET("avx2,fma")
#define ROWS   6 /* of a block */
#define PANELS 4 /* of an AVX-512 block: 24 of 32 registers are sums */

/* ---- AVX-512: a panel is a register ---- */

/* n_rows and n_panels are constants in each call: the loops over them unroll. */
TERN_INLINE AVX512 void block_avx512(const struct tern_dense *dense, const float *x, size_t stride,
                                     size_t first, float *y, size_t n_rows, size_t n_panels)
{
    const float *panel = dense->panels + first * dense->n_features;
    size_t panel_size = dense->n_features * PANEL;
    __m512 sums[ROWS][PANELS];

    TERN_UNROLL
    for (size_t p = 0; p < n_panels; p++) {
        __m512 bias = dense->bias == NULL ? _mm512_setzero_ps()
                                          : _mm512_load_ps(dense->bias + first + p * PANEL);
        TERN_UNROLL
        for (size_t r = 0; r < n_rows; r++)
            sums[r][p] = bias;
    }
    for (size_t i = 0; i < dense->n_features; i++) {
        TERN_UNROLL
        for (size_t p = 0; p < n_panels; p++) {
            __m512 weights = _mm512_load_ps(panel + p * panel_size + i * PANEL);
            TERN_UNROLL
            for (size_t r = 0; r < n_rows; r++)
                sums[r][p] =
                    _mm512_fmadd_ps(_mm512_set1_ps(x[r * stride + i]), weights, sums[r][p]);
        }
    }
    TERN_UNROLL
    for (size_t p = 0; p < n_panels; p++) {
        size_t at = first + p * PANEL, left = dense->n_outputs - at;
        unsigned lanes = left >= PANEL ? 0xffffu : (1u << left) - 1u;
        __mmask16 mask = (__mmask16)lanes;
        TERN_UNROLL
        for (size_t r = 0; r < n_rows; r++) {
            __m512 sum = sums[r][p];
            if (dense->is_rectified) /* NaN is the second operand, and stays */
                sum = _mm512_max_ps(_mm512_setzero_ps(), sum);
            _mm512_mask_storeu_ps(y + r * dense->n_outputs + at, mask, sum);
        }
    }
}

static AVX512 void rows_avx512(const struct tern_dense *dense, const float *x, size_t stride,
                               float *y)
{
    size_t first = 0;

    for (; first + (PANELS - 1) * PANEL < dense->n_outputs; first += PANELS * PANEL)
        block_avx512(dense, x, stride, first, y, ROWS, PANELS);
    for (; first < dense->n_outputs; first += PANEL)
        block_avx512(dense, x, stride, first, y, ROWS, 1);
}

static AVX512 void row_avx512(const struct tern_dense *dense, const float *x, float *y)
{
    size_t first = 0;

    for (; first + (PANELS - 1) * PANEL < dense->n_outputs; first += PANELS * PANEL)
        block_avx512(dense, x, 0, first, y, 1, PANELS);
    for (; first < dense->n_outputs; first += PANEL)
        block_avx512(dense, x, 0, first, y, 1, 1);
}

AVX512 void tern_dense_run_avx512(const struct tern_dense *dense,
                                  const struct tern_dense_rows *rows)
{
    size_t r = 0;

    for (; r + ROWS <= rows->n; r += ROWS)
        rows_avx512(dense, rows->x + r * rows->x_stride, rows->x_stride,
                    rows->y + r * dense->n_outputs);
    for (; r < rows->n; r++)
        row_avx512(dense, rows->x + r * rows->x_stride, rows->y + r * dense->n_outputs);
}

/* ---- AVX2: a panel is two registers, a block is one panel ---- */

TERN_INLINE AVX2 void store_avx2(const struct tern_dense *dense, __m256 low, __m256 high,
                                 size_t first, float *y)
{
    size_t left = dense->n_outputs - first;
    float sums[PANEL];

    if (dense->is_rectified) {
        low = _mm256_max_ps(_mm256_setzero_ps(), low);
        high = _mm256_max_ps(_mm256_setzero_ps(), high);
    }
    if (left >= PANEL) {
        _mm256_storeu_ps(y + first, low);
        _mm256_storeu_ps(y + first + 8, high);
        return;
    }
    _mm256_storeu_ps(sums, low);
    _mm256_storeu_ps(sums + 8, high);
    memcpy(y + first, sums, left * sizeof(*sums));
}

TERN_INLINE AVX2 void block_avx2(const struct tern_dense *dense, const float *x, size_t stride,
                                 size_t first, float *y, size_t n_rows)
{
    const float *panel = dense->panels + first * dense->n_features;
    __m256 low[ROWS], high[ROWS];

    TERN_UNROLL
    for (size_t r = 0; r < n_rows; r++) {
        low[r] = high[r] = _mm256_setzero_ps();
        if (dense->bias != NULL) {
            low[r] = _mm256_load_ps(dense->bias + first);
            high[r] = _mm256_load_ps(dense->bias + first + 8);
        }
    }
    for (size_t i = 0; i < dense->n_features; i++, panel += PANEL) {
        __m256 low_weights = _mm256_load_ps(panel), high_weights = _mm256_load_ps(panel + 8);
        TERN_UNROLL
        for (size_t r = 0; r < n_rows; r++) {
            __m256 feature = _mm256_set1_ps(x[r * stride + i]);
            low[r] = _mm256_fmadd_ps(feature, low_weights, low[r]);
            high[r] = _mm256_fmadd_ps(feature, high_weights, high[r]);
        }
    }
    TERN_UNROLL
    for (size_t r = 0; r < n_rows; r++)
        store_avx2(dense, low[r], high[r], first, y + r * dense->n_outputs);
}

static AVX2 void rows_avx2(const struct tern_dense *dense, const float *x, size_t stride, float *y)
{
    for (size_t first = 0; first < dense->n_outputs; first += PANEL)
        block_avx2(dense, x, stride, first, y, ROWS);
}

static AVX2 void row_avx2(const struct tern_dense *dense, const float *x, float *y)
{
    for (size_t first = 0; first < dense->n_outputs; first += PANEL)
        block_avx2(dense, x, 0, first, y, 1);
}

AVX2 void tern_dense_run_avx2(const struct tern_dense *dense, const struct tern_dense_rows *rows)
{
    size_t r = 0;

    for (; r + ROWS <= rows->n; r += ROWS)
        rows_avx2(dense, rows->x + r * rows->x_stride, rows->x_stride,
                  rows->y + r * dense->n_outputs);
    for (; r < rows->n; r++)
        row_avx2(dense, rows->x + r * rows->x_stride, rows->y + r * dense->n_outputs);
}
#else
typedef int tern_dense_x86_none; /* ISO C forbids an empty file */
#endif
