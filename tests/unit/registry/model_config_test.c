/* A model's configuration: three formats, every mistake with its place, completion, JSON. */
// covers: registry/model_config_complete registry/model_config_extract registry/model_config_fill
// covers: registry/model_config_read registry/model_schema
// covers: registry/model_schema_bind registry/model_schema_page registry/model_schema_print
// covers: registry/model_schema_value registry/model_schema_write
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sys/stat.h>

#include "harness/golden.h"
#include "registry/model_config.h"
#include "registry/model_schema.h"

struct world {
    struct tern_arena arena;
    struct tern_problems problems;
    struct tern_model_config config;
    struct tern_model_config_settings settings;
    struct tern_model_config_specs specs;
    struct tern_buf said;
};

static int setup(void **state)
{
    static struct world world;
    world.settings = (struct tern_model_config_settings){.strict = false};
    tern_arena_init(&world.arena, 4096, 4u << 20);
    tern_problem_init(&world.problems, &world.arena);
    tern_buf_init(&world.said, 1u << 16);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    tern_buf_fini(&w->said);
    tern_arena_fini(&w->arena);
    return 0;
}

static void read_text(struct world *w, const char *file, const char *text)
{
    tern_model_config_read(tern_str_of(text), tern_str_of(file), &w->arena, &w->config,
                           &w->problems);
}

static void load_folder(struct world *w, const char *folder)
{
    const struct tern_model_config_source source = {.folder = folder};
    tern_model_config_load(&source, &w->arena, &w->config, &w->problems);
}

static const char *said(struct world *w)
{
    tern_buf_clear(&w->said);
    tern_problem_print(&w->problems, &w->said);
    tern_buf_add_char(&w->said, '\0');
    return w->said.p;
}

static const char *json(struct world *w)
{
    struct tern_str text = {NULL, 0};
    assert_int_equal(tern_model_config_print(&w->config, &w->arena, &text, NULL), TERN_OK);
    return text.p;
}

/* The engine's view used throughout: image [-1,1,8,8] FP32, probabilities [-1,10] FP32, label [-1]
 * INT64. */
static const struct tern_tensor_spec inputs[] = {
    {.name = {"image", 5}, .dtype = TERN_DTYPE_FP32, .shape = {4, {-1, 1, 8, 8}}},
};
static const struct tern_tensor_spec outputs[] = {
    {.name = {"probabilities", 13}, .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 10}}},
    {.name = {"label", 5}, .dtype = TERN_DTYPE_INT64, .shape = {1, {-1}}},
};

static void complete(struct world *w)
{
    struct tern_tensor_spec in[1], out[2];
    memcpy(in, inputs, sizeof(in));
    memcpy(out, outputs, sizeof(out));
    struct tern_engine_model model = {.inputs = in,
                                      .n_inputs = 1,
                                      .outputs = out,
                                      .n_outputs = 2,
                                      .platform = "onnxruntime_onnx",
                                      .backend = "onnxruntime"};
    const struct tern_model_config_subject subject = {
        .name = TERN_STR("digits"), .folder = "/models/digits", .model = &model};
    tern_model_config_complete(&w->config, &w->settings, &subject, &w->arena, &w->specs,
                               &w->problems);
}

