/* The regions of shared memory that clients registered: names for pieces of POSIX shared memory
 * objects, from which requests read tensors and into which answers are written.
 *
 * Requests find and hold a region without a lock: a fixed table of slots, each with one atomic word
 * that counts its users. What is unregistered while requests use it stays until the last of them
 * is done, or until its name is registered anew. Register, unregister and status take a lock among
 * themselves. Any thread. */
#ifndef TERN_GATEWAY_REGIONS_H
#define TERN_GATEWAY_REGIONS_H

#include "base/arena.h"
#include "core/proto.h"

#define TERN_REGION_NAME_MAX 255

struct tern_region;
struct tern_regions;

struct tern_regions_settings {
    bool enabled;         /* false: every operation fails, and no table is made */
    uint32_t regions_max; /* those unregistered and still in use included; at most
                             TERN_SHM_MAPPINGS_MAX */
    uint64_t bytes_max;   /* of all of them together */
};

enum tern_code tern_regions_new(const struct tern_regions_settings *settings,
                                struct tern_regions **ret_regions, struct tern_err *err);
/* Nobody holds a region any more. */
void tern_regions_free(struct tern_regions *regions);

/* Maps it under row->name. Errors, in Triton's words: a name that is taken, an object that cannot
 * be opened, a range that lies outside it, keys of Triton's own; CUDA regions always: there is no
 * device. RESOURCE_EXHAUSTED at the limits. */
enum tern_code tern_regions_register(struct tern_regions *regions,
                                     const struct tern_region_row *row, struct tern_err *err);
/* The region row->name of that kind, or all of them when it is empty. Fine when there is none. */
enum tern_code tern_regions_unregister(struct tern_regions *regions,
                                       const struct tern_region_row *row, struct tern_err *err);
/* The same ones as rows in the arena. NOT_FOUND for a name that is not there. */
enum tern_code tern_regions_list(struct tern_regions *regions, const struct tern_region_row *row,
                                 struct tern_arena *arena, const struct tern_region_row **ret_rows,
                                 uint32_t *ret_n, struct tern_err *err);

/* For requests: the region called name, held until tern_region_release. */
enum tern_code tern_regions_take(struct tern_regions *regions, struct tern_str name,
                                 struct tern_region **ret_region, struct tern_err *err);
void tern_region_release(struct tern_region *region);
/* Where [offset, offset + byte_size) of it lies in memory. INVALID_ARGUMENT when it is not all
 * inside. */
enum tern_code tern_region_range(const struct tern_region *region,
                                 const struct tern_region_ref *ref, char **ret_p,
                                 struct tern_err *err);
/* Whether p points into it. */
bool tern_region_holds(const struct tern_region *region, const void *p);
/* FAILED_PRECONDITION when its owner made the object smaller, or the file system of shared memory
 * was too full to hold all of it: what was read then is zeros, and what was written is lost. */
enum tern_code tern_region_check(const struct tern_region *region, struct tern_err *err);

#endif
