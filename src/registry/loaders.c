/* The load threads: they take jobs, load, and hand the result back to the control thread. */
#include "base/clock.h"
#include "base/mem.h"
#include "registry/registry_int.h"
#include "registry/resize.h"

#define CHANGED_TRIES 3

/* Files that change while they are read: somebody is still copying. Look again, a few times. What
 * fails otherwise is tried again as often as the settings say. */
static void try_load(struct tern_registry *registry, struct registry_job *job,
                     struct tern_version_load *spec)
{
    uint32_t retries = registry->settings.load_retries;

    for (int changed = 0;;) {
        job->code = tern_version_load(spec, &job->version, &job->err);
        if (job->code == TERN_OK)
            return;
        if (job->code != TERN_ABORTED) {
            if (retries == 0)
                return;
            retries--;
            tern_log_warn(registry->settings.log, "model.retried",
                          "a load failed; it is tried again", TERN_KV_Z("model", job->name),
                          TERN_KV_I64("version", job->number), TERN_KV_ERR(&job->err));
        } else if (++changed == CHANGED_TRIES) {
            return;
        }
        if (tern_repository_fingerprint(spec->path, spec->folder, &spec->fingerprint, NULL) !=
            TERN_OK)
            return;
    }
}

static void load(struct tern_registry *registry, struct registry_job *job)
{
    struct tern_version_load spec = {
        .name = tern_str_of(job->name),
        .number = job->number,
        .path = job->path,
        .folder = job->folder,
        .config = job->override == NULL ? tern_str_make(NULL, 0) : job->override->config,
        .fingerprint = job->fingerprint,
        .settings = &registry->settings,
    };

    if (job->live != NULL) {
        job->code = tern_resize(job->live, &spec, &job->resized, &job->err);
        if (job->code != TERN_OK)
            registry_hide_path(registry, job->override, &job->err);
        if (job->code != TERN_OK || job->resized)
            return;
    }
    try_load(registry, job, &spec);
    if (job->code != TERN_OK)
        registry_hide_path(registry, job->override, &job->err);
    if (job->code == TERN_OK) {
        struct tern_registry_hooks *hooks = &registry->settings.hooks;
        job->version->home = &registry->home;
        job->code = hooks->on_loaded(hooks->arg, job->version, &job->err);
        if (job->code != TERN_OK) {
            tern_version_free(job->version);
            job->version = NULL;
        }
    }
}

static void *loader_main(void *arg)
{
    struct tern_registry *registry = arg;

    pthread_mutex_lock(&registry->lock);
    while (!registry->loaders_stopping) {
        struct registry_job *job = registry->jobs;
        if (job == NULL) {
            pthread_cond_wait(&registry->to_loaders, &registry->lock);
            continue;
        }
        registry->jobs = job->next;
        if (registry->jobs == NULL)
            registry->jobs_end = &registry->jobs;
        pthread_mutex_unlock(&registry->lock);
        load(registry, job);
        pthread_mutex_lock(&registry->lock);
        job->next = registry->jobs_done;
        registry->jobs_done = job;
        pthread_cond_signal(&registry->to_control);
    }
    pthread_mutex_unlock(&registry->lock);
    return NULL;
}

void registry_enqueue(struct tern_registry *registry, struct registry_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&registry->lock);
    *registry->jobs_end = job;
    registry->jobs_end = &job->next;
    pthread_cond_signal(&registry->to_loaders);
    pthread_mutex_unlock(&registry->lock);
    registry->jobs_out++;
}

void registry_free_job(struct registry_job *job)
{
    registry_override_drop(job->override);
    tern_mem_free(job->path);
    tern_mem_free(job->folder);
    tern_mem_free(job);
}

enum tern_code registry_loaders_start(struct tern_registry *registry, struct tern_err *err)
{
    uint32_t n = registry->settings.load_threads > 0 ? registry->settings.load_threads : 1;

    registry->loaders = tern_mem_zalloc(n, sizeof(*registry->loaders));
    if (registry->loaders == NULL)
        return tern_mem_fail(err, "the load threads", n * sizeof(*registry->loaders));
    for (; registry->n_loaders < n; registry->n_loaders++) {
        if (pthread_create(&registry->loaders[registry->n_loaders], NULL, loader_main, registry) !=
            0)
            break;
    }
    if (registry->n_loaders == 0)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "cannot start a thread to load models");
    return TERN_OK;
}

void registry_loaders_stop(struct tern_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    registry->loaders_stopping = true;
    pthread_cond_broadcast(&registry->to_loaders);
    pthread_mutex_unlock(&registry->lock);
    for (uint32_t i = 0; i < registry->n_loaders; i++)
        pthread_join(registry->loaders[i], NULL);
    tern_mem_free(registry->loaders);
    registry->loaders = NULL;
    registry->n_loaders = 0;
}
