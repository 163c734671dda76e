// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
// covers: engine/native/lightgbm/lightgbm_text engine/native/lightgbm/lightgbm_text_tree
// covers: engine/native/lightgbm/lightgbm_json engine/native/lightgbm/lightgbm_json_tree
// covers: engine/native/lightgbm/lightgbm_objective
/* LightGBM's files: what each line means, on models small enough to be read, and what every damaged
 * form is told. That whole models predict as LightGBM does is shown in tests/oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include "engine/native/lightgbm/lightgbm.h"
#include "engine/native/lightgbm/lightgbm_int.h"
#include "harness/native_memory.h"
#include "harness/native_rig.h"

#define TEXT_MAX 8192

/* Two iterations of two classes: a tree with a split of each kind, one of one leaf, a linear tree,
 * and one more. */
static const char head[] = "tree\n"
                           "version=v4\n"
                           "num_class=2\n"
                           "num_tree_per_iteration=2\n"
                           "label_index=0\n"
                           "max_feature_idx=2\n"
                           "feature_names=age na=me color\n"
                           "feature_infos=[0:9] none 1:2:5\n"
                           "tree_sizes=1 2 3 4\n"
                           "\n";
static const char tree0[] = "Tree=0\n"
                            "num_leaves=4\n"
                            "num_cat=1\n"
                            "split_feature=2 0 1\n"
                            "split_gain=1 2 3\n"
                            "threshold=0 1.5 -inf\n"
                            "decision_type=1 10 4\n"
                            "left_child=1 -1 -3\n"
                            "right_child=2 -2 -4\n"
                            "leaf_value=1 2 4 8\n"
                            "leaf_count=10 20 30 40\n"
                            "internal_count=100 30 70\n"
                            "cat_boundaries=0 2\n"
                            "cat_threshold=5 1\n"
                            "shrinkage=1\n"
                            "\n"
                            "\n";
static const char tree1[] = "Tree=1\nnum_leaves=1\nnum_cat=0\nleaf_value=-3\nshrinkage=1\n\n\n";
static const char tree2[] = "Tree=2\n"
                            "num_leaves=2\n"
                            "num_cat=0\n"
                            "split_feature=0\n"
                            "threshold=1e-3\n"
                            "decision_type=0\n"
                            "left_child=-1\n"
                            "right_child=-2\n"
                            "leaf_value=100 200\n"
                            "is_linear=1\n"
                            "leaf_const=0.5 0.25\n"
                            "num_features=2 0\n"
                            "leaf_features=0 1  \n"
                            "leaf_coeff=2 4  \n"
                            "shrinkage=0.1\n"
                            "\n"
                            "\n";
static const char tree3[] = "Tree=3\nnum_leaves=1\nnum_cat=0\nleaf_value=0.5\nshrinkage=1\n\n\n";
static const char tail[] = "end of trees\n\nfeature_importances:\nage=1\n\nparameters:\n[x: 1]\n"
                           "end of parameters\n\npandas_categorical:null\n";

static void whole(char text[TEXT_MAX])
{
    snprintf(text, TEXT_MAX, "%s%s%s%s%s%s", head, tree0, tree1, tree2, tree3, tail);
}

