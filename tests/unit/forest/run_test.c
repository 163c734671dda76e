/* Forests of every kind answer what they answer by the book, bit for bit, at every level of
 * instructions and for any number of rows. */
// covers: forest/compile forest/forest forest/heads forest/ranks forest/run_row forest/run_block
// covers: forest/tops simd/trees simd/trees_x86
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/arena.h"
#include "harness/forest_rig.h"
#include "simd/simd.h"

#define ROWS_MAX 700

static const size_t row_counts[] = {1, 2, 7, 64, 65, 300, ROWS_MAX};

static const struct {
    const char *name;
    struct forest_rig_shape shape;
} cases[] = {
    {"one leaf",
     {.n_trees = 3, .n_leaves = 1, .n_features = 2, .n_outputs = 1, .n_cuts = 9, .is_float = true}},
    {"stumps",
     {.n_trees = 9, .n_leaves = 2, .n_features = 3, .n_outputs = 1, .n_cuts = 9, .is_float = true}},
    {"complete, 6 levels",
     {.n_trees = 37,
      .depth = 6,
      .n_features = 30,
      .n_outputs = 1,
      .n_cuts = 200,
      .is_float = true}},
    {"up to 6 levels, missing",
     {.n_trees = 40,
      .n_leaves = 7,
      .n_features = 40,
      .n_outputs = 3,
      .n_cuts = 20,
      .is_float = true,
      .missing = true}},
    {"31 leaves",
     {.n_trees = 25,
      .n_leaves = 31,
      .n_features = 30,
      .n_outputs = 1,
      .n_cuts = 255,
      .is_float = true}},
    {"32 leaves, 100 features",
     {.n_trees = 25,
      .n_leaves = 32,
      .n_features = 100,
      .n_outputs = 2,
      .n_cuts = 50,
      .is_float = false,
      .missing = true}},
    {"64 leaves, 200 features",
     {.n_trees = 25,
      .n_leaves = 64,
      .n_features = 200,
      .n_outputs = 1,
      .n_cuts = 16,
      .is_float = false}},
    {"255 leaves",
     {.n_trees = 30,
      .n_leaves = 255,
      .n_features = 20,
      .n_outputs = 1,
      .n_cuts = 254,
      .is_float = true,
      .missing = true}},
    {"256 leaves",
     {.n_trees = 11,
      .n_leaves = 256,
      .n_features = 50,
      .n_outputs = 1,
      .n_cuts = 15,
      .is_float = false}},
    {"257 leaves",
     {.n_trees = 11,
      .n_leaves = 257,
      .n_features = 50,
      .n_outputs = 1,
      .n_cuts = 16,
      .is_float = true}},
    {"complete, 10 levels",
     {.n_trees = 6, .depth = 10, .n_features = 10, .n_outputs = 1, .n_cuts = 17, .is_float = true}},
    {"cuts without number",
     {.n_trees = 8,
      .n_leaves = 3000,
      .n_features = 4,
      .n_outputs = 1,
      .is_float = false,
      .missing = true}},
    {"wide nodes",
     {.n_trees = 2,
      .n_leaves = 40000,
      .n_features = 60,
      .n_outputs = 1,
      .n_cuts = 250,
      .is_float = true}},
    {"every test",
     {.n_trees = 30,
      .n_leaves = 12,
      .n_features = 9,
      .n_outputs = 1,
      .n_cuts = 12,
      .is_float = true,
      .tests = true,
      .missing = true}},
    {"every test, double",
     {.n_trees = 30,
      .n_leaves = 80,
      .n_features = 9,
      .n_outputs = 2,
      .is_float = false,
      .tests = true,
      .missing = true}},
    {"vectors",
     {.n_trees = 12,
      .n_leaves = 20,
      .n_features = 9,
      .n_outputs = 5,
      .n_cuts = 12,
      .vector = true,
      .combine = TERN_FOREST_AVERAGE}},
    {"vectors of floats",
     {.n_trees = 12,
      .n_leaves = 20,
      .n_features = 9,
      .n_outputs = 3,
      .n_cuts = 12,
      .vector = true,
      .is_float = true,
      .missing = true}},
    {"large vectors",
     {.n_trees = 4,
      .n_leaves = 400,
      .n_features = 9,
      .n_outputs = 3,
      .n_cuts = 12,
      .vector = true,
      .is_float = true}},
    {"least vector",
     {.n_trees = 4,
      .n_leaves = 40,
      .n_features = 9,
      .n_outputs = 3,
      .n_cuts = 12,
      .vector = true,
      .is_float = true,
      .combine = TERN_FOREST_MIN}},
    {"average",
     {.n_trees = 12,
      .n_leaves = 20,
      .n_features = 9,
      .n_outputs = 1,
      .n_cuts = 12,
      .is_float = true,
      .combine = TERN_FOREST_AVERAGE}},
    {"least",
     {.n_trees = 12,
      .n_leaves = 20,
      .n_features = 9,
      .n_outputs = 2,
      .n_cuts = 12,
      .is_float = true,
      .combine = TERN_FOREST_MIN}},
    {"most",
     {.n_trees = 12,
      .n_leaves = 20,
      .n_features = 9,
      .n_outputs = 2,
      .n_cuts = 12,
      .combine = TERN_FOREST_MAX}},
};

