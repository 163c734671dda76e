/* The native engine as the registry sees it: what a configuration calls things, FIL's options,
 * kinds of files, and rows that lie anywhere and have any datatype. */
// covers: engine/native/formats engine/native/native engine/native/native_options
// covers: engine/native/ops/op_forest engine/native/convert engine/native/program
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/native/convert.h"
#include "engine/native/format.h"
#include "engine/native/native.h"
#include "engine/native/native_options.h"

/* Two stumps of LightGBM over two features, for two classes: sigmoid(sum). */
static const char model[] = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\n"
                            "label_index=0\nmax_feature_idx=1\nobjective=binary sigmoid:1\n"
                            "feature_names=age income\nfeature_infos=[0:99] [0:9]\n"
                            "tree_sizes=0 0\n\n"
                            "Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nsplit_gain=1\n"
                            "threshold=30.5\ndecision_type=2\nleft_child=-1\nright_child=-2\n"
                            "leaf_value=-1 1\nleaf_weight=1 1\nleaf_count=5 5\n"
                            "internal_value=0\ninternal_weight=0\ninternal_count=10\n"
                            "is_linear=0\nshrinkage=1\n\n\n"
                            "Tree=1\nnum_leaves=2\nnum_cat=0\nsplit_feature=1\nsplit_gain=1\n"
                            "threshold=4.5\ndecision_type=2\nleft_child=-1\nright_child=-2\n"
                            "leaf_value=-2 2\nleaf_weight=1 1\nleaf_count=5 5\n"
                            "internal_value=0\ninternal_weight=0\ninternal_count=10\n"
                            "is_linear=0\nshrinkage=1\n\n\n"
                            "end of trees\n";

struct rig {
    struct tern_arena arena;
    struct tern_engine_model model;
    struct tern_err err;
    enum tern_code code;
};

static char padded[sizeof(model) + TERN_NATIVE_PAD];

static void open_rig(struct rig *rig, struct tern_engine_load spec)
{
    memcpy(padded, model, sizeof(model));
    memset(rig, 0, sizeof(*rig));
    tern_arena_init(&rig->arena, 4096, 1 << 20);
    spec.name = TERN_STR("m");
    if (spec.path == NULL)
        spec.path = "model.txt";
    if (spec.bytes.p == NULL)
        spec.bytes = tern_str_make(padded, sizeof(model) - 1);
    rig->code = tern_native_engine.load(&spec, &rig->arena, &rig->model, &rig->err);
}

static void close_rig(struct rig *rig)
{
    if (rig->code == TERN_OK)
        tern_native_engine.unload(&rig->model);
    tern_arena_fini(&rig->arena);
}

static void run(struct rig *rig, struct tern_tensor *input, struct tern_tensor *output)
{
    static const uint32_t first = 0;
    const struct tern_engine_run given = {.inputs = input,
                                          .input_spec = &first,
                                          .n_inputs = 1,
                                          .outputs = output,
                                          .output_spec = &first,
                                          .n_outputs = 1,
                                          .arena = &rig->arena};
    void *instance;

    assert_int_equal(tern_native_engine.instance_new(&rig->model, &instance, &rig->err), TERN_OK);
    rig->code = tern_native_engine.infer(&rig->model, instance, &given, &rig->err);
    tern_native_engine.instance_free(&rig->model, instance);
}

static double rows[] = {20, 1, 40, 1, 40, 9, (double)NAN, 9};

