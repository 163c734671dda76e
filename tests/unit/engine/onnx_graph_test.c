// covers: engine/native/onnx/onnx_node engine/native/onnx/onnx_ops engine/native/onnx/onnx_tensor
// covers: engine/native/onnx/onnx_trees engine/native/onnx/onnx_trees_lists
/* ONNX graphs as programs: what the reader makes of each part of a file, what it leaves to ONNX
 * Runtime, and what every damaged form is told. That operators compute as ONNX Runtime does is
 * shown in tests/oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/native/onnx/onnx_graph.h"
#include "harness/mem_fails.h"
#include "harness/native_rig.h"
#include "harness/onnx_rig.h"
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc

#define FILE_MAX 65536
#define NO_OPSET UINT64_MAX

static const int64_t rows_of_two[] = {0, 2};
static const int64_t two_by_three[] = {2, 3};
static const float weights[] = {1, 2, 3, 10, 20, 30};

/* x [-1, 2] times w [2, 3], and what is asked of it. */
struct graph {
    const char *expected; /* of the error; NULL: it loads */
    const char *op, *domain, *in, *out;
    const char *output;  /* of the graph */
    const char *another; /* a second node, of the same op: "x y" is its input and output */
    const int64_t *dims; /* of w */
    size_t rank, n;      /* of w's dims and elements */
    uint64_t opset, x_dtype, y_dtype;
    int y_rank;
    bool is_raw;
    void (*attributes)(struct tern_buf *buf);
};

static void write_graph(const struct graph *g, struct tern_buf *buf)
{
    size_t model = rig_open_model(buf, g->opset == NO_OPSET ? 0 : g->opset != 0 ? g->opset : 17, 3);
    size_t node =
        rig_open_node(buf, g->op != NULL ? g->op : "MatMul", g->domain != NULL ? g->domain : "",
                      g->in != NULL ? g->in : "x w", g->out != NULL ? g->out : "y");

    if (g->attributes != NULL)
        g->attributes(buf);
    tern_pb_close(buf, node);
    if (g->another != NULL) {
        struct tern_str rest = tern_str_of(g->another), in, out;
        char from[32], to[32];
        assert_true(tern_str_split(&rest, ' ', &in) && tern_str_split(&rest, ' ', &out));
        assert_true(tern_str_copy_z(in, from, sizeof(from)) &&
                    tern_str_copy_z(out, to, sizeof(to)));
        tern_pb_close(buf, rig_open_node(buf, "Relu", "", from, to));
    }
    rig_initializer(buf, "w", g->dims != NULL ? g->dims : two_by_three,
                    g->dims != NULL ? g->rank : 2, weights, g->n != 0 ? g->n : 6, g->is_raw);
    rig_port(buf, 11, "x", g->x_dtype != 0 ? g->x_dtype : RIG_FLOAT, rows_of_two, 2);
    rig_port(buf, 12, g->output != NULL ? g->output : "y", g->y_dtype != 0 ? g->y_dtype : RIG_FLOAT,
             (const int64_t[]){0, 0}, g->y_rank != 0 ? g->y_rank : 2);
    tern_pb_close(buf, model);
}

static enum tern_code load_graph(const struct graph *g, struct native_rig *run)
{
    struct tern_buf buf;

    tern_buf_init(&buf, FILE_MAX);
    write_graph(g, &buf);
    enum tern_code code = native_load(run, &tern_onnx_graph_format, tern_buf_str(&buf));
    tern_buf_fini(&buf);
    return code;
}

/* ---- what it makes ---- */

static void run_product(const struct graph *g, float last)
{
    static const float rows[] = {1, 1, -1, -2};
    struct tern_tensor got;
    struct native_rig run;

    assert_int_equal(load_graph(g, &run), TERN_OK);
    assert_int_equal(native_run(&run, rows, 2, native_width(&run), &got), TERN_OK);
    assert_int_equal(got.shape.dim[1], 3);
    const float *y = got.data;
    assert_true(y[0] == 11 && y[1] == 22 && y[2] == 33 && y[5] == last);
    native_free(&run);
}

static void test_weights_in_the_message_and_raw(void **state)
{
    (void)state;
    run_product(&(struct graph){0}, -63);
    run_product(&(struct graph){.is_raw = true}, -63);
    run_product(&(struct graph){.out = "p", .another = "p y"}, 0);
    run_product(&(struct graph){.domain = "ai.onnx"}, -63);
    run_product(&(struct graph){.opset = 28}, -63);
}

