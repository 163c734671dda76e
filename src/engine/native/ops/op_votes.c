#include "engine/native/ops/op_votes.h"

#include <string.h>
#include "engine/native/onnx/onnx_trees.h"
#include "engine/native/ops/op_shape.h"
#include "engine/native/ops/ops.h"

/* Types are arguments of macros, and take no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

/* ---- regressors ---- */

struct transform {
    enum tern_scores transform;
    size_t k;
};

static void transform_f64_row(const struct transform *t, double *row)
{
    if (t->k > 1)
        tern_op_scores_f64(t->transform, row, t->k);
    else
        row[0] = (double)tern_op_scores_probit((float)row[0]);
}

static enum tern_code run_transform(const struct tern_step *step, struct tern_program_run *run,
                                    struct tern_err *err)
{
    const struct transform *t = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t n = tern_op_shape_count(x);
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &x->shape, &out, err));
    memcpy(out->data, x->data, out->n_bytes);
    for (size_t i = 0; i < n; i += t->k) {
        if (x->dtype == TERN_DTYPE_FP64)
            transform_f64_row(t, (double *)out->data + i);
        else if (t->k > 1)
            tern_op_scores_f32(t->transform, (float *)out->data + i, t->k);
        else
            ((float *)out->data)[i] = tern_op_scores_probit(((float *)out->data)[i]);
    }
    return TERN_OK;
}

TERN_OPERATOR(tern_votes_transform_op, .name = "TreeEnsemble", .run = run_transform,
              TERN_STATE(struct transform, NULL));

enum tern_code tern_op_votes_transform(struct tern_program *program, enum tern_scores transform,
                                       size_t k, enum tern_dtype dtype, uint32_t *value,
                                       struct tern_err *err)
{
    /* A single score knows only one transform. */
    if (transform != TERN_SCORES_NONE && (k > 1 || transform == TERN_SCORES_PROBIT)) {
        struct transform *t = tern_arena_zalloc(program->arena, 1, sizeof(*t));
        if (t == NULL)
            return tern_arena_fail(program->arena, err, "an operator");
        *t = (struct transform){transform, k};
        enum tern_dtype scores = program->values[*value].tensor.dtype;
        TERN_TRY(tern_program_then(program, &tern_votes_transform_op, t, scores, value, err));
    }
    return tern_op_cast(program, dtype, value, err);
}

/* ---- classifiers ---- */

/* The scores of a row, in double. Sums of floats are rounded to float: that equals a sum in float.
 */
struct row {
    double s[2];
    int n;            /* 1: the score of the second of two classes */
    bool is_positive; /* the label is the second */
    bool is_share;    /* the first class has what is left of 1; else it is the opposite */
};

static void votes_points(const void *state, struct tern_state *to)
{
    const struct tern_op_votes *votes = state;

    tern_op_classes_points(&votes->classes, to);
    tern_state_cells(to, &votes->base, TERN_DTYPE_FP64, votes->n_base);
    tern_state_points(to, &votes->has_score, votes->classes.n);
}

static double rounded(double x, bool is_double)
{
    return is_double ? x : (double)(float)x;
}

/* Two classes, or one. Base values, the label, and what the scores then are. */
static struct row vote(const struct tern_op_votes *v, double s0, double s1, bool is_double)
{
    bool has_first = v->has_score[0], has_second = v->classes.n == 2 && v->has_score[1];
    struct row row = {{s0, s1}, v->classes.n == 2 ? 2 : 1, false, false};

    if (v->n_base == 2 && has_second) {
        row.s[1] = rounded(s0 + v->base[1], is_double);
        row.s[0] = -row.s[1];
    } else if (v->n_base == 2) {
        row.s[1] = rounded(s1 + v->base[1], is_double);
        row.s[0] = rounded(s0 + v->base[0], is_double);
    } else if (!has_second) {
        row.s[0] = v->n_base == 1 ? rounded(s0 + v->base[0], is_double) : s0;
        row.n = 1;
    } else if (v->n_base == 1) {
        row.s[0] = rounded(s0 + v->base[0], is_double);
    }
    /* What no tree has said is zero again. */
    if (row.n == 2) {
        row.s[0] = has_first ? row.s[0] : 0;
        row.s[1] = has_second ? row.s[1] : 0;
    }
    double score = has_second ? row.s[1] : has_first ? row.s[0] : 0;
    row.is_share = v->is_binary && v->is_positive;
    row.is_positive = score > (row.is_share ? 0.5 : 0);
    return row;
}

static void write_pair(const struct tern_op_votes *v, const struct row *row, bool is_double,
                       float *out)
{
    double s = row->s[0];

    if (v->classes.n == 1) {
        out[0] = v->transform == TERN_SCORES_PROBIT ? tern_op_scores_probit((float)s) : (float)s;
    } else if (row->n == 2 && is_double) {
        double pair[2] = {row->s[0], row->s[1]};
        tern_op_scores_f64(v->transform, pair, 2);
        out[0] = (float)pair[0];
        out[1] = (float)pair[1];
    } else if (row->n == 2) {
        out[0] = (float)row->s[0];
        out[1] = (float)row->s[1];
        tern_op_scores_f32(v->transform, out, 2);
    } else if (v->transform == TERN_SCORES_LOGISTIC || !is_double) {
        tern_op_scores_pair(v->transform, row->is_share, (float)s, out);
    } else {
        out[0] = (float)(row->is_share ? 1 - s : -s);
        out[1] = (float)s;
    }
}

