#include "engine/native/ops/op_scores.h"

#include <float.h>
#include <math.h>

/* Types are arguments of macros, and take no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

enum tern_code tern_op_scores_read(struct tern_onnx_node *node, enum tern_scores *ret,
                                   struct tern_err *err)
{
    static const char *const names[] = {"NONE",         "SOFTMAX", "LOGISTIC",
                                        "SOFTMAX_ZERO", "PROBIT",  NULL};
    uint32_t choice;

    TERN_TRY(tern_onnx_node_choice(node, "post_transform", "NONE", names, &choice, err));
    *ret = (enum tern_scores)choice;
    return TERN_OK;
}

float tern_op_scores_logistic(float x)
{
    float y = 1 / (1 + expf(-fabsf(x)));

    return x < 0 ? 1 - y : y;
}

/* The quantile of the normal distribution by an approximation of erf's inverse, which is good to
 * two or three digits: S. Winitzki, "A handy approximation for the error function and its inverse"
 * (2008), a = 0.147. */
float tern_op_scores_probit(float x)
{
    float z = 2 * x - 1;
    float log = logf((1 - z) * (1 + z));
    float a = 2 / (3.14159265f * 0.147f) + 0.5f * log;
    float b = 1 / 0.147f * log;
    float root = sqrtf(-a + sqrtf(a * a - b));

    return 1.41421356f * (z < 0 ? -1.0f : 1.0f) * root;
}

void tern_op_scores_pair(enum tern_scores transform, bool is_share, float score, float out[2])
{
    bool is_logistic = transform == TERN_SCORES_LOGISTIC;

    out[0] = is_logistic ? tern_op_scores_logistic(-score) : is_share ? 1 - score : -score;
    out[1] = is_logistic ? tern_op_scores_logistic(score) : score;
}

/* Scores within 1e-7 of zero stay (nearly) zero where `skips` is set. */
#define SHARES(name, type, exponential, lowest)                                             \
    static void name(type *scores, size_t n, bool skips)                                    \
    {                                                                                       \
        type largest = -(lowest), sum = 0;                                                  \
        for (size_t i = 0; i < n; i++)                                                      \
            largest = scores[i] > largest ? scores[i] : largest;                            \
        for (size_t i = 0; i < n; i++) {                                                    \
            if (skips && scores[i] <= (type)0.0000001f && scores[i] >= (type)-0.0000001f) { \
                scores[i] *= exponential(-largest);                                         \
                continue;                                                                   \
            }                                                                               \
            scores[i] = exponential(scores[i] - largest);                                   \
            sum += scores[i];                                                               \
        }                                                                                   \
        for (size_t i = 0; i < n; i++)                                                      \
            scores[i] /= sum;                                                               \
    }
SHARES(shares_f32, float, expf, FLT_MAX)
SHARES(shares_f64, double, exp, DBL_MAX)

void tern_op_scores_f32(enum tern_scores transform, float *scores, size_t n)
{
    if (transform == TERN_SCORES_SOFTMAX || transform == TERN_SCORES_SOFTMAX_ZERO)
        shares_f32(scores, n, transform == TERN_SCORES_SOFTMAX_ZERO);
    for (size_t i = 0; transform == TERN_SCORES_LOGISTIC && i < n; i++)
        scores[i] = tern_op_scores_logistic(scores[i]);
    for (size_t i = 0; transform == TERN_SCORES_PROBIT && i < n; i++)
        scores[i] = tern_op_scores_probit(scores[i]);
}

void tern_op_scores_f64(enum tern_scores transform, double *scores, size_t n)
{
    if (transform == TERN_SCORES_SOFTMAX || transform == TERN_SCORES_SOFTMAX_ZERO)
        shares_f64(scores, n, transform == TERN_SCORES_SOFTMAX_ZERO);
    for (size_t i = 0; transform == TERN_SCORES_LOGISTIC && i < n; i++)
        scores[i] = (double)tern_op_scores_logistic((float)scores[i]);
    for (size_t i = 0; transform == TERN_SCORES_PROBIT && i < n; i++)
        scores[i] = (double)tern_op_scores_probit((float)scores[i]);
}
/* NOLINTEND(bugprone-macro-parentheses) */
