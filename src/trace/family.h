/* What runs inside of one traced request: the steps of ensembles, what a graph of documents asks of
 * this server and of others. Each has a number when it begins and hands in its record when it ends;
 * the request takes them along with its own.
 *
 * Whether they are traced is decided once, for the request. Everything is of its loop. */
#ifndef TERN_TRACE_FAMILY_H
#define TERN_TRACE_FAMILY_H

#include "base/compiler.h"
#include "trace/record.h"
#include "trace/sampler.h"

/* Records of one family beside the request's own; further ones are left out. */
#define TERN_TRACE_FAMILY_MAX 256

struct tern_trace_family {
    struct tern_sampler *sampler; /* not owned: it gives ids */
    struct tern_sample sample;
    struct tern_trace trace; /* of the request; zero in files */
    struct tern_str request_id;
    uint32_t n_numbers; /* given so far; 0 is the request's own */
    struct tern_trace_record *first, *last;
    uint32_t n_kept;
    size_t n_bytes; /* of their tensors */
};

/* Where something stands in a family. family NULL: it is not traced. */
struct tern_trace_place {
    struct tern_trace_family *family;
    uint32_t number, parent;
    uint64_t id, parent_id; /* in files; 0: it is the request itself, which has its sample's */
};

/* The place of something that begins now inside of what stands at `of`. */
struct tern_trace_place tern_trace_place_new(const struct tern_trace_place *of);
TERN_INLINE struct tern_trace_place tern_trace_place_in(const struct tern_trace_place *of)
{
    if (TERN_LIKELY(of->family == NULL))
        return (struct tern_trace_place){.family = NULL};
    return tern_trace_place_new(of);
}

/* Keeps a copy of the record of what stood at `place`: numbers, level and ids are filled in.
 * Without memory, or when there are too many, it is left out. */
void tern_trace_family_add(const struct tern_trace_place *place,
                           const struct tern_trace_record *record);
/* Hands over all that was kept, to be freed as the `members` of a record. */
struct tern_trace_record *tern_trace_family_take(struct tern_trace_family *family);
/* Frees what was not taken: for tern_arena_on_reset. */
void tern_trace_family_drop(void *family);
/* The trace that calls of other servers carry on: with the span of what stands there. */
void tern_trace_place_context(const struct tern_trace_place *place, struct tern_trace *ret_trace);

#endif
