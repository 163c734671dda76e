/* SVMClassifier and SVMRegressor, in float32 and in the order of ONNX Runtime's sums. Without
 * support vectors both are linear. */
#include <math.h>
#include <string.h>
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_classes.h"
#include "engine/native/ops/op_dense.h"
#include "engine/native/ops/op_scores.h"
#include "engine/native/ops/op_shape.h"
#include "engine/native/ops/ops.h"

enum kernel { LINEAR, POLY, RBF, SIGMOID };

#define CLASSES_MAX 4096

struct svm {
    uint32_t kernel;
    float gamma, coef0, degree;
    const float *vectors;     /* n_vectors rows of n_features; RBF */
    struct tern_dense *dense; /* the same, packed: the other kernels */
    size_t n_vectors, n_features;
    bool has_vectors;
    const float *coefficients, *rho;
    size_t n_coefficients, n_rho;
    enum tern_scores transform;
    /* Regressor. */
    bool is_one_class;
    /* Classifier: one decision for each pair of classes. */
    struct tern_op_classes classes;
    size_t n_classes;
    const size_t *first;          /* vector of each class, one more than classes */
    const float *prob_a, *prob_b; /* one a pair; NULL: no probabilities */
    size_t n_prob;
    bool is_positive; /* no coefficient is below zero */
};

static void svm_points(const void *state, struct tern_state *to)
{
    const struct svm *svm = state;

    tern_state_cells(to, &svm->vectors, TERN_DTYPE_FP32, svm->n_vectors * svm->n_features);
    tern_op_dense_points(&svm->dense, to);
    tern_state_cells(to, &svm->coefficients, TERN_DTYPE_FP32, svm->n_coefficients);
    tern_state_cells(to, &svm->rho, TERN_DTYPE_FP32, svm->n_rho);
    tern_op_classes_points(&svm->classes, to);
    tern_state_points(to, &svm->first, (svm->n_classes + 1) * sizeof(*svm->first));
    tern_state_cells(to, &svm->prob_a, TERN_DTYPE_FP32, svm->n_prob);
    tern_state_cells(to, &svm->prob_b, TERN_DTYPE_FP32, svm->n_prob);
}

/* ---- kernels ---- */

static float distance(const float *x, const float *y, size_t n)
{
    float sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sum;
}

/* What becomes of a product x y. */
static float bend(const struct svm *svm, float product)
{
    if (svm->kernel == LINEAR)
        return product;
    float sum = svm->gamma * product + svm->coef0;
    if (svm->kernel == SIGMOID)
        return tanhf(sum);
    if (svm->degree == 2)
        return sum * sum;
    return svm->degree == 3 ? sum * sum * sum : powf(sum, svm->degree);
}

/* kernels: rows x vectors. Without support vectors: rows x outputs, the scores but for rho. */
static void run_kernels(const struct svm *svm, const float *x, size_t rows, float *kernels)
{
    size_t n = svm->n_vectors;

    if (svm->kernel != RBF) {
        const struct tern_dense_rows dense = {x, svm->n_features, kernels, rows};
        tern_dense_run(svm->dense, &dense);
        for (size_t i = 0; svm->kernel != LINEAR && i < rows * n; i++)
            kernels[i] = bend(svm, kernels[i]);
        return;
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t v = 0; v < n; v++) {
            float apart = distance(x + r * svm->n_features, svm->vectors + v * svm->n_features,
                                   svm->n_features);
            *kernels++ = expf(-svm->gamma * apart);
        }
    }
}

static enum tern_code begin_run(const struct tern_step *step, struct tern_program_run *run,
                                size_t *ret_rows, float **ret_kernels, struct tern_err *err)
{
    const struct svm *svm = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    size_t rows = x->shape.rank < 2 ? 1 : (size_t)x->shape.dim[0], n;

    if (x->shape.rank > 2 || tern_op_shape_count(x) != rows * svm->n_features)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a row has %lld features, expected %zu",
                         x->shape.rank == 0 ? 1LL : (long long)x->shape.dim[x->shape.rank - 1],
                         svm->n_features);
    if (__builtin_mul_overflow(rows, svm->n_vectors * sizeof(float), &n))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "there are too many rows");
    *ret_kernels = tern_arena_alloc(run->arena, 64, n + 1);
    if (*ret_kernels == NULL)
        return tern_arena_fail(run->arena, err, "the kernels");
    if (rows > 0)
        run_kernels(svm, x->data, rows, *ret_kernels);
    *ret_rows = rows;
    return TERN_OK;
}

