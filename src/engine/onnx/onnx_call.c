/* Prepared calls: see onnx_run.h. A call is found by everything that its tensors depend on: which
 * inputs come, with which shapes, and which outputs are wanted. Two places for each hash: a
 * server that sees very many shapes pays for making tensors, as it would without. */
#include "engine/onnx/onnx_run_int.h"

#include <string.h>
#include "base/mem.h"
#include "base/num.h"

#define KEY_MAX 64

struct key {
    uint64_t hash;
    size_t n;
    int64_t word[KEY_MAX];
};

struct slot {
    const char *name; /* borrowed from the model */
    void *data;       /* in the call's buffer */
    size_t n_bytes;
};

struct tern_onnx_call {
    struct key key;
    uint32_t n_inputs;
    uint32_t n_outputs;
    struct slot in[TERN_ONNX_CALL_PORTS];
    struct slot out[TERN_ONNX_CALL_PORTS];
    struct tern_shape out_shape[TERN_ONNX_CALL_PORTS];
    const char *input_names[TERN_ONNX_CALL_PORTS];
    const char *output_names[TERN_ONNX_CALL_PORTS];
    struct ort_value *inputs[TERN_ONNX_CALL_PORTS]; /* owned, over in[].data */
    struct ort_value *outputs[TERN_ONNX_CALL_PORTS];
    char *buffer;                   /* owned */
    struct ort_io_binding *binding; /* owned; NULL: Run takes names and values each time */
};

static bool make_key(const struct tern_engine_run *run, struct key *key)
{
    size_t n = 0;
    uint64_t hash = 0;

    if (run->n_inputs > TERN_ONNX_CALL_PORTS || run->n_outputs > TERN_ONNX_CALL_PORTS)
        return false;
    key->word[n++] = (int64_t)run->n_inputs << 32 | run->n_outputs;
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        const struct tern_shape *shape = &run->inputs[i].shape;
        if (n + 1 + (size_t)shape->rank > KEY_MAX - TERN_ONNX_CALL_PORTS)
            return false;
        key->word[n++] = (int64_t)run->input_spec[i] << 32 | shape->rank;
        for (int d = 0; d < shape->rank; d++)
            key->word[n++] = shape->dim[d];
    }
    for (uint32_t i = 0; i < run->n_outputs; i++)
        key->word[n++] = run->output_spec[i];
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (uint64_t)key->word[i]) * 0x9e3779b97f4a7c15u;
    key->n = n;
    key->hash = hash;
    return true;
}

static bool same_key(const struct key *a, const struct key *b)
{
    return a->hash == b->hash && a->n == b->n &&
           memcmp(a->word, b->word, a->n * sizeof(a->word[0])) == 0;
}

/* Rounds up, so that each tensor of a buffer is aligned. */
static size_t padded(size_t n)
{
    return (n + TERN_ONNX_ALIGN - 1) & ~(size_t)(TERN_ONNX_ALIGN - 1);
}

/* Sizes and output shapes; false when the request is not for a prepared call. */
static bool plan(const struct tern_onnx_instance *instance, const struct tern_engine_run *run,
                 struct tern_onnx_call *call, size_t *ret_bytes)
{
    const struct tern_onnx_model *model = instance->model;
    size_t in_bytes = 0;
    size_t out_bytes = 0;

    for (uint32_t i = 0; i < run->n_inputs; i++) {
        const struct tern_onnx_port *port = &model->inputs[run->input_spec[i]];
        const struct tern_tensor *tensor = &run->inputs[i];
        size_t n;
        if (port->dtype == TERN_DTYPE_BYTES || tensor->n_bytes > TERN_ONNX_CALL_BYTES ||
            tern_shape_bytes(tensor->name, port->dtype, &tensor->shape, &n, NULL) != TERN_OK ||
            n != tensor->n_bytes)
            return false;
        call->in[i] = (struct slot){.name = port->name, .n_bytes = n};
        in_bytes += padded(n);
    }
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        const struct tern_onnx_port *port = &model->outputs[run->output_spec[i]];
        size_t n;
        if (!tern_onnx_run_predict(instance, port, &call->out_shape[i]) ||
            tern_shape_bytes(tern_str_of(port->name), port->dtype, &call->out_shape[i], &n, NULL) !=
                TERN_OK ||
            n > TERN_ONNX_CALL_BYTES)
            return false;
        call->out[i] = (struct slot){.name = port->name, .n_bytes = n};
        out_bytes += padded(n);
    }
    if (in_bytes > TERN_ONNX_CALL_BYTES || out_bytes > TERN_ONNX_CALL_BYTES)
        return false;
    *ret_bytes = in_bytes + out_bytes;
    return true;
}

