/* What the files say becomes what is wanted: the versions that the policy chooses are marked, and a
 * load job is sent for each that is new or has changed. What comes of it is for records.c. */
#include <string.h>
#include "base/mem.h"
#include "registry/registry_int.h"

#define SCAN_MEMORY_MAX (1u << 30)

static enum tern_code send_job(struct tern_registry *registry, struct registry_record *record,
                               struct registry_version *entry, const struct tern_found_model *found,
                               const struct tern_found_version *version, struct tern_err *err)
{
    struct registry_job *job = tern_mem_zalloc(1, sizeof(*job));

    if (job == NULL)
        return tern_mem_fail(err, "a load", sizeof(*job));
    memcpy(job->name, record->name, sizeof(job->name));
    job->number = version->number;
    job->fingerprint = version->fingerprint;
    job->override = registry_override_hold(record->override);
    job->path = tern_mem_strdup(tern_str_of(version->path));
    job->folder = found->folder == NULL ? NULL : tern_mem_strdup(tern_str_of(found->folder));
    if (job->path == NULL || (found->folder != NULL && job->folder == NULL)) {
        registry_free_job(job);
        return tern_mem_fail(err, "a load", sizeof(*job));
    }
    if (entry->lent == NULL)
        entry->lent = job->live = entry->live;
    record->loading++;
    registry_enqueue(registry, job);
    return TERN_OK;
}

static bool needs_load(const struct registry_version *version, uint64_t fingerprint,
                       uint64_t override_id, bool force)
{
    if (version->state == TERN_MODEL_LOADING && version->override_id == override_id)
        return false;
    if (version->fingerprint != fingerprint || version->override_id != override_id)
        return true;
    /* The same files failed before: only an explicit wish tries them again. */
    return version->reason[0] != '\0' ? force || version->live != NULL : version->live == NULL;
}

static enum tern_code want_version(struct tern_registry *registry, struct registry_record *record,
                                   const struct tern_found_model *found,
                                   const struct tern_found_version *from, bool force,
                                   struct tern_err *err)
{
    struct registry_version *version = registry_get_version(record, from->number);
    uint64_t override_id = record->override == NULL ? 0 : record->override->id;

    if (version == NULL)
        return tern_mem_fail(err, "a version", sizeof(*version));
    version->wanted = true;
    if (!needs_load(version, from->fingerprint, override_id, force))
        return TERN_OK;
    version->fingerprint = from->fingerprint;
    version->override_id = override_id;
    if (version->live == NULL)
        version->state = TERN_MODEL_LOADING;
    registry->dirty = true;
    return send_job(registry, record, version, found, from, err);
}

/* Marks what the policy chooses and sends for it. */
static enum tern_code want_chosen(struct tern_registry *registry, struct registry_record *record,
                                  const struct tern_found_model *found,
                                  const struct tern_version_policy *policy, bool force,
                                  struct tern_arena *arena, struct tern_err *err)
{
    int64_t *numbers = tern_arena_zalloc(arena, found->n_versions, sizeof(*numbers));
    bool *chosen = tern_arena_zalloc(arena, found->n_versions, sizeof(*chosen));

    if (numbers == NULL || chosen == NULL)
        return tern_arena_fail(arena, err, "the versions of a model");
    for (uint32_t i = 0; i < found->n_versions; i++)
        numbers[i] = found->versions[i].number;
    if (tern_version_policy_apply(policy, numbers, found->n_versions, chosen) == 0)
        return tern_fail(&record->problem, TERN_NOT_FOUND,
                         "at least one version must be available under the version policy of "
                         "model '%s'",
                         record->name);
    for (uint32_t i = 0; i < record->n_versions; i++)
        record->versions[i].wanted = false;
    for (uint32_t i = 0; i < found->n_versions; i++) {
        if (chosen[i])
            TERN_TRY(want_version(registry, record, found, &found->versions[i], force, err));
    }
    return TERN_OK;
}

static enum tern_code want(struct tern_registry *registry, struct registry_record *record,
                           const struct tern_found_model *found, bool force,
                           struct tern_arena *arena, struct tern_err *err)
{
    struct tern_version_outline outline;
    struct tern_str config =
        record->override == NULL ? tern_str_make(NULL, 0) : record->override->config;

    record->problem = found->problem;
    if (found->problem.code == TERN_OK &&
        tern_version_outline_of(found, config, &registry->settings, arena, &outline,
                                &record->problem) == TERN_OK) {
        TERN_TRY(registry_set_steps(record, outline.steps, outline.n_steps, err));
        enum tern_code code =
            want_chosen(registry, record, found, &outline.policy, force, arena, err);
        if (code != TERN_OK && record->problem.code == TERN_OK)
            return code;
    }
    if (record->problem.code != TERN_OK)
        registry_hide_path(registry, record->override, &record->problem);
    if (record->problem.code != TERN_OK)
        tern_log_error(registry->settings.log, "model.failed", "model cannot be served",
                       TERN_KV_Z("model", record->name), TERN_KV_ERR(&record->problem));
    record->wanted = true;
    registry->dirty = true;
    registry_settle(registry, record);
    return TERN_OK;
}