struct rows {
    double *doubles;
    float *floats;
};

static struct rows make_rows(struct forest_rig *rig)
{
    size_t n = (size_t)ROWS_MAX * rig->shape.n_features;
    struct rows rows = {calloc(n, sizeof(double)), calloc(n, sizeof(float))};

    for (size_t i = 0; i < n; i++) {
        rows.floats[i] = (float)forest_rig_value(rig);
        rows.doubles[i] = i % 3 == 0 ? forest_rig_value(rig) : (double)rows.floats[i];
    }
    return rows;
}

static void check_rows(const struct forest_rig *rig, const struct rows *rows, bool is_double,
                       size_t n, bool base_first)
{
    uint32_t width = rig->shape.n_features, k = rig->shape.n_outputs;
    const struct tern_forest_rows given = {
        .data = is_double ? (const void *)rows->doubles : (const void *)rows->floats,
        .is_double = is_double,
        .n = n,
        .stride = width,
    };
    double *row = calloc(width, sizeof(double)), *expected = calloc(k, sizeof(double));
    double *out = calloc(n * k, sizeof(double));
    struct tern_arena arena;
    struct tern_err err;

    tern_arena_init(&arena, 1 << 16, 1 << 26);
    assert_int_equal(tern_forest_run(rig->forest, &given, out, &arena, &err), TERN_OK);
    for (size_t i = 0; i < n; i++) {
        for (uint32_t f = 0; f < width; f++)
            row[f] = is_double ? rows->doubles[i * width + f] : (double)rows->floats[i * width + f];
        forest_rig_answer(rig, row, base_first, expected);
        for (uint32_t o = 0; o < k; o++) {
            double got = rig->shape.is_float ? (double)((float *)out)[i * k + o] : out[i * k + o];
            if (got != expected[o])
                fail_msg("row %zu of %zu, output %u: %.17g, expected %.17g", i, n, o, got,
                         expected[o]);
        }
    }
    tern_arena_fini(&arena);
    free(row);
    free(expected);
    free(out);
}

static void check_case(const struct forest_rig_shape *shape, uint64_t seed)
{
    struct forest_rig rig;
    struct tern_err err = {.text = ""};

    forest_rig_make(&rig, shape, seed, &err);
    if (rig.forest == NULL)
        fail_msg("%s", err.text);
    struct rows rows = make_rows(&rig);
    for (size_t i = 0; i < sizeof(row_counts) / sizeof(row_counts[0]); i++) {
        check_rows(&rig, &rows, false, row_counts[i], seed % 2 == 0);
        check_rows(&rig, &rows, true, row_counts[i], seed % 2 == 0);
    }
    free(rows.doubles);
    free(rows.floats);
    forest_rig_free(&rig);
}

static void every_level(void **state)
{
    static const char *const levels[] = {"portable", "avx2", "avx512"};

    (void)state;
    for (size_t l = 0; l < 3; l++) {
        setenv("TERN_SIMD", levels[l], 1);
        tern_simd_init();
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            print_message("%s: %s\n", levels[l], cases[i].name);
            check_case(&cases[i].shape, i);
            check_case(&cases[i].shape, 100 + i + l);
        }
    }
    unsetenv("TERN_SIMD");
}

/* Leaves keep the numbers that the file gave them. */
static void leaves(void **state)
{
    const struct forest_rig_shape shape = {.n_trees = 9,
                                           .n_leaves = 50,
                                           .n_features = 5,
                                           .n_outputs = 1,
                                           .n_cuts = 30,
                                           .missing = true};
    struct forest_rig rig;
    struct tern_arena arena;
    struct tern_err err = {.text = ""};
    uint32_t got[9];

    (void)state;
    tern_simd_init();
    forest_rig_make(&rig, &shape, 5, &err);
    assert_non_null(rig.forest);
    struct rows rows = make_rows(&rig);
    tern_arena_init(&arena, 1 << 16, 1 << 22);
    for (size_t i = 0; i < 100; i++) {
        const struct tern_forest_rows row = {rows.doubles + 5 * i, true, 1, 5};
        assert_int_equal(tern_forest_leaves(rig.forest, &row, got, &arena, &err), TERN_OK);
        for (uint32_t t = 0; t < 9; t++)
            assert_int_equal(got[t], forest_rig_leaf(&rig, &rig.trees[t], rows.doubles + 5 * i));
    }
    tern_arena_fini(&arena);
    free(rows.doubles);
    free(rows.floats);
    forest_rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level),
        cmocka_unit_test(leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
