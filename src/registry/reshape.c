#include "registry/reshape.h"

/* Shapes of the model to shapes of the client, one output after another. */
static enum tern_code to_client(const struct tern_model_version *version,
                                const uint32_t *output_spec, struct tern_tensor *outputs,
                                uint32_t n, struct tern_err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct tern_shape *model = &version->output_shapes[output_spec[i]];
        const struct tern_shape *client = &version->output_specs[output_spec[i]].shape;
        char got[160], want[160];
        if (model->rank < 0)
            continue;
        if (!tern_shape_fits(model, &outputs[i].shape))
            return tern_fail(err, TERN_INTERNAL,
                             "output '%.*s' has shape %s, which its reshape %s does not hold",
                             TERN_STR_ARG(outputs[i].name),
                             tern_shape_print(&outputs[i].shape, got, sizeof(got)),
                             tern_shape_print(model, want, sizeof(want)));
        tern_shape_map(model, client, &outputs[i].shape);
    }
    return TERN_OK;
}

/* Answers of a decoupled model pass by here. */
struct reshape_sink {
    struct tern_engine_sink base;
    const struct tern_model_version *version;
    const struct tern_engine_run *run;
    struct tern_tensor *copies;
};

static enum tern_code emit(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                           uint32_t n, struct tern_err *err)
{
    struct reshape_sink *sink = TERN_CONTAINER_OF(self, struct reshape_sink, base);

    if (n > sink->run->n_outputs)
        return tern_fail(err, TERN_INTERNAL, "the model gave more outputs than it has");
    memcpy(sink->copies, outputs, n * sizeof(*outputs));
    TERN_TRY(to_client(sink->version, sink->run->output_spec, sink->copies, n, err));
    return sink->run->sink->emit(sink->run->sink, sink->copies, n, err);
}

static enum tern_code run_reshaped(const struct tern_model_version *version, void *instance,
                                   const struct tern_engine_run *run, struct tern_err *err)
{
    struct tern_engine_run inner = *run;
    struct tern_tensor *inputs = tern_arena_zalloc(run->arena, run->n_inputs + 1, sizeof(*inputs));
    struct tern_tensor *copies = tern_arena_zalloc(run->arena, run->n_outputs + 1, sizeof(*copies));
    struct reshape_sink sink = {
        .base = {.emit = emit}, .version = version, .run = run, .copies = copies};

    if (inputs == NULL || copies == NULL)
        return tern_arena_fail(run->arena, err, "the reshaped tensors");
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        const struct tern_shape *model = &version->input_shapes[run->input_spec[i]];
        inputs[i] = run->inputs[i];
        if (model->rank >= 0)
            tern_shape_map(&version->input_specs[run->input_spec[i]].shape, model,
                           &inputs[i].shape);
    }
    inner.inputs = inputs;
    if (run->sink != NULL)
        inner.sink = &sink.base;
    TERN_TRY(version->engine.ops->infer(&version->engine, instance, &inner, err));
    return run->sink != NULL
               ? TERN_OK
               : to_client(version, run->output_spec, run->outputs, run->n_outputs, err);
}

enum tern_code tern_reshape_infer(const struct tern_model_version *version, void *instance,
                                  const struct tern_engine_run *run, struct tern_err *err)
{
    if (TERN_LIKELY(version->input_shapes == NULL))
        return version->engine.ops->infer(&version->engine, instance, run, err);
    return run_reshaped(version, instance, run, err);
}
