/* Models that are made of others: which of them can be served now, and what comes and goes with
 * them. On the control thread.
 *
 * A version that is an ensemble is loaded like any other, without its steps. What it needs is
 * looked up when a snapshot is made: it stands in the snapshot if its steps do, and comes back by
 * itself when they come back. Its load counts as done only when no step of it is loading any more:
 * an ensemble that replaces another must be known to work before the other one goes. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "registry/binding.h"
#include "registry/registry_int.h"

#define BIND_MEMORY_MAX (256u << 20)

static bool is_ensemble(const struct registry_version *version)
{
    return version->live != NULL && version->live->ensembling != NULL;
}

bool registry_is_served(const struct registry_version *version)
{
    return version->live != NULL && (version->live->ensembling == NULL || version->binding != NULL);
}

/* ---- which model is made of which ---- */

enum tern_code registry_set_steps(struct registry_record *record, const struct tern_str *names,
                                  uint32_t n, struct tern_err *err)
{
    registry_step_name *steps = NULL;

    if (n > 0) {
        steps = tern_mem_alloc(n * sizeof(*steps));
        if (steps == NULL)
            return tern_mem_fail(err, "the steps of an ensemble", n * sizeof(*steps));
    }
    for (uint32_t i = 0; i < n; i++)
        tern_str_copy_z(names[i].n > TERN_MODEL_NAME_MAX ? TERN_STR("") : names[i], steps[i],
                        sizeof(steps[i]));
    tern_mem_free(record->steps);
    record->steps = steps;
    record->n_steps = n;
    return TERN_OK;
}

void registry_mark_more(struct tern_registry *registry, const struct registry_record *record,
                        enum registry_walk walk)
{
    for (uint32_t i = 0; i < record->n_steps; i++) {
        struct registry_record *step = registry_find(registry, record->steps[i]);
        if (step != NULL && step->marks[walk] == REGISTRY_UNMARKED)
            step->marks[walk] = REGISTRY_MARKED;
    }
}

void registry_mark(struct tern_registry *registry, struct registry_record *record,
                   enum registry_walk walk)
{
    for (uint32_t i = 0; i < registry->n_records; i++)
        registry->records[i]->marks[walk] = REGISTRY_UNMARKED;
    record->marks[walk] = REGISTRY_VISITED;
    registry_mark_more(registry, record, walk);
}

struct registry_record *registry_next_marked(struct tern_registry *registry,
                                             enum registry_walk walk)
{
    for (uint32_t i = 0; i < registry->n_records; i++) {
        if (registry->records[i]->marks[walk] == REGISTRY_MARKED) {
            registry->records[i]->marks[walk] = REGISTRY_VISITED;
            return registry->records[i];
        }
    }
    return NULL;
}

/* Ensembles that only wait for others do not count: they might wait for this one. */
bool registry_steps_are_loading(struct tern_registry *registry, struct registry_record *record)
{
    if (record->n_steps == 0)
        return false;
    registry_mark(registry, record, REGISTRY_WALK_LOOK);
    for (struct registry_record *step;
         (step = registry_next_marked(registry, REGISTRY_WALK_LOOK)) != NULL;) {
        if (step->loading > step->held)
            return true;
        registry_mark_more(registry, step, REGISTRY_WALK_LOOK);
    }
    return false;
}

/* ---- which can be served ---- */

static enum tern_bind_found find(void *arg, struct tern_str model, int64_t number,
                                 struct tern_model_version **ret_version,
                                 const struct tern_binding **ret_binding)
{
    struct registry_binding_run *run = arg;
    char name[TERN_MODEL_NAME_MAX + 1];
    const struct registry_version *best = NULL;
    bool waits = false, others = false;

    if (model.n > TERN_MODEL_NAME_MAX)
        return TERN_BIND_NO_MODEL;
    tern_str_copy_z(model, name, sizeof(name));
    const struct registry_record *record = registry_find(run->registry, name);
    for (uint32_t i = 0; record != NULL && i < record->n_versions; i++) {
        const struct registry_version *version = &record->versions[i];
        bool pending = is_ensemble(version) && version->pending;
        others |= version->live != NULL;
        if ((number != 0 && version->number != number) ||
            (!pending && !registry_is_served(version)))
            continue;
        waits = pending;
        best = version;
    }
    if (best == NULL)
        return others && number != 0 ? TERN_BIND_NO_VERSION : TERN_BIND_NO_MODEL;
    if (waits)
        return TERN_BIND_LATER;
    *ret_version = best->live;
    *ret_binding = best->binding;
    return TERN_BIND_FOUND;
}

/* Whether it is known now. */
static bool bind_version(struct registry_binding_run *run, struct registry_version *version)
{
    const struct tern_bind_models models = {find, run};
    const struct tern_binding *binding = NULL;
    struct tern_err err;

    enum tern_code code = tern_binding_make(version->live, &models, run->arena, &binding, &err);
    if (code != TERN_OK)
        snprintf(version->unbound, sizeof(version->unbound), "%s", err.text);
    run->out_of_memory |= code == TERN_RESOURCE_EXHAUSTED;
    version->binding = binding;
    return code != TERN_ABORTED;
}

uint32_t registry_count_ensembles(const struct tern_registry *registry)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < registry->n_records; i++) {
        for (uint32_t v = 0; v < registry->records[i]->n_versions; v++)
            n += is_ensemble(&registry->records[i]->versions[v]);
    }
    return n;
}

static void begin(struct tern_registry *registry)
{
    for (uint32_t i = 0; i < registry->n_records; i++) {
        for (uint32_t v = 0; v < registry->records[i]->n_versions; v++) {
            struct registry_version *version = &registry->records[i]->versions[v];
            version->pending = is_ensemble(version);
            version->binding = NULL;
        }
    }
}

