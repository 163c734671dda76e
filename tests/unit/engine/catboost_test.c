// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
// covers: engine/native/catboost/catboost_cbm engine/native/catboost/catboost_params
// covers: engine/native/catboost/catboost_ops
// covers: engine/native/catboost/catboost_json engine/native/catboost/catboost_json_trees
/* CatBoost's files: what their parts mean, on models small enough to be read, and what every
 * damaged form is told. That whole models predict as CatBoost does is shown in tests/oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include "engine/native/catboost/catboost.h"
#include "harness/native_memory.h"
#include "harness/native_rig.h"

#define TEXT_MAX 8192

static void expect_rows(const struct tern_native_format *format, struct tern_str text,
                        const float *rows, const double *expected, size_t n, size_t width)
{
    struct native_rig rig;
    struct tern_tensor got;

    if (native_load(&rig, format, text) != TERN_OK)
        fail_msg("%s", rig.err.text);
    assert_int_equal(rig.program.inputs[0].dtype, TERN_DTYPE_FP32);
    assert_int_equal(native_run(&rig, rows, n, (size_t)rig.program.inputs[0].shape.dim[1], &got),
                     TERN_OK);
    assert_int_equal(got.dtype, TERN_DTYPE_FP64);
    assert_int_equal(got.n_bytes, n * width * sizeof(double));
    for (size_t i = 0; i < n * width; i++) {
        double value = ((const double *)got.data)[i];
        if (fabs(value - expected[i]) > 1e-14 * fabs(expected[i]))
            fail_msg("value %zu: got %.17g, expected %.17g", i, value, expected[i]);
    }
    native_free(&rig);
}

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

/* The first `from` becomes `to`. */
static void edit(char text[TEXT_MAX], const char *from, const char *to)
{
    char copy[TEXT_MAX];
    char *at = strstr(text, from);

    assert_non_null(at);
    snprintf(copy, sizeof(copy), "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    memcpy(text, copy, sizeof(copy));
}

/* ---- JSON ---- */

/* Column 0 is a feature whose NaN is large, column 2 one whose NaN is small; column 1 holds
 * something else. */
#define FEATURES                                                                          \
    "{\"features_info\":{\"categorical_features\":[{\"feature_index\":0,"                 \
    "\"flat_feature_index\":1,\"feature_id\":\"town\"}],\"ctrs\":[],\"float_features\":[" \
    "{\"borders\":[0.5,1.5],\"feature_id\":\"age\",\"feature_index\":0,"                  \
    "\"flat_feature_index\":0,\"has_nans\":true,\"nan_value_treatment\":\"AsTrue\"},"     \
    "{\"borders\":[0.1],\"feature_id\":\"pay\",\"feature_index\":1,"                      \
    "\"flat_feature_index\":2,\"has_nans\":true,\"nan_value_treatment\":\"AsFalse\"}]},"
#define SPLIT0 \
    "{\"border\":0.5,\"float_feature_index\":0,\"split_index\":0,\"split_type\":\"FloatFeature\"}"
#define SPLIT1 \
    "{\"border\":1.5,\"float_feature_index\":0,\"split_index\":1,\"split_type\":\"FloatFeature\"}"
#define SPLIT2 \
    "{\"border\":0.1,\"float_feature_index\":1,\"split_index\":2,\"split_type\":\"FloatFeature\"}"

static const char symmetric[] = FEATURES
    "\"model_info\":{\"params\":{\"loss_function\":{\"params\":{},\"type\":\"RMSE\"}}},"
    "\"oblivious_trees\":[{\"leaf_values\":[1,2,4,8],\"leaf_weights\":[1,1,1,1],\"splits\":[" SPLIT0
    "," SPLIT2 "]},{\"leaf_values\":[0.5],\"splits\":null}],\"scale_and_bias\":[1,[100]]}";

static const char nested[] = FEATURES
    "\"scale_and_bias\":[2,[1,3]],\"trees\":[{\"left\":{\"value\":[1,10],\"weight\":4},\"right\":"
    "{\"left\":{\"value\":[2,20],\"weight\":5},\"right\":{\"value\":[3,30],\"weight\":6},"
    "\"split\":" SPLIT2 "},\"split\":" SPLIT1 "}]}";

static const float rows[][3] = {
    {0.5f, 9, 0.1f}, /* borders belong to the left */
    {0.6f, 9, -1},    {0, NAN, 0.2f},
    {2, 9, INFINITY}, {NAN, 9, NAN}, /* the first to the right, the second to the left */
};

static void json_symmetric(void **state)
{
    static const double expected[] = {101.5, 102.5, 104.5, 108.5, 102.5};

    (void)state;
    expect_rows(&tern_catboost_json, tern_str_of(symmetric), rows[0], expected, 5, 1);
}

static void json_nested(void **state)
{
    static const double expected[] = {3, 23, 3, 23, 3, 23, 7, 63, 5, 43};

    (void)state;
    expect_rows(&tern_catboost_json, tern_str_of(nested), rows[0], expected, 5, 2);
}

static void names(void **state)
{
    struct native_rig rig;

    (void)state;
    assert_int_equal(native_load(&rig, &tern_catboost_json, tern_str_of(symmetric)), TERN_OK);
    assert_int_equal(rig.program.n_feature_names, 3);
    assert_true(tern_str_eq(rig.program.feature_names[1], TERN_STR("town")));
    assert_true(tern_str_eq(rig.program.feature_names[2], TERN_STR("pay")));
    assert_int_equal(rig.program.inputs[0].shape.dim[1], 3);
    native_free(&rig);
}

/* Those that are only counted are passed over. */
static void classes(void **state)
{
    static const struct {
        const char *names, *first, *last;
    } cases[] = {
        {"[\"no\",\"y e s\"]", "no", "y e s"},
        {"[false, true]", "false", "true"},
        {"[-1,2.5 ]", "-1", "2.5"},
        {"[0,1]", NULL, NULL},
        {"[\"a\",\"b\",\"c\"]", NULL, NULL}, /* there are two outputs */
        {"{}", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TEXT_MAX], params[256];
        struct native_rig rig;
        snprintf(params, sizeof(params), "{\"class_params\":{\"class_names\":%s},\"params\"",
                 cases[i].names);
        snprintf(text, sizeof(text), "%s", symmetric);
        edit(text, "RMSE", "Logloss");
        edit(text, "{\"params\"", params);
        assert_int_equal(native_load(&rig, &tern_catboost_json, tern_str_of(text)), TERN_OK);
        assert_int_equal(tern_program_finish(&rig.program, NULL), TERN_OK);
        const struct tern_labels *labels = &rig.program.outputs[0].labels;
        assert_int_equal(labels->n, cases[i].first == NULL ? 0 : 2);
        if (labels->n > 0) {
            assert_true(tern_str_eq(labels->rows[0], tern_str_of(cases[i].first)));
            assert_true(tern_str_eq(labels->rows[1], tern_str_of(cases[i].last)));
        }
        native_free(&rig);
    }
}

/* The sum of the second row, 2.5 with a bias of 0, after each loss. */
static void losses(void **state)
{
    static const struct {
        const char *loss;
        uint32_t n;
        double values[2];
    } cases[] = {
        {"RMSE", 1, {2.5}},
        {"PythonUserDefinedPerObject", 1, {2.5}},
        {"Poisson", 1, {12.182493960703473}},
        {"Logloss", 2, {0.075858180021243602, 0.9241418199787564}},
        {"MultiClass", 2, {0.075858180021243602, 0.9241418199787564}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TEXT_MAX];
        snprintf(text, sizeof(text), "%s", symmetric);
        edit(text, "RMSE", cases[i].loss);
        edit(text, "[100]", "[0]");
        expect_rows(&tern_catboost_json, tern_str_of(text), rows[1], cases[i].values, 1,
                    cases[i].n);
    }
}

static void json_softmax(void **state)
{
    static const double expected[] = {0.5, 0.5};
    char text[TEXT_MAX];

    (void)state;
    snprintf(text, sizeof(text), "%s", nested);
    edit(text, "\"scale_and_bias\":[2,[1,3]]",
         "\"scale_and_bias\":[1,[9,0]],\"model_info\":{\"class_params\":{\"classes_count\":2},"
         "\"params\":{\"loss_function\":{\"type\":\"MultiClass\"}}}");
    expect_rows(&tern_catboost_json, tern_str_of(text), rows[0], expected, 1, 2);
}

static const struct {
    const char *from, *to, *error;
} damages[] = {
    {"features_info", "features", "features_info is missing"},
    {"oblivious_trees", "obvious_trees", "expected one of oblivious_trees and trees"},
    {"\"model_info\":{\"params\"", "\"trees\":[],\"x\":{\"params\"", "expected one of oblivious"},
    {"\"scale_and_bias\"", "\"features_info\":{},\"scale_and_bias\"", "duplicate key"},
    {"[1,[100]]", "[1]", "scale_and_bias: expected two values"},
    {"[1,[100]]", "[]", "scale_and_bias: expected two values"},
    {"[1,[100]]", "[1,[100],2]", "scale_and_bias: expected two values"},
    {"[1,[100]]", "[1,[100,2]]", "2 biases for 1 outputs"},
    {"[1,[100]]}", "[1,[100]]}}", "byte"},
    {"\"ctrs\":[]", "\"ctrs\":[{}]", "statistics of categories (CTR)"},
    {"RMSE", "RMSEWithUncertainty", "1 outputs, but the loss RMSEWithUncertainty has two"},
    {"{\"params\":{\"loss", "{\"class_params\":{\"classes_count\":5},\"params\":{\"loss",
     "classes_count says that there are other classes"},
    {"\"flat_feature_index\":0,", "", "flat_feature_index is missing"},
    {"\"feature_index\":1,", "", "feature_index is missing"},
    {"\"flat_feature_index\":1", "\"flat_feature_index\":1048576", "byte"},
    {"\"flat_feature_index\":1", "\"flat_feature_index\":-1", "byte"},
    {"\"AsTrue\"", "\"AsMuch\"", "nan_value_treatment: expected AsIs, AsFalse or AsTrue"},
    {"[0.5,1.5]", "[0.5,NaN]", "a border that is not a number"},
    {"\"has_nans\":true", "\"has_nans\":1", "byte"},
    {"\"split_type\":\"FloatFeature\"", "\"split_type\":\"OnlineCtr\"", "split_type OnlineCtr"},
    {"\"split_index\":0,", "", "tree 0: failed to parse JSON: split_index is missing"},
    {"\"split_index\":0", "\"split_index\":3", "split_index: 3, but there are 3 borders"},
    {"\"split_index\":0", "\"split_index\":1",
     "split_index 1 is another border than feature 0 at 0.5"},
    {"\"split_index\":0", "\"split_index\":2",
     "split_index 2 is another border than feature 0 at 0.5"},
    {"\"split_index\":0", "\"split_index\":0,\"split_index\":0", "duplicate key 'split_index'"},
    {"[1,2,4,8]", "[1,2,4]", "tree 0: failed to parse JSON: leaf_values: 3 for 4 leaves"},
    {"[1,2,4,8]", "[]", "0 values a leaf, expected 1 to 16384"},
    {"[1,2,4,8]", "[1,2,4,8,1,2,4,8]", "tree 1: failed to parse JSON: 1 values a leaf, but 2"},
    {"[1,2,4,8]", "[1,2,4,NaN]", "tree 0"},
    {"[1,1,1,1]", "[1,1,1]", "leaf_weights: 3 for 4 leaves"},
};

static const struct {
    const char *from, *to, *error;
} nested_damages[] = {
    {"[2,20]", "[2]", "1 values a leaf, but 2 in other leaves"},
    {"[2,20]", "20", "1 values a leaf, but 2 in other leaves"},
    {"{\"value\":[2,20],\"weight\":5}", "{}", "left is missing"},
    {",\"split\":" SPLIT1, "", "split is missing"},
    {"{\"value\":[2,20]", "{\"left\":{\"value\":[1,1]},\"value\":[2,20]", "a leaf with children"},
    {"[2,[1,3]]", "[NaN,[1,3]]", "the scale is not a number"},
    {"\"weight\":6", "\"weight\":\"6\"", "byte"},
};

static void json_damaged(void **state)
{
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        snprintf(text, sizeof(text), "%s", symmetric);
        edit(text, damages[i].from, damages[i].to);
        expect_error(&tern_catboost_json, tern_str_of(text), damages[i].error);
    }
    for (size_t i = 0; i < sizeof(nested_damages) / sizeof(nested_damages[0]); i++) {
        snprintf(text, sizeof(text), "%s", nested);
        edit(text, nested_damages[i].from, nested_damages[i].to);
        expect_error(&tern_catboost_json, tern_str_of(text), nested_damages[i].error);
    }
    for (size_t n = 0; n + 1 < sizeof(symmetric); n++)
        expect_error(&tern_catboost_json, tern_str_make(symmetric, n), "");
    for (size_t n = 0; n + 1 < sizeof(nested); n++)
        expect_error(&tern_catboost_json, tern_str_make(nested, n), "");
}

