#include "engine/onnx/onnx_run_int.h"

#include <string.h>
#include "base/mem.h"
#include "base/num.h"

#define BLAMED_INPUTS_MAX 64

/* ---- instances ---- */

static enum tern_code new_run_options(struct tern_onnx_instance *instance, struct tern_err *err)
{
    const struct tern_onnx_model *model = instance->model;
    const struct ort_api *api = &model->ort->api;

    TERN_TRY(tern_ort_check(model->ort, api->CreateRunOptions(&instance->run_options),
                            "run options", err));
    if (model->shrinkage == NULL)
        return TERN_OK;
    return tern_ort_check(model->ort,
                          api->AddRunConfigEntry(instance->run_options,
                                                 "memory.enable_memory_arena_shrinkage",
                                                 model->shrinkage),
                          "option memory.enable_memory_arena_shrinkage", err);
}

/* Five arrays of pointers in one block. */
static enum tern_code fill(struct tern_onnx_instance *instance, struct tern_err *err)
{
    size_t n_in = instance->model->n_inputs;
    size_t n_out = instance->model->n_outputs;
    void **block = tern_mem_zalloc(3 * n_in + 2 * n_out + 1, sizeof(*block));

    if (block == NULL)
        return tern_mem_fail(err, "an instance", (3 * n_in + 2 * n_out) * sizeof(*block));
    instance->block = block;
    instance->given = (const struct tern_tensor **)(void *)block;
    instance->input_names = (const char **)(void *)(block + n_in);
    instance->inputs = (struct ort_value **)(void *)(block + 2 * n_in);
    instance->output_names = (const char **)(void *)(block + 3 * n_in);
    instance->outputs = (struct ort_value **)(void *)(block + 3 * n_in + n_out);
    TERN_TRY(new_run_options(instance, err));
    return tern_onnx_model_take_session(instance->model, &instance->session, err);
}

enum tern_code tern_onnx_run_new(struct tern_onnx_model *model,
                                 struct tern_onnx_instance **ret_instance, struct tern_err *err)
{
    struct tern_onnx_instance *instance = tern_mem_zalloc(1, sizeof(*instance));

    if (instance == NULL)
        return tern_mem_fail(err, "an instance", sizeof(*instance));
    instance->model = model;
    atomic_init(&instance->is_cancelled, false);
    enum tern_code code = fill(instance, err);
    if (code != TERN_OK) {
        tern_onnx_run_free(instance);
        return code;
    }
    *ret_instance = instance;
    return TERN_OK;
}

void tern_onnx_run_free(struct tern_onnx_instance *instance)
{
    const struct tern_ort *ort = instance->model->ort;

    for (size_t i = 0; i < TERN_ONNX_CALL_SETS; i++) {
        tern_onnx_call_free(ort, instance->calls[i][0]);
        tern_onnx_call_free(ort, instance->calls[i][1]);
    }
    if (instance->session != NULL)
        tern_onnx_model_drop_session(instance->model, instance->session);
    if (instance->run_options != NULL)
        ort->api.ReleaseRunOptions(instance->run_options);
    tern_mem_free(instance->block);
    tern_mem_free(instance);
}

void tern_onnx_run_cancel(struct tern_onnx_instance *instance)
{
    const struct tern_ort *ort = instance->model->ort;
    struct ort_status *status = ort->api.RunOptionsSetTerminate(instance->run_options);
    tern_ort_check(ort, status, "cancel", NULL);
    /* After the request, so that the run which forgets it always undoes it. */
    atomic_store(&instance->is_cancelled, true);
}

/* ---- errors ---- */

bool tern_onnx_run_blames_shape(const struct tern_ort *ort, const struct ort_status *status)
{
    return strstr(ort->api.GetErrorMessage(status), "hape") != NULL;
}

/* The given input and dimension where `symbol` stands first. */
static bool first_use(const struct tern_onnx_instance *instance, const char *symbol,
                      struct tern_onnx_dim *ret)
{
    const struct tern_onnx_model *model = instance->model;

    for (uint32_t i = 0; i < model->n_required; i++)
        for (int d = 0; instance->given[i] != NULL && d < model->inputs[i].shape.rank; d++)
            if (strcmp(model->inputs[i].symbols[d], symbol) == 0) {
                *ret = (struct tern_onnx_dim){(int16_t)i, (int16_t)d};
                return true;
            }
    return false;
}