static void test_names_and_shapes_are_the_files(void **state)
{
    struct native_rig run;

    (void)state;
    assert_int_equal(load_graph(&(struct graph){0}, &run), TERN_OK);
    assert_int_equal(run.program.n_inputs, 1);
    assert_true(tern_str_eq(run.program.inputs[0].name, TERN_STR("x")));
    assert_int_equal(run.program.inputs[0].dtype, TERN_DTYPE_FP32);
    assert_int_equal(run.program.inputs[0].shape.dim[0], -1);
    assert_int_equal(run.program.inputs[0].shape.dim[1], 2);
    assert_true(tern_str_eq(run.program.outputs[0].name, TERN_STR("y")));
    assert_int_equal(run.program.outputs[0].shape.dim[1], -1);
    native_free(&run);
}

/* An output that is an input, or a constant, is the run's own copy. */
static void test_outputs_that_no_node_makes(void **state)
{
    static const float rows[] = {1, 1, -1, -2};
    struct tern_tensor got;
    struct native_rig run;

    (void)state;
    assert_int_equal(load_graph(&(struct graph){.output = "x"}, &run), TERN_OK);
    assert_int_equal(native_run(&run, rows, 2, native_width(&run), &got), TERN_OK);
    assert_true(got.data != rows && ((const float *)got.data)[3] == -2);
    native_free(&run);
    assert_int_equal(load_graph(&(struct graph){.output = "w"}, &run), TERN_OK);
    assert_int_equal(native_run(&run, rows, 2, native_width(&run), &got), TERN_OK);
    assert_true(((const float *)got.data)[5] == 30);
    native_free(&run);
}

static void test_rows_that_do_not_fit(void **state)
{
    static const float rows[] = {1, 1, 1};
    struct tern_tensor got = {0};
    struct native_rig run;

    (void)state;
    assert_int_equal(load_graph(&(struct graph){0}, &run), TERN_OK);
    run.program.inputs[0].shape.dim[1] = 3; /* what nobody checked */
    assert_int_equal(native_run(&run, rows, 1, native_width(&run), &got), TERN_INVALID_ARGUMENT);
    assert_string_equal(run.err.text, "MatMul: a row has 3 features, expected 2");
    native_free(&run);
}

/* ---- what it does not take ---- */

static void axis_attribute(struct tern_buf *buf)
{
    rig_int(buf, "axis", 1);
}

static void bad_alpha(struct tern_buf *buf)
{
    rig_int(buf, "alpha", 1);
}

static void cast_to_nothing(struct tern_buf *buf)
{
    rig_int(buf, "to", 99);
}

static void subgraph(struct tern_buf *buf)
{
    size_t mark;

    rig_open_attr(buf, "body", 5, &mark);
    tern_pb_close(buf, tern_pb_open(buf, 6));
    tern_pb_close(buf, mark);
}

static const struct graph others[] = {
    {"operator Conv is not run natively", .op = "Conv"},
    {"operator MatMul is not run natively", .domain = "com.microsoft"},
    {"operator MatMul of opset 29 is not run natively", .opset = 29},
    {"operator Add of opset 6 is not run natively", .op = "Add", .opset = 6},
    {"operator MatMul is not run natively with the attribute 'axis'", .attributes = axis_attribute},
    {"operator MatMul is not run natively: it has a graph of its own", .attributes = subgraph},
    {"input 'x' of FP16 is not run natively", .x_dtype = 10},
    {"input 'x' of an unknown kind is not run natively", .x_dtype = 99},
    {"operator MatMul of INT64 is not run natively", .x_dtype = RIG_INT64},
    {"operator Cast is not run natively: its datatype is another", .op = "Cast", .in = "x",
     .attributes = cast_to_nothing},
    {"output 'y' has no shape", .y_rank = -1},
};

static const struct graph damaged[] = {
    {"operator MatMul: the model imports no opset of its domain", .opset = NO_OPSET},
    {"operator MatMul reads 'z', which no node before it makes", .in = "z w"},
    {"operator MatMul reads 'y', which no node before it makes", .in = "y w"},
    {"operator MatMul reads 'p', which no node before it makes", .in = "p w", .another = "x p"},
    {"two values of the graph are called 'x'", .out = "x"},
    {"two values of the graph are called 'w'", .out = "w"},
    {"two values of the graph are called 'y'", .another = "x y"},
    {"no node makes the output 'z'", .output = "z"},
    {"output 'y' is said to be INT64, it is FP32", .y_dtype = RIG_INT64},
    {"operator MatMul has no input 1", .in = "x"},
    {"operator MatMul has no input 0", .in = "- w"},
    {"tensor 'w': its shape has 6 elements, its data 5", .n = 5},
    {"tensor 'w': its shape has 6 elements, its data 5", .n = 5, .is_raw = true},
    {"tensor 'w': it has a bad shape", .dims = (const int64_t[]){-2, -3}, .rank = 2},
    {"tensor 'w': it has a bad shape", .dims = (const int64_t[]){INT64_MAX, 16}, .rank = 2},
    {"operator Elu, attribute 'alpha': type 1 is expected, it has type 2", .op = "Elu", .in = "x",
     .attributes = bad_alpha},
};

