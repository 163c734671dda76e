/* What a loader hands over is checked: every way in which a tree can be damaged is refused, with
 * its place. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "harness/forest_rig.h"
#include "harness/mem_fails.h"
#include "simd/simd.h"
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc

/* A node of a damaged tree: kind, feature, yes, no, threshold or leaf. */
#define ASK(feature_, yes_, no_, threshold_)                                               \
    {                                                                                      \
        .test = TERN_FOREST_LESS_EQUAL, .feature = (feature_), .yes = (yes_), .no = (no_), \
        .threshold = (threshold_)                                                          \
    }
#define LEAF(leaf_)                               \
    {                                             \
        .test = TERN_FOREST_LEAF, .leaf = (leaf_) \
    }
#define MEMBER(set_, yes_, no_)                                               \
    {                                                                         \
        .test = TERN_FOREST_MEMBER, .set = (set_), .yes = (yes_), .no = (no_) \
    }

static const double values[] = {1, 2, 3, 4};
static const double not_a_number[] = {1, (double)NAN};

static const struct {
    const char *expected;
    struct tern_forest_node nodes[4];
    uint32_t n_nodes, n_leaves, output;
    const double *values;
} damaged[] = {
    {"tree 0: it has no nodes", {LEAF(0)}, 0, 1, 0, values},
    {"tree 0: it has no nodes", {LEAF(0)}, 1, 0, 0, values},
    {"tree 0: it is for output 2, the model has 2", {LEAF(0)}, 1, 1, 2, values},
    {"tree 0: value 0 of its leaf 1 is not a number", {LEAF(0)}, 1, 2, 0, not_a_number},
    {"tree 0, node 0: leaf 1 of 1", {LEAF(1)}, 1, 1, 0, values},
    {"tree 0, node 0: feature 3, the model has 3",
     {ASK(3, 1, 2, 0), LEAF(0), LEAF(1)},
     3,
     2,
     0,
     values},
    {"tree 0, node 0: its threshold is not a number",
     {ASK(0, 1, 2, (double)NAN), LEAF(0), LEAF(1)},
     3,
     2,
     0,
     values},
    {"tree 0, node 0: its child 3 is none of the 3 nodes",
     {ASK(0, 3, 1, 0), LEAF(0), LEAF(1)},
     3,
     2,
     0,
     values},
    {"tree 0, node 0: its child 4294967295 is none of the 3 nodes",
     {ASK(0, 1, UINT32_MAX, 0), LEAF(0), LEAF(1)},
     3,
     2,
     0,
     values},
    {"tree 0, node 0: two nodes lead to it", {ASK(0, 0, 1, 0), LEAF(0)}, 2, 1, 0, values},
    {"tree 0, node 2: two nodes lead to it", {ASK(0, 2, 2, 0), LEAF(0), LEAF(1)}, 3, 2, 0, values},
    {"tree 0, node 1: two nodes lead to it",
     {ASK(0, 1, 2, 0), LEAF(0), ASK(0, 1, 3, 0), LEAF(1)},
     4,
     2,
     0,
     values},
    {"tree 0, node 0: category set 1 of 1", {MEMBER(1, 1, 2), LEAF(0), LEAF(1)}, 3, 2, 0, values},
};

static struct tern_forest_builder *new_builder(void)
{
    const struct tern_forest_settings settings = {
        .n_features = 3, .n_outputs = 2, .float_input = true};
    const uint32_t categories[] = {1, 5};
    struct tern_forest_builder *builder = NULL;
    uint32_t set;

    assert_int_equal(tern_forest_builder_new(&settings, &builder, NULL), TERN_OK);
    assert_int_equal(
        tern_forest_builder_add_set(builder, categories, 2, TERN_FOREST_DOWN, &set, NULL), TERN_OK);
    return builder;
}