static void too_deep(void **state)
{
    static char text[65536];
    size_t n;

    (void)state;
    n = (size_t)snprintf(text, sizeof(text),
                         "%s\"scale_and_bias\":[1,[0]],\"oblivious_trees\":[{\"splits\":[",
                         FEATURES);
    for (int i = 0; i < 13; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i == 0 ? "" : ",", SPLIT0);
    snprintf(text + n, sizeof(text) - n, "],\"leaf_values\":[1]}]}");
    expect_error(&tern_catboost_json, tern_str_of(text),
                 "tree 0: a symmetric tree of depth 13; up to 12 are served");
}

/* ---- the binary form ---- */

/* What a .cbm is made of; rows of damages change one of these. */
enum {
    MAGIC,
    SIZE,
    VERSION,
    OUTPUTS,
    COLUMN,
    NANS,
    HAS_NANS,
    LEAVES,
    WEIGHTS,
    TREES,
    SIZE0,
    SIZE1,
    START1,
    SPLIT_0,
    SPLIT_1,
    CTRS,
    ONE_HOT,
    ESTIMATED,
    PARTS,
    STEPS,
    STEP0,
    STEP1,
    IDS,
    ID0,
    ID1,
    ID2,
    BIASES,
    SCALE,
    CATEGORY,
    SPEC_COUNT,
};