/* The first `from` becomes `to`. */
static void edit(char text[TEXT_MAX], const char *from, const char *to)
{
    char copy[TEXT_MAX];
    char *at = strstr(text, from);

    assert_non_null(at);
    snprintf(copy, sizeof(copy), "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    memcpy(text, copy, sizeof(copy));
}

static void expect_rows(const struct tern_native_format *format, const char *text,
                        const double *rows, const double *expected, size_t n, size_t width)
{
    struct native_rig rig;
    struct tern_tensor got;

    if (native_load(&rig, format, tern_str_of(text)) != TERN_OK)
        fail_msg("%s", rig.err.text);
    assert_int_equal(rig.program.inputs[0].dtype, TERN_DTYPE_FP64);
    assert_int_equal(native_run(&rig, rows, n, (size_t)rig.program.inputs[0].shape.dim[1], &got),
                     TERN_OK);
    assert_int_equal(got.n_bytes, n * width * sizeof(double));
    for (size_t i = 0; i < n * width; i++) {
        double value = ((const double *)got.data)[i];
        if (value != expected[i])
            fail_msg("value %zu: got %.17g, expected %.17g", i, value, expected[i]);
    }
    native_free(&rig);
}

static void decisions(void **state)
{
    static const double rows[][3] = {
        {1, 0, 0},        /* a member, 1 <= 1.5; linear */
        {2, 0, 2.9},      /* toward zero: 2 is a member */
        {2, 0, 32},       /* in the second word */
        {NAN, NAN, -0.9}, /* category 0; NaN goes left; the second leaf has no terms */
        {0, 5, NAN},      /* no category: right; 5 is above -inf */
        {0, 0, 1},        /* no member; 0 is missing: right, as the bit says */
        {0, 1, -1},       /* no category */
        {0, -1e-35f, 1e10}, {-1, NAN, 1e300}, /* NaN in a linear leaf: its plain value */
        {1e-3, 1, 65},                        /* beyond the words of the set */
        {1e-3, 1, 31},                        /* a category of the first word, no member */
    };
    static const double expected[][2] = {
        {1.25, -2.5}, {2.25, -2.5}, {2.25, -2.5}, {1 + 100, -2.5},   {8 + 20.5, -2.5},  {8.5, -2.5},
        {12.5, -2.5}, {8.5, -2.5},  {108, -2.5},  {8 + 4.502, -2.5}, {8 + 4.502, -2.5},
    };
    char text[TEXT_MAX];

    (void)state;
    whole(text);
    expect_rows(&tern_lightgbm_text, text, rows[0], expected[0], 11, 2);
}

/* A model of one tree and a sum of x's sign, for what is done to it. */
static void objectives(void **state)
{
    static const struct {
        const char *line;
        double low, high; /* of the sums -2 and 3 */
    } cases[] = {
        {"", -2, 3},
        {"objective=regression\n", -2, 3},
        {"objective=regression sqrt\n", -4, 9},
        {"objective=huber sqrt\n", -2, 3},
        {"objective=lambdarank\n", -2, 3},
        {"objective=custom\n", -2, 3},
        {"objective=poisson\n", 0.1353352832366127, 20.085536923187668},
        {"objective=binary sigmoid:2\n", 0.017986209962091559, 0.99752737684336534},
        {"objective=cross_entropy\n", 0.11920292202211755, 0.95257412682243336},
        {"objective=cross_entropy_lambda\n", 0.1269280110429726, 3.0485873515737421},
        {"average_output\nobjective=quantile\n", -2, 3},
    };
    static const double rows[] = {-1, 1};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct native_rig rig;
        struct tern_tensor got;
        char text[TEXT_MAX];
        snprintf(
            text, sizeof(text),
            "tree\nversion=v3\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
            "max_feature_idx=0\n%sfeature_names=a\nfeature_infos=none\n\nTree=0\nnum_leaves=2\n"
            "num_cat=0\nsplit_feature=0\nthreshold=0\ndecision_type=0\nleft_child=-1\n"
            "right_child=-2\nleaf_value=-2 3\nshrinkage=1\n\nend of trees\n",
            cases[i].line);
        if (native_load(&rig, &tern_lightgbm_text, tern_str_of(text)) != TERN_OK)
            fail_msg("%s%s", cases[i].line, rig.err.text);
        assert_int_equal(
            native_run(&rig, rows, 2, (size_t)rig.program.inputs[0].shape.dim[1], &got), TERN_OK);
        const double *values = got.data;
        if (fabs(values[0] - cases[i].low) > 1e-15 || fabs(values[1] - cases[i].high) > 1e-14)
            fail_msg("%sgot %.17g and %.17g", cases[i].line, values[0], values[1]);
        native_free(&rig);
    }
}

