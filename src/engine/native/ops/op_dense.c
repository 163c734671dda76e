/* MatMul and Gemm. A constant float32 matrix on the right is packed at load (simd/dense.h), and the
 * Add and Relu that follow such a layer become part of it. All others are multiplied as they come.
 */
#include "engine/native/ops/op_dense.h"

#include <string.h>
#include "base/num.h"
#include "engine/native/onnx/onnx_ops.h"
#include "engine/native/ops/op_shape.h"

/* Types are arguments of macros, and take no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */

/* ---- layers ---- */

enum tern_code tern_op_dense_make(struct tern_arena *arena, const float *weights,
                                  size_t feature_step, size_t output_step, size_t n_features,
                                  size_t n_outputs, const float *bias, struct tern_dense **ret,
                                  struct tern_err *err)
{
    size_t n, width = tern_dense_width(n_outputs);

    if (!tern_dense_panels(n_features, n_outputs, &n))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a matrix is too large");
    struct tern_dense *dense = tern_arena_zalloc(arena, 1, sizeof(*dense));
    float *panels = tern_arena_alloc(arena, 64, n * sizeof(float) + 1);
    /* Room for a bias even without one: an Add may bring it. */
    float *biases = tern_arena_alloc(arena, 64, width * sizeof(float) + 1);
    if (dense == NULL || panels == NULL || biases == NULL)
        return tern_arena_fail(arena, err, "the weights");
    tern_dense_pack(weights, feature_step, output_step, n_features, n_outputs, panels);
    memset(biases, 0, width * sizeof(float));
    if (bias != NULL)
        memcpy(biases, bias, n_outputs * sizeof(float));
    *dense = (struct tern_dense){
        .panels = panels, .bias = biases, .n_features = n_features, .n_outputs = n_outputs};
    *ret = dense;
    return TERN_OK;
}

void tern_op_dense_points(struct tern_dense *const *pointer, struct tern_state *to)
{
    const struct tern_dense *dense = *pointer;
    size_t n = 0;

    tern_state_points(to, pointer, sizeof(*dense));
    if (dense == NULL || !tern_dense_panels(dense->n_features, dense->n_outputs, &n))
        return;
    tern_state_cells(to, &dense->panels, TERN_DTYPE_FP32, n);
    tern_state_cells(to, &dense->bias, TERN_DTYPE_FP32, tern_dense_width(dense->n_outputs));
}

struct tern_op_layer {
    struct tern_dense *dense;
    bool has_bias;
    int rank_min; /* of the result: a bias of shape [1, k] makes two dimensions of one */
};

static void layer_points(const void *state, struct tern_state *to)
{
    const struct tern_op_layer *layer = state;

    tern_op_dense_points(&layer->dense, to);
}

static enum tern_code run_layer(const struct tern_step *step, struct tern_program_run *run,
                                struct tern_err *err)
{
    const struct tern_op_layer *layer = step->state;
    const struct tern_tensor *x = tern_step_in(step, run, 0);
    struct tern_shape shape = x->shape;
    struct tern_tensor *out;

    if (shape.rank == 0 || (size_t)shape.dim[shape.rank - 1] != layer->dense->n_features)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a row has %lld features, expected %zu",
                         shape.rank == 0 ? 0LL : (long long)shape.dim[shape.rank - 1],
                         layer->dense->n_features);
    shape.dim[shape.rank - 1] = (int64_t)layer->dense->n_outputs;
    if (shape.rank < layer->rank_min)
        shape = (struct tern_shape){2, {1, shape.dim[0]}};
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    const struct tern_dense_rows rows = {
        .x = x->data,
        .x_stride = layer->dense->n_features,
        .y = out->data,
        .n = tern_op_shape_span(&shape, 0, shape.rank - 1),
    };
    if (out->n_bytes > 0)
        tern_dense_run(layer->dense, &rows);
    return TERN_OK;
}

#define LAYER(id, op_type)                               \
    TERN_OPERATOR(id, .name = op_type, .run = run_layer, \
                  TERN_STATE(struct tern_op_layer, layer_points))
LAYER(tern_matmul_layer_op, "MatMul");
LAYER(tern_gemm_layer_op, "Gemm");

