/* What instances compete for beside processors: named resources with counts, global or of a device
 * (Triton's rate limiter; ModelRateLimiter of model_config.proto). A pure table: no threads, no
 * clock; its owner guards it.
 *
 * A claim is one instance. It gets all that its group asks for, or nothing and waits, so holders
 * never wait and nothing can lock up. Waiters are served by how often they will have run times
 * their priority, least first (self-clocked fair queueing, Golestani 1994: weight = 1 / priority),
 * but one that does not fit holds nobody back who does: only when TERN_RESOURCES_PASSES others took
 * of what it waits for, its share is kept free for it until it runs.
 *
 *     if (tern_resources_acquire(r, &claim)) run it; else it waits;
 *     ... after the run:
 *     tern_resources_release(r, &claim, lane_has_more);
 *     while ((next = tern_resources_granted(r)) != NULL) run next->owner; */
#ifndef TERN_SCHED_RESOURCES_H
#define TERN_SCHED_RESOURCES_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/list.h"
#include "registry/scheduling.h"

#define TERN_RESOURCES_MAX        4096u /* different ones */
#define TERN_RESOURCES_PASSES     8u
#define TERN_RESOURCES_ANY_DEVICE (-1) /* of a limit: as many on each device */

struct tern_resources;

/* An explicit count. As soon as there is one, what none of them names counts 0; without any, there
 * is as much of a resource as the instance that asks for most. */
struct tern_resource_limit {
    struct tern_str name; /* borrowed during new */
    uint32_t count;
    int32_t device; /* or TERN_RESOURCES_ANY_DEVICE; means nothing for a global resource */
};

enum tern_resource_state {
    TERN_RESOURCE_IDLE,
    TERN_RESOURCE_WAITING,
    TERN_RESOURCE_GRANTED, /* it has all; the owner has not been told yet */
    TERN_RESOURCE_HELD,
};

struct tern_resource_claim {
    /* The owner's, before join. */
    const struct tern_scheduling_group *group; /* NULL: it needs nothing; borrowed during join */
    int32_t device;
    void *owner;

    /* The table's; zero before join. */
    enum tern_resource_state state;
    uint32_t priority;
    uint32_t passed; /* times that others took of what it waits for */
    uint64_t served; /* runs times priority: its place among the waiting */
    struct tern_resource_want *wants;
    uint32_t n_wants;
    struct tern_list link;   /* among those waiting, or granted */
    struct tern_list member; /* among all */
};

enum tern_code tern_resources_new(const struct tern_resource_limit *limits, uint32_t n,
                                  struct tern_resources **ret_resources, struct tern_err *err);
/* Every claim has left. NULL is fine. */
void tern_resources_free(struct tern_resources *resources);

/* An instance is loaded. INVALID_ARGUMENT, in Triton's words: there never is as much as it asks
 * for, or a name is a global resource here and a device's there. */
enum tern_code tern_resources_join(struct tern_resources *resources,
                                   struct tern_resource_claim *claim, struct tern_err *err);
/* It goes; it holds nothing, but may wait or have been granted. Ask for the granted afterwards. */
void tern_resources_leave(struct tern_resources *resources, struct tern_resource_claim *claim);

/* For an idle claim. True: it holds all. False: it waits for its grant. */
bool tern_resources_acquire(struct tern_resources *resources, struct tern_resource_claim *claim);
/* After the run. again: it wants to run once more, and waits in the same moment; only so it has its
 * weight among those who always want. Ask for the granted afterwards. */
void tern_resources_release(struct tern_resources *resources, struct tern_resource_claim *claim,
                            bool again);
/* A claim that waited and now holds all; NULL when there is none. To be asked until it is NULL. */
struct tern_resource_claim *tern_resources_granted(struct tern_resources *resources);
/* Nothing is left to run: it waits no longer. Harmless when idle. Ask for the granted afterwards.
 */
void tern_resources_forgo(struct tern_resources *resources, struct tern_resource_claim *claim);

#endif