/* Those whose steps are known, until there are no more: what is left then waits for itself. */
bool registry_bind(struct tern_registry *registry, struct tern_arena *arena)
{
    struct registry_binding_run run = {registry, arena, false};

    begin(registry);
    for (bool found = true; found;) {
        found = false;
        for (uint32_t i = 0; i < registry->n_records; i++) {
            for (uint32_t v = 0; v < registry->records[i]->n_versions; v++) {
                struct registry_version *version = &registry->records[i]->versions[v];
                if (!version->pending || !bind_version(&run, version))
                    continue;
                version->pending = false;
                found = true;
            }
        }
    }
    return !run.out_of_memory;
}

/* Why the record's ensembles are not served, to `unbound`; the bindings themselves go at once. */
void registry_judge(struct tern_registry *registry, const struct registry_record *record)
{
    struct tern_arena arena;

    if (record->n_steps == 0)
        return;
    tern_arena_init(&arena, 1u << 14, BIND_MEMORY_MAX);
    registry_bind(registry, &arena);
    for (uint32_t i = 0; i < record->n_versions; i++) {
        if (is_ensemble(&record->versions[i]) && record->versions[i].binding != NULL)
            record->versions[i].unbound[0] = '\0';
    }
    tern_arena_fini(&arena);
}

/* ---- loads that wait for their steps ---- */

/* Whether it could be served with what is served now. */
static bool would_bind(struct tern_registry *registry, struct registry_job *job)
{
    struct registry_binding_run run = {registry, NULL, false};
    const struct tern_bind_models models = {find, &run};
    const struct tern_binding *binding;
    struct tern_arena arena;

    tern_arena_init(&arena, 1u << 14, BIND_MEMORY_MAX);
    run.arena = &arena;
    registry_bind(registry, &arena);
    job->code = tern_binding_make(job->version, &models, &arena, &binding, &job->err);
    tern_arena_fini(&arena);
    return job->code == TERN_OK;
}

static void finish_held(struct tern_registry *registry, struct registry_job **at)
{
    struct registry_job *job = *at;
    struct registry_record *record = registry_find(registry, job->name);

    *at = job->next;
    if (record != NULL)
        record->held--;
    registry_take_job(registry, job);
    registry_free_job(job);
}

static bool may_finish(struct tern_registry *registry, const struct registry_job *job)
{
    struct registry_record *record = registry_find(registry, job->name);
    return record == NULL || !registry_steps_are_loading(registry, record);
}

/* Where an older one is served, a new one that does not work must not take its place. */
static void give_up(struct tern_registry *registry, struct registry_job *job)
{
    if (!registry_serves(registry, job->name, job->number))
        return;
    registry_free_version(registry, job->version);
    job->version = NULL;
}

static void settle_held(struct tern_registry *registry)
{
    struct registry_job **at = &registry->held;

    registry->settling_held = true;
    while (*at != NULL) { /* those that work, and then perhaps others because of them */
        if (!may_finish(registry, *at) || !would_bind(registry, *at)) {
            at = &(*at)->next;
            continue;
        }
        finish_held(registry, at);
        at = &registry->held;
    }
    for (at = &registry->held; *at != NULL;) {
        if (!may_finish(registry, *at)) {
            at = &(*at)->next;
            continue;
        }
        would_bind(registry, *at);
        give_up(registry, *at);
        finish_held(registry, at);
    }
    registry->settling_held = false;
    for (uint32_t i = 0; i < registry->n_records; i++) {
        if (registry->records[i]->waiters != NULL && registry->records[i]->n_steps > 0)
            registry_settle(registry, registry->records[i]);
    }
}

void registry_come_back(struct tern_registry *registry, struct registry_job *job)
{
    struct registry_record *record = registry_find(registry, job->name);

    if (job->version != NULL)
        job->version->serial = ++registry->last_serial;
    if (job->version != NULL && job->version->ensembling != NULL && record != NULL) {
        record->held++;
        job->next = registry->held;
        registry->held = job;
    } else {
        registry_take_job(registry, job);
        registry_free_job(job);
    }
    settle_held(registry);
}

void registry_drop_held(struct tern_registry *registry)
{
    while (registry->held != NULL) {
        struct registry_job *job = registry->held;
        registry->held = job->next;
        registry_free_version(registry, job->version);
        registry_free_job(job);
    }
}

/* ---- leaving together ---- */

static bool is_used(const struct tern_registry *registry, const struct registry_record *step)
{
    for (uint32_t i = 0; i < registry->n_records; i++) {
        const struct registry_record *record = registry->records[i];
        for (uint32_t s = 0; record->wanted && s < record->n_steps; s++) {
            if (strcmp(record->steps[s], step->name) == 0)
                return true;
        }
    }
    return false;
}

/* Its steps may have been needed by it alone, and have been passed by before. */
static void look_again(struct tern_registry *registry, const struct registry_record *record)
{
    for (uint32_t i = 0; i < record->n_steps; i++) {
        struct registry_record *step = registry_find(registry, record->steps[i]);
        if (step != NULL)
            step->marks[REGISTRY_WALK_ACT] = REGISTRY_MARKED;
    }
}

void registry_unwant_steps(struct tern_registry *registry, struct registry_record *record)
{
    registry_mark(registry, record, REGISTRY_WALK_ACT);
    for (struct registry_record *step;
         (step = registry_next_marked(registry, REGISTRY_WALK_ACT)) != NULL;) {
        if (!step->wanted || step->asked_for || is_used(registry, step))
            continue;
        registry_unwant(registry, step);
        look_again(registry, step);
        registry_settle(registry, step);
    }
}