/* ---- SVMRegressor ---- */

static enum tern_code run_regressor(const struct tern_step *step, struct tern_program_run *run,
                                    struct tern_err *err)
{
    const struct svm *svm = step->state;
    struct tern_tensor *out;
    float *kernels;
    size_t rows;

    TERN_TRY(begin_run(step, run, &rows, &kernels, err));
    struct tern_shape shape = {2, {(int64_t)rows, 1}};
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    for (size_t r = 0; r < rows; r++, kernels += svm->n_vectors) {
        float sum = svm->rho[0];
        for (size_t v = 0; v < svm->n_vectors; v++)
            sum += svm->has_vectors ? kernels[v] * svm->coefficients[v] : kernels[v];
        ((float *)out->data)[r] = !svm->is_one_class ? sum : sum > 0 ? 1 : -1;
    }
    return TERN_OK;
}

TERN_OPERATOR(tern_svm_regressor_op, .name = "SVMRegressor", .run = run_regressor,
              TERN_STATE(struct svm, svm_points));

/* ---- SVMClassifier ---- */

/* The decision between classes i and j. */
static double decide(const struct svm *svm, const float *kernels, size_t i, size_t j)
{
    const float *of_i = svm->coefficients + svm->n_vectors * (j - 1);
    const float *of_j = svm->coefficients + svm->n_vectors * i;
    double sum = 0;

    for (size_t v = svm->first[i]; v < svm->first[i + 1]; v++)
        sum += (double)(of_i[v] * kernels[v]);
    for (size_t v = svm->first[j]; v < svm->first[j + 1]; v++)
        sum += (double)(of_j[v] * kernels[v]);
    return sum;
}

/* All decisions of a row, and the class that won most. */
static uint32_t decide_all(const struct svm *svm, const float *kernels, float *scores,
                           uint32_t *votes)
{
    size_t pair = 0;
    uint32_t best = 0;

    memset(votes, 0, svm->n_classes * sizeof(*votes));
    for (size_t i = 0; i + 1 < svm->n_classes; i++) {
        for (size_t j = i + 1; j < svm->n_classes; j++, pair++) {
            double sum = decide(svm, kernels, i, j) + (double)svm->rho[pair];
            scores[pair] = (float)sum;
            votes[sum > 0 ? i : j]++;
        }
    }
    for (uint32_t k = 1; k < svm->n_classes; k++)
        best = votes[k] > votes[best] ? k : best;
    return best;
}

/* Probabilities of pairs: r[i n + j] that it is i of the two. */
static void pair_probabilities(const struct svm *svm, const float *scores, float *r)
{
    size_t n = svm->n_classes, pair = 0;

    for (size_t i = 0; i + 1 < n; i++) {
        for (size_t j = i + 1; j < n; j++, pair++) {
            float x = scores[pair] * svm->prob_a[pair] + svm->prob_b[pair];
            float p = 1 - tern_op_scores_logistic(x);
            p = fmaxf(p, 1e-7f);
            p = fminf(p, 1 - 1e-7f);
            r[i * n + j] = p;
            r[j * n + i] = 1 - p;
        }
    }
}

/* The probabilities of classes from those of pairs: T. Wu, C. Lin and R. Weng, "Probability
 * estimates for multi-class classification by pairwise coupling" (2004), algorithm 2, with libsvm's
 * limits. q: n n, qp: n. */
static void couple(size_t n, const float *r, float *p, float *q, float *qp)
{
    float limit = 0.005f / (float)n;

    for (size_t i = 0; i < n; i++) {
        p[i] = 1 / (float)n;
        q[i * n + i] = 0;
        for (size_t j = 0; j < n; j++) {
            if (j == i)
                continue;
            q[i * n + i] += r[j * n + i] * r[j * n + i];
            q[i * n + j] = -r[j * n + i] * r[i * n + j];
        }
    }
    for (int round = 0; round < 100; round++) {
        float pqp = 0, error = 0;
        for (size_t i = 0; i < n; i++) {
            qp[i] = 0;
            for (size_t j = 0; j < n; j++)
                qp[i] += q[i * n + j] * p[j];
            pqp += p[i] * qp[i];
        }
        for (size_t i = 0; i < n; i++)
            error = fmaxf(error, fabsf(qp[i] - pqp));
        if (error < limit)
            return;
        for (size_t i = 0; i < n; i++) {
            float by = (-qp[i] + pqp) / q[i * n + i];
            p[i] += by;
            pqp = (pqp + by * (by * q[i * n + i] + 2 * qp[i])) / (1 + by) / (1 + by);
            for (size_t j = 0; j < n; j++) {
                qp[j] = (qp[j] + by * q[i * n + j]) / (1 + by);
                p[j] /= 1 + by;
            }
        }
    }
}