static enum tern_code make_values(const struct tern_onnx_model *model,
                                  const struct tern_engine_run *run, struct tern_onnx_call *call,
                                  struct tern_err *err)
{
    const struct tern_ort *ort = model->ort;
    char *at = call->buffer;

    for (uint32_t i = 0; i < run->n_inputs; i++) {
        struct slot *slot = &call->in[i];
        const struct tern_shape *shape = &run->inputs[i].shape;
        slot->data = at;
        at += padded(slot->n_bytes);
        TERN_TRY(
            tern_ort_check(ort,
                           ort->api.CreateTensorWithDataAsOrtValue(
                               ort->cpu, slot->data, slot->n_bytes, shape->dim, (size_t)shape->rank,
                               model->inputs[run->input_spec[i]].element, &call->inputs[i]),
                           slot->name, err));
        call->input_names[i] = slot->name;
        call->n_inputs = i + 1;
    }
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        struct slot *slot = &call->out[i];
        const struct tern_shape *shape = &call->out_shape[i];
        slot->data = at;
        at += padded(slot->n_bytes);
        TERN_TRY(
            tern_ort_check(ort,
                           ort->api.CreateTensorWithDataAsOrtValue(
                               ort->cpu, slot->data, slot->n_bytes, shape->dim, (size_t)shape->rank,
                               model->outputs[run->output_spec[i]].element, &call->outputs[i]),
                           slot->name, err));
        call->output_names[i] = slot->name;
        call->n_outputs = i + 1;
    }
    return TERN_OK;
}

/* Names and values looked up once instead of at every run. Not with a device: a bound input is
 * moved there when it is bound, and what is copied into it later would not follow. */
static enum tern_code bind(const struct tern_onnx_instance *instance, struct tern_onnx_call *call,
                           struct tern_err *err)
{
    const struct tern_ort *ort = instance->model->ort;
    const struct ort_api *api = &ort->api;

    if (instance->model->has_device)
        return TERN_OK;
    TERN_TRY(tern_ort_check(ort, api->CreateIoBinding(instance->session, &call->binding),
                            "a prepared call", err));
    for (uint32_t i = 0; i < call->n_inputs; i++)
        TERN_TRY(tern_ort_check(
            ort, api->BindInput(call->binding, call->input_names[i], call->inputs[i]),
            call->input_names[i], err));
    for (uint32_t i = 0; i < call->n_outputs; i++)
        TERN_TRY(tern_ort_check(
            ort, api->BindOutput(call->binding, call->output_names[i], call->outputs[i]),
            call->output_names[i], err));
    return TERN_OK;
}

/* *ret_call == NULL: this request is not for a prepared call. Planned on the stack first, so that
 * such a request takes no memory. */
static enum tern_code new_call(const struct tern_onnx_instance *instance,
                               const struct tern_engine_run *run, const struct key *key,
                               struct tern_onnx_call **ret_call, struct tern_err *err)
{
    struct tern_onnx_call draft = {.n_inputs = 0};
    size_t n_bytes = 0;

    *ret_call = NULL;
    if (!plan(instance, run, &draft, &n_bytes))
        return TERN_OK;
    struct tern_onnx_call *call = tern_mem_alloc(sizeof(*call));
    if (call == NULL)
        return tern_mem_fail(err, "a prepared call", sizeof(*call));
    *call = draft;
    call->key = *key;
    call->buffer = tern_mem_alloc_aligned(TERN_ONNX_ALIGN, n_bytes + TERN_ONNX_ALIGN);
    enum tern_code code = call->buffer == NULL ? tern_mem_fail(err, "a prepared call", n_bytes)
                                               : make_values(instance->model, run, call, err);
    if (code == TERN_OK)
        code = bind(instance, call, err);
    if (code != TERN_OK) {
        tern_onnx_call_free(instance->model->ort, call);
        return code;
    }
    *ret_call = call;
    return TERN_OK;
}

void tern_onnx_call_free(const struct tern_ort *ort, struct tern_onnx_call *call)
{
    if (call == NULL)
        return;
    if (call->binding != NULL)
        ort->api.ReleaseIoBinding(call->binding);
    for (uint32_t i = 0; i < call->n_inputs; i++)
        ort->api.ReleaseValue(call->inputs[i]);
    for (uint32_t i = 0; i < call->n_outputs; i++)
        ort->api.ReleaseValue(call->outputs[i]);
    tern_mem_free(call->buffer);
    tern_mem_free(call);
}

