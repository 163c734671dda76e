#include "forest/quadrature.h"

#include <math.h>

#define ITERATIONS_MAX 20

/* Legendre's polynomial of degree n and its derivative at x in (-1, 1), by the recurrence. */
static double legendre(uint32_t n, double x, double *ret_slope)
{
    double before = 1, now = x;

    for (uint32_t k = 2; k <= n; k++) {
        double next = ((2 * k - 1) * x * now - (k - 1) * before) / k;
        before = now;
        now = next;
    }
    *ret_slope = n * (x * now - before) / (x * x - 1);
    return now;
}

void tern_quadrature(uint32_t n, double *nodes, double *weights)
{
    for (uint32_t i = 0; i < (n + 1) / 2; i++) {
        double x = cos(3.14159265358979323846 * (i + 0.75) / (n + 0.5)), slope = 1;
        for (int k = 0; k < ITERATIONS_MAX; k++) { /* Newton's, from a very near start */
            double step = legendre(n, x, &slope) / slope;
            x -= step;
            if (fabs(step) < 1e-16)
                break;
        }
        if (n % 2 == 1 && i == n / 2)
            x = 0;
        (void)legendre(n, x, &slope);
        nodes[i] = (1 - x) / 2;
        nodes[n - 1 - i] = (1 + x) / 2;
        weights[i] = weights[n - 1 - i] = 1 / ((1 - x * x) * slope * slope);
    }
}
