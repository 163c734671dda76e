/* Which instructions this machine has, found once at start-up, and the kernels chosen by it.
 *
 * tern_simd_init() fills `tern_simd`; main calls it before any thread starts, and calling it again
 * changes nothing but follows TERN_SIMD. Without it every function works in its portable form.
 * TERN_SIMD=portable|avx2|avx512 in the environment lowers the level (tests compare the levels;
 * valgrind has no AVX-512); a level that the machine lacks falls to the next lower one.
 *
 * A kernel that is NULL has no better form than the portable body in its module. Only the modules
 * of this folder call kernels; others use numbers.h and half.h. */
#ifndef TERN_SIMD_SIMD_H
#define TERN_SIMD_SIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tern_numbers_walk;
struct tern_numbers_scan;
struct tern_dense;
struct tern_dense_rows;
struct tern_rank_column;
struct tern_tree_level_head;
struct tern_tree_node;
struct tern_tree_path_heads;
struct tern_tree_tail_head;
struct tern_tree_value_head;

enum tern_simd_level { TERN_SIMD_PORTABLE, TERN_SIMD_AVX2, TERN_SIMD_AVX512 };

struct tern_simd {
    enum tern_simd_level level;
    /* Reads ahead in an array of numbers (not BOOL); see numbers_int.h. False: *walk is as it was,
     * but for walk->trouble, and the portable walk must go on at least to there. */
    bool (*numbers_advance)(struct tern_numbers_walk *walk);
    /* Finds the end of a bracketed value; see numbers_int.h. */
    size_t (*numbers_scan)(struct tern_numbers_scan *scan, const char *p, size_t n);
    /* Writes numbers, which may lie at any address, a comma after each; answers the byte past the
     * last comma. */
    char *(*numbers_write_f32)(const void *floats, size_t count, char *out);
    void (*half_to_f32)(const uint16_t *in, float *out, size_t count);
    void (*half_from_f32)(const float *in, uint16_t *out, size_t count);
    void (*dense_run)(const struct tern_dense *dense, const struct tern_dense_rows *rows);
    void (*curves_exp)(const float *in, float *out, size_t n);
    void (*curves_sigmoid)(const float *in, float *out, size_t n);
    void (*curves_tanh)(const float *in, float *out, size_t n);
    /* As the functions of trees.h. */
    void (*rank_row_f32)(const struct tern_rank_column *columns, size_t n, const float *cuts,
                         const float *row, uint8_t *ranks, size_t step);
    void (*rank_row_f64)(const struct tern_rank_column *columns, size_t n, const double *cuts,
                         const double *row, uint8_t *ranks, size_t step);
    void (*tree_fold)(const struct tern_tree_node *nodes, uint32_t n_nodes, const uint8_t *tiles,
                      size_t tile_bytes, size_t n_tiles, uint8_t *stack);
    void (*tree_add_f32)(const float *values, uint32_t n_leaves, const uint8_t *leaf, float *sums,
                         size_t n);
    /* Where a row leaves the heads of n trees, a multiple of 8. ranks: n_columns, at most 256, with
     * room for 256 to be read. */
    void (*tree_level_heads)(const struct tern_tree_level_head *heads, size_t n,
                             const uint8_t *ranks, size_t n_columns, int32_t *exits);
    void (*tree_value_heads)(const struct tern_tree_value_head *heads, size_t n,
                             const uint8_t *ranks, size_t n_columns, float *values);
    void (*tree_tail_heads)(const struct tern_tree_tail_head *heads, size_t n, const uint8_t *ranks,
                            size_t n_columns, float *values);
    void (*tree_path_heads)(const struct tern_tree_path_heads *heads, size_t n,
                            const uint8_t *ranks, size_t n_columns, int32_t *exits);
};

extern struct tern_simd tern_simd;

void tern_simd_init(void);
/* From now on only kernels that give the bits of the portable forms: sums and curves are left to
 * those. For comparisons with another machine. */
void tern_simd_round_portably(void);
/* "portable", "avx2" or "avx512": for the start-up log and `tern version`. */
const char *tern_simd_name(void);

#endif
