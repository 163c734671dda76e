#include "engine/onnx/onnx.h"

#include "base/mem.h"
#include "engine/onnx/onnx_model.h"
#include "engine/onnx/onnx_run.h"
#include "engine/onnx/ort.h"

enum tern_code tern_onnx_configure(const struct tern_onnx_config *config, struct tern_err *err)
{
    return tern_ort_configure(config, err);
}

static enum tern_code available(struct tern_err *err)
{
    const struct tern_ort *ort;
    return tern_ort_find(&ort, err);
}

/* An ONNX file begins with its IR version: field 1, a small number. */
static int probe(const char *file_name, struct tern_str head)
{
    bool has_name = tern_str_ends(tern_str_of(file_name), TERN_STR(".onnx"));
    bool has_head = head.n >= 2 && head.p[0] == 0x08 && head.p[1] > 0 && head.p[1] < 32;
    return has_name ? 100 : has_head ? 10 : 0;
}

static void fill_specs(const struct tern_onnx_port *ports, uint32_t n, uint32_t n_required,
                       struct tern_tensor_spec *specs)
{
    for (uint32_t i = 0; i < n; i++)
        specs[i] = (struct tern_tensor_spec){
            .name = tern_str_of(ports[i].name),
            .dtype = ports[i].dtype,
            .shape = ports[i].shape,
            .optional = i >= n_required,
        };
}

static enum tern_code load(const struct tern_engine_load *spec, struct tern_arena *arena,
                           struct tern_engine_model *ret_model, struct tern_err *err)
{
    struct tern_onnx_model *model;

    TERN_TRY(tern_onnx_model_new(spec, arena, &model, err));
    struct tern_tensor_spec *inputs =
        tern_arena_zalloc(arena, model->n_inputs + 1u, sizeof(*inputs));
    struct tern_tensor_spec *outputs =
        tern_arena_zalloc(arena, model->n_outputs + 1u, sizeof(*outputs));
    if (inputs == NULL || outputs == NULL) {
        tern_onnx_model_free(model);
        return tern_arena_fail(arena, err, "a model's tensors");
    }
    fill_specs(model->inputs, model->n_inputs, model->n_required, inputs);
    fill_specs(model->outputs, model->n_outputs, model->n_outputs, outputs);
    *ret_model = (struct tern_engine_model){
        .ops = &tern_onnx_engine,
        .inputs = inputs,
        .n_inputs = model->n_inputs,
        .outputs = outputs,
        .n_outputs = model->n_outputs,
        .platform = "onnxruntime_onnx",
        .backend = "onnxruntime",
        .state = model,
    };
    return TERN_OK;
}

static void unload(struct tern_engine_model *model)
{
    tern_onnx_model_free(model->state);
    model->state = NULL;
}

static enum tern_code instance_new(const struct tern_engine_model *model, void **ret_instance,
                                   struct tern_err *err)
{
    struct tern_onnx_instance *instance;
    TERN_TRY(tern_onnx_run_new(model->state, &instance, err));
    *ret_instance = instance;
    return TERN_OK;
}

static void instance_free(const struct tern_engine_model *model, void *instance)
{
    (void)model;
    tern_onnx_run_free(instance);
}

static enum tern_code infer(const struct tern_engine_model *model, void *instance,
                            const struct tern_engine_run *run, struct tern_err *err)
{
    (void)model;
    return tern_onnx_run_infer(instance, run, err);
}

static void cancel(const struct tern_engine_model *model, void *instance)
{
    (void)model;
    tern_onnx_run_cancel(instance);
}

static const char *const file_names[] = {"model.onnx", NULL};

const struct tern_engine_ops tern_onnx_engine = {
    .name = "onnxruntime",
    .available = available,
    .file_names = file_names,
    .probe = probe,
    .load = load,
    .unload = unload,
    .instance_new = instance_new,
    .instance_free = instance_free,
    .infer = infer,
    .cancel = cancel,
    .close = tern_ort_stop,
};
