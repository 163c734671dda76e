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
void tern_dense_run_avx2(const struct tern_dense *dense, const struct tern_dense_rows *rows);
void tern_dense_run_avx512(const struct tern_dense *dense, const struct tern_dense_rows *rows);
void tern_curves_exp_avx2(const float *in, float *out, size_t n);
void tern_curves_sigmoid_avx2(const float *in, float *out, size_t n);
void tern_curves_tanh_avx2(const float *in, float *out, size_t n);
void tern_curves_exp_avx512(const float *in, float *out, size_t n);
void tern_curves_sigmoid_avx512(const float *in, float *out, size_t n);
void tern_curves_tanh_avx512(const float *in, float *out, size_t n);
void tern_rank_row_f32_avx2(const struct tern_rank_column *columns, size_t n, const float *cuts,
                            const float *row, uint8_t *ranks, size_t step);
void tern_rank_row_f64_avx2(const struct tern_rank_column *columns, size_t n, const double *cuts,
                            const double *row, uint8_t *ranks, size_t step);
void tern_tree_fold_avx2(const struct tern_tree_node *nodes, uint32_t n_nodes, const uint8_t *tiles,
                         size_t tile_bytes, size_t n_tiles, uint8_t *stack);
void tern_rank_row_f32_avx512(const struct tern_rank_column *columns, size_t n, const float *cuts,
                              const float *row, uint8_t *ranks, size_t step);
void tern_rank_row_f64_avx512(const struct tern_rank_column *columns, size_t n, const double *cuts,
                              const double *row, uint8_t *ranks, size_t step);
void tern_tree_fold_avx512(const struct tern_tree_node *nodes, uint32_t n_nodes,
                           const uint8_t *tiles, size_t tile_bytes, size_t n_tiles, uint8_t *stack);
void tern_tree_add_f32_avx512(const float *values, uint32_t n_leaves, const uint8_t *leaf,
                              float *sums, size_t n);
void tern_tree_level_heads_avx512(const struct tern_tree_level_head *heads, size_t n,
                                  const uint8_t *ranks, size_t n_columns, int32_t *exits);
void tern_tree_value_heads_avx512(const struct tern_tree_value_head *heads, size_t n,
                                  const uint8_t *ranks, size_t n_columns, float *values);
void tern_tree_tail_heads_avx512(const struct tern_tree_tail_head *heads, size_t n,
                                 const uint8_t *ranks, size_t n_columns, float *values);
void tern_tree_path_heads_avx512(const struct tern_tree_path_heads *heads, size_t n,
                                 const uint8_t *ranks, size_t n_columns, int32_t *exits);

bool tern_kernels_have_avx2(void);
bool tern_kernels_have_avx512(void);
void tern_kernels_use_avx2(struct tern_simd *simd);
void tern_kernels_use_avx512(struct tern_simd *simd);

#endif
