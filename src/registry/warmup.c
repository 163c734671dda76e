#include "registry/warmup.h"

#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "os/file.h"
#include "registry/batch_input.h"

#define TIMED_RUNS       5
#define WARM_INPUT_MAX   (64u << 20)
#define WARM_MEMORY_MAX  ((size_t)1 << 30)
#define WARM_REPEATS_MAX 1000

/* Where a decoupled model's answers go meanwhile. Others do not look. */
static enum tern_code drop(struct tern_engine_sink *self, const struct tern_tensor *outputs,
                           uint32_t n_outputs, struct tern_err *err)
{
    (void)self, (void)outputs, (void)n_outputs, (void)err;
    return TERN_OK;
}

enum tern_code tern_warmup_run(const struct tern_engine_model *engine,
                               const struct tern_tensor *inputs, const uint32_t *input_spec,
                               uint32_t n_inputs, struct tern_arena *arena,
                               struct tern_engine_run *ret_run, struct tern_err *err)
{
    struct tern_tensor *outputs = tern_arena_zalloc(arena, engine->n_outputs + 1, sizeof(*outputs));
    uint32_t *output_spec = tern_arena_zalloc(arena, engine->n_outputs + 1, sizeof(uint32_t));
    struct tern_engine_sink *nowhere = tern_arena_zalloc(arena, 1, sizeof(*nowhere));

    if (outputs == NULL || output_spec == NULL || nowhere == NULL)
        return tern_arena_fail(arena, err, "a warm-up run");
    nowhere->emit = drop;
    uint32_t n = 0;
    for (uint32_t i = 0; i < engine->n_outputs; i++) {
        if (engine->outputs[i].on_request)
            continue; /* it would say nothing of the other runs */
        outputs[n].name = engine->outputs[i].name;
        output_spec[n++] = i;
    }
    *ret_run = (struct tern_engine_run){
        .inputs = inputs,
        .input_spec = input_spec,
        .n_inputs = n_inputs,
        .outputs = outputs,
        .output_spec = output_spec,
        .n_outputs = n,
        .arena = arena,
        .sink = nowhere,
    };
    return TERN_OK;
}

/* Zeroed memory for the tensor's shape; empty strings for BYTES. */
static enum tern_code take_zeros(struct tern_tensor *tensor, struct tern_arena *arena,
                                 struct tern_err *err)
{
    size_t count, bytes;

    if (tensor->dtype == TERN_DTYPE_BYTES) {
        if (!tern_shape_count(&tensor->shape, &count) || count > WARM_INPUT_MAX / 4)
            return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "input '%.*s' is too large to warm up",
                             TERN_STR_ARG(tensor->name));
        bytes = count * 4;
    } else {
        TERN_TRY(tern_shape_bytes(tensor->name, tensor->dtype, &tensor->shape, &bytes, err));
    }
    tensor->data = tern_arena_zalloc(arena, bytes, 1);
    if (tensor->data == NULL)
        return tern_arena_fail(arena, err, "a warm-up input");
    tensor->n_bytes = bytes;
    return TERN_OK;
}

/* ---- timing on zeros ---- */

static enum tern_code make_zero_run(const struct tern_engine_model *engine,
                                    struct tern_arena *arena, struct tern_engine_run *ret_run,
                                    uint64_t *ret_units, struct tern_err *err)
{
    struct tern_tensor *inputs = tern_arena_zalloc(arena, engine->n_inputs + 1, sizeof(*inputs));
    uint32_t *input_spec = tern_arena_zalloc(arena, engine->n_inputs + 1, sizeof(uint32_t));
    uint32_t n = 0;
    uint64_t units = 0;

    if (inputs == NULL || input_spec == NULL)
        return tern_arena_fail(arena, err, "a warm-up run");
    for (uint32_t i = 0; i < engine->n_inputs; i++) {
        const struct tern_tensor_spec *spec = &engine->inputs[i];
        if (spec->optional)
            continue;
        inputs[n] =
            (struct tern_tensor){.name = spec->name, .dtype = spec->dtype, .shape = spec->shape};
        for (int d = 0; d < spec->shape.rank; d++) {
            if (spec->shape.dim[d] < 0)
                inputs[n].shape.dim[d] = 1;
        }
        TERN_TRY(take_zeros(&inputs[n], arena, err));
        size_t size = tern_dtype_size(spec->dtype);
        units += inputs[n].n_bytes / (size > 0 ? size : 1);
        input_spec[n++] = i;
    }
    *ret_units = units > 0 ? units : 1;
    return tern_warmup_run(engine, inputs, input_spec, n, arena, ret_run, err);
}