/* CatBoost's hashes of the texts "7" and "123456". */
#define HASH_7      4277023987u
#define HASH_123456 2564628181u

struct writer {
    char bytes[4096];
    size_t n;
};

static void put32(struct writer *w, size_t at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        w->bytes[at + (size_t)i] = (char)(value >> (8 * i));
}

static void add32(struct writer *w, uint32_t value)
{
    put32(w, w->n, value);
    w->n += 4;
}

static void add64(struct writer *w, double value)
{
    memcpy(w->bytes + w->n, &value, 8);
    w->n += 8;
}

/* A table whose fields, all 8 bytes wide, are not there yet. */
static size_t add_table(struct writer *w, uint16_t n_fields)
{
    size_t list = w->n;

    w->n += 4 + 2u * n_fields;
    size_t table = w->n;
    put32(w, list, (uint32_t)((4 + 2 * n_fields) | (4 + 8 * n_fields) << 16));
    put32(w, table, (uint32_t)(table - list));
    w->n += 4 + 8u * n_fields;
    return table;
}

static size_t place(struct writer *w, size_t table, uint16_t field)
{
    size_t list = table - (unsigned char)w->bytes[table];
    size_t at = 4 + 8u * field;

    w->bytes[list + 4 + 2u * field] = (char)at;
    return table + at;
}