/* Lists of edits of the whole model, and what is said. */
static const struct {
    const char *from, *to, *error;
} damages[] = {
    {"tree\n", "trees\n", "line 1: expected 'tree'"},
    {"v4", "v5", "line 11: version 'v5' is not known: v2, v3 and v4 are"},
    {"version=v4\n", "", "the model has no version"},
    {"version=v4\n", "version=v4\nversion=v4\n", "line 3: version stands there twice"},
    {"label_index", "lable_index", "line 5: what 'lable_index' does is not known"},
    {"num_class=2", "num_class=3", "line 11: num_class is 3, but num_tree_per_iteration is 2"},
    {"num_class=2", "num_class=-2", "line 3: num_class: expected a whole number up to 16384"},
    {"num_class=2\n", "", "line 10: num_class is missing"},
    {"max_feature_idx=2\n", "", "line 10: max_feature_idx is missing"},
    {"max_feature_idx=2", "max_feature_idx=3", "line 11: feature_names: expected 4"},
    {"max_feature_idx=2", "max_feature_idx=99999999999", "line 6: max_feature_idx: expected"},
    {"none 1:2:5", "none", "line 11: feature_infos: expected 3, as max_feature_idx says, got 2"},
    {"label_index=0", "objective=mystery", "objective 'mystery' is not known"},
    {"label_index=0", "objective=binary", "objective: 'binary' needs sigmoid:"},
    {"label_index=0", "objective=binary sigmoid:-1", "expected a number above 0 in 'sigmoid:-1'"},
    {"label_index=0", "objective=multiclass", "objective: 'multiclass' needs num_class:"},
    {"label_index=0", "objective=multiclass num_class:3", "the objective has num_class:3"},
    {"label_index=0", "objective=multiclass num_class:0", "expected a number from 1 to 16384"},
    {"label_index=0", "objective=binary sigmoid:1 tilt:2", "what 'tilt:2' does is not known"},
    {"tree_sizes=1 2 3 4", "tree_sizes=1 2 3", "tree_sizes is of 3 trees, but there are 4"},
    {"Tree=0", "Tree=1", "line 11: expected 'Tree=0', got 'Tree=1'"},
    {"Tree=1", "Tree=x", "expected 'Tree=1', got 'Tree=x'"},
    {"num_leaves=4", "num_leaves", "line 11: tree 0: expected 'key=value', got 'num_leaves'"},
    {"num_leaves=4\n", "", "line 11: tree 0: num_leaves is missing"},
    {"num_leaves=4", "num_leaves=0", "tree 0: num_leaves: value 0: expected a whole number from 1"},
    {"num_leaves=4", "num_leaves=5", "tree 0: leaf_value: expected 5 numbers, got 4"},
    {"num_leaves=4", "num_leaves=3", "tree 0: leaf_value: expected 3 numbers, got 4"},
    {"num_leaves=4", "num_leaves=100000000", "leaf_value: expected 100000000 numbers, got 4"},
    {"num_cat=1", "num_dog=1", "tree 0: what 'num_dog' does is not known"},
    {"num_cat=1", "num_leaves=4", "tree 0: num_leaves stands there twice"},
    {"num_cat=1", "num_cat=0", "threshold: value 0: expected one of 0 sets of categories, got 0"},
    {"num_cat=1", "num_cat=2", "tree 0: cat_boundaries: expected 3 numbers, got 2"},
    {"split_feature=2 0 1", "split_feature=2 3 1",
     "split_feature: value 1: expected a whole number from 0 to 2, got '3'"},
    {"split_feature=2 0 1", "split_feature=2 -1 1", "split_feature: value 1"},
    {"split_feature=2 0 1\n", "", "tree 0: split_feature is missing"},
    {"threshold=0 1.5 -inf", "threshold=0 nan -inf",
     "threshold: value 1: expected a number, got 'nan'"},
    {"threshold=0 1.5 -inf", "threshold=0 1.5x -inf", "threshold: value 1: expected a number"},
    {"threshold=0 1.5 -inf", "threshold=0 1.5", "threshold: expected 3 numbers, got 2"},
    {"threshold=0 1.5 -inf", "threshold=0.5 1.5 -inf", "expected one of 1 sets of categories"},
    {"threshold=0 1.5 -inf", "threshold=1 1.5 -inf", "expected one of 1 sets of categories"},
    {"decision_type=1 10 4", "decision_type=1 12 4", "decision_type: value 1: expected a whole"},
    {"decision_type=1 10 4\n", "", "tree 0: decision_type is missing"},
    {"left_child=1 -1 -3", "left_child=1 -1 -5", "left_child: value 2: expected a whole number"},
    {"left_child=1 -1 -3", "left_child=1 -1 3", "left_child: value 2: expected a whole number"},
    {"left_child=1 -1 -3", "left_child=1 0 -3", "tree 0"},
    {"left_child=1 -1 -3", "left_child=1 1 -3", "tree 0"},
    {"right_child=2 -2 -4", "right_child=2 -2 -2", "tree 0"},
    {"leaf_value=1 2 4 8", "leaf_value=1 2 nan 8", "leaf_value: value 2: expected a number"},
    {"leaf_value=1 2 4 8\n", "", "tree 0: leaf_value is missing"},
    {"leaf_count=10 20 30 40", "leaf_count=10 20 30", "leaf_count: expected 4 numbers, got 3"},
    {"internal_count=100 30 70", "internal_count=100 30 70 1", "internal_count: expected 3"},
    {"cat_boundaries=0 2", "cat_boundaries=0 3", "cat_boundaries: value 1: expected a whole"},
    {"cat_boundaries=0 2", "cat_boundaries=0 1", "cat_threshold: expected 1 numbers, got 2"},
    {"cat_boundaries=0 2", "cat_boundaries=1 2",
     "cat_boundaries: value 0: expected to begin with 0"},
    {"cat_boundaries=0 2", "cat_boundaries=0 -1", "cat_boundaries: value 1"},
    {"cat_boundaries=0 2\n", "", "tree 0: cat_boundaries is missing"},
    {"cat_threshold=5 1", "cat_threshold=5 -1", "cat_threshold: value 1: expected a whole number"},
    {"cat_threshold=5 1", "cat_threshold=5 4294967296", "cat_threshold: value 1"},
    {"cat_threshold=5 1\n", "", "tree 0: cat_threshold is missing"},
    {"is_linear=1", "is_linear=2",
     "tree 2: is_linear: value 0: expected a whole number from 0 to 1"},
    {"leaf_const=0.5 0.25", "leaf_const=0.5", "tree 2: leaf_const: expected 2 numbers, got 1"},
    {"num_features=2 0", "num_features=2 1", "tree 2: leaf_features: expected 3 numbers, got 2"},
    {"num_features=2 0", "num_features=2", "tree 2: num_features: expected 2 numbers, got 1"},
    {"num_features=2 0", "num_features=4 0", "num_features: value 0: expected a whole number"},
    {"leaf_features=0 1", "leaf_features=0 3", "leaf_features: value 1: expected a whole number"},
    {"leaf_coeff=2 4", "leaf_coeff=2", "leaf_coeff: expected 2 numbers, got 1"},
    {"leaf_coeff=2 4", "leaf_coeff=2 x", "leaf_coeff: value 1: expected a number, got 'x'"},
    {"leaf_coeff=2 4  \n", "", "tree 2: leaf_coeff is missing"},
    {"Tree=3", "feature importances:", "tree_sizes is of 4 trees, but there are 3"},
    {"end of trees", "end of", "expected 'Tree=4' or 'end of trees', got 'end of'"},
    {tree3, "", "tree_sizes is of 4 trees, but there are 3"},
};