/* Two inputs that declare the same name for a dimension and were given different sizes: the
 * client's mistake, which the library only meets as a failure of some node. Looked for after a
 * failure only, because models exist that do not mean what they declare. */
static enum tern_code check_symbols(const struct tern_onnx_instance *instance, struct tern_err *err)
{
    const struct tern_onnx_model *model = instance->model;
    struct tern_onnx_dim first;

    for (uint32_t i = 0; i < model->n_required && i < BLAMED_INPUTS_MAX; i++) {
        const struct tern_onnx_port *port = &model->inputs[i];
        const struct tern_tensor *tensor = instance->given[i];
        for (int d = 0; tensor != NULL && d < port->shape.rank; d++) {
            if (port->symbols[d][0] == '\0' || !first_use(instance, port->symbols[d], &first))
                continue;
            const struct tern_tensor *other = instance->given[first.input];
            if (other->shape.dim[first.index] != tensor->shape.dim[d])
                return tern_fail(err, TERN_INVALID_ARGUMENT,
                                 "input '%s' has %lld for dimension %d ('%s'), input '%s' has %lld",
                                 port->name, (long long)tensor->shape.dim[d], d, port->symbols[d],
                                 model->inputs[first.input].name,
                                 (long long)other->shape.dim[first.index]);
        }
    }
    return TERN_OK;
}

enum tern_code tern_onnx_run_fail(struct tern_onnx_instance *instance, struct ort_status *status,
                                  struct tern_err *err)
{
    const struct tern_ort *ort = instance->model->ort;
    bool is_cancelled = atomic_load(&instance->is_cancelled) ||
                        strstr(ort->api.GetErrorMessage(status), "terminate flag") != NULL;

    if (is_cancelled) {
        ort->api.ReleaseStatus(status);
        return tern_fail(err, TERN_CANCELLED, "the run was cancelled");
    }
    enum tern_code code = tern_ort_fail(ort, status, "ONNX Runtime", err);
    if (code == TERN_INVALID_ARGUMENT || check_symbols(instance, err) == TERN_OK)
        return code;
    return TERN_INVALID_ARGUMENT;
}

/* ---- inputs ---- */

enum tern_code tern_onnx_run_check_bool(const struct tern_tensor *tensor, struct tern_err *err)
{
    const unsigned char *bytes = tensor->data;
    unsigned char seen = 0;

    for (size_t i = 0; i < tensor->n_bytes; i++)
        seen |= bytes[i];
    if (seen > 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input '%.*s': a BOOL element is one byte of 0 or 1",
                         TERN_STR_ARG(tensor->name));
    return TERN_OK;
}

static enum tern_code fill_strings(const struct tern_ort *ort, const struct tern_tensor *tensor,
                                   size_t count, struct ort_value *value, struct tern_err *err)
{
    size_t at = 0;
    struct tern_str element;

    for (size_t i = 0; i < count; i++) {
        char *dst;
        if (!tern_tensor_next_bytes(tensor, &at, &element))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "input '%.*s': its data ends in element %zu of %zu",
                             TERN_STR_ARG(tensor->name), i, count);
        TERN_TRY(tern_ort_check(
            ort, ort->api.GetResizedStringTensorElementBuffer(value, i, element.n, &dst), "strings",
            err));
        if (element.n > 0)
            memcpy(dst, element.p, element.n);
    }
    return TERN_OK;
}

/* The library keeps strings as objects of its own: they are always copied. */
static enum tern_code wrap_strings(const struct tern_ort *ort, const struct tern_tensor *tensor,
                                   struct ort_value **ret_value, struct tern_err *err)
{
    struct ort_value *value;
    size_t count;

    if (!tern_shape_count(&tensor->shape, &count) || count > tensor->n_bytes / 4)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input '%.*s': its shape has more elements than its data",
                         TERN_STR_ARG(tensor->name));
    TERN_TRY(tern_ort_check(ort,
                            ort->api.CreateTensorAsOrtValue(ort->allocator, tensor->shape.dim,
                                                            (size_t)tensor->shape.rank,
                                                            ORT_ELEMENT_STRING, &value),
                            "strings", err));
    enum tern_code code = fill_strings(ort, tensor, count, value, err);
    if (code != TERN_OK) {
        ort->api.ReleaseValue(value);
        return code;
    }
    *ret_value = value;
    return TERN_OK;
}

static enum tern_code wrap_input(const struct tern_ort *ort, const struct tern_onnx_port *port,
                                 const struct tern_tensor *tensor, struct tern_arena *arena,
                                 struct ort_value **ret_value, struct tern_err *err)
{
    void *data = tensor->data;