static void set32(struct writer *w, size_t table, uint16_t field, uint32_t value)
{
    put32(w, place(w, table, field), value);
}

/* What is added next is what the field points to. */
static void point(struct writer *w, size_t table, uint16_t field)
{
    size_t at = place(w, table, field);

    put32(w, at, (uint32_t)(w->n - at));
}

static void set_text(struct writer *w, size_t table, uint16_t field, const char *text)
{
    point(w, table, field);
    add32(w, (uint32_t)strlen(text));
    memcpy(w->bytes + w->n, text, strlen(text));
    w->n += strlen(text);
}

static void set_list(struct writer *w, size_t table, uint16_t field, const uint32_t *list,
                     uint32_t n)
{
    point(w, table, field);
    add32(w, n);
    for (uint32_t i = 0; i < n; i++)
        add32(w, list[i]);
}

static void set_doubles(struct writer *w, size_t table, uint16_t field, uint32_t n)
{
    point(w, table, field);
    add32(w, n);
    for (uint32_t i = 0; i < n; i++)
        add64(w, i + 1);
}

/* A list of one table, which is added next. */
static void point_list(struct writer *w, size_t table, uint16_t field, size_t fields_before)
{
    point(w, table, field);
    add32(w, 1);
    add32(w, (uint32_t)(4 + fields_before));
}

