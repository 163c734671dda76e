/* Forests of every kind with fewer nodes: nothing that is not asked for changes an answer, and what
 * is asked for changes it by no more than was said. */
// covers: forest/prune forest/prune_tree
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "forest/prune.h"
#include "harness/forest_rig.h"
#include "harness/mem_fails.h"

#define ROWS 700

static const struct {
    const char *name;
    struct forest_rig_shape shape;
} cases[] = {
    {"few cuts, missing both ways",
     {.n_trees = 30,
      .n_leaves = 60,
      .n_features = 3,
      .n_outputs = 2,
      .n_cuts = 5,
      .is_float = true,
      .missing = true}},
    {"all tests, doubles",
     {.n_trees = 30,
      .n_leaves = 60,
      .n_features = 4,
      .n_outputs = 3,
      .n_cuts = 9,
      .tests = true,
      .missing = true}},
    {"thousands of cuts, vectors",
     {.n_trees = 20,
      .n_leaves = 300,
      .n_features = 2,
      .n_outputs = 2,
      .is_float = true,
      .vector = true}},
    {"average",
     {.n_trees = 12,
      .n_leaves = 90,
      .n_features = 5,
      .n_outputs = 1,
      .n_cuts = 12,
      .is_float = true,
      .combine = TERN_FOREST_AVERAGE}},
    {"least",
     {.n_trees = 12,
      .n_leaves = 40,
      .n_features = 3,
      .n_outputs = 2,
      .n_cuts = 12,
      .combine = TERN_FOREST_MIN}},
    {"one leaf",
     {.n_trees = 3, .n_leaves = 1, .n_features = 2, .n_outputs = 1, .n_cuts = 9, .is_float = true}},
};

static void answer(const struct tern_forest *forest, const double *rows, uint32_t width,
                   double *out)
{
    const struct tern_forest_rows given = {
        .data = rows, .is_double = true, .n = ROWS, .stride = width};
    struct tern_arena arena;
    struct tern_err err;

    tern_arena_init(&arena, 1 << 16, 1 << 26);
    assert_int_equal(tern_forest_run(forest, &given, out, &arena, &err), TERN_OK);
    tern_arena_fini(&arena);
}

/* The largest difference between the answers of two forests; 0: all bits are the same. */
static double difference(struct forest_rig *rig, const struct tern_forest *other)
{
    uint32_t width = rig->shape.n_features, k = rig->shape.n_outputs;
    double *rows = calloc((size_t)ROWS * width, sizeof(*rows)), largest = 0;
    double *mine = calloc((size_t)ROWS * k, sizeof(*mine));
    double *theirs = calloc((size_t)ROWS * k, sizeof(*theirs));

    for (size_t i = 0; i < (size_t)ROWS * width; i++)
        rows[i] = forest_rig_value(rig);
    answer(rig->forest, rows, width, mine);
    answer(other, rows, width, theirs);
    for (size_t i = 0; i < (size_t)ROWS * k; i++) {
        double a = rig->shape.is_float ? (double)((float *)mine)[i] : mine[i];
        double b = rig->shape.is_float ? (double)((float *)theirs)[i] : theirs[i];
        largest = fmax(largest, fabs(a - b));
    }
    if (largest == 0 && memcmp(mine, theirs, (size_t)ROWS * k * sizeof(double)) != 0)
        largest = (double)INFINITY; /* signs of zeros */
    free(rows);
    free(mine);
    free(theirs);
    return largest;
}

static struct tern_forest *prune(const struct forest_rig *rig, struct tern_forest_pruning pruning,
                                 struct tern_forest_pruned *pruned)
{
    struct tern_forest *forest = NULL;
    struct tern_err err = {.text = ""};

    if (tern_forest_prune(rig->forest, &pruning, &forest, pruned, &err) != TERN_OK)
        fail_msg("%s", err.text);
    return forest;
}

static void nothing_changes_that_was_not_asked_for(void **state)
{
    uint64_t before = 0, after = 0;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cases); i++) {
        for (uint64_t seed = 0; seed < 6; seed++) {
            struct tern_forest_pruned pruned;
            struct tern_err err = {.text = ""};
            struct forest_rig rig;

            forest_rig_make(&rig, &cases[i].shape, seed, &err);
            assert_non_null(rig.forest);
            struct tern_forest *forest = prune(&rig, (struct tern_forest_pruning){0}, &pruned);
            double off = difference(&rig, forest);
            if (off != 0)
                fail_msg("%s, seed %zu: off by %g", cases[i].name, (size_t)seed, off);
            assert_true(pruned.bound == 0);
            assert_true(pruned.n_nodes[1] <= pruned.n_nodes[0]);
            before += pruned.n_nodes[0];
            after += pruned.n_nodes[1];
            tern_forest_free(forest);
            forest_rig_free(&rig);
        }
    }
    /* Random trees ask much that has been answered. */
    print_message("%zu of %zu nodes\n", (size_t)after, (size_t)before);
    assert_true(after * 4 < before * 3);
}