    if (port->dtype == TERN_DTYPE_BYTES)
        return wrap_strings(ort, tensor, ret_value, err);
    if (port->dtype == TERN_DTYPE_BOOL)
        TERN_TRY(tern_onnx_run_check_bool(tensor, err));
    bool is_aligned = ((uintptr_t)data & (tern_dtype_size(port->dtype) - 1)) == 0;
    if (!is_aligned || data == NULL) {
        data = tern_arena_alloc(arena, TERN_ONNX_ALIGN, tensor->n_bytes + 1);
        if (data == NULL)
            return tern_arena_fail(arena, err, "an aligned copy of an input");
        if (tensor->data != NULL)
            memcpy(data, tensor->data, tensor->n_bytes);
    }
    return tern_ort_check(ort,
                          ort->api.CreateTensorWithDataAsOrtValue(
                              ort->cpu, data, tensor->n_bytes, tensor->shape.dim,
                              (size_t)tensor->shape.rank, port->element, ret_value),
                          port->name, err);
}

static enum tern_code wrap_inputs(struct tern_onnx_instance *instance,
                                  const struct tern_engine_run *run, struct tern_err *err)
{
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        const struct tern_onnx_port *port = &instance->model->inputs[run->input_spec[i]];
        instance->input_names[i] = port->name;
        TERN_TRY(wrap_input(instance->model->ort, port, &run->inputs[i], run->arena,
                            &instance->inputs[i], err));
    }
    return TERN_OK;
}

/* ---- outputs ---- */

bool tern_onnx_run_predict(const struct tern_onnx_instance *instance,
                           const struct tern_onnx_port *output, struct tern_shape *ret_shape)
{
    if (!atomic_load_explicit(&output->is_predictable, memory_order_relaxed))
        return false;
    *ret_shape = output->shape;
    for (int d = 0; d < output->shape.rank; d++) {
        struct tern_onnx_dim from = output->from[d];
        if (from.input < 0)
            continue;
        const struct tern_tensor *input = instance->given[from.input];
        if (input == NULL || from.index >= input->shape.rank)
            return false;
        ret_shape->dim[d] = input->shape.dim[from.index];
    }
    return true;
}

/* Memory of the arena for the outputs whose shapes are known; the others stay NULL. */
static enum tern_code bind_outputs(struct tern_onnx_instance *instance,
                                   const struct tern_engine_run *run, struct tern_err *err)
{
    const struct tern_ort *ort = instance->model->ort;

    for (uint32_t i = 0; i < run->n_outputs; i++) {
        struct tern_tensor *tensor = &run->outputs[i];
        const struct tern_onnx_port *port = &instance->model->outputs[run->output_spec[i]];
        instance->output_names[i] = port->name;
        tensor->dtype = port->dtype;
        tensor->data = NULL; /* until known: the library's to allocate */
        if (!tern_onnx_run_predict(instance, port, &tensor->shape))
            continue;
        TERN_TRY(tern_shape_bytes(tern_str_of(port->name), port->dtype, &tensor->shape,
                                  &tensor->n_bytes, err));
        tensor->data = tensor->n_bytes == SIZE_MAX
                           ? NULL
                           : tern_arena_alloc(run->arena, TERN_ONNX_ALIGN, tensor->n_bytes + 1);
        if (tensor->data == NULL)
            return tern_arena_fail(run->arena, err, "the model's outputs");
        TERN_TRY(tern_ort_check(
            ort,
            ort->api.CreateTensorWithDataAsOrtValue(ort->cpu, tensor->data, tensor->n_bytes,
                                                    tensor->shape.dim, (size_t)tensor->shape.rank,
                                                    port->element, &instance->outputs[i]),
            port->name, err));
    }
    return TERN_OK;
}

/* Gives up all promises about shapes. */
static bool unbind_outputs(struct tern_onnx_instance *instance, const struct tern_engine_run *run)
{
    bool had_any = false;

    for (uint32_t i = 0; i < run->n_outputs; i++) {
        if (instance->outputs[i] == NULL)
            continue;
        instance->model->ort->api.ReleaseValue(instance->outputs[i]);
        instance->outputs[i] = NULL;
        run->outputs[i].data = NULL;
        had_any = true;
    }
    return had_any;
}