static const char full_pbtxt[] =
    "# A configuration in the style people write for Triton.\n"
    "name: \"digits\"\n"
    "platform: \"onnxruntime_onnx\"\n"
    "max_batch_size: 32\n"
    "input [ {\n"
    "    name: \"image\" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 1, 8, 8 ]\n"
    "} ]\n"
    "output { name: \"probabilities\" data_type: TYPE_FP32 dims: 10 label_filename: \"labels.txt\" "
    "}\n"
    "output { name: \"label\" data_type: TYPE_INT64 dims: [ ] }\n"
    "version_policy: { specific: { versions: [ 1, 3 ] } }\n"
    "instance_group [ { count: 2 kind: KIND_CPU }, { count: 1 } ]\n"
    "dynamic_batching {\n"
    "  preferred_batch_size: [ 4, 8 ]\n"
    "  max_queue_delay_microseconds: 100\n"
    "  default_queue_policy { timeout_action: DELAY max_queue_size: 16 }\n"
    "  priority_queue_policy { key: 1 value: { max_queue_size: 4 } }\n"
    "}\n"
    "optimization {\n"
    "  graph { level: 1 }\n"
    "  execution_accelerators { cpu_execution_accelerator : [ { name : \"openvino\"\n"
    "    parameters { key: \"num_streams\" value: \"1\" } } ] }\n"
    "}\n"
    "parameters { key: \"intra_op_thread_count\" value: { string_value: \"2\" } }\n"
    "parameters: { key: \"enable_mem_arena\" value { string_value: '1' } }\n"
    "metric_tags { key: \"team\" value: \"vision\" }\n"
    "model_warmup {\n"
    "  name: \"zeros\" batch_size: 4 count: 3\n"
    "  inputs { key: \"image\" value { data_type: TYPE_FP32 dims: [1,8,8] zero_data: true } }\n"
    "}\n"
    "model_transaction_policy { decoupled: False }\n";

static void every_field_of_a_full_file(void **state)
{
    struct world *w = *state;
    const struct tern_model_config *c = &w->config;

    read_text(w, "config.pbtxt", full_pbtxt);
    assert_string_equal(said(w), "");
    assert_string_equal(c->name.p, "digits");
    assert_int_equal(c->max_batch_size, 32);
    assert_int_equal(c->n_inputs, 1);
    assert_int_equal(c->inputs[0].dims.rank, 3);
    assert_int_equal(c->n_outputs, 2);
    assert_string_equal(c->outputs[0].label_filename.p, "labels.txt");
    assert_int_equal(c->outputs[1].dtype, TERN_DTYPE_INT64);
    assert_int_equal(c->version_policy.kind, TERN_VERSION_POLICY_SPECIFIC);
    assert_int_equal(c->version_policy.n_specific, 2);
    assert_int_equal(c->version_policy.specific[1], 3);
    assert_int_equal(c->instances, 3);
    assert_int_equal(c->scheduling->batching, TERN_BATCHING_CONFIGURED);
    assert_int_equal(c->scheduling->n_preferred, 2);
    assert_int_equal(c->scheduling->max_queue_delay_ns, 100000);
    assert_int_equal(c->n_options, 5);
    assert_string_equal(c->options[0].key.p, "intra_op_thread_count");
    assert_string_equal(c->options[0].value.p, "2");
    assert_string_equal(c->options[2].key.p, "graph_optimization_level");
    assert_string_equal(c->options[2].value.p, "extended");
    assert_string_equal(c->options[3].value.p, "openvino");
    assert_string_equal(c->options[4].key.p, "openvino.num_streams");
    assert_string_equal(c->metric_tags[0].value.p, "vision");
    assert_int_equal(c->n_warmup, 1);
    assert_int_equal(c->warmup[0].count, 3);
    assert_int_equal(c->warmup[0].inputs[0].source, TERN_WARMUP_ZERO);
    complete(w);
    assert_string_equal(said(w), "");
    assert_int_equal(w->specs.max_batch_size, 32);
    assert_string_equal(w->specs.outputs[0].label_path.p, "/models/digits/labels.txt");
}

static void three_formats_mean_the_same(void **state)
{
    struct world *w = *state;
    char first[8192];

    read_text(w, "a.pbtxt",
              "max_batch_size: 4 input { name: 'image' dims: [1, 8, -1] } dynamic_batching { }\n"
              "parameters { key: 'k' value { string_value: 'v' } } version_policy { all { } }");
    snprintf(first, sizeof(first), "%s", json(w));
    read_text(
        w, "a.yaml",
        "max_batch_size: 4\ninput:\n  - name: image\n    dims: [1, 8, -1]\ndynamic_batching:\n"
        "parameters: {k: v}\nversion_policy:\n  all:\n");
    assert_string_equal(said(w), "");
    assert_string_equal(json(w), first);
    read_text(
        w, "a.json",
        "{\"max_batch_size\": 4, \"input\": [{\"name\": \"image\", \"dims\": [\"1\", 8, -1]}],"
        "\"dynamic_batching\": {}, \"parameters\": {\"k\": {\"string_value\": \"v\"}},"
        "\"version_policy\": {\"all\": {}}}");
    assert_string_equal(said(w), "");
    assert_string_equal(json(w), first);
    /* What the config route prints can be pasted back, even as config.pbtxt. */
    read_text(w, "b.pbtxt", first);
    assert_string_equal(said(w), "");
    assert_string_equal(json(w), first);
}