static void check_refused(const struct graph *g, enum tern_code expected)
{
    struct native_rig run;
    enum tern_code code = load_graph(g, &run);

    if (code != expected || strcmp(run.err.text, g->expected) != 0)
        fail_msg("expected %d \"%s\", got %d \"%s\"", expected, g->expected, code, run.err.text);
    native_free(&run);
}

static void test_graphs_of_another_engine(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        check_refused(&others[i], TERN_UNIMPLEMENTED);
}

static void test_damaged_graphs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++)
        check_refused(&damaged[i], TERN_INVALID_ARGUMENT);
}

/* A file that ends anywhere is refused, and reads nothing beyond. */
static void test_every_cut(void **state)
{
    struct native_rig run;
    struct tern_buf buf;

    (void)state;
    tern_buf_init(&buf, FILE_MAX);
    write_graph(&(struct graph){.out = "p", .another = "p y"}, &buf);
    struct tern_str whole = tern_buf_str(&buf);
    for (size_t n = 0; n < whole.n; n++) {
        assert_int_not_equal(native_load(&run, &tern_onnx_graph_format, tern_str_make(whole.p, n)),
                             TERN_OK);
        assert_true(run.err.text[0] != '\0');
        native_free(&run);
    }
    tern_buf_fini(&buf);
}

static void test_no_memory(void **state)
{
    struct native_rig run;
    enum tern_code code = TERN_RESOURCE_EXHAUSTED;
    struct tern_buf buf;

    (void)state;
    tern_buf_init(&buf, FILE_MAX);
    write_graph(&(struct graph){.out = "p", .another = "p y"}, &buf);
    for (mem_fail_at = 0; mem_fail_at < 1000 && code != TERN_OK; mem_fail_at++) {
        mem_calls = 0;
        code = native_load(&run, &tern_onnx_graph_format, tern_buf_str(&buf));
        assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED);
        native_free(&run);
    }
    mem_fail_at = -1;
    assert_int_equal(code, TERN_OK);
    tern_buf_fini(&buf);
}

/* ---- trees ---- */

/* x[0] <= 0.5 ? 1 : 2, with one of its lists changed. */
struct trees {
    const char *expected;
    enum tern_code code;
    int64_t tree_ids[3], ids[3], features[3], yes[3], no[3];
    const char *modes;
    int64_t weight_trees[2], weight_nodes[2], outputs[2];
    size_t n_values, n_weights;
};

#define GOOD_NODES {0, 0, 0}, {0, 1, 2}, {0, 0, 0}, {1, 0, 0}, {2, 0, 0}, "BRANCH_LEQ LEAF LEAF"
#define GOOD_WEIGHTS \
    {0, 0}, {1, 2},  \
    {                \
        0, 0         \
    }

static void write_trees(const struct trees *t, struct tern_buf *buf)
{
    static const float values[] = {0.5F, 0, 0}, leaf_weights[] = {1, 2};
    size_t model = rig_open_model(buf, 17, 1);
    size_t node = rig_open_node(buf, "TreeEnsembleRegressor", "ai.onnx.ml", "x", "y");

    rig_ints(buf, "nodes_treeids", t->tree_ids, 3);
    rig_ints(buf, "nodes_nodeids", t->ids, 3);
    rig_ints(buf, "nodes_featureids", t->features, 3);
    rig_ints(buf, "nodes_truenodeids", t->yes, 3);
    rig_ints(buf, "nodes_falsenodeids", t->no, 3);
    rig_strings(buf, "nodes_modes", t->modes);
    rig_floats(buf, "nodes_values", values, t->n_values);
    rig_ints(buf, "target_treeids", t->weight_trees, 2);
    rig_ints(buf, "target_nodeids", t->weight_nodes, 2);
    rig_ints(buf, "target_ids", t->outputs, 2);
    rig_floats(buf, "target_weights", leaf_weights, t->n_weights);
    rig_int(buf, "n_targets", 1);
    tern_pb_close(buf, node);
    rig_port(buf, 11, "x", RIG_FLOAT, rows_of_two, 2);
    rig_port(buf, 12, "y", RIG_FLOAT, (const int64_t[]){0, 1}, 2);
    tern_pb_close(buf, model);
}

