#include "sched/resources.h"

#include <string.h>
#include "base/mem.h"

#define GLOBAL    (-2) /* the device of what all devices share */
#define DEBT_RUNS 4

struct entry {
    char *name; /* owned */
    int32_t device;
    uint32_t n_claims; /* that ask for it; 0: the place is free */
    uint32_t total;
    uint64_t in_use;
    uint64_t floor; /* the place of the last that was served: no newcomer stands before it */
};

struct tern_resource_want {
    uint32_t entry;
    uint32_t count;
};

struct limit {
    char *name; /* owned */
    uint32_t count;
    int32_t device;
};

struct tern_resources {
    struct limit *limits;
    uint32_t n_limits;
    struct entry *entries;
    uint32_t n_entries, cap_entries;
    struct tern_list members;
    struct tern_list waiting; /* see stands_behind; then by age */
    struct tern_list granted;
    struct tern_resource_claim *reserved; /* a waiting one whose share nobody else may take */
};

/* ---- the table's life ---- */

enum tern_code tern_resources_new(const struct tern_resource_limit *limits, uint32_t n,
                                  struct tern_resources **ret_resources, struct tern_err *err)
{
    struct tern_resources *r = tern_mem_zalloc(1, sizeof(*r));

    if (r == NULL)
        return tern_mem_fail(err, "the table of resources", sizeof(*r));
    tern_list_init(&r->members);
    tern_list_init(&r->waiting);
    tern_list_init(&r->granted);
    r->limits = tern_mem_zalloc(n + 1, sizeof(*r->limits));
    for (uint32_t i = 0; i < n && r->limits != NULL; i++) {
        char *name = tern_mem_strdup(limits[i].name);
        r->limits[i] = (struct limit){name, limits[i].count, limits[i].device};
        r->n_limits += name != NULL;
        if (name == NULL)
            break;
    }
    if (r->limits == NULL || r->n_limits < n) {
        tern_resources_free(r);
        return tern_mem_fail(err, "the table of resources", (n + 1) * sizeof(*r->limits));
    }
    *ret_resources = r;
    return TERN_OK;
}

void tern_resources_free(struct tern_resources *resources)
{
    if (resources == NULL)
        return;
    for (uint32_t i = 0; resources->limits != NULL && i < resources->n_limits; i++)
        tern_mem_free(resources->limits[i].name);
    for (uint32_t i = 0; i < resources->n_entries; i++)
        tern_mem_free(resources->entries[i].name);
    tern_mem_free(resources->limits);
    tern_mem_free(resources->entries);
    tern_mem_free(resources);
}

/* ---- joining ---- */

static bool is_named(const char *name, struct tern_str wanted)
{
    return tern_str_eq(tern_str_of(name), wanted);
}

/* What the operator allows of it; a limit of any device counts for each, and every one for a global
 * resource. */
static uint32_t limit_of(const struct tern_resources *r, struct tern_str name, int32_t device)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < r->n_limits; i++) {
        const struct limit *limit = &r->limits[i];
        bool meant = device == GLOBAL || limit->device == TERN_RESOURCES_ANY_DEVICE ||
                     limit->device == device;
        if (meant && limit->count > most && is_named(limit->name, name))
            most = limit->count;
    }
    return most;
}

static enum tern_code check_want(const struct tern_resources *r,
                                 const struct tern_scheduling_resource *want, int32_t device,
                                 struct tern_err *err)
{
    uint32_t limit = limit_of(r, want->name, device);

    for (uint32_t i = 0; i < r->n_entries; i++) {
        const struct entry *e = &r->entries[i];
        if (e->n_claims > 0 && (e->device == GLOBAL) != want->global &&
            is_named(e->name, want->name))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "Resource \"%.*s\" is present as both global and device-specific "
                             "resource in the model configuration.",
                             TERN_STR_ARG(want->name));
    }
    if (r->n_limits > 0 && limit < want->count)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Resource count for \"%.*s\" is limited to %u which will prevent "
                         "scheduling of one or more model instances, the minimum required count "
                         "is %u",
                         TERN_STR_ARG(want->name), limit, want->count);
    return TERN_OK;
}

