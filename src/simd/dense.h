/* x W + b in float32: the inner loop of dense nets and linear models, for one row and for many.
 *
 * Weights are packed once, in panels of 16 outputs: a panel has, for each feature in order, the
 * weights of its outputs next to each other, zeros where there are less than 16. A sum starts with
 * its bias and goes over the features in their order; the vector forms round once for a product
 * and its sum (FMA), the portable form twice. Any thread. */
#ifndef TERN_SIMD_DENSE_H
#define TERN_SIMD_DENSE_H

#include <stdbool.h>
#include <stddef.h>

#define TERN_DENSE_PANEL 16

struct tern_dense {
    const float *panels; /* tern_dense_panels floats, aligned to 64 bytes; borrowed */
    const float *bias; /* n_outputs rounded up to panels, aligned to 64 bytes; borrowed; or NULL */
    size_t n_features;
    size_t n_outputs;
    bool is_rectified; /* what is below zero is zero */
};

/* Rows of features, and of outputs that follow each other without gaps. */
struct tern_dense_rows {
    const float *x;
    size_t x_stride; /* elements from one row to the next */
    float *y;
    size_t n;
};

/* n_outputs, rounded up to whole panels. */
size_t tern_dense_width(size_t n_outputs);
/* Floats that packed weights take; false when that is no size. */
bool tern_dense_panels(size_t n_features, size_t n_outputs, size_t *ret_floats);
/* The weight of feature i for output k is weights[i * feature_step + k * output_step]. */
void tern_dense_pack(const float *weights, size_t feature_step, size_t output_step,
                     size_t n_features, size_t n_outputs, float *panels);
float tern_dense_weight(const struct tern_dense *dense, size_t feature, size_t output);
void tern_dense_run(const struct tern_dense *dense, const struct tern_dense_rows *rows);

#endif