static void add_info(struct writer *w, size_t core)
{
    point_list(w, core, 2, 4 + 2 * 2);
    size_t info = add_table(w, 2);
    set_text(w, info, 0, "params");
    set_text(w, info, 1, "{\"loss_function\":{\"type\":\"Poisson\"}}");
}

static void add_feature(struct writer *w, size_t trees, const uint32_t *spec)
{
    static const uint32_t borders[] = {0x3f000000, 0x3fc00000}; /* 0.5, 1.5 */

    point_list(w, trees, 5, 4 + 2 * 6);
    size_t feature = add_table(w, 6);
    w->bytes[place(w, feature, 0)] = (char)spec[HAS_NANS];
    set32(w, feature, 1, 0);
    set32(w, feature, 2, spec[COLUMN]);
    w->bytes[place(w, feature, 5)] = (char)spec[NANS];
    set_list(w, feature, 3, borders, 2);
    set_text(w, feature, 4, "age");
}

/* Column 1 holds categories, of which trees ask for 7 (bin 2) and 123456 (bin 3). */
static void add_categories(struct writer *w, size_t trees, const uint32_t *spec)
{
    static const uint32_t hashes[] = {HASH_7, HASH_123456};

    point_list(w, trees, 4, 4 + 2 * 2);
    size_t category = add_table(w, 2);
    set32(w, category, 0, 0);
    set32(w, category, 1, 1);
    point_list(w, trees, 6, 4 + 2 * 2);
    size_t one_hot = add_table(w, 2);
    set32(w, one_hot, 0, spec[CATEGORY]);
    set_list(w, one_hot, 1, hashes, 2);
}

/* Two trees: symmetric ones of two splits and one, or (STEPS) steps and a single leaf. */
static void add_trees(struct writer *w, size_t trees, const uint32_t *spec)
{
    const uint32_t splits[] = {spec[SPLIT_0], spec[SPLIT_1], 1};
    const uint32_t sizes[] = {spec[SIZE0], spec[SIZE1]};
    const uint32_t starts[] = {0, spec[START1]};
    const uint32_t steps[] = {spec[STEP0], spec[STEP1], 0};
    const uint32_t ids[] = {spec[ID0], spec[ID1], spec[ID2]};
    static const uint32_t some[] = {0};

    set32(w, trees, 0, spec[OUTPUTS]);
    set_list(w, trees, 1, splits, 3);
    set_list(w, trees, 2, sizes, spec[TREES]);
    set_list(w, trees, 3, starts, spec[TREES]);
    if (spec[ONE_HOT] > 0)
        add_categories(w, trees, spec);
    set_list(w, trees, 7, some, spec[CTRS]);
    set_doubles(w, trees, 8, spec[LEAVES]);
    set_doubles(w, trees, 9, spec[WEIGHTS]);
    set_list(w, trees, 10, steps, spec[STEPS]);
    set_list(w, trees, 11, ids, spec[IDS]);
    set_list(w, trees, 13, some, spec[ESTIMATED]);
    set_doubles(w, trees, 16, spec[BIASES]);
    double scale = (double)spec[SCALE];
    memcpy(w->bytes + place(w, trees, 14), &scale, 8);
}

