/* The control thread: takes what came in (wishes, loads that ended, versions that came home),
 * decides, and publishes. */
#include "registry/registry_int.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/mem.h"
#include "os/file.h"

#define RETRY_NS (100u * TERN_NS_PER_MS)

/* What came in since the last turn. */
struct inbox {
    struct tern_registry_command *commands;
    struct registry_job *jobs;
    struct tern_model_version *came_home;
    struct registry_publication *published;
};

static void come_home(struct tern_home *self, struct tern_model_version *version)
{
    struct tern_registry *registry = TERN_CONTAINER_OF(self, struct tern_registry, home);

    pthread_mutex_lock(&registry->lock);
    version->next_retired = registry->came_home;
    registry->came_home = version;
    pthread_cond_signal(&registry->to_control);
    pthread_mutex_unlock(&registry->lock);
}

void tern_registry_submit(struct tern_registry *registry, struct tern_registry_command *command)
{
    command->next = NULL;
    pthread_mutex_lock(&registry->lock);
    *registry->commands_end = command;
    registry->commands_end = &command->next;
    pthread_cond_signal(&registry->to_control);
    pthread_mutex_unlock(&registry->lock);
}

static void hide_parent(struct tern_err *err, const char *path)
{
    tern_err_hide(err, path, strlen(path) - tern_file_base_name(path).n);
}

void registry_hide_path(const struct tern_registry *registry,
                        const struct registry_override *override, struct tern_err *err)
{
    if (override != NULL && override->folder != NULL)
        hide_parent(err, override->folder);
    for (uint32_t i = 0; i < registry->settings.n_paths; i++)
        hide_parent(err, registry->settings.paths[i]);
}

/* ---- handling ---- */

static void finish(struct tern_registry_command *command)
{
    command->next = NULL;
    registry_finish(command);
}

static void wait_for(struct registry_record *record, struct tern_registry_command *command)
{
    command->next = record->waiters;
    record->waiters = command;
}

/* As the repository has it: what an earlier load brought is forgotten once the files are found. */
static enum tern_code load_from_repository(struct tern_registry *registry, const char *name,
                                           struct tern_err *err)
{
    struct registry_record *record = registry_find(registry, name);
    struct registry_override *before = record == NULL ? NULL : record->override;

    if (record != NULL)
        record->override = NULL;
    enum tern_code code = registry_rescan(registry, name, true, err);
    if (code != TERN_OK && record != NULL)
        record->override = before;
    else
        registry_override_drop(before);
    return code;
}

static enum tern_code load_override(struct tern_registry *registry,
                                    const struct tern_registry_command *command,
                                    struct tern_err *err)
{
    struct registry_override *override = NULL;
    enum tern_code code = registry_override_new(registry, command, &override, err);

    if (code == TERN_OK)
        return registry_rescan_override(registry, command->name, override, err);
    tern_log_error(registry->settings.log, "model.override", "Invalid config override",
                   TERN_KV_Z("model", command->name), TERN_KV_ERR(err));
    tern_err_prefix(err, "failed to load '%s', failed to poll from model repository",
                    command->name);
    return code;
}

static void do_load(struct tern_registry *registry, struct tern_registry_command *command)
{
    bool overrides = command->config.p != NULL || command->n_files > 0;

    command->code = overrides ? load_override(registry, command, &command->err)
                              : load_from_repository(registry, command->name, &command->err);
    struct registry_record *record = registry_find(registry, command->name);
    if (record != NULL)
        record->asked_for = command->code == TERN_OK || record->asked_for;
    if (command->code != TERN_OK || record == NULL) {
        registry_hide_path(registry, NULL, &command->err);
        finish(command);
        return;
    }
    wait_for(record, command);
    registry_settle(registry, record);
}

static void do_unload(struct tern_registry *registry, struct tern_registry_command *command)
{
    struct registry_record *record = registry_find(registry, command->name);

    if (record == NULL) {
        command->code = tern_fail(&command->err, TERN_NOT_FOUND,
                                  "failed to unload '%s': no such model", command->name);
        finish(command);
        return;
    }
    wait_for(record, command);
    registry_unwant(registry, record);
    registry_settle(registry, record);
    if (command->with_steps)
        registry_unwant_steps(registry, record);
}

static void set_interval(struct tern_registry *registry, uint64_t poll_ns)
{
    if (poll_ns == 0)
        return;
    registry->settings.poll_ns = poll_ns;
    if (registry->settings.mode == TERN_REGISTRY_POLL)
        registry->poll_due_ns = tern_clock_mono_ns() + poll_ns;
}

