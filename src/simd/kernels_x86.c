#if defined(__x86_64__)
#include "simd/kernels_x86.h"

bool tern_kernels_have_avx2(void)
{
    /* Every processor with AVX2 has F16C; clang 14 cannot ask for it by name. */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("fma");
}

bool tern_kernels_have_avx512(void)
{
    return tern_kernels_have_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
}

void tern_kernels_use_avx2(struct tern_simd *simd)
{
    simd->level = TERN_SIMD_AVX2;
    simd->numbers_scan = tern_numbers_scan_avx2;
    simd->half_to_f32 = tern_half_to_f32_avx2;
    simd->half_from_f32 = tern_half_from_f32_avx2;
    simd->dense_run = tern_dense_run_avx2;
    simd->curves_exp = tern_curves_exp_avx2;
    simd->curves_sigmoid = tern_curves_sigmoid_avx2;
    simd->curves_tanh = tern_curves_tanh_avx2;
    simd->rank_row_f32 = tern_rank_row_f32_avx2;
    simd->rank_row_f64 = tern_rank_row_f64_avx2;
    simd->tree_fold = tern_tree_fold_avx2;
}

/* On top of what AVX2 brings. */
void tern_kernels_use_avx512(struct tern_simd *simd)
{
    simd->level = TERN_SIMD_AVX512;
    simd->numbers_advance = tern_numbers_advance_avx512;
    simd->numbers_scan = tern_numbers_scan_avx512;
    simd->numbers_write_f32 = tern_numbers_write_f32_avx512;
    simd->dense_run = tern_dense_run_avx512;
    simd->curves_exp = tern_curves_exp_avx512;
    simd->curves_sigmoid = tern_curves_sigmoid_avx512;
    simd->curves_tanh = tern_curves_tanh_avx512;
    simd->rank_row_f32 = tern_rank_row_f32_avx512;
    simd->rank_row_f64 = tern_rank_row_f64_avx512;
    simd->tree_fold = tern_tree_fold_avx512;
    simd->tree_add_f32 = tern_tree_add_f32_avx512;
    simd->tree_level_heads = tern_tree_level_heads_avx512;
    simd->tree_value_heads = tern_tree_value_heads_avx512;
    simd->tree_tail_heads = tern_tree_tail_heads_avx512;
    simd->tree_path_heads = tern_tree_path_heads_avx512;
}
#else
typedef int tern_kernels_none; /* ISO C forbids an empty file */
#endif