static void a_missing_file_takes_the_model_as_it_is(void **state)
{
    struct world *w = *state;

    load_folder(w, NULL);
    complete(w);
    assert_string_equal(said(w), "");
    assert_int_equal(w->specs.max_batch_size, 0);
    assert_true(tern_shape_eq(&w->specs.inputs[0].shape, &inputs[0].shape));
    assert_string_equal(
        json(w),
        "{\"name\":\"digits\",\"platform\":\"onnxruntime_onnx\",\"backend\":\"onnxruntime\","
        "\"runtime\":\"\",\"version_policy\":{\"latest\":{\"num_versions\":1}},"
        "\"max_batch_size\":0,"
        "\"input\":[{\"name\":\"image\",\"data_type\":\"TYPE_FP32\",\"format\":\"FORMAT_NONE\","
        "\"dims\":[-1,1,8,8],\"is_shape_tensor\":false,\"allow_ragged_batch\":false,"
        "\"optional\":false,\"is_non_linear_format_io\":false}],"
        "\"output\":[{\"name\":\"probabilities\",\"data_type\":\"TYPE_FP32\",\"dims\":[-1,10],"
        "\"label_filename\":\"\",\"is_shape_tensor\":false,\"is_non_linear_format_io\":false},"
        "{\"name\":\"label\",\"data_type\":\"TYPE_INT64\",\"dims\":[-1],\"label_filename\":\"\","
        "\"is_shape_tensor\":false,\"is_non_linear_format_io\":false}],"
        "\"batch_input\":[],\"batch_output\":[],"
        "\"optimization\":{\"priority\":\"PRIORITY_DEFAULT\",\"input_pinned_memory\":{\"enable\":"
        "true},\"output_pinned_memory\":{\"enable\":true},\"gather_kernel_buffer_threshold\":0,"
        "\"eager_batching\":false},"
        "\"instance_group\":[{\"name\":\"digits\",\"kind\":\"KIND_CPU\",\"count\":1,\"gpus\":[],"
        "\"secondary_devices\":[],\"profile\":[],\"passive\":false,\"host_policy\":\"\"}],"
        "\"default_model_filename\":\"\",\"cc_model_filenames\":{},\"metric_tags\":{},"
        "\"parameters\":{},\"model_warmup\":[]}");
}

static void completion_adds_what_the_file_leaves_out(void **state)
{
    struct world *w = *state;

    read_text(w, "config.pbtxt", "max_batch_size: 8 output { name: 'label' }");
    complete(w);
    assert_string_equal(said(w), "");
    assert_int_equal(w->specs.max_batch_size, 8);
    assert_non_null(strstr(json(w), "\"input\":[{\"name\":\"image\",\"data_type\":\"TYPE_FP32\","
                                    "\"format\":\"FORMAT_NONE\",\"dims\":[1,8,8]"));
    assert_non_null(strstr(json(w), "\"output\":[{\"name\":\"label\",\"data_type\":\"TYPE_INT64\","
                                    "\"dims\":[]"));
    assert_non_null(strstr(json(w), "{\"name\":\"probabilities\""));
}

