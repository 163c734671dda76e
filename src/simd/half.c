#include "simd/half.h"

#include <string.h>
#include "simd/simd.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

float tern_half_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 31u;
    uint32_t fraction = half & 1023u;

    if (exponent == 31)
        return float_of(sign | 0x7f800000u | (fraction << 13) | (fraction != 0 ? 0x400000u : 0));
    if (exponent == 0) {
        /* Zero and subnormals: fraction * 2^-24 is exact in a float. */
        float magnitude = (float)fraction * 0x1p-24f;
        return float_of(sign | bits_of(magnitude));
    }
    return float_of(sign | ((exponent + 112) << 23) | (fraction << 13));
}

/* Drops `shift` low bits of `mantissa`, to nearest, ties to even. */
static uint32_t round_off(uint32_t mantissa, unsigned shift)
{
    uint32_t half = 1u << (shift - 1);
    uint32_t odd = (mantissa >> shift) & 1u;
    return (mantissa + half - 1 + odd) >> shift;
}

uint16_t tern_half_from_f32(float value)
{
    uint32_t bits = bits_of(value);
    uint32_t sign = (bits >> 16) & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;

    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
    if (magnitude >= 0x477ff000u) /* 65520 and up round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude >= 0x38800000u) /* 2^-14: normal; a carry out of the fraction is meant */
        return (uint16_t)(sign | round_off(magnitude - 0x38000000u, 13));
    if (magnitude < 0x33000000u) /* below half of the smallest subnormal */
        return (uint16_t)sign;
    uint32_t exponent = magnitude >> 23;
    uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    return (uint16_t)(sign | round_off(mantissa, 126 - exponent));
}

/* Double to float, cutting, with the lowest bit set when anything was lost ("round to odd"): a
 * second rounding to a format at least two bits shorter then equals one rounding of the double. */
static float to_odd(double value)
{
    float cut = (float)value;
    uint32_t bits = bits_of(cut);
    if ((double)cut == value || value != value)
        return cut;
    double magnitude = value < 0 ? -value : value;
    double cut_magnitude = (double)float_of(bits & 0x7fffffffu);
    if (cut_magnitude > magnitude)
        bits--; /* the float was rounded away from zero (also from infinity) */
    return float_of(bits | 1u);
}

uint16_t tern_half_from_f64(double value)
{
    return tern_half_from_f32(to_odd(value));
}

float tern_half_bf16_to_f32(uint16_t bf16)
{
    return float_of((uint32_t)bf16 << 16);
}

uint16_t tern_half_bf16_from_f32(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

uint16_t tern_half_bf16_from_f64(double value)
{
    return tern_half_bf16_from_f32(to_odd(value));
}

void tern_half_to_f32_array(const uint16_t *in, float *out, size_t count)
{
    if (tern_simd.half_to_f32 != NULL) {
        tern_simd.half_to_f32(in, out, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        out[i] = tern_half_to_f32(in[i]);
}

void tern_half_from_f32_array(const float *in, uint16_t *out, size_t count)
{
    if (tern_simd.half_from_f32 != NULL) {
        tern_simd.half_from_f32(in, out, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        out[i] = tern_half_from_f32(in[i]);
}

void tern_half_bf16_to_f32_array(const uint16_t *in, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = tern_half_bf16_to_f32(in[i]);
}

void tern_half_bf16_from_f32_array(const float *in, uint16_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = tern_half_bf16_from_f32(in[i]);
}