static void expect_error(const struct tern_native_format *format, struct tern_str text,
                         const char *error)
{
    struct native_rig rig;

    if (native_load(&rig, format, text) == TERN_OK)
        fail_msg("loaded, expected: %s", error);
    if (strstr(rig.err.text, error) == NULL)
        fail_msg("got '%s', expected '%s'", rig.err.text, error);
    native_free(&rig);
}

static void damaged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        char text[TEXT_MAX];
        whole(text);
        edit(text, damages[i].from, damages[i].to);
        expect_error(&tern_lightgbm_text, tern_str_of(text), damages[i].error);
    }
}

/* A file that ends anywhere before "end of trees" is told so, one way or another. */
static void truncated(void **state)
{
    char text[TEXT_MAX];

    (void)state;
    whole(text);
    size_t trees = (size_t)(strstr(text, "end of trees") - text) + strlen("end of trees");
    for (size_t n = 0; n < trees; n++)
        expect_error(&tern_lightgbm_text, tern_str_make(text, n), "");
    expect_error(&tern_lightgbm_text, tern_str_of("tree\nversion=v4\n"), "ends before its trees");
}

static void uneven(void **state)
{
    char text[TEXT_MAX];

    (void)state;
    whole(text);
    edit(text, tree3, "");
    edit(text, "tree_sizes=1 2 3 4\n", "");
    expect_error(&tern_lightgbm_text, tern_str_of(text),
                 "3 trees are no whole number of iterations of 2");
    snprintf(text, sizeof(text), "%saverage_output\n%s", head, tail);
    edit(text, "tree_sizes=1 2 3 4\n\n", "");
    expect_error(&tern_lightgbm_text, tern_str_of(text), "a random forest without trees");
}