static void disagreements_are_named(void **state)
{
    struct world *w = *state;

    read_text(w, "c.pbtxt",
              "name: 'other' backend: 'python' max_batch_size: 0\n"
              "input { name: 'image' data_type: TYPE_FP64 dims: [1, 8, 8] }\n"
              "output [ { name: 'label' dims: [4, 4] },\n"
              "  { name: 'probabilties' } ]");
    complete(w);
    assert_string_equal(
        said(w),
        "c.pbtxt:1:7: unexpected directory name 'digits' for model 'other', directory name must "
        "equal "
        "model name\n"
        "c.pbtxt:1:24: backend is \"python\", but the model's file is one for \"onnxruntime\"\n"
        "c.pbtxt:2:7: input \"image\" has data_type TYPE_FP64, the model has TYPE_FP32\n"
        "c.pbtxt:2:7: input \"image\" has dims [1,8,8], the model has [-1,1,8,8]; dims leave out "
        "the batch dimension only when max_batch_size is above 0\n"
        "c.pbtxt:3:10: output \"label\" has dims [4,4], the model has [-1]\n"
        "c.pbtxt:4:3: the model has no output \"probabilties\"; it has \"probabilities\" and "
        "others\n");
}

static void a_batch_needs_a_free_first_dimension(void **state)
{
    struct world *w = *state;
    struct tern_tensor_spec in = inputs[0], out = outputs[0];
    struct tern_engine_model model = {.inputs = &in,
                                      .n_inputs = 1,
                                      .outputs = &out,
                                      .n_outputs = 1,
                                      .platform = "p",
                                      .backend = "b"};
    in.shape.dim[0] = 2;
    read_text(w, "c.pbtxt", "max_batch_size: 8");
    const struct tern_model_config_subject subject = {
        .name = TERN_STR("m"), .folder = NULL, .model = &model};
    tern_model_config_complete(&w->config, &w->settings, &subject, &w->arena, &w->specs,
                               &w->problems);
    assert_string_equal(said(w), "c.pbtxt: max_batch_size is 8, but input \"image\" has no free "
                                 "first dimension: the model has [2,1,8,8]\n");
}

static void every_mistake_has_its_place(void **state)
{
    struct world *w = *state;

    read_text(w, "c.pbtxt",
              "max_batch_sizee: 4\n"
              "max_batch_size: -1\n"
              "input { name: 'a' data_type: TYPE_FLOAT dims: [0, x] }\n"
              "input { name: 'a' dims: { } }\n"
              "output { dims: 1 label_filename: '../secret' }\n"
              "name: 'm' name: 'n'\n"
              "version_policy { latest { num_versions: 2 } all { } }\n"
              "version_policy_ { }\n"
              "parameters { value { } }\n"
              "instance_group { count: 100000 }\n"
              "default_model_filename: '/etc/passwd'\n"
              "model_repository_agents { agents { name: 'x' } }\n"
              "model_operations { op_library_filename: 'ops.so' }\n");
    assert_string_equal(
        said(w),
        "c.pbtxt:1:1: ModelConfig has no field \"max_batch_sizee\", did you mean max_batch_size?\n"
        "c.pbtxt:6:11: name cannot stand beside name of line 6\n"
        "c.pbtxt:8:1: ModelConfig has no field \"version_policy_\", did you mean version_policy?\n"
        "c.pbtxt:9:12: parameters: expected an entry with key and value\n"
        "c.pbtxt:3:30: data_type: expected TYPE_INVALID, TYPE_BOOL, TYPE_UINT8, TYPE_UINT16, "
        "TYPE_UINT32, TYPE_UINT64, TYPE_INT8, TYPE_INT16, TYPE_INT32, TYPE_INT64, TYPE_FP16, "
        "TYPE_FP32, TYPE_FP64, TYPE_STRING, TYPE_BF16, got \"TYPE_FLOAT\"\n"
        "c.pbtxt:3:51: dims: expected a whole number, got \"x\"\n"
        "c.pbtxt:4:25: dims: expected a whole number, got a block\n"
        "c.pbtxt:7:45: all cannot stand beside latest of line 7\n"
        "c.pbtxt:12:27: agents: agents that check or change model files are not run\n"
        "c.pbtxt:13:20: op_library_filename: libraries of operators are not loaded\n"
        "c.pbtxt:11:25: default_model_filename: expected a file name inside the model's folder, "
        "got \"/etc/passwd\"\n"
        "c.pbtxt:2:17: max_batch_size: expected 0 or more, got -1\n"
        "c.pbtxt:3:48: dims: expected a positive number, or -1 for any, got 0\n"
        "c.pbtxt:4:7: input: \"a\" is described twice\n"
        "c.pbtxt:5:34: label_filename: expected a file name inside the model's folder, got "
        "\"../secret\"\n"
        "c.pbtxt:5:8: output: a name is missing\n"
        "c.pbtxt:10:16: instance_group: expected a count from 1 to 1024, got 100000\n");
}