static void what_is_asked_for_keeps_its_bound(void **state)
{
    static const double amounts[] = {0.001, 0.1, 2, 1e9};

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(cases); i++) {
        uint64_t nodes = UINT64_MAX;
        struct tern_err err = {.text = ""};
        struct forest_rig rig;

        forest_rig_make(&rig, &cases[i].shape, i, &err);
        assert_non_null(rig.forest);
        for (size_t a = 0; a < TERN_COUNT_OF(amounts); a++) {
            struct tern_forest_pruned pruned;
            struct tern_forest *forest =
                prune(&rig, (struct tern_forest_pruning){.within = amounts[a]}, &pruned);
            double off = difference(&rig, forest), rounding = rig.shape.is_float ? 1e-4 : 1e-12;
            if (!(off <= pruned.bound + rounding) || !(pruned.bound <= amounts[a] * (1 + 1e-9)))
                fail_msg("%s: off by %g, bound %g of %g", cases[i].name, off, pruned.bound,
                         amounts[a]);
            assert_true(pruned.n_nodes[1] <= nodes);
            nodes = pruned.n_nodes[1];
            tern_forest_free(forest);
        }
        assert_true(nodes <= rig.shape.n_trees); /* one leaf each */
        forest_rig_free(&rig);
    }
}

static void the_first_trees_are_what_is_left(void **state)
{
    struct forest_rig_shape shape = {
        .n_trees = 20, .n_leaves = 9, .n_features = 4, .n_outputs = 1, .n_cuts = 9};
    struct tern_err err = {.text = ""};
    struct tern_forest_pruned pruned;
    struct forest_rig all, first;

    (void)state;
    forest_rig_make(&all, &shape, 5, &err);
    shape.n_trees = 7;
    forest_rig_make(&first, &shape, 5, &err); /* the same seed: the same trees */
    struct tern_forest *forest = prune(&all, (struct tern_forest_pruning){.n_trees = 7}, &pruned);
    assert_true(difference(&first, forest) == 0);
    assert_int_equal(pruned.n_trees[0], 20);
    assert_int_equal(pruned.n_trees[1], 7);
    double off = difference(&all, forest);
    assert_true(off > 0 && off <= pruned.bound + 1e-12);
    tern_forest_free(forest);
    forest = prune(&all, (struct tern_forest_pruning){.n_trees = 100}, &pruned);
    assert_true(difference(&all, forest) == 0 && pruned.bound == 0);
    tern_forest_free(forest);
    forest_rig_free(&all);
    forest_rig_free(&first);
}

/* ---- trees by hand ---- */

#define SPLIT(f, t, y, n)                                                                       \
    {                                                                                           \
        .test = TERN_FOREST_LESS_EQUAL, .feature = (f), .threshold = (t), .yes = (y), .no = (n) \
    }
#define LEAF(l)                               \
    {                                         \
        .test = TERN_FOREST_LEAF, .leaf = (l) \
    }

static struct tern_forest *build(const struct tern_forest_tree *trees, size_t n, uint32_t n_outputs,
                                 enum tern_forest_combine combine)
{
    const struct tern_forest_settings settings = {
        .n_features = 2, .n_outputs = n_outputs, .combine = combine};
    struct tern_forest_builder *builder = NULL;
    struct tern_forest *forest = NULL;
    struct tern_err err = {.text = ""};

