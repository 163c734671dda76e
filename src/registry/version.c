#include "registry/version.h"

#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "os/file.h"

#define VERSION_MEMORY_MAX (256u << 20)
#define WARM_RUNS          5
/* A run longer than this is worth several threads; so is a file that is larger. */
#define LARGE_RUN_NS   (5u * TERN_NS_PER_MS)
#define LARGE_FILE     (64u << 20)
#define WARM_INPUT_MAX (64u << 20)

/* ---- warm-up ---- */

/* A zero-filled tensor of the smallest shape the specification allows. */
static enum tern_code make_zeros(const struct tern_tensor_spec *spec, struct tern_arena *arena,
                                 struct tern_tensor *ret_tensor, struct tern_err *err)
{
    size_t count, bytes;

    *ret_tensor =
        (struct tern_tensor){.name = spec->name, .dtype = spec->dtype, .shape = spec->shape};
    for (int i = 0; i < spec->shape.rank; i++) {
        if (spec->shape.dim[i] < 0)
            ret_tensor->shape.dim[i] = 1;
    }
    if (spec->dtype == TERN_DTYPE_BYTES) {
        if (!tern_shape_count(&ret_tensor->shape, &count) || count > WARM_INPUT_MAX / 4)
            return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "input '%.*s' is too large to warm up",
                             TERN_STR_ARG(spec->name));
        bytes = count * 4; /* empty strings */
    } else {
        TERN_TRY(tern_shape_bytes(spec->name, spec->dtype, &ret_tensor->shape, &bytes, err));
    }
    ret_tensor->data = tern_arena_zalloc(arena, bytes, 1);
    if (ret_tensor->data == NULL)
        return tern_arena_fail(arena, err, "a warm-up input");
    ret_tensor->n_bytes = bytes;
    return TERN_OK;
}

static enum tern_code make_run(const struct tern_engine_model *engine, struct tern_arena *arena,
                               struct tern_engine_run *ret_run, uint64_t *ret_units,
                               struct tern_err *err)
{
    struct tern_tensor *inputs = tern_arena_zalloc(arena, engine->n_inputs + 1, sizeof(*inputs));
    struct tern_tensor *outputs = tern_arena_zalloc(arena, engine->n_outputs + 1, sizeof(*outputs));
    uint32_t *input_spec = tern_arena_zalloc(arena, engine->n_inputs + 1, sizeof(uint32_t));
    uint32_t *output_spec = tern_arena_zalloc(arena, engine->n_outputs + 1, sizeof(uint32_t));
    uint32_t n_inputs = 0;
    uint64_t units = 0;

    if (inputs == NULL || outputs == NULL || input_spec == NULL || output_spec == NULL)
        return tern_arena_fail(arena, err, "a warm-up run");
    for (uint32_t i = 0; i < engine->n_inputs; i++) {
        if (engine->inputs[i].optional)
            continue;
        struct tern_tensor *input = &inputs[n_inputs];
        TERN_TRY(make_zeros(&engine->inputs[i], arena, input, err));
        size_t size = tern_dtype_size(input->dtype);
        units += input->n_bytes / (size > 0 ? size : 1);
        input_spec[n_inputs++] = i;
    }
    for (uint32_t i = 0; i < engine->n_outputs; i++) {
        outputs[i].name = engine->outputs[i].name;
        output_spec[i] = i;
    }
    *ret_run = (struct tern_engine_run){
        .inputs = inputs,
        .input_spec = input_spec,
        .n_inputs = n_inputs,
        .outputs = outputs,
        .output_spec = output_spec,
        .n_outputs = engine->n_outputs,
        .arena = arena,
    };
    *ret_units = units > 0 ? units : 1;
    return TERN_OK;
}