static enum tern_code new_entry(struct tern_resources *r, struct tern_str name, int32_t device,
                                uint32_t *ret_entry, struct tern_err *err)
{
    uint32_t at = 0;

    while (at < r->n_entries && r->entries[at].n_claims > 0)
        at++;
    if (at == TERN_RESOURCES_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "more than %u different resources",
                         TERN_RESOURCES_MAX);
    if (at == r->cap_entries) {
        uint32_t cap = r->cap_entries == 0 ? 8 : r->cap_entries * 2;
        struct entry *entries = tern_mem_realloc(r->entries, cap * sizeof(*entries));
        if (entries == NULL)
            return tern_mem_fail(err, "a resource", cap * sizeof(*entries));
        r->entries = entries;
        r->cap_entries = cap;
    }
    char *copy = tern_mem_strdup(name);
    if (copy == NULL)
        return tern_mem_fail(err, "a resource", name.n);
    if (at < r->n_entries)
        tern_mem_free(r->entries[at].name);
    else
        r->n_entries++;
    r->entries[at] = (struct entry){
        .name = copy,
        .device = device,
        .total = r->n_limits > 0 ? limit_of(r, name, device) : 0,
    };
    *ret_entry = at;
    return TERN_OK;
}

static enum tern_code add_want(struct tern_resources *r, struct tern_resource_claim *claim,
                               const struct tern_scheduling_resource *want, struct tern_err *err)
{
    int32_t device = want->global ? GLOBAL : claim->device;
    uint32_t at = 0;

    TERN_TRY(check_want(r, want, device, err));
    while (at < r->n_entries && (r->entries[at].n_claims == 0 || r->entries[at].device != device ||
                                 !is_named(r->entries[at].name, want->name)))
        at++;
    if (at == r->n_entries)
        TERN_TRY(new_entry(r, want->name, device, &at, err));
    r->entries[at].n_claims++;
    claim->wants[claim->n_wants++] = (struct tern_resource_want){at, want->count};
    return TERN_OK;
}

/* Without limits there is as much as the one that asks for most. */
static void count_totals(struct tern_resources *r)
{
    for (uint32_t i = 0; i < r->n_entries && r->n_limits == 0; i++)
        r->entries[i].total = 0;
    for (struct tern_list *at = r->members.next; at != &r->members && r->n_limits == 0;
         at = at->next) {
        const struct tern_resource_claim *claim =
            TERN_CONTAINER_OF(at, struct tern_resource_claim, member);
        for (uint32_t i = 0; i < claim->n_wants; i++) {
            struct entry *e = &r->entries[claim->wants[i].entry];
            if (claim->wants[i].count > e->total)
                e->total = claim->wants[i].count;
        }
    }
}

static void drop_wants(struct tern_resources *r, struct tern_resource_claim *claim)
{
    for (uint32_t i = 0; i < claim->n_wants; i++)
        r->entries[claim->wants[i].entry].n_claims--;
    tern_mem_free(claim->wants);
    claim->wants = NULL;
    claim->n_wants = 0;
}

/* ---- serving ---- */

static const struct tern_resource_want *want_of(const struct tern_resource_claim *claim,
                                                uint32_t entry)
{
    for (uint32_t i = 0; i < claim->n_wants; i++) {
        if (claim->wants[i].entry == entry)
            return &claim->wants[i];
    }
    return NULL;
}

/* Whether all that it asks for is free, and not kept for another. */
static bool fits(const struct tern_resources *r, const struct tern_resource_claim *claim)
{
    for (uint32_t i = 0; i < claim->n_wants; i++) {
        const struct tern_resource_want *want = &claim->wants[i];
        const struct entry *e = &r->entries[want->entry];
        const struct tern_resource_want *kept =
            r->reserved == NULL || r->reserved == claim ? NULL : want_of(r->reserved, want->entry);
        uint64_t taken = e->in_use + (kept == NULL ? 0 : kept->count);
        if (taken + want->count > e->total)
            return false;
    }
    return true;
}

