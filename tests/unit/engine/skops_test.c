// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
// covers: engine/native/sklearn/skops engine/native/sklearn/skops_read
// covers: engine/native/sklearn/skops_schema
// covers: engine/native/sklearn/sklearn engine/native/sklearn/sklearn_classes
// covers: engine/native/sklearn/sklearn_growth
// covers: engine/native/sklearn/sklearn_trees engine/native/sklearn/sklearn_boosting
// covers: engine/native/sklearn/sklearn_hist
// covers: engine/native/sklearn/sklearn_isolation engine/native/sklearn/sklearn_steps
// covers: engine/native/ops/op_decide
/* Models of scikit-learn: what the small ones of make_skops.py predict, and what every damaged form
 * of them is told. That whole models predict as scikit-learn does is shown in tests/oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "skops_fixture.h"

static void a_tree_and_its_names(void **state)
{
    static const double expected[] = {0.0, 3.5, 1.2666666666666666, 1.2666666666666666};
    struct native_rig rig;

    (void)state;
    load(&rig, "tree", &none);
    assert_int_equal(rig.program.inputs[0].dtype, TERN_DTYPE_FP32);
    expect_numbers(&rig, 0, "output__0", expected, 1);
    assert_int_equal(rig.program.n_feature_names, 2);
    assert_true(tern_str_eq(rig.program.feature_names[1], TERN_STR("b")));
    native_free(&rig);
}

static void a_forest_of_texts(void **state)
{
    static const double shares[] = {0.17857142857142858,
                                    0.6785714285714286,
                                    0.14285714285714285,
                                    0.09375,
                                    0.625,
                                    0.28125,
                                    0.0,
                                    0.21428571428571427,
                                    0.7857142857142857,
                                    0.24759615384615385,
                                    0.125,
                                    0.6274038461538461};
    static const char labels[] = "\3\0\0\0low\3\0\0\0low\6\0\0\0middle\6\0\0\0middle";
    struct native_rig rig;

    (void)state;
    load(&rig, "forest", &none);
    expect_numbers(&rig, 1, "probabilities", shares, 3);
    struct tern_tensor out = run(&rig, 0);
    assert_int_equal(out.dtype, TERN_DTYPE_BYTES);
    assert_int_equal(out.n_bytes, sizeof(labels) - 1);
    assert_memory_equal(out.data, labels, sizeof(labels) - 1);
    native_free(&rig);
}

/* Nodes of before 1.3 hold weights of classes. */
static void weights_are_made_shares(void **state)
{
    /* the last leaf's shares are 0, 0, 4 */
    static const struct change heavy = {.member = "11.npy", .at = 1, .value = 0x40};
    static const struct change old = {.from = "1.9.1",
                                      .to = "1.2.2",
                                      .is_last = true, /* the forest's own */
                                      .member = "11.npy",
                                      .at = 1,
                                      .value = 0x40};
    struct native_rig rig;

    (void)state;
    for (int i = 0; i < 2; i++) {
        double largest = 0;
        load(&rig, "forest", i == 0 ? &heavy : &old);
        const double *shares = run(&rig, 1).data;
        for (int row = 0; row < ROWS; row++)
            largest = fmax(largest, shares[row * 3] + shares[row * 3 + 1] + shares[row * 3 + 2]);
        assert_true(i == 0 ? largest > 1.2 : fabs(largest - 1) < 1e-12);
        native_free(&rig);
    }
}

static void boosted_trees(void **state)
{
    static const int64_t labels[] = {0, 0, 1, 1};
    static const double shares[] = {0.5029704000069712, 0.2945190797023339,  0.20251052029069486,
                                    0.5029704000069712, 0.2945190797023339,  0.20251052029069486,
                                    0.3251829668422358, 0.45107060302090557, 0.22374643013685866,
                                    0.2689858773489868, 0.37311801130955147, 0.35789611134146176};
    struct native_rig rig;

    (void)state;
    load(&rig, "boosting", &none);
    expect_labels(&rig, labels);
    expect_numbers(&rig, 1, "probabilities", shares, 3);
    native_free(&rig);
}

/* Before 1.4 losses had other names, and a class of their own had its guess elsewhere: softmax does
 * not mind. */
