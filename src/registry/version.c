#include "registry/version.h"

#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "os/file.h"
#include "registry/batchable.h"
#include "registry/content.h"
#include "registry/labels.h"
#include "registry/warmup.h"

#define VERSION_MEMORY_MAX (256u << 20)
/* A run longer than this is worth several threads; so is a file that is larger. */
#define LARGE_RUN_NS (5u * TERN_NS_PER_MS)
#define LARGE_FILE   (64u << 20)
/* For finding out whether a model has batches that it does not declare, unless loading took longer
 * anyway: then half of that. */
#define TRIAL_NS (50 * TERN_NS_PER_MS)
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

/* ---- loading ---- */

struct loading {
    const struct tern_version_load *load;
    const struct tern_registry_settings *settings;
    struct tern_model_version *version;
    const struct tern_engine_ops *engine;
    uint64_t start_ns;
    const char *file;
    uint64_t file_size;
    struct tern_model_config config;
    struct tern_engine_option *options; /* the settings', then the configuration's, which win */
    uint32_t n_options;
};

/* What the configuration says of inputs or outputs, for engines that know nothing else. */
static enum tern_code config_specs(struct loading *l, const struct tern_config_tensor *rows,
                                   uint32_t n, struct tern_tensor_spec **ret_specs,
                                   struct tern_err *err)
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

static enum tern_code open_engine(struct loading *l, uint32_t threads, struct tern_err *err)
{
    struct tern_tensor_spec *inputs, *outputs;