/* Where its next run ends, and of equal ones the one with the greater weight first: the other
 * order, by where it begins, gives each newcomer a run that its weight has not earned. */
static bool stands_behind(const struct tern_resource_claim *a, const struct tern_resource_claim *b)
{
    uint64_t a_end, b_end;

    if (__builtin_add_overflow(a->served, (uint64_t)a->priority, &a_end))
        a_end = UINT64_MAX;
    if (__builtin_add_overflow(b->served, (uint64_t)b->priority, &b_end))
        b_end = UINT64_MAX;
    return a_end > b_end || (a_end == b_end && a->priority > b->priority);
}

/* Keeps the share of the first waiter that was passed too often. */
static void reserve(struct tern_resources *r)
{
    for (struct tern_list *at = r->waiting.next; at != &r->waiting && r->reserved == NULL;
         at = at->next) {
        struct tern_resource_claim *claim = TERN_CONTAINER_OF(at, struct tern_resource_claim, link);
        if (claim->passed >= TERN_RESOURCES_PASSES)
            r->reserved = claim;
    }
}

static bool share(const struct tern_resource_claim *a, const struct tern_resource_claim *b)
{
    for (uint32_t i = 0; i < a->n_wants; i++) {
        if (want_of(b, a->wants[i].entry) != NULL)
            return true;
    }
    return false;
}

/* Tells those before it in the order, and waiting for the same. */
static void pass(struct tern_resources *r, const struct tern_resource_claim *winner)
{
    for (struct tern_list *at = r->waiting.next; at != &r->waiting; at = at->next) {
        struct tern_resource_claim *claim = TERN_CONTAINER_OF(at, struct tern_resource_claim, link);
        if (stands_behind(claim, winner))
            break;
        claim->passed += share(claim, winner);
    }
    reserve(r);
}

static void take(struct tern_resources *r, struct tern_resource_claim *claim)
{
    if (r->reserved == claim)
        r->reserved = NULL;
    claim->passed = 0;
    for (uint32_t i = 0; i < claim->n_wants; i++) {
        struct entry *e = &r->entries[claim->wants[i].entry];
        e->in_use += claim->wants[i].count;
        if (claim->served > e->floor)
            e->floor = claim->served;
    }
    pass(r, claim);
    if (__builtin_add_overflow(claim->served, claim->priority, &claim->served))
        claim->served = UINT64_MAX;
}

static void give_back(struct tern_resources *r, const struct tern_resource_claim *claim)
{
    for (uint32_t i = 0; i < claim->n_wants; i++)
        r->entries[claim->wants[i].entry].in_use -= claim->wants[i].count;
}

/* Runs on what nobody else wanted are no debt: it stands at most so many of its own runs behind the
 * first of those that it competes with now. */
static void forgive(const struct tern_resources *r, struct tern_resource_claim *claim)
{
    uint64_t most;

    for (struct tern_list *at = r->waiting.next; at != &r->waiting; at = at->next) {
        const struct tern_resource_claim *first =
            TERN_CONTAINER_OF(at, struct tern_resource_claim, link);
        if (!share(first, claim))
            continue;
        if (!__builtin_add_overflow(first->served, (uint64_t)claim->priority * DEBT_RUNS, &most) &&
            claim->served > most)
            claim->served = most;
        return;
    }
}

static void wait_in_order(struct tern_resources *r, struct tern_resource_claim *claim)
{
    forgive(r, claim);
    struct tern_list *after = r->waiting.prev;

    while (after != &r->waiting &&
           stands_behind(TERN_CONTAINER_OF(after, struct tern_resource_claim, link), claim))
        after = after->prev;
    tern_list_append(after->next, &claim->link); /* before the one that follows */
    claim->state = TERN_RESOURCE_WAITING;
}