static void broken_formats(void **state)
{
    struct world *w = *state;

    read_text(w, "c.pbtxt", "input { name: ");
    read_text(w, "c.json", "{\"input\": [}");
    read_text(w, "c.yaml", "- a\n- b\n");
    assert_int_equal(w->problems.n, 3);
    assert_string_equal(w->problems.rows[0].place.p, "c.pbtxt:1:15");
    assert_string_equal(w->problems.rows[2].place.p, "c.yaml:1:1");
    assert_int_equal(w->config.n_inputs, 0);
}

/* Every field of the schema is printable and has a distinct number within its message. */
static void check_message(const struct tern_schema_message *m, int depth)
{
    assert_in_range(depth, 0, 8);
    for (uint32_t i = 0; i < m->n; i++) {
        const struct tern_schema_field *f = &m->fields[i];
        assert_true(f->number > 0);
        assert_int_equal(f->type == TERN_SCHEMA_MESSAGE, f->message != NULL);
        assert_int_equal(f->type == TERN_SCHEMA_ENUM, f->values != NULL);
        assert_int_equal(f->how == TERN_SCHEMA_REFUSED, f->why != NULL);
        for (uint32_t j = 0; j < i; j++) {
            assert_int_not_equal(f->number, m->fields[j].number);
            assert_string_not_equal(f->name, m->fields[j].name);
        }
        if (f->message != NULL)
            check_message(f->message, depth + 1);
    }
}

static void the_schema_is_sound(void **state)
{
    (void)state;
    check_message(&tern_model_schema, 0);
    assert_int_equal(tern_model_schema.n, 25);
}

static void the_page_is_current(void **state)
{
    struct world *w = *state;
    tern_model_schema_page(&w->said);
    golden_check("doc/model_config.md", &w->said);
}

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static struct tern_str write_form(struct world *w, enum tern_schema_form form)
{
    tern_buf_clear(&w->said);
    tern_model_schema_write(form, w->config.tree, &w->said);
    assert_false(w->said.failed);
    return tern_arena_copy(&w->arena, tern_buf_str(&w->said));
}

/* pbtxt -> JSON -> YAML -> pbtxt, and the same text at the end. */
static void every_form_says_the_same(void **state)
{
    struct world *w = *state;
    char first[16384];

    read_text(w, "a.pbtxt", full_pbtxt);
    snprintf(first, sizeof(first), "%s", json(w));
    struct tern_str before = write_form(w, TERN_SCHEMA_FORM_PBTXT);
    read_text(w, "b.json", write_form(w, TERN_SCHEMA_FORM_JSON).p);
    read_text(w, "c.yaml", write_form(w, TERN_SCHEMA_FORM_YAML).p);
    assert_string_equal(said(w), "");
    assert_string_equal(json(w), first);
    struct tern_str after = write_form(w, TERN_SCHEMA_FORM_PBTXT);
    assert_string_equal(after.p, before.p);
    assert_non_null(strstr(before.p, "priority_queue_policy {\n    key: 1\n    value {\n"));
    assert_non_null(strstr(before.p, "\n  dims: [ 1, 8, 8 ]\n"));
}

static void texts_that_need_care(void **state)
{
    struct world *w = *state;
    static const enum tern_schema_form forms[] = {TERN_SCHEMA_FORM_PBTXT, TERN_SCHEMA_FORM_YAML,
                                                  TERN_SCHEMA_FORM_JSON};
    static const char *const names[] = {"c.pbtxt", "c.yaml", "c.json"};
    char first[8192];

    read_text(
        w, "a.pbtxt",
        "name: \"a \\\"b\\\" \\\\ \\t\\n\\001\\177 #: {} \" backend: \"null\" platform: \"12\"\n"
        "cc_model_filenames { key: \"- a: 'b' #\" value: \"~\" } input { name: \"x\" dims: [] } "
        "output { name: \"y\" }\n");
    assert_string_equal(said(w), "");
    snprintf(first, sizeof(first), "%s", json(w));
    for (size_t i = 0; i < 3; i++) {
        read_text(w, names[i], write_form(w, forms[i]).p);
        assert_string_equal(json(w), first);
    }
}

