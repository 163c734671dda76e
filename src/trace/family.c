#include "trace/family.h"

#include <string.h>

struct tern_trace_place tern_trace_place_new(const struct tern_trace_place *of)
{
    struct tern_trace_family *family = of->family;

    return (struct tern_trace_place){
        .family = family,
        .number = ++family->n_numbers,
        .parent = of->number,
        .id = tern_sampler_next_id(family->sampler),
        .parent_id = of->number == 0 ? family->sample.id : of->id,
    };
}

void tern_trace_place_context(const struct tern_trace_place *place, struct tern_trace *ret_trace)
{
    *ret_trace = place->family->trace;
    ret_trace->flags |= TERN_TRACE_SAMPLED;
    tern_trace_span_of(place->family->trace.span_id, place->number, ret_trace->span_id);
}

void tern_trace_family_add(const struct tern_trace_place *place,
                           const struct tern_trace_record *record)
{
    struct tern_trace_family *family = place->family;
    struct tern_trace_record whole = *record;

    if (family->n_kept == TERN_TRACE_FAMILY_MAX)
        return;
    for (uint32_t i = 0; i < whole.n_tensors; i++)
        family->n_bytes += whole.tensors[i].n_bytes;
    if (family->n_bytes > TERN_TRACE_BYTES_MAX)
        whole.n_tensors = 0;
    whole.level = family->sample.level;
    whole.log_frequency = family->sample.log_frequency;
    whole.number = place->number;
    whole.parent = place->parent;
    whole.id = place->id;
    whole.parent_id = place->parent_id;
    tern_trace_span_of(family->trace.span_id, place->number, whole.span);
    if (whole.kind != TERN_TRACE_REQUEST) {
        whole.trace = family->trace;
        tern_trace_span_of(family->trace.span_id, place->parent, whole.trace.span_id);
    }
    if (whole.request_id.n == 0)
        whole.request_id = family->request_id;
    struct tern_trace_record *copy = tern_trace_record_new(&whole);
    if (copy == NULL)
        return;
    if (family->last == NULL)
        family->first = copy;
    else
        family->last->next = copy;
    family->last = copy;
    family->n_kept++;
}

struct tern_trace_record *tern_trace_family_take(struct tern_trace_family *family)
{
    struct tern_trace_record *first = family->first;

    family->first = family->last = NULL;
    return first;
}

void tern_trace_family_drop(void *family)
{
    tern_trace_record_free_all(tern_trace_family_take(family));
}
