/* MLServer's model-settings.json as a configuration of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "harness/config_rig.h"
#include "registry/mlserver_settings.h"

/* Completed for a model X [-1,4] FP32 -> Y [-1] INT64; `free` says whether that is its first
 * dimension. */
static const char *mistakes_of(struct config_rig *w, const char *text, bool free,
                               const struct tern_model_config_settings *settings)
{
    struct tern_tensor_spec x = {
        .name = TERN_STR("X"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 4}}};
    struct tern_tensor_spec y = {
        .name = TERN_STR("Y"), .dtype = TERN_DTYPE_INT64, .shape = {1, {-1}}};
    struct tern_engine_model model = {.inputs = &x,
                                      .n_inputs = 1,
                                      .outputs = &y,
                                      .n_outputs = 1,
                                      .platform = "onnxruntime_onnx",
                                      .backend = "onnxruntime"};
    const struct tern_model_config_subject subject = {.name = TERN_STR("iris"), .model = &model};
    struct tern_model_config_specs specs;

    x.shape.dim[0] = free ? -1 : 1;
    tern_problem_init(&w->problems, &w->arena);
    tern_model_config_read(tern_str_of(text), TERN_STR("iris/model-settings.json"), &w->arena,
                           &w->config, &w->problems);
    if (!tern_problem_any(&w->problems))
        tern_model_config_complete(&w->config, settings, &subject, &w->arena, &specs, &w->problems);
    return config_rig_said(w);
}

static const struct tern_model_config_settings plain;

static const char *mistakes(struct config_rig *w, const char *text)
{
    return mistakes_of(w, text, true, &plain);
}

static const char full[] =
    "{\"name\": \"iris\", \"implementation\": \"mlserver_sklearn.SKLearnModel\",\n"
    " \"platform\": \"sklearn\", \"versions\": [\"v1\"], \"warm_workers\": false,\n"
    " \"max_batch_size\": 16, \"max_batch_time\": 0.25, \"cache_enabled\": true,\n"
    " \"inputs\": [{\"name\": \"X\", \"datatype\": \"FP32\", \"shape\": [-1, 4],\n"
    "             \"parameters\": {\"content_type\": \"np\"}}],\n"
    " \"outputs\": [{\"name\": \"Y\", \"datatype\": \"INT64\", \"shape\": [-1]}],\n"
    " \"parameters\": {\"uri\": \"./model.onnx\", \"version\": \"v1\", \"environment_path\": "
    "null,\n"
    "   \"content_type\": \"np\", \"extra\": {\"intra_op_thread_count\": 2, \"slo\": \"5ms\"}}}";

static void test_every_setting(void **state)
{
    struct config_rig *w = *state;
    assert_string_equal(mistakes(w, full), "");
    const struct tern_model_config *c = &w->config;
    const struct tern_scheduling *s = c->scheduling;
    assert_string_equal(c->default_model_filename.p, "model.onnx");
    assert_int_equal(c->n_inputs, 1);
    assert_int_equal(c->inputs[0].dtype, TERN_DTYPE_FP32);
    assert_int_equal(c->inputs[0].dims.rank, 2);
    assert_string_equal(c->inputs[0].place.p, "iris/model-settings.json:4:13");
    assert_int_equal(c->n_options, 1);
    assert_string_equal(c->options[0].value.p, "2");
    assert_true(s->cached);
    assert_int_equal(s->slo_ns, 5000000);
    assert_int_equal(s->batching, TERN_BATCHING_CONFIGURED);
    assert_int_equal(s->max_rows, 16);
    assert_int_equal(s->max_queue_delay_ns, 250000000);
    assert_int_equal(s->n_preferred, 0); /* the largest batch is preferred */
    assert_int_equal(s->levels[0].max_queue_size, 0);
    assert_int_equal(c->max_batch_size, 0); /* a request may have more rows than a batch */
}