    TERN_TRY(config_specs(l, l->config.inputs, l->config.n_inputs, &inputs, err));
    TERN_TRY(config_specs(l, l->config.outputs, l->config.n_outputs, &outputs, err));
    const struct tern_engine_load spec = {
        .name = l->load->name,
        .path = l->file,
        .options = l->options,
        .n_options = l->n_options,
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

/* As many as the configuration asks for, which may be more than there are processors: not every
 * model computes here. A decoupled model's run lasts as long as its client's stream, and has a
 * thread of its own. */
static uint32_t most_instances(const struct loading *l)
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

static enum tern_code run_samples(const struct loading *l, struct tern_err *err)
{
    return tern_warmup_samples(&l->version->engine, l->version->instances[0], &l->config,
                               l->load->folder, err);
}

/* One instance is loaded and timed; what it took decides how many there will be, and where. */
static enum tern_code measure(struct loading *l, struct tern_err *err)
{
    struct tern_model_version *version = l->version;
    struct tern_err warm_err;

    TERN_TRY(add_instances(version, &version->instances, &version->n_instances, most_instances(l),
                           1, err));
    if (!l->config.scheduling->gathers)
        TERN_TRY(run_samples(l, err));
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
static const struct tern_batching_parameters *batching_of(const struct loading *l)
{
    return l->config.batching != NULL ? l->config.batching
                                      : l->settings->config.batching_parameters;
}

/* How many instances serve the executors: what the configuration says, else one for several threads
 * or one for each executor. */
static uint32_t count_instances(const struct loading *l, bool large)
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
static bool needs_queue(const struct loading *l)
{
    const struct tern_sequencing *sequencing = l->config.sequencing;
    bool has_rows = sequencing != NULL && sequencing->direct && l->config.max_batch_size > 1 &&
                    l->settings->config.batching != TERN_BATCHING_RULE_OFF;

    if (sequencing != NULL && sequencing->iterative)
        return true;
    return has_rows || tern_scheduling_needs_queue(l->config.scheduling) ||
           tern_batching_parameters_need_queue(batching_of(l));
}

static enum tern_code open_sized(struct loading *l, struct tern_err *err)
{
    struct tern_model_version *version = l->version;
    uint32_t many = l->settings->executors;
    bool large = l->file_size >= LARGE_FILE && many > 1 && !l->config.decoupled;

    TERN_TRY(open_engine(l, large ? many : 1, err));
    if (l->engine->documents)
        return TERN_OK;
    TERN_TRY(measure(l, err));
    if (!large && !l->config.decoupled && version->run_ns >= LARGE_RUN_NS && many > 1) {
        large = true;
        close_engine(version);
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

/* ---- configuration ---- */

static enum tern_code read_config(struct loading *l, struct tern_err *err)
{
    struct tern_arena *arena = &l->version->arena;
    const struct tern_registry_settings *settings = l->settings;
    struct tern_problems problems;

    const struct tern_model_config_source source = {
        .folder = l->load->folder, .name = settings->config.name, .text = l->load->config};
    tern_problem_init(&problems, arena);
    tern_model_config_load(&source, arena, &l->config, &problems);
    tern_model_config_load_batching(l->load->path, arena, &l->config, &problems);
    TERN_TRY(tern_problem_fail(&problems, err));
    l->n_options = settings->n_engine_options + l->config.n_options;
    l->options = tern_arena_zalloc(arena, l->n_options + 1, sizeof(*l->options));
    if (l->options == NULL)
        return tern_arena_fail(arena, err, "the engine's options");
    if (settings->n_engine_options > 0)
        memcpy(l->options, settings->engine_options,
               settings->n_engine_options * sizeof(*l->options));
    if (l->config.n_options > 0)
        memcpy(l->options + settings->n_engine_options, l->config.options,
               l->config.n_options * sizeof(*l->options));
    return TERN_OK;
}

/* Each instance has its slots, as many instances as were asked for. */
static void take_sequencing(struct loading *l)
{
    struct tern_model_version *version = l->version;
    uint64_t instances = l->config.instances > 0 ? l->config.instances : version->n_instances;

    version->sequencing = l->config.sequencing;
    if (version->sequencing == NULL)
        return;
    uint64_t slots = version->sequencing->slots_per_instance * (instances > 0 ? instances : 1);
    version->sequence_slots =
        slots < TERN_SEQUENCE_SLOTS_MAX ? (uint32_t)slots : TERN_SEQUENCE_SLOTS_MAX;
}

static enum tern_code fill_info(struct loading *l, struct tern_err *err)
{
    struct tern_model_version *version = l->version;
    struct tern_arena *arena = &version->arena;
    struct tern_str name = tern_arena_copy(arena, l->load->name);
    struct tern_model_config_specs specs;
    struct tern_problems problems;

    if (name.p == NULL)
        return tern_arena_fail(arena, err, "the model's name");
    tern_problem_init(&problems, arena);
    if (l->file != NULL)
        version->file_name = tern_arena_copy(arena, tern_file_base_name(l->file));
    const struct tern_model_config_subject subject = {
        .name = name,
        .folder = l->load->folder,
        .model = &version->engine,
        .file_name = version->file_name,
        .instances = version->n_instances,
        .policy = &l->settings->version_policy,
    };
    tern_model_config_complete(&l->config, &l->settings->config, &subject, arena, &specs,
                               &problems);
    TERN_TRY(tern_problem_fail(&problems, err));
    version->input_shapes = specs.input_shapes;
    version->output_shapes = specs.output_shapes;
    version->input_specs = specs.inputs;
    version->output_specs = specs.outputs;
    version->input_at = specs.seen.input_at;
    version->output_at = specs.seen.output_at;
    version->scheduling = l->config.scheduling;
    take_sequencing(l);
    if (version->sequencing != NULL)
        TERN_TRY(tern_sequencing_load(l->config.sequencing, l->load->folder, arena, err));
    version->info = (struct tern_model_info){
        .name = name,
        .platform = tern_str_of(version->engine.platform),
        .backend = tern_str_of(version->engine.backend),
        .version = l->load->number,
        .max_batch_size = specs.max_batch_size,
        .decoupled = l->config.decoupled,
        .documents = l->engine != NULL && l->engine->documents,
        .inputs = specs.seen.inputs,
        .n_inputs = specs.seen.n_inputs,
        .outputs = specs.seen.outputs,
        .n_outputs = specs.seen.n_outputs,
        .metric_tags = l->config.metric_tags,
        .n_metric_tags = l->config.n_metric_tags,
    };
    TERN_TRY(tern_labels_load(specs.seen.outputs, specs.seen.n_outputs, arena,
                              &version->info.labels, err));
    const struct tern_model_config_text *text;
    TERN_TRY(tern_model_config_text(&l->config, arena, &text, err));
    atomic_init(&version->info.config, text);
    return tern_model_config_print_rest(&l->config, arena, &version->rest_of_config, err);
}

/* ---- batches ---- */

/* Whether the configuration leaves it to us to find out; else `ret_why` says why not. */
static bool leaves_batches_open(const struct loading *l, const char **ret_why)
{
    const struct tern_model_config_settings *rule = &l->settings->config;

    bool wanted = rule->batching == TERN_BATCHING_RULE_ADAPTIVE ||
                  (rule->batching != TERN_BATCHING_RULE_OFF && rule->batching_parameters != NULL);

    if (!wanted || rule->batch_max <= 1)
        *ret_why = "they are not wanted";
    else if (l->config.decoupled)
        *ret_why = "a request may have many answers";
    else if (l->version->sequencing != NULL)
        *ret_why = "requests belong to sequences";
    else if (l->config.has_max_batch_size)
        *ret_why = "max_batch_size says so";
    else if (l->version->input_shapes != NULL)
        *ret_why = "tensors are reshaped";
    else
        return true;
    return false;
}

static void prove_batches(const struct loading *l, struct tern_batchable *ret)
{
    struct tern_model_version *version = l->version;
    uint64_t half = (tern_clock_mono_ns() - l->start_ns) / 2;
    const struct tern_batchable_subject subject = {
        .engine = &version->engine,
        .instance = version->instances[0],
        .inputs = version->input_specs,
        .outputs = version->output_specs,
        .config = &l->config,
        .folder = l->load->folder,
        .run_ns = version->run_ns,
        .budget_ns = half > TRIAL_NS ? half : TRIAL_NS,
        .max_rows = l->settings->config.batch_max,
    };

    tern_batchable_prove(&subject, ret);
    if (ret->verdict != TERN_BATCHABLE_CLOSE || !l->settings->config.batch_exact)
        return;
    ret->verdict = TERN_BATCHABLE_NO;
    snprintf(ret->text, sizeof(ret->text), "the last digits of joined rows differ");
}

/* What the configuration leaves open: a model that declares no batches may have them all the same.
 * Says what came of it. */
static enum tern_code find_batches(struct loading *l, struct tern_err *err)
{
    struct tern_model_version *version = l->version;
    struct tern_arena *arena = &version->arena;
    const char *why;

    if (version->ensembling != NULL) {
        version->batches = TERN_STR("none of its own: each step has its own");
    } else if (version->info.documents) {
        version->batches = TERN_STR("none of its own: each step has its own");
    } else if (version->scheduling->batching != TERN_BATCHING_NONE) {
        version->batches = tern_arena_printf(arena, "up to %u rows", version->scheduling->max_rows);
    } else if (!leaves_batches_open(l, &why)) {
        version->batches = tern_arena_printf(arena, "none: %s", why);
    } else {
        struct tern_batchable proof;
        struct tern_scheduling *open = l->config.scheduling;
        prove_batches(l, &proof);
        if (proof.verdict != TERN_BATCHABLE_NO &&
            !tern_model_config_take_batches(&l->config, &l->settings->config, arena))
            return tern_arena_fail(arena, err, "a line of text");
        version->batches =
            proof.verdict == TERN_BATCHABLE_NO
                ? tern_arena_printf(arena, "none: %s", proof.text)
                : tern_arena_printf(
                      arena, "up to %u rows (proven at load%s)", open->max_rows,
                      proof.verdict == TERN_BATCHABLE_EXACT ? "" : ", but for the last digits");
    }
    return version->batches.p != NULL ? TERN_OK : tern_arena_fail(arena, err, "a line of text");
}

/* Its bytes, for who shares answers with other servers. */
static enum tern_code take_content(struct loading *l, struct tern_err *err)
{
    struct tern_model_version *version = l->version;
    const struct tern_content_of of = {
        .path = l->load->path,
        .config = version->rest_of_config, /* how many instances there are changes no answer */
        .options = l->options,
        .n_options = l->n_options,
    };

    if (!l->settings->hash_content || version->scheduling == NULL || !version->scheduling->cached)
        return TERN_OK;
    unsigned char *content = tern_arena_alloc(&version->arena, 1, TERN_CONTENT_SIZE);
    if (content == NULL)
        return tern_arena_fail(&version->arena, err, "the model's hash");
    TERN_TRY(tern_content_hash(&of, content, err));
    version->content = content;
    return TERN_OK;
}

static enum tern_code check_unchanged(const struct loading *l, struct tern_err *err)
{
    uint64_t now;

    TERN_TRY(tern_repository_fingerprint(l->load->path, l->load->folder, &now, err));
    if (now != l->load->fingerprint)
        return tern_fail(err, TERN_ABORTED, "the files changed while they were loaded");
    l->version->fingerprint = now;
    return tern_repository_fingerprint(l->load->path, NULL, &l->version->model_files, err);
}

static enum tern_code find_file(struct loading *l, struct tern_err *err)
{
    struct tern_file_info info;

    TERN_TRY(tern_repository_model_file(l->load->path, l->config.default_model_filename,
                                        &l->settings->engines, &l->version->arena, &l->file,
                                        &l->engine, err));
    TERN_TRY(tern_file_stat(l->file, &info, err));
    l->file_size = info.size;
    return TERN_OK;
}

/* A folder called <name>.<backend> needs no configuration to say which backend it means. */
static struct tern_str backend_of(const struct loading *l)
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
static enum tern_code fail_engine(const struct loading *l, enum tern_code code,
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

static enum tern_code find_engine(struct loading *l, struct tern_err *err)
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
static enum tern_code open_ensemble(struct loading *l, struct tern_err *err)
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

static enum tern_code open_model(struct loading *l, struct tern_err *err)
{
    if (l->config.ensembling != NULL)
        return open_ensemble(l, err);
    TERN_TRY(find_engine(l, err));
    return open_sized(l, err);
}

static enum tern_code load_all(struct loading *l, struct tern_err *err)
{
    TERN_TRY(read_config(l, err));
    TERN_TRY(open_model(l, err));
    TERN_TRY(fill_info(l, err));
    if (l->config.scheduling->gathers) /* only now it is known which tensors that concerns */
        TERN_TRY(run_samples(l, err));
    TERN_TRY(find_batches(l, err));
    TERN_TRY(take_content(l, err));
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
    version->n_loops = settings->n_loops;
    atomic_init(&version->loops_holding, settings->n_loops);
    tern_arena_init(&version->arena, 4096, VERSION_MEMORY_MAX);
    *ret_version = version;
    return TERN_OK;
}

enum tern_code tern_version_load(const struct tern_version_load *load,
                                 struct tern_model_version **ret_version, struct tern_err *err)
{
    struct loading l = {.load = load, .settings = load->settings, .start_ns = tern_clock_mono_ns()};

    TERN_TRY(new_version(load->settings, &l.version, err));
    enum tern_code code = load_all(&l, err);
    if (code != TERN_OK) {
        tern_version_free(l.version);
        return code;
    }
    l.version->load_ns = tern_clock_mono_ns() - l.start_ns;
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

/* ---- before it is loaded ---- */

/* Texts of the configuration go with its memory. */
static enum tern_code copy_steps(const struct tern_ensembling *ensembling, struct tern_arena *arena,
                                 struct tern_version_outline *outline, struct tern_err *err)
{
    uint32_t n = ensembling == NULL ? 0 : ensembling->n_steps;
    struct tern_str *steps = tern_arena_zalloc(arena, n + 1, sizeof(*steps));

    if (steps == NULL)
        return tern_arena_fail(arena, err, "the steps of an ensemble");
    for (uint32_t i = 0; i < n; i++) {
        steps[i] = tern_arena_copy(arena, ensembling->steps[i].model);
        if (steps[i].p == NULL)
            return tern_arena_fail(arena, err, "the steps of an ensemble");
    }
    outline->steps = steps;
    outline->n_steps = n;
    return TERN_OK;
}

enum tern_code tern_version_outline_of(const struct tern_found_model *found, struct tern_str config,
                                       const struct tern_registry_settings *settings,
                                       struct tern_arena *arena,
                                       struct tern_version_outline *ret_outline,
                                       struct tern_err *err)
{
    struct tern_arena own;
    struct tern_problems problems;
    struct tern_model_config read;
    const struct tern_model_config_source source = {
        .folder = found->folder, .name = settings->config.name, .text = config};

    *ret_outline = (struct tern_version_outline){.policy = settings->version_policy};
    tern_arena_init(&own, 4096, VERSION_MEMORY_MAX);
    tern_problem_init(&problems, &own);
    tern_model_config_load(&source, &own, &read, &problems);
    enum tern_code code = tern_problem_fail(&problems, err);
    if (code == TERN_OK && read.has_version_policy)
        ret_outline->policy = read.version_policy;
    if (code == TERN_OK)
        code = copy_steps(read.ensembling, arena, ret_outline, err);
    tern_arena_fini(&own);
    return code;
}