enum tern_code tern_warmup_time(const struct tern_engine_model *engine, void *instance,
                                uint64_t *ret_best_ns, uint64_t *ret_units, struct tern_err *err)
{
    struct tern_arena arena;
    enum tern_code code = TERN_OK;
    uint64_t best = UINT64_MAX; /* the first runs pay for allocation and page faults */

    tern_arena_init(&arena, 4096, WARM_MEMORY_MAX);
    for (int i = 0; i < TIMED_RUNS && code == TERN_OK; i++) {
        struct tern_engine_run run;
        code = make_zero_run(engine, &arena, &run, ret_units, err);
        if (code == TERN_OK) {
            uint64_t start = tern_clock_mono_ns();
            code = engine->ops->infer(engine, instance, &run, err);
            uint64_t took = tern_clock_mono_ns() - start;
            best = took < best ? took : best;
        }
        tern_arena_reset(&arena);
    }
    tern_arena_fini(&arena);
    if (code == TERN_OK)
        *ret_best_ns = best;
    return code;
}

/* ---- configured samples ---- */

/* xorshift: the same "random" data at every load. */
static void fill_random(struct tern_tensor *tensor)
{
    uint64_t state = 0x9E3779B97F4A7C15u;
    unsigned char *p = tensor->data;
    size_t size = tern_dtype_size(tensor->dtype);

    for (size_t i = 0; i < tensor->n_bytes; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        p[i] = (unsigned char)state;
        /* The top byte of a floating-point number: keep it small and finite. */
        bool is_real = tensor->dtype == TERN_DTYPE_FP16 || tensor->dtype == TERN_DTYPE_BF16 ||
                       tensor->dtype == TERN_DTYPE_FP32 || tensor->dtype == TERN_DTYPE_FP64;
        if (is_real && i % size == size - 1)
            p[i] = 0x3C;
        if (tensor->dtype == TERN_DTYPE_BOOL)
            p[i] &= 1;
    }
}

static enum tern_code read_sample_file(const struct tern_config_warmup_input *input,
                                       const char *folder, struct tern_arena *arena,
                                       struct tern_tensor *tensor, struct tern_err *err)
{
    const char *warmup = tern_file_join(arena, folder, TERN_STR("warmup"));
    const char *path = warmup == NULL ? NULL : tern_file_join(arena, warmup, input->file);
    char *bytes;
    size_t n;

    if (path == NULL)
        return tern_arena_fail(arena, err, "a path");
    if (tern_str_find(input->file, '/') < input->file.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "input_data_file '%.*s' must be a plain name",
                         TERN_STR_ARG(input->file));
    TERN_TRY(tern_file_read(path, WARM_INPUT_MAX, 0, &bytes, &n, err));
    enum tern_code code = tern_arena_on_reset(arena, tern_mem_free, bytes, err);
    if (code != TERN_OK) {
        tern_mem_free(bytes);
        return code;
    }
    if (tensor->dtype != TERN_DTYPE_BYTES && n != tensor->n_bytes)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input_data_file '%.*s' has %zu bytes, input '%.*s' takes %zu",
                         TERN_STR_ARG(input->file), n, TERN_STR_ARG(tensor->name), tensor->n_bytes);
    tensor->data = bytes;
    tensor->n_bytes = n;
    if (tensor->dtype != TERN_DTYPE_BYTES)
        return TERN_OK;
    size_t count = 0;
    return tern_shape_count(&tensor->shape, &count)
               ? tern_tensor_check_bytes(tensor->name, bytes, n, count, err)
               : tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' is too large",
                           TERN_STR_ARG(tensor->name));
}

static enum tern_code make_sample_input(const struct tern_model_config *config,
                                        const struct tern_config_warmup *sample,
                                        const struct tern_config_warmup_input *input,
                                        const char *folder, struct tern_arena *arena,
                                        struct tern_tensor *tensor, struct tern_err *err)
{
    tensor->name = input->name;
    tensor->dtype = input->dtype;
    tensor->shape = input->dims;
    if (sample->batch_size > 0) {
        if (input->dims.rank == TERN_RANK_MAX)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' has too many dims",
                             TERN_STR_ARG(input->name));
        for (int i = 0; i < input->dims.rank; i++)
            tensor->shape.dim[i + 1] = input->dims.dim[i];
        tensor->shape.dim[0] = (int64_t)sample->batch_size;
        tensor->shape.rank++;
    }
    const struct tern_config_tensor *row =
        tern_model_config_find(config->inputs, config->n_inputs, input->name);
    if (row != NULL && row->has_reshape) {
        struct tern_shape dims = tern_model_config_whole(config, &row->dims);
        struct tern_shape reshape = tern_model_config_whole(config, &row->reshape);
        if (tern_shape_fits(&dims, &tensor->shape))
            tern_shape_map(&dims, &reshape, &tensor->shape);
    }
    TERN_TRY(take_zeros(tensor, arena, err));
    if (input->source == TERN_WARMUP_RANDOM && input->dtype != TERN_DTYPE_BYTES)
        fill_random(tensor);
    if (input->source == TERN_WARMUP_FILE)
        return read_sample_file(input, folder, arena, tensor, err);
    return TERN_OK;
}

static enum tern_code find_spec(const struct tern_engine_model *engine, struct tern_str name,
                                uint32_t *ret_at, struct tern_err *err)
{
    for (uint32_t i = 0; i < engine->n_inputs; i++) {
        if (tern_str_eq(engine->inputs[i].name, name)) {
            *ret_at = i;
            return TERN_OK;
        }
    }
    return tern_fail(err, TERN_INVALID_ARGUMENT, "the model has no input '%.*s'",
                     TERN_STR_ARG(name));
}

