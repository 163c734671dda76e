#include "engine/native/native.h"

#include "base/mem.h"
#include "engine/native/convert.h"
#include "engine/native/explain.h"
#include "engine/native/format.h"
#include "engine/native/native_options.h"
#include "engine/native/onnx/onnx_graph.h"
#include "engine/native/program.h"
#include "os/file.h"

/* What reading a file of this size leaves behind is worth to be given back. */
#define TRIM_FROM (1u << 20)

static enum tern_code available(struct tern_err *err)
{
    (void)err;
    return TERN_OK;
}

static const struct tern_native_format *find_format(struct tern_str file_name, struct tern_str head,
                                                    int *ret_score)
{
    const struct tern_native_format *best = NULL;

    *ret_score = 0;
    for (uint32_t i = 0; i < tern_native_formats_count; i++) {
        int score = tern_native_formats[i]->probe(file_name, head);
        if (score > *ret_score) {
            best = tern_native_formats[i];
            *ret_score = score;
        }
    }
    return best;
}

/* Without being told: off, so that who asks for ONNX Runtime has it. */
static struct tern_native_config settings;

void tern_native_configure(const struct tern_native_config *config)
{
    settings = *config;
}

/* Of files that ONNX Runtime takes, too: more than its 100, or only by name. */
static int probe(const char *file_name, struct tern_str head)
{
    int score;
    const struct tern_native_format *format = find_format(tern_str_of(file_name), head, &score);

    if (format == &tern_onnx_graph_format)
        return settings.runs_onnx ? 2 * score : TERN_PROBE_NAMED;
    return score;
}

/* ---- what the configuration calls things ---- */

/* A booster's file names no tensors: where there is one, it is called what the configuration calls
 * it, and has its datatype. */
static void adopt(struct tern_tensor_spec *specs, uint32_t n, const struct tern_tensor_spec *wanted,
                  uint32_t n_wanted)
{
    if (n != 1 || n_wanted != 1)
        return;
    specs[0].name = wanted[0].name;
    if (tern_convert_has(wanted[0].dtype, specs[0].dtype))
        specs[0].dtype = wanted[0].dtype;
}

/* FIL's name of an output that a configuration asks for. */
static bool wants_treeshap(const struct tern_engine_load *spec)
{
    return tern_model_find_spec(spec->outputs, spec->n_outputs, TERN_STR(TERN_NATIVE_TREESHAP)) !=
           NULL;
}

static void adopt_names(const struct tern_engine_load *spec,
                        const struct tern_native_format *format, struct tern_program *program)
{
    if (format->has_names)
        return;
    adopt(program->inputs, program->n_inputs, spec->inputs, spec->n_inputs);
    if (!wants_treeshap(spec)) {
        adopt(program->outputs, program->n_outputs, spec->outputs, spec->n_outputs);
    } else if (spec->n_outputs == 2) {
        bool is_first = tern_str_eq(spec->outputs[0].name, TERN_STR(TERN_NATIVE_TREESHAP));
        adopt(program->outputs, program->n_outputs, &spec->outputs[is_first ? 1 : 0], 1);
    }
}

/* ---- life ---- */

/* Configurations written for FIL say what the file is; "xgboost" there is the old binary form. */
static enum tern_code check_type(const struct tern_native_options *options,
                                 const struct tern_native_format *format, struct tern_err *err)
{
    struct tern_str type = options->model_type, name = tern_str_of(format->name);

    if (type.n == 0 || tern_str_starts(name, type))
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT, "model_type is \"%.*s\", but the file is %s (%s)",
                     TERN_STR_ARG(type), format->name, format->help);
}

static enum tern_code read_program(const struct tern_engine_load *spec, struct tern_str bytes,
                                   struct tern_program *program, struct tern_err *err)
{
    const struct tern_native_source source = {
        .bytes = bytes, .path = spec->path, .arena = program->arena};
    struct tern_native_options options;
    int score;
    const struct tern_native_format *format =
        find_format(spec->path == NULL ? tern_str_make(NULL, 0) : tern_file_base_name(spec->path),
                    bytes, &score);

    if (format == NULL)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "the model file is none of the kinds that are read here");
    if (format == &tern_onnx_graph_format && spec->n_options > 0)
        return tern_fail(err, TERN_UNIMPLEMENTED, "option %.*s is ONNX Runtime's",
                         TERN_STR_ARG(spec->options[0].key));
    TERN_TRY(tern_native_options_parse(spec, &options, err));
    TERN_TRY(check_type(&options, format, err));
    TERN_TRY(format->load(&source, program, err));
    TERN_TRY(tern_native_options_apply(&options, program, err));
    adopt_names(spec, format, program);
    return tern_program_finish(program, err);
}

/* By its name, before the file is opened: who declines it should not have cost its memory. */
static enum tern_code check_size(const char *path, struct tern_err *err)
{
    struct tern_file_info info = {0};
    int score;
    const struct tern_native_format *format =
        find_format(tern_file_base_name(path), tern_str_make(NULL, 0), &score);

    if (format == NULL || format->file_max == 0)
        return TERN_OK;
    TERN_TRY(tern_file_stat(path, &info, err));
    if (info.size <= format->file_max)
        return TERN_OK;
    return tern_fail(err, TERN_UNIMPLEMENTED, "it has %llu MiB, up to %zu MiB are run natively",
                     (unsigned long long)(info.size >> 20), format->file_max >> 20);
}

