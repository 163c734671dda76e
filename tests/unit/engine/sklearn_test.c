// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
// covers: engine/native/sklearn/sklearn_linear engine/native/sklearn/sklearn_net
// covers: engine/native/sklearn/sklearn_scale
// covers: engine/native/sklearn/sklearn_features engine/native/sklearn/sklearn_encode
// covers: engine/native/sklearn/sklearn_columns
// covers: engine/native/ops/op_encode
/* Pipelines of scikit-learn, linear models and nets: what the small ones of make_skops.py predict,
 * and what every damaged form of them is told. */
#include "skops_fixture.h"

/* ---- what models predict ---- */

static void a_long_pipeline(void **state)
{
    static const double shares[] = {
        0.00047362681271529247, 0.9348234805323877,  0.06470289265489684,   0.037190317328015164,
        0.5181313005404391,     0.44467838213154576, 0.25235892763672185,   0.06104224787080235,
        0.6865988244924758,     0.8450911596609313,  0.0011272362057910689, 0.15378160413327763};
    struct native_rig rig;

    (void)state;
    load(&rig, "pipeline", &none);
    expect_close(&rig, 1, "probabilities", shares, 3, 1e-13);
    assert_int_equal(rig.program.outputs[0].dtype, TERN_DTYPE_BYTES);
    native_free(&rig);
}

static void a_net(void **state)
{
    static const double values[] = {-1.063447015191854, -1.400851875445637, -1.0672388483028643,
                                    -1.4629333941662743};
    struct native_rig rig;

    (void)state;
    load(&rig, "net", &none);
    expect_close(&rig, 0, "output__0", values, 1, 1e-14);
    native_free(&rig);
}

static void shares_of_nothing_are_the_same(void **state)
{
    static const int64_t labels[] = {0, 0, 1, 1};
    static const double shares[] = {1, 0, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3, 0, 1, 0, 0, 1, 0};
    struct native_rig rig;

    (void)state;
    load(&rig, "sgd", &none);
    expect_labels(&rig, labels);
    expect_close(&rig, 1, "probabilities", shares, 3, 1e-15);
    native_free(&rig);
}

/* Without probabilities: what decision_function gives. */
static void scores_where_the_loss_has_no_shares(void **state)
{
    static const struct change hinge = {.from = "\\\"modified_huber\\\"", .to = "\\\"hinge\\\""};
    struct native_rig rig;

    (void)state;
    load(&rig, "sgd", &hinge);
    assert_true(tern_str_eq(rig.program.outputs[1].name, TERN_STR("scores")));
    native_free(&rig);
}

/* ---- columns ---- */

/* Two rows of columns n, city and k, of which city is this. */
static enum tern_code run_columns(struct native_rig *rig, const char *cities, size_t n_bytes,
                                  struct tern_tensor *ret)
{
    static double n[] = {1, 2}, k[] = {1, 7};
    static const uint32_t specs[] = {0, 1, 2}, output = 0;
    const struct tern_shape shape = {2, {2, 1}};
    char *copy = tern_arena_alloc(&rig->arena, 8, n_bytes);
    memcpy(copy, cities, n_bytes);
    const struct tern_tensor inputs[] = {
        {.dtype = TERN_DTYPE_FP64, .shape = shape, .data = n, .n_bytes = sizeof(n)},
        {.dtype = TERN_DTYPE_BYTES, .shape = shape, .data = copy, .n_bytes = n_bytes},
        {.dtype = TERN_DTYPE_FP64, .shape = shape, .data = k, .n_bytes = sizeof(k)},
    };
    const struct tern_engine_run engine_run = {.inputs = inputs,
                                               .input_spec = specs,
                                               .n_inputs = 3,
                                               .outputs = ret,
                                               .output_spec = &output,
                                               .n_outputs = 1,
                                               .arena = &rig->arena};

    return tern_program_run(&rig->program, &engine_run, &rig->err);
}

static void texts_have_inputs_of_their_own(void **state)
{
    static const double expected[] = {-1.091089451179962,  0, 1, 0, 1,
                                      -0.6546536707079772, 0, 0, 1, -1};
    static const char known[] = "\3\0\0\0low\6\0\0\0middle", unknown[] = "\1\0\0\0x\0\0\0\0";
    struct tern_tensor out;
    struct native_rig rig;

    (void)state;
    load(&rig, "columns", &none);
    assert_int_equal(rig.program.n_inputs, 3);
    assert_true(tern_str_eq(rig.program.inputs[1].name, TERN_STR("city")));
    assert_int_equal(rig.program.inputs[1].dtype, TERN_DTYPE_BYTES);
    assert_int_equal(run_columns(&rig, known, sizeof(known) - 1, &out), TERN_OK);
    for (size_t i = 0; i < TERN_COUNT_OF(expected); i++)
        assert_true(fabs(((const double *)out.data)[i] - expected[i]) < 1e-15);
    assert_int_equal(run_columns(&rig, unknown, sizeof(unknown) - 1, &out), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(rig.err.text, "encode: column 0: 'x' is no category"));
    native_free(&rig);
}

/* ---- what is refused ---- */