static struct tern_tensor two_wide(void *data, enum tern_dtype dtype, int64_t n)
{
    return (struct tern_tensor){.name = TERN_STR("x"),
                                .dtype = dtype,
                                .shape = {2, {n, 2}},
                                .data = data,
                                .n_bytes = (size_t)n * 2 * tern_dtype_size(dtype)};
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static void as_it_is(void **state)
{
    static const double sums[] = {-3, -1, 3, 1}; /* missing, where that means nothing, is 0 */
    struct rig rig;
    struct tern_tensor input = two_wide(rows, TERN_DTYPE_FP64, 4), output = {.data = NULL};

    (void)state;
    open_rig(&rig, (struct tern_engine_load){.threads = 1});
    assert_string_equal(rig.err.text, "");
    assert_string_equal(rig.model.platform, "tern_native");
    assert_int_equal(rig.model.n_inputs, 1);
    assert_true(tern_str_eq(rig.model.inputs[0].name, TERN_STR("input__0")));
    assert_int_equal(rig.model.inputs[0].shape.dim[1], 2);
    assert_int_equal(rig.model.n_feature_names, 2);
    assert_true(tern_str_eq(rig.model.feature_names[1], TERN_STR("income")));
    run(&rig, &input, &output);
    assert_int_equal(output.dtype, TERN_DTYPE_FP64);
    assert_int_equal(output.shape.rank, 2);
    assert_int_equal(output.shape.dim[0], 4);
    for (int i = 0; i < 4; i++)
        assert_true(fabs(((double *)output.data)[i] - sigmoid(sums[i])) < 1e-15);
    close_rig(&rig);
}

/* Bytes from a client lie anywhere; and what the configuration calls FP32 is converted. */
static void as_configured(void **state)
{
    static const struct tern_tensor_spec input_spec = {
        .name = {"rows", 4}, .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 2}}};
    static const struct tern_tensor_spec output_spec = {
        .name = {"score", 5}, .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 1}}};
    char bytes[1 + 4 * sizeof(float)];
    const float floats[] = {40, 9, 20, 1};
    struct rig rig;
    struct tern_tensor input, output = {.data = NULL};

    (void)state;
    memcpy(bytes + 1, floats, sizeof(floats));
    input = two_wide(bytes + 1, TERN_DTYPE_FP32, 2);
    open_rig(&rig,
             (struct tern_engine_load){
                 .inputs = &input_spec, .n_inputs = 1, .outputs = &output_spec, .n_outputs = 1});
    assert_int_equal(rig.code, TERN_OK);
    assert_true(tern_str_eq(rig.model.inputs[0].name, TERN_STR("rows")));
    assert_true(tern_str_eq(rig.model.outputs[0].name, TERN_STR("score")));
    run(&rig, &input, &output);
    assert_int_equal(output.dtype, TERN_DTYPE_FP32);
    assert_true(((float *)output.data)[0] == (float)sigmoid(3));
    assert_true(((float *)output.data)[1] == (float)sigmoid(-3));
    close_rig(&rig);
}