/* Found models are sorted by name. */
static bool is_in(const struct tern_found *found, const char *name)
{
    uint32_t low = 0, high = found->n_models;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = tern_str_cmp(found->models[middle].name, tern_str_of(name));
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Files that came with a request: the repository has no say. */
static bool stands_alone(const struct registry_record *record)
{
    return record->override != NULL && record->override->folder != NULL;
}

/* Models whose files are gone. */
static void forget_missing(struct tern_registry *registry, const struct tern_found *found)
{
    for (uint32_t i = 0; i < registry->n_records; i++) {
        struct registry_record *record = registry->records[i];
        if (!record->wanted || stands_alone(record) || is_in(found, record->name))
            continue;
        registry_unwant(registry, record);
        registry_settle(registry, record);
    }
}

/* Whether a scan for `only` concerns this model. */
static bool is_meant(const struct tern_registry *registry, const struct registry_record *record,
                     const char *only)
{
    if (stands_alone(record))
        return false;
    if (only == NULL)
        return registry->settings.mode != TERN_REGISTRY_EXPLICIT || record->wanted;
    return strcmp(only, "*") == 0 || strcmp(only, record->name) == 0;
}

static const struct tern_found_model *found_one(const struct tern_found *found, const char *name)
{
    for (uint32_t i = 0; i < found->n_models; i++) {
        if (tern_str_eq(found->models[i].name, tern_str_of(name)))
            return &found->models[i];
    }
    return NULL;
}

/* A model that was asked for brings what it is made of. */
static enum tern_code want_steps(struct tern_registry *registry, struct registry_record *record,
                                 const struct tern_found *found, bool force,
                                 struct tern_arena *arena, struct tern_err *err)
{
    if (record == NULL || record->n_steps == 0)
        return TERN_OK;
    registry_mark(registry, record, REGISTRY_WALK_ACT);
    for (struct registry_record *step;
         (step = registry_next_marked(registry, REGISTRY_WALK_ACT)) != NULL;) {
        const struct tern_found_model *files = found_one(found, step->name);
        if (files != NULL && !stands_alone(step))
            TERN_TRY(want(registry, step, files, force, arena, err));
        registry_mark_more(registry, step, REGISTRY_WALK_ACT);
    }
    return TERN_OK;
}

static enum tern_code apply(struct tern_registry *registry, const struct tern_found *found,
                            const char *only, bool force, struct tern_arena *arena,
                            struct tern_err *err)
{
    for (uint32_t i = 0; i < found->n_models; i++) {
        struct registry_record *record = registry_get_record(registry, found->models[i].name);
        if (record == NULL)
            return tern_mem_fail(err, "a model", sizeof(*record));
        bool meant = is_meant(registry, record, only);
        record->asked_for |= meant && only != NULL;
        if (meant)
            TERN_TRY(want(registry, record, &found->models[i], force, arena, err));
        else if (!record->wanted && record->n_versions == 0)
            registry->dirty = true;
    }
    if (only == NULL)
        forget_missing(registry, found);
    else if (registry->settings.mode == TERN_REGISTRY_EXPLICIT && is_in(found, only))
        return want_steps(registry, registry_find(registry, only), found, force, arena, err);
    return TERN_OK;
}

enum tern_code registry_rescan(struct tern_registry *registry, const char *only, bool force,
                               struct tern_err *err)
{
    struct tern_arena arena;
    struct tern_found found;

    tern_arena_init(&arena, 1u << 16, SCAN_MEMORY_MAX);
    enum tern_code code = tern_repository_scan(registry->settings.paths, registry->settings.n_paths,
                                               &registry->settings.engines, &arena, &found, err);
    bool one = only != NULL && only[0] != '\0' && strcmp(only, "*") != 0;
    if (code == TERN_OK && one && !is_in(&found, only))
        code = tern_fail(err, TERN_NOT_FOUND,
                         "failed to load '%s', failed to poll from model repository", only);
    if (code == TERN_OK)
        code = apply(registry, &found, only, force, &arena, err);
    tern_arena_fini(&arena);
    return code;
}

static enum tern_code want_override(struct tern_registry *registry, struct registry_record *record,
                                    struct tern_err *err)
{
    struct tern_arena arena;
    struct tern_found_model found;

    if (!stands_alone(record))
        return registry_rescan(registry, record->name, true, err);
    tern_arena_init(&arena, 4096, SCAN_MEMORY_MAX);
    tern_repository_scan_model(record->override->folder, &registry->settings.engines, &arena,
                               &found);
    enum tern_code code = want(registry, record, &found, true, &arena, err);
    tern_arena_fini(&arena);
    return code;
}

enum tern_code registry_rescan_override(struct tern_registry *registry, const char *name,
                                        struct registry_override *override, struct tern_err *err)
{
    struct registry_record *record = registry_get_record(registry, tern_str_of(name));

    if (record == NULL) {
        registry_override_drop(override);
        return tern_mem_fail(err, "a model", sizeof(*record));
    }
    struct registry_override *before = record->override;
    record->override = override;
    enum tern_code code = want_override(registry, record, err);
    if (code != TERN_OK)
        record->override = before;
    registry_override_drop(code == TERN_OK ? before : override);
    return code;
}
