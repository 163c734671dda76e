#include "simd/curves.h"

#include <math.h>
#include "simd/simd.h"

void tern_curves_exp(const float *in, float *out, size_t n)
{
    if (tern_simd.curves_exp != NULL) {
        tern_simd.curves_exp(in, out, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = expf(in[i]);
}

/* Of the negative power only, so that small results keep their digits. */
void tern_curves_sigmoid(const float *in, float *out, size_t n)
{
    if (tern_simd.curves_sigmoid != NULL) {
        tern_simd.curves_sigmoid(in, out, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float e = expf(-fabsf(in[i]));
        out[i] = (in[i] < 0 ? e : 1) / (1 + e);
    }
}

void tern_curves_tanh(const float *in, float *out, size_t n)
{
    if (tern_simd.curves_tanh != NULL) {
        tern_simd.curves_tanh(in, out, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = tanhf(in[i]);
}
