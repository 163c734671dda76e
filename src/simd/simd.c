#include "simd/simd.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include "simd/kernels_x86.h"
#endif

struct tern_simd tern_simd;

static enum tern_simd_level asked_level(void)
{
    const char *asked = getenv("TERN_SIMD");
    if (asked == NULL)
        return TERN_SIMD_AVX512;
    if (strcmp(asked, "portable") == 0)
        return TERN_SIMD_PORTABLE;
    return strcmp(asked, "avx2") == 0 ? TERN_SIMD_AVX2 : TERN_SIMD_AVX512;
}

void tern_simd_init(void)
{
    struct tern_simd chosen = {.level = TERN_SIMD_PORTABLE};
#if defined(__x86_64__)
    enum tern_simd_level asked = asked_level();
    if (asked >= TERN_SIMD_AVX2 && tern_kernels_have_avx2())
        tern_kernels_use_avx2(&chosen);
    if (asked >= TERN_SIMD_AVX512 && tern_kernels_have_avx512()) /* implies AVX2 */
        tern_kernels_use_avx512(&chosen);
#else
    (void)asked_level();
#endif
    tern_simd = chosen;
}

void tern_simd_round_portably(void)
{
    tern_simd.dense_run = NULL;
    tern_simd.curves_exp = NULL;
    tern_simd.curves_sigmoid = NULL;
    tern_simd.curves_tanh = NULL;
}

const char *tern_simd_name(void)
{
    static const char *const names[] = {"portable", "avx2", "avx512"};
    return names[tern_simd.level];
}
