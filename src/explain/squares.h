/* Weighted least squares under the one constraint of KernelSHAP: the values of all features add up
 * to a known sum. The last feature is expressed by the others; what is left is a positive definite
 * system, solved by Cholesky's decomposition, once for all outputs and all rows with the same plan.
 */
#ifndef TERN_EXPLAIN_SQUARES_H
#define TERN_EXPLAIN_SQUARES_H

#include "explain/plan.h"

struct tern_squares {
    const struct tern_plan *plan;
    double *matrix;   /* (m - 1)^2, lower triangle: the sum of weight z z', then its factor */
    uint32_t n_added; /* sets of the plan that are in it */
    bool is_factored;
};

enum tern_code tern_squares_init(struct tern_squares *squares, const struct tern_plan *plan,
                                 struct tern_arena *arena, struct tern_err *err);
/* Adds the next few sets of the plan, or takes the factor when all are added. To be called until
 * is_factored: each call is a bounded part of the work. FAILED_PRECONDITION: the sets do not tell
 * the features apart. */
enum tern_code tern_squares_go_on(struct tern_squares *squares, struct tern_err *err);
/* lifts[i * stride]: what set i adds to the base; total: the same of all features. values: m. */
void tern_squares_solve(const struct tern_squares *squares, const double *lifts, size_t stride,
                        double total, double *values);

#endif