static void losses_of_older_versions(void **state)
{
    static const int64_t labels[] = {0, 0, 1, 1};
    static const struct change old = {
        .from = "\"HalfMultinomialLoss\",\"__module__\":\"sklearn._loss.loss\"",
        .to = "\"MultinomialDeviance\",\"__module__\":\"sklearn.ensemble._gb_losses\""};
    struct native_rig rig;

    (void)state;
    load(&rig, "boosting", &old);
    expect_labels(&rig, labels);
    native_free(&rig);
}

static void trees_over_histograms_and_categories(void **state)
{
    static const int64_t labels[] = {0, 0, 0, 0};
    static const double shares[] = {0.6946510168374764,  0.30534898316252357, 0.6946510168374764,
                                    0.30534898316252357, 0.5041259629154353,  0.4958740370845647,
                                    0.6946510168374764,  0.30534898316252357};
    struct native_rig rig;

    (void)state;
    load(&rig, "hist", &none);
    assert_int_equal(rig.program.inputs[0].dtype, TERN_DTYPE_FP64);
    expect_labels(&rig, labels);
    expect_numbers(&rig, 1, "probabilities", shares, 2);
    native_free(&rig);
}

static void isolated_rows(void **state)
{
    static const int64_t labels[] = {-1, 1, -1, -1};
    static const double scores[] = {-0.09113631468473726, 0.03130248825515303, -0.03213909623826494,
                                    -0.020661086083214597};
    struct native_rig rig;

    (void)state;
    load(&rig, "isolation", &none);
    expect_labels(&rig, labels);
    expect_numbers(&rig, 1, "scores", scores, 1);
    native_free(&rig);
}

/* ---- what is refused ---- */

