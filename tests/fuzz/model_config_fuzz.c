/* A model's configuration in any format (the first byte picks it), completed from a small model and
 * printed. What prints without a mistake must read back, as JSON, to the same print. So must what
 * is written in each form that people read, before it is completed. */
#include <assert.h>
#include <stdint.h>

#include "registry/model_config.h"
#include "registry/model_schema.h"

static const struct tern_model_config_settings no_settings = {.strict = false};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *file_of(uint8_t first)
{
    return first == 'y'   ? "c.yaml"
           : first == 'j' ? "c.json"
           : first == 'm' ? "model-settings.json"
                          : "c.pbtxt";
}

static void complete(struct tern_model_config *config, struct tern_arena *arena,
                     struct tern_problems *problems)
{
    struct tern_tensor_spec in = {
        .name = TERN_STR("x"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 4}}};
    struct tern_tensor_spec out = {
        .name = TERN_STR("y"), .dtype = TERN_DTYPE_INT64, .shape = {1, {-1}}};
    struct tern_engine_model model = {.inputs = &in,
                                      .n_inputs = 1,
                                      .outputs = &out,
                                      .n_outputs = 1,
                                      .platform = "onnxruntime_onnx",
                                      .backend = "onnxruntime"};
    struct tern_model_config_specs specs;

    const struct tern_model_config_subject subject = {
        .name = TERN_STR("m"), .folder = "m", .model = &model};
    tern_model_config_complete(config, &no_settings, &subject, arena, &specs, problems);
}

static void check_round_trip(const struct tern_model_config *config, struct tern_arena *arena,
                             struct tern_problems *problems)
{
    struct tern_model_config again;
    struct tern_str first, second;

    if (tern_model_config_print(config, arena, &first, NULL) != TERN_OK)
        return;
    tern_model_config_read(first, TERN_STR("again.json"), arena, &again, problems);
    if (tern_model_config_print(&again, arena, &second, NULL) != TERN_OK)
        return;
    assert(!tern_problem_any(problems) && tern_str_eq(first, second));
}

static void check_forms(struct tern_str text, struct tern_str file, struct tern_arena *arena)
{
    static const char *const names[] = {"c.pbtxt", "c.yaml", "c.json"};
    static struct tern_problems problems;
    struct tern_model_config config, again;
    struct tern_str first, second;

    tern_problem_init(&problems, arena);
    tern_model_config_parse(text, file, arena, &config, &problems);
    if (tern_problem_any(&problems) ||
        tern_model_config_print(&config, arena, &first, NULL) != TERN_OK)
        return;
    for (int form = TERN_SCHEMA_FORM_PBTXT; form <= TERN_SCHEMA_FORM_JSON; form++) {
        struct tern_buf out;
        tern_buf_init(&out, 1u << 20);
        tern_model_schema_write((enum tern_schema_form)form, config.tree, &out);
        struct tern_str written = tern_arena_copy(arena, tern_buf_str(&out));
        bool whole = !out.failed && (out.n == 0 || written.p != NULL);
        tern_buf_fini(&out);
        if (!whole)
            return;
        tern_model_config_parse(written, tern_str_of(names[form]), arena, &again, &problems);
        if (tern_model_config_print(&again, arena, &second, NULL) != TERN_OK)
            return;
        assert(!tern_problem_any(&problems) && tern_str_eq(first, second));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tern_problems problems;
    struct tern_arena arena;
    struct tern_model_config config;

    if (size == 0 || size > 4096)
        return 0;
    tern_arena_init(&arena, 4096, 1u << 26);
    tern_problem_init(&problems, &arena);
    tern_model_config_read(tern_str_make((const char *)data + 1, size - 1),
                           tern_str_of(file_of(data[0])), &arena, &config, &problems);
    complete(&config, &arena, &problems);
    if (!tern_problem_any(&problems))
        check_round_trip(&config, &arena, &problems);
    check_forms(tern_str_make((const char *)data + 1, size - 1), tern_str_of(file_of(data[0])),
                &arena);
    tern_arena_fini(&arena);
    return 0;
}