static void do_command(struct tern_registry *registry, struct tern_registry_command *command)
{
    command->code = TERN_OK;
    if (command->verb == TERN_REGISTRY_RESCAN) {
        set_interval(registry, command->poll_ns);
        command->code = registry_rescan(registry, NULL, true, &command->err);
        if (command->code != TERN_OK)
            tern_log_error(registry->settings.log, "registry.scan_failed",
                           "the model repository cannot be read; what is served stays",
                           TERN_KV_ERR(&command->err));
        finish(command);
        return;
    }
    if (registry->settings.mode != TERN_REGISTRY_EXPLICIT) {
        /* Triton's sentence, which it says in both modes. */
        command->code = tern_fail(
            &command->err, TERN_UNAVAILABLE,
            "explicit model load / unload is not allowed if polling is enabled%s",
            registry->settings.mode == TERN_REGISTRY_POLL ? "" : ", or model control is 'none'");
        finish(command);
        return;
    }
    if (command->verb == TERN_REGISTRY_LOAD)
        do_load(registry, command);
    else
        do_unload(registry, command);
}

static void take_home(struct tern_registry *registry, struct tern_model_version *version)
{
    char name[TERN_MODEL_NAME_MAX + 1];

    tern_str_copy_z(version->info.name, name, sizeof(name));
    tern_log_info(registry->settings.log, "model.unloaded", "model version is unloaded",
                  TERN_KV_STR("model", version->info.name),
                  TERN_KV_I64("version", version->info.version));
    registry_free_version(registry, version);
    struct registry_record *record = registry_find(registry, name);
    if (record == NULL)
        return;
    record->retiring--;
    registry_settle(registry, record);
}

static void handle(struct tern_registry *registry, struct inbox *in)
{
    while (in->published != NULL) {
        struct registry_publication *publication = in->published;
        in->published = publication->next;
        registry_published(publication);
    }
    while (in->jobs != NULL) {
        struct registry_job *job = in->jobs;
        in->jobs = job->next;
        registry->jobs_out--;
        registry_come_back(registry, job);
    }
    while (in->came_home != NULL) {
        struct tern_model_version *version = in->came_home;
        in->came_home = version->next_retired;
        take_home(registry, version);
    }
    while (in->commands != NULL) {
        struct tern_registry_command *command = in->commands;
        in->commands = command->next;
        do_command(registry, command);
    }
}

/* ---- the turn ---- */

static bool has_mail(const struct tern_registry *registry)
{
    return registry->commands != NULL || registry->jobs_done != NULL ||
           registry->came_home != NULL || registry->published != NULL;
}

/* When to look up without mail: for the next poll, or to try a publication again. 0: never. */
static uint64_t due_ns(const struct tern_registry *registry)
{
    uint64_t retry = registry->dirty ? tern_clock_mono_ns() + RETRY_NS : 0;

    if (retry != 0 && (registry->poll_due_ns == 0 || retry < registry->poll_due_ns))
        return retry;
    return registry->poll_due_ns;
}

/* Until there is mail, the registry stops, or something is due. Under the lock. */
static void wait_for_mail(struct tern_registry *registry)
{
    uint64_t due = due_ns(registry);

    while (!has_mail(registry) && !registry->stopping) {
        if (due == 0) {
            pthread_cond_wait(&registry->to_control, &registry->lock);
            continue;
        }
        struct timespec until = {(time_t)(due / TERN_NS_PER_S), (long)(due % TERN_NS_PER_S)};
        if (pthread_cond_timedwait(&registry->to_control, &registry->lock, &until) == ETIMEDOUT)
            return;
    }
}

static void take_mail(struct tern_registry *registry, struct inbox *ret_in)
{
    *ret_in = (struct inbox){registry->commands, registry->jobs_done, registry->came_home,
                             registry->published};
    registry->commands = NULL;
    registry->commands_end = &registry->commands;
    registry->jobs_done = NULL;
    registry->came_home = NULL;
    registry->published = NULL;
}

static void poll_files(struct tern_registry *registry)
{
    struct tern_err err;
    uint64_t now = tern_clock_mono_ns();

    if (registry->poll_due_ns == 0 || now < registry->poll_due_ns)
        return;
    if (registry_rescan(registry, NULL, false, &err) != TERN_OK)
        tern_log_warn(registry->settings.log, "registry.scan_failed",
                      "the model repository cannot be read; what is served stays",
                      TERN_KV_ERR(&err));
    registry->poll_due_ns = now + registry->settings.poll_ns;
}

static bool turn(struct tern_registry *registry)
{
    struct inbox in;

    pthread_mutex_lock(&registry->lock);
    wait_for_mail(registry);
    bool stopping = registry->stopping;
    take_mail(registry, &in);
    pthread_mutex_unlock(&registry->lock);
    handle(registry, &in);
    if (stopping)
        return false;
    poll_files(registry);
    if (registry->dirty)
        registry_publish(registry);
    return true;
}

static void *control_main(void *arg)
{
    while (turn(arg))
        ;
    return NULL;
}

/* ---- life ---- */