static void schemas_that_do_not_fit(void **state)
{
    static const struct {
        const char *model, *from, *to, *error;
    } damages[] = {
        {"tree", "{", "[", "schema.json: failed to parse JSON: expected an object"},
        {"tree", "\"protocol\":2", "\"protocol\":3", "another protocol than 0 to 2"},
        {"tree", "\"protocol\":2", "\"protocol\":1.5", "another protocol than 0 to 2"},
        {"tree", "\"protocol\":2", "\"protocoll\":2", "expected 'protocol'"},
        {"tree", "\"__loader__\":\"JsonNode\",", "", "expected '__loader__' in the object"},
        {"tree", "\"__class__\":\"Tree\"", "\"__klass__\":\"Tree\"", "expected '__class__'"},
        {"tree", "\"__class__\":\"Tree\"", "\"__class__\":\"Tree\",\"__class__\":\"T\"",
         "'__class__'"},
        {"tree", "DecisionTreeRegressor", "DecisionTreeRegression",
         "sklearn.tree._classes.DecisionTreeRegression is not served natively: the class is not "
         "known here; export the model to ONNX (skl2onnx)"},
        {"tree", "sklearn.tree._classes", "mine.tree", "mine.tree.DecisionTreeRegressor is not"},
        {"tree", KEY("n_features_in_", "2"), KEY("n_features_in_", "1"),
         "feature_names_in_: expected 1 names, got 2"},
        {"tree", KEY("n_features_in_", "2"), KEY("n_features_in_", "0"),
         "n_features_in_: expected 1 to 16777216, got 0"},
        {"tree", KEY("n_features_in_", "2"), KEY("n_features_in_", "2.5"),
         "n_features_in_: expected a whole number"},
        {"tree", KEY("n_features_in_", "2"), KEY("n_features_in_", "2 3"), "n_features_in_: "},
        {"tree", KEY("n_features_in_", "2"), KEY("n_features_inn", "2"),
         "expected DecisionTreeRegressor to have the attribute 'n_features_in_': was it fitted?"},
        {"tree", KEY("n_features_in_", "2"),
         KEY("n_features_in_", "2") "," KEY("n_features_in_", "2"),
         "n_features_in_: expected this attribute once"},
        {"tree", KEY("n_outputs_", "1"), KEY("n_outputs_", "2"),
         "tree_.values: 5 numbers, expected 2 for each of 5 nodes"},
        {"tree", "\"file\":\"2.npy\"", "\"file\":\"9.npy\"",
         "tree_.nodes: the archive has no member '9.npy'"},
        {"tree", "\"file\":\"2.npy\"", "\"file\":\"3.npy\"",
         "tree_.nodes: expected a list of nodes"},
        {"tree", "\"file\":\"3.npy\"", "\"file\":\"2.npy\"",
         "tree_.values: expected an array of numbers"},
        {"tree", "\"tree_\"", "\"bush_\"", "the attribute 'tree_'"},
        {"tree", "\"content\":\"\\\"a\\\"\"", "\"content\":\"1\"",
         "feature_names_in_[0]: expected a string"},
        {"forest", "\"estimators_\"", "\"estimates_\"", "the attribute 'estimators_'"},
        {"forest", KEY("n_outputs_", "1"), KEY("n_outputs_", "2"), "it has several outputs"},
        {"forest", "\"file\":\"1.npy\"", "\"file\":\"3.npy\"",
         "classes_: expected a list of classes"},
        {"forest", "\"file\":\"1.npy\"", "\"file\":\"6.npy\"",
         "classes_: expected a list of classes"},
        {"forest", "\"file\":\"11.npy\"", "\"file\":\"10.npy\"",
         "estimators_[1].tree_.values: expected an array of numbers"},
        {"boosting", "\"HalfMultinomialLoss\"", "\"HalfBinomialLoss\"",
         "its loss is not one for 3 classes"},
        {"boosting", "\"HalfMultinomialLoss\"", "\"OtherLoss\"",
         "_loss: sklearn._loss.loss.OtherLoss"},
        {"boosting", "sklearn._loss.loss", "sklearn.other", "the loss is not known here"},
        {"boosting", "\"DummyClassifier\"", "\"LogisticRegression\"",
         "its 'init' is an estimator of its own"},
        {"boosting", KEY("strategy", "\\\"prior\\\""), KEY("strategy", "\\\"uniform\\\""),
         "init_.strategy: 'uniform' is not known"},
        {"boosting", "\"file\":\"3.npy\"", "\"file\":\"4.npy\"",
         "init_.class_prior_: expected 3 numbers, got 1"},
        {"hist", "\"HalfBinomialLoss\"", "\"HalfSquaredError\"", "not one for 2 classes"},
        {"hist", "\"file\":\"11.npy\"", "\"file\":\"1.npy\"",
         "_baseline_prediction: expected 1 numbers, got 2"},
        {"hist", "\"_predictors\"", "\"_prediction\"", "the attribute '_predictors'"},
        {"hist", "\"file\":\"12.npy\"", "\"file\":\"1.npy\"",
         "_predictors[0][0].nodes: expected a list of nodes"},
        {"isolation", "\"_decision_path_lengths\"", "\"_lengths\"", "before scikit-learn 1.3"},
        {"isolation", "\"estimators_features_\"", "\"estimators_f_\"", "'estimators_features_'"},
        {"isolation", KEY("_max_samples", "8"), KEY("_max_samples", "-8"),
         "_max_samples: expected"},
        {"isolation", "\"file\":\"10.npy\"", "\"file\":\"9.npy\"",
         "_average_path_length_per_tree[0]: 2 numbers for 9 nodes"},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(damages); i++) {
        const struct change change = {.from = damages[i].from, .to = damages[i].to};
        expect_refusal(damages[i].model, &change, damages[i].error);
    }
}

/* Nodes of trees have 64 bytes, those of histograms 56. */
static void arrays_that_do_not_fit(void **state)
{
    static const struct {
        const char *model, *member;
        size_t at;
        unsigned char value;
        const char *error;
    } damages[] = {
        {"tree", "2.npy", 5 * 64, 5, "tree_.nodes: node 0: its child 5 is none of the 5 nodes"},
        {"tree", "2.npy", 5 * 64, 0xfe, "node 0: its child 254 is none"},
        {"tree", "2.npy", 5 * 64 - 15, 0xff, "node 0: its child -"},
        {"tree", "2.npy", 5 * 64, 0, "tree_.nodes: tree 0, node 0: two nodes lead to it"},
        {"tree", "2.npy", 5 * 64 - 16, 2, "node 0: feature 2, the tree has 2"},
        {"tree", "2.npy", 5 * 64 - 23, 0xff, "node 0: feature -"},
        {"tree", "3.npy", 1, 0x7f, "tree_.values: element 4 is nan"},
        {"tree", "3.npy", 41, 'x', "tree_.values: NPY: "},
        {"hist", "12.npy", 5 * 56 - 29, 9, "nodes: node 0: its child 9 is none of the 5 nodes"},
        {"hist", "12.npy", 5 * 56 - 12, 7, "nodes: node 0: feature 7, the model has 2"},
        {"hist", "12.npy", 5 * 56 - 52, 3, "nodes: node 0: set 3 of 1"},
        {"hist", "3.npy", 1, 0xc0, "a category is no whole number from 0 to 2^24"},
        {"isolation", "7.npy", 8, 2, "estimators_features_[0]: feature 2, the model has 2"},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(damages); i++) {
        const struct change change = {
            .member = damages[i].member, .at = damages[i].at, .value = damages[i].value};
        expect_refusal(damages[i].model, &change, damages[i].error);
    }
}

