/* The x86 kernels behind simd.h. Each use_ function needs its have_ to be true. */
#ifndef TERN_SIMD_KERNELS_X86_H
#define TERN_SIMD_KERNELS_X86_H

#include "simd/simd.h"

/* The kernels themselves, named by module and level; contracts in simd.h. */
bool tern_numbers_advance_avx512(struct tern_numbers_walk *w);
size_t tern_numbers_scan_avx2(struct tern_numbers_scan *s, const char *p, size_t n);
size_t tern_numbers_scan_avx512(struct tern_numbers_scan *s, const char *p, size_t n);
char *tern_numbers_write_f32_avx512(const void *floats, size_t count, char *out);
void tern_half_to_f32_avx2(const uint16_t *in, float *out, size_t count);
void tern_half_from_f32_avx2(const float *in, uint16_t *out, size_t count);

bool tern_kernels_have_avx2(void);
bool tern_kernels_have_avx512(void);
void tern_kernels_use_avx2(struct tern_simd *simd);
void tern_kernels_use_avx512(struct tern_simd *simd);

#endif
