/* FP16 by the F16C instructions, eight a step. */
#include "base/compiler.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "simd/half.h"
#include "simd/kernels_x86.h"

#define F16C TERN_TARGET("avx2,f16c")

F16C void tern_half_to_f32_avx2(const uint16_t *in, float *out, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(in + i))));
    for (; i < count; i++)
        out[i] = tern_half_to_f32(in[i]);
}

F16C void tern_half_from_f32_avx2(const float *in, uint16_t *out, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128((void *)(out + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < count; i++)
        out[i] = tern_half_from_f32(in[i]);
}
#else
typedef int tern_half_x86_none; /* ISO C forbids an empty file */
#endif