static enum tern_code copy_in(const struct tern_engine_run *run, struct tern_onnx_call *call,
                              struct tern_err *err)
{
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        const struct tern_tensor *tensor = &run->inputs[i];
        if (tensor->dtype == TERN_DTYPE_BOOL)
            TERN_TRY(tern_onnx_run_check_bool(tensor, err));
        if (tensor->n_bytes > 0)
            memcpy(call->in[i].data, tensor->data, call->in[i].n_bytes);
    }
    return TERN_OK;
}

static enum tern_code copy_out(const struct tern_onnx_model *model,
                               const struct tern_engine_run *run, struct tern_onnx_call *call,
                               struct tern_err *err)
{
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        struct tern_tensor *tensor = &run->outputs[i];
        const struct slot *slot = &call->out[i];
        void *data = tern_arena_alloc(run->arena, TERN_ONNX_ALIGN, slot->n_bytes + 1);
        if (data == NULL)
            return tern_arena_fail(run->arena, err, "the model's outputs");
        memcpy(data, slot->data, slot->n_bytes);
        tensor->dtype = model->outputs[run->output_spec[i]].dtype;
        tensor->shape = call->out_shape[i];
        tensor->data = data;
        tensor->n_bytes = slot->n_bytes;
    }
    return TERN_OK;
}

/* All sizes in the key's shapes were planned for: a tensor that claims another size must not be
 * copied. */
static bool sizes_match(const struct tern_engine_run *run, const struct tern_onnx_call *call)
{
    for (uint32_t i = 0; i < run->n_inputs; i++)
        if (run->inputs[i].n_bytes != call->in[i].n_bytes)
            return false;
    return true;
}

static struct ort_status *run_call(const struct tern_onnx_instance *instance,
                                   struct tern_onnx_call *call)
{
    if (TERN_LIKELY(call->binding != NULL))
        return instance->model->ort->api.RunWithBinding(instance->session, instance->run_options,
                                                        call->binding);
    return tern_onnx_run_session(instance, call->input_names, call->inputs, call->n_inputs,
                                 call->output_names, call->outputs, call->n_outputs);
}

static void swap_ways(struct tern_onnx_call *ways[2])
{
    struct tern_onnx_call *first = ways[0];
    ways[0] = ways[1];
    ways[1] = first;
}

/* Brings the call with this key to ways[0], made now if need be. *ret_found false: this request is
 * not for a prepared call. */
static enum tern_code find_call(struct tern_onnx_instance *instance,
                                const struct tern_engine_run *run, const struct key *key,
                                struct tern_onnx_call *ways[2], bool *ret_found,
                                struct tern_err *err)
{
    struct tern_onnx_call *fresh = NULL;

    *ret_found = ways[0] != NULL && same_key(&ways[0]->key, key);
    if (*ret_found)
        return TERN_OK;
    if (ways[1] == NULL || !same_key(&ways[1]->key, key)) {
        TERN_TRY(new_call(instance, run, key, &fresh, err));
        if (fresh == NULL)
            return TERN_OK;
        tern_onnx_call_free(instance->model->ort, ways[1]);
        ways[1] = fresh;
    }
    swap_ways(ways);
    *ret_found = true;
    return TERN_OK;
}

enum tern_code tern_onnx_call_run(struct tern_onnx_instance *instance,
                                  const struct tern_engine_run *run,
                                  enum tern_onnx_called *ret_called, struct tern_err *err)
{
    const struct tern_ort *ort = instance->model->ort;
    TERN_UNINITIALIZED struct key key;
    bool found = false;

    *ret_called = TERN_ONNX_CALL_NONE;
    if (!make_key(run, &key))
        return TERN_OK;
    struct tern_onnx_call **ways = instance->calls[key.hash >> 60];
    TERN_TRY(find_call(instance, run, &key, ways, &found, err));
    if (!found || !sizes_match(run, ways[0]))
        return TERN_OK;
    struct tern_onnx_call *call = ways[0];
    TERN_TRY(copy_in(run, call, err));
    struct ort_status *status = run_call(instance, call);
    if (status != NULL && tern_onnx_run_blames_shape(ort, status)) {
        ort->api.ReleaseStatus(status);
        tern_onnx_call_free(ort, call);
        ways[0] = NULL;
        return TERN_OK;
    }
    if (status != NULL)
        return tern_onnx_run_fail(instance, status, err);
    *ret_called = TERN_ONNX_CALL_DONE;
    return copy_out(instance->model, run, call, err);
}