static void options(void **state)
{
    static const struct {
        const char *key, *value, *error;
        double answers[2]; /* of the third row */
        int64_t width;
    } cases[] = {
        {"output_class", "true", NULL, {1}, 1},
        {"threshold", "0.9", NULL, {0.9525741268224334}, 1},
        {"predict_proba", "1", NULL, {0.04742587317756658, 0.9525741268224334}, 2},
        {"storage_type", "DENSE", NULL, {0.9525741268224334}, 1},
        {"model_type", "lightgbm", NULL, {0.9525741268224334}, 1},
        {"model_type",
         "xgboost_json",
         "model_type is \"xgboost_json\", but the file is lightgbm",
         {0},
         0},
        {"output_class", "maybe", "output_class: expected true or false, got \"maybe\"", {0}, 0},
        {"threshold", "half", "threshold: expected a number, got \"half\"", {0}, 0},
        {"speed", "9", "unknown parameter \"speed\", expected one of: output_class, ", {0}, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct tern_engine_option option = {tern_str_of(cases[i].key),
                                                  tern_str_of(cases[i].value)};
        struct rig rig;
        struct tern_tensor input = two_wide(rows + 4, TERN_DTYPE_FP64, 1), output = {.data = NULL};
        open_rig(&rig, (struct tern_engine_load){.options = &option, .n_options = 1});
        if (cases[i].error != NULL) {
            assert_int_equal(rig.code, TERN_INVALID_ARGUMENT);
            assert_true(strncmp(rig.err.text, cases[i].error, strlen(cases[i].error)) == 0);
            close_rig(&rig);
            continue;
        }
        assert_string_equal(rig.err.text, "");
        assert_int_equal(rig.model.outputs[0].shape.dim[1], cases[i].width);
        run(&rig, &input, &output);
        assert_int_equal(output.shape.dim[1], cases[i].width);
        for (int64_t k = 0; k < cases[i].width; k++)
            assert_true(fabs(((double *)output.data)[k] - cases[i].answers[k]) < 1e-15);
        close_rig(&rig);
    }
}

static void rows_of_another_width(void **state)
{
    struct rig rig;
    struct tern_tensor input = two_wide(rows, TERN_DTYPE_FP64, 4), output = {.data = NULL};

    (void)state;
    input.shape = (struct tern_shape){2, {8, 1}};
    open_rig(&rig, (struct tern_engine_load){.threads = 1});
    run(&rig, &input, &output);
    assert_int_equal(rig.code, TERN_INVALID_ARGUMENT);
    assert_string_equal(rig.err.text, "forest: expected rows of 2 features, got 1");
    rig.code = TERN_OK;
    close_rig(&rig);
}

static void another_file(void **state)
{
    static const char text[] = "no model at all";
    struct rig rig;

    (void)state;
    open_rig(&rig, (struct tern_engine_load){.path = "notes.md", .bytes = {text, 15}});
    assert_int_equal(rig.code, TERN_UNIMPLEMENTED);
    close_rig(&rig);
    assert_int_equal(tern_native_engine.probe("notes.md", TERN_STR("no model")), 0);
    assert_int_equal(tern_native_engine.probe("labels.txt", tern_str_make(NULL, 0)), 0);
    assert_int_equal(tern_native_engine.probe("config.json", tern_str_make(NULL, 0)), 0);
    assert_true(tern_native_engine.probe("fraud.txt", tern_str_make(model, 64)) > 0);
}

/* A large graph is declined by its size, before anything of it is read. */
static void large_graphs(void **state)
{
    char path[] = "/tmp/tern-large-XXXXXX.onnx";
    struct tern_engine_load spec = {.name = TERN_STR("m"), .path = path};
    struct tern_engine_model loaded;
    struct tern_arena arena;
    struct tern_err err;
    int fd = mkstemps(path, 5);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "\x08\x08", 2), 2); /* ir_version 8 */
    assert_int_equal(ftruncate(fd, (off_t)300 << 20), 0);
    close(fd);
    tern_arena_init(&arena, 4096, 1 << 20);
    assert_int_equal(tern_native_engine.load(&spec, &arena, &loaded, &err), TERN_UNIMPLEMENTED);
    assert_string_equal(err.text, "it has 300 MiB, up to 256 MiB are run natively");
    tern_arena_fini(&arena);
    unlink(path);
}

static void conversions(void **state)
{
    static const double doubles[] = {-1.5, 0, 0.4, 255, 1e30, (double)NAN};
    int64_t longs[6];
    uint8_t bools[6], bytes[6];
    float floats[600];
    int32_t ints[600];

    (void)state;
    tern_convert(TERN_DTYPE_FP64, doubles, TERN_DTYPE_INT64, longs, 6);
    assert_true(longs[0] == -1 && longs[2] == 0 && longs[3] == 255);
    assert_true(longs[4] == INT64_MIN && longs[5] == INT64_MIN);
    tern_convert(TERN_DTYPE_FP64, doubles, TERN_DTYPE_BOOL, bools, 6);
    assert_true(bools[0] == 1 && bools[1] == 0 && bools[2] == 1 && bools[5] == 1);
    tern_convert(TERN_DTYPE_FP64, doubles, TERN_DTYPE_UINT8, bytes, 4);
    assert_true(bytes[0] == 255 && bytes[3] == 255);
    for (int i = 0; i < 600; i++)
        ints[i] = i * 7 - 2000;
    tern_convert(TERN_DTYPE_INT32, ints, TERN_DTYPE_FP32, floats, 600);
    for (int i = 0; i < 600; i++)
        assert_true(floats[i] == (float)ints[i]);
    assert_false(tern_convert_has(TERN_DTYPE_BYTES, TERN_DTYPE_FP32));
    assert_false(tern_convert_has(TERN_DTYPE_FP32, TERN_DTYPE_FP16));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_it_is),     cmocka_unit_test(as_configured),
        cmocka_unit_test(options),      cmocka_unit_test(rows_of_another_width),
        cmocka_unit_test(another_file), cmocka_unit_test(large_graphs),
        cmocka_unit_test(conversions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
