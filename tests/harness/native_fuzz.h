/* Any bytes as a model file of one format: refused with a reason, or loaded and run on rows of odd
 * values, by which every node of every tree may be asked for anything. */
#ifndef TERN_TESTS_NATIVE_FUZZ_H
#define TERN_TESTS_NATIVE_FUZZ_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include "harness/native_rig.h"

#define NATIVE_FUZZ_WIDTH_MAX 65536 /* of a row */
#define NATIVE_FUZZ_ROWS      4

static inline void native_fuzz_rows(struct native_rig *rig)
{
    static const double odd[] = {0,     1,     -1, 0.5, 1e300,    -1e300,      1e30,
                                 -1e30, 1e-35, 31, 3,   16777216, (double)NAN, (double)INFINITY};
    size_t width = native_width(rig), n = NATIVE_FUZZ_ROWS * width;
    bool is_double = rig->program.inputs[0].dtype == TERN_DTYPE_FP64;
    struct tern_tensor out;

    if (width > NATIVE_FUZZ_WIDTH_MAX)
        return;
    double *rows = calloc(n + 1, sizeof(*rows)); /* or half as many bytes of floats */
    if (rows == NULL)
        abort();
    for (size_t i = 0; i < n; i++) {
        double v = odd[(i * 3 + i / (width + 1)) % (sizeof(odd) / sizeof(odd[0]))];
        if (is_double)
            rows[i] = v;
        else
            ((float *)(void *)rows)[i] = (float)v;
    }
    for (uint32_t i = 0; i < rig->program.n_outputs; i++) {
        enum tern_code code = native_run_output(rig, rows, NATIVE_FUZZ_ROWS, width, i, &out);
        if (code != TERN_OK && code != TERN_RESOURCE_EXHAUSTED)
            abort();
    }
    free(rows);
}

static inline void native_fuzz(const struct tern_native_format *format, const uint8_t *data,
                               size_t size)
{
    struct native_rig rig;

    if (native_load(&rig, format, tern_str_make((const char *)data, size)) == TERN_OK)
        native_fuzz_rows(&rig);
    else if (rig.err.text[0] == '\0')
        abort();
    native_free(&rig);
}

#endif
