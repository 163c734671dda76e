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
};

extern struct tern_simd tern_simd;

void tern_simd_init(void);
/* "portable", "avx2" or "avx512": for the start-up log and `tern version`. */
const char *tern_simd_name(void);

#endif