static struct tern_str write_cbm(struct writer *w, const uint32_t *spec)
{
    static const uint32_t some[] = {0};

    memset(w, 0, sizeof(*w));
    add32(w, spec[MAGIC]);
    add32(w, 0);
    add32(w, 4 + 4 + 2 * 4); /* the root's place: after its list of fields */
    size_t core = add_table(w, 4);
    set_text(w, core, 0, spec[VERSION] == 1 ? "FlabuffersModel_v1" : "FlabuffersModel_v2");
    add_info(w, core);
    set_list(w, core, 3, some, spec[PARTS]);
    /* the table's own offset, past its list of fields */
    size_t at = place(w, core, 1);
    size_t trees = add_table(w, 18);
    put32(w, at, (uint32_t)(trees - at));
    add_feature(w, trees, spec);
    add_trees(w, trees, spec);
    put32(w, 4, (uint32_t)(w->n - 8 + spec[SIZE]));
    return tern_str_make(w->bytes, w->n);
}

static const uint32_t base[SPEC_COUNT] = {
    [MAGIC] = 0x314d4243, [VERSION] = 1,  [OUTPUTS] = 1, [LEAVES] = 6, [WEIGHTS] = 6,
    [TREES] = 2,          [SIZE0] = 2,    [SIZE1] = 1,   [START1] = 2, [SPLIT_0] = 0,
    [SPLIT_1] = 1,        [HAS_NANS] = 1, [NANS] = 2,    [BIASES] = 1, [SCALE] = 1,
};

/* The first tree asks whether the category is 7, the second still about a number. */
static void cbm_categories(void **state)
{
    static const float x[][2] = {{0, 7}, {0, 123456}, {0, 7.5f}, {0, NAN}, {2, 7}, {0, -7}};
    const double expected[] = {exp(3 + 5 + 1), exp(1 + 5 + 1), exp(1 + 5 + 1),
                               exp(1 + 5 + 1), exp(3 + 6 + 1), exp(1 + 5 + 1)};
    uint32_t spec[SPEC_COUNT];
    struct writer w;

    (void)state;
    memcpy(spec, base, sizeof(base));
    spec[ONE_HOT] = 1;
    spec[SPLIT_0] = 3;
    spec[SPLIT_1] = 2;
    expect_rows(&tern_catboost_cbm, write_cbm(&w, spec), x[0], expected, 1, 1);
    expect_rows(&tern_catboost_cbm, write_cbm(&w, spec), x[2], expected + 2, 4, 1);
    spec[SPLIT_0] = 2;
    spec[SPLIT_1] = 3;
    const double second[] = {exp(2 + 5 + 1), exp(3 + 5 + 1)};
    expect_rows(&tern_catboost_cbm, write_cbm(&w, spec), x[0], second, 2, 1);
    spec[CATEGORY] = 1;
    expect_error(&tern_catboost_cbm, write_cbm(&w, spec), "of the feature 1");
    spec[CATEGORY] = 0;
    spec[SPLIT_0] = 4;
    expect_error(&tern_catboost_cbm, write_cbm(&w, spec),
                 "tree 0: split 4, but there are 4 borders");
}

/* One tree, of a step that asks and two that are leaves; the leaf of the last has the first value.
 */