static void every_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        const struct tern_forest_tree tree = {
            .nodes = damaged[i].nodes,
            .n_nodes = damaged[i].n_nodes,
            .values = damaged[i].values,
            .n_leaves = damaged[i].n_leaves,
            .output = damaged[i].output,
        };
        struct tern_forest_builder *builder = new_builder();
        struct tern_err err;
        assert_int_equal(tern_forest_builder_add_tree(builder, &tree, &err), TERN_INVALID_ARGUMENT);
        assert_string_equal(err.text, damaged[i].expected);
        tern_forest_builder_free(builder);
    }
}

static void limits(void **state)
{
    static const struct {
        struct tern_forest_settings settings;
        const char *expected;
    } refused[] = {
        {{.n_features = TERN_FOREST_FEATURES_MAX + 1, .n_outputs = 1},
         "16777217 features, 16777216 are served at most"},
        {{.n_features = 1, .n_outputs = 0}, "0 outputs, expected 1 to 16384"},
        {{.n_features = 1, .n_outputs = TERN_FOREST_OUTPUTS_MAX + 1},
         "16385 outputs, expected 1 to 16384"},
    };
    struct tern_forest_builder *builder;
    struct tern_err err;
    uint32_t set, category = TERN_FOREST_CATEGORY_MAX;

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(tern_forest_builder_new(&refused[i].settings, &builder, &err),
                         TERN_RESOURCE_EXHAUSTED);
        assert_string_equal(err.text, refused[i].expected);
    }
    builder = new_builder();
    assert_int_equal(
        tern_forest_builder_add_set(builder, &category, 1, TERN_FOREST_DOWN, &set, &err),
        TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "category 16777216, expected less than 16777216");
    tern_forest_builder_free(builder);
}

/* A chain as deep as is allowed is built and run without recursion; one level more is refused. */
static void depth(void **state)
{
    enum { DEEP = TERN_FOREST_DEPTH_MAX + 1 };
    struct tern_forest_node *nodes = calloc(2 * DEEP + 1, sizeof(*nodes));
    double *leaves = calloc(DEEP + 1, sizeof(*leaves));
    struct tern_err err;

    (void)state;
    for (uint32_t extra = 0; extra < 2; extra++) {
        uint32_t n = TERN_FOREST_DEPTH_MAX + extra;
        for (uint32_t i = 0; i < n; i++) {
            nodes[2 * i] = (struct tern_forest_node){
                .test = TERN_FOREST_LESS, .yes = 2 * i + 1, .no = 2 * i + 2, .threshold = i};
            nodes[2 * i + 1] = (struct tern_forest_node){.leaf = i};
        }
        nodes[2 * n] = (struct tern_forest_node){.leaf = n};
        const struct tern_forest_tree tree = {
            .nodes = nodes, .n_nodes = 2 * n + 1, .values = leaves, .n_leaves = n + 1};
        struct tern_forest_builder *builder = new_builder();
        enum tern_code code = tern_forest_builder_add_tree(builder, &tree, &err);
        assert_int_equal(code, extra == 0 ? TERN_OK : TERN_RESOURCE_EXHAUSTED);
        if (extra == 0) {
            struct tern_forest *forest = NULL;
            assert_int_equal(tern_forest_builder_finish(builder, &forest, &err), TERN_OK);
            assert_int_equal(tern_forest_info(forest).depth, TERN_FOREST_DEPTH_MAX);
            tern_forest_free(forest);
        }
        tern_forest_builder_free(builder);
    }
    free(nodes);
    free(leaves);
}

/* Nodes that nothing leads to, as pruning leaves behind, are dropped. */
static void orphans(void **state)
{
    const struct tern_forest_node nodes[] = {ASK(0, 2, 3, 0), ASK(7, 9, 9, 0), LEAF(0), LEAF(1)};
    const struct tern_forest_tree tree = {
        .nodes = nodes, .n_nodes = 4, .values = values, .n_leaves = 2};
    struct tern_forest_builder *builder = new_builder();
    struct tern_forest *forest = NULL;

    (void)state;
    assert_int_equal(tern_forest_builder_add_tree(builder, &tree, NULL), TERN_OK);
    assert_int_equal(tern_forest_builder_finish(builder, &forest, NULL), TERN_OK);
    assert_int_equal(tern_forest_info(forest).n_nodes, 3);
    tern_forest_free(forest);
    tern_forest_builder_free(builder);
}

