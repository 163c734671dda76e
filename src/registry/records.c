/* Records: what is wanted, held against what is served.
 *
 * A scan (scan.c) marks versions as wanted and sends load jobs. While jobs are out nothing is taken
 * away. When the last one is back the record settles: if any wanted version is served the others
 * retire, otherwise what was served stays. So a bad new version never takes a good old one down. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "registry/registry_int.h"

/* ---- finding and making ---- */

/* Position of name, or where it belongs. */
static uint32_t position(const struct tern_registry *registry, const char *name, bool *ret_found)
{
    uint32_t low = 0, high = registry->n_records;

    *ret_found = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(registry->records[middle]->name, name);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct registry_record *registry_find(struct tern_registry *registry, const char *name)
{
    bool found;
    uint32_t at = position(registry, name, &found);
    return found ? registry->records[at] : NULL;
}

static bool grow_records(struct tern_registry *registry)
{
    if (registry->n_records < registry->cap_records)
        return true;
    uint32_t cap = registry->cap_records == 0 ? 16 : registry->cap_records * 2;
    struct registry_record **records =
        tern_mem_realloc(registry->records, cap * sizeof(struct registry_record *));
    if (records == NULL)
        return false;
    registry->records = records;
    registry->cap_records = cap;
    return true;
}

struct registry_record *registry_get_record(struct tern_registry *registry, struct tern_str name)
{
    char key[TERN_MODEL_NAME_MAX + 1];
    bool found;

    /* An invalid name is cut: it is listed with its problem and never served. */
    tern_str_copy_z(name.n > TERN_MODEL_NAME_MAX ? tern_str_make(name.p, TERN_MODEL_NAME_MAX)
                                                 : name,
                    key, sizeof(key));
    uint32_t at = position(registry, key, &found);
    if (found)
        return registry->records[at];
    struct registry_record *record = tern_mem_zalloc(1, sizeof(*record));
    if (record == NULL || !grow_records(registry)) {
        tern_mem_free(record);
        return NULL;
    }
    memcpy(record->name, key, sizeof(key));
    memmove(&registry->records[at + 1], &registry->records[at],
            (registry->n_records - at) * sizeof(struct registry_record *));
    registry->records[at] = record;
    registry->n_records++;
    return record;
}

struct registry_version *registry_get_version(struct registry_record *record, int64_t number)
{
    uint32_t at = 0;

    while (at < record->n_versions && record->versions[at].number < number)
        at++;
    if (at < record->n_versions && record->versions[at].number == number)
        return &record->versions[at];
    if (record->n_versions == record->cap_versions) {
        uint32_t cap = record->cap_versions == 0 ? 2 : record->cap_versions * 2;
        struct registry_version *versions =
            tern_mem_realloc(record->versions, cap * sizeof(*versions));
        if (versions == NULL)
            return NULL;
        record->versions = versions;
        record->cap_versions = cap;
    }
    memmove(&record->versions[at + 1], &record->versions[at],
            (record->n_versions - at) * sizeof(*record->versions));
    record->versions[at] = (struct registry_version){.number = number};
    record->n_versions++;
    return &record->versions[at];
}

static void remove_version(struct registry_record *record, uint32_t at)
{
    memmove(&record->versions[at], &record->versions[at + 1],
            (record->n_versions - at - 1) * sizeof(*record->versions));
    record->n_versions--;
}

/* ---- retiring ---- */

static void retire(struct tern_registry *registry, struct registry_record *record,
                   struct tern_model_version *version)
{
    version->next_retired = registry->to_retire;
    registry->to_retire = version;
    record->retiring++;
    registry->dirty = true;
}

static void retire_unwanted(struct tern_registry *registry, struct registry_record *record)
{
    for (uint32_t i = 0; i < record->n_versions;) {
        struct registry_version *version = &record->versions[i];
        if (version->wanted) {
            i++;
            continue;
        }
        if (version->live != NULL)
            retire(registry, record, version->live);
        version->live = NULL;
        registry->dirty = true;
        if (record->wanted) { /* a version the policy left behind */
            remove_version(record, i);
            continue;
        }
        version->state = record->retiring > 0 ? TERN_MODEL_UNLOADING : TERN_MODEL_UNAVAILABLE;
        snprintf(version->reason, sizeof(version->reason), "unloaded");
        i++;
    }
}

void registry_unwant(struct tern_registry *registry, struct registry_record *record)
{
    record->wanted = false;
    record->asked_for = false;
    record->problem.code = TERN_OK;
    registry_override_drop(record->override);
    record->override = NULL;
    for (uint32_t i = 0; i < record->n_versions; i++)
        record->versions[i].wanted = false;
    registry->dirty = true;
}

/* ---- settling ---- */

/* A wanted version from the newest files: one that failed to load again serves its older ones. */
static bool serves_a_wanted_one(const struct registry_record *record)
{
    for (uint32_t i = 0; i < record->n_versions; i++) {
        const struct registry_version *version = &record->versions[i];
        if (version->wanted && version->live != NULL && version->reason[0] == '\0')
            return true;
    }
    return false;
}

/* What a LOAD command hears: every wanted version is served from the files as they are. */
static enum tern_code outcome(const struct registry_record *record, struct tern_err *err)
{
    if (record->problem.code != TERN_OK)
        return tern_fail(err, record->problem.code, "load failed for model '%s': %s", record->name,
                         record->problem.text);
    for (uint32_t i = 0; i < record->n_versions; i++) {
        const struct registry_version *version = &record->versions[i];
        bool unbound = version->reason[0] == '\0' && !registry_is_served(version);
        if (version->wanted && (version->reason[0] != '\0' || unbound))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "load failed for model '%s': version %lld is at UNAVAILABLE state: "
                             "%s;", /* this load's version: an older one may be READY */
                             record->name, (long long)version->number,
                             unbound ? version->unbound : version->reason);
    }
    return TERN_OK;
}

