/* The x86 kernels behind simd.h. Each use_ function needs its have_ to be true. */
#ifndef TERN_SIMD_KERNELS_X86_H
#define TERN_SIMD_KERNELS_X86_H

#include "simd/simd.h"

bool tern_kernels_have_avx2(void);
bool tern_kernels_have_avx512(void);
void tern_kernels_use_avx2(struct tern_simd *simd);
void tern_kernels_use_avx512(struct tern_simd *simd);

#endif
