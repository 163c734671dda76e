/* e^x, 1 / (1 + e^-x) and tanh of many float32 numbers, within 2 units in the last place. The
 * portable form is libm's. NaN stays NaN; in and out may be the same. */
#ifndef TERN_SIMD_CURVES_H
#define TERN_SIMD_CURVES_H

#include <stddef.h>

void tern_curves_exp(const float *in, float *out, size_t n);
void tern_curves_sigmoid(const float *in, float *out, size_t n);
void tern_curves_tanh(const float *in, float *out, size_t n);

#endif
