/* Publication: builds a snapshot of what is served and sends it to every loop. */
#include "base/mem.h"
#include "registry/binding.h"
#include "registry/registry_int.h"

/* ---- building ---- */

static uint32_t count_rows(const struct tern_registry *registry)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < registry->n_records; i++) {
        uint32_t versions = registry->records[i]->n_versions;
        n += versions > 0 ? versions : 1;
    }
    return n;
}

static bool is_ready(const struct registry_record *record)
{
    bool any = false;

    if (!record->wanted)
        return true;
    if (record->problem.code != TERN_OK)
        return false;
    for (uint32_t i = 0; i < record->n_versions; i++) {
        const struct registry_version *version = &record->versions[i];
        bool served = registry_is_served(version);
        if (version->wanted && !served)
            return false;
        any |= served;
    }
    return any;
}

static enum tern_code add_entry(struct tern_snapshot *snapshot, struct tern_str name,
                                const struct registry_record *record, uint32_t n_live)
{
    struct tern_arena *arena = &snapshot->arena;
    struct tern_model_entry *entry = &snapshot->models[snapshot->n_models];

    entry->name = name;
    entry->versions = tern_arena_zalloc(arena, n_live, sizeof(struct tern_model_version *));
    entry->numbers = tern_arena_zalloc(arena, n_live, sizeof(*entry->numbers));
    if (entry->versions == NULL || entry->numbers == NULL)
        return TERN_RESOURCE_EXHAUSTED;
    for (uint32_t i = 0; i < record->n_versions; i++) {
        if (!registry_is_served(&record->versions[i]))
            continue;
        entry->numbers[entry->n_versions] = record->versions[i].number;
        entry->versions[entry->n_versions++] = record->versions[i].live;
    }
    snapshot->n_models++;
    return TERN_OK;
}

static enum tern_code add_record(struct tern_snapshot *snapshot, struct tern_index_row *rows,
                                 const struct registry_record *record)
{
    struct tern_arena *arena = &snapshot->arena;
    struct tern_str name = tern_arena_copy(arena, tern_str_of(record->name));
    uint32_t n_live = 0;

    if (name.p == NULL)
        return TERN_RESOURCE_EXHAUSTED;
    for (uint32_t i = 0; i < record->n_versions; i++) {
        const struct registry_version *version = &record->versions[i];
        bool served = registry_is_served(version), unbound = version->live != NULL && !served;
        struct tern_str reason =
            tern_arena_copy(arena, tern_str_of(unbound ? version->unbound : version->reason));
        if (reason.p == NULL)
            return TERN_RESOURCE_EXHAUSTED;
        rows[snapshot->n_index++] = (struct tern_index_row){
            name, version->number, unbound ? TERN_MODEL_UNAVAILABLE : version->state, reason};
        n_live += served;
    }
    if (record->n_versions == 0) {
        bool broken = record->problem.code != TERN_OK;
        struct tern_str reason =
            tern_arena_copy(arena, tern_str_of(broken ? record->problem.text : ""));
        if (reason.p == NULL)
            return TERN_RESOURCE_EXHAUSTED;
        rows[snapshot->n_index++] = (struct tern_index_row){
            name, 0, broken ? TERN_MODEL_UNAVAILABLE : TERN_MODEL_UNKNOWN, reason};
    }
    return n_live > 0 ? add_entry(snapshot, name, record, n_live) : TERN_OK;
}

/* Ensembles come and go with their steps, without a load of their own. */
static void log_change(struct tern_registry *registry, struct registry_version *version)
{
    bool served = version->binding != NULL;

    if (served == version->served)
        return;
    version->served = served;
    if (served)
        tern_log_info(registry->settings.log, "ensemble.served",
                      "the steps of an ensemble are there",
                      TERN_KV_STR("model", version->live->info.name),
                      TERN_KV_I64("version", version->number));
    else
        tern_log_error(registry->settings.log, "ensemble.left", "an ensemble cannot be served",
                       TERN_KV_STR("model", version->live->info.name),
                       TERN_KV_I64("version", version->number),
                       TERN_KV_Z("reason", version->unbound));
}

static bool add_ensembles(struct tern_registry *registry, struct tern_snapshot *snapshot)
{
    uint32_t n = registry_count_ensembles(registry);
    struct tern_snapshot_ensemble *rows = tern_arena_zalloc(&snapshot->arena, n + 1, sizeof(*rows));

    if (rows == NULL || !registry_bind(registry, &snapshot->arena))
        return false;
    for (uint32_t i = 0; i < registry->n_records; i++) {
        struct registry_record *record = registry->records[i];
        for (uint32_t v = 0; v < record->n_versions; v++) {
            struct registry_version *version = &record->versions[v];
            if (version->live == NULL || version->live->ensembling == NULL)
                continue;
            log_change(registry, version);
            if (version->binding != NULL)
                rows[snapshot->n_ensembles++] =
                    (struct tern_snapshot_ensemble){version->live, version->binding};
        }
    }
    snapshot->ensembles = rows;
    return true;
}

static struct tern_snapshot *build(struct tern_registry *registry)
{
    struct tern_snapshot *snapshot = tern_mem_zalloc(1, sizeof(*snapshot));

