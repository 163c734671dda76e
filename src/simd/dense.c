#include "simd/dense.h"

#include <string.h>
#include "base/num.h"
#include "simd/simd.h"

#define PANEL TERN_DENSE_PANEL

size_t tern_dense_width(size_t n_outputs)
{
    return (n_outputs + PANEL - 1) / PANEL * PANEL;
}

bool tern_dense_panels(size_t n_features, size_t n_outputs, size_t *ret_floats)
{
    size_t bytes;

    return n_outputs <= SIZE_MAX - PANEL &&
           !tern_num_mul(tern_dense_width(n_outputs), n_features, ret_floats) &&
           !tern_num_mul(*ret_floats, sizeof(float), &bytes);
}

void tern_dense_pack(const float *weights, size_t feature_step, size_t output_step,
                     size_t n_features, size_t n_outputs, float *panels)
{
    for (size_t first = 0; first < n_outputs; first += PANEL) {
        for (size_t i = 0; i < n_features; i++) {
            for (size_t k = first; k < first + PANEL; k++)
                *panels++ = k < n_outputs ? weights[i * feature_step + k * output_step] : 0;
        }
    }
}

float tern_dense_weight(const struct tern_dense *dense, size_t feature, size_t output)
{
    size_t panel = output / PANEL * dense->n_features + feature;
    return dense->panels[panel * PANEL + output % PANEL];
}

/* One row, one panel. */
static void run_panel(const struct tern_dense *dense, const float *x, const float *panel,
                      size_t first, float *y)
{
    float sums[PANEL] = {0};
    size_t n = dense->n_outputs - first < PANEL ? dense->n_outputs - first : PANEL;

    if (dense->bias != NULL)
        memcpy(sums, dense->bias + first, sizeof(sums));
    for (size_t i = 0; i < dense->n_features; i++) {
        for (size_t k = 0; k < PANEL; k++)
            sums[k] += x[i] * panel[i * PANEL + k];
    }
    for (size_t k = 0; dense->is_rectified && k < PANEL; k++)
        sums[k] = sums[k] < 0 ? 0 : sums[k];
    memcpy(y + first, sums, n * sizeof(*sums));
}

void tern_dense_run(const struct tern_dense *dense, const struct tern_dense_rows *rows)
{
    if (tern_simd.dense_run != NULL) {
        tern_simd.dense_run(dense, rows);
        return;
    }
    for (size_t r = 0; r < rows->n; r++) {
        const float *x = rows->x + r * rows->x_stride;
        float *y = rows->y + r * dense->n_outputs;
        for (size_t first = 0; first < dense->n_outputs; first += PANEL)
            run_panel(dense, x, dense->panels + first * dense->n_features, first, y);
    }
}