static enum tern_code read_shape(const struct tern_ort *ort, const struct ort_value *value,
                                 int *ret_element, struct tern_shape *ret_shape,
                                 struct tern_err *err)
{
    const struct ort_api *api = &ort->api;
    struct ort_tensor_info *info;
    struct tern_shape shape = {0};
    size_t rank = 0;

    TERN_TRY(tern_ort_check(ort, api->GetTensorTypeAndShape(value, &info), "an output", err));
    struct ort_status *status = api->GetTensorElementType(info, ret_element);
    if (status == NULL)
        status = api->GetDimensionsCount(info, &rank);
    if (status == NULL && rank <= TERN_RANK_MAX)
        status = api->GetDimensions(info, shape.dim, rank);
    api->ReleaseTensorTypeAndShapeInfo(info);
    TERN_TRY(tern_ort_check(ort, status, "an output", err));
    if (rank > TERN_RANK_MAX)
        return tern_fail(err, TERN_INTERNAL, "an output has %zu dimensions, at most %d work", rank,
                         TERN_RANK_MAX);
    shape.rank = (int)rank;
    *ret_shape = shape;
    return TERN_OK;
}

/* The same without memory being taken, where the library can. */
static enum tern_code look_at_shape(const struct tern_ort *ort, const struct ort_value *value,
                                    int *ret_element, struct tern_shape *ret_shape,
                                    struct tern_err *err)
{
    const int64_t *dims = NULL;
    size_t rank = 0;

    if (ort->api.GetTensorElementTypeAndShapeDataReference == NULL)
        return read_shape(ort, value, ret_element, ret_shape, err);
    struct ort_status *status =
        ort->api.GetTensorElementTypeAndShapeDataReference(value, ret_element, &dims, &rank);
    TERN_TRY(tern_ort_check(ort, status, "an output", err));
    if (rank > TERN_RANK_MAX)
        return tern_fail(err, TERN_INTERNAL, "an output has %zu dimensions, at most %d work", rank,
                         TERN_RANK_MAX);
    *ret_shape = (struct tern_shape){.rank = (int)rank};
    if (rank > 0)
        memcpy(ret_shape->dim, dims, rank * sizeof(*dims));
    return TERN_OK;
}

static void put_length(char *dst, size_t n)
{
    for (unsigned i = 0; i < 4; i++)
        dst[i] = (char)(unsigned char)(n >> (8 * i));
}

/* The library writes all contents one after the other, and their offsets. They go to the end of the
 * result and move forward as the lengths come between them: element i never lands behind where it
 * was read. */
static enum tern_code unwrap_strings(const struct tern_ort *ort, const struct ort_value *value,
                                     size_t count, struct tern_tensor *tensor,
                                     struct tern_arena *arena, struct tern_err *err)
{
    size_t total = 0;
    size_t n_bytes;
    size_t n_offsets;

    TERN_TRY(
        tern_ort_check(ort, ort->api.GetStringTensorDataLength(value, &total), "strings", err));
    if (total > UINT32_MAX || tern_num_mul(count, 4, &n_bytes) ||
        tern_num_add(n_bytes, total, &n_bytes) || tern_num_mul(count, sizeof(size_t), &n_offsets))
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "an output has %zu bytes of strings", total);
    char *bytes = tern_arena_alloc(arena, TERN_ONNX_ALIGN, n_bytes + 1);
    size_t *offsets = tern_arena_alloc(arena, _Alignof(size_t), n_offsets + 1);
    if (bytes == NULL || offsets == NULL)
        return tern_arena_fail(arena, err, "the model's outputs");
    char *content = bytes + 4 * count;
    if (count > 0)
        TERN_TRY(tern_ort_check(
            ort, ort->api.GetStringTensorContent(value, content, total, offsets, count), "strings",
            err));
    char *to = bytes;
    for (size_t i = 0; i < count; i++) {
        size_t end = i + 1 < count ? offsets[i + 1] : total;
        size_t n = end - offsets[i];
        put_length(to, n);
        memmove(to + 4, content + offsets[i], n);
        to += 4 + n;
    }
    tensor->data = bytes;
    tensor->n_bytes = n_bytes;
    return TERN_OK;
}

/* Takes over the output that the library made: its shape, and its memory for as long as the arena
 * lasts. */
static enum tern_code take_output(const struct tern_ort *ort, struct tern_onnx_port *port,
                                  struct ort_value **value, struct tern_tensor *tensor,
                                  struct tern_arena *arena, struct tern_err *err)
{
    int element = 0;
    size_t count;

