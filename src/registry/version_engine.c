/* Which engine runs a version, how many instances it has, and where: one is loaded and timed, and
 * what that took decides. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "os/file.h"
#include "registry/version_int.h"
#include "registry/warmup.h"

/* A run longer than this is worth several threads; so is a file that is larger. */
#define LARGE_RUN_NS (5u * TERN_NS_PER_MS)
#define LARGE_FILE   (64u << 20)
/* At a time, of a decoupled model whose configuration gives no count, and of any. */
#define DECOUPLED_RUNS     8
#define DECOUPLED_RUNS_MAX 256

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

/* ---- opening ---- */

/* What the configuration says of inputs or outputs, for engines that know nothing else. */
static enum tern_code config_specs(struct tern_version_loading *l,
                                   const struct tern_config_tensor *rows, uint32_t n,
                                   struct tern_tensor_spec **ret_specs, struct tern_err *err)
{
    int batch = l->config.max_batch_size > 0;
    struct tern_tensor_spec *specs = tern_arena_zalloc(&l->version->arena, n + 1, sizeof(*specs));

    if (specs == NULL)
        return tern_arena_fail(&l->version->arena, err, "the inputs and outputs");
    for (uint32_t i = 0; i < n; i++) {
        const struct tern_shape *dims = rows[i].has_reshape ? &rows[i].reshape : &rows[i].dims;
        specs[i] = (struct tern_tensor_spec){
            .name = rows[i].name, .dtype = rows[i].dtype, .optional = rows[i].optional};
        specs[i].shape.rank = dims->rank + batch;
        specs[i].shape.dim[0] = -1;
        memcpy(specs[i].shape.dim + batch, dims->dim, (size_t)dims->rank * sizeof(dims->dim[0]));
    }
    *ret_specs = specs;
    return TERN_OK;
}

static enum tern_code open_engine(struct tern_version_loading *l, uint32_t threads,
                                  struct tern_err *err)
{
    struct tern_tensor_spec *inputs, *outputs;

    TERN_TRY(config_specs(l, l->config.inputs, l->config.n_inputs, &inputs, err));
    TERN_TRY(config_specs(l, l->config.outputs, l->config.n_outputs, &outputs, err));
    /* The defaults stand first; they mean nothing to other engines than theirs. */
    uint32_t skip = l->engine == l->settings->engine_options_of ? 0 : l->settings->n_engine_options;
    const struct tern_engine_load spec = {
        .name = l->load->name,
        .path = l->file,
        .options = l->options + skip,
        .n_options = l->n_options - skip,
        .threads = threads,
        .decoupled = l->config.decoupled,
        .inputs = inputs,
        .n_inputs = l->config.n_inputs,
        .outputs = outputs,
        .n_outputs = l->config.n_outputs,
    };
    TERN_TRY(l->engine->load(&spec, &l->version->arena, &l->version->engine, err));
    l->version->engine.ops = l->engine;
    return TERN_OK;
}

void tern_version_engine_close(struct tern_model_version *version)
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

/* As many as the configuration asks for, which may be more than there are processors: not every
 * model computes here. A decoupled model's run lasts as long as its client's stream, and has a
 * thread of its own. */
static uint32_t most_instances(const struct tern_version_loading *l)
{
    uint32_t executors = l->settings->executors;

    if (!l->config.decoupled && l->config.instances > executors)
        return l->config.instances;
    if (!l->config.decoupled)
        return executors;
    if (l->config.instances == 0)
        return DECOUPLED_RUNS;
    return l->config.instances < DECOUPLED_RUNS_MAX ? l->config.instances : DECOUPLED_RUNS_MAX;
}

enum tern_code tern_version_engine_run_samples(const struct tern_version_loading *l,
                                               struct tern_err *err)
{
    return tern_warmup_samples(&l->version->engine, l->version->instances[0], &l->config,
                               l->load->folder, err);
}

/* One instance is loaded and timed; what it took decides how many there will be, and where. */
static enum tern_code measure(struct tern_version_loading *l, struct tern_err *err)
{
    struct tern_model_version *version = l->version;
    struct tern_err warm_err;