    assert_int_equal(tern_forest_builder_new(&settings, &builder, &err), TERN_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(tern_forest_builder_add_tree(builder, &trees[i], &err), TERN_OK);
    assert_int_equal(tern_forest_builder_finish(builder, &forest, &err), TERN_OK);
    tern_forest_builder_free(builder);
    return forest;
}

/* x0 <= 1 and then x0 <= 2: always. Both sides of the other split are worth the same. */
static const struct tern_forest_node answered[] = {
    SPLIT(0, 1, 1, 4), SPLIT(0, 2, 2, 3), LEAF(0), LEAF(1), SPLIT(1, 5, 5, 6), LEAF(2), LEAF(3)};
static const double answered_values[] = {1, 2, 3, 3};
/* Nothing but zero. */
static const struct tern_forest_node idle[] = {SPLIT(1, 1, 1, 2), LEAF(0), LEAF(1)};
static const double idle_values[] = {0, 0};
static const uint32_t term = 0;
static const double one = 1, two = 2;
static const struct tern_forest_linear lines[] = {{0.5, &term, &one, 1}, {0.5, &term, &one, 1}};
static const struct tern_forest_linear others[] = {{0.5, &term, &one, 1}, {0.5, &term, &two, 1}};

static const struct tern_forest_tree known[] = {
    {.nodes = answered, .n_nodes = 7, .values = answered_values, .n_leaves = 4},
    {.nodes = idle, .n_nodes = 3, .values = idle_values, .n_leaves = 2},
    {.nodes = idle, .n_nodes = 3, .values = idle_values, .n_leaves = 2, .linear = lines},
    {.nodes = idle, .n_nodes = 3, .values = idle_values, .n_leaves = 2, .linear = others},
};

static void trees_are_as_small_as_they_can_be(void **state)
{
    static const struct {
        uint32_t first, n;
        uint64_t nodes, trees;
    } rows[] = {
        {0, 1, 3, 1}, /* one split is left */
        {0, 2, 3, 1}, /* zeros add nothing */
        {1, 1, 1, 1}, /* but one tree there is */
        {2, 1, 1, 1}, /* equal lines */
        {3, 1, 3, 1}, /* other lines */
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct forest_rig rig = {.forest =
                                     build(&known[rows[i].first], rows[i].n, 1, TERN_FOREST_SUM)};
        struct tern_forest_pruned pruned;
        struct tern_forest *forest =
            prune(&rig, (struct tern_forest_pruning){.within = 0}, &pruned);
        assert_int_equal(pruned.n_nodes[1], rows[i].nodes);
        assert_int_equal(pruned.n_trees[1], rows[i].trees);
        tern_forest_free(forest);
        tern_forest_free(rig.forest);
    }
}

static void what_would_be_another_model_is_refused(void **state)
{
    struct tern_forest_tree trees[] = {known[0], known[1], known[0], known[1]};
    const struct tern_forest_pruning pruning = {.n_trees = 3};
    struct tern_forest_pruned pruned;
    struct tern_forest *out = NULL;
    struct tern_err err = {.text = ""};

    (void)state;
    struct tern_forest *forest = build(trees, 4, 1, TERN_FOREST_AVERAGE);
    assert_int_equal(tern_forest_prune(forest, &pruning, &out, &pruned, &err),
                     TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text, "the answer is no sum of trees that correct each other: none of "
                                  "the 4 trees can be left out");
    tern_forest_free(forest);
    trees[1].output = trees[3].output = 1;
    forest = build(trees, 4, 2, TERN_FOREST_SUM);
    assert_int_equal(tern_forest_prune(forest, &pruning, &out, &pruned, &err),
                     TERN_INVALID_ARGUMENT);
    assert_string_equal(err.text,
                        "the first 3 trees are not equally many for each of the 2 outputs");
    assert_null(out);
    tern_forest_free(forest);
}

static void without_memory_there_is_an_error(void **state)
{
    struct tern_forest *forest = build(known, 2, 1, TERN_FOREST_SUM), *out = NULL;
    const struct tern_forest_pruning pruning = {.within = 1};
    struct tern_forest_pruned pruned;
    struct tern_err err = {.text = ""};
    enum tern_code code = TERN_RESOURCE_EXHAUSTED;

    (void)state;
    for (long at = 0; code != TERN_OK; at++) {
        mem_calls = 0;
        mem_fail_at = at;
        code = tern_forest_prune(forest, &pruning, &out, &pruned, &err);
        mem_fail_at = -1;
        assert_true(code == TERN_OK || code == TERN_RESOURCE_EXHAUSTED);
        assert_true(at < 200);
    }
    tern_forest_free(out);
    tern_forest_free(forest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changes_that_was_not_asked_for),
        cmocka_unit_test(what_is_asked_for_keeps_its_bound),
        cmocka_unit_test(the_first_trees_are_what_is_left),
        cmocka_unit_test(trees_are_as_small_as_they_can_be),
        cmocka_unit_test(what_would_be_another_model_is_refused),
        cmocka_unit_test(without_memory_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