/* Of two classes without probabilities the sign of the coefficients has a say. */
static uint32_t choose(const struct svm *svm, uint32_t best, float largest)
{
    if (svm->n_classes == 2 && svm->prob_a == NULL) {
        if (svm->is_positive ? largest >= 0.5f : largest > 0)
            return 1;
    }
    return best;
}

/* Room of a run, for a row at a time. */
struct room {
    float *scores, *r, *q, *qp;
    uint32_t *votes;
};

static enum tern_code make_room(const struct svm *svm, struct tern_arena *arena, struct room *room,
                                struct tern_err *err)
{
    size_t n = svm->n_classes;

    *room = (struct room){
        .scores = tern_arena_zalloc(arena, n * n + 1, sizeof(float)),
        .r = tern_arena_zalloc(arena, n * n, sizeof(float)),
        .q = tern_arena_zalloc(arena, n * n, sizeof(float)),
        .qp = tern_arena_zalloc(arena, n, sizeof(float)),
        .votes = tern_arena_zalloc(arena, n, sizeof(uint32_t)),
    };
    if (room->scores == NULL || room->r == NULL || room->q == NULL || room->qp == NULL ||
        room->votes == NULL)
        return tern_arena_fail(arena, err, "the votes");
    return TERN_OK;
}

static size_t scores_of(const struct svm *svm)
{
    if (!svm->has_vectors || svm->prob_a != NULL || svm->n_classes == 2)
        return svm->n_classes;
    return svm->n_classes * (svm->n_classes - 1) / 2;
}

/* Without support vectors: a score for each class. */
static uint32_t score_linear(const struct svm *svm, const float *kernels, float *out)
{
    size_t n = svm->n_classes;
    uint32_t best = 0;

    for (uint32_t k = 0; k < n; k++) {
        out[k] = kernels[k] + svm->rho[0];
        best = out[k] > out[best] ? k : best;
    }
    uint32_t label = choose(svm, best, out[best]);
    if (n > 1)
        tern_op_scores_f32(svm->transform, out, n);
    return label;
}

static uint32_t score_row(const struct svm *svm, const float *kernels, const struct room *room,
                          float *out)
{
    size_t n = svm->n_classes, n_pairs = n * (n - 1) / 2;
    uint32_t best = decide_all(svm, kernels, room->scores, room->votes);

    if (svm->prob_a != NULL) {
        pair_probabilities(svm, room->scores, room->r);
        couple(n, room->r, out, room->q, room->qp);
        tern_op_scores_f32(svm->transform, out, n);
        return best;
    }
    if (n == 2) {
        bool is_share = svm->transform != TERN_SCORES_NONE;
        tern_op_scores_pair(svm->transform, is_share, room->scores[0], out);
        return choose(svm, best, 0);
    }
    memcpy(out, room->scores, n_pairs * sizeof(*out));
    tern_op_scores_f32(svm->transform, out, n_pairs);
    return best;
}

static enum tern_code run_classifier(const struct tern_step *step, struct tern_program_run *run,
                                     struct tern_err *err)
{
    const struct svm *svm = step->state;
    size_t rows, width = scores_of(svm);
    struct tern_tensor *out;
    struct room room;
    float *kernels;

    TERN_TRY(begin_run(step, run, &rows, &kernels, err));
    struct tern_shape shape = {2, {(int64_t)rows, (int64_t)width}};
    TERN_TRY(tern_step_out(step, run, 1, &shape, &out, err));
    uint32_t *labels = tern_arena_alloc(run->arena, 8, rows * sizeof(*labels) + 1);
    if (labels == NULL)
        return tern_arena_fail(run->arena, err, "the labels");
    TERN_TRY(make_room(svm, run->arena, &room, err));
    float *to = out->data;
    for (size_t r = 0; r < rows; r++, kernels += svm->n_vectors, to += width)
        labels[r] =
            svm->has_vectors ? score_row(svm, kernels, &room, to) : score_linear(svm, kernels, to);
    return tern_op_classes_give(&svm->classes, step, run, 0, labels, rows, err);
}

