/* 16-bit floating point: IEEE binary16 (FP16) and the upper half of binary32 (BF16), as bit
 * patterns in uint16_t. Conversions to 16 bits round to nearest, ties to even; overflow gives
 * infinity; every NaN becomes a quiet NaN that keeps its sign. Conversions to float are exact.
 * Array forms allow any alignment of neither pointer but the element's own; no overlap. */
#ifndef TERN_SIMD_HALF_H
#define TERN_SIMD_HALF_H

#include <stddef.h>
#include <stdint.h>

float tern_half_to_f32(uint16_t half);
uint16_t tern_half_from_f32(float value);
/* One rounding from double, not two by way of float. */
uint16_t tern_half_from_f64(double value);

float tern_half_bf16_to_f32(uint16_t bf16);
uint16_t tern_half_bf16_from_f32(float value);
uint16_t tern_half_bf16_from_f64(double value);

void tern_half_to_f32_array(const uint16_t *in, float *out, size_t count);
void tern_half_from_f32_array(const float *in, uint16_t *out, size_t count);
void tern_half_bf16_to_f32_array(const uint16_t *in, float *out, size_t count);
void tern_half_bf16_from_f32_array(const float *in, uint16_t *out, size_t count);

#endif