static void schemas_that_do_not_fit(void **state)
{
    static const struct {
        const char *model, *from, *to, *error;
    } damages[] = {
        {"pipeline", "\"SimpleImputer\"", "\"KNNImputer\"",
         "steps[0][1]: sklearn.impute._base.KNNImputer is not served natively"},
        {"pipeline", "\"steps\"", "\"stairs\"", "expected Pipeline to have the attribute 'steps'"},
        {"pipeline", KEY("n_features_in_", "2"), KEY("n_features_in_", "3"), "numbers, got 2"},
        {"pipeline", KEY("missing_values", "NaN"), KEY("missing_values", "true"),
         "steps[0][1].missing_values: "},
        {"pipeline", "\"file\":\"4.npy\"", "\"file\":\"1.npy\"", "steps[0][1].statistics_: "},
        {"pipeline", "\"file\":\"6.npy\"", "\"file\":\"1.npy\"", "steps[1][1].mean_: "},
        {"pipeline", "\"file\":\"8.npy\"", "\"file\":\"4.npy\"",
         "steps[1][1].scale_: expected 3 numbers, got 2"},
        {"pipeline", "\"file\":\"9.npy\"", "\"file\":\"4.npy\"",
         "steps[2][1].steps[0][1].scale_: expected 3 numbers, got 2"},
        {"pipeline", "\"file\":\"14.npy\"", "\"file\":\"4.npy\"",
         "steps[2][1].steps[1][1].center_: expected 3 numbers"},
        {"pipeline", KEY("_max_degree", "2"), KEY("_max_degree", "99"), "_max_degree: expected 0"},
        {"pipeline", KEY("_max_degree", "2"), KEY("_max_degree", "1"),
         "it was fitted on 10 columns and gets 4"},
        {"pipeline", KEY("norm", "\\\"max\\\""), KEY("norm", "\\\"l9\\\""),
         "norm: 'l9' is not known"},
        {"pipeline", "\"file\":\"20.npy\"", "\"file\":\"4.npy\"",
         "components_: expected rows of 10 numbers"},
        {"pipeline", "\"file\":\"18.npy\"", "\"file\":\"4.npy\"", "mean_: expected 10 numbers"},
        {"pipeline", "\"file\":\"26.npy\"", "\"file\":\"9.npy\"",
         "coef_: 3 numbers, expected 2 a score"},
        {"pipeline", "\"file\":\"26.npy\"", "\"file\":\"4.npy\"",
         "intercept_: 3 numbers for 1 scores"},
        {"pipeline", "\"file\":\"27.npy\"", "\"file\":\"4.npy\"",
         "intercept_: 2 numbers for 3 scores"},
        {"pipeline", KEY("solver", "\\\"lbfgs\\\""), KEY("solver", "1"),
         "solver: expected a string"},
        {"net", "\"coefs_\"", "\"coefficients_\"", "the attribute 'coefs_'"},
        {"net", KEY("activation", "\\\"tanh\\\""), KEY("activation", "\\\"step\\\""),
         "activation: 'step' is not known"},
        {"net", "\"file\":\"2.npy\"", "\"file\":\"1.npy\"",
         "coefs_[1]: expected coefficients of 3 inputs"},
        {"net", KEY("n_features_in_", "2"), KEY("n_features_in_", "5"),
         "coefs_[0]: expected coefficients of 5 inputs"},
        {"sgd", "\"file\":\"3.npy\"", "\"file\":\"2.npy\"", "labels are whole numbers or texts"},
        {"sgd", KEY("n_features_in_", "2"), KEY("n_features_in_", "6"),
         "intercept_: 3 numbers for 1 scores"},
        {"columns", "\"_transformer_to_input_indices\"", "\"_other\"",
         "the attribute '_transformer_to_input_indices'"},
        {"columns", KEY("transformer_weights", "null"), KEY("transformer_weights", "1"),
         "it has transformer_weights"},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(damages); i++) {
        const struct change change = {.from = damages[i].from, .to = damages[i].to};
        expect_refusal(damages[i].model, &change, damages[i].error);
    }
}

/* The fitted transformers come after those that were asked for: the last place is theirs. */
static void fitted_transformers_that_do_not_fit(void **state)
{
    static const struct {
        const char *from, *to, *error;
    } damages[] = {
        {"\"OneHotEncoder\"", "\"KBinsDiscretizer\"", "KBinsDiscretizer is not served natively"},
        {"\"OneHotEncoder\"", "\"ColumnTransformer\"",
         "ColumnTransformer is not served natively: it is within another one"},
        {"\"file\":\"4.npy\"", "\"file\":\"9.npy\"",
         "transformers_[0][1].scale_: the archive has no"},
        {KEY("_infrequent_enabled", "false"), KEY("_infrequent_enabled", "true"),
         "it groups categories that are infrequent"},
        {KEY("unknown_value", "-1"), KEY("unknown_value", "null"), "unknown_value: "},
        {"\"order\":{", "\"odour\":{", "expected 'order'"},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(damages); i++) {
        const struct change change = {
            .from = damages[i].from, .to = damages[i].to, .is_last = i != 5};
        expect_refusal("columns", &change, damages[i].error);
    }
}

static void without_memory(void **state)
{
    static const char *const models[] = {"pipeline", "net", "sgd", "columns"};

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
        cmocka_unit_test(a_long_pipeline),
        cmocka_unit_test(a_net),
        cmocka_unit_test(shares_of_nothing_are_the_same),
        cmocka_unit_test(scores_where_the_loss_has_no_shares),
        cmocka_unit_test(texts_have_inputs_of_their_own),
        cmocka_unit_test(schemas_that_do_not_fit),
        cmocka_unit_test(fitted_transformers_that_do_not_fit),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