static void names_and_line_ends(void **state)
{
    struct native_rig rig;
    char text[TEXT_MAX];
    char windows[2 * TEXT_MAX];
    size_t n = 0;

    (void)state;
    whole(text);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\n')
            windows[n++] = '\r';
        windows[n++] = *p;
    }
    assert_int_equal(native_load(&rig, &tern_lightgbm_text, tern_str_make(windows, n)), TERN_OK);
    assert_int_equal(rig.program.n_feature_names, 3);
    assert_true(tern_str_eq(rig.program.feature_names[1], TERN_STR("na=me")));
    assert_int_equal(rig.program.inputs[0].shape.dim[1], 3);
    assert_int_equal(rig.program.outputs[0].shape.dim[1], 2);
    native_free(&rig);
}

/* ---- JSON ---- */

static const char json[] =
    "{\"name\":\"tree\",\"version\":\"v4\",\"num_class\":1,\"num_tree_per_iteration\":1,"
    "\"label_index\":0,\"max_feature_idx\":1,\"objective\":\"regression\",\"average_output\":false,"
    "\"feature_names\":[\"a\",\"b\"],\"monotone_constraints\":[],\"feature_infos\":{},"
    "\"tree_info\":[{\"tree_index\":0,\"num_leaves\":3,\"num_cat\":1,\"shrinkage\":1,"
    "\"tree_structure\":{\"split_index\":0,\"split_feature\":0,\"split_gain\":5,"
    "\"threshold\":\"1||33\",\"decision_type\":\"==\",\"default_left\":false,"
    "\"missing_type\":\"NaN\",\"internal_value\":0,\"internal_weight\":1,\"internal_count\":9,"
    "\"left_child\":{\"leaf_index\":0,\"leaf_value\":1,\"leaf_weight\":1,\"leaf_count\":4},"
    "\"right_child\":{\"split_index\":1,\"split_feature\":1,\"threshold\":1e300,"
    "\"decision_type\":\"<=\",\"default_left\":false,\"missing_type\":\"Zero\","
    "\"left_child\":{\"leaf_index\":1,\"leaf_value\":2},"
    "\"right_child\":{\"leaf_index\":2,\"leaf_value\":4}}}},"
    "{\"tree_index\":1,\"num_leaves\":1,\"num_cat\":0,\"shrinkage\":1,\"tree_structure\":"
    "{\"leaf_value\":16,\"leaf_const\":8,\"leaf_features\":[1],\"leaf_coeff\":[0.5]}}],"
    "\"feature_importances\":{\"a\":1},\"pandas_categorical\":null}";

