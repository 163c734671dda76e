#include "registry/resize.h"

#include "base/mem.h"

#define CONFIG_MEMORY_MAX (64u << 20)

struct resizing {
    struct tern_model_version *live;
    const struct tern_version_load *load;
    struct tern_arena arena; /* for the configuration */
    struct tern_model_config config;
};

/* ---- whether that is all ---- */

static bool limits_rates(const struct tern_scheduling *scheduling)
{
    bool any = false;

    for (uint32_t i = 0; i < scheduling->n_groups; i++)
        any |= scheduling->groups[i].n_resources > 0 || scheduling->groups[i].priority > 0;
    return any;
}

/* The new configuration, completed from the model as it is; false: there is a mistake in it, which
 * the load will tell. */
static bool read_config(struct resizing *r)
{
    const struct tern_registry_settings *settings = r->load->settings;
    const struct tern_model_config_source source = {
        .folder = r->load->folder, .name = settings->config.name, .text = r->load->config};
    const struct tern_model_config_subject subject = {
        .name = r->live->info.name,
        .folder = r->load->folder,
        .model = &r->live->engine,
        .file_name = r->live->file_name,
        .instances = r->live->loop_instances != NULL ? 1 : r->live->usual_instances,
        .policy = &settings->version_policy,
    };
    struct tern_model_config_specs specs;
    struct tern_problems problems;

    tern_problem_init(&problems, &r->arena);
    tern_model_config_load(&source, &r->arena, &r->config, &problems);
    if (tern_problem_any(&problems))
        return false;
    tern_model_config_complete(&r->config, &settings->config, &subject, &r->arena, &specs,
                               &problems);
    return !tern_problem_any(&problems);
}

static bool differs_in_instances_only(struct resizing *r)
{
    const struct tern_model_version *live = r->live;
    uint64_t files, now;
    struct tern_str rest;

    if (r->load->settings->hooks.set_instances == NULL || live->sequencing != NULL ||
        live->ensembling != NULL || live->info.decoupled)
        return false;
    if (tern_repository_fingerprint(r->load->path, NULL, &files, NULL) != TERN_OK ||
        files != live->model_files || !read_config(r) ||
        tern_model_config_print_rest(&r->config, &r->arena, &rest, NULL) != TERN_OK)
        return false;
    /* Who is still writing a file is left to the load, which waits for the end. */
    if (tern_repository_fingerprint(r->load->path, r->load->folder, &now, NULL) != TERN_OK ||
        now != r->load->fingerprint)
        return false;
    return tern_str_eq(rest, live->rest_of_config) && !limits_rates(live->scheduling) &&
           !limits_rates(r->config.scheduling);
}

/* ---- doing it ---- */

static void free_from(struct tern_model_version *live, void **instances, uint32_t from, uint32_t n)
{
    for (uint32_t i = from; i < n; i++)
        live->engine.ops->instance_free(&live->engine, instances[i]);
}

static enum tern_code set_instances(struct resizing *r, void **instances, uint32_t n,
                                    struct tern_err *err)
{
    const struct tern_registry_hooks *hooks = &r->load->settings->hooks;

    return hooks->set_instances(hooks->arg, r->live, instances, n, err);
}

/* *ret_done stays false when the scheduler cannot. */
static enum tern_code grow(struct resizing *r, uint32_t want, bool *ret_done, struct tern_err *err)
{
    struct tern_model_version *live = r->live;
    void **instances = tern_arena_zalloc(&live->arena, want, sizeof(*instances));
    uint32_t n = live->n_instances;
    enum tern_code code = TERN_OK;

    if (instances == NULL)
        return TERN_OK; /* too often: a new version has its memory back */
    memcpy(instances, live->instances, n * sizeof(*instances));
    while (n < want && code == TERN_OK) {
        code = live->engine.ops->instance_new(&live->engine, &instances[n], err);
        n += code == TERN_OK;
    }
    if (code != TERN_OK || set_instances(r, instances, want, NULL) != TERN_OK) {
        free_from(live, instances, live->n_instances, n);
        return code;
    }
    live->instances = instances;
    live->n_instances = want;
    *ret_done = true;
    return TERN_OK;
}

static void shrink(struct resizing *r, uint32_t want, bool *ret_done)
{
    struct tern_model_version *live = r->live;

    if (set_instances(r, live->instances, want, NULL) != TERN_OK)
        return;
    free_from(live, live->instances, want, live->n_instances);
    live->n_instances = want;
    *ret_done = true;
}

static enum tern_code apply(struct resizing *r, bool *ret_done, struct tern_err *err)
{
    struct tern_model_version *live = r->live;
    uint32_t want = r->config.instances > 0 ? r->config.instances : live->usual_instances;
    const struct tern_model_config_text *text;

    if (tern_model_config_text(&r->config, &live->arena, &text, NULL) != TERN_OK)
        return TERN_OK;
    if (live->loop_instances != NULL || want == live->n_instances)
        *ret_done = true; /* on the loops there is one for each, whatever was asked for */
    else if (want > live->n_instances)
        TERN_TRY(grow(r, want, ret_done, err));
    else
        shrink(r, want, ret_done);
    if (*ret_done)
        atomic_store_explicit(&live->info.config, text, memory_order_release);
    return TERN_OK;
}

enum tern_code tern_resize(struct tern_model_version *live, const struct tern_version_load *load,
                           bool *ret_done, struct tern_err *err)
{
    struct resizing r = {.live = live, .load = load};
    enum tern_code code = TERN_OK;

    *ret_done = false;
    tern_arena_init(&r.arena, 4096, CONFIG_MEMORY_MAX);
    if (differs_in_instances_only(&r))
        code = apply(&r, ret_done, err);
    tern_arena_fini(&r.arena);
    return code;
}