static void every_shorter_file_is_refused(void **state)
{
    struct native_rig rig;
    struct tern_str file;
    char *owned = read_whole("forest", &file);

    (void)state;
    for (size_t n = 0; n < file.n; n += 7) {
        assert_int_not_equal(native_load(&rig, &tern_skops_format, tern_str_make(file.p, n)),
                             TERN_OK);
        native_free(&rig);
    }
    tern_mem_free(owned);
}

static void deep_schemas_are_refused(void **state)
{
    struct zip_write w;
    struct native_rig rig;
    struct tern_buf text;

    (void)state;
    tern_buf_init(&text, 1u << 20);
    TERN_BUF_ADD_LITERAL(&text, "{\"protocol\":2,\"__class__\":\"list\",\"content\":[");
    for (int i = 0; i < 65; i++)
        TERN_BUF_ADD_LITERAL(&text, "{\"__class__\":\"list\",\"content\":[");
    for (int i = 0; i < 65; i++)
        TERN_BUF_ADD_LITERAL(&text, "]}");
    TERN_BUF_ADD_LITERAL(&text, "]}");
    zip_begin(&w);
    zip_add(&w, "schema.json", tern_buf_str(&text), true);
    assert_int_equal(native_load(&rig, &tern_skops_format, zip_end(&w)), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig.err.text, "within each other at most 64 times"));
    native_free(&rig);
    zip_free(&w);
    zip_begin(&w);
    zip_add(&w, "other.json", TERN_STR("{}"), false);
    assert_int_equal(native_load(&rig, &tern_skops_format, zip_end(&w)), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig.err.text, "has no schema.json"));
    native_free(&rig);
    zip_free(&w);
    tern_buf_fini(&text);
}

static void files_are_known_by_what_is_in_them(void **state)
{
    struct tern_str file, name = TERN_STR("model.bin");
    char *owned = read_whole("forest", &file);

    (void)state;
    assert_int_equal(tern_skops_format.probe(TERN_STR("model.skops"), TERN_STR("")), 100);
    assert_int_equal(tern_skops_format.probe(name, TERN_STR("")), 0);
    assert_int_equal(tern_skops_format.probe(name, tern_str_make(file.p, 64)), 100);
    assert_int_equal(tern_skops_format.probe(name, tern_str_make(file.p, 32)), 0);
    file.p = owned;
    owned[30] = 'x'; /* the first member's name */
    assert_int_equal(tern_skops_format.probe(name, tern_str_make(owned, 64)), 0);
    tern_mem_free(owned);
}

static void without_memory(void **state)
{
    static const char *const models[] = {"tree", "forest", "boosting", "hist", "isolation"};

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(models); i++) {
        struct tern_str file;
        char *owned = read_whole(models[i], &file);
        native_without_memory(&tern_skops_format, file);
        tern_mem_free(owned);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_and_its_names),
        cmocka_unit_test(a_forest_of_texts),
        cmocka_unit_test(weights_are_made_shares),
        cmocka_unit_test(boosted_trees),
        cmocka_unit_test(losses_of_older_versions),
        cmocka_unit_test(trees_over_histograms_and_categories),
        cmocka_unit_test(isolated_rows),
        cmocka_unit_test(schemas_that_do_not_fit),
        cmocka_unit_test(arrays_that_do_not_fit),
        cmocka_unit_test(every_shorter_file_is_refused),
        cmocka_unit_test(deep_schemas_are_refused),
        cmocka_unit_test(files_are_known_by_what_is_in_them),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