static void json_decisions(void **state)
{
    static const double rows[][2] = {
        {1, 2}, {33.5, 0}, {2, 5}, {2, INFINITY}, {2, 0}, {NAN, NAN}, {-1, -2},
    };
    static const double expected[] = {1 + 9, 1 + 8, 2 + 10.5, INFINITY, 4 + 8, 4 + 16, 2 + 7};

    (void)state;
    expect_rows(&tern_lightgbm_json, json, rows[0], expected, 7, 1);
}

static const struct {
    const char *from, *to, *error;
} json_damages[] = {
    {"\"v4\"", "\"v9\"", "version 'v9' is not known"},
    {"\"version\":\"v4\",", "", "the model has no version"},
    {"\"label_index\":0", "\"num_class\":1", "duplicate key 'num_class'"},
    {"\"num_class\":1", "\"num_class\":1.5", "num_class: expected a whole number"},
    {"\"max_feature_idx\":1,", "", "max_feature_idx is missing"},
    {"\"max_feature_idx\":1,", "\"max_feature_idx\":2,", "feature_names: expected 3"},
    {"\"regression\"", "\"custom fun\"", "what 'fun' does is not known"},
    {"\"feature_importances\":{\"a\":1}", "\"objective\":\"binary\"",
     "objective comes after tree_info"},
    {"\"tree_info\"", "\"tree_infos\"", "tree_info is missing"},
    {"\"pandas_categorical\":null}", "\"pandas_categorical\":null}}", "byte"},
    {"\"num_leaves\":3,\"num_cat\":1", "\"num_cat\":1,\"depth\":3",
     "what 'depth' does is not known"},
    {"\"num_leaves\":3,", "",
     "tree 0: failed to parse JSON: tree_structure comes before num_leaves"},
    {"\"num_leaves\":3", "\"num_leaves\":4", "num_leaves is 4, but there are 3"},
    {"\"num_leaves\":3", "\"num_leaves\":2", "leaf_index: expected a whole number up to 1"},
    {"\"num_leaves\":3", "\"num_leaves\":0", "num_leaves is 0"},
    {"\"num_leaves\":3", "\"num_leaves\":1000000", "num_leaves: expected a whole number"},
    {"\"split_index\":1", "\"split_index\":0", "split_index: 0 stands there twice"},
    {"\"split_index\":0", "\"split_index\":2", "split_index: 2, but num_leaves is 3"},
    {"\"split_index\":0,", "", "split_index is missing"},
    {"\"split_index\":0", "\"split_index\":-1", "split_index: expected a whole number"},
    {"\"split_gain\":5", "\"split_gold\":5", "what 'split_gold' of a node does is not known"},
    {"\"split_gain\":5", "\"split_feature\":0", "duplicate key 'split_feature'"},
    {"\"split_feature\":1", "\"split_feature\":2",
     "split_feature: expected a whole number up to 1"},
    {"\"1||33\"", "\"1||\"", "threshold: expected categories below 16777216 between"},
    {"\"1||33\"", "\"1|33\"", "threshold: expected categories"},
    {"\"1||33\"", "\"16777216\"", "threshold: expected categories"},
    {"\"1||33\"", "7", "threshold: expected categories"},
    {"1e300", "\"1\"", "threshold: expected a number"},
    {"1e300", "NaN", "byte"},
    {"\"==\"", "\"is\"", "decision_type: expected"},
    {"\"Zero\"", "\"zero\"", "missing_type: expected"},
    {"\"missing_type\":\"Zero\",", "", "missing_type is missing"},
    {"\"default_left\":false,\"missing_type\":\"Zero\"", "\"missing_type\":\"Zero\"",
     "default_left is missing"},
    {"\"leaf_index\":2", "\"leaf_index\":3", "leaf_index: expected a whole number up to 2"},
    {"\"leaf_index\":2", "\"leaf_index\":1", "tree 0"},
    {"\"leaf_index\":2,", "", "leaf_index is missing"},
    {",\"leaf_value\":4",
     ",\"leaf_value\":4,\"leaf_const\":1,\"leaf_features\":[],\"leaf_coeff\":[]",
     "leaf_const: other leaves have none"},
    {",\"leaf_value\":4", ",\"leaf_value\":4,\"left_child\":{\"leaf_value\":1,\"leaf_index\":0}",
     "a leaf with children"},
    {",\"leaf_value\":4", "", "split_index is missing"},
    {"\"leaf_coeff\":[0.5]", "\"leaf_coeff\":[0.5,1]", "leaf_features: 1, but leaf_coeff: 2"},
    {"\"leaf_features\":[1],", "", "leaf_features is missing"},
    {"\"leaf_features\":[1]", "\"leaf_features\":[2]", "leaf_features: expected a whole number"},
    {"\"leaf_value\":16", "\"leaf_value\":\"16\"", "byte"},
};

