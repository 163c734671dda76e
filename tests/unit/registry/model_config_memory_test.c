// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
/* Every single failure of the allocator while options and a model's configuration are read: it ends
 * in a mistake that is said, never in a crash or in half a configuration that looks whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "harness/mem_fails.h"
#include "conf/opt_doc.h"
#include "conf/server_options.h"
#include "conf/yaml.h"
#include "registry/model_config.h"

static const struct tern_model_config_settings no_settings = {.strict = false};

static const char options_yaml[] = "listen:\n  - {address: '127.0.0.1:0', admin: yes}\n"
                                   "  - unix:/run/t.sock\n  - '127.0.0.1:1'\n"
                                   "model: {control: explicit, load: [a, b, c, d, e]}\n"
                                   "http: {body_max: 3MiB}\nlog.level: warn\n";

/* True when it says that all went well. */
static bool read_options(struct tern_buf *out)
{
    struct tern_arena arena;
    struct tern_problems problems;
    struct tern_opt_load load;
    struct tern_server_options options;
    /* Small chunks: each new one is a call that can fail. */
    tern_arena_init(&arena, 64, 1u << 20);
    tern_problem_init(&problems, &arena);
    bool ok = tern_opt_load_init(&load, &tern_server_options_table, &options, &arena, &problems,
                                 NULL) == TERN_OK;
    const struct tern_tree *root =
        !ok ? NULL
            : tern_yaml_read(tern_str_of(options_yaml), TERN_YAML_FORM_YAML, TERN_STR("t.yaml"),
                             &arena, &problems);
    if (root != NULL) {
        tern_opt_read_tree(&load, TERN_STR("t.yaml"), root);
        tern_server_options_check(&load);
        tern_buf_clear(out);
        tern_opt_doc_effective(&load, out);
    }
    ok = root != NULL && !tern_problem_any(&problems) && !out->failed;
    tern_arena_fini(&arena);
    return ok;
}

static const char config_pbtxt[] =
    "max_batch_size: 8 input { name: 'x' dims: [4] } output { name: 'y' label_filename: 'l.txt' }\n"
    "parameters { key: 'a' value { string_value: 'b' 'c' } } version_policy { all { } }\n"
    "dynamic_batching { preferred_batch_size: [4, 8] priority_levels: 2 default_priority_level: 1 "
    "}\n"
    "instance_group { rate_limiter { resources { name: 'r' count: 1 } } } metric_tags { key: 't' "
    "value: 'u' }\n"
    "optimization { execution_accelerators { cpu_execution_accelerator { name: 'p'\n"
    "parameters { key: 'k' value: 'v' } } } }\n"
    "model_warmup { name: 'w' batch_size: 2 inputs { key: 'x' value { data_type: TYPE_FP32\n"
    "dims: [4] random_data: true } } }";

static bool read_config(struct tern_buf *out)
{
    struct tern_tensor_spec in = {
        .name = TERN_STR("x"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 4}}};
    struct tern_tensor_spec y = {
        .name = TERN_STR("y"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 3}}};
    struct tern_engine_model model = {.inputs = &in,
                                      .n_inputs = 1,
                                      .outputs = &y,
                                      .n_outputs = 1,
                                      .platform = "onnxruntime_onnx",
                                      .backend = "onnxruntime"};
    struct tern_arena arena;
    struct tern_problems problems;
    struct tern_model_config config;
    struct tern_model_config_specs specs;
    struct tern_str json = {NULL, 0}, pb = {NULL, 0};

    tern_arena_init(&arena, 64, 1u << 20);
    tern_problem_init(&problems, &arena);
    tern_model_config_read(tern_str_of(config_pbtxt), TERN_STR("c.pbtxt"), &arena, &config,
                           &problems);
    bool ok = !tern_problem_any(&problems);
    const struct tern_model_config_subject subject = {
        .name = TERN_STR("m"), .folder = "folder", .model = &model};
    if (ok)
        tern_model_config_complete(&config, &no_settings, &subject, &arena, &specs, &problems);
    ok = ok && !tern_problem_any(&problems) &&
         tern_model_config_print(&config, &arena, &json, NULL) == TERN_OK &&
         tern_model_config_encode(&config, &arena, &pb, NULL) == TERN_OK;
    if (ok) {
        tern_buf_clear(out);
        tern_buf_add_str(out, json);
        tern_buf_add_str(out, pb);
        tern_buf_printf(out, " %.*s %u %u", TERN_STR_ARG(specs.outputs[0].label_path),
                        (unsigned)config.n_options, (unsigned)config.warmup[0].n_inputs);
        for (uint32_t i = 0; i < config.n_options; i++)
            tern_buf_printf(out, " %.*s=%.*s", TERN_STR_ARG(config.options[i].key),
                            TERN_STR_ARG(config.options[i].value));
    }
    tern_arena_fini(&arena);
    return ok;
}

static void fail_each(bool (*run)(struct tern_buf *out))
{
    struct tern_buf whole, out;

    mem_fail_at = -1;
    mem_calls = 0;
    tern_buf_init(&whole, 1u << 16);
    assert_true(run(&whole));
    long n = mem_calls;
    assert_true(n > 5);
    for (long i = 0; i < n; i++) {
        tern_buf_init(&out, 1u << 16);
        mem_fail_at = i;
        mem_calls = 0;
        /* A failure may hit what is only for show (a hint, a place): then the rest is whole. */
        if (run(&out) && !out.failed)
            assert_true(tern_str_eq(tern_buf_str(&out), tern_buf_str(&whole)));
        mem_fail_at = -1;
        tern_buf_fini(&out);
    }
    tern_buf_fini(&whole);
}

static void options_without_memory(void **state)
{
    (void)state;
    fail_each(read_options);
}

static void a_configuration_without_memory(void **state)
{
    (void)state;
    fail_each(read_config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_without_memory),
        cmocka_unit_test(a_configuration_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