    if (snapshot == NULL)
        return NULL;
    tern_arena_init(&snapshot->arena, 4096, 1u << 30);
    struct tern_index_row *rows =
        tern_arena_zalloc(&snapshot->arena, count_rows(registry) + 1, sizeof(*rows));
    snapshot->models =
        tern_arena_zalloc(&snapshot->arena, registry->n_records + 1, sizeof(*snapshot->models));
    bool ok = rows != NULL && snapshot->models != NULL && add_ensembles(registry, snapshot);
    snapshot->ready = true;
    for (uint32_t i = 0; ok && i < registry->n_records; i++) {
        ok = add_record(snapshot, rows, registry->records[i]) == TERN_OK;
        snapshot->ready &= !registry->settings.strict_readiness || is_ready(registry->records[i]);
    }
    snapshot->index = rows;
    if (!ok || tern_snapshot_seal(snapshot, NULL) != TERN_OK) {
        registry_free_snapshot(snapshot);
        return NULL;
    }
    return snapshot;
}

void registry_free_snapshot(struct tern_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    tern_arena_fini(&snapshot->arena);
    tern_mem_free(snapshot);
}

/* ---- sending ---- */

static void tell_control(struct registry_publication *publication)
{
    struct tern_registry *registry = publication->registry;

    pthread_mutex_lock(&registry->lock);
    publication->next = registry->published;
    registry->published = publication;
    pthread_cond_signal(&registry->to_control);
    pthread_mutex_unlock(&registry->lock);
}

/* The bindings lie in the snapshots. */
static void switch_ensembles(const struct tern_snapshot *before, const struct tern_snapshot *now,
                             uint32_t loop)
{
    for (uint32_t i = 0; before != NULL && i < before->n_ensembles; i++)
        before->ensembles[i].version->pins[loop].binding = NULL;
    for (uint32_t i = 0; i < now->n_ensembles; i++)
        now->ensembles[i].version->pins[loop].binding = now->ensembles[i].binding;
}

static void switch_loop(struct registry_publication *publication, uint32_t loop)
{
    struct tern_registry_hooks *hooks = &publication->registry->settings.hooks;

    switch_ensembles(publication->before, publication->snapshot, loop);
    hooks->on_publish(hooks->arg, loop, publication->snapshot);
    for (struct tern_model_version *v = publication->retired; v != NULL;) {
        struct tern_model_version *next = v->next_retired; /* v may come home and go */
        tern_version_retire(v, loop);
        v = next;
    }
}

/* On each loop's thread. The last one tells the control thread. */
static void on_loop(struct tern_loop_task *task)
{
    struct publication_task *mine = TERN_CONTAINER_OF(task, struct publication_task, task);
    struct registry_publication *publication = mine->publication;

    switch_loop(publication, mine->loop);
    if (atomic_fetch_sub_explicit(&publication->loops_left, 1, memory_order_acq_rel) == 1)
        tell_control(publication);
}

static struct registry_publication *new_publication(struct tern_registry *registry)
{
    uint32_t n = registry->settings.n_loops;
    struct registry_publication *publication = tern_mem_zalloc(1, sizeof(*publication));
    struct publication_task *tasks = tern_mem_zalloc(n, sizeof(*tasks));

    if (publication == NULL || tasks == NULL) {
        tern_mem_free(publication);
        tern_mem_free(tasks);
        return NULL;
    }
    publication->registry = registry;
    publication->tasks = tasks;
    atomic_init(&publication->loops_left, n);
    for (uint32_t i = 0; i < n; i++)
        tasks[i] = (struct publication_task){{NULL, on_loop}, publication, i};
    return publication;
}

/* Without memory for a publication what was served stays served, and the next event tries again. */
void registry_publish(struct tern_registry *registry)
{
    struct tern_snapshot *snapshot = build(registry);
    struct registry_publication *publication = snapshot == NULL ? NULL : new_publication(registry);

    if (publication == NULL) {
        registry_free_snapshot(snapshot);
        tern_log_error(registry->settings.log, "registry.memory",
                       "no memory to publish a change of models; it is retried", TERN_KV_NONE);
        return;
    }
    publication->snapshot = snapshot;
    publication->before = registry->snapshot;
    publication->retired = registry->to_retire;
    registry->to_retire = NULL;
    publication->finished = registry->finished;
    registry->finished = NULL;
    registry->snapshot = snapshot;
    registry->dirty = false;
    tern_list_append(&registry->on_their_way, &publication->on_its_way);
    if (registry->loops_run) {
        for (uint32_t i = 0; i < registry->settings.n_loops; i++)
            tern_loop_post(registry->settings.loops[i], &publication->tasks[i].task);
        return;
    }
    for (uint32_t i = 0; i < registry->settings.n_loops; i++)
        switch_loop(publication, i);
    tell_control(publication);
}

void registry_finish(struct tern_registry_command *commands)
{
    while (commands != NULL) {
        struct tern_registry_command *next = commands->next; /* its owner may free it */
        if (commands->on_done != NULL)
            commands->on_done(commands);
        commands = next;
    }
}

void registry_published(struct registry_publication *publication)
{
    tern_list_remove(&publication->on_its_way);
    registry_finish(publication->finished);
    registry_free_snapshot(publication->before);
    tern_mem_free(publication->tasks);
    tern_mem_free(publication);
}

void registry_drop_publications(struct tern_registry *registry)
{
    for (;;) {
        struct tern_list *first = tern_list_pop(&registry->on_their_way);
        if (first == NULL)
            return;
        struct registry_publication *publication =
            TERN_CONTAINER_OF(first, struct registry_publication, on_its_way);
        /* Some loop still holds each of them: none has come home. */
        while (publication->retired != NULL) {
            struct tern_model_version *version = publication->retired;
            publication->retired = version->next_retired;
            registry_free_version(registry, version);
        }
        registry_published(publication);
    }
}