/* Something became free: everybody who fits now, in order. */
static void settle(struct tern_resources *r)
{
    struct tern_list *next;

    for (struct tern_list *at = r->waiting.next; at != &r->waiting; at = next) {
        struct tern_resource_claim *claim = TERN_CONTAINER_OF(at, struct tern_resource_claim, link);
        next = at->next;
        if (!fits(r, claim))
            continue;
        tern_list_remove(at);
        take(r, claim);
        claim->state = TERN_RESOURCE_GRANTED;
        tern_list_append(&r->granted, at);
    }
}

/* Takes it out of whatever it is in but a run. */
static void stop(struct tern_resources *r, struct tern_resource_claim *claim)
{
    if (claim->state == TERN_RESOURCE_GRANTED)
        give_back(r, claim);
    tern_list_remove(&claim->link);
    claim->state = TERN_RESOURCE_IDLE;
    claim->passed = 0;
    if (r->reserved == claim) {
        r->reserved = NULL;
        reserve(r);
    }
}

/* ---- the contract ---- */

enum tern_code tern_resources_join(struct tern_resources *resources,
                                   struct tern_resource_claim *claim, struct tern_err *err)
{
    const struct tern_scheduling_group *group = claim->group;
    uint32_t n = group == NULL ? 0 : group->n_resources;
    enum tern_code code = TERN_OK;

    claim->state = TERN_RESOURCE_IDLE;
    claim->priority = group == NULL || group->priority == 0 ? 1 : group->priority;
    claim->served = claim->passed = 0;
    claim->n_wants = 0;
    tern_list_init(&claim->link);
    tern_list_init(&claim->member);
    claim->wants = n == 0 ? NULL : tern_mem_zalloc(n, sizeof(*claim->wants));
    if (n > 0 && claim->wants == NULL)
        return tern_mem_fail(err, "an instance's resources", n * sizeof(*claim->wants));
    for (uint32_t i = 0; i < n && code == TERN_OK; i++)
        code = add_want(resources, claim, &group->resources[i], err);
    if (code != TERN_OK) {
        drop_wants(resources, claim);
        return code;
    }
    tern_list_append(&resources->members, &claim->member);
    count_totals(resources);
    settle(resources); /* there may be more now */
    return TERN_OK;
}

void tern_resources_leave(struct tern_resources *resources, struct tern_resource_claim *claim)
{
    stop(resources, claim);
    tern_list_remove(&claim->member);
    drop_wants(resources, claim);
    count_totals(resources);
    settle(resources);
}

bool tern_resources_acquire(struct tern_resources *resources, struct tern_resource_claim *claim)
{
    /* Who did not ask for a while has saved nothing up. */
    for (uint32_t i = 0; i < claim->n_wants; i++) {
        uint64_t floor = resources->entries[claim->wants[i].entry].floor;
        if (floor > claim->served)
            claim->served = floor;
    }
    if (!fits(resources, claim)) {
        wait_in_order(resources, claim);
        return false;
    }
    take(resources, claim);
    claim->state = TERN_RESOURCE_HELD;
    return true;
}

void tern_resources_release(struct tern_resources *resources, struct tern_resource_claim *claim,
                            bool again)
{
    give_back(resources, claim);
    claim->state = TERN_RESOURCE_IDLE;
    if (again)
        wait_in_order(resources, claim);
    settle(resources);
}

struct tern_resource_claim *tern_resources_granted(struct tern_resources *resources)
{
    struct tern_list *first = tern_list_pop(&resources->granted);

    if (first == NULL)
        return NULL;
    struct tern_resource_claim *claim = TERN_CONTAINER_OF(first, struct tern_resource_claim, link);
    claim->state = TERN_RESOURCE_HELD;
    return claim;
}

void tern_resources_forgo(struct tern_resources *resources, struct tern_resource_claim *claim)
{
    if (claim->state != TERN_RESOURCE_WAITING && claim->state != TERN_RESOURCE_GRANTED)
        return;
    stop(resources, claim);
    settle(resources);
}