static void json_damaged(void **state)
{
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(json_damages) / sizeof(json_damages[0]); i++) {
        snprintf(text, sizeof(text), "%s", json);
        edit(text, json_damages[i].from, json_damages[i].to);
        expect_error(&tern_lightgbm_json, tern_str_of(text), json_damages[i].error);
    }
    for (size_t n = 0; n + 1 < sizeof(json); n++)
        expect_error(&tern_lightgbm_json, tern_str_make(json, n), "");
}

/* Each allocation of a load may fail: it is said, and nothing is left behind. */
static void without_memory(void **state)
{
    char text[TEXT_MAX];
    const struct {
        const struct tern_native_format *format;
        const char *text;
    } cases[] = {{&tern_lightgbm_text, text}, {&tern_lightgbm_json, json}};

    (void)state;
    whole(text);
    for (size_t i = 0; i < 2; i++)
        native_without_memory(cases[i].format, tern_str_of(cases[i].text));
}

static void probes(void **state)
{
    struct tern_str name = TERN_STR("model.bin");

    (void)state;
    assert_true(tern_lightgbm_text.probe(name, TERN_STR("tree\nversion=v4\n")) > 0);
    assert_true(tern_lightgbm_text.probe(name, TERN_STR("tree\r\nversion=v4\n")) > 0);
    assert_int_equal(tern_lightgbm_text.probe(name, TERN_STR("tree\n")), 0);
    assert_true(tern_lightgbm_json.probe(name, tern_str_of(json)) > 0);
    assert_true(tern_lightgbm_json.probe(name, TERN_STR(" {\n \"name\" : \"tree\"")) > 0);
    assert_true(tern_lightgbm_json.probe(name, TERN_STR("{\"average_output\": false")) > 0);
    assert_int_equal(tern_lightgbm_json.probe(name, TERN_STR("{\"learner\":{")), 0);
    assert_int_equal(tern_lightgbm_json.probe(name, TERN_STR("{")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions),      cmocka_unit_test(objectives),
        cmocka_unit_test(damaged),        cmocka_unit_test(truncated),
        cmocka_unit_test(uneven),         cmocka_unit_test(names_and_line_ends),
        cmocka_unit_test(json_decisions), cmocka_unit_test(json_damaged),
        cmocka_unit_test(without_memory), cmocka_unit_test(probes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