    TERN_TRY(look_at_shape(ort, *value, &element, &tensor->shape, err));
    if (element != port->element || !tern_shape_count(&tensor->shape, &count))
        return tern_fail(err, TERN_INTERNAL, "output '%s' is not what the model declares",
                         port->name);
    if (port->dtype == TERN_DTYPE_BYTES)
        return unwrap_strings(ort, *value, count, tensor, arena, err);
    TERN_TRY(tern_shape_bytes(tern_str_of(port->name), port->dtype, &tensor->shape,
                              &tensor->n_bytes, err));
    TERN_TRY(
        tern_ort_check(ort, ort->api.GetTensorMutableData(*value, &tensor->data), port->name, err));
    TERN_TRY(tern_arena_on_reset(arena, tern_ort_release_value, *value, err));
    *value = NULL; /* the arena's now */
    return TERN_OK;
}

static enum tern_code take_outputs(struct tern_onnx_instance *instance,
                                   const struct tern_engine_run *run, struct tern_err *err)
{
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        struct tern_onnx_port *port = &instance->model->outputs[run->output_spec[i]];
        struct tern_tensor *tensor = &run->outputs[i];
        struct tern_shape promised;
        if (tensor->data != NULL)
            continue; /* written in place */
        bool was_promised = tern_onnx_run_predict(instance, port, &promised);
        TERN_TRY(take_output(instance->model->ort, port, &instance->outputs[i], tensor, run->arena,
                             err));
        if (was_promised && !tern_shape_eq(&promised, &tensor->shape))
            atomic_store(&port->is_predictable, false);
    }
    return TERN_OK;
}

/* ---- running ---- */

static enum tern_code run_wrapped(struct tern_onnx_instance *instance,
                                  const struct tern_engine_run *run, struct tern_err *err)
{
    const struct tern_ort *ort = instance->model->ort;

    TERN_TRY(wrap_inputs(instance, run, err));
    TERN_TRY(bind_outputs(instance, run, err));
    struct ort_status *status =
        tern_onnx_run_session(instance, instance->input_names, instance->inputs, run->n_inputs,
                              instance->output_names, instance->outputs, run->n_outputs);
    if (status != NULL && tern_onnx_run_blames_shape(ort, status) &&
        unbind_outputs(instance, run)) {
        ort->api.ReleaseStatus(status);
        status =
            tern_onnx_run_session(instance, instance->input_names, instance->inputs, run->n_inputs,
                                  instance->output_names, instance->outputs, run->n_outputs);
    }
    if (status != NULL)
        return tern_onnx_run_fail(instance, status, err);
    return take_outputs(instance, run, err);
}

static void release_values(struct tern_onnx_instance *instance, const struct tern_engine_run *run)
{
    const struct ort_api *api = &instance->model->ort->api;

    for (uint32_t i = 0; i < run->n_inputs; i++) {
        if (instance->inputs[i] != NULL)
            api->ReleaseValue(instance->inputs[i]);
        instance->inputs[i] = NULL;
    }
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        if (instance->outputs[i] != NULL)
            api->ReleaseValue(instance->outputs[i]);
        instance->outputs[i] = NULL;
    }
}

enum tern_code tern_onnx_run_infer(struct tern_onnx_instance *instance,
                                   const struct tern_engine_run *run, struct tern_err *err)
{
    const struct tern_onnx_model *model = instance->model;
    enum tern_onnx_called called;

    if (run->n_inputs > model->n_inputs || run->n_outputs > model->n_outputs)
        return tern_fail(err, TERN_INTERNAL, "%u inputs and %u outputs for a model of %u and %u",
                         run->n_inputs, run->n_outputs, model->n_inputs, model->n_outputs);
    if (atomic_load_explicit(&instance->is_cancelled, memory_order_relaxed)) {
        atomic_store(&instance->is_cancelled, false);
        tern_ort_check(model->ort, model->ort->api.RunOptionsUnsetTerminate(instance->run_options),
                       "cancel", NULL);
    }
    for (uint32_t i = 0; i < model->n_inputs; i++)
        instance->given[i] = NULL;
    for (uint32_t i = 0; i < run->n_inputs; i++)
        instance->given[run->input_spec[i]] = &run->inputs[i];
    TERN_TRY(tern_onnx_call_run(instance, run, &called, err));
    if (called == TERN_ONNX_CALL_DONE)
        return TERN_OK;
    enum tern_code code = run_wrapped(instance, run, err);
    release_values(instance, run);
    return code;
}