/* Hands the waiters that have what they asked for to the next publication. */
static void finish_waiters(struct tern_registry *registry, struct registry_record *record)
{
    struct tern_registry_command **at = &record->waiters;

    if (registry->settling_held && record->n_steps > 0)
        return;
    if (*at != NULL)
        registry_judge(registry, record);
    while (*at != NULL) {
        struct tern_registry_command *command = *at;
        if (command->verb == TERN_REGISTRY_UNLOAD && record->retiring > 0) {
            at = &command->next;
            continue;
        }
        *at = command->next;
        command->code =
            command->verb == TERN_REGISTRY_LOAD ? outcome(record, &command->err) : TERN_OK;
        command->next = registry->finished;
        registry->finished = command;
        registry->dirty = true;
    }
}

bool registry_serves(struct tern_registry *registry, const char *name, int64_t number)
{
    const struct registry_record *record = registry_find(registry, name);

    for (uint32_t i = 0; record != NULL && i < record->n_versions; i++) {
        if (record->versions[i].number == number)
            return registry_is_served(&record->versions[i]);
    }
    return false;
}

void registry_settle(struct tern_registry *registry, struct registry_record *record)
{
    if (record->loading > 0 || registry_steps_are_loading(registry, record))
        return;
    if (!record->wanted || serves_a_wanted_one(record))
        retire_unwanted(registry, record);
    for (uint32_t i = 0; record->retiring == 0 && i < record->n_versions; i++) {
        if (record->versions[i].state == TERN_MODEL_UNLOADING) {
            record->versions[i].state = TERN_MODEL_UNAVAILABLE;
            registry->dirty = true;
        }
    }
    finish_waiters(registry, record);
}

static void log_failure(struct tern_registry *registry, const struct registry_job *job)
{
    tern_log_error(registry->settings.log, "model.failed", "model version cannot be served",
                   TERN_KV_Z("model", job->name), TERN_KV_I64("version", job->number),
                   TERN_KV_ERR(&job->err));
}

static void log_ready(struct tern_registry *registry, const struct tern_model_version *version)
{
    tern_log_info(
        registry->settings.log, "model.ready", "model version is ready",
        TERN_KV_STR("model", version->info.name), TERN_KV_I64("version", version->info.version),
        TERN_KV_STR("backend", version->info.backend), TERN_KV_NS("load", version->load_ns),
        TERN_KV_NS("run", version->run_ns), TERN_KV_U64("instances", version->n_instances),
        TERN_KV_BOOL("on_loop", version->loop_instances != NULL),
        TERN_KV_STR("batches", version->batches));
}