static void clients_may_see_other_shapes(void **state)
{
    struct world *w = *state;

    read_text(w, "c.pbtxt",
              "max_batch_size: 8\n"
              "input { name: \"image\" dims: 64 reshape { shape: [1, 8, 8] } }\n"
              "output { name: \"label\" dims: 1 reshape { shape: [] } }\n");
    complete(w);
    assert_string_equal(said(w), "");
    assert_int_equal(w->specs.inputs[0].shape.rank, 2);
    assert_int_equal(w->specs.inputs[0].shape.dim[1], 64);
    assert_int_equal(w->specs.input_shapes[0].rank, 4);
    assert_int_equal(w->specs.output_shapes[0].rank, -1);
    assert_int_equal(w->specs.output_shapes[1].rank, 1);
    assert_int_equal(w->specs.outputs[1].shape.rank, 2);
    assert_non_null(strstr(json(w), "\"reshape\":{\"shape\":[1,8,8]}"));
    read_text(w, "c.pbtxt",
              "max_batch_size: 8\n"
              "input { name: \"image\" dims: 63 reshape { shape: [1, 8, 8] } }\n");
    complete(w);
    assert_non_null(strstr(said(w), "dims and reshape do not hold the same number"));
}

static void the_server_says_what_the_file_does_not(void **state)
{
    struct world *w = *state;
    struct tern_tensor_spec in[1], out[2];
    memcpy(in, inputs, sizeof(in));
    memcpy(out, outputs, sizeof(out));
    const struct tern_engine_model model = {.inputs = in,
                                            .n_inputs = 1,
                                            .outputs = out,
                                            .n_outputs = 2,
                                            .platform = "onnxruntime_onnx",
                                            .backend = "onnxruntime"};
    const struct tern_version_policy policies[] = {
        {.kind = TERN_VERSION_POLICY_ALL},
        {.kind = TERN_VERSION_POLICY_LATEST, .latest = 3},
        {.kind = TERN_VERSION_POLICY_SPECIFIC, .specific = {2, 5}, .n_specific = 2},
    };
    static const char *const prints[] = {"{\"all\":{}}", "{\"latest\":{\"num_versions\":3}}",
                                         "{\"specific\":{\"versions\":[2,5]}}"};

    for (size_t i = 0; i < 3; i++) {
        const struct tern_model_config_subject subject = {.name = TERN_STR("m"),
                                                          .model = &model,
                                                          .file_name = TERN_STR("a.onnx"),
                                                          .instances = 7,
                                                          .policy = &policies[i]};
        read_text(w, "c.pbtxt", "");
        tern_model_config_complete(&w->config, &w->settings, &subject, &w->arena, &w->specs,
                                   &w->problems);
        assert_non_null(strstr(json(w), prints[i]));
        assert_non_null(strstr(json(w), "{\"name\":\"m\",\"kind\":\"KIND_CPU\",\"count\":7,"));
        assert_non_null(strstr(json(w), "\"default_model_filename\":\"a.onnx\""));
    }
    read_text(w, "c.pbtxt", "version_policy { latest { num_versions: 0 } }");
    assert_string_equal(said(w), "c.pbtxt:1:41: num_versions: expected 1 or more, got 0\n");
}