TERN_OPERATOR(tern_svm_classifier_op, .name = "SVMClassifier", .run = run_classifier,
              TERN_STATE(struct svm, svm_points));

/* ---- attributes ---- */

static enum tern_code keep(struct tern_onnx_node *node, const char *name, const float **ret,
                           size_t *ret_n, struct tern_err *err)
{
    struct tern_onnx_floats floats;
    void *copy;

    TERN_TRY(tern_onnx_node_floats(node, name, &floats, err));
    TERN_TRY(tern_onnx_node_state(node, (floats.n + 1) * sizeof(float), &copy, err));
    if (floats.n > 0)
        memcpy(copy, floats.p, floats.n * sizeof(float));
    *ret = copy;
    *ret_n = floats.n;
    return TERN_OK;
}

static enum tern_code fail_count(const struct tern_onnx_node *node, const char *what, size_t n,
                                 struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "operator %.*s has %zu %s",
                     TERN_STR_ARG(node->op_type), n, what);
}

/* The matrix that features are multiplied by: support vectors, or the coefficients of n_linear
 * outputs. */
static enum tern_code read_matrix(struct tern_onnx_node *node, struct svm *svm, size_t n_linear,
                                  size_t n_coefficients, struct tern_err *err)
{
    const float *matrix = svm->coefficients;
    size_t n = n_coefficients;

    if (svm->has_vectors) {
        TERN_TRY(keep(node, "support_vectors", &svm->vectors, &n, err));
        matrix = svm->vectors;
    } else {
        tern_onnx_node_ignore(node, "support_vectors");
        svm->kernel = LINEAR;
        svm->n_vectors = n_linear;
    }
    if (n == 0 || n % svm->n_vectors != 0)
        return fail_count(node, svm->has_vectors ? "numbers of support vectors" : "coefficients", n,
                          err);
    svm->n_features = n / svm->n_vectors;
    return tern_op_dense_make(node->program->arena, matrix, 1, svm->n_features, svm->n_features,
                              svm->n_vectors, NULL, &svm->dense, err);
}

static enum tern_code read_common(struct tern_onnx_node *node, struct svm **ret_svm,
                                  struct tern_err *err)
{
    static const char *const kernels[] = {"LINEAR", "POLY", "RBF", "SIGMOID", NULL};
    struct tern_onnx_floats parameters;
    void *state;

    TERN_TRY(tern_onnx_node_state(node, sizeof(struct svm), &state, err));
    struct svm *svm = state;
    TERN_TRY(tern_onnx_node_choice(node, "kernel_type", "LINEAR", kernels, &svm->kernel, err));
    TERN_TRY(tern_onnx_node_floats(node, "kernel_params", &parameters, err));
    TERN_TRY(tern_op_scores_read(node, &svm->transform, err));
    TERN_TRY(keep(node, "coefficients", &svm->coefficients, &svm->n_coefficients, err));
    TERN_TRY(keep(node, "rho", &svm->rho, &svm->n_rho, err));
    if (parameters.n != 0 && parameters.n != 3)
        return fail_count(node, "kernel_params", parameters.n, err);
    if (parameters.n == 3) {
        svm->gamma = parameters.p[0];
        svm->coef0 = parameters.p[1];
        svm->degree = parameters.p[2];
    }
    *ret_svm = svm;
    return TERN_OK;
}

static enum tern_code read_vectors_per_class(struct tern_onnx_node *node, struct svm *svm,
                                             struct tern_err *err)
{
    struct tern_onnx_ints counts;
    void *state;

    TERN_TRY(tern_onnx_node_ints(node, "vectors_per_class", &counts, err));
    TERN_TRY(tern_onnx_node_state(node, (counts.n + 1) * sizeof(size_t), &state, err));
    size_t *first = state;
    for (size_t i = 0; i < counts.n; i++) {
        if (counts.p[i] < 0 || counts.p[i] > INT32_MAX)
            return fail_count(node, "vectors of a class", (size_t)counts.p[i], err);
        first[i + 1] = first[i] + (size_t)counts.p[i];
    }
    svm->first = first;
    svm->n_vectors = first[counts.n];
    svm->has_vectors = svm->n_vectors > 0;
    if (svm->has_vectors && counts.n != svm->n_classes)
        return fail_count(node, "vectors_per_class", counts.n, err);
    return TERN_OK;
}