    TERN_TRY(add_instances(version, &version->instances, &version->n_instances, most_instances(l),
                           1, err));
    if (!l->config.scheduling->gathers)
        TERN_TRY(tern_version_engine_run_samples(l, err));
    if (tern_warmup_time(&version->engine, version->instances[0], &version->run_ns,
                         &version->warm_units, &warm_err) == TERN_OK)
        return TERN_OK;
    /* Zeros need not be a valid input (an unknown category, an index): then nothing is known about
     * its speed, and it stays off the loops. */
    tern_log_warn(l->settings->log, "model.cold", "warm-up with zeros failed; serving it anyway",
                  TERN_KV_STR("model", l->load->name), TERN_KV_ERR(&warm_err));
    version->run_ns = LARGE_RUN_NS - 1;
    version->warm_units = 1;
    return TERN_OK;
}

/* TF Serving's or MLServer's, of the model or of all; NULL: none. */
static const struct tern_batching_parameters *batching_of(const struct tern_version_loading *l)
{
    return l->config.batching != NULL ? l->config.batching
                                      : l->settings->config.batching_parameters;
}

/* How many instances serve the executors: what the configuration says, else one for several threads
 * or one for each executor. */
static uint32_t count_instances(const struct tern_version_loading *l, bool large)
{
    uint32_t most = most_instances(l);

    const struct tern_batching_parameters *parameters = batching_of(l);

    if (l->config.instances > 0)
        return l->config.instances < most ? l->config.instances : most;
    if (parameters != NULL && parameters->threads > 0 && parameters->threads < most)
        most = parameters->threads;
    return large ? 1 : most;
}

/* Rows of one instance's runs are no loop's; nor is what runs nobody knows how often. */
static bool needs_queue(const struct tern_version_loading *l)
{
    const struct tern_sequencing *sequencing = l->config.sequencing;
    bool has_rows = sequencing != NULL && sequencing->direct && l->config.max_batch_size > 1 &&
                    l->settings->config.batching != TERN_BATCHING_RULE_OFF;

    if (sequencing != NULL && sequencing->iterative)
        return true;
    return has_rows || tern_scheduling_needs_queue(l->config.scheduling) ||
           tern_batching_parameters_need_queue(batching_of(l));
}

/* The best engine that takes the file. Where none does, what the last one says is the reason; where
 * that one is not installed, what the one before it found damaged. */
static enum tern_code open_best(struct tern_version_loading *l, uint32_t threads,
                                struct tern_err *err)
{
    enum tern_code code = open_engine(l, threads, err);

    for (uint32_t i = 1; i < l->choice.n && tern_engine_choice_goes_on(code); i++) {
        struct tern_err why = {.code = code};
        enum tern_code missing = l->choice.rows[i]->available(&why);
        if (missing != TERN_OK && code == TERN_INVALID_ARGUMENT)
            return code;
        if (missing != TERN_OK)
            return tern_fail(err, missing, "%s", why.text);
        if (err != NULL)
            l->version->declined = tern_arena_copy(&l->version->arena, tern_str_of(err->text));
        l->engine = l->choice.rows[i];
        code = open_engine(l, threads, err);
    }
    return code;
}

static enum tern_code open_sized(struct tern_version_loading *l, struct tern_err *err)
{
    struct tern_model_version *version = l->version;
    uint32_t many = l->settings->executors;
    bool large = l->file_size >= LARGE_FILE && many > 1 && !l->config.decoupled;

    TERN_TRY(open_best(l, large ? many : 1, err));
    if (l->engine->documents)
        return TERN_OK;
    TERN_TRY(measure(l, err));
    if (!large && !l->config.decoupled && version->run_ns >= LARGE_RUN_NS && many > 1) {
        large = true;
        tern_version_engine_close(version);
        TERN_TRY(open_engine(l, many, err));
        TERN_TRY(measure(l, err));
    }
    version->usual_instances = large ? 1 : many;
    if (!large && !l->config.decoupled && !needs_queue(l) &&
        l->settings->hooks.is_inline(l->settings->hooks.arg, version->run_ns))
        return add_instances(version, &version->loop_instances, &version->n_loop_instances,
                             l->settings->n_loops, l->settings->n_loops, err);
    return add_instances(version, &version->instances, &version->n_instances, most_instances(l),
                         count_instances(l, large), err);
}