static void a_reshape_must_be_the_models(void **state)
{
    struct world *w = *state;

    read_text(w, "c.pbtxt",
              "max_batch_size: 8\n"
              "input { name: \"image\" dims: 64 reshape { shape: [8, 8] } }\n"
              "output { name: \"label\" reshape { shape: [1] } }\n"
              "output { name: \"probabilities\" dims: 10 reshape { shape: [-1] } }\n");
    complete(w);
    assert_non_null(strstr(said(w), "input \"image\" has reshape [8,8] after the batch dimension, "
                                    "the model has [-1,1,8,8]"));
    assert_non_null(strstr(said(w), "output \"label\" has a reshape, but no dims"));
    assert_non_null(strstr(said(w), "output \"probabilities\": dims and reshape do not hold"));
}

static void nothing_is_completed_when_told_so(void **state)
{
    struct world *w = *state;

    w->settings.strict = true;
    read_text(w, "c.pbtxt",
              "input { name: \"image\" data_type: TYPE_FP32 dims: [-1, 1, 8, 8] }\n"
              "output { name: \"label\" dims: [-1] }\n");
    complete(w);
    assert_int_equal(w->problems.n, 2);
    assert_non_null(strstr(said(w), "output \"probabilities\" is not described"));
    assert_non_null(strstr(said(w), "c.pbtxt:2:8: output \"label\" needs data_type"));
}

static void a_model_that_can_batch_takes_the_default(void **state)
{
    struct world *w = *state;

    w->settings.default_max_batch_size = 4;
    read_text(w, "c.pbtxt", "input { name: \"image\" dims: [1, 8, 8] }");
    complete(w);
    assert_string_equal(said(w), "");
    assert_int_equal(w->specs.max_batch_size, 4);
    assert_int_equal(w->specs.inputs[0].shape.rank, 4);
    assert_non_null(strstr(json(w), "\"max_batch_size\":4"));
    assert_non_null(strstr(json(w), "\"dynamic_batching\":{"));
    /* Dims that hold the batch dimension, and a number that is there, win. */
    read_text(w, "c.pbtxt", "input { name: \"image\" dims: [-1, 1, 8, 8] }");
    complete(w);
    assert_int_equal(w->specs.max_batch_size, 0);
    read_text(w, "c.pbtxt", "max_batch_size: 0");
    complete(w);
    assert_int_equal(w->specs.max_batch_size, 0);
    assert_null(strstr(json(w), "dynamic_batching"));
    assert_string_equal(said(w), "");
}

static void files_are_looked_for_in_the_folder(void **state)
{
    struct world *w = *state;
    char folder[] = "/tmp/tern_config_XXXXXX";
    char command[256];

    assert_non_null(mkdtemp(folder));
    load_folder(w, folder);
    assert_string_equal(said(w), "");
    assert_int_equal(w->config.file.n, 0);
    put_file(folder, "config.yaml", "max_batch_size: 5\nparameters: {a: b}\n");
    load_folder(w, folder);
    assert_string_equal(said(w), "");
    assert_int_equal(w->config.max_batch_size, 5);
    assert_int_equal(w->config.n_options, 1);
    put_file(folder, "config.pbtxt", "max_batch_size: 6\n");
    load_folder(w, folder);
    assert_int_equal(w->problems.n, 1);
    assert_non_null(strstr(said(w), "/config.yaml: stands beside "));
    snprintf(command, sizeof(command), "%s/config.yaml", folder);
    unlink(command);
    snprintf(command, sizeof(command), "%s/config.pbtxt", folder);
    unlink(command);
    rmdir(folder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_field_of_a_full_file),
        TEST(three_formats_mean_the_same),
        TEST(a_missing_file_takes_the_model_as_it_is),
        TEST(completion_adds_what_the_file_leaves_out),
        TEST(disagreements_are_named),
        TEST(a_batch_needs_a_free_first_dimension),
        TEST(every_mistake_has_its_place),
        TEST(broken_formats),
        TEST(the_schema_is_sound),
        TEST(the_page_is_current),
        TEST(every_form_says_the_same),
        TEST(texts_that_need_care),
        TEST(clients_may_see_other_shapes),
        TEST(the_server_says_what_the_file_does_not),
        TEST(a_reshape_must_be_the_models),
        TEST(nothing_is_completed_when_told_so),
        TEST(a_model_that_can_batch_takes_the_default),
        TEST(files_are_looked_for_in_the_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