static enum tern_code read_probabilities(struct tern_onnx_node *node, struct svm *svm,
                                         size_t n_pairs, struct tern_err *err)
{
    const float *a, *b;
    size_t n_a, n_b;

    TERN_TRY(keep(node, "prob_a", &a, &n_a, err));
    TERN_TRY(keep(node, "prob_b", &b, &n_b, err));
    if (n_a != n_b || (n_a != 0 && n_a < n_pairs))
        return fail_count(node, "prob_a and prob_b", n_a, err);
    if (n_a > 0 && !svm->has_vectors)
        return tern_onnx_node_refuse(node, "probabilities without support vectors", err);
    svm->prob_a = n_a > 0 ? a : NULL;
    svm->prob_b = b;
    svm->n_prob = n_a;
    return TERN_OK;
}

static enum tern_code read_classifier(struct tern_onnx_node *node, struct svm **ret_svm,
                                      struct tern_err *err)
{
    struct svm *svm;

    TERN_TRY(read_common(node, &svm, err));
    size_t n_coefficients = svm->n_coefficients;
    TERN_TRY(
        tern_op_classes_read(node, "classlabels_ints", "classlabels_strings", &svm->classes, err));
    size_t n = svm->n_classes = svm->classes.n, n_pairs = n * (n - 1) / 2;
    if (n < 2 || n > CLASSES_MAX)
        return tern_onnx_node_refuse(node, "it has another number of classes", err);
    TERN_TRY(read_vectors_per_class(node, svm, err));
    TERN_TRY(read_probabilities(node, svm, n_pairs, err));
    if (svm->n_rho < (svm->has_vectors ? n_pairs : 1))
        return fail_count(node, "rho", svm->n_rho, err);
    if (svm->has_vectors && n_coefficients / (n - 1) < svm->n_vectors)
        return fail_count(node, "coefficients", n_coefficients, err);
    svm->is_positive = true;
    for (size_t i = 0; i < n_coefficients; i++)
        svm->is_positive = svm->is_positive && svm->coefficients[i] >= 0;
    if (n == 2 && svm->transform == TERN_SCORES_PROBIT)
        return tern_onnx_node_refuse(node, "PROBIT of one score for two classes", err);
    *ret_svm = svm;
    return read_matrix(node, svm, n, n_coefficients, err);
}

enum tern_code tern_op_svm_classifier(struct tern_onnx_node *node, struct tern_err *err)
{
    struct svm *svm = NULL;
    uint32_t value, made[2];

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_NUMBERS, err));
    TERN_TRY(read_classifier(node, &svm, err));
    TERN_TRY(tern_onnx_node_read(node, 0, &value, err));
    TERN_TRY(tern_op_cast(node->program, TERN_DTYPE_FP32, &value, err));
    TERN_TRY(tern_program_made(node->program, TERN_STR(""), svm->classes.dtype, &made[0], err));
    TERN_TRY(tern_program_made(node->program, TERN_STR(""), TERN_DTYPE_FP32, &made[1], err));
    TERN_TRY(
        tern_program_step(node->program, &tern_svm_classifier_op, svm, &value, 1, made, 2, err));
    TERN_TRY(tern_op_classes_label(node->program, made[1], &svm->classes, err));
    tern_onnx_node_bind(node, 0, made[0]);
    tern_onnx_node_bind(node, 1, made[1]);
    return TERN_OK;
}

enum tern_code tern_op_svm_regressor(struct tern_onnx_node *node, struct tern_err *err)
{
    int64_t n_vectors, one_class;
    struct svm *svm;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_DTYPE(FP32), err));
    TERN_TRY(tern_onnx_node_int(node, "n_supports", 0, &n_vectors, err));
    TERN_TRY(tern_onnx_node_int(node, "one_class", 0, &one_class, err));
    TERN_TRY(read_common(node, &svm, err));
    size_t n_coefficients = svm->n_coefficients;
    svm->is_one_class = one_class != 0;
    svm->has_vectors = n_vectors > 0;
    svm->n_vectors = n_vectors > 0 ? (size_t)n_vectors : 0;
    if (svm->n_rho < 1)
        return fail_count(node, "rho", svm->n_rho, err);
    if (n_vectors < 0 || n_coefficients == 0 || (n_vectors > 0 && n_coefficients < svm->n_vectors))
        return fail_count(node, "coefficients", n_coefficients, err);
    TERN_TRY(read_matrix(node, svm, 1, n_coefficients, err));
    return tern_onnx_node_step(node, &tern_svm_regressor_op, svm, TERN_DTYPE_FP32, err);
}