/* Thresholds at the edges: each against the comparison it stands for. */
static void thresholds(void **state)
{
    static const double edges[] = {
        -(double)INFINITY, -DBL_MAX, -1,      -1e-320,         -0.0, 0, 0.1, 1,
        16777217,          FLT_MAX,  DBL_MAX, (double)INFINITY};
    static const enum tern_forest_test tests[] = {TERN_FOREST_LESS, TERN_FOREST_LESS_EQUAL,
                                                  TERN_FOREST_EQUAL};

    (void)state;
    for (size_t e = 0; e < sizeof(edges) / sizeof(edges[0]); e++) {
        for (size_t t = 0; t < 6; t++) {
            const struct tern_forest_node nodes[] = {
                {.test = tests[t % 3], .yes = 1, .no = 2, .threshold = edges[e]}, LEAF(0), LEAF(1)};
            const struct tern_forest_tree tree = {
                .nodes = nodes, .n_nodes = 3, .values = values, .n_leaves = 2};
            const struct tern_forest_settings settings = {
                .n_features = 1, .n_outputs = 1, .float_input = t < 3};
            struct tern_forest_builder *builder = NULL;
            struct tern_forest *forest = NULL;
            struct tern_arena arena;
            assert_int_equal(tern_forest_builder_new(&settings, &builder, NULL), TERN_OK);
            assert_int_equal(tern_forest_builder_add_tree(builder, &tree, NULL), TERN_OK);
            assert_int_equal(tern_forest_builder_finish(builder, &forest, NULL), TERN_OK);
            tern_forest_builder_free(builder);
            tern_arena_init(&arena, 4096, 1 << 20);
            for (size_t x = 0; x < sizeof(edges) / sizeof(edges[0]); x++) {
                double v = t < 3 ? (double)(float)edges[x] : edges[x], out;
                const struct tern_forest_rows rows = {&edges[x], true, 1, 1};
                bool yes = tests[t % 3] == TERN_FOREST_LESS         ? v < edges[e]
                           : tests[t % 3] == TERN_FOREST_LESS_EQUAL ? v <= edges[e]
                                                                    : v == edges[e];
                assert_int_equal(tern_forest_run(forest, &rows, &out, &arena, NULL), TERN_OK);
                assert_true(out == (yes ? 1 : 2));
                tern_arena_reset(&arena);
            }
            tern_arena_fini(&arena);
            tern_forest_free(forest);
        }
    }
}

/* Whichever call gets no memory: the error says so and nothing is lost. */
static void without_memory(void **state)
{
    const struct forest_rig_shape shape = {.n_trees = 20,
                                           .n_leaves = 300, /* with tops */
                                           .n_features = 5,
                                           .n_outputs = 1,
                                           .n_cuts = 300,
                                           .is_float = true,
                                           .tests = true};
    struct forest_rig rig;
    struct tern_err err = {.text = ""};

    (void)state;
    tern_simd_init();
    mem_calls = 0;
    mem_fail_at = -1;
    forest_rig_make(&rig, &shape, 1, &err);
    assert_non_null(rig.forest);
    forest_rig_free(&rig);
    long calls = mem_calls;
    assert_true(calls > 20);
    for (long at = 0; at < calls; at++) {
        mem_calls = 0;
        mem_fail_at = at;
        forest_rig_make(&rig, &shape, 1, &err);
        if (rig.forest == NULL)
            assert_int_equal(err.code, TERN_RESOURCE_EXHAUSTED);
        forest_rig_free(&rig);
    }
    mem_fail_at = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_damage), cmocka_unit_test(limits),
        cmocka_unit_test(depth),        cmocka_unit_test(orphans),
        cmocka_unit_test(thresholds),   cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