static void test_batches_need_a_size_and_a_time(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"max_batch_size\": 8}",
        "{\"max_batch_time\": 1}",
        "{\"max_batch_size\": 1, \"max_batch_time\": 1.5}",
        "{\"max_batch_size\": 8, \"max_batch_time\": 0.0}",
    };
    struct config_rig *w = *state;
    for (size_t i = 0; i < TERN_COUNT_OF(texts); i++) {
        assert_string_equal(mistakes(w, texts[i]), "");
        assert_null(w->config.batching);
        assert_int_equal(w->config.scheduling->batching, TERN_BATCHING_NONE);
    }
    static const char batched[] = "{\"max_batch_size\": 8, \"max_batch_time\": 1e-3}";
    const struct tern_model_config_settings off = {.batching = TERN_BATCHING_RULE_OFF};
    assert_non_null(strstr(mistakes_of(w, batched, false, &plain),
                           "max_batch_size is 8, but \"X\" of the model has no free first"));
    assert_string_equal(mistakes_of(w, batched, false, &off), "");
    assert_int_equal(w->config.scheduling->max_rows, 1);
}

static void test_parameters_of_all_models(void **state)
{
    const struct tern_batching_parameters p = {
        .max_rows = 8, .delay_ns = 7, .max_queue_size = 5, .allowed = {2, 4, 8}, .n_allowed = 3};
    const struct tern_model_config_settings all = {.batching_parameters = &p, .batch_max = 64};
    struct config_rig *w = *state;
    assert_string_equal(mistakes_of(w, "{}", true, &all), "");
    struct tern_scheduling *s = w->config.scheduling;
    assert_int_equal(s->batching, TERN_BATCHING_NONE); /* until it is proven that it can */
    assert_true(tern_model_config_take_batches(&w->config, &all, &w->arena));
    assert_int_equal(s->batching, TERN_BATCHING_CONFIGURED);
    assert_int_equal(s->max_rows, 8);
    assert_int_equal(s->levels[0].max_queue_size, 5);
    assert_int_equal(s->n_allowed, 3);
    assert_true(s->gathers);
    assert_string_equal(mistakes_of(w, full, true, &all), ""); /* its own go before */
    assert_int_equal(w->config.scheduling->max_rows, 16);
    assert_string_equal(mistakes_of(w, "{}", true, &plain), "");
    const struct tern_model_config_settings none = {.batch_max = 64};
    assert_true(tern_model_config_take_batches(&w->config, &none, &w->arena));
    assert_int_equal(w->config.scheduling->batching, TERN_BATCHING_ADAPTIVE);
    assert_int_equal(w->config.scheduling->max_rows, 64);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"{\"name\": \"other\"}", "unexpected directory name 'iris' for model 'other'"},
        {"{\"max_batch_size\": -1}", "max_batch_size: expected a number from 0 to 2147483647"},
        {"{\"max_batch_size\": \"8x\"}", "got \"8x\""},
        {"{\"max_batch_time\": -0.5}", "max_batch_time: expected seconds from 0 to 3600"},
        {"{\"max_batch_time\": \"soon\"}", "got \"soon\""},
        {"{\"max_batch_time\": 3601}", "got \"3601\""},
        {"{\"cache_enabled\": \"perhaps\"}", "enable"},
        {"{\"inputs\": [{\"name\": \"X\", \"datatype\": \"FP31\"}]}", "got \"FP31\""},
        {"{\"inputs\": [{\"name\": \"X\", \"shape\": [\"a\"]}]}", "dims"},
        {"{\"inputs\": [{\"name\": \"X\", \"shape\": [[1]]}]}", "shape: expected a number"},
        {"{\"inputs\": [{\"name\": \"Z\", \"shape\": [1]}]}", "the model has no input \"Z\""},
        {"{\"inputs\": {}}", "\"inputs\" is not known, or of another type"},
        {"{\"max_batchsize\": 8}", "\"max_batchsize\" is not known"},
        {"{\"parameters\": {\"uri\": \"../up.onnx\"}}", "a file name inside the model's folder"},
        {"{\"parameters\": {\"uri\": \"s3://bucket/model.onnx\"}}", "inside the model's folder"},
        {"{\"parameters\": {\"extra\": {\"a\": [1]}}}", "extra: expected a text, a number"},
        {"{\"parameters\": {\"urk\": 1}}", "parameters: \"urk\" is not known"},
        {"[]", "expected a map of names and values"},
        {"{", "JSON does not allow"},
    };
    struct config_rig *w = *state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        const char *said = mistakes(w, rows[i].text);
        if (strstr(said, rows[i].said) == NULL || strstr(said, "model-settings.json") == NULL)
            fail_msg("%s: got %s", rows[i].text, said);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, config_rig_setup, config_rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_setting),
        TEST(test_batches_need_a_size_and_a_time),
        TEST(test_parameters_of_all_models),
        TEST(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