static const struct trees tree_rows[] = {
    {NULL, TERN_OK, GOOD_NODES, GOOD_WEIGHTS, 3, 2},
    {"operator TreeEnsembleRegressor has 2 nodes_values, expected 3", TERN_INVALID_ARGUMENT,
     GOOD_NODES, GOOD_WEIGHTS, 2, 2},
    {"operator TreeEnsembleRegressor has 2 target_treeids, expected 1", TERN_INVALID_ARGUMENT,
     GOOD_NODES, GOOD_WEIGHTS, 3, 1},
    {"operator TreeEnsembleRegressor has 2 nodes_modes, expected 3",
     TERN_INVALID_ARGUMENT,
     {0, 0, 0},
     {0, 1, 2},
     {0},
     {1},
     {2},
     "BRANCH_LEQ LEAF",
     GOOD_WEIGHTS,
     3,
     2},
    {"operator TreeEnsembleRegressor has a node of mode \"BRANCH_MEMBER\"",
     TERN_INVALID_ARGUMENT,
     {0, 0, 0},
     {0, 1, 2},
     {0},
     {1},
     {2},
     "BRANCH_MEMBER LEAF LEAF",
     GOOD_WEIGHTS,
     3,
     2},
    {"operator TreeEnsembleRegressor is not run natively: its nodes are not in the order of trees",
     TERN_UNIMPLEMENTED,
     {0, 1, 0},
     {0, 1, 2},
     {0},
     {1},
     {2},
     "BRANCH_LEQ LEAF LEAF",
     GOOD_WEIGHTS,
     3,
     2},
    {"operator TreeEnsembleRegressor, tree 0, node 1: its id comes twice or is too large: 1",
     TERN_INVALID_ARGUMENT,
     {0, 0, 0},
     {0, 1, 1},
     {0},
     {1},
     {1},
     "BRANCH_LEQ LEAF LEAF",
     GOOD_WEIGHTS,
     3,
     2},
    {"operator TreeEnsembleRegressor, tree 0, node 0: there is no feature -1",
     TERN_INVALID_ARGUMENT,
     {0, 0, 0},
     {0, 1, 2},
     {-1},
     {1},
     {2},
     "BRANCH_LEQ LEAF LEAF",
     GOOD_WEIGHTS,
     3,
     2},
    {"operator TreeEnsembleRegressor: tree 0, node 0: its child 4294967295 is none of the 3 nodes",
     TERN_INVALID_ARGUMENT,
     {0, 0, 0},
     {0, 1, 2},
     {0},
     {7},
     {2},
     "BRANCH_LEQ LEAF LEAF",
     GOOD_WEIGHTS,
     3,
     2},
    {"operator TreeEnsembleRegressor: tree 0, node 0: two nodes lead to it",
     TERN_INVALID_ARGUMENT,
     {0, 0, 0},
     {0, 1, 2},
     {0},
     {0},
     {2},
     "BRANCH_LEQ LEAF LEAF",
     GOOD_WEIGHTS,
     3,
     2},
    {"operator TreeEnsembleRegressor has a weight for tree 5, which it does not have",
     TERN_INVALID_ARGUMENT,
     GOOD_NODES,
     {0, 5},
     {1, 2},
     {0, 0},
     3,
     2},
    {"operator TreeEnsembleRegressor, tree 0, node 0: there is a weight for node 0",
     TERN_INVALID_ARGUMENT,
     GOOD_NODES,
     {0, 0},
     {0, 2},
     {0, 0},
     3,
     2},
    {"operator TreeEnsembleRegressor, tree 0, node 2: there is no output 3",
     TERN_INVALID_ARGUMENT,
     GOOD_NODES,
     {0, 0},
     {1, 2},
     {0, 3},
     3,
     2},
    {"operator TreeEnsembleRegressor is not run natively: some of its leaves have no weight",
     TERN_UNIMPLEMENTED,
     GOOD_NODES,
     {0, 0},
     {1, 1},
     {0, 0},
     3,
     2},
};

static void test_trees(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(tree_rows) / sizeof(tree_rows[0]); i++) {
        const struct trees *t = &tree_rows[i];
        struct native_rig run;
        struct tern_buf buf;

        tern_buf_init(&buf, FILE_MAX);
        write_trees(t, &buf);
        enum tern_code code = native_load(&run, &tern_onnx_graph_format, tern_buf_str(&buf));
        if (code != t->code || (t->expected != NULL && strcmp(run.err.text, t->expected) != 0))
            fail_msg("row %zu: expected %d \"%s\", got %d \"%s\"", i, t->code, t->expected, code,
                     run.err.text);
        native_free(&run);
        tern_buf_fini(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_in_the_message_and_raw),
        cmocka_unit_test(test_names_and_shapes_are_the_files),
        cmocka_unit_test(test_outputs_that_no_node_makes),
        cmocka_unit_test(test_rows_that_do_not_fit),
        cmocka_unit_test(test_graphs_of_another_engine),
        cmocka_unit_test(test_damaged_graphs),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