/* ---- which engine ---- */

static enum tern_code find_file(struct tern_version_loading *l, struct tern_err *err)
{
    struct tern_file_info info;

    TERN_TRY(tern_repository_model_file(l->load->path, l->config.default_model_filename,
                                        &l->settings->engines, &l->version->arena, &l->file,
                                        &l->engine, err));
    TERN_TRY(tern_file_stat(l->file, &info, err));
    l->file_size = info.size;
    tern_engine_choice_make(l->file,
                            l->config.backend.n > 0 ? l->config.backend : l->config.platform,
                            &l->settings->engines, &l->choice);
    if (l->choice.n > 0)
        l->engine = l->choice.rows[0];
    return TERN_OK;
}

/* A folder called <name>.<backend> needs no configuration to say which backend it means. */
static struct tern_str backend_of(const struct tern_version_loading *l)
{
    struct tern_str rest = l->load->name, piece, last = {NULL, 0};

    if (l->config.backend.n > 0)
        return l->config.backend;
    while (tern_str_split(&rest, '.', &piece))
        last = piece;
    return last.n < l->load->name.n ? last : tern_str_make(NULL, 0);
}

/* Whether that is the name of an engine, or a platform: an engine and the form it reads. */
static bool is_engine(const struct tern_engine_set *engines, struct tern_str name)
{
    for (uint32_t i = 0; i < engines->n; i++) {
        struct tern_str engine = tern_str_of(engines->rows[i]->name);
        if (tern_str_eq(name, engine) || (tern_str_starts(name, engine) && name.p[engine.n] == '_'))
            return true;
    }
    return false;
}

/* No file was found. When that is because the model is for another server, that is the reason. */
static enum tern_code fail_engine(const struct tern_version_loading *l, enum tern_code code,
                                  struct tern_err *err)
{
    const struct tern_engine_set *engines = &l->settings->engines;
    bool by_backend = l->config.backend.n > 0;
    struct tern_str name = by_backend ? l->config.backend : l->config.platform;
    char known[256] = "";

    if (name.n == 0 || is_engine(engines, name))
        return code;
    for (size_t i = 0, n = 0; i < engines->n && n < sizeof(known); i++)
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i == 0 ? "" : ", ",
                              engines->rows[i]->name);
    return tern_fail(err, TERN_UNIMPLEMENTED, "%s \"%.*s\" is not served here, expected one of: %s",
                     by_backend ? "backend" : "platform", TERN_STR_ARG(name), known);
}

static enum tern_code find_engine(struct tern_version_loading *l, struct tern_err *err)
{
    l->engine = tern_repository_fileless(backend_of(l), &l->settings->engines);
    if (l->engine == NULL) {
        enum tern_code code = find_file(l, err);
        if (code != TERN_OK)
            return fail_engine(l, code, err);
    }
    if (l->config.decoupled && !l->engine->decouples)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "model_transaction_policy: %s answers every request once, decoupled is "
                         "for models that do not",
                         l->engine->name);
    return l->engine->available(err);
}

/* An ensemble has no engine: what it takes and gives is what its configuration says. */
static enum tern_code open_ensemble(struct tern_version_loading *l, struct tern_err *err)
{
    struct tern_model_version *version = l->version;
    struct tern_engine_model *model = &version->engine;
    struct tern_tensor_spec *inputs, *outputs;

    TERN_TRY(config_specs(l, l->config.inputs, l->config.n_inputs, &inputs, err));
    TERN_TRY(config_specs(l, l->config.outputs, l->config.n_outputs, &outputs, err));
    model->inputs = inputs;
    model->n_inputs = l->config.n_inputs;
    model->outputs = outputs;
    model->n_outputs = l->config.n_outputs;
    model->platform = "ensemble";
    model->backend = "";
    version->ensembling = l->config.ensembling;
    return TERN_OK;
}

enum tern_code tern_version_engine_open(struct tern_version_loading *l, struct tern_err *err)
{
    if (l->config.ensembling != NULL)
        return open_ensemble(l, err);
    TERN_TRY(find_engine(l, err));
    return open_sized(l, err);
}
