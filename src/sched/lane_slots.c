/* The instances of a lane: they come with the version, and may become more or fewer while it is
 * served. Arrays are made before the lock is taken and given back after it was let go. */
#include "base/clock.h"
#include "base/mem.h"
#include "sched/lane.h"
#include "sched/sched_int.h"

/* What a lane has one of for each instance. */
struct arrays {
    struct tern_lane_slot **slots;
    uint64_t *busy_until_ns;
};

static void free_arrays(struct arrays *arrays)
{
    tern_mem_free(arrays->slots);
    tern_mem_free(arrays->busy_until_ns);
}

static enum tern_code new_arrays(uint32_t n, struct arrays *ret, struct tern_err *err)
{
    ret->slots = tern_mem_zalloc(n, sizeof(struct tern_lane_slot *));
    ret->busy_until_ns = tern_mem_zalloc(n, sizeof(uint64_t));
    if (ret->slots != NULL && ret->busy_until_ns != NULL)
        return TERN_OK;
    free_arrays(ret);
    return tern_mem_fail(err, "the slots of a lane", n * sizeof(uint64_t));
}

static void free_new(struct arrays *arrays, uint32_t from, uint32_t n)
{
    for (uint32_t i = from; i < n; i++)
        tern_mem_free(arrays->slots[i]);
}

/* Slots [from, n) for their instances. */
static enum tern_code fill(struct tern_lane *lane, struct arrays *arrays, void *const *instances,
                           uint32_t from, uint32_t n, struct tern_err *err)
{
    size_t size = sizeof(struct tern_lane_slot) + lane->most_works * sizeof(struct tern_work *);

    for (uint32_t i = from; i < n; i++) {
        struct tern_lane_slot *slot = tern_mem_zalloc(1, size);
        if (slot == NULL) {
            free_new(arrays, from, i);
            return tern_mem_fail(err, "a slot of a lane", size);
        }
        slot->lane = lane;
        slot->instance = instances[i];
        slot->index = i;
        slot->claim = (struct tern_resource_claim){
            .group =
                lane->scheduling == NULL ? NULL : tern_scheduling_group_of(lane->scheduling, i),
            .owner = slot};
        arrays->slots[i] = slot;
    }
    return TERN_OK;
}

/* Under the lock. An idle one may hold what it needs, for a run that it was about to begin. */
static void leave(struct tern_lane *lane, struct tern_lane_slot *const *slots, uint32_t from,
                  uint32_t n)
{
    struct tern_resources *resources = lane->sched->resources;

    for (uint32_t i = from; resources != NULL && i < n; i++) {
        if (slots[i]->claim.state == TERN_RESOURCE_HELD)
            tern_resources_release(resources, &slots[i]->claim, false);
        tern_resources_leave(resources, &slots[i]->claim);
    }
    tern_lane_serve_granted(lane->sched, tern_clock_mono_ns());
}

/* Under the lock. The arrays become the lane's, and those it had the caller's. */
static enum tern_code adopt(struct tern_lane *lane, struct arrays *arrays, uint32_t n,
                            struct tern_err *err)
{
    struct tern_resources *resources = lane->sched->resources;
    struct arrays old = {lane->slots, lane->busy_until_ns};
    enum tern_code code = TERN_OK;
    uint32_t had = lane->n_slots, joined = had;

    for (; resources != NULL && code == TERN_OK && joined < n; joined += code == TERN_OK)
        code = tern_resources_join(resources, &arrays->slots[joined]->claim, err);
    if (code != TERN_OK) {
        leave(lane, arrays->slots, had, joined);
        return code;
    }
    for (uint32_t i = 0; i < had; i++) {
        arrays->slots[i] = lane->slots[i];
        arrays->busy_until_ns[i] = lane->busy_until_ns[i];
    }
    lane->slots = arrays->slots;
    lane->busy_until_ns = arrays->busy_until_ns;
    lane->n_slots = lane->n_all_slots = n;
    lane->n_idle += n - had;
    *arrays = old;
    return TERN_OK;
}

static enum tern_code grow(struct tern_lane *lane, void *const *instances, uint32_t n,
                           struct tern_err *err)
{
    struct arrays arrays;
    uint32_t had = lane->n_slots;

    TERN_TRY(new_arrays(n, &arrays, err));
    enum tern_code code = fill(lane, &arrays, instances, had, n, err);
    if (code == TERN_OK) {
        pthread_mutex_lock(&lane->sched->executors.lock);
        code = adopt(lane, &arrays, n, err);
        if (code == TERN_OK)
            tern_lane_look(lane, tern_clock_mono_ns());
        pthread_mutex_unlock(&lane->sched->executors.lock);
        if (code != TERN_OK)
            free_new(&arrays, had, n);
    }
    free_arrays(&arrays);
    return code;
}

/* Under the lock, which is let go while one of those that leave still runs. */
static void wait_idle(struct tern_lane *lane, uint32_t from)
{
    for (uint32_t i = from; i < lane->n_all_slots; i++) {
        while (lane->slots[i]->is_busy)
            pthread_cond_wait(&lane->slot_left, &lane->sched->executors.lock);
    }
}

static void shrink(struct tern_lane *lane, uint32_t n)
{
    uint32_t had = lane->n_slots;

    pthread_mutex_lock(&lane->sched->executors.lock);
    lane->n_slots = n;
    for (uint32_t i = n; i < had; i++) {
        lane->slots[i]->is_leaving = true;
        lane->n_idle -= !lane->slots[i]->is_busy;
    }
    tern_lane_look(lane, tern_clock_mono_ns());
    wait_idle(lane, n);
    leave(lane, lane->slots, n, had);
    lane->n_all_slots = n;
    pthread_mutex_unlock(&lane->sched->executors.lock);
    for (uint32_t i = n; i < had; i++) /* nobody looks there any more */
        tern_mem_free(lane->slots[i]);
}

enum tern_code tern_lane_make_slots(struct tern_lane *lane, void *const *instances, uint32_t n,
                                    struct tern_err *err)
{
    return n == 0 ? TERN_OK : grow(lane, instances, n, err);
}

enum tern_code tern_lane_set_instances(struct tern_lane *lane, void *const *instances, uint32_t n,
                                       struct tern_err *err)
{
    if (lane->threads != NULL || lane->inlines != NULL || n == 0)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "the instances of this model have places of their own");
    TERN_TRY(tern_executors_grow(&lane->sched->executors, n, err));
    if (n > lane->n_slots)
        return grow(lane, instances, n, err);
    if (n < lane->n_slots)
        shrink(lane, n);
    return TERN_OK;
}

void tern_lane_free_slots(struct tern_lane *lane)
{
    struct arrays arrays = {lane->slots, lane->busy_until_ns};

    pthread_mutex_lock(&lane->sched->executors.lock);
    leave(lane, lane->slots, 0, lane->n_slots);
    pthread_mutex_unlock(&lane->sched->executors.lock);
    free_new(&arrays, 0, lane->n_slots);
    free_arrays(&arrays);
}