enum tern_code tern_warmup_inputs(const struct tern_engine_model *engine,
                                  const struct tern_model_config *config,
                                  const struct tern_config_warmup *sample, const char *folder,
                                  struct tern_arena *arena, struct tern_tensor **ret_inputs,
                                  uint32_t **ret_input_spec, struct tern_err *err)
{
    struct tern_tensor *inputs = tern_arena_zalloc(arena, sample->n_inputs + 1, sizeof(*inputs));
    uint32_t *input_spec = tern_arena_zalloc(arena, sample->n_inputs + 1, sizeof(uint32_t));

    if (inputs == NULL || input_spec == NULL)
        return tern_arena_fail(arena, err, "a warm-up sample");
    for (uint32_t i = 0; i < sample->n_inputs; i++) {
        TERN_TRY(find_spec(engine, sample->inputs[i].name, &input_spec[i], err));
        TERN_TRY(
            make_sample_input(config, sample, &sample->inputs[i], folder, arena, &inputs[i], err));
    }
    *ret_inputs = inputs;
    *ret_input_spec = input_spec;
    return TERN_OK;
}

/* As the model gets a batch of this one request: ragged inputs flat, and those that are made from
 * it behind the others. */
static enum tern_code regroup(const struct tern_engine_model *engine,
                              const struct tern_scheduling *scheduling, struct tern_arena *arena,
                              struct tern_engine_run *run, struct tern_err *err)
{
    uint32_t n = run->n_inputs + scheduling->n_batch_inputs;
    struct tern_tensor *inputs = tern_arena_zalloc(arena, n + 1, sizeof(*inputs));
    uint32_t *input_spec = tern_arena_zalloc(arena, n + 1, sizeof(*input_spec));

    if (inputs == NULL || input_spec == NULL)
        return tern_arena_fail(arena, err, "a warm-up sample");
    memcpy(inputs, run->inputs, run->n_inputs * sizeof(*inputs));
    memcpy(input_spec, run->input_spec, run->n_inputs * sizeof(*input_spec));
    for (uint32_t k = 0; k < scheduling->n_batch_inputs; k++) {
        const struct tern_batch_input *row = &scheduling->batch_inputs[k];
        const struct tern_shape *source = NULL;
        for (uint32_t i = 0; i < run->n_inputs; i++) {
            if (input_spec[i] == row->source && inputs[i].shape.rank > 0)
                source = &run->inputs[i].shape;
        }
        if (source == NULL)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' is missing",
                             TERN_STR_ARG(engine->inputs[row->source].name));
        input_spec[run->n_inputs + k] = row->input;
        TERN_TRY(tern_batch_input_make(row, engine->inputs[row->input].name, &source, 1, arena,
                                       &inputs[run->n_inputs + k], err));
    }
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        size_t count;
        if (scheduling->ragged != NULL && scheduling->ragged[input_spec[i]] &&
            tern_shape_count(&inputs[i].shape, &count))
            inputs[i].shape = (struct tern_shape){1, {(int64_t)count}};
    }
    run->inputs = inputs;
    run->input_spec = input_spec;
    run->n_inputs = n;
    return TERN_OK;
}

static enum tern_code run_sample(const struct tern_engine_model *engine, void *instance,
                                 const struct tern_model_config *config,
                                 const struct tern_config_warmup *sample, const char *folder,
                                 struct tern_arena *arena, struct tern_err *err)
{
    struct tern_tensor *inputs;
    uint32_t *input_spec;
    struct tern_engine_run run;

    TERN_TRY(tern_warmup_inputs(engine, config, sample, folder, arena, &inputs, &input_spec, err));
    TERN_TRY(tern_warmup_run(engine, inputs, input_spec, sample->n_inputs, arena, &run, err));
    if (config->scheduling != NULL && tern_scheduling_regroups(config->scheduling))
        TERN_TRY(regroup(engine, config->scheduling, arena, &run, err));
    return engine->ops->infer(engine, instance, &run, err);
}

enum tern_code tern_warmup_samples(const struct tern_engine_model *engine, void *instance,
                                   const struct tern_model_config *config, const char *folder,
                                   struct tern_err *err)
{
    struct tern_arena arena;
    enum tern_code code = TERN_OK;

    tern_arena_init(&arena, 4096, WARM_MEMORY_MAX);
    for (uint32_t i = 0; i < config->n_warmup && code == TERN_OK; i++) {
        const struct tern_config_warmup *sample = &config->warmup[i];
        for (uint64_t n = 0; n < sample->count && n < WARM_REPEATS_MAX && code == TERN_OK; n++) {
            code = run_sample(engine, instance, config, sample, folder, &arena, err);
            tern_arena_reset(&arena);
        }
        if (code != TERN_OK)
            tern_err_prefix(err, "warm-up sample '%.*s'", TERN_STR_ARG(sample->name));
    }
    tern_arena_fini(&arena);
    return code;
}
