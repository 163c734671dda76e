/* From a model's files to a version that can run, step by step, and what of it is known before. */
#include "registry/version.h"

#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "os/file.h"
#include "registry/batchable.h"
#include "registry/content.h"
#include "registry/labels.h"
#include "registry/version_int.h"

#define VERSION_MEMORY_MAX (256u << 20)
/* For finding out whether a model has batches that it does not declare, unless loading took longer
 * anyway: then half of that. */
#define TRIAL_NS (50 * TERN_NS_PER_MS)

/* ---- configuration ---- */

static enum tern_code read_config(struct tern_version_loading *l, struct tern_err *err)
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
static void take_sequencing(struct tern_version_loading *l)
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

/* In the version's folder, else in the model's. */
static void find_background(struct tern_version_loading *l)
{
    struct tern_arena *arena = &l->version->arena;
    const char *const folders[] = {l->load->path, l->load->folder};
    struct tern_file_info info;

    for (size_t i = 0; i < TERN_COUNT_OF(folders) && l->version->background_path == NULL; i++) {
        const char *path = folders[i] == NULL ? NULL
                                              : tern_file_join(arena, folders[i],
                                                               TERN_STR(TERN_VERSION_BACKGROUND));
        if (path != NULL && tern_file_stat(path, &info, NULL) == TERN_OK && info.is_regular)
            l->version->background_path = path;
    }
}

static enum tern_code fill_info(struct tern_version_loading *l, struct tern_err *err)
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
    find_background(l);
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
        .feature_names = version->engine.feature_names,
        .n_feature_names = version->engine.n_feature_names,
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
static bool leaves_batches_open(const struct tern_version_loading *l, const char **ret_why)
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

static void prove_batches(const struct tern_version_loading *l, struct tern_batchable *ret)
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
static enum tern_code find_batches(struct tern_version_loading *l, struct tern_err *err)
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

/* ---- the whole ---- */

/* Its bytes, for who shares answers with other servers. */
static enum tern_code take_content(struct tern_version_loading *l, struct tern_err *err)
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

static enum tern_code check_unchanged(const struct tern_version_loading *l, struct tern_err *err)
{
    uint64_t now;

    TERN_TRY(tern_repository_fingerprint(l->load->path, l->load->folder, &now, err));
    if (now != l->load->fingerprint)
        return tern_fail(err, TERN_ABORTED, "the files changed while they were loaded");
    l->version->fingerprint = now;
    return tern_repository_fingerprint(l->load->path, NULL, &l->version->model_files, err);
}

static enum tern_code load_all(struct tern_version_loading *l, struct tern_err *err)
{
    TERN_TRY(read_config(l, err));
    TERN_TRY(tern_version_engine_open(l, err));
    TERN_TRY(fill_info(l, err));
    if (l->config.scheduling->gathers) /* only now it is known which tensors that concerns */
        TERN_TRY(tern_version_engine_run_samples(l, err));
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
    struct tern_version_loading l = {
        .load = load, .settings = load->settings, .start_ns = tern_clock_mono_ns()};

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
    tern_version_engine_close(version);
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