/* Weights are input 1: [m, k], or [k, m] when they are turned. */
static enum tern_code make_layer(struct tern_onnx_node *node, const struct tern_operator *op,
                                 bool is_turned, const float *bias, struct tern_err *err)
{
    const struct tern_tensor *weights = tern_onnx_node_constant(node, 1);
    size_t m = (size_t)weights->shape.dim[is_turned], k = (size_t)weights->shape.dim[!is_turned];
    const enum tern_dtype dtype = TERN_DTYPE_FP32;
    struct tern_dense *dense;
    void *state;

    TERN_TRY(tern_onnx_node_state(node, sizeof(struct tern_op_layer), &state, err));
    TERN_TRY(tern_op_dense_make(node->program->arena, weights->data, is_turned ? 1 : k,
                                is_turned ? m : 1, m, k, bias, &dense, err));
    struct tern_op_layer *layer = state;
    *layer = (struct tern_op_layer){dense, bias != NULL, 1};
    TERN_TRY(tern_onnx_node_steps(node, op, layer, 1, &dtype, 1, err));
    if (node->out[0]->n_readers == 1)
        node->out[0]->layer = layer;
    return TERN_OK;
}

static bool is_matrix(const struct tern_tensor *tensor)
{
    return tensor != NULL && tensor->dtype == TERN_DTYPE_FP32 && tensor->shape.rank == 2;
}

/* A constant that is one row of k numbers, as an addend of every row. */
static const float *row_of(const struct tern_tensor *tensor, size_t k)
{
    if (tensor == NULL || tensor->dtype != TERN_DTYPE_FP32 || tensor->shape.rank < 1 ||
        tensor->shape.rank > 2 || (size_t)tensor->shape.dim[tensor->shape.rank - 1] != k ||
        tern_op_shape_count(tensor) != k)
        return NULL;
    return tensor->data;
}

/* The output is the layer's own, as long as nobody else reads it. */
static void join(struct tern_onnx_node *node, uint32_t layer_at, bool goes_on)
{
    struct tern_onnx_value *from = node->in[layer_at];

    tern_onnx_node_bind(node, 0, from->value);
    node->out[0]->layer = goes_on && node->out[0]->n_readers == 1 ? from->layer : NULL;
    from->layer = NULL;
}

bool tern_op_dense_takes_bias(struct tern_onnx_node *node)
{
    if (node->n_out != 1 || node->n_in != 2)
        return false;
    for (uint32_t i = 0; i < 2; i++) {
        struct tern_op_layer *layer = node->in[i] == NULL ? NULL : node->in[i]->layer;
        if (layer == NULL || layer->has_bias)
            continue;
        const float *row = row_of(tern_onnx_node_constant(node, 1 - i), layer->dense->n_outputs);
        if (row == NULL)
            continue;
        float *bias = (float *)(uintptr_t)layer->dense->bias; /* zeros, from tern_op_dense_make */
        memcpy(bias, row, layer->dense->n_outputs * sizeof(*bias));
        layer->has_bias = true;
        layer->rank_min = tern_onnx_node_constant(node, 1 - i)->shape.rank;
        join(node, i, true);
        return true;
    }
    return false;
}

bool tern_op_dense_takes_relu(struct tern_onnx_node *node)
{
    struct tern_op_layer *layer = node->n_in == 1 && node->n_out == 1 ? node->in[0]->layer : NULL;

    if (layer == NULL)
        return false;
    layer->dense->is_rectified = true;
    join(node, 0, false);
    return true;
}

/* ---- any two matrices ---- */

/* Numbers of a matrix, and how far apart its rows and columns are. */
struct matrix {
    const void *p;
    size_t row, column;
};

/* out += a b, n x m times m x k */
#define MULTIPLY(name, type)                                                                    \
    static void name(struct matrix a, struct matrix b, void *out, size_t n, size_t m, size_t k) \
    {                                                                                           \
        type *to = out;                                                                         \
        for (size_t r = 0; r < n; r++, to += k) {                                               \
            for (size_t i = 0; i < m; i++) {                                                    \
                const type x = ((const type *)a.p)[r * a.row + i * a.column];                   \
                const type *y = (const type *)b.p + i * b.row;                                  \
                for (size_t c = 0; c < k; c++)                                                  \
                    to[c] += x * y[c * b.column];                                               \
            }                                                                                   \
        }                                                                                       \
    }
MULTIPLY(multiply_f32, float)
MULTIPLY(multiply_f64, double)

typedef void multiply(struct matrix a, struct matrix b, void *out, size_t n, size_t m, size_t k);

static multiply *multiply_of(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_FP32 ? multiply_f32 : multiply_f64;
}