/* More than two classes: the first of the largest scores, of the classes that have one. */
#define MANY(name, type, scores_transform)                                                      \
    static uint32_t name(const struct tern_op_votes *v, const type *in, type *sums, float *out) \
    {                                                                                           \
        size_t n = v->classes.n, best = n;                                                      \
        for (size_t k = 0; k < n; k++) {                                                        \
            sums[k] = v->n_base > 0 ? in[k] + (type)v->base[k] : in[k];                         \
            bool has_score = v->n_base > 0 || v->has_score[k];                                  \
            if (has_score && (best == n || sums[k] > sums[best]))                               \
                best = k;                                                                       \
        }                                                                                       \
        scores_transform(v->transform, sums, n);                                                \
        for (size_t k = 0; k < n; k++)                                                          \
            out[k] = (float)sums[k];                                                            \
        return (uint32_t)best;                                                                  \
    }
MANY(many_f32, float, tern_op_scores_f32)
MANY(many_f64, double, tern_op_scores_f64)

static uint32_t vote_row(const struct tern_op_votes *v, const struct tern_tensor *x, size_t i,
                         void *sums, float *out)
{
    const float *f32 = x->data;
    const double *f64 = x->data;
    bool is_double = x->dtype == TERN_DTYPE_FP64;
    size_t n = v->classes.n, last = n == 1 ? 0 : 1;

    if (n > 2)
        return is_double ? many_f64(v, f64 + i * n, sums, out + i * n)
                         : many_f32(v, f32 + i * n, sums, out + i * n);
    struct row row = is_double ? vote(v, f64[i * n], f64[i * n + last], true)
                               : vote(v, (double)f32[i * n], (double)f32[i * n + last], false);
    write_pair(v, &row, is_double, out + i * n);
    return row.is_positive;
}

static enum tern_code run_votes(const struct tern_step *step, struct tern_program_run *run,
                                struct tern_err *err)
{
    const struct tern_op_votes *v = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t n = (size_t)x->shape.dim[0];
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 1, &x->shape, &out, err));
    uint32_t *labels = tern_arena_alloc(run->arena, 8, n * sizeof(*labels) + 1);
    void *sums = tern_arena_alloc(run->arena, 8, v->classes.n * sizeof(double));
    if (labels == NULL || sums == NULL)
        return tern_arena_fail(run->arena, err, "the labels");
    for (size_t i = 0; i < n; i++)
        labels[i] = vote_row(v, x, i, sums, out->data);
    struct tern_op_classes classes = v->classes;
    if (classes.n <= 2 && !v->is_binary && classes.dtype == TERN_DTYPE_INT64)
        classes = tern_op_classes_binary(TERN_DTYPE_INT64); /* whatever the labels are */
    return tern_op_classes_give(&classes, step, run, 0, labels, n, err);
}

TERN_OPERATOR(tern_votes_op, .name = "TreeEnsembleClassifier", .run = run_votes,
              TERN_STATE(struct tern_op_votes, votes_points));

/* What would read beyond lists, or has no meaning. */
static enum tern_code check_votes(const struct tern_onnx_node *node, const struct tern_op_votes *v,
                                  struct tern_err *err)
{
    size_t n = v->classes.n;
    bool is_any = false;

    for (size_t k = 0; k < n; k++)
        is_any = is_any || v->has_score[k];
    if (n > 2 ? v->n_base != 0 && v->n_base != n : v->n_base > n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s has %zu base values",
                         TERN_STR_ARG(node->op_type), v->n_base);
    if (!is_any || (n == 1 && v->classes.dtype == TERN_DTYPE_BYTES))
        return tern_onnx_node_refuse(node, "its classes have no scores", err);
    if (n == 2 && !v->has_score[1] && v->n_base < 2 && v->transform == TERN_SCORES_PROBIT)
        return tern_onnx_node_refuse(node, "PROBIT of one score for two classes", err);
    return TERN_OK;
}

enum tern_code tern_op_votes_prepare(struct tern_onnx_node *node, const struct tern_op_votes *votes,
                                     uint32_t value, struct tern_err *err)
{
    uint32_t made[2];
    void *state, *base, *has_score;

    TERN_TRY(check_votes(node, votes, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct tern_op_votes), &state, err));
    TERN_TRY(tern_onnx_node_state(node, (votes->n_base + 1) * sizeof(double), &base, err));
    TERN_TRY(tern_onnx_node_state(node, votes->classes.n, &has_score, err));
    struct tern_op_votes *kept = state;
    *kept = *votes;
    if (votes->n_base > 0)
        memcpy(base, votes->base, votes->n_base * sizeof(double));
    memcpy(has_score, votes->has_score, votes->classes.n);
    kept->base = base;
    kept->has_score = has_score;
    TERN_TRY(tern_program_made(node->program, TERN_STR(""), votes->classes.dtype, &made[0], err));
    TERN_TRY(tern_program_made(node->program, TERN_STR(""), TERN_DTYPE_FP32, &made[1], err));
    TERN_TRY(tern_program_step(node->program, &tern_votes_op, kept, &value, 1, made, 2, err));
    TERN_TRY(tern_op_classes_label(node->program, made[1], &kept->classes, err));
    tern_onnx_node_bind(node, 0, made[0]);
    tern_onnx_node_bind(node, 1, made[1]);
    return TERN_OK;
}
/* NOLINTEND(bugprone-macro-parentheses) */
