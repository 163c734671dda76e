/* Gauss-Legendre nodes and weights on (0, 1): the integral of any polynomial of degree 2 n - 1 is
 * the sum of weight * value at node. */
#ifndef TERN_FOREST_QUADRATURE_H
#define TERN_FOREST_QUADRATURE_H

#include <stdint.h>

void tern_quadrature(uint32_t n, double *nodes, double *weights);

#endif