static enum tern_code fail_fit(const struct tern_shape *a, const struct tern_shape *b,
                               struct tern_err *err)
{
    char one[160], other[160];

    return tern_fail(err, TERN_INVALID_ARGUMENT, "shapes %s and %s do not fit",
                     tern_shape_print(a, one, sizeof(one)),
                     tern_shape_print(b, other, sizeof(other)));
}

/* ---- MatMul ---- */

/* A vector counts as a matrix of one row on the left, of one column on the right. */
static struct tern_shape as_matrix(const struct tern_shape *shape, bool is_left)
{
    struct tern_shape matrix = *shape;

    if (shape->rank == 1)
        matrix = (struct tern_shape){2, {is_left ? 1 : shape->dim[0], is_left ? shape->dim[0] : 1}};
    return matrix;
}

/* The last two dimensions are matrices; those before them are broadcast. */
static enum tern_code run_matmul(const struct tern_step *step, struct tern_program_run *run,
                                 struct tern_err *err)
{
    const struct tern_tensor *x = tern_step_in(step, run, 0), *y = tern_step_in(step, run, 1);
    struct tern_shape a = as_matrix(&x->shape, true), b = as_matrix(&y->shape, false);
    size_t size = tern_dtype_size(x->dtype), steps[2][TERN_RANK_MAX];
    struct tern_shape outer, result;
    struct tern_op_walk walk;
    struct tern_tensor *out;

    if (a.rank < 2 || b.rank < 2 || a.dim[a.rank - 1] != b.dim[b.rank - 2])
        return fail_fit(&x->shape, &y->shape, err);
    size_t n = (size_t)a.dim[a.rank - 2], m = (size_t)a.dim[a.rank - 1];
    size_t k = (size_t)b.dim[b.rank - 1];
    a.rank -= 2;
    b.rank -= 2;
    TERN_TRY(tern_op_shape_broadcast(&a, &b, &outer, err));
    result = outer;
    if (x->shape.rank > 1)
        result.dim[result.rank++] = (int64_t)n;
    if (y->shape.rank > 1)
        result.dim[result.rank++] = (int64_t)k;
    TERN_TRY(tern_step_out(step, run, 0, &result, &out, err));
    if (out->n_bytes == 0)
        return TERN_OK;
    memset(out->data, 0, out->n_bytes);
    tern_op_shape_steps(&a, &outer, steps[0]);
    tern_op_shape_steps(&b, &outer, steps[1]);
    tern_op_walk_begin(&walk, &outer, steps, 2);
    char *to = out->data;
    for (size_t i = 0; i < walk.n_runs; i++, tern_op_walk_next(&walk, 2)) {
        for (size_t j = 0; j < walk.run; j++, to += n * k * size) {
            size_t a_at = (walk.at[0] + j * walk.run_step[0]) * n * m;
            size_t b_at = (walk.at[1] + j * walk.run_step[1]) * m * k;
            const struct matrix left = {(const char *)x->data + a_at * size, m, 1};
            const struct matrix right = {(const char *)y->data + b_at * size, k, 1};
            multiply_of(x->dtype)(left, right, to, n, m, k);
        }
    }
    return TERN_OK;
}

TERN_OPERATOR(tern_matmul_op, .name = "MatMul", .run = run_matmul);

enum tern_code tern_op_dense_matmul(struct tern_onnx_node *node, struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_FLOATS, err));
    TERN_TRY(tern_onnx_node_want(node, 1, 1u << dtype, err));
    if (is_matrix(tern_onnx_node_constant(node, 1)) && node->n_out > 0 && node->out[0] != NULL)
        return make_layer(node, &tern_matmul_layer_op, false, NULL, err);
    return tern_onnx_node_step(node, &tern_matmul_op, NULL, dtype, err);
}

/* ---- Gemm ---- */

struct gemm {
    float alpha, beta;
    int64_t turns_a, turns_b;
};

#define SCALE(name, type)                                                                        \
    static void name(const struct gemm *gemm, const struct tern_tensor *c,                       \
                     const size_t steps[TERN_RANK_MAX], void *out, size_t n, size_t k)           \
    {                                                                                            \
        type *to = out;                                                                          \
        for (size_t r = 0; r < n; r++) {                                                         \
            for (size_t i = 0; i < k; i++, to++) {                                               \
                *to *= (type)gemm->alpha;                                                        \
                if (c != NULL)                                                                   \
                    *to +=                                                                       \
                        (type)gemm->beta * ((const type *)c->data)[r * steps[0] + i * steps[1]]; \
            }                                                                                    \
        }                                                                                        \
    }