static void stepped(uint32_t spec[SPEC_COUNT])
{
    memcpy(spec, base, sizeof(base));
    spec[LEAVES] = 3;
    spec[WEIGHTS] = 3;
    spec[STEPS] = 3;
    spec[IDS] = 3;
    spec[TREES] = 1;
    spec[SIZE0] = 3;
    spec[STEP0] = 1 | 2u << 16;
    spec[ID0] = UINT32_MAX;
    spec[ID1] = 1;
    spec[ID2] = 0;
}

/* e to the sum of two leaves and the bias, 1 */
static void cbm_symmetric(void **state)
{
    static const float x[] = {0.5f, 1, 2, NAN};
    const double expected[] = {exp(1 + 5 + 1), exp(2 + 5 + 1), exp(4 + 6 + 1), exp(4 + 6 + 1)};
    struct writer w;

    (void)state;
    expect_rows(&tern_catboost_cbm, write_cbm(&w, base), x, expected, 4, 1);
}

static void cbm_steps(void **state)
{
    static const float x[] = {0.5f, 1, NAN};
    const double expected[] = {exp(2 + 1), exp(1 + 1), exp(1 + 1)};
    const double ends[] = {exp(2 + 1), exp(3 + 1), exp(3 + 1)};
    uint32_t spec[SPEC_COUNT];
    struct writer w;

    (void)state;
    stepped(spec);
    expect_rows(&tern_catboost_cbm, write_cbm(&w, spec), x, expected, 3, 1);
    spec[STEP0] = 1u << 16; /* to the left the walk ends at once */
    spec[SIZE0] = 2;
    spec[ID0] = 1;
    spec[ID1] = 2;
    expect_rows(&tern_catboost_cbm, write_cbm(&w, spec), x, ends, 3, 1);
    spec[SIZE0] = 0;
    expect_error(&tern_catboost_cbm, write_cbm(&w, spec), "tree 0: no steps");
}

static const struct {
    int what;
    uint32_t value;
    const char *error;
} cbm_damages[] = {
    {SIZE, 1, "the model is of"},
    {VERSION, 2, "FormatVersion 'FlabuffersModel_v2' is not known"},
    {OUTPUTS, 0, "ApproxDimension is 0, expected 1 to 16384"},
    {OUTPUTS, 99999, "ApproxDimension is 99999"},
    {OUTPUTS, 2, "LeafWeights: 6, but LeafValues: 6 of 2 outputs"},
    {COLUMN, UINT32_MAX, "FloatFeatures 0: a feature in column -1"},
    {COLUMN, 1u << 20, "FloatFeatures 0: a feature in column 1048576"},
    {NANS, 3, "FloatFeatures 0: NanValueTreatment is 3, expected 0 to 2"},
    {LEAVES, 5, "LeafWeights: 6, but LeafValues: 5"},
    {SIZE0, 3, "tree 0: LeafValues: 6, but 8 are needed"},
    {SIZE0, 4, "tree 0: 4 splits from 0 on, expected from 0 of 3"},
    {SIZE0, 1, "tree 1: 1 splits from 2 on, expected from 1 of 3"},
    {SIZE1, 2, "tree 1: 2 splits from 2 on"},
    {START1, 1, "tree 1: 1 splits from 1 on, expected from 2 of 3"},
    {SPLIT_0, 2, "tree 0: split 2, but there are 2 borders"},
    {SPLIT_1, UINT32_MAX, "tree 0: split 4294967295, but there are 2 borders"},
    {CTRS, 1, "statistics of categories (CTR)"},
    {ESTIMATED, 1, "texts or embeddings"},
    {PARTS, 1, "1 parts after the trees are not served"},
    {STEPS, 2, "NonSymmetricStepNodes: 2, but TreeSplits: 3"},
    {BIASES, 2, "2 biases for 1 outputs"},
};

static const struct {
    int what;
    uint32_t value;
    const char *error;
} step_damages[] = {
    {STEP0, 3, "tree 0: step 0 leads to step 3 of 3"},
    {STEP0, 1 | 1u << 16, "tree 0"},
    {STEP1, 2, "tree 0: step 1 leads to step 3 of 3"},
    {ID1, 3, "tree 0: "},
    {ID2, 3, "tree 0: a leaf's value at 3, expected from 1 on for 2 leaves"},
    {ID2, UINT32_MAX, "tree 0: a leaf's value at 4294967295"},
    {IDS, 2, "NonSymmetricNodeIdToLeafId: 2"},
    {SPLIT_0, 7, "tree 0: split 7, but there are 2 borders"},
};