static enum tern_code init_sync(struct tern_registry *registry, struct tern_err *err)
{
    pthread_condattr_t attr;

    registry->commands_end = &registry->commands;
    registry->jobs_end = &registry->jobs;
    tern_list_init(&registry->on_their_way);
    registry->home.come_home = come_home;
    if (pthread_mutex_init(&registry->lock, NULL) != 0 || pthread_condattr_init(&attr) != 0)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "cannot make a lock");
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&registry->to_control, &attr);
    pthread_cond_init(&registry->to_loaders, NULL);
    pthread_condattr_destroy(&attr);
    return TERN_OK;
}

static enum tern_code load_at_start(struct tern_registry *registry, struct tern_err *err)
{
    const struct tern_registry_settings *settings = &registry->settings;

    if (settings->mode != TERN_REGISTRY_EXPLICIT) {
        TERN_TRY(registry_rescan(registry, NULL, true, err));
    } else {
        TERN_TRY(registry_rescan(registry, "", true, err)); /* only learn the names */
        for (uint32_t i = 0; i < settings->n_load; i++) {
            bool all = tern_str_eq(settings->load[i], TERN_STR("*"));
            TERN_TRY(registry_rescan(registry, all ? "*" : settings->load[i].p, true, err));
        }
    }
    registry->dirty = true;
    do {
        if (registry->jobs_out > 0)
            turn(registry);
    } while (registry->jobs_out > 0);
    registry_publish(registry);
    turn(registry); /* takes the publication back */
    return TERN_OK;
}

enum tern_code tern_registry_open(const struct tern_registry_settings *settings,
                                  struct tern_registry **ret_registry, struct tern_err *err)
{
    struct tern_registry *registry = tern_mem_zalloc(1, sizeof(*registry));

    if (registry == NULL)
        return tern_mem_fail(err, "the registry", sizeof(*registry));
    registry->settings = *settings;
    enum tern_code code = init_sync(registry, err);
    if (code != TERN_OK) {
        tern_mem_free(registry);
        return code;
    }
    code = registry_loaders_start(registry, err);
    if (code == TERN_OK)
        code = load_at_start(registry, err);
    if (code != TERN_OK) {
        tern_registry_close(registry);
        return code;
    }
    *ret_registry = registry;
    return TERN_OK;
}

enum tern_code tern_registry_start(struct tern_registry *registry, struct tern_err *err)
{
    registry->loops_run = true;
    if (registry->settings.mode == TERN_REGISTRY_POLL)
        registry->poll_due_ns = tern_clock_mono_ns() + registry->settings.poll_ns;
    if (pthread_create(&registry->control, NULL, control_main, registry) != 0) {
        registry->loops_run = false;
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "cannot start the registry's thread");
    }
    return TERN_OK;
}

/* What never ran to its end: the loops are gone, so nothing is waited for. */
static void drop_mail(struct tern_registry *registry)
{
    struct inbox in;

    take_mail(registry, &in);
    for (struct tern_registry_command *c = in.commands; c != NULL;) {
        struct tern_registry_command *next = c->next;
        c->code = tern_fail(&c->err, TERN_UNAVAILABLE, "the server is shutting down");
        finish(c);
        c = next;
    }
    in.commands = NULL;
    handle(registry, &in);
    registry_finish(registry->finished);
    registry->finished = NULL;
    while (registry->jobs != NULL) {
        struct registry_job *job = registry->jobs;
        registry->jobs = job->next;
        registry_free_job(job);
    }
}

void tern_registry_close(struct tern_registry *registry)
{
    if (registry == NULL)
        return;
    if (registry->loops_run) {
        pthread_mutex_lock(&registry->lock);
        registry->stopping = true;
        pthread_cond_signal(&registry->to_control);
        pthread_mutex_unlock(&registry->lock);
        pthread_join(registry->control, NULL);
        registry->loops_run = false;
    }
    registry_loaders_stop(registry);
    drop_mail(registry);
    registry_drop_publications(registry);
    registry_drop_held(registry);
    registry_free_records(registry);
    registry_free_snapshot(registry->snapshot);
    pthread_cond_destroy(&registry->to_control);
    pthread_cond_destroy(&registry->to_loaders);
    pthread_mutex_destroy(&registry->lock);
    tern_mem_free(registry);
}

void tern_registry_count(const struct tern_registry *registry, uint32_t *ret_wanted,
                         uint32_t *ret_ready)
{
    uint32_t wanted = 0, ready = 0;

    for (uint32_t i = 0; i < registry->n_records; i++) {
        const struct registry_record *record = registry->records[i];
        bool live = false;
        for (uint32_t v = 0; v < record->n_versions; v++)
            live |= registry_is_served(&record->versions[v]);
        wanted += record->wanted;
        ready += record->wanted && live;
    }
    *ret_wanted = wanted;
    *ret_ready = ready;
}