static enum tern_code load_program(const struct tern_engine_load *spec,
                                   struct tern_program *program, struct tern_err *err)
{
    char *bytes;
    size_t n;

    if (spec->bytes.p != NULL)
        return read_program(spec, spec->bytes, program, err);
    TERN_TRY(check_size(spec->path, err));
    TERN_TRY(tern_file_read(spec->path, TERN_NATIVE_FILE_MAX, TERN_NATIVE_PAD, &bytes, &n, err));
    enum tern_code code = read_program(spec, tern_str_make(bytes, n), program, err);
    tern_mem_free(bytes);
    if (n >= TRIM_FROM)
        tern_mem_trim();
    return code;
}

static enum tern_code load(const struct tern_engine_load *spec, struct tern_arena *arena,
                           struct tern_engine_model *ret_model, struct tern_err *err)
{
    struct tern_native_model *native = tern_arena_zalloc(arena, 1, sizeof(*native));

    if (native == NULL)
        return tern_arena_fail(arena, err, "a program");
    struct tern_program *program = &native->program;
    tern_program_begin(program, arena);
    TERN_TRY(load_program(spec, program, err));
    *ret_model = (struct tern_engine_model){
        .ops = &tern_native_engine,
        .inputs = program->inputs,
        .n_inputs = program->n_inputs,
        .outputs = program->outputs,
        .n_outputs = program->n_outputs,
        .platform = "tern_native",
        .backend = "tern",
        .state = native,
        .feature_names = program->feature_names,
        .n_feature_names = program->n_feature_names,
    };
    TERN_TRY(tern_native_explains(native, arena, &ret_model->explains, err));
    native->has_treeshap = wants_treeshap(spec);
    return native->has_treeshap ? tern_native_add_treeshap(arena, ret_model, err) : TERN_OK;
}

/* What the program holds is the arena's. */
static void unload(struct tern_engine_model *model)
{
    model->state = NULL;
}

/* A program has no state of its own between runs: its instances are one. */
static enum tern_code instance_new(const struct tern_engine_model *model, void **ret_instance,
                                   struct tern_err *err)
{
    (void)err;
    *ret_instance = model->state;
    return TERN_OK;
}

static void instance_free(const struct tern_engine_model *model, void *instance)
{
    (void)model;
    (void)instance;
}

static const struct tern_program *program_of(const struct tern_engine_model *model)
{
    const struct tern_native_model *native = model->state;
    return &native->program;
}

static bool is_on_request(const struct tern_engine_model *model, const struct tern_engine_run *run,
                          uint32_t i)
{
    return model->outputs[run->output_spec[i]].on_request;
}

/* The program knows nothing of attributions: it is run for the other outputs, if there are any. */
static enum tern_code infer_with_treeshap(const struct tern_engine_model *model,
                                          const struct tern_engine_run *run, struct tern_err *err)
{
    struct tern_tensor *outputs = tern_arena_zalloc(run->arena, run->n_outputs, sizeof(*outputs));
    uint32_t *spec = tern_arena_zalloc(run->arena, run->n_outputs, sizeof(*spec)), n = 0;
    struct tern_engine_run rest = *run;

    if (outputs == NULL || spec == NULL)
        return tern_arena_fail(run->arena, err, "a run");
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        if (is_on_request(model, run, i)) {
            TERN_TRY(tern_native_treeshap(model, run, &run->outputs[i], err));
            continue;
        }
        outputs[n] = run->outputs[i];
        spec[n++] = run->output_spec[i];
    }
    rest.outputs = outputs;
    rest.output_spec = spec;
    rest.n_outputs = n;
    if (n > 0)
        TERN_TRY(tern_program_run(program_of(model), &rest, err));
    for (uint32_t i = 0, at = 0; i < run->n_outputs; i++) {
        if (!is_on_request(model, run, i))
            run->outputs[i] = outputs[at++];
    }
    return TERN_OK;
}

static enum tern_code infer(const struct tern_engine_model *model, void *instance,
                            const struct tern_engine_run *run, struct tern_err *err)
{
    const struct tern_native_model *native = model->state;

    (void)instance;
    for (uint32_t i = 0; TERN_UNLIKELY(native->has_treeshap) && i < run->n_outputs; i++) {
        if (is_on_request(model, run, i))
            return infer_with_treeshap(model, run, err);
    }
    return tern_program_run(&native->program, run, err);
}

static enum tern_code explain(const struct tern_engine_model *model,
                              const struct tern_engine_explain *run, struct tern_err *err)
{
    return tern_native_explain(model->state, run, err);
}

static const char *const file_names[] = {"xgboost.ubj", "xgboost.json", "model.ubj",
                                         "model.json",  "model.cbm",    "model.txt",
                                         "model.skops", "model.pmml",   NULL};

static const char *const also[] = {"fil", NULL};

const struct tern_engine_ops tern_native_engine = {
    .name = "tern",
    .also = also,
    .available = available,
    .file_names = file_names,
    .probe = probe,
    .load = load,
    .unload = unload,
    .instance_new = instance_new,
    .instance_free = instance_free,
    .infer = infer,
    .explain = explain,
};