static void cbm_damaged(void **state)
{
    uint32_t spec[SPEC_COUNT];
    struct writer w;

    (void)state;
    for (size_t i = 0; i < sizeof(cbm_damages) / sizeof(cbm_damages[0]); i++) {
        memcpy(spec, base, sizeof(base));
        spec[cbm_damages[i].what] = cbm_damages[i].value;
        expect_error(&tern_catboost_cbm, write_cbm(&w, spec), cbm_damages[i].error);
    }
    for (size_t i = 0; i < sizeof(step_damages) / sizeof(step_damages[0]); i++) {
        stepped(spec);
        spec[step_damages[i].what] = step_damages[i].value;
        expect_error(&tern_catboost_cbm, write_cbm(&w, spec), step_damages[i].error);
    }
    struct tern_str whole = write_cbm(&w, base);
    for (size_t n = 0; n < whole.n; n++)
        expect_error(&tern_catboost_cbm, tern_str_make(whole.p, n), "");
}

/* Any byte may be wrong: it is refused, or it runs. */
static void cbm_any_byte(void **state)
{
    struct writer w;
    size_t n = write_cbm(&w, base).n;

    (void)state;
    for (size_t at = 0; at < n; at++) {
        struct native_rig rig;
        struct tern_tensor got;
        float row[64] = {1};
        char was = w.bytes[at];
        w.bytes[at] = (char)(was ^ 0x85);
        if (native_load(&rig, &tern_catboost_cbm, tern_str_make(w.bytes, n)) == TERN_OK &&
            rig.program.inputs[0].shape.dim[1] <= 64)
            assert_int_equal(
                native_run(&rig, row, 1, (size_t)rig.program.inputs[0].shape.dim[1], &got),
                TERN_OK);
        native_free(&rig);
        w.bytes[at] = was;
    }
}

/* Each allocation of a load may fail: it is said, and nothing is left behind. */
static void without_memory(void **state)
{
    struct writer w;
    const struct {
        const struct tern_native_format *format;
        struct tern_str text;
    } cases[] = {{&tern_catboost_json, tern_str_of(symmetric)},
                 {&tern_catboost_json, tern_str_of(nested)},
                 {&tern_catboost_cbm, write_cbm(&w, base)}};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        native_without_memory(cases[i].format, cases[i].text);
}

static void probes(void **state)
{
    struct tern_str name = TERN_STR("model.bin");

    (void)state;
    assert_true(tern_catboost_cbm.probe(name, TERN_STR("CBM1xxxx")) > 0);
    assert_int_equal(tern_catboost_cbm.probe(name, TERN_STR("CBM2")), 0);
    assert_true(tern_catboost_json.probe(name, tern_str_of(symmetric)) > 0);
    assert_true(tern_catboost_json.probe(name, TERN_STR("\n{ \"ctr_data\"")) > 0);
    assert_int_equal(tern_catboost_json.probe(name, TERN_STR("{\"learner\"")), 0);
    assert_int_equal(tern_catboost_json.probe(name, TERN_STR("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_symmetric), cmocka_unit_test(json_nested),
        cmocka_unit_test(names),          cmocka_unit_test(classes),
        cmocka_unit_test(losses),         cmocka_unit_test(json_softmax),
        cmocka_unit_test(json_damaged),   cmocka_unit_test(too_deep),
        cmocka_unit_test(cbm_symmetric),  cmocka_unit_test(cbm_categories),
        cmocka_unit_test(cbm_steps),      cmocka_unit_test(cbm_damaged),
        cmocka_unit_test(cbm_any_byte),   cmocka_unit_test(without_memory),
        cmocka_unit_test(probes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