SCALE(scale_f32, float)
SCALE(scale_f64, double)

static enum tern_code run_gemm(const struct tern_step *step, struct tern_program_run *run,
                               struct tern_err *err)
{
    const struct gemm *gemm = step->state;
    const struct tern_tensor *a = tern_step_in(step, run, 0), *b = tern_step_in(step, run, 1);
    const struct tern_tensor *c = tern_step_in(step, run, 2);
    bool ta = gemm->turns_a != 0, tb = gemm->turns_b != 0;
    size_t steps[TERN_RANK_MAX] = {0};
    struct tern_tensor *out;

    if (a->shape.rank != 2 || b->shape.rank != 2 || a->shape.dim[!ta] != b->shape.dim[tb])
        return fail_fit(&a->shape, &b->shape, err);
    size_t n = (size_t)a->shape.dim[ta], m = (size_t)a->shape.dim[!ta];
    size_t k = (size_t)b->shape.dim[!tb];
    struct tern_shape shape = {2, {(int64_t)n, (int64_t)k}}, both;
    if (c != NULL) {
        TERN_TRY(tern_op_shape_broadcast(&shape, &c->shape, &both, err));
        if (!tern_shape_eq(&shape, &both))
            return fail_fit(&shape, &c->shape, err);
        tern_op_shape_steps(&c->shape, &shape, steps);
    }
    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    if (out->n_bytes == 0)
        return TERN_OK;
    memset(out->data, 0, out->n_bytes);
    const struct matrix left = {a->data, ta ? 1 : m, ta ? n : 1};
    const struct matrix right = {b->data, tb ? 1 : k, tb ? m : 1};
    multiply_of(a->dtype)(left, right, out->data, n, m, k);
    (a->dtype == TERN_DTYPE_FP32 ? scale_f32 : scale_f64)(gemm, c, steps, out->data, n, k);
    return TERN_OK;
}

TERN_OPERATOR(tern_gemm_op, .name = "Gemm", .run = run_gemm, TERN_STATE(struct gemm, NULL));

/* Whether it is a layer of constant weights: x W + row. */
static bool is_layer(const struct tern_onnx_node *node, const struct gemm *gemm)
{
    const struct tern_tensor *weights = tern_onnx_node_constant(node, 1);

    if (!is_matrix(weights) || node->n_out == 0 || node->out[0] == NULL || gemm->turns_a != 0 ||
        gemm->alpha != 1)
        return false;
    if (!tern_onnx_node_has_input(node, 2))
        return true;
    return gemm->beta == 1 && row_of(tern_onnx_node_constant(node, 2),
                                     (size_t)weights->shape.dim[gemm->turns_b == 0]) != NULL;
}

enum tern_code tern_op_dense_gemm(struct tern_onnx_node *node, struct tern_err *err)
{
    enum tern_dtype dtype = tern_onnx_node_dtype(node, 0);
    void *state;

    TERN_TRY(tern_onnx_node_want(node, 0, TERN_ONNX_FLOATS, err));
    TERN_TRY(tern_onnx_node_want(node, 1, 1u << dtype, err));
    if (tern_onnx_node_has_input(node, 2))
        TERN_TRY(tern_onnx_node_want(node, 2, 1u << dtype, err));
    TERN_TRY(tern_onnx_node_state(node, sizeof(struct gemm), &state, err));
    struct gemm *gemm = state;
    TERN_TRY(tern_onnx_node_float(node, "alpha", 1, &gemm->alpha, err));
    TERN_TRY(tern_onnx_node_float(node, "beta", 1, &gemm->beta, err));
    TERN_TRY(tern_onnx_node_int(node, "transA", 0, &gemm->turns_a, err));
    TERN_TRY(tern_onnx_node_int(node, "transB", 0, &gemm->turns_b, err));
    gemm->turns_a = gemm->turns_a != 0;
    gemm->turns_b = gemm->turns_b != 0;
    if (!is_layer(node, gemm))
        return tern_onnx_node_step(node, &tern_gemm_op, gemm, dtype, err);
    const struct tern_tensor *c = tern_onnx_node_constant(node, 2);
    return make_layer(node, &tern_gemm_layer_op, gemm->turns_b != 0, c == NULL ? NULL : c->data,
                      err);
}
/* NOLINTEND(bugprone-macro-parentheses) */