/* The best of a few runs: the first ones pay for allocation and page faults. */
static enum tern_code time_runs(const struct tern_engine_model *engine, void *instance,
                                uint64_t *ret_best_ns, uint64_t *ret_units, struct tern_err *err)
{
    struct tern_arena arena;
    enum tern_code code = TERN_OK;
    uint64_t best = UINT64_MAX;

    tern_arena_init(&arena, 4096, 2u * WARM_INPUT_MAX);
    for (int i = 0; i < WARM_RUNS && code == TERN_OK; i++) {
        struct tern_engine_run run;
        code = make_run(engine, &arena, &run, ret_units, err);
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

/* ---- instances ---- */

/* Grows a list to `want` instances; it has room for `cap`. */
static enum tern_code add_instances(struct tern_model_version *version, void ***list, uint32_t *n,
                                    uint32_t cap, uint32_t want, struct tern_err *err)
{
    if (*list == NULL)
        *list = tern_arena_zalloc(&version->arena, cap, sizeof(void *));
    if (*list == NULL)
        return tern_arena_fail(&version->arena, err, "the instances");
    while (*n < want) {
        TERN_TRY(version->engine.ops->instance_new(&version->engine, &(*list)[*n], err));
        (*n)++;
    }
    return TERN_OK;
}

static void free_instances(struct tern_model_version *version, void **list, uint32_t *n)
{
    while (*n > 0)
        version->engine.ops->instance_free(&version->engine, list[--*n]);
}

/* ---- loading ---- */

struct loading {
    const struct tern_version_load *load;
    const struct tern_registry_settings *settings;
    struct tern_model_version *version;
    const struct tern_engine_ops *engine;
    const char *file;
    uint64_t file_size;
};

static enum tern_code open_engine(struct loading *l, uint32_t threads, struct tern_err *err)
{
    const struct tern_engine_load spec = {
        .name = l->load->name,
        .path = l->file,
        .options = l->settings->engine_options,
        .n_options = l->settings->n_engine_options,
        .threads = threads,
    };
    TERN_TRY(l->engine->load(&spec, &l->version->arena, &l->version->engine, err));
    l->version->engine.ops = l->engine;
    return TERN_OK;
}

static void close_engine(struct tern_model_version *version)
{
    if (version->engine.ops == NULL)
        return;
    free_instances(version, version->instances, &version->n_instances);
    free_instances(version, version->loop_instances, &version->n_loop_instances);
    version->engine.ops->unload(&version->engine);
    version->engine.ops = NULL;
    version->instances = NULL;
    version->loop_instances = NULL;
}

/* One instance is loaded and timed; what it took decides how many there will be, and where. */
static enum tern_code measure(struct loading *l, struct tern_err *err)
{
    struct tern_model_version *version = l->version;
    struct tern_err warm_err;

    TERN_TRY(add_instances(version, &version->instances, &version->n_instances,
                           l->settings->executors, 1, err));
    if (time_runs(&version->engine, version->instances[0], &version->run_ns, &version->warm_units,
                  &warm_err) == TERN_OK)
        return TERN_OK;
    /* Zeros need not be a valid input (an unknown category, an index): then nothing is known about
     * its speed, and it never runs on a loop until it has shown to be quick. */
    tern_log_warn(l->settings->log, "model.cold", "warm-up with zeros failed; serving it anyway",
                  TERN_KV_STR("model", l->load->name), TERN_KV_ERR(&warm_err));
    version->run_ns = LARGE_RUN_NS - 1;
    version->warm_units = 1;
    return TERN_OK;
}

static enum tern_code open_sized(struct loading *l, struct tern_err *err)
{
    uint32_t many = l->settings->executors;
    bool large = l->file_size >= LARGE_FILE && many > 1;

    TERN_TRY(open_engine(l, large ? many : 1, err));
    TERN_TRY(measure(l, err));
    if (!large && l->version->run_ns >= LARGE_RUN_NS && many > 1) {
        close_engine(l->version);
        TERN_TRY(open_engine(l, many, err));
        return measure(l, err);
    }
    if (large)
        return TERN_OK;
    struct tern_model_version *version = l->version;
    if (l->settings->hooks.is_inline(l->settings->hooks.arg, version->run_ns))
        return add_instances(version, &version->loop_instances, &version->n_loop_instances,
                             l->settings->n_loops, l->settings->n_loops, err);
    return add_instances(version, &version->instances, &version->n_instances, many, many, err);
}

static enum tern_code fill_info(struct loading *l, struct tern_err *err)
{
    struct tern_model_version *version = l->version;
    struct tern_str name = tern_arena_copy(&version->arena, l->load->name);

    if (name.p == NULL)
        return tern_arena_fail(&version->arena, err, "the model's name");
    version->info = (struct tern_model_info){
        .name = name,
        .platform = tern_str_of(version->engine.platform),
        .backend = tern_str_of(version->engine.backend),
        .version = l->load->number,
        .inputs = version->engine.inputs,
        .n_inputs = version->engine.n_inputs,
        .outputs = version->engine.outputs,
        .n_outputs = version->engine.n_outputs,
    };
    return TERN_OK;
}

static enum tern_code check_unchanged(const struct loading *l, struct tern_err *err)
{
    uint64_t now;

    TERN_TRY(tern_repository_fingerprint(l->load->path, l->load->folder, &now, err));
    if (now != l->load->fingerprint)
        return tern_fail(err, TERN_ABORTED, "the files changed while they were loaded");
    l->version->fingerprint = now;
    return TERN_OK;
}

static enum tern_code load_all(struct loading *l, struct tern_err *err)
{
    struct tern_file_info info;

    TERN_TRY(tern_repository_model_file(l->load->path, tern_str_make(NULL, 0),
                                        &l->settings->engines, &l->version->arena, &l->file,
                                        &l->engine, err));
    TERN_TRY(l->engine->available(err));
    TERN_TRY(tern_file_stat(l->file, &info, err));
    l->file_size = info.size;
    TERN_TRY(open_sized(l, err));
    TERN_TRY(fill_info(l, err));
    return check_unchanged(l, err);
}

static enum tern_code new_version(const struct tern_registry_settings *settings,
                                  struct tern_model_version **ret_version, struct tern_err *err)
{
    struct tern_model_version *version = tern_mem_zalloc(1, sizeof(*version));
    size_t size = settings->n_loops * sizeof(struct tern_pins);

    if (version == NULL)
        return tern_mem_fail(err, "a model version", sizeof(*version));
    version->pins = tern_mem_alloc_aligned(TERN_CACHE_LINE, size);
    if (version->pins == NULL) {
        tern_mem_free(version);
        return tern_mem_fail(err, "a model version", size);
    }
    memset(version->pins, 0, size);
    atomic_init(&version->loops_holding, settings->n_loops);
    tern_arena_init(&version->arena, 4096, VERSION_MEMORY_MAX);
    *ret_version = version;
    return TERN_OK;
}

enum tern_code tern_version_load(const struct tern_version_load *load,
                                 struct tern_model_version **ret_version, struct tern_err *err)
{
    uint64_t start = tern_clock_mono_ns();
    struct loading l = {.load = load, .settings = load->settings};

    TERN_TRY(new_version(load->settings, &l.version, err));
    enum tern_code code = load_all(&l, err);
    if (code != TERN_OK) {
        tern_version_free(l.version);
        return code;
    }
    l.version->load_ns = tern_clock_mono_ns() - start;
    *ret_version = l.version;
    return TERN_OK;
}

void tern_version_free(struct tern_model_version *version)
{
    if (version == NULL)
        return;
    close_engine(version);
    tern_arena_fini(&version->arena);
    tern_mem_free(version->pins);
    tern_mem_free(version);
}

/* ---- version policy ---- */

enum tern_code tern_version_policy_of(const struct tern_found_model *found,
                                      const struct tern_registry_settings *settings,
                                      struct tern_version_policy *ret_policy, struct tern_err *err)
{
    (void)found, (void)err;
    *ret_policy = settings->version_policy;
    return TERN_OK;
}