/* The job has what it borrowed no longer. */
static void take_back(struct tern_registry *registry, struct registry_record *record,
                      struct registry_version *version, const struct registry_job *job)
{
    if (job->live == NULL)
        return;
    version->lent = NULL;
    if (version->replaced != NULL)
        retire(registry, record, version->replaced);
    version->replaced = NULL;
}

static void replace_live(struct tern_registry *registry, struct registry_record *record,
                         struct registry_version *version, struct tern_model_version *now)
{
    if (version->live != NULL && version->live == version->lent)
        version->replaced = version->live;
    else if (version->live != NULL)
        retire(registry, record, version->live);
    version->live = now;
}

/* The same version goes on with another number of instances. */
static void take_resized(struct tern_registry *registry, struct registry_version *version,
                         const struct registry_job *job)
{
    if (version->live != NULL && version->live == job->live) {
        registry_override_drop(version->live->override);
        version->live->override = registry_override_hold(job->override);
        version->live->fingerprint = job->fingerprint;
    }
    version->state = TERN_MODEL_READY;
    version->reason[0] = '\0';
    tern_log_info(registry->settings.log, "model.resized",
                  "a model has another number of instances", TERN_KV_Z("model", job->name),
                  TERN_KV_I64("version", job->number),
                  TERN_KV_U64("instances", job->live->n_instances));
}

void registry_take_job(struct tern_registry *registry, struct registry_job *job)
{
    struct registry_record *record = registry_find(registry, job->name);
    struct registry_version *version =
        record == NULL ? NULL : registry_get_version(record, job->number);

    if (job->version != NULL)
        job->version->override = registry_override_hold(job->override);
    if (version == NULL) { /* no memory to remember it */
        if (record != NULL)
            record->loading--;
        if (job->version != NULL)
            registry_free_version(registry, job->version);
        return;
    }
    record->loading--;
    registry->dirty = true;
    take_back(registry, record, version, job);
    if (version->override_id != (job->override == NULL ? 0 : job->override->id)) {
        /* Another load of the same version was asked for since: that one counts. */
        if (job->version != NULL)
            registry_free_version(registry, job->version);
    } else if (job->resized) {
        take_resized(registry, version, job);
    } else if (job->version != NULL) {
        replace_live(registry, record, version, job->version);
        version->fingerprint = job->version->fingerprint;
        version->state = TERN_MODEL_READY;
        version->reason[0] = '\0';
        version->served = job->code == TERN_OK;
        if (job->code == TERN_OK)
            log_ready(registry, job->version);
        else
            log_failure(registry, job); /* an ensemble: it comes when its steps do */
    } else {
        version->state = version->live != NULL ? TERN_MODEL_READY : TERN_MODEL_UNAVAILABLE;
        snprintf(version->reason, sizeof(version->reason), "%s", job->err.text);
        log_failure(registry, job);
    }
    registry_settle(registry, record);
}

/* ---- the end ---- */

void registry_free_version(struct tern_registry *registry, struct tern_model_version *version)
{
    struct registry_override *override = version->override;

    registry->settings.hooks.on_unloaded(registry->settings.hooks.arg, version);
    tern_version_free(version);
    registry_override_drop(override);
}

void registry_free_records(struct tern_registry *registry)
{
    while (registry->to_retire != NULL) {
        struct tern_model_version *version = registry->to_retire;
        registry->to_retire = version->next_retired;
        registry_free_version(registry, version);
    }
    for (uint32_t i = 0; i < registry->n_records; i++) {
        struct registry_record *record = registry->records[i];
        for (uint32_t v = 0; v < record->n_versions; v++) {
            if (record->versions[v].live != NULL)
                registry_free_version(registry, record->versions[v].live);
            if (record->versions[v].replaced != NULL)
                registry_free_version(registry, record->versions[v].replaced);
        }
        registry_override_drop(record->override);
        tern_mem_free(record->versions);
        tern_mem_free(record->steps);
        tern_mem_free(record);
    }
    tern_mem_free(registry->records);
    registry->records = NULL;
    registry->n_records = 0;
}
